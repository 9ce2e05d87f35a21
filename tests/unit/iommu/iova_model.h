/* SPDX-License-Identifier: MIT */
/*
 * Programs for the IOVA allocator, run on it and on a map of granules.
 *
 * A byte string is a program. Its first four bytes choose the space, then each
 * step takes three: what, a, b. See step() for what they do. Every byte string
 * is a program; what a step names that does not exist is skipped.
 */
#ifndef OLI_TESTS_IOVA_MODEL_H
#define OLI_TESTS_IOVA_MODEL_H

#include "iommu/iova.h"

#define MODEL_MAX_GRANULES (1u << 15)

enum model_op {
	OP_ALLOC, /* size a, limit b */
	OP_FREE, /* live a */
	OP_CLAIM, /* live a */
	OP_GIVE, /* b % 8 + 1 claimed ones from a on */
	OP_FIXED, /* from a, size b */
	OP_RESERVE, /* from a, size b */
	OP_RELEASE, /* reserved a */
	OP_WRONG, /* live a, wrong in way b */
	OPS,
};

/*
 * Run the program. With @nth > 0 the nth request for memory fails; *@failed says
 * whether there were so many.
 * Return: NULL, or what went wrong; static until the next call.
 */
const char *model_run(const u8 *program, size_t len, int nth, bool *failed);

/* Counts what is out, for leaks. */
extern const struct oli_iova_mem model_mem;
extern size_t model_mem_out;

/* While set, memory that the space frees is spoilt but not used again. */
extern bool model_mem_keep;
void model_mem_release(void);

#endif
