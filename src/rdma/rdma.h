/* SPDX-License-Identifier: MIT */
/*
 * RDMA objects: what the boundary (uapi/) asks of the adapter.
 *
 * Objects live in tables of the shared machine; a handle of the boundary is
 * the object's index. All calls below are made by the process that owns the
 * context, from any of its threads, and may block shortly on locks that a peer
 * holds. Attributes travel in the kernel's public structures, whose meaning is
 * the field's standard, so that there is one vocabulary.
 *
 * Every call returns 0 or -errno; results by last out-parameter, untouched on
 * failure. EINVAL: an attribute is out of range. ENOMEM: shared memory is full
 * or a limit of the device is reached. EBUSY: the object has users.
 */
#ifndef OLI_RDMA_RDMA_H
#define OLI_RDMA_RDMA_H

#include <netinet/in.h>
#include <rdma/ib_user_verbs.h>
#include <rdma/rdma_user_rxe.h>

#include "machine/machine.h"

extern const struct oli_part oli_rdma_part;

/* The parts of a machine in use everywhere: NULL terminated. */
extern const struct oli_part *const oli_parts[];
#define OLI_PART_RDMA 0

struct oli_ctx;
struct oli_chan;
struct oli_pd;
struct oli_mr;
struct oli_cq;
struct oli_qp;
struct oli_ah;
struct oli_srq;

/* Device limits (as Linux's rxe reports them, where olio has no smaller one). */
#define OLI_MAX_SGE 32
#define OLI_MAX_QP_WR 0x100000
#define OLI_MAX_CQE 32767
#define OLI_MAX_SRQ_WR 0x8000
#define OLI_MAX_SRQ_SGE 27
#define OLI_MAX_INLINE 512
#define OLI_MAX_MSG 0x80000000u
#define OLI_GID_TBL_LEN 1024

/*
 * Wait for every transfer under way in this process's memory: with the slot
 * suspended, none begins after that.
 */
void oli_quiesce(struct oli_machine *m);

/* ---- device ---- */

void oli_device_query(struct oli_machine *m, u32 dev, struct ib_uverbs_ex_query_device_resp *out);
int oli_port_query(struct oli_machine *m, u32 dev, u8 port, struct ib_uverbs_query_port_resp *out);
/* What fits into a packet, bytes. */
u32 oli_device_mtu(struct oli_machine *m, u32 dev);

/* ---- contexts: one open device file ---- */

OLI_MUST_CHECK int oli_ctx_create(struct oli_machine *m, u32 dev, struct oli_ctx **out);
/* Destroys all objects of the context. Peers see queue pairs that no longer answer. */
void oli_ctx_destroy(struct oli_machine *m, struct oli_ctx *ctx);
/* The async event queue. *@fd is the program's. Once a context; -EBUSY after that. */
OLI_MUST_CHECK int oli_async_create(struct oli_machine *m, struct oli_ctx *ctx, int *fd);

/* ---- look-up of the handles of a context: live and owned by @ctx, or NULL ---- */

struct oli_ctx *oli_ctx_get(struct oli_machine *m, u32 id);
struct oli_pd *oli_pd_get(struct oli_machine *m, struct oli_ctx *ctx, u32 handle);
struct oli_mr *oli_mr_get(struct oli_machine *m, struct oli_ctx *ctx, u32 handle);
struct oli_mr *oli_mw_get(struct oli_machine *m, struct oli_ctx *ctx, u32 handle);
struct oli_cq *oli_cq_get(struct oli_machine *m, struct oli_ctx *ctx, u32 handle);
struct oli_qp *oli_qp_get(struct oli_machine *m, struct oli_ctx *ctx, u32 handle);
struct oli_ah *oli_ah_get(struct oli_machine *m, struct oli_ctx *ctx, u32 handle);
struct oli_srq *oli_srq_get(struct oli_machine *m, struct oli_ctx *ctx, u32 handle);
struct oli_chan *oli_chan_get(struct oli_machine *m, struct oli_ctx *ctx, u32 id);
u32 oli_ctx_id(const struct oli_ctx *ctx);
/* The boundary's handle of any object. */
u32 oli_handle(const void *obj);

/* ---- completion channels ---- */

/* *@fd is the program's read end. */
OLI_MUST_CHECK int oli_chan_create(struct oli_machine *m, struct oli_ctx *ctx,
				   struct oli_chan **out, int *fd);
/* The program closed its last fd of the channel: freed once no CQ uses it. */
void oli_chan_close(struct oli_machine *m, struct oli_chan *chan);

/* ---- protection domains ---- */

OLI_MUST_CHECK int oli_pd_alloc(struct oli_machine *m, struct oli_ctx *ctx, struct oli_pd **out);
OLI_MUST_CHECK int oli_pd_dealloc(struct oli_machine *m, struct oli_pd *pd);

/* ---- memory regions and windows ---- */

struct oli_mr_req {
	u64 start;  /* address in this process */
	u64 length; /* bytes */
	u64 iova;   /* the address by which work requests name @start */
	u32 access; /* IB_UVERBS_ACCESS_* */
};

/*
 * -EINVAL flags (remote write or atomic without local write, unknown bits),
 * -EFAULT some page is not mapped or not accessible as asked, -EOPNOTSUPP on-demand.
 */
OLI_MUST_CHECK int oli_mr_reg(struct oli_machine *m, struct oli_pd *pd, const struct oli_mr_req *req,
			      struct oli_mr **out);
