/* SPDX-License-Identifier: MIT */
/*
 * Memory for tables under test: pages handed out scattered, poisoned when they
 * come back, counted. With @coherent false a second view of the arena gets only
 * what was cleaned: what a walker that does not snoop would read.
 */
#ifndef OLI_TESTS_PT_ARENA_H
#define OLI_TESTS_PT_ARENA_H

#include "iommu/pt/pt.h"

#define PT_ARENA_PAGES 32768u
#define PT_ARENA_PA    0x13579000000ull

struct pt_arena {
	struct oli_pt_mem mem; /* as the tables' owner sees it */
	struct oli_pt_mem walker; /* as the walker does */
	char *pages, *view;
	u32 *order; /* free ones, [live, PT_ARENA_PAGES) */
	bool *used;
	u32 live;
	u64 frees;
};

/* Aborts if the host has not the memory. */
void pt_arena_init(struct pt_arena *a, bool coherent, bool linear);
void pt_arena_fini(struct pt_arena *a);

/* All pages in use, in order, as one number: changes when any byte or page does. */
u64 pt_arena_sum(const struct pt_arena *a);

/* The value of an item as the walker sees it. */
u64 pt_arena_item(const struct pt_arena *a, u64 table_pa, unsigned int index);

#endif
