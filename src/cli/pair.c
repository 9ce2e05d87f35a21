// SPDX-License-Identifier: MIT
/*
 * olio pair: a program as its own server and client.
 *
 * The server is started first. Once a process of its tree listens on a TCP port
 * the client is started, the same command with the server's address behind it.
 * Nothing waits a fixed time: while the server starts it is looked at every few
 * milliseconds, and its end is noticed at once.
 *
 * Ends: when both have ended. When one fails, or the client is done, the other
 * gets GRACE_MS to end by itself, then SIGTERM. After Ctrl-C (or that SIGTERM)
 * whatever is left of either tree is killed KILL_MS later. As the subreaper of
 * the tree this process remains the ancestor of all that was started.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

#define LOOK_MS 10
#define COLLECT_MS 1000
#define PATIENCE_MS 10000
#define GRACE_MS 10000
#define KILL_MS 2000
#define MAX_TREE 256
#define SERVER_ADDRESS "127.0.0.1"

enum { SERVER, CLIENT, SIDES };

struct pair {
	struct session s;
	char **argv;
	struct child child[SIDES];
	struct stream stream[2 * SIDES]; /* out, err of the server; of the client */
	uint64_t now;                    /* ms */
	uint64_t look_at;                /* when to look for a listener again */
	uint64_t say_at;                 /* when to say that the wait is long, 0: said */
	uint64_t term_at;                /* when to end what is left, 0: not yet */
	uint64_t kill_at;                /* when to kill what is left, 0: not yet */
	int signal;                      /* that ended the pair */
	bool pardoned[SIDES];            /* ended by us though nothing failed */
	bool failed;                     /* the client could not be started */
};

static const char *const side_name[SIDES] = {"server", "client"};

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static const char *color(FILE *to, int side)
{
	static const char *const colors[SIDES] = {"\033[36m", "\033[33m"};

	return isatty(fileno(to)) && !getenv("NO_COLOR") ? colors[side] : "";
}

static int start(struct pair *p, int side, char *const argv[])
{
	struct stream *st = &p->stream[2 * side];
	int out[2], err[2];
	int ret;

	if (pipe2(out, O_CLOEXEC))
		return -errno;
	if (pipe2(err, O_CLOEXEC)) {
		ret = -errno;
		close(out[0]);
		close(out[1]);
		return ret;
	}
	ret = child_start(&p->child[side], argv, out[1], err[1]);
	close(out[1]);
	close(err[1]);
	stream_init(&st[0], out[0], stdout, side_name[side], color(stdout, side));
	stream_init(&st[1], err[0], stderr, side_name[side], color(stderr, side));
	return ret;
}

static int start_client(struct pair *p)
{
	size_t n = 0;
	char **argv;
	int ret;

	while (p->argv[n])
		n++;
	argv = calloc(n + 2, sizeof(*argv));
	if (!argv)
		return -ENOMEM;
	memcpy(argv, p->argv, n * sizeof(*argv));
	argv[n] = (char *)SERVER_ADDRESS;
	ret = start(p, CLIENT, argv);
	free(argv);
	return ret;
}

/* Start the client once the server listens. */
static void look(struct pair *p)
{
	pid_t tree[MAX_TREE];
	int ret;

	if (p->child[CLIENT].pid || p->failed || p->signal || p->child[SERVER].ended ||
	    p->now < p->look_at)
		return;
	p->look_at = p->now + LOOK_MS;
	if (!listen_any(tree, child_descendants(tree, MAX_TREE))) {
		if (p->say_at && p->now >= p->say_at) {
			cli_error("the server does not listen on a TCP port yet (Ctrl-C ends)");
			p->say_at = 0;
		}
		return;
	}
	ret = start_client(p);
	if (ret) {
		cli_error("cannot start the client: %s", strerror(-ret));
		p->failed = true;
		p->term_at = p->now;
	}
}

static void signal_both(struct pair *p, int sig)
{
	child_kill(&p->child[SERVER], sig);
	child_kill(&p->child[CLIENT], sig);
}

