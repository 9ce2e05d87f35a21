// SPDX-License-Identifier: MIT
/*
 * Looking at a whole space: what is used, and whether the state is sound.
 *
 * Sound means: what each node says of its children is so; a block in a magazine
 * is taken and has no record; and the granules of records, extents, magazines
 * and of the tree's free bits add up to the space, so nothing is lost and nothing
 * is counted twice.
 */
#include "iommu/iova_int.h"

struct look {
	struct oli_iova_usage u;
	bool good;
};

static void leaf_records(const struct oli_iova_leaf *leaf, struct look *l)
{
	u64 size;
	u32 i;
	u16 now;

	for (i = 0; i < OLI_IOVA_LEAF_SIZE; i++) {
		now = atomic_load_explicit(&leaf->record[i], memory_order_relaxed);
		if (!now)
			continue;
		size = 1ull << oli_iova_order(now & ~OLI_IOVA_CLAIM_MARK);
		*(now & OLI_IOVA_CLAIM_MARK ? &l->u.claimed : &l->u.live) += size;
		l->good &= !(leaf->node.kid[i / 64] >> (i % 64) & 1);
	}
}

/* Is all below @n free, so that an extent may cover it? */
static bool untouched(const struct oli_iova_node *n)
{
	return n->whole == ~0ull;
}

static void look_node(const struct oli_iova *v, const struct oli_iova_node *n, u32 level,
		      struct look *l)
{
	const struct oli_iova_node *kid;
	bool whole;
	u32 i;

	if (level == 1)
		leaf_records((const struct oli_iova_leaf *)n, l);
	for (i = 0; i < 64; i++) {
		whole = n->whole >> i & 1;
		kid = level > 1 && n->kid[i] ? oli_iova_at(v, n->kid[i]) : NULL;
		l->good &= whole == (n->best[i] == 6 * level + 1);
		if (level == 1) {
			l->u.free += (u64)__builtin_popcountll(n->kid[i]);
			l->good &= !n->best[i] == !n->kid[i];
		} else if (kid && !untouched(kid)) {
			l->good &= oli_iova_node_best(kid, level - 1) == n->best[i];
			look_node(v, kid, level - 1, l);
		} else {
			l->u.free += whole ? 1ull << (6 * level) : 0;
			l->good &= whole || !n->best[i];
		}
	}
}

static void look_slot(const struct oli_iova *v, const struct oli_iova_slot *slot, struct look *l)
{
	u64 granule;
	u32 order, i;

	for (order = 0; order < OLI_IOVA_MAX_CACHED_ORDERS; order++) {
		l->u.cached += (u64)oli_iova_mag_nr(slot, order) << order;
		l->good &= slot->top[order] >= oli_iova_bottom[order];
		l->good &= slot->top[order] <= oli_iova_bottom[order + 1];
		for (i = oli_iova_bottom[order]; i < slot->top[order]; i++) {
			granule = slot->block[i].start >> v->s->shift;
			l->good &= !*oli_iova_tree_record(v, granule);
			l->good &= !oli_iova_tree_is_free(v, granule, granule);
			l->good &= !(granule & ((1ull << order) - 1));
		}
	}
}

static void look_extents(const struct oli_iova *v, struct look *l)
{
	const struct oli_iova_extents *x = &v->s->extents;
	const struct oli_iova_extent *e = oli_iova_at(v, x->off);
	u64 i, used = 0, first, last, nr;

	for (i = 0; x->off && i >> x->lg2 == 0; i++) {
		if (!e[i].kind)
			continue;
		used++;
		first = e[i].start > v->s->first ? e[i].start : v->s->first;
		last = e[i].start + e[i].nr - 1;
		last = last < v->s->last ? last : v->s->last;
		nr = first <= last ? last - first + 1 : 0;
		if (e[i].kind == OLI_IOVA_LIVE)
			l->u.live += nr;
		else
			*(e[i].kind == OLI_IOVA_CLAIMED ? &l->u.claimed : &l->u.reserved) += nr;
		l->good &= oli_iova_extent_find(v, e[i].start) == &e[i];
	}
	l->good &= used == x->used;
}

static struct look look(struct oli_iova *v)
{
	struct oli_iova_state *s = v->s;
	struct look l = {.good = true};
	u32 i;

	pthread_mutex_lock(&s->lock);
	oli_iova_stop(v);
	look_node(v, oli_iova_at(v, s->root), s->levels, &l);
	for (i = 1; i <= OLI_IOVA_THREADS; i++)
		if (s->slot[i])
			look_slot(v, oli_iova_at(v, s->slot[i]), &l);
	look_extents(v, &l);
	oli_iova_resume(v);
	pthread_mutex_unlock(&s->lock);
	l.good &= l.u.free + l.u.cached + l.u.live + l.u.claimed + l.u.reserved ==
		  s->last - s->first + 1;
	return l;
}

void oli_iova_usage(struct oli_iova *v, struct oli_iova_usage *usage)
{
	*usage = look(v).u;
}

bool oli_iova_is_valid(struct oli_iova *v)
{
	return look(v).good;
}
