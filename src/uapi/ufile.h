/* SPDX-License-Identifier: MIT */
/*
 * Open device files and the event descriptors that belong to them. Inside uapi/ only.
 *
 * Both kinds of object are of stable type (see fdtab.h). A file counts its
 * lives in @gen, so that an event descriptor that outlives its file, or meets
 * the next file in the same memory, notices.
 */
#ifndef OLI_UAPI_UFILE_H
#define OLI_UAPI_UFILE_H

#include <stdatomic.h>

#include "rdma/rdma.h"
#include "uapi/fdtab.h"
#include "uapi/uapi.h"

struct oli_ufile {
	struct oli_fd fd; /* first */
	/* NULL before GET_CONTEXT, after the last close and in a forked child. */
	struct oli_ctx *_Atomic ctx;
	struct oli_machine *m; /* not to be touched once @dead */
	u32 device;
	_Atomic u32 gen;
	_Atomic bool dead; /* inherited by a forked child, or left behind by exit() */
	pthread_mutex_t lock; /* @ctx and @gen for writing; the end of an event descriptor */
	struct oli_ufile *next_free, *next_all;
};

static inline struct oli_ctx *oli_ufile_ctx(struct oli_ufile *f)
{
	return atomic_load_explicit(&f->ctx, memory_order_acquire);
}

/* Make @ctx the context of @f. Return: 0, -EINVAL if there is one already. */
OLI_MUST_CHECK int oli_ufile_set_ctx(struct oli_ufile *f, struct oli_ctx *ctx);

/* The interrupt vectors that completion queues can be spread over. */
u32 oli_comp_vectors(void);

/* Every open file answers EIO from now on. */
void oli_ufile_kill_all(void);
void oli_ufile_fork_prepare(void);
void oli_ufile_fork_parent(void);
void oli_ufile_fork_child(void);

/* ---- event descriptors (uapi/evfd.c) ---- */

enum oli_evfd_kind { OLI_EVFD_COMP, OLI_EVFD_ASYNC };

/* Create a completion channel or the async event queue of @ctx. *@fd is the program's, installed.
 */
OLI_MUST_CHECK int oli_evfd_open(struct oli_ufile *f, struct oli_ctx *ctx, enum oli_evfd_kind kind,
				 int *fd);
/* Take back what oli_evfd_open() made, when the program could not be told its number. */
void oli_evfd_abort(int fd);
/* The channel behind number @fd. Return: 0, -EBADF if it is none of @f's. */
OLI_MUST_CHECK int oli_evfd_chan(struct oli_ufile *f, s64 fd, struct oli_chan **chan);
/* Return: 0 if @fd is an async event queue of @f, else -EBADF. */
OLI_MUST_CHECK int oli_evfd_check_async(struct oli_ufile *f, s64 fd);

void oli_evfd_fork_prepare(void);
void oli_evfd_fork_parent(void);
void oli_evfd_fork_child(void);

#endif
