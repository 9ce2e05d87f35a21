// SPDX-License-Identifier: MIT
/*
 * Frames: pages of RAM that stand for pages of this process.
 *
 * The process takes blocks of 512 frames from the machine and gives frames out of
 * them. What is free in its blocks it keeps for itself, in a list a block: in random
 * order, or descending on a linear machine, and always taken from the end. Blocks that
 * have free frames are "open", the next to be used at the end; of the last two one is
 * chosen at random, or the lowest is the last. A frame beside the one given out before is
 * passed over if there is another: neighbours are not to be neighbours.
 *
 * Up to SPARE wholly free blocks are kept, so that a program that pins and unpins one
 * page does not take and give a block each time.
 *
 * Truth is in the machine: the block's word and the frames' entries, which lie in pages
 * tagged as ours. What is here is rebuilt by nobody, because it dies with the process.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/rand.h"
#include "machine/frame_int.h"

/* Wholly free blocks that are kept. */
#define SPARE 2

static struct frames *frames_of(struct oli_machine *m)
{
	return m->local[OLI_PART_PHYS];
}

static u64 frame_pa(const struct block *b, u32 i)
{
	return OLI_PA_RAM + ((u64)b->nr << OLI_BLOCK_SHIFT) + ((u64)i << OLI_PAGE_SHIFT);
}

/* ---- shadows ---- */

static int shadow_alloc(struct oli_machine *m, bool wanted, u64 pages, u32 *shadow)
{
	u64 off;

	*shadow = 0;
	if (!wanted)
		return 0;
	if (OLI_FAULT() || oli_heap_alloc(m, pages << OLI_PAGE_SHIFT, m->slot, &off))
		return -ENOMEM;
	*shadow = (u32)((off - m->shm->heap_off) >> OLI_PAGE_SHIFT) + 1;
	return 0;
}

static void shadow_free(struct oli_machine *m, u32 shadow, u64 pages)
{
	if (shadow)
		oli_heap_free(m, m->shm->heap_off + ((u64)(shadow - 1) << OLI_PAGE_SHIFT),
			      pages << OLI_PAGE_SHIFT);
}

/* ---- one frame ---- */

static bool is_neighbour(const struct frames *fs, const struct block *b, u32 i)
{
	u64 pa = frame_pa(b, i);

	return pa - fs->last == OLI_PAGE_SIZE || fs->last - pa == OLI_PAGE_SIZE;
}

/* A block of many free frames always has another one. */
static bool only_neighbours(const struct frames *fs, const struct block *b)
{
	return b->nfree <= 2 && is_neighbour(fs, b, b->free[0]) &&
	       is_neighbour(fs, b, b->free[b->nfree - 1]);
}

/* The block of which the next frame is to come. */
static int choose_block(struct oli_machine *m, struct frames *fs, struct block **out)
{
	u32 want = fs->linear ? 1 : 2, at;

	while (fs->nr_open < want) {
		struct block *b;
		int err = oli_block_take(m, fs, &b);

		if (err && !fs->nr_open)
			return err;
		/* With what there is, as long as there is something. */
		if (err)
			break;
		fs->nr_spare++;
		oli_open_add(fs, b);
	}
	want = want < fs->nr_open ? want : fs->nr_open;
	at = fs->nr_open - 1 - oli_frames_random(fs, want);
	if (want == 2 && only_neighbours(fs, fs->open[at]))
		at = 2 * fs->nr_open - 3 - at;
	*out = fs->open[at];
	return 0;
}

static u32 frame_take(struct frames *fs, struct block *b)
{
	u32 i = b->free[b->nfree - 1];

	for (u32 k = b->nfree - 1; !fs->linear && k-- && is_neighbour(fs, b, i);) {
		b->free[b->nfree - 1] = b->free[k];
		b->free[k] = (u16)i;
		i = b->free[b->nfree - 1];
	}
	if (b->nfree == OLI_BLOCK_FRAMES)
		fs->nr_spare--;
	if (!--b->nfree)
		oli_open_remove(fs, b);
	fs->last = frame_pa(b, i);
	return i;
}

static void frame_put(struct oli_machine *m, struct frames *fs, struct block *b, u32 i)
{
	u32 at = b->nfree;

	if (!b->nfree)
		oli_open_add(fs, b);
	if (fs->linear) {
		for (; at && b->free[at - 1] < i; at--)
			b->free[at] = b->free[at - 1];
	} else {
		u32 k = oli_frames_random(fs, b->nfree + 1);

		b->free[at] = b->free[k];
		at = k;
	}
	b->free[at] = (u16)i;
	if (++b->nfree < OLI_BLOCK_FRAMES)
		return;
	if (fs->nr_spare == SPARE) {
		oli_open_remove(fs, b);
		oli_block_give(m, fs, b);
	} else {
		fs->nr_spare++;
	}
}

static void entry_fill(struct oli_frame *f, u64 va, u32 flags, u32 shadow)
{
	atomic_store_explicit(&f->pins, 1, memory_order_relaxed);
	__atomic_store_n(&f->shadow, shadow, __ATOMIC_RELAXED);
	/* Last: from here on it is found. */
	atomic_store_explicit(&f->page, (va & ~(u64)(OLI_PAGE_SIZE - 1)) | flags | OLI_FRAME_USED,
			      memory_order_release);
}

int oli_frame_alloc(struct oli_machine *m, u64 va, u32 flags, bool shadow, struct olio_pa *pa)
{
	struct frames *fs = frames_of(m);
	struct block *b;
	u32 page, i;
	int err = OLI_FAULT() ? -ENOMEM : shadow_alloc(m, shadow, 1, &page);

	if (err)
		return err;
	pthread_mutex_lock(&fs->lock);
	err = choose_block(m, fs, &b);
	if (!err) {
		i = frame_take(fs, b);
		entry_fill(&b->frame[i], va, flags, page);
		pa->v = frame_pa(b, i);
	}
	pthread_mutex_unlock(&fs->lock);
	if (err)
		shadow_free(m, page, 1);
	return err;
}

