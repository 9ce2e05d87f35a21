// SPDX-License-Identifier: MIT
/*
 * The native ioctl methods, and the form of ioctl requests: each answer that a
 * library may probe for, and that a refused request left nothing behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "rig.h"

#define NOBODY 0x00fffff0u

/* ---- the form ---- */

static void foreign_request(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(oli_ufile_ioctl(rig->f, 0x5401, NULL), -ENOTTY);
	assert_int_equal(oli_ufile_ioctl(rig->f, RDMA_VERBS_IOCTL, NULL), -EFAULT);
	assert_int_equal(oli_ufile_ioctl(rig->f, RDMA_VERBS_IOCTL, (void *)-8), -EFAULT);
}

/* What libibverbs asks at open to find out whether legacy commands go by ioctl. */
static void probe_with_an_empty_request(void **state)
{
	struct native n;

	native_init(&n, UVERBS_OBJECT_DEVICE, UVERBS_METHOD_INVOKE_WRITE);
	native_add(&n, UVERBS_ATTR_WRITE_CMD, 8, IB_USER_VERBS_CMD_QUERY_DEVICE);
	assert_int_equal(native_run(*state, &n), -ENOSPC);
}

static void header_is_checked(void **state)
{
	struct native n;

	native_init(&n, UVERBS_OBJECT_PD, UVERBS_METHOD_PD_DESTROY);
	native_add(&n, UVERBS_ATTR_DESTROY_PD_HANDLE, 0, NOBODY);
	n.hdr.length -= 1;
	assert_int_equal(native_run(*state, &n), -EINVAL);
	n.hdr.length += 1;
	n.hdr.num_attrs = UINT16_MAX;
	assert_int_equal(native_run(*state, &n), -EINVAL);
	n.hdr.num_attrs = 1;
	n.hdr.reserved1 = 1;
	assert_int_equal(native_run(*state, &n), -EPROTONOSUPPORT);
	n.hdr.reserved1 = 0;
	n.hdr.driver_id = RDMA_DRIVER_SIW;
	assert_int_equal(native_run(*state, &n), -EINVAL);
	n.hdr.driver_id = RDMA_DRIVER_RXE;
	n.hdr.method_id = 9;
	assert_int_equal(native_run(*state, &n), -EPROTONOSUPPORT);
	n.hdr.object_id = 99;
	assert_int_equal(native_run(*state, &n), -EPROTONOSUPPORT);
}

static void attributes_are_checked(void **state)
{
	u32 pd = rig_pd(*state);
	struct ib_uverbs_attr *attr;
	struct native n;

	native_init(&n, UVERBS_OBJECT_PD, UVERBS_METHOD_PD_DESTROY);
	assert_int_equal(native_run(*state, &n), -EINVAL);
	native_add(&n, UVERBS_ATTR_DESTROY_PD_HANDLE, 4, pd);
	assert_int_equal(native_run(*state, &n), -EINVAL);
	n.attrs[0].len = 0;
	n.attrs[0].attr_data.reserved = 1;
	assert_int_equal(native_run(*state, &n), -EINVAL);
	n.attrs[0].attr_data.reserved = 0;
	attr = native_add(&n, UVERBS_ATTR_DESTROY_PD_HANDLE, 0, pd);
	assert_int_equal(native_run(*state, &n), -EINVAL);
	attr->attr_id = 0x3333;
	assert_int_equal(native_run(*state, &n), -EPROTONOSUPPORT);
	attr->flags = 0;
	assert_int_equal(native_run(*state, &n), 0);
	assert_int_equal(native_run(*state, &n), -ENOENT);
}

static void attributes_out_of_reach(void **state)
{
	struct rig *rig = *state;
	struct ib_uverbs_ioctl_hdr *hdr = (void *)(rig_hole() - sizeof(*hdr));

	*hdr = (struct ib_uverbs_ioctl_hdr){
		.length = sizeof(*hdr) + sizeof(struct ib_uverbs_attr),
		.object_id = UVERBS_OBJECT_PD,
		.method_id = UVERBS_METHOD_PD_DESTROY,
		.num_attrs = 1,
		.driver_id = RDMA_DRIVER_RXE,
	};
	assert_int_equal(oli_ufile_ioctl(rig->f, RDMA_VERBS_IOCTL, hdr), -EFAULT);
}

