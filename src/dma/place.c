// SPDX-License-Identifier: MIT
/*
 * Runs at places in an address space, piece by piece; see place.h.
 *
 * A device that is behind an IOMMU sees pieces side by side that are not: the middle of
 * a buffer and the copies of its ends, or the copies of 256 KiB each that a long
 * buffer is bounced by. A piece begins where the one before ended, on a granule; in a
 * granule there is never more than one piece, so each is found by looking its
 * addresses up, and nothing has to be remembered: what is at an address is either in a
 * bounce of ours or it is the memory itself.
 *
 * The order on the way in is: copy, map, clean. The device knows no address before the
 * call returns, and a clean that a failure follows would have overwritten what the
 * device wrote through another mapping. On the way out: unmap and flush,
 * then copy back and free, because a slot that is free is somebody else's next, and
 * the device must have forgotten it by then. That is why this way is always strict.
 *
 * Lengths come from callers that have checked them against the range; addresses in
 * an address space end below 2^57 and cannot wrap here.
 */
#include <errno.h>
#include <inttypes.h>

#include "dma/check.h"
#include "dma/place.h"

#define BATCH 16 /* pieces that one flush is for */

int oli_domain_refused(const struct olio_dev *dev, int err, u64 size)
{
	switch (err) {
	case -ENOSPC:
		return oli_refuse(OLIO_REASON_IOVA_FULL,
				  "0x%" PRIx64 " bytes for %s, whose mask is 0x%" PRIx64, size,
				  dev->node->name, dev->mask);
	case -ENOMEM:
		return oli_refuse(OLIO_REASON_NO_MEMORY, "tables for 0x%" PRIx64 " bytes of %s", size,
				  dev->node->name);
	case -EADDRINUSE:
		return oli_refuse(OLIO_REASON_ALREADY_MAPPED, "in 0x%" PRIx64 " bytes of %s", size,
				  dev->node->name);
	case -ENOENT:
		return oli_refuse(OLIO_REASON_NOT_MAPPED, "0x%" PRIx64 " bytes of %s", size,
				  dev->node->name);
	}
	return oli_refuse(OLIO_REASON_BAD_ARGUMENT, "0x%" PRIx64 " bytes in the space of %s", size,
			  dev->node->name);
}

u64 oli_cut_copies(struct oli_cut *cut)
{
	u64 mask = cut->dev->granule_mask, off = cut->pa.v & mask, len = cut->left, max;

	cut->bounced = cut->how == OLI_HOW_BOUNCE;
	if (cut->bounced) {
		max = oli_bounce_max(cut->dev);
		if (max && len > max)
			len = ((off + max) & ~mask) - off;
	} else {
		cut->bounced = off || len <= mask;
		if (off && len > mask + 1 - off)
			len = mask + 1 - off;
		else if (!cut->bounced)
			len &= ~mask;
	}
	return len;
}

static int place_piece(struct olio_dev *dev, struct olio_iova dma, struct olio_pa pa, u64 len,
		       bool bounced, enum olio_dir dir, u32 attrs)
{
	struct olio_pa at = pa;
	int err;

	if (bounced) {
		err = oli_bounce_map(dev, pa, len, dir, attrs, &at);
		if (err)
			return err;
	}
	err = oli_domain_map(dev->domain, oli_granules(dev, dma, len),
			     (struct olio_pa){at.v & ~dev->granule_mask},
			     oli_prot(dev, dir, attrs, false));
	if (!err)
		return 0;
	if (bounced)
		oli_bounce_unmap(dev, at, len, dir, attrs | OLIO_ATTR_SKIP_CPU_SYNC);
	return oli_domain_refused(dev, err, len);
}

/* What is not copied becomes the device's. Last of all: a call that fails has moved nothing. */
static void own_pieces(struct olio_dev *dev, const struct olio_run *run, enum oli_how how,
		       enum olio_dir dir)
{
	struct oli_cut cut = oli_cut(dev, run, how);
	struct olio_pa pa = cut.pa;

	for (u64 len; cut.left; pa = cut.pa) {
		len = oli_cut_next(&cut);
		if (!cut.bounced)
			oli_own_device(dev, pa, len, dir);
	}
}

int oli_place_pieces(struct olio_dev *dev, struct olio_iova dma, const struct olio_run *run,
		     enum oli_how how, enum olio_dir dir, u32 attrs, bool *bounced)
{
	struct oli_cut cut = oli_cut(dev, run, how);
	struct olio_pa pa;
	u64 done = 0, len;
	int err;

	do {
		pa = cut.pa;
		len = oli_cut_next(&cut);
		err = place_piece(dev, (struct olio_iova){dma.v + done}, pa, len, cut.bounced, dir,
				  attrs);
		if (err) {
			if (done)
				oli_unplace(dev, dma, done, dir, attrs | OLIO_ATTR_SKIP_CPU_SYNC);
			return err;
		}
		*bounced |= cut.bounced;
		done += len;
	} while (cut.left);
	if (dev->syncs && !(attrs & OLIO_ATTR_SKIP_CPU_SYNC))
		own_pieces(dev, run, how, dir);
	return 0;
}

