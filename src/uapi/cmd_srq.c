// SPDX-License-Identifier: MIT
/*
 * Shared receive queues: CREATE_SRQ, MODIFY_SRQ, QUERY_SRQ, DESTROY_SRQ and the
 * native create and destroy. Only the basic type: no XRC, no tag matching.
 *
 * A resized queue has a new ring. MODIFY_SRQ has no response, so the provider
 * passes the address at which it wants to be told where that is.
 */
#include <errno.h>

#include <infiniband/verbs.h>

#include "uapi/cmd.h"
#include "uapi/ioctl.h"
#include "uapi/uapi.h"

static int srq_make(struct oli_cmd *cmd, u32 pd_handle, const struct oli_srq_req *req,
		    struct oli_srq **srq)
{
	struct oli_pd *pd = oli_pd_get(cmd->m, cmd->ctx, pd_handle);
	int rc = oli_cmd_driver_room(cmd, sizeof(struct rxe_create_srq_resp));

	if (!pd)
		return -ENOENT;
	return rc ? rc : oli_srq_create(cmd->m, pd, req, srq);
}

static void srq_unmake(struct oli_cmd *cmd, struct oli_srq *srq)
{
	u32 events;

	oli_undo(oli_srq_destroy(cmd->m, srq, &events));
}

static int srq_tell_driver(struct oli_cmd *cmd, const struct oli_srq *srq)
{
	struct rxe_create_srq_resp driver = {.srq_num = oli_handle(srq)};

	oli_srq_mminfo(srq, &driver.mi);
	return oli_cmd_driver_respond(cmd, &driver, sizeof(driver));
}

int oli_cmd_create_srq(struct oli_cmd *cmd)
{
	struct ib_uverbs_create_srq_resp resp = {0};
	struct ib_uverbs_create_srq in;
	struct oli_srq_req req;
	struct oli_srq *srq;
	int rc = oli_cmd_request(cmd, &in, sizeof(in));

	if (rc)
		return rc;
	req = (struct oli_srq_req){.user_handle = in.user_handle, .max_wr = in.max_wr,
				   .max_sge = in.max_sge, .limit = in.srq_limit};
	rc = srq_make(cmd, in.pd_handle, &req, &srq);
	if (rc)
		return rc;
	oli_srq_query(cmd->m, srq, &req);
	resp.srq_handle = oli_handle(srq);
	resp.srqn = resp.srq_handle;
	resp.max_wr = req.max_wr;
	resp.max_sge = req.max_sge;
	rc = srq_tell_driver(cmd, srq);
	if (!rc)
		rc = oli_cmd_respond(cmd, &resp, sizeof(resp));
	if (rc)
		srq_unmake(cmd, srq);
	return rc;
}

/* Where the provider wants the new ring's place to be written, if the request says so. */
static int read_info_addr(const struct oli_cmd *cmd, u64 *addr)
{
	struct rxe_modify_srq_cmd driver = {0};
	int rc = 0;

	if (cmd->driver_in.len >= sizeof(driver))
		rc = oli_in_read(&cmd->driver_in, &driver, sizeof(driver));
	*addr = driver.mmap_info_addr;
	return rc;
}

int oli_cmd_modify_srq(struct oli_cmd *cmd)
{
	struct ib_uverbs_modify_srq req;
	struct mminfo mi = {0};
	struct oli_srq *srq;
	u64 addr = 0;
	int rc = oli_cmd_request(cmd, &req, sizeof(req));

	if (!rc)
		rc = read_info_addr(cmd, &addr);
	if (rc)
		return rc;
	srq = oli_srq_get(cmd->m, cmd->ctx, req.srq_handle);
	if (!srq)
		return -ENOENT;
	/* A bad address must be found before the ring moves. */
	if (req.attr_mask & IBV_SRQ_MAX_WR)
		rc = addr ? oli_user_write(addr, &mi, sizeof(mi)) : -EINVAL;
	if (!rc)
		rc = oli_srq_modify(cmd->m, srq, req.attr_mask, req.max_wr, req.srq_limit);
	if (rc || !(req.attr_mask & IBV_SRQ_MAX_WR))
		return rc;
	oli_srq_mminfo(srq, &mi);
	return oli_user_write(addr, &mi, sizeof(mi));
}

