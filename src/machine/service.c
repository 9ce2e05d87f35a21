// SPDX-License-Identifier: MIT
/*
 * The service thread: what no doorbell does.
 *
 * One a process, blocked in poll() unless there is something to do: a kick
 * through its pipe, a deadline of a part, the death of a watched process. Deaths
 * come through pidfds; a process that cannot be watched that way (another pid
 * namespace, too many files) is looked at every WATCH_POLL_MS.
 *
 * The handshake with kicks: the thread clears slot->awake, then looks at all its
 * work, then sleeps; a kicker sets awake and writes to the pipe only if it was
 * clear. Work that was there before the look is seen by it, later work rings.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/sys.h"
#include "machine/event.h"
#include "machine/machine.h"

#define WAKE_ID 0xffffffffu
#define WATCH_POLL_MS 50

struct watch {
	u16 slot;
	u32 gen;
	int pidfd; /* or -1 */
	bool ended; /* so says the pidfd */
};

struct oli_service {
	pthread_t thread;
	pthread_mutex_t lock; /* guards the watches */
	struct watch watch[OLI_SLOTS];
	int nr_watches;
	_Atomic bool stop;
};

static u64 run_ticks(struct oli_machine *m)
{
	u64 first = 0, now = oli_machine_now(m);

	for (int i = 0; m->parts[i]; i++) {
		u64 at = 0;

		if (m->parts[i]->tick)
			at = m->parts[i]->tick(m, oli_part_root(m, i), m->local[i], now);
		if (at && (!first || at < first))
			first = at;
	}
	return first;
}

/* Take one dead watch off the list. Return: false if all live. */
static bool next_dead(struct oli_machine *m, struct oli_service *sv, u16 *slot, u32 *gen)
{
	bool found = false;

	pthread_mutex_lock(&sv->lock);
	for (int i = 0; i < sv->nr_watches && !found; i++) {
		struct watch w = sv->watch[i];

		if (oli_slot_alive(m, w.slot, w.gen)) {
			/* A child that it forked behind our back holds its lock: no use to poll. */
			if (w.ended && w.pidfd >= 0) {
				oli_fd_close_high(w.pidfd);
				sv->watch[i].pidfd = -1;
			}
			continue;
		}
		if (w.pidfd >= 0)
			oli_fd_close_high(w.pidfd);
		sv->watch[i] = sv->watch[--sv->nr_watches];
		*slot = w.slot;
		*gen = w.gen;
		found = true;
	}
	pthread_mutex_unlock(&sv->lock);
	return found;
}

static void bury_dead(struct oli_machine *m, struct oli_service *sv)
{
	u16 slot;
	u32 gen;

	while (next_dead(m, sv, &slot, &gen)) {
		oli_reap(m);
		for (int i = 0; m->parts[i]; i++)
			if (m->parts[i]->peer_gone)
				m->parts[i]->peer_gone(m, oli_part_root(m, i), m->local[i], slot,
						       gen);
	}
}

/* Fill @pfd; *@blind: somebody must be looked at by time. */
static unsigned int collect(struct oli_machine *m, struct oli_service *sv, struct pollfd *pfd,
			    bool *blind)
{
	unsigned int n = 0;

	*blind = false;
	pfd[n++] = (struct pollfd){.fd = oli_event_own_fd(m, WAKE_ID, m->gen), .events = POLLIN};
	pthread_mutex_lock(&sv->lock);
	for (int i = 0; i < sv->nr_watches; i++) {
		if (sv->watch[i].pidfd < 0)
			*blind = true;
		else
			pfd[n++] = (struct pollfd){.fd = sv->watch[i].pidfd, .events = POLLIN};
	}
	pthread_mutex_unlock(&sv->lock);
	return n;
}

static void note_ends(struct oli_service *sv, const struct pollfd *pfd, unsigned int n)
{
	pthread_mutex_lock(&sv->lock);
	for (int i = 0; i < sv->nr_watches; i++)
		for (unsigned int k = 1; k < n; k++)
			if (pfd[k].revents && pfd[k].fd == sv->watch[i].pidfd)
				sv->watch[i].ended = true;
	pthread_mutex_unlock(&sv->lock);
}

