// SPDX-License-Identifier: MIT
/*
 * Proves the peer-to-peer calculation (S8) twice, on every tree of up to 11 nodes with two or
 * more devices, two host bridges at most, every setting of RR, CR and EC of all ports, and
 * each host bridge passing or not:
 *
 *   - it agrees with a model that writes paths out
 *   - a request takes the way that it says (E3). BUS_ADDR: a request to the bus address
 *     turns below the top and is at the right byte of the right BAR. THRU_HOST_BRIDGE: one
 *     to any other address arrives at the top, and the top sends it down. NOT_SUPPORTED:
 *     the top does not
 *
 * Where the answer is not BUS_ADDR a request to the bus address does not arrive either,
 * but for the cases in which Linux's rule is stricter than the hardware: a bit that is set
 * at a port where it has no part in this direction. These are exactly those that
 * p2p_turns() names.
 *
 * Bits without a part in it (SV, TB, UF, DT) are set at random.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../model/p2p_model.h"
#include "lab.h"
#include "machine/tree.h"

enum { MOST = 11, PORTS = 6 };

static u64 trees, answers, by_type[3], stricter;

/* ---- one tree ---- */

struct look {
	struct oli_machine *m;
	struct oli_desc *d;
	u8 acs[OLI_NODES];
	u8 port[OLI_NODES], dev[OLI_NODES];
	u32 ports, devs;
};

static _Noreturn void wrong(const struct look *l, u8 provider, u8 client, const char *what)
{
	for (u8 i = 0; i < l->d->nr_nodes; i++)
		print_message("# %2u %-11s below %3u  acs 0x%02x p2p %u\n", i,
			      oli_node_kind_name(l->d->node[i].kind), l->d->node[i].parent,
			      l->acs[i], l->d->node[i].p2p);
	fail_msg("provider %u, client %u: %s", provider, client, what);
	abort();
}

static void check_way(const struct look *l, u8 provider, u8 client, enum olio_p2p_type type)
{
	const struct oli_bar *bar = &l->d->node[provider].bar[2];
	u64 off = rig_rand((u32)bar->len);
	bool passes = oli_tree_root_passes(l->m, client, (struct olio_pa){bar->pa + off}), turns;
	struct olio_pa pa = {0};

	turns = oli_tree_route(l->m, client, bar->bus + off, &pa) == OLI_ROUTE_PEER;
	if (turns && pa.v != bar->pa + off)
		wrong(l, provider, client, "another byte");
	if (turns != p2p_turns(l->d, l->acs, provider, client))
		wrong(l, provider, client, "the request goes where the model does not");
	if (type == OLIO_P2P_BUS_ADDR) {
		if (!turns)
			wrong(l, provider, client, "by bus address, and does not arrive");
		return;
	}
	stricter += turns;
	if (oli_tree_route(l->m, client, 0x12345000, &pa) != OLI_ROUTE_ROOT)
		wrong(l, provider, client, "an IOVA does not get to the top");
	if (passes != (type == OLIO_P2P_THRU_HOST_BRIDGE))
		wrong(l, provider, client, "through the host bridge");
}

static void check_pairs(const struct look *l)
{
	struct olio_p2p got, want;

	for (u32 i = 0; i < l->devs; i++)
		for (u32 k = 0; k < l->devs; k++) {
			oli_p2p_calc(l->m, l->dev[i], l->dev[k], &got);
			want = p2p_model(l->d, l->acs, l->dev[i], l->dev[k]);
			if (got.type != want.type || got.distance != want.distance ||
			    got.reason != want.reason)
				wrong(l, l->dev[i], l->dev[k], "not as the model");
			check_way(l, l->dev[i], l->dev[k], got.type);
			by_type[got.type]++;
			answers++;
		}
}

/* All settings of ports [@at, …). */
static void each_setting(struct look *l, u32 at)
{
	const u8 no_part = OLI_ACS_SV | OLI_ACS_TB | OLI_ACS_UF | OLI_ACS_DT;

	if (at == l->ports) {
		check_pairs(l);
		return;
	}
	for (u8 set = 0; set < 8; set++) {
		u8 acs = (set & 1 ? OLI_ACS_RR : 0) | (set & 2 ? OLI_ACS_CR : 0) |
			 (set & 4 ? OLI_ACS_EC : 0);

		acs |= (u8)rig_rand(128) & no_part;
		l->acs[l->port[at]] = acs;
		assert_int_equal(oli_tree_set_acs(l->m, l->port[at], acs), 0);
		each_setting(l, at + 1);
	}
}

