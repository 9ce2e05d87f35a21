// SPDX-License-Identifier: MIT
/*
 * Proves that physical memory is what it says: a frame is one process's and one page's
 * until it is given back, however frames, blocks and low memory come and go (against a
 * plain array of what should be where); frames are scattered, or ascending on a linear
 * machine; RAM ends with -ENOSPC and comes back; what a killed process had is free
 * after it was reaped, and every refusal on the way leaves nothing behind; any address may
 * be looked up; a gigabyte is described by four megabytes.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/fault.h"
#include "machine/phys_int.h"
#include "place.h"

#define PAGE OLI_PAGE_SIZE
#define MIB  (1ull << 20)

static u64 seed = 42;

static u32 rnd(u32 n)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)((seed >> 33) % n);
}

static struct oli_machine *machine(u64 ram, bool linear)
{
	struct oli_desc d = {.type = "small", .ram_size = ram, .linear = linear};

	return place_open_with(NULL, &d);
}

static struct olio_pa frame(struct oli_machine *m, u64 va)
{
	struct olio_pa pa;

	assert_int_equal(oli_frame_alloc(m, va, 0, false, &pa), 0);
	return pa;
}

/* ---- the model: what every frame of RAM should be ---- */

struct model {
	struct oli_machine *m[2]; /* two processes of one machine */
	u64 frames;
	struct {
		u64 va; /* | flags; 0: free */
		u8 who;
		bool shadow;
	} * f;
};

static void model_compare(struct model *mo)
{
	u64 used[2] = {0};

	for (u64 i = 0; i < mo->frames; i++) {
		u64 byte = rnd(PAGE);
		struct olio_pa pa = {OLI_PA_RAM + i * PAGE + byte};
		struct oli_phys at;
		bool found = oli_phys_find(mo->m[rnd(2)], pa, &at);
		struct oli_frame *fr = oli_frame_get(mo->m[0], pa);

		assert_int_equal(found, mo->f[i].va != 0);
		assert_int_equal(fr != NULL, found);
		if (!found) {
			assert_int_equal(at.kind, OLI_PHYS_NONE);
			continue;
		}
		assert_int_equal(at.kind, OLI_PHYS_FRAME);
		assert_int_equal(at.va, (mo->f[i].va & ~(PAGE - 1)) + byte);
		assert_int_equal(at.flags, (mo->f[i].va & (PAGE - 1)) | OLI_FRAME_USED);
		assert_int_equal(at.slot, mo->m[mo->f[i].who]->slot);
		assert_int_equal(at.run, PAGE - byte);
		assert_int_equal(at.shadow != NULL, mo->f[i].shadow);
		assert_int_equal(fr->pins, 1);
		used[mo->f[i].who]++;
	}
	for (int k = 0; k < 2; k++)
		assert_int_equal(oli_frames_used(mo->m[0], mo->m[k]->slot), used[k]);
}

static void model_step(struct model *mo)
{
	u8 who = (u8)rnd(2);
	struct oli_machine *m = mo->m[who];
	u64 va = ((u64)rnd(1 << 20) + 1) << 21, n = 1;
	u32 flags = rnd(4) << 1;
	bool shadow = !rnd(4);
	struct olio_pa pa;
	u32 act = rnd(100);
	int err;

	if (act < 48) { /* free any: also what is not ours, or free */
		u64 i = rnd((u32)mo->frames);

		oli_frame_free(m, (struct olio_pa){OLI_PA_RAM + i * PAGE});
		if (mo->f[i].va && mo->f[i].who == who)
			mo->f[i].va = 0;
		return;
	}
	if (act < 98) {
		va += (u64)rnd(512) * PAGE;
		err = oli_frame_alloc(m, va, flags, shadow, &pa);
	} else {
		n = OLI_BLOCK_FRAMES;
		shadow = false;
		err = oli_frame_alloc_block(m, va, flags, shadow, &pa);
	}
	if (err) {
		assert_int_equal(err, -ENOSPC);
		return;
	}
	assert_int_equal(pa.v % (n * PAGE), 0);
	for (u64 k = 0; k < n; k++) {
		u64 i = (pa.v - OLI_PA_RAM) / PAGE + k;

		assert_true(i < mo->frames);
		if (mo->f[i].va)
			fail_msg("frame %d was given out twice", (int)i);
		mo->f[i].va = (va + k * PAGE) | flags;
		mo->f[i].who = who;
		mo->f[i].shadow = shadow;
	}
}

