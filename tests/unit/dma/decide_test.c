// SPDX-License-Identifier: MIT
/*
 * The quick answer and the table: oli_goes_direct() says yes only where oli_decide_any()
 * says "directly", and on machines with an IOMMU wherever it does, for claims about the
 * memory aside. Over random machines, devices, policies, runs, directions and attributes;
 * and the look at a run of frames over one at each of its frames.
 */
#include <sys/mman.h>

#include "lab.h"

#define PAGE   4096ull
#define WORLDS 60u
#define RUNS   1500u
#define PAGES  600u /* more than a block */
#define NEAR   (4ull << 20)

static struct oli_machine *m;
static u64 quick, direct, others, refusals;

static bool chance(u32 of)
{
	return !rig_rand(of);
}

static void random_node(struct oli_node *n)
{
	n->coherent = !chance(3);
	n->trusted = !chance(3);
	n->tee = chance(2);
	n->force_bounce = chance(4);
	n->dma_bits = chance(3) ? 36 : 64;
	if (n->trusted)
		n->granule = (u8)rig_rand(3);
}

static struct oli_desc random_desc(u32 world)
{
	static const u8 device[] = {DEV0, DEV1, DEV2, PLAT0};
	struct oli_desc d = rig_desc();

	d.linear = !chance(3);
	d.iommu = world & 1 ? OLI_IOMMU_STRICT : OLI_IOMMU_NONE;
	d.encrypted = world >> 1 & 1;
	d.granule_shift = world & 4 ? 16 : 12;
	for (u32 i = 0; i < OLI_ARRAY_SIZE(device); i++)
		random_node(&d.node[device[i]]);
	return d;
}

/* Lengths at which something may end, and any. */
static u64 random_len(u64 pa)
{
	switch (rig_rand(8)) {
	case 0:
		return rig_rand(3);
	case 1:
		return PAGE - pa % PAGE + rig_rand(2);
	case 2:
		return PAGE << rig_rand(11);
	case 3:
		return 0 - pa + rig_rand(3) - 1;
	case 4:
		return NEAR - rig_rand(2);
	default:
		return 1 + rig_rand(5 * PAGE);
	}
}

/* Near what is pinned, or beside RAM, or anywhere. */
static struct olio_run random_run(const struct olio_mem *mem)
{
	struct olio_run run = {.kind = rig_rand(5)};
	size_t n;
	const struct olio_run *r = olio_mem_runs(mem, &n);

	r += rig_rand((u32)n);
	switch (rig_rand(6)) {
	case 0:
		run.pa.v = OLI_PA_RAM + rig_rand((u32)NEAR);
		break;
	case 1:
		run.pa.v = OLI_PA_RAM + (chance(2) ? m->shm->desc.ram_size : 0) + rig_rand(3) - 1;
		break;
	case 2:
		run.pa.v = 0 - (u64)rig_rand(3);
		break;
	default:
		run.pa.v = r->pa.v + rig_rand((u32)r->len);
		run.kind = chance(4) ? run.kind : r->kind;
	}
	if (chance(2))
		run.pa.v &= ~(PAGE - 1);
	run.len = chance(4) && run.pa.v >= r->pa.v ? r->len - (run.pa.v - r->pa.v)
						   : random_len(run.pa.v);
	return run;
}

static u32 random_attrs(void)
{
	u32 attrs = 0;

	for (u32 bit = 1; bit <= OLI_ATTRS; bit <<= 1)
		if (chance(8))
			attrs |= bit;
	return chance(50) ? attrs | ~OLI_ATTRS : attrs;
}

static void compare(struct olio_dev *dev, const struct olio_run *run, enum olio_dir dir, u32 attrs)
{
	bool yes = oli_goes_direct(dev, run, dir, attrs);
	enum oli_how how, said;
	int err = oli_decide_any(dev, run, dir, attrs, &how);

	if (yes && (err || how != OLI_HOW_DIRECT))
		fail_msg("%s: kind %u 0x%lx+0x%lx dir %u attrs 0x%x: quickly yes, but %d",
			 dev->node->name, run->kind, run->pa.v, run->len, (u32)dir, attrs,
			 err ? err : (int)how);
	if (!yes && !err && how == OLI_HOW_DIRECT && dev->reach == OLI_REACH_TRANSLATED &&
	    !(attrs & ~OLI_ATTRS_PLAIN))
		fail_msg("%s: kind %u 0x%lx+0x%lx dir %u attrs 0x%x: direct, but not quickly",
			 dev->node->name, run->kind, run->pa.v, run->len, (u32)dir, attrs);
	assert_int_equal(oli_decide(dev, run, dir, attrs, &said), err);
	assert_int_equal(said, how);
	quick += yes;
	refusals += err != 0;
	others += !err && how != OLI_HOW_DIRECT;
	direct += !err && how == OLI_HOW_DIRECT;
}

