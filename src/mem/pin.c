// SPDX-License-Identifier: MIT
/*
 * Pins: which frame stands for which page of this process.
 *
 *   pins   of a frame: how many sources of memory hold the page. Kept in the frame,
 *          changed here alone
 *
 * A page has a frame exactly as long as it is pinned. What stands for a page is decided by
 * its address: memory that the program maps elsewhere while it is pinned keeps its frame,
 * and the device then finds what is mapped there, or nothing.
 *
 * A huge page takes a whole block, so that one table entry can map it; its 512 frames are
 * counted one by one, like all others. Where some of its pages have frames already, they
 * stay, and the others get single ones.
 *
 * Process-local, one mutex; the machine's part frees the frames of the dead. Counts
 * cannot overflow: each pin is an object of more than 1 byte in this process.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/fault.h"
#include "mem/int.h"
#include "mem/leaf.h"

struct oli_pins {
	pthread_mutex_t lock; /* guards all below, and the pins and flags of our frames */
	bool shadow; /* some device does not see the CPU's caches */
	u64 count;
	struct oli_leaves leaves;
};

/* A software device reaches memory by the CPU and through its caches. */
static bool needs_shadows(const struct oli_desc *d)
{
	for (u32 i = 0; i < d->nr_nodes && i < OLI_NODES; i++) {
		const struct oli_node *n = &d->node[i];

		if ((n->kind == OLI_NODE_ENDPOINT_KIND || n->kind == OLI_NODE_PLATFORM_KIND) &&
		    !n->coherent && !n->software)
			return true;
	}
	return false;
}

struct oli_pins *oli_pins_new(struct oli_machine *m)
{
	struct oli_pins *p = OLI_FAULT() ? NULL : calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	pthread_mutex_init(&p->lock, NULL);
	p->shadow = needs_shadows(&m->shm->desc);
	return p;
}

