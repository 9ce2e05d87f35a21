// SPDX-License-Identifier: MIT
/*
 * Is this our memory? The question that each map asks about each frame.
 *
 * The same look-up as oli_phys_find(), of which it is the part that maps need, over a run
 * of frames: the word of a block once, then one load a frame. The word is read again
 * behind them, as there.
 *
 * Addresses may be any number; the last one is made once it is known not to wrap.
 */
#include <stdatomic.h>

#include "machine/phys_int.h"

/* The word and the entries of a block, if it is ours. */
static struct oli_frame *block_of(struct oli_machine *m, u64 off, _Atomic u64 **at, u64 *word)
{
	*at = &oli_phys_root(m)->block[off >> OLI_BLOCK_SHIFT];
	*word = atomic_load_explicit(*at, memory_order_acquire);
	return (*word & OLI_WORD_OWNER) == m->slot + 1u ? oli_word_ptr(m, *word) : NULL;
}

static bool is_still(const _Atomic u64 *at, u64 word)
{
	atomic_thread_fence(memory_order_acquire);
	return atomic_load_explicit(at, memory_order_relaxed) == word;
}

static u32 frame_index(u64 off)
{
	return off >> OLI_PAGE_SHIFT & (OLI_BLOCK_FRAMES - 1);
}

/* In one block: [@first, @last] are offsets into RAM. Return: the offset where it ends. */
static u64 block_ours(struct oli_machine *m, u64 first, u64 last, u32 *any, u32 *all)
{
	u32 i = frame_index(first), end = frame_index(last), or = 0, and = UINT32_MAX;
	_Atomic u64 *at;
	u64 word, page;
	struct oli_frame *f = block_of(m, first, &at, &word);

	if (!f)
		return first;
	for (; i <= end; i++) {
		page = atomic_load_explicit(&f[i].page, memory_order_relaxed);
		if (!(page & OLI_FRAME_USED))
			break;
		or |= (u32)page & (OLI_PAGE_SIZE - 1);
		and &= (u32)page;
	}
	if (!is_still(at, word))
		return first;
	*any |= or;
	*all &= and;
	return i > end ? last + 1 : (first & ~(OLI_BLOCK_SIZE - 1)) + ((u64)i << OLI_PAGE_SHIFT);
}

static u64 run_ours(struct oli_machine *m, u64 start, u64 len, u32 *any, u32 *all)
{
	u64 size = m->shm->desc.ram_size, at = start, last, part, next;

	*any = 0;
	*all = UINT32_MAX;
	last = len - 1 < size - start ? start + (len - 1) : size - 1;
	for (; at <= last; at = next) {
		part = at | (OLI_BLOCK_SIZE - 1);
		part = part < last ? part : last;
		next = block_ours(m, at, part, any, all);
		if (next <= part)
			return next > start ? next - start : 0;
	}
	return at - start;
}

u64 oli_frames_ours(struct oli_machine *m, struct olio_pa pa, u64 len, u32 *any, u32 *all)
{
	u64 start = pa.v - OLI_PA_RAM, word, page;
	struct oli_frame *f;
	_Atomic u64 *at;

	if (start >= m->shm->desc.ram_size || !len)
		return 0;
	if (len > OLI_PAGE_SIZE - (start & (OLI_PAGE_SIZE - 1)))
		return run_ours(m, start, len, any, all);
	/* One frame: the same without the loops, for nearly all runs of scattered memory. */
	f = block_of(m, start, &at, &word);
	if (!f)
		return 0;
	page = atomic_load_explicit(&f[frame_index(start)].page, memory_order_relaxed);
	*any = *all = (u32)page & (OLI_PAGE_SIZE - 1);
	return page & OLI_FRAME_USED && is_still(at, word) ? len : 0;
}
