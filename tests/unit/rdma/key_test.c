// SPDX-License-Identifier: MIT
/*
 * Proves what a key lets through: ranges around a region's ends and at the top
 * of the address space against 128-bit arithmetic, protection domains, access
 * rights, keys that are old, foreign or of the wrong kind; memory windows; and
 * that deregistration waits for whoever is inside.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "rig.h"

typedef unsigned __int128 u128;

static u64 there(struct pair *p, u32 off)
{
	return (uintptr_t)p->b.buf + off;
}

static bool inside(u64 start, u64 len, const struct oli_mr_req *r)
{
	return (u128)start >= r->iova && (u128)start + len <= (u128)r->iova + r->length;
}

static u64 near(u64 base)
{
	static const s32 steps[] = {0, 1, -1, 2, -2, 100, -100, 4096, -4096};

	return base + (u64)(s64)steps[(u32)rand() % OLI_ARRAY_SIZE(steps)];
}

static u64 some_start(const struct oli_mr_req *r)
{
	switch (rand() % 4) {
	case 0: return near(r->iova);
	case 1: return near(r->iova + r->length);
	case 2: return near(0);
	default: return r->iova + (u64)rand() % r->length;
	}
}

static u64 some_len(const struct oli_mr_req *r, u64 start)
{
	switch (rand() % 5) {
	case 0: return near(r->iova + r->length - start);
	case 1: return near(0 - start);
	case 2: return near(r->length);
	case 3: return UINT64_MAX - (u64)rand() % 3;
	default: return (u64)rand() % (2 * r->length);
	}
}

/* The check itself, for a region whose iova is anywhere, also at the very top. */
static void bounds_of(struct pair *p, u64 iova, u32 seed)
{
	struct oli_mr_req req = {.start = (uintptr_t)p->b.buf + iova % 4096, .length = 8192,
				 .iova = iova, .access = ALL_ACCESS};
	struct oli_mr *mr;

	if (iova > UINT64_MAX - req.length)
		req.length = UINT64_MAX - iova;
	assert_int_equal(oli_mr_reg(p->b.m, p->b.pd, &req, &mr), 0);
	srand(seed);
	for (u32 i = 0; i < 20000; i++) {
		u64 start = some_start(&req), len = some_len(&req, start);
		struct oli_list list;
		struct oli_fail f = {0};
		bool want = inside(start, len, &req);
		int got;

		oli_list_init(&list);
		got = oli_mr_remote(p->b.m, p->y.qp, oli_mr_rkey(mr), start, len,
				    IBV_ACCESS_REMOTE_WRITE, &list, &f);
		if ((got == 0) != want)
			fail_msg("seed %u: [0x%llx, +0x%llx) in [0x%llx, +0x%llx) is %d", seed,
				 (unsigned long long)start, (unsigned long long)len,
				 (unsigned long long)req.iova, (unsigned long long)req.length, got);
		if (want)
			assert_int_equal(list.piece[0].addr, req.start + (start - req.iova));
		else
			assert_int_equal(f.cause, OLI_CAUSE_OUT_OF_RANGE);
	}
	assert_int_equal(oli_mr_dereg(p->b.m, mr), 0);
}

static void test_bounds(void **state)
{
	bounds_of(*state, 0, 1);
	bounds_of(*state, 4096, 2);
	bounds_of(*state, 0x7fffffff0123, 3);
	bounds_of(*state, UINT64_MAX - 8191, 4);
	bounds_of(*state, UINT64_MAX - 4096 - 17, 5);
}

