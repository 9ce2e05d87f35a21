/* SPDX-License-Identifier: MIT */
/* Unpredictable numbers for keys, queue pair numbers and packet sequence numbers. */
#ifndef OLI_BASE_RAND_H
#define OLI_BASE_RAND_H

#include "base/types.h"

/* Context: any thread; never blocks once the host has booted. */
u32 oli_rand32(void);

#endif
