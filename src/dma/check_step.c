// SPDX-License-Identifier: MIT
/*
 * Two-step mappings: states, their links, and what is wrong with the order of calls.
 *
 * A state is known by its place, since it may not be copied. What ended is remembered
 * for a while, so that a call with it can say where that was. The list of states is the
 * process's and not a machine's: a call with something that is no state knows
 * neither machine nor device.
 *
 * Offsets and lengths that the mapping code has accepted are inside the state, which
 * is inside its address space: sums do not wrap. Of refused ones nothing is added up.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/fault.h"
#include "dma/check_int.h"

#define ENDED 256
#define RANGE "0x%" PRIx64 "+0x%" PRIx64

struct state {
	const void *object;
	struct oli_machine *m;
	struct olio_dev *dev;
	u64 dma, size;
	const void *site, *ended;
	bool closed; /* it ended with its device */
	bool long_said;
};

/* After the checker's lock. */
static pthread_mutex_t states_lock = PTHREAD_MUTEX_INITIALIZER;
static struct state *states;
static u32 nr_states, room_states, next_ended;
static struct state ended[ENDED];

static struct state *find(const void *object)
{
	for (u32 i = 0; i < nr_states; i++)
		if (states[i].object == object)
			return &states[i];
	return NULL;
}

static struct state *find_ended(const void *object)
{
	for (u32 i = 1; i <= ENDED; i++) {
		struct state *s = &ended[(next_ended - i) % ENDED];

		if (s->dev && s->object == object)
			return s;
	}
	return NULL;
}

static void end(struct state *s, const void *site, bool closed)
{
	s->ended = site;
	s->closed = closed;
	ended[next_ended++ % ENDED] = *s;
	*s = states[--nr_states];
}

/* ---- links ---- */

static bool is_link(const struct oli_track *t, const void *object)
{
	return t->family == OLI_TWO_STEP && t->object == object;
}

/* A link of @object that touches the range, or NULL. */
static struct oli_track *link_in(struct olio_dev *dev, const void *object, u64 dma, u64 len)
{
	struct oli_track *t;
	u32 pos = 0;

	while ((t = oli_shelf_next(&dev->check->by_dma, dma, len, &pos)))
		if (is_link(t, object))
			return t;
	return NULL;
}

static u64 linked(struct olio_dev *dev, const struct state *s)
{
	struct oli_track *t;
	u32 pos = 0;
	u64 sum = 0;

	while ((t = oli_shelf_next(&dev->check->by_dma, s->dma, s->size, &pos)))
		sum += is_link(t, s->object) ? t->len : 0;
	return sum;
}

/* One segment for the device is all that is linked side by side (class 18). */
static void segment_check(struct olio_dev *dev, struct state *s, const struct oli_track *t,
			  const void *site)
{
	u64 start = t->dma, last = t->dma + (t->len - 1);
	struct oli_track *side;

	while (start > s->dma && (side = link_in(dev, s->object, start - 1, 1)))
		start = side->dma;
	while ((side = link_in(dev, s->object, last + 1, 1)))
		last = side->dma + (side->len - 1);
	if (s->long_said)
		return;
	s->long_said = true;
	if (last - start >= dev->max_segment)
		oli_misuse(dev, 18, site, s->site,
			   "links side by side are one segment of 0x%" PRIx64
			   " bytes, %s takes 0x%" PRIx64,
			   last - start + 1, dev->node->name, dev->max_segment);
	else if (dev->boundary && (start ^ last) & ~(dev->boundary - 1))
		oli_misuse(dev, 18, site, s->site,
			   "links side by side, 0x%" PRIx64 " to 0x%" PRIx64
			   ", cross a boundary of %s, which are 0x%" PRIx64 " apart",
			   start, last, dev->node->name, dev->boundary);
	else
		s->long_said = false;
}

