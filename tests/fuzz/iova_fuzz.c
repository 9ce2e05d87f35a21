// SPDX-License-Identifier: MIT
/*
 * The IOVA allocator under arbitrary programs; what a program is and what is
 * checked is in tests/unit/iommu/iova_model.h. The program's last byte says
 * which request for memory fails, if any.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../unit/iommu/iova_model.h"
#include "replay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *why = size ? model_run(data, size - 1, data[size - 1] % 32, NULL) : NULL;
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
	size_t i;

	*n = 8 + (size_t)random() % (size - 8);
	for (i = 0; i < *n; i++)
		data[i] = random() % 4 ? (uint8_t)random() : 0;
	return data;
}