void oli_pins_free(struct oli_pins *p)
{
	oli_leaves_free(&p->leaves);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

/* ---- pin ---- */

static u32 pins_of(const struct oli_frame *f)
{
	return atomic_load_explicit(&f->pins, memory_order_relaxed);
}

/* Nobody else changes them: no need for one locked operation. */
static void set_pins(struct oli_frame *f, u32 n)
{
	atomic_store_explicit(&f->pins, n, memory_order_relaxed);
}

static int again(struct oli_machine *m, struct olio_pa pa, u32 flags)
{
	struct oli_frame *f = oli_frame_get(m, pa);

	/* Only a damaged machine loses a frame that is ours. */
	if (!f)
		return -EUCLEAN;
	set_pins(f, pins_of(f) + 1);
	if (!(flags & OLI_FRAME_READ_ONLY) &&
	    (atomic_load_explicit(&f->page, memory_order_relaxed) & OLI_FRAME_READ_ONLY))
		atomic_fetch_and(&f->page, ~(u64)OLI_FRAME_READ_ONLY);
	return 0;
}

static int pin_page(struct oli_machine *m, struct oli_pins *p, struct oli_leaf *l, u64 va,
		    u32 flags)
{
	struct olio_pa *pa = &l->pa[oli_leaf_index(va)];
	int err;

	if (pa->v)
		return again(m, *pa, flags);
	err = oli_frame_alloc(m, va, flags, p->shadow, pa);
	if (err) {
		pa->v = 0;
		return err;
	}
	l->used++;
	p->count++;
	return 0;
}

/* Return: 0, or -ENOSPC when no whole block is left, and nothing else has changed. */
static int pin_block(struct oli_machine *m, struct oli_pins *p, struct oli_leaf *l, u32 flags)
{
	struct olio_pa pa;
	int err = oli_frame_alloc_block(m, l->va, flags, p->shadow, &pa);

	if (err)
		return err;
	for (u32 i = 0; i < OLI_BLOCK_FRAMES; i++)
		l->pa[i].v = pa.v + ((u64)i << OLI_PAGE_SHIFT);
	l->used = OLI_BLOCK_FRAMES;
	p->count += OLI_BLOCK_FRAMES;
	return 0;
}

struct adder {
	int (*add)(void *arg, struct olio_pa pa, u64 len);
	void *arg;
};

/* *@done: bytes that are pinned, also on failure. */
static int pin_leaf(struct oli_machine *m, struct oli_pins *p, u64 va, u64 len, bool huge,
		    u32 flags, const struct adder *to, u64 *done)
{
	struct oli_leaf *l = oli_leaf_make(&p->leaves, va);
	int err = 0;

	*done = 0;
	if (!l)
		return -ENOMEM;
	if (huge && !l->used && len == OLI_LEAF_SIZE && !pin_block(m, p, l, flags)) {
		*done = len;
		return to->add(to->arg, l->pa[0], len);
	}
	while (!err && *done < len) {
		err = pin_page(m, p, l, va + *done, flags);
		if (err)
			break;
		err = to->add(to->arg, l->pa[oli_leaf_index(va + *done)], OLI_PAGE_SIZE);
		*done += OLI_PAGE_SIZE;
	}
	oli_leaf_drop(&p->leaves, l);
	return err;
}

/* ---- unpin ---- */

static void unpin_page(struct oli_machine *m, struct oli_pins *p, struct oli_leaf *l, u32 i)
{
	struct oli_frame *f = l->pa[i].v ? oli_frame_get(m, l->pa[i]) : NULL;

	if (!l->pa[i].v)
		return;
	if (f && pins_of(f) > 1) {
		set_pins(f, pins_of(f) - 1);
		return;
	}
	if (f)
		oli_frame_free(m, l->pa[i]);
	l->pa[i].v = 0;
	l->used--;
	p->count--;
}

static void unpin(struct oli_machine *m, struct oli_pins *p, u64 va, u64 len)
{
	while (len) {
		u64 n = oli_leaf_room(va, len);
		struct oli_leaf *l = oli_leaf_find(&p->leaves, va);

		if (l) {
			for (u64 at = 0; at < n; at += OLI_PAGE_SIZE)
				unpin_page(m, p, l, oli_leaf_index(va + at));
			oli_leaf_drop(&p->leaves, l);
		}
		va += n;
		len -= n;
	}
}

int oli_pin(struct oli_machine *m, u64 va, u64 len, bool huge, u32 frame_flags,
	    int (*add)(void *arg, struct olio_pa pa, u64 len), void *arg)
{
	struct oli_pins *p = oli_mem_pins(m);
	struct adder to = {add, arg};
	u64 all = 0;
	int err = 0;

	if (!p)
		return -EINVAL;
	pthread_mutex_lock(&p->lock);
	while (!err && all < len) {
		u64 done;

		err = pin_leaf(m, p, va + all, oli_leaf_room(va + all, len - all), huge,
			       frame_flags, &to, &done);
		all += done;
	}
	if (err)
		unpin(m, p, va, all);
	pthread_mutex_unlock(&p->lock);
	return err;
}

void oli_unpin(struct oli_machine *m, u64 va, u64 len)
{
	struct oli_pins *p = oli_mem_pins(m);

	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	unpin(m, p, va, len);
	pthread_mutex_unlock(&p->lock);
}

/* ---- flags ---- */

static struct oli_frame *frame_at(struct oli_machine *m, struct oli_pins *p, u64 va)
{
	struct oli_leaf *l = oli_leaf_find(&p->leaves, va);

	return l && l->pa[oli_leaf_index(va)].v ? oli_frame_get(m, l->pa[oli_leaf_index(va)])
						: NULL;
}

int oli_pins_share(struct oli_machine *m, u64 va, u64 len, bool share)
{
	struct oli_pins *p = oli_mem_pins(m);
	int err = 0;

	if (!p)
		return -EINVAL;
	pthread_mutex_lock(&p->lock);
	for (u64 at = 0; at < len && !err; at += OLI_PAGE_SIZE) {
		const struct oli_frame *f = frame_at(m, p, va + at);

		err = !f ? -EUCLEAN : pins_of(f) > 1 ? -EBUSY : 0;
	}
	for (u64 at = 0; at < len && !err; at += OLI_PAGE_SIZE) {
		struct oli_frame *f = frame_at(m, p, va + at);

		if (share)
			atomic_fetch_and(&f->page, ~(u64)OLI_FRAME_PRIVATE);
		else
			atomic_fetch_or(&f->page, OLI_FRAME_PRIVATE);
	}
	pthread_mutex_unlock(&p->lock);
	return err;
}

u64 oli_pins_count(struct oli_machine *m)
{
	struct oli_pins *p = oli_mem_pins(m);
	u64 n;

	if (!p)
		return 0;
	pthread_mutex_lock(&p->lock);
	n = p->count;
	pthread_mutex_unlock(&p->lock);
	return n;
}
