// SPDX-License-Identifier: MIT
/*
 * The suite of the table contract, run over every format with every number of
 * levels: geometry, leaf sizes, all or nothing, failing allocations, tables that
 * outlive their unmap until the flush, dirty marks, readers beside a writer, and
 * programs against the model of tests/model, random and exhaustive on a tiny space.
 *
 * OLIO_SEED replays a random program, OLIO_ROUNDS runs more of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>

#include "../../model/pt_model.h"
#include "base/fault.h"

#define RW (OLI_PT_READ | OLI_PT_WRITE)

struct rig {
	struct pt_arena arena;
	struct oli_pt pt;
	struct oli_pt_gather gather;
};

static void rig_init_config(struct rig *r, struct oli_pt_config config)
{
	pt_arena_init(&r->arena, true, true);
	oli_pt_gather_init(&r->gather);
	assert_int_equal(oli_pt_create(&r->pt, &config, &r->arena.mem), 0);
}

static void rig_init(struct rig *r, const struct pt_variant *v, u64 sizes)
{
	rig_init_config(r, (struct oli_pt_config){.format = v->format,
						  .levels = (u8)v->levels,
						  .sizes = sizes,
						  .features = OLI_PT_AD});
}

static void rig_fini(struct rig *r)
{
	oli_pt_gather_synced(&r->gather, &r->arena.mem);
	oli_pt_destroy(&r->pt);
	assert_int_equal(r->arena.live, 0);
	pt_arena_fini(&r->arena);
}

static struct olio_iova_range range(u64 start, u64 last)
{
	return (struct olio_iova_range){{start}, {last}};
}

static int map(struct rig *r, u64 start, u64 last, u64 pa)
{
	return oli_pt_map(&r->pt, range(start, last), (struct olio_pa){pa}, RW, &r->gather);
}

static s64 unmap(struct rig *r, u64 start, u64 last)
{
	return oli_pt_unmap(&r->pt, range(start, last), &r->gather);
}

/* Where @iova leads, or 1, which nothing here maps to. */
static u64 where(const struct rig *r, u64 iova)
{
	struct olio_pa pa;

	return oli_pt_iova_to_phys(&r->pt, (struct olio_iova){iova}, &pa) ? 1 : pa.v;
}

static unsigned int leaf_lg2(const struct rig *r, u64 iova)
{
	struct oli_pt_leaf leaf;

	return oli_pt_look(&r->pt, (struct olio_iova){iova}, &leaf) ? 0 : leaf.lg2;
}

static unsigned int level_lg2(unsigned int level)
{
	return 3 + 9 * level;
}

/* The highest level whose own size is a leaf size and a slot of this root or below. */
static unsigned int top_leaf_level(const struct rig *r)
{
	unsigned int level = 1;

	while (level < r->pt.levels && level < 5 && r->pt.sizes >> level_lg2(level + 1) & 1)
		level++;
	return level;
}

/* ---- geometry ---- */

static void one_leaf(struct rig *r, u64 start, unsigned int lg2, u64 pa)
{
	u64 last = start | ((1ull << lg2) - 1);

	assert_int_equal(map(r, start, last, pa), 0);
	assert_int_equal(where(r, start), pa);
	assert_int_equal(where(r, last), pa | ((1ull << lg2) - 1));
	assert_int_equal(leaf_lg2(r, start), lg2);
	assert_int_equal(leaf_lg2(r, last), lg2);
	if (start)
		assert_int_equal(where(r, start - 1), 1);
	if (last != r->pt.iova_last)
		assert_int_equal(where(r, last + 1), 1);
	assert_int_equal(unmap(r, start, last), 1ll << lg2);
	assert_int_equal(where(r, start), 1);
}

/* A leaf of each size at the bottom, at the top, and beside each border of a table. */
static void geometry(void **state)
{
	struct rig r;
	unsigned int level, border;
	u64 size, top;

	rig_init(&r, *state, 0);
	top = r.pt.iova_last;
	for (level = 1; level <= top_leaf_level(&r); level++) {
		size = 1ull << level_lg2(level);
		one_leaf(&r, 0, level_lg2(level), size);
		if (size - 1 != top)
			one_leaf(&r, top - size + 1, level_lg2(level), 0);
		for (border = level + 1; border <= r.pt.levels; border++) {
			one_leaf(&r, (1ull << level_lg2(border)) - size, level_lg2(level), size);
			one_leaf(&r, 1ull << level_lg2(border), level_lg2(level), 3 * size);
		}
	}
	rig_fini(&r);
}

