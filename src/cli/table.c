// SPDX-License-Identifier: MIT
/*
 * Tables for people and arrays for programs, from the same rows.
 *
 * libsmartcols lays out both. It prints one JSON object a table; as a command
 * prints several arrays in one object, the braces around each are cut off here
 * and the caller prints its own.
 */
#include <errno.h>
#include <inttypes.h>
#include <libsmartcols.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

struct table {
	struct libscols_table *tb;
	struct libscols_line *line;
	size_t next; /* column of the next cell */
	bool json;
};

static int add_column(struct table *t, const struct column *col, int flags)
{
	struct libscols_column *c;

	c = scols_table_new_column(t->tb, t->json ? col->key : col->title, 0,
				   flags | (col->number ? SCOLS_FL_RIGHT : 0));
	if (!c)
		return -ENOMEM;
	return col->number ? scols_column_set_json_type(c, SCOLS_JSON_NUMBER) : 0;
}

static struct table *new_table(const char *name, const struct column *cols, size_t n, bool json,
			       int first)
{
	struct table *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->json = json;
	t->tb = scols_new_table();
	if (!t->tb)
		goto fail;
	if (scols_table_set_name(t->tb, name) || scols_table_enable_json(t->tb, json))
		goto fail;
	for (size_t i = 0; i < n; i++) {
		if (add_column(t, &cols[i], i ? 0 : first))
			goto fail;
	}
	return t;
fail:
	scols_unref_table(t->tb);
	free(t);
	return NULL;
}

struct table *table_new(const char *name, const struct column *cols, size_t n, bool json)
{
	return new_table(name, cols, n, json, 0);
}

struct table *table_tree(const char *name, const struct column *cols, size_t n, bool json)
{
	return new_table(name, cols, n, json, SCOLS_FL_TREE);
}

bool table_json(const struct table *t)
{
	return t->json;
}

size_t table_row(struct table *t)
{
	t->line = scols_table_new_line(t->tb, NULL);
	t->next = 0;
	return table_rows(t) - 1;
}

size_t table_row_below(struct table *t, size_t parent)
{
	t->line = scols_table_new_line(t->tb, scols_table_get_line(t->tb, parent));
	t->next = 0;
	return table_rows(t) - 1;
}

/* Names come from other processes: only printable ASCII reaches the terminal or the JSON text. */
void table_text(struct table *t, const char *s)
{
	char clean[512];
	size_t i;

	for (i = 0; s[i] && i < sizeof(clean) - 1; i++)
		clean[i] = s[i] >= ' ' && s[i] <= '~' ? s[i] : '?';
	clean[i] = '\0';
	if (t->line)
		scols_line_set_data(t->line, t->next, clean);
	t->next++;
}

void table_number(struct table *t, uint64_t v)
{
	char buf[32];

	snprintf(buf, sizeof(buf), "%" PRIu64, v);
	table_text(t, buf);
}

void table_hex(struct table *t, uint64_t v)
{
	char buf[32];

	snprintf(buf, sizeof(buf), t->json ? "%" PRIu64 : "0x%" PRIx64, v);
	table_text(t, buf);
}

size_t table_rows(const struct table *t)
{
	return scols_table_get_nlines(t->tb);
}

/* "{\n   "name": [ … ]\n}\n" without its first and last line. */
static void print_member(char *text)
{
	char *start = strchr(text, '\n');
	char *end = strrchr(text, '}');

	if (!start || !end || end < start)
		return;
	while (end > start && end[-1] == '\n')
		end--;
	fwrite(start + 1, 1, (size_t)(end - start - 1), stdout);
}

static int print_json(struct table *t)
{
	char *text = NULL;
	int ret = scols_print_table_to_string(t->tb, &text);

	if (ret == 0)
		print_member(text);
	free(text);
	return ret;
}

int table_print(struct table *t)
{
	int ret = t->json ? print_json(t) : scols_print_table(t->tb);

	scols_unref_table(t->tb);
	free(t);
	return ret;
}
