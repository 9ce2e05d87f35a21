// SPDX-License-Identifier: MIT
/*
 * Rows of the IOVA allocator: ns a pair of alloc and free.
 *
 * The limit is the same loop with the same live set over a plain stack of addresses for
 * each size. Both sides run the same text, and the calls are real calls on both.
 */
#include "dma.h"
#include "iommu/iova.h"

#define PAGE  4096ull
#define LIVE  10000u
#define PAIRS 20000u

struct stack {
	u32 nr;
	u64 at[LIVE + 64];
};

static struct stack *stacks; /* by order */
static struct oli_iova space;

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

/* Pages from 2^arg to 2^arg2, each power of two and odd ones between equally often. */
static u32 pick_nr(const struct dma_row *r, u32 *rng)
{
	u32 order = (u32)r->arg, x;

	if (r->arg == r->arg2)
		return 1u << order;
	x = next(rng);
	order += x % (u32)(r->arg2 - r->arg + 1);
	return order < 2 ? 1u << order : (1u << order) - (x >> 4) % (1u << (order - 1));
}

#define LOOPS(side)                                                                                \
	static u64 side##_live[LIVE];                                                              \
	static u32 side##_nr[LIVE];                                                                \
                                                                                                   \
	static double side##_lifo(const struct dma_row *r, u32 round)                              \
	{                                                                                          \
		u32 i, order, lo = (u32)r->arg, hi = (u32)r->arg2;                                 \
		double t = cpu_ns();                                                               \
		u64 start = round;                                                                 \
                                                                                                   \
		for (order = lo; order <= hi; order++)                                             \
			for (i = 0; i < PAIRS; i++) {                                              \
				start = side##_alloc(1u << order);                                 \
				side##_free(start, 1u << order);                                   \
			}                                                                          \
		dma_sink = start;                                                                  \
		return (cpu_ns() - t) / PAIRS / (hi - lo + 1);                                     \
	}                                                                                          \
                                                                                                   \
	static double side##_random(const struct dma_row *r, u32 round)                            \
	{                                                                                          \
		double t = cpu_ns();                                                               \
		u32 i, at, rng = round + 1;                                                        \
                                                                                                   \
		for (i = 0; i < PAIRS; i++) {                                                      \
			at = (u32)((u64)next(&rng) * LIVE >> 24);                                  \
			side##_free(side##_live[at], side##_nr[at]);                               \
			side##_nr[at] = pick_nr(r, &rng);                                          \
			side##_live[at] = side##_alloc(side##_nr[at]);                             \
		}                                                                                  \
		return (cpu_ns() - t) / PAIRS;                                                     \
	}                                                                                          \
                                                                                                   \
	static void side##_fill(const struct dma_row *r)                                           \
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

static void begin(const struct dma_row *r)
{
	struct oli_iova_config config = {
		.range = {{0}, {(1ull << 48) - 1}},
		.mem = &oli_iova_process_mem,
		.granule_shift = 12,
		.cached_orders = OLI_IOVA_MAX_CACHED_ORDERS,
	};
	u64 at = 1ull << 47;

	stacks = calloc(9, sizeof(*stacks));
	if (!stacks || oli_iova_init(&space, &config))
		abort();
	for (u32 order = 0; order <= 8; order++) {
		stacks[order].nr = LIVE + 64;
		for (u32 i = 0; i < LIVE + 64; i++) {
			at -= PAGE << order;
			stacks[order].at[i] = at;
		}
	}
	if (r->olio == olio_random) {
		limit_fill(r);
		olio_fill(r);
	}
}

static void end(void)
{
	oli_iova_fini(&space);
	free(stacks);
}

static const struct dma_row rows[] = {
	{"iova", "4K..64K, LIFO", limit_lifo, olio_lifo, 8.1, .75, false, 0, 4},
	{"iova", "4K, 10k live, random", limit_random, olio_random, 10, .85, false, 0, 0},
	{"iova", "1M, 10k live, random", limit_random, olio_random, 6700, .01, false, 8, 8},
	{"iova", "4K..1M mixed, 10k live, random", limit_random, olio_random, 1400, .03, false, 0, 8},
};

const struct dma_group dma_iova = {begin, end, rows, OLI_ARRAY_SIZE(rows)};
