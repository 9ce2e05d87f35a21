// SPDX-License-Identifier: MIT
/*
 * The result as a picture: for each row a bar up to what olio takes, on a logarithmic
 * scale of nanoseconds; a black mark at the limit of the same run and a ring at the
 * peer's figure. Green bars meet their goal, red ones miss it, grey ones have none.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>

#include "dma.h"

#define LEFT   360
#define DECADE 110 /* pixels */
#define LOWEST 0.1 /* ns at the left end */
#define ROW    20
#define TOP    64
#define WIDTH  (LEFT + 6 * DECADE + 40)

static double x_of(double ns)
{
	return LEFT + DECADE * log10(ns < LOWEST ? 1 : ns / LOWEST);
}

static void grid(FILE *out, int bottom)
{
	for (double ns = LOWEST; ns < 2e5; ns *= 10)
		fprintf(out,
			"<line x1=\"%.0f\" y1=\"%d\" x2=\"%.0f\" y2=\"%d\" stroke=\"#ddd\"/>\n"
			"<text x=\"%.0f\" y=\"%d\" text-anchor=\"middle\">%g ns</text>\n",
			x_of(ns), TOP - 6, x_of(ns), bottom, x_of(ns), TOP - 12, ns);
}

static void bar(FILE *out, const struct dma_result *r, int y)
{
	const char *colour = !(r->row->goal > 0) ? "#7a8ba3" : dma_met(r) ? "#3c8d5a" : "#c0483c";

	fprintf(out, "<text x=\"8\" y=\"%d\">%s: %s</text>\n", y + 13, r->row->group, r->row->name);
	fprintf(out, "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"13\" fill=\"%s\"/>\n", LEFT,
		y + 3, x_of(r->olio) - LEFT, colour);
	if (r->limit > 0)
		fprintf(out, "<rect x=\"%.1f\" y=\"%d\" width=\"2\" height=\"17\"/>\n",
			x_of(r->limit), y + 1);
	if (r->row->peer_ns > 0)
		fprintf(out,
			"<circle cx=\"%.1f\" cy=\"%d\" r=\"5\" fill=\"none\" stroke=\"#000\"/>\n",
			x_of(r->row->peer_ns), y + 9);
}

int dma_plot(const char *path, const struct dma_result *res, u32 n)
{
	int height = TOP + ROW * (int)n + 12;
	FILE *out = fopen(path, "w");

	if (!out)
		return -errno;
	fprintf(out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
		"font-family=\"sans-serif\" font-size=\"12\">\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n"
		"<text x=\"8\" y=\"22\" font-size=\"14\">What mapping costs: bar olio (green: goal met), "
		"black mark the limit, ring the peer</text>\n",
		WIDTH, height);
	grid(out, height - 8);
	for (u32 i = 0; i < n; i++)
		bar(out, &res[i], TOP + ROW * (int)i);
	fprintf(out, "</svg>\n");
	return fclose(out) ? -errno : 0;
}
