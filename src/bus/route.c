// SPDX-License-Identifier: MIT
/*
 * One piece of a transaction: from the address that the device puts on its bus to the
 * memory that this means.
 *
 *   piece    bytes that go the same way: one table entry, one frame, one BAR
 *   target   what is at a physical address
 *
 * No request crosses 4 KiB (PCIe 2.2.7), so a long transaction is many, and each is
 * routed for itself: a piece ends where the bus addresses of BARs begin, and is a
 * page at most among them.
 *
 * Addresses are 64 bits and come from the device, which is not trusted. @len is what is
 * wanted and never wraps with @dma; everything that is found only makes it shorter.
 */
#include <errno.h>
#include <stdatomic.h>

#include "bus/int.h"
#include "iommu/fault.h"

static const struct oli_node *node_of(const struct oli_bus_tx *tx)
{
	return &tx->m->shm->desc.node[tx->id.node];
}

static int fault(struct oli_bus_tx *tx, enum olio_fault_kind kind, struct olio_iova dma, u64 len,
		 u32 access, struct olio_pa pa)
{
	oli_fault_record(tx->m, tx->id.node, tx->id.space, tx->id.space_gen, kind, dma, len, access,
			 pa);
	return -EFAULT;
}

/* ---- from the device to a physical address ---- */

/* How much of [@dma, @dma + @len) is routed alike: see above. */
static u64 routed_alike(const struct oli_desc *d, u64 dma, u64 len)
{
	u64 start = OLI_PA_MMIO - d->bus_offset, room;

	if (dma < start)
		room = start - dma;
	else if (dma - start < OLI_PA_MMIO_SIZE)
		room = OLI_PAGE_SIZE - (dma & (OLI_PAGE_SIZE - 1));
	else
		return len;
	return len < room ? len : room;
}

static enum olio_fault_kind why_denied(struct oli_bus_tx *tx, struct olio_iova dma, u32 access)
{
	struct olio_pa pa;
	u64 len = 1;

	if (access != (OLI_ACCESS_READ | OLI_ACCESS_WRITE))
		return access == OLI_ACCESS_READ ? OLIO_FAULT_READ : OLIO_FAULT_WRITE;
	return oli_xlate(&tx->x, dma, OLI_ACCESS_READ, &pa, &len) ? OLIO_FAULT_READ
								  : OLIO_FAULT_WRITE;
}

/* At the top of the tree. *@len gets shorter. Return: 0, -EFAULT (recorded). */
static int translate(struct oli_bus_tx *tx, struct olio_iova dma, u64 *len, u32 access,
		     struct olio_pa *pa)
{
	u64 offset = tx->m->shm->desc.dma_offset, want = *len;
	enum olio_fault_kind kind;

	if (!tx->translated) {
		if (dma.v < offset)
			return fault(tx, OLIO_FAULT_RANGE, dma, want, access, (struct olio_pa){0});
		pa->v = dma.v - offset;
		return 0;
	}
	switch (oli_xlate(&tx->x, dma, access, pa, len)) {
	case 0:
		return 0;
	case -EACCES:
		kind = why_denied(tx, dma, access);
		break;
	case -ERANGE:
		kind = OLIO_FAULT_RANGE;
		break;
	default:
		kind = OLIO_FAULT_NOT_PRESENT;
	}
	return fault(tx, kind, dma, want, access, (struct olio_pa){0});
}

/* ---- what is there ---- */

/* Which of the reasons for nothing at @pa. */
static enum olio_fault_kind why_nothing(const struct oli_machine *m, struct olio_pa pa)
{
	return oli_range_inside(pa.v, 1, OLI_PA_RAM, m->shm->desc.ram_size) ? OLIO_FAULT_UNPINNED
									    : OLIO_FAULT_NO_TARGET;
}

/* The generation of the process that has the frame. Return: false: it is gone. */
static bool owner(struct oli_machine *m, struct olio_pa pa, const struct oli_phys *at, u32 *gen)
{
	const struct oli_slot *s = oli_slot(m, at->slot);
	const struct oli_frame *f;

	if (at->slot == m->slot) {
		*gen = m->gen;
		return true;
	}
	*gen = s->gen;
	if (atomic_load(&s->state) != OLI_SLOT_LIVE)
		return false;
	/* Still its frame: so the generation is not that of somebody after it. */
	f = oli_frame_get(m, pa);
	return f &&
	       (atomic_load(&f->page) & ~(OLI_PAGE_SIZE - 1)) == (at->va & ~(OLI_PAGE_SIZE - 1));
}

