// SPDX-License-Identifier: MIT
/*
 * Commands: ioctl() and write() on an open node.
 *
 * These stand in front of every write of the program, so a number that is not
 * ours costs one look-up and a jump. Writing to one of the engine's numbers
 * answers EBADF: to the program it is not open, and behind it is the machine.
 *
 * A node cannot be seeked: pwrite() answers ESPIPE, as the driver's would. The
 * machine file behind the number would take it.
 */
#include <limits.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include "preload/hooks.h"

#define UNLIKELY(x) __builtin_expect(!!(x), 0)

/* This thread may be cancelled at any instruction, not only at cancellation points. */
static __thread bool cancelled_anywhere __attribute__((tls_model("initial-exec")));

OLI_HOOK int pthread_setcanceltype(int type, int *old)
{
	int err = REAL(pthread_setcanceltype)(type, old);

	if (!err)
		cancelled_anywhere = type == PTHREAD_CANCEL_ASYNCHRONOUS;
	return err;
}

static ssize_t ufile_write(struct oli_fd *obj, const void *buf, size_t len)
{
	struct oli_ufile *f = oli_fd_ufile(obj);
	ssize_t rc;
	int cancel;

	/* Turning cancellation off and on costs a sixth of a doorbell, which mostly needs it not. */
	if (!cancelled_anywhere && oli_ufile_doorbell(f, buf, len, &rc))
		return oli_ret(rc);
	cancel = oli_cancel_off();
	rc = oli_ufile_write(f, buf, len);
	oli_cancel_restore(cancel);
	return oli_ret(rc);
}

static __attribute__((noinline)) ssize_t write_ours(struct oli_fd *obj, int fd, const void *buf,
						    size_t len)
{
	struct iovec iov = {.iov_base = (void *)buf, .iov_len = len};

	switch (obj->kind) {
	case OLI_FD_UFILE:
		return ufile_write(obj, buf, len);
	case OLI_FD_NETLINK:
		return oli_ret(oli_nlsock_send(obj, &iov, 1));
	case OLI_FD_ENGINE:
		return oli_ret(-EBADF);
	default:
		return REAL(write)(fd, buf, len);
	}
}

OLI_HOOK ssize_t write(int fd, const void *buf, size_t len)
{
	struct oli_fd *obj = oli_fd_lookup(fd);

	if (UNLIKELY(obj))
		return write_ours(obj, fd, buf, len);
	return REAL(write)(fd, buf, len);
}

/* Each element is a command of its own; the first that fails ends the call. */
static ssize_t ufile_writev(struct oli_fd *obj, const struct iovec *iov, int n)
{
	struct iovec v;
	ssize_t total = 0, rc;

	for (int i = 0; i < n; i++) {
		rc = oli_user_read(&v, (u64)(uintptr_t)(iov + i), sizeof(v));
		if (!rc)
			rc = oli_ufile_write(oli_fd_ufile(obj), v.iov_base, v.iov_len);
		if (rc < 0)
			return total ? total : rc;
		total += rc;
	}
	return total;
}

static __attribute__((noinline)) ssize_t writev_ours(struct oli_fd *obj, int fd,
						     const struct iovec *iov, int n)
{
	ssize_t rc;
	int cancel;

	if (obj->kind == OLI_FD_ENGINE)
		return oli_ret(-EBADF);
	if (obj->kind == OLI_FD_CHAN)
		return REAL(writev)(fd, iov, n);
	if (n < 0 || n > IOV_MAX)
		return oli_ret(-EINVAL);
	cancel = oli_cancel_off();
	if (obj->kind == OLI_FD_UFILE)
		rc = ufile_writev(obj, iov, n);
	else
		rc = oli_nlsock_send(obj, iov, (size_t)n);
	oli_cancel_restore(cancel);
	return oli_ret(rc);
}

OLI_HOOK ssize_t writev(int fd, const struct iovec *iov, int n)
{
	struct oli_fd *obj = oli_fd_lookup(fd);

	if (UNLIKELY(obj))
		return writev_ours(obj, fd, iov, n);
	return REAL(writev)(fd, iov, n);
}

/* -errno for a number that may not be written at an offset, else 0. */
static int no_offset(int fd)
{
	struct oli_fd *obj = oli_fd_lookup(fd);

	if (!obj)
		return 0;
	return obj->kind == OLI_FD_ENGINE ? -EBADF : -ESPIPE;
}

OLI_HOOK ssize_t pwrite(int fd, const void *buf, size_t len, off_t off)
{
	int err = no_offset(fd);

	return UNLIKELY(err) ? oli_ret(err) : REAL(pwrite)(fd, buf, len, off);
}

OLI_HOOK ssize_t pwrite64(int fd, const void *buf, size_t len, off64_t off)
{
	int err = no_offset(fd);

	return UNLIKELY(err) ? oli_ret(err) : REAL(pwrite)(fd, buf, len, off);
}

OLI_HOOK ssize_t pwritev(int fd, const struct iovec *iov, int n, off_t off)
{
	int err = no_offset(fd);

	return UNLIKELY(err) ? oli_ret(err) : REAL(pwritev)(fd, iov, n, off);
}

OLI_HOOK ssize_t pwritev64(int fd, const struct iovec *iov, int n, off64_t off)
{
	int err = no_offset(fd);

	return UNLIKELY(err) ? oli_ret(err) : REAL(pwritev)(fd, iov, n, off);
}

/* What every descriptor understands is for the kernel, whatever is behind it. */
static bool generic_ioctl(unsigned long cmd)
{
	return cmd == FIOCLEX || cmd == FIONCLEX || cmd == FIONBIO || cmd == FIOASYNC;
}

static __attribute__((noinline)) int ufile_ioctl(struct oli_fd *obj, unsigned long cmd, void *arg)
{
	int cancel = oli_cancel_off();
	int rc = oli_ufile_ioctl(oli_fd_ufile(obj), cmd, arg);

	oli_cancel_restore(cancel);
	return (int)oli_ret(rc);
}

OLI_HOOK int ioctl(int fd, unsigned long cmd, ...)
{
	struct oli_fd *obj = oli_fd_lookup(fd);
	va_list ap;
	void *arg;

	va_start(ap, cmd);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (UNLIKELY(obj) && obj->kind == OLI_FD_UFILE && !generic_ioctl(cmd))
		return ufile_ioctl(obj, cmd, arg);
	return REAL(ioctl)(fd, cmd, arg);
}
