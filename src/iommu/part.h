/* SPDX-License-Identifier: MIT */
/* What a process keeps beside the machine's spaces: the list of its domains. */
#ifndef OLI_IOMMU_PART_H
#define OLI_IOMMU_PART_H

#include "base/bias.h"
#include "iommu/domain.h"

struct oli_iommu_local {
	pthread_mutex_t lock; /* the list, and making and ending domains */
	struct oli_domain *domains;
};

#define OLI_LAZY_MOST 256u

/* What waits for a flush in a lazy domain; guarded by the domain's lock. */
struct oli_lazy {
	u32 nr; /* releases that wait: [0, nr) of @wait */
	bool armed; /* the service thread looks at this domain from time to time */
	bool idle; /* nothing was added since it looked last */
	u64 first_ns; /* the machine's time of the first that waits */
	u64 period_ns;
	struct oli_iova_claim wait[OLI_LAZY_MOST];
};

struct oli_domain {
	struct oli_bias lock; /* tables, lazy, stats */
	struct oli_hw *hw;
	struct oli_iova iova;
	struct oli_lazy lazy;
	struct oli_domain_stats stats;
	struct oli_machine *m;
	struct oli_iommu_local *local; /* NULL once the process has detached */
	struct oli_domain *next;
	u32 users; /* local->lock */
	u8 node;
};

/* reserve.c: keep from being handed out what must not be an IOVA. */
OLI_MUST_CHECK int oli_domain_reserve(struct oli_domain *d);

/* lazy.c; the domain's lock is held. */
void oli_lazy_add(struct oli_domain *d, const struct oli_iova_claim *claim);
void oli_lazy_flush(struct oli_domain *d);
/* Service thread, no lock held. Return: when to look again, 0 not at all. */
u64 oli_lazy_tick(struct oli_domain *d);

#endif
