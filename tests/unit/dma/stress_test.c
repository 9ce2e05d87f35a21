// SPDX-License-Identifier: MIT
/*
 * Threads that map, use and unmap on one device at once, each its own memory, in all three
 * ways, while others look at random addresses. Each must find its own bytes, and
 * ThreadSanitizer nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "iommu/part.h"
#include "lab.h"

#define THREADS 4
#define LEN 20000u

static struct oli_machine *m;
static struct olio_dev *dev;
static u32 rounds;
static _Atomic bool stop;
static _Atomic u64 last_dma;

struct worker {
	pthread_t thread;
	struct olio_mem *mem;
	u8 *cpu;
	u32 seed, failures, full;
	struct olio_run runs[16];
	size_t nruns;
};

static u32 random_of(struct worker *w, u32 below)
{
	w->seed = w->seed * 1664525u + 1013904223u;
	return (w->seed >> 8) % below;
}

/* Program memory is touched by devices with system calls; so does this, to be seen by nobody. */
static bool cpu_has(const u8 *p, const u8 *want, u32 len)
{
	u8 got[64];
	struct iovec local = {got, len}, remote = {(void *)(uintptr_t)p, len};

	return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)len &&
	       !memcmp(got, want, len);
}

static void use(struct worker *w, struct olio_iova at, u64 off)
{
	u8 in[64], out[64];

	for (u32 i = 0; i < sizeof(out); i++)
		out[i] = (u8)random_of(w, 256);
	atomic_store(&last_dma, at.v);
	w->failures += olio_dev_write(dev, at, out, sizeof(out)) != 0;
	w->failures += olio_dev_read(dev, at, in, sizeof(in)) != 0;
	w->failures += memcmp(in, out, sizeof(in)) != 0;
	w->failures += olio_dma_sync_for_cpu(dev, at, sizeof(out), 3) != 0;
	w->failures += !cpu_has(w->cpu + off, out, sizeof(out));
	w->failures += olio_dma_sync_for_device(dev, at, sizeof(out), 3) != 0;
}

/* No room is no mistake: there are few slots, and many threads. */
static bool full(struct worker *w, int err)
{
	w->full += err == -ENOSPC;
	w->failures += err && err != -ENOSPC;
	return err;
}

static void one_shot(struct worker *w)
{
	struct olio_run run = w->runs[0];
	struct olio_iova dma;

	if (full(w, olio_dma_map(dev, &run, 3, 0, &dma)))
		return;
	use(w, (struct olio_iova){dma.v + 100}, 100);
	w->failures += olio_dma_unmap(dev, dma, run.len, 3, 0) != 0;
}

static void two_step(struct worker *w)
{
	struct olio_iova_state s;
	u64 len = 0;
	size_t i;
	int err = olio_iova_alloc(dev, &s, w->runs[0].pa, LEN);

	if (err == -EOPNOTSUPP || full(w, err))
		return;
	for (i = 0; i < w->nruns && !err; i++) {
		err = olio_iova_link(&s, &w->runs[i], len, 3, 0);
		len += err ? 0 : w->runs[i].len;
	}
	if (!full(w, err)) {
		w->failures += olio_iova_sync(&s, 0, len) != 0;
		use(w, (struct olio_iova){olio_iova_start(&s).v + 9000}, 9000);
	}
	w->failures += olio_iova_destroy(&s, len, 3, 0) != 0;
}

static void list(struct worker *w)
{
	const struct olio_seg *segs;
	struct olio_map *map;
	size_t n;

	if (full(w, olio_map_list(dev, w->runs, w->nruns, 3, 0, &map)))
		return;
	segs = olio_map_segs(map, &n);
	use(w, segs[0].dma, 0);
	olio_map_unmap(map);
}

static void *work(void *arg)
{
	struct worker *w = arg;

	for (u32 i = 0; i < rounds; i++)
		switch (random_of(w, 3)) {
		case 0:
			one_shot(w);
			break;
		case 1:
			two_step(w);
			break;
		default:
			list(w);
		}
	return NULL;
}

/* A device that is out of its mind: what it hits, or not, is nobody's business but its own. */
static void *look(void *arg)
{
	u8 buf[32];

	(void)arg;
	while (!atomic_load(&stop))
		(void)!olio_dev_read(dev, (struct olio_iova){atomic_load(&last_dma)}, buf, sizeof(buf));
	return NULL;
}

static void world(const char *type, const char *device, bool untrusted)
{
	struct worker w[THREADS] = {0};
	struct oli_bounce_stats b;
	struct oli_desc d;
	pthread_t looker;

	assert_int_equal(oli_desc_builtin(type, &d), 0);
	d.checker = 0;
	d.node[oli_node_find(&d, device)].trusted &= !untrusted;
	m = lab_open(&d);
	dev = lab_dev(m, device);
	for (u32 i = 0; i < THREADS; i++) {
		w[i].seed = i + 1;
		w[i].cpu = lab_pages(24576) + 256;
		w[i].mem = lab_pin(m, w[i].cpu, LEN);
		assert_int_equal(olio_mem_slice(w[i].mem, 0, LEN, w[i].runs, 16, &w[i].nruns), 0);
	}
	atomic_store(&stop, false);
	assert_int_equal(pthread_create(&looker, NULL, look, NULL), 0);
	for (u32 i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
	for (u32 i = 0; i < THREADS; i++)
		pthread_join(w[i].thread, NULL);
	atomic_store(&stop, true);
	pthread_join(looker, NULL);
	for (u32 i = 0; i < THREADS; i++) {
		assert_int_equal(w[i].failures, 0);
		assert_true(w[i].full < rounds);
		oli_mem_put(w[i].mem);
	}
	oli_bounce_stats(m, &b);
	assert_int_equal(b.used, 0);
	if (dev->domain)
		assert_true(oli_domain_is_valid(dev->domain));
	olio_dev_close(dev);
	rig_close(m);
}

static void threads(void **s)
{
	(void)s;
	rounds = getenv("DMA_ROUNDS") ? (u32)atoi(getenv("DMA_ROUNDS")) : 200;
	world("pc", "dma0", false);
	world("pc", "dma0", true);
	world("lazy-amd", "dma0", false);
	world("lazy-amd", "dma0", true);
	world("no-iommu", "dma32", false);
	world("arm-noncoherent", "dma0", false);
	world("hostile", "dma0", false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(threads)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
