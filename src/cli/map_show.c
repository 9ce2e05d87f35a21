// SPDX-License-Identifier: MIT
/*
 * What `olio map` prints: the memory as it was asked for, its runs, how each piece got
 * to the device, the segments, and the page list.
 *
 * For people neighbours are joined and long lists are cut; --json has every row.
 */
#include <string.h>

#include "map.h"
#include "topo.h"

#define COLUMNS(c) c, sizeof(c) / sizeof((c)[0])
#define ROWS_SHOWN 24

static const char *const how_names[] = {"direct", "bounced", "p2p by bus address", "p2p by host bridge"};
static const char *const how_words[] = {"direct", "bounced", "p2p-bus", "p2p-host"};

static const char *kind_name(uint32_t kind)
{
	return olio_mem_kind_name((enum olio_mem_kind)kind);
}

static size_t piece_at(const struct job *job, uint64_t offset)
{
	size_t i = job->n - 1;

	while (i && job->piece[i].offset > offset)
		i--;
	return i;
}

/* ---- memory ---- */

static const struct column memory_columns[] = {
	{"MEMORY", "memory", false},
	{"OFFSET", "offset", true},
	{"LENGTH", "length", true},
	{"RUNS", "runs", true},
	{"NOTE", "note", false},
};

static void memory_rows(const struct job *job, struct table *t)
{
	for (size_t i = 0; i < job->n; i++) {
		size_t n;

		olio_mem_runs(job->piece[i].mem, &n);
		table_row(t);
		table_text(t, job->piece[i].text);
		table_number(t, job->piece[i].offset);
		table_number(t, job->piece[i].len);
		table_number(t, n);
		table_text(t, job->piece[i].note);
	}
}

/* ---- runs ---- */

static const struct column run_columns[] = {
	{"OFFSET", "offset", true},
	{"KIND", "kind", false},
	{"PHYSICAL", "pa", true},
	{"LENGTH", "length", true},
};

static void run_rows(const struct job *job, struct table *t)
{
	uint64_t offset = 0;

	for (size_t i = 0; i < job->nruns; i++) {
		const struct olio_run *r = &job->runs[i];

		if (!table_json(t) && i >= ROWS_SHOWN)
			break;
		table_row(t);
		table_number(t, offset);
		table_text(t, kind_name(r->kind));
		table_hex(t, r->pa.v);
		table_number(t, r->len);
		offset += r->len;
	}
}

/* ---- how it got there ---- */

static const struct column piece_columns[] = {
	{"OFFSET", "offset", true},
	{"LENGTH", "length", true},
	{"DMA", "dma", true},
	{"KIND", "kind", false},
	{"HOW", "how", false},
	{"PHYSICAL", "pa", false},
};

static void piece_row(const struct olio_piece *p, bool whole, struct table *t)
{
	char pa[32];

	table_row(t);
	table_number(t, p->offset);
	table_number(t, p->len);
	table_hex(t, p->dma.v);
	table_text(t, kind_name(p->kind));
	table_text(t, (table_json(t) ? how_words : how_names)[p->how & 3]);
	snprintf(pa, sizeof(pa), "0x%llx", (unsigned long long)p->pa.v);
	table_text(t, whole ? pa : "scattered");
}

/* Does @p go on where @last ended, for the device? */
static bool goes_on(const struct job *job, const struct olio_piece *last, const struct olio_piece *p)
{
	return last->kind == p->kind && last->how == p->how &&
	       last->dma.v + last->len == p->dma.v &&
	       piece_at(job, last->offset) == piece_at(job, p->offset);
}

static void piece_rows(const struct job *job, struct table *t)
{
	struct olio_piece p, last = {0};
	bool whole = true;
	size_t pos = 0;

	while (olio_map_next_piece(job->map, &pos, &p) == 1) {
		if (last.len && !table_json(t) && goes_on(job, &last, &p)) {
			whole = whole && last.pa.v + last.len == p.pa.v;
			last.len += p.len;
			continue;
		}
		if (last.len)
			piece_row(&last, whole, t);
		last = p;
		whole = true;
	}
	if (last.len)
		piece_row(&last, whole, t);
}

/* ---- segments and pages ---- */

static const struct column segment_columns[] = {
	{"DMA", "dma", true},
	{"LAST", "last", true},
	{"LENGTH", "length", true},
};

