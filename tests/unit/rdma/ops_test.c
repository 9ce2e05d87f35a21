// SPDX-License-Identifier: MIT
/*
 * Proves what each kind of work request does between two queue pairs: bytes,
 * completions on both sides and every field of them, for connected and datagram
 * queue pairs; gather and scatter lists, inline data, zero length, unsignalled
 * requests; and which completions wake an armed queue.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rig.h"

#define RECV_OFF 65536u

static void paint(struct pair *p)
{
	for (u32 i = 0; i < BUF_SIZE; i++) {
		p->a.buf[i] = (u8)(i * 7 + (i >> 8));
		p->b.buf[i] = 0xee;
	}
}

static u64 there(struct pair *p, u32 off)
{
	return (uintptr_t)p->b.buf + off;
}

/* The receiver's buffer holds @len bytes of the sender's at @off and nothing more. */
static void check_landed(struct pair *p, u32 to, u32 from, u32 len)
{
	assert_int_equal(p->b.buf[to - 1], 0xee);
	assert_memory_equal(p->b.buf + to, p->a.buf + from, len);
	assert_int_equal(p->b.buf[to + len], 0xee);
}

static void check_send_wc(struct pair *p, const struct ib_uverbs_wc *wc, u32 opcode)
{
	assert_int_equal(wc->opcode, opcode);
	assert_int_equal(wc->qp_num, oli_qp_num(p->x.qp));
}

static void check_recv_wc(struct pair *p, const struct ib_uverbs_wc *wc, u32 opcode, u32 len, u32 flags)
{
	assert_int_equal(wc->opcode, opcode);
	assert_int_equal(wc->byte_len, len);
	assert_int_equal(wc->wc_flags, flags);
	assert_int_equal(wc->qp_num, oli_qp_num(p->y.qp));
	assert_int_equal(wc->src_qp, oli_qp_num(p->x.qp));
}

static void send_one(struct pair *p, u32 len)
{
	struct ib_uverbs_wc wc;

	paint(p);
	post_recv(&p->y, 2, RECV_OFF, 65536);
	post(&p->x, 1, IBV_WR_SEND, IBV_SEND_SIGNALED, 100, len);
	assert_int_equal(ring(&p->x), 0);
	wc = expect(&p->a, p->x.scq, 1, IBV_WC_SUCCESS);
	check_send_wc(p, &wc, IBV_WC_SEND);
	wc = expect(&p->b, p->y.rcq, 2, IBV_WC_SUCCESS);
	check_recv_wc(p, &wc, IBV_WC_RECV, len, 0);
	check_landed(p, RECV_OFF, 100, len);
}

static void test_send(void **state)
{
	static const u32 lens[] = {0, 1, 63, 4095, 4096, 4097, 65536};

	for (u32 i = 0; i < OLI_ARRAY_SIZE(lens); i++)
		send_one(*state, lens[i]);
}

static void test_send_imm(void **state)
{
	struct pair *p = *state;
	struct rxe_send_wqe *w = send_slot(&p->x);
	struct ib_uverbs_wc wc;

	paint(p);
	post_recv(&p->y, 2, RECV_OFF, 64);
	w->wr.wr_id = 1;
	w->wr.opcode = IBV_WR_SEND_WITH_IMM;
	w->wr.send_flags = IBV_SEND_SIGNALED;
	w->wr.ex.imm_data = 0x12345678;
	add_sge(w, (uintptr_t)p->a.buf + 5, 33, oli_mr_lkey(p->a.mr));
	send_push(&p->x);
	assert_int_equal(ring(&p->x), 0);
	expect(&p->a, p->x.scq, 1, IBV_WC_SUCCESS);
	wc = expect(&p->b, p->y.rcq, 2, IBV_WC_SUCCESS);
	check_recv_wc(p, &wc, IBV_WC_RECV, 33, IBV_WC_WITH_IMM);
	assert_int_equal(wc.ex.imm_data, 0x12345678);
	check_landed(p, RECV_OFF, 5, 33);
}

