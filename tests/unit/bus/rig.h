/* SPDX-License-Identifier: MIT */
/* A private machine that looks as a test wants it, with all parts. */
#ifndef OLI_TESTS_UNIT_BUS_RIG_H
#define OLI_TESTS_UNIT_BUS_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the four above */
#include <cmocka.h>

#include "machine/machine.h"
#include "machine/phys.h"
#include "mem/src.h"

/*
 *   pci0 -+- rp0 - up0 -+- down0 - dev0    BARs 0 (4 KiB) and 2 (64 KiB)
 *         |             '- down1 - dev1    the same
 *         '- rp1 - dev2                    BAR 2
 *   plat0     a platform device
 *   soft0     a software device
 */
enum { PCI0, RP0, UP0, DOWN0, DEV0, DOWN1, DEV1, RP1, DEV2, PLAT0, SOFT0, NR_NODES };

#define RIG_BAR_LEN 65536u

/* Strict VT-d, coherent, trusted devices, 64 MiB of scattered RAM, the checker off. */
struct oli_desc rig_desc(void);
/* Make the machine, or fail the test. One at a time. */
struct oli_machine *rig_open(const struct oli_desc *desc);
/* The same with other parts; rig_nothing stands in for a layer that is left out. */
extern const struct oli_part rig_nothing;
struct oli_machine *rig_open_with(const struct oli_desc *desc, const struct oli_part *const *parts);
/* Where the machine is. The same in all processes; removed at the end. */
const char *rig_dir(void);
void rig_close(struct oli_machine *m);

/* Random numbers that are the same in each run. */
u32 rig_rand(u32 below);
void rig_seed(u64 seed);
/* Fill with bytes of which no two neighbouring words are alike. */
void rig_fill(void *p, size_t len, u32 salt);

u32 rig_fds(void);

/* The physical address of each byte of @mem, in malloc'ed memory. */
u64 *rig_bytes(const struct olio_mem *mem);

#endif
