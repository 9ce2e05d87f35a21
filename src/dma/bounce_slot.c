// SPDX-License-Identifier: MIT
/*
 * Slots of segments: who has which, and what lies in them.
 *
 * A thread looks in its own area first, then lets that grow, then looks in the others'.
 * In a segment the first place that fits is taken: it begins with a granule, and as the
 * device sees it crosses no boundary that its segments may not cross.
 *
 * Invariant, under the area's lock: a slot's bit in @used is set from take to give; a
 * copy is found from take to retire, by the number of its first slot, which each slot of
 * it has. In between it is copied back, without the lock.
 */
#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "dma/bounce.h"

static oli_bounce_bits mask_of(u32 first, u32 n)
{
	oli_bounce_bits ones =
		n < OLI_BOUNCE_SLOTS ? ((oli_bounce_bits)1 << n) - 1 : ~(oli_bounce_bits)0;

	return ones << first;
}

/* Would the device see it cross a line that its segments may not cross, and need not? */
static bool crosses(const struct olio_dev *dev, u64 pa, u64 len)
{
	u64 dma = pa + dev->desc->dma_offset;

	return dev->reach == OLI_REACH_DIRECT && len <= dev->boundary &&
	       (dma ^ (dma + len - 1)) & ~(dev->boundary - 1);
}

/* @out->n free slots in @seg that begin with a granule. */
static bool fit_seg(const struct olio_dev *dev, struct oli_bounce_seg *seg, struct oli_bounce *out)
{
	u32 step = (u32)(dev->granule_mask >> OLI_BOUNCE_SHIFT) + 1;

	for (u32 i = 0; i + out->n <= OLI_BOUNCE_SLOTS; i += step) {
		u64 pa = seg->pa + ((u64)i << OLI_BOUNCE_SHIFT);

		if (seg->used & mask_of(i, out->n) || crosses(dev, pa + out->skew, out->len))
			continue;
		out->seg = seg;
		out->first = i;
		out->start = pa;
		out->cpu = seg->cpu + ((u64)i << OLI_BOUNCE_SHIFT);
		return true;
	}
	return false;
}

static bool fit(struct olio_dev *dev, struct oli_bounce_area *area, struct oli_bounce *out)
{
	struct oli_bounce_seg *seg = area->segs;

	while (seg &&
	       !(oli_bounce_reachable(dev, seg->pa, OLI_BOUNCE_BYTES) && fit_seg(dev, seg, out)))
		seg = seg->next;
	if (!seg)
		return false;
	if (!seg->used)
		area->empty--;
	seg->used |= mask_of(out->first, out->n);
	memset(seg->first + out->first, (int)out->first, out->n);
	seg->copy[out->first].dev = dev;
	seg->copy[out->first].skew = out->skew;
	seg->copy[out->first].len = out->len;
	seg->copy[out->first].orig = out->orig;
	seg->copy[out->first].n = out->n;
	return true;
}

/* Threads are spread over the areas by the addresses of their own variables. */
static u32 own_area(const struct oli_bounce_local *b)
{
	static __thread char self;

	return (u32)(((uintptr_t)&self * 0x9e3779b97f4a7c15ull) >> 40) & (b->nr_areas - 1);
}

/* In one more segment; if even that has no place for it, it is not kept. */
static enum olio_reason fit_new(struct olio_dev *dev, struct oli_bounce_area *area,
				struct oli_bounce *out)
{
	enum olio_reason reason = oli_bounce_grow(dev, area);

	if (reason != OLIO_REASON_NONE || fit(dev, area, out))
		return reason;
	area->empty--;
	oli_bounce_shrink(dev->m, area->segs);
	return OLIO_REASON_BOUNCE_FULL;
}

static enum olio_reason search(struct olio_dev *dev, struct oli_bounce *out)
{
	struct oli_bounce_local *b = oli_dma_local(dev->m)->bounce;
	enum olio_reason reason = OLIO_REASON_NONE;
	u32 own = own_area(b);
	bool found = false;

	for (u32 i = 0; i < b->nr_areas && !found; i++) {
		struct oli_bounce_area *area = &b->area[(own + i) & (b->nr_areas - 1)];

		pthread_mutex_lock(&area->lock);
		found = fit(dev, area, out);
		if (!found && i == 0) {
			reason = fit_new(dev, area, out);
			found = reason == OLIO_REASON_NONE;
		}
		pthread_mutex_unlock(&area->lock);
	}
	return found ? OLIO_REASON_NONE : reason ? reason : OLIO_REASON_BOUNCE_FULL;
}

static enum olio_reason find_room(struct olio_dev *dev, struct oli_bounce *out)
{
	enum olio_reason reason = search(dev, out);

	/* A segment with room may have been given back between the look at the limit and at it. */
	for (int i = 1; i < OLI_BOUNCE_TRIES && reason == OLIO_REASON_BOUNCE_FULL &&
			oli_bounce_can_claim(dev->m);
	     i++)
		reason = search(dev, out);
	return reason;
}

static int no_room(struct olio_dev *dev, enum olio_reason reason, const struct oli_bounce *b)
{
	struct oli_machine *m = dev->m;
	struct oli_bounce_stats st;

	atomic_fetch_add(&oli_dma_root(m)->bounce.failed, 1);
	oli_bounce_stats(m, &st);
	if (reason == OLIO_REASON_BOUNCE_FULL &&
	    !atomic_exchange(&oli_dma_local(m)->bounce->warned, true))
		oli_warn("device %s needs bounce buffers and there is no room for 0x%" PRIx64
			 " bytes: %" PRIu64 " of %" PRIu64 " slots are in use",
			 dev->node->name, b->len, st.used, st.slots);
	if (reason == OLIO_REASON_MASK)
		return oli_refuse(reason, "no bounce slots of %s are below its mask 0x%" PRIx64,
				  dev->node->name, dev->mask);
	return oli_refuse(reason,
			  "a bounce of 0x%" PRIx64 " bytes for %s: %" PRIu64 " of %" PRIu64
			  " slots are in use",
			  b->len, dev->node->name, st.used, st.slots);
}

