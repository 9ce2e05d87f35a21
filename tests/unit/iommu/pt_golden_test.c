// SPDX-License-Identifier: MIT
/*
 * The bytes of the tables, against values worked out by hand from the manuals.
 * Each case maps one leaf and compares every item on the way to it, from the top
 * down, with T standing for the pa of the next table. Nothing here uses the
 * formats' own constants.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "../../model/pt_arena.h"

#define R   OLI_PT_READ
#define W   OLI_PT_WRITE

struct golden {
	const char *source;
	u8 levels;
	u32 attrs;
	u64 iova, pa;
	u8 lg2;
	u16 index[6]; /* from the top level down to the leaf */
	u64 item[6]; /* without the pa of the next table */
};

/* Intel VT-d 3.7 (which bits index which level), 9.8 (R 0, W 1, PS 7, SNP 11). */
static const struct golden vtdss[] = {
	{"9.8 SS-PML4E, SS-PDPE, SS-PDE, SS-PTE", 4, R | W, 0x0000123456789000, 0x7654321000, 12,
	 {0x024, 0x0d1, 0x0b3, 0x189}, {3, 3, 3, 0x7654321003}},
	{"9.8 SS-PTE, R alone", 3, R, 0x7ffffff000, 0xffffffffff000, 12,
	 {0x1ff, 0x1ff, 0x1ff}, {3, 3, 0x000ffffffffff001}},
	{"9.8 SS-PTE, W alone, SNP", 3, W | OLI_PT_SNOOP, 0x1000, 0x2000, 12,
	 {0, 0, 1}, {3, 3, 0x2802}},
	{"9.8 SS-PDE that maps 2M", 4, R | W, 0x40200000, 0x80600000, 21,
	 {0, 1, 1}, {3, 3, 0x80600083}},
	{"9.8 SS-PDPE that maps 1G", 4, R, 0x8040000000, 0x4c0000000, 30,
	 {1, 1}, {3, 0x4c0000081}},
	{"9.8 SS-PML5E", 5, R | W, 0x0155123456789000, 0x3000, 12,
	 {0x155, 0x024, 0x0d1, 0x0b3, 0x189}, {3, 3, 3, 3, 0x3003}},
};

/* AMD 48882 2.2.3: PR 0, next level 11:9, FC 60, IR 61, IW 62; page size encodings. */
static const struct golden amdv1[] = {
	{"PDE and PTE, next level 3, 2, 1, 0", 4, R | W, 0x0000123456789000, 0x7654321000, 12,
	 {0x024, 0x0d1, 0x0b3, 0x189},
	 {0x6000000000000601, 0x6000000000000401, 0x6000000000000201, 0x6000007654321001}},
	{"PTE, IR alone", 1, R, 0x1ff000, 0xffffffffff000, 12, {0x1ff}, {0x200ffffffffff001}},
	{"PTE, IW alone, FC", 1, W | OLI_PT_COHERENT, 0, 0x5000, 12, {0}, {0x5000000000005001}},
	{"8K, next level 7, address bit 12 is 0", 1, R | W, 0x2000, 0x6000, 13,
	 {2}, {0x6000000000006e01}},
	{"16K, address bits 13:12 are 01", 1, R | W, 0x4000, 0x8000, 14, {4}, {0x6000000000009e01}},
	{"32K, address bits 14:12 are 011", 1, R | W, 0x8000, 0x10000, 15,
	 {8}, {0x6000000000013e01}},
	{"1M, address bits 19:12 are 0 and ones", 1, R, 0x100000, 0x300000, 20,
	 {0x100}, {0x200000000037fe01}},
	{"2M, the default of level 2", 2, R | W, 0x200000, 0x600000, 21,
	 {1}, {0x6000000000600001}},
	{"4M, address bits 21:12 are 0 and ones", 2, R | W, 0x400000, 0x800000, 22,
	 {2}, {0x60000000009ffe01}},
	{"1G, the default of level 3", 3, R | W, 0x40000000, 0x80000000, 30,
	 {1}, {0x6000000080000001}},
	{"512G, the default of level 4", 4, R | W, 0x8000000000, 0, 39, {1}, {0x6000000000000001}},
	{"PDE of level 6, whose index has 7 bits", 6, R | W, 0xfffffffffffff000, 0x4000, 12,
	 {0x7f, 0x1ff, 0x1ff, 0x1ff, 0x1ff, 0x1ff},
	 {0x6000000000000a01, 0x6000000000000801, 0x6000000000000601, 0x6000000000000401,
	  0x6000000000000201, 0x6000000000004001}},
};

/* Intel SDM volume 3, 4.5: P 0, R/W 1, U/S 2, PWT 3, PCD 4, PS 7, XD 63. */
static const struct golden x86_64[] = {
	{"4.5 PML4E, PDPTE, PDE, PTE", 4, R | W, 0x0000123456789000, 0x7654321000, 12,
	 {0x024, 0x0d1, 0x0b3, 0x189}, {7, 7, 7, 0x8000007654321007}},
	{"4.5 PTE, read only", 4, R, 0x1000, 0x2000, 12,
	 {0, 0, 0, 1}, {7, 7, 7, 0x8000000000002005}},
	{"4.5 PTE, supervisor, executable", 4, R | W | OLI_PT_PRIV | OLI_PT_EXEC, 0x1000, 0x2000, 12,
	 {0, 0, 0, 1}, {7, 7, 7, 0x2003}},
	{"4.5 PTE, uncached", 4, R | W | OLI_PT_MMIO, 0x1000, 0x2000, 12,
	 {0, 0, 0, 1}, {7, 7, 7, 0x800000000000201f}},
	{"4.5 PDE that maps 2M", 4, R | W, 0x40200000, 0x80600000, 21,
	 {0, 1, 1}, {7, 7, 0x8000000080600087}},
	{"4.5 PDPTE that maps 1G", 4, R, 0x8040000000, 0x4c0000000, 30,
	 {1, 1}, {7, 0x80000004c0000085}},
	{"4.5 PML5E", 5, R | W, 0x0055123456789000, 0x3000, 12,
	 {0x055, 0x024, 0x0d1, 0x0b3, 0x189}, {7, 7, 7, 7, 0x8000000000003007}},
};

