/* SPDX-License-Identifier: MIT */
/*
 * A device file on a private machine, and the two ways a command can reach it.
 *
 * The tests play the provider library: they build requests byte by byte, with
 * whatever lengths and addresses they like, and see the answer as -errno.
 */
#ifndef OLI_TESTS_UNIT_UAPI_RIG_H
#define OLI_TESTS_UNIT_UAPI_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the four above */
#include <cmocka.h>

#include "rdma/obj.h"
#include "uapi/fdtab.h"
#include "uapi/ioctl.h"
#include "uapi/uapi.h"

#define EX(cmd)	   (IB_USER_VERBS_EX_CMD_##cmd | IB_USER_VERBS_CMD_FLAG_EXTENDED)
#define PLAIN(cmd) IB_USER_VERBS_CMD_##cmd

enum way { BY_WRITE, BY_IOCTL, WAYS };

struct rig {
	struct oli_ufile *f;
	int fd;
	int async_fd;
	enum way way;
	char dir[64];
};

/* A legacy command. Lengths are bytes; core structs carry room for the response address. */
struct request {
	u32 command;
	const void *in;
	u32 in_len;
	void *out;
	u32 out_len;
	void *driver;
	u32 driver_len;
};

/* Setup and teardown of a test: a fresh open file, with and without a context. */
int rig_open(void **state);
int rig_context(void **state);
int rig_close(void **state);
/* Of the whole group: a machine in a directory of its own. */
int rig_machine(void **state);
int rig_machine_gone(void **state);

/* Run @rq in the rig's way. Return: 0 or -errno. */
int rig_run(struct rig *rig, const struct request *rq);

/* A command with core structs only. */
#define RUN(rig, cmd, req, resp)                                                                   \
	rig_run(rig, &(struct request){.command = (cmd),                                           \
				       .in = &(req),                                               \
				       .in_len = sizeof(req),                                      \
				       .out = &(resp),                                             \
				       .out_len = sizeof(resp)})
#define RUN_IN(rig, cmd, req)                                                                      \
	rig_run(rig, &(struct request){.command = (cmd), .in = &(req), .in_len = sizeof(req)})
#define RUN_DRV(rig, cmd, req, resp, drv)                                                          \
	rig_run(rig, &(struct request){.command = (cmd),                                           \
				       .in = &(req),                                               \
				       .in_len = sizeof(req),                                      \
				       .out = &(resp),                                             \
				       .out_len = sizeof(resp),                                    \
				       .driver = &(drv),                                           \
				       .driver_len = sizeof(drv)})

/* Objects, made the ordinary way; the handle. */
u32 rig_pd(struct rig *rig);
u32 rig_cq(struct rig *rig);
u32 rig_qp(struct rig *rig, u32 pd, u32 cq);
u32 rig_mr(struct rig *rig, u32 pd, void *mem, size_t len);

/* A page that may not be touched, and one that may, in front of it. */
u8 *rig_hole(void);

/* ---- native requests ---- */

struct native {
	struct ib_uverbs_ioctl_hdr hdr;
	struct ib_uverbs_attr attrs[20];
};

void native_init(struct native *n, u16 object, u16 method);
struct ib_uverbs_attr *native_add(struct native *n, u16 id, u16 len, u64 data);
struct ib_uverbs_attr *native_in(struct native *n, u16 id, const void *src, u16 len);
struct ib_uverbs_attr *native_out(struct native *n, u16 id, void *dst, u16 len);
int native_run(struct rig *rig, struct native *n);

static inline struct oli_ctx *rig_ctx(struct rig *rig)
{
	return oli_ufile_ctx(rig->f);
}

/* Objects of a table of the machine that are not free: RIG_COUNT(pd). */
u32 rig_count(struct oli_table *t);
#define RIG_COUNT(name) rig_count(&oli_rdma(oli_process_machine())->name)

#endif
