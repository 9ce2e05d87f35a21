// SPDX-License-Identifier: MIT
/*
 * The memory that `olio map` is told to make: a word of the command line each.
 *
 * Everything is made in this process, touched by nobody but the kernel, and given
 * back at the end. A file is mapped privately: no device model writes into it.
 *
 * Lengths are bounded (a pin makes pages present) before anything is added to them.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "map.h"

#define PAGE	4096ull
#define HUGE	(2ull << 20)
#define LONGEST (1ull << 30)

/* A place in memory or in a file: how much, from where. */
struct extent {
	uint64_t len, offset;
};

bool size_parse(const char *text, const char **end, uint64_t *out)
{
	static const char units[] = "KMG";
	const char *unit;
	char *e;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	*out = strtoull(text, &e, strncmp(text, "0x", 2) == 0 ? 16 : 10);
	if (errno)
		return false;
	unit = *e ? strchr(units, *e) : NULL;
	if (unit) {
		if (__builtin_mul_overflow(*out, 1024ull << (10 * (unit - units)), out))
			return false;
		e++;
	}
	*end = e;
	return true;
}

static int bad(const char *text, const char *why)
{
	cli_error("'%s': %s; see 'olio help map'", text, why);
	return CLI_USAGE;
}

static int refused(const struct piece *p)
{
	cli_error("%s: %s", p->text, olio_why()->text);
	return CLI_FAILED;
}

/* "LEN" or "LEN@OFFSET" */
static int parse_extent(const char *text, const char *from, struct extent *e)
{
	const char *end;

	e->offset = 0;
	if (!size_parse(from, &end, &e->len))
		return bad(text, "a length is wanted");
	if (*end == '@' && !size_parse(end + 1, &end, &e->offset))
		return bad(text, "an offset is wanted behind '@'");
	if (*end)
		return bad(text, "something is left over");
	if (!e->len || e->len > LONGEST || e->offset > LONGEST)
		return bad(text, "from 1 byte to 1G is possible");
	return 0;
}

static int map_area(struct piece *p, uint64_t len, int prot, int flags, int fd, uint64_t offset)
{
	void *area = mmap(NULL, len, prot, flags, fd, (off_t)offset);

	if (area == MAP_FAILED) {
		cli_error("%s: cannot map it here: %s", p->text, strerror(errno));
		return CLI_FAILED;
	}
	p->area = area;
	p->area_len = len;
	return 0;
}

static int pin(struct job *job, struct piece *p, const struct extent *e, unsigned int flags)
{
	p->len = e->len;
	if (olio_mem_pin(job->machine, (char *)p->area + e->offset, e->len, flags, &p->mem))
		return refused(p);
	return 0;
}

static int make_anon(struct job *job, struct piece *p, const char *args)
{
	struct extent e;
	int ret = parse_extent(p->text, args, &e);

	if (!ret)
		ret = map_area(p, e.offset + e.len, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return ret ? ret : pin(job, p, &e, 0);
}

/* hugetlb pages if the host has set some aside, else what the kernel makes of the wish. */
static int make_huge(struct job *job, struct piece *p, const char *args)
{
	struct extent e;
	int ret = parse_extent(p->text, args, &e);
	uint64_t len, pad;

	if (ret)
		return ret;
	len = (e.offset + e.len + HUGE - 1) & ~(HUGE - 1);
	p->area = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB,
		       -1, 0);
	if (p->area != MAP_FAILED) {
		p->area_len = len;
		snprintf(p->note, sizeof(p->note), "hugetlb pages");
		return pin(job, p, &e, 0);
	}
	p->area = NULL;
	ret = map_area(p, len + HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (ret)
		return ret;
	pad = -(uintptr_t)p->area & (HUGE - 1);
	madvise((char *)p->area + pad, len, MADV_HUGEPAGE);
	snprintf(p->note, sizeof(p->note), "no hugetlb pages here: asked for transparent ones");
	e.offset += pad;
	return pin(job, p, &e, 0);
}

static int make_memfd(struct job *job, struct piece *p, const char *args)
{
	struct extent e;
	int ret = parse_extent(p->text, args, &e);
	int fd;

	if (ret)
		return ret;
	fd = memfd_create("olio-map", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)(e.offset + e.len))) {
		cli_error("%s: %s", p->text, strerror(errno));
		ret = CLI_FAILED;
	} else if (olio_mem_from_fd(job->machine, fd, e.offset, e.len, 0, &p->mem)) {
		ret = refused(p);
	}
	p->len = e.len;
	if (fd >= 0)
		close(fd);
	return ret;
}

