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

#include "dma/check.h"
#include "dma/place.h"

#define MAGIC 0x6f6c696f696f7661ull
#define ENDED 0x6f6c696f656e6465ull

struct state {
	u64 self; /* its own address ^ MAGIC, or ^ ENDED; anything else: no state */
	struct olio_dev *dev;
	struct olio_iova start;
	u64 size;
	u64 linked, top;
	u32 opens;   /* of the device, when it was made */
	u32 bounced; /* a link was */
};
_Static_assert(sizeof(struct state) <= sizeof(struct olio_iova_state), "a state fits");

static struct state *state_of(const struct olio_iova_state *s)
{
	return (struct state *)(uintptr_t)s->priv;
}

static bool is_state(const struct state *s)
{
	return s->self == ((u64)(uintptr_t)s ^ MAGIC);
}

/* What is no state: an ended one says so, a copy says where it was made. Nothing of it is trusted. */
static int bad_state(const struct state *s, const void *site)
{
	u64 says = s->self ^ MAGIC;

	oli_check_bad_state(s, says >> 48 ? NULL : (void *)(uintptr_t)says, site);
	if (s->self == ((u64)(uintptr_t)s ^ ENDED))
		return oli_refuse(OLIO_REASON_BAD_STATE, "this state was freed or destroyed");
	return oli_refuse(OLIO_REASON_BAD_STATE, "this state was never allocated, or was copied");
}

/* Return: 0, or bad-state. */
static int state_check(const struct state *s, const void *site)
{
	if (!is_state(s))
		return bad_state(s, site);
	if (oli_dev_live(s->dev) && s->dev->opens == s->opens)
		return 0;
	oli_check_bad_state(s, NULL, site);
	return oli_refuse(OLIO_REASON_BAD_STATE, "its device %s was closed", s->dev->node->name);
}

static u64 granule_off(const struct state *s, u64 offset)
{
	return (s->start.v + offset) & s->dev->granule_mask;
}

static struct olio_iova base(const struct state *s)
{
	return (struct olio_iova){s->start.v & ~s->dev->granule_mask};
}

static u64 span(const struct state *s)
{
	return oli_span(s->dev, (struct olio_pa){s->start.v}, s->size);
}

static const struct olio_run no_run;

#define SITE __builtin_return_address(0)

/* Tell the checker, if there is one, about a call that begins at @offset_ of a state. */
#define STEP(s, step, run_, offset_, len_, dir_, attrs_, bounced_, err)                            \
	OLI_CHECK((s)->dev, tell_checker((s), step,                                                \
					 &(struct oli_op){.family = OLI_TWO_STEP,                  \
							  .dma = {(s)->start.v + (offset_)},       \
							  .len = len_,                             \
							  .run = *(run_),                             \
							  .dir = dir_,                             \
							  .attrs = attrs_,                         \
							  .bounced = bounced_,                     \
							  .object = (s),                           \
							  .site = SITE},                           \
					 err))

static void tell_checker(struct state *s, enum oli_two_step step, const struct oli_op *op, int err)
{
	oli_check_step(s->dev, step, op, op->dma.v - s->start.v, err);
}

static int alloc(struct olio_dev *dev, struct state *s, struct olio_pa phys, u64 size)
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
	s->self = (u64)(uintptr_t)s ^ MAGIC;
	return 0;
}

int olio_iova_alloc(struct olio_dev *dev, struct olio_iova_state *state, struct olio_pa phys,
		    uint64_t size)
{
	struct state *s = state_of(state);
	int err;

	*state = (struct olio_iova_state){0};
	err = alloc(dev, s, phys, size);
	s->size = err ? 0 : size;
	if (!err)
		STEP(s, OLI_STEP_ALLOC, &no_run, 0, size, 0, 0, false, 0);
	return err;
}

struct olio_iova olio_iova_start(const struct olio_iova_state *state)
{
	return is_state(state_of(state)) ? state_of(state)->start : (struct olio_iova){0};
}

uint64_t olio_iova_size(const struct olio_iova_state *state)
{
	return is_state(state_of(state)) ? state_of(state)->size : 0;
}

