/* SPDX-License-Identifier: MIT */
/*
 * Two processes' worth of RDMA on a private machine, and the provider's part.
 *
 * A node is one attachment (a slot) with a context, a protection domain and one
 * registered buffer; an end is a queue pair of a node with its two completion
 * queues. One test process holds two nodes, which are two slots of the machine,
 * or forks children that hold theirs. What the provider library would do on the
 * mapped rings - post, poll - is done here by hand.
 */
#ifndef OLI_TESTS_UNIT_RDMA_RIG_H
#define OLI_TESTS_UNIT_RDMA_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the four above */
#include <cmocka.h>

#include <infiniband/verbs.h>

#include "base/clock.h"
#include "rdma/int.h"

#define BUF_SIZE (256u << 10)
#define ALL_ACCESS                                                                                 \
	(IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ |               \
	 IBV_ACCESS_REMOTE_ATOMIC | IBV_ACCESS_MW_BIND)

struct node {
	struct oli_machine *m;
	struct oli_ctx *ctx;
	struct oli_pd *pd;
	struct oli_mr *mr; /* all of @buf, every access */
	u8 *buf;
	int async_fd;
	struct oli_chan *chan;
	int chan_fd;
};

struct end {
	struct node *n;
	struct oli_cq *scq, *rcq;
	struct oli_qp *qp;
};

/* What tests vary of a connection; rig_link is the default. */
struct link {
	u8 timeout, retry_cnt, rnr_retry, min_rnr_timer;
	u32 access;
};
extern const struct link rig_link;

struct pair {
	struct node a, b;
	struct end x, y; /* of a and b */
};

/*
 * The device that nodes are opened on, and the type of machine that the first one makes.
 * From the environment, so that the same tests run on each: RIG_DEVICE, OLIO_MACHINE_TYPE.
 */
extern const char *rig_device; /* NULL: $RIG_DEVICE, else "rxe0" */
extern const char *rig_type;

/* A directory for machines of this process; removed at exit. */
const char *rig_dir(void);

void node_open(struct node *n);
void node_close(struct node *n);
struct oli_mr *node_reg(struct node *n, struct oli_pd *pd, u64 start, u64 len, u32 access);
struct oli_cq *node_cq(struct node *n, u32 cqe, bool events);

void end_open(struct end *e, struct node *n, u8 type, bool events);
/* With everything chosen. */
void end_open_caps(struct end *e, struct node *n, const struct oli_qp_req *caps);
void end_close(struct end *e);
int end_modify(struct end *e, u32 state, u32 mask, const struct ib_uverbs_modify_qp *base);
void end_init(struct end *e, const struct link *l);
/* INIT -> RTR -> RTS towards queue pair @qpn. */
void end_rtr(struct end *e, u32 qpn, const struct link *l);
void end_rts(struct end *e, const struct link *l);
void end_connect(struct end *x, struct end *y, const struct link *l);

/* Setup and teardown: a connected RC pair; two nodes without queue pairs. */
int pair_setup(void **state);
int pair_teardown(void **state);
int nodes_setup(void **state);

/* ---- the provider's part ---- */

/* The next free element of the send queue, zeroed; push makes it visible without a doorbell. */
struct rxe_send_wqe *send_slot(struct end *e);
void send_push(struct end *e);
/* One element from @off of the node's buffer; @len 0: no element. */
void post(struct end *e, u64 id, u32 op, u32 flags, u32 off, u32 len);
/* The same with a place at the peer. */
void post_rdma(struct end *e, u64 id, u32 op, u32 off, u32 len, u64 raddr, u32 rkey);
void add_sge(struct rxe_send_wqe *w, u64 addr, u32 len, u32 lkey);
int ring(struct end *e);

struct rxe_recv_wqe *recv_slot(struct end *e);
void recv_push(struct end *e);
void post_recv(struct end *e, u64 id, u32 off, u32 len);

/* Return: 1 and *@wc, 0 if there is none. */
int poll_cq(struct node *n, struct oli_cq *cq, struct ib_uverbs_wc *wc);
/* The next completion must come at once / within 5 s, and be @id with @status. */
struct ib_uverbs_wc expect(struct node *n, struct oli_cq *cq, u64 id, u32 status);
struct ib_uverbs_wc await_wc(struct node *n, struct oli_cq *cq, u64 id, u32 status);
void expect_none(struct node *n, struct oli_cq *cq);

/* Events waiting in a pipe, read away. */
u32 drain_events(int fd, u64 first[1]);
/* The next async event within 5 s, or 0. */
u32 await_async(struct node *n);

/* Objects of a table that are not free. */
u32 count_objs(struct oli_machine *m, struct oli_table *t);
u32 count_all(struct oli_machine *m);

#endif
