// SPDX-License-Identifier: MIT
/*
 * Recorded faults: what the sentence says, who it names, from this process and from
 * another; the ring; addresses at both ends of the space.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <unistd.h>

#include "rig.h"

#define K  4096ull
#define PA 0x4000000000ull

struct rig {
	struct oli_desc desc;
	struct oli_machine *m;
	struct oli_domain *d;
	const struct oli_hw *hw;
};

static void rig_begin(struct rig *r, bool history)
{
	r->desc = rig_desc(OLI_PT_VTDSS, OLI_IOMMU_STRICT);
	r->desc.checker = history ? 1ull << 20 : 0;
	r->m = rig_open(&r->desc);
	assert_int_equal(oli_domain_get(r->m, RIG_NODE, &r->d), 0);
	r->hw = oli_domain_hw(r->d);
}

static void rig_end(struct rig *r)
{
	oli_domain_put(r->d);
	oli_machine_close(r->m);
}

static void record(struct rig *r, u64 dma, u64 len, u32 access_, struct oli_fault *out)
{
	oli_fault_record(r->m, RIG_NODE, r->hw->id, r->hw->gen, OLIO_FAULT_NOT_PRESENT,
			 (struct olio_iova){dma}, len, access_, (struct olio_pa){0});
	assert_true(oli_fault_get(r->m, oli_fault_newest(r->m), out));
}

/* ---- what it says ---- */

static void names_device_address_and_access(void **state)
{
	struct oli_fault f;
	struct rig r;

	(void)state;
	rig_begin(&r, false);
	record(&r, 0x12340, 64, OLI_ACCESS_WRITE, &f);
	assert_int_equal(f.seq, 1);
	assert_int_equal(f.node, RIG_NODE);
	assert_int_equal(f.slot, r.m->slot);
	assert_int_equal(f.pid, getpid());
	assert_int_equal(f.dma, 0x12340);
	assert_int_equal(f.len, 64);
	assert_int_equal(f.write, 1);
	assert_int_equal(f.mapped_ns, 0);
	assert_string_equal(f.text, "dev0 wrote 64 bytes at 0x12340: nothing is mapped there");
	record(&r, UINT64_MAX, 1, OLI_ACCESS_READ, &f);
	assert_non_null(strstr(f.text, "dev0 read 1 bytes at 0xffffffffffffffff"));
	record(&r, 0, UINT64_MAX, OLI_ACCESS_READ, &f);
	oli_fault_record(r.m, OLI_NODE_NONE, 0, 0, (enum olio_fault_kind)77,
			 (struct olio_iova){1}, 2, 0, (struct olio_pa){3});
	assert_true(oli_fault_get(r.m, 4, &f));
	assert_string_equal(f.text, "a device read 2 bytes at 0x1 (pa 0x3): ?");
	assert_int_equal(f.slot, OLI_SLOT_NONE);
	rig_end(&r);
}

static void names_the_nearest_mapping(void **state)
{
	struct olio_iova at = {1 << 20};
	struct olio_iova_range two = {at, {at.v + 2 * K - 1}};
	struct oli_fault f;
	struct rig r;

	(void)state;
	rig_begin(&r, false);
	assert_int_equal(oli_domain_alloc_at(r.d, at, 2 * K), 0);
	assert_int_equal(oli_domain_map(r.d, two, (struct olio_pa){PA}, RIG_RW), 0);
	record(&r, at.v + 2 * K, 1, OLI_ACCESS_READ, &f);
	assert_non_null(strstr(f.text, "; 1 bytes behind the mapping 0x100000-0x101fff"));
	record(&r, at.v - 16, 16, OLI_ACCESS_READ, &f);
	assert_non_null(strstr(f.text, "; 16 bytes before the mapping 0x100000-0x101fff"));
	record(&r, at.v + (64 << 20), 1, OLI_ACCESS_READ, &f);
	assert_null(strstr(f.text, "the mapping"));
	rig_end(&r);
}

