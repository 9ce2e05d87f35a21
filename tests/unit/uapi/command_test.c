// SPDX-License-Identifier: MIT
/*
 * The legacy commands, each by write() and by INVOKE_WRITE: what they do, and
 * what they answer to wrong handles, lengths and addresses.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <infiniband/verbs.h>

#include "rig.h"

#define NOBODY 0x00fffff0u /* no object has this handle */

/* ---- the file ---- */

static void open_gives_the_machine_file(void **state)
{
	struct rig *rig = *state;
	void *p;

	assert_int_equal(oli_ufile_rdev(rig->f), makedev(OLI_UVERBS_MAJOR, OLI_UVERBS_MINOR));
	assert_int_equal(fcntl(rig->fd, F_GETFD), FD_CLOEXEC);
	p = mmap(NULL, OLI_PAGE_SIZE, PROT_READ, MAP_SHARED, rig->fd, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	assert_memory_equal(p, oli_process_machine()->shm->magic, 8);
	munmap(p, OLI_PAGE_SIZE);
}

static void open_of_no_device(void **state)
{
	struct oli_ufile *f = NULL;
	int fd = -1;

	(void)state;
	assert_int_equal(oli_ufile_open(77, O_RDWR, &f, &fd), -ENXIO);
	/* There is one, but this program is not shown it. */
	assert_true(oli_process_machine()->shm->nr_devices > 1);
	assert_int_equal(oli_ufile_open(1, O_RDWR, &f, &fd), -ENXIO);
	assert_null(f);
	assert_int_equal(fd, -1);
}

static void context_comes_first_and_once(void **state)
{
	struct ib_uverbs_get_context_resp resp = {0};
	struct ib_uverbs_query_device_resp dev;
	struct ib_uverbs_query_device query = {0};
	struct ib_uverbs_get_context req = {0};
	struct ib_uverbs_dealloc_pd pd = {0};
	struct rig *rig = *state;

	assert_int_equal(RUN(rig, PLAIN(QUERY_DEVICE), query, dev), -EINVAL);
	assert_int_equal(RUN_IN(rig, PLAIN(DEALLOC_PD), pd), -EINVAL);
	assert_int_equal(RUN(rig, PLAIN(GET_CONTEXT), req, resp), 0);
	rig->async_fd = (int)resp.async_fd;
	assert_int_equal(resp.num_comp_vectors, oli_comp_vectors());
	assert_true(fcntl(rig->async_fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(RUN(rig, PLAIN(GET_CONTEXT), req, resp), -EINVAL);
	assert_int_equal(RUN(rig, PLAIN(QUERY_DEVICE), query, dev), 0);
}

static void context_can_be_retried_after_a_bad_pointer(void **state)
{
	struct {
		struct ib_uverbs_cmd_hdr hdr;
		struct ib_uverbs_get_context req;
	} cmd = {{PLAIN(GET_CONTEXT), sizeof(cmd) / 4, 2}, {.response = 16}};
	struct rig *rig = *state;

	assert_int_equal(oli_ufile_write(rig->f, &cmd, sizeof(cmd)), -EFAULT);
	assert_null(rig_ctx(rig));
	context_comes_first_and_once(state);
}

/* ---- device ---- */

static void device_says_its_limits(void **state)
{
	struct ib_uverbs_query_device req = {0};
	struct ib_uverbs_query_device_resp resp;

	assert_int_equal(RUN(*state, PLAIN(QUERY_DEVICE), req, resp), 0);
	assert_int_equal(resp.phys_port_cnt, 1);
	assert_int_equal(resp.max_sge, OLI_MAX_SGE);
	assert_int_not_equal(resp.max_srq, 0);
	assert_int_equal(resp.max_srq_sge, OLI_MAX_SRQ_SGE);
}

static void extended_device_honours_the_callers_size(void **state)
{
	struct ib_uverbs_ex_query_device req = {0};
	struct ib_uverbs_ex_query_device_resp resp;
	u8 big[sizeof(resp) + 64];
	struct request rq = {EX(QUERY_DEVICE), &req, sizeof(req), &resp, sizeof(resp), NULL, 0};
	u32 least = offsetof(struct ib_uverbs_ex_query_device_resp, response_length) + 4;

	assert_int_equal(rig_run(*state, &rq), 0);
	assert_int_equal(resp.response_length, sizeof(resp));
	rq.out_len = least;
	assert_int_equal(rig_run(*state, &rq), 0);
	assert_int_equal(resp.response_length, least);
	rq.out_len = least - 8;
	assert_int_equal(rig_run(*state, &rq), -ENOSPC);
	rq.out = big;
	rq.out_len = sizeof(big);
	memset(big, 0xff, sizeof(big));
	assert_int_equal(rig_run(*state, &rq), 0);
	assert_int_equal(big[sizeof(big) - 1], 0);
	req.comp_mask = 1;
	assert_int_equal(rig_run(*state, &rq), -EINVAL);
}

static void port_one_only(void **state)
{
	struct ib_uverbs_query_port req = {.port_num = 1};
	struct ib_uverbs_query_port_resp resp;

	assert_int_equal(RUN(*state, PLAIN(QUERY_PORT), req, resp), 0);
	assert_int_equal(resp.gid_tbl_len, OLI_GID_TBL_LEN);
	assert_int_equal(resp.link_layer, IBV_LINK_LAYER_ETHERNET);
	req.port_num = 0;
	assert_int_equal(RUN(*state, PLAIN(QUERY_PORT), req, resp), -EINVAL);
	req.port_num = 2;
	assert_int_equal(RUN(*state, PLAIN(QUERY_PORT), req, resp), -EINVAL);
}

/* ---- domains, regions, windows ---- */

static void pd_lives_and_dies(void **state)
{
	struct ib_uverbs_dealloc_pd gone = {.pd_handle = rig_pd(*state)};

	assert_int_equal(RUN_IN(*state, PLAIN(DEALLOC_PD), gone), 0);
	assert_int_equal(RUN_IN(*state, PLAIN(DEALLOC_PD), gone), -ENOENT);
	gone.pd_handle = NOBODY;
	assert_int_equal(RUN_IN(*state, PLAIN(DEALLOC_PD), gone), -ENOENT);
}

static void pd_in_use_stays(void **state)
{
	static u8 mem[64];
	struct ib_uverbs_dealloc_pd pd = {.pd_handle = rig_pd(*state)};
	struct ib_uverbs_dereg_mr mr = {rig_mr(*state, pd.pd_handle, mem, sizeof(mem))};

	assert_int_equal(RUN_IN(*state, PLAIN(DEALLOC_PD), pd), -EBUSY);
	assert_int_equal(RUN_IN(*state, PLAIN(DEREG_MR), mr), 0);
	assert_int_equal(RUN_IN(*state, PLAIN(DEREG_MR), mr), -ENOENT);
	assert_int_equal(RUN_IN(*state, PLAIN(DEALLOC_PD), pd), 0);
}

static void another_file_cannot_use_it(void **state)
{
	struct ib_uverbs_dealloc_pd pd = {.pd_handle = rig_pd(*state)};
	enum way way = BY_WRITE;
	void *other = &way;

	assert_int_equal(rig_context(&other), 0);
	assert_int_equal(RUN_IN(other, PLAIN(DEALLOC_PD), pd), -ENOENT);
	rig_close(&other);
	assert_int_equal(RUN_IN(*state, PLAIN(DEALLOC_PD), pd), 0);
}

static void region_is_checked(void **state)
{
	static u8 mem[8192];
	struct ib_uverbs_reg_mr good = {
		.start = (uintptr_t)mem,
		.length = sizeof(mem),
		.hca_va = (uintptr_t)mem,
		.pd_handle = rig_pd(*state),
		.access_flags = IB_UVERBS_ACCESS_LOCAL_WRITE,
	};
	struct ib_uverbs_reg_mr_resp resp;
	struct ib_uverbs_reg_mr req = good;

	req.hca_va += 1;
	assert_int_equal(RUN(*state, PLAIN(REG_MR), req, resp), -EINVAL);
	req = good;
	req.pd_handle = NOBODY;
	assert_int_equal(RUN(*state, PLAIN(REG_MR), req, resp), -ENOENT);
	req = good;
	req.access_flags = IB_UVERBS_ACCESS_REMOTE_WRITE;
	assert_int_equal(RUN(*state, PLAIN(REG_MR), req, resp), -EINVAL);
	req = good;
	req.start = req.hca_va = (uintptr_t)rig_hole() - 8;
	assert_int_equal(RUN(*state, PLAIN(REG_MR), req, resp), -EFAULT);
	assert_int_equal(RUN(*state, PLAIN(REG_MR), good, resp), 0);
	assert_int_not_equal(resp.lkey, 0);
}

static void window_types(void **state)
{
	struct ib_uverbs_alloc_mw req = {.pd_handle = rig_pd(*state), .mw_type = 1};
	struct ib_uverbs_alloc_mw_resp resp;
	struct ib_uverbs_dealloc_mw gone;
	struct ib_uverbs_dereg_mr region;

	assert_int_equal(RUN(*state, PLAIN(ALLOC_MW), req, resp), 0);
	gone.mw_handle = region.mr_handle = resp.mw_handle;
	assert_int_equal(RUN_IN(*state, PLAIN(DEREG_MR), region), -ENOENT);
	assert_int_equal(RUN_IN(*state, PLAIN(DEALLOC_MW), gone), 0);
	req.mw_type = 2;
	assert_int_equal(RUN(*state, PLAIN(ALLOC_MW), req, resp), 0);
	req.mw_type = 3;
	assert_int_equal(RUN(*state, PLAIN(ALLOC_MW), req, resp), -EINVAL);
}

/* ---- completion ---- */

static int make_channel(struct rig *rig)
{
	struct ib_uverbs_create_comp_channel req = {0};
	struct ib_uverbs_create_comp_channel_resp resp;

	assert_int_equal(RUN(rig, PLAIN(CREATE_COMP_CHANNEL), req, resp), 0);
	return (int)resp.fd;
}

static void close_number(int fd)
{
	oli_fd_closing(fd);
	close(fd);
}

static int cq_on(struct rig *rig, int channel, u32 *handle)
{
	struct ib_uverbs_create_cq req = {.cqe = 4, .comp_channel = channel};
	struct ib_uverbs_create_cq_resp resp;
	struct rxe_create_cq_resp driver;
	int rc = RUN_DRV(rig, PLAIN(CREATE_CQ), req, resp, driver);

	if (!rc)
		*handle = resp.cq_handle;
	return rc;
}

static void channel_is_known_by_any_of_its_numbers(void **state)
{
	struct rig *rig = *state;
	int chan = make_channel(rig), copy = fcntl(chan, F_DUPFD_CLOEXEC, 200);
	u32 cq;

	assert_int_equal(cq_on(rig, chan, &cq), 0);
	assert_int_equal(cq_on(rig, copy, &cq), -EBADF);
	oli_fd_copied(chan, copy);
	close_number(chan);
	assert_int_equal(cq_on(rig, copy, &cq), 0);
	assert_int_equal(cq_on(rig, chan, &cq), -EBADF);
	assert_int_equal(cq_on(rig, rig->async_fd, &cq), -EBADF);
	assert_int_equal(cq_on(rig, 0, &cq), -EBADF);
	assert_int_equal(cq_on(rig, 60000, &cq), -EBADF);
	close_number(copy);
}

static void channel_may_outlive_its_file(void **state)
{
	enum way way = BY_WRITE;
	void *other = &way;
	int chan;
	u32 cq;

	assert_int_equal(rig_context(&other), 0);
	chan = make_channel(other);
	assert_int_equal(cq_on(*state, chan, &cq), -EBADF);
	rig_close(&other);
	close_number(chan);
}

static void cq_parameters(void **state)
{
	struct ib_uverbs_create_cq good = {.cqe = 4, .comp_channel = -1}, req;
	struct ib_uverbs_create_cq_resp resp;
	struct rxe_create_cq_resp driver;

	assert_int_equal(RUN_DRV(*state, PLAIN(CREATE_CQ), good, resp, driver), 0);
	assert_true(resp.cqe >= 4);
	assert_true(driver.mi.size && !(driver.mi.offset % OLI_PAGE_SIZE));
	req = good;
	req.cqe = 0;
	assert_int_equal(RUN_DRV(*state, PLAIN(CREATE_CQ), req, resp, driver), -EINVAL);
	req.cqe = OLI_MAX_CQE + 1;
	assert_int_equal(RUN_DRV(*state, PLAIN(CREATE_CQ), req, resp, driver), -EINVAL);
	req = good;
	req.comp_vector = oli_comp_vectors();
	assert_int_equal(RUN_DRV(*state, PLAIN(CREATE_CQ), req, resp, driver), -EINVAL);
	assert_int_equal(RUN(*state, PLAIN(CREATE_CQ), good, resp), -EINVAL);
}

static void cq_extended(void **state)
{
	struct ib_uverbs_ex_create_cq good = {.cqe = 4, .comp_channel = -1}, req;
	struct ib_uverbs_ex_create_cq_resp resp;
	struct rxe_create_cq_resp driver;

	assert_int_equal(RUN_DRV(*state, EX(CREATE_CQ), good, resp, driver), 0);
	assert_int_equal(resp.response_length, sizeof(resp));
	assert_true(driver.mi.size);
	req = good;
	req.comp_mask = 1;
	assert_int_equal(RUN_DRV(*state, EX(CREATE_CQ), req, resp, driver), -EINVAL);
	req = good;
	req.reserved = 1;
	assert_int_equal(RUN_DRV(*state, EX(CREATE_CQ), req, resp, driver), -EINVAL);
	req = good;
	req.flags = IB_UVERBS_CQ_FLAGS_TIMESTAMP_COMPLETION;
	assert_int_equal(RUN_DRV(*state, EX(CREATE_CQ), req, resp, driver), -EOPNOTSUPP);
}

static void cq_resize_arm_destroy(void **state)
{
	u32 cq = rig_cq(*state);
	struct ib_uverbs_resize_cq resize = {.cq_handle = cq, .cqe = 100};
	struct ib_uverbs_req_notify_cq arm = {.cq_handle = cq};
	struct ib_uverbs_destroy_cq gone = {.cq_handle = cq};
	struct ib_uverbs_resize_cq_resp resized;
	struct ib_uverbs_destroy_cq_resp events;
	struct rxe_resize_cq_resp driver;

	assert_int_equal(RUN_DRV(*state, PLAIN(RESIZE_CQ), resize, resized, driver), 0);
	assert_true(resized.cqe >= 100);
	assert_int_equal(RUN(*state, PLAIN(RESIZE_CQ), resize, resized), -EINVAL);
	resize.cq_handle = NOBODY;
	assert_int_equal(RUN_DRV(*state, PLAIN(RESIZE_CQ), resize, resized, driver), -ENOENT);
	assert_int_equal(RUN_IN(*state, PLAIN(REQ_NOTIFY_CQ), arm), 0);
	assert_int_equal(RUN(*state, PLAIN(DESTROY_CQ), gone, events), 0);
	assert_int_equal(events.comp_events_reported + events.async_events_reported, 0);
	assert_int_equal(RUN(*state, PLAIN(DESTROY_CQ), gone, events), -ENOENT);
	assert_int_equal(RUN_IN(*state, PLAIN(REQ_NOTIFY_CQ), arm), -ENOENT);
}

static void failed_create_leaves_nothing(void **state)
{
	struct ib_uverbs_create_cq cq = {.cqe = 4, .comp_channel = -1};
	struct ib_uverbs_alloc_pd pd = {0};
	struct rig *rig = *state;
	u8 *hole = rig_hole();
	struct request rq = {PLAIN(ALLOC_PD), &pd, sizeof(pd), hole, 4, NULL, 0};

	if (rig->way == BY_WRITE)
		return; /* rig_run() bounces the response: see write_frames */
	assert_int_equal(rig_run(rig, &rq), -EFAULT);
	assert_int_equal(RIG_COUNT(pd), 0);
	rq = (struct request){PLAIN(CREATE_CQ), &cq, sizeof(cq), hole, 8, &cq, sizeof(cq)};
	assert_int_equal(rig_run(rig, &rq), -EFAULT);
	rq.driver = hole - 8;
	assert_int_equal(rig_run(rig, &rq), -EFAULT);
	assert_int_equal(RIG_COUNT(cq), 0);
}

/* ---- queue pairs ---- */

static void qp_parameters(void **state)
{
	u32 cq = rig_cq(*state);
	struct ib_uverbs_create_qp good = {.pd_handle = rig_pd(*state),
					   .send_cq_handle = cq,
					   .recv_cq_handle = cq,
					   .max_send_wr = 3,
					   .max_recv_wr = 5,
					   .max_send_sge = 2,
					   .max_recv_sge = 1,
					   .max_inline_data = 64,
					   .qp_type = IB_UVERBS_QPT_UD};
	struct ib_uverbs_create_qp_resp resp;
	struct rxe_create_qp_resp driver;
	struct ib_uverbs_create_qp req = good;

	assert_int_equal(RUN_DRV(*state, PLAIN(CREATE_QP), good, resp, driver), 0);
	assert_true(resp.max_send_wr >= 3 && resp.max_recv_wr >= 5);
	assert_true(resp.max_inline_data >= 64);
	assert_true(driver.sq_mi.size && driver.rq_mi.size);
	req.pd_handle = NOBODY;
	assert_int_equal(RUN_DRV(*state, PLAIN(CREATE_QP), req, resp, driver), -ENOENT);
	req = good;
	req.send_cq_handle = NOBODY;
	assert_int_equal(RUN_DRV(*state, PLAIN(CREATE_QP), req, resp, driver), -ENOENT);
	req = good;
	req.is_srq = 1;
	assert_int_equal(RUN_DRV(*state, PLAIN(CREATE_QP), req, resp, driver), -ENOENT);
	req = good;
	req.qp_type = IB_UVERBS_QPT_RAW_PACKET;
	assert_int_equal(RUN_DRV(*state, PLAIN(CREATE_QP), req, resp, driver), -EOPNOTSUPP);
	req.qp_type = 77;
	assert_int_equal(RUN_DRV(*state, PLAIN(CREATE_QP), req, resp, driver), -EINVAL);
	req = good;
	req.max_send_sge = OLI_MAX_SGE + 1;
	assert_int_equal(RUN_DRV(*state, PLAIN(CREATE_QP), req, resp, driver), -EINVAL);
	assert_int_equal(RUN(*state, PLAIN(CREATE_QP), good, resp), -EINVAL);
}

static void qp_extended(void **state)
{
	u32 cq = rig_cq(*state);
	struct ib_uverbs_ex_create_qp req = {.pd_handle = rig_pd(*state),
					     .send_cq_handle = cq,
					     .recv_cq_handle = cq,
					     .max_send_wr = 3,
					     .max_recv_wr = 5,
					     .max_send_sge = 2,
					     .max_recv_sge = 1,
					     .qp_type = IB_UVERBS_QPT_RC};
	struct ib_uverbs_ex_create_qp_resp resp;
	struct rxe_create_qp_resp driver;

	assert_int_equal(RUN_DRV(*state, EX(CREATE_QP), req, resp, driver), 0);
	assert_int_equal(resp.response_length, sizeof(resp));
	req.create_flags = IB_UVERBS_QP_CREATE_SCATTER_FCS;
	assert_int_equal(RUN_DRV(*state, EX(CREATE_QP), req, resp, driver), -EOPNOTSUPP);
	req.create_flags = 1u << 30;
	assert_int_equal(RUN_DRV(*state, EX(CREATE_QP), req, resp, driver), -EINVAL);
	req.create_flags = 0;
	req.comp_mask = 2;
	assert_int_equal(RUN_DRV(*state, EX(CREATE_QP), req, resp, driver), -EINVAL);
}

static void qp_modify_query_destroy(void **state)
{
	u32 qp = rig_qp(*state, rig_pd(*state), rig_cq(*state));
	struct ib_uverbs_modify_qp init = {
		.qp_handle = qp,
		.attr_mask = IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS,
		.qp_state = IBV_QPS_INIT,
		.port_num = 1,
	};
	struct ib_uverbs_ex_modify_qp ex = {.base = init};
	struct ib_uverbs_query_qp query = {.qp_handle = qp};
	struct ib_uverbs_destroy_qp gone = {.qp_handle = qp};
	struct ib_uverbs_ex_modify_qp_resp changed;
	struct ib_uverbs_query_qp_resp now;
	struct ib_uverbs_destroy_qp_resp events;
	struct ib_uverbs_modify_qp bad = init;

	bad.port_num = 2;
	assert_int_equal(RUN_IN(*state, PLAIN(MODIFY_QP), bad), -EINVAL);
	bad = init;
	bad.qp_state = 7;
	assert_int_equal(RUN_IN(*state, PLAIN(MODIFY_QP), bad), -EINVAL);
	bad = init;
	bad.attr_mask |= IBV_QP_RATE_LIMIT;
	assert_int_equal(RUN_IN(*state, PLAIN(MODIFY_QP), bad), -EOPNOTSUPP);
	bad = init;
	bad.qp_handle = NOBODY;
	assert_int_equal(RUN_IN(*state, PLAIN(MODIFY_QP), bad), -ENOENT);
	assert_int_equal(RUN(*state, EX(MODIFY_QP), ex, changed), 0);
	assert_int_equal(changed.response_length, sizeof(changed));
	assert_int_equal(RUN_IN(*state, PLAIN(MODIFY_QP), init), 0);
	assert_int_equal(RUN(*state, PLAIN(QUERY_QP), query, now), 0);
	assert_int_equal(now.qp_state, IBV_QPS_INIT);
	assert_true(now.max_send_wr >= 8 && now.max_send_sge >= 1);
	assert_int_equal(RUN(*state, PLAIN(DESTROY_QP), gone, events), 0);
	assert_int_equal(events.events_reported, 0);
	assert_int_equal(RUN(*state, PLAIN(DESTROY_QP), gone, events), -ENOENT);
	assert_int_equal(RUN(*state, PLAIN(QUERY_QP), query, now), -ENOENT);
}

static void doorbell_by_command(void **state)
{
	struct ib_uverbs_post_send req = {.qp_handle =
						  rig_qp(*state, rig_pd(*state), rig_cq(*state))};
	struct ib_uverbs_post_send_resp resp;

	assert_int_equal(RUN(*state, PLAIN(POST_SEND), req, resp), -EINVAL);
	req.qp_handle = NOBODY;
	assert_int_equal(RUN(*state, PLAIN(POST_SEND), req, resp), -ENOENT);
	req.wr_count = 1;
	assert_int_equal(RUN(*state, PLAIN(POST_SEND), req, resp), -EOPNOTSUPP);
}

static void ah_lives_and_dies(void **state)
{
	struct ib_uverbs_create_ah req = {.pd_handle = rig_pd(*state),
					  .attr = {.is_global = 1, .port_num = 1}};
	struct ib_uverbs_create_ah_resp resp;
	struct rxe_create_ah_resp driver;
	struct ib_uverbs_destroy_ah gone;
	/* A GID of this port: whoever that is, it can be addressed. */
	struct oli_gid_entry gids[OLI_GIDS];

	oli_device_gids(&oli_process_machine()->shm->devices[0], gids);
	memcpy(req.attr.grh.dgid, gids[0].gid, 16);
	assert_int_equal(RUN_DRV(*state, PLAIN(CREATE_AH), req, resp, driver), 0);
	assert_int_not_equal(driver.ah_num, 0);
	gone.ah_handle = resp.ah_handle;
	assert_int_equal(RUN_IN(*state, PLAIN(DESTROY_AH), gone), 0);
	assert_int_equal(RUN_IN(*state, PLAIN(DESTROY_AH), gone), -ENOENT);
	req.attr.port_num = 9;
	assert_int_equal(RUN_DRV(*state, PLAIN(CREATE_AH), req, resp, driver), -EINVAL);
	req.attr.port_num = 1;
	req.pd_handle = NOBODY;
	assert_int_equal(RUN_DRV(*state, PLAIN(CREATE_AH), req, resp, driver), -ENOENT);
}

static void srq_lives_and_dies(void **state)
{
	struct ib_uverbs_create_srq req = {.pd_handle = rig_pd(*state), .max_wr = 10, .max_sge = 2};
	struct ib_uverbs_create_srq_resp resp;
	struct ib_uverbs_query_srq query;
	struct ib_uverbs_query_srq_resp now;
	struct ib_uverbs_modify_srq modify = {.attr_mask = IBV_SRQ_LIMIT, .srq_limit = 5};
	struct ib_uverbs_destroy_srq gone;
	struct ib_uverbs_destroy_srq_resp events;
	struct rxe_create_srq_resp driver;

	assert_int_equal(RUN_DRV(*state, PLAIN(CREATE_SRQ), req, resp, driver), 0);
	assert_true(resp.max_wr >= 10 && resp.max_sge >= 2);
	assert_int_not_equal(driver.mi.size, 0);
	modify.srq_handle = resp.srq_handle;
	assert_int_equal(RUN_IN(*state, PLAIN(MODIFY_SRQ), modify), 0);
	query.srq_handle = resp.srq_handle;
	assert_int_equal(RUN(*state, PLAIN(QUERY_SRQ), query, now), 0);
	assert_int_equal(now.srq_limit, 5);
	assert_int_equal(now.max_wr, resp.max_wr);
	modify.srq_limit = resp.max_wr + 1;
	assert_int_equal(RUN_IN(*state, PLAIN(MODIFY_SRQ), modify), -EINVAL);
	/* A new size needs a place to say where the new ring is. */
	modify.attr_mask = IBV_SRQ_MAX_WR;
	modify.max_wr = 100;
	assert_int_equal(RUN_IN(*state, PLAIN(MODIFY_SRQ), modify), -EINVAL);
	gone.srq_handle = resp.srq_handle;
	assert_int_equal(RUN(*state, PLAIN(DESTROY_SRQ), gone, events), 0);
	assert_int_equal(RUN(*state, PLAIN(DESTROY_SRQ), gone, events), -ENOENT);
	req.max_sge = OLI_MAX_SRQ_SGE + 1;
	assert_int_equal(RUN_DRV(*state, PLAIN(CREATE_SRQ), req, resp, driver), -EINVAL);
}

static void not_served(void **state)
{
	struct ib_uverbs_create_srq srq = {.pd_handle = rig_pd(*state)};
	struct ib_uverbs_create_srq_resp resp;

	assert_int_equal(RUN(*state, PLAIN(CREATE_XSRQ), srq, resp), -EOPNOTSUPP);
	assert_int_equal(RUN(*state, 200, srq, resp), -EOPNOTSUPP);
	assert_int_equal(RUN(*state, EX(CREATE_FLOW), srq, resp), -EOPNOTSUPP);
	assert_int_equal(RUN(*state, 0x40000003, srq, resp), -EINVAL);
}

/* ---- the form of write() ---- */

static ssize_t write_raw(struct rig *rig, u32 command, u16 in_words, u16 out_words, size_t len)
{
	u32 buf[64] = {command, (u32)in_words | (u32)out_words << 16};

	return oli_ufile_write(rig->f, buf, len);
}

static void write_frames(void **state)
{
	struct rig *rig = *state;
	struct {
		struct ib_uverbs_cmd_hdr hdr;
		struct ib_uverbs_alloc_pd req;
	} pd = {{PLAIN(ALLOC_PD), 4, 1}, {0}};
	u8 *hole = rig_hole();

	assert_int_equal(write_raw(rig, PLAIN(QUERY_DEVICE), 1, 44, 4), -EINVAL);
	assert_int_equal(write_raw(rig, PLAIN(QUERY_DEVICE), 5, 44, 16), -EINVAL);
	assert_int_equal(write_raw(rig, PLAIN(QUERY_DEVICE), 2, 44, 8), -ENOSPC);
	assert_int_equal(write_raw(rig, PLAIN(QUERY_DEVICE), 4, 43, 16), -ENOSPC);
	assert_int_equal(write_raw(rig, PLAIN(QUERY_DEVICE), 4, 44, 16), -EFAULT);
	assert_int_equal(write_raw(rig, EX(QUERY_DEVICE), 1, 38, 16), -EINVAL);
	assert_int_equal(write_raw(rig, EX(QUERY_DEVICE), 2, 38, 32), -EINVAL);
	assert_int_equal(write_raw(rig, EX(QUERY_DEVICE), 0, 38, 24), -ENOSPC);
	assert_int_equal(write_raw(rig, EX(QUERY_DEVICE), 1, 38, 32), -EINVAL);
	assert_int_equal(oli_ufile_write(rig->f, hole, 16), -EFAULT);
	assert_int_equal(oli_ufile_write(rig->f, hole - 8, 16), -EINVAL);
	pd.req.response = (uintptr_t)hole - 2;
	assert_int_equal(oli_ufile_write(rig->f, &pd, sizeof(pd)), -EFAULT);
	pd.req.response = 0;
	assert_int_equal(oli_ufile_write(rig->f, &pd, sizeof(pd)), -EFAULT);
	assert_int_equal(RIG_COUNT(pd), 0);
}

static void longer_requests_must_end_in_zeros(void **state)
{
	struct {
		struct ib_uverbs_dealloc_pd core;
		u32 tail;
	} req = {{rig_pd(*state)}, 1};

	assert_int_equal(RUN_IN(*state, PLAIN(DEALLOC_PD), req), -EOPNOTSUPP);
	req.tail = 0;
	assert_int_equal(RUN_IN(*state, PLAIN(DEALLOC_PD), req), 0);
}

static void fast_doorbell(void **state)
{
	struct rig *rig = *state;
	struct ib_uverbs_post_send_resp resp;
	struct {
		struct ib_uverbs_cmd_hdr hdr;
		struct ib_uverbs_post_send post;
	} bell = {{PLAIN(POST_SEND), sizeof(bell) / 4, 1}, {.response = (uintptr_t)&resp}}, *heap;

	bell.post.qp_handle = NOBODY;
	assert_int_equal(oli_ufile_write(rig->f, &bell, sizeof(bell)), -ENOENT);
	bell.post.qp_handle = rig_qp(rig, rig_pd(rig), rig_cq(rig));
	assert_int_equal(oli_ufile_write(rig->f, &bell, sizeof(bell)), -EINVAL);
	heap = malloc(sizeof(*heap));
	*heap = bell;
	assert_int_equal(oli_ufile_write(rig->f, heap, sizeof(*heap)), -EINVAL);
	free(heap);
	assert_int_equal(oli_ufile_write(rig->f, rig_hole(), sizeof(bell)), -EFAULT);
	assert_int_equal(oli_ufile_write(rig->f, NULL, sizeof(bell)), -EFAULT);
	assert_int_equal(oli_ufile_write(rig->f, (void *)-64, sizeof(bell)), -EFAULT);
}

/* ---- fork ---- */

static int in_child(struct rig *rig)
{
	struct ib_uverbs_get_context_resp resp = {0};
	struct ib_uverbs_get_context req = {0};
	struct ib_uverbs_dealloc_pd pd = {0};
	struct rig fresh = {.way = rig->way};

	if (RUN_IN(rig, PLAIN(DEALLOC_PD), pd) != -EIO)
		return 1;
	if (oli_ufile_ioctl(rig->f, RDMA_VERBS_IOCTL, NULL) != -EIO)
		return 2;
	if (oli_ufile_open(0, O_RDWR, &fresh.f, &fresh.fd))
		return 3;
	if (RUN(&fresh, PLAIN(GET_CONTEXT), req, resp))
		return 4;
	oli_ufile_put(fresh.f);
	oli_ufile_put(rig->f);
	oli_process_exit();
	return 0;
}

static void a_forked_child_starts_anew(void **state)
{
	u32 pd = rig_pd(*state);
	struct ib_uverbs_dealloc_pd gone = {.pd_handle = pd};
	int status;
	pid_t child;

#ifdef __SANITIZE_THREAD__
	skip(); /* it knows no thread of a forked child */
#endif
	oli_process_fork_prepare();
	child = fork();
	if (!child) {
		oli_process_fork_child();
		_exit(in_child(*state));
	}
	oli_process_fork_parent();
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(RUN_IN(*state, PLAIN(DEALLOC_PD), gone), 0);
}

static enum way by_write = BY_WRITE, by_ioctl = BY_IOCTL;

#define TEST(name, setup, way)                                                                     \
	{                                                                                          \
#name " by " #way, name, setup, rig_close, &by_##way                               \
	}
#define BOTH(name) TEST(name, rig_context, write), TEST(name, rig_context, ioctl)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(open_gives_the_machine_file, rig_open, write),
		TEST(open_of_no_device, rig_open, write),
		TEST(context_comes_first_and_once, rig_open, write),
		TEST(context_comes_first_and_once, rig_open, ioctl),
		TEST(context_can_be_retried_after_a_bad_pointer, rig_open, write),
		BOTH(device_says_its_limits),
		BOTH(extended_device_honours_the_callers_size),
		BOTH(port_one_only),
		BOTH(pd_lives_and_dies),
		BOTH(pd_in_use_stays),
		BOTH(another_file_cannot_use_it),
		BOTH(region_is_checked),
		BOTH(window_types),
		BOTH(channel_is_known_by_any_of_its_numbers),
		BOTH(channel_may_outlive_its_file),
		BOTH(cq_parameters),
		BOTH(cq_extended),
		BOTH(cq_resize_arm_destroy),
		BOTH(failed_create_leaves_nothing),
		BOTH(qp_parameters),
		BOTH(qp_extended),
		BOTH(qp_modify_query_destroy),
		BOTH(doorbell_by_command),
		BOTH(ah_lives_and_dies),
		BOTH(srq_lives_and_dies),
		BOTH(not_served),
		BOTH(longer_requests_must_end_in_zeros),
		TEST(write_frames, rig_context, write),
		TEST(fast_doorbell, rig_context, write),
		BOTH(a_forked_child_starts_anew),
	};

	return cmocka_run_group_tests(tests, rig_machine, rig_machine_gone);
}
