// SPDX-License-Identifier: MIT
/*
 * One-shot maps: each refusal on a machine that has cause for it, in all three ways of
 * mapping, with nothing left behind; unmaps of what is not there; what the device may
 * do, and what it sees beside the buffer.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dma/root.h"
#include "iommu/part.h"
#include "lab.h"

static struct oli_machine *m;
static struct olio_dev *dev;

static void enter_desc(struct oli_desc d, const char *device)
{
	m = lab_open(&d);
	dev = lab_dev(m, device);
}

static void enter(const char *name, const char *device)
{
	enter_desc(lab_desc(name), device);
}

static void leave(void)
{
	olio_dev_close(dev);
	rig_close(m);
}

static void nothing_left(const struct lab_left *before)
{
	struct lab_left now = lab_left(m, dev);

	assert_memory_equal(&now, before, sizeof(now));
	if (dev->domain)
		assert_true(oli_domain_is_valid(dev->domain));
}

static struct olio_run first(const struct olio_mem *mem)
{
	size_t n;
	const struct olio_run *r = olio_mem_runs(mem, &n);

	return r[0];
}

static struct olio_mem *bar(const char *name, unsigned int index, u64 off, u64 len)
{
	struct olio_mem *mem;

	assert_int_equal(
		oli_mem_from_bar(m, oli_node_find(&m->shm->desc, name), index, off, len, &mem), 0);
	return mem;
}

/* Refused for @reason, by all ways of mapping. */
static void refused(const struct olio_run *run, int dir, u32 attrs, enum olio_reason reason)
{
	struct lab_left before = lab_left(m, dev);
	struct olio_iova_state state;
	struct olio_iova dma = {0x1234};
	struct olio_map *map = NULL;
	int err;

	err = olio_dma_map(dev, run, dir, attrs, &dma);
	assert_string_equal(olio_reason_name(olio_why()->reason), olio_reason_name(reason));
	assert_true(err < 0);
	assert_true(strlen(olio_why()->text) > 10);
	assert_int_equal(dma.v, 0x1234);
	nothing_left(&before);
	if (reason != OLIO_REASON_BOUNCE_TOO_LONG && reason != OLIO_REASON_SEGMENTS) {
		assert_int_equal(olio_map_list(dev, run, 1, dir, attrs, &map), err);
		assert_int_equal(olio_why()->reason, reason);
		assert_null(map);
		nothing_left(&before);
	}
	if (reason == OLIO_REASON_SEGMENTS || olio_iova_alloc(dev, &state, run->pa, run->len | 1))
		return;
	assert_true(olio_iova_link(&state, run, 0, dir, attrs) < 0);
	if (run->len && reason != OLIO_REASON_OVERFLOW)
		assert_int_equal(olio_why()->reason, reason);
	assert_int_equal(olio_iova_free(&state), 0);
	nothing_left(&before);
}

static void works(const struct olio_run *run, int dir, u32 attrs)
{
	struct lab_left before = lab_left(m, dev);
	struct olio_iova dma;

	if (olio_dma_map(dev, run, dir, attrs, &dma))
		fail_msg("%s", olio_why()->text);
	assert_int_equal(olio_dma_unmap(dev, dma, run->len, dir, attrs), 0);
	nothing_left(&before);
}

#define REQUIRE OLIO_ATTR_REQUIRE_COHERENT

static void refusals_of_kinds(void **s)
{
	static const struct {
		const char *type, *device;
		u32 made, off, len, attrs; /* 1: untrusted, 2: refuses partial granules, 3: bounces all */
		enum olio_reason reason;
	} t[] = {
		{"arm-noncoherent", "dma0", 0, 0, 4096, REQUIRE, OLIO_REASON_NON_COHERENT},
		{"no-iommu", "dma32", 0, 0, 4096, REQUIRE, OLIO_REASON_MASK},
		{"no-iommu", "dma0", 0, 0, 4096, REQUIRE, OLIO_REASON_NONE},
		{"no-iommu", "dma0", 1, 5, 4000, REQUIRE, OLIO_REASON_NONE},
		{"pc", "dma0", 1, 0, 4095, REQUIRE, OLIO_REASON_UNALIGNED_BOUNCE},
		{"pc", "dma0", 1, 1, 4095, REQUIRE, OLIO_REASON_UNALIGNED_BOUNCE},
		{"pc", "dma0", 1, 0, 4096, REQUIRE, OLIO_REASON_NONE},
		{"pc", "dma0", 0, 1, 4000, REQUIRE, OLIO_REASON_NONE},
		{"pc", "dma0", 3, 0, 4096, REQUIRE, OLIO_REASON_FORCED_BOUNCE},
		{"cc-guest", "dma0", 0, 0, 4096, REQUIRE, OLIO_REASON_ENCRYPTED},
		{"cc-guest", "tee0", 0, 0, 4096, REQUIRE, OLIO_REASON_NONE},
		{"hostile", "dma0", 0, 0, 4096, REQUIRE, OLIO_REASON_NON_COHERENT},
		{"hostile", "hca0", 0, 0, 4096, REQUIRE, OLIO_REASON_NONE},
		{"hostile", "hca0", 0, 8, 4000, REQUIRE, OLIO_REASON_UNALIGNED_BOUNCE},
		{"pc", "soft0", 0, 7, 99, REQUIRE, OLIO_REASON_NONE},
		{"pc", "dma0", 0, 0, 4096, 32, OLIO_REASON_BAD_ATTRIBUTE},
		{"pc", "dma0", 0, 0, 4096, OLIO_ATTR_MMIO, OLIO_REASON_BAD_ATTRIBUTE},
		{"pc", "dma0", 0, 0, 4096, OLIO_ATTR_CC_SHARED, OLIO_REASON_BAD_ATTRIBUTE},
		{"hostile", "hca0", 0, 0, 4096, OLIO_ATTR_CC_SHARED, OLIO_REASON_BAD_ATTRIBUTE},
		{"pc", "dma0", 2, 64, 4000, 0, OLIO_REASON_GRANULE},
		{"pc", "dma0", 2, 0, 4096, REQUIRE, OLIO_REASON_NONE},
		/* All of it is copied: it shares its granules with nothing. */
		{"hostile", "plat0", 0, 64, 4000, 0, OLIO_REASON_NONE},
	};

	(void)s;
	for (size_t i = 0; i < OLI_ARRAY_SIZE(t); i++) {
		struct oli_desc d = lab_desc(t[i].type);
		struct oli_node *node = &d.node[oli_node_find(&d, t[i].device)];
		struct olio_mem *mem;
		struct olio_run run;

		node->trusted &= t[i].made != 1;
		node->force_bounce |= t[i].made == 3;
		if (t[i].made == 2)
			node->granule = OLIO_GRANULE_REFUSE;
		enter_desc(d, t[i].device);
		mem = lab_pin(m, lab_pages(8192), 8192);
		run = first(mem);
		run.pa.v += t[i].off;
		run.len = t[i].len;
		if (t[i].reason != OLIO_REASON_NONE)
			refused(&run, OLIO_BIDIRECTIONAL, t[i].attrs, t[i].reason);
		else
			works(&run, OLIO_BIDIRECTIONAL, t[i].attrs);
		/* What is refused for its ends or attributes works without them. */
		if (t[i].reason == OLIO_REASON_GRANULE) {
			run.pa.v -= t[i].off;
			run.len = 4096;
		}
		works(&run, OLIO_BIDIRECTIONAL, 0);
		oli_mem_put(mem);
		leave();
	}
}

