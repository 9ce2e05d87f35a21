// SPDX-License-Identifier: MIT
/*
 * Stand-ins for sockets of protocol NETLINK_RDMA.
 *
 * The program holds one end of a socket pair that keeps message boundaries; what
 * it sends is answered at once by uapi/netlink.c, and the answers wait in the
 * pair until it reads them, so that recv(), read(), poll() and close() need no
 * help. Only names differ: what the program binds to is remembered, and what it
 * receives is said to come from the kernel (port 0).
 *
 * The engine's end never blocks: when the program leaves too many answers
 * unread the next send() fails with ENOBUFS.
 *
 * Objects are of stable type (see fdtab.h): listed for ever, taken and given
 * back by one atomic flag, because close() may come in a signal handler.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <linux/netlink.h>

#include "base/fault.h"
#include "base/sys.h"
#include "preload/hooks.h"

#define REQUEST_MAX 16384
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

struct nlsock {
	struct oli_fd fd; /* first */
	_Atomic bool used;
	int peer; /* the engine's end */
	_Atomic u32 portid, groups; /* what getsockname() says */
	struct nlsock *next; /* in all_socks, fixed */
};

static _Atomic(struct nlsock *) all_socks;

/* ---- objects ---- */

static struct nlsock *nlsock_take(void)
{
	struct nlsock *s;

	for (s = atomic_load(&all_socks); s; s = s->next) {
		bool used = false;

		if (atomic_compare_exchange_strong(&s->used, &used, true))
			return s;
	}
	s = OLI_FAULT() ? NULL : calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->used = true;
	s->next = atomic_load(&all_socks);
	while (!atomic_compare_exchange_weak(&all_socks, &s->next, s))
		;
	return s;
}

static void nlsock_release(struct oli_fd *obj)
{
	struct nlsock *s = (struct nlsock *)obj;

	oli_fd_close_high(s->peer);
	atomic_store(&s->used, false);
}

static struct nlsock *nlsock_find(int fd)
{
	struct oli_fd *obj = oli_fd_lookup(fd);

	return obj && obj->kind == OLI_FD_NETLINK ? (struct nlsock *)obj : NULL;
}

static int nlsock_open(int type)
{
	int base = type & ~(SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct nlsock *s;
	int pair[2], err;

	if (base != SOCK_RAW && base != SOCK_DGRAM)
		return -ESOCKTNOSUPPORT;
	s = nlsock_take();
	if (!s)
		return -ENOBUFS;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | (type & SOCK_NONBLOCK) | SOCK_CLOEXEC, 0, pair) <
	    0) {
		atomic_store(&s->used, false);
		return -errno;
	}
	if (!(type & SOCK_CLOEXEC))
		oli_sys_fcntl(pair[0], F_SETFD, 0);
	s->fd = (struct oli_fd){.kind = OLI_FD_NETLINK, .refs = 1, .release = nlsock_release};
	s->peer = oli_fd_to_high(pair[1]);
	s->portid = s->groups = 0;
	err = oli_fd_install(pair[0], &s->fd);
	if (err) {
		oli_sys_close(pair[0]);
		nlsock_release(&s->fd);
		return err;
	}
	return pair[0];
}

OLI_HOOK int socket(int domain, int type, int protocol)
{
	int cancel, fd;

	if (domain != AF_NETLINK || protocol != NETLINK_RDMA)
		return REAL(socket)(domain, type, protocol);
	cancel = oli_cancel_off();
	fd = nlsock_open(type);
	oli_cancel_restore(cancel);
	return (int)oli_ret(fd);
}

/* ---- names ---- */

/* @addr, @len as a program gave them, into @nl. */
static int addr_read(const void *addr, socklen_t len, struct sockaddr_nl *nl)
{
	int err;

	if (len < sizeof(*nl))
		return -EINVAL;
	err = oli_user_read(nl, (u64)(uintptr_t)addr, sizeof(*nl));
	if (!err && nl->nl_family != AF_NETLINK)
		err = -EINVAL;
	return err;
}

