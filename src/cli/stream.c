// SPDX-License-Identifier: MIT
/*
 * Copy the output of a program line by line behind a label, so that the lines
 * of two programs stay whole and can be told apart.
 *
 * Bytes wait in @buf until their line is complete. A line longer than the
 * buffer is cut into several, each behind the label; the last line of a program
 * gets a newline if it had none.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

void stream_init(struct stream *s, int fd, FILE *to, const char *label, const char *color)
{
	s->fd = fd;
	s->to = to;
	s->label = label;
	s->color = color;
	s->len = 0;
	fcntl(fd, F_SETFL, O_NONBLOCK);
}

static void put_line(const struct stream *s, const char *line, size_t len)
{
	fprintf(s->to, "%s%s |%s ", s->color, s->label, *s->color ? "\033[0m" : "");
	fwrite(line, 1, len, s->to);
	fputc('\n', s->to);
}

static void put_lines(struct stream *s)
{
	char *line = s->buf;
	char *end = s->buf + s->len;
	char *nl;

	while ((nl = memchr(line, '\n', (size_t)(end - line)))) {
		put_line(s, line, (size_t)(nl - line));
		line = nl + 1;
	}
	s->len = (size_t)(end - line);
	memmove(s->buf, line, s->len);
	if (s->len == sizeof(s->buf)) {
		put_line(s, s->buf, s->len);
		s->len = 0;
	}
}

static void at_end(struct stream *s)
{
	if (s->len)
		put_line(s, s->buf, s->len);
	s->len = 0;
	close(s->fd);
	s->fd = -1;
}

void stream_pump(struct stream *s)
{
	while (s->fd >= 0) {
		ssize_t n = read(s->fd, s->buf + s->len, sizeof(s->buf) - s->len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0) {
			at_end(s);
			break;
		}
		s->len += (size_t)n;
		put_lines(s);
	}
	fflush(s->to);
}

void stream_finish(struct stream *s)
{
	stream_pump(s);
	if (s->fd >= 0)
		at_end(s);
	fflush(s->to);
}
