// SPDX-License-Identifier: MIT
/*
 * The GID table: native QUERY_GID_TABLE and QUERY_GID_ENTRY.
 *
 * The port announces OLI_GID_TBL_LEN entries, as the driver that is imitated
 * here does; only the first OLI_GIDS can ever be filled. An empty slot is
 * ENODATA, a slot beyond the table is EINVAL. The table call lists the filled
 * slots only, in entries of whatever size the program was built for.
 */
#include <errno.h>
#include <string.h>

#include "uapi/ioctl.h"

static void entry_fill(const struct oli_gid_entry *gid, u32 index, struct ib_uverbs_gid_entry *out)
{
	*out = (struct ib_uverbs_gid_entry){
		.gid_index = index,
		.port_num = 1,
		.gid_type = IB_UVERBS_GID_TYPE_ROCE_V2,
		.netdev_ifindex = gid->ifindex,
	};
	memcpy(out->gid, gid->gid, sizeof(out->gid));
}

static u32 table_fill(struct oli_cmd *cmd, struct ib_uverbs_gid_entry out[OLI_GIDS])
{
	struct oli_gid_entry gids[OLI_GIDS];
	u32 i, n = 0;

	oli_device_gids(&cmd->m->shm->devices[cmd->file->device], gids);
	for (i = 0; i < OLI_GIDS; i++)
		if (gids[i].valid)
			entry_fill(&gids[i], i, &out[n++]);
	return n;
}

/* One entry of the program's array, whose entries have @size bytes. */
static int entry_write(u64 addr, u64 size, const struct ib_uverbs_gid_entry *entry)
{
	struct oli_out out = {.addr = addr, .len = (u32)size};
	int rc = oli_out_clear(&out, sizeof(*entry));

	return rc ? rc : oli_out_write(&out, entry, sizeof(*entry));
}

static int array_write(const struct oli_out *array, u64 size,
		       const struct ib_uverbs_gid_entry *entries, u32 n)
{
	struct oli_out whole = *array;
	u32 i;
	int rc;

	for (i = 0; i < n; i++) {
		rc = entry_write(array->addr + i * size, size, &entries[i]);
		if (rc)
			return rc;
	}
	whole.len = 0; /* the bytes are there: only mark it */
	return oli_out_write(&whole, entries, 0);
}

int oli_method_query_gid_table(struct oli_call *call)
{
	u64 size = oli_call_data(call, UVERBS_ATTR_QUERY_GID_TABLE_ENTRY_SIZE);
	struct oli_out array = oli_call_out(call, UVERBS_ATTR_QUERY_GID_TABLE_RESP_ENTRIES);
	struct ib_uverbs_gid_entry entries[OLI_GIDS];
	u32 flags;
	u64 n;
	int rc;

	rc = oli_call_flags(call, UVERBS_ATTR_QUERY_GID_TABLE_FLAGS, 0, &flags);
	if (rc)
		return rc;
	if (!size || size > array.len || array.len % size)
		return -EINVAL;
	n = table_fill(&call->cmd, entries);
	if (n > array.len / size)
		return -EINVAL;
	rc = array_write(&array, size, entries, (u32)n);
	if (rc)
		return rc;
	return oli_call_write(call, UVERBS_ATTR_QUERY_GID_TABLE_RESP_NUM_ENTRIES, &n, sizeof(n));
}

int oli_method_query_gid_entry(struct oli_call *call)
{
	u64 port = oli_call_data(call, UVERBS_ATTR_QUERY_GID_ENTRY_PORT);
	u64 index = oli_call_data(call, UVERBS_ATTR_QUERY_GID_ENTRY_GID_INDEX);
	struct oli_gid_entry gids[OLI_GIDS];
	struct ib_uverbs_gid_entry entry;
	u32 flags;
	int rc;

	rc = oli_call_flags(call, UVERBS_ATTR_QUERY_GID_ENTRY_FLAGS, 0, &flags);
	if (rc)
		return rc;
	if (port != 1 || index >= OLI_GID_TBL_LEN)
		return -EINVAL;
	oli_device_gids(&call->cmd.m->shm->devices[call->cmd.file->device], gids);
	if (index >= OLI_GIDS || !gids[index].valid)
		return -ENODATA;
	entry_fill(&gids[index], (u32)index, &entry);
	return oli_call_write(call, UVERBS_ATTR_QUERY_GID_ENTRY_RESP_ENTRY, &entry, sizeof(entry));
}
