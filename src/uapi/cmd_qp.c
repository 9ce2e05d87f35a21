// SPDX-License-Identifier: MIT
/*
 * Queue pairs: CREATE_QP, EX CREATE_QP, QUERY_QP, MODIFY_QP, EX MODIFY_QP,
 * DESTROY_QP, POST_SEND and the native create and destroy.
 *
 * The boundary checks what is common to all adapters (types, flags, ports,
 * states that exist); whether a transition is allowed is the adapter's matter.
 *
 * Work requests never travel in POST_SEND: they are in the shared queue, and
 * the command only says that there are some. See write.c for its fast form.
 */
#include <errno.h>

#include <infiniband/verbs.h>

#include "uapi/cmd.h"
#include "uapi/ioctl.h"

/* All attributes of the original verb; the ones above it need the extended command. */
#define STANDARD_ATTRS ((1u << 21) - 1)

/* Creation flags that exist somewhere (the boundary's, and source QPN); none is served here. */
#define KNOWN_FLAGS                                                                                \
	(IB_UVERBS_QP_CREATE_BLOCK_MULTICAST_LOOPBACK | IB_UVERBS_QP_CREATE_SCATTER_FCS |          \
	 IB_UVERBS_QP_CREATE_CVLAN_STRIPPING | IB_UVERBS_QP_CREATE_PCI_WRITE_END_PADDING |         \
	 IBV_QP_CREATE_SOURCE_QPN)

static int check_type(u64 type)
{
	switch (type) {
	case IB_UVERBS_QPT_RC:
	case IB_UVERBS_QPT_UC:
	case IB_UVERBS_QPT_UD:
		return 0;
	case IB_UVERBS_QPT_RAW_PACKET:
	case IB_UVERBS_QPT_XRC_INI:
	case IB_UVERBS_QPT_XRC_TGT:
	case IB_UVERBS_QPT_DRIVER:
		return -EOPNOTSUPP;
	default:
		return -EINVAL;
	}
}

/* @srq: a handle, or NO_SRQ. */
#define NO_SRQ ((s64)-1)

static int qp_make(struct oli_cmd *cmd, u32 pd_handle, u32 scq, u32 rcq, s64 srq,
		   struct oli_qp_req *req, struct oli_qp **qp)
{
	struct oli_pd *pd = oli_pd_get(cmd->m, cmd->ctx, pd_handle);
	int rc = oli_cmd_driver_room(cmd, sizeof(struct rxe_create_qp_resp));

	req->send_cq = oli_cq_get(cmd->m, cmd->ctx, scq);
	req->recv_cq = oli_cq_get(cmd->m, cmd->ctx, rcq);
	req->srq = srq == NO_SRQ ? NULL : oli_srq_get(cmd->m, cmd->ctx, (u32)srq);
	if (!pd || !req->send_cq || !req->recv_cq || (srq != NO_SRQ && !req->srq))
		return -ENOENT;
	return rc ? rc : oli_qp_create(cmd->m, pd, req, qp);
}

static void qp_unmake(struct oli_cmd *cmd, struct oli_qp *qp)
{
	u32 events;

	oli_undo(oli_qp_destroy(cmd->m, qp, &events));
}

static int qp_tell_driver(struct oli_cmd *cmd, const struct oli_qp *qp)
{
	struct rxe_create_qp_resp driver = {0};

	oli_qp_mminfo(qp, &driver.sq_mi, &driver.rq_mi);
	return oli_cmd_driver_respond(cmd, &driver, sizeof(driver));
}

static int qp_respond(struct oli_cmd *cmd, const struct oli_qp *qp)
{
	struct ib_uverbs_ex_create_qp_resp resp = {0};
	struct oli_qp_req caps = {0};
	int rc;

	oli_qp_caps(qp, &caps);
	resp.base.qp_handle = oli_handle(qp);
	resp.base.qpn = oli_qp_num(qp);
	resp.base.max_send_wr = caps.max_send_wr;
	resp.base.max_recv_wr = caps.max_recv_wr;
	resp.base.max_send_sge = caps.max_send_sge;
	resp.base.max_recv_sge = caps.max_recv_sge;
	resp.base.max_inline_data = caps.max_inline_data;
	resp.response_length = oli_cmd_response_length(cmd, sizeof(resp));
	rc = qp_tell_driver(cmd, qp);
	return rc ? rc : oli_cmd_respond(cmd, &resp, sizeof(resp));
}

