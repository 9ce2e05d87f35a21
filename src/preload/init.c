// SPDX-License-Identifier: MIT
/*
 * The library's own start and end in a process.
 *
 * A program that never touches an RDMA device sees nothing of it: no thread, no
 * descriptor, no memory but the table's untouched pages. What is set up here
 * only has an effect once the engine is attached.
 *
 * Hooks may run before the constructor, in those of other libraries: then there
 * is no known process id yet, and the process can only be this one.
 */
#include <stdatomic.h>
#include <sys/syscall.h>

#include "base/log.h"
#include "preload/hooks.h"

static _Atomic pid_t self;

static pid_t pid_now(void)
{
	return (pid_t)syscall(SYS_getpid);
}

bool oli_same_process(void)
{
	pid_t known = atomic_load_explicit(&self, memory_order_relaxed);

	return known == 0 || known == pid_now();
}

static void fork_child(void)
{
	self = pid_now();
	oli_process_fork_child();
}

__attribute__((constructor)) static void preload_init(void)
{
	self = pid_now();
	oli_log_init();
	pthread_atfork(oli_process_fork_prepare, oli_process_fork_parent, fork_child);
}

/* Not in a vfork child that ends with exit(): the machine is its parent's. */
__attribute__((destructor)) static void preload_fini(void)
{
	if (oli_same_process())
		oli_process_exit();
}
