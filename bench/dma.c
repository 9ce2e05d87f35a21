// SPDX-License-Identifier: MIT
/*
 * bench/dma: what IOVAs, I/O page tables, whole mappings and the IOTLB cost.
 *
 * usage: dma [--json] [--only TEXT] [--quick]
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "dma.h"

#define ROUNDS_MOST 101

volatile u64 dma_sink;

static const struct dma_group *const groups[] = {&dma_iova, &dma_pt, &dma_map, &dma_tlb};

struct result {
	double limit, olio, growth;
};

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

static struct result measure(const struct dma_group *g, const struct dma_row *r, u32 rounds)
{
	double limit[ROUNDS_MOST], olio[ROUNDS_MOST], early, late;
	struct result res = {0};

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

static double ratio_of(const struct dma_row *r, const struct result *res)
{
	double to = r->of_limit ? res->limit : r->peer_ns;

	return to > 0 ? res->olio / to : 0;
}

static void number(char *out, size_t size, double v, int digits)
{
	if (v > 0)
		snprintf(out, size, "%.*f", digits, v);
	else
		snprintf(out, size, "-");
}

static void line(const struct dma_row *r, const struct result *res)
{
	char limit[16], xlimit[16], peer[16], xpeer[16], goal[16];
	double ratio = ratio_of(r, res);

	number(limit, sizeof(limit), res->limit, 2);
	number(xlimit, sizeof(xlimit), res->limit > 0 ? res->olio / res->limit : 0, 2);
	number(peer, sizeof(peer), r->peer_ns, 1);
	number(xpeer, sizeof(xpeer), r->peer_ns > 0 ? res->olio / r->peer_ns : 0, 3);
	number(goal, sizeof(goal), r->goal, 2);
	printf("%-8s%-36s%9s%10.2f%9s%10s%9s%7s%-3s%-7s%6.2f\n", r->group, r->name, limit,
	       res->olio, xlimit, peer, xpeer, goal, r->goal && r->of_limit ? "L" : "",
	       !r->goal ? "" : ratio <= r->goal ? "met" : "missed", res->growth);
}

static void json_line(const struct dma_row *r, const struct result *res, bool first)
{
	printf("%s  {\"group\": \"%s\", \"row\": \"%s\", \"limit_ns\": %.3f, \"olio_ns\": %.3f, "
	       "\"peer_ns\": %.1f, \"ratio\": %.4f, \"of\": \"%s\", \"goal\": %.3f, "
	       "\"late_over_early\": %.3f}",
	       first ? "" : ",\n", r->group, r->name, res->limit, res->olio, r->peer_ns,
	       ratio_of(r, res), r->of_limit ? "limit" : "peer", r->goal, res->growth);
}

static void usage(FILE *to)
{
	fprintf(to, "usage: dma [--json] [--quick] [--only TEXT]\n\n"
		    "What mapping costs, in ns: one thread, medians, no hardware flush.\n"
		    "goal: of the ratio to the peer (Linux's own code, SPDK), or (L) to the limit. The last column is the\n"
		    "last third of the rounds over the first: 1 is flat.\n");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"json", no_argument, NULL, 'j'},
						{"quick", no_argument, NULL, 'q'},
						{"only", required_argument, NULL, 'o'},
						{"help", no_argument, NULL, 'h'},
						{0}};
	u32 rounds = ROUNDS_MOST, missed = 0, with_goal = 0;
	bool json = false, first = true;
	const char *only = "";
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'j')
			json = true;
		else if (c == 'q')
			rounds = 15;
		else if (c == 'o')
			only = optarg;
		else {
			usage(c == 'h' ? stdout : stderr);
			return c == 'h' ? 0 : 2;
		}
	}
	if (json)
		printf("[\n");
	else
		printf("%-44s%9s%10s%9s%10s%9s%7s%-10s%6s\n", "ns", "limit", "olio", "x limit",
		       "peer", "x peer", "goal", "", "growth");
	for (u32 g = 0; g < OLI_ARRAY_SIZE(groups); g++)
		for (u32 i = 0; i < groups[g]->n; i++) {
			const struct dma_row *r = &groups[g]->rows[i];
			struct result res;

			if (!strstr(r->name, only) && !strstr(r->group, only))
				continue;
			res = measure(groups[g], r, rounds);
			if (json)
				json_line(r, &res, first);
			else
				line(r, &res);
			fflush(stdout);
			first = false;
			with_goal += r->goal > 0;
			missed += r->goal > 0 && ratio_of(r, &res) > r->goal;
		}
	if (json)
		printf("\n]\n");
	else
		printf("\n%u of %u goals met\n", with_goal - missed, with_goal);
	return 0;
}