/* A coherent device that reads ciphertext. */
static void refusal_of_private(void **s)
{
	struct oli_desc d = lab_desc("hostile");
	struct olio_mem *mem;
	struct olio_run run;

	(void)s;
	d.node[oli_node_find(&d, "dma0")].coherent = 1;
	enter_desc(d, "dma0");
	mem = lab_pin(m, lab_pages(4096), 4096);
	run = first(mem);
	assert_int_equal(run.kind, OLIO_MEM_PRIVATE);
	refused(&run, OLIO_TO_DEVICE, REQUIRE, OLIO_REASON_ENCRYPTED);
	works(&run, OLIO_TO_DEVICE, 0);
	/* Open memory may be said to be open, and needs no copy. */
	assert_int_equal(olio_mem_share(mem), 0);
	refused(&run, OLIO_TO_DEVICE, 0, OLIO_REASON_BAD_RUN);
	run = first(mem);
	assert_int_equal(run.kind, OLIO_MEM_SHARED);
	works(&run, OLIO_TO_DEVICE, REQUIRE | OLIO_ATTR_CC_SHARED);
	oli_mem_put(mem);
	leave();
}

static void refusals_of_bars(void **s)
{
	static const struct {
		const char *type, *device, *provider;
		u32 bar, off, len, attrs;
		enum olio_reason reason;
	} t[] = {
		{"pc", "dma0", "acc0", 2, 0, 4096, 0, OLIO_REASON_NONE},
		{"pc", "dma0", "acc0", 2, 100, 50, REQUIRE | OLIO_ATTR_MMIO, OLIO_REASON_NONE},
		{"pc", "dma0", "acc0", 0, 0, 4096, 0, OLIO_REASON_P2P_NO_PROVIDER},
		{"pc", "soft0", "acc0", 2, 0, 4096, 0, OLIO_REASON_P2P_NOT_PCI},
		{"pc", "plat0", "acc0", 2, 0, 4096, 0, OLIO_REASON_P2P_NOT_PCI},
		{"pc", "dma0", "acc0", 2, 0, 4096, OLIO_ATTR_CC_SHARED, OLIO_REASON_BAD_ATTRIBUTE},
		{"p2p-switch", "dma0", "acc0", 2, 100, 4096, REQUIRE, OLIO_REASON_NONE},
		{"p2p-acs", "dma0", "acc0", 2, 0, 4096, 0, OLIO_REASON_P2P_ACS},
		{"hostile", "dma0", "acc0", 2, 0, 4096, 0, OLIO_REASON_P2P_NO_COMMON_BRIDGE},
		{"cc-guest", "dma0", "acc0", 2, 0, 4096, 0, OLIO_REASON_MMIO_BOUNCE},
	};

	(void)s;
	for (size_t i = 0; i < OLI_ARRAY_SIZE(t); i++) {
		struct olio_mem *mem;
		struct olio_run run;

		enter(t[i].type, t[i].device);
		mem = bar(t[i].provider, t[i].bar, t[i].off, t[i].len);
		run = first(mem);
		if (t[i].reason != OLIO_REASON_NONE)
			refused(&run, OLIO_TO_DEVICE, t[i].attrs, t[i].reason);
		else
			works(&run, OLIO_TO_DEVICE, t[i].attrs);
		oli_mem_put(mem);
		leave();
	}
}

