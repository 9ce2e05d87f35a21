/* SPDX-License-Identifier: MIT */
/* A process's own blocks and frames: what block.c and frame.c share. Inside machine/ only. */
#ifndef OLI_MACHINE_FRAME_INT_H
#define OLI_MACHINE_FRAME_INT_H

#include <pthread.h>

#include "machine/phys_int.h"

struct block {
	u32 nr; /* in the machine */
	u32 nfree;
	u64 off; /* of its entries */
	struct oli_frame *frame;
	u16 free[OLI_BLOCK_FRAMES];
};

struct frames {
	pthread_mutex_t lock; /* guards all below; may be held over root->lock and the heap's */
	struct block **by_nr; /* nr_blocks of them; NULL: not ours */
	struct block **open;  /* room for nr_blocks */
	u32 nr_blocks, nr_open, nr_spare;
	u64 random;
	u64 last; /* pa that was given out last */
	bool linear;
};

/* A random number below @n. Nobody's secret, only disorder. */
u32 oli_frames_random(struct frames *fs, u32 n);

/* All of the following: @fs->lock is held. */

/* Take a block from the machine, all of it free. Return: 0, -ENOSPC, -ENOMEM. */
OLI_MUST_CHECK int oli_block_take(struct oli_machine *m, struct frames *fs, struct block **out);
void oli_block_give(struct oli_machine *m, struct frames *fs, struct block *b);
/* The list of open blocks. */
void oli_open_add(struct frames *fs, struct block *b);
void oli_open_remove(struct frames *fs, struct block *b);

#endif
