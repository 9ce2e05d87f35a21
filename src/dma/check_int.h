/* SPDX-License-Identifier: MIT */
/*
 * Inside the checker.
 *
 *   track   one live mapping: a one-shot map, a link, a piece of a list, an allocation
 *   shelf   tracks in ascending order of DMA address (one a device) or of physical
 *           address (one a process). They may overlap
 *   grave   what is left of a track that was unmapped: a ring, the oldest is forgotten
 *   tick    counts what happened, so that two things can be put in order
 *   line    a cache line of a track's memory; the unit of ownership
 *
 * All of it is this process's and is guarded by one mutex, which is taken in the hooks
 * and nowhere else; static functions and those below are called with it held. Under it
 * the site's and the domain's locks may be taken.
 *
 * A checker that cannot get memory for what it must remember goes blind: it says so
 * and is silent from then on, because what it would say could be wrong.
 */
#ifndef OLI_DMA_CHECK_INT_H
#define OLI_DMA_CHECK_INT_H

#include <assert.h>

#include "base/site.h"
#include "dma/check.h"
#include "dma/root.h"

#define OLI_GRAVES 1024
#define OLI_FAILED 32
#define OLI_KEPT 64

enum oli_line_state { OLI_LINE_DEVICE, OLI_LINE_CPU, OLI_LINE_NOBODY /* SKIP_CPU_SYNC */ };

struct oli_track {
	struct olio_dev *dev;
	enum oli_family family;
	enum olio_dir dir;
	u32 attrs;
	bool bounced;
	bool synced; /* two-step: by olio_iova_sync(); others: true */
	bool wrote;  /* the device did, since the CPU had it last */
	u64 dma, len;
	struct olio_run run;
	u64 va; /* of its first byte in this process; 0: it is not process memory */
	const void *object, *site;
	u64 tick;
	u64 said; /* classes that were reported of it */
	/* Ownership, if it has an effect here; else no lines. */
	u64 lines;
	u32 *hash; /* of each line's bytes, when it changed hands */
	u8 *state; /* enum oli_line_state | OLI_LINE_HASHED */
	u32 *guard; /* indices of its pages in the table of guards */
	u32 nr_guards;
};

#define OLI_LINE_STATE 3
#define OLI_LINE_HASHED 4

struct oli_shelf {
	struct oli_track **at;
	u32 n, room;
	u64 longest; /* no track on it was ever longer */
	bool by_pa;
};

struct oli_grave {
	struct olio_dev *dev;
	enum oli_family family;
	u64 dma, len, tick;
	const void *object, *made, *ended;
	const void *heir; /* of its IOVAs, had they not been kept */
	bool closed;	  /* it ended with its device */
};

struct oli_failed {
	struct olio_dev *dev;
	u64 dma, len, tick; /* dma: of a link; 0 unknown */
	u64 pa;
	const void *object, *site;
};

/* Memory that should not be mapped (class 10). */
struct oli_bad_mem {
	const struct olio_mem *mem;
	const void *site;
	struct oli_bad_mem *next;
};

struct oli_check_local {
	pthread_mutex_t lock;
	struct oli_shelf by_pa;
	u64 tick;
	u32 allocs; /* tracks of family ALLOC */
	u32 next_grave, next_failed;
	struct oli_grave grave[OLI_GRAVES];
	struct oli_failed failed[OLI_FAILED];
	struct oli_bad_mem *bad;
};

#define OLI_LEAVING 16

/* IOVAs that were given back and are kept out of use, or are about to be. */
struct oli_kept {
	struct olio_iova iova;
	u64 size;
};

/* Of a device. */
struct oli_check {
	struct oli_check_local *local;
	struct oli_shelf by_dma;
	struct oli_kept kept[OLI_KEPT]; /* a ring */
	u32 next_kept, nr_kept;
	struct oli_kept leaving[OLI_LEAVING]; /* what hooks saw go; size 0: none */
	u32 next_leaving;
	u64 kept_bytes;
	bool blind;
	bool snoop_said;
};

