// SPDX-License-Identifier: MIT
/*
 * Completion queues.
 *
 * Posting is a small transaction (see struct oli_cq): a poster may be killed at
 * any store and the next one still finds, or makes, a queue that a reader cannot
 * tell from one that was never interrupted. Arming and firing happen under the
 * same lock, so an armed queue fires exactly once.
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "base/fault.h"
#include "rdma/ctx.h"
#include "rdma/int.h"

_Static_assert(sizeof(struct ib_uverbs_wc) == 48, "the provider's completion");

static void fire(struct oli_machine *m, struct oli_cq *cq, bool solicited);

/* Steps (3) and (4) of a commit; may be done twice. */
static void commit(struct oli_machine *m, struct oli_cq *cq)
{
	struct oli_inflight *fl = oli_ptr_checked(m, cq->txn_inflight, sizeof(*fl));

	if (fl)
		fl->done = 1;
	OLI_CRASH_POINT();
	cq->prod = cq->txn - 1;
	oli_ring_set_producer(m, &cq->ring, cq->prod);
	OLI_CRASH_POINT();
	atomic_store_explicit(&cq->posted, cq->txn_posted, memory_order_release);
	atomic_signal_fence(memory_order_seq_cst);
	cq->txn = 0;
	atomic_signal_fence(memory_order_seq_cst);
}

/*
 * Finish what a dead poster began. It may have died between its commit and its
 * event: an event too many makes the program look once more, one too few makes
 * it sleep for ever.
 */
static void repair(struct oli_machine *m, struct oli_cq *cq)
{
	if (cq->txn)
		commit(m, cq);
	fire(m, cq, true);
}

static void cq_lock(struct oli_machine *m, struct oli_cq *cq)
{
	if (oli_lock(&cq->lock))
		repair(m, cq);
}

struct oli_cq *oli_cq_at(struct oli_machine *m, u32 id)
{
	return oli_table_get(m, &oli_rdma(m)->cq, id);
}

struct oli_cq *oli_cq_get(struct oli_machine *m, struct oli_ctx *ctx, u32 handle)
{
	struct oli_cq *cq = oli_cq_at(m, handle);

	return cq && cq->ctx == ctx->obj.id && cq->obj.slot == m->slot ? cq : NULL;
}

void oli_cq_settle(struct oli_machine *m, struct oli_cq *cq)
{
	cq_lock(m, cq);
	oli_unlock(&cq->lock);
}

int oli_cq_create(struct oli_machine *m, struct oli_ctx *ctx, const struct oli_cq_req *req,
		  struct oli_cq **out)
{
	struct oli_cq *cq;
	int err;

	if (!req->cqe || req->cqe > OLI_MAX_CQE)
		return -EINVAL;
	err = oli_table_alloc(m, &oli_rdma(m)->cq, m->slot, &cq);
	if (err)
		return err == -ENOSPC ? -ENOMEM : err;
	if (!cq->obj.locked)
		oli_lock_init(&cq->lock);
	cq->obj.locked = 1;
	err = oli_ring_create(m, m->slot, req->cqe, sizeof(struct ib_uverbs_wc), &cq->ring);
	if (err) {
		oli_table_free(m, &oli_rdma(m)->cq, cq);
		return err;
	}
	cq->ctx = ctx->obj.id;
	cq->cqe = cq->ring.mask;
	cq->user_handle = req->user_handle;
	if (req->chan) {
		atomic_fetch_add(&req->chan->users, 1);
		cq->chan = req->chan->obj.id + 1;
		cq->chan_gen = req->chan->obj.gen;
	}
	oli_obj_publish(&cq->obj);
	*out = cq;
	return 0;
}

u32 oli_cq_cqe(const struct oli_cq *cq)
{
	return cq->cqe;
}

void oli_cq_mminfo(const struct oli_cq *cq, struct mminfo *mi)
{
	oli_ring_mminfo(&cq->ring, mi);
}

/* ---- events ---- */

static void send_comp_event(struct oli_machine *m, struct oli_cq *cq)
{
	struct ib_uverbs_comp_event_desc ev = {.cq_handle = cq->user_handle};
	int err = oli_event_send(m, cq->obj.slot, cq->chan - 1, cq->chan_gen, &ev, sizeof(ev));

	if (!err)
		cq->comp_sent++;
	else if (err == -EAGAIN)
		cq->owed++;
}

/* Events that found the pipe full are sent when the program shows up again. */
static void send_owed(struct oli_machine *m, struct oli_cq *cq)
{
	u32 n = cq->owed;

	cq->owed = 0;
	while (n--)
		send_comp_event(m, cq);
}

static void fire(struct oli_machine *m, struct oli_cq *cq, bool solicited)
{
	if (!cq->armed || (!(cq->armed & OLI_CQ_NEXT) && !solicited))
		return;
	/* Sent before it is disarmed: see repair(). */
	if (cq->chan)
		send_comp_event(m, cq);
	atomic_signal_fence(memory_order_seq_cst);
	OLI_CRASH_POINT();
	cq->armed = 0;
}

