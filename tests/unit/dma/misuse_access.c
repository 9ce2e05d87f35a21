// SPDX-License-Identifier: MIT
/* Scenes: what the device does with addresses that it was given, or was not. */
#include <string.h>

#include "misuse.h"

#define TO   OLIO_TO_DEVICE
#define FROM OLIO_FROM_DEVICE

static void identity_pointer(struct stage *st, bool wrong)
{
	struct olio_run run = run_at(st, 0, PAGE);
	struct olio_iova dma;
	uint8_t byte;

	ok(olio_dma_map(st->dev, &run, TO, 0, &dma));
	(void)!olio_dev_read(st->dev, wrong ? (struct olio_iova){(uintptr_t)st->buf + 8} : dma,
			     &byte, 1);
	ok(olio_dma_unmap(st->dev, dma, PAGE, TO, 0));
}

static void identity_physical(struct stage *st, bool wrong)
{
	struct olio_run run = run_at(st, 0, PAGE);
	struct olio_iova dma;
	uint8_t byte;

	ok(olio_dma_map(st->dev, &run, TO, 0, &dma));
	(void)!olio_dev_read(st->dev, wrong ? (struct olio_iova){run.pa.v} : dma, &byte, 1);
	ok(olio_dma_unmap(st->dev, dma, PAGE, TO, 0));
}

/* Through the host bridge a peer's BAR has an IOVA; its bus address is not it. */
static void identity_bus(struct stage *st, bool wrong)
{
	struct olio_dev *provider = another(st, "acc0");
	const struct olio_run *runs;
	struct olio_mem *bar;
	struct olio_iova dma, bus = {bus_of(st, "acc0", 2)};
	uint8_t byte;
	size_t n;

	ok(olio_mem_from_bar(provider, 2, 0, PAGE, &bar));
	runs = olio_mem_runs(bar, &n);
	ok(olio_dma_map(st->dev, runs, TO, 0, &dma));
	assert_int_not_equal(dma.v, bus.v);
	(void)!olio_dev_read(st->dev, wrong ? bus : dma, &byte, 1);
	ok(olio_dma_unmap(st->dev, dma, PAGE, TO, 0));
	olio_mem_put(bar);
	olio_dev_close(provider);
}

static void truncated(struct stage *st, bool wrong)
{
	struct olio_run run = run_at(st, 0, PAGE);
	struct olio_iova_state state;
	struct olio_iova dma;
	uint8_t byte;

	/* Too much for the addresses below 4 GiB. */
	ok(olio_iova_alloc(st->dev, &state, run.pa, 4ull << 30));
	ok(olio_iova_link(&state, &run, 0, TO, 0));
	ok(olio_iova_sync(&state, 0, PAGE));
	dma = olio_iova_start(&state);
	assert_true(dma.v > UINT32_MAX);
	if (wrong)
		dma.v = (uint32_t)dma.v;
	(void)!olio_dev_read(st->dev, dma, &byte, 1);
	ok(olio_iova_destroy(&state, PAGE, TO, 0));
}

static void truncated_mask(struct stage *st, bool wrong)
{
	struct olio_run run = run_at(st, 0, PAGE);
	struct olio_iova dma;

	ok(olio_dma_map(st->dev, &run, TO, 0, &dma));
	if (wrong)
		ok(olio_dev_set_mask(st->dev, 24));
	ok(olio_dma_unmap(st->dev, dma, PAGE, TO, 0));
	if (!wrong)
		ok(olio_dev_set_mask(st->dev, 24));
}

static void use_after_unmap(struct stage *st, bool wrong)
{
	struct olio_run run = run_at(st, 0, PAGE);
	struct olio_iova dma;
	uint8_t byte;

	ok(olio_dma_map(st->dev, &run, TO, 0, &dma));
	ok(olio_dev_read(st->dev, dma, &byte, 1));
	ok(olio_dma_unmap(st->dev, dma, PAGE, TO, 0));
	if (wrong)
		(void)!olio_dev_read(st->dev, dma, &byte, 1);
}

static void early_reuse(struct stage *st, bool wrong)
{
	struct olio_run run = run_at(st, 0, PAGE), next = run_at(st, PAGE, PAGE);
	struct olio_iova dma, dma2;
	uint8_t byte;

	ok(olio_dma_map(st->dev, &run, TO, 0, &dma));
	ok(olio_dma_unmap(st->dev, dma, PAGE, TO, 0));
	ok(olio_dma_map(st->dev, &next, TO, 0, &dma2));
	(void)!olio_dev_read(st->dev, wrong ? dma : dma2, &byte, 1);
	ok(olio_dma_unmap(st->dev, dma2, PAGE, TO, 0));
}

static void over_map_write(struct stage *st, bool wrong)
{
	struct olio_run run = run_at(st, 0, 1024);
	struct olio_iova dma;
	uint8_t bytes[1100] = {0};

	ok(olio_dma_map(st->dev, &run, FROM, 0, &dma));
	(void)!olio_dev_write(st->dev, dma, bytes, wrong ? 1100 : 1024);
	ok(olio_dma_unmap(st->dev, dma, 1024, FROM, 0));
}

static void over_map_before(struct stage *st, bool wrong)
{
	struct olio_run run = run_at(st, 1024, 1024);
	struct olio_iova dma;
	uint8_t bytes[64];

	ok(olio_dma_map(st->dev, &run, TO, 0, &dma));
	(void)!olio_dev_read(st->dev, (struct olio_iova){wrong ? dma.v - 512 : dma.v}, bytes, 64);
	ok(olio_dma_unmap(st->dev, dma, 1024, TO, 0));
}

