/* SPDX-License-Identifier: MIT */
/* Lists: made and taken down by list_build.c, used by list.c, dropped with their device. */
#ifndef OLI_DMA_LIST_H
#define OLI_DMA_LIST_H

#include "dma/dev.h"

struct oli_piece {
	u64 off, len;	   /* in the map */
	struct olio_pa pa; /* of the memory */
	struct olio_pa at; /* what is mapped: the memory, or its copy */
	struct olio_iova dma;
	u8 kind; /* enum olio_mem_kind */
	u8 how;	 /* enum olio_piece_how */
	bool joins; /* may follow the piece before it in one chain */
	bool copied; /* has a copy now */
};

struct oli_chain {
	struct olio_iova start;
	u64 size;
	size_t first, n; /* pieces */
};

struct olio_map {
	struct olio_dev *dev; /* NULL: the device was closed, this is a husk */
	struct olio_map *next, **link;
	enum olio_dir dir;
	u32 attrs;
	bool open; /* the last piece ends with a granule, and another may join it */
	u64 len;
	size_t npieces, nchains, nsegs, room, chain_room, seg_room;
	size_t copies, ready; /* pieces with a copy; pieces, from the first, that have what they need */
	struct oli_piece *piece;
	struct oli_chain *chain;
	struct olio_seg *seg;
};

/* Fill in @map, which has a device, direction and attributes. Return: 0; a refusal: take it down. */
OLI_MUST_CHECK int oli_map_build(struct olio_map *map, const struct olio_run *runs, size_t n);
/* Also of a map that was not finished: @attrs has SKIP_CPU_SYNC then. The arrays stay. */
void oli_map_take_down(struct olio_map *map, u32 attrs);

/* The device is being closed: what its lists mapped is taken down, the lists stay as husks. */
void oli_maps_drop(struct olio_dev *dev);

#endif
