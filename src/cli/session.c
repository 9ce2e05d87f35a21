// SPDX-License-Identifier: MIT
/*
 * What `olio run` and `olio pair` do around the programs: check what can be
 * checked before anything is started, hold the machine open so that its records
 * outlive the programs, set the environment that the preload library reads, and
 * tell in the end what failed.
 *
 * LD_PRELOAD     olio's library first, what was there behind it
 * OLIO_MACHINE   the machine's directory, so that children in other working
 *                directories and with another environment find the same one
 * OLIO_DEVICE    only if --device was given: names with commas between, or "all"
 * OLIO_RUN       names this run in the records
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

#define PRELOAD	      "libolio-preload.so"
#define RECORDS_SHOWN 20

int launch_parse(const struct command *cmd, int argc, char **argv, struct launch *l)
{
	static const struct option longs[] = {
		{"machine", required_argument, NULL, 'm'},
		{"machine-type", required_argument, NULL, 't'},
		{"device", required_argument, NULL, 'd'},
		{"report", required_argument, NULL, 'r'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int c;

	while ((c = cli_getopt(cmd, argc, argv, "+:m:h", longs)) != -1) {
		switch (c) {
		case 'm':
			l->machine = optarg;
			break;
		case 't':
			l->type = optarg;
			break;
		case 'd':
			l->device = optarg;
			break;
		case 'r':
			l->report = optarg;
			break;
		case 'h':
			fputs(cmd->help, stdout);
			return LAUNCH_OVER(CLI_OK);
		default:
			return LAUNCH_OVER(CLI_USAGE);
		}
	}
	if (optind == argc) {
		cli_error("no program to run; see 'olio help %s'", cmd->name);
		return LAUNCH_OVER(CLI_USAGE);
	}
	l->argv = argv + optind;
	return 0;
}

static bool in_tool_dir(const char *relative, char *out, size_t size)
{
	char exe[PATH_MAX], path[2 * PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	char *slash, *real;

	if (n <= 0)
		return false;
	exe[n] = '\0';
	slash = strrchr(exe, '/');
	if (!slash)
		return false;
	*slash = '\0';
	snprintf(path, sizeof(path), "%s/%s", exe, relative);
	real = realpath(path, NULL);
	if (!real || strlen(real) >= size) {
		free(real);
		return false;
	}
	strcpy(out, real);
	free(real);
	return true;
}

static int find_preload(char *out, size_t size)
{
	const char *given = getenv("OLIO_PRELOAD");

	if (given && *given)
		snprintf(out, size, "%s", given);
	else if (!in_tool_dir("../preload/" PRELOAD, out, size) &&
		 !in_tool_dir(OLIO_LIBDIR_FROM_BIN "/olio/" PRELOAD, out, size))
		snprintf(out, size, "%s", OLIO_LIBDIR "/olio/" PRELOAD);
	if (access(out, R_OK)) {
		cli_error("the preload library is missing: %s", out);
		return CLI_FAILED;
	}
	if (strpbrk(out, " :")) {
		cli_error("the preload library's path must have no space or colon: %s", out);
		return CLI_FAILED;
	}
	return 0;
}

static int set_preload(void)
{
	const char *old = getenv("LD_PRELOAD");
	char path[PATH_MAX];
	char *value;
	int ret = find_preload(path, sizeof(path));

	if (ret)
		return ret;
	if (!old || !*old)
		return setenv("LD_PRELOAD", path, 1) ? CLI_FAILED : 0;
	if (strncmp(old, path, strlen(path)) == 0)
		return 0; /* a run inside a run */
	if (asprintf(&value, "%s:%s", path, old) < 0)
		return CLI_FAILED;
	ret = setenv("LD_PRELOAD", value, 1) ? CLI_FAILED : 0;
	free(value);
	return ret;
}

