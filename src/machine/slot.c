// SPDX-License-Identifier: MIT
/*
 * Slots and the reaper.
 *
 * A slot's life: FREE -> TAKEN (byte locked, being filled) -> LIVE -> FREE.
 * Whether its process lives is never read from memory: the kernel's lock on the
 * slot's byte says it. A slot that is not FREE and whose byte is unlocked
 * belongs to a dead process: it becomes DEAD, all parts free what it owned, its
 * pages go back, and then it is FREE. If the reaper dies on the way, the slot is
 * still DEAD and the next one begins again.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/rand.h"
#include "base/sys.h"
#include "machine/event.h"
#include "machine/slot.h"

static struct flock slot_range(u16 slot, short type)
{
	return (struct flock){.l_type = type,
			      .l_whence = SEEK_SET,
			      .l_start = (off_t)(OLI_SLOT_LOCK_BASE + slot),
			      .l_len = 1};
}

/* Does anybody else hold the slot's byte? */
static bool byte_locked(struct oli_machine *m, u16 slot)
{
	struct flock fl = slot_range(slot, F_WRLCK);

	return oli_sys_fcntl_lock(m->fd, F_OFD_GETLK, &fl) == 0 && fl.l_type != F_UNLCK;
}

static bool is_own(struct oli_machine *m, u16 slot)
{
	return m->gen && slot == m->slot;
}

bool oli_slot_alive(struct oli_machine *m, u16 slot, u32 gen)
{
	struct oli_slot *s;

	if (slot >= OLI_SLOTS)
		return false;
	s = oli_slot(m, slot);
	if (s->gen != gen || s->state == OLI_SLOT_FREE || s->state == OLI_SLOT_DEAD)
		return false;
	return is_own(m, slot) || byte_locked(m, slot);
}

bool oli_slots_any_alive(struct oli_machine *m)
{
	for (u16 i = 0; i < OLI_SLOTS; i++)
		if (!is_own(m, i) && byte_locked(m, i))
			return true;
	return false;
}

static void reap_slot(struct oli_machine *m, u16 i)
{
	struct oli_slot *s = oli_slot(m, i);

	for (int p = 0; m->parts[p]; p++)
		m->parts[p]->reap(m, oli_part_root(m, p), i);
	oli_event_reap(m, i);
	oli_heap_free_owner(m, i);
	for (int h = 0; h < OLI_HAZARDS; h++)
		atomic_store(&s->hazard[h], 0);
}

/* shm->lock is held. */
static void reap_dead(struct oli_machine *m)
{
	for (u16 i = 0; i < OLI_SLOTS; i++) {
		struct oli_slot *s = oli_slot(m, i);

		if (s->state == OLI_SLOT_FREE || is_own(m, i) || byte_locked(m, i))
			continue;
		atomic_store(&s->state, OLI_SLOT_DEAD);
		/* It reads and writes nothing any more: let deregistrations pass. */
		for (int h = 0; h < OLI_HAZARDS; h++)
			atomic_store(&s->hazard[h], 0);
		reap_slot(m, i);
		atomic_store(&s->state, OLI_SLOT_FREE);
	}
}

void oli_reap(struct oli_machine *m)
{
	/* A reaper that died left slots DEAD; they are done again from the start. */
	(void)!oli_lock(&m->shm->lock);
	reap_dead(m);
	oli_unlock(&m->shm->lock);
}

static u64 pid_namespace(void)
{
	struct stat st;

	return stat("/proc/self/ns/pid", &st) == 0 ? (u64)st.st_ino : 0;
}

static void fill_slot(struct oli_machine *m, struct oli_slot *s, bool observer)
{
	const char *run = getenv("OLIO_RUN");
	u32 gen = s->gen + 1;

	memset((u8 *)s + sizeof(s->state), 0, sizeof(*s) - sizeof(s->state));
	s->gen = gen ? gen : 1;
	s->pid = getpid();
	s->pid_ns = pid_namespace();
	s->flags = observer ? OLI_SLOT_F_OBSERVER : 0;
	s->attached_ns = oli_now();
	snprintf(s->run, sizeof(s->run), "%s", run ? run : "");
	if (oli_read_file(AT_FDCWD, "/proc/self/comm", s->comm, sizeof(s->comm)) < 0)
		snprintf(s->comm, sizeof(s->comm), "?");
	s->comm[strcspn(s->comm, "\n")] = '\0';
	m->probe = ((u64)oli_rand32() << 32) | oli_rand32();
	s->probe_addr = (u64)(uintptr_t)&m->probe;
	s->probe_magic = m->probe;
}

static int open_lock_fd(struct oli_machine *m)
{
	int fd = OLI_FAULT() ? -EMFILE : oli_sys_openat(m->dirfd, "machine", O_RDWR | O_NOFOLLOW, 0);

	if (fd < 0)
		return fd;
	m->lock_fd = oli_fd_to_high(fd);
	return 0;
}

static void close_lock_fd(struct oli_machine *m)
{
	oli_fd_close_high(m->lock_fd);
	m->lock_fd = -1;
}

int oli_slot_take(struct oli_machine *m, bool observer)
{
	int err = open_lock_fd(m);

	if (err)
		return err;
	err = -ENOSPC;
	(void)!oli_lock(&m->shm->lock);
	for (u16 i = 0; i < OLI_SLOTS && err == -ENOSPC; i++) {
		struct oli_slot *s = oli_slot(m, i);
		struct flock fl = slot_range(i, F_WRLCK);

		if (s->state != OLI_SLOT_FREE || OLI_FAULT())
			continue;
		err = oli_sys_fcntl_lock(m->lock_fd, F_OFD_SETLK, &fl);
		if (err) {
			/* Somebody's forked child still holds it: not ours to use. */
			err = err == -EAGAIN || err == -EACCES ? -ENOSPC : err;
			continue;
		}
		atomic_store(&s->state, OLI_SLOT_TAKEN);
		fill_slot(m, s, observer);
		m->slot = i;
		m->gen = s->gen;
	}
	oli_unlock(&m->shm->lock);
	if (err)
		close_lock_fd(m);
	return err;
}

void oli_slot_publish(struct oli_machine *m)
{
	atomic_store(&oli_slot(m, m->slot)->state, OLI_SLOT_LIVE);
}

void oli_slot_suspend(struct oli_machine *m, bool on)
{
	atomic_store(&oli_slot(m, m->slot)->state, on ? OLI_SLOT_TAKEN : OLI_SLOT_LIVE);
}

void oli_slot_reap_own(struct oli_machine *m)
{
	(void)!oli_lock(&m->shm->lock);
	reap_slot(m, m->slot);
	oli_unlock(&m->shm->lock);
}

void oli_slot_give(struct oli_machine *m)
{
	struct flock fl = slot_range(m->slot, F_UNLCK);

	(void)!oli_lock(&m->shm->lock);
	atomic_store(&oli_slot(m, m->slot)->state, OLI_SLOT_FREE);
	m->gen = 0;
	oli_sys_fcntl_lock(m->lock_fd, F_OFD_SETLK, &fl);
	close_lock_fd(m);
	oli_unlock(&m->shm->lock);
}
