// SPDX-License-Identifier: MIT
/* Scenes: two-step mappings. */
#include <string.h>

#include "misuse.h"

#define TO OLIO_TO_DEVICE

struct two {
	struct olio_iova_state state;
	struct olio_run run[2];
};

/* A state for two pages; @links of them are linked and synchronised. */
static inline __attribute__((always_inline)) void begin(struct stage *st, struct two *t, int links)
{
	t->run[0] = run_at(st, 0, PAGE);
	t->run[1] = run_at(st, PAGE, PAGE);
	ok(olio_iova_alloc(st->dev, &t->state, t->run[0].pa, 2 * PAGE));
	for (int i = 0; i < links; i++)
		ok(olio_iova_link(&t->state, &t->run[i], (uint64_t)i * PAGE, TO, 0));
	if (links)
		ok(olio_iova_sync(&t->state, 0, (uint64_t)links * PAGE));
}

static void order_wrong_length(struct stage *st, bool wrong)
{
	struct two t;

	begin(st, &t, 1);
	if (!wrong || olio_iova_destroy(&t.state, 2 * PAGE, TO, 0))
		ok(olio_iova_destroy(&t.state, PAGE, TO, 0));
}

static void order_double_link(struct stage *st, bool wrong)
{
	struct two t;

	begin(st, &t, 1);
	if (wrong)
		assert_int_not_equal(olio_iova_link(&t.state, &t.run[1], 0, TO, 0), 0);
	ok(olio_iova_destroy(&t.state, PAGE, TO, 0));
}

static void order_past_end(struct stage *st, bool wrong)
{
	struct two t;

	begin(st, &t, 2);
	if (wrong)
		assert_int_not_equal(olio_iova_link(&t.state, &t.run[1], 2 * PAGE, TO, 0), 0);
	ok(olio_iova_destroy(&t.state, 2 * PAGE, TO, 0));
}

static void order_unlink_hole(struct stage *st, bool wrong)
{
	struct two t;

	begin(st, &t, 1);
	if (wrong)
		assert_int_not_equal(olio_iova_unlink(&t.state, PAGE, PAGE, TO, 0), 0);
	ok(olio_iova_unlink(&t.state, 0, PAGE, TO, 0));
	ok(olio_iova_free(&t.state));
}

static void order_free_with_links(struct stage *st, bool wrong)
{
	struct two t;

	begin(st, &t, 2);
	if (wrong)
		assert_int_not_equal(olio_iova_free(&t.state), 0);
	ok(olio_iova_destroy(&t.state, 2 * PAGE, TO, 0));
}

static void no_sync(struct stage *st, bool wrong)
{
	struct two t;
	uint8_t byte;

	begin(st, &t, 0);
	ok(olio_iova_link(&t.state, &t.run[0], 0, TO, 0));
	if (!wrong)
		ok(olio_iova_sync(&t.state, 0, PAGE));
	(void)!olio_dev_read(st->dev, olio_iova_start(&t.state), &byte, 1);
	ok(olio_iova_destroy(&t.state, PAGE, TO, 0));
}

static void dead_state(struct stage *st, bool wrong)
{
	struct two t;

	begin(st, &t, 1);
	if (!wrong)
		ok(olio_iova_link(&t.state, &t.run[1], PAGE, TO, 0));
	ok(olio_iova_destroy(&t.state, wrong ? PAGE : 2 * PAGE, TO, 0));
	if (wrong)
		assert_int_not_equal(olio_iova_link(&t.state, &t.run[1], PAGE, TO, 0), 0);
}

static void dead_state_copy(struct stage *st, bool wrong)
{
	struct olio_iova_state copy;
	struct two t;

	begin(st, &t, 1);
	copy = t.state;
	if (wrong)
		assert_int_not_equal(olio_iova_destroy(&copy, PAGE, TO, 0), 0);
	ok(olio_iova_destroy(&t.state, PAGE, TO, 0));
}

