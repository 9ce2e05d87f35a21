/* SPDX-License-Identifier: MIT */
/*
 * The device's side of an address space: translation with an IOTLB.
 *
 * An address space lives in the machine, so any process that runs the device's
 * code can translate in it. Its IOTLB lies there too, since it is the device's:
 * direct-mapped, filled by walks of the tables, emptied by a generation number. A
 * hit takes no lock. An entry that is torn by two writers at once, or by one that was
 * killed, does not match.
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

#include <stdatomic.h>

#include "iommu/hw.h"

enum { OLI_ACCESS_READ = 1, OLI_ACCESS_WRITE = 2 };

struct oli_space;

/*
 * An entry of the IOTLB: a page, or a large page. @data says where it is and what is
 * allowed, @check which address and generation that is for, mixed with @data.
 */
struct oli_tlb_entry {
	_Atomic u64 check;
	_Atomic u64 data;
};

/* @data: OLI_ACCESS_* and the physical address. ABSENT: there was no entry (caching mode). */
#define OLI_TLB_ABSENT (1ull << 8)
#define OLI_TLB_PA     0x000ffffffffff000ull

/* An entry covers a page of one of these sizes, also where the table's entry is larger. */
#define OLI_TLB_SMALL 12
#define OLI_TLB_LARGE 21

/* Where a transaction is: on the caller's stack. */
struct oli_xlate {
	struct oli_tlb_entry *tlb; /* small ones; large ones follow */
	u64 mask;		   /* number of small ones - 1, in bytes */
	u64 mix;		   /* the generation, as it is in @check */
	struct oli_machine *m;
	struct oli_space *space; /* private */
	u32 id, gen;
	u64 generation; /* at enter: newer is looked at again */
};

/* Return: 0; -ENOENT there is no space @id of generation @gen: it ended, or never was. */
OLI_MUST_CHECK int oli_xlate_enter(struct oli_machine *m, u32 id, u32 gen, struct oli_xlate *x);
void oli_xlate_exit(struct oli_xlate *x);

/* The rest of oli_xlate(): large pages, walks, refusals. */
OLI_MUST_CHECK int oli_xlate_slow(struct oli_xlate *x, struct olio_iova iova, u32 access,
				  struct olio_pa *pa, u64 *len);

/*
 * What makes an entry match. Two entries with the same @data and different generations
 * less than 4096 apart differ in the low 12 bits, for the multiplier is odd; none older
 * than that is left (OLI_TLB_WIPE). Halves of two entries agree by chance only.
 */
static inline u64 oli_tlb_mix(u64 generation)
{
	return generation * 0xd6e8feb86659fd93ull;
}

static inline u64 oli_tlb_check(u64 page, u64 data, u64 mix)
{
	return page ^ mix ^ data * 0x9e3779b97f4a7c15ull;
}

static inline u64 oli_tlb_mask(unsigned int lg2)
{
	return (1ull << lg2) - 1;
}

static_assert(sizeof(struct oli_tlb_entry) == 16, "an index is shifted by 4");

/* Neighbours lie beside each other, and pages that are 1 MiB apart do not meet either. */
static inline struct oli_tlb_entry *oli_tlb_small(const struct oli_xlate *x, u64 iova)
{
	return (void *)((char *)x->tlb + ((iova >> 8 ^ iova >> 16) & x->mask));
}

/* Fill in @pa and @len from the entry of a page of 2^@lg2 bytes. */
static inline void oli_tlb_result(u64 data, u64 iova, unsigned int lg2, struct olio_pa *pa,
				  u64 *len)
{
	u64 off = iova & oli_tlb_mask(lg2), cover = (1ull << lg2) - off;

	pa->v = (data & OLI_TLB_PA) | off;
	if (*len > cover)
		*len = cover;
}

/*
 * @access: one of OLI_ACCESS_*, or both. *@len: in, bytes wanted; out, how many of
 * them the entry covers. Return: 0; -ENOENT absent; -EACCES present, but not for
 * this; -ERANGE beyond the space. Nothing is recorded: see fault.h.
 */
OLI_MUST_CHECK static inline int oli_xlate(struct oli_xlate *x, struct olio_iova iova, u32 access,
					   struct olio_pa *pa, u64 *len)
{
	struct oli_tlb_entry *e = oli_tlb_small(x, iova.v);
	u64 data = atomic_load_explicit(&e->data, memory_order_relaxed);
	u64 check = atomic_load_explicit(&e->check, memory_order_relaxed);
	u64 page = iova.v & ~oli_tlb_mask(OLI_TLB_SMALL);

	if (__builtin_expect((check ^ oli_tlb_check(page, data, x->mix)) | (access & ~data), 0))
		return oli_xlate_slow(x, iova, access, pa, len);
	oli_tlb_result(data, iova.v, OLI_TLB_SMALL, pa, len);
	return 0;
}

/*
 * Did the last hit come from an entry that is no longer in the tables (the lazy
 * window)? Walks; for the checker.
 */
bool oli_xlate_stale(struct oli_xlate *x, struct olio_iova iova);

struct oli_iotlb_stats {
	u64 visits; /* enters that were left again */
	u64 misses; /* walks */
	u64 generation;
};
void oli_iotlb_stats(struct oli_machine *m, u32 id, struct oli_iotlb_stats *out);

#endif
