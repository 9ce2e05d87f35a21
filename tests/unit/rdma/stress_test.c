// SPDX-License-Identifier: MIT
/*
 * Proves, under ThreadSanitizer above all, that the threads of a process may do
 * everything at once: post on several queue pairs that share a completion queue,
 * poll, register and deregister, make and destroy queue pairs, change states,
 * ask; while another process does the same at the other end.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "rig.h"

#define ROUNDS 300u
#define PAIRS 3u

struct side {
	struct pair *p;
	struct end x[PAIRS], y[PAIRS]; /* x posts to y; each side has a shared queue */
	_Atomic u32 polled;
	_Atomic u32 rkey; /* of a region that comes and goes */
	_Atomic bool stop;
};

static void open_ends(struct side *s)
{
	struct oli_qp_req cx = {.max_send_wr = 63, .max_recv_wr = 63, .max_send_sge = 1,
				.max_recv_sge = 1, .type = IBV_QPT_RC};
	struct oli_qp_req cy = cx;
	struct link l = rig_link;

	l.rnr_retry = 7;
	l.timeout = 18;
	cx.send_cq = cx.recv_cq = node_cq(&s->p->a, 4000, true);
	cy.send_cq = cy.recv_cq = node_cq(&s->p->b, 4000, true);
	for (u32 i = 0; i < PAIRS; i++) {
		end_open_caps(&s->x[i], &s->p->a, &cx);
		end_open_caps(&s->y[i], &s->p->b, &cy);
		end_connect(&s->x[i], &s->y[i], &l);
	}
}

struct poster {
	struct side *s;
	u32 i;
};

static bool send_room(struct end *e)
{
	u32 at = oli_ring_producer(e->n->m, &e->qp->sq);

	return ((at + 2) & e->qp->sq.mask) != oli_ring_consumer(e->n->m, &e->qp->sq);
}

static bool recv_room(struct end *e)
{
	u32 at = oli_ring_producer(e->n->m, &e->qp->rq);

	return ((at + 1) & e->qp->rq.mask) != oli_ring_consumer(e->n->m, &e->qp->rq);
}

/* One thread a queue pair, as verbs programs do; sends and writes by turns. */
static void *post_all(void *arg)
{
	struct poster *po = arg;
	struct end *x = &po->s->x[po->i], *y = &po->s->y[po->i];

	for (u32 n = 0; n < ROUNDS; n++) {
		while (!recv_room(y) || !send_room(x))
			ring(x);
		post_recv(y, n, 4096 * (po->i + 1), 64);
		post_rdma(x, n, IBV_WR_RDMA_WRITE, 0, 64,
			  (uintptr_t)po->s->p->b.buf + 32768 + 4096 * po->i,
			  oli_mr_rkey(po->s->p->b.mr));
		post(x, n, IBV_WR_SEND, IBV_SEND_SIGNALED, 128, 64);
		ring(x);
	}
	return NULL;
}

static u32 poll_one(struct node *n, struct oli_cq *cq)
{
	struct ib_uverbs_wc wc;

	if (!poll_cq(n, cq, &wc))
		return 0;
	if (wc.status != IBV_WC_SUCCESS)
		abort();
	return 1;
}

static void *poll_all(void *arg)
{
	struct side *s = arg;
	u32 n = 0;

	/* Two completions a round on the sender's side, one on the receiver's. */
	while (n < 3 * ROUNDS * PAIRS) {
		n += poll_one(&s->p->a, s->x[0].scq);
		n += poll_one(&s->p->b, s->y[0].rcq);
		oli_cq_req_notify(s->p->b.m, s->y[0].rcq, n & 1);
	}
	s->polled = n;
	return NULL;
}

static void *register_all(void *arg)
{
	struct side *s = arg;
	struct node *n = &s->p->b;

	while (!s->stop) {
		struct oli_mr *mr = node_reg(n, n->pd, (uintptr_t)n->buf + 131072, 8192, ALL_ACCESS);

		s->rkey = oli_mr_rkey(mr);
		if (oli_mr_dereg(n->m, mr))
			abort();
	}
	return NULL;
}

