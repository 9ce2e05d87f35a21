// SPDX-License-Identifier: MIT
/*
 * Completion queues: CREATE_CQ, EX CREATE_CQ, RESIZE_CQ, REQ_NOTIFY_CQ,
 * DESTROY_CQ and the native create and destroy.
 *
 * The three ways to create one differ only in where the parameters and the
 * results lie; each gathers struct oli_cq_req, calls cq_make() and delivers.
 * The provider must have room for the place of the queue before anything is
 * made: a queue that it cannot map is of no use.
 *
 * The native form may name an async event queue. There is one a context here,
 * so the name is checked and otherwise makes no difference.
 */
#include <errno.h>

#include "uapi/cmd.h"
#include "uapi/ioctl.h"

#define KNOWN_FLAGS (IB_UVERBS_CQ_FLAGS_TIMESTAMP_COMPLETION | IB_UVERBS_CQ_FLAGS_IGNORE_OVERRUN)

static int cq_make(struct oli_cmd *cmd, const struct oli_cq_req *req, u32 flags, struct oli_cq **cq)
{
	int rc = oli_cmd_driver_room(cmd, sizeof(struct rxe_create_cq_resp));

	if (rc)
		return rc;
	if (req->comp_vector >= oli_comp_vectors())
		return -EINVAL;
	if (flags)
		return -EOPNOTSUPP;
	return oli_cq_create(cmd->m, cmd->ctx, req, cq);
}

static void cq_unmake(struct oli_cmd *cmd, struct oli_cq *cq)
{
	u32 comp, async;

	oli_undo(oli_cq_destroy(cmd->m, cq, &comp, &async));
}

static int cq_tell_driver(struct oli_cmd *cmd, const struct oli_cq *cq)
{
	struct rxe_create_cq_resp driver = {0};

	oli_cq_mminfo(cq, &driver.mi);
	return oli_cmd_driver_respond(cmd, &driver, sizeof(driver));
}

static int create_cq(struct oli_cmd *cmd, const struct ib_uverbs_ex_create_cq *req)
{
	struct ib_uverbs_ex_create_cq_resp resp = {0};
	struct oli_cq_req want = {
		.user_handle = req->user_handle, .cqe = req->cqe, .comp_vector = req->comp_vector};
	struct oli_cq *cq;
	int rc = 0;

	if (req->comp_channel >= 0)
		rc = oli_evfd_chan(cmd->file, req->comp_channel, &want.chan);
	if (!rc)
		rc = cq_make(cmd, &want, req->flags, &cq);
	if (rc)
		return rc;
	resp.base.cq_handle = oli_handle(cq);
	resp.base.cqe = oli_cq_cqe(cq);
	resp.response_length = oli_cmd_response_length(cmd, sizeof(resp));
	rc = cq_tell_driver(cmd, cq);
	if (!rc)
		rc = oli_cmd_respond(cmd, &resp, sizeof(resp));
	if (rc)
		cq_unmake(cmd, cq);
	return rc;
}

int oli_cmd_create_cq(struct oli_cmd *cmd)
{
	struct ib_uverbs_ex_create_cq full = {0};
	struct ib_uverbs_create_cq req;
	int rc = oli_cmd_request(cmd, &req, sizeof(req));

	if (rc)
		return rc;
	full.user_handle = req.user_handle;
	full.cqe = req.cqe;
	full.comp_vector = req.comp_vector;
	full.comp_channel = req.comp_channel;
	return create_cq(cmd, &full);
}

int oli_cmd_ex_create_cq(struct oli_cmd *cmd)
{
	struct ib_uverbs_ex_create_cq req;
	int rc = oli_cmd_request(cmd, &req, sizeof(req));

	if (rc)
		return rc;
	if (req.comp_mask || req.reserved)
		return -EINVAL;
	return create_cq(cmd, &req);
}

int oli_cmd_resize_cq(struct oli_cmd *cmd)
{
	struct ib_uverbs_resize_cq_resp resp = {0};
	struct rxe_resize_cq_resp driver = {0};
	struct ib_uverbs_resize_cq req;
	struct oli_cq *cq;
	int rc;

	rc = oli_cmd_request(cmd, &req, sizeof(req));
	if (rc)
		return rc;
	cq = oli_cq_get(cmd->m, cmd->ctx, req.cq_handle);
	if (!cq)
		return -ENOENT;
	rc = oli_cmd_driver_room(cmd, sizeof(driver));
	if (!rc)
		rc = oli_cq_resize(cmd->m, cq, req.cqe);
	if (rc)
		return rc;
	oli_cq_mminfo(cq, &driver.mi);
	resp.cqe = oli_cq_cqe(cq);
	rc = oli_cmd_driver_respond(cmd, &driver, sizeof(driver));
	return rc ? rc : oli_cmd_respond(cmd, &resp, sizeof(resp));
}

