// SPDX-License-Identifier: MIT
/*
 * Attach and detach.
 *
 * Both run under flock() on the machine's directory, so of two processes that
 * come at once one creates and the other finds; the last one out removes the
 * directory, and who waited for the lock meanwhile sees a directory without
 * links and starts over. A machine in which nobody is alive is made anew: what
 * killed processes left there is of no use to anybody.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/rand.h"
#include "base/sys.h"
#include "machine/event.h"
#include "machine/file.h"
#include "machine/slot.h"

#define WHY(...) snprintf(why, OLI_WHY_MAX, __VA_ARGS__)

/* Lock the directory. Return: 0, -ESTALE if it was removed while we waited. */
static int lock_dir(int dirfd)
{
	struct stat st;
	int err;

	do
		err = flock(dirfd, LOCK_EX) < 0 ? -errno : 0;
	while (err == -EINTR);
	if (!err && (oli_sys_fstat(dirfd, &st) < 0 || st.st_nlink == 0))
		err = -ESTALE;
	return err;
}

/* What the caller wants the machine to be. */
struct wish {
	bool binding;	      /* he asked for it */
	struct oli_desc desc; /* if binding, or once it is needed */
};

static int unknown_type(const char *type, char *why)
{
	const struct oli_desc *d;
	size_t n;

	WHY("there is no machine type '%.60s'; there are", type);
	for (u32 i = 0; (d = oli_desc_at(i)); i++) {
		n = strlen(why);
		snprintf(why + n, OLI_WHY_MAX - n, "%s %s", i ? "," : "", d->type);
	}
	return -ENOENT;
}

static int fill_wish(const struct oli_machine_opts *opts, struct wish *wish, char *why)
{
	const char *type = opts->type ? opts->type : getenv("OLIO_MACHINE_TYPE");
	char text[OLI_DESC_WHY];
	int err;

	if (opts->desc) {
		wish->desc = *opts->desc;
		err = oli_desc_check(&wish->desc, text);
		if (err)
			WHY("the machine's description is wrong: %s", text);
		return err;
	}
	if (!type || !*type)
		type = "pc";
	return oli_desc_builtin(type, &wish->desc) ? unknown_type(type, why) : 0;
}

/* There is a machine: is it the one that was asked for? */
static int compare_wish(struct oli_machine *m, const struct oli_machine_opts *opts,
			const struct wish *wish, char *why)
{
	const char *type = m->shm->desc.type;
	struct oli_desc *have;
	bool same;

	if (!wish->binding)
		return 0;
	if (strcmp(type, wish->desc.type)) {
		WHY("the machine in %s is of type '%s', not '%s'", m->dir, type, wish->desc.type);
		return -EEXIST;
	}
	if (!opts->desc)
		return 0;
	have = malloc(sizeof(*have));
	if (!have) {
		WHY("out of memory");
		return -ENOMEM;
	}
	/* Without what was filled in when it was made. */
	*have = m->shm->desc;
	for (u8 i = 0; i < have->nr_nodes; i++)
		for (u32 b = 0; b < OLI_BARS; b++)
			have->node[i].bar[b].off = 0;
	same = !memcmp(have, &wish->desc, sizeof(*have));
	free(have);
	if (same)
		return 0;
	WHY("the machine in %s is of type '%s', too, but was made from another description",
	    m->dir, type);
	return -EEXIST;
}

static int create(struct oli_machine *m, const struct oli_machine_opts *opts, struct wish *wish,
		  char *why)
{
	u64 size;
	int fd, err = wish->binding ? 0 : fill_wish(opts, wish, why);

	if (!err)
		err = oli_file_create(m->dirfd, m->dir, &wish->desc,
				      opts->private_dir ? OLI_MACHINE_F_PRIVATE : 0, m->parts, why);
	if (!err)
		err = oli_file_open(m->dirfd, m->dir, &fd, &size, why);
	if (err)
		return err;
	err = oli_file_map(m, fd, size, why);
	if (err)
		oli_fd_close_high(fd);
	return err;
}

static int open_or_create(struct oli_machine *m, const struct oli_machine_opts *opts,
			  struct wish *wish, char *why)
{
	u64 size;
	int fd, err;

	err = oli_file_open(m->dirfd, m->dir, &fd, &size, why);
	if (err == -ENOENT && !opts->no_create)
		return create(m, opts, wish, why);
	if (err)
		return err;
	err = oli_file_map(m, fd, size, why);
	if (err) {
		oli_fd_close_high(fd);
		return err;
	}
	if (opts->no_create || oli_slots_any_alive(m))
		return compare_wish(m, opts, wish, why);
	/* Everybody died: start afresh. */
	munmap(m->base, m->size);
	oli_fd_close_high(fd);
	m->base = NULL;
	oli_dir_clear(m->dirfd);
	return create(m, opts, wish, why);
}