/* Runs that cross a border of each level, and the whole of a small space. */
static void crossing(void **state)
{
	struct rig r;
	unsigned int level;
	u64 border;

	rig_init(&r, *state, 0);
	for (level = 2; level <= r.pt.levels; level++) {
		border = 1ull << level_lg2(level);
		assert_int_equal(map(&r, border - 0x3000, border + 0x4fff, 0x123000), 0);
		assert_int_equal(where(&r, border - 1), 0x125fff);
		assert_int_equal(where(&r, border), 0x126000);
		assert_int_equal(where(&r, border + 0x5000), 1);
		assert_int_equal(unmap(&r, border - 0x3000, border + 0x4fff), 0x8000);
		assert_int_equal(where(&r, border), 1);
	}
	assert_int_equal(map(&r, r.pt.iova_last - 0x4fff, r.pt.iova_last, 0x777000), 0);
	assert_int_equal(where(&r, r.pt.iova_last), 0x77bfff);
	assert_int_equal(unmap(&r, 0, r.pt.iova_last), 0x5000);
	rig_fini(&r);
}

static void refusals(void **state)
{
	struct rig r;
	u64 top, sum;

	rig_init(&r, *state, 0);
	top = r.pt.iova_last;
	sum = pt_arena_sum(&r.arena);
	assert_int_equal(map(&r, 0x1000, 0xfff, 0), -EINVAL);
	assert_int_equal(map(&r, 0x2000, 0x1fff, 0), -EINVAL);
	assert_int_equal(map(&r, 0x1001, 0x1fff, 0), -EINVAL);
	assert_int_equal(map(&r, 0x1000, 0x1ffe, 0), -EINVAL);
	assert_int_equal(map(&r, 0x1000, 0x1fff, 0x800), -EINVAL);
	if (top != UINT64_MAX) {
		assert_int_equal(map(&r, top + 1, top + 0x1000, 0), -ERANGE);
		assert_int_equal(map(&r, top - 0xfff, top + 0x1000, 0), -ERANGE);
		assert_int_equal(map(&r, 0, UINT64_MAX, 0), -ERANGE);
		assert_int_equal(unmap(&r, 0, UINT64_MAX), -ERANGE);
		assert_int_equal(where(&r, top + 1), 1);
	}
	assert_int_equal(map(&r, 0x1000, 0x2fff, r.pt.pa_last - 0xfff), -ERANGE);
	assert_int_equal(map(&r, 0x1000, 0x1fff, r.pt.pa_last + 1), -ERANGE);
	assert_int_equal(map(&r, 0x1000, 0x2fff, ~0xfffull), -ERANGE);
	assert_int_equal(oli_pt_map(&r.pt, range(0, 0xfff), (struct olio_pa){0}, 0, &r.gather),
			 -EINVAL);
	assert_int_equal(oli_pt_map(&r.pt, range(0, 0xfff), (struct olio_pa){0},
				    OLI_PT_READ | OLI_PT_ALL_ATTRS << 1, &r.gather),
			 -EINVAL);
	assert_int_equal(oli_pt_map(&r.pt, range(0, 0xfff), (struct olio_pa){0},
				    OLI_PT_READ | OLI_PT_COHERENT | OLI_PT_MMIO, &r.gather),
			 -EINVAL);
	for (u32 attr = 1; attr & OLI_PT_ALL_ATTRS; attr <<= 1)
		if (!(attr & r.pt.attrs))
			assert_int_equal(oli_pt_map(&r.pt, range(0, 0xfff), (struct olio_pa){0},
						    OLI_PT_READ | attr, &r.gather),
					 -EOPNOTSUPP);
	assert_int_equal(unmap(&r, 1, 0xfff), -EINVAL);
	assert_int_equal(pt_arena_sum(&r.arena), sum);
	assert_int_equal(map(&r, 0x1000, 0x1fff, r.pt.pa_last - 0xfff), 0);
	assert_int_equal(where(&r, 0x1fff), r.pt.pa_last);
	/* Behind the top is not the beginning again. */
	if (top != UINT64_MAX)
		assert_int_equal(where(&r, top + 1 + 0x1fff), 1);
	rig_fini(&r);
}

