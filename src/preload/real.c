// SPDX-License-Identifier: MIT
/*
 * Looking up the functions behind the hooks.
 *
 * A hook may be called before any constructor of this library has run, so there
 * is nothing to initialise: an empty entry is resolved where it is needed, by
 * as many threads as come at once, all to the same value.
 *
 * dlsym() may allocate, and an allocator that replaces malloc may open or read
 * files while it starts, which brings it back here on the same thread. Such a
 * nested call gets the bare system call where it has one (allocators use no
 * others), and a failure otherwise, and nothing is remembered of it.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "preload/real.h"

void *oli_real_table[OLI_REAL_COUNT];

static const char *const names[] = {
#define NAME(name, ret) #name,
	OLI_REAL_LIST(NAME)
#undef NAME
};

static __thread bool resolving __attribute__((tls_model("initial-exec")));

static long missing_int(void)
{
	errno = ENOSYS;
	return -1;
}

static void *missing_ptr(void)
{
	errno = ENOSYS;
	return NULL;
}

static void *const missing[] = {
#define MISSING(name, ret) missing_##ret,
	OLI_REAL_LIST(MISSING)
#undef MISSING
};

static int raw_openat(int dirfd, const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	return (int)syscall(SYS_openat, dirfd, path, flags, mode);
}

static int raw_open(const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	return raw_openat(AT_FDCWD, path, flags, mode);
}

static int raw_close(int fd)
{
	return (int)syscall(SYS_close, fd);
}

static ssize_t raw_write(int fd, const void *buf, size_t len)
{
	return syscall(SYS_write, fd, buf, len);
}

static ssize_t raw_readlink(const char *path, char *buf, size_t size)
{
	return syscall(SYS_readlinkat, AT_FDCWD, path, buf, size);
}

static int raw_access(const char *path, int mode)
{
	return (int)syscall(SYS_faccessat, AT_FDCWD, path, mode);
}

static int raw_fstat(int fd, struct stat *st)
{
	return (int)syscall(SYS_fstat, fd, st);
}

static void *nested(enum oli_real_id id)
{
	switch (id) {
	case OLI_REAL_open:
		return raw_open;
	case OLI_REAL_openat:
		return raw_openat;
	case OLI_REAL_close:
		return raw_close;
	case OLI_REAL_write:
		return raw_write;
	case OLI_REAL_readlink:
		return raw_readlink;
	case OLI_REAL_access:
		return raw_access;
	case OLI_REAL_fstat:
		return raw_fstat;
	default:
		return missing[id];
	}
}

void *oli_real_resolve(enum oli_real_id id)
{
	int saved = errno;
	void *fn;

	if (resolving)
		return nested(id);
	resolving = true;
	fn = dlsym(RTLD_NEXT, names[id]);
	resolving = false;
	if (!fn)
		fn = missing[id];
	__atomic_store_n(&oli_real_table[id], fn, __ATOMIC_RELAXED);
	errno = saved;
	return fn;
}
