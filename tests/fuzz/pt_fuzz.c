// SPDX-License-Identifier: MIT
/*
 * I/O page tables under arbitrary programs: the byte strings of
 * tests/model/pt_model.c, the first of which chooses the format. What the tables
 * do is compared with the model after every step; a difference aborts.
 *
 * Without libFuzzer this is a program that replays files and directories, or with
 * -n COUNT [SEED] runs that many random programs.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../model/pt_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *why = pt_program(NULL, data, size);

	if (why) {
		fprintf(stderr, "%s\n", why);
		abort();
	}
	return 0;
}

#ifndef OLI_LIBFUZZER

static int replay_file(const char *path)
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

static int replay(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	char name[4096];
	int rc = 0;

	if (!dir)
		return replay_file(path);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		rc |= replay_file(name);
	}
	closedir(dir);
	return rc;
}

static int random_programs(int count, unsigned int seed)
{
	u8 data[512];
	size_t i, n;

	for (; count > 0; count--, seed++) {
		srandom(seed);
		n = 60 + (size_t)random() % (sizeof(data) - 60);
		for (i = 0; i < n; i++)
			data[i] = (u8)(random() >> 7);
		LLVMFuzzerTestOneInput(data, n);
	}
	return 0;
}

int main(int argc, char **argv)
{
	int i, rc = 0;

	if (argc > 2 && !strcmp(argv[1], "-n"))
		return random_programs(atoi(argv[2]), argc > 3 ? (unsigned int)atoi(argv[3]) : 1);
	for (i = 1; i < argc; i++)
		rc |= replay(argv[i]);
	return rc;
}

#endif