static void configurations(void **state)
{
	const struct pt_variant *v = *state;
	const struct oli_pt_config good = {.format = v->format, .levels = (u8)v->levels};
	struct oli_pt_config c;
	struct pt_arena a;
	struct oli_pt pt;

	pt_arena_init(&a, true, true);
#define REFUSED(rc, member, value)                                                                 \
	do {                                                                                       \
		c = good;                                                                          \
		c.member = value;                                                                  \
		assert_int_equal(oli_pt_create(&pt, &c, &a.mem), rc);                              \
	} while (0)
	REFUSED(-EINVAL, format, OLI_PT_NR_FORMATS);
	REFUSED(-EINVAL, levels, 0);
	REFUSED(-EINVAL, levels, OLI_PT_MAX_LEVELS + 1);
	REFUSED(-EINVAL, iova_bits, 65);
	REFUSED(-EINVAL, iova_bits, 12);
	REFUSED(-EINVAL, pa_bits, 53);
	REFUSED(-EINVAL, sizes, 1ull << 21);
	REFUSED(-EINVAL, sizes, 1ull << 12 | 1ull << 30);
	REFUSED(-EINVAL, sizes, 1ull << 12 | 1ull << 11);
	REFUSED(-EOPNOTSUPP, features, OLI_PT_ALL_FEATURES + 1);
	assert_int_equal(a.live, 0);
	c = good;
	c.iova_bits = 20;
	assert_int_equal(oli_pt_create(&pt, &c, &a.mem), 0);
	assert_int_equal(pt.iova_last, 0xfffff);
	oli_pt_destroy(&pt);
	pt_arena_fini(&a);
}

/* ---- leaf sizes ---- */

static int count_leaf(void *arg, const struct oli_pt_leaf *leaf)
{
	(void)leaf;
	++*(unsigned int *)arg;
	return 0;
}

static unsigned int leaves(const struct rig *r)
{
	unsigned int n = 0;

	oli_pt_walk(&r->pt, range(0, r->pt.iova_last), count_leaf, &n);
	return n;
}

/* As large as the address, the pa, the length and the sizes allow, and not larger. */
static void leaf_choice(void **state)
{
	const struct pt_variant *v = *state;
	struct rig r;

	if (v->levels < 3)
		return;
	rig_init(&r, v, 1ull << 12 | 1ull << 21 | 1ull << 30);
	/* from 2M - 4K to 1G + 2M + 4K: 1 + 511 + 1 + 1 + 1 leaves */
	assert_int_equal(map(&r, 0x1ff000, 0x40200fff, 0x801ff000), 0);
	assert_int_equal(leaves(&r), 1 + 511 + 1 + 1);
	assert_int_equal(unmap(&r, 0x1ff000, 0x40200fff), 0x40200fff - 0x1ff000 + 1);
	/* the pa agrees in 21 bits only, then not even in those */
	assert_int_equal(map(&r, 0x40000000, 0x7fffffff, 0x200000), 0);
	assert_int_equal(leaves(&r), 512);
	assert_int_equal(unmap(&r, 0x40000000, 0x7fffffff), 0x40000000);
	assert_int_equal(map(&r, 0x200000, 0x3fffff, 0x201000), 0);
	assert_int_equal(leaves(&r), 512);
	rig_fini(&r);
	rig_init(&r, v, 1ull << 12);
	assert_int_equal(map(&r, 0x200000, 0x3fffff, 0x200000), 0);
	assert_int_equal(leaves(&r), 512);
	rig_fini(&r);
}

