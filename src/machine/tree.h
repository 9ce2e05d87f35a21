/* SPDX-License-Identifier: MIT */
/*
 * The tree of buses as requests see it.
 *
 * The tree's shape is fixed by the description; ACS bits may change while the
 * machine runs (firmware, administrators do that), which is why nothing about
 * routes is ever cached without @seq.
 *
 * Two things live here and must not know of each other: the routing of a request,
 * which is what the hardware does, port by port, and which the peer-to-peer
 * calculation of src/dma is judged by.
 */
#ifndef OLI_MACHINE_TREE_H
#define OLI_MACHINE_TREE_H

#include "machine/desc.h"
#include "machine/machine.h"

/* Where a request ends up. */
enum oli_route {
	OLI_ROUTE_PEER, /* a BAR, by bus address, below the host bridge: not translated */
	OLI_ROUTE_ROOT, /* arrived at the host bridge, or from a platform device: to be translated */
	OLI_ROUTE_ABORT /* a port blocked it */
};

/*
 * Send a memory request of @node for bus address @addr upwards. Each port on the
 * way either finds it in the window of another port below the same switch and may
 * turn it there, or passes it up.
 * @pa: with PEER, the physical address of the byte in the BAR.
 */
enum oli_route oli_tree_route(struct oli_machine *m, u8 node, u64 addr, struct olio_pa *pa);

/*
 * At the top: may a request of @node, translated to the BAR at @pa, go down again?
 * Without an IOMMU as well.
 */
bool oli_tree_root_passes(struct oli_machine *m, u8 node, struct olio_pa pa);

/* The present ACS bits of a port. */
u8 oli_tree_acs(struct oli_machine *m, u8 node);
/* Change them. Context: any process; takes no lock. Return: 0, -EINVAL not a port. */
int oli_tree_set_acs(struct oli_machine *m, u8 node, u8 acs);

/* Ancestors: the host bridge above @node, or OLI_NODE_NONE for a platform device. */
u8 oli_tree_bridge(const struct oli_desc *d, u8 node);

#endif
