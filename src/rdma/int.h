/* SPDX-License-Identifier: MIT */
/* What the files of rdma/ share. Objects are in obj.h, what the layers above may call in rdma.h. */
#ifndef OLI_RDMA_INT_H
#define OLI_RDMA_INT_H

#include <infiniband/verbs.h>

#include "mem/peer.h"
#include "rdma/obj.h"

/* ---- rings (ring.c) ---- */

/* Elements of at least @elem bytes, room for @n. Return: 0, -ENOMEM. */
OLI_MUST_CHECK int oli_ring_create(struct oli_machine *m, u16 slot, u32 n, u32 elem,
				   struct oli_ring *r);
void oli_ring_destroy(struct oli_machine *m, struct oli_ring *r);
void oli_ring_mminfo(const struct oli_ring *r, struct mminfo *mi);

static inline struct rxe_queue_buf *oli_ring_buf(struct oli_machine *m, const struct oli_ring *r)
{
	return oli_ptr(m, r->off);
}

static inline void *oli_ring_elem(struct oli_machine *m, const struct oli_ring *r, u32 i)
{
	return oli_ring_buf(m, r)->data + ((size_t)(i & r->mask) << r->elem_log2);
}

/* The program's index, as it says: masked, for it may say anything. */
static inline u32 oli_ring_producer(struct oli_machine *m, const struct oli_ring *r)
{
	return __atomic_load_n(&oli_ring_buf(m, r)->producer_index, __ATOMIC_ACQUIRE) & r->mask;
}

static inline u32 oli_ring_consumer(struct oli_machine *m, const struct oli_ring *r)
{
	return __atomic_load_n(&oli_ring_buf(m, r)->consumer_index, __ATOMIC_ACQUIRE) & r->mask;
}

static inline void oli_ring_set_producer(struct oli_machine *m, const struct oli_ring *r, u32 i)
{
	__atomic_store_n(&oli_ring_buf(m, r)->producer_index, i, __ATOMIC_RELEASE);
}

static inline void oli_ring_set_consumer(struct oli_machine *m, const struct oli_ring *r, u32 i)
{
	__atomic_store_n(&oli_ring_buf(m, r)->consumer_index, i, __ATOMIC_RELEASE);
}

/* ---- why a work request failed (why.c) ---- */

#define OLI_CAUSES(X)                                                                              \
	X(NONE)                                                                                    \
	X(NO_KEY)        /* no region has this key */                                              \
	X(WRONG_PD)      /* the region is in another protection domain */                          \
	X(NO_ACCESS)     /* the region does not permit this access */                              \
	X(OUT_OF_RANGE)  /* the range leaves the region */                                         \
	X(UNBOUND)       /* the window is not bound, or to another queue pair */                   \
	X(QP_ACCESS)     /* the queue pair does not permit this access */                          \
	X(UNMAPPED)      /* registered, but the program has unmapped it since */                   \
	X(DMA)           /* the device's access was stopped on its way: a DMA fault */             \
	X(UNALIGNED)     /* an atomic on a word that is not aligned to 8 bytes */                  \
	X(TOO_LONG)      /* more than the receiver's buffer, or than a message may have */         \
	X(NO_RECV)       /* no receive was posted in time */                                       \
	X(NO_ROUTE)      /* the address is not of this machine */                                  \
	X(NO_PEER)       /* no such queue pair, or it does not answer */                           \
	X(PEER_DIED)     /* its process was killed */                                              \
	X(BAD_WR)        /* the work request itself is malformed */                                \
	X(BIND)          /* the window cannot be bound so */                                       \
	X(FLUSHED)       /* the queue pair was in the error state */

enum oli_cause {
#define X(name) OLI_CAUSE_##name,
	OLI_CAUSES(X)
#undef X
};

/* Collected where the failure is found, told where the completion is posted. */
struct oli_fail {
	enum oli_cause cause;
	bool at_peer; /* the key or memory is the responder's */
	u32 key;
	u64 want_start, want_len;
	u64 have_start, have_len;
	u32 access; /* IBV_ACCESS_* that was missing */
	u64 fault;  /* number of the recorded DMA fault; 0 none */
};

/* What @wr_opcode says for a receive. */
#define OLI_OP_RECV 128u
/* For calls that may raise an async event, or none. */
#define OLI_NO_EVENT 0xffffffffu

/* Leave a record for the process of @qp. @wc: the failed completion. @n: how many alike. */
void oli_why(struct oli_machine *m, struct oli_qp *qp, const struct oli_fail *f,
	     const struct ib_uverbs_wc *wc, u32 wr_opcode, u32 n);

/* ---- completion queues (cq.c) ---- */

/*
 * Append @wc. @fl, in shared memory: marked done in one step with the commit.
 * Return: 0, -EOVERFLOW: no room; the queue is in error and its event was raised.
 */
int oli_cq_post(struct oli_machine *m, struct oli_cq *cq, const struct ib_uverbs_wc *wc,
		bool solicited, struct oli_inflight *fl);
