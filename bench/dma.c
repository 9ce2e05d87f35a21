// SPDX-License-Identifier: MIT
/*
 * bench/dma: what IOVAs, I/O page tables, whole mappings and the IOTLB cost.
 *
 * usage: dma [--json] [--quick] [--only TEXT] [--plot FILE.svg]
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "dma.h"

#define ROUNDS_MOST 101

volatile u64 dma_sink;

static const struct dma_group *const groups[] = {&dma_iova, &dma_pt, &dma_map, &dma_tlb};

#define ROWS_MOST 96

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v, u32 n)
{
	qsort(v, n, sizeof(*v), compare);
	return v[n / 2];
}

static struct dma_result measure(const struct dma_group *g, const struct dma_row *r, u32 rounds)
{
	double limit[ROUNDS_MOST], olio[ROUNDS_MOST], early, late;
	struct dma_result res = {.row = r};

	g->begin(r);
	for (u32 i = 0; i < rounds; i++) {
		limit[i] = r->limit ? r->limit(r, i) : 0;
		olio[i] = r->olio(r, i);
	}
	g->end();
	early = median(olio, rounds / 3);
	late = median(olio + rounds - rounds / 3, rounds / 3);
	res.growth = late / early;
	res.limit = median(limit, rounds);
	res.olio = median(olio, rounds);
	return res;
}

static void number(char *out, size_t size, double v, int digits)
{
	if (v > 0)
		snprintf(out, size, "%.*f", digits, v);
	else
		snprintf(out, size, "-");
}

static void line(const struct dma_result *res)
{
	const struct dma_row *r = res->row;
	char limit[16], xlimit[16], peer[16], xpeer[16], goal[16];

	number(limit, sizeof(limit), res->limit, 2);
	number(xlimit, sizeof(xlimit), res->limit > 0 ? res->olio / res->limit : 0, 2);
	number(peer, sizeof(peer), r->peer_ns, 1);
	number(xpeer, sizeof(xpeer), r->peer_ns > 0 ? res->olio / r->peer_ns : 0, 3);
	number(goal, sizeof(goal), r->goal, 2);
	printf("%-8s%-36s%9s%10.2f%9s%10s%9s%7s%-3s%-7s%6.2f\n", r->group, r->name, limit,
	       res->olio, xlimit, peer, xpeer, goal, r->goal && r->of_limit ? "L" : "",
	       !r->goal ? "" : dma_met(res) ? "met" : "missed", res->growth);
}

static void json_line(const struct dma_result *res, bool first)
{
	const struct dma_row *r = res->row;

	printf("%s  {\"group\": \"%s\", \"row\": \"%s\", \"limit_ns\": %.3f, \"olio_ns\": %.3f, "
	       "\"peer_ns\": %.1f, \"ratio\": %.4f, \"of\": \"%s\", \"goal\": %.3f, "
	       "\"late_over_early\": %.3f}",
	       first ? "" : ",\n", r->group, r->name, res->limit, res->olio, r->peer_ns,
	       dma_ratio(res), r->of_limit ? "limit" : "peer", r->goal, res->growth);
}

static void usage(FILE *to)
{
	fprintf(to, "usage: dma [--json] [--quick] [--only TEXT] [--plot FILE.svg]\n\n"
		    "What mapping costs, in ns: one thread, medians, no hardware flush.\n"
		    "goal: of the ratio to the peer (Linux's own code, SPDK), or (L) to the limit. The last\n"
		    "column is the last third of the rounds over the first: 1 is flat.\n");
}

struct options {
	const char *only, *plot;
	u32 rounds;
	bool json;
};

/* Return: 0; 1 help was asked for; 2 wrong usage. */
static int parse(int argc, char **argv, struct options *o)
{
	static const struct option known[] = {{"json", no_argument, NULL, 'j'},
					      {"quick", no_argument, NULL, 'q'},
					      {"only", required_argument, NULL, 'o'},
					      {"plot", required_argument, NULL, 'p'},
					      {"help", no_argument, NULL, 'h'},
					      {0}};
	int c;

	*o = (struct options){.only = "", .rounds = ROUNDS_MOST};
	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (c == 'j')
			o->json = true;
		else if (c == 'q')
			o->rounds = 15;
		else if (c == 'o')
			o->only = optarg;
		else if (c == 'p')
			o->plot = optarg;
		else
			return c == 'h' ? 1 : 2;
	}
	return optind < argc ? 2 : 0;
}

static u32 run(const struct options *o, struct dma_result *res)
{
	u32 n = 0;

	for (u32 g = 0; g < OLI_ARRAY_SIZE(groups); g++)
		for (u32 i = 0; i < groups[g]->n && n < ROWS_MOST; i++) {
			const struct dma_row *r = &groups[g]->rows[i];

			if (!strstr(r->name, o->only) && !strstr(r->group, o->only))
				continue;
			res[n] = measure(groups[g], r, o->rounds);
			if (o->json)
				json_line(&res[n], !n);
			else
				line(&res[n]);
			fflush(stdout);
			n++;
		}
	return n;
}

int main(int argc, char **argv)
{
	static struct dma_result res[ROWS_MOST];
	u32 n, met = 0, goals = 0;
	struct options o;
	int err = parse(argc, argv, &o);

	if (err) {
		usage(err == 1 ? stdout : stderr);
		return err == 1 ? 0 : 2;
	}
	if (o.json)
		printf("[\n");
	else
		printf("%-44s%9s%10s%9s%10s%9s%7s%-10s%6s\n", "ns", "limit", "olio", "x limit",
		       "peer", "x peer", "goal", "", "growth");
	n = run(&o, res);
	for (u32 i = 0; i < n; i++) {
		goals += res[i].row->goal > 0;
		met += res[i].row->goal > 0 && dma_met(&res[i]);
	}
	printf(o.json ? "\n]\n" : "\n%u of %u goals met\n", met, goals);
	err = o.plot ? dma_plot(o.plot, res, n) : 0;
	if (err)
		fprintf(stderr, "dma: %s: %s\n", o.plot, strerror(-err));
	return err ? 1 : 0;
}
