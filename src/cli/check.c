// SPDX-License-Identifier: MIT
/*
 * Will the program take the preload library? Asked before anything is started,
 * because the dynamic loader's own answer is either silence (a static or set-id
 * program runs without it and finds no device) or a line that says nothing of
 * the cause.
 *
 * The file is found as execvp() finds it. Scripts are followed to their
 * interpreter, `env` to the program it is to find. Headers are read from the
 * file as they are: lengths and offsets in them are not trusted.
 */
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "cli.h"

#define RXE_DRIVER "/etc/libibverbs.d/rxe.driver"
#define SCRIPT_DEPTH 5
#define PATH_SIZE 4096

static int not_found(const char *program)
{
	cli_error("no such program: %s", program);
	return CLI_NOT_FOUND;
}

static int refuse(const char *path, const char *why)
{
	cli_error("cannot run %s: %s", path, why);
	return CLI_NOT_RUNNABLE;
}

/* The program in the directories of $PATH; a file that may not be run is the second choice. */
static bool search_path(const char *name, char *out, size_t size)
{
	const char *dir = getenv("PATH");
	char candidate[PATH_SIZE];
	bool found = false;
	struct stat st;

	if (!dir)
		dir = "/bin:/usr/bin";
	for (;; dir++) {
		size_t len = strcspn(dir, ":");
		int n = snprintf(candidate, sizeof(candidate), "%.*s%s%s", (int)len, dir,
				 len ? "/" : "", name);
		bool fits = n > 0 && (size_t)n < sizeof(candidate) && (size_t)n < size;

		if (fits && stat(candidate, &st) == 0 && S_ISREG(st.st_mode)) {
			bool runnable = access(candidate, X_OK) == 0;

			if (runnable || !found)
				strcpy(out, candidate);
			found = true;
			if (runnable)
				break;
		}
		dir += len;
		if (!*dir)
			break;
	}
	return found;
}

static int check_file(const char *path, const struct stat *st)
{
	if (S_ISDIR(st->st_mode))
		return refuse(path, "it is a directory");
	if (!S_ISREG(st->st_mode))
		return refuse(path, "it is not a regular file");
	if (access(path, X_OK))
		return refuse(path, errno == EACCES ? "it is not executable" : strerror(errno));
	if (st->st_mode & (S_ISUID | S_ISGID))
		return refuse(path, "it is a setuid or setgid program, into which nothing can be "
				    "preloaded");
	if (getxattr(path, "security.capability", NULL, 0) > 0)
		return refuse(path, "it has file capabilities, and nothing can be preloaded into "
				    "such a program");
	return 0;
}

/* Return: 1 with the interpreter in @out, 0 if there is none (static), -1 if unreadable. */
static int elf_interpreter(int fd, const Elf64_Ehdr *eh, char *out, size_t size)
{
	for (unsigned int i = 0; i < eh->e_phnum; i++) {
		Elf64_Phdr ph;
		off_t at = (off_t)(eh->e_phoff + (uint64_t)i * sizeof(ph));
		ssize_t n;

		if (pread(fd, &ph, sizeof(ph), at) != (ssize_t)sizeof(ph))
			return -1;
		if (ph.p_type != PT_INTERP)
			continue;
		n = pread(fd, out, size - 1, (off_t)ph.p_offset);
		if (n <= 0)
			return -1;
		out[n] = '\0';
		return 1;
	}
	return 0;
}

/* The tool's own processor: the preload library was built with it. */
static bool same_processor(const Elf64_Ehdr *eh)
{
	Elf64_Ehdr own;
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	bool same;

	if (fd < 0)
		return true;
	same = pread(fd, &own, sizeof(own), 0) != (ssize_t)sizeof(own) ||
	       own.e_machine == eh->e_machine;
	close(fd);
	return same;
}

static int check_elf(const char *path, int fd, const Elf64_Ehdr *eh)
{
	char interp[256];

	if (eh->e_ident[EI_CLASS] != ELFCLASS64)
		return refuse(path, "it is a 32-bit program; olio runs 64-bit ones");
	if (!same_processor(eh))
		return refuse(path, "it was built for another processor");
	if (eh->e_phentsize != sizeof(Elf64_Phdr))
		return refuse(path, "its ELF header is damaged");
	switch (elf_interpreter(fd, eh, interp, sizeof(interp))) {
	case 0:
		return refuse(path, "it is statically linked, and nothing can be preloaded into "
				    "such a program");
	case -1:
		return refuse(path, "its ELF header is damaged");
	}
	if (strstr(interp, "musl"))
		return refuse(path, "it uses the musl C library; olio's library needs glibc");
	return 0;
}

static int check_path(const char *path, int depth);
static int check_name(const char *program, int depth);

/* @line: what follows "#!". */
static int check_script(const char *path, char *line, int depth)
{
	char *save = NULL;
	char *interp, *arg;
	const char *base;

	line[strcspn(line, "\n")] = '\0';
	interp = strtok_r(line, " \t", &save);
	if (!interp)
		return refuse(path, "its first line names no interpreter");
	if (access(interp, F_OK)) {
		cli_error("cannot run %s: its interpreter %s does not exist", path, interp);
		return CLI_NOT_RUNNABLE;
	}
	arg = strtok_r(NULL, " \t", &save);
	base = strrchr(interp, '/');
	if (arg && *arg != '-' && !strchr(arg, '=') && base && strcmp(base, "/env") == 0)
		return check_name(arg, depth + 1);
	return check_path(interp, depth + 1);
}

static int check_content(const char *path, int depth)
{
	union {
		char text[512];
		Elf64_Ehdr eh;
	} head = {0};
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;
	int ret = 0;

	if (fd < 0)
		return 0; /* executable but not readable: exec decides */
	n = read(fd, &head, sizeof(head) - 1);
	if (n >= 2 && memcmp(head.text, "#!", 2) == 0)
		ret = check_script(path, head.text + 2, depth);
	else if (n >= (ssize_t)sizeof(head.eh) && memcmp(head.text, ELFMAG, SELFMAG) == 0)
		ret = check_elf(path, fd, &head.eh);
	close(fd);
	return ret;
}

static int check_path(const char *path, int depth)
{
	struct stat st;
	int ret;

	if (depth > SCRIPT_DEPTH)
		return refuse(path, "its interpreters lead in a circle");
	if (stat(path, &st)) {
		if (errno == ENOENT || errno == ENOTDIR)
			return not_found(path);
		return refuse(path, strerror(errno));
	}
	ret = check_file(path, &st);
	return ret ? ret : check_content(path, depth);
}

static int check_name(const char *program, int depth)
{
	char path[PATH_SIZE];

	if (!*program)
		return not_found("(an empty name)");
	if (strchr(program, '/'))
		return check_path(program, depth);
	if (!search_path(program, path, sizeof(path)))
		return not_found(program);
	return check_path(path, depth);
}

int check_program(const char *program)
{
	return check_name(program, 0);
}

int check_rdma_core(void)
{
	void *lib = dlopen("libibverbs.so.1", RTLD_LAZY | RTLD_LOCAL);

	if (!lib) {
		cli_error("rdma-core is missing: libibverbs.so.1 was not found (on Debian: "
			  "apt install libibverbs1 ibverbs-providers)");
		return CLI_FAILED;
	}
	dlclose(lib);
	if (access(RXE_DRIVER, F_OK)) {
		cli_error("rdma-core's rxe provider is missing: no " RXE_DRIVER
			  " (on Debian: apt install ibverbs-providers)");
		return CLI_FAILED;
	}
	return 0;
}
