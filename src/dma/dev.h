/* SPDX-License-Identifier: MIT */
/*
 * A device as its driver has it, inside src/dma.
 *
 * What kind of address space a device has decides how a run becomes a DMA address:
 *
 *   TRANSLATED  by its domain: IOVA
 *   DIRECT      there is no IOMMU: physical + the machine's dma_offset, below the mask,
 *               bounced if it is not
 *   PHYSICAL    a software device, which reaches memory by the CPU: the physical
 *               address, checked against the frame table at each access (C3). Maps
 *               nothing, unmaps nothing, refuses MMIO
 */
#ifndef OLI_DMA_DEV_H
#define OLI_DMA_DEV_H

#include "base/why.h"
#include "bus/bus.h"
#include "iommu/domain.h"
#include "machine/phys.h"
#include "olio/dma.h"

enum oli_reach { OLI_REACH_TRANSLATED, OLI_REACH_DIRECT, OLI_REACH_PHYSICAL };

struct oli_check;

struct olio_dev {
	struct oli_machine *m;
	const struct oli_desc *desc;
	const struct oli_node *node; /* of @desc */
	struct oli_ram ram;
	struct oli_domain *domain;   /* TRANSLATED */
	struct oli_bus_id id;	     /* for accesses of the device */
	struct oli_check *check;     /* NULL: nothing is checked */
	u64 mask;		     /* last DMA address that it can emit */
	u64 max_segment;	     /* bytes; UINT64_MAX: none */
	u64 boundary;		     /* 0: none */
	u64 granule_mask;	     /* granule - 1 */
	u64 whole_mask;		     /* the same where partial granules are not exposed, else 0 */
	u32 frame_care;		     /* OLI_FRAME_* that say what kind of memory a frame is */
	u32 prot;		     /* OLI_PT_* of RAM beside READ and WRITE */
	u8 direct;		     /* bit: memory of this kind goes directly; see oli_goes_direct() */
	u8 reach;		     /* enum oli_reach */
	u8 granule;		     /* enum olio_granule */
	bool syncs;		     /* not coherent: ownership has an effect */
	bool cipher;		     /* sees private memory as ciphertext */
	bool no_snoop;		     /* sets No Snoop in its requests (check_snoop.c) */
	_Atomic u32 bounced;	     /* copies of it in bounce slots now; counted by bounce_slot.c */
	struct olio_dev *next;	     /* list of this process's (dma/part.c) */
	/* Changed under the list's lock, read without. */
	_Atomic u32 users; /* 0: closed. The memory stays until the machine is left */
	_Atomic u32 opens; /* times that it was opened anew: what is older is dead */
	pthread_mutex_t lock;	     /* guards @maps */
	struct olio_map *maps;	     /* list.c */
};

/* A handle that was closed is misuse, and never a crash. Refuse with bad-state. */
OLI_MUST_CHECK int oli_dev_closed(const struct olio_dev *dev);

static inline bool oli_dev_live(const struct olio_dev *dev)
{
	return __builtin_expect(dev->users != 0, 1);
}

/* On the machine itself; the public one is in libolio. As olio_dev_open(). */
OLI_MUST_CHECK int oli_dev_open(struct oli_machine *m, const char *name, struct olio_dev **out);

extern const struct oli_part oli_dma_part;
#define OLI_PART_DMA 2

/*
 * How a run gets to a device: decided by its kind, the device and the attributes, in one
 * place, before anything is changed.
 */
enum oli_how {
	OLI_HOW_REFUSED,
	OLI_HOW_DIRECT,	    /* map or offset the memory itself */
	OLI_HOW_BOUNCE,	    /* all of it */
	OLI_HOW_BOUNCE_ENDS, /* the partial granules; the middle directly */
	OLI_HOW_P2P_BUS,    /* the bus address; nothing to unmap */
	OLI_HOW_P2P_HOST    /* as MMIO through the IOMMU, or by offset without */
};
/* By the table of decide.c, whatever @run, @dir and @attrs are. As oli_decide(). */
OLI_MUST_CHECK int oli_decide_any(struct olio_dev *dev, const struct olio_run *run,
				  enum olio_dir dir, u32 attrs, enum oli_how *how);
/* What of the table does not depend on the run: @dev->direct and its neighbours. */
void oli_decide_init(struct olio_dev *dev);

#define OLI_ATTRS                                                                                  \
	(OLIO_ATTR_REQUIRE_COHERENT | OLIO_ATTR_MMIO | OLIO_ATTR_CC_SHARED |                       \
	 OLIO_ATTR_SKIP_CPU_SYNC | OLIO_ATTR_PRIVILEGED)

/* The refusal of one of the two. */
OLI_MUST_CHECK int oli_bad_dir_attrs(enum olio_dir dir, u32 attrs);

/* What comes with each call. Return: 0; refusals bad-direction, bad-attribute. */
OLI_MUST_CHECK static inline int oli_dir_attrs_check(enum olio_dir dir, u32 attrs)
{
	bool bad = (u32)dir - 1 > OLIO_BIDIRECTIONAL - 1 || attrs & ~OLI_ATTRS;

	return __builtin_expect(bad, 0) ? oli_bad_dir_attrs(dir, attrs) : 0;
}

/* Those that claim nothing about the memory. */
#define OLI_ATTRS_PLAIN (OLIO_ATTR_SKIP_CPU_SYNC | OLIO_ATTR_PRIVILEGED)

