// SPDX-License-Identifier: MIT
/*
 * The result as a picture: for each figure that has a limit, a bar of its ratio
 * to that limit, a line at 1 (the limit) and a mark at the goal.
 *
 * Ratios that leave the picture, as the doorbell's to an empty call, are cut and
 * say their number.
 */
#include <errno.h>

#include "bench.h"

#define LEFT	   330
#define UNIT_WIDTH 200 /* pixels for a ratio of 1 */
#define MAX_RATIO  3.0
#define ROW	   24
#define TOP	   40

static int rows(const struct line *lines, int n)
{
	int r = 0;

	for (int i = 0; i < n; i++)
		r += lines[i].ratio > 0;
	return r;
}

static double x_of(double ratio)
{
	return LEFT + UNIT_WIDTH * (ratio > MAX_RATIO ? MAX_RATIO : ratio);
}

static void bar(FILE *out, const struct line *l, int y)
{
	const char *colour = !l->has_goal ? "#7a8ba3" : l->met ? "#3c8d5a" : "#c0483c";
	char value[32];

	report_value(value, sizeof(value), l->value, l->f->unit);
	fprintf(out, "<text x=\"8\" y=\"%d\">%s, %s</text>\n", y + 14, l->f->name,
		placement_name(l->place));
	fprintf(out, "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"16\" fill=\"%s\"/>\n", LEFT,
		y + 2, x_of(l->ratio) - LEFT, colour);
	if (l->f->goal > 0)
		fprintf(out,
			"<rect x=\"%.1f\" y=\"%d\" width=\"2\" height=\"20\" fill=\"#000\"/>\n",
			x_of(l->f->goal), y);
	fprintf(out, "<text x=\"%.1f\" y=\"%d\">%.2f (%s)</text>\n", x_of(l->ratio) + 6, y + 14,
		l->ratio, value);
}

int plot_svg(const char *path, const struct line *lines, int n)
{
	int height = TOP + ROW * rows(lines, n) + 12, y = TOP;
	double width = x_of(MAX_RATIO) + 160;
	FILE *out = fopen(path, "w");

	if (!out)
		return -errno;
	fprintf(out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%d\" "
		"font-family=\"sans-serif\" font-size=\"12\">\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n"
		"<text x=\"8\" y=\"20\" font-size=\"14\">Ratio to the limit of the same run "
		"(black mark: goal)</text>\n",
		width, height);
	for (int i = 0; i < n; i++) {
		if (!(lines[i].ratio > 0))
			continue;
		bar(out, lines + i, y);
		y += ROW;
	}
	fprintf(out,
		"<line x1=\"%.0f\" y1=\"%d\" x2=\"%.0f\" y2=\"%d\" stroke=\"#000\" "
		"stroke-dasharray=\"3 3\"/>\n</svg>\n",
		x_of(1), TOP - 6, x_of(1), height - 6);
	return fclose(out) ? -errno : 0;
}
