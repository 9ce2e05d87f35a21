// SPDX-License-Identifier: MIT
/*
 * Queue pairs: making, changing, asking, ending.
 *
 * A number is (random 1 … 255) << 16 | index, so that numbers are found without
 * a search and those of a dead queue pair do not come back at once. Both locks
 * are held for every change of state or attribute but the step to ERR that a
 * peer causes, which needs rq_lock only.
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "base/fault.h"
#include "base/rand.h"
#include "rdma/int.h"

struct oli_qp *oli_qp_by_num(struct oli_machine *m, u32 qpn)
{
	struct oli_qp *qp = oli_table_get(m, &oli_rdma(m)->qp, qpn & 0xffff);

	return qp && qp->qpn == qpn ? qp : NULL;
}

struct oli_qp *oli_qp_get(struct oli_machine *m, struct oli_ctx *ctx, u32 handle)
{
	struct oli_qp *qp = oli_table_get(m, &oli_rdma(m)->qp, handle);

	return qp && qp->ctx == ctx->obj.id && qp->obj.slot == m->slot ? qp : NULL;
}

/* ---- create ---- */

static int check_caps(const struct oli_qp_req *r)
{
	if (r->type != IBV_QPT_RC && r->type != IBV_QPT_UC && r->type != IBV_QPT_UD)
		return -EOPNOTSUPP;
	if (!r->send_cq || !r->recv_cq || (r->srq && r->type == IBV_QPT_UC))
		return -EINVAL;
	if (r->max_send_wr > OLI_MAX_QP_WR || r->max_recv_wr > OLI_MAX_QP_WR ||
	    r->max_send_sge > OLI_MAX_SGE || r->max_recv_sge > OLI_MAX_SGE ||
	    r->max_inline_data > OLI_MAX_INLINE)
		return -EINVAL;
	return 0;
}

static int make_rings(struct oli_machine *m, struct oli_qp *qp)
{
	struct oli_qp_req *c = &qp->cap;
	u32 sge = c->max_send_sge * (u32)sizeof(struct rxe_sge), room;
	int err;

	if (c->srq)
		c->max_recv_wr = c->max_recv_sge = 0;
	room = sge > c->max_inline_data ? sge : c->max_inline_data;
	err = oli_ring_create(m, m->slot, c->max_send_wr,
			      (u32)sizeof(struct rxe_send_wqe) + room, &qp->sq);
	if (err)
		return err;
	/* Grant what there is room for: a queue is full exactly when the provider finds it so. */
	c->max_send_wr = qp->sq.mask;
	c->max_inline_data = (1u << qp->sq.elem_log2) - (u32)sizeof(struct rxe_send_wqe);
	if (c->max_inline_data > OLI_MAX_INLINE)
		c->max_inline_data = OLI_MAX_INLINE;
	if (c->srq)
		return 0;
	err = oli_ring_create(m, m->slot, c->max_recv_wr,
			      (u32)sizeof(struct rxe_recv_wqe) +
				      c->max_recv_sge * (u32)sizeof(struct rxe_sge),
			      &qp->rq);
	if (err)
		oli_ring_destroy(m, &qp->sq);
	else
		c->max_recv_wr = qp->rq.mask;
	return err;
}

int oli_qp_create(struct oli_machine *m, struct oli_pd *pd, const struct oli_qp_req *req,
		  struct oli_qp **out)
{
	struct oli_qp *qp;
	int err = check_caps(req);

