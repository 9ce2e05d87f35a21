// SPDX-License-Identifier: MIT
/*
 * Event pipes.
 *
 * A pipe is the file "ev-SLOT-ID-GEN" in the machine's directory. Everybody,
 * the owner included, opens it for reading and writing at once and non-blocking:
 * such an open never waits, a write never raises SIGPIPE, and the program's own
 * read end never sees an end of file. Open numbers are kept in a small hash;
 * those of other processes' pipes are thrown away when there are many, for they
 * can always be opened again.
 *
 * @lock guards the hash and is held over the write: a number may not be closed
 * and reused in between.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/sys.h"
#include "machine/event.h"

#define BUCKETS 256
#define FOREIGN_MAX 256
#define EVENT_MAX 16

struct pipe {
	struct pipe *next;
	u32 id, gen;
	u16 slot;
	bool own;
	int fd;
};

struct oli_events {
	pthread_mutex_t lock;
	struct pipe *bucket[BUCKETS];
	u32 nr_foreign;
};

static void pipe_name(char name[48], u16 slot, u32 id, u32 gen)
{
	snprintf(name, 48, "ev-%u-%x-%x", slot, id, gen);
}

static struct pipe **find(struct oli_events *ev, u16 slot, u32 id, u32 gen)
{
	struct pipe **p = &ev->bucket[(id * 31 + gen + slot) % BUCKETS];

	while (*p && ((*p)->id != id || (*p)->gen != gen || (*p)->slot != slot))
		p = &(*p)->next;
	return p;
}

static void drop(struct oli_events *ev, struct pipe **p)
{
	struct pipe *dead = *p;

	*p = dead->next;
	if (!dead->own)
		ev->nr_foreign--;
	oli_fd_close_high(dead->fd);
	free(dead);
}

static void drop_all(struct oli_events *ev, bool own_too)
{
	for (int i = 0; i < BUCKETS; i++) {
		struct pipe **p = &ev->bucket[i];

		while (*p) {
			if ((*p)->own && !own_too)
				p = &(*p)->next;
			else
				drop(ev, p);
		}
	}
}

int oli_events_init(struct oli_machine *m)
{
	struct oli_events *ev = OLI_FAULT() ? NULL : calloc(1, sizeof(*ev));

	if (!ev)
		return -ENOMEM;
	pthread_mutex_init(&ev->lock, NULL);
	m->events = ev;
	return 0;
}

void oli_events_fini(struct oli_machine *m)
{
	if (!m->events)
		return;
	drop_all(m->events, true);
	pthread_mutex_destroy(&m->events->lock);
	free(m->events);
	m->events = NULL;
}

void oli_events_forget(struct oli_machine *m)
{
	/* The parent's mutex may be held by a thread that does not exist here: not touched. */
	if (m->events)
		drop_all(m->events, true);
	m->events = NULL;
}

/* Open the pipe and remember it. events lock is held. */
static int open_pipe(struct oli_machine *m, u16 slot, u32 id, u32 gen, bool own, int *fdp)
{
	struct oli_events *ev = m->events;
	struct pipe *p = OLI_FAULT() ? NULL : malloc(sizeof(*p));
	struct pipe **at;
	char name[48];
	int fd;

	if (!p)
		return -ENOMEM;
	if (!own && ev->nr_foreign >= FOREIGN_MAX)
		drop_all(ev, false);
	pipe_name(name, slot, id, gen);
	fd = oli_sys_openat(m->dirfd, name, O_RDWR | O_NONBLOCK | O_NOFOLLOW, 0);
	if (fd < 0) {
		free(p);
		return fd;
	}
	at = &ev->bucket[(id * 31 + gen + slot) % BUCKETS];
	*p = (struct pipe){.next = *at, .id = id, .gen = gen, .slot = slot, .own = own,
			   .fd = oli_fd_to_high(fd)};
	*at = p;
	if (!own)
		ev->nr_foreign++;
	*fdp = p->fd;
	return 0;
}