/* A write takes no receive, one with immediate takes one and leaves its buffer alone. */
static void test_write(void **state)
{
	struct pair *p = *state;
	struct ib_uverbs_wc wc;

	paint(p);
	post_recv(&p->y, 2, 128, 64);
	post_rdma(&p->x, 1, IBV_WR_RDMA_WRITE, 9, 5000, there(p, RECV_OFF), oli_mr_rkey(p->b.mr));
	assert_int_equal(ring(&p->x), 0);
	wc = expect(&p->a, p->x.scq, 1, IBV_WC_SUCCESS);
	check_send_wc(p, &wc, IBV_WC_RDMA_WRITE);
	expect_none(&p->b, p->y.rcq);
	check_landed(p, RECV_OFF, 9, 5000);

	post_rdma(&p->x, 3, IBV_WR_RDMA_WRITE_WITH_IMM, 20, 77, there(p, RECV_OFF + 8000),
		  oli_mr_rkey(p->b.mr));
	assert_int_equal(ring(&p->x), 0);
	wc = expect(&p->a, p->x.scq, 3, IBV_WC_SUCCESS);
	check_send_wc(p, &wc, IBV_WC_RDMA_WRITE);
	wc = expect(&p->b, p->y.rcq, 2, IBV_WC_SUCCESS);
	check_recv_wc(p, &wc, IBV_WC_RECV_RDMA_WITH_IMM, 77, IBV_WC_WITH_IMM);
	check_landed(p, RECV_OFF + 8000, 20, 77);
	assert_int_equal(p->b.buf[128], 0xee);
}

static void test_read(void **state)
{
	struct pair *p = *state;
	struct ib_uverbs_wc wc;

	paint(p);
	memset(p->a.buf, 0x11, BUF_SIZE);
	for (u32 i = 0; i < 9000; i++)
		p->b.buf[i] = (u8)(i * 3);
	post_rdma(&p->x, 1, IBV_WR_RDMA_READ, 500, 8001, there(p, 3), oli_mr_rkey(p->b.mr));
	assert_int_equal(ring(&p->x), 0);
	wc = expect(&p->a, p->x.scq, 1, IBV_WC_SUCCESS);
	check_send_wc(p, &wc, IBV_WC_RDMA_READ);
	assert_int_equal(wc.byte_len, 8001);
	assert_int_equal(p->a.buf[499], 0x11);
	assert_memory_equal(p->a.buf + 500, p->b.buf + 3, 8001);
	assert_int_equal(p->a.buf[500 + 8001], 0x11);
	expect_none(&p->b, p->y.rcq);
}

/* Nothing is moved, so no key is looked at (IBTA 9.7.4.1.3); completions come all the same. */
static void test_zero_length(void **state)
{
	struct pair *p = *state;
	struct ib_uverbs_wc wc;

	post_rdma(&p->x, 1, IBV_WR_RDMA_WRITE, 0, 0, 0, 0xdeadbeef);
	post_rdma(&p->x, 2, IBV_WR_RDMA_READ, 0, 0, 0, 0xdeadbeef);
	post_rdma(&p->x, 3, IBV_WR_RDMA_WRITE_WITH_IMM, 0, 0, 0, 0xdeadbeef);
	post_recv(&p->y, 4, 0, 0);
	assert_int_equal(ring(&p->x), 0);
	for (u64 id = 1; id <= 3; id++)
		expect(&p->a, p->x.scq, id, IBV_WC_SUCCESS);
	wc = expect(&p->b, p->y.rcq, 4, IBV_WC_SUCCESS);
	check_recv_wc(p, &wc, IBV_WC_RECV_RDMA_WITH_IMM, 0, IBV_WC_WITH_IMM);
}

