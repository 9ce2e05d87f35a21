// SPDX-License-Identifier: MIT
/*
 * Proves what the check of descriptions promises: the built-in ones are sound and keep
 * their address spaces apart; every field has its bounds and a sentence with its name;
 * any tree is taken exactly if a few lines of rules, written here, take it; what is given
 * out (buses, addresses) is disjoint and nested as on a real bus; any bytes at all are
 * either refused or become a description for which all this holds.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "iommu/pt/pt.h"
#include "machine/desc_int.h"

static u64 seed = 0x9e3779b97f4a7c15;

static u32 rnd(u32 n)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)((seed >> 33) % n);
}

static struct oli_desc *builtin(const char *type)
{
	struct oli_desc *d = malloc(sizeof(*d));

	assert_int_equal(oli_desc_builtin(type, d), 0);
	return d;
}

/* ---- what holds for every description that passed ---- */

struct span {
	u64 start, last;
};

static bool apart(struct span a, struct span b)
{
	return a.last < b.start || b.last < a.start;
}

static bool below(const struct oli_desc *d, u8 node, u8 port)
{
	for (; node != OLI_NODE_NONE; node = d->node[node].parent)
		if (node == port)
			return true;
	return false;
}

static void bars_disjoint(const struct oli_desc *d)
{
	for (u8 a = 0; a < d->nr_nodes; a++)
		for (u32 i = 0; i < OLI_BARS; i++) {
			const struct oli_bar *x = &d->node[a].bar[i];

			if (!x->len)
				continue;
			assert_int_equal(x->pa % x->len, 0);
			assert_int_equal(x->bus, x->pa - d->bus_offset);
			assert_true(x->pa >= OLI_PA_MMIO);
			assert_true(x->pa + x->len <= OLI_PA_MMIO + OLI_PA_MMIO_SIZE);
			for (u8 b = 0; b < d->nr_nodes; b++)
				for (u32 k = 0; k < OLI_BARS; k++) {
					const struct oli_bar *y = &d->node[b].bar[k];

					if (y->len && x != y)
						assert_true(x->pa + x->len <= y->pa ||
							    y->pa + y->len <= x->pa);
				}
		}
}

/* From the first to the last byte behind a port there is nobody else's BAR. */
static void windows_whole(const struct oli_desc *d)
{
	for (u8 port = 0; port < d->nr_nodes; port++) {
		u64 lo = UINT64_MAX, hi = 0;

		for (int round = 0; round < 2; round++)
			for (u8 n = 0; n < d->nr_nodes; n++)
				for (u32 i = 0; i < OLI_BARS; i++) {
					const struct oli_bar *b = &d->node[n].bar[i];
					bool in = below(d, n, port);

					if (!b->len)
						continue;
					if (round && !in)
						assert_true(b->pa > hi || b->pa + b->len <= lo);
					if (!round && in && b->pa < lo)
						lo = b->pa;
					if (!round && in && b->pa + b->len - 1 > hi)
						hi = b->pa + b->len - 1;
				}
	}
}

static void buses_nested(const struct oli_desc *d)
{
	for (u8 a = 0; a < d->nr_nodes; a++)
		for (u8 b = 0; b < d->nr_nodes; b++) {
			const struct oli_node *x = &d->node[a], *y = &d->node[b];
			bool pci = x->kind != OLI_NODE_PLATFORM_KIND &&
				   y->kind != OLI_NODE_PLATFORM_KIND &&
				   x->kind != OLI_NODE_HOST_BRIDGE_KIND &&
				   y->kind != OLI_NODE_HOST_BRIDGE_KIND;

			if (a == b || !pci)
				continue;
			/* An address is one node's; siblings share a bus, others do not. */
			assert_true(x->bus != y->bus || x->devfn != y->devfn);
			assert_int_equal(x->bus == y->bus, x->parent == y->parent);
			if (below(d, b, a))
				assert_true(y->bus > x->bus);
		}
}

