// SPDX-License-Identifier: MIT
/*
 * Proves the promise of coherence (D1) by trial: on each built-in machine, and on ones
 * made for it, each device maps memory at many offsets, lengths and frames, and after
 * each map CPU and device write in turn and look whether the other one sees it, with no
 * sync call made. olio_dev_is_coherent() is true exactly if all of them did.
 *
 * And that a forgotten sync call shows in stale bytes, in both directions, a made one does
 * not; that the largest map is the largest; memory of olio_dma_alloc(), with its store
 * buffer; each request for a resource refused in turn.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "lab.h"

/* ---- the promise ---- */

struct trial {
	struct olio_dev *dev;
	u32 maps, refused, stale;
	bool coherent; /* nothing was stale */
};

/* One map: CPU and device write in turn. */
static void try_map(struct trial *t, const struct olio_run *run, u8 *cpu)
{
	u8 byte = (u8)rig_rand(256), seen = (u8)~byte, back;
	struct olio_iova dma;

	if (olio_dma_map(t->dev, run, OLIO_BIDIRECTIONAL, 0, &dma)) {
		t->refused++;
		return;
	}
	t->maps++;
	/* What memory and copy have in common is no proof. */
	cpu[run->len - 1] = byte;
	assert_int_equal(olio_dev_read(t->dev, (struct olio_iova){dma.v + run->len - 1}, &seen, 1),
			 0);
	back = (u8)(cpu[0] + 1);
	assert_int_equal(olio_dev_write(t->dev, dma, &back, 1), 0);
	if ((run->len > 1 && seen != byte) || cpu[0] != back) {
		t->coherent = false;
		t->stale++;
	}
	assert_int_equal(olio_dma_unmap(t->dev, dma, run->len, OLIO_BIDIRECTIONAL, 0), 0);
}

static const u64 offsets[] = {0, 1, 63, 64, 2048, 4095};
static const u64 lengths[] = {1, 2, 64, 100, 4095, 4096, 4097, 8192, 10000, 65536};

static void try_part(struct trial *t, struct olio_run run, u8 *cpu, u64 off, u64 len)
{
	if (!oli_range_inside(off, len, 0, run.len))
		return;
	run.pa.v += off;
	run.len = len;
	try_map(t, &run, cpu + off);
}

/* All offsets and lengths that fit into each run of @mem, and one whole granule. */
static void try_all(struct trial *t, const struct olio_mem *mem, u8 *cpu, u32 every)
{
	const struct olio_run *runs;
	size_t n;

	runs = olio_mem_runs(mem, &n);
	for (size_t i = 0; i < n; cpu += runs[i++].len) {
		if (i % every)
			continue;
		for (u32 k = 0; k < OLI_ARRAY_SIZE(offsets); k++)
			for (u32 j = 0; j < OLI_ARRAY_SIZE(lengths); j++)
				try_part(t, runs[i], cpu, offsets[k], lengths[j]);
		try_part(t, runs[i], cpu, -runs[i].pa.v & t->dev->granule_mask,
			 t->dev->granule_mask + 1);
	}
}

static void promise(struct olio_dev *dev, const struct olio_mem *mem, u8 *cpu, u32 every,
		    const char *what)
{
	struct trial t = {.dev = dev, .coherent = true};
	enum olio_reason reason = OLIO_NR_REASONS;
	bool says = olio_dev_is_coherent(dev, &reason);

	try_all(&t, mem, cpu, every);
	if (says != t.coherent)
		fail_msg("%s, %s: said to be %scoherent (%s), %u of %u maps were stale", what,
			 dev->node->name, says ? "" : "not ", olio_reason_name(reason), t.stale,
			 t.maps);
	assert_true(t.maps);
	assert_int_equal(says, reason == OLIO_REASON_NONE);
	assert_int_equal(olio_dma_need_sync(dev), !says);
	assert_true(olio_dev_is_coherent(dev, NULL) == says);
}

