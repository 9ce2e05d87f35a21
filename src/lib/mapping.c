// SPDX-License-Identifier: MIT
/*
 * What is mapped, from the outside: the leaves of every live address space, joined.
 *
 *   position  number of the space << 52 | IOVA >> 12: where the next look begins
 *   join      a leaf is added to the ones before it if it follows them in the address
 *             space, allows the same, and goes on in the same program or region:
 *             pages of a program are scattered in physical memory, and a row for each
 *             would tell nobody anything
 *
 * The walker sits in the space like a device (xlate.h), so that no table goes away
 * under it, and gets up every few hundred leaves: whoever flushes waits for it.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>

#include "iommu/space.h"
#include "lib/observe.h"
#include "machine/phys.h"

#define POS_SPACE      52
#define LEAVES_AT_ONCE 512

struct joined {
	struct oli_machine *m;
	u64 start, last; /* IOVAs; start > last: nothing yet */
	u64 pa;
	u64 next_pa; /* what would follow */
	u64 next_va; /* what would follow in the program of @slot */
	u32 attrs;
	u16 slot;
	u8 lg2;
	u32 left; /* leaves until the walker gets up */
	bool full; /* the next leaf does not belong to it */
};

static bool joins(const struct joined *j, const struct oli_pt_leaf *leaf, const struct oli_phys *p)
{
	if (leaf->iova.start.v != j->last + 1 || leaf->attrs != j->attrs)
		return false;
	if (leaf->pa.v == j->next_pa && j->slot == OLI_SLOT_NONE)
		return p->kind != OLI_PHYS_FRAME;
	return p->kind == OLI_PHYS_FRAME && p->slot == j->slot && p->va == j->next_va;
}

static int join(void *arg, const struct oli_pt_leaf *leaf)
{
	u64 len = leaf->iova.last.v - leaf->iova.start.v + 1;
	struct joined *j = arg;
	struct oli_phys p = {0};

	if (!oli_phys_find(j->m, leaf->pa, &p))
		p.kind = OLI_PHYS_NONE;
	if (j->start <= j->last && !joins(j, leaf, &p)) {
		j->full = true;
		return 1;
	}
	if (j->start > j->last) {
		j->start = leaf->iova.start.v;
		j->pa = leaf->pa.v;
		j->lg2 = leaf->lg2;
		j->attrs = leaf->attrs;
		j->slot = p.kind == OLI_PHYS_FRAME ? p.slot : OLI_SLOT_NONE;
	}
	j->last = leaf->iova.last.v;
	j->next_pa = leaf->pa.v + len;
	j->next_va = p.va + len;
	return --j->left ? 0 : 2;
}

/* Join what there is from @from on. Return: 0, -ENOENT the space ended. */
static int look(struct oli_machine *m, struct oli_space *s, u64 from, struct joined *j)
{
	u32 gen = atomic_load(&s->live);
	struct oli_pt_mem mem;
	struct oli_xlate x;
	struct oli_pt pt;
	int ret;

	if (!gen)
		return -ENOENT;
	ret = oli_xlate_enter(m, oli_space_id(m, s), gen, &x);
	if (ret)
		return ret;
	oli_space_reader(m, &mem);
	ret = oli_pt_open(&pt, &s->config, &mem, s->root);
	if (!ret && from <= pt.iova_last)
		ret = oli_pt_walk(&pt, (struct olio_iova_range){{from}, {pt.iova_last}}, join, j);
	else
		ret = ret ? ret : 0;
	oli_xlate_exit(&x);
	return ret < 0 ? -ENOENT : ret;
}

static void comm_of(struct oli_machine *m, u16 slot, char *out, size_t size)
{
	char comm[17] = "?";

	if (slot < OLI_SLOTS)
		oli_copy_text(comm, sizeof(comm), oli_slot(m, slot)->comm, 16);
	snprintf(out, size, "%s[%d]", comm, oli_slot_pid(m, slot));
}

void oli_target_text(struct oli_machine *m, u64 pa, char *out, size_t size)
{
	const struct oli_desc *d = &m->shm->desc;
	struct oli_phys p = {0};
	char who[40];

	if (!oli_phys_find(m, (struct olio_pa){pa}, &p))
		p.kind = OLI_PHYS_NONE;
	switch (p.kind) {
	case OLI_PHYS_FRAME:
		comm_of(m, p.slot, who, sizeof(who));
		snprintf(out, size, "%s 0x%llx%s", who, (unsigned long long)p.va,
			 p.flags & OLI_FRAME_PRIVATE ? " private" : "");
		break;
	case OLI_PHYS_LOW:
		snprintf(out, size, "low memory: bounce slots or olio_dma_alloc()");
		break;
	case OLI_PHYS_BAR:
		snprintf(out, size, "BAR %u of %.31s", p.bar,
			 p.node < d->nr_nodes ? d->node[p.node].name : "?");
		break;
	case OLI_PHYS_FILE:
		snprintf(out, size, "the machine's own file");
		break;
	default:
		snprintf(out, size, "nothing");
		break;
	}
}

static void fill(struct oli_machine *m, const struct oli_space *s, const struct joined *j,
		 struct olio_mapping_info *i)
{
	const struct oli_desc *d = &m->shm->desc;

	if (s->node < d->nr_nodes)
		oli_copy_text(i->device, sizeof(i->device), d->node[s->node].name, OLI_NODE_NAME);
	i->pid = s->owner ? oli_slot_pid(m, s->owner - 1) : 0;
	i->iova = j->start;
	i->len = j->last - j->start + 1;
	i->pa = j->pa;
	i->leaf = j->lg2 < 32 ? 1u << j->lg2 : 0;
	snprintf(i->access, sizeof(i->access), "%s%s", j->attrs & OLI_PT_READ ? "r" : "",
		 j->attrs & OLI_PT_WRITE ? "w" : "");
	oli_target_text(m, j->pa, i->target, sizeof(i->target));
}

int olio_next_mapping(struct olio_machine *om, u64 *pos, struct olio_mapping_info *out)
{
	struct oli_machine *m = om->m;
	struct olio_mapping_info info = {0};
	u64 id = *pos >> POS_SPACE;
	u64 from = (*pos & ((1ull << POS_SPACE) - 1)) << OLI_PAGE_SHIFT;

	for (; id < OLI_SPACES; id++, from = 0) {
		struct oli_space *s = &oli_iommu(m)->space[id];
		struct joined j = {.m = m, .start = 1};
		int ret;

		do {
			j.left = LEAVES_AT_ONCE;
			ret = look(m, s, from, &j);
			from = j.start <= j.last ? j.last + 1 : from;
		} while (ret == 2 && from);
		if (j.start > j.last)
			continue;
		fill(m, s, &j, &info);
		*pos = from ? id << POS_SPACE | from >> OLI_PAGE_SHIFT : (id + 1) << POS_SPACE;
		return oli_copy_out(out, &info, sizeof(info));
	}
	*pos = id << POS_SPACE;
	return 0;
}
