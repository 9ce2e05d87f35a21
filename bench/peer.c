// SPDX-License-Identifier: MIT
/*
 * The two processes and how they talk.
 *
 * Orders and addresses go over a socket pair, so that a peer without an order
 * sleeps and costs nothing. Where a job has two halves, the peer says through
 * shared memory that it is about to begin, and the driver spins for that: no
 * wake-up is inside a measured time.
 *
 * The probe is the shortest way that a cache line can go from one core to the
 * other and back: it tells where the host has put the two cores.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

#define PROBE_ROUNDS 1000

void die(const char *what)
{
	fprintf(stderr, "rdma: %s: %s\n", what, errno ? strerror(errno) : "failed");
	_exit(1);
}

void tell(struct side *s, const void *msg, size_t len)
{
	if (write(s->sock, msg, len) != (ssize_t)len)
		die("cannot talk to the other process");
}

void hear(struct side *s, void *msg, size_t len)
{
	for (size_t have = 0; have < len;) {
		ssize_t n = read(s->sock, (char *)msg + have, len - have);

		if (n == 0 && !s->driver)
			_exit(0);
		if (n <= 0)
			die("the other process is gone");
		have += (size_t)n;
	}
}

void job_begin(struct side *s, enum job job, uint32_t n, uint64_t len)
{
	struct order o = {.job = job, .n = n, .len = len};

	atomic_store(&s->shm->ready, 0);
	tell(s, &o, sizeof(o));
	while (!atomic_load_explicit(&s->shm->ready, memory_order_acquire))
		relax();
}

double job_end(struct side *s)
{
	double counted;

	hear(s, &counted, sizeof(counted));
	return counted;
}

/* ---- the probe ---- */

/* Return the ball whenever it is ours: even numbers are the driver's. */
static void rally(struct side *s, uint32_t n)
{
	_Atomic uint32_t *ball = &s->shm->ball;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t mine = 2 * i + !s->driver;

		while (atomic_load_explicit(ball, memory_order_acquire) != mine)
			relax();
		atomic_store_explicit(ball, mine + 1, memory_order_release);
	}
}

double probe(struct side *s)
{
	uint64_t start;
	double ns;

	atomic_store(&s->shm->ball, UINT32_MAX);
	job_begin(s, JOB_PROBE, PROBE_ROUNDS, 0);
	start = now_ns();
	atomic_store(&s->shm->ball, 0);
	rally(s, PROBE_ROUNDS);
	while (atomic_load_explicit(&s->shm->ball, memory_order_acquire) != 2 * PROBE_ROUNDS)
		relax();
	ns = (double)(now_ns() - start) / (2 * PROBE_ROUNDS);
	job_end(s);
	return ns;
}

/* ---- the peer ---- */

static double cpu_ms(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e3 +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e3;
}

static uint32_t preempted(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (uint32_t)u.ru_nivcsw;
}

/* The peer's count is that of its last job. */
uint64_t sides_preempted(const struct side *s)
{
	return (uint64_t)preempted() + atomic_load(&s->shm->preempted);
}

double idle_ms(uint32_t sleep_ms)
{
	struct timespec ts = {.tv_sec = sleep_ms / 1000, .tv_nsec = sleep_ms % 1000 * 1000000};
	double before = cpu_ms();

	nanosleep(&ts, NULL);
	return cpu_ms() - before;
}

static void ready(struct side *s)
{
	atomic_store_explicit(&s->shm->ready, 1, memory_order_release);
}

static double carry_out(struct side *s, const struct order *o)
{
	if (o->job == JOB_RECEIVE || o->job == JOB_SEND_PONG)
		post_receives(s, o->job == JOB_RECEIVE ? o->n : 1);
	ready(s);
	switch (o->job) {
	case JOB_PROBE:
		rally(s, o->n);
		break;
	case JOB_WRITE_PONG:
		write_pong(s, o->n, o->len);
		break;
	case JOB_RAW_PONG:
		raw_pong(s, o->n, o->len);
		break;
	case JOB_SEND_PONG:
		send_pong(s, o->n);
		break;
	case JOB_RECEIVE:
		take(s->rcq, o->n);
		break;
	case JOB_IDLE:
		return idle_ms(o->n);
	}
	return 0;
}

static _Noreturn void serve(struct side *s)
{
	struct order o;

	for (;;) {
		double counted;

		hear(s, &o, sizeof(o));
		counted = carry_out(s, &o);
		atomic_store(&s->shm->preempted, preempted());
		tell(s, &counted, sizeof(counted));
	}
}

/* ---- starting ---- */

static void bind_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("cannot bind to the CPU");
}

/* Without its peer the driver would spin for ever. */
static void peer_ended(int sig)
{
	static const char msg[] = "rdma: the peer process ended early\n";

	(void)sig;
	(void)!write(STDERR_FILENO, msg, sizeof(msg) - 1);
	_exit(1);
}

void sides_start(struct side *s, const struct options *o)
{
	int socks[2];
	pid_t pid;

	s->shm = mmap(NULL, sizeof(*s->shm), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (s->shm == MAP_FAILED || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks))
		die("shared memory");
	memset(s->shm, 0, sizeof(*s->shm));
	pid = fork();
	if (pid < 0)
		die("fork");
	s->driver = pid > 0;
	s->sock = socks[!s->driver];
	close(socks[s->driver]);
	if (o->bind)
		bind_to(o->cpu[!s->driver]);
	if (!s->driver)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	side_connect(s);
	if (!s->driver)
		serve(s);
	signal(SIGCHLD, peer_ended);
}
