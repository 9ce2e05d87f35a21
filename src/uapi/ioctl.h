/* SPDX-License-Identifier: MIT */
/*
 * Native methods of the ioctl interface. Inside uapi/ only.
 *
 * A method is (object, method) and a list of attributes. The request's
 * attributes were copied in once and checked against that list before the
 * handler runs: kinds, lengths, none twice, all mandatory ones there. Objects
 * are looked up by the handler.
 */
#ifndef OLI_UAPI_IOCTL_H
#define OLI_UAPI_IOCTL_H

#include <rdma/ib_user_ioctl_cmds.h>
#include <rdma/ib_user_ioctl_verbs.h>
#include <rdma/rdma_user_ioctl_cmds.h>

#include "uapi/cmd.h"

#define OLI_ATTRS_MAX 17

enum oli_attr_kind {
	OLI_ATTR_IN, /* bytes; up to 8 of them lie in the attribute itself */
	OLI_ATTR_OUT, /* address and room */
	OLI_ATTR_OBJ, /* the number of an existing object */
	OLI_ATTR_NEW, /* receives the number of a new one */
};

struct oli_attr_spec {
	u16 id;
	u8 kind; /* enum oli_attr_kind */
	bool mandatory;
	bool grows; /* a struct: longer is allowed, if the tail is zero (IN) or to be zeroed (OUT)
		     */
	u16 min_len, len; /* of IN and OUT */
};

struct oli_call;

struct oli_method {
	u16 object, method;
	bool no_ctx; /* may run before GET_CONTEXT */
	u8 nr_specs;
	const char *name;
	const struct oli_attr_spec *specs; /* NULL: the handler refuses whatever is asked */
	int (*run)(struct oli_call *call);
};

/* An attribute as the program gave it. */
struct oli_attr {
	bool present;
	u16 len, flags;
	u64 data;
	u64 addr; /* of the struct ib_uverbs_attr in the program */
};

struct oli_call {
	struct oli_cmd cmd;
	const struct oli_method *method;
	struct oli_attr attrs[OLI_ATTRS_MAX]; /* in the order of the method's specs */
};

/* The method's entry, or NULL (uapi/method.c). */
const struct oli_method *oli_method_find(u16 object, u16 method);

/* ---- for handlers; @id must be one of the method's ---- */

bool oli_call_has(const struct oli_call *call, u16 id);
/* The number in an OBJ attribute, or a constant. 0 if absent. */
u64 oli_call_data(const struct oli_call *call, u16 id);
/* A handle; one that cannot be any object's if the number is out of range. */
u32 oli_call_handle(const struct oli_call *call, u16 id);
/* Copy an IN attribute, zero-extended; zeros if absent. */
OLI_MUST_CHECK int oli_call_read(const struct oli_call *call, u16 id, void *dst, size_t size);
/* Flags come in 4 or 8 bytes. Return: 0, -EINVAL for a bit outside @allowed. */
OLI_MUST_CHECK int oli_call_flags(const struct oli_call *call, u16 id, u64 allowed, u32 *flags);
/* Write an OUT attribute and mark it; nothing if absent. */
OLI_MUST_CHECK int oli_call_write(const struct oli_call *call, u16 id, const void *src,
				  size_t size);
/* Tell the number of the object that a NEW attribute stands for. */
OLI_MUST_CHECK int oli_call_set_new(const struct oli_call *call, u16 id, s64 number);
/* IN and OUT attributes as byte ranges: INVOKE_WRITE and driver data. */
struct oli_in oli_call_in(const struct oli_call *call, u16 id);
struct oli_out oli_call_out(const struct oli_call *call, u16 id);

/* ---- handlers ---- */

int oli_method_unsupported(struct oli_call *call);
int oli_method_invoke_write(struct oli_call *call);
int oli_method_get_context(struct oli_call *call);
int oli_method_query_port(struct oli_call *call);
int oli_method_query_gid_table(struct oli_call *call);
int oli_method_query_gid_entry(struct oli_call *call);
int oli_method_async_event_alloc(struct oli_call *call);
int oli_method_pd_destroy(struct oli_call *call);
int oli_method_ah_destroy(struct oli_call *call);
int oli_method_mr_destroy(struct oli_call *call);
int oli_method_mr_query(struct oli_call *call);
int oli_method_mw_destroy(struct oli_call *call);
int oli_method_srq_create(struct oli_call *call);
int oli_method_srq_destroy(struct oli_call *call);
int oli_method_cq_create(struct oli_call *call);
int oli_method_cq_destroy(struct oli_call *call);
int oli_method_qp_create(struct oli_call *call);
int oli_method_qp_destroy(struct oli_call *call);

#endif
