// SPDX-License-Identifier: MIT
/*
 * The biased lock: giving the bias, and taking it away.
 *
 * Words
 *   seat     what a thread that may have the bias writes to, and nobody else
 *   revoke   take the bias away: say so, pass a barrier, wait for the seat
 *
 * Invariant: the lock is held by whoever has the mutex and found or made the bias
 * nobody's, or by the thread that set its seat's @held and then still found the
 * bias its own. Of revoker and owner at least one sees the other's store: the
 * barrier lies between the revoker's store and its load, wherever the owner is.
 *
 * @biased changes under the mutex only. @by_mutex is written by holders only.
 * A thread's name is the address of a variable of it; a later thread at the same
 * address inherits the seat, which is free by then.
 */
#include <sched.h>

#include "base/barrier.h"
#include "base/bias.h"

#define PATIENCE     64u
#define MOST_PATIENT 1024u

__thread char oli_bias_self;

void oli_bias_init(struct oli_bias *b)
{
	*b = (struct oli_bias){.patience = PATIENCE};
	atomic_store_explicit(&b->biased, &b->seat[0], memory_order_relaxed);
	pthread_mutex_init(&b->mutex, NULL);
}

void oli_bias_fini(struct oli_bias *b)
{
	pthread_mutex_destroy(&b->mutex);
}

static void revoke(struct oli_bias *b, struct oli_bias_seat *seat)
{
	atomic_store(&b->biased, &b->seat[0]);
	oli_barrier_all();
	while (atomic_load_explicit(&seat->held, memory_order_acquire))
		sched_yield();
	b->streak = 0;
	if (b->patience < MOST_PATIENT)
		b->patience *= 2;
}

void oli_bias_lock_slow(struct oli_bias *b)
{
	struct oli_bias_seat *seat;

	pthread_mutex_lock(&b->mutex);
	seat = atomic_load_explicit(&b->biased, memory_order_relaxed);
	if (seat != &b->seat[0])
		revoke(b, seat);
	b->by_mutex = true;
	b->streak = b->last == &oli_bias_self ? b->streak + 1 : 0;
	b->last = &oli_bias_self;
}

/* This thread's seat, a free one if it has none, or NULL. */
static struct oli_bias_seat *own_seat(struct oli_bias *b)
{
	for (u32 i = 1; i <= OLI_BIAS_THREADS; i++) {
		if (!atomic_load_explicit(&b->seat[i].thread, memory_order_relaxed))
			atomic_store_explicit(&b->seat[i].thread, &oli_bias_self,
					      memory_order_relaxed);
		if (oli_bias_own(&b->seat[i]))
			return &b->seat[i];
	}
	return NULL;
}

/* Taken by the seat, and revoked meanwhile: the revoker waits for it, with the mutex. */
static bool leave_seat(struct oli_bias *b)
{
	for (u32 i = 1; i <= OLI_BIAS_THREADS; i++) {
		struct oli_bias_seat *seat = &b->seat[i];

		if (!oli_bias_own(seat))
			continue;
		atomic_store_explicit(&seat->held, 0, memory_order_release);
		return true;
	}
	return false;
}

void oli_bias_unlock_slow(struct oli_bias *b)
{
	struct oli_bias_seat *seat = NULL;

	if (!b->by_mutex && leave_seat(b))
		return;
	b->by_mutex = false;
	if (b->streak >= b->patience && oli_barrier_works())
		seat = own_seat(b);
	if (seat)
		atomic_store_explicit(&b->biased, seat, memory_order_release);
	pthread_mutex_unlock(&b->mutex);
}