static int attach_parts(struct oli_machine *m)
{
	int err = 0;

	for (int i = 0; m->parts[i] && !err; i++)
		if (m->parts[i]->attach)
			err = m->parts[i]->attach(m, oli_part_root(m, i), &m->local[i]);
	return err;
}

static void detach_parts(struct oli_machine *m)
{
	for (int i = 0; m->parts[i]; i++)
		if (m->parts[i]->detach && m->local[i])
			m->parts[i]->detach(m, oli_part_root(m, i), m->local[i]);
}

static void unmap(struct oli_machine *m)
{
	if (m->base)
		munmap(m->base, m->size);
	if (m->fd >= 0)
		oli_fd_close_high(m->fd);
	if (m->dirfd >= 0)
		oli_fd_close_high(m->dirfd);
	m->base = NULL;
	m->fd = m->dirfd = -1;
}

/* With the directory locked: file, slot, pipes, parts, thread. */
static int enter(struct oli_machine *m, const struct oli_machine_opts *opts, struct wish *wish,
		 char *why)
{
	int err = open_or_create(m, opts, wish, why);

	if (err)
		return err;
	oli_reap(m);
	err = oli_slot_take(m, opts->observer);
	if (err == -ENOSPC)
		WHY("the machine in %s has no free slot: %d processes are attached", m->dir,
		    OLI_SLOTS);
	else if (err)
		WHY("cannot take a slot in %s: %s", m->dir, strerror(-err));
	if (err)
		return err;
	err = oli_events_init(m);
	if (!err)
		err = attach_parts(m);
	if (!err && !opts->observer)
		err = oli_service_start(m);
	if (err) {
		WHY("cannot attach to the machine in %s: %s", m->dir, strerror(-err));
		oli_service_stop(m);
		detach_parts(m);
		oli_events_fini(m);
		oli_slot_give(m);
		return err;
	}
	oli_slot_publish(m);
	return 0;
}

/* Entering failed: a machine that was made for us alone goes; one that was refused stays. */
static void leave_nothing(struct oli_machine *m)
{
	if (!m->base)
		rmdir(m->dir); /* if it is empty */
	else if (!oli_slots_any_alive(m))
		oli_dir_remove(m->dirfd, m->dir);
}

/* The directory, by name or of its own; then in. On failure nothing is left but what was there. */
static int find_and_enter(struct oli_machine *m, const struct oli_machine_opts *opts,
			  struct wish *wish, char *why)
{
	int err = opts->private_dir ? oli_dir_make_private(m->dir, why)
				    : oli_dir_resolve(opts->name, m->dir, !opts->no_create, why);

	while (!err) {
		err = oli_dir_open(m->dir, !opts->no_create, &m->dirfd, why);
		if (err)
			break;
		err = lock_dir(m->dirfd);
		if (!err) {
			err = enter(m, opts, wish, why);
			if (err)
				leave_nothing(m);
			if (m->dirfd >= 0)
				flock(m->dirfd, LOCK_UN);
			break;
		}
		oli_fd_close_high(m->dirfd);
		m->dirfd = -1;
		err = err == -ESTALE ? 0 : err;
	}
	return err;
}

int oli_machine_open(const struct oli_machine_opts *opts, const struct oli_part *const *parts,
		     struct oli_machine **out, char *why)
{
	struct oli_machine *m = OLI_FAULT() ? NULL : calloc(1, sizeof(*m));
	struct wish *wish = OLI_FAULT() ? NULL : calloc(1, sizeof(*wish));
	int err = m && wish ? 0 : -ENOMEM;

	if (err) {
		WHY("out of memory");
	} else {
		m->parts = parts;
		m->pid = getpid();
		m->fd = m->dirfd = m->lock_fd = -1;
		wish->binding = opts->type || opts->desc;
		if (wish->binding)
			err = fill_wish(opts, wish, why);
		if (!err)
			err = find_and_enter(m, opts, wish, why);
		if (err)
			unmap(m);
	}
	free(wish);
	if (err)
		free(m);
	else
		*out = m;
	return err;
}

void oli_machine_leave(struct oli_machine *m)
{
	bool locked;

	oli_service_stop(m);
	oli_slot_reap_own(m);
	detach_parts(m);
	locked = lock_dir(m->dirfd) == 0;
	oli_events_fini(m);
	oli_slot_give(m);
	if (locked) {
		if (!oli_slots_any_alive(m))
			oli_dir_remove(m->dirfd, m->dir);
		flock(m->dirfd, LOCK_UN);
	}
}

void oli_machine_close(struct oli_machine *m)
{
	oli_machine_leave(m);
	unmap(m);
	free(m);
}

void oli_machine_forget(struct oli_machine *m)
{
	/* No thread of ours exists here, and the locks' states are the parent's. */
	oli_events_forget(m);
	oli_fd_close_high(m->fd);
	oli_fd_close_high(m->dirfd);
	oli_fd_close_high(m->lock_fd);
	m->fd = m->dirfd = m->lock_fd = -1;
}
