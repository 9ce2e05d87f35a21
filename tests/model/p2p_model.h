/* SPDX-License-Identifier: MIT */
/*
 * Peer-to-peer types (S8) by paths written out: a device's path is the list of what lies
 * between its host bridge and it, from the top, itself last.
 */
#ifndef OLI_TESTS_MODEL_P2P_MODEL_H
#define OLI_TESTS_MODEL_P2P_MODEL_H

#include "machine/machine.h"
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

/*
 * A byte string is a program that builds a tree and sets bits. Each step takes three
 * bytes: what, a, b. Whatever can be answered is compared after each: the type between
 * any two nodes, and the way that a request takes. @m: a machine of the program's own; its
 * tree is replaced. Return: NULL, or what went wrong; static until the next call.
 */
enum p2p_op {
	P2P_NODE, /* at a place that a chooses, of a kind that b chooses */
	P2P_ACS, /* bits b at node a */
	P2P_PASS, /* host bridge a passes, if b is odd */
	P2P_OFFER, /* endpoint a offers its BAR, if b is odd; is software, if 2 is in b */
	P2P_OPS
};
const char *p2p_model_run(struct oli_machine *m, const u8 *program, size_t len);

#endif
