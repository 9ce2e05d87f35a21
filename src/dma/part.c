// SPDX-License-Identifier: MIT
/*
 * The mapping core's part of a machine.
 *
 * In the file it keeps counts and reports (struct oli_dma_root), which need no
 * repair: each is one store, or a slot of a ring. All else is this process's: its
 * device handles, bounce slots and what the checker tracks. They end with the
 * process; what they stood for in the file is freed by owner tags below.
 *
 * Parts are left in ascending order, so this one while there still are domains and
 * frames: device handles that are still open then let go of what they have. Lists that
 * were not unmapped are left to the program that has pointers to them.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/fault.h"
#include "dma/root.h"

static int dma_init(struct oli_machine *m, void *root)
{
	(void)m;
	(void)root; /* zeroes are right */
	return 0;
}

static int dma_attach(struct oli_machine *m, void *root, void **out)
{
	struct oli_dma_local *local = OLI_FAULT() ? NULL : calloc(1, sizeof(*local));
	int err;

	(void)root;
	if (!local)
		return -ENOMEM;
	err = oli_bounce_attach(m, local);
	if (!err)
		err = oli_check_attach(m, local);
	if (err) {
		oli_bounce_detach(m, local);
		free(local);
		return err;
	}
	pthread_mutex_init(&local->lock, NULL);
	*out = local;
	return 0;
}

static void dma_detach(struct oli_machine *m, void *root, void *p)
{
	struct oli_dma_local *local = p;
	struct olio_dev *dev, *next;

	(void)root;
	for (dev = local->devs; dev; dev = next) {
		next = dev->next;
		if (dev->users) {
			dev->users = 1;
			olio_dev_close(dev);
		}
		pthread_mutex_destroy(&dev->lock);
		free(dev);
	}
	oli_check_detach(m, local);
	oli_bounce_detach(m, local);
	pthread_mutex_destroy(&local->lock);
	free(local);
}

static void dma_reap(struct oli_machine *m, void *root, u16 slot)
{
	(void)root;
	oli_bounce_reap(m, slot);
}

const struct oli_part oli_dma_part = {
	.name = "dma",
	.root_size = sizeof(struct oli_dma_root),
	.init = dma_init,
	.attach = dma_attach,
	.detach = dma_detach,
	.reap = dma_reap,
};
