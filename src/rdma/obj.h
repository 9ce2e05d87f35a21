/* SPDX-License-Identifier: MIT */
/*
 * The RDMA objects as they lie in shared memory.
 *
 * Words:
 *   requester  the side whose program posted a send work request; its code runs
 *              on the thread that rang the doorbell, or on its service thread
 *   responder  the other queue pair; its half runs on the requester's thread
 *   ring       a queue that the provider library maps: struct rxe_queue_buf and
 *              elements. The program can write all of it at any time, so a ring
 *              is never trusted: our own index is kept in the object, elements
 *              are copied once and then checked
 *
 * Invariants:
 *   - everything a queue pair's requester half changes is guarded by sq_lock,
 *     everything of its responder half by rq_lock; state may be read without
 *   - a region's memory is touched only between oli_mr_enter() and oli_mr_exit()
 *   - exactly one completion for each work request that needs one, also when the
 *     process that was posting it is killed (see struct oli_cq, struct oli_inflight)
 *
 * Lock order: sq_lock < rq_lock < cq lock (doc/locks.md).
 */
#ifndef OLI_RDMA_OBJ_H
#define OLI_RDMA_OBJ_H

#include "bus/bus.h"
#include "rdma/rdma.h"

#define OLI_MAX_QP 65536
#define OLI_MAX_CQ 65536
#define OLI_MAX_MR (1u << 20)
#define OLI_MAX_PD 65536
#define OLI_MAX_AH 65536
#define OLI_MAX_CTX 4096
#define OLI_MAX_CHAN 8192
#define OLI_MAX_SRQ 65536
/* Locks over 8-byte words of memory that atomics work on. */
#define OLI_ATOMIC_LOCKS 64

/* The state of the RDMA part: its tables. */
struct oli_rdma {
	struct oli_table ctx, chan, pd, mr, cq, qp, ah, srq;
	struct oli_lock atomic_lock[OLI_ATOMIC_LOCKS];
};

struct oli_ctx {
	struct oli_obj obj;
	u32 dev;
	u32 async_open; /* the async event pipe exists */
};

struct oli_chan {
	struct oli_obj obj;
	u32 ctx;
	_Atomic u32 users;  /* completion queues */
	_Atomic u32 closed; /* the program closed its end */
};

struct oli_pd {
	struct oli_obj obj;
	u32 ctx;
	_Atomic u32 users; /* regions, windows, queue pairs, address handles */
};

enum oli_mr_kind { OLI_MR_PLAIN, OLI_MR_MW1, OLI_MR_MW2 };

/* Page lists up to this need no page of their own. */
#define OLI_MR_FEW 8

/* A memory region, or a memory window (a key on a part of a region). */
struct oli_mr {
	struct oli_obj obj;
	u32 ctx;
	u32 pd;
	u32 kind; /* enum oli_mr_kind */
	u32 access;
	u32 lkey;
	_Atomic u32 rkey; /* windows change theirs at each bind */
	_Atomic u32 valid;
	u32 bound_mr; /* window: region's index + 1, 0 unbound */
	u32 bound_qpn;     /* type 2 window: only this queue pair may use it */
	_Atomic u32 bound; /* region: windows bound to it */
	u64 iova, length;  /* the range that the key covers */
	u64 addr;          /* what @iova is at, in the owner's address space */
	/*
	 * A region of a device that reaches memory by DMA address has a page list: block n,
	 * of 2^@page_shift bytes, is at DMA address list[n]. @iova lies in block 0. The list
	 * is u64s in heap pages of the owner. A window uses the list of its region.
	 */
	u64 plist_off; /* 0: none; the bytes are at @addr */
	u64 nr_blocks;
	u32 page_shift;
	struct oli_bus_id bus; /* as which device, and in whose address space */
	u64 few[OLI_MR_FEW];
};

/* A ring as the owner mapped it. @off and @size are fixed; the rest of it is not trusted. */
struct oli_ring {
	u64 off, size;
	u32 mask;      /* elements - 1 */
	u32 elem_log2;
};

/*
 * A completion queue. The commit of a completion is one step for a reader and
 * for a survivor: (1) write the element, (2) txn = the new producer index + 1,
 * (3) mark the poster's inflight record done, publish the index in the ring,
 * count it in @posted, (4) txn = 0. A taker of the lock who finds txn set redoes
 * (3) and (4): nothing lost, nothing twice.
 */
struct oli_cq {
	struct oli_obj obj;
	struct oli_lock lock; /* kept; guards what is below prod */
	u32 ctx;
	u32 chan;     /* index + 1, 0 without */
	u32 chan_gen;
	u32 cqe;
	u64 user_handle;
	struct oli_ring ring;

