// SPDX-License-Identifier: MIT
/*
 * Errors that say why: one sentence for each failed completion, with the key,
 * the range it covers, the range that was asked for, and who is at the other
 * end. Kept in the machine's records, where `olio run` and `olio explain` find
 * them.
 */
#include <stdio.h>
#include <string.h>

#include "iommu/fault.h"
#include "rdma/int.h"

static const char *opcode_name(u32 op)
{
	static const char *const name[] = {
		[IBV_WR_RDMA_WRITE] = "RDMA WRITE",
		[IBV_WR_RDMA_WRITE_WITH_IMM] = "RDMA WRITE with immediate",
		[IBV_WR_SEND] = "SEND",
		[IBV_WR_SEND_WITH_IMM] = "SEND with immediate",
		[IBV_WR_RDMA_READ] = "RDMA READ",
		[IBV_WR_ATOMIC_CMP_AND_SWP] = "compare and swap",
		[IBV_WR_ATOMIC_FETCH_AND_ADD] = "fetch and add",
		[IBV_WR_LOCAL_INV] = "local invalidate",
		[IBV_WR_BIND_MW] = "bind of a memory window",
		[IBV_WR_ATOMIC_WRITE] = "atomic write",
		[IBV_WR_SEND_WITH_INV] = "SEND with invalidate",
	};

	if (op == OLI_OP_RECV)
		return "receive";
	return op < OLI_ARRAY_SIZE(name) && name[op] ? name[op] : "unknown work request";
}

static const char *state_name(u32 state)
{
	static const char *const name[] = {"RESET", "INIT", "RTR", "RTS", "SQD", "SQE", "ERR"};

	return state < OLI_ARRAY_SIZE(name) ? name[state] : "?";
}

static void access_names(u32 access, char *buf, size_t size)
{
	static const struct {
		u32 bit;
		const char *name;
	} names[] = {{IBV_ACCESS_LOCAL_WRITE, "local write"},
		     {IBV_ACCESS_REMOTE_WRITE, "remote write"},
		     {IBV_ACCESS_REMOTE_READ, "remote read"},
		     {IBV_ACCESS_REMOTE_ATOMIC, "remote atomics"}};
	size_t n = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < OLI_ARRAY_SIZE(names) && n < size; i++)
		if (access & names[i].bit)
			n += (size_t)snprintf(buf + n, size - n, "%s%s", n ? " and " : "",
					      names[i].name);
}

/* By how much [want) leaves [have), in words. */
static void excess(const struct oli_fail *f, char *buf, size_t size)
{
	if (f->want_start < f->have_start)
		snprintf(buf, size, "it begins %llu bytes before the region",
			 (unsigned long long)(f->have_start - f->want_start));
	else if (f->want_start - f->have_start >= f->have_len)
		snprintf(buf, size, "it begins %llu bytes behind the region's end",
			 (unsigned long long)(f->want_start - f->have_start - f->have_len));
	else
		snprintf(buf, size, "it ends %llu bytes behind the region's end",
			 (unsigned long long)(f->want_len - (f->have_len - (f->want_start - f->have_start))));
}

/* What the machine recorded of the fault, unless newer ones have pushed it out. */
static void fault_text(struct oli_machine *m, const struct oli_fail *f, char *buf, size_t size)
{
	const char *whose = f->at_peer ? "the peer's" : "this process's";
	struct oli_fault fault;

	if (f->fault && oli_fault_get(m, f->fault, &fault))
		snprintf(buf, size, "DMA fault in %s memory: %s", whose, fault.text);
	else
		snprintf(buf, size, "DMA fault in %s memory at 0x%llx", whose,
			 (unsigned long long)f->want_start);
}