static void iova_leak(struct stage *st, bool wrong)
{
	struct two t;

	begin(st, &t, 1);
	ok(olio_iova_unlink(&t.state, 0, PAGE, TO, 0));
	if (!wrong)
		ok(olio_iova_free(&t.state));
	olio_dev_close(st->dev);
	st->dev = NULL;
}

static void iova_leak_again(struct stage *st, bool wrong)
{
	struct two t;

	begin(st, &t, 0);
	if (!wrong)
		ok(olio_iova_free(&t.state));
	ok(olio_iova_alloc(st->dev, &t.state, t.run[0].pa, 2 * PAGE));
	ok(olio_iova_free(&t.state));
}

static void leak_link(struct stage *st, bool wrong)
{
	struct two t;

	begin(st, &t, 1);
	if (!wrong)
		ok(olio_iova_destroy(&t.state, PAGE, TO, 0));
	olio_dev_close(st->dev);
	st->dev = NULL;
}

static void wrong_direction_link(struct stage *st, bool wrong)
{
	struct two t;

	begin(st, &t, 1);
	if (!wrong || olio_iova_destroy(&t.state, PAGE, OLIO_FROM_DEVICE, 0))
		ok(olio_iova_destroy(&t.state, PAGE, TO, 0));
}

/* The device was closed and opened again: another address space. */
static void wrong_owner_state(struct stage *st, bool wrong)
{
	struct olio_run run = run_at(st, 0, PAGE);
	struct olio_dev *user = another(st, "dma0");
	struct olio_iova_state state;

	ok(olio_iova_alloc(st->dev, &state, run.pa, PAGE));
	if (!wrong)
		ok(olio_iova_free(&state));
	/* Of two users the last one closes it. */
	olio_dev_close(user);
	olio_dev_close(st->dev);
	st->dev = another(st, "dma0");
	if (!wrong)
		ok(olio_iova_alloc(st->dev, &state, run.pa, PAGE));
	(void)!olio_iova_free(&state);
}

static void segment_limit(struct stage *st, bool wrong)
{
	struct two t;

	ok(olio_dev_set_segments(st->dev, PAGE, 0));
	begin(st, &t, wrong ? 2 : 1);
	ok(olio_iova_destroy(&t.state, wrong ? 2 * PAGE : PAGE, TO, 0));
}

static void segment_boundary(struct stage *st, bool wrong)
{
	struct two t;

	begin(st, &t, 0);
	ok(olio_dev_set_segments(st->dev, 0, PAGE));
	for (uint64_t i = 0; i < (wrong ? 2 : 1); i++)
		ok(olio_iova_link(&t.state, &t.run[i], i * PAGE, TO, 0));
	ok(olio_iova_destroy(&t.state, wrong ? 2 * PAGE : PAGE, TO, 0));
}

const struct scene step_scenes[] = {
	SCENE(3, wrong_direction_link, TRANSLATED),
	SCENE(7, leak_link, TRANSLATED),
	SCENE(11, order_wrong_length, TRANSLATED),
	SCENE(11, order_double_link, TRANSLATED),
	SCENE(11, order_past_end, TRANSLATED),
	SCENE(11, order_unlink_hole, TRANSLATED),
	SCENE(11, order_free_with_links, TRANSLATED),
	SCENE(12, no_sync, TRANSLATED),
	SCENE(13, dead_state, TRANSLATED),
	SCENE(13, dead_state_copy, TRANSLATED),
	SCENE(15, wrong_owner_state, TRANSLATED, .also = 14),
	SCENE(14, iova_leak, TRANSLATED),
	SCENE(14, iova_leak_again, TRANSLATED),
	SCENE(18, segment_limit, TRANSLATED),
	SCENE(18, segment_boundary, TRANSLATED),
};
const size_t nr_step_scenes = sizeof(step_scenes) / sizeof(step_scenes[0]);
