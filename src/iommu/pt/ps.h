/* SPDX-License-Identifier: MIT */
/*
 * What formats have in common in which bit 7 of an item above level 1 says "leaf", the
 * address is in bits 12 to 51, and a leaf is exactly one slot.
 */
#ifndef OLI_IOMMU_PT_PS_H
#define OLI_IOMMU_PT_PS_H

#include "iommu/pt/item.h"

#define PS	(1ull << 7)
#define PS_ADDR 0x000ffffffffff000ull

#define FMT_MAX_LEAF 3
#define FMT_BLOCKS   0

PT_INLINE bool fmt_is_table(unsigned int level, u64 item)
{
	return level > 1 && !(item & PS);
}

PT_INLINE u64 fmt_table_pa(u64 item)
{
	return item & PS_ADDR;
}

PT_INLINE u64 fmt_leaf(unsigned int level, unsigned int lg2, u64 pa, u64 bits)
{
	(void)lg2;
	return pa | bits | (level > 1 ? PS : 0);
}

PT_INLINE u64 fmt_leaf_pa(unsigned int level, u64 item)
{
	return item & PS_ADDR & ~slot_mask(level);
}

PT_INLINE unsigned int fmt_leaf_lg2(unsigned int level, u64 item)
{
	(void)item;
	return slot_lg2(level);
}

#endif
