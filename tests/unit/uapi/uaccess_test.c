// SPDX-License-Identifier: MIT
/*
 * User access and the threads' list: every address that is not there answers
 * EFAULT from any thread and any stack, and nobody is waited for in vain.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/fault.h"
#include "uapi/uaccess.h"

static u8 *page(int prot)
{
	u8 *p = mmap(NULL, 2 * OLI_PAGE_SIZE, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	mprotect(p + OLI_PAGE_SIZE, OLI_PAGE_SIZE, PROT_NONE);
	return p;
}

static u64 addr(const void *p)
{
	return (uintptr_t)p;
}

static void good_memory_is_copied(void **state)
{
	char stack[32] = "on the stack", out[32] = "";
	char *heap = calloc(1, 4096);

	(void)state;
	assert_int_equal(oli_user_read(out, addr(stack), sizeof(stack)), 0);
	assert_string_equal(out, stack);
	assert_int_equal(oli_user_write(addr(heap) + 4000, stack, sizeof(stack)), 0);
	assert_string_equal(heap + 4000, stack);
	memset(out, 0, sizeof(out));
	assert_int_equal(oli_user_read(out, addr(heap) + 4000, sizeof(out)), 0);
	assert_string_equal(out, stack);
	free(heap);
}

static void bad_memory_is_a_fault(void **state)
{
	u8 *ro = page(PROT_READ), *rw = page(PROT_READ | PROT_WRITE);
	const u64 bad[] = {0,
			   8,
			   addr(ro + OLI_PAGE_SIZE),
			   addr(rw + OLI_PAGE_SIZE - 4),
			   1ull << 47,
			   UINT64_MAX - 3};
	u8 bytes[64] = {0};
	size_t i;

	(void)state;
	for (i = 0; i < OLI_ARRAY_SIZE(bad); i++) {
		assert_int_equal(oli_user_read(bytes, bad[i], sizeof(bytes)), -EFAULT);
		assert_int_equal(oli_user_write(bad[i], bytes, sizeof(bytes)), -EFAULT);
	}
	assert_int_equal(oli_user_read(bytes, addr(ro), sizeof(bytes)), 0);
	assert_int_equal(oli_user_write(addr(ro), bytes, sizeof(bytes)), -EFAULT);
	assert_int_equal(oli_user_read(bytes, 8, 0), 0);
}

/* The stack ends somewhere: what lies behind is not taken for a frame. */
static void beyond_the_top_of_the_stack(void **state)
{
	u8 bytes[64];
	u64 top;

	(void)state;
	assert_false(oli_user_on_stack(8, 8));
	top = oli_thread.stack_top;
	assert_true(oli_user_on_stack(top - 8, 8));
	assert_false(oli_user_on_stack(top - 8, 9));
	assert_false(oli_user_on_stack(top, 1));
	assert_false(oli_user_on_stack(UINT64_MAX - 7, 8));
	assert_false(oli_user_on_stack(addr(bytes), SIZE_MAX));
	assert_int_equal(oli_user_read(bytes, top - 8, 8), 0);
}

static void *read_other_stack(void *arg)
{
	u32 copy = 0;

	assert_false(oli_user_on_stack(addr(arg), sizeof(copy)));
	assert_int_equal(oli_user_read(&copy, addr(arg), sizeof(copy)), 0);
	return (void *)(uintptr_t)copy;
}

static void stack_of_another_thread(void **state)
{
	u32 value = 4711;
	pthread_t thread;
	void *copy;

	(void)state;
	pthread_create(&thread, NULL, read_other_stack, &value);
	pthread_join(thread, &copy);
	assert_int_equal((uintptr_t)copy, value);
}

static ucontext_t main_context, coroutine;
static int coroutine_rc[2];

static void on_coroutine(void)
{
	u8 local[16] = {0};

	coroutine_rc[0] = oli_user_write(addr(local), "hello", 6);
	coroutine_rc[1] = oli_user_read(local, 8, 8);
}

static void stack_of_a_coroutine(void **state)
{
	void *stack = malloc(128 << 10);

	(void)state;
	getcontext(&coroutine);
	coroutine.uc_stack.ss_sp = stack;
	coroutine.uc_stack.ss_size = 128 << 10;
	coroutine.uc_link = &main_context;
	makecontext(&coroutine, on_coroutine, 0);
	swapcontext(&main_context, &coroutine);
	assert_int_equal(coroutine_rc[0], 0);
	assert_int_equal(coroutine_rc[1], -EFAULT);
	free(stack);
}

/* ---- threads inside a command ---- */

static pthread_barrier_t in, out;

static void *inside(void *arg)
{
	(void)arg;
	oli_thread_enter();
	pthread_barrier_wait(&in);
	pthread_barrier_wait(&out);
	oli_thread_leave();
	pthread_barrier_wait(&in);
	pthread_barrier_wait(&out);
	return NULL;
}

static void waits_for_others_but_not_for_ever(void **state)
{
	pthread_t thread;

	(void)state;
	pthread_barrier_init(&in, NULL, 2);
	pthread_barrier_init(&out, NULL, 2);
	pthread_create(&thread, NULL, inside, NULL);
	pthread_barrier_wait(&in);
	assert_false(oli_threads_quiesce());
	pthread_barrier_wait(&out);
	pthread_barrier_wait(&in);
	assert_true(oli_threads_quiesce());
	pthread_barrier_wait(&out);
	pthread_join(thread, NULL);
	assert_true(oli_threads_quiesce());
	oli_thread_enter();
	assert_false(oli_threads_quiesce());
	oli_thread_leave();
}

/* Last: it makes the scratch file anew. */
static void no_scratch_file(void **state)
{
	static u8 away[8];
	u8 bytes[8];

	(void)state;
	oli_uaccess_fork_prepare();
	oli_uaccess_fork_child();
	oli_fault_countdown = 1;
	assert_int_equal(oli_user_read(bytes, addr(away), sizeof(bytes)), -ENOMEM);
	assert_int_equal(oli_user_read(bytes, addr(away), sizeof(bytes)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_memory_is_copied),
		cmocka_unit_test(bad_memory_is_a_fault),
		cmocka_unit_test(beyond_the_top_of_the_stack),
		cmocka_unit_test(stack_of_another_thread),
		cmocka_unit_test(stack_of_a_coroutine),
		cmocka_unit_test(waits_for_others_but_not_for_ever),
		cmocka_unit_test(no_scratch_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