/* End to end: the first byte outside fails, the last inside does not. */
static void test_ends(void **state)
{
	struct pair *p = *state;
	struct oli_mr *mr = node_reg(&p->b, p->b.pd, there(p, 4096), 4096, ALL_ACCESS);
	static const struct {
		s32 off;
		u32 len;
		bool ok;
	} cases[] = {{0, 4096, true}, {4095, 1, true}, {-1, 1, false}, {-1, 2, false},
		     {4096, 1, false}, {4095, 2, false}, {0, 4097, false}};

	for (u32 i = 0; i < OLI_ARRAY_SIZE(cases); i++) {
		memset(p->b.buf, 0, 3 * 4096);
		memset(p->a.buf, 0xff, 3 * 4096);
		post_rdma(&p->x, i, IBV_WR_RDMA_WRITE, 0, cases[i].len,
			  there(p, 4096) + (u64)(s64)cases[i].off, oli_mr_rkey(mr));
		assert_int_equal(ring(&p->x), 0);
		expect(&p->a, p->x.scq, i, cases[i].ok ? IBV_WC_SUCCESS : IBV_WC_REM_ACCESS_ERR);
		assert_int_equal(p->b.buf[4095], 0);
		assert_int_equal(p->b.buf[8192], 0);
		if (cases[i].ok)
			continue;
		assert_int_equal(p->b.buf[8191], 0);
		end_modify(&p->x, IBV_QPS_RESET, 0, NULL);
		end_modify(&p->y, IBV_QPS_RESET, 0, NULL);
		end_connect(&p->x, &p->y, &rig_link);
	}
}

/* ---- who may ---- */

static int try_remote(struct pair *p, u32 rkey, u32 access, enum oli_cause want)
{
	struct oli_fail f = {0};
	struct oli_list list = {0};
	int err = oli_mr_remote(p->b.m, p->y.qp, rkey, there(p, 0), 8, access, &list, &f);

	assert_int_equal(list.n, !err);
	assert_int_equal(f.cause, want);
	return err;
}

static void test_wrong_domain(void **state)
{
	struct pair *p = *state;
	struct oli_pd *other;
	struct oli_mr *mr;
	struct oli_fail f = {0};
	struct oli_list list = {0};

	assert_int_equal(oli_pd_alloc(p->b.m, p->b.ctx, &other), 0);
	mr = node_reg(&p->b, other, there(p, 0), 4096, ALL_ACCESS);
	assert_int_equal(try_remote(p, oli_mr_rkey(mr), IBV_ACCESS_REMOTE_READ, OLI_CAUSE_WRONG_PD),
			 -EACCES);
	assert_int_equal(oli_mr_local(p->b.m, p->y.qp, oli_mr_lkey(mr), there(p, 0), 8, 0, &list, &f),
			 -EACCES);
	assert_int_equal(f.cause, OLI_CAUSE_WRONG_PD);
}

static void test_missing_access(void **state)
{
	struct pair *p = *state;
	static const u32 bits[] = {IBV_ACCESS_REMOTE_READ, IBV_ACCESS_REMOTE_WRITE,
				   IBV_ACCESS_REMOTE_ATOMIC};

	for (u32 have = 0; have < 8; have++) {
		u32 access = IBV_ACCESS_LOCAL_WRITE;
		struct oli_mr *mr;

		for (u32 i = 0; i < 3; i++)
			access |= have >> i & 1 ? bits[i] : 0;
		mr = node_reg(&p->b, p->b.pd, there(p, 0), 4096, access);
		for (u32 i = 0; i < 3; i++)
			assert_int_equal(try_remote(p, oli_mr_rkey(mr), bits[i],
						    have >> i & 1 ? OLI_CAUSE_NONE
								  : OLI_CAUSE_NO_ACCESS),
					 have >> i & 1 ? 0 : -EACCES);
		assert_int_equal(oli_mr_dereg(p->b.m, mr), 0);
	}
}

/* A queue pair that does not permit it refuses before any key is looked at. */
static void test_queue_pair_access(void **state)
{
	struct pair *p = *state;
	struct ib_uverbs_modify_qp a = {.qp_access_flags = IBV_ACCESS_REMOTE_READ};

	assert_int_equal(end_modify(&p->y, IBV_QPS_RTS, IBV_QP_ACCESS_FLAGS, &a), 0);
	post_rdma(&p->x, 1, IBV_WR_RDMA_READ, 0, 8, there(p, 0), oli_mr_rkey(p->b.mr));
	post_rdma(&p->x, 2, IBV_WR_RDMA_WRITE, 0, 8, there(p, 0), oli_mr_rkey(p->b.mr));
	assert_int_equal(ring(&p->x), 0);
	expect(&p->a, p->x.scq, 1, IBV_WC_SUCCESS);
	/* Not enabled at all is an invalid request, as rdma-core's tests have it on Linux's rxe. */
	expect(&p->a, p->x.scq, 2, IBV_WC_REM_INV_REQ_ERR);
}

