// SPDX-License-Identifier: MIT
/*
 * Names of places in the program.
 *
 * libdw is big and nobody needs it before something is reported, so it is loaded then,
 * and only if it is there: olio itself does not depend on it. A session with it lasts
 * for one look-up: it opens the one file that holds the address, and leaves no open
 * file and no memory behind. What was found is kept by address, so a place costs its
 * look-up once. A program that unloads a library and loads another in its place may see
 * the old name.
 *
 * An address is not trusted: what is in no module has the empty name. A return address
 * names the call before it, so all look-ups are of the byte before @pc.
 *
 * Debug information is looked for on this host only, by path and build id, never on a
 * server.
 */
#include <dlfcn.h>
#include <elfutils/libdwfl.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/site.h"

#define CACHED	  256 /* power of two */
#define NAME_SIZE 96

/* X(function): what is used of libdw. */
#define DW_CALLS(X)                                                                                \
	X(dwfl_begin)                                                                              \
	X(dwfl_end)                                                                                \
	X(dwfl_linux_proc_report)                                                                  \
	X(dwfl_linux_proc_find_elf)                                                                \
	X(dwfl_build_id_find_debuginfo)                                                            \
	X(dwfl_report_end)                                                                         \
	X(dwfl_addrmodule)                                                                         \
	X(dwfl_module_addrinfo)                                                                    \
	X(dwfl_module_getsrc)                                                                      \
	X(dwfl_lineinfo)                                                                           \
	X(dwfl_module_nextcu)                                                                      \
	X(dwarf_haspc)                                                                             \
	X(dwarf_getsrc_die)                                                                        \
	X(dwarf_linesrc)                                                                           \
	X(dwarf_lineno)

static struct {
#define DW_MEMBER(name) __typeof__(&name) name;
	DW_CALLS(DW_MEMBER)
#undef DW_MEMBER
	enum { DW_UNTRIED, DW_ABSENT, DW_THERE } state;
} dw;

static struct {
	const void *pc;
	char text[NAME_SIZE];
} cache[CACHED];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void before_fork(void)
{
	pthread_mutex_lock(&lock);
}

static void after_fork(void)
{
	pthread_mutex_unlock(&lock);
}

/* A child of fork must not inherit the lock from a thread that it has not. */
__attribute__((constructor)) static void watch_forks(void)
{
	pthread_atfork(before_fork, after_fork, after_fork);
}

static bool load_libdw(void)
{
	void *lib;

	if (dw.state != DW_UNTRIED)
		return dw.state == DW_THERE;
	dw.state = DW_ABSENT;
	lib = dlopen("libdw.so.1", RTLD_NOW | RTLD_LOCAL);
	if (!lib)
		return false;
#define DW_LOAD(name)                                                                              \
	dw.name = (__typeof__(dw.name))dlsym(lib, #name);                                          \
	if (!dw.name)                                                                              \
		return false;
	DW_CALLS(DW_LOAD)
#undef DW_LOAD
	dw.state = DW_THERE;
	return true;
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Without the index that some compilers leave out, all units are asked. */
static const char *search_units(Dwfl_Module *module, u64 at, int *number)
{
	Dwarf_Addr bias;
	Dwarf_Die *unit = NULL;
	Dwarf_Line *line;

	while ((unit = dw.dwfl_module_nextcu(module, unit, &bias))) {
		if (dw.dwarf_haspc(unit, at - bias) <= 0)
			continue;
		line = dw.dwarf_getsrc_die(unit, at - bias);
		if (!line || dw.dwarf_lineno(line, number))
			return NULL;
		return dw.dwarf_linesrc(line, NULL, NULL);
	}
	return NULL;
}

static const char *file_and_line(Dwfl_Module *module, u64 at, int *number)
{
	Dwfl_Line *line = dw.dwfl_module_getsrc(module, at);

	return line ? dw.dwfl_lineinfo(line, NULL, number, NULL, NULL, NULL)
		    : search_units(module, at, number);
}

/* "file.c:123 (function)". Return: false if there is no line. */
static bool by_debuginfo(Dwfl *session, u64 at, char *text, size_t size)
{
	const char *file, *function;
	Dwfl_Module *module;
	GElf_Off offset;
	GElf_Sym symbol;
	int number = 0;

	if (dw.dwfl_linux_proc_report(session, getpid()) || dw.dwfl_report_end(session, NULL, NULL))
		return false;
	module = dw.dwfl_addrmodule(session, at);
	file = module ? file_and_line(module, at, &number) : NULL;
	if (!file)
		return false;
	function = dw.dwfl_module_addrinfo(module, at, &offset, &symbol, NULL, NULL, NULL);
	if (function)
		snprintf(text, size, "%s:%d (%s)", last_part(file), number, function);
	else
		snprintf(text, size, "%s:%d", last_part(file), number);
	return true;
}

static bool by_libdw(u64 at, char *text, size_t size)
{
	static char *no_path;
	const Dwfl_Callbacks calls = {
		.find_elf = dw.dwfl_linux_proc_find_elf,
		.find_debuginfo = dw.dwfl_build_id_find_debuginfo,
		.debuginfo_path = &no_path,
	};
	Dwfl *session = dw.dwfl_begin(&calls);
	bool found;

	if (!session)
		return false;
	found = by_debuginfo(session, at, text, size);
	dw.dwfl_end(session);
	return found;
}

static void by_symbol(u64 at, char *text, size_t size)
{
	Dl_info info;
	u64 base;

	text[0] = '\0';
	if (!dladdr((void *)(uintptr_t)at, &info) || !info.dli_fname)
		return;
	base = (u64)(uintptr_t)(info.dli_sname ? info.dli_saddr : info.dli_fbase);
	if (info.dli_sname)
		snprintf(text, size, "%s(%s+0x%llx)", last_part(info.dli_fname), info.dli_sname,
			 (unsigned long long)(at - base));
	else
		snprintf(text, size, "%s+0x%llx", last_part(info.dli_fname),
			 (unsigned long long)(at - base));
}

/* Is @at in a loaded module at all? Else libdw need not be asked. */
static bool in_module(u64 at)
{
	Dl_info info;

	return dladdr((void *)(uintptr_t)at, &info) != 0;
}

void oli_site_name(const void *pc, char *text, size_t size)
{
	u64 at = (u64)(uintptr_t)pc - 1;
	size_t slot = (size_t)((at * 0x9e3779b97f4a7c15ull) >> 56) & (CACHED - 1);

	if (!size)
		return;
	text[0] = '\0';
	if (!pc || !in_module(at))
		return;
	pthread_mutex_lock(&lock);
	if (cache[slot].pc != pc) {
		cache[slot].pc = pc;
		if (!load_libdw() || !by_libdw(at, cache[slot].text, NAME_SIZE))
			by_symbol(at, cache[slot].text, NAME_SIZE);
	}
	snprintf(text, size, "%s", cache[slot].text);
	pthread_mutex_unlock(&lock);
}