static void wrong_access_write(struct stage *st, bool wrong)
{
	struct olio_run run = run_at(st, 0, PAGE);
	struct olio_iova dma;
	uint8_t byte = 0;

	ok(olio_dma_map(st->dev, &run, wrong ? TO : FROM, 0, &dma));
	(void)!olio_dev_write(st->dev, dma, &byte, 1);
	ok(olio_dma_unmap(st->dev, dma, PAGE, wrong ? TO : FROM, 0));
}

static void wrong_access_read(struct stage *st, bool wrong)
{
	struct olio_run run = run_at(st, 0, PAGE);
	struct olio_iova dma;
	uint8_t byte;

	ok(olio_dma_map(st->dev, &run, wrong ? FROM : TO, 0, &dma));
	(void)!olio_dev_read(st->dev, dma, &byte, 1);
	ok(olio_dma_unmap(st->dev, dma, PAGE, wrong ? FROM : TO, 0));
}

static void reserved_interrupts(struct stage *st, bool wrong)
{
	struct olio_run run = run_at(st, 0, PAGE);
	struct olio_iova dma;
	uint32_t word = 0;

	ok(olio_dma_map(st->dev, &run, FROM, 0, &dma));
	(void)!olio_dev_write(st->dev, wrong ? (struct olio_iova){0xfee00000} : dma, &word, 4);
	ok(olio_dma_unmap(st->dev, dma, PAGE, FROM, 0));
}

static void reserved_bar(struct stage *st, bool wrong)
{
	struct olio_run run = run_at(st, 0, PAGE);
	struct olio_iova dma, bus = {bus_of(st, "acc0", 2) + 64};
	uint32_t word = 0;

	ok(olio_dma_map(st->dev, &run, FROM, 0, &dma));
	(void)!olio_dev_write(st->dev, wrong ? bus : dma, &word, 4);
	ok(olio_dma_unmap(st->dev, dma, PAGE, FROM, 0));
}

static void prefetch(struct stage *st, bool wrong)
{
	struct olio_run run = run_at(st, 0, PAGE);
	struct olio_iova dma;
	uint8_t bytes[128];

	ok(olio_dma_map(st->dev, &run, TO, 0, &dma));
	dma.v += PAGE - 64;
	(void)!olio_dev_read(st->dev, dma, bytes, wrong ? 128 : 64);
	dma.v -= PAGE - 64;
	ok(olio_dma_unmap(st->dev, dma, PAGE, TO, 0));
}

/* A transaction of its own, right behind. */
static void prefetch_next(struct stage *st, bool wrong)
{
	struct olio_run run = run_at(st, 0, PAGE);
	struct olio_iova dma;
	uint8_t bytes[64];

	ok(olio_dma_map(st->dev, &run, TO, 0, &dma));
	(void)!olio_dev_read(st->dev, (struct olio_iova){dma.v + PAGE - 64}, bytes, 64);
	if (wrong)
		(void)!olio_dev_read(st->dev, (struct olio_iova){dma.v + PAGE}, bytes, 64);
	ok(olio_dma_unmap(st->dev, dma, PAGE, TO, 0));
}

static void no_barrier(struct stage *st, bool wrong)
{
	struct olio_iova dma;
	void *cpu;

	ok(olio_dma_alloc(st->dev, PAGE, OLIO_ALLOC_WC, &cpu, &dma));
	memset(cpu, 0x11, 64);
	if (!wrong)
		olio_dma_wmb(st->dev);
	olio_dev_doorbell(st->dev);
	ok(olio_dma_free(st->dev, PAGE, cpu, dma));
}

static void no_snoop(struct stage *st, bool wrong)
{
	struct olio_run run = run_at(st, 0, PAGE);
	struct olio_iova dma;
	uint8_t byte;

	ok(olio_dev_set_no_snoop(st->dev, wrong));
	ok(olio_dma_map(st->dev, &run, TO, 0, &dma));
	ok(olio_dev_read(st->dev, dma, &byte, 1));
	ok(olio_dma_unmap(st->dev, dma, PAGE, TO, 0));
}

#define COHERENT "pc lazy-amd p2p-switch p2p-acs"

const struct scene access_scenes[] = {
	SCENE(16, identity_pointer, EVERYWHERE),
	SCENE(16, identity_physical, EVERYWHERE),
	SCENE(16, identity_bus, "pc lazy-amd"),
	SCENE(17, truncated, TRANSLATED),
	SCENE(17, truncated_mask, "pc lazy-amd arm-noncoherent p2p-switch p2p-acs"),
	SCENE(19, early_reuse, "pc p2p-switch p2p-acs"),
	SCENE(20, use_after_unmap, EVERYWHERE),
	SCENE(21, over_map_write, "pc lazy-amd arm-noncoherent p2p-switch p2p-acs"),
	SCENE(21, over_map_before, "pc lazy-amd arm-noncoherent p2p-switch p2p-acs"),
	SCENE(22, wrong_access_write, EVERYWHERE),
	SCENE(22, wrong_access_read, EVERYWHERE),
	SCENE(23, reserved_interrupts, TRANSLATED, .no_there = true),
	SCENE(23, reserved_bar, EVERYWHERE, .no_there = true),
	SCENE(24, prefetch, EVERYWHERE),
	SCENE(24, prefetch_next, TRANSLATED),
	SCENE(33, no_barrier, EVERYWHERE),
	SCENE(34, no_snoop, COHERENT),
};
const size_t nr_access_scenes = sizeof(access_scenes) / sizeof(access_scenes[0]);
