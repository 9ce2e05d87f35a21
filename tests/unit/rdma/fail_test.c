// SPDX-License-Identifier: MIT
/*
 * Proves how work requests fail: with which status on which side, after which
 * time, in which order the rest is flushed, which events are raised, and that a
 * completion queue that overflows or is resized loses nothing that fitted.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "rig.h"

static u64 there(struct pair *p, u32 off)
{
	return (uintptr_t)p->b.buf + off;
}

static u32 state_of(struct end *e)
{
	struct ib_uverbs_query_qp_resp r;

	oli_qp_query(e->n->m, e->qp, &r);
	return r.qp_state;
}

static void reconnect(struct pair *p, const struct link *l)
{
	assert_int_equal(end_modify(&p->x, IBV_QPS_RESET, 0, NULL), 0);
	assert_int_equal(end_modify(&p->y, IBV_QPS_RESET, 0, NULL), 0);
	end_connect(&p->x, &p->y, l);
}

/* ---- receiver not ready ---- */

/* Timer code 20 is 10.24 ms (IBTA table 45). */
#define RNR_CODE 20
#define RNR_NS 10240000ull

static u64 time_to_rnr_failure(struct pair *p, u8 retries)
{
	struct link l = rig_link;
	u64 t0;

	l.rnr_retry = retries;
	l.min_rnr_timer = RNR_CODE;
	reconnect(p, &l);
	t0 = oli_now();
	post(&p->x, 1, IBV_WR_SEND, 0, 0, 8);
	assert_int_equal(ring(&p->x), 0);
	await_wc(&p->a, p->x.scq, 1, IBV_WC_RNR_RETRY_EXC_ERR);
	assert_int_equal(state_of(&p->x), IBV_QPS_ERR);
	/* The responder did nothing wrong. */
	assert_int_equal(state_of(&p->y), IBV_QPS_RTS);
	return oli_now() - t0;
}

static void test_rnr(void **state)
{
	u64 none = time_to_rnr_failure(*state, 0), once = time_to_rnr_failure(*state, 1),
	    thrice = time_to_rnr_failure(*state, 3);

	assert_true(none < RNR_NS);
	assert_in_range(once, RNR_NS, 20 * RNR_NS);
	assert_in_range(thrice, 3 * RNR_NS, 25 * RNR_NS);
}

/* 7 is for ever: more waits than any count, and then it goes through. */
static void test_rnr_for_ever(void **state)
{
	struct pair *p = *state;
	struct link l = rig_link;
	u64 naks = p->a.m->shm->devices[p->a.ctx->dev].rnr_naks;

	l.rnr_retry = 7;
	l.min_rnr_timer = 1; /* 10 us */
	reconnect(p, &l);
	post(&p->x, 1, IBV_WR_SEND, IBV_SEND_SIGNALED, 0, 8);
	assert_int_equal(ring(&p->x), 0);
	for (u64 until = oli_now() + 5 * OLI_NS_PER_S;
	     p->a.m->shm->devices[p->a.ctx->dev].rnr_naks < naks + 20;)
		assert_true(oli_now() < until);
	expect_none(&p->a, p->x.scq);
	post_recv(&p->y, 2, 0, 64);
	await_wc(&p->a, p->x.scq, 1, IBV_WC_SUCCESS);
	expect(&p->b, p->y.rcq, 2, IBV_WC_SUCCESS);
}

/* Behind one that waits nothing overtakes. */
static void test_rnr_keeps_order(void **state)
{
	struct pair *p = *state;
	struct link l = rig_link;

	l.rnr_retry = 7;
	reconnect(p, &l);
	memset(p->b.buf, 0, 64);
	memset(p->a.buf, 1, 64);
	post(&p->x, 1, IBV_WR_SEND, IBV_SEND_SIGNALED, 0, 8);
	post_rdma(&p->x, 2, IBV_WR_RDMA_WRITE, 0, 8, there(p, 32), oli_mr_rkey(p->b.mr));
	assert_int_equal(ring(&p->x), 0);
	assert_int_equal(ring(&p->x), 0);
	assert_int_equal(p->b.buf[32], 0);
	post_recv(&p->y, 3, 0, 16);
	await_wc(&p->a, p->x.scq, 1, IBV_WC_SUCCESS);
	await_wc(&p->a, p->x.scq, 2, IBV_WC_SUCCESS);
	assert_int_equal(p->b.buf[32], 1);
}

/* ---- no answer ---- */

