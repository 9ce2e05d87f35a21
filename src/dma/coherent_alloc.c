// SPDX-License-Identifier: MIT
/*
 * Memory that CPU and device may use at once: rings and descriptors.
 *
 * It is low memory, which every device of any machine can reach and which no cache and
 * no encryption stands before. Behind an IOMMU it is mapped for both directions,
 * else its DMA address is its physical one plus the machine's offset.
 *
 * Write-combining memory has a store buffer between CPU and device: the program is
 * given pages of its own, and they meet the device's at barriers.
 *
 *   wmb   bytes that differ from those of the last barrier are the CPU's: stored
 *   rmb   bytes that do not are the device's: loaded
 *
 *   cpu    what the program reads and writes
 *   seen   what it held at the last barrier
 *   mem    what the device reads and writes
 *
 * A processor may drain such a buffer at any time; this one never does by itself, so a
 * forgotten barrier always shows. (A byte overwritten with the value it had is no
 * difference, and so no store.)
 *
 * All allocations of the process are in one list, under one lock that is taken last.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/fault.h"
#include "dma/check.h"
#include "dma/root.h"

struct oli_allocation {
	struct oli_allocation *next;
	struct olio_dev *dev;
	u64 size; /* as asked for */
	u64 bytes; /* whole granules */
	struct olio_pa pa;
	struct olio_iova dma;
	u8 *mem, *cpu, *seen; /* @seen: NULL unless write-combining */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct oli_allocation *all;
static _Atomic u32 combining; /* of them, those with a store buffer */

/* ---- the store buffer ---- */

