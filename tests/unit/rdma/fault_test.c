// SPDX-License-Identifier: MIT
/*
 * Proves that making an object fails well: each resource that it asks for is
 * refused in turn, and each time the call says so, hands out nothing, leaves no
 * page, object, pipe or descriptor behind, and works when it is tried again.
 */
#include <dirent.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "rig.h"

static u32 entries(const char *dir)
{
	DIR *d = opendir(dir);
	u32 n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

struct state {
	u64 pages; /* no padding: compared as bytes */
	u32 objs, fds, files, pd_users, chan_users, scq_users;
};

static struct state look(struct pair *p)
{
	return (struct state){.objs = count_all(p->a.m),
			      .fds = entries("/proc/self/fd"),
			      .files = entries(p->a.m->dir),
			      .pages = p->a.m->shm->heap_used,
			      .pd_users = p->a.pd->users,
			      .chan_users = p->a.chan->users,
			      .scq_users = p->x.scq->users};
}

static int make_ctx(struct pair *p)
{
	struct oli_ctx *ctx = NULL;
	int err = oli_ctx_create(p->a.m, 0, &ctx);

	if (!err)
		oli_ctx_destroy(p->a.m, ctx);
	else
		assert_null(ctx);
	return err;
}

static int make_async(struct pair *p)
{
	struct oli_ctx *ctx;
	int err, fd = -7, keep = oli_fault_countdown;

	oli_fault_countdown = 0;
	assert_int_equal(oli_ctx_create(p->a.m, 0, &ctx), 0);
	oli_fault_countdown = keep;
	err = oli_async_create(p->a.m, ctx, &fd);
	if (!err)
		close(fd);
	else
		assert_int_equal(fd, -7);
	keep = oli_fault_countdown;
	oli_fault_countdown = 0;
	oli_ctx_destroy(p->a.m, ctx);
	oli_fault_countdown = keep;
	return err;
}

static int make_chan(struct pair *p)
{
	struct oli_chan *chan = NULL;
	int fd = -7, err = oli_chan_create(p->a.m, p->a.ctx, &chan, &fd);

	if (err) {
		assert_null(chan);
		assert_int_equal(fd, -7);
		return err;
	}
	close(fd);
	oli_chan_close(p->a.m, chan);
	return 0;
}

static int make_pd(struct pair *p)
{
	struct oli_pd *pd = NULL;
	int err = oli_pd_alloc(p->a.m, p->a.ctx, &pd);

	if (!err)
		assert_int_equal(oli_pd_dealloc(p->a.m, pd), 0);
	else
		assert_null(pd);
	return err;
}

static int make_mr(struct pair *p)
{
	struct oli_mr_req req = {.start = (uintptr_t)p->a.buf, .length = 64,
				 .iova = (uintptr_t)p->a.buf};
	struct oli_mr *mr = NULL;
	int err = oli_mr_reg(p->a.m, p->a.pd, &req, &mr);

	if (!err)
		assert_int_equal(oli_mr_dereg(p->a.m, mr), 0);
	else
		assert_null(mr);
	return err;
}

static int make_mw(struct pair *p)
{
	struct oli_mr *mw = NULL;
	int err = oli_mw_alloc(p->a.m, p->a.pd, IBV_MW_TYPE_2, &mw);

	if (!err)
		assert_int_equal(oli_mw_dealloc(p->a.m, mw), 0);
	else
		assert_null(mw);
	return err;
}

/* Large enough that the heap must grow for them. */
static int make_cq(struct pair *p)
{
	struct oli_cq_req req = {.cqe = OLI_MAX_CQE, .chan = p->a.chan};
	struct oli_cq *cq = NULL;
	u32 n;
	int err = oli_cq_create(p->a.m, p->a.ctx, &req, &cq);

	if (!err)
		assert_int_equal(oli_cq_destroy(p->a.m, cq, &n, &n), 0);
	else
		assert_null(cq);
	return err;
}

static int make_resize(struct pair *p)
{
	u32 cqe = oli_cq_cqe(p->x.rcq);
	u64 off = p->x.rcq->ring.off;
	int err = oli_cq_resize(p->a.m, p->x.rcq, OLI_MAX_CQE - 1);

	if (err) {
		assert_int_equal(oli_cq_cqe(p->x.rcq), cqe);
		assert_int_equal(p->x.rcq->ring.off, off);
		return err;
	}
	oli_fault_countdown = 0;
	assert_int_equal(oli_cq_resize(p->a.m, p->x.rcq, cqe), 0);
	return 0;
}

static int make_qp(struct pair *p)
{
	struct oli_qp_req req = {.send_cq = p->x.scq, .recv_cq = p->x.rcq, .max_send_wr = 2000,
				 .max_recv_wr = 20000, .max_send_sge = 4, .max_recv_sge = 4,
				 .type = IBV_QPT_RC};
	struct oli_qp *qp = NULL;
	u32 n;
	int err = oli_qp_create(p->a.m, p->a.pd, &req, &qp);

	if (!err)
		assert_int_equal(oli_qp_destroy(p->a.m, qp, &n), 0);
	else
		assert_null(qp);
	return err;
}

static int make_ah(struct pair *p)
{
	struct ib_uverbs_ah_attr attr = {.port_num = 1, .is_global = 1};
	struct oli_ah *ah = NULL;
	int err = oli_ah_create(p->a.m, p->a.pd, &attr, &ah);

	if (!err)
		assert_int_equal(oli_ah_destroy(p->a.m, ah), 0);
	else
		assert_null(ah);
	return err;
}

/* Table chunks stay once they are there: each object was made before it is counted. */
static void sweep(struct pair *p, const char *name, int (*make)(struct pair *p), int least)
{
	struct state before;
	int failed = 0;

	/* The heap's committed part is what it grew to; a fresh machine makes it grow again. */
	before = look(p);
	for (int n = 1;; n++) {
		struct state after;
		bool used;
		int err;

		oli_fault_countdown = n;
		err = make(p);
		used = oli_fault_countdown == 0;
		oli_fault_countdown = 0;
		if (!err && failed >= least)
			break;
		if (!err && !used)
			fail_msg("%s failed only %d times", name, failed);
		failed += err < 0;
		assert_true(err < 0);
		after = look(p);
		if (memcmp(&before, &after, sizeof(after)))
			fail_msg("%s, failure %d leaves something: %u objects, %llu pages, %u fds, "
				 "%u files, were %u, %llu, %u, %u",
				 name, n, after.objs, (unsigned long long)after.pages, after.fds,
				 after.files, before.objs, (unsigned long long)before.pages,
				 before.fds, before.files);
	}
	assert_int_equal(make(p), 0);
}

static void test_sweeps(void **state)
{
	struct pair *p = *state;

	/* Chunks of tables and address handles that nobody has made yet. */
	assert_int_equal(make_ah(p), 0);
	sweep(p, "context", make_ctx, 1);
	sweep(p, "async", make_async, 3);
	sweep(p, "channel", make_chan, 4);
	sweep(p, "domain", make_pd, 1);
	sweep(p, "region", make_mr, 2);
	sweep(p, "window", make_mw, 1);
	sweep(p, "completion queue", make_cq, 2);
	sweep(p, "queue pair", make_qp, 2);
	sweep(p, "address handle", make_ah, 1);
}

static void test_resize(void **state)
{
	sweep(*state, "resize", make_resize, 1);
}

int main(void)
{
#define ON_PAIR(f) cmocka_unit_test_setup_teardown(f, pair_setup, pair_teardown)
	const struct CMUnitTest tests[] = {
		ON_PAIR(test_sweeps),
		ON_PAIR(test_resize),
	};

	return cmocka_run_group_tests_name("rdma/fault", tests, NULL, NULL);
}
