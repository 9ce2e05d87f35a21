// SPDX-License-Identifier: MIT
/*
 * The IOVA allocator under the lock: what the fast way of iova.c cannot do.
 *
 * A small size comes from the thread's magazine, if a block in it is below the
 * limit, else from the tree, and then a few more blocks with it, so that the next
 * calls find some. A large size is an extent. When there is no room, first the
 * wish to stay below 4 GiB is given up, then all magazines are emptied.
 *
 * Freeing needs no memory: the leaf of a record is there as long as the range is.
 * Addresses may be at the very top and are compared by differences; granule
 * numbers are below 2^56.
 */
#include <errno.h>
#include <string.h>

#include "iommu/iova_int.h"

#define REFILL 16 /* blocks, at most, that a magazine gets beyond the one asked for */

int oli_iova_check(const struct oli_iova *v, struct olio_iova start, u64 size, u64 *granule,
		   u64 *nr)
{
	if (!size || ((size | start.v) & v->s->mask) || size - 1 > UINT64_MAX - start.v)
		return -EINVAL;
	*granule = start.v >> v->s->shift;
	*nr = size >> v->s->shift;
	return 0;
}

/* The last granule of the space that lies below the address @limit. */
static bool limit_granule(const struct oli_iova_state *s, u64 limit, u64 *last)
{
	u64 granule = limit >> s->shift;

	if ((limit & s->mask) != s->mask) {
		if (!granule)
			return false;
		granule--;
	}
	*last = granule < s->last ? granule : s->last;
	return *last >= s->first;
}

static bool fits(u64 start, u64 size, u64 limit)
{
	return start <= limit && size - 1 <= limit - start;
}

/*
 * Turn the record of the small range (@granule, @nr) from live to @to.
 * Return: it, or NULL if there is none.
 */
static _Atomic(u16) *turn(const struct oli_iova *v, u64 granule, u64 nr, u16 to)
{
	_Atomic(u16) *record;
	u16 from = (u16)nr;

	if (nr > v->s->small || granule > v->s->last)
		return NULL;
	record = oli_iova_tree_record(v, granule);
	return record && atomic_compare_exchange_strong(record, &from, to) ? record : NULL;
}

static int take_block(struct oli_iova *v, u32 order, u64 last, u64 *first)
{
	u64 at;
	int err;

	if (!oli_iova_tree_find(v, order, last, &at))
		return -ENOSPC;
	err = oli_iova_tree_take(v, at, at + (1ull << order) - 1);
	if (!err)
		*first = at;
	return err;
}

/* Put a few more blocks into the magazine, the highest on top. */
static void refill(struct oli_iova *v, struct oli_iova_slot *slot, u32 order, u64 last)
{
	u32 want = order > 1 ? 4 * REFILL >> order : REFILL, nr;
	u64 first[REFILL];

	if (want > oli_iova_mag_room(slot, order))
		return;
	for (nr = 0; nr < want && nr < REFILL; nr++)
		if (take_block(v, order, last, &first[nr]))
			break;
	while (nr)
		oli_iova_put(v, slot, first[--nr], order);
}

/* The topmost block of the magazine that is below @limit. */
static bool pick(const struct oli_iova *v, struct oli_iova_slot *slot, u64 nr, u64 limit,
		 u64 *first)
{
	u32 order = oli_iova_order(nr), i;
	struct oli_iova_block *block = slot->block;

	for (i = slot->top[order]; i-- > oli_iova_bottom[order];) {
		if (!fits(block[i].start, nr << v->s->shift, limit))
			continue;
		*first = block[i].start >> v->s->shift;
		slot->top[order]--;
		memmove(block + i, block + i + 1, (slot->top[order] - i) * sizeof(*block));
		return true;
	}
	return false;
}

static int small_alloc(struct oli_iova *v, struct oli_iova_slot *slot, u64 nr, u64 limit,
		       u64 *first)
{
	u32 order = oli_iova_order(nr);
	u64 last;
	int err = 0;

	if (!slot || !pick(v, slot, nr, limit, first)) {
		if (!limit_granule(v->s, limit, &last))
			return -ENOSPC;
		err = take_block(v, order, last, first);
		if (!err && slot)
			refill(v, slot, order, last);
	}
	if (!err)
		atomic_store_explicit(oli_iova_tree_record(v, *first), (u16)nr,
				      memory_order_relaxed);
	return err;
}

static int alloc_below(struct oli_iova *v, struct oli_iova_slot *slot, u64 nr, u64 limit,
		       u64 *first)
{
	u64 last;

	if (nr <= v->s->small)
		return small_alloc(v, slot, nr, limit, first);
	if (!limit_granule(v->s, limit, &last))
		return -ENOSPC;
	return oli_iova_large_alloc(v, nr, last, first);
}

int oli_iova_alloc_locked(struct oli_iova *v, u64 nr, u64 limit, u64 *first)
{
	struct oli_iova_slot *slot = oli_iova_slot(v);
	u64 soft = v->s->soft_limit;
	int err;

	oli_iova_prune(v);
	err = alloc_below(v, slot, nr, soft < limit ? soft : limit, first);
	if (err == -ENOSPC && soft < limit) {
		v->s->soft_limit = UINT64_MAX;
		err = alloc_below(v, slot, nr, limit, first);
	}
	if (err == -ENOSPC) {
		oli_iova_collect(v);
		err = alloc_below(v, slot, nr, limit, first);
	}
	return err;
}

int oli_iova_free_locked(struct oli_iova *v, u64 granule, u64 nr)
{
	struct oli_iova_slot *slot = oli_iova_slot(v);

	if (!turn(v, granule, nr, 0))
		return oli_iova_range_give(v, granule, nr, OLI_IOVA_LIVE);
	oli_iova_put(v, slot, granule, oli_iova_order(nr));
	return 0;
}

int oli_iova_claim_locked(struct oli_iova *v, u64 granule, u64 nr, u64 *record)
{
	struct oli_iova_extent *e;
	_Atomic(u16) *turned;

	/* The slot is wanted for its side effect: records may have to be exchanged now. */
	oli_iova_slot(v);
	turned = turn(v, granule, nr, (u16)(nr | OLI_IOVA_CLAIM_MARK));
	if (turned) {
		*record = oli_iova_off(v, turned);
		return 0;
	}
	e = oli_iova_extent_find(v, granule);
	if (!e || e->nr != nr || e->kind != OLI_IOVA_LIVE)
		return -ENOENT;
	e->kind = OLI_IOVA_CLAIMED;
	*record = 0;
	return 0;
}

void oli_iova_give_locked(struct oli_iova *v, u64 granule, u64 nr, u64 record)
{
	struct oli_iova_slot *slot = oli_iova_slot(v);
	int err = 0;

	if (!record) {
		err = oli_iova_range_give(v, granule, nr, OLI_IOVA_CLAIMED);
		assert(!err);
		return;
	}
	atomic_store_explicit((_Atomic(u16) *)oli_iova_at(v, record), 0, memory_order_relaxed);
	oli_iova_put(v, slot, granule, oli_iova_order(nr));
}
