// SPDX-License-Identifier: MIT
/* See blocks_model.h. */
#include <stdio.h>

#include "blocks_model.h"

enum { SEGS = 12, MOST = 2048, ROUND = 128 };

static char said[160];

#define SAY(...) (snprintf(said, sizeof(said), __VA_ARGS__), said)
#define LL(x)	 ((unsigned long long)(x))

static bool is_good(const struct olio_seg *segs, size_t n, u64 iova, u64 size)
{
	u64 at = iova, before = 0;

	for (size_t i = 0; i < n; i++)
		for (u64 k = 0; k < segs[i].len; k++, at++) {
			u64 dma = segs[i].dma.v + k;

			if (at % size != dma % size)
				return false;
			/* A block of iovas is a block of DMA addresses, in order. */
			if (at > iova && at % size && dma != before + 1)
				return false;
			before = dma;
		}
	return at > iova;
}

static u64 total(const struct olio_seg *segs, size_t n)
{
	u64 len = 0;

	for (size_t i = 0; i < n; i++)
		len += segs[i].len;
	return len;
}

u64 blocks_model_best(const struct olio_seg *segs, size_t n, u64 iova, u64 sizes)
{
	u64 len = total(segs, n), best = 0;

	for (u64 size = 1; len && size <= 1024; size *= 2) {
		if (!(sizes & size))
			continue;
		if (is_good(segs, n, iova, size))
			best = size;
		if (iova / size == (iova + len - 1) / size)
			break;
	}
	return best;
}

u64 blocks_model_list(const struct olio_seg *segs, size_t n, u64 size, u64 *blocks, u64 most)
{
	u64 count = 0, before = 0;
	bool first = true;

	for (size_t i = 0; i < n; i++)
		for (u64 k = 0; k < segs[i].len; k++) {
			u64 dma = segs[i].dma.v + k;

			if (first || before + 1 != dma || dma / size != before / size) {
				if (count < most)
					blocks[count] = dma / size * size;
				count++;
			}
			before = dma;
			first = false;
		}
	return count;
}

/* ---- programs ---- */

struct list {
	struct olio_seg small[SEGS], large[SEGS];
	u64 iova, end, dma_end;
	u32 n;
};

static void take(struct list *l, const u8 *p, size_t len)
{
	u64 at = 0;

	for (; len >= 2 && l->n < SEGS; p += 2, len -= 2, l->n++) {
		at = p[0] & 0x80 ? at : p[0];
		l->small[l->n] = (struct olio_seg){{at}, p[1] % 64};
		at += p[1] % 64;
		l->dma_end = at > l->dma_end ? at : l->dma_end;
	}
	/* The last one may be longer, to end where nothing of a larger size can. */
	if (l->n && at == l->dma_end) {
		l->small[l->n - 1].len += oli_align_up(at, ROUND) - at;
		l->dma_end = oli_align_up(at, ROUND);
	}
	l->end = l->iova + total(l->small, l->n);
}

/* Multiples of all sizes, so that what is moved down by them ends at 2^64 or a little before. */
static u64 down(u64 end)
{
	return oli_align_up(end, ROUND);
}

static const char *check_list(const struct list *l, u64 size, u32 shift, u64 moved)
{
	static u64 blocks[MOST];
	u64 count = blocks_model_list(l->small, l->n, size, blocks, MOST), i = 0, want;
	struct olio_block_iter it;
	struct olio_iova block;

	if (olio_block_count(l->large, l->n, size << shift) != count)
		return SAY("blocks of %llu: %llu, not %llu", LL(size),
			   LL(olio_block_count(l->large, l->n, size << shift)), LL(count));
	olio_block_first(&it, l->large, l->n, size << shift);
	for (; olio_block_next(&it, &block); i++) {
		want = i < count ? (blocks[i] - moved) << shift : 0;
		if (i >= count || block.v != want)
			return SAY("blocks of %llu: number %llu is 0x%llx, not 0x%llx", LL(size),
				   LL(i), LL(block.v), LL(want));
	}
	return i == count ? NULL
			  : SAY("blocks of %llu: %llu came, not %llu", LL(size), LL(i), LL(count));
}

const char *blocks_model_run(const u8 *program, size_t len)
{
	struct list l = {.n = 0};
	u64 sizes, moved, iova, got, want;
	u32 shift;

	if (len < 4)
		return NULL;
	shift = program[0] % 51;
	l.iova = program[1];
	sizes = program[2];
	take(&l, program + 4, len - 4);
	moved = program[3] & 1 ? down(l.dma_end) : 0;
	for (u32 i = 0; i < l.n; i++)
		l.large[i] = (struct olio_seg){{(l.small[i].dma.v - moved) << shift},
					       l.small[i].len << shift};
	iova = program[3] & 2 ? l.iova - down(l.end) : l.iova;
	got = olio_best_page_size(l.large, l.n, iova << shift, sizes << shift);
	want = blocks_model_best(l.small, l.n, l.iova, sizes) << shift;
	if (got != want)
		return SAY("%u segments at 0x%llx: best of 0x%llx is 0x%llx, not 0x%llx", l.n,
			   LL(iova << shift), LL(sizes << shift), LL(got), LL(want));
	return check_list(&l, 1ull << (program[3] >> 4) % 8, shift, moved);
}
