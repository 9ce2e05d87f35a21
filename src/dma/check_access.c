// SPDX-License-Identifier: MIT
/*
 * The checker and the device's side: was the device given what it accesses?
 *
 * First the tracks are asked that hold the range, one after the other. What no track
 * holds is explained by the first of these that fits:
 *
 *   in the last or first granule of a mapping      over-map (21)
 *   behind one, by a read                          prefetch (24)
 *   what was unmapped                              use-after-unmap (20), early-reuse (19)
 *   a map that failed                              unchecked-error (5)
 *   an address without its upper bits              truncated (17)
 *   a pointer, physical or bus address             identity (16), segment-count (8)
 *   where interrupts or BARs are                   reserved (23)
 *   another device's                               wrong-owner (15)
 *
 * What fits nothing is a fault and is recorded as one, but says nothing about the API.
 *
 * @dma and @len come from a device model and may be anything: ends are computed only
 * after the range was found not to wrap.
 */
#include <inttypes.h>

#include "dma/check_int.h"

#define RANGE "0x%" PRIx64 "+0x%" PRIx64

struct access {
	struct olio_dev *dev;
	u64 dma, len;
	bool write;
	int err;
	const void *site;
};

static const char *verb(const struct access *a)
{
	return a->write ? "wrote" : "read";
}

/* ---- what is mapped ---- */

static void track_check(const struct access *a, struct oli_track *t, u64 dma, u64 len)
{
	struct olio_dev *dev = a->dev;
	u64 last = t->dma + (t->len - 1);

	if (!t->synced)
		oli_say_once(t, 12, a->site, t->site,
			     "%s %s " RANGE ", which was linked but not synchronised",
			     dev->node->name, verb(a), dma, len);
	if (!(t->dir & (a->write ? OLIO_FROM_DEVICE : OLIO_TO_DEVICE)))
		oli_say_once(t, 22, a->site, t->site,
			     "%s %s " RANGE ", which is mapped for %s only", dev->node->name,
			     verb(a), dma, len, a->write ? "reading" : "writing");
	if (last > dev->mask)
		oli_say_once(t, 17, a->site, t->site,
			     RANGE " does not fit the mask 0x%" PRIx64 " of %s", t->dma, t->len,
			     dev->mask, dev->node->name);
	if (t->family == OLI_ONE_SHOT &&
	    (t->len > dev->max_segment ||
	     (dev->boundary && (t->dma ^ last) & ~(dev->boundary - 1))))
		oli_say_once(t, 18, a->site, t->site,
			     RANGE " is longer or crosses more than %s takes in a segment", t->dma,
			     t->len, dev->node->name);
	if (dev->no_snoop && !dev->syncs && !dev->check->snoop_said) {
		dev->check->snoop_said = true;
		oli_misuse(dev, 34, a->site, t->site,
			   "%s sets No Snoop, but its domain enforces snooping", dev->node->name);
	}
	oli_own_access(t, dma, len, a->write, a->site);
}

/* The access began in @t and goes on at @at, where nothing is mapped. */
static void ran_past(const struct access *a, struct oli_track *t, u64 at)
{
	struct oli_check_local *l = a->dev->check->local;
	struct oli_grave *g = oli_grave_find(l, a->dev, a->dma, 1);
	u64 granule_last = (at - 1) | a->dev->granule_mask;
	bool inside = a->dma + (a->len - 1) <= granule_last;

	if (g && g->dma == t->dma && a->len <= g->len && g->tick < t->tick)
		oli_say_once(t, 19, a->site, g->made,
			     "%s %s " RANGE ", which was unmapped; now 0x%" PRIx64
			     " bytes of it are another mapping's",
			     a->dev->node->name, verb(a), a->dma, a->len, t->len);
	else if (!a->write && !inside)
		oli_say_once(t, 24, a->site, t->site,
			     "%s read " RANGE ", but what it was given ends at 0x%" PRIx64,
			     a->dev->node->name, a->dma, a->len, at);
	else
		oli_say_once(t, 21, a->site, t->site,
			     "%s %s " RANGE ", but the buffer ends at 0x%" PRIx64,
			     a->dev->node->name, verb(a), a->dma, a->len, at);
}

/* ---- what is not ---- */

