/* SPDX-License-Identifier: MIT */
/*
 * The name of a place in a program, from a program counter of this process.
 * By debug information if there is some (libdw, loaded when it is first needed),
 * else by symbol, else by module and offset.
 */
#ifndef OLI_BASE_SITE_H
#define OLI_BASE_SITE_H

#include "base/types.h"

/*
 * "file.c:123 (function)", "module(function+0x1f)", "module+0x4711" or "".
 * @pc: a return address: the call before it is what is named.
 * Context: takes a lock and may allocate and open files; not from a signal handler.
 */
void oli_site_name(const void *pc, char *text, size_t size);

#endif
