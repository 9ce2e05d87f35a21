/* SPDX-License-Identifier: MIT */
/*
 * One command of the boundary while it runs. Inside uapi/ only.
 *
 * Words:
 *   core    the part of a request or response that ib_user_verbs.h defines
 *   driver  the part that belongs to the device's provider (rdma_user_rxe.h)
 *   legacy  a command that comes by write(), or by ioctl wrapped in INVOKE_WRITE
 *   native  a method of the ioctl interface
 *
 * A legacy handler sees the same struct oli_cmd whichever way it came. Lengths
 * below the minimum were refused before a handler runs. A handler reads its
 * request once, does its work, responds; if the response cannot be delivered it
 * takes back what it made, so that nothing exists that the program has no name for.
 */
#ifndef OLI_UAPI_CMD_H
#define OLI_UAPI_CMD_H

#include "uapi/ufile.h"

struct oli_in {
	u64 addr; /* in the program, */
	const void *inlined; /* or here, when the bytes travelled inside the request */
	u32 len;
};

struct oli_out {
	u64 addr;
	u32 len;
	u64 mark; /* ioctl: address of the attribute's flags, which say whether it was written */
	u16 flags; /* their value; @mark 0: nothing to mark */
};

struct oli_cmd {
	struct oli_ufile *file;
	struct oli_machine *m;
	struct oli_ctx *ctx; /* NULL only for GET_CONTEXT */
	struct oli_in in, driver_in;
	struct oli_out out, driver_out;
};

/*
 * Copy the request to @req, zero-extended if the program's is shorter.
 * Return: 0, -EFAULT, -EOPNOTSUPP if bytes beyond @size are not zero: the
 * program asks for something newer than what is served here.
 */
OLI_MUST_CHECK int oli_cmd_request(const struct oli_cmd *cmd, void *req, size_t size);
/* Deliver the response: cut to what the program has room for; what it has more is zeroed. */
OLI_MUST_CHECK int oli_cmd_respond(const struct oli_cmd *cmd, const void *resp, size_t size);
/* What response_length of an extended response says. */
u32 oli_cmd_response_length(const struct oli_cmd *cmd, size_t size);
/* Is there room for @size bytes of driver response? Return: 0, -EINVAL. */
OLI_MUST_CHECK int oli_cmd_driver_room(const struct oli_cmd *cmd, size_t size);
OLI_MUST_CHECK int oli_cmd_driver_respond(const struct oli_cmd *cmd, const void *resp, size_t size);

/* Is every byte of the input from @from on zero? Return: 0, -EFAULT, -EOPNOTSUPP. */
OLI_MUST_CHECK int oli_in_tail_zero(const struct oli_in *in, u32 from);
OLI_MUST_CHECK int oli_in_read(const struct oli_in *in, void *dst, size_t size);
OLI_MUST_CHECK int oli_out_write(const struct oli_out *out, const void *src, size_t size);
OLI_MUST_CHECK int oli_out_clear(const struct oli_out *out, size_t from);

/* The result of taking back an object that nobody else has seen yet: it cannot fail. */
static inline void oli_undo(int rc)
{
	(void)rc;
}

/* ---- legacy commands (uapi/cmd.c) ---- */

#define OLI_CMD_UDATA  1u /* what follows the core structs is the driver's */
#define OLI_CMD_RESP   2u /* the request starts with the address of the response */
#define OLI_CMD_NO_CTX 4u /* GET_CONTEXT */

struct oli_cmd_def {
	const char *name;
	u32 flags;
	u16 in, out; /* least bytes of the core structs */
	int (*run)(struct oli_cmd *cmd);
};

/* @command as in struct ib_uverbs_cmd_hdr. Return: 0, -EINVAL (flag bits), -EOPNOTSUPP. */
OLI_MUST_CHECK int oli_cmd_find(u32 command, const struct oli_cmd_def **def);
/* Run @cmd, whose lengths were checked. */
OLI_MUST_CHECK int oli_cmd_run(const struct oli_cmd_def *def, struct oli_cmd *cmd);

/* cmd_device.c */
int oli_cmd_get_context(struct oli_cmd *cmd);
int oli_cmd_query_device(struct oli_cmd *cmd);
int oli_cmd_ex_query_device(struct oli_cmd *cmd);
int oli_cmd_query_port(struct oli_cmd *cmd);
int oli_cmd_create_comp_channel(struct oli_cmd *cmd);
/* cmd_pd.c */
int oli_cmd_alloc_pd(struct oli_cmd *cmd);
int oli_cmd_dealloc_pd(struct oli_cmd *cmd);
/* cmd_ah.c */
int oli_cmd_create_ah(struct oli_cmd *cmd);
int oli_cmd_destroy_ah(struct oli_cmd *cmd);
/* cmd_mr.c */
int oli_cmd_reg_mr(struct oli_cmd *cmd);
int oli_cmd_dereg_mr(struct oli_cmd *cmd);
int oli_cmd_alloc_mw(struct oli_cmd *cmd);
int oli_cmd_dealloc_mw(struct oli_cmd *cmd);
/* cmd_cq.c */
int oli_cmd_create_cq(struct oli_cmd *cmd);
int oli_cmd_ex_create_cq(struct oli_cmd *cmd);
int oli_cmd_resize_cq(struct oli_cmd *cmd);
int oli_cmd_req_notify_cq(struct oli_cmd *cmd);
int oli_cmd_destroy_cq(struct oli_cmd *cmd);
/* cmd_srq.c */
int oli_cmd_create_srq(struct oli_cmd *cmd);
int oli_cmd_modify_srq(struct oli_cmd *cmd);
int oli_cmd_query_srq(struct oli_cmd *cmd);
int oli_cmd_destroy_srq(struct oli_cmd *cmd);
/* cmd_qp.c */
int oli_cmd_create_qp(struct oli_cmd *cmd);
int oli_cmd_ex_create_qp(struct oli_cmd *cmd);
int oli_cmd_query_qp(struct oli_cmd *cmd);
int oli_cmd_modify_qp(struct oli_cmd *cmd);
int oli_cmd_ex_modify_qp(struct oli_cmd *cmd);
int oli_cmd_destroy_qp(struct oli_cmd *cmd);
int oli_cmd_post_send(struct oli_cmd *cmd);

#endif
