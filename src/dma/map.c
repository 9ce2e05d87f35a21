// SPDX-License-Identifier: MIT
/*
 * One-shot: a run in, a DMA address out (S6).
 *
 * What is tracked: nothing but what must exist anyway. The IOVA allocator knows the
 * ranges that are handed out, to the granule; the bounce slots know their copies, to
 * the byte. So an unmap of what is not mapped, of another number of granules, or of
 * another length where a copy is involved is refused, and nothing happens. Another
 * length in the same granules, another direction, or a range of the right size that
 * belongs to a two-step state can only be noticed by the checker, which keeps a list.
 * Without an IOMMU, for software devices, and for the bus addresses of BARs, an
 * unmap has no effect, and cannot be told from one that was made before.
 *
 * A run that is bounced as a whole is one copy, so its length is limited (S6); runs
 * whose ends alone are bounced, and lists, are not.
 *
 * The way of nearly all maps is short: decide, oli_domain_map_new(); and back:
 * oli_domain_release(). Look-ups are made only for devices that are not coherent, or
 * have copies.
 */
#include <errno.h>
#include <inttypes.h>

#include "dma/check.h"
#include "dma/place.h"

int oli_bad_segment(const struct olio_dev *dev, u64 dma, u64 len)
{
	if (len > dev->max_segment)
		return oli_refuse(OLIO_REASON_SEGMENTS,
				  "0x%" PRIx64 " bytes, a segment of %s has at most 0x%" PRIx64, len,
				  dev->node->name, dev->max_segment);
	return oli_refuse(OLIO_REASON_SEGMENTS,
			  "DMA address 0x%" PRIx64 "+0x%" PRIx64
			  " crosses a boundary of %s, which are 0x%" PRIx64 " apart",
			  dma, len, dev->node->name, dev->boundary);
}

/* Without address space: by an offset, or for software devices and peers below a switch by none. */
static int map_offset(struct olio_dev *dev, const struct olio_run *run, enum oli_how how,
		      enum olio_dir dir, u32 attrs, struct olio_iova *dma)
{
	u64 offset = dev->reach == OLI_REACH_DIRECT ? dev->desc->dma_offset : 0;
	struct olio_pa pa = run->pa;
	int err;

	if (how == OLI_HOW_P2P_BUS)
		offset = 0 - dev->desc->bus_offset;
	if (how == OLI_HOW_BOUNCE) {
		err = oli_bounce_map(dev, run->pa, run->len, dir, attrs, &pa);
		if (err)
			return err;
	}
	err = oli_segment_check(dev, pa.v + offset, run->len);
	if (err && how == OLI_HOW_BOUNCE)
		oli_bounce_unmap(dev, pa, run->len, dir, attrs | OLIO_ATTR_SKIP_CPU_SYNC);
	if (err)
		return err;
	if (how == OLI_HOW_DIRECT && dev->syncs && !(attrs & OLIO_ATTR_SKIP_CPU_SYNC))
		oli_own_device(dev, pa, run->len, dir);
	dma->v = pa.v + offset;
	return 0;
}

/* Memory or copy at @pa, as one piece. */
static int map_new(struct olio_dev *dev, struct olio_pa pa, u64 len, u32 prot,
		   struct olio_iova *dma)
{
	u64 size = oli_span(dev, pa, len);
	int err = oli_domain_map_new(dev->domain, (struct olio_pa){pa.v & ~dev->granule_mask}, size,
				     prot, dev->mask, dma);

	if (__builtin_expect(err != 0, 0))
		return oli_domain_refused(dev, err, size);
	dma->v += pa.v & dev->granule_mask;
	return 0;
}

static int map_bounced(struct olio_dev *dev, const struct olio_run *run, enum olio_dir dir,
		       u32 attrs, struct olio_iova *dma)
{
	struct olio_pa copy;
	int err = oli_bounce_map(dev, run->pa, run->len, dir, attrs, &copy);

	if (err)
		return err;
	err = map_new(dev, copy, run->len, oli_prot(dev, dir, attrs, false), dma);
	if (err)
		oli_bounce_unmap(dev, copy, run->len, dir, attrs | OLIO_ATTR_SKIP_CPU_SYNC);
	return err;
}

static int map_ends_bounced(struct olio_dev *dev, const struct olio_run *run, enum olio_dir dir,
			    u32 attrs, struct olio_iova *dma)
{
	u64 size = oli_span(dev, run->pa, run->len);
	struct olio_iova start;
	bool bounced = false;
	int err = oli_domain_alloc(dev->domain, size, dev->mask, &start);

	if (err)
		return oli_domain_refused(dev, err, size);
	dma->v = start.v + (run->pa.v & dev->granule_mask);
	err = oli_place(dev, *dma, run, OLI_HOW_BOUNCE_ENDS, dir, attrs, &bounced);
	if (!err) {
		err = oli_domain_sync(dev->domain, oli_granules(dev, *dma, run->len));
		if (!err)
			return 0;
		oli_unplace(dev, *dma, run->len, dir, attrs | OLIO_ATTR_SKIP_CPU_SYNC);
		err = oli_domain_refused(dev, err, size);
	}
	(void)!oli_domain_free(dev->domain, start, size);
	return err;
}

