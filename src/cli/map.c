// SPDX-License-Identifier: MIT
/*
 * olio map: what becomes of memory when a device gets it.
 *
 * Makes a private machine, the memory that the command line names, and one map of all
 * of it; shows that, and takes everything down again. A refusal is the answer, too:
 * one line with its reason, and exit status 1.
 */
#include <stdlib.h>
#include <string.h>

#include "map.h"

struct options {
	const char *type, *device, *svg;
	uint32_t attrs;
	enum olio_dir dir;
	int granule; /* -1: the device's own */
	unsigned int mask;
	bool json;
};

struct word {
	const char *name;
	int value;
};

static const struct word dirs[] = {
	{"to", OLIO_TO_DEVICE}, {"from", OLIO_FROM_DEVICE}, {"both", OLIO_BIDIRECTIONAL}, {0}};
static const struct word granules[] = {{"expose", OLIO_GRANULE_EXPOSE},
				       {"bounce", OLIO_GRANULE_BOUNCE},
				       {"refuse", OLIO_GRANULE_REFUSE},
				       {0}};
static const struct word attributes[] = {{"require-coherent", OLIO_ATTR_REQUIRE_COHERENT},
					 {"mmio", OLIO_ATTR_MMIO},
					 {"cc-shared", OLIO_ATTR_CC_SHARED},
					 {"skip-cpu-sync", OLIO_ATTR_SKIP_CPU_SYNC},
					 {"privileged", OLIO_ATTR_PRIVILEGED},
					 {0}};

/* Return: the word's value, -1 after a message that lists the words. */
static int find_word(const struct word *words, const char *option, const char *name, size_t len)
{
	char known[128] = "";
	size_t at = 0;

	for (; words->name; words++) {
		if (strlen(words->name) == len && strncmp(words->name, name, len) == 0)
			return words->value;
		at += (size_t)snprintf(known + at, sizeof(known) - at, "%s%s", at ? ", " : "",
				       words->name);
	}
	cli_error("option '--%s' takes %s, not '%.*s'", option, known, (int)(len < 64 ? len : 64),
		  name);
	return -1;
}

static bool parse_attrs(const char *list, uint32_t *out)
{
	for (*out = 0;; list++) {
		size_t len = strcspn(list, ",");
		int bit = find_word(attributes, "attr", list, len);

		if (bit < 0)
			return false;
		*out |= (uint32_t)bit;
		list += len;
		if (!*list)
			return true;
	}
}

static bool parse_mask(const char *text, unsigned int *out)
{
	const char *end;
	uint64_t bits;

	if (size_parse(text, &end, &bits) && !*end && bits >= 12 && bits <= 64) {
		*out = (unsigned int)bits;
		return true;
	}
	cli_error("option '--mask' takes a number of bits from 12 to 64, not '%s'", text);
	return false;
}

static bool one_option(int c, struct options *o)
{
	int word;

	switch (c) {
	case 't':
		o->type = optarg;
		return true;
	case 'd':
		o->device = optarg;
		return true;
	case 's':
		o->svg = optarg;
		return true;
	case 'j':
		o->json = true;
		return true;
	case 'D':
		word = find_word(dirs, "dir", optarg, strlen(optarg));
		o->dir = (enum olio_dir)word;
		return word >= 0;
	case 'g':
		o->granule = find_word(granules, "granule", optarg, strlen(optarg));
		return o->granule >= 0;
	case 'a':
		return parse_attrs(optarg, &o->attrs);
	case 'M':
		return parse_mask(optarg, &o->mask);
	default:
		return false;
	}
}

static int parse(const struct command *cmd, int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{"machine-type", required_argument, NULL, 't'},
		{"device", required_argument, NULL, 'd'},
		{"dir", required_argument, NULL, 'D'},
		{"attr", required_argument, NULL, 'a'},
		{"granule", required_argument, NULL, 'g'},
		{"mask", required_argument, NULL, 'M'},
		{"svg", required_argument, NULL, 's'},
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int c;

	while ((c = cli_getopt(cmd, argc, argv, ":h", longs)) != -1) {
		if (c == 'h')
			return fputs(cmd->help, stdout), LAUNCH_OVER(CLI_OK);
		if (!one_option(c, o))
			return LAUNCH_OVER(CLI_USAGE);
	}
	if (!o->device) {
		cli_error("'olio map' needs --device; 'olio topo' shows what there is");
		return LAUNCH_OVER(CLI_USAGE);
	}
	if (optind == argc || argc - optind > MAX_PIECES) {
		cli_error("'olio map' needs 1 to %d pieces of memory; see 'olio help map'",
			  MAX_PIECES);
		return LAUNCH_OVER(CLI_USAGE);
	}
	return 0;
}

/* ---- the work ---- */

static int no_device(struct job *job, const char *name)
{
	struct olio_node_info n = {.size = sizeof(n)};
	char known[512] = "";
	uint32_t pos = 0;
	size_t at = 0;

	while (olio_next_node(job->machine, &pos, &n) == 1 && at < sizeof(known)) {
		if (strcmp(n.kind, "endpoint") == 0 || strcmp(n.kind, "platform") == 0)
			at += (size_t)snprintf(known + at, sizeof(known) - at, "%s%s",
					       at ? ", " : "", n.name);
	}
	cli_error("no device '%s' on this machine; it has: %s", name, *known ? known : "none");
	return CLI_USAGE;
}

