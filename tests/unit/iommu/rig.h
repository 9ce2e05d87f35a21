/* SPDX-License-Identifier: MIT */
/*
 * A machine of the test's own with an IOMMU and two devices, and nothing above it:
 * the parts that are not under test stand empty.
 */
#ifndef OLI_TESTS_IOMMU_RIG_H
#define OLI_TESTS_IOMMU_RIG_H

#include "iommu/domain.h"
#include "iommu/fault.h"
#include "iommu/xlate.h"

#define RIG_NODE  1 /* of the device "dev0" */
#define RIG_OTHER 2 /* "dev1" */
#define RIG_RW	  (OLI_PT_READ | OLI_PT_WRITE)

/* A description with these; more may be changed before rig_open(). */
struct oli_desc rig_desc(enum oli_pt_format_id format, enum oli_iommu_mode mode);

/* Choose the machine's directory, for children of fork() that are to find it. */
void rig_name(void);
/* Attach to the test's machine, made after @d if there is none. */
struct oli_machine *rig_open(const struct oli_desc *d);
/* For children: end without any clean-up. */
_Noreturn void rig_leave(int code);
/* Wait for a child. Return: its exit code, 128 + the signal. */
int rig_wait(int pid);

#define RIG_NO_SPACE (-1000)
/* One access of the device: enter, translate one byte, exit. Return: as oli_xlate(), or NO_SPACE. */
int rig_access(struct oli_machine *m, const struct oli_hw *hw, u64 iova, u32 access, u64 *pa);

/* Pages of the machine's heap in use. */
u64 rig_heap(struct oli_machine *m);

/* A small generator, replayable. */
u32 rig_random(u64 *state);

#endif
