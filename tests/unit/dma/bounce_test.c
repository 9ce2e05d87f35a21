// SPDX-License-Identifier: MIT
/*
 * Proves the bounce slots (S3, B24) against the model of tests/model/bounce_model.h:
 * every arrangement of copies in a segment of eight granules, and every map and unmap
 * from there; every offset in a granule with lengths around its borders; long random
 * programs (replayed by OLIO_TEST_SEED) with several granules, pools and reaches.
 *
 * And by itself: the mask and the boundary of a device without IOMMU; the pool's
 * end and recovery, between processes too; a process killed with slots; memory that the
 * program unmapped; each request for a resource refused in turn; threads.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../model/bounce_model.h"
#include "base/fault.h"
#include "dma/bounce.h"
#include "lab.h"

enum { MEM = 1 << 19, SEGMENT = 256 << 10 };

#define CHECKED(call)                                                                              \
	do {                                                                                       \
		const char *why_ = call;                                                           \
		if (why_)                                                                          \
			fail_msg("%s", why_);                                                      \
	} while (0)

struct lab {
	struct oli_machine *m;
	struct olio_dev *dev;
	struct olio_mem *mem;
	struct bounce_env env;
};

/* One contiguous piece of memory of @len bytes, and the device @name. */
static void lab_start(struct lab *l, struct oli_desc *d, const char *name, u64 len)
{
	size_t n;

	d->linear = 1;
	l->m = lab_open(d);
	l->dev = lab_dev(l->m, name);
	l->env = (struct bounce_env){.dev = l->dev, .mem = lab_pages(len), .len = len};
	rig_fill(l->env.mem, len, 3);
	l->mem = lab_pin(l->m, l->env.mem, len);
	l->env.pa = olio_mem_runs(l->mem, &n)->pa.v;
	if (n != 1)
		fail_msg("%zu runs", n);
}

static void lab_stop(struct lab *l)
{
	munmap(l->env.mem, l->env.len);
	oli_mem_put(l->mem);
	olio_dev_close(l->dev);
	rig_close(l->m);
}

static struct oli_bounce_stats stats(struct lab *l)
{
	struct oli_bounce_stats st;

	oli_bounce_stats(l->m, &st);
	return st;
}

/* ---- every arrangement ---- */

enum { GROUPS = 8, GROUP = SEGMENT / GROUPS };

/* Blocks from the start of the segment on, each of so many granules; negative: a hole. */
struct arrangement {
	int block[GROUPS];
	u32 n;
};

struct built {
	int id[GROUPS];
	u32 n;
};

static void build(struct lab *l, const struct arrangement *a, struct built *b)
{
	int hole[GROUPS], holes = 0, id;

	bounce_model_begin(&l->env);
	b->n = 0;
	for (u32 i = 0; i < a->n; i++) {
		u64 len = (u64)abs(a->block[i]) * GROUP;

		CHECKED(bounce_model_map(0, len, OLIO_BIDIRECTIONAL, 0, &id));
		assert_true(id >= 0);
		if (a->block[i] < 0)
			hole[holes++] = id;
		else
			b->id[b->n++] = id;
	}
	while (holes)
		CHECKED(bounce_model_unmap(hole[--holes], 0));
}

static u64 arrangements;

static void from_here(struct lab *l, const struct arrangement *a)
{
	struct built b;
	int id;

	build(l, a, &b);
	CHECKED(bounce_model_check());
	for (u64 groups = 1; groups <= GROUPS; groups++) {
		CHECKED(bounce_model_map(GROUP, groups * GROUP, OLIO_TO_DEVICE,
					 OLIO_ATTR_SKIP_CPU_SYNC, &id));
		if (id >= 0)
			CHECKED(bounce_model_unmap(id, 0));
	}
	for (u32 i = 0; i < b.n; i++) {
		CHECKED(bounce_model_unmap(b.id[i], 0));
		CHECKED(bounce_model_map(0, GROUP, OLIO_FROM_DEVICE, 0, &b.id[i]));
		assert_true(b.id[i] >= 0);
	}
	CHECKED(bounce_model_end());
	arrangements++;
}

