// SPDX-License-Identifier: MIT
/*
 * What every source of memory must keep, tried with each of them, on each kind of
 * machine: runs cover exactly what was asked for, byte by byte, and say its kind;
 * slices are what a plain array of addresses says; a page that is pinned twice has one
 * frame; each resource refused in turn leaves nothing behind.
 *
 * A source is a region of which any part can be made memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fault.h"
#include "../unit/bus/rig.h"

#define PAGE  4096u
#define HUGE  (2u << 20)
#define PAGES 11u

/* X(name): its open function, and what it says of itself. */
#define SOURCES(X)                                                                                 \
	X(anonymous)                                                                               \
	X(shared)                                                                                  \
	X(private_file)                                                                            \
	X(read_only)                                                                               \
	X(mixture)                                                                                 \
	X(huge)                                                                                    \
	X(memfd)                                                                                   \
	X(huge_memfd)                                                                              \
	X(bar)

struct source {
	const char *name;
	u8 *bytes; /* what the memory has, as the test sees it */
	u64 len;
	int fd; /* -1: by address */
	u8 node; /* of a BAR */
	unsigned int flags;
	bool huge;
	struct oli_machine *m;
};

static int part_of(struct source *s, u64 offset, u64 len, struct olio_mem **mem)
{
	if (s->node)
		return oli_mem_from_bar(s->m, s->node, 2, offset, len, mem);
	if (s->fd >= 0)
		return oli_mem_from_fd(s->m, s->fd, offset, len, s->flags, mem);
	return oli_mem_pin(s->m, s->bytes + offset, len, s->flags, mem);
}

/* ---- the sources ---- */

static bool map(struct source *s, u64 len, int prot, int flags, int fd)
{
	void *p = mmap(NULL, len, prot, flags, fd, 0);

	if (p == MAP_FAILED)
		return false;
	s->bytes = p;
	s->len = len;
	return true;
}

