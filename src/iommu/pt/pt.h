/* SPDX-License-Identifier: MIT */
/*
 * I/O page tables: the CONTRACT of a table format, and the calls of the layer.
 *
 * Words
 *
 *   IOVA         what the device emits; the address that is looked up
 *   pa           the physical address that comes out
 *   table        a 4 KiB page of 512 items; the root is the table of the top level
 *   item         eight bytes of a table: absent (0), a table of the next level, or a leaf
 *   slot         the IOVA range of one item: 4 KiB at level 1, 512 times more each level up
 *   leaf         an item, or a block of equal items, that maps its whole range
 *   block        a leaf of 2^n slots of one table: each of its items says the same
 *   lg2          the binary logarithm of a size; leaf sizes are given by it
 *   granule      the smallest leaf, 4 KiB: every range begins and ends on it
 *   start, last  a range, both inclusive; nothing here has an end one past the last
 *   level        1 is the lowest table; manuals count the same way
 *
 *      level 3          level 2          level 1
 *     +-------+        +-------+        +-------+
 *     | table |------->| leaf  | 2M     |       |
 *     |       |        | table |------->| leaf  | 4K
 *     | leaf  | 1G     |       |        | leaf, | 8K and more:
 *     +-------+        +-------+        | leaf  | a block (AMD)
 *                                       +-------+
 *
 * Who may do what at once
 *
 * All changes of a table set go through one struct oli_pt, and the caller admits
 * one at a time: map, unmap, clear of dirty bits. Look-up, walk and touch may run
 * at any time, in any process that opened the tables: each item changes by one
 * store, and a table is linked after it is filled. What unmap takes out is still
 * read by walkers that are under way; that is why it goes into a gather.
 *
 * A table that unmap took out stays intact, but for the first item, until the
 * caller has flushed the IOMMU and says so by oli_pt_gather_synced().
 */
#ifndef OLI_IOMMU_PT_H
#define OLI_IOMMU_PT_H

#include <assert.h>

#include "base/types.h"
#include "olio/addr.h"

#define OLI_PT_MAX_LEVELS 6
#define OLI_PT_ITEMS	  512

/* The formats. X(NAME, name, least and most levels). The tests run over the same list. */
#define OLI_PT_FORMATS(X)                                                                          \
	X(VTDSS, vtdss, 3, 5)                                                                      \
	X(AMDV1, amdv1, 1, 6)                                                                      \
	X(X86_64, x86_64, 4, 5)

enum oli_pt_format_id {
#define OLI_PT_ID(NAME, name, least, most) OLI_PT_##NAME,
	OLI_PT_FORMATS(OLI_PT_ID)
#undef OLI_PT_ID
		OLI_PT_NR_FORMATS
};

/*
 * What a leaf allows and how it is reached. READ or WRITE is required.
 *
 *              vtdss        amdv1       x86_64
 *   READ       R            IR          present (WRITE implies it)
 *   WRITE      W            IW          R/W
 *   COHERENT   nothing      FC          nothing
 *   MMIO       nothing      nothing     PCD, PWT: uncached
 *   SNOOP      SNP          FC          -EOPNOTSUPP
 *   PRIV       -EOPNOTSUPP  -EOPNOTSUPP U/S clear
 *   EXEC       nothing      nothing     XD clear (if OLI_PT_NX)
 *
 * "Nothing": the format has no such bit, and what is asked for holds anyway.
 * COHERENT with MMIO is -EINVAL. SNOOP needs OLI_PT_SNOOP_CONTROL on vtdss.
 */
enum {
	OLI_PT_READ = 1 << 0,
	OLI_PT_WRITE = 1 << 1,
	OLI_PT_COHERENT = 1 << 2,
	OLI_PT_MMIO = 1 << 3,
	OLI_PT_SNOOP = 1 << 4,
	OLI_PT_PRIV = 1 << 5,
	OLI_PT_EXEC = 1 << 6,
	OLI_PT_ALL_ATTRS = (1 << 7) - 1,
};

