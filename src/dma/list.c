// SPDX-License-Identifier: MIT
/*
 * Lists, as their users have them: life, segments, ownership, pieces.
 *
 * A map is on its device's list from when it is whole until it is unmapped. If the device is
 * closed before, it becomes a husk: what it mapped is gone, what it says about
 * its segments can still be read, and it is freed by the unmap that its owner owes.
 *
 * Offsets are into the map, whose length is at most 2^62; they are checked before anything
 * is added to them.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/fault.h"
#include "dma/check.h"
#include "dma/list.h"
#include "dma/place.h"

static void map_free(struct olio_map *map)
{
	free(map->piece);
	free(map->chain);
	free(map->seg);
	free(map);
}

static void list_add(struct olio_map *map)
{
	struct olio_dev *dev = map->dev;

	pthread_mutex_lock(&dev->lock);
	map->next = dev->maps;
	map->link = &dev->maps;
	if (map->next)
		map->next->link = &map->next;
	dev->maps = map;
	pthread_mutex_unlock(&dev->lock);
}

static void list_del(struct olio_map *map)
{
	pthread_mutex_lock(&map->dev->lock);
	*map->link = map->next;
	if (map->next)
		map->next->link = map->link;
	pthread_mutex_unlock(&map->dev->lock);
}

void oli_maps_drop(struct olio_dev *dev)
{
	struct olio_map *map, *next;

	pthread_mutex_lock(&dev->lock);
	for (map = dev->maps; map; map = next) {
		next = map->next;
		oli_map_take_down(map, map->attrs | OLIO_ATTR_SKIP_CPU_SYNC);
		map->dev = NULL;
	}
	dev->maps = NULL;
	pthread_mutex_unlock(&dev->lock);
}

static void tell_checker(struct olio_map *map, const void *site)
{
	for (size_t i = 0; i < map->npieces; i++) {
		const struct oli_piece *p = &map->piece[i];
		struct oli_op op = {.family = OLI_LIST, .dma = p->dma, .len = p->len,
				    .run = {p->pa, p->len, p->kind, 0}, .dir = map->dir,
				    .attrs = map->attrs, .bounced = p->copied, .object = map,
				    .site = site};

		oli_check_mapped(map->dev, &op);
	}
}

int olio_map_list(struct olio_dev *dev, const struct olio_run *runs, size_t n, enum olio_dir dir,
		  uint32_t attrs, struct olio_map **out)
{
	struct oli_op op = {.family = OLI_LIST, .dir = dir, .attrs = attrs,
			    .site = __builtin_return_address(0)};
	struct olio_map *map;
	int err;

	if (!oli_dev_live(dev))
		return oli_dev_closed(dev);
	map = OLI_FAULT() ? NULL : calloc(1, sizeof(*map));
	if (!map)
		return oli_refuse(OLIO_REASON_NO_MEMORY, "a list for %s", dev->node->name);
	map->dev = dev;
	map->dir = dir;
	map->attrs = attrs;
	err = oli_map_build(map, runs, n);
	if (err) {
		oli_map_take_down(map, attrs | OLIO_ATTR_SKIP_CPU_SYNC);
		map_free(map);
		OLI_CHECK(dev, oli_check_map_failed(dev, &op, err));
		return err;
	}
	list_add(map);
	OLI_CHECK(dev, tell_checker(map, op.site));
	*out = map;
	return 0;
}

void olio_map_unmap(struct olio_map *map)
{
	struct oli_op op = {.family = OLI_LIST, .object = map,
			    .site = __builtin_return_address(0)};

	if (!map)
		return;
	if (map->dev) {
		op.dir = map->dir;
		op.attrs = map->attrs;
		OLI_CHECK(map->dev, oli_check_unmap(map->dev, &op, 0));
		list_del(map);
		oli_map_take_down(map, map->attrs);
	}
	map_free(map);
}

const struct olio_seg *olio_map_segs(const struct olio_map *map, size_t *n)
{
	*n = map->nsegs;
	return map->seg;
}

uint64_t olio_map_len(const struct olio_map *map)
{
	return map->len;
}

/* The piece that holds @offset, which is inside the map. */
static const struct oli_piece *piece_at(const struct olio_map *map, u64 offset)
{
	size_t low = 0, high = map->npieces, mid;

	while (high - low > 1) {
		mid = low + (high - low) / 2;
		if (map->piece[mid].off <= offset)
			low = mid;
		else
			high = mid;
	}
	return &map->piece[low];
}

