// SPDX-License-Identifier: MIT
/*
 * The checker at unmaps and sync calls.
 *
 * The mapping code judges a call by what its tables show; that is less than what was
 * agreed at the map: a length in the same granules, a direction, an attribute, a call
 * of another family pass there. So the checker finds the track that a call means by its
 * DMA address alone, and compares. A call that the mapping code refuses leaves the
 * track as it is.
 *
 * More than one thing can be wrong with a call; each is said. What is not there is said
 * once, by the most telling class: a map that failed (5), another device's (15), or
 * twice or never (1).
 *
 * Lengths of refused calls may be anything; ends are computed of tracks, and of sync
 * ranges that do not wrap.
 */
#include <errno.h>
#include <inttypes.h>

#include "dma/check_int.h"

#define RANGE "0x%" PRIx64 "+0x%" PRIx64

static const char *dir_name(enum olio_dir dir)
{
	static const char *const name[] = {"none", "to device", "from device", "bidirectional"};

	return (unsigned int)dir < OLI_ARRAY_SIZE(name) ? name[dir] : "?";
}

/* ---- unmaps ---- */

/* The track of another device of this process that an unmap may mean. */
static struct oli_track *strangers(struct olio_dev *dev, u64 dma, u64 len)
{
	struct oli_shelf *s = &dev->check->local->by_pa;

	for (u32 i = 0; i < s->n; i++)
		if (s->at[i]->dev != dev && s->at[i]->dma == dma && s->at[i]->len == len)
			return s->at[i];
	return NULL;
}

/* Nothing is mapped at @op->dma: why does the caller think so? */
static void nothing_there(struct olio_dev *dev, const struct oli_op *op, unsigned int class_,
			  const char *verb)
{
	struct oli_check_local *l = dev->check->local;
	struct oli_grave *g = oli_grave_find(l, dev, op->dma.v, 1);
	struct oli_failed *f = oli_failed_find(l, dev, op->dma.v, op->len, g ? g->tick : 0, true);
	struct oli_track *other = strangers(dev, op->dma.v, op->len);
	char where[96];

	if (f) {
		oli_misuse(dev, 5, op->site, f->site, "%s of " RANGE ", but that map failed", verb,
			   op->dma.v, op->len);
		f->dev = NULL;
	} else if (g && g->closed) {
		oli_misuse(dev, 15, op->site, g->made,
			   "%s of " RANGE ", which ended when the device was closed", verb,
			   op->dma.v, op->len);
	} else if (g) {
		oli_site_name(g->ended, where, sizeof(where));
		oli_misuse(dev, class_, op->site, g->made,
			   "%s of " RANGE ", which was unmapped at %s before", verb, op->dma.v,
			   op->len, where[0] ? where : "an unknown place");
	} else if (other) {
		oli_misuse(dev, 15, op->site, other->site,
			   "%s of " RANGE ", which is mapped for %s", verb, op->dma.v, op->len,
			   other->dev->node->name);
	} else {
		oli_misuse(dev, class_, op->site, NULL, "%s of " RANGE ", which was never mapped",
			   verb, op->dma.v, op->len);
	}
}

/* Direction and attributes against those of the map. */
void oli_terms_check(struct oli_track *t, const struct oli_op *op)
{
	u32 differ = (t->attrs ^ op->attrs) & ~(u32)OLIO_ATTR_SKIP_CPU_SYNC;

	if (t->family == OLI_ALLOC)
		return;
	if (op->dir != t->dir)
		oli_misuse(t->dev, 3, op->site, t->site, RANGE " was mapped %s and is unmapped %s",
			   t->dma, t->len, dir_name(t->dir), dir_name(op->dir));
	if (differ & OLIO_ATTR_REQUIRE_COHERENT)
		oli_misuse(t->dev, 31, op->site, t->site,
			   "REQUIRE_COHERENT for " RANGE " only when it was %s", t->dma, t->len,
			   t->attrs & OLIO_ATTR_REQUIRE_COHERENT ? "mapped" : "unmapped");
	if (differ & ~OLIO_ATTR_REQUIRE_COHERENT)
		oli_misuse(t->dev, 6, op->site, t->site,
			   RANGE " was mapped with attributes 0x%x and is unmapped with 0x%x",
			   t->dma, t->len, t->attrs, op->attrs);
}

static void unmap_list(struct olio_dev *dev, const struct oli_op *op)
{
	struct oli_shelf *s = &dev->check->by_dma;

	for (u32 i = s->n; i-- > 0;) {
		struct oli_track *t = s->at[i];

		if (t->family != OLI_LIST || t->object != op->object)
			continue;
		oli_own_unmap(t, op->attrs, op->site);
		oli_track_end(t, op->site, false);
	}
}

