/* SPDX-License-Identifier: MIT */
/*
 * Messages to the person who runs the program, on its stderr.
 *
 * oli_warn() is for things that somebody must know even if they did not ask: at
 * most one line a cause. oli_trace() shows every crossing of the boundary when
 * OLIO_TRACE is set, and costs one load otherwise.
 */
#ifndef OLI_BASE_LOG_H
#define OLI_BASE_LOG_H

#include "base/types.h"

extern int oli_trace_on;

void oli_log_init(void);
void oli_warn(const char *fmt, ...) OLI_PRINTF(1, 2);
void oli_trace_line(const char *fmt, ...) OLI_PRINTF(1, 2);

#define oli_trace(...)                                                                             \
	do {                                                                                       \
		if (__builtin_expect(oli_trace_on, 0))                                             \
			oli_trace_line(__VA_ARGS__);                                               \
	} while (0)

#endif
