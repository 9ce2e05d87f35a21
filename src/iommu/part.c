// SPDX-License-Identifier: MIT
/*
 * The IOMMU's part of a machine, and a process's list of domains.
 *
 * A process that detaches while domains have users leaves them to those: their
 * shared half has been reaped already, and the last put frees the rest.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/fault.h"
#include "iommu/history.h"
#include "iommu/part.h"

static int iommu_init(struct oli_machine *m, void *root)
{
	struct oli_iommu *r = root;

	(void)m;
	oli_lock_init(&r->lock);
	for (u32 i = 0; i < OLI_SPACES; i++)
		atomic_store(&r->space[i].generation, 1);
	return 0;
}

static int iommu_attach(struct oli_machine *m, void *root, void **localp)
{
	struct oli_iommu_local *l = OLI_FAULT() ? NULL : calloc(1, sizeof(*l));

	(void)root;
	if (!l)
		return -ENOMEM;
	pthread_mutex_init(&l->lock, NULL);
	/* Threads of the slot's last process may have ended while they were inside. */
	oli_space_forget_slot(m, m->slot);
	*localp = l;
	return 0;
}

static void iommu_detach(struct oli_machine *m, void *root, void *localp)
{
	struct oli_iommu_local *l = localp;

	(void)root;
	for (struct oli_domain *d = l->domains; d; d = d->next)
		d->local = NULL;
	m->local[OLI_PART_IOMMU] = NULL;
	pthread_mutex_destroy(&l->lock);
	free(l);
}

static void iommu_reap(struct oli_machine *m, void *root, u16 slot)
{
	(void)root;
	if (slot != m->slot)
		oli_space_forget_slot(m, slot);
	oli_space_reap(m, slot);
}

static u64 iommu_tick(struct oli_machine *m, void *root, void *localp, u64 now)
{
	struct oli_iommu_local *l = localp;
	u64 first = 0;

	(void)now;
	pthread_mutex_lock(&l->lock);
	for (struct oli_domain *d = l->domains; d; d = d->next) {
		const struct oli_space *s = &((struct oli_iommu *)root)->space[d->hw->id];
		u64 at = oli_lazy_tick(d);

		if (s->journal)
			oli_history_name_sites(m, s);

		if (at && (!first || at < first))
			first = at;
	}
	pthread_mutex_unlock(&l->lock);
	return first;
}

const struct oli_part oli_iommu_part = {
	.name = "iommu",
	.root_size = sizeof(struct oli_iommu),
	.init = iommu_init,
	.attach = iommu_attach,
	.detach = iommu_detach,
	.reap = iommu_reap,
	.tick = iommu_tick,
};
