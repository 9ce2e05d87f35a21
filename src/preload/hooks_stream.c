// SPDX-License-Identifier: MIT
/*
 * Streams. libc opens and closes the descriptor of a stream past the hooks of
 * open() and close(): a stream on a path of ours is made here, and closing one
 * on a number of ours takes the number out of the table first.
 */
#include <string.h>

#include "preload/hooks.h"

/* open() flags of an fopen() mode. */
static int mode_flags(const char *mode)
{
	int flags = strchr(mode, '+') ? O_RDWR : mode[0] == 'r' ? O_RDONLY : O_WRONLY;

	if (mode[0] == 'w')
		flags |= O_CREAT | O_TRUNC;
	if (mode[0] == 'a')
		flags |= O_CREAT | O_APPEND;
	if (strchr(mode, 'x'))
		flags |= O_EXCL;
	if (strchr(mode, 'e'))
		flags |= O_CLOEXEC;
	return flags;
}

static FILE *hook_fopen(const char *path, const char *mode)
{
	struct oli_path p;
	FILE *stream;
	int fd;

	if (!oli_path_ours(path, &p))
		return REAL(fopen)(path, mode);
	fd = (int)oli_ret(oli_node_open(&p, mode_flags(mode), 0666));
	if (fd < 0)
		return NULL;
	stream = fdopen(fd, mode);
	if (!stream)
		close(fd);
	return stream;
}

OLI_HOOK FILE *fopen(const char *restrict path, const char *restrict mode)
{
	return hook_fopen(path, mode);
}

OLI_HOOK FILE *fopen64(const char *restrict path, const char *restrict mode)
{
	return hook_fopen(path, mode);
}

static void stream_closing(FILE *stream)
{
	int saved = errno;
	int fd = fileno(stream);

	if (fd >= 0 && oli_fd_lookup(fd) && oli_same_process())
		oli_fd_closing(fd);
	errno = saved;
}

/* The stream keeps its own number, so what we open is only a way to its content. */
static FILE *hook_freopen(const char *path, const char *mode, FILE *stream)
{
	struct oli_path p;
	char link[32];
	int fd;

	stream_closing(stream);
	if (!oli_path_ours(path, &p))
		return REAL(freopen)(path, mode, stream);
	fd = p.kind == OLI_PATH_UVERBS ? -EACCES : oli_node_open(&p, mode_flags(mode), 0666);
	if (oli_ret(fd) < 0) {
		fclose(stream);
		errno = -fd;
		return NULL;
	}
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	stream = REAL(freopen)(link, mode, stream);
	REAL(close)(fd);
	return stream;
}

OLI_HOOK FILE *freopen(const char *restrict path, const char *restrict mode, FILE *restrict stream)
{
	return hook_freopen(path, mode, stream);
}

OLI_HOOK FILE *freopen64(const char *restrict path, const char *restrict mode,
			 FILE *restrict stream)
{
	return hook_freopen(path, mode, stream);
}

OLI_HOOK int fclose(FILE *stream)
{
	stream_closing(stream);
	return REAL(fclose)(stream);
}
