// SPDX-License-Identifier: MIT
/*
 * Two-step: reserve IOVAs, link runs into them, sync once, use, unlink (S1 - S4).
 *
 * A state is 80 bytes of the caller's. What is tracked there exactly: where it lies (a
 * copy is refused), of which opening of which device it is, how many bytes are
 * linked, and where the last of them ends. From these two numbers follows whether
 * the links are a prefix without holes, which makes the usual end, destroy, a
 * comparison. What the tables know is asked there: whether a place is linked already,
 * whether a range to be unlinked has a hole, and whether a bounce or a large table
 * entry sticks out of it. Not tracked is where one link ends and the next begins: a
 * part of a link may be unlinked where the tables have a border. Direction and
 * attributes are the caller's to repeat; only the checker remembers them.
 *
 *   offset   0 … size; the first byte lies (start & granule mask) into its granule
 *   top      end of the highest link. If it lies inside a granule, nothing can be
 *            linked behind it, nor a partial end anywhere else
 *
 * Sizes come from outside: offset + len is only made after oli_range_inside().
 */
#include <errno.h>
#include <inttypes.h>

#include "dma/state.h"

/* What is no state: an ended one says so, a copy says where it was made. Nothing of it is trusted. */
static int no_state(const struct oli_state *s, const void *site)
{
	u64 says = s->self ^ OLI_STATE_MAGIC;

	oli_check_bad_state(s, says >> 48 ? NULL : (void *)(uintptr_t)says, site);
	if (s->self == ((u64)(uintptr_t)s ^ OLI_STATE_ENDED))
		return oli_refuse(OLIO_REASON_BAD_STATE, "this state was freed or destroyed");
	return oli_refuse(OLIO_REASON_BAD_STATE, "this state was never allocated, or was copied");
}

int oli_state_bad(const struct oli_state *s, const void *site)
{
	if (!oli_is_state(s))
		return no_state(s, site);
	oli_check_bad_state(s, NULL, site);
	return oli_refuse(OLIO_REASON_BAD_STATE, "its device %s was closed", s->dev->node->name);
}

int oli_state_outside(const struct oli_state *s, u64 offset, u64 len)
{
	return oli_refuse(len ? OLIO_REASON_BEYOND_END : OLIO_REASON_BAD_ARGUMENT,
			  "offset 0x%" PRIx64 "+0x%" PRIx64 " of a state of 0x%" PRIx64 " bytes",
			  offset, len, s->size);
}

static int alloc(struct olio_dev *dev, struct oli_state *s, struct olio_pa phys, u64 size)
{
	struct olio_iova start;
	u64 off;
	int err;

	if (!oli_dev_live(dev))
		return oli_dev_closed(dev);
	if (!size)
		return oli_refuse(OLIO_REASON_BAD_ARGUMENT, "0 bytes for %s", dev->node->name);
	if (dev->reach != OLI_REACH_TRANSLATED)
		return oli_refuse(OLIO_REASON_NO_IOMMU, "%s: use olio_dma_map()", dev->node->name);
	off = phys.v & dev->granule_mask;
	if (size > (1ull << 63))
		return oli_refuse(OLIO_REASON_OVERFLOW, "0x%" PRIx64 " bytes", size);
	size = oli_align_up(off + size, dev->granule_mask + 1);
	err = oli_domain_alloc(dev->domain, size, dev->mask, &start);
	if (err)
		return oli_domain_refused(dev, err, size);
	s->dev = dev;
	s->opens = dev->opens;
	s->start.v = start.v + off;
	s->linked = s->top = 0;
	s->bounced = false;
	s->self = (u64)(uintptr_t)s ^ OLI_STATE_MAGIC;
	return 0;
}

int olio_iova_alloc(struct olio_dev *dev, struct olio_iova_state *state, struct olio_pa phys,
		    uint64_t size)
{
	struct oli_state *s = oli_state_of(state);
	int err;

	*state = (struct olio_iova_state){0};
	err = alloc(dev, s, phys, size);
	s->size = err ? 0 : size;
	if (!err)
		OLI_STEP(s, OLI_STEP_ALLOC, OLI_NO_RUN, 0, size, 0, 0, false, 0);
	return err;
}

struct olio_iova olio_iova_start(const struct olio_iova_state *state)
{
	return oli_is_state(oli_state_of(state)) ? oli_state_of(state)->start : (struct olio_iova){0};
}

