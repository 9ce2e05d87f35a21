// SPDX-License-Identifier: MIT
/*
 * Two-step maps against an array of bytes: for each byte of a state the byte of memory that is
 * linked there, or none. From it follows what every call must answer, and what the
 * device must find.
 */
#include <errno.h>
#include <string.h>

#include "iommu/part.h"
#include "lab.h"

#define PAGES 12
#define SIZE (5 * 4096 + 1000)
#define NONE 0xffffffffu

static struct oli_machine *m;
static struct olio_dev *dev;
static struct olio_mem *mem;
static struct olio_run all;
static u8 *cpu;

static void enter(const char *type, bool untrusted, u64 page_sizes)
{
	struct oli_desc d;

	assert_int_equal(oli_desc_builtin(type, &d), 0);
	d.checker = 0;
	d.linear = 1;
	d.page_sizes = page_sizes;
	if (untrusted)
		d.node[oli_node_find(&d, "dma0")].trusted = 0;
	m = lab_open(&d);
	dev = lab_dev(m, "dma0");
	cpu = lab_pages(PAGES * 4096);
	rig_fill(cpu, PAGES * 4096, 3);
	mem = lab_pin(m, cpu, PAGES * 4096);
	all = olio_mem_runs(mem, &(size_t){0})[0];
	assert_int_equal(all.len, PAGES * 4096);
}

static void leave(void)
{
	assert_int_equal(dev->bounced, 0);
	if (dev->domain)
		assert_true(oli_domain_is_valid(dev->domain));
	oli_mem_put(mem);
	olio_dev_close(dev);
	rig_close(m);
}

static u64 live(void)
{
	struct oli_iova_usage usage;

	oli_domain_flush(dev->domain);
	oli_iova_usage(&dev->domain->iova, &usage);
	return usage.live;
}

static struct olio_run part(u64 off, u64 len)
{
	return (struct olio_run){{all.pa.v + off}, len, all.kind, 0};
}

/* ---- the model ---- */

struct model {
	u32 at[SIZE]; /* byte of memory, or NONE */
	u64 off;      /* of the first byte in its granule */
};

static u64 top(const struct model *b)
{
	u64 n = SIZE;

	while (n && b->at[n - 1] == NONE)
		n--;
	return n;
}

static bool aligned(const struct model *b, u64 offset)
{
	return (b->off + offset) % 4096 == 0;
}

static int model_link(struct model *b, u64 from, u64 len, u64 offset)
{
	u64 end = offset + len, first, last;

	if (end > SIZE)
		return -ERANGE;
	if (offset && (from % 4096 || !aligned(b, offset)))
		return -EOPNOTSUPP;
	if (!offset && from % 4096 != b->off)
		return -EINVAL;
	if ((top(b) && !aligned(b, top(b)) && offset >= top(b)) ||
	    (!aligned(b, end) && end < top(b)))
		return -EOPNOTSUPP;
	/* Nothing in any granule that it touches. */
	first = (b->off + offset) / 4096 * 4096;
	last = (b->off + end - 1) / 4096 * 4096 + 4095;
	for (u64 i = first; i <= last; i++)
		if (i >= b->off && i - b->off < SIZE && b->at[i - b->off] != NONE)
			return -EBUSY;
	for (u64 i = 0; i < len; i++)
		b->at[offset + i] = (u32)(from + i);
	return 0;
}

static int model_unlink(struct model *b, u64 offset, u64 len)
{
	u64 end = offset + len;

	if (end > SIZE)
		return -ERANGE;
	if (end > top(b))
		return -ENOENT;
	if ((offset && !aligned(b, offset)) || (end != top(b) && !aligned(b, end)))
		return -EINVAL;
	for (u64 i = offset; i < end; i++)
		if (b->at[i] == NONE)
			return -ENOENT;
	for (u64 i = offset; i < end; i++)
		b->at[i] = NONE;
	return 0;
}

/* What the device finds is what is linked: a page at a time. */
static void check_device(const struct model *b, const struct olio_iova_state *s)
{
	static u8 got[4096];

	for (u64 i = 0; i < SIZE;) {
		u64 n = 4096 - (b->off + i) % 4096;
		struct olio_iova dma = {olio_iova_start(s).v + i};
		u64 have = 0;

		n = n < SIZE - i ? n : SIZE - i;
		while (have < n && b->at[i + have] != NONE)
			have++;
		if (!have)
			assert_int_equal(olio_dev_read(dev, dma, got, 1), -EFAULT);
		else
			assert_int_equal(olio_dev_read(dev, dma, got, have), 0);
		for (u64 k = 0; k < have; k++)
			assert_int_equal(got[k], cpu[b->at[i + k]]);
		i += n;
	}
}

