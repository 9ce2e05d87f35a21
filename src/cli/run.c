// SPDX-License-Identifier: MIT
/*
 * olio run: one program on olio's devices.
 *
 * The program runs in the foreground group with this process's terminal. A
 * signal that the terminal sends reaches both; one that somebody sends to this
 * process alone is passed on. Then this process waits: the program decides
 * whether it ends.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli.h"

#define COLLECT_MS 1000

static void take_signals(struct session *s, const struct child *c)
{
	struct signalfd_siginfo si;

	while (read(s->sigfd, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
		if (si.ssi_signo == SIGUSR1)
			session_poll(s, true);
		else if (si.ssi_code != SI_KERNEL)
			child_kill(c, (int)si.ssi_signo);
	}
}

static void wait_for(struct session *s, struct child *c)
{
	while (!c->ended) {
		struct pollfd fds[] = {
			{.fd = s->sigfd, .events = POLLIN},
			{.fd = c->pidfd, .events = POLLIN},
		};

		if (poll(fds, 2, COLLECT_MS) < 0 && errno != EINTR)
			break;
		take_signals(s, c);
		session_poll(s, false);
		if (fds[1].revents)
			child_reap(c);
	}
}

static int run(const struct command *cmd, int argc, char **argv)
{
	struct child child = {0};
	struct session s = {0};
	struct launch l = {0};
	int ret = launch_parse(cmd, argc, argv, &l);

	if (ret)
		return LAUNCH_STATUS(ret);
	ret = session_open(&s, &l);
	if (ret)
		return ret;
	ret = child_start(&child, l.argv, -1, -1);
	if (ret) {
		cli_error("cannot run %s: %s", l.argv[0], strerror(-ret));
		return session_close(&s, ret == -ENOENT ? CLI_NOT_FOUND : CLI_NOT_RUNNABLE);
	}
	wait_for(&s, &child);
	return session_close(&s, child.status);
}

const struct command cmd_run = {
	.name = "run",
	.summary = "run a program on software RDMA devices",
	.help = "usage: olio run [-m MACHINE] [--machine-type TYPE] [--device NAME[,NAME]|all]\n"
		"                [--report FILE] [--] PROGRAM [ARGS]\n\n"
		"Run PROGRAM, unmodified, on olio's devices. Programs that it starts use them too.\n"
		"When it ends, what failed is explained on stderr; SIGUSR1 to olio asks for that at\n"
		"once. The exit status is PROGRAM's, 128 + N if signal N killed it, 127 if there is\n"
		"no such program, 126 if it cannot be run, 2 for a wrong command line.\n\n"
		"  -m, --machine MACHINE  the machine, made if there is none: a name, or a directory\n"
		"                         (default: $OLIO_MACHINE or \"default\"); programs on one\n"
		"                         machine reach each other\n"
		"      --machine-type TYPE\n"
		"                         what to make, as 'olio topo --types' lists them, or a file\n"
		"                         that ends in .yaml (default: $OLIO_MACHINE_TYPE or \"pc\")\n"
		"      --device NAMES     show PROGRAM these devices: names with commas between, or\n"
		"                         all (default: rxe0)\n"
		"      --report FILE      write everything that failed to FILE, in full\n\n"
		"PROGRAM must be dynamically linked and neither setuid nor setgid.\n",
	.run = run,
};