static void handles_have_32_bits(void **state)
{
	u64 pd = rig_pd(*state);
	struct native n;

	native_init(&n, UVERBS_OBJECT_PD, UVERBS_METHOD_PD_DESTROY);
	native_add(&n, UVERBS_ATTR_DESTROY_PD_HANDLE, 0, pd | 1ull << 32);
	assert_int_equal(native_run(*state, &n), -ENOENT);
	n.attrs[0].data = pd;
	assert_int_equal(native_run(*state, &n), 0);
}

static void methods_of_absent_features(void **state)
{
	static const u16 list[][2] = {
		{UVERBS_OBJECT_DEVICE, UVERBS_METHOD_QUERY_CONTEXT},
		{UVERBS_OBJECT_MR, UVERBS_METHOD_ADVISE_MR},
		{UVERBS_OBJECT_MR, UVERBS_METHOD_REG_DMABUF_MR},
		{UVERBS_OBJECT_DM, UVERBS_METHOD_DM_ALLOC},
	};
	struct native n;
	size_t i;

	for (i = 0; i < OLI_ARRAY_SIZE(list); i++) {
		native_init(&n, list[i][0], list[i][1]);
		native_add(&n, 7, 8, 7);
		assert_int_equal(native_run(*state, &n), -EOPNOTSUPP);
	}
}

/* ---- context ---- */

static void context_then_async(void **state)
{
	struct rig *rig = *state;
	u32 vectors = 0;
	u64 support = 0;
	struct native n, async;

	native_init(&async, UVERBS_OBJECT_ASYNC_EVENT, UVERBS_METHOD_ASYNC_EVENT_ALLOC);
	native_add(&async, UVERBS_ATTR_ASYNC_EVENT_ALLOC_FD_HANDLE, 0, 0);
	assert_int_equal(native_run(rig, &async), -EINVAL);

	native_init(&n, UVERBS_OBJECT_DEVICE, UVERBS_METHOD_GET_CONTEXT);
	native_out(&n, UVERBS_ATTR_GET_CONTEXT_NUM_COMP_VECTORS, &vectors, 4);
	native_out(&n, UVERBS_ATTR_GET_CONTEXT_CORE_SUPPORT, &support, 8);
	assert_int_equal(native_run(rig, &n), 0);
	assert_int_equal(vectors, oli_comp_vectors());
	assert_int_equal(support, IB_UVERBS_CORE_SUPPORT_OPTIONAL_MR_ACCESS);
	assert_true(n.attrs[0].flags & n.attrs[1].flags & UVERBS_ATTR_F_VALID_OUTPUT);
	assert_int_equal(native_run(rig, &n), -EINVAL);

	assert_int_equal(native_run(rig, &async), 0);
	rig->async_fd = (int)async.attrs[0].data_s64;
	assert_true(fcntl(rig->async_fd, F_GETFD) >= 0);
	assert_int_equal(native_run(rig, &async), -EBUSY);
}

static void port_may_be_asked_by_newer_programs(void **state)
{
	struct {
		struct ib_uverbs_query_port_resp_ex known;
		u8 newer[40];
	} resp;
	struct native n;

	memset(&resp, 0xff, sizeof(resp));
	native_init(&n, UVERBS_OBJECT_DEVICE, UVERBS_METHOD_QUERY_PORT);
	native_add(&n, UVERBS_ATTR_QUERY_PORT_PORT_NUM, 8, 1);
	native_out(&n, UVERBS_ATTR_QUERY_PORT_RESP, &resp, sizeof(resp));
	assert_int_equal(native_run(*state, &n), 0);
	assert_int_equal(resp.known.legacy_resp.gid_tbl_len, OLI_GID_TBL_LEN);
	assert_int_equal(resp.newer[39], 0);
	n.attrs[1].len = sizeof(resp.known) - 1;
	assert_int_equal(native_run(*state, &n), -EINVAL);
	n.attrs[1].len = sizeof(resp.known);
	n.attrs[0].data = 257;
	assert_int_equal(native_run(*state, &n), -EINVAL);
	n.attrs[0].data = 1;
	n.attrs[1].data = 64;
	assert_int_equal(native_run(*state, &n), -EFAULT);
}

/* ---- GIDs ---- */

static int gid_entry(struct rig *rig, u64 port, u64 index, struct ib_uverbs_gid_entry *entry)
{
	struct native n;
	u32 flags = 0;

	native_init(&n, UVERBS_OBJECT_DEVICE, UVERBS_METHOD_QUERY_GID_ENTRY);
	native_add(&n, UVERBS_ATTR_QUERY_GID_ENTRY_PORT, 8, port);
	native_add(&n, UVERBS_ATTR_QUERY_GID_ENTRY_GID_INDEX, 8, index);
	native_in(&n, UVERBS_ATTR_QUERY_GID_ENTRY_FLAGS, &flags, 4);
	native_out(&n, UVERBS_ATTR_QUERY_GID_ENTRY_RESP_ENTRY, entry, sizeof(*entry));
	return native_run(rig, &n);
}

