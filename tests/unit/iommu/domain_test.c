// SPDX-License-Identifier: MIT
/*
 * Domains: which IOVAs there are, the order of entries, flush and reuse, the lazy
 * window on a clock that stands, failures of every allocation, and threads.
 *
 * The model is an array of allocations and what each leads to. OLIO_SEED replays.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fault.h"
#include "iommu/part.h"
#include "rig.h"

#define K  4096ull
#define PA 0x4000000000ull

struct rig {
	struct oli_desc desc;
	struct oli_machine *m;
	struct oli_domain *d;
	const struct oli_hw *hw;
};

static void rig_begin(struct rig *r, struct oli_desc desc)
{
	r->desc = desc;
	r->m = rig_open(&r->desc);
	assert_int_equal(oli_domain_get(r->m, RIG_NODE, &r->d), 0);
	r->hw = oli_domain_hw(r->d);
}

static void rig_end(struct rig *r)
{
	assert_true(oli_domain_is_valid(r->d));
	oli_domain_put(r->d);
	oli_machine_close(r->m);
}

static struct oli_desc strict(void)
{
	return rig_desc(OLI_PT_VTDSS, OLI_IOMMU_STRICT);
}

static struct oli_desc lazy(void)
{
	return rig_desc(OLI_PT_AMDV1, OLI_IOMMU_LAZY);
}

static void clock_set(struct rig *r, u64 ns)
{
	atomic_store(&r->m->shm->frozen_ns, ns);
}

static u64 map_at(struct rig *r, u64 pa, u64 size)
{
	struct olio_iova iova;

	assert_int_equal(oli_domain_map_new(r->d, (struct olio_pa){pa}, size, RIG_RW, UINT64_MAX,
					    &iova),
			 0);
	return iova.v;
}

static int release(struct rig *r, u64 iova, u64 size)
{
	return oli_domain_release(r->d, (struct olio_iova){iova}, size);
}

static int access_at(struct rig *r, u64 iova, u64 *pa)
{
	return rig_access(r->m, r->hw, iova, OLI_ACCESS_READ, pa);
}

static u64 deferred(struct rig *r)
{
	struct oli_domain_stats s;

	oli_domain_stats(r->d, &s);
	return s.deferred;
}

/* ---- which domain ---- */

static void one_for_node_and_process(void **state)
{
	struct oli_domain *again, *other;
	struct rig r;

	(void)state;
	rig_begin(&r, strict());
	assert_int_equal(oli_domain_get(r.m, RIG_NODE, &again), 0);
	assert_ptr_equal(again, r.d);
	assert_int_equal(oli_domain_get(r.m, RIG_OTHER, &other), 0);
	assert_ptr_not_equal(other, r.d);
	assert_true(oli_domain_hw(other)->id != r.hw->id);
	oli_domain_put(other);
	oli_domain_put(again);
	assert_int_equal(access_at(&r, K, NULL), -ENOENT);
	rig_end(&r);
}

static void none_without_an_iommu(void **state)
{
	struct oli_desc d = strict();
	struct oli_domain *domain = NULL;
	struct oli_machine *m;

	(void)state;
	d.node[RIG_OTHER].software = 1;
	m = rig_open(&d);
	assert_int_equal(oli_domain_get(m, RIG_OTHER, &domain), -EOPNOTSUPP);
	assert_int_equal(oli_domain_get(m, 3, &domain), -EOPNOTSUPP);
	assert_int_equal(oli_domain_get(m, OLI_NODE_NONE, &domain), -EOPNOTSUPP);
	oli_machine_close(m);
	d.iommu = OLI_IOMMU_NONE;
	m = rig_open(&d);
	assert_int_equal(oli_domain_get(m, RIG_NODE, &domain), -EOPNOTSUPP);
	assert_null(domain);
	oli_machine_close(m);
}

/* A process that leaves the machine first may put its domain later. */
static void put_after_leaving(void **state)
{
	struct rig r;

	(void)state;
	rig_begin(&r, strict());
	map_at(&r, PA, K);
	oli_machine_leave(r.m);
	oli_domain_put(r.d);
	munmap(r.m->base, r.m->size);
	free(r.m);
}

/* ---- which IOVAs ---- */