	u32 prod;
	u32 cons; /* the reader's index when it was last looked at */
	u32 txn;
	u64 txn_posted;	  /* what @posted will be */
	u64 txn_inflight; /* offset of the poster's struct oli_inflight */
	_Atomic u64 posted;
	u32 armed; /* OLI_CQ_NEXT, OLI_CQ_SOLICITED */
	u32 dead;  /* overflowed: CQ_ERR was raised */
	u32 comp_sent, async_sent;
	u32 owed; /* events that found the pipe full */
	_Atomic u32 users; /* queue pairs (one each for send and receive) */
};

#define OLI_CQ_SOLICITED 1u
#define OLI_CQ_NEXT 2u

/*
 * The work request that a thread is completing. Set before the ring's element is
 * consumed, cleared after its completion is committed: whoever finds it set after
 * the thread's death consumes the element, and posts a flushed completion if
 * none is there. @done is part of the completion queue's commit, so it is true
 * exactly if the completion is there, once that queue is repaired.
 */
struct oli_inflight {
	u32 busy;
	u32 report; /* a completion is due: not for an unsignalled success */
	u32 next;   /* the ring's consumer index behind it */
	u32 done;
	u64 wr_id;
};

struct oli_srq {
	struct oli_obj obj;
	struct oli_lock lock; /* kept; guards ring, cons, txn, limit */
	u32 ctx;
	u32 pd;
	u64 user_handle;
	u32 max_wr, max_sge;
	u32 limit;
	u32 cons;
	struct oli_ring ring;
	u32 txn;
	u32 async_sent;
	u64 txn_taken;     /* offset of the struct oli_taken that @txn fills */
	_Atomic u32 users; /* queue pairs */
};

/* The receive that a queue pair has taken from its shared receive queue. */
struct oli_taken {
	u32 valid;
	u32 num_sge;
	u64 wr_id;
	struct rxe_sge sge[OLI_MAX_SRQ_SGE];
};

struct oli_qp_counters {
	u64 sent_msgs, sent_bytes;
};

enum oli_wait { OLI_WAIT_NONE, OLI_WAIT_RNR, OLI_WAIT_PEER };

/*
 * The two halves are changed by two processes at once: each has its lock and its
 * words on cache lines of its own, and what both only read lies between them.
 */
struct oli_qp {
	struct oli_obj obj;
	_Alignas(64) struct oli_lock sq_lock; /* kept */
	_Alignas(64) struct oli_lock rq_lock; /* kept */
	_Alignas(64) u32 qpn;
	u32 ctx;
	u32 pd;
	u32 scq, rcq; /* indexes */
	u32 srq;      /* index + 1, 0 without */
	u32 type;     /* IB_UVERBS_QPT_* */
	u64 user_handle;
	_Atomic u32 state; /* IBV_QPS_*; changed with both locks, or to ERR with rq_lock */
	u32 sq_sig_all;
	struct oli_qp_req cap;

	/* attributes; sq_lock and rq_lock to change */
	u32 access, qkey, dest_qpn, path_mtu, rq_psn, sq_psn;
	u32 pkey_index, port_num;
	u8 timeout, retry_cnt, rnr_retry, min_rnr_timer, max_rd_atomic, max_dest_rd_atomic;
	u8 mig_state, sqd_notify;
	struct ib_uverbs_qp_dest av;

	/* the peer, found at RTR or at first use; sq_lock */
	u32 peer;     /* queue pair's index + 1, 0 unknown */
	u32 peer_gen; /* of that object */
	u16 peer_slot;
	u16 pad0;
	u32 peer_slot_gen;

	/* requester half: sq_lock */
	_Alignas(64) struct oli_ring sq;
	u32 sq_cons;
	u32 wait; /* enum oli_wait */
	u32 retry_left, rnr_left;
	u64 deadline; /* of the wait */
	struct oli_inflight sq_inflight;
	struct oli_qp_counters count;

	/* responder half: rq_lock */
	_Alignas(64) struct oli_ring rq;
	u32 rq_cons;
	u32 pad1;
	struct oli_inflight rq_inflight;
	struct oli_taken taken; /* with a shared receive queue, instead of rq */

	_Atomic u32 async_sent;
	_Atomic u32 lost;  /* the connected process was killed */
	u64 lost_deadline; /* service thread of the owner */
};

struct oli_ah {
	struct oli_obj obj;
	u32 ctx;
	u32 pd;
	struct ib_uverbs_ah_attr attr;
};

static inline struct oli_rdma *oli_rdma(const struct oli_machine *m)
{
	return oli_part_root(m, OLI_PART_RDMA);
}

#endif
