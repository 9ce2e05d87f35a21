// SPDX-License-Identifier: MIT
/*
 * The list of threads that ever crossed the boundary.
 *
 * A record is the thread's own thread-local memory, listed at its first use and
 * taken off by a key's destructor before that memory goes. Destructors of other
 * keys may cross again after ours: the record then counts as fresh and is
 * listed and taken off once more.
 *
 * In a forked child only the forking thread is left, and it is not inside.
 */
#include <errno.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "uapi/thread.h"

#define WAIT_STEP_NS 20000
#define WAIT_STEPS   5000 /* a tenth of a second in all, and more where timers are coarse */

__thread struct oli_thread oli_thread;

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct oli_thread *list; /* list_lock */
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t key;

static void list_add(struct oli_thread *t)
{
	t->prev = NULL;
	t->next = list;
	if (list)
		list->prev = t;
	list = t;
}

static void thread_exit(void *arg)
{
	struct oli_thread *t = arg;

	pthread_mutex_lock(&list_lock);
	if (t->prev)
		t->prev->next = t->next;
	else
		list = t->next;
	if (t->next)
		t->next->prev = t->prev;
	pthread_mutex_unlock(&list_lock);
	t->stack_top = 0;
}

static void key_make(void)
{
	pthread_key_create(&key, thread_exit);
}

static void find_stack(struct oli_thread *t)
{
	pthread_attr_t attr;
	void *lo = NULL;
	size_t size = 0;

	t->stack_lo = UINTPTR_MAX;
	t->stack_top = 1;
	if (pthread_getattr_np(pthread_self(), &attr))
		return;
	if (!pthread_attr_getstack(&attr, &lo, &size)) {
		t->stack_lo = (uintptr_t)lo;
		t->stack_top = (uintptr_t)lo + size;
	}
	pthread_attr_destroy(&attr);
}

void oli_thread_init(void)
{
	struct oli_thread *t = &oli_thread;
	int saved = errno;

	find_stack(t);
	pthread_once(&key_once, key_make);
	pthread_setspecific(key, t);
	pthread_mutex_lock(&list_lock);
	list_add(t);
	pthread_mutex_unlock(&list_lock);
	errno = saved;
}

static int membarrier(int command)
{
	int saved = errno;
	int rc = (int)syscall(SYS_membarrier, command, 0, 0);

	errno = saved;
	return rc;
}

void oli_threads_prepare(void)
{
	membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
}

static bool others_inside(void)
{
	struct oli_thread *t;
	bool inside = false;

	pthread_mutex_lock(&list_lock);
	for (t = list; t; t = t->next)
		inside |= t != &oli_thread &&
			  atomic_load_explicit(&t->inside, memory_order_acquire) != 0;
	pthread_mutex_unlock(&list_lock);
	return inside;
}

bool oli_threads_quiesce(void)
{
	const struct timespec step = {.tv_nsec = WAIT_STEP_NS};
	int i;

	if (oli_thread.inside)
		return false;
	/* Where it is forbidden, one step of waiting is time enough for a store to be seen. */
	if (membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) < 0)
		clock_nanosleep(CLOCK_MONOTONIC, 0, &step, NULL);
	for (i = 0; i < WAIT_STEPS; i++) {
		if (!others_inside())
			return true;
		clock_nanosleep(CLOCK_MONOTONIC, 0, &step, NULL);
	}
	return false;
}

void oli_threads_fork_prepare(void)
{
	pthread_mutex_lock(&list_lock);
}

void oli_threads_fork_parent(void)
{
	pthread_mutex_unlock(&list_lock);
}

void oli_threads_fork_child(void)
{
	pthread_mutex_init(&list_lock, NULL);
	list = NULL;
	if (oli_thread.stack_top)
		list_add(&oli_thread);
}
