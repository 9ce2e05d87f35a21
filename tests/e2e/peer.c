/* SPDX-License-Identifier: MIT */
/*
 * One side of a transfer that never ends by itself, for tests that kill a side.
 *
 * Plain verbs. Prints its address as one line of hex, reads the other side's
 * from stdin, connects, prints "go", and then works by role:
 *
 *   send   SENDs as fast as the queue takes them
 *   write  RDMA WRITEs        read  RDMA READs
 *   recv   keeps receives posted and counts what comes
 *
 * With "-e" it sleeps in ibv_get_cq_event() between completions. With "-x WHAT" it
 * misbehaves after a hundred completions: unmap (its registered memory), closeall
 * (every descriptor above 2), fork (a child that tries the parent's queue pair and
 * leaves; the parent goes on for a hundred more), exec, exit. On the first
 * failed completion it prints "STATUS microseconds-since-the-last-good-one
 * good-completions" and ends with status 3; everything else that goes wrong is
 * status 1 and a line on stderr.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <infiniband/verbs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DEPTH 32
#define SIZE 65536

struct address {
	uint32_t qpn, psn, rkey;
	uint64_t addr;
	union ibv_gid gid;
} __attribute__((packed));

struct side {
	struct ibv_context *ctx;
	struct ibv_pd *pd;
	struct ibv_comp_channel *chan;
	struct ibv_cq *cq;
	struct ibv_qp *qp;
	struct ibv_mr *mr;
	char *buf;
	struct address self, peer;
	enum ibv_wr_opcode op;
	int receives;
	const char *what;
};

static void die(const char *what)
{
	fprintf(stderr, "peer: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void make(struct side *s, int events)
{
	struct ibv_device **list = ibv_get_device_list(NULL);
	struct ibv_qp_init_attr init = {.qp_type = IBV_QPT_RC, .sq_sig_all = 1};

	if (!list || !list[0])
		die("no device");
	s->ctx = ibv_open_device(list[0]);
	s->pd = s->ctx ? ibv_alloc_pd(s->ctx) : NULL;
	s->buf = aligned_alloc(4096, (size_t)SIZE * DEPTH);
	if (!s->pd || !s->buf)
		die("open");
	memset(s->buf, 1, (size_t)SIZE * DEPTH);
	s->mr = ibv_reg_mr(s->pd, s->buf, (size_t)SIZE * DEPTH,
			   IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ);
	s->chan = events ? ibv_create_comp_channel(s->ctx) : NULL;
	s->cq = ibv_create_cq(s->ctx, 2 * DEPTH, NULL, s->chan, 0);
	if (!s->mr || !s->cq || (events && !s->chan))
		die("resources");
	init.send_cq = init.recv_cq = s->cq;
	init.cap.max_send_wr = init.cap.max_recv_wr = DEPTH;
	init.cap.max_send_sge = init.cap.max_recv_sge = 1;
	s->qp = ibv_create_qp(s->pd, &init);
	if (!s->qp)
		die("queue pair");
}

static void exchange(struct side *s)
{
	union ibv_gid gid = {0};
	unsigned char *p = (unsigned char *)&s->self, *q = (unsigned char *)&s->peer;

	s->self = (struct address){.qpn = s->qp->qp_num, .rkey = s->mr->rkey,
				   .addr = (uintptr_t)s->buf};
	if (getrandom(&s->self.psn, 3, 0) != 3 || ibv_query_gid(s->ctx, 1, 1, &gid))
		die("address");
	s->self.gid = gid;
	for (size_t i = 0; i < sizeof(s->self); i++)
		printf("%02x", p[i]);
	printf("\n");
	fflush(stdout);
	for (size_t i = 0; i < sizeof(s->peer); i++)
		if (scanf("%2hhx", q + i) != 1)
			die("the peer's address");
}

static void connect_qp(struct side *s)
{
	struct ibv_qp_attr a = {.qp_state = IBV_QPS_INIT, .port_num = 1,
				.qp_access_flags = IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ};

	if (ibv_modify_qp(s->qp, &a, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT |
					     IBV_QP_ACCESS_FLAGS))
		die("to INIT");
	a = (struct ibv_qp_attr){.qp_state = IBV_QPS_RTR, .path_mtu = IBV_MTU_1024,
				 .dest_qp_num = s->peer.qpn, .rq_psn = s->peer.psn,
				 .max_dest_rd_atomic = 1, .min_rnr_timer = 1,
				 .ah_attr = {.is_global = 1, .port_num = 1,
					     .grh = {.dgid = s->peer.gid, .sgid_index = 1}}};
	if (ibv_modify_qp(s->qp, &a, IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN |
					     IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC |
					     IBV_QP_MIN_RNR_TIMER))
		die("to RTR");
	/* 4.096 us * 2^12, 4 times: about 67 ms. */
	a = (struct ibv_qp_attr){.qp_state = IBV_QPS_RTS, .timeout = 12, .retry_cnt = 3,
				 .rnr_retry = 7, .sq_psn = s->self.psn, .max_rd_atomic = 1};
	if (ibv_modify_qp(s->qp, &a, IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT |
					     IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN |
					     IBV_QP_MAX_QP_RD_ATOMIC))
		die("to RTS");
}