/* PATH, or PATH:OFFSET:LENGTH. A path may have colons itself, so it is read from its end. */
static int parse_file(const char *text, char *path, struct extent *e, bool *whole)
{
	char *len = strrchr(path, ':');
	const char *end;
	char *offset;

	*whole = true;
	if (!len || !size_parse(len + 1, &end, &e->len) || *end)
		return 0;
	*len = '\0';
	offset = strrchr(path, ':');
	if (!offset || !size_parse(offset + 1, &end, &e->offset) || *end)
		return bad(text, "file:PATH or file:PATH:OFFSET:LENGTH is wanted");
	*offset = '\0';
	*whole = false;
	return 0;
}

static int check_file(const char *text, int fd, struct extent *e, bool whole)
{
	struct stat st;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode))
		return bad(text, "it is no ordinary file");
	if (whole)
		*e = (struct extent){.len = (uint64_t)st.st_size};
	if (!e->len || e->len > LONGEST || e->offset > (uint64_t)st.st_size ||
	    e->len > (uint64_t)st.st_size - e->offset)
		return bad(text, "the file has no such bytes, or they are more than 1G");
	return 0;
}

static int pin_file(struct job *job, struct piece *p, int fd, struct extent *e)
{
	bool read_only = job->dir == OLIO_TO_DEVICE;
	uint64_t skip = e->offset % PAGE;
	int prot = read_only ? PROT_READ : PROT_READ | PROT_WRITE;
	int ret = map_area(p, skip + e->len, prot, MAP_PRIVATE, fd, e->offset - skip);

	e->offset = skip;
	return ret ? ret : pin(job, p, e, read_only ? OLIO_PIN_READ_ONLY : 0);
}

static int make_file(struct job *job, struct piece *p, const char *args)
{
	char *path = strdup(args);
	struct extent e = {0};
	bool whole;
	int ret = path ? parse_file(p->text, path, &e, &whole) : CLI_FAILED;
	int fd;

	if (ret) {
		free(path);
		return ret;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		cli_error("%s: %s", p->text, strerror(errno));
		ret = CLI_FAILED;
	} else {
		ret = check_file(p->text, fd, &e, whole);
		if (!ret)
			ret = pin_file(job, p, fd, &e);
		close(fd);
	}
	free(path);
	return ret;
}

/* DEVICE:BAR:OFFSET:LENGTH */
static int make_bar(struct job *job, struct piece *p, const char *args)
{
	static const char form[] = "bar:DEVICE:NUMBER:OFFSET:LENGTH is wanted";
	size_t n = strcspn(args, ":");
	uint64_t bar, offset;
	const char *end;
	char name[32];

	if (!n || n >= sizeof(name) || args[n] != ':')
		return bad(p->text, form);
	memcpy(name, args, n);
	name[n] = '\0';
	if (!size_parse(args + n + 1, &end, &bar) || *end != ':' || bar > 5 ||
	    !size_parse(end + 1, &end, &offset) || *end != ':' ||
	    !size_parse(end + 1, &end, &p->len) || *end)
		return bad(p->text, form);
	if (olio_dev_open(job->machine, name, &p->provider))
		return refused(p);
	if (olio_mem_from_bar(p->provider, (unsigned int)bar, offset, p->len, &p->mem))
		return refused(p);
	return 0;
}

static int need_encryption(const struct job *job, const struct piece *p)
{
	struct olio_machine_info i = {.size = sizeof(i)};

	if (!olio_machine_info(job->machine, &i) && i.encrypted)
		return 0;
	cli_error("%s: a machine of type %s does not encrypt its memory", p->text, i.type);
	return CLI_FAILED;
}

static int make_private(struct job *job, struct piece *p, const char *args)
{
	int ret = need_encryption(job, p);

	return ret ? ret : make_anon(job, p, args);
}

static int make_shared(struct job *job, struct piece *p, const char *args)
{
	int ret = need_encryption(job, p);

	if (!ret)
		ret = make_anon(job, p, args);
	if (!ret && olio_mem_share(p->mem))
		ret = refused(p);
	return ret;
}

static const struct {
	const char *name;
	int (*make)(struct job *job, struct piece *p, const char *args);
} kinds[] = {
	{"anon:", make_anon},	    {"huge:", make_huge}, {"file:", make_file},
	{"memfd:", make_memfd},	    {"bar:", make_bar},	  {"shared:", make_shared},
	{"private:", make_private},
};

int piece_make(struct job *job, struct piece *p, const char *text)
{
	p->text = text;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		size_t n = strlen(kinds[i].name);

		if (strncmp(text, kinds[i].name, n) == 0)
			return kinds[i].make(job, p, text + n);
	}
	return bad(text, "memory is anon:, huge:, file:, memfd:, bar:, shared: or private:");
}

void piece_free(struct piece *p)
{
	olio_mem_put(p->mem);
	olio_dev_close(p->provider);
	if (p->area)
		munmap(p->area, p->area_len);
}
