// SPDX-License-Identifier: MIT
/*
 * Lists: how few segments a list becomes, by a model that only knows where runs meet; lists
 * of every kind of memory; and what happens when there is room for parts of one only.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "iommu/part.h"
#include "lab.h"

static struct oli_machine *m;
static struct olio_dev *dev;

static void enter_desc(struct oli_desc d, const char *device)
{
	m = lab_open(&d);
	dev = lab_dev(m, device);
}

static void leave(void)
{
	struct lab_left now = lab_left(m, dev);

	assert_int_equal(now.bounces, 0);
	assert_int_equal(now.copies, 0);
	assert_int_equal(now.iovas, 0);
	olio_dev_close(dev);
	rig_close(m);
}

#define PAGES 64

/* Scattered pages become one segment, with as many entries as pages. */
static void one_segment(void **s)
{
	const struct olio_seg *segs;
	struct oli_domain_stats before, now;
	struct olio_mem *mem;
	struct olio_map *map;
	u8 *p, got[3 * 4096];
	size_t n;

	(void)s;
	enter_desc(lab_desc("pc"), "dma0");
	p = lab_pages(PAGES * 4096);
	rig_fill(p, PAGES * 4096, 1);
	mem = lab_pin(m, p + 100, PAGES * 4096 - 300);
	oli_domain_stats(dev->domain, &before);
	const struct olio_run *runs = olio_mem_runs(mem, &n);

	assert_true(n > PAGES / 2);
	assert_int_equal(olio_map_list(dev, runs, n, 3, 0, &map), 0);
	segs = olio_map_segs(map, &n);
	assert_int_equal(n, 1);
	assert_int_equal(segs[0].len, PAGES * 4096 - 300);
	assert_int_equal(segs[0].dma.v % 4096, 100);
	oli_domain_stats(dev->domain, &now);
	assert_int_equal(now.syncs - before.syncs, 1);
	assert_int_equal(olio_dev_read(dev, (struct olio_iova){segs[0].dma.v + 7777}, got, sizeof(got)),
			 0);
	assert_memory_equal(got, p + 100 + 7777, sizeof(got));
	olio_map_unmap(map);
	oli_domain_stats(dev->domain, &now);
	assert_int_equal(now.flushes - before.flushes, 1);
	oli_mem_put(mem);
	olio_map_unmap(NULL);
	leave();
}

/* How many segments must there be? Runs meet on granules, or by being neighbours anyway. */
static size_t model_segments(const struct olio_run *r, size_t n, bool translated)
{
	size_t count = 1;

	for (size_t i = 1; i < n; i++) {
		bool granules = !((r[i - 1].pa.v + r[i - 1].len) % 4096) && !(r[i].pa.v % 4096);
		bool neighbours = r[i - 1].pa.v + r[i - 1].len == r[i].pa.v;

		count += translated ? !granules : !neighbours;
	}
	return count;
}

static void fewest_segments(void **s)
{
	static const struct {
		const char *type, *device;
	} worlds[] = {{"pc", "dma0"}, {"no-iommu", "dma0"}, {"pc", "soft0"}};
	struct olio_run runs[12], all;
	struct olio_mem *mem;
	struct olio_map *map;
	u8 *p, got[4096];

	(void)s;
	for (size_t w = 0; w < OLI_ARRAY_SIZE(worlds); w++) {
		struct oli_desc d = lab_desc(worlds[w].type);

		d.linear = 1;
		enter_desc(d, worlds[w].device);
		p = lab_pages(PAGES * 4096);
		rig_fill(p, PAGES * 4096, 2);
		mem = lab_pin(m, p, PAGES * 4096);
		all = olio_mem_runs(mem, &(size_t){0})[0];
		rig_seed(w);
		for (int i = 0; i < 2000; i++) {
			size_t n = 1 + rig_rand(12), k, segs_n;
			const struct olio_seg *segs;
			u64 at = 0, bytes = 0;

			for (k = 0; k < n; k++) {
				u64 off = rig_rand(3) ? rig_rand(PAGES) * 4096 : at;
				u64 len = (1 + rig_rand(3)) * 4096;

				off += rig_rand(5) ? 0 : rig_rand(4096);
				len -= rig_rand(5) ? 0 : rig_rand(4096);
				if (off + len > PAGES * 4096)
					off = 0;
				runs[k] = (struct olio_run){{all.pa.v + off}, len, all.kind, 0};
				at = off + len;
				bytes += len;
			}
			assert_int_equal(olio_map_list(dev, runs, n, 1, 0, &map), 0);
			segs = olio_map_segs(map, &segs_n);
			assert_int_equal(segs_n, model_segments(runs, n, w == 0));
			assert_int_equal(olio_map_len(map), bytes);
			/* The first bytes of each run are where the segments say. */
			for (k = 0, at = 0; k < n; at += runs[k++].len) {
				u64 skip = at;
				size_t g = 0;

				while (skip >= segs[g].len)
					skip -= segs[g++].len;
				assert_int_equal(olio_dev_read(dev,
							       (struct olio_iova){segs[g].dma.v + skip},
							       got, 16),
						 0);
				assert_memory_equal(got, p + (runs[k].pa.v - all.pa.v), 16);
			}
			olio_map_unmap(map);
		}
		oli_mem_put(mem);
		leave();
	}
}

