// SPDX-License-Identifier: MIT
/*
 * olio: find the command and run it.
 *
 * `olio COMMAND …`, `olio help [COMMAND]`, `olio COMMAND --help`. The commands
 * are in the list below, each in a file of its own.
 */
#include <locale.h>
#include <string.h>

#include "cli.h"

static const struct command *const commands[] = {
	&cmd_run, &cmd_pair, &cmd_ls, &cmd_explain, &cmd_topo, &cmd_map, &cmd_version, NULL,
};

static void usage(FILE *f)
{
	fputs("usage: olio COMMAND [OPTIONS] …\n\n"
	      "Run unmodified RDMA programs on software devices: no hardware, no kernel module,\n"
	      "no root.\n\n",
	      f);
	for (const struct command *const *c = commands; *c; c++)
		fprintf(f, "  olio %-9s %s\n", (*c)->name, (*c)->summary);
	fputs("  olio help      explain a command: olio help run\n\n"
	      "First try:\n"
	      "  olio run -- ibv_devinfo\n"
	      "  olio pair -- ib_write_bw\n"
	      "  olio topo\n",
	      f);
}

static const struct command *find(const char *name)
{
	for (const struct command *const *c = commands; *c; c++) {
		if (strcmp((*c)->name, name) == 0)
			return *c;
	}
	return NULL;
}

static int unknown(const char *name)
{
	cli_error("no command '%s'; 'olio --help' lists the commands", name);
	return CLI_USAGE;
}

static int help(const char *name)
{
	const struct command *cmd;

	if (!name) {
		usage(stdout);
		return CLI_OK;
	}
	cmd = find(name);
	if (!cmd)
		return unknown(name);
	fputs(cmd->help, stdout);
	return CLI_OK;
}

static bool is(const char *arg, const char *a, const char *b)
{
	return strcmp(arg, a) == 0 || strcmp(arg, b) == 0;
}

int main(int argc, char **argv)
{
	const struct command *cmd;

	/* How trees are drawn. */
	setlocale(LC_CTYPE, "");
	if (argc < 2) {
		usage(stderr);
		return CLI_USAGE;
	}
	if (is(argv[1], "--help", "-h"))
		return help(NULL);
	if (strcmp(argv[1], "help") == 0)
		return help(argv[2]);
	if (is(argv[1], "--version", "-V"))
		return cmd_version.run(&cmd_version, 1, argv + 1);
	if (argv[1][0] == '-') {
		cli_error("unknown option '%s'; 'olio --help' lists the commands", argv[1]);
		return CLI_USAGE;
	}
	cmd = find(argv[1]);
	if (!cmd)
		return unknown(argv[1]);
	return cmd->run(cmd, argc - 1, argv + 1);
}
