// SPDX-License-Identifier: MIT
/*
 * Tables of shared objects, in chunks that never move and never go away.
 *
 * @nr grows only after the chunk's offset is stored, so a look-up below @nr
 * always finds memory. The free list is the only thing that a killed process
 * can leave broken: the next taker of the lock builds it anew from the objects'
 * states, which are the truth.
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "base/fault.h"
#include "machine/machine.h"

void oli_table_init(struct oli_table *t, u32 obj_size, u32 keep, u32 max)
{
	memset(t, 0, sizeof(*t));
	oli_lock_init(&t->lock);
	t->obj_size = (u32)oli_align_up(obj_size, 64);
	t->keep = keep;
	t->max = max;
	/* About 64 KiB a chunk, but few enough chunks for the directory. */
	t->chunk_objs = oli_roundup_pow2(65536 / t->obj_size);
	while ((u64)t->chunk_objs * OLI_TABLE_CHUNKS < max)
		t->chunk_objs *= 2;
}

static struct oli_obj *obj_at(struct oli_machine *m, struct oli_table *t, u32 id)
{
	u64 chunk = t->chunk[id >> oli_log2(t->chunk_objs)];

	return oli_ptr(m, chunk + (u64)(id & (t->chunk_objs - 1)) * t->obj_size);
}

void *oli_table_peek(struct oli_machine *m, struct oli_table *t, u32 id)
{
	if (id >= atomic_load_explicit(&t->nr, memory_order_acquire))
		return NULL;
	return obj_at(m, t, id);
}

void *oli_table_get(struct oli_machine *m, struct oli_table *t, u32 id)
{
	struct oli_obj *obj = oli_table_peek(m, t, id);

	return obj && oli_obj_live(obj) ? obj : NULL;
}

static void rebuild_free_list(struct oli_machine *m, struct oli_table *t)
{
	u32 id = t->nr;

	t->free_head = 0;
	while (id-- > 0) {
		struct oli_obj *obj = obj_at(m, t, id);

		if (obj->state != OLI_OBJ_FREE)
			continue;
		obj->next_free = t->free_head;
		t->free_head = id + 1;
	}
}

static void table_lock(struct oli_machine *m, struct oli_table *t)
{
	if (oli_lock(&t->lock))
		rebuild_free_list(m, t);
}

/* One chunk more, its objects on the free list in ascending order. */
static int table_grow(struct oli_machine *m, struct oli_table *t)
{
	u32 nr = t->nr, n = t->chunk_objs;
	u64 off;
	int err;

	if (nr >= t->max)
		return -ENOSPC;
	err = oli_heap_alloc(m, (u64)n * t->obj_size, OLI_OWNER_MACHINE, &off);
	if (err)
		return err;
	t->chunk[nr / n] = off;
	for (u32 i = 0; i < n; i++)
		obj_at(m, t, nr + i)->id = nr + i;
	atomic_store_explicit(&t->nr, nr + n, memory_order_release);
	rebuild_free_list(m, t);
	return 0;
}

int oli_table_alloc(struct oli_machine *m, struct oli_table *t, u16 slot, void *objp)
{
	struct oli_obj *obj;
	int err = 0;

	if (OLI_FAULT())
		return -ENOMEM;
	table_lock(m, t);
	if (!t->free_head)
		err = table_grow(m, t);
	if (err) {
		oli_unlock(&t->lock);
		return err;
	}
	obj = obj_at(m, t, t->free_head - 1);
	t->free_head = obj->next_free;
	memset((u8 *)obj + t->keep, 0, t->obj_size - t->keep);
	__atomic_store_n(&obj->slot, slot, __ATOMIC_RELAXED);
	obj->gen++;
	atomic_store_explicit(&obj->state, OLI_OBJ_NEW, memory_order_release);
	oli_unlock(&t->lock);
	*(void **)objp = obj;
	return 0;
}

void oli_table_free(struct oli_machine *m, struct oli_table *t, void *object)
{
	struct oli_obj *obj = object;

	table_lock(m, t);
	/* The state first: until then the object has an owner, who is reaped. */
	atomic_store_explicit(&obj->state, OLI_OBJ_FREE, memory_order_release);
	__atomic_store_n(&obj->slot, OLI_SLOT_NONE, __ATOMIC_RELAXED);
	obj->next_free = t->free_head;
	t->free_head = obj->id + 1;
	oli_unlock(&t->lock);
}

void oli_obj_publish(struct oli_obj *obj)
{
	atomic_store_explicit(&obj->state, OLI_OBJ_LIVE, memory_order_release);
}

bool oli_obj_kill(struct oli_obj *obj)
{
	u32 live = OLI_OBJ_LIVE;

	return atomic_compare_exchange_strong(&obj->state, &live, OLI_OBJ_DYING);
}
