// SPDX-License-Identifier: MIT
/*
 * ioctl(RDMA_VERBS_IOCTL) on the device file: from bytes to checked attributes.
 *
 * The header and the attributes are copied in once; what a handler sees cannot
 * change under it. The answers to malformed requests are Linux's, since
 * libraries probe with them: EPROTONOSUPPORT means only "this method or this
 * mandatory attribute is not served here" and makes libibverbs fall back to the
 * legacy command; an attribute longer than known with a non-zero tail is
 * EOPNOTSUPP; everything else that is wrong with the form is EINVAL.
 *
 * Attributes that nobody here knows are ignored unless they are mandatory.
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "uapi/ioctl.h"
#include "uapi/thread.h"

#define MAX_LENGTH    4096 /* of a request, bytes */
#define MAX_ATTRS_LEN (MAX_LENGTH - sizeof(struct ib_uverbs_ioctl_hdr))
#define MAX_WIRE      (MAX_ATTRS_LEN / sizeof(struct ib_uverbs_attr))

/* Object numbers are 32 bits; this one is never handed out. */
#define NO_HANDLE UINT32_MAX

static bool is_inline(u16 len)
{
	return len <= sizeof(((struct ib_uverbs_attr *)0)->data);
}

static int spec_index(const struct oli_method *method, u16 id)
{
	int i;

	for (i = 0; i < method->nr_specs; i++)
		if (method->specs[i].id == id)
			return i;
	return -1;
}

static const struct oli_attr *attr_of(const struct oli_call *call, u16 id)
{
	return &call->attrs[spec_index(call->method, id)];
}

static struct oli_in attr_in(const struct oli_attr *attr)
{
	struct oli_in in = {.addr = attr->data, .len = attr->len};

	if (is_inline(attr->len))
		in.inlined = &attr->data;
	return in;
}

static int check_bytes(const struct oli_attr_spec *spec, const struct oli_attr *attr)
{
	struct oli_in in = attr_in(attr);
	int rc;

	if (attr->len < spec->min_len)
		return -EINVAL;
	if (attr->len <= spec->len)
		return 0;
	if (!spec->grows)
		return -EINVAL;
	rc = spec->kind == OLI_ATTR_IN ? oli_in_tail_zero(&in, spec->len) : 0;
	return rc == -EFAULT ? -EOPNOTSUPP : rc;
}

static int take_attr(struct oli_call *call, const struct ib_uverbs_attr *wire, u64 addr)
{
	const struct oli_attr_spec *spec;
	struct oli_attr *attr;
	int i = spec_index(call->method, wire->attr_id);

	if (i < 0)
		return wire->flags & UVERBS_ATTR_F_MANDATORY ? -EPROTONOSUPPORT : 0;
	spec = &call->method->specs[i];
	attr = &call->attrs[i];
	if (attr->present || wire->attr_data.reserved)
		return -EINVAL;
	*attr = (struct oli_attr){true, wire->len, wire->flags, wire->data, addr};
	if (spec->kind == OLI_ATTR_OBJ || spec->kind == OLI_ATTR_NEW)
		return wire->len ? -EINVAL : 0;
	return check_bytes(spec, attr);
}

static int take_attrs(struct oli_call *call, const struct ib_uverbs_attr *wire, u32 nr, u64 addr)
{
	u32 i;
	int rc;

	for (i = 0; i < nr; i++) {
		rc = take_attr(call, &wire[i], addr + i * sizeof(*wire));
		if (rc)
			return rc;
	}
	for (i = 0; i < call->method->nr_specs; i++)
		if (call->method->specs[i].mandatory && !call->attrs[i].present)
			return -EINVAL;
	return 0;
}

static int run_method(struct oli_call *call, const struct ib_uverbs_attr *wire, u32 nr, u64 addr)
{
	int rc = 0;

	if (call->method->specs)
		rc = take_attrs(call, wire, nr, addr);
	if (rc)
		return rc;
	call->cmd.m = call->cmd.file->m;
	call->cmd.ctx = oli_ufile_ctx(call->cmd.file);
	if (!call->cmd.ctx && !call->method->no_ctx)
		return -EINVAL;
	return call->method->run(call);
}