static bool touches(u64 start, u64 size, u64 at, u64 len)
{
	return start < at + len && at < start + size;
}

/* Two endpoints with BARs, which are elsewhere on the bus than in physical memory. */
static struct oli_desc with_bars(void)
{
	struct oli_desc d = strict();

	d.nr_nodes = 7;
	d.bus_offset = 0x20000000;
	for (u32 i = 3; i < 7; i++) {
		snprintf(d.node[i].name, OLI_NODE_NAME, "node%u", i);
		d.node[i].kind = i & 1 ? OLI_NODE_ROOT_PORT_KIND : OLI_NODE_ENDPOINT_KIND;
		d.node[i].parent = i & 1 ? 0 : (u8)(i - 1);
	}
	d.node[4].bar[0].len = 0x10000;
	d.node[6].bar[0].len = 0x1000;
	d.node[6].bar[5].len = 0x100000;
	return d;
}

struct taken {
	u32 n;
	struct {
		u64 at, len;
	} range[16];
};

static void take(struct taken *t, u64 at, u64 len)
{
	t->range[t->n].at = at;
	t->range[t->n++].len = len;
}

static bool is_taken(const struct taken *t, u64 at, u64 len)
{
	for (u32 i = 0; i < t->n; i++)
		if (touches(at, len, t->range[i].at, t->range[i].len))
			return true;
	return false;
}

/* Everything below 4 GiB in pieces: none lies in a reserved range, and none is left out. */
static void reserved_ranges(void **state)
{
	u64 pieces = 0, expect = 0, size = 1 << 16;
	struct taken t = {0};
	struct olio_iova iova;
	struct rig r;

	(void)state;
	rig_begin(&r, with_bars());
	take(&t, 0, K);
	take(&t, OLI_MSI_START, OLI_MSI_LAST - OLI_MSI_START + 1);
	take(&t, OLI_PA_LOW, OLI_PA_LOW_SIZE);
	take(&t, OLI_PA_MMIO, OLI_PA_MMIO_SIZE);
	for (u32 i = 0; i < 7; i++)
		for (u32 b = 0; b < OLI_BARS; b++)
			if (r.m->shm->desc.node[i].bar[b].len)
				take(&t, r.m->shm->desc.node[i].bar[b].bus,
				     r.m->shm->desc.node[i].bar[b].len);
	assert_int_equal(t.n, 7);
	assert_true(t.range[4].at >= 0x60000000 && t.range[4].at < 0x70000000);
	for (u64 at = 0; at < 1ull << 32; at += size)
		expect += !is_taken(&t, at, size);
	while (!oli_domain_alloc(r.d, size, 0xffffffff, &iova)) {
		if (is_taken(&t, iova.v, size))
			fail_msg("%#llx was handed out", (unsigned long long)iova.v);
		pieces++;
	}
	assert_int_equal(pieces, expect);
	/* Nor can they be asked for. */
	for (u32 i = 0; i < t.n; i++)
		assert_int_not_equal(
			oli_domain_alloc_at(r.d, (struct olio_iova){t.range[i].at}, K), 0);
	assert_int_equal(oli_domain_alloc_at(r.d, (struct olio_iova){OLI_PA_RAM}, K), -EBUSY);
	assert_int_equal(oli_domain_alloc_at(r.d, (struct olio_iova){OLI_PA_FILE}, K), -EBUSY);
	assert_int_equal(oli_domain_alloc_at(r.d, (struct olio_iova){OLI_PA_RAM + (1 << 30)}, K),
			 0);
	rig_end(&r);
}

static void below_the_limit(void **state)
{
	struct olio_iova iova;
	struct rig r;

	(void)state;
	rig_begin(&r, strict());
	assert_int_equal(oli_domain_alloc(r.d, K, 0xffffff, &iova), 0);
	assert_true(iova.v >= K && iova.v + K - 1 <= 0xffffff);
	assert_int_equal(oli_domain_alloc(r.d, K, K - 1, &iova), -ENOSPC);
	assert_int_equal(oli_domain_alloc(r.d, 0, UINT64_MAX, &iova), -EINVAL);
	assert_int_equal(oli_domain_alloc(r.d, K + 1, UINT64_MAX, &iova), -EINVAL);
	assert_int_equal(oli_domain_alloc(r.d, 1ull << 63, UINT64_MAX, &iova), -ENOSPC);
	rig_end(&r);
}

