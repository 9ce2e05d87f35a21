// SPDX-License-Identifier: MIT
/*
 * Copied word by word, each with release or acquire: a reader who saw a word of a later
 * writing also sees that the sequence number has changed.
 */
#include <stdatomic.h>

#include "base/kept.h"

void oli_kept_put(void *entry, const void *from, size_t size, u64 seq)
{
	_Atomic u64 *to = entry;
	const u64 *word = from;

	atomic_store(&to[0], 0);
	for (size_t i = 1; i < size / sizeof(u64); i++)
		atomic_store_explicit(&to[i], word[i], memory_order_release);
	atomic_store(&to[0], seq);
}

bool oli_kept_get(const void *entry, void *to, size_t size, u64 seq)
{
	const _Atomic u64 *from = entry;
	u64 *word = to;

	if (!seq || atomic_load(&from[0]) != seq)
		return false;
	for (size_t i = 1; i < size / sizeof(u64); i++)
		word[i] = atomic_load_explicit(&from[i], memory_order_acquire);
	word[0] = seq;
	return atomic_load(&from[0]) == seq;
}
