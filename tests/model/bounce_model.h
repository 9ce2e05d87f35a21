/* SPDX-License-Identifier: MIT */
/*
 * Programs for the bounce slots, run on them and on a list of copies with their bytes.
 *
 * A byte string is a program. Each step takes five bytes: what, a, b, c, d. Every byte
 * string is a program; what a step names that does not exist is skipped.
 */
#ifndef OLI_TESTS_MODEL_BOUNCE_MODEL_H
#define OLI_TESTS_MODEL_BOUNCE_MODEL_H

#include "dma/dev.h"

enum bounce_op {
	BOUNCE_MAP, /* from a b, length c, direction and SKIP_CPU_SYNC d */
	BOUNCE_UNMAP, /* copy a, SKIP_CPU_SYNC b */
	BOUNCE_DEVICE, /* the device writes into copy a, part b c, salt d */
	BOUNCE_CPU, /* the program writes from a b on, length c, salt d */
	BOUNCE_SYNC, /* copy a, part b c, for whom d */
	BOUNCE_WRONG, /* unmap copy a wrongly, in way b */
	BOUNCE_OPS
};

/* The program's memory: contiguous in physical memory too, from a granule on. */
struct bounce_env {
	struct olio_dev *dev; /* with an area of its own: one thread, one area */
	u8 *mem;
	u64 pa, len;
};

/* Begin with no copies. Return: NULL, or what went wrong; static until the next call. */
const char *bounce_model_run(const struct bounce_env *env, const u8 *program, size_t len);

/* The steps one by one, for tests that choose them. */
void bounce_model_begin(const struct bounce_env *env);
/* *@id: the copy, or -1 refused because it had to be. */
const char *bounce_model_map(u64 off, u64 len, enum olio_dir dir, u32 attrs, int *id);
const char *bounce_model_unmap(int id, u32 attrs);
/* Compare all bytes of copies, padding and memory, and the counts. */
const char *bounce_model_check(void);
/* Unmap all, and check. */
const char *bounce_model_end(void);

#endif
