/* SPDX-License-Identifier: MIT */
/*
 * The kernel's side of the RDMA boundary, callable without any interposition.
 *
 * The preload library decides which of the program's calls cross the boundary
 * and calls here; tests and fuzzers call here directly. Every pointer that
 * comes from the program is a plain u64 or void * that is never dereferenced:
 * it is copied with oli_user_read()/oli_user_write(), which answer -EFAULT.
 *
 * Errors are -errno. The caller turns them into -1 and errno.
 */
#ifndef OLI_UAPI_UAPI_H
#define OLI_UAPI_UAPI_H

#include <sys/types.h>

#include "base/types.h"
#include "machine/machine.h"

#define OLI_UVERBS_MAJOR 231
#define OLI_UVERBS_MINOR 192
#define OLI_RDMA_CM_MINOR 121
#define OLI_MISC_MAJOR 10

/* ---- the process's machine (uapi/process.c) ---- */

/*
 * The machine of this process, attached at first use; NULL after a failure,
 * which has been said once on stderr. Safe to call from any thread, and in a
 * forked child, which attaches anew.
 */
struct oli_machine *oli_process_machine(void);
/* pthread_atfork handlers: prepare/parent/child. */
void oli_process_fork_prepare(void);
void oli_process_fork_parent(void);
void oli_process_fork_child(void);
/*
 * Around exec: peers reach this process by its number, which stays, so they must
 * stop before the new program's memory is there. @begin false: exec failed.
 */
void oli_process_exec(bool begin);
/* At exit(): give the slot back in order. */
void oli_process_exit(void);

/* ---- the devices that the program is shown (uapi/visible.c) ---- */

/* Bit n: device n of the machine. By OLIO_DEVICE: names with commas, "all"; rxe0 without. */
u32 oli_visible(struct oli_machine *m);
bool oli_device_visible(struct oli_machine *m, u32 dev);
/* In a forked child: look again. */
void oli_visible_forget(void);

#define OLI_SYS_NAME 16
/* The tree that shows these devices, in the machine's directory: "sys", "sys.3". */
void oli_sys_name(struct oli_machine *m, char name[OLI_SYS_NAME]);

/* ---- an open /dev/infiniband/uverbsN (uapi/ufile.c) ---- */

struct oli_ufile;

/*
 * Open device @index. *@fd is the program's number: a descriptor of the machine
 * file, so that the provider's mmap(fd, offset) maps queues with no help.
 * Owns: the returned file has one reference; the fd belongs to the program.
 */
OLI_MUST_CHECK int oli_ufile_open(u32 index, int flags, struct oli_ufile **out, int *fd);
struct oli_ufile *oli_ufile_get(struct oli_ufile *f);
/* The last put destroys every object of the context. */
void oli_ufile_put(struct oli_ufile *f);

/* ioctl(fd, @cmd, @arg). Return: >= 0 or -errno; -ENOTTY for a foreign @cmd. */
int oli_ufile_ioctl(struct oli_ufile *f, unsigned long cmd, void *arg);
/* write(fd, @buf, @len): a legacy command or the doorbell. Return: @len or -errno. */
ssize_t oli_ufile_write(struct oli_ufile *f, const void *buf, size_t len);
/*
 * The doorbell alone: false if it is something else. No step of it is a cancellation
 * point, whatever the transfer takes: it makes bare system calls only.
 */
bool oli_ufile_doorbell(struct oli_ufile *f, const void *buf, size_t len, ssize_t *rc);
/* st_rdev of the node. */
dev_t oli_ufile_rdev(const struct oli_ufile *f);

/* ---- user memory (uapi/uaccess.c) ---- */

OLI_MUST_CHECK int oli_user_read(void *dst, u64 uaddr, size_t len);
OLI_MUST_CHECK int oli_user_write(u64 uaddr, const void *src, size_t len);

/* ---- NETLINK_RDMA (uapi/netlink.c) ---- */

/*
 * Answer the request messages in @req (one or several nlmsghdr). Replies go
 * through @emit, one datagram a call.
 * Return: 0, or -EINVAL if @req is not a well-formed message at all.
 */
struct oli_nl_sink {
	int (*emit)(void *arg, const void *msg, size_t len);
	void *arg;
};
OLI_MUST_CHECK int oli_netlink_request(const void *req, size_t len, u32 portid,
				       const struct oli_nl_sink *sink);

/* ---- sysfs and device nodes (uapi/sysfs.c) ---- */

enum oli_path_kind {
	OLI_PATH_FOREIGN,  /* not ours */
	OLI_PATH_UVERBS,   /* /dev/infiniband/uverbsN */
	OLI_PATH_RDMA_CM,  /* /dev/infiniband/rdma_cm: known, not served yet */
	OLI_PATH_DEV_DIR,  /* /dev/infiniband itself */
	OLI_PATH_REDIRECT, /* look in the machine's sys tree instead */
	OLI_PATH_SYNTH,    /* a file with content made at each open */
};

struct oli_path {
	enum oli_path_kind kind;
	u32 index;       /* of the device, for UVERBS */
	char real[512];  /* for REDIRECT and SYNTH: the path in the machine's tree */
};

/*
 * Classify the absolute, normalised path @path. Fast for a foreign one: no
 * lock, no system call, and the machine is not attached for it.
 */
void oli_path_classify(const char *path, struct oli_path *out);

/*
 * Open a SYNTH path: *@fd gets a read-only memfd at position 0 with the content.
 * Return: 0, -ENOENT, -EINVAL (what reading an empty gid_attrs slot says).
 */
OLI_MUST_CHECK int oli_synth_open(const struct oli_path *p, int *fd);

/* Write the tree of the devices that are shown into the machine's directory. */
int oli_sysfs_build(struct oli_machine *m);

#endif
