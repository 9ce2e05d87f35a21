/* SPDX-License-Identifier: MIT */
/*
 * Which of the process's file descriptors are ours, and what is behind them.
 *
 * A look-up stands in front of every write, ioctl, close, … of the program, so
 * it takes no lock: one bounds check and one atomic load for a foreign number.
 * Objects are of stable type: never freed while the process lives, only
 * recycled, so a look-up that races with a close finds a closed object, not a
 * freed one. Counting is of numbers, not of open file descriptions: each
 * number that dup() or fcntl() makes holds one reference.
 *
 * In a forked child the table is inherited: the numbers are open there too.
 */
#ifndef OLI_UAPI_FDTAB_H
#define OLI_UAPI_FDTAB_H

#include "base/types.h"

#define OLI_FD_MAX 65536 /* numbers above are never ours: we hand out lower ones */

enum oli_fd_kind {
	OLI_FD_UFILE,   /* container of struct oli_ufile */
	OLI_FD_CHAN,    /* a completion channel's read end */
	OLI_FD_NETLINK, /* preload's stand-in for a NETLINK_RDMA socket */
	OLI_FD_ENGINE,  /* the engine's own: close() and dup2() onto it are refused with EBADF/EBUSY,
			   close_range() steps over it */
};

/* Embed as the first member. */
struct oli_fd {
	enum oli_fd_kind kind;
	_Atomic int refs;
	void (*release)(struct oli_fd *obj); /* the last number is gone; no lock held */
};

/* The object behind @fd, or NULL. Lock-free. No reference is taken. */
struct oli_fd *oli_fd_lookup(int fd);
/* @fd is now ours; takes over one reference. Return: 0, -EMFILE (>= OLI_FD_MAX). */
OLI_MUST_CHECK int oli_fd_install(int fd, struct oli_fd *obj);
/* @newfd is now a copy of @oldfd (which may be foreign: then @newfd is, too). */
void oli_fd_copied(int oldfd, int newfd);
/* @fd is about to be closed (or was replaced). Drops its reference. */
void oli_fd_closing(int fd);
/* Mark one of the engine's own numbers. */
void oli_fd_guard(int fd);
void oli_fd_unguard(int fd);
/* Highest number + 1 that is ours; for close_range(). */
int oli_fd_limit(void);

#endif