static void each_arrangement(struct lab *l, struct arrangement *a, int left)
{
	from_here(l, a);
	for (int k = 1; k <= left; k++)
		for (int sign = -1; sign <= 1; sign += 2) {
			/* Holes side by side are one. */
			if (sign < 0 && a->n && a->block[a->n - 1] < 0)
				continue;
			a->block[a->n++] = sign * k;
			each_arrangement(l, a, left - k);
			a->n--;
		}
}

static void test_arrangements(void **state)
{
	struct oli_desc d = rig_desc();
	struct arrangement a = {.n = 0};
	struct lab l;

	(void)state;
	d.granule_shift = 15;
	lab_start(&l, &d, "dev0", 2 * SEGMENT);
	each_arrangement(&l, &a, GROUPS);
	print_message("# %" PRIu64 " arrangements\n", arrangements);
	assert_true(arrangements > 1000);
	lab_stop(&l);
}

/* ---- every offset ---- */

static void test_offsets(void **state)
{
	static const u64 len[] = {1,	64,   2047, 2048, 2049,	 4095,
				  4096, 4097, 6000, 8192, 12287, 12288};
	struct oli_desc d = rig_desc();
	struct lab l;
	int id;

	(void)state;
	lab_start(&l, &d, "dev0", 5 * 4096);
	for (u64 off = 0; off < 4096; off++) {
		bounce_model_begin(&l.env);
		for (u32 i = off % 3; i < OLI_ARRAY_SIZE(len); i += 3) {
			CHECKED(bounce_model_map(off, len[i], OLIO_FROM_DEVICE, 0, &id));
			assert_true(id >= 0);
		}
		CHECKED(bounce_model_check());
		CHECKED(bounce_model_end());
	}
	lab_stop(&l);
}

/* The longest bounce fits from each offset in a granule, and a byte more does not from the last. */
static void test_longest(void **state)
{
	struct oli_desc d = rig_desc();
	struct lab l;
	u64 max;
	int id;

	(void)state;
	d.granule_shift = 14;
	lab_start(&l, &d, "dev0", 2 * SEGMENT);
	max = oli_bounce_max(l.dev);
	assert_int_equal(max, SEGMENT - 16383);
	for (u64 off = 0; off < 16384; off += off < 16 || off > 16360 ? 1 : 1021) {
		bounce_model_begin(&l.env);
		CHECKED(bounce_model_map(off, max, OLIO_BIDIRECTIONAL, 0, &id));
		assert_true(id >= 0);
		CHECKED(bounce_model_end());
	}
	bounce_model_begin(&l.env);
	CHECKED(bounce_model_map(16383, max + 1, OLIO_BIDIRECTIONAL, 0, &id));
	assert_int_equal(id, -1);
	assert_int_equal(olio_why()->reason, OLIO_REASON_BOUNCE_TOO_LONG);
	CHECKED(bounce_model_map(0, SEGMENT, OLIO_BIDIRECTIONAL, 0, &id));
	assert_true(id >= 0);
	CHECKED(bounce_model_end());
	lab_stop(&l);
}

/* ---- programs ---- */

static void run_programs(struct oli_desc *d, const char *dev, u32 seed, int count)
{
	u8 program[5 * 120];
	struct lab l;

	lab_start(&l, d, dev, MEM);
	for (int i = 0; i < count; i++) {
		const char *why;

		rig_seed(seed + (u32)i);
		for (size_t k = 0; k < sizeof(program); k++)
			program[k] = (u8)rig_rand(256);
		why = bounce_model_run(&l.env, program, sizeof(program));
		if (why)
			fail_msg("seed %u: %s", seed + (u32)i, why);
	}
	assert_int_equal(stats(&l).used, 0);
	lab_stop(&l);
}

static void test_programs(void **state)
{
	const char *given = getenv("OLIO_TEST_SEED");
	u32 seed = given ? (u32)atoi(given) : (u32)getpid() * 1000;
	int count = given ? 1 : 20;
	struct oli_desc d = rig_desc();

	(void)state;
	print_message("# seed %u\n", seed);
	run_programs(&d, "dev0", seed, count);
	d = rig_desc();
	d.bounce_slots = 512;
	d.granule_shift = 16;
	run_programs(&d, "dev0", seed, count);
	d = rig_desc();
	d.bounce_slots = 256;
	d.iommu = OLI_IOMMU_NONE;
	run_programs(&d, "dev0", seed, count);
}

