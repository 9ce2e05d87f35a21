// SPDX-License-Identifier: MIT
/*
 * The IOVA allocator against a map of granules: every short program on tiny
 * spaces, random ones on larger ones, every failure of memory; then what a map
 * cannot hold: the whole 64-bit space, threads, and memory over time.
 *
 * IOVA_SEED and IOVA_COUNT replay or lengthen the random programs.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "iova_model.h"

#define K  4096ull
#define GB (1ull << 30)

/* Steps of a short program. One thread's work tells the thread sanitizer little. */
#ifdef __SANITIZE_THREAD__
#define SHORT 3
#else
#define SHORT 4
#endif

static struct olio_iova at(u64 v)
{
	return (struct olio_iova){v};
}

static struct oli_iova space(u64 start, u64 last, u8 cached, u32 flags)
{
	struct oli_iova_config c = {.range = {{start}, {last}},
				    .mem = &model_mem,
				    .flags = flags,
				    .granule_shift = 12,
				    .cached_orders = cached};
	struct oli_iova v;

	assert_int_equal(oli_iova_init(&v, &c), 0);
	return v;
}

static void done(struct oli_iova *v)
{
	assert_true(oli_iova_is_valid(v));
	oli_iova_fini(v);
	assert_int_equal(model_mem_out, 0);
}

static u64 get(struct oli_iova *v, u64 size, u64 limit)
{
	struct olio_iova out;

	assert_int_equal(oli_iova_alloc(v, size, limit, &out), 0);
	return out.v;
}

/* A test that failed may have left something. */
static int fresh(void **state)
{
	(void)state;
	model_mem_out = 0;
	oli_fault_countdown = 0;
	return 0;
}

/* ---- programs ---- */

static void must_run(const u8 *program, size_t len, int nth, bool *failed)
{
	const char *why = model_run(program, len, nth, failed);
	size_t i;

	if (!why)
		return;
	printf("# nth %d, program", nth);
	for (i = 0; i < len; i++)
		printf(" %02x", program[i]);
	printf("\n");
	fail_msg("%s", why);
}

static void every_short_program(void **state)
{
	static const u8 op[][3] = {
		{OP_ALLOC, 0, 0},    {OP_ALLOC, 1, 0},	 {OP_ALLOC, 2, 0}, {OP_ALLOC, 3, 0},
		{OP_ALLOC, 0, 0xa1}, {OP_FREE, 0, 0},	 {OP_FREE, 1, 0},  {OP_CLAIM, 0, 0},
		{OP_GIVE, 0, 0},     {OP_FIXED, 3, 1},	 {OP_WRONG, 0, 0}, {OP_WRONG, 0, 0x81},
		{OP_RESERVE, 5, 0},  {OP_RELEASE, 0, 0},
	};
	const u32 n = OLI_ARRAY_SIZE(op), depth = SHORT;
	u8 program[4 + 3 * SHORT];
	/* At the bottom and at the top; without magazines, and with two sizes of "small". */
	static const u8 where[] = {0, 2, 0, 2, 0}, cached[] = {0, 0, 2, 2, 3};
	u32 kind, code, rest, i, programs = 1;

	(void)state;
	for (i = 0; i < depth; i++)
		programs *= n;
	for (kind = 0; kind < OLI_ARRAY_SIZE(where); kind++)
		for (code = 0; code < programs; code++) {
			memcpy(program, (u8[]){0, where[kind], cached[kind], 0}, 4);
			for (i = 0, rest = code; i < depth; i++, rest /= n)
				memcpy(program + 4 + 3 * i, op[rest % n], 3);
			must_run(program, sizeof(program), 0, NULL);
		}
}

