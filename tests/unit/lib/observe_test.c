// SPDX-License-Identifier: MIT
/*
 * The public view of a machine, against a machine that this process fills: what
 * the walks list, what callers with older and newer structures get, which
 * records are read and which are counted as lost.
 *
 * The engine under the test is the static one, libolio has its own: two
 * attachments of one process, as of two programs.
 */
#include <errno.h>
#include <olio/machine.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../rdma/rig.h"

struct fixture {
	struct node n;
	struct olio_machine *m;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char why[256] = "";

	node_open(&f->n);
	if (olio_machine_open(rig_dir(), OLIO_MACHINE_NO_CREATE, &f->m, why, sizeof(why)))
		fail_msg("%s", why);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	olio_machine_close(f->m);
	node_close(&f->n);
	free(f);
	return 0;
}

static void opening_says_what_is_wrong(void **state)
{
	struct olio_machine *m = NULL;
	char why[256] = "";

	(void)state;
	assert_int_equal(olio_machine_open("/nonexistent/m", OLIO_MACHINE_NO_CREATE, &m, why,
					   sizeof(why)),
			 -ENOENT);
	assert_non_null(strstr(why, "/nonexistent/m"));
	assert_int_equal(olio_machine_open("a/relative/path", 0, &m, why, sizeof(why)), -EINVAL);
	assert_int_equal(olio_machine_open("../default", 0, &m, NULL, 0), -EINVAL);
	assert_int_equal(olio_machine_open(NULL, 0x100, &m, NULL, 0), -EINVAL);
	assert_null(m);
	olio_machine_close(NULL);
}

static void machine_and_processes(void **state)
{
	struct fixture *f = *state;
	struct olio_machine_info mi = {.size = sizeof(mi)};
	struct olio_process_info pi = {.size = sizeof(pi)};
	u32 pos = 0, programs = 0, observers = 0;

	assert_int_equal(olio_machine_info(f->m, &mi), 0);
	assert_string_equal(mi.dir, rig_dir());
	assert_string_equal(mi.dir, olio_machine_dir(f->m));
	assert_string_equal(mi.type, "pc");
	assert_int_equal(mi.processes, 1);
	assert_true(mi.heap_used > 0 && mi.heap_used <= mi.heap_backed);
	while (olio_next_process(f->m, &pos, &pi) == 1) {
		assert_int_equal(pi.pid, getpid());
		if (pi.observer) {
			observers++;
			continue;
		}
		programs++;
		assert_int_equal(pi.contexts, 1);
		assert_int_equal(pi.mrs, 1);
		assert_int_equal(pi.qps, 0);
		assert_string_equal(pi.way, "process_vm");
	}
	assert_int_equal(programs, 1);
	assert_int_equal(observers, 1);
}

static void the_devices(void **state)
{
	struct fixture *f = *state;
	struct olio_device_info d = {.size = sizeof(d)};
	u8 guid[sizeof(d.guid)];
	u32 pos = 0;

	assert_int_equal(olio_next_device(f->m, &pos, &d), 1);
	assert_string_equal(d.name, "rxe0");
	assert_string_equal(d.kind, "rxe");
	assert_true(d.gids > 0);
	assert_non_null(strchr(d.gid, ':'));
	memcpy(guid, d.guid, sizeof(guid));
	assert_int_equal(olio_next_device(f->m, &pos, &d), 1);
	assert_string_equal(d.name, "hca0");
	assert_string_equal(d.kind, "hca");
	assert_memory_not_equal(d.guid, guid, sizeof(guid));
	assert_int_equal(olio_next_device(f->m, &pos, &d), 0);
}

static void queue_pairs(void **state)
{
	struct fixture *f = *state;
	struct olio_qp_info q = {.size = sizeof(q)};
	struct end x, y;
	u32 pos = 0, nr = 0;

	end_open(&x, &f->n, IB_UVERBS_QPT_RC, false);
	assert_int_equal(olio_next_qp(f->m, &pos, &q), 1);
	assert_string_equal(q.state, "RESET");
	assert_string_equal(q.way, "-");
	assert_int_equal(q.peer_pid, 0);
	end_open(&y, &f->n, IB_UVERBS_QPT_RC, false);
	end_connect(&x, &y, &rig_link);
	post_recv(&y, 1, 0, 64);
	post(&x, 2, IBV_WR_SEND, IBV_SEND_SIGNALED, 0, 32);
	assert_int_equal(ring(&x), 0);
	for (pos = 0; olio_next_qp(f->m, &pos, &q) == 1; nr++) {
		assert_int_equal(q.pid, getpid());
		assert_string_equal(q.device, "rxe0");
		assert_string_equal(q.type, "RC");
		assert_string_equal(q.state, "RTS");
		if (q.qpn != oli_qp_num(x.qp))
			continue;
		assert_int_equal(q.dest_qpn, oli_qp_num(y.qp));
		assert_string_equal(q.way, "self");
		assert_int_equal(q.peer_pid, getpid());
		assert_int_equal(q.sent_msgs, 1);
		assert_int_equal(q.sent_bytes, 32);
		assert_int_equal(q.sq_used, 0);
	}
	assert_int_equal(nr, 2);
	end_close(&x);
	end_close(&y);
	pos = 0;
	assert_int_equal(olio_next_qp(f->m, &pos, &q), 0);
}

