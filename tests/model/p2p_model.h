/* SPDX-License-Identifier: MIT */
/*
 * Peer-to-peer types (S8) by paths written out: a device's path is the list of what lies
 * between its host bridge and it, from the top, itself last.
 */
#ifndef OLI_TESTS_MODEL_P2P_MODEL_H
#define OLI_TESTS_MODEL_P2P_MODEL_H

#include "machine/desc.h"
#include "olio/dma.h"

struct p2p_path {
	u8 bridge;
	u8 node[OLI_NODES];
	u32 n;
};

void p2p_path(const struct oli_desc *d, u8 node, struct p2p_path *out);
/* How many entries at the top both have. */
u32 p2p_shared(const struct p2p_path *a, const struct p2p_path *b);

/* Two PCI endpoints. @acs: bits by node. */
struct olio_p2p p2p_model(const struct oli_desc *d, const u8 *acs, u8 provider, u8 client);

/*
 * Would a request of @client to the provider's bus address arrive without going up to the top,
 * and a reader's answer return? Only some of the bits have a part in that: redirect of
 * requests and egress control where the request enters the switch, redirect of
 * completions where the answer does.
 */
bool p2p_turns(const struct oli_desc *d, const u8 *acs, u8 provider, u8 client);

#endif
