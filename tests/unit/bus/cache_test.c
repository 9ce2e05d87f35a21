// SPDX-License-Identifier: MIT
/*
 * Proves that on a machine whose devices do not see the CPU's caches a forgotten
 * clean or invalidate gives stale bytes, that each moves whole lines and nothing else, and
 * that devices which do see them need neither. Against two plain arrays: what the CPU
 * has and what the device has.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bus/bus.h"
#include "rig.h"

#define PAGE  4096u
#define PAGES 80u /* more than are copied in one go */
#define SIZE  (PAGES * PAGE)

struct both {
	struct oli_machine *m;
	struct olio_mem *mem;
	u8 *cpu; /* the memory */
	u64 *pa; /* of each byte */
	u8 *want_cpu, *want_dev; /* the model */
	struct oli_bus_id id;
	u32 line;
};

/* Without IOMMU: an address is physical plus an offset. */
static struct olio_iova dma(struct both *b, u64 at)
{
	return (struct olio_iova){b->pa[at] + b->m->shm->desc.dma_offset};
}

static void make(struct both *b, u32 line, bool linear)
{
	struct oli_desc d = rig_desc();

	d.iommu = OLI_IOMMU_NONE;
	d.linear = linear;
	d.cache_line = line;
	d.node[DEV0].coherent = 0;
	b->m = rig_open(&d);
	b->line = line;
	b->id = (struct oli_bus_id){.node = DEV0};
	b->cpu = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(b->cpu != MAP_FAILED);
	rig_fill(b->cpu, SIZE, 1);
	assert_int_equal(oli_mem_pin(b->m, b->cpu, SIZE, 0, &b->mem), 0);
	b->pa = rig_bytes(b->mem);
	b->want_cpu = malloc(SIZE);
	b->want_dev = calloc(1, SIZE);
	memcpy(b->want_cpu, b->cpu, SIZE);
}

static void end(struct both *b)
{
	oli_mem_put(b->mem);
	munmap(b->cpu, SIZE);
	free(b->pa);
	free(b->want_cpu);
	free(b->want_dev);
	rig_close(b->m);
}

static void check(struct both *b)
{
	u8 page[PAGE];

	assert_memory_equal(b->cpu, b->want_cpu, SIZE);
	for (u32 i = 0; i < PAGES; i++) {
		assert_int_equal(oli_bus_read(b->m, &b->id, dma(b, i * PAGE), page, PAGE), 0);
		assert_memory_equal(page, b->want_dev + i * PAGE, PAGE);
	}
}

/* The range in the memory must be one run. */
static void move(struct both *b, u64 at, u64 len, bool clean)
{
	u64 first = at & ~((u64)b->line - 1), last = (at + len - 1) | (b->line - 1);

	if (clean) {
		memcpy(b->want_dev + first, b->want_cpu + first, last - first + 1);
		oli_cache_clean(b->m, (struct olio_pa){b->pa[at]}, len);
	} else {
		memcpy(b->want_cpu + first, b->want_dev + first, last - first + 1);
		oli_cache_invalidate(b->m, (struct olio_pa){b->pa[at]}, len);
	}
}

static void device_writes(struct both *b, u64 at, u32 len)
{
	u8 bytes[PAGE];

	rig_fill(bytes, len, rig_rand(256));
	memcpy(b->want_dev + at, bytes, len);
	assert_int_equal(oli_bus_write(b->m, &b->id, dma(b, at), bytes, len), 0);
}

static void step(struct both *b)
{
	u64 at = rig_rand(SIZE);
	u32 room = PAGE - at % PAGE, len = 1 + rig_rand(rig_rand(3) ? room : room < 70 ? room : 70);

	switch (rig_rand(4)) {
	case 0:
		rig_fill(b->cpu + at, len, rig_rand(256));
		memcpy(b->want_cpu + at, b->cpu + at, len);
		break;
	case 1:
		device_writes(b, at, len);
		break;
	default:
		move(b, at, len, rig_rand(2));
	}
}

static void test_random(void **state)
{
	u32 line[] = {16, 64, 128, 4096};
	struct both b;

	(void)state;
	for (u32 i = 0; i < OLI_ARRAY_SIZE(line); i++) {
		rig_seed(i);
		make(&b, line[i], false);
		check(&b);
		for (u32 k = 0; k < 1500; k++) {
			step(&b);
			if (k % 100 == 0)
				check(&b);
		}
		check(&b);
		end(&b);
	}
}

