// SPDX-License-Identifier: MIT
/* See lab.h. */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "iommu/part.h"
#include "lab.h"

static const struct oli_part *const parts[] = {[0] = &rig_nothing,
					       [OLI_PART_MEM] = &oli_mem_part,
					       [OLI_PART_DMA] = &oli_dma_part,
					       [OLI_PART_IOMMU] = &oli_iommu_part,
					       [OLI_PART_PHYS] = &oli_phys_part,
					       [5] = NULL};

struct oli_machine *lab_open(const struct oli_desc *desc)
{
	return rig_open_with(desc, parts);
}

struct oli_machine *lab_attach(void)
{
	struct oli_machine_opts opts = {.name = rig_dir(), .no_create = true};
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

struct oli_desc lab_desc(const char *type)
{
	struct oli_desc d;

	assert_int_equal(oli_desc_builtin(type, &d), 0);
	d.checker = 0;
	return d;
}

struct lab_left lab_left(struct oli_machine *m, struct olio_dev *dev)
{
	struct oli_iova_usage usage = {0};
	struct oli_bounce_stats b;

	if (dev->domain) {
		oli_domain_flush(dev->domain);
		oli_iova_usage(&dev->domain->iova, &usage);
	}
	oli_bounce_stats(m, &b);
	return (struct lab_left){usage.live, b.used, dev->bounced, oli_frames_used(m, m->slot)};
}
