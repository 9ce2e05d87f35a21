// SPDX-License-Identifier: MIT
/*
 * The figures: verbs as a program calls them.
 *
 * The doorbell is the write() that the provider library makes after it has put
 * work requests into the shared queue: a POST_SEND that names the queue pair
 * and carries none. With an empty queue it costs the crossing and nothing else.
 */
#include <rdma/ib_user_verbs.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"

#define PINGS	   400
#define DOORBELLS  20000
#define BATCH	   64
#define BATCHES	   8
#define BIG_WRITES 8
#define REG	   (16 * MIB)

double rdma_doorbell(struct side *s)
{
	struct {
		struct ib_uverbs_cmd_hdr hdr;
		struct ib_uverbs_post_send post;
	} cmd = {0};
	struct ib_uverbs_post_send_resp resp;
	uint64_t start;

	cmd.hdr.command = IB_USER_VERBS_CMD_POST_SEND;
	cmd.hdr.in_words = sizeof(cmd) / 4;
	cmd.hdr.out_words = sizeof(resp) / 4;
	cmd.post.response = (uintptr_t)&resp;
	cmd.post.qp_handle = s->qp->handle;
	cmd.post.wqe_size = sizeof(struct ib_uverbs_send_wr);
	start = now_ns();
	for (int i = 0; i < DOORBELLS; i++)
		if (write(s->ctx->cmd_fd, &cmd, sizeof(cmd)) != sizeof(cmd))
			die("doorbell");
	return (double)(now_ns() - start) / DOORBELLS;
}

/* ---- latency: half of a round trip, ns ---- */

static double write_latency(struct side *s, size_t len)
{
	uint64_t start;
	double ns;

	job_begin(s, JOB_WRITE_PONG, PINGS, len);
	start = now_ns();
	write_pong(s, PINGS, len);
	ns = (double)(now_ns() - start) / (2 * PINGS);
	job_end(s);
	return ns;
}

double rdma_write_small(struct side *s)
{
	return write_latency(s, 8);
}

double rdma_write_page(struct side *s)
{
	return write_latency(s, 4 * KIB);
}

double rdma_send_small(struct side *s)
{
	uint64_t start;
	double ns;

	job_begin(s, JOB_SEND_PONG, PINGS, 8);
	start = now_ns();
	send_pong(s, PINGS);
	ns = (double)(now_ns() - start) / (2 * PINGS);
	job_end(s);
	return ns;
}

/* ---- rates ---- */

/* ns for a message of 8 bytes, posted in lists. */
static double batches(struct side *s, enum ibv_wr_opcode op)
{
	uint64_t start = now_ns();

	for (int i = 0; i < BATCHES; i++) {
		post_sends(s, op, BATCH);
		take(s->scq, 1);
	}
	return (double)(now_ns() - start) / (BATCHES * BATCH);
}

double rdma_write_rate(struct side *s)
{
	return batches(s, IBV_WR_RDMA_WRITE);
}

double rdma_send_rate(struct side *s)
{
	double ns;

	job_begin(s, JOB_RECEIVE, BATCHES * BATCH, 0);
	ns = batches(s, IBV_WR_SEND);
	job_end(s);
	return ns;
}

/* GB/s, with the buffers in the caches as far as they fit. */
double rdma_write_big(struct side *s)
{
	uint64_t start;

	post_write(s, AT_BIG_OUT, AT_BIG_IN, MIB);
	take(s->scq, 1);
	start = now_ns();
	for (int i = 0; i < BIG_WRITES; i++)
		post_write(s, AT_BIG_OUT, AT_BIG_IN, MIB);
	take(s->scq, BIG_WRITES);
	return (double)(BIG_WRITES * MIB) / (double)(now_ns() - start);
}

/* ---- registration: us for a MiB ---- */

static double reg(struct side *s, bool used)
{
	void *p = mmap(NULL, REG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct ibv_mr *mr;
	uint64_t start;
	double ns;

	if (p == MAP_FAILED)
		die("mmap");
	if (used)
		memset(p, 1, REG);
	start = now_ns();
	mr = ibv_reg_mr(s->pd, p, REG, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);
	ns = (double)(now_ns() - start);
	if (!mr)
		die("reg_mr");
	ibv_dereg_mr(mr);
	munmap(p, REG);
	return ns / (REG / MIB) / 1e3;
}

double rdma_reg_fresh(struct side *s)
{
	return reg(s, false);
}

double rdma_reg_used(struct side *s)
{
	return reg(s, true);
}