static void test_inline(void **state)
{
	struct pair *p = *state;
	struct rxe_send_wqe *w = send_slot(&p->x);

	paint(p);
	post_recv(&p->y, 2, RECV_OFF, 256);
	w->wr.wr_id = 1;
	w->wr.opcode = IBV_WR_SEND;
	w->wr.send_flags = IBV_SEND_SIGNALED | IBV_SEND_INLINE;
	memcpy(w->dma.inline_data, p->a.buf + 40, 128);
	w->dma.length = 128;
	send_push(&p->x);
	assert_int_equal(ring(&p->x), 0);
	expect(&p->a, p->x.scq, 1, IBV_WC_SUCCESS);
	expect(&p->b, p->y.rcq, 2, IBV_WC_SUCCESS);
	check_landed(p, RECV_OFF, 40, 128);
}

/* More inline data than was granted is the requester's mistake, whatever follows in memory. */
static void test_inline_too_long(void **state)
{
	struct pair *p = *state;
	struct oli_qp_req caps;
	struct rxe_send_wqe *w = send_slot(&p->x);

	oli_qp_caps(p->x.qp, &caps);
	w->wr.wr_id = 1;
	w->wr.send_flags = IBV_SEND_INLINE;
	w->wr.opcode = IBV_WR_SEND;
	w->dma.length = caps.max_inline_data + 1;
	send_push(&p->x);
	assert_int_equal(ring(&p->x), 0);
	expect(&p->a, p->x.scq, 1, IBV_WC_LOC_QP_OP_ERR);
}

/* Lists of random pieces on both sides, against the bytes in order. Replay with the seed. */
static void one_list(struct pair *p, u32 seed)
{
	struct rxe_send_wqe *w = send_slot(&p->x);
	struct rxe_recv_wqe *r = recv_slot(&p->y);
	u32 from[OLI_MAX_SGE], flen[OLI_MAX_SGE], total = 0, room = 0, n;
	u8 want[OLI_MAX_SGE * 3000], got[OLI_MAX_SGE * 4000];

	srand(seed);
	paint(p);
	n = 1 + (u32)rand() % OLI_MAX_SGE;
	w->wr.wr_id = seed;
	w->wr.opcode = IBV_WR_SEND;
	w->wr.send_flags = IBV_SEND_SIGNALED;
	for (u32 i = 0; i < n; i++) {
		flen[i] = (u32)rand() % 4 ? (u32)rand() % 3000 : 0;
		from[i] = (u32)rand() % (BUF_SIZE - 3000);
		add_sge(w, (uintptr_t)p->a.buf + from[i], flen[i], oli_mr_lkey(p->a.mr));
		memcpy(want + total, p->a.buf + from[i], flen[i]);
		total += flen[i];
	}
	/* Receive pieces do not overlap: they lie in a row with gaps. */
	r->wr_id = seed;
	for (u32 i = 0; i < OLI_MAX_SGE; i++) {
		u32 len = (u32)rand() % 4000;

		if (i == OLI_MAX_SGE - 1 && room + len < total)
			len = total - room;
		r->dma.sge[r->dma.num_sge++] = (struct rxe_sge){
			there(p, 0) + i * 4096u, len < 4096 ? len : 4096, oli_mr_lkey(p->b.mr)};
		room += len < 4096 ? len : 4096;
	}
	if (room < total)
		fail_msg("bad test: seed %u has no room", seed);
	send_push(&p->x);
	recv_push(&p->y);
	assert_int_equal(ring(&p->x), 0);
	expect(&p->a, p->x.scq, seed, IBV_WC_SUCCESS);
	assert_int_equal(expect(&p->b, p->y.rcq, seed, IBV_WC_SUCCESS).byte_len, total);
	room = 0;
	for (u32 i = 0; i < OLI_MAX_SGE; i++) {
		u32 len = r->dma.sge[i].length;

		memcpy(got + room, p->b.buf + i * 4096u, len);
		room += len;
	}
	if (memcmp(want, got, total))
		fail_msg("seed %u: the bytes came otherwise", seed);
	for (u32 i = total; i < room; i++)
		if (got[i] != 0xee)
			fail_msg("seed %u: written behind the message", seed);
}