/* The last map and the last unmap that touched the place, with their call sites. */
static void names_who_was_there(void **state)
{
	struct olio_iova at = {1 << 20};
	struct oli_fault f;
	struct rig r;

	(void)state;
	rig_begin(&r, true);
	atomic_store(&r.m->shm->frozen_ns, 1000000);
	oli_history_add(r.m, r.hw->id, true, (struct olio_iova){at.v - K}, K, (void *)record);
	oli_history_add(r.m, r.hw->id, true, at, 2 * K, (const char *)rig_begin + 1);
	atomic_store(&r.m->shm->frozen_ns, 2000000);
	oli_history_add(r.m, r.hw->id, false, at, 2 * K, (const char *)rig_end + 1);
	atomic_store(&r.m->shm->frozen_ns, 2012000);
	record(&r, at.v + 2 * K - 1, 4, OLI_ACCESS_READ, &f);
	assert_int_equal(f.mapped_ns, 1000000);
	assert_int_equal(f.unmapped_ns, 2000000);
	assert_int_equal(f.mapped_len, 2 * K);
	assert_non_null(strstr(f.mapped_at, "rig_begin"));
	assert_non_null(strstr(f.unmapped_at, "rig_end"));
	assert_non_null(strstr(f.text, "; unmapped 12 us ago at "));
	record(&r, at.v + 2 * K, 4, OLI_ACCESS_READ, &f);
	assert_int_equal(f.mapped_ns, 0);
	assert_int_equal(f.mapped_at[0], 0);
	/* The newest counts, and an old one is forgotten when the ring has gone round. */
	atomic_store(&r.m->shm->frozen_ns, 3000000);
	for (u32 i = 0; i < OLI_HISTORY; i++)
		oli_history_add(r.m, r.hw->id, true, (struct olio_iova){(i % 2 + 1) * K}, K, NULL);
	record(&r, at.v, 4, OLI_ACCESS_READ, &f);
	assert_int_equal(f.unmapped_ns, 0);
	record(&r, K, 4, OLI_ACCESS_READ, &f);
	assert_int_equal(f.mapped_ns, 3000000);
	/* No such space, no journal: nothing happens. */
	oli_history_add(r.m, ~0u, true, at, K, NULL);
	oli_history_add(r.m, r.hw->id + 1, true, at, K, NULL);
	rig_end(&r);
}

/* ---- from another process ---- */

static void names_sites_of_another_process(void **state)
{
	struct {
		u32 id, gen;
	} space;
	int to[2], from[2], pid, code;
	struct rig r;
	char done = 0;

	(void)state;
	rig_name();
	assert_int_equal(pipe(to), 0);
	assert_int_equal(pipe(from), 0);
	pid = fork();
	if (!pid) {
		struct oli_machine *m;
		struct oli_fault f;
		u32 tries = 0;

		if (read(to[0], &space, sizeof(space)) != sizeof(space))
			rig_leave(1);
		m = rig_open(NULL);
		/* The owner's service thread finds the name out; until then it is a number. */
		do {
			oli_fault_record(m, RIG_NODE, space.id, space.gen, OLIO_FAULT_NOT_PRESENT,
					 (struct olio_iova){K}, 1, OLI_ACCESS_READ,
					 (struct olio_pa){0});
			if (!oli_fault_get(m, oli_fault_newest(m), &f) || !f.mapped_at[0])
				rig_leave(2);
			if (!strstr(f.mapped_at, "rig_begin") && !strstr(f.mapped_at, " pc 0x"))
				rig_leave(3);
			usleep(1000); /* between two looks: that thread must get a core */
		} while (!strstr(f.mapped_at, "rig_begin") && ++tries < 10000);
		rig_leave(tries < 10000 && write(from[1], &done, 1) == 1 ? 0 : 4);
	}
	close(from[1]);
	rig_begin(&r, true);
	oli_history_add(r.m, r.hw->id, true, (struct olio_iova){K}, K, (const char *)rig_begin + 1);
	space.id = r.hw->id;
	space.gen = r.hw->gen;
	assert_int_equal(write(to[1], &space, sizeof(space)), sizeof(space));
	assert_int_equal(read(from[0], &done, 1), 1);
	code = rig_wait(pid);
	assert_int_equal(code, 0);
	close(to[0]);
	close(to[1]);
	close(from[0]);
	rig_end(&r);
}

/* ---- the ring ---- */

static void ring_keeps_the_last(void **state)
{
	struct oli_fault f;
	struct rig r;
	u64 newest;

	(void)state;
	rig_begin(&r, false);
	assert_int_equal(oli_fault_newest(r.m), 0);
	assert_false(oli_fault_get(r.m, 0, &f));
	assert_false(oli_fault_get(r.m, 1, &f));
	for (u32 i = 1; i <= 2 * OLI_FAULTS_KEPT + 5; i++)
		record(&r, i * K, i, OLI_ACCESS_READ, &f);
	newest = oli_fault_newest(r.m);
	assert_int_equal(newest, 2 * OLI_FAULTS_KEPT + 5);
	for (u64 s = 1; s <= newest + 1; s++) {
		bool kept = s > newest - OLI_FAULTS_KEPT && s <= newest;

		assert_int_equal(oli_fault_get(r.m, s, &f), kept);
		if (kept)
			assert_int_equal(f.dma, s * K);
	}
	rig_end(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_device_address_and_access),
		cmocka_unit_test(names_the_nearest_mapping),
		cmocka_unit_test(names_who_was_there),
		cmocka_unit_test(names_sites_of_another_process),
		cmocka_unit_test(ring_keeps_the_last),
	};

	return cmocka_run_group_tests_name("fault", tests, NULL, NULL);
}
