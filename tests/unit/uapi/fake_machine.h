/* SPDX-License-Identifier: MIT */
/*
 * A machine of two devices without a file behind it, for what only reads the
 * device list. Include once in a test program, after cmocka.h.
 */
#ifndef OLI_TESTS_FAKE_MACHINE_H
#define OLI_TESTS_FAKE_MACHINE_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rdma/rdma.h"
#include "uapi/uapi.h"

static struct oli_shm fake_shm;
static struct oli_machine fake = {.shm = &fake_shm, .dirfd = -1, .fd = -1};
static bool fake_absent;

struct oli_machine *oli_process_machine(void)
{
	return fake_absent ? NULL : &fake;
}

void oli_device_query(struct oli_machine *m, u32 dev, struct ib_uverbs_ex_query_device_resp *out)
{
	(void)m;
	(void)dev;
	memset(out, 0, sizeof(*out));
	out->base.device_cap_flags = 0x1234;
}

int oli_port_query(struct oli_machine *m, u32 dev, u8 port, struct ib_uverbs_query_port_resp *out)
{
	if (dev >= m->shm->nr_devices || port != 1)
		return -EINVAL;
	memset(out, 0, sizeof(*out));
	out->state = 4;
	out->phys_state = 5;
	out->active_speed = 1;
	out->active_width = 1;
	out->port_cap_flags = 0x10000;
	out->link_layer = 2;
	return 0;
}

static void fake_gid(struct oli_gid_entry *g, u8 last, int dev)
{
	*g = (struct oli_gid_entry){.valid = 1, .ifindex = 7};
	g->gid[0] = 0xfe;
	g->gid[1] = 0x80;
	g->gid[15] = last;
	snprintf(g->netdev, sizeof(g->netdev), "eth%d", dev);
}

/* Show the program these devices: as OLIO_DEVICE, NULL for unset. */
static void fake_show(const char *names)
{
	if (names)
		setenv("OLIO_DEVICE", names, 1);
	else
		unsetenv("OLIO_DEVICE");
	oli_visible_forget();
}

static void fake_init(void)
{
	static const u8 guid[8] = {2, 0x11, 0x22, 0xff, 0xfe, 0x33, 0x44, 0x55};

	memset(&fake_shm, 0, sizeof(fake_shm));
	fake_shm.nr_devices = 2;
	for (int i = 0; i < 2; i++) {
		struct oli_device *d = &fake_shm.devices[i];

		snprintf(d->name, sizeof(d->name), "rxe%d", i);
		snprintf(d->netdev, sizeof(d->netdev), "eth%d", i);
		memcpy(d->node_guid, guid, sizeof(guid));
		fake_gid(&d->gids[0], (u8)(0x10 + i), i);
		fake_gid(&d->gids[1], (u8)(0x20 + i), i);
	}
	fake_absent = false;
	fake_show("all");
}

#endif
