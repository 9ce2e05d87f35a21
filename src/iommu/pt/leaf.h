/* SPDX-License-Identifier: MIT */
/*
 * What map and unmap share: the reserve of tables, putting runs of leaves, and
 * taking whole subtrees out. Included after the format's functions.
 *
 * A change has two halves: one that may fail and changes nothing, in which the
 * tables that will be needed are counted and allocated, and one that cannot fail.
 */
#ifndef OLI_IOMMU_PT_LEAF_H
#define OLI_IOMMU_PT_LEAF_H

#include "base/fault.h"
#include "iommu/pt/item.h"

/*
 * One change. What @iova maps to is @iova + @delta; leaves above level @top_leaf
 * are not possible, because of the sizes or because iova and pa do not agree.
 */
struct job {
	struct oli_pt *pt;
	struct oli_pt_gather *gather;
	u64 delta, bits;
	u64 need; /* tables that it takes */
	u64 reserve; /* the pa of the first, chained by their first items; 0: none */
	unsigned int top_leaf;
};

PT_INLINE unsigned int top_leaf(const struct oli_pt *pt, u64 delta)
{
	unsigned int level = 1;

	while (level < FMT_MAX_LEAF && level < pt->levels && pt->sizes >> slot_lg2(level + 1) & 1 &&
	       !(delta & slot_mask(level + 1)))
		level++;
	return level;
}

/* ---- the reserve ---- */

static void reserve_drop(struct job *j)
{
	const struct oli_pt_mem *mem = j->pt->mem;
	u64 pa;

	while ((pa = j->reserve)) {
		j->reserve = *table_cpu(mem, pa);
		mem->ops->free(mem->ctx, (struct olio_pa){pa});
	}
}

/* Have @j->need tables at hand. Return: 0, or -ENOMEM and none. */
static int reserve_fill(struct job *j)
{
	const struct oli_pt_mem *mem = j->pt->mem;
	struct olio_pa pa;
	void *cpu;
	u64 i;

	for (i = 0; i < j->need; i++) {
		if (OLI_FAULT() || mem->ops->alloc(mem->ctx, &pa, &cpu)) {
			reserve_drop(j);
			return -ENOMEM;
		}
		*(u64 *)cpu = j->reserve;
		j->reserve = pa.v;
	}
	return 0;
}

static u64 *reserve_take(struct job *j, u64 *pa)
{
	u64 *table = table_cpu(j->pt->mem, j->reserve);

	*pa = j->reserve;
	j->reserve = table[0];
	table[0] = 0;
	return table;
}

/* Fill is done: let walkers see @table, whole. */
PT_INLINE void table_link(struct job *j, unsigned int level, u64 *item, u64 *table, u64 pa)
{
	clean(j->pt->mem, table, OLI_PAGE_SIZE);
	item_store(j->pt->mem, item, fmt_table(level, pa));
}

/* ---- leaves ---- */

/* The largest block that can begin at @iova and has at most @n slots; lg2 of its bytes. */
PT_INLINE unsigned int block_lg2(const struct job *j, unsigned int level, u64 iova, unsigned int n)
{
	unsigned int base = slot_lg2(level), fit;
	u64 sizes, at = (iova | (iova + j->delta)) >> base;

	fit = 31 - (unsigned int)__builtin_clz(n);
	if (at && (unsigned int)__builtin_ctzll(at) < fit)
		fit = (unsigned int)__builtin_ctzll(at);
	if (fit > 8)
		fit = 8;
	sizes = j->pt->sizes >> base & ((2u << fit) - 1);
	return base + 63 - (unsigned int)__builtin_clzll(sizes | 1);
}

/* Whole slots of one table, [start, last], become leaves. */
PT_INLINE void put_leaves(const struct job *j, unsigned int level, u64 *table, u64 start, u64 last)
{
	unsigned int lg2 = slot_lg2(level), left = (unsigned int)((last - start) >> lg2) + 1, n;
	u64 *item = table + slot_index(level, start), *first = item;

	if (!FMT_BLOCKS || !(j->pt->sizes & slot_mask(level + 1) & ~((2ull << lg2) - 1))) {
		run_fill(item, left, fmt_leaf(level, lg2, start + j->delta, j->bits), 1ull << lg2);
		clean(j->pt->mem, item, left * sizeof(*item));
		return;
	}
	for (; left; left -= n, item += n) {
		lg2 = block_lg2(j, level, start, left);
		n = 1u << (lg2 - slot_lg2(level));
		run_fill(item, n, fmt_leaf(level, lg2, start + j->delta, j->bits), 0);
		start += 1ull << lg2;
	}
	clean(j->pt->mem, first, (size_t)(item - first) * sizeof(*item));
}

/* ---- taking tables out ---- */

static void gather_table(struct job *j, u64 *table, u64 pa)
{
	struct oli_pt_gather *g = j->gather;

	__atomic_store_n(table, g->head.v, __ATOMIC_RELAXED);
	g->head.v = pa;
	g->tables++;
}

PT_INLINE void gather_range(struct oli_pt_gather *g, u64 start, u64 last)
{
	if (g->start > g->last) {
		g->start = start;
		g->last = last;
		return;
	}
	if (start < g->start)
		g->start = start;
	if (last > g->last)
		g->last = last;
}

/* The table at @pa, already unlinked, and all below. Return: bytes that were mapped. */
static u64 gather_subtree(struct job *j, unsigned int level, u64 pa)
{
	u64 *table = table_cpu(j->pt->mem, pa), bytes = 0, item;
	unsigned int i;

	if (level == 1) {
		bytes = (u64)run_count(table, OLI_PT_ITEMS) << OLI_PAGE_SHIFT;
	} else {
		for (i = 0; i < OLI_PT_ITEMS; i++) {
			item = item_load(table + i);
			if (item && fmt_is_table(level, item))
				bytes += gather_subtree(j, level - 1, fmt_table_pa(item));
			else if (item)
				bytes += 1ull << slot_lg2(level);
		}
	}
	gather_table(j, table, pa);
	return bytes;
}

#endif