static void granules_of_bars(void **s)
{
	struct oli_desc d = lab_desc("pc");
	struct olio_mem *mem;
	struct olio_run run;

	(void)s;
	d.node[oli_node_find(&d, "dma0")].trusted = 0;
	enter_desc(d, "dma0");
	mem = bar("acc0", 2, 4096, 8192);
	run = first(mem);
	works(&run, OLIO_FROM_DEVICE, 0);
	run.len--;
	refused(&run, OLIO_FROM_DEVICE, 0, OLIO_REASON_MMIO_BOUNCE);
	assert_int_equal(olio_dev_set_granule(dev, OLIO_GRANULE_REFUSE), 0);
	refused(&run, OLIO_FROM_DEVICE, 0, OLIO_REASON_GRANULE);
	/* Nothing is exposed to a device that is not trusted. */
	assert_int_equal(olio_dev_set_granule(dev, OLIO_GRANULE_EXPOSE), -EINVAL);
	assert_int_equal(olio_dev_set_granule(dev, 3), -EINVAL);
	oli_mem_put(mem);
	leave();
}

/* Runs that are no memory of ours, in all the ways that somebody could make one up. */
static void bad_runs(void **s)
{
	struct olio_mem *mem, *acc;
	struct olio_run run, r;
	u8 *p;

	(void)s;
	enter("pc", "dma0");
	p = lab_pages(8192);
	mem = lab_pin(m, p, 4096);
	acc = bar("acc0", 2, 0, 4096);
	run = first(mem);
#define CHANGED(member, value) (r = run, r.member = (value), &r)
	refused(CHANGED(len, 0), 1, 0, OLIO_REASON_BAD_RUN);
	refused(CHANGED(kind, OLIO_MEM_PRIVATE), 1, 0, OLIO_REASON_BAD_RUN);
	refused(CHANGED(kind, OLIO_MEM_SHARED), 1, 0, OLIO_REASON_BAD_RUN);
	refused(CHANGED(kind, OLIO_MEM_MMIO), 1, 0, OLIO_REASON_BAD_RUN);
	refused(CHANGED(kind, 4), 1, 0, OLIO_REASON_BAD_RUN);
	refused(CHANGED(kind, UINT32_MAX), 1, 0, OLIO_REASON_BAD_RUN);
	refused(CHANGED(len, 4097), 1, 0, OLIO_REASON_BAD_RUN);
	refused(CHANGED(len, 1ull << 40), 1, 0, OLIO_REASON_BAD_RUN);
	refused(CHANGED(len, UINT64_MAX), 1, 0, OLIO_REASON_OVERFLOW);
	refused(CHANGED(pa.v, 0), 1, 0, OLIO_REASON_BAD_RUN);
	refused(CHANGED(pa.v, OLI_PA_LOW), 1, 0, OLIO_REASON_BAD_RUN);
	refused(CHANGED(pa.v, OLI_PA_FILE), 1, 0, OLIO_REASON_BAD_RUN);
	refused(CHANGED(pa.v, UINT64_MAX - 4095), 1, 0, OLIO_REASON_BAD_RUN);
	refused(CHANGED(pa.v, UINT64_MAX - 4094), 1, 0, OLIO_REASON_OVERFLOW);
	refused(CHANGED(pa, first(acc).pa), 1, 0, OLIO_REASON_BAD_RUN);
	refused(&run, 0, 0, OLIO_REASON_BAD_DIRECTION);
	refused(&run, 4, 0, OLIO_REASON_BAD_DIRECTION);
	refused(&run, -1, 0, OLIO_REASON_BAD_DIRECTION);
	run = first(acc);
	refused(CHANGED(provider, 0), 1, 0, OLIO_REASON_BAD_RUN);
	refused(CHANGED(provider, UINT32_MAX), 1, 0, OLIO_REASON_BAD_RUN);
	refused(CHANGED(len, (1 << 20) + 1), 1, 0, OLIO_REASON_BAD_RUN);
	refused(CHANGED(kind, OLIO_MEM_RAM), 1, 0, OLIO_REASON_BAD_RUN);
	oli_mem_put(acc);
	/* Memory that was given back, and memory that is not to be written. */
	run = first(mem);
	oli_mem_put(mem);
	refused(&run, 1, 0, OLIO_REASON_BAD_RUN);
	assert_int_equal(oli_mem_pin(m, p, 4096, OLIO_PIN_READ_ONLY, &mem), 0);
	run = first(mem);
	refused(&run, OLIO_FROM_DEVICE, 0, OLIO_REASON_READ_ONLY);
	refused(&run, OLIO_BIDIRECTIONAL, 0, OLIO_REASON_READ_ONLY);
	works(&run, OLIO_TO_DEVICE, 0);
	oli_mem_put(mem);
	leave();
}

