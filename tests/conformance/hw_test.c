// SPDX-License-Identifier: MIT
/*
 * The suite of the IOMMU contract (iommu/hw.h), run over every table format, strict,
 * lazy and caching, with every granule. A backend is judged from both of its sides:
 * what look says, and what the device finds.
 *
 * The model is an array of granules in a window: what the tables say now, and what
 * the device was told since the last flush, which it may say again until the next.
 *
 * OLIO_SEED replays a random program.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "../unit/iommu/rig.h"

#define WINDOW 64u /* granules */
#define PA     0x4000000000ull

enum mode { STRICT, LAZY, CACHING, MODES };

struct variant {
	enum oli_pt_format_id format;
	enum mode mode;
	u8 shift;
	char name[40];
};

struct rig {
	const struct variant *v;
	struct oli_desc desc;
	struct oli_machine *m;
	struct oli_hw *hw;
};

static const char *const mode_names[] = {"strict", "lazy", "caching"};

static void rig_init(struct rig *r, const struct variant *v)
{
	r->v = v;
	r->desc = rig_desc(v->format, v->mode == LAZY ? OLI_IOMMU_LAZY : OLI_IOMMU_STRICT);
	r->desc.granule_shift = v->shift;
	r->desc.caching_mode = v->mode == CACHING;
	r->m = rig_open(&r->desc);
	assert_int_equal(oli_soft_create(r->m, RIG_NODE, &r->hw), 0);
}

static void rig_fini(struct rig *r)
{
	r->hw->ops->destroy(r->hw);
	oli_machine_close(r->m);
}

static u64 granule(const struct rig *r)
{
	return 1ull << r->v->shift;
}

static struct olio_iova_range span(const struct rig *r, u64 base, u32 first, u32 n)
{
	u64 start = base + first * granule(r);

	return (struct olio_iova_range){{start}, {start + (n * granule(r) - 1)}};
}

static int map(struct rig *r, u64 base, u32 first, u32 n, u64 pa)
{
	return r->hw->ops->map(r->hw, span(r, base, first, n), (struct olio_pa){pa}, RIG_RW);
}

static u64 unmap(struct rig *r, u64 base, u32 first, u32 n)
{
	return r->hw->ops->unmap(r->hw, span(r, base, first, n));
}

static int sync_all(struct rig *r, u64 base)
{
	return r->hw->ops->sync(r->hw, span(r, base, 0, WINDOW));
}

static int access_at(struct rig *r, u64 iova, u64 *pa)
{
	return rig_access(r->m, r->hw, iova, OLI_ACCESS_READ, pa);
}

/* ---- what is said about itself ---- */

static void describes_itself(void **state)
{
	struct rig r;

	rig_init(&r, *state);
	assert_int_equal(r.hw->granule_shift, r.v->shift);
	assert_int_equal(r.hw->page_sizes & -r.hw->page_sizes, granule(&r));
	assert_int_equal(r.hw->aperture.start.v, 0);
	assert_int_equal(r.hw->lazy, r.v->mode == LAZY);
	assert_int_equal(r.hw->caching, r.v->mode == CACHING);
	rig_fini(&r);
}

/* ---- invalidation ---- */

/* A stale hit before the flush, a fault after it. */
static void flush_makes_it_forget(void **state)
{
	u64 base = 1ull << 32, pa;
	struct rig r;

	rig_init(&r, *state);
	assert_int_equal(map(&r, base, 0, 1, PA), 0);
	assert_int_equal(sync_all(&r, base), 0);
	assert_int_equal(access_at(&r, base + 5, &pa), 0);
	assert_int_equal(pa, PA + 5);
	assert_int_equal(unmap(&r, base, 0, 1), granule(&r));
	assert_int_equal(access_at(&r, base + 5, &pa), 0);
	assert_int_equal(pa, PA + 5);
	r.hw->ops->flush(r.hw);
	assert_int_equal(access_at(&r, base + 5, &pa), -ENOENT);
	rig_fini(&r);
}

