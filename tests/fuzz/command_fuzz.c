// SPDX-License-Identifier: MIT
/*
 * The command server under arbitrary programs.
 *
 * A byte string is a program: one step after another until the bytes end, then
 * the device file is closed. A step is a byte for its kind, then:
 *
 *   0 legacy    command, flags, request length and response length relative to
 *               the least (signed), number of body bytes, the body
 *               flags: 1 extended, 2 by ioctl, 4 request off the stack, 8 words
 *               that do not add up, 0x10.. which response address
 *   1 native    object, method, number of attributes; each: id, length, flags,
 *               kind of value, 3 bytes of value
 *   2 doorbell  handle, which response address
 *   3 raw       length, that many bytes for write()
 *   4 close     a descriptor number, if it is an event descriptor
 *
 * Handles below 128 count the objects of that kind that the program has made, so
 * that a byte string does the same whatever ran before it; others are taken as
 * they are.
 *
 * Addresses are never taken from the bytes: they are chosen among good memory,
 * a page that may only be read, the end of a page before a hole, the hole,
 * nothing, and an address that no process can have. All are outside the
 * server's own memory, so what the sanitizers find is the server's fault.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "replay.h"
#include "uapi/ioctl.h"

typedef int8_t s8;


#define ARENA	    (64ul << 10)
#define MAX_STEPS   200
#define MAX_BODY    512
#define MAX_ATTRS   20
#define DRIVER_ROOM 64

struct bytes {
	const u8 *p, *end;
};

static u8 *arena; /* good memory */
static u8 *read_only; /* a page, and behind it */
static u8 *hole; /* a page that is not there */
static char machine_dir[] = "/tmp/olio-fuzz-XXXXXX";

static u8 take(struct bytes *b)
{
	return b->p < b->end ? *b->p++ : 0;
}

static u64 address(u8 kind)
{
	switch (kind % 8) {
	case 1:
		return (uintptr_t)read_only;
	case 2:
		return (uintptr_t)hole - 4;
	case 3:
		return (uintptr_t)hole;
	case 4:
		return 0;
	case 5:
		return UINT64_MAX - 15;
	default:
		return (uintptr_t)arena + kind * 64ul;
	}
}

static void teardown(void)
{
	char command[64];

	oli_process_exit();
	snprintf(command, sizeof(command), "rm -rf %s", machine_dir);
	if (system(command))
		perror(command);
}

