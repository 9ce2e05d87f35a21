// SPDX-License-Identifier: MIT
/* See rig.h. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "iommu/domain.h"
#include "mem/peer.h"
#include "rig.h"

static char parent[64];
static pid_t owner;
static u64 seed = 1;

static int nothing_init(struct oli_machine *m, void *root)
{
	(void)m;
	(void)root;
	return 0;
}

static void nothing_reap(struct oli_machine *m, void *root, u16 slot)
{
	(void)m;
	(void)root;
	(void)slot;
}

const struct oli_part rig_nothing = {
	.name = "nothing", .init = nothing_init, .reap = nothing_reap};

static const struct oli_part *const parts[] = {[0] = &rig_nothing,
					       [OLI_PART_MEM] = &oli_mem_part,
					       [2] = &rig_nothing,
					       [OLI_PART_IOMMU] = &oli_iommu_part,
					       [OLI_PART_PHYS] = &oli_phys_part,
					       [5] = NULL};

static void remove_parent(void)
{
	char command[96];

	snprintf(command, sizeof(command), "rm -rf %s", parent);
	if (getpid() == owner && system(command))
		fprintf(stderr, "cannot remove %s\n", parent);
}

const char *rig_dir(void)
{
	static char path[80];

	if (!path[0]) {
		snprintf(parent, sizeof(parent), "%s/olio-test-XXXXXX",
			 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
		assert_non_null(mkdtemp(parent));
		owner = getpid();
		atexit(remove_parent);
		snprintf(path, sizeof(path), "%s/m", parent);
	}
	return path;
}

struct oli_desc rig_desc(void)
{
#define GOOD .coherent = 1, .trusted = 1, .dma_bits = 64
#define BARS .bar = { [0] = {.len = 4096}, [2] = {.len = RIG_BAR_LEN, .provider = 1} }
	return (struct oli_desc){
		.type = "test",
		.ram_size = 64u << 20,
		.iommu = OLI_IOMMU_STRICT,
		.bounce_slots = 128,
		.cache_line = 64,
		.nr_nodes = NR_NODES,
		.node = {
			[PCI0] = {.name = "pci0",
				  .kind = OLI_NODE_HOST_BRIDGE_KIND,
				  .parent = OLI_NODE_NONE,
				  .p2p = 1},
			[RP0] = {.name = "rp0", .kind = OLI_NODE_ROOT_PORT_KIND, .parent = PCI0},
			[UP0] = {.name = "up0", .kind = OLI_NODE_SWITCH_UP_KIND, .parent = RP0},
			[DOWN0] = {.name = "down0",
				   .kind = OLI_NODE_SWITCH_DOWN_KIND,
				   .parent = UP0},
			[DEV0] = {.name = "dev0",
				  .kind = OLI_NODE_ENDPOINT_KIND,
				  .parent = DOWN0,
				  GOOD,
				  BARS},
			[DOWN1] = {.name = "down1",
				   .kind = OLI_NODE_SWITCH_DOWN_KIND,
				   .parent = UP0},
			[DEV1] = {.name = "dev1",
				  .kind = OLI_NODE_ENDPOINT_KIND,
				  .parent = DOWN1,
				  GOOD,
				  BARS},
			[RP1] = {.name = "rp1", .kind = OLI_NODE_ROOT_PORT_KIND, .parent = PCI0},
			[DEV2] = {.name = "dev2",
				  .kind = OLI_NODE_ENDPOINT_KIND,
				  .parent = RP1,
				  GOOD,
				  .bar = {[2] = {.len = RIG_BAR_LEN, .provider = 1}}},
			[PLAT0] = {.name = "plat0",
				   .kind = OLI_NODE_PLATFORM_KIND,
				   .parent = OLI_NODE_NONE,
				   GOOD},
			[SOFT0] = {.name = "soft0",
				   .kind = OLI_NODE_PLATFORM_KIND,
				   .parent = OLI_NODE_NONE,
				   GOOD,
				   .software = 1},
		}};
}

struct oli_machine *rig_open_with(const struct oli_desc *desc, const struct oli_part *const *with)
{
	struct oli_desc d = *desc;
	struct oli_machine_opts opts = {.name = rig_dir(), .desc = &d};
	char why[OLI_WHY_MAX] = "";
	struct oli_machine *m;

	if (oli_desc_check(&d, why))
		fail_msg("bad description: %s", why);
	if (oli_machine_open(&opts, with, &m, why))
		fail_msg("no machine: %s", why);
	return m;
}

struct oli_machine *rig_open(const struct oli_desc *desc)
{
	return rig_open_with(desc, parts);
}

void rig_close(struct oli_machine *m)
{
	oli_machine_close(m);
}

void rig_seed(u64 s)
{
	seed = s * 2 + 1;
}

u32 rig_rand(u32 below)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)((seed >> 33) % below);
}

void rig_fill(void *p, size_t len, u32 salt)
{
	u8 *b = p;

	for (size_t i = 0; i < len; i++)
		b[i] = (u8)((i >> 12) * 37 + (i >> 5) * 11 + i * 7 + salt);
}

u32 rig_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	u32 n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

u64 *rig_bytes(const struct olio_mem *mem)
{
	u64 *pa = malloc(olio_mem_len(mem) * sizeof(*pa)), at = 0;
	const struct olio_run *runs;
	size_t n;

	assert_non_null(pa);
	runs = olio_mem_runs(mem, &n);
	for (size_t i = 0; i < n; i++)
		for (u64 k = 0; k < runs[i].len; k++) {
			assert_true(at < olio_mem_len(mem));
			pa[at++] = runs[i].pa.v + k;
		}
	assert_int_equal(at, olio_mem_len(mem));
	return pa;
}
