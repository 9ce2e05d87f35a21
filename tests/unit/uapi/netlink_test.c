// SPDX-License-Identifier: MIT
/*
 * NETLINK_RDMA: the answers to what libibverbs and the rdma tool ask, and that no
 * request, however it is cut or mangled, is read past its end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <linux/netlink.h>
#include <rdma/rdma_netlink.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "fake_machine.h"

#define PORTID 4711
#define SEQ    99

/* ---- requests ---- */

struct request {
	size_t len;
	u8 buf[512];
};

static void put(struct request *r, const void *data, size_t len)
{
	memcpy(r->buf + r->len, data, len);
	r->len += NLMSG_ALIGN(len);
}

static void begin(struct request *r, u16 op, u16 flags)
{
	struct nlmsghdr h = {
		.nlmsg_type = (u16)(RDMA_NL_NLDEV << 10 | op),
		.nlmsg_flags = NLM_F_REQUEST | flags,
		.nlmsg_seq = SEQ,
	};

	memset(r, 0, sizeof(*r));
	put(r, &h, sizeof(h));
}

static void attr(struct request *r, u16 type, const void *data, size_t len)
{
	struct nlattr a = {.nla_len = (u16)(NLA_HDRLEN + len), .nla_type = type};

	put(r, &a, sizeof(a));
	put(r, data, len);
}

static void attr_u32(struct request *r, u16 type, u32 v)
{
	attr(r, type, &v, sizeof(v));
}

static void attr_str(struct request *r, u16 type, const char *s)
{
	attr(r, type, s, strlen(s) + 1);
}

/* ---- replies ---- */

#define REPLIES 8

static struct {
	int nr;
	int fail_with;
	size_t len[REPLIES];
	u8 buf[REPLIES][1024];
} got;

static int collect(void *arg, const void *msg, size_t len)
{
	(void)arg;
	if (got.fail_with)
		return got.fail_with;
	assert_true(got.nr < REPLIES);
	assert_true(len <= sizeof(got.buf[0]));
	memcpy(got.buf[got.nr], msg, len);
	got.len[got.nr++] = len;
	return 0;
}

static const struct oli_nl_sink sink = {.emit = collect};

static int ask(struct request *r)
{
	struct nlmsghdr *h = (struct nlmsghdr *)r->buf;

	memset(&got, 0, sizeof(got));
	h->nlmsg_len = (u32)r->len;
	return oli_netlink_request(r->buf, r->len, PORTID, &sink);
}

static struct nlmsghdr *reply(int i)
{
	struct nlmsghdr *h = (struct nlmsghdr *)got.buf[i];

	assert_true(i < got.nr);
	assert_int_equal(h->nlmsg_len, got.len[i]);
	assert_int_equal(h->nlmsg_pid, PORTID);
	assert_int_equal(h->nlmsg_seq, SEQ);
	return h;
}

static const void *find(int i, u16 type, size_t len)
{
	struct nlmsghdr *h = reply(i);
	u8 *p = (u8 *)h + NLMSG_HDRLEN, *end = (u8 *)h + h->nlmsg_len;

	while (p < end) {
		struct nlattr *a = (struct nlattr *)p;

		assert_true(a->nla_len >= NLA_HDRLEN && p + a->nla_len <= end);
		if (a->nla_type == type) {
			if (len)
				assert_int_equal(a->nla_len, NLA_HDRLEN + len);
			return p + NLA_HDRLEN;
		}
		p += NLA_ALIGN(a->nla_len);
	}
	fail_msg("reply %d has no attribute %u", i, type);
	return NULL;
}

static u64 find_u64(int i, u16 type)
{
	u64 v;

	memcpy(&v, find(i, type, sizeof(v)), sizeof(v));
	return v;
}

static u32 find_u32(int i, u16 type)
{
	u32 v;

	memcpy(&v, find(i, type, sizeof(v)), sizeof(v));
	return v;
}

static u8 find_u8(int i, u16 type)
{
	return *(const u8 *)find(i, type, 1);
}

static void expect_error(int err)
{
	struct nlmsghdr *h = reply(got.nr - 1);
	struct nlmsgerr *e = NLMSG_DATA(h);

	assert_int_equal(got.nr, 1);
	assert_int_equal(h->nlmsg_type, NLMSG_ERROR);
	assert_int_equal(e->error, err);
	assert_int_equal(e->msg.nlmsg_seq, SEQ);
}

/* ---- tests ---- */

static int setup(void **state)
{
	(void)state;
	fake_init();
	return 0;
}

