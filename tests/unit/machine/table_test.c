// SPDX-License-Identifier: MIT
/*
 * Proves that a table hands out each object once, tells its uses apart, grows
 * by chunks up to its limit, and finds its free objects again after a process
 * was killed anywhere inside it.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "place.h"

struct thing {
	struct oli_obj obj;
	u64 value;
};

static struct thing *take(struct oli_machine *m)
{
	struct thing *o;

	assert_int_equal(oli_table_alloc(m, &place_root(m)->table, m->slot, &o), 0);
	return o;
}

static u32 used(struct oli_machine *m)
{
	struct oli_obj *o;
	u32 n = 0;

	for (u32 id = 0; (o = oli_table_peek(m, &place_root(m)->table, id)); id++)
		n += o->state != OLI_OBJ_FREE;
	return n;
}

static void test_life(void **state)
{
	struct oli_machine *m = place_open();
	struct oli_table *t = &place_root(m)->table;
	struct thing *a = take(m), *b;
	u32 id = a->obj.id, gen = a->obj.gen;

	(void)state;
	assert_int_equal(gen, 1);
	assert_int_equal(a->obj.slot, m->slot);
	assert_null(oli_table_get(m, t, id)); /* not published */
	a->value = 7;
	oli_obj_publish(&a->obj);
	assert_ptr_equal(oli_table_get(m, t, id), a);
	assert_true(oli_obj_kill(&a->obj));
	assert_false(oli_obj_kill(&a->obj));
	assert_null(oli_table_get(m, t, id));
	oli_table_free(m, t, a);
	b = take(m);
	assert_ptr_equal(a, b);
	assert_int_equal(b->obj.gen, gen + 1);
	assert_int_equal(b->value, 0);
	assert_null(oli_table_get(m, t, UINT32_MAX));
	assert_null(oli_table_peek(m, t, t->nr));
	oli_machine_close(m);
}

/* To the limit: ids are dense, objects do not overlap, one more is refused; all come back. */
static void test_growth(void **state)
{
	struct oli_machine *m = place_open();
	struct oli_table *t = &place_root(m)->table;
	struct thing *all[5000], *more;
	u32 n = 0;

	(void)state;
	while (n < OLI_ARRAY_SIZE(all) && !oli_table_alloc(m, t, m->slot, &all[n])) {
		assert_int_equal(all[n]->obj.id, n);
		all[n]->value = n;
		n++;
	}
	assert_int_equal(oli_table_alloc(m, t, m->slot, &more), -ENOSPC);
	assert_true(n >= t->max);
	assert_true(n > t->chunk_objs);
	for (u32 i = 0; i < n; i++)
		assert_int_equal(all[i]->value, i);
	for (u32 i = 0; i < n; i++)
		oli_table_free(m, t, all[i]);
	assert_int_equal(used(m), 0);
	for (u32 i = 0; i < n; i++)
		assert_int_equal(oli_table_alloc(m, t, m->slot, &more), 0);
	assert_int_equal(oli_table_alloc(m, t, m->slot, &more), -ENOSPC);
	oli_machine_close(m);
}

/* A holder dies with the list in any state: what is free is found, nothing twice. */
static void test_rebuild(void **state)
{
	struct oli_machine *m = place_open();
	struct oli_table *t = &place_root(m)->table;
	struct thing *keep = take(m), *o;
	bool seen[5000] = {false};
	pid_t pid;

	(void)state;
	oli_obj_publish(&keep->obj);
	for (int i = 0; i < 5; i++)
		take(m);
	pid = fork();
	if (!pid) {
		(void)!oli_lock(&t->lock);
		t->free_head = keep->obj.id + 1; /* nonsense */
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(place_wait(pid), 128 + SIGKILL);
	while (!oli_table_alloc(m, t, m->slot, &o)) {
		assert_ptr_not_equal(o, keep);
		assert_false(seen[o->obj.id]);
		seen[o->obj.id] = true;
	}
	assert_ptr_equal(oli_table_get(m, t, keep->obj.id), keep);
	assert_int_equal(used(m), t->nr);
	oli_machine_close(m);
}

/* Killed between taking an object off the list and the list's update, or the reverse. */
static void test_orphans_are_reaped(void **state)
{
	struct oli_machine *m = place_open();
	struct oli_table *t = &place_root(m)->table;
	pid_t pid = fork();

	(void)state;
	if (!pid) {
		struct oli_machine *mine;

		oli_machine_forget(m);
		mine = place_open();
		t = &place_root(mine)->table;
		for (int i = 0; i < 10; i++)
			take(mine);
		oli_obj_publish(oli_table_peek(mine, t, 3));
		oli_obj_publish(oli_table_peek(mine, t, 4));
		oli_obj_kill(oli_table_peek(mine, t, 4));
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(place_wait(pid), 128 + SIGKILL);
	assert_int_equal(used(m), 10);
	oli_reap(m);
	assert_int_equal(used(m), 0);
	oli_machine_close(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life),
		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_rebuild),
		cmocka_unit_test(test_orphans_are_reaped),
	};

	return cmocka_run_group_tests_name("machine/table", tests, NULL, NULL);
}