static int map_translated(struct olio_dev *dev, const struct olio_run *run, enum oli_how how,
			  enum olio_dir dir, u32 attrs, struct olio_iova *dma)
{
	/*
	 * IOVAs are aligned to the next power of two of their size: whether the range
	 * crosses a boundary is known from the offset in its first granule.
	 */
	int err = oli_segment_check(dev, run->pa.v & dev->granule_mask, run->len);

	if (__builtin_expect(err != 0, 0))
		return err;
	if (how == OLI_HOW_BOUNCE)
		return map_bounced(dev, run, dir, attrs, dma);
	if (how == OLI_HOW_BOUNCE_ENDS)
		return map_ends_bounced(dev, run, dir, attrs, dma);
	err = map_new(dev, run->pa, run->len, oli_prot(dev, dir, attrs, how == OLI_HOW_P2P_HOST),
		      dma);
	if (!err && dev->syncs && how == OLI_HOW_DIRECT && !(attrs & OLIO_ATTR_SKIP_CPU_SYNC))
		oli_own_device(dev, run->pa, run->len, dir);
	return err;
}

/* Out of the way of those who have no checker. */
static __attribute__((noinline, cold)) void tell_map(struct olio_dev *dev,
						     const struct olio_run *run, struct oli_op *op,
						     enum oli_how how, const struct olio_iova *dma,
						     int err)
{
	op->family = OLI_ONE_SHOT;
	op->run = *run;
	op->len = run->len;
	if (err) {
		oli_check_map_failed(dev, op, err);
		return;
	}
	op->dma = *dma;
	op->bounced = how == OLI_HOW_BOUNCE || how == OLI_HOW_BOUNCE_ENDS;
	oli_check_mapped(dev, op);
}

int olio_dma_map(struct olio_dev *dev, const struct olio_run *run, enum olio_dir dir,
		 uint32_t attrs, struct olio_iova *dma)
{
	enum oli_how how;
	int err = oli_dev_live(dev) ? oli_decide(dev, run, dir, attrs, &how) : oli_dev_closed(dev);

	if (!err && dev->reach == OLI_REACH_TRANSLATED && how != OLI_HOW_P2P_BUS)
		err = map_translated(dev, run, how, dir, attrs, dma);
	else if (!err)
		err = map_offset(dev, run, how, dir, attrs, dma);
	OLI_CHECK(dev, tell_map(dev, run,
				&(struct oli_op){.dir = dir,
						 .attrs = attrs,
						 .site = __builtin_return_address(0)},
				how, dma, err));
	return err;
}

static int not_mapped(const struct olio_dev *dev, struct olio_iova dma, u64 len)
{
	return oli_refuse(OLIO_REASON_NOT_MAPPED, "0x%" PRIx64 "+0x%" PRIx64 " of %s", dma.v, len,
			  dev->node->name);
}

/* What olio_dma_map() said for a peer below the same switch: nothing was done, nothing is undone. */
static bool is_bus(struct olio_dev *dev, struct olio_iova dma, u64 len)
{
	struct olio_pa first, last;
	u8 node, bar, node2, bar2;

	return oli_bus_to_pa(dev->m, dma.v, &first, &node, &bar) &&
	       oli_bus_to_pa(dev->m, dma.v + (len - 1), &last, &node2, &bar2) && node == node2 &&
	       bar == bar2;
}

#define MOST 3 /* head, middle, tail */

/*
 * What one map has made of [@dma, @dma + @len): pieces in @t. Return: how many; 0 it is not the
 * whole of what one map made.
 */
static int pieces_of(struct olio_dev *dev, struct olio_iova dma, u64 len,
		     struct oli_taken t[MOST])
{
	struct olio_pa start, orig;
	u64 done, room;
	int n = 0;

	for (done = 0; done < len;) {
		struct oli_taken now = {.len = len - done}, *before = n ? &t[n - 1] : NULL;

		if (!oli_at(dev, (struct olio_iova){dma.v + done}, &now.pa, &now.len, &now.copy))
			return 0;
		/* A copy that sticks out on either side belongs to another length. */
		if (now.copy && (!oli_bounce_find(dev->m, now.pa, &start, &room, &orig) ||
				 start.v != now.pa.v || room != now.len))
			return 0;
		done += now.len;
		if (before && !now.copy && !before->copy && before->pa.v + before->len == now.pa.v)
			before->len += now.len;
		else if (n == MOST)
			return 0;
		else
			t[n++] = now;
	}
	return n;
}

