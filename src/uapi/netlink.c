// SPDX-License-Identifier: MIT
/*
 * NETLINK_RDMA: the questions that libibverbs, librdmacm and the rdma tool ask
 * the kernel about its devices, answered from the machine's device list.
 *
 * Words:
 *   request  one nlmsghdr with its attributes; a datagram may carry several
 *   dump     a request for all devices or ports: answers carry NLM_F_MULTI and
 *            end with NLMSG_DONE
 *   index    the kernel's number of a device, from 1: index i + 1 is device i
 *            of the machine, minor OLI_UVERBS_MINOR + i, node uverbs<i>
 *
 * What the program sent is read by copy, at any alignment, and never past the
 * length that was checked. A reply is built in a buffer of fixed size; what
 * does not fit is an error of ours (-EMSGSIZE), never a truncated message.
 * A refused request gets NLMSG_ERROR with the header of the request.
 */
#include <errno.h>
#include <netinet/in.h>
#include <linux/netlink.h>
#include <rdma/rdma_netlink.h>
#include <rdma/ib_user_ioctl_verbs.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "rdma/rdma.h"
#include "uapi/uapi.h"

#define NLDEV_TYPE(op)	(((u32)RDMA_NL_NLDEV << 10) | (op))
#define NL_CLIENT(type) ((type) >> 10)
#define NL_OP(type)	((type)&0x3ffu)

#define REPLY_MAX	 1024
#define CHARDEV_TYPE_MAX 32
#define UVERBS_ABI	 2

struct nl_request {
	struct nlmsghdr hdr;
	u32 portid;
	const struct oli_nl_sink *sink;
	/* Attributes; an index of 0 says that the request has none. */
	u32 dev_index;
	u32 port_index;
	char chardev[CHARDEV_TYPE_MAX];
};

struct nl_reply {
	size_t len;
	bool overflow;
	u8 buf[REPLY_MAX];
};

/* ---- building a reply ---- */

static void reply_put(struct nl_reply *r, const void *data, size_t len)
{
	size_t room = NLMSG_ALIGN(len);

	if (!oli_range_inside(r->len, room, 0, sizeof(r->buf))) {
		r->overflow = true;
		return;
	}
	memcpy(r->buf + r->len, data, len);
	memset(r->buf + r->len + len, 0, room - len);
	r->len += room;
}

static void reply_begin(struct nl_reply *r, const struct nl_request *q, u16 type, u16 flags)
{
	struct nlmsghdr hdr = {
		.nlmsg_type = type,
		.nlmsg_flags = flags,
		.nlmsg_seq = q->hdr.nlmsg_seq,
		.nlmsg_pid = q->portid,
	};

	r->len = 0;
	r->overflow = false;
	reply_put(r, &hdr, sizeof(hdr));
}

static void reply_attr(struct nl_reply *r, u16 type, const void *data, size_t len)
{
	struct nlattr head = {.nla_len = (u16)(NLA_HDRLEN + len), .nla_type = type};

	reply_put(r, &head, sizeof(head));
	reply_put(r, data, len);
}

static void reply_u8(struct nl_reply *r, u16 type, u8 v)
{
	reply_attr(r, type, &v, sizeof(v));
}

static void reply_u32(struct nl_reply *r, u16 type, u32 v)
{
	reply_attr(r, type, &v, sizeof(v));
}

static void reply_u64(struct nl_reply *r, u16 type, u64 v)
{
	reply_attr(r, type, &v, sizeof(v));
}

static void reply_str(struct nl_reply *r, u16 type, const char *s)
{
	reply_attr(r, type, s, strlen(s) + 1);
}

static int reply_send(struct nl_reply *r, const struct nl_request *q)
{
	u32 len = (u32)r->len;

	if (r->overflow)
		return -EMSGSIZE;
	memcpy(r->buf + offsetof(struct nlmsghdr, nlmsg_len), &len, sizeof(len));
	return q->sink->emit(q->sink->arg, r->buf, r->len);
}

