/* SPDX-License-Identifier: MIT */
/* Machines for fuzz targets: made once, gone with the process. */
#ifndef OLI_TESTS_FUZZ_WORLD_H
#define OLI_TESTS_FUZZ_WORLD_H

#include "dma/dev.h"
#include "machine/machine.h"

/* A private machine with all parts; the process ends if there is none. */
struct oli_machine *fuzz_machine(const struct oli_desc *desc);

/* The built-in machine @type, with the checker off, to be changed. */
struct oli_desc fuzz_desc(const char *type);

/* @why: what is wrong with the program; print both and abort. NULL: nothing. */
void fuzz_judge(const char *why, const u8 *program, size_t len);

#endif
