/* SPDX-License-Identifier: MIT */
/*
 * A lock of one process that is nearly always taken by the same thread.
 *
 * That thread takes it with plain stores. Another one that wants it first makes
 * all threads pass a barrier (base/barrier.h), which takes microseconds, and then
 * the lock is an ordinary one until a thread has taken it often enough in a row.
 * Each time the bias is taken away it takes twice as long to come back, up to a bound.
 */
#ifndef OLI_BASE_BIAS_H
#define OLI_BASE_BIAS_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/types.h"

/* Threads that a lock can ever be biased to; for others it is an ordinary one. */
#define OLI_BIAS_THREADS 8

/* A thread's own: nobody else ever writes @held, so that a late store of it does no harm. */
struct oli_bias_seat {
	_Atomic(void *) thread; /* set once; mutex */
	_Atomic u32 held;
};

struct oli_bias {
	_Atomic(struct oli_bias_seat *) biased; /* never NULL; seat[0] is nobody's */
	bool by_mutex; /* how it is held now; whoever holds it */
	u32 streak;    /* takes by one thread in a row; mutex */
	u32 patience;  /* the streak that earns the bias; mutex */
	void *last;    /* who made the streak; mutex */
	pthread_mutex_t mutex;
	struct oli_bias_seat seat[1 + OLI_BIAS_THREADS];
};

extern __thread char oli_bias_self; /* its address names the thread */

void oli_bias_init(struct oli_bias *b);
void oli_bias_fini(struct oli_bias *b);

/* The ways by the mutex. */
void oli_bias_lock_slow(struct oli_bias *b);
void oli_bias_unlock_slow(struct oli_bias *b);

static inline bool oli_bias_own(const struct oli_bias_seat *seat)
{
	return atomic_load_explicit(&seat->thread, memory_order_relaxed) == &oli_bias_self;
}

/* Not recursive. Context: may block. */
static inline void oli_bias_lock(struct oli_bias *b)
{
	struct oli_bias_seat *seat = atomic_load_explicit(&b->biased, memory_order_relaxed);

	if (__builtin_expect(oli_bias_own(seat), 1)) {
		atomic_store_explicit(&seat->held, 1, memory_order_relaxed);
		/* Order before the look: here for the compiler, by the barrier for the processor. */
		atomic_signal_fence(memory_order_seq_cst);
		if (atomic_load_explicit(&b->biased, memory_order_relaxed) == seat)
			return;
		atomic_store_explicit(&seat->held, 0, memory_order_release);
	}
	oli_bias_lock_slow(b);
}

static inline void oli_bias_unlock(struct oli_bias *b)
{
	struct oli_bias_seat *seat = atomic_load_explicit(&b->biased, memory_order_relaxed);

	/* If it was taken by the seat, the seat is still ours, though perhaps no longer biased. */
	if (__builtin_expect(!b->by_mutex && oli_bias_own(seat), 1))
		atomic_store_explicit(&seat->held, 0, memory_order_release);
	else
		oli_bias_unlock_slow(b);
}

#endif
