// SPDX-License-Identifier: MIT
/* See world.h. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "rdma/rdma.h"
#include "world.h"

enum { MOST = 8 };

static struct {
	struct oli_machine *m;
	char parent[48];
} worlds[MOST];
static u32 nr;

static void end(void)
{
	char command[64];

	while (nr) {
		oli_machine_close(worlds[--nr].m);
		snprintf(command, sizeof(command), "rm -rf %s", worlds[nr].parent);
		if (system(command))
			perror(command);
	}
}

static _Noreturn void give_up(const char *what, const char *why)
{
	fprintf(stderr, "%s: %s\n", what, why);
	exit(2);
}

struct oli_desc fuzz_desc(const char *type)
{
	struct oli_desc d;

	if (oli_desc_builtin(type, &d))
		give_up(type, "there is no such machine");
	d.checker = 0;
	return d;
}

struct oli_machine *fuzz_machine(const struct oli_desc *desc)
{
	struct oli_desc d = *desc;
	struct oli_machine_opts opts = {.desc = &d};
	char why[OLI_WHY_MAX] = "", path[64], *parent = worlds[nr].parent;

	if (nr == MOST)
		give_up("machines", "too many");
	if (!nr)
		atexit(end);
	snprintf(parent, sizeof(worlds[nr].parent), "%s/olio-fuzz-XXXXXX",
		 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	if (!mkdtemp(parent))
		give_up(parent, "cannot be made");
	snprintf(path, sizeof(path), "%s/m", parent);
	opts.name = path;
	if (oli_desc_check(&d, why) || oli_machine_open(&opts, oli_parts, &worlds[nr].m, why))
		give_up(path, why);
	return worlds[nr++].m;
}

void fuzz_judge(const char *why, const u8 *program, size_t len)
{
	if (!why)
		return;
	fprintf(stderr, "%s:", why);
	for (size_t i = 0; i < len; i++)
		fprintf(stderr, " %02x", program[i]);
	fprintf(stderr, "\n");
	abort();
}
