/* SPDX-License-Identifier: MIT */
/*
 * What a machine looks like: fixed when it is made, read by all.
 *
 * Words
 *   node      a place in the tree of buses: host bridge, port of a switch, device
 *   endpoint  a PCI device; a platform device hangs directly at the memory bus
 *   window    the bus addresses that a host bridge or a port passes down: those of
 *             the BARs behind it
 *   ACS       Access Control Services, PCIe 6.12: bits of a port that make it send
 *             peer-to-peer requests up instead of across
 *
 *   Physical addresses of every machine (no two regions touch):
 *
 *     1000_0000 …   4fff_ffff  low memory: bounce slots, coherent allocations
 *     8000_0000 …   bfff_ffff  BARs; on the bus they are at pa - bus_offset
 *    40_0000_0000 … +ram_size  RAM: frames of process memory
 *    80_0000_0000 … +4 GiB     the machine's own file: I/O page tables
 *
 * Descriptions come from a built-in table or, in libolio, from YAML; both pass
 * oli_desc_check(), which alone decides what is sound.
 */
#ifndef OLI_MACHINE_DESC_H
#define OLI_MACHINE_DESC_H

#include "base/types.h"
#include "olio/addr.h"

#define OLI_PA_LOW 0x10000000ull
#define OLI_PA_LOW_SIZE 0x40000000ull
#define OLI_PA_MMIO 0x80000000ull
#define OLI_PA_MMIO_SIZE 0x40000000ull
#define OLI_PA_RAM 0x4000000000ull
#define OLI_PA_RAM_MAX (64ull << 30)
#define OLI_PA_FILE 0x8000000000ull

/* Where interrupts are written to: never an IOVA. */
#define OLI_MSI_START 0xfee00000ull
#define OLI_MSI_LAST 0xfeefffffull

#define OLI_NODES 48
#define OLI_BARS 6
#define OLI_NODE_NAME 32
#define OLI_NODE_NONE 0xffu

/* X(NAME, text) */
#define OLI_NODE_KINDS(X)                                                                          \
	X(NONE, "none")                                                                            \
	X(HOST_BRIDGE, "host-bridge")                                                              \
	X(ROOT_PORT, "root-port")                                                                  \
	X(SWITCH_UP, "switch-up")                                                                  \
	X(SWITCH_DOWN, "switch-down")                                                              \
	X(ENDPOINT, "endpoint")                                                                    \
	X(PLATFORM, "platform")

enum oli_node_kind {
#define OLI_NODE_ID(NAME, text) OLI_NODE_##NAME##_KIND,
	OLI_NODE_KINDS(OLI_NODE_ID)
#undef OLI_NODE_ID
};

/* PCIe 7.7.11.3, ACS control register: bits 0 … 6 as in the register. */
#define OLI_ACS_BITS(X)                                                                            \
	X(SV, 0) /* source validation */                                                           \
	X(TB, 1) /* translation blocking */                                                        \
	X(RR, 2) /* request redirect */                                                            \
	X(CR, 3) /* completion redirect */                                                         \
	X(UF, 4) /* upstream forwarding */                                                         \
	X(EC, 5) /* egress control */                                                              \
	X(DT, 6) /* direct translated */

enum {
#define OLI_ACS_ID(NAME, bit) OLI_ACS_##NAME = 1 << (bit),
	OLI_ACS_BITS(OLI_ACS_ID)
#undef OLI_ACS_ID
};

struct oli_bar {
	u64 len;      /* power of two, at least 4 KiB; 0: none */
	u64 pa, bus;  /* given out by oli_desc_check() */
	u64 off;      /* of its memory in the machine's file; filled in at creation */
	u32 provider; /* peers may be given it */
	u32 pad;
};

