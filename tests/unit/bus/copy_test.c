// SPDX-License-Identifier: MIT
/*
 * Proves that bytes get into spans and out of them: random lists of machine memory and
 * process memory, plain and encrypted, of every alignment, against an array; that words
 * which a CPU polls are seen whole; and what is answered when memory is gone.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bus/bus.h"
#include "rig.h"

#define SIZE 65536u
#define MAX  200u

struct rig {
	struct oli_machine *m;
	u8 *machine, *process; /* SIZE bytes each */
	struct olio_pa pa;
};

static void make(struct rig *r)
{
	struct oli_desc d = rig_desc();
	void *cpu;

	d.iommu = OLI_IOMMU_NONE;
	r->m = rig_open(&d);
	assert_int_equal(oli_low_alloc(r->m, SIZE, &r->pa, &cpu), 0);
	r->machine = cpu;
	r->process = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(r->process != MAP_FAILED);
	rig_fill(r->machine, SIZE, 1);
	rig_fill(r->process, SIZE, 2);
}

static void end(struct rig *r)
{
	oli_low_free(r->m, r->pa, SIZE);
	munmap(r->process, SIZE);
	rig_close(r->m);
}

/* Disjoint pieces in ascending order. @at[i]: where byte i lies. Return: bytes. */
static u64 spans_of(struct rig *r, struct oli_span *s, u32 *n, u8 **at)
{
	u64 pos = 0, all = 0;

	for (*n = 0; *n < MAX; (*n)++) {
		bool process = rig_rand(3);
		u64 len = 1 + rig_rand(rig_rand(10) ? 40 : 3000);
		u8 *base = process ? r->process : r->machine;

		pos += rig_rand(3) ? rig_rand(9) : 0;
		if (pos + len > SIZE)
			break;
		s[*n] = (struct oli_span){.addr = (u64)(uintptr_t)(base + pos),
					  .len = len,
					  .pa = 0x4000000000ull + rig_rand(1000) * 4096ull + pos,
					  .slot = process ? r->m->slot : (u16)OLI_SLOT_NONE,
					  .gen = process ? r->m->gen : 0,
					  .cipher = !rig_rand(4)};
		for (u64 i = 0; i < len; i++)
			at[all++] = base + pos + i;
		pos += len;
	}
	return all;
}

/* What is read back is what was written; without cipher it is what is there. */
static void test_random(void **state)
{
	static u8 *at[2 * SIZE];
	static u8 before[2][SIZE], buf[SIZE + 8], back[SIZE + 8];
	struct oli_span s[MAX];
	struct rig r;

	(void)state;
	make(&r);
	rig_seed(3);
	for (u32 round = 0; round < 150; round++) {
		u32 n, shift = rig_rand(8), noise = 0, cipher = 0;
		u64 all = spans_of(&r, s, &n, at), len = rig_rand(3) ? all : rig_rand((u32)all + 1);
		u64 i = 0;

		memcpy(before[0], r.machine, SIZE);
		memcpy(before[1], r.process, SIZE);
		rig_fill(buf, sizeof(buf), round);
		assert_int_equal(oli_span_copy(r.m, s, n, buf + shift, len, true), 0);
		for (u32 k = 0; k < n; k++)
			for (u64 b = 0; b < s[k].len && i < len; b++, i++)
				if (!s[k].cipher)
					assert_int_equal(*at[i], buf[shift + i]);
				else
					noise += *at[i] != buf[shift + i];
		for (u32 k = 0; k < n && len == all; k++)
			cipher += s[k].cipher ? (u32)s[k].len : 0;
		assert_true(noise >= cipher - cipher / 16 - cipher % 16);
		memset(back, 0xee, sizeof(back));
		assert_int_equal(oli_span_copy(r.m, s, n, back + shift, len, false), 0);
		assert_memory_equal(back + shift, buf + shift, len);
		for (u32 k = 0; k < shift; k++)
			assert_int_equal(back[k], 0xee);
		assert_int_equal(back[shift + len], 0xee);
		/* Nothing else was touched. */
		for (i = 0; i < len; i++) {
			u8 *p = at[i];
			bool mine = p >= r.process && p < r.process + SIZE;

			*p = mine ? before[1][p - r.process] : before[0][p - r.machine];
		}
		assert_memory_equal(r.machine, before[0], SIZE);
		assert_memory_equal(r.process, before[1], SIZE);
	}
	end(&r);
}

