/* SPDX-License-Identifier: MIT */
/*
 * Mapping memory for a device.
 *
 * Words
 *   DMA address   what the device puts on its bus, struct olio_iova. Behind an
 *                 IOMMU it is an IOVA; for a peer under the same switch the bus
 *                 address of its BAR; without an IOMMU physical plus an offset;
 *                 for a software device the physical address. Never a pointer
 *   granule       the smallest piece the IOMMU can map
 *   link          put a run at its place in an IOVA range that was allocated before
 *   bounce        map a copy elsewhere, and copy when ownership moves
 *   ownership     who may touch the bytes: the CPU, or the device. A map gives
 *                 them to the device, an unmap takes them back; in between the
 *                 two sync calls move them. For a device that is coherent and
 *                 needs no bounce they cost nothing and change nothing
 *   segment       contiguous DMA addresses: what one map yields, one or several
 *   page list     the same, cut into blocks of one size that the device asked for
 *
 * Every call that fails has changed nothing, and olio_why() says why. Unmapping
 * what was mapped never fails; its return value only says that the caller is
 * wrong, and then nothing is unmapped either.
 *
 * Semantics are those of Linux's DMA API where it has the call; where that leaves
 * a choice to the caller, or takes the caller's word, it is closed here: kinds of
 * memory are known, not claimed, and peer-to-peer traffic is checked in every map.
 *
 * Context: all calls may be made from any thread; on one olio_iova_state or
 * olio_map from one thread at a time. They may block on a mutex. Mappings of a
 * process end with it.
 */
#ifndef OLIO_DMA_H
#define OLIO_DMA_H

#include <stdbool.h>

#include <olio/addr.h>
#include <olio/mem.h>
#include <olio/olio.h>
#include <olio/why.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- devices ---- */

struct olio_machine;
struct olio_dev;

/*
 * Drive the device @name of the machine. What it maps is this process's own: each
 * device and process has an address space for itself. Opening it twice gives the
 * same address space.
 * Owns: the handle is the caller's until olio_dev_close(); @m must outlive it.
 * Context: blocks; not in a forked child.
 * Return: 0; -ENOENT no such device, or only a port; -EINVAL the machine was opened to look
 * on only; -ENOSPC no address space is left; -ENOMEM.
 */
OLIO_API int olio_dev_open(struct olio_machine *m, const char *name, struct olio_dev **out);
/* Mappings that are left are torn down, and reported by the checker (class 7). NULL is nothing. */
OLIO_API void olio_dev_close(struct olio_dev *dev);
OLIO_API const char *olio_dev_name(const struct olio_dev *dev);
/* olio_node_info.id of it. */
OLIO_API uint32_t olio_dev_node(const struct olio_dev *dev);

/*
 * Bits of address that the device can put on its bus, for all maps that follow.
 * Return: 0; -EINVAL not 12 … 64, or more than the description says it has.
 */
OLIO_API int olio_dev_set_mask(struct olio_dev *dev, unsigned int bits);
/* Limits of one segment: its length, and a power of two that it may not cross (0: none). */
OLIO_API int olio_dev_set_segments(struct olio_dev *dev, uint64_t max_len, uint64_t boundary);

/* What to do with a run that shares a granule with other memory. */
enum olio_granule {
	OLIO_GRANULE_EXPOSE, /* map the whole granule: a trusted device sees the neighbours */
	OLIO_GRANULE_BOUNCE, /* bounce the partial granules: what an untrusted device gets */
	OLIO_GRANULE_REFUSE
};
OLIO_API int olio_dev_set_granule(struct olio_dev *dev, enum olio_granule policy);
/*
 * Let the device set No Snoop in its requests (PCIe 2.2.6.5): it then asks not to be shown
 * the CPU's caches. A domain of a coherent device snoops all the same, and relying on
 * the contrary is misuse (class 34); a device that nothing snoops for is as before.
 * Return: 0; -EOPNOTSUPP nothing would enforce snooping, and the device could see stale
 * memory: a coherent device without IOMMU.
 */
OLIO_API int olio_dev_set_no_snoop(struct olio_dev *dev, bool on);

/*
 * True exactly if no streaming map of ordinary memory (RAM as olio_mem_pin() gives
 * it) will ever be bounced or need a sync call. @reason: why not; may be NULL.
 */
OLIO_API bool olio_dev_is_coherent(struct olio_dev *dev, enum olio_reason *reason);
/* Most bytes one map of RAM can have; UINT64_MAX if nothing limits it. */
OLIO_API uint64_t olio_dma_max_mapping_size(struct olio_dev *dev);
/* Smallest size of an IOMMU page; 1 where there is no IOMMU. */
OLIO_API uint64_t olio_dma_granule(struct olio_dev *dev);

