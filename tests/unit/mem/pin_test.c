// SPDX-License-Identifier: MIT
/*
 * Proves that a page has one frame for as long as somebody has it pinned, and none
 * afterwards: random pins and unpins against counts in an array, with huge pages and
 * failures among them; frames are nobody else's; and what the frame says of its page.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../bus/rig.h"
#include "base/fault.h"
#include "mem/int.h"

#define PAGE 4096ull
#define HUGE (2ull << 20)
/* Pages are only numbers here: nothing is mapped at them. */
#define BASE  0x123400000000ull
#define PAGES 1600u /* a bit more than three leaves */

struct model {
	struct oli_machine *m;
	u32 pins[PAGES];
	u64 pa[PAGES];
	u64 seen; /* pages that add() was told of */
	u64 at;
	bool fresh_huge;
	int fail_at; /* add() refuses when this reaches 0 */
};

static struct model *model(struct oli_machine *m)
{
	struct model *v = calloc(1, sizeof(*v));

	assert_non_null(v);
	v->m = m;
	return v;
}

static int add(void *arg, struct olio_pa pa, u64 len)
{
	struct model *v = arg;

	if (v->fail_at && !--v->fail_at)
		return -EXFULL;
	assert_true(len == PAGE || len == HUGE);
	for (u64 k = 0; k < len; k += PAGE) {
		u64 page = (v->at - BASE) / PAGE;
		struct oli_frame *f = oli_frame_get(v->m, (struct olio_pa){pa.v + k});

		assert_non_null(f);
		assert_int_equal(f->page & ~(PAGE - 1), v->at);
		if (v->pins[page])
			assert_int_equal(v->pa[page], pa.v + k);
		v->pa[page] = pa.v + k;
		v->at += PAGE;
	}
	v->seen += len / PAGE;
	return 0;
}

static int pin(struct model *v, u32 first, u32 n, bool huge)
{
	int err;

	v->at = BASE + first * PAGE;
	v->seen = 0;
	err = oli_pin(v->m, v->at, n * PAGE, huge, 0, add, v);
	if (err)
		return err;
	assert_int_equal(v->seen, n);
	for (u32 i = first; i < first + n; i++)
		v->pins[i]++;
	return 0;
}

static void unpin(struct model *v, u32 first, u32 n)
{
	oli_unpin(v->m, BASE + first * PAGE, n * PAGE);
	for (u32 i = first; i < first + n; i++)
		v->pins[i]--;
}

static void check(struct model *v)
{
	u64 used = 0;

	for (u32 i = 0; i < PAGES; i++) {
		const struct oli_frame *f;

		if (!v->pins[i])
			continue;
		used++;
		f = oli_frame_get(v->m, (struct olio_pa){v->pa[i]});
		assert_non_null(f);
		assert_int_equal(f->pins, v->pins[i]);
		assert_int_equal(f->page & ~(PAGE - 1), BASE + i * PAGE);
	}
	assert_int_equal(oli_frames_used(v->m, v->m->slot), used);
	assert_int_equal(oli_pins_count(v->m), used);
}

static void test_random(void **state)
{
	struct oli_desc d = rig_desc();
	struct oli_machine *m = rig_open(&d);
	struct model *v = model(m);
	struct {
		u32 first, n;
	} live[64];
	u32 nlive = 0;

	(void)state;
	rig_seed(4711);
	for (u32 step = 0; step < 4000; step++) {
		bool huge = !rig_rand(8);
		u32 first = huge ? rig_rand(3) * 512 : rig_rand(PAGES);
		u32 n = huge ? 512 : 1 + rig_rand(rig_rand(4) ? 9 : PAGES - first);

		if (n > PAGES - first)
			n = PAGES - first;
		if (nlive < OLI_ARRAY_SIZE(live) && rig_rand(2)) {
			v->fail_at = rig_rand(10) ? 0 : 1 + (int)rig_rand(n);
			if (!pin(v, first, n, huge)) {
				live[nlive].first = first;
				live[nlive++].n = n;
			}
			v->fail_at = 0;
		} else if (nlive) {
			u32 i = rig_rand(nlive);

			unpin(v, live[i].first, live[i].n);
			live[i] = live[--nlive];
		}
		if (step % 16 == 0)
			check(v);
	}
	while (nlive--)
		unpin(v, live[nlive].first, live[nlive].n);
	check(v);
	assert_int_equal(oli_pins_count(m), 0);
	free(v);
	rig_close(m);
}

/* A whole block, contiguous and aligned, unless a page of it has a frame. */
static void test_huge(void **state)
{
	struct oli_desc d = rig_desc();
	struct oli_machine *m = rig_open(&d);
	struct model *v = model(m);

	(void)state;
	assert_int_equal(pin(v, 512, 1024, true), 0);
	for (u32 i = 512; i < 1536; i++)
		assert_int_equal(v->pa[i], v->pa[i & ~511u] + (i & 511) * PAGE);
	assert_int_equal(v->pa[512] & (HUGE - 1), 0);
	assert_int_equal(v->pa[1024] & (HUGE - 1), 0);
	/* Pages of it, and again as a whole: what is there stays. */
	assert_int_equal(pin(v, 700, 5, false), 0);
	assert_int_equal(pin(v, 512, 512, true), 0);
	check(v);
	unpin(v, 512, 512);
	unpin(v, 512, 1024);
	check(v);
	/* Five pages of the block are left. */
	assert_int_equal(pin(v, 512, 512, true), 0);
	check(v);
	unpin(v, 512, 512);
	unpin(v, 700, 5);
	check(v);
	free(v);
	rig_close(m);
}