static void test_local_rights(void **state)
{
	struct pair *p = *state;
	struct oli_mr *mr = node_reg(&p->a, p->a.pd, (uintptr_t)p->a.buf, 4096, 0);
	struct rxe_send_wqe *w = send_slot(&p->x);

	/* Readable is enough to send from ... */
	w->wr.wr_id = 1;
	w->wr.opcode = IBV_WR_RDMA_WRITE;
	w->wr.send_flags = IBV_SEND_SIGNALED;
	w->wr.wr.rdma.remote_addr = there(p, 0);
	w->wr.wr.rdma.rkey = oli_mr_rkey(p->b.mr);
	add_sge(w, (uintptr_t)p->a.buf, 8, oli_mr_lkey(mr));
	send_push(&p->x);
	assert_int_equal(ring(&p->x), 0);
	expect(&p->a, p->x.scq, 1, IBV_WC_SUCCESS);
	/* ... and not to read into. */
	w = send_slot(&p->x);
	w->wr.wr_id = 2;
	w->wr.opcode = IBV_WR_RDMA_READ;
	w->wr.wr.rdma.remote_addr = there(p, 0);
	w->wr.wr.rdma.rkey = oli_mr_rkey(p->b.mr);
	add_sge(w, (uintptr_t)p->a.buf, 8, oli_mr_lkey(mr));
	send_push(&p->x);
	assert_int_equal(ring(&p->x), 0);
	expect(&p->a, p->x.scq, 2, IBV_WC_LOC_PROT_ERR);
}

static void test_stale_and_foreign_keys(void **state)
{
	struct pair *p = *state;
	struct oli_mr *mr = node_reg(&p->b, p->b.pd, there(p, 0), 4096, ALL_ACCESS), *next;
	u32 rkey = oli_mr_rkey(mr), lkey = oli_mr_lkey(mr);

	assert_int_not_equal(rkey, lkey);
	assert_int_equal(try_remote(p, rkey, IBV_ACCESS_REMOTE_READ, OLI_CAUSE_NONE), 0);
	assert_int_equal(try_remote(p, lkey, IBV_ACCESS_REMOTE_READ, OLI_CAUSE_NO_KEY), -EACCES);
	/* Of the peer's own process, not of the responder's. */
	assert_int_equal(try_remote(p, oli_mr_rkey(p->a.mr), IBV_ACCESS_REMOTE_READ, OLI_CAUSE_NO_KEY),
			 -EACCES);
	for (u32 bit = 0; bit < 32; bit++)
		assert_int_equal(try_remote(p, rkey ^ 1u << bit, IBV_ACCESS_REMOTE_READ,
					    OLI_CAUSE_NO_KEY),
				 -EACCES);
	assert_int_equal(oli_mr_dereg(p->b.m, mr), 0);
	assert_int_equal(try_remote(p, rkey, IBV_ACCESS_REMOTE_READ, OLI_CAUSE_NO_KEY), -EACCES);
	next = node_reg(&p->b, p->b.pd, there(p, 0), 4096, ALL_ACCESS);
	assert_ptr_equal(next, mr); /* the same place ... */
	if (oli_mr_rkey(next) != rkey) /* ... another key, but for 1 in 4096 */
		assert_int_equal(try_remote(p, rkey, IBV_ACCESS_REMOTE_READ, OLI_CAUSE_NO_KEY),
				 -EACCES);
}

