/* SPDX-License-Identifier: MIT */
/*
 * The machine: all that hardware and kernel would hold, in one shared file.
 *
 * Words:
 *   machine  a directory with the file "machine" (the shared memory), named
 *            pipes (events) and a "sys" tree (what /sys would show)
 *   attach   a process maps the file and takes a slot
 *   slot     a process's number in the machine, 0 … OLI_SLOTS-1, reused after
 *            its death; with @gen it is unique for the machine's life
 *   offset   u64, bytes from the start of the file. Nothing inside the file is
 *            a pointer: every process maps it elsewhere
 *   part     a layer above that keeps state in the machine (see oli_part)
 *   reap     free all that a dead process owned
 *
 * A process is alive as long as it holds an open-file-description lock on byte
 * OLI_SLOT_LOCK_BASE + slot of the file: the kernel drops that at the very
 * death, also by kill -9, also in another pid namespace.
 */
#ifndef OLI_MACHINE_MACHINE_H
#define OLI_MACHINE_MACHINE_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/types.h"
#include "machine/desc.h"

#define OLI_SLOTS 128
#define OLI_SLOT_NONE 0xffffu
#define OLI_HAZARDS 64
#define OLI_PARTS 8
#define OLI_GIDS 16
#define OLI_DEVICES 8
#define OLI_NAME_MAX 64

/* Bump with every change of the shared layout: an older library then refuses the file by name. */
#define OLI_LAYOUT_VERSION 3

struct oli_machine;

/* ---- objects: the head of everything that lives in a table ---- */

enum oli_obj_state { OLI_OBJ_FREE, OLI_OBJ_NEW, OLI_OBJ_LIVE, OLI_OBJ_DYING };

struct oli_obj {
	_Atomic u32 state; /* enum oli_obj_state */
	u32 id;            /* its index in the table, fixed */
	u32 gen;           /* counts its uses, so that a stale (id, gen) is noticed */
	u32 next_free;     /* table lock; id + 1, 0 ends the list */
	u16 slot;          /* the owner */
	u16 locked;        /* its locks were initialised; never undone */
	u16 pad[2];
};

#define OLI_TABLE_CHUNKS 1024

/*
 * Objects of one size, numbered from 0, in chunks that are never given back:
 * a look-up takes no lock and cannot touch unmapped memory.
 */
struct oli_table {
	struct oli_lock lock; /* guards the free list and growing */
	u32 obj_size;
	u32 keep;       /* bytes at the start of an object that survive its reuse */
	u32 chunk_objs; /* power of two */
	u32 max;
	u32 free_head;            /* id + 1 */
	_Atomic u32 nr;           /* objects that exist, free ones included */
	u64 chunk[OLI_TABLE_CHUNKS]; /* offsets */
};

/*
 * @max objects of @obj_size bytes, a struct oli_obj first in each. The first
 * @keep bytes (the head, and locks that somebody late may still try) are zeroed
 * only once: an object's first user, who finds @locked 0, initialises its locks.
 * Creation time only.
 */
void oli_table_init(struct oli_table *t, u32 obj_size, u32 keep, u32 max);

/*
 * Take an object: zeroed behind what is kept, state NEW, owned by @slot; nobody
 * finds it before oli_obj_publish().
 * Return: 0, -ENOMEM (shared memory full), -ENOSPC (@max reached).
 */
OLI_MUST_CHECK int oli_table_alloc(struct oli_machine *m, struct oli_table *t, u16 slot,
				   void *objp);
void oli_table_free(struct oli_machine *m, struct oli_table *t, void *obj);

/* The LIVE object @id, or NULL. @id is not trusted. */
void *oli_table_get(struct oli_machine *m, struct oli_table *t, u32 id);
/* The object @id whatever its state, or NULL beyond the end. For walks: for (id = 0; (o = …(id)); id++). */
void *oli_table_peek(struct oli_machine *m, struct oli_table *t, u32 id);

void oli_obj_publish(struct oli_obj *obj);
/* LIVE -> DYING. Return: false if somebody else did. */
bool oli_obj_kill(struct oli_obj *obj);
static inline bool oli_obj_live(const struct oli_obj *obj)
{
	return atomic_load_explicit(&obj->state, memory_order_acquire) == OLI_OBJ_LIVE;
}

/* ---- heap: whole pages of the file ---- */

/* The owner of what belongs to no process. */
#define OLI_OWNER_MACHINE 0xfffeu

/*
 * @bytes (rounded up to pages) of zeroed shared memory, tagged with its owner:
 * a slot, or OLI_OWNER_MACHINE. Backed by real memory before this returns, so
 * a later access cannot raise SIGBUS.
 * Return: 0, -ENOMEM (the file system or the machine is full; said in the log).
 */
