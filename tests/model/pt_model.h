/* SPDX-License-Identifier: MIT */
/*
 * Programs for page tables, run on the tables and on a model that is too simple
 * to be wrong: an array of the pieces between a few addresses, each mapped or not.
 */
#ifndef OLI_TESTS_PT_MODEL_H
#define OLI_TESTS_PT_MODEL_H

#include "pt_arena.h"

struct pt_variant {
	enum oli_pt_format_id format;
	unsigned int levels;
	char name[24];
};

/* Every format with every number of levels, from OLI_PT_FORMATS. */
#define PT_MAX_VARIANTS 16
unsigned int pt_variants(struct pt_variant v[PT_MAX_VARIANTS]);

/*
 * Run a program on @variant; NULL takes the variant from the first byte.
 * Return: NULL, or what went wrong, in a static buffer.
 */
const char *pt_program(const struct pt_variant *variant, const u8 *data, size_t size);

#endif