int oli_cmd_query_srq(struct oli_cmd *cmd)
{
	struct ib_uverbs_query_srq_resp resp = {0};
	struct ib_uverbs_query_srq req;
	struct oli_srq_req now;
	struct oli_srq *srq;
	int rc = oli_cmd_request(cmd, &req, sizeof(req));

	if (rc)
		return rc;
	srq = oli_srq_get(cmd->m, cmd->ctx, req.srq_handle);
	if (!srq)
		return -ENOENT;
	oli_srq_query(cmd->m, srq, &now);
	resp.max_wr = now.max_wr;
	resp.max_sge = now.max_sge;
	resp.srq_limit = now.limit;
	return oli_cmd_respond(cmd, &resp, sizeof(resp));
}

static int srq_destroy(struct oli_cmd *cmd, u32 handle, struct ib_uverbs_destroy_srq_resp *resp)
{
	struct oli_srq *srq = oli_srq_get(cmd->m, cmd->ctx, handle);

	return srq ? oli_srq_destroy(cmd->m, srq, &resp->events_reported) : -ENOENT;
}

int oli_cmd_destroy_srq(struct oli_cmd *cmd)
{
	struct ib_uverbs_destroy_srq_resp resp = {0};
	struct ib_uverbs_destroy_srq req;
	int rc = oli_cmd_request(cmd, &req, sizeof(req));

	if (!rc)
		rc = srq_destroy(cmd, req.srq_handle, &resp);
	return rc ? rc : oli_cmd_respond(cmd, &resp, sizeof(resp));
}

int oli_method_srq_destroy(struct oli_call *call)
{
	struct ib_uverbs_destroy_srq_resp resp = {0};
	int rc;

	rc = srq_destroy(&call->cmd, oli_call_handle(call, UVERBS_ATTR_DESTROY_SRQ_HANDLE), &resp);
	return rc ? rc : oli_call_write(call, UVERBS_ATTR_DESTROY_SRQ_RESP, &resp, sizeof(resp));
}

/* The parameters of the native form. */
static int srq_gather(const struct oli_call *call, struct oli_srq_req *req)
{
	s64 fd = (s64)oli_call_data(call, UVERBS_ATTR_CREATE_SRQ_EVENT_FD);
	int rc = 0;

	if (oli_call_data(call, UVERBS_ATTR_CREATE_SRQ_TYPE) != IB_UVERBS_SRQT_BASIC)
		return -EOPNOTSUPP;
	if (oli_call_has(call, UVERBS_ATTR_CREATE_SRQ_EVENT_FD))
		rc = oli_evfd_check_async(call->cmd.file, fd);
	if (!rc)
		rc = oli_call_read(call, UVERBS_ATTR_CREATE_SRQ_USER_HANDLE, &req->user_handle,
				   sizeof(req->user_handle));
	if (!rc)
		rc = oli_call_read(call, UVERBS_ATTR_CREATE_SRQ_MAX_WR, &req->max_wr,
				   sizeof(req->max_wr));
	if (!rc)
		rc = oli_call_read(call, UVERBS_ATTR_CREATE_SRQ_MAX_SGE, &req->max_sge,
				   sizeof(req->max_sge));
	if (!rc)
		rc = oli_call_read(call, UVERBS_ATTR_CREATE_SRQ_LIMIT, &req->limit,
				   sizeof(req->limit));
	return rc;
}

static int srq_tell(struct oli_call *call, struct oli_srq *srq)
{
	struct oli_srq_req now;
	int rc = oli_call_set_new(call, UVERBS_ATTR_CREATE_SRQ_HANDLE, oli_handle(srq));

	oli_srq_query(call->cmd.m, srq, &now);
	if (!rc)
		rc = srq_tell_driver(&call->cmd, srq);
	if (!rc)
		rc = oli_call_write(call, UVERBS_ATTR_CREATE_SRQ_RESP_MAX_WR, &now.max_wr,
				    sizeof(now.max_wr));
	if (!rc)
		rc = oli_call_write(call, UVERBS_ATTR_CREATE_SRQ_RESP_MAX_SGE, &now.max_sge,
				    sizeof(now.max_sge));
	return rc;
}

int oli_method_srq_create(struct oli_call *call)
{
	struct oli_cmd *cmd = &call->cmd;
	struct oli_srq_req req = {0};
	struct oli_srq *srq;
	int rc;

	cmd->driver_out = oli_call_out(call, UVERBS_ATTR_UHW_OUT);
	rc = srq_gather(call, &req);
	if (!rc)
		rc = srq_make(cmd, oli_call_handle(call, UVERBS_ATTR_CREATE_SRQ_PD_HANDLE), &req, &srq);
	if (rc)
		return rc;
	rc = srq_tell(call, srq);
	if (rc)
		srq_unmake(cmd, srq);
	return rc;
}