static bool at_direct(struct olio_dev *dev, struct olio_iova dma, struct olio_pa *pa, u64 *len)
{
	struct oli_phys phys;

	if (dev->reach == OLI_REACH_DIRECT) {
		if (dma.v < dev->desc->dma_offset)
			return false;
		dma.v -= dev->desc->dma_offset;
	}
	pa->v = dma.v;
	if (!oli_phys_find(dev->m, *pa, &phys) || phys.kind == OLI_PHYS_FILE)
		return false;
	if (*len > phys.run)
		*len = phys.run;
	return true;
}

static bool at_translated(struct olio_dev *dev, struct olio_iova dma, struct olio_pa *pa, u64 *len)
{
	struct oli_pt_leaf leaf;
	u64 room;

	if (oli_domain_look(dev->domain, dma, &leaf))
		return false;
	pa->v = leaf.pa.v + (dma.v - leaf.iova.start.v);
	room = leaf.iova.last.v - dma.v;
	if (*len - 1 > room)
		*len = room + 1;
	return true;
}

bool oli_at(struct olio_dev *dev, struct olio_iova dma, struct olio_pa *pa, u64 *len, bool *copy)
{
	struct olio_pa start, orig;
	u64 room, want = *len;

	*copy = false;
	if (dev->reach == OLI_REACH_TRANSLATED ? !at_translated(dev, dma, pa, len)
					       : !at_direct(dev, dma, pa, len))
		return false;
	if (pa->v - OLI_PA_LOW >= OLI_PA_LOW_SIZE)
		return true;
	/* Copies alone are here for us: not their padding, free slots, olio_dma_alloc()'s memory. */
	*copy = oli_bounce_find(dev->m, *pa, &start, &room, &orig);
	if (!*copy)
		return false;
	/* A copy is mapped as a whole, with however many entries. */
	room -= pa->v - start.v;
	*len = want < room ? want : room;
	return true;
}

void oli_give_back(struct olio_dev *dev, const struct oli_taken *t, enum olio_dir dir, u32 attrs)
{
	if (t->copy)
		oli_bounce_unmap(dev, t->pa, t->len, dir, attrs);
	else if (dev->syncs && !(attrs & OLIO_ATTR_SKIP_CPU_SYNC))
		oli_own_cpu(dev, t->pa, t->len, dir);
}

void oli_unplace(struct olio_dev *dev, struct olio_iova dma, u64 len, enum olio_dir dir, u32 attrs)
{
	struct oli_taken take[BATCH];
	u64 done, n;

	if (!dev->syncs && !atomic_load_explicit(&dev->bounced, memory_order_relaxed)) {
		(void)oli_domain_unmap(dev->domain, oli_granules(dev, dma, len));
		return;
	}
	for (; len; dma.v += done, len -= done) {
		for (n = done = 0; n < BATCH && done < len; done += take[n++].len) {
			take[n].len = len - done;
			/* It was mapped when the caller looked: what is not there now is skipped. */
			if (!oli_at(dev, (struct olio_iova){dma.v + done}, &take[n].pa, &take[n].len,
				    &take[n].copy))
				break;
		}
		if (!done)
			return;
		(void)oli_domain_unmap(dev->domain, oli_granules(dev, dma, done));
		for (u64 i = 0; i < n; i++)
			oli_give_back(dev, &take[i], dir, attrs);
	}
}

int oli_give_range(struct olio_dev *dev, struct olio_iova start, u64 size)
{
	int kept = __builtin_expect(dev->check != NULL, 0) ? oli_check_keep(dev, start, size) : 0;

	if (kept < 0)
		return kept;
	if (!kept)
		return oli_domain_release(dev->domain, start, size);
	(void)oli_domain_unmap(dev->domain,
			       (struct olio_iova_range){start, {start.v + (size - 1)}});
	return 0;
}

void oli_give_empty(struct olio_dev *dev, struct olio_iova start, u64 size)
{
	if (__builtin_expect(dev->check != NULL, 0) && oli_check_keep(dev, start, size))
		return;
	(void)!oli_domain_free(dev->domain, start, size);
}

void oli_sync_piece(struct olio_dev *dev, struct olio_pa pa, u64 len, bool copy, enum olio_dir dir,
		    bool for_cpu)
{
	if (copy) {
		if (dir & (for_cpu ? OLIO_FROM_DEVICE : OLIO_TO_DEVICE))
			oli_bounce_sync(dev, pa, len, for_cpu);
	} else if (dev->syncs && for_cpu) {
		oli_own_cpu(dev, pa, len, dir);
	} else if (dev->syncs) {
		oli_own_device(dev, pa, len, dir);
	}
}

int oli_sync_range(struct olio_dev *dev, struct olio_iova dma, u64 len, enum olio_dir dir,
		   bool for_cpu)
{
	struct olio_pa pa;
	u64 done, part;
	bool copy;

	/* All of it is there, or nothing is done. */
	for (int act = 0; act < 2; act++) {
		for (done = 0; done < len; done += part) {
			part = len - done;
			if (!oli_at(dev, (struct olio_iova){dma.v + done}, &pa, &part, &copy))
				return oli_refuse(OLIO_REASON_NOT_MAPPED,
						  "DMA address 0x%" PRIx64 " of %s", dma.v + done,
						  dev->node->name);
			if (act)
				oli_sync_piece(dev, pa, part, copy, dir, for_cpu);
		}
	}
	return 0;
}
