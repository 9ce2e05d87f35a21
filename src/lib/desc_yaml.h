/* SPDX-License-Identifier: MIT */
/*
 * Machine descriptions as text: olio-machine(5).
 *
 *   key    a name in the file, and the member of struct oli_desc that it sets
 *   place  which of the file's mappings a key belongs to
 *
 * One table of keys serves both directions, so that what is printed can be read.
 */
#ifndef OLI_LIB_DESC_YAML_H
#define OLI_LIB_DESC_YAML_H

#include <stdio.h>

#include "machine/desc.h"

/* A description is a page or two of text; more is not read. */
#define OLI_YAML_MAX (64u << 10)

/*
 * Read the description @path into @d, checked and complete.
 * @why: on failure one sentence that names file, line and key.
 * Return: 0; -EINVAL what it says is wrong; -E2BIG; -ENOMEM; -errno of the file.
 */
OLI_MUST_CHECK int oli_yaml_load(const char *path, struct oli_desc *d, char *why, size_t why_size);
/* The same from memory; @path is for messages. */
OLI_MUST_CHECK int oli_yaml_parse(const char *path, const char *text, size_t len,
				  struct oli_desc *d, char *why, size_t why_size);
/* Owns: *@text is the caller's, to be freed. Return: 0, -ENOMEM. */
OLI_MUST_CHECK int oli_yaml_dump(const struct oli_desc *d, char **text, size_t *len);

/* ---- yaml_key.c: the keys, and values as text ---- */

enum oli_key_place { OLI_KEY_TOP, OLI_KEY_IOMMU, OLI_KEY_NODE, OLI_KEY_BAR };

enum oli_key_form {
	OLI_KEY_TEXT, /* of at most width - 1 bytes */
	OLI_KEY_NUMBER, /* decimal, or hexadecimal after 0x */
	OLI_KEY_SIZE, /* a number, or one with K, M, G or T behind it */
	OLI_KEY_LG2, /* a size that is a power of two; its logarithm is kept */
	OLI_KEY_BOOL,
	OLI_KEY_WORD, /* one of @words; its index is kept */
	/* sets: a list, kept as bits; or one of the words for none and all */
	OLI_KEY_ACS,
	OLI_KEY_SIZES,
	OLI_KEY_CLASSES,
	/* told apart by the reader */
	OLI_KEY_BASE,
	OLI_KEY_PARENT,
	OLI_KEY_MAP, /* of place @sub */
	OLI_KEY_LIST, /* of maps of place @sub */
};

struct oli_key {
	const char *name;
	u8 place, form, sub;
	u8 width; /* bytes of the member */
	u16 offset;
	const char *const *words;
};

extern const struct oli_key oli_keys[];
extern const u32 oli_nr_keys;
#define OLI_KEYS_MAX 64

/* What a node is that nothing was said about but its kind. */
void oli_node_fresh(u8 kind, struct oli_node *out);

static inline bool oli_key_is_set(const struct oli_key *k)
{
	return k->form == OLI_KEY_ACS || k->form == OLI_KEY_SIZES || k->form == OLI_KEY_CLASSES;
}

/*
 * The value that @text stands for; for a set, the bits of one element.
 * Return: NULL, or what is wanted instead.
 */
const char *oli_key_parse(const struct oli_key *k, const char *text, u64 *value);
/* Its inverse; a set is written as a list. */
void oli_key_print(const struct oli_key *k, u64 value, FILE *f);

u64 oli_key_get(const struct oli_key *k, const void *base);
void oli_key_set(const struct oli_key *k, void *base, u64 value);

#endif
