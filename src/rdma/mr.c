// SPDX-License-Identifier: MIT
/*
 * Memory regions, windows, and the checks at every access.
 *
 * A key is (index ^ the machine's secret) << 12 | 12 random bits. The local and
 * the remote key of a region have different random bits, so that a program that
 * uses one for the other is told. A window's low 8 bits are its user's to choose
 * (IBTA 10.6.7.2.2), which leaves it 4 random ones.
 *
 * Deregistration makes the region invalid and then waits until every thread
 * that may have seen it valid is done (hazards): after it returns, no peer
 * touches the memory any more.
 */
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "base/rand.h"
#include "mem/src.h"
#include "rdma/int.h"

#define KEY_TAG_BITS 12
#define KEY_USER_BITS 8
#define KEY_INDEX_MASK (OLI_MAX_MR - 1)

#define ACCESS_KNOWN                                                                               \
	(IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ |               \
	 IBV_ACCESS_REMOTE_ATOMIC | IBV_ACCESS_MW_BIND | IBV_ACCESS_HUGETLB |                      \
	 IBV_ACCESS_OPTIONAL_RANGE)

static u32 make_key(struct oli_machine *m, u32 id, u32 tag)
{
	return ((id ^ m->shm->key_mask) & KEY_INDEX_MASK) << KEY_TAG_BITS |
	       (tag & ((1u << KEY_TAG_BITS) - 1));
}

static struct oli_mr *by_key(struct oli_machine *m, u32 key)
{
	u32 id = ((key >> KEY_TAG_BITS) ^ m->shm->key_mask) & KEY_INDEX_MASK;

	return oli_table_get(m, &oli_rdma(m)->mr, id);
}

u32 oli_mr_lkey(const struct oli_mr *mr)
{
	return mr->lkey;
}

u32 oli_mr_rkey(const struct oli_mr *mr)
{
	return mr->rkey;
}

/* ---- hazards ---- */

_Atomic u64 *oli_hazard_take(struct oli_machine *m, u32 pd)
{
	static _Thread_local u32 hint, count;
	struct oli_slot *self = oli_slot(m, m->slot);
	u64 value = (u64)++count << 32 | (pd + 1);

	for (u32 i = hint;; i++) {
		_Atomic u64 *h = &self->hazard[i % OLI_HAZARDS];
		u64 none = 0;

		if (atomic_compare_exchange_strong(h, &none, value)) {
			hint = i % OLI_HAZARDS;
			return h;
		}
		/* Only with more than OLI_HAZARDS threads in transfers at once. */
		if (i - hint >= OLI_HAZARDS)
			sched_yield();
	}
}

void oli_hazard_drop(_Atomic u64 *hazard)
{
	atomic_store_explicit(hazard, 0, memory_order_release);
}

void oli_hazard_wait(struct oli_machine *m, u32 pd)
{
	atomic_thread_fence(memory_order_seq_cst);
	for (u16 s = 0; s < OLI_SLOTS; s++) {
		struct oli_slot *slot = oli_slot(m, s);

		if (slot->state == OLI_SLOT_FREE)
			continue;
		for (int i = 0; i < OLI_HAZARDS; i++) {
			u64 seen = atomic_load(&slot->hazard[i]);

			while (seen && (u32)seen == pd + 1 &&
			       atomic_load(&slot->hazard[i]) == seen &&
			       oli_slot_alive(m, s, slot->gen))
				sched_yield();
		}
	}
}

/* ---- registration ---- */

/*
 * For a device that copies by the CPU nothing is pinned: we make sure that the pages are
 * there and can be used as asked, which is what the caller can observe at this point.
 */
static int populate(const struct oli_mr_req *req)
{
	u64 first = req->start & ~(OLI_PAGE_SIZE - 1);
	u64 bytes = oli_align_up(req->start + req->length, OLI_PAGE_SIZE) - first;

	return oli_populate(first, bytes, req->access & IBV_ACCESS_LOCAL_WRITE) < 0 ? -EFAULT : 0;
}

