// SPDX-License-Identifier: MIT
/*
 * The source for memory of this process: any mixture of pages.
 *
 *   part     what of the range lies in one mapping of the process
 *   huge     of 2 MiB and more, by the mapping's own page size: hugetlb. What the kernel
 *            makes huge behind the program's back is not, for it comes and goes
 *
 * Pages are made present first, as they will be used; then each part is pinned. A huge
 * page is pinned whole, so the first and the last part may reach over the range, and
 * the runs are cut to it. Whole pages are [first, last], inclusive: the range may end
 * at the top of the address space.
 *
 * Where the list of mappings cannot be read, all is ordinary memory.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/why.h"
#include "mem/int.h"
#include "mem/maps.h"

#define HUGE (1ull << OLI_BLOCK_SHIFT)
/* No kernel gives user space more, even with five levels of tables. */
#define USER_LAST ((1ull << 56) - 1)

struct walk {
	struct oli_process_mem *p;
	u64 start; /* of the range, as it was asked for */
	u64 at; /* the next page to be added */
	bool readable; /* the kernel itself said that all can be used as asked */
};

/* ---- pins ---- */

static enum olio_mem_kind kind_at(struct oli_machine *m, struct olio_pa pa)
{
	const struct oli_frame *f;

	if (!m->shm->desc.encrypted)
		return OLIO_MEM_RAM;
	/* Its other users may have opened it. */
	f = oli_frame_get(m, pa);
	return f && !(atomic_load(&f->page) & OLI_FRAME_PRIVATE) ? OLIO_MEM_SHARED
								 : OLIO_MEM_PRIVATE;
}

/* [@w->at, @w->at + @len) has the frames at @pa: add what of it was asked for. */
static int add(void *arg, struct olio_pa pa, u64 len)
{
	struct walk *w = arg;
	struct olio_mem *mem = &w->p->mem;
	u64 first = w->at, last = first + (len - 1), end = w->start + (mem->len - 1);

	w->at += len;
	if (first < w->start) {
		if (last < w->start)
			return 0;
		pa.v += w->start - first;
		first = w->start;
	}
	if (first > end)
		return 0;
	return oli_src_add(mem, pa, (last < end ? last : end) - first + 1, kind_at(mem->m, pa), 0);
}

static int pin_part(struct walk *w, u64 first, u64 last, bool huge)
{
	struct oli_process_mem *p = w->p;
	struct oli_machine *m = p->mem.m;
	u32 flags = (m->shm->desc.encrypted ? OLI_FRAME_PRIVATE : 0) |
		    (p->mem.flags & OLIO_PIN_READ_ONLY ? OLI_FRAME_READ_ONLY : 0);
	int err;

	/* A program that maps other things there meanwhile must not make parts overlap. */
	if (huge && !(p->pin_len && (first & (HUGE - 1)))) {
		first &= ~(HUGE - 1);
		last |= HUGE - 1;
	} else {
		huge = false;
	}
	if (!p->pin_len)
		p->pin = first;
	w->at = first;
	err = oli_pin(m, first, last - first + 1, huge, flags, add, w);
	if (!err)
		p->pin_len = last - p->pin + 1;
	return err;
}

/* Pin the pages [@first, @last], part by part. */
static int pin_parts(struct walk *w, struct oli_maps *maps, u64 first, u64 last)
{
	u32 need = w->p->mem.flags & OLIO_PIN_READ_ONLY ? OLI_VMA_READ : OLI_VMA_WRITE;
	int err = 0;

	for (u64 at = first; !err;) {
		struct oli_vma vma = {.start = at,
				      .end = last + 1,
				      .page_size = OLI_PAGE_SIZE,
				      .flags = OLI_VMA_READ | OLI_VMA_WRITE | OLI_VMA_SHARED};
		bool known = maps && !oli_maps_find(maps, at, &vma);
		u64 part = vma.end - 1 < last ? vma.end - 1 : last;

		if (vma.start > at || !(vma.flags & need) || (!known && !w->readable))
			return -EFAULT;
		w->p->mem.traits |= oli_traits_of(&vma);
		err = pin_part(w, at, part, vma.page_size >= HUGE);
		if (part == last)
			break;
		at = part + 1;
	}
	return err;
}

static int refuse(const struct oli_machine *m, int err, u64 addr, u64 len, unsigned int flags)
{
	unsigned long long a = addr, n = len;

	switch (err) {
	case -EFAULT:
		return oli_refuse(OLIO_REASON_NO_PAGE,
				  "%llu bytes at %#llx: some of it is not mapped, or cannot be %s",
				  n, a, flags & OLIO_PIN_READ_ONLY ? "read" : "written");
	case -ENOSPC:
		return oli_refuse(
			OLIO_REASON_RAM_FULL,
			"%llu bytes at %#llx: no frames are left of the machine's %llu MiB", n, a,
			(unsigned long long)m->shm->desc.ram_size >> 20);
	case -ENOMEM:
		return oli_refuse(OLIO_REASON_NO_MEMORY, "no memory to pin %llu bytes at %#llx", n,
				  a);
	case -EINVAL:
		return oli_refuse(OLIO_REASON_BAD_STATE, "this process has left the machine");
	default:
		return err;
	}
}

