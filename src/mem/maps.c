// SPDX-License-Identifier: MIT
/*
 * Reading /proc/self/maps without stdio and without memory: it is done inside any
 * program, at any registration of memory.
 *
 * A line begins "start-end perms offset major:minor inode" and goes on with a name of any
 * length and content, which is not looked at: who has an inode is a file. Numbers are
 * the kernel's own, so they are not checked for overflow. A line that is longer than the
 * buffer loses its end.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/fault.h"
#include "base/sys.h"
#include "mem/maps.h"

#define HUGE_ALIGN (2ull << 20)

/* The kernel's ABI for PROCMAP_QUERY, which older headers do not have. */
struct query {
	u64 size, flags, addr;
	u64 start, end, vma_flags, page_size, offset, inode;
	u32 dev_major, dev_minor, name_size, build_id_size;
	u64 name_addr, build_id_addr;
};

#define QUERY	      _IOWR('f', 17, struct query)
#define QUERY_OR_NEXT 0x10u
#define QUERY_FLAGS   (OLI_VMA_READ | OLI_VMA_WRITE | OLI_VMA_EXEC | OLI_VMA_SHARED)

_Static_assert(sizeof(struct query) == 104, "as the kernel has it");

/* ---- lines ---- */

static int lines_open(struct oli_lines *l, const char *path)
{
	l->have = l->at = 0;
	l->fd = OLI_FAULT() ? -EMFILE : oli_sys_openat(AT_FDCWD, path, O_RDONLY, 0);
	return l->fd < 0 ? l->fd : 0;
}

/* Return: > 0, 0 at the end, -errno. */
static ssize_t refill(struct oli_lines *l)
{
	ssize_t n;

	memmove(l->buf, l->buf + l->at, l->have - l->at);
	l->have -= l->at;
	l->at = 0;
	do
		n = OLI_FAULT() ? -EIO
				: oli_sys_read(l->fd, l->buf + l->have, sizeof(l->buf) - l->have);
	while (n == -EINTR);
	if (n > 0)
		l->have += (u32)n;
	return n;
}

/* Return: the line, or NULL at the end, with the reason in *@err. Good until the next call. */
static const char *next_line(struct oli_lines *l, int *err)
{
	for (;;) {
		char *line = l->buf + l->at, *nl = memchr(line, '\n', l->have - l->at);
		bool skip = l->skip, full = !nl && !l->at && l->have == sizeof(l->buf);
		ssize_t n;

		if (nl || full) {
			l->at = nl ? (u32)(nl + 1 - l->buf) : l->have;
			*(nl ? nl : l->buf + l->have - 1) = '\0';
			l->skip = full;
			if (!skip)
				return line;
			continue;
		}
		n = refill(l);
		if (n <= 0) {
			*err = n < 0 ? (int)n : -ENOENT;
			return NULL;
		}
	}
}

static u64 number(const char **s, unsigned int base)
{
	u64 v = 0;

	for (;; (*s)++) {
		unsigned int c = (unsigned char)**s, digit;

		if (c >= '0' && c <= '9')
			digit = c - '0';
		else if (base == 16 && c >= 'a' && c <= 'f')
			digit = c - 'a' + 10;
		else
			return v;
		v = v * base + digit;
	}
}

/* ---- text ---- */

/* "start-end": the two that a mapping's line in both lists begins with. */
static const char *parse_range(const char *s, u64 *start, u64 *end)
{
	const char *at = s;

	*start = number(&at, 16);
	if (at == s || *at++ != '-')
		return NULL;
	*end = number(&at, 16);
	return *at == ' ' && *end > *start ? at + 1 : NULL;
}

static bool parse(const char *s, struct oli_vma *vma)
{
	static const char letter[] = "rwxs";

	s = parse_range(s, &vma->start, &vma->end);
	if (!s || strnlen(s, 5) < 5)
		return false;
	vma->flags = 0;
	for (u32 i = 0; i < 4; i++)
		if (s[i] == letter[i])
			vma->flags |= 1u << i;
	/* offset and device */
	for (u32 i = 0; i < 3 && s; i++) {
		s = strchr(s, ' ');
		s = s ? s + 1 : NULL;
	}
	if (s && number(&s, 10))
		vma->flags |= OLI_VMA_FILE;
	vma->page_size = OLI_PAGE_SIZE;
	return true;
}

/* Only what lies like huge pages is worth the reading, for which the kernel visits every page. */
static bool may_be_huge(const struct oli_vma *vma)
{
	return (vma->flags & OLI_VMA_FILE) && !((vma->start | vma->end) & (HUGE_ALIGN - 1));
}

static void find_page_size(struct oli_vma *vma)
{
	static const char key[] = "KernelPageSize:";
	struct oli_lines l = {0};
	const char *line;
	u64 start, end;
	bool here = false;
	int err = 0;

	if (lines_open(&l, "/proc/self/smaps"))
		return;
	while ((line = next_line(&l, &err))) {
		if (parse_range(line, &start, &end)) {
			here = start == vma->start;
		} else if (here && !strncmp(line, key, sizeof(key) - 1)) {
			line += sizeof(key) - 1;
			line += strspn(line, " ");
			vma->page_size = number(&line, 10) << 10;
			break;
		}
	}
	oli_sys_close(l.fd);
}

static int find_text(struct oli_maps *maps, u64 addr, struct oli_vma *vma)
{
	while (maps->last.end <= addr) {
		int err = 0;
		const char *line = next_line(&maps->list, &err);

		if (!line)
			return err;
		if (!parse(line, &maps->last))
			return -EPROTO;
	}
	*vma = maps->last;
	if (may_be_huge(vma))
		find_page_size(vma);
	return 0;
}

/* ---- one address ---- */

static int find_query(const struct oli_maps *maps, u64 addr, struct oli_vma *vma)
{
	struct query q = {.size = sizeof(q), .flags = QUERY_OR_NEXT, .addr = addr};
	int err = OLI_FAULT() ? -ENOTTY : oli_sys_ioctl(maps->list.fd, QUERY, &q);

	if (err)
		return err;
	vma->start = q.start;
	vma->end = q.end;
	vma->page_size = q.page_size;
	vma->flags = (u32)q.vma_flags & QUERY_FLAGS;
	if (q.inode)
		vma->flags |= OLI_VMA_FILE;
	return 0;
}

int oli_maps_open(struct oli_maps *maps, bool text)
{
	maps->text = text;
	maps->last.end = 0;
	maps->list.skip = false;
	return lines_open(&maps->list, "/proc/self/maps");
}

int oli_maps_find(struct oli_maps *maps, u64 addr, struct oli_vma *vma)
{
	if (!maps->text) {
		int err = find_query(maps, addr, vma);

		if (err != -ENOTTY && err != -EINVAL)
			return err;
		maps->text = true;
	}
	return find_text(maps, addr, vma);
}

void oli_maps_close(struct oli_maps *maps)
{
	oli_sys_close(maps->list.fd);
}
