/* SPDX-License-Identifier: MIT */
/*
 * Physical memory of the machine: frames, low memory, BARs, and what is at an address.
 *
 *   frame   4 KiB of RAM, standing for a page of a process. The part of struct page
 *   block   512 frames, 2 MiB, aligned: what a process takes from the machine, and
 *           what stands for a huge page as a whole
 *   shadow  the device's view of a frame on a machine where devices do not see the
 *           CPU's caches; a page of the machine's heap
 *
 * Blocks are tagged with the slot that owns them, and their frame entries lie in
 * heap pages with the same tag: when a process dies all goes with it. A frame is
 * free when its entry is 0.
 *
 * Which block comes next is random, and so is the order of frames in it, unless
 * the description says linear: neighbours in a program must not be neighbours here.
 *
 * Concurrency: blocks are taken and given back under the part's robust lock;
 * frames by their owner under a process-local mutex. oli_phys_find() takes no
 * lock and may be called by any process at any time: it can find a frame whose
 * owner is just giving it back, which is why mappings are torn down first.
 */
#ifndef OLI_MACHINE_PHYS_H
#define OLI_MACHINE_PHYS_H

#include <stdatomic.h>

#include "machine/desc.h"
#include "machine/machine.h"

extern const struct oli_part oli_phys_part;
#define OLI_PART_PHYS 4

#define OLI_BLOCK_SHIFT 21
#define OLI_BLOCK_FRAMES 512

enum {
	OLI_FRAME_USED = 1 << 0,
	OLI_FRAME_PRIVATE = 1 << 1,   /* ciphertext for devices that are not trusted */
	OLI_FRAME_READ_ONLY = 1 << 2, /* the page cannot be written by its process */
};

struct oli_frame {
	_Atomic u64 page; /* address of the page in its process | OLI_FRAME_*; 0: free */
	_Atomic u32 pins;
	u32 shadow;	  /* heap page + 1; 0: none */
};

/*
 * A frame for the page at @va, with one pin. @shadow: make its shadow as well.
 * Return: 0, -ENOSPC no RAM left, -ENOMEM.
 */
OLI_MUST_CHECK int oli_frame_alloc(struct oli_machine *m, u64 va, u32 flags, bool shadow,
				   struct olio_pa *pa);
/* The 512 frames of a whole block, for the 2 MiB at @va (aligned): one pin each. */
OLI_MUST_CHECK int oli_frame_alloc_block(struct oli_machine *m, u64 va, u32 flags, bool shadow,
					 struct olio_pa *pa);
/* Free one frame of ours whatever its pins; of a block frame too. */
void oli_frame_free(struct oli_machine *m, struct olio_pa pa);
/* The entry of a frame that is in use, anybody's, or NULL. @pa is not trusted. */
struct oli_frame *oli_frame_get(struct oli_machine *m, struct olio_pa pa);
/* For usage and tests: frames in use by @slot. */
u64 oli_frames_used(struct oli_machine *m, u16 slot);

/*
 * @bytes (rounded up to 64 KiB) of zeroed contiguous low memory, tagged as ours. It
 * is machine memory: every process reaches it through its mapping.
 * Return: 0, -ENOSPC no low addresses, -ENOMEM.
 */
OLI_MUST_CHECK int oli_low_alloc(struct oli_machine *m, u64 bytes, struct olio_pa *pa, void **cpu);
void oli_low_free(struct oli_machine *m, struct olio_pa pa, u64 bytes);

enum oli_phys_kind { OLI_PHYS_NONE, OLI_PHYS_FRAME, OLI_PHYS_LOW, OLI_PHYS_BAR, OLI_PHYS_FILE };

/* What is at a physical address. */
struct oli_phys {
	enum oli_phys_kind kind;
	u64 run; /* bytes from the address to the end of this thing (a frame's end, a BAR's end) */
	/* FRAME: process and address there; the address is of the byte, not of the page */
	u16 slot;
	u32 flags; /* OLI_FRAME_* */
	u64 va;
	void *shadow; /* of the byte, in this process's mapping; NULL without */
	/* LOW, BAR, FILE: the byte in this process's mapping */
	void *cpu;
	/* BAR */
	u8 node, bar;
};

/* Return: true and what is there; false: nothing (kind NONE). @pa is not trusted. */
bool oli_phys_find(struct oli_machine *m, struct olio_pa pa, struct oli_phys *out);

/* RAM as this process has it, at hand for the question that each map asks. */
struct oli_ram {
	const _Atomic u64 *block; /* words */
	const u8 *base;		  /* of the machine's file: words have offsets into it */
	u64 size;
	u64 owner; /* in the words of our blocks */
};

#define OLI_WORD_OWNER (OLI_PAGE_SIZE - 1)

void oli_ram_init(struct oli_machine *m, struct oli_ram *ram);

/* ours.c: the same for more than one frame. */
bool oli_run_is(const struct oli_ram *ram, u64 off, u64 len, u32 care, u32 want);

/*
 * In block @word, which is ours: the entry of the frame at offset @off of RAM. The word is
 * to be read again behind what is read there, as in oli_phys_find().
 */
static inline const struct oli_frame *oli_frame_at(const struct oli_ram *ram, u64 word, u64 off)
{
	const u8 *entries = ram->base + (word & ~OLI_WORD_OWNER);

	return (const struct oli_frame *)(const void *)entries +
	       (off >> OLI_PAGE_SHIFT & (OLI_BLOCK_FRAMES - 1));
}

/*
 * Is [@pa, @pa + @len) frames of this process, and has each of them the OLI_FRAME_* of @want
 * and no other of @care? USED is in both. No address or length is trusted; none is empty.
 */
static inline bool oli_frames_are(const struct oli_ram *ram, struct olio_pa pa, u64 len, u32 care,
				  u32 want)
{
	u64 off = pa.v - OLI_PA_RAM, word, page;
	const _Atomic u64 *at;

	if (off >= ram->size)
		return false;
	if (len - 1 >= OLI_PAGE_SIZE - (off & (OLI_PAGE_SIZE - 1)))
		return oli_run_is(ram, off, len, care, want);
	at = &ram->block[off >> OLI_BLOCK_SHIFT];
	word = atomic_load_explicit(at, memory_order_acquire);
	if ((word & OLI_WORD_OWNER) != ram->owner)
		return false;
	page = atomic_load_explicit(&oli_frame_at(ram, word, off)->page, memory_order_acquire);
	return !(((u32)page ^ want) & care) &&
	       atomic_load_explicit(at, memory_order_relaxed) == word;
}

/* Which BAR contains bus address [@bus, @bus + 1)? Return: true, and its physical address. */
bool oli_bus_to_pa(struct oli_machine *m, u64 bus, struct olio_pa *pa, u8 *node, u8 *bar);

#endif
