// SPDX-License-Identifier: MIT
/*
 * Completing work requests, and what happens to them when something goes wrong.
 *
 * A work request is completed in four steps: note it in the half's inflight
 * record, consume the ring's element, post the completion, clear the record. A
 * thread that dies in between leaves the record; the next taker of the half's
 * lock redoes the second step and, if it was not done, the third: exactly one
 * completion, never none, never two.
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "base/fault.h"
#include "rdma/int.h"

/* ---- locks with repair ---- */

static void finish_orphan(struct oli_machine *m, struct oli_qp *qp, struct oli_inflight *fl,
			  u32 cqn)
{
	struct ib_uverbs_wc wc = {.wr_id = fl->wr_id, .status = IBV_WC_WR_FLUSH_ERR,
				  .qp_num = qp->qpn};
	struct oli_cq *cq = oli_cq_at(m, cqn);

	if (!cq || !fl->report)
		return;
	oli_cq_settle(m, cq);
	if (!fl->done)
		(void)!oli_cq_post(m, cq, &wc, true, fl);
}

/* The element leaves its queue: the ring, or the place of a receive @taken from a shared queue. */
static void consume(struct oli_machine *m, struct oli_inflight *fl, struct oli_ring *ring, u32 *cons,
		    struct oli_taken *taken)
{
	if (taken) {
		taken->valid = 0;
		return;
	}
	*cons = fl->next;
	oli_ring_set_consumer(m, ring, *cons);
}

static struct oli_taken *taken_of(struct oli_qp *qp)
{
	return qp->srq ? &qp->taken : NULL;
}

static void repair(struct oli_machine *m, struct oli_qp *qp, struct oli_inflight *fl,
		   struct oli_ring *ring, u32 *cons, struct oli_taken *taken, u32 cqn)
{
	if (!fl->busy)
		return;
	consume(m, fl, ring, cons, taken);
	finish_orphan(m, qp, fl, cqn);
	atomic_signal_fence(memory_order_seq_cst);
	fl->busy = 0;
}

void oli_sq_lock(struct oli_machine *m, struct oli_qp *qp)
{
	if (oli_lock(&qp->sq_lock) && oli_obj_live(&qp->obj))
		repair(m, qp, &qp->sq_inflight, &qp->sq, &qp->sq_cons, NULL, qp->scq);
}

static void repair_rq(struct oli_machine *m, struct oli_qp *qp)
{
	if (!oli_obj_live(&qp->obj))
		return;
	/* It may have died while it took a receive: then that is ours from here on. */
	if (qp->srq)
		oli_srq_settle(m, qp->srq - 1);
	repair(m, qp, &qp->rq_inflight, &qp->rq, &qp->rq_cons, taken_of(qp), qp->rcq);
}

void oli_rq_lock(struct oli_machine *m, struct oli_qp *qp)
{
	if (oli_lock(&qp->rq_lock))
		repair_rq(m, qp);
}

void oli_rq_settle(struct oli_machine *m, struct oli_qp *qp)
{
	int held = oli_trylock(&qp->rq_lock);

	/* Whoever holds it now has repaired it. */
	if (held == -EBUSY)
		return;
	if (held)
		repair_rq(m, qp);
	oli_unlock(&qp->rq_lock);
}

/* ---- completing ---- */

static int complete(struct oli_machine *m, struct oli_inflight *fl, struct oli_ring *ring, u32 *cons,
		    struct oli_taken *taken, u32 cqn, const struct ib_uverbs_wc *wc, bool solicited, bool report)
{
	struct oli_cq *cq = oli_cq_at(m, cqn);
	int err = 0;

	fl->wr_id = wc->wr_id;
	fl->next = (*cons + 1) & ring->mask;
	fl->done = 0;
	fl->report = report;
	atomic_signal_fence(memory_order_seq_cst);
	fl->busy = 1;
	atomic_signal_fence(memory_order_seq_cst);
	OLI_CRASH_POINT();
	consume(m, fl, ring, cons, taken);
	OLI_CRASH_POINT();
	if (report && cq)
		err = oli_cq_post(m, cq, wc, solicited, fl);
	OLI_CRASH_POINT();
	atomic_signal_fence(memory_order_seq_cst);
	fl->busy = 0;
	return err;
}

