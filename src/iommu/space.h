/* SPDX-License-Identifier: MIT */
/*
 * Address spaces as they lie in the machine: what soft.c, xlate.c and fault.c share.
 *
 * Words
 *   space    the tables of one device and process, its IOTLB, who is inside it
 *   seat     of one process in one space: how many of its threads are inside, once
 *            for even and once for odd generations
 *   drain    go on to the next generation, and wait for those of the one before
 *   live     the generation number of the space's user, 0 when there is none
 *
 * Seats are never given back: somebody late may sit down in a space that has just
 * ended, notice it, and get up again. All else of a space is its owner's and goes
 * with it, after a drain.
 */
#ifndef OLI_IOMMU_SPACE_H
#define OLI_IOMMU_SPACE_H

#include "iommu/fault.h"
#include "iommu/xlate.h"

#define OLI_SPACES 512

/* Entries older than this many generations are wiped: see oli_tlb_check(). */
#define OLI_TLB_WIPE 2048u

/* @in[g & 1]: threads that are inside in generation g, and above 16 bits those that were. */
struct oli_seat {
	_Alignas(64) _Atomic u64 in[2];
};

#define OLI_SEAT_VISIT (1ull << 16)
#define OLI_SEAT_MASK  (OLI_SEAT_VISIT - 1)

/* One map or unmap. @site: where, in the process that the space belongs to. */
struct oli_history {
	_Atomic u64 iova;
	_Atomic u64 len; /* bytes; the top bit says map */
	_Atomic u64 time_ns;
	_Atomic u64 site;
};

static_assert(sizeof(struct oli_history) == 32, "one entry is half a cache line");

#define OLI_SITES 64

/* The name of a site, for other processes. */
struct oli_site {
	_Atomic u64 pc;
	_Atomic u32 named; /* @text is whole */
	char text[92];
};

struct oli_journal {
	_Atomic u64 next;
	struct oli_history entry[OLI_HISTORY];
	struct oli_site site[OLI_SITES];
};

struct oli_space {
	_Atomic u32 live;
	u32 gen;   /* counts its users; part lock */
	u32 owner; /* slot + 1, 0: nobody's; part lock, or the reaper */
	u8 node;
	bool caching;
	struct oli_pt_config config;
	struct olio_pa root;
	_Atomic u64 generation;	  /* of the IOTLB, never 0 */
	_Atomic u64 entered[OLI_SLOTS / 64]; /* slots that ever were inside */
	_Atomic u64 seats;	  /* offset of OLI_SLOTS seats, 0: never used */
	u64 tlb;		  /* offset */
	u64 tlb_bytes;
	u32 tlb_entries;
	u64 journal;		  /* offset, 0: none is kept */
	_Atomic u64 visits, misses; /* @visits: of those who died */
};

struct oli_iommu {
	struct oli_lock lock; /* taking spaces */
	_Atomic u64 fault_next;
	_Atomic u32 said[OLI_NODES]; /* bit: a fault of this kind was in the log */
	struct oli_fault fault[OLI_FAULTS_KEPT];
	struct oli_space space[OLI_SPACES];
};

struct oli_iommu *oli_iommu(const struct oli_machine *m);

/*
 * A space for @node and this process, empty and not yet live; with an IOTLB of
 * @entries (a power of two). Return: 0, -ENOSPC, -ENOMEM.
 */
OLI_MUST_CHECK int oli_space_take(struct oli_machine *m, u8 node, u32 entries, bool journal,
				  struct oli_space **out);
/* Fields are filled in: it can be entered from now on. */
void oli_space_publish(struct oli_space *s);
/* Nobody is inside afterwards, or ever again. Its tables may go after that, and then the rest. */
void oli_space_close(struct oli_machine *m, struct oli_space *s);
void oli_space_give(struct oli_machine *m, struct oli_space *s);
void oli_space_drain(struct oli_machine *m, struct oli_space *s);
/* For part.c: seats of @slot in all spaces; and its own spaces. */
void oli_space_forget_slot(struct oli_machine *m, u16 slot);
void oli_space_reap(struct oli_machine *m, u16 slot);

/* Memory of tables, for those who only read them. */
void oli_space_reader(const struct oli_machine *m, struct oli_pt_mem *mem);

static inline u32 oli_space_id(const struct oli_machine *m, const struct oli_space *s)
{
	return (u32)(s - oli_iommu(m)->space);
}

#endif
