/* SPDX-License-Identifier: MIT */
/*
 * Unmap: first the leaves that stick out of the range at either end are split,
 * which is all that can fail; then whole slots go, and whole subtrees with them.
 *
 * A split never takes a mapping away, not even for a moment: the smaller leaves
 * are written first, or over items that say the same. A mark of hardware that
 * comes in the middle of it may be lost.
 */
#ifndef OLI_IOMMU_PT_UNMAP_H
#define OLI_IOMMU_PT_UNMAP_H

#include "iommu/pt/leaf.h"

/* ---- splitting ---- */

/* The item for @at, in the lowest table there is, and its value. */
PT_INLINE u64 *descend(const struct oli_pt *pt, u64 *table, unsigned int *level, u64 at, u64 *value)
{
	u64 *item;

	for (;; --*level) {
		item = table + slot_index(*level, at);
		*value = item_load(item);
		if (!*value || !fmt_is_table(*level, *value))
			return item;
		table = table_cpu(pt->mem, fmt_table_pa(*value));
	}
}

/*
 * A leaf is to begin at @cut, and @at is in the leaf that does not allow it, if
 * any does. Return: tables that the split takes, or -1 if there is none.
 */
static int split_cost(const struct oli_pt *pt, u64 *table, unsigned int level, u64 at, u64 cut)
{
	int cost = 0;
	u64 item;

	descend(pt, table, &level, at, &item);
	if (!item || !(cut & ((1ull << fmt_leaf_lg2(level, item)) - 1)))
		return -1;
	while (cut & slot_mask(level--))
		cost++;
	return cost;
}

/* What hardware marked in any item of a block holds for the whole of it. */
PT_INLINE u64 block_bits(unsigned int level, const u64 *item, unsigned int n)
{
	u64 bits = 0;

	while (n--)
		bits |= fmt_leaf_bits(level, item_load(item + n));
	return bits;
}

/* The block [first, last] is written as smaller ones, and @cut's slot as one of its own. */
static void split_block(const struct job *j, unsigned int level, u64 *table, u64 first, u64 last,
			u64 cut)
{
	u64 slot = cut & ~slot_mask(level), next = slot;

	if (slot != first)
		put_leaves(j, level, table, first, slot - 1);
	if (slot != cut) {
		put_leaves(j, level, table, slot, slot_last(level, slot));
		next = slot_last(level, slot) + 1;
	}
	if (slot_last(level, slot) != last || slot == cut)
		put_leaves(j, level, table, next, last);
}

/* A table of leaves in the place of a leaf of one slot. */
static void split_slot(struct job *j, unsigned int level, u64 *item, u64 at)
{
	u64 pa, *child = reserve_take(j, &pa);

	put_leaves(j, level - 1, child, at & ~slot_mask(level), slot_last(level, at));
	table_link(j, level, item, child, pa);
}

static void split(struct job *j, u64 *top, unsigned int top_level, u64 at, u64 cut)
{
	unsigned int level, lg2;
	u64 *item, value, first, mask;

	for (;;) {
		level = top_level;
		item = descend(j->pt, top, &level, at, &value);
		lg2 = value ? fmt_leaf_lg2(level, value) : 0;
		mask = (1ull << lg2) - 1;
		if (!(cut & mask))
			return;
		first = at & ~mask;
		item -= (at - first) >> slot_lg2(level);
		j->bits = block_bits(level, item, 1u << (lg2 - slot_lg2(level)));
		j->delta = fmt_leaf_pa(level, value) - first;
		if (lg2 > slot_lg2(level))
			split_block(j, level, item - slot_index(level, first), first, first | mask,
				    cut);
		else
			split_slot(j, level, item, at);
	}
}

