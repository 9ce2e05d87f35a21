// SPDX-License-Identifier: MIT
/* Protection domains: ALLOC_PD, DEALLOC_PD and the native destroy. */
#include <errno.h>

#include "uapi/cmd.h"
#include "uapi/ioctl.h"

static int pd_destroy(struct oli_cmd *cmd, u32 handle)
{
	struct oli_pd *pd = oli_pd_get(cmd->m, cmd->ctx, handle);

	return pd ? oli_pd_dealloc(cmd->m, pd) : -ENOENT;
}

int oli_cmd_alloc_pd(struct oli_cmd *cmd)
{
	struct ib_uverbs_alloc_pd_resp resp = {0};
	struct ib_uverbs_alloc_pd req;
	struct oli_pd *pd;
	int rc;

	rc = oli_cmd_request(cmd, &req, sizeof(req));
	if (!rc)
		rc = oli_pd_alloc(cmd->m, cmd->ctx, &pd);
	if (rc)
		return rc;
	resp.pd_handle = oli_handle(pd);
	rc = oli_cmd_respond(cmd, &resp, sizeof(resp));
	if (rc)
		oli_undo(oli_pd_dealloc(cmd->m, pd));
	return rc;
}

int oli_cmd_dealloc_pd(struct oli_cmd *cmd)
{
	struct ib_uverbs_dealloc_pd req;
	int rc = oli_cmd_request(cmd, &req, sizeof(req));

	return rc ? rc : pd_destroy(cmd, req.pd_handle);
}

int oli_method_pd_destroy(struct oli_call *call)
{
	return pd_destroy(&call->cmd, oli_call_handle(call, UVERBS_ATTR_DESTROY_PD_HANDLE));
}
