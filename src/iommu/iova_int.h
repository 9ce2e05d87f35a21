/* SPDX-License-Identifier: MIT */
/*
 * The state of an I/O address space, shared by the iova_*.c files.
 *
 * Granules are numbered by address >> shift, so no number is above 2^56 and sums
 * of two do not wrap. They are counted in three places:
 *
 *   tree      says of every granule whether it is taken
 *   records   in the tree's leaves, one a granule: the size of the small range
 *             that starts there, live or claimed; 0 for anything else
 *   extents   large, fixed and reserved ranges, by start
 *
 * A block in a magazine is taken in the tree and has the record 0. Each taken
 * granule of the space belongs to exactly one record's block, extent or block in
 * a magazine.
 *
 * Who may touch what:
 *   record    whoever can turn it from a size to 0, or to a size that is marked as
 *             claimed, with compare-and-exchange frees that range; from there to
 *             0, the claimer; from 0 to a size, the holder of the block
 *   slot      its thread while busy is set and gate is not GATE_LOCK, else the
 *             holder of the lock. See iova_slot.c
 *   the rest  the holder of the lock. Links between nodes are read without it
 */
#ifndef OLI_IOMMU_IOVA_INT_H
#define OLI_IOMMU_IOVA_INT_H

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/types.h"
#include "iommu/iova.h"

#define OLI_IOVA_LEAF_SHIFT 12 /* granules of a leaf */
#define OLI_IOVA_LEAF_SIZE  (1u << OLI_IOVA_LEAF_SHIFT)
#define OLI_IOVA_THREADS    64 /* that have magazines at the same time */
#define OLI_IOVA_NEAR	    256
#define OLI_IOVA_CLAIM_MARK 0x8000 /* in a record */

/* ---- the tree ---- */

/*
 * A node of level l has 64 children of 2^(6 l) granules. Of each child: is all
 * of it free (a bit in @whole), and the order of its largest free aligned block
 * plus 1, 0 for none (@best). @kid is the child's offset; 0 where no part of it
 * was ever split off. In a leaf, level 1, it is a bitmap of the free granules.
 *
 * An extent that covers a child takes it here and leaves the child as it is,
 * all free: nobody looks into a child with neither a bit nor a best.
 */
struct oli_iova_node {
	u64 whole;
	u8 best[64];
	u64 kid[64];
};

struct oli_iova_leaf {
	struct oli_iova_node node;
	_Atomic(u16) record[OLI_IOVA_LEAF_SIZE];
};

/* ---- threads ---- */

enum oli_iova_gate {
	OLI_IOVA_GATE_ALONE, /* no other thread uses the space: records need no atomic exchange */
	OLI_IOVA_GATE_SHARED,
	OLI_IOVA_GATE_LOCK, /* take the lock */
};

/* The leaves that the thread looked at last: where their records are. */
struct oli_iova_near {
	u64 leaf; /* its number, or OLI_IOVA_NO_LEAF */
	u64 records; /* the offset of the first */
};

#define OLI_IOVA_NO_LEAF UINT64_MAX

/*
 * Room of magazines: for small blocks as many as an owner may give back at a time when he
 * saves flushes (S5), and some to go on with. Large ones would hide too much of a space.
 */
#define OLI_IOVA_WIDE_ORDERS 4
#define OLI_IOVA_WIDE	     320
#define OLI_IOVA_NARROW	     64
#define OLI_IOVA_BLOCKS                                                                            \
	(OLI_IOVA_WIDE_ORDERS * OLI_IOVA_WIDE +                                                    \
	 (OLI_IOVA_MAX_CACHED_ORDERS - OLI_IOVA_WIDE_ORDERS) * OLI_IOVA_NARROW)

/* A block in a magazine: its address, and the offset of its record. */
struct oli_iova_block {
	u64 start, record;
};

/* @block are the magazines, order by order: that of order k begins at its bottom, @top[k] is free. */
struct oli_iova_slot {
	_Alignas(64) _Atomic(u32) busy;
	_Atomic(u32) gate;
	u32 top[OLI_IOVA_MAX_CACHED_ORDERS];
	struct oli_iova_block block[OLI_IOVA_BLOCKS];
	struct oli_iova_near near[OLI_IOVA_NEAR];
};

/* Where magazines begin, and the end of the last. */
extern const u16 oli_iova_bottom[OLI_IOVA_MAX_CACHED_ORDERS + 1];

/* How many blocks a magazine holds. */
static inline u32 oli_iova_mag_nr(const struct oli_iova_slot *slot, u32 order)
{
	return slot->top[order] - oli_iova_bottom[order];
}

/* For how many more there is room. */
static inline u32 oli_iova_mag_room(const struct oli_iova_slot *slot, u32 order)
{
	return oli_iova_bottom[order + 1] - slot->top[order];
}

/* ---- extents ---- */

enum oli_iova_kind { OLI_IOVA_LIVE = 1, OLI_IOVA_CLAIMED, OLI_IOVA_RESERVED };

struct oli_iova_extent {
	u64 start; /* a granule */
	u64 nr;
	u32 kind; /* 0: nothing here */
};

/* A hash table with linear probing; 2^lg2 entries at @off, at most half in use. */
struct oli_iova_extents {
	u64 off, used;
	u32 lg2;
};