/* ---- release ---- */

/* Anything but exactly an allocated range is told so, and nothing has changed. */
static void release_looks_first(void **state)
{
	u64 a, b, pa;
	struct rig r;

	(void)state;
	rig_begin(&r, strict());
	a = map_at(&r, PA, 4 * K);
	b = map_at(&r, PA + 0x100000, 1ull << 30);
	assert_int_equal(release(&r, a, K), -ENOENT);
	assert_int_equal(release(&r, a, 8 * K), -ENOENT);
	assert_int_equal(release(&r, a, 0), -ENOENT);
	assert_int_equal(release(&r, a + 1, 4 * K), -ENOENT);
	assert_int_equal(release(&r, a + K, 3 * K), -ENOENT);
	assert_int_equal(release(&r, 0, UINT64_MAX), -ENOENT);
	assert_int_equal(release(&r, UINT64_MAX & ~(K - 1), 2 * K), -ENOENT);
	assert_int_equal(release(&r, b, 1ull << 29), -ENOENT);
	assert_int_equal(release(&r, OLI_PA_LOW, OLI_PA_LOW_SIZE), -ENOENT);
	for (u32 i = 0; i < 4; i++) {
		assert_int_equal(access_at(&r, a + i * K, &pa), 0);
		assert_int_equal(pa, PA + i * K);
	}
	assert_int_equal(access_at(&r, b + 0x3fffffff, &pa), 0);
	assert_int_equal(release(&r, a, 4 * K), 0);
	assert_int_equal(access_at(&r, a, &pa), -ENOENT);
	assert_int_equal(release(&r, a, 4 * K), -ENOENT);
	assert_int_equal(oli_domain_free(r.d, (struct olio_iova){a}, 4 * K), -ENOENT);
	assert_int_equal(release(&r, b, 1ull << 30), 0);
	assert_int_equal(access_at(&r, b, &pa), -ENOENT);
	rig_end(&r);
}

/* unmap is strict in both modes and keeps the IOVAs. */
static void unmap_keeps_iovas(void **state)
{
	struct oli_desc descs[] = {strict(), lazy()};

	(void)state;
	for (u32 i = 0; i < 2; i++) {
		struct olio_iova iova;
		struct oli_pt_leaf leaf;
		struct rig r;
		u64 pa;

		rig_begin(&r, descs[i]);
		assert_int_equal(oli_domain_alloc_at(r.d, (struct olio_iova){K << 8}, 2 * K), 0);
		iova.v = K << 8;
		for (u32 round = 0; round < 3; round++) {
			struct olio_iova_range a = {iova, {iova.v + K - 1}};
			struct olio_iova_range all = {iova, {iova.v + 2 * K - 1}};

			assert_int_equal(oli_domain_map(r.d, a, (struct olio_pa){PA}, RIG_RW), 0);
			assert_int_equal(oli_domain_map(r.d, a, (struct olio_pa){PA}, RIG_RW),
					 -EADDRINUSE);
			assert_int_equal(oli_domain_sync(r.d, all), 0);
			assert_int_equal(oli_domain_look(r.d, iova, &leaf), 0);
			assert_int_equal(access_at(&r, iova.v, &pa), 0);
			assert_int_equal(oli_domain_unmap(r.d, all), K);
			assert_int_equal(access_at(&r, iova.v, &pa), -ENOENT);
		}
		assert_int_equal(oli_domain_alloc_at(r.d, iova, K), -EBUSY);
		assert_int_equal(oli_domain_free(r.d, iova, 2 * K), 0);
		rig_end(&r);
	}
}

/* ---- lazy ---- */