/* NLMSG_ERROR; @err 0 is the acknowledgement that NLM_F_ACK asks for. */
static int reply_error(const struct nl_request *q, int err)
{
	struct nlmsgerr body = {.error = err, .msg = q->hdr};
	struct nl_reply r;

	reply_begin(&r, q, NLMSG_ERROR, NLM_F_CAPPED);
	reply_put(&r, &body, sizeof(body));
	return reply_send(&r, q);
}

static int reply_done(const struct nl_request *q)
{
	struct nl_reply r;
	int status = 0;

	reply_begin(&r, q, NLMSG_DONE, NLM_F_MULTI);
	reply_put(&r, &status, sizeof(status));
	return reply_send(&r, q);
}

/* ---- reading a request ---- */

static int attr_u32(const u8 *data, size_t len, u32 *out)
{
	if (len != sizeof(*out))
		return -EINVAL;
	memcpy(out, data, sizeof(*out));
	return 0;
}

static int attr_str(const u8 *data, size_t len, char *out, size_t size)
{
	if (len == 0 || len > size || data[len - 1] != '\0')
		return -EINVAL;
	memcpy(out, data, len);
	return 0;
}

static int attr_read(struct nl_request *q, u16 type, const u8 *data, size_t len)
{
	switch (type & NLA_TYPE_MASK) {
	case RDMA_NLDEV_ATTR_DEV_INDEX:
		return attr_u32(data, len, &q->dev_index);
	case RDMA_NLDEV_ATTR_PORT_INDEX:
		return attr_u32(data, len, &q->port_index);
	case RDMA_NLDEV_ATTR_CHARDEV_TYPE:
		return attr_str(data, len, q->chardev, sizeof(q->chardev));
	default:
		return 0;
	}
}

/* @len bytes of attributes. Fewer than a header at the end are padding. */
static int attrs_read(struct nl_request *q, const u8 *p, size_t len)
{
	struct nlattr head;
	size_t step;
	int err;

	while (len >= NLA_HDRLEN) {
		memcpy(&head, p, sizeof(head));
		if (head.nla_len < NLA_HDRLEN || head.nla_len > len)
			return -EINVAL;
		err = attr_read(q, head.nla_type, p + NLA_HDRLEN, head.nla_len - NLA_HDRLEN);
		if (err)
			return err;
		step = NLA_ALIGN(head.nla_len);
		if (step >= len)
			break;
		p += step;
		len -= step;
	}
	return 0;
}

/* ---- the questions ---- */

static u64 guid_to_host(const u8 guid[8])
{
	u64 v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | guid[i];
	return v;
}

static u32 netdev_ifindex(struct oli_device *dev)
{
	struct oli_gid_entry gids[OLI_GIDS];

	oli_device_gids(dev, gids);
	for (int i = 0; i < OLI_GIDS; i++) {
		if (gids[i].valid && gids[i].ifindex && !strcmp(gids[i].netdev, dev->netdev))
			return gids[i].ifindex;
	}
	return 0;
}

/* Device number (from 0) that the request names, or -EINVAL. */
static int dev_of_request(struct oli_machine *m, const struct nl_request *q, u32 *dev)
{
	if (q->dev_index == 0 || !oli_device_visible(m, q->dev_index - 1))
		return -EINVAL;
	*dev = q->dev_index - 1;
	return 0;
}

static void put_dev_names(struct nl_reply *r, struct oli_machine *m, u32 dev)
{
	reply_u32(r, RDMA_NLDEV_ATTR_DEV_INDEX, dev + 1);
	reply_str(r, RDMA_NLDEV_ATTR_DEV_NAME, m->shm->devices[dev].name);
}