/*
 * CONTRACT of the memory that tables are made of. Each callback gets @ctx.
 *
 * alloc  A zeroed page, 4 KiB aligned both ways, never pa 0. 0 or -ENOMEM. Called by map, by
 *        create, and by an unmap that splits a leaf; never by anything else.
 * free   Takes back what alloc gave. Called when no walker can reach it any more.
 * cpu    Pointer to a page that alloc gave and whose pa is outside the window
 *        below. Never fails. Must be safe in any thread.
 * clean  Makes @len bytes at @p visible to walkers that do not snoop the CPU's
 *        cache. Called after each change, and for a table before it is linked.
 *        Only called if @coherent is false.
 *
 * The window: the page of @linear_pa + x is at @linear_cpu + x for each
 * x < @linear_size. It saves the call; no window is @linear_size 0.
 */
struct oli_pt_mem_ops {
	int (*alloc)(void *ctx, struct olio_pa *pa, void **cpu);
	void (*free)(void *ctx, struct olio_pa pa);
	void *(*cpu)(void *ctx, struct olio_pa pa);
	void (*clean)(void *ctx, const void *p, size_t len);
};

struct oli_pt_mem {
	const struct oli_pt_mem_ops *ops;
	void *ctx;
	char *linear_cpu;
	struct olio_pa linear_pa;
	u64 linear_size;
	bool coherent;
};

/* What the hardware at hand can do beyond its format. */
enum {
	OLI_PT_AD = 1 << 0, /* it sets accessed and dirty bits */
	OLI_PT_SNOOP_CONTROL = 1 << 1, /* vtdss: SNP is not reserved */
	OLI_PT_NX = 1 << 2, /* x86_64: XD is not reserved */
	OLI_PT_ALL_FEATURES = (1 << 3) - 1,
};

/* 0 in @iova_bits, @pa_bits and @sizes means all that the format has. */
struct oli_pt_config {
	enum oli_pt_format_id format;
	u8 levels;
	u8 iova_bits;
	u8 pa_bits;
	u32 features;
	u64 sizes; /* bit n: leaves of 2^n bytes; 4K always, 2M if 1G, and so on */
};

/*
 * A table set. Embedded by its user; the fields are this layer's own.
 *
 * path[l] for path_level <= l <= levels is the table of level l that spans
 * path_iova: where the last change was is where the next begins.
 */
struct oli_pt {
	const struct oli_pt_format *format;
	const struct oli_pt_mem *mem;
	struct olio_pa root;
	u64 iova_last, pa_last;
	u64 sizes;
	u32 features;
	u32 attrs; /* those that map takes */
	u8 levels;
	u8 path_level;
	u64 path_iova;
	u64 *path[OLI_PT_MAX_LEVELS + 1];
};

/*
 * What a change took away, until the IOMMU is flushed: [start, last] spans it
 * (start > last: nothing), @tables says that not only leaves went, so that caches
 * of upper levels have to be flushed as well. The tables are chained by their
 * first item, which for any walker is absent: its low 12 bits are zero.
 */
struct oli_pt_gather {
	u64 start, last;
	struct olio_pa head;
	u64 tables;
};

/* One leaf, as look-up and walk report it: the whole of it. */
struct oli_pt_leaf {
	struct olio_iova_range iova;
	struct olio_pa pa;
	u32 attrs;
	u8 lg2;
	bool accessed, dirty;
};

/* Return: 0 to go on; anything else ends the walk, which returns it. */
typedef int (*oli_pt_visit)(void *arg, const struct oli_pt_leaf *leaf);

/*
 * CONTRACT of a format, made by including map.h, unmap.h and look.h in its file
 * after the functions of item.h. Arguments were checked: ranges are of whole
 * granules, inside the limits, and attributes can be had.
 */
struct oli_pt_format {
	const char *name;
	u64 sizes;
	u32 features;
	u32 attrs;
	u8 pa_bits;
	u8 iova_bits[OLI_PT_MAX_LEVELS + 1]; /* by number of levels; 0: not offered */
	int (*map)(struct oli_pt *pt, u64 start, u64 last, u64 pa, u32 attrs,
		   struct oli_pt_gather *gather);
	s64 (*unmap)(struct oli_pt *pt, u64 start, u64 last, struct oli_pt_gather *gather);
	int (*look)(const struct oli_pt *pt, u64 iova, struct oli_pt_leaf *leaf);
	int (*walk)(const struct oli_pt *pt, u64 start, u64 last, oli_pt_visit visit, void *arg);
	int (*touch)(const struct oli_pt *pt, u64 iova, bool write);
	int (*dirty)(const struct oli_pt *pt, u64 start, u64 last, bool clear, oli_pt_visit visit,
		     void *arg);
	void (*free)(const struct oli_pt *pt);
};

