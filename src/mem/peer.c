// SPDX-License-Identifier: MIT
/*
 * Choosing the way to a peer's memory, and the process_vm way itself.
 *
 * The choice is kept per slot in process-local memory, beside the generation it
 * was made for: a new process in the slot is tried anew. A race between two
 * threads that try at once ends in the same answer.
 */
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/sys.h"
#include "mem/agent.h"
#include "mem/int.h"
#include "mem/peer.h"

struct local {
	_Atomic u64 way[OLI_SLOTS]; /* gen << 8 | enum oli_way */
	struct oli_agent *agent;    /* service thread */
	struct oli_pins *pins;
};

static struct local *local(struct oli_machine *m)
{
	return m->local[OLI_PART_MEM];
}

struct oli_pins *oli_mem_pins(struct oli_machine *m)
{
	struct local *l = local(m);

	return l ? l->pins : NULL;
}

const char *oli_way_name(enum oli_way way)
{
	static const char *const name[] = {"-", "self", "process_vm", "ring"};

	return way < OLI_ARRAY_SIZE(name) ? name[way] : "?";
}

void oli_iov_skip(struct iovec **iov, u32 *n, u64 bytes)
{
	while (*n && bytes >= (*iov)->iov_len) {
		bytes -= (*iov)->iov_len;
		(*iov)++;
		(*n)--;
	}
	if (*n && bytes) {
		(*iov)->iov_base = (u8 *)(*iov)->iov_base + bytes;
		(*iov)->iov_len -= bytes;
	}
}

/* Can one byte be read there? */
static bool readable(pid_t pid, u64 addr)
{
	u8 byte;
	struct iovec to = {&byte, 1}, from = {(void *)(uintptr_t)addr, 1};

	return oli_sys_vm_read(pid, &to, 1, &from, 1) == 1;
}

/* The side that is read from tells: if it can be read, the other one is at fault. */
static void blame(struct oli_move *mv, pid_t pid)
{
	u64 here = (u64)(uintptr_t)mv->local->iov_base;
	u64 there = (u64)(uintptr_t)mv->remote->iov_base;
	bool remote = mv->to_remote ? readable(getpid(), here) : !readable(pid, there);

	mv->bad_side = remote ? OLI_SIDE_REMOTE : OLI_SIDE_LOCAL;
	mv->bad_addr = remote ? there : here;
}

static int vm_move(struct oli_move *mv, pid_t pid)
{
	while (mv->len) {
		u32 nl = mv->nlocal > IOV_MAX ? IOV_MAX : mv->nlocal;
		u32 nr = mv->nremote > IOV_MAX ? IOV_MAX : mv->nremote;
		ssize_t n = mv->to_remote ? oli_sys_vm_write(pid, mv->local, nl, mv->remote, nr)
					  : oli_sys_vm_read(pid, mv->local, nl, mv->remote, nr);

		if (n == -EINTR)
			continue;
		if (n == -EFAULT || n == 0) {
			blame(mv, pid);
			return -EFAULT;
		}
		if (n < 0)
			return (int)n;
		mv->len -= (u64)n;
		if (mv->len) {
			oli_iov_skip(&mv->local, &mv->nlocal, (u64)n);
			oli_iov_skip(&mv->remote, &mv->nremote, (u64)n);
		}
	}
	return 0;
}

/* Does process_vm reach (@s)? Reading a word that only that process can have says so. */
static bool vm_works(struct oli_machine *m, const struct oli_slot *s)
{
	u64 word = 0;
	struct iovec to = {&word, sizeof(word)};
	struct iovec from = {(void *)(uintptr_t)s->probe_addr, sizeof(word)};

	if (s->pid_ns != oli_slot(m, m->slot)->pid_ns || OLI_FAULT())
		return false;
	return oli_sys_vm_read(s->pid, &to, 1, &from, 1) == (ssize_t)sizeof(word) &&
	       word == s->probe_magic;
}

enum oli_way oli_peer_way_known(struct oli_machine *m, u16 slot, u32 gen)
{
	u64 v = atomic_load(&local(m)->way[slot]);

