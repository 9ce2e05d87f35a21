// SPDX-License-Identifier: MIT
/*
 * The native methods that are served, and the attributes of each.
 *
 * Which attributes are mandatory, and how long each may be, is part of the
 * boundary: Linux's tables (ib_user_ioctl_cmds.h names the attributes) decide.
 * A method that is listed as unsupported answers EOPNOTSUPP, as a device does
 * that lacks the feature; one that is not listed answers EPROTONOSUPPORT, after
 * which libibverbs tries the legacy command if there is one.
 */
#include <assert.h>
#include <errno.h>

#include "uapi/ioctl.h"

#define END_OF(type, member) (offsetof(type, member) + sizeof(((type *)0)->member))
#define ANY		     UINT16_MAX

/* clang-format off */
#define OBJ(id, mandatory) {UVERBS_ATTR_##id, OLI_ATTR_OBJ, mandatory, false, 0, 0}
#define NEW(id) {UVERBS_ATTR_##id, OLI_ATTR_NEW, true, false, 0, 0}
#define IN(id, type, mandatory) \
	{UVERBS_ATTR_##id, OLI_ATTR_IN, mandatory, false, sizeof(type), sizeof(type)}
#define IN_STRUCT(id, type, last) \
	{UVERBS_ATTR_##id, OLI_ATTR_IN, true, true, END_OF(type, last), sizeof(type)}
#define IN_BYTES(id, min) {UVERBS_ATTR_##id, OLI_ATTR_IN, false, false, min, ANY}
#define OUT(id, type, mandatory) \
	{UVERBS_ATTR_##id, OLI_ATTR_OUT, mandatory, false, sizeof(type), sizeof(type)}
#define OUT_STRUCT(id, type, last) \
	{UVERBS_ATTR_##id, OLI_ATTR_OUT, true, true, END_OF(type, last), sizeof(type)}
#define OUT_BYTES(id, mandatory) {UVERBS_ATTR_##id, OLI_ATTR_OUT, mandatory, false, 0, ANY}
/* A number in the attribute itself, always 8 bytes; and flags, 4 or 8. */
#define CONST(id) IN(id, u64, true)
#define FLAGS(id, mandatory) {UVERBS_ATTR_##id, OLI_ATTR_IN, mandatory, false, 4, 8}
/* The driver's data. */
#define UHW IN_BYTES(UHW_IN, 0), OUT_BYTES(UHW_OUT, false)
/* clang-format on */

#define REQUIRED true
#define OPTIONAL false

static const struct oli_attr_spec invoke_write[] = {CONST(WRITE_CMD), IN_BYTES(CORE_IN, 4),
						    OUT_BYTES(CORE_OUT, OPTIONAL), UHW};

static const struct oli_attr_spec get_context[] = {OUT(GET_CONTEXT_NUM_COMP_VECTORS, u32, OPTIONAL),
						   OUT(GET_CONTEXT_CORE_SUPPORT, u64, OPTIONAL),
						   UHW};

static const struct oli_attr_spec query_port[] = {
	CONST(QUERY_PORT_PORT_NUM),
	OUT_STRUCT(QUERY_PORT_RESP, struct ib_uverbs_query_port_resp_ex, reserved)};

static const struct oli_attr_spec query_gid_table[] = {
	CONST(QUERY_GID_TABLE_ENTRY_SIZE), FLAGS(QUERY_GID_TABLE_FLAGS, OPTIONAL),
	OUT_BYTES(QUERY_GID_TABLE_RESP_ENTRIES, REQUIRED),
	OUT(QUERY_GID_TABLE_RESP_NUM_ENTRIES, u64, REQUIRED)};

static const struct oli_attr_spec query_gid_entry[] = {
	CONST(QUERY_GID_ENTRY_PORT), CONST(QUERY_GID_ENTRY_GID_INDEX),
	FLAGS(QUERY_GID_ENTRY_FLAGS, REQUIRED),
	OUT_STRUCT(QUERY_GID_ENTRY_RESP_ENTRY, struct ib_uverbs_gid_entry, netdev_ifindex)};

static const struct oli_attr_spec async_event_alloc[] = {NEW(ASYNC_EVENT_ALLOC_FD_HANDLE)};

static const struct oli_attr_spec pd_destroy[] = {OBJ(DESTROY_PD_HANDLE, REQUIRED)};
static const struct oli_attr_spec ah_destroy[] = {OBJ(DESTROY_AH_HANDLE, REQUIRED)};
static const struct oli_attr_spec mr_destroy[] = {OBJ(DESTROY_MR_HANDLE, REQUIRED)};
static const struct oli_attr_spec mw_destroy[] = {OBJ(DESTROY_MW_HANDLE, REQUIRED)};

static const struct oli_attr_spec mr_query[] = {
	OBJ(QUERY_MR_HANDLE, REQUIRED), OUT(QUERY_MR_RESP_LKEY, u32, REQUIRED),
	OUT(QUERY_MR_RESP_RKEY, u32, REQUIRED), OUT(QUERY_MR_RESP_LENGTH, u64, REQUIRED),
	OUT(QUERY_MR_RESP_IOVA, u64, OPTIONAL)};

static const struct oli_attr_spec cq_create[] = {NEW(CREATE_CQ_HANDLE),
						 IN(CREATE_CQ_CQE, u32, REQUIRED),
						 IN(CREATE_CQ_USER_HANDLE, u64, REQUIRED),
						 OBJ(CREATE_CQ_COMP_CHANNEL, OPTIONAL),
						 IN(CREATE_CQ_COMP_VECTOR, u32, REQUIRED),
						 FLAGS(CREATE_CQ_FLAGS, OPTIONAL),
						 OUT(CREATE_CQ_RESP_CQE, u32, REQUIRED),
						 OBJ(CREATE_CQ_EVENT_FD, OPTIONAL),
						 UHW};

static const struct oli_attr_spec cq_destroy[] = {
	OBJ(DESTROY_CQ_HANDLE, REQUIRED),
	OUT_STRUCT(DESTROY_CQ_RESP, struct ib_uverbs_destroy_cq_resp, async_events_reported)};

static const struct oli_attr_spec srq_create[] = {
	NEW(CREATE_SRQ_HANDLE),
	OBJ(CREATE_SRQ_PD_HANDLE, REQUIRED),
	CONST(CREATE_SRQ_TYPE),
	IN(CREATE_SRQ_USER_HANDLE, u64, REQUIRED),
	IN(CREATE_SRQ_MAX_WR, u32, REQUIRED),
	IN(CREATE_SRQ_MAX_SGE, u32, REQUIRED),
	IN(CREATE_SRQ_LIMIT, u32, REQUIRED),
	OBJ(CREATE_SRQ_XRCD_HANDLE, OPTIONAL),
	OBJ(CREATE_SRQ_CQ_HANDLE, OPTIONAL),
	IN(CREATE_SRQ_MAX_NUM_TAGS, u32, OPTIONAL),
	OBJ(CREATE_SRQ_EVENT_FD, OPTIONAL),
	OUT(CREATE_SRQ_RESP_MAX_WR, u32, REQUIRED),
	OUT(CREATE_SRQ_RESP_MAX_SGE, u32, REQUIRED),
	OUT(CREATE_SRQ_RESP_SRQ_NUM, u32, OPTIONAL),
	UHW};

static const struct oli_attr_spec srq_destroy[] = {
	OBJ(DESTROY_SRQ_HANDLE, REQUIRED),
	OUT_STRUCT(DESTROY_SRQ_RESP, struct ib_uverbs_destroy_srq_resp, events_reported)};

static const struct oli_attr_spec qp_create[] = {
	NEW(CREATE_QP_HANDLE),
	OBJ(CREATE_QP_XRCD_HANDLE, OPTIONAL),
	OBJ(CREATE_QP_PD_HANDLE, OPTIONAL),
	OBJ(CREATE_QP_SRQ_HANDLE, OPTIONAL),
	OBJ(CREATE_QP_SEND_CQ_HANDLE, OPTIONAL),
	OBJ(CREATE_QP_RECV_CQ_HANDLE, OPTIONAL),
	OBJ(CREATE_QP_IND_TABLE_HANDLE, OPTIONAL),
	IN(CREATE_QP_USER_HANDLE, u64, REQUIRED),
	IN_STRUCT(CREATE_QP_CAP, struct ib_uverbs_qp_cap, max_inline_data),
	CONST(CREATE_QP_TYPE),
	FLAGS(CREATE_QP_FLAGS, OPTIONAL),
	IN(CREATE_QP_SOURCE_QPN, u32, OPTIONAL),
	OBJ(CREATE_QP_EVENT_FD, OPTIONAL),
	OUT_STRUCT(CREATE_QP_RESP_CAP, struct ib_uverbs_qp_cap, max_inline_data),
	OUT(CREATE_QP_RESP_QP_NUM, u32, REQUIRED),
	UHW};
static_assert(OLI_ARRAY_SIZE(qp_create) <= OLI_ATTRS_MAX, "the longest list");

static const struct oli_attr_spec qp_destroy[] = {
	OBJ(DESTROY_QP_HANDLE, REQUIRED),
	OUT_STRUCT(DESTROY_QP_RESP, struct ib_uverbs_destroy_qp_resp, events_reported)};

#define SERVED(object, method, no_ctx, list)                                                       \
	{                                                                                          \
		UVERBS_OBJECT_##object, UVERBS_METHOD_##method, no_ctx, OLI_ARRAY_SIZE(list),      \
			#method, list, oli_method_##list                                           \
	}
#define UNSUPPORTED(object, method)                                                                \
	{                                                                                          \
		UVERBS_OBJECT_##object, UVERBS_METHOD_##method, true, 0, #method, NULL,            \
			oli_method_unsupported                                                     \
	}

#define ANY_TIME true
#define WITH_CTX false

static const struct oli_method methods[] = {
	SERVED(DEVICE, INVOKE_WRITE, ANY_TIME, invoke_write),
	SERVED(DEVICE, GET_CONTEXT, ANY_TIME, get_context),
	SERVED(DEVICE, QUERY_PORT, WITH_CTX, query_port),
	SERVED(DEVICE, QUERY_GID_TABLE, WITH_CTX, query_gid_table),
	SERVED(DEVICE, QUERY_GID_ENTRY, WITH_CTX, query_gid_entry),
	UNSUPPORTED(DEVICE, QUERY_CONTEXT),
	SERVED(ASYNC_EVENT, ASYNC_EVENT_ALLOC, WITH_CTX, async_event_alloc),
	SERVED(PD, PD_DESTROY, WITH_CTX, pd_destroy),
	SERVED(AH, AH_DESTROY, WITH_CTX, ah_destroy),
	SERVED(MR, MR_DESTROY, WITH_CTX, mr_destroy),
	SERVED(MR, QUERY_MR, WITH_CTX, mr_query),
	UNSUPPORTED(MR, DM_MR_REG),
	UNSUPPORTED(MR, ADVISE_MR),
	UNSUPPORTED(MR, REG_DMABUF_MR),
	SERVED(MW, MW_DESTROY, WITH_CTX, mw_destroy),
	SERVED(CQ, CQ_CREATE, WITH_CTX, cq_create),
	SERVED(CQ, CQ_DESTROY, WITH_CTX, cq_destroy),
	SERVED(QP, QP_CREATE, WITH_CTX, qp_create),
	SERVED(QP, QP_DESTROY, WITH_CTX, qp_destroy),
	SERVED(SRQ, SRQ_CREATE, WITH_CTX, srq_create),
	SERVED(SRQ, SRQ_DESTROY, WITH_CTX, srq_destroy),
	UNSUPPORTED(DM, DM_ALLOC),
	UNSUPPORTED(DM, DM_FREE),
};

const struct oli_method *oli_method_find(u16 object, u16 method)
{
	size_t i;

	for (i = 0; i < OLI_ARRAY_SIZE(methods); i++)
		if (methods[i].object == object && methods[i].method == method)
			return &methods[i];
	return NULL;
}

int oli_method_unsupported(struct oli_call *call)
{
	(void)call;
	return -EOPNOTSUPP;
}

int oli_method_invoke_write(struct oli_call *call)
{
	const struct oli_cmd_def *def;
	u64 command = oli_call_data(call, UVERBS_ATTR_WRITE_CMD);
	int rc;

	if (command > UINT32_MAX)
		return -EINVAL;
	rc = oli_cmd_find((u32)command, &def);
	if (rc)
		return rc;
	call->cmd.in = oli_call_in(call, UVERBS_ATTR_CORE_IN);
	call->cmd.out = oli_call_out(call, UVERBS_ATTR_CORE_OUT);
	call->cmd.driver_in = oli_call_in(call, UVERBS_ATTR_UHW_IN);
	call->cmd.driver_out = oli_call_out(call, UVERBS_ATTR_UHW_OUT);
	if (call->cmd.in.len < def->in || call->cmd.out.len < def->out)
		return -ENOSPC;
	return oli_cmd_run(def, &call->cmd);
}
