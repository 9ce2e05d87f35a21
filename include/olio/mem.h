/* SPDX-License-Identifier: MIT */
/*
 * Memory that devices may be given, described by typed runs.
 *
 * Words
 *   run       physically contiguous memory of one kind. What kind it is was found
 *             out where the memory came from, and travels with it: nobody looks
 *             pages up later
 *   pin       give process memory physical addresses of the machine (frames) and
 *             keep them. On a machine that scatters, neighbours in a program are
 *             not neighbours in physical memory
 *   frame     4 KiB of the machine's RAM: an owner, a page of it, a count of pins
 *   provider  the device whose BAR an MMIO run lies in
 *   private   RAM that only the CPU and trusted devices can read (a confidential
 *             guest's own); others see ciphertext. Its opposite is shared
 *
 * Nothing here maps anything for a device: that is olio/dma.h.
 */
#ifndef OLIO_MEM_H
#define OLIO_MEM_H

#include <olio/addr.h>
#include <olio/olio.h>

#ifdef __cplusplus
extern "C" {
#endif

struct olio_machine;
struct olio_dev;
struct olio_mem;

/* Kinds of memory. X(NAME, text). */
#define OLIO_MEM_KINDS(X)                                                                          \
	X(RAM, "ram")         /* on a machine that does not encrypt */                             \
	X(PRIVATE, "private") /* encrypted RAM */                                                  \
	X(SHARED, "shared")   /* RAM of an encrypting machine that is open to devices */           \
	X(MMIO, "mmio")       /* a BAR */

enum olio_mem_kind {
#define OLIO_MEM_ID(NAME, text) OLIO_MEM_##NAME,
	OLIO_MEM_KINDS(OLIO_MEM_ID)
#undef OLIO_MEM_ID
};

OLIO_API const char *olio_mem_kind_name(enum olio_mem_kind kind);

struct olio_run {
	struct olio_pa pa;
	uint64_t len; /* bytes, not 0; pa + len - 1 does not wrap */
	uint32_t kind;     /* enum olio_mem_kind */
	uint32_t provider; /* MMIO: the node that has the BAR (olio_node_info.id); else 0 */
};

/* olio_mem_pin(): devices will only read it. Memory that is not writable can only be pinned so. */
#define OLIO_PIN_READ_ONLY 1u

/*
 * Pin [@addr, @addr + @len) of this process: any mixture of anonymous, file, huge
 * and shared pages. First and last byte may lie anywhere in a page. Pages are
 * made present. Pinning a page again gives the same frame.
 * Context: blocks; opens and reads /proc/self/maps.
 * Return: 0; -EINVAL empty, or unknown flags; -EOVERFLOW the range wraps;
 * -EFAULT some of it is not mapped, or not writable (without READ_ONLY);
 * -ENOMEM, -ENOSPC the machine's RAM is used up.
 */
OLIO_API int olio_mem_pin(struct olio_machine *m, void *addr, uint64_t len, unsigned int flags,
			  struct olio_mem **out);

/*
 * Pin [@offset, @offset + @len) of a file that lives in memory: memfd, hugetlbfs,
 * tmpfs. It is mapped here for as long as it is pinned; @fd may be closed.
 * Return: as olio_mem_pin(); -EINVAL for a file of another kind; -EFAULT beyond its end.
 */
OLIO_API int olio_mem_from_fd(struct olio_machine *m, int fd, uint64_t offset, uint64_t len,
			      unsigned int flags, struct olio_mem **out);

/*
 * [@offset, @offset + @len) of BAR @bar of @provider. One run of kind MMIO.
 * Return: 0; -EINVAL empty; -ENOENT no such BAR; -ERANGE beyond its end; -ENOMEM.
 */
OLIO_API int olio_mem_from_bar(struct olio_dev *provider, unsigned int bar, uint64_t offset,
			       uint64_t len, struct olio_mem **out);

/*
 * Give it back; its frames are free when the last pin is gone. Memory that is
 * still mapped for a device is misuse (class 9): the device faults from then on.
 * NULL is nothing.
 */
OLIO_API void olio_mem_put(struct olio_mem *mem);

/* All runs, in the order of the memory. They live as long as @mem. */
OLIO_API const struct olio_run *olio_mem_runs(const struct olio_mem *mem, size_t *n);
OLIO_API uint64_t olio_mem_len(const struct olio_mem *mem);

/*
 * The runs of [@offset, @offset + @len) of it, at most @max of them.
 * Return: 0 and how many in *@n; -ERANGE beyond its end; -EINVAL empty; -E2BIG
 * more than @max (nothing is written; *@n is what is needed).
 */
OLIO_API int olio_mem_slice(const struct olio_mem *mem, uint64_t offset, uint64_t len,
			    struct olio_run *runs, size_t max, size_t *n);

/*
 * A pointer to byte @offset in this process. For a BAR too: the machine's model of it.
 * NULL beyond the end.
 */
OLIO_API void *olio_mem_cpu(const struct olio_mem *mem, uint64_t offset);

/*
 * On an encrypting machine: open whole pages of RAM to devices, or close them
 * again. Runs that were read before are stale after this: read them again.
 * Return: 0; -EINVAL not whole pages; -EOPNOTSUPP an MMIO run, or a machine that
 * does not encrypt; -EBUSY pinned by somebody else, too.
 */
OLIO_API int olio_mem_share(struct olio_mem *mem);
OLIO_API int olio_mem_unshare(struct olio_mem *mem);

#ifdef __cplusplus
}
#endif

#endif
