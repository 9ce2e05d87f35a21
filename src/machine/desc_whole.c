// SPDX-License-Identifier: MIT
/*
 * The rules of a description that are about the machine as a whole: memory, IOMMU,
 * bounce buffers, and that no two address spaces coincide.
 *
 * The last is what makes mistakes visible: a physical address that is given to a
 * device as a bus or DMA address must hit nothing. So the BARs' bus addresses, and
 * without an IOMMU all DMA addresses, lie where no memory and no interrupt is.
 *
 * Ranges are {start, last}, inclusive. Sums with the two offsets wrap on purpose: they
 * are arithmetic modulo 2^64, and a range that wraps is refused.
 */
#include <errno.h>
#include <stdio.h>

#include "machine/desc_int.h"

#define LL(x) ((unsigned long long)(x))

/* Formats of I/O page tables, as src/iommu/pt above has them: by enum oli_pt_format_id. */
static const struct format {
	const char *name;
	u8 usual, bits[7]; /* levels; IOVA bits by levels, 0: not offered */
	u64 sizes;
} formats[] = {
	{"vtdss", 4, {[3] = 39, [4] = 48, [5] = 57}, 1ull << 12 | 1ull << 21 | 1ull << 30},
	{"amdv1",
	 4,
	 {[1] = 21, [2] = 30, [3] = 39, [4] = 48, [5] = 57, [6] = 64},
	 ((1ull << 53) - 1) & ~0xfffull},
	{"x86_64", 4, {[4] = 47, [5] = 56}, 1ull << 12 | 1ull << 21 | 1ull << 30},
};

/* ---- IOMMU ---- */

static int check_tables(struct oli_desc *d, char *why)
{
	const struct format *f;

	if (d->format >= OLI_ARRAY_SIZE(formats))
		return OLI_DESC_BAD("iommu: there is no table format %u", d->format);
	f = &formats[d->format];
	if (!d->levels)
		d->levels = f->usual;
	if (d->levels >= OLI_ARRAY_SIZE(f->bits) || !f->bits[d->levels])
		return OLI_DESC_BAD("iommu: %s has no tables of %u levels", f->name, d->levels);
	if (!d->iova_bits)
		d->iova_bits = f->bits[d->levels];
	if (d->iova_bits < 24 || d->iova_bits > f->bits[d->levels])
		return OLI_DESC_BAD("iommu: iova-bits is %u, must be 24 to %u with %u levels of %s",
				    d->iova_bits, f->bits[d->levels], d->levels, f->name);
	if (!d->page_sizes)
		d->page_sizes = f->sizes;
	if (d->page_sizes & ~f->sizes)
		return OLI_DESC_BAD("iommu: %s has no pages of 0x%llx bytes", f->name,
				    LL(d->page_sizes & ~f->sizes));
	if (!(d->page_sizes & OLI_PAGE_SIZE))
		return OLI_DESC_BAD("iommu: pages of 4096 bytes cannot be left out");
	return 0;
}

static int check_iommu(struct oli_desc *d, char *why)
{
	if (d->iommu > OLI_IOMMU_LAZY)
		return OLI_DESC_BAD("iommu: there is no mode %u", d->iommu);
	if (d->caching_mode > 1)
		return OLI_DESC_BAD("iommu: caching-mode must be yes or no");
	if (!d->granule_shift)
		d->granule_shift = OLI_PAGE_SHIFT;
	if (d->granule_shift < 12 || d->granule_shift > 16)
		return OLI_DESC_BAD("iommu: granule is 2^%u bytes, must be 4096 to 65536",
				    d->granule_shift);
	if (!d->iotlb_entries)
		d->iotlb_entries = 256;
	if (!oli_pow2(d->iotlb_entries) || d->iotlb_entries < 4 || d->iotlb_entries > 4096)
		return OLI_DESC_BAD("iommu: iotlb-entries is %u, must be a power of two, 4 to 4096",
				    d->iotlb_entries);
	if (!d->lazy_ms)
		d->lazy_ms = 10;
	if (d->lazy_ms > 10000)
		return OLI_DESC_BAD("iommu: lazy-ms is %u, must be at most 10000", d->lazy_ms);
	return check_tables(d, why);
}

/* ---- memory and bounce buffers ---- */

