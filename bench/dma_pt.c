// SPDX-License-Identifier: MIT
/*
 * Rows of the page tables: ns a leaf.
 *
 * The limit is to look whether the items are free and store them, or to count and
 * clear them, in a flat array. Included on olio's side: checks of the arguments, the
 * allocation and clearing of tables where a row needs them, the gather and giving back
 * what it holds.
 */
#include <string.h>

#include "dma.h"
#include "iommu/pt/pt.h"

#define TABLES	   4096u
#define TABLES_PA  0x100000000ull
#define BASE_IOVA  0x7f0000000000ull
#define ITEMS_MOST (1u << 18)

/* arg: what is mapped at a time and in which leaves, both as log2, and whether the row times unmap. */
#define ARG(lg2, leaf, unmap) ((u64)(lg2) | (leaf) << 8 | (u64)(unmap) << 16)
#define LG2(r)	  ((u32)(r)->arg & 0xff)
#define LEAF(r)	  ((u32)((r)->arg >> 8) & 0xff)
#define UNMAPS(r) ((r)->arg >> 16 != 0)

static char *tables;
static u32 stack[TABLES], nr_free;
static u64 *flat;
static struct oli_pt pt;
static struct oli_pt_mem mem;

static int take_table(void *ctx, struct olio_pa *pa, void **cpu)
{
	(void)ctx;
	if (!nr_free)
		return -1;
	*cpu = memset(tables + stack[--nr_free] * OLI_PAGE_SIZE, 0, OLI_PAGE_SIZE);
	pa->v = TABLES_PA + stack[nr_free] * OLI_PAGE_SIZE;
	return 0;
}

static void give_table(void *ctx, struct olio_pa pa)
{
	(void)ctx;
	stack[nr_free++] = (u32)((pa.v - TABLES_PA) / OLI_PAGE_SIZE);
}

static void *table_at(void *ctx, struct olio_pa pa)
{
	(void)ctx;
	return tables + (pa.v - TABLES_PA);
}

static void no_clean(void *ctx, const void *p, size_t len)
{
	(void)ctx;
	(void)p;
	(void)len;
}

static const struct oli_pt_mem_ops ops = {take_table, give_table, table_at, no_clean};

/* Calls a round: enough of them, and no more than the flat array holds. */
static u32 calls(const struct dma_row *r)
{
	u32 items = 1u << (LG2(r) - LEAF(r));

	return items >= ITEMS_MOST ? 1 : items > 64 ? 8 : 256;
}

__attribute__((noinline)) static int limit_map(u64 *item, u32 n, u64 pa)
{
	u64 any = item[0];
	u32 i;

	for (i = 1; i < n; i++)
		any |= item[i];
	if (any)
		return -1;
	for (i = 0; i < n; i++)
		item[i] = pa + i * OLI_PAGE_SIZE;
	return 0;
}

__attribute__((noinline)) static u32 limit_unmap(u64 *item, u32 n)
{
	u32 i, found = item[0] != 0;

	item[0] = 0;
	if (n == 1)
		return found;
	for (i = 1; i < n; i++)
		found += item[i] != 0;
	memset(item, 0, n * sizeof(*item));
	return found;
}

static double limit(const struct dma_row *r, u32 round)
{
	u32 n = 1u << (LG2(r) - LEAF(r)), c = calls(r), i;
	double a = cpu_ns(), b, d;
	u64 sum = round;

	for (i = 0; i < c; i++)
		sum += (u64)limit_map(flat + i * n, n, 3 + (u64)i);
	b = cpu_ns();
	for (i = 0; i < c; i++)
		sum += limit_unmap(flat + i * n, n);
	d = cpu_ns();
	dma_sink = sum;
	return (UNMAPS(r) ? d - b : b - a) / c / n;
}

static double olio(const struct dma_row *r, u32 round)
{
	u32 n = 1u << (LG2(r) - LEAF(r)), c = calls(r), i;
	struct olio_iova_range iova;
	struct oli_pt_gather gather;
	double a, b, d;
	u64 bytes = 0;

	(void)round;
	oli_pt_gather_init(&gather);
	a = cpu_ns();
	for (i = 0; i < c; i++) {
		iova.start.v = BASE_IOVA + ((u64)i << LG2(r));
		iova.last.v = iova.start.v | ((1ull << LG2(r)) - 1);
		if (oli_pt_map(&pt, iova, (struct olio_pa){(u64)i << LG2(r)},
			       OLI_PT_READ | OLI_PT_WRITE, &gather))
			abort();
	}
	b = cpu_ns();
	for (i = 0; i < c; i++) {
		iova.start.v = BASE_IOVA + ((u64)i << LG2(r));
		iova.last.v = iova.start.v | ((1ull << LG2(r)) - 1);
		bytes += (u64)oli_pt_unmap(&pt, iova, &gather);
		oli_pt_gather_synced(&gather, pt.mem);
	}
	d = cpu_ns();
	if (bytes != (u64)c << LG2(r))
		abort();
	return (UNMAPS(r) ? d - b : b - a) / c / n;
}

static void begin(const struct dma_row *r)
{
	struct oli_pt_config config = {
		.format = (enum oli_pt_format_id)r->arg2, .levels = 4, .sizes = 1ull << 12};

	tables = aligned_alloc(OLI_PAGE_SIZE, TABLES * OLI_PAGE_SIZE);
	flat = calloc(ITEMS_MOST, sizeof(*flat));
	if (!tables || !flat)
		abort();
	for (nr_free = 0; nr_free < TABLES; nr_free++)
		stack[nr_free] = nr_free;
	mem = (struct oli_pt_mem){.ops = &ops,
				  .coherent = true,
				  .linear_cpu = tables,
				  .linear_pa = {TABLES_PA},
				  .linear_size = TABLES * OLI_PAGE_SIZE};
	/* All formats have 2M if they have 1G. */
	for (u32 i = 21; i <= LEAF(r); i += 9)
		config.sizes |= 1ull << i;
	if (oli_pt_create(&pt, &config, &mem))
		abort();
}

static void end(void)
{
	oli_pt_destroy(&pt);
	free(tables);
	free(flat);
}

#define ROW(id, text, name, lg2, leaf, map_ns, map_goal, unmap_ns, unmap_goal)                     \
	{text, "map " name, limit, olio, map_ns, map_goal, false, ARG(lg2, leaf, 0), id},          \
	{text, "unmap " name, limit, olio, unmap_ns, unmap_goal, false, ARG(lg2, leaf, 1), id}

#define FORMAT(id, text)                                                                           \
	ROW(id, text, "one 4K page", 12, 12, 11, .6, 25, .4),                                      \
	ROW(id, text, "64K as 4K leaves, a page", 16, 12, 3.1, .5, 2.5, .35),                      \
	ROW(id, text, "2M as 4K leaves, a page", 21, 12, 1.2, .65, 1.1, .3),                       \
	ROW(id, text, "1G as 4K leaves, a page", 30, 12, 1.2, .65, 1.1, .3),                       \
	ROW(id, text, "one 2M leaf", 21, 21, 27, .4, 20, .45),                                     \
	ROW(id, text, "one 1G leaf", 30, 30, 27, .4, 20, .45)

static const struct dma_row rows[] = {
	FORMAT(OLI_PT_VTDSS, "vtdss"),
	FORMAT(OLI_PT_AMDV1, "amdv1"),
	FORMAT(OLI_PT_X86_64, "x86_64"),
};

const struct dma_group dma_pt = {begin, end, rows, OLI_ARRAY_SIZE(rows)};
