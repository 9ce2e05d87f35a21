// SPDX-License-Identifier: MIT
/* See place.h. */
#include <assert.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "machine/phys.h"
#include "place.h"

u32 place_reaped[OLI_SLOTS];

static char parent[64];
static pid_t owner;

static int init(struct oli_machine *m, void *root)
{
	(void)m;
	oli_table_init(&((struct place_root *)root)->table, 96, sizeof(struct oli_obj), 3000);
	return 0;
}

static void reap(struct oli_machine *m, void *root, u16 slot)
{
	struct oli_table *t = &((struct place_root *)root)->table;
	struct oli_obj *obj;

	place_reaped[slot]++;
	for (u32 id = 0; (obj = oli_table_peek(m, t, id)); id++)
		if (obj->state != OLI_OBJ_FREE && obj->slot == slot)
			oli_table_free(m, t, obj);
}

static const struct oli_part part = {
	.name = "place", .root_size = sizeof(struct place_root), .init = init, .reap = reap};
const struct oli_part *const place_parts[] = {&part, NULL};

static int no_init(struct oli_machine *m, void *root)
{
	(void)m;
	(void)root;
	return 0;
}

static void no_reap(struct oli_machine *m, void *root, u16 slot)
{
	(void)m;
	(void)root;
	(void)slot;
}

static const struct oli_part no_part = {.name = "none", .init = no_init, .reap = no_reap};
static const struct oli_part *const phys_parts[] = {&part,    &no_part,	      &no_part,
						    &no_part, &oli_phys_part, NULL};
static_assert(OLI_PART_PHYS == 4, "its place in the list");

static void remove_parent(void)
{
	char command[96];

	if (getpid() != owner)
		return;
	snprintf(command, sizeof(command), "rm -rf %s", parent);
	if (system(command))
		fprintf(stderr, "cannot remove %s\n", parent);
}

const char *place_dir(void)
{
	static char dir[80];

	if (!dir[0]) {
		snprintf(parent, sizeof(parent), "%s/olio-test-XXXXXX",
			 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
		assert_non_null(mkdtemp(parent));
		owner = getpid();
		atexit(remove_parent);
		snprintf(dir, sizeof(dir), "%s/m", parent);
	}
	return dir;
}

int place_try(struct oli_machine **m, char *why)
{
	struct oli_machine_opts opts = {.name = place_dir()};

	why[0] = '\0';
	return oli_machine_open(&opts, place_parts, m, why);
}

struct oli_machine *place_open(void)
{
	char why[OLI_WHY_MAX];
	struct oli_machine *m;

	if (place_try(&m, why))
		fail_msg("no machine: %s", why);
	return m;
}

int place_try_with(const char *type, const struct oli_desc *desc, struct oli_machine **m, char *why)
{
	struct oli_machine_opts opts = {.name = place_dir(), .type = type, .desc = desc};

	why[0] = '\0';
	return oli_machine_open(&opts, phys_parts, m, why);
}

struct oli_machine *place_open_with(const char *type, const struct oli_desc *desc)
{
	char why[OLI_WHY_MAX];
	struct oli_machine *m;

	if (place_try_with(type, desc, &m, why))
		fail_msg("no machine: %s", why);
	return m;
}

_Noreturn void place_leave(int code)
{
	_exit(code);
}

int place_wait(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		fail_msg("no child");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static u32 entries(const char *dir, const char *prefix)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	u32 n = 0;

	if (!d)
		return 0;
	while ((e = readdir(d)))
		n += e->d_name[0] != '.' && !strncmp(e->d_name, prefix, strlen(prefix));
	closedir(d);
	return n;
}

u32 place_fds(void)
{
	return entries("/proc/self/fd", "");
}

u32 place_files(const char *dir, const char *prefix)
{
	return entries(dir, prefix);
}
