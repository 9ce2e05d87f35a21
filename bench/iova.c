// SPDX-License-Identifier: MIT
/*
 * What an IOVA costs: alloc and free, one thread, ns a pair.
 *
 * Beside each figure stands the limit, measured in the same run: the same loop
 * with the same live set over a plain stack of addresses for each size, which
 * checks nothing, knows no other thread and never ends. "linux" is what Linux
 * 7.2's iova.c takes in user space on a machine of this kind, the better end of
 * what was seen; the goals are ratios to it.
 *
 * Rounds of limit and olio alternate, and the median of the rounds counts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "iommu/iova.h"

#define PAGE   4096ull
#define LIVE   10000u
#define ROUNDS 151
#define PAIRS  20000u

struct stack {
	u32 nr;
	u64 at[LIVE + 64];
};

static struct stack *stacks; /* by order */
static struct oli_iova space;
static volatile u64 sink;

/* Time of this thread alone: others use the machine too. */
static u64 now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (u64)ts.tv_sec * OLI_NS_PER_S + (u64)ts.tv_nsec;
}

static u32 order_of(u32 nr)
{
	return nr == 1 ? 0 : 32 - (u32)__builtin_clz(nr - 1);
}

__attribute__((noinline)) static u64 limit_alloc(u32 nr)
{
	struct stack *s = &stacks[order_of(nr)];

	return s->at[--s->nr];
}

__attribute__((noinline)) static void limit_free(u64 start, u32 nr)
{
	struct stack *s = &stacks[order_of(nr)];

	s->at[s->nr++] = start;
}

static u64 olio_alloc(u32 nr)
{
	struct olio_iova out;

	if (oli_iova_alloc(&space, nr * PAGE, UINT64_MAX, &out))
		abort();
	return out.v;
}

static void olio_free(u64 start, u32 nr)
{
	if (oli_iova_free(&space, (struct olio_iova){start}, nr * PAGE))
		abort();
}

static u32 next(u32 *rng)
{
	*rng = *rng * 1664525u + 1013904223u;
	return *rng >> 8;
}

/* Sizes in pages: from 2^lo to 2^hi, each power of two and odd ones between equally often. */
struct row {
	const char *name;
	u32 lo, hi;
	bool lifo;
	double goal; /* of linux */
	double linux_ns;
};

static const struct row rows[] = {
	{"4K..64K, LIFO", 0, 4, true, 0.75, 8.1},
	{"4K, 10k live, random", 0, 0, false, 0.85, 10},
	{"1M, 10k live, random", 8, 8, false, 0.01, 6700},
	{"4K..1M mixed, 10k live, random", 0, 8, false, 0.03, 1400},
};

static u32 pick_nr(const struct row *r, u32 *rng)
{
	u32 order = r->lo, x;

	if (r->lo == r->hi)
		return 1u << order;
	x = next(rng);
	order += x % (r->hi - r->lo + 1);
	return order < 2 ? 1u << order : (1u << order) - (x >> 4) % (1u << (order - 1));
}

/* Both sides run the same text; the calls are real calls on both. */
#define LOOPS(side)                                                                                \
	static u64 side##_live[LIVE];                                                              \
	static u32 side##_nr[LIVE];                                                                \
                                                                                                   \
	static double side##_lifo(const struct row *r)                                             \
	{                                                                                          \
		u64 t = now(), start = 0;                                                          \
		u32 i, order;                                                                      \
                                                                                                   \
		for (order = r->lo; order <= r->hi; order++)                                       \
			for (i = 0; i < PAIRS; i++) {                                              \
				start = side##_alloc(1u << order);                                 \
				side##_free(start, 1u << order);                                   \
			}                                                                          \
		sink = start;                                                                      \
		return (double)(now() - t) / PAIRS / (r->hi - r->lo + 1);                          \
	}                                                                                          \
                                                                                                   \
	static double side##_random(const struct row *r, u32 rng)                                  \
	{                                                                                          \
		u64 t = now();                                                                     \
		u32 i, at;                                                                         \
                                                                                                   \
		for (i = 0; i < PAIRS; i++) {                                                      \
			at = (u32)((u64)next(&rng) * LIVE >> 24);                                  \
			side##_free(side##_live[at], side##_nr[at]);                               \
			side##_nr[at] = pick_nr(r, &rng);                                          \
			side##_live[at] = side##_alloc(side##_nr[at]);                             \
		}                                                                                  \
		return (double)(now() - t) / PAIRS;                                                \
	}                                                                                          \
                                                                                                   \
	static void side##_fill(const struct row *r)                                               \
	{                                                                                          \
		u32 i, rng = 1;                                                                    \
                                                                                                   \
		for (i = 0; i < LIVE; i++) {                                                       \
			side##_nr[i] = pick_nr(r, &rng);                                           \
			side##_live[i] = side##_alloc(side##_nr[i]);                               \
		}                                                                                  \
	}

