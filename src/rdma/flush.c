// SPDX-License-Identifier: MIT
/*
 * Completing work requests, and what happens to them when something goes wrong.
 *
 * A work request is completed in four steps: note it in the half's inflight
 * record, consume the ring's element, post the completion, clear the record. A
 * thread that dies in between leaves the record; the next taker of the half's
 * lock finishes it: exactly one completion, never none, never two.
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
	u64 posted = 0;

	if (!cq || !fl->report)
		return;
	if (!fl->cq_posted || oli_cq_posted(m, cq) < fl->cq_posted)
		(void)!oli_cq_post(m, cq, &wc, true, &posted);
}

static void repair(struct oli_machine *m, struct oli_qp *qp, struct oli_inflight *fl, u32 cqn)
{
	if (!fl->busy)
		return;
	finish_orphan(m, qp, fl, cqn);
	fl->busy = 0;
}

void oli_sq_lock(struct oli_machine *m, struct oli_qp *qp)
{
	if (oli_lock(&qp->sq_lock) && oli_obj_live(&qp->obj))
		repair(m, qp, &qp->sq_inflight, qp->scq);
}

void oli_rq_lock(struct oli_machine *m, struct oli_qp *qp)
{
	if (oli_lock(&qp->rq_lock) && oli_obj_live(&qp->obj))
		repair(m, qp, &qp->rq_inflight, qp->rcq);
}

/* ---- completing ---- */

static int complete(struct oli_machine *m, struct oli_inflight *fl, struct oli_ring *ring, u32 *cons,
		    u32 cqn, const struct ib_uverbs_wc *wc, bool solicited, bool report)
{
	struct oli_cq *cq = oli_cq_at(m, cqn);
	int err = 0;

	fl->wr_id = wc->wr_id;
	fl->cq_posted = 0;
	fl->report = report;
	atomic_signal_fence(memory_order_seq_cst);
	fl->busy = 1;
	OLI_CRASH_POINT();
	*cons = (*cons + 1) & ring->mask;
	oli_ring_set_consumer(m, ring, *cons);
	OLI_CRASH_POINT();
	if (report && cq)
		err = oli_cq_post(m, cq, wc, solicited, &fl->cq_posted);
	OLI_CRASH_POINT();
	fl->busy = 0;
	return err;
}

void oli_sq_complete(struct oli_machine *m, struct oli_qp *qp, const struct ib_uverbs_wc *wc,
		     bool report)
{
	/* A full completion queue has raised its own event. */
	(void)!complete(m, &qp->sq_inflight, &qp->sq, &qp->sq_cons, qp->scq, wc, false, report);
}

int oli_rq_complete(struct oli_machine *m, struct oli_qp *qp, const struct ib_uverbs_wc *wc,
		    bool solicited)
{
	return complete(m, &qp->rq_inflight, &qp->rq, &qp->rq_cons, qp->rcq, wc, solicited, true);
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

void oli_rq_flush(struct oli_machine *m, struct oli_qp *qp)
{
	struct ib_uverbs_wc wc = {.status = IBV_WC_WR_FLUSH_ERR, .opcode = IBV_WC_RECV,
				  .qp_num = qp->qpn};
	u32 prod = oli_ring_producer(m, &qp->rq), n = 0;

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

/* Return: false if it was there already. */
static bool enter_error(struct oli_machine *m, struct oli_qp *qp, u32 event)
{
	if (oli_qp_state(qp) == IBV_QPS_ERR)
		return false;
	atomic_store(&qp->state, IBV_QPS_ERR);
	if (event != OLI_NO_EVENT) {
		atomic_fetch_add(&qp->async_sent, 1);
		oli_async_send(m, qp->ctx, qp->user_handle, event);
	}
	return true;
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