static void run_model(bool linear)
{
	struct model mo = {.frames = 16 * MIB / PAGE};
	u64 pages;

	mo.m[0] = machine(16 * MIB, linear);
	mo.m[1] = machine(16 * MIB, linear);
	pages = mo.m[0]->shm->heap_used;
	mo.f = calloc(mo.frames, sizeof(*mo.f));
	for (int round = 0; round < 100; round++) {
		for (int i = 0; i < 500; i++)
			model_step(&mo);
		model_compare(&mo);
	}
	/* Free all: some blocks stay spare, no more. */
	for (u64 i = 0; i < mo.frames; i++) {
		if (mo.f[i].va)
			oli_frame_free(mo.m[mo.f[i].who], (struct olio_pa){OLI_PA_RAM + i * PAGE});
		mo.f[i].va = 0;
	}
	model_compare(&mo);
	assert_true(mo.m[0]->shm->heap_used <= pages + 2 * 2 * 2);
	free(mo.f);
	oli_machine_close(mo.m[1]);
	pages = mo.m[0]->shm->heap_used;
	assert_int_equal(oli_frames_used(mo.m[0], 1), 0);
	oli_machine_close(mo.m[0]);
}

static void test_model(void **state)
{
	(void)state;
	run_model(false);
	run_model(true);
}

static void test_exhaustion(void **state)
{
	struct oli_machine *m = machine(8 * MIB, false);
	u64 frames = 8 * MIB / PAGE;
	struct olio_pa *pa = calloc(frames, sizeof(*pa)), more, one;

	(void)state;
	for (u64 i = 0; i < frames; i++)
		pa[i] = frame(m, (i + 1) * PAGE);
	assert_int_equal(oli_frame_alloc(m, PAGE, 0, false, &more), -ENOSPC);
	assert_int_equal(oli_frame_alloc_block(m, 2 * MIB, 0, false, &more), -ENOSPC);
	for (int i = 0; i < 100; i++) {
		u64 k = rnd((u32)frames);

		oli_frame_free(m, pa[k]);
		one = frame(m, (k + 1) * PAGE);
		assert_int_equal(one.v, pa[k].v);
	}
	/* All back, then as whole blocks: the spare ones are found. */
	for (u64 i = 0; i < frames; i++)
		oli_frame_free(m, pa[i]);
	for (int i = 0; i < 4; i++)
		assert_int_equal(oli_frame_alloc_block(m, 2 * MIB, 0, false, &pa[i]), 0);
	assert_int_equal(oli_frame_alloc_block(m, 2 * MIB, 0, false, &more), -ENOSPC);
	assert_int_equal(oli_frame_alloc(m, PAGE, 0, false, &more), -ENOSPC);
	free(pa);
	oli_machine_close(m);
}

/* ---- order ---- */

static void test_scatter(void **state)
{
	struct oli_machine *m = machine(256 * MIB, false);
	u64 *pa = calloc(16384, sizeof(*pa));
	u32 ascending = 0;

	(void)state;
	for (u32 i = 0; i < 16384; i++)
		pa[i] = frame(m, (u64)(i + 1) * PAGE).v;
	for (u32 i = 1; i < 16384; i++) {
		assert_true(pa[i] - pa[i - 1] != PAGE && pa[i - 1] - pa[i] != PAGE);
		ascending += pa[i] > pa[i - 1];
	}
	assert_in_range(ascending, 16384 / 2 - 1000, 16384 / 2 + 1000);
	/* Any 64 pages in a row lie in two blocks at least. */
	for (u32 i = 0; i + 64 <= 16384; i++) {
		u32 same = 0;

		for (u32 k = 0; k < 64; k++)
			same += pa[i + k] >> OLI_BLOCK_SHIFT == pa[i] >> OLI_BLOCK_SHIFT;
		assert_true(same < 64);
	}
	free(pa);
	oli_machine_close(m);
}