/* Writes by keys that may be gone: an unreliable queue pair survives it. */
static void *write_stale(void *arg)
{
	struct side *s = arg;
	struct end u, v;

	end_open(&u, &s->p->a, IBV_QPT_UC, false);
	end_open(&v, &s->p->b, IBV_QPT_UC, false);
	end_connect(&u, &v, &rig_link);
	while (!s->stop) {
		struct ib_uverbs_wc wc;

		post_rdma(&u, 1, IBV_WR_RDMA_WRITE, 0, 64, (uintptr_t)s->p->b.buf + 131072, s->rkey);
		ring(&u);
		while (!poll_cq(&s->p->a, u.scq, &wc))
			;
	}
	return NULL;
}

static void *create_all(void *arg)
{
	struct side *s = arg;
	struct link l = rig_link;

	l.rnr_retry = 7;
	while (!s->stop) {
		struct end u, v;

		end_open(&u, &s->p->a, IBV_QPT_RC, true);
		end_open(&v, &s->p->a, IBV_QPT_RC, true);
		end_connect(&u, &v, &l);
		post_recv(&v, 1, 200000, 64);
		post(&u, 1, IBV_WR_SEND, IBV_SEND_SIGNALED, 0, 8);
		ring(&u);
		expect(&s->p->a, v.rcq, 1, IBV_WC_SUCCESS);
		/* Nobody receives: it still waits when its queue pair is destroyed. */
		post(&u, 2, IBV_WR_SEND, 0, 0, 8);
		ring(&u);
		end_close(&u);
		end_close(&v);
	}
	return NULL;
}

static void *ask_all(void *arg)
{
	struct side *s = arg;
	struct ib_uverbs_query_qp_resp r;
	struct ib_uverbs_modify_qp a = {.min_rnr_timer = 1};

	while (!s->stop)
		for (u32 i = 0; i < PAIRS; i++) {
			oli_qp_query(s->p->a.m, s->x[i].qp, &r);
			if (end_modify(&s->x[i], IBV_QPS_RTS, IBV_QP_MIN_RNR_TIMER, &a))
				abort();
		}
	return NULL;
}

static void run(struct side *s)
{
	pthread_t poster[PAIRS], poller, other[4];
	struct poster po[PAIRS];

	open_ends(s);
	pthread_create(&poller, NULL, poll_all, s);
	pthread_create(&other[0], NULL, register_all, s);
	pthread_create(&other[1], NULL, create_all, s);
	pthread_create(&other[2], NULL, ask_all, s);
	pthread_create(&other[3], NULL, write_stale, s);
	for (u32 i = 0; i < PAIRS; i++) {
		po[i] = (struct poster){s, i};
		pthread_create(&poster[i], NULL, post_all, &po[i]);
	}
	for (u32 i = 0; i < PAIRS; i++)
		pthread_join(poster[i], NULL);
	pthread_join(poller, NULL);
	s->stop = true;
	for (u32 i = 0; i < 4; i++)
		pthread_join(other[i], NULL);
	assert_int_equal(s->polled, 3 * ROUNDS * PAIRS);
	for (u32 i = 0; i < PAIRS; i++)
		assert_memory_equal(s->p->b.buf + 4096 * (i + 1), s->p->a.buf + 128, 64);
}

/* Two slots, as with two processes. */
__attribute__((unused)) static void test_two_nodes(void **state)
{
	struct pair *p = *state;
	struct side s = {.p = p};

	memset(p->a.buf, 0x33, 4096);
	run(&s);
}

/* One slot at both ends: it sees everything. */
static void test_one_node(void **state)
{
	struct pair *p = *state, same = {0};
	struct side s = {.p = &same};

	same.a = same.b = p->a;
	memset(p->a.buf, 0x44, 4096);
	run(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#ifndef __SANITIZE_THREAD__ /* it takes one lock in two mappings for two locks */
		cmocka_unit_test_setup_teardown(test_two_nodes, nodes_setup, pair_teardown),
#endif
		cmocka_unit_test_setup_teardown(test_one_node, nodes_setup, pair_teardown),
	};

	return cmocka_run_group_tests_name("rdma/stress", tests, NULL, NULL);
}