/* In the window the device still hits, nobody is handed the IOVA; after it, a fault. */
static void window_of_ten_ms(void **state)
{
	struct rig r;
	u64 a, b, pa;

	(void)state;
	rig_begin(&r, lazy());
	clock_set(&r, 1000);
	a = map_at(&r, PA, K);
	assert_int_equal(access_at(&r, a, &pa), 0);
	assert_int_equal(release(&r, a, K), 0);
	assert_int_equal(deferred(&r), 1);
	assert_int_equal(access_at(&r, a, &pa), 0);
	assert_int_equal(pa, PA);
	assert_int_equal(release(&r, a, K), -ENOENT);
	for (u32 i = 0; i < 100; i++) {
		struct olio_iova iova;

		assert_int_equal(oli_domain_alloc(r.d, K, UINT64_MAX, &iova), 0);
		assert_true(iova.v != a);
	}
	b = map_at(&r, PA + K, K);
	clock_set(&r, 1000 + 10 * OLI_NS_PER_MS - 1);
	assert_int_equal(release(&r, b, K), 0);
	assert_int_equal(deferred(&r), 2);
	assert_int_equal(access_at(&r, a, &pa), 0);
	b = map_at(&r, PA + 2 * K, K);
	clock_set(&r, 1000 + 10 * OLI_NS_PER_MS);
	assert_int_equal(release(&r, b, K), 0);
	assert_int_equal(deferred(&r), 0);
	assert_int_equal(access_at(&r, a, &pa), -ENOENT);
	rig_end(&r);
}

static void flush_at_256(void **state)
{
	struct oli_iova_usage usage;
	u64 iova[256], pa;
	struct rig r;

	(void)state;
	rig_begin(&r, lazy());
	clock_set(&r, 1000);
	for (u32 round = 0; round < 3; round++) {
		for (u32 i = 0; i < 256; i++) {
			iova[i] = map_at(&r, PA + i * K, i % 7 ? K : K << 12);
			assert_int_equal(access_at(&r, iova[i], &pa), 0);
		}
		for (u32 i = 0; i < 256; i++) {
			assert_int_equal(deferred(&r), i);
			assert_int_equal(release(&r, iova[i], i % 7 ? K : K << 12), 0);
		}
		assert_int_equal(deferred(&r), 0);
		for (u32 i = 0; i < 256; i++)
			assert_int_equal(access_at(&r, iova[i], &pa), -ENOENT);
		oli_iova_usage(&r.d->iova, &usage);
		assert_int_equal(usage.claimed, 0);
	}
	rig_end(&r);
}

/* Nobody calls, and the running clock alone ends the window. */
/* A space that was put is entered by nobody, not even when it is somebody else's; nothing stays. */
static void ended_spaces(void **state)
{
	struct oli_desc desc = strict();
	struct oli_machine *m;
	struct oli_domain *d;
	struct oli_xlate x;
	u32 id = 0, gen = 0;
	u64 heap = 0;

	(void)state;
	desc.checker = OLI_CHECKER_ALL;
	m = rig_open(&desc);
	for (u32 i = 0; i < 3; i++) {
		assert_int_equal(oli_domain_get(m, RIG_NODE, &d), 0);
		if (i) {
			assert_int_equal(oli_domain_hw(d)->id, id);
			assert_int_not_equal(oli_domain_hw(d)->gen, gen);
			assert_int_equal(oli_xlate_enter(m, id, gen, &x), -ENOENT);
		}
		id = oli_domain_hw(d)->id;
		gen = oli_domain_hw(d)->gen;
		assert_int_equal(oli_xlate_enter(m, id, gen, &x), 0);
		oli_xlate_exit(&x);
		oli_domain_put(d);
		assert_int_equal(oli_xlate_enter(m, id, gen, &x), -ENOENT);
		assert_int_equal(oli_xlate_enter(m, id, 0, &x), -ENOENT);
		/* Seats stay where they are once made. */
		assert_true(!i || rig_heap(m) == heap);
		heap = rig_heap(m);
	}
	oli_machine_close(m);
}

/* Who left while inside is not waited for, nor is who has the slot next. */
static void seats_of_the_gone(void **state)
{
	struct oli_machine *other;
	struct oli_xlate x;
	struct rig r;

	(void)state;
	rig_begin(&r, strict());
	for (u32 i = 0; i < 2; i++) {
		other = rig_open(&r.desc);
		assert_int_equal(oli_xlate_enter(other, r.hw->id, r.hw->gen, &x), 0);
		oli_machine_close(other);
		other = rig_open(&r.desc);
		assert_int_equal(oli_xlate_enter(other, r.hw->id, r.hw->gen, &x), 0);
		oli_xlate_exit(&x);
		oli_domain_flush(r.d);
		oli_domain_flush(r.d);
		oli_machine_close(other);
	}
	rig_end(&r);
}

