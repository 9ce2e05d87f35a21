// SPDX-License-Identifier: MIT
/* Scenes: one-shot maps, lists and allocations, and the memory that they are given. */
#include <string.h>

#include "misuse.h"

#define TO   OLIO_TO_DEVICE
#define FROM OLIO_FROM_DEVICE

static void double_unmap(struct stage *st, bool wrong)
{
	struct olio_run run = run_at(st, 0, PAGE);
	struct olio_iova dma;

	ok(olio_dma_map(st->dev, &run, TO, 0, &dma));
	ok(olio_dma_unmap(st->dev, dma, PAGE, TO, 0));
	if (wrong)
		(void)!olio_dma_unmap(st->dev, dma, PAGE, TO, 0);
}

/* A map that failed, and was made again from the same place, explains nothing. */
static void never_mapped_after_retry(struct stage *st, bool wrong)
{
	struct olio_run run = run_at(st, 0, PAGE);
	struct olio_iova dma, other = {0x7654000};
	uint32_t attrs = OLIO_ATTR_MMIO;

	while (olio_dma_map(st->dev, &run, TO, attrs, &dma))
		attrs = 0;
	ok(olio_dma_unmap(st->dev, dma, PAGE, TO, 0));
	if (wrong)
		(void)!olio_dma_unmap(st->dev, other, PAGE, TO, 0);
}

static void never_mapped(struct stage *st, bool wrong)
{
	struct olio_iova dma = {0x7654000};

	if (wrong)
		(void)!olio_dma_unmap(st->dev, dma, PAGE, TO, 0);
}

static void wrong_size(struct stage *st, bool wrong)
{
	struct olio_run run = run_at(st, 0, PAGE);
	struct olio_iova dma;

	ok(olio_dma_map(st->dev, &run, TO, 0, &dma));
	if (!wrong || olio_dma_unmap(st->dev, dma, PAGE / 2, TO, 0))
		ok(olio_dma_unmap(st->dev, dma, PAGE, TO, 0));
}

static void wrong_size_longer(struct stage *st, bool wrong)
{
	struct olio_run run = run_at(st, 0, PAGE);
	struct olio_iova dma;

	ok(olio_dma_map(st->dev, &run, TO, 0, &dma));
	if (!wrong || olio_dma_unmap(st->dev, dma, 3 * PAGE, TO, 0))
		ok(olio_dma_unmap(st->dev, dma, PAGE, TO, 0));
}

static void wrong_direction(struct stage *st, bool wrong)
{
	struct olio_run run = run_at(st, 0, PAGE);
	struct olio_iova dma;

	ok(olio_dma_map(st->dev, &run, TO, 0, &dma));
	if (!wrong || olio_dma_unmap(st->dev, dma, PAGE, FROM, 0))
		ok(olio_dma_unmap(st->dev, dma, PAGE, TO, 0));
}

static void wrong_call(struct stage *st, bool wrong)
{
	struct olio_run run = run_at(st, 0, PAGE);
	struct olio_iova dma;

	ok(olio_dma_map(st->dev, &run, TO, 0, &dma));
	if (!wrong || olio_dma_free(st->dev, PAGE, st->buf, dma))
		ok(olio_dma_unmap(st->dev, dma, PAGE, TO, 0));
}

static void unchecked_error(struct stage *st, bool wrong)
{
	struct olio_run run = run_at(st, 0, PAGE);
	struct olio_iova dma = {0x4711000};
	int err = olio_dma_map(st->dev, &run, TO, OLIO_ATTR_MMIO, &dma);

	assert_int_equal(err, -EINVAL);
	if (wrong || !err)
		(void)!olio_dma_unmap(st->dev, dma, PAGE, TO, OLIO_ATTR_MMIO);
}

/* The variable still holds the address of the map before. */
static void unchecked_error_stale(struct stage *st, bool wrong)
{
	struct olio_run run = run_at(st, 0, PAGE);
	struct olio_iova dma;
	uint8_t byte;
	int err;

	ok(olio_dma_map(st->dev, &run, TO, 0, &dma));
	ok(olio_dma_unmap(st->dev, dma, PAGE, TO, 0));
	err = olio_dma_map(st->dev, &run, TO, OLIO_ATTR_MMIO, &dma);
	assert_int_equal(err, -EINVAL);
	if (wrong || !err)
		(void)!olio_dev_read(st->dev, dma, &byte, 1);
}