struct oli_cq *oli_cq_at(struct oli_machine *m, u32 id);
/* Finish what a dead poster began, if there is one. */
void oli_cq_settle(struct oli_machine *m, struct oli_cq *cq);
/* For the reaper. */
void oli_cq_release(struct oli_machine *m, struct oli_cq *cq);

/* ---- shared receive queues (srq.c) ---- */

struct oli_srq *oli_srq_at(struct oli_machine *m, u32 id);
/* Fill @qp->taken. Its rq_lock is held. Return: false if nothing is posted. */
bool oli_srq_take(struct oli_machine *m, struct oli_qp *qp);
/* Finish what a dead taker began. */
void oli_srq_settle(struct oli_machine *m, u32 id);
void oli_srq_release(struct oli_machine *m, struct oli_srq *srq);

/* ---- async events (ctx.c) ---- */

void oli_async_send(struct oli_machine *m, u32 ctx, u64 element, u32 event);
u32 oli_async_purge(struct oli_machine *m, u32 ctx, u64 element);

/* ---- lists of memory (list.c) ---- */

/* A piece of memory that a key gave access to. */
struct oli_piece {
	u64 addr; /* in its process */
	u64 len;
	u64 at;			 /* as the key names it */
	const struct oli_mr *mr; /* reached by this region's page list; NULL: at @addr */
};

/* A gather or scatter list of one process and one device. Only @n to @len need be set to start. */
struct oli_list {
	u32 n;
	bool bus; /* some piece has a page list */
	u64 len;
	struct oli_piece piece[OLI_MAX_SGE + 1];
};

static inline void oli_list_init(struct oli_list *l)
{
	l->n = 0;
	l->bus = false;
	l->len = 0;
}

static inline void oli_list_add(struct oli_list *l, u64 addr, u64 len, u64 at,
				const struct oli_mr *mr)
{
	l->piece[l->n++] = (struct oli_piece){addr, len, at, mr};
	l->bus |= mr != NULL;
	l->len += len;
}

struct oli_xfer {
	u16 slot; /* whose memory @remote is; @local is this process's */
	bool to_remote;
	const struct oli_list *local, *remote;
	u64 len; /* bytes; both lists have at least as many */
	/* results, after a failure */
	enum oli_side bad_side;
	u64 bad_addr;
	u64 fault; /* as in struct oli_fail */
};

/*
 * Move @len bytes. What has a page list goes through bus and IOMMU, chunk by chunk; no
 * address space is held up for longer than a chunk takes. The way to @slot is known.
 * Return: 0; -EFAULT memory that was unmapped, or (x->fault) a DMA fault; -ESRCH.
 * Bytes before the fault may have been moved.
 */
OLI_MUST_CHECK int oli_list_move(struct oli_machine *m, struct oli_xfer *x);

/* ---- memory behind a bus (umem.c) ---- */

/*
 * Pin and map what @req asks for, for device @dev, and fill in @mr's page list.
 * A refusal is said on stderr, once a reason, and recorded.
 * Return: 0; -EFAULT; -EOPNOTSUPP the machine cannot honour it; -ENOMEM.
 */
OLI_MUST_CHECK int oli_umem_get(struct oli_machine *m, u32 dev, const struct oli_mr_req *req,
				struct oli_mr *mr);
/* Take all that back. @mr is this process's own. */
void oli_umem_put(struct oli_machine *m, struct oli_mr *mr);

/* What a process keeps of it. */
struct oli_umem_local {
	pthread_mutex_t lock;   /* guards all below */
	struct oli_umem **umem; /* by index of the region */
	u32 room;
	struct olio_dev *dev[OLI_DEVICES]; /* opened at the first registration */
};

void oli_umem_attach(struct oli_umem_local *l);
/* No region is left: close the devices. May be called again. */
void oli_umem_close(struct oli_umem_local *l);
void oli_umem_detach(struct oli_umem_local *l);

/* ---- memory (mr.c) ---- */

/*
 * May @qp, by its own local key, read (or, with IBV_ACCESS_LOCAL_WRITE, write)
 * these bytes? Return: 0, and they are appended to @list, or -EACCES and *@f.
 */
OLI_MUST_CHECK int oli_mr_local(struct oli_machine *m, const struct oli_qp *qp, u32 lkey, u64 start,
				u64 len, u32 access, struct oli_list *list, struct oli_fail *f);
/* May the peer of @qp do so by a remote key of @qp's process? */
OLI_MUST_CHECK int oli_mr_remote(struct oli_machine *m, const struct oli_qp *qp, u32 rkey,
				 u64 start, u64 len, u32 access, struct oli_list *list,
				 struct oli_fail *f);

/*
 * While a hazard on a protection domain is held, no region of it that was found
 * valid goes away: deregistration waits. Taken before the look-up.
 */
_Atomic u64 *oli_hazard_take(struct oli_machine *m, u32 pd);
void oli_hazard_drop(_Atomic u64 *hazard);
void oli_hazard_wait(struct oli_machine *m, u32 pd);

