// SPDX-License-Identifier: MIT
/*
 * rdma: how fast verbs are between two processes of one host.
 *
 * Absolute times drift with the host's mood, so every figure stands beside its
 * limit, measured in the same run and in the same placement of the two cores.
 * A sample counts if the spin probe says the same placement before and after it,
 * and neither process lost its CPU to another one meanwhile.
 */
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

/* Between near (about 55 ns) and far (175 and more); above the last the peer did not run. */
#define FAR_NS	110.0
#define LOST_NS 1000.0
/* Attempts at a sample that nothing disturbs. */
#define TRIES 6

static struct figure figures[] = {
	{"spin", "spin ping-pong, one way", "ns", raw_spin},
	{"call", "empty function call", "ns", raw_call},
	{"null", "raw write() to /dev/null", "ns", raw_null_write},
	{"foreign", "write() to /dev/null by name", "ns", hooked_null_write, "null"},
	{"doorbell", "doorbell, nothing queued", "ns", rdma_doorbell, "call", .goal_abs = 60},
	{"vm8", "process_vm_writev 8 B", "ns", raw_vm_small},
	{"vm8_pong", "the same, one way", "ns", raw_vm_pong, "vm8"},
	{"write8", "WRITE 8 B, one way", "ns", rdma_write_small, "vm8", .goal = 1.5},
	{"send8", "SEND 8 B, one way", "ns", rdma_send_small, "vm8"},
	{"write8_rate", "WRITE 8 B, lists of 64", "ns", rdma_write_rate, "vm8"},
	{"send8_rate", "SEND 8 B, lists of 64", "ns", rdma_send_rate, "vm8"},
	{"vm4k", "process_vm_writev 4 KiB", "ns", raw_vm_page},
	{"write4k", "WRITE 4 KiB, one way", "ns", rdma_write_page, "vm4k"},
	{"memcpy1m", "memcpy 1 MiB to shared", "GB/s", raw_memcpy, .more = true},
	{"vm1m", "process_vm_writev 1 MiB", "GB/s", raw_vm_big, "memcpy1m", .more = true},
	{"write1m", "WRITE 1 MiB", "GB/s", rdma_write_big, "vm1m", .more = true, .goal = 0.9},
	{"populate", "fresh pages, a MiB", "us", raw_populate},
	{"reg_fresh", "reg_mr of fresh pages, a MiB", "us", rdma_reg_fresh, "populate",
	 .goal = 1.2},
	{"reg", "reg_mr of used pages, a MiB", "us", rdma_reg_used, .goal_abs = 100},
	{"idle", "CPU time of both, idle", "ms", NULL, .goal_abs = 1},
};

#define FIGURES ((int)(sizeof(figures) / sizeof(figures[0])))

/* ---- measuring ---- */

static void keep(struct figure *f, enum placement p, double v)
{
	if (f->n[p] < MAX_ROUNDS)
		f->value[p][f->n[p]++] = v;
}

static bool same_place(double before, double after)
{
	return before < LOST_NS && after < LOST_NS && (before < FAR_NS) == (after < FAR_NS);
}

/*
 * One sample that nothing disturbed, or none. @place: the probe's value before;
 * becomes the one after.
 */
static bool sample(struct side *s, struct figure *f, double *place)
{
	for (int try = 0; try < TRIES; try++) {
		uint64_t switches = sides_preempted(s);
		double before = *place, v = f->measure(s);
		bool alone = sides_preempted(s) == switches;

		*place = probe(s);
		if (!alone || !same_place(before, *place))
			continue;
		keep(f, before < FAR_NS ? NEAR : FAR, v);
		return true;
	}
	return false;
}

static bool wanted(const struct options *o, const struct figure *f)
{
	size_t len = strlen(f->key);

	if (!o->only)
		return true;
	for (const char *p = o->only; p; p = strchr(p, ','), p += p != NULL)
		if (!strncmp(p, f->key, len) && (p[len] == ',' || !p[len]))
			return true;
	return false;
}

static int run_round(struct side *s, const struct options *o)
{
	double place = probe(s);
	int dropped = 0;

	for (int i = 0; i < FIGURES; i++) {
		if (figures[i].measure && wanted(o, figures + i) && !sample(s, figures + i, &place))
			dropped++;
	}
	return dropped;
}

/* Both sides are connected, nothing is posted: nobody may use the CPU. */
static void run_idle(struct side *s, uint32_t ms)
{
	struct figure *f = figures + FIGURES - 1;
	enum placement p = probe(s) < FAR_NS ? NEAR : FAR;
	double here;

	job_begin(s, JOB_IDLE, ms, 0);
	here = idle_ms(ms);
	keep(f, p, here + job_end(s));
}

