// SPDX-License-Identifier: MIT
/*
 * The library as a program has it: public headers, and libolio.so with its hidden
 * insides. Making machines, who may do what with which handle, the walks over tree and
 * mappings against what the calls themselves said, and what is recorded.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <olio/dma.h>
#include <olio/machine.h>

#define PAGE 4096u

static char why[512];

static struct olio_machine *make(const char *name, const char *type)
{
	struct olio_machine *m = NULL;

	if (olio_machine_create(name, type, &m, why, sizeof(why)))
		fail_msg("%s", why);
	return m;
}

static void every_type_can_be_made(void **state)
{
	const char *name, *about;
	uint32_t pos = 0, n = 0;

	(void)state;
	for (; olio_machine_types(&pos, &name, &about) == 1; n++) {
		struct olio_machine_info i = {.size = sizeof(i)};
		struct olio_machine *m = make(NULL, name);

		assert_int_equal(olio_machine_info(m, &i), 0);
		assert_string_equal(i.type, name);
		assert_string_equal(i.about, about);
		assert_int_equal(i.processes, 1);
		assert_true(i.ram_bytes && i.granule && i.cache_line && *i.iommu);
		olio_machine_close(m);
	}
	assert_true(n >= 7);
}

static void private_machines_go_with_their_process(void **state)
{
	struct olio_machine *a = make(NULL, NULL), *b = make(NULL, "no-iommu");
	char dir[300];

	(void)state;
	snprintf(dir, sizeof(dir), "%s", olio_machine_dir(a));
	assert_string_not_equal(dir, olio_machine_dir(b));
	assert_int_equal(access(dir, F_OK), 0);
	olio_machine_close(a);
	assert_int_not_equal(access(dir, F_OK), 0);
	olio_machine_close(b);
	olio_machine_close(NULL);
}

static void what_cannot_be_made_is_said(void **state)
{
	struct olio_machine *m = NULL;

	(void)state;
	assert_int_equal(olio_machine_create(NULL, "pdp11", &m, why, sizeof(why)), -ENOENT);
	assert_non_null(strstr(why, "'pdp11'"));
	assert_non_null(strstr(why, "p2p-acs"));
	assert_int_equal(olio_machine_create(NULL, "/no/such.yaml", &m, why, sizeof(why)), -ENOENT);
	assert_non_null(strstr(why, "/no/such.yaml"));
	assert_int_equal(olio_machine_create(NULL, "pdp11", &m, NULL, 0), -ENOENT);
	assert_null(m);
}

static void another_type_under_the_same_name_is_refused(void **state)
{
	char name[64];
	struct olio_machine *a, *b = NULL;

	(void)state;
	snprintf(name, sizeof(name), "lib-public-%d", (int)getpid());
	a = make(name, "p2p-acs");
	assert_int_equal(olio_machine_create(name, "pc", &b, why, sizeof(why)), -EEXIST);
	assert_non_null(strstr(why, "'p2p-acs'"));
	assert_int_equal(olio_machine_open_type(name, "pc", &b, why, sizeof(why)), -EEXIST);
	assert_null(b);
	assert_int_equal(olio_machine_open_type(name, "p2p-acs", &b, why, sizeof(why)), 0);
	olio_machine_close(b);
	assert_int_equal(olio_machine_create(name, NULL, &b, why, sizeof(why)), 0);
	olio_machine_close(b);
	/* Not private: its clock is everybody's. */
	assert_int_equal(olio_machine_freeze(a), -EPERM);
	olio_machine_close(a);
}

static void the_printed_description_makes_the_same_machine(void **state)
{
	struct olio_machine *a = make(NULL, "hostile"), *b;
	char path[] = "/tmp/olio-public-XXXXXX.yaml", text[8192], again[8192];
	size_t len = 0, len2;
	int fd;

	(void)state;
	assert_int_equal(olio_machine_yaml(a, NULL, 0, &len), -E2BIG);
	assert_true(len > 100 && len < sizeof(text));
	memset(text, 'x', sizeof(text));
	assert_int_equal(olio_machine_yaml(a, text, len, &len2), -E2BIG);
	assert_int_equal(text[0], 'x');
	assert_int_equal(olio_machine_yaml(a, text, sizeof(text), &len2), 0);
	assert_int_equal(len, len2);
	assert_int_equal(strlen(text), len);
	fd = mkstemps(path, 5);
	assert_int_equal(write(fd, text, len), len);
	close(fd);
	b = make(NULL, path);
	assert_int_equal(olio_machine_yaml(b, again, sizeof(again), &len2), 0);
	assert_string_equal(text, again);
	unlink(path);
	olio_machine_close(a);
	olio_machine_close(b);
}

