/* SPDX-License-Identifier: MIT */
/*
 * A fuzz target without its engine: replay.c has a main() that runs files, all files
 * of directories, or with -n COUNT [SEED] that many random programs.
 */
#ifndef OLI_TESTS_FUZZ_REPLAY_H
#define OLI_TESTS_FUZZ_REPLAY_H

#include <stddef.h>
#include <stdint.h>

/* The target. Return: 0; it aborts if something is wrong. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * The target's notion of a random program, from random(), which was seeded: at most
 * @size bytes at @data. Return: its first byte, which may lie behind @data; *@n: its length.
 */
const uint8_t *replay_random(uint8_t *data, size_t size, size_t *n);

#endif