/* In caching mode an entry that was absent is absent until the sync; elsewhere it is not. */
static void absent_is_remembered_in_caching_mode(void **state)
{
	u64 base = 1ull << 32, pa;
	struct rig r;

	rig_init(&r, *state);
	assert_int_equal(access_at(&r, base, &pa), -ENOENT);
	assert_int_equal(map(&r, base, 0, 1, PA), 0);
	assert_int_equal(access_at(&r, base, &pa), r.v->mode == CACHING ? -ENOENT : 0);
	assert_int_equal(sync_all(&r, base), 0);
	assert_int_equal(access_at(&r, base, &pa), 0);
	assert_int_equal(pa, PA);
	rig_fini(&r);
}

/* The same IOVA, mapped elsewhere after a flush, leads elsewhere, whatever hit before. */
static void remap_after_flush(void **state)
{
	u64 base = 1ull << 32, pa;
	struct rig r;

	rig_init(&r, *state);
	for (u32 i = 0; i < 5000; i++) {
		assert_int_equal(map(&r, base, i % 3, 1, PA + i * granule(&r)), 0);
		assert_int_equal(sync_all(&r, base), 0);
		assert_int_equal(access_at(&r, base + i % 3 * granule(&r), &pa), 0);
		assert_int_equal(pa, PA + i * granule(&r));
		assert_int_equal(unmap(&r, base, i % 3, 1), granule(&r));
		r.hw->ops->flush(r.hw);
		assert_int_equal(access_at(&r, base + i % 3 * granule(&r), &pa), -ENOENT);
	}
	rig_fini(&r);
}

/* Tables that are taken out are not reused before the flush. */
static void tables_wait_for_the_flush(void **state)
{
	u64 base = 1ull << 32, big = 1ull << 31, used;
	struct olio_iova_range all = {{base}, {base + big - 1}};
	struct oli_pt_leaf leaf;
	struct rig r;
	u64 pa, off;

	rig_init(&r, *state);
	/* Granules that are not where a large page could be. */
	for (u32 i = 0; i < 100; i++) {
		off = (u64)i << 21;
		assert_int_equal(r.hw->ops->map(r.hw,
						(struct olio_iova_range){{base + off},
									 {base + off + granule(&r) -
									  1}},
						(struct olio_pa){PA + off + 0x10000}, RIG_RW),
				 0);
	}
	assert_int_equal(sync_all(&r, base), 0);
	used = rig_heap(r.m);
	assert_int_equal(r.hw->ops->unmap(r.hw, all), 100 * granule(&r));
	assert_int_equal(rig_heap(r.m), used);
	assert_int_equal(r.hw->ops->look(r.hw, (struct olio_iova){base}, &leaf), -ENOENT);
	r.hw->ops->flush(r.hw);
	assert_true(rig_heap(r.m) < used);
	assert_int_equal(access_at(&r, base, &pa), -ENOENT);
	rig_fini(&r);
}

/* ---- limits ---- */

static void top_of_the_aperture(void **state)
{
	struct olio_iova_range r1;
	struct rig r;
	u64 pa, last;

	rig_init(&r, *state);
	last = r.hw->aperture.last.v;
	r1 = (struct olio_iova_range){{last - 2 * granule(&r) + 1}, {last}};
	assert_int_equal(r.hw->ops->map(r.hw, r1, (struct olio_pa){PA}, RIG_RW), 0);
	assert_int_equal(r.hw->ops->sync(r.hw, r1), 0);
	assert_int_equal(access_at(&r, last, &pa), 0);
	assert_int_equal(pa, PA + 2 * granule(&r) - 1);
	if (last != UINT64_MAX) {
		assert_int_equal(access_at(&r, last + 1, &pa), -ERANGE);
		assert_int_equal(access_at(&r, UINT64_MAX, &pa), -ERANGE);
	}
	assert_int_equal(r.hw->ops->unmap(r.hw, r1), 2 * granule(&r));
	r.hw->ops->flush(r.hw);
	assert_int_equal(access_at(&r, last, &pa), -ENOENT);
	rig_fini(&r);
}