static void wrong_attributes(struct stage *st, bool wrong)
{
	struct olio_run run = run_at(st, 0, PAGE);
	struct olio_iova dma;

	ok(olio_dma_map(st->dev, &run, TO, 0, &dma));
	if (!wrong || olio_dma_unmap(st->dev, dma, PAGE, TO, OLIO_ATTR_PRIVILEGED))
		ok(olio_dma_unmap(st->dev, dma, PAGE, TO, 0));
}

static void leak(struct stage *st, bool wrong)
{
	struct olio_run run = run_at(st, 0, PAGE);
	struct olio_iova dma;

	ok(olio_dma_map(st->dev, &run, TO, 0, &dma));
	if (!wrong)
		ok(olio_dma_unmap(st->dev, dma, PAGE, TO, 0));
	olio_dev_close(st->dev);
	st->dev = NULL;
}

static void leak_list(struct stage *st, bool wrong)
{
	struct olio_run run = run_at(st, 0, PAGE);
	struct olio_map *map;

	ok(olio_map_list(st->dev, &run, 1, TO, 0, &map));
	if (!wrong)
		olio_map_unmap(map);
	olio_dev_close(st->dev);
	st->dev = NULL;
	if (wrong)
		olio_map_unmap(map);
}

static void leak_alloc(struct stage *st, bool wrong)
{
	struct olio_iova dma;
	void *cpu;

	ok(olio_dma_alloc(st->dev, PAGE, 0, &cpu, &dma));
	if (!wrong)
		ok(olio_dma_free(st->dev, PAGE, cpu, dma));
	olio_dev_close(st->dev);
	st->dev = NULL;
}

static void segment_count(struct stage *st, bool wrong)
{
	size_t nruns, nsegs;
	const struct olio_run *runs = olio_mem_runs(st->mem, &nruns);
	const struct olio_seg *segs;
	struct olio_map *map;
	uint8_t byte;

	ok(olio_map_list(st->dev, runs, nruns, TO, 0, &map));
	segs = olio_map_segs(map, &nsegs);
	(void)!olio_dev_read(st->dev, wrong ? (struct olio_iova){runs[0].pa.v} : segs[0].dma, &byte,
			     1);
	olio_map_unmap(map);
}

static void free_while_mapped(struct stage *st, bool wrong)
{
	struct olio_run run = run_at(st, 0, PAGE);
	struct olio_iova dma;

	ok(olio_dma_map(st->dev, &run, TO, 0, &dma));
	if (wrong)
		olio_mem_put(st->mem);
	(void)!olio_dma_unmap(st->dev, dma, PAGE, TO, 0);
	if (!wrong)
		olio_mem_put(st->mem);
	st->mem = NULL;
}

/* A second pin keeps the frames: giving the first one back is right. */
static void free_while_mapped_twice(struct stage *st, bool wrong)
{
	struct olio_mem *again;
	size_t n;
	const struct olio_run *runs;
	struct olio_run run;
	struct olio_iova dma;

	ok(olio_mem_pin(st->m, st->buf, PAGE, 0, &again));
	runs = olio_mem_runs(again, &n);
	run = runs[0];
	ok(olio_dma_map(st->dev, &run, TO, 0, &dma));
	olio_mem_put(again);
	if (wrong)
		olio_mem_put(st->mem);
	(void)!olio_dma_unmap(st->dev, dma, PAGE, TO, 0);
	if (!wrong)
		olio_mem_put(st->mem);
	st->mem = NULL;
}

static uint8_t in_data[2 * PAGE];
static const uint8_t constant[2 * PAGE] = {1};

static void map_and_unmap(struct stage *st, void *p, uint64_t len, unsigned int flags)
	__attribute__((always_inline));

static inline void map_and_unmap(struct stage *st, void *p, uint64_t len, unsigned int flags)
{
	const struct olio_run *runs;
	struct olio_mem *mem;
	struct olio_iova dma;
	size_t n;

	ok(olio_mem_pin(st->m, p, len, flags, &mem));
	runs = olio_mem_runs(mem, &n);
	ok(olio_dma_map(st->dev, &runs[0], TO, 0, &dma));
	ok(olio_dma_unmap(st->dev, dma, runs[0].len, TO, 0));
	olio_mem_put(mem);
}

