// SPDX-License-Identifier: MIT
/*
 * Proves where requests go: by hand-made tables of small trees, and by random trees
 * with random ACS bits against a model that does not go port by port but looks at the
 * two ancestries as a whole. Ports accept their bits and nothing else does; what the host
 * bridge passes depends on it alone.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "machine/phys.h"
#include "machine/tree.h"
#include "place.h"

static u64 seed = 7;

static u32 rnd(u32 n)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)((seed >> 33) % n);
}

static u8 node(struct oli_machine *m, const char *name)
{
	u8 n = oli_node_find(&m->shm->desc, name);

	assert_int_not_equal(n, OLI_NODE_NONE);
	return n;
}

static const struct oli_bar *bar(struct oli_machine *m, const char *name, u32 i)
{
	return &m->shm->desc.node[node(m, name)].bar[i];
}

static enum oli_route route(struct oli_machine *m, const char *from, u64 addr)
{
	struct olio_pa pa = {0};
	enum oli_route r = oli_tree_route(m, node(m, from), addr, &pa);

	assert_int_equal(pa.v, r == OLI_ROUTE_PEER ? addr + m->shm->desc.bus_offset : 0);
	return r;
}

static void set(struct oli_machine *m, const char *port, u8 acs)
{
	assert_int_equal(oli_tree_set_acs(m, node(m, port), acs), 0);
	assert_int_equal(oli_tree_acs(m, node(m, port)), acs);
}

/* ---- one switch, by hand ---- */

static void test_switch(void **state)
{
	static const struct {
		const char *port; /* its bits are set, all others are clear */
		u8 acs;
		enum oli_route hca_to_acc, acc_to_hca;
	} cases[] = {
		{"down0", 0, OLI_ROUTE_PEER, OLI_ROUTE_PEER},
		/* Redirected up, it comes to the root port, whose window it is in. */
		{"down0", OLI_ACS_RR, OLI_ROUTE_ABORT, OLI_ROUTE_PEER},
		{"down1", OLI_ACS_RR, OLI_ROUTE_PEER, OLI_ROUTE_ABORT},
		{"down0", OLI_ACS_EC, OLI_ROUTE_ABORT, OLI_ROUTE_PEER},
		{"down0", OLI_ACS_EC | OLI_ACS_RR, OLI_ROUTE_ABORT, OLI_ROUTE_PEER},
		/* The answer is redirected to a host bridge that drops it. */
		{"down0", OLI_ACS_CR, OLI_ROUTE_PEER, OLI_ROUTE_ABORT},
		{"down1", OLI_ACS_CR, OLI_ROUTE_ABORT, OLI_ROUTE_PEER},
		{"down2", 0x7f, OLI_ROUTE_PEER, OLI_ROUTE_PEER},
		{"down0", OLI_ACS_SV | OLI_ACS_TB | OLI_ACS_DT | OLI_ACS_UF, OLI_ROUTE_PEER,
		 OLI_ROUTE_PEER},
		{"rp0", 0x7f, OLI_ROUTE_PEER, OLI_ROUTE_PEER},
	};
	struct oli_machine *m = place_open_with("p2p-switch", NULL);

	(void)state;
	for (u32 i = 0; i < OLI_ARRAY_SIZE(cases); i++) {
		u64 acc = bar(m, "acc0", 2)->bus + 4711, hca = bar(m, "hca0", 0)->bus;

		set(m, cases[i].port, cases[i].acs);
		assert_int_equal(route(m, "hca0", acc), cases[i].hca_to_acc);
		assert_int_equal(route(m, "acc0", hca), cases[i].acc_to_hca);
		/* What is in no window goes up whatever the bits. */
		assert_int_equal(route(m, "hca0", 0x12345000), OLI_ROUTE_ROOT);
		assert_int_equal(route(m, "hca0", bar(m, "acc0", 2)->pa), OLI_ROUTE_ROOT);
		/* One's own BAR is not on the bus. */
		assert_int_equal(route(m, "acc0", acc), OLI_ROUTE_PEER);
		set(m, cases[i].port, 0);
	}
	/* The root port lets it through: to the host bridge, as an address like any other. */
	set(m, "down0", OLI_ACS_RR);
	set(m, "rp0", OLI_ACS_UF);
	assert_int_equal(route(m, "hca0", bar(m, "acc0", 0)->bus), OLI_ROUTE_ROOT);
	oli_machine_close(m);
}

