// SPDX-License-Identifier: MIT
/*
 * Who owns a line, and who wrote it.
 *
 * Where ownership has an effect (the device does not see the caches, or a copy stands
 * between the two) each line of a mapping belongs to the device or to the CPU. When a
 * line changes hands its bytes, as the CPU sees them, are put into a hash. On such
 * memory a device changes nothing that the CPU sees, so:
 *
 *   the device has the line and its bytes changed:       the CPU wrote to it (27)
 *   the CPU has it, its bytes changed since it got it,
 *   and the device reads it:                             the device reads the old ones (26)
 *
 * Reads by the CPU leave no trace in bytes; for whole pages see check_guard.c.
 *
 * A mapping made with SKIP_CPU_SYNC belongs to nobody until it is synchronised; a
 * device that uses it before that, or an unmap that skips the way back of what the
 * device wrote, is class 30.
 *
 * A line that lies only partly in the mapping counts with that part. Bytes are read by
 * system calls; a page that the program has unmapped hashes to what it was.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/sys.h"
#include "dma/check_int.h"

#define MOST_LINES (1u << 22) /* 256 MiB in lines of 64 bytes */
#define PIECE	   4096

static u64 line_size(const struct oli_track *t)
{
	return t->dev->desc->cache_line;
}

static u64 first_line(const struct oli_track *t)
{
	return t->run.pa.v & ~(line_size(t) - 1);
}

static u32 hash_bytes(const u8 *p, u64 len)
{
	u64 h = 0xcbf29ce484222325ull;

	for (u64 i = 0; i < len; i++)
		h = (h ^ p[i]) * 0x100000001b3ull;
	return (u32)(h ^ h >> 32);
}

/* What the CPU sees at [@pa, @pa + @len), inside one page. */
static bool cpu_bytes(struct oli_machine *m, u64 pa, u8 *buf, u64 len)
{
	struct oli_phys phys;
	struct iovec to = {buf, len}, from = {.iov_len = len};

	if (!oli_phys_find(m, (struct olio_pa){pa}, &phys) || phys.kind != OLI_PHYS_FRAME ||
	    phys.slot != m->slot)
		return false;
	from.iov_base = (void *)(uintptr_t)phys.va;
	return oli_sys_vm_read(getpid(), &to, 1, &from, 1) == (ssize_t)len;
}

/*
 * Call @act for the lines of @t that [@off, @off + @len) of it touches, with the hash of
 * what they hold now. Lines that cannot be read are left out.
 */
typedef void line_fn(struct oli_track *t, u64 line, u32 hash, void *arg);

static void each_line(struct oli_track *t, u64 off, u64 len, line_fn *act, void *arg)
{
	u64 size = line_size(t), base = first_line(t), start = t->run.pa.v, end = start + t->len;
	u64 line = (start + off - base) / size, last = (start + off + (len - 1) - base) / size;
	u8 page[PIECE];

	while (line <= last) {
		u64 from = base + line * size, to, piece_end = (from | (PIECE - 1)) + 1;

		/* The rest of this page in one system call. */
		from = from < start ? start : from;
		to = base + (last + 1) * size;
		to = to > end ? end : to;
		to = to > piece_end ? piece_end : to;
		bool good = cpu_bytes(t->dev->m, from, page, to - from);

		for (u64 at = from; at < to; line++) {
			u64 next = base + (line + 1) * size;

			next = next > to ? to : next;
			if (good)
				act(t, line, hash_bytes(page + (at - from), next - at), arg);
			at = next;
		}
	}
}

static enum oli_line_state state(const struct oli_track *t, u64 line)
{
	return t->state[line] & OLI_LINE_STATE;
}

/* ---- what is done with a line ---- */

static void give(struct oli_track *t, u64 line, u32 hash, void *arg)
{
	t->hash[line] = hash;
	t->state[line] = (u8)(*(enum oli_line_state *)arg | OLI_LINE_HASHED);
}

struct look {
	const void *site;
	bool write; /* of the device */
	bool access;
};

static u64 line_dma(const struct oli_track *t, u64 line)
{
	u64 pa = first_line(t) + line * line_size(t);

	return t->dma + ((pa < t->run.pa.v ? t->run.pa.v : pa) - t->run.pa.v);
}

