/* SPDX-License-Identifier: MIT */
/*
 * A memory barrier in all threads of this process at once (membarrier(2), expedited).
 *
 * With it one side of a handshake pays nothing: it stores, keeps the compiler from
 * reordering, and loads; the other side, which comes rarely, stores, calls this and
 * loads. At least one of them then sees what the other stored.
 */
#ifndef OLI_BASE_BARRIER_H
#define OLI_BASE_BARRIER_H

#include "base/types.h"

/* Has the kernel it? Asked once; registers this process. */
bool oli_barrier_works(void);
/* Only if it works. A few microseconds, and an interrupt for each running thread. */
void oli_barrier_all(void);

#endif
