// SPDX-License-Identifier: MIT
/* Reasons: their words and errno values from one list, the last one of each thread. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/why.h"

static const struct {
	const char *word;
	int err;
	const char *text;
} reasons[] = {
#define REASON(NAME, word, err, text) {word, err, text},
	OLIO_REASONS(REASON)
#undef REASON
};

static _Thread_local struct olio_why last;

const char *olio_reason_name(enum olio_reason reason)
{
	return (unsigned)reason < OLIO_NR_REASONS ? reasons[reason].word : "unknown";
}

const struct olio_why *olio_why(void)
{
	return &last;
}

int oli_refuse(enum olio_reason reason, const char *fmt, ...)
{
	va_list ap;
	int n;

	last.reason = reason;
	n = snprintf(last.text, sizeof(last.text), "%s: ", reasons[reason].text);
	va_start(ap, fmt);
	vsnprintf(last.text + n, sizeof(last.text) - (size_t)n, fmt, ap);
	va_end(ap);
	return -reasons[reason].err;
}
