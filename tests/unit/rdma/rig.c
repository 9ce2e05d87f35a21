// SPDX-License-Identifier: MIT
/* See rig.h. */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "rig.h"

#define PATIENCE_NS (5 * OLI_NS_PER_S)

const struct link rig_link = {
	.timeout = 12, .retry_cnt = 1, .rnr_retry = 0, .min_rnr_timer = 1, .access = ALL_ACCESS};

const char *rig_device, *rig_type;

static char dir[64];
static pid_t dir_owner;

static void remove_dir(void)
{
	char command[96];

	if (getpid() != dir_owner)
		return;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	if (system(command))
		fprintf(stderr, "cannot remove %s\n", dir);
}

const char *rig_dir(void)
{
	static char machine[80];

	if (!dir[0]) {
		snprintf(dir, sizeof(dir), "%s/olio-test-XXXXXX",
			 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
		assert_non_null(mkdtemp(dir));
		dir_owner = getpid();
		atexit(remove_dir);
		snprintf(machine, sizeof(machine), "%s/m", dir);
	}
	return machine;
}

/* ---- nodes ---- */

static u32 device_index(struct oli_machine *m)
{
	const char *name = rig_device ? rig_device : getenv("RIG_DEVICE");

	for (u32 i = 0; i < m->shm->nr_devices; i++)
		if (!strcmp(m->shm->devices[i].name, name ? name : "rxe0"))
			return i;
	fail_msg("the machine has no %s", name);
	return 0;
}

void node_open(struct node *n)
{
	struct oli_machine_opts opts = {.name = rig_dir(), .type = rig_type};
	char why[OLI_WHY_MAX] = "";

	memset(n, 0, sizeof(*n));
	if (oli_machine_open(&opts, oli_parts, &n->m, why))
		fail_msg("no machine: %s", why);
	n->buf = mmap(NULL, BUF_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(n->buf, MAP_FAILED);
	assert_int_equal(oli_ctx_create(n->m, device_index(n->m), &n->ctx), 0);
	assert_int_equal(oli_async_create(n->m, n->ctx, &n->async_fd), 0);
	assert_int_equal(oli_chan_create(n->m, n->ctx, &n->chan, &n->chan_fd), 0);
	assert_int_equal(oli_pd_alloc(n->m, n->ctx, &n->pd), 0);
	n->mr = node_reg(n, n->pd, (uintptr_t)n->buf, BUF_SIZE, ALL_ACCESS);
}

void node_close(struct node *n)
{
	if (!n->m)
		return;
	close(n->async_fd);
	close(n->chan_fd);
	oli_ctx_destroy(n->m, n->ctx);
	oli_machine_close(n->m);
	munmap(n->buf, BUF_SIZE);
	n->m = NULL;
}

struct oli_mr *node_reg(struct node *n, struct oli_pd *pd, u64 start, u64 len, u32 access)
{
	struct oli_mr_req req = {.start = start, .length = len, .iova = start, .access = access};
	struct oli_mr *mr;

	assert_int_equal(oli_mr_reg(n->m, pd, &req, &mr), 0);
	return mr;
}

struct oli_cq *node_cq(struct node *n, u32 cqe, bool events)
{
	static _Atomic u64 handle = 0x1000;
	struct oli_cq_req req = {.user_handle = ++handle, .cqe = cqe,
				 .chan = events ? n->chan : NULL};
	struct oli_cq *cq;

	assert_int_equal(oli_cq_create(n->m, n->ctx, &req, &cq), 0);
	return cq;
}

/* ---- queue pairs ---- */

void end_open_caps(struct end *e, struct node *n, const struct oli_qp_req *caps)
{
	static _Atomic u64 handle = 0x2000;
	struct oli_qp_req req = *caps;

	e->n = n;
	e->scq = req.send_cq;
	e->rcq = req.recv_cq;
	req.user_handle = ++handle;
	assert_int_equal(oli_qp_create(n->m, n->pd, &req, &e->qp), 0);
}

void end_open(struct end *e, struct node *n, u8 type, bool events)
{
	struct oli_qp_req caps = {.send_cq = node_cq(n, 64, events),
				  .recv_cq = node_cq(n, 64, events),
				  .max_send_wr = 15,
				  .max_recv_wr = 15,
				  .max_send_sge = OLI_MAX_SGE,
				  .max_recv_sge = OLI_MAX_SGE,
				  .max_inline_data = 128,
				  .type = type};

	end_open_caps(e, n, &caps);
}

void end_close(struct end *e)
{
	u32 n;

	assert_int_equal(oli_qp_destroy(e->n->m, e->qp, &n), 0);
	assert_int_equal(oli_cq_destroy(e->n->m, e->scq, &n, &n), 0);
	if (e->rcq != e->scq)
		assert_int_equal(oli_cq_destroy(e->n->m, e->rcq, &n, &n), 0);
}

int end_modify(struct end *e, u32 state, u32 mask, const struct ib_uverbs_modify_qp *base)
{
	struct ib_uverbs_modify_qp a = {0};

	if (base)
		a = *base;
	a.attr_mask = mask | IBV_QP_STATE;
	a.qp_state = (u8)state;
	return oli_qp_modify(e->n->m, e->qp, &a);
}

void end_init(struct end *e, const struct link *l)
{
	struct ib_uverbs_modify_qp a = {.port_num = 1, .qp_access_flags = l->access, .qkey = 0x11};
	u32 mask = IBV_QP_PKEY_INDEX | IBV_QP_PORT;

	mask |= e->qp->type == IBV_QPT_UD ? IBV_QP_QKEY : IBV_QP_ACCESS_FLAGS;
	assert_int_equal(end_modify(e, IBV_QPS_INIT, mask, &a), 0);
}

void end_rtr(struct end *e, u32 qpn, const struct link *l)
{
	struct ib_uverbs_modify_qp a = {.path_mtu = IBV_MTU_1024, .dest_qp_num = qpn,
					.max_dest_rd_atomic = 1, .min_rnr_timer = l->min_rnr_timer};
	u32 mask = IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN;

	a.dest.is_global = 1;
	a.dest.port_num = 1;
	assert_true(oli_gid_at(e->n->m, 0, 0, a.dest.dgid));
	if (e->qp->type == IBV_QPT_RC)
		mask |= IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER;
	if (e->qp->type == IBV_QPT_UD)
		mask = 0;
	assert_int_equal(end_modify(e, IBV_QPS_RTR, mask, &a), 0);
}

void end_rts(struct end *e, const struct link *l)
{
	struct ib_uverbs_modify_qp a = {.timeout = l->timeout, .retry_cnt = l->retry_cnt,
					.rnr_retry = l->rnr_retry, .max_rd_atomic = 1};
	u32 mask = IBV_QP_SQ_PSN;

	if (e->qp->type == IBV_QPT_RC)
		mask |= IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
			IBV_QP_MAX_QP_RD_ATOMIC;
	assert_int_equal(end_modify(e, IBV_QPS_RTS, mask, &a), 0);
}

void end_connect(struct end *x, struct end *y, const struct link *l)
{
	end_init(x, l);
	end_init(y, l);
	end_rtr(x, oli_qp_num(y->qp), l);
	end_rtr(y, oli_qp_num(x->qp), l);
	end_rts(x, l);
	end_rts(y, l);
}

int nodes_setup(void **state)
{
	struct pair *p = calloc(1, sizeof(*p));

	node_open(&p->a);
	node_open(&p->b);
	*state = p;
	return 0;
}

int pair_setup(void **state)
{
	struct pair *p;

	nodes_setup(state);
	p = *state;
	end_open(&p->x, &p->a, IBV_QPT_RC, true);
	end_open(&p->y, &p->b, IBV_QPT_RC, true);
	end_connect(&p->x, &p->y, &rig_link);
	return 0;
}

int pair_teardown(void **state)
{
	struct pair *p = *state;

	node_close(&p->a);
	node_close(&p->b);
	free(p);
	return 0;
}

/* ---- posting ---- */

struct rxe_send_wqe *send_slot(struct end *e)
{
	struct oli_machine *m = e->n->m;
	u32 at = oli_ring_producer(m, &e->qp->sq);
	struct rxe_send_wqe *w = oli_ring_elem(m, &e->qp->sq, at);

	if (((at + 1) & e->qp->sq.mask) == oli_ring_consumer(m, &e->qp->sq))
		fail_msg("the send queue is full");
	memset(w, 0, sizeof(*w));
	return w;
}

void send_push(struct end *e)
{
	u32 at = oli_ring_producer(e->n->m, &e->qp->sq);

	oli_ring_set_producer(e->n->m, &e->qp->sq, (at + 1) & e->qp->sq.mask);
}

void add_sge(struct rxe_send_wqe *w, u64 addr, u32 len, u32 lkey)
{
	w->dma.sge[w->dma.num_sge++] = (struct rxe_sge){addr, len, lkey};
	w->dma.length += len;
}

void post(struct end *e, u64 id, u32 op, u32 flags, u32 off, u32 len)
{
	struct rxe_send_wqe *w = send_slot(e);

	w->wr.wr_id = id;
	w->wr.opcode = op;
	w->wr.send_flags = flags;
	if (len)
		add_sge(w, (uintptr_t)e->n->buf + off, len, oli_mr_lkey(e->n->mr));
	send_push(e);
}

void post_rdma(struct end *e, u64 id, u32 op, u32 off, u32 len, u64 raddr, u32 rkey)
{
	struct rxe_send_wqe *w = send_slot(e);

	w->wr.wr_id = id;
	w->wr.opcode = op;
	w->wr.send_flags = IBV_SEND_SIGNALED;
	w->wr.wr.rdma.remote_addr = raddr;
	w->wr.wr.rdma.rkey = rkey;
	if (len)
		add_sge(w, (uintptr_t)e->n->buf + off, len, oli_mr_lkey(e->n->mr));
	send_push(e);
}

int ring(struct end *e)
{
	return oli_qp_doorbell(e->n->m, e->qp);
}

struct rxe_recv_wqe *recv_slot(struct end *e)
{
	struct oli_machine *m = e->n->m;
	u32 at = oli_ring_producer(m, &e->qp->rq);
	struct rxe_recv_wqe *w = oli_ring_elem(m, &e->qp->rq, at);

	if (((at + 1) & e->qp->rq.mask) == oli_ring_consumer(m, &e->qp->rq))
		fail_msg("the receive queue is full");
	memset(w, 0, sizeof(*w));
	return w;
}

void recv_push(struct end *e)
{
	u32 at = oli_ring_producer(e->n->m, &e->qp->rq);

	oli_ring_set_producer(e->n->m, &e->qp->rq, (at + 1) & e->qp->rq.mask);
}

void post_recv(struct end *e, u64 id, u32 off, u32 len)
{
	struct rxe_recv_wqe *w = recv_slot(e);

	w->wr_id = id;
	if (len)
		w->dma.sge[w->dma.num_sge++] = (struct rxe_sge){
			(uintptr_t)e->n->buf + off, len, oli_mr_lkey(e->n->mr)};
	recv_push(e);
}

/* ---- completions and events ---- */

int poll_cq(struct node *n, struct oli_cq *cq, struct ib_uverbs_wc *wc)
{
	u32 at = oli_ring_consumer(n->m, &cq->ring);

	if (at == oli_ring_producer(n->m, &cq->ring))
		return 0;
	memcpy(wc, oli_ring_elem(n->m, &cq->ring, at), sizeof(*wc));
	oli_ring_set_consumer(n->m, &cq->ring, (at + 1) & cq->ring.mask);
	return 1;
}

static void judge_wc(const struct ib_uverbs_wc *wc, u64 id, u32 status)
{
	if (wc->wr_id != id || wc->status != status)
		fail_msg("completion of %llu is status %u, expected %llu status %u",
			 (unsigned long long)wc->wr_id, wc->status,
			 (unsigned long long)id, status);
}

struct ib_uverbs_wc expect(struct node *n, struct oli_cq *cq, u64 id, u32 status)
{
	struct ib_uverbs_wc wc;

	if (!poll_cq(n, cq, &wc))
		fail_msg("no completion, expected %llu status %u", (unsigned long long)id,
			 status);
	judge_wc(&wc, id, status);
	return wc;
}

struct ib_uverbs_wc await_wc(struct node *n, struct oli_cq *cq, u64 id, u32 status)
{
	u64 until = oli_now() + PATIENCE_NS;
	struct ib_uverbs_wc wc;

	while (!poll_cq(n, cq, &wc)) {
		if (oli_now() > until)
			fail_msg("no completion in time, expected %llu status %u", (unsigned long long)id,
				 status);
		sched_yield();
	}
	judge_wc(&wc, id, status);
	return wc;
}

void expect_none(struct node *n, struct oli_cq *cq)
{
	struct ib_uverbs_wc wc;

	if (poll_cq(n, cq, &wc))
		fail_msg("unexpected completion of %llu: status %u", (unsigned long long)wc.wr_id,
			 wc.status);
}

u32 drain_events(int fd, u64 first[1])
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	u64 ev;
	u32 n = 0;

	while (poll(&p, 1, 0) == 1 && read(fd, &ev, sizeof(ev)) == (ssize_t)sizeof(ev))
		if (!n++ && first)
			*first = ev;
	return n;
}

u32 await_async(struct node *n)
{
	struct pollfd p = {.fd = n->async_fd, .events = POLLIN};
	struct ib_uverbs_async_event_desc ev;

	if (poll(&p, 1, 5000) != 1 || read(n->async_fd, &ev, sizeof(ev)) != sizeof(ev))
		return 0;
	return ev.event_type;
}

u32 count_objs(struct oli_machine *m, struct oli_table *t)
{
	struct oli_obj *obj;
	u32 n = 0;

	for (u32 id = 0; (obj = oli_table_peek(m, t, id)); id++)
		n += obj->state != OLI_OBJ_FREE;
	return n;
}

u32 count_all(struct oli_machine *m)
{
	struct oli_rdma *r = oli_rdma(m);

	return count_objs(m, &r->ctx) + count_objs(m, &r->chan) + count_objs(m, &r->pd) +
	       count_objs(m, &r->mr) + count_objs(m, &r->cq) + count_objs(m, &r->qp) +
	       count_objs(m, &r->ah) + count_objs(m, &r->srq);
}
