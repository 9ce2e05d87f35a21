// SPDX-License-Identifier: MIT
/*
 * The requester: takes work requests off the send queue, one after the other,
 * and carries each through to its completion on this thread. It stops where the
 * queue is empty, where the queue pair fails, or where it must wait: for a
 * receive that is not posted yet (RNR) or for a peer that does not answer. The
 * service thread comes back when the wait is over.
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "rdma/int.h"

/* The work request at the head of the queue, copied once out of the program's reach. */
struct job {
	struct rxe_send_wqe wqe;
	struct rxe_sge sge[OLI_MAX_SGE];
	struct oli_list list;
	u32 status; /* of its completion */
	struct oli_fail fail;
};

enum outcome { DONE, WAIT };

/* ---- timers ---- */

/* Nanoseconds of an RNR timer code (IBTA 9.7.5.2.8, table 45). */
static u64 rnr_ns(u8 code)
{
	static const u32 us10[32] = {65536, 1,	  2,	3,    4,    6,	  8,	12,   16,  24,	 32,
				     48,    64,	  96,	128,  192,  256,  384,	512,  768, 1024, 1536,
				     2048,  3072, 4096, 6144, 8192, 12288, 16384, 24576, 32768, 49152};

	return us10[code & 31] * 10000ull;
}

/* The transport timer: 4.096 us * 2^timeout; 0 means for ever, where we look twice a second. */
static u64 retry_ns(const struct oli_qp *qp)
{
	return qp->timeout ? 4096ull << qp->timeout : 500 * OLI_NS_PER_MS;
}

/* ---- the peer ---- */

/* The slot of a queue pair that nobody keeps from being destroyed: maybe OLI_SLOT_NONE. */
static u16 owner(const struct oli_qp *qp)
{
	return __atomic_load_n(&qp->obj.slot, __ATOMIC_RELAXED);
}

struct oli_qp *oli_qp_peer(struct oli_machine *m, struct oli_qp *qp, struct oli_fail *f)
{
	struct oli_qp *peer;
	u16 slot;

	if (qp->peer) {
		peer = oli_table_get(m, &oli_rdma(m)->qp, qp->peer - 1);
		if (peer && peer->obj.gen == qp->peer_gen)
			return peer;
		f->cause = qp->lost ? OLI_CAUSE_PEER_DIED : OLI_CAUSE_NO_PEER;
		return NULL;
	}
	f->cause = OLI_CAUSE_NO_ROUTE;
	if (!oli_gid_is_local(m, qp->av.dgid))
		return NULL;
	f->cause = OLI_CAUSE_NO_PEER;
	peer = oli_qp_by_num(m, qp->dest_qpn);
	slot = peer ? owner(peer) : OLI_SLOT_NONE;
	if (slot >= OLI_SLOTS || peer->type != qp->type)
		return NULL;
	qp->peer = peer->obj.id + 1;
	qp->peer_gen = peer->obj.gen;
	qp->peer_slot = slot;
	qp->peer_slot_gen = oli_slot(m, slot)->gen;
	oli_service_watch(m, qp->peer_slot, qp->peer_slot_gen);
	oli_peer_way(m, qp->peer_slot, qp->peer_slot_gen);
	f->cause = OLI_CAUSE_NONE;
	return peer;
}

/* Would it take packets from us? Its rq_lock is held. */
static bool listens(struct oli_machine *m, const struct oli_qp *peer, const struct oli_qp *qp)
{
	u32 state = oli_qp_state(peer);

	/* Only a live object's slot is a slot's number. */
	return oli_obj_live(&peer->obj) && peer->obj.gen == qp->peer_gen &&
	       oli_slot(m, peer->obj.slot)->state == OLI_SLOT_LIVE &&
	       peer->dest_qpn == qp->qpn &&
	       (state == IBV_QPS_RTR || state == IBV_QPS_RTS || state == IBV_QPS_SQD);
}

