// SPDX-License-Identifier: MIT
/*
 * The IOVA allocator: alloc and free, and how they do without the lock.
 *
 * The fast way of a small size is a thread's magazine: pop a block and write its
 * record, or turn the record and push the block. No lock and, while one thread
 * uses the space, no atomic exchange. Everything else is done under the lock: an
 * empty or full magazine, a limit below its blocks, large sizes, errors.
 *
 * The record decides who may free: a range is freed by whoever turns its record
 * from its size to 0, or marks it as claimed, so a second free, another size or an
 * address in the middle find nothing to turn, from whatever thread they come. A
 * claim holds the place of the record: giving it back is one store and a push.
 *
 * Addresses are u64 and may be at the very top: compared by differences, never
 * by adding a size. Granule numbers are below 2^56.
 */
#include <errno.h>

#include "iommu/iova_int.h"

/* The number of granules of @size; if that is no whole number, more than any small size. */
static inline u64 granules(const struct oli_iova *v, u64 size)
{
	return size >> v->s->shift | size << (64 - v->s->shift);
}

/* ---- the fast way ---- */

/* The orders of small sizes: finding the highest bit is slow on some processors. */
static const u8 order_of[(1u << (OLI_IOVA_MAX_CACHED_ORDERS - 1)) + 1] = {
	[2] = 1,	   [3 ... 4] = 2,	[5 ... 8] = 3,	  [9 ... 16] = 4,
	[17 ... 32] = 5,   [33 ... 64] = 6,	[65 ... 128] = 7, [129 ... 256] = 8,
	[257 ... 512] = 9, [513 ... 1024] = 10,
};

static_assert(sizeof(order_of) == 1025, "one entry a small size");

/* May the thread use its slot without the lock? If so, leave() follows. */
static inline bool enter(const struct oli_iova *v, struct oli_iova_slot **out, u32 *gate)
{
	u64 off = atomic_load_explicit(&v->s->slot[oli_iova_thread], memory_order_relaxed);
	struct oli_iova_slot *slot = oli_iova_at(v, off);

	if (__builtin_expect(!off, 0))
		return false;
	*out = slot;
	atomic_store_explicit(&slot->busy, 1, memory_order_relaxed);
	/* Order before the gate: here for the compiler, by membarrier(2) for the processor. */
	atomic_signal_fence(memory_order_seq_cst);
	*gate = atomic_load_explicit(&slot->gate, memory_order_acquire);
	if (__builtin_expect(*gate != OLI_IOVA_GATE_LOCK, 1))
		return true;
	atomic_store_explicit(&slot->busy, 0, memory_order_release);
	return false;
}

static inline void leave(struct oli_iova_slot *slot)
{
	atomic_store_explicit(&slot->busy, 0, memory_order_release);
}

/*
 * The top block, if it is below the limit. Its last address does not wrap. The soft limit
 * needs no look: while it holds, no block above it was ever given out.
 */
static inline bool pop(const struct oli_iova *v, struct oli_iova_slot *slot, u64 size, u64 nr,
		       u64 limit, struct olio_iova *out)
{
	u32 order = order_of[nr], top = slot->top[order] - 1;
	struct oli_iova_block block;
	_Atomic(u16) *record;

	if (top + 1 == oli_iova_bottom[order])
		return false;
	block = slot->block[top];
	if (block.start + (size - 1) > limit)
		return false;
	record = oli_iova_at(v, block.record);
	slot->top[order] = top;
	atomic_store_explicit(record, (u16)nr, memory_order_relaxed);
	out->v = block.start;
	return true;
}

/* Turn the record from @nr to @to. While no other thread can, a plain store is enough. */
static inline bool turn(_Atomic(u16) *record, u16 nr, u16 to, u32 gate)
{
	if (atomic_load_explicit(record, memory_order_relaxed) != nr)
		return false;
	if (gate != OLI_IOVA_GATE_ALONE)
		return atomic_compare_exchange_strong(record, &nr, to);
	atomic_store_explicit(record, to, memory_order_relaxed);
	return true;
}