/* ---- handles ---- */

static void an_onlooker_owns_nothing(void **state)
{
	struct olio_machine *m = make(NULL, "pc"), *looker = NULL;
	struct olio_mem *mem = NULL;
	struct olio_dev *dev = NULL;
	char page[64];

	(void)state;
	assert_int_equal(olio_machine_open(olio_machine_dir(m), OLIO_MACHINE_NO_CREATE, &looker, why,
					   sizeof(why)), 0);
	assert_int_equal(olio_dev_open(looker, "dma0", &dev), -EINVAL);
	assert_int_equal(olio_why()->reason, OLIO_REASON_BAD_STATE);
	assert_non_null(strstr(olio_why()->text, "only looks on"));
	assert_int_equal(olio_mem_pin(looker, page, sizeof(page), 0, &mem), -EINVAL);
	assert_int_equal(olio_mem_from_fd(looker, 0, 0, PAGE, 0, &mem), -EINVAL);
	assert_null(dev);
	assert_null(mem);
	olio_machine_close(looker);
	assert_int_equal(olio_dev_open(m, "toaster", &dev), -ENOENT);
	assert_int_equal(olio_why()->reason, OLIO_REASON_NO_DEVICE);
	/* A device that was closed provides nothing. */
	assert_int_equal(olio_dev_open(m, "acc0", &dev), 0);
	assert_int_equal(olio_mem_from_bar(dev, 2, 0, PAGE, &mem), 0);
	olio_mem_put(mem);
	mem = NULL;
	olio_dev_close(dev);
	assert_int_equal(olio_mem_from_bar(dev, 2, 0, PAGE, &mem), -EINVAL);
	assert_null(mem);
	olio_machine_close(m);
}

/* ---- the tree ---- */

static uint32_t find_node(struct olio_machine *m, const char *name, struct olio_node_info *out)
{
	uint32_t pos = 0;

	out->size = sizeof(*out);
	while (olio_next_node(m, &pos, out) == 1)
		if (!strcmp(out->name, name))
			return out->id;
	fail_msg("no node %s", name);
	return 0;
}

static void the_tree_is_walked(void **state)
{
	struct olio_machine *m = make(NULL, "p2p-switch");
	struct olio_node_info n = {.size = sizeof(n)}, old = {.size = 4};
	uint32_t pos = 0, count = 0;

	(void)state;
	while (olio_next_node(m, &pos, &n) == 1) {
		assert_int_equal(n.id, count);
		assert_true(n.parent <= n.id);
		assert_true(*n.name && *n.kind);
		count++;
	}
	assert_int_equal(count, 11);
	find_node(m, "acc0", &n);
	assert_string_equal(n.kind, "endpoint");
	assert_string_equal(n.address, "04:00.0");
	assert_string_equal(n.iommu, "vtdss strict");
	assert_int_equal(n.bars, 3);
	assert_int_equal(n.bar[2].len, 1 << 20);
	assert_true(n.bar[2].provider && !n.bar[0].provider && !n.bar[1].len);
	assert_true(n.bar[2].pa != n.bar[2].bus);
	/* Sizes: one that knows the size only, and one that set none. */
	pos = 0;
	assert_int_equal(olio_next_node(m, &pos, &old), 1);
	old.size = 0;
	pos = 0;
	assert_int_equal(olio_next_node(m, &pos, &old), -EINVAL);
	pos = UINT32_MAX;
	assert_int_equal(olio_next_node(m, &pos, &n), 0);
	olio_machine_close(m);
}