static void test_registration_refused(void **state)
{
	struct pair *p = *state;
	u64 buf = (uintptr_t)p->a.buf;
	const struct {
		struct oli_mr_req req;
		int err;
	} cases[] = {
		{{buf, 0, buf, 0}, -EINVAL},
		{{buf, 64, buf + 1, 0}, -EINVAL},
		{{buf, 64, buf, IBV_ACCESS_REMOTE_WRITE}, -EINVAL},
		{{buf, 64, buf, IBV_ACCESS_REMOTE_ATOMIC}, -EINVAL},
		{{buf, 64, buf, 1u << 9}, -EINVAL},
		{{buf, 64, buf, IBV_ACCESS_ON_DEMAND}, -EOPNOTSUPP},
		{{buf, UINT64_MAX, buf, 0}, -EINVAL},
		{{UINT64_MAX - 8191, 8192, 0, 0}, -EINVAL},
		{{buf, 8192, (UINT64_MAX & ~4095ull) + buf % 4096, 0}, -EINVAL},
		{{4096, 64, 4096, 0}, -EFAULT},
		{{UINT64_MAX - 100, 50, UINT64_MAX - 100, 0}, -EFAULT},
	};

	for (u32 i = 0; i < OLI_ARRAY_SIZE(cases); i++) {
		struct oli_mr *mr = NULL;
		int err = oli_mr_reg(p->a.m, p->a.pd, &cases[i].req, &mr);

		if (err != cases[i].err)
			fail_msg("case %u is %d, expected %d", i, err, cases[i].err);
		assert_null(mr);
	}
}

/* ---- windows ---- */

static void post_bind(struct end *e, u64 id, struct oli_mr *mw, struct oli_mr *mr, u64 addr, u64 len,
		      u32 access, u8 low)
{
	struct rxe_send_wqe *w = send_slot(e);

	w->wr.wr_id = id;
	w->wr.opcode = IBV_WR_BIND_MW;
	w->wr.send_flags = IBV_SEND_SIGNALED;
	w->wr.wr.mw.addr = addr;
	w->wr.wr.mw.length = len;
	w->wr.wr.mw.mr_lkey = oli_mr_lkey(mr);
	w->wr.wr.mw.mw_rkey = oli_mr_rkey(mw);
	w->wr.wr.mw.rkey = (oli_mr_rkey(mw) & ~0xffu) | low;
	w->wr.wr.mw.access = access;
	send_push(e);
}

static void bind_ok(struct pair *p, struct oli_mr *mw, u64 addr, u64 len, u32 access)
{
	post_bind(&p->y, 1, mw, p->b.mr, addr, len, access, (u8)(oli_mr_rkey(mw) + 1));
	assert_int_equal(ring(&p->y), 0);
	assert_int_equal(expect(&p->b, p->y.scq, 1, IBV_WC_SUCCESS).opcode, IBV_WC_BIND_MW);
}

static void test_window(void **state)
{
	struct pair *p = *state;
	struct oli_mr *mw;
	u32 first, second;

	assert_int_equal(oli_mw_alloc(p->b.m, p->b.pd, IBV_MW_TYPE_1, &mw), 0);
	assert_int_equal(try_remote(p, oli_mr_rkey(mw), IBV_ACCESS_REMOTE_READ, OLI_CAUSE_UNBOUND),
			 -EACCES);
	bind_ok(p, mw, there(p, 0), 64, IBV_ACCESS_REMOTE_READ);
	first = oli_mr_rkey(mw);
	assert_int_equal(try_remote(p, first, IBV_ACCESS_REMOTE_READ, OLI_CAUSE_NONE), 0);
	assert_int_equal(try_remote(p, first, IBV_ACCESS_REMOTE_WRITE, OLI_CAUSE_NO_ACCESS), -EACCES);
	assert_int_equal(oli_mr_dereg(p->b.m, p->b.mr), -EBUSY);
	/* Bound again: the old key is dead, the new range counts. */
	bind_ok(p, mw, there(p, 4), 64, IBV_ACCESS_REMOTE_READ);
	second = oli_mr_rkey(mw);
	assert_int_not_equal(first, second);
	assert_int_equal(try_remote(p, first, IBV_ACCESS_REMOTE_READ, OLI_CAUSE_NO_KEY), -EACCES);
	assert_int_equal(try_remote(p, second, IBV_ACCESS_REMOTE_READ, OLI_CAUSE_OUT_OF_RANGE),
			 -EACCES);
	/* Length 0 unbinds. */
	bind_ok(p, mw, 0, 0, 0);
	assert_int_equal(try_remote(p, oli_mr_rkey(mw), IBV_ACCESS_REMOTE_READ, OLI_CAUSE_UNBOUND),
			 -EACCES);
	assert_int_equal(oli_mw_dealloc(p->b.m, mw), 0);
	assert_int_equal(oli_mr_dereg(p->b.m, p->b.mr), 0);
}

