/* SPDX-License-Identifier: MIT */
/*
 * CONTRACT of an IOMMU: the address space of one device and process, as a
 * backend provides it. The built-in machine is one backend (iommu/soft.c); the
 * host's, by VFIO and iommufd, are others. Who maps what is not decided here:
 * iommu/domain.h calls, one call at a time for one space, but for look.
 *
 * Words
 *   absent    no entry: an access is a fault
 *   take out  clear entries. What the device still remembers of them is not gone
 *   flush     make the device forget all that was taken out since the last flush,
 *             and wait for accesses that began before
 *   sync      make entries that were added good for the device; needed where absent
 *             entries are remembered too (caching mode), a cheap nothing elsewhere
 */
#ifndef OLI_IOMMU_HW_H
#define OLI_IOMMU_HW_H

#include "base/types.h"
#include "iommu/pt/pt.h"
#include "machine/machine.h"

struct oli_hw;

struct oli_hw_ops {
	const char *name;
	/*
	 * Map @iova, whole granules, to physical addresses from @pa on. @prot: OLI_PT_*.
	 * Return: 0; -EINVAL, -ERANGE, -EOPNOTSUPP as oli_pt_map(); -EADDRINUSE;
	 * -ENOMEM. On failure nothing has changed.
	 */
	int (*map)(struct oli_hw *hw, struct olio_iova_range iova, struct olio_pa pa, u32 prot);
	/*
	 * Take out what is mapped in @iova, which was mapped as a whole, or by maps that lie
	 * wholly inside: cannot fail. Return: bytes that were mapped.
	 */
	u64 (*unmap)(struct oli_hw *hw, struct olio_iova_range iova);
	/* Return: 0, or -EIO hardware that does not answer. */
	int (*sync)(struct oli_hw *hw, struct olio_iova_range iova);
	/* As above. Cannot fail; may wait for a device. */
	void (*flush)(struct oli_hw *hw);
	/* As oli_pt_look(). From any thread. */
	int (*look)(struct oli_hw *hw, struct olio_iova iova, struct oli_pt_leaf *leaf);
	/* As oli_pt_walk(). */
	int (*walk)(struct oli_hw *hw, struct olio_iova_range iova, oli_pt_visit visit, void *arg);
	/* Nothing is mapped by anybody any more. Frees @hw. */
	void (*destroy)(struct oli_hw *hw);
};

/* Filled in by the backend's create; a backend embeds it. */
struct oli_hw {
	const struct oli_hw_ops *ops;
	struct olio_iova_range aperture;
	u64 page_sizes;	 /* bit n: leaves of 2^n */
	u8 granule_shift;
	bool lazy;	 /* deferred flushes are allowed */
	bool caching;	 /* sync is needed after map */
	u32 id, gen;	 /* the device's name for the space: what xlate.h takes */
};

/* The built-in one, for device @node. Return: 0, -ENOMEM, -ENOSPC too many spaces. */
OLI_MUST_CHECK int oli_soft_create(struct oli_machine *m, u8 node, struct oli_hw **out);

#endif
