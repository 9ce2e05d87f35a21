// SPDX-License-Identifier: MIT
/*
 * How a run gets to a device, or why it does not: the one place where the kind of
 * memory, the device and the attributes meet (S2, S3, S6, S7, S8).
 *
 * What does not depend on the run is asked once, when a device is opened, and nearly
 * all runs are then found to go directly by oli_goes_direct() (dev.h), which comes here
 * with all others. tests/unit/dma/decide holds the two side by side.
 *
 * Nothing is believed: each frame of a run is looked at, and must be in use, ours,
 * and of the kind that the run says. Nothing is changed: a refusal needs no undoing.
 *
 *   memory    device                      how                   REQUIRE_COHERENT
 *   any RAM   software                    direct                direct
 *             not coherent                direct, with syncs    non-coherent
 *   private   sees ciphertext             bounce                encrypted
 *   any RAM   machine bounces all         bounce (but shared)   forced-bounce
 *   any RAM   no IOMMU, beyond the mask   bounce                mask
 *             partial granule: expose     direct                direct
 *             partial granule: bounce     bounce its ends       unaligned-bounce
 *             partial granule: refuse     granule               granule
 *   BAR       as the tree says            p2p bus, p2p host     the same: never cached
 *
 * Lengths are checked against wrapping first; no other sum is made before that.
 */
#include <errno.h>
#include <inttypes.h>

#include "dma/dev.h"

#define RUN_FMT "%s run 0x%" PRIx64 "+0x%" PRIx64
#define RUN_ARG(run) olio_mem_kind_name((run)->kind), (run)->pa.v, (run)->len

int oli_bad_dir_attrs(enum olio_dir dir, u32 attrs)
{
	if ((u32)dir - 1 > OLIO_BIDIRECTIONAL - 1)
		return oli_refuse(OLIO_REASON_BAD_DIRECTION, "%u", (u32)dir);
	return oli_refuse(OLIO_REASON_BAD_ATTRIBUTE, "0x%x", attrs & ~OLI_ATTRS);
}

/* What the flags of its frames make a page: private exists on encrypting machines alone. */
static enum olio_mem_kind frame_kind(const struct olio_dev *dev, u32 flags)
{
	if (!dev->desc->encrypted)
		return OLIO_MEM_RAM;
	return flags & OLI_FRAME_PRIVATE ? OLIO_MEM_PRIVATE : OLIO_MEM_SHARED;
}

/* Which frame is it, and what is wrong with it? */
static int bad_frames(struct olio_dev *dev, const struct olio_run *run)
{
	struct oli_phys phys;
	u64 at = run->pa.v, last = at + (run->len - 1);

	for (; at <= last; at += phys.run) {
		if (!oli_phys_find(dev->m, (struct olio_pa){at}, &phys) ||
		    phys.kind != OLI_PHYS_FRAME)
			break;
		if (phys.slot != dev->m->slot)
			return oli_refuse(OLIO_REASON_BAD_RUN,
					  RUN_FMT ": the frame at 0x%" PRIx64
						  " is another process's",
					  RUN_ARG(run), at);
		if (frame_kind(dev, phys.flags) != run->kind)
			return oli_refuse(OLIO_REASON_BAD_RUN,
					  RUN_FMT ": the frame at 0x%" PRIx64 " is %s", RUN_ARG(run),
					  at, olio_mem_kind_name(frame_kind(dev, phys.flags)));
	}
	return oli_refuse(OLIO_REASON_BAD_RUN, RUN_FMT ": nothing is pinned at 0x%" PRIx64,
			  RUN_ARG(run), at);
}

/* On this machine there is memory of that kind, and it is not MMIO. */
static bool is_ram(const struct olio_dev *dev, u32 kind)
{
	return dev->desc->encrypted ? kind == OLIO_MEM_PRIVATE || kind == OLIO_MEM_SHARED
				    : kind == OLIO_MEM_RAM;
}

static int frames_check(struct olio_dev *dev, const struct olio_run *run)
{
	u32 want = OLI_FRAME_USED | (run->kind == OLIO_MEM_PRIVATE ? OLI_FRAME_PRIVATE : 0);

	if (is_ram(dev, run->kind) &&
	    oli_frames_are(&dev->ram, run->pa, run->len, dev->frame_care, want))
		return 0;
	return bad_frames(dev, run);
}