static size_t random_program(u8 *program, size_t room, unsigned int seed)
{
	size_t i, len;
	int what;

	srandom(seed);
	len = 4 + 3 * ((size_t)random() % (room / 3 - 2));
	for (i = 0; i < len; i++)
		program[i] = (u8)random();
	if (random() % 4)
		program[2] &= 0x7f;
	/* Some programs fill the space, some hover. */
	what = (int)(random() % 3);
	for (i = 4; i < len; i += 3)
		if (random() % 4 < what)
			program[i] = OP_ALLOC;
	return len;
}

static unsigned int setting(const char *name, unsigned int otherwise)
{
	const char *value = getenv(name);

	return value ? (unsigned int)atoi(value) : otherwise;
}

static void random_programs(void **state)
{
	unsigned int seed = setting("IOVA_SEED", 1), count = setting("IOVA_COUNT", 1500);
	u8 program[2000];
	size_t len;

	(void)state;
	for (; count; count--, seed++) {
		len = random_program(program, sizeof(program), seed);
		must_run(program, len, 0, NULL);
	}
}

static void every_failure_of_memory(void **state)
{
	unsigned int seed = setting("IOVA_SEED", 1);
	u8 program[300];
	bool failed;
	size_t len;
	int nth, i;

	(void)state;
	for (i = 0; i < 60; i++) {
		len = random_program(program, sizeof(program), seed + (u32)i);
		for (nth = 1, failed = true; failed; nth++)
			must_run(program, len, nth, &failed);
	}
}

/* ---- the whole space ---- */

static void every_limit_of_the_whole_space(void **state)
{
	struct oli_iova v = space(0, UINT64_MAX, 0, 0);
	u64 limit, got;
	u32 bit, order;

	(void)state;
	assert_int_equal(get(&v, K, UINT64_MAX), UINT64_MAX - (K - 1));
	for (bit = 13; bit < 64; bit++) {
		limit = (1ull << bit) - 1;
		for (order = 0; order + 13 <= bit; order++) {
			got = get(&v, K << order, limit);
			assert_int_equal(got, limit - ((K << order) - 1));
			assert_int_equal(oli_iova_free(&v, at(got), K << order), 0);
		}
		if (bit == 13)
			continue; /* no other granule below but 0 */
		got = get(&v, K, limit - 1);
		assert_int_equal(got, limit + 1 - 2 * K);
		assert_int_equal(oli_iova_free(&v, at(got), K), 0);
	}
	done(&v);
}

static void nothing_below_the_first_granule(void **state)
{
	struct oli_iova v = space(0, UINT64_MAX, 11, 0);
	struct olio_iova out = {7};
	u64 limit;

	(void)state;
	for (limit = 0; limit < 2 * K - 1; limit += 511)
		assert_int_equal(oli_iova_alloc(&v, K, limit, &out), -ENOSPC);
	assert_int_equal(oli_iova_alloc(&v, 2 * K, 2 * K - 1, &out), -ENOSPC);
	assert_int_equal(out.v, 7);
	assert_int_equal(get(&v, K, 2 * K - 1), K);
	assert_int_equal(oli_iova_alloc_fixed(&v, at(0), K), -ERANGE);
	done(&v);
}

static void huge_sizes(void **state)
{
	struct oli_iova v = space(0, UINT64_MAX, 11, 0);
	u64 half = 1ull << 63, three = 3ull << 61;
	struct olio_iova out;

	(void)state;
	assert_int_equal(get(&v, half, UINT64_MAX), half);
	assert_int_equal(oli_iova_alloc(&v, half, UINT64_MAX, &out), -ENOSPC);
	assert_int_equal(oli_iova_free(&v, at(half), half), 0);
	assert_int_equal(get(&v, three, UINT64_MAX), half);
	assert_int_equal(get(&v, 1ull << 61, UINT64_MAX), half + three);
	assert_int_equal(oli_iova_free(&v, at(half), three - K), -ENOENT);
	assert_int_equal(oli_iova_free(&v, at(half), three), 0);
	assert_int_equal(oli_iova_alloc_fixed(&v, at(K), half - K), 0);
	assert_int_equal(oli_iova_alloc_fixed(&v, at(UINT64_MAX - (K - 1)), 2 * K), -EINVAL);
	assert_int_equal(oli_iova_alloc_fixed(&v, at(UINT64_MAX - (K - 1)), K), -EBUSY);
	assert_int_equal(oli_iova_free(&v, at(UINT64_MAX - (K - 1)), UINT64_MAX - (K - 1)),
			 -EINVAL);
	done(&v);
}