/* ---- the device's limits ---- */

static void test_mask(void **state)
{
	struct oli_desc d = rig_desc();
	struct olio_pa pa[3];
	struct lab l;
	u64 low;

	(void)state;
	d.iommu = OLI_IOMMU_NONE;
	d.bounce_slots = 1024;
	lab_start(&l, &d, "dev0", MEM);
	low = OLI_PA_LOW + l.dev->desc->dma_offset;
	/* Room for two segments below it. */
	l.dev->mask = low + 2 * SEGMENT - 1;
	for (int i = 0; i < 2; i++)
		assert_int_equal(
			oli_bounce_map(l.dev, (struct olio_pa){l.env.pa}, SEGMENT, 1, 0, &pa[i]),
			0);
	assert_int_equal(oli_bounce_map(l.dev, (struct olio_pa){l.env.pa}, 1, 1, 0, &pa[2]),
			 -EOPNOTSUPP);
	assert_int_equal(olio_why()->reason, OLIO_REASON_MASK);
	/* Another device may take what is above, and the first one does not get it. */
	l.dev->mask = UINT64_MAX;
	assert_int_equal(oli_bounce_map(l.dev, (struct olio_pa){l.env.pa}, 1, 1, 0, &pa[2]), 0);
	assert_true(pa[2].v >= OLI_PA_LOW + 2 * SEGMENT);
	l.dev->mask = low + 2 * SEGMENT - 1;
	assert_int_equal(oli_bounce_map(l.dev, (struct olio_pa){l.env.pa}, 1, 1, 0, &pa[2]),
			 -EOPNOTSUPP);
	oli_bounce_unmap(l.dev, pa[0], SEGMENT, 1, 0);
	assert_int_equal(oli_bounce_map(l.dev, (struct olio_pa){l.env.pa}, 1, 1, 0, &pa[0]), 0);
	l.dev->mask = low - 1;
	assert_int_equal(oli_bounce_map(l.dev, (struct olio_pa){l.env.pa}, 1, 1, 0, &pa[2]),
			 -EOPNOTSUPP);
	assert_int_equal(olio_why()->reason, OLIO_REASON_MASK);
	lab_stop(&l);
}

static void test_boundary(void **state)
{
	struct oli_desc d = rig_desc();
	struct olio_pa pa;
	struct lab l;

	(void)state;
	d.iommu = OLI_IOMMU_NONE;
	lab_start(&l, &d, "dev0", MEM);
	l.dev->boundary = 8192;
	for (int i = 0; i < 20; i++) {
		u64 dma;

		assert_int_equal(oli_bounce_map(l.dev, (struct olio_pa){l.env.pa}, 5000, 1, 0, &pa),
				 0);
		dma = pa.v + l.dev->desc->dma_offset;
		assert_int_equal(dma / 8192, (dma + 4999) / 8192);
	}
	/* 6 KiB of each 8 are taken by now, and what is longer than the distance crosses in any
	 * case. */
	assert_int_equal(oli_bounce_map(l.dev, (struct olio_pa){l.env.pa}, 20000, 1, 0, &pa), 0);
	lab_stop(&l);
}

static void test_bad_ranges(void **state)
{
	struct oli_desc d = rig_desc();
	struct olio_pa pa = {1};
	struct lab l;

	(void)state;
	lab_start(&l, &d, "dev0", MEM);
	assert_int_equal(oli_bounce_map(l.dev, (struct olio_pa){l.env.pa}, 0, 1, 0, &pa),
			 -EOVERFLOW);
	assert_int_equal(oli_bounce_map(l.dev, (struct olio_pa){l.env.pa}, UINT64_MAX, 1, 0, &pa),
			 -EOVERFLOW);
	assert_int_equal(oli_bounce_map(l.dev, (struct olio_pa){UINT64_MAX}, 2, 1, 0, &pa),
			 -EOVERFLOW);
	/* Nobody's, and low memory: not the program's. */
	assert_int_equal(oli_bounce_map(l.dev, (struct olio_pa){UINT64_MAX}, 1, 1, 0, &pa),
			 -EFAULT);
	assert_int_equal(oli_bounce_map(l.dev, (struct olio_pa){OLI_PA_LOW}, 1, 1, 0, &pa),
			 -EFAULT);
	assert_int_equal(oli_bounce_map(l.dev, (struct olio_pa){l.env.pa + MEM - 1}, 2, 1, 0, &pa),
			 -EFAULT);
	assert_int_equal(olio_why()->reason, OLIO_REASON_NO_PAGE);
	assert_int_equal(pa.v, 1);
	assert_int_equal(stats(&l).used, 0);
	/* Nothing happens. */
	oli_bounce_unmap(l.dev, (struct olio_pa){0}, 1, 3, 0);
	oli_bounce_unmap(l.dev, (struct olio_pa){OLI_PA_LOW}, 1, 3, 0);
	oli_bounce_unmap(l.dev, (struct olio_pa){UINT64_MAX}, UINT64_MAX, 3, 0);
	oli_bounce_sync(l.dev, (struct olio_pa){OLI_PA_LOW}, 1, true);
	lab_stop(&l);
}

