// SPDX-License-Identifier: MIT
/*
 * Low memory: contiguous, below 4 GiB, made of pages of the machine's heap.
 *
 * Units of 64 KiB; first fit, since few and large pieces are taken. A word is stored
 * per unit, after its memory is there; its owner's death frees words and memory alike.
 *
 * Without an IOMMU a device finds low memory at an offset. Where that would be the
 * place of interrupts nothing is given out.
 */
#include <errno.h>
#include <stdatomic.h>

#include "base/fault.h"
#include "machine/phys_int.h"

/* Would a device that wrote to unit @u raise an interrupt? */
static bool is_msi(const struct oli_desc *d, u64 u)
{
	u64 start = OLI_PA_LOW + (u << OLI_LOW_SHIFT) + d->dma_offset;

	return d->iommu == OLI_IOMMU_NONE && start <= OLI_MSI_LAST &&
	       start + OLI_LOW_UNIT - 1 >= OLI_MSI_START;
}

/* The first run of @n free units. The part's lock is held. */
static bool find_units(struct oli_machine *m, u64 n, u64 *first)
{
	struct oli_phys_root *r = oli_phys_root(m);
	u64 run = 0;

	for (u64 u = 0; u < OLI_LOW_UNITS; u++) {
		run = r->low[u] || is_msi(&m->shm->desc, u) ? 0 : run + 1;
		if (run == n) {
			*first = u + 1 - n;
			return true;
		}
	}
	return false;
}

int oli_low_alloc(struct oli_machine *m, u64 bytes, struct olio_pa *pa, void **cpu)
{
	struct oli_phys_root *r = oli_phys_root(m);
	u64 n, u, off;
	int err;

	if (!bytes)
		return -EINVAL;
	if (bytes > OLI_PA_LOW_SIZE)
		return -ENOSPC;
	if (OLI_FAULT())
		return -ENOMEM;
	n = oli_align_up(bytes, OLI_LOW_UNIT) >> OLI_LOW_SHIFT;
	(void)!oli_lock(&r->lock);
	err = find_units(m, n, &u) ? oli_heap_alloc(m, n << OLI_LOW_SHIFT, m->slot, &off) : -ENOSPC;
	for (u64 i = 0; i < n && !err; i++)
		atomic_store_explicit(&r->low[u + i],
				      oli_phys_word(off + (i << OLI_LOW_SHIFT), m->slot),
				      memory_order_release);
	oli_unlock(&r->lock);
	if (err)
		return err;
	pa->v = OLI_PA_LOW + (u << OLI_LOW_SHIFT);
	*cpu = oli_ptr(m, off);
	return 0;
}

void oli_low_free(struct oli_machine *m, struct olio_pa pa, u64 bytes)
{
	struct oli_phys_root *r = oli_phys_root(m);
	u64 u = (pa.v - OLI_PA_LOW) >> OLI_LOW_SHIFT, n, word;
	bool ours = true;

	if (!bytes || !oli_range_inside(pa.v, bytes, OLI_PA_LOW, OLI_PA_LOW_SIZE) ||
	    (pa.v & (OLI_LOW_UNIT - 1)))
		return;
	n = oli_align_up(bytes, OLI_LOW_UNIT) >> OLI_LOW_SHIFT;
	(void)!oli_lock(&r->lock);
	word = r->low[u];
	/* What oli_low_alloc() gave is one piece; anything else is left alone. */
	for (u64 i = 0; i < n && ours; i++)
		ours = oli_word_slot(word) == m->slot && word &&
		       r->low[u + i] == word + (i << OLI_LOW_SHIFT);
	for (u64 i = 0; i < n && ours; i++)
		atomic_store(&r->low[u + i], 0);
	oli_unlock(&r->lock);
	if (ours)
		oli_heap_free(m, word & ~OLI_WORD_OWNER, n << OLI_LOW_SHIFT);
}