static void setup(void)
{
	if (arena)
		return;
	arena = mmap(NULL, ARENA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	read_only = mmap(NULL, 2 * OLI_PAGE_SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (arena == MAP_FAILED || read_only == MAP_FAILED || !mkdtemp(machine_dir))
		abort();
	hole = read_only + OLI_PAGE_SIZE;
	mprotect(hole, OLI_PAGE_SIZE, PROT_NONE);
	setenv("OLIO_MACHINE", machine_dir, 1);
	oli_log_init();
	if (!oli_process_machine())
		abort();
	atexit(teardown);
}

/* ---- handles ---- */

enum kind { PD, MR, MW, CQ, QP, AH, KINDS };

static struct {
	u32 handle[KINDS][16];
	u32 nr[KINDS];
} made;

static void made_add(enum kind kind, u32 handle)
{
	made.handle[kind][made.nr[kind]++ % 16] = handle;
}

static u32 made_handle(enum kind kind, u32 n)
{
	u32 nr = made.nr[kind] < 16 ? made.nr[kind] : 16;

	return n < 128 && nr ? made.handle[kind][n % nr] : n;
}

/* Which legacy commands make an object; its handle comes first in the response. */
static const u8 makers[KINDS] = {
	[PD] = IB_USER_VERBS_CMD_ALLOC_PD,  [MR] = IB_USER_VERBS_CMD_REG_MR,
	[MW] = IB_USER_VERBS_CMD_ALLOC_MW,  [CQ] = IB_USER_VERBS_CMD_CREATE_CQ,
	[QP] = IB_USER_VERBS_CMD_CREATE_QP, [AH] = IB_USER_VERBS_CMD_CREATE_AH,
};

/* Where legacy requests name objects. */
#define AT(cmd, type, member, kind)                                                                \
	{                                                                                          \
		IB_USER_VERBS_CMD_##cmd, offsetof(struct ib_uverbs_##type, member), kind           \
	}
#define EX_AT(cmd, type, member, kind)                                                             \
	{                                                                                          \
		IB_USER_VERBS_EX_CMD_##cmd | IB_USER_VERBS_CMD_FLAG_EXTENDED,                      \
			offsetof(struct ib_uverbs_##type, member), kind                            \
	}

static const struct {
	u32 command;
	u16 offset;
	u8 kind;
} names[] = {
	AT(DEALLOC_PD, dealloc_pd, pd_handle, PD),
	AT(CREATE_AH, create_ah, pd_handle, PD),
	AT(DESTROY_AH, destroy_ah, ah_handle, AH),
	AT(REG_MR, reg_mr, pd_handle, PD),
	AT(DEREG_MR, dereg_mr, mr_handle, MR),
	AT(ALLOC_MW, alloc_mw, pd_handle, PD),
	AT(DEALLOC_MW, dealloc_mw, mw_handle, MW),
	AT(RESIZE_CQ, resize_cq, cq_handle, CQ),
	AT(DESTROY_CQ, destroy_cq, cq_handle, CQ),
	AT(REQ_NOTIFY_CQ, req_notify_cq, cq_handle, CQ),
	AT(CREATE_QP, create_qp, pd_handle, PD),
	AT(CREATE_QP, create_qp, send_cq_handle, CQ),
	AT(CREATE_QP, create_qp, recv_cq_handle, CQ),
	AT(QUERY_QP, query_qp, qp_handle, QP),
	AT(MODIFY_QP, modify_qp, qp_handle, QP),
	AT(DESTROY_QP, destroy_qp, qp_handle, QP),
	AT(POST_SEND, post_send, qp_handle, QP),
	EX_AT(CREATE_QP, ex_create_qp, pd_handle, PD),
	EX_AT(CREATE_QP, ex_create_qp, send_cq_handle, CQ),
	EX_AT(CREATE_QP, ex_create_qp, recv_cq_handle, CQ),
	EX_AT(MODIFY_QP, ex_modify_qp, base.qp_handle, QP),
};

static void name_objects(u32 command, u8 *body)
{
	u32 handle;
	size_t i;

	for (i = 0; i < OLI_ARRAY_SIZE(names); i++) {
		if (names[i].command != command)
			continue;
		memcpy(&handle, body + names[i].offset, sizeof(handle));
		handle = made_handle(names[i].kind, handle);
		memcpy(body + names[i].offset, &handle, sizeof(handle));
	}
}

static void note_object(u32 command, u64 response)
{
	u32 handle;
	int kind;

	if (response < (uintptr_t)arena || response >= (uintptr_t)arena + ARENA)
		return;
	memcpy(&handle, (const void *)(uintptr_t)response, sizeof(handle));
	for (kind = 0; kind < KINDS; kind++)
		if (makers[kind] == (command & IB_USER_VERBS_CMD_COMMAND_MASK))
			made_add((enum kind)kind, handle);
}

/* ---- legacy ---- */

struct legacy {
	u32 command, in_len, out_len;
	u8 flags;
	u64 response;
	u8 body[MAX_BODY]; /* the core request, then zeros */
};

/* Put chosen addresses where the command has some. */
static void legacy_addresses(struct legacy *l, const struct oli_cmd_def *def)
{
	u64 start = address(l->body[offsetof(struct ib_uverbs_reg_mr, start)]);

	if (def->flags & OLI_CMD_RESP)
		memcpy(l->body, &l->response, sizeof(l->response));
	if (l->command == IB_USER_VERBS_CMD_REG_MR) {
		memcpy(l->body + offsetof(struct ib_uverbs_reg_mr, start), &start, 8);
		memcpy(l->body + offsetof(struct ib_uverbs_reg_mr, hca_va), &start, 8);
	}
}

static void legacy_take(struct bytes *b, struct legacy *l)
{
	const struct oli_cmd_def none = {0}, *def = &none;
	int in, out, i, n;

	memset(l, 0, sizeof(*l));
	l->command = take(b);
	l->flags = take(b);
	if (l->flags & 1)
		l->command |= IB_USER_VERBS_CMD_FLAG_EXTENDED;
	if (oli_cmd_find(l->command, &def))
		def = &none;
	in = def->in + (s8)take(b);
	out = def->out + (s8)take(b);
	l->in_len = in < 0 ? 0 : (u32)in;
	l->out_len = out < 0 ? 0 : (u32)out;
	l->response = address(l->flags >> 4);
	n = take(b);
	for (i = 0; i < n; i++)
		l->body[i] = take(b);
	name_objects(l->command, l->body);
	legacy_addresses(l, def);
}

static size_t legacy_plain(const struct legacy *l, u8 *buf)
{
	struct ib_uverbs_cmd_hdr hdr = {
		.command = l->command,
		.in_words = (u16)((sizeof(hdr) + l->in_len) / 4 + (l->flags & 8)),
		.out_words = (u16)((l->out_len + DRIVER_ROOM) / 4),
	};

	memcpy(buf, &hdr, sizeof(hdr));
	memcpy(buf + sizeof(hdr), l->body, l->in_len);
	return sizeof(hdr) + l->in_len;
}

static size_t legacy_extended(const struct legacy *l, u8 *buf)
{
	struct ib_uverbs_cmd_hdr hdr = {
		.command = l->command,
		.in_words = (u16)((l->in_len + 7) / 8 + (l->flags & 8)),
		.out_words = (u16)(l->out_len / 8),
	};
	struct ib_uverbs_ex_cmd_hdr ex = {.response = l->response,
					  .provider_out_words = DRIVER_ROOM / 8};
	size_t heads = sizeof(hdr) + sizeof(ex);

	memcpy(buf, &hdr, sizeof(hdr));
	memcpy(buf + sizeof(hdr), &ex, sizeof(ex));
	memcpy(buf + heads, l->body, l->in_len);
	return heads + (l->in_len + 7) / 8 * 8;
}

static int legacy_write(struct oli_ufile *f, const struct legacy *l)
{
	u8 stack[MAX_BODY + 64] = {0};
	u8 *buf = l->flags & 4 ? arena + ARENA / 2 : stack;
	size_t len = l->flags & 1 ? legacy_extended(l, buf) : legacy_plain(l, buf);
	ssize_t rc = oli_ufile_write(f, buf, len);

	if (rc >= 0 && (size_t)rc != len)
		abort();
	return rc < 0 ? -1 : 0;
}

/* ---- native ---- */

struct native {
	struct ib_uverbs_ioctl_hdr hdr;
	struct ib_uverbs_attr attrs[MAX_ATTRS];
};

static void native_init(struct native *n, u16 object, u16 method)
{
	memset(n, 0, sizeof(*n));
	n->hdr.object_id = object;
	n->hdr.method_id = method;
	n->hdr.driver_id = RDMA_DRIVER_RXE;
	n->hdr.length = sizeof(n->hdr);
}

static void native_add(struct native *n, u16 id, u16 len, u16 flags, u64 data)
{
	struct ib_uverbs_attr *attr = &n->attrs[n->hdr.num_attrs++];

	attr->attr_id = id;
	attr->len = len;
	attr->flags = flags;
	attr->data = data;
	n->hdr.length += sizeof(*attr);
}

static int native_run(struct oli_ufile *f, struct native *n, bool off_stack)
{
	void *arg = n;
	int rc;

	if (off_stack)
		arg = memcpy(arena + ARENA / 2, n, sizeof(*n));
	rc = oli_ufile_ioctl(f, RDMA_VERBS_IOCTL, arg);
	if (rc > 0)
		abort();
	if (off_stack)
		memcpy(n, arg, sizeof(*n));
	return rc;
}

static int legacy_ioctl(struct oli_ufile *f, struct legacy *l)
{
	struct native n;
	u64 in = (uintptr_t)l->body;

	if (l->in_len <= 8)
		memcpy(&in, l->body, 8);
	native_init(&n, UVERBS_OBJECT_DEVICE, UVERBS_METHOD_INVOKE_WRITE);
	native_add(&n, UVERBS_ATTR_WRITE_CMD, 8, UVERBS_ATTR_F_MANDATORY, l->command);
	native_add(&n, UVERBS_ATTR_CORE_IN, (u16)l->in_len, 0, in);
	native_add(&n, UVERBS_ATTR_CORE_OUT, (u16)l->out_len, 0, l->response);
	native_add(&n, UVERBS_ATTR_UHW_OUT, DRIVER_ROOM, 0, l->response + l->out_len);
	return native_run(f, &n, l->flags & 4);
}

static void step_legacy(struct oli_ufile *f, struct bytes *b)
{
	struct legacy l;

	legacy_take(b, &l);
	if (l.flags & 2 ? legacy_ioctl(f, &l) : legacy_write(f, &l))
		return;
	note_object(l.command, l.response);
}

static u64 native_value(struct bytes *b)
{
	u8 kind = take(b);
	u64 value = take(b);

	value |= (u64)take(b) << 8;
	value |= (u64)(take(b) & 0xf) << 16;
	if (kind == 0xff)
		return UINT64_MAX - value;
	return kind & 0x80 ? address(kind) : value;
}

/* The kind of object that a native attribute names, or KINDS. */
static enum kind native_kind(u16 object, u16 method, u16 id)
{
	static const u8 kinds[] = {
		[UVERBS_OBJECT_PD] = PD + 1, [UVERBS_OBJECT_MR] = MR + 1,
		[UVERBS_OBJECT_MW] = MW + 1, [UVERBS_OBJECT_CQ] = CQ + 1,
		[UVERBS_OBJECT_QP] = QP + 1, [UVERBS_OBJECT_AH] = AH + 1,
	};

	if (object == UVERBS_OBJECT_QP && method == UVERBS_METHOD_QP_CREATE) {
		if (id == UVERBS_ATTR_CREATE_QP_PD_HANDLE)
			return PD;
		return id == UVERBS_ATTR_CREATE_QP_SEND_CQ_HANDLE ||
				       id == UVERBS_ATTR_CREATE_QP_RECV_CQ_HANDLE
			       ? CQ
			       : KINDS;
	}
	if (id || object >= sizeof(kinds) || !kinds[object])
		return KINDS;
	return (enum kind)(kinds[object] - 1);
}

static void native_note(const struct native *n)
{
	if (n->hdr.object_id == UVERBS_OBJECT_CQ && n->hdr.method_id == UVERBS_METHOD_CQ_CREATE)
		made_add(CQ, (u32)n->attrs[0].data);
	if (n->hdr.object_id == UVERBS_OBJECT_QP && n->hdr.method_id == UVERBS_METHOD_QP_CREATE)
		made_add(QP, (u32)n->attrs[0].data);
}

static void step_native(struct oli_ufile *f, struct bytes *b)
{
	struct native n;
	enum kind kind;
	u64 value;
	u8 i, nr, id, len, flags;
	u16 object = take(b), method = take(b);

	native_init(&n, object, method);
	nr = take(b) % MAX_ATTRS;
	for (i = 0; i < nr; i++) {
		id = take(b);
		len = take(b);
		flags = take(b);
		value = native_value(b);
		kind = native_kind(object, method, id);
		if (kind != KINDS)
			value = made_handle(kind, (u32)value);
		native_add(&n, id & 0x80 ? 0x1000 | (id & 0xf) : id, len, flags & 1, value);
	}
	if (!native_run(f, &n, nr & 1))
		native_note(&n);
}

/* ---- the rest ---- */

static void step_doorbell(struct oli_ufile *f, struct bytes *b)
{
	struct {
		struct ib_uverbs_cmd_hdr hdr;
		struct ib_uverbs_post_send post;
	} bell = {.hdr = {IB_USER_VERBS_CMD_POST_SEND, sizeof(bell) / 4, 1}};
	ssize_t rc;

	bell.post.qp_handle = made_handle(QP, take(b));
	bell.post.response = address(take(b));
	rc = oli_ufile_write(f, &bell, sizeof(bell));
	if (rc >= 0 && rc != sizeof(bell))
		abort();
}

static void step_raw(struct oli_ufile *f, struct bytes *b)
{
	u64 response = address(take(b));
	u8 buf[256] = {0};
	u8 i, len = take(b);

	for (i = 0; i < len; i++)
		buf[i] = take(b);
	memcpy(buf + sizeof(struct ib_uverbs_cmd_hdr), &response, sizeof(response));
	if (oli_ufile_write(f, buf, len) > len)
		abort();
}

static void close_events(int from, int to)
{
	struct oli_fd *obj;
	int fd;

	for (fd = from; fd < to; fd++) {
		obj = oli_fd_lookup(fd);
		if (obj && obj->kind == OLI_FD_CHAN) {
			oli_fd_closing(fd);
			close(fd);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes b = {data, data + size};
	struct oli_ufile *f;
	int fd, steps, num;

	setup();
	memset(&made, 0, sizeof(made));
	if (oli_ufile_open(0, O_RDWR | O_CLOEXEC, &f, &fd))
		abort();
	for (steps = 0; b.p < b.end && steps < MAX_STEPS; steps++) {
		switch (take(&b) % 5) {
		case 0:
			step_legacy(f, &b);
			break;
		case 1:
			step_native(f, &b);
			break;
		case 2:
			step_doorbell(f, &b);
			break;
		case 3:
			step_raw(f, &b);
			break;
		case 4:
			num = take(&b);
			close_events(num, num + 1);
			break;
		}
	}
	oli_ufile_put(f);
	close(fd);
	close_events(0, oli_fd_limit());
	return 0;
}

/* Nothing happens on a file without a context, and little without objects. */
/* clang-format off */
static const u8 prelude[] = {
	0, IB_USER_VERBS_CMD_GET_CONTEXT, 0, 0, 0, 0,
	0, IB_USER_VERBS_CMD_ALLOC_PD, 0, 0, 0, 0,
	0, IB_USER_VERBS_CMD_CREATE_CQ, 0, 0, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0,
	0, IB_USER_VERBS_CMD_CREATE_QP, 0, 0, 0, 54, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0,
	4, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, IB_UVERBS_QPT_RC,
};
/* clang-format on */

const uint8_t *replay_random(uint8_t *data, size_t size, size_t *n)
{
	size_t i, skip;

	if (size > 512)
		size = 512;
	memcpy(data, prelude, sizeof(prelude));
	*n = sizeof(prelude) + (size_t)random() % (size - sizeof(prelude));
	for (i = sizeof(prelude); i < *n; i++)
		data[i] = random() % 3 ? (u8)(random() % 8) : (u8)random();
	skip = random() % 8 ? 0 : sizeof(prelude);
	*n -= skip;
	return data + skip;
}
