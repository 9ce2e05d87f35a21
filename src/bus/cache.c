// SPDX-License-Identifier: MIT
/*
 * What the CPU's caches do, on a machine whose devices do not see them.
 *
 *   memory   what the CPU sees: the page itself
 *   shadow   what the devices see: the frame's copy
 *   clean    write lines back: memory to shadow
 *   invalidate  drop lines: shadow to memory
 *
 * A line is dropped or written as a whole, with whatever else lies in it: that two buffers
 * share one is misuse, and has here the effect that it has on such a machine.
 *
 * Pages are ours, and touched by system calls only: the program may have unmapped
 * some, which changes nothing for the others. Lines are no longer than a page.
 */
#include <errno.h>

#include "bus/bus.h"

#define BATCH 64

/* Pieces to be copied at once: memory and shadow of each. */
struct batch {
	struct oli_machine *m;
	bool clean;
	u32 n;
	u64 len;
	struct iovec memory[BATCH], shadow[BATCH];
};

static int move(struct batch *b, struct iovec *memory, struct iovec *shadow, u32 n, u64 len)
{
	struct oli_machine *m = b->m;
	struct oli_move mv = {.slot = m->slot,
			      .gen = m->gen,
			      .to_remote = !b->clean,
			      .local = shadow,
			      .remote = memory,
			      .nlocal = n,
			      .nremote = n,
			      .len = len};

	return oli_peer_move(m, &mv);
}

static void copy(struct batch *b)
{
	struct iovec memory[BATCH], shadow[BATCH];

	if (!b->n)
		return;
	/* The call changes its lists. */
	for (u32 i = 0; i < b->n; i++) {
		memory[i] = b->memory[i];
		shadow[i] = b->shadow[i];
	}
	if (move(b, memory, shadow, b->n, b->len))
		for (u32 i = 0; i < b->n; i++)
			(void)!move(b, &b->memory[i], &b->shadow[i], 1, b->memory[i].iov_len);
	b->n = 0;
	b->len = 0;
}

static void add(struct batch *b, const struct oli_phys *at, u64 len)
{
	if (b->n == BATCH)
		copy(b);
	b->memory[b->n] = (struct iovec){(void *)(uintptr_t)at->va, len};
	b->shadow[b->n++] = (struct iovec){at->shadow, len};
	b->len += len;
}

/* All lines that hold a byte of [@pa, @pa + @len). */
static void lines(struct oli_machine *m, struct olio_pa pa, u64 len, bool clean)
{
	u64 line = m->shm->desc.cache_line, first = pa.v & ~(line - 1), last;
	struct batch b = {.m = m, .clean = clean};

	if (!len || pa.v + (len - 1) < pa.v)
		return;
	last = (pa.v + (len - 1)) | (line - 1);
	(void)oli_peer_way(m, m->slot, m->gen);
	for (;;) {
		struct oli_phys at;
		u64 part = last - first;

		if (!oli_phys_find(m, (struct olio_pa){first}, &at))
			break;
		if (at.run - 1 < part)
			part = at.run - 1;
		if (at.shadow && at.slot == m->slot)
			add(&b, &at, part + 1);
		if (part == last - first)
			break;
		first += part + 1;
	}
	copy(&b);
}

void oli_cache_clean(struct oli_machine *m, struct olio_pa pa, u64 len)
{
	lines(m, pa, len, true);
}

void oli_cache_invalidate(struct oli_machine *m, struct olio_pa pa, u64 len)
{
	lines(m, pa, len, false);
}