static int combine(struct oli_allocation *a)
{
	void *cpu = OLI_FAULT() ? MAP_FAILED
				: mmap(NULL, a->bytes, PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (cpu == MAP_FAILED)
		return -ENOMEM;
	a->seen = OLI_FAULT() ? NULL : calloc(1, a->bytes);
	if (!a->seen) {
		munmap(cpu, a->bytes);
		return -ENOMEM;
	}
	a->cpu = cpu;
	atomic_fetch_add(&combining, 1);
	return 0;
}

static void store(struct oli_allocation *a)
{
	for (u64 i = 0; i < a->bytes; i++) {
		if (a->cpu[i] == a->seen[i])
			continue;
		a->seen[i] = a->cpu[i];
		__atomic_store_n(&a->mem[i], a->seen[i], __ATOMIC_RELAXED);
	}
}

static void load(struct oli_allocation *a)
{
	for (u64 i = 0; i < a->bytes; i++) {
		if (a->cpu[i] != a->seen[i])
			continue;
		a->seen[i] = __atomic_load_n(&a->mem[i], __ATOMIC_RELAXED);
		/* Untouched memory stays untouched: the program may be reading it. */
		if (a->cpu[i] != a->seen[i])
			a->cpu[i] = a->seen[i];
	}
}

static void at_barrier(struct olio_dev *dev, void (*act)(struct oli_allocation *a))
{
	if (!atomic_load_explicit(&combining, memory_order_relaxed))
		return;
	pthread_mutex_lock(&lock);
	for (struct oli_allocation *a = all; a; a = a->next)
		if (a->dev == dev && a->seen)
			act(a);
	pthread_mutex_unlock(&lock);
}

bool oli_wc_dirty(struct olio_dev *dev, const void **cpu)
{
	struct oli_allocation *a;

	if (!atomic_load_explicit(&combining, memory_order_relaxed))
		return false;
	pthread_mutex_lock(&lock);
	for (a = all; a; a = a->next)
		if (a->dev == dev && a->seen && memcmp(a->cpu, a->seen, a->bytes))
			break;
	if (a)
		*cpu = a->cpu;
	pthread_mutex_unlock(&lock);
	return a != NULL;
}

void olio_dma_wmb(struct olio_dev *dev)
{
	at_barrier(dev, store);
	atomic_thread_fence(memory_order_release);
}

void olio_dma_rmb(struct olio_dev *dev)
{
	atomic_thread_fence(memory_order_acquire);
	at_barrier(dev, load);
}

/* ---- take and give ---- */

/* The DMA address of the memory at a->pa. */
static int map(struct olio_dev *dev, struct oli_allocation *a)
{
	int err;

	if (dev->reach == OLI_REACH_TRANSLATED) {
		err = oli_domain_map_new(dev->domain, a->pa, a->bytes,
					 oli_prot(dev, OLIO_BIDIRECTIONAL, 0, false), dev->mask,
					 &a->dma);
		if (!err)
			return 0;
		return oli_refuse(err == -ENOSPC ? OLIO_REASON_IOVA_FULL : OLIO_REASON_NO_MEMORY,
				  "0x%" PRIx64 " bytes for device %s", a->bytes, dev->node->name);
	}
	a->dma.v = a->pa.v + (dev->reach == OLI_REACH_DIRECT ? dev->desc->dma_offset : 0);
	if (oli_range_inside(a->dma.v, a->bytes - 1, 0, dev->mask))
		return 0;
	return oli_refuse(OLIO_REASON_MASK,
			  "0x%" PRIx64 " bytes at DMA address 0x%" PRIx64
			  ", the mask of %s is 0x%" PRIx64,
			  a->bytes, a->dma.v, dev->node->name, dev->mask);
}

static void unmap(struct oli_allocation *a)
{
	struct oli_domain *d = a->dev->domain;

	if (a->dev->reach != OLI_REACH_TRANSLATED)
		return;
	/* Strictly, before the memory is somebody else's. */
	(void)oli_domain_unmap(d, (struct olio_iova_range){a->dma, {a->dma.v + (a->bytes - 1)}});
	(void)!oli_domain_free(d, a->dma, a->bytes);
}

static void release(struct oli_allocation *a)
{
	unmap(a);
	if (a->seen) {
		munmap(a->cpu, a->bytes);
		free(a->seen);
		atomic_fetch_sub(&combining, 1);
	}
	oli_low_free(a->dev->m, a->pa, a->bytes);
	free(a);
}

static int acquire(struct olio_dev *dev, struct oli_allocation *a, unsigned int flags)
{
	void *mem;
	int err = oli_low_alloc(dev->m, a->bytes, &a->pa, &mem);

	if (err)
		return oli_refuse(err == -ENOSPC ? OLIO_REASON_RAM_FULL : OLIO_REASON_NO_MEMORY,
				  "0x%" PRIx64 " bytes of low memory", a->bytes);
	a->mem = a->cpu = mem;
	err = map(dev, a);
	if (!err && flags & OLIO_ALLOC_WC && combine(a)) {
		unmap(a);
		err = oli_refuse(OLIO_REASON_NO_MEMORY, "a store buffer of 0x%" PRIx64 " bytes",
				 a->bytes);
	}
	if (err)
		oli_low_free(dev->m, a->pa, a->bytes);
	return err;
}

static int alloc(struct olio_dev *dev, u64 size, unsigned int flags, struct oli_allocation **out)
{
	struct oli_allocation *a;
	int err;

	if (!oli_dev_live(dev))
		return oli_dev_closed(dev);
	if (!size || flags & ~OLIO_ALLOC_WC)
		return oli_refuse(OLIO_REASON_BAD_ARGUMENT, "0x%" PRIx64 " bytes, flags 0x%x", size,
				  flags);
	if (size > OLI_PA_LOW_SIZE)
		return oli_refuse(OLIO_REASON_RAM_FULL, "0x%" PRIx64 " bytes of low memory", size);
	a = OLI_FAULT() ? NULL : calloc(1, sizeof(*a));
	if (!a)
		return oli_refuse(OLIO_REASON_NO_MEMORY, "for a note of the allocation");
	a->dev = dev;
	a->size = size;
	a->bytes = oli_align_up(size, dev->granule_mask + 1);
	err = acquire(dev, a, flags);
	if (err)
		free(a);
	else
		*out = a;
	return err;
}

/* In the list; the caller has the lock. */
static struct oli_allocation **place_of(struct olio_dev *dev, u64 size, const void *cpu,
					struct olio_iova dma)
{
	struct oli_allocation **p = &all;

	while (*p && !((*p)->dev == dev && (*p)->size == size && (*p)->cpu == cpu &&
		       (*p)->dma.v == dma.v))
		p = &(*p)->next;
	return p;
}

int olio_dma_alloc(struct olio_dev *dev, uint64_t size, unsigned int flags, void **cpu,
		   struct olio_iova *dma)
{
	struct oli_op op = {.family = OLI_ALLOC,
			    .len = size,
			    .dir = OLIO_BIDIRECTIONAL,
			    .site = __builtin_return_address(0)};
	struct oli_allocation *a = NULL;
	int err = alloc(dev, size, flags, &a);

	if (err) {
		OLI_CHECK(dev, oli_check_map_failed(dev, &op, err));
		return err;
	}
	*cpu = a->cpu;
	*dma = op.dma = a->dma;
	op.run = (struct olio_run){.pa = a->pa, .len = size};
	op.object = a->cpu;
	OLI_CHECK(dev, oli_check_mapped(dev, &op));
	pthread_mutex_lock(&lock);
	a->next = all;
	all = a;
	pthread_mutex_unlock(&lock);
	return 0;
}

int olio_dma_free(struct olio_dev *dev, uint64_t size, void *cpu, struct olio_iova dma)
{
	struct oli_op op = {.family = OLI_ALLOC,
			    .dma = dma,
			    .len = size,
			    .dir = OLIO_BIDIRECTIONAL,
			    .site = __builtin_return_address(0)};
	struct oli_allocation **p, *a;

	pthread_mutex_lock(&lock);
	p = place_of(dev, size, cpu, dma);
	a = *p;
	if (a)
		*p = a->next;
	pthread_mutex_unlock(&lock);
	OLI_CHECK(dev, oli_check_unmap(dev, &op, a ? 0 : -ENOENT));
	if (!a)
		return oli_refuse(OLIO_REASON_NOT_MAPPED,
				  "0x%" PRIx64 " bytes at 0x%" PRIx64 " are no allocation for %s",
				  size, dma.v, dev->node->name);
	release(a);
	return 0;
}

void oli_allocs_drop(struct olio_dev *dev)
{
	struct oli_allocation **p, *a;

	for (;;) {
		pthread_mutex_lock(&lock);
		for (p = &all; *p && (*p)->dev != dev;)
			p = &(*p)->next;
		a = *p;
		if (a)
			*p = a->next;
		pthread_mutex_unlock(&lock);
		if (!a)
			return;
		release(a);
	}
}

bool oli_is_dma_alloc(struct oli_machine *m, struct olio_pa pa)
{
	struct oli_allocation *a;
	struct oli_phys at;
	u64 va = 0;

	/* By the memory itself, or by a pin of the program's pointer. */
	if (oli_phys_find(m, pa, &at) && at.kind == OLI_PHYS_FRAME && at.slot == m->slot)
		va = at.va;
	pthread_mutex_lock(&lock);
	for (a = all; a; a = a->next)
		if (a->dev->m == m &&
		    (oli_range_inside(pa.v, 1, a->pa.v, a->bytes) ||
		     (va && oli_range_inside(va, 1, (u64)(uintptr_t)a->cpu, a->bytes))))
			break;
	pthread_mutex_unlock(&lock);
	return a != NULL;
}