static void spaces_apart(const struct oli_desc *d)
{
	struct span mem[64], moved[64], bus[OLI_NODES * OLI_BARS];
	u32 nmem = 0, nbus = 0;

	mem[nmem++] = (struct span){OLI_PA_LOW, OLI_PA_LOW + OLI_PA_LOW_SIZE - 1};
	mem[nmem++] = (struct span){OLI_PA_RAM, OLI_PA_RAM + d->ram_size - 1};
	for (u8 n = 0; n < d->nr_nodes; n++)
		for (u32 i = 0; i < OLI_BARS; i++) {
			const struct oli_bar *b = &d->node[n].bar[i];

			if (!b->len)
				continue;
			bus[nbus++] = (struct span){b->bus, b->bus + b->len - 1};
			assert_true(bus[nbus - 1].last >= bus[nbus - 1].start);
			assert_true(apart(bus[nbus - 1],
					  (struct span){OLI_MSI_START, OLI_MSI_LAST}));
			if (nmem < 60)
				mem[nmem++] = (struct span){b->pa, b->pa + b->len - 1};
		}
	for (u32 i = 0; i < nmem; i++) {
		moved[i] = (struct span){mem[i].start + d->dma_offset, mem[i].last + d->dma_offset};
		for (u32 k = 0; k < nbus; k++)
			assert_true(apart(mem[i], bus[k]));
	}
	if (d->iommu != OLI_IOMMU_NONE)
		return;
	for (u32 i = 0; i < nmem; i++) {
		assert_true(moved[i].start <= moved[i].last);
		for (u32 k = 0; k < nmem; k++)
			assert_true(apart(moved[i], mem[k]));
		for (u32 k = 0; k < nbus; k++)
			assert_true(apart(moved[i], bus[k]));
	}
}

static void sound(const struct oli_desc *d)
{
	struct oli_desc *again = malloc(sizeof(*again));
	char why[OLI_DESC_WHY];

	bars_disjoint(d);
	windows_whole(d);
	buses_nested(d);
	spaces_apart(d);
	*again = *d;
	assert_int_equal(oli_desc_check(again, why), 0);
	assert_memory_equal(again, d, sizeof(*d));
	free(again);
}

/* ---- built-in ---- */

static void test_builtin(void **state)
{
	const struct oli_desc *at;
	u32 n = 0;

	(void)state;
	for (; (at = oli_desc_at(n)); n++) {
		struct oli_desc *d = builtin(at->type);
		u8 hca;

		sound(d);
		hca = oli_node_find(d, "hca0");
		assert_int_not_equal(hca, OLI_NODE_NONE);
		assert_int_equal(d->node[hca].rdma, 1);
		assert_int_not_equal(oli_node_find(d, "dma0"), OLI_NODE_NONE);
		assert_int_equal(d->node[oli_node_find(d, "acc0")].bar[2].provider, 1);
		assert_true(at->about[0]);
		for (u32 i = 0; i < n; i++)
			assert_string_not_equal(oli_desc_at(i)->type, at->type);
		free(d);
	}
	assert_true(n >= 7);
	assert_null(oli_desc_at(n));
	assert_int_equal(oli_desc_builtin("toaster", NULL), -ENOENT);
}

static void test_names(void **state)
{
	struct oli_desc *d = builtin("pc");
	char text[40];

	(void)state;
	assert_int_equal(oli_node_find(d, "pci0"), 0);
	assert_int_equal(oli_node_find(d, ""), OLI_NODE_NONE);
	assert_int_equal(oli_node_find(d, "hca"), OLI_NODE_NONE);
	assert_string_equal(oli_node_kind_name(OLI_NODE_SWITCH_UP_KIND), "switch-up");
	assert_string_equal(oli_node_kind_name(200), "?");
	oli_acs_text(OLI_ACS_UF | OLI_ACS_RR | OLI_ACS_CR, text);
	assert_string_equal(text, "RR,CR,UF");
	oli_acs_text(0, text);
	assert_string_equal(text, "");
	oli_acs_text(0xff, text);
	assert_string_equal(text, "SV,TB,RR,CR,UF,EC,DT");
	free(d);
}

