// SPDX-License-Identifier: MIT
/*
 * The responder: what the other adapter does with a request. It runs on the
 * requester's thread, under the responder's rq_lock, and reaches the responder's
 * memory by whatever way there is. Nothing of the request is believed: key,
 * range, protection domain and access are checked here, at every access.
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "base/fault.h"
#include "rdma/int.h"

/* The receive at the head of the queue, copied once out of the program's reach. */
struct recv {
	u64 wr_id;
	struct oli_list list;
};

static struct oli_device *device(struct oli_machine *m, const struct oli_qp *qp)
{
	struct oli_ctx *ctx = oli_table_peek(m, &oli_rdma(m)->ctx, qp->ctx);

	return &m->shm->devices[ctx ? ctx->dev : 0];
}

/* Between @local, memory of this process, and memory of @qp's. */
static int move(struct oli_machine *m, struct oli_qp *qp, const struct oli_list *local,
		const struct oli_list *remote, u64 len, bool to_remote, struct oli_fail *f,
		enum oli_answer *ans)
{
	struct oli_xfer x = {.slot = qp->obj.slot, .to_remote = to_remote, .local = local,
			     .remote = remote, .len = len};
	int err = oli_list_move(m, &x);

	if (!err)
		return 0;
	f->cause = err != -EFAULT ? OLI_CAUSE_PEER_DIED
		   : x.fault	  ? OLI_CAUSE_DMA
				  : OLI_CAUSE_UNMAPPED;
	f->at_peer = x.bad_side != OLI_SIDE_LOCAL;
	f->want_start = x.bad_addr;
	f->fault = x.fault;
	*ans = err != -EFAULT	? OLI_NO_ANSWER
	       : f->at_peer	? OLI_NAK_OP
				: OLI_LOCAL_FAULT;
	return err;
}

/* ---- RDMA ---- */

static bool qp_permits(const struct oli_qp *qp, u32 access, struct oli_fail *f)
{
	if (qp->access & access)
		return true;
	f->cause = OLI_CAUSE_QP_ACCESS;
	f->access = access;
	f->at_peer = true;
	return false;
}

static enum oli_answer rdma(struct oli_machine *m, struct oli_qp *qp, struct oli_req *req,
			    u32 access, struct oli_fail *f)
{
	enum oli_answer ans = OLI_ACK;
	struct oli_list remote;
	u64 len = req->list->len;

	/* What the queue pair as a whole does not do is an invalid request, not a bad key. */
	if (!qp_permits(qp, access, f))
		return OLI_NAK_INVALID;
	/* A transfer of nothing names no memory (IBTA 9.7.4.1.3). */
	if (!len)
		return OLI_ACK;
	oli_list_init(&remote);
	if (oli_mr_remote(m, qp, req->rkey, req->remote_addr, len, access, &remote, f))
		return OLI_NAK_ACCESS;
	(void)!move(m, qp, req->list, &remote, len, access == IBV_ACCESS_REMOTE_WRITE, f, &ans);
	return ans;
}

/* ---- atomics ---- */

/*
 * Atomic among the operations of this device (IBV_ATOMIC_HCA), on a word of one
 * process: a lock by address, held from the read to the write. A holder that is
 * killed has written all of the word or nothing.
 */
static struct oli_lock *word_lock(struct oli_machine *m, const struct oli_qp *qp, u64 addr)
{
	return &oli_rdma(m)->atomic_lock[(addr / 8 + qp->obj.slot) % OLI_ATOMIC_LOCKS];
}

/* Move the 8 bytes of @word to (@to_remote) or from @there, in @qp's process. */
static int move_word(struct oli_machine *m, struct oli_qp *qp, u64 *word,
		     const struct oli_list *there, bool to_remote, struct oli_fail *f,
		     enum oli_answer *ans)
{
	struct oli_list here;

	oli_list_init(&here);
	oli_list_add(&here, (uintptr_t)word, sizeof(*word), 0, NULL);
	return move(m, qp, &here, there, sizeof(*word), to_remote, f, ans);
}

/* The old value goes into the requester's own memory, by the same calls. */
static enum oli_answer return_word(struct oli_machine *m, struct oli_req *req, u64 *old,
				   struct oli_fail *f)
{
	struct oli_list here;
	struct oli_xfer x = {.slot = m->slot, .to_remote = true, .local = &here,
			     .remote = req->list, .len = sizeof(*old)};

