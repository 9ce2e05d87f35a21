// SPDX-License-Identifier: MIT
/*
 * Registered memory of a device that reaches memory by DMA address.
 *
 *   pages of the program --pin--> frames --map list--> DMA segments --> page list
 *
 * Whole pages are pinned and mapped, as they are for hardware: what shares the first
 * and last page with the region is exposed to the device, which trusts itself to
 * keep to the region's length. The mapping must be coherent, because a program with
 * a registered region never gives it back between transfers. What the machine
 * cannot map so is refused here, with the reason on stderr and in the records.
 *
 * The page list is cut in the largest blocks that segments and key address allow
 * (S12), and lies in the machine: whoever rings a doorbell walks it. Pins and map are this
 * process's; the table of them is not in the file. What a killed process held is
 * freed by owner tags: address space, then frames, then heap pages.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/why.h"
#include "dma/dev.h"
#include "mem/src.h"
#include "rdma/int.h"

/* Blocks of 4 KiB … 1 GiB, as the adapters of the field have them. */
#define BLOCK_SIZES ((2ull << 30) - (1ull << 12))

/* What holds one region's memory. */
struct oli_umem {
	struct olio_mem *mem;
	struct olio_map *map;
};

void oli_umem_attach(struct oli_umem_local *l)
{
	pthread_mutex_init(&l->lock, NULL);
}

void oli_umem_close(struct oli_umem_local *l)
{
	for (u32 i = 0; i < OLI_DEVICES; i++) {
		olio_dev_close(l->dev[i]);
		l->dev[i] = NULL;
	}
}

void oli_umem_detach(struct oli_umem_local *l)
{
	oli_umem_close(l);
	for (u32 i = 0; i < l->room; i++)
		free(l->umem[i]);
	free(l->umem);
	pthread_mutex_destroy(&l->lock);
}

/* ---- what this process keeps ---- */

static int device(struct oli_machine *m, u32 index, struct olio_dev **dev)
{
	struct oli_umem_local *l = oli_umem_local(m);
	int err = 0;

	if (!l)
		return -EINVAL;
	pthread_mutex_lock(&l->lock);
	if (!l->dev[index])
		err = oli_dev_open(m, m->shm->devices[index].name, &l->dev[index]);
	*dev = l->dev[index];
	pthread_mutex_unlock(&l->lock);
	return err;
}

/* Room for what region @id will hold. The table's lock is held. */
static int table_grow(struct oli_umem_local *l, u32 id)
{
	u32 room = l->room ? l->room : 64;
	struct oli_umem **bigger;

	if (id < l->room)
		return 0;
	while (room <= id)
		room *= 2;
	bigger = OLI_FAULT() ? NULL : realloc(l->umem, room * sizeof(struct oli_umem *));
	if (!bigger)
		return -ENOMEM;
	for (u32 i = l->room; i < room; i++)
		bigger[i] = NULL;
	l->umem = bigger;
	l->room = room;
	return 0;
}

static int keep(struct oli_machine *m, u32 id, struct oli_umem *u)
{
	struct oli_umem_local *l = oli_umem_local(m);
	int err;

	pthread_mutex_lock(&l->lock);
	err = table_grow(l, id);
	if (!err)
		l->umem[id] = u;
	pthread_mutex_unlock(&l->lock);
	return err;
}

static struct oli_umem *take(struct oli_machine *m, u32 id)
{
	struct oli_umem_local *l = oli_umem_local(m);
	struct oli_umem *u = NULL;

	if (!l)
		return NULL;
	pthread_mutex_lock(&l->lock);
	if (id < l->room) {
		u = l->umem[id];
		l->umem[id] = NULL;
	}
	pthread_mutex_unlock(&l->lock);
	return u;
}

/* ---- refusals ---- */

static _Atomic u64 said; /* bit n: reason n was said on stderr */

/* The program gets an errno and no more: tell its user why. */
static void tell(struct oli_machine *m, u32 dev, const struct oli_mr_req *req)
{
	const struct olio_why *why = olio_why();
	const char *word = olio_reason_name(why->reason);
	struct oli_record r = {.want_start = req->start, .want_len = req->length};

	snprintf(r.text, sizeof(r.text), "ibv_reg_mr on %.32s refused: %s: %s",
		 m->shm->devices[dev].name, word, why->text);
	oli_record_add(m, m->slot, &r);
	if (!(atomic_fetch_or(&said, 1ull << why->reason) & 1ull << why->reason))
		oli_warn("%s", r.text);
}

/* Only what the machine could not do: a program that passes wrong memory knows by EFAULT. */
static int judge(struct oli_machine *m, u32 dev, const struct oli_mr_req *req, int err)
{
	if (err == -EFAULT || err == -EINVAL)
		return err;
	tell(m, dev, req);
	return err == -ENOSPC ? -ENOMEM : err;
}