static void cause_text(struct oli_machine *m, const struct oli_fail *f, char *buf, size_t size)
{
	const char *key = f->at_peer ? "rkey" : "lkey";
	char more[96];

	switch (f->cause) {
	case OLI_CAUSE_NO_KEY:
		snprintf(buf, size, "%s 0x%08x names no region of %s: never registered, or deregistered",
			 key, f->key, f->at_peer ? "the peer" : "this process");
		break;
	case OLI_CAUSE_WRONG_PD:
		snprintf(buf, size, "the region of %s 0x%08x is in another protection domain than the queue pair",
			 key, f->key);
		break;
	case OLI_CAUSE_NO_ACCESS:
		access_names(f->access, more, sizeof(more));
		snprintf(buf, size, "the region of %s 0x%08x was registered without %s", key, f->key,
			 more);
		break;
	case OLI_CAUSE_OUT_OF_RANGE:
		excess(f, more, sizeof(more));
		snprintf(buf, size, "%s 0x%08x covers [0x%llx, +%llu), asked for [0x%llx, +%llu): %s",
			 key, f->key, (unsigned long long)f->have_start,
			 (unsigned long long)f->have_len, (unsigned long long)f->want_start,
			 (unsigned long long)f->want_len, more);
		break;
	case OLI_CAUSE_UNBOUND:
		snprintf(buf, size, "the memory window of rkey 0x%08x is not bound, or to another queue pair",
			 f->key);
		break;
	case OLI_CAUSE_QP_ACCESS:
		access_names(f->access, more, sizeof(more));
		snprintf(buf, size, "the peer's queue pair does not permit %s (qp_access_flags)", more);
		break;
	case OLI_CAUSE_UNMAPPED:
		snprintf(buf, size, "%s memory at 0x%llx was registered but has been unmapped since",
			 f->at_peer ? "the peer's" : "this process's",
			 (unsigned long long)f->want_start);
		break;
	case OLI_CAUSE_DMA:
		fault_text(m, f, buf, size);
		break;
	case OLI_CAUSE_UNALIGNED:
		snprintf(buf, size, "atomics need an address that is a multiple of 8, not 0x%llx",
			 (unsigned long long)f->want_start);
		break;
	case OLI_CAUSE_TOO_LONG:
		snprintf(buf, size, "the message has %llu bytes, there is room for %llu",
			 (unsigned long long)f->want_len, (unsigned long long)f->have_len);
		break;
	case OLI_CAUSE_NO_RECV:
		snprintf(buf, size, "the peer had no receive posted, at the first try and at every retry (rnr_retry)");
		break;
	case OLI_CAUSE_NO_ROUTE:
		snprintf(buf, size, "the destination address is not of this machine, and there is no wire yet");
		break;
	case OLI_CAUSE_NO_PEER:
		snprintf(buf, size, "the peer's queue pair did not answer: it does not exist, is not connected back, or is below RTR or in error");
		break;
	case OLI_CAUSE_PEER_DIED:
		snprintf(buf, size, "the peer's process was killed");
		break;
	case OLI_CAUSE_BAD_WR:
		snprintf(buf, size, "the work request is malformed or not supported");
		break;
	case OLI_CAUSE_BIND:
		snprintf(buf, size, "the window of rkey 0x%08x cannot be bound so: wrong state or type, region without MW_BIND, or range [0x%llx, +%llu) outside it",
			 f->key, (unsigned long long)f->want_start, (unsigned long long)f->want_len);
		break;
	case OLI_CAUSE_FLUSHED:
		snprintf(buf, size, "flushed: the queue pair had gone to the error state before");
		break;
	default:
		snprintf(buf, size, "no cause was recorded");
	}
}

/* " to QP 0x123456 of pingpong (4711)": the other end, as far as it is known. */
static void peer_text(struct oli_machine *m, const struct oli_qp *qp, char *buf, size_t size,
		      s32 *pid)
{
	struct oli_slot *s;

	buf[0] = '\0';
	if (!qp->dest_qpn)
		return;
	snprintf(buf, size, " to QP 0x%06x", qp->dest_qpn);
	if (!qp->peer || qp->peer_slot >= OLI_SLOTS)
		return;
	s = oli_slot(m, qp->peer_slot);
	if (s->gen != qp->peer_slot_gen)
		return;
	*pid = s->pid;
	snprintf(buf, size, " to QP 0x%06x of %.15s (%d)", qp->dest_qpn, s->comm, s->pid);
}

void oli_why(struct oli_machine *m, struct oli_qp *qp, const struct oli_fail *f,
	     const struct ib_uverbs_wc *wc, u32 wr_opcode, u32 n)
{
	struct oli_record r = {0};
	char cause[312], peer[64];

	r.status = wc->status;
	r.wr_id = wc->wr_id;
	r.qpn = qp->qpn;
	r.dest_qpn = qp->dest_qpn;
	r.opcode = (u16)wr_opcode;
	r.key = f->key;
	r.want_start = f->want_start;
	r.want_len = f->want_len;
	r.have_start = f->have_start;
	r.have_len = f->have_len;
	r.count = n;
	cause_text(m, f, cause, sizeof(cause));
	peer_text(m, qp, peer, sizeof(peer), &r.peer_pid);
	snprintf(r.text, sizeof(r.text), "%s on QP 0x%06x (%s)%s: %s", opcode_name(wr_opcode),
		 qp->qpn, state_name(oli_qp_state(qp)), peer, cause);
	oli_record_add(m, qp->obj.slot, &r);
}