static void test_linear(void **state)
{
	struct oli_machine *m = machine(16 * MIB, true);

	(void)state;
	for (u64 i = 0; i < 16 * MIB / PAGE; i++)
		assert_int_equal(frame(m, (i + 1) * PAGE).v, OLI_PA_RAM + i * PAGE);
	/* Whatever is given back in whatever order is used from below. */
	for (u64 i = 0; i < 600; i++)
		oli_frame_free(m, (struct olio_pa){OLI_PA_RAM + i * 1021 % 600 * 6 * PAGE});
	for (u64 i = 0; i < 600; i++)
		assert_int_equal(frame(m, (i + 1) * PAGE).v, OLI_PA_RAM + i * 6 * PAGE);
	oli_machine_close(m);
}

static void test_footprint(void **state)
{
	struct oli_machine *m = machine(4096 * MIB, false);
	u64 pages = m->shm->heap_used;

	(void)state;
	for (u64 i = 0; i < 1024 * MIB / PAGE; i++)
		frame(m, (i + 1) * PAGE);
	assert_in_range(m->shm->heap_used - pages, 1024, 1024 + 4);
	oli_machine_close(m);
}

static void test_shadow(void **state)
{
	struct oli_machine *m = machine(16 * MIB, false);
	u64 pages = m->shm->heap_used;
	struct olio_pa pa, block;
	struct oli_phys at;
	u8 *first;

	(void)state;
	assert_int_equal(oli_frame_alloc(m, PAGE, 0, true, &pa), 0);
	assert_true(oli_phys_find(m, pa, &at));
	first = at.shadow;
	memset(first, 7, PAGE);
	assert_int_equal(oli_frame_alloc_block(m, 2 * MIB, OLI_FRAME_PRIVATE, true, &block), 0);
	for (u32 i = 0; i < OLI_BLOCK_FRAMES; i++) {
		assert_true(oli_phys_find(m, (struct olio_pa){block.v + i * PAGE + 5}, &at));
		assert_int_equal(at.flags, OLI_FRAME_USED | OLI_FRAME_PRIVATE);
		assert_int_equal(*(u8 *)at.shadow, 0);
		*(u8 *)at.shadow = (u8)i;
	}
	for (u32 i = 0; i < OLI_BLOCK_FRAMES; i++) {
		assert_true(oli_phys_find(m, (struct olio_pa){block.v + i * PAGE + 5}, &at));
		assert_int_equal(*(u8 *)at.shadow, (u8)i);
	}
	assert_int_equal(first[0] + first[PAGE - 1], 14);
	for (u32 i = 0; i < OLI_BLOCK_FRAMES; i++)
		oli_frame_free(m, (struct olio_pa){block.v + i * PAGE});
	oli_frame_free(m, pa);
	assert_true(m->shm->heap_used <= pages + 2 * 2);
	oli_machine_close(m);
}

/* ---- low memory ---- */

