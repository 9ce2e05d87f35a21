/* SPDX-License-Identifier: MIT */
/*
 * The checker: misuse of the mapping API, noticed where it happens.
 *
 * It is compiled in always and switched per machine, class by class; a device with
 * no class on has no checker (dev->check is NULL) and pays one test a call. The mapping
 * code calls the hooks below: before it acts, where a refusal of the checker must keep
 * an act from happening; after it, where the result is what is tracked.
 *
 * A report says the class, what was done, and two places in the program: where it was
 * noticed and where the object in question was made. Reporting never changes what
 * the call does.
 *
 * Classes are numbered as in doc/misuse.md.
 */
#ifndef OLI_DMA_CHECK_H
#define OLI_DMA_CHECK_H

#include "dma/dev.h"

/* X(number, name, what it is) */
#define OLI_MISUSES(X)                                                                             \
	X(1, "double-unmap", "unmapped twice, or never mapped")                                    \
	X(2, "wrong-size", "unmapped with another size")                                           \
	X(3, "wrong-direction", "unmapped with another direction")                                 \
	X(4, "wrong-call", "unmapped by a call of another family")                                 \
	X(5, "unchecked-error", "used after a map that failed")                                    \
	X(6, "wrong-attributes", "unmapped with other attributes")                                 \
	X(7, "leak", "still mapped when the device was closed")                                    \
	X(8, "segment-count", "used runs where segments are meant")                                \
	X(9, "free-while-mapped", "memory was given back while it was mapped")                     \
	X(10, "bad-memory", "stack, program text or constants")                                    \
	X(11, "two-step-order", "links and the length given at the end do not agree")              \
	X(12, "no-sync", "the device used a link before olio_iova_sync()")                         \
	X(13, "dead-state", "linked after the end, or the state was copied")                       \
	X(14, "iova-leak", "an IOVA range was never given back")                                   \
	X(15, "wrong-owner", "used with another device than it was made for")                      \
	X(16, "identity", "the device was given an address of another kind")                       \
	X(17, "truncated", "an address lost its upper bits, or does not fit the mask")             \
	X(18, "segment-limit", "a segment is too long or crosses the device's boundary")           \
	X(19, "early-reuse", "IOVAs were reused while the device may still hold them")             \
	X(20, "use-after-unmap", "the device used what was unmapped")                              \
	X(21, "over-map", "the device went past the buffer inside its last granule")               \
	X(22, "wrong-access", "written through a read-only map, or the reverse")                   \
	X(23, "reserved", "a request went into a reserved range or a BAR's window")                \
	X(24, "prefetch", "the device read beyond what it was given, speculatively")               \
	X(25, "read-without-sync", "the CPU read what the device may have written")                \
	X(26, "write-without-sync", "the CPU wrote what the device will not see")                  \
	X(27, "touch-while-owned", "the CPU wrote while the device owned it")                      \
	X(28, "wrong-sync", "synchronised in a wrong direction or outside the mapping")            \
	X(29, "shared-line", "a cache line is shared with another mapping or with CPU data")       \
	X(30, "skipped-sync", "SKIP_CPU_SYNC, and nobody synchronised")                            \
	X(31, "one-sided-coherent", "REQUIRE_COHERENT at map or at unmap only")                    \
	X(32, "coherent-as-streaming", "memory of olio_dma_alloc() was mapped again")              \
	X(33, "no-barrier", "the doorbell rang before olio_dma_wmb()")                             \
	X(34, "no-snoop", "a no-snoop access in a domain that enforces snooping")                  \
	X(35, "bounce-in-place", "expected the device's writes in a bounced buffer in place")

#define OLI_MISUSE_LAST 35

#define OLI_MISUSES_KEPT 256

struct oli_misuse {
	_Atomic u64 seq; /* 1, 2, …; 0 while being written */
	u32 class_;
	s32 pid;
	u8 node;
	char here[96], there[96];
	char text[240];
};

/* "double-unmap"; NULL: no such class. */
const char *oli_misuse_name(unsigned int class_);
bool oli_check_on(struct oli_machine *m, unsigned int class_);
bool oli_misuse_get(struct oli_machine *m, u64 seq, struct oli_misuse *out);
u64 oli_misuse_newest(struct oli_machine *m);
/* @here, @there: program counters; NULL unknown. */
void oli_misuse(struct olio_dev *dev, unsigned int class_, const void *here, const void *there,
		const char *fmt, ...) OLI_PRINTF(5, 6);

