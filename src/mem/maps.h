/* SPDX-License-Identifier: MIT */
/*
 * The mappings of this process, as the kernel lists them.
 *
 * Newer kernels (6.11) answer for one address; of others the list is read as text, which
 * does not say how large pages are: for mappings that may have huge ones a longer
 * list is read as well.
 */
#ifndef OLI_MEM_MAPS_H
#define OLI_MEM_MAPS_H

#include "base/types.h"

enum {
	OLI_VMA_READ = 1 << 0,
	OLI_VMA_WRITE = 1 << 1,
	OLI_VMA_EXEC = 1 << 2,
	OLI_VMA_SHARED = 1 << 3,
	OLI_VMA_FILE = 1 << 4,
};

struct oli_vma {
	u64 start, end; /* end is exclusive, a multiple of the page size like start */
	u64 page_size;
	u32 flags; /* OLI_VMA_* */
};

/* Lines of a file, cut at the size of the buffer. */
struct oli_lines {
	int fd;
	u32 have, at;
	bool skip; /* the rest of a line that did not fit */
	char buf[1024];
};

struct oli_maps {
	bool text;
	struct oli_lines list;
	struct oli_vma last; /* text: the one read last; end 0: none */
};

/* @text: do not ask for single addresses. Return: 0, -errno. */
OLI_MUST_CHECK int oli_maps_open(struct oli_maps *maps, bool text);
/*
 * The mapping that holds @addr, or the next one above. Text: @addr ascends from
 * call to call. Return: 0, -ENOENT none, -errno.
 */
OLI_MUST_CHECK int oli_maps_find(struct oli_maps *maps, u64 addr, struct oli_vma *vma);
void oli_maps_close(struct oli_maps *maps);

#endif
