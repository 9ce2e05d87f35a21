// SPDX-License-Identifier: MIT
/*
 * Ranges that occupy exactly their granules: large ones, fixed ones, reserved
 * windows. Each is an extent.
 *
 * A large size goes where a whole aligned block is free, which the tree answers
 * at once. Near a limit or beside a window there may be none while there is room
 * for the size itself: its first half is then a free block of half the order with
 * an even number, so those are tried from the top, one look-up each.
 *
 * Granule numbers are below 2^56, sums of two do not wrap.
 */
#include <errno.h>

#include "iommu/iova_int.h"

/* The part of {*@first, *@last} that is inside the space. Return: is there any? */
static bool clip(const struct oli_iova *v, u64 *first, u64 *last)
{
	if (*first < v->s->first)
		*first = v->s->first;
	if (*last > v->s->last)
		*last = v->s->last;
	return *first <= *last;
}

int oli_iova_range_take(struct oli_iova *v, u64 start, u64 nr, enum oli_iova_kind kind)
{
	u64 first = start, last = start + nr - 1;
	bool inside = clip(v, &first, &last);
	int err;

	if (oli_iova_extent_find(v, start))
		return -EBUSY;
	err = oli_iova_extent_room(v);
	if (err)
		return err;
	if (inside && !oli_iova_tree_is_free(v, first, last)) {
		oli_iova_collect(v);
		if (!oli_iova_tree_is_free(v, first, last))
			return -EBUSY;
	}
	if (inside)
		err = oli_iova_tree_take(v, first, last);
	if (!err)
		oli_iova_extent_add(v, start, nr, kind);
	return err;
}

int oli_iova_range_give(struct oli_iova *v, u64 start, u64 nr, enum oli_iova_kind kind)
{
	struct oli_iova_extent *e = oli_iova_extent_find(v, start);
	u64 first = start, last = start + nr - 1;

	if (!e || e->nr != nr || e->kind != kind)
		return -ENOENT;
	oli_iova_extent_remove(v, e);
	if (clip(v, &first, &last))
		oli_iova_tree_give(v, first, last);
	return 0;
}

/* The highest aligned start of @nr free granules, where no whole block is free. */
static bool find_exact(const struct oli_iova *v, u64 nr, u64 limit, u64 *start)
{
	u32 order = oli_iova_order(nr);
	u64 below = limit, b;

	if (nr == 1ull << order)
		return false;
	while (oli_iova_tree_find(v, order - 1, below, &b)) {
		if (!(b >> (order - 1) & 1) && limit - b >= nr - 1 &&
		    oli_iova_tree_is_free(v, b, b + nr - 1)) {
			*start = b;
			return true;
		}
		if (!b)
			break;
		below = b - 1;
	}
	return false;
}

int oli_iova_large_alloc(struct oli_iova *v, u64 nr, u64 limit, u64 *start)
{
	u64 first;
	int err;

	if (!oli_iova_tree_find(v, oli_iova_order(nr), limit, &first) &&
	    !find_exact(v, nr, limit, &first))
		return -ENOSPC;
	err = oli_iova_extent_room(v);
	if (!err)
		err = oli_iova_tree_take(v, first, first + nr - 1);
	if (err)
		return err;
	oli_iova_extent_add(v, first, nr, OLI_IOVA_LIVE);
	*start = first;
	return 0;
}

/* ---- calls ---- */

int oli_iova_alloc_fixed(struct oli_iova *v, struct olio_iova start, u64 size)
{
	u64 granule, nr;
	int err = oli_iova_check(v, start, size, &granule, &nr);

	if (err)
		return err;
	if (granule < v->s->first || nr - 1 > v->s->last || granule > v->s->last - (nr - 1))
		return -ERANGE;
	pthread_mutex_lock(&v->s->lock);
	oli_iova_prune(v);
	err = oli_iova_range_take(v, granule, nr, OLI_IOVA_LIVE);
	pthread_mutex_unlock(&v->s->lock);
	return err;
}

int oli_iova_reserve(struct oli_iova *v, struct olio_iova_range r)
{
	u64 first = r.start.v >> v->s->shift, last = r.last.v >> v->s->shift;
	int err;

	if (r.start.v > r.last.v)
		return -EINVAL;
	pthread_mutex_lock(&v->s->lock);
	oli_iova_prune(v);
	err = oli_iova_range_take(v, first, last - first + 1, OLI_IOVA_RESERVED);
	pthread_mutex_unlock(&v->s->lock);
	return err;
}

int oli_iova_release(struct oli_iova *v, struct olio_iova_range r)
{
	u64 first = r.start.v >> v->s->shift, last = r.last.v >> v->s->shift;
	int err;

	if (r.start.v > r.last.v)
		return -EINVAL;
	pthread_mutex_lock(&v->s->lock);
	err = oli_iova_range_give(v, first, last - first + 1, OLI_IOVA_RESERVED);
	pthread_mutex_unlock(&v->s->lock);
	return err;
}