static void test_low(void **state)
{
	struct oli_machine *m = place_open_with("pc", NULL);
	struct {
		struct olio_pa pa;
		u8 *cpu;
		u64 len;
	} got[32] = {{.len = 0}};
	struct oli_machine *other;
	u64 pages = m->shm->heap_used, hole;
	struct oli_phys at;

	(void)state;
	for (u32 round = 0; round < 4000; round++) {
		u32 i = rnd(32);

		if (got[i].len) {
			for (u64 b = 0; b < got[i].len; b += 4099) {
				assert_int_equal(got[i].cpu[b], i + 1);
				assert_true(
					oli_phys_find(m, (struct olio_pa){got[i].pa.v + b}, &at));
				assert_int_equal(at.kind, OLI_PHYS_LOW);
				assert_ptr_equal(at.cpu, got[i].cpu + b);
				assert_int_equal(at.slot, m->slot);
				assert_int_equal(at.run, 65536 - (b & 65535));
			}
			/* A wrong size or place frees nothing. */
			oli_low_free(m, (struct olio_pa){got[i].pa.v + 4096}, 4096);
			oli_low_free(m, got[i].pa, OLI_PA_LOW_SIZE + 1);
			assert_true(oli_phys_find(m, got[i].pa, &at));
			oli_low_free(m, got[i].pa, got[i].len);
			assert_false(oli_phys_find(m, got[i].pa, &at));
			got[i].len = 0;
			continue;
		}
		got[i].len = 1 + rnd(300000);
		assert_int_equal(oli_low_alloc(m, got[i].len, &got[i].pa, (void **)&got[i].cpu), 0);
		assert_true(got[i].pa.v >= OLI_PA_LOW);
		assert_true(got[i].pa.v + got[i].len <= OLI_PA_LOW + OLI_PA_LOW_SIZE);
		for (u64 b = 0; b < got[i].len; b++)
			assert_true(!got[i].cpu[b]);
		memset(got[i].cpu, (int)i + 1, got[i].len);
	}
	for (u32 i = 0; i < 32; i++)
		if (got[i].len)
			oli_low_free(m, got[i].pa, got[i].len);
	assert_int_equal(m->shm->heap_used, pages);
	/* Not two pieces as one, and not what another process has. */
	for (u32 i = 0; i < 2; i++)
		assert_int_equal(oli_low_alloc(m, 65536, &got[i].pa, (void **)&got[i].cpu), 0);
	assert_int_equal(got[1].pa.v, got[0].pa.v + 65536);
	oli_low_free(m, got[1].pa, 65536);
	oli_low_free(m, got[0].pa, 131072);
	assert_true(oli_phys_find(m, got[0].pa, &at));
	/* Nor if only their addresses are side by side. */
	assert_int_equal(oli_heap_alloc(m, 65536, m->slot, &hole), 0);
	assert_int_equal(oli_low_alloc(m, 65536, &got[1].pa, (void **)&got[1].cpu), 0);
	assert_int_equal(got[1].pa.v, got[0].pa.v + 65536);
	assert_ptr_not_equal(got[1].cpu, got[0].cpu + 65536);
	oli_low_free(m, got[0].pa, 131072);
	assert_true(oli_phys_find(m, got[0].pa, &at) && oli_phys_find(m, got[1].pa, &at));
	other = place_open_with("pc", NULL);
	oli_low_free(other, got[0].pa, 65536);
	assert_true(oli_phys_find(m, got[0].pa, &at));
	oli_machine_close(other);
	assert_int_equal(oli_low_alloc(m, 0, &got[0].pa, (void **)&got[0].cpu), -EINVAL);
	assert_int_equal(oli_low_alloc(m, OLI_PA_LOW_SIZE + 1, &got[0].pa, (void **)&got[0].cpu),
			 -ENOSPC);
	assert_int_equal(oli_low_alloc(m, UINT64_MAX, &got[0].pa, (void **)&got[0].cpu), -ENOSPC);
	oli_machine_close(m);
}

/* Without an IOMMU no device may find memory where interrupts are. */
static void test_low_beside_interrupts(void **state)
{
	struct oli_machine *m = place_open_with("no-iommu", NULL);
	struct oli_phys_root *r = oli_phys_root(m);
	u64 msi = (OLI_MSI_START - 0xb0000000 - OLI_PA_LOW) >> OLI_LOW_SHIFT, taken = msi - 2;
	struct olio_pa pa;
	void *cpu;

	(void)state;
	for (u64 u = 0; u < taken; u++)
		r->low[u] = OLI_SLOT_NONE & OLI_WORD_OWNER;
	assert_int_equal(oli_low_alloc(m, 3 * OLI_LOW_UNIT, &pa, &cpu), 0);
	assert_int_equal(pa.v + 0xb0000000, OLI_MSI_LAST + 1);
	assert_int_equal(oli_low_alloc(m, 2 * OLI_LOW_UNIT, &pa, &cpu), 0);
	assert_int_equal(pa.v + 0xb0000000, OLI_MSI_START - 2 * OLI_LOW_UNIT);
	oli_machine_close(m);
}

/* ---- any address ---- */