static int send_dev(struct oli_machine *m, const struct nl_request *q, u32 dev, u16 flags)
{
	const struct oli_device *d = &m->shm->devices[dev];
	struct ib_uverbs_ex_query_device_resp caps = {0};
	struct nl_reply r;

	oli_device_query(m, dev, &caps);
	reply_begin(&r, q, NLDEV_TYPE(RDMA_NLDEV_CMD_GET), flags);
	put_dev_names(&r, m, dev);
	reply_u32(&r, RDMA_NLDEV_ATTR_PORT_INDEX, 1);
	reply_u64(&r, RDMA_NLDEV_ATTR_CAP_FLAGS, caps.base.device_cap_flags);
	reply_u64(&r, RDMA_NLDEV_ATTR_NODE_GUID, guid_to_host(d->node_guid));
	reply_u64(&r, RDMA_NLDEV_ATTR_SYS_IMAGE_GUID, guid_to_host(d->node_guid));
	reply_u8(&r, RDMA_NLDEV_ATTR_DEV_NODE_TYPE, RDMA_NODE_IB_CA);
	reply_str(&r, RDMA_NLDEV_ATTR_DEV_PROTOCOL, "roce");
	return reply_send(&r, q);
}

static int answer_dev(struct oli_machine *m, const struct nl_request *q)
{
	u32 dev;
	int err = dev_of_request(m, q, &dev);

	return err ? err : send_dev(m, q, dev, 0);
}

static int dump_devs(struct oli_machine *m, const struct nl_request *q)
{
	int err = 0;

	for (u32 dev = 0; dev < m->shm->nr_devices && !err; dev++)
		if (oli_device_visible(m, dev))
			err = send_dev(m, q, dev, NLM_F_MULTI);
	return err ? err : reply_done(q);
}

static int send_port(struct oli_machine *m, const struct nl_request *q, u32 dev, u32 port,
		     u16 flags)
{
	struct oli_device *d = &m->shm->devices[dev];
	struct ib_uverbs_query_port_resp attr = {0};
	struct nl_reply r;
	int err = port <= UINT8_MAX ? oli_port_query(m, dev, (u8)port, &attr) : -EINVAL;

	if (err)
		return err;
	reply_begin(&r, q, NLDEV_TYPE(RDMA_NLDEV_CMD_PORT_GET), flags);
	put_dev_names(&r, m, dev);
	reply_u32(&r, RDMA_NLDEV_ATTR_PORT_INDEX, port);
	reply_u8(&r, RDMA_NLDEV_ATTR_PORT_STATE, attr.state);
	reply_u8(&r, RDMA_NLDEV_ATTR_PORT_PHYS_STATE, attr.phys_state);
	if (d->netdev[0]) {
		reply_u32(&r, RDMA_NLDEV_ATTR_NDEV_INDEX, netdev_ifindex(d));
		reply_str(&r, RDMA_NLDEV_ATTR_NDEV_NAME, d->netdev);
	}
	return reply_send(&r, q);
}

static int answer_port(struct oli_machine *m, const struct nl_request *q)
{
	u32 dev;
	int err = dev_of_request(m, q, &dev);

	return err ? err : send_port(m, q, dev, q->port_index, 0);
}

/* All ports of one device: each has one. */
static int dump_ports(struct oli_machine *m, const struct nl_request *q)
{
	u32 dev;
	int err = dev_of_request(m, q, &dev);

	if (!err)
		err = send_port(m, q, dev, 1, NLM_F_MULTI);
	return err ? err : reply_done(q);
}

/* The form in which a dev_t of 32 bits or more travels in 64. */
static u64 chardev_number(u32 major_nr, u32 minor_nr)
{
	return (u64)major_nr << 8 | (minor_nr & 0xff) | (u64)(minor_nr & ~0xffu) << 12;
}

static int answer_chardev(struct oli_machine *m, const struct nl_request *q)
{
	char name[24];
	struct nl_reply r;
	u32 dev;
	int err;

	if (!q->chardev[0])
		return -EINVAL;
	if (strcmp(q->chardev, "uverbs"))
		return -EOPNOTSUPP; /* as a kernel whose module for it is not loaded */
	err = dev_of_request(m, q, &dev);
	if (err)
		return err;
	snprintf(name, sizeof(name), "uverbs%u", dev);
	reply_begin(&r, q, NLDEV_TYPE(RDMA_NLDEV_CMD_GET_CHARDEV), 0);
	reply_u64(&r, RDMA_NLDEV_ATTR_CHARDEV,
		  chardev_number(OLI_UVERBS_MAJOR, OLI_UVERBS_MINOR + dev));
	reply_u64(&r, RDMA_NLDEV_ATTR_CHARDEV_ABI, UVERBS_ABI);
	reply_str(&r, RDMA_NLDEV_ATTR_CHARDEV_NAME, name);
	reply_u32(&r, RDMA_NLDEV_ATTR_UVERBS_DRIVER_ID, RDMA_DRIVER_RXE);
	return reply_send(&r, q);
}