static void bad_spaces(void **state)
{
	struct oli_iova_config good = {
		.range = {{0}, {GB - 1}}, .mem = &model_mem, .granule_shift = 12};
	struct oli_iova_config c[8];
	struct oli_iova v;
	size_t i;

	(void)state;
	for (i = 0; i < OLI_ARRAY_SIZE(c); i++)
		c[i] = good;
	c[0].granule_shift = 7;
	c[1].granule_shift = 31;
	c[2].cached_orders = OLI_IOVA_MAX_CACHED_ORDERS + 1;
	c[3].flags = 2;
	c[4].range.start.v = 1;
	c[5].range.last.v = GB;
	c[6].range.start.v = 2 * GB;
	c[7].range.last.v = K - 1;
	for (i = 0; i < OLI_ARRAY_SIZE(c); i++)
		assert_int_equal(oli_iova_init(&v, &c[i]), -EINVAL);
	assert_int_equal(model_mem_out, 0);
}

/* Numbers that the tree does not cover are not taken for others. */
static void far_addresses(void **state)
{
	struct oli_iova v = space(GB, 2 * GB - 1, 11, 0);
	u64 got = get(&v, K, UINT64_MAX);
	struct oli_iova_claim claim;
	u32 bit;

	(void)state;
	for (bit = 31; bit < 64; bit++) {
		assert_int_equal(oli_iova_free(&v, at(got + (1ull << bit)), K), -ENOENT);
		assert_int_equal(oli_iova_claim(&v, at(got + (1ull << bit)), K, &claim), -ENOENT);
	}
	assert_int_equal(oli_iova_free(&v, at(got), K), 0);
	done(&v);
}

static void bad_arguments(void **state)
{
	struct oli_iova v = space(GB, 2 * GB - 1, 11, 0);
	struct oli_iova_claim claim;
	struct olio_iova out;

	(void)state;
	assert_int_equal(oli_iova_alloc(&v, 0, UINT64_MAX, &out), -EINVAL);
	assert_int_equal(oli_iova_alloc(&v, K + 1, UINT64_MAX, &out), -EINVAL);
	assert_int_equal(oli_iova_alloc(&v, UINT64_MAX, UINT64_MAX, &out), -EINVAL);
	assert_int_equal(oli_iova_alloc(&v, -K, UINT64_MAX, &out), -ENOSPC);
	assert_int_equal(oli_iova_alloc(&v, K, GB, &out), -ENOSPC);
	assert_int_equal(oli_iova_alloc_fixed(&v, at(GB - K), 2 * K), -ERANGE);
	assert_int_equal(oli_iova_alloc_fixed(&v, at(2 * GB - K), 2 * K), -ERANGE);
	assert_int_equal(oli_iova_free(&v, at(UINT64_MAX - (K - 1)), K), -ENOENT);
	assert_int_equal(oli_iova_free(&v, at(GB), 0), -EINVAL);
	assert_int_equal(oli_iova_claim(&v, at(GB), K, &claim), -ENOENT);
	assert_int_equal(oli_iova_claim(&v, at(GB), 0, &claim), -EINVAL);
	assert_int_equal(oli_iova_claim(&v, at(GB + 1), K, &claim), -EINVAL);
	assert_int_equal(oli_iova_reserve(&v, (struct olio_iova_range){{GB + K}, {GB}}), -EINVAL);
	done(&v);
}

/* ---- windows ---- */

static const struct olio_iova_range msi = {{0xfee00000}, {0xfeefffff}};

