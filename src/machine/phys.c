// SPDX-License-Identifier: MIT
/*
 * What is at a physical address, and the part of the machine that knows it.
 *
 * A look-up in RAM is two loads: the word of the block, which says whose it is and
 * where its frames are described, and the frame's own. The block's word is read
 * again behind them: had its owner given the block back in between, the entry that
 * was read could be anything.
 *
 * Addresses come from page tables and devices and may be any number: each region is
 * found by subtracting its start, which wraps to a large number for what lies below.
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "machine/phys_int.h"

static bool find_frame(struct oli_machine *m, struct olio_pa pa, struct oli_phys *out)
{
	struct oli_phys_root *r = oli_phys_root(m);
	u64 off = pa.v - OLI_PA_RAM, in_page = off & (OLI_PAGE_SIZE - 1), word, page;
	_Atomic u64 *at = &r->block[off >> OLI_BLOCK_SHIFT];
	struct oli_frame *f;
	u32 shadow;

	word = atomic_load_explicit(at, memory_order_acquire);
	if (!word)
		return false;
	f = (struct oli_frame *)oli_word_ptr(m, word) +
	    (off >> OLI_PAGE_SHIFT & (OLI_BLOCK_FRAMES - 1));
	page = atomic_load_explicit(&f->page, memory_order_acquire);
	shadow = __atomic_load_n(&f->shadow, __ATOMIC_ACQUIRE);
	if (!(page & OLI_FRAME_USED) || atomic_load_explicit(at, memory_order_relaxed) != word)
		return false;
	out->kind = OLI_PHYS_FRAME;
	out->run = OLI_PAGE_SIZE - in_page;
	out->slot = oli_word_slot(word);
	out->flags = (u32)(page & (OLI_PAGE_SIZE - 1));
	out->va = (page & ~(u64)(OLI_PAGE_SIZE - 1)) + in_page;
	if (shadow)
		out->shadow = oli_ptr(m, m->shm->heap_off + ((u64)(shadow - 1) << OLI_PAGE_SHIFT) +
						 in_page);
	return true;
}

static bool find_low(struct oli_machine *m, struct olio_pa pa, struct oli_phys *out)
{
	u64 off = pa.v - OLI_PA_LOW, in_unit = off & (OLI_LOW_UNIT - 1);
	u64 word = atomic_load_explicit(&oli_phys_root(m)->low[off >> OLI_LOW_SHIFT],
					memory_order_acquire);

	if (!word)
		return false;
	out->kind = OLI_PHYS_LOW;
	out->run = OLI_LOW_UNIT - in_unit;
	out->slot = oli_word_slot(word);
	out->cpu = (u8 *)oli_word_ptr(m, word) + in_unit;
	return true;
}

/* The BAR that contains @pa, or NULL. */
static const struct oli_phys_bar *bar_at(struct oli_machine *m, u64 pa)
{
	struct oli_phys_root *r = oli_phys_root(m);
	u32 lo = 0, hi = r->nr_bars;

	while (lo < hi) {
		u32 mid = (lo + hi) / 2;
		const struct oli_phys_bar *b = &r->bar[mid];

		if (pa - b->pa < b->len)
			return b;
		if (pa < b->pa)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

static bool find_bar(struct oli_machine *m, struct olio_pa pa, struct oli_phys *out)
{
	const struct oli_phys_bar *b = bar_at(m, pa.v);

	if (!b)
		return false;
	out->kind = OLI_PHYS_BAR;
	out->run = b->len - (pa.v - b->pa);
	out->slot = OLI_SLOT_NONE;
	out->cpu = oli_ptr(m, b->off + (pa.v - b->pa));
	out->node = b->node;
	out->bar = b->bar;
	return true;
}

bool oli_phys_find(struct oli_machine *m, struct olio_pa pa, struct oli_phys *out)
{
	memset(out, 0, sizeof(*out));
	if (pa.v - OLI_PA_RAM < m->shm->desc.ram_size)
		return find_frame(m, pa, out);
	if (pa.v - OLI_PA_LOW < OLI_PA_LOW_SIZE)
		return find_low(m, pa, out);
	if (pa.v - OLI_PA_FILE < m->size) {
		out->kind = OLI_PHYS_FILE;
		out->run = m->size - (pa.v - OLI_PA_FILE);
		out->slot = OLI_SLOT_NONE;
		out->cpu = oli_ptr(m, pa.v - OLI_PA_FILE);
		return true;
	}
	return find_bar(m, pa, out);
}

bool oli_bus_to_pa(struct oli_machine *m, u64 bus, struct olio_pa *pa, u8 *node, u8 *bar)
{
	/* Wraps for what is no bus address: no BAR is there. */
	const struct oli_phys_bar *b = bar_at(m, bus + m->shm->desc.bus_offset);

	if (!b)
		return false;
	pa->v = bus + m->shm->desc.bus_offset;
	*node = b->node;
	*bar = b->bar;
	return true;
}

/* ---- the part ---- */

/* In order of addresses, by insertion. */
static void list_bars(struct oli_phys_root *r, const struct oli_desc *d)
{
	for (u8 n = 0; n < d->nr_nodes; n++)
		for (u8 i = 0; i < OLI_BARS; i++) {
			const struct oli_bar *b = &d->node[n].bar[i];
			u32 at = r->nr_bars;

			if (!b->len)
				continue;
			for (; at && r->bar[at - 1].pa > b->pa; at--)
				r->bar[at] = r->bar[at - 1];
			r->bar[at] = (struct oli_phys_bar){
				.pa = b->pa, .len = b->len, .off = b->off, .node = n, .bar = i};
			r->nr_bars++;
		}
}

static int phys_init(struct oli_machine *m, void *root)
{
	struct oli_phys_root *r = root;

	oli_lock_init(&r->lock);
	r->nr_blocks = (u32)(m->shm->desc.ram_size >> OLI_BLOCK_SHIFT);
	list_bars(r, &m->shm->desc);
	return 0;
}

static int phys_attach(struct oli_machine *m, void *root, void **local)
{
	(void)root;
	return oli_frames_attach(m, local);
}

static void phys_detach(struct oli_machine *m, void *root, void *local)
{
	(void)root;
	m->local[OLI_PART_PHYS] = NULL;
	oli_frames_detach(local);
}

static void forget_owner(_Atomic u64 *word, u64 n, u16 slot)
{
	for (u64 i = 0; i < n; i++)
		if ((atomic_load_explicit(&word[i], memory_order_relaxed) & OLI_WORD_OWNER) ==
		    slot + 1u)
			atomic_store(&word[i], 0);
}

/* The words only: pages behind them are tagged with @slot and go with the heap's. */
static void phys_reap(struct oli_machine *m, void *root, u16 slot)
{
	struct oli_phys_root *r = root;

	(void)m;
	(void)!oli_lock(&r->lock);
	forget_owner(r->block, r->nr_blocks, slot);
	forget_owner(r->low, OLI_LOW_UNITS, slot);
	oli_unlock(&r->lock);
}

const struct oli_part oli_phys_part = {
	.name = "phys",
	.root_size = sizeof(struct oli_phys_root),
	.init = phys_init,
	.attach = phys_attach,
	.detach = phys_detach,
	.reap = phys_reap,
};
