// SPDX-License-Identifier: MIT
/* See replay.h. Inputs longer than 64 KiB are cut. */
#include "replay.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int replay_file(const char *path)
{
	static uint8_t data[1 << 16];
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

static void random_programs(int count, unsigned int seed)
{
	uint8_t data[1024];
	const uint8_t *program;
	size_t n;

	for (; count > 0; count--, seed++) {
		srandom(seed);
		program = replay_random(data, sizeof(data), &n);
		LLVMFuzzerTestOneInput(program, n);
	}
}

int main(int argc, char **argv)
{
	int i, rc = 0;

	if (argc > 2 && !strcmp(argv[1], "-n")) {
		random_programs(atoi(argv[2]), argc > 3 ? (unsigned int)atoi(argv[3]) : 1);
		return 0;
	}
	for (i = 1; i < argc; i++)
		rc |= replay(argv[i]);
	return rc;
}
