// SPDX-License-Identifier: MIT
/*
 * The built-in IOMMU: a backend whose tables, IOTLB and translation are the
 * machine's own.
 *
 * Tables are pages of the machine's heap, tagged as this process's, at physical
 * address OLI_PA_FILE + offset; so the linear window of the table code covers all
 * of them. A few spare pages are kept here, so that a table more or less takes no
 * lock that other processes share.
 *
 * Invariant: a table that was taken out of the tree is freed after the drain that
 * follows, and no spare page is anybody's table. All but look are called by one
 * thread at a time.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "iommu/space.h"

#define SPARES 32 /* kept at most */
#define BATCH  8  /* asked for at once */

#define DEFAULT_TLB 4096u

struct soft {
	struct oli_hw hw;
	struct oli_machine *m;
	struct oli_space *space;
	struct oli_pt pt;
	struct oli_pt_mem mem;
	struct oli_pt_gather gather;
	u32 nr_spare;
	u64 spare[SPARES]; /* offsets */
};

static struct soft *soft_of(struct oli_hw *hw)
{
	return (struct soft *)(void *)hw;
}

static_assert(offsetof(struct soft, hw) == 0, "a backend begins with the common part");

/* ---- memory of tables ---- */

/* Several at once, if there is room for that. */
static int get_spares(struct soft *s)
{
	u32 n = BATCH;
	u64 off;
	int err = oli_heap_alloc(s->m, n * OLI_PAGE_SIZE, s->m->slot, &off);

	if (err) {
		n = 1;
		err = oli_heap_alloc(s->m, OLI_PAGE_SIZE, s->m->slot, &off);
	}
	for (u32 i = 0; !err && i < n; i++)
		s->spare[s->nr_spare++] = off + i * OLI_PAGE_SIZE;
	return err;
}

static int table_alloc(void *ctx, struct olio_pa *pa, void **cpu)
{
	struct soft *s = ctx;
	u64 off;

	if (!s->nr_spare && get_spares(s))
		return -ENOMEM;
	off = s->spare[--s->nr_spare];
	*cpu = memset(oli_ptr(s->m, off), 0, OLI_PAGE_SIZE);
	pa->v = OLI_PA_FILE + off;
	return 0;
}

static void table_free(void *ctx, struct olio_pa pa)
{
	struct soft *s = ctx;

	if (s->nr_spare < SPARES)
		s->spare[s->nr_spare++] = pa.v - OLI_PA_FILE;
	else
		oli_heap_free(s->m, pa.v - OLI_PA_FILE, OLI_PAGE_SIZE);
}

static void drop_spares(struct soft *s)
{
	while (s->nr_spare)
		oli_heap_free(s->m, s->spare[--s->nr_spare], OLI_PAGE_SIZE);
}

static struct oli_pt_mem_ops table_ops = {.alloc = table_alloc, .free = table_free};

/* ---- the contract ---- */

static int soft_map(struct oli_hw *hw, struct olio_iova_range iova, struct olio_pa pa, u32 prot)
{
	struct soft *s = soft_of(hw);

	return oli_pt_map(&s->pt, iova, pa, prot, &s->gather);
}

/* It could fail only for a leaf that sticks out, which the caller promised not to have. */
static u64 soft_unmap(struct oli_hw *hw, struct olio_iova_range iova)
{
	struct soft *s = soft_of(hw);
	s64 bytes = oli_pt_unmap(&s->pt, iova, &s->gather);

	return bytes < 0 ? 0 : (u64)bytes;
}

static void soft_flush(struct oli_hw *hw)
{
	struct soft *s = soft_of(hw);

	oli_space_drain(s->m, s->space);
	oli_pt_gather_synced(&s->gather, &s->mem);
}

static int soft_sync(struct oli_hw *hw, struct olio_iova_range iova)
{
	(void)iova;
	if (hw->caching)
		soft_flush(hw);
	return 0;
}