OLI_MUST_CHECK int oli_heap_alloc(struct oli_machine *m, u64 bytes, u16 owner, u64 *off);
void oli_heap_free(struct oli_machine *m, u64 off, u64 bytes);
void oli_heap_free_owner(struct oli_machine *m, u16 owner);

/* ---- what is in the file ---- */

/* One entry of a port's GID table. */
struct oli_gid_entry {
	u8 gid[16];
	u8 valid;
	u8 pad[3];
	char netdev[16];
	u32 ifindex;
};

/*
 * RXE reaches memory by the CPU, at process addresses. HCA is a node of the description
 * and reaches all memory of programs by DMA address, through bus and IOMMU.
 */
enum oli_device_kind { OLI_DEVICE_RXE, OLI_DEVICE_HCA };

/* An RDMA device as the boundary shows it. Written at creation. */
struct oli_device {
	char name[OLI_NAME_MAX]; /* rxe0, or the node's name */
	u8 kind;                 /* enum oli_device_kind */
	u8 node;                 /* HCA: which; else OLI_NODE_NONE */
	u8 pad[6];
	u8 node_guid[8];
	u32 mtu;                 /* of the interface, bytes */
	char netdev[16];
	_Atomic u32 gid_seq; /* odd while being rewritten */
	struct oli_gid_entry gids[OLI_GIDS];
	_Atomic u64 sent_msgs, sent_bytes, rcvd_msgs, rcvd_bytes;
	_Atomic u64 rnr_naks, retries, access_errors;
};

/* TAKEN: somebody's, but not to be reached: not filled in yet, or about to exec. */
enum oli_slot_state { OLI_SLOT_FREE, OLI_SLOT_TAKEN, OLI_SLOT_LIVE, OLI_SLOT_DEAD };

struct oli_slot {
	_Atomic u32 state; /* enum oli_slot_state; shm->lock for changes */
	u32 gen;           /* counts the processes that had this slot */
	s32 pid;           /* in the pid namespace of @pid_ns */
	u32 flags;         /* OLI_SLOT_F_* */
	u64 pid_ns;
	u64 attached_ns; /* CLOCK_MONOTONIC */
	char comm[16];
	char run[24];    /* which `olio run` started it, "" if none */
	u64 probe_addr;  /* address in that process of its own copy of probe_magic */
	u64 probe_magic;
	_Atomic u32 awake; /* its service thread will look again before it sleeps */
	_Atomic u32 agent; /* its copy agent runs (mem/agent.c) */
	u64 mailbox;       /* offset of the agent's mailbox, 0 if none */
	/*
	 * Hazards: what a thread of this process is reading or writing right now
	 * (low half: number of a protection domain + 1, high half: a count that
	 * makes each use different; 0: unused). Deregistration waits for them.
	 */
	_Atomic u64 hazard[OLI_HAZARDS];
	_Atomic u32 attention; /* something of this process's was changed from outside */
};

#define OLI_SLOT_F_OBSERVER 1u /* looks on: `olio ls`, `olio run` */

#define OLI_RECORDS 512
#define OLI_RECORD_TEXT 424

/* Why something failed, in words. What `olio run` prints. */
struct oli_record {
	_Atomic u64 seq; /* 1, 2, … once whole; 0 while being written */
	u64 time_ns;     /* CLOCK_REALTIME */
	u64 wr_id;
	u64 want_start, want_len; /* the range that was asked for */
	u64 have_start, have_len; /* the range that the key covers */
	u32 key;
	u32 qpn;
	u32 dest_qpn;
	u32 status; /* enum ibv_wc_status, or 0 for what is not a completion */
	s32 pid, peer_pid;
	u16 slot;
	u16 opcode;
	u32 count; /* how many completions this record stands for */
	char comm[16];
	char run[24];
	char text[OLI_RECORD_TEXT];
};

#define OLI_SLOT_LOCK_BASE (1ull << 40)

#define OLI_MACHINE_F_PRIVATE 1u /* made with opts.private_dir */

struct oli_shm {
	/* Fixed at creation and covered by @check. */
	char magic[8]; /* "OLIOmach" */
	u32 layout;    /* OLI_LAYOUT_VERSION */
	u32 uid;
	u64 size;      /* of the file, bytes */
	u64 heap_off;
	u64 owner_off; /* u16 per heap page: slot + 1, OLI_OWNER_MACHINE + 1, 0 free */
	u64 heap_pages;
	u64 part_off[OLI_PARTS];
	u64 record_off;
	u32 key_mask;  /* random: table index ^ key_mask makes keys hard to guess */
	u32 flags;     /* OLI_MACHINE_F_* */
	char name[OLI_NAME_MAX];
	u64 created_ns;          /* CLOCK_REALTIME */
	struct oli_desc desc;    /* what the machine looks like; desc.type: "pc" */
	u32 check;               /* checksum of all above */