static void post(struct side *s, uint64_t slot)
{
	struct ibv_sge sge = {(uintptr_t)s->buf + slot * SIZE, SIZE, s->mr->lkey};
	struct ibv_recv_wr rr = {.wr_id = slot, .sg_list = &sge, .num_sge = 1}, *bad_r;
	struct ibv_send_wr sr = {.wr_id = slot, .sg_list = &sge, .num_sge = 1, .opcode = s->op}, *bad_s;

	sr.wr.rdma.remote_addr = s->peer.addr + slot * SIZE;
	sr.wr.rdma.rkey = s->peer.rkey;
	if (s->receives ? ibv_post_recv(s->qp, &rr, &bad_r) : ibv_post_send(s->qp, &sr, &bad_s))
		die("post");
}

static void sleep_for_event(struct side *s)
{
	struct ibv_cq *cq;
	void *arg;

	if (ibv_get_cq_event(s->chan, &cq, &arg))
		die("event");
	ibv_ack_cq_events(cq, 1);
}

/* Wait for one completion. What came before the arming wakes nobody: look once more after it. */
static void wait_for(struct side *s, struct ibv_wc *wc)
{
	int armed = 0, n;

	while (!(n = ibv_poll_cq(s->cq, 1, wc))) {
		if (!s->chan)
			continue;
		if (armed)
			sleep_for_event(s);
		else if (ibv_req_notify_cq(s->cq, 0))
			die("notify");
		armed = !armed;
	}
	if (n < 0)
		die("poll");
}

/* A forked child may not drive its parent's queue pair, and leaves without a trace. */
static void fork_once(struct side *s)
{
	struct ibv_send_wr wr = {.opcode = IBV_WR_SEND}, *bad;
	pid_t pid = fork();
	int status;

	if (pid < 0)
		die("fork");
	if (!pid)
		_exit(ibv_post_send(s->qp, &wr, &bad) ? 0 : 1);
	if (waitpid(pid, &status, 0) != pid || status)
		die("the child could use its parent's queue pair");
	printf("forked\n");
	fflush(stdout);
}

static void misbehave(struct side *s, const char *what)
{
	if (!strcmp(what, "unmap"))
		munmap(s->buf, (size_t)SIZE * DEPTH);
	else if (!strcmp(what, "closeall"))
		close_range(3, ~0u, 0);
	else if (!strcmp(what, "fork"))
		fork_once(s);
	else if (!strcmp(what, "exec"))
		execlp("sleep", "sleep", "1", NULL);
	else
		exit(0);
	/* Without its descriptors it can only wait to be told to go. */
	if (!strcmp(what, "closeall")) {
		while (getchar() != EOF)
			;
		exit(0);
	}
}

static void work(struct side *s)
{
	uint64_t last = now_us(), good = 0;
	struct ibv_wc wc;

	for (;;) {
		wait_for(s, &wc);
		if (wc.status != IBV_WC_SUCCESS) {
			printf("%s %llu %llu\n", ibv_wc_status_str(wc.status),
			       (unsigned long long)(now_us() - last), (unsigned long long)good);
			exit(3);
		}
		last = now_us();
		good++;
		if (s->what && good == 100)
			misbehave(s, s->what);
		if (s->what && good == 200)
			exit(0);
		post(s, wc.wr_id);
	}
}

int main(int argc, char **argv)
{
	const char *role = argc > 1 ? argv[1] : "";
	struct side s = {0};

	s.receives = !strcmp(role, "recv");
	s.op = !strcmp(role, "write") ? IBV_WR_RDMA_WRITE
	       : !strcmp(role, "read") ? IBV_WR_RDMA_READ
				       : IBV_WR_SEND;
	s.what = argc > 3 && !strcmp(argv[2], "-x") ? argv[3] : NULL;
	make(&s, argc > 2 && !strcmp(argv[2], "-e"));
	exchange(&s);
	connect_qp(&s);
	if (s.receives)
		for (uint64_t i = 0; i < DEPTH; i++)
			post(&s, i);
	printf("go\n");
	fflush(stdout);
	/* Both sides are connected once the other says so too. */
	if (scanf(" %*[g]%*[o]") == EOF)
		die("the peer");
	if (!s.receives)
		for (uint64_t i = 0; i < DEPTH; i++)
			post(&s, i);
	work(&s);
}