static struct oli_iova_near *near_of(struct oli_iova_slot *slot, u64 leaf)
{
	return &slot->near[leaf % OLI_IOVA_NEAR];
}

/* The offset of @granule's record, 0 if the thread does not know the leaf. */
static inline u64 record_near(struct oli_iova_slot *slot, u64 granule)
{
	const struct oli_iova_near *near = near_of(slot, granule >> OLI_IOVA_LEAF_SHIFT);

	if (near->leaf != granule >> OLI_IOVA_LEAF_SHIFT)
		return 0;
	return near->records + granule % OLI_IOVA_LEAF_SIZE * sizeof(u16);
}

static inline void push(struct oli_iova_slot *slot, u32 order, u64 start, u64 record)
{
	struct oli_iova_block *block = &slot->block[slot->top[order]++];

	block->start = start;
	/* Two stores: one of both would wait until they are in one register. */
	atomic_signal_fence(memory_order_release);
	block->record = record;
}

/* If the thread knows the leaf and its magazine has room. */
__attribute__((always_inline)) static inline bool free_fast(const struct oli_iova *v, u64 start,
							    u64 granule, u64 nr)
{
	struct oli_iova_slot *slot;
	u32 order = order_of[nr], gate;
	u64 off;
	bool done;

	if (!enter(v, &slot, &gate))
		return false;
	off = record_near(slot, granule);
	done = off && oli_iova_mag_room(slot, order) && turn(oli_iova_at(v, off), (u16)nr, 0, gate);
	if (done)
		push(slot, order, start, off);
	leave(slot);
	return done;
}

/* If the thread knows the leaf. Return: the offset of the record, or 0. */
__attribute__((always_inline)) static inline u64 claim_fast(const struct oli_iova *v, u64 granule,
							    u64 nr)
{
	struct oli_iova_slot *slot;
	u32 gate;
	u64 off;

	if (!enter(v, &slot, &gate))
		return 0;
	off = record_near(slot, granule);
	if (off && !turn(oli_iova_at(v, off), (u16)nr, (u16)(nr | OLI_IOVA_CLAIM_MARK), gate))
		off = 0;
	leave(slot);
	return off;
}

/* Remember where the records of @granule's leaf are. */
static void look_up(const struct oli_iova *v, struct oli_iova_slot *slot, u64 granule)
{
	u64 leaf = granule >> OLI_IOVA_LEAF_SHIFT;
	struct oli_iova_near *near = near_of(slot, leaf);
	_Atomic(u16) *records = NULL;

	if (granule <= v->s->last)
		records = oli_iova_tree_record(v, leaf << OLI_IOVA_LEAF_SHIFT);
	if (!records)
		return;
	near->leaf = leaf;
	near->records = oli_iova_off(v, records);
}

/* Return: did the thread learn of a leaf, so that the fast way may work now? */
static bool learn(const struct oli_iova *v, u64 granule)
{
	struct oli_iova_slot *slot;
	bool known;
	u32 gate;

	if (!enter(v, &slot, &gate))
		return false;
	known = record_near(slot, granule);
	if (!known)
		look_up(v, slot, granule);
	leave(slot);
	return !known;
}

/* ---- calls ---- */

__attribute__((noinline)) static int alloc_slow(struct oli_iova *v, u64 size, u64 limit,
						struct olio_iova *out)
{
	struct oli_iova_state *s = v->s;
	u64 nr = size >> s->shift, first;
	int err;

	if (!size || nr << s->shift != size)
		return -EINVAL;
	pthread_mutex_lock(&s->lock);
	err = oli_iova_alloc_locked(v, nr, limit, &first);
	pthread_mutex_unlock(&s->lock);
	if (!err)
		out->v = first << s->shift;
	return err;
}

