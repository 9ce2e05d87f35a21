// SPDX-License-Identifier: MIT
/* One write(2) a line, so that lines of several processes do not mix. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sys.h"

int oli_trace_on;

void oli_log_init(void)
{
	const char *v = getenv("OLIO_TRACE");

	oli_trace_on = v && *v && *v != '0';
}

static void put_line(const char *prefix, const char *fmt, va_list ap)
{
	char line[1024];
	int n, m;

	n = snprintf(line, sizeof(line), "olio[%d]: %s", (int)getpid(), prefix);
	m = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
	if (m < 0)
		return;
	n += m;
	if (n > (int)sizeof(line) - 2)
		n = (int)sizeof(line) - 2;
	line[n++] = '\n';
	oli_sys_write(2, line, (size_t)n);
}

void oli_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put_line("", fmt, ap);
	va_end(ap);
}

void oli_trace_line(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put_line("trace: ", fmt, ap);
	va_end(ap);
}
