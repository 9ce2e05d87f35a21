// SPDX-License-Identifier: MIT
/*
 * olio version: the tool's and the library's version.
 *
 * They come from one build, but the library is found at run time: when the two
 * differ, both are said, because that is what explains the odd behaviour.
 */
#include <string.h>

#include "cli.h"

static int run(const struct command *cmd, int argc, char **argv)
{
	static const struct option longs[] = {{"help", no_argument, NULL, 'h'}, {0}};
	int c = cli_getopt(cmd, argc, argv, "+:h", longs);

	if (c == 'h') {
		fputs(cmd->help, stdout);
		return CLI_OK;
	}
	if (c != -1)
		return CLI_USAGE;
	if (strcmp(OLIO_VERSION, olio_version()) == 0)
		printf("olio %s\n", OLIO_VERSION);
	else
		printf("olio %s, libolio %s\n", OLIO_VERSION, olio_version());
	return CLI_OK;
}

const struct command cmd_version = {
	.name = "version",
	.summary = "print the version",
	.help = "usage: olio version\n\nPrint the version of the tool, and of libolio if it differs.\n",
	.run = run,
};