static void compare(struct oli_track *t, u64 line, u32 hash, void *arg)
{
	const struct look *look = arg;

	if (!(t->state[line] & OLI_LINE_HASHED) || t->hash[line] == hash)
		return;
	if (state(t, line) == OLI_LINE_DEVICE)
		oli_say_once(t, 27, look->site, t->site,
			     "the CPU wrote to what is at DMA address 0x%" PRIx64
			     " while the device owned it",
			     line_dma(t, line));
	else if (state(t, line) == OLI_LINE_CPU && look->access && !look->write)
		oli_say_once(
			t, 26, look->site, t->site,
			"the device reads DMA address 0x%" PRIx64
			", but the CPU wrote there after its sync, and did not synchronise again",
			line_dma(t, line));
}

/* ---- the hooks ---- */

static bool has_effect(const struct oli_track *t)
{
	struct oli_machine *m = t->dev->m;

	return (t->dev->syncs || t->bounced) && t->va && t->family != OLI_ALLOC &&
	       (oli_check_on(m, 25) || oli_check_on(m, 26) || oli_check_on(m, 27) ||
		oli_check_on(m, 30) || oli_check_on(m, 35));
}

void oli_own_mapped(struct oli_track *t)
{
	u64 size = line_size(t), n;
	enum oli_line_state to = OLI_LINE_DEVICE;

	if (!has_effect(t))
		return;
	n = (oli_align_up(t->run.pa.v + t->len, size) - first_line(t)) / size;
	if (n > MOST_LINES)
		return;
	t->hash = OLI_FAULT() ? NULL : malloc(n * sizeof(*t->hash));
	t->state = t->hash && !OLI_FAULT() ? malloc(n) : NULL;
	if (!t->state)
		return; /* nothing wrong will be said of it */
	t->lines = n;
	memset(t->state, t->attrs & OLIO_ATTR_SKIP_CPU_SYNC ? OLI_LINE_NOBODY : OLI_LINE_DEVICE, n);
	if (t->attrs & OLIO_ATTR_SKIP_CPU_SYNC)
		return;
	each_line(t, 0, t->len, give, &to);
	oli_guard_set(t);
}

void oli_own_unmap(struct oli_track *t, u32 attrs, const void *site)
{
	struct look look = {.site = site};

	if (!t->lines)
		return;
	oli_guard_clear(t);
	each_line(t, 0, t->len, compare, &look);
	if (attrs & OLIO_ATTR_SKIP_CPU_SYNC && t->wrote && t->dir & OLIO_FROM_DEVICE)
		oli_say_once(t, 30, site, t->site,
			     "0x%" PRIx64 "+0x%" PRIx64
			     " is unmapped with SKIP_CPU_SYNC, and nobody "
			     "synchronised what the device wrote",
			     t->dma, t->len);
}

void oli_own_sync(struct oli_track *t, u64 dma, u64 len, bool for_cpu, const void *site)
{
	struct look look = {.site = site};

	if (!t->lines)
		return;
	/* The copies are made by system calls, for which a guard is an error. */
	oli_guard_clear(t);
	each_line(t, dma - t->dma, len, compare, &look);
	if (for_cpu)
		t->wrote = false;
}

void oli_own_synced(struct oli_track *t, u64 dma, u64 len, bool for_cpu)
{
	enum oli_line_state to = for_cpu ? OLI_LINE_CPU : OLI_LINE_DEVICE;

	if (!t->lines)
		return;
	each_line(t, dma - t->dma, len, give, &to);
	t->said &= ~(1ull << 25 | 1ull << 26 | 1ull << 27 | 1ull << 35);
	oli_guard_set(t);
}

void oli_own_access(struct oli_track *t, u64 dma, u64 len, bool write, const void *site)
{
	struct look look = {.site = site, .write = write, .access = true};
	u64 size = line_size(t), off = dma - t->dma;
	u64 line = (t->run.pa.v + off - first_line(t)) / size;
	u64 last = (t->run.pa.v + off + (len - 1) - first_line(t)) / size;

	if (!t->lines)
		return;
	for (; line <= last; line++)
		if (state(t, line) == OLI_LINE_NOBODY)
			oli_say_once(t, 30, site, t->site,
				     "the device uses DMA address 0x%" PRIx64
				     ", mapped with SKIP_CPU_SYNC, which nobody synchronised",
				     line_dma(t, line));
	t->wrote |= write;
	/* What is guarded cannot be read, and has not been written either. */
	if (!write)
		each_line(t, off, len, compare, &look);
}

void oli_own_fini(struct oli_track *t)
{
	free(t->hash);
	free(t->state);
	t->lines = 0;
}
