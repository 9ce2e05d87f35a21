// SPDX-License-Identifier: MIT
/*
 * Page sizes and blocks against what they mean, byte by byte.
 *
 * The model knows no bits. A size is good if every byte has the same place in its block
 * on both sides, and bytes that are neighbours in a block of iovas are neighbours for the
 * device; and it is not larger than the smallest one that holds everything.
 * Small spaces are searched through; large ones are small ones that were scaled up and
 * moved, which must not change the answer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
/* after the four above */
#include <cmocka.h>

#include "base/types.h"
#include "olio/dma.h"

static bool is_good(const struct olio_seg *segs, size_t n, u64 iova, u64 size)
{
	u64 at = iova, before = 0;

	for (size_t i = 0; i < n; i++)
		for (u64 k = 0; k < segs[i].len; k++, at++) {
			u64 dma = segs[i].dma.v + k;

			if (at % size != dma % size)
				return false;
			/* A block of iovas is a block of DMA addresses, in order. */
			if (at > iova && at % size && dma != before + 1)
				return false;
			before = dma;
		}
	return at > iova;
}

static u64 total(const struct olio_seg *segs, size_t n)
{
	u64 len = 0;

	for (size_t i = 0; i < n; i++)
		len += segs[i].len;
	return len;
}

static u64 model_best(const struct olio_seg *segs, size_t n, u64 iova, u64 sizes)
{
	u64 len = total(segs, n), best = 0;

	for (u64 size = 1; len && size <= 1024; size *= 2) {
		if (!(sizes & size))
			continue;
		if (is_good(segs, n, iova, size))
			best = size;
		if (iova / size == (iova + len - 1) / size)
			break;
	}
	return best;
}

static u64 model_blocks(const struct olio_seg *segs, size_t n, u64 size, u64 *blocks)
{
	u64 count = 0, before = 0;
	bool first = true;

	for (size_t i = 0; i < n; i++)
		for (u64 k = 0; k < segs[i].len; k++) {
			u64 dma = segs[i].dma.v + k;

			if (first || before + 1 != dma || dma / size != before / size)
				blocks[count++] = dma / size * size;
			before = dma;
			first = false;
		}
	return count;
}

static void check_blocks(const struct olio_seg *segs, size_t n, u64 size)
{
	struct olio_block_iter it;
	struct olio_iova block;
	u64 blocks[512], count = model_blocks(segs, n, size, blocks), i = 0;

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
						model_best(segs, 2, iova, sizes[i]));
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
							model_best(segs, 3, iova, sizes));
				for (u64 size = 1; size <= 8; size *= 2)
					check_blocks(segs, 3, size);
			}
}

/* A small list, times 2^shift, moved to where the highest of all addresses is the last. */
static u64 seed = 1;

static u64 random_below(u64 below)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (seed >> 33) % below;
}

static void scaled(void **s)
{
	(void)s;
	for (int round = 0; round < 100000; round++) {
		struct olio_seg small[6], large[6];
		u64 iova, sizes, best, dma_end = 0, at = 0;
		u32 shift, n;

		shift = (u32)random_below(50);
		n = 1 + (u32)random_below(6);
		for (u32 i = 0; i < n; i++) {
			/* Every other one goes on where the one before ended. */
			at = random_below(2) ? at : random_below(8) * 8 + (random_below(4) ? 0 : random_below(8));
			small[i] = (struct olio_seg){{at}, random_below(3) ? 8 * random_below(3) : random_below(9)};
			at += small[i].len;
			dma_end = at > dma_end ? at : dma_end;
		}
		iova = small[0].dma.v % 16 + (random_below(4) ? 0 : random_below(16));
		sizes = random_below(128);
		best = model_best(small, n, iova, sizes);
		for (u32 i = 0; i < n; i++) {
			large[i].dma.v = small[i].dma.v << shift;
			large[i].len = small[i].len << shift;
			/* A multiple of every size that there is, with the end at 2^64. */
			if (dma_end == 64)
				large[i].dma.v -= 64ull << shift;
		}
		assert_int_equal(olio_best_page_size(large, n, iova << shift, sizes << shift),
				 best << shift);
		check_blocks(small, n, 8);
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
