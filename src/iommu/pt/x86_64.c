// SPDX-License-Identifier: MIT
/*
 * x86-64 paging as an IOMMU's first stage: 4 or 5 levels, leaves of 4K, 2M, 1G.
 *
 * Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 3,
 * 4.5 "4-Level Paging and 5-Level Paging", with the formats of the entries; the
 * same as seen by a device: Intel VT-d Architecture Specification 3.6
 * "First-Stage Translation" and 9.7 "First-Stage Paging Entries".
 *
 * Addresses are canonical: bits above the top one repeat it. Only the lower half
 * is offered, 47 or 56 bits. There is no way to say "write only":
 * present is readable. Requests without PASID are user accesses, so U/S is set
 * in tables, and in leaves but for OLI_PT_PRIV. XD is reserved unless enabled.
 */
#include "iommu/pt/ps.h"

#define FS_P	(1ull << 0)
#define FS_RW	(1ull << 1)
#define FS_US	(1ull << 2)
#define FS_PWT	(1ull << 3)
#define FS_PCD	(1ull << 4)
#define FS_A	(1ull << 5)
#define FS_D	(1ull << 6)
#define FS_XD	(1ull << 63)

#define FMT_ACCESSED FS_A
#define FMT_DIRTY    FS_D

PT_INLINE u64 fmt_table(unsigned int level, u64 pa)
{
	(void)level;
	return pa | FS_P | FS_RW | FS_US;
}

PT_INLINE u64 fmt_leaf_bits(unsigned int level, u64 item)
{
	(void)level;
	return item & ~(PS_ADDR | PS);
}

PT_INLINE u64 fmt_bits(const struct oli_pt *pt, u32 attrs)
{
	u64 not_exec = when(pt->features, OLI_PT_NX, FS_XD);

	return FS_P | when(attrs, OLI_PT_WRITE, FS_RW) | when(~attrs, OLI_PT_PRIV, FS_US) |
	       when(attrs, OLI_PT_MMIO, FS_PWT | FS_PCD) | when(~attrs, OLI_PT_EXEC, not_exec);
}

PT_INLINE u32 fmt_attrs(u64 item)
{
	return (u32)(OLI_PT_READ | when(item, FS_RW, OLI_PT_WRITE) |
		     when(~item, FS_US, OLI_PT_PRIV) | when(item, FS_PCD, OLI_PT_MMIO) |
		     when(~item, FS_XD, OLI_PT_EXEC));
}

#include "iommu/pt/map.h"
#include "iommu/pt/unmap.h"
#include "iommu/pt/look.h"

const struct oli_pt_format oli_pt_x86_64 = {
	.name = "x86_64",
	.sizes = 1ull << 12 | 1ull << 21 | 1ull << 30,
	.features = OLI_PT_AD | OLI_PT_NX,
	.attrs = OLI_PT_ALL_ATTRS & ~OLI_PT_SNOOP,
	.pa_bits = 52,
	.iova_bits = {[4] = 47, [5] = 56},
	FMT_CALLS,
};
