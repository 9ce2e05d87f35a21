// SPDX-License-Identifier: MIT
/*
 * Page sizes and blocks against what they mean, byte by byte: tests/model/blocks_model.h.
 * Small spaces are searched through; large ones are random programs of that model.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
/* after the four above */
#include <cmocka.h>

#include "../../model/blocks_model.h"

static void check_blocks(const struct olio_seg *segs, size_t n, u64 size)
{
	struct olio_block_iter it;
	struct olio_iova block;
	u64 blocks[512], count = blocks_model_list(segs, n, size, blocks, 512), i = 0;

	olio_block_first(&it, segs, n, size);
	while (olio_block_next(&it, &block)) {
		assert_true(i < count);
		assert_int_equal(block.v, blocks[i]);
		i++;
	}
	assert_int_equal(i, count);
	assert_int_equal(olio_block_count(segs, n, size), count);
}

static void two_segments(void **s)
{
	static const u64 sizes[] = {4, 4 | 8, 4 | 16, 8 | 32, 4 | 8 | 16 | 32 | 64, 1 | 2 | 64};
	struct olio_seg segs[2];

	(void)s;
	for (u64 a = 0; a < 20 * 8; a++)
		for (u64 b = 0; b < 20 * 8; b++) {
			segs[0] = (struct olio_seg){{a / 8}, a % 8 + 1};
			segs[1] = (struct olio_seg){{b / 8}, b % 8};
			for (u64 iova = 0; iova < 17; iova++)
				for (size_t i = 0; i < OLI_ARRAY_SIZE(sizes); i++)
					assert_int_equal(
						olio_best_page_size(segs, 2, iova, sizes[i]),
						blocks_model_best(segs, 2, iova, sizes[i]));
			for (u64 size = 1; size <= 16; size *= 2)
				check_blocks(segs, 2, size);
		}
}

static void three_segments(void **s)
{
	struct olio_seg segs[3];

	(void)s;
	for (u64 a = 0; a < 24; a++)
		for (u64 b = 0; b < 24; b++)
			for (u64 c = 0; c < 24; c++) {
				segs[0] = (struct olio_seg){{a / 3}, a % 3 + 1};
				segs[1] = (struct olio_seg){{b / 3}, b % 3};
				segs[2] = (struct olio_seg){{c / 3}, c % 3 + 1};
				for (u64 iova = 0; iova < 8; iova++)
					for (u64 sizes = 1; sizes < 16; sizes += 2)
						assert_int_equal(
							olio_best_page_size(segs, 3, iova, sizes),
							blocks_model_best(segs, 3, iova, sizes));
				for (u64 size = 1; size <= 8; size *= 2)
					check_blocks(segs, 3, size);
			}
}

static void scaled(void **s)
{
	u8 program[4 + 2 * 8];
	u64 seed = 1;

	(void)s;
	for (int round = 0; round < 100000; round++) {
		const char *why;
		size_t len;

		for (size_t i = 0; i < sizeof(program); i++) {
			seed = seed * 6364136223846793005ull + 1442695040888963407ull;
			/* Often whole eights: then there is more than the smallest size. */
			program[i] = (u8)(seed >> 33) & (seed >> 60 < 12 ? 0xf8 : 0xff);
		}
		len = 6 + (seed >> 40) % 8 * 2;
		why = blocks_model_run(program, len);
		if (why)
			fail_msg("round %d: %s", round, why);
	}
}

static void wraps(void **s)
{
	struct olio_seg segs[2] = {{{0xfffffffffffff000}, 0x1000}, {{0}, 0x1000}};
	struct olio_block_iter it;
	struct olio_iova block;

	(void)s;
	/* The last page of a space has a page size; what wraps around behind it has none. */
	assert_int_equal(olio_best_page_size(segs, 1, 0xfffffffffffff000, 0x1000), 0x1000);
	assert_int_equal(olio_best_page_size(segs, 2, 0xfffffffffffff000, 0x1000), 0);
	/* From the top to the bottom is no continuation. */
	assert_int_equal(olio_best_page_size(segs, 2, 0, 0x1000 | 1ull << 63), 0x1000);
	assert_int_equal(olio_block_count(segs, 2, 0x1000), 2);
	olio_block_first(&it, segs, 2, 0x1000);
	assert_true(olio_block_next(&it, &block));
	assert_int_equal(block.v, 0xfffffffffffff000);
	assert_true(olio_block_next(&it, &block));
	assert_int_equal(block.v, 0);
	assert_false(olio_block_next(&it, &block));
	/* A segment that wraps. */
	segs[0].len = 0x1001;
	assert_int_equal(olio_best_page_size(segs, 1, 0, 0x1000), 0);
	assert_int_equal(olio_best_page_size(segs, 1, 0x1000, 1), 0);
	/* Iovas that wrap. */
	segs[0] = (struct olio_seg){{0x1000}, 0x2000};
	assert_int_equal(olio_best_page_size(segs, 1, 0xfffffffffffff000, 0x1000), 0);
	assert_int_equal(olio_best_page_size(segs, 1, 0xffffffffffffe001, 0x1000), 0);
	assert_int_equal(olio_best_page_size(segs, 1, 0xffffffffffffe000, 0x1000), 0x1000);
}

static void nothing(void **s)
{
	struct olio_seg segs[2] = {{{0x1000}, 0}, {{0x2000}, 0}};
	struct olio_block_iter it;
	struct olio_iova block;

	(void)s;
	assert_int_equal(olio_best_page_size(segs, 0, 0, 0x1000), 0);
	assert_int_equal(olio_best_page_size(segs, 2, 0, 0x1000), 0);
	assert_int_equal(olio_block_count(segs, 2, 0x1000), 0);
	assert_int_equal(olio_block_count(segs, 0, 0x1000), 0);
	segs[0].len = 0x1000;
	assert_int_equal(olio_best_page_size(segs, 1, 0, 0), 0);
	/* No power of two: there are no such blocks. */
	assert_int_equal(olio_block_count(segs, 1, 0x1800), 0);
	assert_int_equal(olio_block_count(segs, 1, 0), 0);
	olio_block_first(&it, segs, 1, 0);
	assert_false(olio_block_next(&it, &block));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_segments), cmocka_unit_test(three_segments),
		cmocka_unit_test(scaled),	cmocka_unit_test(wraps),
		cmocka_unit_test(nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
