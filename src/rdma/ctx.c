// SPDX-License-Identifier: MIT
/*
 * Contexts, completion channels, async events, protection domains, address
 * handles: the objects without a data path of their own.
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "base/fault.h"
#include "rdma/ctx.h"
#include "rdma/int.h"

/* Pipe names: a channel's index, or a context's with this bit. */
#define ASYNC_PIPE 0x80000000u

u32 oli_handle(const void *obj)
{
	return ((const struct oli_obj *)obj)->id;
}

u32 oli_ctx_id(const struct oli_ctx *ctx)
{
	return ctx->obj.id;
}

struct oli_ctx *oli_ctx_get(struct oli_machine *m, u32 id)
{
	struct oli_ctx *ctx = oli_table_get(m, &oli_rdma(m)->ctx, id);

	return ctx && ctx->obj.slot == m->slot ? ctx : NULL;
}

int oli_ctx_create(struct oli_machine *m, u32 dev, struct oli_ctx **out)
{
	struct oli_ctx *ctx;
	int err;

	if (dev >= m->shm->nr_devices)
		return -ENODEV;
	err = oli_table_alloc(m, &oli_rdma(m)->ctx, m->slot, &ctx);
	if (err)
		return err;
	ctx->dev = dev;
	oli_obj_publish(&ctx->obj);
	*out = ctx;
	return 0;
}

/* ---- async events ---- */

int oli_async_create(struct oli_machine *m, struct oli_ctx *ctx, int *fd)
{
	int err;

	if (ctx->async_open)
		return -EBUSY;
	err = oli_event_create(m, ctx->obj.id | ASYNC_PIPE, ctx->obj.gen, fd);
	if (!err)
		ctx->async_open = 1;
	return err;
}

void oli_async_send(struct oli_machine *m, u32 id, u64 element, u32 event)
{
	struct ib_uverbs_async_event_desc ev = {.element = element, .event_type = event};
	struct oli_ctx *ctx = oli_table_get(m, &oli_rdma(m)->ctx, id);

	if (ctx && ctx->async_open)
		(void)!oli_event_send(m, ctx->obj.slot, id | ASYNC_PIPE, ctx->obj.gen, &ev,
				      sizeof(ev));
}

void oli_async_close(struct oli_machine *m, struct oli_ctx *ctx)
{
	if (ctx->async_open)
		oli_event_destroy(m, ctx->obj.slot, ctx->obj.id | ASYNC_PIPE, ctx->obj.gen);
}

static bool same_element(void *arg, const void *event)
{
	return ((const struct ib_uverbs_async_event_desc *)event)->element == *(u64 *)arg;
}

u32 oli_async_purge(struct oli_machine *m, u32 id, u64 element)
{
	struct oli_ctx *ctx = oli_table_get(m, &oli_rdma(m)->ctx, id);

	if (!ctx || !ctx->async_open)
		return 0;
	return oli_event_purge(m, id | ASYNC_PIPE, ctx->obj.gen,
			       sizeof(struct ib_uverbs_async_event_desc), same_element, &element);
}

/* ---- completion channels ---- */

int oli_chan_create(struct oli_machine *m, struct oli_ctx *ctx, struct oli_chan **out, int *fd)
{
	struct oli_chan *ch;
	int err = oli_table_alloc(m, &oli_rdma(m)->chan, m->slot, &ch);

	if (err)
		return err;
	ch->ctx = ctx->obj.id;
	err = oli_event_create(m, ch->obj.id, ch->obj.gen, fd);
	if (err) {
		oli_table_free(m, &oli_rdma(m)->chan, ch);
		return err;
	}
	oli_obj_publish(&ch->obj);
	*out = ch;
	return 0;
}

struct oli_chan *oli_chan_get(struct oli_machine *m, struct oli_ctx *ctx, u32 id)
{
	struct oli_chan *ch = oli_table_get(m, &oli_rdma(m)->chan, id);

	return ch && ch->ctx == ctx->obj.id && ch->obj.slot == m->slot ? ch : NULL;
}