static bool frame_span(struct oli_bus_tx *tx, struct olio_pa pa, const struct oli_phys *at,
		       struct oli_span *span)
{
	const struct oli_node *n = node_of(tx);

	span->cipher = (at->flags & OLI_FRAME_PRIVATE) && !n->tee && !n->software;
	if (at->shadow && !n->coherent && !n->software) {
		span->addr = (u64)(uintptr_t)at->shadow;
		return true;
	}
	span->slot = at->slot;
	span->addr = at->va;
	return owner(tx->m, pa, at, &span->gen);
}

/*
 * @span is filled in but for its address, and gets shorter. @bar: a BAR may be there, too.
 * Return: -1, or the fault.
 */
static int target(struct oli_bus_tx *tx, u32 access, bool bar, struct oli_span *span)
{
	struct olio_pa pa = {span->pa};
	struct oli_phys at;

	if (!oli_phys_find(tx->m, pa, &at))
		return (int)why_nothing(tx->m, pa);
	if (at.run < span->len)
		span->len = at.run;
	switch (at.kind) {
	case OLI_PHYS_FRAME:
		if ((at.flags & OLI_FRAME_READ_ONLY) && (access & OLI_ACCESS_WRITE))
			return OLIO_FAULT_WRITE;
		return frame_span(tx, pa, &at, span) ? -1 : OLIO_FAULT_GONE;
	case OLI_PHYS_BAR:
		if (!bar)
			return OLIO_FAULT_NO_TARGET;
		break;
	case OLI_PHYS_LOW:
		break;
	default:
		/* The machine's own file is nobody's target. */
		return OLIO_FAULT_NO_TARGET;
	}
	span->addr = (u64)(uintptr_t)at.cpu;
	return -1;
}

/* ---- all of it ---- */

/* A software device: the physical address itself, and RAM only (C3). */
static int software_piece(struct oli_bus_tx *tx, struct olio_iova dma, u32 access,
			  struct oli_span *span)
{
	int kind;

	span->pa = dma.v;
	kind = target(tx, access, false, span);
	return kind < 0 ? 0
			: fault(tx, (enum olio_fault_kind)kind, dma, span->len, access,
				(struct olio_pa){span->pa});
}

/* Arrived at the top: translated, then to RAM, or down again to a BAR. */
static int root_piece(struct oli_bus_tx *tx, struct olio_iova dma, u32 access,
		      struct oli_span *span)
{
	struct olio_pa pa = {0};
	int kind;

	if (translate(tx, dma, &span->len, access, &pa))
		return -EFAULT;
	span->pa = pa.v;
	kind = target(tx, access, true, span);
	if (kind < 0 && pa.v - OLI_PA_MMIO < OLI_PA_MMIO_SIZE &&
	    !oli_tree_root_passes(tx->m, tx->id.node, pa))
		kind = OLIO_FAULT_NO_ROUTE;
	return kind < 0 ? 0 : fault(tx, (enum olio_fault_kind)kind, dma, span->len, access, pa);
}

int oli_bus_piece(struct oli_bus_tx *tx, struct olio_iova dma, u64 len, u32 access,
		  struct oli_span *span)
{
	const struct oli_node *n = node_of(tx);
	struct olio_pa pa = {0};
	int kind;

	*span = (struct oli_span){.len = len, .slot = OLI_SLOT_NONE};
	if (n->software)
		return software_piece(tx, dma, access, span);
	if (tx->translated && !tx->entered)
		return fault(tx, OLIO_FAULT_NO_SPACE, dma, len, access, pa);
	/* It has no wires for more. */
	if (n->dma_bits < 64 && (dma.v + (len - 1)) >> n->dma_bits)
		return fault(tx, OLIO_FAULT_RANGE, dma, len, access, pa);
	span->len = routed_alike(&tx->m->shm->desc, dma.v, len);
	/* Where no BAR can be, no port turns it aside. */
	if (dma.v - (OLI_PA_MMIO - tx->m->shm->desc.bus_offset) >= OLI_PA_MMIO_SIZE)
		return root_piece(tx, dma, access, span);
	switch (oli_tree_route(tx->m, tx->id.node, dma.v, &pa)) {
	case OLI_ROUTE_ROOT:
		return root_piece(tx, dma, access, span);
	case OLI_ROUTE_PEER:
		span->pa = pa.v;
		kind = target(tx, access, true, span);
		return kind < 0 ? 0
				: fault(tx, (enum olio_fault_kind)kind, dma, span->len, access, pa);
	default:
		return fault(tx, OLIO_FAULT_NO_ROUTE, dma, len, access, pa);
	}
}
