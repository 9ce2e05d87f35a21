/* SPDX-License-Identifier: MIT */
/*
 * The shortcut of user access: the caller's own live stack frames.
 *
 * Between the current frame and the top of the thread's stack everything is
 * mapped, readable and writable, and stays so while the call lasts. Requests
 * and responses of the provider library nearly always lie there, and need no
 * system call to be copied safely.
 */
#ifndef OLI_UAPI_UACCESS_H
#define OLI_UAPI_UACCESS_H

#include "uapi/thread.h"
#include "uapi/uapi.h"

/*
 * Is [@uaddr, @uaddr + @len) in frames of the callers of this function's
 * caller? False for other stacks (signal, coroutine): they take the slow way.
 */
static inline bool oli_user_on_stack(u64 uaddr, size_t len)
{
	uintptr_t frame = (uintptr_t)__builtin_frame_address(0);

	if (__builtin_expect(!oli_thread.stack_top, 0))
		oli_thread_init();
	return frame >= oli_thread.stack_lo && uaddr >= frame && uaddr <= oli_thread.stack_top &&
	       len <= oli_thread.stack_top - uaddr;
}

/* The fork handlers' share: no thread is inside a copy while the process forks. */
void oli_uaccess_fork_prepare(void);
void oli_uaccess_fork_parent(void);
void oli_uaccess_fork_child(void);

#endif
