// SPDX-License-Identifier: MIT
/*
 * What is mapped, what was, and what could not be.
 *
 * A shelf is an array in ascending order; adding and removing moves what is behind,
 * which for some ten thousand mappings is a few microseconds. Tracks on a shelf may
 * overlap (the same memory mapped twice; the same BAR under one bus address), so a
 * search for what touches a range begins as far before it as the longest track that
 * the shelf ever had. Starts and lengths come from maps that succeeded: start +
 * length - 1 does not wrap; what callers ask about is cut at the top.
 */
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/log.h"
#include "dma/check_int.h"

/* ---- shelves ---- */

/* The first place whose key is at least @key. */
static u32 place(const struct oli_shelf *s, u64 key)
{
	u32 low = 0, high = s->n;

	while (low < high) {
		u32 mid = low + (high - low) / 2;

		if (oli_key(s, s->at[mid]) < key)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

int oli_shelf_add(struct oli_shelf *s, struct oli_track *t)
{
	u32 i, room = s->room ? 2 * s->room : 64;
	struct oli_track **at;

	if (s->n == s->room) {
		at = OLI_FAULT() ? NULL : realloc(s->at, room * sizeof(struct oli_track *));
		if (!at)
			return -1;
		s->at = at;
		s->room = room;
	}
	i = place(s, oli_key(s, t));
	memmove(s->at + i + 1, s->at + i, (s->n - i) * sizeof(struct oli_track *));
	s->at[i] = t;
	s->n++;
	if (t->len > s->longest)
		s->longest = t->len;
	return 0;
}

void oli_shelf_remove(struct oli_shelf *s, struct oli_track *t)
{
	u32 i = place(s, oli_key(s, t));

	while (i < s->n && s->at[i] != t)
		i++;
	if (i == s->n)
		return;
	s->n--;
	memmove(s->at + i, s->at + i + 1, (s->n - i) * sizeof(struct oli_track *));
}

struct oli_track *oli_shelf_next(const struct oli_shelf *s, u64 start, u64 len, u32 *pos)
{
	u64 last = len - 1 > UINT64_MAX - start ? UINT64_MAX : start + (len - 1);
	u32 i = *pos;

	if (!s->n || !len)
		return NULL;
	if (!i)
		i = place(s, start < s->longest ? 0 : start - s->longest + 1);
	for (; i < s->n && oli_key(s, s->at[i]) <= last; i++) {
		struct oli_track *t = s->at[i];

		if (oli_key(s, t) + (t->len - 1) >= start) {
			*pos = i + 1;
			return t;
		}
	}
	return NULL;
}

struct oli_track *oli_shelf_find(const struct oli_shelf *s, u64 at)
{
	u32 pos = 0;

	return oli_shelf_next(s, at, 1, &pos);
}

/* ---- tracks ---- */

void oli_check_blind(struct olio_dev *dev)
{
	if (!dev->check->blind)
		oli_warn("the checker of device %s has no memory and is silent from now on",
			 dev->node->name);
	dev->check->blind = true;
}

static u64 va_of(struct olio_dev *dev, struct olio_pa pa)
{
	struct oli_phys phys;

	if (!oli_phys_find(dev->m, pa, &phys) || phys.kind != OLI_PHYS_FRAME ||
	    phys.slot != dev->m->slot)
		return 0;
	return phys.va;
}

struct oli_track *oli_track_new(struct olio_dev *dev, const struct oli_op *op)
{
	struct oli_check_local *l = dev->check->local;
	struct oli_track *t = OLI_FAULT() ? NULL : calloc(1, sizeof(*t));

	if (!t)
		goto blind;
	t->dev = dev;
	t->family = op->family;
	t->dir = op->dir;
	t->attrs = op->attrs;
	t->bounced = op->bounced;
	t->synced = op->family != OLI_TWO_STEP;
	t->dma = op->dma.v;
	t->len = op->len;
	t->run = op->run;
	t->object = op->object;
	t->site = op->site;
	t->tick = ++l->tick;
	if (op->run.kind != OLIO_MEM_MMIO)
		t->va = va_of(dev, op->run.pa);
	if (oli_shelf_add(&dev->check->by_dma, t))
		goto blind;
	if (oli_shelf_add(&l->by_pa, t)) {
		oli_shelf_remove(&dev->check->by_dma, t);
		goto blind;
	}
	l->allocs += t->family == OLI_ALLOC;
	return t;

blind:
	free(t);
	oli_check_blind(dev);
	return NULL;
}

void oli_track_end(struct oli_track *t, const void *ended, bool closed)
{
	struct oli_check_local *l = t->dev->check->local;
	struct oli_grave *g = &l->grave[l->next_grave++ % OLI_GRAVES];

	*g = (struct oli_grave){.dev = t->dev,
				.family = t->family,
				.dma = t->dma,
				.len = t->len,
				.tick = ++l->tick,
				.object = t->object,
				.made = t->site,
				.ended = ended,
				.closed = closed};
	oli_shelf_remove(&t->dev->check->by_dma, t);
	oli_shelf_remove(&l->by_pa, t);
	l->allocs -= t->family == OLI_ALLOC;
	oli_own_fini(t);
	free(t);
}

struct oli_grave *oli_grave_find(struct oli_check_local *l, const struct olio_dev *dev, u64 dma,
				 u64 len)
{
	for (u32 i = 1; i <= OLI_GRAVES; i++) {
		struct oli_grave *g = &l->grave[(l->next_grave - i) % OLI_GRAVES];

		if (!g->dev)
			return NULL;
		if (g->dev == dev && dma - g->dma < g->len)
			return g;
		if (g->dev == dev && g->dma - dma < len)
			return g;
	}
	return NULL;
}

struct oli_failed *oli_failed_find(struct oli_check_local *l, const struct olio_dev *dev, u64 dma,
				   u64 len, u64 tick, bool exact)
{
	for (u32 i = 1; i <= OLI_FAILED; i++) {
		struct oli_failed *f = &l->failed[(l->next_failed - i) % OLI_FAILED];

		if (f->dev != dev || f->tick <= tick)
			continue;
		if (f->dma ? dma - f->dma < f->len : exact ? f->len == len : f->len >= len)
			return f;
	}
	return NULL;
}
