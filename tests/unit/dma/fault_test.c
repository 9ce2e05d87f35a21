// SPDX-License-Identifier: MIT
/*
 * Each request for a resource on each way of mapping is refused once: the call fails with a
 * reason or does without, nothing is left, the next try works; and what takes down never
 * fails, whatever it is refused.
 */
#include <errno.h>
#include <string.h>

#include "base/fault.h"
#include "iommu/part.h"
#include "lab.h"

static struct oli_machine *m;
static struct olio_dev *dev;
static struct olio_mem *mem, *acc;
static struct olio_run runs[64], ends;
static size_t nruns;

static struct olio_iova dma;
static struct olio_iova_state state;
static struct olio_map *map;
static void *cpu;

/* ---- what is swept: a way up, and the way down again ---- */

static int map_one(void)
{
	return olio_dma_map(dev, &ends, 3, 0, &dma);
}

static void unmap_one(void)
{
	assert_int_equal(olio_dma_unmap(dev, dma, ends.len, 3, 0), 0);
}

static int map_states(void)
{
	u64 len = ends.len;
	int err = olio_iova_alloc(dev, &state, ends.pa, len);

	if (err)
		return err;
	err = olio_iova_link(&state, &ends, 0, 3, 0);
	if (!err && !olio_iova_sync(&state, 0, len))
		return 0;
	assert_int_equal(olio_iova_free(&state), 0);
	return err;
}

static void unmap_states(void)
{
	assert_int_equal(olio_iova_destroy(&state, ends.len, 3, 0), 0);
}

static void unlink_states(void)
{
	assert_int_equal(olio_iova_unlink(&state, 0, ends.len, 3, 0), 0);
	assert_int_equal(olio_iova_free(&state), 0);
}

static int map_all(void)
{
	return olio_map_list(dev, runs, nruns, 3, 0, &map);
}

static void unmap_all(void)
{
	olio_map_unmap(map);
}

static int alloc(void)
{
	return olio_dma_alloc(dev, 10000, 0, &cpu, &dma);
}

static void free_alloc(void)
{
	assert_int_equal(olio_dma_free(dev, 10000, cpu, dma), 0);
}

static const struct path {
	const char *name;
	int (*up)(void);
	void (*down)(void);
	bool translated; /* only with an address space */
} paths[] = {
	{"one-shot", map_one, unmap_one, false},
	{"two-step, destroy", map_states, unmap_states, true},
	{"two-step, unlink", map_states, unlink_states, true},
	{"list", map_all, unmap_all, false},
	{"alloc", alloc, free_alloc, false},
};

static void same(const struct lab_left *before, const struct path *p, int nth, const char *when)
{
	struct lab_left now = lab_left(m, dev);

	if (memcmp(&now, before, sizeof(now)))
		fail_msg("%s, request %d, %s: %ld IOVAs, %ld slots, %ld copies, %ld frames left",
			 p->name, nth, when, (long)(now.iovas - before->iovas),
			 (long)(now.bounces - before->bounces), (long)(now.copies - before->copies),
			 (long)(now.frames - before->frames));
	if (dev->domain)
		assert_true(oli_domain_is_valid(dev->domain));
}

/* What a device has cached needs no request: each time a new one. Return: how many there are. */
static int sweep_up(const struct path *p, const char *name)
{
	for (int nth = 1;; nth++) {
		struct lab_left before;
		bool fired;
		int err;

		olio_dev_close(dev);
		dev = lab_dev(m, name);
		before = lab_left(m, dev);

		oli_fault_countdown = nth;
		err = p->up();
		fired = !oli_fault_countdown;
		oli_fault_countdown = 0;
		if (err) {
			assert_true(fired);
			assert_true(err == -ENOMEM || err == -ENOSPC || err == -EFAULT);
			assert_true(olio_why()->reason != OLIO_REASON_NONE);
			same(&before, p, nth, "refused");
			if (p->up())
				fail_msg("%s, request %d, the second try: %s", p->name, nth,
					 olio_why()->text);
		}
		p->down();
		same(&before, p, nth, "at the end");
		if (!fired)
			return nth - 1;
	}
}