static void service_thread_flushes(void **state)
{
	u64 start = oli_now(), pa;
	struct rig r;

	(void)state;
	rig_begin(&r, lazy());
	/* Polled: it sleeps, and has to be woken. */
	while (atomic_load(&oli_slot(r.m, r.m->slot)->awake))
		usleep(500);
	for (u32 i = 0; i < 3; i++) {
		u64 a = map_at(&r, PA, K);

		assert_int_equal(access_at(&r, a, &pa), 0);
		assert_int_equal(release(&r, a, K), 0);
		while (deferred(&r))
			if (oli_now() - start > 20 * OLI_NS_PER_S)
				fail_msg("nobody flushed");
			else
				usleep(500);
		assert_int_equal(access_at(&r, a, &pa), -ENOENT);
	}
	rig_end(&r);
}

/* ---- failures ---- */

static void one_of_each(struct rig *r, int *failed)
{
	struct olio_iova iova, two;
	struct olio_iova_range range;
	int err;

	err = oli_domain_map_new(r->d, (struct olio_pa){PA + (1 << 21) + K}, 3ull << 21, RIG_RW,
				 UINT64_MAX, &iova);
	if (!err)
		assert_int_equal(release(r, iova.v, 3ull << 21), 0);
	*failed |= err;
	err = oli_domain_alloc(r->d, K, UINT64_MAX >> 20, &two);
	*failed |= err;
	if (err)
		return;
	range = (struct olio_iova_range){two, {two.v + K - 1}};
	err = oli_domain_map(r->d, range, (struct olio_pa){PA}, RIG_RW);
	*failed |= err;
	if (!err)
		assert_int_equal(oli_domain_unmap(r->d, range), K);
	assert_int_equal(release(r, two.v, K), 0);
}

/* A call fails, and then everything is as if it had not been made; again, and it works. */
static void every_allocation_fails_once(void **state)
{
	struct oli_desc descs[] = {strict(), lazy()};

	(void)state;
	for (u32 i = 0; i < 2; i++)
		for (int nth = 1;; nth++) {
			int failed = 0, again = 0;
			struct rig r;
			u64 heap, pa;

			rig_begin(&r, descs[i]);
			clock_set(&r, 1000);
			oli_fault_countdown = nth;
			one_of_each(&r, &failed);
			if (oli_fault_countdown) {
				oli_fault_countdown = 0;
				assert_int_equal(failed, 0);
				assert_true(nth > 5);
				rig_end(&r);
				break;
			}
			assert_true(!failed || failed == -ENOMEM);
			oli_domain_flush(r.d);
			assert_true(oli_domain_is_valid(r.d));
			one_of_each(&r, &again);
			assert_int_equal(again, 0);
			oli_domain_flush(r.d);
			heap = rig_heap(r.m);
			one_of_each(&r, &again);
			oli_domain_flush(r.d);
			assert_int_equal(again, 0);
			assert_int_equal(rig_heap(r.m), heap);
			assert_int_equal(access_at(&r, K, &pa), -ENOENT);
			rig_end(&r);
		}
}

static void making_a_domain_fails(void **state)
{
	struct oli_desc d = strict();
	struct oli_machine *m = rig_open(&d);
	struct oli_domain *domain;
	u64 heap;
	int err;

	(void)state;
	d.checker = 1ull << 20;
	assert_int_equal(oli_domain_get(m, RIG_NODE, &domain), 0);
	oli_domain_put(domain);
	heap = rig_heap(m);
	for (int nth = 1;; nth++) {
		domain = NULL;
		oli_fault_countdown = nth;
		err = oli_domain_get(m, RIG_NODE, &domain);
		if (!err) {
			assert_true(oli_fault_countdown > 0 && nth > 4);
			oli_fault_countdown = 0;
			break;
		}
		assert_int_equal(oli_fault_countdown, 0);
		assert_int_equal(err, -ENOMEM);
		assert_null(domain);
		assert_int_equal(rig_heap(m), heap);
	}
	oli_domain_put(domain);
	assert_int_equal(rig_heap(m), heap);
	oli_machine_close(m);
}

