// SPDX-License-Identifier: MIT
/*
 * Intel VT-d second stage: 3, 4 or 5 levels, leaves of 4K, 2M and 1G.
 *
 * Source: Intel Virtualization Technology for Directed I/O, Architecture
 * Specification, revision 4.1. 3.7 "Second-Stage Translation", with the levels
 * and which bits of the address index each; 9.8 "Second-Stage Paging Entries",
 * with the layout of SS-PML5E, SS-PML4E, SS-PDPE, SS-PDE and SS-PTE; the text on
 * accessed and dirty flags in 3.7.
 *
 * There is no present bit: an item is absent if both R and W are clear (X needs
 * a mode that is not used here). Rights are ANDed over the levels, so tables
 * have both. Bit 11 (SNP) is reserved where the hardware has no snoop control,
 * bits 8 and 9 are ignored where it does not set accessed and dirty.
 */
#include "iommu/pt/ps.h"

#define SS_R	(1ull << 0)
#define SS_W	(1ull << 1)
#define SS_A	(1ull << 8)
#define SS_D	(1ull << 9)
#define SS_SNP	(1ull << 11)

#define FMT_ACCESSED SS_A
#define FMT_DIRTY    SS_D

PT_INLINE u64 fmt_table(unsigned int level, u64 pa)
{
	(void)level;
	return pa | SS_R | SS_W;
}

PT_INLINE u64 fmt_leaf_bits(unsigned int level, u64 item)
{
	(void)level;
	return item & (SS_R | SS_W | SS_A | SS_D | SS_SNP);
}

PT_INLINE u64 fmt_bits(const struct oli_pt *pt, u32 attrs)
{
	(void)pt;
	return when(attrs, OLI_PT_READ, SS_R) | when(attrs, OLI_PT_WRITE, SS_W) |
	       when(attrs, OLI_PT_SNOOP, SS_SNP);
}

PT_INLINE u32 fmt_attrs(u64 item)
{
	return (u32)(when(item, SS_R, OLI_PT_READ) | when(item, SS_W, OLI_PT_WRITE) |
		     when(item, SS_SNP, OLI_PT_SNOOP));
}

#include "iommu/pt/map.h"
#include "iommu/pt/unmap.h"
#include "iommu/pt/look.h"

const struct oli_pt_format oli_pt_vtdss = {
	.name = "vtdss",
	.sizes = 1ull << 12 | 1ull << 21 | 1ull << 30,
	.features = OLI_PT_AD | OLI_PT_SNOOP_CONTROL,
	.attrs = OLI_PT_ALL_ATTRS & ~OLI_PT_PRIV,
	.pa_bits = 52,
	.iova_bits = {[3] = 39, [4] = 48, [5] = 57},
	FMT_CALLS,
};