static void check_bars(struct oli_machine *m)
{
	const struct oli_desc *d = &m->shm->desc;
	u8 tag = 0, node, bar;

	for (u8 n = 0; n < d->nr_nodes; n++)
		for (u8 i = 0; i < OLI_BARS; i++) {
			const struct oli_bar *b = &d->node[n].bar[i];
			struct oli_phys at;
			struct olio_pa pa;

			if (!b->len)
				continue;
			tag++;
			for (u64 o = 0; o < b->len; o += b->len - 1) {
				assert_true(oli_phys_find(m, (struct olio_pa){b->pa + o}, &at));
				assert_int_equal(at.kind, OLI_PHYS_BAR);
				assert_int_equal(at.node, n);
				assert_int_equal(at.bar, i);
				assert_int_equal(at.run, b->len - o);
				assert_int_equal(*(u8 *)at.cpu, 0);
				*(u8 *)at.cpu = tag;
				assert_true(oli_bus_to_pa(m, b->bus + o, &pa, &node, &bar));
				assert_int_equal(pa.v, b->pa + o);
				assert_int_equal(node, n);
				assert_int_equal(bar, i);
				/* The other space's address is nothing. */
				assert_false(oli_bus_to_pa(m, b->pa + o, &pa, &node, &bar));
				assert_false(oli_phys_find(m, (struct olio_pa){b->bus + o}, &at));
			}
		}
}

static void test_bars(void **state)
{
	const struct oli_desc *d;

	(void)state;
	for (u32 i = 0; (d = oli_desc_at(i)); i++) {
		struct oli_machine *m = place_open_with(d->type, NULL);

		check_bars(m);
		oli_machine_close(m);
	}
}

static void test_any_address(void **state)
{
	struct oli_machine *m = place_open_with("pc", NULL);
	static const u64 edges[] = {0,
				    OLI_PA_LOW,
				    OLI_PA_LOW + OLI_PA_LOW_SIZE,
				    OLI_PA_MMIO,
				    OLI_PA_MMIO + OLI_PA_MMIO_SIZE,
				    OLI_PA_RAM,
				    OLI_PA_RAM + 32768 * MIB,
				    OLI_PA_RAM + OLI_PA_RAM_MAX,
				    OLI_PA_FILE + 4096 * MIB};
	struct oli_phys at;
	struct olio_pa pa;

	(void)state;
	for (u32 i = 0; i < OLI_ARRAY_SIZE(edges); i++)
		for (u64 k = 0; k < 2; k++) {
			bool bar = edges[i] == OLI_PA_MMIO && !k;

			pa.v = edges[i] - k;
			if (pa.v == OLI_PA_FILE + 4096 * MIB - 1)
				continue;
			assert_int_equal(oli_phys_find(m, pa, &at), bar);
			assert_null(oli_frame_get(m, pa));
			oli_frame_free(m, pa);
			oli_low_free(m, pa, 65536);
		}
	assert_true(oli_phys_find(m, (struct olio_pa){OLI_PA_FILE}, &at));
	assert_ptr_equal(at.cpu, m->base);
	assert_int_equal(at.kind, OLI_PHYS_FILE);
	assert_true(oli_phys_find(m, (struct olio_pa){OLI_PA_FILE + m->size - 1}, &at));
	assert_int_equal(at.run, 1);
	for (u32 i = 0; i < 1000000; i++) {
		pa.v = ((u64)rnd(1u << 31) << 33 | (u64)rnd(1u << 31) << 2) >> rnd(64);
		if (oli_phys_find(m, pa, &at))
			assert_true(at.kind == OLI_PHYS_FILE || at.kind == OLI_PHYS_BAR);
	}
	oli_machine_close(m);
}

/* The largest RAM ends where it ends. */
static void test_top_of_ram(void **state)
{
	struct oli_machine *m = machine(OLI_PA_RAM_MAX, true);
	struct olio_pa low;
	struct oli_phys at;
	void *cpu;

	(void)state;
	assert_int_equal(oli_low_alloc(m, 1, &low, &cpu), 0);
	assert_int_equal(low.v, OLI_PA_LOW);
	assert_false(oli_phys_find(m, (struct olio_pa){OLI_PA_RAM + OLI_PA_RAM_MAX}, &at));
	assert_false(oli_phys_find(m, (struct olio_pa){OLI_PA_RAM + OLI_PA_RAM_MAX - 1}, &at));
	memset(cpu, 0xff, 65536);
	assert_null(oli_frame_get(m, (struct olio_pa){OLI_PA_RAM + OLI_PA_RAM_MAX}));
	assert_false(oli_phys_find(m, (struct olio_pa){OLI_PA_RAM + OLI_PA_RAM_MAX}, &at));
	oli_machine_close(m);
}