static void test_lists(void **state)
{
	struct pair *p = *state;

	for (u32 seed = 1; seed <= 200; seed++)
		one_list(p, seed);
}

static void test_too_many_elements(void **state)
{
	struct pair *p = *state;
	struct rxe_send_wqe *w = send_slot(&p->x);

	w->wr.wr_id = 1;
	w->wr.opcode = IBV_WR_SEND;
	w->dma.num_sge = OLI_MAX_SGE + 1;
	send_push(&p->x);
	assert_int_equal(ring(&p->x), 0);
	expect(&p->a, p->x.scq, 1, IBV_WC_LOC_QP_OP_ERR);
}

/* Only the last of a row asks: one completion, all were done, all room is free again. */
static void test_unsignalled(void **state)
{
	struct pair *p = *state;

	for (u32 i = 0; i < 10; i++) {
		post_recv(&p->y, i, RECV_OFF + i * 64, 64);
		post(&p->x, i, IBV_WR_SEND, i == 9 ? IBV_SEND_SIGNALED : 0, i * 64, 64);
	}
	assert_int_equal(ring(&p->x), 0);
	expect(&p->a, p->x.scq, 9, IBV_WC_SUCCESS);
	expect_none(&p->a, p->x.scq);
	for (u32 i = 0; i < 10; i++)
		expect(&p->b, p->y.rcq, i, IBV_WC_SUCCESS);
	assert_int_equal(oli_ring_consumer(p->a.m, &p->x.qp->sq),
			 oli_ring_producer(p->a.m, &p->x.qp->sq));
}

static void test_unsignalled_failure_completes(void **state)
{
	struct pair *p = *state;
	struct rxe_send_wqe *w;

	post_rdma(&p->x, 1, IBV_WR_RDMA_WRITE, 0, 8, there(p, 0), 0x1);
	w = oli_ring_elem(p->a.m, &p->x.qp->sq, 0);
	w->wr.send_flags = 0;
	assert_int_equal(ring(&p->x), 0);
	expect(&p->a, p->x.scq, 1, IBV_WC_REM_ACCESS_ERR);
}

static void test_sig_all(void **state)
{
	struct pair *p = *state;
	struct oli_qp_req caps = {.max_send_wr = 4, .max_recv_wr = 4, .max_send_sge = 1,
				  .max_recv_sge = 1, .type = IBV_QPT_RC, .sq_sig_all = 1};
	struct end s, r;

	caps.send_cq = caps.recv_cq = node_cq(&p->a, 8, false);
	end_open_caps(&s, &p->a, &caps);
	end_open(&r, &p->b, IBV_QPT_RC, false);
	end_connect(&s, &r, &rig_link);
	post_rdma(&s, 1, IBV_WR_RDMA_WRITE, 0, 8, there(p, 0), oli_mr_rkey(p->b.mr));
	((struct rxe_send_wqe *)oli_ring_elem(p->a.m, &s.qp->sq, 0))->wr.send_flags = 0;
	assert_int_equal(ring(&s), 0);
	expect(&p->a, s.scq, 1, IBV_WC_SUCCESS);
	end_close(&s);
	end_close(&r);
}

