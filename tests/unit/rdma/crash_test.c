// SPDX-License-Identifier: MIT
/*
 * Proves that a sender may be killed at any instant of a transfer.
 *
 * A child sends one message and is killed: at each crash point of the engine,
 * and, single-stepped, at instructions spread over the whole of its doorbell.
 * Whoever receives must see for each posted receive exactly one completion,
 * success (then with the bytes) or flushed, be woken if it armed its queue, and
 * keep nothing of the dead: no object, no page, no pipe.
 *
 * The receiver is a process with two queue pairs on one completion queue. The
 * second sender lives on and posts right after the death, before anything was
 * repaired: its completions and the dead one's must not be taken for each other.
 */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "rig.h"

#define LEN 100u
#define OTHER_ID 1000u

/* 4096 ns << 8, no retry: a lost peer is given up after 1 ms. */
static const struct link quick = {
	.timeout = 8, .retry_cnt = 0, .rnr_retry = 0, .min_rnr_timer = 1, .access = ALL_ACCESS};

struct fate {
	u32 op;
	u32 receives; /* posted for the dead one */
	int points;   /* die at this crash point, or */
	int steps;    /* after this many instructions; 0: live */
	bool other;   /* the second sender posts right after */
	bool srq;     /* the receives are in a shared queue */
};

struct scene {
	struct node b, c; /* receiver, second sender */
	struct end y, z;  /* receiver's ends; they share a completion queue */
	struct end v;	  /* second sender's */
	struct oli_srq *srq;
	u32 objs;
	u64 pages;
};

static void die(const char *what)
{
	perror(what);
	_exit(9);
}

/* ---- the child ---- */

static void exchange(int in, int out, u32 mine, u32 *theirs)
{
	if (write(out, &mine, sizeof(mine)) != sizeof(mine) ||
	    read(in, theirs, sizeof(*theirs)) != sizeof(*theirs))
		die("exchange");
}

static void child_main(const struct fate *f, int in, int out, u64 raddr, u32 rkey)
{
	struct node a;
	struct end x;
	u32 qpn;

	node_open(&a);
	end_open(&x, &a, IBV_QPT_RC, false);
	memset(a.buf, 0x5a, LEN);
	exchange(in, out, oli_qp_num(x.qp), &qpn);
	end_init(&x, &quick);
	end_rtr(&x, qpn, &quick);
	end_rts(&x, &quick);
	/* Once without bytes, so that every symbol is bound. */
	post_rdma(&x, 1, IBV_WR_RDMA_WRITE, 0, 0, 0, 0);
	if (ring(&x))
		die("ring");
	expect(&a, x.scq, 1, IBV_WC_SUCCESS);
	post_rdma(&x, 2, f->op, 0, LEN, raddr, rkey);
	if (f->steps) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
	}
	oli_crash_countdown = f->points;
	ring(&x);
	oli_crash_countdown = 0;
	if (f->steps)
		raise(SIGSTOP);
	expect(&a, x.scq, 2, IBV_WC_SUCCESS);
	_exit(0);
}

/* Run the child to its fate. Return: true if it was killed before its transfer was over. */
static bool step_to_death(pid_t pid, int steps)
{
	int status, n = 0;

	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
		fail_msg("the child did not stop");
	while (n < steps) {
		if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) || waitpid(pid, &status, 0) != pid)
			fail_msg("cannot step");
		if (!WIFSTOPPED(status) || WSTOPSIG(status) == SIGSTOP)
			break;
		n++;
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return n == steps;
}

static bool wait_death(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		fail_msg("no child");
	if (WIFEXITED(status))
		assert_int_equal(WEXITSTATUS(status), 0);
	return WIFSIGNALED(status);
}

/* ---- the receiver ---- */

static void scene_open(struct scene *s)
{
	struct oli_qp_req caps = {.max_send_wr = 15, .max_recv_wr = 15, .max_send_sge = 1,
				  .max_recv_sge = 1, .type = IBV_QPT_RC};

	memset(s, 0, sizeof(*s));
	node_open(&s->b);
	node_open(&s->c);
	caps.send_cq = caps.recv_cq = node_cq(&s->b, 64, true);
	end_open_caps(&s->z, &s->b, &caps);
	end_open(&s->v, &s->c, IBV_QPT_RC, false);
	end_connect(&s->v, &s->z, &quick);
}

