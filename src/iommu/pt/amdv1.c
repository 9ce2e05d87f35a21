// SPDX-License-Identifier: MIT
/*
 * AMD I/O page tables for host translations, "version 1": 1 to 6 levels, leaves
 * of every power of two from 4K on.
 *
 * Source: AMD I/O Virtualization Technology (IOMMU) Specification, publication
 * 48882, revision 3.x, section 2.2.3 "I/O Page Tables for Host Translations":
 * the figures and tables of PDE and PTE, of the levels' address bits, of the
 * default page sizes and of the page size encodings.
 *
 * The next level field says what an item is: 0 a leaf of the level's own size,
 * 7 a leaf whose size is in its address, else the level of the table that it
 * points to. That address has ones from bit 12 up to the bit below half the size
 * and a zero above them: 8K xxx0, 16K xx01, 32K x011. Such a leaf is a block:
 * each of its slots holds the same item. The top level, 6, has no leaves.
 *
 * Rights are ANDed over the levels, so tables have both. Where PR is clear
 * hardware ignores the rest.
 */
#include "iommu/pt/item.h"

#define V1_PR	   (1ull << 0)
#define V1_A	   (1ull << 5)
#define V1_D	   (1ull << 6)
#define V1_NL(n)   ((u64)(n) << 9)
#define V1_NL_SIZE 7u
#define V1_FC	   (1ull << 60)
#define V1_IR	   (1ull << 61)
#define V1_IW	   (1ull << 62)
#define V1_ADDR	   0x000ffffffffff000ull

#define FMT_MAX_LEAF 5
#define FMT_BLOCKS   1
#define FMT_ACCESSED V1_A
#define FMT_DIRTY    V1_D

PT_INLINE unsigned int next_level(u64 item)
{
	return item >> 9 & 7;
}

PT_INLINE bool fmt_is_table(unsigned int level, u64 item)
{
	(void)level;
	return next_level(item) != 0 && next_level(item) != V1_NL_SIZE;
}

PT_INLINE u64 fmt_table(unsigned int level, u64 pa)
{
	return pa | V1_PR | V1_NL(level - 1) | V1_IR | V1_IW;
}

PT_INLINE u64 fmt_table_pa(u64 item)
{
	return item & V1_ADDR;
}

PT_INLINE u64 fmt_leaf(unsigned int level, unsigned int lg2, u64 pa, u64 bits)
{
	u64 ones = ((1ull << (lg2 - 1)) - 1) & V1_ADDR;

	return lg2 == slot_lg2(level) ? pa | bits : pa | ones | bits | V1_NL(V1_NL_SIZE);
}

PT_INLINE unsigned int fmt_leaf_lg2(unsigned int level, u64 item)
{
	if (next_level(item) != V1_NL_SIZE)
		return slot_lg2(level);
	return 13 + (unsigned int)__builtin_ctzll(~(item >> 12));
}

PT_INLINE u64 fmt_leaf_pa(unsigned int level, u64 item)
{
	return item & V1_ADDR & ~((1ull << fmt_leaf_lg2(level, item)) - 1);
}

PT_INLINE u64 fmt_leaf_bits(unsigned int level, u64 item)
{
	(void)level;
	return item & (V1_PR | V1_A | V1_D | V1_FC | V1_IR | V1_IW);
}

PT_INLINE u64 fmt_bits(const struct oli_pt *pt, u32 attrs)
{
	(void)pt;
	return V1_PR | when(attrs, OLI_PT_READ, V1_IR) | when(attrs, OLI_PT_WRITE, V1_IW) |
	       when(attrs, OLI_PT_COHERENT | OLI_PT_SNOOP, V1_FC);
}

PT_INLINE u32 fmt_attrs(u64 item)
{
	return (u32)(when(item, V1_IR, OLI_PT_READ) | when(item, V1_IW, OLI_PT_WRITE) |
		     when(item, V1_FC, OLI_PT_COHERENT));
}

#include "iommu/pt/map.h"
#include "iommu/pt/unmap.h"
#include "iommu/pt/look.h"

const struct oli_pt_format oli_pt_amdv1 = {
	.name = "amdv1",
	.sizes = ((1ull << 53) - 1) & ~0xfffull,
	.features = OLI_PT_AD,
	.attrs = OLI_PT_ALL_ATTRS & ~OLI_PT_PRIV,
	.pa_bits = 52,
	.iova_bits = {[1] = 21, [2] = 30, [3] = 39, [4] = 48, [5] = 57, [6] = 64},
	FMT_CALLS,
};