/* Blocks: every size between two levels, and a run that is cut into the fewest. */
static void blocks(void **state)
{
	unsigned int lg2;
	struct rig r;

	rig_init(&r, *state, 0);
	if (!(r.pt.sizes & 1 << 13)) {
		rig_fini(&r);
		return;
	}
	for (lg2 = 12; (1ull << lg2) - 1 < r.pt.iova_last && lg2 <= 50; lg2++) {
		one_leaf(&r, 1ull << lg2, lg2, 0);
		one_leaf(&r, 1ull << lg2, lg2, 1ull << lg2);
	}
	/* 4K at 0x7000, 32K, 16K, 4K */
	assert_int_equal(map(&r, 0x7000, 0x14fff - 0x1000 + 0x1000, 0x100007000), 0);
	assert_int_equal(leaf_lg2(&r, 0x7000), 12);
	assert_int_equal(leaf_lg2(&r, 0x8000), 15);
	assert_int_equal(leaf_lg2(&r, 0x10000), 14);
	assert_int_equal(leaf_lg2(&r, 0x14000), 12);
	assert_int_equal(leaves(&r), 4);
	rig_fini(&r);
}

/* A larger leaf takes the place of tables that are empty, and they wait for the flush. */
static void empty_tables_make_way(void **state)
{
	const struct pt_variant *v = *state;
	u64 frees;
	struct rig r;

	if (v->levels < 3)
		return;
	rig_init(&r, v, 0);
	assert_int_equal(map(&r, 0x40000000, 0x40000fff, 0x5000), 0);
	assert_int_equal(map(&r, 0x40200000, 0x40200fff, 0x5000), 0);
	assert_int_equal(map(&r, 0x40000000, 0x7fffffff, 0x40000000), -EADDRINUSE);
	assert_int_equal(unmap(&r, 0x40000000, 0x40000fff), 0x1000);
	assert_int_equal(unmap(&r, 0x40200000, 0x40200fff), 0x1000);
	assert_int_equal(r.gather.tables, 0);
	frees = r.arena.frees;
	assert_int_equal(map(&r, 0x40000000, 0x7fffffff, 0x40000000), 0);
	assert_int_equal(leaf_lg2(&r, 0x40000000), 30);
	assert_int_equal(r.gather.tables, 3);
	assert_int_equal(r.arena.frees, frees);
	oli_pt_gather_synced(&r.gather, &r.arena.mem);
	assert_int_equal(r.arena.frees, frees + 3);
	rig_fini(&r);
}

/* ---- all or nothing ---- */

static void overlap(void **state)
{
	u64 sum, at;
	struct rig r;

	rig_init(&r, *state, 1ull << 12);
	assert_int_equal(map(&r, 0x10000, 0x10fff, 0x5000), 0);
	sum = pt_arena_sum(&r.arena);
	for (at = 0xc000; at <= 0x10000; at += 0x1000)
		assert_int_equal(map(&r, at, at + 0x4fff, 0x80000), -EADDRINUSE);
	assert_int_equal(map(&r, 0, 0x1fffff, 0), -EADDRINUSE);
	if (r.pt.levels > 1)
		assert_int_equal(map(&r, 0, 0x7fffff, 0), -EADDRINUSE);
	assert_int_equal(pt_arena_sum(&r.arena), sum);
	assert_int_equal(map(&r, 0xb000, 0xffff, 0x80000), 0);
	assert_int_equal(map(&r, 0x11000, 0x15fff, 0x80000), 0);
	rig_fini(&r);
}

/* Around a border of every level, so that as many tables as can be are needed. */
static void failing_map(void **state)
{
	const struct pt_variant *v = *state;
	u64 border = v->levels < 2 ? 0x8000 : 1ull << level_lg2(v->levels), sum;
	struct rig r;
	int n, rc;

	rig_init(&r, v, 1ull << 12);
	sum = pt_arena_sum(&r.arena);
	for (n = 1;; n++) {
		oli_fault_countdown = n;
		rc = map(&r, border - 0x1000, border + 0xfff, 0x9000);
		oli_fault_countdown = 0;
		if (!rc)
			break;
		assert_int_equal(rc, -ENOMEM);
		assert_int_equal(pt_arena_sum(&r.arena), sum);
		assert_int_equal(r.gather.tables, 0);
	}
	assert_int_equal(n, 2 * (v->levels - 1) + 1);
	assert_int_equal(where(&r, border), 0xa000);
	rig_fini(&r);
}

