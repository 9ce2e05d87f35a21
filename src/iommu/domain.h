/* SPDX-License-Identifier: MIT */
/*
 * A domain: the address space of one device and process, from the driver's side.
 * IOVA allocator, entries and invalidation in one place, so that no order of them
 * can be got wrong above.
 *
 *   alloc -> map … -> sync -> (the device uses it) -> unmap -> flush -> free
 *
 *   strict  unmap and free flush before they return
 *   lazy    oli_domain_release() takes entries out now, and puts the IOVAs aside
 *           until a flush: when 256 wait, or 10 ms after the first of them (S5).
 *           Until then the device may still hit its IOTLB; what it hits is stale,
 *           but never somebody else's, for neither IOVA nor table page is reused
 *
 * Concurrency: any thread; one lock a domain, taken inside, biased to the thread
 * that uses it most (base/bias.h). It is held across backend calls.
 *
 * IOVAs are given out below the device's mask, first below 4 GiB; never page 0,
 * the interrupt window, any BAR's bus address (a switch would turn such a request
 * aside), nor any physical address of RAM or low memory: so that no DMA address is
 * ever equal to what it stands for.
 */
#ifndef OLI_IOMMU_DOMAIN_H
#define OLI_IOMMU_DOMAIN_H

#include "iommu/hw.h"
#include "iommu/iova.h"

extern const struct oli_part oli_iommu_part;
#define OLI_PART_IOMMU 3

struct oli_domain;

/*
 * The domain of @node and this process; one for both, counted.
 * Return: 0; -EOPNOTSUPP there is no IOMMU for it; -ENOMEM, -ENOSPC.
 */
OLI_MUST_CHECK int oli_domain_get(struct oli_machine *m, u8 node, struct oli_domain **out);
void oli_domain_put(struct oli_domain *d);

const struct oli_hw *oli_domain_hw(const struct oli_domain *d);

/* @size: whole granules. @limit: last address that the device can emit. Return: 0, -ENOSPC, -ENOMEM, -EINVAL. */
OLI_MUST_CHECK int oli_domain_alloc(struct oli_domain *d, u64 size, u64 limit,
				    struct olio_iova *out);
/* Exactly [@iova, @iova + @size). Return: 0, -EBUSY, -ERANGE, -EINVAL, -ENOMEM. */
OLI_MUST_CHECK int oli_domain_alloc_at(struct oli_domain *d, struct olio_iova iova, u64 size);
/* What alloc gave, with nothing mapped in it. Return: 0, -ENOENT not exactly that. */
OLI_MUST_CHECK int oli_domain_free(struct oli_domain *d, struct olio_iova iova, u64 size);

/* Inside what was allocated. No sync. Return: as oli_hw_ops.map. */
OLI_MUST_CHECK int oli_domain_map(struct oli_domain *d, struct olio_iova_range iova,
				  struct olio_pa pa, u32 prot);
OLI_MUST_CHECK int oli_domain_sync(struct oli_domain *d, struct olio_iova_range iova);

/* domain_batch.c: memory that is to lie beside other memory. */
struct oli_domain_piece {
	struct olio_pa pa;
	u64 size; /* whole granules, not 0 */
	u32 prot;
};
/*
 * @n pieces side by side from @start on, as oli_domain_map() would one by one. On failure
 * some of the first may be mapped: the caller takes the whole range out.
 */
OLI_MUST_CHECK int oli_domain_map_pieces(struct oli_domain *d, struct olio_iova start,
					 const struct oli_domain_piece *piece, size_t n);
/* Take out and flush, always strict; the IOVAs stay allocated. Return: bytes that were mapped. */
u64 oli_domain_unmap(struct oli_domain *d, struct olio_iova_range iova);
/*
 * Take out and free the IOVAs: strict at once, lazy later. The fast path of unmap.
 * Return: 0; -ENOENT: not exactly an allocated range (nothing was changed).
 */
OLI_MUST_CHECK int oli_domain_release(struct oli_domain *d, struct olio_iova iova, u64 size);
/*
 * alloc, map and sync of one run, in one go: the fast path of map. @iova->start is
 * filled in. Return: as its parts; on failure nothing has changed.
 */
OLI_MUST_CHECK int oli_domain_map_new(struct oli_domain *d, struct olio_pa pa, u64 size, u32 prot,
				      u64 limit, struct olio_iova *out);

OLI_MUST_CHECK int oli_domain_look(struct oli_domain *d, struct olio_iova iova,
				   struct oli_pt_leaf *leaf);
/* Flush what waits, now. */
void oli_domain_flush(struct oli_domain *d);

struct oli_domain_stats {
	u64 maps, unmaps, syncs, flushes, deferred; /* deferred: waiting now */
};
void oli_domain_stats(struct oli_domain *d, struct oli_domain_stats *out);
OLI_MUST_CHECK bool oli_domain_is_valid(struct oli_domain *d);

#endif
