/* SPDX-License-Identifier: MIT */
/*
 * Why a call was refused.
 *
 * A call that fails returns -errno: what kind of failure. The reason says which
 * of its causes, by a word for programs and a sentence for people. It is kept for
 * the calling thread until its next call that fails.
 *
 *   -EOPNOTSUPP  the machine cannot honour this request; one that asks for less may pass
 *   -EINVAL      no machine could: the arguments are wrong
 *   -ENOENT      nothing of that name or at that address
 *   -EFAULT      the program has no such memory
 *   -ERANGE      beyond the end of an object
 *   -EXDEV       it belongs to another device
 *   -ENOSPC      a fixed resource is used up: IOVAs, bounce slots, RAM
 *   -ENOMEM      memory is used up
 *   -EOVERFLOW   a range wraps
 *   -EBUSY       it has users
 */
#ifndef OLIO_WHY_H
#define OLIO_WHY_H

#include <olio/olio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* X(NAME, word, errno, what it means) */
#define OLIO_REASONS(X)                                                                            \
	X(NONE, "none", 0, "nothing was refused")                                                  \
	X(NON_COHERENT, "non-coherent", EOPNOTSUPP,                                                \
	  "the device does not see the CPU's caches, and the caller cannot synchronise")           \
	X(MASK, "mask", EOPNOTSUPP, "the address does not fit into the device's DMA mask")         \
	X(UNALIGNED_BOUNCE, "unaligned-bounce", EOPNOTSUPP,                                        \
	  "a partial granule would have to be bounced")                                            \
	X(FORCED_BOUNCE, "forced-bounce", EOPNOTSUPP,                                              \
	  "this machine bounces every mapping of the device")                                      \
	X(ENCRYPTED, "encrypted", EOPNOTSUPP, "the device would see ciphertext")                   \
	X(P2P_ACS, "p2p-acs", EOPNOTSUPP,                                                          \
	  "a switch on the way redirects peer-to-peer traffic and the host bridge does not pass it") \
	X(P2P_NO_COMMON_BRIDGE, "p2p-no-common-bridge", EOPNOTSUPP,                                \
	  "the two devices share no bridge and the host bridge does not pass peer-to-peer traffic") \
	X(P2P_NOT_PCI, "p2p-not-pci", EOPNOTSUPP, "the device is not on a PCI bus")                \
	X(P2P_NO_PROVIDER, "p2p-no-provider", EOPNOTSUPP, "the BAR is not offered to peers")       \
	X(MMIO_BOUNCE, "mmio-bounce", EOPNOTSUPP, "device memory cannot be bounced")               \
	X(GRANULE, "granule", EOPNOTSUPP,                                                          \
	  "the device's policy refuses ranges that share a granule with other memory")             \
	X(SEGMENTS, "segments", EOPNOTSUPP,                                                        \
	  "the list does not fit into the segments that the device can take")                      \
	X(GAP, "gap", EOPNOTSUPP, "a run ends or begins inside a granule in the middle of a list") \
	X(NO_IOMMU, "no-iommu", EOPNOTSUPP, "the device has no address space of its own")          \
	X(P2P_BUS, "p2p-bus", EOPNOTSUPP,                                                          \
	  "the BAR is reached by its bus address, which lies in no IOVA range")                    \
	X(READ_ONLY, "read-only", EOPNOTSUPP, "the memory was pinned for reading only")            \
	X(IOVA_FULL, "iova-full", ENOSPC, "no free IOVA range of that size below the mask")        \
	X(BOUNCE_FULL, "bounce-full", ENOSPC, "no free bounce slots")                              \
	X(BOUNCE_TOO_LONG, "bounce-too-long", ENOSPC,                                              \
	  "more than one bounce segment can hold: ask olio_dma_max_mapping_size()")                \
	X(RAM_FULL, "ram-full", ENOSPC, "no free frames")                                          \
	X(NO_MEMORY, "no-memory", ENOMEM, "memory is used up")                                     \
	X(OVERFLOW, "overflow", EOVERFLOW, "the range wraps")                                      \
	X(BAD_ARGUMENT, "bad-argument", EINVAL, "an argument is out of its range")                 \
	X(BAD_ATTRIBUTE, "bad-attribute", EINVAL,                                                  \
	  "unknown attributes, or attributes that contradict the memory's kind")                   \
	X(BAD_DIRECTION, "bad-direction", EINVAL, "no such direction")                             \
	X(BAD_RUN, "bad-run", EINVAL, "not memory of this machine, not pinned, or not of that kind") \
	X(BAD_STATE, "bad-state", EINVAL, "the object is not in a state for this call")            \
	X(OFFSET, "offset", EINVAL, "another offset in the granule than was allocated for")        \
	X(NOT_MAPPED, "not-mapped", ENOENT, "nothing is mapped there")                             \
	X(ALREADY_MAPPED, "already-mapped", EBUSY, "something is mapped there")                    \
	X(WRONG_DEVICE, "wrong-device", EXDEV, "the mapping is another device's")                  \
	X(NO_DEVICE, "no-device", ENOENT, "the machine has no such device")                        \
	X(NO_BAR, "no-bar", ENOENT, "the device has no such BAR")                                  \
	X(NO_PAGE, "no-page", EFAULT, "the program cannot use memory there in that way")           \
	X(BEYOND_END, "beyond-end", ERANGE, "beyond the end of the object")                        \
	X(NOT_ENCRYPTED, "not-encrypted", EOPNOTSUPP, "this memory is not encrypted")              \
	X(PINNED, "pinned", EBUSY, "somebody else has pinned it, too")

enum olio_reason {
#define OLIO_REASON_ID(NAME, word, err, text) OLIO_REASON_##NAME,
	OLIO_REASONS(OLIO_REASON_ID)
#undef OLIO_REASON_ID
		OLIO_NR_REASONS
};

/* The word of a reason: "p2p-acs". */
OLIO_API const char *olio_reason_name(enum olio_reason reason);

struct olio_why {
	enum olio_reason reason;
	char text[240]; /* a sentence that names the objects, addresses and limits */
};

/* Of this thread's last call that failed. Never NULL. */
OLIO_API const struct olio_why *olio_why(void);

#ifdef __cplusplus
}
#endif

#endif