static u64 some(u64 off)
{
	static const u64 odd[] = {0, 0, 0, 0, 0, 0, 1, 1000, 4095};
	u64 at = rig_rand(6) * 4096;

	/* Mostly where a granule begins. */
	if (at && rig_rand(8))
		at -= off;
	return at + odd[rig_rand(OLI_ARRAY_SIZE(odd))];
}

static void one_op(struct model *b, struct olio_iova_state *s)
{
	u64 offset = some(b->off), len = some(offset ? 0 : b->off), from = some(0), n;
	u64 high = top(b);
	struct olio_run run;
	bool holes = false;

	if (!rig_rand(3))
		len = SIZE - offset % SIZE;
	if (offset == 0 && rig_rand(8))
		from += b->off;
	if (!len || from + len > PAGES * 4096)
		len = 4096;
	switch (rig_rand(8)) {
	case 0:
	case 1:
	case 2:
	case 3:
		run = part(from, len);
		assert_int_equal(olio_iova_link(s, &run, offset, OLIO_TO_DEVICE, 0),
				 model_link(b, from, len, offset));
		break;
	case 4:
	case 5:
		assert_int_equal(olio_iova_unlink(s, offset, len, OLIO_TO_DEVICE, 0),
				 model_unlink(b, offset, len));
		break;
	case 6:
		assert_int_equal(olio_iova_free(s), high ? -EBUSY : 0);
		if (!high)
			assert_int_equal(olio_iova_alloc(dev, s, (struct olio_pa){b->off}, SIZE), 0);
		break;
	default:
		n = rig_rand(2) ? high : some(b->off);
		for (u64 i = 0; i < high; i++)
			holes |= b->at[i] == NONE;
		if (n == high && !holes) {
			assert_int_equal(olio_iova_destroy(s, n, OLIO_TO_DEVICE, 0), 0);
			memset(b->at, 0xff, sizeof(b->at));
			assert_int_equal(olio_iova_alloc(dev, s, (struct olio_pa){b->off}, SIZE), 0);
		} else {
			assert_int_equal(olio_iova_destroy(s, n, OLIO_TO_DEVICE, 0), -EINVAL);
		}
	}
}

static void random_programs(void **state)
{
	static const struct {
		const char *type;
		bool untrusted;
	} worlds[] = {{"pc", false}, {"pc", true}, {"arm-noncoherent", false}, {"lazy-amd", true}};
	static struct model b;

	(void)state;
	for (size_t w = 0; w < OLI_ARRAY_SIZE(worlds); w++) {
		enter(worlds[w].type, worlds[w].untrusted, 4096);
		rig_seed(w);
		for (int program = 0; program < 40; program++) {
			struct olio_iova_state s;

			memset(b.at, 0xff, sizeof(b.at));
			b.off = program % 2 ? 0 : 1000;
			assert_int_equal(
				olio_iova_alloc(dev, &s, (struct olio_pa){b.off + 8192}, SIZE), 0);
			for (int i = 0; i < 60; i++) {
				one_op(&b, &s);
				assert_int_equal(olio_iova_sync(&s, 0, SIZE), 0);
				check_device(&b, &s);
			}
			while (top(&b)) {
				u64 n = top(&b) - 1;

				/* One granule from the top. */
				n -= n < 4096 ? n : (b.off + n) % 4096;
				assert_int_equal(olio_iova_unlink(&s, n, top(&b) - n, 1, 0), 0);
				assert_int_equal(model_unlink(&b, n, top(&b) - n), 0);
			}
			assert_int_equal(olio_iova_free(&s), 0);
			assert_int_equal(live(), 0);
		}
		leave();
	}
}

/* ---- states ---- */

