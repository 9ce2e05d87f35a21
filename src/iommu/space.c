// SPDX-License-Identifier: MIT
/*
 * Spaces in the machine: taking, ending, and waiting for those inside.
 *
 * Whoever enters takes a seat of the present generation's parity and then looks
 * whether the generation is still the same; if not it gets up and begins anew. A
 * drain makes the next generation the present one and waits until all seats of
 * the old parity are empty. So nobody new is waited for, and nobody who was inside
 * is missed: of the two, each of which stores and then loads, one sees the other,
 * for all four are sequentially consistent.
 *
 * The dead are not waited for. Their seats are emptied by the reaper, before
 * their slots can be somebody else's.
 *
 * Generations and visits are counted in 64 and 48 bits and do not wrap.
 */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "iommu/domain.h"
#include "iommu/space.h"

#define SPINS 200u /* before the kernel is asked to run somebody else */

struct oli_iommu *oli_iommu(const struct oli_machine *m)
{
	return oli_part_root(m, OLI_PART_IOMMU);
}

static struct oli_seat *seat_of(struct oli_machine *m, const struct oli_space *s, u16 slot)
{
	struct oli_seat *seats = oli_ptr(m, atomic_load(&s->seats));

	return &seats[slot];
}

/* ---- the drain ---- */

static bool taken(const struct oli_seat *seat, u64 parity)
{
	return atomic_load(&seat->in[parity]) & OLI_SEAT_MASK;
}

__attribute__((noinline)) static void wait_seat(struct oli_machine *m, const struct oli_seat *seat,
						u16 slot, u64 parity)
{
	for (u32 spin = 1; taken(seat, parity); spin++) {
		if (spin % SPINS)
			continue;
		if (!oli_slot_alive(m, slot, oli_slot(m, slot)->gen))
			return;
		sched_yield();
	}
}

static void wipe(struct oli_machine *m, const struct oli_space *s)
{
	struct oli_tlb_entry *e = oli_ptr(m, s->tlb);

	for (u64 i = 0; i < s->tlb_bytes / sizeof(*e); i++) {
		atomic_store_explicit(&e[i].check, 0, memory_order_relaxed);
		atomic_store_explicit(&e[i].data, 0, memory_order_relaxed);
	}
}

void oli_space_drain(struct oli_machine *m, struct oli_space *s)
{
	u64 old = atomic_fetch_add(&s->generation, 1);

	for (u32 w = 0; w < OLI_SLOTS / 64; w++) {
		u64 bits = atomic_load(&s->entered[w]);

		for (; bits; bits &= bits - 1) {
			u16 slot = (u16)(w * 64 + (u32)__builtin_ctzll(bits));
			struct oli_seat *seat = seat_of(m, s, slot);

			if (taken(seat, old & 1))
				wait_seat(m, seat, slot, old & 1);
		}
	}
	if (__builtin_expect((old + 1) % OLI_TLB_WIPE == 0, 0))
		wipe(m, s);
}

/* ---- life ---- */

static struct oli_space *find_free(struct oli_machine *m)
{
	struct oli_iommu *r = oli_iommu(m);

	for (u32 i = 0; i < OLI_SPACES; i++)
		if (!r->space[i].owner)
			return &r->space[i];
	return NULL;
}

/* From here on the space is ours, and the reaper's if we die. */
static struct oli_space *claim(struct oli_machine *m)
{
	struct oli_iommu *r = oli_iommu(m);
	struct oli_space *s;

	/* A holder that died had at most claimed one: it is reaped with its slot. */
	(void)!oli_lock(&r->lock);
	s = find_free(m);
	if (s) {
		s->owner = m->slot + 1u;
		if (!++s->gen)
			s->gen = 1;
	}
	oli_unlock(&r->lock);
	return s;
}