/* ---- gathering ---- */

static bool is_atomic(u32 op)
{
	return op == IBV_WR_ATOMIC_CMP_AND_SWP || op == IBV_WR_ATOMIC_FETCH_AND_ADD;
}

/* Does what comes back go into the local list? */
static bool writes_local(u32 op)
{
	return op == IBV_WR_RDMA_READ || is_atomic(op);
}

static int gather_inline(struct oli_machine *m, struct oli_qp *qp, struct job *j)
{
	struct rxe_send_wqe *shared = oli_ring_elem(m, &qp->sq, qp->sq_cons);

	if (j->wqe.dma.length > qp->cap.max_inline_data)
		return -EINVAL;
	/* A queue of the device: it takes the bytes out of it without any key. */
	if (j->wqe.dma.length)
		oli_list_add(&j->list, (uintptr_t)shared->dma.inline_data, j->wqe.dma.length, 0,
			     NULL);
	return 0;
}

/*
 * Check the local list. The length is the sum of its elements: some providers
 * fill in dma.length wrongly (ibv_wr_set_sge_list of rdma-core 44).
 */
static int gather(struct oli_machine *m, struct oli_qp *qp, struct job *j)
{
	u32 access = writes_local(j->wqe.wr.opcode) ? IBV_ACCESS_LOCAL_WRITE : 0;

	for (u32 i = 0; i < j->wqe.dma.num_sge; i++) {
		const struct rxe_sge *s = &j->sge[i];

		if (!s->length)
			continue;
		if (oli_mr_local(m, qp, s->lkey, s->addr, s->length, access, &j->list, &j->fail)) {
			j->status = IBV_WC_LOC_PROT_ERR;
			return -EACCES;
		}
	}
	return 0;
}

static int bad_wr(struct job *j)
{
	j->fail.cause = OLI_CAUSE_BAD_WR;
	j->status = IBV_WC_LOC_QP_OP_ERR;
	return -EINVAL;
}

static int load(struct oli_machine *m, struct oli_qp *qp, struct job *j)
{
	const struct rxe_send_wqe *shared = oli_ring_elem(m, &qp->sq, qp->sq_cons);
	int err;

	memcpy(&j->wqe, shared, sizeof(j->wqe));
	oli_list_init(&j->list);
	j->status = IBV_WC_SUCCESS;
	memset(&j->fail, 0, sizeof(j->fail));
	/* An atomic write carries its word in the work request. */
	if ((j->wqe.wr.send_flags & IBV_SEND_INLINE) || j->wqe.wr.opcode == IBV_WR_ATOMIC_WRITE) {
		err = gather_inline(m, qp, j);
		return err ? bad_wr(j) : 0;
	}
	if (j->wqe.dma.num_sge > qp->cap.max_send_sge)
		return bad_wr(j);
	memcpy(j->sge, shared->dma.sge, j->wqe.dma.num_sge * sizeof(j->sge[0]));
	err = gather(m, qp, j);
	if (!err && j->list.len > OLI_MAX_MSG) {
		j->fail = (struct oli_fail){.cause = OLI_CAUSE_TOO_LONG, .want_len = j->list.len,
					    .have_len = OLI_MAX_MSG};
		j->status = IBV_WC_LOC_LEN_ERR;
		err = -EMSGSIZE;
	}
	return err;
}

/* ---- carrying out ---- */

static struct oli_req request(const struct oli_qp *qp, struct job *j)
{
	const struct rxe_send_wr *wr = &j->wqe.wr;
	bool atomic = is_atomic(wr->opcode);

	return (struct oli_req){.from = qp,
				.opcode = wr->opcode,
				.remote_addr = wr->wr.rdma.remote_addr,
				.rkey = atomic ? wr->wr.atomic.rkey : wr->wr.rdma.rkey,
				.compare_add = wr->wr.atomic.compare_add,
				.swap = wr->wr.atomic.swap,
				.imm_or_inv = wr->ex.invalidate_rkey,
				.solicited = wr->send_flags & IBV_SEND_SOLICITED,
				.list = &j->list};
}