int oli_iova_alloc(struct oli_iova *v, u64 size, u64 limit, struct olio_iova *out)
{
	const struct oli_iova space = *v; /* nobody writes to this one, so it stays in registers */
	u64 nr = granules(&space, size);
	struct oli_iova_slot *slot;
	bool done;
	u32 gate;

	/* 0 granules are not small. */
	if (nr - 1 < space.s->small && enter(&space, &slot, &gate)) {
		done = pop(&space, slot, size, nr, limit, out);
		leave(slot);
		if (done)
			return 0;
	}
	return alloc_slow(v, size, limit, out);
}

__attribute__((noinline)) static int free_slow(struct oli_iova *v, struct olio_iova start, u64 size)
{
	u64 granule, nr;
	int err = oli_iova_check(v, start, size, &granule, &nr);

	if (err)
		return err;
	if (nr <= v->s->small && learn(v, granule) && free_fast(v, start.v, granule, nr))
		return 0;
	pthread_mutex_lock(&v->s->lock);
	err = oli_iova_free_locked(v, granule, nr);
	pthread_mutex_unlock(&v->s->lock);
	return err;
}

/* A size that could have a record, at a place that could. */
static inline bool is_small(const struct oli_iova *v, struct olio_iova start, u64 nr)
{
	return nr - 1 < v->s->small && !(start.v & v->s->mask);
}

int oli_iova_free(struct oli_iova *v, struct olio_iova start, u64 size)
{
	const struct oli_iova space = *v;
	u64 nr = granules(&space, size);

	if (is_small(&space, start, nr) &&
	    free_fast(&space, start.v, start.v >> space.s->shift, nr))
		return 0;
	return free_slow(v, start, size);
}

__attribute__((noinline)) static int claim_slow(struct oli_iova *v, struct olio_iova start,
						u64 size, struct oli_iova_claim *out)
{
	u64 granule, nr, record = 0;
	int err = oli_iova_check(v, start, size, &granule, &nr);

	if (err)
		return err;
	if (nr <= v->s->small && learn(v, granule))
		record = claim_fast(v, granule, nr);
	if (!record) {
		pthread_mutex_lock(&v->s->lock);
		err = oli_iova_claim_locked(v, granule, nr, &record);
		pthread_mutex_unlock(&v->s->lock);
	}
	if (!err)
		*out = (struct oli_iova_claim){start, size, record};
	return err;
}

int oli_iova_claim(struct oli_iova *v, struct olio_iova start, u64 size, struct oli_iova_claim *out)
{
	const struct oli_iova space = *v;
	u64 nr = granules(&space, size), record = 0;

	if (is_small(&space, start, nr))
		record = claim_fast(&space, start.v >> space.s->shift, nr);
	if (!record)
		return claim_slow(v, start, size, out);
	*out = (struct oli_iova_claim){start, size, record};
	return 0;
}

__attribute__((noinline)) static void give_slow(struct oli_iova *v,
						const struct oli_iova_claim *claim)
{
	u32 shift = v->s->shift;

	pthread_mutex_lock(&v->s->lock);
	oli_iova_give_locked(v, claim->start.v >> shift, claim->size >> shift, claim->record);
	pthread_mutex_unlock(&v->s->lock);
}

void oli_iova_give(struct oli_iova *v, const struct oli_iova_claim *claim)
{
	const struct oli_iova space = *v;
	struct oli_iova_slot *slot;
	u32 order, gate;
	bool done;

	if (claim->record && enter(&space, &slot, &gate)) {
		order = order_of[claim->size >> space.s->shift];
		done = oli_iova_mag_room(slot, order);
		if (done) {
			/* Nobody else turns a record that is marked. */
			atomic_store_explicit((_Atomic(u16) *)oli_iova_at(&space, claim->record), 0,
					      memory_order_relaxed);
			push(slot, order, claim->start.v, claim->record);
		}
		leave(slot);
		if (done)
			return;
	}
	give_slow(v, claim);
}
