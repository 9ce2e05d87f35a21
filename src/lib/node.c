// SPDX-License-Identifier: MIT
/*
 * The tree of buses, from the outside: the description's nodes with the ACS bits that
 * ports have now, and how peers reach each other on it.
 *
 * A node's id is its index in the description, which does not change.
 */
#include <errno.h>
#include <stdio.h>

#include "dma/dev.h"
#include "lib/observe.h"
#include "machine/tree.h"

static bool is_device(const struct oli_node *n)
{
	return n->kind == OLI_NODE_ENDPOINT_KIND || n->kind == OLI_NODE_PLATFORM_KIND;
}

static bool is_port(const struct oli_node *n)
{
	return n->kind == OLI_NODE_ROOT_PORT_KIND || n->kind == OLI_NODE_SWITCH_UP_KIND ||
	       n->kind == OLI_NODE_SWITCH_DOWN_KIND;
}

static void fill_bars(const struct oli_node *n, struct olio_node_info *i)
{
	for (u32 b = 0; b < OLI_BARS; b++) {
		if (!n->bar[b].len)
			continue;
		i->bars = b + 1;
		i->bar[b].pa = n->bar[b].pa;
		i->bar[b].bus = n->bar[b].bus;
		i->bar[b].len = n->bar[b].len;
		i->bar[b].provider = !!n->bar[b].provider;
	}
}

static void fill_device(const struct oli_desc *d, const struct oli_node *n,
			struct olio_node_info *i)
{
	static const char *const policy[] = {"expose", "bounce", "refuse"};

	if (n->software)
		snprintf(i->iommu, sizeof(i->iommu), "by the CPU");
	else
		oli_iommu_text(d, i->iommu, sizeof(i->iommu));
	i->dma_bits = n->dma_bits;
	i->coherent = !!n->coherent;
	i->trusted = !!n->trusted;
	i->tee = !!n->tee;
	i->software = !!n->software;
	i->force_bounce = !!n->force_bounce;
	i->rdma = !!n->rdma;
	i->max_segment = n->max_segment;
	i->boundary = n->boundary;
	if (n->granule < OLI_ARRAY_SIZE(policy))
		snprintf(i->granule, sizeof(i->granule), "%s", policy[n->granule]);
	fill_bars(n, i);
}

int olio_next_node(struct olio_machine *om, u32 *pos, struct olio_node_info *out)
{
	const struct oli_desc *d = &om->m->shm->desc;
	struct olio_node_info i = {0};
	const struct oli_node *n;

	if (*pos >= d->nr_nodes || *pos >= OLI_NODES)
		return 0;
	n = &d->node[*pos];
	i.id = (*pos)++;
	i.parent = n->parent == OLI_NODE_NONE ? i.id : n->parent;
	oli_copy_text(i.name, sizeof(i.name), n->name, sizeof(n->name));
	snprintf(i.kind, sizeof(i.kind), "%s", oli_node_kind_name(n->kind));
	if (n->kind != OLI_NODE_PLATFORM_KIND && n->kind != OLI_NODE_HOST_BRIDGE_KIND)
		snprintf(i.address, sizeof(i.address), "%02x:%02x.%x", n->bus, n->devfn >> 3,
			 n->devfn & 7);
	i.p2p = n->kind == OLI_NODE_HOST_BRIDGE_KIND && n->p2p;
	if (is_port(n))
		oli_acs_text(oli_tree_acs(om->m, (u8)i.id), i.acs);
	if (is_device(n))
		fill_device(d, n, &i);
	return oli_copy_out(out, &i, sizeof(i));
}

int olio_node_p2p(struct olio_machine *om, u32 provider, u32 client, struct olio_p2p *out)
{
	const struct oli_desc *d = &om->m->shm->desc;

	if (provider >= d->nr_nodes || client >= d->nr_nodes || !is_device(&d->node[provider]) ||
	    !is_device(&d->node[client]))
		return oli_refuse(OLIO_REASON_NO_DEVICE, "nodes %u and %u are not both devices",
				  provider, client);
	oli_p2p_calc(om->m, (u8)provider, (u8)client, out);
	return 0;
}

int olio_node_set_acs(struct olio_machine *om, u32 id, u32 acs)
{
	const struct oli_desc *d = &om->m->shm->desc;

	if (id >= d->nr_nodes)
		return oli_refuse(OLIO_REASON_NO_DEVICE, "there is no node %u", id);
	if (acs > 0x7f || !is_port(&d->node[id]))
		return oli_refuse(OLIO_REASON_BAD_ARGUMENT, "ACS bits 0x%x for %s '%.31s'", acs,
				  oli_node_kind_name(d->node[id].kind), d->node[id].name);
	return oli_tree_set_acs(om->m, (u8)id, (u8)acs);
}
