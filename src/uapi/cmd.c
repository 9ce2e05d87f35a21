// SPDX-License-Identifier: MIT
/*
 * The legacy commands: the table, and the bytes that go in and out.
 *
 * A plain command's number indexes one table, an extended command's the other.
 * Each entry gives the least sizes of the core structs. A request may be longer
 * than what is known here if the rest is zero, and shorter than the newest
 * struct if it covers the least: that is how old programs meet new servers and
 * the reverse. Commands that are not in the tables answer EOPNOTSUPP.
 *
 * What a wrong length says differs between the two ways in; see write.c and ioctl.c.
 */
#include <errno.h>
#include <string.h>

#include <rdma/rdma_user_ioctl_cmds.h>

#include "base/log.h"
#include "uapi/cmd.h"

#define END_OF(type, member) (offsetof(type, member) + sizeof(((type *)0)->member))

/* Request and response; the response's address is the request's first member. */
#define IO(req, resp) OLI_CMD_RESP, sizeof(struct req), sizeof(struct resp)
/* The same, with driver data behind both. */
#define UIO(req, resp) OLI_CMD_RESP | OLI_CMD_UDATA, sizeof(struct req), sizeof(struct resp)
/* A request alone. */
#define IN(req) 0, sizeof(struct req), 0
/* Extended: the driver's part is framed apart, and structs may grow behind the named members. */
#define EX(req, req_end, resp, resp_end)                                                           \
	0, END_OF(struct req, req_end), END_OF(struct resp, resp_end)

#define CMD(name)    [IB_USER_VERBS_CMD_##name]
#define EX_CMD(name) [IB_USER_VERBS_EX_CMD_##name]

static const struct oli_cmd_def plain_commands[] = {
	CMD(GET_CONTEXT) = {"GET_CONTEXT",
			    OLI_CMD_NO_CTX | UIO(ib_uverbs_get_context, ib_uverbs_get_context_resp),
			    oli_cmd_get_context},
	CMD(QUERY_DEVICE) = {"QUERY_DEVICE",
			     IO(ib_uverbs_query_device, ib_uverbs_query_device_resp),
			     oli_cmd_query_device},
	CMD(QUERY_PORT) = {"QUERY_PORT", IO(ib_uverbs_query_port, ib_uverbs_query_port_resp),
			   oli_cmd_query_port},
	CMD(ALLOC_PD) = {"ALLOC_PD", UIO(ib_uverbs_alloc_pd, ib_uverbs_alloc_pd_resp),
			 oli_cmd_alloc_pd},
	CMD(DEALLOC_PD) = {"DEALLOC_PD", IN(ib_uverbs_dealloc_pd), oli_cmd_dealloc_pd},
	CMD(CREATE_AH) = {"CREATE_AH", UIO(ib_uverbs_create_ah, ib_uverbs_create_ah_resp),
			  oli_cmd_create_ah},
	CMD(DESTROY_AH) = {"DESTROY_AH", IN(ib_uverbs_destroy_ah), oli_cmd_destroy_ah},
	CMD(REG_MR) = {"REG_MR", UIO(ib_uverbs_reg_mr, ib_uverbs_reg_mr_resp), oli_cmd_reg_mr},
	CMD(DEREG_MR) = {"DEREG_MR", IN(ib_uverbs_dereg_mr), oli_cmd_dereg_mr},
	CMD(ALLOC_MW) = {"ALLOC_MW", UIO(ib_uverbs_alloc_mw, ib_uverbs_alloc_mw_resp),
			 oli_cmd_alloc_mw},
	CMD(DEALLOC_MW) = {"DEALLOC_MW", IN(ib_uverbs_dealloc_mw), oli_cmd_dealloc_mw},
	CMD(CREATE_COMP_CHANNEL) = {"CREATE_COMP_CHANNEL",
				    IO(ib_uverbs_create_comp_channel,
				       ib_uverbs_create_comp_channel_resp),
				    oli_cmd_create_comp_channel},
	CMD(CREATE_CQ) = {"CREATE_CQ", UIO(ib_uverbs_create_cq, ib_uverbs_create_cq_resp),
			  oli_cmd_create_cq},
	CMD(RESIZE_CQ) = {"RESIZE_CQ", UIO(ib_uverbs_resize_cq, ib_uverbs_resize_cq_resp),
			  oli_cmd_resize_cq},
	CMD(DESTROY_CQ) = {"DESTROY_CQ", IO(ib_uverbs_destroy_cq, ib_uverbs_destroy_cq_resp),
			   oli_cmd_destroy_cq},
	CMD(REQ_NOTIFY_CQ) = {"REQ_NOTIFY_CQ", IN(ib_uverbs_req_notify_cq), oli_cmd_req_notify_cq},
	CMD(CREATE_SRQ) = {"CREATE_SRQ", UIO(ib_uverbs_create_srq, ib_uverbs_create_srq_resp),
			   oli_cmd_create_srq},
	CMD(MODIFY_SRQ) = {"MODIFY_SRQ", OLI_CMD_UDATA, sizeof(struct ib_uverbs_modify_srq), 0,
			   oli_cmd_modify_srq},
	CMD(QUERY_SRQ) = {"QUERY_SRQ", IO(ib_uverbs_query_srq, ib_uverbs_query_srq_resp),
			  oli_cmd_query_srq},
	CMD(DESTROY_SRQ) = {"DESTROY_SRQ", IO(ib_uverbs_destroy_srq, ib_uverbs_destroy_srq_resp),
			    oli_cmd_destroy_srq},
	CMD(CREATE_QP) = {"CREATE_QP", UIO(ib_uverbs_create_qp, ib_uverbs_create_qp_resp),
			  oli_cmd_create_qp},
	CMD(QUERY_QP) = {"QUERY_QP", IO(ib_uverbs_query_qp, ib_uverbs_query_qp_resp),
			 oli_cmd_query_qp},
	CMD(MODIFY_QP) = {"MODIFY_QP", IN(ib_uverbs_modify_qp), oli_cmd_modify_qp},
	CMD(DESTROY_QP) = {"DESTROY_QP", IO(ib_uverbs_destroy_qp, ib_uverbs_destroy_qp_resp),
			   oli_cmd_destroy_qp},
	CMD(POST_SEND) = {"POST_SEND", IO(ib_uverbs_post_send, ib_uverbs_post_send_resp),
			  oli_cmd_post_send},
};

