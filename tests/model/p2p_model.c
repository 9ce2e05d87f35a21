// SPDX-License-Identifier: MIT
/* See p2p_model.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "dma/dev.h"
#include "machine/phys_int.h"
#include "machine/tree.h"
#include "p2p_model.h"

void p2p_path(const struct oli_desc *d, u8 node, struct p2p_path *out)
{
	u8 up[OLI_NODES];
	u32 n = 0;

	for (; d->node[node].parent != OLI_NODE_NONE; node = d->node[node].parent)
		up[n++] = node;
	out->bridge = node;
	out->n = n;
	for (u32 i = 0; i < n; i++)
		out->node[i] = up[n - 1 - i];
}

u32 p2p_shared(const struct p2p_path *a, const struct p2p_path *b)
{
	u32 n = 0;

	while (a->bridge == b->bridge && n < a->n && n < b->n && a->node[n] == b->node[n])
		n++;
	return n;
}

/* Any of @bits in entries [@from, the device) of a path. */
static bool any(const struct p2p_path *p, u32 from, const u8 *acs, u8 bits)
{
	for (u32 i = from; i + 1 < p->n; i++)
		if (acs[p->node[i]] & bits)
			return true;
	return false;
}

struct olio_p2p p2p_model(const struct oli_desc *d, const u8 *acs, u8 provider, u8 client)
{
	const u8 redirects = 1 << 2 | 1 << 3 | 1 << 5; /* RR, CR, EC: PCIe 7.7.11.3 */
	struct p2p_path a, b;
	struct olio_p2p r;
	u32 shared;

	memset(&r, 0, sizeof(r));
	if (provider == client)
		return (struct olio_p2p){OLIO_P2P_BUS_ADDR, 0, OLIO_REASON_NONE};
	p2p_path(d, provider, &a);
	p2p_path(d, client, &b);
	shared = p2p_shared(&a, &b);
	r.distance = a.n - shared + b.n - shared;
	if (shared && !any(&a, shared - 1, acs, redirects) && !any(&b, shared - 1, acs, redirects))
		r.type = OLIO_P2P_BUS_ADDR;
	else if (d->node[a.bridge].p2p && d->node[b.bridge].p2p)
		r.type = OLIO_P2P_THRU_HOST_BRIDGE;
	else
		r.reason = shared ? OLIO_REASON_P2P_ACS : OLIO_REASON_P2P_NO_COMMON_BRIDGE;
	return r;
}

bool p2p_turns(const struct oli_desc *d, const u8 *acs, u8 provider, u8 client)
{
	struct p2p_path a, b;
	u32 shared;

	p2p_path(d, provider, &a);
	p2p_path(d, client, &b);
	shared = p2p_shared(&a, &b);
	if (provider == client)
		return true;
	/* The first entry behind the shared ones is the port by which each of them hangs there. */
	if (!shared || acs[b.node[shared]] & (OLI_ACS_RR | OLI_ACS_EC))
		return false;
	return !any(&a, shared, acs, OLI_ACS_CR) || d->node[a.bridge].p2p;
}

/* ---- programs ---- */

static struct {
	struct oli_machine *m;
	struct oli_desc *d; /* the machine's */
	u8 acs[OLI_NODES];
	char why[200];
} now;

#define SAY(...) (snprintf(now.why, sizeof(now.why), __VA_ARGS__), now.why)

static bool is_peer(u8 node)
{
	const struct oli_node *n = &now.d->node[node];

	return node < now.d->nr_nodes && n->kind == OLI_NODE_ENDPOINT_KIND && !n->software;
}

static struct olio_p2p expected(u8 provider, u8 client)
{
	struct olio_p2p r = {.type = OLIO_P2P_NOT_SUPPORTED, .reason = OLIO_REASON_P2P_NOT_PCI};

	if (!is_peer(provider) || !is_peer(client))
		return r;
	r.reason = OLIO_REASON_P2P_NO_PROVIDER;
	if (provider != client && !now.d->node[provider].bar[2].provider)
		return r;
	return p2p_model(now.d, now.acs, provider, client);
}

/* A request to the last byte of the provider's BAR. */
static const char *check_way(u8 provider, u8 client)
{
	const struct oli_bar *bar = &now.d->node[provider].bar[2];
	struct olio_pa pa = {0};
	bool turns = oli_tree_route(now.m, client, bar->bus + bar->len - 1, &pa) == OLI_ROUTE_PEER;

	if (turns != p2p_turns(now.d, now.acs, provider, client))
		return SAY("a request of %u to %u: turns %d", client, provider, turns);
	if (turns && pa.v != bar->pa + bar->len - 1)
		return SAY("a request of %u to %u: another byte", client, provider);
	return NULL;
}

static const char *check_pairs(void)
{
	const char *why = NULL;

	/* One number more than there are nodes. */
	for (u8 a = 0; a <= now.d->nr_nodes && !why; a++)
		for (u8 b = 0; b <= now.d->nr_nodes && !why; b++) {
			struct olio_p2p got, want = expected(a, b);

			oli_p2p_calc(now.m, a, b, &got);
			if (got.type != want.type || got.distance != want.distance ||
			    got.reason != want.reason)
				return SAY(
					"%u to %u: type %d, distance %u, reason %d; not %d, %u, %d",
					b, a, got.type, got.distance, got.reason, want.type,
					want.distance, want.reason);
			if (is_peer(a) && is_peer(b))
				why = check_way(a, b);
		}
	return why;
}

