// SPDX-License-Identifier: MIT
/*
 * Event descriptors: completion channels and the async event queue.
 *
 * The program reads them natively; they are known here because the program
 * names a channel by whatever number it has for it now (also after dup()) when
 * it creates a completion queue, and because closing the last number of a
 * channel frees the channel.
 *
 * A descriptor can outlive the device file. It remembers the file and the
 * file's generation: when they differ, its channel went with the context and
 * the id may already be somebody else's.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/fault.h"
#include "base/sys.h"
#include "uapi/thread.h"
#include "uapi/ufile.h"

struct evfd {
	struct oli_fd fd; /* first */
	enum oli_evfd_kind kind;
	struct oli_ufile *file;
	u32 file_gen;
	u32 chan; /* its handle, for a completion channel */
	struct evfd *next_free, *next_all;
};

static pthread_mutex_t pool_lock = PTHREAD_MUTEX_INITIALIZER;
/* pool_lock. All are listed so that none looks lost to a leak checker. */
static struct evfd *pool_free, *pool_all;

static struct evfd *pool_take(void)
{
	struct evfd *e;

	pthread_mutex_lock(&pool_lock);
	e = pool_free;
	if (e) {
		pool_free = e->next_free;
	} else if (!OLI_FAULT()) {
		e = calloc(1, sizeof(*e));
		if (e) {
			e->next_all = pool_all;
			pool_all = e;
		}
	}
	pthread_mutex_unlock(&pool_lock);
	return e;
}

static void pool_give(struct evfd *e)
{
	pthread_mutex_lock(&pool_lock);
	e->next_free = pool_free;
	pool_free = e;
	pthread_mutex_unlock(&pool_lock);
}

static void evfd_release(struct oli_fd *obj)
{
	struct evfd *e = (struct evfd *)obj;
	struct oli_ufile *f = e->file;
	struct oli_chan *chan;
	struct oli_ctx *ctx;

	oli_thread_enter();
	pthread_mutex_lock(&f->lock);
	ctx = oli_ufile_ctx(f);
	if (e->kind == OLI_EVFD_COMP && ctx && !f->dead && f->gen == e->file_gen) {
		chan = oli_chan_get(f->m, ctx, e->chan);
		if (chan)
			oli_chan_close(f->m, chan);
	}
	pthread_mutex_unlock(&f->lock);
	oli_thread_leave();
	pool_give(e);
}

static int event_create(struct oli_ufile *f, struct oli_ctx *ctx, struct evfd *e, int *fd)
{
	struct oli_chan *chan;
	int rc;

	if (e->kind == OLI_EVFD_ASYNC)
		return oli_async_create(f->m, ctx, fd);
	rc = oli_chan_create(f->m, ctx, &chan, fd);
	if (!rc)
		e->chan = oli_handle(chan);
	return rc;
}

int oli_evfd_open(struct oli_ufile *f, struct oli_ctx *ctx, enum oli_evfd_kind kind, int *fd)
{
	struct evfd *e = pool_take();
	int rc, num;

	if (!e)
		return -ENOMEM;
	e->fd = (struct oli_fd){.kind = OLI_FD_CHAN, .refs = 1, .release = evfd_release};
	e->kind = kind;
	e->file = f;
	e->file_gen = f->gen;
	rc = event_create(f, ctx, e, &num);
	if (rc) {
		pool_give(e);
		return rc;
	}
	rc = oli_fd_install(num, &e->fd);
	if (rc) {
		oli_sys_close(num);
		evfd_release(&e->fd);
		return rc;
	}
	*fd = num;
	return 0;
}

void oli_evfd_abort(int fd)
{
	oli_fd_closing(fd);
	oli_sys_close(fd);
}

static struct evfd *evfd_lookup(struct oli_ufile *f, s64 fd, enum oli_evfd_kind kind)
{
	struct oli_fd *obj = fd < 0 || fd > INT32_MAX ? NULL : oli_fd_lookup((int)fd);
	struct evfd *e = (struct evfd *)obj;

	if (!obj || obj->kind != OLI_FD_CHAN || e->kind != kind)
		return NULL;
	return e->file == f && e->file_gen == f->gen ? e : NULL;
}

int oli_evfd_chan(struct oli_ufile *f, s64 fd, struct oli_chan **chan)
{
	struct evfd *e = evfd_lookup(f, fd, OLI_EVFD_COMP);
	struct oli_ctx *ctx = oli_ufile_ctx(f);
	struct oli_chan *found = e && ctx ? oli_chan_get(f->m, ctx, e->chan) : NULL;

	if (!found)
		return -EBADF;
	*chan = found;
	return 0;
}

int oli_evfd_check_async(struct oli_ufile *f, s64 fd)
{
	return evfd_lookup(f, fd, OLI_EVFD_ASYNC) ? 0 : -EBADF;
}

void oli_evfd_fork_prepare(void)
{
	pthread_mutex_lock(&pool_lock);
}

void oli_evfd_fork_parent(void)
{
	pthread_mutex_unlock(&pool_lock);
}

void oli_evfd_fork_child(void)
{
	pthread_mutex_init(&pool_lock, NULL);
}