static void compare(enum oli_pt_format_id format, const struct golden *g)
{
	struct oli_pt_config c = {.format = format, .levels = g->levels};
	u64 last = g->iova | ((1ull << g->lg2) - 1), table, item;
	struct oli_pt_gather gather;
	struct pt_arena a;
	struct oli_pt pt;
	unsigned int i, n;

	c.features = format == OLI_PT_VTDSS ? OLI_PT_AD | OLI_PT_SNOOP_CONTROL :
		     format == OLI_PT_X86_64 ? OLI_PT_AD | OLI_PT_NX :
					       OLI_PT_AD;
	pt_arena_init(&a, true, false);
	oli_pt_gather_init(&gather);
	assert_int_equal(oli_pt_create(&pt, &c, &a.mem), 0);
	assert_int_equal(oli_pt_map(&pt, (struct olio_iova_range){{g->iova}, {last}},
				    (struct olio_pa){g->pa}, g->attrs, &gather),
			 0);
	for (n = 6; !g->item[n - 1]; n--)
		;
	for (i = 0, table = pt.root.v; i < n; i++, table = item & 0x000ffffffffff000) {
		item = pt_arena_item(&a, table, g->index[i]);
		if ((i + 1 < n ? item & ~0x000ffffffffff000ull : item) != g->item[i])
			fail_msg("%s: item %u is %#llx, not %#llx", g->source, i,
				 (unsigned long long)item, (unsigned long long)g->item[i]);
	}
	oli_pt_destroy(&pt);
	pt_arena_fini(&a);
}

#define GOLDEN(ID, name)                                                                           \
	static void name##_items(void **state)                                                     \
	{                                                                                          \
		unsigned int i;                                                                    \
                                                                                                   \
		(void)state;                                                                       \
		for (i = 0; i < OLI_ARRAY_SIZE(name); i++)                                         \
			compare(OLI_PT_##ID, &name[i]);                                            \
	}
GOLDEN(VTDSS, vtdss)
GOLDEN(AMDV1, amdv1)
GOLDEN(X86_64, x86_64)

/* Each slot of a block holds the same item, and its neighbours nothing. */
static void block_items(void **state)
{
	struct oli_pt_config c = {.format = OLI_PT_AMDV1, .levels = 1};
	struct oli_pt_gather gather;
	struct pt_arena a;
	struct oli_pt pt;
	unsigned int i;

	(void)state;
	pt_arena_init(&a, true, true);
	oli_pt_gather_init(&gather);
	assert_int_equal(oli_pt_create(&pt, &c, &a.mem), 0);
	assert_int_equal(oli_pt_map(&pt, (struct olio_iova_range){{0x10000}, {0x1ffff}},
				    (struct olio_pa){0x20000}, R, &gather),
			 0);
	for (i = 0; i < 64; i++)
		assert_int_equal(pt_arena_item(&a, pt.root.v, i),
				 i >= 16 && i < 32 ? 0x2000000000027e01 : 0);
	oli_pt_destroy(&pt);
	pt_arena_fini(&a);
}

/* Bits that hardware reserves, and attributes that a format has not, are refused. */
static void refused_attributes(void **state)
{
	static const struct {
		enum oli_pt_format_id format;
		u32 attrs;
	} none[] = {
		{OLI_PT_VTDSS, R | OLI_PT_SNOOP},
		{OLI_PT_VTDSS, R | OLI_PT_PRIV},
		{OLI_PT_AMDV1, R | OLI_PT_PRIV},
		{OLI_PT_X86_64, R | OLI_PT_SNOOP},
	};
	struct oli_pt_gather gather;
	struct pt_arena a;
	struct oli_pt pt;
	unsigned int i;

	(void)state;
	pt_arena_init(&a, true, true);
	oli_pt_gather_init(&gather);
	for (i = 0; i < OLI_ARRAY_SIZE(none); i++) {
		struct oli_pt_config c = {.format = none[i].format, .levels = 4};

		assert_int_equal(oli_pt_create(&pt, &c, &a.mem), 0);
		assert_int_equal(oli_pt_map(&pt, (struct olio_iova_range){{0}, {0xfff}},
					    (struct olio_pa){0}, none[i].attrs, &gather),
				 -EOPNOTSUPP);
		oli_pt_destroy(&pt);
	}
	assert_int_equal(a.live, 0);
	pt_arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vtdss_items),	cmocka_unit_test(amdv1_items),
		cmocka_unit_test(x86_64_items), cmocka_unit_test(block_items),
		cmocka_unit_test(refused_attributes),
	};

	return cmocka_run_group_tests_name("pt_golden", tests, NULL, NULL);
}
