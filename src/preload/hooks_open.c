// SPDX-License-Identifier: MIT
/*
 * open() and its family. A node becomes an open file of the engine, a path in
 * /sys a file or directory of the machine's tree, and all else libc's business.
 *
 * The __open_2 names are what a program compiled with _FORTIFY_SOURCE calls when
 * it passes no mode.
 */
#include <stdarg.h>

#include "preload/hooks.h"

#define NEEDS_MODE(flags) (((flags)&O_CREAT) || ((flags)&O_TMPFILE) == O_TMPFILE)

/* The mode argument of a variadic open whose last named parameter is @flags. */
#define MODE_ARG(flags)                                                                            \
	({                                                                                         \
		mode_t mode_ = 0;                                                                  \
		if (NEEDS_MODE(flags)) {                                                           \
			va_list ap_;                                                               \
			va_start(ap_, flags);                                                      \
			mode_ = va_arg(ap_, mode_t);                                               \
			va_end(ap_);                                                               \
		}                                                                                  \
		mode_;                                                                             \
	})

static int hook_open(const char *path, int flags, mode_t mode)
{
	struct oli_path p;

	if (oli_path_ours(path, &p))
		return (int)oli_ret(oli_node_open(&p, flags, mode));
	return REAL(open)(path, flags, mode);
}

static int hook_openat(int dirfd, const char *path, int flags, mode_t mode)
{
	struct oli_path p;

	if (oli_path_ours(path, &p))
		return (int)oli_ret(oli_node_open(&p, flags, mode));
	return REAL(openat)(dirfd, path, flags, mode);
}

OLI_HOOK int open(const char *path, int flags, ...)
{
	return hook_open(path, flags, MODE_ARG(flags));
}

OLI_HOOK int open64(const char *path, int flags, ...)
{
	return hook_open(path, flags, MODE_ARG(flags));
}

OLI_HOOK int openat(int dirfd, const char *path, int flags, ...)
{
	return hook_openat(dirfd, path, flags, MODE_ARG(flags));
}

OLI_HOOK int openat64(int dirfd, const char *path, int flags, ...)
{
	return hook_openat(dirfd, path, flags, MODE_ARG(flags));
}

OLI_HOOK int __open_2(const char *path, int flags)
{
	return hook_open(path, flags, 0);
}

OLI_HOOK int __open64_2(const char *path, int flags)
{
	return hook_open(path, flags, 0);
}

OLI_HOOK int __openat_2(int dirfd, const char *path, int flags)
{
	return hook_openat(dirfd, path, flags, 0);
}

OLI_HOOK int __openat64_2(int dirfd, const char *path, int flags)
{
	return hook_openat(dirfd, path, flags, 0);
}

OLI_HOOK int creat(const char *path, mode_t mode)
{
	return hook_open(path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

OLI_HOOK int creat64(const char *path, mode_t mode)
{
	return hook_open(path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}