/* Segments end where the device wants them to, and are no more than that takes. */
static void limits(void **s)
{
	const struct olio_seg *segs;
	struct olio_mem *mem;
	struct olio_map *map;
	struct olio_run run;
	size_t n;

	(void)s;
	enter_desc(lab_desc("pc"), "dma0");
	mem = lab_pin(m, lab_pages(PAGES * 4096), PAGES * 4096);
	const struct olio_run *runs = olio_mem_runs(mem, &n);
	size_t nruns = n;

	assert_int_equal(olio_dev_set_segments(dev, 10000, 0), 0);
	assert_int_equal(olio_map_list(dev, runs, nruns, 1, 0, &map), 0);
	segs = olio_map_segs(map, &n);
	assert_int_equal(n, (PAGES * 4096 + 9999) / 10000);
	for (size_t i = 0; i + 1 < n; i++)
		assert_int_equal(segs[i].len, 10000);
	olio_map_unmap(map);
	assert_int_equal(olio_dev_set_segments(dev, 0, 65536), 0);
	assert_int_equal(olio_map_list(dev, runs, nruns, 1, 0, &map), 0);
	segs = olio_map_segs(map, &n);
	assert_int_equal(n, PAGES * 4096 / 65536);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(segs[i].dma.v % 65536, 0);
	olio_map_unmap(map);
	run = runs[0];
	/* Nothing, and more than can be. */
	assert_int_equal(olio_map_list(dev, runs, 0, 1, 0, &map), -EINVAL);
	run.len = UINT64_MAX - run.pa.v + 1;
	assert_int_equal(olio_map_list(dev, &run, 1, 1, 0, &map), -EINVAL);
	assert_int_equal(lab_left(m, dev).iovas, 0);
	oli_mem_put(mem);
	leave();
}

/* One IOVA range if there is room for it; else in as large parts as there are. */
static void scarce_iovas(void **s)
{
	struct olio_iova dma[300];
	struct olio_mem *mem;
	struct olio_map *map;
	struct olio_run run;
	size_t n;
	u32 k;

	(void)s;
	enter_desc(lab_desc("pc"), "dma0");
	mem = lab_pin(m, lab_pages(PAGES * 4096), PAGES * 4096);
	run = olio_mem_runs(mem, &n)[0];
	run.len = 4096;
	assert_int_equal(olio_dev_set_mask(dev, 20), 0);
	for (k = 0; k < 300 && !olio_dma_map(dev, &run, 1, 0, &dma[k]); k++)
		;
	assert_int_equal(k, 255);
	/* Every other page of the space is free: no two together. */
	for (u32 i = 0; i < k; i++)
		if (dma[i].v >> 12 & 1)
			assert_int_equal(olio_dma_unmap(dev, dma[i], 4096, 1, 0), 0);
	assert_int_equal(olio_map_list(dev, olio_mem_runs(mem, &n), n, 1, 0, &map), 0);
	assert_true(n > 1);
	size_t nruns = n;

	olio_map_segs(map, &n);
	assert_int_equal(n, nruns);
	olio_map_unmap(map);
	/* Too few: nothing is taken. */
	for (u32 i = 0, left = 20; i < k; i++)
		if (dma[i].v >> 12 & 1 && left++ < 128)
			assert_int_equal(olio_dma_map(dev, &run, 1, 0, &dma[i]), 0);
		else
			dma[i].v |= dma[i].v >> 12 & 1;
	u64 before = lab_left(m, dev).iovas;

	assert_int_equal(olio_map_list(dev, olio_mem_runs(mem, &n), n, 1, 0, &map), -ENOSPC);
	assert_int_equal(olio_why()->reason, OLIO_REASON_IOVA_FULL);
	assert_int_equal(lab_left(m, dev).iovas, before);
	for (u32 i = 0; i < k; i++)
		if (!(dma[i].v & 1))
			assert_int_equal(olio_dma_unmap(dev, dma[i], 4096, 1, 0), 0);
	oli_mem_put(mem);
	leave();
}