static void sweep_down(const struct path *p)
{
	struct lab_left before = lab_left(m, dev);

	for (int nth = 1;; nth++) {
		bool fired;

		assert_int_equal(p->up(), 0);
		oli_fault_countdown = nth;
		p->down();
		fired = !oli_fault_countdown;
		oli_fault_countdown = 0;
		same(&before, p, nth, "after the way down");
		if (!fired)
			return;
	}
}

static int sweep_open(const char *name)
{
	struct olio_dev *d;
	int err, nth;

	for (nth = 1;; nth++) {
		oli_fault_countdown = nth;
		err = oli_dev_open(m, name, &d);
		if (oli_fault_countdown) {
			oli_fault_countdown = 0;
			assert_int_equal(err, 0);
			olio_dev_close(d);
			return nth - 1;
		}
		if (err)
			assert_true(err == -ENOMEM || err == -ENOSPC);
		else
			olio_dev_close(d);
	}
}

static void sweep(void **s)
{
	static const struct {
		const char *type, *device;
		u8 untrusted, bar, checker;
	} worlds[] = {{"pc", "dma0", 0, 1, 0},	 {"pc", "dma0", 1, 1, 0},
		      {"pc", "soft0", 0, 0, 0},	 {"no-iommu", "dma0", 0, 1, 0},
		      {"no-iommu", "dma32", 0, 0, 0}, {"lazy-amd", "dma0", 1, 1, 0},
		      {"arm-noncoherent", "dma0", 0, 0, 0}, {"cc-guest", "dma0", 0, 0, 0},
		      {"p2p-switch", "dma0", 0, 1, 0}, {"hostile", "dma0", 0, 0, 0},
		      {"hostile", "hca0", 0, 0, 0}, {"pc", "dma0", 1, 1, 1}};
	int requests = 0, opens = 0;

	(void)s;
	for (size_t w = 0; w < OLI_ARRAY_SIZE(worlds); w++) {
		struct oli_desc d;
		size_t n;

		assert_int_equal(oli_desc_builtin(worlds[w].type, &d), 0);
		d.checker = worlds[w].checker ? d.checker : 0;
		d.node[oli_node_find(&d, worlds[w].device)].trusted &= !worlds[w].untrusted;
		m = lab_open(&d);
		opens += sweep_open(worlds[w].device);
		dev = lab_dev(m, worlds[w].device);
		mem = lab_pin(m, lab_pages(65536) + 128, 65536 - 256);
		assert_int_equal(olio_mem_slice(mem, 0, 65536 - 256, runs, 60, &n), 0);
		nruns = n;
		ends = runs[0];
		if (worlds[w].bar) {
			u8 node = oli_node_find(&m->shm->desc, "acc0");

			assert_int_equal(oli_mem_from_bar(m, node, 2, 0, 8192, &acc), 0);
			runs[nruns++] = olio_mem_runs(acc, &n)[0];
		}
		for (size_t i = 0; i < OLI_ARRAY_SIZE(paths); i++) {
			if (paths[i].translated && dev->reach != OLI_REACH_TRANSLATED)
				continue;
			/* The checker keeps what was unmapped for a while. */
			if (worlds[w].checker && dev->check)
				continue;
			requests += sweep_up(&paths[i], worlds[w].device);
			sweep_down(&paths[i]);
		}
		if (worlds[w].bar)
			oli_mem_put(acc);
		oli_mem_put(mem);
		olio_dev_close(dev);
		rig_close(m);
	}
	/* What is swept is there. */
	print_message("%d requests of maps, %d of opens\n", requests, opens);
	assert_true(requests > 100);
	assert_true(opens > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(sweep)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
