// SPDX-License-Identifier: MIT
/*
 * Making pages of this process present, as a pin in the kernel would.
 *
 * The kernel's answer to a range that may not be used as asked is the same as that of a
 * kernel that does not know the call (before Linux 5.14). Which it was is found out by
 * asking for less.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/sys.h"
#include "mem/src.h"

static int ask(u64 first, u64 bytes, int how)
{
	int saved = errno, err;

	err = madvise((void *)(uintptr_t)first, bytes, how) ? -errno : 0;
	errno = saved;
	return err;
}

/* An old kernel: a look at each page is all that can be had. */
static int look(u64 first, u64 bytes)
{
	for (u64 at = 0; at < bytes; at += OLI_PAGE_SIZE) {
		u8 byte;
		struct iovec to = {&byte, 1}, from = {(void *)(uintptr_t)(first + at), 1};

		if (oli_sys_vm_read(getpid(), &to, 1, &from, 1) != 1)
			return -EFAULT;
	}
	return 1;
}

int oli_populate(u64 first, u64 bytes, bool write)
{
	int err;

	if (OLI_FAULT())
		return -EFAULT;
	err = ask(first, bytes, write ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
	if (err == -EINVAL && write && !ask(first, bytes, MADV_POPULATE_READ))
		return -EACCES;
	if (err == -EINVAL)
		return look(first, bytes);
	return err ? -EFAULT : 0;
}