/* The same by looking at each frame. */
static void compare_frames(const struct olio_dev *dev, const struct olio_run *run)
{
	u32 care = OLI_FRAME_USED | rig_rand(8), want = OLI_FRAME_USED | (rig_rand(8) & care);
	u64 at = run->pa.v, last = at + (run->len - 1);
	bool is = run->len && last >= at;
	struct oli_phys phys;

	for (; is && at <= last; at += phys.run)
		is = oli_phys_find(m, (struct olio_pa){at}, &phys) && phys.kind == OLI_PHYS_FRAME &&
		     phys.slot == m->slot && (phys.flags & care) == want;
	if (oli_frames_are(&dev->ram, run->pa, run->len, care, want) != is)
		fail_msg("0x%lx+0x%lx care %u want %u: not %d", run->pa.v, run->len, care, want,
			 is);
}

static void drive(const char *name, struct olio_mem *const mem[3])
{
	struct olio_dev *dev = lab_dev(m, name);

	for (u32 i = 0; i < RUNS; i++) {
		struct olio_run run = random_run(mem[rig_rand(3)]);

		if (chance(100) && olio_dev_set_granule(dev, rig_rand(3)))
			assert_int_equal(olio_why()->reason, OLIO_REASON_BAD_ARGUMENT);
		compare(dev, &run, chance(20) ? rig_rand(9) : 1 + rig_rand(3), random_attrs());
		compare_frames(dev, &run);
	}
	olio_dev_close(dev);
}

static void world(u32 w)
{
	static const char *const device[] = {"dev0", "dev1", "dev2", "plat0", "soft0"};
	u8 *p = lab_pages((PAGES + 16) * PAGE);
	struct oli_desc d = random_desc(w);
	char why[OLI_DESC_WHY];
	struct olio_mem *mem[3];

	if (oli_desc_check(&d, why))
		fail_msg("%s", why);
	m = lab_open(&d);
	mem[0] = lab_pin(m, p, PAGES * PAGE);
	mem[1] = lab_pin(m, p + PAGES * PAGE, 8 * PAGE);
	if (d.encrypted)
		assert_int_equal(olio_mem_share(mem[1]), 0);
	assert_int_equal(
		oli_mem_pin(m, p + (PAGES + 8) * PAGE, 8 * PAGE, OLIO_PIN_READ_ONLY, &mem[2]), 0);
	for (u32 i = 0; i < OLI_ARRAY_SIZE(device); i++)
		drive(device[i], mem);
	for (u32 i = 0; i < 3; i++)
		oli_mem_put(mem[i]);
	rig_close(m);
	munmap(p, (PAGES + 16) * PAGE);
}

static void two_answers(void **s)
{
	(void)s;
	rig_seed(1);
	for (u32 w = 0; w < WORLDS; w++)
		world(w);
	/* Each of them was to be seen often. */
	assert_true(quick > 3000 && direct > 2 * quick && others > 3000 && refusals > 10000);
}

/* What the answer is worked out from is looked at again by whoever changes the policy. */
static void a_policy_counts_at_once(void **s)
{
	struct oli_desc d = rig_desc();
	struct olio_run run;
	struct olio_dev *dev;
	struct olio_mem *mem;
	enum oli_how how;
	size_t n;
	u8 *p = lab_pages(PAGE);

	(void)s;
	m = lab_open(&d);
	dev = lab_dev(m, "dev0");
	mem = lab_pin(m, p, PAGE);
	run = olio_mem_runs(mem, &n)[0];
	run.len = 100;
	assert_int_equal(olio_dev_set_granule(dev, OLIO_GRANULE_EXPOSE), 0);
	assert_int_equal(oli_decide(dev, &run, OLIO_TO_DEVICE, 0, &how), 0);
	assert_int_equal(how, OLI_HOW_DIRECT);
	assert_int_equal(olio_dev_set_granule(dev, OLIO_GRANULE_BOUNCE), 0);
	assert_int_equal(oli_decide(dev, &run, OLIO_TO_DEVICE, 0, &how), 0);
	assert_int_equal(how, OLI_HOW_BOUNCE_ENDS);
	assert_int_equal(olio_dev_set_granule(dev, OLIO_GRANULE_REFUSE), 0);
	assert_true(oli_decide(dev, &run, OLIO_TO_DEVICE, 0, &how) < 0);
	assert_int_equal(olio_why()->reason, OLIO_REASON_GRANULE);
	oli_mem_put(mem);
	olio_dev_close(dev);
	rig_close(m);
	munmap(p, PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_answers),
		cmocka_unit_test(a_policy_counts_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
