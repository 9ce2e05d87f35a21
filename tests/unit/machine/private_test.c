// SPDX-License-Identifier: MIT
/*
 * Proves that a private machine is nobody else's by accident, goes with its last process,
 * and that one whose processes were killed goes when the next one is made, but never one
 * that lives; that its clock stands and moves as it is told, and wakes who waits for it.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/fault.h"
#include "place.h"

static struct oli_machine *private_open(void)
{
	struct oli_machine_opts opts = {.private_dir = true};
	struct oli_machine *m;
	char why[OLI_WHY_MAX];

	if (oli_machine_open(&opts, place_parts, &m, why))
		fail_msg("no machine: %s", why);
	return m;
}

static void test_own_directories(void **state)
{
	struct oli_machine *a = private_open(), *b = private_open(), *c;
	struct oli_machine_opts opts = {.name = a->dir, .no_create = true};
	char dir[256], why[OLI_WHY_MAX];

	(void)state;
	assert_string_not_equal(a->dir, b->dir);
	assert_int_equal(a->slot, 0);
	assert_int_equal(b->slot, 0);
	/* By its directory another can come, and stay longest. */
	assert_int_equal(oli_machine_open(&opts, place_parts, &c, why), 0);
	assert_int_equal(c->slot, 1);
	snprintf(dir, sizeof(dir), "%s", a->dir);
	oli_machine_close(a);
	assert_int_equal(access(dir, F_OK), 0);
	oli_machine_close(c);
	assert_int_equal(access(dir, F_OK), -1);
	snprintf(dir, sizeof(dir), "%s", b->dir);
	oli_machine_close(b);
	assert_int_equal(access(dir, F_OK), -1);
}

/* A child that makes one, says where, and waits to be killed. */
static pid_t keeper(char dir[256])
{
	int says[2];
	pid_t pid;

	assert_int_equal(pipe(says), 0);
	pid = fork();
	if (!pid) {
		struct oli_machine *m;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(says[0]);
		m = private_open();

		if (write(says[1], m->dir, 256) == 256)
			poll(NULL, 0, 20000);
		place_leave(1);
	}
	close(says[1]);
	assert_int_equal(read(says[0], dir, 256), 256);
	close(says[0]);
	return pid;
}

static void test_left_behind(void **state)
{
	char dead[256], alive[256];
	pid_t first = keeper(dead), second = keeper(alive);

	(void)state;
	kill(first, SIGKILL);
	place_wait(first);
	assert_int_equal(access(dead, F_OK), 0);
	oli_machine_close(private_open());
	assert_int_equal(access(dead, F_OK), -1);
	assert_int_equal(access(alive, F_OK), 0);
	kill(second, SIGKILL);
	place_wait(second);
	oli_machine_close(private_open());
	assert_int_equal(access(alive, F_OK), -1);
}

static void test_faults(void **state)
{
	u32 fds = place_fds(), failed = 0;
	char base[256];
	struct oli_machine *m = private_open();

	(void)state;
	snprintf(base, sizeof(base), "%s", m->dir);
	*strrchr(base, '/') = '\0';
	oli_machine_close(m);
	for (int n = 1;; n++) {
		struct oli_machine_opts opts = {.private_dir = true};
		char why[OLI_WHY_MAX] = "";
		int err;

		oli_fault_countdown = n;
		err = oli_machine_open(&opts, place_parts, &m, why);
		if (!err && oli_fault_countdown)
			break;
		oli_fault_countdown = 0;
		if (!err) {
			oli_machine_close(m);
			continue;
		}
		failed++;
		assert_true(why[0]);
		assert_int_equal(place_fds(), fds);
		assert_int_equal(place_files(base, "private-"), 0);
	}
	oli_fault_countdown = 0;
	oli_machine_close(m);
	assert_true(failed > 5);
}

/* ---- clock ---- */

static _Atomic u64 ticked; /* the time of the last tick */
static _Atomic u64 due; /* when the part wants the next one */

static int no_init(struct oli_machine *m, void *root)
{
	(void)m;
	(void)root;
	return 0;
}

static void no_reap(struct oli_machine *m, void *root, u16 slot)
{
	(void)m;
	(void)root;
	(void)slot;
}

static u64 tick(struct oli_machine *m, void *root, void *local, u64 now)
{
	(void)m;
	(void)root;
	(void)local;
	atomic_store(&ticked, now);
	return atomic_load(&due) > now ? atomic_load(&due) : 0;
}

static const struct oli_part ticking = {
	.name = "ticking", .init = no_init, .reap = no_reap, .tick = tick};
static const struct oli_part *const ticking_parts[] = {&ticking, NULL};

static void wait_for_tick(u64 at)
{
	for (int ms = 0; atomic_load(&ticked) < at; ms++) {
		assert_true(ms < 5000);
		poll(NULL, 0, 1);
	}
}

static void test_clock(void **state)
{
	struct oli_machine_opts opts = {.private_dir = true};
	struct oli_machine *m;
	char why[OLI_WHY_MAX];
	u64 t;

	(void)state;
	assert_int_equal(oli_machine_open(&opts, ticking_parts, &m, why), 0);
	assert_int_equal(oli_machine_advance(m, 5), -EINVAL);
	assert_int_equal(oli_machine_freeze(m), 0);
	t = oli_machine_now(m);
	atomic_store(&due, t + 60 * 1000 * OLI_NS_PER_MS);
	poll(NULL, 0, 3); /* the clock that must not move */
	assert_int_equal(oli_machine_now(m), t);
	assert_int_equal(oli_machine_freeze(m), 0);
	assert_int_equal(oli_machine_now(m), t);
	assert_int_equal(oli_machine_advance(m, 1000), 0);
	assert_int_equal(oli_machine_now(m), t + 1000);
	wait_for_tick(t + 1000);
	/* A minute at once; no real one passes. */
	assert_int_equal(oli_machine_advance(m, 60 * 1000 * OLI_NS_PER_MS), 0);
	wait_for_tick(atomic_load(&due));
	assert_int_equal(atomic_load(&ticked), t + 1000 + 60 * 1000 * OLI_NS_PER_MS);
	assert_int_equal(oli_machine_advance(m, UINT64_MAX), 0);
	assert_int_equal(oli_machine_now(m), UINT64_MAX);
	oli_machine_close(m);
}

static void test_public_clock_runs(void **state)
{
	struct oli_machine *m = place_open();

	(void)state;
	assert_int_equal(oli_machine_freeze(m), -EPERM);
	assert_int_equal(oli_machine_advance(m, 1), -EPERM);
	assert_true(oli_machine_now(m) <= oli_now());
	oli_machine_close(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own_directories),
		cmocka_unit_test(test_left_behind),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_clock),
		cmocka_unit_test(test_public_clock_runs),
	};

	/* The usual place, but not that of this user's real machines. */
	place_dir();
	{
		char run[256];

		snprintf(run, sizeof(run), "%s", place_dir());
		*strrchr(run, '/') = '\0';
		setenv("XDG_RUNTIME_DIR", run, 1);
	}
	return cmocka_run_group_tests_name("machine/private", tests, NULL, NULL);
}
