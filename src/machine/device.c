// SPDX-License-Identifier: MIT
/*
 * The RDMA devices of a machine: which ones there are.
 *
 * rxe0, a software device, is on every machine. The description can mark nodes of
 * its tree as RDMA devices; each is shown under the node's name. A device's index
 * is its number everywhere: in contexts, as uverbs<index>, in counters.
 *
 * Devices of one machine are ports on one network, so queue pairs of different
 * devices can be connected; what a program made on one device is of no use on another.
 */
#include <stdio.h>
#include <string.h>

#include "machine/machine.h"

static void add(struct oli_shm *shm, const char *name, u8 kind, u8 node)
{
	u32 index = shm->nr_devices;
	struct oli_device *dev = &shm->devices[index];

	if (index >= OLI_DEVICES)
		return;
	snprintf(dev->name, sizeof(dev->name), "%s", name);
	dev->kind = kind;
	dev->node = node;
	oli_netdev_fill(dev, index);
	shm->nr_devices = index + 1;
}

void oli_devices_fill(struct oli_machine *m)
{
	const struct oli_desc *d = &m->shm->desc;

	m->shm->nr_devices = 0;
	add(m->shm, "rxe0", OLI_DEVICE_RXE, OLI_NODE_NONE);
	for (u8 i = 0; i < d->nr_nodes && i < OLI_NODES; i++)
		if (d->node[i].rdma)
			add(m->shm, d->node[i].name, OLI_DEVICE_HCA, i);
}

const char *oli_device_kind_name(u8 kind)
{
	static const char *const name[] = {"rxe", "hca"};

	return kind < OLI_ARRAY_SIZE(name) ? name[kind] : "?";
}
