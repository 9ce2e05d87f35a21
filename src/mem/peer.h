/* SPDX-License-Identifier: MIT */
/*
 * Reaching the memory of a process of the machine.
 *
 *   self        our own: the same calls as for a peer, which never fault us
 *   process_vm  the kernel copies between two address spaces: one copy, needs
 *               the same user and, under Yama, the target's consent
 *   ring        a mailbox in shared memory and a thread in the target that
 *               copies in and out of it: two copies, works wherever the machine does
 *
 * Which one works is found out by trying to read a word whose value we know. A
 * fourth way, memory that both have mapped, has its place in the enum's order.
 *
 * Program memory is touched by system calls only, never by a load or store: the
 * program may unmap it at any time, and then the answer is -EFAULT.
 */
#ifndef OLI_MEM_PEER_H
#define OLI_MEM_PEER_H

#include <sys/uio.h>

#include "machine/machine.h"

extern const struct oli_part oli_mem_part;
#define OLI_PART_MEM 1

enum oli_way { OLI_WAY_UNKNOWN, OLI_WAY_SELF, OLI_WAY_VM, OLI_WAY_RING };

const char *oli_way_name(enum oli_way way);

/*
 * The way to the memory of (@slot, @gen), tried once and remembered.
 * Context: may block until the target's agent runs; the caller holds no lock
 * that the target's service thread takes (none of the target's queue pairs').
 */
enum oli_way oli_peer_way(struct oli_machine *m, u16 slot, u32 gen);
/* What is remembered, for display; never blocks. */
enum oli_way oli_peer_way_known(struct oli_machine *m, u16 slot, u32 gen);

enum oli_side { OLI_SIDE_NONE, OLI_SIDE_LOCAL, OLI_SIDE_REMOTE };

struct oli_move {
	u16 slot; /* whose memory @remote is */
	u32 gen;
	bool to_remote;
	struct iovec *local, *remote; /* changed by the call */
	u32 nlocal, nremote;
	u64 len; /* bytes; both lists have at least as many */
	/* results */
	enum oli_side bad_side; /* whose memory was at fault, after -EFAULT */
	u64 bad_addr;
};

/*
 * Move @len bytes. Return: 0, -EFAULT (see bad_side), -ESRCH (the process is gone).
 * Bytes before the fault may have been moved.
 */
OLI_MUST_CHECK int oli_peer_move(struct oli_machine *m, struct oli_move *mv);

/* Drop the first @n bytes of a list. */
void oli_iov_skip(struct iovec **iov, u32 *n, u64 bytes);

#endif
