// SPDX-License-Identifier: MIT
/*
 * Domains: IOVAs, entries and invalidation in the one order that is right.
 *
 *   map_new   IOVAs first, then entries, then sync; a failure gives the IOVAs back
 *   release   claim the IOVAs; entries out; flush; IOVAs back
 *
 * The allocator has locks of its own, so that alloc and free do not take the
 * domain's. What is released is claimed before anything is changed, so that of two
 * that release the same range one is told so.
 *
 * Ranges come as start and size and are made inclusive after a check that they do
 * not wrap; the top of a 64-bit space can be mapped.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/fault.h"
#include "iommu/part.h"

/* ---- life ---- */

static int make_iova(struct oli_domain *d)
{
	struct oli_iova_config config = {
		.range = d->hw->aperture,
		.mem = &oli_iova_process_mem,
		.flags = OLI_IOVA_LOW_FIRST,
		.granule_shift = d->hw->granule_shift,
		.cached_orders = OLI_IOVA_MAX_CACHED_ORDERS,
	};
	int err = oli_iova_init(&d->iova, &config);

	if (err)
		return err;
	err = oli_domain_reserve(d);
	if (err)
		oli_iova_fini(&d->iova);
	return err;
}

static int create(struct oli_machine *m, u8 node, struct oli_domain **out)
{
	struct oli_domain *d = OLI_FAULT() ? NULL : calloc(1, sizeof(*d));
	u32 ms = m->shm->desc.lazy_ms;
	int err;

	if (!d)
		return -ENOMEM;
	d->m = m;
	d->node = node;
	d->lazy.period_ns = (ms ? ms : 10) * OLI_NS_PER_MS;
	err = oli_soft_create(m, node, &d->hw);
	if (!err) {
		err = make_iova(d);
		if (err)
			d->hw->ops->destroy(d->hw);
	}
	if (err) {
		free(d);
		return err;
	}
	oli_bias_init(&d->lock);
	*out = d;
	return 0;
}

static void destroy(struct oli_domain *d)
{
	d->hw->ops->destroy(d->hw);
	oli_iova_fini(&d->iova);
	oli_bias_fini(&d->lock);
	free(d);
}

static bool has_iommu(const struct oli_machine *m, u8 node)
{
	const struct oli_desc *d = &m->shm->desc;

	return d->iommu != OLI_IOMMU_NONE && node < d->nr_nodes && !d->node[node].software;
}

int oli_domain_get(struct oli_machine *m, u8 node, struct oli_domain **out)
{
	struct oli_iommu_local *l = m->local[OLI_PART_IOMMU];
	struct oli_domain *d;
	int err = 0;

	if (!l || !has_iommu(m, node))
		return -EOPNOTSUPP;
	pthread_mutex_lock(&l->lock);
	for (d = l->domains; d && d->node != node; d = d->next)
		;
	if (!d) {
		err = create(m, node, &d);
		if (!err) {
			d->local = l;
			d->next = l->domains;
			l->domains = d;
		}
	}
	if (!err) {
		d->users++;
		*out = d;
	}
	pthread_mutex_unlock(&l->lock);
	return err;
}

/* Return: true if that was the last user. */
static bool drop(struct oli_domain *d)
{
	struct oli_domain **at;

	if (--d->users)
		return false;
	if (!d->local)
		return true;
	for (at = &d->local->domains; *at != d; at = &(*at)->next)
		;
	*at = d->next;
	return true;
}

void oli_domain_put(struct oli_domain *d)
{
	struct oli_iommu_local *l = d->local;
	bool last;

	if (l)
		pthread_mutex_lock(&l->lock);
	last = drop(d);
	if (l)
		pthread_mutex_unlock(&l->lock);
	if (last)
		destroy(d);
}

const struct oli_hw *oli_domain_hw(const struct oli_domain *d)
{
	return d->hw;
}

/* ---- IOVAs ---- */

int oli_domain_alloc(struct oli_domain *d, u64 size, u64 limit, struct olio_iova *out)
{
	return oli_iova_alloc(&d->iova, size, limit, out);
}

int oli_domain_alloc_at(struct oli_domain *d, struct olio_iova iova, u64 size)
{
	return oli_iova_alloc_fixed(&d->iova, iova, size);
}

int oli_domain_free(struct oli_domain *d, struct olio_iova iova, u64 size)
{
	return oli_iova_free(&d->iova, iova, size) ? -ENOENT : 0;
}

/* ---- entries ---- */

static struct olio_iova_range range_of(struct olio_iova start, u64 size)
{
	return (struct olio_iova_range){start, {start.v + (size - 1)}};
}

