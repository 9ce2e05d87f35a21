// SPDX-License-Identifier: MIT
/*
 * What the device says of itself: the limits of Linux's rxe, so that programs
 * behave as they do there, or olio's own where it has less.
 */
#include <errno.h>
#include <string.h>

#include "rdma/int.h"

static const u64 device_caps =
	IB_UVERBS_DEVICE_BAD_PKEY_CNTR | IB_UVERBS_DEVICE_BAD_QKEY_CNTR |
	IB_UVERBS_DEVICE_AUTO_PATH_MIG | IB_UVERBS_DEVICE_CHANGE_PHY_PORT |
	IB_UVERBS_DEVICE_UD_AV_PORT_ENFORCE | IB_UVERBS_DEVICE_PORT_ACTIVE_EVENT |
	IB_UVERBS_DEVICE_SYS_IMAGE_GUID | IB_UVERBS_DEVICE_RC_RNR_NAK_GEN |
	IB_UVERBS_DEVICE_MEM_MGT_EXTENSIONS | IB_UVERBS_DEVICE_MEM_WINDOW |
	IB_UVERBS_DEVICE_SRQ_RESIZE | IB_UVERBS_DEVICE_MEM_WINDOW_TYPE_2B;

static void query_base(struct oli_device *dev, struct ib_uverbs_query_device_resp *r)
{
	memcpy(&r->node_guid, dev->node_guid, 8);
	memcpy(&r->sys_image_guid, dev->node_guid, 8);
	r->max_mr_size = UINT64_MAX;
	r->page_size_cap = 0xfffff000;
	r->vendor_id = 0xffffff;
	r->max_qp = OLI_MAX_QP - 16;
	r->max_qp_wr = OLI_MAX_QP_WR;
	r->device_cap_flags = (u32)device_caps;
	r->max_sge = OLI_MAX_SGE;
	r->max_sge_rd = OLI_MAX_SGE;
	r->max_cq = OLI_MAX_CQ;
	r->max_cqe = OLI_MAX_CQE;
	r->max_mr = OLI_MAX_MR / 2;
	r->max_mw = OLI_MAX_MR / 2;
	r->max_pd = OLI_MAX_PD;
	r->max_ah = OLI_MAX_AH;
	r->max_srq = OLI_MAX_SRQ;
	r->max_srq_wr = OLI_MAX_SRQ_WR;
	r->max_srq_sge = OLI_MAX_SRQ_SGE;
	r->atomic_cap = IBV_ATOMIC_HCA;
	r->max_qp_rd_atom = 128;
	r->max_res_rd_atom = 0x3f000;
	r->max_qp_init_rd_atom = 128;
	r->max_pkeys = 1;
	r->local_ca_ack_delay = 15;
	r->phys_port_cnt = 1;
}

void oli_device_query(struct oli_machine *m, u32 dev, struct ib_uverbs_ex_query_device_resp *out)
{
	memset(out, 0, sizeof(*out));
	query_base(&m->shm->devices[dev], &out->base);
	out->response_length = sizeof(*out);
	out->device_cap_flags_ex = device_caps;
}

/* The largest of 256 … 4096 that fits into the interface's MTU with all headers. */
static u8 mtu_enum(u32 mtu)
{
	u8 e = IBV_MTU_4096;

	while (e > IBV_MTU_256 && (128u << e) + 80 > mtu)
		e--;
	return e;
}

u32 oli_device_mtu(struct oli_machine *m, u32 dev)
{
	return 128u << mtu_enum(m->shm->devices[dev].mtu);
}

int oli_port_query(struct oli_machine *m, u32 dev, u8 port, struct ib_uverbs_query_port_resp *out)
{
	if (port != 1)
		return -EINVAL;
	memset(out, 0, sizeof(*out));
	out->port_cap_flags = 1u << 16; /* CM_SUP */
	out->max_msg_sz = OLI_MAX_MSG;
	out->gid_tbl_len = OLI_GID_TBL_LEN;
	out->pkey_tbl_len = 1;
	out->state = IBV_PORT_ACTIVE;
	out->max_mtu = IBV_MTU_4096;
	out->active_mtu = mtu_enum(m->shm->devices[dev].mtu);
	out->max_vl_num = 1;
	out->active_width = 1;
	out->active_speed = 1;
	out->phys_state = 5; /* LinkUp */
	out->link_layer = IBV_LINK_LAYER_ETHERNET;
	out->flags = IBV_QPF_GRH_REQUIRED;
	return 0;
}

bool oli_gid_at(struct oli_machine *m, u32 dev, u32 index, u8 gid[16])
{
	struct oli_gid_entry g[OLI_GIDS];

	oli_device_gids(&m->shm->devices[dev], g);
	if (index >= OLI_GIDS || !g[index].valid)
		return false;
	memcpy(gid, g[index].gid, 16);
	return true;
}

static bool has_gid(struct oli_device *dev, const u8 gid[16])
{
	struct oli_gid_entry g[OLI_GIDS];

	oli_device_gids(dev, g);
	for (int i = 0; i < OLI_GIDS; i++)
		if (g[i].valid && !memcmp(g[i].gid, gid, 16))
			return true;
	return false;
}

bool oli_gid_is_local(struct oli_machine *m, const u8 gid[16])
{
	for (u32 dev = 0; dev < m->shm->nr_devices; dev++)
		if (has_gid(&m->shm->devices[dev], gid))
			return true;
	return false;
}
