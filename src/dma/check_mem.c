// SPDX-License-Identifier: MIT
/*
 * The checker and memory: what kind of memory is mapped, what else lies in its cache
 * lines, and what happens when it is given back.
 *
 * A line is shared if a mapping that the device writes to (from device, bidirectional)
 * meets in it another mapping, or bytes of the program that are no mapping's. When
 * that line is written back or invalidated, one side loses what it wrote. Both ends
 * of a mapping are looked at, and all of what lies between. A bounced mapping shares
 * nothing: its copy has lines of its own. Pieces of one list or state change hands
 * together and may share.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/fault.h"
#include "dma/check_int.h"
#include "mem/src.h"

#define PA_RANGE "0x%" PRIx64 "+0x%" PRIx64

/* ---- class 10 ---- */

static const char *trait_name(u32 traits)
{
	if (traits & OLI_TRAIT_STACK)
		return "a stack";
	return traits & OLI_TRAIT_TEXT ? "program text" : "constants";
}

static bool holds(const struct olio_mem *mem, u64 pa)
{
	for (size_t i = 0; i < mem->nruns; i++)
		if (pa - mem->runs[i].pa.v < mem->runs[i].len)
			return true;
	return false;
}

static void traits_check(struct oli_track *t)
{
	struct oli_bad_mem *bad = t->dev->check->local->bad;

	while (bad && (bad->mem->m != t->dev->m || !holds(bad->mem, t->run.pa.v)))
		bad = bad->next;
	if (bad)
		oli_say_once(t, 10, t->site, bad->site,
			     "0x%" PRIx64 " bytes of %s at %p are mapped", t->len,
			     trait_name(bad->mem->traits), (void *)(uintptr_t)t->va);
}

void oli_check_pin(struct oli_machine *m, const struct olio_mem *mem, const void *site)
{
	struct oli_check_local *l = oli_check_local(m);
	struct oli_bad_mem *bad;

	if (!l || !mem->traits || !oli_check_on(m, 10))
		return;
	bad = OLI_FAULT() ? NULL : malloc(sizeof(*bad));
	if (!bad)
		return; /* it will not be noticed, and nothing wrong is said */
	bad->mem = mem;
	bad->site = site;
	pthread_mutex_lock(&l->lock);
	bad->next = l->bad;
	l->bad = bad;
	pthread_mutex_unlock(&l->lock);
}

/* ---- class 29 ---- */

static void line_check(struct oli_track *t)
{
	u64 line = t->dev->desc->cache_line, first = t->run.pa.v & ~(line - 1);
	u64 end = oli_align_up(t->run.pa.v + t->len, line), alien;
	struct oli_track *other;
	u32 pos = 0;

	while ((other = oli_shelf_next(&t->dev->check->local->by_pa, first, end - first, &pos))) {
		if (other == t || other->bounced || !other->dev->syncs ||
		    (t->object && other->object == t->object) ||
		    !((t->dir | other->dir) & OLIO_FROM_DEVICE))
			continue;
		oli_say_once(t, 29, t->site, other->site,
			     "memory " PA_RANGE " shares a cache line with a mapping of " PA_RANGE
			     " for %s",
			     t->run.pa.v, t->len, other->run.pa.v, other->len,
			     other->dev->node->name);
		return;
	}
	alien = end - first - t->len;
	if (alien && t->dir & OLIO_FROM_DEVICE)
		oli_say_once(t, 29, t->site, t->site,
			     "memory " PA_RANGE
			     ", which the device writes, shares cache lines with "
			     "%" PRIu64 " bytes of other data",
			     t->run.pa.v, t->len, alien);
}

/* ---- class 32 ---- */

static void alloc_check(struct oli_track *t)
{
	struct oli_check_local *l = t->dev->check->local;
	struct oli_track *made = NULL;

	if (!oli_is_dma_alloc(t->dev->m, t->run.pa))
		return;
	for (u32 i = 0; i < l->by_pa.n; i++) {
		struct oli_track *a = l->by_pa.at[i];

		if (a->family == OLI_ALLOC && a->dev->m == t->dev->m &&
		    (t->run.pa.v - a->run.pa.v < a->len ||
		     (t->va && t->va - (u64)(uintptr_t)a->object < a->len)))
			made = a;
	}
	oli_say_once(t, 32, t->site, made ? made->site : NULL,
		     "memory of olio_dma_alloc(), at DMA address 0x%" PRIx64 ", was mapped again",
		     made ? made->dma : 0);
}

void oli_mem_mapped(struct oli_track *t)
{
	if (t->run.kind == OLIO_MEM_MMIO || t->family == OLI_ALLOC)
		return;
	if (oli_check_on(t->dev->m, 10))
		traits_check(t);
	if (oli_check_on(t->dev->m, 29) && t->dev->syncs && !t->bounced)
		line_check(t);
	if (oli_check_on(t->dev->m, 32) && t->dev->check->local->allocs)
		alloc_check(t);
}

/* ---- class 9 ---- */

/* Frames that go away with this pin, in a run. *@len: how many bytes from @pa on are alike. */
static bool goes(struct oli_machine *m, struct olio_pa pa, u64 *len)
{
	struct oli_frame *frame = oli_frame_get(m, pa);
	u64 room = OLI_PAGE_SIZE - (pa.v & (OLI_PAGE_SIZE - 1));

	if (*len > room)
		*len = room;
	return frame && atomic_load(&frame->pins) <= 1;
}

static bool put_run(struct oli_machine *m, struct oli_check_local *l, const struct olio_run *run,
		    const void *site)
{
	u64 part;

	for (u64 done = 0; done < run->len; done += part) {
		struct olio_pa pa = {run->pa.v + done};
		struct oli_track *t;
		u32 pos = 0;

		part = run->len - done;
		if (!oli_shelf_next(&l->by_pa, pa.v, part, &pos))
			return false;
		if (!goes(m, pa, &part))
			continue;
		for (pos = 0; (t = oli_shelf_next(&l->by_pa, pa.v, part, &pos));) {
			if (t->dev->m != m || t->family == OLI_ALLOC)
				continue;
			oli_misuse(t->dev, 9, site, t->site,
				   "memory is given back, but " PA_RANGE
				   " of it is mapped at DMA address 0x%" PRIx64,
				   t->run.pa.v, t->len, t->dma);
			return true;
		}
	}
	return false;
}

void oli_check_put(struct oli_machine *m, const struct olio_mem *mem, const void *site)
{
	struct oli_check_local *l = oli_check_local(m);
	struct oli_bad_mem **p, *bad;

	if (!l)
		return;
	pthread_mutex_lock(&l->lock);
	for (p = &l->bad; *p && (*p)->mem != mem;)
		p = &(*p)->next;
	bad = *p;
	if (bad)
		*p = bad->next;
	free(bad);
	/* A BAR does not go away. One report is enough for one call. */
	for (size_t i = 0; i < mem->nruns && oli_check_on(m, 9); i++)
		if (mem->runs[i].kind != OLIO_MEM_MMIO && put_run(m, l, &mem->runs[i], site))
			break;
	pthread_mutex_unlock(&l->lock);
}
