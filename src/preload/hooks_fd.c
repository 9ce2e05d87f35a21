// SPDX-License-Identifier: MIT
/*
 * The life of numbers: close(), dup(), fcntl(F_DUPFD) and the calls that close
 * ranges.
 *
 * A number leaves the table before the kernel closes it: afterwards another
 * thread may already have been given the same one. The engine's own numbers are
 * not open as far as the program can tell: close() answers EBADF, ranges step
 * over them, and dup2() onto one answers EBUSY, because the engine cannot move.
 *
 * A child of vfork() shares the table but not the numbers, so it changes nothing
 * in the table. Who is calling is only asked when the number is ours.
 */
#include <stdarg.h>

#include "preload/hooks.h"

#define UNLIKELY(x) __builtin_expect(!!(x), 0)

static bool is_engine(int fd)
{
	struct oli_fd *obj = oli_fd_lookup(fd);

	return obj && obj->kind == OLI_FD_ENGINE;
}

/* @fd leaves the table, if it is there and the table is this process's. */
static void number_gone(int fd)
{
	int cancel;

	if (!oli_fd_lookup(fd) || !oli_same_process())
		return;
	cancel = oli_cancel_off();
	oli_fd_closing(fd);
	oli_cancel_restore(cancel);
}

/* @newfd was made from @oldfd. The one that it replaced may be ours. */
static int number_copied(int oldfd, int newfd)
{
	int cancel, saved = errno;

	if (newfd < 0 || (!oli_fd_lookup(oldfd) && !oli_fd_lookup(newfd)) || !oli_same_process())
		return newfd;
	cancel = oli_cancel_off();
	oli_fd_copied(oldfd, newfd);
	oli_cancel_restore(cancel);
	errno = saved;
	return newfd;
}

OLI_HOOK int close(int fd)
{
	if (UNLIKELY(oli_fd_lookup(fd))) {
		if (is_engine(fd))
			return (int)oli_ret(-EBADF);
		number_gone(fd);
	}
	return REAL(close)(fd);
}

OLI_HOOK int dup(int fd)
{
	if (UNLIKELY(is_engine(fd)))
		return (int)oli_ret(-EBADF);
	return number_copied(fd, REAL(dup)(fd));
}

/* -errno if dup2(@oldfd, @newfd) would touch the engine's numbers, else 0. */
static int dup_refused(int oldfd, int newfd)
{
	if (is_engine(oldfd))
		return -EBADF;
	return is_engine(newfd) ? -EBUSY : 0;
}

OLI_HOOK int dup2(int oldfd, int newfd)
{
	int err = dup_refused(oldfd, newfd);

	if (UNLIKELY(err))
		return (int)oli_ret(err);
	return number_copied(oldfd, REAL(dup2)(oldfd, newfd));
}

OLI_HOOK int dup3(int oldfd, int newfd, int flags)
{
	int err = dup_refused(oldfd, newfd);

	if (UNLIKELY(err))
		return (int)oli_ret(err);
	return number_copied(oldfd, REAL(dup3)(oldfd, newfd, flags));
}

static int hook_fcntl(int fd, int cmd, void *arg)
{
	if (cmd != F_DUPFD && cmd != F_DUPFD_CLOEXEC)
		return REAL(fcntl)(fd, cmd, arg);
	if (UNLIKELY(is_engine(fd)))
		return (int)oli_ret(-EBADF);
	return number_copied(fd, REAL(fcntl)(fd, cmd, arg));
}

/* The third argument is nothing, an int or a pointer: each fits the place of a pointer. */
#define FCNTL_ARG(cmd)                                                                             \
	({                                                                                         \
		va_list ap_;                                                                       \
		void *arg_;                                                                        \
		va_start(ap_, cmd);                                                                \
		arg_ = va_arg(ap_, void *);                                                        \
		va_end(ap_);                                                                       \
		arg_;                                                                              \
	})

OLI_HOOK int fcntl(int fd, int cmd, ...)
{
	return hook_fcntl(fd, cmd, FCNTL_ARG(cmd));
}

OLI_HOOK int fcntl64(int fd, int cmd, ...)
{
	return hook_fcntl(fd, cmd, FCNTL_ARG(cmd));
}

OLI_HOOK int close_range(unsigned int first, unsigned int last, int flags)
{
	const int known = (int)(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC);
	int end = oli_fd_limit(); /* nothing from here on is ours */
	unsigned int from = first;
	int rc = 0;

	if (first > last || first >= (unsigned int)end || (flags & ~known))
		return REAL(close_range)(first, last, flags);
	for (int fd = (int)first; fd < end && (unsigned int)fd <= last && rc == 0; fd++) {
		if (is_engine(fd)) {
			if ((unsigned int)fd > from)
				rc = REAL(close_range)(from, (unsigned int)fd - 1, flags);
			from = (unsigned int)fd + 1;
		} else if (!(flags & (int)CLOSE_RANGE_CLOEXEC)) {
			number_gone(fd);
		}
	}
	return rc == 0 && from <= last ? REAL(close_range)(from, last, flags) : rc;
}

OLI_HOOK void closefrom(int first)
{
	int from = first < 0 ? 0 : first;
	int end = oli_fd_limit();

	if (from < end) {
		/* Kernels before 5.9 have no close_range(). */
		if (close_range((unsigned int)from, (unsigned int)end - 1, 0) < 0) {
			for (int fd = from; fd < end; fd++)
				close(fd);
		}
		from = end;
	}
	REAL(closefrom)(from);
}