/* Copy-on-fork: pages of a registered region stay the parent's after fork(). */
static int answer_sys(struct oli_machine *m, const struct nl_request *q)
{
	struct nl_reply r;

	(void)m;
	reply_begin(&r, q, NLDEV_TYPE(RDMA_NLDEV_CMD_SYS_GET), 0);
	reply_u8(&r, RDMA_NLDEV_SYS_ATTR_NETNS_MODE, 1);
	reply_u8(&r, RDMA_NLDEV_SYS_ATTR_COPY_ON_FORK, 1);
	return reply_send(&r, q);
}

typedef int nl_answer_fn(struct oli_machine *m, const struct nl_request *q);

static const struct {
	nl_answer_fn *doit, *dump;
} nldev_ops[RDMA_NLDEV_NUM_OPS] = {
	[RDMA_NLDEV_CMD_GET] = {answer_dev, dump_devs},
	[RDMA_NLDEV_CMD_PORT_GET] = {answer_port, dump_ports},
	[RDMA_NLDEV_CMD_GET_CHARDEV] = {answer_chardev, NULL},
	[RDMA_NLDEV_CMD_SYS_GET] = {answer_sys, NULL},
};

static int request_answer(struct nl_request *q, const u8 *attrs, size_t len)
{
	u32 op = NL_OP(q->hdr.nlmsg_type);
	bool dump = q->hdr.nlmsg_flags & NLM_F_DUMP;
	struct oli_machine *m;
	nl_answer_fn *fn;
	int err;

	if (NL_CLIENT(q->hdr.nlmsg_type) != RDMA_NL_NLDEV || op >= RDMA_NLDEV_NUM_OPS)
		return -EINVAL;
	fn = dump ? nldev_ops[op].dump : nldev_ops[op].doit;
	if (!fn)
		return -EOPNOTSUPP;
	err = attrs_read(q, attrs, len);
	if (err)
		return err;
	m = oli_process_machine();
	return m ? fn(m, q) : -ENODEV;
}

static int request_serve(struct nl_request *q, const u8 *attrs, size_t len)
{
	u16 type = q->hdr.nlmsg_type;
	u16 flags = q->hdr.nlmsg_flags;
	int err = 0;

	/* Below the first client are netlink's own messages; no request, no answer. */
	if ((flags & NLM_F_REQUEST) && type >= NLMSG_MIN_TYPE)
		err = request_answer(q, attrs, len);
	oli_trace("netlink type 0x%x flags 0x%x: %d", type, flags, err);
	if (err || ((flags & NLM_F_ACK) && !(flags & NLM_F_DUMP)))
		return reply_error(q, err);
	return 0;
}

int oli_netlink_request(const void *req, size_t len, u32 portid, const struct oli_nl_sink *sink)
{
	const u8 *p = req;
	struct nlmsghdr hdr;
	size_t step;
	int err = -EINVAL;

	while (len >= sizeof(hdr)) {
		memcpy(&hdr, p, sizeof(hdr));
		if (hdr.nlmsg_len < sizeof(hdr) || hdr.nlmsg_len > len)
			return err;

		struct nl_request q = {.hdr = hdr, .portid = portid, .sink = sink};

		err = request_serve(&q, p + sizeof(hdr), hdr.nlmsg_len - sizeof(hdr));
		step = NLMSG_ALIGN((size_t)hdr.nlmsg_len);
		if (err || step >= len)
			return err;
		p += step;
		len -= step;
	}
	return err;
}