static int check_memory(struct oli_desc *d, char *why)
{
	if (!d->ram_size || d->ram_size % OLI_RAM_UNIT || d->ram_size > OLI_PA_RAM_MAX)
		return OLI_DESC_BAD("ram-size is %llu, must be a multiple of 2 MiB, at most 64 GiB",
				    LL(d->ram_size));
	if (d->linear > 1 || d->encrypted > 1)
		return OLI_DESC_BAD("linear and encrypted must be yes or no");
	if (!d->cache_line)
		d->cache_line = 64;
	if (!oli_pow2(d->cache_line) || d->cache_line < 16 || d->cache_line > 4096)
		return OLI_DESC_BAD("cache-line is %u, must be a power of two, 16 to 4096",
				    d->cache_line);
	/* A quarter of low memory is left to coherent allocations at least. */
	if (d->bounce_slots % 128 || d->bounce_slots > OLI_PA_LOW_SIZE / 2048 / 4 * 3)
		return OLI_DESC_BAD("bounce-slots is %u, must be a multiple of 128, at most %llu",
				    d->bounce_slots, OLI_PA_LOW_SIZE / 2048 / 4 * 3);
	if (!d->bounce_areas)
		d->bounce_areas = 1;
	if (!oli_pow2(d->bounce_areas) ||
	    (d->bounce_areas > 1 && d->bounce_areas > d->bounce_slots / 128))
		return OLI_DESC_BAD("bounce-areas is %u, must be a power of two, and each needs "
				    "128 of the %u slots",
				    d->bounce_areas, d->bounce_slots);
	if (d->checker & ~OLI_CHECKER_ALL)
		return OLI_DESC_BAD("checker: there is no class of 0x%llx",
				    LL(d->checker & ~OLI_CHECKER_ALL));
	return 0;
}

/* ---- address spaces ---- */

struct range {
	const char *name;
	u64 start, last;
};

/* [0]: low memory, [1]: RAM, [2]: BARs. Return: how many: 3, or 2 without BARs. */
static u32 moving(const struct oli_desc *d, struct range out[3])
{
	u64 mmio = OLI_PA_MMIO;

	for (u8 i = 0; i < d->nr_nodes; i++)
		for (u32 b = 0; b < OLI_BARS; b++)
			if (d->node[i].bar[b].len &&
			    d->node[i].bar[b].pa + d->node[i].bar[b].len > mmio)
				mmio = d->node[i].bar[b].pa + d->node[i].bar[b].len;
	out[0] = (struct range){"low memory", OLI_PA_LOW, OLI_PA_LOW + OLI_PA_LOW_SIZE - 1};
	out[1] = (struct range){"RAM", OLI_PA_RAM, OLI_PA_RAM + d->ram_size - 1};
	out[2] = (struct range){"BARs", OLI_PA_MMIO, mmio - 1};
	return mmio > OLI_PA_MMIO ? 3 : 2;
}

/* @what, moved by @offset, must neither wrap nor touch any of @t. */
static int check_moved(const struct range *t, u32 n, struct range what, u64 offset,
		       const char *field, char *why)
{
	what.start += offset;
	what.last += offset;
	if (what.last < what.start || !what.start)
		return OLI_DESC_BAD("%s: %s would wrap around the end of addresses", field,
				    what.name);
	for (u32 i = 0; i < n; i++)
		if (what.start <= t[i].last && t[i].start <= what.last)
			return OLI_DESC_BAD("%s: %s would appear to devices at 0x%llx, among %s",
					    field, what.name, LL(what.start), t[i].name);
	return 0;
}

static int check_spaces(struct oli_desc *d, char *why)
{
	struct range t[6];
	u32 nr = moving(d, t), n = nr;
	int err = 0;

	t[n++] = (struct range){"the machine's own memory", OLI_PA_FILE,
				OLI_PA_FILE + (4ull << 30) - 1};
	/* Low memory is given out beside interrupts (low.c), so it may be moved there. */
	if (nr == 3) {
		t[n] = (struct range){"interrupts", OLI_MSI_START, OLI_MSI_LAST};
		err = check_moved(t, n + 1, t[2], 0 - d->bus_offset, "bus-offset", why);
		/* Nor may a DMA address be a BAR's: a switch would turn it aside. */
		t[n++] = (struct range){"BARs on the bus", t[2].start - d->bus_offset,
					t[2].last - d->bus_offset};
	}
	if (err || d->iommu != OLI_IOMMU_NONE)
		return err;
	/* The first keeps low memory in the reach of 32 bits, but only so much RAM apart. */
	if (!d->dma_offset)
		d->dma_offset = d->ram_size <= 0xb0000000 ? 0xb0000000 : OLI_PA_RAM_MAX;
	for (u32 i = 0; i < nr && !err; i++)
		err = check_moved(t, n, t[i], d->dma_offset, "dma-offset", why);
	return err;
}

int oli_desc_check_whole(struct oli_desc *d, char *why)
{
	int err = check_memory(d, why);

	if (!err)
		err = check_iommu(d, why);
	return err ? err : check_spaces(d, why);
}
