// SPDX-License-Identifier: MIT
/*
 * No Snoop: an attribute of a device's requests (PCIe 2.2.6.5) that says that the CPU's
 * caches need not be looked at.
 *
 *   coherent, behind an IOMMU   the domain enforces snooping: the attribute does nothing,
 *                               and who counts on it is wrong (class 34)
 *   coherent, no IOMMU          the device would see memory behind the caches, which
 *                               olio has no model of for it: refused
 *   not coherent                nothing is snooped in any case
 */
#include "dma/check_int.h"

int olio_dev_set_no_snoop(struct olio_dev *dev, bool on)
{
	if (!oli_dev_live(dev))
		return oli_dev_closed(dev);
	if (on && !dev->syncs && dev->reach != OLI_REACH_TRANSLATED)
		return oli_refuse(
			OLIO_REASON_NON_COHERENT,
			"nothing enforces snooping for device %s, so No Snoop would let it "
			"read stale memory",
			dev->node->name);
	dev->no_snoop = on;
	return 0;
}
