/* SPDX-License-Identifier: MIT */
/* Between the files of bus/. */
#ifndef OLI_BUS_INT_H
#define OLI_BUS_INT_H

#include "bus/bus.h"
#include "olio/dma.h"

/*
 * What is at @dma, and how far: at most @len bytes (not 0, does not wrap) as one span.
 * Return: 0, -EFAULT (recorded).
 */
OLI_MUST_CHECK int oli_bus_piece(struct oli_bus_tx *tx, struct olio_iova dma, u64 len, u32 access,
				 struct oli_span *span);

#endif