static void refuses(void **state)
{
	u64 base = 1ull << 32;
	struct olio_iova_range back = {{base + 0x10000}, {base - 1}};
	struct rig r;

	rig_init(&r, *state);
	assert_int_equal(r.hw->ops->map(r.hw, back, (struct olio_pa){PA}, RIG_RW), -EINVAL);
	assert_int_equal(r.hw->ops->map(r.hw, span(&r, base, 0, 1), (struct olio_pa){PA + 1},
					RIG_RW),
			 -EINVAL);
	assert_int_equal(r.hw->ops->map(r.hw, span(&r, base, 0, 1), (struct olio_pa){PA}, 0),
			 -EINVAL);
	assert_int_equal(r.hw->ops->map(r.hw, span(&r, base, 0, 1),
					(struct olio_pa){~0ull << r.v->shift}, RIG_RW),
			 -ERANGE);
	assert_int_equal(map(&r, base, 1, 1, PA), 0);
	assert_int_equal(map(&r, base, 0, 3, PA), -EADDRINUSE);
	assert_int_equal(access_at(&r, base, NULL), -ENOENT);
	assert_int_equal(access_at(&r, base + 2 * granule(&r), NULL), -ENOENT);
	rig_fini(&r);
}

/* READ and WRITE are what the device may do, and *@len never goes beyond the entry. */
static void access_and_length(void **state)
{
	u64 base = 1ull << 32, len = 1ull << 40;
	struct olio_pa pa;
	struct oli_xlate x;
	struct rig r;

	rig_init(&r, *state);
	assert_int_equal(r.hw->ops->map(r.hw, span(&r, base, 0, 1), (struct olio_pa){PA},
					OLI_PT_READ),
			 0);
	assert_int_equal(sync_all(&r, base), 0);
	for (u32 i = 0; i < 3; i++) {
		assert_int_equal(rig_access(r.m, r.hw, base, OLI_ACCESS_READ, NULL), 0);
		assert_int_equal(rig_access(r.m, r.hw, base, OLI_ACCESS_WRITE, NULL), -EACCES);
		assert_int_equal(rig_access(r.m, r.hw, base, OLI_ACCESS_READ | OLI_ACCESS_WRITE,
					    NULL),
				 -EACCES);
	}
	assert_int_equal(oli_xlate_enter(r.m, r.hw->id, r.hw->gen, &x), 0);
	for (u32 i = 0; i < 2; i++) {
		len = 1ull << 40;
		assert_int_equal(oli_xlate(&x, (struct olio_iova){base + 4096 - 3},
					   OLI_ACCESS_READ, &pa, &len),
				 0);
		assert_int_equal(len, 3);
		assert_int_equal(pa.v, PA + 4096 - 3);
		len = 2;
		assert_int_equal(oli_xlate(&x, (struct olio_iova){base}, OLI_ACCESS_READ, &pa,
					   &len),
				 0);
		assert_int_equal(len, 2);
	}
	oli_xlate_exit(&x);
	rig_fini(&r);
}

/* Large entries: found again by any of their pages, and gone after one flush. */
static void large_pages(void **state)
{
	u64 base = 1ull << 32, size = 1ull << 22, pa, len;
	struct olio_iova_range all = {{base}, {base + size - 1}};
	struct oli_iotlb_stats before, after;
	struct olio_pa out;
	struct oli_xlate x;
	struct rig r;

	rig_init(&r, *state);
	assert_int_equal(r.hw->ops->map(r.hw, all, (struct olio_pa){PA}, RIG_RW), 0);
	assert_int_equal(sync_all(&r, base), 0);
	assert_int_equal(access_at(&r, base, &pa), 0);
	oli_iotlb_stats(r.m, r.hw->id, &before);
	for (u64 off = 0; off < 1ull << 21; off += 0x12345) {
		assert_int_equal(access_at(&r, base + off, &pa), 0);
		assert_int_equal(pa, PA + off);
	}
	oli_iotlb_stats(r.m, r.hw->id, &after);
	assert_int_equal(after.misses, before.misses);
	assert_int_equal(after.visits - before.visits, ((1ull << 21) + 0x12344) / 0x12345);
	assert_int_equal(oli_xlate_enter(r.m, r.hw->id, r.hw->gen, &x), 0);
	len = UINT64_MAX;
	assert_int_equal(oli_xlate(&x, (struct olio_iova){base + 0x1fffff}, OLI_ACCESS_WRITE, &out,
				   &len),
			 0);
	assert_true(len >= 1 && len <= size - 0x1fffff);
	oli_xlate_exit(&x);
	assert_int_equal(r.hw->ops->unmap(r.hw, all), size);
	assert_int_equal(access_at(&r, base + 0x1000, &pa), 0);
	r.hw->ops->flush(r.hw);
	assert_int_equal(access_at(&r, base + 0x1000, &pa), -ENOENT);
	rig_fini(&r);
}