uint64_t olio_iova_size(const struct olio_iova_state *state)
{
	return oli_is_state(oli_state_of(state)) ? oli_state_of(state)->size : 0;
}

/* May @run lie at @offset? Only the first may begin inside a granule, only the last end there. */
static inline __attribute__((always_inline)) int fit(const struct oli_state *s,
						     const struct olio_run *run, u64 offset)
{
	u64 mask = s->dev->granule_mask, end = offset + run->len;

	if (offset && (oli_state_off(s, offset) || run->pa.v & mask))
		return oli_refuse(OLIO_REASON_GAP,
				  "a run at 0x%" PRIx64 " cannot be linked at offset 0x%" PRIx64
				  ": granules are 0x%" PRIx64,
				  run->pa.v, offset, mask + 1);
	if ((run->pa.v & mask) != oli_state_off(s, offset))
		return oli_refuse(OLIO_REASON_OFFSET,
				  "a run at 0x%" PRIx64 ", allocated for 0x%" PRIx64
				  " modulo the granule",
				  run->pa.v, oli_state_off(s, 0));
	if ((s->top && oli_state_off(s, s->top) && offset >= s->top) ||
	    (oli_state_off(s, end) && end < s->top))
		return oli_refuse(OLIO_REASON_GAP,
				  "offset 0x%" PRIx64 "+0x%" PRIx64
				  " would leave a partial granule before another link",
				  offset, run->len);
	return 0;
}

/* @how was decided. */
static inline __attribute__((always_inline)) int link_run(struct oli_state *s,
							  const struct olio_run *run, u64 offset,
							  enum oli_how how, enum olio_dir dir,
							  u32 attrs, bool *bounced)
{
	int err = fit(s, run, offset);

	if (!err)
		err = oli_place(s->dev, (struct olio_iova){s->start.v + offset}, run, how, dir,
				attrs, bounced);
	if (err)
		return err;
	s->bounced |= *bounced;
	s->linked += run->len;
	if (s->top < offset + run->len)
		s->top = offset + run->len;
	return 0;
}

/* All that is not the usual run; or the refusal. */
static __attribute__((noinline)) int link_any(struct oli_state *s, const struct olio_run *run,
					      u64 offset, enum olio_dir dir, u32 attrs,
					      bool *bounced)
{
	enum oli_how how;
	int err = oli_decide_any(s->dev, run, dir, attrs, &how);

	if (err)
		return err;
	if (how == OLI_HOW_P2P_BUS)
		return oli_refuse(OLIO_REASON_P2P_BUS, "%s: use olio_dma_map()",
				  s->dev->node->name);
	return link_run(s, run, offset, how, dir, attrs, bounced);
}

int olio_iova_link(struct olio_iova_state *state, const struct olio_run *run, uint64_t offset,
		   enum olio_dir dir, uint32_t attrs)
{
	struct oli_state *s = oli_state_of(state);
	bool bounced = false;
	int err = oli_state_check(s, OLI_SITE);

	if (__builtin_expect(err != 0, 0))
		return err;
	err = oli_state_inside(s, offset, run->len);
	if (!err && __builtin_expect(oli_goes_direct(s->dev, run, dir, attrs), 1))
		err = link_run(s, run, offset, OLI_HOW_DIRECT, dir, attrs, &bounced);
	else if (!err)
		err = link_any(s, run, offset, dir, attrs, &bounced);
	OLI_STEP(s, OLI_STEP_LINK, *run, offset, run->len, dir, attrs, bounced, err);
	return err;
}

int olio_iova_sync(struct olio_iova_state *state, uint64_t offset, uint64_t len)
{
	struct oli_state *s = oli_state_of(state);
	int err = oli_state_check(s, OLI_SITE);

	if (err)
		return err;
	err = oli_state_inside(s, offset, len);
	if (!err) {
		err = oli_domain_sync(s->dev->domain,
				      oli_granules(s->dev, (struct olio_iova){s->start.v + offset},
						   len));
		err = err ? oli_domain_refused(s->dev, err, len) : 0;
	}
	OLI_STEP(s, OLI_STEP_SYNC, OLI_NO_RUN, offset, len, 0, 0, s->bounced, err);
	return err;
}
