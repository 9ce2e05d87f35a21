/* SPDX-License-Identifier: MIT */
/*
 * What is known of each thread of the program that crosses the boundary. Inside uapi/ only.
 *
 * Two uses: the bounds of its stack, which make most user access free
 * (uaccess.h), and whether it is inside a command, so that exit() can wait for
 * the others before the machine goes away under them. Entering and leaving are
 * plain stores in the thread's own record: the waiting side pays for the order,
 * with membarrier().
 */
#ifndef OLI_UAPI_THREAD_H
#define OLI_UAPI_THREAD_H

#include <stdatomic.h>

#include "base/types.h"

struct oli_thread {
	uintptr_t stack_lo, stack_top; /* [lo, top); top 0: not looked up yet, 1: unknown */
	_Atomic u32 inside; /* commands, nested; written by the thread only */
	struct oli_thread *prev, *next;
};

extern __thread struct oli_thread oli_thread __attribute__((tls_model("initial-exec")));

/* First use in this thread. */
void oli_thread_init(void);

/* Before a command looks whether its file is dead; and after its last touch of the machine. */
static inline void oli_thread_enter(void)
{
	u32 inside = atomic_load_explicit(&oli_thread.inside, memory_order_relaxed);

	if (__builtin_expect(!oli_thread.stack_top, 0))
		oli_thread_init();
	atomic_store_explicit(&oli_thread.inside, inside + 1, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
}

static inline void oli_thread_leave(void)
{
	u32 inside = atomic_load_explicit(&oli_thread.inside, memory_order_relaxed);

	atomic_store_explicit(&oli_thread.inside, inside - 1, memory_order_release);
}

/* Let membarrier() be fast later. Cheap while the process has one thread. */
void oli_threads_prepare(void);
/*
 * Wait until no other thread is inside a command that it entered before this
 * call. Return: false if one stays too long, or this thread itself is inside.
 */
OLI_MUST_CHECK bool oli_threads_quiesce(void);

void oli_threads_fork_prepare(void);
void oli_threads_fork_parent(void);
void oli_threads_fork_child(void);

#endif
