// SPDX-License-Identifier: MIT
/*
 * olio ls: what is on a machine.
 *
 * One function a kind of object: it fills a table by a walk of the library. A
 * kind's columns stand above its function in the order of its cells. The tool
 * itself is on the machine too while it looks, and leaves itself out.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

#define COLUMNS(c) c, sizeof(c) / sizeof((c)[0])

static const struct column machine_columns[] = {
	{"NAME", "name", false},
	{"TYPE", "type", false},
	{"DIRECTORY", "directory", false},
	{"PROCESSES", "processes", true},
	{"HEAP", "heap_bytes", true},
	{"USED", "heap_used", true},
	{"BACKED", "heap_backed", true},
};

static void list_machine(struct olio_machine *m, struct table *t)
{
	struct olio_machine_info o = {.size = sizeof(o)};

	if (olio_machine_info(m, &o))
		return;
	table_row(t);
	table_text(t, o.name);
	table_text(t, o.type);
	table_text(t, o.dir);
	table_number(t, o.processes);
	table_number(t, o.heap_bytes);
	table_number(t, o.heap_used);
	table_number(t, o.heap_backed);
}

static const struct column process_columns[] = {
	{"SLOT", "slot", true},
	{"PID", "pid", true},
	{"COMMAND", "command", false},
	{"ROLE", "role", false},
	{"REACHED-BY", "way", false},
	{"CONTEXTS", "contexts", true},
	{"QPS", "qps", true},
	{"CQS", "cqs", true},
	{"MRS", "mrs", true},
	{"RUN", "run", false},
};

static void list_processes(struct olio_machine *m, struct table *t)
{
	struct olio_process_info o = {.size = sizeof(o)};
	uint32_t pos = 0;

	while (olio_next_process(m, &pos, &o) == 1) {
		if (o.observer && o.pid == getpid())
			continue;
		table_row(t);
		table_number(t, o.slot);
		table_number(t, (uint64_t)o.pid);
		table_text(t, o.comm);
		table_text(t, o.observer ? "observer" : "program");
		table_text(t, o.way);
		table_number(t, o.contexts);
		table_number(t, o.qps);
		table_number(t, o.cqs);
		table_number(t, o.mrs);
		table_text(t, o.run);
	}
}

static const struct column device_columns[] = {
	{"DEVICE", "device", false},
	{"KIND", "kind", false},
	{"NETDEV", "netdev", false},
	{"MTU", "mtu", true},
	{"GUID", "guid", false},
	{"GID", "gid", false},
	{"GIDS", "gids", true},
	{"SENT", "sent_messages", true},
	{"BYTES", "sent_bytes", true},
	{"RECEIVED", "received_messages", true},
	{"BYTES", "received_bytes", true},
	{"RNR", "rnr_naks", true},
	{"RETRIES", "retries", true},
	{"REFUSED", "access_errors", true},
};

static void guid_text(char *out, size_t size, const uint8_t g[8])
{
	snprintf(out, size, "%02x%02x:%02x%02x:%02x%02x:%02x%02x", g[0], g[1], g[2], g[3], g[4],
		 g[5], g[6], g[7]);
}

static void list_devices(struct olio_machine *m, struct table *t)
{
	struct olio_device_info o = {.size = sizeof(o)};
	uint32_t pos = 0;

	while (olio_next_device(m, &pos, &o) == 1) {
		char guid[32];

		guid_text(guid, sizeof(guid), o.guid);
		table_row(t);
		table_text(t, o.name);
		table_text(t, o.kind);
		table_text(t, o.netdev);
		table_number(t, o.mtu);
		table_text(t, guid);
		table_text(t, o.gid);
		table_number(t, o.gids);
		table_number(t, o.sent_msgs);
		table_number(t, o.sent_bytes);
		table_number(t, o.rcvd_msgs);
		table_number(t, o.rcvd_bytes);
		table_number(t, o.rnr_naks);
		table_number(t, o.retries);
		table_number(t, o.access_errors);
	}
}

static const struct column qp_columns[] = {
	{"QPN", "qpn", true},
	{"PID", "pid", true},
	{"DEVICE", "device", false},
	{"TYPE", "type", false},
	{"STATE", "state", false},
	{"PEER", "dest_qpn", true},
	{"PEER-PID", "peer_pid", true},
	{"WAY", "way", false},
	{"SQ", "sq_used", true},
	{"OF", "sq_depth", true},
	{"RQ", "rq_used", true},
	{"OF", "rq_depth", true},
	{"SEND-CQ", "send_cq", true},
	{"RECV-CQ", "recv_cq", true},
	{"SENT", "sent_messages", true},
	{"BYTES", "sent_bytes", true},
};

static void list_qps(struct olio_machine *m, struct table *t)
{
	struct olio_qp_info o = {.size = sizeof(o)};
	uint32_t pos = 0;

	while (olio_next_qp(m, &pos, &o) == 1) {
		table_row(t);
		table_hex(t, o.qpn);
		table_number(t, (uint64_t)o.pid);
		table_text(t, o.device);
		table_text(t, o.type);
		table_text(t, o.state);
		table_hex(t, o.dest_qpn);
		table_number(t, (uint64_t)o.peer_pid);
		table_text(t, o.way);
		table_number(t, o.sq_used);
		table_number(t, o.sq_depth);
		table_number(t, o.rq_used);
		table_number(t, o.rq_depth);
		table_number(t, o.send_cq);
		table_number(t, o.recv_cq);
		table_number(t, o.sent_msgs);
		table_number(t, o.sent_bytes);
	}
}

static const struct column cq_columns[] = {
	{"CQN", "cqn", true},
	{"PID", "pid", true},
	{"ENTRIES", "cqe", true},
	{"UNREAD", "unread", true},
	{"CHANNEL", "channel", true},
	{"ARMED", "armed", false},
	{"POSTED", "posted", true},
};

static void list_cqs(struct olio_machine *m, struct table *t)
{
	struct olio_cq_info o = {.size = sizeof(o)};
	uint32_t pos = 0;

	while (olio_next_cq(m, &pos, &o) == 1) {
		table_row(t);
		table_number(t, o.cqn);
		table_number(t, (uint64_t)o.pid);
		table_number(t, o.cqe);
		table_number(t, o.unread);
		table_number(t, o.channel);
		table_text(t, o.armed);
		table_number(t, o.posted);
	}
}

static const struct column mr_columns[] = {
	{"LKEY", "lkey", true},
	{"RKEY", "rkey", true},
	{"PID", "pid", true},
	{"KIND", "kind", false},
	{"ADDRESS", "address", true},
	{"LENGTH", "length", true},
	{"IOVA", "iova", true},
	{"PD", "pd", true},
	{"ACCESS", "access", false},
};

static void list_mrs(struct olio_machine *m, struct table *t)
{
	struct olio_mr_info o = {.size = sizeof(o)};
	uint32_t pos = 0;

	while (olio_next_mr(m, &pos, &o) == 1) {
		table_row(t);
		table_hex(t, o.lkey);
		table_hex(t, o.rkey);
		table_number(t, (uint64_t)o.pid);
		table_text(t, o.kind);
		table_hex(t, o.addr);
		table_number(t, o.length);
		table_hex(t, o.iova);
		table_number(t, o.pd);
		table_text(t, o.access);
	}
}

static const struct column block_columns[] = {
	{"LKEY", "lkey", true},
	{"BLOCK", "block", true},
	{"DMA", "dma", true},
	{"LENGTH", "length", true},
	{"PHYSICAL", "pa", true},
};

static void list_blocks_of(struct olio_machine *m, uint32_t lkey, struct table *t)
{
	struct olio_block_info o = {.size = sizeof(o)};
	uint64_t pos = 0;

	while (olio_next_mr_block(m, lkey, &pos, &o) == 1) {
		table_row(t);
		table_hex(t, lkey);
		table_number(t, pos - 1);
		table_hex(t, o.dma);
		table_number(t, o.len);
		table_hex(t, o.pa);
	}
}

static void list_blocks(struct olio_machine *m, struct table *t)
{
	struct olio_mr_info o = {.size = sizeof(o)};
	uint32_t pos = 0;

	while (olio_next_mr(m, &pos, &o) == 1)
		list_blocks_of(m, o.lkey, t);
}

static const struct column map_columns[] = {
	{"DEVICE", "device", false},
	{"PID", "pid", true},
	{"IOVA", "iova", true},
	{"LENGTH", "length", true},
	{"ACCESS", "access", false},
	{"LEAF", "leaf", true},
	{"PHYSICAL", "pa", true},
	{"TARGET", "target", false},
};

static void list_maps(struct olio_machine *m, struct table *t)
{
	struct olio_mapping_info o = {.size = sizeof(o)};
	uint64_t pos = 0;

	while (olio_next_mapping(m, &pos, &o) == 1) {
		table_row(t);
		table_text(t, o.device);
		table_number(t, (uint64_t)o.pid);
		table_hex(t, o.iova);
		table_number(t, o.len);
		table_text(t, o.access);
		table_number(t, o.leaf);
		table_hex(t, o.pa);
		table_text(t, o.target);
	}
}

static const struct column fault_columns[] = {
	{"SEQ", "seq", true},
	{"DEVICE", "device", false},
	{"PID", "pid", true},
	{"ACCESS", "access", false},
	{"DMA", "dma", true},
	{"LENGTH", "length", true},
	{"MAPPED-AT", "mapped_at", false},
	{"UNMAPPED-AT", "unmapped_at", false},
	{"WHY", "text", false},
};

static void list_faults(struct olio_machine *m, struct table *t)
{
	struct olio_fault_info o = {.size = sizeof(o)};
	uint64_t seq = 0;

	while (olio_next_fault(m, &seq, &o) == 1) {
		table_row(t);
		table_number(t, o.seq);
		table_text(t, o.device);
		table_number(t, (uint64_t)o.pid);
		table_text(t, o.write ? "write" : "read");
		table_hex(t, o.dma.v);
		table_number(t, o.len);
		table_text(t, o.mapped_at);
		table_text(t, o.unmapped_at);
		table_text(t, o.text);
	}
}

static const struct column misuse_columns[] = {
	{"SEQ", "seq", true},
	{"CLASS", "class", true},
	{"NAME", "name", false},
	{"DEVICE", "device", false},
	{"PID", "pid", true},
	{"HERE", "here", false},
	{"MADE-AT", "there", false},
	{"WHAT", "text", false},
};

static void list_misuse(struct olio_machine *m, struct table *t)
{
	struct olio_misuse_info o = {.size = sizeof(o)};
	uint64_t seq = 0;

	while (olio_next_misuse(m, &seq, &o) == 1) {
		table_row(t);
		table_number(t, o.seq);
		table_number(t, o.class_);
		table_text(t, o.name);
		table_text(t, o.device);
		table_number(t, (uint64_t)o.pid);
		table_text(t, o.here);
		table_text(t, o.there);
		table_text(t, o.text);
	}
}

static const struct kind {
	const char *name;
	const char *title;
	const struct column *columns;
	size_t nr_columns;
	void (*list)(struct olio_machine *m, struct table *t);
} kinds[] = {
	{"machine", "Machine", COLUMNS(machine_columns), list_machine},
	{"processes", "Processes", COLUMNS(process_columns), list_processes},
	{"devices", "Devices", COLUMNS(device_columns), list_devices},
	{"qps", "Queue pairs", COLUMNS(qp_columns), list_qps},
	{"cqs", "Completion queues", COLUMNS(cq_columns), list_cqs},
	{"mrs", "Memory regions", COLUMNS(mr_columns), list_mrs},
	{"maps", "Mappings", COLUMNS(map_columns), list_maps},
	{"faults", "Faults", COLUMNS(fault_columns), list_faults},
	{"misuse", "Misuse of the mapping calls", COLUMNS(misuse_columns), list_misuse},
	/* The last: only by -v, with the regions. */
	{"blocks", "Page lists of memory regions", COLUMNS(block_columns), list_blocks},
};

