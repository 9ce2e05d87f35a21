// SPDX-License-Identifier: MIT
/*
 * The source for files that live in memory: memfd, tmpfs, hugetlbfs.
 *
 * The range is mapped here, shared, and is then memory of this process like any other.
 * A mapping begins and ends on the file's pages, which are huge on hugetlbfs.
 *
 * That the range lies inside the file is checked before anything is done: a page beyond
 * its end would be a signal at the first touch. Who shrinks the file later takes the
 * pages away from the device, too, which then finds nothing.
 */
#include <errno.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/vfs.h>

#include "base/fault.h"
#include "base/sys.h"
#include "base/why.h"
#include "mem/int.h"

/* The size of its pages in *@page. Return: 0, or a refusal. */
static int page_size(int fd, u64 *page)
{
	int saved = errno, err;
	struct statfs fs;

	err = OLI_FAULT() ? -EIO : fstatfs(fd, &fs) ? -errno : 0;
	errno = saved;
	if (!err && (u64)fs.f_type != TMPFS_MAGIC && (u64)fs.f_type != HUGETLBFS_MAGIC)
		err = -EINVAL;
	if (err)
		return oli_refuse(OLIO_REASON_BAD_ARGUMENT,
				  "file %d is none that lives in memory: memfd, tmpfs, hugetlbfs",
				  fd);
	*page = (u64)fs.f_type == HUGETLBFS_MAGIC ? (u64)fs.f_bsize : OLI_PAGE_SIZE;
	return 0;
}

static int check_size(int fd, u64 offset, u64 len)
{
	struct stat st;

	if (OLI_FAULT() || oli_sys_fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return oli_refuse(OLIO_REASON_BAD_ARGUMENT, "descriptor %d is no file", fd);
	if (!oli_range_inside(offset, len, 0, (u64)st.st_size))
		return oli_refuse(
			OLIO_REASON_NO_PAGE,
			"%llu bytes at offset %llu reach beyond the end of file %d at %llu",
			(unsigned long long)len, (unsigned long long)offset, fd,
			(unsigned long long)st.st_size);
	return 0;
}

/* Map the file's pages that hold the range. Return: 0, or a refusal. */
static int map(struct oli_process_mem *p, int fd, u64 offset, u64 len, u64 page, bool write)
{
	u64 from = offset & ~(page - 1), bytes = oli_align_up(offset + len, page) - from;
	int saved = errno, err = 0;
	void *at;

	at = OLI_FAULT() ? MAP_FAILED
			 : mmap(NULL, bytes, PROT_READ | (write ? PROT_WRITE : 0), MAP_SHARED, fd,
				(off_t)from);
	if (at == MAP_FAILED)
		err = errno == EACCES || errno == EPERM
			      ? oli_refuse(OLIO_REASON_NO_PAGE,
					   "file %d was opened, or sealed, so that it cannot be %s",
					   fd, write ? "written" : "read")
			      : oli_refuse(OLIO_REASON_NO_MEMORY,
					   "cannot map %llu bytes of file %d",
					   (unsigned long long)bytes, fd);
	errno = saved;
	if (err)
		return err;
	p->map = at;
	p->map_len = bytes;
	return 0;
}

static int pin(struct oli_process_mem *p, struct oli_machine *m, int fd, u64 offset, u64 len,
	       unsigned int flags)
{
	u64 page = 0;
	int err = page_size(fd, &page);

	if (!err)
		err = check_size(fd, offset, len);
	if (!err)
		err = map(p, fd, offset, len, page, !(flags & OLIO_PIN_READ_ONLY));
	if (err)
		return err;
	err = oli_process_pin(p, m, (u64)(uintptr_t)p->map + (offset & (page - 1)), len, flags);
	if (err)
		munmap(p->map, p->map_len);
	return err;
}

int oli_mem_from_fd(struct oli_machine *m, int fd, u64 offset, u64 len, unsigned int flags,
		    struct olio_mem **out)
{
	struct oli_process_mem *p;
	int err = oli_process_new(m, offset, len, flags, &p);

	if (err)
		return err;
	err = pin(p, m, fd, offset, len, flags);
	if (err)
		free(p);
	else
		*out = &p->mem;
	return err;
}