/* The levels and sizes that are taken are those that the tables have. */
static void test_formats(void **state)
{
	static const struct oli_pt_format *const formats[] = {
#define FORMAT(NAME, name, least, most) &oli_pt_##name,
		OLI_PT_FORMATS(FORMAT)
#undef FORMAT
	};
	struct oli_desc *pc = builtin("pc"), *d = malloc(sizeof(*d));
	char why[OLI_DESC_WHY];

	(void)state;
	for (u32 f = 0; f < OLI_ARRAY_SIZE(formats) + 1; f++)
		for (u32 levels = 1; levels < 256; levels++) {
			u32 bits = f < OLI_ARRAY_SIZE(formats) && levels <= OLI_PT_MAX_LEVELS
					   ? formats[f]->iova_bits[levels]
					   : 0;
			int err;

			*d = *pc;
			d->format = (u8)f;
			d->levels = (u8)levels;
			d->iova_bits = 0;
			d->page_sizes = 0;
			err = oli_desc_check(d, why);
			/* Too small an address space is no machine. */
			assert_int_equal(err, bits >= 24 ? 0 : -EINVAL);
			if (err)
				continue;
			assert_int_equal(d->iova_bits, bits);
			assert_int_equal(d->page_sizes, formats[f]->sizes);
			d->iova_bits++;
			assert_int_equal(oli_desc_check(d, why), -EINVAL);
			d->iova_bits--;
			d->page_sizes = formats[f]->sizes << 1 | 4096;
			assert_int_equal(oli_desc_check(d, why), -EINVAL);
		}
	free(d);
	free(pc);
}

/* ---- one field wrong ---- */

enum { PCI0, RP0, HCA0, RP1, ACC0, RP2, DMA0, PLAT0 };