static void spaces_run_out(void **state)
{
	struct oli_desc d = strict();
	struct oli_machine *m = rig_open(&d);
	struct oli_hw *hw[600], *one_more;
	u32 n = 0;

	(void)state;
	while (n < 600 && !oli_soft_create(m, RIG_NODE, &hw[n]))
		n++;
	assert_int_equal(oli_soft_create(m, RIG_NODE, &one_more), -ENOSPC);
	assert_int_equal(n, 512);
	hw[17]->ops->destroy(hw[17]);
	assert_int_equal(oli_soft_create(m, RIG_NODE, &hw[17]), 0);
	/* Its old name is nobody's. */
	one_more = hw[17];
	assert_int_equal(rig_access(m, &(struct oli_hw){.id = one_more->id,
							.gen = one_more->gen - 1},
				    K, OLI_ACCESS_READ, NULL),
			 RIG_NO_SPACE);
	while (n--)
		hw[n]->ops->destroy(hw[n]);
	oli_machine_close(m);
}

/* ---- programs ---- */

#define LIVE 60

struct live {
	u64 iova, size, pa;
	bool mapped;
};

static bool overlaps_any(const struct live *l, u32 n, u64 iova, u64 size)
{
	for (u32 i = 0; i < n; i++)
		if (l[i].size && touches(iova, size, l[i].iova, l[i].size))
			return true;
	return false;
}

/* Each byte of what is mapped leads where it should, and what was flushed nowhere. */
static void check_live(struct rig *r, const struct live *l, u64 *seed)
{
	for (u32 i = 0; i < LIVE; i++) {
		u64 off, pa;

		if (!l[i].size || rig_random(seed) % 4)
			continue;
		off = rig_random(seed) % l[i].size;
		assert_int_equal(access_at(r, l[i].iova + off, &pa), l[i].mapped ? 0 : -ENOENT);
		if (l[i].mapped)
			assert_int_equal(pa, l[i].pa + off);
	}
}

static void step(struct rig *r, struct live *l, u64 *seed)
{
	struct live *e = &l[rig_random(seed) % LIVE];
	struct olio_iova iova;

	if (e->size && e->mapped) {
		assert_int_equal(release(r, e->iova, e->size), 0);
		*e = (struct live){0};
	} else if (e->size) {
		assert_int_equal(oli_domain_free(r->d, (struct olio_iova){e->iova}, e->size), 0);
		*e = (struct live){0};
	} else if (rig_random(seed) % 3) {
		u64 size = K * (1 + rig_random(seed) % (rig_random(seed) % 8 ? 40 : 2000));
		u64 pa = PA + K * (rig_random(seed) % 4096);

		assert_int_equal(oli_domain_map_new(r->d, (struct olio_pa){pa}, size, RIG_RW,
						    0x3fffffff, &iova),
				 0);
		assert_false(overlaps_any(l, LIVE, iova.v, size));
		*e = (struct live){iova.v, size, pa, true};
	} else {
		u64 size = K * (1 + rig_random(seed) % 40);

		assert_int_equal(oli_domain_alloc(r->d, size, 0x3fffffff, &iova), 0);
		assert_false(overlaps_any(l, LIVE, iova.v, size));
		*e = (struct live){iova.v, size, 0, false};
	}
}

/* Only strict: in a lazy domain what is not mapped may have been a moment ago. */
static void random_programs(void **state)
{
	const char *want = getenv("OLIO_SEED");
	u64 first = want ? strtoull(want, NULL, 0) : 1;

	(void)state;
	for (u64 s = first; s < first + (want ? 1 : 6); s++) {
		struct oli_desc d = rig_desc((enum oli_pt_format_id)(s % OLI_PT_NR_FORMATS),
					     OLI_IOMMU_STRICT);
		struct live l[LIVE] = {0};
		u64 seed = s;
		struct rig r;

		d.caching_mode = s & 1;
		rig_begin(&r, d);
		for (u32 i = 0; i < 1500; i++) {
			step(&r, l, &seed);
			if (i % 8 == 0)
				check_live(&r, l, &seed);
		}
		rig_end(&r);
	}
}