static bool open_anonymous(struct source *s)
{
	bool ok = map(s, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	rig_fill(s->bytes, s->len, 1);
	return ok;
}

static bool open_shared(struct source *s)
{
	bool ok = map(s, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);

	rig_fill(s->bytes, s->len, 2);
	return ok;
}

static int file(u64 len)
{
	char name[] = "/tmp/olio-source-XXXXXX";
	int fd = mkstemp(name);

	assert_true(fd >= 0);
	unlink(name);
	assert_int_equal(ftruncate(fd, (off_t)len), 0);
	return fd;
}

static bool open_private_file(struct source *s)
{
	int fd = file(PAGES * PAGE);
	bool ok = map(s, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd);

	close(fd);
	rig_fill(s->bytes, s->len / 2, 3);
	return ok;
}

static bool open_read_only(struct source *s)
{
	int fd = file(PAGES * PAGE);
	u8 page[PAGE];
	bool ok;

	rig_fill(page, PAGE, 4);
	for (u32 i = 0; i < PAGES; i++)
		assert_int_equal(pwrite(fd, page, PAGE, i * PAGE), PAGE);
	ok = map(s, PAGES * PAGE, PROT_READ, MAP_PRIVATE, fd);
	close(fd);
	s->flags = OLIO_PIN_READ_ONLY;
	return ok;
}

/* Every page mapped in another way than its neighbours; no two mappings merge. */
static bool open_mixture(struct source *s)
{
	int fd = file(PAGES * PAGE);

	if (!map(s, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1))
		return false;
	for (u32 i = 0; i < PAGES; i++) {
		void *at = s->bytes + i * PAGE;
		int flags = i % 3 == 0	 ? MAP_SHARED | MAP_ANONYMOUS
			    : i % 3 == 1 ? MAP_PRIVATE
					 : MAP_SHARED;

		assert_ptr_equal(mmap(at, PAGE, PROT_READ | PROT_WRITE, flags | MAP_FIXED,
				      i % 3 ? fd : -1, i % 3 ? (off_t)((PAGES - 1 - i) * PAGE) : 0),
				 at);
	}
	close(fd);
	rig_fill(s->bytes, s->len, 5);
	return true;
}

static bool open_huge(struct source *s)
{
	s->huge = true;
	if (!map(s, 2 * HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB,
		 -1))
		return false;
	/* It was reserved. */
	rig_fill(s->bytes, s->len, 6);
	return true;
}

static bool open_fd(struct source *s, unsigned int flags, u64 len)
{
	s->fd = memfd_create("olio-source", flags);
	if (s->fd < 0 || ftruncate(s->fd, (off_t)len) ||
	    !map(s, len, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd))
		return false;
	rig_fill(s->bytes, len, 7);
	return true;
}

static bool open_memfd(struct source *s)
{
	return open_fd(s, 0, PAGES * PAGE);
}

static bool open_huge_memfd(struct source *s)
{
	s->huge = true;
	return open_fd(s, MFD_HUGETLB, 2 * HUGE);
}

static bool open_bar(struct source *s)
{
	struct olio_mem *mem;

	s->node = DEV1;
	s->len = RIG_BAR_LEN;
	assert_int_equal(oli_mem_from_bar(s->m, DEV1, 2, 0, RIG_BAR_LEN, &mem), 0);
	s->bytes = olio_mem_cpu(mem, 0);
	oli_mem_put(mem);
	rig_fill(s->bytes, s->len, 8);
	return true;
}

static void close_source(struct source *s)
{
	if (s->bytes && !s->node)
		munmap(s->bytes, s->len);
	if (s->fd >= 0)
		close(s->fd);
}

/* ---- machines ---- */

#define MACHINES(X)                                                                                \
	X(scattered, (void)d)                                                                      \
	X(linear, d->linear = 1)                                                                   \
	X(encrypted, d->encrypted = 1)                                                             \
	X(noncoherent, d->node[DEV0].coherent = 0)

#define CHANGE(name, what)                                                                         \
	static void make_##name(struct oli_desc *d)                                                \
	{                                                                                          \
		what;                                                                              \
	}
MACHINES(CHANGE)
#undef CHANGE

/* ---- the suite ---- */

static u64 used(const struct source *s)
{
	return oli_frames_used(s->m, s->m->slot);
}

/* What the CPU has at a physical address. */
static const u8 *behind(struct source *s, u64 pa, u64 *run)
{
	struct oli_phys at;

	assert_true(oli_phys_find(s->m, (struct olio_pa){pa}, &at));
	assert_true(at.run);
	*run = at.run;
	if (s->node) {
		assert_int_equal(at.kind, OLI_PHYS_BAR);
		assert_int_equal(at.node, s->node);
		return at.cpu;
	}
	assert_int_equal(at.kind, OLI_PHYS_FRAME);
	assert_int_equal(at.slot, s->m->slot);
	assert_int_equal(!!at.shadow, !s->m->shm->desc.node[DEV0].coherent);
	assert_int_equal(!!(at.flags & OLI_FRAME_PRIVATE), s->m->shm->desc.encrypted);
	assert_int_equal(!!(at.flags & OLI_FRAME_READ_ONLY), s->flags & OLIO_PIN_READ_ONLY);
	return (const u8 *)(uintptr_t)at.va;
}

static enum olio_mem_kind kind_of(const struct source *s)
{
	return s->node			   ? OLIO_MEM_MMIO
	       : s->m->shm->desc.encrypted ? OLIO_MEM_PRIVATE
					   : OLIO_MEM_RAM;
}

static void check_runs(struct source *s, const struct olio_mem *mem, u64 offset, u64 len)
{
	const struct olio_run *r;
	u64 at = 0;
	size_t n;

	assert_int_equal(olio_mem_len(mem), len);
	r = olio_mem_runs(mem, &n);
	for (size_t i = 0; i < n; i++) {
		assert_true(r[i].len);
		assert_int_equal(r[i].kind, kind_of(s));
		assert_int_equal(r[i].provider, s->node);
		if (i)
			assert_true(r[i - 1].pa.v + r[i - 1].len != r[i].pa.v);
		for (u64 k = 0, run; k < r[i].len; k += run) {
			const u8 *p = behind(s, r[i].pa.v + k, &run);

			if (run > r[i].len - k)
				run = r[i].len - k;
			assert_ptr_equal(p, olio_mem_cpu(mem, at + k));
			assert_memory_equal(p, s->bytes + offset + at + k, run);
			if (s->fd < 0)
				assert_ptr_equal(p, s->bytes + offset + at + k);
		}
		at += r[i].len;
	}
	assert_int_equal(at, len);
	assert_null(olio_mem_cpu(mem, len));
	assert_null(olio_mem_cpu(mem, UINT64_MAX));
}

/* Whole and cut in every way at both ends. */
static void test_cover(struct source *s)
{
	u64 cut[] = {0, 1, 2047, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE - 1};
	u64 base = used(s);
	struct olio_mem *mem;

	for (u32 i = 0; i < OLI_ARRAY_SIZE(cut); i++)
		for (u32 k = 0; k < OLI_ARRAY_SIZE(cut); k++) {
			u64 len = s->len - cut[i] - cut[k];

			assert_int_equal(part_of(s, cut[i], len, &mem), 0);
			check_runs(s, mem, cut[i], len);
			if (s->node)
				assert_int_equal(used(s), base);
			else if (!s->huge)
				assert_int_equal(used(s) - base,
						 (s->len - cut[k] - 1) / PAGE - cut[i] / PAGE + 1);
			else
				assert_int_equal(used(s) - base, 2 * HUGE / PAGE);
			oli_mem_put(mem);
			assert_int_equal(used(s), base);
		}
	for (u64 at = PAGE - 2; at < PAGE + 2; at++)
		for (u64 len = 1; len < 5; len++) {
			assert_int_equal(part_of(s, at, len, &mem), 0);
			check_runs(s, mem, at, len);
			oli_mem_put(mem);
		}
	assert_int_equal(used(s), base);
}

/* A huge page is one run, aligned. */
static void test_huge(struct source *s)
{
	const struct olio_run *r;
	struct olio_mem *mem;
	size_t n;

	if (!s->huge)
		return;
	assert_int_equal(part_of(s, 0, s->len, &mem), 0);
	r = olio_mem_runs(mem, &n);
	assert_true(n <= 2);
	for (size_t i = 0; i < n; i++)
		assert_int_equal((r[i].pa.v | r[i].len) & (HUGE - 1), 0);
	oli_mem_put(mem);
}

/* How many runs [@from, @from + @len) is, and whether @runs are them. */
static void check_slice(const struct olio_mem *mem, const u64 *pa, u64 from, u64 len,
			struct olio_run *runs, size_t room)
{
	struct olio_run before = {.len = 77};
	size_t want = 1, n = 0, small = 0;
	u64 at = from;

	for (u64 i = from + 1; i < from + len; i++)
		want += pa[i] != pa[i - 1] + 1;
	assert_true(want <= room);
	assert_int_equal(olio_mem_slice(mem, from, len, runs, want, &n), 0);
	assert_int_equal(n, want);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(runs[i].pa.v, pa[at]);
		at += runs[i].len;
	}
	assert_int_equal(at, from + len);
	runs[0] = before;
	assert_int_equal(olio_mem_slice(mem, from, len, runs, want - 1, &small), -E2BIG);
	assert_int_equal(small, want);
	assert_memory_equal(&runs[0], &before, sizeof(before));
}