/* How a client device reaches a provider's BAR (S8). */
enum olio_p2p_type {
	OLIO_P2P_NOT_SUPPORTED,
	OLIO_P2P_BUS_ADDR,        /* below a common bridge: by bus address, past the IOMMU */
	OLIO_P2P_THRU_HOST_BRIDGE /* up to the host bridge and down again: mapped as MMIO */
};

struct olio_p2p {
	enum olio_p2p_type type;
	uint32_t distance;       /* ports between the two, 0 for the same device */
	enum olio_reason reason; /* of NOT_SUPPORTED */
};
/* Evaluated on the tree as it is now. Return: 0; -EXDEV two machines. */
OLIO_API int olio_p2p_type(struct olio_dev *provider, struct olio_dev *client,
			   struct olio_p2p *out);

/* ---- directions and attributes ---- */

enum olio_dir { OLIO_TO_DEVICE = 1, OLIO_FROM_DEVICE = 2, OLIO_BIDIRECTIONAL = 3 };

/* Fail unless nobody will ever have to copy or synchronise: see olio_dev_is_coherent(). */
#define OLIO_ATTR_REQUIRE_COHERENT 1u
/* A claim, checked: the run is MMIO. Without it an MMIO run is taken as well. */
#define OLIO_ATTR_MMIO 2u
/* A claim, checked: the run is shared. */
#define OLIO_ATTR_CC_SHARED 4u
/* The caller moves ownership itself, with the sync calls. */
#define OLIO_ATTR_SKIP_CPU_SYNC 8u
/* Accesses are privileged, where the table format knows the difference. */
#define OLIO_ATTR_PRIVILEGED 16u

/* ---- one-shot (S6) ---- */

/*
 * Map one run. It may begin and end inside a granule.
 * @dma: where the device finds the run's first byte.
 * Return: 0; -EOPNOTSUPP, -EINVAL, -ENOSPC, -ENOMEM, -EOVERFLOW as in olio/why.h.
 */
OLIO_API int olio_dma_map(struct olio_dev *dev, const struct olio_run *run, enum olio_dir dir,
			  uint32_t attrs, struct olio_iova *dma);
/*
 * The same size, direction and attributes as at the map.
 * Return: 0; -ENOENT nothing of that size is mapped there; -EINVAL.
 */
OLIO_API int olio_dma_unmap(struct olio_dev *dev, struct olio_iova dma, uint64_t len,
			    enum olio_dir dir, uint32_t attrs);
/* A part of a mapping, or all of it. Return: 0; -ENOENT; -EINVAL. */
OLIO_API int olio_dma_sync_for_cpu(struct olio_dev *dev, struct olio_iova dma, uint64_t len,
				   enum olio_dir dir);
OLIO_API int olio_dma_sync_for_device(struct olio_dev *dev, struct olio_iova dma, uint64_t len,
				      enum olio_dir dir);
/* Could a sync call of this device ever do something? */
OLIO_API bool olio_dma_need_sync(struct olio_dev *dev);

/* ---- two-step (S1 - S4) ---- */

/* Embedded by the caller, and never copied: it knows its own place. */
struct olio_iova_state {
	uint64_t priv[10];
};

/*
 * Reserve contiguous IOVAs for @size bytes of which the first lies @phys modulo
 * the granule into its granule. Nothing is mapped yet.
 * Return: 0; -EOPNOTSUPP no IOMMU for this device: use olio_dma_map(); -EINVAL;
 * -ENOSPC; -EOVERFLOW; -ENOMEM.
 */
OLIO_API int olio_iova_alloc(struct olio_dev *dev, struct olio_iova_state *state,
			     struct olio_pa phys, uint64_t size);
/* The first DMA address of the state, and the length it was allocated for. */
OLIO_API struct olio_iova olio_iova_start(const struct olio_iova_state *state);
OLIO_API uint64_t olio_iova_size(const struct olio_iova_state *state);

/*
 * Put @run at @offset. Only the first run of a state may begin inside a granule,
 * only the last one end there. The device must not use it before olio_iova_sync().
 * Return: 0; -EINVAL (reasons offset, bad-…), -EBUSY linked already, -ERANGE beyond
 * the state's end, -EOPNOTSUPP (gap, p2p-bus, and those of olio_dma_map()), -ENOSPC
 * (bounce slots), -ENOMEM.
 */
