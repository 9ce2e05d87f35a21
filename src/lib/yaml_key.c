// SPDX-License-Identifier: MIT
/*
 * The keys of a machine description, and how each value is written.
 *
 * A value is kept as a u64 while it is between text and struct: every member that
 * has a key is an unsigned number, a set of bits or a text. Only what a member
 * can hold gets as far as the struct; what makes sense is for oli_desc_check().
 *
 * A set is a list of its elements. A word in its place stands for the set that
 * has no good list: no ACS bits, all page sizes of the format, all checks.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "dma/check.h"
#include "iommu/pt/pt.h"
#include "lib/desc_yaml.h"

/* ---- words ---- */

static const char *const modes[] = {"none", "strict", "lazy", NULL};
static_assert(OLI_IOMMU_NONE == 0 && OLI_IOMMU_STRICT == 1 && OLI_IOMMU_LAZY == 2, "modes");

static const char *const formats[] = {
#define FORMAT_WORD(NAME, name, least, most) #name,
	OLI_PT_FORMATS(FORMAT_WORD)
#undef FORMAT_WORD
		NULL,
};

static const char *const policies[] = {"expose", "bounce", "refuse", NULL};
static_assert(OLIO_GRANULE_EXPOSE == 0 && OLIO_GRANULE_BOUNCE == 1 && OLIO_GRANULE_REFUSE == 2,
	      "policies");

static const char *const node_kinds[] = {
#define KIND_WORD(NAME, text) text,
	OLI_NODE_KINDS(KIND_WORD)
#undef KIND_WORD
		NULL,
};

static const struct {
	const char *name;
	u64 bit;
} acs_bits[] = {
#define ACS_BIT(NAME, n) {#NAME, 1ull << (n)},
	OLI_ACS_BITS(ACS_BIT)
#undef ACS_BIT
};

static const struct {
	const char *name;
	u32 number;
} classes[] = {
#define CLASS_NAME(number, name, text) {name, number},
	OLI_MISUSES(CLASS_NAME)
#undef CLASS_NAME
};

#define ALL_CLASSES (((1ull << OLI_MISUSE_LAST) - 1) << 1)

/* ---- the table ---- */

#define MEMBER(type, m) .offset = offsetof(type, m), .width = sizeof(((type *)0)->m)
#define DESC(place_, name_, form_, m)                                                              \
	{                                                                                          \
		.name = name_, .place = OLI_KEY_##place_, .form = OLI_KEY_##form_,                 \
		MEMBER(struct oli_desc, m)                                                         \
	}
#define DESC_WORD(place_, name_, m, words_)                                                        \
	{                                                                                          \
		.name = name_, .place = OLI_KEY_##place_, .form = OLI_KEY_WORD,                    \
		MEMBER(struct oli_desc, m), .words = words_                                        \
	}
#define NODE(name_, form_, m)                                                                      \
	{                                                                                          \
		.name = name_, .place = OLI_KEY_NODE, .form = OLI_KEY_##form_,                     \
		MEMBER(struct oli_node, m)                                                         \
	}
#define NODE_WORD(name_, m, words_)                                                                \
	{                                                                                          \
		.name = name_, .place = OLI_KEY_NODE, .form = OLI_KEY_WORD,                        \
		MEMBER(struct oli_node, m), .words = words_                                        \
	}
#define PART(place_, name_, form_, sub_)                                                           \
	{                                                                                          \
		.name = name_, .place = OLI_KEY_##place_, .form = OLI_KEY_##form_,                 \
		.sub = OLI_KEY_##sub_                                                              \
	}

