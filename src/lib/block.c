// SPDX-License-Identifier: MIT
/*
 * The page list of a memory region, from the outside: as the device has it, and where
 * each block is in physical memory now.
 *
 * A request for a block goes the way that the device's requests go (tree, then IOMMU),
 * but nothing is recorded if there is nothing: who looks on causes no faults.
 */
#include <errno.h>

#include "iommu/xlate.h"
#include "lib/observe.h"
#include "machine/tree.h"

static struct oli_mr *find_region(struct oli_machine *m, u32 lkey)
{
	struct oli_table *t = &oli_rdma(m)->mr;
	struct oli_mr *mr;

	for (u32 id = 0; (mr = oli_table_peek(m, t, id)); id++)
		if (oli_obj_live(&mr->obj) && mr->kind == OLI_MR_PLAIN && mr->lkey == lkey)
			return mr;
	return NULL;
}

static u64 translate(struct oli_machine *m, const struct oli_bus_id *bus, u64 dma)
{
	struct olio_pa pa = {0};
	struct oli_xlate x;
	u64 len = 1;

	if (bus->node >= m->shm->desc.nr_nodes)
		return 0;
	switch (oli_tree_route(m, bus->node, dma, &pa)) {
	case OLI_ROUTE_PEER:
		return pa.v;
	case OLI_ROUTE_ABORT:
		return 0;
	default:
		break;
	}
	if (!bus->space_gen)
		return dma - m->shm->desc.dma_offset;
	if (oli_xlate_enter(m, bus->space, bus->space_gen, &x))
		return 0;
	if (oli_xlate(&x, (struct olio_iova){dma}, OLI_ACCESS_READ, &pa, &len))
		pa.v = 0;
	oli_xlate_exit(&x);
	return pa.v;
}

int olio_next_mr_block(struct olio_machine *om, u32 lkey, u64 *pos, struct olio_block_info *out)
{
	struct oli_mr *mr = find_region(om->m, lkey);
	struct olio_block_info i = {0};
	const u64 *list;

	if (!mr)
		return -ENOENT;
	if (!mr->plist_off || mr->page_shift > 63 || *pos >= mr->nr_blocks ||
	    mr->nr_blocks > om->m->size / sizeof(u64))
		return 0;
	list = oli_ptr_checked(om->m, mr->plist_off, mr->nr_blocks * sizeof(u64));
	if (!list)
		return 0;
	i.dma = list[(*pos)++];
	i.len = 1ull << mr->page_shift;
	i.pa = translate(om->m, &mr->bus, i.dma);
	return oli_copy_out(out, &i, sizeof(i));
}