	oli_list_init(&here);
	oli_list_add(&here, (uintptr_t)old, sizeof(*old), 0, NULL);
	if (oli_peer_way(m, m->slot, m->gen) != OLI_WAY_UNKNOWN && oli_list_move(m, &x) == 0)
		return OLI_ACK;
	f->cause = x.fault ? OLI_CAUSE_DMA : OLI_CAUSE_UNMAPPED;
	f->want_start = x.bad_addr;
	f->fault = x.fault;
	return OLI_LOCAL_FAULT;
}

static bool unaligned(const struct oli_req *req, struct oli_fail *f)
{
	if (req->remote_addr % sizeof(u64) == 0)
		return false;
	f->cause = OLI_CAUSE_UNALIGNED;
	f->want_start = req->remote_addr;
	return true;
}

static enum oli_answer atomic(struct oli_machine *m, struct oli_qp *qp, struct oli_req *req,
			      struct oli_fail *f)
{
	enum oli_answer ans = OLI_ACK;
	struct oli_list word;
	struct oli_lock *lock;
	u64 old, new;

	if (!qp_permits(qp, IBV_ACCESS_REMOTE_ATOMIC, f))
		return OLI_NAK_INVALID;
	if (unaligned(req, f))
		return OLI_NAK_INVALID;
	oli_list_init(&word);
	if (oli_mr_remote(m, qp, req->rkey, req->remote_addr, sizeof(u64), IBV_ACCESS_REMOTE_ATOMIC,
			  &word, f))
		return OLI_NAK_ACCESS;
	lock = word_lock(m, qp, word.piece[0].addr);
	(void)!oli_lock(lock);
	if (!move_word(m, qp, &old, &word, false, f, &ans)) {
		new = req->opcode == IBV_WR_ATOMIC_FETCH_AND_ADD ? old + req->compare_add
		      : old == req->compare_add			  ? req->swap
								  : old;
		if (new != old)
			(void)!move_word(m, qp, &new, &word, true, f, &ans);
	}
	oli_unlock(lock);
	return ans == OLI_ACK ? return_word(m, req, &old, f) : ans;
}

/* ---- receives ---- */

/* The receive taken from a shared queue, or one that is taken now. */
static bool next_shared(struct oli_machine *m, struct oli_qp *qp, struct rxe_recv_wqe *wqe,
			struct rxe_sge sge[OLI_MAX_SGE])
{
	if (!qp->taken.valid && !oli_srq_take(m, qp))
		return false;
	wqe->wr_id = qp->taken.wr_id;
	wqe->dma.num_sge = qp->taken.num_sge < OLI_MAX_SRQ_SGE ? qp->taken.num_sge : OLI_MAX_SRQ_SGE;
	memcpy(sge, qp->taken.sge, wqe->dma.num_sge * sizeof(*sge));
	return true;
}

static bool next_recv(struct oli_machine *m, struct oli_qp *qp, struct rxe_recv_wqe *wqe,
		      struct rxe_sge sge[OLI_MAX_SGE])
{
	const struct rxe_recv_wqe *shared;
	u32 max = qp->cap.max_recv_sge;

	if (qp->srq)
		return next_shared(m, qp, wqe, sge);
	if (qp->rq_cons == oli_ring_producer(m, &qp->rq))
		return false;
	shared = oli_ring_elem(m, &qp->rq, qp->rq_cons);
	memcpy(wqe, shared, sizeof(*wqe));
	if (wqe->dma.num_sge > max)
		wqe->dma.num_sge = max;
	memcpy(sge, shared->dma.sge, wqe->dma.num_sge * sizeof(*sge));
	return true;
}

/* Check the receive's scatter list against its process's regions. */
static int scatter(struct oli_machine *m, struct oli_qp *qp, const struct rxe_recv_wqe *wqe,
		   const struct rxe_sge *sge, struct recv *rv, struct oli_fail *f)
{
	rv->wr_id = wqe->wr_id;
	oli_list_init(&rv->list);
	for (u32 i = 0; i < wqe->dma.num_sge; i++)
		if (sge[i].length &&
		    oli_mr_local(m, qp, sge[i].lkey, sge[i].addr, sge[i].length,
				 IBV_ACCESS_LOCAL_WRITE, &rv->list, f))
			return -EACCES;
	return 0;
}

