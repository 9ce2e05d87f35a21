// SPDX-License-Identifier: MIT
/* Rings: shared queues in the layout that the rxe provider maps. */
#include <errno.h>
#include <stdatomic.h>

#include "rdma/int.h"

/* One slot stays empty, so that full and empty differ. */
int oli_ring_create(struct oli_machine *m, u16 slot, u32 n, u32 elem, struct oli_ring *r)
{
	u32 slots = oli_roundup_pow2(n + 1);
	u32 size = oli_roundup_pow2(elem < 64 ? 64 : elem);
	u64 bytes = sizeof(struct rxe_queue_buf) + (u64)slots * size;
	struct rxe_queue_buf *buf;
	u64 off;
	int err;

	/* struct mminfo tells the size in 32 bits. */
	if (bytes > UINT32_MAX)
		return -ENOMEM;
	err = oli_heap_alloc(m, bytes, slot, &off);
	if (err)
		return err;
	buf = oli_ptr(m, off);
	buf->log2_elem_size = oli_log2(size);
	buf->index_mask = slots - 1;
	*r = (struct oli_ring){.off = off, .size = bytes, .mask = slots - 1,
			       .elem_log2 = oli_log2(size)};
	return 0;
}

void oli_ring_destroy(struct oli_machine *m, struct oli_ring *r)
{
	u64 size = r->size;

	/* Forgotten first: what is freed twice may be somebody else's the second time. */
	r->size = 0;
	atomic_signal_fence(memory_order_seq_cst);
	if (size)
		oli_heap_free(m, r->off, size);
}

void oli_ring_mminfo(const struct oli_ring *r, struct mminfo *mi)
{
	mi->offset = r->off;
	mi->size = (u32)r->size;
	mi->pad = 0;
}
