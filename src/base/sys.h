/* SPDX-License-Identifier: MIT */
/*
 * The system calls of the engine.
 *
 * The engine lives inside programs whose open, write, close, … it interposes.
 * Its own calls must reach the kernel, not its own hooks, so every call that
 * has a hook goes through here. All return the kernel's result or -errno and
 * leave errno alone.
 */
#ifndef OLI_BASE_SYS_H
#define OLI_BASE_SYS_H

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/types.h"

int oli_sys_openat(int dirfd, const char *path, int flags, mode_t mode);
int oli_sys_close(int fd);
ssize_t oli_sys_read(int fd, void *buf, size_t len);
ssize_t oli_sys_write(int fd, const void *buf, size_t len);
ssize_t oli_sys_pread(int fd, void *buf, size_t len, u64 off);
ssize_t oli_sys_pwrite(int fd, const void *buf, size_t len, u64 off);
int oli_sys_fstat(int fd, struct stat *st);
int oli_sys_ioctl(int fd, unsigned long cmd, void *arg);
int oli_sys_fcntl(int fd, int cmd, long arg);
int oli_sys_fcntl_lock(int fd, int cmd, struct flock *fl);
int oli_sys_poll(struct pollfd *fds, unsigned int n, s64 timeout_ns);
int oli_sys_pidfd_open(pid_t pid);
int oli_sys_gettid(void);

/* process_vm_readv/writev: the peer's memory, or one's own with faults as -EFAULT. */
ssize_t oli_sys_vm_read(pid_t pid, const struct iovec *local, size_t nlocal,
			const struct iovec *remote, size_t nremote);
ssize_t oli_sys_vm_write(pid_t pid, const struct iovec *local, size_t nlocal,
			 const struct iovec *remote, size_t nremote);

/*
 * Move @fd out of the program's way: programs expect small numbers from open()
 * and close whole low ranges. Returns the new, close-on-exec number and closes
 * @fd; returns @fd itself if the process may not have high numbers.
 * oli_fd_close_high() closes such a number.
 */
int oli_fd_to_high(int fd);
void oli_fd_close_high(int fd);

/* Told of each number that becomes the engine's (@on) or stops being it. May be NULL. */
extern void (*oli_fd_guard_hook)(int fd, bool on);

/* Whole files into @buf, NUL terminated. Returns the length or -errno. */
ssize_t oli_read_file(int dirfd, const char *path, char *buf, size_t size);

#endif
