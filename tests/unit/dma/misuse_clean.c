// SPDX-License-Identifier: MIT
/*
 * A correct program, longer than a scene: it maps, synchronises and unmaps in every way
 * that the machine offers, looks at every answer, and never does what it may not. On no
 * machine, with no device, may the checker say anything of it.
 *
 * It works on chunks of its buffer: some are whole pages, some parts of pages, all of whole
 * cache lines. A chunk is free, or in one mapping. What it does follows from a seed.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "misuse.h"

#define PAGES  8
#define CHUNKS 24 /* 4 whole pages, then pieces of 512 bytes */
#define ROUNDS 300

struct chunk {
	uint64_t off, len;
	bool mapped, cpu_has;
	struct olio_iova dma;
	enum olio_dir dir;
	uint32_t attrs;
};

struct program {
	struct olio_machine *m;
	struct olio_dev *dev;
	uint8_t *buf;
	struct olio_mem *mem;
	struct chunk chunk[CHUNKS];
	uint64_t seed;
	unsigned int mapped, refused;
};

static uint32_t draw(struct program *p, uint32_t n)
{
	p->seed = p->seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(p->seed >> 33) % n;
}

static void begin(struct program *p, struct olio_machine *m, struct olio_dev *dev, uint64_t seed)
{
	*p = (struct program){.m = m, .dev = dev, .seed = seed};
	p->buf = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		      0);
	assert_ptr_not_equal(p->buf, MAP_FAILED);
	memset(p->buf, 1, PAGES * PAGE);
	ok(olio_mem_pin(m, p->buf, PAGES * PAGE, 0, &p->mem));
	for (uint64_t i = 0; i < CHUNKS; i++) {
		p->chunk[i].off = i < 4 ? i * PAGE : 4 * PAGE + (i - 4) * 512;
		p->chunk[i].len = i < 4 ? PAGE : 512;
	}
}

/* One run, or none if neighbours in the buffer are none in memory: chunks are inside pages. */
static struct olio_run chunk_run(const struct program *p, const struct chunk *c)
{
	struct olio_run run;
	size_t n;

	ok(olio_mem_slice(p->mem, c->off, c->len, &run, 1, &n));
	return run;
}

static void fill(struct program *p, const struct chunk *c)
{
	memset(p->buf + c->off, (int)draw(p, 256), c->len);
}

/* The device does its part of a transfer. */
static void work(struct program *p, const struct chunk *c)
{
	uint8_t bytes[PAGE];

	memset(bytes, 0x77, c->len);
	if (c->dir & OLIO_TO_DEVICE)
		ok(olio_dev_read(p->dev, c->dma, bytes, c->len));
	if (c->dir & OLIO_FROM_DEVICE)
		ok(olio_dev_write(p->dev, c->dma, bytes, c->len));
}

static void map(struct program *p, struct chunk *c)
{
	struct olio_run run = chunk_run(p, c);

	c->dir = (enum olio_dir)(1 + draw(p, 3));
	c->attrs = draw(p, 4) ? 0 : OLIO_ATTR_SKIP_CPU_SYNC;
	fill(p, c);
	if (olio_dma_map(p->dev, &run, c->dir, c->attrs, &c->dma)) {
		p->refused++;
		return;
	}
	if (c->attrs)
		ok(olio_dma_sync_for_device(p->dev, c->dma, c->len, c->dir));
	c->mapped = true;
	c->cpu_has = false;
	p->mapped++;
}

static void step(struct program *p, struct chunk *c)
{
	if (!c->mapped) {
		map(p, c);
		return;
	}
	switch (draw(p, 4)) {
	case 0:
		if (c->cpu_has)
			ok(olio_dma_sync_for_device(p->dev, c->dma, c->len, c->dir));
		else
			ok(olio_dma_sync_for_cpu(p->dev, c->dma, c->len, c->dir));
		c->cpu_has = !c->cpu_has;
		break;
	case 1:
		if (c->cpu_has && c->dir & OLIO_TO_DEVICE)
			fill(p, c);
		else if (c->cpu_has)
			(void)*(volatile uint8_t *)(p->buf + c->off);
		break;
	case 2:
		if (!c->cpu_has)
			work(p, c);
		break;
	default:
		if (c->attrs && !c->cpu_has)
			ok(olio_dma_sync_for_cpu(p->dev, c->dma, c->len, c->dir));
		ok(olio_dma_unmap(p->dev, c->dma, c->len, c->dir, c->attrs));
		c->mapped = false;
	}
}

