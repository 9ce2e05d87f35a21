// SPDX-License-Identifier: MIT
/*
 * Translation: entering a space, and all but a hit of a small page.
 *
 * The IOTLB has two parts. Table entries of less than 2 MiB are kept as pages of 4 KiB,
 * larger ones as pages of 2 MiB in the second part, which is a fourth of the first.
 *
 * Invariant: an entry is written only by somebody inside, for the generation it
 * entered in, from tables that it read meanwhile. Whoever drains waits for it; so
 * what a generation's entries say was in the tables when the generation began, or
 * later.
 *
 * Absent entries are stored in caching mode only.
 */
#include <errno.h>

#include "iommu/space.h"

/* ---- in and out ---- */

static struct oli_seat *seat(const struct oli_xlate *x)
{
	struct oli_seat *seats = oli_ptr(x->m, atomic_load_explicit(&x->space->seats,
								    memory_order_relaxed));

	return &seats[x->m->slot];
}

/* Sit down in the present generation. */
static void sit(struct oli_xlate *x, struct oli_seat *seat)
{
	struct oli_space *s = x->space;

	for (;;) {
		x->generation = atomic_load_explicit(&s->generation, memory_order_acquire);
		atomic_fetch_add(&seat->in[x->generation & 1], 1);
		if (atomic_load(&s->generation) == x->generation)
			return;
		atomic_fetch_sub(&seat->in[x->generation & 1], 1);
	}
}

int oli_xlate_enter(struct oli_machine *m, u32 id, u32 gen, struct oli_xlate *x)
{
	u64 bit = 1ull << m->slot % 64;
	struct oli_space *s;

	if (id >= OLI_SPACES || !gen)
		return -ENOENT;
	s = &oli_iommu(m)->space[id];
	if (atomic_load(&s->live) != gen)
		return -ENOENT;
	x->m = m;
	x->space = s;
	x->id = id;
	x->gen = gen;
	if (!(atomic_load(&s->entered[m->slot / 64]) & bit))
		atomic_fetch_or(&s->entered[m->slot / 64], bit);
	sit(x, seat(x));
	if (atomic_load(&s->live) != gen) {
		oli_xlate_exit(x);
		return -ENOENT;
	}
	x->tlb = oli_ptr(m, s->tlb);
	x->mask = (s->tlb_entries - 1) * sizeof(*x->tlb);
	x->mix = oli_tlb_mix(x->generation);
	return 0;
}

void oli_xlate_exit(struct oli_xlate *x)
{
	atomic_fetch_add_explicit(&seat(x)->in[x->generation & 1],
				  OLI_SEAT_VISIT - 1, memory_order_release);
}

/* ---- large pages ---- */

static struct oli_tlb_entry *large(const struct oli_xlate *x, u64 iova)
{
	u64 nr = x->mask / sizeof(*x->tlb) + 1;

	return &x->tlb[nr + (iova >> OLI_TLB_LARGE & (nr / 4 - 1))];
}

static u64 small_page(u64 iova)
{
	return iova & ~oli_tlb_mask(OLI_TLB_SMALL);
}

/* As a small one never is. */
static u64 large_page(u64 iova)
{
	return (iova & ~oli_tlb_mask(OLI_TLB_LARGE)) | 1;
}

static bool matches(const struct oli_xlate *x, struct oli_tlb_entry *e, u64 page, u64 *data)
{
	*data = atomic_load_explicit(&e->data, memory_order_relaxed);
	return atomic_load_explicit(&e->check, memory_order_relaxed) ==
	       oli_tlb_check(page, *data, x->mix);
}

static void store(const struct oli_xlate *x, struct oli_tlb_entry *e, u64 page, u64 data)
{
	atomic_store_explicit(&e->data, data, memory_order_relaxed);
	atomic_store_explicit(&e->check, oli_tlb_check(page, data, x->mix), memory_order_relaxed);
}

/* ---- the walk ---- */

