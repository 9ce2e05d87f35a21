/* SPDX-License-Identifier: MIT */
/*
 * Runs at places in an address space: what the three families of calls share.
 *
 *   piece  what one table entry call, or one bounce, can take of a run. Pieces meet
 *          on granules
 */
#ifndef OLI_DMA_PLACE_H
#define OLI_DMA_PLACE_H

#include "dma/dev.h"

/* Cuts a run to pieces. */
struct oli_cut {
	const struct olio_dev *dev;
	struct olio_pa pa; /* what is left */
	u64 left;
	enum oli_how how;
	bool bounced; /* the piece that was cut last */
};

static inline struct oli_cut oli_cut(const struct olio_dev *dev, const struct olio_run *run,
				     enum oli_how how)
{
	return (struct oli_cut){.dev = dev, .pa = run->pa, .left = run->len, .how = how};
}

/* How many bytes of what is left are the next piece; @cut->bounced is set. Runs with copies only. */
u64 oli_cut_copies(struct oli_cut *cut);

/* The length of the next piece, at @cut->pa before the call; 0 at the end. */
static inline u64 oli_cut_next(struct oli_cut *cut)
{
	bool copies = cut->how == OLI_HOW_BOUNCE || cut->how == OLI_HOW_BOUNCE_ENDS;
	u64 len = copies ? oli_cut_copies(cut) : cut->left;

	cut->pa.v += len;
	cut->left -= len;
	return len;
}

/* Whole granules around [@dma, @dma + @len). */
static inline struct olio_iova_range oli_granules(const struct olio_dev *dev, struct olio_iova dma,
						  u64 len)
{
	return (struct olio_iova_range){{dma.v & ~dev->granule_mask},
					{(dma.v + (len - 1)) | dev->granule_mask}};
}

/* Bytes of whole granules for @len bytes that begin @pa modulo the granule into the first. */
static inline u64 oli_span(const struct olio_dev *dev, struct olio_pa pa, u64 len)
{
	return oli_align_up((pa.v & dev->granule_mask) + len, dev->granule_mask + 1);
}

/* An errno of iommu/domain.h as a refusal. Return: as oli_refuse(). */
OLI_MUST_CHECK int oli_domain_refused(const struct olio_dev *dev, int err, u64 size);

/* The two ways of oli_place(): as one piece; with copies. */
OLI_MUST_CHECK static inline int oli_place_whole(struct olio_dev *dev, struct olio_iova dma,
						 const struct olio_run *run, enum oli_how how,
						 enum olio_dir dir, u32 attrs)
{
	bool mmio = how == OLI_HOW_P2P_HOST;
	int err = oli_domain_map(dev->domain, oli_granules(dev, dma, run->len),
				 (struct olio_pa){run->pa.v & ~dev->granule_mask},
				 oli_prot(dev, dir, attrs, mmio));

	if (__builtin_expect(err != 0, 0))
		return oli_domain_refused(dev, err, run->len);
	if (dev->syncs && !mmio && !(attrs & OLIO_ATTR_SKIP_CPU_SYNC))
		oli_own_device(dev, run->pa, run->len, dir);
	return 0;
}

OLI_MUST_CHECK int oli_place_pieces(struct olio_dev *dev, struct olio_iova dma,
				    const struct olio_run *run, enum oli_how how,
				    enum olio_dir dir, u32 attrs, bool *bounced);

/*
 * Map @run, decided to be @how, at @dma of an allocated range: pieces bounced or
 * direct; the direct ones are the device's afterwards. No sync of the domain.
 * *@bounced: set to true if any piece is. Return: 0; a refusal, with nothing changed.
 */
OLI_MUST_CHECK static inline int oli_place(struct olio_dev *dev, struct olio_iova dma,
					   const struct olio_run *run, enum oli_how how,
					   enum olio_dir dir, u32 attrs, bool *bounced)
{
	if (__builtin_expect(how == OLI_HOW_DIRECT || how == OLI_HOW_P2P_HOST, 1))
		return oli_place_whole(dev, dma, run, how, dir, attrs);
	return oli_place_pieces(dev, dma, run, how, dir, attrs, bounced);
}

/*
 * Take [@dma, @dma + @len) out, all of which is mapped, strictly; copy bounces back and
 * free them; give the rest to the CPU. Bounces lie in it wholly or not at all.
 */
void oli_unplace(struct olio_dev *dev, struct olio_iova dma, u64 len, enum olio_dir dir, u32 attrs);

/*
 * Give IOVAs back with what is mapped in them, as lazily as the machine allows. Return: 0;
 * -ENOENT not exactly an allocated range: nothing was changed.
 */
OLI_MUST_CHECK int oli_give_range(struct olio_dev *dev, struct olio_iova start, u64 size);
/* The same for a range in which nothing is mapped, and so nothing to be forgotten. */
void oli_give_empty(struct olio_dev *dev, struct olio_iova start, u64 size);

/*
 * The contiguous memory at @dma: *@pa, and *@len, at most what it was, shorter if the
 * entry or the bounce ends before. *@copy: it is in a bounce, of which @pa is a byte.
 * @dma is not trusted. Return: false: nothing is mapped there.
 */
OLI_MUST_CHECK bool oli_at(struct olio_dev *dev, struct olio_iova dma, struct olio_pa *pa, u64 *len,
			   bool *copy);

/* A piece on its way out. */
struct oli_taken {
	struct olio_pa pa;
	u64 len;
	bool copy;
};

/* The device has forgotten it: copy back and free, or give it to the CPU. */
void oli_give_back(struct olio_dev *dev, const struct oli_taken *t, enum olio_dir dir, u32 attrs);

/* One piece of a sync call: memory or copy at @pa. */
void oli_sync_piece(struct olio_dev *dev, struct olio_pa pa, u64 len, bool copy, enum olio_dir dir,
		    bool for_cpu);
/*
 * Ownership of [@dma, @dma + @len) of the address space or the offset. Return: 0;
 * not-mapped, with nothing done.
 */
OLI_MUST_CHECK int oli_sync_range(struct olio_dev *dev, struct olio_iova dma, u64 len,
				  enum olio_dir dir, bool for_cpu);

/* The refusal of oli_segment_check(). */
OLI_MUST_CHECK int oli_bad_segment(const struct olio_dev *dev, u64 dma, u64 len);

/* Do [@dma, @dma + @len) not fit into one segment of the device? Refuse. */
OLI_MUST_CHECK static inline int oli_segment_check(const struct olio_dev *dev, u64 dma, u64 len)
{
	bool bad = len > dev->max_segment ||
		   (dev->boundary && len > dev->boundary - (dma & (dev->boundary - 1)));

	return __builtin_expect(bad, 0) ? oli_bad_segment(dev, dma, len) : 0;
}

#endif
