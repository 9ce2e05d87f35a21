// SPDX-License-Identifier: MIT
/*
 * Device handles: one for each device that this process drives, counted.
 *
 * All that the mapping calls ask of a device is worked out here, once, when it is
 * opened: how it reaches memory, its mask and granule, whether ownership has an
 * effect. A handle is closed when its last user leaves, and its memory stays in the
 * list until the process leaves the machine: a state or map that outlives it finds
 * a handle without users, or one that was opened again and counts more opens, and
 * never freed memory.
 *
 * Setters change what later maps obey. Nothing else is touched: what is mapped
 * stays as it is, and is for the checker to judge (class 17).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/fault.h"
#include "dma/check.h"
#include "dma/list.h"
#include "dma/root.h"

#define LEAST_SEGMENT 4096

int oli_dev_closed(const struct olio_dev *dev)
{
	return oli_refuse(OLIO_REASON_BAD_STATE, "device %s is closed", dev->node->name);
}

static u64 mask_of(unsigned int bits)
{
	return bits >= 64 ? UINT64_MAX : (1ull << bits) - 1;
}

/* The address space, if it has one: then what is mapped is rounded to granules. */
static int reach_init(struct olio_dev *dev)
{
	const struct oli_hw *hw;
	int err;

	dev->domain = NULL;
	dev->granule_mask = 0;
	if (dev->node->software) {
		dev->reach = OLI_REACH_PHYSICAL;
		return 0;
	}
	dev->reach = OLI_REACH_DIRECT;
	if (dev->desc->iommu == OLI_IOMMU_NONE)
		return 0;
	err = oli_domain_get(dev->m, dev->id.node, &dev->domain);
	if (err == -ENOMEM || err == -ENOSPC)
		return oli_refuse(OLIO_REASON_NO_MEMORY, "an address space for device %s",
				  dev->node->name);
	if (err)
		return err;
	hw = oli_domain_hw(dev->domain);
	dev->reach = OLI_REACH_TRANSLATED;
	dev->granule_mask = (1ull << hw->granule_shift) - 1;
	dev->id.space = hw->id;
	dev->id.space_gen = hw->gen;
	return 0;
}

static int dev_init(struct olio_dev *dev)
{
	const struct oli_node *node = dev->node;
	int err;

	dev->id.space = dev->id.space_gen = 0;
	dev->check = NULL;
	dev->maps = NULL;
	atomic_store(&dev->bounced, 0);
	dev->mask = mask_of(node->dma_bits);
	dev->max_segment = node->max_segment ? node->max_segment : UINT64_MAX;
	dev->boundary = node->boundary;
	dev->syncs = !node->coherent && !node->software;
	dev->cipher = dev->desc->encrypted && !node->tee && !node->software;
	dev->granule = node->granule;
	/* What it may not be shown is not exposed to it by the granule either. */
	if (!node->trusted && dev->granule == OLIO_GRANULE_EXPOSE)
		dev->granule = OLIO_GRANULE_BOUNCE;
	err = reach_init(dev);
	if (err)
		return err;
	oli_decide_init(dev);
	err = oli_check_new(dev);
	if (!err)
		return 0;
	if (dev->domain)
		oli_domain_put(dev->domain);
	return oli_refuse(OLIO_REASON_NO_MEMORY, "the checker of device %s", node->name);
}

static int dev_new(struct oli_machine *m, u8 node, struct olio_dev **out)
{
	struct olio_dev *dev = OLI_FAULT() ? NULL : calloc(1, sizeof(*dev));

	if (!dev)
		return oli_refuse(OLIO_REASON_NO_MEMORY, "a handle of device %s",
				  m->shm->desc.node[node].name);
	dev->m = m;
	dev->desc = &m->shm->desc;
	dev->node = &m->shm->desc.node[node];
	dev->id.node = node;
	oli_ram_init(m, &dev->ram);
	pthread_mutex_init(&dev->lock, NULL);
	*out = dev;
	return 0;
}

/* Under the list's lock. */
static int open_node(struct oli_machine *m, struct oli_dma_local *local, u8 node,
		     struct olio_dev **out)
{
	struct olio_dev *dev;
	int err;

	for (dev = local->devs; dev && dev->id.node != node;)
		dev = dev->next;
	if (!dev) {
		err = dev_new(m, node, &dev);
		if (err)
			return err;
		dev->next = local->devs;
		local->devs = dev;
	}
	if (!dev->users) {
		err = dev_init(dev);
		if (err)
			return err;
		dev->opens++;
	}
	dev->users++;
	*out = dev;
	return 0;
}

