/* SPDX-License-Identifier: MIT */
/*
 * olio: the version and the common words of the public headers.
 *
 * All calls return 0 or a negative errno value unless they say otherwise;
 * results come by the last out-parameters, untouched on failure.
 */
#ifndef OLIO_OLIO_H
#define OLIO_OLIO_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define OLIO_API __attribute__((visibility("default")))

/* "0.1.0". Static. */
OLIO_API const char *olio_version(void);

#ifdef __cplusplus
}
#endif

#endif
