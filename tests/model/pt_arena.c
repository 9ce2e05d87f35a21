// SPDX-License-Identifier: MIT
/*
 * The arena of pt_arena.h: two mappings of the same size, the owner's and the
 * walker's. On a coherent machine the walker's is the owner's. Any misuse, such as
 * a page freed twice or a pa that was never handed out, aborts.
 */
#include "pt_arena.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define BYTES ((size_t)PT_ARENA_PAGES * OLI_PAGE_SIZE)

static u32 page_of(struct olio_pa pa)
{
	u64 off = pa.v - PT_ARENA_PA;

	if (off >= BYTES || off % OLI_PAGE_SIZE) {
		fprintf(stderr, "no table was ever at pa %#llx\n", (unsigned long long)pa.v);
		abort();
	}
	return (u32)(off / OLI_PAGE_SIZE);
}

static int arena_alloc(void *ctx, struct olio_pa *pa, void **cpu)
{
	struct pt_arena *a = ctx;
	u32 page;

	if (a->live == PT_ARENA_PAGES)
		return -ENOMEM;
	page = a->order[a->live++];
	a->used[page] = true;
	*cpu = memset(a->pages + (size_t)page * OLI_PAGE_SIZE, 0, OLI_PAGE_SIZE);
	*pa = (struct olio_pa){PT_ARENA_PA + (u64)page * OLI_PAGE_SIZE};
	return 0;
}

static void arena_free(void *ctx, struct olio_pa pa)
{
	struct pt_arena *a = ctx;
	u32 page = page_of(pa);

	if (!a->used[page]) {
		fprintf(stderr, "table at pa %#llx freed twice\n", (unsigned long long)pa.v);
		abort();
	}
	a->used[page] = false;
	a->order[--a->live] = page;
	a->frees++;
	memset(a->pages + (size_t)page * OLI_PAGE_SIZE, 0xa5, OLI_PAGE_SIZE);
	memset(a->view + (size_t)page * OLI_PAGE_SIZE, 0xa5, OLI_PAGE_SIZE);
}

static void *arena_cpu(void *ctx, struct olio_pa pa)
{
	return ((struct pt_arena *)ctx)->pages + (size_t)page_of(pa) * OLI_PAGE_SIZE;
}

static void *arena_view(void *ctx, struct olio_pa pa)
{
	return ((struct pt_arena *)ctx)->view + (size_t)page_of(pa) * OLI_PAGE_SIZE;
}

static void arena_clean(void *ctx, const void *p, size_t len)
{
	struct pt_arena *a = ctx;
	size_t off = (size_t)((const char *)p - a->pages);

	memcpy(a->view + off, p, len);
}

static const struct oli_pt_mem_ops owner_ops = {arena_alloc, arena_free, arena_cpu, arena_clean};
static const struct oli_pt_mem_ops walker_ops = {arena_alloc, arena_free, arena_view, arena_clean};

static char *arena_map(void)
{
	void *p = mmap(NULL, BYTES, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		abort();
	return p;
}

void pt_arena_init(struct pt_arena *a, bool coherent, bool linear)
{
	u32 i;

	*a = (struct pt_arena){.pages = arena_map()};
	a->view = coherent ? a->pages : arena_map();
	a->order = calloc(PT_ARENA_PAGES, sizeof(*a->order));
	a->used = calloc(PT_ARENA_PAGES, sizeof(*a->used));
	if (!a->order || !a->used)
		abort();
	for (i = 0; i < PT_ARENA_PAGES; i++)
		a->order[i] = i * 1021 % PT_ARENA_PAGES;
	a->mem = (struct oli_pt_mem){.ops = &owner_ops, .ctx = a, .coherent = coherent};
	if (linear) {
		a->mem.linear_cpu = a->pages;
		a->mem.linear_pa.v = PT_ARENA_PA;
		a->mem.linear_size = BYTES;
	}
	a->walker = (struct oli_pt_mem){.ops = &walker_ops, .ctx = a, .coherent = true};
}

void pt_arena_fini(struct pt_arena *a)
{
	if (a->view != a->pages)
		munmap(a->view, BYTES);
	munmap(a->pages, BYTES);
	free(a->order);
	free(a->used);
}

u64 pt_arena_sum(const struct pt_arena *a)
{
	u64 sum = a->live;
	const u64 *p;
	u32 i, j;

	for (i = 0; i < PT_ARENA_PAGES; i++) {
		if (!a->used[i])
			continue;
		p = (const u64 *)(const void *)(a->pages + (size_t)i * OLI_PAGE_SIZE);
		for (j = 0; j < OLI_PT_ITEMS; j++)
			sum = (sum ^ p[j] ^ i) * 0x9e3779b97f4a7c15ull + (sum >> 29);
	}
	return sum;
}

u64 pt_arena_item(const struct pt_arena *a, u64 table_pa, unsigned int index)
{
	struct olio_pa pa = {table_pa};

	return ((const u64 *)(const void *)(a->view + (size_t)page_of(pa) * OLI_PAGE_SIZE))[index];
}