static int unmap_slow(struct olio_dev *dev, struct olio_iova dma, u64 len, enum olio_dir dir,
		      u32 attrs)
{
	struct olio_iova_range range = oli_granules(dev, dma, len);
	struct oli_taken t[MOST];
	int n = pieces_of(dev, dma, len, t);
	bool copies = false;

	if (!n)
		return is_bus(dev, dma, len) ? 0 : not_mapped(dev, dma, len);
	for (int i = 0; i < n; i++)
		copies |= t[i].copy;
	if (dev->reach == OLI_REACH_TRANSLATED) {
		if (oli_give_range(dev, range.start, range.last.v - range.start.v + 1))
			return not_mapped(dev, dma, len);
		/* The slots are somebody else's next: the device must have forgotten them. */
		if (copies)
			oli_domain_flush(dev->domain);
	}
	for (int i = 0; i < n; i++)
		oli_give_back(dev, &t[i], dir, attrs);
	return 0;
}

static int unmap(struct olio_dev *dev, struct olio_iova dma, u64 len, enum olio_dir dir, u32 attrs)
{
	struct olio_iova_range range = oli_granules(dev, dma, len);

	if (dev->reach != OLI_REACH_TRANSLATED || dev->syncs || dev->check ||
	    atomic_load_explicit(&dev->bounced, memory_order_relaxed))
		return unmap_slow(dev, dma, len, dir, attrs);
	if (!oli_domain_release(dev->domain, range.start, range.last.v - range.start.v + 1))
		return 0;
	return is_bus(dev, dma, len) ? 0 : not_mapped(dev, dma, len);
}

/* A range, direction and attributes as they come from outside. */
static int args_check(const struct olio_dev *dev, struct olio_iova dma, u64 len, enum olio_dir dir,
		      u32 attrs)
{
	if (!oli_dev_live(dev))
		return oli_dev_closed(dev);
	if (!len || dma.v + (len - 1) < dma.v)
		return oli_refuse(OLIO_REASON_BAD_ARGUMENT, "0x%" PRIx64 "+0x%" PRIx64, dma.v, len);
	return oli_dir_attrs_check(dir, attrs);
}

/* The checker is told what will be answered, before anything is done. */
static __attribute__((noinline, cold)) void tell_unmap(struct olio_dev *dev, struct oli_op *op,
						       int err)
{
	struct oli_taken t[MOST];

	op->family = OLI_ONE_SHOT;
	if (!err && !pieces_of(dev, op->dma, op->len, t) && !is_bus(dev, op->dma, op->len))
		err = -ENOENT;
	oli_check_unmap(dev, op, err);
}

int olio_dma_unmap(struct olio_dev *dev, struct olio_iova dma, uint64_t len, enum olio_dir dir,
		   uint32_t attrs)
{
	int err = args_check(dev, dma, len, dir, attrs);

	OLI_CHECK(dev, tell_unmap(dev,
				  &(struct oli_op){.dma = dma,
						   .len = len,
						   .dir = dir,
						   .attrs = attrs,
						   .site = __builtin_return_address(0)},
				  err));
	return err ? err : unmap(dev, dma, len, dir, attrs);
}

static int sync_part(struct olio_dev *dev, struct olio_iova dma, u64 len, enum olio_dir dir,
		     bool for_cpu)
{
	int err;

	if (!dev->syncs && !atomic_load_explicit(&dev->bounced, memory_order_relaxed))
		return 0;
	err = oli_sync_range(dev, dma, len, dir, for_cpu);
	return err && is_bus(dev, dma, len) ? 0 : err;
}

static int sync_checked(struct olio_dev *dev, struct olio_iova dma, u64 len, enum olio_dir dir,
			bool for_cpu, const void *site)
{
	int err = args_check(dev, dma, len, dir, 0);

	if (!err && __builtin_expect(dev->check != NULL, 0)) {
		struct oli_op op = {.family = OLI_ONE_SHOT, .dma = dma, .len = len, .dir = dir,
				    .site = site};

		oli_check_sync(dev, &op, for_cpu);
		err = sync_part(dev, dma, len, dir, for_cpu);
		oli_check_synced(dev, &op, for_cpu);
		return err;
	}
	return err ? err : sync_part(dev, dma, len, dir, for_cpu);
}

int olio_dma_sync_for_cpu(struct olio_dev *dev, struct olio_iova dma, uint64_t len,
			  enum olio_dir dir)
{
	return sync_checked(dev, dma, len, dir, true, __builtin_return_address(0));
}

int olio_dma_sync_for_device(struct olio_dev *dev, struct olio_iova dma, uint64_t len,
			     enum olio_dir dir)
{
	return sync_checked(dev, dma, len, dir, false, __builtin_return_address(0));
}