static void test_window_refused(void **state)
{
	struct pair *p = *state;
	struct oli_mr *plain = node_reg(&p->b, p->b.pd, there(p, 0), 4096, IBV_ACCESS_MW_BIND);
	struct oli_mr *unfit = node_reg(&p->b, p->b.pd, there(p, 0), 4096, IBV_ACCESS_LOCAL_WRITE);
	const struct {
		struct oli_mr *mr;
		u64 addr, len;
		u32 access;
	} cases[] = {
		{unfit, there(p, 0), 64, IBV_ACCESS_REMOTE_READ},	  /* no MW_BIND */
		{plain, there(p, 0), 64, IBV_ACCESS_REMOTE_WRITE},	  /* no local write */
		{plain, there(p, 0), 4097, IBV_ACCESS_REMOTE_READ},	  /* too long */
		{plain, there(p, 0) - 1, 2, IBV_ACCESS_REMOTE_READ},	  /* begins before */
		{plain, there(p, 4095), UINT64_MAX, IBV_ACCESS_REMOTE_READ},
		{plain, there(p, 0), 64, IBV_ACCESS_MW_BIND},		  /* no right of a window */
	};

	for (u32 i = 0; i < OLI_ARRAY_SIZE(cases); i++) {
		struct oli_mr *mw;

		assert_int_equal(oli_mw_alloc(p->b.m, p->b.pd, IBV_MW_TYPE_1, &mw), 0);
		post_bind(&p->y, i, mw, cases[i].mr, cases[i].addr, cases[i].len, cases[i].access, 0);
		assert_int_equal(ring(&p->y), 0);
		expect(&p->b, p->y.scq, i, IBV_WC_MW_BIND_ERR);
		assert_int_equal(oli_mw_dealloc(p->b.m, mw), 0);
		end_modify(&p->y, IBV_QPS_RESET, 0, NULL);
		end_init(&p->y, &rig_link);
		end_rtr(&p->y, oli_qp_num(p->x.qp), &rig_link);
		end_rts(&p->y, &rig_link);
	}
}

static void post_inv(struct end *e, u64 id, u32 op, u32 rkey)
{
	struct rxe_send_wqe *w = send_slot(e);

	w->wr.wr_id = id;
	w->wr.opcode = op;
	w->wr.send_flags = IBV_SEND_SIGNALED;
	w->wr.ex.invalidate_rkey = rkey;
	send_push(e);
}

