/* SPDX-License-Identifier: MIT */
/* Synthesised files of the sys tree. Inside uapi/ only. */
#ifndef OLI_UAPI_SYSFS_H
#define OLI_UAPI_SYSFS_H

#include "rdma/rdma.h"
#include "uapi/uapi.h"

#define OLI_PATH_SIZE sizeof(((struct oli_path *)0)->real)
#define OLI_SYNTH_MAX 64 /* bytes of any content */

enum oli_synth_kind { OLI_SYNTH_GID, OLI_SYNTH_TYPE, OLI_SYNTH_NDEV, OLI_SYNTH_COUNTER };

struct oli_synth {
	enum oli_synth_kind kind;
	u32 dev;
	u32 index; /* GID slot, or number of the counter */
};

/* Past @prefix at *@p, if it is there. */
bool oli_path_skip(const char **p, const char *prefix);
/* A whole decimal number below @limit, written as the kernel writes it. */
bool oli_path_number(const char *s, u32 limit, u32 *out);

/* Is @rel, below /sys, a synthesised file? */
bool oli_synth_find(struct oli_machine *m, const char *rel, struct oli_synth *s);
/* Length of the content in @buf, or -EINVAL: the attributes of an empty slot cannot be read. */
int oli_synth_text(struct oli_machine *m, const struct oli_synth *s, char buf[OLI_SYNTH_MAX]);
/* The name of hardware counter @index, NULL after the last. */
const char *oli_counter_name(u32 index);

#endif