static u64 time_to_retry_failure(struct pair *p)
{
	u64 t0 = oli_now();

	post(&p->x, 1, IBV_WR_SEND, 0, 0, 8);
	assert_int_equal(ring(&p->x), 0);
	await_wc(&p->a, p->x.scq, 1, IBV_WC_RETRY_EXC_ERR);
	assert_int_equal(state_of(&p->x), IBV_QPS_ERR);
	return oli_now() - t0;
}

/* timeout 12 is 16.8 ms, with one retry twice that. */
#define ONCE_NS (4096ull << 12)

static void test_retry_peer_in_reset(void **state)
{
	struct pair *p = *state;

	assert_int_equal(end_modify(&p->y, IBV_QPS_RESET, 0, NULL), 0);
	assert_in_range(time_to_retry_failure(p), 2 * ONCE_NS, 30 * ONCE_NS);
}

static void test_retry_peer_destroyed(void **state)
{
	struct pair *p = *state;

	end_close(&p->y);
	assert_in_range(time_to_retry_failure(p), 2 * ONCE_NS, 30 * ONCE_NS);
}

static void test_retry_peer_detached(void **state)
{
	struct pair *p = *state;

	node_close(&p->b);
	assert_in_range(time_to_retry_failure(p), 2 * ONCE_NS, 30 * ONCE_NS);
}

/* The peer talks to somebody else by now. */
static void test_retry_peer_connected_elsewhere(void **state)
{
	struct pair *p = *state;

	assert_int_equal(end_modify(&p->y, IBV_QPS_RESET, 0, NULL), 0);
	end_init(&p->y, &rig_link);
	end_rtr(&p->y, oli_qp_num(p->x.qp) ^ 0x10000, &rig_link);
	post_recv(&p->y, 7, 0, 64);
	time_to_retry_failure(p);
	expect_none(&p->b, p->y.rcq);
}

static void test_retry_no_such_address(void **state)
{
	struct pair *p = *state;
	struct ib_uverbs_modify_qp a = {.path_mtu = 1, .dest_qp_num = oli_qp_num(p->y.qp)};

	assert_int_equal(end_modify(&p->x, IBV_QPS_RESET, 0, NULL), 0);
	end_init(&p->x, &rig_link);
	a.dest.is_global = 1;
	memset(a.dest.dgid, 0x5a, 16);
	assert_int_equal(end_modify(&p->x, IBV_QPS_RTR,
				    IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
					    IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER,
				    &a),
			 0);
	end_rts(&p->x, &rig_link);
	time_to_retry_failure(p);
}

/* A peer that comes back in time is served, and all retries are there again. */
static void test_retry_recovers(void **state)
{
	struct pair *p = *state;
	struct link l = rig_link;

	l.timeout = 14;
	l.retry_cnt = 7;
	reconnect(p, &l);
	assert_int_equal(end_modify(&p->y, IBV_QPS_RESET, 0, NULL), 0);
	post(&p->x, 1, IBV_WR_SEND, IBV_SEND_SIGNALED, 0, 8);
	assert_int_equal(ring(&p->x), 0);
	expect_none(&p->a, p->x.scq);
	end_init(&p->y, &l);
	end_rtr(&p->y, oli_qp_num(p->x.qp), &l);
	post_recv(&p->y, 2, 0, 64);
	await_wc(&p->a, p->x.scq, 1, IBV_WC_SUCCESS);
	expect(&p->b, p->y.rcq, 2, IBV_WC_SUCCESS);
	assert_int_equal(p->x.qp->retry_left, 7);
}

/* ---- the responder refuses ---- */

static void test_too_long(void **state)
{
	struct pair *p = *state;

	memset(p->b.buf, 0xee, 64);
	post_recv(&p->y, 2, 0, 15);
	post_recv(&p->y, 3, 0, 64);
	post(&p->x, 1, IBV_WR_SEND, 0, 0, 16);
	post(&p->x, 4, IBV_WR_SEND, 0, 0, 1);
	assert_int_equal(ring(&p->x), 0);
	expect(&p->b, p->y.rcq, 2, IBV_WC_LOC_LEN_ERR);
	expect(&p->b, p->y.rcq, 3, IBV_WC_WR_FLUSH_ERR);
	expect(&p->a, p->x.scq, 1, IBV_WC_REM_INV_REQ_ERR);
	expect(&p->a, p->x.scq, 4, IBV_WC_WR_FLUSH_ERR);
	assert_int_equal(p->b.buf[0], 0xee);
	assert_int_equal(state_of(&p->x), IBV_QPS_ERR);
	assert_int_equal(state_of(&p->y), IBV_QPS_ERR);
	assert_int_equal(await_async(&p->b), IBV_EVENT_QP_REQ_ERR);
}

