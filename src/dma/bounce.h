/* SPDX-License-Identifier: MIT */
/*
 * Bounce slots: between segments (bounce_pool.c), slots (bounce_slot.c) and who copies
 * (bounce.c).
 *
 *   segment  128 slots of 2 KiB, contiguous low memory of this process, aligned to 64 KiB
 *            at least: a copy keeps address bits as long as granules are not larger
 *   area     the segments of a few threads, with a lock
 *   copy     what lies in a group of slots. It begins @skew bytes into the first
 *
 *        first                                     first + n
 *          |  skew  |        len         |  padding  |
 *          +--------+--------------------+-----------+
 */
#ifndef OLI_DMA_BOUNCE_H
#define OLI_DMA_BOUNCE_H

#include "dma/root.h"

#define OLI_BOUNCE_SHIFT 11
#define OLI_BOUNCE_SLOT	 (1u << OLI_BOUNCE_SHIFT)
#define OLI_BOUNCE_SLOTS 128u /* of a segment */
#define OLI_BOUNCE_BYTES ((u64)OLI_BOUNCE_SLOTS << OLI_BOUNCE_SHIFT)

/* Low memory is given out in units of this size. */
#define OLI_BOUNCE_CHUNK_SHIFT 16
#define OLI_BOUNCE_CHUNKS      (OLI_PA_LOW_SIZE >> OLI_BOUNCE_CHUNK_SHIFT)
#define OLI_BOUNCE_AREAS       64u
/* Two that reach for the last segment at once both step back, and try again. */
#define OLI_BOUNCE_TRIES 16

typedef unsigned __int128 oli_bounce_bits; /* one for each slot of a segment */
static_assert(sizeof(oli_bounce_bits) * 8 == OLI_BOUNCE_SLOTS, "a segment's slots");

struct oli_bounce_seg {
	struct oli_bounce_area *area;
	struct oli_bounce_seg *next;
	u64 pa;
	u8 *cpu;
	oli_bounce_bits used;
	u8 first[OLI_BOUNCE_SLOTS]; /* of the copy that has the slot */
	struct {
		struct olio_dev *dev; /* NULL: no copy begins here */
		u64 skew, len, orig;
		u32 n;
	} copy[OLI_BOUNCE_SLOTS];
};

struct oli_bounce_area {
	_Alignas(64) pthread_mutex_t lock;
	struct oli_bounce_seg *segs, *spare; /* spare: without memory */
	u32 empty; /* segments without a used slot */
};

struct oli_bounce_local {
	_Atomic(struct oli_bounce_seg *) chunk[OLI_BOUNCE_CHUNKS]; /* by 64 KiB of low memory */
	_Atomic bool warned;
	u32 nr_areas; /* power of two */
	struct oli_bounce_area area[OLI_BOUNCE_AREAS];
};

struct oli_bounce {
	struct oli_bounce_seg *seg;
	u32 first, n;
	u64 start; /* of the first slot */
	u8 *cpu;
	u64 skew, len;
	u64 orig;
};

static inline u64 oli_bounce_pa(const struct oli_bounce *b)
{
	return b->start + b->skew;
}

/* ---- bounce_pool.c ---- */

/* Can @dev address all of [@pa, @pa + @len)? Through an IOMMU it can address anything. */
bool oli_bounce_reachable(const struct olio_dev *dev, u64 pa, u64 len);
/* Is a segment left that nobody has taken? */
bool oli_bounce_can_claim(struct oli_machine *m);
/* One more segment for @area, whose lock is held: empty, its first. Return: NONE, or why not. */
enum olio_reason oli_bounce_grow(struct olio_dev *dev, struct oli_bounce_area *area);
/* @seg has become empty, and may be given back. Its area's lock is held. */
void oli_bounce_shrink(struct oli_machine *m, struct oli_bounce_seg *seg);
/* @n more slots are in use. */
void oli_bounce_count(struct oli_machine *m, u32 n);

/* ---- bounce_slot.c ---- */

/*
 * Slots for @len bytes, @skew bytes in, with whole granules of @dev: the sum is at most a
 * segment. What is in them is somebody's. Return: 0; refusals bounce-full, mask, no-memory.
 */
OLI_MUST_CHECK int oli_bounce_take(struct olio_dev *dev, u64 orig, u64 skew, u64 len,
				   struct oli_bounce *out);
/* The copy that owns @pa, padding included. */
bool oli_bounce_at(struct oli_machine *m, u64 pa, struct oli_bounce *out);
/* Take the copy out, if it is @dev's and begins at @pa with this length; the slots stay taken. */
bool oli_bounce_retire(struct olio_dev *dev, u64 pa, u64 len, struct oli_bounce *out);
/* Give the slots of a retired copy back. */
void oli_bounce_give(struct olio_dev *dev, const struct oli_bounce *b);

#endif
