// SPDX-License-Identifier: MIT
/*
 * The tree of free granules: a radix tree of 64 children a node whose nodes know
 * the largest free block of each child.
 *
 * A block of 2^k granules lies in one word of free bits of one node: of children
 * that are all free if k is at least the child's order, else further down. So to
 * find the highest block below a limit is one descent; only where the limit cuts
 * a child can the descent fail and go on to the next lower child, which no limit
 * cuts. Taking and giving visit the nodes on the two edges of the range.
 *
 * Nodes appear when a range splits a child that was all free, and are dropped by
 * iova_prune.c. A range has the nodes of its edges as long as it is taken, since
 * they are not all free; so giving back needs no memory. Nodes are published
 * with release: oli_iova_tree_record() follows them without the lock.
 *
 * Ranges are {first, last} in granules below 2^56 + 2^12: no sum wraps. What the
 * tree covers beyond the space is taken from the start.
 */
#include <errno.h>
#include <string.h>

#include "iommu/iova_int.h"

static_assert(OLI_IOVA_LEAF_SHIFT == 2 * 6, "a leaf has 64 words");

struct span {
	u64 first, last;
};

static u64 child_size(u32 level)
{
	return 1ull << (6 * level);
}

/* Code in best[] of a child that is all free. */
static u8 whole_code(u32 level)
{
	return (u8)(6 * level + 1);
}

/* Bits @lo to @hi, both in. */
static u64 bits(u32 lo, u32 hi)
{
	return (~0ull >> (63 - hi)) & (~0ull << lo);
}

/* Of the starts of aligned runs of 2^@k ones in @word those of runs of twice that length. */
static u64 runs_of_two(u64 word, u32 k)
{
	static const u64 starts[] = {0x5555555555555555, 0x1111111111111111, 0x0101010101010101,
				     0x0001000100010001, 0x0000000100000001, 0x0000000000000001};

	return word & word >> (1u << k) & starts[k];
}

/* The starts of the aligned runs of 2^@order ones in @word; @order <= 6. */
static u64 aligned_runs(u64 word, u32 order)
{
	u32 k;

	for (k = 0; k < order; k++)
		word = runs_of_two(word, k);
	return word;
}

/* 1 + the order of the largest aligned run of ones, 0 if there is no one. */
static u8 best_run(u64 word)
{
	u8 k;

	if (!word)
		return 0;
	for (k = 0; k < 6; k++) {
		word = runs_of_two(word, k);
		if (!word)
			break;
	}
	return k + 1;
}

u8 oli_iova_node_best(const struct oli_iova_node *n, u32 level)
{
	u8 best = 0;
	u32 i;

	if (n->whole)
		return (u8)(6 * level + best_run(n->whole));
	for (i = 0; i < 64; i++)
		best = n->best[i] > best ? n->best[i] : best;
	return best;
}

static u64 kid(const struct oli_iova_node *n, u32 i)
{
	return __atomic_load_n(&n->kid[i], __ATOMIC_ACQUIRE);
}

/* ---- find ---- */

struct want {
	const struct oli_iova *v;
	u32 order;
	u64 limit;
};

/* The highest start in @runs, children of @size granules from @base on, below the limit. */
static bool pick(const struct want *w, u64 runs, u64 base, u64 size, u64 *first)
{
	u64 room = w->limit - base, need = (1ull << w->order) - 1, top;

	if (w->limit < base || room < need)
		return false;
	top = (room - need) / size;
	if (top < 63)
		runs &= bits(0, (u32)top);
	if (!runs)
		return false;
	*first = base + (63 - (u64)__builtin_clzll(runs)) * size;
	return true;
}

/* In a child that is all free. */
static bool pick_whole(const struct want *w, u64 base, u64 size, u64 *first)
{
	u64 last = w->limit - base < size - 1 ? w->limit : base + size - 1;
	u64 block = 1ull << w->order;

	if (last - base < block - 1)
		return false;
	*first = (last + 1 - block) & ~(block - 1);
	return true;
}