/* What another process has pinned is not copied: its addresses mean other memory here. */
static void test_not_ours(void **state)
{
	struct oli_desc d = rig_desc();
	struct oli_machine *other;
	struct olio_mem *mem;
	struct olio_pa pa;
	struct lab l;
	size_t n;

	(void)state;
	lab_start(&l, &d, "dev0", MEM);
	other = lab_attach();
	mem = lab_pin(other, l.env.mem, 4096);
	assert_int_equal(oli_bounce_map(l.dev, olio_mem_runs(mem, &n)->pa, 4096, 1, 0, &pa),
			 -EFAULT);
	assert_int_equal(stats(&l).used, 0);
	oli_mem_put(mem);
	rig_close(other);
	lab_stop(&l);
}

/* A copy is found, synchronised and ended as what it is, and once. */
static void test_ends_once(void **state)
{
	struct oli_desc d = rig_desc();
	struct olio_pa pa, start, orig;
	struct oli_bounce b;
	struct lab l;
	u64 len;
	u8 was;

	(void)state;
	d.bounce_slots = 512;
	lab_start(&l, &d, "dev0", MEM);
	assert_int_equal(oli_bounce_map(l.dev, (struct olio_pa){l.env.pa}, 100, 3, 0, &pa), 0);
	assert_true(oli_bounce_find(l.m, pa, &start, &len, &orig));
	was = l.env.mem[0];
	assert_true(oli_bounce_at(l.m, pa.v, &b));
	b.cpu[b.skew] = (u8)(was + 1);
	oli_bounce_sync(l.dev, pa, 101, true);
	assert_int_equal(l.env.mem[0], was);
	oli_bounce_sync(l.dev, pa, 100, true);
	assert_int_equal(l.env.mem[0], (u8)(was + 1));
	assert_true(oli_bounce_retire(l.dev, pa.v, 100, &b));
	assert_false(oli_bounce_retire(l.dev, pa.v, 100, &b));
	assert_false(oli_bounce_find(l.m, pa, &start, &len, &orig));
	oli_bounce_give(l.dev, &b);
	assert_false(oli_bounce_find(l.m, pa, &start, &len, &orig));
	assert_int_equal(stats(&l).used, 0);
	lab_stop(&l);
}

/* Slots that went back to the machine are not looked for where they were. */
static void test_moved(void **state)
{
	struct oli_desc d = rig_desc();
	struct olio_pa was, now, start, orig, low;
	struct lab l;
	void *cpu;
	u64 len;

	(void)state;
	d.bounce_slots = 128;
	lab_start(&l, &d, "dev0", MEM);
	assert_int_equal(oli_bounce_map(l.dev, (struct olio_pa){l.env.pa}, 100, 3, 0, &was), 0);
	oli_bounce_unmap(l.dev, was, 100, 3, 0);
	assert_int_equal(oli_low_alloc(l.m, SEGMENT, &low, &cpu), 0);
	assert_true(was.v - low.v < SEGMENT);
	assert_int_equal(oli_bounce_map(l.dev, (struct olio_pa){l.env.pa}, 100, 3, 0, &now), 0);
	for (u64 at = 0; at < SEGMENT; at += 2048)
		assert_false(oli_bounce_find(l.m, (struct olio_pa){low.v + at}, &start, &len,
					     &orig));
	assert_true(oli_bounce_find(l.m, now, &start, &len, &orig));
	oli_bounce_unmap(l.dev, now, 100, 3, 0);
	oli_low_free(l.m, low, SEGMENT);
	lab_stop(&l);
}

