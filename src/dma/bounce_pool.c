// SPDX-License-Identifier: MIT
/*
 * The pool of bounce slots: segments of low memory, and how many there may be.
 *
 * A process takes segments as it needs them, as long as all processes together stay
 * within the machine's number of slots. What each has taken is one counter of its own in
 * the file, so a process that dies gives its share back by a store of 0; the memory goes
 * by its owner tags.
 *
 * The empty segments that an area keeps: one, and none once half of the machine's slots
 * are taken, so that what nobody uses can be had by others.
 *
 * Nothing here can overflow: addresses are inside low memory, and sizes within a segment;
 * what is added to them to make DMA addresses may wrap, and is looked at for it.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "dma/bounce.h"

int oli_bounce_attach(struct oli_machine *m, struct oli_dma_local *local)
{
	struct oli_bounce_local *b;
	u32 n = m->shm->desc.bounce_areas;

	b = OLI_FAULT() ? NULL : aligned_alloc(64, oli_align_up(sizeof(*b), 64));
	if (!b)
		return -ENOMEM;
	memset(b, 0, sizeof(*b));
	b->nr_areas = oli_roundup_pow2(n < OLI_BOUNCE_AREAS ? n : OLI_BOUNCE_AREAS);
	for (u32 i = 0; i < b->nr_areas; i++)
		pthread_mutex_init(&b->area[i].lock, NULL);
	/* A thread that was late to leave may have counted for whom had the slot before. */
	oli_bounce_reap(m, m->slot);
	local->bounce = b;
	return 0;
}

static void free_segs(struct oli_bounce_seg *seg)
{
	struct oli_bounce_seg *next;

	for (; seg; seg = next) {
		next = seg->next;
		free(seg);
	}
}

void oli_bounce_detach(struct oli_machine *m, struct oli_dma_local *local)
{
	struct oli_bounce_local *b = local->bounce;

	(void)m;
	if (!b)
		return;
	for (u32 i = 0; i < b->nr_areas; i++) {
		free_segs(b->area[i].segs);
		free_segs(b->area[i].spare);
		pthread_mutex_destroy(&b->area[i].lock);
	}
	free(b);
	local->bounce = NULL;
}

/* ---- what is taken of the machine ---- */

static u64 sum(const _Atomic u64 *count)
{
	u64 n = 0;

	for (u32 i = 0; i < OLI_SLOTS; i++)
		n += atomic_load_explicit(&count[i], memory_order_relaxed);
	return n;
}

void oli_bounce_reap(struct oli_machine *m, u16 slot)
{
	atomic_store(&oli_dma_root(m)->bounce.used[slot], 0);
	atomic_store(&oli_dma_root(m)->bounce.taken[slot], 0);
}

bool oli_bounce_can_claim(struct oli_machine *m)
{
	return sum(oli_dma_root(m)->bounce.taken) + OLI_BOUNCE_SLOTS <= m->shm->desc.bounce_slots;
}

/* A segment's worth of the machine's slots. The counters never say more than there are for long. */
static bool claim(struct oli_machine *m)
{
	struct oli_dma_root *root = oli_dma_root(m);

	for (int i = 0; i < OLI_BOUNCE_TRIES && oli_bounce_can_claim(m); i++) {
		atomic_fetch_add(&root->bounce.taken[m->slot], OLI_BOUNCE_SLOTS);
		if (sum(root->bounce.taken) <= m->shm->desc.bounce_slots)
			return true;
		atomic_fetch_sub(&root->bounce.taken[m->slot], OLI_BOUNCE_SLOTS);
		sched_yield();
	}
	return false;
}

static void unclaim(struct oli_machine *m)
{
	atomic_fetch_sub(&oli_dma_root(m)->bounce.taken[m->slot], OLI_BOUNCE_SLOTS);
}

void oli_bounce_count(struct oli_machine *m, u32 n)
{
	struct oli_dma_root *root = oli_dma_root(m);
	u64 now, high = atomic_load_explicit(&root->bounce.high, memory_order_relaxed);

	atomic_fetch_add_explicit(&root->bounce.used[m->slot], n, memory_order_relaxed);
	now = sum(root->bounce.used);
	while (now > high && !atomic_compare_exchange_weak(&root->bounce.high, &high, now))
		;
}

