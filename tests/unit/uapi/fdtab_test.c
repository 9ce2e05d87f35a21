// SPDX-License-Identifier: MIT
/* The descriptor table: who holds references, when objects are released, and races. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "uapi/fdtab.h"

struct thing {
	struct oli_fd fd;
	_Atomic int released;
};

static void thing_release(struct oli_fd *obj)
{
	struct thing *t = (struct thing *)obj;

	t->released++;
}

static struct thing thing_new(void)
{
	return (struct thing){
		.fd = {.kind = OLI_FD_CHAN, .refs = 1, .release = thing_release},
	};
}

static void foreign_numbers(void **state)
{
	(void)state;
	assert_null(oli_fd_lookup(-1));
	assert_null(oli_fd_lookup(0));
	assert_null(oli_fd_lookup(OLI_FD_MAX));
	assert_null(oli_fd_lookup(INT32_MAX));
	oli_fd_closing(-1);
	oli_fd_closing(OLI_FD_MAX);
	oli_fd_copied(3, 4);
	assert_int_equal(oli_fd_limit(), 0);
}

static void install_and_close(void **state)
{
	struct thing t = thing_new();

	(void)state;
	assert_int_equal(oli_fd_install(OLI_FD_MAX, &t.fd), -EMFILE);
	assert_int_equal(oli_fd_install(-1, &t.fd), -EMFILE);
	assert_int_equal(t.fd.refs, 1);
	assert_int_equal(oli_fd_install(10, &t.fd), 0);
	assert_ptr_equal(oli_fd_lookup(10), &t.fd);
	assert_int_equal(oli_fd_limit(), 11);
	oli_fd_closing(10);
	assert_null(oli_fd_lookup(10));
	assert_int_equal(t.released, 1);
	oli_fd_closing(10);
	assert_int_equal(t.released, 1);
}

static void every_copy_counts(void **state)
{
	struct thing t = thing_new();

	(void)state;
	assert_int_equal(oli_fd_install(10, &t.fd), 0);
	oli_fd_copied(10, 11);
	oli_fd_copied(11, 12);
	oli_fd_copied(12, 12);
	oli_fd_copied(12, OLI_FD_MAX + 5);
	assert_int_equal(t.fd.refs, 3);
	oli_fd_closing(10);
	oli_fd_closing(12);
	assert_int_equal(t.released, 0);
	assert_ptr_equal(oli_fd_lookup(11), &t.fd);
	oli_fd_closing(11);
	assert_int_equal(t.released, 1);
}

static void copy_replaces(void **state)
{
	struct thing a = thing_new(), b = thing_new();

	(void)state;
	assert_int_equal(oli_fd_install(20, &a.fd), 0);
	assert_int_equal(oli_fd_install(21, &b.fd), 0);
	oli_fd_copied(20, 21);
	assert_int_equal(b.released, 1);
	assert_ptr_equal(oli_fd_lookup(21), &a.fd);
	oli_fd_copied(99, 21); /* a foreign one over ours */
	assert_null(oli_fd_lookup(21));
	assert_int_equal(a.fd.refs, 1);
	oli_fd_closing(20);
	assert_int_equal(a.released, 1);
}

static void install_over_stale(void **state)
{
	struct thing a = thing_new(), b = thing_new();

	(void)state;
	assert_int_equal(oli_fd_install(30, &a.fd), 0);
	assert_int_equal(oli_fd_install(30, &b.fd), 0);
	assert_int_equal(a.released, 1);
	oli_fd_closing(30);
	assert_int_equal(b.released, 1);
}

static void engine_numbers(void **state)
{
	struct thing t = thing_new();

	(void)state;
	oli_fd_guard(40);
	assert_int_equal(oli_fd_lookup(40)->kind, OLI_FD_ENGINE);
	oli_fd_closing(40);
	assert_non_null(oli_fd_lookup(40));
	oli_fd_copied(40, 41);
	assert_null(oli_fd_lookup(41));
	assert_int_equal(oli_fd_install(42, &t.fd), 0);
	oli_fd_unguard(42); /* not a guarded one */
	assert_ptr_equal(oli_fd_lookup(42), &t.fd);
	oli_fd_unguard(40);
	assert_null(oli_fd_lookup(40));
	oli_fd_closing(42);
	oli_fd_guard(OLI_FD_MAX);
	oli_fd_unguard(-1);
}

#define ROUNDS 20000

static struct thing shared;

/* Copy and close numbers of its own, from a number that stays open. */
static void *copier(void *arg)
{
	int fd = 100 + 2 * (int)(intptr_t)arg;

	for (int i = 0; i < ROUNDS; i++) {
		oli_fd_copied(50, fd);
		oli_fd_copied(fd, fd + 1);
		oli_fd_closing(fd);
		oli_fd_closing(fd + 1);
	}
	return NULL;
}

/* All threads fight for the same number; whoever empties the entry drops its reference. */
static void *fighter(void *arg)
{
	(void)arg;
	for (int i = 0; i < ROUNDS; i++) {
		oli_fd_copied(50, 60);
		oli_fd_closing(60);
	}
	return NULL;
}

static void race(void *(*fn)(void *))
{
	pthread_t t[4];

	shared = thing_new();
	assert_int_equal(oli_fd_install(50, &shared.fd), 0);
	for (intptr_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, fn, (void *)i), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	oli_fd_closing(60);
	assert_int_equal(shared.fd.refs, 1);
	assert_int_equal(shared.released, 0);
	oli_fd_closing(50);
	assert_int_equal(shared.released, 1);
}

static void threads_with_own_numbers(void **state)
{
	(void)state;
	race(copier);
}

static void threads_on_one_number(void **state)
{
	(void)state;
	race(fighter);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(foreign_numbers),	    cmocka_unit_test(install_and_close),
		cmocka_unit_test(every_copy_counts),	    cmocka_unit_test(copy_replaces),
		cmocka_unit_test(install_over_stale),	    cmocka_unit_test(engine_numbers),
		cmocka_unit_test(threads_with_own_numbers), cmocka_unit_test(threads_on_one_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
