/* SPDX-License-Identifier: MIT */
/*
 * Failure injection: every place that can fail for want of a resource asks
 * here first, so that a test can make exactly the n-th of them fail, and every
 * step of a transfer that must survive a killed process can be made the last.
 *
 * The counters are plain process-wide ints: tests that use them run the code
 * under test in one thread. Both are 0 (off) outside tests.
 */
#ifndef OLI_BASE_FAULT_H
#define OLI_BASE_FAULT_H

#include "base/types.h"

/* Counts down at each OLI_FAULT(); the one that reaches 0 fails. 0 = never. */
extern int oli_fault_countdown;
/* Counts down at each OLI_CRASH_POINT(); the one that reaches 0 kills the process. 0 = never. */
extern int oli_crash_countdown;

/* True when the resource about to be asked for is to be refused. */
#define OLI_FAULT() __builtin_expect(oli_fault_countdown && --oli_fault_countdown == 0, 0)

/* A point in a transfer at which kill -9 could come. */
#define OLI_CRASH_POINT()                                                                          \
	do {                                                                                       \
		if (__builtin_expect(oli_crash_countdown && --oli_crash_countdown == 0, 0))        \
			oli_crash();                                                               \
	} while (0)

__attribute__((noreturn)) void oli_crash(void);

#endif