/*
 * Nearly all runs: ours, of the kind that they say, which the device reaches directly,
 * of whole granules where that matters. True only where oli_decide_any() says
 * OLI_HOW_DIRECT.
 */
static inline bool oli_goes_direct(const struct olio_dev *dev, const struct olio_run *run,
				   enum olio_dir dir, u32 attrs)
{
	u32 read_only = dir & OLIO_FROM_DEVICE ? OLI_FRAME_READ_ONLY : 0;
	u32 private = run->kind == OLIO_MEM_PRIVATE ? OLI_FRAME_PRIVATE : 0;

	return run->kind <= OLIO_MEM_MMIO && dev->direct >> run->kind & 1 &&
	       (u32)dir - 1 < OLIO_BIDIRECTIONAL && !(attrs & ~OLI_ATTRS_PLAIN) &&
	       !((run->pa.v | run->len) & dev->whole_mask) &&
	       oli_frames_are(&dev->ram, run->pa, run->len, dev->frame_care | read_only,
			      OLI_FRAME_USED | private);
}

/* *@how is never REFUSED with 0. Checks @run, @dir and @attrs, too. Return: 0, or the refusal. */
OLI_MUST_CHECK static inline int oli_decide(struct olio_dev *dev, const struct olio_run *run,
					    enum olio_dir dir, u32 attrs, enum oli_how *how)
{
	*how = OLI_HOW_DIRECT;
	return __builtin_expect(oli_goes_direct(dev, run, dir, attrs), 1)
		       ? 0
		       : oli_decide_any(dev, run, dir, attrs, how);
}

_Static_assert((u32)OLIO_TO_DEVICE == OLI_PT_READ && (u32)OLIO_FROM_DEVICE == OLI_PT_WRITE,
	       "a direction is what the device may do");

/* OLI_PT_* of a mapping (S2). */
static inline u32 oli_prot(const struct olio_dev *dev, enum olio_dir dir, u32 attrs, bool mmio)
{
	u32 prot = (u32)dir | (mmio ? OLI_PT_MMIO : dev->prot);

	/* The other formats have no such bit, and what is not asked for there holds anyway. */
	if (attrs & OLIO_ATTR_PRIVILEGED && dev->desc->format == OLI_PT_X86_64)
		prot |= OLI_PT_PRIV;
	return prot;
}

/* ---- p2p.c (S8) ---- */

/* On nodes of one machine; see olio_p2p_type(). */
void oli_p2p_calc(struct oli_machine *m, u8 provider, u8 client, struct olio_p2p *out);

/* ---- bounce.c and others of that name (S3) ---- */

/*
 * Bounce slots of 2 KiB in low memory, in segments of 128, so that no bounce is
 * longer than 256 KiB. A process takes segments as it needs them, up to the
 * machine's number of slots; a thread prefers its own area.
 */

/*
 * A copy of [@orig, @orig + @len) in slots below the device's mask. It keeps the address
 * bits below the granule, owns all granules it touches, zeroes what lies before and behind it in them,
 * and has the original's bytes whatever the direction (unless SKIP_CPU_SYNC).
 * Return: 0; refusals bounce-full, bounce-too-long, mask; -EFAULT the original cannot be read.
 */
OLI_MUST_CHECK int oli_bounce_map(struct olio_dev *dev, struct olio_pa orig, u64 len,
				  enum olio_dir dir, u32 attrs, struct olio_pa *out);
/*
 * Copies back for FROM_DEVICE and BIDIRECTIONAL, unless SKIP_CPU_SYNC, and frees the
 * slots. The device must have forgotten them. @bounce, @len: as mapped; other ones are
 * nothing of @dev's, and nothing happens.
 */
void oli_bounce_unmap(struct olio_dev *dev, struct olio_pa bounce, u64 len, enum olio_dir dir,
		      u32 attrs);
/* Is @pa a byte of a copy of this process, not of its padding? Its start, length and original. */
bool oli_bounce_find(struct oli_machine *m, struct olio_pa pa, struct olio_pa *start, u64 *len,
		     struct olio_pa *orig);
/* Copy a part between original and bounce. A range that is not inside one is nothing. */
void oli_bounce_sync(struct olio_dev *dev, struct olio_pa bounce, u64 len, bool for_cpu);
/* A copy of that many bytes fits wherever in a granule it begins. */
u64 oli_bounce_max(const struct olio_dev *dev);

struct oli_bounce_stats {
	u64 slots, used, high, failed; /* of the machine; failed: maps that found no room */
};
void oli_bounce_stats(struct oli_machine *m, struct oli_bounce_stats *out);

/* ---- coherent.c, coherent_alloc.c ---- */

enum olio_reason oli_not_coherent(const struct olio_dev *dev);
/* Write back or invalidate, if the device needs it. */
void oli_own_device(struct olio_dev *dev, struct olio_pa pa, u64 len, enum olio_dir dir);
void oli_own_cpu(struct olio_dev *dev, struct olio_pa pa, u64 len, enum olio_dir dir);
/*
 * Is @pa memory of olio_dma_alloc() of this process, or a frame of a page where the program
 * has it? For the checker (class 32).
 */
bool oli_is_dma_alloc(struct oli_machine *m, struct olio_pa pa);
/*
 * Has the CPU written to write-combining memory of @dev since the last olio_dma_wmb()? *@cpu:
 * the pointer of such an allocation. For the checker (class 33).
 */
bool oli_wc_dirty(struct olio_dev *dev, const void **cpu);

#endif