LOOPS(limit)
LOOPS(olio)

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

static void fill_stacks(void)
{
	u64 at = 1ull << 47;
	u32 order, i;

	for (order = 0; order <= 8; order++) {
		stacks[order].nr = LIVE + 64;
		for (i = 0; i < LIVE + 64; i++) {
			at -= PAGE << order;
			stacks[order].at[i] = at;
		}
	}
}

static void measure(const struct row *r, double *limit, double *olio)
{
	struct oli_iova_config config = {
		.range = {{0}, {(1ull << 48) - 1}},
		.mem = &oli_iova_process_mem,
		.granule_shift = 12,
		.cached_orders = OLI_IOVA_MAX_CACHED_ORDERS,
	};
	u32 i;

	if (oli_iova_init(&space, &config))
		abort();
	fill_stacks();
	if (!r->lifo) {
		limit_fill(r);
		olio_fill(r);
	}
	for (i = 0; i < ROUNDS; i++) {
		limit[i] = r->lifo ? limit_lifo(r) : limit_random(r, i + 1);
		olio[i] = r->lifo ? olio_lifo(r) : olio_random(r, i + 1);
	}
	oli_iova_fini(&space);
}

/* Flat: the last third of the rounds against the first. */
static void report(const struct row *r, bool json, bool last)
{
	double limit[ROUNDS], olio[ROUNDS], early, late, l, o;

	measure(r, limit, olio);
	early = median(olio, ROUNDS / 3);
	late = median(olio + ROUNDS - ROUNDS / 3, ROUNDS / 3);
	l = median(limit, ROUNDS);
	o = median(olio, ROUNDS);
	if (json)
		printf("  {\"row\": \"%s\", \"limit_ns\": %.2f, \"olio_ns\": %.2f, \"linux_ns\": "
		       "%.1f, \"ratio\": %.4f, \"goal\": %.2f, \"late_over_early\": %.2f}%s\n",
		       r->name, l, o, r->linux_ns, o / r->linux_ns, r->goal, late / early,
		       last ? "" : ",");
	else
		printf("%-32s %8.2f %8.2f %8.2f %9.1f %9.4f %6.2f %-6s %7.2f\n", r->name, l, o,
		       o / l, r->linux_ns, o / r->linux_ns, r->goal,
		       o / r->linux_ns <= r->goal ? "met" : "missed", late / early);
}

int main(int argc, char **argv)
{
	bool json = argc > 1 && !strcmp(argv[1], "--json");
	u32 i;

	stacks = calloc(9, sizeof(*stacks));
	if (!stacks)
		return 1;
	if (json)
		printf("[\n");
	else
		printf("%-32s %8s %8s %8s %9s %9s %6s %6s %7s\n", "alloc + free, ns a pair",
		       "limit", "olio", "x limit", "linux", "x linux", "goal", "", "late/early");
	for (i = 0; i < OLI_ARRAY_SIZE(rows); i++)
		report(&rows[i], json, i + 1 == OLI_ARRAY_SIZE(rows));
	if (json)
		printf("]\n");
	free(stacks);
	return 0;
}
