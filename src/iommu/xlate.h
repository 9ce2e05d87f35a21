/* SPDX-License-Identifier: MIT */
/*
 * The device's side of an address space: translation with an IOTLB.
 *
 * An address space lives in the machine, so any process that runs the device's
 * code can translate in it. Its IOTLB lies there too, since it is the device's:
 * one of 2^n entries, filled by walks of the tables, emptied by a generation
 * number. A hit takes no lock. An entry that is torn by two writers at once, or by
 * one that was killed, does not match (each word is mixed with the others).
 *
 *   enter      count this process in as one that may hold translations
 *   translate  as often as wanted; what it returns is good until
 *   exit
 *
 * A flush bumps the generation and then waits until everybody who was in has left,
 * or died. So what is between enter and exit must be short, must not block on what
 * the mapping process might hold, and must not call the domain.
 */
#ifndef OLI_IOMMU_XLATE_H
#define OLI_IOMMU_XLATE_H

#include "iommu/hw.h"

enum { OLI_ACCESS_READ = 1, OLI_ACCESS_WRITE = 2 };

/* Where a transaction is: on the caller's stack. */
struct oli_xlate {
	struct oli_machine *m;
	struct oli_space *space; /* private */
	u32 id, gen;
	u64 generation; /* at enter: newer is looked at again */
};

/* Return: 0; -ENOENT there is no space @id of generation @gen: it ended, or never was. */
OLI_MUST_CHECK int oli_xlate_enter(struct oli_machine *m, u32 id, u32 gen, struct oli_xlate *x);
void oli_xlate_exit(struct oli_xlate *x);

/*
 * @access: one of OLI_ACCESS_*, or both. *@len: in, bytes wanted; out, how many of
 * them the entry covers. Return: 0; -ENOENT absent; -EACCES present, but not for
 * this; -ERANGE beyond the space. Nothing is recorded: see fault.h.
 */
OLI_MUST_CHECK int oli_xlate(struct oli_xlate *x, struct olio_iova iova, u32 access,
			     struct olio_pa *pa, u64 *len);

/*
 * Did the last hit come from an entry that is no longer in the tables (the lazy
 * window)? Walks; for the checker.
 */
bool oli_xlate_stale(struct oli_xlate *x, struct olio_iova iova);

struct oli_iotlb_stats {
	u64 hits, misses, generation;
};
void oli_iotlb_stats(struct oli_machine *m, u32 id, struct oli_iotlb_stats *out);

#endif
