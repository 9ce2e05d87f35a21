// SPDX-License-Identifier: MIT
/*
 * `olio map --svg`: a drawing of a map.
 *
 *   program memory    in the order of the list       #1##1##2####3#
 *                                                      \ X  \/  |
 *   physical          in ascending order             ##1##3###1##2#
 *                                                      | \/  X  |
 *   DMA addresses     in ascending order             ###1#1#2###3##
 *
 *   atom   what the library reports as one piece of the map
 *   strip  neighbouring atoms of one piece of memory that got there in one way; it is
 *          one box of each band, as wide in all three, and two ribbons between them
 *   gap    between strips whose addresses do not follow each other
 *
 * A map of many pages has more atoms than can be told apart: then a strip stands for
 * several, and its place in the physical band is that of its lowest page. Widths grow
 * with lengths but have a least one, so that the number in each box can be read; what
 * the numbers mean is in the list below. A label that has no room is left out: it is in
 * that list, too.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "map.h"
#include "topo.h"

#define WIDTH	     1200.0
#define LEFT	     130.0
#define RIGHT	     20.0
#define BAND	     34.0 /* height */
#define TOP	     92.0
#define STEP	     150.0 /* from band to band */
#define LEAST	     18.0
#define GAP	     6.0
#define MOST	     40 /* strips */
#define LINE	     17.0
#define LONG_LIST    12 /* pieces */
#define LIST_COLUMNS 4
#define CHAR	     6.4 /* width of a letter at 11 px */

struct strip {
	size_t piece; /* index */
	uint64_t offset, len, pa, dma;
	uint32_t kind, how;
	size_t atoms;
	bool whole; /* its physical addresses follow each other */
	double w;
	double x[3]; /* in each band */
};

struct drawing {
	const struct job *job;
	FILE *f;
	struct strip *strip;
	size_t n;
	double gap;
};

static const char *const fill[] = {"#9ecae1", "#c6b8dd", "#a8ddb5", "#fdd0a2"}; /* by kind */
static const char *const stroke[] = {"#2b6ca3", "#d9480f", "#2b8a3e", "#0b7285"}; /* by how */
static const char *const how_text[] = {"mapped directly", "bounced: a copy", "peer, by bus address",
				       "peer, by host bridge"};

/* ---- strips ---- */

static size_t piece_of(const struct job *job, uint64_t offset)
{
	size_t i = job->n - 1;

	while (i && job->piece[i].offset > offset)
		i--;
	return i;
}

static size_t count_atoms(const struct job *job)
{
	struct olio_piece p;
	size_t pos = 0, n = 0;

	while (olio_map_next_piece(job->map, &pos, &p) == 1)
		n++;
	return n;
}

static bool belongs(const struct job *job, const struct strip *s, const struct olio_piece *p,
		    size_t most)
{
	return s->piece == piece_of(job, p->offset) && s->kind == p->kind && s->how == p->how &&
	       s->dma + s->len == p->dma.v && s->atoms < most;
}

static void append(struct strip *s, const struct olio_piece *p)
{
	s->whole = s->whole && s->pa + s->len == p->pa.v;
	if (p->pa.v < s->pa)
		s->pa = p->pa.v;
	s->len += p->len;
	s->atoms++;
}

/* At most @most atoms a strip. */
static void make_strips(struct drawing *d, size_t most)
{
	const struct job *job = d->job;
	struct olio_piece p;
	size_t pos = 0;

	d->n = 0;
	while (olio_map_next_piece(job->map, &pos, &p) == 1) {
		struct strip *s = d->n ? &d->strip[d->n - 1] : NULL;

		if (s && belongs(job, s, &p, most)) {
			append(s, &p);
			continue;
		}
		d->strip[d->n++] = (struct strip){
			.piece = piece_of(job, p.offset),
			.offset = p.offset,
			.len = p.len,
			.pa = p.pa.v,
			.dma = p.dma.v,
			.kind = p.kind,
			.how = p.how,
			.atoms = 1,
			.whole = true,
		};
	}
}