static void srq_open(struct scene *s)
{
	const struct oli_srq_req req = {.user_handle = 77, .max_wr = 7, .max_sge = 1};

	assert_int_equal(oli_srq_create(s->b.m, s->b.pd, &req, &s->srq), 0);
}

/* As post_recv(), into the shared queue. */
static void srq_post(struct scene *s, u64 id, u32 off, u32 len)
{
	struct oli_ring *r = &s->srq->ring;
	u32 at = oli_ring_producer(s->b.m, r);
	struct rxe_recv_wqe *w = oli_ring_elem(s->b.m, r, at);

	memset(w, 0, sizeof(*w));
	w->wr_id = id;
	w->dma.num_sge = 1;
	w->dma.sge[0] = (struct rxe_sge){(uintptr_t)s->b.buf + off, len, oli_mr_lkey(s->b.mr)};
	oli_ring_set_producer(s->b.m, r, (at + 1) & r->mask);
}

static void y_open(struct scene *s, const struct fate *f)
{
	struct oli_qp_req caps = {.max_send_wr = 15, .max_recv_wr = 15, .max_send_sge = 1,
				  .max_recv_sge = 1, .type = IBV_QPT_RC,
				  .send_cq = s->z.rcq, .recv_cq = s->z.rcq};

	if (f->srq)
		srq_open(s);
	caps.srq = f->srq ? s->srq : NULL;
	end_open_caps(&s->y, &s->b, &caps);
}

static pid_t start_child(struct scene *s, const struct fate *f)
{
	int up[2], down[2];
	u32 qpn, mine = oli_qp_num(s->y.qp);
	pid_t pid;

	assert_int_equal(pipe(up) | pipe(down), 0);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		oli_machine_forget(s->b.m);
		oli_machine_forget(s->c.m);
		child_main(f, down[0], up[1], (uintptr_t)s->b.buf, oli_mr_rkey(s->b.mr));
	}
	close(up[1]);
	close(down[0]);
	assert_int_equal(read(up[0], &qpn, sizeof(qpn)), sizeof(qpn));
	end_init(&s->y, &quick);
	end_rtr(&s->y, qpn, &quick);
	end_rts(&s->y, &quick);
	/* Now the child may connect: everything is ready for its message. */
	assert_int_equal(write(down[1], &mine, sizeof(mine)), sizeof(mine));
	close(up[0]);
	close(down[1]);
	return pid;
}

static void check_payload(struct scene *s, const struct fate *f, u64 id)
{
	const u8 *at = s->b.buf + (f->op == IBV_WR_SEND ? 4096 * id : 0);

	for (u32 i = 0; i < LEN; i++)
		assert_int_equal(at[i], 0x5a);
}

/* Exactly one completion each, in order: what was delivered, then what was flushed. */
static void collect(struct scene *s, const struct fate *f)
{
	u32 got = 0, others = 0, done = 0, want_others = f->other ? 1 : 0;
	u64 until = oli_now() + 5 * OLI_NS_PER_S;
	struct ib_uverbs_wc wc;

	while (got < f->receives || others < want_others) {
		if (oli_now() > until)
			fail_msg("only %u of %u completions (%u of the other)", got, f->receives,
				 others);
		if (!poll_cq(&s->b, s->y.rcq, &wc)) {
			sched_yield();
			continue;
		}
		if (wc.wr_id >= OTHER_ID) {
			assert_int_equal(wc.status, IBV_WC_SUCCESS);
			others++;
			continue;
		}
		got++;
		if (wc.wr_id != got)
			fail_msg("completion of %llu where %u is due, status %u",
				 (unsigned long long)wc.wr_id, got, wc.status);
		if (wc.status == IBV_WC_SUCCESS) {
			assert_int_equal(done++, 0);
			check_payload(s, f, wc.wr_id);
		} else {
			assert_int_equal(wc.status, IBV_WC_WR_FLUSH_ERR);
		}
	}
	/* Once the queue pair is in error nothing more can come. */
	while (oli_qp_state(s->y.qp) != IBV_QPS_ERR)
		assert_true(oli_now() < until);
	expect_none(&s->b, s->y.rcq);
}

/*
 * From a shared queue: what was taken has exactly one completion, what was not
 * is still there, and both together are what was posted.
 */
