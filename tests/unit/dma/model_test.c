// SPDX-License-Identifier: MIT
/*
 * The same programs in every world: whatever the machine and whichever of the three ways of
 * mapping, the device and the CPU see the same bytes (B1, B9, A3), and nothing is left.
 * DMA_SEED and DMA_PROGRAMS in the environment say where to begin and how many.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
/* after the four above */
#include <cmocka.h>

#include "../../model/dma_model.h"

static u64 state;

static u32 random_below(u32 below)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)((state >> 33) % below);
}

static u32 env(const char *name, u32 otherwise)
{
	const char *text = getenv(name);

	return text ? (u32)atoi(text) : otherwise;
}

static void run(u32 programs, bool fail, bool checker)
{
	u32 seed = env("DMA_SEED", 1);
	u8 data[400];

	programs = env("DMA_PROGRAMS", programs);
	for (u32 w = 0; w < dma_model_worlds(); w++)
		for (u32 i = 0; i < programs; i++) {
			const char *why;
			u32 n;

			state = seed + i;
			n = 20 + random_below(sizeof(data) - 20);
			for (u32 k = 0; k < n; k++)
				data[k] = (u8)random_below(256);
			why = dma_model_run(w, data, n, fail ? 1 + i : 0, checker);
			if (why)
				fail_msg("world %u (%s), seed %u: %s", w, dma_model_world(w), seed + i,
					 why);
		}
}

static void programs(void **s)
{
	(void)s;
	run(40, false, false);
}

/* Each request for a resource in turn. */
static void with_failures(void **s)
{
	(void)s;
	run(60, true, false);
}

/* A program that makes no mistake: the checker has nothing to say. */
static void checker_is_silent(void **s)
{
	(void)s;
	run(10, false, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(programs),
		cmocka_unit_test(with_failures),
		cmocka_unit_test(checker_is_silent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
