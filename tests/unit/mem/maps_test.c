// SPDX-License-Identifier: MIT
/*
 * Proves that both ways of reading the process's mappings see the same, and see what
 * mmap() was asked for: every kind of mapping, a name that is longer than any buffer, and
 * addresses in holes, at edges and beyond the last.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the four above */
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "mem/maps.h"

#define PAGE 4096ul
#define HUGE (2ul << 20)
#define MAX  4096

static struct oli_vma one[MAX], other[MAX];

static u32 all(struct oli_vma *vma, bool text, bool *was_text)
{
	struct oli_maps maps;
	u64 at = 0;
	u32 n = 0;

	assert_int_equal(oli_maps_open(&maps, text), 0);
	while (n < MAX && !oli_maps_find(&maps, at, &vma[n]))
		at = vma[n++].end;
	*was_text = maps.text;
	oli_maps_close(&maps);
	return n;
}

static void find(bool text, const void *p, struct oli_vma *vma)
{
	struct oli_maps maps;

	assert_int_equal(oli_maps_open(&maps, text), 0);
	assert_int_equal(oli_maps_find(&maps, (u64)(uintptr_t)p, vma), 0);
	oli_maps_close(&maps);
}

/* A mapping at @p of @len, found from both its ends, by both ways. */
static void expect(void *p, u64 len, u32 flags, u64 page_size)
{
	u64 start = (u64)(uintptr_t)p;
	struct oli_vma vma;

	for (u32 i = 0; i < 4; i++) {
		find(i & 1, (u8 *)p + (i & 2 ? len - 1 : 0), &vma);
		assert_int_equal(vma.start, start);
		assert_int_equal(vma.end, start + len);
		assert_int_equal(vma.flags, flags);
		assert_int_equal(vma.page_size, page_size);
	}
}

static void *map(u64 len, int prot, int flags, int fd)
{
	void *p = mmap(NULL, len, prot, flags, fd, 0);

	assert_true(p != MAP_FAILED);
	return p;
}

/* @n pages that nothing else touches. */
static u8 *island(u64 len)
{
	u8 *p = map(len + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	munmap(p, PAGE);
	munmap(p + PAGE + len, PAGE);
	return p + PAGE;
}

/* Both ways, all mappings. */
static void same(void)
{
	bool text, asked;
	u32 n, k;

	n = all(one, true, &text);
	k = all(other, false, &asked);
	assert_true(text);
	assert_true(n > 10);
	/* The kernel does not answer for a page of its own, above all others. */
	while (n && one[n - 1].start >> 63)
		n--;
	assert_int_equal(n, k - (k && other[k - 1].start >> 63));
	for (u32 i = 0; i < n; i++) {
		assert_int_equal(one[i].start, other[i].start);
		assert_int_equal(one[i].end, other[i].end);
		assert_int_equal(one[i].flags, other[i].flags);
		assert_int_equal(one[i].page_size, other[i].page_size);
	}
	if (asked)
		print_message("# this kernel does not answer for one address\n");
}

static void test_flags(void **state)
{
	static const int prots[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE,
				    PROT_READ | PROT_EXEC};
	static const u32 flags[] = {0, OLI_VMA_READ, OLI_VMA_READ | OLI_VMA_WRITE,
				    OLI_VMA_READ | OLI_VMA_EXEC};

	(void)state;
	for (u32 i = 0; i < OLI_ARRAY_SIZE(prots); i++) {
		u8 *p = island(3 * PAGE);

		mprotect(p, 3 * PAGE, prots[i]);
		expect(p, 3 * PAGE, flags[i], PAGE);
		munmap(p, 3 * PAGE);
	}
}

/* A path that is longer than a line may be. */
static void test_long_name(void **state)
{
	char path[3500] = "/tmp/olio-maps-XXXXXX", top[sizeof("/tmp/olio-maps-XXXXXX")];
	int fd;
	u8 *p;

	(void)state;
	assert_non_null(mkdtemp(path));
	memcpy(top, path, sizeof(top));
	while (strlen(path) < sizeof(path) - 250) {
		size_t n = strlen(path);

		path[n] = '/';
		memset(path + n + 1, 'a', 200);
		path[n + 201] = '\0';
		if (mkdir(path, 0700))
			break;
	}
	strcat(path, "/f");
	fd = open(path, O_RDWR | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 2 * PAGE), 0);
	p = island(2 * PAGE);
	assert_ptr_equal(mmap(p, 2 * PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0), p);
	expect(p, 2 * PAGE, OLI_VMA_READ | OLI_VMA_SHARED | OLI_VMA_FILE, PAGE);
	same();
	munmap(p, 2 * PAGE);
	close(fd);
	snprintf(path, sizeof(path), "rm -rf %s", top);
	assert_int_equal(system(path), 0);
}

/* Lies like huge pages, and has none: the longer list is read, too. */
static void test_aligned_file(void **state)
{
	u8 *area = map(3 * HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	u8 *p = (u8 *)(((uintptr_t)area + HUGE) & ~(HUGE - 1));
	int fd = memfd_create("maps", 0);

	(void)state;
	assert_int_equal(ftruncate(fd, HUGE), 0);
	assert_ptr_equal(mmap(p, HUGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0), p);
	expect(p, HUGE, OLI_VMA_READ | OLI_VMA_WRITE | OLI_VMA_SHARED | OLI_VMA_FILE, PAGE);
	munmap(area, 3 * HUGE);
	close(fd);
}

static void test_huge(void **state)
{
	void *p = mmap(NULL, HUGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_NORESERVE, -1, 0);

	(void)state;
	/* It need not be touched, so no huge page need be free. */
	if (p == MAP_FAILED)
		skip();
	expect(p, HUGE, OLI_VMA_READ | OLI_VMA_WRITE | OLI_VMA_FILE, HUGE);
	munmap(p, HUGE);
}

static void test_same(void **state)
{
	(void)state;
	same();
}

/* Holes: the next mapping above is found; above all there is none. */
static void test_holes(void **state)
{
	struct oli_maps maps;
	struct oli_vma vma;
	u8 *p = island(3 * PAGE);

	(void)state;
	munmap(p + PAGE, PAGE);
	for (u32 i = 0; i < 2; i++) {
		find(i, p + PAGE, &vma);
		assert_int_equal(vma.start, (uintptr_t)p + 2 * PAGE);
		find(i, p + 2 * PAGE - 1, &vma);
		assert_int_equal(vma.start, (uintptr_t)p + 2 * PAGE);
		assert_int_equal(oli_maps_open(&maps, i), 0);
		assert_int_equal(oli_maps_find(&maps, UINT64_MAX, &vma), -ENOENT);
		oli_maps_close(&maps);
	}
	munmap(p, 3 * PAGE);
}

static void test_failures(void **state)
{
	struct oli_maps maps;
	struct oli_vma vma;
	int err, done = 0;

	(void)state;
	for (int n = 1; !done; n++) {
		oli_fault_countdown = n;
		err = oli_maps_open(&maps, n & 1);
		if (!err) {
			err = oli_maps_find(&maps, (uintptr_t)&vma, &vma);
			oli_maps_close(&maps);
		}
		done = oli_fault_countdown;
		oli_fault_countdown = 0;
		if (!err)
			assert_true(vma.start <= (uintptr_t)&vma && vma.end > (uintptr_t)&vma);
		assert_true(n < 100);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flags),	     cmocka_unit_test(test_long_name),
		cmocka_unit_test(test_aligned_file), cmocka_unit_test(test_huge),
		cmocka_unit_test(test_same),	     cmocka_unit_test(test_holes),
		cmocka_unit_test(test_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