/* All RAM of the machine, once and again; what fails leaves nothing. */
static void test_full(void **state)
{
	struct oli_desc d = rig_desc();
	struct oli_machine *m;
	struct model *v;

	(void)state;
	d.ram_size = 2 * HUGE;
	m = rig_open(&d);
	v = model(m);
	for (u32 i = 0; i < 3; i++) {
		assert_int_equal(pin(v, 3, 1024, false), 0);
		assert_int_equal(pin(v, 2, 2, false), -ENOSPC);
		check(v);
		assert_int_equal(pin(v, 3, 1024, false), 0);
		unpin(v, 3, 1024);
		unpin(v, 3, 1024);
		check(v);
		assert_int_equal(pin(v, 0, 1024, true), 0);
		assert_int_equal(pin(v, 1024, 1, false), -ENOSPC);
		check(v);
		unpin(v, 0, 1024);
		assert_int_equal(pin(v, 0, 1025, false), -ENOSPC);
		check(v);
	}
	free(v);
	rig_close(m);
}

static int add_nothing(void *arg, struct olio_pa pa, u64 len)
{
	(void)arg;
	(void)len;
	*(u64 *)arg = pa.v;
	return 0;
}

static u32 flags_at(struct oli_machine *m, u64 pa)
{
	return (u32)(oli_frame_get(m, (struct olio_pa){pa})->page & (PAGE - 1));
}

/* Read-only as long as all who have it say so. */
static void test_read_only(void **state)
{
	struct oli_desc d = rig_desc();
	struct oli_machine *m = rig_open(&d);
	u64 pa = 0, again = 0;

	(void)state;
	assert_int_equal(oli_pin(m, BASE, PAGE, false, OLI_FRAME_READ_ONLY, add_nothing, &pa), 0);
	assert_true(flags_at(m, pa) & OLI_FRAME_READ_ONLY);
	assert_int_equal(oli_pin(m, BASE, PAGE, false, OLI_FRAME_READ_ONLY, add_nothing, &again),
			 0);
	assert_true(flags_at(m, pa) & OLI_FRAME_READ_ONLY);
	assert_int_equal(oli_pin(m, BASE, PAGE, false, 0, add_nothing, &again), 0);
	assert_int_equal(again, pa);
	assert_false(flags_at(m, pa) & OLI_FRAME_READ_ONLY);
	assert_int_equal(oli_pin(m, BASE, PAGE, false, OLI_FRAME_READ_ONLY, add_nothing, &again),
			 0);
	assert_false(flags_at(m, pa) & OLI_FRAME_READ_ONLY);
	for (u32 i = 0; i < 4; i++)
		oli_unpin(m, BASE, PAGE);
	assert_null(oli_frame_get(m, (struct olio_pa){pa}));
	/* More often than it was pinned: nothing. */
	oli_unpin(m, BASE, PAGE);
	assert_int_equal(oli_pins_count(m), 0);
	rig_close(m);
}

/* Opened and closed as a whole, or not at all. */
static void test_share(void **state)
{
	struct oli_desc d = rig_desc();
	struct oli_machine *m;
	struct model *v;

	(void)state;
	d.encrypted = 1;
	m = rig_open(&d);
	v = model(m);
	v->at = BASE;
	assert_int_equal(oli_pin(m, BASE, 4 * PAGE, false, OLI_FRAME_PRIVATE, add, v), 0);
	for (u32 i = 0; i < 4; i++)
		v->pins[i]++;
	assert_int_equal(pin(v, 2, 1, false), 0);
	assert_int_equal(oli_pins_share(m, BASE, 4 * PAGE, true), -EBUSY);
	for (u32 i = 0; i < 4; i++)
		assert_true(flags_at(m, v->pa[i]) & OLI_FRAME_PRIVATE);
	unpin(v, 2, 1);
	assert_int_equal(oli_pins_share(m, BASE + PAGE, 2 * PAGE, true), 0);
	for (u32 i = 0; i < 4; i++)
		assert_int_equal(!!(flags_at(m, v->pa[i]) & OLI_FRAME_PRIVATE), i == 0 || i == 3);
	assert_int_equal(oli_pins_share(m, BASE, 4 * PAGE, false), 0);
	for (u32 i = 0; i < 4; i++)
		assert_true(flags_at(m, v->pa[i]) & OLI_FRAME_PRIVATE);
	check(v);
	unpin(v, 0, 4);
	check(v);
	free(v);
	rig_close(m);
}

struct thread {
	struct oli_machine *m;
	pthread_t thread;
	u32 n;
};

static void *pin_and_unpin(void *arg)
{
	struct thread *t = arg;

	for (u32 i = 0; i < 300; i++) {
		u64 pa = 0, va = BASE + (i * 7 + t->n) % 40 * PAGE * 16;

		if (oli_pin(t->m, va, 32 * PAGE, false, 0, add_nothing, &pa))
			return arg;
		if (!oli_frame_get(t->m, (struct olio_pa){pa}))
			return arg;
		oli_unpin(t->m, va, 32 * PAGE);
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct oli_desc d = rig_desc();
	struct oli_machine *m = rig_open(&d);
	struct thread t[3];

	(void)state;
	for (u32 i = 0; i < OLI_ARRAY_SIZE(t); i++) {
		t[i] = (struct thread){.m = m, .n = i};
		assert_int_equal(pthread_create(&t[i].thread, NULL, pin_and_unpin, &t[i]), 0);
	}
	for (u32 i = 0; i < OLI_ARRAY_SIZE(t); i++) {
		void *failed;

		pthread_join(t[i].thread, &failed);
		assert_null(failed);
	}
	assert_int_equal(oli_pins_count(m), 0);
	assert_int_equal(oli_frames_used(m, m->slot), 0);
	rig_close(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random), cmocka_unit_test(test_huge),
		cmocka_unit_test(test_full),   cmocka_unit_test(test_read_only),
		cmocka_unit_test(test_share),  cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
