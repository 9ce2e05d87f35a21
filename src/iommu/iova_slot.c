// SPDX-License-Identifier: MIT
/*
 * Threads and their slots in a space.
 *
 * A thread has a small number, unique among the threads that live, and in each
 * space that it uses a slot with its magazines. When it ends, the next thread
 * with its number inherits them. Threads beyond OLI_IOVA_THREADS have no slot and
 * do everything under the lock.
 *
 * The owner of a slot pays no atomic exchange for it. It sets busy, looks at the
 * gate, works, clears busy. Whoever needs all slots (to collect free blocks, to
 * drop nodes) holds the lock, sets every gate to GATE_LOCK, makes all threads of
 * the process pass a barrier (base/barrier.h), and waits until nobody is
 * busy. Either the owner's store to busy is seen here then, or the owner sees the
 * gate, turns back and waits for the lock. Where the kernel has no membarrier the
 * gates stay on GATE_LOCK.
 *
 * While one thread alone uses a space its gate is GATE_ALONE: it turns records
 * without an exchange. The second thread to come changes that in the same way.
 */
#include <sched.h>
#include <string.h>

#include "base/barrier.h"
#include "iommu/iova_int.h"

__thread u32 oli_iova_thread;

static_assert(OLI_IOVA_THREADS == 64, "one bit a thread");

static _Atomic(u64) numbers; /* bit n - 1: a living thread has number n */
static pthread_key_t exit_key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool have_key;

/* Its magazines were written before this; the next owner reads them after its exchange. */
static void thread_exit(void *arg)
{
	u32 number = (u32)(uintptr_t)arg;

	oli_iova_thread = OLI_IOVA_THREADS + 1;
	atomic_fetch_and(&numbers, ~(1ull << (number - 1)));
}

static void init_once(void)
{
	have_key = !pthread_key_create(&exit_key, thread_exit);
}

bool oli_iova_slots_work(void)
{
	pthread_once(&once, init_once);
	return oli_barrier_works();
}

static u32 thread_number(void)
{
	u64 used = atomic_load(&numbers);
	u32 number;

	oli_iova_thread = OLI_IOVA_THREADS + 1;
	if (!have_key)
		return oli_iova_thread;
	do {
		if (used == ~0ull)
			return oli_iova_thread;
		number = (u32)__builtin_ctzll(~used) + 1;
	} while (!atomic_compare_exchange_weak(&numbers, &used, used | 1ull << (number - 1)));
	if (pthread_setspecific(exit_key, (void *)(uintptr_t)number))
		atomic_fetch_and(&numbers, ~(1ull << (number - 1)));
	else
		oli_iova_thread = number;
	return oli_iova_thread;
}

static struct oli_iova_slot *slot_at(const struct oli_iova *v, u32 number)
{
	u64 off = atomic_load_explicit(&v->s->slot[number], memory_order_relaxed);

	return off ? oli_iova_at(v, off) : NULL;
}

void oli_iova_stop(struct oli_iova *v)
{
	struct oli_iova_slot *slot;
	bool others = false;
	u32 i;

	for (i = 1; i <= OLI_IOVA_THREADS; i++) {
		slot = slot_at(v, i);
		if (slot)
			atomic_store(&slot->gate, OLI_IOVA_GATE_LOCK);
		others |= slot && i != oli_iova_thread;
	}
	if (!others || !v->s->fast)
		return;
	oli_barrier_all();
	for (i = 1; i <= OLI_IOVA_THREADS; i++) {
		slot = slot_at(v, i);
		while (slot && atomic_load_explicit(&slot->busy, memory_order_acquire))
			sched_yield();
	}
}

void oli_iova_resume(struct oli_iova *v)
{
	u32 gate = v->s->shared ? OLI_IOVA_GATE_SHARED : OLI_IOVA_GATE_ALONE;
	struct oli_iova_slot *slot;
	u32 i;

	if (!v->s->fast)
		gate = OLI_IOVA_GATE_LOCK;
	for (i = 1; i <= OLI_IOVA_THREADS; i++) {
		slot = slot_at(v, i);
		if (slot)
			atomic_store_explicit(&slot->gate, gate, memory_order_release);
	}
}

