// SPDX-License-Identifier: MIT
/*
 * The checker's life, and what it does at a map, a doorbell and a change of the mask.
 *
 * What a process has of it is made when it attaches, if the machine has a class on at
 * all; what a device has, when it is opened. What is left at the close is reported and
 * buried, so that who uses it afterwards can be told.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/fault.h"
#include "dma/check_int.h"

#define RANGE "0x%" PRIx64 "+0x%" PRIx64

const char *oli_family_name(enum oli_family family)
{
	static const char *const name[] = {"olio_dma_map", "olio_iova_link", "olio_map_list",
					   "olio_dma_alloc"};

	return name[family];
}

/* ---- life ---- */

int oli_check_attach(struct oli_machine *m, struct oli_dma_local *local)
{
	if (!m->shm->desc.checker)
		return 0;
	local->check = OLI_FAULT() ? NULL : calloc(1, sizeof(*local->check));
	if (!local->check)
		return -ENOMEM;
	local->check->by_pa.by_pa = true;
	pthread_mutex_init(&local->check->lock, NULL);
	return 0;
}

/* All devices are closed, so no track is left. */
void oli_check_detach(struct oli_machine *m, struct oli_dma_local *local)
{
	struct oli_check_local *l = local->check;
	struct oli_bad_mem *bad;

	if (!l)
		return;
	while ((bad = l->bad)) {
		l->bad = bad->next;
		free(bad);
	}
	oli_states_fini(m);
	free(l->by_pa.at);
	pthread_mutex_destroy(&l->lock);
	free(l);
	local->check = NULL;
}

int oli_check_new(struct olio_dev *dev)
{
	struct oli_check_local *l = oli_check_local(dev->m);

	dev->check = NULL;
	if (!l)
		return 0;
	dev->check = OLI_FAULT() ? NULL : calloc(1, sizeof(*dev->check));
	if (!dev->check)
		return -ENOMEM;
	dev->check->local = l;
	return 0;
}

void oli_check_free(struct olio_dev *dev, const void *site)
{
	struct oli_check *c = dev->check;
	struct oli_check_local *l = c->local;

	pthread_mutex_lock(&l->lock);
	oli_guard_report(l);
	if (!c->blind)
		oli_states_close(dev, site);
	while (c->by_dma.n) {
		struct oli_track *t = c->by_dma.at[c->by_dma.n - 1];

		oli_guard_clear(t);
		if (!c->blind)
			oli_misuse(dev, 7, site, t->site,
				   RANGE " of %s() is still mapped when %s is closed", t->dma,
				   t->len, oli_family_name(t->family), dev->node->name);
		oli_track_end(t, site, true);
	}
	oli_keep_fini(dev);
	pthread_mutex_unlock(&l->lock);
	free(c->by_dma.at);
	free(c);
	dev->check = NULL;
}

/* ---- maps ---- */

/* The caller looked at the answer and tried again: the failure before is dealt with. */
static void forgive(struct oli_check_local *l, const struct olio_dev *dev, const struct oli_op *op)
{
	for (u32 i = 0; i < OLI_FAILED; i++) {
		struct oli_failed *f = &l->failed[i];

		if (f->dev == dev && (f->site == op->site || f->pa == op->run.pa.v))
			f->dev = NULL;
	}
}

static void window_check(struct oli_track *t)
{
	const struct oli_desc *d = t->dev->desc;
	u64 last = t->dma + (t->len - 1);

	if (t->run.kind == OLIO_MEM_MMIO)
		return;
	if (t->dma <= OLI_MSI_LAST && last >= OLI_MSI_START)
		oli_say_once(t, 23, t->site, t->site, RANGE " lies where interrupts are written to",
			     t->dma, t->len);
	for (u8 i = 0; i < d->nr_nodes; i++)
		for (int b = 0; b < OLI_BARS; b++) {
			const struct oli_bar *bar = &d->node[i].bar[b];

			if (bar->len && t->dma <= bar->bus + (bar->len - 1) && last >= bar->bus)
				oli_say_once(t, 23, t->site, t->site,
					     RANGE " lies in the window of BAR %d of %s", t->dma,
					     t->len, b, d->node[i].name);
		}
}

void oli_check_mapped(struct olio_dev *dev, const struct oli_op *op)
{
	struct oli_check_local *l = dev->check->local;
	struct oli_track *t;

	pthread_mutex_lock(&l->lock);
	forgive(l, dev, op);
	t = dev->check->blind || !op->len ? NULL : oli_track_new(dev, op);
	if (t) {
		oli_keep_mapped(t);
		window_check(t);
		oli_mem_mapped(t);
		oli_own_mapped(t);
	}
	pthread_mutex_unlock(&l->lock);
}

void oli_check_map_failed(struct olio_dev *dev, const struct oli_op *op, int err)
{
	struct oli_check_local *l = dev->check->local;

	(void)err;
	pthread_mutex_lock(&l->lock);
	l->failed[l->next_failed++ % OLI_FAILED] = (struct oli_failed){.dev = dev,
								       .pa = op->run.pa.v,
								       .dma = op->dma.v,
								       .len = op->len,
								       .tick = ++l->tick,
								       .object = op->object,
								       .site = op->site};
	pthread_mutex_unlock(&l->lock);
}

/* ---- the rest ---- */

void oli_check_doorbell(struct olio_dev *dev, const void *site)
{
	struct oli_check_local *l = dev->check->local;
	struct oli_track *made = NULL;
	const void *cpu;
	bool dirty = oli_wc_dirty(dev, &cpu);

	pthread_mutex_lock(&l->lock);
	oli_guard_report(l);
	for (u32 i = 0; dirty && i < dev->check->by_dma.n; i++) {
		struct oli_track *t = dev->check->by_dma.at[i];

		if (t->family == OLI_ALLOC && t->object == cpu)
			made = t;
	}
	if (dirty)
		oli_misuse(
			dev, 33, site, made ? made->site : NULL,
			"the doorbell rings, but what was written to the allocation at %p has not "
			"left the CPU",
			cpu);
	pthread_mutex_unlock(&l->lock);
}

/* All that a doorbell is to the mapping core: the moment to look. */
void olio_dev_doorbell(struct olio_dev *dev)
{
	if (oli_dev_live(dev))
		OLI_CHECK(dev, oli_check_doorbell(dev, __builtin_return_address(0)));
}

void oli_check_mask(struct olio_dev *dev, const void *site)
{
	struct oli_check_local *l = dev->check->local;
	struct oli_shelf *s = &dev->check->by_dma;

	pthread_mutex_lock(&l->lock);
	for (u32 i = 0; i < s->n; i++)
		if (s->at[i]->dma + (s->at[i]->len - 1) > dev->mask)
			oli_say_once(s->at[i], 17, site, s->at[i]->site,
				     RANGE " is mapped, but does not fit the new mask 0x%" PRIx64,
				     s->at[i]->dma, s->at[i]->len, dev->mask);
	pthread_mutex_unlock(&l->lock);
}