/* Families of calls. */
enum oli_family { OLI_ONE_SHOT, OLI_TWO_STEP, OLI_LIST, OLI_ALLOC };

/*
 * What a hook is told. Members that a call has not are 0.
 *
 *   one-shot  @dma, @len, @dir, @attrs as in the call; at the map also @run, @bounced
 *   list      @object is the olio_map. Map: once for each piece of it, with @dma, @len,
 *             @run of the piece. Unmap: once for the map, without @dma and @len
 *   two-step  @object is the olio_iova_state. A link's @dma is where its run begins
 *   alloc     @object is the CPU's pointer, @run what the device reaches
 */
struct oli_op {
	enum oli_family family;
	struct olio_iova dma;
	u64 len;
	struct olio_run run;
	enum olio_dir dir;
	u32 attrs;
	bool bounced;
	const void *object; /* struct olio_iova_state or olio_map */
	const void *site;   /* __builtin_return_address(0) of the public call */
};

OLI_MUST_CHECK int oli_check_new(struct olio_dev *dev);
/* Reports what is left. @site: of the close. */
void oli_check_free(struct olio_dev *dev, const void *site);

void oli_check_mapped(struct olio_dev *dev, const struct oli_op *op);
void oli_check_map_failed(struct olio_dev *dev, const struct oli_op *op, int err);
/* Before an unmap acts; @err: what the mapping code will answer (0, -ENOENT, -EINVAL). */
void oli_check_unmap(struct olio_dev *dev, const struct oli_op *op, int err);
/* Before a sync acts; after it, too, in oli_check_synced(), with the same @op. */
void oli_check_sync(struct olio_dev *dev, const struct oli_op *op, bool for_cpu);
void oli_check_synced(struct olio_dev *dev, const struct oli_op *op, bool for_cpu);
/*
 * Two-step: alloc, link, sync, unlink, free, destroy; @err is the call's answer. After the
 * call has acted; unlink, free and destroy before, when the answer is known. @offset: into
 * the state. alloc: @op->dma and @op->len are what was reserved.
 */
enum oli_two_step { OLI_STEP_ALLOC, OLI_STEP_LINK, OLI_STEP_SYNC, OLI_STEP_UNLINK, OLI_STEP_FREE, OLI_STEP_DESTROY };
void oli_check_step(struct olio_dev *dev, enum oli_two_step step, const struct oli_op *op,
		    u64 offset, int err);
/*
 * A call with a state that is not one: freed, destroyed, a copy. @original: where it says
 * that it is, NULL unknown. Its device need not be known: this is called without OLI_CHECK().
 */
void oli_check_bad_state(const void *object, const void *original, const void *site);
/*
 * The device accessed memory; @err: what became of it. Before the bytes move, and not
 * between oli_bus_begin() and oli_bus_end(). For a span that does not resolve, after.
 */
void oli_check_access(struct olio_dev *dev, struct olio_iova dma, u64 len, bool write, int err,
		      const void *site);
void oli_check_doorbell(struct olio_dev *dev, const void *site);
/* The mask was changed. */
void oli_check_mask(struct olio_dev *dev, const void *site);
/*
 * IOVAs of a strict domain are about to be given back. Return: 1: take the entries out with
 * oli_domain_unmap() and leave the IOVAs to the checker, which gives them back later, so
 * that who still holds them faults (classes 19, 20); 0: give them back; -ENOENT: they are
 * the checker's already, and nobody's.
 */
OLI_MUST_CHECK int oli_check_keep(struct olio_dev *dev, struct olio_iova iova, u64 size);
/* Memory was pinned; is about to be given back. All devices of this process are asked. */
void oli_check_pin(struct oli_machine *m, const struct olio_mem *mem, const void *site);
void oli_check_put(struct oli_machine *m, const struct olio_mem *mem, const void *site);

/* The hooks above are called through this, so that no checker costs one test. */
#define OLI_CHECK(dev, call)                                                                       \
	do {                                                                                       \
		if (__builtin_expect((dev)->check != NULL, 0))                                     \
			call;                                                                      \
	} while (0)

#endif