/* The machine's list of BARs, by address, for the tree of now. */
static void list_bars(void)
{
	struct oli_phys_root *r = oli_phys_root(now.m);

	r->nr_bars = 0;
	for (u8 n = 0; n < now.d->nr_nodes; n++)
		for (u8 i = 0; i < OLI_BARS; i++) {
			const struct oli_bar *b = &now.d->node[n].bar[i];
			u32 at = b->len ? r->nr_bars++ : 0;

			for (; b->len && at && r->bar[at - 1].pa > b->pa; at--)
				r->bar[at] = r->bar[at - 1];
			if (b->len)
				r->bar[at] = (struct oli_phys_bar){.pa = b->pa,
								   .len = b->len,
								   .off = b->off,
								   .node = n,
								   .bar = i};
		}
}

static bool is_vacant(u8 node)
{
	u8 kind = now.d->node[node].kind;

	for (u8 i = 0; i < now.d->nr_nodes; i++)
		if (now.d->node[i].parent == node)
			return false;
	return kind == OLI_NODE_ROOT_PORT_KIND || kind == OLI_NODE_SWITCH_DOWN_KIND;
}

static bool has_ports(u8 node)
{
	u8 kind = now.d->node[node].kind;

	return kind == OLI_NODE_HOST_BRIDGE_KIND || kind == OLI_NODE_SWITCH_UP_KIND;
}

/* Of the vacant ports, or of those that can have a port more and "none", the number of nodes. */
static u8 choose_parent(u8 a)
{
	u8 vacant[OLI_NODES], more[OLI_NODES + 1], nr_vacant = 0, nr_more = 0;

	for (u8 i = 0; i < now.d->nr_nodes; i++) {
		if (is_vacant(i))
			vacant[nr_vacant++] = i;
		if (has_ports(i))
			more[nr_more++] = i;
	}
	more[nr_more++] = now.d->nr_nodes;
	return nr_vacant && a & 1 ? vacant[(a >> 1) % nr_vacant] : more[(a >> 1) % nr_more];
}

static u8 choose_kind(u8 parent, u8 b)
{
	if (parent == now.d->nr_nodes)
		return b & 7 ? OLI_NODE_HOST_BRIDGE_KIND : OLI_NODE_PLATFORM_KIND;
	if (now.d->node[parent].kind == OLI_NODE_HOST_BRIDGE_KIND)
		return OLI_NODE_ROOT_PORT_KIND;
	if (now.d->node[parent].kind == OLI_NODE_SWITCH_UP_KIND)
		return OLI_NODE_SWITCH_DOWN_KIND;
	return b & 1 ? OLI_NODE_ENDPOINT_KIND : OLI_NODE_SWITCH_UP_KIND;
}

/* From @b = 0x80 on of any kind below any node: most of those are refused. */
static void add_node(u8 a, u8 b)
{
	struct oli_desc d = *now.d;
	struct oli_node *n = &d.node[d.nr_nodes];
	char why[OLI_DESC_WHY];

	if (d.nr_nodes == OLI_NODES)
		return;
	n->parent = b < 0x80 ? choose_parent(a) : a % (d.nr_nodes + 1);
	n->kind = b < 0x80 ? choose_kind(n->parent, b) : b % (OLI_NODE_PLATFORM_KIND + 1);
	if (n->kind == OLI_NODE_HOST_BRIDGE_KIND || n->kind == OLI_NODE_PLATFORM_KIND)
		n->parent = OLI_NODE_NONE;
	snprintf(n->name, sizeof(n->name), "n%u", d.nr_nodes);
	if (n->kind == OLI_NODE_ENDPOINT_KIND) {
		n->bar[0].len = 4096;
		n->bar[2] = (struct oli_bar){.len = 8192, .provider = 1};
	}
	d.nr_nodes++;
	if (oli_desc_check(&d, why))
		return;
	*now.d = d;
	list_bars();
}

static const char *set_acs(u8 node, u8 acs)
{
	u8 kind = now.d->node[node].kind;
	bool may = kind == OLI_NODE_ROOT_PORT_KIND || kind == OLI_NODE_SWITCH_DOWN_KIND;
	int err = oli_tree_set_acs(now.m, node, acs);

	if (err != (may && acs < 0x80 ? 0 : -EINVAL))
		return SAY("bits 0x%x at %u: %d", acs, node, err);
	if (!err)
		now.acs[node] = acs;
	return NULL;
}

static const char *step(const u8 *p)
{
	struct oli_node *n;
	u8 node;

	if (p[0] % P2P_OPS == P2P_NODE || !now.d->nr_nodes) {
		add_node(p[1], p[2]);
		return NULL;
	}
	node = p[1] % now.d->nr_nodes;
	n = &now.d->node[node];
	if (p[0] % P2P_OPS == P2P_ACS)
		return set_acs(node, p[2]);
	if (p[0] % P2P_OPS == P2P_PASS && n->kind == OLI_NODE_HOST_BRIDGE_KIND)
		n->p2p = p[2] & 1;
	if (p[0] % P2P_OPS == P2P_OFFER && n->kind == OLI_NODE_ENDPOINT_KIND) {
		n->bar[2].provider = p[2] & 1;
		n->software = p[2] >> 1 & 1;
	}
	return NULL;
}

const char *p2p_model_run(struct oli_machine *m, const u8 *program, size_t len)
{
	const struct oli_desc was = m->shm->desc;
	const char *why = NULL;

	now.m = m;
	now.d = &m->shm->desc;
	now.d->nr_nodes = 0;
	memset(now.d->node, 0, sizeof(now.d->node));
	memset(now.acs, 0, sizeof(now.acs));
	for (u32 i = 0; i < OLI_NODES; i++)
		atomic_store(&m->shm->tree.acs[i], 0);
	for (; len >= 3 && !why; program += 3, len -= 3) {
		why = step(program);
		if (!why && (len < 6 || program[0] % P2P_OPS != P2P_NODE))
			why = check_pairs();
	}
	*now.d = was;
	list_bars();
	return why;
}
