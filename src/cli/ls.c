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
};

#define NR_KINDS (sizeof(kinds) / sizeof(kinds[0]))
#define ALL_KINDS ((1u << NR_KINDS) - 1)

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

/* Return: the kinds named, all if none is, 0 after a message. */
static unsigned int parse_kinds(char **names)
{
	unsigned int wanted = 0;

	for (; *names; names++) {
		size_t i;

		for (i = 0; i < NR_KINDS && strcmp(kinds[i].name, *names) != 0; i++)
			;
		if (i == NR_KINDS) {
			cli_error("'olio ls' knows no '%s'; see 'olio help ls'", *names);
			return 0;
		}
		wanted |= 1u << i;
	}
	return wanted ? wanted : ALL_KINDS;
}

static int run(const struct command *cmd, int argc, char **argv)
{
	static const struct option longs[] = {
		{"machine", required_argument, NULL, 'm'},
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	const char *name = NULL;
	struct olio_machine *m;
	unsigned int wanted;
	bool json = false;
	int c, ret;

	while ((c = cli_getopt(cmd, argc, argv, ":m:jh", longs)) != -1) {
		if (c == 'm')
			name = optarg;
		else if (c == 'j')
			json = true;
		else if (c == 'h')
			return fputs(cmd->help, stdout), CLI_OK;
		else
			return CLI_USAGE;
	}
	wanted = parse_kinds(argv + optind);
	if (!wanted)
		return CLI_USAGE;
	ret = cli_machine_open(name, false, &m);
	if (ret)
		return ret;
	ret = print_kinds(m, wanted, json);
	olio_machine_close(m);
	return ret;
}

const struct command cmd_ls = {
	.name = "ls",
	.summary = "show what is on a machine",
	.help = "usage: olio ls [-m MACHINE] [--json] [KIND …]\n\n"
		"Show a machine and what lives on it. KIND is one of machine, processes, devices,\n"
		"qps, cqs, mrs; without one all are shown. Dead processes are cleared away first.\n\n"
		"  -m, --machine MACHINE  its name or directory (default: $OLIO_MACHINE or \"default\")\n"
		"      --json             one JSON object with an array a kind\n",
	.run = run,
};