	struct oli_lock lock; /* slots and reaping */
	struct oli_slot slots[OLI_SLOTS];

	struct oli_lock heap_lock;
	u64 heap_committed; /* pages backed by memory, heap_lock */
	u64 heap_next;      /* where the next search starts, heap_lock */
	_Atomic u64 heap_used; /* pages */

	u32 nr_devices;
	struct oli_device devices[OLI_DEVICES];

	_Atomic u64 record_next; /* sequence number of the newest record */

	struct oli_tree tree;
	_Atomic u64 frozen_ns; /* the machine's clock when it is driven by hand; 0: it runs */
};

/* ---- parts ---- */

/*
 * CONTRACT of a layer that keeps state in the machine. All callbacks get the
 * machine and, through oli_part_root(), the part's own area. Parts are called in the
 * order of the list, which begins with the top layer.
 */
struct oli_part {
	const char *name;
	u64 root_size; /* bytes of its area in the file, zeroed before init */

	/* Fill the fresh area. Called once, by the creator, before anybody attaches. */
	int (*init)(struct oli_machine *m, void *root);

	/* This process attached or is about to detach: process-local state in *@local. May be NULL. */
	int (*attach)(struct oli_machine *m, void *root, void **local);
	void (*detach)(struct oli_machine *m, void *root, void *local);

	/*
	 * Free everything that @slot owned. Called under shm->lock by any
	 * process, for a dead owner; again from the start if the reaper itself
	 * dies half-way. Must not wait for the dead.
	 */
	void (*reap)(struct oli_machine *m, void *root, u16 slot);

	/*
	 * On the service thread, no lock held: do what is due at @now, the machine's
	 * time; return the time of the next deadline (0 = none).
	 */
	u64 (*tick)(struct oli_machine *m, void *root, void *local, u64 now);

	/* On the service thread, no lock held: the watched process (@slot, @gen) is gone. */
	void (*peer_gone)(struct oli_machine *m, void *root, void *local, u16 slot, u32 gen);
};

/* ---- this process's side ---- */

struct oli_machine {
	u8 *base; /* the mapped file */
	struct oli_shm *shm;
	u64 size;
	int dirfd;  /* the machine's directory */
	int fd;     /* the file */
	/*
	 * The file again, never mapped: carries the slot's lock. A mapping would
	 * keep the lock in every forked child, after our death.
	 */
	int lock_fd;
	u16 slot;   /* ours */
	u32 gen;    /* of our slot */
	pid_t pid;  /* of the process that attached: after fork it differs from getpid() */
	u64 probe;  /* the word peers try to read */
	char dir[256];
	const struct oli_part *const *parts; /* NULL terminated */
	void *local[OLI_PARTS];
	struct oli_service *service;
	struct oli_events *events;
};

static inline void *oli_ptr(const struct oli_machine *m, u64 off)
{
	return m->base + off;
}

/* As oli_ptr() for an offset that may be damaged: NULL unless @len bytes are inside the file. */
static inline void *oli_ptr_checked(const struct oli_machine *m, u64 off, u64 len)
{
	return oli_range_inside(off, len, 0, m->size) ? m->base + off : NULL;
}

static inline void *oli_part_root(const struct oli_machine *m, int i)
{
	return oli_ptr(m, m->shm->part_off[i]);
}

/* The machine's time, which tests can stop (oli_machine_freeze()). Nanoseconds. */
static inline u64 oli_machine_now(const struct oli_machine *m)
{
	u64 frozen = atomic_load_explicit(&m->shm->frozen_ns, memory_order_relaxed);

	return __builtin_expect(frozen != 0, 0) ? frozen : oli_now();
}

static inline struct oli_slot *oli_slot(const struct oli_machine *m, u16 slot)
{
	return &m->shm->slots[slot];
}

struct oli_machine_opts {
	const char *name; /* NULL: $OLIO_MACHINE, else "default"; with a '/': a directory */
	const char *type; /* NULL: $OLIO_MACHINE_TYPE, else "pc". Only used by the creator */
	const struct oli_desc *desc; /* or a description of one's own; it is checked here */
	bool observer;    /* attach without being a process of the machine */
	bool no_create;   /* -ENOENT if there is no such machine */
	/*
	 * @name is NULL: a new machine in a directory of its own beside the named ones. Others
	 * can attach by its m->dir. It goes with its last process; one that is left behind
	 * by a kill goes when the next private one is made.
	 */
	bool private_dir;
};

