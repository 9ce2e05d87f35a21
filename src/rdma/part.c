// SPDX-License-Identifier: MIT
/*
 * The RDMA part of a machine: its tables, what a process keeps beside them, and
 * the end of those who die.
 *
 * Process-local is the list of queue pairs that wait for a time, and what
 * registrations hold (umem.c). Only the owner's service thread runs their timers. A queue pair whose peer was killed
 * fails when its retry time is over, also if it was only receiving: nobody else
 * would ever tell it.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "dma/dev.h"
#include "iommu/domain.h"
#include "machine/phys.h"
#include "rdma/ctx.h"
#include "rdma/int.h"

struct local {
	pthread_mutex_t lock; /* guards the list */
	u32 *qp;              /* indexes */
	u32 n, room;
	u8 listed[OLI_MAX_QP]; /* by index: it is on the list. Here and not in the object,
				  which may be another process's by the time it is looked at */
	struct oli_umem_local umem;
};

/*
 * In the order of OLI_PART_*, which is also the order in which the dead are reaped:
 * who uses memory before who maps it, address spaces before the frames they lead to.
 */
const struct oli_part *const oli_parts[] = {[OLI_PART_RDMA] = &oli_rdma_part,
					    [OLI_PART_MEM] = &oli_mem_part,
					    [OLI_PART_DMA] = &oli_dma_part,
					    [OLI_PART_IOMMU] = &oli_iommu_part,
					    [OLI_PART_PHYS] = &oli_phys_part,
					    [OLI_PART_PHYS + 1] = NULL};

static_assert(OLI_PART_RDMA < OLI_PART_DMA && OLI_PART_DMA < OLI_PART_IOMMU &&
		      OLI_PART_IOMMU < OLI_PART_PHYS,
	      "who leads to memory is reaped before the memory is");

static int rdma_init(struct oli_machine *m, void *root)
{
	struct oli_rdma *r = root;
	u32 head = sizeof(struct oli_obj);

	(void)m;
	oli_table_init(&r->ctx, sizeof(struct oli_ctx), head, OLI_MAX_CTX);
	oli_table_init(&r->chan, sizeof(struct oli_chan), head, OLI_MAX_CHAN);
	oli_table_init(&r->pd, sizeof(struct oli_pd), head, OLI_MAX_PD);
	oli_table_init(&r->mr, sizeof(struct oli_mr), head, OLI_MAX_MR);
	oli_table_init(&r->cq, sizeof(struct oli_cq), offsetof(struct oli_cq, ctx), OLI_MAX_CQ);
	oli_table_init(&r->qp, sizeof(struct oli_qp), offsetof(struct oli_qp, qpn), OLI_MAX_QP);
	oli_table_init(&r->srq, sizeof(struct oli_srq), offsetof(struct oli_srq, ctx), OLI_MAX_SRQ);
	for (int i = 0; i < OLI_ATOMIC_LOCKS; i++)
		oli_lock_init(&r->atomic_lock[i]);
	oli_table_init(&r->ah, sizeof(struct oli_ah), head, OLI_MAX_AH);
	return 0;
}

static int rdma_attach(struct oli_machine *m, void *root, void **localp)
{
	struct local *l = OLI_FAULT() ? NULL : calloc(1, sizeof(*l));

	(void)m;
	(void)root;
	if (!l)
		return -ENOMEM;
	pthread_mutex_init(&l->lock, NULL);
	oli_umem_attach(&l->umem);
	*localp = l;
	return 0;
}

static void rdma_detach(struct oli_machine *m, void *root, void *localp)
{
	struct local *l = localp;

	(void)root;
	m->local[OLI_PART_RDMA] = NULL;
	oli_umem_detach(&l->umem);
	pthread_mutex_destroy(&l->lock);
	free(l->qp);
	free(l);
}

struct oli_umem_local *oli_umem_local(struct oli_machine *m)
{
	struct local *l = m->local[OLI_PART_RDMA];

	return l ? &l->umem : NULL;
}

/* ---- the waiting list ---- */

/* The list's lock is held. Without memory the queue pair waits for the next doorbell. */
static void list_add(struct local *l, struct oli_qp *qp)
{
	if (l->listed[qp->obj.id])
		return;
	if (l->n == l->room) {
		u32 room = l->room ? 2 * l->room : 64;
		u32 *bigger = realloc(l->qp, room * sizeof(*bigger));

		if (!bigger)
			return;
		l->qp = bigger;
		l->room = room;
	}
	l->qp[l->n++] = qp->obj.id;
	l->listed[qp->obj.id] = 1;
}

void oli_wait_add(struct oli_machine *m, struct oli_qp *qp)
{
	struct local *l = m->local[OLI_PART_RDMA];

	if (!l)
		return;
	pthread_mutex_lock(&l->lock);
	list_add(l, qp);
	pthread_mutex_unlock(&l->lock);
	oli_service_kick(m);
}

/* ---- timers ---- */

/* All the retries that a requester would make, also for one that only receives. */
static u64 retry_time(const struct oli_qp *qp)
{
	u64 once = qp->timeout ? 4096ull << qp->timeout : 500 * OLI_NS_PER_MS;

	return once * (qp->retry_cnt + 1u);
}

