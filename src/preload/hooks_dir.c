// SPDX-License-Identifier: MIT
/*
 * Listings: opendir(), scandir(), glob(). libc opens directories past the hooks
 * of open(), so each has its own.
 *
 * glob() is redirected when the part of the pattern before the first wildcard
 * is ours; what it finds gets the program's names again, which are never longer
 * than those in the machine's tree.
 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "preload/hooks.h"

/* Return: 0 if @p is to be listed as p->real, else -errno. */
static int listing_ours(const struct oli_path *p)
{
	switch (p->kind) {
	case OLI_PATH_UVERBS:
		return oli_node_exists(p->index) ? -ENOTDIR : -ENOENT;
	case OLI_PATH_RDMA_CM:
		return -ENOENT;
	case OLI_PATH_SYNTH:
		return -ENOTDIR;
	default:
		return 0;
	}
}

OLI_HOOK DIR *opendir(const char *path)
{
	struct oli_path p;

	if (!oli_path_ours(path, &p))
		return REAL(opendir)(path);
	if (oli_ret(listing_ours(&p)) < 0)
		return NULL;
	return REAL(opendir)(p.real);
}

typedef int filter_fn(const struct dirent *);
typedef int compar_fn(const struct dirent **, const struct dirent **);

static int hook_scandir(const char *path, struct dirent ***list, filter_fn *filter,
			compar_fn *compar)
{
	struct oli_path p;

	if (!oli_path_ours(path, &p))
		return REAL(scandir)(path, list, filter, compar);
	if (oli_ret(listing_ours(&p)) < 0)
		return -1;
	return REAL(scandir)(p.real, list, filter, compar);
}

OLI_HOOK int scandir(const char *restrict path, struct dirent ***restrict list, filter_fn *filter,
		     compar_fn *compar)
{
	return hook_scandir(path, list, filter, compar);
}

OLI_HOOK int scandir64(const char *restrict path, struct dirent64 ***restrict list,
		       int (*filter)(const struct dirent64 *),
		       int (*compar)(const struct dirent64 **, const struct dirent64 **))
{
	return hook_scandir(path, (struct dirent ***)list, (filter_fn *)(void *)filter,
			    (compar_fn *)(void *)compar);
}

static const char wildcards[] = "*?[\\{~";

/*
 * The pattern in the machine's tree for @pattern, into @out. Return: false if the
 * pattern is not ours, or if the machine's directory has a wildcard in its name.
 */
static bool pattern_ours(const char *pattern, char *out, size_t size)
{
	char head[sizeof(((struct oli_path *)0)->real)];
	size_t len = strcspn(pattern, wildcards);
	struct oli_path p;

	while (pattern[len] && len > 1 && pattern[len - 1] != '/')
		len--;
	if (len == 0 || len >= sizeof(head))
		return false;
	memcpy(head, pattern, len);
	head[len] = '\0';
	if (!oli_path_ours(head, &p))
		return false;
	if (p.kind != OLI_PATH_REDIRECT && p.kind != OLI_PATH_DEV_DIR)
		return false;
	if (strpbrk(p.real, wildcards))
		return false;
	return (size_t)snprintf(out, size, "%s%s%s", p.real, pattern[len] ? "/" : "",
				pattern + len) < size;
}

static int hook_glob(const char *pattern, int flags, int (*on_error)(const char *, int),
		     glob_t *result)
{
	size_t first = flags & GLOB_APPEND ? result->gl_pathc : 0;
	struct oli_machine *m;
	char ours[1024];
	int rc;

	if (pattern[0] != '/' || !pattern_ours(pattern, ours, sizeof(ours)))
		return REAL(glob)(pattern, flags, on_error, result);
	rc = REAL(glob)(ours, flags, on_error, result);
	m = oli_process_machine();
	if (rc || !m)
		return rc;
	if (flags & GLOB_DOOFFS)
		first += result->gl_offs;
	for (char **s = result->gl_pathv + first; *s; s++)
		oli_path_restore(m, m->dir, *s);
	return 0;
}

OLI_HOOK int glob(const char *restrict pattern, int flags, int (*on_error)(const char *, int),
		  glob_t *restrict result)
{
	return hook_glob(pattern, flags, on_error, result);
}

OLI_HOOK int glob64(const char *restrict pattern, int flags, int (*on_error)(const char *, int),
		    glob64_t *restrict result)
{
	return hook_glob(pattern, flags, on_error, (glob_t *)result);
}