static void states(void **state)
{
	struct olio_iova_state s, copy;
	struct olio_run run;

	(void)state;
	enter("pc", false, 0);
	run = part(0, 4096);
	/* Never allocated, whatever is in it. */
	memset(&s, 0, sizeof(s));
	assert_int_equal(olio_iova_free(&s), -EINVAL);
	memset(&s, 0xa5, sizeof(s));
	assert_int_equal(olio_iova_link(&s, &run, 0, 1, 0), -EINVAL);
	assert_int_equal(olio_iova_sync(&s, 0, 1), -EINVAL);
	assert_int_equal(olio_iova_unlink(&s, 0, 1, 1, 0), -EINVAL);
	assert_int_equal(olio_iova_destroy(&s, 0, 1, 0), -EINVAL);
	assert_int_equal(olio_iova_start(&s).v, 0);
	assert_int_equal(olio_iova_size(&s), 0);
	/* Sizes that cannot be. */
	assert_int_equal(olio_iova_alloc(dev, &s, run.pa, 0), -EINVAL);
	assert_int_equal(olio_iova_alloc(dev, &s, (struct olio_pa){77}, 0), -EINVAL);
	assert_int_equal(olio_iova_alloc(dev, &s, run.pa, UINT64_MAX), -EOVERFLOW);
	assert_int_equal(olio_iova_alloc(dev, &s, run.pa, (1ull << 63) + 1), -EOVERFLOW);
	assert_int_equal(olio_iova_alloc(dev, &s, run.pa, 1ull << 63), -ENOSPC);
	assert_int_equal(olio_iova_free(&s), -EINVAL);
	/* A copy is none. */
	assert_int_equal(olio_iova_alloc(dev, &s, (struct olio_pa){77}, 8000), 0);
	assert_int_equal(olio_iova_start(&s).v % 4096, 77);
	assert_int_equal(olio_iova_size(&s), 8000);
	copy = s;
	assert_int_equal(olio_iova_link(&copy, &run, 0, 1, 0), -EINVAL);
	assert_int_equal(olio_iova_free(&copy), -EINVAL);
	assert_int_equal(olio_iova_start(&copy).v, 0);
	/* It ends once. */
	assert_int_equal(olio_iova_free(&s), 0);
	assert_int_equal(olio_iova_free(&s), -EINVAL);
	assert_int_equal(olio_why()->reason, OLIO_REASON_BAD_STATE);
	assert_int_equal(live(), 0);
	assert_int_equal(olio_iova_alloc(dev, &s, run.pa, 4096), 0);
	assert_int_equal(olio_iova_link(&s, &run, 0, 1, 0), 0);
	assert_int_equal(olio_iova_link(&s, &run, 0, 1, 0), -EBUSY);
	assert_int_equal(olio_iova_link(&s, &run, UINT64_MAX, 1, 0), -ERANGE);
	run.len = UINT64_MAX;
	assert_int_equal(olio_iova_link(&s, &run, 0, 1, 0), -ERANGE);
	assert_int_equal(olio_iova_sync(&s, 0, 4097), -ERANGE);
	assert_int_equal(olio_iova_sync(&s, 0, 0), -EINVAL);
	assert_int_equal(olio_iova_unlink(&s, 1, UINT64_MAX, 1, 0), -ERANGE);
	assert_int_equal(olio_iova_unlink(&s, 0, 4096, 0, 0), -EINVAL);
	assert_int_equal(olio_iova_unlink(&s, 0, 4096, 1, 64), -EINVAL);
	assert_int_equal(olio_iova_destroy(&s, 4096, 0, 0), -EINVAL);
	assert_int_equal(olio_iova_destroy(&s, 0, 1, 0), -EINVAL);
	assert_int_equal(olio_iova_destroy(&s, 4096, 1, 0), 0);
	assert_int_equal(olio_iova_destroy(&s, 4096, 1, 0), -EINVAL);
	assert_int_equal(live(), 0);
	leave();
}

/* A part of a link goes where the tables have a border; never a part of a large entry. */
static void large_entries(void **state)
{
	struct olio_iova_state s;
	struct olio_mem *big;
	struct olio_run run;
	u8 *p, byte;
	u64 skip;

	(void)state;
	enter("pc", false, 0);
	p = lab_pages(6 << 20);
	big = lab_pin(m, p, 6 << 20);
	run = olio_mem_runs(big, &(size_t){0})[0];
	skip = (0 - run.pa.v) % (2 << 20);
	run.pa.v += skip;
	run.len = 2 << 20;
	assert_int_equal(olio_iova_alloc(dev, &s, run.pa, 2 << 20), 0);
	assert_int_equal(olio_iova_link(&s, &run, 0, 1, 0), 0);
	assert_int_equal(olio_iova_unlink(&s, 0, 4096, 1, 0), -EINVAL);
	assert_int_equal(olio_iova_unlink(&s, 1 << 20, 1 << 20, 1, 0), -EINVAL);
	assert_int_equal(olio_iova_unlink(&s, 4096, 4096, 1, 0), -EINVAL);
	assert_int_equal(olio_dev_read(dev, olio_iova_start(&s), &byte, 1), 0);
	assert_int_equal(olio_iova_unlink(&s, 0, 2 << 20, 1, 0), 0);
	assert_int_equal(olio_iova_free(&s), 0);
	oli_mem_put(big);
	leave();
}