static enum outcome wait_for(struct oli_machine *m, struct oli_qp *qp, u32 what, u64 ns)
{
	qp->wait = what;
	qp->deadline = oli_now() + ns;
	oli_wait_add(m, qp);
	return WAIT;
}

static enum outcome unreachable(struct oli_machine *m, struct oli_qp *qp, struct job *j)
{
	struct oli_ctx *ctx = oli_table_peek(m, &oli_rdma(m)->ctx, qp->ctx);

	if (qp->type != IBV_QPT_RC)
		return DONE;
	if (!j->fail.cause)
		j->fail.cause = OLI_CAUSE_NO_PEER;
	/* The first failure only starts the timer; each expiry is one retry used up. */
	if (qp->wait == OLI_WAIT_PEER) {
		bool forever = !qp->timeout && !qp->lost;

		if (qp->retry_left == 0 && !forever) {
			j->status = IBV_WC_RETRY_EXC_ERR;
			return DONE;
		}
		if (oli_now() < qp->deadline)
			return wait_for(m, qp, OLI_WAIT_PEER, qp->deadline - oli_now());
		qp->retry_left -= qp->retry_left > 0;
		if (ctx)
			atomic_fetch_add(&m->shm->devices[ctx->dev].retries, 1);
	}
	return wait_for(m, qp, OLI_WAIT_PEER, retry_ns(qp));
}

static enum outcome not_ready(struct oli_machine *m, struct oli_qp *qp, struct oli_qp *peer,
			      struct job *j)
{
	if (qp->type != IBV_QPT_RC)
		return DONE;
	if (qp->wait == OLI_WAIT_RNR && oli_now() < qp->deadline)
		return wait_for(m, qp, OLI_WAIT_RNR, qp->deadline - oli_now());
	if (qp->rnr_left == 0) {
		j->status = IBV_WC_RNR_RETRY_EXC_ERR;
		j->fail.cause = OLI_CAUSE_NO_RECV;
		return DONE;
	}
	/* 7 means for ever. */
	if (qp->rnr_left != 7)
		qp->rnr_left--;
	return wait_for(m, qp, OLI_WAIT_RNR, rnr_ns(peer->min_rnr_timer));
}

static enum outcome judge(struct oli_machine *m, struct oli_qp *qp, struct oli_qp *peer,
			  struct job *j, enum oli_answer ans)
{
	if (qp->type == IBV_QPT_UC && ans != OLI_LOCAL_FAULT)
		return DONE;
	switch (ans) {
	case OLI_ACK:
		break;
	case OLI_NAK_RNR:
		return not_ready(m, qp, peer, j);
	case OLI_NAK_ACCESS:
		j->status = IBV_WC_REM_ACCESS_ERR;
		break;
	case OLI_NAK_INVALID:
		j->status = IBV_WC_REM_INV_REQ_ERR;
		break;
	case OLI_NAK_OP:
		j->status = IBV_WC_REM_OP_ERR;
		break;
	case OLI_LOCAL_FAULT:
		j->status = IBV_WC_LOC_PROT_ERR;
		break;
	case OLI_NO_ANSWER:
		return unreachable(m, qp, j);
	}
	return DONE;
}

static enum outcome run_connected(struct oli_machine *m, struct oli_qp *qp, struct job *j,
				  struct oli_qp **late)
{
	struct oli_qp *peer = oli_qp_peer(m, qp, &j->fail);
	enum oli_answer ans = OLI_NO_ANSWER;
	struct oli_req req = request(qp, j);