static void test_bad_receive_list(void **state)
{
	struct pair *p = *state;
	struct rxe_recv_wqe *w = recv_slot(&p->y);

	w->wr_id = 2;
	w->dma.num_sge = 1;
	w->dma.sge[0] = (struct rxe_sge){there(p, 0), 64, oli_mr_rkey(p->b.mr)};
	recv_push(&p->y);
	post(&p->x, 1, IBV_WR_SEND, 0, 0, 16);
	assert_int_equal(ring(&p->x), 0);
	expect(&p->b, p->y.rcq, 2, IBV_WC_LOC_PROT_ERR);
	expect(&p->a, p->x.scq, 1, IBV_WC_REM_OP_ERR);
	assert_int_equal(await_async(&p->b), IBV_EVENT_QP_FATAL);
}

/* Linux says EFAULT, too: the device could not write what the program cannot. */
static void test_not_writable(void **state)
{
	struct pair *p = *state;
	struct oli_mr_req req = {.length = 4096, .access = IBV_ACCESS_LOCAL_WRITE};
	void *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct oli_mr *mr = NULL;

	req.start = req.iova = (uintptr_t)page;
	assert_int_equal(oli_mr_reg(p->a.m, p->a.pd, &req, &mr), -EFAULT);
	req.access = 0;
	assert_int_equal(oli_mr_reg(p->a.m, p->a.pd, &req, &mr), 0);
	assert_int_equal(oli_mr_dereg(p->a.m, mr), 0);
	munmap(page, 4096);
}

/* Memory that was unmapped after its registration: blamed on the side that did it. */
static void test_unmapped(void **state)
{
	struct pair *p = *state;
	u8 *hole = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct oli_mr *mr = node_reg(&p->b, p->b.pd, (uintptr_t)hole, 4096, ALL_ACCESS);
	struct rxe_send_wqe *w;

	munmap(hole, 4096);
	post_rdma(&p->x, 1, IBV_WR_RDMA_WRITE, 0, 8, (uintptr_t)hole, oli_mr_rkey(mr));
	assert_int_equal(ring(&p->x), 0);
	expect(&p->a, p->x.scq, 1, IBV_WC_REM_OP_ERR);
	assert_int_equal(oli_mr_dereg(p->b.m, mr), 0);
	reconnect(p, &rig_link);

	hole = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mr = node_reg(&p->a, p->a.pd, (uintptr_t)hole, 4096, ALL_ACCESS);
	munmap(hole, 4096);
	w = send_slot(&p->x);
	w->wr.wr_id = 3;
	w->wr.opcode = IBV_WR_RDMA_WRITE;
	w->wr.wr.rdma.remote_addr = there(p, 0);
	w->wr.wr.rdma.rkey = oli_mr_rkey(p->b.mr);
	add_sge(w, (uintptr_t)hole, 8, oli_mr_lkey(mr));
	send_push(&p->x);
	assert_int_equal(ring(&p->x), 0);
	expect(&p->a, p->x.scq, 3, IBV_WC_LOC_PROT_ERR);
	assert_int_equal(state_of(&p->y), IBV_QPS_RTS);
}

/* ---- flushing ---- */

static void test_flush_order(void **state)
{
	struct pair *p = *state;

	for (u64 id = 1; id <= 10; id++)
		post_recv(&p->x, 100 + id, 0, 64);
	for (u64 id = 1; id <= 10; id++)
		post(&p->x, id, IBV_WR_SEND, 0, 0, 8);
	assert_int_equal(end_modify(&p->x, IBV_QPS_ERR, 0, NULL), 0);
	for (u64 id = 1; id <= 10; id++) {
		expect(&p->a, p->x.scq, id, IBV_WC_WR_FLUSH_ERR);
		expect(&p->a, p->x.rcq, 100 + id, IBV_WC_WR_FLUSH_ERR);
	}
	expect_none(&p->a, p->x.scq);
	expect_none(&p->a, p->x.rcq);
	/* Once is enough. */
	assert_int_equal(end_modify(&p->x, IBV_QPS_ERR, 0, NULL), 0);
	expect_none(&p->a, p->x.scq);
}