/* All devices of a machine, with each granule policy that they take. */
static void promises(const struct oli_desc *desc, u64 bytes, u32 every)
{
	struct oli_desc d = *desc;
	struct oli_machine *m;
	struct olio_mem *mem;
	u8 *p = lab_pages(bytes);

	d.checker = 0;
	m = lab_open(&d);
	mem = lab_pin(m, p, bytes);
	for (u8 i = 0; i < d.nr_nodes; i++) {
		struct olio_dev *dev;

		if (d.node[i].kind != OLI_NODE_ENDPOINT_KIND &&
		    d.node[i].kind != OLI_NODE_PLATFORM_KIND)
			continue;
		dev = lab_dev(m, d.node[i].name);
		for (int policy = 0; policy <= OLIO_GRANULE_REFUSE; policy++)
			if (!olio_dev_set_granule(dev, policy))
				promise(dev, mem, p, every, d.type);
		olio_dev_close(dev);
	}
	oli_mem_put(mem);
	munmap(p, bytes);
	rig_close(m);
}

static void test_builtin_promises(void **state)
{
	struct oli_desc d;

	(void)state;
	for (u32 i = 0; oli_desc_at(i); i++) {
		assert_int_equal(oli_desc_builtin(oli_desc_at(i)->type, &d), 0);
		promises(&d, 12 * 4096, 1);
		/* Contiguous frames: runs of many pages. */
		d.linear = 1;
		promises(&d, 24 * 4096, 1);
	}
}

static void test_made_promises(void **state)
{
	struct oli_desc d;

	(void)state;
	for (u32 variant = 0; variant < 64; variant++) {
		struct oli_node *n;

		d = rig_desc();
		n = &d.node[DEV0];
		d.linear = variant & 1;
		d.encrypted = variant >> 1 & 1;
		n->coherent = variant >> 2 & 1;
		n->trusted = variant >> 3 & 1;
		n->force_bounce = variant >> 4 & 1;
		n->tee = variant >> 5 & 1;
		promises(&d, 4 * 4096, 1);
		/* Frames of its size, or no map is without a partial one. */
		d.granule_shift = 14;
		d.linear = 1;
		promises(&d, 12 * 4096, 1);
		d.iommu = OLI_IOMMU_NONE;
		promises(&d, 4 * 4096, 1);
	}
}

/* Half of RAM is out of reach of the mask: some frames bounce, so the device is not coherent. */
static void test_mask_promise(void **state)
{
	struct oli_desc d = rig_desc();
	enum olio_reason reason;
	struct oli_machine *m;
	struct olio_dev *dev;

	(void)state;
	d.iommu = OLI_IOMMU_NONE;
	d.ram_size = 8 << 20;
	d.dma_offset = (3ull << 38) - (4 << 20);
	d.node[DEV0].dma_bits = 40;
	promises(&d, 6 << 20, 61);
	m = lab_open(&d);
	dev = lab_dev(m, "dev0");
	assert_false(olio_dev_is_coherent(dev, &reason));
	assert_int_equal(reason, OLIO_REASON_MASK);
	olio_dev_close(dev);
	dev = lab_dev(m, "dev1");
	assert_true(olio_dev_is_coherent(dev, &reason));
	/* A mask that is set later counts. */
	assert_int_equal(olio_dev_set_mask(dev, 40), 0);
	assert_false(olio_dev_is_coherent(dev, &reason));
	assert_int_equal(olio_dev_set_mask(dev, 41), 0);
	assert_true(olio_dev_is_coherent(dev, &reason));
	olio_dev_close(dev);
	assert_false(olio_dev_is_coherent(dev, &reason));
	assert_int_equal(reason, OLIO_REASON_BAD_STATE);
	assert_false(olio_dma_need_sync(dev));
	assert_int_equal(olio_dma_max_mapping_size(dev), 0);
	rig_close(m);
}

/* ---- sizes ---- */

