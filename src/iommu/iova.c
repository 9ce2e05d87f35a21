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
 * from its size to 0, so a second free, another size or an address in the middle
 * find nothing to turn, from whatever thread they come.
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
	u64 start;
	u32 order = order_of[nr], top = slot->nr[order] - 1;
	_Atomic(u16) *record;

	if (!slot->nr[order])
		return false;
	start = slot->start[order][top];
	if (start + (size - 1) > limit)
		return false;
	record = oli_iova_at(v, slot->record[order][top]);
	slot->nr[order] = top;
	atomic_store_explicit(record, (u16)nr, memory_order_relaxed);
	out->v = start;
	return true;
}

/* Turn the record from @nr to nothing. While no other thread can, a plain store is enough. */
static inline bool turn(_Atomic(u16) *record, u16 nr, u32 gate)
{
	if (atomic_load_explicit(record, memory_order_relaxed) != nr)
		return false;
	if (gate != OLI_IOVA_GATE_ALONE)
		return atomic_compare_exchange_strong(record, &nr, 0);
	atomic_store_explicit(record, 0, memory_order_relaxed);
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

/* Free if the thread knows the leaf and its magazine has room. */
static inline bool push(const struct oli_iova *v, struct oli_iova_slot *slot, u32 gate, u64 start,
			u64 granule, u64 nr)
{
	u64 off = record_near(slot, granule);
	u32 order = order_of[nr], top = slot->nr[order];

	if (!off || top == OLI_IOVA_MAG_SIZE || !turn(oli_iova_at(v, off), (u16)nr, gate))
		return false;
	slot->start[order][top] = start;
	slot->record[order][top] = off;
	slot->nr[order] = top + 1;
	return true;
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

/* The fast way for a leaf that the thread does not know yet. */
static bool push_far(const struct oli_iova *v, u64 start, u64 nr)
{
	u64 granule = start >> v->s->shift, leaf = granule >> OLI_IOVA_LEAF_SHIFT;
	struct oli_iova_slot *slot;
	bool done = false;
	u32 gate;

	if (!enter(v, &slot, &gate))
		return false;
	if (near_of(slot, leaf)->leaf != leaf) {
		look_up(v, slot, granule);
		done = push(v, slot, gate, start, granule, nr);
	}
	leave(slot);
	return done;
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
	if (nr <= v->s->small && push_far(v, start.v, nr))
		return 0;
	pthread_mutex_lock(&v->s->lock);
	err = oli_iova_free_locked(v, granule, nr);
	pthread_mutex_unlock(&v->s->lock);
	return err;
}

int oli_iova_free(struct oli_iova *v, struct olio_iova start, u64 size)
{
	const struct oli_iova space = *v;
	u64 nr = granules(&space, size), granule = start.v >> space.s->shift;
	struct oli_iova_slot *slot;
	bool done;
	u32 gate;

	if (nr - 1 < space.s->small && !(start.v & space.s->mask) && enter(&space, &slot, &gate)) {
		done = push(&space, slot, gate, start.v, granule, nr);
		leave(slot);
		if (done)
			return 0;
	}
	return free_slow(v, start, size);
}

__attribute__((noinline)) static bool is_live_slow(struct oli_iova *v, struct olio_iova start,
						   u64 size)
{
	u64 granule, nr;
	bool live;

	if (oli_iova_check(v, start, size, &granule, &nr))
		return false;
	pthread_mutex_lock(&v->s->lock);
	live = oli_iova_is_live_locked(v, granule, nr);
	pthread_mutex_unlock(&v->s->lock);
	return live;
}

bool oli_iova_is_live(struct oli_iova *v, struct olio_iova start, u64 size)
{
	const struct oli_iova space = *v;
	u64 nr = granules(&space, size), off;
	struct oli_iova_slot *slot;
	_Atomic(u16) *record;
	bool live = false;
	u32 gate;

	if (nr - 1 < space.s->small && !(start.v & space.s->mask) && enter(&space, &slot, &gate)) {
		off = record_near(slot, start.v >> space.s->shift);
		record = oli_iova_at(&space, off);
		live = off && atomic_load_explicit(record, memory_order_relaxed) == nr;
		leave(slot);
	}
	return live || is_live_slow(v, start, size);
}