static void peers_follow_the_acs_bits(void **state)
{
	struct olio_machine *m = make(NULL, "p2p-switch");
	struct olio_node_info n;
	uint32_t hca = find_node(m, "hca0", &n), acc = find_node(m, "acc0", &n);
	uint32_t down1 = find_node(m, "down1", &n), bridge = find_node(m, "pci0", &n);
	struct olio_p2p p;

	(void)state;
	assert_int_equal(olio_node_p2p(m, acc, hca, &p), 0);
	assert_int_equal(p.type, OLIO_P2P_BUS_ADDR);
	assert_int_equal(olio_node_set_acs(m, down1, 1 << 2), 0);
	find_node(m, "down1", &n);
	assert_string_equal(n.acs, "RR");
	assert_int_equal(olio_node_p2p(m, acc, hca, &p), 0);
	assert_int_equal(p.type, OLIO_P2P_NOT_SUPPORTED);
	assert_int_equal(p.reason, OLIO_REASON_P2P_ACS);
	assert_int_equal(olio_node_set_acs(m, down1, 0), 0);
	assert_int_equal(olio_node_p2p(m, acc, hca, &p), 0);
	assert_int_equal(p.type, OLIO_P2P_BUS_ADDR);
	assert_int_equal(olio_node_set_acs(m, down1, 0x80), -EINVAL);
	assert_int_equal(olio_node_set_acs(m, hca, 1), -EINVAL);
	assert_int_equal(olio_node_set_acs(m, 99, 1), -ENOENT);
	assert_int_equal(olio_node_p2p(m, bridge, hca, &p), -ENOENT);
	assert_int_equal(olio_node_p2p(m, acc, UINT32_MAX, &p), -ENOENT);
	olio_machine_close(m);
}

/* ---- mappings ---- */

#define LEN (40 * PAGE)

/* The walk says of each page what the map's own pieces say. */
static void check_pages(struct olio_machine *m, const struct olio_map *map)
{
	struct olio_mapping_info i = {.size = sizeof(i)};
	uint64_t pos = 0, mapped = 0;
	struct olio_piece p;
	size_t at = 0;

	while (olio_next_mapping(m, &pos, &i) == 1) {
		assert_string_equal(i.device, "dma0");
		assert_int_equal(i.pid, getpid());
		assert_string_equal(i.access, "w");
		mapped += i.len;
	}
	assert_int_equal(mapped, LEN);
	while (olio_map_next_piece(map, &at, &p) == 1) {
		bool found = false;

		pos = 0;
		while (!found && olio_next_mapping(m, &pos, &i) == 1)
			found = p.dma.v >= i.iova && p.dma.v - i.iova < i.len;
		assert_true(found);
		if (p.dma.v == i.iova)
			assert_int_equal(p.pa.v, i.pa);
	}
}

static void mappings_are_walked(void **state)
{
	struct olio_machine *m = make(NULL, "pc"), *looker = NULL;
	struct olio_mapping_info i = {.size = sizeof(i)};
	char *area = aligned_alloc(PAGE, LEN), where[64];
	const struct olio_run *runs;
	struct olio_mem *mem;
	struct olio_map *map;
	struct olio_dev *dev;
	uint64_t pos = 0;
	size_t n;

	(void)state;
	memset(area, 1, LEN);
	assert_int_equal(olio_machine_open(olio_machine_dir(m), OLIO_MACHINE_NO_CREATE, &looker, why,
					   sizeof(why)), 0);
	assert_int_equal(olio_next_mapping(m, &pos, &i), 0);
	assert_int_equal(olio_dev_open(m, "dma0", &dev), 0);
	assert_int_equal(olio_mem_pin(m, area, LEN, 0, &mem), 0);
	runs = olio_mem_runs(mem, &n);
	assert_int_equal(olio_map_list(dev, runs, n, OLIO_FROM_DEVICE, 0, &map), 0);
	check_pages(m, map);
	check_pages(looker, map);
	/* One program's memory: one row, though its frames are scattered. */
	pos = 0;
	assert_int_equal(olio_next_mapping(looker, &pos, &i), 1);
	assert_int_equal(i.len, LEN);
	assert_int_equal(i.leaf, PAGE);
	snprintf(where, sizeof(where), "[%d] 0x%llx", (int)getpid(), (unsigned long long)(uintptr_t)area);
	assert_non_null(strstr(i.target, where));
	assert_int_equal(olio_next_mapping(looker, &pos, &i), 0);
	pos = UINT64_MAX;
	assert_int_equal(olio_next_mapping(looker, &pos, &i), 0);
	olio_map_unmap(map);
	pos = 0;
	assert_int_equal(olio_next_mapping(looker, &pos, &i), 0);
	olio_mem_put(mem);
	olio_dev_close(dev);
	olio_machine_close(looker);
	olio_machine_close(m);
	free(area);
}

