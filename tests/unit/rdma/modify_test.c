// SPDX-License-Identifier: MIT
/*
 * Proves which changes of a queue pair's state are allowed, with which
 * attributes: every mask of every step against a second table, written the
 * other way round (a row an attribute), and the effect of the steps themselves.
 */
#include <errno.h>
#include <string.h>

#include "rig.h"

/* Steps of IBTA table 91, in the order of the columns below. */
static const struct {
	u8 from, to;
} steps[] = {
	{IBV_QPS_RESET, IBV_QPS_INIT}, {IBV_QPS_INIT, IBV_QPS_INIT}, {IBV_QPS_INIT, IBV_QPS_RTR},
	{IBV_QPS_RTR, IBV_QPS_RTS},    {IBV_QPS_RTS, IBV_QPS_RTS},   {IBV_QPS_RTS, IBV_QPS_SQD},
	{IBV_QPS_SQD, IBV_QPS_SQD},    {IBV_QPS_SQD, IBV_QPS_RTS},   {IBV_QPS_SQE, IBV_QPS_RTS},
};

enum { STEPS = OLI_ARRAY_SIZE(steps) };

/*
 * A letter a step: R required, o optional, - forbidden. Columns:
 *   RESET>INIT INIT>INIT INIT>RTR RTR>RTS RTS>RTS RTS>SQD SQD>SQD SQD>RTS SQE>RTS
 */
static const struct row {
	u32 bit;
	const char rc[STEPS + 1], uc[STEPS + 1], ud[STEPS + 1];
} rows[] = {
	{IBV_QP_CUR_STATE,	     "---oo--o-", "---oo--oo", "---oo--oo"},
	{IBV_QP_EN_SQD_ASYNC_NOTIFY, "-----o---", "-----o---", "-----o---"},
	{IBV_QP_ACCESS_FLAGS,	     "Roooo-oo-", "Roooo-ooo", "---------"},
	{IBV_QP_PKEY_INDEX,	     "Roo---o--", "Roo---o--", "Roo---o--"},
	{IBV_QP_PORT,		     "Ro----o--", "Ro----o--", "Ro-------"},
	{IBV_QP_QKEY,		     "---------", "---------", "Roooo-ooo"},
	{IBV_QP_AV,		     "--R---o--", "--R---o--", "---------"},
	{IBV_QP_PATH_MTU,	     "--R------", "--R------", "---------"},
	{IBV_QP_TIMEOUT,	     "---R--o--", "---------", "---------"},
	{IBV_QP_RETRY_CNT,	     "---R--o--", "---------", "---------"},
	{IBV_QP_RNR_RETRY,	     "---R--o--", "---------", "---------"},
	{IBV_QP_RQ_PSN,		     "--R------", "--R------", "---------"},
	{IBV_QP_MAX_QP_RD_ATOMIC,    "---R--o--", "---------", "---------"},
	{IBV_QP_ALT_PATH,	     "--ooo-oo-", "--ooo-oo-", "---------"},
	{IBV_QP_MIN_RNR_TIMER,	     "--Roo-oo-", "---------", "---------"},
	{IBV_QP_SQ_PSN,		     "---R-----", "---R-----", "---R-----"},
	{IBV_QP_MAX_DEST_RD_ATOMIC,  "--R---o--", "---------", "---------"},
	{IBV_QP_PATH_MIG_STATE,	     "---oo-oo-", "---oo-oo-", "---------"},
	{IBV_QP_DEST_QPN,	     "--R------", "--R------", "---------"},
	{IBV_QP_CAP,		     "---------", "---------", "---------"},
};

enum { ROWS = OLI_ARRAY_SIZE(rows) };

static char letter(const struct row *r, u32 type, u32 step)
{
	return type == IBV_QPT_RC ? r->rc[step] : type == IBV_QPT_UC ? r->uc[step] : r->ud[step];
}

/* Every subset of the attributes. */
static void sweep(u32 type, u32 step)
{
	u32 need = 0, may = 0;

	for (u32 i = 0; i < ROWS; i++) {
		char c = letter(&rows[i], type, step);

		need |= c == 'R' ? 1u << i : 0;
		may |= c != '-' ? 1u << i : 0;
	}
	for (u32 set = 0; set < 1u << ROWS; set++) {
		u32 mask = IBV_QP_STATE;
		bool want = (set & need) == need && !(set & ~may);

		/* A wrong answer hides behind no other bit: 3 forbidden ones are as good as 2. */
		if (__builtin_popcount(set & ~may) > 2)
			continue;
		if (type == IBV_QPT_RC && steps[step].from == IBV_QPS_SQE)
			want = false;
		for (u32 i = 0; i < ROWS; i++)
			mask |= set >> i & 1 ? rows[i].bit : 0;
		if (oli_qp_modify_ok(type, steps[step].from, steps[step].to, mask) != want)
			fail_msg("type %u, %u to %u, mask 0x%x: must be %s", type,
				 steps[step].from, steps[step].to, mask,
				 want ? "allowed" : "refused");
	}
}

