// SPDX-License-Identifier: MIT
/*
 * The public view of queue pairs, completion queues and memory regions: walks
 * over the tables of the RDMA layer. Positions are table indexes.
 *
 * How full a queue is comes from its ring, which the program can write: the two
 * indexes are taken modulo the ring's size and prove nothing.
 */
#include <rdma/ib_user_ioctl_verbs.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "lib/observe.h"

/* The next live object at or after *@pos, which moves behind it; NULL at the end. */
static void *next_live(struct oli_machine *m, struct oli_table *t, u32 *pos)
{
	struct oli_obj *o;

	while ((o = oli_table_peek(m, t, *pos))) {
		(*pos)++;
		if (oli_obj_live(o))
			return o;
	}
	return NULL;
}

static u32 count_owned(struct oli_machine *m, struct oli_table *t, u16 slot)
{
	struct oli_obj *o;
	u32 pos = 0, n = 0;

	while ((o = next_live(m, t, &pos))) {
		if (o->slot == slot)
			n++;
	}
	return n;
}

void oli_count_objects(struct oli_machine *m, u16 slot, struct olio_process_info *out)
{
	struct oli_rdma *r = oli_rdma(m);

	out->contexts = count_owned(m, &r->ctx, slot);
	out->qps = count_owned(m, &r->qp, slot);
	out->cqs = count_owned(m, &r->cq, slot);
	out->mrs = count_owned(m, &r->mr, slot);
}

static const char *qp_type(u32 type)
{
	switch (type) {
	case IB_UVERBS_QPT_RC:
		return "RC";
	case IB_UVERBS_QPT_UC:
		return "UC";
	case IB_UVERBS_QPT_UD:
		return "UD";
	default:
		return "?";
	}
}

static const char *qp_state(u32 state)
{
	/* In the order of enum ibv_qp_state. */
	static const char *const name[] = {"RESET", "INIT", "RTR", "RTS", "SQD", "SQE", "ERR"};

	return state < OLI_ARRAY_SIZE(name) ? name[state] : "?";
}

static struct rxe_queue_buf *ring_of(struct oli_machine *m, const struct oli_ring *ring)
{
	return ring->size ? oli_ptr_checked(m, ring->off, sizeof(struct rxe_queue_buf)) : NULL;
}

/* Elements from our index @cons up to the program's producer index. */
static u32 posted_in(struct oli_machine *m, const struct oli_ring *ring, u32 cons)
{
	struct rxe_queue_buf *q = ring_of(m, ring);

	return q ? (__atomic_load_n(&q->producer_index, __ATOMIC_RELAXED) - cons) & ring->mask : 0;
}

static const char *device_name(struct oli_machine *m, u32 ctx)
{
	struct oli_ctx *c = oli_table_get(m, &oli_rdma(m)->ctx, ctx);

	return c && c->dev < OLI_ARRAY_SIZE(m->shm->devices) ? m->shm->devices[c->dev].name : "?";
}

/* The queue pair at the other end, or NULL. */
static struct oli_qp *peer_of(struct oli_machine *m, const struct oli_qp *qp)
{
	struct oli_qp *peer = qp->peer ? oli_table_get(m, &oli_rdma(m)->qp, qp->peer - 1) : NULL;

	return peer && peer->obj.gen == qp->peer_gen ? peer : NULL;
}

static void fill_peer(struct oli_machine *m, const struct oli_qp *qp, struct olio_qp_info *i)
{
	struct oli_qp *peer = peer_of(m, qp);
	const char *way = "-";

	if (peer) {
		i->peer_pid = oli_slot_pid(m, peer->obj.slot);
		way = peer->obj.slot == qp->obj.slot ? "self" : oli_slot_way(m, peer->obj.slot);
	}
	oli_copy_text(i->way, sizeof(i->way), way, sizeof(i->way));
}