/* Waits until no peer is inside the memory. -EBUSY: a memory window is bound to it. */
OLI_MUST_CHECK int oli_mr_dereg(struct oli_machine *m, struct oli_mr *mr);
u32 oli_mr_lkey(const struct oli_mr *mr);
u32 oli_mr_rkey(const struct oli_mr *mr);

/* @type: 1 or 2 (IBV_MW_TYPE_*). */
OLI_MUST_CHECK int oli_mw_alloc(struct oli_machine *m, struct oli_pd *pd, u8 type,
				struct oli_mr **out);
OLI_MUST_CHECK int oli_mw_dealloc(struct oli_machine *m, struct oli_mr *mw);

/* ---- completion queues ---- */

struct oli_cq_req {
	u64 user_handle;
	u32 cqe; /* wanted entries; 1 … OLI_MAX_CQE */
	u32 comp_vector; /* checked by the boundary; has no effect */
	struct oli_chan *chan; /* or NULL */
};

OLI_MUST_CHECK int oli_cq_create(struct oli_machine *m, struct oli_ctx *ctx,
				 const struct oli_cq_req *req, struct oli_cq **out);
/* Entries the caller may have outstanding, >= what was asked. */
u32 oli_cq_cqe(const struct oli_cq *cq);
/* Where the provider maps the queue. */
void oli_cq_mminfo(const struct oli_cq *cq, struct mminfo *mi);
/* Unread completions move to the new queue; -EINVAL if they do not fit. */
OLI_MUST_CHECK int oli_cq_resize(struct oli_machine *m, struct oli_cq *cq, u32 cqe);
int oli_cq_req_notify(struct oli_machine *m, struct oli_cq *cq, bool solicited_only);
/* *@comp, *@async: events that the program has read and must acknowledge. */
OLI_MUST_CHECK int oli_cq_destroy(struct oli_machine *m, struct oli_cq *cq, u32 *comp, u32 *async);

/* ---- shared receive queues ---- */

struct oli_srq_req {
	u64 user_handle;
	u32 max_wr, max_sge;
	u32 limit; /* fewer receives left than this raise SRQ_LIMIT_REACHED, once; 0: never */
};

OLI_MUST_CHECK int oli_srq_create(struct oli_machine *m, struct oli_pd *pd,
				  const struct oli_srq_req *req, struct oli_srq **out);
/* What was granted, and the limit that is armed. */
void oli_srq_query(struct oli_machine *m, struct oli_srq *srq, struct oli_srq_req *out);
void oli_srq_mminfo(const struct oli_srq *srq, struct mminfo *mi);
/* @mask: IBV_SRQ_MAX_WR (what is queued moves to a new ring), IBV_SRQ_LIMIT. */
OLI_MUST_CHECK int oli_srq_modify(struct oli_machine *m, struct oli_srq *srq, u32 mask, u32 max_wr,
				  u32 limit);
/* -EBUSY: a queue pair uses it. */
OLI_MUST_CHECK int oli_srq_destroy(struct oli_machine *m, struct oli_srq *srq, u32 *events);

/* ---- queue pairs ---- */

struct oli_qp_req {
	u64 user_handle;
	struct oli_cq *send_cq, *recv_cq;
	struct oli_srq *srq; /* or NULL: a receive queue of its own */
	u32 max_send_wr, max_recv_wr, max_send_sge, max_recv_sge, max_inline_data;
	u8 sq_sig_all;
	u8 type; /* enum ib_uverbs_qp_type: RC, UC, UD */
};

OLI_MUST_CHECK int oli_qp_create(struct oli_machine *m, struct oli_pd *pd,
				 const struct oli_qp_req *req, struct oli_qp **out);
u32 oli_qp_num(const struct oli_qp *qp);
/* What was granted, >= what was asked. */
void oli_qp_caps(const struct oli_qp *qp, struct oli_qp_req *caps);
void oli_qp_mminfo(const struct oli_qp *qp, struct mminfo *sq, struct mminfo *rq);
/*
 * @attr as the MODIFY_QP command carries it; attr_mask says which members count.
 * -EINVAL: the state may not be entered from here, or a mask lacks a required
 * attribute or has a forbidden one (IBTA 11.2.5.2, table 91).
 */
OLI_MUST_CHECK int oli_qp_modify(struct oli_machine *m, struct oli_qp *qp,
				 const struct ib_uverbs_modify_qp *attr);
void oli_qp_query(struct oli_machine *m, struct oli_qp *qp, struct ib_uverbs_query_qp_resp *out);
OLI_MUST_CHECK int oli_qp_destroy(struct oli_machine *m, struct oli_qp *qp, u32 *events);
/*
 * Run the send queue as far as it goes. -EINVAL below RTS.
 * Context: any thread of the owner; does the work of both sides.
 */
OLI_MUST_CHECK int oli_qp_doorbell(struct oli_machine *m, struct oli_qp *qp);

/* ---- address handles ---- */

OLI_MUST_CHECK int oli_ah_create(struct oli_machine *m, struct oli_pd *pd,
				 const struct ib_uverbs_ah_attr *attr, struct oli_ah **out);
OLI_MUST_CHECK int oli_ah_destroy(struct oli_machine *m, struct oli_ah *ah);
u32 oli_ah_num(const struct oli_ah *ah);

#endif