static int collect(struct drawing *d)
{
	size_t atoms = count_atoms(d->job);

	d->strip = calloc(atoms ? atoms : 1, sizeof(*d->strip));
	if (!d->strip)
		return -ENOMEM;
	for (size_t most = 1; most <= atoms || most == 1; most *= 2) {
		make_strips(d, most);
		if (d->n <= MOST)
			break;
	}
	return 0;
}

/* ---- layout ---- */

static int by_pa(const void *a, const void *b)
{
	const struct strip *x = *(const struct strip *const *)a,
			   *y = *(const struct strip *const *)b;

	return x->pa < y->pa ? -1 : x->pa > y->pa;
}

static int by_dma(const void *a, const void *b)
{
	const struct strip *x = *(const struct strip *const *)a,
			   *y = *(const struct strip *const *)b;

	return x->dma < y->dma ? -1 : x->dma > y->dma;
}

static bool follows(int band, const struct strip *a, const struct strip *b)
{
	if (band == 0)
		return a->piece == b->piece;
	if (band == 1)
		return a->whole && a->pa + a->len == b->pa;
	return a->dma + a->len == b->dma;
}

/*
 * All strips get their width: the least, and a share of what is left. If there are too
 * many for that, less than the least.
 */
static void set_widths(struct drawing *d)
{
	double space = WIDTH - LEFT - RIGHT, least = LEAST, room;
	double total = (double)d->job->len;

	d->gap = GAP;
	room = space - (double)d->n * (least + d->gap);
	if (room < 0) {
		least *= space / (space - room);
		d->gap *= space / (space - room);
		room = 0;
	}
	for (size_t i = 0; i < d->n; i++)
		d->strip[i].w = least + room * (double)d->strip[i].len / total;
}

static void place(struct drawing *d, struct strip **order, int band)
{
	double x = LEFT;

	for (size_t i = 0; i < d->n; i++) {
		if (i && !follows(band, order[i - 1], order[i]))
			x += d->gap;
		order[i]->x[band] = x;
		x += order[i]->w;
	}
}

/* ---- drawing ---- */

static double band_y(int band)
{
	return TOP + STEP * band;
}

/* Names and paths come from the command line. */
static void put_text(FILE *f, const char *s)
{
	for (; *s; s++) {
		if (*s == '<')
			fputs("&lt;", f);
		else if (*s == '&')
			fputs("&amp;", f);
		else if ((unsigned char)*s >= ' ' && *s != 0x7f && (unsigned char)*s < 0x80)
			fputc(*s, f);
		else
			fputc('?', f);
	}
}