static int get_memory(struct oli_machine *m, struct oli_space *s, u32 entries, bool journal)
{
	u64 off;
	int err = 0;

	if (!atomic_load(&s->seats)) {
		err = oli_heap_alloc(m, OLI_SLOTS * sizeof(struct oli_seat), OLI_OWNER_MACHINE,
				     &off);
		if (!err)
			atomic_store(&s->seats, off);
	}
	s->tlb_entries = entries;
	s->tlb_bytes = (entries + entries / 4) * sizeof(struct oli_tlb_entry);
	if (!err)
		err = oli_heap_alloc(m, s->tlb_bytes, m->slot, &s->tlb);
	if (!err && journal)
		err = oli_heap_alloc(m, sizeof(struct oli_journal), m->slot, &s->journal);
	return err;
}

int oli_space_take(struct oli_machine *m, u8 node, u32 entries, bool journal,
		   struct oli_space **out)
{
	struct oli_space *s = claim(m);
	int err;

	if (!s)
		return -ENOSPC;
	s->node = node;
	s->tlb = s->journal = 0;
	atomic_store(&s->visits, 0);
	atomic_store(&s->misses, 0);
	err = get_memory(m, s, entries, journal);
	if (err)
		oli_space_give(m, s);
	else
		*out = s;
	return err;
}

void oli_space_publish(struct oli_space *s)
{
	atomic_store(&s->live, s->gen);
}

void oli_space_close(struct oli_machine *m, struct oli_space *s)
{
	atomic_store(&s->live, 0);
	oli_space_drain(m, s);
}

void oli_space_give(struct oli_machine *m, struct oli_space *s)
{
	if (s->tlb)
		oli_heap_free(m, s->tlb, s->tlb_bytes);
	if (s->journal)
		oli_heap_free(m, s->journal, sizeof(struct oli_journal));
	s->tlb = s->journal = 0;
	__atomic_store_n(&s->owner, 0, __ATOMIC_RELEASE);
}

/* ---- the end of a process ---- */

void oli_space_forget_slot(struct oli_machine *m, u16 slot)
{
	struct oli_iommu *r = oli_iommu(m);

	for (u32 i = 0; i < OLI_SPACES; i++) {
		struct oli_space *s = &r->space[i];

		if (!atomic_load(&s->seats))
			continue;
		for (u32 p = 0; p < 2; p++) {
			u64 was = atomic_exchange(&seat_of(m, s, slot)->in[p], 0);

			atomic_fetch_add(&s->visits, was / OLI_SEAT_VISIT);
		}
		atomic_fetch_and(&s->entered[slot / 64], ~(1ull << slot % 64));
	}
}

/* Tables, IOTLB and journal are pages of the slot and go with those. */
void oli_space_reap(struct oli_machine *m, u16 slot)
{
	struct oli_iommu *r = oli_iommu(m);

	for (u32 i = 0; i < OLI_SPACES; i++) {
		struct oli_space *s = &r->space[i];

		if (s->owner != slot + 1u)
			continue;
		if (atomic_load(&s->seats) && s->tlb)
			oli_space_close(m, s);
		atomic_store(&s->live, 0);
		s->tlb = s->journal = 0;
		__atomic_store_n(&s->owner, 0, __ATOMIC_RELEASE);
	}
}

/* ---- tables, for those who only read them ---- */

/* Tables of a damaged machine: nothing is mapped there. */
static const u64 no_table[OLI_PT_ITEMS];

static int no_alloc(void *ctx, struct olio_pa *pa, void **cpu)
{
	(void)ctx;
	(void)pa;
	(void)cpu;
	return -ENOMEM;
}

static void no_free(void *ctx, struct olio_pa pa)
{
	(void)ctx;
	(void)pa;
}

static void *no_cpu(void *ctx, struct olio_pa pa)
{
	(void)ctx;
	(void)pa;
	return (void *)(uintptr_t)no_table;
}

static void no_clean(void *ctx, const void *p, size_t len)
{
	(void)ctx;
	(void)p;
	(void)len;
}

static const struct oli_pt_mem_ops reader_ops = {no_alloc, no_free, no_cpu, no_clean};

void oli_space_reader(const struct oli_machine *m, struct oli_pt_mem *mem)
{
	*mem = (struct oli_pt_mem){
		.ops = &reader_ops,
		.linear_cpu = (char *)m->base,
		.linear_pa = {OLI_PA_FILE},
		.linear_size = m->size,
		.coherent = true,
	};
}
