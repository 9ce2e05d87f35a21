// SPDX-License-Identifier: MIT
/*
 * Machines of one's own: their directory, and their clock.
 *
 * A private machine lies beside the named ones in "private-XXXXXX". Since nobody will
 * ever ask for that name again, one whose processes were all killed would lie there
 * for good: whoever makes a private machine removes those first. That takes the same
 * lock as attaching does, so none is removed that somebody is about to enter; one whose
 * maker has not come as far as the lock is made again by him (oli_dir_open()).
 */
#include <dirent.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/sys.h"
#include "machine/file.h"

#define WHY(...) snprintf(why, OLI_WHY_MAX, __VA_ARGS__)
#define PREFIX	 "private-"

/* Does no process hold a slot of the machine in @dirfd? */
static bool is_dead(int dirfd)
{
	struct flock fl = {.l_type = F_WRLCK,
			   .l_whence = SEEK_SET,
			   .l_start = (off_t)OLI_SLOT_LOCK_BASE,
			   .l_len = OLI_SLOTS};
	int fd = oli_sys_openat(dirfd, "machine", O_RDWR | O_NOFOLLOW, 0);
	bool dead;

	if (fd < 0)
		return fd == -ENOENT;
	dead = oli_sys_fcntl_lock(fd, F_OFD_GETLK, &fl) == 0 && fl.l_type == F_UNLCK;
	oli_sys_close(fd);
	return dead;
}

static void remove_if_dead(const char *dir)
{
	char why[OLI_WHY_MAX];
	int dirfd;

	if (oli_dir_open(dir, false, &dirfd, why))
		return;
	if (flock(dirfd, LOCK_EX | LOCK_NB) == 0 && is_dead(dirfd))
		oli_dir_remove(dirfd, dir);
	oli_fd_close_high(dirfd);
}

static void remove_dead(const char *base)
{
	DIR *d = opendir(base);
	struct dirent *e;
	char dir[256];

	while (d && (e = readdir(d)))
		if (!strncmp(e->d_name, PREFIX, strlen(PREFIX)) &&
		    snprintf(dir, sizeof(dir), "%s/%s", base, e->d_name) < (int)sizeof(dir))
			remove_if_dead(dir);
	if (d)
		closedir(d);
}

int oli_dir_make_private(char dir[256], char *why)
{
	int err = oli_dir_resolve("private", dir, true, why);
	char *slash = err ? NULL : strrchr(dir, '/');

	if (err)
		return err;
	*slash = '\0';
	remove_dead(dir);
	strcpy(slash, "/" PREFIX "XXXXXX");
	if (OLI_FAULT())
		errno = ENOSPC;
	else if (mkdtemp(dir))
		return 0;
	err = -errno;
	*slash = '\0';
	WHY("cannot make a directory in %s: %s", dir, strerror(-err));
	return err;
}

/* ---- the clock ---- */

int oli_machine_freeze(struct oli_machine *m)
{
	u64 runs = 0;

	if (!(m->shm->flags & OLI_MACHINE_F_PRIVATE))
		return -EPERM;
	atomic_compare_exchange_strong(&m->shm->frozen_ns, &runs, oli_now());
	return 0;
}

int oli_machine_advance(struct oli_machine *m, u64 ns)
{
	u64 now = atomic_load(&m->shm->frozen_ns), then;

	if (!(m->shm->flags & OLI_MACHINE_F_PRIVATE))
		return -EPERM;
	if (!now)
		return -EINVAL;
	do
		then = ns > UINT64_MAX - now ? UINT64_MAX : now + ns;
	while (!atomic_compare_exchange_weak(&m->shm->frozen_ns, &now, then));
	for (u16 i = 0; i < OLI_SLOTS; i++)
		if (atomic_load(&oli_slot(m, i)->state) == OLI_SLOT_LIVE)
			oli_service_kick_peer(m, i);
	return 0;
}
