// SPDX-License-Identifier: MIT
/* Scenes: who may touch the bytes. */
#include <string.h>

#include "misuse.h"

#define TO   OLIO_TO_DEVICE
#define FROM OLIO_FROM_DEVICE
#define BIDI OLIO_BIDIRECTIONAL

#define OWNED "arm-noncoherent cc-guest hostile"

static void read_without_sync(struct stage *st, bool wrong)
{
	struct olio_run run = run_at(st, 0, PAGE);
	volatile uint8_t *p = st->buf;
	struct olio_iova dma;
	uint8_t byte = 7;

	ok(olio_dma_map(st->dev, &run, FROM, 0, &dma));
	ok(olio_dev_write(st->dev, dma, &byte, 1));
	if (!wrong)
		ok(olio_dma_sync_for_cpu(st->dev, dma, PAGE, FROM));
	(void)p[0];
	ok(olio_dma_unmap(st->dev, dma, PAGE, FROM, 0));
}

static void bounce_in_place(struct stage *st, bool wrong)
{
	struct olio_run run = run_at(st, 0, PAGE);
	volatile uint8_t *p = st->buf;
	struct olio_iova dma;
	uint8_t byte = 7;

	ok(olio_dma_map(st->dev, &run, FROM, 0, &dma));
	ok(olio_dev_write(st->dev, dma, &byte, 1));
	if (!wrong)
		ok(olio_dma_sync_for_cpu(st->dev, dma, PAGE, FROM));
	(void)p[0];
	ok(olio_dma_unmap(st->dev, dma, PAGE, FROM, 0));
}

static void write_without_sync(struct stage *st, bool wrong)
{
	struct olio_run run = run_at(st, 0, PAGE);
	struct olio_iova dma;
	uint8_t byte;

	ok(olio_dma_map(st->dev, &run, BIDI, 0, &dma));
	ok(olio_dma_sync_for_cpu(st->dev, dma, PAGE, BIDI));
	st->buf[100] = 1;
	if (!wrong)
		ok(olio_dma_sync_for_device(st->dev, dma, PAGE, BIDI));
	ok(olio_dev_read(st->dev, (struct olio_iova){dma.v + 100}, &byte, 1));
	ok(olio_dma_unmap(st->dev, dma, PAGE, BIDI, 0));
}

static void touch_while_owned(struct stage *st, bool wrong)
{
	struct olio_run run = run_at(st, 0, PAGE / 2);
	struct olio_iova dma;

	ok(olio_dma_map(st->dev, &run, TO, 0, &dma));
	if (!wrong)
		ok(olio_dma_sync_for_cpu(st->dev, dma, PAGE / 2, TO));
	st->buf[100] = 1;
	if (!wrong)
		ok(olio_dma_sync_for_device(st->dev, dma, PAGE / 2, TO));
	ok(olio_dma_unmap(st->dev, dma, PAGE / 2, TO, 0));
}

/* The same on a page that is guarded: noticed at the instruction. */
static void touch_while_owned_page(struct stage *st, bool wrong)
{
	struct olio_run run = run_at(st, 0, PAGE);
	volatile uint8_t *p = st->buf;
	struct olio_iova dma;

	ok(olio_dma_map(st->dev, &run, BIDI, 0, &dma));
	if (!wrong)
		ok(olio_dma_sync_for_cpu(st->dev, dma, PAGE, BIDI));
	p[100] = 1;
	assert_int_equal(p[100], 1);
	if (!wrong)
		ok(olio_dma_sync_for_device(st->dev, dma, PAGE, BIDI));
	ok(olio_dma_unmap(st->dev, dma, PAGE, BIDI, 0));
}

/* The device reads what the CPU wrote under it: known before the unmap. */
static void touch_while_owned_read(struct stage *st, bool wrong)
{
	struct olio_run run = run_at(st, 32, 1000);
	struct olio_iova dma;
	uint8_t byte;

	ok(olio_dma_map(st->dev, &run, TO, 0, &dma));
	if (wrong)
		st->buf[100] = 1;
	/* Beside it, in its first and last line: that is nobody's business. */
	st->buf[31] = 1;
	st->buf[1032] = 1;
	ok(olio_dev_read(st->dev, (struct olio_iova){dma.v + 68}, &byte, 1));
	ok(olio_dma_unmap(st->dev, dma, 1000, TO, 0));
}

static void skipped_sync(struct stage *st, bool wrong)
{
	struct olio_run run = run_at(st, 0, PAGE);
	struct olio_iova dma;
	uint8_t byte;

	ok(olio_dma_map(st->dev, &run, TO, OLIO_ATTR_SKIP_CPU_SYNC, &dma));
	if (!wrong)
		ok(olio_dma_sync_for_device(st->dev, dma, PAGE, TO));
	ok(olio_dev_read(st->dev, dma, &byte, 1));
	ok(olio_dma_unmap(st->dev, dma, PAGE, TO, OLIO_ATTR_SKIP_CPU_SYNC));
}

static void skipped_sync_back(struct stage *st, bool wrong)
{
	struct olio_run run = run_at(st, 0, PAGE);
	struct olio_iova dma;
	uint8_t byte = 9;

	ok(olio_dma_map(st->dev, &run, FROM, 0, &dma));
	ok(olio_dev_write(st->dev, dma, &byte, 1));
	if (!wrong)
		ok(olio_dma_sync_for_cpu(st->dev, dma, PAGE, FROM));
	ok(olio_dma_unmap(st->dev, dma, PAGE, FROM, OLIO_ATTR_SKIP_CPU_SYNC));
}

const struct scene own_scenes[] = {
	SCENE(25, read_without_sync, "arm-noncoherent", .guards = true),
	SCENE(26, write_without_sync, OWNED),
	SCENE(27, touch_while_owned, OWNED),
	SCENE(27, touch_while_owned_page, OWNED),
	SCENE(27, touch_while_owned_read, OWNED),
	SCENE(30, skipped_sync, OWNED),
	SCENE(30, skipped_sync_back, OWNED),
	SCENE(35, bounce_in_place, "cc-guest hostile", .guards = true),
};
const size_t nr_own_scenes = sizeof(own_scenes) / sizeof(own_scenes[0]);
