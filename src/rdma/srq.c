// SPDX-License-Identifier: MIT
/*
 * Shared receive queues.
 *
 * A receive leaves the shared ring before its message comes: it is taken by a
 * queue pair, into a place of its own there, and belongs to that queue pair from
 * then on (IBTA 10.2.9.1). Taking is a small transaction under the queue's lock:
 * (1) copy the element to the queue pair, (2) txn = the new consumer index + 1,
 * (3) mark it taken, advance, (4) txn = 0. A taker of the lock who finds txn set
 * redoes (3) and (4): no receive is lost or given to two.
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "base/fault.h"
#include "rdma/int.h"

static void commit(struct oli_machine *m, struct oli_srq *srq)
{
	struct oli_taken *t = oli_ptr_checked(m, srq->txn_taken, sizeof(*t));

	if (t)
		t->valid = 1;
	OLI_CRASH_POINT();
	srq->cons = srq->txn - 1;
	oli_ring_set_consumer(m, &srq->ring, srq->cons);
	atomic_signal_fence(memory_order_seq_cst);
	srq->txn = 0;
}

static void srq_lock(struct oli_machine *m, struct oli_srq *srq)
{
	if (oli_lock(&srq->lock) && srq->txn)
		commit(m, srq);
}

struct oli_srq *oli_srq_at(struct oli_machine *m, u32 id)
{
	return oli_table_get(m, &oli_rdma(m)->srq, id);
}

struct oli_srq *oli_srq_get(struct oli_machine *m, struct oli_ctx *ctx, u32 handle)
{
	struct oli_srq *srq = oli_srq_at(m, handle);

	return srq && srq->ctx == ctx->obj.id && srq->obj.slot == m->slot ? srq : NULL;
}

static int make_ring(struct oli_machine *m, u32 wr, u32 sge, struct oli_ring *ring)
{
	return oli_ring_create(m, m->slot, wr,
			       (u32)sizeof(struct rxe_recv_wqe) + sge * (u32)sizeof(struct rxe_sge),
			       ring);
}

int oli_srq_create(struct oli_machine *m, struct oli_pd *pd, const struct oli_srq_req *req,
		   struct oli_srq **out)
{
	struct oli_srq *srq;
	int err;

	if (!req->max_wr || req->max_wr > OLI_MAX_SRQ_WR || req->max_sge > OLI_MAX_SRQ_SGE ||
	    req->limit > req->max_wr)
		return -EINVAL;
	err = oli_table_alloc(m, &oli_rdma(m)->srq, m->slot, &srq);
	if (err)
		return err == -ENOSPC ? -ENOMEM : err;
	if (!srq->obj.locked)
		oli_lock_init(&srq->lock);
	srq->obj.locked = 1;
	err = make_ring(m, req->max_wr, req->max_sge, &srq->ring);
	if (err) {
		oli_table_free(m, &oli_rdma(m)->srq, srq);
		return err;
	}
	srq->ctx = pd->ctx;
	srq->pd = pd->obj.id;
	srq->user_handle = req->user_handle;
	srq->max_wr = srq->ring.mask;
	srq->max_sge = req->max_sge;
	srq->limit = req->limit;
	atomic_fetch_add(&pd->users, 1);
	oli_obj_publish(&srq->obj);
	*out = srq;
	return 0;
}

void oli_srq_query(struct oli_machine *m, struct oli_srq *srq, struct oli_srq_req *out)
{
	srq_lock(m, srq);
	*out = (struct oli_srq_req){.user_handle = srq->user_handle, .max_wr = srq->max_wr,
				    .max_sge = srq->max_sge, .limit = srq->limit};
	oli_unlock(&srq->lock);
}

void oli_srq_mminfo(const struct oli_srq *srq, struct mminfo *mi)
{
	oli_ring_mminfo(&srq->ring, mi);
}

/* Copy what is queued into @to. Return: how many, or -EINVAL if they do not fit. */
static int move_queued(struct oli_machine *m, struct oli_srq *srq, struct oli_ring *to)
{
	u32 prod = oli_ring_producer(m, &srq->ring), n = 0;

	for (u32 i = srq->cons; i != prod; i = (i + 1) & srq->ring.mask) {
		if (n >= to->mask)
			return -EINVAL;
		memcpy(oli_ring_elem(m, to, n++), oli_ring_elem(m, &srq->ring, i),
		       1u << to->elem_log2);
	}
	return (int)n;
}