/* Neighbours in the address space that are none in the program are two rows. */
static void mappings_of_two_buffers_are_told_apart(void **state)
{
	struct olio_machine *m = make(NULL, "pc");
	struct olio_mapping_info i = {.size = sizeof(i)};
	char *area = aligned_alloc(PAGE, LEN), where[40];
	struct olio_run runs[64];
	struct olio_mem *mem;
	struct olio_map *map;
	struct olio_dev *dev;
	uint64_t pos = 0;
	size_t n, n2;

	(void)state;
	assert_int_equal(olio_dev_open(m, "dma0", &dev), 0);
	assert_int_equal(olio_mem_pin(m, area, LEN, 0, &mem), 0);
	/* The second half first: pages 20 … 39, 0 … 19. */
	assert_int_equal(olio_mem_slice(mem, LEN / 2, LEN / 2, runs, 32, &n), 0);
	assert_int_equal(olio_mem_slice(mem, 0, LEN / 2, runs + n, 32, &n2), 0);
	assert_int_equal(olio_map_list(dev, runs, n + n2, OLIO_BIDIRECTIONAL, 0, &map), 0);
	olio_map_segs(map, &n);
	assert_int_equal(n, 1);
	for (int half = 1; half >= 0; half--) {
		assert_int_equal(olio_next_mapping(m, &pos, &i), 1);
		assert_int_equal(i.len, LEN / 2);
		assert_string_equal(i.access, "rw");
		snprintf(where, sizeof(where), "0x%llx",
			 (unsigned long long)(uintptr_t)(area + half * (LEN / 2)));
		assert_non_null(strstr(i.target, where));
	}
	assert_int_equal(olio_next_mapping(m, &pos, &i), 0);
	olio_map_unmap(map);
	olio_mem_put(mem);
	olio_dev_close(dev);
	olio_machine_close(m);
	free(area);
}

/* One thread maps and unmaps, this one looks on: what is seen is whole, or not there. */

struct churn {
	struct olio_dev *dev;
	const struct olio_run *runs;
	size_t n;
	atomic_bool stop;
	unsigned int rounds;
};

static void *churn(void *arg)
{
	struct churn *c = arg;

	while (!atomic_load(&c->stop)) {
		struct olio_map *map;

		if (olio_map_list(c->dev, c->runs, c->n, OLIO_TO_DEVICE, 0, &map))
			abort();
		olio_map_unmap(map);
		c->rounds++;
	}
	return NULL;
}

static void mappings_are_walked_while_they_change(void **state)
{
	struct olio_machine *m = make(NULL, "pc");
	struct olio_mapping_info i = {.size = sizeof(i)};
	char *area = aligned_alloc(PAGE, LEN);
	struct churn c = {0};
	struct olio_mem *mem;
	unsigned int seen = 0;
	pthread_t thread;

	(void)state;
	assert_int_equal(olio_dev_open(m, "dma0", &c.dev), 0);
	assert_int_equal(olio_mem_pin(m, area, LEN, 0, &mem), 0);
	c.runs = olio_mem_runs(mem, &c.n);
	assert_int_equal(pthread_create(&thread, NULL, churn, &c), 0);
	/* Until both have done something worth the name; a walk takes far less than a second. */
	for (unsigned int walks = 0; walks < 3000 || (seen < 20 && walks < 2000000); walks++) {
		uint64_t pos = 0, total = 0;

		while (olio_next_mapping(m, &pos, &i) == 1) {
			assert_true(i.len && i.len % PAGE == 0 && i.iova % PAGE == 0);
			assert_string_equal(i.access, "r");
			assert_non_null(strstr(i.target, "] 0x"));
			total += i.len;
			seen++;
		}
		/* While it is walked one map can go and the next one come at other addresses. */
		assert_true(total <= 4 * LEN);
	}
	atomic_store(&c.stop, true);
	pthread_join(thread, NULL);
	assert_true(seen >= 20 && c.rounds > 10);
	olio_mem_put(mem);
	olio_dev_close(c.dev);
	olio_machine_close(m);
	free(area);
}

/* ---- records ---- */

