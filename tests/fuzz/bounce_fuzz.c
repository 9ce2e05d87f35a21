// SPDX-License-Identifier: MIT
/*
 * The bounce slots under arbitrary programs; what a program is and what is checked is in
 * tests/model/bounce_model.h. The first byte chooses the world: how many slots, the granule,
 * with or without an IOMMU.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "../model/bounce_model.h"
#include "mem/src.h"
#include "replay.h"
#include "world.h"

enum { MEM = 1 << 19, MOST_STEPS = 300 };

static struct {
	u32 slots;
	u8 granule_shift, iommu;
	struct olio_mem *mem;
	struct bounce_env env;
} worlds[] = {
	{.slots = 128, .granule_shift = 12, .iommu = OLI_IOMMU_STRICT},
	{.slots = 128, .granule_shift = 15, .iommu = OLI_IOMMU_STRICT},
	{.slots = 512, .granule_shift = 16, .iommu = OLI_IOMMU_STRICT},
	{.slots = 1024, .granule_shift = 14, .iommu = OLI_IOMMU_LAZY},
	{.slots = 256, .granule_shift = 12, .iommu = OLI_IOMMU_NONE},
};

/* One contiguous piece of memory of the process, and a device. */
static void make(u32 i)
{
	struct oli_desc d = fuzz_desc("pc");
	struct bounce_env *env = &worlds[i].env;
	struct oli_machine *m;
	size_t n;

	d.bounce_slots = worlds[i].slots;
	d.bounce_areas = 1;
	d.granule_shift = worlds[i].granule_shift;
	d.iommu = worlds[i].iommu;
	d.linear = 1;
	d.ram_size = 64u << 20;
	m = fuzz_machine(&d);
	env->len = MEM;
	env->mem = mmap(NULL, MEM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (env->mem == MAP_FAILED || oli_mem_pin(m, env->mem, MEM, 0, &worlds[i].mem) ||
	    oli_dev_open(m, "dma0", &env->dev))
		abort();
	env->pa = olio_mem_runs(worlds[i].mem, &n)->pa.v;
	if (n != 1)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	u32 i = size ? data[0] % OLI_ARRAY_SIZE(worlds) : 0;

	if (size < 6)
		return 0;
	if (!worlds[i].env.dev)
		make(i);
	if (size > 1 + 5 * MOST_STEPS)
		size = 1 + 5 * MOST_STEPS;
	fuzz_judge(bounce_model_run(&worlds[i].env, data + 1, size - 1), data, size);
	return 0;
}

const uint8_t *replay_random(uint8_t *data, size_t size, size_t *n)
{
	*n = 1 + 5 * (1 + (size_t)random() % 60);
	*n = *n < size ? *n : size;
	for (size_t i = 0; i < *n; i++)
		data[i] = (uint8_t)(random() >> 7);
	return data;
}