/* Arming with completions already there does not fire: the program polls again. */
int oli_cq_req_notify(struct oli_machine *m, struct oli_cq *cq, bool solicited_only)
{
	cq_lock(m, cq);
	cq->armed |= solicited_only ? OLI_CQ_SOLICITED : OLI_CQ_NEXT;
	if (cq->owed)
		send_owed(m, cq);
	oli_unlock(&cq->lock);
	return 0;
}

/* ---- posting ---- */

static int overflow(struct oli_machine *m, struct oli_cq *cq)
{
	if (!cq->dead) {
		cq->dead = 1;
		cq->async_sent++;
		oli_async_send(m, cq->ctx, cq->user_handle, IBV_EVENT_CQ_ERR);
	}
	return -EOVERFLOW;
}

/*
 * The reader's index lies on a line that it writes at each poll, which costs a
 * transfer between cores to look at: what it was last is enough until the queue
 * seems full, for it only moves on.
 */
static bool full(struct oli_machine *m, struct oli_cq *cq, u32 next)
{
	if (next == cq->cons)
		cq->cons = oli_ring_consumer(m, &cq->ring);
	return next == cq->cons;
}

int oli_cq_post(struct oli_machine *m, struct oli_cq *cq, const struct ib_uverbs_wc *wc,
		bool solicited, struct oli_inflight *fl)
{
	u32 next;
	int err = 0;

	cq_lock(m, cq);
	next = (cq->prod + 1) & cq->ring.mask;
	if (cq->dead || full(m, cq, next)) {
		err = overflow(m, cq);
		oli_unlock(&cq->lock);
		return err;
	}
	memcpy(oli_ring_elem(m, &cq->ring, cq->prod), wc, sizeof(*wc));
	OLI_CRASH_POINT();
	cq->txn_posted = cq->posted + 1;
	cq->txn_inflight = (u64)((u8 *)fl - m->base);
	atomic_signal_fence(memory_order_seq_cst);
	cq->txn = next + 1;
	atomic_signal_fence(memory_order_seq_cst);
	OLI_CRASH_POINT();
	commit(m, cq);
	OLI_CRASH_POINT();
	fire(m, cq, solicited || wc->status != IBV_WC_SUCCESS);
	oli_unlock(&cq->lock);
	return err;
}

/* ---- resize ---- */

/* Copy the unread completions. Return: how many, or -EINVAL if they do not fit. */
static int move_unread(struct oli_machine *m, struct oli_cq *cq, struct oli_ring *to)
{
	u32 from = oli_ring_consumer(m, &cq->ring), n = 0;

	for (u32 i = from; i != cq->prod; i = (i + 1) & cq->ring.mask) {
		if (n >= to->mask)
			return -EINVAL;
		memcpy(oli_ring_elem(m, to, n++), oli_ring_elem(m, &cq->ring, i),
		       sizeof(struct ib_uverbs_wc));
	}
	return (int)n;
}

int oli_cq_resize(struct oli_machine *m, struct oli_cq *cq, u32 cqe)
{
	struct oli_ring fresh, old;
	int n, err;

	if (!cqe || cqe > OLI_MAX_CQE)
		return -EINVAL;
	err = oli_ring_create(m, m->slot, cqe, sizeof(struct ib_uverbs_wc), &fresh);
	if (err)
		return err;
	cq_lock(m, cq);
	n = move_unread(m, cq, &fresh);
	if (n < 0) {
		oli_unlock(&cq->lock);
		oli_ring_destroy(m, &fresh);
		return -EINVAL;
	}
	old = cq->ring;
	cq->ring = fresh;
	cq->prod = (u32)n;
	cq->cons = 0;
	cq->cqe = fresh.mask;
	oli_ring_set_producer(m, &cq->ring, (u32)n);
	oli_unlock(&cq->lock);
	oli_ring_destroy(m, &old);
	return 0;
}

/* ---- the end ---- */

static bool same_cq(void *arg, const void *event)
{
	return ((const struct ib_uverbs_comp_event_desc *)event)->cq_handle == *(u64 *)arg;
}

void oli_cq_release(struct oli_machine *m, struct oli_cq *cq)
{
	oli_ring_destroy(m, &cq->ring);
	if (cq->chan)
		oli_chan_put(m, cq->chan - 1);
	oli_table_free(m, &oli_rdma(m)->cq, cq);
}

int oli_cq_destroy(struct oli_machine *m, struct oli_cq *cq, u32 *comp, u32 *async)
{
	u64 handle = cq->user_handle;

	if (atomic_load(&cq->users))
		return -EBUSY;
	if (!oli_obj_kill(&cq->obj))
		return -EINVAL;
	/* A poster that came before its queue pair's end may still be in here. */
	cq_lock(m, cq);
	*comp = cq->comp_sent;
	*async = cq->async_sent;
	oli_unlock(&cq->lock);
	if (cq->chan)
		*comp -= oli_event_purge(m, cq->chan - 1, cq->chan_gen,
					 sizeof(struct ib_uverbs_comp_event_desc), same_cq, &handle);
	*async -= oli_async_purge(m, cq->ctx, handle);
	oli_cq_release(m, cq);
	return 0;
}
