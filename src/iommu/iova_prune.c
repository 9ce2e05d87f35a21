// SPDX-License-Identifier: MIT
/*
 * Dropping the tree's nodes that are all free again.
 *
 * Threads read links and records without the lock, so nodes go only while all
 * threads are held off, and what threads remember of leaves is forgotten. That
 * is dear, and therefore done when the number of leaves has doubled since the
 * last time: a few instructions a leaf, over time.
 *
 * A leaf with a block in a magazine is not all free, so the offsets in magazines
 * stay good.
 */
#include <string.h>

#include "iommu/iova_int.h"

#define PRUNE_LEAST 256 /* leaves: 2 MiB */

void oli_iova_tree_drop(struct oli_iova *v, u64 off, u32 level)
{
	struct oli_iova_node *n = oli_iova_at(v, off);
	u32 i;

	if (level == 1) {
		v->s->leaves--;
		oli_iova_mem_free(v, off, sizeof(struct oli_iova_leaf));
		return;
	}
	for (i = 0; i < 64; i++)
		if (n->kid[i])
			oli_iova_tree_drop(v, n->kid[i], level - 1);
	oli_iova_mem_free(v, off, sizeof(*n));
}

static void prune(struct oli_iova *v, struct oli_iova_node *n, u32 level)
{
	u32 i;

	for (i = 0; level > 1 && i < 64; i++) {
		if (!n->kid[i])
			continue;
		if (n->whole >> i & 1) {
			oli_iova_tree_drop(v, n->kid[i], level - 1);
			n->kid[i] = 0;
		} else {
			prune(v, oli_iova_at(v, n->kid[i]), level - 1);
		}
	}
}

void oli_iova_prune(struct oli_iova *v)
{
	struct oli_iova_state *s = v->s;
	struct oli_iova_slot *slot;
	u32 i;

	if (s->leaves < s->prune_at)
		return;
	oli_iova_stop(v);
	prune(v, oli_iova_at(v, s->root), s->levels);
	for (i = 0; i < OLI_ARRAY_SIZE(s->slot); i++) {
		if (!s->slot[i])
			continue;
		slot = oli_iova_at(v, s->slot[i]);
		/* All ones: OLI_IOVA_NO_LEAF. */
		memset(slot->near, 0xff, sizeof(slot->near));
	}
	oli_iova_resume(v);
	s->prune_at = 2 * s->leaves > PRUNE_LEAST ? 2 * s->leaves : PRUNE_LEAST;
}