	if (err)
		return err;
	err = oli_table_alloc(m, &oli_rdma(m)->qp, m->slot, &qp);
	if (err)
		return err == -ENOSPC ? -ENOMEM : err;
	if (!qp->obj.locked) {
		oli_lock_init(&qp->sq_lock);
		oli_lock_init(&qp->rq_lock);
		qp->obj.locked = 1;
	}
	qp->cap = *req;
	err = make_rings(m, qp);
	if (err) {
		oli_table_free(m, &oli_rdma(m)->qp, qp);
		return err;
	}
	qp->qpn = (1 + oli_rand32() % 255) << 16 | qp->obj.id;
	qp->ctx = pd->ctx;
	qp->pd = pd->obj.id;
	qp->scq = oli_handle(req->send_cq);
	qp->rcq = oli_handle(req->recv_cq);
	qp->srq = req->srq ? oli_handle(req->srq) + 1 : 0;
	qp->type = req->type;
	qp->user_handle = req->user_handle;
	qp->sq_sig_all = req->sq_sig_all;
	qp->state = IBV_QPS_RESET;
	qp->path_mtu = IBV_MTU_1024;
	atomic_fetch_add(&pd->users, 1);
	atomic_fetch_add(&req->send_cq->users, 1);
	atomic_fetch_add(&req->recv_cq->users, 1);
	if (req->srq)
		atomic_fetch_add(&req->srq->users, 1);
	oli_obj_publish(&qp->obj);
	*out = qp;
	return 0;
}

u32 oli_qp_num(const struct oli_qp *qp)
{
	return qp->qpn;
}

void oli_qp_caps(const struct oli_qp *qp, struct oli_qp_req *caps)
{
	*caps = qp->cap;
}

void oli_qp_mminfo(const struct oli_qp *qp, struct mminfo *sq, struct mminfo *rq)
{
	oli_ring_mminfo(&qp->sq, sq);
	oli_ring_mminfo(&qp->rq, rq);
}

/* ---- modify ---- */

static bool address_ok(struct oli_machine *m, const struct oli_qp *qp,
		       const struct ib_uverbs_qp_dest *d)
{
	struct oli_ctx *ctx = oli_table_get(m, &oli_rdma(m)->ctx, qp->ctx);
	u8 gid[16];

	return ctx && d->is_global && d->port_num <= 1 && oli_gid_at(m, ctx->dev, d->sgid_index, gid);
}

static int check_attr(struct oli_machine *m, const struct oli_qp *qp,
		      const struct ib_uverbs_modify_qp *a)
{
	u32 mask = a->attr_mask;
	bool bad = ((mask & IBV_QP_PORT) && a->port_num != 1) ||
		   ((mask & IBV_QP_PKEY_INDEX) && a->pkey_index != 0) ||
		   ((mask & IBV_QP_AV) && !address_ok(m, qp, &a->dest)) ||
		   ((mask & IBV_QP_ALT_PATH) && !address_ok(m, qp, &a->alt_dest)) ||
		   ((mask & IBV_QP_PATH_MTU) &&
		    (a->path_mtu < IBV_MTU_256 || a->path_mtu > IBV_MTU_4096)) ||
		   ((mask & IBV_QP_TIMEOUT) && a->timeout > 31) ||
		   ((mask & IBV_QP_RETRY_CNT) && a->retry_cnt > 7) ||
		   ((mask & IBV_QP_RNR_RETRY) && a->rnr_retry > 7) ||
		   ((mask & IBV_QP_MIN_RNR_TIMER) && a->min_rnr_timer > 31) ||
		   ((mask & IBV_QP_MAX_QP_RD_ATOMIC) && a->max_rd_atomic > 128) ||
		   ((mask & IBV_QP_MAX_DEST_RD_ATOMIC) && a->max_dest_rd_atomic > 128) ||
		   ((mask & IBV_QP_DEST_QPN) && a->dest_qp_num > 0xffffff) ||
		   ((mask & IBV_QP_RQ_PSN) && a->rq_psn > 0xffffff) ||
		   ((mask & IBV_QP_SQ_PSN) && a->sq_psn > 0xffffff);

	return bad ? -EINVAL : 0;
}

#define TAKE(bit, member, from)                                                                    \
	do {                                                                                       \
		if (a->attr_mask & (bit))                                                          \
			qp->member = a->from;                                                      \
	} while (0)