void oli_bounce_stats(struct oli_machine *m, struct oli_bounce_stats *out)
{
	struct oli_dma_root *root = oli_dma_root(m);

	*out = (struct oli_bounce_stats){
		.slots = m->shm->desc.bounce_slots,
		.used = sum(root->bounce.used),
		.high = atomic_load(&root->bounce.high),
		.failed = atomic_load(&root->bounce.failed),
	};
}

/* ---- segments ---- */

bool oli_bounce_reachable(const struct olio_dev *dev, u64 pa, u64 len)
{
	u64 dma = pa + dev->desc->dma_offset;

	if (dev->reach != OLI_REACH_DIRECT)
		return true;
	return dma >= pa && dma <= dev->mask && len - 1 <= dev->mask - dma;
}

static void index_seg(struct oli_bounce_local *b, const struct oli_bounce_seg *seg,
		      struct oli_bounce_seg *value)
{
	u64 at = (seg->pa - OLI_PA_LOW) >> OLI_BOUNCE_CHUNK_SHIFT;

	for (u32 i = 0; i < (OLI_BOUNCE_BYTES >> OLI_BOUNCE_CHUNK_SHIFT); i++)
		atomic_store_explicit(&b->chunk[at + i], value, memory_order_release);
}

/* Memory for the spare segment @seg. Return: 0; why not. */
static enum olio_reason fill_seg(struct olio_dev *dev, struct oli_bounce_seg *seg)
{
	struct olio_pa pa;
	void *cpu;
	int err;

	if (!claim(dev->m))
		return OLIO_REASON_BOUNCE_FULL;
	err = oli_low_alloc(dev->m, OLI_BOUNCE_BYTES, &pa, &cpu);
	if (err) {
		unclaim(dev->m);
		return err == -ENOSPC ? OLIO_REASON_BOUNCE_FULL : OLIO_REASON_NO_MEMORY;
	}
	if (!oli_bounce_reachable(dev, pa.v, OLI_BOUNCE_BYTES)) {
		oli_low_free(dev->m, pa, OLI_BOUNCE_BYTES);
		unclaim(dev->m);
		return OLIO_REASON_MASK;
	}
	seg->pa = pa.v;
	seg->cpu = cpu;
	return OLIO_REASON_NONE;
}

enum olio_reason oli_bounce_grow(struct olio_dev *dev, struct oli_bounce_area *area)
{
	struct oli_bounce_seg *seg = area->spare;
	enum olio_reason reason;

	if (!oli_bounce_reachable(dev, OLI_PA_LOW, OLI_BOUNCE_BYTES))
		return OLIO_REASON_MASK;
	if (!seg) {
		seg = OLI_FAULT() ? NULL : calloc(1, sizeof(*seg));
		if (!seg)
			return OLIO_REASON_NO_MEMORY;
		seg->area = area;
		area->spare = seg;
	}
	reason = fill_seg(dev, seg);
	if (reason != OLIO_REASON_NONE)
		return reason;
	area->spare = seg->next;
	seg->next = area->segs;
	area->segs = seg;
	area->empty++;
	index_seg(oli_dma_local(dev->m)->bounce, seg, seg);
	return OLIO_REASON_NONE;
}

void oli_bounce_shrink(struct oli_machine *m, struct oli_bounce_seg *seg)
{
	struct oli_bounce_area *area = seg->area;
	struct oli_bounce_seg **p = &area->segs;

	area->empty++;
	if (area->empty == 1 && sum(oli_dma_root(m)->bounce.taken) <= m->shm->desc.bounce_slots / 2)
		return;
	while (*p != seg)
		p = &(*p)->next;
	*p = seg->next;
	area->empty--;
	index_seg(oli_dma_local(m)->bounce, seg, NULL);
	oli_low_free(m, (struct olio_pa){seg->pa}, OLI_BOUNCE_BYTES);
	unclaim(m);
	seg->next = area->spare;
	area->spare = seg;
}
