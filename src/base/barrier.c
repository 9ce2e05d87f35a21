// SPDX-License-Identifier: MIT
/*
 * membarrier(2), registered once a process. A child of fork() inherits the
 * registration with the address space.
 *
 * Invariant: what works once works always, so that nobody who relied on it has to
 * think of its failure.
 */
#include <linux/membarrier.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/barrier.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool works;

static int membarrier(int cmd)
{
	return (int)syscall(SYS_membarrier, cmd, 0, 0);
}

static void try_once(void)
{
	works = !membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) &&
		!membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
}

bool oli_barrier_works(void)
{
	pthread_once(&once, try_once);
	return works;
}

void oli_barrier_all(void)
{
	membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
}
