// SPDX-License-Identifier: MIT
/*
 * Proves what is special about memory of this process: which requests are refused and
 * how, at both ends of the address space; what kind of mapping was pinned; sharing on an
 * encrypting machine; that a forked child has no part in it; and that a machine's RAM is
 * looked at before the host's is used up.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../bus/rig.h"
#include "base/sys.h"
#include "mem/int.h"
#include "olio/why.h"

#define PAGE 4096ull

static u8 *pages(u32 n, int prot)
{
	u8 *p = mmap(NULL, n * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(p != MAP_FAILED);
	return p;
}

static void refused(struct oli_machine *m, u64 addr, u64 len, unsigned int flags, int err,
		    enum olio_reason reason)
{
	struct olio_mem *mem = NULL;

	assert_int_equal(oli_mem_pin(m, (void *)(uintptr_t)addr, len, flags, &mem), err);
	assert_int_equal(olio_why()->reason, reason);
	assert_true(strlen(olio_why()->text) > 10);
	assert_null(mem);
	assert_int_equal(oli_frames_used(m, m->slot), 0);
	assert_int_equal(oli_pins_count(m), 0);
}

static void test_refused(void **state)
{
	struct oli_desc d = rig_desc();
	struct oli_machine *m = rig_open(&d);
	u8 *p = pages(8, PROT_READ | PROT_WRITE);
	u64 a = (u64)(uintptr_t)p;

	(void)state;
	refused(m, a, 0, 0, -EINVAL, OLIO_REASON_BAD_ARGUMENT);
	refused(m, a, 1, 2, -EINVAL, OLIO_REASON_BAD_ARGUMENT);
	refused(m, a, 1, ~0u, -EINVAL, OLIO_REASON_BAD_ARGUMENT);
	refused(m, a, UINT64_MAX, 0, -EOVERFLOW, OLIO_REASON_OVERFLOW);
	refused(m, UINT64_MAX, 2, 0, -EOVERFLOW, OLIO_REASON_OVERFLOW);
	/* The top of the space, where rounding up to pages would wrap. */
	refused(m, UINT64_MAX, 1, 0, -EFAULT, OLIO_REASON_NO_PAGE);
	refused(m, UINT64_MAX - PAGE, PAGE + 1, 0, -EFAULT, OLIO_REASON_NO_PAGE);
	refused(m, 1, UINT64_MAX, 0, -EFAULT, OLIO_REASON_NO_PAGE);
	refused(m, 0, 1, 0, -EFAULT, OLIO_REASON_NO_PAGE);
	refused(m, 0xffffffff80000000ull, 8, 0, -EFAULT, OLIO_REASON_NO_PAGE);
	refused(m, 1ull << 47, 8, 0, -EFAULT, OLIO_REASON_NO_PAGE);
	refused(m, (1ull << 47) - PAGE, 2 * PAGE, 0, -EFAULT, OLIO_REASON_NO_PAGE);
	/* More than there is RAM, before anything is made present. */
	refused(m, a, d.ram_size + 1, 0, -ENOSPC, OLIO_REASON_RAM_FULL);
	/* A hole, in the middle and at either end. */
	munmap(p + 3 * PAGE, PAGE);
	refused(m, a, 8 * PAGE, 0, -EFAULT, OLIO_REASON_NO_PAGE);
	refused(m, a + 3 * PAGE - 1, 2, 0, -EFAULT, OLIO_REASON_NO_PAGE);
	refused(m, a + 4 * PAGE - 1, 2, 0, -EFAULT, OLIO_REASON_NO_PAGE);
	/* Not writable, not even readable. */
	mprotect(p + PAGE, PAGE, PROT_READ);
	refused(m, a, 3 * PAGE, 0, -EFAULT, OLIO_REASON_NO_PAGE);
	mprotect(p + PAGE, PAGE, PROT_NONE);
	refused(m, a, 3 * PAGE, OLIO_PIN_READ_ONLY, -EFAULT, OLIO_REASON_NO_PAGE);
	/* Who only looks on owns nothing. */
	oli_slot(m, m->slot)->flags |= OLI_SLOT_F_OBSERVER;
	refused(m, a, 1, 0, -EINVAL, OLIO_REASON_BAD_STATE);
	oli_slot(m, m->slot)->flags &= ~OLI_SLOT_F_OBSERVER;
	munmap(p, 8 * PAGE);
	rig_close(m);
}

static long faults(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_minflt;
}