/* A look from beside is told when the device's answer is no longer what the tables say. */
static void stale_is_told(void **state)
{
	u64 base = 1ull << 32, len = 1;
	struct oli_xlate x;
	struct olio_pa pa;
	struct rig r;

	rig_init(&r, *state);
	assert_int_equal(map(&r, base, 0, 1, PA), 0);
	assert_int_equal(sync_all(&r, base), 0);
	assert_int_equal(oli_xlate_enter(r.m, r.hw->id, r.hw->gen, &x), 0);
	assert_int_equal(oli_xlate(&x, (struct olio_iova){base}, OLI_ACCESS_READ, &pa, &len), 0);
	assert_false(oli_xlate_stale(&x, (struct olio_iova){base}));
	assert_false(oli_xlate_stale(&x, (struct olio_iova){base + 0x1000000}));
	assert_int_equal(unmap(&r, base, 0, 1), granule(&r));
	assert_true(oli_xlate_stale(&x, (struct olio_iova){base}));
	oli_xlate_exit(&x);
	rig_fini(&r);
}

/* ---- the model ---- */

struct cell {
	u64 now;  /* pa, 0: absent */
	u64 told[8]; /* what the device was told since the flush: pa + 1, 1: absent */
	u32 nr_told;
	bool head; /* the first granule of a map */
	u32 run;
};

struct model {
	struct cell cell[WINDOW];
	u64 base, seed;
	u32 step;
};

static bool was_told(const struct cell *c, u64 what)
{
	for (u32 i = 0; i < c->nr_told; i++)
		if (c->told[i] == what + 1)
			return true;
	return false;
}

static void tell(struct cell *c, u64 what)
{
	if (!was_told(c, what) && c->nr_told < OLI_ARRAY_SIZE(c->told))
		c->told[c->nr_told++] = what + 1;
}

static void model_flush(struct model *mo)
{
	for (u32 i = 0; i < WINDOW; i++)
		mo->cell[i].nr_told = 0;
}

static void model_map(struct rig *r, struct model *mo)
{
	u32 first = rig_random(&mo->seed) % WINDOW;
	u32 n = 1 + rig_random(&mo->seed) % (WINDOW - first), rc = 0;
	u64 pa = PA + ((u64)(1 + rig_random(&mo->seed) % 1000) << r->v->shift);

	if (n > 8 && rig_random(&mo->seed) % 2)
		n = 1 + n % 8;
	for (u32 i = first; i < first + n; i++)
		rc |= mo->cell[i].now != 0;
	assert_int_equal(map(r, mo->base, first, n, pa), rc ? -EADDRINUSE : 0);
	if (rc)
		return;
	for (u32 i = 0; i < n; i++) {
		mo->cell[first + i].now = pa + i * granule(r);
		mo->cell[first + i].head = !i;
		mo->cell[first + i].run = n;
	}
}

static void model_unmap(struct rig *r, struct model *mo)
{
	u32 i = rig_random(&mo->seed) % WINDOW, n;

	if (!mo->cell[i].now)
		return;
	while (!mo->cell[i].head)
		i--;
	n = mo->cell[i].run;
	assert_int_equal(unmap(r, mo->base, i, n), n * granule(r));
	for (u32 k = i; k < i + n; k++)
		mo->cell[k].now = mo->cell[k].head = 0;
}

