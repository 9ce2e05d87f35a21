// SPDX-License-Identifier: MIT
/*
 * The machine's records, read and shown.
 *
 * A machine keeps the newest few hundred records in a ring; they are copied out
 * from time to time while a program runs, so that a long run loses few. When a
 * queue pair breaks, every request still in it is flushed: those records say
 * nothing new each, so neighbours of one queue pair are added up.
 *
 * Three forms: a line each (the end of a run), a block each (--report), JSON.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli.h"

#define STATUS_FLUSHED 5 /* IBV_WC_WR_FLUSH_ERR, a number of the verbs ABI */

void records_init(struct records *r, struct olio_machine *m, const char *run)
{
	memset(r, 0, sizeof(*r));
	r->machine = m;
	r->run = run;
	if (!run)
		return;
	/* What was there before the run is not its own: neither shown nor missed. */
	records_collect(r);
	r->lost = 0;
}

void records_fini(struct records *r)
{
	free(r->v);
	r->v = NULL;
	r->nr = r->room = 0;
}

/* The entry that a flush record may be added to: the newest one of its queue pair. */
static struct olio_record_info *flushed_before(struct records *r, const struct olio_record_info *in)
{
	struct olio_record_info *last = r->nr ? &r->v[r->nr - 1] : NULL;

	if (!last || last->status != STATUS_FLUSHED || in->status != STATUS_FLUSHED)
		return NULL;
	return last->pid == in->pid && last->qpn == in->qpn ? last : NULL;
}

static bool make_room(struct records *r)
{
	size_t room = r->room ? 2 * r->room : 64;
	struct olio_record_info *v;

	if (r->nr < r->room)
		return true;
	v = realloc(r->v, room * sizeof(*v));
	if (!v)
		return false;
	r->v = v;
	r->room = room;
	return true;
}

static void add(struct records *r, const struct olio_record_info *in)
{
	struct olio_record_info *same = flushed_before(r, in);

	if (same)
		same->count += in->count;
	else if (make_room(r))
		r->v[r->nr++] = *in;
	else
		r->dropped++;
}

void records_collect(struct records *r)
{
	struct olio_record_info in = {.size = sizeof(in)};
	uint64_t lost = 0;

	while (olio_next_record(r->machine, &r->seq, &in, &lost) == 1) {
		r->lost += lost;
		lost = 0;
		if (!r->run || strcmp(in.run, r->run) == 0)
			add(r, &in);
	}
	r->lost += lost;
}

static void print_line(const struct olio_record_info *r, FILE *f)
{
	fprintf(f, "olio: %s[%d]: ", r->comm, (int)r->pid);
	if (r->status == STATUS_FLUSHED) {
		fprintf(f, "%" PRIu32 " work request%s of QP 0x%06" PRIx32 " flushed after that\n",
			r->count, r->count == 1 ? "" : "s", r->qpn);
		return;
	}
	if (r->status)
		fprintf(f, "%s (WR %" PRIu64 "): ", r->status_name, r->wr_id);
	fputs(r->text, f);
	if (r->count > 1)
		fprintf(f, " (%" PRIu32 " times)", r->count);
	fputc('\n', f);
}

void records_print(const struct records *r, FILE *f, size_t max)
{
	size_t shown = max && r->nr > max ? max : r->nr;

	for (size_t i = 0; i < shown; i++)
		print_line(&r->v[i], f);
	if (shown < r->nr)
		fprintf(f, "olio: … and %zu more: olio run --report FILE writes all of them\n",
			r->nr - shown);
	if (r->lost)
		fprintf(f, "olio: %" PRIu64 " older records were overwritten unread\n", r->lost);
	if (r->dropped)
		fprintf(f, "olio: %" PRIu64 " records found no memory here\n", r->dropped);
	fflush(f);
}

static void save_time(uint64_t ns, FILE *f)
{
	time_t s = (time_t)(ns / 1000000000);
	char buf[64] = "";
	struct tm tm;

	if (localtime_r(&s, &tm))
		strftime(buf, sizeof(buf), "%Y-%m-%d %H:%M:%S", &tm);
	fprintf(f, "%s.%06u\n", buf, (unsigned int)(ns % 1000000000 / 1000));
}

