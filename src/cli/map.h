/* SPDX-License-Identifier: MIT */
/*
 * olio map: what its files share.
 *
 *   piece  memory named on the command line: "anon:64K@100"
 *   job    the pieces, their runs in one list, and the map of that list
 */
#ifndef OLIO_CLI_MAP_H
#define OLIO_CLI_MAP_H

#include <olio/dma.h>
#include <olio/mem.h>

#include "cli.h"

#define MAX_PIECES 64

struct piece {
	const char *text; /* as it was given */
	struct olio_mem *mem;
	struct olio_dev *provider; /* of a BAR */
	void *area; /* what was mapped for it in this process */
	uint64_t area_len;
	uint64_t len; /* of the memory itself */
	uint64_t offset; /* in the whole list */
	char note[64]; /* "2 MiB pages", "no huge pages here: ordinary ones" */
};

struct job {
	struct olio_machine *machine;
	struct olio_dev *dev;
	const char *device;
	enum olio_dir dir;
	uint32_t attrs;
	struct piece piece[MAX_PIECES];
	size_t n;
	struct olio_run *runs;
	size_t nruns;
	uint64_t len;
	struct olio_map *map;
	const struct olio_seg *segs;
	size_t nsegs;
	uint64_t page_size; /* of the page list; 0: there is none */
};

/* ---- piece.c ---- */

/* Bytes: a number, or one with K, M, G behind it. Return: false: it is none. */
bool size_parse(const char *text, const char **end, uint64_t *out);
/*
 * Make and pin the memory that @text names. @dir: which way it is for.
 * Return: 0, or enum cli_status after a message.
 */
int piece_make(struct job *job, struct piece *p, const char *text);
void piece_free(struct piece *p);

/* ---- map_show.c ---- */

int map_print(const struct job *job);
int map_print_json(const struct job *job);

/* ---- map_svg.c ---- */

/* Return: 0, or -errno. */
int map_draw(const struct job *job, const char *path);

#endif