static __attribute__((noinline)) int bar_check(struct olio_dev *dev, const struct olio_run *run)
{
	struct oli_phys phys;

	if (!oli_phys_find(dev->m, run->pa, &phys) || phys.kind != OLI_PHYS_BAR)
		return oli_refuse(OLIO_REASON_BAD_RUN, RUN_FMT ": no BAR is there", RUN_ARG(run));
	if (phys.node != run->provider)
		return oli_refuse(OLIO_REASON_BAD_RUN, RUN_FMT ": it is in a BAR of %s",
				  RUN_ARG(run), dev->desc->node[phys.node].name);
	if (run->len > phys.run)
		return oli_refuse(OLIO_REASON_BAD_RUN, RUN_FMT ": BAR %u of %s ends before it",
				  RUN_ARG(run), phys.bar, dev->desc->node[phys.node].name);
	if (!dev->desc->node[phys.node].bar[phys.bar].provider && phys.node != dev->id.node)
		return oli_refuse(OLIO_REASON_P2P_NO_PROVIDER, "BAR %u of %s", phys.bar,
				  dev->desc->node[phys.node].name);
	return 0;
}

static int no_run(const struct olio_run *run)
{
	if (run->kind > OLIO_MEM_MMIO || !run->len)
		return oli_refuse(OLIO_REASON_BAD_RUN, "kind %u, 0x%" PRIx64 " bytes", run->kind,
				  run->len);
	return oli_refuse(OLIO_REASON_OVERFLOW, RUN_FMT, RUN_ARG(run));
}

static int run_check(struct olio_dev *dev, const struct olio_run *run)
{
	if (run->kind > OLIO_MEM_MMIO || !run->len || run->pa.v + (run->len - 1) < run->pa.v)
		return no_run(run);
	return run->kind == OLIO_MEM_MMIO ? bar_check(dev, run) : frames_check(dev, run);
}

/* A claim about the memory that is not true, or a direction that it does not allow. */
static int claims_check(struct olio_dev *dev, const struct olio_run *run, enum olio_dir dir,
			u32 attrs)
{
	if ((attrs & OLIO_ATTR_MMIO && run->kind != OLIO_MEM_MMIO) ||
	    (attrs & OLIO_ATTR_CC_SHARED && run->kind != OLIO_MEM_SHARED))
		return oli_refuse(OLIO_REASON_BAD_ATTRIBUTE, "0x%x for a " RUN_FMT, attrs,
				  RUN_ARG(run));
	if (run->kind != OLIO_MEM_MMIO && dir & OLIO_FROM_DEVICE &&
	    !oli_frames_are(&dev->ram, run->pa, run->len, OLI_FRAME_USED | OLI_FRAME_READ_ONLY,
			    OLI_FRAME_USED))
		return oli_refuse(OLIO_REASON_READ_ONLY, RUN_FMT, RUN_ARG(run));
	return 0;
}

static bool partial(const struct olio_dev *dev, const struct olio_run *run)
{
	return (run->pa.v | run->len) & dev->granule_mask;
}

static int past_mask(const struct olio_dev *dev, const struct olio_run *run, u64 dma)
{
	return oli_refuse(OLIO_REASON_MASK,
			  RUN_FMT " is at DMA address 0x%" PRIx64 ", the mask of %s is 0x%" PRIx64,
			  RUN_ARG(run), dma, dev->node->name, dev->mask);
}

/* Does [@dma, @dma + @len) not fit below the mask? Not for a wrap of @dma itself: RAM and BARs
 * end far below the top. */
static bool beyond(const struct olio_dev *dev, u64 dma, u64 len)
{
	return dma > dev->mask || len - 1 > dev->mask - dma;
}

static __attribute__((noinline)) int decide_mmio(struct olio_dev *dev, const struct olio_run *run,
						  enum oli_how *how)
{
	const struct oli_node *provider = &dev->desc->node[run->provider];
	struct olio_p2p p2p;
	u64 dma;

	if (dev->reach == OLI_REACH_PHYSICAL)
		return oli_refuse(OLIO_REASON_P2P_NOT_PCI,
				  "%s reaches memory by the CPU, and no BAR of %s",
				  dev->node->name, provider->name);
	if (dev->node->force_bounce)
		return oli_refuse(OLIO_REASON_MMIO_BOUNCE, "a BAR of %s for %s", provider->name,
				  dev->node->name);
	oli_p2p_calc(dev->m, (u8)run->provider, dev->id.node, &p2p);
	if (p2p.type == OLIO_P2P_NOT_SUPPORTED)
		return oli_refuse(p2p.reason, "a BAR of %s for %s", provider->name,
				  dev->node->name);
	if (p2p.type == OLIO_P2P_BUS_ADDR) {
		dma = run->pa.v - dev->desc->bus_offset;
		*how = OLI_HOW_P2P_BUS;
		return beyond(dev, dma, run->len) ? past_mask(dev, run, dma) : 0;
	}
	*how = OLI_HOW_P2P_HOST;
	if (dev->reach == OLI_REACH_DIRECT) {
		dma = run->pa.v + dev->desc->dma_offset;
		return beyond(dev, dma, run->len) ? past_mask(dev, run, dma) : 0;
	}
	if (!partial(dev, run) || dev->granule == OLIO_GRANULE_EXPOSE)
		return 0;
	return oli_refuse(dev->granule == OLIO_GRANULE_REFUSE ? OLIO_REASON_GRANULE
							     : OLIO_REASON_MMIO_BOUNCE,
			  RUN_FMT " of %s, granule 0x%" PRIx64, RUN_ARG(run), provider->name,
			  dev->granule_mask + 1);
}

