// SPDX-License-Identifier: MIT
/*
 * Lists: any runs, in any order, in one call (A2, B6, B7, B9).
 *
 * In six steps, of which only the first knows kinds of memory, and each of which is
 * undone by the same code that takes a whole map down:
 *
 *   decide   each run once; it is cut to pieces, and nothing is changed yet
 *   copy     pieces that must be bounced are
 *   address  by offset or bus address; or chains of pieces get a range of IOVAs each
 *   map      into these ranges, and one sync a chain
 *   segment  what meets is one, as far as the device's limits allow
 *   own      the other pieces are cleaned; it cannot fail any more
 *
 *   chain    pieces that meet on granules: one range, and one segment. If there is no
 *            room for a chain it is cut in half, down to one piece
 *
 *   runs     |---RAM---|---RAM---|--BAR--|==private==|-RAM-
 *   pieces   |d|---d---|---d-----|--bus--|=b==|==b===|--d--
 *   chains   |         1         |       |        2
 *
 * The sum of all lengths is at most 2^62, so an offset in a map never wraps; neither
 * does a chain rounded up to granules.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "dma/list.h"
#include "dma/place.h"

#define MOST_BYTES   (1ull << 62)
#define MOST_AT_ONCE 64 /* pieces that are mapped in one go */

/* *@array is full, or for @want of @size bytes. Return: 0, no-memory. */
static __attribute__((noinline)) int grow_to(void *array, size_t want, size_t *room, size_t size)
{
	void *p, *old;

	memcpy(&old, array, sizeof(old));
	p = OLI_FAULT() ? NULL : reallocarray(old, want, size);
	if (!p)
		return oli_refuse(OLIO_REASON_NO_MEMORY, "a list of %zu pieces", *room);
	memcpy(array, &p, sizeof(p));
	*room = want;
	return 0;
}

/* Room for one more of @size bytes in *@array, which has @n. Return: 0, no-memory. */
static inline int grow(void *array, size_t n, size_t *room, size_t size)
{
	return n < *room ? 0 : grow_to(array, *room ? *room * 2 : 8, room, size);
}

/* ---- decide ---- */

static enum olio_piece_how how_of(enum oli_how how, bool bounced)
{
	if (bounced)
		return OLIO_PIECE_BOUNCED;
	if (how == OLI_HOW_P2P_BUS)
		return OLIO_PIECE_P2P_BUS;
	return how == OLI_HOW_P2P_HOST ? OLIO_PIECE_P2P_HOST : OLIO_PIECE_DIRECT;
}

static inline int add_piece(struct olio_map *map, struct olio_pa pa, u64 len, u32 kind,
			    enum olio_piece_how how)
{
	u64 mask = map->dev->granule_mask;
	bool joins = map->open && !(pa.v & mask) && how != OLIO_PIECE_P2P_BUS;
	int err = grow(&map->piece, map->npieces, &map->room, sizeof(*map->piece));

	if (err)
		return err;
	if (len > MOST_BYTES - map->len)
		return oli_refuse(OLIO_REASON_OVERFLOW, "the lengths of %zu pieces", map->npieces);
	map->piece[map->npieces++] = (struct oli_piece){.off = map->len,
							.len = len,
							.pa = pa,
							.at = pa,
							.kind = (u8)kind,
							.how = (u8)how,
							.joins = joins};
	map->len += len;
	map->open = !((pa.v + len) & mask) && how != OLIO_PIECE_P2P_BUS;
	return 0;
}

/* All that is not the usual run; or the refusal. */
static __attribute__((noinline)) int add_any(struct olio_map *map, const struct olio_run *run)
{
	struct oli_cut cut;
	struct olio_pa pa;
	enum oli_how how;
	u64 len;
	int err = oli_decide_any(map->dev, run, map->dir, map->attrs, &how);

	if (err)
		return err;
	for (cut = oli_cut(map->dev, run, how); cut.left && !err;) {
		pa = cut.pa;
		len = oli_cut_next(&cut);
		err = add_piece(map, pa, len, run->kind, how_of(how, cut.bounced));
	}
	return err;
}

