// SPDX-License-Identifier: MIT
/*
 * What every command says in the same way: one-line errors, option errors, and
 * a machine that cannot be opened.
 *
 * An error is put together first and written by one write(2), so that it stays
 * in one piece between the lines of the programs that share the terminal.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

void cli_error(const char *fmt, ...)
{
	char line[1024] = "olio: ";
	size_t len = strlen(line);
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line + len, sizeof(line) - len - 1, fmt, ap);
	va_end(ap);
	if (n > 0)
		len += (size_t)n < sizeof(line) - len - 1 ? (size_t)n : sizeof(line) - len - 2;
	line[len++] = '\n';
	fflush(stdout);
	if (write(STDERR_FILENO, line, len) < 0)
		return; /* nobody is left to tell */
}

int cli_getopt(const struct command *cmd, int argc, char **argv, const char *shorts,
	       const struct option *longs)
{
	int at = optind ? optind : 1;
	int c;

	opterr = 0;
	c = getopt_long(argc, argv, shorts, longs, NULL);
	if (c == ':') {
		cli_error("option '%s' of 'olio %s' needs a value", argv[at], cmd->name);
		return '?';
	}
	if (c == '?')
		cli_error("unknown option '%s'; see 'olio help %s'", argv[at], cmd->name);
	return c;
}

/* The library takes a directory only by its absolute path. Owns: the result; NULL for no name. */
static char *absolute(const char *name)
{
	char *cwd, *path = NULL;

	if (!name || *name == '/' || !strchr(name, '/'))
		return name ? strdup(name) : NULL;
	cwd = getcwd(NULL, 0);
	if (!cwd || asprintf(&path, "%s/%s", cwd, name) < 0)
		path = NULL;
	free(cwd);
	return path;
}

int cli_machine_open(const char *name, bool create, const char *type, struct olio_machine **out)
{
	char why[512] = "";
	char *path = absolute(name);
	int ret = -ENOMEM;

	if (path || !name)
		ret = create ? olio_machine_open_type(path, type, out, why, sizeof(why))
			     : olio_machine_open(path, OLIO_MACHINE_NO_CREATE, out, why,
						 sizeof(why));
	free(path);
	if (ret == 0)
		return CLI_OK;
	if (*why)
		cli_error("%s", why);
	else
		cli_error("cannot open machine '%s': %s", name ? name : "default", strerror(-ret));
	return type && (ret == -ENOENT || ret == -EINVAL) ? CLI_USAGE : CLI_FAILED;
}

int cli_machine_private(const char *type, struct olio_machine **out)
{
	char why[512] = "";
	int ret = olio_machine_create(NULL, type, out, why, sizeof(why));

	if (ret == 0)
		return CLI_OK;
	cli_error("%s", *why ? why : strerror(-ret));
	return ret == -ENOENT || ret == -EINVAL ? CLI_USAGE : CLI_FAILED;
}