static void collect_shared(struct scene *s, const struct fate *f)
{
	u64 until = oli_now() + 5 * OLI_NS_PER_S;
	u32 got = 0, done = 0, left;
	struct ib_uverbs_wc wc;

	while (oli_qp_state(s->y.qp) != IBV_QPS_ERR)
		assert_true(oli_now() < until);
	/* The error state is entered before the flush: its holder of rq_lock is through then. */
	oli_rq_lock(s->b.m, s->y.qp);
	oli_unlock(&s->y.qp->rq_lock);
	while (poll_cq(&s->b, s->y.rcq, &wc)) {
		assert_int_equal(wc.wr_id, ++got);
		if (wc.status == IBV_WC_SUCCESS) {
			done++;
			check_payload(s, f, wc.wr_id);
		}
	}
	assert_true(done <= 1);
	assert_false(s->y.qp->taken.valid);
	left = (oli_ring_producer(s->b.m, &s->srq->ring) - s->srq->cons) & s->srq->ring.mask;
	assert_int_equal(got + left, f->receives);
	assert_true(got <= 1);
}

static u32 count_pipes(struct oli_machine *m)
{
	DIR *d = opendir(m->dir);
	struct dirent *e;
	u32 n = 0;

	while ((e = readdir(d)))
		n += !strncmp(e->d_name, "ev-", 3);
	closedir(d);
	return n;
}

/* Return: was the child killed before it was through? */
static bool one_death(struct scene *s, const struct fate *f)
{
	struct pollfd woken = {.fd = s->b.chan_fd, .events = POLLIN};
	u32 pipes = count_pipes(s->b.m);
	bool killed;
	pid_t pid;

	memset(s->b.buf, 0, 65536);
	y_open(s, f);
	for (u32 i = 1; i <= f->receives; i++) {
		if (f->srq)
			srq_post(s, i, 4096 * i, 4096);
		else
			post_recv(&s->y, i, 4096 * i, 4096);
	}
	if (f->other)
		post_recv(&s->z, OTHER_ID, 60000, 4096);
	drain_events(s->b.chan_fd, NULL);
	oli_cq_req_notify(s->b.m, s->y.rcq, false);
	pid = start_child(s, f);
	killed = f->steps ? step_to_death(pid, f->steps) : wait_death(pid);
	if (f->other) {
		post(&s->v, 7, IBV_WR_SEND, IBV_SEND_SIGNALED, 0, 8);
		assert_int_equal(ring(&s->v), 0);
		expect(&s->c, s->v.scq, 7, IBV_WC_SUCCESS);
	}
	/* It waits for events as a program does, and only then polls. */
	if (!f->srq && poll(&woken, 1, 5000) != 1)
		fail_msg("nobody woke the receiver");
	if (f->srq)
		collect_shared(s, f);
	else
		collect(s, f);
	end_modify(&s->y, IBV_QPS_RESET, 0, NULL);
	assert_int_equal(oli_qp_destroy(s->b.m, s->y.qp, &(u32){0}), 0);
	if (f->srq)
		assert_int_equal(oli_srq_destroy(s->b.m, s->srq, &(u32){0}), 0);
	assert_int_equal(count_pipes(s->b.m), pipes);
	return killed;
}

static void check_nothing_left(struct scene *s)
{
	if (count_all(s->b.m) != s->objs)
		fail_msg("%u objects, %u before", count_all(s->b.m), s->objs);
	if (s->b.m->shm->heap_used != s->pages)
		fail_msg("%llu pages, %llu before", (unsigned long long)s->b.m->shm->heap_used,
			 (unsigned long long)s->pages);
}

static void scene_start(struct scene *s, const struct fate *f)
{
	struct fate live = *f;

	scene_open(s);
	live.points = live.steps = 0;
	one_death(s, &live);
	s->objs = count_all(s->b.m);
	s->pages = s->b.m->shm->heap_used;
}

static void scene_close(struct scene *s)
{
	node_close(&s->b);
	node_close(&s->c);
}

static void sweep_points(struct fate f)
{
	struct scene s;
	int n = 1;

	scene_start(&s, &f);
	for (f.points = 1; one_death(&s, &f); f.points = ++n)
		check_nothing_left(&s);
	/* Fewer would mean that the points are gone. */
	assert_true(n > 10);
	scene_close(&s);
}

