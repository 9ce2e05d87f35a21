/* SPDX-License-Identifier: MIT */
#ifndef OLI_RDMA_CTX_H
#define OLI_RDMA_CTX_H

#include "rdma/obj.h"

/* A completion queue that used the channel @id is gone. */
void oli_chan_put(struct oli_machine *m, u32 id);
/* The context goes: remove its async event pipe. */
void oli_async_close(struct oli_machine *m, struct oli_ctx *ctx);

#endif