/* Give @nl to the program as far as its buffer goes; *@len says how long it is. */
static void addr_give(const struct sockaddr_nl *nl, void *addr, socklen_t *len)
{
	if (addr && len) {
		memcpy(addr, nl, *len < sizeof(*nl) ? *len : sizeof(*nl));
		*len = sizeof(*nl);
	}
}

static int nlsock_bind(struct nlsock *s, const void *addr, socklen_t len)
{
	struct sockaddr_nl nl;
	int err = addr_read(addr, len, &nl);

	if (err)
		return err;
	s->portid = nl.nl_pid ? nl.nl_pid : (u32)getpid();
	s->groups = nl.nl_groups;
	return 0;
}

OLI_HOOK int bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	struct nlsock *s = nlsock_find(fd);

	return UNLIKELY(s) ? (int)oli_ret(nlsock_bind(s, addr, len)) : REAL(bind)(fd, addr, len);
}

static int nlsock_connect(const void *addr, socklen_t len)
{
	struct sockaddr_nl nl;
	int err = addr_read(addr, len, &nl);

	if (!err && nl.nl_pid)
		err = -ECONNREFUSED; /* the kernel is the only one here to talk to */
	return err;
}

OLI_HOOK int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	if (UNLIKELY(nlsock_find(fd)))
		return (int)oli_ret(nlsock_connect(addr, len));
	return REAL(connect)(fd, addr, len);
}

OLI_HOOK int getsockname(int fd, struct sockaddr *restrict addr, socklen_t *restrict len)
{
	struct nlsock *s = nlsock_find(fd);
	struct sockaddr_nl nl = {.nl_family = AF_NETLINK};

	if (!s)
		return REAL(getsockname)(fd, addr, len);
	nl.nl_pid = s->portid;
	nl.nl_groups = s->groups;
	addr_give(&nl, addr, len);
	return 0;
}

/* ---- options ---- */

/* The value of an option that differs from the socket pair's. Return: false for others. */
static bool option_value(int level, int name, int *value)
{
	*value = 0;
	if (level == SOL_NETLINK)
		return true;
	if (level != SOL_SOCKET)
		return false;
	if (name == SO_DOMAIN)
		*value = AF_NETLINK;
	else if (name == SO_PROTOCOL)
		*value = NETLINK_RDMA;
	else if (name == SO_TYPE)
		*value = SOCK_RAW;
	return *value != 0;
}

OLI_HOOK int getsockopt(int fd, int level, int name, void *restrict val, socklen_t *restrict len)
{
	int value;

	if (!nlsock_find(fd) || !option_value(level, name, &value))
		return REAL(getsockopt)(fd, level, name, val, len);
	if (*len < sizeof(value))
		return (int)oli_ret(-EINVAL);
	memcpy(val, &value, sizeof(value));
	*len = sizeof(value);
	return 0;
}

/* Netlink's own options (acknowledgement details, strictness) change nothing here. */
OLI_HOOK int setsockopt(int fd, int level, int name, const void *val, socklen_t len)
{
	if (level == SOL_NETLINK && nlsock_find(fd))
		return 0;
	return REAL(setsockopt)(fd, level, name, val, len);
}

/* ---- sending ---- */

static int emit(void *arg, const void *msg, size_t len)
{
	struct nlsock *s = arg;
	int saved = errno;
	long n = syscall(SYS_sendto, s->peer, msg, len, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);
	int err = n < 0 ? (errno == EAGAIN ? -ENOBUFS : -errno) : 0;

	errno = saved;
	return err;
}

/* Copy the program's pieces together. Return: bytes or -errno. */
static ssize_t gather(const struct iovec *iov, size_t n, u8 *buf, size_t size)
{
	size_t have = 0;
	struct iovec v;
	int err;

	for (size_t i = 0; i < n; i++) {
		err = oli_user_read(&v, (u64)(uintptr_t)(iov + i), sizeof(v));
		if (err)
			return err;
		if (v.iov_len > size - have)
			return -EMSGSIZE;
		if (!v.iov_len)
			continue;
		err = oli_user_read(buf + have, (u64)(uintptr_t)v.iov_base, v.iov_len);
		if (err)
			return err;
		have += v.iov_len;
	}
	return (ssize_t)have;
}