static void test_points_send(void **state)
{
	(void)state;
	sweep_points((struct fate){.op = IBV_WR_SEND, .receives = 3});
	sweep_points((struct fate){.op = IBV_WR_SEND, .receives = 1, .other = true});
}

static void test_points_shared(void **state)
{
	(void)state;
	sweep_points((struct fate){.op = IBV_WR_SEND, .receives = 3, .srq = true});
	sweep_points((struct fate){.op = IBV_WR_RDMA_WRITE_WITH_IMM, .receives = 2, .srq = true});
}

static void test_points_write_imm(void **state)
{
	(void)state;
	sweep_points((struct fate){.op = IBV_WR_RDMA_WRITE_WITH_IMM, .receives = 1});
	sweep_points((struct fate){.op = IBV_WR_RDMA_WRITE_WITH_IMM, .receives = 2, .other = true});
}

/* ---- at any instruction ---- */

static bool can_trace(void)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) ? 1 : 0);
	return waitpid(pid, &status, 0) == pid && status == 0;
}

/* How many instructions the doorbell is: the child stops itself at the end. */
static int measure(struct scene *s, struct fate f)
{
	int lo = 1, hi = 1 << 20;

	while (lo + 16 < hi) {
		f.steps = (lo + hi) / 2;
		if (one_death(s, &f))
			lo = f.steps;
		else
			hi = f.steps;
	}
	return hi;
}

/* OLIO_TEST_SEED replays, OLIO_TEST_KILLS looks closer. */
static void sweep_steps(struct fate f, int kills)
{
	const char *more = getenv("OLIO_TEST_KILLS");
	const char *given = getenv("OLIO_TEST_SEED");
	u32 seed = given ? (u32)atoi(given) : (u32)getpid();
	struct scene s;
	int whole;

	kills = more ? atoi(more) : kills;
	scene_start(&s, &f);
	whole = measure(&s, f);
	srand(seed);
	print_message("# seed %u: %d kills in %d instructions\n", seed, kills, whole);
	for (int i = 0; i < kills; i++) {
		f.steps = 1 + (int)((long)whole * i / kills) + rand() % (whole / kills + 1);
		one_death(&s, &f);
		check_nothing_left(&s);
	}
	scene_close(&s);
}

static void test_steps(void **state)
{
	(void)state;
	if (!can_trace())
		skip();
	sweep_steps((struct fate){.op = IBV_WR_SEND, .receives = 1, .other = true}, 40);
	sweep_steps((struct fate){.op = IBV_WR_RDMA_WRITE_WITH_IMM, .receives = 2}, 20);
}

/* ---- in the middle of making things ---- */

/* Objects that were never published count nowhere, so their end takes nothing from others. */
static void test_half_made(void **state)
{
	struct oli_rdma *r;
	struct node b;
	u32 users, objs;
	pid_t pid;

	(void)state;
	node_open(&b);
	r = oli_rdma(b.m);
	assert_int_equal(b.pd->obj.id, 0); /* what an empty object would name */
	users = b.pd->users;
	objs = count_all(b.m);
	pid = fork();
	if (!pid) {
		struct oli_machine_opts opts = {.name = rig_dir()};
		char why[OLI_WHY_MAX];
		struct oli_machine *m;
		void *obj;

		oli_machine_forget(b.m);
		if (oli_machine_open(&opts, oli_parts, &m, why) ||
		    oli_table_alloc(m, &r->mr, m->slot, &obj) ||
		    oli_table_alloc(m, &r->qp, m->slot, &obj) ||
		    oli_table_alloc(m, &r->cq, m->slot, &obj) ||
		    oli_table_alloc(m, &r->ah, m->slot, &obj))
			_exit(1);
		kill(getpid(), SIGKILL);
	}
	assert_true(wait_death(pid));
	oli_reap(b.m);
	assert_int_equal(b.pd->users, users);
	assert_int_equal(count_all(b.m), objs);
	node_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_points_send),
		cmocka_unit_test(test_points_shared),
		cmocka_unit_test(test_points_write_imm),
		cmocka_unit_test(test_half_made),
		cmocka_unit_test(test_steps),
	};

	return cmocka_run_group_tests_name("rdma/crash", tests, NULL, NULL);
}