static void take_signals(struct pair *p)
{
	struct signalfd_siginfo si;

	while (read(p->s.sigfd, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
		if (si.ssi_signo == SIGUSR1) {
			session_poll(&p->s, true);
			continue;
		}
		if (si.ssi_code != SI_KERNEL)
			signal_both(p, (int)si.ssi_signo);
		p->signal = (int)si.ssi_signo;
		if (!p->kill_at)
			p->kill_at = p->now + KILL_MS;
	}
}

static void kill_tree(struct pair *p)
{
	pid_t tree[MAX_TREE];
	size_t n = child_descendants(tree, MAX_TREE);

	for (size_t i = 0; i < n; i++)
		kill(tree[i], SIGKILL);
	signal_both(p, SIGKILL);
}

static void finish_streams(struct pair *p, int side)
{
	for (int i = 0; i < 2; i++)
		stream_finish(&p->stream[2 * side + i]);
}

static void after_server(struct pair *p)
{
	const struct child *c = &p->child[SERVER];

	if (p->child[CLIENT].pid || p->signal)
		return;
	if (c->signal)
		cli_error("the server was killed by signal %d (%s) before it listened on a TCP "
			  "port", c->signal, strsignal(c->signal));
	else
		cli_error("the server ended with status %d before it listened on a TCP port",
			  c->status);
	p->failed = true;
}

/* One side has ended: give the other a while, unless it is only the server that is done first. */
static void reap(struct pair *p, int side)
{
	struct child *c = &p->child[side];

	if (!c->pid || c->ended)
		return;
	child_reap(c);
	if (!c->ended)
		return;
	finish_streams(p, side);
	if (side == SERVER)
		after_server(p);
	if ((side == CLIENT || c->status) && !p->term_at)
		p->term_at = p->now + GRACE_MS;
}

static void check_times(struct pair *p)
{
	if (p->term_at && p->now >= p->term_at && !p->kill_at) {
		int left = p->child[SERVER].ended ? CLIENT : SERVER;
		int gone = left == SERVER ? CLIENT : SERVER;

		cli_error("the %s is over; ending the %s, which still runs", side_name[gone],
			  side_name[left]);
		p->pardoned[left] = p->child[gone].ended && p->child[gone].status == 0;
		signal_both(p, SIGTERM);
		p->kill_at = p->now + KILL_MS;
	}
	if (p->kill_at && p->now >= p->kill_at) {
		kill_tree(p);
		p->kill_at = p->now + KILL_MS;
	}
}

static uint64_t next_time(const struct pair *p)
{
	uint64_t t = p->now + COLLECT_MS;

	if (!p->child[CLIENT].pid && !p->failed && !p->signal && p->look_at < t)
		t = p->look_at;
	if (p->kill_at)
		return p->kill_at < t ? p->kill_at : t;
	return p->term_at && p->term_at < t ? p->term_at : t;
}

static bool over(const struct pair *p)
{
	return p->child[SERVER].ended && (!p->child[CLIENT].pid || p->child[CLIENT].ended);
}

/* Wait for a signal, an end, output, or the next time. */
static void wait_some(struct pair *p)
{
	struct pollfd fds[1 + SIDES + 2 * SIDES];
	uint64_t until = next_time(p);
	size_t n = 0;

	fds[n++] = (struct pollfd){.fd = p->s.sigfd, .events = POLLIN};
	for (int i = 0; i < SIDES; i++)
		fds[n++] = (struct pollfd){
			.fd = p->child[i].pid && !p->child[i].ended ? p->child[i].pidfd : -1,
			.events = POLLIN,
		};
	for (int i = 0; i < 2 * SIDES; i++)
		fds[n++] = (struct pollfd){.fd = p->stream[i].fd, .events = POLLIN};
	poll(fds, n, until > p->now ? (int)(until - p->now) : 0);
	p->now = now_ms();
}

static void pair_loop(struct pair *p)
{
	while (!over(p)) {
		wait_some(p);
		take_signals(p);
		for (int i = 0; i < 2 * SIDES; i++)
			stream_pump(&p->stream[i]);
		session_poll(&p->s, false);
		reap(p, SERVER);
		reap(p, CLIENT);
		if (over(p))
			break;
		look(p);
		check_times(p);
	}
	kill_tree(p);
}

static int side_status(const struct pair *p, int side)
{
	const struct child *c = &p->child[side];

	return p->pardoned[side] && c->signal ? 0 : c->status;
}

static int worse_status(const struct pair *p)
{
	int server = side_status(p, SERVER);
	int client = side_status(p, CLIENT);
	int worse = server > client ? server : client;

	if (p->signal)
		return 128 + p->signal;
	return worse == 0 && p->failed ? CLI_FAILED : worse;
}

static int run(const struct command *cmd, int argc, char **argv)
{
	struct launch l = {0};
	struct pair p = {0};
	int ret = launch_parse(cmd, argc, argv, &l);

	if (ret)
		return LAUNCH_STATUS(ret);
	ret = session_open(&p.s, &l);
	if (ret)
		return ret;
	for (int i = 0; i < 2 * SIDES; i++)
		p.stream[i].fd = -1;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	p.argv = l.argv;
	p.now = now_ms();
	p.say_at = p.now + PATIENCE_MS;
	ret = start(&p, SERVER, l.argv);
	if (ret) {
		cli_error("cannot run %s: %s", l.argv[0], strerror(-ret));
		return session_close(&p.s, ret == -ENOENT ? CLI_NOT_FOUND : CLI_NOT_RUNNABLE);
	}
	pair_loop(&p);
	return session_close(&p.s, worse_status(&p));
}

const struct command cmd_pair = {
	.name = "pair",
	.summary = "run a program as server and as client of itself",
	.help = "usage: olio pair [-m MACHINE] [--machine-type TYPE] [--device NAME[,NAME]|all]\n"
		"                [--report FILE] [--] PROGRAM [ARGS]\n\n"
		"Start PROGRAM ARGS as the server, wait until it listens on a TCP port, start\n"
		"PROGRAM ARGS 127.0.0.1 as the client. Each line of their output says whose it is.\n"
		"The exit status is the worse of the two, 128 + N if signal N ended the pair.\n"
		"Ctrl-C ends both. When one side fails or the client is done, the other is ended\n"
		"ten seconds later if it still runs.\n\n"
		"  -m, --machine MACHINE  the machine, made if there is none: a name, or a directory\n"
		"                         (default: $OLIO_MACHINE or \"default\")\n"
		"      --machine-type TYPE\n"
		"                         what to make, as 'olio topo --types' lists them, or a file\n"
		"                         that ends in .yaml (default: $OLIO_MACHINE_TYPE or \"pc\")\n"
		"      --device NAMES     show PROGRAM these devices: names with commas between, or\n"
		"                         all (default: rxe0)\n"
		"      --report FILE      write everything that failed to FILE, in full\n\n"
		"PROGRAM must be dynamically linked and neither setuid nor setgid.\n",
	.run = run,
};