static int check_request(const struct oli_mr_req *req)
{
	u32 a = req->access;

	if (a & (IBV_ACCESS_ON_DEMAND))
		return -EOPNOTSUPP;
	if (a & ~(u32)ACCESS_KNOWN)
		return -EINVAL;
	if ((a & (IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_ATOMIC)) &&
	    !(a & IBV_ACCESS_LOCAL_WRITE))
		return -EINVAL;
	if (!req->length || (req->start ^ req->iova) & (OLI_PAGE_SIZE - 1))
		return -EINVAL;
	if (req->length > UINT64_MAX - OLI_PAGE_SIZE - req->start ||
	    req->length > UINT64_MAX - req->iova)
		return -EINVAL;
	return 0;
}

/* What the device needs to reach the memory: its pages being there, or mapped for it. */
static int take_memory(struct oli_machine *m, const struct oli_pd *pd,
		       const struct oli_mr_req *req, struct oli_mr *mr)
{
	const struct oli_ctx *ctx = oli_ctx_get(m, pd->ctx);

	if (!ctx)
		return -EINVAL;
	if (m->shm->devices[ctx->dev].kind == OLI_DEVICE_HCA)
		return oli_umem_get(m, ctx->dev, req, mr);
	return populate(req);
}

int oli_mr_reg(struct oli_machine *m, struct oli_pd *pd, const struct oli_mr_req *req,
	       struct oli_mr **out)
{
	struct oli_mr *mr;
	int err = check_request(req);
	u32 tag = oli_rand32();

	if (err)
		return err;
	err = oli_table_alloc(m, &oli_rdma(m)->mr, m->slot, &mr);
	if (err)
		return err == -ENOSPC ? -ENOMEM : err;
	err = take_memory(m, pd, req, mr);
	if (err) {
		oli_table_free(m, &oli_rdma(m)->mr, mr);
		return err;
	}
	mr->ctx = pd->ctx;
	mr->pd = pd->obj.id;
	mr->kind = OLI_MR_PLAIN;
	mr->access = req->access;
	mr->iova = req->iova;
	mr->length = req->length;
	mr->addr = req->start;
	mr->lkey = make_key(m, mr->obj.id, tag);
	mr->rkey = make_key(m, mr->obj.id, tag ^ (1 + (tag >> 16) % 4095));
	mr->valid = 1;
	atomic_fetch_add(&pd->users, 1);
	oli_obj_publish(&mr->obj);
	*out = mr;
	return 0;
}

static struct oli_mr *get_kind(struct oli_machine *m, struct oli_ctx *ctx, u32 handle, bool window)
{
	struct oli_mr *mr = oli_table_get(m, &oli_rdma(m)->mr, handle);

	if (!mr || mr->ctx != ctx->obj.id || mr->obj.slot != m->slot)
		return NULL;
	return (mr->kind != OLI_MR_PLAIN) == window ? mr : NULL;
}

struct oli_mr *oli_mr_get(struct oli_machine *m, struct oli_ctx *ctx, u32 handle)
{
	return get_kind(m, ctx, handle, false);
}

struct oli_mr *oli_mw_get(struct oli_machine *m, struct oli_ctx *ctx, u32 handle)
{
	return get_kind(m, ctx, handle, true);
}

static void unbind(struct oli_machine *m, struct oli_mr *mw)
{
	struct oli_mr *mr;

	if (!mw->bound_mr)
		return;
	mr = oli_table_peek(m, &oli_rdma(m)->mr, mw->bound_mr - 1);
	mw->bound_mr = 0;
	if (mr)
		atomic_fetch_sub(&mr->bound, 1);
}

void oli_mr_release(struct oli_machine *m, struct oli_mr *mr)
{
	struct oli_pd *pd = oli_table_get(m, &oli_rdma(m)->pd, mr->pd);

	atomic_store(&mr->valid, 0);
	oli_hazard_wait(m, mr->pd);
	if (mr->kind != OLI_MR_PLAIN)
		unbind(m, mr);
	/* A dead owner's pins, mappings and pages are freed by their tags. */
	if (mr->plist_off && mr->obj.slot == m->slot)
		oli_umem_put(m, mr);
	if (pd)
		atomic_fetch_sub(&pd->users, 1);
	oli_table_free(m, &oli_rdma(m)->mr, mr);
}

int oli_mr_dereg(struct oli_machine *m, struct oli_mr *mr)
{
	if (atomic_load(&mr->bound))
		return -EBUSY;
	if (!oli_obj_kill(&mr->obj))
		return -EINVAL;
	oli_mr_release(m, mr);
	return 0;
}

/* ---- checks ---- */

