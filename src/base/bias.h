/* SPDX-License-Identifier: MIT */
/*
 * A lock of one process that is nearly always taken by the same thread.
 *
 * That thread takes it with plain stores. Another one that wants it first makes
 * all threads pass a barrier (membarrier(2)), which takes microseconds, and then
 * the lock is an ordinary one until a thread has taken it often enough in a row.
 */
#ifndef OLI_BASE_BIAS_H
#define OLI_BASE_BIAS_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/types.h"

struct oli_bias {
	_Atomic(void *) owner; /* the thread that it is biased to, or NULL */
	_Atomic u32 held;      /* by that thread */
	u32 streak;	       /* takes by one thread since it was last shared; mutex */
	void *last;	       /* that thread; mutex */
	pthread_mutex_t mutex;
};

void oli_bias_init(struct oli_bias *b);
void oli_bias_fini(struct oli_bias *b);
/* Not recursive. Context: may block. */
void oli_bias_lock(struct oli_bias *b);
void oli_bias_unlock(struct oli_bias *b);

#endif