static void bad_memory_stack(struct stage *st, bool wrong)
{
	uint8_t on_stack[128] = {0};

	map_and_unmap(st, wrong ? on_stack : in_data, 128, 0);
}

static void bad_memory_constants(struct stage *st, bool wrong)
{
	map_and_unmap(st, wrong ? (void *)(uintptr_t)constant : in_data, 128, OLIO_PIN_READ_ONLY);
}

static void bad_memory_text(struct stage *st, bool wrong)
{
	map_and_unmap(st, wrong ? (void *)(uintptr_t)bad_memory_text : in_data, 64,
		      OLIO_PIN_READ_ONLY);
}

static void wrong_owner(struct stage *st, bool wrong)
{
	struct olio_run run = run_at(st, 0, PAGE);
	struct olio_dev *other = another(st, "acc0");
	struct olio_iova dma;

	ok(olio_dma_map(st->dev, &run, TO, 0, &dma));
	if (wrong)
		(void)!olio_dma_unmap(other, dma, PAGE, TO, 0);
	(void)!olio_dma_unmap(st->dev, dma, PAGE, TO, 0);
	olio_dev_close(other);
}

static void wrong_owner_access(struct stage *st, bool wrong)
{
	struct olio_run run = run_at(st, 0, PAGE);
	struct olio_dev *other = another(st, "acc0");
	struct olio_iova dma;
	uint8_t byte;

	ok(olio_dma_map(st->dev, &run, TO, 0, &dma));
	(void)!olio_dev_read(wrong ? other : st->dev, dma, &byte, 1);
	ok(olio_dma_unmap(st->dev, dma, PAGE, TO, 0));
	olio_dev_close(other);
}

/* The device was closed and opened again: what it had mapped has ended (which is a leak, too). */
static void wrong_owner_reopened(struct stage *st, bool wrong)
{
	struct olio_run run = run_at(st, 0, PAGE);
	struct olio_iova dma;
	uint8_t byte;

	ok(olio_dma_map(st->dev, &run, TO, 0, &dma));
	if (!wrong)
		ok(olio_dma_unmap(st->dev, dma, PAGE, TO, 0));
	olio_dev_close(st->dev);
	st->dev = another(st, "dma0");
	if (!wrong)
		ok(olio_dma_map(st->dev, &run, TO, 0, &dma));
	(void)!olio_dev_read(st->dev, dma, &byte, 1);
	if (!wrong)
		ok(olio_dma_unmap(st->dev, dma, PAGE, TO, 0));
}

static void wrong_owner_unmap(struct stage *st, bool wrong)
{
	struct olio_run run = run_at(st, 0, PAGE);
	struct olio_iova dma;

	ok(olio_dma_map(st->dev, &run, TO, 0, &dma));
	if (!wrong)
		ok(olio_dma_unmap(st->dev, dma, PAGE, TO, 0));
	olio_dev_close(st->dev);
	st->dev = another(st, "dma0");
	if (wrong)
		(void)!olio_dma_unmap(st->dev, dma, PAGE, TO, 0);
}

static void wrong_sync_direction(struct stage *st, bool wrong)
{
	struct olio_run run = run_at(st, 0, PAGE);
	struct olio_iova dma;

	ok(olio_dma_map(st->dev, &run, TO, 0, &dma));
	(void)!olio_dma_sync_for_cpu(st->dev, dma, PAGE, wrong ? FROM : TO);
	(void)!olio_dma_sync_for_device(st->dev, dma, PAGE, TO);
	ok(olio_dma_unmap(st->dev, dma, PAGE, TO, 0));
}

static void wrong_sync_range(struct stage *st, bool wrong)
{
	struct olio_run run = run_at(st, 0, PAGE / 2);
	struct olio_iova dma;

	ok(olio_dma_map(st->dev, &run, OLIO_BIDIRECTIONAL, 0, &dma));
	(void)!olio_dma_sync_for_cpu(st->dev, dma, wrong ? PAGE : PAGE / 2, FROM);
	ok(olio_dma_unmap(st->dev, dma, PAGE / 2, OLIO_BIDIRECTIONAL, 0));
}