static int fail(struct oli_fail *f, enum oli_cause cause, u32 key, u64 start, u64 len)
{
	f->cause = cause;
	f->key = key;
	f->want_start = start;
	f->want_len = len;
	return -EACCES;
}

static int check_range(const struct oli_mr *mr, u32 key, u64 start, u64 len, u32 access,
		       struct oli_fail *f)
{
	f->have_start = mr->iova;
	f->have_len = mr->length;
	if (access & ~mr->access) {
		f->access = access & ~mr->access;
		return fail(f, OLI_CAUSE_NO_ACCESS, key, start, len);
	}
	if (!oli_range_inside(start, len, mr->iova, mr->length))
		return fail(f, OLI_CAUSE_OUT_OF_RANGE, key, start, len);
	return 0;
}

/* @mr: a region, or a window that is bound to one. */
static void append(struct oli_machine *m, const struct oli_mr *mr, u64 start, u64 len,
		   struct oli_list *list)
{
	const struct oli_mr *region = mr;

	if (mr->kind != OLI_MR_PLAIN)
		region = oli_table_peek(m, &oli_rdma(m)->mr, mr->bound_mr - 1);
	oli_list_add(list, mr->addr + (start - mr->iova), len, start,
		     region && region->plist_off ? region : NULL);
}

int oli_mr_local(struct oli_machine *m, const struct oli_qp *qp, u32 lkey, u64 start, u64 len,
		 u32 access, struct oli_list *list, struct oli_fail *f)
{
	struct oli_mr *mr = by_key(m, lkey);

	if (!mr || mr->kind != OLI_MR_PLAIN || mr->lkey != lkey || !mr->valid ||
	    mr->obj.slot != qp->obj.slot)
		return fail(f, OLI_CAUSE_NO_KEY, lkey, start, len);
	if (mr->pd != qp->pd)
		return fail(f, OLI_CAUSE_WRONG_PD, lkey, start, len);
	if (check_range(mr, lkey, start, len, access, f))
		return -EACCES;
	append(m, mr, start, len, list);
	return 0;
}

int oli_mr_remote(struct oli_machine *m, const struct oli_qp *qp, u32 rkey, u64 start, u64 len,
		  u32 access, struct oli_list *list, struct oli_fail *f)
{
	struct oli_mr *mr = by_key(m, rkey);
	/* Read first: a window that is valid now does not change while our hazard stands. */
	bool valid = mr && atomic_load(&mr->valid);

	f->at_peer = true;
	if (!mr || mr->rkey != rkey || mr->obj.slot != qp->obj.slot)
		return fail(f, OLI_CAUSE_NO_KEY, rkey, start, len);
	if (mr->pd != qp->pd)
		return fail(f, OLI_CAUSE_WRONG_PD, rkey, start, len);
	if (!valid || (mr->kind == OLI_MR_MW2 && mr->bound_qpn != qp->qpn))
		return fail(f, mr->kind == OLI_MR_PLAIN ? OLI_CAUSE_NO_KEY : OLI_CAUSE_UNBOUND,
			    rkey, start, len);
	if (check_range(mr, rkey, start, len, access, f))
		return -EACCES;
	append(m, mr, start, len, list);
	return 0;
}

/* ---- windows ---- */

int oli_mw_alloc(struct oli_machine *m, struct oli_pd *pd, u8 type, struct oli_mr **out)
{
	struct oli_mr *mw;
	int err;

	if (type != IBV_MW_TYPE_1 && type != IBV_MW_TYPE_2)
		return -EINVAL;
	err = oli_table_alloc(m, &oli_rdma(m)->mr, m->slot, &mw);
	if (err)
		return err == -ENOSPC ? -ENOMEM : err;
	mw->ctx = pd->ctx;
	mw->pd = pd->obj.id;
	mw->kind = type == IBV_MW_TYPE_1 ? OLI_MR_MW1 : OLI_MR_MW2;
	mw->rkey = make_key(m, mw->obj.id, oli_rand32());
	atomic_fetch_add(&pd->users, 1);
	oli_obj_publish(&mw->obj);
	*out = mw;
	return 0;
}

int oli_mw_dealloc(struct oli_machine *m, struct oli_mr *mw)
{
	if (!oli_obj_kill(&mw->obj))
		return -EINVAL;
	oli_mr_release(m, mw);
	return 0;
}

/* Local write means nothing for a window, but programs pass it and Linux takes it. */
#define MW_ACCESS                                                                                  \
	(IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_ATOMIC |             \
	 IBV_ACCESS_LOCAL_WRITE)