static int look(const struct oli_xlate *x, struct olio_iova iova, struct oli_pt_leaf *leaf)
{
	struct oli_pt_mem mem;
	struct oli_pt pt;
	int err;

	oli_space_reader(x->m, &mem);
	err = oli_pt_open(&pt, &x->space->config, &mem, x->space->root);
	if (!err && iova.v > pt.iova_last)
		err = -ERANGE;
	return err ? err : oli_pt_look(&pt, iova, leaf);
}

/* Of the page of 2^@lg2 bytes around @iova, which is the leaf or a part of it. */
static u64 data_of(const struct oli_pt_leaf *leaf, u64 iova, unsigned int lg2)
{
	u64 pa = leaf->pa.v + ((iova - leaf->iova.start.v) & ~oli_tlb_mask(lg2));

	return pa | (leaf->attrs & OLI_PT_READ ? OLI_ACCESS_READ : 0) |
	       (leaf->attrs & OLI_PT_WRITE ? OLI_ACCESS_WRITE : 0);
}

/* Walk, and remember what was found. */
static int fill(struct oli_xlate *x, u64 iova, u64 *data, unsigned int *lg2)
{
	struct oli_pt_leaf leaf;
	int err = look(x, (struct olio_iova){iova}, &leaf);

	atomic_fetch_add_explicit(&x->space->misses, 1, memory_order_relaxed);
	if (err) {
		if (err == -ENOENT && x->space->caching)
			store(x, oli_tlb_small(x, iova), small_page(iova), OLI_TLB_ABSENT);
		return err;
	}
	*lg2 = leaf.lg2 >= OLI_TLB_LARGE ? OLI_TLB_LARGE : OLI_TLB_SMALL;
	*data = data_of(&leaf, iova, *lg2);
	if (*lg2 == OLI_TLB_LARGE)
		store(x, large(x, iova), large_page(iova), *data);
	else
		store(x, oli_tlb_small(x, iova), small_page(iova), *data);
	return 0;
}

/* In the IOTLB. Return: the lg2 of the entry's page, or 0. */
static unsigned int find(const struct oli_xlate *x, u64 iova, u64 *data)
{
	if (matches(x, oli_tlb_small(x, iova), small_page(iova), data))
		return OLI_TLB_SMALL;
	return matches(x, large(x, iova), large_page(iova), data) ? OLI_TLB_LARGE : 0;
}

int oli_xlate_slow(struct oli_xlate *x, struct olio_iova iova, u32 access, struct olio_pa *pa,
		   u64 *len)
{
	u64 data;
	unsigned int lg2 = find(x, iova.v, &data);
	int err = lg2 ? 0 : fill(x, iova.v, &data, &lg2);

	if (err || data & OLI_TLB_ABSENT)
		return err ? err : -ENOENT;
	if (access & ~data)
		return -EACCES;
	oli_tlb_result(data, iova.v, lg2, pa, len);
	return 0;
}

/* ---- for the checker and for people ---- */

bool oli_xlate_stale(struct oli_xlate *x, struct olio_iova iova)
{
	u64 data;
	unsigned int lg2 = find(x, iova.v, &data);
	struct oli_pt_leaf leaf;

	if (!lg2 || data & OLI_TLB_ABSENT)
		return false;
	return look(x, iova, &leaf) || data_of(&leaf, iova.v, lg2) != data;
}

void oli_iotlb_stats(struct oli_machine *m, u32 id, struct oli_iotlb_stats *out)
{
	struct oli_seat *seats;
	struct oli_space *s;

	*out = (struct oli_iotlb_stats){0};
	if (id >= OLI_SPACES || !atomic_load(&oli_iommu(m)->space[id].seats))
		return;
	s = &oli_iommu(m)->space[id];
	seats = oli_ptr(m, atomic_load(&s->seats));
	out->visits = atomic_load(&s->visits);
	out->misses = atomic_load(&s->misses);
	out->generation = atomic_load(&s->generation);
	for (u32 i = 0; i < OLI_SLOTS; i++)
		for (u32 p = 0; p < 2; p++)
			out->visits += atomic_load(&seats[i].in[p]) / OLI_SEAT_VISIT;
}