static int gid_table(struct rig *rig, void *array, u16 bytes, u64 size, u64 *filled)
{
	struct native n;

	native_init(&n, UVERBS_OBJECT_DEVICE, UVERBS_METHOD_QUERY_GID_TABLE);
	native_add(&n, UVERBS_ATTR_QUERY_GID_TABLE_ENTRY_SIZE, 8, size);
	native_out(&n, UVERBS_ATTR_QUERY_GID_TABLE_RESP_ENTRIES, array, bytes);
	native_out(&n, UVERBS_ATTR_QUERY_GID_TABLE_RESP_NUM_ENTRIES, filled, 8);
	return native_run(rig, &n);
}

static void gid_entries(void **state)
{
	struct ib_uverbs_gid_entry entry;

	assert_int_equal(gid_entry(*state, 1, 0, &entry), 0);
	assert_int_equal(entry.gid_type, IB_UVERBS_GID_TYPE_ROCE_V2);
	assert_int_equal(entry.port_num, 1);
	assert_int_equal(gid_entry(*state, 1, OLI_GID_TBL_LEN - 1, &entry), -ENODATA);
	assert_int_equal(gid_entry(*state, 1, OLI_GID_TBL_LEN, &entry), -EINVAL);
	assert_int_equal(gid_entry(*state, 2, 0, &entry), -EINVAL);
}

static void gid_tables(void **state)
{
	struct ib_uverbs_gid_entry entries[OLI_GIDS], one;
	u8 wide[OLI_GIDS][64];
	u64 n = 0, again = 0;

	assert_int_equal(gid_table(*state, entries, sizeof(entries), sizeof(entries[0]), &n), 0);
	assert_in_range(n, 1, OLI_GIDS);
	assert_int_equal(gid_entry(*state, 1, entries[n - 1].gid_index, &one), 0);
	assert_memory_equal(&one, &entries[n - 1], sizeof(one));
	memset(wide, 0xff, sizeof(wide));
	assert_int_equal(gid_table(*state, wide, sizeof(wide), sizeof(wide[0]), &again), 0);
	assert_int_equal(again, n);
	assert_memory_equal(wide[n - 1], &one, sizeof(one));
	assert_int_equal(wide[n - 1][63], 0);
	assert_int_equal(gid_table(*state, entries, 0, 32, &n), -EINVAL);
	assert_int_equal(gid_table(*state, entries, 64, 0, &n), -EINVAL);
	assert_int_equal(gid_table(*state, entries, 65, 32, &n), -EINVAL);
	assert_int_equal(gid_table(*state, (void *)16, 32 * OLI_GIDS, 32, &n), -EFAULT);
}

/* ---- objects ---- */

struct native_cq {
	struct native n;
	struct ib_uverbs_attr *handle, *resp, *uhw;
	u32 cqe;
	struct rxe_create_cq_resp driver;
};

static void native_cq_init(struct native_cq *c, u32 cqe)
{
	u64 user = 0x1234;
	u32 vector = 0;

	native_init(&c->n, UVERBS_OBJECT_CQ, UVERBS_METHOD_CQ_CREATE);
	c->handle = native_add(&c->n, UVERBS_ATTR_CREATE_CQ_HANDLE, 0, 0);
	native_in(&c->n, UVERBS_ATTR_CREATE_CQ_CQE, &cqe, 4);
	native_in(&c->n, UVERBS_ATTR_CREATE_CQ_USER_HANDLE, &user, 8);
	native_in(&c->n, UVERBS_ATTR_CREATE_CQ_COMP_VECTOR, &vector, 4);
	c->resp = native_out(&c->n, UVERBS_ATTR_CREATE_CQ_RESP_CQE, &c->cqe, 4);
	c->uhw = native_out(&c->n, UVERBS_ATTR_UHW_OUT, &c->driver, sizeof(c->driver));
}

static int native_destroy(struct rig *rig, u16 object, u16 method, u64 handle, void *resp, u16 len)
{
	struct native n;

	native_init(&n, object, method);
	native_add(&n, 0, 0, handle);
	if (len)
		native_out(&n, 1, resp, len);
	return native_run(rig, &n);
}