const struct oli_key oli_keys[] = {
	{.name = "base", .place = OLI_KEY_TOP, .form = OLI_KEY_BASE},
	DESC(TOP, "type", TEXT, type),
	DESC(TOP, "about", TEXT, about),
	DESC(TOP, "ram-size", SIZE, ram_size),
	DESC(TOP, "linear", BOOL, linear),
	DESC(TOP, "encrypted", BOOL, encrypted),
	PART(TOP, "iommu", MAP, IOMMU),
	DESC(TOP, "dma-offset", SIZE, dma_offset),
	DESC(TOP, "bus-offset", SIZE, bus_offset),
	DESC(TOP, "bounce-slots", NUMBER, bounce_slots),
	DESC(TOP, "bounce-areas", NUMBER, bounce_areas),
	DESC(TOP, "cache-line", NUMBER, cache_line),
	DESC(TOP, "checker", CLASSES, checker),
	PART(TOP, "nodes", LIST, NODE),

	DESC_WORD(IOMMU, "mode", iommu, modes),
	DESC_WORD(IOMMU, "format", format, formats),
	DESC(IOMMU, "levels", NUMBER, levels),
	DESC(IOMMU, "iova-bits", NUMBER, iova_bits),
	DESC(IOMMU, "page-sizes", SIZES, page_sizes),
	DESC(IOMMU, "granule", LG2, granule_shift),
	DESC(IOMMU, "caching-mode", BOOL, caching_mode),
	DESC(IOMMU, "iotlb-entries", NUMBER, iotlb_entries),
	DESC(IOMMU, "lazy-ms", NUMBER, lazy_ms),

	NODE("name", TEXT, name),
	NODE_WORD("kind", kind, node_kinds),
	NODE("parent", PARENT, parent),
	NODE("p2p", BOOL, p2p),
	NODE("acs", ACS, acs),
	NODE("dma-bits", NUMBER, dma_bits),
	NODE("coherent", BOOL, coherent),
	NODE("trusted", BOOL, trusted),
	NODE("tee", BOOL, tee),
	NODE_WORD("granule", granule, policies),
	NODE("software", BOOL, software),
	NODE("force-bounce", BOOL, force_bounce),
	NODE("rdma", BOOL, rdma),
	NODE("max-segment", SIZE, max_segment),
	NODE("boundary", SIZE, boundary),
	PART(NODE, "bars", LIST, BAR),

	/* The number of a BAR is its place in the array: kept by the reader. */
	{.name = "bar", .place = OLI_KEY_BAR, .form = OLI_KEY_NUMBER},
	{.name = "size", .place = OLI_KEY_BAR, .form = OLI_KEY_SIZE, MEMBER(struct oli_bar, len)},
	{.name = "provider",
	 .place = OLI_KEY_BAR,
	 .form = OLI_KEY_BOOL,
	 MEMBER(struct oli_bar, provider)},
};
const u32 oli_nr_keys = OLI_ARRAY_SIZE(oli_keys);
static_assert(OLI_ARRAY_SIZE(oli_keys) <= OLI_KEYS_MAX, "the reader has a bit for each");

void oli_node_fresh(u8 kind, struct oli_node *out)
{
	bool device = kind == OLI_NODE_ENDPOINT_KIND || kind == OLI_NODE_PLATFORM_KIND;

	*out = (struct oli_node){
		.kind = kind,
		.parent = OLI_NODE_NONE,
		.dma_bits = device ? 64 : 0,
		.coherent = device,
		.trusted = device,
	};
}

/* ---- text to value ---- */

/* All of @text. strtoull() would take signs and space as well. */
static bool parse_number(const char *text, u64 *value, const char **end)
{
	char *e;

	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	*value = strtoull(text, &e, text[0] == '0' && (text[1] | 0x20) == 'x' ? 16 : 10);
	*end = e;
	return errno == 0;
}

static bool parse_size(const char *text, u64 *value)
{
	static const char units[] = "KMGT";
	const char *end, *unit;
	u64 n;

	if (!parse_number(text, &n, &end))
		return false;
	if (*end) {
		unit = strchr(units, *end);
		if (!unit || end[1] ||
		    __builtin_mul_overflow(n, 1024ull << (10 * (unit - units)), &n))
			return false;
	}
	*value = n;
	return true;
}

static bool parse_bool(const char *text, u64 *value)
{
	static const char *const words[] = {"no", "yes", "false", "true", "off", "on"};

	for (u32 i = 0; i < OLI_ARRAY_SIZE(words); i++)
		if (!strcmp(text, words[i])) {
			*value = i & 1;
			return true;
		}
	return false;
}

static bool parse_word(const char *const *words, const char *text, u64 *value)
{
	for (u64 i = 0; words[i]; i++)
		if (!strcmp(text, words[i])) {
			*value = i;
			return true;
		}
	return false;
}

static bool parse_acs(const char *text, u64 *value)
{
	*value = 0;
	if (!strcmp(text, "none"))
		return true;
	for (u32 i = 0; i < OLI_ARRAY_SIZE(acs_bits); i++)
		if (!strcmp(text, acs_bits[i].name))
			*value = acs_bits[i].bit;
	return *value != 0;
}

static bool parse_class(const char *text, u64 *value)
{
	const char *end;
	u64 n;

	*value = 0;
	if (!strcmp(text, "none"))
		return true;
	if (!strcmp(text, "all")) {
		*value = ALL_CLASSES;
		return true;
	}
	if (parse_number(text, &n, &end) && !*end && n >= 1 && n <= OLI_MISUSE_LAST)
		*value = 1ull << n;
	for (u32 i = 0; i < OLI_ARRAY_SIZE(classes); i++)
		if (!strcmp(text, classes[i].name))
			*value = 1ull << classes[i].number;
	return *value != 0;
}

static bool is_pow2(u64 n)
{
	return n && !(n & (n - 1));
}

