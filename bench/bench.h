/* SPDX-License-Identifier: MIT */
/*
 * The two-process benchmark: what its files share.
 *
 * Words:
 *   figure     one thing that is measured, in one unit
 *   limit      another figure of the same run that bounds it from below (or above)
 *   round      every figure measured once, in order
 *   placement  where the host runs the two virtual cores: near or far, as the
 *              spin probe before and after each sample says
 *   driver     the process that measures; the peer does its half of a job, or
 *              sleeps in read()
 */
#ifndef OLI_BENCH_H
#define OLI_BENCH_H

#include <infiniband/verbs.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include <time.h>

#define KIB	   1024ul
#define MIB	   (1024ul * KIB)
#define MAX_ROUNDS 200

enum placement { NEAR, FAR, PLACEMENTS };

struct options {
	bool quick, json, bind;
	int cpu[2];
	int rounds;
	const char *only, *plot;
};

/* ---- the two processes (peer.c) ---- */

enum job { JOB_PROBE, JOB_WRITE_PONG, JOB_RAW_PONG, JOB_SEND_PONG, JOB_RECEIVE, JOB_IDLE };

struct order {
	enum job job;
	uint32_t n;
	uint64_t len;
};

/* Mapped by both, made before the fork. Each word on a cache line of its own. */
struct shared {
	_Alignas(64) _Atomic uint32_t ball;
	_Alignas(64) _Atomic uint32_t ready;
	_Alignas(64) _Atomic uint32_t preempted;
	_Alignas(4096) unsigned char area[MIB];
};

/* What one side tells the other to be connected. */
struct address {
	uint32_t qpn, psn, rkey;
	int32_t pid;
	uint64_t buf;
	union ibv_gid gid;
};

struct side {
	struct shared *shm;
	int sock;
	bool driver;
	uint64_t seq; /* of the last ping; both sides count alike */
	struct ibv_context *ctx;
	struct ibv_pd *pd;
	struct ibv_cq *scq, *rcq;
	struct ibv_qp *qp;
	struct ibv_mr *mr;
	unsigned char *buf;
	uint32_t max_inline;
	struct address self, peer;
};

_Noreturn void die(const char *what);

static inline uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#endif
}

/* Bind this process and fork the other. The peer serves orders and never returns. */
void sides_start(struct side *s, const struct options *o);
/* Tell the peer to do its half and wait until it begins. */
void job_begin(struct side *s, enum job job, uint32_t n, uint64_t len);
/* Wait for its end. Return: what the job counted. */
double job_end(struct side *s);
/* Write or read all of @len bytes to or from the other side. */
void tell(struct side *s, const void *msg, size_t len);
void hear(struct side *s, void *msg, size_t len);
/* One way of a spin ping-pong over shared memory, ns. */
double probe(struct side *s);
/* How often the two lost their CPUs to other processes. */
uint64_t sides_preempted(const struct side *s);
/* CPU time of this process while it sleeps, ms. */
double idle_ms(uint32_t sleep_ms);

/* ---- verbs (verbs.c) ---- */

#define DEPTH	 128 /* send queue */
#define RECEIVES 2048 /* receive queue */

/* Where things are in a side's registered buffer. */
#define AT_IN	   0ul /* the peer writes here */
#define AT_OUT	   (16 * KIB) /* from here */
#define AT_RECV	   (32 * KIB) /* receives land here */
#define AT_BIG_IN  MIB
#define AT_BIG_OUT (2 * MIB)
#define BUF_SIZE   (3 * MIB)

void side_connect(struct side *s);
/* Post one WRITE of @len bytes, from offset @from here to offset @to there. */
void post_write(struct side *s, size_t from, size_t to, size_t len);
void post_sends(struct side *s, enum ibv_wr_opcode op, uint32_t n);
void post_receives(struct side *s, uint32_t n);
/* Take @n completions, spinning. */
void take(struct ibv_cq *cq, uint32_t n);

/* ---- both halves of the ping-pongs (pong.c) ---- */

void write_pong(struct side *s, uint32_t n, size_t len);
void raw_pong(struct side *s, uint32_t n, size_t len);
void send_pong(struct side *s, uint32_t n);

/* ---- figures ---- */

struct figure {
	const char *key, *name, *unit;
	double (*measure)(struct side *s); /* NULL: measured once, outside rounds */
	const char *limit; /* key of a figure, or NULL */
	bool more; /* more is better */
	double goal; /* of the ratio to the limit; 0 none */
	double goal_abs; /* of the value; 0 none */
	double value[PLACEMENTS][MAX_ROUNDS];
	int n[PLACEMENTS];
};

/* Raw calls of the kernel and the CPU (raw.c). */
double raw_spin(struct side *s);
double raw_call(struct side *s);
double raw_null_write(struct side *s);
double hooked_null_write(struct side *s);
double raw_vm_small(struct side *s);
double raw_vm_page(struct side *s);
double raw_vm_big(struct side *s);
double raw_vm_pong(struct side *s);
double raw_memcpy(struct side *s);
double raw_populate(struct side *s);

/* Verbs (transfer.c). */
double rdma_doorbell(struct side *s);
double rdma_write_small(struct side *s);
double rdma_write_page(struct side *s);
double rdma_send_small(struct side *s);
double rdma_write_rate(struct side *s);
double rdma_send_rate(struct side *s);
double rdma_write_big(struct side *s);
double rdma_reg_fresh(struct side *s);
double rdma_reg_used(struct side *s);

/* ---- what comes out (report.c, plot.c) ---- */

/* A line of the result: a figure in one placement, with its limit in the same. */
struct line {
	const struct figure *f, *limit;
	enum placement place;
	int n;
	double value, limit_value; /* medians; 0 without a limit */
	double ratio;
	bool has_goal, met;
};

const char *placement_name(enum placement p);
/* Fill @lines, at most @max. Return: how many. */
int report_lines(const struct figure *f, int nf, struct line *lines, int max);
void report_value(char *out, size_t size, double v, const char *unit);
void report_goal(char *out, size_t size, const struct figure *f);
void report_table(const struct line *lines, int n, int dropped);
void report_json(const struct line *lines, int n, int dropped);
/* Return: 0 or -errno. */
int plot_svg(const char *path, const struct line *lines, int n);

#endif