/* What is pinned is there: to use it as it may be used costs no fault. */
static void test_present(void **state)
{
	struct oli_desc d = rig_desc();
	struct oli_machine *m = rig_open(&d);
	u8 *p = pages(200, PROT_READ | PROT_WRITE);
	int zero = open("/dev/zero", O_RDONLY);
	struct olio_mem *mem;
	long before;

	(void)state;
	assert_int_equal(oli_mem_pin(m, p, 200 * PAGE, 0, &mem), 0);
	before = faults();
	/* By the kernel: a sanitizer has memory of its own for each store. */
	for (u32 i = 0; i < 200; i++)
		assert_int_equal(oli_sys_read(zero, p + i * PAGE, 1), 1);
	assert_in_range(faults() - before, 0, 50);
	close(zero);
	oli_mem_put(mem);
	munmap(p, 200 * PAGE);
	rig_close(m);
}

static u32 traits(struct oli_machine *m, const void *p, u64 len, unsigned int flags)
{
	struct olio_mem *mem;
	u32 t;

	assert_int_equal(oli_mem_pin(m, (void *)(uintptr_t)p, len, flags, &mem), 0);
	t = mem->traits;
	oli_mem_put(mem);
	return t;
}

static void *of_a_thread(void *m)
{
	u8 here[64], *heap = malloc(64);

	memset(here, 0, sizeof(here));
	assert_int_equal(traits(m, here, sizeof(here), 0), OLI_TRAIT_STACK);
	assert_int_equal(traits(m, heap, 64, 0), 0);
	free(heap);
	return NULL;
}

static const u8 constants[2 * 4096] = {1};
static u8 variables[4096];

static void test_traits(void **state)
{
	struct oli_desc d = rig_desc();
	struct oli_machine *m = rig_open(&d);
	u8 here[64], *p = pages(3, PROT_READ | PROT_WRITE);
	pthread_t thread;

	(void)state;
	memset(here, 0, sizeof(here));
	assert_int_equal(traits(m, p, 3 * PAGE, 0), 0);
	assert_int_equal(traits(m, variables, sizeof(variables), 0), 0);
	assert_int_equal(traits(m, here, sizeof(here), 0), OLI_TRAIT_STACK);
	assert_int_equal(traits(m, here, sizeof(here), OLIO_PIN_READ_ONLY), OLI_TRAIT_STACK);
	assert_true(traits(m, (void *)(uintptr_t)test_traits, 16, OLIO_PIN_READ_ONLY) &
		    OLI_TRAIT_TEXT);
	assert_int_equal(traits(m, constants + PAGE, 16, OLIO_PIN_READ_ONLY), OLI_TRAIT_RODATA);
	/* One byte of it is enough. */
	mprotect(p + 2 * PAGE, PAGE, PROT_READ | PROT_EXEC);
	assert_int_equal(traits(m, p, 2 * PAGE, OLIO_PIN_READ_ONLY), 0);
	assert_int_equal(traits(m, p + 1, 2 * PAGE, OLIO_PIN_READ_ONLY), OLI_TRAIT_TEXT);
	pthread_create(&thread, NULL, of_a_thread, m);
	pthread_join(thread, NULL);
	munmap(p, 3 * PAGE);
	rig_close(m);
}

/* @want: the kind of each page. */
static void check_kinds(const struct olio_mem *mem, const u8 *want)
{
	const struct olio_run *r;
	u64 at = 0;
	size_t n;

	r = olio_mem_runs(mem, &n);
	for (size_t i = 0; i < n; i++) {
		for (u64 k = 0; k < r[i].len; k += PAGE)
			assert_int_equal(r[i].kind, want[(at + k) / PAGE]);
		if (i)
			assert_false(r[i - 1].kind == r[i].kind &&
				     r[i - 1].pa.v + r[i - 1].len == r[i].pa.v);
		at += r[i].len;
	}
	assert_int_equal(at, olio_mem_len(mem));
}