static void take_attr(struct oli_qp *qp, const struct ib_uverbs_modify_qp *a)
{
	TAKE(IBV_QP_ACCESS_FLAGS, access, qp_access_flags);
	TAKE(IBV_QP_PKEY_INDEX, pkey_index, pkey_index);
	TAKE(IBV_QP_PORT, port_num, port_num);
	TAKE(IBV_QP_QKEY, qkey, qkey);
	TAKE(IBV_QP_AV, av, dest);
	TAKE(IBV_QP_PATH_MTU, path_mtu, path_mtu);
	TAKE(IBV_QP_TIMEOUT, timeout, timeout);
	TAKE(IBV_QP_RETRY_CNT, retry_cnt, retry_cnt);
	TAKE(IBV_QP_RNR_RETRY, rnr_retry, rnr_retry);
	TAKE(IBV_QP_MIN_RNR_TIMER, min_rnr_timer, min_rnr_timer);
	TAKE(IBV_QP_RQ_PSN, rq_psn, rq_psn);
	TAKE(IBV_QP_SQ_PSN, sq_psn, sq_psn);
	TAKE(IBV_QP_MAX_QP_RD_ATOMIC, max_rd_atomic, max_rd_atomic);
	TAKE(IBV_QP_MAX_DEST_RD_ATOMIC, max_dest_rd_atomic, max_dest_rd_atomic);
	TAKE(IBV_QP_PATH_MIG_STATE, mig_state, path_mig_state);
	TAKE(IBV_QP_EN_SQD_ASYNC_NOTIFY, sqd_notify, en_sqd_async_notify);
	TAKE(IBV_QP_DEST_QPN, dest_qpn, dest_qp_num);
}

/* Forget what is queued: both rings are empty afterwards. */
static void reset_halves(struct oli_machine *m, struct oli_qp *qp)
{
	qp->sq_cons = oli_ring_producer(m, &qp->sq);
	oli_ring_set_consumer(m, &qp->sq, qp->sq_cons);
	if (!qp->srq) {
		qp->rq_cons = oli_ring_producer(m, &qp->rq);
		oli_ring_set_consumer(m, &qp->rq, qp->rq_cons);
	}
	qp->taken.valid = 0;
	qp->wait = OLI_WAIT_NONE;
	qp->peer = 0;
	qp->lost = 0;
	qp->lost_deadline = 0;
}

/* Both locks are held. */
static int modify_locked(struct oli_machine *m, struct oli_qp *qp, const struct ib_uverbs_modify_qp *a)
{
	u32 from = oli_qp_state(qp), mask = a->attr_mask;
	u32 to = mask & IBV_QP_STATE ? a->qp_state : from;
	int err;

	if ((mask & IBV_QP_CUR_STATE) && a->cur_qp_state != from)
		return -EINVAL;
	if (to > IBV_QPS_ERR || !oli_qp_modify_ok(qp->type, from, to, mask))
		return -EINVAL;
	err = check_attr(m, qp, a);
	if (err)
		return err;
	take_attr(qp, a);
	if (to == IBV_QPS_RESET)
		reset_halves(m, qp);
	if (to == IBV_QPS_RTS) {
		qp->retry_left = qp->retry_cnt;
		qp->rnr_left = qp->rnr_retry;
	}
	if (from == IBV_QPS_RTS && to == IBV_QPS_SQD && qp->sqd_notify) {
		atomic_fetch_add(&qp->async_sent, 1);
		oli_async_send(m, qp->ctx, qp->user_handle, IBV_EVENT_SQ_DRAINED);
	}
	if (to == IBV_QPS_ERR && from != IBV_QPS_RESET)
		oli_rq_error(m, qp, OLI_NO_EVENT);
	atomic_store(&qp->state, to);
	if (to == IBV_QPS_ERR && from != IBV_QPS_RESET)
		oli_sq_flush(m, qp);
	return 0;
}

