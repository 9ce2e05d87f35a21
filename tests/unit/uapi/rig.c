// SPDX-License-Identifier: MIT
/*
 * See rig.h. The machine is shared by all tests of a group; each test has a
 * device file of its own, so that what it leaves behind goes with the file.
 *
 * By write(), request and driver data are one buffer and so are the responses;
 * by ioctl each part is an attribute of INVOKE_WRITE. The same struct request
 * drives both, which is how each test can be run twice.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "rig.h"

static char machine_dir[64];

int rig_machine(void **state)
{
	(void)state;
	snprintf(machine_dir, sizeof(machine_dir), "/tmp/olio-test-XXXXXX");
	if (!mkdtemp(machine_dir))
		return -1;
	setenv("OLIO_MACHINE", machine_dir, 1);
	return oli_process_machine() ? 0 : -1;
}

int rig_machine_gone(void **state)
{
	char command[96];

	(void)state;
	oli_process_exit();
	snprintf(command, sizeof(command), "rm -rf %s", machine_dir);
	return system(command) ? -1 : 0;
}

int rig_open(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	enum way way = *state ? *(enum way *)*state : BY_WRITE;

	rig->way = way;
	rig->async_fd = -1;
	*state = rig;
	return oli_ufile_open(0, O_RDWR | O_CLOEXEC, &rig->f, &rig->fd);
}

int rig_context(void **state)
{
	struct ib_uverbs_get_context_resp resp = {0};
	struct ib_uverbs_get_context req = {0};
	struct rig *rig;
	int rc = rig_open(state);

	rig = *state;
	if (!rc)
		rc = RUN(rig, PLAIN(GET_CONTEXT), req, resp);
	rig->async_fd = (int)resp.async_fd;
	return rc;
}

int rig_close(void **state)
{
	struct rig *rig = *state;

	if (rig->async_fd >= 0) {
		oli_fd_closing(rig->async_fd);
		close(rig->async_fd);
	}
	oli_ufile_put(rig->f);
	close(rig->fd);
	free(rig);
	return 0;
}

static int run_plain(struct rig *rig, const struct request *rq)
{
	u8 in[1024] = {0}, out[1024];
	struct ib_uverbs_cmd_hdr hdr = {
		.command = rq->command,
		.in_words = (u16)((sizeof(hdr) + rq->in_len) / 4),
		.out_words = (u16)((rq->out_len + rq->driver_len) / 4),
	};
	u64 response = (uintptr_t)out;
	ssize_t rc;

	memcpy(in, &hdr, sizeof(hdr));
	memcpy(in + sizeof(hdr), rq->in, rq->in_len);
	if (rq->out_len)
		memcpy(in + sizeof(hdr), &response, sizeof(response));
	memset(out, 0xa5, sizeof(out));
	rc = oli_ufile_write(rig->f, in, sizeof(hdr) + rq->in_len);
	if (rc < 0)
		return (int)rc;
	assert_int_equal(rc, sizeof(hdr) + rq->in_len);
	if (rq->out_len)
		memcpy(rq->out, out, rq->out_len);
	if (rq->driver_len)
		memcpy(rq->driver, out + rq->out_len, rq->driver_len);
	return 0;
}

static int run_extended(struct rig *rig, const struct request *rq)
{
	u8 in[1024] = {0}, out[1024];
	struct ib_uverbs_cmd_hdr hdr = {
		.command = rq->command,
		.in_words = (u16)((rq->in_len + 7) / 8),
		.out_words = (u16)(rq->out_len / 8),
	};
	struct ib_uverbs_ex_cmd_hdr ex = {
		.response = rq->out_len + rq->driver_len ? (uintptr_t)out : 0,
		.provider_out_words = (u16)(rq->driver_len / 8),
	};
	size_t len = sizeof(hdr) + sizeof(ex) + hdr.in_words * 8;
	ssize_t rc;

	memcpy(in, &hdr, sizeof(hdr));
	memcpy(in + sizeof(hdr), &ex, sizeof(ex));
	memcpy(in + sizeof(hdr) + sizeof(ex), rq->in, rq->in_len);
	memset(out, 0xa5, sizeof(out));
	rc = oli_ufile_write(rig->f, in, len);
	if (rc < 0)
		return (int)rc;
	assert_int_equal(rc, len);
	if (rq->out_len)
		memcpy(rq->out, out, rq->out_len);
	if (rq->driver_len)
		memcpy(rq->driver, out + rq->out_len, rq->driver_len);
	return 0;
}

static int run_invoke(struct rig *rig, const struct request *rq)
{
	struct ib_uverbs_attr *out = NULL;
	struct native n;
	int rc;

	native_init(&n, UVERBS_OBJECT_DEVICE, UVERBS_METHOD_INVOKE_WRITE);
	native_add(&n, UVERBS_ATTR_WRITE_CMD, 8, rq->command);
	if (rq->in_len)
		native_in(&n, UVERBS_ATTR_CORE_IN, rq->in, (u16)rq->in_len);
	if (rq->out_len)
		out = native_out(&n, UVERBS_ATTR_CORE_OUT, rq->out, (u16)rq->out_len);
	if (rq->driver_len)
		native_out(&n, UVERBS_ATTR_UHW_OUT, rq->driver, (u16)rq->driver_len);
	rc = native_run(rig, &n);
	if (!rc && out)
		assert_true(out->flags & UVERBS_ATTR_F_VALID_OUTPUT);
	return rc;
}

int rig_run(struct rig *rig, const struct request *rq)
{
	if (rig->way == BY_IOCTL)
		return run_invoke(rig, rq);
	if (rq->command & IB_USER_VERBS_CMD_FLAG_EXTENDED)
		return run_extended(rig, rq);
	return run_plain(rig, rq);
}

u32 rig_pd(struct rig *rig)
{
	struct ib_uverbs_alloc_pd_resp resp = {0};
	struct ib_uverbs_alloc_pd req = {0};

	assert_int_equal(RUN(rig, PLAIN(ALLOC_PD), req, resp), 0);
	return resp.pd_handle;
}

u32 rig_cq(struct rig *rig)
{
	struct ib_uverbs_create_cq req = {.cqe = 16, .comp_channel = -1};
	struct ib_uverbs_create_cq_resp resp = {0};
	struct rxe_create_cq_resp driver = {0};

	assert_int_equal(RUN_DRV(rig, PLAIN(CREATE_CQ), req, resp, driver), 0);
	return resp.cq_handle;
}

u32 rig_qp(struct rig *rig, u32 pd, u32 cq)
{
	struct ib_uverbs_create_qp req = {
		.pd_handle = pd,
		.send_cq_handle = cq,
		.recv_cq_handle = cq,
		.max_send_wr = 8,
		.max_recv_wr = 8,
		.max_send_sge = 1,
		.max_recv_sge = 1,
		.qp_type = IB_UVERBS_QPT_RC,
	};
	struct ib_uverbs_create_qp_resp resp = {0};
	struct rxe_create_qp_resp driver = {0};

	assert_int_equal(RUN_DRV(rig, PLAIN(CREATE_QP), req, resp, driver), 0);
	return resp.qp_handle;
}

u32 rig_mr(struct rig *rig, u32 pd, void *mem, size_t len)
{
	struct ib_uverbs_reg_mr req = {
		.start = (uintptr_t)mem,
		.length = len,
		.hca_va = (uintptr_t)mem,
		.pd_handle = pd,
		.access_flags = IB_UVERBS_ACCESS_LOCAL_WRITE | IB_UVERBS_ACCESS_MW_BIND,
	};
	struct ib_uverbs_reg_mr_resp resp;
	struct request rq = {.command = PLAIN(REG_MR),
			     .in = &req,
			     .in_len = sizeof(req),
			     .out = &resp,
			     .out_len = sizeof(resp)};

	assert_int_equal(rig_run(rig, &rq), 0);
	return resp.mr_handle;
}

u8 *rig_hole(void)
{
	u8 *p = mmap(NULL, 2 * OLI_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		     -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	mprotect(p + OLI_PAGE_SIZE, OLI_PAGE_SIZE, PROT_NONE);
	return p + OLI_PAGE_SIZE;
}

void native_init(struct native *n, u16 object, u16 method)
{
	memset(n, 0, sizeof(*n));
	n->hdr.object_id = object;
	n->hdr.method_id = method;
	n->hdr.driver_id = RDMA_DRIVER_RXE;
	n->hdr.length = sizeof(n->hdr);
}

struct ib_uverbs_attr *native_add(struct native *n, u16 id, u16 len, u64 data)
{
	struct ib_uverbs_attr *attr = &n->attrs[n->hdr.num_attrs++];

	attr->attr_id = id;
	attr->len = len;
	attr->flags = UVERBS_ATTR_F_MANDATORY;
	attr->data = data;
	n->hdr.length += sizeof(*attr);
	return attr;
}

struct ib_uverbs_attr *native_in(struct native *n, u16 id, const void *src, u16 len)
{
	struct ib_uverbs_attr *attr = native_add(n, id, len, (uintptr_t)src);

	if (len <= sizeof(attr->data)) {
		attr->data = 0;
		memcpy(&attr->data, src, len);
	}
	return attr;
}

struct ib_uverbs_attr *native_out(struct native *n, u16 id, void *dst, u16 len)
{
	return native_add(n, id, len, (uintptr_t)dst);
}

int native_run(struct rig *rig, struct native *n)
{
	return oli_ufile_ioctl(rig->f, RDMA_VERBS_IOCTL, n);
}

u32 rig_count(struct oli_table *t)
{
	struct oli_machine *m = oli_process_machine();
	struct oli_obj *obj;
	u32 n = 0;

	for (u32 id = 0; (obj = oli_table_peek(m, t, id)); id++)
		n += obj->state != OLI_OBJ_FREE;
	return n;
}
