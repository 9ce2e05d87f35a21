// SPDX-License-Identifier: MIT
/*
 * Devices, from the outside: opening one by a machine's handle. All other calls on a
 * device are in src/dma.
 */
#include "dma/dev.h"
#include "lib/observe.h"

int olio_dev_open(struct olio_machine *m, const char *name, struct olio_dev **out)
{
	return oli_dev_open(m->m, name, out);
}