int oli_qp_modify(struct oli_machine *m, struct oli_qp *qp, const struct ib_uverbs_modify_qp *attr)
{
	struct oli_qp *late = NULL;
	struct oli_fail f = {0};
	int err;

	oli_sq_lock(m, qp);
	oli_rq_lock(m, qp);
	err = oli_obj_live(&qp->obj) ? modify_locked(m, qp, attr) : -EINVAL;
	oli_unlock(&qp->rq_lock);
	/* Find the peer now, so that its death is noticed from here on. */
	if (!err && qp->type != IBV_QPT_UD && oli_qp_state(qp) == IBV_QPS_RTR)
		(void)!oli_qp_peer(m, qp, &f);
	/* What was posted while the queue was drained starts now. */
	if (!err && oli_qp_state(qp) == IBV_QPS_RTS)
		oli_sq_run(m, qp, &late);
	oli_unlock(&qp->sq_lock);
	if (late)
		oli_qp_flush_late(m, late);
	return err;
}

/* ---- query ---- */

void oli_qp_query(struct oli_machine *m, struct oli_qp *qp, struct ib_uverbs_query_qp_resp *r)
{
	memset(r, 0, sizeof(*r));
	oli_sq_lock(m, qp);
	r->dest = qp->av;
	r->max_send_wr = qp->cap.max_send_wr;
	r->max_recv_wr = qp->cap.max_recv_wr;
	r->max_send_sge = qp->cap.max_send_sge;
	r->max_recv_sge = qp->cap.max_recv_sge;
	r->max_inline_data = qp->cap.max_inline_data;
	r->qkey = qp->qkey;
	r->rq_psn = qp->rq_psn;
	r->sq_psn = qp->sq_psn;
	r->dest_qp_num = qp->dest_qpn;
	r->qp_access_flags = qp->access;
	r->pkey_index = (u16)qp->pkey_index;
	r->qp_state = (u8)oli_qp_state(qp);
	r->cur_qp_state = r->qp_state;
	r->path_mtu = (u8)qp->path_mtu;
	r->path_mig_state = qp->mig_state;
	r->max_rd_atomic = qp->max_rd_atomic;
	r->max_dest_rd_atomic = qp->max_dest_rd_atomic;
	r->min_rnr_timer = qp->min_rnr_timer;
	r->port_num = (u8)qp->port_num;
	r->timeout = qp->timeout;
	r->retry_cnt = qp->retry_cnt;
	r->rnr_retry = qp->rnr_retry;
	r->sq_sig_all = (u8)qp->sq_sig_all;
	oli_unlock(&qp->sq_lock);
}

/* ---- the end ---- */

static void put_cq(struct oli_machine *m, u32 id)
{
	struct oli_cq *cq = oli_cq_at(m, id);

	if (cq)
		atomic_fetch_sub(&cq->users, 1);
}

static void put_srq(struct oli_machine *m, u32 id)
{
	struct oli_srq *srq = id ? oli_srq_at(m, id - 1) : NULL;

	if (srq)
		atomic_fetch_sub(&srq->users, 1);
}

/* Wait for whoever is in it; after this nobody starts anything on it. */
static void quiesce(struct oli_machine *m, struct oli_qp *qp)
{
	oli_sq_lock(m, qp);
	oli_rq_lock(m, qp);
	atomic_store(&qp->state, IBV_QPS_RESET);
	oli_unlock(&qp->rq_lock);
	oli_unlock(&qp->sq_lock);
}

u32 oli_qp_release(struct oli_machine *m, struct oli_qp *qp)
{
	struct oli_pd *pd = oli_table_get(m, &oli_rdma(m)->pd, qp->pd);
	u32 events;

	quiesce(m, qp);
	events = qp->async_sent;
	oli_ring_destroy(m, &qp->sq);
	oli_ring_destroy(m, &qp->rq);
	put_cq(m, qp->scq);
	put_cq(m, qp->rcq);
	put_srq(m, qp->srq);
	if (pd)
		atomic_fetch_sub(&pd->users, 1);
	oli_table_free(m, &oli_rdma(m)->qp, qp);
	return events;
}

int oli_qp_destroy(struct oli_machine *m, struct oli_qp *qp, u32 *events)
{
	u32 ctx = qp->ctx;
	u64 handle = qp->user_handle;

	if (!oli_obj_kill(&qp->obj))
		return -EINVAL;
	*events = oli_qp_release(m, qp);
	*events -= oli_async_purge(m, ctx, handle);
	return 0;
}
