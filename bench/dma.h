/* SPDX-License-Identifier: MIT */
/*
 * The benchmark of the mapping core: what its files share.
 *
 * A row has up to two measured loops, the limit's and olio's. Rounds alternate
 * between them, and the median of the rounds counts. A limit is what no
 * implementation can do without, written down in the file of its rows: it checks
 * nothing and knows no other thread. "peer" is what Linux 7.2's own code (iova.c,
 * generic_pt) takes in user space on a machine of this kind; goals are ratios to it.
 *
 * One thread, in CPU time of that thread. No row includes a hardware flush.
 */
#ifndef OLI_BENCH_DMA_H
#define OLI_BENCH_DMA_H

#include <stdlib.h>

#include "base/clock.h"
#include "base/types.h"

struct dma_row {
	const char *group, *name;
	double (*limit)(const struct dma_row *r, u32 round); /* ns an operation; NULL: none */
	double (*olio)(const struct dma_row *r, u32 round);
	double peer_ns; /* 0: no figure */
	double goal;	 /* of olio / peer, or of olio / limit if @of_limit; 0: none */
	bool of_limit;
	u64 arg, arg2; /* the file's own */
};

/* A file's rows; begin and end bracket their measuring. */
struct dma_group {
	void (*begin)(const struct dma_row *r);
	void (*end)(void);
	const struct dma_row *rows;
	u32 n;
};

struct dma_result {
	const struct dma_row *row;
	double limit, olio, growth; /* growth: last third of the rounds over the first */
};

/* olio over what its goal is a ratio to; 0 without. */
static inline double dma_ratio(const struct dma_result *res)
{
	double to = res->row->of_limit ? res->limit : res->row->peer_ns;

	return to > 0 ? res->olio / to : 0;
}

static inline bool dma_met(const struct dma_result *res)
{
	return !(res->row->goal > 0) || dma_ratio(res) <= res->row->goal;
}

/* Return: 0 or -errno. */
int dma_plot(const char *path, const struct dma_result *res, u32 n);

extern const struct dma_group dma_iova, dma_pt, dma_map, dma_tlb;

/* Time of this thread alone: others use the machine too. */
static inline double cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * (double)OLI_NS_PER_S + (double)ts.tv_nsec;
}

extern volatile u64 dma_sink;

#endif