static void windows_are_never_handed_out(void **state)
{
	const struct olio_iova_range outside = {{8 * GB}, {9 * GB - 1}}, zero = {{0}, {K - 1}};
	struct oli_iova v = space(0, 4 * GB - 1, 11, 0);
	struct olio_iova out;
	struct oli_iova_usage u;
	u64 n = 0;

	(void)state;
	get(&v, K, UINT32_MAX);
	assert_int_equal(oli_iova_reserve(&v, msi), 0);
	assert_int_equal(oli_iova_reserve(&v, msi), -EBUSY);
	assert_int_equal(oli_iova_reserve(&v, outside), 0);
	assert_int_equal(oli_iova_reserve(&v, zero), 0);
	assert_int_equal(oli_iova_alloc_fixed(&v, msi.start, K), -EBUSY);
	while (!oli_iova_alloc(&v, 64 * K, UINT64_MAX, &out)) {
		assert_true(out.v > msi.last.v || out.v + 64 * K <= msi.start.v);
		n++;
	}
	assert_int_equal(n, 4 * GB / (64 * K) - 16 / 4 - 2);
	assert_int_equal(oli_iova_release(&v, msi), 0);
	assert_int_equal(oli_iova_release(&v, outside), 0);
	assert_int_equal(oli_iova_release(&v, zero), 0);
	assert_int_equal(oli_iova_release(&v, zero), -ENOENT);
	assert_int_equal(get(&v, 256 * K, UINT64_MAX), msi.start.v);
	oli_iova_usage(&v, &u);
	assert_int_equal(u.reserved, 0);
	done(&v);
}

/* A reservation takes what only waits in a magazine. */
static void windows_win_over_magazines(void **state)
{
	struct oli_iova v = space(0, 64 * K - 1, 5, 0);
	u64 got = get(&v, K, UINT64_MAX);

	(void)state;
	assert_int_equal(oli_iova_free(&v, at(got), K), 0);
	assert_int_equal(oli_iova_alloc_fixed(&v, at(got), K), 0);
	assert_int_equal(oli_iova_free(&v, at(got), K), 0);
	assert_int_equal(oli_iova_reserve(&v, (struct olio_iova_range){{K}, {64 * K - 1}}), 0);
	done(&v);
}

static void low_first_until_it_fails(void **state)
{
	struct oli_iova v = space(0, (1ull << 48) - 1, 0, OLI_IOVA_LOW_FIRST);
	u64 a = get(&v, 2 * GB, UINT64_MAX), b;

	(void)state;
	assert_int_equal(a, 2 * GB);
	b = get(&v, 2 * GB, UINT64_MAX);
	assert_int_equal(b, (1ull << 48) - 2 * GB);
	assert_int_equal(oli_iova_free(&v, at(a), 2 * GB), 0);
	assert_true(get(&v, K, UINT64_MAX) > 4 * GB);
	done(&v);

	v = space(0, (1ull << 48) - 1, 11, OLI_IOVA_LOW_FIRST);
	assert_true(get(&v, K, UINT64_MAX) < 4 * GB);
	/* A device that can do no better is no reason to give up. */
	while (!oli_iova_alloc(&v, 512 * K, 16 * 512 * K - 1, &(struct olio_iova){0}))
		;
	assert_true(get(&v, K, UINT64_MAX) < 4 * GB);
	done(&v);
}

static void full_and_empty_again(void **state)
{
	const u64 nr = 4095;
	struct oli_iova v = space(0, 4096 * K - 1, 11, 0);
	struct olio_iova out;
	u64 round, i, start[4095];

	(void)state;
	for (round = 0; round < 3; round++) {
		for (i = 0; i < nr; i++)
			start[i] = get(&v, K, UINT64_MAX);
		assert_int_equal(oli_iova_alloc(&v, K, UINT64_MAX, &out), -ENOSPC);
		for (i = 0; i < nr; i++)
			assert_int_equal(oli_iova_free(&v, at(start[i]), K), 0);
		/* What sits in magazines of 4K makes large blocks again. */
		assert_int_equal(get(&v, 2048 * K, UINT64_MAX), 2048 * K);
		assert_int_equal(oli_iova_free(&v, at(2048 * K), 2048 * K), 0);
	}
	done(&v);
}

