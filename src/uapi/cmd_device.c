// SPDX-License-Identifier: MIT
/*
 * The device: GET_CONTEXT, QUERY_DEVICE, EX QUERY_DEVICE, QUERY_PORT,
 * CREATE_COMP_CHANNEL and the native context, port and async event methods.
 *
 * The legacy GET_CONTEXT also creates the async event queue; the native one
 * leaves that to ASYNC_EVENT_ALLOC. A context becomes the file's only after the
 * program was told all about it, so a failed GET_CONTEXT can be tried again.
 */
#include <errno.h>

#include "uapi/cmd.h"
#include "uapi/ioctl.h"

int oli_cmd_get_context(struct oli_cmd *cmd)
{
	struct ib_uverbs_get_context_resp resp = {.num_comp_vectors = oli_comp_vectors()};
	struct ib_uverbs_get_context req;
	struct oli_ctx *ctx;
	int rc, fd;

	rc = cmd->ctx ? -EINVAL : oli_cmd_request(cmd, &req, sizeof(req));
	if (!rc)
		rc = oli_ctx_create(cmd->m, cmd->file->device, &ctx);
	if (rc)
		return rc;
	rc = oli_evfd_open(cmd->file, ctx, OLI_EVFD_ASYNC, &fd);
	if (rc)
		goto out_ctx;
	resp.async_fd = (u32)fd;
	rc = oli_cmd_respond(cmd, &resp, sizeof(resp));
	if (!rc)
		rc = oli_ufile_set_ctx(cmd->file, ctx);
	if (!rc)
		return 0;
	oli_evfd_abort(fd);
out_ctx:
	oli_ctx_destroy(cmd->m, ctx);
	return rc;
}

int oli_cmd_query_device(struct oli_cmd *cmd)
{
	struct ib_uverbs_ex_query_device_resp all = {0};
	struct ib_uverbs_query_device req;
	int rc = oli_cmd_request(cmd, &req, sizeof(req));

	if (rc)
		return rc;
	oli_device_query(cmd->m, cmd->file->device, &all);
	return oli_cmd_respond(cmd, &all.base, sizeof(all.base));
}

int oli_cmd_ex_query_device(struct oli_cmd *cmd)
{
	struct ib_uverbs_ex_query_device_resp resp = {0};
	struct ib_uverbs_ex_query_device req;
	int rc = oli_cmd_request(cmd, &req, sizeof(req));

	if (rc)
		return rc;
	if (req.comp_mask || req.reserved)
		return -EINVAL;
	oli_device_query(cmd->m, cmd->file->device, &resp);
	resp.response_length = oli_cmd_response_length(cmd, sizeof(resp));
	return oli_cmd_respond(cmd, &resp, sizeof(resp));
}

int oli_cmd_query_port(struct oli_cmd *cmd)
{
	struct ib_uverbs_query_port_resp resp = {0};
	struct ib_uverbs_query_port req;
	int rc = oli_cmd_request(cmd, &req, sizeof(req));

	if (!rc)
		rc = oli_port_query(cmd->m, cmd->file->device, req.port_num, &resp);
	return rc ? rc : oli_cmd_respond(cmd, &resp, sizeof(resp));
}

int oli_cmd_create_comp_channel(struct oli_cmd *cmd)
{
	struct ib_uverbs_create_comp_channel_resp resp = {0};
	struct ib_uverbs_create_comp_channel req;
	int rc, fd;

	rc = oli_cmd_request(cmd, &req, sizeof(req));
	if (!rc)
		rc = oli_evfd_open(cmd->file, cmd->ctx, OLI_EVFD_COMP, &fd);
	if (rc)
		return rc;
	resp.fd = (u32)fd;
	rc = oli_cmd_respond(cmd, &resp, sizeof(resp));
	if (rc)
		oli_evfd_abort(fd);
	return rc;
}

int oli_method_get_context(struct oli_call *call)
{
	const u64 support = IB_UVERBS_CORE_SUPPORT_OPTIONAL_MR_ACCESS;
	const u32 vectors = oli_comp_vectors();
	struct oli_cmd *cmd = &call->cmd;
	struct oli_ctx *ctx;
	int rc;

	if (cmd->ctx)
		return -EINVAL;
	rc = oli_call_write(call, UVERBS_ATTR_GET_CONTEXT_NUM_COMP_VECTORS, &vectors,
			    sizeof(vectors));
	if (!rc)
		rc = oli_call_write(call, UVERBS_ATTR_GET_CONTEXT_CORE_SUPPORT, &support,
				    sizeof(support));
	if (!rc)
		rc = oli_ctx_create(cmd->m, cmd->file->device, &ctx);
	if (rc)
		return rc;
	rc = oli_ufile_set_ctx(cmd->file, ctx);
	if (rc)
		oli_ctx_destroy(cmd->m, ctx);
	return rc;
}

int oli_method_async_event_alloc(struct oli_call *call)
{
	struct oli_cmd *cmd = &call->cmd;
	int rc, fd;

	rc = oli_evfd_open(cmd->file, cmd->ctx, OLI_EVFD_ASYNC, &fd);
	if (rc)
		return rc;
	rc = oli_call_set_new(call, UVERBS_ATTR_ASYNC_EVENT_ALLOC_FD_HANDLE, fd);
	if (rc)
		oli_evfd_abort(fd);
	return rc;
}

int oli_method_query_port(struct oli_call *call)
{
	u64 port = oli_call_data(call, UVERBS_ATTR_QUERY_PORT_PORT_NUM);
	struct ib_uverbs_query_port_resp_ex resp = {0};
	int rc;

	if (port > UINT8_MAX)
		return -EINVAL;
	rc = oli_port_query(call->cmd.m, call->cmd.file->device, (u8)port, &resp.legacy_resp);
	return rc ? rc : oli_call_write(call, UVERBS_ATTR_QUERY_PORT_RESP, &resp, sizeof(resp));
}
