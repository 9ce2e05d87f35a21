// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/rand.h"

u32 oli_rand32(void)
{
	int saved = errno;
	u32 v;

	/* 4 bytes never come short; only a kernel without the call (before 3.17) can fail. */
	if (getrandom(&v, sizeof(v), 0) != (ssize_t)sizeof(v))
		abort();
	errno = saved;
	return v;
}