/* May @run lie at @offset? Only the first may begin inside a granule, only the last end there. */
static int fit(const struct state *s, const struct olio_run *run, u64 offset)
{
	u64 mask = s->dev->granule_mask, end = offset + run->len;

	if (offset && (granule_off(s, offset) || run->pa.v & mask))
		return oli_refuse(OLIO_REASON_GAP,
				  "a run at 0x%" PRIx64 " cannot be linked at offset 0x%" PRIx64
				  ": granules are 0x%" PRIx64,
				  run->pa.v, offset, mask + 1);
	if ((run->pa.v & mask) != granule_off(s, offset))
		return oli_refuse(OLIO_REASON_OFFSET,
				  "a run at 0x%" PRIx64 ", allocated for 0x%" PRIx64
				  " modulo the granule",
				  run->pa.v, granule_off(s, 0));
	if ((s->top && granule_off(s, s->top) && offset >= s->top) ||
	    (granule_off(s, end) && end < s->top))
		return oli_refuse(OLIO_REASON_GAP,
				  "offset 0x%" PRIx64 "+0x%" PRIx64
				  " would leave a partial granule before another link",
				  offset, run->len);
	return 0;
}

static int inside(const struct state *s, u64 offset, u64 len)
{
	if (len && oli_range_inside(offset, len, 0, s->size))
		return 0;
	return oli_refuse(len ? OLIO_REASON_BEYOND_END : OLIO_REASON_BAD_ARGUMENT,
			  "offset 0x%" PRIx64 "+0x%" PRIx64 " of a state of 0x%" PRIx64 " bytes",
			  offset, len, s->size);
}

static int link_run(struct state *s, const struct olio_run *run, u64 offset, enum olio_dir dir,
		    u32 attrs, bool *bounced)
{
	enum oli_how how;
	int err = inside(s, offset, run->len);

	if (!err)
		err = oli_decide(s->dev, run, dir, attrs, &how);
	if (err)
		return err;
	if (how == OLI_HOW_P2P_BUS)
		return oli_refuse(OLIO_REASON_P2P_BUS, "%s: use olio_dma_map()",
				  s->dev->node->name);
	err = fit(s, run, offset);
	if (!err)
		err = oli_place(s->dev, (struct olio_iova){s->start.v + offset}, run, how, dir,
				attrs, bounced);
	return err;
}

int olio_iova_link(struct olio_iova_state *state, const struct olio_run *run, uint64_t offset,
		   enum olio_dir dir, uint32_t attrs)
{
	struct state *s = state_of(state);
	bool bounced = false;
	int err = state_check(s, SITE);

	if (err)
		return err;
	err = link_run(s, run, offset, dir, attrs, &bounced);
	if (!err) {
		s->bounced |= bounced;
		s->linked += run->len;
		if (s->top < offset + run->len)
			s->top = offset + run->len;
	}
	STEP(s, OLI_STEP_LINK, run, offset, run->len, dir, attrs, bounced, err);
	return err;
}

int olio_iova_sync(struct olio_iova_state *state, uint64_t offset, uint64_t len)
{
	struct state *s = state_of(state);
	int err = state_check(s, SITE);

	if (err)
		return err;
	err = inside(s, offset, len);
	if (!err) {
		err = oli_domain_sync(s->dev->domain,
				      oli_granules(s->dev, (struct olio_iova){s->start.v + offset},
						   len));
		err = err ? oli_domain_refused(s->dev, err, len) : 0;
	}
	STEP(s, OLI_STEP_SYNC, &no_run, offset, len, 0, 0, s->bounced, err);
	return err;
}

/* Is nothing cut in two by a border at @offset? A table entry, or a bounce. */
static bool is_border(const struct state *s, u64 offset)
{
	struct olio_iova at = {s->start.v + offset};
	struct olio_pa start, orig, pa;
	struct oli_pt_leaf leaf;
	u64 len;

	if (!offset || offset == s->top)
		return true;
	if (granule_off(s, offset))
		return false;
	if (oli_domain_look(s->dev->domain, at, &leaf))
		return true;
	pa.v = leaf.pa.v + (at.v - leaf.iova.start.v);
	if (leaf.iova.start.v != at.v)
		return false;
	return !s->bounced || !oli_bounce_find(s->dev->m, pa, &start, &len, &orig) ||
	       start.v == pa.v;
}

static int hole_check(const struct state *s, u64 offset, u64 len)
{
	struct oli_pt_leaf leaf;
	u64 at = s->start.v + offset, last = at + (len - 1);

	for (;; at = leaf.iova.last.v + 1) {
		if (oli_domain_look(s->dev->domain, (struct olio_iova){at}, &leaf))
			return oli_refuse(OLIO_REASON_NOT_MAPPED, "nothing is linked at offset 0x%" PRIx64,
					  at - s->start.v);
		if (leaf.iova.last.v >= last)
			return 0;
	}
}

