// SPDX-License-Identifier: MIT
/*
 * Pieces mapped in one go lead where the same pieces do that are mapped one by one, in
 * leaves that are no smaller; and a piece that cannot be mapped leaves a range that can
 * be given back. The model is an array: where each page leads, and with what rights.
 * OLIO_SEED replays.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>

#include "rig.h"

#define K      4096ull
#define PA     0x4000000000ull
#define PIECES 40u
#define ROUNDS 300u

static u64 seed = 1;

static u32 below(u32 n)
{
	return rig_random(&seed) % n;
}

struct batch {
	struct oli_domain_piece piece[PIECES];
	size_t n;
	u64 size;
};

/* Pieces of which half follow the one before them in memory. */
static void fill(struct batch *b)
{
	struct oli_domain_piece *p = b->piece;

	b->n = 1 + below(PIECES);
	b->size = 0;
	for (size_t i = 0; i < b->n; i++, p++) {
		p->size = (1 + below(5)) * K;
		p->pa.v = i && below(2) ? p[-1].pa.v + p[-1].size : PA + below(10000) * K;
		p->prot = below(4) ? OLI_PT_READ | OLI_PT_WRITE : OLI_PT_READ;
		b->size += p->size;
	}
}

static void check(struct oli_domain *d, struct olio_iova start, const struct batch *b)
{
	struct oli_pt_leaf leaf;
	u64 at = start.v;

	for (size_t i = 0; i < b->n; i++)
		for (u64 off = 0; off < b->piece[i].size; off += K, at += K) {
			assert_int_equal(oli_domain_look(d, (struct olio_iova){at}, &leaf), 0);
			assert_int_equal(leaf.pa.v + (at - leaf.iova.start.v),
					 b->piece[i].pa.v + off);
			assert_int_equal(leaf.attrs & (OLI_PT_READ | OLI_PT_WRITE),
					 b->piece[i].prot);
		}
}

static void nothing_at(struct oli_domain *d, struct olio_iova start, u64 size)
{
	struct oli_pt_leaf leaf;

	for (u64 off = 0; off < size; off += K)
		assert_int_equal(oli_domain_look(d, (struct olio_iova){start.v + off}, &leaf),
				 -ENOENT);
}

static void as_one_by_one(void **s)
{
	enum oli_pt_format_id format[] = {OLI_PT_VTDSS, OLI_PT_AMDV1, OLI_PT_X86_64};

	(void)s;
	seed = getenv("OLIO_SEED") ? strtoull(getenv("OLIO_SEED"), NULL, 0) : 1;
	for (u32 f = 0; f < OLI_ARRAY_SIZE(format); f++) {
		struct oli_desc desc = rig_desc(format[f], OLI_IOMMU_STRICT);
		struct oli_machine *m = rig_open(&desc);
		struct olio_iova start;
		struct oli_domain *d;
		struct batch b;

		assert_int_equal(oli_domain_get(m, RIG_NODE, &d), 0);
		for (u32 i = 0; i < ROUNDS; i++) {
			fill(&b);
			assert_int_equal(oli_domain_alloc(d, b.size, UINT64_MAX, &start), 0);
			assert_int_equal(oli_domain_map_pieces(d, start, b.piece, b.n), 0);
			check(d, start, &b);
			assert_int_equal(oli_domain_release(d, start, b.size), 0);
			nothing_at(d, start, b.size);
		}
		assert_true(oli_domain_is_valid(d));
		oli_domain_put(d);
		oli_machine_close(m);
	}
}

/* Neighbours in memory are one leaf. */
static void neighbours_are_one(void **s)
{
	struct oli_desc desc = rig_desc(OLI_PT_VTDSS, OLI_IOMMU_STRICT);
	struct oli_machine *m = rig_open(&desc);
	struct oli_domain_piece piece[512];
	struct oli_pt_leaf leaf;
	struct olio_iova start;
	struct oli_domain *d;

	(void)s;
	for (u32 i = 0; i < 512; i++)
		piece[i] = (struct oli_domain_piece){{PA + i * K}, K, OLI_PT_READ};
	assert_int_equal(oli_domain_get(m, RIG_NODE, &d), 0);
	assert_int_equal(oli_domain_alloc(d, 512 * K, UINT64_MAX, &start), 0);
	assert_int_equal(oli_domain_map_pieces(d, start, piece, 512), 0);
	assert_int_equal(oli_domain_look(d, start, &leaf), 0);
	assert_int_equal(leaf.lg2, 21);
	assert_int_equal(oli_domain_release(d, start, 512 * K), 0);
	oli_domain_put(d);
	oli_machine_close(m);
}

/* An address between two pages is refused; what was before it is taken out with the range. */
static void one_that_fails(void **s)
{
	struct oli_desc desc = rig_desc(OLI_PT_VTDSS, OLI_IOMMU_STRICT);
	struct oli_machine *m = rig_open(&desc);
	struct olio_iova start;
	struct oli_domain *d;
	struct batch b;

	(void)s;
	assert_int_equal(oli_domain_get(m, RIG_NODE, &d), 0);
	for (u32 i = 0; i < ROUNDS; i++) {
		fill(&b);
		b.piece[below((u32)b.n)].pa.v += 8;
		assert_int_equal(oli_domain_alloc(d, b.size, UINT64_MAX, &start), 0);
		assert_int_equal(oli_domain_map_pieces(d, start, b.piece, b.n), -EINVAL);
		assert_int_equal(oli_domain_release(d, start, b.size), 0);
		nothing_at(d, start, b.size);
		assert_true(oli_domain_is_valid(d));
	}
	oli_domain_put(d);
	oli_machine_close(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_one_by_one),
		cmocka_unit_test(neighbours_are_one),
		cmocka_unit_test(one_that_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
