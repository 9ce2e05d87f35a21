/* SPDX-License-Identifier: MIT */
/*
 * Faults, as the machine records them: a ring like that of struct oli_record, and
 * beside it, for each address space, the last maps and unmaps, so that a fault can
 * name who mapped there last and who took it away.
 *
 * History is kept if the checker is on for class 20 (use after unmap); each entry
 * is one store of 32 bytes.
 */
#ifndef OLI_IOMMU_FAULT_H
#define OLI_IOMMU_FAULT_H

#include "iommu/hw.h"
#include "olio/dma.h"

#define OLI_FAULTS_KEPT 256
#define OLI_HISTORY 1024

struct oli_fault {
	_Atomic u64 seq; /* 1, 2, …; 0 while being written */
	u64 time_ns;
	u32 kind;  /* enum olio_fault_kind */
	u32 write;
	u16 slot;  /* whose address space */
	u8 node;
	u8 pad;
	s32 pid;
	u64 dma, len;
	u64 pa;	   /* what it had been translated to, if it had */
	u64 mapped_ns, unmapped_ns;
	u64 mapped_len;
	char mapped_at[96], unmapped_at[96];
	char text[240];
};

/* @id, @gen: the space, or 0, 0 without. Fills in everything and says it in the log once a device and kind. */
void oli_fault_record(struct oli_machine *m, u8 node, u32 id, u32 gen, enum olio_fault_kind kind,
		      struct olio_iova dma, u64 len, u32 access, struct olio_pa pa);
/* Copy fault @seq. Return: false: not there yet, or overwritten. */
bool oli_fault_get(struct oli_machine *m, u64 seq, struct oli_fault *out);
u64 oli_fault_newest(struct oli_machine *m);

/* @site: the caller's program counter, in this process. @map: false for an unmap. */
void oli_history_add(struct oli_machine *m, u32 id, bool map, struct olio_iova iova, u64 len,
		     const void *site);

#endif