static int unlink_check(const struct state *s, u64 offset, u64 len, enum olio_dir dir, u32 attrs)
{
	int err = inside(s, offset, len);

	if (!err)
		err = oli_dir_attrs_check(dir, attrs);
	if (err)
		return err;
	if (offset + len > s->top)
		return oli_refuse(OLIO_REASON_NOT_MAPPED,
				  "offset 0x%" PRIx64 "+0x%" PRIx64 ": the last link ends at 0x%" PRIx64,
				  offset, len, s->top);
	if (!is_border(s, offset) || !is_border(s, offset + len))
		return oli_refuse(OLIO_REASON_BAD_ARGUMENT,
				  "offset 0x%" PRIx64 "+0x%" PRIx64
				  " begins or ends inside a table entry, or a bounced piece",
				  offset, len);
	return s->linked == s->top ? 0 : hole_check(s, offset, len);
}

/* After the highest links, those from @offset on, went: what is the highest now? */
static u64 new_top(const struct state *s, u64 offset)
{
	u64 at = s->start.v + offset, granule = s->dev->granule_mask + 1;
	struct oli_pt_leaf leaf;

	/* Only the top can end inside a granule. What is passed here is passed once. */
	while (at > s->start.v &&
	       oli_domain_look(s->dev->domain, (struct olio_iova){at - 1}, &leaf))
		at = at - s->start.v > granule ? (at - 1) & ~(granule - 1) : s->start.v;
	return at - s->start.v;
}

int olio_iova_unlink(struct olio_iova_state *state, uint64_t offset, uint64_t len,
		     enum olio_dir dir, uint32_t attrs)
{
	struct state *s = state_of(state);
	int err = state_check(s, SITE);

	if (err)
		return err;
	err = unlink_check(s, offset, len, dir, attrs);
	STEP(s, OLI_STEP_UNLINK, &no_run, offset, len, dir, attrs, s->bounced, err);
	if (err)
		return err;
	oli_unplace(s->dev, (struct olio_iova){s->start.v + offset}, len, dir, attrs);
	s->linked -= len;
	if (offset + len == s->top)
		s->top = s->linked == offset ? offset : new_top(s, offset);
	if (!s->linked)
		s->bounced = false;
	return 0;
}

static void end(struct state *s)
{
	s->self = (u64)(uintptr_t)s ^ ENDED;
}

int olio_iova_free(struct olio_iova_state *state)
{
	struct state *s = state_of(state);
	int err = state_check(s, SITE);

	if (err)
		return err;
	if (s->linked)
		err = oli_refuse(OLIO_REASON_ALREADY_MAPPED, "0x%" PRIx64 " bytes are linked",
				 s->linked);
	STEP(s, OLI_STEP_FREE, &no_run, 0, s->size, 0, 0, false, err);
	if (err)
		return err;
	oli_give_empty(s->dev, base(s), span(s));
	end(s);
	return 0;
}

/* What is linked goes to the CPU, piece by piece. */
static void own_cpu(struct state *s, enum olio_dir dir)
{
	struct olio_pa pa;
	bool copy;

	for (u64 done = 0, len; done < s->linked; done += len) {
		len = s->linked - done;
		if (!oli_at(s->dev, (struct olio_iova){s->start.v + done}, &pa, &len, &copy))
			return;
		oli_own_cpu(s->dev, pa, len, dir);
	}
}

int olio_iova_destroy(struct olio_iova_state *state, uint64_t linked, enum olio_dir dir,
		      uint32_t attrs)
{
	struct state *s = state_of(state);
	int err = state_check(s, SITE);

	if (err)
		return err;
	err = oli_dir_attrs_check(dir, attrs);
	if (!err && (linked != s->linked || linked != s->top))
		err = oli_refuse(OLIO_REASON_BAD_ARGUMENT,
				 "0x%" PRIx64 " bytes are said to be linked: 0x%" PRIx64
				 " are, the last of them ends at 0x%" PRIx64,
				 linked, s->linked, s->top);
	STEP(s, OLI_STEP_DESTROY, &no_run, 0, linked, dir, attrs, s->bounced, err);
	if (err)
		return err;
	/* Copies want to be taken out strictly; all else may be forgotten later. */
	if (s->bounced)
		oli_unplace(s->dev, s->start, linked, dir, attrs);
	else if (linked && s->dev->syncs && !(attrs & OLIO_ATTR_SKIP_CPU_SYNC))
		own_cpu(s, dir);
	if (linked && !s->bounced)
		(void)!oli_give_range(s->dev, base(s), span(s));
	else
		oli_give_empty(s->dev, base(s), span(s));
	end(s);
	return 0;
}
