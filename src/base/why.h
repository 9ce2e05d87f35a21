/* SPDX-License-Identifier: MIT */
/* The reason of a refusal, for olio_why(): set where the refusal is decided. */
#ifndef OLI_BASE_WHY_H
#define OLI_BASE_WHY_H

#include "base/types.h"
#include "olio/why.h"

/* Keep reason and sentence for this thread. Return: the reason's -errno, to be returned. */
OLI_MUST_CHECK int oli_refuse(enum olio_reason reason, const char *fmt, ...) OLI_PRINTF(2, 3)
	__attribute__((cold));

#endif