/* A hole in the largest leaf there is, and one that reaches over two of them. */
static void failing_split(void **state)
{
	unsigned int top, round;
	u64 size, sum, from, to;
	struct rig r;
	int n;
	s64 rc;

	rig_init(&r, *state, 0);
	top = top_leaf_level(&r);
	for (round = 0; round < 2 && (top > 1 || !round); round++) {
		size = top > 1 ? 1ull << level_lg2(top) : 0x100000;
		assert_int_equal(map(&r, 0, size - 1, size), 0);
		if (round)
			assert_int_equal(map(&r, size, 2 * size - 1, 0), 0);
		sum = pt_arena_sum(&r.arena);
		from = round ? size - 0x3000 : 0x5000;
		to = round ? size + 0x1fff : 0x6fff;
		for (n = 1;; n++) {
			oli_fault_countdown = n;
			rc = unmap(&r, from, to);
			oli_fault_countdown = 0;
			if (rc >= 0)
				break;
			assert_int_equal(rc, -ENOMEM);
			assert_int_equal(pt_arena_sum(&r.arena), sum);
		}
		assert_int_equal(rc, to - from + 1);
		assert_int_equal(where(&r, from - 1), size + from - 1);
		assert_int_equal(where(&r, from), 1);
		assert_int_equal(where(&r, to), 1);
		assert_int_equal(where(&r, to + 1), round ? to + 1 - size : size + to + 1);
		assert_int_equal(unmap(&r, 0, (round + 1) * size - 1),
				 (round + 1) * size - (to - from + 1));
	}
	rig_fini(&r);
}

/* What maps made, whole, needs no memory: every allocation would fail. */
static void unmap_needs_no_memory(void **state)
{
	struct rig r;

	rig_init(&r, *state, 0);
	assert_int_equal(map(&r, 0x1000, 0x1fefff, 0x200001000), 0);
	oli_fault_countdown = 1;
	assert_int_equal(unmap(&r, 0x1000, 0x1fefff), 0x1fe000);
	assert_int_equal(oli_fault_countdown, 1);
	oli_fault_countdown = 0;
	rig_fini(&r);
}

/* ---- tables and the flush ---- */

/* A walker that holds a pointer to a table may go on reading it until the flush. */
static void freed_after_sync(void **state)
{
	const struct pt_variant *v = *state;
	u64 frees, *leaf_table;
	struct rig r;

	if (v->levels < 2)
		return;
	rig_init(&r, v, 1ull << 12);
	assert_int_equal(map(&r, 0, 0x1fffff, 0x200000), 0);
	assert_int_equal(map(&r, 0x200000, 0x201fff, 0x200000), 0);
	leaf_table = r.pt.path[1];
	if (r.pt.path_level > 1)
		assert_int_equal(unmap(&r, 0x201000, 0x201fff), 0x1000);
	leaf_table = r.pt.path[1];
	frees = r.arena.frees;
	assert_int_equal(unmap(&r, 0, 0x3fffff), r.arena.live ? 0x201000 : 0);
	assert_int_equal(r.gather.tables, 2);
	assert_int_equal(r.gather.start, 0);
	assert_true(r.gather.last >= 0x3fffff);
	assert_int_equal(r.arena.frees, frees);
	assert_int_equal(leaf_table[0] & 0xfff, 0);
	assert_int_equal(leaf_table[1], 0);
	/* nobody gets them meanwhile */
	assert_int_equal(map(&r, 0, 0x1fffff, 0x200000), 0);
	assert_int_equal(where(&r, 0), 0x200000);
	oli_pt_gather_synced(&r.gather, &r.arena.mem);
	assert_int_equal(r.arena.frees, frees + 2);
	assert_int_equal(where(&r, 0x1000), 0x201000);
	rig_fini(&r);
}

/* ---- dirty ---- */

static int dirty_at(void *arg, const struct oli_pt_leaf *leaf)
{
	*(u64 *)arg = leaf->iova.start.v;
	return 1;
}