int olio_next_qp(struct olio_machine *om, u32 *pos, struct olio_qp_info *out)
{
	struct oli_machine *m = om->m;
	struct oli_qp *qp = next_live(m, &oli_rdma(m)->qp, pos);
	struct olio_qp_info i = {0};

	if (!qp)
		return 0;
	i.qpn = qp->qpn;
	i.dest_qpn = qp->dest_qpn;
	i.pid = oli_slot_pid(m, qp->obj.slot);
	fill_peer(m, qp, &i);
	oli_copy_text(i.device, sizeof(i.device), device_name(m, qp->ctx), OLI_NAME_MAX);
	oli_copy_text(i.type, sizeof(i.type), qp_type(qp->type), sizeof(i.type));
	oli_copy_text(i.state, sizeof(i.state), qp_state(atomic_load(&qp->state)), sizeof(i.state));
	i.send_cq = qp->scq;
	i.recv_cq = qp->rcq;
	i.sq_depth = qp->cap.max_send_wr;
	i.rq_depth = qp->cap.max_recv_wr;
	i.sq_used = posted_in(m, &qp->sq, qp->sq_cons);
	i.rq_used = posted_in(m, &qp->rq, qp->rq_cons);
	i.sent_msgs = qp->count.sent_msgs;
	i.sent_bytes = qp->count.sent_bytes;
	return oli_copy_out(out, &i, sizeof(i));
}

static const char *armed_name(u32 armed)
{
	if (armed & OLI_CQ_NEXT)
		return "next";
	return armed & OLI_CQ_SOLICITED ? "solicited" : "no";
}

/* Elements from the program's consumer index up to ours. */
static u32 unread_in(struct oli_machine *m, const struct oli_cq *cq)
{
	struct rxe_queue_buf *q = ring_of(m, &cq->ring);

	if (!q)
		return 0;
	return (cq->prod - __atomic_load_n(&q->consumer_index, __ATOMIC_RELAXED)) & cq->ring.mask;
}

int olio_next_cq(struct olio_machine *om, u32 *pos, struct olio_cq_info *out)
{
	struct oli_machine *m = om->m;
	struct oli_cq *cq = next_live(m, &oli_rdma(m)->cq, pos);
	struct olio_cq_info i = {0};

	if (!cq)
		return 0;
	i.cqn = cq->obj.id;
	i.pid = oli_slot_pid(m, cq->obj.slot);
	i.cqe = cq->cqe;
	i.unread = unread_in(m, cq);
	i.channel = !!cq->chan;
	oli_copy_text(i.armed, sizeof(i.armed), armed_name(cq->armed), sizeof(i.armed));
	i.posted = atomic_load(&cq->posted);
	return oli_copy_out(out, &i, sizeof(i));
}

static void fill_access(u32 access, char *out, size_t size)
{
	static const struct {
		u32 bit;
		const char *name;
	} names[] = {
		{IB_UVERBS_ACCESS_LOCAL_WRITE, "local-write"},
		{IB_UVERBS_ACCESS_REMOTE_WRITE, "remote-write"},
		{IB_UVERBS_ACCESS_REMOTE_READ, "remote-read"},
		{IB_UVERBS_ACCESS_REMOTE_ATOMIC, "atomic"},
		{IB_UVERBS_ACCESS_MW_BIND, "bind"},
	};
	size_t len = 0;

	for (size_t i = 0; i < OLI_ARRAY_SIZE(names) && len < size; i++) {
		if (access & names[i].bit)
			len += (size_t)snprintf(out + len, size - len, "%s%s", len ? "," : "",
						names[i].name);
	}
	if (!len)
		snprintf(out, size, "local-read");
}

int olio_next_mr(struct olio_machine *om, u32 *pos, struct olio_mr_info *out)
{
	static const char *const kind[] = {"mr", "mw1", "mw2"};
	struct oli_machine *m = om->m;
	struct oli_mr *mr = next_live(m, &oli_rdma(m)->mr, pos);
	struct olio_mr_info i = {0};

	if (!mr)
		return 0;
	i.lkey = mr->lkey;
	i.rkey = atomic_load(&mr->rkey);
	i.pid = oli_slot_pid(m, mr->obj.slot);
	i.addr = mr->addr;
	i.length = mr->length;
	i.iova = mr->iova;
	i.pd = mr->pd;
	oli_copy_text(i.kind, sizeof(i.kind), mr->kind < 3 ? kind[mr->kind] : "?", sizeof(i.kind));
	fill_access(mr->access, i.access, sizeof(i.access));
	return oli_copy_out(out, &i, sizeof(i));
}