/* The peer was killed and the time is over: fail what is outstanding, flush the rest. */
static void fail_lost(struct oli_machine *m, struct oli_qp *qp)
{
	struct oli_fail f = {.cause = OLI_CAUSE_PEER_DIED};
	struct ib_uverbs_wc wc = {.status = IBV_WC_RETRY_EXC_ERR, .qp_num = qp->qpn};

	if (qp->sq_cons != oli_ring_producer(m, &qp->sq) && oli_qp_state(qp) == IBV_QPS_RTS) {
		const struct rxe_send_wqe *wqe = oli_ring_elem(m, &qp->sq, qp->sq_cons);

		wc.wr_id = wqe->wr.wr_id;
		oli_why(m, qp, &f, &wc, wqe->wr.opcode, 1);
		oli_sq_complete(m, qp, &wc, true);
	} else {
		oli_why(m, qp, &f, &wc, OLI_OP_RECV, 1);
	}
	oli_qp_error(m, qp, IBV_EVENT_QP_FATAL);
}

/* Run one waiting queue pair. Return: its next deadline, 0 if it waits no more. */
static u64 run_waiting(struct oli_machine *m, struct oli_qp *qp, u64 now)
{
	struct oli_qp *late = NULL;
	u64 next = 0;

	oli_sq_lock(m, qp);
	if (oli_obj_live(&qp->obj) && qp->obj.slot == m->slot) {
		if (qp->lost && !qp->lost_deadline)
			qp->lost_deadline = now + retry_time(qp);
		if (qp->lost && qp->lost_deadline <= now && oli_qp_state(qp) != IBV_QPS_ERR &&
		    oli_qp_state(qp) > IBV_QPS_INIT)
			fail_lost(m, qp);
		else if (qp->wait && qp->deadline <= now)
			oli_sq_run(m, qp, &late);
		/* A drained queue waits for its program, not for a time. */
		if (qp->wait && oli_qp_state(qp) == IBV_QPS_RTS)
			next = qp->deadline;
		if (qp->lost && oli_qp_state(qp) > IBV_QPS_INIT &&
		    oli_qp_state(qp) != IBV_QPS_ERR &&
		    (!next || qp->lost_deadline < next))
			next = qp->lost_deadline;
	}
	oli_unlock(&qp->sq_lock);
	if (late)
		oli_qp_flush_late(m, late);
	return next;
}

/* Somebody reaped a peer of ours: put the queue pairs it left on the list. */
static void find_lost(struct oli_machine *m, struct local *l)
{
	struct oli_qp *qp;

	pthread_mutex_lock(&l->lock);
	for (u32 id = 0; (qp = oli_table_peek(m, &oli_rdma(m)->qp, id)); id++)
		if (oli_obj_live(&qp->obj) && qp->obj.slot == m->slot && qp->lost &&
		    oli_qp_state(qp) != IBV_QPS_ERR)
			list_add(l, qp);
	pthread_mutex_unlock(&l->lock);
}

static u64 rdma_tick(struct oli_machine *m, void *root, void *localp, u64 now)
{
	struct local *l = localp;
	u64 first = 0;

	(void)root;
	if (atomic_exchange(&oli_slot(m, m->slot)->attention, 0))
		find_lost(m, l);
	pthread_mutex_lock(&l->lock);
	for (u32 i = 0; i < l->n;) {
		struct oli_qp *qp = oli_table_peek(m, &oli_rdma(m)->qp, l->qp[i]);
		u64 next;

		/* Off the list first: a doorbell that must wait meanwhile lists it again. */
		l->qp[i] = l->qp[--l->n];
		l->listed[qp->obj.id] = 0;
		pthread_mutex_unlock(&l->lock);
		next = run_waiting(m, qp, now);
		pthread_mutex_lock(&l->lock);
		if (!next)
			continue;
		if (!first || next < first)
			first = next;
		if (!l->listed[qp->obj.id]) {
			list_add(l, qp);
			/* It now stands at the end; what was swapped to @i is looked at next. */
			if (l->n && i < l->n - 1) {
				u32 last = l->qp[l->n - 1];

				l->qp[l->n - 1] = l->qp[i];
				l->qp[i] = last;
			}
			i++;
		}
	}
	pthread_mutex_unlock(&l->lock);
	return first;
}

void oli_quiesce(struct oli_machine *m)
{
	struct oli_qp *qp;

	for (u32 id = 0; (qp = oli_table_peek(m, &oli_rdma(m)->qp, id)); id++) {
		if (!oli_obj_live(&qp->obj) || qp->obj.slot != m->slot)
			continue;
		oli_rq_lock(m, qp);
		oli_unlock(&qp->rq_lock);
	}
}

/* ---- the reaper ---- */