static void devices_dumped(void **state)
{
	struct request r;

	(void)state;
	begin(&r, RDMA_NLDEV_CMD_GET, NLM_F_DUMP);
	assert_int_equal(ask(&r), 0);
	assert_int_equal(got.nr, 3);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(reply(i)->nlmsg_flags, NLM_F_MULTI);
		assert_int_equal(find_u32(i, RDMA_NLDEV_ATTR_DEV_INDEX), i + 1);
		assert_string_equal(find(i, RDMA_NLDEV_ATTR_DEV_NAME, 5), i ? "rxe1" : "rxe0");
		assert_int_equal(find_u32(i, RDMA_NLDEV_ATTR_PORT_INDEX), 1);
		assert_int_equal(find_u64(i, RDMA_NLDEV_ATTR_NODE_GUID), 0x021122fffe334455);
		assert_int_equal(find_u8(i, RDMA_NLDEV_ATTR_DEV_NODE_TYPE), RDMA_NODE_IB_CA);
		assert_string_equal(find(i, RDMA_NLDEV_ATTR_DEV_PROTOCOL, 0), "roce");
	}
	assert_int_equal(reply(2)->nlmsg_type, NLMSG_DONE);
	assert_int_equal(reply(2)->nlmsg_flags, NLM_F_MULTI);
}

/* A device that the program is not shown is not in the list, and has no number. */
static void hidden_devices(void **state)
{
	struct request r;

	(void)state;
	for (u32 shown = 0; shown < 2; shown++) {
		fake_show(shown ? "rxe1" : NULL);
		begin(&r, RDMA_NLDEV_CMD_GET, NLM_F_DUMP);
		assert_int_equal(ask(&r), 0);
		assert_int_equal(got.nr, 2);
		assert_int_equal(find_u32(0, RDMA_NLDEV_ATTR_DEV_INDEX), shown + 1);
		begin(&r, RDMA_NLDEV_CMD_GET, 0);
		attr_u32(&r, RDMA_NLDEV_ATTR_DEV_INDEX, shown + 1);
		assert_int_equal(ask(&r), 0);
		begin(&r, RDMA_NLDEV_CMD_GET, 0);
		attr_u32(&r, RDMA_NLDEV_ATTR_DEV_INDEX, 2 - shown);
		assert_int_equal(ask(&r), 0);
		expect_error(-EINVAL);
	}
}

static void one_device(void **state)
{
	struct request r;

	(void)state;
	begin(&r, RDMA_NLDEV_CMD_GET, 0);
	attr_u32(&r, RDMA_NLDEV_ATTR_DEV_INDEX, 2);
	assert_int_equal(ask(&r), 0);
	assert_int_equal(got.nr, 1);
	assert_int_equal(reply(0)->nlmsg_flags, 0);
	assert_string_equal(find(0, RDMA_NLDEV_ATTR_DEV_NAME, 0), "rxe1");
}

static void no_such_device(void **state)
{
	static const u32 indexes[] = {0, 3, UINT32_MAX};
	struct request r;

	(void)state;
	for (size_t i = 0; i < OLI_ARRAY_SIZE(indexes); i++) {
		begin(&r, RDMA_NLDEV_CMD_GET, 0);
		attr_u32(&r, RDMA_NLDEV_ATTR_DEV_INDEX, indexes[i]);
		assert_int_equal(ask(&r), 0);
		expect_error(-EINVAL);
	}
	begin(&r, RDMA_NLDEV_CMD_GET, 0);
	assert_int_equal(ask(&r), 0);
	expect_error(-EINVAL);
}

static void uverbs_node(void **state)
{
	struct request r;

	(void)state;
	begin(&r, RDMA_NLDEV_CMD_GET_CHARDEV, 0);
	attr_str(&r, RDMA_NLDEV_ATTR_CHARDEV_TYPE, "uverbs");
	attr_u32(&r, RDMA_NLDEV_ATTR_DEV_INDEX, 2);
	assert_int_equal(ask(&r), 0);
	assert_int_equal(got.nr, 1);
	assert_int_equal(find_u64(0, RDMA_NLDEV_ATTR_CHARDEV), 231 << 8 | 193);
	assert_int_equal(find_u64(0, RDMA_NLDEV_ATTR_CHARDEV_ABI), 2);
	assert_string_equal(find(0, RDMA_NLDEV_ATTR_CHARDEV_NAME, 0), "uverbs1");
	assert_int_equal(find_u32(0, RDMA_NLDEV_ATTR_UVERBS_DRIVER_ID), 14);
}

static void unserved_nodes(void **state)
{
	static const char *const types[] = {"rdma_cm", "umad", "issm", "uverbsx"};
	struct request r;

	(void)state;
	for (size_t i = 0; i < OLI_ARRAY_SIZE(types); i++) {
		begin(&r, RDMA_NLDEV_CMD_GET_CHARDEV, 0);
		attr_str(&r, RDMA_NLDEV_ATTR_CHARDEV_TYPE, types[i]);
		assert_int_equal(ask(&r), 0);
		expect_error(-EOPNOTSUPP);
	}
	begin(&r, RDMA_NLDEV_CMD_GET_CHARDEV, 0);
	assert_int_equal(ask(&r), 0);
	expect_error(-EINVAL);
}