static inline struct oli_check_local *oli_check_local(const struct oli_machine *m)
{
	struct oli_dma_local *local = oli_dma_local(m);

	return local ? local->check : NULL;
}

/* Report once of a track and class. */
#define oli_say_once(t, class_, ...)                                                               \
	do {                                                                                       \
		if (!((t)->said >> (class_) & 1)) {                                                \
			(t)->said |= 1ull << (class_);                                             \
			oli_misuse((t)->dev, class_, __VA_ARGS__);                                 \
		}                                                                                  \
	} while (0)

/* ---- check_track.c ---- */

static inline u64 oli_key(const struct oli_shelf *s, const struct oli_track *t)
{
	return s->by_pa ? t->run.pa.v : t->dma;
}

OLI_MUST_CHECK int oli_shelf_add(struct oli_shelf *s, struct oli_track *t);
void oli_shelf_remove(struct oli_shelf *s, struct oli_track *t);
/*
 * Tracks that touch [@start, @start + @len), in ascending order: *@pos is 0 at first. NULL at
 * the end. Ranges do not wrap: tracks are what was mapped, and @len is cut at the top.
 */
struct oli_track *oli_shelf_next(const struct oli_shelf *s, u64 start, u64 len, u32 *pos);
/* A track that holds byte @at, or NULL. */
struct oli_track *oli_shelf_find(const struct oli_shelf *s, u64 at);

/* On both shelves. NULL: no memory; the checker is blind. */
struct oli_track *oli_track_new(struct olio_dev *dev, const struct oli_op *op);
/* Off both, and buried. @ended: where. */
void oli_track_end(struct oli_track *t, const void *ended, bool closed);
/* The newest grave of @dev that touches the range, or NULL. */
struct oli_grave *oli_grave_find(struct oli_check_local *l, const struct olio_dev *dev, u64 dma,
				 u64 len);
/* The newest failed map that a use of @len bytes at @dma, after @tick, can mean. */
struct oli_failed *oli_failed_find(struct oli_check_local *l, const struct olio_dev *dev, u64 dma,
				   u64 len, u64 tick, bool exact);
void oli_check_blind(struct olio_dev *dev);

/* ---- check_step.c ---- */

/* The device is being closed: report its states that nothing is linked in any more. */
void oli_states_close(struct olio_dev *dev, const void *site);
/* The process leaves the machine: forget them. */
void oli_states_fini(struct oli_machine *m);

/* ---- check_own.c: classes 25 to 27, 30, 35 ---- */

void oli_own_mapped(struct oli_track *t);
void oli_own_unmap(struct oli_track *t, u32 attrs, const void *site);
void oli_own_sync(struct oli_track *t, u64 dma, u64 len, bool for_cpu, const void *site);
void oli_own_synced(struct oli_track *t, u64 dma, u64 len, bool for_cpu);
void oli_own_access(struct oli_track *t, u64 dma, u64 len, bool write, const void *site);
void oli_own_fini(struct oli_track *t);

/* ---- check_guard.c ---- */

/* Pages of @t that the device owns as a whole: no access by the CPU. */
void oli_guard_set(struct oli_track *t);
void oli_guard_clear(struct oli_track *t);
/* Report what the guards saw. */
void oli_guard_report(struct oli_check_local *l);
/* The same, from outside. */
void oli_guard_drain(struct oli_machine *m);

/* ---- check_mem.c: classes 10, 29, 32 ---- */

void oli_mem_mapped(struct oli_track *t);

/* ---- check_keep.c: classes 19, 20 ---- */

void oli_keep_mapped(struct oli_track *t);
/* The granules around [@dma, @dma + @len) are about to be given back, and rightly. */
void oli_keep_leaving(struct olio_dev *dev, u64 dma, u64 len);
void oli_keep_fini(struct olio_dev *dev);

/* ---- check.c ---- */

/* The call that makes one: "olio_dma_map". */
const char *oli_family_name(enum oli_family family);

/* ---- check_unmap.c ---- */

/* Direction and attributes of an unmap against those of the map: classes 3, 6, 31. */
void oli_terms_check(struct oli_track *t, const struct oli_op *op);

#endif