/* Tell the queue pair at the other end that its peer was killed. */
static void mark_lost(struct oli_machine *m, const struct oli_qp *dead)
{
	struct oli_qp *qp;

	if (dead->type == IBV_QPT_UD)
		return;
	qp = oli_qp_by_num(m, dead->dest_qpn);
	if (!qp || qp->dest_qpn != dead->qpn || qp->obj.slot == dead->obj.slot)
		return;
	atomic_store(&qp->lost, 1);
	atomic_store(&oli_slot(m, qp->obj.slot)->attention, 1);
	oli_service_kick_peer(m, qp->obj.slot);
}

static void reap_qps(struct oli_machine *m, struct oli_rdma *r, u16 slot)
{
	struct oli_qp *qp;

	for (u32 id = 0; (qp = oli_table_peek(m, &r->qp, id)); id++) {
		if (qp->obj.state == OLI_OBJ_FREE || qp->obj.slot != slot)
			continue;
		if (qp->obj.state == OLI_OBJ_NEW) {
			oli_table_free(m, &r->qp, qp);
			continue;
		}
		if (slot != m->slot && qp->state > IBV_QPS_INIT)
			mark_lost(m, qp);
		atomic_store(&qp->obj.state, OLI_OBJ_DYING);
		oli_qp_release(m, qp);
	}
}

/*
 * Finish what the dead one began on queue pairs that live on, now: a receiver
 * may sleep until its completion comes, and for datagrams nobody else would see.
 */
static void settle_survivors(struct oli_machine *m, struct oli_rdma *r)
{
	struct oli_qp *qp;

	for (u32 id = 0; (qp = oli_table_peek(m, &r->qp, id)); id++)
		if (oli_obj_live(&qp->obj))
			oli_rq_settle(m, qp);
}

static void reap_regions(struct oli_machine *m, struct oli_rdma *r, u16 slot)
{
	struct oli_mr *mr;

	for (u32 id = 0; (mr = oli_table_peek(m, &r->mr, id)); id++) {
		if (mr->obj.state == OLI_OBJ_FREE || mr->obj.slot != slot)
			continue;
		/* Not filled in: it counts nowhere yet. */
		if (mr->obj.state == OLI_OBJ_NEW) {
			oli_table_free(m, &r->mr, mr);
			continue;
		}
		atomic_store(&mr->obj.state, OLI_OBJ_DYING);
		oli_mr_release(m, mr);
	}
}

/* Objects that need no care: their memory goes with the slot's pages. */
static void reap_table(struct oli_machine *m, struct oli_table *t, u16 slot)
{
	struct oli_obj *obj;

	for (u32 id = 0; (obj = oli_table_peek(m, t, id)); id++)
		if (obj->state != OLI_OBJ_FREE && obj->slot == slot)
			oli_table_free(m, t, obj);
}

static void rdma_reap(struct oli_machine *m, void *root, u16 slot)
{
	struct oli_rdma *r = root;

	if (slot != m->slot)
		settle_survivors(m, r);
	reap_qps(m, r, slot);
	reap_regions(m, r, slot);
	if (slot == m->slot && oli_umem_local(m))
		oli_umem_close(oli_umem_local(m));
	reap_table(m, &r->cq, slot);
	reap_table(m, &r->srq, slot);
	reap_table(m, &r->ah, slot);
	reap_table(m, &r->pd, slot);
	reap_table(m, &r->chan, slot);
	reap_table(m, &r->ctx, slot);
}

void oli_ctx_destroy(struct oli_machine *m, struct oli_ctx *ctx)
{
	struct oli_rdma *r = oli_rdma(m);
	u32 id = ctx->obj.id, none;
	struct oli_chan *ch;
	struct oli_srq *srq;
	struct oli_qp *qp;
	struct oli_mr *mr;
	struct oli_cq *cq;
	struct oli_ah *ah;
	struct oli_pd *pd;

#define EACH(table, obj_, act)                                                                     \
	for (u32 i = 0; (obj_ = oli_table_peek(m, table, i)); i++)                                 \
		if (oli_obj_live(&obj_->obj) && obj_->obj.slot == m->slot && obj_->ctx == id)      \
			act

	EACH(&r->qp, qp, (void)!oli_qp_destroy(m, qp, &none));
	EACH(&r->srq, srq, (void)!oli_srq_destroy(m, srq, &none));
	EACH(&r->mr, mr, if (mr->kind != OLI_MR_PLAIN) (void)!oli_mw_dealloc(m, mr));
	EACH(&r->mr, mr, (void)!oli_mr_dereg(m, mr));
	EACH(&r->cq, cq, (void)!oli_cq_destroy(m, cq, &none, &none));
	EACH(&r->ah, ah, (void)!oli_ah_destroy(m, ah));
	EACH(&r->pd, pd, (void)!oli_pd_dealloc(m, pd));
	EACH(&r->chan, ch, oli_chan_close(m, ch));
#undef EACH
	if (oli_obj_kill(&ctx->obj)) {
		oli_async_close(m, ctx);
		oli_table_free(m, &r->ctx, ctx);
	}
}

const struct oli_part oli_rdma_part = {
	.name = "rdma",
	.root_size = sizeof(struct oli_rdma),
	.init = rdma_init,
	.attach = rdma_attach,
	.detach = rdma_detach,
	.reap = rdma_reap,
	.tick = rdma_tick,
};
