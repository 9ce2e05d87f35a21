// SPDX-License-Identifier: MIT
/* The biased lock: one holder at a time, whoever has the bias, and it moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sched.h>

#include "base/barrier.h"
#include "base/bias.h"

#define THREADS 4

struct shared {
	struct oli_bias lock;
	u64 count; /* plain: the lock is what orders it */
	u32 inside;
	_Atomic u32 wrong;
	_Atomic u32 turn;
};

static void take(struct shared *s)
{
	oli_bias_lock(&s->lock);
	if (s->inside++)
		atomic_fetch_add(&s->wrong, 1);
	s->count++;
	s->inside--;
	oli_bias_unlock(&s->lock);
}

static bool biased(struct shared *s)
{
	return atomic_load(&s->lock.biased) != &s->lock.seat[0];
}

static void one_thread_gets_it(void **state)
{
	struct shared s = {.count = 0};

	(void)state;
	oli_bias_init(&s.lock);
	assert_false(biased(&s));
	for (u32 i = 0; i < 1000; i++)
		take(&s);
	assert_int_equal(biased(&s), oli_barrier_works());
	assert_int_equal(s.count, 1000);
	oli_bias_fini(&s.lock);
}

static void *take_once(void *arg)
{
	take(arg);
	return NULL;
}

/* More threads than seats come and go, each after the other. */
static void it_is_taken_away(void **state)
{
	struct shared s = {.count = 0};
	pthread_t t;

	(void)state;
	oli_bias_init(&s.lock);
	for (u32 i = 0; i < 30; i++) {
		for (u32 k = 0; k < 2000; k++)
			take(&s);
		assert_int_equal(biased(&s), oli_barrier_works());
		assert_int_equal(pthread_create(&t, NULL, take_once, &s), 0);
		pthread_join(t, NULL);
		assert_false(biased(&s));
	}
	assert_int_equal(s.count, 30 * 2001);
	oli_bias_fini(&s.lock);
}

/* Long streaks and short ones, so that the bias moves in the middle of everything. */
static void *storm(void *arg)
{
	struct shared *s = arg;
	u32 me = atomic_fetch_add(&s->turn, 1), n;

	for (u32 round = 0; round < 60; round++) {
		n = (round + me) % 4 ? 30 : 1500;
		while (n--)
			take(s);
		if (round % 8 == me)
			sched_yield();
	}
	return NULL;
}

static void threads(void **state)
{
	struct shared s = {.count = 0};
	pthread_t t[THREADS];
	u64 expect = 0;

	(void)state;
	oli_bias_init(&s.lock);
	for (u32 i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, storm, &s), 0);
	for (u32 i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	expect = THREADS * (15 * 1500 + 45 * 30);
	assert_int_equal(s.wrong, 0);
	assert_int_equal(s.count, expect);
	oli_bias_fini(&s.lock);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_thread_gets_it),
		cmocka_unit_test(it_is_taken_away),
		cmocka_unit_test(threads),
	};

	return cmocka_run_group_tests_name("bias", tests, NULL, NULL);
}