/* X(statement on d, words of the sentence) on a "pc". */
#define WRONG(X)                                                                                   \
	X(memset(d->type, 'x', 64), "type")                                                        \
	X(d->type[0] = 0, "type")                                                                  \
	X(d->type[1] = '\n', "type")                                                               \
	X(memset(d->about, 'x', 96), "about")                                                      \
	X(d->about[0] = 27, "about")                                                               \
	X(d->nr_nodes = 49, "49 nodes")                                                            \
	X(d->nr_nodes = 255, "255 nodes")                                                          \
	X(d->ram_size = 0, "ram-size")                                                             \
	X(d->ram_size += 4096, "ram-size")                                                         \
	X(d->ram_size = OLI_PA_RAM_MAX + OLI_RAM_UNIT, "ram-size")                                 \
	X(d->linear = 2, "linear")                                                                 \
	X(d->encrypted = 2, "encrypted")                                                           \
	X(d->iommu = 3, "mode 3")                                                                  \
	X(d->format = 3, "format 3")                                                               \
	X(d->levels = 2, "2 levels")                                                               \
	X(d->caching_mode = 2, "caching-mode")                                                     \
	X(d->granule_shift = 11, "granule")                                                        \
	X(d->granule_shift = 17, "granule")                                                        \
	X(d->iova_bits = 23, "iova-bits")                                                          \
	X(d->iova_bits = 49, "iova-bits")                                                          \
	X(d->page_sizes = 1 << 21, "4096")                                                         \
	X(d->page_sizes |= 1 << 13, "0x2000")                                                      \
	X(d->iotlb_entries = 3, "iotlb-entries")                                                   \
	X(d->iotlb_entries = 2, "iotlb-entries")                                                   \
	X(d->iotlb_entries = 8192, "iotlb-entries")                                                \
	X(d->lazy_ms = 10001, "lazy-ms")                                                           \
	X(d->bounce_slots = 127, "bounce-slots")                                                   \
	X(d->bounce_slots = 0xffffff80, "bounce-slots")                                            \
	X(d->bounce_areas = 3, "bounce-areas")                                                     \
	X(d->bounce_areas = 128, "bounce-areas")                                                   \
	X(d->cache_line = 8, "cache-line")                                                         \
	X(d->cache_line = 65, "cache-line")                                                        \
	X(d->cache_line = 8192, "cache-line")                                                      \
	X(d->bus_offset = 0x70000000, "bus-offset: BARs")                                          \
	X(d->bus_offset = 0x80000000, "bus-offset: BARs")                                          \
	X(d->bus_offset = 0x80000000 - OLI_MSI_START, "interrupts")                                \
	X(d->bus_offset = 0x80000000 - OLI_PA_RAM, "RAM")                                          \
	X(d->bus_offset = 4096, "BARs")                                                            \
	X(d->checker = 1, "class")                                                                 \
	X(d->checker = 1ull << 36, "class")                                                        \
	X(d->node[HCA0].name[0] = 0, "node 2")                                                     \
	X(d->node[HCA0].name[0] = '/', "node 2")                                                   \
	X(memset(d->node[HCA0].name, 'a', 32), "node 2")                                           \
	X(strcpy(d->node[HCA0].name, "acc0"), "two of that name")                                  \
	X(d->node[HCA0].kind = 0, "kind 0")                                                        \
	X(d->node[HCA0].kind = 7, "kind 7")                                                        \
	X(d->node[HCA0].kind = 255, "kind 255")                                                    \
	X(d->node[HCA0].parent = HCA0, "come before")                                              \
	X(d->node[HCA0].parent = 200, "come before")                                               \
	X(d->node[HCA0].parent = OLI_NODE_NONE, "endpoint cannot be below nothing")                \
	X(d->node[HCA0].parent = PCI0, "below a host-bridge")                                      \
	X(d->node[ACC0].parent = RP0, "one link")                                                  \
	X(d->node[PLAT0].parent = PCI0, "'plat0': a platform")                                     \
	X(d->node[PCI0].p2p = 2, "'pci0': p2p")                                                    \
	X(d->node[HCA0].p2p = 1, "has no 'p2p'")                                                   \
	X(d->node[PCI0].acs = 1, "ACS")                                                            \
	X(d->node[HCA0].acs = 1, "ACS")                                                            \
	X(d->node[RP0].acs = 0x80, "ACS")                                                          \
	X(d->node[HCA0].dma_bits = 11, "dma-bits")                                                 \
	X(d->node[HCA0].dma_bits = 65, "dma-bits")                                                 \
	X(d->node[RP0].dma_bits = 32, "no DMA of its own")                                         \
	X(d->node[HCA0].coherent = 2, "coherent")                                                  \
	X(d->node[RP0].trusted = 1, "trusted")                                                     \
	X(d->node[HCA0].tee = 3, "tee")                                                            \
	X(d->node[HCA0].granule = 3, "granule policy 3")                                           \
	X(d->node[HCA0].software = 1, "RDMA device")                                               \
	X(d->node[HCA0].force_bounce = 9, "force-bounce")                                          \
	X(d->node[PLAT0].rdma = 1, "RDMA device")                                                  \
	X(d->node[HCA0].bar[0].len = 0, "RDMA device")                                             \
	X(strcpy(d->node[HCA0].name, "rxe0"), "rxe0")                                              \
	X(d->node[HCA0].max_segment = 4095, "max-segment")                                         \
	X(d->node[HCA0].boundary = 12288, "boundary")                                              \
	X(d->node[HCA0].boundary = 2048, "boundary")                                               \
	X(d->node[ACC0].bar[1].len = 2048, "'acc0': bar 1")                                        \
	X(d->node[ACC0].bar[1].len = 12288, "power of two")                                        \
	X(d->node[ACC0].bar[1].len = 1ull << 63, "at most")                                        \
	X(d->node[ACC0].bar[1].len = OLI_BAR_TOTAL, "all BARs together")                           \
	X(d->node[ACC0].bar[1].provider = 1, "without a size")                                     \
	X(d->node[ACC0].bar[0].provider = 2, "provider")                                           \
	X(d->node[RP1].bar[0].len = 4096, "'rp1': bar 0")                                          \
	X(d->node[PLAT0].bar[5].len = 4096, "'plat0': bar 5")                                      \
	X((d->iommu = 0, d->ram_size = 2ull << 30, d->dma_offset = 4096), "dma-offset: low memory") \
	X((d->iommu = 0, d->ram_size = 4ull << 30, d->dma_offset = 0xb0000000), "dma-offset: RAM") \
	X((d->iommu = 0, d->ram_size = 2ull << 30, d->dma_offset = 0 - OLI_PA_LOW), "wrap")        \
	X((d->iommu = 0, d->ram_size = 2ull << 30, d->dma_offset = 0ull - OLI_PA_RAM), "wrap")     \
	X((d->iommu = 0, d->ram_size = 2ull << 30, d->dma_offset = 0x40000000), "dma-offset")