/* ---- a hodgepodge ---- */

struct source {
	struct olio_mem *mem;
	u8 *cpu;
	u64 off, len;
};

static struct source source(struct olio_mem *mem, u64 off, u64 len)
{
	return (struct source){mem, olio_mem_cpu(mem, 0), off, len};
}

static u32 put_runs(const struct source *src, struct olio_run *runs, u32 n)
{
	size_t got;

	assert_int_equal(olio_mem_slice(src->mem, src->off, src->len, runs + n, 64 - n, &got), 0);
	return n + (u32)got;
}

/* Ordinary, file, huge if there are any, a BAR, private, open; unaligned; in any order. */
static void hodgepodge(void **s)
{
	static const struct {
		const char *type, *device;
		bool bar, untrusted;
	} worlds[] = {{"pc", "dma0", true, false},	  {"pc", "dma0", false, true},
		      {"p2p-switch", "dma0", true, false}, {"hostile", "dma0", false, false},
		      {"hostile", "hca0", false, false},  {"cc-guest", "dma0", false, false},
		      {"no-iommu", "dma32", false, false}, {"lazy-amd", "dma0", true, false},
		      {"arm-noncoherent", "dma0", false, false}};
	static u8 want[256 << 10], got[256 << 10];

	(void)s;
	for (size_t w = 0; w < OLI_ARRAY_SIZE(worlds); w++) {
		struct source src[5];
		struct olio_run runs[64];
		struct olio_map *map;
		struct olio_mem *mem;
		struct oli_desc d = lab_desc(worlds[w].type);
		u32 nsrc = 0, n;
		void *huge;
		int fd;

		d.node[oli_node_find(&d, worlds[w].device)].trusted &= !worlds[w].untrusted;
		enter_desc(d, worlds[w].device);
		src[nsrc++] = source(lab_pin(m, lab_pages(32768), 32768), 3000, 20001);
		fd = memfd_create("list", 0);
		assert_int_equal(ftruncate(fd, 65536), 0);
		assert_int_equal(oli_mem_from_fd(m, fd, 0, 65536, 0, &mem), 0);
		close(fd);
		src[nsrc++] = source(mem, 4096, 40960);
		if (worlds[w].bar) {
			assert_int_equal(oli_mem_from_bar(m, oli_node_find(&m->shm->desc, "acc0"), 2,
							  0, 65536, &mem),
					 0);
			src[nsrc++] = source(mem, 4096, 8192);
		}
		if (d.encrypted) {
			mem = lab_pin(m, lab_pages(16384), 16384);
			assert_int_equal(olio_mem_share(mem), 0);
			src[nsrc++] = source(mem, 0, 10000);
		}
		huge = mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
		if (huge != MAP_FAILED)
			src[nsrc++] = source(lab_pin(m, huge, 2 << 20), 4096, 65536);
		rig_seed(w);
		for (int round = 0; round < 30; round++) {
			u64 len = 0, at = 0;
			const struct olio_seg *segs;
			size_t nsegs;

			/* Another order each time. */
			for (u32 i = nsrc; i > 1; i--) {
				u32 k = rig_rand(i);
				struct source t = src[i - 1];

				src[i - 1] = src[k];
				src[k] = t;
			}
			for (u32 i = n = 0; i < nsrc; i++) {
				n = put_runs(&src[i], runs, n);
				rig_fill(src[i].cpu + src[i].off, src[i].len, rig_rand(256));
				memcpy(want + len, src[i].cpu + src[i].off, src[i].len);
				len += src[i].len;
			}
			if (olio_map_list(dev, runs, n, 3, 0, &map))
				fail_msg("%s: %s", worlds[w].type, olio_why()->text);
			assert_int_equal(olio_map_len(map), len);
			segs = olio_map_segs(map, &nsegs);
			for (size_t i = 0; i < nsegs; at += segs[i++].len)
				assert_int_equal(olio_dev_read(dev, segs[i].dma, got + at, segs[i].len),
						 0);
			assert_memory_equal(got, want, len);
			/* And the other way round. */
			rig_fill(want, len, rig_rand(256));
			for (size_t i = at = 0; i < nsegs; at += segs[i++].len)
				assert_int_equal(olio_dev_write(dev, segs[i].dma, want + at, segs[i].len),
						 0);
			at = rig_rand((u32)len);
			assert_int_equal(olio_map_sync_for_cpu(map, 0, len, 3), 0);
			for (u32 i = at = 0; i < nsrc; at += src[i++].len)
				assert_memory_equal(src[i].cpu + src[i].off, want + at, src[i].len);
			assert_int_equal(olio_map_sync_for_device(map, 0, len, 3), 0);
			olio_map_unmap(map);
			for (u32 i = at = 0; i < nsrc; at += src[i++].len)
				assert_memory_equal(src[i].cpu + src[i].off, want + at, src[i].len);
			/* The whole list, or nothing of it. */
			runs[n - 1].kind = OLIO_MEM_MMIO + 1;
			assert_int_equal(olio_map_list(dev, runs, n, 3, 0, &map), -EINVAL);
			assert_int_equal(lab_left(m, dev).iovas, 0);
		}
		for (u32 i = 0; i < nsrc; i++)
			oli_mem_put(src[i].mem);
		leave();
	}
}