static void check_tree(struct oli_desc *d)
{
	struct look l = {.m = lab_open(d)};
	u8 bridge[2];
	u32 bridges = 0;

	l.d = &l.m->shm->desc;
	for (u8 i = 0; i < l.d->nr_nodes; i++) {
		u8 kind = l.d->node[i].kind;

		if (kind == OLI_NODE_HOST_BRIDGE_KIND)
			bridge[bridges++] = i;
		else if (kind == OLI_NODE_ENDPOINT_KIND)
			l.dev[l.devs++] = i;
		else if (kind != OLI_NODE_SWITCH_UP_KIND)
			l.port[l.ports++] = i;
	}
	assert_true(l.ports <= PORTS);
	for (u32 pass = 0; pass < 1u << bridges; pass++) {
		for (u32 i = 0; i < bridges; i++)
			l.d->node[bridge[i]].p2p = pass >> i & 1;
		each_setting(&l, 0);
	}
	trees++;
	rig_close(l.m);
}

/* ---- all trees, in preorder ---- */

static bool is_port(u8 kind)
{
	return kind == OLI_NODE_ROOT_PORT_KIND || kind == OLI_NODE_SWITCH_DOWN_KIND;
}

static u32 below(const struct oli_desc *d, u8 node)
{
	u32 n = 0;

	for (u8 i = 0; i < d->nr_nodes; i++)
		n += d->node[i].parent == node;
	return n;
}

static bool whole(const struct oli_desc *d)
{
	u32 devs = 0;

	for (u8 i = 0; i < d->nr_nodes; i++) {
		if (d->node[i].kind == OLI_NODE_ENDPOINT_KIND)
			devs++;
		else if (!below(d, i))
			return false;
	}
	return devs >= 2;
}

static void grow(struct oli_desc *d);

static void with(struct oli_desc *d, u8 kind, u8 parent)
{
	struct oli_node *n = &d->node[d->nr_nodes++];

	*n = (struct oli_node){.kind = kind, .parent = parent};
	snprintf(n->name, sizeof(n->name), "n%u", d->nr_nodes);
	if (kind == OLI_NODE_ENDPOINT_KIND) {
		n->bar[0].len = 4096;
		n->bar[2].len = 8192;
		n->bar[2].provider = 1;
	}
	grow(d);
	d->nr_nodes--;
}

/* @d, and all that it can become by one more node at its right edge. */
static void grow(struct oli_desc *d)
{
	u8 at = d->nr_nodes ? (u8)(d->nr_nodes - 1) : (u8)OLI_NODE_NONE, bridges = 0;

	if (whole(d))
		check_tree(d);
	if (d->nr_nodes == MOST)
		return;
	for (; at != OLI_NODE_NONE; at = d->node[at].parent) {
		u8 kind = d->node[at].kind;

		if (is_port(kind) && !below(d, at)) {
			with(d, OLI_NODE_ENDPOINT_KIND, at);
			with(d, OLI_NODE_SWITCH_UP_KIND, at);
		} else if (kind == OLI_NODE_SWITCH_UP_KIND) {
			with(d, OLI_NODE_SWITCH_DOWN_KIND, at);
		} else if (kind == OLI_NODE_HOST_BRIDGE_KIND) {
			with(d, OLI_NODE_ROOT_PORT_KIND, at);
		}
	}
	for (u8 i = 0; i < d->nr_nodes; i++)
		bridges += d->node[i].kind == OLI_NODE_HOST_BRIDGE_KIND;
	if (bridges < 2)
		with(d, OLI_NODE_HOST_BRIDGE_KIND, OLI_NODE_NONE);
}

static void test_all_trees(void **state)
{
	struct oli_desc d = rig_desc();

	(void)state;
	d.nr_nodes = 0;
	d.bounce_slots = 0;
	memset(d.node, 0, sizeof(d.node));
	rig_seed(1);
	grow(&d);
	print_message(
		"# %llu trees, %llu answers: %llu not, %llu bus, %llu host; %llu stricter than "
		"hardware\n",
		(unsigned long long)trees, (unsigned long long)answers,
		(unsigned long long)by_type[0], (unsigned long long)by_type[1],
		(unsigned long long)by_type[2], (unsigned long long)stricter);
	assert_true(trees > 20 && by_type[0] && by_type[1] && by_type[2]);
}