static void step_link(struct olio_dev *dev, struct state *s, const struct oli_op *op, u64 offset,
		      int err)
{
	struct oli_track *t;

	if (err == -EBUSY) {
		t = link_in(dev, op->object, op->dma.v, op->len);
		oli_misuse(dev, 11, op->site, t ? t->site : s->site,
			   "link at offset 0x%" PRIx64 ", where something is linked", offset);
	} else if (err == -ERANGE) {
		oli_misuse(dev, 11, op->site, s->site,
			   "link of 0x%" PRIx64 " bytes at offset 0x%" PRIx64 ", but 0x%" PRIx64
			   " were allocated",
			   op->len, offset, s->size);
	}
	if (err) {
		struct oli_check_local *l = dev->check->local;

		l->failed[l->next_failed++ % OLI_FAILED] = (struct oli_failed){.dev = dev,
									       .dma = op->dma.v,
									       .len = op->len,
									       .tick = ++l->tick,
									       .object = op->object,
									       .site = op->site};
		return;
	}
	t = oli_track_new(dev, op);
	if (!t)
		return;
	segment_check(dev, s, t, op->site);
	oli_mem_mapped(t);
	oli_own_mapped(t);
}

static void step_sync(struct olio_dev *dev, const struct oli_op *op)
{
	struct oli_track *t;
	u32 pos = 0;

	while ((t = oli_shelf_next(&dev->check->by_dma, op->dma.v, op->len, &pos)))
		if (is_link(t, op->object))
			t->synced = true;
}

/* The links in the range go; one that is cut keeps what is outside. */
static void unlink_range(struct olio_dev *dev, const struct oli_op *op)
{
	struct oli_track *t;

	while ((t = link_in(dev, op->object, op->dma.v, op->len))) {
		struct oli_op left = {.family = t->family,
				      .dir = t->dir,
				      .attrs = t->attrs,
				      .bounced = t->bounced,
				      .object = t->object,
				      .site = t->site};
		u64 end = op->dma.v + op->len, tail = t->dma + t->len;
		const struct oli_track was = *t;
		bool synced = t->synced;

		oli_terms_check(t, op);
		oli_own_unmap(t, op->attrs, op->site);
		oli_track_end(t, op->site, false);
		for (int part = 0; part < 2; part++) {
			u64 from = part ? end : was.dma, to = part ? tail : op->dma.v;

			if (from >= to || from < was.dma)
				continue;
			left.dma.v = from;
			left.len = to - from;
			left.run = was.run;
			left.run.pa.v += from - was.dma;
			left.run.len = left.len;
			t = oli_track_new(dev, &left);
			if (t)
				t->synced = synced;
		}
	}
}

static void step_unlink(struct olio_dev *dev, struct state *s, const struct oli_op *op, u64 offset,
			int err)
{
	if (err == -ENOENT || err == -EINVAL || err == -ERANGE)
		oli_misuse(dev, 11, op->site, s->site,
			   "unlink of 0x%" PRIx64 " bytes at offset 0x%" PRIx64
			   ", which is not what was linked",
			   op->len, offset);
	if (!err)
		unlink_range(dev, op);
}

static void step_end(struct olio_dev *dev, enum oli_two_step step, struct state *s,
		     const struct oli_op *op, int err)
{
	struct oli_op all = *op;

	if (err && step == OLI_STEP_FREE)
		oli_misuse(dev, 11, op->site, s->site,
			   "olio_iova_free(), but 0x%" PRIx64 " bytes are linked", linked(dev, s));
	else if (err)
		oli_misuse(dev, 11, op->site, s->site,
			   "olio_iova_destroy() with 0x%" PRIx64 " bytes, but 0x%" PRIx64
			   " are linked",
			   op->len, linked(dev, s));
	if (err)
		return;
	all.dma.v = s->dma;
	all.len = s->size;
	if (step == OLI_STEP_DESTROY)
		unlink_range(dev, &all);
	oli_keep_leaving(dev, s->dma, s->size);
	end(s, op->site, false);
}