static void test_types(void **state)
{
	struct oli_machine *m = place_open_with("p2p-acs", NULL);
	struct olio_pa acc = {bar(m, "acc0", 2)->pa};

	(void)state;
	assert_int_equal(route(m, "hca0", bar(m, "acc0", 2)->bus), OLI_ROUTE_ROOT);
	assert_false(oli_tree_root_passes(m, node(m, "hca0"), acc));
	assert_int_equal(oli_tree_acs(m, node(m, "down0")),
			 OLI_ACS_SV | OLI_ACS_RR | OLI_ACS_CR | OLI_ACS_UF);
	oli_machine_close(m);

	m = place_open_with("pc", NULL);
	acc.v = bar(m, "acc0", 2)->pa;
	assert_int_equal(route(m, "hca0", bar(m, "acc0", 2)->bus), OLI_ROUTE_ROOT);
	assert_int_equal(route(m, "plat0", bar(m, "acc0", 2)->bus), OLI_ROUTE_ROOT);
	assert_true(oli_tree_root_passes(m, node(m, "hca0"), acc));
	assert_true(oli_tree_root_passes(m, node(m, "acc0"), acc));
	assert_false(oli_tree_root_passes(m, node(m, "plat0"), acc));
	assert_false(oli_tree_root_passes(m, node(m, "hca0"), (struct olio_pa){OLI_PA_RAM}));
	assert_false(oli_tree_root_passes(m, 200, acc));
	assert_int_equal(oli_tree_route(m, 200, 0, &acc), OLI_ROUTE_ROOT);
	oli_machine_close(m);
}

static void test_set_acs(void **state)
{
	struct oli_machine *m = place_open_with("p2p-switch", NULL);
	const struct oli_desc *d = &m->shm->desc;

	(void)state;
	for (u8 n = 0; n < d->nr_nodes + 1; n++) {
		bool port = n < d->nr_nodes && (d->node[n].kind == OLI_NODE_ROOT_PORT_KIND ||
						d->node[n].kind == OLI_NODE_SWITCH_DOWN_KIND);
		u32 seq = m->shm->tree.seq;

		assert_int_equal(oli_tree_set_acs(m, n, 0x7f), port ? 0 : -EINVAL);
		assert_int_equal(oli_tree_set_acs(m, n, 0x80), -EINVAL);
		assert_int_equal(m->shm->tree.seq, seq + port);
		assert_int_equal(oli_tree_acs(m, n), port ? 0x7f : 0);
	}
	assert_int_equal(oli_tree_set_acs(m, 255, 0), -EINVAL);
	assert_int_equal(oli_tree_bridge(d, 255), OLI_NODE_NONE);
	oli_machine_close(m);
}

/* ---- random trees ---- */

static u8 add(struct oli_desc *d, u8 kind, u8 parent)
{
	static const u8 masks[] = {0, OLI_ACS_RR, OLI_ACS_CR, OLI_ACS_UF, OLI_ACS_EC};
	struct oli_node *n = &d->node[d->nr_nodes];

	n->name[0] = 'n';
	n->name[1] = (char)('a' + d->nr_nodes / 26);
	n->name[2] = (char)('a' + d->nr_nodes % 26);
	n->kind = kind;
	n->parent = parent;
	if (kind == OLI_NODE_ENDPOINT_KIND)
		n->bar[rnd(6)].len = 4096ull << rnd(3);
	if (kind == OLI_NODE_ROOT_PORT_KIND || kind == OLI_NODE_SWITCH_DOWN_KIND)
		for (u32 i = rnd(3); i; i--)
			n->acs |= masks[rnd(OLI_ARRAY_SIZE(masks))];
	if (kind == OLI_NODE_HOST_BRIDGE_KIND)
		n->p2p = (u8)rnd(2);
	return d->nr_nodes++;
}

/* One thing below a port: an endpoint, or a switch with its ports. */
static void hang(struct oli_desc *d, u8 port, u32 depth)
{
	u32 n = 1 + rnd(3);
	u8 up, down;

	if (d->nr_nodes > OLI_NODES - 8 || depth > 4 || !rnd(3)) {
		if (d->nr_nodes < OLI_NODES)
			add(d, OLI_NODE_ENDPOINT_KIND, port);
		return;
	}
	up = add(d, OLI_NODE_SWITCH_UP_KIND, port);
	for (; n && d->nr_nodes < OLI_NODES; n--) {
		down = add(d, OLI_NODE_SWITCH_DOWN_KIND, up);
		hang(d, down, depth + 1);
	}
}

static void grow(struct oli_desc *d)
{
	u32 bridges = 1 + rnd(2);

	for (u32 b = 0; b < bridges && d->nr_nodes < OLI_NODES; b++) {
		u8 top = add(d, OLI_NODE_HOST_BRIDGE_KIND, OLI_NODE_NONE);

		for (u32 r = 1 + rnd(3); r && d->nr_nodes < OLI_NODES - 10; r--)
			hang(d, add(d, OLI_NODE_ROOT_PORT_KIND, top), 0);
	}
}

