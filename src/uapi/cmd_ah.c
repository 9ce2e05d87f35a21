// SPDX-License-Identifier: MIT
/*
 * Address handles: CREATE_AH, DESTROY_AH and the native destroy.
 *
 * A provider that leaves room for it is told the handle's number, which is all
 * that its datagram work requests carry then. One that does not is of an age
 * that builds the address itself.
 */
#include <errno.h>

#include "uapi/cmd.h"
#include "uapi/ioctl.h"

static int ah_destroy(struct oli_cmd *cmd, u32 handle)
{
	struct oli_ah *ah = oli_ah_get(cmd->m, cmd->ctx, handle);

	return ah ? oli_ah_destroy(cmd->m, ah) : -ENOENT;
}

static int ah_respond(struct oli_cmd *cmd, const struct oli_ah *ah)
{
	const struct rxe_create_ah_resp driver = {.ah_num = oli_ah_num(ah)};
	const struct ib_uverbs_create_ah_resp resp = {.ah_handle = oli_handle(ah)};
	int rc = 0;

	if (!oli_cmd_driver_room(cmd, sizeof(driver)))
		rc = oli_cmd_driver_respond(cmd, &driver, sizeof(driver));
	return rc ? rc : oli_cmd_respond(cmd, &resp, sizeof(resp));
}

int oli_cmd_create_ah(struct oli_cmd *cmd)
{
	struct ib_uverbs_create_ah req;
	struct oli_pd *pd;
	struct oli_ah *ah;
	int rc;

	rc = oli_cmd_request(cmd, &req, sizeof(req));
	if (rc)
		return rc;
	if (req.attr.port_num != 1)
		return -EINVAL;
	pd = oli_pd_get(cmd->m, cmd->ctx, req.pd_handle);
	if (!pd)
		return -ENOENT;
	rc = oli_ah_create(cmd->m, pd, &req.attr, &ah);
	if (rc)
		return rc;
	rc = ah_respond(cmd, ah);
	if (rc)
		oli_undo(oli_ah_destroy(cmd->m, ah));
	return rc;
}

int oli_cmd_destroy_ah(struct oli_cmd *cmd)
{
	struct ib_uverbs_destroy_ah req;
	int rc = oli_cmd_request(cmd, &req, sizeof(req));

	return rc ? rc : ah_destroy(cmd, req.ah_handle);
}

int oli_method_ah_destroy(struct oli_call *call)
{
	return ah_destroy(&call->cmd, oli_call_handle(call, UVERBS_ATTR_DESTROY_AH_HANDLE));
}