static void segment_limits(void **s)
{
	struct oli_desc d = lab_desc("pc");
	struct olio_mem *mem;
	struct olio_iova dma;
	struct olio_run run;

	(void)s;
	d.linear = 1;
	enter_desc(d, "dma0");
	mem = lab_pin(m, lab_pages(65536), 65536);
	run = first(mem);
	assert_int_equal(run.len, 65536);
	assert_int_equal(olio_dev_set_segments(dev, 8192, 0), 0);
	refused(&run, 1, 0, OLIO_REASON_SEGMENTS);
	run.len = 8193;
	refused(&run, 1, 0, OLIO_REASON_SEGMENTS);
	run.len = 8192;
	works(&run, 1, 0);
	/* A boundary can be kept clear of as long as the offset in the granule lets it. */
	assert_int_equal(olio_dev_set_segments(dev, 0, 16384), 0);
	run.len = 16384;
	for (int i = 0; i < 4; i++) {
		run.pa.v += 4096;
		assert_int_equal(olio_dma_map(dev, &run, 1, 0, &dma), 0);
		assert_int_equal(dma.v >> 14, (dma.v + run.len - 1) >> 14);
		assert_int_equal(olio_dma_unmap(dev, dma, run.len, 1, 0), 0);
	}
	run.pa.v += 1;
	refused(&run, 1, 0, OLIO_REASON_SEGMENTS);
	run.len--;
	works(&run, 1, 0);
	assert_int_equal(olio_dev_set_segments(dev, 0, 12288), -EINVAL);
	assert_int_equal(olio_dev_set_segments(dev, 1, 0), -EINVAL);
	oli_mem_put(mem);
	leave();
	/* Without an IOMMU an address is what it is. */
	d = lab_desc("no-iommu");
	d.linear = 1;
	enter_desc(d, "dma0");
	mem = lab_pin(m, lab_pages(65536), 65536);
	run = first(mem);
	assert_int_equal(olio_dev_set_segments(dev, 0, 16384), 0);
	run.len = 8192;
	run.pa.v = (run.pa.v | 16383) + 1 - 4096;
	refused(&run, 1, 0, OLIO_REASON_SEGMENTS);
	run.len = 4096;
	works(&run, 1, 0);
	oli_mem_put(mem);
	leave();
	/* Nor does a copy make it shorter. */
	d = lab_desc("no-iommu");
	d.linear = 1;
	enter_desc(d, "dma32");
	mem = lab_pin(m, lab_pages(8192), 8192);
	run = first(mem);
	assert_int_equal(run.len, 8192);
	assert_int_equal(olio_dev_set_segments(dev, 4096, 0), 0);
	refused(&run, 1, 0, OLIO_REASON_SEGMENTS);
	run.len = 4096;
	works(&run, 1, 0);
	oli_mem_put(mem);
	leave();
}

/* A run that begins below the mask and ends beyond it. */
static void across_the_mask(void **s)
{
	struct oli_desc d = lab_desc("no-iommu");
	struct olio_mem *mem;
	struct olio_iova dma;
	struct olio_run run;

	(void)s;
	d.linear = 1;
	d.dma_offset = (1ull << 40) - OLI_PA_RAM - 8192;
	enter_desc(d, "dma0");
	mem = lab_pin(m, lab_pages(16384), 16384);
	run = first(mem);
	assert_int_equal(run.pa.v, OLI_PA_RAM);
	assert_int_equal(run.len, 16384);
	assert_int_equal(olio_dev_set_mask(dev, 40), 0);
	refused(&run, 3, REQUIRE, OLIO_REASON_MASK);
	assert_int_equal(olio_dma_map(dev, &run, 3, 0, &dma), 0);
	assert_true(dma.v + run.len <= 1ull << 40);
	assert_int_equal(olio_dma_unmap(dev, dma, run.len, 3, 0), 0);
	run.len = 8192;
	works(&run, 3, REQUIRE);
	oli_mem_put(mem);
	leave();
	/* Software has a mask, too, and no copies. */
	enter("pc", "soft0");
	mem = lab_pin(m, lab_pages(4096), 4096);
	run = first(mem);
	works(&run, 3, 0);
	assert_int_equal(olio_dev_set_mask(dev, 38), 0);
	refused(&run, 3, 0, OLIO_REASON_MASK);
	oli_mem_put(mem);
	leave();
}

/* Until nothing is left, and again when it is given back. */
static void resources(void **s)
{
	struct olio_iova dma[300];
	struct olio_mem *mem;
	struct olio_run run;
	struct oli_desc d;
	u32 n;

	(void)s;
	enter("pc", "dma0");
	mem = lab_pin(m, lab_pages(4096), 4096);
	run = first(mem);
	assert_int_equal(olio_dev_set_mask(dev, 20), 0);
	for (n = 0; n < 300 && !olio_dma_map(dev, &run, 1, 0, &dma[n]); n++)
		assert_true(dma[n].v + 4095 < 1 << 20);
	/* Page 0 is no IOVA. */
	assert_int_equal(n, 255);
	refused(&run, 1, 0, OLIO_REASON_IOVA_FULL);
	while (n--)
		assert_int_equal(olio_dma_unmap(dev, dma[n], run.len, 1, 0), 0);
	works(&run, 1, 0);
	assert_int_equal(olio_dev_set_mask(dev, 11), -EINVAL);
	assert_int_equal(olio_dev_set_mask(dev, 65), -EINVAL);
	oli_mem_put(mem);
	leave();

	d = lab_desc("no-iommu");
	d.linear = 1;
	d.bounce_slots = 256;
	enter_desc(d, "dma32");
	mem = lab_pin(m, lab_pages(512 << 10), 512 << 10);
	run = first(mem);
	run.len = olio_dma_max_mapping_size(dev);
	assert_int_equal(run.len, 256 << 10);
	works(&run, 3, 0);
	run.len++;
	refused(&run, 3, 0, OLIO_REASON_BOUNCE_TOO_LONG);
	run.len = 4096;
	for (n = 0; n < 300 && !olio_dma_map(dev, &run, 1, 0, &dma[n]); n++)
		;
	assert_int_equal(n, 128);
	refused(&run, 1, 0, OLIO_REASON_BOUNCE_FULL);
	while (n--)
		assert_int_equal(olio_dma_unmap(dev, dma[n], run.len, 1, 0), 0);
	works(&run, 1, 0);
	oli_mem_put(mem);
	leave();
}