static int measure(struct side *s, const struct options *o)
{
	int dropped = 0;

	run_round(s, o);
	for (int i = 0; i < FIGURES; i++)
		memset(figures[i].n, 0, sizeof(figures[i].n));
	for (int i = 0; i < o->rounds; i++)
		dropped += run_round(s, o);
	if (wanted(o, figures + FIGURES - 1))
		run_idle(s, o->quick ? 500 : 2000);
	return dropped;
}

/* ---- the command line ---- */

static const char help[] =
	"usage: rdma [--quick] [--rounds N] [--only KEYS] [--cpus A,B | --no-bind] [--json]\n"
	"            [--plot FILE.svg]\n\n"
	"Measure verbs between two processes of this host on the first RDMA device, each figure\n"
	"beside its limit from the same run. near, far: how the two cores lay to each other.\n\n"
	"      --quick      few rounds\n"
	"      --rounds N   samples of each figure, 1 to 200 (default 25)\n"
	"      --only KEYS  these figures only: names as in --json, with commas between\n"
	"      --cpus A,B   bind the two processes to these CPUs (default: the first two allowed)\n"
	"      --no-bind    let the scheduler place them\n"
	"      --json       print JSON instead of the table\n"
	"      --plot FILE  draw the ratios as SVG\n"
	"  -h, --help       this text\n\n"
	"The exit status is 0 when everything was measured, whether or not goals are met.\n";

static _Noreturn void usage(void)
{
	fputs("rdma: wrong command line, see --help\n", stderr);
	exit(2);
}

static void parse_cpus(struct options *o, const char *arg)
{
	char end;

	if (sscanf(arg, "%d,%d%c", &o->cpu[0], &o->cpu[1], &end) != 2 || o->cpu[0] < 0 ||
	    o->cpu[1] < 0 || o->cpu[0] >= CPU_SETSIZE || o->cpu[1] >= CPU_SETSIZE)
		usage();
}

static void parse_rounds(struct options *o, const char *arg)
{
	char *end;
	long n = strtol(arg, &end, 10);

	if (*end || n < 1 || n > MAX_ROUNDS)
		usage();
	o->rounds = (int)n;
}

static void parse(struct options *o, int argc, char **argv)
{
	enum { QUICK = 256, ROUNDS, ONLY, CPUS, NO_BIND, JSON, PLOT };
	static const struct option longs[] = {
		{"quick", no_argument, NULL, QUICK},
		{"rounds", required_argument, NULL, ROUNDS},
		{"cpus", required_argument, NULL, CPUS},
		{"no-bind", no_argument, NULL, NO_BIND},
		{"json", no_argument, NULL, JSON},
		{"plot", required_argument, NULL, PLOT},
		{"only", required_argument, NULL, ONLY},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (c) {
		case QUICK:
			o->quick = true;
			o->rounds = 5;
			break;
		case ROUNDS:
			parse_rounds(o, optarg);
			break;
		case ONLY:
			o->only = optarg;
			break;
		case CPUS:
			parse_cpus(o, optarg);
			break;
		case NO_BIND:
			o->bind = false;
			break;
		case JSON:
			o->json = true;
			break;
		case PLOT:
			o->plot = optarg;
			break;
		case 'h':
			fputs(help, stdout);
			exit(0);
		default:
			usage();
		}
	}
	if (optind < argc)
		usage();
}

/* The first two CPUs that we may use. */
static void choose_cpus(struct options *o)
{
	cpu_set_t set;
	int n = 0;

	if (o->cpu[0] >= 0)
		return;
	if (sched_getaffinity(0, sizeof(set), &set))
		die("cannot ask for the CPUs");
	for (int i = 0; i < CPU_SETSIZE && n < 2; i++)
		if (CPU_ISSET((size_t)i, &set))
			o->cpu[n++] = i;
	if (n < 2) {
		fputs("rdma: this needs two CPUs\n", stderr);
		exit(77);
	}
}

int main(int argc, char **argv)
{
	struct options o = {.bind = true, .cpu = {-1, -1}, .rounds = 25};
	struct line lines[PLACEMENTS * FIGURES];
	struct side s = {0};
	int dropped, n, err;

	parse(&o, argc, argv);
	choose_cpus(&o);
	sides_start(&s, &o);
	dropped = measure(&s, &o);
	signal(SIGCHLD, SIG_DFL);
	close(s.sock);
	n = report_lines(figures, FIGURES, lines, PLACEMENTS * FIGURES);
	if (o.json)
		report_json(lines, n, dropped);
	else
		report_table(lines, n, dropped);
	err = o.plot ? plot_svg(o.plot, lines, n) : 0;
	if (err) {
		errno = -err;
		die(o.plot);
	}
	return 0;
}
