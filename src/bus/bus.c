// SPDX-License-Identifier: MIT
/*
 * Transactions: pieces put together to spans, and the simple calls on them.
 *
 * Spans are in the order of the device's addresses and cover them without a gap. Two
 * pieces become one span if their bytes are neighbours where they are copied: frames
 * are scattered, the pages that they stand for are not. For ciphertext physical
 * addresses must be neighbours as well, since the key stream depends on them.
 *
 * The simple calls hold as many spans as a stack can; longer transactions are
 * resolved twice, first to see that all of it is there.
 */
#include <errno.h>
#include <string.h>

#include "bus/int.h"

#define SPANS 64

void oli_bus_begin(struct oli_machine *m, const struct oli_bus_id *id, struct oli_bus_tx *tx)
{
	const struct oli_desc *d = &m->shm->desc;

	tx->m = m;
	tx->id = *id;
	tx->translated = d->iommu != OLI_IOMMU_NONE && !d->node[id->node].software;
	tx->entered = tx->translated && !oli_xlate_enter(m, id->space, id->space_gen, &tx->x);
}

void oli_bus_end(struct oli_bus_tx *tx)
{
	if (tx->entered)
		oli_xlate_exit(&tx->x);
	tx->entered = false;
}

static bool touch(const struct oli_span *a, const struct oli_span *b)
{
	return a->slot == b->slot && a->gen == b->gen && a->cipher == b->cipher &&
	       a->addr + a->len == b->addr && (!a->cipher || a->pa + a->len == b->pa);
}

int oli_bus_resolve(struct oli_bus_tx *tx, struct olio_iova dma, u64 len, u32 access,
		    struct oli_span *spans, u32 max, u64 *done)
{
	struct oli_span piece;
	u64 at = 0;
	u32 n = 0;

	if (len && dma.v + (len - 1) < dma.v)
		return -EOVERFLOW;
	while (at < len) {
		int err =
			oli_bus_piece(tx, (struct olio_iova){dma.v + at}, len - at, access, &piece);

		if (err)
			return err;
		if (n && touch(&spans[n - 1], &piece))
			spans[n - 1].len += piece.len;
		else if (n < max)
			spans[n++] = piece;
		else
			break;
		at += piece.len;
	}
	*done = at;
	return (int)n;
}

/* ---- the simple calls ---- */

/*
 * A process whose way is not known: asked outside of the transaction, since it may be
 * this process's peer that waits for us. Return: true if there was one.
 */
static bool learn_way(struct oli_machine *m, struct oli_bus_tx *tx, const struct oli_span *spans,
		      int n)
{
	for (int i = 0; i < n; i++) {
		u16 slot = spans[i].slot;

		if (slot == OLI_SLOT_NONE ||
		    oli_peer_way_known(m, slot, spans[i].gen) != OLI_WAY_UNKNOWN)
			continue;
		oli_bus_end(tx);
		(void)oli_peer_way(m, slot, spans[i].gen);
		return true;
	}
	return false;
}

/* Is all of it there, and are all ways known? @spans: the first ones. Return: how many, -errno. */
static int resolve_all(struct oli_bus_tx *tx, struct olio_iova dma, u64 len, u32 access,
		       struct oli_span *spans, u64 *first, bool *again)
{
	struct oli_span more[SPANS];
	u64 done;
	int n = oli_bus_resolve(tx, dma, len, access, spans, SPANS, first);

	*again = n > 0 && learn_way(tx->m, tx, spans, n);
	for (u64 at = n < 0 ? len : *first; at < len && !*again; at += done) {
		int k = oli_bus_resolve(tx, (struct olio_iova){dma.v + at}, len - at, access, more,
					SPANS, &done);

		if (k < 0)
			return k;
		*again = learn_way(tx->m, tx, more, k);
	}
	return n;
}

static int copy_all(struct oli_bus_tx *tx, struct olio_iova dma, u8 *buf, u64 len, u32 access,
		    struct oli_span *spans, int n, u64 done)
{
	int err = oli_span_copy(tx->m, spans, (u32)n, buf, done, access == OLI_ACCESS_WRITE);

	for (u64 at = done; at < len && !err; at += done) {
		n = oli_bus_resolve(tx, (struct olio_iova){dma.v + at}, len - at, access, spans,
				    SPANS, &done);
		err = n < 0 ? n
			    : oli_span_copy(tx->m, spans, (u32)n, buf + at, done,
					    access == OLI_ACCESS_WRITE);
	}
	return err;
}

static int transact(struct oli_machine *m, const struct oli_bus_id *id, struct olio_iova dma,
		    u8 *buf, u64 len, u32 access)
{
	struct oli_span spans[SPANS];
	struct oli_bus_tx tx;
	bool again = true;
	u64 done = 0;
	int n, err;

	oli_bus_begin(m, id, &tx);
	n = resolve_all(&tx, dma, len, access, spans, &done, &again);
	if (again) {
		/* Once: a way that is not found by now is an error of the copy. */
		oli_bus_end(&tx);
		oli_bus_begin(m, id, &tx);
		n = resolve_all(&tx, dma, len, access, spans, &done, &again);
	}
	err = n < 0 ? n : again ? -ESRCH : copy_all(&tx, dma, buf, len, access, spans, n, done);
	oli_bus_end(&tx);
	return err;
}

int oli_bus_read(struct oli_machine *m, const struct oli_bus_id *id, struct olio_iova dma,
		 void *buf, u64 len)
{
	return transact(m, id, dma, buf, len, OLI_ACCESS_READ);
}

int oli_bus_write(struct oli_machine *m, const struct oli_bus_id *id, struct olio_iova dma,
		  const void *buf, u64 len)
{
	return transact(m, id, dma, (u8 *)(uintptr_t)buf, len, OLI_ACCESS_WRITE);
}
