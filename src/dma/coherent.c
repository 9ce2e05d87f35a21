// SPDX-License-Identifier: MIT
/*
 * Who sees whose writes: whether a device needs help with that, and the help.
 *
 * The promise (D1): a device is called coherent if, however it maps memory as
 * olio_mem_pin() gives it, nothing is ever copied and no sync call ever does
 * anything. The answer is worked out from the same few facts that oli_decide() uses,
 * for all runs that there could be at once; it changes only when a driver sets a mask
 * or a granule policy.
 *
 *   device     memory   shadow         what the device sees of a frame is its shadow
 *     |          |         |
 *   before it reads or writes:  clean        memory -> shadow, whatever the direction:
 *                                            else old lines overtake what it writes
 *   after it wrote:             invalidate   shadow -> memory
 *
 * Memory of olio_dma_alloc() (coherent_alloc.c), and so bounce slots, have no shadow.
 *
 * Nothing can overflow: the end of RAM and the offset are the description's.
 */
#include "dma/dev.h"

/* Is there RAM that the device cannot address without an IOMMU? */
static bool ram_beyond_mask(const struct olio_dev *dev)
{
	u64 last = OLI_PA_RAM + (dev->desc->ram_size - 1) + dev->desc->dma_offset;

	return dev->reach == OLI_REACH_DIRECT && last > dev->mask;
}

/* Why whole maps of RAM are bounced, if they are. */
static enum olio_reason whole_bounce(const struct olio_dev *dev)
{
	if (dev->reach == OLI_REACH_PHYSICAL)
		return OLIO_REASON_NONE;
	if (dev->cipher)
		return OLIO_REASON_ENCRYPTED;
	if (dev->node->force_bounce)
		return OLIO_REASON_FORCED_BOUNCE;
	return ram_beyond_mask(dev) ? OLIO_REASON_MASK : OLIO_REASON_NONE;
}

enum olio_reason oli_not_coherent(const struct olio_dev *dev)
{
	enum olio_reason reason;

	if (dev->syncs)
		return OLIO_REASON_NON_COHERENT;
	reason = whole_bounce(dev);
	if (reason != OLIO_REASON_NONE)
		return reason;
	/* A run may begin anywhere. */
	if (dev->granule_mask && dev->granule == OLIO_GRANULE_BOUNCE)
		return OLIO_REASON_UNALIGNED_BOUNCE;
	return OLIO_REASON_NONE;
}

bool olio_dev_is_coherent(struct olio_dev *dev, enum olio_reason *reason)
{
	enum olio_reason why = OLIO_REASON_BAD_STATE;

	if (oli_dev_live(dev))
		why = oli_not_coherent(dev);
	if (reason)
		*reason = why;
	return why == OLIO_REASON_NONE;
}

bool olio_dma_need_sync(struct olio_dev *dev)
{
	return oli_dev_live(dev) && oli_not_coherent(dev) != OLIO_REASON_NONE;
}

uint64_t olio_dma_max_mapping_size(struct olio_dev *dev)
{
	if (!oli_dev_live(dev))
		return 0;
	return whole_bounce(dev) != OLIO_REASON_NONE ? oli_bounce_max(dev) : UINT64_MAX;
}

void oli_own_device(struct olio_dev *dev, struct olio_pa pa, u64 len, enum olio_dir dir)
{
	(void)dir;
	if (dev->syncs)
		oli_cache_clean(dev->m, pa, len);
}

void oli_own_cpu(struct olio_dev *dev, struct olio_pa pa, u64 len, enum olio_dir dir)
{
	if (dev->syncs && dir & OLIO_FROM_DEVICE)
		oli_cache_invalidate(dev->m, pa, len);
}
