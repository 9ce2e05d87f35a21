// SPDX-License-Identifier: MIT
/*
 * How a device reaches another one's BAR (S8).
 *
 *   path     a device and the ports above it, up to the host bridge, which is not a
 *            port: devices below two root ports have no port in common
 *   meeting  the lowest port that is on both paths
 *
 * Below a meeting a request turns and never sees an IOMMU, unless a port on one of the
 * two paths, the meeting included, was told to redirect. Then, and without a meeting, it
 * goes to the top, and down again if the host bridges do that.
 *
 * The distance counts steps: up from the one to the meeting and down to the other;
 * without a meeting, all of both paths.
 *
 * Ports can be told otherwise at any time. Nothing is kept here: an answer is that of
 * one state of the tree, found by its count of changes before and after.
 */
#include <errno.h>
#include <stdatomic.h>

#include "dma/dev.h"

/* PCIe 6.12.1: requests, completions, or what the egress vector says, go up. */
#define REDIRECTS (OLI_ACS_RR | OLI_ACS_CR | OLI_ACS_EC)

static u8 step_up(const struct oli_desc *d, u8 node)
{
	u8 up = d->node[node].parent;

	return up == OLI_NODE_NONE || d->node[up].kind == OLI_NODE_HOST_BRIDGE_KIND ? OLI_NODE_NONE
										    : up;
}

/* Steps from @node to @to; all of its path if that is not on it. */
static u32 steps(const struct oli_desc *d, u8 node, u8 to)
{
	u32 n = 0;

	for (; node != to && node != OLI_NODE_NONE; node = step_up(d, node))
		n++;
	return n;
}

/* The lowest common port, or OLI_NODE_NONE. */
static u8 meeting(const struct oli_desc *d, u8 a, u8 b)
{
	for (; a != OLI_NODE_NONE; a = step_up(d, a))
		for (u8 at = b; at != OLI_NODE_NONE; at = step_up(d, at))
			if (at == a)
				return a;
	return OLI_NODE_NONE;
}

/* Does a port from the one above @node up to @top redirect? */
static bool redirected(struct oli_machine *m, u8 node, u8 top)
{
	while (node != top) {
		node = step_up(&m->shm->desc, node);
		if (oli_tree_acs(m, node) & REDIRECTS)
			return true;
	}
	return false;
}

static bool hosts_pass(const struct oli_desc *d, u8 provider, u8 client)
{
	return d->node[oli_tree_bridge(d, provider)].p2p && d->node[oli_tree_bridge(d, client)].p2p;
}

static bool offers(const struct oli_node *node)
{
	for (int i = 0; i < OLI_BARS; i++)
		if (node->bar[i].len && node->bar[i].provider)
			return true;
	return false;
}

/* Two functions of the tree, on its state of now. */
static void calc_path(struct oli_machine *m, u8 provider, u8 client, struct olio_p2p *out)
{
	const struct oli_desc *d = &m->shm->desc;
	u8 top = meeting(d, provider, client);

	*out = (struct olio_p2p){.type = OLIO_P2P_BUS_ADDR,
				 .distance = steps(d, provider, top) + steps(d, client, top)};
	if (top != OLI_NODE_NONE && !redirected(m, provider, top) && !redirected(m, client, top))
		return;
	if (hosts_pass(d, provider, client)) {
		out->type = OLIO_P2P_THRU_HOST_BRIDGE;
		return;
	}
	out->type = OLIO_P2P_NOT_SUPPORTED;
	out->reason = top == OLI_NODE_NONE ? OLIO_REASON_P2P_NO_COMMON_BRIDGE : OLIO_REASON_P2P_ACS;
}

static bool on_pci(const struct oli_desc *d, u8 node)
{
	return node < d->nr_nodes && d->node[node].kind == OLI_NODE_ENDPOINT_KIND &&
	       !d->node[node].software;
}

void oli_p2p_calc(struct oli_machine *m, u8 provider, u8 client, struct olio_p2p *out)
{
	const struct oli_desc *d = &m->shm->desc;
	u32 seq;

	*out = (struct olio_p2p){.reason = OLIO_REASON_P2P_NOT_PCI};
	if (!on_pci(d, provider) || !on_pci(d, client))
		return;
	out->reason = OLIO_REASON_P2P_NO_PROVIDER;
	/* A device needs nobody's offer to reach its own. */
	if (provider != client && !offers(&d->node[provider]))
		return;
	do {
		seq = atomic_load(&m->shm->tree.seq);
		calc_path(m, provider, client, out);
	} while (seq != atomic_load(&m->shm->tree.seq));
}

int olio_p2p_type(struct olio_dev *provider, struct olio_dev *client, struct olio_p2p *out)
{
	if (!oli_dev_live(provider))
		return oli_dev_closed(provider);
	if (!oli_dev_live(client))
		return oli_dev_closed(client);
	if (provider->m != client->m)
		return oli_refuse(OLIO_REASON_WRONG_DEVICE, "%s and %s are in two machines",
				  provider->node->name, client->node->name);
	oli_p2p_calc(provider->m, provider->id.node, client->id.node, out);
	return 0;
}
