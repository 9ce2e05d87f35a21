// SPDX-License-Identifier: MIT
/*
 * Questions about paths that open nothing: access(), readlink(), realpath(), and
 * extended attributes, which `ls -l` asks for and nothing of ours has.
 *
 * Nothing of ours is a symbolic link. realpath() of a path in the sys tree gives
 * the name under /sys back, not the place of the tree, so that the answer can be
 * handed to open() again and looks like what it stands for.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "preload/hooks.h"

/* Return: 0, -errno, or 1 if the caller has to ask about p->real. */
static int access_ours(const struct oli_path *p, int mode)
{
	switch (p->kind) {
	case OLI_PATH_UVERBS:
		if (!oli_node_exists(p->index))
			return -ENOENT;
		return mode & X_OK ? -EACCES : 0;
	case OLI_PATH_RDMA_CM:
		return -ENOENT;
	case OLI_PATH_SYNTH:
		return mode & (W_OK | X_OK) ? -EACCES : 0;
	default:
		return 1;
	}
}

OLI_HOOK int access(const char *path, int mode)
{
	struct oli_path p;
	int rc;

	if (!oli_path_ours(path, &p))
		return REAL(access)(path, mode);
	rc = access_ours(&p, mode);
	return rc > 0 ? REAL(access)(p.real, mode) : (int)oli_ret(rc);
}

OLI_HOOK int faccessat(int dirfd, const char *path, int mode, int flags)
{
	struct oli_path p;
	int rc;

	if (!oli_path_ours(path, &p))
		return REAL(faccessat)(dirfd, path, mode, flags);
	rc = access_ours(&p, mode);
	return rc > 0 ? REAL(faccessat)(AT_FDCWD, p.real, mode, flags) : (int)oli_ret(rc);
}

static int hook_euidaccess(const char *path, int mode)
{
	struct oli_path p;
	int rc;

	if (!oli_path_ours(path, &p))
		return REAL(euidaccess)(path, mode);
	rc = access_ours(&p, mode);
	return rc > 0 ? REAL(euidaccess)(p.real, mode) : (int)oli_ret(rc);
}

OLI_HOOK int euidaccess(const char *path, int mode)
{
	return hook_euidaccess(path, mode);
}

OLI_HOOK int eaccess(const char *path, int mode)
{
	return hook_euidaccess(path, mode);
}

/* Return: -errno, or 1 if the caller has to ask about p->real. */
static int readlink_ours(const struct oli_path *p)
{
	switch (p->kind) {
	case OLI_PATH_UVERBS:
		return oli_node_exists(p->index) ? -EINVAL : -ENOENT;
	case OLI_PATH_RDMA_CM:
		return -ENOENT;
	case OLI_PATH_SYNTH:
		return -EINVAL;
	default:
		return 1;
	}
}

static ssize_t hook_readlink(const char *path, char *buf, size_t len)
{
	struct oli_path p;
	int rc;

	if (!oli_path_ours(path, &p))
		return REAL(readlink)(path, buf, len);
	rc = readlink_ours(&p);
	return rc > 0 ? REAL(readlink)(p.real, buf, len) : oli_ret(rc);
}

static ssize_t hook_readlinkat(int dirfd, const char *path, char *buf, size_t len)
{
	struct oli_path p;
	int rc;

	if (!oli_path_ours(path, &p))
		return REAL(readlinkat)(dirfd, path, buf, len);
	rc = readlink_ours(&p);
	return rc > 0 ? REAL(readlinkat)(AT_FDCWD, p.real, buf, len) : oli_ret(rc);
}

OLI_HOOK ssize_t readlink(const char *restrict path, char *restrict buf, size_t len)
{
	return hook_readlink(path, buf, len);
}

OLI_HOOK ssize_t readlinkat(int dirfd, const char *restrict path, char *restrict buf, size_t len)
{
	return hook_readlinkat(dirfd, path, buf, len);
}

/* The fortified forms end the program when the buffer is smaller than it said. */
OLI_HOOK ssize_t __readlink_chk(const char *path, char *buf, size_t len, size_t size)
{
	if (len > size)
		abort();
	return hook_readlink(path, buf, len);
}

OLI_HOOK ssize_t __readlinkat_chk(int dirfd, const char *path, char *buf, size_t len, size_t size)
{
	if (len > size)
		abort();
	return hook_readlinkat(dirfd, path, buf, len);
}

/* Into @out, PATH_MAX bytes. Return: 0 or -errno. */
static int realpath_ours(const struct oli_path *p, char out[PATH_MAX])
{
	char base[PATH_MAX];
	struct oli_machine *m;

	if (p->kind == OLI_PATH_RDMA_CM)
		return -ENOENT;
	if (p->kind == OLI_PATH_UVERBS) {
		if (!oli_node_exists(p->index))
			return -ENOENT;
		snprintf(out, PATH_MAX, "/dev/infiniband/uverbs%u", p->index);
		return 0;
	}
	m = oli_process_machine();
	if (!m)
		return -ENOENT;
	if (p->kind == OLI_PATH_SYNTH)
		strcpy(out, p->real);
	else if (!REAL(realpath)(p->real, out))
		return -errno;
	/* The machine's directory may itself be reached by a symbolic link. */
	oli_path_restore(m, m->dir, out);
	if (REAL(realpath)(m->dir, base))
		oli_path_restore(m, base, out);
	return 0;
}

static char *hook_realpath(const char *path, char *resolved)
{
	char out[PATH_MAX];
	struct oli_path p;

	if (!oli_path_ours(path, &p))
		return REAL(realpath)(path, resolved);
	if (oli_ret(realpath_ours(&p, out)) < 0)
		return NULL;
	return resolved ? strcpy(resolved, out) : strdup(out);
}

OLI_HOOK char *realpath(const char *restrict path, char *restrict resolved)
{
	return hook_realpath(path, resolved);
}

OLI_HOOK char *__realpath_chk(const char *path, char *resolved, size_t size)
{
	if (size < PATH_MAX)
		abort();
	return hook_realpath(path, resolved);
}

OLI_HOOK char *canonicalize_file_name(const char *path)
{
	return hook_realpath(path, NULL);
}

OLI_HOOK ssize_t getxattr(const char *path, const char *name, void *value, size_t size)
{
	struct oli_path p;

	if (oli_path_ours(path, &p))
		return oli_ret(-EOPNOTSUPP);
	return REAL(getxattr)(path, name, value, size);
}

OLI_HOOK ssize_t lgetxattr(const char *path, const char *name, void *value, size_t size)
{
	struct oli_path p;

	if (oli_path_ours(path, &p))
		return oli_ret(-EOPNOTSUPP);
	return REAL(lgetxattr)(path, name, value, size);
}

OLI_HOOK ssize_t listxattr(const char *path, char *list, size_t size)
{
	struct oli_path p;

	if (oli_path_ours(path, &p))
		return oli_ret(-EOPNOTSUPP);
	return REAL(listxattr)(path, list, size);
}

OLI_HOOK ssize_t llistxattr(const char *path, char *list, size_t size)
{
	struct oli_path p;

	if (oli_path_ours(path, &p))
		return oli_ret(-EOPNOTSUPP);
	return REAL(llistxattr)(path, list, size);
}