void oli_sq_complete(struct oli_machine *m, struct oli_qp *qp, const struct ib_uverbs_wc *wc,
		     bool report)
{
	/* A full completion queue has raised its own event. */
	(void)!complete(m, &qp->sq_inflight, &qp->sq, &qp->sq_cons, NULL, qp->scq, wc, false, report);
}

int oli_rq_complete(struct oli_machine *m, struct oli_qp *qp, const struct ib_uverbs_wc *wc,
		    bool solicited)
{
	return complete(m, &qp->rq_inflight, &qp->rq, &qp->rq_cons, taken_of(qp), qp->rcq, wc,
			solicited, true);
}

/* ---- flushing ---- */

static void tell_flushed(struct oli_machine *m, struct oli_qp *qp, const struct ib_uverbs_wc *wc,
			 u32 opcode, u32 n)
{
	struct oli_fail f = {.cause = OLI_CAUSE_FLUSHED};

	if (n)
		oli_why(m, qp, &f, wc, opcode, n);
}

void oli_sq_flush(struct oli_machine *m, struct oli_qp *qp)
{
	struct ib_uverbs_wc wc = {.status = IBV_WC_WR_FLUSH_ERR, .qp_num = qp->qpn};
	u32 prod = oli_ring_producer(m, &qp->sq), n = 0;

	qp->wait = OLI_WAIT_NONE;
	while (qp->sq_cons != prod) {
		const struct rxe_send_wqe *wqe = oli_ring_elem(m, &qp->sq, qp->sq_cons);

		wc.wr_id = wqe->wr.wr_id;
		oli_sq_complete(m, qp, &wc, true);
		n++;
	}
	tell_flushed(m, qp, &wc, IBV_WR_SEND, n);
}

/* What is still in the shared queue is not this queue pair's. */
static void flush_taken(struct oli_machine *m, struct oli_qp *qp, struct ib_uverbs_wc *wc)
{
	if (!qp->taken.valid)
		return;
	wc->wr_id = qp->taken.wr_id;
	if (!oli_rq_complete(m, qp, wc, true))
		tell_flushed(m, qp, wc, OLI_OP_RECV, 1);
}

void oli_rq_flush(struct oli_machine *m, struct oli_qp *qp)
{
	struct ib_uverbs_wc wc = {.status = IBV_WC_WR_FLUSH_ERR, .opcode = IBV_WC_RECV,
				  .qp_num = qp->qpn};
	u32 prod = qp->srq ? 0 : oli_ring_producer(m, &qp->rq), n = 0;

	if (qp->srq) {
		flush_taken(m, qp, &wc);
		return;
	}
	while (qp->rq_cons != prod) {
		const struct rxe_recv_wqe *wqe = oli_ring_elem(m, &qp->rq, qp->rq_cons);

		wc.wr_id = wqe->wr_id;
		if (oli_rq_complete(m, qp, &wc, true))
			break;
		n++;
	}
	tell_flushed(m, qp, &wc, OLI_OP_RECV, n);
}

/* ---- going to the error state ---- */

static void send_event(struct oli_machine *m, struct oli_qp *qp, u32 event)
{
	atomic_fetch_add(&qp->async_sent, 1);
	oli_async_send(m, qp->ctx, qp->user_handle, event);
}

static void enter_error(struct oli_machine *m, struct oli_qp *qp, u32 event)
{
	if (oli_qp_state(qp) == IBV_QPS_ERR)
		return;
	atomic_store(&qp->state, IBV_QPS_ERR);
	if (event != OLI_NO_EVENT)
		send_event(m, qp, event);
	/* From here on it takes nothing from its shared queue (IBTA 11.6.3.1). */
	if (qp->srq)
		send_event(m, qp, IBV_EVENT_QP_LAST_WQE_REACHED);
}

void oli_rq_error(struct oli_machine *m, struct oli_qp *qp, u32 event)
{
	enter_error(m, qp, event);
	oli_rq_flush(m, qp);
}

void oli_qp_error(struct oli_machine *m, struct oli_qp *qp, u32 event)
{
	oli_rq_lock(m, qp);
	oli_rq_error(m, qp, event);
	oli_unlock(&qp->rq_lock);
	oli_sq_flush(m, qp);
}

void oli_qp_flush_late(struct oli_machine *m, struct oli_qp *qp)
{
	oli_sq_lock(m, qp);
	if (oli_obj_live(&qp->obj) && oli_qp_state(qp) == IBV_QPS_ERR)
		oli_sq_flush(m, qp);
	oli_unlock(&qp->sq_lock);
}
