// SPDX-License-Identifier: MIT
/*
 * The mapping core under arbitrary programs; what a program is and what is checked is
 * in tests/model/dma_model.h. The first byte chooses the world, the last says which
 * request for a resource fails, if any.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../model/dma_model.h"
#include "replay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *why = size > 1 ? dma_model_run(data[0] % dma_model_worlds(), data + 1, size - 2,
						   data[size - 1] % 64, false)
				   : NULL;
	size_t i;

	if (!why)
		return 0;
	fprintf(stderr, "%s:", why);
	for (i = 0; i < size; i++)
		fprintf(stderr, " %02x", data[i]);
	fprintf(stderr, "\n");
	abort();
}

const uint8_t *replay_random(uint8_t *data, size_t size, size_t *n)
{
	*n = 20 + (size_t)random() % 400;
	*n = *n < size ? *n : size;
	for (size_t i = 0; i < *n; i++)
		data[i] = (uint8_t)random();
	return data;
}