/* ---- mapping ---- */

static int map_pages(struct oli_machine *m, struct olio_dev *dev, const struct oli_mr_req *req,
		     struct oli_umem *u)
{
	u64 first = req->start & ~(OLI_PAGE_SIZE - 1);
	u64 bytes = oli_align_up(req->start + req->length, OLI_PAGE_SIZE) - first;
	bool write = req->access & IBV_ACCESS_LOCAL_WRITE;
	const struct olio_run *runs;
	size_t n;
	int err;

	err = oli_mem_pin(m, (void *)(uintptr_t)first, bytes, write ? 0 : OLIO_PIN_READ_ONLY,
			  &u->mem);
	if (err)
		return err;
	OLI_CRASH_POINT();
	runs = olio_mem_runs(u->mem, &n);
	err = olio_map_list(dev, runs, n, write ? OLIO_BIDIRECTIONAL : OLIO_TO_DEVICE,
			    OLIO_ATTR_REQUIRE_COHERENT, &u->map);
	if (err) {
		oli_mem_put(u->mem);
		u->mem = NULL;
	}
	OLI_CRASH_POINT();
	return err;
}

/* A mapping that cannot be cut in blocks is of no use to the device. */
static int no_blocks(const struct oli_mr_req *req)
{
	return oli_refuse(OLIO_REASON_SEGMENTS,
			  "%llu bytes at 0x%llx fit no page size of the device",
			  (unsigned long long)req->length, (unsigned long long)req->start);
}

static int list_alloc(struct oli_machine *m, struct oli_mr *mr)
{
	int err = 0;

	if (mr->nr_blocks > OLI_MR_FEW)
		err = oli_heap_alloc(m, mr->nr_blocks * sizeof(u64), m->slot, &mr->plist_off);
	else
		mr->plist_off = (u64)((u8 *)mr->few - m->base);
	if (!err)
		return 0;
	mr->plist_off = 0;
	return oli_refuse(OLIO_REASON_NO_MEMORY, "a page list of %llu blocks",
			  (unsigned long long)mr->nr_blocks);
}

static void list_free(struct oli_machine *m, struct oli_mr *mr)
{
	u64 off = mr->plist_off;

	mr->plist_off = 0;
	OLI_CRASH_POINT();
	if (mr->nr_blocks > OLI_MR_FEW)
		oli_heap_free(m, off, mr->nr_blocks * sizeof(u64));
}

static int make_list(struct oli_machine *m, const struct oli_mr_req *req, const struct oli_umem *u,
		     struct oli_mr *mr)
{
	struct olio_block_iter it;
	const struct olio_seg *segs;
	u64 size, i = 0, *list;
	size_t n;
	int err;

	segs = olio_map_segs(u->map, &n);
	size = olio_best_page_size(segs, n, req->iova & ~(OLI_PAGE_SIZE - 1), BLOCK_SIZES);
	if (!size)
		return no_blocks(req);
	mr->nr_blocks = olio_block_count(segs, n, size);
	mr->page_shift = (u32)__builtin_ctzll(size);
	err = list_alloc(m, mr);
	if (err)
		return err;
	list = oli_ptr(m, mr->plist_off);
	olio_block_first(&it, segs, n, size);
	for (struct olio_iova block; i < mr->nr_blocks && olio_block_next(&it, &block);)
		list[i++] = block.v;
	OLI_CRASH_POINT();
	return 0;
}

static void drop(struct oli_umem *u)
{
	olio_map_unmap(u->map);
	OLI_CRASH_POINT();
	oli_mem_put(u->mem);
	free(u);
}

int oli_umem_get(struct oli_machine *m, u32 index, const struct oli_mr_req *req, struct oli_mr *mr)
{
	struct oli_umem *u;
	struct olio_dev *dev;
	int err = device(m, index, &dev);

	if (err)
		return judge(m, index, req, err);
	u = OLI_FAULT() ? NULL : calloc(1, sizeof(*u));
	if (!u)
		return -ENOMEM;
	err = map_pages(m, dev, req, u);
	if (!err)
		err = make_list(m, req, u, mr);
	if (err) {
		err = judge(m, index, req, err);
		drop(u);
		return err;
	}
	mr->bus = dev->id;
	err = keep(m, mr->obj.id, u);
	if (err) {
		list_free(m, mr);
		drop(u);
	}
	return err;
}

void oli_umem_put(struct oli_machine *m, struct oli_mr *mr)
{
	struct oli_umem *u = take(m, mr->obj.id);

	if (u)
		drop(u);
	list_free(m, mr);
}