	if (writes_local(j->wqe.wr.opcode) && (qp->type == IBV_QPT_UC || !qp->max_rd_atomic)) {
		bad_wr(j);
		return DONE;
	}
	if ((is_atomic(j->wqe.wr.opcode) || j->wqe.wr.opcode == IBV_WR_ATOMIC_WRITE) &&
	    j->list.len != sizeof(u64)) {
		bad_wr(j);
		return DONE;
	}
	if (!peer || oli_peer_way(m, qp->peer_slot, qp->peer_slot_gen) == OLI_WAY_UNKNOWN)
		return unreachable(m, qp, j);
	oli_rq_lock(m, peer);
	if (listens(m, peer, qp))
		ans = oli_respond(m, peer, &req, &j->fail);
	/* The responder went to the error state: its send half is flushed once we hold no lock. */
	if (ans > OLI_NAK_RNR && ans < OLI_LOCAL_FAULT && qp->type == IBV_QPT_RC && peer != qp)
		*late = peer;
	oli_unlock(&peer->rq_lock);
	return judge(m, qp, peer, j, ans);
}

/* ---- datagrams ---- */

/* What the receiver finds in front of the data (IBTA A17.4.5): an IPv4 header at its end, or a GRH. */
static void fill_grh(u8 grh[OLI_GRH], const u8 sgid[16], const struct ib_uverbs_global_route *r, u64 len)
{
	static const u8 mapped[12] = {[10] = 0xff, [11] = 0xff};
	u16 total;

	memset(grh, 0, OLI_GRH);
	if (!memcmp(sgid, mapped, 12) && !memcmp(r->dgid, mapped, 12)) {
		u8 *ip = grh + 20;

		total = (u16)(20 + 8 + 12 + 8 + len + 4);
		ip[0] = 0x45;
		ip[1] = r->traffic_class;
		ip[2] = (u8)(total >> 8);
		ip[3] = (u8)total;
		ip[6] = 0x40;
		ip[8] = r->hop_limit ? r->hop_limit : 64;
		ip[9] = 17;
		memcpy(ip + 12, sgid + 12, 4);
		memcpy(ip + 16, r->dgid + 12, 4);
		return;
	}
	total = (u16)(8 + 12 + 8 + len + 4);
	grh[0] = (u8)(0x60 | r->traffic_class >> 4);
	grh[1] = (u8)(r->traffic_class << 4 | ((r->flow_label >> 16) & 0xf));
	grh[2] = (u8)(r->flow_label >> 8);
	grh[3] = (u8)r->flow_label;
	grh[4] = (u8)(total >> 8);
	grh[5] = (u8)total;
	grh[6] = 17;
	grh[7] = r->hop_limit ? r->hop_limit : 64;
	memcpy(grh + 8, sgid, 16);
	memcpy(grh + 24, r->dgid, 16);
}

/* Where the datagram goes, or NULL; and what is in front of it. */
static struct oli_qp *ud_target(struct oli_machine *m, struct oli_qp *qp, u32 dev, struct job *j,
				u8 grh[OLI_GRH])
{
	u32 num = j->wqe.wr.wr.ud.ah_num;
	struct oli_ah *ah = num ? oli_table_get(m, &oli_rdma(m)->ah, num - 1) : NULL;
	u8 sgid[16];

	if (!ah || ah->obj.slot != qp->obj.slot || ah->pd != qp->pd) {
		bad_wr(j);
		return NULL;
	}
	if (!oli_gid_is_local(m, ah->attr.grh.dgid) ||
	    !oli_gid_at(m, dev, ah->attr.grh.sgid_index, sgid))
		return NULL;
	fill_grh(grh, sgid, &ah->attr.grh, j->list.len);
	return oli_qp_by_num(m, j->wqe.wr.wr.ud.remote_qpn);
}

/* Nobody hears of a datagram that is not delivered. */
static enum outcome run_datagram(struct oli_machine *m, struct oli_qp *qp, struct job *j)
{
	struct oli_ctx *ctx = oli_table_peek(m, &oli_rdma(m)->ctx, qp->ctx);
	struct oli_req req = request(qp, j);
	u32 qkey = j->wqe.wr.wr.ud.remote_qkey, dev = ctx ? ctx->dev : 0;
	u32 mtu = oli_device_mtu(m, dev);
	struct oli_qp *to;
	u8 grh[OLI_GRH];
	u16 slot;