static void check_max(struct oli_desc *d, const char *name)
{
	struct oli_machine *m;
	struct olio_dev *dev;
	struct olio_mem *mem;
	struct olio_run run;
	struct olio_iova dma;
	u64 max, bytes = 1 << 20;
	u8 *p = lab_pages(bytes);
	size_t n;

	d->linear = 1;
	m = lab_open(d);
	dev = lab_dev(m, name);
	mem = lab_pin(m, p, bytes);
	run = *olio_mem_runs(mem, &n);
	assert_int_equal(n, 1);
	max = olio_dma_max_mapping_size(dev);
	run.pa.v += dev->granule_mask;
	run.len = max < bytes / 2 ? max : bytes / 2;
	assert_int_equal(olio_dma_map(dev, &run, OLIO_TO_DEVICE, 0, &dma), 0);
	assert_int_equal(olio_dma_unmap(dev, dma, run.len, OLIO_TO_DEVICE, 0), 0);
	run.len++;
	if (max == UINT64_MAX) {
		assert_int_equal(olio_dma_map(dev, &run, OLIO_TO_DEVICE, 0, &dma), 0);
		assert_int_equal(olio_dma_unmap(dev, dma, run.len, OLIO_TO_DEVICE, 0), 0);
	} else {
		assert_int_equal(olio_dma_map(dev, &run, OLIO_TO_DEVICE, 0, &dma), -ENOSPC);
		assert_int_equal(olio_why()->reason, OLIO_REASON_BOUNCE_TOO_LONG);
	}
	oli_mem_put(mem);
	munmap(p, bytes);
	olio_dev_close(dev);
	rig_close(m);
}

static void test_max_size(void **state)
{
	struct oli_desc d;

	(void)state;
	for (u32 variant = 0; variant < 16; variant++) {
		d = rig_desc();
		d.bounce_slots = 512;
		d.iommu = variant & 1 ? OLI_IOMMU_STRICT : OLI_IOMMU_NONE;
		d.node[DEV0].force_bounce = variant >> 1 & 1;
		d.encrypted = variant >> 2 & 1;
		d.node[DEV0].trusted = variant >> 3 & 1;
		check_max(&d, "dev0");
		d.granule_shift = 16;
		check_max(&d, "dev0");
	}
}

/* ---- stale bytes ---- */

struct stale {
	struct oli_machine *m;
	struct olio_dev *dev;
	struct olio_mem *mem;
	struct olio_run run;
	u8 *p;
	struct olio_iova dma;
};

static void stale_open(struct stale *s, const struct oli_desc *d)
{
	size_t n;

	s->m = lab_open(d);
	s->dev = lab_dev(s->m, "dev0");
	s->p = lab_pages(4096);
	memset(s->p, 1, 4096);
	s->mem = lab_pin(s->m, s->p, 4096);
	s->run = *olio_mem_runs(s->mem, &n);
}

static void stale_close(struct stale *s)
{
	oli_mem_put(s->mem);
	munmap(s->p, 4096);
	olio_dev_close(s->dev);
	rig_close(s->m);
}

static void stale_map(struct stale *s, enum olio_dir dir, u32 attrs)
{
	assert_int_equal(olio_dma_map(s->dev, &s->run, dir, attrs, &s->dma), 0);
}

static void stale_unmap(struct stale *s, enum olio_dir dir, u32 attrs)
{
	assert_int_equal(olio_dma_unmap(s->dev, s->dma, s->run.len, dir, attrs), 0);
}

static u8 device_sees(struct stale *s, u64 at)
{
	u8 byte = 0xee;

	assert_int_equal(olio_dev_read(s->dev, (struct olio_iova){s->dma.v + at}, &byte, 1), 0);
	return byte;
}

static void device_writes(struct stale *s, u64 at, u8 byte)
{
	assert_int_equal(olio_dev_write(s->dev, (struct olio_iova){s->dma.v + at}, &byte, 1), 0);
}

/* The same story for shadow and bounce: nobody sees the other's bytes without a call. */
static void forgotten(struct stale *s)
{
	stale_map(s, OLIO_TO_DEVICE, 0);
	assert_int_equal(device_sees(s, 700), 1);
	s->p[700] = 2;
	assert_int_equal(device_sees(s, 700), 1);
	assert_int_equal(olio_dma_sync_for_device(s->dev, s->dma, s->run.len, OLIO_TO_DEVICE), 0);
	assert_int_equal(device_sees(s, 700), 2);
	/* A part only. */
	s->p[700] = s->p[1800] = 3;
	assert_int_equal(olio_dma_sync_for_device(s->dev, (struct olio_iova){s->dma.v + 1800}, 1,
						  OLIO_TO_DEVICE),
			 0);
	assert_int_equal(device_sees(s, 700), 2);
	assert_int_equal(device_sees(s, 1800), 3);
	stale_unmap(s, OLIO_TO_DEVICE, 0);
	assert_int_equal(s->p[700], 3);
	s->p[700] = s->p[1800] = 1;

	stale_map(s, OLIO_FROM_DEVICE, 0);
	device_writes(s, 700, 5);
	device_writes(s, 1800, 5);
	assert_int_equal(s->p[700], 1);
	assert_int_equal(olio_dma_sync_for_cpu(s->dev, (struct olio_iova){s->dma.v + 700}, 1,
					       OLIO_FROM_DEVICE),
			 0);
	assert_int_equal(s->p[700], 5);
	assert_int_equal(s->p[1800], 1);
	stale_unmap(s, OLIO_FROM_DEVICE, 0);
	assert_int_equal(s->p[1800], 5);
	/* What the device did not write is as it was. */
	assert_int_equal(s->p[0], 1);
	assert_int_equal(s->p[4095], 1);
}