OLIO_API int olio_iova_link(struct olio_iova_state *state, const struct olio_run *run,
			    uint64_t offset, enum olio_dir dir, uint32_t attrs);
/*
 * Make what was linked in [@offset, @offset + @len) good for the device. Once a batch.
 * Return: 0; -EINVAL; -ERANGE.
 */
OLIO_API int olio_iova_sync(struct olio_iova_state *state, uint64_t offset, uint64_t len);
/*
 * Strict: when it returns the device has forgotten the range. The IOVAs stay reserved.
 * What was linked by several calls can go in one; a part of one link can go where the
 * tables have a border (not inside a large entry or a bounced piece).
 * Return: 0; -ENOENT a hole; -EINVAL; -ERANGE.
 */
OLIO_API int olio_iova_unlink(struct olio_iova_state *state, uint64_t offset, uint64_t len,
			      enum olio_dir dir, uint32_t attrs);
/* Give the IOVAs back. Return: 0; -EBUSY something is linked. */
OLIO_API int olio_iova_free(struct olio_iova_state *state);
/*
 * Unlink [0, @linked) and give the IOVAs back, as lazily as the machine allows.
 * @linked must be all that is linked. Return: 0; -EINVAL.
 */
OLIO_API int olio_iova_destroy(struct olio_iova_state *state, uint64_t linked, enum olio_dir dir,
			       uint32_t attrs);

/* ---- lists ---- */

struct olio_map;

/*
 * Map any runs, of any kinds, in any order, in one call: one IOVA range if that is
 * possible, else several segments. Two runs meet without a gap if the first ends
 * and the second begins on a granule; other meetings begin a new segment.
 * Pieces that must be bounced are, unless attributes forbid it.
 * Owns: @runs may go afterwards; the memory must stay pinned.
 * Return: as olio_dma_map(); -EOPNOTSUPP with reason segments.
 */
OLIO_API int olio_map_list(struct olio_dev *dev, const struct olio_run *runs, size_t n,
			   enum olio_dir dir, uint32_t attrs, struct olio_map **out);
/* Unmap and free. NULL is nothing. */
OLIO_API void olio_map_unmap(struct olio_map *map);

struct olio_seg {
	struct olio_iova dma;
	uint64_t len;
};
/* The segments in the order of the runs; they live as long as @map. */
OLIO_API const struct olio_seg *olio_map_segs(const struct olio_map *map, size_t *n);
OLIO_API uint64_t olio_map_len(const struct olio_map *map);
/* Return: 0; -ERANGE; -EINVAL a direction that the map has not. */
OLIO_API int olio_map_sync_for_cpu(struct olio_map *map, uint64_t offset, uint64_t len,
				   enum olio_dir dir);
OLIO_API int olio_map_sync_for_device(struct olio_map *map, uint64_t offset, uint64_t len,
				      enum olio_dir dir);

/* How a piece of a map got there: what `olio map` shows. */
enum olio_piece_how {
	OLIO_PIECE_DIRECT,
	OLIO_PIECE_BOUNCED,
	OLIO_PIECE_P2P_BUS,
	OLIO_PIECE_P2P_HOST
};
struct olio_piece {
	uint64_t offset; /* in the map */
	uint64_t len;
	struct olio_iova dma;
	struct olio_pa pa; /* of the memory itself, not of its bounce copy */
	uint32_t kind;     /* enum olio_mem_kind */
	uint32_t how;      /* enum olio_piece_how */
};
/* *@pos starts at 0. Return: 1 and a piece, 0 at the end. */
OLIO_API int olio_map_next_piece(const struct olio_map *map, size_t *pos, struct olio_piece *out);

/* ---- page lists (S12) ---- */

/*
 * The size of block, of those in @sizes (bit n: 2^n bytes), that makes the shortest
 * list of the segments for a device that knows their first byte as @iova: the largest
 * that fits, but none above the smallest that holds everything in one block. 0 if
 * there is none, or @iova wraps. Both ends may lie inside a block, nothing else.
 */
OLIO_API uint64_t olio_best_page_size(const struct olio_seg *segs, size_t n, uint64_t iova,
				      uint64_t sizes);

/* The blocks of one size, unrelated to how the CPU sees the memory (A1). */
struct olio_block_iter {
	const struct olio_seg *seg;
	size_t left;
	uint64_t size, at; /* private */
};
/* @size: a power of two, as olio_best_page_size() said. */
OLIO_API void olio_block_first(struct olio_block_iter *it, const struct olio_seg *segs, size_t n,
			       uint64_t size);
