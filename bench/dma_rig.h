/* SPDX-License-Identifier: MIT */
/* A machine for the rows that need one. */
#ifndef OLI_BENCH_DMA_RIG_H
#define OLI_BENCH_DMA_RIG_H

#include "dma/dev.h"
#include "mem/src.h"

struct rig {
	struct oli_machine *m;
	struct olio_dev *dev;
	struct olio_mem *mem;
	u8 *buf;
	const struct olio_run *runs;
	size_t nruns;
};

struct rig_opts {
	u64 bytes;	 /* of pinned memory */
	bool linear;	 /* frames in order: one run */
	bool lazy, check; /* IOMMU mode, all checker classes */
};

/* "pc" with these changes; its device dma0, and anonymous memory. Ends the program on failure. */
void rig_open(struct rig *r, const struct rig_opts *o);
void rig_close(struct rig *r);

#endif
