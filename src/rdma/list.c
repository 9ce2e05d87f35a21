// SPDX-License-Identifier: MIT
/*
 * Moving bytes between two lists of memory, each of one process and one device.
 *
 * A piece without page list is process memory, as it stands. A piece with one is
 * reached as hardware would: page list, DMA address, bus and IOMMU, and what comes
 * out is spans: of the process that mapped it, or of machine memory.
 *
 * Between the begin and the end of a bus transaction a flush of the address space
 * waits. So a long transfer is cut into chunks, each with transactions of its own,
 * and what was resolved in one chunk is never used in the next. Nothing in a chunk
 * takes a lock.
 *
 * Invariant: a span is used only between the begin and the end that it came from.
 * Lengths cannot overflow: a list holds at most OLI_MAX_MSG bytes and a header.
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "iommu/fault.h"
#include "rdma/int.h"

#define CHUNK_SPANS 64
#define CHUNK_BYTES (1u << 20)
#define COPY_BYTES  4096u

/* Where a transfer is in one of its lists, and the spans of the chunk under way. */
struct side {
	const struct oli_list *list;
	u32 i; /* the piece */
	u64 done; /* bytes of it */
	u16 slot; /* whose process memory is */
	u32 gen; /* of it */
	u32 access;
	bool in; /* a transaction is open */
	struct oli_bus_tx tx;
	struct oli_span span[CHUNK_SPANS];
	u32 n;
	u64 len; /* of the spans */
	u64 bad; /* after a fault: where it was, as the key names it */
};

/* ---- one chunk of one side ---- */

/* DMA addresses from @at on that follow each other: at most @max bytes. Return: how many. */
static u64 dma_run(struct oli_machine *m, const struct oli_mr *mr, u64 at, u64 max,
		   struct olio_iova *dma)
{
	const u64 *block = oli_ptr(m, mr->plist_off);
	u64 size = 1ull << mr->page_shift,
	    i = (at >> mr->page_shift) - (mr->iova >> mr->page_shift);
	u64 len;

	if (i >= mr->nr_blocks)
		return 0;
	dma->v = block[i] + (at & (size - 1));
	len = size - (at & (size - 1));
	for (; len < max && i + 1 < mr->nr_blocks && block[i + 1] == block[i] + size; i++)
		len += size;
	return len < max ? len : max;
}

/* Return: false if there is no room, or it belongs to another process than what is there. */
static bool add_span(struct side *s, const struct oli_span *span)
{
	struct oli_span *last = s->n ? &s->span[s->n - 1] : NULL;

	if (last && last->slot != span->slot)
		return false;
	if (last && last->addr + last->len == span->addr && last->cipher == span->cipher &&
	    !span->cipher) {
		last->len += span->len;
	} else {
		if (s->n == CHUNK_SPANS)
			return false;
		s->span[s->n++] = *span;
	}
	s->len += span->len;
	return true;
}

/* Up to @want bytes of the piece @p. Return: bytes that were added; 0 no room; -errno. */
static s64 add_bus(struct oli_machine *m, struct side *s, const struct oli_piece *p, u64 want)
{
	u32 room = s->n < CHUNK_SPANS ? CHUNK_SPANS - s->n : 1;
	struct oli_span span[CHUNK_SPANS];
	u64 before = s->len, done, len;
	struct olio_iova dma;
	int n;

	if (!s->in)
		oli_bus_begin(m, &p->mr->bus, &s->tx);
	s->in = true;
	s->bad = p->at + s->done;
	len = dma_run(m, p->mr, s->bad, want, &dma);
	if (!len)
		return -EFAULT;
	n = oli_bus_resolve(&s->tx, dma, len, s->access, span, room, &done);
	if (n < 0)
		return n;
	for (int i = 0; i < n && add_span(s, &span[i]); i++)
		;
	return (s64)(s->len - before);
}

static s64 add_plain(struct side *s, const struct oli_piece *p, u64 want)
{
	struct oli_span span = {
		.addr = p->addr + s->done, .len = want, .slot = s->slot, .gen = s->gen};

	return add_span(s, &span) ? (s64)want : 0;
}