static u32 ancestry(const struct oli_desc *d, u8 n, u8 path[OLI_NODES])
{
	u32 len = 0;

	for (; n != OLI_NODE_NONE; n = d->node[n].parent)
		path[len++] = n;
	return len;
}

/*
 * The two ancestries have a common end. If its lowest is the upper side of a switch, the
 * ports just below it on either side are where the request enters and leaves the
 * switch; all ports above it have both behind them.
 */
static enum oli_route model(const struct oli_desc *d, u8 from, u8 to)
{
	u8 up[OLI_NODES], down[OLI_NODES];
	u32 nu = ancestry(d, from, up), nd = ancestry(d, to, down), common = 0;
	bool redirected, answer = true;

	if (from == to)
		return OLI_ROUTE_PEER;
	while (common < nu && common < nd && up[nu - 1 - common] == down[nd - 1 - common])
		common++;
	if (!common || d->node[up[nu - common]].kind != OLI_NODE_SWITCH_UP_KIND)
		return OLI_ROUTE_ROOT;
	redirected = d->node[up[nu - common - 1]].acs & OLI_ACS_RR;
	if (!redirected && d->node[up[nu - common - 1]].acs & OLI_ACS_EC)
		return OLI_ROUTE_ABORT;
	for (u32 i = 0; i < nd - common; i++)
		if (d->node[down[i]].acs & OLI_ACS_CR)
			answer = d->node[down[nd - 1]].p2p;
	if (!redirected)
		return answer ? OLI_ROUTE_PEER : OLI_ROUTE_ABORT;
	for (u32 i = nu - common; i < nu; i++) {
		u8 kind = d->node[up[i]].kind;

		if ((kind == OLI_NODE_ROOT_PORT_KIND || kind == OLI_NODE_SWITCH_DOWN_KIND) &&
		    !(d->node[up[i]].acs & OLI_ACS_UF))
			return OLI_ROUTE_ABORT;
	}
	return OLI_ROUTE_ROOT;
}

static void compare(struct oli_machine *m, u32 count[3])
{
	const struct oli_desc *d = &m->shm->desc;

	for (u8 a = 0; a < d->nr_nodes; a++)
		for (u8 b = 0; b < d->nr_nodes; b++) {
			struct olio_pa pa = {0}, target = {0};
			u64 len = 0, bus = 0, off;
			u8 up[OLI_NODES], down[OLI_NODES];
			enum oli_route r;

			for (u32 i = 0; i < OLI_BARS; i++)
				if (d->node[b].bar[i].len) {
					len = d->node[b].bar[i].len;
					bus = d->node[b].bar[i].bus;
					target.v = d->node[b].bar[i].pa;
				}
			if (!len || d->node[a].kind != OLI_NODE_ENDPOINT_KIND)
				continue;
			off = rnd(2) ? rnd((u32)len) : len - 1;
			r = oli_tree_route(m, a, bus + off, &pa);
			assert_int_equal(r, model(d, a, b));
			assert_int_equal(pa.v, r == OLI_ROUTE_PEER ? target.v + off : 0);
			count[r]++;
			assert_int_equal(oli_tree_root_passes(m, a, target),
					 d->node[up[ancestry(d, a, up) - 1]].p2p &&
						 d->node[down[ancestry(d, b, down) - 1]].p2p);
		}
}

static void test_random(void **state)
{
	u32 count[3] = {0};

	(void)state;
	for (u32 round = 0; round < 300; round++) {
		struct oli_desc *d = calloc(1, sizeof(*d));
		struct oli_machine *m;

		strcpy(d->type, "random");
		d->ram_size = 2 << 20;
		grow(d);
		m = place_open_with(NULL, d);
		compare(m, count);
		/* Other bits, while it runs. */
		for (u8 n = 0; n < d->nr_nodes; n++) {
			u8 acs = (u8)rnd(128);

			if (!oli_tree_set_acs(m, n, acs))
				m->shm->desc.node[n].acs = acs; /* for the model */
		}
		compare(m, count);
		oli_machine_close(m);
		free(d);
	}
	/* All answers came up. */
	assert_true(count[OLI_ROUTE_PEER] > 1000);
	assert_true(count[OLI_ROUTE_ROOT] > 1000);
	assert_true(count[OLI_ROUTE_ABORT] > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_switch),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_set_acs),
		cmocka_unit_test(test_random),
	};

	place_dir();
	return cmocka_run_group_tests_name("machine/tree", tests, NULL, NULL);
}