static int open_device(struct job *job, const struct options *o)
{
	int ret = olio_dev_open(job->machine, o->device, &job->dev);

	if (ret && olio_why()->reason == OLIO_REASON_NO_DEVICE)
		return no_device(job, o->device);
	if (!ret && o->mask)
		ret = olio_dev_set_mask(job->dev, o->mask);
	if (!ret && o->granule >= 0)
		ret = olio_dev_set_granule(job->dev, (enum olio_granule)o->granule);
	if (!ret)
		return 0;
	cli_error("%s: %s", o->device, olio_why()->text);
	return CLI_FAILED;
}

static int collect_runs(struct job *job)
{
	size_t at = 0;

	for (size_t i = 0; i < job->n; i++) {
		size_t n;

		olio_mem_runs(job->piece[i].mem, &n);
		job->nruns += n;
		job->piece[i].offset = job->len;
		job->len += job->piece[i].len;
	}
	job->runs = calloc(job->nruns, sizeof(*job->runs));
	if (!job->runs) {
		cli_error("no memory for %zu runs", job->nruns);
		return CLI_FAILED;
	}
	for (size_t i = 0; i < job->n; i++) {
		const struct olio_run *runs;
		size_t n;

		runs = olio_mem_runs(job->piece[i].mem, &n);
		memcpy(job->runs + at, runs, n * sizeof(*runs));
		at += n;
	}
	return 0;
}

static int make_pieces(struct job *job, char **texts)
{
	int ret = 0;

	for (; *texts && !ret; texts++)
		ret = piece_make(job, &job->piece[job->n++], *texts);
	return ret ? ret : collect_runs(job);
}

static const struct column refused_columns[] = {{"", "reason", false}, {"", "text", false}};

static void say_refused(const struct options *o)
{
	const struct olio_why *why = olio_why();
	struct table *t = o->json ? table_new("refused", refused_columns, 2, true) : NULL;

	if (t) {
		puts("{");
		table_row(t);
		table_text(t, olio_reason_name(why->reason));
		table_text(t, why->text);
		table_print(t);
		puts("\n}");
	}
	cli_error("refused (%s): %s", olio_reason_name(why->reason), why->text);
}

static int map_and_show(struct job *job, const struct options *o)
{
	int ret = olio_map_list(job->dev, job->runs, job->nruns, o->dir, o->attrs, &job->map);

	if (ret) {
		say_refused(o);
		return CLI_FAILED;
	}
	job->segs = olio_map_segs(job->map, &job->nsegs);
	job->page_size = olio_best_page_size(job->segs, job->nsegs,
					     job->nsegs ? job->segs[0].dma.v : 0, ~0xfffull);
	ret = o->json ? map_print_json(job) : map_print(job);
	if (!ret && o->svg) {
		ret = map_draw(job, o->svg);
		if (ret)
			cli_error("cannot write %s: %s", o->svg, strerror(-ret));
		ret = ret ? CLI_FAILED : CLI_OK;
	}
	olio_map_unmap(job->map);
	return ret;
}

static int run(const struct command *cmd, int argc, char **argv)
{
	struct options o = {.dir = OLIO_BIDIRECTIONAL, .granule = -1};
	struct job *job;
	int ret = parse(cmd, argc, argv, &o);

	if (ret)
		return LAUNCH_STATUS(ret);
	job = calloc(1, sizeof(*job));
	if (!job)
		return CLI_FAILED;
	job->device = o.device;
	job->dir = o.dir;
	job->attrs = o.attrs;
	ret = cli_machine_private(o.type, &job->machine);
	if (!ret)
		ret = open_device(job, &o);
	if (!ret)
		ret = make_pieces(job, argv + optind);
	if (!ret)
		ret = map_and_show(job, &o);
	for (size_t i = 0; i < job->n; i++)
		piece_free(&job->piece[i]);
	olio_dev_close(job->dev);
	olio_machine_close(job->machine);
	free(job->runs);
	free(job);
	return ret;
}

const struct command cmd_map = {
	.name = "map",
	.summary = "show what becomes of memory when a device gets it",
	.help = "usage: olio map --device DEVICE [OPTIONS] MEMORY …\n\n"
		"Make the pieces of MEMORY on a machine of its own, map them for DEVICE as one list\n"
		"and show its runs, how each got there, the segments, and the page list. If the\n"
		"machine cannot do that, the reason is said and the exit status is 1.\n\n"
		"MEMORY is one of, with sizes like 4096, 64K, 2M:\n"
		"  anon:LENGTH[@OFFSET]   fresh memory, from OFFSET bytes behind a page's start\n"
		"  huge:LENGTH[@OFFSET]   of huge pages, if the host has any\n"
		"  memfd:LENGTH[@OFFSET]  of a memfd\n"
		"  file:PATH[:OFFSET:LENGTH]\n"
		"                         pages of a file, mapped privately\n"
		"  bar:DEVICE:NUMBER:OFFSET:LENGTH\n"
		"                         memory of another device\n"
		"  shared:LENGTH, private:LENGTH\n"
		"                         on an encrypting machine: open to devices, or not\n\n"
		"      --machine-type TYPE\n"
		"                         'olio topo --types' lists them; or a file that ends in .yaml\n"
		"      --dir to|from|both which way (default: both)\n"
		"      --attr NAME[,NAME] require-coherent, mmio, cc-shared, skip-cpu-sync, privileged\n"
		"      --granule expose|bounce|refuse\n"
		"                         what becomes of pages that are shared with other memory\n"
		"      --mask BITS        address bits of the device (12 to 64)\n"
		"      --svg FILE         draw it\n"
		"      --json             one JSON object\n",
	.run = run,
};