/* One long run. Sizes at which something wraps, or has nothing, do nothing. */
static void test_long(void **state)
{
	struct both b;
	size_t n;

	(void)state;
	make(&b, 64, true);
	olio_mem_runs(b.mem, &n);
	assert_int_equal(n, 1);
	oli_cache_clean(b.m, (struct olio_pa){b.pa[PAGE]}, 0);
	oli_cache_clean(b.m, (struct olio_pa){b.pa[PAGE + 1]}, 0);
	check(&b);
	move(&b, 100, SIZE - 200, true);
	check(&b);
	for (u32 i = 0; i < 500; i++)
		step(&b);
	move(&b, 100, SIZE - 200, false);
	check(&b);
	oli_cache_clean(b.m, (struct olio_pa){b.pa[0]}, 0);
	oli_cache_invalidate(b.m, (struct olio_pa){b.pa[0]}, 0);
	oli_cache_invalidate(b.m, (struct olio_pa){b.pa[0]}, UINT64_MAX);
	oli_cache_invalidate(b.m, (struct olio_pa){UINT64_MAX}, 1);
	oli_cache_invalidate(b.m, (struct olio_pa){0}, 1 << 20);
	check(&b);
	end(&b);
}

/* A page that the program unmapped does not keep the others from being moved. */
static void test_hole(void **state)
{
	struct both b;
	u8 page[PAGE];

	(void)state;
	make(&b, 64, true);
	munmap(b.cpu + 20 * PAGE, PAGE);
	oli_cache_clean(b.m, (struct olio_pa){b.pa[0]}, SIZE);
	for (u32 i = 0; i < PAGES; i++) {
		assert_int_equal(oli_bus_read(b.m, &b.id, dma(&b, i * PAGE), page, PAGE), 0);
		assert_memory_equal(page, (i == 20 ? b.want_dev : b.want_cpu) + i * PAGE, PAGE);
	}
	end(&b);
}

/* A coherent device of the same machine, and a software one, see what the CPU sees. */
static void test_others(void **state)
{
	struct oli_bus_id dev1 = {.node = DEV1}, soft = {.node = SOFT0};
	struct both b;
	u8 word[8];

	(void)state;
	make(&b, 64, false);
	assert_int_equal(oli_bus_read(b.m, &b.id, dma(&b, 64), word, 8), 0);
	assert_memory_equal(word, b.want_dev, 8);
	assert_int_equal(oli_bus_read(b.m, &dev1, dma(&b, 64), word, 8), 0);
	assert_memory_equal(word, b.want_cpu + 64, 8);
	assert_int_equal(oli_bus_read(b.m, &soft, (struct olio_iova){b.pa[64]}, word, 8), 0);
	assert_memory_equal(word, b.want_cpu + 64, 8);
	assert_int_equal(oli_bus_write(b.m, &dev1, dma(&b, 0), "abcdefgh", 8), 0);
	assert_memory_equal(b.cpu, "abcdefgh", 8);
	end(&b);
}

/* What is another process's is left alone: its addresses mean other memory here. */
static void test_not_ours(void **state)
{
	struct oli_machine *other;
	struct olio_mem *mem;
	struct both b;
	u8 word[8];
	u64 *pa;

	(void)state;
	make(&b, 64, false);
	other = rig_open(&b.m->shm->desc);
	assert_int_not_equal(other->slot, b.m->slot);
	assert_int_equal(oli_mem_pin(other, b.cpu, PAGE, 0, &mem), 0);
	pa = rig_bytes(mem);
	oli_cache_clean(b.m, (struct olio_pa){pa[0]}, PAGE);
	assert_int_equal(oli_bus_read(b.m, &b.id,
				      (struct olio_iova){pa[0] + b.m->shm->desc.dma_offset}, word,
				      8),
			 0);
	assert_memory_equal(word, b.want_dev, 8);
	free(pa);
	oli_mem_put(mem);
	rig_close(other);
	end(&b);
}

/* Low memory has no shadow: both see the same at once. */
static void test_low(void **state)
{
	struct olio_pa pa;
	struct both b;
	void *cpu;
	u8 word[8];

	(void)state;
	make(&b, 64, false);
	assert_int_equal(oli_low_alloc(b.m, PAGE, &pa, &cpu), 0);
	memcpy(cpu, "12345678", 8);
	assert_int_equal(oli_bus_read(b.m, &b.id,
				      (struct olio_iova){pa.v + b.m->shm->desc.dma_offset}, word,
				      8),
			 0);
	assert_memory_equal(word, "12345678", 8);
	oli_cache_invalidate(b.m, pa, PAGE);
	assert_memory_equal(cpu, "12345678", 8);
	oli_low_free(b.m, pa, PAGE);
	end(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random), cmocka_unit_test(test_long),
		cmocka_unit_test(test_hole),   cmocka_unit_test(test_others),
		cmocka_unit_test(test_not_ours), cmocka_unit_test(test_low),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
