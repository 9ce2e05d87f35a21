// SPDX-License-Identifier: MIT
/*
 * The life of an I/O address space, and where its state gets its memory.
 *
 * A space is made whole or not at all: what oli_iova_tree_init() left when it
 * failed is what oli_iova_fini() accepts. Granule 0 and what the tree covers
 * beyond the range are taken before anybody can ask.
 *
 * A range's last address may be the top of the 64-bit space; its number of
 * granules fits, because granules have at least 256 bytes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "iommu/iova_int.h"

#define BELOW_4G 0xffffffffull

/* ---- memory ---- */

static int process_alloc(void *ctx, size_t size, u64 *off)
{
	void *p = aligned_alloc(64, (size_t)oli_align_up(size, 64));

	(void)ctx;
	if (!p)
		return -ENOMEM;
	memset(p, 0, size);
	*off = (uintptr_t)p;
	return 0;
}

static void process_free(void *ctx, u64 off, size_t size)
{
	(void)ctx;
	(void)size;
	free((void *)(uintptr_t)off);
}

const struct oli_iova_mem oli_iova_process_mem = {.alloc = process_alloc, .free = process_free};

int oli_iova_mem_alloc(struct oli_iova *v, size_t size, u64 *off)
{
	if (OLI_FAULT())
		return -ENOMEM;
	return v->mem->alloc(v->mem->ctx, size, off);
}

void oli_iova_mem_free(struct oli_iova *v, u64 off, size_t size)
{
	v->mem->free(v->mem->ctx, off, size);
}

/* ---- life ---- */

static int check_config(const struct oli_iova_config *c)
{
	u64 mask;

	if (c->granule_shift < 8 || c->granule_shift > 30 || c->flags & ~OLI_IOVA_LOW_FIRST ||
	    c->cached_orders > OLI_IOVA_MAX_CACHED_ORDERS)
		return -EINVAL;
	mask = (1ull << c->granule_shift) - 1;
	if (c->range.start.v > c->range.last.v || c->range.start.v & mask ||
	    (c->range.last.v & mask) != mask || c->range.last.v == mask)
		return -EINVAL;
	return 0;
}

static void fill(struct oli_iova_state *s, const struct oli_iova_config *c)
{
	s->shift = c->granule_shift;
	s->mask = (1ull << s->shift) - 1;
	s->first = c->range.start.v >> s->shift;
	s->last = c->range.last.v >> s->shift;
	if (!s->first)
		s->first = 1;
	s->small = c->cached_orders ? 1ull << (c->cached_orders - 1) : 0;
	s->fast = oli_iova_slots_work();
	s->soft_limit = c->flags & OLI_IOVA_LOW_FIRST ? BELOW_4G : UINT64_MAX;
	pthread_mutex_init(&s->lock, NULL);
}

int oli_iova_init(struct oli_iova *v, const struct oli_iova_config *config)
{
	struct oli_iova space = {.base = config->mem->base, .mem = config->mem};
	u64 off;
	int err = check_config(config);

	if (!err)
		err = oli_iova_mem_alloc(&space, sizeof(*space.s), &off);
	if (err)
		return err;
	space.s = oli_iova_at(&space, off);
	fill(space.s, config);
	err = oli_iova_tree_init(&space);
	if (err)
		oli_iova_fini(&space);
	else
		*v = space;
	return err;
}

void oli_iova_fini(struct oli_iova *v)
{
	oli_iova_extents_fini(v);
	oli_iova_slots_fini(v);
	oli_iova_tree_fini(v);
	pthread_mutex_destroy(&v->s->lock);
	oli_iova_mem_free(v, oli_iova_off(v, v->s), sizeof(*v->s));
	v->s = NULL;
}