static const u32 types[] = {IBV_QPT_RC, IBV_QPT_UC, IBV_QPT_UD};

static void test_every_mask(void **state)
{
	(void)state;
	for (u32 t = 0; t < OLI_ARRAY_SIZE(types); t++)
		for (u32 s = 0; s < STEPS; s++)
			sweep(types[t], s);
}

static bool listed(u32 from, u32 to)
{
	for (u32 s = 0; s < STEPS; s++)
		if (steps[s].from == from && steps[s].to == to)
			return true;
	return false;
}

static void test_other_steps(void **state)
{
	(void)state;
	for (u32 t = 0; t < OLI_ARRAY_SIZE(types); t++)
		for (u32 from = 0; from <= IBV_QPS_UNKNOWN; from++)
			for (u32 to = 0; to <= IBV_QPS_UNKNOWN; to++) {
				bool end = to == IBV_QPS_RESET || to == IBV_QPS_ERR;

				if (listed(from, to))
					continue;
				assert_int_equal(oli_qp_modify_ok(types[t], from, to, IBV_QP_STATE),
						 end);
				for (u32 i = 0; i < ROWS; i++)
					assert_false(oli_qp_modify_ok(types[t], from, to,
								      IBV_QP_STATE | rows[i].bit));
			}
}

/* A refused change changes nothing, not even the attributes that were right. */
static void test_refused_leaves_all(void **state)
{
	struct pair *p = *state;
	struct ib_uverbs_modify_qp a = {.qp_access_flags = 0, .path_mtu = 9};
	struct ib_uverbs_query_qp_resp before, after;

	oli_qp_query(p->a.m, p->x.qp, &before);
	assert_int_equal(end_modify(&p->x, IBV_QPS_RTR, IBV_QP_ACCESS_FLAGS, &a), -EINVAL);
	assert_int_equal(end_modify(&p->x, IBV_QPS_RTS, IBV_QP_ACCESS_FLAGS | IBV_QP_PORT, &a),
			 -EINVAL);
	a.cur_qp_state = IBV_QPS_SQD;
	assert_int_equal(end_modify(&p->x, IBV_QPS_RTS, IBV_QP_ACCESS_FLAGS | IBV_QP_CUR_STATE, &a),
			 -EINVAL);
	oli_qp_query(p->a.m, p->x.qp, &after);
	assert_memory_equal(&before, &after, sizeof(before));
}

static void test_values_out_of_range(void **state)
{
	struct pair *p = *state;
	struct end e;
	struct ib_uverbs_modify_qp a = {.port_num = 2};
	u32 mask = IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS;

	end_open(&e, &p->a, IBV_QPT_RC, false);
	assert_int_equal(end_modify(&e, IBV_QPS_INIT, mask, &a), -EINVAL);
	a.port_num = 1;
	a.pkey_index = 1;
	assert_int_equal(end_modify(&e, IBV_QPS_INIT, mask, &a), -EINVAL);
	a.pkey_index = 0;
	assert_int_equal(end_modify(&e, IBV_QPS_INIT, mask, &a), 0);
	mask = IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
	       IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER;
	a.path_mtu = IBV_MTU_1024;
	a.dest.is_global = 0;
	assert_int_equal(end_modify(&e, IBV_QPS_RTR, mask, &a), -EINVAL);
	a.dest.is_global = 1;
	a.dest.sgid_index = OLI_GIDS;
	assert_int_equal(end_modify(&e, IBV_QPS_RTR, mask, &a), -EINVAL);
	a.dest.sgid_index = 0;
	a.dest_qp_num = 1u << 24;
	assert_int_equal(end_modify(&e, IBV_QPS_RTR, mask, &a), -EINVAL);
	a.dest_qp_num = 1;
	a.path_mtu = IBV_MTU_4096 + 1;
	assert_int_equal(end_modify(&e, IBV_QPS_RTR, mask, &a), -EINVAL);
	a.path_mtu = IBV_MTU_4096;
	a.min_rnr_timer = 32;
	assert_int_equal(end_modify(&e, IBV_QPS_RTR, mask, &a), -EINVAL);
	a.min_rnr_timer = 31;
	assert_int_equal(end_modify(&e, IBV_QPS_RTR, mask, &a), 0);
	end_close(&e);
}