static void save_range(const char *what, uint64_t start, uint64_t len, FILE *f)
{
	if (len)
		fprintf(f, "  %s 0x%" PRIx64 " + %" PRIu64 " bytes\n", what, start, len);
}

static void save_one(const struct olio_record_info *r, FILE *f)
{
	fprintf(f, "record %" PRIu64 "  ", r->seq);
	save_time(r->time_ns, f);
	fprintf(f, "  program       %s[%d]", r->comm, (int)r->pid);
	fprintf(f, *r->run ? "  run %s\n" : "\n", r->run);
	if (r->status)
		fprintf(f, "  completion    %s (%" PRIu32 ")\n", r->status_name, r->status);
	if (r->qpn)
		fprintf(f, "  queue pair    0x%06" PRIx32 " -> 0x%06" PRIx32, r->qpn, r->dest_qpn);
	if (r->qpn && r->peer_pid)
		fprintf(f, " of process %d", (int)r->peer_pid);
	if (r->qpn)
		fprintf(f, "\n  work request  %" PRIu64 " (0x%" PRIx64 ")\n", r->wr_id, r->wr_id);
	if (r->key)
		fprintf(f, "  key           0x%" PRIx32 "\n", r->key);
	save_range("asked for    ", r->want_start, r->want_len, f);
	save_range("key covers   ", r->have_start, r->have_len, f);
	if (r->count > 1)
		fprintf(f, "  stands for    %" PRIu32 " completions\n", r->count);
	fprintf(f, "  why           %s\n\n", r->text);
}

int records_save(const struct records *r, const char *path)
{
	FILE *f = fopen(path, "we");
	bool bad;

	if (!f)
		return -errno;
	for (size_t i = 0; i < r->nr; i++)
		save_one(&r->v[i], f);
	fprintf(f, r->nr == 1 ? "%zu record" : "%zu records", r->nr);
	fprintf(f, r->lost ? ", %" PRIu64 " overwritten unread\n" : "\n", r->lost);
	bad = ferror(f);
	errno = 0;
	if (fclose(f) || bad)
		return errno ? -errno : -EIO;
	return 0;
}

static const struct column columns[] = {
	{"SEQ", "seq", true},
	{"TIME", "time_ns", true},
	{"PID", "pid", true},
	{"COMMAND", "command", false},
	{"RUN", "run", false},
	{"STATUS", "status", true},
	{"NAME", "status_name", false},
	{"QPN", "qpn", true},
	{"PEER", "dest_qpn", true},
	{"PEER-PID", "peer_pid", true},
	{"WR", "wr_id", true},
	{"COUNT", "count", true},
	{"KEY", "key", true},
	{"WANT", "want_start", true},
	{"BYTES", "want_length", true},
	{"HAVE", "have_start", true},
	{"BYTES", "have_length", true},
	{"WHY", "text", false},
};

static void row(struct table *t, const struct olio_record_info *r)
{
	table_row(t);
	table_number(t, r->seq);
	table_number(t, r->time_ns);
	table_number(t, (uint64_t)r->pid);
	table_text(t, r->comm);
	table_text(t, r->run);
	table_number(t, r->status);
	table_text(t, r->status_name);
	table_number(t, r->qpn);
	table_number(t, r->dest_qpn);
	table_number(t, (uint64_t)r->peer_pid);
	table_number(t, r->wr_id);
	table_number(t, r->count);
	table_number(t, r->key);
	table_number(t, r->want_start);
	table_number(t, r->want_len);
	table_number(t, r->have_start);
	table_number(t, r->have_len);
	table_text(t, r->text);
}

int records_print_json(const struct records *r)
{
	struct table *t = table_new("records", columns, sizeof(columns) / sizeof(columns[0]), true);
	int ret;

	if (!t)
		return -ENOMEM;
	for (size_t i = 0; i < r->nr; i++)
		row(t, &r->v[i]);
	puts("{");
	ret = table_print(t);
	puts("\n}");
	return ret;
}
