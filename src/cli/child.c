// SPDX-License-Identifier: MIT
/*
 * Start programs and learn how they ended.
 *
 * A child stays in this process's group, so that the terminal's Ctrl-C and
 * Ctrl-Z reach it directly. The signals of a session are blocked here and read
 * from a signalfd; the child gets back the mask that this process was started
 * with. Should this process be killed, the kernel ends the child too.
 *
 * A failed exec comes back through a close-on-exec pipe: an empty pipe at its
 * end means that the program runs.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli.h"

static sigset_t inherited_mask;

int child_signals(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1};
	sigset_t set;
	int fd;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaddset(&set, signals[i]);
	if (sigprocmask(SIG_BLOCK, &set, &inherited_mask))
		return -errno;
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

static int set_outputs(int out, int err)
{
	if (out >= 0 && dup2(out, STDOUT_FILENO) < 0)
		return -1;
	if (err >= 0 && dup2(err, STDERR_FILENO) < 0)
		return -1;
	return 0;
}

__attribute__((noreturn)) static void become(char *const argv[], int out, int err, pid_t parent,
					     int fail_fd)
{
	int error;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(CLI_FAILED);
	if (set_outputs(out, err) == 0) {
		sigprocmask(SIG_SETMASK, &inherited_mask, NULL);
		execvp(argv[0], argv);
	}
	error = errno;
	if (write(fail_fd, &error, sizeof(error)) < 0)
		_exit(CLI_FAILED);
	_exit(CLI_NOT_RUNNABLE);
}

/* Return: 0 once the program runs, or -errno of its exec. */
static int exec_result(int fd)
{
	int error;
	ssize_t n;

	do {
		n = read(fd, &error, sizeof(error));
	} while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof(error) ? -error : 0;
}

int child_start(struct child *c, char *const argv[], int out, int err)
{
	pid_t self = getpid();
	int fds[2];
	int ret;

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	c->pid = fork();
	if (c->pid == 0)
		become(argv, out, err, self, fds[1]);
	ret = c->pid < 0 ? -errno : 0;
	close(fds[1]);
	if (ret == 0)
		ret = exec_result(fds[0]);
	close(fds[0]);
	if (ret == 0) {
		c->pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0);
		if (c->pidfd >= 0)
			return 0;
		ret = -errno;
		kill(c->pid, SIGKILL);
	}
	if (c->pid > 0)
		waitpid(c->pid, NULL, 0);
	c->pid = 0;
	return ret;
}

void child_reap(struct child *c)
{
	int status;

	if (c->pid <= 0 || c->ended || waitpid(c->pid, &status, WNOHANG) != c->pid)
		return;
	c->ended = true;
	close(c->pidfd);
	c->pidfd = -1;
	if (WIFSIGNALED(status)) {
		c->signal = WTERMSIG(status);
		c->status = 128 + c->signal;
	} else {
		c->status = WEXITSTATUS(status);
	}
}

void child_kill(const struct child *c, int sig)
{
	if (c->pid > 0 && !c->ended)
		kill(c->pid, sig);
}

struct proc {
	pid_t pid, parent;
};

/* The parent is the second field behind the name, which may itself hold ") ". */
static pid_t read_parent(const char *pid)
{
	char path[300], buf[512];
	char *p;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	if (n <= 0)
		return 0;
	buf[n] = '\0';
	p = strrchr(buf, ')');
	return p && strlen(p) > 4 ? (pid_t)atoi(p + 4) : 0;
}

static size_t read_procs(struct proc **out)
{
	DIR *dir = opendir("/proc");
	struct proc *v = NULL;
	size_t nr = 0, room = 0;
	struct dirent *e;

	while (dir && (e = readdir(dir))) {
		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		if (nr == room) {
			struct proc *w = realloc(v, (room = room ? 2 * room : 256) * sizeof(*v));

			if (!w)
				break;
			v = w;
		}
		v[nr].pid = (pid_t)atoi(e->d_name);
		v[nr++].parent = read_parent(e->d_name);
	}
	if (dir)
		closedir(dir);
	*out = v;
	return nr;
}

size_t child_descendants(pid_t *pids, size_t max)
{
	struct proc *procs;
	size_t n = read_procs(&procs);
	size_t found = 0;
	pid_t parent = getpid();

	for (size_t done = 0;; parent = pids[done++]) {
		for (size_t i = 0; i < n && found < max; i++) {
			if (procs[i].parent == parent)
				pids[found++] = procs[i].pid;
		}
		if (done == found)
			break;
	}
	free(procs);
	return found;
}