/* RESET forgets what was queued: none of it completes, and the queue pair works again. */
static void test_reset_forgets(void **state)
{
	struct pair *p = *state;

	post_recv(&p->y, 1, 0, 64);
	assert_int_equal(end_modify(&p->y, IBV_QPS_RESET, 0, NULL), 0);
	assert_int_equal(end_modify(&p->x, IBV_QPS_RESET, 0, NULL), 0);
	expect_none(&p->b, p->y.rcq);
	end_connect(&p->x, &p->y, &rig_link);
	post_recv(&p->y, 2, 0, 64);
	post(&p->x, 3, IBV_WR_SEND, IBV_SEND_SIGNALED, 0, 8);
	assert_int_equal(ring(&p->x), 0);
	expect(&p->a, p->x.scq, 3, IBV_WC_SUCCESS);
	expect(&p->b, p->y.rcq, 2, IBV_WC_SUCCESS);
	expect_none(&p->b, p->y.rcq);
}

/* SQD holds work back, RTS lets it go without another doorbell. */
static void test_drain_and_resume(void **state)
{
	struct pair *p = *state;
	struct ib_uverbs_modify_qp a = {.en_sqd_async_notify = 1};

	assert_int_equal(end_modify(&p->x, IBV_QPS_SQD, IBV_QP_EN_SQD_ASYNC_NOTIFY, &a), 0);
	assert_int_equal(await_async(&p->a), IBV_EVENT_SQ_DRAINED);
	post_recv(&p->y, 2, 0, 64);
	post(&p->x, 3, IBV_WR_SEND, IBV_SEND_SIGNALED, 0, 8);
	assert_int_equal(ring(&p->x), 0);
	expect_none(&p->a, p->x.scq);
	expect_none(&p->b, p->y.rcq);
	assert_int_equal(end_modify(&p->x, IBV_QPS_RTS, 0, NULL), 0);
	expect(&p->a, p->x.scq, 3, IBV_WC_SUCCESS);
	expect(&p->b, p->y.rcq, 2, IBV_WC_SUCCESS);
}

/* A request that waits for its peer while the queue is drained costs no time. */
static void test_drained_wait_is_idle(void **state)
{
	struct pair *p = *state;
	struct ib_uverbs_modify_qp a = {.rnr_retry = 7};
	struct timespec t0, t1, pause = {.tv_nsec = 100 * 1000000};

	assert_int_equal(end_modify(&p->x, IBV_QPS_SQD, 0, NULL), 0);
	assert_int_equal(end_modify(&p->x, IBV_QPS_SQD, IBV_QP_RNR_RETRY, &a), 0);
	assert_int_equal(end_modify(&p->x, IBV_QPS_RTS, 0, NULL), 0);
	post(&p->x, 3, IBV_WR_SEND, IBV_SEND_SIGNALED, 0, 8);
	assert_int_equal(ring(&p->x), 0);
	assert_int_equal(end_modify(&p->x, IBV_QPS_SQD, 0, NULL), 0);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t0);
	nanosleep(&pause, NULL); /* what is measured, not waited for */
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t1);
	assert_true((t1.tv_sec - t0.tv_sec) * 1000000000 + t1.tv_nsec - t0.tv_nsec < 50 * 1000000);
	post_recv(&p->y, 2, 0, 64);
	assert_int_equal(end_modify(&p->x, IBV_QPS_RTS, 0, NULL), 0);
	await_wc(&p->a, p->x.scq, 3, IBV_WC_SUCCESS);
	expect(&p->b, p->y.rcq, 2, IBV_WC_SUCCESS);
}

static void test_doorbell_by_state(void **state)
{
	struct pair *p = *state;
	struct end e;

	end_open(&e, &p->a, IBV_QPT_RC, false);
	assert_int_equal(ring(&e), -EINVAL);
	end_init(&e, &rig_link);
	assert_int_equal(ring(&e), -EINVAL);
	end_rtr(&e, oli_qp_num(p->y.qp), &rig_link);
	assert_int_equal(ring(&e), -EINVAL);
	end_rts(&e, &rig_link);
	assert_int_equal(ring(&e), 0);
	/* In the error state whatever is posted is flushed. */
	assert_int_equal(end_modify(&e, IBV_QPS_ERR, 0, NULL), 0);
	post(&e, 9, IBV_WR_SEND, 0, 0, 8);
	assert_int_equal(ring(&e), 0);
	expect(&p->a, e.scq, 9, IBV_WC_WR_FLUSH_ERR);
	end_close(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_mask),
		cmocka_unit_test(test_other_steps),
#define ON_PAIR(f) cmocka_unit_test_setup_teardown(f, pair_setup, pair_teardown)
		ON_PAIR(test_refused_leaves_all),
		ON_PAIR(test_values_out_of_range),
		ON_PAIR(test_reset_forgets),
		ON_PAIR(test_drain_and_resume),
		ON_PAIR(test_drained_wait_is_idle),
		ON_PAIR(test_doorbell_by_state),
	};

	return cmocka_run_group_tests_name("rdma/modify", tests, NULL, NULL);
}