#define OLI_PT_EXTERN(NAME, name, least, most) extern const struct oli_pt_format oli_pt_##name;
OLI_PT_FORMATS(OLI_PT_EXTERN)
#undef OLI_PT_EXTERN

const char *oli_pt_format_name(enum oli_pt_format_id id);

/*
 * Make an empty table set: one page, the root, whose place is @pt->root.
 * Owns: @pt; @mem stays the caller's and must outlive it.
 * Return: 0; -EINVAL unknown format, levels, sizes or bits; -EOPNOTSUPP a feature
 * that the format has not; -ENOMEM.
 */
OLI_MUST_CHECK int oli_pt_create(struct oli_pt *pt, const struct oli_pt_config *config,
				 const struct oli_pt_mem *mem);

/* The same tables in another process, for look-up, walk and touch. Owns nothing: not destroyed. */
OLI_MUST_CHECK int oli_pt_open(struct oli_pt *pt, const struct oli_pt_config *config,
			       const struct oli_pt_mem *mem, struct olio_pa root);

/* Frees all tables, mapped or not. No walker may reach them any more. */
void oli_pt_destroy(struct oli_pt *pt);

/*
 * Map @iova to the pa's from @pa on, with the largest leaves that alignment,
 * length and @pt->sizes allow. All or nothing. An empty table in the way of a
 * larger leaf goes into @gather, so map too ends with a flush if there is any.
 * Return: 0; -EINVAL unaligned, start > last, bad attributes; -EOPNOTSUPP an
 * attribute that the format has not; -ERANGE beyond the limits; -EADDRINUSE any
 * part of @iova is mapped; -ENOMEM. On failure nothing has changed.
 */
OLI_MUST_CHECK int oli_pt_map(struct oli_pt *pt, struct olio_iova_range iova, struct olio_pa pa,
			      u32 attrs, struct oli_pt_gather *gather);

/*
 * Take out whatever is mapped in @iova; holes are allowed. A leaf that sticks out
 * at either end is split, which needs memory. What one call of map made, unmapped
 * as a whole or with its neighbours, never needs any and cannot fail.
 * Return: bytes that were mapped; -EINVAL, -ERANGE as map; -ENOMEM a leaf was to
 * be split: nothing has changed.
 */
OLI_MUST_CHECK s64 oli_pt_unmap(struct oli_pt *pt, struct olio_iova_range iova,
				struct oli_pt_gather *gather);

/* Return: 0 and the leaf that maps @iova, or -ENOENT. */
OLI_MUST_CHECK int oli_pt_look(const struct oli_pt *pt, struct olio_iova iova,
			       struct oli_pt_leaf *leaf);

/* Return: 0 and where the byte at @iova is, or -ENOENT. */
OLI_MUST_CHECK int oli_pt_iova_to_phys(const struct oli_pt *pt, struct olio_iova iova,
				       struct olio_pa *pa);

/* Each leaf that has a part in @iova, ascending. Return: 0, -EINVAL, -ERANGE, or @visit's. */
int oli_pt_walk(const struct oli_pt *pt, struct olio_iova_range iova, oli_pt_visit visit,
		void *arg);

/*
 * What hardware does on an access: sets accessed, and dirty for a write. For a
 * device model. Return: 0, -ENOENT, -EOPNOTSUPP without OLI_PT_AD.
 */
int oli_pt_touch(const struct oli_pt *pt, struct olio_iova iova, bool write);

/*
 * Each dirty leaf with a part in @iova; with @clear its mark is taken away, and
 * the caller flushes @iova before the device's next write counts. Return: as
 * walk; -EOPNOTSUPP without OLI_PT_AD.
 */
int oli_pt_dirty(const struct oli_pt *pt, struct olio_iova_range iova, bool clear,
		 oli_pt_visit visit, void *arg);

static inline void oli_pt_gather_init(struct oli_pt_gather *gather)
{
	*gather = (struct oli_pt_gather){.start = UINT64_MAX};
}

void oli_pt_gather_free(struct oli_pt_gather *gather, const struct oli_pt_mem *mem);

/* The IOMMU has been flushed: give the tables back. @gather is empty again. */
static inline void oli_pt_gather_synced(struct oli_pt_gather *gather, const struct oli_pt_mem *mem)
{
	if (gather->tables)
		oli_pt_gather_free(gather, mem);
	gather->start = UINT64_MAX;
	gather->last = 0;
}

#endif