/* Would all of it have to be bounced, and for what reason? */
static enum olio_reason whole_bounce(const struct olio_dev *dev, const struct olio_run *run)
{
	if (dev->cipher && run->kind == OLIO_MEM_PRIVATE)
		return OLIO_REASON_ENCRYPTED;
	/* What is open to devices needs no copy that is open to devices. */
	if (dev->node->force_bounce && run->kind != OLIO_MEM_SHARED)
		return OLIO_REASON_FORCED_BOUNCE;
	if (dev->reach == OLI_REACH_DIRECT &&
	    beyond(dev, run->pa.v + dev->desc->dma_offset, run->len))
		return OLIO_REASON_MASK;
	return OLIO_REASON_NONE;
}

static int decide_ram(struct olio_dev *dev, const struct olio_run *run, u32 attrs,
		      enum oli_how *how)
{
	bool coherent = attrs & OLIO_ATTR_REQUIRE_COHERENT;
	enum olio_reason reason;

	if (coherent && dev->syncs)
		return oli_refuse(OLIO_REASON_NON_COHERENT, "device %s", dev->node->name);
	reason = whole_bounce(dev, run);
	if (reason != OLIO_REASON_NONE) {
		*how = OLI_HOW_BOUNCE;
		return coherent ? oli_refuse(reason, RUN_FMT " for %s, whose mask is 0x%" PRIx64,
					     RUN_ARG(run), dev->node->name, dev->mask)
				: 0;
	}
	*how = OLI_HOW_DIRECT;
	if (!partial(dev, run) || dev->granule == OLIO_GRANULE_EXPOSE)
		return 0;
	*how = OLI_HOW_BOUNCE_ENDS;
	if (dev->granule == OLIO_GRANULE_BOUNCE && !coherent)
		return 0;
	return oli_refuse(dev->granule == OLIO_GRANULE_REFUSE ? OLIO_REASON_GRANULE
							     : OLIO_REASON_UNALIGNED_BOUNCE,
			  RUN_FMT " for %s, granule 0x%" PRIx64, RUN_ARG(run), dev->node->name,
			  dev->granule_mask + 1);
}

int oli_decide_any(struct olio_dev *dev, const struct olio_run *run, enum olio_dir dir, u32 attrs,
		   enum oli_how *how)
{
	int err;

	*how = OLI_HOW_REFUSED;
	err = oli_dir_attrs_check(dir, attrs);
	if (!err)
		err = run_check(dev, run);
	if (!err)
		err = claims_check(dev, run, dir, attrs);
	if (err)
		return err;
	if (run->kind == OLIO_MEM_MMIO)
		return decide_mmio(dev, run, how);
	if (dev->reach != OLI_REACH_PHYSICAL)
		return decide_ram(dev, run, attrs, how);
	*how = OLI_HOW_DIRECT;
	return beyond(dev, run->pa.v, run->len) ? past_mask(dev, run, run->pa.v) : 0;
}

void oli_decide_init(struct olio_dev *dev)
{
	struct olio_run run = {.len = 1};

	dev->frame_care = OLI_FRAME_USED | (dev->desc->encrypted ? OLI_FRAME_PRIVATE : 0);
	dev->whole_mask = dev->granule == OLIO_GRANULE_EXPOSE ? 0 : dev->granule_mask;
	dev->prot = dev->syncs ? 0 : OLI_PT_COHERENT;
	dev->direct = 0;
	/* Without an address space it depends on the address. */
	for (; dev->reach == OLI_REACH_TRANSLATED && run.kind < OLIO_MEM_MMIO; run.kind++)
		if (is_ram(dev, run.kind) && whole_bounce(dev, &run) == OLIO_REASON_NONE)
			dev->direct |= (u8)(1 << run.kind);
}
