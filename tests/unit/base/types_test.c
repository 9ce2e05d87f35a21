// SPDX-License-Identifier: MIT
/* Proves the checked arithmetic of types.h against 128-bit numbers, on small values and extreme ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the four above */
#include <cmocka.h>

#include "base/types.h"

typedef unsigned __int128 u128;

static void check(u64 start, u64 len, u64 base, u64 size)
{
	bool want = start >= base && (u128)start + len <= (u128)base + size;

	if (oli_range_inside(start, len, base, size) != want)
		fail_msg("[0x%llx, +0x%llx) in [0x%llx, +0x%llx) must be %d",
			 (unsigned long long)start, (unsigned long long)len,
			 (unsigned long long)base, (unsigned long long)size, want);
}

static void test_small(void **state)
{
	(void)state;
	for (u64 n = 0; n < 9 * 9 * 9 * 9; n++)
		check(n % 9, n / 9 % 9, n / 81 % 9, n / 729);
}

static void test_extreme(void **state)
{
	static const u64 v[] = {0, 1, 2, 4095, 4096, 1ull << 31, 1ull << 32, (1ull << 63) - 1,
				1ull << 63, (1ull << 63) + 1, UINT64_MAX - 4096, UINT64_MAX - 1,
				UINT64_MAX};
	enum { N = OLI_ARRAY_SIZE(v) };

	(void)state;
	for (u32 n = 0; n < N * N * N * N; n++)
		check(v[n % N], v[n / N % N], v[n / N / N % N], v[n / N / N / N]);
}

static void test_rounding(void **state)
{
	(void)state;
	for (u64 align = 1; align <= 4096; align *= 2)
		for (u64 n = 0; n < 10000; n += 7) {
			u64 up = oli_align_up(n, align);

			assert_true(up >= n && up - n < align && up % align == 0);
		}
	assert_int_equal(oli_align_up(UINT64_MAX - 4095, 4096), UINT64_MAX - 4095);
	assert_int_equal(oli_roundup_pow2(0), 1);
	for (u32 n = 1; n < 100000; n++) {
		u32 p = oli_roundup_pow2(n);

		assert_true(p >= n && !(p & (p - 1)) && (p == 1 || p / 2 < n));
		assert_int_equal(1u << oli_log2(p), p);
	}
	assert_int_equal(oli_roundup_pow2((1u << 30) + 1), 1u << 31);
	assert_int_equal(oli_roundup_pow2(1u << 31), 1u << 31);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small),
		cmocka_unit_test(test_extreme),
		cmocka_unit_test(test_rounding),
	};

	return cmocka_run_group_tests_name("base/types", tests, NULL, NULL);
}
