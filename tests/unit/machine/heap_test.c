// SPDX-License-Identifier: MIT
/*
 * Proves the page heap against a plain array: random programs of takes and
 * gives (replayed by OLIO_TEST_SEED) never overlap, are zeroed, are tagged with
 * their owner and counted; a file system that is full is an error with nothing
 * taken; a signal is not; an owner's death gives all of its pages back.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/fault.h"
#include "place.h"

enum { BLOCKS = 200, PAGES = 1 << 16 };

struct block {
	u64 off, bytes;
	u16 owner;
	u8 mark;
};

struct model {
	struct oli_machine *m;
	u16 owner[PAGES]; /* owner + 1 */
	struct block block[BLOCKS];
	u64 pages;
	u64 base; /* pages in use before */
};

static u64 pages_of(u64 bytes)
{
	return ((bytes ? bytes : 1) + OLI_PAGE_SIZE - 1) / OLI_PAGE_SIZE;
}

static u64 page_of(struct model *md, u64 off)
{
	return (off - md->m->shm->heap_off) / OLI_PAGE_SIZE;
}

static void take(struct model *md, struct block *b, u32 seed)
{
	u64 n, first;
	u8 *p;

	b->bytes = (u64)rand() % (rand() % 8 ? 20000 : 600000);
	b->owner = rand() % 2 ? OLI_OWNER_MACHINE : 100u + (u16)(rand() % 3);
	b->mark = (u8)(1 + rand() % 255);
	assert_int_equal(oli_heap_alloc(md->m, b->bytes, b->owner, &b->off), 0);
	n = pages_of(b->bytes);
	first = page_of(md, b->off);
	p = oli_ptr(md->m, b->off);
	for (u64 i = 0; i < n; i++) {
		if (first + i >= PAGES || md->owner[first + i])
			fail_msg("seed %u: page %llu is handed out twice", seed,
				 (unsigned long long)(first + i));
		md->owner[first + i] = b->owner + 1;
	}
	for (u64 i = 0; i < n * OLI_PAGE_SIZE; i++)
		if (p[i])
			fail_msg("seed %u: not zeroed", seed);
	memset(p, b->mark, n * OLI_PAGE_SIZE);
	md->pages += n;
}

static void check_bytes(struct model *md, const struct block *b, u32 seed)
{
	const u8 *p = oli_ptr(md->m, b->off);

	for (u64 i = 0; i < pages_of(b->bytes) * OLI_PAGE_SIZE; i++)
		if (p[i] != b->mark)
			fail_msg("seed %u: somebody wrote into a block", seed);
}

static void forget(struct model *md, struct block *b)
{
	memset(md->owner + page_of(md, b->off), 0, pages_of(b->bytes) * sizeof(u16));
	md->pages -= pages_of(b->bytes);
	b->off = 0;
}

static void give_owner(struct model *md, u16 owner)
{
	oli_heap_free_owner(md->m, owner);
	for (int i = 0; i < BLOCKS; i++)
		if (md->block[i].off && md->block[i].owner == owner)
			forget(md, &md->block[i]);
}

static void step(struct model *md, u32 seed)
{
	struct block *b = &md->block[rand() % BLOCKS];

	if (rand() % 200 == 0) {
		give_owner(md, 100 + (u16)(rand() % 3));
	} else if (!b->off) {
		take(md, b, seed);
	} else {
		check_bytes(md, b, seed);
		oli_heap_free(md->m, b->off, b->bytes);
		forget(md, b);
	}
	if (md->m->shm->heap_used != md->base + md->pages)
		fail_msg("seed %u: %llu pages counted, %llu taken", seed,
			 (unsigned long long)md->m->shm->heap_used,
			 (unsigned long long)(md->base + md->pages));
}

static void run_model(u32 seed)
{
	struct model *md = calloc(1, sizeof(*md));

	srand(seed);
	md->m = place_open();
	md->base = md->m->shm->heap_used;
	for (int i = 0; i < 2000; i++)
		step(md, seed);
	for (int i = 0; i < BLOCKS; i++)
		if (md->block[i].off)
			check_bytes(md, &md->block[i], seed);
	oli_machine_close(md->m);
	free(md);
}

static void test_model(void **state)
{
	const char *given = getenv("OLIO_TEST_SEED");
	u32 seed = given ? (u32)atoi(given) : (u32)getpid();

	(void)state;
	print_message("# seed %u\n", seed);
	for (u32 i = 0; i < (given ? 1 : 3); i++)
		run_model(seed + i);
}