static void step(struct side *s, u64 bytes)
{
	while (bytes) {
		u64 left = s->list->piece[s->i].len - s->done;

		if (bytes < left) {
			s->done += bytes;
			return;
		}
		bytes -= left;
		s->i++;
		s->done = 0;
	}
}

/* The spans of the next @want bytes, or of as many as there is room for. Return: 0, -errno. */
static int fill(struct oli_machine *m, struct side *s, u64 want)
{
	u32 i = s->i;
	u64 done = s->done;
	s64 added = 1;

	s->n = 0;
	s->len = 0;
	while (s->len < want && added > 0 && s->i < s->list->n) {
		const struct oli_piece *p = &s->list->piece[s->i];
		u64 len = p->len - s->done < want - s->len ? p->len - s->done : want - s->len;

		added = p->mr ? add_bus(m, s, p, len) : add_plain(s, p, len);
		if (added > 0)
			step(s, (u64)added);
	}
	s->i = i;
	s->done = done;
	return added < 0 ? (int)added : 0;
}

static void leave(struct side *s)
{
	if (s->in)
		oli_bus_end(&s->tx);
	s->in = false;
}

/* ---- moving a chunk ---- */

static void to_iov(const struct side *s, struct iovec *iov)
{
	for (u32 i = 0; i < s->n; i++)
		iov[i] = (struct iovec){(void *)(uintptr_t)s->span[i].addr, s->span[i].len};
}

/* Can its spans be named in a system call, as they are? */
static bool plain(const struct side *s)
{
	for (u32 i = 0; i < s->n; i++)
		if (s->span[i].cipher)
			return false;
	return true;
}

/* Machine memory is mapped here: to the calls it is memory of this process. */
static bool is_here(const struct oli_machine *m, const struct side *s)
{
	return s->span[0].slot == OLI_SLOT_NONE || s->span[0].slot == m->slot;
}

static int move_spans(struct oli_machine *m, struct oli_xfer *x, const struct side *l,
		      const struct side *r, u64 len)
{
	struct iovec local[CHUNK_SPANS], remote[CHUNK_SPANS];
	bool here = is_here(m, r);
	struct oli_move mv = {.slot = here ? m->slot : r->span[0].slot,
			      .gen = here ? m->gen : r->span[0].gen,
			      .to_remote = x->to_remote,
			      .local = local,
			      .remote = remote,
			      .nlocal = l->n,
			      .nremote = r->n,
			      .len = len};
	int err;

	to_iov(l, local);
	to_iov(r, remote);
	err = oli_peer_move(m, &mv);
	x->bad_side = mv.bad_side;
	x->bad_addr = mv.bad_addr;
	return err;
}

/* Drop the first @bytes of a chunk. */
static void skip(struct side *s, u64 bytes)
{
	u32 i = 0;

	for (; i < s->n && bytes >= s->span[i].len; i++)
		bytes -= s->span[i].len;
	memmove(s->span, s->span + i, (s->n - i) * sizeof(s->span[0]));
	s->n -= i;
	if (s->n && bytes) {
		s->span[0].addr += bytes;
		s->span[0].pa += bytes;
		s->span[0].len -= bytes;
	}
}

/* What the device does not see as the CPU does goes by way of a buffer. */
static int move_copied(struct oli_machine *m, struct oli_xfer *x, struct side *l, struct side *r,
		       u64 len)
{
	struct side *from = x->to_remote ? l : r, *to = x->to_remote ? r : l;
	int err = 0;

	while (len && !err) {
		u64 n = len < COPY_BYTES ? len : COPY_BYTES;
		struct side *now = from;
		u8 buf[COPY_BYTES];

		err = oli_span_copy(m, from->span, from->n, buf, n, false);
		if (!err) {
			now = to;
			err = oli_span_copy(m, to->span, to->n, buf, n, true);
		}
		x->bad_side = now == r ? OLI_SIDE_REMOTE : OLI_SIDE_LOCAL;
		x->bad_addr = now->n ? now->span[0].addr : 0;
		skip(from, n);
		skip(to, n);
		len -= n;
	}
	return err;
}