/* The highest child of 0 to @hi whose best is above @order, or -1. Eight at a time. */
static int highest(const struct oli_iova_node *n, int hi, u32 order)
{
	const u64 ones = 0x0101010101010101;
	u64 eight, hit;
	int i;

	for (; hi >= 0 && (hi & 7) != 7; hi--)
		if (n->best[hi] > order)
			return hi;
	for (i = hi >> 3; hi >= 0 && i >= 0; i--) {
		memcpy(&eight, n->best + 8 * i, 8);
		hit = (eight + (0x7f - order) * ones) & (0x80 * ones);
		if (!hit)
			continue;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
		hit = __builtin_bswap64(hit);
#endif
		return 8 * i + (63 - __builtin_clzll(hit)) / 8;
	}
	return -1;
}

static bool find(const struct want *w, const struct oli_iova_node *n, u32 level, u64 base,
		 u64 *first)
{
	u64 size = child_size(level), at;
	bool found;
	int i;

	if (w->order >= 6 * level)
		return w->order < 6 * (level + 1) + 1 &&
		       pick(w, aligned_runs(n->whole, w->order - 6 * level), base, size, first);
	i = (w->limit - base) / size > 63 ? 63 : (int)((w->limit - base) / size);
	while ((i = highest(n, i, w->order)) >= 0) {
		at = base + (u64)i * size;
		if (level == 1)
			found = pick(w, aligned_runs(n->kid[i], w->order), at, 1, first);
		else if (n->kid[i])
			found = find(w, oli_iova_at(w->v, n->kid[i]), level - 1, at, first);
		else
			found = pick_whole(w, at, size, first);
		if (found)
			return true;
		i--;
	}
	return false;
}

bool oli_iova_tree_find(const struct oli_iova *v, u32 order, u64 limit, u64 *first)
{
	struct want w = {v, order, limit < v->s->last ? limit : v->s->last};

	return find(&w, oli_iova_at(v, v->s->root), v->s->levels, 0, first);
}

/* ---- look, take and give ---- */

/* The part of @r that is in child @i, relative to the node's first granule. */
static struct span part(struct span r, u32 i, u64 size)
{
	u64 base = i * size;

	r.first = r.first > base ? r.first - base : 0;
	r.last = r.last - base < size - 1 ? r.last - base : size - 1;
	return r;
}

static bool all_free(const struct oli_iova *v, const struct oli_iova_node *n, u32 level,
		     struct span r)
{
	u64 size = child_size(level), want;
	u32 i, hi = (u32)(r.last / size);
	struct span p;

	for (i = (u32)(r.first / size); i <= hi; i++) {
		if (n->whole >> i & 1)
			continue;
		p = part(r, i, size);
		if (!n->best[i] || p.last - p.first == size - 1)
			return false;
		want = level == 1 ? bits((u32)p.first, (u32)p.last) : 0;
		if (level == 1 ? (n->kid[i] & want) != want
			       : !all_free(v, oli_iova_at(v, n->kid[i]), level - 1, p))
			return false;
	}
	return true;
}

bool oli_iova_tree_is_free(const struct oli_iova *v, u64 first, u64 last)
{
	return all_free(v, oli_iova_at(v, v->s->root), v->s->levels, (struct span){first, last});
}

