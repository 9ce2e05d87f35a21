// SPDX-License-Identifier: MIT
/*
 * Page lists: how large can a device's pages be for these segments, and which are they
 * (S12, A1, B10).
 *
 * A device that lists memory in blocks of 2^n bytes takes the low n bits of an
 * address from the address that the program uses, the iova, and the rest from the list.
 * So the low n bits of a segment's DMA address must be those of the iova at that
 * place; and where two segments meet without being contiguous, a block must end. Each bit
 * that breaks a rule forbids all sizes above it. More than the smallest size that
 * holds everything in one block is no use: it makes nothing shorter.
 *
 * Ranges are worked with by their last byte, so that the top of a space is fine;
 * one that wraps has no page size. Segments of length 0 are not there.
 */
#include "dma/dev.h"

static u64 last_of(const struct olio_seg *seg)
{
	return seg->dma.v + (seg->len - 1);
}

/*
 * Bits that may not lie inside a block, gathered over all segments; *@last: the last iova.
 * Return: false if they wrap, or there are none.
 */
static bool forbidden(const struct olio_seg *segs, size_t n, u64 iova, u64 *bits, u64 *last)
{
	const struct olio_seg *before = NULL;
	u64 at = iova;

	for (*bits = 0; n--; segs++) {
		if (!segs->len)
			continue;
		/* 0 behind a segment is behind the top. */
		if ((before && !at) || last_of(segs) < segs->dma.v || at + (segs->len - 1) < at)
			return false;
		if (!before || last_of(before) == UINT64_MAX || last_of(before) + 1 != segs->dma.v)
			*bits |= (segs->dma.v ^ at) | (before ? at : 0);
		*last = at + (segs->len - 1);
		at = *last + 1;
		before = segs;
	}
	return before;
}

uint64_t olio_best_page_size(const struct olio_seg *segs, size_t n, uint64_t iova, uint64_t sizes)
{
	u64 bits, last, changing;

	if (!sizes || !forbidden(segs, n, iova, &bits, &last))
		return 0;
	/* The smallest size in which all iovas lie in one block ends the search, too. */
	changing = iova ^ last;
	changing = changing ? UINT64_MAX >> __builtin_clzll(changing) : 0;
	bits |= sizes & ~changing;
	if (bits)
		sizes &= (bits & -bits) | ((bits & -bits) - 1);
	return sizes ? 1ull << (63 - __builtin_clzll(sizes)) : 0;
}

/*
 * The last byte of this segment is in the block at @it->at. Go to the first segment that has
 * a byte in another block, and to that block.
 */
static void next_segment(struct olio_block_iter *it)
{
	u64 block_last = it->at | (it->size - 1), last = last_of(it->seg);

	while (it->seg++, --it->left) {
		if (!it->seg->len)
			continue;
		if (last == UINT64_MAX || it->seg->dma.v != last + 1) {
			it->at = it->seg->dma.v & ~(it->size - 1);
			return;
		}
		/* Contiguous: the rest of the block was there already. */
		last = last_of(it->seg);
		if (last > block_last) {
			it->at = block_last + 1;
			return;
		}
	}
}

void olio_block_first(struct olio_block_iter *it, const struct olio_seg *segs, size_t n,
		      uint64_t size)
{
	for (; n && !segs->len; n--)
		segs++;
	*it = (struct olio_block_iter){.seg = segs, .left = n, .size = size};
	if (!size || size & (size - 1))
		it->left = 0;
	else if (n)
		it->at = segs->dma.v & ~(size - 1);
}

bool olio_block_next(struct olio_block_iter *it, struct olio_iova *block)
{
	if (!it->left)
		return false;
	block->v = it->at;
	if (last_of(it->seg) <= (it->at | (it->size - 1)))
		next_segment(it);
	else
		it->at += it->size;
	return true;
}

uint64_t olio_block_count(const struct olio_seg *segs, size_t n, uint64_t size)
{
	struct olio_block_iter it;
	u64 count = 0, end;

	for (olio_block_first(&it, segs, n, size); it.left; next_segment(&it)) {
		end = last_of(it.seg) & ~(size - 1);
		count += (end - it.at) / size + 1;
		it.at = end;
	}
	return count;
}
