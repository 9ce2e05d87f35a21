// SPDX-License-Identifier: MIT
/*
 * The device nodes and the files of the sys tree, as open() and stat() see them.
 *
 * A node is a character device of the kernel's major and minor numbers, mode
 * 0666. The files below /sys are read-only for everybody: opening one for
 * writing answers EACCES, although root could write to the plain file behind it.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/log.h"
#include "base/sys.h"
#include "preload/hooks.h"

bool oli_node_exists(u32 index)
{
	int cancel = oli_cancel_off();
	struct oli_machine *m = oli_process_machine();

	oli_cancel_restore(cancel);
	return m && oli_device_visible(m, index);
}

void oli_node_stat(u32 index, struct stat *st)
{
	*st = (struct stat){
		.st_mode = S_IFCHR | 0666,
		.st_nlink = 1,
		.st_ino = 1 + index,
		.st_rdev = makedev(OLI_UVERBS_MAJOR, OLI_UVERBS_MINOR + index),
		.st_blksize = OLI_PAGE_SIZE,
	};
}

void oli_synth_stat(struct stat *st)
{
	*st = (struct stat){
		.st_mode = S_IFREG | 0444,
		.st_nlink = 1,
		.st_ino = 1,
		.st_size = OLI_PAGE_SIZE,
		.st_blksize = OLI_PAGE_SIZE,
	};
}

static int open_uverbs(u32 index, int flags)
{
	struct oli_ufile *f;
	int fd, err;

	if (!oli_node_exists(index))
		return -ENOENT;
	if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		return -EEXIST;
	if (flags & O_DIRECTORY)
		return -ENOTDIR;
	err = oli_ufile_open(index, flags, &f, &fd);
	if (err)
		return err;
	err = oli_fd_install(fd, (struct oli_fd *)f);
	if (err) {
		oli_sys_close(fd);
		oli_ufile_put(f);
		return err;
	}
	return fd;
}

static int open_synth(const struct oli_path *p, int flags)
{
	int fd, err;

	if (flags & O_DIRECTORY)
		return -ENOTDIR;
	err = oli_synth_open(p, &fd);
	if (err)
		return err;
	if (!(flags & O_CLOEXEC))
		oli_sys_fcntl(fd, F_SETFD, 0);
	return fd;
}

static int open_tree(const struct oli_path *p, int flags, mode_t mode)
{
	int fd = REAL(open)(p->real, flags, mode);

	return fd < 0 ? -errno : fd;
}

static int open_any(const struct oli_path *p, int flags, mode_t mode)
{
	bool writes = (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC));

	switch (p->kind) {
	case OLI_PATH_UVERBS:
		return open_uverbs(p->index, flags);
	case OLI_PATH_RDMA_CM:
		return -ENOENT;
	case OLI_PATH_SYNTH:
		return writes ? -EACCES : open_synth(p, flags);
	default:
		return writes ? -EACCES : open_tree(p, flags, mode);
	}
}

int oli_node_open(const struct oli_path *p, int flags, mode_t mode)
{
	int cancel = oli_cancel_off();
	int saved = errno;
	int fd = open_any(p, flags, mode);

	if (p->kind == OLI_PATH_UVERBS)
		oli_trace("open uverbs%u flags 0x%x: %d", p->index, (unsigned int)flags, fd);
	else
		oli_trace("open %s flags 0x%x: %d",
			  p->kind == OLI_PATH_RDMA_CM ? "rdma_cm" : p->real, (unsigned int)flags,
			  fd);
	errno = saved;
	oli_cancel_restore(cancel);
	return fd;
}

void oli_path_restore(struct oli_machine *m, const char *base, char *s)
{
	static const struct {
		const char *there, *here;
	} tops[] = {{"/dev-infiniband", "/dev/infiniband"}, {"/class", "/sys/class"}};
	char top[PATH_MAX], name[OLI_SYS_NAME];
	size_t len;

	oli_sys_name(m, name);
	len = (size_t)snprintf(top, sizeof(top), "%s/%s", base, name);
	if (len >= sizeof(top) || strncmp(s, top, len))
		return;
	for (size_t i = 0; i < OLI_ARRAY_SIZE(tops); i++) {
		size_t there = strlen(tops[i].there);
		size_t here = strlen(tops[i].here);
		char *rest = s + len + there;

		if (strncmp(s + len, tops[i].there, there) || (*rest && *rest != '/'))
			continue;
		memcpy(s, tops[i].here, here);
		memmove(s + here, rest, strlen(rest) + 1);
		return;
	}
}
