/* SPDX-License-Identifier: MIT */
/* The past of an address of a space, for fault.c. @s has a journal, and somebody keeps it there. */
#ifndef OLI_IOMMU_HISTORY_H
#define OLI_IOMMU_HISTORY_H

#include "iommu/space.h"

/* 0: not known. */
struct oli_past {
	u64 mapped_ns, mapped_len, mapped_site;
	u64 unmapped_ns, unmapped_site;
};

void oli_history_find(struct oli_machine *m, const struct oli_space *s, u64 at, u64 size,
		      struct oli_past *out);
/* The name of a site of the space's process, or its number. */
void oli_history_site(struct oli_machine *m, const struct oli_space *s, u64 pc, char *text,
		      size_t size);
/* Service thread of the space's process: find out the names of new sites. */
void oli_history_name_sites(struct oli_machine *m, const struct oli_space *s);

#endif
