// SPDX-License-Identifier: MIT
/*
 * Routing of requests, port by port, as PCI Express does it.
 *
 * A request with an address travels from its device upwards. Each port that it enters
 * from below (a root port, or a lower port of a switch) decides by the address alone:
 *
 *   - in the port's own window: the target hangs below the very port it came through.
 *     Only a request that was redirected can do that. With upstream forwarding it goes
 *     on upwards, else the port does not support it (6.12.1.1)
 *   - in the window of another lower port of the same switch: a peer. Request redirect
 *     sends it up instead; else egress control, with all bits of its vector set, blocks
 *     it; else it turns and goes down (6.12.1.1, and for redirect before control
 *     table 6-11)
 *   - else upwards
 *
 * What arrives at the host bridge is translated there. Bits that make no difference
 * here: source validation (our devices do not lie about who they are), translation
 * blocking and direct translated (no device sends translated requests).
 *
 * A reader also needs its answer. A completion is routed back by the reader's number
 * through the same ports; one whose completion redirect is set on the target's side
 * sends it to the host bridge first, and there it ends unless the bridge passes peer
 * traffic. Writes get no completion, but nobody maps for writes that cannot be read back:
 * the request is judged with its answer.
 *
 * Windows are exactly the BARs behind a port (machine/desc.h). ACS bits are read once a
 * port: who changes them meanwhile gets either answer.
 */
#include <errno.h>
#include <stdatomic.h>

#include "machine/desc_int.h"
#include "machine/phys.h"
#include "machine/tree.h"

/* Is @node @above itself or somewhere below it? */
static bool is_below(const struct oli_desc *d, u8 node, u8 above)
{
	while (node != above && node != OLI_NODE_NONE)
		node = d->node[node].parent;
	return node == above;
}

u8 oli_tree_bridge(const struct oli_desc *d, u8 node)
{
	if (node >= d->nr_nodes)
		return OLI_NODE_NONE;
	while (d->node[node].parent != OLI_NODE_NONE)
		node = d->node[node].parent;
	return d->node[node].kind == OLI_NODE_HOST_BRIDGE_KIND ? node : OLI_NODE_NONE;
}

u8 oli_tree_acs(struct oli_machine *m, u8 node)
{
	if (node >= m->shm->desc.nr_nodes)
		return 0;
	return atomic_load_explicit(&m->shm->tree.acs[node], memory_order_relaxed);
}

int oli_tree_set_acs(struct oli_machine *m, u8 node, u8 acs)
{
	const struct oli_desc *d = &m->shm->desc;

	if (node >= d->nr_nodes || !oli_is_down_port(d->node[node].kind) || acs & 0x80)
		return -EINVAL;
	atomic_store(&m->shm->tree.acs[node], acs);
	atomic_fetch_add(&m->shm->tree.seq, 1);
	return 0;
}

/* Does the answer of @target pass the ports below the switch @turn, where the request turned? */
static bool answer_returns(struct oli_machine *m, u8 target, u8 turn)
{
	const struct oli_desc *d = &m->shm->desc;

	for (u8 n = d->node[target].parent; n != turn; n = d->node[n].parent)
		if (oli_is_down_port(d->node[n].kind) && oli_tree_acs(m, n) & OLI_ACS_CR)
			return d->node[oli_tree_bridge(d, target)].p2p;
	return true;
}

/*
 * At the lower port @port, coming from below, for a BAR of @target.
 * Return: PEER it turns in this switch; ROOT it goes on upwards; ABORT.
 */
static enum oli_route at_port(struct oli_machine *m, u8 port, u8 target)
{
	const struct oli_desc *d = &m->shm->desc;
	u8 acs = oli_tree_acs(m, port), up = d->node[port].parent;

	if (is_below(d, target, port))
		return acs & OLI_ACS_UF ? OLI_ROUTE_ROOT : OLI_ROUTE_ABORT;
	/* Root ports of a bridge are no switch: between them lies the host bridge. */
	if (d->node[port].kind != OLI_NODE_SWITCH_DOWN_KIND || !is_below(d, target, up))
		return OLI_ROUTE_ROOT;
	if (acs & OLI_ACS_RR)
		return OLI_ROUTE_ROOT;
	if (acs & OLI_ACS_EC)
		return OLI_ROUTE_ABORT;
	return answer_returns(m, target, up) ? OLI_ROUTE_PEER : OLI_ROUTE_ABORT;
}

enum oli_route oli_tree_route(struct oli_machine *m, u8 node, u64 addr, struct olio_pa *pa)
{
	const struct oli_desc *d = &m->shm->desc;
	struct olio_pa hit;
	u8 target, bar;

	if (node >= d->nr_nodes || d->node[node].kind != OLI_NODE_ENDPOINT_KIND)
		return OLI_ROUTE_ROOT;
	if (!oli_bus_to_pa(m, addr, &hit, &target, &bar))
		return OLI_ROUTE_ROOT;
	/* Its own BAR: such a request never leaves the device. */
	if (target == node) {
		*pa = hit;
		return OLI_ROUTE_PEER;
	}
	for (u8 n = d->node[node].parent; n != OLI_NODE_NONE; n = d->node[n].parent) {
		enum oli_route r = OLI_ROUTE_ROOT;

		if (oli_is_down_port(d->node[n].kind))
			r = at_port(m, n, target);
		if (r == OLI_ROUTE_PEER)
			*pa = hit;
		if (r != OLI_ROUTE_ROOT)
			return r;
	}
	return OLI_ROUTE_ROOT;
}

bool oli_tree_root_passes(struct oli_machine *m, u8 node, struct olio_pa pa)
{
	const struct oli_desc *d = &m->shm->desc;
	u8 target, bar, from, to;
	struct olio_pa same;

	if (!oli_bus_to_pa(m, pa.v - d->bus_offset, &same, &target, &bar))
		return false;
	from = oli_tree_bridge(d, node);
	to = oli_tree_bridge(d, target);
	/* A platform device's bus does not lead to the windows of host bridges. */
	return from != OLI_NODE_NONE && d->node[from].p2p && d->node[to].p2p;
}
