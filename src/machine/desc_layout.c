// SPDX-License-Identifier: MIT
/*
 * Bus numbers and BAR addresses of a sound tree, as firmware gives them out.
 *
 * Buses: each host bridge has a root bus; each port below is a bridge to the next
 * free number, depth first, so that the numbers below a port are a range. Devices on
 * a root bus begin at 1, elsewhere at 0; more than 32 on a bus become functions.
 *
 * BARs: depth first as well, each at a multiple of its size. What lies below a port is
 * thus one piece of the window, with nobody else's BAR in between.
 *
 * Nothing overflows: 48 nodes, and BARs of at most OLI_BAR_TOTAL, which is checked as
 * they are added up.
 */
#include <errno.h>
#include <stdio.h>

#include "machine/desc_int.h"

struct layout {
	struct oli_desc *d;
	u64 pa; /* next free */
	u64 total; /* bytes of all BARs */
	u32 bus; /* next free */
};

static bool has_bus(u8 kind)
{
	return kind != OLI_NODE_ENDPOINT_KIND && kind != OLI_NODE_PLATFORM_KIND;
}

static int place_bars(struct layout *l, struct oli_node *n, char *why)
{
	for (u32 i = 0; i < OLI_BARS; i++) {
		struct oli_bar *b = &n->bar[i];

		if (!b->len)
			continue;
		l->total += b->len;
		b->pa = oli_align_up(l->pa, b->len);
		if (l->total > OLI_BAR_TOTAL ||
		    !oli_range_inside(b->pa, b->len, OLI_PA_MMIO, OLI_PA_MMIO_SIZE))
			return OLI_DESC_BAD("node '%s': bar %u: all BARs together must be at most "
					    "%llu MiB",
					    n->name, i, OLI_BAR_TOTAL >> 20);
		b->bus = b->pa - l->d->bus_offset;
		l->pa = b->pa + b->len;
	}
	return 0;
}

/* Everything below @parent, which is on its way to have bus @bus below it. */
static int place_children(struct layout *l, u8 parent, u8 bus, bool root, char *why)
{
	u32 slot = root ? 1 : 0;

	for (u8 i = parent + 1; i < l->d->nr_nodes; i++) {
		struct oli_node *n = &l->d->node[i];
		int err;

		if (n->parent != parent)
			continue;
		n->bus = bus;
		n->devfn = (u8)((slot % 32) << 3 | slot / 32);
		slot++;
		err = has_bus(n->kind) ? place_children(l, i, (u8)l->bus++, false, why)
				       : place_bars(l, n, why);
		if (err)
			return err;
	}
	return 0;
}

int oli_desc_layout(struct oli_desc *d, char *why)
{
	struct layout l = {.d = d, .pa = OLI_PA_MMIO};

	if (!d->bus_offset)
		d->bus_offset = 0x30000000;
	for (u8 i = 0; i < d->nr_nodes; i++) {
		struct oli_node *n = &d->node[i];
		int err;

		if (n->kind != OLI_NODE_HOST_BRIDGE_KIND)
			continue;
		n->bus = (u8)l.bus++;
		err = place_children(&l, i, n->bus, true, why);
		if (err)
			return err;
	}
	return 0;
}
