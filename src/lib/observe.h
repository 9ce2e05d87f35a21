/* SPDX-License-Identifier: MIT */
/* What the files of the library share. */
#ifndef OLI_LIB_OBSERVE_H
#define OLI_LIB_OBSERVE_H

#include <olio/machine.h>

#include "base/sys.h"
#include "rdma/obj.h"

struct olio_machine {
	struct oli_machine *m;
};

/*
 * Hand the structure @full of @known bytes to a caller whose own begins with
 * the size that it knows; the size member stays the caller's.
 * Return: 1, or -EINVAL for a caller that set no size.
 */
int oli_copy_out(void *out, const void *full, u32 known);
/* Copy text that may lack its NUL. */
void oli_copy_text(char *to, size_t to_size, const char *from, size_t from_size);

/* Of all devices behind it: "vtdss strict", "none". */
void oli_iommu_text(const struct oli_desc *d, char *out, size_t size);

/* What is at a physical address, in words: "python3 0x7f…", "bounce", "BAR 0 of acc0". */
void oli_target_text(struct oli_machine *m, u64 pa, char *out, size_t size);

/* 0 if the slot is empty. */
s32 oli_slot_pid(struct oli_machine *m, u32 slot);
/* How a process's memory is reached from here: "process_vm", "ring", "-". */
const char *oli_slot_way(struct oli_machine *m, u32 slot);
/* Fill the numbers of objects that @slot owns. */
void oli_count_objects(struct oli_machine *m, u16 slot, struct olio_process_info *out);

#endif