static void test_slices(struct source *s)
{
	u64 offset = 100, len = (s->huge ? HUGE + 5 * PAGE : s->len) - 333;
	struct olio_run runs[PAGES + 8];
	struct olio_mem *mem;
	size_t n = 99;
	u64 *pa;

	assert_int_equal(part_of(s, offset, len, &mem), 0);
	pa = rig_bytes(mem);
	check_slice(mem, pa, 0, len, runs, OLI_ARRAY_SIZE(runs));
	for (u64 i = 0; i < 2 * PAGE; i += 1 + rig_rand(200)) {
		check_slice(mem, pa, i, 1 + rig_rand((u32)(len - i)), runs, OLI_ARRAY_SIZE(runs));
		check_slice(mem, pa, i, 1, runs, OLI_ARRAY_SIZE(runs));
		check_slice(mem, pa, len - 1 - i, i + 1, runs, OLI_ARRAY_SIZE(runs));
	}
	/* Around the first boundary of pages, all of them. */
	for (u64 i = PAGE - offset - 3; i < PAGE - offset + 3; i++)
		for (u64 k = 1; k < 7; k++)
			check_slice(mem, pa, i, k, runs, OLI_ARRAY_SIZE(runs));
	assert_int_equal(olio_mem_slice(mem, 0, 0, runs, 1, &n), -EINVAL);
	assert_int_equal(olio_mem_slice(mem, len, 1, runs, 1, &n), -ERANGE);
	assert_int_equal(olio_mem_slice(mem, 1, len, runs, 1, &n), -ERANGE);
	assert_int_equal(olio_mem_slice(mem, UINT64_MAX, 2, runs, 1, &n), -ERANGE);
	assert_int_equal(olio_mem_slice(mem, 2, UINT64_MAX, runs, 1, &n), -ERANGE);
	assert_int_equal(n, 99);
	free(pa);
	oli_mem_put(mem);
}