static void dirty(void **state)
{
	const struct pt_variant *v = *state;
	struct oli_pt_leaf leaf;
	u64 at = 1;
	struct rig r;

	rig_init(&r, v, 0);
	assert_int_equal(map(&r, 0x10000, 0x1ffff, 0x110000), 0);
	assert_int_equal(oli_pt_dirty(&r.pt, range(0, 0xfffff), false, dirty_at, &at), 0);
	assert_int_equal(oli_pt_touch(&r.pt, (struct olio_iova){0x13004}, false), 0);
	assert_int_equal(oli_pt_look(&r.pt, (struct olio_iova){0x13000}, &leaf), 0);
	assert_true(leaf.accessed && !leaf.dirty);
	assert_int_equal(oli_pt_touch(&r.pt, (struct olio_iova){0x13004}, true), 0);
	assert_int_equal(oli_pt_touch(&r.pt, (struct olio_iova){0x20000}, true), -ENOENT);
	assert_int_equal(oli_pt_dirty(&r.pt, range(0, 0xfffff), true, dirty_at, &at), 1);
	assert_int_equal(at, 0x13000 & ~((1ull << leaf.lg2) - 1));
	assert_int_equal(oli_pt_dirty(&r.pt, range(0, 0xfffff), true, dirty_at, &at), 0);
	/* a mark survives a split, for every part */
	assert_int_equal(oli_pt_touch(&r.pt, (struct olio_iova){0x1f000}, true), 0);
	assert_int_equal(unmap(&r, 0x1e000, 0x1efff), 0x1000);
	assert_int_equal(oli_pt_look(&r.pt, (struct olio_iova){0x1f000}, &leaf), 0);
	assert_true(leaf.dirty);
	rig_fini(&r);

	rig_init_config(&r, (struct oli_pt_config){.format = v->format, .levels = (u8)v->levels});
	assert_int_equal(oli_pt_touch(&r.pt, (struct olio_iova){0}, true), -EOPNOTSUPP);
	assert_int_equal(oli_pt_dirty(&r.pt, range(0, 0xfff), true, dirty_at, &at), -EOPNOTSUPP);
	rig_fini(&r);
}

/* ---- readers beside a writer ---- */

struct reader {
	const struct oli_pt *pt;
	int stop, wrong;
};

static void *read_on(void *arg)
{
	struct reader *rd = arg;
	struct olio_pa pa;
	u64 at = 0;

	while (!__atomic_load_n(&rd->stop, __ATOMIC_RELAXED)) {
		at = (at + 0x7000) & 0xfffff;
		if (!oli_pt_iova_to_phys(rd->pt, (struct olio_iova){at}, &pa) &&
		    pa.v != 0x5500000 + at)
			rd->wrong = 1;
		oli_pt_touch(rd->pt, (struct olio_iova){at}, true);
	}
	return NULL;
}