static void model_device(struct rig *r, struct model *mo)
{
	u32 i = rig_random(&mo->seed) % WINDOW;
	u64 off = rig_random(&mo->seed) % granule(r), pa = 0, said;
	struct cell *c = &mo->cell[i];
	int rc = access_at(r, mo->base + i * granule(r) + off, &pa);

	assert_true(rc == 0 || rc == -ENOENT);
	said = rc ? 0 : pa - off;
	if (said != c->now && !was_told(c, said))
		fail_msg("step %u: granule %u leads to %#llx; the tables say %#llx", mo->step, i,
			 (unsigned long long)said, (unsigned long long)c->now);
	/* What is absent is remembered in caching mode only. */
	if (!said && c->now && r->v->mode != CACHING)
		fail_msg("step %u: granule %u is mapped and absent", mo->step, i);
	tell(c, said);
}

static void model_look(struct rig *r, struct model *mo)
{
	u32 i = rig_random(&mo->seed) % WINDOW;
	u64 iova = mo->base + i * granule(r);
	struct oli_pt_leaf leaf;
	int rc = r->hw->ops->look(r->hw, (struct olio_iova){iova}, &leaf);

	assert_int_equal(rc, mo->cell[i].now ? 0 : -ENOENT);
	if (!rc)
		assert_int_equal(leaf.pa.v + (iova - leaf.iova.start.v), mo->cell[i].now);
}

static void random_programs(void **state)
{
	const char *want = getenv("OLIO_SEED");
	u64 seed = want ? strtoull(want, NULL, 0) : 1, n = want ? 1 : 12;
	struct rig r;

	rig_init(&r, *state);
	for (; n; n--, seed++) {
		struct model mo = {.seed = seed};

		mo.base = seed % 3 ? (seed % 3) << 33 : r.hw->aperture.last.v - (WINDOW * granule(&r) - 1);
		for (mo.step = 0; mo.step < 600; mo.step++) {
			switch (rig_random(&mo.seed) % 12) {
			case 0 ... 2:
				model_map(&r, &mo);
				break;
			case 3:
			case 4:
				model_unmap(&r, &mo);
				break;
			case 5:
				r.hw->ops->flush(r.hw);
				model_flush(&mo);
				break;
			case 6:
				model_look(&r, &mo);
				break;
			default:
				model_device(&r, &mo);
			}
		}
		r.hw->ops->unmap(r.hw, span(&r, mo.base, 0, WINDOW));
		r.hw->ops->flush(r.hw);
		for (u32 i = 0; i < WINDOW; i++)
			assert_int_equal(access_at(&r, mo.base + i * granule(&r), NULL), -ENOENT);
		r.hw->ops->flush(r.hw);
	}
	rig_fini(&r);
}

/* ---- others ---- */

struct device {
	struct rig *r;
	u64 base;
	_Atomic bool stop;
	_Atomic u64 accesses, wrong;
	/* Which granules may be reached: odd while it is mapped. Written around map and unmap. */
	_Atomic u64 epoch[8];
};

/* Between enter and exit, what was found is mapped, or was when the device came in. */
static void *device_main(void *arg)
{
	struct device *d = arg;
	u64 seed = 7;

	while (!atomic_load(&d->stop)) {
		u32 i = rig_random(&seed) % 8;
		struct oli_xlate x;
		struct olio_pa pa;
		u64 len = 1, e;

		if (oli_xlate_enter(d->r->m, d->r->hw->id, d->r->hw->gen, &x))
			break;
		if (!oli_xlate(&x, (struct olio_iova){d->base + i * granule(d->r)},
			       OLI_ACCESS_WRITE, &pa, &len)) {
			/* The frame's number is its epoch: no later unmap may have been completed. */
			e = (pa.v - PA) >> d->r->v->shift;
			if (atomic_load(&d->epoch[i]) > e + 1)
				atomic_fetch_add(&d->wrong, 1);
		}
		oli_xlate_exit(&x);
		atomic_fetch_add(&d->accesses, 1);
	}
	return NULL;
}