/* Work requests on windows and keys. Return: 0, or -EINVAL and *@f. */
int oli_mw_bind(struct oli_machine *m, struct oli_qp *qp, const struct rxe_send_wr *wr,
		struct oli_fail *f);
int oli_key_invalidate(struct oli_machine *m, struct oli_qp *qp, u32 rkey, bool remote,
		       struct oli_fail *f);
void oli_mr_release(struct oli_machine *m, struct oli_mr *mr);

/* ---- queue pairs ---- */

static inline u32 oli_qp_state(const struct oli_qp *qp)
{
	return atomic_load_explicit(&qp->state, memory_order_acquire);
}

/* Take the half's lock, repairing what a dead holder left (flush.c). */
void oli_sq_lock(struct oli_machine *m, struct oli_qp *qp);
void oli_rq_lock(struct oli_machine *m, struct oli_qp *qp);
/* For the reaper: repair the receive half if a dead process held it. */
void oli_rq_settle(struct oli_machine *m, struct oli_qp *qp);

/*
 * Complete the oldest element of a half with @wc and advance. For the send half
 * @report false skips the completion (success, unsignalled). Half's lock is held.
 */
void oli_sq_complete(struct oli_machine *m, struct oli_qp *qp, const struct ib_uverbs_wc *wc,
		     bool report);
int oli_rq_complete(struct oli_machine *m, struct oli_qp *qp, const struct ib_uverbs_wc *wc,
		    bool solicited);

/* Complete everything queued with WR_FLUSH_ERR. The half's lock is held, the state is ERR. */
void oli_sq_flush(struct oli_machine *m, struct oli_qp *qp);
void oli_rq_flush(struct oli_machine *m, struct oli_qp *qp);

/* Go to ERR and flush the receive half; the caller sees to the send half. rq_lock is held. */
void oli_rq_error(struct oli_machine *m, struct oli_qp *qp, u32 async_event);
/* Go to ERR and flush both. sq_lock is held, rq_lock is not. */
void oli_qp_error(struct oli_machine *m, struct oli_qp *qp, u32 async_event);
/* Flush the send half of a queue pair that went to ERR on the responder's side. No lock held. */
void oli_qp_flush_late(struct oli_machine *m, struct oli_qp *qp);

struct oli_qp *oli_qp_by_num(struct oli_machine *m, u32 qpn);
/* For the reaper and destroy: end it, free its rings. Return: async events it was sent. */
u32 oli_qp_release(struct oli_machine *m, struct oli_qp *qp);

/* Connect @qp to the queue pair its attributes name, if that is there. sq_lock is held. */
struct oli_qp *oli_qp_peer(struct oli_machine *m, struct oli_qp *qp, struct oli_fail *f);
/* Is @gid an address of a device of this machine? They are all on one network. */
bool oli_gid_is_local(struct oli_machine *m, const u8 gid[16]);
bool oli_gid_at(struct oli_machine *m, u32 dev, u32 index, u8 gid[16]);

/* Is the transition allowed, with this mask? (qp_state.c) */
bool oli_qp_modify_ok(u32 type, u32 from, u32 to, u32 mask);

/* ---- requester (req.c) and responder (resp.c) ---- */

/* Run the send queue. sq_lock is held. *@late: a queue pair to flush after it is released. */
void oli_sq_run(struct oli_machine *m, struct oli_qp *qp, struct oli_qp **late);

#define OLI_GRH 40

/* A request as the responder gets it. */
struct oli_req {
	const struct oli_qp *from;
	u32 opcode; /* IBV_WR_* */
	u64 remote_addr;
	u32 rkey;
	u32 imm_or_inv; /* as in the work request */
	bool solicited;
	const struct oli_list *list; /* the requester's memory; list->len bytes */
	u64 compare_add, swap; /* atomics */
	const u8 *grh; /* datagrams: the OLI_GRH bytes that the receiver finds in front */
};

enum oli_answer {
	OLI_ACK,
	OLI_NAK_RNR,     /* no receive posted */
	OLI_NAK_ACCESS,  /* remote access error */
	OLI_NAK_INVALID, /* invalid request */
	OLI_NAK_OP,      /* remote operational error */
	OLI_LOCAL_FAULT, /* the requester's own memory is gone */
	OLI_NO_ANSWER,
};

/* The responder's half, on the requester's thread; @qp's rq_lock is held. */
enum oli_answer oli_respond(struct oli_machine *m, struct oli_qp *qp, struct oli_req *req,
			    struct oli_fail *f);
/* The same for an unreliable datagram: what does not fit is dropped. */
void oli_respond_ud(struct oli_machine *m, struct oli_qp *qp, struct oli_req *req);

/* ---- process-local state (part.c) ---- */

/* Have the service thread look at @qp (wait, deadline). */
void oli_wait_add(struct oli_machine *m, struct oli_qp *qp);
struct oli_umem_local *oli_umem_local(struct oli_machine *m);

#endif
