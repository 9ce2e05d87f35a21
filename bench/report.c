// SPDX-License-Identifier: MIT
/* The result as a table and as JSON: medians, and ratios within one placement. */
#include <stdlib.h>
#include <string.h>

#include "bench.h"

const char *placement_name(enum placement p)
{
	return p == NEAR ? "near" : "far";
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(const double *v, int n)
{
	double sorted[MAX_ROUNDS];

	memcpy(sorted, v, (size_t)n * sizeof(*v));
	qsort(sorted, (size_t)n, sizeof(*sorted), compare);
	return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

static const struct figure *find(const struct figure *f, int nf, const char *key)
{
	for (int i = 0; key && i < nf; i++)
		if (!strcmp(f[i].key, key))
			return f + i;
	return NULL;
}

static bool meets(const struct figure *f, double v, double goal)
{
	return f->more ? v >= goal : v <= goal;
}

static struct line make_line(const struct figure *f, const struct figure *limit, enum placement p)
{
	struct line l = {.f = f, .limit = limit, .place = p, .n = f->n[p]};

	l.value = median(f->value[p], f->n[p]);
	if (limit && limit->n[p]) {
		l.limit_value = median(limit->value[p], limit->n[p]);
		l.ratio = l.value / l.limit_value;
	}
	l.has_goal = f->goal_abs > 0 || (f->goal > 0 && l.ratio > 0);
	l.met = l.has_goal &&
		(f->goal_abs > 0 ? meets(f, l.value, f->goal_abs) : meets(f, l.ratio, f->goal));
	return l;
}

int report_lines(const struct figure *f, int nf, struct line *lines, int max)
{
	int n = 0;

	for (int p = 0; p < PLACEMENTS; p++)
		for (int i = 0; i < nf && n < max; i++)
			if (f[i].n[p])
				lines[n++] = make_line(f + i, find(f, nf, f[i].limit), p);
	return n;
}

void report_value(char *out, size_t size, double v, const char *unit)
{
	snprintf(out, size, v < 100 ? "%.2f %s" : "%.0f %s", v, unit);
}

void report_goal(char *out, size_t size, const struct figure *f)
{
	const char *sign = f->more ? ">=" : "<=";

	*out = '\0';
	if (f->goal_abs > 0)
		snprintf(out, size, "%s %g %s", sign, f->goal_abs, f->unit);
	else if (f->goal > 0)
		snprintf(out, size, "%s %g x", sign, f->goal);
}

static void print_line(const struct line *l)
{
	char value[32], limit[32] = "", ratio[32] = "", goal[32];

	report_value(value, sizeof(value), l->value, l->f->unit);
	report_goal(goal, sizeof(goal), l->f);
	if (l->ratio > 0) {
		report_value(limit, sizeof(limit), l->limit_value, l->limit->unit);
		snprintf(ratio, sizeof(ratio), "%.2f", l->ratio);
	}
	printf("%-4s  %-28s %3d %12s", placement_name(l->place), l->f->name, l->n, value);
	if (l->ratio > 0 || l->has_goal)
		printf("  %12s  %-26s %6s", limit, l->ratio > 0 ? l->limit->name : "", ratio);
	if (l->has_goal)
		printf("  %-8s  %s", goal, l->met ? "met" : "MISSED");
	putchar('\n');
}

void report_table(const struct line *lines, int n, int dropped)
{
	printf("%-4s  %-28s %3s %12s  %12s  %-26s %6s  %s\n", "", "figure", "n", "median", "limit",
	       "", "ratio", "goal");
	for (int i = 0; i < n; i++) {
		if (i && lines[i].place != lines[i - 1].place)
			putchar('\n');
		print_line(lines + i);
	}
	if (dropped)
		printf("\n%d samples missing: the cores moved, or others used them, at each attempt\n",
		       dropped);
}

static void json_line(const struct line *l, bool last)
{
	char goal[32];

	printf("    {\"figure\": \"%s\", \"placement\": \"%s\", \"samples\": %d, \"median\": %.4g, "
	       "\"unit\": \"%s\"",
	       l->f->key, placement_name(l->place), l->n, l->value, l->f->unit);
	if (l->ratio > 0)
		printf(", \"limit\": \"%s\", \"limit_median\": %.4g, \"ratio\": %.4g",
		       l->limit->key, l->limit_value, l->ratio);
	report_goal(goal, sizeof(goal), l->f);
	if (l->has_goal)
		printf(", \"goal\": \"%s\", \"met\": %s", goal, l->met ? "true" : "false");
	printf("}%s\n", last ? "" : ",");
}

void report_json(const struct line *lines, int n, int dropped)
{
	printf("{\n  \"dropped\": %d,\n  \"figures\": [\n", dropped);
	for (int i = 0; i < n; i++)
		json_line(lines + i, i == n - 1);
	printf("  ]\n}\n");
}
