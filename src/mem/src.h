/* SPDX-License-Identifier: MIT */
/*
 * CONTRACT of a memory source: where typed runs come from.
 *
 * A source knows its kind of memory once, when it is pinned, and says it in the
 * runs. What all sources share (slices, lengths, pointers) is in mem.c.
 */
#ifndef OLI_MEM_SRC_H
#define OLI_MEM_SRC_H

#include "machine/phys.h"
#include "olio/mem.h"

struct oli_src_ops {
	const char *name;
	/* Give frames, mappings, whatever the source took, back. The runs are freed by mem.c. */
	void (*put)(struct olio_mem *mem);
	/* Open (@share) or close its pages to devices; as olio_mem_share(). */
	int (*share)(struct olio_mem *mem, bool share);
};

/* A source embeds it. */
struct olio_mem {
	const struct oli_src_ops *ops;
	struct oli_machine *m;
	struct olio_run *runs;
	u64 *ends; /* of each run: the offset in the memory that follows it */
	size_t nruns, room;
	u64 len;
	u8 *cpu;     /* the first byte in this process */
	u32 flags;   /* OLIO_PIN_* */
	u32 traits;  /* OLI_TRAIT_* */
	const void *site; /* who pinned it */
};

/* What kind of mapping process memory lies in, for the checker (class 10). */
enum {
	OLI_TRAIT_STACK = 1 << 0,
	OLI_TRAIT_TEXT = 1 << 1,   /* executable */
	OLI_TRAIT_RODATA = 1 << 2, /* file-backed, private, not writable */
};

/* Append a run, merging it with the one before if they touch and are alike. Return: 0, -ENOMEM. */
OLI_MUST_CHECK int oli_src_add(struct olio_mem *mem, struct olio_pa pa, u64 len,
			       enum olio_mem_kind kind, u32 provider);

/*
 * The public calls, on the machine itself. Context: as those. -EINVAL also in a forked
 * child, whose pages are not the machine's, and for an observer.
 */
OLI_MUST_CHECK int oli_mem_pin(struct oli_machine *m, void *addr, u64 len, unsigned int flags,
			       struct olio_mem **out);
OLI_MUST_CHECK int oli_mem_from_fd(struct oli_machine *m, int fd, u64 offset, u64 len,
				   unsigned int flags, struct olio_mem **out);
OLI_MUST_CHECK int oli_mem_from_bar(struct oli_machine *m, u8 node, unsigned int bar, u64 offset,
				    u64 len, struct olio_mem **out);
/* NULL is nothing. In a forked child the frames stay the parent's. */
void oli_mem_put(struct olio_mem *mem);

/*
 * Make whole pages of this process present for reading, or writing too. Return: 0; 1 present,
 * but an old kernel did not say whether they can be written; -EACCES present, but not to be
 * written; -EFAULT.
 */
OLI_MUST_CHECK int oli_populate(u64 first, u64 bytes, bool write);

/* ---- pins (pin.c): pages of this process and their frames ---- */

/*
 * Pin the pages of [@va, @va + @len) (page-aligned both): a page that is pinned
 * already keeps its frame. @huge: 2 MiB pages, @va and @len aligned to them. @add is called
 * for each page or huge page in order, with the pins' lock held. On failure nothing is pinned.
 * @frame_flags: OLI_FRAME_PRIVATE, for pages that have no frame yet; OLI_FRAME_READ_ONLY
 * stays only as long as all who pin the page say it.
 * Return: 0; -ENOSPC, -ENOMEM; what @add returned.
 */
OLI_MUST_CHECK int oli_pin(struct oli_machine *m, u64 va, u64 len, bool huge, u32 frame_flags,
			   int (*add)(void *arg, struct olio_pa pa, u64 len), void *arg);
void oli_unpin(struct oli_machine *m, u64 va, u64 len);

#endif