static void step_alloc(struct olio_dev *dev, const struct oli_op *op)
{
	struct state *s = find(op->object);
	u32 room = room_states ? 2 * room_states : 16;

	if (s) {
		oli_misuse(s->dev, 14, op->site, s->site,
			   "the state is allocated again, and its IOVAs " RANGE " are lost", s->dma,
			   s->size);
		end(s, op->site, false);
	}
	if (nr_states == room_states) {
		s = OLI_FAULT() ? NULL : realloc(states, room * sizeof(*states));
		if (!s) {
			oli_check_blind(dev);
			return;
		}
		states = s;
		room_states = room;
	}
	states[nr_states++] = (struct state){.object = op->object,
					     .m = dev->m,
					     .dev = dev,
					     .dma = op->dma.v,
					     .size = op->len,
					     .site = op->site};
}

static void step(struct olio_dev *dev, enum oli_two_step step, const struct oli_op *op, u64 offset,
		 int err)
{
	struct state *s = find(op->object);

	if (step == OLI_STEP_ALLOC) {
		if (!err)
			step_alloc(dev, op);
		return;
	}
	if (!s || s->dev != dev)
		return;
	switch (step) {
	case OLI_STEP_LINK:
		step_link(dev, s, op, offset, err);
		break;
	case OLI_STEP_SYNC:
		if (!err)
			step_sync(dev, op);
		break;
	case OLI_STEP_UNLINK:
		step_unlink(dev, s, op, offset, err);
		break;
	default:
		step_end(dev, step, s, op, err);
	}
}

void oli_check_step(struct olio_dev *dev, enum oli_two_step what, const struct oli_op *op,
		    u64 offset, int err)
{
	struct oli_check_local *l = dev->check->local;

	pthread_mutex_lock(&l->lock);
	pthread_mutex_lock(&states_lock);
	oli_guard_report(l);
	if (!dev->check->blind)
		step(dev, what, op, offset, err);
	pthread_mutex_unlock(&states_lock);
	pthread_mutex_unlock(&l->lock);
}

void oli_check_bad_state(const void *object, const void *original, const void *site)
{
	struct state *s, copy;
	bool copied;

	pthread_mutex_lock(&states_lock);
	s = find_ended(object);
	copied = !s && original && original != object;
	if (copied)
		s = find(original) ? find(original) : find_ended(original);
	copy = s ? *s : (struct state){0};
	pthread_mutex_unlock(&states_lock);
	if (!copy.dev)
		return;
	if (copied)
		oli_misuse(copy.dev, 13, site, copy.site,
			   "a state was copied: the one of IOVAs " RANGE, copy.dma, copy.size);
	else if (copy.closed)
		oli_misuse(copy.dev, 15, site, copy.site,
			   "the state of IOVAs " RANGE " ended when its device was closed",
			   copy.dma, copy.size);
	else
		oli_misuse(copy.dev, 13, site, copy.site, "the state of IOVAs " RANGE " has ended",
			   copy.dma, copy.size);
}

void oli_states_close(struct olio_dev *dev, const void *site)
{
	pthread_mutex_lock(&states_lock);
	for (u32 i = nr_states; i-- > 0;) {
		struct state *s = &states[i];

		if (s->dev != dev)
			continue;
		/* What is linked is reported as such. */
		if (!linked(dev, s))
			oli_misuse(dev, 14, site, s->site,
				   "IOVAs " RANGE " were not given back when %s is closed", s->dma,
				   s->size, dev->node->name);
		end(s, site, true);
	}
	pthread_mutex_unlock(&states_lock);
}

void oli_states_fini(struct oli_machine *m)
{
	pthread_mutex_lock(&states_lock);
	for (u32 i = nr_states; i-- > 0;)
		if (states[i].m == m)
			states[i] = states[--nr_states];
	for (u32 i = 0; i < ENDED; i++)
		if (ended[i].m == m)
			ended[i] = (struct state){0};
	if (!nr_states) {
		free(states);
		states = NULL;
		room_states = 0;
	}
	pthread_mutex_unlock(&states_lock);
}