static void test_wrong(void **state)
{
	struct oli_desc *d = malloc(sizeof(*d)), *pc = builtin("pc");
	char why[OLI_DESC_WHY];

	(void)state;
#define TRY(statement, words)                                                                      \
	*d = *pc;                                                                                  \
	statement;                                                                                 \
	why[0] = '\0';                                                                             \
	if (oli_desc_check(d, why) != -EINVAL || !strstr(why, words))                              \
		fail_msg("%s: expected '%s', got '%s'", #statement, words, why);
	WRONG(TRY)
#undef TRY
	free(d);
	free(pc);
}

static void test_usual(void **state)
{
	struct oli_desc *d = builtin("pc");
	char why[OLI_DESC_WHY];

	(void)state;
	d->levels = d->iova_bits = d->granule_shift = 0;
	d->page_sizes = d->dma_offset = d->bus_offset = 0;
	d->iotlb_entries = d->lazy_ms = d->bounce_areas = d->cache_line = 0;
	d->node[HCA0].dma_bits = 0;
	d->iommu = OLI_IOMMU_NONE;
	d->ram_size = 1ull << 30;
	assert_int_equal(oli_desc_check(d, why), 0);
	assert_int_equal(d->levels, 4);
	assert_int_equal(d->iova_bits, 48);
	assert_int_equal(d->granule_shift, 12);
	assert_int_equal(d->page_sizes, 0x40201000);
	assert_int_equal(d->dma_offset, 0xb0000000);
	assert_int_equal(d->bus_offset, 0x30000000);
	assert_int_equal(d->iotlb_entries, 256);
	assert_int_equal(d->lazy_ms, 10);
	assert_int_equal(d->bounce_areas, 1);
	assert_int_equal(d->cache_line, 64);
	assert_int_equal(d->node[HCA0].dma_bits, 64);
	sound(d);
	d->dma_offset = 0;
	d->ram_size = OLI_PA_RAM_MAX;
	assert_int_equal(oli_desc_check(d, why), 0);
	assert_int_equal(d->dma_offset, OLI_PA_RAM_MAX);
	sound(d);
	free(d);
}

/* What is of no meaning is gone: behind the end of strings, behind the last node. */
static void test_canonical(void **state)
{
	struct oli_desc *pc = builtin("pc"), *d = malloc(sizeof(*d));
	char why[OLI_DESC_WHY];

	(void)state;
	*d = *pc;
	memset(d->type + 3, 'x', 61);
	memset(d->about + strlen(d->about) + 1, 'y', 96 - strlen(d->about) - 1);
	memset(d->node[HCA0].name + 5, 'z', 27);
	memset(&d->node[d->nr_nodes], 0xee, (OLI_NODES - (size_t)d->nr_nodes) * sizeof(d->node[0]));
	memset(d->pad, 1, sizeof(d->pad));
	memset(d->node[RP0].pad0, 1, sizeof(d->node[RP0].pad0));
	d->pad0 = d->node[ACC0].bar[0].pad = 77;
	d->node[ACC0].bar[0].pa = d->node[ACC0].bar[1].bus = d->node[ACC0].bar[2].off = 4711;
	d->node[HCA0].bus = d->node[HCA0].devfn = 99;
	assert_int_equal(oli_desc_check(d, why), 0);
	assert_memory_equal(d, pc, sizeof(*d));
	free(d);
	free(pc);
}

/* ---- trees ---- */

/* More on a bus than there are device numbers. */
static void test_crowded_bus(void **state)
{
	struct oli_desc *d = builtin("pc");
	char why[OLI_DESC_WHY];

	(void)state;
	memset(&d->node[1], 0, sizeof(d->node) - sizeof(d->node[0]));
	for (d->nr_nodes = 1; d->nr_nodes < OLI_NODES; d->nr_nodes++) {
		struct oli_node *n = &d->node[d->nr_nodes];

		snprintf(n->name, sizeof(n->name), "rp%u", d->nr_nodes);
		n->kind = OLI_NODE_ROOT_PORT_KIND;
	}
	assert_int_equal(oli_desc_check(d, why), 0);
	sound(d);
	assert_int_equal(d->node[47].bus, 0);
	assert_int_equal(d->node[31].devfn, 31 << 3);
	assert_int_equal(d->node[32].devfn, 0 << 3 | 1);
	free(d);
}

/* The rules once more, as a table of characters: which child (column) below which parent (row). */
static bool legal(const struct oli_desc *d)
{
	static const char *const may[] = {
		/*	     - H R U D E P */
		[0] /* none */ = "0100001",
		[1] /* bridge */ = "0010000",
		[2] /* root port */ = "0001010",
		[3] /* switch-up */ = "0000100",
		[4] /* switch-down */ = "0001010",
		[5] /* endpoint */ = "0000000",
		[6] /* platform */ = "0000000",
	};

	for (u8 i = 0; i < d->nr_nodes; i++) {
		u8 p = d->node[i].parent, children = 0;

		if (p != OLI_NODE_NONE && p >= i)
			return false;
		if (may[p == OLI_NODE_NONE ? 0 : d->node[p].kind][d->node[i].kind] == '0')
			return false;
		for (u8 k = 0; k < d->nr_nodes; k++)
			children += d->node[k].parent == i;
		if (children > 1 && (d->node[i].kind == 2 || d->node[i].kind == 4))
			return false;
	}
	return true;
}

static void random_tree(struct oli_desc *d, u32 wild)
{
	static const u8 kinds[] = {1, 2, 2, 3, 4, 4, 5, 5, 6};

	memset(d->node, 0, sizeof(d->node));
	d->nr_nodes = (u8)(1 + rnd(OLI_NODES));
	for (u8 i = 0; i < d->nr_nodes; i++) {
		struct oli_node *n = &d->node[i];

		snprintf(n->name, sizeof(n->name), "n%u", i);
		/* Until it fits, or not. */
		for (u32 tries = 0; tries < 200; tries++) {
			u8 nr = d->nr_nodes;
			bool fits;

			n->kind = kinds[rnd(OLI_ARRAY_SIZE(kinds))];
			n->parent = i && rnd(8) ? (u8)rnd(i) : OLI_NODE_NONE;
			d->nr_nodes = (u8)(i + 1);
			fits = legal(d);
			d->nr_nodes = nr;
			if (fits || (wild && !rnd(wild)))
				break;
		}
		if (wild && !rnd(wild * 20))
			n->parent = (u8)rnd(256);
		for (u32 b = 0; n->kind == 5 && b < OLI_BARS; b++)
			if (!rnd(2))
				n->bar[b].len = 4096ull << rnd(9);
	}
}

static void test_trees(void **state)
{
	struct oli_desc *pc = builtin("pc"), *d = malloc(sizeof(*d));
	char why[OLI_DESC_WHY];
	u32 good = 0, bad = 0;

	(void)state;
	for (u32 round = 0; round < 3000; round++) {
		bool fits;

		*d = *pc;
		random_tree(d, round % 2 ? 40 : 0);
		fits = legal(d);
		if (oli_desc_check(d, why) != (fits ? 0 : -EINVAL))
			fail_msg("round %u: %s", round, fits ? why : "taken");
		if (fits && round % 4 == 0)
			sound(d);
		fits ? good++ : bad++;
	}
	assert_true(good > 500 && bad > 500);
	free(d);
	free(pc);
}

/* ---- any bytes ---- */

static void test_bytes(void **state)
{
	struct oli_desc *d = malloc(sizeof(*d));
	char why[OLI_DESC_WHY];
	u32 taken = 0;

	(void)state;
	for (u32 round = 0; round < 20000; round++) {
		const struct oli_desc *base = oli_desc_at(rnd(7));
		u32 changes = rnd(6);

		*d = *base;
		/* Mostly where something is; sometimes nonsense all over. */
		for (u32 i = 0; i < changes; i++) {
			size_t at = rnd(offsetof(struct oli_desc, node) + 10 * sizeof(d->node[0]));

			((u8 *)d)[at] = rnd(3) ? (u8)rnd(256) : (u8)(rnd(2) * 255);
		}
		if (round % 50 == 0)
			for (size_t i = 0; i < sizeof(*d); i++)
				((u8 *)d)[i] = (u8)rnd(256);
		memset(why, 'x', sizeof(why));
		if (oli_desc_check(d, why)) {
			assert_true(strnlen(why, sizeof(why)) < sizeof(why));
			continue;
		}
		taken++;
		if (taken % 8 == 0)
			sound(d);
	}
	assert_true(taken > 1000);
	free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_builtin), cmocka_unit_test(test_names),
		cmocka_unit_test(test_formats), cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_usual),	cmocka_unit_test(test_canonical),
		cmocka_unit_test(test_crowded_bus), cmocka_unit_test(test_trees),
		cmocka_unit_test(test_bytes),
	};

	return cmocka_run_group_tests_name("machine/desc", tests, NULL, NULL);
}