/* ---- claimed ---- */

static void claimed_is_not_handed_out(void **state)
{
	struct oli_iova v = space(0, 1024 * K - 1, 11, 0);
	struct oli_iova_claim claim[511], again;
	u64 round, i, start[512];
	u8 held[1024];

	(void)state;
	for (round = 0; round < 10; round++) {
		memset(held, 0, sizeof(held));
		for (i = 0; i < 511; i++) {
			start[i] = get(&v, K, UINT64_MAX);
			held[start[i] / K] = 1;
		}
		for (i = 0; i < 511; i++) {
			assert_int_equal(oli_iova_claim(&v, at(start[i]), K, &claim[i]), 0);
			assert_int_equal(oli_iova_free(&v, at(start[i]), K), -ENOENT);
			assert_int_equal(oli_iova_claim(&v, at(start[i]), K, &again), -ENOENT);
		}
		for (i = 0; i < 512; i++) {
			start[i] = get(&v, K, UINT64_MAX);
			assert_int_equal(held[start[i] / K], 0);
		}
		assert_int_equal(oli_iova_alloc(&v, K, UINT64_MAX, &(struct olio_iova){0}),
				 -ENOSPC);
		/* One given back is one to have. */
		oli_iova_give(&v, &claim[7]);
		assert_int_equal(get(&v, K, UINT64_MAX), claim[7].start.v);
		assert_int_equal(oli_iova_alloc(&v, K, UINT64_MAX, &(struct olio_iova){0}),
				 -ENOSPC);
		assert_int_equal(oli_iova_claim(&v, claim[7].start, K, &claim[7]), 0);
		for (i = 0; i < 511; i++)
			oli_iova_give(&v, &claim[i]);
		for (i = 0; i < 512; i++)
			assert_int_equal(oli_iova_free(&v, at(start[i]), K), 0);
	}
	done(&v);
}

/* ---- memory over time ---- */

/* Take and give back @nr places in as many leaves. */
static void scatter(struct oli_iova *v, u32 nr, u64 size)
{
	u64 i, start;

	for (i = 1; i <= nr; i++) {
		start = i * 0x9e3779b97f4a7c15ull >> 16 & ~(K - 1);
		if (oli_iova_alloc_fixed(v, at(start), size))
			continue;
		assert_int_equal(oli_iova_free(v, at(start), size), 0);
	}
}

static void scattered_places_are_forgotten(void **state)
{
	struct oli_iova v = space(0, (1ull << 48) - 1, 11, 0);
	u64 i;

	(void)state;
	scatter(&v, 20000, 3 * K);
	assert_true(model_mem_out < 10 << 20);
	assert_true(oli_iova_is_valid(&v));
	for (i = 0; i < 100; i++)
		get(&v, K << i % 15, UINT64_MAX);
	done(&v);
}

/* A thread that knows a leaf must not look into it after it was dropped. */
static void dropped_leaves_are_unknown(void **state)
{
	struct oli_iova v = space(0, (1ull << 48) - 1, 11, 0);
	u64 here = get(&v, K, (1ull << 40) - 1);

	(void)state;
	assert_int_equal(oli_iova_free(&v, at(here), K), 0);
	model_mem_keep = true;
	/* This empties the magazines. */
	assert_int_equal(oli_iova_alloc(&v, 1ull << 50, UINT64_MAX, &(struct olio_iova){0}),
			 -ENOSPC);
	/* Large sizes: the thread looks into no leaf for them. */
	scatter(&v, 600, 1025 * K);
	assert_int_equal(oli_iova_free(&v, at(here), 257 * K), -ENOENT);
	done(&v);
	model_mem_release();
}