/* A track whose granules hold @a->dma, or end right before it; 0, 21 or 24. */
static unsigned int beside(const struct access *a, struct oli_track **out)
{
	u64 mask = a->dev->granule_mask, first = a->dma & ~mask, last = a->dma | mask;
	struct oli_track *t;
	u32 pos = 0;

	t = mask ? oli_shelf_next(&a->dev->check->by_dma, first, last - first + 1, &pos) : NULL;
	if (t) {
		*out = t;
		return 21;
	}
	/* Or in the granule before. */
	pos = 0;
	if (mask && !a->write && first > mask)
		t = oli_shelf_next(&a->dev->check->by_dma, first - mask - 1, mask + 1, &pos);
	*out = t;
	return t ? 24 : 0;
}

static bool next_to_something(const struct access *a)
{
	struct oli_track *t;
	unsigned int class_ = beside(a, &t);

	if (class_ == 21)
		oli_say_once(t, 21, a->site, t->site,
			     "%s %s " RANGE ", in the granule of " RANGE " but not of the buffer",
			     a->dev->node->name, verb(a), a->dma, a->len, t->dma, t->len);
	else if (class_ == 24)
		oli_say_once(t, 24, a->site, t->site,
			     "%s read " RANGE ", right behind the mapping " RANGE,
			     a->dev->node->name, a->dma, a->len, t->dma, t->len);
	return class_ != 0;
}

static bool after_unmap(const struct access *a, const struct oli_grave *g)
{
	char ended[96], heir[96];

	oli_site_name(g->ended, ended, sizeof(ended));
	if (g->closed) {
		oli_misuse(a->dev, 15, a->site, g->made,
			   "%s %s " RANGE ", which ended when the device was closed",
			   a->dev->node->name, verb(a), a->dma, a->len);
	} else if (g->heir) {
		oli_site_name(g->heir, heir, sizeof(heir));
		oli_misuse(a->dev, 19, a->site, g->made,
			   "%s %s " RANGE ", which was unmapped at %s; the IOVAs would be those of "
			   "the map at %s now",
			   a->dev->node->name, verb(a), a->dma, a->len, ended, heir);
	} else {
		oli_misuse(a->dev, 20, a->site, g->made,
			   "%s %s " RANGE ", which was unmapped at %s%s", a->dev->node->name,
			   verb(a), a->dma, a->len, ended,
			   a->err ? "" : ", and reached it all the same: it is not flushed yet");
	}
	return true;
}

static bool unmapped_or_failed(const struct access *a)
{
	struct oli_check_local *l = a->dev->check->local;
	struct oli_grave *g = oli_grave_find(l, a->dev, a->dma, a->len);
	struct oli_failed *f =
		g ? oli_failed_find(l, a->dev, a->dma, a->len, g->tick, false) : NULL;

	/* An address of old in a variable that a failed map did not write. */
	if (f) {
		oli_misuse(a->dev, 5, a->site, f->site,
			   "%s %s " RANGE ", an address from before a map that failed",
			   a->dev->node->name, verb(a), a->dma, a->len);
		f->dev = NULL;
		return true;
	}
	return g && after_unmap(a, g);
}

static bool truncated(const struct access *a)
{
	struct oli_shelf *s = &a->dev->check->by_dma;
	u64 low = UINT32_MAX;

	if (a->dma > low)
		return false;
	for (u32 i = 0; i < s->n; i++) {
		struct oli_track *t = s->at[i];

		/* Tracks may be longer than 4 GiB: then anything is its lower half. */
		if (t->dma <= low || ((a->dma - t->dma) & low) >= t->len || t->len > low)
			continue;
		oli_misuse(a->dev, 17, a->site, t->site,
			   "%s %s 0x%" PRIx64 ", the lower 32 bits of 0x%" PRIx64
			   ", which is mapped",
			   a->dev->node->name, verb(a), a->dma, t->dma + ((a->dma - t->dma) & low));
		return true;
	}
	return false;
}

static bool is_pointer(const struct access *a)
{
	struct oli_shelf *s = &a->dev->check->local->by_pa;

	for (u32 i = 0; i < s->n; i++) {
		struct oli_track *t = s->at[i];

		if (t->dev->m != a->dev->m || !t->va || a->dma - t->va >= t->len)
			continue;
		oli_misuse(a->dev, 16, a->site, t->site,
			   "%s %s 0x%" PRIx64
			   ", a pointer of the program; the DMA address is 0x%" PRIx64,
			   a->dev->node->name, verb(a), a->dma, t->dma + (a->dma - t->va));
		return true;
	}
	return false;
}