int oli_domain_map(struct oli_domain *d, struct olio_iova_range iova, struct olio_pa pa, u32 prot)
{
	int err;

	oli_bias_lock(&d->lock);
	err = d->hw->ops->map(d->hw, iova, pa, prot);
	d->stats.maps += !err;
	oli_bias_unlock(&d->lock);
	return err;
}

/* The lock is held. */
static int sync_range(struct oli_domain *d, struct olio_iova_range iova)
{
	d->stats.syncs++;
	return d->hw->caching ? d->hw->ops->sync(d->hw, iova) : 0;
}

int oli_domain_sync(struct oli_domain *d, struct olio_iova_range iova)
{
	int err;

	oli_bias_lock(&d->lock);
	err = sync_range(d, iova);
	oli_bias_unlock(&d->lock);
	return err;
}

u64 oli_domain_unmap(struct oli_domain *d, struct olio_iova_range iova)
{
	u64 bytes;

	oli_bias_lock(&d->lock);
	bytes = d->hw->ops->unmap(d->hw, iova);
	d->stats.unmaps++;
	oli_lazy_flush(d);
	oli_bias_unlock(&d->lock);
	return bytes;
}

/* ---- in one go ---- */

int oli_domain_map_new(struct oli_domain *d, struct olio_pa pa, u64 size, u32 prot, u64 limit,
		       struct olio_iova *out)
{
	struct olio_iova iova;
	int err = oli_iova_alloc(&d->iova, size, limit, &iova);

	if (err)
		return err;
	oli_bias_lock(&d->lock);
	err = d->hw->ops->map(d->hw, range_of(iova, size), pa, prot);
	if (!err) {
		d->stats.maps++;
		err = sync_range(d, range_of(iova, size));
		if (err) {
			d->hw->ops->unmap(d->hw, range_of(iova, size));
			oli_lazy_flush(d);
		}
	}
	oli_bias_unlock(&d->lock);
	if (err)
		(void)!oli_iova_free(&d->iova, iova, size);
	else
		*out = iova;
	return err;
}

static int release(struct oli_domain *d, struct olio_iova iova, u64 size)
{
	struct oli_iova_claim claim;

	if (oli_iova_claim(&d->iova, iova, size, &claim))
		return -ENOENT;
	d->hw->ops->unmap(d->hw, range_of(iova, size));
	d->stats.unmaps++;
	if (d->hw->lazy) {
		oli_lazy_add(d, &claim);
	} else {
		oli_lazy_flush(d);
		oli_iova_give(&d->iova, &claim);
	}
	return 0;
}

int oli_domain_release(struct oli_domain *d, struct olio_iova iova, u64 size)
{
	int err;

	oli_bias_lock(&d->lock);
	err = release(d, iova, size);
	oli_bias_unlock(&d->lock);
	return err;
}

int oli_domain_look(struct oli_domain *d, struct olio_iova iova, struct oli_pt_leaf *leaf)
{
	return d->hw->ops->look(d->hw, iova, leaf);
}

void oli_domain_flush(struct oli_domain *d)
{
	oli_bias_lock(&d->lock);
	oli_lazy_flush(d);
	oli_bias_unlock(&d->lock);
}

void oli_domain_stats(struct oli_domain *d, struct oli_domain_stats *out)
{
	oli_bias_lock(&d->lock);
	*out = d->stats;
	out->deferred = d->lazy.nr;
	oli_bias_unlock(&d->lock);
}

/* Every leaf lies in IOVAs that are handed out, so it suffices to count. */
struct count {
	u64 granules;
	u64 next; /* no leaf begins below; 0 after the top */
	u8 shift;
	bool wrong;
};

static int count_leaf(void *arg, const struct oli_pt_leaf *leaf)
{
	struct count *c = arg;
	u64 first = leaf->iova.start.v >> c->shift, last = leaf->iova.last.v >> c->shift;

	if (first < c->next)
		first = c->next;
	if (last >= first)
		c->granules += last - first + 1;
	c->next = last + 1;
	return 0;
}

bool oli_domain_is_valid(struct oli_domain *d)
{
	struct count c = {.shift = d->hw->granule_shift};
	struct oli_iova_usage usage;
	bool ok;

	oli_bias_lock(&d->lock);
	ok = oli_iova_is_valid(&d->iova);
	oli_iova_usage(&d->iova, &usage);
	ok = ok && !d->hw->ops->walk(d->hw, d->hw->aperture, count_leaf, &c);
	ok = ok && c.granules <= usage.live;
	oli_bias_unlock(&d->lock);
	return ok;
}