static int create_qp(struct oli_cmd *cmd, const struct ib_uverbs_ex_create_qp *in)
{
	struct oli_qp_req req = {
		.user_handle = in->user_handle,
		.max_send_wr = in->max_send_wr,
		.max_recv_wr = in->max_recv_wr,
		.max_send_sge = in->max_send_sge,
		.max_recv_sge = in->max_recv_sge,
		.max_inline_data = in->max_inline_data,
		.sq_sig_all = !!in->sq_sig_all,
		.type = in->qp_type,
	};
	struct oli_qp *qp;
	int rc = check_type(in->qp_type);

	if (rc)
		return rc;
	if (in->comp_mask)
		return -ENOENT; /* no such indirection table */
	if (in->create_flags)
		return in->create_flags & ~KNOWN_FLAGS ? -EINVAL : -EOPNOTSUPP;
	rc = qp_make(cmd, in->pd_handle, in->send_cq_handle, in->recv_cq_handle,
		     in->is_srq ? in->srq_handle : NO_SRQ, &req, &qp);
	if (rc)
		return rc;
	rc = qp_respond(cmd, qp);
	if (rc)
		qp_unmake(cmd, qp);
	return rc;
}

int oli_cmd_create_qp(struct oli_cmd *cmd)
{
	struct ib_uverbs_ex_create_qp full = {0};
	struct ib_uverbs_create_qp req;
	int rc = oli_cmd_request(cmd, &req, sizeof(req));

	if (rc)
		return rc;
	full.user_handle = req.user_handle;
	full.pd_handle = req.pd_handle;
	full.send_cq_handle = req.send_cq_handle;
	full.recv_cq_handle = req.recv_cq_handle;
	full.max_send_wr = req.max_send_wr;
	full.max_recv_wr = req.max_recv_wr;
	full.max_send_sge = req.max_send_sge;
	full.max_recv_sge = req.max_recv_sge;
	full.max_inline_data = req.max_inline_data;
	full.sq_sig_all = req.sq_sig_all;
	full.qp_type = req.qp_type;
	full.is_srq = req.is_srq;
	return create_qp(cmd, &full);
}

int oli_cmd_ex_create_qp(struct oli_cmd *cmd)
{
	struct ib_uverbs_ex_create_qp req;
	int rc = oli_cmd_request(cmd, &req, sizeof(req));

	if (rc)
		return rc;
	if (req.comp_mask & ~IB_UVERBS_CREATE_QP_SUP_COMP_MASK || req.reserved)
		return -EINVAL;
	return create_qp(cmd, &req);
}

int oli_cmd_query_qp(struct oli_cmd *cmd)
{
	struct ib_uverbs_query_qp_resp resp = {0};
	struct ib_uverbs_query_qp req;
	struct oli_qp *qp;
	int rc = oli_cmd_request(cmd, &req, sizeof(req));

	if (rc)
		return rc;
	qp = oli_qp_get(cmd->m, cmd->ctx, req.qp_handle);
	if (!qp)
		return -ENOENT;
	oli_qp_query(cmd->m, qp, &resp);
	return oli_cmd_respond(cmd, &resp, sizeof(resp));
}

/* Ports and states that do not exist. */
static int check_modify(const struct ib_uverbs_modify_qp *req)
{
	if (req->attr_mask & IBV_QP_PORT && req->port_num != 1)
		return -EINVAL;
	if (req->attr_mask & IBV_QP_AV && req->dest.port_num != 1)
		return -EINVAL;
	if (req->attr_mask & IBV_QP_ALT_PATH &&
	    (req->alt_port_num != 1 || req->alt_dest.port_num != 1))
		return -EINVAL;
	if (req->attr_mask & IBV_QP_STATE && req->qp_state > IBV_QPS_ERR)
		return -EINVAL;
	if (req->attr_mask & IBV_QP_CUR_STATE && req->cur_qp_state > IBV_QPS_ERR)
		return -EINVAL;
	return 0;
}