	if (j->list.len > mtu) {
		j->fail = (struct oli_fail){.cause = OLI_CAUSE_TOO_LONG, .want_len = j->list.len,
					    .have_len = mtu};
		j->status = IBV_WC_LOC_LEN_ERR;
		return DONE;
	}
	req.grh = grh;
	to = ud_target(m, qp, dev, j, grh);
	slot = to ? owner(to) : OLI_SLOT_NONE;
	if (slot >= OLI_SLOTS || oli_peer_way(m, slot, oli_slot(m, slot)->gen) == OLI_WAY_UNKNOWN)
		return DONE;
	/* A key with its top bit set stands for the queue pair's own (IBTA 10.2.5). */
	if (qkey & 0x80000000)
		qkey = qp->qkey;
	oli_rq_lock(m, to);
	if (oli_obj_live(&to->obj) && oli_slot(m, to->obj.slot)->state == OLI_SLOT_LIVE &&
	    to->qpn == j->wqe.wr.wr.ud.remote_qpn && to->type == IBV_QPT_UD && to->qkey == qkey &&
	    oli_qp_state(to) >= IBV_QPS_RTR && oli_qp_state(to) <= IBV_QPS_SQE)
		oli_respond_ud(m, to, &req);
	oli_unlock(&to->rq_lock);
	return DONE;
}

/* ---- one work request ---- */

static enum outcome run_local(struct oli_machine *m, struct oli_qp *qp, struct job *j)
{
	const struct rxe_send_wr *wr = &j->wqe.wr;

	if (wr->opcode == IBV_WR_BIND_MW && oli_mw_bind(m, qp, wr, &j->fail))
		j->status = IBV_WC_MW_BIND_ERR;
	if (wr->opcode == IBV_WR_LOCAL_INV &&
	    oli_key_invalidate(m, qp, wr->ex.invalidate_rkey, false, &j->fail))
		j->status = IBV_WC_LOC_QP_OP_ERR;
	return DONE;
}

static enum outcome run_remote(struct oli_machine *m, struct oli_qp *qp, struct job *j,
			       struct oli_qp **late)
{
	switch (j->wqe.wr.opcode) {
	case IBV_WR_SEND:
	case IBV_WR_SEND_WITH_IMM:
		if (qp->type == IBV_QPT_UD)
			return run_datagram(m, qp, j);
		return run_connected(m, qp, j, late);
	case IBV_WR_RDMA_WRITE:
	case IBV_WR_RDMA_WRITE_WITH_IMM:
	case IBV_WR_RDMA_READ:
	case IBV_WR_ATOMIC_CMP_AND_SWP:
	case IBV_WR_ATOMIC_FETCH_AND_ADD:
	case IBV_WR_ATOMIC_WRITE:
	case IBV_WR_SEND_WITH_INV:
		if (qp->type != IBV_QPT_UD)
			return run_connected(m, qp, j, late);
		break;
	}
	bad_wr(j);
	return DONE;
}

/*
 * The hazard keeps the regions of the local list alive until the last byte has
 * moved. Work on keys waits for hazards itself, and must not hold one.
 */
static enum outcome run_job(struct oli_machine *m, struct oli_qp *qp, struct job *j,
			    struct oli_qp **late)
{
	_Atomic u64 *hazard = oli_hazard_take(m, qp->pd);
	int err = load(m, qp, j);
	u32 op = j->wqe.wr.opcode;
	bool local = op == IBV_WR_BIND_MW || op == IBV_WR_LOCAL_INV;
	enum outcome out = !err && !local ? run_remote(m, qp, j, late) : DONE;