/* Epochs: e is mapped to frame e; after its flush was waited for the epoch is e + 2. */
static void concurrent(struct rig *r, u32 rounds)
{
	struct device d = {.r = r, .base = 1ull << 32};
	pthread_t t[2];

	for (u32 i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&t[i], NULL, device_main, &d), 0);
	/* Polled: the threads are at work when they have begun. */
	while (!atomic_load(&d.accesses))
		usleep(100);
	for (u32 round = 0; round < rounds; round++) {
		u32 i = round % 8;
		u64 e = atomic_load(&d.epoch[i]);

		assert_int_equal(map(r, d.base, i, 1, PA + (e << r->v->shift)), 0);
		assert_int_equal(sync_all(r, d.base), 0);
		/* A pause in which the threads can get hold of it; the result does not depend on it. */
		if (round % 16 == 0)
			usleep(50);
		assert_int_equal(unmap(r, d.base, i, 1), granule(r));
		r->hw->ops->flush(r->hw);
		atomic_store(&d.epoch[i], e + 2);
	}
	atomic_store(&d.stop, true);
	for (u32 i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(d.wrong, 0);
}

static void device_threads(void **state)
{
	const struct variant *v = *state;
	struct rig r;

	rig_init(&r, v);
	concurrent(&r, v->shift == 12 ? 200 : 20);
	rig_fini(&r);
}

struct space_name {
	u32 id, gen;
};

/*
 * Another process of the machine, made before this one has threads: it waits for a word
 * from here, does @run with it, which answers, and sleeps until it is killed.
 */
struct other {
	int pid, in, out;
};

static void other_start(struct other *o, void (*run)(struct space_name name, int out, void *arg),
			void *arg)
{
	struct space_name name;
	int to[2], from[2];

	assert_int_equal(pipe(to), 0);
	assert_int_equal(pipe(from), 0);
	o->pid = fork();
	if (!o->pid) {
		if (read(to[0], &name, sizeof(name)) != sizeof(name))
			rig_leave(1);
		run(name, from[1], arg);
		for (;;)
			pause();
	}
	close(to[0]);
	close(from[1]);
	o->out = to[1];
	o->in = from[0];
}

/* Return: what it answered. */
static struct space_name other_ask(struct other *o, struct space_name name)
{
	assert_int_equal(write(o->out, &name, sizeof(name)), sizeof(name));
	assert_int_equal(read(o->in, &name, sizeof(name)), sizeof(name));
	return name;
}

static void other_kill(struct other *o)
{
	assert_int_equal(kill(o->pid, SIGKILL), 0);
	assert_int_equal(rig_wait(o->pid), 128 + SIGKILL);
	close(o->in);
	close(o->out);
}

/* Sees what is mapped at 4 GiB, and not what is behind it; stays inside. */
static void be_device(struct space_name name, int out, void *arg)
{
	const struct variant *v = arg;
	struct oli_hw hw = {.id = name.id, .gen = name.gen};
	struct oli_machine *m = rig_open(NULL);
	static struct oli_xlate x;
	u64 pa;

	if (rig_access(m, &hw, (1ull << 32) + 9, OLI_ACCESS_READ, &pa) || pa != PA + 9 ||
	    rig_access(m, &hw, (1ull << 32) + (1ull << v->shift), OLI_ACCESS_READ, &pa) !=
		    -ENOENT ||
	    oli_xlate_enter(m, name.id, name.gen, &x) ||
	    write(out, &name, sizeof(name)) != sizeof(name))
		rig_leave(1);
}

/* Killed between enter and exit: nobody waits for it. */
static void device_in_another_process(void **state)
{
	u64 base = 1ull << 32;
	struct other o;
	struct rig r;

	rig_name();
	other_start(&o, be_device, *state);
	rig_init(&r, *state);
	assert_int_equal(map(&r, base, 0, 1, PA), 0);
	assert_int_equal(sync_all(&r, base), 0);
	other_ask(&o, (struct space_name){r.hw->id, r.hw->gen});
	assert_int_equal(unmap(&r, base, 0, 1), granule(&r));
	other_kill(&o);
	for (u32 i = 0; i < 3; i++)
		r.hw->ops->flush(r.hw);
	assert_int_equal(access_at(&r, base, NULL), -ENOENT);
	oli_reap(r.m);
	r.hw->ops->flush(r.hw);
	rig_fini(&r);
}