static int decide(struct olio_map *map, const struct olio_run *runs, size_t n)
{
	int err;

	if (!n)
		return oli_refuse(OLIO_REASON_BAD_ARGUMENT, "an empty list");
	err = grow_to(&map->piece, n, &map->room, sizeof(*map->piece));
	for (const struct olio_run *run = runs; !err && run < runs + n; run++) {
		if (__builtin_expect(oli_goes_direct(map->dev, run, map->dir, map->attrs), 1))
			err = add_piece(map, run->pa, run->len, run->kind, OLIO_PIECE_DIRECT);
		else
			err = add_any(map, run);
	}
	return err;
}

/* ---- copy ---- */

static bool owned(const struct olio_map *map, const struct oli_piece *p)
{
	return map->dev->syncs && !(map->attrs & OLIO_ATTR_SKIP_CPU_SYNC) &&
	       p->how == OLIO_PIECE_DIRECT;
}

static int copy(struct olio_map *map)
{
	struct oli_piece *p;
	int err;

	for (; map->ready < map->npieces; map->ready++) {
		p = &map->piece[map->ready];
		if (p->how == OLIO_PIECE_BOUNCED) {
			err = oli_bounce_map(map->dev, p->pa, p->len, map->dir, map->attrs, &p->at);
			if (err)
				return err;
			p->copied = true;
			map->copies++;
		}
	}
	return 0;
}

/* ---- address ---- */

/* One range for pieces [@first, @first + @n), or several for parts of it. */
static int chain_add(struct olio_map *map, size_t first, size_t n)
{
	const struct oli_piece *p = &map->piece[first], *last = p + n - 1;
	u64 size = oli_span(map->dev, p->pa, last->off + last->len - p->off);
	struct oli_chain *c;
	int err = grow(&map->chain, map->nchains, &map->chain_room, sizeof(*c));

	if (err)
		return err;
	c = &map->chain[map->nchains];
	*c = (struct oli_chain){.size = size, .first = first, .n = n};
	err = oli_domain_alloc(map->dev->domain, size, map->dev->mask, &c->start);
	if (!err) {
		map->nchains++;
		return 0;
	}
	if (err != -ENOSPC || n == 1)
		return oli_domain_refused(map->dev, err, size);
	err = chain_add(map, first, n / 2);
	return err ? err : chain_add(map, first + n / 2, n - n / 2);
}

static int address(struct olio_map *map)
{
	const struct oli_desc *desc = map->dev->desc;
	u64 offset = map->dev->reach == OLI_REACH_DIRECT ? desc->dma_offset : 0;
	size_t i, n;
	int err;

	for (i = 0; i < map->npieces; i += n) {
		struct oli_piece *p = &map->piece[i];

		n = 1;
		if (p->how == OLIO_PIECE_P2P_BUS) {
			p->dma.v = p->pa.v - desc->bus_offset;
		} else if (map->dev->reach != OLI_REACH_TRANSLATED) {
			p->dma.v = p->at.v + offset;
		} else {
			while (i + n < map->npieces && map->piece[i + n].joins)
				n++;
			err = chain_add(map, i, n);
			if (err)
				return err;
		}
	}
	return 0;
}

/* ---- map ---- */

/* Pieces from @p on, at most @n and MOST_AT_ONCE, at @at. Return: how many, or an errno. */
static int map_some(struct olio_map *map, struct oli_piece *p, size_t n, struct olio_iova *at)
{
	struct oli_domain_piece batch[MOST_AT_ONCE];
	u32 ram = oli_prot(map->dev, map->dir, map->attrs, false);
	u32 mmio = oli_prot(map->dev, map->dir, map->attrs, true);
	u64 mask = map->dev->granule_mask, size = 0;
	size_t i;
	int err;

	for (i = 0; i < n && i < MOST_AT_ONCE; i++, p++) {
		p->dma.v = at->v + size + (p->at.v & mask);
		batch[i].pa.v = p->at.v & ~mask;
		batch[i].size = oli_span(map->dev, p->at, p->len);
		batch[i].prot = p->how == OLIO_PIECE_P2P_HOST ? mmio : ram;
		size += batch[i].size;
	}
	err = oli_domain_map_pieces(map->dev->domain, *at, batch, i);
	at->v += size;
	return err ? err : (int)i;
}