/* ---- the killed ---- */

static void busy(struct oli_machine *m)
{
	struct olio_pa pa[300], low[8];
	u32 n = 0, nlow = 0;
	void *cpu;

	for (;;) {
		if (n < 300 && rnd(5) < 3) {
			int err = rnd(50) ? oli_frame_alloc(m, PAGE, 0, !rnd(3), &pa[n])
					  : oli_frame_alloc_block(m, 2 * MIB, 0, !rnd(9), &pa[n]);
			n += !err;
		} else if (n) {
			u32 i = rnd(n);

			for (u32 k = 0; k < OLI_BLOCK_FRAMES; k++)
				if (k == 0 || !(pa[i].v % (2 * MIB)))
					oli_frame_free(m, (struct olio_pa){pa[i].v + k * PAGE});
			pa[i] = pa[--n];
		}
		if (nlow < 8 && !rnd(4) && !oli_low_alloc(m, 1 + rnd(200000), &low[nlow], &cpu))
			nlow++;
		else if (nlow == 8)
			for (; nlow; nlow--)
				oli_low_free(m, low[nlow - 1], 65536);
	}
}

static void test_killed(void **state)
{
	struct oli_machine *m = machine(64 * MIB, false);
	u64 pages = m->shm->heap_used;

	(void)state;
	for (u32 round = 0; round < 60; round++) {
		int ready[2];
		pid_t pid;
		char c;

		assert_int_equal(pipe(ready), 0);
		pid = fork();
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			oli_machine_forget(m);
			m = machine(64 * MIB, false);
			if (write(ready[1], "x", 1) == 1)
				busy(m);
			place_leave(1);
		}
		close(ready[1]);
		assert_int_equal(read(ready[0], &c, 1), 1);
		usleep(rnd(3000)); /* anywhere in its work */
		kill(pid, SIGKILL);
		place_wait(pid);
		close(ready[0]);
		oli_reap(m);
		assert_int_equal(m->shm->heap_used, pages);
		for (u16 s = 0; s < OLI_SLOTS; s++)
			assert_int_equal(oli_frames_used(m, s), 0);
		for (u32 u = 0; u < OLI_LOW_UNITS; u++)
			assert_int_equal(oli_phys_root(m)->low[u], 0);
	}
	/* And all of it can be had. */
	for (u64 i = 0; i < 64 * MIB / PAGE; i++)
		frame(m, (i + 1) * PAGE);
	oli_machine_close(m);
}

/* Who leaves takes nothing of others with him; what is no longer ours is not freed. */
static void test_others_stay(void **state)
{
	struct oli_machine *m = machine(64 * MIB, false), *other = machine(64 * MIB, false);
	struct olio_pa pa = frame(m, PAGE), low;
	_Atomic u64 *word = &oli_phys_root(m)->block[(pa.v - OLI_PA_RAM) >> OLI_BLOCK_SHIFT];
	struct oli_frame *f = oli_frame_get(m, pa);
	u64 was = *word;
	struct oli_phys at;
	void *cpu;

	(void)state;
	assert_int_equal(oli_low_alloc(m, 1, &low, &cpu), 0);
	frame(other, PAGE);
	oli_machine_close(other);
	assert_true(oli_phys_find(m, pa, &at));
	assert_true(oli_phys_find(m, low, &at));
	oli_low_free(m, low, 1);
	/* At the end of a process the machine forgets its blocks before it does. */
	atomic_store(word, 0);
	oli_frame_free(m, pa);
	assert_int_not_equal(f->page, 0);
	atomic_store(word, was);
	oli_frame_free(m, pa);
	assert_int_equal(f->page, 0);
	oli_machine_close(m);
}

/* ---- refused ---- */

static int act(struct oli_machine *m, int which, struct olio_pa *pa)
{
	void *cpu;

	switch (which) {
	case 0:
		return oli_frame_alloc(m, PAGE, 0, false, pa);
	case 1:
		return oli_frame_alloc(m, PAGE, 0, true, pa);
	case 2:
		return oli_frame_alloc_block(m, 2 * MIB, 0, false, pa);
	case 3:
		return oli_frame_alloc_block(m, 2 * MIB, 0, true, pa);
	default:
		return oli_low_alloc(m, 3 << 20, pa, &cpu);
	}
}

