/* SPDX-License-Identifier: MIT */
/* What the files of the description know of each other. Inside machine/ only. */
#ifndef OLI_MACHINE_DESC_INT_H
#define OLI_MACHINE_DESC_INT_H

#include "machine/desc.h"

#define OLI_RAM_UNIT (2ull << 20)
#define OLI_BAR_MIN 4096ull
/* All BARs together: they are memory of the machine's file. */
#define OLI_BAR_TOTAL (256ull << 20)

/* The table of desc_builtin.c, unchecked. */
extern const struct oli_desc oli_builtin[];
extern const u32 oli_builtin_nr;

static inline bool oli_pow2(u64 n)
{
	return n && !(n & (n - 1));
}

static inline bool oli_is_device(u8 kind)
{
	return kind == OLI_NODE_ENDPOINT_KIND || kind == OLI_NODE_PLATFORM_KIND;
}

/* A port with a link below it. The one above a switch has its link above. */
static inline bool oli_is_down_port(u8 kind)
{
	return kind == OLI_NODE_ROOT_PORT_KIND || kind == OLI_NODE_SWITCH_DOWN_KIND;
}

/* Of a tree that was checked. Return: 0 or -EINVAL with a sentence. */
OLI_MUST_CHECK int oli_desc_layout(struct oli_desc *d, char *why);
/* The rules of memory, IOMMU and bounce buffers, and what is usual there. */
OLI_MUST_CHECK int oli_desc_check_whole(struct oli_desc *d, char *why);

/* For the two: a sentence and -EINVAL. */
#define OLI_DESC_BAD(...) (snprintf(why, OLI_DESC_WHY, __VA_ARGS__), -EINVAL)

#endif
