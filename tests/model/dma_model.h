/* SPDX-License-Identifier: MIT */
/*
 * Programs of mapping calls, run on the mapping core and on arrays of bytes.
 *
 * A program is a string of bytes, any bytes: maps of any memory in each of the three
 * ways, accesses by the device and by the CPU, syncs, unmaps, and calls that must be
 * refused. Whatever the machine, and whichever of the ways, the bytes must be
 * those of the arrays; and what a refused call, or the end, leaves behind is nothing.
 */
#ifndef OLI_TESTS_MODEL_DMA_MODEL_H
#define OLI_TESTS_MODEL_DMA_MODEL_H

#include "base/types.h"

/* How many worlds there are: a machine and a device of it. Its name, for messages. */
u32 dma_model_worlds(void);
const char *dma_model_world(u32 i);

/*
 * @data: the program. @fail: which request for a resource of the maps is refused, 0 none.
 * @checker: let it watch; a program makes no mistake unless it is a call that must be
 * refused, which are left out then. Return: NULL, or what is wrong.
 */
const char *dma_model_run(u32 world, const u8 *data, size_t size, u32 fail, bool checker);

#endif