int oli_src_check(struct oli_machine *m, u64 start, u64 len, unsigned int flags)
{
	if (m->pid != getpid())
		return oli_refuse(OLIO_REASON_BAD_STATE,
				  "process %d opened the machine, not its forked child", m->pid);
	if (oli_slot(m, m->slot)->flags & OLI_SLOT_F_OBSERVER)
		return oli_refuse(
			OLIO_REASON_BAD_STATE,
			"the machine was opened by an observer, which owns nothing in it");
	if (!len)
		return oli_refuse(OLIO_REASON_BAD_ARGUMENT, "0 bytes of memory were asked for");
	if (flags & ~OLIO_PIN_READ_ONLY)
		return oli_refuse(OLIO_REASON_BAD_ARGUMENT, "unknown flags %#x",
				  flags & ~OLIO_PIN_READ_ONLY);
	if (start + (len - 1) < start)
		return oli_refuse(OLIO_REASON_OVERFLOW, "%llu bytes from %#llx wrap",
				  (unsigned long long)len, (unsigned long long)start);
	return 0;
}

int oli_process_pin(struct oli_process_mem *p, struct oli_machine *m, u64 addr, u64 len,
		    unsigned int flags)
{
	u64 first = addr & ~(OLI_PAGE_SIZE - 1), last = (addr + (len - 1)) | (OLI_PAGE_SIZE - 1);
	struct walk w = {.p = p, .start = addr};
	struct oli_maps maps;
	bool listed;
	int err;

	p->mem.m = m;
	p->mem.len = len;
	p->mem.flags = flags;
	p->mem.cpu = (u8 *)(uintptr_t)addr;
	/* Before pages are made present, which may use up the host's memory. */
	if (last > USER_LAST)
		err = -EFAULT;
	else if (last - first >= m->shm->desc.ram_size)
		err = -ENOSPC;
	else
		err = oli_populate(first, last - first + 1, !(flags & OLIO_PIN_READ_ONLY));
	w.readable = !err;
	/* What is present, but perhaps not writable, is looked up among the mappings. */
	if (err < 0 && err != -EACCES)
		return refuse(m, err, addr, len, flags);
	listed = !oli_maps_open(&maps, false);
	err = pin_parts(&w, listed ? &maps : NULL, first, last);
	if (listed)
		oli_maps_close(&maps);
	if (!err) {
		p->mem.traits |= oli_traits_of_thread(first, last);
		return 0;
	}
	if (p->pin_len)
		oli_unpin(m, p->pin, p->pin_len);
	free(p->mem.runs);
	free(p->mem.ends);
	return refuse(m, err, addr, len, flags);
}

/* ---- the source ---- */

static void put(struct olio_mem *mem)
{
	struct oli_process_mem *p = (struct oli_process_mem *)mem;

	if (mem->m->pid == getpid())
		oli_unpin(mem->m, p->pin, p->pin_len);
	if (p->map)
		munmap(p->map, p->map_len);
}

/* All runs are of @kind now; what touches becomes one. */
static void retype(struct olio_mem *mem, enum olio_mem_kind kind)
{
	size_t n = 0;

	for (size_t i = 0; i < mem->nruns; i++) {
		struct olio_run *last = n ? &mem->runs[n - 1] : NULL;

		if (last && last->pa.v + last->len == mem->runs[i].pa.v) {
			last->len += mem->runs[i].len;
		} else {
			mem->runs[n] = mem->runs[i];
			mem->runs[n++].kind = kind;
		}
		mem->ends[n - 1] = mem->ends[i];
	}
	mem->nruns = n;
}

static int share(struct olio_mem *mem, bool on)
{
	u64 addr = (u64)(uintptr_t)mem->cpu;
	int err;

	if (!mem->m->shm->desc.encrypted)
		return oli_refuse(OLIO_REASON_NOT_ENCRYPTED, "machine %s does not encrypt its RAM",
				  mem->m->shm->name);
	if ((addr | mem->len) & (OLI_PAGE_SIZE - 1))
		return oli_refuse(OLIO_REASON_BAD_ARGUMENT,
				  "only whole pages are opened and closed: %llu bytes at %#llx",
				  (unsigned long long)mem->len, (unsigned long long)addr);
	err = oli_pins_share(mem->m, addr, mem->len, on);
	if (err == -EBUSY)
		return oli_refuse(OLIO_REASON_PINNED,
				  "a page of %llu bytes at %#llx is pinned twice",
				  (unsigned long long)mem->len, (unsigned long long)addr);
	if (!err)
		retype(mem, on ? OLIO_MEM_SHARED : OLIO_MEM_PRIVATE);
	return err;
}

static const struct oli_src_ops ops = {.name = "process", .put = put, .share = share};

int oli_process_new(struct oli_machine *m, u64 start, u64 len, unsigned int flags,
		    struct oli_process_mem **out)
{
	struct oli_process_mem *p;
	int err = oli_src_check(m, start, len, flags);

	if (err)
		return err;
	p = OLI_FAULT() ? NULL : calloc(1, sizeof(*p));
	if (!p)
		return oli_refuse(OLIO_REASON_NO_MEMORY, "no memory to pin anything");
	p->mem.ops = &ops;
	*out = p;
	return 0;
}

int oli_mem_pin(struct oli_machine *m, void *addr, u64 len, unsigned int flags,
		struct olio_mem **out)
{
	struct oli_process_mem *p;
	int err = oli_process_new(m, (u64)(uintptr_t)addr, len, flags, &p);

	if (err)
		return err;
	err = oli_process_pin(p, m, (u64)(uintptr_t)addr, len, flags);
	if (err)
		free(p);
	else
		*out = &p->mem;
	return err;
}