/* @dma is mapped for @len bytes: what is not exactly that is not unmapped, and it works on. */
static void bad_unmaps_of(struct olio_iova dma, u64 len, bool exact)
{
	struct lab_left before = lab_left(m, dev);
	u64 granule = olio_dma_granule(dev);
	u8 byte;

#define NOT(...) assert_true(olio_dma_unmap(dev, __VA_ARGS__) < 0)
	NOT(dma, 0, 3, 0);
	NOT(dma, len, 0, 0);
	NOT(dma, len, 4, 0);
	NOT(dma, len, 3, 1 << 5);
	assert_int_equal(olio_dma_unmap(dev, dma, UINT64_MAX, 3, 0), -EINVAL);
	assert_int_equal(olio_dma_unmap(dev, (struct olio_iova){0}, 0, 3, 0), -EINVAL);
	NOT((struct olio_iova){OLI_PA_FILE + m->shm->desc.dma_offset}, 4096, 3, 0);
	NOT((struct olio_iova){UINT64_MAX}, len, 3, 0);
	NOT((struct olio_iova){0}, len, 3, 0);
	NOT((struct olio_iova){dma.v + (1ull << 40)}, len, 3, 0);
	if (dev->reach == OLI_REACH_TRANSLATED) {
		NOT(dma, len + granule, 3, 0);
		NOT((struct olio_iova){dma.v + granule}, len, 3, 0);
		NOT((struct olio_iova){dma.v - granule}, len, 3, 0);
		if (len > granule)
			NOT(dma, len - granule, 3, 0);
	}
	if (exact) {
		NOT(dma, len - 1, 3, 0);
		NOT(dma, len + 1, 3, 0);
		NOT((struct olio_iova){dma.v + 1}, len - 1, 3, 0);
	}
	nothing_left(&before);
	assert_int_equal(olio_dev_read(dev, dma, &byte, 1), 0);
	assert_int_equal(olio_dev_read(dev, (struct olio_iova){dma.v + len - 1}, &byte, 1), 0);
}

static void bad_unmaps(void **s)
{
	static const struct {
		const char *type, *device;
		bool untrusted, exact;
	} t[] = {
		{"pc", "dma0", false, false},	      {"lazy-amd", "dma0", false, false},
		{"pc", "dma0", true, true},	      {"hostile", "dma0", false, true},
		{"arm-noncoherent", "dma0", false, false}, {"no-iommu", "dma32", false, true},
		{"no-iommu", "dma0", false, false},   {"cc-guest", "dma0", false, true},
	};

	(void)s;
	for (size_t i = 0; i < OLI_ARRAY_SIZE(t); i++) {
		struct oli_desc d = lab_desc(t[i].type);
		struct lab_left before;
		struct olio_mem *mem;
		struct olio_iova dma;
		struct olio_run run;

		d.linear = 1;
		if (t[i].untrusted)
			d.node[oli_node_find(&d, t[i].device)].trusted = 0;
		enter_desc(d, t[i].device);
		mem = lab_pin(m, lab_pages(65536), 65536);
		run = first(mem);
		run.pa.v += 100;
		run.len = 9000;
		before = lab_left(m, dev);
		assert_int_equal(olio_dma_map(dev, &run, 3, 0, &dma), 0);
		bad_unmaps_of(dma, run.len, t[i].exact);
		assert_int_equal(olio_dma_unmap(dev, dma, run.len, 3, 0), 0);
		nothing_left(&before);
		if (dev->reach == OLI_REACH_TRANSLATED || t[i].exact)
			assert_int_equal(olio_dma_unmap(dev, dma, run.len, 3, 0), -ENOENT);
		oli_mem_put(mem);
		leave();
	}
}

/* A direction is what the device may do. */
static void directions(void **s)
{
	struct olio_mem *mem;
	struct olio_iova dma;
	struct olio_run run;
	u8 byte = 1;

	(void)s;
	enter("pc", "dma0");
	mem = lab_pin(m, lab_pages(4096), 4096);
	run = first(mem);
	for (int dir = 1; dir <= 3; dir++) {
		assert_int_equal(olio_dma_map(dev, &run, dir, 0, &dma), 0);
		assert_int_equal(olio_dev_read(dev, dma, &byte, 1),
				 dir & OLIO_TO_DEVICE ? 0 : -EFAULT);
		assert_int_equal(olio_dev_write(dev, dma, &byte, 1),
				 dir & OLIO_FROM_DEVICE ? 0 : -EFAULT);
		assert_int_equal(olio_dma_unmap(dev, dma, run.len, dir, 0), 0);
		assert_int_equal(olio_dev_read(dev, dma, &byte, 1), -EFAULT);
	}
	oli_mem_put(mem);
	leave();
}

/* What a device sees beside a buffer: its neighbours if it is trusted, else zeroes (B3). */
static void neighbours(void **s)
{
	u8 *p, got[8192], want[8192];

	(void)s;
	for (int trusted = 0; trusted < 2; trusted++) {
		struct oli_desc d = lab_desc("pc");
		struct olio_mem *mem;
		struct olio_iova dma;
		struct olio_run run;

		d.linear = 1;
		d.node[oli_node_find(&d, "dma0")].trusted = (u8)trusted;
		enter_desc(d, "dma0");
		p = lab_pages(8192);
		memset(p, 0xaa, 8192);
		memset(p + 100, 0x55, 8000);
		mem = lab_pin(m, p, 8192);
		run = first(mem);
		run.pa.v += 100;
		run.len = 8000;
		assert_int_equal(olio_dma_map(dev, &run, OLIO_TO_DEVICE, 0, &dma), 0);
		assert_int_equal(
			olio_dev_read(dev, (struct olio_iova){dma.v - 100}, got, sizeof(got)), 0);
		memset(want, trusted ? 0xaa : 0, sizeof(want));
		memset(want + 100, 0x55, 8000);
		assert_memory_equal(got, want, sizeof(got));
		assert_int_equal(olio_dma_unmap(dev, dma, run.len, OLIO_TO_DEVICE, 0), 0);
		oli_mem_put(mem);
		leave();
	}
}