static void put_label(FILE *f, double x, double y, const char *anchor, const char *text)
{
	fprintf(f, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
	put_text(f, text);
	fputs("</text>\n", f);
}

static void put_ribbon(const struct drawing *d, const struct strip *s, int band)
{
	double y0 = band_y(band) + BAND, y1 = band_y(band + 1);
	double a = s->x[band], b = s->x[band + 1], mid = (y0 + y1) / 2;

	fprintf(d->f,
		"<path d=\"M%.1f %.1f C%.1f %.1f %.1f %.1f %.1f %.1f L%.1f %.1f C%.1f %.1f %.1f %.1f "
		"%.1f %.1f Z\" fill=\"%s\" fill-opacity=\"0.45\" stroke=\"%s\" stroke-opacity=\"0.5\" "
		"stroke-width=\"0.7\"%s/>\n",
		a, y0, a, mid, b, mid, b, y1, b + s->w, y1, b + s->w, mid, a + s->w, mid, a + s->w,
		y0, fill[s->kind & 3], stroke[s->how & 3],
		s->how == OLIO_PIECE_BOUNCED && band == 1 ? " stroke-dasharray=\"4 3\"" : "");
}

static void put_box(const struct drawing *d, const struct strip *s, int band)
{
	char size[32];

	fprintf(d->f,
		"<g><title>%zu: offset %" PRIu64 ", %s, physical 0x%" PRIx64 "%s, DMA 0x%" PRIx64
		", %s</title><rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\" "
		"stroke=\"%s\" stroke-width=\"1.4\"%s/>\n",
		s->piece + 1, s->offset, size_text(s->len, size), s->pa,
		s->whole ? "" : " and others", s->dma, how_text[s->how & 3], s->x[band],
		band_y(band), s->w, BAND, fill[s->kind & 3], stroke[s->how & 3],
		s->how == OLIO_PIECE_BOUNCED && band == 2 ? " stroke-dasharray=\"4 3\"" : "");
	if (s->w > CHAR * (s->piece < 9 ? 1.5 : 2.5))
		fprintf(d->f, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%zu</text>",
			s->x[band] + s->w / 2, band_y(band) + BAND / 2 + 4, s->piece + 1);
	fputs("</g>\n", d->f);
}

/* Addresses where a row of strips begins, as far as there is room. */
static void put_addresses(const struct drawing *d, struct strip *const *order, int band)
{
	double y = band == 1 ? band_y(band) - 6 : band_y(band) + BAND + 14, free_from = LEFT;

	for (size_t i = 0; i < d->n; i++) {
		char text[40];
		double w;

		if (i && follows(band, order[i - 1], order[i]))
			continue;
		snprintf(text, sizeof(text), "0x%" PRIx64,
			 band == 1 ? order[i]->pa : order[i]->dma);
		w = CHAR * (double)strlen(text);
		if (order[i]->x[band] < free_from || order[i]->x[band] + w > WIDTH - 2)
			continue;
		free_from = order[i]->x[band] + w + 14;
		/* Ribbons end at the physical band's upper side: the address stands on white. */
		if (band == 1)
			fprintf(d->f,
				"<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"13\" "
				"fill=\"#fff\" fill-opacity=\"0.85\"/>\n",
				order[i]->x[band] - 1, y - 10, w + 2);
		put_label(d->f, order[i]->x[band], y, "start", text);
	}
}

static void put_band(const struct drawing *d, struct strip *const *order, int band,
		     const char *title, const char *below)
{
	fprintf(d->f,
		"<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\" font-weight=\"bold\">%s</text>\n",
		LEFT - 12, band_y(band) + BAND / 2, title);
	put_label(d->f, LEFT - 12, band_y(band) + BAND / 2 + 14, "end", below);
	for (size_t i = 0; i < d->n; i++)
		put_box(d, order[i], band);
	if (band)
		put_addresses(d, order, band);
}

/* Lines of the list of pieces, which has columns if it is long. */
static size_t list_lines(const struct job *job)
{
	return job->n > LONG_LIST ? (job->n + LIST_COLUMNS - 1) / LIST_COLUMNS : job->n;
}

static void put_list(const struct drawing *d, double y)
{
	size_t lines = list_lines(d->job);

	for (size_t i = 0; i < d->job->n; i++) {
		const struct piece *p = &d->job->piece[i];
		char line[300], size[32];
		size_t runs;

		olio_mem_runs(p->mem, &runs);
		snprintf(line, sizeof(line), "%zu  %.*s: %s in %zu run%s%s%s", i + 1,
			 lines < d->job->n ? 24 : 110, p->text, size_text(p->len, size), runs,
			 runs == 1 ? "" : "s", *p->note && lines == d->job->n ? ", " : "",
			 lines == d->job->n ? p->note : "");
		put_label(d->f, LEFT + (double)(i / lines) * (WIDTH - LEFT) / LIST_COLUMNS,
			  y + LINE * (double)(i % lines), "start", line);
	}
}

/* What the colours mean. */
static void put_legend(const struct drawing *d, double y)
{
	double x = LEFT;

	for (uint32_t kind = 0; kind < 4; kind++, x += 110) {
		fprintf(d->f,
			"<rect x=\"%.1f\" y=\"%.1f\" width=\"14\" height=\"14\" fill=\"%s\" "
			"stroke=\"#555\"/>\n",
			x, y - 11, fill[kind]);
		put_label(d->f, x + 20, y, "start", olio_mem_kind_name((enum olio_mem_kind)kind));
	}
	for (uint32_t how = 0; how < 4; how++, x += 160) {
		fprintf(d->f,
			"<rect x=\"%.1f\" y=\"%.1f\" width=\"14\" height=\"14\" fill=\"none\" "
			"stroke=\"%s\" stroke-width=\"2\"%s/>\n",
			x, y - 11, stroke[how],
			how == OLIO_PIECE_BOUNCED ? " stroke-dasharray=\"4 3\"" : "");
		put_label(d->f, x + 20, y, "start", how_text[how]);
	}
}

static void put_title(const struct drawing *d)
{
	const struct job *job = d->job;
	char line[256], size[32], page[32];

	snprintf(line, sizeof(line), "%s: %s in %zu run%s, %zu segment%s, %s%s", job->device,
		 size_text(job->len, size), job->nruns, job->nruns == 1 ? "" : "s", job->nsegs,
		 job->nsegs == 1 ? "" : "s", job->page_size ? "pages of " : "no page list",
		 job->page_size ? size_text(job->page_size, page) : "");
	fprintf(d->f, "<text x=\"%.1f\" y=\"34\" font-size=\"17\" font-weight=\"bold\">", LEFT);
	put_text(d->f, line);
	fputs("</text>\n", d->f);
	if (count_atoms(job) > d->n)
		put_label(
			d->f, LEFT, 54, "start",
			"A box can stand for several pages that are scattered in physical memory.");
}

static void draw(struct drawing *d, struct strip **order)
{
	double height = band_y(2) + BAND + 90 + LINE * (double)list_lines(d->job);

	fprintf(d->f,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
		"viewBox=\"0 0 %.0f %.0f\" font-family=\"DejaVu Sans, Arial, sans-serif\" "
		"font-size=\"11\" fill=\"#222\">\n<rect width=\"100%%\" height=\"100%%\" "
		"fill=\"#ffffff\"/>\n",
		WIDTH, height, WIDTH, height);
	put_title(d);
	set_widths(d);
	for (size_t i = 0; i < d->n; i++)
		order[i] = &d->strip[i];
	place(d, order, 0);
	qsort(order, d->n, sizeof(*order), by_pa);
	place(d, order, 1);
	qsort(order, d->n, sizeof(*order), by_dma);
	place(d, order, 2);
	for (size_t i = 0; i < d->n; i++) {
		put_ribbon(d, &d->strip[i], 0);
		put_ribbon(d, &d->strip[i], 1);
	}
	put_band(d, order, 2, "DMA addresses", d->job->device);
	qsort(order, d->n, sizeof(*order), by_pa);
	put_band(d, order, 1, "physical", "frames and BARs");
	put_band(d, order, 0, "program", "in list order");
	put_legend(d, band_y(2) + BAND + 46);
	put_list(d, band_y(2) + BAND + 72);
	fputs("</svg>\n", d->f);
}

int map_draw(const struct job *job, const char *path)
{
	struct drawing d = {.job = job};
	struct strip **order;
	int ret = collect(&d);

	order = ret ? NULL : calloc(d.n ? d.n : 1, sizeof(struct strip *));
	if (!order) {
		free(d.strip);
		return -ENOMEM;
	}
	d.f = fopen(path, "we");
	if (d.f) {
		draw(&d, order);
		ret = ferror(d.f) ? -EIO : 0;
		if (fclose(d.f) && !ret)
			ret = -errno;
	} else {
		ret = -errno;
	}
	free(order);
	free(d.strip);
	return ret;
}