/* The caller said that it would make the calls itself, and does not. */
static void skipped(struct stale *s)
{
	memset(s->p, 7, 4096);
	stale_map(s, OLIO_BIDIRECTIONAL, OLIO_ATTR_SKIP_CPU_SYNC);
	assert_int_not_equal(device_sees(s, 700), 7);
	device_writes(s, 700, 9);
	stale_unmap(s, OLIO_BIDIRECTIONAL, OLIO_ATTR_SKIP_CPU_SYNC);
	assert_int_equal(s->p[700], 7);
	/* And does. */
	stale_map(s, OLIO_BIDIRECTIONAL, OLIO_ATTR_SKIP_CPU_SYNC);
	assert_int_equal(olio_dma_sync_for_device(s->dev, s->dma, s->run.len, OLIO_BIDIRECTIONAL),
			 0);
	assert_int_equal(device_sees(s, 701), 7);
	device_writes(s, 701, 9);
	assert_int_equal(olio_dma_sync_for_cpu(s->dev, s->dma, s->run.len, OLIO_BIDIRECTIONAL), 0);
	stale_unmap(s, OLIO_BIDIRECTIONAL, OLIO_ATTR_SKIP_CPU_SYNC);
	assert_int_equal(s->p[701], 9);
}

static void test_stale(void **state)
{
	struct oli_desc d = rig_desc();
	struct stale s;

	(void)state;
	d.node[DEV0].coherent = 0;
	stale_open(&s, &d);
	forgotten(&s);
	skipped(&s);
	stale_close(&s);
	/* No IOMMU. */
	d.iommu = OLI_IOMMU_NONE;
	stale_open(&s, &d);
	forgotten(&s);
	skipped(&s);
	stale_close(&s);
}

static void test_stale_bounce(void **state)
{
	struct oli_desc d = rig_desc();
	struct stale s;

	(void)state;
	d.node[DEV0].force_bounce = 1;
	stale_open(&s, &d);
	forgotten(&s);
	skipped(&s);
	stale_close(&s);
	/* Both at once: the copy has no second view. */
	d.node[DEV0].coherent = 0;
	d.iommu = OLI_IOMMU_NONE;
	stale_open(&s, &d);
	forgotten(&s);
	skipped(&s);
	stale_close(&s);
}

/* Lines go as a whole: what the CPU wrote beside the buffer is overtaken. */
static void test_shared_line(void **state)
{
	struct oli_desc d = rig_desc();
	struct stale s;

	(void)state;
	d.node[DEV0].coherent = 0;
	stale_open(&s, &d);
	s.run.pa.v += 64;
	s.run.len = 32;
	stale_map(&s, OLIO_FROM_DEVICE, 0);
	s.p[64 + 40] = 2;
	s.p[64 + 64] = 2;
	device_writes(&s, 0, 3);
	stale_unmap(&s, OLIO_FROM_DEVICE, 0);
	assert_int_equal(s.p[64], 3);
	assert_int_equal(s.p[64 + 40], 1);
	assert_int_equal(s.p[64 + 64], 2);
	stale_close(&s);
}

/* ---- memory for both ---- */

/* Written by the one and read by the other, without any call. */
static void both_see(struct olio_dev *dev, u8 *cpu, struct olio_iova dma, u64 size)
{
	u8 byte = 1;

	for (u64 at = 0; at < size; at += 509) {
		struct olio_iova there = {dma.v + at};

		assert_int_equal(cpu[at], 0);
		assert_int_equal(olio_dev_read(dev, there, &byte, 1), 0);
		assert_int_equal(byte, 0);
		cpu[at] = (u8)(at + 1);
		assert_int_equal(olio_dev_read(dev, there, &byte, 1), 0);
		assert_int_equal(byte, (u8)(at + 1));
		byte = (u8)(at + 2);
		assert_int_equal(olio_dev_write(dev, there, &byte, 1), 0);
		assert_int_equal(cpu[at], (u8)(at + 2));
	}
}

