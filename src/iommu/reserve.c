// SPDX-License-Identifier: MIT
/*
 * What is never an IOVA: the interrupt window, bus addresses of BARs, and every
 * physical address that something has. So a device that is handed an address of
 * the wrong kind faults instead of hitting something by luck.
 *
 * The ranges may overlap and the allocator takes each address once, so they are
 * sorted and merged first. All are inclusive; a description that was checked has
 * none that wraps.
 */
#include <stdlib.h>

#include "iommu/part.h"

#define RANGES (5 + OLI_NODES * OLI_BARS)

struct ranges {
	u32 n;
	struct olio_iova_range at[RANGES];
};

static void add(struct ranges *r, u64 start, u64 len)
{
	if (len && r->n < RANGES)
		r->at[r->n++] = (struct olio_iova_range){{start}, {start + (len - 1)}};
}

static void collect(const struct oli_machine *m, struct ranges *r)
{
	const struct oli_desc *d = &m->shm->desc;

	add(r, OLI_MSI_START, OLI_MSI_LAST - OLI_MSI_START + 1);
	add(r, OLI_PA_LOW, OLI_PA_LOW_SIZE);
	add(r, OLI_PA_MMIO, OLI_PA_MMIO_SIZE);
	add(r, OLI_PA_RAM, d->ram_size);
	add(r, OLI_PA_FILE, m->size);
	for (u32 i = 0; i < d->nr_nodes; i++)
		for (u32 b = 0; b < OLI_BARS; b++)
			add(r, d->node[i].bar[b].bus, d->node[i].bar[b].len);
}

static int compare(const void *a, const void *b)
{
	u64 x = ((const struct olio_iova_range *)a)->start.v;
	u64 y = ((const struct olio_iova_range *)b)->start.v;

	return (x > y) - (x < y);
}

/* To whole granules, and one for those that touch the same. Return: how many are left. */
static u32 merge(struct ranges *r, u64 mask)
{
	u32 n = 0;

	qsort(r->at, r->n, sizeof(r->at[0]), compare);
	for (u32 i = 0; i < r->n; i++) {
		u64 start = r->at[i].start.v & ~mask, last = r->at[i].last.v | mask;

		if (n && start <= r->at[n - 1].last.v) {
			if (last > r->at[n - 1].last.v)
				r->at[n - 1].last.v = last;
			continue;
		}
		r->at[n++] = (struct olio_iova_range){{start}, {last}};
	}
	return n;
}

int oli_domain_reserve(struct oli_domain *d)
{
	struct ranges r = {0};
	u32 n;
	int err = 0;

	collect(d->m, &r);
	n = merge(&r, (1ull << d->hw->granule_shift) - 1);
	for (u32 i = 0; !err && i < n; i++)
		err = oli_iova_reserve(&d->iova, r.at[i]);
	return err;
}