static bool is_physical(const struct access *a, u64 pa, const char *what)
{
	struct oli_check_local *l = a->dev->check->local;
	struct oli_track *t, *other = NULL;
	u32 pos = 0;

	/* Best is a track of this device. */
	while ((t = oli_shelf_next(&l->by_pa, pa, 1, &pos)))
		if (t->dev == a->dev || !other)
			other = t;
	t = other;
	if (!t || t->dev->m != a->dev->m)
		return false;
	if (t->family == OLI_LIST && t->run.kind != OLIO_MEM_MMIO)
		oli_misuse(a->dev, 8, a->site, t->site,
			   "%s %s 0x%" PRIx64
			   ", an address out of a run; the segment has 0x%" PRIx64,
			   a->dev->node->name, verb(a), a->dma, t->dma + (pa - t->run.pa.v));
	else
		oli_misuse(a->dev, 16, a->site, t->site,
			   "%s %s 0x%" PRIx64 ", a %s address; the DMA address is 0x%" PRIx64,
			   a->dev->node->name, verb(a), a->dma, what, t->dma + (pa - t->run.pa.v));
	return true;
}

static bool reserved(const struct access *a)
{
	struct oli_phys phys;
	struct olio_pa pa;
	u8 node, bar;

	if (a->dma <= OLI_MSI_LAST && a->dma + (a->len - 1) >= OLI_MSI_START) {
		oli_misuse(a->dev, 23, a->site, NULL,
			   "%s %s " RANGE ", where interrupts are written to", a->dev->node->name,
			   verb(a), a->dma, a->len);
		return true;
	}
	if (oli_bus_to_pa(a->dev->m, a->dma, &pa, &node, &bar)) {
		if (is_physical(a, pa.v, "bus"))
			return true;
	} else if (oli_phys_find(a->dev->m, (struct olio_pa){a->dma}, &phys) &&
		   phys.kind == OLI_PHYS_BAR) {
		node = phys.node;
		bar = phys.bar;
	} else {
		return false;
	}
	oli_misuse(a->dev, 23, a->site, NULL,
		   "%s %s " RANGE ", in the window of BAR %u of %s, which it was not given",
		   a->dev->node->name, verb(a), a->dma, a->len, bar, a->dev->desc->node[node].name);
	return true;
}

static bool strangers(const struct access *a)
{
	struct oli_shelf *s = &a->dev->check->local->by_pa;

	for (u32 i = 0; i < s->n; i++) {
		struct oli_track *t = s->at[i];

		if (t->dev == a->dev || a->dma - t->dma >= t->len)
			continue;
		oli_misuse(a->dev, 15, a->site, t->site, "%s %s " RANGE ", which is mapped for %s",
			   a->dev->node->name, verb(a), a->dma, a->len, t->dev->node->name);
		return true;
	}
	return false;
}

static void unknown(const struct access *a)
{
	struct oli_failed *f;

	if (unmapped_or_failed(a) || next_to_something(a) || truncated(a))
		return;
	if (a->dev->reach != OLI_REACH_PHYSICAL &&
	    (is_pointer(a) || is_physical(a, a->dma, "physical")))
		return;
	if (reserved(a) || strangers(a))
		return;
	f = oli_failed_find(a->dev->check->local, a->dev, a->dma, a->len, 0, false);
	if (!f)
		return;
	oli_misuse(a->dev, 5, a->site, f->site, "%s %s " RANGE ", but that map failed",
		   a->dev->node->name, verb(a), a->dma, a->len);
	f->dev = NULL;
}

static void check(const struct access *a)
{
	const struct oli_shelf *s = &a->dev->check->by_dma;
	struct oli_track *t = oli_shelf_find(s, a->dma), *before = NULL;
	u64 at = a->dma, left = a->len, part;

	if (!t) {
		unknown(a);
		return;
	}
	for (; left && t; at += part, left -= part) {
		part = t->dma + t->len - at < left ? t->dma + t->len - at : left;
		track_check(a, t, at, part);
		before = t;
		t = oli_shelf_find(s, at + part);
	}
	if (left)
		ran_past(a, before, at);
}

void oli_check_access(struct olio_dev *dev, struct olio_iova dma, u64 len, bool write, int err,
		      const void *site)
{
	struct oli_check_local *l = dev->check->local;
	const struct access a = {dev, dma.v, len, write, err, site};

	if (!len || len - 1 > UINT64_MAX - dma.v)
		return; /* refused, as an argument */
	pthread_mutex_lock(&l->lock);
	oli_guard_report(l);
	if (!dev->check->blind)
		check(&a);
	pthread_mutex_unlock(&l->lock);
}