int oli_bounce_take(struct olio_dev *dev, u64 orig, u64 skew, u64 len, struct oli_bounce *out)
{
	u64 unit =
		dev->granule_mask + 1 < OLI_BOUNCE_SLOT ? OLI_BOUNCE_SLOT : dev->granule_mask + 1;
	struct oli_bounce b = {.skew = skew, .len = len, .orig = orig};
	enum olio_reason reason;

	b.n = (u32)(oli_align_up(skew + len, unit) >> OLI_BOUNCE_SHIFT);
	reason = find_room(dev, &b);
	if (reason != OLIO_REASON_NONE)
		return no_room(dev, reason, &b);
	oli_bounce_count(dev->m, b.n);
	atomic_fetch_add(&dev->bounced, 1);
	*out = b;
	return 0;
}

/* ---- copies ---- */

/* The segment of @pa with its area locked, or NULL. */
static struct oli_bounce_seg *lock_seg(struct oli_machine *m, u64 pa)
{
	struct oli_bounce_local *b = oli_dma_local(m) ? oli_dma_local(m)->bounce : NULL;
	struct oli_bounce_seg *seg;
	_Atomic(struct oli_bounce_seg *) *p;

	if (!b || pa - OLI_PA_LOW >= OLI_PA_LOW_SIZE)
		return NULL;
	p = &b->chunk[(pa - OLI_PA_LOW) >> OLI_BOUNCE_CHUNK_SHIFT];
	seg = atomic_load_explicit(p, memory_order_acquire);
	if (!seg)
		return NULL;
	/* A segment never leaves its area, but it may have been given back meanwhile. */
	pthread_mutex_lock(&seg->area->lock);
	if (seg == atomic_load_explicit(p, memory_order_relaxed))
		return seg;
	pthread_mutex_unlock(&seg->area->lock);
	return NULL;
}

static bool copy_at(struct oli_bounce_seg *seg, u64 pa, struct oli_bounce *out)
{
	u32 slot = (u32)((pa - seg->pa) >> OLI_BOUNCE_SHIFT), first = seg->first[slot];

	if (!(seg->used & mask_of(slot, 1)) || !seg->copy[first].dev)
		return false;
	*out = (struct oli_bounce){
		.seg = seg,
		.first = first,
		.n = seg->copy[first].n,
		.start = seg->pa + ((u64)first << OLI_BOUNCE_SHIFT),
		.cpu = seg->cpu + ((u64)first << OLI_BOUNCE_SHIFT),
		.skew = seg->copy[first].skew,
		.len = seg->copy[first].len,
		.orig = seg->copy[first].orig,
	};
	return true;
}

bool oli_bounce_at(struct oli_machine *m, u64 pa, struct oli_bounce *out)
{
	struct oli_bounce_seg *seg = lock_seg(m, pa);
	bool found;

	if (!seg)
		return false;
	found = copy_at(seg, pa, out);
	pthread_mutex_unlock(&seg->area->lock);
	return found;
}

bool oli_bounce_retire(struct olio_dev *dev, u64 pa, u64 len, struct oli_bounce *out)
{
	struct oli_bounce_seg *seg = lock_seg(dev->m, pa);
	bool found;

	if (!seg)
		return false;
	found = copy_at(seg, pa, out) && seg->copy[out->first].dev == dev &&
		oli_bounce_pa(out) == pa && out->len == len;
	if (found)
		seg->copy[out->first].dev = NULL;
	pthread_mutex_unlock(&seg->area->lock);
	return found;
}

static void give_locked(struct olio_dev *dev, struct oli_bounce_seg *seg, u32 first, u32 n)
{
	struct oli_machine *m = dev->m;

	seg->used &= ~mask_of(first, n);
	atomic_fetch_sub_explicit(&oli_dma_root(m)->bounce.used[m->slot], n, memory_order_relaxed);
	atomic_fetch_sub(&dev->bounced, 1);
	if (!seg->used)
		oli_bounce_shrink(m, seg);
}

void oli_bounce_give(struct olio_dev *dev, const struct oli_bounce *b)
{
	struct oli_bounce_area *area = b->seg->area;

	pthread_mutex_lock(&area->lock);
	give_locked(dev, b->seg, b->first, b->n);
	pthread_mutex_unlock(&area->lock);
}

static void drop_seg(struct olio_dev *dev, struct oli_bounce_seg *seg)
{
	for (u32 i = 0; i < OLI_BOUNCE_SLOTS && seg->used; i++) {
		if (seg->copy[i].dev != dev)
			continue;
		seg->copy[i].dev = NULL;
		give_locked(dev, seg, i, seg->copy[i].n);
	}
}

void oli_bounce_drop(struct olio_dev *dev)
{
	struct oli_bounce_local *b = oli_dma_local(dev->m)->bounce;
	struct oli_bounce_seg *seg, *next;

	for (u32 i = 0; i < b->nr_areas; i++) {
		pthread_mutex_lock(&b->area[i].lock);
		for (seg = b->area[i].segs; seg; seg = next) {
			next = seg->next;
			drop_seg(dev, seg);
		}
		pthread_mutex_unlock(&b->area[i].lock);
	}
}
