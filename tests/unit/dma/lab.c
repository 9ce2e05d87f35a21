// SPDX-License-Identifier: MIT
/* See lab.h. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lab.h"

static char parent[64], path[80];
static pid_t owner;

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

/* In the place of the layer above. */
static const struct oli_part nothing = {
	.name = "nothing", .init = nothing_init, .reap = nothing_reap};

static const struct oli_part *const parts[] = {[0] = &nothing,
					       [OLI_PART_MEM] = &oli_mem_part,
					       [OLI_PART_DMA] = &oli_dma_part,
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

static const char *dir(void)
{
	if (path[0])
		return path;
	snprintf(parent, sizeof(parent), "%s/olio-test-XXXXXX",
		 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	assert_non_null(mkdtemp(parent));
	owner = getpid();
	atexit(remove_parent);
	snprintf(path, sizeof(path), "%s/m", parent);
	return path;
}

struct oli_machine *lab_open(const struct oli_desc *desc)
{
	struct oli_desc d = *desc;
	struct oli_machine_opts opts = {.name = dir(), .desc = &d};
	char why[OLI_WHY_MAX] = "";
	struct oli_machine *m;

	if (oli_desc_check(&d, why))
		fail_msg("bad description: %s", why);
	if (oli_machine_open(&opts, parts, &m, why))
		fail_msg("no machine: %s", why);
	return m;
}

struct oli_machine *lab_attach(void)
{
	struct oli_machine_opts opts = {.name = dir(), .no_create = true};
	char why[OLI_WHY_MAX] = "";
	struct oli_machine *m;

	if (oli_machine_open(&opts, parts, &m, why)) {
		fprintf(stderr, "cannot attach: %s\n", why);
		_exit(99);
	}
	return m;
}

struct olio_dev *lab_dev(struct oli_machine *m, const char *name)
{
	struct olio_dev *dev;

	if (oli_dev_open(m, name, &dev))
		fail_msg("device %s: %s", name, olio_why()->text);
	return dev;
}

u8 *lab_pages(u64 len)
{
	u8 *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(p != MAP_FAILED);
	return p;
}

struct olio_mem *lab_pin(struct oli_machine *m, void *p, u64 len)
{
	struct olio_mem *mem;

	if (oli_mem_pin(m, p, len, 0, &mem))
		fail_msg("pin: %s", olio_why()->text);
	return mem;
}