/* The key of a byte depends on its physical address and on nothing else. */
static void test_cipher(void **state)
{
	struct oli_span s = {.slot = OLI_SLOT_NONE, .cipher = true};
	u8 whole[6000], part[6000];
	u32 same = 0;
	struct rig r;

	(void)state;
	make(&r);
	s.addr = (u64)(uintptr_t)r.machine;
	s.pa = 0x4000000005ull;
	s.len = sizeof(whole);
	assert_int_equal(oli_span_copy(r.m, &s, 1, whole, sizeof(whole), false), 0);
	for (u32 i = 0; i < sizeof(whole); i++)
		same += whole[i] == r.machine[i];
	assert_in_range(same, 1, sizeof(whole) / 64);
	for (u32 i = 0; i < 500; i++) {
		u32 from = rig_rand(sizeof(whole)), len = 1 + rig_rand(sizeof(whole) - from);

		s.addr = (u64)(uintptr_t)(r.machine + from);
		s.pa = 0x4000000005ull + from;
		s.len = len;
		assert_int_equal(oli_span_copy(r.m, &s, 1, part, len, false), 0);
		assert_memory_equal(part, whole + from, len);
	}
	/* Another address, another key. */
	s.pa += 8;
	assert_int_equal(oli_span_copy(r.m, &s, 1, part, s.len, false), 0);
	if (s.len > 8)
		assert_memory_not_equal(part, whole + (s.addr - (u64)(uintptr_t)r.machine), s.len);
	end(&r);
}

/* More pieces of one process than a system call takes. */
static void test_many(void **state)
{
	static struct oli_span s[3000];
	static u8 buf[3 * OLI_ARRAY_SIZE(s)];
	u32 n = OLI_ARRAY_SIZE(s);
	struct rig r;

	(void)state;
	make(&r);
	for (u32 i = 0; i < n; i++)
		s[i] = (struct oli_span){.addr = (u64)(uintptr_t)(r.process + i * 5),
					 .len = 3,
					 .slot = r.m->slot,
					 .gen = r.m->gen};
	assert_int_equal(oli_span_copy(r.m, s, n, buf, sizeof(buf), false), 0);
	for (u32 i = 0; i < n; i++)
		assert_memory_equal(buf + 3 * i, r.process + 5 * i, 3);
	end(&r);
}

static void test_refused(void **state)
{
	struct rig r;
	struct oli_span s[2];
	u8 buf[8192];

	(void)state;
	make(&r);
	s[0] = (struct oli_span){
		.addr = (u64)(uintptr_t)r.machine, .len = 100, .slot = OLI_SLOT_NONE};
	assert_int_equal(oli_span_copy(r.m, s, 1, buf, 101, false), -EINVAL);
	assert_int_equal(oli_span_copy(r.m, s, 0, buf, 1, false), -EINVAL);
	assert_int_equal(oli_span_copy(r.m, s, 0, buf, 0, false), 0);
	s[0] = (struct oli_span){
		.addr = (u64)(uintptr_t)r.process, .len = 8192, .slot = r.m->slot, .gen = r.m->gen};
	munmap(r.process + 4096, 4096);
	assert_int_equal(oli_span_copy(r.m, s, 1, buf, 8192, false), -EFAULT);
	assert_int_equal(oli_span_copy(r.m, s, 1, buf, 8192, true), -EFAULT);
	assert_int_equal(oli_span_copy(r.m, s, 1, buf, 4096, true), 0);
	/* One span behind another, of a process that is not there any more. */
	s[0].len = 100;
	s[1] = s[0];
	s[1].gen++;
	assert_int_equal(oli_span_copy(r.m, s, 2, buf, 200, false), -ESRCH);
	s[0] = s[1];
	assert_int_equal(oli_span_copy(r.m, s, 1, buf, 100, false), -ESRCH);
	s[0].slot++;
	assert_int_equal(oli_span_copy(r.m, s, 1, buf, 4096, false), -ESRCH);
	end(&r);
}

/* A word that is polled is the old one or the new one. */
static struct {
	struct rig r;
	_Atomic bool stop;
} poll;

static void *writer(void *arg)
{
	struct oli_span s = {
		.addr = (u64)(uintptr_t)(poll.r.machine + 3), .len = 29, .slot = OLI_SLOT_NONE};
	u8 buf[29];

	for (u8 v = 0; !atomic_load(&poll.stop); v++) {
		memset(buf, v, sizeof(buf));
		if (oli_span_copy(poll.r.m, &s, 1, buf, sizeof(buf), true))
			return arg;
	}
	return NULL;
}

static void test_whole_words(void **state)
{
	pthread_t thread;
	void *failed;
	u64 last = 0;

	(void)state;
	make(&poll.r);
	memset(poll.r.machine, 0, 64);
	assert_int_equal(pthread_create(&thread, NULL, writer, &poll), 0);
	/* Until it has changed often: the thread may take its time to begin. */
	for (u32 i = 0, changes = 0; changes < 3000; i++) {
		u64 word = atomic_load((_Atomic u64 *)(poll.r.machine + 8 + i % 3 * 8));

		assert_int_equal(word, (word & 0xff) * 0x0101010101010101ull);
		changes += word != last;
		last = word;
	}
	atomic_store(&poll.stop, true);
	pthread_join(thread, &failed);
	assert_null(failed);
	end(&poll.r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_cipher),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_whole_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