/* A queue pair connected to itself: the same thread is both sides. */
static void test_self(void **state)
{
	struct pair *p = *state;
	struct end e;

	end_open(&e, &p->a, IBV_QPT_RC, false);
	end_init(&e, &rig_link);
	end_rtr(&e, oli_qp_num(e.qp), &rig_link);
	end_rts(&e, &rig_link);
	memset(p->a.buf, 5, 64);
	post_recv(&e, 2, 1024, 64);
	post(&e, 1, IBV_WR_SEND, IBV_SEND_SIGNALED, 0, 64);
	assert_int_equal(ring(&e), 0);
	expect(&p->a, e.scq, 1, IBV_WC_SUCCESS);
	expect(&p->a, e.rcq, 2, IBV_WC_SUCCESS);
	assert_memory_equal(p->a.buf, p->a.buf + 1024, 64);
	/* A mistake here flushes both halves of the one queue pair. */
	post_recv(&e, 4, 1024, 64);
	post_rdma(&e, 3, IBV_WR_RDMA_WRITE, 0, 8, 0, 1);
	post(&e, 5, IBV_WR_SEND, 0, 0, 8);
	assert_int_equal(ring(&e), 0);
	expect(&p->a, e.scq, 3, IBV_WC_REM_ACCESS_ERR);
	expect(&p->a, e.scq, 5, IBV_WC_WR_FLUSH_ERR);
	expect(&p->a, e.rcq, 4, IBV_WC_WR_FLUSH_ERR);
	end_close(&e);
}

/* ---- unreliable ---- */

static void test_uc(void **state)
{
	struct pair *p = *state;
	struct end s, r;

	paint(p);
	end_open(&s, &p->a, IBV_QPT_UC, false);
	end_open(&r, &p->b, IBV_QPT_UC, false);
	end_connect(&s, &r, &rig_link);
	/* Lost, and nobody hears of it. */
	post(&s, 1, IBV_WR_SEND, IBV_SEND_SIGNALED, 0, 8);
	post_rdma(&s, 2, IBV_WR_RDMA_WRITE, 0, 8, there(p, 0), 0x1);
	assert_int_equal(ring(&s), 0);
	expect(&p->a, s.scq, 1, IBV_WC_SUCCESS);
	expect(&p->a, s.scq, 2, IBV_WC_SUCCESS);
	assert_int_equal(p->b.buf[0], 0xee);
	/* Delivered. */
	post_recv(&r, 4, RECV_OFF, 64);
	post(&s, 3, IBV_WR_SEND, IBV_SEND_SIGNALED, 50, 64);
	assert_int_equal(ring(&s), 0);
	expect(&p->a, s.scq, 3, IBV_WC_SUCCESS);
	expect(&p->b, r.rcq, 4, IBV_WC_SUCCESS);
	check_landed(p, RECV_OFF, 50, 64);
	/* There is no read. */
	post_rdma(&s, 5, IBV_WR_RDMA_READ, 0, 8, there(p, 0), oli_mr_rkey(p->b.mr));
	assert_int_equal(ring(&s), 0);
	expect(&p->a, s.scq, 5, IBV_WC_LOC_QP_OP_ERR);
	end_close(&s);
	end_close(&r);
}

static struct oli_ah *make_ah(struct node *n)
{
	struct ib_uverbs_ah_attr attr = {.port_num = 1, .is_global = 1};
	struct oli_ah *ah;

	assert_true(oli_gid_at(n->m, 0, 0, attr.grh.dgid));
	assert_int_equal(oli_ah_create(n->m, n->pd, &attr, &ah), 0);
	return ah;
}

static void post_ud(struct end *e, u64 id, struct oli_ah *ah, u32 qpn, u32 qkey, u32 off, u32 len)
{
	struct rxe_send_wqe *w = send_slot(e);

	w->wr.wr_id = id;
	w->wr.opcode = IBV_WR_SEND_WITH_IMM;
	w->wr.ex.imm_data = 77;
	w->wr.send_flags = IBV_SEND_SIGNALED;
	w->wr.wr.ud.ah_num = ah ? oli_ah_num(ah) : 0;
	w->wr.wr.ud.remote_qpn = qpn;
	w->wr.wr.ud.remote_qkey = qkey;
	add_sge(w, (uintptr_t)e->n->buf + off, len, oli_mr_lkey(e->n->mr));
	send_push(e);
}

