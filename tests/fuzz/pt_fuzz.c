// SPDX-License-Identifier: MIT
/*
 * I/O page tables under arbitrary programs: the byte strings of
 * tests/model/pt_model.c, the first of which chooses the format. What the tables
 * do is compared with the model after every step; a difference aborts.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../model/pt_model.h"
#include "replay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *why = pt_program(NULL, data, size);

	if (why) {
		fprintf(stderr, "%s\n", why);
		abort();
	}
	return 0;
}

const uint8_t *replay_random(uint8_t *data, size_t size, size_t *n)
{
	size_t i;

	if (size > 512)
		size = 512;
	*n = 60 + (size_t)random() % (size - 60);
	for (i = 0; i < *n; i++)
		data[i] = (uint8_t)(random() >> 7);
	return data;
}