static int set_environment(const struct session *s, const struct launch *l)
{
	int ret = set_preload();

	if (ret)
		return ret;
	if (setenv("OLIO_MACHINE", olio_machine_dir(s->machine), 1) ||
	    setenv("OLIO_RUN", s->run, 1) || (l->device && setenv("OLIO_DEVICE", l->device, 1))) {
		cli_error("no memory for the environment");
		return CLI_FAILED;
	}
	return 0;
}

static bool has_device(struct olio_machine *m, const char *name, size_t len)
{
	struct olio_device_info dev = {.size = sizeof(dev)};
	uint32_t pos = 0;

	while (olio_next_device(m, &pos, &dev) == 1) {
		if (strlen(dev.name) == len && strncmp(dev.name, name, len) == 0)
			return true;
	}
	return false;
}

static int no_device(struct olio_machine *m, const char *name, size_t len)
{
	struct olio_device_info dev = {.size = sizeof(dev)};
	char known[256] = "";
	uint32_t pos = 0;
	size_t at = 0;

	while (olio_next_device(m, &pos, &dev) == 1 && at < sizeof(known))
		at += (size_t)snprintf(known + at, sizeof(known) - at, "%s%s", at ? ", " : "",
				       dev.name);
	cli_error("no device '%.*s' on this machine; it has: %s", (int)(len < 64 ? len : 64), name,
		  *known ? known : "none");
	return CLI_USAGE;
}

/* @list: names with commas between, or "all". */
static int check_devices(struct olio_machine *m, const char *list)
{
	if (strcmp(list, "all") == 0)
		return 0;
	for (;; list++) {
		size_t len = strcspn(list, ",");

		if (!has_device(m, list, len))
			return no_device(m, list, len);
		list += len;
		if (!*list)
			return 0;
	}
}

/* Written at the end, refused at the start. */
static int check_report(const char *path)
{
	FILE *f = fopen(path, "ae");

	if (!f) {
		cli_error("cannot write the report %s: %s", path, strerror(errno));
		return CLI_FAILED;
	}
	fclose(f);
	return 0;
}

static int check_before(const struct launch *l)
{
	int ret = check_program(l->argv[0]);

	if (ret == 0)
		ret = check_rdma_core();
	if (ret == 0 && l->report)
		ret = check_report(l->report);
	return ret;
}

int session_open(struct session *s, const struct launch *l)
{
	struct timespec now;
	int ret = check_before(l);

	if (ret)
		return ret;
	s->report = l->report;
	s->sigfd = child_signals();
	if (s->sigfd < 0) {
		cli_error("cannot take signals: %s", strerror(-s->sigfd));
		return CLI_FAILED;
	}
	ret = cli_machine_open(l->machine, true, l->type, &s->machine);
	if (ret)
		return ret;
	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(s->run, sizeof(s->run), "%x.%x.%x", (unsigned int)getpid(),
		 (unsigned int)now.tv_sec, (unsigned int)now.tv_nsec >> 14);
	records_init(&s->records, s->machine, s->run);
	if (l->device)
		ret = check_devices(s->machine, l->device);
	if (ret == 0)
		ret = set_environment(s, l);
	if (ret)
		olio_machine_close(s->machine);
	return ret;
}

void session_poll(struct session *s, bool print)
{
	records_collect(&s->records);
	if (!print)
		return;
	if (s->records.nr == 0)
		cli_error("nothing failed so far");
	records_print(&s->records, stderr, RECORDS_SHOWN);
}

int session_close(struct session *s, int status)
{
	int ret = 0;

	records_collect(&s->records);
	fflush(stdout);
	records_print(&s->records, stderr, RECORDS_SHOWN);
	if (s->report)
		ret = records_save(&s->records, s->report);
	if (ret)
		cli_error("cannot write the report %s: %s", s->report, strerror(-ret));
	records_fini(&s->records);
	olio_machine_close(s->machine);
	close(s->sigfd);
	return ret && status == 0 ? CLI_FAILED : status;
}
