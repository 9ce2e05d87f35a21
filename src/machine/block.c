// SPDX-License-Identifier: MIT
/*
 * Blocks: what a process takes from the machine's RAM, 512 frames at a time.
 *
 * Which block comes next is random, or the lowest on a linear machine; so is the order
 * in which its frames will be given out. The machine is told by one store, the block's
 * word, after the entries are there; and again by one, before they go. A process that
 * is killed in between leaves pages with its tag, which the reaper frees.
 */
#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "machine/frame_int.h"

#define ENTRIES_SIZE (OLI_BLOCK_FRAMES * sizeof(struct oli_frame))

static_assert(sizeof(struct oli_frame) == 16, "1 GiB is described by 4 MiB");
static_assert(ENTRIES_SIZE % OLI_PAGE_SIZE == 0, "entries are whole pages");

/* xorshift64 */
u32 oli_frames_random(struct frames *fs, u32 n)
{
	fs->random ^= fs->random << 13;
	fs->random ^= fs->random >> 7;
	fs->random ^= fs->random << 17;
	return (u32)((fs->random >> 32) % n);
}

/* A free block of the machine: any, or the lowest. The part's lock is held. */
static bool find_block(struct oli_phys_root *r, struct frames *fs, u32 *nr)
{
	u32 start = fs->linear ? 0 : oli_frames_random(fs, r->nr_blocks);

	for (u32 i = 0; i < r->nr_blocks; i++) {
		u32 at = (start + i) % r->nr_blocks;

		if (atomic_load_explicit(&r->block[at], memory_order_relaxed))
			continue;
		*nr = at;
		return true;
	}
	return false;
}

/* The order in which its frames will be given out, from the end. */
static void fill_free(struct frames *fs, struct block *b)
{
	b->nfree = OLI_BLOCK_FRAMES;
	for (u32 i = 0; i < OLI_BLOCK_FRAMES; i++)
		b->free[i] = (u16)(OLI_BLOCK_FRAMES - 1 - i);
	for (u32 i = OLI_BLOCK_FRAMES - 1; i && !fs->linear; i--) {
		u32 k = oli_frames_random(fs, i + 1);
		u16 held = b->free[i];

		b->free[i] = b->free[k];
		b->free[k] = held;
	}
}

int oli_block_take(struct oli_machine *m, struct frames *fs, struct block **out)
{
	struct oli_phys_root *r = oli_phys_root(m);
	struct block *b = OLI_FAULT() ? NULL : malloc(sizeof(*b));
	int err;

	if (!b)
		return -ENOMEM;
	(void)!oli_lock(&r->lock);
	err = !find_block(r, fs, &b->nr) ? -ENOSPC
	      : OLI_FAULT()		 ? -ENOMEM
					 : oli_heap_alloc(m, ENTRIES_SIZE, m->slot, &b->off);
	if (!err)
		atomic_store_explicit(&r->block[b->nr], oli_phys_word(b->off, m->slot),
				      memory_order_release);
	oli_unlock(&r->lock);
	if (err) {
		free(b);
		return err;
	}
	b->frame = oli_ptr(m, b->off);
	fill_free(fs, b);
	fs->by_nr[b->nr] = b;
	*out = b;
	return 0;
}

void oli_block_give(struct oli_machine *m, struct frames *fs, struct block *b)
{
	struct oli_phys_root *r = oli_phys_root(m);

	(void)!oli_lock(&r->lock);
	atomic_store(&r->block[b->nr], 0);
	oli_unlock(&r->lock);
	oli_heap_free(m, b->off, ENTRIES_SIZE);
	fs->by_nr[b->nr] = NULL;
	free(b);
}

void oli_open_add(struct frames *fs, struct block *b)
{
	u32 at = fs->nr_open++;

	for (; fs->linear && at && fs->open[at - 1]->nr < b->nr; at--)
		fs->open[at] = fs->open[at - 1];
	fs->open[at] = b;
}

void oli_open_remove(struct frames *fs, struct block *b)
{
	u32 at = --fs->nr_open;

	/* Mostly it is near the end. */
	while (fs->open[at] != b)
		at--;
	memmove(&fs->open[at], &fs->open[at + 1], (fs->nr_open - at) * sizeof(b));
}
