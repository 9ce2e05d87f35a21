/* SPDX-License-Identifier: MIT */
/*
 * Make a machine, and look at one: its tree of buses, processes, devices, queue
 * pairs, completion queues, memory regions, mappings, and the records of what failed.
 *
 * A machine that was opened is looked at: the handle takes a slot, so that the machine
 * stays while it is open, but it owns no objects. One that was made here is taken part
 * in: see olio_machine_create(). The walks below copy each object out; what changes
 * meanwhile may be seen before or after its change.
 *
 * Structures begin with @size, which the caller sets to sizeof: fields that a
 * newer library adds are then left alone. Strings are NUL terminated.
 *
 * Context: a handle belongs to one thread at a time.
 */
#ifndef OLIO_MACHINE_H
#define OLIO_MACHINE_H

#include <olio/olio.h>

#ifdef __cplusplus
extern "C" {
#endif

struct olio_machine;

/* olio_machine_open(): fail with -ENOENT instead of making a machine. */
#define OLIO_MACHINE_NO_CREATE 1u

/*
 * Open the machine @name: NULL for $OLIO_MACHINE or "default"; a name with a
 * '/' is a directory. Dead processes are reaped first.
 * @why: on failure one sentence for a person, in @why_size bytes (at least 256).
 * Return: 0, -ENOENT, -EPERM (belongs to another user), -EPROTO (made by another
 * version), -EUCLEAN (damaged), -ENOSPC or -ENOMEM (no slot, shared memory full).
 */
OLIO_API int olio_machine_open(const char *name, unsigned int flags, struct olio_machine **out,
			       char *why, size_t why_size);
/*
 * The same, and what to make if there is none: @type as for olio_machine_create().
 * Return: as olio_machine_create().
 */
OLIO_API int olio_machine_open_type(const char *name, const char *type, struct olio_machine **out,
				    char *why, size_t why_size);
/*
 * NULL is nothing. What this process opened and pinned must have been given back.
 */
OLIO_API void olio_machine_close(struct olio_machine *m);
/*
 * Make the machine @name, of type @type: a built-in one ("pc"; olio_machine_types()
 * lists them) or, with a '/' or ending in ".yaml", a description file. @name NULL: a
 * private machine in a directory of its own, which goes when it is closed. @type NULL:
 * "pc", or whatever type the machine @name has if there is one. Unlike an opened
 * one this handle is a process of the machine: it can pin memory and drive devices.
 * Return: as olio_machine_open(); -EEXIST there is one of another type; -EINVAL the
 * description is wrong (@why names line and key); -ENOENT no such type or file.
 */
OLIO_API int olio_machine_create(const char *name, const char *type, struct olio_machine **out,
				 char *why, size_t why_size);
/* The built-in types: *@pos starts at 0. Return: 1, with name and one line about it; 0 at the end. */
OLIO_API int olio_machine_types(uint32_t *pos, const char **name, const char **about);
/*
 * Drive the machine's clock by hand: lazy invalidation, timers. Time stands still
 * until it is advanced. Private machines only.
 * Return: 0; -EPERM; advance: -EINVAL it was not stopped.
 */
OLIO_API int olio_machine_freeze(struct olio_machine *m);
OLIO_API int olio_machine_advance(struct olio_machine *m, uint64_t ns);
/* The machine's directory. Lives as long as @m. */
OLIO_API const char *olio_machine_dir(const struct olio_machine *m);

struct olio_machine_info {
	uint32_t size;
	char name[64];
	char type[64];
	char dir[256];
	uint64_t created_ns;  /* CLOCK_REALTIME */
	uint64_t heap_bytes;  /* room */
	uint64_t heap_used;   /* handed out */
	uint64_t heap_backed; /* taken from the file system */
	uint32_t processes;
	uint32_t scattered;   /* 1: neighbours in a program are none in physical memory */
	char about[96];
	uint64_t ram_bytes;
	uint32_t encrypted;   /* 1: process memory is private until it is shared */
	uint32_t cache_line;  /* bytes */
	char iommu[40];       /* "vtdss strict", "none" */
	uint64_t granule;     /* bytes; 1 without IOMMU */
	uint64_t page_sizes;  /* bit n: the IOMMU has pages of 2^n bytes; 0: all of its format */
	uint64_t bounce_bytes;
	uint64_t dma_offset;  /* without IOMMU: DMA address - physical address */
	uint64_t bus_offset;  /* physical address of a BAR - its bus address */
};
OLIO_API int olio_machine_info(struct olio_machine *m, struct olio_machine_info *out);

/*
 * The machine's description as olio-machine(5) has it, NUL terminated in @size bytes.
 * *@len: its length without the NUL. Return: 0; -E2BIG (*@len is set, nothing written); -ENOMEM.
 */
OLIO_API int olio_machine_yaml(struct olio_machine *m, char *text, size_t size, size_t *len);

struct olio_process_info {
	uint32_t size;
	uint32_t slot;
	int32_t pid;
	char comm[16];
	char run[24];         /* the `olio run` that started it, or "" */
	uint64_t attached_ns; /* CLOCK_MONOTONIC */
	uint32_t observer;    /* 1: only looks on */
	uint32_t contexts, qps, cqs, mrs;
	char way[16]; /* how peers reach its memory: "process_vm", "ring", "-" not yet known */
};

struct olio_device_info {
	uint32_t size;
	char name[64];
	char kind[16]; /* "rxe" */
	char netdev[16];
	uint32_t mtu;
	uint8_t guid[8];
	char gid[64];     /* the first usable one, as text */
	uint32_t gids;    /* how many */
	uint64_t sent_msgs, sent_bytes, rcvd_msgs, rcvd_bytes;
	uint64_t rnr_naks, retries, access_errors;
};

struct olio_qp_info {
	uint32_t size;
	uint32_t qpn, dest_qpn;
	int32_t pid, peer_pid; /* peer_pid 0: not connected */
	char device[64];
	char type[4];  /* "RC" */
	char state[8]; /* "RTS" */
	char way[16];  /* "self", "process_vm", "ring", "-" */
	uint32_t send_cq, recv_cq;
	uint32_t sq_depth, sq_used, rq_depth, rq_used;
	uint64_t sent_msgs, sent_bytes;
};

struct olio_cq_info {
	uint32_t size;
	uint32_t cqn;
	int32_t pid;
	uint32_t cqe, unread;
	uint32_t channel; /* 1: has a completion channel */
	char armed[12];   /* "no", "next", "solicited" */
	uint64_t posted;  /* completions in its life */
};

struct olio_mr_info {
	uint32_t size;
	uint32_t lkey, rkey;
	int32_t pid;
	uint64_t addr, length, iova;
	char kind[12];   /* "mr", "mw1", "mw2" */
	char access[48]; /* "local-write,remote-read" */
	uint32_t pd;
};

/*
 * Walks: *@pos starts at 0. Return: 1 and an object in @out, 0 at the end,
 * -EINVAL for an @out whose size is not set.
 */
OLIO_API int olio_next_process(struct olio_machine *m, uint32_t *pos, struct olio_process_info *out);
OLIO_API int olio_next_device(struct olio_machine *m, uint32_t *pos, struct olio_device_info *out);
OLIO_API int olio_next_qp(struct olio_machine *m, uint32_t *pos, struct olio_qp_info *out);
OLIO_API int olio_next_cq(struct olio_machine *m, uint32_t *pos, struct olio_cq_info *out);
OLIO_API int olio_next_mr(struct olio_machine *m, uint32_t *pos, struct olio_mr_info *out);

/* A place in the machine's tree of buses. */
struct olio_node_info {
	uint32_t size;
	uint32_t id, parent; /* parent: its own id at the top */
	char name[32];
	char kind[16];    /* "host-bridge", "root-port", "switch-up", "switch-down", "endpoint", "platform" */
	char address[16]; /* "00:01.0", "" for a platform device */
	char acs[40];     /* "RR,CR,UF": what the port redirects; "" nothing */
	uint32_t dma_bits, coherent, trusted, p2p; /* p2p of a host bridge: it passes peer traffic */
	char iommu[40];   /* "vtdss strict", "none", … */
	uint32_t bars;         /* the highest one + 1 */
	struct {
		uint64_t pa, bus, len;
		uint32_t provider; /* 1: offered to peers */
		uint32_t pad;
	} bar[6];
	uint32_t tee;          /* may read private memory of an encrypting machine */
	uint32_t software;     /* reaches memory by the CPU */
	uint32_t force_bounce; /* every mapping of it is bounced */
	uint32_t rdma;         /* programs see it as an RDMA device */
	uint64_t max_segment;  /* bytes; 0: no limit */
	uint64_t boundary;     /* that a segment may not cross; 0: none */
	char granule[8];       /* what becomes of partial granules: "expose", "bounce", "refuse" */
};
OLIO_API int olio_next_node(struct olio_machine *m, uint32_t *pos, struct olio_node_info *out);

struct olio_p2p; /* olio/dma.h */
/*
 * How device @client reaches the BARs of @provider, both olio_node_info.id: what
 * olio_p2p_type() says, for one who only looks on. Return: 0; -ENOENT no such device.
 */
OLIO_API int olio_node_p2p(struct olio_machine *m, uint32_t provider, uint32_t client,
			   struct olio_p2p *out);
/*
 * Change the ACS bits of port @id, as PCIe 7.7.11.3 numbers them, on a machine that
 * runs. What is mapped stays mapped, and is routed anew.
 * Return: 0; -ENOENT no such node; -EINVAL it is no port, or there is no such bit.
 */
OLIO_API int olio_node_set_acs(struct olio_machine *m, uint32_t id, uint32_t acs);

/* A live mapping of an address space. */
struct olio_mapping_info {
	uint32_t size;
	char device[32];
	int32_t pid;
	uint64_t iova, len;
	uint64_t pa;         /* of its first byte */
	uint32_t leaf;       /* bytes of the table entry there */
	char access[8];      /* "r", "w", "rw" */
	char target[96];     /* what is there: "python3 0x7f…", "bounce", "BAR 0 of acc0" */
};
OLIO_API int olio_next_mapping(struct olio_machine *m, uint64_t *pos, struct olio_mapping_info *out);

/*
 * The page list of a region: block *@pos of region @lkey. A region of a device that reaches
 * memory by the CPU has none. Return: 1; 0 at the end; -ENOENT no such region; -EINVAL.
 */
struct olio_block_info {
	uint32_t size;
	uint64_t dma, len, pa;
};
OLIO_API int olio_next_mr_block(struct olio_machine *m, uint32_t lkey, uint64_t *pos,
				struct olio_block_info *out);

/* Why something failed. */
struct olio_record_info {
	uint32_t size;
	uint64_t seq;
	uint64_t time_ns; /* CLOCK_REALTIME */
	int32_t pid, peer_pid;
	char comm[16];
	char run[24];
	uint32_t status; /* enum ibv_wc_status, 0 if not a completion */
	char status_name[32];
	uint32_t qpn, dest_qpn;
	uint64_t wr_id;
	uint32_t count; /* completions it stands for */
	uint32_t key;
	uint64_t want_start, want_len, have_start, have_len;
	char text[432]; /* the sentence */
};

/* The next record after *@seq (start at 0). Return: as the walks. *@lost: overwritten unread. */
OLIO_API int olio_next_record(struct olio_machine *m, uint64_t *seq, struct olio_record_info *out,
			      uint64_t *lost);

#ifdef __cplusplus
}
#endif

#endif