/* Twice the same page, in overlapping pieces, given back in both orders. */
static void test_again(struct source *s)
{
	u64 base = used(s);

	for (u32 order = 0; order < 2; order++) {
		struct olio_mem *a, *b;
		u64 *pa, *pb, all;

		assert_int_equal(part_of(s, 5, 6 * PAGE, &a), 0);
		assert_int_equal(part_of(s, 3 * PAGE + 9, 6 * PAGE, &b), 0);
		all = used(s);
		pa = rig_bytes(a);
		pb = rig_bytes(b);
		/* Of a file each source has its own mapping. */
		for (u64 i = 3 * PAGE + 9; i < 5 + 6 * PAGE && s->fd < 0; i++)
			assert_int_equal(pa[i - 5], pb[i - 3 * PAGE - 9]);
		if (!s->node)
			assert_int_equal(oli_frame_get(s->m, (struct olio_pa){pa[4 * PAGE]})->pins,
					 s->fd < 0 ? 2 : 1);
		oli_mem_put(order ? a : b);
		assert_true(used(s) <= all);
		check_runs(s, order ? b : a, order ? 3 * PAGE + 9 : 5, 6 * PAGE);
		oli_mem_put(order ? b : a);
		assert_int_equal(used(s), base);
		free(pa);
		free(pb);
	}
}

/* How often a file of ours is mapped. */
static u32 mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512];
	u32 n = 0;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		n += !!strstr(line, "memfd:olio-source");
	fclose(f);
	return n;
}

/* Refuse each resource in turn. */
static void test_failures(struct source *s)
{
	u64 base = used(s), base_fds = rig_fds(), base_mappings = mappings();
	u32 failed = 0;

	for (int n = 1;; n++) {
		struct olio_mem *mem = NULL, *keep = NULL;
		bool hit;
		int err;

		/* Every second time some of its pages are pinned already. */
		if (n & 1)
			assert_int_equal(part_of(s, 2 * PAGE, PAGE, &keep), 0);
		oli_fault_countdown = n;
		err = part_of(s, 17, s->len - 40, &mem);
		hit = !oli_fault_countdown;
		oli_fault_countdown = 0;
		if (err) {
			assert_true(hit);
			assert_null(mem);
			failed++;
		} else {
			check_runs(s, mem, 17, s->len - 40);
			oli_mem_put(mem);
		}
		if (keep)
			check_runs(s, keep, 2 * PAGE, PAGE);
		oli_mem_put(keep);
		assert_int_equal(used(s), base);
		assert_int_equal(rig_fds(), base_fds);
		assert_int_equal(mappings(), base_mappings);
		if (!hit)
			break;
		assert_int_equal(part_of(s, 17, s->len - 40, &mem), 0);
		oli_mem_put(mem);
	}
	assert_true(failed >= 3);
}

static void test_refused(struct source *s)
{
	u64 base = used(s);
	struct olio_mem *mem = NULL;

	assert_int_equal(part_of(s, 0, 0, &mem), -EINVAL);
	if (s->fd >= 0 || s->node) {
		int beyond = s->node ? -ERANGE : -EFAULT;

		assert_int_equal(part_of(s, s->len, 1, &mem), beyond);
		assert_int_equal(part_of(s, 1, s->len, &mem), beyond);
		assert_int_equal(part_of(s, UINT64_MAX, 1, &mem), beyond);
	}
	if (!s->node) {
		s->flags |= 2;
		assert_int_equal(part_of(s, 0, 1, &mem), -EINVAL);
		s->flags &= ~2u;
	}
	assert_null(mem);
	assert_int_equal(used(s), base);
}

static void suite(const char *name, bool (*open)(struct source *),
		  void (*change)(struct oli_desc *))
{
	struct source s = {.name = name, .fd = -1};
	struct oli_desc d = rig_desc();

	rig_seed(strlen(name));
	change(&d);
	s.m = rig_open(&d);
	if (open(&s)) {
		test_cover(&s);
		test_huge(&s);
		test_slices(&s);
		test_again(&s);
		test_failures(&s);
		test_refused(&s);
		close_source(&s);
		rig_close(s.m);
		return;
	}
	close_source(&s);
	rig_close(s.m);
	/* Nothing else may be missing anywhere. */
	assert_true(s.huge);
	skip();
}

#define TEST_ON(source, machine)                                                                   \
	static void test_##source##_##machine(void **state)                                        \
	{                                                                                          \
		(void)state;                                                                       \
		suite(#source, open_##source, make_##machine);                                     \
	}
#define TESTS(source)                                                                              \
	TEST_ON(source, scattered)                                                                 \
	TEST_ON(source, linear)                                                                    \
	TEST_ON(source, encrypted)                                                                 \
	TEST_ON(source, noncoherent)
SOURCES(TESTS)

int main(void)
{
#define LIST(source)                                                                               \
	cmocka_unit_test(test_##source##_scattered), cmocka_unit_test(test_##source##_linear),     \
		cmocka_unit_test(test_##source##_encrypted),                                       \
		cmocka_unit_test(test_##source##_noncoherent),
	const struct CMUnitTest tests[] = {SOURCES(LIST)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