static int sync_check(const struct olio_map *map, u64 offset, u64 len, enum olio_dir dir)
{
	int err;

	if (!map->dev)
		return oli_refuse(OLIO_REASON_BAD_STATE, "the list's device was closed");
	err = oli_dir_attrs_check(dir, 0);
	if (err)
		return err;
	if (dir & ~map->dir)
		return oli_refuse(OLIO_REASON_BAD_DIRECTION, "%u, the list was mapped with %u",
				  (u32)dir, (u32)map->dir);
	if (!oli_range_inside(offset, len, 0, map->len))
		return oli_refuse(OLIO_REASON_BEYOND_END,
				  "0x%" PRIx64 "+0x%" PRIx64 " of a list of 0x%" PRIx64 " bytes", offset,
				  len, map->len);
	return 0;
}

static int sync_list(struct olio_map *map, u64 offset, u64 len, enum olio_dir dir, bool for_cpu)
{
	const struct oli_piece *p;
	u64 skip, part;
	int err = sync_check(map, offset, len, dir);

	if (err || !len || (!map->copies && !map->dev->syncs))
		return err;
	for (p = piece_at(map, offset); len; p++, offset += part, len -= part) {
		skip = offset - p->off;
		part = p->len - skip < len ? p->len - skip : len;
		if (p->copied || p->how == OLIO_PIECE_DIRECT)
			oli_sync_piece(map->dev, (struct olio_pa){p->at.v + skip}, part, p->copied,
				       dir, for_cpu);
	}
	return 0;
}

/* The checker judges ranges of DMA addresses, so it is asked piece by piece. */
static void tell_sync(struct olio_map *map, u64 offset, u64 len, enum olio_dir dir, bool for_cpu,
		      bool after, const void *site)
{
	const struct oli_piece *p = len ? piece_at(map, offset) : NULL;
	u64 skip, part;

	for (; len; p++, offset += part, len -= part) {
		skip = offset - p->off;
		part = p->len - skip < len ? p->len - skip : len;
		struct oli_op op = {.family = OLI_LIST, .dma = {p->dma.v + skip}, .len = part,
				    .dir = dir, .object = map, .site = site};

		if (after)
			oli_check_synced(map->dev, &op, for_cpu);
		else
			oli_check_sync(map->dev, &op, for_cpu);
	}
}

static int sync_checked(struct olio_map *map, u64 offset, u64 len, enum olio_dir dir, bool for_cpu,
			const void *site)
{
	bool check = map->dev && map->dev->check && !sync_check(map, offset, len, dir);
	int err;

	if (check)
		tell_sync(map, offset, len, dir, for_cpu, false, site);
	err = sync_list(map, offset, len, dir, for_cpu);
	if (check)
		tell_sync(map, offset, len, dir, for_cpu, true, site);
	return err;
}

int olio_map_sync_for_cpu(struct olio_map *map, uint64_t offset, uint64_t len, enum olio_dir dir)
{
	return sync_checked(map, offset, len, dir, true, __builtin_return_address(0));
}

int olio_map_sync_for_device(struct olio_map *map, uint64_t offset, uint64_t len,
			     enum olio_dir dir)
{
	return sync_checked(map, offset, len, dir, false, __builtin_return_address(0));
}

int olio_map_next_piece(const struct olio_map *map, size_t *pos, struct olio_piece *out)
{
	const struct oli_piece *p;

	if (*pos >= map->npieces)
		return 0;
	p = &map->piece[(*pos)++];
	*out = (struct olio_piece){p->off, p->len, p->dma, p->pa, p->kind, p->how};
	return 1;
}
