// SPDX-License-Identifier: MIT
/*
 * Extents: the ranges that are too large for a record, or at an address that
 * somebody chose. A hash table by start with linear probing, at most half full.
 *
 * Room is made before anything is changed, so that adding cannot fail; removing
 * moves later entries of the same run of probes into the gap, so that there are
 * no tombstones and the cost stays the same over time.
 */
#include <errno.h>
#include <string.h>

#include "iommu/iova_int.h"

#define FIRST_LG2 4

static u64 slots(const struct oli_iova_extents *x)
{
	return x->off ? 1ull << x->lg2 : 0;
}

static u64 home(const struct oli_iova_extents *x, u64 start)
{
	return start * 0x9e3779b97f4a7c15ull >> (64 - x->lg2);
}

static struct oli_iova_extent *table(const struct oli_iova *v)
{
	return oli_iova_at(v, v->s->extents.off);
}

struct oli_iova_extent *oli_iova_extent_find(const struct oli_iova *v, u64 start)
{
	const struct oli_iova_extents *x = &v->s->extents;
	struct oli_iova_extent *e = table(v);
	u64 i;

	if (!x->off)
		return NULL;
	for (i = home(x, start); e[i].kind; i = (i + 1) & (slots(x) - 1))
		if (e[i].start == start)
			return &e[i];
	return NULL;
}

void oli_iova_extent_add(struct oli_iova *v, u64 start, u64 nr, enum oli_iova_kind kind)
{
	struct oli_iova_extents *x = &v->s->extents;
	struct oli_iova_extent *e = table(v);
	u64 i = home(x, start);

	while (e[i].kind)
		i = (i + 1) & (slots(x) - 1);
	e[i] = (struct oli_iova_extent){start, nr, kind};
	x->used++;
}

void oli_iova_extent_remove(struct oli_iova *v, struct oli_iova_extent *gone)
{
	struct oli_iova_extents *x = &v->s->extents;
	struct oli_iova_extent *e = table(v);
	u64 mask = slots(x) - 1, gap = (u64)(gone - e), i = gap;

	for (;;) {
		i = (i + 1) & mask;
		if (!e[i].kind)
			break;
		/* It may move up unless its home lies after the gap. */
		if (((i - home(x, e[i].start)) & mask) >= ((i - gap) & mask)) {
			e[gap] = e[i];
			gap = i;
		}
	}
	e[gap].kind = 0;
	x->used--;
}

int oli_iova_extent_room(struct oli_iova *v)
{
	struct oli_iova_extents *x = &v->s->extents, old = *x;
	struct oli_iova_extent *e;
	u64 off, i;
	u32 lg2 = old.off ? old.lg2 + 1 : FIRST_LG2;
	int err;

	if (2 * (x->used + 1) <= slots(x))
		return 0;
	err = oli_iova_mem_alloc(v, sizeof(*e) << lg2, &off);
	if (err)
		return err;
	*x = (struct oli_iova_extents){.off = off, .lg2 = lg2};
	e = oli_iova_at(v, old.off);
	for (i = 0; i < slots(&old); i++)
		if (e[i].kind)
			oli_iova_extent_add(v, e[i].start, e[i].nr, (enum oli_iova_kind)e[i].kind);
	if (old.off)
		oli_iova_mem_free(v, old.off, sizeof(*e) << old.lg2);
	return 0;
}

void oli_iova_extents_fini(struct oli_iova *v)
{
	struct oli_iova_extents *x = &v->s->extents;

	if (x->off)
		oli_iova_mem_free(v, x->off, sizeof(struct oli_iova_extent) << x->lg2);
}