static void test_no_slots(void **state)
{
	struct oli_desc d = rig_desc();
	struct olio_pa pa;
	struct lab l;

	(void)state;
	d.bounce_slots = 0;
	lab_start(&l, &d, "dev0", MEM);
	assert_int_equal(oli_bounce_max(l.dev), 0);
	assert_int_equal(oli_bounce_map(l.dev, (struct olio_pa){l.env.pa}, 1, 1, 0, &pa), -ENOSPC);
	assert_int_equal(olio_why()->reason, OLIO_REASON_BOUNCE_FULL);
	lab_stop(&l);
}

/* ---- the pool's end ---- */

/* Bounce 4 KiB until it is full; the addresses in @pa. Return: how many. */
static u32 fill_pool(struct lab *l, struct olio_pa *pa, u32 max)
{
	u32 n = 0;

	while (n < max && !oli_bounce_map(l->dev, (struct olio_pa){l->env.pa}, 4096, 3, 0, &pa[n]))
		n++;
	return n;
}

static void test_full_and_again(void **state)
{
	struct oli_desc d = rig_desc();
	struct olio_pa pa[200], again;
	struct lab l;

	(void)state;
	d.bounce_slots = 256;
	d.bounce_areas = 2;
	lab_start(&l, &d, "dev0", MEM);
	for (u32 round = 1; round <= 3; round++) {
		assert_int_equal(fill_pool(&l, pa, 200), 128);
		assert_int_equal(olio_why()->reason, OLIO_REASON_BOUNCE_FULL);
		assert_int_equal(stats(&l).used, 256);
		assert_int_equal(stats(&l).high, 256);
		assert_int_equal(stats(&l).failed, round);
		oli_bounce_unmap(l.dev, pa[77], 4096, 3, 0);
		assert_int_equal(
			oli_bounce_map(l.dev, (struct olio_pa){l.env.pa}, 4096, 3, 0, &again), 0);
		assert_int_equal(again.v, pa[77].v);
		for (u32 i = 0; i < 128; i++)
			oli_bounce_unmap(l.dev, pa[i], 4096, 3, 0);
		assert_int_equal(stats(&l).used, 0);
	}
	lab_stop(&l);
}

/* A device that is closed leaves no slot behind, and no byte is copied back. */
static void test_closed(void **state)
{
	struct oli_desc d = rig_desc();
	struct olio_dev *other;
	struct oli_phys phys;
	struct olio_pa pa[80];
	struct lab l;
	u8 before;

	(void)state;
	lab_start(&l, &d, "dev0", MEM);
	other = lab_dev(l.m, "dev1");
	assert_int_equal(oli_bounce_map(other, (struct olio_pa){l.env.pa}, 100, 2, 0, &pa[79]), 0);
	assert_int_equal(fill_pool(&l, pa, 70), 63);
	before = l.env.mem[0];
	assert_true(oli_phys_find(l.m, pa[0], &phys));
	*(u8 *)phys.cpu = (u8)~before;
	/* Not its copy: nothing happens. */
	oli_bounce_unmap(l.dev, pa[79], 100, 2, 0);
	assert_int_equal(stats(&l).used, 128);
	olio_dev_close(l.dev);
	assert_int_equal(stats(&l).used, 2);
	assert_int_equal(l.env.mem[0], before);
	oli_bounce_unmap(other, pa[79], 100, 2, 0);
	assert_int_equal(stats(&l).used, 0);
	olio_dev_close(other);
	l.dev = lab_dev(l.m, "dev0");
	lab_stop(&l);
}

/* ---- between processes ---- */

static _Noreturn void child(const struct oli_desc *desc, int said, int asked)
{
	struct oli_desc d = *desc;
	struct olio_pa pa[80];
	struct lab l = {.m = lab_attach()};
	char c;

	(void)d;
	l.dev = lab_dev(l.m, "dev0");
	l.env.mem = lab_pages(4096);
	l.mem = lab_pin(l.m, l.env.mem, 4096);
	l.env.pa = olio_mem_runs(l.mem, &(size_t){0})->pa.v;
	c = (char)fill_pool(&l, pa, 80);
	if (write(said, &c, 1) != 1 || read(asked, &c, 1) != 1)
		_exit(1);
	_exit(0);
}

