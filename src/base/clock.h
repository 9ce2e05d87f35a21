/* SPDX-License-Identifier: MIT */
/* Monotonic time in nanoseconds. It is the same in all processes of a host. */
#ifndef OLI_BASE_CLOCK_H
#define OLI_BASE_CLOCK_H

#include <time.h>

#include "base/types.h"

#define OLI_NS_PER_MS 1000000ull
#define OLI_NS_PER_S 1000000000ull

static inline u64 oli_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * OLI_NS_PER_S + (u64)ts.tv_nsec;
}

#endif