static void system_says_copy_on_fork(void **state)
{
	struct request r;

	(void)state;
	begin(&r, RDMA_NLDEV_CMD_SYS_GET, 0);
	assert_int_equal(ask(&r), 0);
	assert_int_equal(find_u8(0, RDMA_NLDEV_SYS_ATTR_COPY_ON_FORK), 1);
}

static void ports(void **state)
{
	struct request r;

	(void)state;
	begin(&r, RDMA_NLDEV_CMD_PORT_GET, 0);
	attr_u32(&r, RDMA_NLDEV_ATTR_DEV_INDEX, 1);
	attr_u32(&r, RDMA_NLDEV_ATTR_PORT_INDEX, 1);
	assert_int_equal(ask(&r), 0);
	assert_int_equal(find_u8(0, RDMA_NLDEV_ATTR_PORT_STATE), 4);
	assert_int_equal(find_u8(0, RDMA_NLDEV_ATTR_PORT_PHYS_STATE), 5);
	assert_int_equal(find_u32(0, RDMA_NLDEV_ATTR_NDEV_INDEX), 7);
	assert_string_equal(find(0, RDMA_NLDEV_ATTR_NDEV_NAME, 0), "eth0");

	begin(&r, RDMA_NLDEV_CMD_PORT_GET, NLM_F_DUMP);
	attr_u32(&r, RDMA_NLDEV_ATTR_DEV_INDEX, 1);
	assert_int_equal(ask(&r), 0);
	assert_int_equal(got.nr, 2);
	assert_int_equal(reply(1)->nlmsg_type, NLMSG_DONE);

	/* 257 is not port 1. */
	begin(&r, RDMA_NLDEV_CMD_PORT_GET, 0);
	attr_u32(&r, RDMA_NLDEV_ATTR_DEV_INDEX, 1);
	attr_u32(&r, RDMA_NLDEV_ATTR_PORT_INDEX, 257);
	assert_int_equal(ask(&r), 0);
	expect_error(-EINVAL);
}

static void refused_operations(void **state)
{
	struct request r;

	(void)state;
	begin(&r, RDMA_NLDEV_CMD_NEWLINK, NLM_F_ACK);
	assert_int_equal(ask(&r), 0);
	expect_error(-EOPNOTSUPP);
	begin(&r, RDMA_NLDEV_CMD_SYS_GET, NLM_F_DUMP);
	assert_int_equal(ask(&r), 0);
	expect_error(-EOPNOTSUPP);
	begin(&r, 1000, 0);
	assert_int_equal(ask(&r), 0);
	expect_error(-EINVAL);
	begin(&r, RDMA_NLDEV_CMD_GET, 0);
	((struct nlmsghdr *)r.buf)->nlmsg_type = RDMA_NL_LS << 10;
	assert_int_equal(ask(&r), 0);
	expect_error(-EINVAL);
}

static void acknowledged(void **state)
{
	struct request r;

	(void)state;
	begin(&r, RDMA_NLDEV_CMD_SYS_GET, NLM_F_ACK);
	assert_int_equal(ask(&r), 0);
	assert_int_equal(got.nr, 2);
	assert_int_equal(reply(1)->nlmsg_type, NLMSG_ERROR);
	assert_int_equal(((struct nlmsgerr *)NLMSG_DATA(reply(1)))->error, 0);
}

static void without_machine(void **state)
{
	struct request r;

	(void)state;
	fake_absent = true;
	begin(&r, RDMA_NLDEV_CMD_GET, NLM_F_DUMP);
	assert_int_equal(ask(&r), 0);
	expect_error(-ENODEV);
}

static void two_messages(void **state)
{
	struct request a, b;

	(void)state;
	begin(&a, RDMA_NLDEV_CMD_SYS_GET, 0);
	begin(&b, RDMA_NLDEV_CMD_GET, NLM_F_DUMP);
	((struct nlmsghdr *)b.buf)->nlmsg_len = (u32)b.len;
	((struct nlmsghdr *)a.buf)->nlmsg_len = (u32)a.len;
	memcpy(a.buf + a.len, b.buf, b.len);
	memset(&got, 0, sizeof(got));
	assert_int_equal(oli_netlink_request(a.buf, a.len + b.len, PORTID, &sink), 0);
	assert_int_equal(got.nr, 4);
}

