/* SPDX-License-Identifier: MIT */
/*
 * Items, slots and runs of items: what the algorithms of map.h, unmap.h and
 * look.h share, and the functions that a format defines for them.
 *
 * A format's file includes this, defines the fmt_ functions and constants below,
 * and then includes the algorithms. So the compiler sees both at once and folds
 * every constant; there is no call through a pointer below map and unmap.
 *
 * Raw u64 are IOVAs and pa's here, and sums wrap on purpose: pa - iova is the
 * same for a whole run.
 */
#ifndef OLI_IOMMU_PT_ITEM_H
#define OLI_IOMMU_PT_ITEM_H

#include <errno.h>

#include "iommu/pt/pt.h"

#define PT_INLINE static inline __attribute__((always_inline, unused))

/*
 * What a format defines. An item that is 0 is absent, and so must be, to its
 * hardware, one whose low 12 bits are 0. @bits are the part of a leaf that is
 * neither address nor size.
 *
 * FMT_MAX_LEAF  the highest level that may have leaves
 * FMT_BLOCKS    whether a leaf may be a block of items
 * FMT_ACCESSED, FMT_DIRTY  their bits in a leaf
 */
PT_INLINE bool fmt_is_table(unsigned int level, u64 item);
PT_INLINE u64 fmt_table(unsigned int level, u64 pa); /* an item of @level */
PT_INLINE u64 fmt_table_pa(u64 item);
PT_INLINE u64 fmt_leaf(unsigned int level, unsigned int lg2, u64 pa, u64 bits);
PT_INLINE u64 fmt_leaf_pa(unsigned int level, u64 item); /* of the block's first byte */
PT_INLINE unsigned int fmt_leaf_lg2(unsigned int level, u64 item);
PT_INLINE u64 fmt_leaf_bits(unsigned int level, u64 item);
PT_INLINE u64 fmt_bits(const struct oli_pt *pt, u32 attrs);
PT_INLINE u32 fmt_attrs(u64 item);

/* @then if any bit of @mask is set: bits of one kind into bits of the other. */
PT_INLINE u64 when(u64 value, u64 mask, u64 then)
{
	return value & mask ? then : 0;
}

/* ---- geometry ---- */

PT_INLINE unsigned int slot_lg2(unsigned int level)
{
	return 3 + 9 * level;
}
static_assert(3 + 9 * 1 == OLI_PAGE_SHIFT, "a slot of level 1 is a page");
static_assert(3 + 9 * OLI_PT_MAX_LEVELS < 64, "a slot's size fits");

PT_INLINE u64 slot_mask(unsigned int level)
{
	return (1ull << slot_lg2(level)) - 1;
}

/* Of the range that a table of @level spans: all ones at the top. */
PT_INLINE u64 table_mask(unsigned int level)
{
	return level >= OLI_PT_MAX_LEVELS ? UINT64_MAX : slot_mask(level + 1);
}

PT_INLINE unsigned int slot_index(unsigned int level, u64 iova)
{
	return (unsigned int)(iova >> slot_lg2(level)) % OLI_PT_ITEMS;
}

PT_INLINE u64 slot_last(unsigned int level, u64 iova)
{
	return iova | slot_mask(level);
}

/* The last address of @iova's slot, or @last if that is nearer. */
PT_INLINE u64 slot_stop(unsigned int level, u64 iova, u64 last)
{
	u64 end = slot_last(level, iova);

	return end < last ? end : last;
}

/* The lowest level of which one table can span two addresses that differ by XOR @diff. */
PT_INLINE unsigned int level_of(u64 diff)
{
	unsigned int top = 63 - (unsigned int)__builtin_clzll(diff | 1);

	return top < 12 ? 1 : (top - 12) / 9 + 1;
}
static_assert((63 - 12) / 9 + 1 == OLI_PT_MAX_LEVELS, "the highest bit is in the highest level");

/* ---- memory ---- */

PT_INLINE u64 *table_cpu(const struct oli_pt_mem *mem, u64 pa)
{
	u64 off = pa - mem->linear_pa.v;

	if (__builtin_expect(off < mem->linear_size, 1))
		return (u64 *)(void *)(mem->linear_cpu + off);
	return mem->ops->cpu(mem->ctx, (struct olio_pa){pa});
}

PT_INLINE void clean(const struct oli_pt_mem *mem, const void *p, size_t len)
{
	if (!mem->coherent)
		mem->ops->clean(mem->ctx, p, len);
}

/* Walkers load items while others store them. */
PT_INLINE u64 item_load(const u64 *item)
{
	return __atomic_load_n(item, __ATOMIC_ACQUIRE);
}