static void fail_recv(struct oli_machine *m, struct oli_qp *qp, u64 wr_id, u32 status,
		      const struct oli_fail *f)
{
	struct ib_uverbs_wc wc = {.wr_id = wr_id, .status = status, .opcode = IBV_WC_RECV,
				  .qp_num = qp->qpn};

	oli_why(m, qp, f, &wc, OLI_OP_RECV, 1);
	(void)!oli_rq_complete(m, qp, &wc, true);
}

static void fill_wc(struct ib_uverbs_wc *wc, const struct oli_qp *qp, const struct oli_req *req,
		    u64 wr_id)
{
	*wc = (struct ib_uverbs_wc){.wr_id = wr_id,
				    .status = IBV_WC_SUCCESS,
				    .opcode = IBV_WC_RECV,
				    .byte_len = (u32)req->list->len,
				    .qp_num = qp->qpn,
				    .src_qp = req->from->qpn,
				    .port_num = 1};
	if (req->opcode == IBV_WR_RDMA_WRITE_WITH_IMM)
		wc->opcode = IBV_WC_RECV_RDMA_WITH_IMM;
	if (req->opcode == IBV_WR_SEND_WITH_INV) {
		wc->wc_flags = IBV_WC_WITH_INV;
		wc->ex.invalidate_rkey = req->imm_or_inv;
	} else if (req->opcode != IBV_WR_SEND) {
		wc->wc_flags = IBV_WC_WITH_IMM;
		wc->ex.imm_data = req->imm_or_inv;
	}
}

static enum oli_answer finish_recv(struct oli_machine *m, struct oli_qp *qp, struct oli_req *req,
				   u64 wr_id)
{
	struct ib_uverbs_wc wc;

	fill_wc(&wc, qp, req, wr_id);
	if (oli_rq_complete(m, qp, &wc, req->solicited)) {
		/* The data is there, its completion is not: the queue pair cannot go on. */
		oli_rq_error(m, qp, IBV_EVENT_QP_FATAL);
		return OLI_NAK_OP;
	}
	return OLI_ACK;
}

static enum oli_answer take_message(struct oli_machine *m, struct oli_qp *qp,
				    struct oli_req *req, struct oli_fail *f)
{
	struct rxe_sge sge[OLI_MAX_SGE];
	struct rxe_recv_wqe wqe;
	enum oli_answer ans = OLI_ACK;
	struct oli_fail local = {0};
	struct recv rv;

	if (!next_recv(m, qp, &wqe, sge))
		return OLI_NAK_RNR;
	if (scatter(m, qp, &wqe, sge, &rv, &local)) {
		fail_recv(m, qp, wqe.wr_id, IBV_WC_LOC_PROT_ERR, &local);
		*f = local;
		f->at_peer = true;
		return OLI_NAK_OP;
	}
	if (req->list->len > rv.list.len) {
		f->cause = OLI_CAUSE_TOO_LONG;
		f->want_len = req->list->len;
		f->have_len = rv.list.len;
		fail_recv(m, qp, rv.wr_id, IBV_WC_LOC_LEN_ERR, f);
		return OLI_NAK_INVALID;
	}
	if (req->opcode == IBV_WR_SEND_WITH_INV &&
	    oli_key_invalidate(m, qp, req->imm_or_inv, true, f))
		return OLI_NAK_ACCESS;
	if (move(m, qp, req->list, &rv.list, req->list->len, true, f, &ans)) {
		if (ans == OLI_NAK_OP) {
			local = *f;
			local.at_peer = false;
			fail_recv(m, qp, rv.wr_id, IBV_WC_LOC_PROT_ERR, &local);
		}
		return ans;
	}
	return finish_recv(m, qp, req, rv.wr_id);
}

static enum oli_answer write_imm(struct oli_machine *m, struct oli_qp *qp, struct oli_req *req,
				 struct oli_fail *f)
{
	struct rxe_sge sge[OLI_MAX_SGE];
	struct rxe_recv_wqe wqe;
	enum oli_answer ans;

	if (!next_recv(m, qp, &wqe, sge))
		return OLI_NAK_RNR;
	ans = rdma(m, qp, req, IBV_ACCESS_REMOTE_WRITE, f);
	return ans == OLI_ACK ? finish_recv(m, qp, req, wqe.wr_id) : ans;
}

/* ---- the whole ---- */