/* ---- threads ---- */

#define THREADS	  4
#define SHARED_NR 2048u
#define MAIL	  64
#define STEPS	  20000

static struct oli_iova shared;
static _Atomic(u8) owner[SHARED_NR];
static _Atomic(u64) mail[MAIL]; /* start | number of granules */
static atomic_int wrong;

static void mark(u64 packed, u8 from, u8 to)
{
	u64 first = packed >> 12, nr = packed & 0xfff, i;
	u8 was;

	for (i = 0; i < nr; i++) {
		was = from;
		if (!atomic_compare_exchange_strong(&owner[first + i], &was, to))
			atomic_fetch_add(&wrong, 1);
	}
}

/* What this thread has claimed and not given back yet. */
static __thread struct oli_iova_claim waits[16];
static __thread u32 nr_waits;

static void give_waits(void)
{
	while (nr_waits)
		oli_iova_give(&shared, &waits[--nr_waits]);
}

static void give(u64 packed, u32 how)
{
	mark(packed, 1, 0);
	if (how % 4 == 0) {
		if (nr_waits == OLI_ARRAY_SIZE(waits))
			give_waits();
		if (oli_iova_claim(&shared, at(packed & ~0xfffull), (packed & 0xfff) * K,
				   &waits[nr_waits++]))
			atomic_fetch_add(&wrong, 1);
	} else if (oli_iova_free(&shared, at(packed & ~0xfffull), (packed & 0xfff) * K)) {
		atomic_fetch_add(&wrong, 1);
	}
}

/* Allocate, put it into the mail, free what was there: often another thread's. */
static void *churn(void *arg)
{
	u32 rng = (u32)(uintptr_t)arg * 2654435761u + 1, i;
	struct olio_iova out;
	u64 old, nr;

	for (i = 0; i < STEPS; i++) {
		rng = rng * 1664525u + 1013904223u;
		nr = 1 + (rng >> 10) % 20;
		old = 0;
		if (!oli_iova_alloc(&shared, nr * K, UINT64_MAX, &out)) {
			old = out.v | nr;
			mark(old, 0, 1);
		} else {
			give_waits();
		}
		old = atomic_exchange(&mail[rng >> 26], old);
		if (old)
			give(old, rng >> 4);
	}
	give_waits();
	return NULL;
}

static void run_threads(void *(*fn)(void *), u32 n)
{
	pthread_t thread[100];
	u32 i;

	for (i = 0; i < n; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, fn, (void *)(uintptr_t)(i + 1)),
				 0);
	for (i = 0; i < n; i++)
		pthread_join(thread[i], NULL);
}

static void threads_share_a_space(void **state)
{
	struct oli_iova_usage u;
	u32 round, i;
	u64 old;

	(void)state;
	shared = space(0, SHARED_NR * K - 1, 4, 0);
	for (round = 0; round < 3; round++) {
		run_threads(churn, THREADS);
		assert_int_equal(wrong, 0);
		assert_true(oli_iova_is_valid(&shared));
	}
	for (i = 0; i < MAIL; i++) {
		old = atomic_exchange(&mail[i], 0);
		if (old)
			give(old, 1);
	}
	oli_iova_usage(&shared, &u);
	assert_int_equal(u.free + u.cached, SHARED_NR - 1);
	assert_int_equal(get(&shared, SHARED_NR / 2 * K, UINT64_MAX), SHARED_NR / 2 * K);
	done(&shared);
}

#define SAME  32u
#define RACES 20000u

static struct olio_iova target[SAME];
static atomic_uint arrived, freed;

/* Two threads leave this at the same moment, as far as two processors can. */
static void meet(u32 round)
{
	atomic_fetch_add(&arrived, 1);
	while (atomic_load(&arrived) < 2 * round)
		sched_yield();
}