static void sleep_until(struct oli_machine *m, struct oli_service *sv, u64 deadline)
{
	struct pollfd pfd[OLI_SLOTS + 1];
	s64 timeout = -1;
	u8 drain[64];
	bool blind;
	unsigned int n = collect(m, sv, pfd, &blind);
	u64 now = oli_machine_now(m);

	if (deadline)
		timeout = deadline > now ? (s64)(deadline - now) : 0;
	/* A stopped clock never gets there; who turns it on kicks. */
	if (timeout > 0 && atomic_load(&m->shm->frozen_ns))
		timeout = -1;
	if (blind && (timeout < 0 || timeout > (s64)(WATCH_POLL_MS * OLI_NS_PER_MS)))
		timeout = WATCH_POLL_MS * OLI_NS_PER_MS;
	if (oli_sys_poll(pfd, n, timeout) <= 0)
		return;
	note_ends(sv, pfd, n);
	if (pfd[0].revents & POLLIN)
		while (oli_sys_read(pfd[0].fd, drain, sizeof(drain)) == sizeof(drain))
			;
}

static void *service_main(void *arg)
{
	struct oli_machine *m = arg;
	struct oli_service *sv = m->service;
	struct oli_slot *self = oli_slot(m, m->slot);

	pthread_setname_np(pthread_self(), "olio");
	while (!atomic_load(&sv->stop)) {
		u64 deadline;

		atomic_store(&self->awake, 0);
		bury_dead(m, sv);
		deadline = run_ticks(m);
		if (!atomic_load(&sv->stop))
			sleep_until(m, sv, deadline);
	}
	return NULL;
}

/* The thread takes no signal: they are the program's. */
static int start_thread(struct oli_machine *m, struct oli_service *sv)
{
	sigset_t all, old;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = OLI_FAULT() ? EAGAIN : pthread_create(&sv->thread, NULL, service_main, m);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -err;
}

int oli_service_start(struct oli_machine *m)
{
	struct oli_service *sv = OLI_FAULT() ? NULL : calloc(1, sizeof(*sv));
	int err;

	if (!sv)
		return -ENOMEM;
	pthread_mutex_init(&sv->lock, NULL);
	err = oli_event_create_inner(m, WAKE_ID, m->gen);
	if (err) {
		free(sv);
		return err;
	}
	m->service = sv;
	err = start_thread(m, sv);
	if (err) {
		m->service = NULL;
		oli_event_destroy(m, m->slot, WAKE_ID, m->gen);
		free(sv);
	}
	return err;
}

void oli_service_stop(struct oli_machine *m)
{
	struct oli_service *sv = m->service;

	if (!sv)
		return;
	atomic_store(&sv->stop, true);
	oli_service_kick(m);
	pthread_join(sv->thread, NULL);
	for (int i = 0; i < sv->nr_watches; i++)
		if (sv->watch[i].pidfd >= 0)
			oli_fd_close_high(sv->watch[i].pidfd);
	oli_event_destroy(m, m->slot, WAKE_ID, m->gen);
	pthread_mutex_destroy(&sv->lock);
	free(sv);
	m->service = NULL;
}

void oli_service_kick_peer(struct oli_machine *m, u16 slot)
{
	struct oli_slot *s;
	u8 byte = 1;

	if (slot >= OLI_SLOTS)
		return;
	s = oli_slot(m, slot);
	if (atomic_exchange(&s->awake, 1) == 0)
		(void)!oli_event_send(m, slot, WAKE_ID, s->gen, &byte, 1);
}

void oli_service_kick(struct oli_machine *m)
{
	oli_service_kick_peer(m, m->slot);
}

static int open_pidfd(struct oli_machine *m, u16 slot)
{
	struct oli_slot *s = oli_slot(m, slot);
	int fd;

	if (s->pid_ns != oli_slot(m, m->slot)->pid_ns)
		return -1;
	fd = oli_sys_pidfd_open(s->pid);
	return fd < 0 ? -1 : oli_fd_to_high(fd);
}

void oli_service_watch(struct oli_machine *m, u16 slot, u32 gen)
{
	struct oli_service *sv = m->service;
	bool known = !sv || slot >= OLI_SLOTS || (slot == m->slot && gen == m->gen);

	if (known)
		return;
	pthread_mutex_lock(&sv->lock);
	for (int i = 0; i < sv->nr_watches && !known; i++)
		known = sv->watch[i].slot == slot && sv->watch[i].gen == gen;
	if (!known && sv->nr_watches < OLI_SLOTS)
		sv->watch[sv->nr_watches++] =
			(struct watch){.slot = slot, .gen = gen, .pidfd = open_pidfd(m, slot)};
	pthread_mutex_unlock(&sv->lock);
	/* It may have died before its pidfd was opened, and the thread may be asleep. */
	if (!known)
		oli_service_kick(m);
}