static void test_impossible(void **state)
{
	struct oli_machine *m = place_open();
	u64 before = m->shm->heap_used, off = 1;

	(void)state;
	assert_int_equal(oli_heap_alloc(m, UINT64_MAX, 0, &off), -ENOMEM);
	assert_int_equal(oli_heap_alloc(m, m->size, 0, &off), -ENOMEM);
	assert_int_equal(off, 1);
	assert_int_equal(m->shm->heap_used, before);
	/* Nonsense is not freed. */
	oli_heap_free(m, m->shm->heap_off - OLI_PAGE_SIZE, OLI_PAGE_SIZE);
	oli_heap_free(m, m->size, OLI_PAGE_SIZE);
	assert_int_equal(m->shm->heap_used, before);
	oli_machine_close(m);
}

static void test_refused_growth(void **state)
{
	struct oli_machine *m = place_open();
	u64 before = m->shm->heap_used, off;

	(void)state;
	oli_fault_countdown = 1;
	assert_int_equal(oli_heap_alloc(m, 16 << 20, 0, &off), -ENOMEM);
	assert_int_equal(oli_fault_countdown, 0);
	assert_int_equal(m->shm->heap_used, before);
	assert_int_equal(oli_heap_alloc(m, 16 << 20, 0, &off), 0);
	oli_machine_close(m);
}

/* A real, small file system: taken to its last page, it says so and never raises SIGBUS. */
static void test_full_file_system(void **state)
{
	char dir[] = "/tmp/olio-tmpfs-XXXXXX", machine[64], why[OLI_WHY_MAX];
	struct oli_machine_opts opts = {.name = machine};
	struct oli_machine *m;
	u64 off, last = 0;
	u32 n = 0;

	(void)state;
	assert_non_null(mkdtemp(dir));
	if (mount("tmpfs", dir, "tmpfs", 0, "size=2m")) {
		rmdir(dir);
		skip();
	}
	snprintf(machine, sizeof(machine), "%s/m", dir);
	assert_int_equal(oli_machine_open(&opts, place_parts, &m, why), 0);
	while (n < 10000 && !oli_heap_alloc(m, OLI_PAGE_SIZE, 5, &off)) {
		memset(oli_ptr(m, off), 1, OLI_PAGE_SIZE);
		last = off;
		n++;
	}
	assert_in_range(n, 100, 511);
	/* What is given back can be had again, and not a page more. */
	oli_heap_free(m, last, OLI_PAGE_SIZE);
	assert_int_equal(oli_heap_alloc(m, OLI_PAGE_SIZE, 5, &off), 0);
	assert_int_equal(oli_heap_alloc(m, OLI_PAGE_SIZE, 5, &off), -ENOMEM);
	oli_machine_close(m);
	umount(dir);
	rmdir(dir);
}

static void on_alarm(int sig)
{
	(void)sig;
}

/* A program with a profiling timer gets memory all the same. */
static void test_signals(void **state)
{
	struct oli_machine *m = place_open();
	struct itimerval fast = {{0, 50}, {0, 50}}, off_timer = {{0, 0}, {0, 0}};
	struct sigaction sa = {.sa_handler = on_alarm}, old;
	int err = 0;
	u64 off;

	(void)state;
	sigaction(SIGALRM, &sa, &old);
	setitimer(ITIMER_REAL, &fast, NULL);
	for (int i = 0; i < 100 && !err; i++)
		err = oli_heap_alloc(m, 1 << 20, 3, &off);
	setitimer(ITIMER_REAL, &off_timer, NULL);
	sigaction(SIGALRM, &old, NULL);
	assert_int_equal(err, 0);
	oli_machine_close(m);
}

/* Killed while counting: the count is right again for the next one. */
static void test_dead_holder(void **state)
{
	struct oli_machine *m = place_open();
	u64 off, used;
	pid_t pid;

	(void)state;
	assert_int_equal(oli_heap_alloc(m, 8 * OLI_PAGE_SIZE, 7, &off), 0);
	used = m->shm->heap_used;
	pid = fork();
	if (!pid) {
		(void)!oli_lock(&m->shm->heap_lock);
		memset(oli_ptr(m, m->shm->owner_off + page_of(&(struct model){.m = m}, off) * 2), 0,
		       4 * sizeof(u16));
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(place_wait(pid), 128 + SIGKILL);
	oli_heap_free_owner(m, 7);
	assert_int_equal(m->shm->heap_used, used - 8);
	oli_machine_close(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_impossible),
		cmocka_unit_test(test_refused_growth),
		cmocka_unit_test(test_full_file_system),
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_dead_holder),
	};

	return cmocka_run_group_tests_name("machine/heap", tests, NULL, NULL);
}
