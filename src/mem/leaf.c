// SPDX-License-Identifier: MIT
/*
 * Leaves: an array for each 2 MiB of addresses in which something is pinned.
 *
 * Programs pin buffers, not single pages, so one search is followed by many uses of
 * what it found. The table of buckets does not grow: its 32 KiB are enough for 8 GiB with
 * one leaf a bucket, and for the RAM of the largest machine with eight.
 */
#include <stdlib.h>

#include "base/fault.h"
#include "mem/leaf.h"

static struct oli_leaf **bucket_of(struct oli_leaves *all, u64 va)
{
	u64 hash = (va >> OLI_BLOCK_SHIFT) * 0x9e3779b97f4a7c15ull;

	return &all->bucket[hash >> (64 - OLI_LEAF_BUCKET_BITS)];
}

struct oli_leaf *oli_leaf_find(struct oli_leaves *all, u64 va)
{
	struct oli_leaf *l = *bucket_of(all, va);

	va &= ~(OLI_LEAF_SIZE - 1);
	while (l && l->va != va)
		l = l->next;
	return l;
}

struct oli_leaf *oli_leaf_make(struct oli_leaves *all, u64 va)
{
	struct oli_leaf *l = oli_leaf_find(all, va), **bucket = bucket_of(all, va);

	if (l)
		return l;
	l = OLI_FAULT() ? NULL : calloc(1, sizeof(*l));
	if (!l)
		return NULL;
	l->va = va & ~(OLI_LEAF_SIZE - 1);
	l->next = *bucket;
	*bucket = l;
	return l;
}

void oli_leaf_drop(struct oli_leaves *all, struct oli_leaf *l)
{
	struct oli_leaf **at = bucket_of(all, l->va);

	if (l->used)
		return;
	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	free(l);
}

void oli_leaves_free(struct oli_leaves *all)
{
	for (u32 i = 0; i < OLI_ARRAY_SIZE(all->bucket); i++)
		while (all->bucket[i]) {
			struct oli_leaf *l = all->bucket[i];

			all->bucket[i] = l->next;
			free(l);
		}
}