static void be_owner(struct space_name name, int out, void *arg)
{
	struct olio_iova_range at = {{1ull << 32}, {(1ull << 32) + 0xffff}};
	struct oli_machine *m = rig_open(arg);
	struct oli_hw *hw;

	if (oli_soft_create(m, RIG_NODE, &hw) ||
	    hw->ops->map(hw, at, (struct olio_pa){PA}, RIG_RW))
		rig_leave(1);
	name = (struct space_name){hw->id, hw->gen};
	if (write(out, &name, sizeof(name)) != sizeof(name))
		rig_leave(1);
}

/* The owner is killed: whoever translates there is told that there is no such space. */
static void owner_dies(void **state)
{
	const struct variant *v = *state;
	struct oli_desc desc = rig_desc(v->format, OLI_IOMMU_STRICT);
	struct oli_hw *own, hw = {0};
	struct space_name name;
	struct oli_machine *m;
	struct other o;
	u64 heap, pa;

	rig_name();
	desc.caching_mode = v->mode == CACHING;
	other_start(&o, be_owner, &desc);
	m = rig_open(&desc);
	/* Seats are kept: have them once before counting. */
	assert_int_equal(oli_soft_create(m, RIG_NODE, &own), 0);
	own->ops->destroy(own);
	heap = rig_heap(m);
	name = other_ask(&o, (struct space_name){0, 0});
	hw.id = name.id;
	hw.gen = name.gen;
	assert_int_equal(rig_access(m, &hw, 1ull << 32, OLI_ACCESS_READ, &pa), 0);
	assert_int_equal(pa, PA);
	other_kill(&o);
	oli_reap(m);
	assert_int_equal(rig_access(m, &hw, 1ull << 32, OLI_ACCESS_READ, &pa), RIG_NO_SPACE);
	hw.id = ~0u;
	assert_int_equal(rig_access(m, &hw, 1ull << 32, OLI_ACCESS_READ, &pa), RIG_NO_SPACE);
	assert_int_equal(rig_heap(m), heap);
	oli_machine_close(m);
}

/* ---- the suite ---- */

static const struct {
	const char *name;
	CMUnitTestFunction run;
} suite[] = {
	{"describes itself", describes_itself},
	{"flush makes it forget", flush_makes_it_forget},
	{"absent is remembered in caching mode", absent_is_remembered_in_caching_mode},
	{"remap after flush", remap_after_flush},
	{"tables wait for the flush", tables_wait_for_the_flush},
	{"top of the aperture", top_of_the_aperture},
	{"refuses", refuses},
	{"access and length", access_and_length},
	{"large pages", large_pages},
	{"stale is told", stale_is_told},
	{"random programs", random_programs},
	{"device threads", device_threads},
	{"device in another process, killed inside", device_in_another_process},
	{"owner dies", owner_dies},
};

#define SHIFTS 3

int main(void)
{
	static struct variant v[OLI_PT_NR_FORMATS * MODES * SHIFTS];
	static struct CMUnitTest tests[OLI_ARRAY_SIZE(v) * OLI_ARRAY_SIZE(suite)];
	static char names[OLI_ARRAY_SIZE(tests)][96];
	static const u8 shifts[SHIFTS] = {12, 14, 16};
	u32 nv = 0, nt = 0;

	for (u32 f = 0; f < OLI_PT_NR_FORMATS; f++)
		for (u32 mode = 0; mode < MODES; mode++)
			for (u32 s = 0; s < SHIFTS; s++, nv++) {
				v[nv] = (struct variant){.format = (enum oli_pt_format_id)f,
							 .mode = (enum mode)mode,
							 .shift = shifts[s]};
				snprintf(v[nv].name, sizeof(v[nv].name), "%s %s %uK",
					 oli_pt_format_name(v[nv].format), mode_names[mode],
					 1u << (shifts[s] - 10));
			}
	for (u32 i = 0; i < nv; i++)
		for (u32 t = 0; t < OLI_ARRAY_SIZE(suite); t++, nt++) {
			snprintf(names[nt], sizeof(names[nt]), "%s: %s", v[i].name, suite[t].name);
			tests[nt] = (struct CMUnitTest){.name = names[nt],
							.test_func = suite[t].run,
							.initial_state = &v[i]};
		}
	return cmocka_run_group_tests_name("hw", tests, NULL, NULL);
}