int oli_cmd_req_notify_cq(struct oli_cmd *cmd)
{
	struct ib_uverbs_req_notify_cq req;
	struct oli_cq *cq;
	int rc = oli_cmd_request(cmd, &req, sizeof(req));

	if (rc)
		return rc;
	cq = oli_cq_get(cmd->m, cmd->ctx, req.cq_handle);
	return cq ? oli_cq_req_notify(cmd->m, cq, req.solicited_only) : -ENOENT;
}

static int cq_destroy(struct oli_cmd *cmd, u32 handle, struct ib_uverbs_destroy_cq_resp *resp)
{
	struct oli_cq *cq = oli_cq_get(cmd->m, cmd->ctx, handle);

	if (!cq)
		return -ENOENT;
	return oli_cq_destroy(cmd->m, cq, &resp->comp_events_reported,
			      &resp->async_events_reported);
}

int oli_cmd_destroy_cq(struct oli_cmd *cmd)
{
	struct ib_uverbs_destroy_cq_resp resp = {0};
	struct ib_uverbs_destroy_cq req;
	int rc = oli_cmd_request(cmd, &req, sizeof(req));

	if (!rc)
		rc = cq_destroy(cmd, req.cq_handle, &resp);
	return rc ? rc : oli_cmd_respond(cmd, &resp, sizeof(resp));
}

int oli_method_cq_destroy(struct oli_call *call)
{
	struct ib_uverbs_destroy_cq_resp resp = {0};
	int rc;

	rc = cq_destroy(&call->cmd, oli_call_handle(call, UVERBS_ATTR_DESTROY_CQ_HANDLE), &resp);
	return rc ? rc : oli_call_write(call, UVERBS_ATTR_DESTROY_CQ_RESP, &resp, sizeof(resp));
}

/* The parameters of the native form. */
static int cq_gather(const struct oli_call *call, struct oli_cq_req *req, u32 *flags)
{
	struct oli_ufile *f = call->cmd.file;
	s64 fd = (s64)oli_call_data(call, UVERBS_ATTR_CREATE_CQ_EVENT_FD);
	int rc = oli_call_flags(call, UVERBS_ATTR_CREATE_CQ_FLAGS, KNOWN_FLAGS, flags);

	if (!rc && oli_call_has(call, UVERBS_ATTR_CREATE_CQ_EVENT_FD))
		rc = oli_evfd_check_async(f, fd);
	if (!rc)
		rc = oli_call_read(call, UVERBS_ATTR_CREATE_CQ_CQE, &req->cqe, sizeof(req->cqe));
	if (!rc)
		rc = oli_call_read(call, UVERBS_ATTR_CREATE_CQ_COMP_VECTOR, &req->comp_vector,
				   sizeof(req->comp_vector));
	if (!rc)
		rc = oli_call_read(call, UVERBS_ATTR_CREATE_CQ_USER_HANDLE, &req->user_handle,
				   sizeof(req->user_handle));
	fd = (s64)oli_call_data(call, UVERBS_ATTR_CREATE_CQ_COMP_CHANNEL);
	if (!rc && oli_call_has(call, UVERBS_ATTR_CREATE_CQ_COMP_CHANNEL))
		rc = oli_evfd_chan(f, fd, &req->chan);
	return rc;
}

int oli_method_cq_create(struct oli_call *call)
{
	struct oli_cmd *cmd = &call->cmd;
	struct oli_cq_req req = {0};
	struct oli_cq *cq;
	u32 flags, cqe;
	int rc;

	cmd->driver_out = oli_call_out(call, UVERBS_ATTR_UHW_OUT);
	rc = cq_gather(call, &req, &flags);
	if (!rc)
		rc = cq_make(cmd, &req, flags, &cq);
	if (rc)
		return rc;
	cqe = oli_cq_cqe(cq);
	rc = oli_call_set_new(call, UVERBS_ATTR_CREATE_CQ_HANDLE, oli_handle(cq));
	if (!rc)
		rc = cq_tell_driver(cmd, cq);
	if (!rc)
		rc = oli_call_write(call, UVERBS_ATTR_CREATE_CQ_RESP_CQE, &cqe, sizeof(cqe));
	if (rc)
		cq_unmake(cmd, cq);
	return rc;
}
