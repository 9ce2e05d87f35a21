// SPDX-License-Identifier: MIT
/*
 * Peer-to-peer types and routes in arbitrary trees; what a program is and what is checked is
 * in tests/model/p2p_model.h.
 */
#include <stdlib.h>

#include "../model/p2p_model.h"
#include "replay.h"
#include "world.h"

enum { MOST_STEPS = 100 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct oli_machine *m;

	if (!m) {
		struct oli_desc d = fuzz_desc("pc");

		m = fuzz_machine(&d);
	}
	if (size > 3 * MOST_STEPS)
		size = 3 * MOST_STEPS;
	fuzz_judge(p2p_model_run(m, data, size), data, size);
	return 0;
}

/* First a tree, then bits; now and then bits that change nothing. */
const uint8_t *replay_random(uint8_t *data, size_t size, size_t *n)
{
	u32 nodes = 6 + (u32)random() % 24, steps = nodes + (u32)random() % 40;

	for (*n = 0; *n / 3 < steps && *n + 3 <= size; *n += 3) {
		u32 i = (u32)(*n / 3);

		data[*n] = i < nodes ? P2P_NODE : (u8)random();
		data[*n + 1] = (u8)random();
		data[*n + 2] = (u8)(random() % 8 ? random() % 128 : random());
	}
	return data;
}