/*
 * Attach, creating the machine if there is none. Two processes that do so at
 * once agree on one.
 * @why: on failure, one sentence for the user (OLI_WHY_MAX bytes).
 * Return: 0, -ENOENT (no such machine; no such type), -EINVAL (the description is not
 * sound), -EEXIST (there is one of another type or description than was asked for by
 * @opts; $OLIO_MACHINE_TYPE is not asking), -EPERM (another owner), -EPROTO (another
 * version), -EUCLEAN (damaged), -ENOMEM, -ENOSPC (no slot, or shared memory full), -errno.
 */
#define OLI_WHY_MAX 512
OLI_MUST_CHECK int oli_machine_open(const struct oli_machine_opts *opts,
				    const struct oli_part *const *parts, struct oli_machine **out,
				    char *why);

/*
 * Give the slot back; the last one out removes the machine's files. The mapping
 * stays, for threads of an exiting process that are still in it.
 */
void oli_machine_leave(struct oli_machine *m);
/* The same, and unmap and free it: nobody may use @m any more. */
void oli_machine_close(struct oli_machine *m);

/*
 * In a forked child: let go of everything inherited without any effect on the
 * parent. The mapping stays: the program's own queue mappings lie beside it.
 */
void oli_machine_forget(struct oli_machine *m);

/*
 * Stop the machine's clock (oli_machine_now()), and turn it on by @ns, which wakes all
 * service threads. Private machines only. Return: 0; -EPERM; advance: -EINVAL it runs.
 */
OLI_MUST_CHECK int oli_machine_freeze(struct oli_machine *m);
OLI_MUST_CHECK int oli_machine_advance(struct oli_machine *m, u64 ns);

/* Is (@slot, @gen) a live process? May take a system call. */
bool oli_slot_alive(struct oli_machine *m, u16 slot, u32 gen);

/*
 * This process is about to become another program (@on), or could not (@off):
 * its memory must not be touched from now on. Transfers under way are waited
 * for by the part (rdma's oli_quiesce()).
 */
void oli_slot_suspend(struct oli_machine *m, bool on);

/* Reap every dead process. Takes shm->lock. */
void oli_reap(struct oli_machine *m);

/* ---- service thread (machine/service.c) ---- */

int oli_service_start(struct oli_machine *m);
void oli_service_stop(struct oli_machine *m);
/* Make this process's service thread look at its ticks again. Any thread. */
void oli_service_kick(struct oli_machine *m);
/* The same for another process. */
void oli_service_kick_peer(struct oli_machine *m, u16 slot);
/* Call parts' peer_gone() once (@slot, @gen) dies; at once if it is dead already. */
void oli_service_watch(struct oli_machine *m, u16 slot, u32 gen);

/* ---- event pipes (machine/event.c) ---- */

/*
 * A completion channel or async event queue is a named pipe in the machine's
 * directory: its owner reads it through an ordinary fd, and whoever causes the
 * event writes it.
 */
/* Make pipe @id of this process. *@fd: the program's read end, close-on-exec. */
OLI_MUST_CHECK int oli_event_create(struct oli_machine *m, u32 id, u32 gen, int *fd);
/* Write one event (at most 16 bytes, never torn). Return: 0, -EAGAIN pipe full, -ENOENT gone. */
OLI_MUST_CHECK int oli_event_send(struct oli_machine *m, u16 slot, u32 id, u32 gen,
				  const void *event, size_t len);
/*
 * Take the unread events for which @drop(arg, event) is true out of our own
 * pipe. Return: how many.
 */
u32 oli_event_purge(struct oli_machine *m, u32 id, u32 gen, size_t len,
		    bool (*drop)(void *arg, const void *event), void *arg);
void oli_event_destroy(struct oli_machine *m, u16 slot, u32 id, u32 gen);

/* ---- records (machine/record.c) ---- */

/* Store @r (seq, time, pid, comm, run are filled in) for the process in @slot. */
void oli_record_add(struct oli_machine *m, u16 slot, struct oli_record *r);
/* Copy record @seq. Return: false if it is not written yet or was overwritten. */
bool oli_record_get(struct oli_machine *m, u64 seq, struct oli_record *out);

/* ---- RDMA devices (machine/device.c) and the host's interfaces (machine/netdev.c) ---- */

/* Fill shm->devices[] as the description says: rxe0, and each node with @rdma. Creation time only. */
void oli_devices_fill(struct oli_machine *m);
/* "rxe", "hca" */
const char *oli_device_kind_name(u8 kind);

/*
 * Fill GUID, MTU and GIDs of @dev, the @index-th on the same interface: the GUID, derived
 * from the interface's MAC, and the link-local GID made of it are different for each.
 */
void oli_netdev_fill(struct oli_device *dev, u32 index);
/* Copy the GID table consistently. */
void oli_device_gids(struct oli_device *dev, struct oli_gid_entry out[OLI_GIDS]);

#endif
