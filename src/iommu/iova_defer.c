// SPDX-License-Identifier: MIT
/*
 * Deferred frees: a queue in the order of the calls. What is in it is taken in
 * the tree and marked in its record or extent, so nobody is handed it and a
 * second free finds nothing.
 *
 * Tickets count the calls from 1 and index the ring, so "up to this ticket" is a
 * comparison. At 10^9 a second they wrap after 580 years.
 *
 * Room is made first: on -ENOMEM nothing was marked.
 */
#include <assert.h>
#include <errno.h>

#include "iommu/iova_int.h"

#define FIRST_LG2 8

static struct oli_iova_waiting *entry(const struct oli_iova *v, u64 ticket)
{
	const struct oli_iova_queue *q = &v->s->queue;
	struct oli_iova_waiting *ring = oli_iova_at(v, q->off);

	return &ring[ticket & ((1ull << q->lg2) - 1)];
}

static int make_room(struct oli_iova *v)
{
	struct oli_iova_queue *q = &v->s->queue, old = *q;
	struct oli_iova_waiting *from = oli_iova_at(v, old.off);
	u64 t, off;
	int err;

	if (q->off && q->tail - q->head < 1ull << q->lg2)
		return 0;
	err = oli_iova_mem_alloc(v, sizeof(*from) << (old.off ? old.lg2 + 1 : FIRST_LG2), &off);
	if (err)
		return err;
	q->off = off;
	q->lg2 = old.off ? old.lg2 + 1 : FIRST_LG2;
	if (!old.off)
		return 0;
	for (t = q->head; t != q->tail; t++)
		*entry(v, t) = from[t & ((1ull << old.lg2) - 1)];
	oli_iova_mem_free(v, old.off, sizeof(*from) << old.lg2);
	return 0;
}

/* Mark (@start, @nr) as waiting, if it is live. */
static int mark(struct oli_iova *v, u64 start, u64 nr)
{
	struct oli_iova_extent *e;

	if (oli_iova_claim(v, start, nr, OLI_IOVA_DEFER))
		return 0;
	e = oli_iova_extent_find(v, start);
	if (!e || e->nr != nr || e->kind != OLI_IOVA_LIVE)
		return -ENOENT;
	e->kind = OLI_IOVA_WAITING;
	return 0;
}

static int defer(struct oli_iova *v, u64 start, u64 nr, u64 *ticket)
{
	int err;

	/* The slot is wanted for its side effect: records may have to be exchanged now. */
	oli_iova_slot(v);
	err = make_room(v);
	if (!err)
		err = mark(v, start, nr);
	if (err)
		return err;
	*entry(v, v->s->queue.tail) = (struct oli_iova_waiting){start, nr};
	*ticket = v->s->queue.tail++;
	return 0;
}

int oli_iova_free_deferred(struct oli_iova *v, struct olio_iova start, u64 size, u64 *ticket)
{
	u64 granule, nr;
	int err = oli_iova_check(v, start, size, &granule, &nr);

	if (err)
		return err;
	pthread_mutex_lock(&v->s->lock);
	err = defer(v, granule, nr, ticket);
	pthread_mutex_unlock(&v->s->lock);
	return err;
}

void oli_iova_flush(struct oli_iova *v, u64 upto)
{
	struct oli_iova_queue *q = &v->s->queue;
	struct oli_iova_slot *slot;
	struct oli_iova_waiting *w;
	int err;

	pthread_mutex_lock(&v->s->lock);
	slot = oli_iova_slot(v);
	for (; q->head != q->tail && q->head <= upto; q->head++) {
		w = entry(v, q->head);
		if (oli_iova_claim(v, w->start, w->nr, OLI_IOVA_FLUSH)) {
			oli_iova_put(v, slot, w->start, oli_iova_order(w->nr));
			continue;
		}
		err = oli_iova_range_give(v, w->start, w->nr, OLI_IOVA_WAITING);
		assert(!err);
	}
	pthread_mutex_unlock(&v->s->lock);
}

void oli_iova_queue_fini(struct oli_iova *v)
{
	struct oli_iova_queue *q = &v->s->queue;

	if (q->off)
		oli_iova_mem_free(v, q->off, sizeof(struct oli_iova_waiting) << q->lg2);
}