static void one_shot(struct program *p)
{
	for (int i = 0; i < ROUNDS; i++)
		step(p, &p->chunk[draw(p, CHUNKS)]);
	for (int i = 0; i < CHUNKS; i++) {
		struct chunk *c = &p->chunk[i];

		if (c->mapped && c->attrs && !c->cpu_has)
			ok(olio_dma_sync_for_cpu(p->dev, c->dma, c->len, c->dir));
		if (c->mapped)
			ok(olio_dma_unmap(p->dev, c->dma, c->len, c->dir, c->attrs));
		c->mapped = false;
	}
}

/* Two pages side by side, as two links, or not at all where there is no IOMMU. */
static void two_step(struct program *p)
{
	struct olio_run run[2] = {chunk_run(p, &p->chunk[0]), chunk_run(p, &p->chunk[1])};
	struct olio_iova_state state;
	uint8_t bytes[2 * PAGE];
	uint64_t linked = 0;

	if (olio_iova_alloc(p->dev, &state, run[0].pa, 2 * PAGE))
		return;
	for (int i = 0; i < 2; i++) {
		if (olio_iova_link(&state, &run[i], linked, OLIO_TO_DEVICE, 0))
			break;
		linked += PAGE;
	}
	if (linked) {
		ok(olio_iova_sync(&state, 0, linked));
		ok(olio_dev_read(p->dev, olio_iova_start(&state), bytes, linked));
	}
	if (linked == 2 * PAGE) {
		ok(olio_iova_unlink(&state, PAGE, PAGE, OLIO_TO_DEVICE, 0));
		linked = PAGE;
	}
	if (draw(p, 2) && linked) {
		ok(olio_iova_unlink(&state, 0, linked, OLIO_TO_DEVICE, 0));
		linked = 0;
	}
	if (linked)
		ok(olio_iova_destroy(&state, linked, OLIO_TO_DEVICE, 0));
	else
		ok(olio_iova_free(&state));
}

static void list(struct program *p)
{
	size_t nruns, nsegs;
	const struct olio_run *runs = olio_mem_runs(p->mem, &nruns);
	const struct olio_seg *segs;
	struct olio_map *all;
	uint8_t bytes[256];

	memset(bytes, 3, sizeof(bytes));
	if (olio_map_list(p->dev, runs, nruns, OLIO_BIDIRECTIONAL, 0, &all))
		return;
	segs = olio_map_segs(all, &nsegs);
	for (size_t i = 0; i < nsegs; i++) {
		ok(olio_dev_read(p->dev, segs[i].dma, bytes, 64));
		ok(olio_dev_write(p->dev, segs[i].dma, bytes, 128));
	}
	ok(olio_map_sync_for_cpu(all, PAGE, 2 * PAGE, OLIO_FROM_DEVICE));
	p->buf[PAGE] = 9;
	ok(olio_map_sync_for_device(all, PAGE, 2 * PAGE, OLIO_TO_DEVICE));
	olio_map_unmap(all);
	memset(p->buf, 2, PAGES * PAGE);
}

static void ring(struct program *p)
{
	struct olio_iova dma;
	uint8_t bytes[64];
	uint8_t *cpu;

	if (olio_dma_alloc(p->dev, 2 * PAGE, draw(p, 2) ? OLIO_ALLOC_WC : 0, (void **)&cpu, &dma))
		return;
	memset(cpu, 5, 64);
	olio_dma_wmb(p->dev);
	olio_dev_doorbell(p->dev);
	ok(olio_dev_read(p->dev, dma, bytes, 64));
	ok(olio_dev_write(p->dev, dma, bytes, 64));
	olio_dma_rmb(p->dev);
	ok(olio_dma_free(p->dev, 2 * PAGE, cpu, dma));
}

