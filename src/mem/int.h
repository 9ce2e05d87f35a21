/* SPDX-License-Identifier: MIT */
/* Between the files of mem/ that make sources of memory. */
#ifndef OLI_MEM_INT_H
#define OLI_MEM_INT_H

#include "mem/src.h"

/* ---- pin.c ---- */

struct oli_pins; /* this process's pages that are pinned in a machine */

/* NULL without memory. */
struct oli_pins *oli_pins_new(struct oli_machine *m);
void oli_pins_free(struct oli_pins *p);
/* NULL once the process has left the machine. */
struct oli_pins *oli_mem_pins(struct oli_machine *m);

/* Open or close pages to devices. Return: 0, -EBUSY (nothing is changed). */
OLI_MUST_CHECK int oli_pins_share(struct oli_machine *m, u64 va, u64 len, bool share);
/* For tests: pages that are pinned. */
u64 oli_pins_count(struct oli_machine *m);

/* ---- process.c ---- */

/* Memory of this process, with what to undo. */
struct oli_process_mem {
	struct olio_mem mem;
	u64 pin, pin_len; /* whole pages, whole huge pages */
	void *map; /* a mapping of ours, or NULL */
	u64 map_len;
};

/* May this process pin, and is the request one? Return: 0, or a refusal. */
OLI_MUST_CHECK int oli_src_check(struct oli_machine *m, u64 start, u64 len, unsigned int flags);
/*
 * A source of process memory with nothing pinned yet, if this process may pin and the request
 * is one. Return: 0, or a refusal.
 */
OLI_MUST_CHECK int oli_process_new(struct oli_machine *m, u64 start, u64 len, unsigned int flags,
				   struct oli_process_mem **out);
/* Pin @len bytes at @addr for @p, whose mem is zeroed. On failure @p holds nothing. */
OLI_MUST_CHECK int oli_process_pin(struct oli_process_mem *p, struct oli_machine *m, u64 addr,
				   u64 len, unsigned int flags);

/* ---- traits.c: OLI_TRAIT_* ---- */

struct oli_vma;
u32 oli_traits_of(const struct oli_vma *vma);
/* Of [@first, @last], beside what its mappings say. */
u32 oli_traits_of_thread(u64 first, u64 last);

#endif