static void check_alloc(const struct oli_desc *d, const char *name)
{
	struct oli_machine *m = lab_open(d);
	struct olio_dev *dev = lab_dev(m, name);
	u64 used = atomic_load(&m->shm->heap_used);

	for (u64 size = 1; size < 300000; size = size * 3 + 1) {
		struct olio_iova dma, other;
		void *cpu, *more;
		u8 byte;

		assert_int_equal(olio_dma_alloc(dev, size, 0, &cpu, &dma), 0);
		both_see(dev, cpu, dma, size);
		assert_int_equal(olio_dma_alloc(dev, size, 0, &more, &other), 0);
		assert_true(other.v != dma.v && more != cpu);
		assert_int_equal(olio_dma_free(dev, size + 1, cpu, dma), -ENOENT);
		assert_int_equal(olio_dma_free(dev, size, more, dma), -ENOENT);
		assert_int_equal(olio_dma_free(dev, size, cpu, other), -ENOENT);
		assert_int_equal(olio_why()->reason, OLIO_REASON_NOT_MAPPED);
		assert_int_equal(olio_dma_free(dev, size, cpu, dma), 0);
		assert_int_equal(olio_dma_free(dev, size, cpu, dma), -ENOENT);
		assert_int_equal(olio_dev_read(dev, dma, &byte, 1), -EFAULT);
		assert_int_equal(olio_dma_free(dev, size, more, other), 0);
	}
	assert_true(atomic_load(&m->shm->heap_used) <= used + 16);
	olio_dev_close(dev);
	rig_close(m);
}

static void test_alloc(void **state)
{
	struct oli_desc d = rig_desc();

	(void)state;
	check_alloc(&d, "dev0");
	check_alloc(&d, "soft0");
	d.node[DEV0].coherent = 0;
	d.encrypted = 1;
	d.granule_shift = 16;
	check_alloc(&d, "dev0");
	d.iommu = OLI_IOMMU_NONE;
	check_alloc(&d, "dev0");
}

static void test_alloc_limits(void **state)
{
	struct oli_desc d = rig_desc();
	struct oli_machine *m;
	struct olio_dev *dev, *pair[2];
	struct olio_iova dma = {7};
	void *cpu = &d;
	u64 pages;

	(void)state;
	m = lab_open(&d);
	dev = lab_dev(m, "dev0");
	assert_int_equal(olio_dma_alloc(dev, 0, 0, &cpu, &dma), -EINVAL);
	assert_int_equal(olio_dma_alloc(dev, 4096, 2, &cpu, &dma), -EINVAL);
	assert_int_equal(olio_dma_alloc(dev, UINT64_MAX, 0, &cpu, &dma), -ENOSPC);
	assert_int_equal(olio_dma_alloc(dev, OLI_PA_LOW_SIZE + 1, 0, &cpu, &dma), -ENOSPC);
	assert_int_equal(olio_dma_free(dev, 0, NULL, dma), -ENOENT);
	assert_ptr_equal(cpu, &d);
	assert_int_equal(dma.v, 7);
	/* Below the mask, whatever low memory's own addresses are. */
	assert_int_equal(olio_dev_set_mask(dev, 24), 0);
	assert_int_equal(olio_dma_alloc(dev, 65536, 0, &cpu, &dma), 0);
	assert_true(dma.v + 65535 < 1 << 24);
	/* Left to the device's end. */
	olio_dev_close(dev);
	assert_int_equal(olio_dma_alloc(dev, 4096, 0, &cpu, &dma), -EINVAL);
	assert_false(oli_is_dma_alloc(m, (struct olio_pa){OLI_PA_LOW}));
	rig_close(m);

	d.iommu = OLI_IOMMU_NONE;
	m = lab_open(&d);
	dev = lab_dev(m, "dev0");
	assert_int_equal(olio_dev_set_mask(dev, 24), 0);
	pages = m->shm->heap_used;
	assert_int_equal(olio_dma_alloc(dev, 4096, 0, &cpu, &dma), -EOPNOTSUPP);
	assert_int_equal(olio_why()->reason, OLIO_REASON_MASK);
	assert_int_equal(m->shm->heap_used, pages);
	olio_dev_close(dev);
	/* Only its own device gives it back, even where addresses are the same for all. */
	pair[0] = lab_dev(m, "dev0");
	pair[1] = lab_dev(m, "dev1");
	assert_int_equal(olio_dma_alloc(pair[0], 4096, 0, &cpu, &dma), 0);
	assert_int_equal(olio_dma_free(pair[1], 4096, cpu, dma), -ENOENT);
	assert_int_equal(olio_dma_free(pair[0], 4096, cpu, dma), 0);
	olio_dev_close(pair[0]);
	olio_dev_close(pair[1]);
	rig_close(m);
}