/* All nodes on the edges of @r are there. Returns the node's new best. */
static u8 set(struct oli_iova *v, struct oli_iova_node *n, u32 level, struct span r, bool free)
{
	u64 size = child_size(level), mask;
	u32 i, lo = (u32)(r.first / size), hi = (u32)(r.last / size);
	struct span p;

	for (i = lo; i <= hi; i++) {
		p = part(r, i, size);
		if (level == 1) {
			mask = bits((u32)p.first, (u32)p.last);
			n->kid[i] = free ? n->kid[i] | mask : n->kid[i] & ~mask;
			n->best[i] = best_run(n->kid[i]);
		} else if (p.last - p.first == size - 1) {
			n->best[i] = free ? whole_code(level) : 0;
		} else {
			n->best[i] = set(v, oli_iova_at(v, n->kid[i]), level - 1, p, free);
		}
		mask = 1ull << i;
		n->whole = n->best[i] == whole_code(level) ? n->whole | mask : n->whole & ~mask;
	}
	return oli_iova_node_best(n, level);
}

void oli_iova_tree_give(struct oli_iova *v, u64 first, u64 last)
{
	set(v, oli_iova_at(v, v->s->root), v->s->levels, (struct span){first, last}, true);
}

/* ---- nodes ---- */

static size_t node_bytes(u32 level)
{
	return level == 1 ? sizeof(struct oli_iova_leaf) : sizeof(struct oli_iova_node);
}

/* A node of @level, all free. */
static int make_node(struct oli_iova *v, u32 level, u64 *off)
{
	struct oli_iova_node *n;
	int err = oli_iova_mem_alloc(v, node_bytes(level), off);

	if (err)
		return err;
	n = oli_iova_at(v, *off);
	n->whole = ~0ull;
	memset(n->best, whole_code(level), sizeof(n->best));
	if (level == 1) {
		memset(n->kid, 0xff, sizeof(n->kid));
		v->s->leaves++;
	}
	return 0;
}

/* Make the nodes for the edge of the free range @r at @edge, @r.first or @r.last. */
static int split(struct oli_iova *v, struct span r, u64 edge)
{
	struct oli_iova_node *n = oli_iova_at(v, v->s->root);
	u32 level, i;
	u64 base = 0, off;
	int err;

	for (level = v->s->levels; level > 1; level--) {
		i = (u32)((edge - base) / child_size(level));
		base += i * child_size(level);
		if (r.first <= base && r.last >= base + child_size(level) - 1)
			return 0;
		if (!n->kid[i]) {
			err = make_node(v, level - 1, &off);
			if (err)
				return err;
			__atomic_store_n(&n->kid[i], off, __ATOMIC_RELEASE);
		}
		n = oli_iova_at(v, n->kid[i]);
	}
	return 0;
}

/* A node that was made in vain changes nothing: it says what was known without it. */
int oli_iova_tree_take(struct oli_iova *v, u64 first, u64 last)
{
	struct span r = {first, last};
	int err = split(v, r, first);

	if (!err)
		err = split(v, r, last);
	if (err)
		return err;
	set(v, oli_iova_at(v, v->s->root), v->s->levels, r, false);
	return 0;
}

_Atomic(u16) *oli_iova_tree_record(const struct oli_iova *v, u64 granule)
{
	u64 off = v->s->root;
	u32 level;

	for (level = v->s->levels; level > 1 && off; level--)
		off = kid(oli_iova_at(v, off), granule >> (6 * level) & 63);
	if (!off)
		return NULL;
	return &((struct oli_iova_leaf *)oli_iova_at(v, off))
			->record[granule & (OLI_IOVA_LEAF_SIZE - 1)];
}

int oli_iova_tree_init(struct oli_iova *v)
{
	struct oli_iova_state *s = v->s;
	u64 beyond;
	int err;

	for (s->levels = 1; s->last >> (6 * (s->levels + 1)); s->levels++)
		;
	beyond = child_size(s->levels + 1) - 1;
	err = make_node(v, s->levels, &s->root);
	if (!err && s->first)
		err = oli_iova_tree_take(v, 0, s->first - 1);
	if (!err && s->last < beyond)
		err = oli_iova_tree_take(v, s->last + 1, beyond);
	return err;
}

void oli_iova_tree_fini(struct oli_iova *v)
{
	if (v->s->root)
		oli_iova_tree_drop(v, v->s->root, v->s->levels);
}
