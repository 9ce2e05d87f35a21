/* SPDX-License-Identifier: MIT */
/* The frames of one aligned 2 MiB of this process's address space, found by hash. Inside pin.c's
 * lock. */
#ifndef OLI_MEM_LEAF_H
#define OLI_MEM_LEAF_H

#include "machine/phys.h"

#define OLI_LEAF_SIZE	     (1ull << OLI_BLOCK_SHIFT)
#define OLI_LEAF_BUCKET_BITS 12

struct oli_leaf {
	u64 va; /* of the first page */
	struct oli_leaf *next;
	u32 used; /* pages that have a frame */
	struct olio_pa pa[OLI_BLOCK_FRAMES]; /* 0: none */
};

struct oli_leaves {
	struct oli_leaf *bucket[1 << OLI_LEAF_BUCKET_BITS];
};

/* The leaf of the page at @va, or NULL. */
struct oli_leaf *oli_leaf_find(struct oli_leaves *all, u64 va);
/* The same, made if there is none. NULL without memory. */
struct oli_leaf *oli_leaf_make(struct oli_leaves *all, u64 va);
/* Free it if no page of it has a frame. */
void oli_leaf_drop(struct oli_leaves *all, struct oli_leaf *l);
void oli_leaves_free(struct oli_leaves *all);

/* Bytes of [@va, @va + @len) that lie in the leaf of @va. */
static inline u64 oli_leaf_room(u64 va, u64 len)
{
	u64 room = OLI_LEAF_SIZE - (va & (OLI_LEAF_SIZE - 1));

	return len < room ? len : room;
}

static inline u32 oli_leaf_index(u64 va)
{
	return (u32)(va >> OLI_PAGE_SHIFT) & (OLI_BLOCK_FRAMES - 1);
}

_Static_assert(OLI_BLOCK_FRAMES *OLI_PAGE_SIZE == OLI_LEAF_SIZE, "a leaf is a block");

#endif