static const struct oli_cmd_def extended_commands[] = {
	EX_CMD(QUERY_DEVICE) = {"EX_QUERY_DEVICE",
				EX(ib_uverbs_ex_query_device, reserved,
				   ib_uverbs_ex_query_device_resp, response_length),
				oli_cmd_ex_query_device},
	EX_CMD(CREATE_CQ) = {"EX_CREATE_CQ",
			     EX(ib_uverbs_ex_create_cq, reserved, ib_uverbs_ex_create_cq_resp,
				response_length),
			     oli_cmd_ex_create_cq},
	EX_CMD(CREATE_QP) = {"EX_CREATE_QP",
			     EX(ib_uverbs_ex_create_qp, comp_mask, ib_uverbs_ex_create_qp_resp,
				response_length),
			     oli_cmd_ex_create_qp},
	EX_CMD(MODIFY_QP) = {"EX_MODIFY_QP",
			     EX(ib_uverbs_ex_modify_qp, base, ib_uverbs_ex_modify_qp_resp,
				response_length),
			     oli_cmd_ex_modify_qp},
};

int oli_cmd_find(u32 command, const struct oli_cmd_def **def)
{
	bool extended = command & IB_USER_VERBS_CMD_FLAG_EXTENDED;
	const struct oli_cmd_def *table = extended ? extended_commands : plain_commands;
	u32 nr = extended ? OLI_ARRAY_SIZE(extended_commands) : OLI_ARRAY_SIZE(plain_commands);
	u32 index = command & IB_USER_VERBS_CMD_COMMAND_MASK;

	if (command & ~(IB_USER_VERBS_CMD_FLAG_EXTENDED | IB_USER_VERBS_CMD_COMMAND_MASK))
		return -EINVAL;
	if (index >= nr || !table[index].run)
		return -EOPNOTSUPP;
	*def = &table[index];
	return 0;
}

int oli_cmd_run(const struct oli_cmd_def *def, struct oli_cmd *cmd)
{
	int rc;

	cmd->m = cmd->file->m;
	cmd->ctx = oli_ufile_ctx(cmd->file);
	if (cmd->ctx || def->flags & OLI_CMD_NO_CTX)
		rc = def->run(cmd);
	else
		rc = -EINVAL;
	oli_trace("uverbs%u %s = %d", cmd->file->device, def->name, rc);
	return rc;
}

int oli_in_read(const struct oli_in *in, void *dst, size_t size)
{
	if (in->inlined) {
		memcpy(dst, in->inlined, size);
		return 0;
	}
	return oli_user_read(dst, in->addr, size);
}

int oli_in_tail_zero(const struct oli_in *in, u32 from)
{
	u8 chunk[256];
	u32 i, n;
	int rc;

	for (; from < in->len; from += n) {
		struct oli_in part = {in->addr + from, NULL, 0};

		n = in->len - from < sizeof(chunk) ? in->len - from : (u32)sizeof(chunk);
		if (in->inlined)
			part.inlined = (const u8 *)in->inlined + from;
		rc = oli_in_read(&part, chunk, n);
		if (rc)
			return rc;
		for (i = 0; i < n; i++)
			if (chunk[i])
				return -EOPNOTSUPP;
	}
	return 0;
}

int oli_out_clear(const struct oli_out *out, size_t from)
{
	static const u8 zeros[256];
	size_t n;
	int rc;

	for (; from < out->len; from += n) {
		n = out->len - from < sizeof(zeros) ? out->len - from : sizeof(zeros);
		rc = oli_user_write(out->addr + from, zeros, n);
		if (rc)
			return rc;
	}
	return 0;
}

int oli_out_write(const struct oli_out *out, const void *src, size_t size)
{
	u16 flags = out->flags | UVERBS_ATTR_F_VALID_OUTPUT;
	int rc = oli_user_write(out->addr, src, size < out->len ? size : out->len);

	if (rc || !out->mark)
		return rc;
	return oli_user_write(out->mark, &flags, sizeof(flags));
}

int oli_cmd_request(const struct oli_cmd *cmd, void *req, size_t size)
{
	size_t n = cmd->in.len < size ? cmd->in.len : size;
	int rc = oli_in_read(&cmd->in, req, n);

	if (rc)
		return rc;
	memset((u8 *)req + n, 0, size - n);
	return oli_in_tail_zero(&cmd->in, (u32)size);
}

int oli_cmd_respond(const struct oli_cmd *cmd, const void *resp, size_t size)
{
	int rc = oli_out_clear(&cmd->out, size);

	return rc ? rc : oli_out_write(&cmd->out, resp, size);
}

u32 oli_cmd_response_length(const struct oli_cmd *cmd, size_t size)
{
	return cmd->out.len < size ? cmd->out.len : (u32)size;
}

int oli_cmd_driver_room(const struct oli_cmd *cmd, size_t size)
{
	return cmd->driver_out.len < size ? -EINVAL : 0;
}

int oli_cmd_driver_respond(const struct oli_cmd *cmd, const void *resp, size_t size)
{
	return oli_out_write(&cmd->driver_out, resp, size);
}