/* No two of a pointer, a physical address and a DMA address are one number, but where said. */
static void addresses(void **s)
{
	static const struct {
		const char *type, *device;
	} t[] = {{"pc", "dma0"}, {"lazy-amd", "dma0"}, {"no-iommu", "dma0"}, {"pc", "soft0"}};
	struct olio_mem *mem;
	struct olio_iova dma;
	struct olio_run run;
	u8 *p, byte = 0;

	(void)s;
	for (size_t i = 0; i < OLI_ARRAY_SIZE(t); i++) {
		enter(t[i].type, t[i].device);
		p = lab_pages(4096);
		p[5] = 77;
		mem = lab_pin(m, p, 4096);
		run = first(mem);
		assert_int_equal(olio_dma_map(dev, &run, 3, 0, &dma), 0);
		if (i == 2)
			assert_int_equal(dma.v, run.pa.v + m->shm->desc.dma_offset);
		if (i == 3)
			assert_int_equal(dma.v, run.pa.v);
		else
			assert_int_equal(olio_dev_read(dev, (struct olio_iova){run.pa.v + 5}, &byte, 1),
					 -EFAULT);
		assert_int_equal(olio_dev_read(dev, (struct olio_iova){(u64)(uintptr_t)p}, &byte, 1),
				 -EFAULT);
		assert_int_equal(olio_dev_read(dev, (struct olio_iova){dma.v + 5}, &byte, 1), 0);
		assert_int_equal(byte, 77);
		assert_int_equal(olio_dma_unmap(dev, dma, run.len, 3, 0), 0);
		oli_mem_put(mem);
		leave();
	}
	/* A peer's BAR, by its bus address: nothing is mapped for it. */
	enter("p2p-switch", "dma0");
	mem = bar("acc0", 2, 4096, 100);
	*(u8 *)olio_mem_cpu(mem, 99) = 78;
	run = first(mem);
	assert_int_equal(olio_dma_map(dev, &run, 3, 0, &dma), 0);
	assert_int_equal(dma.v, run.pa.v - m->shm->desc.bus_offset);
	assert_int_equal(lab_left(m, dev).iovas, 0);
	assert_int_equal(olio_dev_read(dev, (struct olio_iova){dma.v + 99}, &byte, 1), 0);
	assert_int_equal(byte, 78);
	assert_int_equal(olio_dma_sync_for_cpu(dev, dma, run.len, 3), 0);
	assert_int_equal(olio_dma_unmap(dev, dma, run.len, 3, 0), 0);
	oli_mem_put(mem);
	leave();
}

/* Without the sync the device sees what was, and so does the CPU. */
static void stale_bytes(void **s)
{
	struct olio_mem *mem;
	struct olio_iova dma;
	struct olio_run run;
	u8 *p, byte;

	(void)s;
	enter("arm-noncoherent", "dma0");
	p = lab_pages(4096);
	*p = 1;
	mem = lab_pin(m, p, 4096);
	run = first(mem);
	assert_int_equal(olio_dma_map(dev, &run, 3, 0, &dma), 0);
	*p = 2;
	assert_int_equal(olio_dev_read(dev, dma, &byte, 1), 0);
	assert_int_equal(byte, 1);
	assert_int_equal(olio_dma_sync_for_device(dev, dma, 1, 3), 0);
	assert_int_equal(olio_dev_read(dev, dma, &byte, 1), 0);
	assert_int_equal(byte, 2);
	byte = 3;
	assert_int_equal(olio_dev_write(dev, dma, &byte, 1), 0);
	assert_int_equal(*p, 2);
	assert_int_equal(olio_dma_sync_for_cpu(dev, dma, 1, OLIO_TO_DEVICE), 0);
	assert_int_equal(*p, 2);
	assert_int_equal(olio_dma_sync_for_cpu(dev, dma, 1, 3), 0);
	assert_int_equal(*p, 3);
	/* Who skips the syncs of the map makes them himself. */
	byte = 4;
	assert_int_equal(olio_dev_write(dev, dma, &byte, 1), 0);
	assert_int_equal(olio_dma_unmap(dev, dma, run.len, 3, OLIO_ATTR_SKIP_CPU_SYNC), 0);
	assert_int_equal(*p, 3);
	*p = 9;
	assert_int_equal(olio_dma_map(dev, &run, 3, OLIO_ATTR_SKIP_CPU_SYNC, &dma), 0);
	assert_int_equal(olio_dev_read(dev, dma, &byte, 1), 0);
	assert_int_equal(byte, 4);
	assert_int_equal(olio_dma_sync_for_device(dev, dma, 4096, 3), 0);
	assert_int_equal(olio_dev_read(dev, dma, &byte, 1), 0);
	assert_int_equal(byte, 9);
	/* All of it or nothing. */
	byte = 5;
	assert_int_equal(olio_dev_write(dev, dma, &byte, 1), 0);
	assert_int_equal(olio_dma_sync_for_cpu(dev, dma, 4097, 3), -ENOENT);
	assert_int_equal(*p, 9);
	assert_int_equal(olio_dma_sync_for_cpu(dev, dma, 0, 3), -EINVAL);
	assert_int_equal(olio_dma_sync_for_cpu(dev, dma, 1, 0), -EINVAL);
	assert_int_equal(olio_dma_unmap(dev, dma, run.len, 3, 0), 0);
	oli_mem_put(mem);
	leave();
}

