/* SPDX-License-Identifier: MIT */
/*
 * Page sizes and blocks by what they mean, byte by byte.
 *
 * The model knows no bits. A size is good if every byte has the same place in its block
 * on both sides, and bytes that are neighbours in a block of iovas are neighbours for the
 * device; and it is not larger than the smallest one that holds everything. It counts
 * bytes, so its numbers are small; large ones are small ones that were scaled up and
 * moved, which must not change the answer.
 */
#ifndef OLI_TESTS_MODEL_BLOCKS_MODEL_H
#define OLI_TESTS_MODEL_BLOCKS_MODEL_H

#include "base/types.h"
#include "olio/dma.h"

/* Nothing wraps, sizes of up to 1024. */
u64 blocks_model_best(const struct olio_seg *segs, size_t n, u64 iova, u64 sizes);

/* The blocks of @size bytes into @blocks, at most @most. Return: how many there are. */
u64 blocks_model_list(const struct olio_seg *segs, size_t n, u64 size, u64 *blocks, u64 most);

/*
 * A byte string is a list of segments. The first four bytes: the scale, as a power of
 * two; iova; sizes, as bits; size of blocks, and where the list ends (1: at the
 * top of DMA addresses, 2: of iovas); then two a segment: where (0x80: where the one before
 * ended), and how long. Return: NULL, or what went wrong; static until the next call.
 */
const char *blocks_model_run(const u8 *program, size_t len);

#endif
