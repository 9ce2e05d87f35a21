/* SPDX-License-Identifier: MIT */
/*
 * The IOVA allocator of one I/O address space: which addresses a device may be
 * handed. It maps nothing; tables and invalidation are their owners' business.
 *
 * Words
 *   granule    the smallest piece, a power of two; starts and sizes are multiples
 *   small      a size of up to 2^(cached_orders - 1) granules. It occupies a whole
 *              block, the next power of two of granules
 *   large      any other size. It occupies exactly its granules
 *   aligned    to the next power of two of the size, small or large, so that one
 *              huge table entry can cover what is big enough for one
 *   limit      the last address that the device can emit, inclusive
 *   fixed      at an address that the caller chose; occupies exactly its granules
 *   reserved   never to be handed out: a bridge's window, a hole, interrupts
 *   claimed    taken back from whoever it was handed to, but the device may still
 *              hold a translation: not handed out before it is given back
 *   magazine   a thread's own stack of free blocks of one size
 *
 *   first                                                          limit     last
 *     |  free  |reserved|     free     | claimed  | live | live |    |         |
 *     +--------+--------+--------------+----------+------+------+----+---------+
 *                          new addresses come from the top  <---
 *
 * Placement is top-down: the highest free aligned block below the limit; for
 * large sizes, if there is no such block, the highest aligned start with so many
 * free granules behind it. A small size takes the thread's last freed block
 * instead, if that is below the limit. Granule 0 is never handed out.
 *
 * When nothing is left, the free blocks of all threads' magazines are collected
 * before -ENOSPC is said, so what is free can be had.
 *
 * Errors: -EINVAL for arguments that no space could honour (0, not a multiple of
 * the granule, a range that wraps), -ERANGE for a range outside this space,
 * -EBUSY for one that is not free, -ENOSPC for no room below the limit, -ENOENT
 * for a range that is not exactly one that was handed out, -ENOMEM. A call that
 * fails has changed nothing. Freeing needs no memory.
 *
 * Context: all calls from any thread, except init and fini; they block on a
 * mutex at most, never from a signal handler, never in a forked child.
 */
#ifndef OLI_IOMMU_IOVA_H
#define OLI_IOMMU_IOVA_H

#include "base/types.h"
#include "olio/addr.h"

#define OLI_IOVA_MAX_CACHED_ORDERS 11 /* at 4 KiB granules: sizes of up to 4 MiB */

/*
 * CONTRACT: where the state lives. State refers to itself by offsets from @base
 * alone. alloc() yields @size zeroed bytes, aligned to 64, as a non-zero offset
 * that stays good until free(); 0 or -ENOMEM. free() gets the same @size.
 * Both are called with the space's lock held and must not call the space.
 */
struct oli_iova_mem {
	uintptr_t base;
	void *ctx;
	int (*alloc)(void *ctx, size_t size, u64 *off);
	void (*free)(void *ctx, u64 off, size_t size);
};

/* Memory of this process. */
extern const struct oli_iova_mem oli_iova_process_mem;

/* Try below 4 GiB first; give that up for good the first time it fails. */
#define OLI_IOVA_LOW_FIRST 1u

struct oli_iova_config {
	struct olio_iova_range range; /* granule-aligned on both sides */
	const struct oli_iova_mem *mem;
	u32 flags;
	u8 granule_shift; /* 8 to 30 */
	u8 cached_orders; /* sizes with magazines, 0 to OLI_IOVA_MAX_CACHED_ORDERS */
};

struct oli_iova_state;

/* How this process reaches a space. Embed it; the members are private. */
struct oli_iova {
	uintptr_t base;
	struct oli_iova_state *s;
	const struct oli_iova_mem *mem;
};

/* In granules. @free counts what is free in the tree, @cached in magazines. */
struct oli_iova_usage {
	u64 free, cached, live, claimed, reserved;
};

/* Owns: @config may go afterwards, @config->mem may not. Return: 0, -EINVAL or -ENOMEM. */
OLI_MUST_CHECK int oli_iova_init(struct oli_iova *v, const struct oli_iova_config *config);

/* Whatever is still handed out. Context: no other call is under way or follows. */
void oli_iova_fini(struct oli_iova *v);

/* Return: 0 and the start in *@out; -EINVAL, -ENOSPC or -ENOMEM. */
OLI_MUST_CHECK int oli_iova_alloc(struct oli_iova *v, u64 size, u64 limit, struct olio_iova *out);

/* Exactly [@start, @start + @size). Return: 0, -EINVAL, -ERANGE, -EBUSY or -ENOMEM. */
OLI_MUST_CHECK int oli_iova_alloc_fixed(struct oli_iova *v, struct olio_iova start, u64 size);

/* Return: 0, -EINVAL or -ENOENT: never handed out, another size, freed or claimed already. */
OLI_MUST_CHECK int oli_iova_free(struct oli_iova *v, struct olio_iova start, u64 size);

/* A claimed range. */
struct oli_iova_claim {
	struct olio_iova start;
	u64 size;
	u64 record; /* private */
};

/*
 * Free a range in two steps, for owners who take its entries out in between. Of those
 * who free or claim a range at the same time one succeeds. Neither step needs memory.
 * Return: 0 and *@out, which goes to oli_iova_give() once; -EINVAL or -ENOENT as for free.
 */
OLI_MUST_CHECK int oli_iova_claim(struct oli_iova *v, struct olio_iova start, u64 size,
				  struct oli_iova_claim *out);
void oli_iova_give(struct oli_iova *v, const struct oli_iova_claim *claim);

/*
 * Keep @r from being handed out. Granules that it touches count; parts outside
 * the space do no harm. oli_iova_release() takes the same range.
 * Return: 0; -EINVAL for a backward range; -EBUSY if a part is not free; -ENOMEM.
 */
OLI_MUST_CHECK int oli_iova_reserve(struct oli_iova *v, struct olio_iova_range r);

/* Return: 0, -EINVAL or -ENOENT. */
OLI_MUST_CHECK int oli_iova_release(struct oli_iova *v, struct olio_iova_range r);

/* Slow: both visit all state with all threads held off. */
void oli_iova_usage(struct oli_iova *v, struct oli_iova_usage *usage);
OLI_MUST_CHECK bool oli_iova_is_valid(struct oli_iova *v);

#endif
