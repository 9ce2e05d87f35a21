/* SPDX-License-Identifier: MIT */
/*
 * Entries of a ring in shared memory that any process may write and any may read.
 *
 * An entry is made of words of 8 bytes, of which the first is its sequence number: 0
 * while it is being written, and then what it was written as. Who is killed in the
 * middle leaves 0, and the next round of the ring overwrites it. Nothing locks: who
 * reads sees a whole entry, or none.
 */
#ifndef OLI_BASE_KEPT_H
#define OLI_BASE_KEPT_H

#include "base/types.h"

/* @size: of the entry, a multiple of 8. The first word of @from does not count. */
void oli_kept_put(void *entry, const void *from, size_t size, u64 seq);
/* Return: false: not written yet, or overwritten, also while it was being read. @to may be torn then. */
OLI_MUST_CHECK bool oli_kept_get(const void *entry, void *to, size_t size, u64 seq);

#endif
