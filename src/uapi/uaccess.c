// SPDX-License-Identifier: MIT
/*
 * Copies from and to addresses that the program gave us, which may be wrong.
 *
 * A wrong address must be answered with EFAULT as the kernel does, never with
 * a crash, and no signal handler of the program's may be disturbed for that. So
 * the kernel itself is asked: the bytes go through a scratch memfd, written
 * from the source and read into the destination, and whichever of the two
 * addresses is bad makes its call fail. This works where process_vm_readv() on
 * oneself is forbidden, too (seccomp profiles of containers).
 *
 * A copy is done whole or not at all from the caller's point of view: one that
 * stops half-way at an unmapped page is an EFAULT. As with the kernel, bytes
 * before the bad page may have been written.
 *
 * The scratch file is the process's own: a forked child makes another, or the
 * two processes would copy through one file.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/sys.h"
#include "uapi/uaccess.h"

static struct {
	pthread_mutex_t lock;
	int fd; /* -1: not made yet; guarded by @lock */
} scratch = {PTHREAD_MUTEX_INITIALIZER, -1};

/* Under the scratch lock. Return: the file or -errno. */
static int scratch_fd(void)
{
	int saved = errno, fd;

	if (scratch.fd >= 0)
		return scratch.fd;
	fd = OLI_FAULT() ? -1 : memfd_create("olio-scratch", MFD_CLOEXEC);
	errno = saved;
	if (fd < 0)
		return -ENOMEM;
	scratch.fd = oli_fd_to_high(fd);
	return scratch.fd;
}

static int scratch_copy(void *dst, const void *src, size_t len)
{
	ssize_t done;
	int fd;

	pthread_mutex_lock(&scratch.lock);
	fd = scratch_fd();
	done = fd < 0 ? fd : oli_sys_pwrite(fd, src, len, 0);
	if (done == (ssize_t)len)
		done = oli_sys_pread(fd, dst, len, 0);
	pthread_mutex_unlock(&scratch.lock);
	if (done < 0)
		return (int)done;
	return done == (ssize_t)len ? 0 : -EFAULT;
}

int oli_user_read(void *dst, u64 uaddr, size_t len)
{
	if (!len)
		return 0;
	if (oli_user_on_stack(uaddr, len)) {
		memcpy(dst, (const void *)(uintptr_t)uaddr, len);
		return 0;
	}
	return scratch_copy(dst, (const void *)(uintptr_t)uaddr, len);
}

int oli_user_write(u64 uaddr, const void *src, size_t len)
{
	if (!len)
		return 0;
	if (oli_user_on_stack(uaddr, len)) {
		memcpy((void *)(uintptr_t)uaddr, src, len);
		return 0;
	}
	return scratch_copy((void *)(uintptr_t)uaddr, src, len);
}

void oli_uaccess_fork_prepare(void)
{
	pthread_mutex_lock(&scratch.lock);
}

void oli_uaccess_fork_parent(void)
{
	pthread_mutex_unlock(&scratch.lock);
}

void oli_uaccess_fork_child(void)
{
	pthread_mutex_init(&scratch.lock, NULL);
	if (scratch.fd < 0)
		return;
	oli_fd_close_high(scratch.fd);
	scratch.fd = -1;
}
