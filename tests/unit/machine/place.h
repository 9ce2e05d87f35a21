/* SPDX-License-Identifier: MIT */
/* A private machine without RDMA: parts that a test gives, a directory of its own. */
#ifndef OLI_TESTS_UNIT_MACHINE_PLACE_H
#define OLI_TESTS_UNIT_MACHINE_PLACE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the four above */
#include <cmocka.h>

#include "machine/machine.h"

/* One part with room for a table and a few words. */
struct place_root {
	struct oli_table table; /* 96-byte objects, at most 3000 */
	_Atomic u32 words[16];
};

extern const struct oli_part *const place_parts[];
/* How often the part was told to reap slot @i, by this process. */
extern u32 place_reaped[OLI_SLOTS];

/* The machine's directory; its parent is removed at exit of the process that asked first. */
const char *place_dir(void);
/* Attach or fail the test. */
struct oli_machine *place_open(void);
int place_try(struct oli_machine **m, char *why);
/* For children: end with @code without any clean-up. */
_Noreturn void place_leave(int code);
/* Wait for @pid; its exit code, or 128 + signal. */
int place_wait(pid_t pid);

static inline struct place_root *place_root(struct oli_machine *m)
{
	return oli_part_root(m, 0);
}

u32 place_fds(void);
u32 place_files(const char *dir, const char *prefix);

/* As place_try() with parts of which one is physical memory, and a machine of one's own sort. */
int place_try_with(const char *type, const struct oli_desc *desc, struct oli_machine **m,
		   char *why);
struct oli_machine *place_open_with(const char *type, const struct oli_desc *desc);

#endif
