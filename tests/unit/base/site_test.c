// SPDX-License-Identifier: MIT
/* Names of places: a real call, a stranger's address, many threads at once. */
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/site.h"

#define THREADS 4
#define ROUNDS	200

/* The address that a call in the caller returns to. */
__attribute__((noinline)) static const void *here(void)
{
	return __builtin_return_address(0);
}

__attribute__((noinline)) static const void *a_known_place(int *line)
{
	const void *pc;

	*line = __LINE__ + 1;
	pc = here();
	/* Something after the call, or it becomes a jump and returns elsewhere. */
	__asm__ volatile("" ::: "memory");
	return pc;
}

static bool has_libdw(void)
{
	return dlopen("libdw.so.1", RTLD_NOW) != NULL;
}

static void test_names_file_line_and_function(void **state)
{
	char text[96], want[96];
	int line;
	const void *pc = a_known_place(&line);

	(void)state;
	oli_site_name(pc, text, sizeof(text));
	if (!has_libdw())
		skip();
#ifdef __OPTIMIZE__
	/* A release may be built without debug information. */
	if (!strchr(text, ':')) {
		assert_non_null(strstr(text, "site_test+0x"));
		return;
	}
#endif
	snprintf(want, sizeof(want), "site_test.c:%d (a_known_place)", line);
	assert_string_equal(text, want);
	/* And again, from what was kept. */
	oli_site_name(pc, text, sizeof(text));
	assert_string_equal(text, want);
}

/* Of a library without debug information there is at least a name. */
static void test_names_a_library_function(void **state)
{
	char text[96];

	(void)state;
	oli_site_name((const u8 *)(uintptr_t)dlsym(RTLD_DEFAULT, "qsort") + 4, text, sizeof(text));
	assert_string_not_equal(text, "");
}

static void test_garbage_has_no_name(void **state)
{
	static const u64 garbage[] = {0,
				      1,
				      2,
				      0xfff,
				      0x1000,
				      0xdeadbeefdeadbeefull,
				      0x7fffffffffffull,
				      0x800000000000ull,
				      UINT64_MAX,
				      UINT64_MAX - 1};
	char text[96];
	int on_stack;
	void *heap = malloc(64);

	(void)state;
	for (size_t i = 0; i < OLI_ARRAY_SIZE(garbage); i++) {
		strcpy(text, "old");
		oli_site_name((const void *)(uintptr_t)garbage[i], text, sizeof(text));
		assert_string_equal(text, "");
	}
	oli_site_name(&on_stack, text, sizeof(text));
	assert_string_equal(text, "");
	oli_site_name(heap, text, sizeof(text));
	assert_string_equal(text, "");
	free(heap);
}

static void test_short_buffers_are_terminated(void **state)
{
	char text[8] = "xxxxxxx";
	int line;
	const void *pc = a_known_place(&line);

	(void)state;
	oli_site_name(pc, text, 0);
	assert_string_equal(text, "xxxxxxx");
	oli_site_name(pc, text, 1);
	assert_string_equal(text, "");
	oli_site_name(pc, text, 5);
	assert_int_equal(text[4], '\0');
	assert_int_equal(strlen(text), 4);
}

/* No file stays open: the program's numbers are its own. */
static void test_leaves_no_file_open(void **state)
{
	int line, before = dup(0), after;
	char text[96];

	(void)state;
	close(before);
	for (u64 i = 0; i < 300; i++)
		oli_site_name((const u8 *)a_known_place(&line) + i % 8, text, sizeof(text));
	after = dup(0);
	close(after);
	assert_int_equal(before, after);
}

static void *many(void *arg)
{
	const void *pc = arg;
	char first[96], text[96];

	oli_site_name(pc, first, sizeof(first));
	for (int i = 0; i < ROUNDS; i++) {
		oli_site_name(i & 1 ? pc : (const u8 *)pc + i, text, sizeof(text));
		if (i & 1 && strcmp(first, text) != 0)
			return text[0] ? arg : NULL;
	}
	return NULL;
}

static void test_from_many_threads(void **state)
{
	pthread_t t[THREADS];
	void *bad;
	int line;

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, many, (void *)a_known_place(&line)),
				 0);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(t[i], &bad);
		assert_null(bad);
	}
}

static _Atomic int running;

static void *many_alone(void *pc)
{
	many(pc);
	running = 0;
	return NULL;
}

/* A child of fork can name its places, whatever other threads were doing. */
static void test_after_fork(void **state)
{
	pthread_t t;
	char text[96];
	int line, status;

	(void)state;
	/* Not to be joined: a sanitizer would miss that in the children. */
	running = 1;
	assert_int_equal(pthread_create(&t, NULL, many_alone, (void *)a_known_place(&line)), 0);
	pthread_detach(t);
	for (int i = 0; i < 8; i++) {
		pid_t pid = fork();

		if (!pid) {
			alarm(20);
			oli_site_name(a_known_place(&line), text, sizeof(text));
			_exit(text[0] ? 0 : 1);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
	while (running)
		sched_yield();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_file_line_and_function),
		cmocka_unit_test(test_names_a_library_function),
		cmocka_unit_test(test_garbage_has_no_name),
		cmocka_unit_test(test_short_buffers_are_terminated),
		cmocka_unit_test(test_leaves_no_file_open),
		cmocka_unit_test(test_from_many_threads),
		cmocka_unit_test(test_after_fork),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