static void ud_ends(struct pair *p, struct end *s, struct end *r)
{
	end_open(s, &p->a, IBV_QPT_UD, false);
	end_open(r, &p->b, IBV_QPT_UD, false);
	for (int i = 0; i < 2; i++) {
		struct end *e = i ? r : s;

		end_init(e, &rig_link);
		end_rtr(e, 0, &rig_link);
		end_rts(e, &rig_link);
	}
	paint(p);
}

static void test_datagram(void **state)
{
	struct pair *p = *state;
	struct oli_ah *ah = make_ah(&p->a);
	struct ib_uverbs_wc wc;
	struct end s, r;

	ud_ends(p, &s, &r);
	post_recv(&r, 2, RECV_OFF, 40 + 64);
	post_ud(&s, 1, ah, oli_qp_num(r.qp), 0x11, 9, 64);
	assert_int_equal(ring(&s), 0);
	expect(&p->a, s.scq, 1, IBV_WC_SUCCESS);
	wc = expect(&p->b, r.rcq, 2, IBV_WC_SUCCESS);
	assert_int_equal(wc.byte_len, 64 + 40);
	assert_int_equal(wc.src_qp, oli_qp_num(s.qp));
	assert_int_equal(wc.wc_flags, IBV_WC_GRH | IBV_WC_WITH_IMM);
	assert_int_equal(wc.ex.imm_data, 77);
	assert_memory_equal(p->b.buf + RECV_OFF + 40, p->a.buf + 9, 64);
	assert_int_equal(p->b.buf[RECV_OFF + 104], 0xee);
	end_close(&s);
	end_close(&r);
	assert_int_equal(oli_ah_destroy(p->a.m, ah), 0);
}

/* What does not fit is dropped: the sender succeeds, the receive stays posted. */
static void test_datagram_dropped(void **state)
{
	struct pair *p = *state;
	struct oli_ah *ah = make_ah(&p->a);
	struct end s, r;
	u32 gone;

	ud_ends(p, &s, &r);
	gone = oli_qp_num(r.qp) ^ 0x10000;
	post_recv(&r, 9, RECV_OFF, 40 + 63);
	post_ud(&s, 1, ah, oli_qp_num(r.qp), 0x12, 0, 8);  /* wrong qkey */
	post_ud(&s, 2, ah, gone, 0x11, 0, 8);		    /* no such queue pair */
	post_ud(&s, 3, ah, oli_qp_num(p->y.qp), 0x11, 0, 8); /* not a datagram one */
	post_ud(&s, 4, ah, oli_qp_num(r.qp), 0x11, 0, 64); /* a byte too long */
	assert_int_equal(ring(&s), 0);
	for (u64 id = 1; id <= 4; id++)
		expect(&p->a, s.scq, id, IBV_WC_SUCCESS);
	expect_none(&p->b, r.rcq);
	/* The controlled key stands for the sender's own, which is the right one. */
	post_ud(&s, 5, ah, oli_qp_num(r.qp), 0x80000000, 0, 63);
	assert_int_equal(ring(&s), 0);
	expect(&p->b, r.rcq, 9, IBV_WC_SUCCESS);
	/* An address handle that is not there is the sender's mistake. */
	expect(&p->a, s.scq, 5, IBV_WC_SUCCESS);
	post_ud(&s, 6, NULL, oli_qp_num(r.qp), 0x11, 0, 8);
	assert_int_equal(ring(&s), 0);
	expect(&p->a, s.scq, 6, IBV_WC_LOC_QP_OP_ERR);
	end_close(&s);
	end_close(&r);
	assert_int_equal(oli_ah_destroy(p->a.m, ah), 0);
}

static void test_unknown_opcode(void **state)
{
	struct pair *p = *state;

	post(&p->x, 1, 250, 0, 0, 8);
	assert_int_equal(ring(&p->x), 0);
	expect(&p->a, p->x.scq, 1, IBV_WC_LOC_QP_OP_ERR);
}