static void shared_line(struct stage *st, bool wrong)
{
	struct olio_run run = run_at(st, 0, wrong ? 100 : 128);
	struct olio_iova dma;

	ok(olio_dma_map(st->dev, &run, FROM, 0, &dma));
	ok(olio_dma_unmap(st->dev, dma, run.len, FROM, 0));
}

/* The last line of the one is the first of the other. */
static void shared_line_mappings(struct stage *st, bool wrong)
{
	struct olio_run from = run_at(st, 128, 128), to = run_at(st, 0, wrong ? 160 : 100);
	struct olio_iova dma, dma2;

	ok(olio_dma_map(st->dev, &from, FROM, 0, &dma));
	ok(olio_dma_map(st->dev, &to, TO, 0, &dma2));
	ok(olio_dma_unmap(st->dev, dma2, to.len, TO, 0));
	ok(olio_dma_unmap(st->dev, dma, from.len, FROM, 0));
}

static void one_sided_coherent(struct stage *st, bool wrong)
{
	struct olio_run run = run_at(st, 0, PAGE);
	struct olio_iova dma;
	uint32_t attrs = OLIO_ATTR_REQUIRE_COHERENT;

	ok(olio_dma_map(st->dev, &run, TO, attrs, &dma));
	if (!wrong || olio_dma_unmap(st->dev, dma, PAGE, TO, 0))
		ok(olio_dma_unmap(st->dev, dma, PAGE, TO, attrs));
}

static void coherent_as_streaming(struct stage *st, bool wrong)
{
	const struct olio_run *runs;
	struct olio_iova dma, again;
	struct olio_mem *mem;
	void *cpu;
	size_t n;

	ok(olio_dma_alloc(st->dev, PAGE, 0, &cpu, &dma));
	ok(olio_mem_pin(st->m, wrong ? cpu : in_data, PAGE, 0, &mem));
	runs = olio_mem_runs(mem, &n);
	ok(olio_dma_map(st->dev, &runs[0], TO, 0, &again));
	ok(olio_dma_unmap(st->dev, again, runs[0].len, TO, 0));
	olio_mem_put(mem);
	ok(olio_dma_free(st->dev, PAGE, cpu, dma));
}

const struct scene map_scenes[] = {
	SCENE(1, double_unmap, EVERYWHERE),
	SCENE(1, never_mapped_after_retry, EVERYWHERE, .no_there = true),
	SCENE(1, never_mapped, EVERYWHERE, .no_there = true),
	SCENE(2, wrong_size, EVERYWHERE),
	SCENE(2, wrong_size_longer, TRANSLATED),
	SCENE(3, wrong_direction, EVERYWHERE),
	SCENE(4, wrong_call, EVERYWHERE),
	SCENE(5, unchecked_error, EVERYWHERE),
	SCENE(5, unchecked_error_stale, EVERYWHERE),
	SCENE(6, wrong_attributes, EVERYWHERE),
	SCENE(7, leak, EVERYWHERE),
	SCENE(7, leak_list, EVERYWHERE),
	SCENE(7, leak_alloc, EVERYWHERE),
	SCENE(8, segment_count, EVERYWHERE),
	SCENE(9, free_while_mapped, EVERYWHERE),
	SCENE(9, free_while_mapped_twice, EVERYWHERE),
	SCENE(10, bad_memory_stack, EVERYWHERE),
	SCENE(10, bad_memory_constants, EVERYWHERE),
	SCENE(10, bad_memory_text, EVERYWHERE),
	SCENE(15, wrong_owner, EVERYWHERE),
	SCENE(15, wrong_owner_access, EVERYWHERE),
	SCENE(15, wrong_owner_reopened, EVERYWHERE, .also = 7),
	SCENE(15, wrong_owner_unmap, EVERYWHERE, .also = 7),
	SCENE(28, wrong_sync_direction, EVERYWHERE),
	SCENE(28, wrong_sync_range, EVERYWHERE),
	SCENE(29, shared_line, "arm-noncoherent"),
	SCENE(29, shared_line_mappings, "arm-noncoherent"),
	SCENE(31, one_sided_coherent, "pc no-iommu lazy-amd p2p-switch"),
	SCENE(32, coherent_as_streaming, EVERYWHERE),
};
const size_t nr_map_scenes = sizeof(map_scenes) / sizeof(map_scenes[0]);
