// SPDX-License-Identifier: MIT
/*
 * The built-in types of machines.
 *
 * Each has the endpoints hca0 (the RDMA device: page-wise, whole pages, doorbells in
 * BAR 0), dma0 (a plain device, for tests and drivers) and acc0 (an accelerator whose
 * memory, BAR 2, is offered to peers). What makes a type is said in its @about.
 *
 * The checker is on for all classes everywhere but in pc-fast: finding mistakes is what
 * one makes such a machine for, and who measures speed asks for it. It costs a device's
 * owner memory for the history of unmapped ranges (class 20) and time in each map.
 */
#include "machine/desc_int.h"

#define GIB (1ull << 30)

/* enum oli_pt_format_id and enum olio_granule, which are declared above this layer. */
enum { VTDSS, AMDV1, X86_64 };
enum { EXPOSE, BOUNCE, REFUSE };

#define TOP OLI_NODE_NONE
#define BRIDGE(name_) .name = name_, .kind = OLI_NODE_HOST_BRIDGE_KIND, .parent = TOP
#define ROOT_PORT(name_, above)                                                                    \
	.name = name_, .kind = OLI_NODE_ROOT_PORT_KIND, .parent = above
#define SWITCH_UP(name_, above)                                                                    \
	.name = name_, .kind = OLI_NODE_SWITCH_UP_KIND, .parent = above
#define SWITCH_DOWN(name_, above)                                                                  \
	.name = name_, .kind = OLI_NODE_SWITCH_DOWN_KIND, .parent = above
#define ENDPOINT(name_, above)                                                                     \
	.name = name_, .kind = OLI_NODE_ENDPOINT_KIND, .parent = above

#define GOOD .coherent = 1, .trusted = 1, .dma_bits = 64
#define DOORBELLS .bar = {[0] = {.len = 4096}}
#define MEMORY .bar = {[0] = {.len = 4096}, [2] = {.len = 1 << 20, .provider = 1}}

#define REDIRECT (OLI_ACS_SV | OLI_ACS_RR | OLI_ACS_CR | OLI_ACS_UF)

/* pc in both speeds. */
#define PC                                                                                         \
	.ram_size = 32 * GIB, .iommu = OLI_IOMMU_STRICT, .format = VTDSS, .levels = 4,                \
	.bounce_slots = 8192, .bounce_areas = 2, .nr_nodes = 9, .node = {                          \
		{BRIDGE("pci0"), .p2p = 1},                                                        \
		{ROOT_PORT("rp0", 0)},                                                             \
		{ENDPOINT("hca0", 1), GOOD, .rdma = 1, DOORBELLS},                                 \
		{ROOT_PORT("rp1", 0)},                                                             \
		{ENDPOINT("acc0", 3), GOOD, MEMORY},                                               \
		{ROOT_PORT("rp2", 0)},                                                             \
		{ENDPOINT("dma0", 5), GOOD, DOORBELLS},                                            \
		{.name = "plat0", .kind = OLI_NODE_PLATFORM_KIND, .parent = TOP, GOOD},            \
		{.name = "soft0", .kind = OLI_NODE_PLATFORM_KIND, .parent = TOP, GOOD,             \
		 .software = 1},                                                                   \
	}

/* One switch, everything below it. @acs: of all ports. */
#define SWITCH(acs_)                                                                               \
	.ram_size = 32 * GIB, .iommu = OLI_IOMMU_STRICT, .format = VTDSS, .bounce_slots = 8192,    \
	.bounce_areas = 2, .checker = OLI_CHECKER_ALL, .nr_nodes = 11, .node = {                   \
		{BRIDGE("pci0")},                                                                  \
		{ROOT_PORT("rp0", 0), .acs = acs_},                                                \
		{SWITCH_UP("up0", 1)},                                                             \
		{SWITCH_DOWN("down0", 2), .acs = acs_},                                            \
		{ENDPOINT("hca0", 3), GOOD, .rdma = 1, DOORBELLS},                                 \
		{SWITCH_DOWN("down1", 2), .acs = acs_},                                            \
		{ENDPOINT("acc0", 5), GOOD, MEMORY},                                               \
		{SWITCH_DOWN("down2", 2), .acs = acs_},                                            \
		{ENDPOINT("dma0", 7), GOOD, DOORBELLS},                                            \
		{SWITCH_DOWN("down3", 2), .acs = acs_},                                            \
		{ENDPOINT("acc1", 9), GOOD, MEMORY},                                               \
	}