/* Where absence is remembered, each map ends with a sync. */
static void syncs_of_maps(void **s)
{
	static const u64 lens[] = {4096, 9000};
	struct oli_desc d = lab_desc("hostile");
	struct oli_domain_stats before, now;
	struct olio_mem *mem;
	struct olio_iova dma, again;
	struct olio_run run;
	u8 buf[9000];

	(void)s;
	d.linear = 1;
	enter_desc(d, "hca0");
	mem = lab_pin(m, lab_pages(65536), 65536);
	run = first(mem);
	for (size_t i = 0; i < OLI_ARRAY_SIZE(lens); i++) {
		run.len = lens[i];
		oli_domain_stats(dev->domain, &before);
		assert_int_equal(olio_dma_map(dev, &run, 3, 0, &dma), 0);
		oli_domain_stats(dev->domain, &now);
		assert_int_equal(now.syncs - before.syncs, 1);
		assert_int_equal(olio_dma_unmap(dev, dma, run.len, 3, 0), 0);
		for (u64 at = 0; at < run.len; at += 4096)
			assert_int_equal(olio_dev_read(dev, (struct olio_iova){dma.v + at}, buf, 1),
					 -EFAULT);
		assert_int_equal(olio_dma_map(dev, &run, 3, 0, &again), 0);
		assert_int_equal(again.v, dma.v);
		assert_int_equal(olio_dev_read(dev, dma, buf, run.len), 0);
		assert_int_equal(olio_dma_unmap(dev, dma, run.len, 3, 0), 0);
	}
	oli_mem_put(mem);
	leave();
}

/* In the lazy window a device may hit what was unmapped, but never a slot that is free again. */
static void no_window_for_copies(void **s)
{
	struct oli_desc d = lab_desc("lazy-amd");
	struct olio_mem *mem;
	struct olio_map *map;
	struct olio_iova dma;
	struct olio_run run;
	u8 byte;

	(void)s;
	d.node[oli_node_find(&d, "dma0")].trusted = 0;
	enter_desc(d, "dma0");
	mem = lab_pin(m, lab_pages(4096), 4096);
	run = first(mem);
	for (int partial = 0; partial < 2; partial++) {
		run.len = partial ? 1000 : 4096;
		assert_int_equal(olio_dma_map(dev, &run, 3, 0, &dma), 0);
		assert_int_equal(olio_dev_read(dev, dma, &byte, 1), 0);
		assert_int_equal(olio_dma_unmap(dev, dma, run.len, 3, 0), 0);
		assert_int_equal(olio_dev_read(dev, dma, &byte, 1), partial ? -EFAULT : 0);
		assert_int_equal(olio_map_list(dev, &run, 1, 3, 0, &map), 0);
		dma = olio_map_segs(map, &(size_t){0})->dma;
		assert_int_equal(olio_dev_read(dev, dma, &byte, 1), 0);
		olio_map_unmap(map);
		assert_int_equal(olio_dev_read(dev, dma, &byte, 1), partial ? -EFAULT : 0);
	}
	oli_mem_put(mem);
	leave();
}

/* A sync copies in the direction that it says, and in no other. */
static void directions_of_syncs(void **s)
{
	struct oli_desc d = lab_desc("pc");
	struct olio_mem *mem;
	struct olio_iova dma;
	struct olio_run run;
	u8 *p, byte;

	(void)s;
	d.node[oli_node_find(&d, "dma0")].trusted = 0;
	enter_desc(d, "dma0");
	p = lab_pages(4096);
	*p = 1;
	mem = lab_pin(m, p, 1000);
	run = first(mem);
	assert_int_equal(olio_dma_map(dev, &run, 3, 0, &dma), 0);
	assert_int_equal(olio_dev_write(dev, dma, "\x02", 1), 0);
	assert_int_equal(olio_dma_sync_for_cpu(dev, dma, 1, OLIO_TO_DEVICE), 0);
	assert_int_equal(*p, 1);
	assert_int_equal(olio_dma_sync_for_device(dev, dma, 1, OLIO_FROM_DEVICE), 0);
	assert_int_equal(olio_dev_read(dev, dma, &byte, 1), 0);
	assert_int_equal(byte, 2);
	assert_int_equal(olio_dma_sync_for_cpu(dev, dma, 1, OLIO_FROM_DEVICE), 0);
	assert_int_equal(*p, 2);
	*p = 3;
	assert_int_equal(olio_dma_sync_for_device(dev, dma, 1, OLIO_TO_DEVICE), 0);
	assert_int_equal(olio_dev_read(dev, dma, &byte, 1), 0);
	assert_int_equal(byte, 3);
	assert_int_equal(olio_dma_unmap(dev, dma, run.len, 3, 0), 0);
	oli_mem_put(mem);
	leave();
	/* A peer's bus address must fit the mask as any other. */
	enter("p2p-switch", "dma0");
	mem = bar("acc0", 2, 0, 4096);
	run = first(mem);
	works(&run, 1, 0);
	assert_int_equal(olio_dev_set_mask(dev, 24), 0);
	refused(&run, 1, 0, OLIO_REASON_MASK);
	oli_mem_put(mem);
	leave();
}

/* A call that fails has not moved ownership: what the device wrote elsewhere stays. */
static void refused_links_clean_nothing(void **s)
{
	struct olio_iova_state state;
	struct olio_mem *mem;
	struct olio_run run;
	u8 *p;

	(void)s;
	enter("arm-noncoherent", "dma0");
	p = lab_pages(4096);
	mem = lab_pin(m, p, 4096);
	run = first(mem);
	assert_int_equal(olio_iova_alloc(dev, &state, run.pa, 4096), 0);
	assert_int_equal(olio_iova_link(&state, &run, 0, 3, 0), 0);
	assert_int_equal(olio_iova_sync(&state, 0, 4096), 0);
	assert_int_equal(olio_dev_write(dev, olio_iova_start(&state), "\x07", 1), 0);
	assert_int_equal(olio_iova_link(&state, &run, 0, 3, 0), -EBUSY);
	assert_int_equal(olio_iova_destroy(&state, 4096, 3, 0), 0);
	assert_int_equal(*p, 7);
	oli_mem_put(mem);
	leave();
}