/* ---- who is no peer ---- */

static void test_no_peers(void **state)
{
	struct oli_desc d = rig_desc();
	struct oli_machine *m;
	struct olio_p2p p;

	(void)state;
	d.node[DEV1].bar[2].provider = 0;
	d.node[DEV2].software = 1;
	m = lab_open(&d);
	oli_p2p_calc(m, DEV0, PLAT0, &p);
	assert_int_equal(p.type, OLIO_P2P_NOT_SUPPORTED);
	assert_int_equal(p.reason, OLIO_REASON_P2P_NOT_PCI);
	oli_p2p_calc(m, PLAT0, DEV0, &p);
	assert_int_equal(p.reason, OLIO_REASON_P2P_NOT_PCI);
	/* By the CPU it reaches no BAR. */
	oli_p2p_calc(m, DEV0, DEV2, &p);
	assert_int_equal(p.reason, OLIO_REASON_P2P_NOT_PCI);
	oli_p2p_calc(m, DEV1, DEV0, &p);
	assert_int_equal(p.type, OLIO_P2P_NOT_SUPPORTED);
	assert_int_equal(p.reason, OLIO_REASON_P2P_NO_PROVIDER);
	/* Its own BAR needs no offer. */
	oli_p2p_calc(m, DEV1, DEV1, &p);
	assert_int_equal(p.type, OLIO_P2P_BUS_ADDR);
	assert_int_equal(p.distance, 0);
	/* Numbers that are no nodes, and ports. */
	oli_p2p_calc(m, NR_NODES, DEV0, &p);
	assert_int_equal(p.type, OLIO_P2P_NOT_SUPPORTED);
	oli_p2p_calc(m, DEV0, 0xff, &p);
	assert_int_equal(p.type, OLIO_P2P_NOT_SUPPORTED);
	oli_p2p_calc(m, RP0, DEV0, &p);
	assert_int_equal(p.reason, OLIO_REASON_P2P_NOT_PCI);
	rig_close(m);
}

/* Linux's figure for two devices below one switch is 4, and its answers follow the bits at once. */
static void test_live(void **state)
{
	struct oli_desc d = rig_desc();
	struct oli_machine *m;
	struct olio_p2p p;

	(void)state;
	d.node[PCI0].p2p = 0;
	m = lab_open(&d);
	oli_p2p_calc(m, DEV0, DEV1, &p);
	assert_int_equal(p.type, OLIO_P2P_BUS_ADDR);
	assert_int_equal(p.distance, 4);
	assert_int_equal(oli_tree_set_acs(m, DOWN0, OLI_ACS_CR), 0);
	oli_p2p_calc(m, DEV0, DEV1, &p);
	assert_int_equal(p.type, OLIO_P2P_NOT_SUPPORTED);
	assert_int_equal(p.reason, OLIO_REASON_P2P_ACS);
	assert_int_equal(p.distance, 4);
	assert_int_equal(oli_tree_set_acs(m, DOWN0, OLI_ACS_SV | OLI_ACS_UF), 0);
	oli_p2p_calc(m, DEV0, DEV1, &p);
	assert_int_equal(p.type, OLIO_P2P_BUS_ADDR);
	oli_p2p_calc(m, DEV0, DEV2, &p);
	assert_int_equal(p.reason, OLIO_REASON_P2P_NO_COMMON_BRIDGE);
	assert_int_equal(p.distance, 6);
	rig_close(m);
}

/* ---- on open devices, with bytes ---- */

struct pair {
	struct oli_machine *m;
	struct olio_dev *provider, *client;
	struct olio_mem *bar;
	struct olio_run run;
};

static void pair_open(struct pair *t, const struct oli_desc *d, const char *provider)
{
	size_t n;

	t->m = lab_open(d);
	t->provider = lab_dev(t->m, provider);
	t->client = lab_dev(t->m, "dev0");
	assert_int_equal(oli_mem_from_bar(t->m, t->provider->id.node, 2, 4096, 8192, &t->bar), 0);
	t->run = *olio_mem_runs(t->bar, &n);
	assert_int_equal(n, 1);
}

static void pair_close(struct pair *t)
{
	oli_mem_put(t->bar);
	olio_dev_close(t->client);
	olio_dev_close(t->provider);
	rig_close(t->m);
}