static int bad_bind(struct oli_fail *f, u32 key, u64 start, u64 len)
{
	fail(f, OLI_CAUSE_BIND, key, start, len);
	return -EINVAL;
}

/* IBTA 10.6.7.2: what a bind must satisfy. */
static int check_bind(const struct oli_qp *qp, const struct oli_mr *mw, const struct oli_mr *mr,
		      const struct rxe_send_wr *wr)
{
	u32 access = wr->wr.mw.access;

	if (mw->kind == OLI_MR_MW2 &&
	    (mw->valid || !wr->wr.mw.length ||
	     (wr->wr.mw.rkey & 0xff) == (mw->rkey & 0xff)))
		return -EINVAL;
	if (!mr || mr->kind != OLI_MR_PLAIN || !mr->valid || mr->lkey != wr->wr.mw.mr_lkey)
		return -EINVAL;
	if (mr->pd != mw->pd || mr->pd != qp->pd || !(mr->access & IBV_ACCESS_MW_BIND))
		return -EINVAL;
	if ((access & ~(u32)MW_ACCESS) ||
	    ((access & (IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_ATOMIC)) &&
	     !(mr->access & IBV_ACCESS_LOCAL_WRITE)))
		return -EINVAL;
	return oli_range_inside(wr->wr.mw.addr, wr->wr.mw.length, mr->iova, mr->length) ? 0
												: -EINVAL;
}

/* The window's key with the low byte that its user chose. */
static u32 next_key(const struct oli_mr *mw, const struct rxe_send_wr *wr)
{
	return (mw->rkey & ~((1u << KEY_USER_BITS) - 1)) | (wr->wr.mw.rkey & ((1u << KEY_USER_BITS) - 1));
}

int oli_mw_bind(struct oli_machine *m, struct oli_qp *qp, const struct rxe_send_wr *wr,
		struct oli_fail *f)
{
	struct oli_mr *mw = by_key(m, wr->wr.mw.mw_rkey), *mr = by_key(m, wr->wr.mw.mr_lkey);
	u64 start = wr->wr.mw.addr, len = wr->wr.mw.length;

	if (!mw || mw->kind == OLI_MR_PLAIN || mw->rkey != wr->wr.mw.mw_rkey ||
	    mw->obj.slot != qp->obj.slot || mw->pd != qp->pd)
		return bad_bind(f, wr->wr.mw.mw_rkey, start, len);
	if (!(mw->kind == OLI_MR_MW1 && !len) && check_bind(qp, mw, mr, wr))
		return bad_bind(f, wr->wr.mw.mw_rkey, start, len);
	atomic_store(&mw->valid, 0);
	oli_hazard_wait(m, mw->pd);
	unbind(m, mw);
	mw->rkey = next_key(mw, wr);
	if (!len)
		return 0;
	atomic_fetch_add(&mr->bound, 1);
	mw->bound_mr = mr->obj.id + 1;
	mw->bound_qpn = mw->kind == OLI_MR_MW2 ? qp->qpn : 0;
	mw->access = wr->wr.mw.access;
	mw->iova = start;
	mw->length = len;
	mw->addr = mr->addr + (start - mr->iova);
	atomic_store(&mw->valid, 1);
	return 0;
}

/*
 * LOCAL_INV and SEND_WITH_INV. Only type 2 windows can be invalidated here: a
 * region that the program registered cannot (IBTA 10.6.5).
 */
int oli_key_invalidate(struct oli_machine *m, struct oli_qp *qp, u32 rkey, bool remote,
		       struct oli_fail *f)
{
	struct oli_mr *mw = by_key(m, rkey);

	f->at_peer = remote;
	if (!mw || mw->rkey != rkey || mw->kind != OLI_MR_MW2 || mw->obj.slot != qp->obj.slot ||
	    mw->pd != qp->pd || (mw->bound_qpn && mw->bound_qpn != qp->qpn)) {
		fail(f, OLI_CAUSE_NO_KEY, rkey, 0, 0);
		return -EINVAL;
	}
	atomic_store(&mw->valid, 0);
	/* A remote invalidation comes while the requester holds the hazard itself. */
	if (!remote)
		oli_hazard_wait(m, mw->pd);
	unbind(m, mw);
	mw->bound_qpn = 0;
	return 0;
}