static void share_on(bool linear)
{
	enum { P = OLIO_MEM_PRIVATE, S = OLIO_MEM_SHARED };
	struct oli_desc d = rig_desc();
	u8 *p = pages(10, PROT_READ | PROT_WRITE);
	struct olio_mem *all, *part, *cut;
	struct oli_machine *m;

	d.encrypted = 1;
	d.linear = linear;
	m = rig_open(&d);
	assert_int_equal(oli_mem_pin(m, p + 2 * PAGE, 2 * PAGE, 0, &part), 0);
	check_kinds(part, (u8[]){P, P});
	assert_int_equal(olio_mem_share(part), 0);
	check_kinds(part, (u8[]){S, S});
	/* Who pins it afterwards is told what it is now. */
	assert_int_equal(oli_mem_pin(m, p, 6 * PAGE, 0, &all), 0);
	check_kinds(all, (u8[]){P, P, S, S, P, P});
	assert_int_equal(olio_mem_unshare(part), -EBUSY);
	assert_int_equal(olio_why()->reason, OLIO_REASON_PINNED);
	assert_int_equal(olio_mem_share(all), -EBUSY);
	oli_mem_put(part);
	/* In linear RAM the first pages now touch what is opened. */
	assert_int_equal(oli_mem_pin(m, p + 6 * PAGE, 2 * PAGE, 0, &part), 0);
	assert_int_equal(olio_mem_share(part), 0);
	assert_int_equal(oli_mem_pin(m, p + 6 * PAGE, 4 * PAGE, 0, &cut), 0);
	check_kinds(cut, (u8[]){S, S, P, P});
	oli_mem_put(cut);
	oli_mem_put(part);
	assert_int_equal(olio_mem_share(all), 0);
	check_kinds(all, (u8[]){S, S, S, S, S, S});
	assert_int_equal(olio_mem_unshare(all), 0);
	check_kinds(all, (u8[]){P, P, P, P, P, P});
	oli_mem_put(all);
	/* Only whole pages. */
	assert_int_equal(oli_mem_pin(m, p + 1, PAGE, 0, &cut), 0);
	assert_int_equal(olio_mem_share(cut), -EINVAL);
	oli_mem_put(cut);
	assert_int_equal(oli_mem_pin(m, p, PAGE - 1, 0, &cut), 0);
	assert_int_equal(olio_mem_share(cut), -EINVAL);
	oli_mem_put(cut);
	/* It is private again when it is pinned anew. */
	assert_int_equal(oli_mem_pin(m, p, PAGE, 0, &cut), 0);
	assert_int_equal(olio_mem_share(cut), 0);
	oli_mem_put(cut);
	assert_int_equal(oli_mem_pin(m, p, PAGE, 0, &cut), 0);
	check_kinds(cut, (u8[]){P});
	oli_mem_put(cut);
	assert_int_equal(oli_mem_from_bar(m, DEV0, 0, 0, PAGE, &cut), 0);
	assert_int_equal(olio_mem_share(cut), -EOPNOTSUPP);
	oli_mem_put(cut);
	munmap(p, 10 * PAGE);
	rig_close(m);
}

static void test_share(void **state)
{
	struct oli_desc d = rig_desc();
	u8 *p = pages(1, PROT_READ | PROT_WRITE);
	struct olio_mem *mem;
	struct oli_machine *m;

	(void)state;
	share_on(false);
	share_on(true);
	m = rig_open(&d);
	assert_int_equal(oli_mem_pin(m, p, PAGE, 0, &mem), 0);
	assert_int_equal(olio_mem_share(mem), -EOPNOTSUPP);
	assert_int_equal(olio_mem_unshare(mem), -EOPNOTSUPP);
	assert_int_equal(olio_why()->reason, OLIO_REASON_NOT_ENCRYPTED);
	assert_int_equal(olio_mem_runs(mem, &(size_t){0})->kind, OLIO_MEM_RAM);
	oli_mem_put(mem);
	munmap(p, PAGE);
	rig_close(m);
}

static void child(struct oli_machine *m, struct olio_mem *mem, u8 *p)
{
	struct olio_mem *other = NULL;

	if (oli_mem_pin(m, p, PAGE, 0, &other) != -EINVAL || other)
		_exit(1);
	if (olio_why()->reason != OLIO_REASON_BAD_STATE)
		_exit(2);
	if (oli_mem_from_bar(m, DEV0, 0, 0, 1, &other) != -EINVAL || olio_mem_share(mem) != -EINVAL)
		_exit(3);
	oli_mem_put(mem);
	_exit(0);
}

static void test_fork(void **state)
{
	struct oli_desc d = rig_desc();
	struct oli_machine *m;
	u8 *p = pages(5, PROT_READ | PROT_WRITE);
	struct olio_mem *mem;
	int status;
	pid_t pid;

	(void)state;
	d.encrypted = 1;
	m = rig_open(&d);
	assert_int_equal(oli_mem_pin(m, p, 5 * PAGE, 0, &mem), 0);
	pid = fork();
	if (!pid)
		child(m, mem, p);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(oli_frames_used(m, m->slot), 5);
	oli_mem_put(mem);
	assert_int_equal(oli_frames_used(m, m->slot), 0);
	munmap(p, 5 * PAGE);
	rig_close(m);
}