/* Map, write through it, see it in the BAR, unmap. Return: the DMA address. */
static u64 write_peer(struct pair *t, u32 word)
{
	struct olio_iova dma;

	assert_int_equal(olio_dma_map(t->client, &t->run, OLIO_BIDIRECTIONAL, 0, &dma), 0);
	assert_int_equal(olio_dev_write(t->client, (struct olio_iova){dma.v + 100}, &word, 4), 0);
	assert_memory_equal(olio_mem_cpu(t->bar, 100), &word, 4);
	assert_int_equal(olio_dma_unmap(t->client, dma, t->run.len, OLIO_BIDIRECTIONAL, 0), 0);
	return dma.v;
}

/* The address that a map gives is of the space that the type says, and works; a change of bits
 * counts. */
static void test_bytes(void **state)
{
	struct oli_desc d = rig_desc();
	struct olio_p2p p;
	struct olio_iova dma;
	struct pair t;
	u32 word = 0x600d;
	u64 bus;

	(void)state;
	pair_open(&t, &d, "dev1");
	bus = t.run.pa.v - t.m->shm->desc.bus_offset;
	assert_int_equal(olio_p2p_type(t.provider, t.client, &p), 0);
	assert_int_equal(p.type, OLIO_P2P_BUS_ADDR);
	assert_true(write_peer(&t, 0x1111) == bus);
	assert_int_equal(oli_tree_set_acs(t.m, DOWN0, OLI_ACS_RR | OLI_ACS_UF), 0);
	assert_int_equal(olio_p2p_type(t.provider, t.client, &p), 0);
	assert_int_equal(p.type, OLIO_P2P_THRU_HOST_BRIDGE);
	assert_true(write_peer(&t, 0x2222) != bus);
	/* The old address does not reach it any more. */
	assert_int_equal(olio_dev_write(t.client, (struct olio_iova){bus}, &word, 4), -EFAULT);
	t.m->shm->desc.node[PCI0].p2p = 0;
	assert_int_equal(olio_p2p_type(t.provider, t.client, &p), 0);
	assert_int_equal(p.type, OLIO_P2P_NOT_SUPPORTED);
	assert_int_equal(olio_dma_map(t.client, &t.run, OLIO_BIDIRECTIONAL, 0, &dma), -EOPNOTSUPP);
	assert_int_equal(olio_why()->reason, OLIO_REASON_P2P_ACS);
	pair_close(&t);
}

static void test_no_common_bridge(void **state)
{
	struct oli_desc d = rig_desc();
	struct olio_iova dma;
	struct pair t;

	(void)state;
	pair_open(&t, &d, "dev2");
	assert_true(write_peer(&t, 0x3333) != t.run.pa.v - t.m->shm->desc.bus_offset);
	t.m->shm->desc.node[PCI0].p2p = 0;
	assert_int_equal(olio_dma_map(t.client, &t.run, OLIO_BIDIRECTIONAL, 0, &dma), -EOPNOTSUPP);
	assert_int_equal(olio_why()->reason, OLIO_REASON_P2P_NO_COMMON_BRIDGE);
	pair_close(&t);
}

static void test_closed(void **state)
{
	struct oli_desc d = rig_desc();
	struct olio_p2p p;
	struct pair t;

	(void)state;
	pair_open(&t, &d, "dev1");
	olio_dev_close(t.provider);
	assert_int_equal(olio_p2p_type(t.provider, t.client, &p), -EINVAL);
	assert_int_equal(olio_p2p_type(t.client, t.provider, &p), -EINVAL);
	assert_int_equal(olio_why()->reason, OLIO_REASON_BAD_STATE);
	pair_close(&t);
}

/* Devices that this process has through two attachments know nothing of each other. */
static void test_two_machines(void **state)
{
	struct oli_desc d = rig_desc();
	struct oli_machine *other;
	struct olio_dev *client;
	struct olio_p2p p;
	struct pair t;

	(void)state;
	pair_open(&t, &d, "dev1");
	other = lab_attach();
	client = lab_dev(other, "dev0");
	assert_true(olio_p2p_type(t.provider, client, &p) < 0);
	assert_int_equal(olio_why()->reason, OLIO_REASON_WRONG_DEVICE);
	olio_dev_close(client);
	rig_close(other);
	pair_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_trees),
		cmocka_unit_test(test_no_peers),
		cmocka_unit_test(test_live),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_no_common_bridge),
		cmocka_unit_test(test_closed),
		cmocka_unit_test(test_two_machines),
	};

	return cmocka_run_group_tests_name("dma/p2p", tests, NULL, NULL);
}