static void segment_rows(const struct job *job, struct table *t)
{
	for (size_t i = 0; i < job->nsegs; i++) {
		table_row(t);
		table_hex(t, job->segs[i].dma.v);
		table_hex(t, job->segs[i].dma.v + job->segs[i].len - 1);
		table_number(t, job->segs[i].len);
	}
}

static const struct column page_columns[] = {
	{"DMA", "dma", true},
	{"PAGES", "pages", true},
};

/* Pages that follow each other are one row. */
static void page_rows(const struct job *job, struct table *t)
{
	struct olio_iova block, start = {0};
	struct olio_block_iter it;
	uint64_t n = 0;

	if (!job->page_size)
		return;
	olio_block_first(&it, job->segs, job->nsegs, job->page_size);
	for (bool more = true; more;) {
		more = olio_block_next(&it, &block);
		if (more && n && block.v == start.v + n * job->page_size) {
			n++;
			continue;
		}
		if (n) {
			table_row(t);
			table_hex(t, start.v);
			table_number(t, n);
		}
		start = block;
		n = 1;
	}
}

/* ---- all of it ---- */

static const struct section {
	const char *key, *title;
	const struct column *columns;
	size_t nr_columns;
	void (*rows)(const struct job *job, struct table *t);
} sections[] = {
	{"memory", "Memory", COLUMNS(memory_columns), memory_rows},
	{"runs", "Runs", COLUMNS(run_columns), run_rows},
	{"pieces", "How it got there", COLUMNS(piece_columns), piece_rows},
	{"segments", "Segments", COLUMNS(segment_columns), segment_rows},
	{"pages", "Page list", COLUMNS(page_columns), page_rows},
};

static int print_section(const struct job *job, const struct section *s, bool json)
{
	struct table *t = table_new(s->key, s->columns, s->nr_columns, json);

	if (!t) {
		cli_error("no memory for a table");
		return CLI_FAILED;
	}
	s->rows(job, t);
	return table_print(t) ? CLI_FAILED : CLI_OK;
}

/* Bytes that went each way. */
static void count_ways(const struct job *job, uint64_t bytes[4])
{
	struct olio_piece p;
	size_t pos = 0;

	while (olio_map_next_piece(job->map, &pos, &p) == 1)
		bytes[p.how & 3] += p.len;
}

static void print_summary(const struct job *job)
{
	uint64_t bytes[4] = {0};
	char text[32], page[32];
	bool first = true;

	printf("%s: %s in %zu run%s, ", job->device, size_text(job->len, text), job->nruns,
	       job->nruns == 1 ? "" : "s");
	if (job->page_size)
		printf("%zu segment%s, %llu page%s of %s:", job->nsegs, job->nsegs == 1 ? "" : "s",
		       (unsigned long long)olio_block_count(job->segs, job->nsegs, job->page_size),
		       olio_block_count(job->segs, job->nsegs, job->page_size) == 1 ? "" : "s",
		       size_text(job->page_size, page));
	else
		printf("%zu segment%s, no page list of any size:", job->nsegs,
		       job->nsegs == 1 ? "" : "s");
	count_ways(job, bytes);
	for (size_t i = 0; i < 4; i++) {
		if (!bytes[i])
			continue;
		printf("%s %s %s", first ? "" : ",", size_text(bytes[i], text), how_names[i]);
		first = false;
	}
	putchar('\n');
}

int map_print(const struct job *job)
{
	int ret = CLI_OK;

	print_summary(job);
	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]) && ret == CLI_OK; i++) {
		if (sections[i].rows == page_rows && !job->page_size)
			continue;
		printf("\n%s\n", sections[i].title);
		ret = print_section(job, &sections[i], false);
		if (sections[i].rows == run_rows && job->nruns > ROWS_SHOWN)
			printf("… and %zu more; --json has them all\n", job->nruns - ROWS_SHOWN);
	}
	return ret;
}

int map_print_json(const struct job *job)
{
	int ret = CLI_OK;

	printf("{\n   \"device\": \"%s\",\n   \"length\": %llu,\n   \"page_size\": %llu,\n", job->device,
	       (unsigned long long)job->len, (unsigned long long)job->page_size);
	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]) && ret == CLI_OK; i++) {
		if (i)
			puts(",");
		ret = print_section(job, &sections[i], true);
	}
	puts("\n}");
	return ret;
}
