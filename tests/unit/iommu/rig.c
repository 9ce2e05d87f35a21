// SPDX-License-Identifier: MIT
/* See rig.h. The machine's directory goes when the process that made it ends. */
#include "rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char parent[64], dir[80];
static pid_t maker;

static int none_init(struct oli_machine *m, void *root)
{
	(void)m;
	(void)root;
	return 0;
}

static void none_reap(struct oli_machine *m, void *root, u16 slot)
{
	(void)m;
	(void)root;
	(void)slot;
}

static const struct oli_part none = {.name = "none", .init = none_init, .reap = none_reap};
static const struct oli_part *const parts[] = {&none, &none, &none, &oli_iommu_part, NULL};

static_assert(OLI_PART_IOMMU == 3, "its place in the list");

static void remove_parent(void)
{
	char command[96];

	if (getpid() != maker)
		return;
	snprintf(command, sizeof(command), "rm -rf %s", parent);
	if (system(command))
		fprintf(stderr, "cannot remove %s\n", parent);
}

void rig_name(void)
{
	if (dir[0])
		return;
	snprintf(parent, sizeof(parent), "%s/olio-test-XXXXXX",
		 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	if (!mkdtemp(parent))
		abort();
	maker = getpid();
	atexit(remove_parent);
	snprintf(dir, sizeof(dir), "%s/m", parent);
}

struct oli_desc rig_desc(enum oli_pt_format_id format, enum oli_iommu_mode mode)
{
	struct oli_desc d = {
		.type = "rig",
		.ram_size = 1ull << 30,
		.iommu = (u8)mode,
		.format = (u8)format,
		.iotlb_entries = 64,
		.lazy_ms = 10,
		.nr_nodes = 3,
	};

	snprintf(d.node[0].name, OLI_NODE_NAME, "pci0");
	d.node[0].kind = OLI_NODE_HOST_BRIDGE_KIND;
	d.node[0].parent = OLI_NODE_NONE;
	for (u32 i = 1; i < 3; i++) {
		snprintf(d.node[i].name, OLI_NODE_NAME, "dev%u", i - 1);
		d.node[i].kind = OLI_NODE_PLATFORM_KIND;
		d.node[i].parent = OLI_NODE_NONE;
		d.node[i].dma_bits = 64;
		d.node[i].coherent = d.node[i].trusted = 1;
	}
	return d;
}

struct oli_machine *rig_open(const struct oli_desc *d)
{
	struct oli_machine_opts opts = {.desc = d};
	struct oli_machine *m;
	char why[OLI_WHY_MAX];

	rig_name();
	opts.name = dir;
	if (!oli_machine_open(&opts, parts, &m, why))
		return m;
	fprintf(stderr, "no machine: %s\n", why);
	abort();
}

_Noreturn void rig_leave(int code)
{
	_exit(code);
}

int rig_wait(int pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		abort();
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int rig_access(struct oli_machine *m, const struct oli_hw *hw, u64 iova, u32 access_, u64 *pa)
{
	struct olio_pa at = {0};
	struct oli_xlate x;
	u64 len = 1;
	int err = oli_xlate_enter(m, hw->id, hw->gen, &x);

	if (err)
		return RIG_NO_SPACE;
	err = oli_xlate(&x, (struct olio_iova){iova}, access_, &at, &len);
	oli_xlate_exit(&x);
	if (!err && pa)
		*pa = at.v;
	return err;
}

u64 rig_heap(struct oli_machine *m)
{
	return atomic_load(&m->shm->heap_used);
}

u32 rig_random(u64 *state)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)(*state >> 33);
}