/* A thread that may not be the first came: from now on records are exchanged. */
static void share(struct oli_iova *v)
{
	if (v->s->shared)
		return;
	oli_iova_stop(v);
	v->s->shared = true;
	oli_iova_resume(v);
}

static struct oli_iova_slot *make_slot(struct oli_iova *v, u32 number)
{
	struct oli_iova_slot *slot;
	u64 off;
	u32 i;

	if (oli_iova_mem_alloc(v, sizeof(*slot), &off))
		return NULL;
	slot = oli_iova_at(v, off);
	for (i = 0; i < OLI_IOVA_NEAR; i++)
		slot->near[i].leaf = OLI_IOVA_NO_LEAF;
	for (i = 0; i < OLI_IOVA_MAX_CACHED_ORDERS; i++)
		slot->top[i] = oli_iova_bottom[i];
	atomic_store_explicit(&v->s->slot[number], off, memory_order_release);
	oli_iova_resume(v);
	return slot;
}

struct oli_iova_slot *oli_iova_slot(struct oli_iova *v)
{
	u32 i, number = oli_iova_thread ? oli_iova_thread : thread_number();
	struct oli_iova_slot *slot = slot_at(v, number);

	if (slot)
		return slot;
	for (i = 1; i <= OLI_IOVA_THREADS; i++)
		if (slot_at(v, i))
			share(v);
	if (number <= OLI_IOVA_THREADS)
		slot = make_slot(v, number);
	if (!slot)
		share(v);
	return slot;
}

/* ---- magazines ---- */

#define WIDE(k)	  ((k)*OLI_IOVA_WIDE)
#define NARROW(k) (WIDE(OLI_IOVA_WIDE_ORDERS) + (k)*OLI_IOVA_NARROW)

const u16 oli_iova_bottom[] = {WIDE(0),	  WIDE(1),   WIDE(2),	WIDE(3),   NARROW(0), NARROW(1),
			       NARROW(2), NARROW(3), NARROW(4), NARROW(5), NARROW(6), NARROW(7)};

static_assert(NARROW(7) == OLI_IOVA_BLOCKS, "the end of the last");

/* The @nr blocks at the bottom back into the tree. */
static void give_blocks(struct oli_iova *v, struct oli_iova_slot *slot, u32 order, u32 nr)
{
	struct oli_iova_block *mag = slot->block + oli_iova_bottom[order];
	u64 granule;
	u32 i;

	for (i = 0; i < nr; i++) {
		granule = mag[i].start >> v->s->shift;
		oli_iova_tree_give(v, granule, granule + (1ull << order) - 1);
	}
	slot->top[order] -= nr;
	memmove(mag, mag + nr, oli_iova_mag_nr(slot, order) * sizeof(*mag));
}

void oli_iova_collect(struct oli_iova *v)
{
	struct oli_iova_slot *slot;
	u32 i, order;

	oli_iova_stop(v);
	for (i = 1; i <= OLI_IOVA_THREADS; i++) {
		slot = slot_at(v, i);
		for (order = 0; slot && order < OLI_IOVA_MAX_CACHED_ORDERS; order++)
			give_blocks(v, slot, order, oli_iova_mag_nr(slot, order));
	}
	oli_iova_resume(v);
}

void oli_iova_put(struct oli_iova *v, struct oli_iova_slot *slot, u64 granule, u32 order)
{
	if (!slot) {
		oli_iova_tree_give(v, granule, granule + (1ull << order) - 1);
		return;
	}
	if (!oli_iova_mag_room(slot, order))
		give_blocks(v, slot, order, OLI_IOVA_NARROW / 2);
	slot->block[slot->top[order]++] = (struct oli_iova_block){
		granule << v->s->shift, oli_iova_off(v, oli_iova_tree_record(v, granule))};
}

void oli_iova_slots_fini(struct oli_iova *v)
{
	u32 i;

	for (i = 1; i <= OLI_IOVA_THREADS; i++)
		if (slot_at(v, i))
			oli_iova_mem_free(v, v->s->slot[i], sizeof(struct oli_iova_slot));
}
