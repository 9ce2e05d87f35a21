// SPDX-License-Identifier: MIT
/*
 * IOVAs that are kept out of use for a while after an unmap, so that a device that still
 * holds them faults (class 20) instead of reaching what was mapped there next.
 *
 * An IOVA allocator gives out first what was freed last, so without this a stale
 * address is somebody else's address at once, and no checker could tell. The map that
 * would have had a kept range is written down as its heir: who uses the old address
 * after that would have hit the heir's memory, which is class 19.
 *
 * At most OLI_KEPT ranges and KEPT_BYTES are kept, the oldest is let go first; so a
 * device with a narrow mask does not run out of IOVAs by it.
 *
 * Only where an unmap is strict: in a lazy domain the ranges wait for the flush anyway,
 * and keeping them would close the window that such a machine is there to show.
 */
#include <errno.h>

#include "dma/check_int.h"

#define KEPT_BYTES (1u << 20)

static void let_go(struct olio_dev *dev)
{
	struct oli_check *c = dev->check;
	struct oli_kept *k = &c->kept[(c->next_kept - c->nr_kept) % OLI_KEPT];

	c->nr_kept--;
	c->kept_bytes -= k->size;
	(void)!oli_domain_free(dev->domain, k->iova, k->size);
}

void oli_keep_leaving(struct olio_dev *dev, u64 dma, u64 len)
{
	struct oli_check *c = dev->check;
	u64 mask = dev->granule_mask, start = dma & ~mask;

	c->leaving[c->next_leaving++ % OLI_LEAVING] =
		(struct oli_kept){{start}, oli_align_up(dma - start + len, mask + 1)};
}

/* A range that no hook saw go is a wrong one, or one that the checker does not follow. */
static bool take_leaving(struct oli_check *c, struct olio_iova iova, u64 size)
{
	for (u32 i = 0; i < OLI_LEAVING; i++) {
		if (c->leaving[i].iova.v != iova.v || c->leaving[i].size != size)
			continue;
		c->leaving[i].size = 0;
		return true;
	}
	return false;
}

static bool is_kept(const struct oli_check *c, struct olio_iova iova, u64 size)
{
	for (u32 i = 1; i <= c->nr_kept; i++) {
		const struct oli_kept *k = &c->kept[(c->next_kept - i) % OLI_KEPT];

		if (iova.v - k->iova.v < k->size || k->iova.v - iova.v < size)
			return true;
	}
	return false;
}

static int keep(struct olio_dev *dev, struct olio_iova iova, u64 size)
{
	struct oli_check *c = dev->check;

	if (is_kept(c, iova, size))
		return -ENOENT;
	if (!take_leaving(c, iova, size))
		return 0;
	while (c->nr_kept == OLI_KEPT || c->kept_bytes + size > KEPT_BYTES)
		let_go(dev);
	c->kept[c->next_kept++ % OLI_KEPT] = (struct oli_kept){iova, size};
	c->nr_kept++;
	c->kept_bytes += size;
	return 1;
}

int oli_check_keep(struct olio_dev *dev, struct olio_iova iova, u64 size)
{
	struct oli_check *c = dev->check;
	int ret;

	if (!dev->domain || oli_domain_hw(dev->domain)->lazy || size > KEPT_BYTES ||
	    (!oli_check_on(dev->m, 19) && !oli_check_on(dev->m, 20)))
		return 0;
	pthread_mutex_lock(&c->local->lock);
	ret = keep(dev, iova, size);
	pthread_mutex_unlock(&c->local->lock);
	return ret;
}

/* @t would have had the range that was freed last and has no heir yet, if it is as long. */
void oli_keep_mapped(struct oli_track *t)
{
	struct oli_check *c = t->dev->check;
	u64 mask = t->dev->granule_mask;
	u64 size = oli_align_up((t->dma & mask) + t->len, mask + 1);

	for (u32 i = 1; i <= c->nr_kept; i++) {
		const struct oli_kept *k = &c->kept[(c->next_kept - i) % OLI_KEPT];
		struct oli_grave *g;

		if (k->size != size)
			continue;
		g = oli_grave_find(c->local, t->dev, k->iova.v, k->size);
		if (!g || g->heir)
			continue;
		g->heir = t->site;
		return;
	}
}

void oli_keep_fini(struct olio_dev *dev)
{
	while (dev->check->nr_kept)
		let_go(dev);
}