static void faults_and_misuse_are_read(void **state)
{
	struct olio_machine *m = make(NULL, "pc");
	struct olio_misuse_info u = {.size = sizeof(u)};
	struct olio_fault_info f = {.size = sizeof(f)};
	char *area = aligned_alloc(PAGE, PAGE), byte = 7;
	struct olio_mem *mem;
	struct olio_dev *dev;
	struct olio_iova dma;
	uint64_t seq = 0;
	size_t n;

	(void)state;
	assert_int_equal(olio_next_fault(m, &seq, &f), 0);
	assert_int_equal(olio_next_misuse(m, &seq, &u), 0);
	assert_int_equal(olio_dev_open(m, "dma0", &dev), 0);
	assert_int_equal(olio_dev_write(dev, (struct olio_iova){0x123456000}, &byte, 1), -EFAULT);
	assert_int_equal(olio_next_fault(m, &seq, &f), 1);
	assert_string_equal(f.device, "dma0");
	assert_int_equal(f.dma.v, 0x123456000);
	assert_int_equal(f.kind, OLIO_FAULT_NOT_PRESENT);
	assert_true(f.write == 1 && f.pid == getpid() && *f.text);
	assert_int_equal(olio_next_fault(m, &seq, &f), 0);
	seq = UINT64_MAX - 1;
	assert_int_equal(olio_next_fault(m, &seq, &f), 0);

	assert_int_equal(olio_mem_pin(m, area, PAGE, 0, &mem), 0);
	assert_int_equal(olio_dma_map(dev, olio_mem_runs(mem, &n), OLIO_TO_DEVICE, 0, &dma), 0);
	assert_int_equal(olio_dma_unmap(dev, dma, PAGE, OLIO_TO_DEVICE, 0), 0);
	assert_int_equal(olio_dma_unmap(dev, dma, PAGE, OLIO_TO_DEVICE, 0), -ENOENT);
	seq = 0;
	assert_int_equal(olio_next_misuse(m, &seq, &u), 1);
	assert_int_equal(u.class_, 1);
	assert_string_equal(u.name, "double-unmap");
	assert_string_equal(u.device, "dma0");
	assert_int_equal(u.pid, getpid());
	olio_mem_put(mem);
	olio_dev_close(dev);
	olio_machine_close(m);
	free(area);
}

static void memory_put_while_mapped_is_noticed(void **state)
{
	struct olio_machine *m = make(NULL, "pc");
	struct olio_misuse_info u = {.size = sizeof(u)};
	char *area = aligned_alloc(PAGE, PAGE);
	struct olio_mem *mem;
	struct olio_dev *dev;
	struct olio_iova dma;
	uint64_t seq = 0;
	bool seen = false;
	size_t n;

	(void)state;
	assert_int_equal(olio_dev_open(m, "dma0", &dev), 0);
	assert_int_equal(olio_mem_pin(m, area, PAGE, 0, &mem), 0);
	assert_int_equal(olio_dma_map(dev, olio_mem_runs(mem, &n), OLIO_TO_DEVICE, 0, &dma), 0);
	olio_mem_put(mem);
	while (olio_next_misuse(m, &seq, &u) == 1)
		seen = seen || u.class_ == 9;
	assert_true(seen);
	olio_dev_close(dev);
	olio_machine_close(m);
	free(area);
}

static void classes_have_names(void **state)
{
	struct olio_machine *on = make(NULL, "pc"), *off = make(NULL, "pc-fast");
	const char *name = NULL;

	(void)state;
	for (unsigned int n = 1; n <= 35; n++) {
		assert_true(olio_checks(on, n, &name));
		assert_non_null(name);
		assert_false(olio_checks(off, n, NULL));
	}
	assert_false(olio_checks(on, 0, &name));
	assert_false(olio_checks(on, 36, &name));
	olio_machine_close(on);
	olio_machine_close(off);
}

static void the_clock_can_be_driven(void **state)
{
	struct olio_machine *m = make(NULL, "lazy-amd");

	(void)state;
	assert_int_equal(olio_machine_advance(m, 1), -EINVAL);
	assert_int_equal(olio_machine_freeze(m), 0);
	assert_int_equal(olio_machine_freeze(m), 0);
	assert_int_equal(olio_machine_advance(m, 1000000000), 0);
	olio_machine_close(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type_can_be_made),
		cmocka_unit_test(private_machines_go_with_their_process),
		cmocka_unit_test(what_cannot_be_made_is_said),
		cmocka_unit_test(another_type_under_the_same_name_is_refused),
		cmocka_unit_test(the_printed_description_makes_the_same_machine),
		cmocka_unit_test(an_onlooker_owns_nothing),
		cmocka_unit_test(the_tree_is_walked),
		cmocka_unit_test(peers_follow_the_acs_bits),
		cmocka_unit_test(mappings_are_walked),
		cmocka_unit_test(mappings_of_two_buffers_are_told_apart),
		cmocka_unit_test(mappings_are_walked_while_they_change),
		cmocka_unit_test(faults_and_misuse_are_read),
		cmocka_unit_test(memory_put_while_mapped_is_noticed),
		cmocka_unit_test(classes_have_names),
		cmocka_unit_test(the_clock_can_be_driven),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