static int chain_map(struct olio_map *map, struct oli_chain *c)
{
	struct olio_iova at = c->start;
	int n, err;

	for (size_t done = 0; done < c->n; done += (size_t)n) {
		n = map_some(map, &map->piece[c->first + done], c->n - done, &at);
		if (n < 0)
			return oli_domain_refused(map->dev, n, c->size);
	}
	err = oli_domain_sync(map->dev->domain,
			      (struct olio_iova_range){c->start, {c->start.v + c->size - 1}});
	return err ? oli_domain_refused(map->dev, err, c->size) : 0;
}

static int map_chains(struct olio_map *map)
{
	int err = 0;

	for (size_t i = 0; i < map->nchains && !err; i++)
		err = chain_map(map, &map->chain[i]);
	return err;
}

/* ---- segment ---- */

/* Bytes at @dma that fit into one segment. */
static u64 segment_room(const struct olio_dev *dev, u64 dma)
{
	u64 room = dev->max_segment;

	if (dev->boundary && dev->boundary - (dma & (dev->boundary - 1)) < room)
		room = dev->boundary - (dma & (dev->boundary - 1));
	return room;
}

static int segment(struct olio_map *map)
{
	const struct oli_piece *p = map->piece, *before = NULL;
	u64 dma, left, len, room = 0; /* of the last segment */
	int err;

	for (; p < map->piece + map->npieces; before = p++) {
		if (before && (before->dma.v + before->len != p->dma.v ||
			       (before->how == OLIO_PIECE_P2P_BUS) != (p->how == OLIO_PIECE_P2P_BUS)))
			room = 0;
		for (dma = p->dma.v, left = p->len; left; dma += len, left -= len) {
			if (!room) {
				err = grow(&map->seg, map->nsegs, &map->seg_room, sizeof(*map->seg));
				if (err)
					return err;
				map->seg[map->nsegs++] = (struct olio_seg){{dma}, 0};
				room = segment_room(map->dev, dma);
			}
			len = left < room ? left : room;
			room -= len;
			map->seg[map->nsegs - 1].len += len;
		}
	}
	return 0;
}

/* The others become the device's. Last of all: a call that fails has moved nothing. */
static void own(struct olio_map *map)
{
	for (size_t i = 0; map->dev->syncs && i < map->npieces; i++)
		if (owned(map, &map->piece[i]))
			oli_own_device(map->dev, map->piece[i].pa, map->piece[i].len, map->dir);
}

int oli_map_build(struct olio_map *map, const struct olio_run *runs, size_t n)
{
	int err = decide(map, runs, n);

	if (!err)
		err = copy(map);
	if (!err)
		err = address(map);
	if (!err)
		err = map_chains(map);
	if (!err)
		err = segment(map);
	if (!err)
		own(map);
	return err;
}

/* ---- down again ---- */

void oli_map_take_down(struct olio_map *map, u32 attrs)
{
	struct olio_dev *dev = map->dev;

	for (size_t i = 0; i < map->nchains; i++)
		(void)!oli_give_range(dev, map->chain[i].start, map->chain[i].size);
	/* The slots are somebody else's next: the device must have forgotten them. */
	if (map->copies && map->nchains)
		oli_domain_flush(dev->domain);
	if (!map->copies && !dev->syncs)
		return;
	for (size_t i = 0; i < map->ready; i++) {
		const struct oli_piece *p = &map->piece[i];

		if (p->copied)
			oli_bounce_unmap(dev, p->at, p->len, map->dir, attrs);
		else if (owned(map, p) && !(attrs & OLIO_ATTR_SKIP_CPU_SYNC))
			oli_own_cpu(dev, p->pa, p->len, map->dir);
	}
}