/* The track that begins at @op->dma; the one whose length fits first. */
static struct oli_track *meant(struct olio_dev *dev, const struct oli_op *op)
{
	struct oli_track *t, *found = NULL;
	u32 pos = 0;

	while ((t = oli_shelf_next(&dev->check->by_dma, op->dma.v, 1, &pos))) {
		if (t->dma != op->dma.v)
			continue;
		if (!found || (t->family == op->family && t->len == op->len))
			found = t;
	}
	return found;
}

/* Does the mapping end with this call? */
static bool goes(const struct olio_dev *dev, const struct oli_track *t, const struct oli_op *op,
		 int err)
{
	u64 last = t->dma + (t->len - 1), op_last = t->dma + (op->len - 1);

	/* All is as it was made: what was not found is its memory, which was given back. */
	if (t->family == op->family && t->len == op->len)
		return !err || err == -ENOENT;
	/* Another number of granules is no range of the allocator, and is refused by it. */
	return !err && (!dev->domain || (last ^ op_last) <= dev->granule_mask);
}

static void unmap_one(struct olio_dev *dev, const struct oli_op *op, int err)
{
	struct oli_track *t = meant(dev, op);

	if (!t) {
		nothing_there(dev, op, 1, "unmap");
		return;
	}
	if (t->family != op->family)
		oli_misuse(dev, 4, op->site, t->site, RANGE " is of %s() and was given to %s",
			   t->dma, t->len, oli_family_name(t->family),
			   op->family == OLI_ALLOC ? "olio_dma_free()" : "olio_dma_unmap()");
	else if (t->len != op->len)
		oli_misuse(dev, 2, op->site, t->site, RANGE " is unmapped as 0x%" PRIx64 " bytes",
			   t->dma, t->len, op->len);
	if (t->family == op->family)
		oli_terms_check(t, op);
	if (!goes(dev, t, op, err))
		return;
	oli_keep_leaving(dev, t->dma, t->len);
	oli_own_unmap(t, op->attrs, op->site);
	oli_track_end(t, op->site, false);
}

void oli_check_unmap(struct olio_dev *dev, const struct oli_op *op, int err)
{
	struct oli_check_local *l = dev->check->local;

	pthread_mutex_lock(&l->lock);
	oli_guard_report(l);
	if (dev->check->blind)
		;
	else if (op->family == OLI_LIST)
		unmap_list(dev, op);
	else
		unmap_one(dev, op, err);
	pthread_mutex_unlock(&l->lock);
}

/* ---- sync ---- */

static bool sync_ok(struct olio_dev *dev, const struct oli_op *op, const struct oli_track *t)
{
	u64 out = t->dma + t->len, want = op->dma.v + op->len;

	if (op->dir != t->dir && t->dir != OLIO_BIDIRECTIONAL) {
		oli_misuse(dev, 28, op->site, t->site,
			   RANGE " was mapped %s and is synchronised %s", t->dma, t->len,
			   dir_name(t->dir), dir_name(op->dir));
		return false;
	}
	/* It may go on in the next link. */
	if (want > out && !oli_shelf_find(&dev->check->by_dma, out)) {
		oli_misuse(dev, 28, op->site, t->site,
			   "sync of " RANGE ", but what is mapped there ends at 0x%" PRIx64,
			   op->dma.v, op->len, out);
		return false;
	}
	return true;
}

static void sync(struct olio_dev *dev, const struct oli_op *op, bool for_cpu, bool after)
{
	struct oli_track *t;
	u64 at = op->dma.v, left = op->len, part;

	for (; left; at += part, left -= part) {
		const struct oli_op now = {
			.dma = {at}, .len = left, .dir = op->dir, .site = op->site};

		t = oli_shelf_find(&dev->check->by_dma, at);
		if (!t && !after)
			nothing_there(dev, &now, 28, "sync");
		if (!t || (!after && !sync_ok(dev, &now, t)))
			return;
		part = t->dma + t->len - at < left ? t->dma + t->len - at : left;
		if (after)
			oli_own_synced(t, at, part, for_cpu);
		else
			oli_own_sync(t, at, part, for_cpu, op->site);
	}
}

static void sync_locked(struct olio_dev *dev, const struct oli_op *op, bool for_cpu, bool after)
{
	struct oli_check_local *l = dev->check->local;

	if (op->len - 1 > UINT64_MAX - op->dma.v)
		return; /* refused, as an argument */
	pthread_mutex_lock(&l->lock);
	oli_guard_report(l);
	if (!dev->check->blind)
		sync(dev, op, for_cpu, after);
	pthread_mutex_unlock(&l->lock);
}

void oli_check_sync(struct olio_dev *dev, const struct oli_op *op, bool for_cpu)
{
	sync_locked(dev, op, for_cpu, false);
}

void oli_check_synced(struct olio_dev *dev, const struct oli_op *op, bool for_cpu)
{
	sync_locked(dev, op, for_cpu, true);
}
