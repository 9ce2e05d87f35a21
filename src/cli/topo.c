// SPDX-License-Identifier: MIT
/*
 * olio topo: what a machine looks like, to devices.
 *
 * The tree of buses with what is known of each device, and the matrix of peers:
 * a row for each device that has BARs, a column for each device that could be told
 * their addresses. The matrix is worked out on the tree as it is now.
 *
 * A type is shown on a private machine of it, so that what is printed is what a
 * machine of that type has, not what its description says.
 */
#include <stdlib.h>
#include <string.h>

#include "topo.h"

#define COLUMNS(c) c, sizeof(c) / sizeof((c)[0])
#define MAX_NODES 64

struct tree {
	struct olio_node_info node[MAX_NODES];
	size_t n;
};

const char *size_text(uint64_t bytes, char out[32])
{
	static const char *const unit[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	size_t u = 0;

	while (u < 4 && bytes && bytes % 1024 == 0) {
		bytes /= 1024;
		u++;
	}
	snprintf(out, 32, "%llu %s", (unsigned long long)bytes, unit[u]);
	return out;
}

static void read_tree(struct olio_machine *m, struct tree *tree)
{
	uint32_t pos = 0;

	for (tree->n = 0; tree->n < MAX_NODES; tree->n++) {
		tree->node[tree->n].size = sizeof(tree->node[0]);
		if (olio_next_node(m, &pos, &tree->node[tree->n]) != 1)
			break;
	}
}

static bool is_device(const struct olio_node_info *n)
{
	return strcmp(n->kind, "endpoint") == 0 || strcmp(n->kind, "platform") == 0;
}

/* ---- the machine ---- */

static void page_sizes_text(uint64_t sizes, char *out, size_t size)
{
	size_t len = 0;
	char one[32];

	for (unsigned int bit = 0; bit < 64 && len < size; bit++) {
		if (sizes >> bit & 1)
			len += (size_t)snprintf(out + len, size - len, "%s%s", len ? ", " : "",
						size_text(1ull << bit, one));
	}
}

static void print_machine(const struct olio_machine_info *i)
{
	char ram[32], granule[32], bounce[32], pages[256] = "";

	printf("%s: %s\n", i->type, *i->about ? i->about : "(no description)");
	printf("  memory  %s%s, %s, cache lines of %u bytes\n", size_text(i->ram_bytes, ram),
	       i->encrypted ? ", encrypted" : "", i->scattered ? "scattered" : "linear", i->cache_line);
	if (strcmp(i->iommu, "none") == 0) {
		printf("  iommu   none: DMA address = physical address + 0x%llx\n",
		       (unsigned long long)i->dma_offset);
	} else {
		page_sizes_text(i->page_sizes, pages, sizeof(pages));
		printf("  iommu   %s, granule %s, pages of %s\n", i->iommu,
		       size_text(i->granule, granule), pages);
	}
	printf("  bounce  %s\n", i->bounce_bytes ? size_text(i->bounce_bytes, bounce) : "no buffers");
	printf("  BARs    bus address = physical address - 0x%llx\n\n",
	       (unsigned long long)i->bus_offset);
}

static const struct column machine_columns[] = {
	{"", "name", false},
	{"", "type", false},
	{"", "about", false},
	{"", "ram_bytes", true},
	{"", "encrypted", true},
	{"", "scattered", true},
	{"", "cache_line", true},
	{"", "iommu", false},
	{"", "granule", true},
	{"", "page_sizes", true},
	{"", "bounce_bytes", true},
	{"", "dma_offset", true},
	{"", "bus_offset", true},
};

static int machine_json(const struct olio_machine_info *i)
{
	struct table *t = table_new("machine", COLUMNS(machine_columns), true);

	if (!t)
		return CLI_FAILED;
	table_row(t);
	table_text(t, i->name);
	table_text(t, i->type);
	table_text(t, i->about);
	table_number(t, i->ram_bytes);
	table_number(t, i->encrypted);
	table_number(t, i->scattered);
	table_number(t, i->cache_line);
	table_text(t, i->iommu);
	table_number(t, i->granule);
	table_number(t, i->page_sizes);
	table_number(t, i->bounce_bytes);
	table_number(t, i->dma_offset);
	table_number(t, i->bus_offset);
	return table_print(t) ? CLI_FAILED : CLI_OK;
}

/* ---- the tree ---- */

static const struct column node_columns[] = {
	{"NODE", "node", false},
	{"ADDRESS", "address", false},
	{"KIND", "kind", false},
	{"IOMMU", "iommu", false},
	{"COHERENT", "coherent", false},
	{"BITS", "dma_bits", false},
	{"ACS", "acs", false},
	{"PROPERTIES", "properties", false},
	{"BARS", "bars", false},
};

static void add_word(char *out, size_t size, const char *word)
{
	size_t len = strlen(out);

	snprintf(out + len, size - len, "%s%s", len ? ", " : "", word);
}

static void properties_text(const struct olio_node_info *n, char *out, size_t size)
{
	char word[64], one[32];

	*out = '\0';
	if (n->p2p)
		add_word(out, size, "passes peer traffic");
	if (!is_device(n))
		return;
	if (n->rdma)
		add_word(out, size, "RDMA");
	if (!n->trusted)
		add_word(out, size, "untrusted");
	if (n->tee)
		add_word(out, size, "reads private memory");
	if (n->force_bounce)
		add_word(out, size, "always bounced");
	if (strcmp(n->granule, "expose") != 0) {
		snprintf(word, sizeof(word), "partial granules: %s", n->granule);
		add_word(out, size, word);
	}
	if (n->max_segment) {
		snprintf(word, sizeof(word), "segments up to %s", size_text(n->max_segment, one));
		add_word(out, size, word);
	}
	if (n->boundary) {
		snprintf(word, sizeof(word), "boundary %s", size_text(n->boundary, one));
		add_word(out, size, word);
	}
}

static void bars_text(const struct olio_node_info *n, char *out, size_t size)
{
	char word[80], one[32];

	*out = '\0';
	for (uint32_t b = 0; b < n->bars && b < 6; b++) {
		if (!n->bar[b].len)
			continue;
		snprintf(word, sizeof(word), "%u: %s at 0x%llx%s", b, size_text(n->bar[b].len, one),
			 (unsigned long long)n->bar[b].pa, n->bar[b].provider ? " for peers" : "");
		add_word(out, size, word);
	}
}

static void node_row(struct table *t, const struct olio_node_info *n)
{
	char text[400];

	table_text(t, n->name);
	table_text(t, n->address);
	table_text(t, n->kind);
	table_text(t, n->iommu);
	table_text(t, !is_device(n) ? "" : n->coherent ? "yes" : "no");
	snprintf(text, sizeof(text), "%u", n->dma_bits);
	table_text(t, is_device(n) ? text : "");
	table_text(t, n->acs);
	properties_text(n, text, sizeof(text));
	table_text(t, text);
	bars_text(n, text, sizeof(text));
	table_text(t, text);
}

/* Parents come before their children. */
static int print_nodes(const struct tree *tree, bool json)
{
	struct table *t = table_tree("nodes", COLUMNS(node_columns), json);
	size_t row[MAX_NODES];

	if (!t)
		return CLI_FAILED;
	for (size_t i = 0; i < tree->n; i++) {
		const struct olio_node_info *n = &tree->node[i];

		row[i] = n->parent < i ? table_row_below(t, row[n->parent]) : table_row(t);
		node_row(t, n);
	}
	return table_print(t) ? CLI_FAILED : CLI_OK;
}

/* ---- peers ---- */

static const char *const type_names[] = {"not-supported", "bus-address", "through-host-bridge"};

static void pair_text(const struct olio_p2p *p, char *out, size_t size)
{
	if (p->type == OLIO_P2P_NOT_SUPPORTED)
		snprintf(out, size, "%s", olio_reason_name(p->reason));
	else
		snprintf(out, size, "%s %u", p->type == OLIO_P2P_BUS_ADDR ? "bus" : "host",
			 p->distance);
}

static int print_matrix(struct olio_machine *m, const struct tree *tree)
{
	struct column cols[MAX_NODES + 1] = {{"PROVIDER", "provider", false}};
	size_t client[MAX_NODES], n = 0;
	struct table *t;

	for (size_t i = 0; i < tree->n; i++) {
		if (!is_device(&tree->node[i]))
			continue;
		client[n++] = i;
		cols[n] = (struct column){tree->node[i].name, tree->node[i].name, false};
	}
	t = table_new("p2p", cols, n + 1, false);
	if (!t)
		return CLI_FAILED;
	for (size_t i = 0; i < tree->n; i++) {
		if (!is_device(&tree->node[i]) || !tree->node[i].bars)
			continue;
		table_row(t);
		table_text(t, tree->node[i].name);
		for (size_t k = 0; k < n; k++) {
			struct olio_p2p p = {0};
			char cell[64] = "?";

			if (!olio_node_p2p(m, (uint32_t)i, (uint32_t)client[k], &p))
				pair_text(&p, cell, sizeof(cell));
			table_text(t, cell);
		}
	}
	if (table_rows(t))
		printf("\nWho reaches whose BARs: \"bus\" by bus address below a common port, \"host\" by\n"
		       "way of the host bridge, with the number of ports between; else why not.\n\n");
	return table_print(t) ? CLI_FAILED : CLI_OK;
}

static const struct column pair_columns[] = {
	{"", "provider", false},
	{"", "client", false},
	{"", "type", false},
	{"", "distance", true},
	{"", "reason", false},
};

static int pairs_json(struct olio_machine *m, const struct tree *tree)
{
	struct table *t = table_new("p2p", COLUMNS(pair_columns), true);

	if (!t)
		return CLI_FAILED;
	for (size_t i = 0; i < tree->n; i++) {
		for (size_t k = 0; k < tree->n; k++) {
			struct olio_p2p p = {0};

			if (!is_device(&tree->node[i]) || !tree->node[i].bars ||
			    !is_device(&tree->node[k]) ||
			    olio_node_p2p(m, (uint32_t)i, (uint32_t)k, &p))
				continue;
			table_row(t);
			table_text(t, tree->node[i].name);
			table_text(t, tree->node[k].name);
			table_text(t, type_names[p.type]);
			table_number(t, p.distance);
			table_text(t, olio_reason_name(p.reason));
		}
	}
	return table_print(t) ? CLI_FAILED : CLI_OK;
}

/* ---- the command ---- */

static int print_all(struct olio_machine *m, bool json)
{
	struct olio_machine_info info = {.size = sizeof(info)};
	struct tree *tree = calloc(1, sizeof(*tree));
	int ret;

	if (!tree || olio_machine_info(m, &info)) {
		free(tree);
		return CLI_FAILED;
	}
	read_tree(m, tree);
	if (json) {
		puts("{");
		ret = machine_json(&info);
		puts(",");
		ret |= print_nodes(tree, true);
		puts(",");
		ret |= pairs_json(m, tree);
		puts("\n}");
	} else {
		print_machine(&info);
		ret = print_nodes(tree, false);
		ret |= print_matrix(m, tree);
	}
	free(tree);
	return ret ? CLI_FAILED : CLI_OK;
}

static int print_yaml(struct olio_machine *m)
{
	size_t len = 0;
	char *text;
	int ret;

	ret = olio_machine_yaml(m, NULL, 0, &len);
	text = malloc(len + 1);
	if (!text || olio_machine_yaml(m, text, len + 1, &len)) {
		cli_error("no memory for the description");
		ret = CLI_FAILED;
	} else {
		fputs(text, stdout);
		ret = CLI_OK;
	}
	free(text);
	return ret;
}

static const struct column type_columns[] = {
	{"TYPE", "type", false},
	{"ABOUT", "about", false},
};

static int print_types(bool json)
{
	struct table *t = table_new("types", COLUMNS(type_columns), json);
	const char *name, *about;
	uint32_t pos = 0;
	int ret;

	if (!t)
		return CLI_FAILED;
	while (olio_machine_types(&pos, &name, &about) == 1) {
		table_row(t);
		table_text(t, name);
		table_text(t, about);
	}
	if (json)
		puts("{");
	ret = table_print(t);
	if (json)
		puts("\n}");
	return ret ? CLI_FAILED : CLI_OK;
}

struct options {
	const char *machine, *type;
	bool host, types, json, yaml;
};

static int parse(const struct command *cmd, int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{"machine", required_argument, NULL, 'm'},
		{"machine-type", required_argument, NULL, 't'},
		{"host", no_argument, NULL, 'H'},
		{"types", no_argument, NULL, 'T'},
		{"json", no_argument, NULL, 'j'},
		{"yaml", no_argument, NULL, 'y'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int c;

	while ((c = cli_getopt(cmd, argc, argv, ":m:h", longs)) != -1) {
		if (c == 'm')
			o->machine = optarg;
		else if (c == 't')
			o->type = optarg;
		else if (c == 'H')
			o->host = true;
		else if (c == 'T')
			o->types = true;
		else if (c == 'j')
			o->json = true;
		else if (c == 'y')
			o->yaml = true;
		else if (c == 'h')
			return fputs(cmd->help, stdout), LAUNCH_OVER(CLI_OK);
		else
			return LAUNCH_OVER(CLI_USAGE);
	}
	if (optind < argc) {
		cli_error("'olio topo' takes no argument '%s'", argv[optind]);
		return LAUNCH_OVER(CLI_USAGE);
	}
	if (!!o->machine + !!o->type + o->host + o->types > 1 || (o->json && o->yaml) ||
	    (o->yaml && (o->host || o->types))) {
		cli_error("these options of 'olio topo' exclude each other; see 'olio help topo'");
		return LAUNCH_OVER(CLI_USAGE);
	}
	return 0;
}

static int run(const struct command *cmd, int argc, char **argv)
{
	struct options o = {0};
	struct olio_machine *m;
	int ret = parse(cmd, argc, argv, &o);

	if (ret)
		return LAUNCH_STATUS(ret);
	if (o.types)
		return print_types(o.json);
	if (o.host)
		return topo_host(o.json);
	if (o.machine)
		ret = cli_machine_open(o.machine, false, NULL, &m);
	else if (o.type || olio_machine_open(NULL, OLIO_MACHINE_NO_CREATE, &m, NULL, 0))
		ret = cli_machine_private(o.type, &m);
	if (ret)
		return ret;
	ret = o.yaml ? print_yaml(m) : print_all(m, o.json);
	olio_machine_close(m);
	return ret;
}

const struct command cmd_topo = {
	.name = "topo",
	.summary = "show a machine's buses, IOMMU and who reaches whom",
	.help = "usage: olio topo [-m MACHINE | --machine-type TYPE | --host | --types] [--json | --yaml]\n\n"
		"Show the tree of buses with what each device can do, and which device reaches the\n"
		"BARs of which other one, how, and why not.\n\n"
		"  -m, --machine MACHINE  one that exists: its name or directory (default:\n"
		"                         $OLIO_MACHINE or \"default\", if it exists)\n"
		"      --machine-type TYPE\n"
		"                         a built-in type, or a file that ends in .yaml, see\n"
		"                         olio-machine(5) (default: $OLIO_MACHINE_TYPE or \"pc\")\n"
		"      --host             the PCI tree of this computer, as far as it can be read\n"
		"      --types            list the built-in types\n"
		"      --json             one JSON object; nodes have \"children\"\n"
		"      --yaml             the machine's description, to be changed and used again\n",
	.run = run,
};