#define NR_KINDS (sizeof(kinds) / sizeof(kinds[0]))
#define KIND_MRS (1u << 5)
#define KIND_BLOCKS (1u << (NR_KINDS - 1))
#define ALL_KINDS (KIND_BLOCKS - 1)

static int print_kind(struct olio_machine *m, const struct kind *k, bool json, bool heading)
{
	struct table *t = table_new(k->name, k->columns, k->nr_columns, json);

	if (!t) {
		cli_error("no memory for a table");
		return CLI_FAILED;
	}
	k->list(m, t);
	if (heading && !json)
		printf("%s (%zu)\n", k->title, table_rows(t));
	return table_print(t) ? CLI_FAILED : CLI_OK;
}

static int print_kinds(struct olio_machine *m, unsigned int wanted, bool json)
{
	bool several = wanted & (wanted - 1);
	bool first = true;
	int ret = CLI_OK;

	if (json)
		puts("{");
	for (size_t i = 0; i < NR_KINDS && ret == CLI_OK; i++) {
		if (!(wanted & (1u << i)))
			continue;
		if (!first)
			puts(json ? "," : "");
		ret = print_kind(m, &kinds[i], json, several);
		first = false;
	}
	if (json)
		puts("\n}");
	return ret;
}

/* The kind that @name is, or is the beginning of. Return: its bit, 0 after a message. */
static unsigned int find_kind(const char *name)
{
	unsigned int found = 0;

	for (size_t i = 0; i < NR_KINDS - 1; i++) {
		if (strcmp(kinds[i].name, name) == 0)
			return 1u << i;
		if (*name && strncmp(kinds[i].name, name, strlen(name)) == 0)
			found |= 1u << i;
	}
	if (!found)
		cli_error("'olio ls' knows no '%s'; see 'olio help ls'", name);
	else if (found & (found - 1))
		cli_error("'olio ls': '%s' could be several kinds; see 'olio help ls'", name);
	return found & (found - 1) ? 0 : found;
}

