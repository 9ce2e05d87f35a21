// SPDX-License-Identifier: MIT
/*
 * Reading a machine description.
 *
 * libyaml makes a tree of the text; the walk here is as deep as the description
 * is (machine, section or node, BAR), whatever the text looks like, so neither
 * nesting nor an alias that leads back to where it came from can take it further.
 * Counts are bounded by struct oli_desc, bytes by OLI_YAML_MAX. Every key may be
 * given once; a key that is not known where it stands is an error.
 *
 * What is not said is taken from "base", a built-in type; without one from "pc"
 * without its nodes. A node whose name the base has changes that node.
 *
 * Lines are counted from 1, as editors do.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/fault.h"
#include "base/sys.h"
#include "lib/desc_yaml.h"

#define MAX_DEPTH 8 /* machine, nodes, node, bars, bar */

struct reader {
	const char *path;
	yaml_document_t doc;
	struct oli_desc *d;
	u32 line[OLI_NODES]; /* of the entry that a node has in the file; 0: none */
	u32 key_line[OLI_KEYS_MAX]; /* of each key of the machine itself; 0: not given */
	char *why;
	size_t why_size;
};

OLI_PRINTF(4, 5) static int wrong(struct reader *r, u64 line, const char *key, const char *fmt, ...)
{
	va_list ap;
	int n;

	n = snprintf(r->why, r->why_size, "%s:%llu: %s%s", r->path, (unsigned long long)line, key,
		     *key ? ": " : "");
	if (n < 0 || (size_t)n >= r->why_size)
		return -EINVAL;
	va_start(ap, fmt);
	vsnprintf(r->why + n, r->why_size - (size_t)n, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

static u64 line_of(const yaml_node_t *n)
{
	return n->start_mark.line + 1;
}

static yaml_node_t *node_at(struct reader *r, int index)
{
	return yaml_document_get_node(&r->doc, index);
}

/* Its text if @n is a scalar of plain characters, else NULL. */
static const char *text_of(const yaml_node_t *n)
{
	const char *text;

	if (n->type != YAML_SCALAR_NODE)
		return NULL;
	text = (const char *)n->data.scalar.value;
	for (size_t i = 0; i < n->data.scalar.length; i++)
		if ((u8)text[i] < ' ' || text[i] == 0x7f)
			return NULL;
	return text;
}

/* The value of @name in a map, or NULL. */
static yaml_node_t *value_of(struct reader *r, yaml_node_t *map, const char *name)
{
	yaml_node_pair_t *p;

	for (p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top; p++) {
		const char *key = text_of(node_at(r, p->key));

		if (key && !strcmp(key, name))
			return node_at(r, p->value);
	}
	return NULL;
}

/* Names that can be said everywhere: in messages, in paths, in columns. */
static bool name_ok(const char *s)
{
	static const char plain[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

	return *s && s[strspn(s, plain)] == '\0';
}

/* ---- values ---- */

static int read_text(struct reader *r, yaml_node_t *n, const struct oli_key *k, void *base)
{
	const char *text = text_of(n);
	bool free_text = !strcmp(k->name, "about");

	if (!text)
		return wrong(r, line_of(n), k->name, "a text of one line is wanted");
	if (strlen(text) >= k->width)
		return wrong(r, line_of(n), k->name, "at most %u bytes are wanted, this has %zu",
			     k->width - 1u, strlen(text));
	if (!free_text && !name_ok(text))
		return wrong(r, line_of(n), k->name,
			     "letters, digits, '.', '_' and '-' are wanted, not '%.40s'", text);
	memset((u8 *)base + k->offset, 0, k->width);
	memcpy((u8 *)base + k->offset, text, strlen(text));
	return 0;
}

static void list_words(const struct oli_key *k, char *out, size_t size)
{
	size_t len = 0;

	for (u32 i = 0; k->words[i] && len < size; i++)
		len += (size_t)snprintf(out + len, size - len, "%s%s", i ? ", " : "", k->words[i]);
}

static int read_scalar(struct reader *r, yaml_node_t *n, const struct oli_key *k, u64 *value)
{
	const char *text = text_of(n);
	const char *wanted;
	char words[128];

	if (k->form == OLI_KEY_WORD) {
		list_words(k, words, sizeof(words));
		wanted = words;
		if (text && !oli_key_parse(k, text, value))
			return 0;
	} else {
		wanted = oli_key_parse(k, text ? text : "", value);
		if (text && !wanted)
			return 0;
	}
	if (!text)
		return wrong(r, line_of(n), k->name, "one value is wanted: %s",
			     wanted ? wanted : "not a list or a map");
	return wrong(r, line_of(n), k->name, "%s is wanted, not '%.40s'", wanted, text);
}

static int read_set(struct reader *r, yaml_node_t *n, const struct oli_key *k, u64 *value)
{
	yaml_node_item_t *i;
	u64 bits;
	int ret;

	if (n->type != YAML_SEQUENCE_NODE)
		return read_scalar(r, n, k, value);
	*value = 0;
	for (i = n->data.sequence.items.start; i < n->data.sequence.items.top; i++) {
		yaml_node_t *e = node_at(r, *i);

		ret = read_scalar(r, e, k, &bits);
		if (ret)
			return ret;
		if (!bits || bits & (bits - 1))
			return wrong(r, line_of(e), k->name, "'%s' stands alone, not in a list",
				     text_of(e));
		if (*value & bits)
			return wrong(r, line_of(e), k->name, "'%s' is there twice", text_of(e));
		*value |= bits;
	}
	return 0;
}

static int read_parent(struct reader *r, yaml_node_t *n, const struct oli_key *k,
		       struct oli_node *node)
{
	const char *text = text_of(n);
	u8 at;

	if (!text)
		return wrong(r, line_of(n), k->name, "the name of a node is wanted, or 'none'");
	if (!strcmp(text, "none")) {
		node->parent = OLI_NODE_NONE;
		return 0;
	}
	at = oli_node_find(r->d, text);
	if (at == OLI_NODE_NONE || &r->d->node[at] >= node)
		return wrong(r, line_of(n), k->name, "there is no node '%.40s' before this one",
			     text);
	node->parent = at;
	return 0;
}

/* ---- maps ---- */

static int read_map(struct reader *r, yaml_node_t *map, enum oli_key_place place, void *base);

static int read_bar(struct reader *r, yaml_node_t *map, struct oli_node *node, u32 *seen)
{
	yaml_node_t *n;
	u64 bar;
	int ret;

	if (map->type != YAML_MAPPING_NODE)
		return wrong(r, line_of(map), "bars", "each is a map like {bar: 0, size: 64K}");
	n = value_of(r, map, "bar");
	if (!n)
		return wrong(r, line_of(map), "bars", "this one has no number: 'bar' is missing");
	ret = read_scalar(r, n, &(struct oli_key){.name = "bar", .form = OLI_KEY_NUMBER}, &bar);
	if (ret)
		return ret;
	if (bar >= OLI_BARS)
		return wrong(r, line_of(n), "bar", "a number from 0 to %d is wanted", OLI_BARS - 1);
	if (*seen & 1u << bar)
		return wrong(r, line_of(n), "bar", "BAR %u is there twice", (u32)bar);
	*seen |= 1u << bar;
	return read_map(r, map, OLI_KEY_BAR, &node->bar[bar]);
}

static int read_bars(struct reader *r, yaml_node_t *list, struct oli_node *node)
{
	yaml_node_item_t *i;
	u32 seen = 0;
	int ret = 0;

	if (list->type != YAML_SEQUENCE_NODE)
		return wrong(r, line_of(list), "bars", "a list of maps is wanted");
	for (i = list->data.sequence.items.start; i < list->data.sequence.items.top && !ret; i++)
		ret = read_bar(r, node_at(r, *i), node, &seen);
	return ret;
}

static const struct oli_key *find_key(enum oli_key_place place, const char *name)
{
	for (u32 i = 0; i < oli_nr_keys; i++)
		if (oli_keys[i].place == place && !strcmp(oli_keys[i].name, name))
			return &oli_keys[i];
	return NULL;
}

static int new_node(struct reader *r, yaml_node_t *map, const char *name, u8 *at)
{
	yaml_node_t *n = value_of(r, map, "kind");
	struct oli_desc *d = r->d;
	u64 kind;
	int ret;

	if (d->nr_nodes == OLI_NODES)
		return wrong(r, line_of(map), "nodes", "more than %d nodes", OLI_NODES);
	if (!n)
		return wrong(r, line_of(map), "nodes", "the node '%s' has no 'kind'", name);
	ret = read_scalar(r, n, find_key(OLI_KEY_NODE, "kind"), &kind);
	if (ret)
		return ret;
	*at = d->nr_nodes++;
	oli_node_fresh((u8)kind, &d->node[*at]);
	return 0;
}

/* The node that an entry is about: one of the base, or a new one. */
static int begin_node(struct reader *r, yaml_node_t *map, const char *name, struct oli_node **out)
{
	u8 at = oli_node_find(r->d, name);
	int ret = 0;

	if (at == OLI_NODE_NONE)
		ret = new_node(r, map, name, &at);
	else if (r->line[at])
		ret = wrong(r, line_of(map), "nodes", "a node '%s' is in line %u already", name,
			    r->line[at]);
	if (ret)
		return ret;
	r->line[at] = (u32)line_of(map);
	*out = &r->d->node[at];
	return 0;
}

static int read_node(struct reader *r, yaml_node_t *map)
{
	struct oli_node *node;
	yaml_node_t *n;
	const char *name;
	int ret;

	if (map->type != YAML_MAPPING_NODE)
		return wrong(r, line_of(map), "nodes", "each is a map with 'name' and 'kind'");
	n = value_of(r, map, "name");
	name = n ? text_of(n) : NULL;
	if (!name)
		return wrong(r, line_of(map), "nodes", "this one has no 'name'");
	if (!name_ok(name) || strlen(name) >= OLI_NODE_NAME || !strcmp(name, "none"))
		return wrong(r, line_of(n), "name",
			     "at most %d letters, digits, '.', '_' and '-' are wanted, "
			     "not '%.40s'",
			     OLI_NODE_NAME - 1, name);
	ret = begin_node(r, map, name, &node);
	return ret ? ret : read_map(r, map, OLI_KEY_NODE, node);
}

static int read_nodes(struct reader *r, yaml_node_t *list)
{
	yaml_node_item_t *i;
	int ret = 0;

	if (list->type != YAML_SEQUENCE_NODE)
		return wrong(r, line_of(list), "nodes", "a list of maps is wanted");
	for (i = list->data.sequence.items.start; i < list->data.sequence.items.top && !ret; i++)
		ret = read_node(r, node_at(r, *i));
	return ret;
}

/* Another table format or depth has other limits than the base's. */
static void forget_tables(struct reader *r, yaml_node_t *iommu)
{
	if (value_of(r, iommu, "format"))
		r->d->levels = 0;
	if (value_of(r, iommu, "format") || value_of(r, iommu, "levels")) {
		r->d->iova_bits = 0;
		r->d->page_sizes = 0;
	}
}

static int read_value(struct reader *r, yaml_node_t *n, const struct oli_key *k, void *base)
{
	u64 value;
	int ret;

	switch ((enum oli_key_form)k->form) {
	case OLI_KEY_BASE: /* was looked at before everything else */
		return 0;
	case OLI_KEY_TEXT:
		return read_text(r, n, k, base);
	case OLI_KEY_PARENT:
		return read_parent(r, n, k, base);
	case OLI_KEY_MAP:
		if (n->type != YAML_MAPPING_NODE)
			return wrong(r, line_of(n), k->name, "a map of keys is wanted");
		forget_tables(r, n);
		return read_map(r, n, k->sub, base);
	case OLI_KEY_LIST:
		return k->sub == OLI_KEY_NODE ? read_nodes(r, n) : read_bars(r, n, base);
	default:
		ret = oli_key_is_set(k) ? read_set(r, n, k, &value) : read_scalar(r, n, k, &value);
		if (!ret)
			oli_key_set(k, base, value);
		return ret;
	}
}

static int unknown_key(struct reader *r, const yaml_node_t *n, enum oli_key_place place)
{
	const char *text = text_of(n);
	char known[256] = "";
	size_t len = 0;

	for (u32 i = 0; i < oli_nr_keys && len < sizeof(known); i++)
		if (oli_keys[i].place == place)
			len += (size_t)snprintf(known + len, sizeof(known) - len, "%s%s",
						len ? ", " : "", oli_keys[i].name);
	return wrong(r, line_of(n), "", "no key '%.40s' belongs here; there are %s",
		     text ? text : "(not a word)", known);
}

static int read_map(struct reader *r, yaml_node_t *map, enum oli_key_place place, void *base)
{
	yaml_node_pair_t *p;
	u64 seen = 0;
	int ret;

	for (p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top; p++) {
		yaml_node_t *n = node_at(r, p->key);
		const char *text = text_of(n);
		const struct oli_key *k = text ? find_key(place, text) : NULL;

		if (!k)
			return unknown_key(r, n, place);
		if (seen & 1ull << (k - oli_keys))
			return wrong(r, line_of(n), k->name, "it is there twice");
		seen |= 1ull << (k - oli_keys);
		if (base == r->d)
			r->key_line[k - oli_keys] = (u32)line_of(n);
		ret = read_value(r, node_at(r, p->value), k, base);
		if (ret)
			return ret;
	}
	return 0;
}

/* ---- the whole ---- */

static void type_from_path(struct reader *r)
{
	const char *slash = strrchr(r->path, '/');
	const char *name = slash ? slash + 1 : r->path;
	const char *dot = strrchr(name, '.');
	size_t n = dot && dot != name ? (size_t)(dot - name) : strlen(name);

	snprintf(r->d->type, sizeof(r->d->type), "%.*s", (int)(n < 63 ? n : 63), name);
	for (char *c = r->d->type; *c; c++)
		if (!name_ok((char[]){*c, '\0'}))
			*c = '-';
}

static int begin(struct reader *r, yaml_node_t *root)
{
	yaml_node_t *n = value_of(r, root, "base");
	const char *base = n ? text_of(n) : "pc";
	char known[256] = "";
	size_t len = 0;

	if (base && !oli_desc_builtin(base, r->d)) {
		if (!n) {
			memset(r->d->node, 0, sizeof(r->d->node));
			r->d->nr_nodes = 0;
			memset(r->d->about, 0, sizeof(r->d->about));
		}
		memset(r->d->type, 0, sizeof(r->d->type));
		type_from_path(r);
		return 0;
	}
	for (u32 i = 0; oli_desc_at(i) && len < sizeof(known); i++)
		len += (size_t)snprintf(known + len, sizeof(known) - len, "%s%s", i ? ", " : "",
					oli_desc_at(i)->type);
	return wrong(r, n ? line_of(n) : 1, "base", "%s is wanted, not '%.40s'", known,
		     base ? base : "(no word)");
}

/* The line of the node that the sentence names, or else of the longest key; or the first line. */
static u32 line_named(const struct reader *r, const char *sentence)
{
	size_t best = 0;
	u32 line = 1;

	for (u32 i = 0; i < r->d->nr_nodes; i++) {
		char quoted[OLI_NODE_NAME + 2];

		snprintf(quoted, sizeof(quoted), "'%.31s'", r->d->node[i].name);
		if (r->line[i] && strstr(sentence, quoted))
			return r->line[i];
	}
	for (u32 i = 0; i < oli_nr_keys; i++) {
		size_t n = strlen(oli_keys[i].name);

		if (r->key_line[i] && n > best && strstr(sentence, oli_keys[i].name)) {
			best = n;
			line = r->key_line[i];
		}
	}
	return line;
}

static int read_root(struct reader *r, yaml_node_t *root)
{
	char why[OLI_DESC_WHY] = "";
	int ret;

	if (root->type != YAML_MAPPING_NODE)
		return wrong(r, line_of(root), "", "a map of keys is wanted at the top");
	ret = begin(r, root);
	if (!ret)
		ret = read_map(r, root, OLI_KEY_TOP, r->d);
	if (!ret && oli_desc_check(r->d, why))
		ret = wrong(r, line_named(r, why), "", "%s", why);
	return ret;
}

/* What libyaml did not like, with its line. */
static int bad_text(struct reader *r, const yaml_parser_t *p, const char *text, size_t len)
{
	u64 line = p->problem_mark.line + 1;

	if (p->error == YAML_MEMORY_ERROR) {
		snprintf(r->why, r->why_size, "%s: no memory", r->path);
		return -ENOMEM;
	}
	if (p->error == YAML_READER_ERROR) {
		line = 1;
		for (size_t i = 0; i < p->problem_offset && i < len; i++)
			line += text[i] == '\n';
	}
	return wrong(r, line, "", "no YAML: %s", p->problem ? p->problem : "it cannot be read");
}

/*
 * libyaml takes seconds for what is nested a thousand deep; a description is not more
 * than a few. Looks only as far as the text is good: what is wrong behind is found later.
 */
static int check_depth(struct reader *r, yaml_parser_t *p)
{
	yaml_event_type_t type = YAML_NO_EVENT;
	u32 depth = 0;
	int ret = 0;

	while (!ret && type != YAML_STREAM_END_EVENT) {
		yaml_event_t e;

		if (!yaml_parser_parse(p, &e))
			return 0;
		type = e.type;
		if (type == YAML_SEQUENCE_START_EVENT || type == YAML_MAPPING_START_EVENT)
			depth++;
		else if (type == YAML_SEQUENCE_END_EVENT || type == YAML_MAPPING_END_EVENT)
			depth--;
		if (depth > MAX_DEPTH)
			ret = wrong(r, e.start_mark.line + 1, "",
				    "lists and maps in each other, "
				    "more than %d deep",
				    MAX_DEPTH);
		yaml_event_delete(&e);
	}
	return ret;
}

static int read_document(struct reader *r, yaml_parser_t *p, const char *text, size_t len)
{
	yaml_node_t *root;
	yaml_document_t more;
	int ret;

	if (!yaml_parser_load(p, &r->doc))
		return bad_text(r, p, text, len);
	root = yaml_document_get_root_node(&r->doc);
	ret = root ? read_root(r, root) : wrong(r, 1, "", "there is nothing in it");
	yaml_document_delete(&r->doc);
	if (ret)
		return ret;
	if (!yaml_parser_load(p, &more))
		return bad_text(r, p, text, len);
	root = yaml_document_get_root_node(&more);
	if (root)
		ret = wrong(r, line_of(root), "", "a second document; one is wanted");
	yaml_document_delete(&more);
	return ret;
}

/* A new parser on @text for each @step: 0 looks at its depth, 1 reads it. */
static int parse(struct reader *r, const char *text, size_t len, int step)
{
	yaml_parser_t parser;
	int ret;

	if (!yaml_parser_initialize(&parser)) {
		snprintf(r->why, r->why_size, "%s: no memory", r->path);
		return -ENOMEM;
	}
	yaml_parser_set_input_string(&parser, (const u8 *)text, len);
	ret = step ? read_document(r, &parser, text, len) : check_depth(r, &parser);
	yaml_parser_delete(&parser);
	return ret;
}

int oli_yaml_parse(const char *path, const char *text, size_t len, struct oli_desc *d, char *why,
		   size_t why_size)
{
	struct reader r = {.path = path, .why = why, .why_size = why_size};
	int ret;

	if (len > OLI_YAML_MAX) {
		snprintf(why, why_size, "%s: more than %u KiB", path, OLI_YAML_MAX >> 10);
		return -E2BIG;
	}
	r.d = OLI_FAULT() ? NULL : calloc(1, sizeof(*r.d));
	if (!r.d) {
		snprintf(why, why_size, "%s: no memory", path);
		return -ENOMEM;
	}
	ret = parse(&r, text, len, 0);
	if (!ret)
		ret = parse(&r, text, len, 1);
	if (!ret)
		*d = *r.d;
	free(r.d);
	return ret;
}

/* All of the file, as far as it may go and one byte more. Return: bytes, -errno. */
static ssize_t read_file(const char *path, char *buf, size_t size)
{
	int fd = oli_sys_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return fd;
	do {
		n = oli_sys_read(fd, buf + len, size - len);
		if (n > 0)
			len += (size_t)n;
	} while ((n > 0 && len < size) || n == -EINTR);
	oli_sys_close(fd);
	return n < 0 ? n : (ssize_t)len;
}

int oli_yaml_load(const char *path, struct oli_desc *d, char *why, size_t why_size)
{
	char *text = malloc(OLI_YAML_MAX + 1);
	ssize_t len = text ? read_file(path, text, OLI_YAML_MAX + 1) : -ENOMEM;
	int ret = (int)len;

	if (len < 0)
		snprintf(why, why_size, "%s: %s", path, strerror(-ret));
	else
		ret = oli_yaml_parse(path, text, (size_t)len, d, why, why_size);
	free(text);
	return ret;
}
