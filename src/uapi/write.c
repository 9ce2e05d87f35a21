// SPDX-License-Identifier: MIT
/*
 * write() on the device file: legacy commands, and the doorbell.
 *
 * A plain command is struct ib_uverbs_cmd_hdr, whose lengths count 4-byte words
 * and include the header, then the core struct, then driver data. An extended
 * one has a second header, its lengths count 8-byte words and leave the headers
 * out, and the response address moves from the core struct into that header.
 *
 * What Linux answers to wrong lengths, which programs probe for: EINVAL if the
 * words do not add up to the count, ENOSPC if a struct is shorter than needed.
 *
 * The doorbell is a POST_SEND without work requests: they are in the shared
 * queue already. It is the only command on the data path, so it is recognised
 * before anything else, with no lock taken and, since the provider library
 * builds it on its stack, no system call made.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "uapi/cmd.h"
#include "uapi/uaccess.h"

struct doorbell {
	struct ib_uverbs_cmd_hdr hdr;
	struct ib_uverbs_post_send post;
};
static_assert(sizeof(struct doorbell) == 32, "POST_SEND without work requests");

#define DOORBELL_WORDS (sizeof(struct doorbell) / 4)
#define RESP_WORDS     (sizeof(struct ib_uverbs_post_send_resp) / 4)

static bool is_doorbell(const struct doorbell *d)
{
	return d->hdr.command == IB_USER_VERBS_CMD_POST_SEND && d->hdr.in_words == DOORBELL_WORDS &&
	       d->hdr.out_words == RESP_WORDS && !d->post.wr_count && !d->post.sge_count;
}

static ssize_t ring(struct oli_ufile *f, struct oli_ctx *ctx, const struct doorbell *d)
{
	const struct ib_uverbs_post_send_resp resp = {0};
	struct oli_qp *qp = oli_qp_get(f->m, ctx, d->post.qp_handle);
	int rc;

	if (!qp)
		return -ENOENT;
	rc = oli_qp_doorbell(f->m, qp);
	if (rc)
		return rc;
	rc = oli_user_write(d->post.response, &resp, sizeof(resp));
	return rc ? rc : (ssize_t)sizeof(*d);
}

/* The driver's data follows the core structs at both ends. */
static void split_driver(const struct oli_cmd_def *def, struct oli_cmd *cmd)
{
	cmd->driver_in.addr = cmd->in.addr + def->in;
	cmd->driver_in.len = cmd->in.len - def->in;
	cmd->in.len = def->in;
	if (!(def->flags & OLI_CMD_RESP))
		return;
	cmd->driver_out.addr = cmd->out.addr + def->out;
	cmd->driver_out.len = cmd->out.len - def->out;
	cmd->out.len = def->out;
}

static int frame_plain(const struct oli_cmd_def *def, const struct ib_uverbs_cmd_hdr *hdr, u64 buf,
		       size_t len, struct oli_cmd *cmd)
{
	int rc;

	if (hdr->in_words * 4ul != len)
		return -EINVAL;
	if (len < sizeof(*hdr) + def->in || hdr->out_words * 4ul < def->out)
		return -ENOSPC;
	cmd->in = (struct oli_in){.addr = buf + sizeof(*hdr), .len = (u32)(len - sizeof(*hdr))};
	if (def->flags & OLI_CMD_RESP) {
		rc = oli_user_read(&cmd->out.addr, cmd->in.addr, sizeof(cmd->out.addr));
		if (rc)
			return rc;
		cmd->out.len = hdr->out_words * 4u;
	}
	if (def->flags & OLI_CMD_UDATA)
		split_driver(def, cmd);
	return 0;
}

static int check_extended(const struct oli_cmd_def *def, const struct ib_uverbs_cmd_hdr *hdr,
			  const struct ib_uverbs_ex_cmd_hdr *ex, size_t body)
{
	if ((hdr->in_words + ex->provider_in_words) * 8ul != body)
		return -EINVAL;
	if (hdr->in_words * 8ul < def->in)
		return -ENOSPC;
	if (ex->cmd_hdr_reserved)
		return -EINVAL;
	if (!ex->response != !(hdr->out_words || ex->provider_out_words))
		return -EINVAL;
	return ex->response && hdr->out_words * 8ul < def->out ? -ENOSPC : 0;
}

static int frame_extended(const struct oli_cmd_def *def, const struct ib_uverbs_cmd_hdr *hdr,
			  u64 buf, size_t len, struct oli_cmd *cmd)
{
	const size_t heads = sizeof(*hdr) + sizeof(struct ib_uverbs_ex_cmd_hdr);
	struct ib_uverbs_ex_cmd_hdr ex;
	int rc;

	if (len < heads)
		return -EINVAL;
	rc = oli_user_read(&ex, buf + sizeof(*hdr), sizeof(ex));
	if (!rc)
		rc = check_extended(def, hdr, &ex, len - heads);
	if (rc)
		return rc;
	cmd->in = (struct oli_in){.addr = buf + heads, .len = hdr->in_words * 8u};
	cmd->driver_in = (struct oli_in){.addr = cmd->in.addr + cmd->in.len,
					 .len = ex.provider_in_words * 8u};
	cmd->out = (struct oli_out){.addr = ex.response, .len = hdr->out_words * 8u};
	cmd->driver_out = (struct oli_out){.addr = ex.response + cmd->out.len,
					   .len = ex.provider_out_words * 8u};
	return 0;
}

static ssize_t write_command(struct oli_ufile *f, u64 buf, size_t len)
{
	struct oli_cmd cmd = {.file = f};
	const struct oli_cmd_def *def;
	struct ib_uverbs_cmd_hdr hdr;
	int rc;

	if (f->dead)
		return -EIO;
	if (len < sizeof(hdr))
		return -EINVAL;
	rc = oli_user_read(&hdr, buf, sizeof(hdr));
	if (!rc)
		rc = oli_cmd_find(hdr.command, &def);
	if (rc)
		return rc;
	if (hdr.command & IB_USER_VERBS_CMD_FLAG_EXTENDED)
		rc = frame_extended(def, &hdr, buf, len, &cmd);
	else
		rc = frame_plain(def, &hdr, buf, len, &cmd);
	if (!rc)
		rc = oli_cmd_run(def, &cmd);
	return rc ? rc : (ssize_t)len;
}

bool oli_ufile_doorbell(struct oli_ufile *f, const void *buf, size_t len, ssize_t *rc)
{
	struct oli_ctx *ctx;
	struct doorbell d;

	/* A thread's first call finds its stack, by means that are cancellation points. */
	if (len != sizeof(d) || !oli_thread.stack_top || !oli_user_on_stack((uintptr_t)buf, sizeof(d)))
		return false;
	memcpy(&d, buf, sizeof(d));
	if (!is_doorbell(&d))
		return false;
	oli_thread_enter();
	ctx = oli_ufile_ctx(f);
	if (ctx)
		*rc = ring(f, ctx, &d);
	oli_thread_leave();
	return ctx != NULL;
}

ssize_t oli_ufile_write(struct oli_ufile *f, const void *buf, size_t len)
{
	ssize_t rc;

	if (oli_ufile_doorbell(f, buf, len, &rc))
		return rc;
	oli_thread_enter();
	rc = write_command(f, (uintptr_t)buf, len);
	oli_thread_leave();
	return rc;
}