/* Return: true and the address of the next block, aligned to its size. */
OLIO_API bool olio_block_next(struct olio_block_iter *it, struct olio_iova *block);
OLIO_API uint64_t olio_block_count(const struct olio_seg *segs, size_t n, uint64_t size);

/* ---- memory that both may use at once ---- */

/* Write-combining: the CPU's writes reach the device at olio_dma_wmb(), not before. */
#define OLIO_ALLOC_WC 1u

/*
 * Zeroed memory for descriptors and rings, mapped for @dev in both directions.
 * It is no streaming memory: never hand it to a map call.
 * Return: 0; -EINVAL; -ENOMEM; -ENOSPC.
 */
OLIO_API int olio_dma_alloc(struct olio_dev *dev, uint64_t size, unsigned int flags, void **cpu,
			    struct olio_iova *dma);
/* Return: 0; -ENOENT not what olio_dma_alloc() gave. */
OLIO_API int olio_dma_free(struct olio_dev *dev, uint64_t size, void *cpu, struct olio_iova dma);
/* What the CPU wrote before is seen by the device before what it writes afterwards. */
OLIO_API void olio_dma_wmb(struct olio_dev *dev);
/* What the device wrote before what was read already is seen from here on. */
OLIO_API void olio_dma_rmb(struct olio_dev *dev);
/* Say that the device is about to be told of new work (class 33). */
OLIO_API void olio_dev_doorbell(struct olio_dev *dev);

/* ---- the device's side: for device models ---- */

/*
 * One transaction of the device: by DMA address, through the PCI tree, IOTLB and
 * page tables. All or nothing as far as translation goes.
 * Return: 0; -EFAULT nothing that it may access is there (a fault was recorded);
 * -ESRCH the memory's process is gone; -EOVERFLOW.
 */
OLIO_API int olio_dev_read(struct olio_dev *dev, struct olio_iova dma, void *buf, uint64_t len);
OLIO_API int olio_dev_write(struct olio_dev *dev, struct olio_iova dma, const void *buf,
			    uint64_t len);

/* ---- what was recorded ---- */

/* Why a transaction was stopped. X(NAME, text). */
#define OLIO_FAULTS(X)                                                                             \
	X(NOT_PRESENT, "nothing is mapped there")                                                  \
	X(READ, "mapped for writing only")                                                         \
	X(WRITE, "mapped for reading only")                                                        \
	X(RANGE, "beyond the address space")                                                       \
	X(NO_TARGET, "no RAM and no BAR at that physical address")                                 \
	X(NO_ROUTE, "the host bridge does not pass peer-to-peer traffic")                          \
	X(NO_SPACE, "the device has no address space")                                             \
	X(UNPINNED, "the frame is free")                                                           \
	X(GONE, "the memory's process is gone")

enum olio_fault_kind {
#define OLIO_FAULT_ID(NAME, text) OLIO_FAULT_##NAME,
	OLIO_FAULTS(OLIO_FAULT_ID)
#undef OLIO_FAULT_ID
};

struct olio_fault_info {
	uint32_t size;
	uint64_t seq;
	uint64_t time_ns;  /* CLOCK_MONOTONIC */
	uint32_t kind;     /* enum olio_fault_kind */
	uint32_t write;    /* 1: the device wanted to write */
	char device[32];
	int32_t pid;       /* whose address space it was */
	struct olio_iova dma;
	uint64_t len;
	uint64_t mapped_ns, unmapped_ns;       /* the last of each there; 0 unknown */
	char mapped_at[96], unmapped_at[96];   /* "file.c:12 (function)"; "" unknown */
	char text[240];                        /* the sentence */
};
/* The next fault after *@seq (start at 0). Return: 1, 0 none, -EINVAL size not set. */
OLIO_API int olio_next_fault(struct olio_machine *m, uint64_t *seq, struct olio_fault_info *out);

/* What the checker found. @class_: the number of the inventory's misuse class, 1 … 35. */
struct olio_misuse_info {
	uint32_t size;
	uint64_t seq;
	uint32_t class_;
	int32_t pid;
	char name[32];          /* "double-unmap" */
	char device[32];
	char here[96], there[96]; /* both call sites: where it was noticed, where the object was made */
	char text[240];
};
OLIO_API int olio_next_misuse(struct olio_machine *m, uint64_t *seq, struct olio_misuse_info *out);

/* Is class @n checked on this machine? Its name in *@name, if not NULL. */
OLIO_API bool olio_checks(struct olio_machine *m, unsigned int n, const char **name);

#ifdef __cplusplus
}
#endif

#endif