static int ioctl_request(struct oli_ufile *f, u64 arg)
{
	struct oli_call call = {.cmd.file = f};
	struct ib_uverbs_attr wire[MAX_WIRE];
	struct ib_uverbs_ioctl_hdr hdr;
	u64 attrs = arg + sizeof(hdr);
	int rc;

	rc = oli_user_read(&hdr, arg, sizeof(hdr));
	if (rc)
		return rc;
	if (hdr.num_attrs > MAX_WIRE || hdr.length != sizeof(hdr) + hdr.num_attrs * sizeof(*wire))
		return -EINVAL;
	if (hdr.reserved1 || hdr.reserved2)
		return -EPROTONOSUPPORT;
	if (hdr.driver_id != RDMA_DRIVER_RXE)
		return -EINVAL;
	call.method = oli_method_find(hdr.object_id, hdr.method_id);
	if (!call.method)
		return -EPROTONOSUPPORT;
	rc = oli_user_read(wire, attrs, hdr.num_attrs * sizeof(*wire));
	if (!rc)
		rc = run_method(&call, wire, hdr.num_attrs, attrs);
	oli_trace("uverbs%u ioctl %s = %d", f->device, call.method->name, rc);
	return rc;
}

int oli_ufile_ioctl(struct oli_ufile *f, unsigned long cmd, void *arg)
{
	int rc;

	if (cmd != RDMA_VERBS_IOCTL)
		return -ENOTTY;
	oli_thread_enter();
	rc = f->dead ? -EIO : ioctl_request(f, (uintptr_t)arg);
	oli_thread_leave();
	return rc;
}

bool oli_call_has(const struct oli_call *call, u16 id)
{
	return attr_of(call, id)->present;
}

u64 oli_call_data(const struct oli_call *call, u16 id)
{
	return attr_of(call, id)->data;
}

u32 oli_call_handle(const struct oli_call *call, u16 id)
{
	u64 data = oli_call_data(call, id);

	return oli_call_has(call, id) && data < NO_HANDLE ? (u32)data : NO_HANDLE;
}

struct oli_in oli_call_in(const struct oli_call *call, u16 id)
{
	return attr_in(attr_of(call, id));
}

struct oli_out oli_call_out(const struct oli_call *call, u16 id)
{
	const struct oli_attr *attr = attr_of(call, id);

	if (!attr->present)
		return (struct oli_out){0};
	return (struct oli_out){
		.addr = attr->data,
		.len = attr->len,
		.mark = attr->addr + offsetof(struct ib_uverbs_attr, flags),
		.flags = attr->flags,
	};
}

int oli_call_read(const struct oli_call *call, u16 id, void *dst, size_t size)
{
	struct oli_in in = oli_call_in(call, id);
	size_t n = in.len < size ? in.len : size;

	memset(dst, 0, size);
	return oli_in_read(&in, dst, n);
}

int oli_call_flags(const struct oli_call *call, u16 id, u64 allowed, u32 *flags)
{
	u64 value = oli_call_data(call, id);

	if (oli_call_has(call, id) && oli_call_in(call, id).len == sizeof(u32))
		value = (u32)value;
	if (value & ~allowed)
		return -EINVAL;
	*flags = (u32)value;
	return 0;
}

int oli_call_write(const struct oli_call *call, u16 id, const void *src, size_t size)
{
	struct oli_out out = oli_call_out(call, id);
	int rc;

	if (!oli_call_has(call, id))
		return 0;
	rc = oli_out_clear(&out, size);
	return rc ? rc : oli_out_write(&out, src, size);
}

int oli_call_set_new(const struct oli_call *call, u16 id, s64 number)
{
	return oli_user_write(attr_of(call, id)->addr + offsetof(struct ib_uverbs_attr, data),
			      &number, sizeof(number));
}