static enum oli_answer serve(struct oli_machine *m, struct oli_qp *qp, struct oli_req *req,
			     struct oli_fail *f)
{
	switch (req->opcode) {
	case IBV_WR_RDMA_WRITE:
		return rdma(m, qp, req, IBV_ACCESS_REMOTE_WRITE, f);
	case IBV_WR_ATOMIC_WRITE:
		if (unaligned(req, f))
			return OLI_NAK_INVALID;
		return rdma(m, qp, req, IBV_ACCESS_REMOTE_WRITE, f);
	case IBV_WR_RDMA_WRITE_WITH_IMM:
		return write_imm(m, qp, req, f);
	case IBV_WR_RDMA_READ:
		return rdma(m, qp, req, IBV_ACCESS_REMOTE_READ, f);
	case IBV_WR_ATOMIC_CMP_AND_SWP:
	case IBV_WR_ATOMIC_FETCH_AND_ADD:
		return atomic(m, qp, req, f);
	default:
		return take_message(m, qp, req, f);
	}
}

static void count(struct oli_machine *m, struct oli_qp *qp, const struct oli_req *req)
{
	struct oli_device *dev = device(m, qp);

	atomic_fetch_add_explicit(&dev->rcvd_msgs, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&dev->rcvd_bytes, req->list->len, memory_order_relaxed);
}

enum oli_answer oli_respond(struct oli_machine *m, struct oli_qp *qp, struct oli_req *req,
			    struct oli_fail *f)
{
	_Atomic u64 *hazard = oli_hazard_take(m, qp->pd);
	enum oli_answer ans = serve(m, qp, req, f);

	oli_hazard_drop(hazard);
	switch (ans) {
	case OLI_ACK:
		count(m, qp, req);
		break;
	case OLI_NAK_RNR:
		atomic_fetch_add(&device(m, qp)->rnr_naks, 1);
		break;
	case OLI_NAK_ACCESS:
		atomic_fetch_add(&device(m, qp)->access_errors, 1);
		if (qp->type == IBV_QPT_RC)
			oli_rq_error(m, qp, IBV_EVENT_QP_ACCESS_ERR);
		break;
	case OLI_NAK_INVALID:
		if (qp->type == IBV_QPT_RC)
			oli_rq_error(m, qp, IBV_EVENT_QP_REQ_ERR);
		break;
	case OLI_NAK_OP:
		if (qp->type == IBV_QPT_RC)
			oli_rq_error(m, qp, IBV_EVENT_QP_FATAL);
		break;
	default:
		break;
	}
	return ans;
}

/*
 * A completion of a datagram says what header came before it (IBTA A17.4.5.1): RoCEv2 and
 * IPv4, or IPv6. It says so where adapters do and UCX reads it, in place of the service level,
 * which such packets have not.
 */
static u8 l3_type(const u8 grh[OLI_GRH])
{
	return 0x8 | (grh[0] >> 4 == 6 ? 1 : 2);
}

void oli_respond_ud(struct oli_machine *m, struct oli_qp *qp, struct oli_req *req)
{
	_Atomic u64 *hazard = oli_hazard_take(m, qp->pd);
	struct oli_list list;
	struct oli_req all = *req;
	struct rxe_sge sge[OLI_MAX_SGE];
	struct rxe_recv_wqe wqe;
	struct oli_fail f = {0};
	struct ib_uverbs_wc wc;
	enum oli_answer ans = OLI_ACK;
	struct recv rv;

	oli_list_init(&list);
	oli_list_add(&list, (uintptr_t)req->grh, OLI_GRH, 0, NULL);
	for (u32 i = 0; i < req->list->n; i++)
		oli_list_add(&list, req->list->piece[i].addr, req->list->piece[i].len,
			     req->list->piece[i].at, req->list->piece[i].mr);
	all.list = &list;
	if (next_recv(m, qp, &wqe, sge) && !scatter(m, qp, &wqe, sge, &rv, &f) &&
	    list.len <= rv.list.len &&
	    !move(m, qp, &list, &rv.list, list.len, true, &f, &ans)) {
		fill_wc(&wc, qp, &all, rv.wr_id);
		wc.wc_flags |= IBV_WC_GRH;
		wc.sl = l3_type(req->grh);
		(void)!oli_rq_complete(m, qp, &wc, req->solicited);
		count(m, qp, req);
	}
	oli_hazard_drop(hazard);
}
