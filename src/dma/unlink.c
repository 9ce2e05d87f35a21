// SPDX-License-Identifier: MIT
/*
 * Two-step, the way down: unlink, free, destroy (S4).
 *
 * All is checked before anything is changed, and then nothing can fail. Unlink is
 * strict; destroy is as lazy as the machine, unless copies have to come back first:
 * their slots are somebody else's next, so the device must have forgotten them.
 *
 * What a range to be unlinked must not have are holes, and ends inside something that
 * cannot be cut: a granule, a large table entry, a bounced piece. The usual range,
 * everything, has none of these by what the state tracks, and costs no look-up.
 *
 * offset + len is only made after oli_state_inside().
 */
#include <errno.h>
#include <inttypes.h>

#include "dma/state.h"

/* Is nothing cut in two by a border at @offset? A table entry, or a bounce. */
static bool is_border(const struct oli_state *s, u64 offset)
{
	struct olio_iova at = {s->start.v + offset};
	struct olio_pa start, orig, pa;
	struct oli_pt_leaf leaf;
	u64 len;

	if (!offset || offset == s->top)
		return true;
	if (oli_state_off(s, offset))
		return false;
	if (oli_domain_look(s->dev->domain, at, &leaf))
		return true;
	pa.v = leaf.pa.v + (at.v - leaf.iova.start.v);
	if (leaf.iova.start.v != at.v)
		return false;
	return !s->bounced || !oli_bounce_find(s->dev->m, pa, &start, &len, &orig) ||
	       start.v == pa.v;
}

static int hole_check(const struct oli_state *s, u64 offset, u64 len)
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

static int unlink_check(const struct oli_state *s, u64 offset, u64 len, enum olio_dir dir, u32 attrs)
{
	int err = oli_state_inside(s, offset, len);

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
static u64 new_top(const struct oli_state *s, u64 offset)
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
	struct oli_state *s = oli_state_of(state);
	int err = oli_state_check(s, OLI_SITE);

	if (err)
		return err;
	err = unlink_check(s, offset, len, dir, attrs);
	OLI_STEP(s, OLI_STEP_UNLINK, OLI_NO_RUN, offset, len, dir, attrs, s->bounced, err);
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

static void end(struct oli_state *s)
{
	s->self = (u64)(uintptr_t)s ^ OLI_STATE_ENDED;
}

int olio_iova_free(struct olio_iova_state *state)
{
	struct oli_state *s = oli_state_of(state);
	int err = oli_state_check(s, OLI_SITE);

	if (err)
		return err;
	if (s->linked)
		err = oli_refuse(OLIO_REASON_ALREADY_MAPPED, "0x%" PRIx64 " bytes are linked",
				 s->linked);
	OLI_STEP(s, OLI_STEP_FREE, OLI_NO_RUN, 0, s->size, 0, 0, false, err);
	if (err)
		return err;
	oli_give_empty(s->dev, oli_state_base(s), oli_state_span(s));
	end(s);
	return 0;
}

/* What is linked goes to the CPU, piece by piece. */
static void own_cpu(struct oli_state *s, enum olio_dir dir)
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
	struct oli_state *s = oli_state_of(state);
	int err = oli_state_check(s, OLI_SITE);

	if (err)
		return err;
	err = oli_dir_attrs_check(dir, attrs);
	if (!err && (linked != s->linked || linked != s->top))
		err = oli_refuse(OLIO_REASON_BAD_ARGUMENT,
				 "0x%" PRIx64 " bytes are said to be linked: 0x%" PRIx64
				 " are, the last of them ends at 0x%" PRIx64,
				 linked, s->linked, s->top);
	OLI_STEP(s, OLI_STEP_DESTROY, OLI_NO_RUN, 0, linked, dir, attrs, s->bounced, err);
	if (err)
		return err;
	/* Copies want to be taken out strictly; all else may be forgotten later. */
	if (s->bounced)
		oli_unplace(s->dev, s->start, linked, dir, attrs);
	else if (linked && s->dev->syncs && !(attrs & OLIO_ATTR_SKIP_CPU_SYNC))
		own_cpu(s, dir);
	if (linked && !s->bounced)
		(void)!oli_give_range(s->dev, oli_state_base(s), oli_state_span(s));
	else
		oli_give_empty(s->dev, oli_state_base(s), oli_state_span(s));
	end(s);
	return 0;
}
