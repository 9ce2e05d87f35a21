// SPDX-License-Identifier: MIT
/*
 * What mapping and unmapping in the page tables costs: one thread, ns.
 *
 * The limit beside each figure, measured in the same run, is what no table can
 * do without: looking whether the items are free and storing them, or counting
 * and clearing them, in a flat array. "linux" is what Linux 7.2's generic_pt
 * takes in user space on a machine of this kind; the goals are ratios to it.
 *
 * Included: checks of the arguments, the allocation and clearing of tables where
 * a row needs them, the gather and giving back what it holds. Not included: the
 * flush of an IOMMU. Rounds alternate, and the median counts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "iommu/pt/pt.h"

#define ROUNDS	   101
#define TABLES	   4096u
#define TABLES_PA  0x100000000ull
#define BASE_IOVA  0x7f0000000000ull
#define ITEMS_MOST (1u << 18)

struct row {
	const char *name;
	u8 lg2; /* bytes a call */
	u8 leaf_lg2;
	u16 calls;
	double linux_map, linux_unmap, goal_map, goal_unmap;
};

static const struct row rows[] = {
	{"one 4K page", 12, 12, 512, 11, 25, .6, .4},
	{"64K as 4K leaves, a page", 16, 12, 256, 3.1, 2.5, .5, .35},
	{"2M as 4K leaves, a page", 21, 12, 8, 1.2, 1.1, .65, .3},
	{"1G as 4K leaves, a page", 30, 12, 1, 1.2, 1.1, .65, .3},
	{"one 2M leaf", 21, 21, 512, 27, 20, .4, .45},
	{"one 1G leaf", 30, 30, 256, 27, 20, .4, .45},
};

struct times {
	double map[ROUNDS], unmap[ROUNDS];
};

static char *tables;
static u32 stack[TABLES], nr_free;
static u64 *flat;
static volatile u64 sink;

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

/* Time of this thread alone: others use the machine too. */
static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * (double)OLI_NS_PER_S + (double)ts.tv_nsec;
}

/* ---- the limit ---- */

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

static void limit_round(const struct row *r, struct times *t, u32 round)
{
	u32 n = 1u << (r->lg2 - r->leaf_lg2), i;
	double a = now(), b;
	u64 sum = 0;

	for (i = 0; i < r->calls; i++)
		sum += (u64)limit_map(flat + i * n, n, 3 + (u64)i);
	b = now();
	for (i = 0; i < r->calls; i++)
		sum += limit_unmap(flat + i * n, n);
	t->unmap[round] = (now() - b) / r->calls / n;
	t->map[round] = (b - a) / r->calls / n;
	sink = sum;
}

/* ---- olio ---- */

static void olio_round(const struct row *r, struct oli_pt *pt, struct times *t, u32 round)
{
	u32 n = 1u << (r->lg2 - r->leaf_lg2), i;
	struct olio_iova_range iova;
	struct oli_pt_gather gather;
	u64 bytes = 0;
	double a, b;

	oli_pt_gather_init(&gather);
	a = now();
	for (i = 0; i < r->calls; i++) {
		iova.start.v = BASE_IOVA + ((u64)i << r->lg2);
		iova.last.v = iova.start.v | ((1ull << r->lg2) - 1);
		if (oli_pt_map(pt, iova, (struct olio_pa){(u64)i << r->lg2},
			       OLI_PT_READ | OLI_PT_WRITE, &gather))
			abort();
	}
	b = now();
	for (i = 0; i < r->calls; i++) {
		iova.start.v = BASE_IOVA + ((u64)i << r->lg2);
		iova.last.v = iova.start.v | ((1ull << r->lg2) - 1);
		bytes += (u64)oli_pt_unmap(pt, iova, &gather);
		oli_pt_gather_synced(&gather, pt->mem);
	}
	t->unmap[round] = (now() - b) / r->calls / n;
	t->map[round] = (b - a) / r->calls / n;
	if (bytes != (u64)r->calls << r->lg2)
		abort();
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *x)
{
	qsort(x, ROUNDS, sizeof(*x), compare);
	return x[ROUNDS / 2];
}

static void line(const char *format, const struct row *r, const char *what, double limit,
		 double olio, double linux_ns, double goal)
{
	printf("%-8s%-26s%-7s%8.2f%8.2f%8.2f%8.1f%9.3f%7.2f %s\n", format, r->name, what, limit,
	       olio, olio / limit, linux_ns, olio / linux_ns, goal,
	       olio / linux_ns <= goal ? "met" : "missed");
}

static void measure(enum oli_pt_format_id id, const struct row *r, const struct oli_pt_mem *mem)
{
	struct oli_pt_config config = {.format = id, .levels = 4, .sizes = 1ull << 12};
	struct times limit, olio;
	struct oli_pt pt;
	u32 i;

	/* x86_64's half is 47 bits; all formats have 2M if they have 1G */
	for (i = 21; i <= r->leaf_lg2; i += 9)
		config.sizes |= 1ull << i;
	if (oli_pt_create(&pt, &config, mem))
		abort();
	for (i = 0; i < ROUNDS; i++) {
		limit_round(r, &limit, i);
		olio_round(r, &pt, &olio, i);
	}
	oli_pt_destroy(&pt);
	line(oli_pt_format_name(id), r, "map", median(limit.map), median(olio.map), r->linux_map,
	     r->goal_map);
	line(oli_pt_format_name(id), r, "unmap", median(limit.unmap), median(olio.unmap),
	     r->linux_unmap, r->goal_unmap);
}

int main(void)
{
	struct oli_pt_mem mem = {.ops = &ops, .coherent = true};
	u32 i, f;

	tables = aligned_alloc(OLI_PAGE_SIZE, TABLES * OLI_PAGE_SIZE);
	flat = calloc(ITEMS_MOST, sizeof(*flat));
	if (!tables || !flat)
		return 1;
	for (i = 0; i < TABLES; i++)
		stack[nr_free++] = i;
	mem.linear_cpu = tables;
	mem.linear_pa.v = TABLES_PA;
	mem.linear_size = TABLES * OLI_PAGE_SIZE;
	printf("%-41s%8s%8s%8s%8s%9s%7s\n", "page tables, ns", "limit", "olio", "x limit", "linux",
	       "x linux", "goal");
	for (f = 0; f < OLI_PT_NR_FORMATS; f++)
		for (i = 0; i < OLI_ARRAY_SIZE(rows); i++)
			measure((enum oli_pt_format_id)f, &rows[i], &mem);
	free(tables);
	free(flat);
	return 0;
}