static int resize(struct oli_machine *m, struct oli_srq *srq, u32 max_wr)
{
	struct oli_ring fresh, old;
	int n, err;

	if (!max_wr || max_wr > OLI_MAX_SRQ_WR || max_wr < srq->limit)
		return -EINVAL;
	err = make_ring(m, max_wr, srq->max_sge, &fresh);
	if (err)
		return err;
	srq_lock(m, srq);
	n = move_queued(m, srq, &fresh);
	old = n < 0 ? fresh : srq->ring;
	if (n >= 0) {
		srq->ring = fresh;
		srq->cons = 0;
		srq->max_wr = fresh.mask;
		oli_ring_set_producer(m, &srq->ring, (u32)n);
	}
	oli_unlock(&srq->lock);
	oli_ring_destroy(m, &old);
	return n < 0 ? n : 0;
}

int oli_srq_modify(struct oli_machine *m, struct oli_srq *srq, u32 mask, u32 max_wr, u32 limit)
{
	int err = 0;

	if (mask & ~(u32)(IBV_SRQ_MAX_WR | IBV_SRQ_LIMIT))
		return -EINVAL;
	if ((mask & IBV_SRQ_LIMIT) && limit > (mask & IBV_SRQ_MAX_WR ? max_wr : srq->max_wr))
		return -EINVAL;
	if (mask & IBV_SRQ_MAX_WR)
		err = resize(m, srq, max_wr);
	if (!err && (mask & IBV_SRQ_LIMIT)) {
		srq_lock(m, srq);
		srq->limit = limit;
		oli_unlock(&srq->lock);
	}
	return err;
}

/* Fewer receives than the program wants to be told of: once, until it arms the limit again. */
static void check_limit(struct oli_machine *m, struct oli_srq *srq)
{
	u32 left = (oli_ring_producer(m, &srq->ring) - srq->cons) & srq->ring.mask;

	if (!srq->limit || left >= srq->limit)
		return;
	srq->limit = 0;
	srq->async_sent++;
	oli_async_send(m, srq->ctx, srq->user_handle, IBV_EVENT_SRQ_LIMIT_REACHED);
}

bool oli_srq_take(struct oli_machine *m, struct oli_qp *qp)
{
	struct oli_srq *srq = oli_srq_at(m, qp->srq - 1);
	const struct rxe_recv_wqe *shared;
	struct oli_taken *t = &qp->taken;
	bool got;

	if (!srq)
		return false;
	srq_lock(m, srq);
	got = srq->cons != oli_ring_producer(m, &srq->ring);
	if (got) {
		shared = oli_ring_elem(m, &srq->ring, srq->cons);
		t->wr_id = shared->wr_id;
		t->num_sge = shared->dma.num_sge;
		if (t->num_sge > srq->max_sge)
			t->num_sge = srq->max_sge;
		memcpy(t->sge, shared->dma.sge, t->num_sge * sizeof(t->sge[0]));
		srq->txn_taken = (u64)((u8 *)t - m->base);
		atomic_signal_fence(memory_order_seq_cst);
		OLI_CRASH_POINT();
		srq->txn = ((srq->cons + 1) & srq->ring.mask) + 1;
		atomic_signal_fence(memory_order_seq_cst);
		OLI_CRASH_POINT();
		commit(m, srq);
		check_limit(m, srq);
	}
	oli_unlock(&srq->lock);
	return got;
}

void oli_srq_settle(struct oli_machine *m, u32 id)
{
	struct oli_srq *srq = oli_srq_at(m, id);

	if (!srq)
		return;
	srq_lock(m, srq);
	oli_unlock(&srq->lock);
}

void oli_srq_release(struct oli_machine *m, struct oli_srq *srq)
{
	struct oli_pd *pd = oli_table_get(m, &oli_rdma(m)->pd, srq->pd);

	oli_ring_destroy(m, &srq->ring);
	if (pd)
		atomic_fetch_sub(&pd->users, 1);
	oli_table_free(m, &oli_rdma(m)->srq, srq);
}

int oli_srq_destroy(struct oli_machine *m, struct oli_srq *srq, u32 *events)
{
	u64 handle = srq->user_handle;
	u32 ctx = srq->ctx;

	if (atomic_load(&srq->users))
		return -EBUSY;
	if (!oli_obj_kill(&srq->obj))
		return -EINVAL;
	*events = srq->async_sent;
	oli_srq_release(m, srq);
	*events -= oli_async_purge(m, ctx, handle);
	return 0;
}
