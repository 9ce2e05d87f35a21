// SPDX-License-Identifier: MIT
/*
 * The table of the process's own descriptor numbers: fd -> object.
 *
 * There is no lock, not even for changes: close() and dup2() may be called from
 * signal handlers and between fork() and exec(), where a lock could be held by
 * a thread that will never run again. Each entry changes by one atomic
 * exchange, so whoever takes an object out of an entry, and only he, drops the
 * reference that the entry held.
 *
 * A reference can only be added while another one exists (refs > 0); a count
 * that reached 0 stays there until the owner recycles the object. An object
 * that was recycled between finding it and counting it is noticed by looking
 * at the entry again.
 *
 * fd_limit only grows. It is 0 in a program that never used the boundary: such
 * a program's look-ups end at the bounds check and never touch the table's
 * pages.
 */
#include <errno.h>
#include <stdatomic.h>

#include "uapi/fdtab.h"

static _Atomic(struct oli_fd *) fd_table[OLI_FD_MAX];
static _Atomic unsigned int fd_limit;

/* Stands for all of the engine's own numbers; never counted. */
static struct oli_fd engine_fd = {.kind = OLI_FD_ENGINE};

struct oli_fd *oli_fd_lookup(int fd)
{
	if ((unsigned int)fd >= atomic_load_explicit(&fd_limit, memory_order_relaxed))
		return NULL;
	return atomic_load_explicit(&fd_table[fd], memory_order_acquire);
}

int oli_fd_limit(void)
{
	return (int)atomic_load_explicit(&fd_limit, memory_order_acquire);
}

static void limit_raise(int fd)
{
	unsigned int want = (unsigned int)fd + 1;
	unsigned int have = atomic_load(&fd_limit);

	while (have < want && !atomic_compare_exchange_weak(&fd_limit, &have, want))
		;
}

static void obj_drop(struct oli_fd *obj)
{
	if (!obj || obj == &engine_fd)
		return;
	if (atomic_fetch_sub(&obj->refs, 1) == 1)
		obj->release(obj);
}

static bool obj_hold(struct oli_fd *obj)
{
	int refs = atomic_load(&obj->refs);

	while (refs > 0) {
		if (atomic_compare_exchange_weak(&obj->refs, &refs, refs + 1))
			return true;
	}
	return false;
}

/* The object behind @fd with one more reference, or NULL for what cannot be copied. */
static struct oli_fd *lookup_hold(int fd)
{
	struct oli_fd *obj = oli_fd_lookup(fd);

	if (!obj || obj == &engine_fd || !obj_hold(obj))
		return NULL;
	if (oli_fd_lookup(fd) == obj)
		return obj;
	obj_drop(obj);
	return NULL;
}

/* @obj, or nothing, is what @fd stands for from now on. */
static void entry_set(int fd, struct oli_fd *obj)
{
	if (obj)
		limit_raise(fd);
	obj_drop(atomic_exchange(&fd_table[fd], obj));
}

int oli_fd_install(int fd, struct oli_fd *obj)
{
	if ((unsigned int)fd >= OLI_FD_MAX)
		return -EMFILE;
	entry_set(fd, obj);
	return 0;
}

void oli_fd_copied(int oldfd, int newfd)
{
	struct oli_fd *obj;

	if (oldfd == newfd)
		return;
	obj = lookup_hold(oldfd);
	if ((unsigned int)newfd >= OLI_FD_MAX)
		obj_drop(obj);
	else if (obj || oli_fd_lookup(newfd))
		entry_set(newfd, obj);
}

void oli_fd_closing(int fd)
{
	struct oli_fd *obj = oli_fd_lookup(fd);

	if (obj && obj != &engine_fd)
		entry_set(fd, NULL);
}

void oli_fd_guard(int fd)
{
	if ((unsigned int)fd < OLI_FD_MAX)
		entry_set(fd, &engine_fd);
}

void oli_fd_unguard(int fd)
{
	struct oli_fd *expected = &engine_fd;

	if ((unsigned int)fd < OLI_FD_MAX)
		atomic_compare_exchange_strong(&fd_table[fd], &expected, NULL);
}
