// SPDX-License-Identifier: MIT
/*
 * olio explain: why work requests failed on a machine, all runs together.
 */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static int explain(struct olio_machine *m, bool json)
{
	struct records r;
	int ret = CLI_OK;

	records_init(&r, m, NULL);
	records_collect(&r);
	if (json)
		ret = records_print_json(&r) ? CLI_FAILED : CLI_OK;
	else if (r.nr)
		records_print(&r, stdout, 0);
	else
		puts("Nothing failed on this machine.");
	records_fini(&r);
	return ret;
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
	if (optind < argc) {
		cli_error("'olio explain' takes no argument '%s'", argv[optind]);
		return CLI_USAGE;
	}
	ret = cli_machine_open(name, false, NULL, &m);
	if (ret)
		return ret;
	ret = explain(m, json);
	olio_machine_close(m);
	return ret;
}

const struct command cmd_explain = {
	.name = "explain",
	.summary = "say why work requests failed on a machine",
	.help = "usage: olio explain [-m MACHINE] [--json]\n\n"
		"Print the newest records of a machine: each failed work request with the key, the\n"
		"range that it covers, the range that was asked for, and the processes. Records live\n"
		"as long as the machine: until its last process, `olio run` included, is gone.\n\n"
		"  -m, --machine MACHINE  its name or directory (default: $OLIO_MACHINE or \"default\")\n"
		"      --json             as a JSON object with the array \"records\"\n",
	.run = run,
};
