// SPDX-License-Identifier: MIT
/*
 * The ring way: a mailbox in shared memory, served by a thread of the target.
 *
 * The requester copies a piece into the mailbox, says REQUEST, and the target's
 * agent copies it to its place and says DONE; the other way round for reads. The
 * agent takes no lock at all, so a requester may wait for it while it holds its
 * queue pair's locks. Requesters take turns by the mailbox's robust lock; one
 * that finds a dead owner waits until the agent has finished the orphan.
 *
 * Program memory is reached by pread() and pwrite() on the machine's file at the
 * mailbox's offset: the kernel copies, and a page that is gone is -EFAULT here
 * and not a signal in the program.
 */
#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/sys.h"
#include "mem/agent.h"

#define PIECE (128u << 10)
#define SPIN_NS 3000
#define WAIT_MS 20
#define ASK_MS 2000

enum { IDLE, REQUEST, DONE, STOP };

struct mailbox {
	struct oli_lock lock; /* requesters take turns */
	_Atomic u32 state;
	u32 to_target;
	u64 addr; /* in the target */
	u32 len;
	s32 result; /* 0 or -EFAULT */
	u8 data[PIECE] __attribute__((aligned(4096)));
};

struct oli_agent {
	pthread_t thread;
	struct oli_machine *m;
	struct mailbox *box;
	u64 off;
};

static void futex_wait(_Atomic u32 *word, u32 seen, u32 ms)
{
	struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
	int saved = errno;

	syscall(SYS_futex, word, FUTEX_WAIT, seen, &ts, NULL, 0);
	errno = saved;
}

static void futex_wake(_Atomic u32 *word)
{
	int saved = errno;

	syscall(SYS_futex, word, FUTEX_WAKE, 1 << 30, NULL, NULL, 0);
	errno = saved;
}

/* Copy between program memory and the file at @off. Return: 0 or -EFAULT. */
static int file_copy(int fd, u64 off, u64 addr, u64 len, bool into_file)
{
	while (len) {
		void *p = (void *)(uintptr_t)addr;
		ssize_t n = into_file ? oli_sys_pwrite(fd, p, len, off) : oli_sys_pread(fd, p, len, off);

		if (n == -EINTR)
			continue;
		if (n <= 0)
			return -EFAULT;
		addr += (u64)n;
		off += (u64)n;
		len -= (u64)n;
	}
	return 0;
}

/* ---- the target's side ---- */

static u64 data_off(u64 box_off)
{
	return box_off + offsetof(struct mailbox, data);
}

static void *agent_main(void *arg)
{
	struct oli_agent *a = arg;
	struct mailbox *box = a->box;

	pthread_setname_np(pthread_self(), "olio-copy");
	for (;;) {
		u32 state = atomic_load_explicit(&box->state, memory_order_acquire), len;

		if (state == STOP)
			break;
		if (state != REQUEST) {
			futex_wait(&box->state, state, 1000);
			continue;
		}
		/* The length is another process's word: read once, then checked. */
		len = __atomic_load_n(&box->len, __ATOMIC_RELAXED);
		box->result = len > PIECE ? -EFAULT
					  : file_copy(a->m->fd, data_off(a->off), box->addr, len,
						      !box->to_target);
		atomic_compare_exchange_strong(&box->state, &state, DONE);
		futex_wake(&box->state);
	}
	return NULL;
}

static int start(struct oli_machine *m, struct oli_agent *a)
{
	sigset_t all, old;
	int err;

	err = oli_heap_alloc(m, sizeof(*a->box), OLI_OWNER_MACHINE, &a->off);
	if (err)
		return err;
	a->m = m;
	a->box = oli_ptr(m, a->off);
	oli_lock_init(&a->box->lock);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = -pthread_create(&a->thread, NULL, agent_main, a);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err)
		oli_heap_free(m, a->off, sizeof(*a->box));
	return err;
}

void oli_agent_serve(struct oli_machine *m, struct oli_agent **agent)
{
	struct oli_slot *self = oli_slot(m, m->slot);
	struct oli_agent *a;

	if (*agent || atomic_load(&self->agent) != OLI_AGENT_WANTED)
		return;
	a = calloc(1, sizeof(*a));
	if (!a || start(m, a)) {
		oli_warn("cannot start the copy agent: peers cannot reach this process's memory");
		free(a);
		return;
	}
	*agent = a;
	self->mailbox = a->off;
	atomic_store(&self->agent, OLI_AGENT_RUNS);
	futex_wake(&self->agent);
}

void oli_agent_stop(struct oli_machine *m, struct oli_agent *a)
{
	struct oli_slot *self = oli_slot(m, m->slot);

	atomic_store(&self->agent, OLI_AGENT_NONE);
	self->mailbox = 0;
	atomic_store(&a->box->state, STOP);
	futex_wake(&a->box->state);
	pthread_join(a->thread, NULL);
	oli_heap_free(m, a->off, sizeof(*a->box));
	free(a);
}