/* Everything stored before, such as the table that @value names, is seen before @value is. */
PT_INLINE void item_store(const struct oli_pt_mem *mem, u64 *item, u64 value)
{
	__atomic_store_n(item, value, __ATOMIC_RELEASE);
	clean(mem, item, sizeof(*item));
}

/* ---- runs of items, four at a time ---- */

/*
 * Eight aligned bytes never tear in a vector access, but C knows nothing of that:
 * where ThreadSanitizer watches, each item goes by itself.
 */
#if defined(__SANITIZE_THREAD__)
#define PT_VECTORS 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define PT_VECTORS 0
#endif
#endif
#ifndef PT_VECTORS
#define PT_VECTORS 1
#endif

typedef u64 pt_vec __attribute__((vector_size(16), aligned(8), may_alias));
typedef u32 pt_words __attribute__((vector_size(16), aligned(8), may_alias));

PT_INLINE void run_fill(u64 *item, unsigned int n, u64 first, u64 step)
{
	unsigned int i = 0;
	pt_vec a, b;

	if (PT_VECTORS && n >= 4) {
		a = (pt_vec){first, first + step};
		b = a + 2 * step;
		for (; i + 4 <= n; i += 4, a += 4 * step, b += 4 * step) {
			*(pt_vec *)(item + i) = a;
			*(pt_vec *)(item + i + 2) = b;
		}
	}
	for (; i < n; i++)
		__atomic_store_n(item + i, first + i * step, __ATOMIC_RELAXED);
}

PT_INLINE bool run_empty(const u64 *item, unsigned int n)
{
	unsigned int i = 0;
	u64 rest = 0;
	pt_vec any;

	if (PT_VECTORS && n >= 4) {
		for (any = (pt_vec){0, 0}; i + 4 <= n; i += 4)
			any |= *(const pt_vec *)(item + i) | *(const pt_vec *)(item + i + 2);
		rest = any[0] | any[1];
	}
	for (; i < n; i++)
		rest |= __atomic_load_n(item + i, __ATOMIC_RELAXED);
	return !rest;
}

/* How many are not absent. Low halves do: their low 12 bits are 0 in absent items only. */
PT_INLINE unsigned int run_count(const u64 *item, unsigned int n)
{
	unsigned int i = 0, found = 0;
	pt_words absent;

	if (PT_VECTORS && n >= 4) {
		/* a comparison that holds is -1 */
		for (absent = (pt_words){0, 0, 0, 0}; i + 4 <= n; i += 4)
			absent += (pt_words)(__builtin_shufflevector(
						     *(const pt_words *)(item + i),
						     *(const pt_words *)(item + i + 2), 0, 2, 4,
						     6) == 0);
		found = i + absent[0] + absent[1] + absent[2] + absent[3];
	}
	for (; i < n; i++)
		found += __atomic_load_n(item + i, __ATOMIC_RELAXED) != 0;
	return found;
}

/* ---- where a change begins ---- */

/*
 * The path ends at the level where the last change began. A change takes out only
 * tables below that, so what is on the path is never among them.
 */

/* Does the last change's lowest table span [start, last], which is not inside a slot of it? */
PT_INLINE bool path_hit(const struct oli_pt *pt, u64 start, u64 last)
{
	u64 wide = start ^ last, moved = (start ^ pt->path_iova) | wide;

	return moved < table_mask(pt->path_level) && wide >= slot_mask(pt->path_level);
}

/* The item that [start, last] is the slot of, if it is one slot and the path leads there. */
PT_INLINE u64 *path_slot(const struct oli_pt *pt, u64 start, u64 last)
{
	u64 wide = start ^ last;

	if (!path_hit(pt, start, last) || wide != slot_mask(pt->path_level) || start & wide)
		return NULL;
	return pt->path[pt->path_level] + slot_index(pt->path_level, start);
}

/*
 * The lowest table there is that spans [start, last] and has a slot no larger
 * than the range where the range is a whole slot, so that a leaf fits in it.
 */
PT_INLINE u64 *path_enter(struct oli_pt *pt, u64 start, u64 last, unsigned int *level)
{
	u64 wide = start ^ last, *table, item;
	unsigned int want, at;

	*level = pt->path_level;
	if (path_hit(pt, start, last))
		return pt->path[*level];
	want = level_of(wide);
	if (want < pt->levels && wide == table_mask(want))
		want++;
	at = level_of((start ^ pt->path_iova) | wide);
	if (at < want)
		at = want;
	if (at < pt->path_level)
		at = pt->path_level;
	for (table = pt->path[at]; at > want; pt->path[--at] = table) {
		item = item_load(table + slot_index(at, start));
		if (!item || !fmt_is_table(at, item))
			break;
		table = table_cpu(pt->mem, fmt_table_pa(item));
	}
	pt->path_iova = start;
	pt->path_level = (u8)at;
	*level = at;
	return table;
}

#endif
