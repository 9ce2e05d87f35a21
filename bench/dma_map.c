// SPDX-License-Identifier: MIT
/*
 * Rows of whole mappings, through the public calls: check of the run against the frame
 * table, decision, IOVA, entries, invalidation of the modelled IOTLB, and back.
 *
 * The limit is a stack of addresses and a flat array of entries: pop, look and store for
 * each page, count and clear, push.
 */
#include <stdio.h>

#include "dma.h"
#include "dma_rig.h"

#define CALLS 400u
#define MIB   (1ull << 20)

/* arg: pages a mapping; arg2: MODE_*. */
enum { MODE_LINEAR = 1, MODE_LAZY = 2, MODE_CHECK = 4 };

static struct rig rig;
static u64 *flat, stack[64];
static u32 depth;

__attribute__((noinline)) static u64 pop(void)
{
	return stack[--depth];
}

__attribute__((noinline)) static void push(u64 at)
{
	stack[depth++] = at;
}

__attribute__((noinline)) static int put(u64 *item, u32 n, u64 pa)
{
	u64 any = 0;

	for (u32 i = 0; i < n; i++)
		any |= item[i];
	for (u32 i = 0; i < n; i++)
		item[i] = pa + i * OLI_PAGE_SIZE;
	return any != 0;
}

__attribute__((noinline)) static u32 take(u64 *item, u32 n)
{
	u32 found = 0;

	for (u32 i = 0; i < n; i++) {
		found += item[i] != 0;
		item[i] = 0;
	}
	return found;
}

/* @step: pages a call of put. */
static double limit_loop(u32 pages, u32 step, u32 per)
{
	double t = cpu_ns();
	u64 sum = 0;

	for (u32 c = 0; c < CALLS; c++) {
		u64 at = pop();

		for (u32 i = 0; i < pages; i += step)
			sum += (u64)put(flat + i, step, at + i + 3);
		sum += take(flat, pages);
		push(at);
	}
	dma_sink = sum;
	return (cpu_ns() - t) / CALLS / per;
}

static double limit_whole(const struct dma_row *r, u32 round)
{
	(void)round;
	return limit_loop((u32)r->arg, (u32)r->arg, 1);
}

static double limit_parts(const struct dma_row *r, u32 round)
{
	(void)round;
	return limit_loop((u32)r->arg, 1, r->arg == 16 ? 16 : 1);
}

static double one_shot(const struct dma_row *r, u32 round)
{
	struct olio_run run = rig.runs[round % rig.nruns];
	struct olio_iova dma;
	double t;

	run.len = r->arg * OLI_PAGE_SIZE;
	t = cpu_ns();
	for (u32 c = 0; c < CALLS; c++)
		if (olio_dma_map(rig.dev, &run, OLIO_BIDIRECTIONAL, 0, &dma) ||
		    olio_dma_unmap(rig.dev, dma, run.len, OLIO_BIDIRECTIONAL, 0))
			abort();
	return (cpu_ns() - t) / CALLS;
}

static double two_step(const struct dma_row *r, u32 round)
{
	u64 bytes = r->arg * OLI_PAGE_SIZE;
	struct olio_iova_state state;
	double t = cpu_ns();

	(void)round;
	for (u32 c = 0; c < CALLS; c++) {
		if (olio_iova_alloc(rig.dev, &state, rig.runs[0].pa, bytes))
			abort();
		for (u32 i = 0; i < r->arg; i++)
			if (olio_iova_link(&state, &rig.runs[i], i * OLI_PAGE_SIZE,
					   OLIO_BIDIRECTIONAL, 0))
				abort();
		if (olio_iova_sync(&state, 0, bytes) ||
		    olio_iova_destroy(&state, bytes, OLIO_BIDIRECTIONAL, 0))
			abort();
	}
	return (cpu_ns() - t) / CALLS / (r->arg == 16 ? 16 : 1);
}

static double list(const struct dma_row *r, u32 round)
{
	struct olio_map *map;
	double t = cpu_ns();

	(void)round;
	for (u32 c = 0; c < CALLS; c++) {
		if (olio_map_list(rig.dev, rig.runs, r->arg, OLIO_BIDIRECTIONAL, 0, &map))
			abort();
		olio_map_unmap(map);
	}
	return (cpu_ns() - t) / CALLS;
}

/* The runs of two-step rows are pages, also where two happen to touch. */
static struct olio_run pages[512];

static void begin(const struct dma_row *r)
{
	struct rig_opts o = {.bytes = 2 * MIB,
			     .linear = r->arg2 & MODE_LINEAR,
			     .lazy = r->arg2 & MODE_LAZY,
			     .check = r->arg2 & MODE_CHECK};
	size_t n;

	flat = calloc(512, sizeof(*flat));
	depth = 0;
	for (u32 i = 0; i < 32; i++)
		push(i << 20);
	rig_open(&rig, &o);
	if (o.linear)
		return;
	for (u32 i = 0; i < 512; i++)
		if (olio_mem_slice(rig.mem, i * OLI_PAGE_SIZE, OLI_PAGE_SIZE, &pages[i], 1, &n))
			abort();
	rig.runs = pages;
	rig.nruns = 512;
}

static void end(void)
{
	rig_close(&rig);
	free(flat);
}

static const struct dma_row rows[] = {
	{"map", "one-shot 4K: map and unmap, strict", limit_whole, one_shot, 45, .5, false, 1, 0},
	{"map", "the same, lazy", limit_whole, one_shot, 0, 0, false, 1, MODE_LAZY},
	{"map", "the same, strict, checker on", limit_whole, one_shot, 0, 0, false, 1, MODE_CHECK},
	{"map", "two-step, 16 x 4K, a segment", limit_parts, two_step, 13.6, .7, false, 16, 0},
	{"map", "1 MiB in 256 links", limit_parts, two_step, 4000, .5, false, 256, 0},
	{"map", "1 MiB list of 256 runs", limit_parts, list, 4000, .5, false, 256, 0},
	{"map", "1 MiB contiguous, one-shot", limit_whole, one_shot, 1600, .15, false, 256, MODE_LINEAR},
};

const struct dma_group dma_map = {begin, end, rows, OLI_ARRAY_SIZE(rows)};