static void completion_queues(void **state)
{
	struct fixture *f = *state;
	struct oli_cq_req req = {.cqe = 10, .chan = f->n.chan};
	struct olio_cq_info c = {.size = sizeof(c)};
	struct oli_cq *cq;
	u32 pos = 0, comp, async;

	assert_int_equal(oli_cq_create(f->n.m, f->n.ctx, &req, &cq), 0);
	assert_int_equal(oli_cq_req_notify(f->n.m, cq, true), 0);
	assert_int_equal(olio_next_cq(f->m, &pos, &c), 1);
	assert_int_equal(c.cqe, oli_cq_cqe(cq));
	assert_int_equal(c.channel, 1);
	assert_int_equal(c.unread, 0);
	assert_string_equal(c.armed, "solicited");
	assert_int_equal(oli_cq_req_notify(f->n.m, cq, false), 0);
	pos = 0;
	assert_int_equal(olio_next_cq(f->m, &pos, &c), 1);
	assert_string_equal(c.armed, "next");
	assert_int_equal(oli_cq_destroy(f->n.m, cq, &comp, &async), 0);
	pos = 0;
	assert_int_equal(olio_next_cq(f->m, &pos, &c), 0);
}

static void memory_regions(void **state)
{
	struct fixture *f = *state;
	struct olio_mr_info r = {.size = sizeof(r)};
	u32 pos = 0;

	assert_int_equal(olio_next_mr(f->m, &pos, &r), 1);
	assert_int_equal(r.lkey, oli_mr_lkey(f->n.mr));
	assert_int_equal(r.rkey, oli_mr_rkey(f->n.mr));
	assert_int_equal(r.addr, (uintptr_t)f->n.buf);
	assert_int_equal(r.length, BUF_SIZE);
	assert_string_equal(r.kind, "mr");
	assert_non_null(strstr(r.access, "local-write"));
	assert_int_equal(olio_next_mr(f->m, &pos, &r), 0);
}

/* A caller built with an older header knows fewer members, one with a newer header more. */
static void structures_of_other_sizes(void **state)
{
	struct fixture *f = *state;
	struct {
		struct olio_mr_info info;
		u8 newer[64];
	} grown;
	struct olio_mr_info r;
	u32 pos = 0;

	memset(&r, 0xee, sizeof(r));
	r.size = 0;
	assert_int_equal(olio_next_mr(f->m, &pos, &r), -EINVAL);
	assert_int_equal(r.lkey, 0xeeeeeeee);

	r.size = offsetof(struct olio_mr_info, rkey);
	pos = 0;
	assert_int_equal(olio_next_mr(f->m, &pos, &r), 1);
	assert_int_equal(r.lkey, oli_mr_lkey(f->n.mr));
	assert_int_equal(r.rkey, 0xeeeeeeee);
	assert_int_equal(r.size, offsetof(struct olio_mr_info, rkey));

	memset(&grown, 0xee, sizeof(grown));
	grown.info.size = sizeof(grown);
	pos = 0;
	assert_int_equal(olio_next_mr(f->m, &pos, &grown.info), 1);
	assert_int_equal(grown.info.rkey, oli_mr_rkey(f->n.mr));
	assert_int_equal(grown.newer[0], 0xee);
}

static void add_records(struct fixture *f, u64 first, u32 n)
{
	for (u32 i = 0; i < n; i++) {
		struct oli_record r = {.status = IBV_WC_REM_ACCESS_ERR, .wr_id = first + i};

		strcpy(r.text, "because");
		oli_record_add(f->n.m, f->n.m->slot, &r);
	}
}

static void records(void **state)
{
	struct fixture *f = *state;
	struct olio_record_info r = {.size = sizeof(r)};
	u64 seq = 0, lost = 99;

	assert_int_equal(olio_next_record(f->m, &seq, &r, &lost), 0);
	assert_int_equal(lost, 0);
	add_records(f, 10, 2);
	assert_int_equal(olio_next_record(f->m, &seq, &r, &lost), 1);
	assert_int_equal(r.wr_id, 10);
	assert_int_equal(r.pid, getpid());
	assert_string_equal(r.status_name, "IBV_WC_REM_ACCESS_ERR");
	assert_string_equal(r.text, "because");
	assert_int_equal(olio_next_record(f->m, &seq, &r, NULL), 1);
	assert_int_equal(r.wr_id, 11);
	assert_int_equal(olio_next_record(f->m, &seq, &r, NULL), 0);

	add_records(f, 1000, OLI_RECORDS + 7);
	assert_int_equal(olio_next_record(f->m, &seq, &r, &lost), 1);
	assert_int_equal(lost, 7);
	assert_int_equal(r.wr_id, 1007);
}

/* A writer that was killed in the middle: given up once there is something newer. */
static void a_record_that_never_came(void **state)
{
	struct fixture *f = *state;
	struct olio_record_info r = {.size = sizeof(r)};
	u64 seq = 0, lost = 0;

	add_records(f, 1, 1);
	f->n.m->shm->record_next++;
	assert_int_equal(olio_next_record(f->m, &seq, &r, &lost), 1);
	assert_int_equal(olio_next_record(f->m, &seq, &r, &lost), 0);
	assert_int_equal(lost, 0);
	add_records(f, 3, 1);
	assert_int_equal(olio_next_record(f->m, &seq, &r, &lost), 1);
	assert_int_equal(r.wr_id, 3);
	assert_int_equal(lost, 1);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(opening_says_what_is_wrong),
		CASE(machine_and_processes),
		CASE(the_devices),
		CASE(queue_pairs),
		CASE(completion_queues),
		CASE(memory_regions),
		CASE(structures_of_other_sizes),
		CASE(records),
		CASE(a_record_that_never_came),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