/* Inside, so that no table goes while it is read. */
static int soft_look(struct oli_hw *hw, struct olio_iova iova, struct oli_pt_leaf *leaf)
{
	struct soft *s = soft_of(hw);
	struct oli_xlate x;
	int err = oli_xlate_enter(s->m, hw->id, hw->gen, &x);

	if (err)
		return err;
	err = oli_pt_look(&s->pt, iova, leaf);
	oli_xlate_exit(&x);
	return err;
}

static int soft_walk(struct oli_hw *hw, struct olio_iova_range iova, oli_pt_visit visit, void *arg)
{
	return oli_pt_walk(&soft_of(hw)->pt, iova, visit, arg);
}

/* When this process has left the machine before, all has gone with its slot. */
static void soft_destroy(struct oli_hw *hw)
{
	struct soft *s = soft_of(hw);

	if (atomic_load(&s->space->live) == hw->gen) {
		oli_space_close(s->m, s->space);
		oli_pt_gather_synced(&s->gather, &s->mem);
		oli_pt_destroy(&s->pt);
		drop_spares(s);
		oli_space_give(s->m, s->space);
	}
	free(s);
}

static const struct oli_hw_ops soft_ops = {
	.name = "soft",
	.map = soft_map,
	.unmap = soft_unmap,
	.sync = soft_sync,
	.flush = soft_flush,
	.look = soft_look,
	.walk = soft_walk,
	.destroy = soft_destroy,
};

/* ---- making one ---- */

static u8 usual_levels(const struct oli_desc *d)
{
	return d->levels ? d->levels : 4;
}

static int make_tables(struct soft *s, const struct oli_desc *d)
{
	struct oli_pt_config *c = &s->space->config;

	oli_space_reader(s->m, &s->mem);
	table_ops.cpu = s->mem.ops->cpu;
	table_ops.clean = s->mem.ops->clean;
	s->mem.ops = &table_ops;
	s->mem.ctx = s;
	oli_pt_gather_init(&s->gather);
	*c = (struct oli_pt_config){.format = (enum oli_pt_format_id)d->format,
				    .levels = usual_levels(d),
				    .iova_bits = d->iova_bits,
				    .sizes = d->page_sizes};
	return oli_pt_create(&s->pt, c, &s->mem);
}

static void fill_hw(struct soft *s, const struct oli_desc *d)
{
	struct oli_hw *hw = &s->hw;
	u64 granule;

	hw->ops = &soft_ops;
	hw->granule_shift = d->granule_shift ? d->granule_shift : OLI_PAGE_SHIFT;
	granule = 1ull << hw->granule_shift;
	hw->aperture.last.v = s->pt.iova_last;
	hw->page_sizes = (s->pt.sizes & ~(granule - 1)) | granule;
	hw->lazy = d->iommu == OLI_IOMMU_LAZY;
	hw->caching = d->caching_mode;
	hw->id = oli_space_id(s->m, s->space);
	hw->gen = s->space->gen;
	s->space->caching = hw->caching;
	s->space->root = s->pt.root;
}

int oli_soft_create(struct oli_machine *m, u8 node, struct oli_hw **out)
{
	const struct oli_desc *d = &m->shm->desc;
	struct soft *s = OLI_FAULT() ? NULL : calloc(1, sizeof(*s));
	u32 entries = d->iotlb_entries ? d->iotlb_entries : DEFAULT_TLB;
	int err;

	if (!s)
		return -ENOMEM;
	s->m = m;
	err = oli_space_take(m, node, entries < 4 ? 4 : entries, d->checker >> 20 & 1, &s->space);
	if (err) {
		free(s);
		return err;
	}
	err = make_tables(s, d);
	if (err) {
		drop_spares(s);
		oli_space_give(m, s->space);
		free(s);
		return err;
	}
	fill_hw(s, d);
	oli_space_publish(s->space);
	*out = &s->hw;
	return 0;
}
