/* SPDX-License-Identifier: MIT */
/*
 * The readers: look-up, walk, accessed and dirty bits, and freeing everything.
 *
 * They may run beside one writer. An item is loaded once and judged by that; a
 * table that a walker reached stays a table until the flush that the writer owes.
 */
#ifndef OLI_IOMMU_PT_LOOK_H
#define OLI_IOMMU_PT_LOOK_H

#include "iommu/pt/item.h"

PT_INLINE u64 *root_cpu(const struct oli_pt *pt)
{
	return table_cpu(pt->mem, pt->root.v);
}

/* The first item of the leaf whose item for @iova is @item. */
PT_INLINE u64 *leaf_first(unsigned int level, u64 *item, u64 iova, unsigned int lg2)
{
	return item - ((iova & ((1ull << lg2) - 1)) >> slot_lg2(level));
}

PT_INLINE void leaf_fill(unsigned int level, u64 *at, u64 item, u64 iova, struct oli_pt_leaf *leaf)
{
	unsigned int lg2 = fmt_leaf_lg2(level, item), n = 1u << (lg2 - slot_lg2(level));
	u64 mask = (1ull << lg2) - 1, marks = item;

	if (FMT_BLOCKS && n > 1)
		for (at = leaf_first(level, at, iova, lg2); n--; at++)
			marks |= item_load(at);
	*leaf = (struct oli_pt_leaf){
		.iova = {{iova & ~mask}, {iova | mask}},
		.pa = {fmt_leaf_pa(level, item)},
		.attrs = fmt_attrs(item),
		.lg2 = (u8)lg2,
		.accessed = marks & FMT_ACCESSED,
		.dirty = marks & FMT_DIRTY,
	};
}

/* The item for @iova in the lowest table, and its value. */
PT_INLINE u64 *look_item(const struct oli_pt *pt, u64 iova, unsigned int *level, u64 *value)
{
	u64 *item = root_cpu(pt) + slot_index(pt->levels, iova);

	*level = pt->levels;
	for (;;) {
		*value = item_load(item);
		if (*level == 1 || !*value || !fmt_is_table(*level, *value))
			return item;
		--*level;
		item = table_cpu(pt->mem, fmt_table_pa(*value)) + slot_index(*level, iova);
	}
}

static int pt_look(const struct oli_pt *pt, u64 iova, struct oli_pt_leaf *leaf)
{
	unsigned int level;
	u64 value, *item = look_item(pt, iova, &level, &value);

	if (!value)
		return -ENOENT;
	leaf_fill(level, item, value, iova, leaf);
	return 0;
}

static int walk_table(const struct oli_pt *pt, unsigned int level, u64 *table, u64 start, u64 last,
		      oli_pt_visit visit, void *arg)
{
	u64 at = start, stop, item;
	struct oli_pt_leaf leaf;
	int rc = 0;

	for (;; at = stop + 1) {
		stop = slot_stop(level, at, last);
		item = item_load(table + slot_index(level, at));
		if (item && level > 1 && fmt_is_table(level, item)) {
			rc = walk_table(pt, level - 1, table_cpu(pt->mem, fmt_table_pa(item)), at,
					stop, visit, arg);
		} else if (item) {
			leaf_fill(level, table + slot_index(level, at), item, at, &leaf);
			stop = leaf.iova.last.v < last ? leaf.iova.last.v : last;
			rc = visit(arg, &leaf);
		}
		if (rc || stop == last)
			return rc;
	}
}

static int pt_walk(const struct oli_pt *pt, u64 start, u64 last, oli_pt_visit visit, void *arg)
{
	return walk_table(pt, pt->levels, root_cpu(pt), start, last, visit, arg);
}

/* ---- accessed and dirty ---- */

static int pt_touch(const struct oli_pt *pt, u64 iova, bool write)
{
	u64 value, *item, marks = FMT_ACCESSED | (write ? FMT_DIRTY : 0);
	unsigned int level;

	for (;;) {
		item = look_item(pt, iova, &level, &value);
		if (!value)
			return -ENOENT;
		if ((value & marks) == marks)
			return 0;
		if (__atomic_compare_exchange_n(item, &value, value | marks, false,
						__ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			return 0;
	}
}

/* Take the dirty mark of the leaf at @iova away; only a writer calls this. */
static void dirty_clear(const struct oli_pt *pt, u64 iova)
{
	unsigned int level, lg2, n;
	u64 value, *item = look_item(pt, iova, &level, &value);

	if (!value)
		return;
	lg2 = fmt_leaf_lg2(level, value);
	n = 1u << (lg2 - slot_lg2(level));
	for (item = leaf_first(level, item, iova, lg2); n--; item++) {
		__atomic_fetch_and(item, ~FMT_DIRTY, __ATOMIC_ACQ_REL);
		clean(pt->mem, item, sizeof(*item));
	}
}

struct dirty_walk {
	const struct oli_pt *pt;
	oli_pt_visit visit;
	void *arg;
	bool clear;
};

static int dirty_leaf(void *arg, const struct oli_pt_leaf *leaf)
{
	struct dirty_walk *w = arg;

	if (!leaf->dirty)
		return 0;
	if (w->clear)
		dirty_clear(w->pt, leaf->iova.start.v);
	return w->visit(w->arg, leaf);
}

static int pt_dirty(const struct oli_pt *pt, u64 start, u64 last, bool clear, oli_pt_visit visit,
		    void *arg)
{
	struct dirty_walk w = {pt, visit, arg, clear};

	return pt_walk(pt, start, last, dirty_leaf, &w);
}

/* ---- the end ---- */

static void free_table(const struct oli_pt *pt, unsigned int level, u64 pa)
{
	u64 *table = table_cpu(pt->mem, pa);
	unsigned int i;

	for (i = 0; level > 1 && i < OLI_PT_ITEMS; i++)
		if (table[i] && fmt_is_table(level, table[i]))
			free_table(pt, level - 1, fmt_table_pa(table[i]));
	pt->mem->ops->free(pt->mem->ctx, (struct olio_pa){pa});
}

static void pt_free(const struct oli_pt *pt)
{
	free_table(pt, pt->levels, pt->root.v);
}

/* What a format's struct oli_pt_format takes from the algorithms. */
#define FMT_CALLS                                                                                  \
	.map = pt_map, .unmap = pt_unmap, .look = pt_look, .walk = pt_walk, .touch = pt_touch,     \
	.dirty = pt_dirty, .free = pt_free

#endif
