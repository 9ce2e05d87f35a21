/* SPDX-License-Identifier: MIT */
/* Physical memory: what phys.c, frame.c and low.c share. Inside machine/ only. */
#ifndef OLI_MACHINE_PHYS_INT_H
#define OLI_MACHINE_PHYS_INT_H

#include "machine/phys.h"

#define OLI_BLOCK_SIZE (1ull << OLI_BLOCK_SHIFT)
#define OLI_BLOCKS_MAX (OLI_PA_RAM_MAX >> OLI_BLOCK_SHIFT)
#define OLI_LOW_SHIFT 16
#define OLI_LOW_UNIT (1ull << OLI_LOW_SHIFT)
#define OLI_LOW_UNITS (OLI_PA_LOW_SIZE >> OLI_LOW_SHIFT)
#define OLI_BARS_MAX (OLI_NODES * OLI_BARS)

struct oli_phys_bar {
	u64 pa, len, off;
	u8 node, bar;
	u8 pad[6];
};

/*
 * The part's area. A word of @block or @low is the offset of what stands behind it
 * (entries of frames; the memory itself), which is whole pages, with the owner's slot
 * + 1 in its low bits; 0: free. One store takes or frees: nobody sees a half.
 */
struct oli_phys_root {
	struct oli_lock lock; /* for changes of words. A dead holder leaves nothing to repair */
	u32 nr_blocks;	      /* of the machine's RAM; fixed */
	u32 nr_bars;	      /* fixed */
	_Atomic u64 block[OLI_BLOCKS_MAX];
	_Atomic u64 low[OLI_LOW_UNITS];
	struct oli_phys_bar bar[OLI_BARS_MAX]; /* by address; fixed */
};

static inline struct oli_phys_root *oli_phys_root(const struct oli_machine *m)
{
	return oli_part_root(m, OLI_PART_PHYS);
}

static inline u64 oli_phys_word(u64 off, u16 slot)
{
	return off | (slot + 1u);
}

static inline u16 oli_word_slot(u64 word)
{
	return (u16)((word & OLI_WORD_OWNER) - 1);
}

static inline void *oli_word_ptr(const struct oli_machine *m, u64 word)
{
	return oli_ptr(m, word & ~OLI_WORD_OWNER);
}

/* Process-local state of frames. */
OLI_MUST_CHECK int oli_frames_attach(struct oli_machine *m, void **local);
void oli_frames_detach(void *local);

#endif