	return (u32)(v >> 8) == gen ? (enum oli_way)(v & 0xff) : OLI_WAY_UNKNOWN;
}

/* OLIO_WAY=ring makes the fallback testable where nothing forbids the better way. */
static bool vm_forbidden(void)
{
	const char *v = getenv("OLIO_WAY");

	return v && !strcmp(v, "ring");
}

enum oli_way oli_peer_way(struct oli_machine *m, u16 slot, u32 gen)
{
	enum oli_way way;

	if (slot >= OLI_SLOTS)
		return OLI_WAY_UNKNOWN;
	way = oli_peer_way_known(m, slot, gen);
	if (way != OLI_WAY_UNKNOWN)
		return way;
	if (!vm_forbidden() && vm_works(m, oli_slot(m, slot)))
		way = slot == m->slot ? OLI_WAY_SELF : OLI_WAY_VM;
	else if (slot == m->slot || oli_agent_ask(m, slot, gen) == 0)
		way = OLI_WAY_RING;
	else
		return OLI_WAY_UNKNOWN;
	atomic_store(&local(m)->way[slot], (u64)gen << 8 | way);
	return way;
}

/* process_vm_* knows no length but the lists': one of them must be exact. */
static void clip(struct iovec *iov, u32 *n, u64 len)
{
	u32 used = 0;

	while (used < *n && len > iov[used].iov_len)
		len -= iov[used++].iov_len;
	if (used == *n)
		return;
	iov[used].iov_len = len;
	*n = used + 1;
}

int oli_peer_move(struct oli_machine *m, struct oli_move *mv)
{
	mv->bad_side = OLI_SIDE_NONE;
	clip(mv->local, &mv->nlocal, mv->len);
	switch (oli_peer_way_known(m, mv->slot, mv->gen)) {
	case OLI_WAY_SELF:
	case OLI_WAY_VM:
		return vm_move(mv, oli_slot(m, mv->slot)->pid);
	case OLI_WAY_RING:
		return mv->slot == m->slot ? oli_self_move(m, mv) : oli_ring_move(m, mv);
	default:
		return -ESRCH;
	}
}

/* Under Yama (scope 1) a process must say that its peers may reach it. */
static void consent(void)
{
	char scope[8];

	if (oli_read_file(AT_FDCWD, "/proc/sys/kernel/yama/ptrace_scope", scope, sizeof(scope)) > 0 &&
	    scope[0] == '1')
		prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
}

static int mem_init(struct oli_machine *m, void *root)
{
	(void)m;
	(void)root;
	return 0;
}

static int mem_attach(struct oli_machine *m, void *root, void **localp)
{
	struct local *l = OLI_FAULT() ? NULL : calloc(1, sizeof(*l));

	(void)root;
	if (!l)
		return -ENOMEM;
	l->pins = oli_pins_new(m);
	if (!l->pins) {
		free(l);
		return -ENOMEM;
	}
	if (!(oli_slot(m, m->slot)->flags & OLI_SLOT_F_OBSERVER))
		consent();
	*localp = l;
	return 0;
}

static void mem_detach(struct oli_machine *m, void *root, void *localp)
{
	struct local *l = localp;

	(void)root;
	if (l->agent)
		oli_agent_stop(m, l->agent);
	m->local[OLI_PART_MEM] = NULL;
	oli_pins_free(l->pins);
	free(l);
}

static void mem_reap(struct oli_machine *m, void *root, u16 slot)
{
	/* Our own agent is stopped at detach. Requesters are gone: parts above are reaped first. */
	(void)root;
	if (slot != m->slot)
		oli_agent_reap(m, slot);
}

static u64 mem_tick(struct oli_machine *m, void *root, void *localp, u64 now)
{
	(void)root;
	(void)now;
	oli_agent_serve(m, &((struct local *)localp)->agent);
	return 0;
}

const struct oli_part oli_mem_part = {
	.name = "mem",
	.root_size = 64,
	.init = mem_init,
	.attach = mem_attach,
	.detach = mem_detach,
	.reap = mem_reap,
	.tick = mem_tick,
};
