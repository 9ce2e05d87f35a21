/* SPDX-License-Identifier: MIT */
/*
 * The olio tool: what its files share.
 *
 * Words:
 *   command  one subcommand (`olio run`), one file, one struct command
 *   run      one use of `olio run` or `olio pair`, named by OLIO_RUN in the
 *            environment of the program, so that its records can be told from
 *            those of other programs on the same machine
 *
 * Everything a person reads about a failure is one line on stderr that begins
 * with "olio: ". The exit status is the program's where there is one, else one
 * of enum cli_status.
 */
#ifndef OLIO_CLI_CLI_H
#define OLIO_CLI_CLI_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include <olio/dma.h>
#include <olio/machine.h>
#include <olio/olio.h>

enum cli_status {
	CLI_OK = 0,
	CLI_FAILED = 1,
	CLI_USAGE = 2,
	CLI_NOT_RUNNABLE = 126, /* as a shell says it */
	CLI_NOT_FOUND = 127,
};

struct command {
	const char *name;
	const char *summary; /* one line of `olio --help` */
	const char *help;    /* `olio help NAME` */
	int (*run)(const struct command *cmd, int argc, char **argv);
};

extern const struct command cmd_run;
extern const struct command cmd_pair;
extern const struct command cmd_ls;
extern const struct command cmd_explain;
extern const struct command cmd_topo;
extern const struct command cmd_map;
extern const struct command cmd_version;

/* ---- out.c ---- */

/* "olio: …" on stderr, one write. */
void cli_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * getopt_long() for a command, with olio's own messages.
 * Return: as getopt_long(); '?' after the message.
 */
int cli_getopt(const struct command *cmd, int argc, char **argv, const char *shorts,
	       const struct option *longs);

/*
 * Open a machine to look at it. @create: make it if there is none, of @type if not
 * NULL. Says what went wrong. Return: 0 or enum cli_status.
 */
int cli_machine_open(const char *name, bool create, const char *type, struct olio_machine **out);
/* Make one for this process alone. Return: as above. */
int cli_machine_private(const char *type, struct olio_machine **out);

/* ---- table.c ---- */

struct column {
	const char *title; /* in a table */
	const char *key;   /* in JSON */
	bool number;
};

struct table;

/* @name: the array's name in JSON. NULL when memory is short. */
struct table *table_new(const char *name, const struct column *cols, size_t n, bool json);
/* The first column shows a tree; in JSON rows have "children". */
struct table *table_tree(const char *name, const struct column *cols, size_t n, bool json);
bool table_json(const struct table *t);
/* Rows are numbered from 0. Return: its number. */
size_t table_row(struct table *t);
/* A row below row @parent of a tree. */
size_t table_row_below(struct table *t, size_t parent);
/* Cells fill a row from left to right. */
void table_text(struct table *t, const char *s);
void table_number(struct table *t, uint64_t v);
/* Hexadecimal in a table, a number in JSON. */
void table_hex(struct table *t, uint64_t v);
size_t table_rows(const struct table *t);
/* Print and free. In JSON: the array only, as a member of an object that the caller opens. */
int table_print(struct table *t);

/* ---- records.c ---- */

/* The records of one run, or of a whole machine, as far as they were read. */
struct records {
	struct olio_machine *machine;
	const char *run; /* NULL: every run */
	struct olio_record_info *v;
	size_t nr, room;
	uint64_t seq;     /* the last one looked at */
	uint64_t lost;    /* overwritten before they were read */
	uint64_t dropped; /* read, but no memory to keep them */
};

void records_init(struct records *r, struct olio_machine *m, const char *run);
void records_fini(struct records *r);
/* Read what is new. Flushed work requests of one queue pair become one entry. */
void records_collect(struct records *r);
/* A line each, at most @max (0: all), then how many are left out. */
void records_print(const struct records *r, FILE *f, size_t max);
/* Everything known about each. Return: 0 or -errno. */
int records_save(const struct records *r, const char *path);
int records_print_json(const struct records *r);

/* ---- check.c ---- */

/*
 * Can @program (as execvp() would find it) run with olio's library preloaded?
 * Says why not. Return: 0 or enum cli_status.
 */
int check_program(const char *program);
/* Are libibverbs and its rxe provider installed? */
int check_rdma_core(void);

/* ---- session.c ---- */

/* The options that `run` and `pair` share. */
struct launch {
	const char *machine;
	const char *type;
	const char *device;
	const char *report;
	char **argv; /* the program and its arguments, NULL terminated */
};

/* Return: 0, or a negative value when the command is over with status -1 - value. */
int launch_parse(const struct command *cmd, int argc, char **argv, struct launch *l);
#define LAUNCH_OVER(status) (-1 - (status))
#define LAUNCH_STATUS(ret) (-1 - (ret))

struct session {
	struct olio_machine *machine;
	char run[24];
	const char *report;
	struct records records;
	int sigfd; /* SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 arrive here */
};

/*
 * Check the program, open the machine, prepare the environment that children
 * inherit and block the signals. Return: 0 or enum cli_status, with the line said.
 */
int session_open(struct session *s, const struct launch *l);
/* Read new records; on SIGUSR1 print them. */
void session_poll(struct session *s, bool print);
/* Print the records, write the report. Return: @status, or CLI_FAILED if only that went wrong. */
int session_close(struct session *s, int status);

/* ---- child.c ---- */

struct child {
	pid_t pid; /* 0: not started */
	int pidfd; /* readable when it ended */
	bool ended;
	int status; /* of the shell's kind: 128 + signal if it was killed */
	int signal; /* that killed it, 0 if none */
};

/*
 * Start @argv with this process's environment.
 * @out, @err: its stdout and stderr, -1 to inherit.
 * Return: 0 or -errno (of the exec too).
 */
int child_start(struct child *c, char *const argv[], int out, int err);
/* Collect the status if it has ended. */
void child_reap(struct child *c);
void child_kill(const struct child *c, int sig);
/*
 * Block the signals of a session in this process; children get the old mask
 * back. Return: a signalfd or -errno.
 */
int child_signals(void);
/* Every descendant of this process, nearest first. Return: how many of @max were stored. */
size_t child_descendants(pid_t *pids, size_t max);

/* ---- listen.c ---- */

/* Does any of the @n processes listen on a TCP port? */
bool listen_any(const pid_t *pids, size_t n);

/* ---- stream.c ---- */

/* One output of a child of `olio pair`, copied line by line behind a label. */
struct stream {
	int fd; /* -1: at its end */
	FILE *to;
	const char *label;
	const char *color; /* escape sequence, or "" */
	size_t len;
	char buf[8192];
};

void stream_init(struct stream *s, int fd, FILE *to, const char *label, const char *color);
/* Copy what is there; close at the end of the file. */
void stream_pump(struct stream *s);
/* No more is expected: copy what is there, an unfinished line too, and close. */
void stream_finish(struct stream *s);

#endif