void oli_agent_reap(struct oli_machine *m, u16 slot)
{
	struct oli_slot *s = oli_slot(m, slot);

	if (s->mailbox)
		oli_heap_free(m, s->mailbox, sizeof(struct mailbox));
	s->mailbox = 0;
	atomic_store(&s->agent, OLI_AGENT_NONE);
}

/* ---- the requester's side ---- */

int oli_agent_ask(struct oli_machine *m, u16 slot, u32 gen)
{
	struct oli_slot *s = oli_slot(m, slot);
	u64 until = oli_now() + ASK_MS * OLI_NS_PER_MS;

	while (oli_slot_alive(m, slot, gen)) {
		u32 state = OLI_AGENT_NONE;

		if (atomic_compare_exchange_strong(&s->agent, &state, OLI_AGENT_WANTED))
			state = OLI_AGENT_WANTED;
		if (state == OLI_AGENT_RUNS)
			return 0;
		if (oli_now() > until)
			return -ETIMEDOUT;
		oli_service_kick_peer(m, slot);
		futex_wait(&s->agent, state, WAIT_MS);
	}
	return -ESRCH;
}

/* Wait while the mailbox is at REQUEST. Return: 0 or -ESRCH. */
static int await(struct oli_machine *m, struct mailbox *box, u16 slot, u32 gen)
{
	u64 spin_until = oli_now() + SPIN_NS;

	while (atomic_load_explicit(&box->state, memory_order_acquire) == REQUEST) {
		if (oli_now() < spin_until)
			continue;
		futex_wait(&box->state, REQUEST, WAIT_MS);
		if (box->state == REQUEST && !oli_slot_alive(m, slot, gen))
			return -ESRCH;
	}
	return box->state == STOP ? -ESRCH : 0;
}

static int request(struct oli_machine *m, struct oli_move *mv, struct mailbox *box, u64 addr, u32 len)
{
	u32 idle = box->state;
	int err;

	box->to_target = mv->to_remote;
	box->addr = addr;
	box->len = len;
	if (idle == STOP || !atomic_compare_exchange_strong(&box->state, &idle, REQUEST))
		return -ESRCH;
	futex_wake(&box->state);
	err = await(m, box, mv->slot, mv->gen);
	if (!err && box->result) {
		mv->bad_side = OLI_SIDE_REMOTE;
		mv->bad_addr = addr;
		err = -EFAULT;
	}
	return err;
}

static int local_copy(struct oli_machine *m, struct oli_move *mv, u64 off, u64 n, bool into_file)
{
	u64 addr = (u64)(uintptr_t)mv->local->iov_base;
	int err = file_copy(m->fd, off, addr, n, into_file);

	if (err) {
		mv->bad_side = OLI_SIDE_LOCAL;
		mv->bad_addr = addr;
	}
	return err;
}

/* The longest piece that lies within one element of either list. */
static u64 next_piece(const struct oli_move *mv)
{
	u64 n = mv->len < PIECE ? mv->len : PIECE;

	if (mv->local->iov_len < n)
		n = mv->local->iov_len;
	return mv->remote->iov_len < n ? mv->remote->iov_len : n;
}

static void advance(struct oli_move *mv, u64 n)
{
	mv->len -= n;
	if (!mv->len)
		return;
	oli_iov_skip(&mv->local, &mv->nlocal, n);
	oli_iov_skip(&mv->remote, &mv->nremote, n);
}

int oli_ring_move(struct oli_machine *m, struct oli_move *mv)
{
	u64 off = oli_slot(m, mv->slot)->mailbox;
	struct mailbox *box = oli_ptr_checked(m, off, sizeof(*box));
	int err = 0;

	if (!off || !box)
		return -ESRCH;
	if (oli_lock(&box->lock))
		err = await(m, box, mv->slot, mv->gen);
	while (!err && mv->len) {
		u64 n = next_piece(mv), there = (u64)(uintptr_t)mv->remote->iov_base;

		if (n && mv->to_remote)
			err = local_copy(m, mv, data_off(off), n, true);
		if (n && !err)
			err = request(m, mv, box, there, (u32)n);
		if (n && !err && !mv->to_remote)
			err = local_copy(m, mv, data_off(off), n, false);
		if (!err)
			advance(mv, n);
	}
	oli_unlock(&box->lock);
	return err;
}

/* Through a scratch page run of the heap, by this thread alone. */
int oli_self_move(struct oli_machine *m, struct oli_move *mv)
{
	int err;
	u64 off;

	err = oli_heap_alloc(m, PIECE, m->slot, &off);
	if (err)
		return err;
	while (!err && mv->len) {
		u64 n = next_piece(mv), there = (u64)(uintptr_t)mv->remote->iov_base;

		if (mv->to_remote)
			err = local_copy(m, mv, off, n, true);
		if (!err) {
			err = file_copy(m->fd, off, there, n, !mv->to_remote);
			mv->bad_side = err ? OLI_SIDE_REMOTE : OLI_SIDE_NONE;
			mv->bad_addr = there;
		}
		if (!err && !mv->to_remote)
			err = local_copy(m, mv, off, n, false);
		if (!err)
			advance(mv, n);
	}
	oli_heap_free(m, off, PIECE);
	return err;
}