/* ---- a whole block ---- */

/* From the machine, or a spare one of ours if that has none. */
static int whole_block(struct oli_machine *m, struct frames *fs, struct block **out)
{
	int err = oli_block_take(m, fs, out);

	if (err != -ENOSPC || !fs->nr_spare)
		return err;
	for (u32 i = 0; i < fs->nr_open; i++)
		if (fs->open[i]->nfree == OLI_BLOCK_FRAMES)
			*out = fs->open[i];
	oli_open_remove(fs, *out);
	fs->nr_spare--;
	return 0;
}

int oli_frame_alloc_block(struct oli_machine *m, u64 va, u32 flags, bool shadow, struct olio_pa *pa)
{
	struct frames *fs = frames_of(m);
	struct block *b;
	u32 page;
	int err = OLI_FAULT() ? -ENOMEM : shadow_alloc(m, shadow, OLI_BLOCK_FRAMES, &page);

	if (err)
		return err;
	pthread_mutex_lock(&fs->lock);
	err = whole_block(m, fs, &b);
	if (!err) {
		b->nfree = 0;
		for (u32 i = 0; i < OLI_BLOCK_FRAMES; i++)
			entry_fill(&b->frame[i], va + ((u64)i << OLI_PAGE_SHIFT), flags,
				   page ? page + i : 0);
		pa->v = frame_pa(b, 0);
	}
	pthread_mutex_unlock(&fs->lock);
	if (err)
		shadow_free(m, page, OLI_BLOCK_FRAMES);
	return err;
}

/* ---- giving back, looking ---- */

struct oli_frame *oli_frame_get(struct oli_machine *m, struct olio_pa pa)
{
	struct oli_phys_root *r = oli_phys_root(m);
	u64 off = pa.v - OLI_PA_RAM, word;
	struct oli_frame *f;

	if (off >= m->shm->desc.ram_size)
		return NULL;
	word = atomic_load_explicit(&r->block[off >> OLI_BLOCK_SHIFT], memory_order_acquire);
	if (!word)
		return NULL;
	f = (struct oli_frame *)oli_word_ptr(m, word) +
	    (off >> OLI_PAGE_SHIFT & (OLI_BLOCK_FRAMES - 1));
	return atomic_load_explicit(&f->page, memory_order_acquire) ? f : NULL;
}

/* Ours still? At the process's end the machine forgets blocks before we do. */
static struct block *own_block(struct oli_machine *m, struct frames *fs, u64 off)
{
	struct block *b = fs->by_nr[off >> OLI_BLOCK_SHIFT];
	u64 word = atomic_load(&oli_phys_root(m)->block[off >> OLI_BLOCK_SHIFT]);

	return b && word == oli_phys_word(b->off, m->slot) ? b : NULL;
}

void oli_frame_free(struct oli_machine *m, struct olio_pa pa)
{
	struct frames *fs = frames_of(m);
	u64 off = pa.v - OLI_PA_RAM;
	u32 i = off >> OLI_PAGE_SHIFT & (OLI_BLOCK_FRAMES - 1), shadow = 0;
	struct block *b;

	if (!fs || off >= m->shm->desc.ram_size)
		return;
	pthread_mutex_lock(&fs->lock);
	b = own_block(m, fs, off);
	if (b && atomic_load(&b->frame[i].page)) {
		struct oli_frame *f = &b->frame[i];

		atomic_store(&f->page, 0);
		atomic_store(&f->pins, 0);
		shadow = __atomic_exchange_n(&f->shadow, 0, __ATOMIC_RELAXED);
		frame_put(m, fs, b, i);
	}
	pthread_mutex_unlock(&fs->lock);
	shadow_free(m, shadow, 1);
}

u64 oli_frames_used(struct oli_machine *m, u16 slot)
{
	struct oli_phys_root *r = oli_phys_root(m);
	u64 n = 0;

	for (u32 i = 0; i < r->nr_blocks; i++) {
		u64 word = atomic_load(&r->block[i]);
		struct oli_frame *f = oli_word_ptr(m, word);

		if (!word || oli_word_slot(word) != slot)
			continue;
		for (u32 k = 0; k < OLI_BLOCK_FRAMES; k++)
			n += atomic_load_explicit(&f[k].page, memory_order_relaxed) != 0;
	}
	return n;
}

/* ---- process-local ---- */

int oli_frames_attach(struct oli_machine *m, void **local)
{
	u32 n = oli_phys_root(m)->nr_blocks;
	struct frames *fs = OLI_FAULT() ? NULL : calloc(1, sizeof(*fs));

	if (!fs)
		return -ENOMEM;
	pthread_mutex_init(&fs->lock, NULL);
	fs->nr_blocks = n;
	/* Untouched, the two arrays are addresses only. */
	fs->by_nr = calloc(n, sizeof(*fs->by_nr));
	fs->open = calloc(n, sizeof(*fs->open));
	if (!fs->by_nr || !fs->open) {
		oli_frames_detach(fs);
		return -ENOMEM;
	}
	fs->linear = m->shm->desc.linear;
	fs->random = (u64)oli_rand32() << 32 | oli_rand32() | 1;
	*local = fs;
	return 0;
}

void oli_frames_detach(void *local)
{
	struct frames *fs = local;

	for (u32 i = 0; fs->by_nr && i < fs->nr_blocks; i++)
		free(fs->by_nr[i]);
	pthread_mutex_destroy(&fs->lock);
	free(fs->by_nr);
	free(fs->open);
	free(fs);
}