/* The failing one is told first, then what stood behind it, none twice, none lost. */
static void test_failure_flushes_both_sides(void **state)
{
	struct pair *p = *state;

	for (u64 id = 1; id <= 3; id++) {
		post_recv(&p->x, 100 + id, 0, 64);
		post_recv(&p->y, 200 + id, 0, 64);
		post(&p->y, 300 + id, IBV_WR_SEND, 0, 0, 8);
	}
	post_rdma(&p->x, 1, IBV_WR_RDMA_WRITE, 0, 8, there(p, 0), 0x1);
	post(&p->x, 2, IBV_WR_SEND, 0, 0, 8);
	assert_int_equal(ring(&p->x), 0);
	expect(&p->a, p->x.scq, 1, IBV_WC_REM_ACCESS_ERR);
	expect(&p->a, p->x.scq, 2, IBV_WC_WR_FLUSH_ERR);
	for (u64 id = 1; id <= 3; id++) {
		expect(&p->a, p->x.rcq, 100 + id, IBV_WC_WR_FLUSH_ERR);
		expect(&p->b, p->y.rcq, 200 + id, IBV_WC_WR_FLUSH_ERR);
		expect(&p->b, p->y.scq, 300 + id, IBV_WC_WR_FLUSH_ERR);
	}
	expect_none(&p->b, p->y.scq);
	assert_int_equal(await_async(&p->b), IBV_EVENT_QP_ACCESS_ERR);
	/* One event: a second failure finds it in error. */
	assert_int_equal(drain_events(p->b.async_fd, NULL), 0);
}

/* ---- completion queues ---- */

static void small_cq_end(struct pair *p, struct end *e, struct node *n, u32 cqe)
{
	struct oli_qp_req caps = {.max_send_wr = 15, .max_recv_wr = 15, .max_send_sge = 1,
				  .max_recv_sge = 1, .type = IBV_QPT_RC};

	(void)p;
	caps.send_cq = node_cq(n, 64, false);
	caps.recv_cq = node_cq(n, cqe, true);
	end_open_caps(e, n, &caps);
}

static void test_overflow(void **state)
{
	struct pair *p = *state;
	struct end s, r;
	u32 fits;

	end_open(&s, &p->a, IBV_QPT_RC, false);
	small_cq_end(p, &r, &p->b, 3);
	fits = oli_cq_cqe(r.rcq);
	assert_in_range(fits, 3, 14);
	end_connect(&s, &r, &rig_link);
	for (u32 i = 0; i <= fits; i++) {
		post_recv(&r, i, 0, 64);
		post(&s, i, IBV_WR_SEND, IBV_SEND_SIGNALED, 0, 8);
	}
	assert_int_equal(ring(&s), 0);
	/* What fitted is all there; the one that did not fails on both sides. */
	for (u32 i = 0; i < fits; i++) {
		expect(&p->a, s.scq, i, IBV_WC_SUCCESS);
		expect(&p->b, r.rcq, i, IBV_WC_SUCCESS);
	}
	expect_none(&p->b, r.rcq);
	expect(&p->a, s.scq, fits, IBV_WC_REM_OP_ERR);
	assert_int_equal(await_async(&p->b), IBV_EVENT_CQ_ERR);
	assert_int_equal(await_async(&p->b), IBV_EVENT_QP_FATAL);
	assert_int_equal(state_of(&r), IBV_QPS_ERR);
	end_close(&s);
	end_close(&r);
}

static void test_resize(void **state)
{
	struct pair *p = *state;
	struct end s, r;

	end_open(&s, &p->a, IBV_QPT_RC, false);
	small_cq_end(p, &r, &p->b, 15);
	end_connect(&s, &r, &rig_link);
	for (u32 i = 0; i < 12; i++) {
		post_recv(&r, i, 0, 64);
		post(&s, i, IBV_WR_SEND, 0, 0, 8);
	}
	assert_int_equal(ring(&s), 0);
	for (u32 i = 0; i < 4; i++)
		expect(&p->b, r.rcq, i, IBV_WC_SUCCESS);
	/* 8 are unread: 7 do not take them, and nothing has changed; 8 do. */
	assert_int_equal(oli_cq_resize(p->b.m, r.rcq, 3), -EINVAL);
	assert_int_equal(oli_cq_resize(p->b.m, r.rcq, 7), -EINVAL);
	assert_int_equal(oli_cq_resize(p->b.m, r.rcq, 0), -EINVAL);
	assert_int_equal(oli_cq_resize(p->b.m, r.rcq, OLI_MAX_CQE + 1), -EINVAL);
	assert_int_equal(oli_cq_cqe(r.rcq), 15);
	assert_int_equal(oli_cq_resize(p->b.m, r.rcq, 8), 0);
	assert_true(oli_cq_cqe(r.rcq) >= 8);
	post_recv(&r, 12, 0, 64);
	post(&s, 12, IBV_WR_SEND, 0, 0, 8);
	assert_int_equal(ring(&s), 0);
	for (u32 i = 4; i <= 12; i++)
		expect(&p->b, r.rcq, i, IBV_WC_SUCCESS);
	expect_none(&p->b, r.rcq);
	end_close(&s);
	end_close(&r);
}

