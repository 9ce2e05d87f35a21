// SPDX-License-Identifier: MIT
/*
 * Is this our memory? The question that each map asks about each frame.
 *
 * The same look-up as oli_phys_find(), of which it is the part that maps need, over a run
 * of frames: the word of a block once, then one load a frame, all of them before the
 * first judgement, so that nothing in between is waited for. The word is read again
 * behind them, as there. For one frame, which is what nearly all runs of scattered memory
 * are, it is inline: oli_frames_are().
 *
 * Lengths may be any number; the last offset is made once it is known to be in RAM.
 */
#include "machine/phys_int.h"

void oli_ram_init(struct oli_machine *m, struct oli_ram *ram)
{
	ram->block = oli_phys_root(m)->block;
	ram->base = m->base;
	ram->size = m->shm->desc.ram_size;
	ram->owner = m->slot + 1u;
}

static inline u32 flags_of(const struct oli_frame *f)
{
	return (u32)atomic_load_explicit(&f->page, memory_order_relaxed);
}

/* Frames of one block, from the first offset to the last. */
static bool block_is(const struct oli_ram *ram, u64 first, u64 last, u32 care, u32 want)
{
	const _Atomic u64 *at = &ram->block[first >> OLI_BLOCK_SHIFT];
	u64 word = atomic_load_explicit(at, memory_order_acquire);
	const struct oli_frame *f, *end;
	u32 other = 0;

	if ((word & OLI_WORD_OWNER) != ram->owner)
		return false;
	f = oli_frame_at(ram, word, first);
	end = oli_frame_at(ram, word, last) + 1;
	for (; end - f >= 4; f += 4)
		other |= (flags_of(f) ^ want) | (flags_of(f + 1) ^ want) |
			 (flags_of(f + 2) ^ want) | (flags_of(f + 3) ^ want);
	for (; f < end; f++)
		other |= flags_of(f) ^ want;
	atomic_thread_fence(memory_order_acquire);
	return !(other & care) && atomic_load_explicit(at, memory_order_relaxed) == word;
}

bool oli_run_is(const struct oli_ram *ram, u64 off, u64 len, u32 care, u32 want)
{
	u64 last, part;

	/* Length 0 is too long, too. */
	if (len - 1 >= ram->size - off)
		return false;
	for (last = off + (len - 1);; off = part + 1) {
		part = off | (OLI_BLOCK_SIZE - 1);
		if (part > last)
			part = last;
		if (!block_is(ram, off, part, care, want))
			return false;
		if (part == last)
			return true;
	}
}
