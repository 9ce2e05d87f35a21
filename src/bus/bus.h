/* SPDX-License-Identifier: MIT */
/*
 * What happens to a device's transaction: tree, IOMMU, memory.
 *
 *   device --tree--> BAR of a peer below the same switch         (not translated)
 *             |
 *             +----> host bridge --IOMMU--> RAM, or a BAR below
 *
 * A transaction is resolved to spans: bytes that can be copied. That they are the
 * right ones is decided here and nowhere else: a device model never sees a
 * physical address.
 *
 * What the device sees is not always what the CPU sees:
 *   - on a machine whose devices do not see the CPU's caches, a frame's shadow
 *   - of a private frame, unless the device is trusted with it, ciphertext: what it
 *     reads is the memory mixed with a key stream of the address, and what it
 *     writes is decrypted into noise
 */
#ifndef OLI_BUS_BUS_H
#define OLI_BUS_BUS_H

#include <sys/uio.h>

#include "iommu/xlate.h"
#include "machine/phys.h"
#include "machine/tree.h"
#include "mem/peer.h"

/* As which device, and in whose address space. */
struct oli_bus_id {
	u8 node;
	u32 space, space_gen; /* of the domain; 0, 0 without IOMMU */
};

/* OLI_SLOT_NONE: machine memory, @addr is a pointer in this process. */
struct oli_span {
	u64 addr; /* in the process of @slot */
	u64 len;
	u64 pa; /* of the first byte; of the others too only if @cipher */
	u32 gen; /* of @slot */
	u16 slot;
	bool cipher;
};

struct oli_bus_tx {
	struct oli_machine *m;
	struct oli_bus_id id;
	struct oli_xlate x;
	bool translated; /* its addresses are IOVAs */
	bool entered;	 /* @x is good */
};

/*
 * Begin a transaction; spans are good until the end. A device without address space
 * on a machine with IOMMU: every resolve is a fault. Never fails.
 */
void oli_bus_begin(struct oli_machine *m, const struct oli_bus_id *id, struct oli_bus_tx *tx);
void oli_bus_end(struct oli_bus_tx *tx);

/*
 * [@dma, @dma + @len) for @access (OLI_ACCESS_*) as at most @max spans, neighbours in one
 * process merged. *@done: bytes that they cover, less than @len only if @max was reached.
 * Return: how many spans; -EFAULT (recorded), -EOVERFLOW.
 */
OLI_MUST_CHECK int oli_bus_resolve(struct oli_bus_tx *tx, struct olio_iova dma, u64 len, u32 access,
				   struct oli_span *spans, u32 max, u64 *done);

/*
 * Copy between spans and a buffer of this process. Process memory is touched by
 * system calls only; machine memory in whole aligned words where there are some, each
 * after the one before. The way to another process must be known (oli_peer_way()
 * before oli_bus_begin(), for it may block).
 * Return: 0; -EFAULT the program unmapped it; -ESRCH; -EINVAL the spans are shorter than @len.
 */
OLI_MUST_CHECK int oli_span_copy(struct oli_machine *m, const struct oli_span *spans, u32 n,
				 void *buf, u64 len, bool write);

/* begin, resolve, copy, end. Nothing is copied unless all of it resolves. */
OLI_MUST_CHECK int oli_bus_read(struct oli_machine *m, const struct oli_bus_id *id,
				struct olio_iova dma, void *buf, u64 len);
OLI_MUST_CHECK int oli_bus_write(struct oli_machine *m, const struct oli_bus_id *id,
				 struct olio_iova dma, const void *buf, u64 len);

/*
 * What the CPU's caches do when ownership moves, on a machine where it matters: write
 * back (memory to shadow) or invalidate (shadow to memory) the lines that hold
 * [@pa, @pa + @len). Lines are whole: what else lies in them is carried along.
 * Our own frames only. Nothing for memory without shadow.
 */
void oli_cache_clean(struct oli_machine *m, struct olio_pa pa, u64 len);
void oli_cache_invalidate(struct oli_machine *m, struct olio_pa pa, u64 len);

#endif