static const char *fits(const struct oli_key *k, u64 value)
{
	return k->width < sizeof(value) && value >> (8 * k->width) ? "a smaller number" : NULL;
}

const char *oli_key_parse(const struct oli_key *k, const char *text, u64 *value)
{
	const char *end;

	switch ((enum oli_key_form)k->form) {
	case OLI_KEY_NUMBER:
		if (!parse_number(text, value, &end) || *end)
			return "a number";
		/* The number of a BAR has no member. */
		return k->width ? fits(k, *value) : NULL;
	case OLI_KEY_SIZE:
		return parse_size(text, value)
			       ? fits(k, *value)
			       : "a size: a number, or one with K, M, G or T behind it";
	case OLI_KEY_LG2:
		if (!parse_size(text, value) || !is_pow2(*value))
			return "a size that is a power of two";
		*value = (u64)__builtin_ctzll(*value);
		return NULL;
	case OLI_KEY_SIZES:
		if (!strcmp(text, "all"))
			return *value = 0, NULL;
		/* A size that is a power of two is its own bit. */
		return parse_size(text, value) && is_pow2(*value)
			       ? NULL
			       : "sizes that are powers of two, or 'all'";
	case OLI_KEY_BOOL:
		return parse_bool(text, value) ? NULL : "yes or no";
	case OLI_KEY_WORD:
		return parse_word(k->words, text, value) ? NULL : "another word";
	case OLI_KEY_ACS:
		return parse_acs(text, value)
			       ? NULL
			       : "names out of SV, TB, RR, CR, UF, EC, DT, or 'none'";
	case OLI_KEY_CLASSES:
		return parse_class(text, value)
			       ? NULL
			       : "names or numbers of misuse classes, 'all' or 'none'";
	default:
		return "something else";
	}
}

/* ---- value to text ---- */

static void print_size(u64 v, FILE *f)
{
	static const char units[] = " KMGT";
	u32 u = 0;

	while (u < 4 && v && !(v & 1023)) {
		v >>= 10;
		u++;
	}
	fprintf(f, "%" PRIu64, v);
	if (u)
		fputc(units[u], f);
}

static void print_element(const struct oli_key *k, u32 bit, FILE *f)
{
	if (k->form == OLI_KEY_SIZES) {
		print_size(1ull << bit, f);
		return;
	}
	if (k->form == OLI_KEY_ACS) {
		for (u32 i = 0; i < OLI_ARRAY_SIZE(acs_bits); i++)
			if (acs_bits[i].bit == 1ull << bit)
				fputs(acs_bits[i].name, f);
		return;
	}
	for (u32 i = 0; i < OLI_ARRAY_SIZE(classes); i++)
		if (classes[i].number == bit)
			fputs(classes[i].name, f);
}

static void print_set(const struct oli_key *k, u64 v, FILE *f)
{
	bool first = true;

	if (!v || (k->form == OLI_KEY_CLASSES && v == ALL_CLASSES)) {
		fputs(!v && k->form != OLI_KEY_SIZES ? "none" : "all", f);
		return;
	}
	fputc('[', f);
	for (u32 bit = 0; bit < 64; bit++) {
		if (!(v >> bit & 1))
			continue;
		if (!first)
			fputs(", ", f);
		print_element(k, bit, f);
		first = false;
	}
	fputc(']', f);
}

void oli_key_print(const struct oli_key *k, u64 v, FILE *f)
{
	switch ((enum oli_key_form)k->form) {
	case OLI_KEY_SIZE:
		print_size(v, f);
		break;
	case OLI_KEY_LG2:
		print_size(1ull << (v & 63), f);
		break;
	case OLI_KEY_BOOL:
		fputs(v ? "yes" : "no", f);
		break;
	case OLI_KEY_WORD:
		fputs(k->words[v], f);
		break;
	case OLI_KEY_ACS:
	case OLI_KEY_SIZES:
	case OLI_KEY_CLASSES:
		print_set(k, v, f);
		break;
	default:
		fprintf(f, "%" PRIu64, v);
		break;
	}
}

/* ---- members ---- */

u64 oli_key_get(const struct oli_key *k, const void *base)
{
	const u8 *p = (const u8 *)base + k->offset;
	u64 v = 0;

	if (k->width == 1)
		return *p;
	if (k->width == 4) {
		u32 w;

		memcpy(&w, p, sizeof(w));
		return w;
	}
	if (k->width == 8)
		memcpy(&v, p, sizeof(v));
	return v;
}

void oli_key_set(const struct oli_key *k, void *base, u64 value)
{
	u8 *p = (u8 *)base + k->offset;
	u32 w = (u32)value;

	if (k->width == 1)
		*p = (u8)value;
	else if (k->width == 4)
		memcpy(p, &w, sizeof(w));
	else if (k->width == 8)
		memcpy(p, &value, sizeof(value));
}