int oli_dev_open(struct oli_machine *m, const char *name, struct olio_dev **out)
{
	struct oli_dma_local *local = oli_dma_local(m);
	const struct oli_node *node;
	u8 id = oli_node_find(&m->shm->desc, name);
	int err;

	if (id == OLI_NODE_NONE)
		return oli_refuse(OLIO_REASON_NO_DEVICE, "\"%s\"", name);
	node = &m->shm->desc.node[id];
	if (node->kind != OLI_NODE_ENDPOINT_KIND && node->kind != OLI_NODE_PLATFORM_KIND)
		return oli_refuse(OLIO_REASON_NO_DEVICE, "\"%s\" is a %s", name,
				  oli_node_kind_name(node->kind));
	if (!local || oli_slot(m, m->slot)->flags & OLI_SLOT_F_OBSERVER)
		return oli_refuse(OLIO_REASON_BAD_STATE,
				  "this process only looks on: it cannot drive device %s", name);
	pthread_mutex_lock(&local->lock);
	err = open_node(m, local, id, out);
	pthread_mutex_unlock(&local->lock);
	return err;
}

void olio_dev_close(struct olio_dev *dev)
{
	struct oli_dma_local *local;

	if (!dev)
		return;
	local = oli_dma_local(dev->m);
	pthread_mutex_lock(&local->lock);
	if (dev->users == 1) {
		OLI_CHECK(dev, oli_check_free(dev, __builtin_return_address(0)));
		dev->check = NULL;
		oli_maps_drop(dev);
		oli_allocs_drop(dev);
		/* The address space ends first: nothing may reach a slot that is free. */
		if (dev->domain)
			oli_domain_put(dev->domain);
		dev->domain = NULL;
		oli_bounce_drop(dev);
	}
	if (dev->users)
		dev->users--;
	pthread_mutex_unlock(&local->lock);
}

const char *olio_dev_name(const struct olio_dev *dev)
{
	return dev->node->name;
}

uint32_t olio_dev_node(const struct olio_dev *dev)
{
	return dev->id.node;
}

int olio_dev_set_mask(struct olio_dev *dev, unsigned int bits)
{
	if (!oli_dev_live(dev))
		return oli_dev_closed(dev);
	if (bits < 12 || bits > dev->node->dma_bits)
		return oli_refuse(OLIO_REASON_BAD_ARGUMENT,
				  "a mask of %u bits for device %s, which has %u", bits,
				  dev->node->name, dev->node->dma_bits);
	dev->mask = mask_of(bits);
	OLI_CHECK(dev, oli_check_mask(dev, __builtin_return_address(0)));
	return 0;
}

int olio_dev_set_segments(struct olio_dev *dev, uint64_t max_len, uint64_t boundary)
{
	if (!oli_dev_live(dev))
		return oli_dev_closed(dev);
	if ((max_len && max_len < LEAST_SEGMENT) ||
	    (boundary && (boundary < LEAST_SEGMENT || boundary & (boundary - 1))))
		return oli_refuse(OLIO_REASON_BAD_ARGUMENT,
				  "segments of 0x%" PRIx64 " bytes, boundary 0x%" PRIx64
				  ": at least %d, and the boundary a power of two",
				  max_len, boundary, LEAST_SEGMENT);
	dev->max_segment = max_len ? max_len : UINT64_MAX;
	dev->boundary = boundary;
	return 0;
}

int olio_dev_set_granule(struct olio_dev *dev, enum olio_granule policy)
{
	if (!oli_dev_live(dev))
		return oli_dev_closed(dev);
	if ((unsigned int)policy > OLIO_GRANULE_REFUSE)
		return oli_refuse(OLIO_REASON_BAD_ARGUMENT, "no granule policy %u",
				  (unsigned int)policy);
	if (policy == OLIO_GRANULE_EXPOSE && !dev->node->trusted)
		return oli_refuse(OLIO_REASON_BAD_ARGUMENT,
				  "device %s is not trusted: nothing is exposed to it",
				  dev->node->name);
	dev->granule = (u8)policy;
	oli_decide_init(dev);
	return 0;
}

uint64_t olio_dma_granule(struct olio_dev *dev)
{
	return dev->granule_mask + 1;
}