static void bad_attributes(void **state)
{
	static const char long_type[64] = {[0 ... 62] = 'x'};
	struct request r;

	(void)state;
	begin(&r, RDMA_NLDEV_CMD_GET, 0);
	attr(&r, RDMA_NLDEV_ATTR_DEV_INDEX, "\1\0", 2);
	assert_int_equal(ask(&r), 0);
	expect_error(-EINVAL);
	begin(&r, RDMA_NLDEV_CMD_GET_CHARDEV, 0);
	attr(&r, RDMA_NLDEV_ATTR_CHARDEV_TYPE, "uverbs", 6); /* no NUL */
	assert_int_equal(ask(&r), 0);
	expect_error(-EINVAL);
	begin(&r, RDMA_NLDEV_CMD_GET_CHARDEV, 0);
	attr(&r, RDMA_NLDEV_ATTR_CHARDEV_TYPE, long_type, sizeof(long_type));
	assert_int_equal(ask(&r), 0);
	expect_error(-EINVAL);
	begin(&r, RDMA_NLDEV_CMD_GET, 0);
	attr_u32(&r, RDMA_NLDEV_ATTR_DEV_INDEX, 1);
	((struct nlattr *)(r.buf + NLMSG_HDRLEN))->nla_len = 200;
	assert_int_equal(ask(&r), 0);
	expect_error(-EINVAL);
}

static void malformed_headers(void **state)
{
	static const u32 lengths[] = {0, 1, 15, 17, UINT32_MAX};
	struct request r;

	(void)state;
	memset(&got, 0, sizeof(got));
	begin(&r, RDMA_NLDEV_CMD_SYS_GET, 0);
	for (size_t len = 0; len < NLMSG_HDRLEN; len++)
		assert_int_equal(oli_netlink_request(r.buf, len, PORTID, &sink), -EINVAL);
	for (size_t i = 0; i < OLI_ARRAY_SIZE(lengths); i++) {
		((struct nlmsghdr *)r.buf)->nlmsg_len = lengths[i];
		assert_int_equal(oli_netlink_request(r.buf, NLMSG_HDRLEN, PORTID, &sink), -EINVAL);
	}
	assert_int_equal(got.nr, 0);
}

static void full_receiver_is_reported(void **state)
{
	struct request r;

	(void)state;
	begin(&r, RDMA_NLDEV_CMD_SYS_GET, 0);
	memset(&got, 0, sizeof(got));
	got.fail_with = -ENOBUFS;
	((struct nlmsghdr *)r.buf)->nlmsg_len = (u32)r.len;
	assert_int_equal(oli_netlink_request(r.buf, r.len, PORTID, &sink), -ENOBUFS);
}

static int discard(void *arg, const void *msg, size_t len)
{
	(void)arg;
	(void)msg;
	(void)len;
	return 0;
}

/*
 * Requests of random bytes around a valid one, each ending exactly at a page
 * that cannot be read.
 */
static void random_requests(void **state)
{
	static const struct oli_nl_sink none = {.emit = discard};
	u8 *page = mmap(NULL, 2 * OLI_PAGE_SIZE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct request r;

	(void)state;
	assert_ptr_not_equal(page, MAP_FAILED);
	assert_int_equal(mprotect(page + OLI_PAGE_SIZE, OLI_PAGE_SIZE, PROT_NONE), 0);
	srand(1);
	for (int i = 0; i < 200000; i++) {
		size_t len;
		u8 *at;

		begin(&r, (u16)(rand() % 24), rand() % 2 ? NLM_F_DUMP : 0);
		attr_str(&r, RDMA_NLDEV_ATTR_CHARDEV_TYPE, "uverbs");
		attr_u32(&r, RDMA_NLDEV_ATTR_DEV_INDEX, (u32)rand() % 3);
		((struct nlmsghdr *)r.buf)->nlmsg_len = (u32)r.len;
		for (int k = rand() % 4; k > 0; k--)
			r.buf[(size_t)rand() % r.len] = (u8)rand();
		len = (size_t)rand() % 4 ? r.len : (size_t)rand() % (r.len + 1);
		at = page + OLI_PAGE_SIZE - len;
		memcpy(at, r.buf, len);
		(void)!oli_netlink_request(at, len, PORTID, &none);
	}
	munmap(page, 2 * OLI_PAGE_SIZE);
}

#define TEST(fn) cmocka_unit_test_setup(fn, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(devices_dumped),
		TEST(hidden_devices),
		TEST(one_device),
		TEST(no_such_device),
		TEST(uverbs_node),
		TEST(unserved_nodes),
		TEST(system_says_copy_on_fork),
		TEST(ports),
		TEST(refused_operations),
		TEST(acknowledged),
		TEST(without_machine),
		TEST(two_messages),
		TEST(bad_attributes),
		TEST(malformed_headers),
		TEST(full_receiver_is_reported),
		TEST(random_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