/* Is the process still there? What it had mapped goes away while it is reaped, or execs. */
static bool is_live(struct oli_machine *m, const struct side *s)
{
	return atomic_load(&oli_slot(m, s->slot)->state) == OLI_SLOT_LIVE &&
	       oli_slot_alive(m, s->slot, s->gen);
}

static int faulted(struct oli_machine *m, struct oli_xfer *x, const struct side *s, bool remote)
{
	/* Nobody answers for a process that is gone; that is no mistake of its mappings. */
	if (!is_live(m, s))
		return -ESRCH;
	x->bad_side = remote ? OLI_SIDE_REMOTE : OLI_SIDE_LOCAL;
	x->bad_addr = s->bad;
	x->fault = oli_fault_newest(m);
	return -EFAULT;
}

/* Return: bytes that were moved, or -errno. */
static s64 chunk(struct oli_machine *m, struct oli_xfer *x, struct side *l, struct side *r,
		 u64 left)
{
	u64 len = left < CHUNK_BYTES ? left : CHUNK_BYTES;
	int err = fill(m, r, len);

	if (err)
		return faulted(m, x, r, true);
	err = fill(m, l, r->len);
	if (err)
		return faulted(m, x, l, false);
	len = l->len < r->len ? l->len : r->len;
	if (is_here(m, l) && plain(l) && plain(r))
		err = move_spans(m, x, l, r, len);
	else
		err = move_copied(m, x, l, r, len);
	return err ? err : len ? (s64)len : -EFAULT;
}

static int move_bus(struct oli_machine *m, struct oli_xfer *x)
{
	u32 from = OLI_ACCESS_READ, to = OLI_ACCESS_WRITE;
	struct side l, r;
	u64 left = x->len;
	s64 n = 0;

	/* Machine memory is moved as our own: the way to that is found without waiting. */
	if (oli_peer_way(m, m->slot, m->gen) == OLI_WAY_UNKNOWN)
		return -ESRCH;
	l.list = x->local;
	r.list = x->remote;
	l.i = r.i = 0;
	l.done = r.done = 0;
	l.in = r.in = false;
	l.slot = m->slot;
	l.gen = m->gen;
	r.slot = x->slot;
	r.gen = oli_slot(m, x->slot)->gen;
	l.access = x->to_remote ? from : to;
	r.access = x->to_remote ? to : from;
	for (; left && n >= 0; left -= n > 0 ? (u64)n : 0) {
		n = chunk(m, x, &l, &r, left);
		leave(&l);
		leave(&r);
		if (n > 0) {
			step(&l, (u64)n);
			step(&r, (u64)n);
		}
	}
	return n < 0 ? (int)n : 0;
}

/* ---- memory of processes only ---- */

static u32 pieces(const struct oli_list *list, struct iovec *iov)
{
	for (u32 i = 0; i < list->n; i++)
		iov[i] = (struct iovec){(void *)(uintptr_t)list->piece[i].addr, list->piece[i].len};
	return list->n;
}

int oli_list_move(struct oli_machine *m, struct oli_xfer *x)
{
	struct iovec local[OLI_MAX_SGE + 1], remote[OLI_MAX_SGE + 1];
	struct oli_move mv = {.slot = x->slot,
			      .to_remote = x->to_remote,
			      .local = local,
			      .remote = remote,
			      .len = x->len};
	int err;

	x->bad_side = OLI_SIDE_NONE;
	x->fault = 0;
	if (!x->len)
		return 0;
	if (x->local->bus || x->remote->bus)
		return move_bus(m, x);
	mv.gen = oli_slot(m, x->slot)->gen;
	mv.nlocal = pieces(x->local, local);
	mv.nremote = pieces(x->remote, remote);
	err = oli_peer_move(m, &mv);
	x->bad_side = mv.bad_side;
	x->bad_addr = mv.bad_addr;
	return err;
}
