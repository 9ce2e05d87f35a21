// SPDX-License-Identifier: MIT
/*
 * Which of the machine's devices this process is shown.
 *
 * OLIO_DEVICE names them, with commas between, or says "all"; without it a program
 * sees rxe0 only, so that one which takes the first device, or all there are, does
 * what it did before the machine had more. What is hidden is nowhere: not in sysfs,
 * not in netlink, and its node cannot be opened. A name that the machine does not
 * have shows nothing; the tool refuses it before the program starts.
 *
 * The environment is read once, for a program may change it. A forked child may
 * join another machine, and looks again.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "uapi/uapi.h"

#define DEFAULT_NAME "rxe0"
#define KNOWN	     (1ull << 32)

static _Atomic u64 cache; /* KNOWN | the mask */

static u32 named(struct oli_machine *m, const char *name, size_t len)
{
	for (u32 i = 0; i < m->shm->nr_devices; i++)
		if (strlen(m->shm->devices[i].name) == len &&
		    !memcmp(m->shm->devices[i].name, name, len))
			return 1u << i;
	return 0;
}

static u32 parse(struct oli_machine *m, const char *list)
{
	u32 mask = 0;

	if (!list || !*list)
		list = DEFAULT_NAME;
	if (!strcmp(list, "all"))
		return (1u << m->shm->nr_devices) - 1;
	while (*list) {
		size_t len = strcspn(list, ",");

		mask |= named(m, list, len);
		list += len;
		list += *list == ',';
	}
	return mask;
}

u32 oli_visible(struct oli_machine *m)
{
	u64 known = atomic_load_explicit(&cache, memory_order_relaxed);

	if (!known) {
		known = KNOWN | parse(m, getenv("OLIO_DEVICE"));
		atomic_store_explicit(&cache, known, memory_order_relaxed);
	}
	return (u32)known;
}

void oli_visible_forget(void)
{
	atomic_store(&cache, 0);
}

bool oli_device_visible(struct oli_machine *m, u32 dev)
{
	return dev < m->shm->nr_devices && oli_visible(m) >> dev & 1;
}

void oli_sys_name(struct oli_machine *m, char name[OLI_SYS_NAME])
{
	u32 mask = oli_visible(m);

	if (mask == 1)
		strcpy(name, "sys");
	else
		snprintf(name, OLI_SYS_NAME, "sys.%x", mask);
}