/* A type 2 window: one queue pair's, invalidated by its owner or by the peer's SEND. */
static void test_window_2(void **state)
{
	struct pair *p = *state;
	struct ib_uverbs_wc wc;
	struct oli_mr *mw;
	struct oli_fail f = {0};
	struct oli_list list = {0};
	struct end other;

	assert_int_equal(oli_mw_alloc(p->b.m, p->b.pd, IBV_MW_TYPE_2, &mw), 0);
	bind_ok(p, mw, there(p, 0), 64, IBV_ACCESS_REMOTE_READ);
	assert_int_equal(try_remote(p, oli_mr_rkey(mw), IBV_ACCESS_REMOTE_READ, OLI_CAUSE_NONE), 0);
	end_open(&other, &p->b, IBV_QPT_RC, false);
	assert_int_equal(oli_mr_remote(p->b.m, other.qp, oli_mr_rkey(mw), there(p, 0), 8,
				       IBV_ACCESS_REMOTE_READ, &list, &f),
			 -EACCES);
	assert_int_equal(f.cause, OLI_CAUSE_UNBOUND);
	post_inv(&p->y, 2, IBV_WR_LOCAL_INV, oli_mr_rkey(mw));
	assert_int_equal(ring(&p->y), 0);
	expect(&p->b, p->y.scq, 2, IBV_WC_SUCCESS);
	assert_int_equal(try_remote(p, oli_mr_rkey(mw), IBV_ACCESS_REMOTE_READ, OLI_CAUSE_UNBOUND),
			 -EACCES);
	bind_ok(p, mw, there(p, 0), 64, IBV_ACCESS_REMOTE_READ);
	post_recv(&p->y, 4, 1024, 64);
	post_inv(&p->x, 3, IBV_WR_SEND_WITH_INV, oli_mr_rkey(mw));
	assert_int_equal(ring(&p->x), 0);
	expect(&p->a, p->x.scq, 3, IBV_WC_SUCCESS);
	wc = expect(&p->b, p->y.rcq, 4, IBV_WC_SUCCESS);
	assert_int_equal(wc.wc_flags, IBV_WC_WITH_INV);
	assert_int_equal(wc.ex.invalidate_rkey, oli_mr_rkey(mw));
	assert_int_equal(try_remote(p, oli_mr_rkey(mw), IBV_ACCESS_REMOTE_READ, OLI_CAUSE_UNBOUND),
			 -EACCES);
	/* A region's key cannot be invalidated. */
	post_recv(&p->y, 6, 1024, 64);
	post_inv(&p->x, 5, IBV_WR_SEND_WITH_INV, oli_mr_rkey(p->b.mr));
	assert_int_equal(ring(&p->x), 0);
	expect(&p->a, p->x.scq, 5, IBV_WC_REM_ACCESS_ERR);
	assert_int_equal(try_remote(p, oli_mr_rkey(p->b.mr), IBV_ACCESS_REMOTE_READ, OLI_CAUSE_NONE),
			 0);
}

/* ---- deregistration waits ---- */

struct waiter {
	struct node *n;
	struct oli_mr *mr;
	_Atomic bool done;
};

static void *deregister(void *arg)
{
	struct waiter *w = arg;

	assert_int_equal(oli_mr_dereg(w->n->m, w->mr), 0);
	w->done = true;
	return NULL;
}

/* @who holds a hazard, which is what being inside a transfer means. */
static void dereg_against(struct pair *p, struct node *who)
{
	struct waiter w = {.n = &p->b};
	_Atomic u64 *hazard, *unrelated;
	pthread_t thread;
	u64 until;

	w.mr = node_reg(&p->b, p->b.pd, there(p, 0), 4096, ALL_ACCESS);
	hazard = oli_hazard_take(who->m, p->b.pd->obj.id);
	unrelated = oli_hazard_take(who->m, p->b.pd->obj.id + 1);
	pthread_create(&thread, NULL, deregister, &w);
	/* It has made the key invalid, and is not back. */
	for (until = oli_now() + 5 * OLI_NS_PER_S; w.mr->valid && oli_now() < until;)
		;
	assert_false(w.mr->valid);
	for (until = oli_now() + 20 * OLI_NS_PER_MS; oli_now() < until;)
		assert_false(w.done);
	oli_hazard_drop(hazard);
	pthread_join(thread, NULL);
	assert_true(w.done);
	oli_hazard_drop(unrelated);
}

static void test_dereg_waits(void **state)
{
	struct pair *p = *state;

	dereg_against(p, &p->a);
	dereg_against(p, &p->b);
}

/* Bytes of one piece: a transfer sees the region until its end, or not at all. */
struct writer {
	struct pair *p;
	u32 rkey;
	_Atomic bool stop;
	u32 rounds;
};

static void *write_on(void *arg)
{
	struct writer *w = arg;
	struct ib_uverbs_wc wc;

	while (!w->stop) {
		post_rdma(&w->p->x, 1, IBV_WR_RDMA_WRITE, 0, 65536, there(w->p, 0), w->rkey);
		ring(&w->p->x);
		while (!poll_cq(&w->p->a, w->p->x.scq, &wc))
			;
		if (wc.status != IBV_WC_SUCCESS)
			break;
		w->rounds++;
	}
	return NULL;
}

