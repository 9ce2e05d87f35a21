// SPDX-License-Identifier: MIT
/* See p2p_model.h. */
#include <string.h>

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