static void undo(struct oli_machine *m, int which, struct olio_pa pa)
{
	if (which == 4)
		oli_low_free(m, pa, 3 << 20);
	else
		for (u32 i = 0; i < (which < 2 ? 1 : OLI_BLOCK_FRAMES); i++)
			oli_frame_free(m, (struct olio_pa){pa.v + i * PAGE});
}

static void test_faults(void **state)
{
	(void)state;
	for (int which = 0; which < 5; which++)
		for (int n = 1;; n++) {
			struct oli_machine *m = machine(16 * MIB, false);
			u64 pages = m->shm->heap_used;
			struct olio_pa pa;
			bool fired;
			int err;

			oli_fault_countdown = n;
			err = act(m, which, &pa);
			fired = !oli_fault_countdown;
			oli_fault_countdown = 0;
			if (err) {
				assert_true(err == -ENOMEM);
				assert_int_equal(m->shm->heap_used, pages);
				assert_int_equal(oli_frames_used(m, m->slot), 0);
				assert_int_equal(act(m, which, &pa), 0);
			}
			undo(m, which, pa);
			assert_true(m->shm->heap_used <= pages + 2 * 2);
			assert_int_equal(oli_frames_used(m, m->slot), 0);
			oli_machine_close(m);
			if (!fired) {
				assert_true(n > 1);
				break;
			}
		}
}

/* ---- threads ---- */

static struct oli_machine *shared;
static _Atomic u64 published[64];
static _Atomic bool stop;

/* Looks at what is pinned, all the time: its page is what it always is. */
static void *look(void *arg)
{
	u64 seen = 0;

	while (!atomic_load(&stop))
		for (u32 i = 0; i < 64; i++) {
			struct olio_pa pa = {atomic_load(&published[i])};
			struct oli_phys at;

			if (!pa.v)
				continue;
			if (!oli_phys_find(shared, pa, &at) || at.va != (i + 1) * 2 * MIB)
				*(bool *)arg = true;
			seen++;
		}
	return NULL;
}

static void *churn(void *arg)
{
	u64 state = (u64)(uintptr_t)arg, first = state * 8;
	struct olio_pa pa[200];
	u32 n = 0;

	for (u32 i = 0; i < 8; i++)
		atomic_store(&published[first + i], frame(shared, (first + i + 1) * 2 * MIB).v);
	for (u32 round = 0; round < 30000; round++) {
		state = state * 6364136223846793005ull + 1442695040888963407ull;
		if (n < 200 && state >> 63) {
			pa[n++] = frame(shared, PAGE);
		} else if (n) {
			u32 i = (u32)(state >> 33) % n;

			oli_frame_free(shared, pa[i]);
			pa[i] = pa[--n];
		}
	}
	while (n)
		oli_frame_free(shared, pa[--n]);
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t thread[4], looker;
	bool bad = false;

	(void)state;
	shared = machine(64 * MIB, false);
	pthread_create(&looker, NULL, look, &bad);
	for (u64 i = 0; i < 4; i++)
		pthread_create(&thread[i], NULL, churn, (void *)(uintptr_t)i);
	for (u64 i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	atomic_store(&stop, true);
	pthread_join(looker, NULL);
	assert_false(bad);
	assert_int_equal(oli_frames_used(shared, shared->slot), 32);
	oli_machine_close(shared);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),	   cmocka_unit_test(test_exhaustion),
		cmocka_unit_test(test_scatter),	   cmocka_unit_test(test_linear),
		cmocka_unit_test(test_footprint),  cmocka_unit_test(test_shadow),
		cmocka_unit_test(test_low),	   cmocka_unit_test(test_low_beside_interrupts),
		cmocka_unit_test(test_bars),	   cmocka_unit_test(test_any_address),
		cmocka_unit_test(test_top_of_ram), cmocka_unit_test(test_killed),
		cmocka_unit_test(test_others_stay),
		cmocka_unit_test(test_faults),	   cmocka_unit_test(test_threads),
	};

	place_dir();
	return cmocka_run_group_tests_name("machine/phys", tests, NULL, NULL);
}