struct oli_node {
	char name[OLI_NODE_NAME];
	u8 kind;   /* enum oli_node_kind */
	u8 parent; /* index of an earlier node; OLI_NODE_NONE for host bridges and platform devices */
	u8 bus, devfn;
	/* host bridge */
	u8 p2p; /* passes requests from one of its ports down another, or to another bridge */
	/* ports: what they are made with; the present value is in struct oli_tree */
	u8 acs;
	/* devices */
	u8 dma_bits;  /* 12 … 64; 0: 64 */
	u8 coherent;  /* its accesses see the CPU's caches */
	u8 trusted;   /* false: external port; partial granules are bounced */
	u8 tee;       /* may read private memory of an encrypting machine */
	u8 granule;   /* enum olio_granule */
	u8 software;  /* reaches memory by the CPU: DMA address is the physical address */
	u8 force_bounce;
	u8 rdma; /* shown to programs as an RDMA device of this name: hca0 */
	u8 pad0[2];
	u64 max_segment; /* bytes; 0: no limit */
	u64 boundary;	 /* power of two; 0: none */
	struct oli_bar bar[OLI_BARS];
};

enum oli_iommu_mode { OLI_IOMMU_NONE, OLI_IOMMU_STRICT, OLI_IOMMU_LAZY };

struct oli_desc {
	char type[64];
	char about[96];
	/* memory */
	u64 ram_size;	/* multiple of 2 MiB, at most OLI_PA_RAM_MAX */
	u8 linear;	/* frames in ascending order instead of scattered */
	u8 encrypted;	/* process memory is private */
	/* IOMMU */
	u8 iommu;	   /* enum oli_iommu_mode */
	u8 format;	   /* enum oli_pt_format_id */
	u8 levels;	   /* 0: the format's usual */
	u8 caching_mode;   /* absent entries are cached, too: every map needs a sync */
	u8 granule_shift;  /* 12 … 16: what map calls round to; 0: 12 */
	u8 iova_bits;	   /* 24 …; 0: all that the format has */
	u64 page_sizes;	   /* bit n: leaves of 2^n bytes; 0: all that the format has */
	u32 iotlb_entries; /* power of two, 4 … 4096; 0: 256 */
	u32 lazy_ms;	   /* 0: 10 */
	u64 dma_offset;	   /* without IOMMU: DMA address = pa + this; 0: 0xb0000000, or
			      64 GiB if there is more RAM than that */
	/* bounce buffers */
	u32 bounce_slots; /* of 2 KiB, multiple of 128; 0: none */
	u32 bounce_areas; /* power of two; 0: 1 */
	u32 cache_line;	  /* bytes; 0: 64 */
	u32 pad0;
	u64 bus_offset; /* of host bridges: BAR at pa is at pa - bus_offset on the bus; 0: 0x30000000 */
	/* checker: bit n is misuse class n */
	u64 checker;
	u8 nr_nodes;
	u8 pad[7];
	struct oli_node node[OLI_NODES];
};

/* What of the tree may change while the machine runs. In struct oli_shm; see tree.h. */
struct oli_tree {
	_Atomic u32 seq; /* counts changes */
	_Atomic u8 acs[OLI_NODES];
};

/* checker: every class of misuse. */
#define OLI_CHECKER_ALL (((1ull << 36) - 1) & ~1ull)

#define OLI_DESC_WHY 256

/* The built-in description @type, complete and checked. Return: 0, -ENOENT. */
OLI_MUST_CHECK int oli_desc_builtin(const char *type, struct oli_desc *out);
/* For lists: the @i-th built-in one, or NULL. */
const struct oli_desc *oli_desc_at(u32 i);

/*
 * Is @d sound? @d may be any bytes. Gives out bus numbers, BAR and bus addresses on the
 * way, resolves what was left at 0 to its usual value, and clears what is not used, so
 * that equal machines are equal byte by byte. A checked one passes again, unchanged.
 * @why: on failure one sentence, OLI_DESC_WHY bytes. Return: 0 or -EINVAL.
 */
OLI_MUST_CHECK int oli_desc_check(struct oli_desc *d, char *why);

/* Index of a node by name, or OLI_NODE_NONE. */
u8 oli_node_find(const struct oli_desc *d, const char *name);
const char *oli_node_kind_name(u8 kind);
/* "RR,CR,UF" of @acs into @text. */
void oli_acs_text(u8 acs, char text[40]);

#endif