static int split_edges(struct job *j, u64 *table, unsigned int level, u64 start, u64 last)
{
	int head = split_cost(j->pt, table, level, start, start);
	int tail = split_cost(j->pt, table, level, last, last + 1);

	if (head < 0 && tail < 0)
		return 0;
	j->need = (u64)(head > 0 ? head : 0) + (u64)(tail > 0 ? tail : 0);
	if (reserve_fill(j))
		return -ENOMEM;
	if (head >= 0)
		split(j, table, level, start, start);
	if (tail >= 0)
		split(j, table, level, last, last + 1);
	reserve_drop(j);
	return 0;
}

/* ---- clearing ---- */

PT_INLINE u64 clear_granules(const struct job *j, u64 *table, u64 start, u64 last)
{
	unsigned int n = (unsigned int)((last - start) >> OLI_PAGE_SHIFT) + 1, found;
	u64 *item = table + slot_index(1, start);

	found = run_count(item, n);
	run_fill(item, n, 0, 0);
	clean(j->pt->mem, item, n * sizeof(*item));
	return (u64)found << OLI_PAGE_SHIFT;
}

/* No leaf sticks out of [start, last]. Return: bytes that were mapped. */
static u64 clear(struct job *j, unsigned int level, u64 *table, u64 start, u64 last)
{
	u64 *item = table + slot_index(level, start);
	u64 bytes = 0, at = start, stop, old;

	if (level == 1)
		return clear_granules(j, table, start, last);
	for (;; at = stop + 1, item++) {
		stop = slot_stop(level, at, last);
		old = item_load(item);
		if (old && !fmt_is_table(level, old)) {
			item_store(j->pt->mem, item, 0);
			bytes += slot_mask(level) + 1;
		} else if (old && stop - at == slot_mask(level)) {
			item_store(j->pt->mem, item, 0);
			bytes += gather_subtree(j, level - 1, fmt_table_pa(old));
		} else if (old) {
			bytes += clear(j, level - 1, table_cpu(j->pt->mem, fmt_table_pa(old)), at,
				       stop);
		}
		if (stop == last)
			return bytes;
	}
}

/* Leaves to split, or tables to go through. */
static __attribute__((noinline)) s64 unmap_slow(struct oli_pt *pt, unsigned int level, u64 *table,
						u64 start, u64 last, struct oli_pt_gather *gather)
{
	struct job j = {.pt = pt, .gather = gather};

	if (split_edges(&j, table, level, start, last))
		return -ENOMEM;
	gather_range(gather, start, last);
	return (s64)clear(&j, level, table, start, last);
}

/* Does the range take whole leaves only? Not asked about tables. */
PT_INLINE bool edges_whole(unsigned int level, const u64 *head, const u64 *tail, u64 start,
			   u64 last)
{
	u64 first = item_load(head), end = item_load(tail);

	if (!FMT_BLOCKS)
		return true;
	return !(first && start & ((1ull << fmt_leaf_lg2(level, first)) - 1)) &&
	       !(end && (last + 1) & ((1ull << fmt_leaf_lg2(level, end)) - 1));
}

static __attribute__((noinline)) s64 unmap_run(struct oli_pt *pt, u64 start, u64 last,
					       struct oli_pt_gather *gather)
{
	const struct job j = {.pt = pt};
	unsigned int level;
	u64 *table = path_enter(pt, start, last, &level);

	if (level > 1 ||
	    !edges_whole(1, table + slot_index(1, start), table + slot_index(1, last), start, last))
		return unmap_slow(pt, level, table, start, last, gather);
	gather_range(gather, start, last);
	return (s64)clear_granules(&j, table, start, last);
}

static s64 pt_unmap(struct oli_pt *pt, u64 start, u64 last, struct oli_pt_gather *gather)
{
	u64 *item = path_slot(pt, start, last), old = item ? item_load(item) : 0;
	unsigned int level = pt->path_level;

	if (!old || fmt_is_table(level, old) || fmt_leaf_lg2(level, old) != slot_lg2(level))
		return unmap_run(pt, start, last, gather);
	item_store(pt->mem, item, 0);
	gather_range(gather, start, last);
	return (s64)slot_mask(level) + 1;
}

#endif