/* ---- events at the end ---- */

/* What the program read must be acknowledged; what it did not read is taken back. */
static void test_event_counts(void **state)
{
	struct pair *p = *state;
	u32 comp, async, events, n;
	u64 ev;

	for (int i = 0; i < 3; i++) {
		oli_cq_req_notify(p->b.m, p->y.rcq, false);
		post_recv(&p->y, 2, 0, 64);
		post(&p->x, 1, IBV_WR_SEND, 0, 0, 8);
		assert_int_equal(ring(&p->x), 0);
	}
	assert_int_equal(read(p->b.chan_fd, &ev, 8), 8);
	/* Another queue's event stays. */
	oli_cq_req_notify(p->b.m, p->y.scq, false);
	post(&p->y, 5, IBV_WR_SEND, 0, 0, 8);
	post_rdma(&p->x, 1, IBV_WR_RDMA_WRITE, 0, 8, there(p, 0), 0x1);
	assert_int_equal(ring(&p->x), 0); /* y: QP_ACCESS_ERR, not read; its send is flushed */
	assert_int_equal(oli_qp_destroy(p->b.m, p->y.qp, &events), 0);
	assert_int_equal(events, 0);
	assert_int_equal(oli_cq_destroy(p->b.m, p->y.rcq, &comp, &async), 0);
	assert_int_equal(comp, 1);
	assert_int_equal(async, 0);
	n = drain_events(p->b.chan_fd, &ev);
	assert_int_equal(n, 1);
	assert_int_equal(ev, p->y.scq->user_handle);
	assert_int_equal(drain_events(p->b.async_fd, NULL), 0);
	assert_int_equal(oli_cq_destroy(p->b.m, p->y.scq, &comp, &async), 0);
	assert_int_equal(comp, 1);
}

static void test_qp_event_read(void **state)
{
	struct pair *p = *state;
	u32 events;

	post_rdma(&p->x, 1, IBV_WR_RDMA_WRITE, 0, 8, there(p, 0), 0x1);
	assert_int_equal(ring(&p->x), 0);
	assert_int_equal(await_async(&p->b), IBV_EVENT_QP_ACCESS_ERR);
	assert_int_equal(oli_qp_destroy(p->b.m, p->y.qp, &events), 0);
	assert_int_equal(events, 1);
}

/* Things in use are not destroyed, things not in use leave nothing behind. */
static void test_busy(void **state)
{
	struct pair *p = *state;
	u64 used;
	u32 n, objs;

	assert_int_equal(oli_pd_dealloc(p->a.m, p->a.pd), -EBUSY);
	assert_int_equal(oli_cq_destroy(p->a.m, p->x.scq, &n, &n), -EBUSY);
	objs = count_all(p->a.m);
	used = p->a.m->shm->heap_used;
	end_close(&p->x);
	assert_int_equal(count_all(p->a.m), objs - 3);
	assert_true(p->a.m->shm->heap_used < used);
	used = p->a.m->shm->heap_used;
	end_open(&p->x, &p->a, IBV_QPT_RC, true);
	end_close(&p->x);
	assert_int_equal(p->a.m->shm->heap_used, used);
	assert_int_equal(oli_mr_dereg(p->a.m, p->a.mr), 0);
	assert_int_equal(oli_pd_dealloc(p->a.m, p->a.pd), 0);
}

int main(void)
{
#define ON_PAIR(f) cmocka_unit_test_setup_teardown(f, pair_setup, pair_teardown)
	const struct CMUnitTest tests[] = {
		ON_PAIR(test_rnr),
		ON_PAIR(test_rnr_for_ever),
		ON_PAIR(test_rnr_keeps_order),
		ON_PAIR(test_retry_peer_in_reset),
		ON_PAIR(test_retry_peer_destroyed),
		ON_PAIR(test_retry_peer_detached),
		ON_PAIR(test_retry_peer_connected_elsewhere),
		ON_PAIR(test_retry_no_such_address),
		ON_PAIR(test_retry_recovers),
		ON_PAIR(test_too_long),
		ON_PAIR(test_bad_receive_list),
		ON_PAIR(test_not_writable),
		ON_PAIR(test_unmapped),
		ON_PAIR(test_flush_order),
		ON_PAIR(test_failure_flushes_both_sides),
		ON_PAIR(test_overflow),
		ON_PAIR(test_resize),
		ON_PAIR(test_event_counts),
		ON_PAIR(test_qp_event_read),
		ON_PAIR(test_busy),
	};

	return cmocka_run_group_tests_name("rdma/fail", tests, NULL, NULL);
}
