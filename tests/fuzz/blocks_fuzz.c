// SPDX-License-Identifier: MIT
/*
 * Page sizes and blocks of arbitrary lists; what a byte string is and what it is compared
 * with is in tests/model/blocks_model.h.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../model/blocks_model.h"
#include "replay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *why = blocks_model_run(data, size);

	if (!why)
		return 0;
	fprintf(stderr, "%s:", why);
	for (size_t i = 0; i < size; i++)
		fprintf(stderr, " %02x", data[i]);
	fprintf(stderr, "\n");
	abort();
}

const uint8_t *replay_random(uint8_t *data, size_t size, size_t *n)
{
	*n = 6 + (size_t)random() % 12 * 2;
	*n = *n < size ? *n : size;
	for (size_t i = 0; i < *n; i++)
		data[i] = (uint8_t)(random() & (random() % 4 ? 0xf8 : 0xff));
	return data;
}