/* One allocates, both free or claim. */
static void *free_the_same(void *arg)
{
	bool first = (uintptr_t)arg == 1, claims;
	struct oli_iova_claim claim;
	u32 round, i;
	int err;

	for (round = 0; round < RACES; round++) {
		for (i = 0; first && i < SAME; i++)
			if (oli_iova_alloc(&shared, K, UINT64_MAX, &target[i]))
				atomic_fetch_add(&wrong, 1);
		meet(2 * round + 1);
		for (i = 0; i < SAME; i++) {
			/* Twice by free, then by free and by claim, then by claim twice. */
			claims = round % 3 + first > 1;
			err = claims ? oli_iova_claim(&shared, target[i], K, &claim)
				     : oli_iova_free(&shared, target[i], K);
			if (claims && !err)
				oli_iova_give(&shared, &claim);
			atomic_fetch_add(&freed, !err);
			atomic_fetch_add(&wrong, err && err != -ENOENT);
		}
		meet(2 * round + 2);
	}
	return NULL;
}

static void one_of_two_frees_wins(void **state)
{
	(void)state;
	shared = space(0, SHARED_NR * K - 1, 11, 0);
	run_threads(free_the_same, 2);
	assert_int_equal(wrong, 0);
	assert_int_equal(freed, SAME * RACES);
	done(&shared);
}

static pthread_barrier_t barrier;

static void *at_the_same_time(void *arg)
{
	struct olio_iova out[8];
	int i;

	for (i = 0; i < 8; i++)
		if (oli_iova_alloc(&shared, K << i % 3, UINT64_MAX, &out[i]))
			atomic_fetch_add(&wrong, 1);
	pthread_barrier_wait(&barrier);
	for (i = 0; i < 8; i++)
		if (oli_iova_free(&shared, out[i], K << i % 3))
			atomic_fetch_add(&wrong, 1);
	return arg;
}

/* More threads than there are slots; and those who come later take the slots over. */
static void many_threads(void **state)
{
	struct oli_iova_usage u;
	int round;

	(void)state;
	shared = space(0, SHARED_NR * K - 1, 11, 0);
	pthread_barrier_init(&barrier, NULL, 90);
	for (round = 0; round < 3; round++)
		run_threads(at_the_same_time, 90);
	pthread_barrier_destroy(&barrier);
	assert_int_equal(wrong, 0);
	oli_iova_usage(&shared, &u);
	assert_int_equal(u.live, 0);
	assert_int_equal(get(&shared, SHARED_NR / 2 * K, UINT64_MAX), SHARED_NR / 2 * K);
	done(&shared);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(every_short_program, fresh),
		cmocka_unit_test_setup(random_programs, fresh),
		cmocka_unit_test_setup(every_failure_of_memory, fresh),
		cmocka_unit_test_setup(every_limit_of_the_whole_space, fresh),
		cmocka_unit_test_setup(nothing_below_the_first_granule, fresh),
		cmocka_unit_test_setup(huge_sizes, fresh),
		cmocka_unit_test_setup(bad_spaces, fresh),
		cmocka_unit_test_setup(far_addresses, fresh),
		cmocka_unit_test_setup(bad_arguments, fresh),
		cmocka_unit_test_setup(windows_are_never_handed_out, fresh),
		cmocka_unit_test_setup(windows_win_over_magazines, fresh),
		cmocka_unit_test_setup(low_first_until_it_fails, fresh),
		cmocka_unit_test_setup(full_and_empty_again, fresh),
		cmocka_unit_test_setup(claimed_is_not_handed_out, fresh),
		cmocka_unit_test_setup(scattered_places_are_forgotten, fresh),
		cmocka_unit_test_setup(dropped_leaves_are_unknown, fresh),
		cmocka_unit_test_setup(threads_share_a_space, fresh),
		cmocka_unit_test_setup(one_of_two_frees_wins, fresh),
		cmocka_unit_test_setup(many_threads, fresh),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