static void chan_release(struct oli_machine *m, struct oli_chan *ch)
{
	if (!oli_obj_kill(&ch->obj))
		return;
	oli_event_destroy(m, ch->obj.slot, ch->obj.id, ch->obj.gen);
	oli_table_free(m, &oli_rdma(m)->chan, ch);
}

void oli_chan_close(struct oli_machine *m, struct oli_chan *ch)
{
	atomic_store(&ch->closed, 1);
	if (atomic_load(&ch->users) == 0)
		chan_release(m, ch);
}

/* A completion queue that used the channel is gone. */
void oli_chan_put(struct oli_machine *m, u32 id)
{
	struct oli_chan *ch = oli_table_get(m, &oli_rdma(m)->chan, id);

	if (ch && atomic_fetch_sub(&ch->users, 1) == 1 && atomic_load(&ch->closed))
		chan_release(m, ch);
}

/* ---- protection domains ---- */

int oli_pd_alloc(struct oli_machine *m, struct oli_ctx *ctx, struct oli_pd **out)
{
	struct oli_pd *pd;
	int err = oli_table_alloc(m, &oli_rdma(m)->pd, m->slot, &pd);

	if (err)
		return err == -ENOSPC ? -ENOMEM : err;
	pd->ctx = ctx->obj.id;
	oli_obj_publish(&pd->obj);
	*out = pd;
	return 0;
}

struct oli_pd *oli_pd_get(struct oli_machine *m, struct oli_ctx *ctx, u32 handle)
{
	struct oli_pd *pd = oli_table_get(m, &oli_rdma(m)->pd, handle);

	return pd && pd->ctx == ctx->obj.id && pd->obj.slot == m->slot ? pd : NULL;
}

int oli_pd_dealloc(struct oli_machine *m, struct oli_pd *pd)
{
	if (atomic_load(&pd->users))
		return -EBUSY;
	if (!oli_obj_kill(&pd->obj))
		return -EINVAL;
	oli_table_free(m, &oli_rdma(m)->pd, pd);
	return 0;
}

/* ---- address handles ---- */

int oli_ah_create(struct oli_machine *m, struct oli_pd *pd, const struct ib_uverbs_ah_attr *attr,
		  struct oli_ah **out)
{
	struct oli_ctx *ctx = oli_ctx_get(m, pd->ctx);
	struct oli_ah *ah;
	u8 gid[16];
	int err;

	if (!ctx || attr->port_num != 1 || !attr->is_global ||
	    !oli_gid_at(m, ctx->dev, attr->grh.sgid_index, gid))
		return -EINVAL;
	err = oli_table_alloc(m, &oli_rdma(m)->ah, m->slot, &ah);
	if (err)
		return err == -ENOSPC ? -ENOMEM : err;
	ah->ctx = pd->ctx;
	ah->pd = pd->obj.id;
	ah->attr = *attr;
	atomic_fetch_add(&pd->users, 1);
	oli_obj_publish(&ah->obj);
	*out = ah;
	return 0;
}

struct oli_ah *oli_ah_get(struct oli_machine *m, struct oli_ctx *ctx, u32 handle)
{
	struct oli_ah *ah = oli_table_get(m, &oli_rdma(m)->ah, handle);

	return ah && ah->ctx == ctx->obj.id && ah->obj.slot == m->slot ? ah : NULL;
}

/* 0 would make the provider build the address itself. */
u32 oli_ah_num(const struct oli_ah *ah)
{
	return ah->obj.id + 1;
}

int oli_ah_destroy(struct oli_machine *m, struct oli_ah *ah)
{
	struct oli_pd *pd = oli_table_get(m, &oli_rdma(m)->pd, ah->pd);

	if (!oli_obj_kill(&ah->obj))
		return -EINVAL;
	if (pd)
		atomic_fetch_sub(&pd->users, 1);
	oli_table_free(m, &oli_rdma(m)->ah, ah);
	return 0;
}