static void test_nothing_lands_after_dereg(void **state)
{
	struct pair *p = *state;

	for (int round = 0; round < 20; round++) {
		struct oli_mr *mr = node_reg(&p->b, p->b.pd, there(p, 0), 65536, ALL_ACCESS);
		struct writer w = {.p = p, .rkey = oli_mr_rkey(mr)};
		pthread_t thread;

		memset(p->a.buf, 0xff, 65536);
		memset(p->b.buf, 0, 65536);
		pthread_create(&thread, NULL, write_on, &w);
		while (!__atomic_load_n(&p->b.buf[0], __ATOMIC_RELAXED))
			;
		assert_int_equal(oli_mr_dereg(p->b.m, mr), 0);
		memset(p->b.buf, 0, 65536);
		pthread_join(thread, NULL);
		for (u32 i = 0; i < 65536; i++)
			assert_int_equal(p->b.buf[i], 0);
		end_modify(&p->x, IBV_QPS_RESET, 0, NULL);
		end_modify(&p->y, IBV_QPS_RESET, 0, NULL);
		end_connect(&p->x, &p->y, &rig_link);
	}
}

/* The same for the requester's own memory: what a read brings comes before or not at all. */
static void *read_on(void *arg)
{
	struct writer *w = arg;
	struct ib_uverbs_wc wc;

	do {
		struct rxe_send_wqe *q = send_slot(&w->p->x);

		q->wr.wr_id = 1;
		q->wr.opcode = IBV_WR_RDMA_READ;
		q->wr.send_flags = IBV_SEND_SIGNALED;
		q->wr.wr.rdma.remote_addr = there(w->p, 0);
		q->wr.wr.rdma.rkey = oli_mr_rkey(w->p->b.mr);
		add_sge(q, (uintptr_t)w->p->a.buf, 65536, w->rkey);
		send_push(&w->p->x);
		ring(&w->p->x);
		while (!poll_cq(&w->p->a, w->p->x.scq, &wc))
			;
	} while (wc.status == IBV_WC_SUCCESS);
	return NULL;
}

static void test_nothing_is_read_after_dereg(void **state)
{
	struct pair *p = *state;

	for (int round = 0; round < 50; round++) {
		struct oli_mr *mr =
			node_reg(&p->a, p->a.pd, (uintptr_t)p->a.buf, 65536, ALL_ACCESS);
		struct writer w = {.p = p, .rkey = oli_mr_lkey(mr)};
		pthread_t thread;

		memset(p->b.buf, 0xff, 65536);
		memset(p->a.buf, 0, 65536);
		pthread_create(&thread, NULL, read_on, &w);
		while (!__atomic_load_n(&p->a.buf[0], __ATOMIC_RELAXED))
			;
		assert_int_equal(oli_mr_dereg(p->a.m, mr), 0);
		memset(p->a.buf, 0, 65536);
		pthread_join(thread, NULL);
		for (u32 i = 0; i < 65536; i++)
			if (p->a.buf[i])
				fail_msg("round %d: byte %u came late", round, i);
		end_modify(&p->x, IBV_QPS_RESET, 0, NULL);
		end_modify(&p->y, IBV_QPS_RESET, 0, NULL);
		end_connect(&p->x, &p->y, &rig_link);
	}
}

int main(void)
{
#define ON_PAIR(f) cmocka_unit_test_setup_teardown(f, pair_setup, pair_teardown)
	const struct CMUnitTest tests[] = {
		ON_PAIR(test_bounds),
		ON_PAIR(test_ends),
		ON_PAIR(test_wrong_domain),
		ON_PAIR(test_missing_access),
		ON_PAIR(test_queue_pair_access),
		ON_PAIR(test_local_rights),
		ON_PAIR(test_stale_and_foreign_keys),
		ON_PAIR(test_registration_refused),
		ON_PAIR(test_window),
		ON_PAIR(test_window_refused),
		ON_PAIR(test_window_2),
		ON_PAIR(test_dereg_waits),
		ON_PAIR(test_nothing_lands_after_dereg),
		ON_PAIR(test_nothing_is_read_after_dereg),
	};

	return cmocka_run_group_tests_name("rdma/key", tests, NULL, NULL);
}
