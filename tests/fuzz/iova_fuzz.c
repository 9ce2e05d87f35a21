// SPDX-License-Identifier: MIT
/*
 * The IOVA allocator under arbitrary programs; what a program is and what is
 * checked is in tests/unit/iommu/iova_model.h. The program's last byte says
 * which request for memory fails, if any.
 *
 * Without libFuzzer this replays files, or with -n COUNT [SEED] runs random
 * programs, and prints the one that fails.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/iommu/iova_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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

#ifndef OLI_LIBFUZZER

static int replay(const char *path)
{
	static u8 data[1 << 16];
	FILE *in = fopen(path, "rb");
	size_t n;

	if (!in) {
		perror(path);
		return 1;
	}
	n = fread(data, 1, sizeof(data), in);
	fclose(in);
	return LLVMFuzzerTestOneInput(data, n);
}

static void random_programs(int count, unsigned int seed)
{
	u8 data[1024];
	size_t i, n;

	for (; count > 0; count--, seed++) {
		srandom(seed);
		n = 8 + (size_t)random() % (sizeof(data) - 8);
		for (i = 0; i < n; i++)
			data[i] = random() % 4 ? (u8)random() : 0;
		LLVMFuzzerTestOneInput(data, n);
	}
}

int main(int argc, char **argv)
{
	int i, rc = 0;

	if (argc > 2 && !strcmp(argv[1], "-n"))
		random_programs(atoi(argv[2]), argc > 3 ? (unsigned int)atoi(argv[3]) : 1);
	else
		for (i = 1; i < argc; i++)
			rc |= replay(argv[i]);
	return rc;
}

#endif
