// SPDX-License-Identifier: MIT
/*
 * stat() and its family, under the names of all generations of glibc.
 *
 * The sys tree has no symbolic links, so following them or not is left to the
 * real call. An open node must look like a character device by its number, too:
 * libibverbs compares st_rdev with what netlink said before it trusts a node.
 *
 * Before glibc 2.33 programs called __xstat & co. with a version of struct stat;
 * 0 and 1 name the same layout on 64-bit systems.
 */
#include <string.h>
#include <sys/sysmacros.h>

#include "preload/hooks.h"

#define STAT_VER_LAST 1

/* Return: 0, -errno, or 1 if the caller has to ask about p->real. */
static int stat_ours(const struct oli_path *p, struct stat *st)
{
	switch (p->kind) {
	case OLI_PATH_UVERBS:
		if (!oli_node_exists(p->index))
			return -ENOENT;
		oli_node_stat(p->index, st);
		return 0;
	case OLI_PATH_RDMA_CM:
		return -ENOENT;
	case OLI_PATH_SYNTH:
		oli_synth_stat(st);
		return 0;
	default:
		return 1;
	}
}

static int hook_stat(const char *path, struct stat *st)
{
	struct oli_path p;
	int rc;

	if (!oli_path_ours(path, &p))
		return REAL(stat)(path, st);
	rc = stat_ours(&p, st);
	return rc > 0 ? REAL(stat)(p.real, st) : (int)oli_ret(rc);
}

static int hook_lstat(const char *path, struct stat *st)
{
	struct oli_path p;
	int rc;

	if (!oli_path_ours(path, &p))
		return REAL(lstat)(path, st);
	rc = stat_ours(&p, st);
	return rc > 0 ? REAL(lstat)(p.real, st) : (int)oli_ret(rc);
}

static bool fd_is_node(int fd)
{
	struct oli_fd *obj = oli_fd_lookup(fd);

	return obj && obj->kind == OLI_FD_UFILE;
}

static void node_stat_fd(int fd, struct stat *st)
{
	struct oli_fd *obj = oli_fd_lookup(fd);
	dev_t rdev = oli_ufile_rdev(oli_fd_ufile(obj));

	oli_node_stat(minor(rdev) - OLI_UVERBS_MINOR, st);
}

static int hook_fstat(int fd, struct stat *st)
{
	if (!fd_is_node(fd))
		return REAL(fstat)(fd, st);
	node_stat_fd(fd, st);
	return 0;
}

/* Do @dirfd and @path, empty, name an open node? */
static bool names_node(int dirfd, const char *path, int flags)
{
	path = oli_path_given(path);
	return (flags & AT_EMPTY_PATH) && path && !*path && fd_is_node(dirfd);
}

static int hook_fstatat(int dirfd, const char *path, struct stat *st, int flags)
{
	struct oli_path p;
	int rc;

	if (oli_path_ours(path, &p)) {
		rc = stat_ours(&p, st);
		return rc > 0 ? REAL(fstatat)(AT_FDCWD, p.real, st, flags) : (int)oli_ret(rc);
	}
	if (names_node(dirfd, path, flags)) {
		node_stat_fd(dirfd, st);
		return 0;
	}
	return REAL(fstatat)(dirfd, path, st, flags);
}

static void statx_fill(const struct stat *st, struct statx *stx)
{
	memset(stx, 0, sizeof(*stx));
	stx->stx_mask = STATX_BASIC_STATS;
	stx->stx_mode = (u16)st->st_mode;
	stx->stx_nlink = (u32)st->st_nlink;
	stx->stx_ino = st->st_ino;
	stx->stx_size = (u64)st->st_size;
	stx->stx_blksize = (u32)st->st_blksize;
	stx->stx_rdev_major = major(st->st_rdev);
	stx->stx_rdev_minor = minor(st->st_rdev);
}

OLI_HOOK int statx(int dirfd, const char *restrict path, int flags, unsigned int mask,
		   struct statx *restrict stx)
{
	struct oli_path p;
	struct stat st;
	int rc = 1;

	if (oli_path_ours(path, &p)) {
		rc = stat_ours(&p, &st);
		if (rc > 0)
			return REAL(statx)(AT_FDCWD, p.real, flags, mask, stx);
	} else if (names_node(dirfd, path, flags)) {
		node_stat_fd(dirfd, &st);
		rc = 0;
	}
	if (rc > 0)
		return REAL(statx)(dirfd, path, flags, mask, stx);
	if (rc == 0)
		statx_fill(&st, stx);
	return (int)oli_ret(rc);
}

OLI_HOOK int stat(const char *restrict path, struct stat *restrict st)
{
	return hook_stat(path, st);
}

OLI_HOOK int stat64(const char *restrict path, struct stat64 *restrict st)
{
	return hook_stat(path, (struct stat *)st);
}

OLI_HOOK int lstat(const char *restrict path, struct stat *restrict st)
{
	return hook_lstat(path, st);
}

OLI_HOOK int lstat64(const char *restrict path, struct stat64 *restrict st)
{
	return hook_lstat(path, (struct stat *)st);
}

OLI_HOOK int fstat(int fd, struct stat *st)
{
	return hook_fstat(fd, st);
}

OLI_HOOK int fstat64(int fd, struct stat64 *st)
{
	return hook_fstat(fd, (struct stat *)st);
}

OLI_HOOK int fstatat(int dirfd, const char *restrict path, struct stat *restrict st, int flags)
{
	return hook_fstatat(dirfd, path, st, flags);
}

OLI_HOOK int fstatat64(int dirfd, const char *restrict path, struct stat64 *restrict st, int flags)
{
	return hook_fstatat(dirfd, path, (struct stat *)st, flags);
}

static bool version_bad(int ver)
{
	if (ver >= 0 && ver <= STAT_VER_LAST)
		return false;
	errno = EINVAL;
	return true;
}

OLI_HOOK int __xstat(int ver, const char *path, struct stat *st)
{
	return version_bad(ver) ? -1 : hook_stat(path, st);
}

OLI_HOOK int __xstat64(int ver, const char *path, struct stat64 *st)
{
	return version_bad(ver) ? -1 : hook_stat(path, (struct stat *)st);
}

OLI_HOOK int __lxstat(int ver, const char *path, struct stat *st)
{
	return version_bad(ver) ? -1 : hook_lstat(path, st);
}

OLI_HOOK int __lxstat64(int ver, const char *path, struct stat64 *st)
{
	return version_bad(ver) ? -1 : hook_lstat(path, (struct stat *)st);
}

OLI_HOOK int __fxstat(int ver, int fd, struct stat *st)
{
	return version_bad(ver) ? -1 : hook_fstat(fd, st);
}

OLI_HOOK int __fxstat64(int ver, int fd, struct stat64 *st)
{
	return version_bad(ver) ? -1 : hook_fstat(fd, (struct stat *)st);
}

OLI_HOOK int __fxstatat(int ver, int dirfd, const char *path, struct stat *st, int flags)
{
	return version_bad(ver) ? -1 : hook_fstatat(dirfd, path, st, flags);
}

OLI_HOOK int __fxstatat64(int ver, int dirfd, const char *path, struct stat64 *st, int flags)
{
	return version_bad(ver) ? -1 : hook_fstatat(dirfd, path, (struct stat *)st, flags);
}