	oli_hazard_drop(hazard);
	return !err && local ? run_local(m, qp, j) : out;
}

static u32 wc_opcode(u32 op)
{
	switch (op) {
	case IBV_WR_RDMA_WRITE:
	case IBV_WR_RDMA_WRITE_WITH_IMM:
		return IBV_WC_RDMA_WRITE;
	case IBV_WR_RDMA_READ:
		return IBV_WC_RDMA_READ;
	case IBV_WR_ATOMIC_CMP_AND_SWP:
		return IBV_WC_COMP_SWAP;
	case IBV_WR_ATOMIC_FETCH_AND_ADD:
		return IBV_WC_FETCH_ADD;
	case IBV_WR_ATOMIC_WRITE:
		return IBV_WC_ATOMIC_WRITE;
	case IBV_WR_BIND_MW:
		return IBV_WC_BIND_MW;
	case IBV_WR_LOCAL_INV:
		return IBV_WC_LOCAL_INV;
	default:
		return IBV_WC_SEND;
	}
}

static void finish_job(struct oli_machine *m, struct oli_qp *qp, struct job *j)
{
	struct ib_uverbs_wc wc = {.wr_id = j->wqe.wr.wr_id,
				  .status = j->status,
				  .opcode = wc_opcode(j->wqe.wr.opcode),
				  .byte_len = (u32)j->list.len,
				  .qp_num = qp->qpn,
				  .port_num = 1};
	bool failed = j->status != IBV_WC_SUCCESS;

	qp->wait = OLI_WAIT_NONE;
	qp->retry_left = qp->retry_cnt;
	qp->rnr_left = qp->rnr_retry;
	if (failed)
		oli_why(m, qp, &j->fail, &wc, j->wqe.wr.opcode, 1);
	qp->count.sent_msgs++;
	qp->count.sent_bytes += j->list.len;
	oli_sq_complete(m, qp, &wc,
			failed || qp->sq_sig_all || (j->wqe.wr.send_flags & IBV_SEND_SIGNALED));
	if (failed)
		oli_qp_error(m, qp, OLI_NO_EVENT);
}

static void count_sent(struct oli_machine *m, const struct oli_qp *qp, u64 msgs, u64 bytes)
{
	struct oli_ctx *ctx = oli_table_peek(m, &oli_rdma(m)->ctx, qp->ctx);
	struct oli_device *dev = &m->shm->devices[ctx ? ctx->dev : 0];

	atomic_fetch_add_explicit(&dev->sent_msgs, msgs, memory_order_relaxed);
	atomic_fetch_add_explicit(&dev->sent_bytes, bytes, memory_order_relaxed);
}

void oli_sq_run(struct oli_machine *m, struct oli_qp *qp, struct oli_qp **late)
{
	u64 msgs = qp->count.sent_msgs, bytes = qp->count.sent_bytes;
	struct job j;

	while (oli_qp_state(qp) == IBV_QPS_RTS && qp->sq_cons != oli_ring_producer(m, &qp->sq)) {
		if (run_job(m, qp, &j, late) == WAIT)
			break;
		finish_job(m, qp, &j);
		if (*late)
			break;
	}
	if (oli_qp_state(qp) == IBV_QPS_ERR)
		oli_sq_flush(m, qp);
	if (qp->count.sent_msgs != msgs)
		count_sent(m, qp, qp->count.sent_msgs - msgs, qp->count.sent_bytes - bytes);
}

int oli_qp_doorbell(struct oli_machine *m, struct oli_qp *qp)
{
	struct oli_qp *late = NULL;
	int err = 0;

	oli_sq_lock(m, qp);
	if (!oli_obj_live(&qp->obj) || oli_qp_state(qp) < IBV_QPS_RTS)
		err = -EINVAL;
	else
		oli_sq_run(m, qp, &late);
	oli_unlock(&qp->sq_lock);
	if (late)
		oli_qp_flush_late(m, late);
	return err;
}
