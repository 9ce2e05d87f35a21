/* SPDX-License-Identifier: MIT */
/*
 * A lock that lives in shared memory and survives its owner.
 *
 * A process may be killed while it holds one. The next taker gets the lock and
 * is told so: it must repair what the lock guards before it relies on it. That
 * duty is in the return value, so that it cannot be overlooked.
 *
 * The order in which locks may be taken is in doc/locks.md.
 */
#ifndef OLI_BASE_LOCK_H
#define OLI_BASE_LOCK_H

#include <pthread.h>

#include "base/types.h"

struct oli_lock {
	pthread_mutex_t mutex;
};

void oli_lock_init(struct oli_lock *lock);

/*
 * Context: may block; never from a signal handler; not recursive.
 * Return: true if the owner before died holding it. The lock is held either way.
 */
OLI_MUST_CHECK bool oli_lock(struct oli_lock *lock);

/* As oli_lock(), but gives up at once. Return: 0 held, 1 held and owner died, -EBUSY not held. */
OLI_MUST_CHECK int oli_trylock(struct oli_lock *lock);

void oli_unlock(struct oli_lock *lock);

#endif
