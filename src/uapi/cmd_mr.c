// SPDX-License-Identifier: MIT
/*
 * Memory regions and windows: REG_MR, DEREG_MR, ALLOC_MW, DEALLOC_MW and the
 * native methods.
 *
 * Regions and windows share one table below, but a handle of one is not a
 * handle of the other.
 */
#include <errno.h>

#include "rdma/obj.h"
#include "uapi/cmd.h"
#include "uapi/ioctl.h"

static int mr_destroy(struct oli_cmd *cmd, u32 handle)
{
	struct oli_mr *mr = oli_mr_get(cmd->m, cmd->ctx, handle);

	return mr ? oli_mr_dereg(cmd->m, mr) : -ENOENT;
}

static int mw_destroy(struct oli_cmd *cmd, u32 handle)
{
	struct oli_mr *mw = oli_mw_get(cmd->m, cmd->ctx, handle);

	return mw ? oli_mw_dealloc(cmd->m, mw) : -ENOENT;
}

static int mr_respond(struct oli_cmd *cmd, const struct oli_mr *mr)
{
	const struct ib_uverbs_reg_mr_resp resp = {
		.mr_handle = oli_handle(mr),
		.lkey = oli_mr_lkey(mr),
		.rkey = oli_mr_rkey(mr),
	};

	return oli_cmd_respond(cmd, &resp, sizeof(resp));
}

int oli_cmd_reg_mr(struct oli_cmd *cmd)
{
	struct ib_uverbs_reg_mr req;
	struct oli_mr_req want;
	struct oli_pd *pd;
	struct oli_mr *mr;
	int rc;

	rc = oli_cmd_request(cmd, &req, sizeof(req));
	if (rc)
		return rc;
	/* A page of the region is a page of the memory. */
	if ((req.start ^ req.hca_va) & (OLI_PAGE_SIZE - 1))
		return -EINVAL;
	pd = oli_pd_get(cmd->m, cmd->ctx, req.pd_handle);
	if (!pd)
		return -ENOENT;
	want = (struct oli_mr_req){req.start, req.length, req.hca_va, req.access_flags};
	rc = oli_mr_reg(cmd->m, pd, &want, &mr);
	if (rc)
		return rc;
	rc = mr_respond(cmd, mr);
	if (rc)
		oli_undo(oli_mr_dereg(cmd->m, mr));
	return rc;
}

int oli_cmd_dereg_mr(struct oli_cmd *cmd)
{
	struct ib_uverbs_dereg_mr req;
	int rc = oli_cmd_request(cmd, &req, sizeof(req));

	return rc ? rc : mr_destroy(cmd, req.mr_handle);
}

int oli_cmd_alloc_mw(struct oli_cmd *cmd)
{
	struct ib_uverbs_alloc_mw_resp resp = {0};
	struct ib_uverbs_alloc_mw req;
	struct oli_pd *pd;
	struct oli_mr *mw;
	int rc;

	rc = oli_cmd_request(cmd, &req, sizeof(req));
	if (rc)
		return rc;
	pd = oli_pd_get(cmd->m, cmd->ctx, req.pd_handle);
	if (!pd)
		return -ENOENT;
	if (req.mw_type != 1 && req.mw_type != 2)
		return -EINVAL;
	rc = oli_mw_alloc(cmd->m, pd, req.mw_type, &mw);
	if (rc)
		return rc;
	resp.mw_handle = oli_handle(mw);
	resp.rkey = oli_mr_rkey(mw);
	rc = oli_cmd_respond(cmd, &resp, sizeof(resp));
	if (rc)
		oli_undo(oli_mw_dealloc(cmd->m, mw));
	return rc;
}

int oli_cmd_dealloc_mw(struct oli_cmd *cmd)
{
	struct ib_uverbs_dealloc_mw req;
	int rc = oli_cmd_request(cmd, &req, sizeof(req));

	return rc ? rc : mw_destroy(cmd, req.mw_handle);
}

int oli_method_mr_destroy(struct oli_call *call)
{
	return mr_destroy(&call->cmd, oli_call_handle(call, UVERBS_ATTR_DESTROY_MR_HANDLE));
}

int oli_method_mw_destroy(struct oli_call *call)
{
	return mw_destroy(&call->cmd, oli_call_handle(call, UVERBS_ATTR_DESTROY_MW_HANDLE));
}

int oli_method_mr_query(struct oli_call *call)
{
	struct oli_mr *mr = oli_mr_get(call->cmd.m, call->cmd.ctx,
				       oli_call_handle(call, UVERBS_ATTR_QUERY_MR_HANDLE));
	u32 lkey, rkey;
	int rc;

	if (!mr)
		return -ENOENT;
	lkey = oli_mr_lkey(mr);
	rkey = oli_mr_rkey(mr);
	rc = oli_call_write(call, UVERBS_ATTR_QUERY_MR_RESP_LKEY, &lkey, sizeof(lkey));
	if (!rc)
		rc = oli_call_write(call, UVERBS_ATTR_QUERY_MR_RESP_RKEY, &rkey, sizeof(rkey));
	if (!rc)
		rc = oli_call_write(call, UVERBS_ATTR_QUERY_MR_RESP_LENGTH, &mr->length,
				    sizeof(mr->length));
	if (!rc)
		rc = oli_call_write(call, UVERBS_ATTR_QUERY_MR_RESP_IOVA, &mr->iova,
				    sizeof(mr->iova));
	return rc;
}