/* A copy of several granules is one piece, whatever the table entries are. */
static void long_copies(void **state)
{
	struct olio_iova_state s;
	struct olio_run run;
	u8 byte;

	(void)state;
	enter("hostile", false, 0);
	run = all;
	run.len = 3 * 4096;
	assert_int_equal(olio_iova_alloc(dev, &s, run.pa, 2 * run.len), 0);
	for (u64 at = 0; at < 2 * run.len; at += run.len)
		assert_int_equal(olio_iova_link(&s, &run, at, 3, 0), 0);
	assert_int_equal(olio_iova_sync(&s, 0, 2 * run.len), 0);
	assert_int_equal(olio_iova_unlink(&s, 0, 4096, 3, 0), -EINVAL);
	assert_int_equal(olio_iova_unlink(&s, 2 * 4096, 4096, 3, 0), -EINVAL);
	assert_int_equal(olio_iova_unlink(&s, 4096, 2 * 4096, 3, 0), -EINVAL);
	assert_int_equal(olio_iova_unlink(&s, 4096, 5 * 4096, 3, 0), -EINVAL);
	assert_int_equal(olio_dev_read(dev, olio_iova_start(&s), &byte, 1), 0);
	assert_int_equal(olio_iova_unlink(&s, run.len, run.len, 3, 0), 0);
	assert_int_equal(olio_iova_destroy(&s, run.len, 3, 0), 0);
	assert_int_equal(live(), 0);
	leave();
}

/* How many invalidations and syncs a batch takes (B4), and that a copy comes back at the end. */
static void batches(void **state)
{
	struct oli_domain_stats before, now;
	struct olio_iova_state s;
	struct olio_run run;

	(void)state;
	enter("hostile", false, 4096);
	oli_domain_stats(dev->domain, &before);
	assert_int_equal(olio_iova_alloc(dev, &s, all.pa, 8 * 4096), 0);
	for (u64 i = 0; i < 8; i++) {
		run = part(i * 4096, 4096);
		assert_int_equal(olio_iova_link(&s, &run, i * 4096, OLIO_FROM_DEVICE, 0), 0);
	}
	assert_int_equal(olio_iova_sync(&s, 0, 8 * 4096), 0);
	oli_domain_stats(dev->domain, &now);
	assert_int_equal(now.syncs - before.syncs, 1);
	assert_int_equal(now.maps - before.maps, 8);
	assert_int_equal(now.flushes - before.flushes, 0);
	assert_int_equal(olio_dev_write(dev, (struct olio_iova){olio_iova_start(&s).v + 5000}, "xyz",
					3),
			 0);
	assert_memory_not_equal(cpu + 5000, "xyz", 3);
	assert_int_equal(olio_iova_destroy(&s, 8 * 4096, OLIO_FROM_DEVICE, 0), 0);
	assert_memory_equal(cpu + 5000, "xyz", 3);
	oli_domain_stats(dev->domain, &now);
	assert_int_equal(now.flushes - before.flushes, 1);
	assert_int_equal(live(), 0);
	leave();
	/* Lazily where nothing was copied: no flush at all. */
	enter("lazy-amd", false, 4096);
	oli_domain_stats(dev->domain, &before);
	assert_int_equal(olio_iova_alloc(dev, &s, all.pa, all.len), 0);
	assert_int_equal(olio_iova_link(&s, &all, 0, 1, 0), 0);
	assert_int_equal(olio_iova_destroy(&s, all.len, 1, 0), 0);
	oli_domain_stats(dev->domain, &now);
	assert_int_equal(now.flushes - before.flushes, 0);
	assert_int_equal(now.deferred, 1);
	leave();
}

/* Where there is no address space, it is said so. */
static void no_address_space(void **state)
{
	struct olio_iova_state s;
	struct olio_mem *acc;
	struct olio_run run;

	(void)state;
	enter("no-iommu", false, 0);
	assert_int_equal(olio_iova_alloc(dev, &s, all.pa, 4096), -EOPNOTSUPP);
	assert_int_equal(olio_why()->reason, OLIO_REASON_NO_IOMMU);
	leave();
	enter("p2p-switch", false, 0);
	assert_int_equal(
		oli_mem_from_bar(m, oli_node_find(&m->shm->desc, "acc0"), 2, 0, 4096, &acc), 0);
	run = olio_mem_runs(acc, &(size_t){0})[0];
	assert_int_equal(olio_iova_alloc(dev, &s, run.pa, 4096), 0);
	assert_int_equal(olio_iova_link(&s, &run, 0, 1, 0), -EOPNOTSUPP);
	assert_int_equal(olio_why()->reason, OLIO_REASON_P2P_BUS);
	assert_int_equal(olio_iova_destroy(&s, 0, 1, 0), 0);
	oli_mem_put(acc);
	leave();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_programs), cmocka_unit_test(states),
		cmocka_unit_test(large_entries),   cmocka_unit_test(long_copies),
		cmocka_unit_test(batches),
		cmocka_unit_test(no_address_space),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