/* Files that are none of memory, or may not be used so. */
static void test_files(void **state)
{
	struct oli_desc d = rig_desc();
	struct oli_machine *m = rig_open(&d);
	int fd = memfd_create("process", MFD_ALLOW_SEALING), pipes[2], other, ro;
	struct olio_mem *mem = NULL;
	char path[64];

	(void)state;
	assert_int_equal(ftruncate(fd, 3 * PAGE - 5), 0);
	assert_int_equal(pipe(pipes), 0);
	other = open("/proc/self/exe", O_RDONLY);
	assert_int_equal(oli_mem_from_fd(m, -1, 0, 1, 0, &mem), -EINVAL);
	assert_int_equal(oli_mem_from_fd(m, pipes[0], 0, 1, 0, &mem), -EINVAL);
	assert_int_equal(oli_mem_from_fd(m, other, 0, 1, OLIO_PIN_READ_ONLY, &mem), -EINVAL);
	close(other);
	/* A file system in memory, but no file. */
	other = open("/dev/shm", O_RDONLY | O_DIRECTORY);
	assert_int_equal(oli_mem_from_fd(m, other, 0, 1, OLIO_PIN_READ_ONLY, &mem), -EINVAL);
	assert_int_equal(oli_mem_from_fd(m, fd, 1, UINT64_MAX, 0, &mem), -EFAULT);
	assert_int_equal(oli_mem_from_fd(m, fd, 2, UINT64_MAX, 0, &mem), -EOVERFLOW);
	assert_int_equal(oli_mem_from_fd(m, fd, 0, 3 * PAGE - 4, 0, &mem), -EFAULT);
	assert_null(mem);
	/* Up to its end, which lies inside a page. */
	assert_int_equal(oli_mem_from_fd(m, fd, 1, 3 * PAGE - 6, 0, &mem), 0);
	*(u8 *)olio_mem_cpu(mem, PAGE) = 77;
	assert_int_equal(pread(fd, path, 1, PAGE + 1), 1);
	assert_int_equal(path[0], 77);
	oli_mem_put(mem);
	mem = NULL;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ro = open(path, O_RDONLY);
	assert_int_equal(oli_mem_from_fd(m, ro, 0, PAGE, 0, &mem), -EFAULT);
	assert_int_equal(olio_why()->reason, OLIO_REASON_NO_PAGE);
	assert_int_equal(oli_mem_from_fd(m, ro, 0, PAGE, OLIO_PIN_READ_ONLY, &mem), 0);
	oli_mem_put(mem);
	mem = NULL;
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
	assert_int_equal(oli_mem_from_fd(m, fd, 0, PAGE, 0, &mem), -EFAULT);
	assert_null(mem);
	assert_int_equal(oli_frames_used(m, m->slot), 0);
	close(fd);
	close(ro);
	close(other);
	close(pipes[0]);
	close(pipes[1]);
	rig_close(m);
}

static void test_bars(void **state)
{
	struct oli_desc d = rig_desc();
	struct oli_machine *m = rig_open(&d);
	struct olio_mem *mem = NULL;

	(void)state;
	assert_int_equal(oli_mem_from_bar(m, DEV0, 1, 0, 1, &mem), -ENOENT);
	assert_int_equal(olio_why()->reason, OLIO_REASON_NO_BAR);
	assert_int_equal(oli_mem_from_bar(m, DEV0, 6, 0, 1, &mem), -ENOENT);
	assert_int_equal(oli_mem_from_bar(m, DEV0, UINT32_MAX, 0, 1, &mem), -ENOENT);
	assert_int_equal(oli_mem_from_bar(m, PCI0, 0, 0, 1, &mem), -ENOENT);
	assert_int_equal(oli_mem_from_bar(m, NR_NODES, 0, 0, 1, &mem), -ENOENT);
	assert_int_equal(olio_why()->reason, OLIO_REASON_NO_DEVICE);
	assert_int_equal(oli_mem_from_bar(m, 255, 0, 0, 1, &mem), -ENOENT);
	assert_int_equal(olio_why()->reason, OLIO_REASON_NO_DEVICE);
	assert_int_equal(oli_mem_from_bar(m, DEV0, 0, 1, 4096, &mem), -ERANGE);
	assert_int_equal(oli_mem_from_bar(m, DEV0, 0, 4096, 1, &mem), -ERANGE);
	assert_int_equal(oli_mem_from_bar(m, DEV0, 0, 2, UINT64_MAX, &mem), -ERANGE);
	assert_null(mem);
	rig_close(m);
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(olio_mem_kind_name(OLIO_MEM_RAM), "ram");
	assert_string_equal(olio_mem_kind_name(OLIO_MEM_MMIO), "mmio");
	assert_string_equal(olio_mem_kind_name((enum olio_mem_kind)4), "?");
	assert_string_equal(olio_mem_kind_name((enum olio_mem_kind) - 1), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused), cmocka_unit_test(test_present),
		cmocka_unit_test(test_traits),	cmocka_unit_test(test_share),
		cmocka_unit_test(test_fork),	cmocka_unit_test(test_files),
		cmocka_unit_test(test_bars),	cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
