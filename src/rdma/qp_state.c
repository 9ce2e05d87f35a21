// SPDX-License-Identifier: MIT
/*
 * Which state may follow which, and which attributes each step needs and takes
 * (IBTA volume 1, 11.2.5.2, table 91). A step that is not in the table is not
 * allowed. Any state may go to RESET and to ERR.
 */
#include <infiniband/verbs.h>

#include "rdma/int.h"

enum { RC, UC, UD, TYPES };

struct step {
	u8 from, to;
	u32 required[TYPES];
	u32 optional[TYPES];
};

#define PKEY   IBV_QP_PKEY_INDEX
#define PORT   IBV_QP_PORT
#define ACCESS IBV_QP_ACCESS_FLAGS
#define QKEY   IBV_QP_QKEY
#define CUR    IBV_QP_CUR_STATE
#define ALT    IBV_QP_ALT_PATH
#define MIG    IBV_QP_PATH_MIG_STATE
#define RNR    IBV_QP_MIN_RNR_TIMER

/* What connects: the address, the other queue pair, its first packet number. */
#define PATH (IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN)
#define RETRY (IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY)

static const struct step steps[] = {
	{IBV_QPS_RESET, IBV_QPS_INIT,
	 {PKEY | PORT | ACCESS, PKEY | PORT | ACCESS, PKEY | PORT | QKEY}, {0}},
	{IBV_QPS_INIT, IBV_QPS_INIT,
	 {0}, {PKEY | PORT | ACCESS, PKEY | PORT | ACCESS, PKEY | PORT | QKEY}},
	{IBV_QPS_INIT, IBV_QPS_RTR,
	 {PATH | IBV_QP_MAX_DEST_RD_ATOMIC | RNR, PATH, 0},
	 {ALT | ACCESS | PKEY, ALT | ACCESS | PKEY, PKEY | QKEY}},
	{IBV_QPS_RTR, IBV_QPS_RTS,
	 {RETRY | IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC, IBV_QP_SQ_PSN, IBV_QP_SQ_PSN},
	 {CUR | ALT | ACCESS | RNR | MIG, CUR | ALT | ACCESS | MIG, CUR | QKEY}},
	{IBV_QPS_RTS, IBV_QPS_RTS,
	 {0}, {CUR | ACCESS | ALT | MIG | RNR, CUR | ACCESS | ALT | MIG, CUR | QKEY}},
	{IBV_QPS_RTS, IBV_QPS_SQD,
	 {0}, {IBV_QP_EN_SQD_ASYNC_NOTIFY, IBV_QP_EN_SQD_ASYNC_NOTIFY, IBV_QP_EN_SQD_ASYNC_NOTIFY}},
	{IBV_QPS_SQD, IBV_QPS_SQD,
	 {0},
	 {PORT | IBV_QP_AV | RETRY | IBV_QP_MAX_QP_RD_ATOMIC | IBV_QP_MAX_DEST_RD_ATOMIC | ALT |
		  ACCESS | PKEY | RNR | MIG,
	  PORT | IBV_QP_AV | ALT | ACCESS | PKEY | MIG, PKEY | QKEY}},
	{IBV_QPS_SQD, IBV_QPS_RTS,
	 {0}, {CUR | ALT | ACCESS | RNR | MIG, CUR | ALT | ACCESS | MIG, CUR | QKEY}},
	{IBV_QPS_SQE, IBV_QPS_RTS, {0}, {0, CUR | ACCESS, CUR | QKEY}},
};

bool oli_qp_modify_ok(u32 type, u32 from, u32 to, u32 mask)
{
	int t = type == IBV_QPT_RC ? RC : type == IBV_QPT_UC ? UC : UD;

	mask &= ~(u32)IBV_QP_STATE;
	if (to == IBV_QPS_RESET || to == IBV_QPS_ERR)
		return mask == 0;
	for (size_t i = 0; i < OLI_ARRAY_SIZE(steps); i++) {
		const struct step *s = &steps[i];

		if (s->from != from || s->to != to)
			continue;
		if (from == IBV_QPS_SQE && t == RC)
			return false;
		return (mask & s->required[t]) == s->required[t] &&
		       !(mask & ~(s->required[t] | s->optional[t]));
	}
	return false;
}