const struct oli_desc oli_builtin[] = {
	{.type = "pc",
	 .about = "workstation: strict VT-d, coherent, host bridge passes peer-to-peer traffic",
	 .checker = OLI_CHECKER_ALL,
	 PC},
	{.type = "pc-fast", .about = "pc with the checker off, to measure speed", PC},
	{.type = "no-iommu",
	 .about = "no IOMMU: DMA address is physical plus an offset; dma32 must bounce",
	 .checker = OLI_CHECKER_ALL,
	 .ram_size = 0xb0000000,
	 .iommu = OLI_IOMMU_NONE,
	 .dma_offset = 0xb0000000,
	 .bounce_slots = 8192,
	 .bounce_areas = 2,
	 .nr_nodes = 9,
	 .node = {{BRIDGE("pci0"), .p2p = 1},
		  {ROOT_PORT("rp0", 0)},
		  {ENDPOINT("hca0", 1), GOOD, .rdma = 1, DOORBELLS},
		  {ROOT_PORT("rp1", 0)},
		  {ENDPOINT("acc0", 3), GOOD, MEMORY},
		  {ROOT_PORT("rp2", 0)},
		  {ENDPOINT("dma0", 5), GOOD, DOORBELLS},
		  {ROOT_PORT("rp3", 0)},
		  {ENDPOINT("dma32", 7), .coherent = 1, .trusted = 1, .dma_bits = 32, DOORBELLS}}},
	{.type = "lazy-amd",
	 .about = "AMD tables with pages of every size, invalidation up to 10 ms late",
	 .checker = OLI_CHECKER_ALL,
	 .ram_size = 32 * GIB,
	 .iommu = OLI_IOMMU_LAZY,
	 .format = AMDV1,
	 .bounce_slots = 8192,
	 .bounce_areas = 2,
	 .nr_nodes = 7,
	 .node = {{BRIDGE("pci0"), .p2p = 1},
		  {ROOT_PORT("rp0", 0)},
		  {ENDPOINT("hca0", 1), GOOD, .rdma = 1, DOORBELLS},
		  {ROOT_PORT("rp1", 0)},
		  {ENDPOINT("acc0", 3), GOOD, MEMORY},
		  {ROOT_PORT("rp2", 0)},
		  {ENDPOINT("dma0", 5), GOOD, DOORBELLS}}},
	{.type = "arm-noncoherent",
	 .about = "devices do not see the CPU's caches; first-stage tables, lazy, linear RAM",
	 .checker = OLI_CHECKER_ALL,
	 .ram_size = 8 * GIB,
	 .linear = 1,
	 .iommu = OLI_IOMMU_LAZY,
	 .format = X86_64,
	 .bounce_slots = 8192,
	 .bounce_areas = 1,
	 .nr_nodes = 8,
	 .node = {{BRIDGE("pci0")},
		  {ROOT_PORT("rp0", 0)},
		  {ENDPOINT("hca0", 1), .trusted = 1, .dma_bits = 64, .rdma = 1, DOORBELLS},
		  {ROOT_PORT("rp1", 0)},
		  {ENDPOINT("acc0", 3), .trusted = 1, .dma_bits = 64, MEMORY},
		  {ROOT_PORT("rp2", 0)},
		  {ENDPOINT("dma0", 5), .trusted = 1, .dma_bits = 40, DOORBELLS},
		  {.name = "plat0", .kind = OLI_NODE_PLATFORM_KIND, .parent = TOP, .trusted = 1,
		   .dma_bits = 32}}},
	{.type = "cc-guest",
	 .about = "confidential guest: memory is encrypted, devices bounce, but for tee0",
	 .checker = OLI_CHECKER_ALL,
	 .ram_size = 0xb0000000,
	 .encrypted = 1,
	 .iommu = OLI_IOMMU_NONE,
	 .dma_offset = 0xb0000000,
	 .bounce_slots = 32768,
	 .bounce_areas = 2,
	 .nr_nodes = 9,
	 .node = {{BRIDGE("pci0")},
		  {ROOT_PORT("rp0", 0)},
		  {ENDPOINT("hca0", 1), GOOD, .force_bounce = 1, .rdma = 1, DOORBELLS},
		  {ROOT_PORT("rp1", 0)},
		  {ENDPOINT("acc0", 3), GOOD, .force_bounce = 1, MEMORY},
		  {ROOT_PORT("rp2", 0)},
		  {ENDPOINT("dma0", 5), GOOD, .force_bounce = 1, DOORBELLS},
		  {ROOT_PORT("rp3", 0)},
		  {ENDPOINT("tee0", 7), GOOD, .tee = 1, DOORBELLS}}},
	{.type = "p2p-switch",
	 .about = "all behind a switch that turns peer-to-peer traffic; the host bridge does not",
	 SWITCH(0)},
	{.type = "p2p-acs",
	 .about = "p2p-switch with ACS: redirected to a host bridge that does not pass it",
	 SWITCH(REDIRECT)},
	{.type = "hostile",
	 .about = "all at once: caching mode, untrusted, encrypted, ACS, few IOVAs, tiny IOTLB",
	 .checker = OLI_CHECKER_ALL,
	 .ram_size = 8 * GIB,
	 .encrypted = 1,
	 .iommu = OLI_IOMMU_STRICT,
	 .format = VTDSS,
	 .levels = 3,
	 .caching_mode = 1,
	 .iova_bits = 39,
	 .page_sizes = 4096,
	 .iotlb_entries = 8,
	 .bounce_slots = 256,
	 .bounce_areas = 2,
	 .cache_line = 128,
	 .nr_nodes = 11,
	 .node = {{BRIDGE("pci0")},
		  {ROOT_PORT("rp0", 0), .acs = REDIRECT},
		  {SWITCH_UP("up0", 1)},
		  {SWITCH_DOWN("down0", 2), .acs = REDIRECT},
		  {ENDPOINT("hca0", 3), .coherent = 1, .tee = 1, .dma_bits = 40, .granule = BOUNCE,
		   .rdma = 1, DOORBELLS},
		  {SWITCH_DOWN("down1", 2), .acs = REDIRECT},
		  {ENDPOINT("acc0", 5), .dma_bits = 40, .granule = BOUNCE, MEMORY},
		  {BRIDGE("pci1")},
		  {ROOT_PORT("rp1", 7), .acs = REDIRECT},
		  {ENDPOINT("dma0", 8), .dma_bits = 40, .granule = BOUNCE, .max_segment = 65536,
		   .boundary = 65536, DOORBELLS},
		  {.name = "plat0", .kind = OLI_NODE_PLATFORM_KIND, .parent = TOP, .dma_bits = 32,
		   .granule = REFUSE}}},
};

const u32 oli_builtin_nr = OLI_ARRAY_SIZE(oli_builtin);
