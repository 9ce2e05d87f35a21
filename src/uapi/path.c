// SPDX-License-Identifier: MIT
/*
 * Which paths of the program are ours.
 *
 * Every open(), stat(), ... of the program comes through oli_path_classify(). It
 * looks at the first bytes as they were given; only what begins with /sys/class
 * or /dev/infiniband is normalised ("//", "/./", "..", by text) and looked at
 * again. "/sys/../dev/infiniband" is therefore not recognised. A foreign path
 * costs no system call and does not attach to the machine.
 */
#include <stdio.h>
#include <string.h>

#include "uapi/sysfs.h"

#define NO_MACHINE "/proc/no-olio-machine" /* cannot exist: answers ENOENT */

bool oli_path_skip(const char **p, const char *prefix)
{
	size_t len = strlen(prefix);

	if (strncmp(*p, prefix, len))
		return false;
	*p += len;
	return true;
}

bool oli_path_number(const char *s, u32 limit, u32 *out)
{
	u32 n = 0;

	if (s[0] < '0' || s[0] > '9' || (s[0] == '0' && s[1]))
		return false;
	for (; *s; s++) {
		if (*s < '0' || *s > '9' || n > UINT32_MAX / 10 - 1)
			return false;
		n = n * 10 + (u32)(*s - '0');
	}
	*out = n;
	return n < limit;
}

static const char dev_dir[] = "/dev/infiniband";

/*
 * Remove "//", "/./" and "x/.." from the absolute path @path, by text.
 * Return: false if the result has no room.
 */
static bool normalise(const char *path, char out[OLI_PATH_SIZE])
{
	size_t len = 0;

	while (*path) {
		size_t n;

		path += strspn(path, "/");
		n = strcspn(path, "/");
		if (n == 2 && path[0] == '.' && path[1] == '.') {
			while (len && out[--len] != '/')
				;
		} else if (n && !(n == 1 && path[0] == '.')) {
			if (n >= OLI_PATH_SIZE - len - 1)
				return false;
			out[len++] = '/';
			memcpy(out + len, path, n);
			len += n;
		}
		path += n;
	}
	out[len] = '\0';
	return true;
}

/* Redirect to @top@rel in the tree. A path without room for that exists nowhere in it. */
static void redirect(struct oli_machine *m, enum oli_path_kind kind, const char *top,
		     const char *rel, struct oli_path *out)
{
	char name[OLI_SYS_NAME];
	int n = -1;

	if (m) {
		oli_sys_name(m, name);
		n = snprintf(out->real, OLI_PATH_SIZE, "%s/%s%s%s", m->dir, name, top, rel);
	}

	out->kind = kind;
	if (n < 0 || (size_t)n >= OLI_PATH_SIZE)
		strcpy(out->real, NO_MACHINE);
}

static void classify_sys(const char *path, struct oli_path *out)
{
	static const char *const ours[] = {
		"/class/infiniband",	  "/class/infiniband_verbs", "/class/infiniband_mad",
		"/class/infiniband_ucma", "/class/misc/rdma_cm",
	};
	const char *rel = path + strlen("/sys");
	struct oli_machine *m;
	struct oli_synth s;

	for (size_t i = 0; i < OLI_ARRAY_SIZE(ours); i++) {
		const char *rest = rel;

		if (!oli_path_skip(&rest, ours[i]) || (*rest && *rest != '/'))
			continue;
		m = oli_process_machine();
		redirect(m, m && oli_synth_find(m, rel, &s) ? OLI_PATH_SYNTH : OLI_PATH_REDIRECT,
			 "", rel, out);
		return;
	}
}

static void classify_dev(const char *path, struct oli_path *out)
{
	const char *rest = path + strlen(dev_dir);
	const char *nr = rest;

	if (!*rest)
		redirect(oli_process_machine(), OLI_PATH_DEV_DIR, "/dev-infiniband", "", out);
	else if (*rest != '/')
		return;
	else if (!strcmp(rest, "/rdma_cm"))
		out->kind = OLI_PATH_RDMA_CM;
	else if (oli_path_skip(&nr, "/uverbs") && oli_path_number(nr, UINT32_MAX, &out->index))
		out->kind = OLI_PATH_UVERBS;
	else
		redirect(oli_process_machine(), OLI_PATH_REDIRECT, "/dev-infiniband", rest,
			 out);
}

void oli_path_classify(const char *path, struct oli_path *out)
{
	static const char sys_class[] = "/sys/class";
	char norm[OLI_PATH_SIZE];

	out->kind = OLI_PATH_FOREIGN;
	if (!path || path[0] != '/' || (path[1] != 's' && path[1] != 'd'))
		return;
	if (strncmp(path, sys_class, strlen(sys_class)) && strncmp(path, dev_dir, strlen(dev_dir)))
		return;
	if (!normalise(path, norm))
		return;
	if (!strncmp(norm, "/sys/", 5))
		classify_sys(norm, out);
	else if (!strncmp(norm, dev_dir, strlen(dev_dir)))
		classify_dev(norm, out);
}