/* A look-up gives the right answer or none, never a wrong one. */
static void readers(void **state)
{
	struct reader rd;
	pthread_t thread;
	struct rig r;
	u64 i, at;

	rig_init(&r, *state, 0);
	rd = (struct reader){&r.pt, 0, 0};
	assert_int_equal(pthread_create(&thread, NULL, read_on, &rd), 0);
	for (i = 0; i < 3000; i++) {
		at = i * 0x3000 & 0x7ffff;
		assert_int_equal(map(&r, at, at + 0x1ffff, 0x5500000 + at), 0);
		assert_int_equal(unmap(&r, at + 0x4000, at + 0x4fff), 0x1000);
		assert_int_equal(unmap(&r, at, at + 0x1ffff), 0x1f000);
	}
	__atomic_store_n(&rd.stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	assert_int_equal(rd.wrong, 0);
	rig_fini(&r);
}

/* ---- programs ---- */

static unsigned int number(const char *name, unsigned int otherwise)
{
	const char *text = getenv(name);

	return text ? (unsigned int)strtoul(text, NULL, 0) : otherwise;
}

static void random_programs(void **state)
{
	unsigned int seed = number("OLIO_SEED", 0), rounds = number("OLIO_ROUNDS", 150), i;
	const struct pt_variant *v = *state;
	u32 x;
	u8 data[500];
	const char *why;

	if (seed)
		rounds = 1;
	else
		seed = 1;
	for (; rounds; rounds--, seed++) {
		x = seed * 2654435761u | 1;
		for (i = 0; i < sizeof(data); i++) {
			x ^= x << 13;
			x ^= x >> 17;
			x ^= x << 5;
			data[i] = (u8)(x >> 11);
		}
		why = pt_program(v, data, sizeof(data));
		if (why)
			fail_msg("OLIO_SEED=%u: %s", seed, why);
	}
}

/*
 * Four pages, two on either side of a table's border: every range of them, mapped
 * or unmapped, in all sequences of three.
 */
struct tiny {
	struct rig rig;
	u64 base, pa[4];
};

static void tiny_op(struct tiny *t, unsigned int op)
{
	static const u8 first[] = {0, 0, 0, 0, 1, 1, 1, 2, 2, 3};
	static const u8 last[] = {0, 1, 2, 3, 1, 2, 3, 2, 3, 3};
	unsigned int a = first[op % 10], b = last[op % 10], i;
	u64 start = t->base + a * 0x1000ull, end = t->base + b * 0x1000ull + 0xfff;
	u64 pa = 0x40000000 + a * 0x1000ull, had = 0;
	int rc;

	for (i = a; i <= b; i++)
		had += t->pa[i] != 1;
	if (op < 10) {
		rc = map(&t->rig, start, end, pa);
		assert_int_equal(rc, had ? -EADDRINUSE : 0);
	} else {
		rc = -1;
		assert_int_equal(unmap(&t->rig, start, end), had << 12);
	}
	for (i = a; i <= b; i++) {
		if (op >= 10)
			t->pa[i] = 1;
		else if (!rc)
			t->pa[i] = pa + (i - a) * 0x1000ull;
	}
	for (i = 0; i < 4; i++)
		assert_int_equal(where(&t->rig, t->base + i * 0x1000), t->pa[i]);
	assert_int_equal(where(&t->rig, t->base - 0x1000), 1);
	assert_int_equal(where(&t->rig, t->base + 0x4000), 1);
}

static void exhaustive(void **state)
{
	const struct pt_variant *v = *state;
	struct tiny t = {.base = v->levels > 1 ? 0x1fe000 : 0x4000};
	unsigned int a, b, c, i;

	rig_init(&t.rig, v, 0);
	for (a = 0; a < 20; a++)
		for (b = 0; b < 20; b++)
			for (c = 0; c < 20; c++) {
				for (i = 0; i < 4; i++)
					t.pa[i] = 1;
				tiny_op(&t, a);
				tiny_op(&t, b);
				tiny_op(&t, c);
				tiny_op(&t, 13);
			}
	rig_fini(&t.rig);
}

/* ---- all of it, for each variant ---- */

#define SUITE(X)                                                                                   \
	X(geometry)                                                                                \
	X(crossing)                                                                                \
	X(refusals)                                                                                \
	X(configurations)                                                                          \
	X(leaf_choice)                                                                             \
	X(blocks)                                                                                  \
	X(empty_tables_make_way)                                                                   \
	X(overlap)                                                                                 \
	X(failing_map)                                                                             \
	X(failing_split)                                                                           \
	X(unmap_needs_no_memory)                                                                   \
	X(freed_after_sync)                                                                        \
	X(dirty)                                                                                   \
	X(readers)                                                                                 \
	X(random_programs)                                                                         \
	X(exhaustive)

static const struct {
	const char *name;
	void (*test)(void **state);
} suite[] = {
#define TEST(name) {#name, name},
	SUITE(TEST)
#undef TEST
};

int main(void)
{
	static struct pt_variant variants[PT_MAX_VARIANTS];
	static struct CMUnitTest tests[PT_MAX_VARIANTS * OLI_ARRAY_SIZE(suite)];
	static char names[OLI_ARRAY_SIZE(tests)][64];
	unsigned int nr = pt_variants(variants), v, i, n = 0;

	for (v = 0; v < nr; v++) {
		for (i = 0; i < OLI_ARRAY_SIZE(suite); i++, n++) {
			snprintf(names[n], sizeof(names[n]), "%s %s", variants[v].name,
				 suite[i].name);
			tests[n] = (struct CMUnitTest){.name = names[n],
						       .test_func = suite[i].test,
						       .initial_state = &variants[v]};
		}
	}
	return _cmocka_run_group_tests("pt", tests, n, NULL, NULL);
}