/* More than one copy can hold goes as several. */
static void long_bounces(void **s)
{
	static const struct {
		const char *type, *device;
		size_t segments;
	} worlds[] = {{"no-iommu", "dma32", 0}, {"hostile", "dma0", 16}};
	struct olio_piece piece;
	struct olio_mem *mem;
	struct olio_map *map;
	size_t n, pos = 0;
	u8 *p;

	(void)s;
	for (size_t w = 0; w < OLI_ARRAY_SIZE(worlds); w++) {
		struct oli_desc d = lab_desc(worlds[w].type);

		d.linear = 1;
		d.bounce_slots = 1024;
		enter_desc(d, worlds[w].device);
		p = lab_pages(1 << 20);
		mem = lab_pin(m, p + 4096, (1 << 20) - 8192);
		const struct olio_run *runs = olio_mem_runs(mem, &n);

		if (olio_map_list(dev, runs, n, 3, 0, &map))
			fail_msg("%s", olio_why()->text);
		const struct olio_seg *segs = olio_map_segs(map, &n);

		if (worlds[w].segments)
			assert_int_equal(n, worlds[w].segments);
		assert_int_equal(olio_dev_write(dev, (struct olio_iova){segs[n - 1].dma.v +
									segs[n - 1].len - 4},
						"last", 4),
				 0);
		for (pos = 0; olio_map_next_piece(map, &pos, &piece);) {
			assert_int_equal(piece.how, OLIO_PIECE_BOUNCED);
			assert_true(piece.len <= 256 << 10);
		}
		olio_map_unmap(map);
		assert_memory_equal(p + (1 << 20) - 4096 - 4, "last", 4);
		oli_mem_put(mem);
		leave();
	}
}

static void bad_syncs(void **s)
{
	struct olio_mem *mem;
	struct olio_map *map;
	size_t n;

	(void)s;
	enter_desc(lab_desc("arm-noncoherent"), "dma0");
	mem = lab_pin(m, lab_pages(16384), 16384);
	const struct olio_run *runs = olio_mem_runs(mem, &n);

	assert_int_equal(olio_map_list(dev, runs, n, OLIO_TO_DEVICE, 0, &map), 0);
	assert_int_equal(olio_map_sync_for_device(map, 0, 16384, OLIO_TO_DEVICE), 0);
	assert_int_equal(olio_map_sync_for_device(map, 16384, 0, OLIO_TO_DEVICE), 0);
	assert_int_equal(olio_map_sync_for_device(map, 16384, 1, OLIO_TO_DEVICE), -ERANGE);
	assert_int_equal(olio_map_sync_for_device(map, 1, 16384, OLIO_TO_DEVICE), -ERANGE);
	assert_int_equal(olio_map_sync_for_device(map, UINT64_MAX, 2, OLIO_TO_DEVICE), -ERANGE);
	assert_int_equal(olio_map_sync_for_cpu(map, 0, 1, OLIO_FROM_DEVICE), -EINVAL);
	assert_int_equal(olio_map_sync_for_cpu(map, 0, 1, OLIO_BIDIRECTIONAL), -EINVAL);
	assert_int_equal(olio_map_sync_for_cpu(map, 0, 1, 0), -EINVAL);
	olio_map_unmap(map);
	oli_mem_put(mem);
	leave();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_segment), cmocka_unit_test(fewest_segments),
		cmocka_unit_test(limits),      cmocka_unit_test(scarce_iovas),
		cmocka_unit_test(hodgepodge),  cmocka_unit_test(long_bounces),
		cmocka_unit_test(bad_syncs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