/* Frames of another process, in use as they are. */
static void foreign_frames(void **s)
{
	struct olio_run run;
	int up[2], down[2];
	char byte = 0;
	pid_t child;

	(void)s;
	lab_needs_fork();
	enter("pc", "dma0");
	assert_int_equal(pipe(up) | pipe(down), 0);
	child = fork();
	if (!child) {
		struct oli_machine *mine;
		struct olio_mem *mem;

		oli_machine_forget(m);
		mine = lab_attach();
		if (oli_mem_pin(mine, lab_pages(4096), 4096, 0, &mem))
			_exit(1);
		run = first(mem);
		if (write(up[1], &run, sizeof(run)) != sizeof(run))
			_exit(2);
		(void)!read(down[0], &byte, 1);
		_exit(0);
	}
	assert_int_equal(read(up[0], &run, sizeof(run)), sizeof(run));
	refused(&run, OLIO_TO_DEVICE, 0, OLIO_REASON_BAD_RUN);
	assert_int_equal(write(down[1], &byte, 1), 1);
	assert_int_equal(waitpid(child, NULL, 0), child);
	close(up[0]);
	close(up[1]);
	close(down[0]);
	close(down[1]);
	leave();
}

/* Handles: counted, closed, opened again; and what was forgotten goes with them. */
static void handles(void **s)
{
	struct oli_desc d = lab_desc("pc");
	struct olio_iova_state state;
	struct oli_bounce_stats b;
	struct olio_mem *mem;
	struct olio_dev *two;
	struct olio_map *map;
	struct olio_iova dma;
	struct olio_run run;
	u8 byte = 0;
	size_t n;

	(void)s;
	d.node[oli_node_find(&d, "dma0")].trusted = 0;
	enter_desc(d, "dma0");
	assert_int_equal(oli_dev_open(m, "rp0", &two), -ENOENT);
	assert_int_equal(oli_dev_open(m, "pci0", &two), -ENOENT);
	assert_int_equal(oli_dev_open(m, "nobody", &two), -ENOENT);
	oli_slot(m, m->slot)->flags |= OLI_SLOT_F_OBSERVER;
	assert_int_equal(oli_dev_open(m, "dma0", &two), -EINVAL);
	assert_int_equal(olio_why()->reason, OLIO_REASON_BAD_STATE);
	oli_slot(m, m->slot)->flags &= ~OLI_SLOT_F_OBSERVER;
	assert_int_equal(oli_dev_open(m, "dma0", &two), 0);
	assert_ptr_equal(two, dev);
	assert_string_equal(olio_dev_name(dev), "dma0");
	mem = lab_pin(m, lab_pages(8192), 8192);
	run = first(mem);
	run.pa.v += 10;
	run.len = 1000;
	assert_int_equal(olio_dma_map(dev, &run, 3, 0, &dma), 0);
	assert_int_equal(olio_map_list(dev, &run, 1, 3, 0, &map), 0);
	assert_int_equal(olio_iova_alloc(dev, &state, run.pa, run.len), 0);
	assert_int_equal(olio_iova_link(&state, &run, 0, 3, 0), 0);
	olio_dev_close(two);
	assert_int_equal(olio_dev_read(dev, dma, &byte, 1), 0);
	olio_dev_close(dev);
	/* Closed: no call does anything, and none crashes. */
	oli_bounce_stats(m, &b);
	assert_int_equal(b.used, 0);
	assert_int_equal(olio_dev_read(dev, dma, &byte, 1), -EINVAL);
	assert_int_equal(olio_dma_map(dev, &run, 3, 0, &dma), -EINVAL);
	assert_int_equal(olio_dma_unmap(dev, dma, run.len, 3, 0), -EINVAL);
	assert_int_equal(olio_dma_sync_for_cpu(dev, dma, run.len, 3), -EINVAL);
	assert_int_equal(olio_iova_destroy(&state, run.len, 3, 0), -EINVAL);
	assert_int_equal(olio_dev_set_mask(dev, 32), -EINVAL);
	assert_int_equal(olio_map_sync_for_cpu(map, 0, 1, 3), -EINVAL);
	assert_non_null(olio_map_segs(map, &n));
	olio_map_unmap(map);
	/* Opened again it is empty, and what is older than that is still dead. */
	assert_int_equal(oli_dev_open(m, "dma0", &dev), 0);
	assert_int_equal(lab_left(m, dev).iovas, 0);
	assert_int_equal(lab_left(m, dev).copies, 0);
	assert_int_equal(olio_iova_link(&state, &run, 0, 3, 0), -EINVAL);
	assert_int_equal(olio_dma_unmap(dev, dma, run.len, 3, 0), -ENOENT);
	works(&run, 3, 0);
	oli_mem_put(mem);
	leave();
	olio_dev_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refusals_of_kinds), cmocka_unit_test(refusal_of_private),
		cmocka_unit_test(refusals_of_bars),  cmocka_unit_test(granules_of_bars),
		cmocka_unit_test(bad_runs),	     cmocka_unit_test(segment_limits),
		cmocka_unit_test(across_the_mask),
		cmocka_unit_test(resources),	     cmocka_unit_test(bad_unmaps),
		cmocka_unit_test(directions),	     cmocka_unit_test(neighbours),
		cmocka_unit_test(addresses),	     cmocka_unit_test(stale_bytes),
		cmocka_unit_test(handles),	     cmocka_unit_test(syncs_of_maps),
		cmocka_unit_test(foreign_frames),    cmocka_unit_test(no_window_for_copies),
		cmocka_unit_test(directions_of_syncs),
		cmocka_unit_test(refused_links_clean_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
