// SPDX-License-Identifier: MIT
/*
 * Is a process listening on a TCP port?
 *
 * The kernel's tables of TCP sockets give each socket's state and inode; the
 * links in /proc/PID/fd give the inodes that a process holds. A process that
 * holds a socket in state LISTEN listens. Each process's own view of the tables
 * is read, as it may live in another network namespace.
 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

#define MAX_LISTENERS 1024
#define TCP_LISTEN_STATE 0x0a

struct listeners {
	unsigned long inode[MAX_LISTENERS];
	size_t nr;
};

/* sl local rem st tx:rx tr:when retrnsmt uid timeout inode … */
static bool parse_line(const char *line, unsigned long *inode)
{
	unsigned int state;

	return sscanf(line, " %*d: %*s %*s %x %*s %*s %*s %*u %*d %lu", &state, inode) == 2 &&
	       state == TCP_LISTEN_STATE;
}

static void read_table(pid_t pid, const char *name, struct listeners *l)
{
	char path[64], line[512];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/net/%s", (int)pid, name);
	f = fopen(path, "re");
	if (!f)
		return;
	while (l->nr < MAX_LISTENERS && fgets(line, sizeof(line), f)) {
		if (parse_line(line, &l->inode[l->nr]))
			l->nr++;
	}
	fclose(f);
}

static bool is_listener(const struct listeners *l, const char *link)
{
	unsigned long inode;

	if (sscanf(link, "socket:[%lu]", &inode) != 1)
		return false;
	for (size_t i = 0; i < l->nr; i++) {
		if (l->inode[i] == inode)
			return true;
	}
	return false;
}

static bool holds_listener(pid_t pid, const struct listeners *l)
{
	char path[64], link[128];
	struct dirent *e;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	while (dir && !found && (e = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), e->d_name, link, sizeof(link) - 1);

		if (n <= 0)
			continue;
		link[n] = '\0';
		found = is_listener(l, link);
	}
	if (dir)
		closedir(dir);
	return found;
}

static bool listens(pid_t pid)
{
	struct listeners l = {0};

	read_table(pid, "tcp", &l);
	read_table(pid, "tcp6", &l);
	return l.nr && holds_listener(pid, &l);
}

bool listen_any(const pid_t *pids, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (listens(pids[i]))
			return true;
	}
	return false;
}
