// SPDX-License-Identifier: MIT
/*
 * Many pieces in one hold of the domain's lock: what a list maps.
 *
 * Pieces that follow each other in memory as they do in the address space are one to
 * the tables: one descent, and larger leaves where they fit. The end of one may then lie
 * inside such a leaf, so they are taken out as they came in: all at once.
 *
 * The range was allocated for the pieces, so no sum of sizes leaves it. Physical
 * addresses were checked, and those of two neighbours are compared, not added up.
 */
#include "iommu/part.h"

/* How many pieces from @piece on are one in memory, and may be one leaf. Their size in *@size. */
static size_t run_of(const struct oli_domain_piece *piece, size_t n, u64 *size)
{
	size_t i;

	*size = piece->size;
	for (i = 1; i < n && piece[i].pa.v - piece->pa.v == *size && piece[i].prot == piece->prot;
	     i++)
		*size += piece[i].size;
	return i;
}

int oli_domain_map_pieces(struct oli_domain *d, struct olio_iova start,
			  const struct oli_domain_piece *piece, size_t n)
{
	const struct oli_domain_piece *end = piece + n;
	u64 size;
	int err = 0;

	oli_bias_lock(&d->lock);
	for (size_t run; piece < end && !err; piece += run, start.v += size) {
		run = run_of(piece, (size_t)(end - piece), &size);
		err = d->hw->ops->map(d->hw,
				      (struct olio_iova_range){start, {start.v + (size - 1)}},
				      piece->pa, piece->prot);
		d->stats.maps += err ? 0 : run;
	}
	oli_bias_unlock(&d->lock);
	return err;
}
