// SPDX-License-Identifier: MIT
/*
 * Raw system calls, past the hooks of the preload library. libc's syscall()
 * reports errors in errno, which belongs to the program: every wrapper puts
 * back the value it found.
 */
#include <errno.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/sys.h"

#define CALL(...)                                                                                  \
	({                                                                                         \
		int saved_ = errno;                                                                \
		long ret_ = syscall(__VA_ARGS__);                                                  \
		if (ret_ < 0)                                                                      \
			ret_ = -errno;                                                             \
		errno = saved_;                                                                    \
		ret_;                                                                              \
	})

int oli_sys_openat(int dirfd, const char *path, int flags, mode_t mode)
{
	return (int)CALL(SYS_openat, dirfd, path, flags | O_CLOEXEC, mode);
}

int oli_sys_close(int fd)
{
	return (int)CALL(SYS_close, fd);
}

ssize_t oli_sys_read(int fd, void *buf, size_t len)
{
	return CALL(SYS_read, fd, buf, len);
}

ssize_t oli_sys_write(int fd, const void *buf, size_t len)
{
	return CALL(SYS_write, fd, buf, len);
}

ssize_t oli_sys_pread(int fd, void *buf, size_t len, u64 off)
{
	return CALL(SYS_pread64, fd, buf, len, off);
}

ssize_t oli_sys_pwrite(int fd, const void *buf, size_t len, u64 off)
{
	return CALL(SYS_pwrite64, fd, buf, len, off);
}

int oli_sys_fstat(int fd, struct stat *st)
{
	return (int)CALL(SYS_fstat, fd, st);
}

int oli_sys_ioctl(int fd, unsigned long cmd, void *arg)
{
	return (int)CALL(SYS_ioctl, fd, cmd, arg);
}

int oli_sys_fcntl(int fd, int cmd, long arg)
{
	return (int)CALL(SYS_fcntl, fd, cmd, arg);
}

int oli_sys_fcntl_lock(int fd, int cmd, struct flock *fl)
{
	return (int)CALL(SYS_fcntl, fd, cmd, fl);
}

int oli_sys_poll(struct pollfd *fds, unsigned int n, s64 timeout_ns)
{
	struct timespec ts = {.tv_sec = timeout_ns / 1000000000, .tv_nsec = timeout_ns % 1000000000};

	return (int)CALL(SYS_ppoll, fds, n, timeout_ns < 0 ? NULL : &ts, NULL, 8);
}

int oli_sys_pidfd_open(pid_t pid)
{
	return (int)CALL(SYS_pidfd_open, pid, 0);
}

int oli_sys_gettid(void)
{
	return (int)CALL(SYS_gettid);
}

/* The last argument goes by the stack, where an int would leave the upper half to chance. */
ssize_t oli_sys_vm_read(pid_t pid, const struct iovec *local, size_t nlocal,
			const struct iovec *remote, size_t nremote)
{
	return CALL(SYS_process_vm_readv, pid, local, nlocal, remote, nremote, 0ul);
}

ssize_t oli_sys_vm_write(pid_t pid, const struct iovec *local, size_t nlocal,
			 const struct iovec *remote, size_t nremote)
{
	return CALL(SYS_process_vm_writev, pid, local, nlocal, remote, nremote, 0ul);
}

void (*oli_fd_guard_hook)(int fd, bool on);

int oli_fd_to_high(int fd)
{
	struct rlimit lim;
	long min = 512;
	int high;

	if (getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur < 1024)
		min = (long)lim.rlim_cur / 2;
	high = oli_sys_fcntl(fd, F_DUPFD_CLOEXEC, min);
	if (high < 0)
		high = fd;
	else
		oli_sys_close(fd);
	if (oli_fd_guard_hook)
		oli_fd_guard_hook(high, true);
	return high;
}

void oli_fd_close_high(int fd)
{
	if (oli_fd_guard_hook)
		oli_fd_guard_hook(fd, false);
	oli_sys_close(fd);
}

ssize_t oli_read_file(int dirfd, const char *path, char *buf, size_t size)
{
	int fd = oli_sys_openat(dirfd, path, O_RDONLY, 0);
	size_t have = 0;
	ssize_t n = 0;

	if (fd < 0)
		return fd;
	while (have < size - 1) {
		n = oli_sys_read(fd, buf + have, size - 1 - have);
		if (n <= 0)
			break;
		have += (size_t)n;
	}
	oli_sys_close(fd);
	buf[have] = '\0';
	return n < 0 ? n : (ssize_t)have;
}