static int modify_qp(struct oli_cmd *cmd, const struct ib_uverbs_modify_qp *req)
{
	struct oli_qp *qp;
	int rc;

	if (req->attr_mask & ~STANDARD_ATTRS)
		return -EOPNOTSUPP;
	qp = oli_qp_get(cmd->m, cmd->ctx, req->qp_handle);
	if (!qp)
		return -ENOENT;
	rc = check_modify(req);
	return rc ? rc : oli_qp_modify(cmd->m, qp, req);
}

int oli_cmd_modify_qp(struct oli_cmd *cmd)
{
	struct ib_uverbs_modify_qp req;
	int rc = oli_cmd_request(cmd, &req, sizeof(req));

	return rc ? rc : modify_qp(cmd, &req);
}

int oli_cmd_ex_modify_qp(struct oli_cmd *cmd)
{
	struct ib_uverbs_ex_modify_qp_resp resp = {0};
	struct ib_uverbs_ex_modify_qp req;
	int rc = oli_cmd_request(cmd, &req, sizeof(req));

	if (!rc)
		rc = modify_qp(cmd, &req.base);
	if (rc)
		return rc;
	resp.response_length = oli_cmd_response_length(cmd, sizeof(resp));
	return oli_cmd_respond(cmd, &resp, sizeof(resp));
}

static int qp_destroy(struct oli_cmd *cmd, u32 handle, struct ib_uverbs_destroy_qp_resp *resp)
{
	struct oli_qp *qp = oli_qp_get(cmd->m, cmd->ctx, handle);

	return qp ? oli_qp_destroy(cmd->m, qp, &resp->events_reported) : -ENOENT;
}

int oli_cmd_destroy_qp(struct oli_cmd *cmd)
{
	struct ib_uverbs_destroy_qp_resp resp = {0};
	struct ib_uverbs_destroy_qp req;
	int rc = oli_cmd_request(cmd, &req, sizeof(req));

	if (!rc)
		rc = qp_destroy(cmd, req.qp_handle, &resp);
	return rc ? rc : oli_cmd_respond(cmd, &resp, sizeof(resp));
}

int oli_cmd_post_send(struct oli_cmd *cmd)
{
	const struct ib_uverbs_post_send_resp resp = {0};
	struct ib_uverbs_post_send req;
	struct oli_qp *qp;
	int rc = oli_cmd_request(cmd, &req, sizeof(req));

	if (rc)
		return rc;
	if (req.wr_count || req.sge_count)
		return -EOPNOTSUPP;
	qp = oli_qp_get(cmd->m, cmd->ctx, req.qp_handle);
	if (!qp)
		return -ENOENT;
	rc = oli_qp_doorbell(cmd->m, qp);
	return rc ? rc : oli_cmd_respond(cmd, &resp, sizeof(resp));
}

int oli_method_qp_destroy(struct oli_call *call)
{
	struct ib_uverbs_destroy_qp_resp resp = {0};
	int rc;

	rc = qp_destroy(&call->cmd, oli_call_handle(call, UVERBS_ATTR_DESTROY_QP_HANDLE), &resp);
	return rc ? rc : oli_call_write(call, UVERBS_ATTR_DESTROY_QP_RESP, &resp, sizeof(resp));
}

static int qp_gather_flags(const struct oli_call *call, struct oli_qp_req *req)
{
	u32 flags;
	int rc = oli_call_flags(call, UVERBS_ATTR_CREATE_QP_FLAGS,
				KNOWN_FLAGS | IB_UVERBS_QP_CREATE_SQ_SIG_ALL, &flags);

	if (rc)
		return rc;
	req->sq_sig_all = !!(flags & IB_UVERBS_QP_CREATE_SQ_SIG_ALL);
	return flags & KNOWN_FLAGS ? -EOPNOTSUPP : 0;
}