static void test_killed(void **state)
{
	struct oli_desc d = rig_desc();
	struct olio_pa pa[80];
	struct lab l;
	int said[2], asked[2], status;
	char n = 0;
	pid_t pid;

	(void)state;
	lab_needs_fork();
	d.bounce_slots = 256;
	lab_start(&l, &d, "dev0", MEM);
	/* The first segment is ours. */
	assert_int_equal(fill_pool(&l, pa, 10), 10);
	assert_int_equal(pipe(said) | pipe(asked), 0);
	pid = fork();
	if (!pid)
		child(&d, said[1], asked[0]);
	assert_int_equal(read(said[0], &n, 1), 1);
	assert_int_equal(n, 64);
	assert_int_equal(stats(&l).used, 20 + 128);
	/* The rest of ours, and no more. */
	assert_int_equal(fill_pool(&l, pa + 10, 70), 54);
	assert_int_equal(olio_why()->reason, OLIO_REASON_BOUNCE_FULL);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	oli_reap(l.m);
	assert_int_equal(stats(&l).used, 128);
	assert_int_equal(fill_pool(&l, pa + 64, 16), 16);
	lab_stop(&l);
	for (int i = 0; i < 2; i++) {
		close(said[i]);
		close(asked[i]);
	}
}

/* What is not in use is not kept from others. */
static void test_shared(void **state)
{
	struct oli_desc d = rig_desc();
	struct olio_pa pa[80];
	struct lab l;
	int said[2], asked[2], status;
	char n = 0;
	pid_t pid;
	u32 got;

	(void)state;
	lab_needs_fork();
	lab_start(&l, &d, "dev0", MEM);
	got = fill_pool(&l, pa, 80);
	assert_int_equal(got, 64);
	while (got)
		oli_bounce_unmap(l.dev, pa[--got], 4096, 3, 0);
	assert_int_equal(pipe(said) | pipe(asked), 0);
	pid = fork();
	if (!pid)
		child(&d, said[1], asked[0]);
	assert_int_equal(read(said[0], &n, 1), 1);
	assert_int_equal(n, 64);
	assert_int_equal(fill_pool(&l, pa, 1), 0);
	assert_int_equal(write(asked[1], &n, 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	oli_reap(l.m);
	assert_int_equal(fill_pool(&l, pa, 80), 64);
	lab_stop(&l);
	for (int i = 0; i < 2; i++) {
		close(said[i]);
		close(asked[i]);
	}
}

/* ---- memory that is gone ---- */

static void test_unmapped_memory(void **state)
{
	struct oli_desc d = rig_desc();
	struct oli_record r = {.text = ""};
	struct olio_pa pa, none;
	struct lab l;
	u64 before;

	(void)state;
	lab_start(&l, &d, "dev0", MEM);
	assert_int_equal(oli_bounce_map(l.dev, (struct olio_pa){l.env.pa + 4096}, 8192, 3, 0, &pa),
			 0);
	munmap(l.env.mem + 8192, 4096);
	before = atomic_load(&l.m->shm->record_next);
	assert_int_equal(oli_bounce_map(l.dev, (struct olio_pa){l.env.pa}, 12288, 3, 0, &none),
			 -EFAULT);
	assert_int_equal(olio_why()->reason, OLIO_REASON_NO_PAGE);
	assert_int_equal(stats(&l).used, 4);
	assert_int_equal(atomic_load(&l.m->shm->record_next), before);
	oli_bounce_unmap(l.dev, pa, 8192, 3, 0);
	assert_int_equal(stats(&l).used, 0);
	assert_int_equal(atomic_load(&l.m->shm->record_next), before + 1);
	assert_true(oli_record_get(l.m, before + 1, &r));
	assert_non_null(strstr(r.text, "dev0"));
	lab_stop(&l);
}

/* ---- each resource refused in turn ---- */

static void test_each_failure(void **state)
{
	struct oli_desc d = rig_desc();
	bool failed = true;
	u32 refused = 0;

	(void)state;
	for (int nth = 1; failed; nth++) {
		struct olio_pa pa;
		struct lab l;
		u64 heap;
		int err;

		lab_start(&l, &d, "dev0", 16384);
		heap = atomic_load(&l.m->shm->heap_used);
		oli_fault_countdown = nth;
		err = oli_bounce_map(l.dev, (struct olio_pa){l.env.pa}, 10000, 3, 0, &pa);
		failed = !oli_fault_countdown;
		oli_fault_countdown = 0;
		/* Some are done without: a smaller step of the heap, another way to reach memory.
		 */
		if (err) {
			assert_true(failed);
			assert_true(err == -ENOMEM || err == -ENOSPC || err == -EFAULT);
			refused++;
			assert_int_equal(stats(&l).used, 0);
			assert_int_equal(atomic_load(&l.m->shm->heap_used), heap);
			assert_int_equal(l.dev->bounced, 0);
			err = oli_bounce_map(l.dev, (struct olio_pa){l.env.pa}, 10000, 3, 0, &pa);
		}
		assert_int_equal(err, 0);
		oli_bounce_unmap(l.dev, pa, 10000, 3, 0);
		assert_int_equal(atomic_load(&l.m->shm->heap_used), heap);
		lab_stop(&l);
	}
	/* A note of the segment, low memory, heap pages. */
	print_message("# %u refused\n", refused);
	assert_true(refused >= 3);
}

/* ---- threads ---- */

enum { THREADS = 4, ROUNDS = 3000 };

struct worker {
	struct lab *l;
	u32 nr;
	u64 full;
	pthread_t thread;
};

/* Its own page: what is copied back must be what was put into the copy. */
static void *work(void *arg)
{
	struct worker *w = arg;
	u8 *page = w->l->env.mem + w->nr * 16384, want[9000];
	u64 at = w->l->env.pa + w->nr * 16384, rnd = w->nr;

	for (u32 i = 0; i < ROUNDS; i++) {
		u64 off, len;
		struct olio_pa pa, start, orig;
		struct oli_phys phys;

		rnd = rnd * 6364136223846793005ull + 1442695040888963407ull;
		off = (rnd >> 33) % 5000;
		len = 1 + (rnd >> 43) % sizeof(want);
		if (oli_bounce_map(w->l->dev, (struct olio_pa){at + off}, len, 3, 0, &pa)) {
			w->full++;
			continue;
		}
		memset(want, (int)(i + w->nr), len);
		if (!oli_phys_find(w->l->m, pa, &phys))
			return "no low memory";
		if (memcmp(phys.cpu, page + off, len))
			return "not the original";
		memcpy(phys.cpu, want, len);
		if (!oli_bounce_find(w->l->m, pa, &start, &len, &orig) || orig.v != at + off)
			return "not found";
		oli_bounce_sync(w->l->dev, pa, 1, true);
		oli_bounce_unmap(w->l->dev, pa, len, 3, 0);
		if (memcmp(page + off, want, len))
			return "not copied back";
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct oli_desc d = rig_desc();
	struct worker w[THREADS];
	struct lab l;
	u64 full = 0;

	(void)state;
	d.bounce_slots = 256;
	d.bounce_areas = 2;
	lab_start(&l, &d, "dev0", MEM);
	for (u32 i = 0; i < THREADS; i++) {
		w[i] = (struct worker){.l = &l, .nr = i};
		assert_int_equal(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
	}
	for (u32 i = 0; i < THREADS; i++) {
		void *why;

		pthread_join(w[i].thread, &why);
		if (why)
			fail_msg("thread %u: %s", i, (const char *)why);
		full += w[i].full;
	}
	/* There is room for all of them at any time. */
	assert_int_equal(full, 0);
	assert_int_equal(stats(&l).used, 0);
	lab_stop(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arrangements),
		cmocka_unit_test(test_offsets),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_programs),
		cmocka_unit_test(test_mask),
		cmocka_unit_test(test_boundary),
		cmocka_unit_test(test_bad_ranges),
		cmocka_unit_test(test_not_ours),
		cmocka_unit_test(test_ends_once),
		cmocka_unit_test(test_moved),
		cmocka_unit_test(test_no_slots),
		cmocka_unit_test(test_full_and_again),
		cmocka_unit_test(test_closed),
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_shared),
		cmocka_unit_test(test_unmapped_memory),
		cmocka_unit_test(test_each_failure),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests_name("dma/bounce", tests, NULL, NULL);
}
