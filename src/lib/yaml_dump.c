// SPDX-License-Identifier: MIT
/*
 * Printing a machine description, so that reading it gives the same one again.
 *
 * Of the machine every key is printed; of a node what is not as a new node has it.
 * What oli_desc_check() gives out (buses, addresses) has no key.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/desc_yaml.h"

static void print_text(const char *s, FILE *f)
{
	fputc('"', f);
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			fputc('\\', f);
		fputc(*s, f);
	}
	fputc('"', f);
}

static void print_section(const struct oli_desc *d, enum oli_key_place place, const char *indent,
			  FILE *f)
{
	for (u32 i = 0; i < oli_nr_keys; i++) {
		const struct oli_key *k = &oli_keys[i];

		if (k->place != place || k->form == OLI_KEY_BASE || k->form == OLI_KEY_LIST)
			continue;
		fprintf(f, "%s%s:", indent, k->name);
		if (k->form == OLI_KEY_MAP) {
			fputc('\n', f);
			print_section(d, k->sub, "  ", f);
			continue;
		}
		fputc(' ', f);
		if (k->form == OLI_KEY_TEXT)
			print_text((const char *)d + k->offset, f);
		else
			oli_key_print(k, oli_key_get(k, d), f);
		fputc('\n', f);
	}
}

static void print_bars(const struct oli_node *n, FILE *f)
{
	bool first = true;

	for (u32 b = 0; b < OLI_BARS; b++) {
		if (!n->bar[b].len)
			continue;
		if (first)
			fputs("    bars:\n", f);
		first = false;
		fprintf(f, "      - {bar: %u", b);
		for (u32 i = 0; i < oli_nr_keys; i++) {
			const struct oli_key *k = &oli_keys[i];

			if (k->place != OLI_KEY_BAR || !k->width)
				continue;
			fprintf(f, ", %s: ", k->name);
			oli_key_print(k, oli_key_get(k, &n->bar[b]), f);
		}
		fputs("}\n", f);
	}
}

static void print_node(const struct oli_desc *d, const struct oli_node *n, FILE *f)
{
	struct oli_node fresh;

	oli_node_fresh(n->kind, &fresh);
	fprintf(f, "  - name: %s\n    kind: %s\n", n->name, oli_node_kind_name(n->kind));
	for (u32 i = 0; i < oli_nr_keys; i++) {
		const struct oli_key *k = &oli_keys[i];

		if (k->place != OLI_KEY_NODE || k->form == OLI_KEY_TEXT || k->form == OLI_KEY_LIST)
			continue;
		if (oli_key_get(k, n) == oli_key_get(k, &fresh))
			continue;
		fprintf(f, "    %s: ", k->name);
		if (k->form == OLI_KEY_PARENT)
			fputs(n->parent < d->nr_nodes ? d->node[n->parent].name : "none", f);
		else
			oli_key_print(k, oli_key_get(k, n), f);
		fputc('\n', f);
	}
	print_bars(n, f);
}

int oli_yaml_dump(const struct oli_desc *d, char **text, size_t *len)
{
	FILE *f = open_memstream(text, len);
	bool failed;

	if (!f)
		return -ENOMEM;
	print_section(d, OLI_KEY_TOP, "", f);
	fputs(d->nr_nodes ? "nodes:\n" : "nodes: []\n", f);
	for (u32 i = 0; i < d->nr_nodes; i++)
		print_node(d, &d->node[i], f);
	failed = ferror(f);
	if (fclose(f) || failed) {
		free(*text);
		return -ENOMEM;
	}
	return 0;
}