/* The parameters of the native form, without the objects. */
static int qp_gather(const struct oli_call *call, struct oli_qp_req *req)
{
	s64 fd = (s64)oli_call_data(call, UVERBS_ATTR_CREATE_QP_EVENT_FD);
	u64 type = oli_call_data(call, UVERBS_ATTR_CREATE_QP_TYPE);
	struct ib_uverbs_qp_cap cap;
	int rc = check_type(type);

	if (!rc && (oli_call_has(call, UVERBS_ATTR_CREATE_QP_XRCD_HANDLE) ||
		    oli_call_has(call, UVERBS_ATTR_CREATE_QP_IND_TABLE_HANDLE)))
		rc = -ENOENT;
	if (!rc)
		rc = qp_gather_flags(call, req);
	if (!rc && oli_call_has(call, UVERBS_ATTR_CREATE_QP_EVENT_FD))
		rc = oli_evfd_check_async(call->cmd.file, fd);
	if (!rc)
		rc = oli_call_read(call, UVERBS_ATTR_CREATE_QP_USER_HANDLE, &req->user_handle,
				   sizeof(req->user_handle));
	if (!rc)
		rc = oli_call_read(call, UVERBS_ATTR_CREATE_QP_CAP, &cap, sizeof(cap));
	if (rc)
		return rc;
	req->type = (u8)type;
	req->max_send_wr = cap.max_send_wr;
	req->max_recv_wr = cap.max_recv_wr;
	req->max_send_sge = cap.max_send_sge;
	req->max_recv_sge = cap.max_recv_sge;
	req->max_inline_data = cap.max_inline_data;
	return 0;
}

static int qp_tell(struct oli_call *call, const struct oli_qp *qp)
{
	struct oli_qp_req caps = {0};
	struct ib_uverbs_qp_cap cap;
	u32 qpn = oli_qp_num(qp);
	int rc;

	oli_qp_caps(qp, &caps);
	cap = (struct ib_uverbs_qp_cap){caps.max_send_wr, caps.max_recv_wr, caps.max_send_sge,
					caps.max_recv_sge, caps.max_inline_data};
	rc = oli_call_set_new(call, UVERBS_ATTR_CREATE_QP_HANDLE, oli_handle(qp));
	if (!rc)
		rc = qp_tell_driver(&call->cmd, qp);
	if (!rc)
		rc = oli_call_write(call, UVERBS_ATTR_CREATE_QP_RESP_CAP, &cap, sizeof(cap));
	if (!rc)
		rc = oli_call_write(call, UVERBS_ATTR_CREATE_QP_RESP_QP_NUM, &qpn, sizeof(qpn));
	return rc;
}

int oli_method_qp_create(struct oli_call *call)
{
	struct oli_cmd *cmd = &call->cmd;
	bool srq = oli_call_has(call, UVERBS_ATTR_CREATE_QP_SRQ_HANDLE);
	struct oli_qp_req req = {0};
	struct oli_qp *qp;
	int rc;

	cmd->driver_out = oli_call_out(call, UVERBS_ATTR_UHW_OUT);
	rc = qp_gather(call, &req);
	if (!rc)
		rc = qp_make(cmd, oli_call_handle(call, UVERBS_ATTR_CREATE_QP_PD_HANDLE),
			     oli_call_handle(call, UVERBS_ATTR_CREATE_QP_SEND_CQ_HANDLE),
			     oli_call_handle(call, UVERBS_ATTR_CREATE_QP_RECV_CQ_HANDLE),
			     srq ? oli_call_handle(call, UVERBS_ATTR_CREATE_QP_SRQ_HANDLE) : NO_SRQ,
			     &req, &qp);
	if (rc)
		return rc;
	rc = qp_tell(call, qp);
	if (rc)
		qp_unmake(cmd, qp);
	return rc;
}