/* A peer's memory, where the machine passes that. */
static void peer(struct program *p)
{
	struct olio_dev *provider;
	const struct olio_run *runs;
	struct olio_iova dma;
	struct olio_mem *bar;
	uint32_t word = 1;
	size_t n;

	if (olio_dev_open(p->m, "acc0", &provider))
		return;
	ok(olio_mem_from_bar(provider, 2, PAGE, PAGE, &bar));
	runs = olio_mem_runs(bar, &n);
	if (!olio_dma_map(p->dev, runs, OLIO_FROM_DEVICE, 0, &dma)) {
		ok(olio_dev_write(p->dev, dma, &word, 4));
		ok(olio_dma_unmap(p->dev, dma, PAGE, OLIO_FROM_DEVICE, 0));
	}
	olio_mem_put(bar);
	olio_dev_close(provider);
}

static void run(struct program *p)
{
	one_shot(p);
	two_step(p);
	list(p);
	ring(p);
	peer(p);
	one_shot(p);
}

static void end(struct program *p)
{
	olio_mem_put(p->mem);
	munmap(p->buf, PAGES * PAGE);
}

static void none_reported(struct olio_machine *m, const char *type, const char *device)
{
	struct olio_misuse_info r = {.size = sizeof(r)};
	uint64_t seq = 0;

	if (olio_next_misuse(m, &seq, &r) == 1)
		fail_msg("%s, %s: %u (%s): %s, here %s, there %s", type, device, r.class_, r.name,
			 r.text, r.here, r.there);
}

static void on_machine(const char *type)
{
	struct olio_node_info node = {.size = sizeof(node)};
	struct olio_machine *m;
	struct olio_dev *dev;
	struct program p;
	uint32_t pos = 0;
	char why[512];

	if (olio_machine_create(NULL, type, &m, why, sizeof(why)))
		fail_msg("%s: %s", type, why);
	while (olio_next_node(m, &pos, &node) == 1) {
		if (strcmp(node.kind, "endpoint") != 0 && strcmp(node.kind, "platform") != 0)
			continue;
		ok(olio_dev_open(m, node.name, &dev));
		begin(&p, m, dev, 1000 + pos);
		run(&p);
		end(&p);
		olio_dev_close(dev);
		none_reported(m, type, node.name);
		/* It has done something, too. */
		if (!p.mapped)
			fail_msg("%s, %s: all of %u maps were refused", type, node.name, p.refused);
	}
	olio_machine_close(m);
}

void test_clean_on_every_machine(void **state)
{
	const char *name, *about;
	uint32_t pos = 0, n = 0;

	(void)state;
	for (; olio_machine_types(&pos, &name, &about) == 1; n++)
		on_machine(name);
	assert_in_range(n, 8, 100);
}

static void *thread(void *arg)
{
	struct program *p = arg;

	run(p);
	run(p);
	return NULL;
}

/* Threads of one device, each with its own memory. */
void test_clean_in_threads(void **state)
{
	static const char *const types[] = {"pc", "arm-noncoherent", "cc-guest"};
	struct program p[3];
	pthread_t t[3];
	char why[512];

	(void)state;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct olio_machine *m;
		struct olio_dev *dev;

		ok(olio_machine_create(NULL, types[i], &m, why, sizeof(why)));
		ok(olio_dev_open(m, "dma0", &dev));
		for (int k = 0; k < 3; k++)
			begin(&p[k], m, dev, 77 + (uint64_t)k);
		for (int k = 0; k < 3; k++)
			ok(pthread_create(&t[k], NULL, thread, &p[k]));
		for (int k = 0; k < 3; k++)
			pthread_join(t[k], NULL);
		for (int k = 0; k < 3; k++)
			end(&p[k]);
		olio_dev_close(dev);
		none_reported(m, types[i], "dma0");
		olio_machine_close(m);
	}
}
