// SPDX-License-Identifier: MIT
/*
 * Rows of translation, as a device does it: ns a look-up, inside one enter and exit.
 *
 * The limit is a direct-mapped array of plain entries: bounds, tag, permission and
 * generation are compared, the physical address is added up.
 */
#include <string.h>

#include "dma.h"
#include "dma_rig.h"

#define LOOKUPS 20000u
#define ENTRIES 8192u

static struct rig rig;
static struct olio_map *map;
static u64 base, nr;
static u32 *order;

static struct {
	u64 tag, pa;
	u64 gen;
	u32 perm;
} *flat;
static u64 generation = 7;

__attribute__((noinline)) static int limit_look(u64 iova, u32 access, u64 *pa, u64 *len)
{
	u64 page = iova >> OLI_PAGE_SHIFT, off = iova & (OLI_PAGE_SIZE - 1);
	u64 e = page & (ENTRIES - 1);

	if (*len > OLI_PAGE_SIZE - off)
		*len = OLI_PAGE_SIZE - off;
	if (flat[e].tag != page || flat[e].gen != generation || (access & ~flat[e].perm))
		return -1;
	*pa = flat[e].pa | off;
	return 0;
}

static double limit(const struct dma_row *r, u32 round)
{
	u64 sum = round, pa = 0, len;
	double t = cpu_ns();

	(void)r;
	for (u32 i = 0; i < LOOKUPS; i++) {
		len = 64;
		if (limit_look(base + ((u64)order[i] << OLI_PAGE_SHIFT), OLI_ACCESS_READ, &pa, &len))
			abort();
		sum += pa + len;
	}
	dma_sink = sum;
	return (cpu_ns() - t) / LOOKUPS;
}

static double olio(const struct dma_row *r, u32 round)
{
	const struct oli_bus_id *id = &rig.dev->id;
	struct oli_xlate x;
	u64 sum = round, len;
	struct olio_pa pa;
	double t;

	(void)r;
	if (oli_xlate_enter(rig.m, id->space, id->space_gen, &x))
		abort();
	t = cpu_ns();
	for (u32 i = 0; i < LOOKUPS; i++) {
		struct olio_iova at = {base + ((u64)order[i] << OLI_PAGE_SHIFT)};

		len = 64;
		if (oli_xlate(&x, at, OLI_ACCESS_READ, &pa, &len))
			abort();
		sum += pa.v + len;
	}
	t = cpu_ns() - t;
	oli_xlate_exit(&x);
	dma_sink = sum;
	return t / LOOKUPS;
}

/* arg: how many pages are looked up at random. */
static void begin(const struct dma_row *r)
{
	struct rig_opts o = {.bytes = 4096 * OLI_PAGE_SIZE};
	const struct olio_seg *segs;
	u32 rng = 1;
	size_t n;

	rig_open(&rig, &o);
	if (olio_map_list(rig.dev, rig.runs, rig.nruns, OLIO_BIDIRECTIONAL, 0, &map))
		abort();
	segs = olio_map_segs(map, &n);
	base = segs[0].dma.v;
	nr = r->arg;
	order = calloc(LOOKUPS, sizeof(*order));
	flat = calloc(ENTRIES, sizeof(*flat));
	if (n != 1 || !order || !flat)
		abort();
	for (u32 i = 0; i < LOOKUPS; i++) {
		rng = rng * 1664525u + 1013904223u;
		order[i] = (u32)((u64)(rng >> 8) * nr >> 24);
	}
	for (u64 i = 0; i < 4096; i++) {
		u64 page = (base >> OLI_PAGE_SHIFT) + i, e = page & (ENTRIES - 1);

		flat[e].tag = page;
		flat[e].pa = i << OLI_PAGE_SHIFT;
		flat[e].gen = generation;
		flat[e].perm = OLI_ACCESS_READ | OLI_ACCESS_WRITE;
	}
}

static void end(void)
{
	olio_map_unmap(map);
	rig_close(&rig);
	free(order);
	free(flat);
}

static const struct dma_row rows[] = {
	{"iotlb", "hit, one page", limit, olio, 0, 1.25, true, 1, 0},
	{"iotlb", "64 pages, random", limit, olio, 4.6, .5, false, 64, 0},
	{"iotlb", "4096 pages, random", limit, olio, 4.8, .7, false, 4096, 0},
};

const struct dma_group dma_tlb = {begin, end, rows, OLI_ARRAY_SIZE(rows)};