/* ---- arming ---- */

static void send_flagged(struct pair *p, u32 flags)
{
	post_recv(&p->y, 2, RECV_OFF, 64);
	post(&p->x, 1, IBV_WR_SEND, IBV_SEND_SIGNALED | flags, 0, 8);
	assert_int_equal(ring(&p->x), 0);
	expect(&p->a, p->x.scq, 1, IBV_WC_SUCCESS);
	expect(&p->b, p->y.rcq, 2, IBV_WC_SUCCESS);
}

static void test_arming(void **state)
{
	struct pair *p = *state;
	u64 handle = 0;

	/* Not armed: no event. */
	send_flagged(p, IBV_SEND_SOLICITED);
	assert_int_equal(drain_events(p->b.chan_fd, NULL), 0);
	/* Armed: one event for the next completion, none for those after it. */
	oli_cq_req_notify(p->b.m, p->y.rcq, false);
	send_flagged(p, 0);
	send_flagged(p, 0);
	assert_int_equal(drain_events(p->b.chan_fd, &handle), 1);
	assert_int_equal(handle, p->y.rcq->user_handle);
	/* Armed for solicited ones: others pass by. */
	oli_cq_req_notify(p->b.m, p->y.rcq, true);
	send_flagged(p, 0);
	assert_int_equal(drain_events(p->b.chan_fd, NULL), 0);
	send_flagged(p, IBV_SEND_SOLICITED);
	assert_int_equal(drain_events(p->b.chan_fd, NULL), 1);
	/* Arming for solicited does not take back arming for all. */
	oli_cq_req_notify(p->b.m, p->y.rcq, false);
	oli_cq_req_notify(p->b.m, p->y.rcq, true);
	send_flagged(p, 0);
	assert_int_equal(drain_events(p->b.chan_fd, NULL), 1);
}

/* A failure wakes those who wait for solicited ones only. */
static void test_arming_by_failure(void **state)
{
	struct pair *p = *state;

	oli_cq_req_notify(p->b.m, p->y.rcq, true);
	oli_cq_req_notify(p->a.m, p->x.scq, true);
	post_recv(&p->y, 2, RECV_OFF, 4);
	post(&p->x, 1, IBV_WR_SEND, 0, 0, 8);
	assert_int_equal(ring(&p->x), 0);
	expect(&p->b, p->y.rcq, 2, IBV_WC_LOC_LEN_ERR);
	expect(&p->a, p->x.scq, 1, IBV_WC_REM_INV_REQ_ERR);
	assert_int_equal(drain_events(p->b.chan_fd, NULL), 1);
	assert_int_equal(drain_events(p->a.chan_fd, NULL), 1);
}

int main(void)
{
#define ON_PAIR(f) cmocka_unit_test_setup_teardown(f, pair_setup, pair_teardown)
	const struct CMUnitTest tests[] = {
		ON_PAIR(test_send),
		ON_PAIR(test_send_imm),
		ON_PAIR(test_write),
		ON_PAIR(test_read),
		ON_PAIR(test_zero_length),
		ON_PAIR(test_inline),
		ON_PAIR(test_inline_too_long),
		ON_PAIR(test_lists),
		ON_PAIR(test_too_many_elements),
		ON_PAIR(test_unsignalled),
		ON_PAIR(test_unsignalled_failure_completes),
		ON_PAIR(test_sig_all),
		ON_PAIR(test_self),
		ON_PAIR(test_uc),
		ON_PAIR(test_datagram),
		ON_PAIR(test_datagram_dropped),
		ON_PAIR(test_unknown_opcode),
		ON_PAIR(test_arming),
		ON_PAIR(test_arming_by_failure),
	};

	return cmocka_run_group_tests_name("rdma/ops", tests, NULL, NULL);
}