/* ---- threads ---- */

struct workers {
	struct rig r;
	_Atomic bool stop;
	_Atomic u64 wrong, hits;
	/* By frame: odd while it is given to the device. */
	_Atomic u32 frame[64];
	_Atomic u64 iova[4]; /* what each worker last mapped */
};

struct worker {
	struct workers *w;
	u32 number;
};

/* Give a frame to the device, take it back. */
static void *worker_main(void *arg)
{
	struct worker *me = arg;
	struct workers *w = me->w;

	for (u32 i = 0; i < 2000; i++) {
		u32 f = me->number * 16 + i % 16;
		struct olio_iova iova;

		atomic_fetch_add(&w->frame[f], 1);
		if (oli_domain_map_new(w->r.d, (struct olio_pa){PA + f * K}, K, RIG_RW, UINT64_MAX,
				       &iova))
			abort();
		atomic_store(&w->iova[me->number], iova.v);
		if (oli_domain_release(w->r.d, iova, K))
			abort();
		atomic_fetch_add(&w->frame[f], 1);
	}
	return NULL;
}

/* What was found inside was given at some time since the entry. */
static void *looker_main(void *arg)
{
	struct workers *w = arg;
	u32 i = 0;

	while (!atomic_load(&w->stop)) {
		struct oli_xlate x;
		struct olio_pa pa;
		u64 len = 1;
		u32 before[64];

		for (u32 f = 0; f < 64; f++)
			before[f] = atomic_load(&w->frame[f]);
		if (oli_xlate_enter(w->r.m, w->r.hw->id, w->r.hw->gen, &x))
			abort();
		if (!oli_xlate(&x, (struct olio_iova){atomic_load(&w->iova[i++ % 4])},
			       OLI_ACCESS_WRITE, &pa, &len)) {
			u32 f = (u32)((pa.v - PA) / K);
			u32 now = atomic_load(&w->frame[f]);

			/* Free before, and never given since: it was released for good. */
			if (!(now & 1) && now == before[f])
				atomic_fetch_add(&w->wrong, 1);
			/* Inside, a frame that was found cannot complete its release. */
			if (!(now & 1))
				atomic_fetch_add(&w->wrong, 1);
			atomic_fetch_add(&w->hits, 1);
		}
		oli_xlate_exit(&x);
		if (i % 32 == 0)
			sched_yield();
	}
	return NULL;
}

static void threads(void **state)
{
	static struct workers w;
	struct worker worker[3];
	pthread_t t[3], looker[2];

	(void)state;
	rig_begin(&w.r, strict());
	for (u32 i = 0; i < 4; i++)
		atomic_store(&w.iova[i], K);
	for (u32 i = 0; i < 3; i++) {
		worker[i] = (struct worker){&w, i};
		assert_int_equal(pthread_create(&t[i], NULL, worker_main, &worker[i]), 0);
	}
	for (u32 i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&looker[i], NULL, looker_main, &w), 0);
	for (u32 i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	atomic_store(&w.stop, true);
	for (u32 i = 0; i < 2; i++)
		pthread_join(looker[i], NULL);
	assert_int_equal(w.wrong, 0);
	rig_end(&w.r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_for_node_and_process),
		cmocka_unit_test(none_without_an_iommu),
		cmocka_unit_test(put_after_leaving),
		cmocka_unit_test(reserved_ranges),
		cmocka_unit_test(below_the_limit),
		cmocka_unit_test(release_looks_first),
		cmocka_unit_test(unmap_keeps_iovas),
		cmocka_unit_test(window_of_ten_ms),
		cmocka_unit_test(flush_at_256),
		cmocka_unit_test(ended_spaces),
		cmocka_unit_test(seats_of_the_gone),
		cmocka_unit_test(service_thread_flushes),
		cmocka_unit_test(every_allocation_fails_once),
		cmocka_unit_test(making_a_domain_fails),
		cmocka_unit_test(spaces_run_out),
		cmocka_unit_test(random_programs),
		cmocka_unit_test(threads),
	};

	return cmocka_run_group_tests_name("domain", tests, NULL, NULL);
}
