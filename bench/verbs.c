// SPDX-License-Identifier: MIT
/*
 * One side's verbs objects: an RC queue pair, a buffer that the other may write,
 * and separate completion queues for sends and receives. Nothing here knows on
 * what device it runs.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

#define PORT	  1
#define GID_INDEX 0

/* Said once: the other side has none either. */
static _Noreturn void no_device(const struct side *s)
{
	if (s->driver)
		fputs("rdma: no RDMA device: run it through bench/run\n", stderr);
	_exit(1);
}

static void make(struct side *s)
{
	struct ibv_device **list = ibv_get_device_list(NULL);
	struct ibv_qp_init_attr init = {.qp_type = IBV_QPT_RC,
					.cap = {.max_send_wr = DEPTH,
						.max_recv_wr = RECEIVES,
						.max_send_sge = 1,
						.max_recv_sge = 1,
						.max_inline_data = 64}};

	if (!list || !list[0])
		no_device(s);
	s->ctx = ibv_open_device(list[0]);
	s->pd = s->ctx ? ibv_alloc_pd(s->ctx) : NULL;
	s->buf = aligned_alloc(4096, BUF_SIZE);
	if (!s->pd || !s->buf)
		die("cannot open the device");
	memset(s->buf, 0, BUF_SIZE);
	s->mr = ibv_reg_mr(s->pd, s->buf, BUF_SIZE,
			   IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);
	s->scq = ibv_create_cq(s->ctx, DEPTH, NULL, NULL, 0);
	s->rcq = ibv_create_cq(s->ctx, RECEIVES, NULL, NULL, 0);
	if (!s->mr || !s->scq || !s->rcq)
		die("cannot make the queues");
	init.send_cq = s->scq;
	init.recv_cq = s->rcq;
	s->qp = ibv_create_qp(s->pd, &init);
	if (!s->qp)
		die("cannot make the queue pair");
	s->max_inline = init.cap.max_inline_data;
	ibv_free_device_list(list);
}

static void exchange(struct side *s)
{
	s->self = (struct address){.qpn = s->qp->qp_num,
				   .psn = 1,
				   .rkey = s->mr->rkey,
				   .pid = getpid(),
				   .buf = (uintptr_t)s->buf};
	if (ibv_query_gid(s->ctx, PORT, GID_INDEX, &s->self.gid))
		die("no address");
	tell(s, &s->self, sizeof(s->self));
	hear(s, &s->peer, sizeof(s->peer));
}

static void to_init(struct side *s)
{
	struct ibv_qp_attr a = {.qp_state = IBV_QPS_INIT,
				.port_num = PORT,
				.qp_access_flags = IBV_ACCESS_REMOTE_WRITE};

	if (ibv_modify_qp(s->qp, &a,
			  IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS))
		die("queue pair to INIT");
}

static void to_rtr(struct side *s)
{
	struct ibv_qp_attr a = {
		.qp_state = IBV_QPS_RTR,
		.path_mtu = IBV_MTU_1024,
		.dest_qp_num = s->peer.qpn,
		.rq_psn = s->peer.psn,
		.max_dest_rd_atomic = 1,
		.min_rnr_timer = 1,
		.ah_attr = {.is_global = 1,
			    .port_num = PORT,
			    .grh = {.dgid = s->peer.gid, .sgid_index = GID_INDEX, .hop_limit = 1}}};

	if (ibv_modify_qp(s->qp, &a,
			  IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN |
				  IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER))
		die("queue pair to RTR");
}

static void to_rts(struct side *s)
{
	struct ibv_qp_attr a = {.qp_state = IBV_QPS_RTS,
				.timeout = 14,
				.retry_cnt = 7,
				.rnr_retry = 7,
				.sq_psn = s->self.psn,
				.max_rd_atomic = 1};

	if (ibv_modify_qp(s->qp, &a,
			  IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
				  IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC))
		die("queue pair to RTS");
}

void side_connect(struct side *s)
{
	char here = 0, there;

	make(s);
	exchange(s);
	to_init(s);
	to_rtr(s);
	to_rts(s);
	tell(s, &here, 1);
	hear(s, &there, 1);
}

static void post(struct side *s, struct ibv_send_wr *wr)
{
	struct ibv_send_wr *bad;

	errno = ibv_post_send(s->qp, wr, &bad);
	if (errno)
		die("post_send");
}

void post_write(struct side *s, size_t from, size_t to, size_t len)
{
	struct ibv_sge sge = {(uintptr_t)s->buf + from, (uint32_t)len, s->mr->lkey};
	struct ibv_send_wr wr = {
		.sg_list = &sge,
		.num_sge = 1,
		.opcode = IBV_WR_RDMA_WRITE,
		.send_flags = IBV_SEND_SIGNALED | (len <= s->max_inline ? IBV_SEND_INLINE : 0),
		.wr.rdma = {.remote_addr = s->peer.buf + to, .rkey = s->peer.rkey}};

	post(s, &wr);
}

/* @n messages of 8 bytes with one call, the last one signalled. */
void post_sends(struct side *s, enum ibv_wr_opcode op, uint32_t n)
{
	struct ibv_sge sge = {(uintptr_t)s->buf + AT_OUT, 8, s->mr->lkey};
	struct ibv_send_wr wr[DEPTH];

	for (uint32_t i = 0; i < n; i++)
		wr[i] = (struct ibv_send_wr){
			.next = i + 1 < n ? wr + i + 1 : NULL,
			.sg_list = &sge,
			.num_sge = 1,
			.opcode = op,
			.send_flags = IBV_SEND_INLINE | (i + 1 < n ? 0 : IBV_SEND_SIGNALED),
			.wr.rdma = {.remote_addr = s->peer.buf + AT_IN, .rkey = s->peer.rkey}};
	post(s, wr);
}

void post_receives(struct side *s, uint32_t n)
{
	struct ibv_sge sge = {(uintptr_t)s->buf + AT_RECV, 8, s->mr->lkey};
	struct ibv_recv_wr wr = {.sg_list = &sge, .num_sge = 1}, *bad;

	while (n--) {
		errno = ibv_post_recv(s->qp, &wr, &bad);
		if (errno)
			die("post_recv");
	}
}

void take(struct ibv_cq *cq, uint32_t n)
{
	struct ibv_wc wc[16];

	while (n) {
		int got = ibv_poll_cq(cq, n < 16 ? (int)n : 16, wc);

		if (got < 0)
			die("poll_cq");
		for (int i = 0; i < got; i++)
			if (wc[i].status != IBV_WC_SUCCESS)
				die(ibv_wc_status_str(wc[i].status));
		if (!got)
			relax();
		n -= (uint32_t)got;
	}
}