struct oli_iova_state {
	/* constant */
	u64 first, last; /* granules that can be handed out */
	u64 root;
	u64 mask; /* of the address bits below a granule */
	u64 small; /* largest small size, in granules; 0 if there is none */
	u32 shift;
	u32 levels;
	bool fast; /* the gates work on this host */

	_Atomic(u64) slot[OLI_IOVA_THREADS + 2]; /* offsets, by thread number */

	_Alignas(64) pthread_mutex_t lock; /* guards what follows */
	bool shared; /* a second thread has come */
	u64 soft_limit; /* an address: the end of "low first", or the top */
	u64 leaves, prune_at;
	struct oli_iova_extents extents;
};

static inline void *oli_iova_at(const struct oli_iova *v, u64 off)
{
	return (void *)(v->base + (uintptr_t)off);
}

static inline u64 oli_iova_off(const struct oli_iova *v, const void *p)
{
	return (uintptr_t)p - v->base;
}

/* The order of the smallest block with @nr granules; @nr > 0. */
static inline u32 oli_iova_order(u64 nr)
{
	return nr == 1 ? 0 : 64 - (u32)__builtin_clzll(nr - 1);
}

/* iova_space.c: the space's memory, with the failure injection of base/fault.h. */
OLI_MUST_CHECK int oli_iova_mem_alloc(struct oli_iova *v, size_t size, u64 *off);
void oli_iova_mem_free(struct oli_iova *v, u64 off, size_t size);

/* iova_tree.c. Ranges are granules {first, last}. */
OLI_MUST_CHECK int oli_iova_tree_init(struct oli_iova *v);
void oli_iova_tree_fini(struct oli_iova *v);
/* The highest free block of 2^@order granules with no granule above @limit. */
OLI_MUST_CHECK bool oli_iova_tree_find(const struct oli_iova *v, u32 order, u64 limit, u64 *first);
OLI_MUST_CHECK bool oli_iova_tree_is_free(const struct oli_iova *v, u64 first, u64 last);
/* Context of the rest: the lock. Taking a free range needs memory, giving it back none. */
OLI_MUST_CHECK int oli_iova_tree_take(struct oli_iova *v, u64 first, u64 last);
void oli_iova_tree_give(struct oli_iova *v, u64 first, u64 last);
/* The record of @granule, NULL if there is no leaf. Context: lock, or busy. */
_Atomic(u16) *oli_iova_tree_record(const struct oli_iova *v, u64 granule);

/* What the parent says of @n in best[]. */
u8 oli_iova_node_best(const struct oli_iova_node *n, u32 level);

/* iova_prune.c: drop what is all free. Context: the lock. */
void oli_iova_prune(struct oli_iova *v);
/* Free what hangs below @n, a node of @level, and @n itself. */
void oli_iova_tree_drop(struct oli_iova *v, u64 off, u32 level);

/* iova_slot.c. Context: the lock, but for the first. */
extern __thread u32 oli_iova_thread; /* 0 before the first oli_iova_slot() */
bool oli_iova_slots_work(void);
/* The thread's slot, or NULL if it has none; other threads know that it came. */
struct oli_iova_slot *oli_iova_slot(struct oli_iova *v);
void oli_iova_stop(struct oli_iova *v);
void oli_iova_resume(struct oli_iova *v);
/* Everything in magazines back into the tree. */
void oli_iova_collect(struct oli_iova *v);
/* A block without a record: into the magazine of @slot, or into the tree. */
void oli_iova_put(struct oli_iova *v, struct oli_iova_slot *slot, u64 granule, u32 order);
void oli_iova_slots_fini(struct oli_iova *v);

/* iova_extent.c */
struct oli_iova_extent *oli_iova_extent_find(const struct oli_iova *v, u64 start);
OLI_MUST_CHECK int oli_iova_extent_room(struct oli_iova *v); /* for one more */
void oli_iova_extent_add(struct oli_iova *v, u64 start, u64 nr, enum oli_iova_kind kind);
void oli_iova_extent_remove(struct oli_iova *v, struct oli_iova_extent *e);
void oli_iova_extents_fini(struct oli_iova *v);

/* iova_range.c: any exact range. Context: the lock. */
OLI_MUST_CHECK int oli_iova_range_take(struct oli_iova *v, u64 start, u64 nr,
				       enum oli_iova_kind kind);
OLI_MUST_CHECK int oli_iova_large_alloc(struct oli_iova *v, u64 nr, u64 limit, u64 *start);
/* -ENOENT unless {@start, @nr} is an extent of @kind. */
OLI_MUST_CHECK int oli_iova_range_give(struct oli_iova *v, u64 start, u64 nr,
				       enum oli_iova_kind kind);

/* iova_locked.c. Context: the lock, but for oli_iova_check(). */
OLI_MUST_CHECK int oli_iova_alloc_locked(struct oli_iova *v, u64 nr, u64 limit, u64 *first);
OLI_MUST_CHECK int oli_iova_free_locked(struct oli_iova *v, u64 granule, u64 nr);
OLI_MUST_CHECK int oli_iova_claim_locked(struct oli_iova *v, u64 granule, u64 nr, u64 *record);
void oli_iova_give_locked(struct oli_iova *v, u64 granule, u64 nr, u64 record);
/* Is (@start, @size) well-formed? *@granule is its start, *@nr its size in granules. */
OLI_MUST_CHECK int oli_iova_check(const struct oli_iova *v, struct olio_iova start, u64 size,
				  u64 *granule, u64 *nr);

#endif
