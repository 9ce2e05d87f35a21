// SPDX-License-Identifier: MIT
/*
 * Becoming another program.
 *
 * Peers reach this process's memory by its process number, which exec() keeps.
 * So before the memory changes hands the slot is suspended: transfers under way
 * are waited for and none begins. If exec() fails, the process goes on as before
 * and its peers retry. After a success the kernel drops the slot's lock with the
 * close-on-exec descriptors, and the reaper takes the rest.
 *
 * A vforked child shares the parent's memory but is not the machine's process:
 * nothing is suspended for it. posix_spawn() and system() are of that kind too.
 */
#include <stdarg.h>
#include <stdlib.h>

#include "preload/hooks.h"

static bool begin(void)
{
	bool ours = oli_same_process();

	if (ours)
		oli_process_exec(true);
	return ours;
}

static int failed(bool ours, int rc)
{
	int saved = errno;

	if (ours)
		oli_process_exec(false);
	errno = saved;
	return rc;
}

OLI_HOOK int execve(const char *path, char *const argv[], char *const envp[])
{
	bool ours = begin();

	return failed(ours, REAL(execve)(path, argv, envp));
}

OLI_HOOK int execv(const char *path, char *const argv[])
{
	return execve(path, argv, environ);
}

OLI_HOOK int execvpe(const char *file, char *const argv[], char *const envp[])
{
	bool ours = begin();

	return failed(ours, REAL(execvpe)(file, argv, envp));
}

OLI_HOOK int execvp(const char *file, char *const argv[])
{
	return execvpe(file, argv, environ);
}

OLI_HOOK int fexecve(int fd, char *const argv[], char *const envp[])
{
	bool ours = begin();

	return failed(ours, REAL(fexecve)(fd, argv, envp));
}

OLI_HOOK int execveat(int dirfd, const char *path, char *const argv[], char *const envp[],
		      int flags)
{
	bool ours = begin();

	return failed(ours, REAL(execveat)(dirfd, path, argv, envp, flags));
}

/* How many words a list has, its NULL included. */
static size_t count(va_list ap)
{
	size_t n = 2; /* the first, and the NULL */

	while (va_arg(ap, char *))
		n++;
	return n;
}

/* The list as an array in @argv, which has room for it. */
static void fill(char **argv, const char *first, va_list ap)
{
	*argv++ = (char *)first;
	do
		*argv = va_arg(ap, char *);
	while (*argv++);
}

/*
 * The words of a variadic exec as an array on the caller's stack: these calls
 * may be made where malloc() may not (between fork() and exec()).
 */
#define LIST_TO_ARGV(argv, first, ap)                                                              \
	va_list ap;                                                                                \
	char **argv;                                                                               \
	va_start(ap, first);                                                                       \
	argv = __builtin_alloca(count(ap) * sizeof(*argv));                                        \
	va_end(ap);                                                                                \
	va_start(ap, first);                                                                       \
	fill(argv, first, ap)

OLI_HOOK int execl(const char *path, const char *arg, ...)
{
	LIST_TO_ARGV(argv, arg, ap);
	va_end(ap);
	return execve(path, argv, environ);
}

OLI_HOOK int execlp(const char *file, const char *arg, ...)
{
	LIST_TO_ARGV(argv, arg, ap);
	va_end(ap);
	return execvpe(file, argv, environ);
}

OLI_HOOK int execle(const char *path, const char *arg, ...)
{
	char **envp;

	LIST_TO_ARGV(argv, arg, ap);
	envp = va_arg(ap, char **);
	va_end(ap);
	return execve(path, argv, envp);
}