static void cq_native(void **state)
{
	struct ib_uverbs_destroy_cq_resp events;
	struct rig *rig = *state;
	struct native_cq c;
	u64 handle;

	native_cq_init(&c, 10);
	native_add(&c.n, UVERBS_ATTR_CREATE_CQ_EVENT_FD, 0, (u64)rig->async_fd);
	assert_int_equal(native_run(rig, &c.n), 0);
	assert_true(c.cqe >= 10 && c.driver.mi.size);
	assert_true(c.resp->flags & c.uhw->flags & UVERBS_ATTR_F_VALID_OUTPUT);
	handle = c.handle->data;
	assert_int_equal(native_destroy(rig, UVERBS_OBJECT_CQ, UVERBS_METHOD_CQ_DESTROY, handle,
					&events, sizeof(events)),
			 0);
	assert_int_equal(native_destroy(rig, UVERBS_OBJECT_CQ, UVERBS_METHOD_CQ_DESTROY, handle,
					&events, sizeof(events)),
			 -ENOENT);
	native_cq_init(&c, 10);
	native_add(&c.n, UVERBS_ATTR_CREATE_CQ_EVENT_FD, 0, 1);
	assert_int_equal(native_run(rig, &c.n), -EBADF);
	native_cq_init(&c, 10);
	native_add(&c.n, UVERBS_ATTR_CREATE_CQ_COMP_CHANNEL, 0, (u64)-1);
	assert_int_equal(native_run(rig, &c.n), -EBADF);
	native_cq_init(&c, 10);
	native_add(&c.n, UVERBS_ATTR_CREATE_CQ_FLAGS, 8, IB_UVERBS_CQ_FLAGS_IGNORE_OVERRUN);
	assert_int_equal(native_run(rig, &c.n), -EOPNOTSUPP);
}

static void cq_native_leaves_nothing(void **state)
{
	struct rig *rig = *state;
	struct native_cq c;

	native_cq_init(&c, 10);
	c.resp->data = 32;
	assert_int_equal(native_run(rig, &c.n), -EFAULT);
	native_cq_init(&c, 10);
	c.uhw->data = (uintptr_t)rig_hole();
	assert_int_equal(native_run(rig, &c.n), -EFAULT);
	native_cq_init(&c, 10);
	c.uhw->len = 8;
	assert_int_equal(native_run(rig, &c.n), -EINVAL);
	assert_int_equal(RIG_COUNT(cq), 0);
}

struct native_qp {
	struct native n;
	struct ib_uverbs_attr *handle, *type, *cap, *uhw;
	struct {
		struct ib_uverbs_qp_cap known;
		u32 newer;
	} want;
	struct ib_uverbs_qp_cap got;
	u32 qpn;
	struct rxe_create_qp_resp driver;
};

static void native_qp_init(struct native_qp *q, u32 pd, u32 cq)
{
	u64 user = 0x4321;

	memset(&q->want, 0, sizeof(q->want));
	q->want.known = (struct ib_uverbs_qp_cap){4, 4, 1, 1, 0};
	native_init(&q->n, UVERBS_OBJECT_QP, UVERBS_METHOD_QP_CREATE);
	q->handle = native_add(&q->n, UVERBS_ATTR_CREATE_QP_HANDLE, 0, 0);
	native_add(&q->n, UVERBS_ATTR_CREATE_QP_PD_HANDLE, 0, pd);
	native_add(&q->n, UVERBS_ATTR_CREATE_QP_SEND_CQ_HANDLE, 0, cq);
	native_add(&q->n, UVERBS_ATTR_CREATE_QP_RECV_CQ_HANDLE, 0, cq);
	native_in(&q->n, UVERBS_ATTR_CREATE_QP_USER_HANDLE, &user, 8);
	q->type = native_add(&q->n, UVERBS_ATTR_CREATE_QP_TYPE, 8, IB_UVERBS_QPT_RC);
	q->cap = native_in(&q->n, UVERBS_ATTR_CREATE_QP_CAP, &q->want, sizeof(q->want));
	native_out(&q->n, UVERBS_ATTR_CREATE_QP_RESP_CAP, &q->got, sizeof(q->got));
	native_out(&q->n, UVERBS_ATTR_CREATE_QP_RESP_QP_NUM, &q->qpn, 4);
	q->uhw = native_out(&q->n, UVERBS_ATTR_UHW_OUT, &q->driver, sizeof(q->driver));
}