/* Return: the kinds named, all if none is, 0 after a message. */
static unsigned int parse_kinds(char **names, bool verbose)
{
	unsigned int wanted = *names ? 0 : ALL_KINDS;

	for (; *names; names++) {
		unsigned int kind = find_kind(*names);

		if (!kind)
			return 0;
		wanted |= kind;
	}
	return verbose && wanted & KIND_MRS ? wanted | KIND_BLOCKS : wanted;
}

static int run(const struct command *cmd, int argc, char **argv)
{
	static const struct option longs[] = {
		{"machine", required_argument, NULL, 'm'},
		{"json", no_argument, NULL, 'j'},
		{"verbose", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	bool json = false, verbose = false;
	const char *name = NULL;
	struct olio_machine *m;
	unsigned int wanted;
	int c, ret;

	while ((c = cli_getopt(cmd, argc, argv, ":m:jvh", longs)) != -1) {
		if (c == 'm')
			name = optarg;
		else if (c == 'j')
			json = true;
		else if (c == 'v')
			verbose = true;
		else if (c == 'h')
			return fputs(cmd->help, stdout), CLI_OK;
		else
			return CLI_USAGE;
	}
	wanted = parse_kinds(argv + optind, verbose);
	if (!wanted)
		return CLI_USAGE;
	ret = cli_machine_open(name, false, NULL, &m);
	if (ret)
		return ret;
	ret = print_kinds(m, wanted, json);
	olio_machine_close(m);
	return ret;
}

const struct command cmd_ls = {
	.name = "ls",
	.summary = "show what is on a machine",
	.help = "usage: olio ls [-m MACHINE] [-v] [--json] [KIND …]\n\n"
		"Show a machine and what lives on it. Without a KIND all are shown; the beginning of\n"
		"its name is enough. Dead processes are cleared away first.\n\n"
		"  machine, processes, devices   the machine, who is on it, its RDMA devices\n"
		"  qps, cqs, mrs                 queue pairs, completion queues, memory regions\n"
		"  maps                          what devices have mapped: IOVAs, and what is there\n"
		"  faults                        requests of devices that hit nothing\n"
		"  misuse                        what the checker of the mapping calls found\n\n"
		"  -m, --machine MACHINE  its name or directory (default: $OLIO_MACHINE or \"default\")\n"
		"  -v, --verbose          with mrs: the page list of each region as its device has it\n"
		"      --json             one JSON object with an array a kind\n",
	.run = run,
};
