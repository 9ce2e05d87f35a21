/* SPDX-License-Identifier: MIT */
/*
 * What the hooks share.
 *
 * A hook is an exported function with the name and the contract of libc's: it
 * asks whether the path or number is ours, and if not does nothing but call the
 * real one. Only absolute paths are ours; what is relative to a directory
 * descriptor inside the machine's sys tree needs no help.
 *
 * The layouts of struct stat and struct stat64, and of the other pairs, are one
 * on the 64-bit systems that olio runs on, so both names share a hook.
 */
#ifndef OLI_PRELOAD_HOOKS_H
#define OLI_PRELOAD_HOOKS_H

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "preload/real.h"
#include "uapi/fdtab.h"
#include "uapi/uapi.h"

#ifdef __USE_FILE_OFFSET64
#error "hooks are defined under both names: build without _FILE_OFFSET_BITS"
#endif

static_assert(sizeof(struct stat) == sizeof(struct stat64), "64-bit systems only");
static_assert(sizeof(glob_t) == sizeof(glob64_t), "64-bit systems only");
static_assert(sizeof(off_t) == sizeof(off64_t), "64-bit systems only");

#define OLI_HOOK __attribute__((visibility("default")))

/* Only fortified or old programs call these; the headers do not declare them. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dirfd, const char *path, int flags);
int __openat64_2(int dirfd, const char *path, int flags);
int __xstat(int ver, const char *path, struct stat *st);
int __xstat64(int ver, const char *path, struct stat64 *st);
int __lxstat(int ver, const char *path, struct stat *st);
int __lxstat64(int ver, const char *path, struct stat64 *st);
int __fxstat(int ver, int fd, struct stat *st);
int __fxstat64(int ver, int fd, struct stat64 *st);
int __fxstatat(int ver, int dirfd, const char *path, struct stat *st, int flags);
int __fxstatat64(int ver, int dirfd, const char *path, struct stat64 *st, int flags);
ssize_t __readlink_chk(const char *path, char *buf, size_t len, size_t size);
ssize_t __readlinkat_chk(int dirfd, const char *path, char *buf, size_t len, size_t size);
char *__realpath_chk(const char *path, char *resolved, size_t size);

/* A result of the engine as libc returns it. */
static inline ssize_t oli_ret(ssize_t rc)
{
	if (rc >= 0)
		return rc;
	errno = (int)-rc;
	return -1;
}

/*
 * The engine must not be left half-way by pthread_cancel(): many calls that it
 * stands behind are cancellation points.
 */
static inline int oli_cancel_off(void)
{
	int old;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
	return old;
}

static inline void oli_cancel_restore(int old)
{
	pthread_setcancelstate(old, NULL);
}

/*
 * @path as it was handed to a hook. libc's headers promise the compiler that it
 * is not NULL, but programs pass NULL and expect EFAULT: forget the promise.
 */
static inline const char *oli_path_given(const char *path)
{
	__asm__("" : "+r"(path));
	return path;
}

/* Is @path ours? Fills @p if it is. May attach to the machine. */
static inline bool oli_path_ours(const char *path, struct oli_path *p)
{
	int cancel;

	path = oli_path_given(path);
	if (!path || path[0] != '/' || (path[1] != 's' && path[1] != 'd'))
		return false;
	cancel = oli_cancel_off();
	oli_path_classify(path, p);
	oli_cancel_restore(cancel);
	return p->kind != OLI_PATH_FOREIGN;
}

static inline struct oli_ufile *oli_fd_ufile(struct oli_fd *obj)
{
	return (struct oli_ufile *)obj; /* its first member */
}

/*
 * False in a child of vfork(): it shares our memory, so the table is the
 * parent's, but its numbers are its own. A system call: only for what is ours.
 */
bool oli_same_process(void);

/* ---- nodes and synthesised files (node.c) ---- */

/* Does /dev/infiniband/uverbs@index exist? */
bool oli_node_exists(u32 index);
void oli_node_stat(u32 index, struct stat *st);
void oli_synth_stat(struct stat *st);
/* Open what @p names as open(@flags, @mode) would. Return: the number or -errno. */
int oli_node_open(const struct oli_path *p, int flags, mode_t mode);
/*
 * @s, a path in the tree below the machine's directory, known as @base, becomes
 * in place the path that the program knows. Other paths stay as they are.
 */
void oli_path_restore(struct oli_machine *m, const char *base, char *s);

/* ---- stand-ins for NETLINK_RDMA sockets (hooks_netlink.c) ---- */

ssize_t oli_nlsock_send(struct oli_fd *obj, const struct iovec *iov, size_t n);

#endif
