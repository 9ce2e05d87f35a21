// SPDX-License-Identifier: MIT
/*
 * An open /dev/infiniband/uverbsN.
 *
 * The number that the program holds is a descriptor of the machine file itself,
 * so that its provider library maps shared queues with plain mmap(fd, offset).
 * The open file has a context once GET_CONTEXT made one; everything that the
 * program creates belongs to that and goes with it at the last close.
 *
 * Invariants:
 *   - memory of a file is never given back: a write() that races with the last
 *     close() finds a file without context and answers EINVAL
 *   - @ctx changes under @lock and is read without: the doorbell takes no lock
 *   - in a forked child all inherited files are dead: each call answers EIO, as
 *     on a device that was taken away. The queues they map belong to the parent
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/sysinfo.h>
#include <sys/sysmacros.h>

#include "base/fault.h"
#include "base/sys.h"
#include "uapi/thread.h"
#include "uapi/ufile.h"

static pthread_mutex_t pool_lock = PTHREAD_MUTEX_INITIALIZER;
static struct oli_ufile *pool_free, *pool_all; /* pool_lock */

static struct oli_ufile *pool_take(void)
{
	struct oli_ufile *f;

	pthread_mutex_lock(&pool_lock);
	f = pool_free;
	if (f) {
		pool_free = f->next_free;
	} else if (!OLI_FAULT()) {
		f = calloc(1, sizeof(*f));
		if (f) {
			pthread_mutex_init(&f->lock, NULL);
			f->dead = true;
			f->next_all = pool_all;
			pool_all = f;
		}
	}
	pthread_mutex_unlock(&pool_lock);
	return f;
}

static void pool_give(struct oli_ufile *f)
{
	pthread_mutex_lock(&pool_lock);
	f->next_free = pool_free;
	pool_free = f;
	pthread_mutex_unlock(&pool_lock);
}

/* The last number of the file is gone. */
static void ufile_release(struct oli_fd *obj)
{
	struct oli_ufile *f = (struct oli_ufile *)obj;
	struct oli_ctx *ctx;
	bool dead;

	oli_thread_enter();
	pthread_mutex_lock(&f->lock);
	dead = f->dead;
	ctx = atomic_exchange(&f->ctx, NULL);
	f->gen++;
	pthread_mutex_unlock(&f->lock);
	if (ctx && !dead)
		oli_ctx_destroy(f->m, ctx);
	oli_thread_leave();
	pool_give(f);
}

/* The program's descriptor of the machine file, close-on-exec only if it asked. */
static int ufile_fd(struct oli_machine *m, int flags)
{
	int fd = oli_sys_openat(m->dirfd, "machine", O_RDWR | O_CLOEXEC, 0);

	if (fd >= OLI_FD_MAX) {
		oli_sys_close(fd);
		return -EMFILE;
	}
	if (fd >= 0 && !(flags & O_CLOEXEC))
		oli_sys_fcntl(fd, F_SETFD, 0);
	return fd;
}

int oli_ufile_open(u32 index, int flags, struct oli_ufile **out, int *fd)
{
	struct oli_machine *m = oli_process_machine();
	struct oli_ufile *f;
	int rc;

	if (!m)
		return -ENODEV;
	if (!oli_device_visible(m, index))
		return -ENXIO;
	f = pool_take();
	if (!f)
		return -ENOMEM;
	rc = ufile_fd(m, flags);
	if (rc < 0) {
		pool_give(f);
		return rc;
	}
	pthread_mutex_lock(&f->lock);
	f->fd = (struct oli_fd){.kind = OLI_FD_UFILE, .refs = 1, .release = ufile_release};
	f->m = m;
	f->device = index;
	f->gen++;
	f->dead = false;
	pthread_mutex_unlock(&f->lock);
	*out = f;
	*fd = rc;
	return 0;
}

struct oli_ufile *oli_ufile_get(struct oli_ufile *f)
{
	atomic_fetch_add(&f->fd.refs, 1);
	return f;
}

void oli_ufile_put(struct oli_ufile *f)
{
	if (atomic_fetch_sub(&f->fd.refs, 1) == 1)
		f->fd.release(&f->fd);
}

dev_t oli_ufile_rdev(const struct oli_ufile *f)
{
	return makedev(OLI_UVERBS_MAJOR, OLI_UVERBS_MINOR + f->device);
}

int oli_ufile_set_ctx(struct oli_ufile *f, struct oli_ctx *ctx)
{
	int rc = -EINVAL;

	pthread_mutex_lock(&f->lock);
	if (!oli_ufile_ctx(f) && !f->dead) {
		atomic_store_explicit(&f->ctx, ctx, memory_order_release);
		rc = 0;
	}
	pthread_mutex_unlock(&f->lock);
	return rc;
}

u32 oli_comp_vectors(void)
{
	static _Atomic int vectors;

	if (!vectors)
		vectors = get_nprocs_conf();
	return (u32)vectors;
}

static void kill_locked(void)
{
	struct oli_ufile *f;

	for (f = pool_all; f; f = f->next_all) {
		f->dead = true;
		atomic_store(&f->ctx, NULL);
	}
}

void oli_ufile_kill_all(void)
{
	pthread_mutex_lock(&pool_lock);
	kill_locked();
	pthread_mutex_unlock(&pool_lock);
}

void oli_ufile_fork_prepare(void)
{
	pthread_mutex_lock(&pool_lock);
}

void oli_ufile_fork_parent(void)
{
	pthread_mutex_unlock(&pool_lock);
}

/* A thread of the parent may have held a file's lock: the child starts with fresh ones. */
void oli_ufile_fork_child(void)
{
	struct oli_ufile *f;

	pthread_mutex_init(&pool_lock, NULL);
	for (f = pool_all; f; f = f->next_all)
		pthread_mutex_init(&f->lock, NULL);
	kill_locked();
}