/* Writes of the CPU leave the store buffer at a barrier, and those of the device come in by one. */
static void test_write_combining(void **state)
{
	struct oli_desc d = rig_desc();
	struct oli_machine *m = lab_open(&d);
	struct olio_dev *dev = lab_dev(m, "dev0"), *other = lab_dev(m, "dev1");
	const void *dirty = NULL;
	struct olio_iova dma;
	void *p;
	u8 *cpu, seen[3], byte = 9;

	(void)state;
	assert_int_equal(olio_dma_alloc(dev, 5000, OLIO_ALLOC_WC, &p, &dma), 0);
	cpu = p;
	assert_int_equal(cpu[0] | cpu[4999], 0);
	assert_false(oli_wc_dirty(dev, &dirty));
	cpu[0] = 1;
	cpu[2] = 3;
	assert_true(oli_wc_dirty(dev, &dirty));
	assert_ptr_equal(dirty, cpu);
	assert_false(oli_wc_dirty(other, &dirty));
	assert_int_equal(olio_dev_read(dev, dma, seen, 3), 0);
	assert_memory_equal(seen, "\0\0\0", 3);
	/* Another device's barrier is none. */
	olio_dma_wmb(other);
	assert_int_equal(olio_dev_read(dev, dma, seen, 3), 0);
	assert_memory_equal(seen, "\0\0\0", 3);
	/* What the device wrote meanwhile stays. */
	assert_int_equal(olio_dev_write(dev, (struct olio_iova){dma.v + 1}, &byte, 1), 0);
	olio_dma_wmb(dev);
	assert_false(oli_wc_dirty(dev, &dirty));
	assert_int_equal(olio_dev_read(dev, dma, seen, 3), 0);
	assert_memory_equal(seen, "\1\11\3", 3);
	assert_int_equal(cpu[1], 0);
	/* The CPU's own, not stored yet, is not lost by a look. */
	cpu[2] = 4;
	olio_dma_rmb(dev);
	assert_memory_equal(cpu, "\1\11\4", 3);
	olio_dma_wmb(dev);
	assert_int_equal(olio_dev_read(dev, dma, seen, 3), 0);
	assert_memory_equal(seen, "\1\11\4", 3);
	assert_int_equal(olio_dma_free(dev, 5000, p, dma), 0);
	olio_dma_wmb(dev);
	olio_dma_rmb(dev);
	olio_dev_close(other);
	olio_dev_close(dev);
	rig_close(m);
}

/* Found by its physical address, and by that of a pin of the program's pointer. */
static void test_is_alloc(void **state)
{
	struct oli_desc d = rig_desc();
	struct oli_machine *m = lab_open(&d);
	struct olio_dev *dev = lab_dev(m, "dev0");
	struct olio_iova dma, dma2;
	struct olio_pa pa = {0};
	struct oli_phys phys;
	struct olio_mem *mem;
	void *cpu, *wc;
	u8 *p = lab_pages(4096);
	size_t n;

	(void)state;
	assert_int_equal(olio_dma_alloc(dev, 4096, 0, &cpu, &dma), 0);
	assert_int_equal(olio_dma_alloc(dev, 4096, OLIO_ALLOC_WC, &wc, &dma2), 0);
	for (u64 at = OLI_PA_LOW; at < OLI_PA_LOW + (1 << 20); at += 65536)
		if (oli_phys_find(m, (struct olio_pa){at}, &phys) && phys.cpu == cpu)
			pa.v = at;
	assert_true(pa.v);
	assert_true(oli_is_dma_alloc(m, pa));
	assert_true(oli_is_dma_alloc(m, (struct olio_pa){pa.v + 4095}));
	assert_false(oli_is_dma_alloc(m, (struct olio_pa){pa.v + 4096}));
	mem = lab_pin(m, wc, 4096);
	assert_true(oli_is_dma_alloc(m, olio_mem_runs(mem, &n)->pa));
	oli_mem_put(mem);
	mem = lab_pin(m, p, 4096);
	assert_false(oli_is_dma_alloc(m, olio_mem_runs(mem, &n)->pa));
	oli_mem_put(mem);
	assert_int_equal(olio_dma_free(dev, 4096, cpu, dma), 0);
	assert_false(oli_is_dma_alloc(m, pa));
	assert_int_equal(olio_dma_free(dev, 4096, wc, dma2), 0);
	munmap(p, 4096);
	olio_dev_close(dev);
	rig_close(m);
}