static void qp_native(void **state)
{
	u32 pd = rig_pd(*state), cq = rig_cq(*state);
	struct ib_uverbs_destroy_qp_resp events;
	struct native_qp q;

	native_qp_init(&q, pd, cq);
	assert_int_equal(native_run(*state, &q.n), 0);
	assert_true(q.got.max_send_wr >= 4 && q.driver.sq_mi.size && q.driver.rq_mi.size);
	assert_int_equal(native_destroy(*state, UVERBS_OBJECT_QP, UVERBS_METHOD_QP_DESTROY,
					q.handle->data, &events, sizeof(events)),
			 0);
	native_qp_init(&q, pd, cq);
	q.want.newer = 1;
	assert_int_equal(native_run(*state, &q.n), -EOPNOTSUPP);
	native_qp_init(&q, pd, NOBODY);
	assert_int_equal(native_run(*state, &q.n), -ENOENT);
	native_qp_init(&q, pd, cq);
	q.type->data = IB_UVERBS_QPT_XRC_INI;
	assert_int_equal(native_run(*state, &q.n), -EOPNOTSUPP);
	q.type->data = 0;
	assert_int_equal(native_run(*state, &q.n), -EINVAL);
	native_qp_init(&q, pd, cq);
	native_add(&q.n, UVERBS_ATTR_CREATE_QP_SRQ_HANDLE, 0, 1);
	assert_int_equal(native_run(*state, &q.n), -ENOENT);
	native_qp_init(&q, pd, cq);
	q.uhw->data = 64;
	assert_int_equal(native_run(*state, &q.n), -EFAULT);
	assert_int_equal(RIG_COUNT(qp), 0);
}

static void region_native(void **state)
{
	static u8 mem[100];
	struct rig *rig = *state;
	u32 lkey = 0, rkey = 0, pd = rig_pd(*state);
	u32 handle = rig_mr(*state, pd, mem, sizeof(mem));
	u64 length = 0, iova = 0;
	struct native n;

	native_init(&n, UVERBS_OBJECT_MR, UVERBS_METHOD_QUERY_MR);
	native_add(&n, UVERBS_ATTR_QUERY_MR_HANDLE, 0, handle);
	native_out(&n, UVERBS_ATTR_QUERY_MR_RESP_LKEY, &lkey, 4);
	native_out(&n, UVERBS_ATTR_QUERY_MR_RESP_RKEY, &rkey, 4);
	native_out(&n, UVERBS_ATTR_QUERY_MR_RESP_LENGTH, &length, 8);
	native_out(&n, UVERBS_ATTR_QUERY_MR_RESP_IOVA, &iova, 8);
	assert_int_equal(native_run(*state, &n), 0);
	assert_int_equal(oli_mr_lkey(oli_mr_get(rig->f->m, rig_ctx(rig), handle)), lkey);
	assert_int_equal(oli_mr_rkey(oli_mr_get(rig->f->m, rig_ctx(rig), handle)), rkey);
	assert_int_equal(length, sizeof(mem));
	assert_int_equal(iova, (uintptr_t)mem);
	assert_int_equal(
		native_destroy(*state, UVERBS_OBJECT_MR, UVERBS_METHOD_MR_DESTROY, handle, NULL, 0),
		0);
	assert_int_equal(native_run(*state, &n), -ENOENT);
	assert_int_equal(
		native_destroy(*state, UVERBS_OBJECT_MW, UVERBS_METHOD_MW_DESTROY, handle, NULL, 0),
		-ENOENT);
	assert_int_equal(
		native_destroy(*state, UVERBS_OBJECT_AH, UVERBS_METHOD_AH_DESTROY, handle, NULL, 0),
		-ENOENT);
}

#define TEST(name, setup) cmocka_unit_test_setup_teardown(name, setup, rig_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(foreign_request, rig_open),
		TEST(probe_with_an_empty_request, rig_open),
		TEST(header_is_checked, rig_context),
		TEST(attributes_are_checked, rig_context),
		TEST(attributes_out_of_reach, rig_context),
		TEST(handles_have_32_bits, rig_context),
		TEST(methods_of_absent_features, rig_context),
		TEST(context_then_async, rig_open),
		TEST(port_may_be_asked_by_newer_programs, rig_context),
		TEST(gid_entries, rig_context),
		TEST(gid_tables, rig_context),
		TEST(cq_native, rig_context),
		TEST(cq_native_leaves_nothing, rig_context),
		TEST(qp_native, rig_context),
		TEST(region_native, rig_context),
	};

	return cmocka_run_group_tests(tests, rig_machine, rig_machine_gone);
}
