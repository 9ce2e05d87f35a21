/* SPDX-License-Identifier: MIT */
/*
 * Map: one descent for a range. plan() looks whether all of it is free and
 * counts the tables to come, and changes nothing; commit() cannot fail. The two
 * take the same decisions, slot by slot.
 */
#ifndef OLI_IOMMU_PT_MAP_H
#define OLI_IOMMU_PT_MAP_H

#include "iommu/pt/leaf.h"

/* May the slot at @at be a leaf, for a range that goes on to @last? */
PT_INLINE bool leaf_fits(const struct job *j, unsigned int level, u64 at, u64 last)
{
	return level <= j->top_leaf && !(at & slot_mask(level)) && slot_last(level, at) <= last;
}

static bool subtree_empty(const struct oli_pt *pt, unsigned int level, const u64 *table)
{
	unsigned int i;
	u64 item;

	if (run_empty(table, OLI_PT_ITEMS))
		return true;
	if (level == 1)
		return false;
	for (i = 0; i < OLI_PT_ITEMS; i++) {
		item = item_load(table + i);
		if (item && (!fmt_is_table(level, item) ||
			     !subtree_empty(pt, level - 1, table_cpu(pt->mem, fmt_table_pa(item)))))
			return false;
	}
	return true;
}

static int plan(struct job *j, unsigned int level, const u64 *table, u64 start, u64 last);

static int plan_slot(struct job *j, unsigned int level, u64 item, u64 at, u64 stop)
{
	const u64 *child = NULL;

	if (item) {
		if (!fmt_is_table(level, item))
			return -EADDRINUSE;
		child = table_cpu(j->pt->mem, fmt_table_pa(item));
	}
	if (leaf_fits(j, level, at, stop))
		return child && !subtree_empty(j->pt, level - 1, child) ? -EADDRINUSE : 0;
	if (!child)
		j->need++;
	return plan(j, level - 1, child, at, stop);
}

/* @table is NULL where there is none yet. */
static int plan(struct job *j, unsigned int level, const u64 *table, u64 start, u64 last)
{
	unsigned int i = slot_index(level, start);
	u64 at = start, stop;
	int rc;

	if (level == 1)
		return table && !run_empty(table + i, slot_index(level, last) - i + 1) ? -EADDRINUSE
										       : 0;
	for (;; at = stop + 1, i++) {
		stop = slot_stop(level, at, last);
		rc = plan_slot(j, level, table ? item_load(table + i) : 0, at, stop);
		if (rc || stop == last)
			return rc;
	}
}

/* Nothing but empty tables is in these slots: out with them. */
static void clear_way(struct job *j, unsigned int level, u64 *item, u64 at, u64 stop)
{
	u64 old;

	for (;; at = slot_last(level, at) + 1, item++) {
		old = item_load(item);
		if (old) {
			item_store(j->pt->mem, item, 0);
			gather_subtree(j, level - 1, fmt_table_pa(old));
			gather_range(j->gather, at, slot_last(level, at));
		}
		if (slot_last(level, at) == stop)
			return;
	}
}

static void commit(struct job *j, unsigned int level, u64 *table, u64 start, u64 last);

static void commit_child(struct job *j, unsigned int level, u64 *item, u64 at, u64 stop)
{
	u64 *child, pa, old = item_load(item);

	if (old) {
		commit(j, level - 1, table_cpu(j->pt->mem, fmt_table_pa(old)), at, stop);
		return;
	}
	child = reserve_take(j, &pa);
	commit(j, level - 1, child, at, stop);
	table_link(j, level, item, child, pa);
}

static void commit(struct job *j, unsigned int level, u64 *table, u64 start, u64 last)
{
	u64 at = start, stop;

	if (level == 1) {
		put_leaves(j, 1, table, start, last);
		return;
	}
	for (;; at = stop + 1) {
		if (leaf_fits(j, level, at, last)) {
			stop = slot_last(level, last) == last ? last
							      : (last & ~slot_mask(level)) - 1;
			clear_way(j, level, table + slot_index(level, at), at, stop);
			put_leaves(j, level, table, at, stop);
		} else {
			stop = slot_stop(level, at, last);
			commit_child(j, level, table + slot_index(level, at), at, stop);
		}
		if (stop == last)
			return;
	}
}

/* Several tables, or tables to be made, or in the way. */
static __attribute__((noinline)) int map_slow(struct oli_pt *pt, unsigned int level, u64 *table,
					      struct olio_iova_range iova, u64 pa, u64 bits,
					      struct oli_pt_gather *gather)
{
	struct job j = {.pt = pt, .gather = gather, .delta = pa - iova.start.v, .bits = bits};
	int rc;

	j.top_leaf = top_leaf(pt, j.delta);
	rc = plan(&j, level, table, iova.start.v, iova.last.v);
	if (!rc)
		rc = reserve_fill(&j);
	if (!rc)
		commit(&j, level, table, iova.start.v, iova.last.v);
	return rc;
}

/* Is [start, last] whole slots of @level, which may be leaves? */
PT_INLINE bool leaves_fit(const struct oli_pt *pt, unsigned int level, u64 start, u64 last,
			  u64 delta)
{
	return level == 1 || (level <= FMT_MAX_LEAF && pt->sizes >> slot_lg2(level) & 1 &&
			      !((start | (last + 1) | delta) & slot_mask(level)));
}

static __attribute__((noinline)) int map_run(struct oli_pt *pt, u64 start, u64 last, u64 pa,
					     u64 bits, struct oli_pt_gather *gather)
{
	const struct job j = {.pt = pt, .delta = pa - start, .bits = bits};
	unsigned int level, n;
	u64 *table = path_enter(pt, start, last, &level);

	if (leaves_fit(pt, level, start, last, j.delta)) {
		n = (unsigned int)((last - start) >> slot_lg2(level)) + 1;
		if (run_empty(table + slot_index(level, start), n)) {
			put_leaves(&j, level, table, start, last);
			return 0;
		}
	}
	return map_slow(pt, level, table, (struct olio_iova_range){{start}, {last}}, pa, bits,
			gather);
}

static int pt_map(struct oli_pt *pt, u64 start, u64 last, u64 pa, u32 attrs,
		  struct oli_pt_gather *gather)
{
	u64 *item = path_slot(pt, start, last), bits = fmt_bits(pt, attrs);
	unsigned int level = pt->path_level;

	if (item && !item_load(item) && leaves_fit(pt, level, start, last, pa - start)) {
		item_store(pt->mem, item, fmt_leaf(level, slot_lg2(level), pa, bits));
		return 0;
	}
	return map_run(pt, start, last, pa, bits, gather);
}

#endif