int oli_event_create_inner(struct oli_machine *m, u32 id, u32 gen)
{
	char name[48];
	int fd, err;

	pipe_name(name, m->slot, id, gen);
	if (OLI_FAULT())
		return -ENOSPC;
	/* A left-over of a process that died between mkfifo and its slot's reaping. */
	unlinkat(m->dirfd, name, 0);
	if (mkfifoat(m->dirfd, name, 0600) < 0)
		return -errno;
	pthread_mutex_lock(&m->events->lock);
	err = open_pipe(m, m->slot, id, gen, true, &fd);
	pthread_mutex_unlock(&m->events->lock);
	if (err)
		unlinkat(m->dirfd, name, 0);
	return err;
}

int oli_event_create(struct oli_machine *m, u32 id, u32 gen, int *fd)
{
	int err = oli_event_create_inner(m, id, gen), end;
	char name[48];

	if (err)
		return err;
	pipe_name(name, m->slot, id, gen);
	end = OLI_FAULT() ? -EMFILE : oli_sys_openat(m->dirfd, name, O_RDONLY, 0);
	if (end < 0) {
		oli_event_destroy(m, m->slot, id, gen);
		return end;
	}
	*fd = end;
	return 0;
}

int oli_event_own_fd(struct oli_machine *m, u32 id, u32 gen)
{
	struct pipe **p;
	int fd;

	pthread_mutex_lock(&m->events->lock);
	p = find(m->events, m->slot, id, gen);
	fd = *p ? (*p)->fd : -ENOENT;
	pthread_mutex_unlock(&m->events->lock);
	return fd;
}

int oli_event_send(struct oli_machine *m, u16 slot, u32 id, u32 gen, const void *event, size_t len)
{
	struct pipe **p;
	ssize_t n;
	int fd;

	pthread_mutex_lock(&m->events->lock);
	p = find(m->events, slot, id, gen);
	n = 0;
	if (*p)
		fd = (*p)->fd;
	else
		n = open_pipe(m, slot, id, gen, false, &fd);
	if (!n)
		n = oli_sys_write(fd, event, len);
	pthread_mutex_unlock(&m->events->lock);
	return n < 0 ? (int)n : 0;
}

u32 oli_event_purge(struct oli_machine *m, u32 id, u32 gen, size_t len,
		    bool (*unwanted)(void *arg, const void *event), void *arg)
{
	u8 *keep = malloc(65536);
	size_t kept = 0;
	struct pipe **p;
	u32 gone = 0;

	pthread_mutex_lock(&m->events->lock);
	p = find(m->events, m->slot, id, gen);
	while (keep && *p && kept + len <= 65536) {
		if (oli_sys_read((*p)->fd, keep + kept, len) != (ssize_t)len)
			break;
		if (unwanted(arg, keep + kept))
			gone++;
		else
			kept += len;
	}
	for (size_t off = 0; off < kept; off += len)
		(void)!oli_sys_write((*p)->fd, keep + off, len);
	pthread_mutex_unlock(&m->events->lock);
	free(keep);
	return gone;
}

void oli_event_destroy(struct oli_machine *m, u16 slot, u32 id, u32 gen)
{
	struct pipe **p;
	char name[48];

	if (m->events) {
		pthread_mutex_lock(&m->events->lock);
		p = find(m->events, slot, id, gen);
		if (*p)
			drop(m->events, p);
		pthread_mutex_unlock(&m->events->lock);
	}
	pipe_name(name, slot, id, gen);
	unlinkat(m->dirfd, name, 0);
}

void oli_event_reap(struct oli_machine *m, u16 slot)
{
	int fd = oli_sys_openat(m->dirfd, ".", O_RDONLY | O_DIRECTORY, 0);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	char prefix[16];
	struct dirent *e;

	if (!d)
		return;
	snprintf(prefix, sizeof(prefix), "ev-%u-", slot);
	while ((e = readdir(d)))
		if (!strncmp(e->d_name, prefix, strlen(prefix)))
			unlinkat(m->dirfd, e->d_name, 0);
	closedir(d);
}
