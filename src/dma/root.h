/* SPDX-License-Identifier: MIT */
/*
 * What src/dma keeps: in the machine's file, and in this process. Made by part.c; each
 * member is used by the file that is named beside it alone.
 */
#ifndef OLI_DMA_ROOT_H
#define OLI_DMA_ROOT_H

#include "dma/check.h"
#include "dma/dev.h"

/* In the file: zeroed when the machine is made. */
struct oli_dma_root {
	struct { /* bounce_pool.c */
		_Atomic u64 taken[OLI_SLOTS]; /* slots of 2 KiB that a process has taken */
		_Atomic u64 used[OLI_SLOTS];  /* of them, those that hold a copy now */
		_Atomic u64 high, failed;
	} bounce;
	struct { /* check_ring.c */
		_Atomic u64 next; /* number of the newest */
		struct oli_misuse kept[OLI_MISUSES_KEPT];
	} misuse;
};

struct oli_bounce_local; /* bounce_pool.c */
struct oli_check_local;	 /* check.c */

/* In this process: m->local[OLI_PART_DMA]. */
struct oli_dma_local {
	pthread_mutex_t lock;	/* the list, and @users of what is on it */
	struct olio_dev *devs;	/* by @next; a closed one stays, with no users */
	struct oli_bounce_local *bounce;
	struct oli_check_local *check;
};

static inline struct oli_dma_root *oli_dma_root(const struct oli_machine *m)
{
	return oli_part_root(m, OLI_PART_DMA);
}

static inline struct oli_dma_local *oli_dma_local(const struct oli_machine *m)
{
	return m->local[OLI_PART_DMA];
}

/* bounce_pool.c, and the last of these bounce_slot.c: @local->bounce. */
OLI_MUST_CHECK int oli_bounce_attach(struct oli_machine *m, struct oli_dma_local *local);
void oli_bounce_detach(struct oli_machine *m, struct oli_dma_local *local);
/* @slot's process is dead: its counts. Its memory went with the heap's and the low memory's owner tags. */
void oli_bounce_reap(struct oli_machine *m, u16 slot);
/* Free what is left of @dev's bounces, without copying back: it was closed. */
void oli_bounce_drop(struct olio_dev *dev);

/* coherent_alloc.c: free what is left of olio_dma_alloc(); the device is being closed. */
void oli_allocs_drop(struct olio_dev *dev);

/* check.c: @local->check. */
OLI_MUST_CHECK int oli_check_attach(struct oli_machine *m, struct oli_dma_local *local);
void oli_check_detach(struct oli_machine *m, struct oli_dma_local *local);

#endif