/* Each resource refused: nothing is left, and the next try works. */
static void test_each_failure(void **state)
{
	struct oli_desc d = rig_desc();
	bool failed = true;
	u32 refused = 0;

	(void)state;
	for (int nth = 1; failed; nth++) {
		struct oli_machine *m = lab_open(&d);
		struct olio_dev *dev = lab_dev(m, "dev0");
		struct olio_iova dma, first;
		void *cpu = NULL;
		int err;

		oli_fault_countdown = nth;
		err = olio_dma_alloc(dev, 10000, OLIO_ALLOC_WC, &cpu, &dma);
		failed = !oli_fault_countdown;
		oli_fault_countdown = 0;
		if (err) {
			assert_true(failed);
			assert_true(err == -ENOMEM || err == -ENOSPC);
			assert_null(cpu);
			refused++;
			assert_int_equal(olio_dma_alloc(dev, 10000, OLIO_ALLOC_WC, &cpu, &dma), 0);
		}
		/* It was the first that could be had, so nothing was left of the failed one. */
		first = dma;
		assert_int_equal(olio_dma_free(dev, 10000, cpu, dma), 0);
		assert_int_equal(olio_dma_alloc(dev, 10000, 0, &cpu, &dma), 0);
		assert_int_equal(first.v, dma.v);
		assert_int_equal(olio_dma_free(dev, 10000, cpu, dma), 0);
		olio_dev_close(dev);
		rig_close(m);
	}
	print_message("# %u refused\n", refused);
	assert_true(refused >= 4);
}

/* A process that dies leaves no low memory taken. */
static void test_killed(void **state)
{
	struct oli_desc d = rig_desc();
	struct oli_machine *m;
	struct olio_iova dma;
	void *cpu;
	int said[2];
	char c;
	pid_t pid;
	u64 used;

	(void)state;
	lab_needs_fork();
	m = lab_open(&d);
	/* What the machine keeps for all spaces is there from the first one on. */
	olio_dev_close(lab_dev(m, "dev1"));
	used = atomic_load(&m->shm->heap_used);
	assert_int_equal(pipe(said), 0);
	pid = fork();
	if (!pid) {
		struct oli_machine *mine = lab_attach();

		if (olio_dma_alloc(lab_dev(mine, "dev0"), 1 << 20, 0, &cpu, &dma))
			_exit(1);
		c = 1;
		(void)!write(said[1], &c, 1);
		pause();
	}
	assert_int_equal(read(said[0], &c, 1), 1);
	assert_true(atomic_load(&m->shm->heap_used) >= used + 256);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	oli_reap(m);
	assert_int_equal(atomic_load(&m->shm->heap_used), used);
	close(said[0]);
	close(said[1]);
	rig_close(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_builtin_promises),
		cmocka_unit_test(test_made_promises),
		cmocka_unit_test(test_mask_promise),
		cmocka_unit_test(test_max_size),
		cmocka_unit_test(test_stale),
		cmocka_unit_test(test_stale_bounce),
		cmocka_unit_test(test_shared_line),
		cmocka_unit_test(test_alloc),
		cmocka_unit_test(test_alloc_limits),
		cmocka_unit_test(test_write_combining),
		cmocka_unit_test(test_is_alloc),
		cmocka_unit_test(test_each_failure),
		cmocka_unit_test(test_killed),
	};

	return cmocka_run_group_tests_name("dma/coherent", tests, NULL, NULL);
}