/* As the kernel does, malformed messages are taken and not answered. */
ssize_t oli_nlsock_send(struct oli_fd *obj, const struct iovec *iov, size_t n)
{
	struct nlsock *s = (struct nlsock *)obj;
	const struct oli_nl_sink sink = {.emit = emit, .arg = s};
	int cancel = oli_cancel_off();
	u8 buf[REQUEST_MAX];
	ssize_t len;
	int err;

	if (!s->portid)
		s->portid = (u32)getpid();
	len = gather(iov, n, buf, sizeof(buf));
	if (len >= 0) {
		err = oli_netlink_request(buf, (size_t)len, s->portid, &sink);
		if (err && err != -EINVAL)
			len = err;
	}
	oli_cancel_restore(cancel);
	return len;
}

static ssize_t nlsock_sendto(struct nlsock *s, const void *buf, size_t len, const void *addr,
			     socklen_t addrlen)
{
	struct iovec iov = {.iov_base = (void *)buf, .iov_len = len};
	int err = addr ? nlsock_connect(addr, addrlen) : 0;

	return err ? err : oli_nlsock_send(&s->fd, &iov, 1);
}

OLI_HOOK ssize_t send(int fd, const void *buf, size_t len, int flags)
{
	struct nlsock *s = nlsock_find(fd);

	if (UNLIKELY(s))
		return oli_ret(nlsock_sendto(s, buf, len, NULL, 0));
	return REAL(send)(fd, buf, len, flags);
}

OLI_HOOK ssize_t sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *addr,
			socklen_t addrlen)
{
	struct nlsock *s = nlsock_find(fd);

	if (UNLIKELY(s))
		return oli_ret(nlsock_sendto(s, buf, len, addr, addrlen));
	return REAL(sendto)(fd, buf, len, flags, addr, addrlen);
}

static ssize_t nlsock_sendmsg(struct nlsock *s, const struct msghdr *user)
{
	struct msghdr msg;
	int err = oli_user_read(&msg, (u64)(uintptr_t)user, sizeof(msg));

	if (!err && msg.msg_name)
		err = nlsock_connect(msg.msg_name, msg.msg_namelen);
	return err ? err : oli_nlsock_send(&s->fd, msg.msg_iov, msg.msg_iovlen);
}

OLI_HOOK ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
	struct nlsock *s = nlsock_find(fd);

	if (UNLIKELY(s))
		return oli_ret(nlsock_sendmsg(s, msg));
	return REAL(sendmsg)(fd, msg, flags);
}

/* ---- receiving: recv() and read() give no name, so they have no hook ---- */

static const struct sockaddr_nl the_kernel = {.nl_family = AF_NETLINK};

OLI_HOOK ssize_t recvfrom(int fd, void *restrict buf, size_t len, int flags,
			  struct sockaddr *restrict addr, socklen_t *restrict addrlen)
{
	ssize_t n;

	if (!nlsock_find(fd))
		return REAL(recvfrom)(fd, buf, len, flags, addr, addrlen);
	n = REAL(recvfrom)(fd, buf, len, flags, NULL, NULL);
	if (n >= 0)
		addr_give(&the_kernel, addr, addrlen);
	return n;
}

static ssize_t nlsock_recvmsg(int fd, struct msghdr *user, int flags)
{
	struct msghdr msg;
	ssize_t n = oli_user_read(&msg, (u64)(uintptr_t)user, sizeof(msg));

	if (n < 0)
		return oli_ret(n);
	msg.msg_name = NULL;
	msg.msg_namelen = 0;
	n = REAL(recvmsg)(fd, &msg, flags);
	if (n < 0)
		return n;
	user->msg_controllen = msg.msg_controllen;
	user->msg_flags = msg.msg_flags;
	if (user->msg_name)
		addr_give(&the_kernel, user->msg_name, &user->msg_namelen);
	return n;
}

OLI_HOOK ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
	if (UNLIKELY(nlsock_find(fd)))
		return nlsock_recvmsg(fd, msg, flags);
	return REAL(recvmsg)(fd, msg, flags);
}
