// SPDX-License-Identifier: MIT
/*
 * The page heap: an array of owner tags is all its state.
 *
 * A page is free when its tag is 0. Allocation is next-fit over runs of zero
 * tags; freeing clears tags. Each store is whole, so a process that dies half
 * way leaves pages tagged with its slot, which the reaper frees: nothing to
 * leak, and nothing to repair but the count of used pages.
 *
 * The file is sparse. Before a page is handed out for the first time it is
 * backed with fallocate(), which says ENOSPC here and now where a touch would
 * raise SIGBUS later: in a container with 64 MiB of shared memory running out
 * is an error with a name. Pages [0, heap_committed) are backed, and so are
 * their tags.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/log.h"
#include "machine/file.h"
#include "machine/machine.h"

#define COMMIT_STEP 64 /* pages: 256 KiB at a time */

static u16 *tags(struct oli_machine *m)
{
	return oli_ptr(m, m->shm->owner_off);
}

static u64 page_off(struct oli_machine *m, u64 page)
{
	return m->shm->heap_off + (page << OLI_PAGE_SHIFT);
}

/* The count is all that a dead holder can leave wrong. */
static void heap_lock(struct oli_machine *m)
{
	u64 used = 0;

	if (!oli_lock(&m->shm->heap_lock))
		return;
	for (u64 i = 0; i < m->shm->heap_committed; i++)
		used += tags(m)[i] != 0;
	atomic_store(&m->shm->heap_used, used);
}

/* Back the pages [@from, @to) and their tags. */
static int back(struct oli_machine *m, u64 from, u64 to)
{
	u64 tag_from = (from * sizeof(u16)) & ~(OLI_PAGE_SIZE - 1);
	u64 tag_to = oli_align_up(to * sizeof(u16), OLI_PAGE_SIZE);
	int err = oli_file_back(m->fd, m->shm->owner_off + tag_from, tag_to - tag_from);

	return err ? err : oli_file_back(m->fd, page_off(m, from), (to - from) << OLI_PAGE_SHIFT);
}

/* Back pages up to @end (exclusive) and their tags. */
static int commit(struct oli_machine *m, u64 end)
{
	struct oli_shm *shm = m->shm;
	u64 have = shm->heap_committed, want = oli_align_up(end, COMMIT_STEP);
	int err;

	if (end <= have)
		return 0;
	if (want > shm->heap_pages)
		want = shm->heap_pages;
	if (OLI_FAULT())
		return -ENOSPC;
	err = back(m, have, want);
	/* The step may not fit where the need does. */
	if (err == -ENOSPC && want != end) {
		want = end;
		err = back(m, have, want);
	}
	if (!err)
		shm->heap_committed = want;
	return err;
}

/* First run of @n free pages in [@from, @to), tags beyond the backed ones being free. */
static bool find_run(struct oli_machine *m, u64 from, u64 to, u64 n, u64 *page)
{
	const u16 *tag = tags(m);
	u64 backed = m->shm->heap_committed;
	u64 run = 0;

	for (u64 i = from; i < to; i++) {
		if (i >= backed) {
			/* Nothing but free pages from here on. */
			if (to - i + run < n)
				return false;
			*page = i - run;
			return true;
		}
		run = tag[i] ? 0 : run + 1;
		if (run == n) {
			*page = i + 1 - n;
			return true;
		}
	}
	return false;
}

static int take_run(struct oli_machine *m, u64 n, u16 owner, u64 *page)
{
	struct oli_shm *shm = m->shm;
	u16 *tag;
	int err;

	/* Look at what is backed first: growing is the last resort. */
	if (!find_run(m, shm->heap_next, shm->heap_committed, n, page) &&
	    !find_run(m, 0, shm->heap_committed, n, page) &&
	    !find_run(m, 0, shm->heap_pages, n, page))
		return -ENOMEM;
	err = commit(m, *page + n);
	if (err)
		return err;
	tag = tags(m);
	for (u64 i = 0; i < n; i++)
		tag[*page + i] = (u16)(owner + 1);
	shm->heap_next = *page + n;
	atomic_fetch_add(&shm->heap_used, n);
	return 0;
}

int oli_heap_alloc(struct oli_machine *m, u64 bytes, u16 owner, u64 *off)
{
	u64 n, page;
	int err;

	if (bytes > m->size)
		return -ENOMEM;
	n = oli_align_up(bytes ? bytes : 1, OLI_PAGE_SIZE) >> OLI_PAGE_SHIFT;
	heap_lock(m);
	err = take_run(m, n, owner, &page);
	oli_unlock(&m->shm->heap_lock);
	if (err) {
		oli_warn("shared memory is full: %llu KiB more do not fit in %s (%s)",
			 (unsigned long long)(n * OLI_PAGE_SIZE / 1024), m->dir,
			 err == -ENOSPC ? "the file system has no space" : strerror(-err));
		return -ENOMEM;
	}
	*off = page_off(m, page);
	memset(oli_ptr(m, *off), 0, n << OLI_PAGE_SHIFT);
	return 0;
}

void oli_heap_free(struct oli_machine *m, u64 off, u64 bytes)
{
	u64 page = (off - m->shm->heap_off) >> OLI_PAGE_SHIFT;
	u64 n = oli_align_up(bytes ? bytes : 1, OLI_PAGE_SIZE) >> OLI_PAGE_SHIFT;

	if (!oli_range_inside(page, n, 0, m->shm->heap_pages))
		return;
	heap_lock(m);
	memset(tags(m) + page, 0, n * sizeof(u16));
	atomic_fetch_sub(&m->shm->heap_used, n);
	oli_unlock(&m->shm->heap_lock);
}

void oli_heap_free_owner(struct oli_machine *m, u16 owner)
{
	u16 *tag;
	u64 n = 0;

	heap_lock(m);
	tag = tags(m);
	for (u64 i = 0; i < m->shm->heap_committed; i++) {
		if (tag[i] != (u16)(owner + 1))
			continue;
		tag[i] = 0;
		n++;
	}
	atomic_fetch_sub(&m->shm->heap_used, n);
	oli_unlock(&m->shm->heap_lock);
}
