// SPDX-License-Identifier: MIT
/*
 * The sys tree: what /sys and /dev would show of the machine's devices.
 *
 * It is a real directory tree in the machine's directory, so that directory streams
 * and paths relative to a directory descriptor work with no help; one for each set
 * of devices that programs are shown (visible.c), here the usual one:
 *
 *   /sys/class/infiniband/...   <dir>/sys/class/infiniband/...
 *   /dev/infiniband             <dir>/sys/dev-infiniband, one empty file a node
 *
 * What changes (GIDs, counters) is answered at each open by synth.c. The tree has
 * it as well where it exists, as it was at the last build, for listings and
 * relative paths. Each file with content costs a page of shared memory, so only
 * what programs are known to read is there.
 *
 * A tree is built under a name of its own and put in place by one rename, so a
 * reader sees the old or the new one, and a builder that is killed or runs out
 * of space leaves the old one. What it left behind is removed by the next
 * builder in its slot, or with the machine.
 */
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/sys.h"
#include "uapi/sysfs.h"

#define TEXT_MAX 128

static void text_guid(const u8 g[8], char *buf, size_t size)
{
	snprintf(buf, size, "%02x%02x:%02x%02x:%02x%02x:%02x%02x\n", g[0], g[1], g[2], g[3], g[4],
		 g[5], g[6], g[7]);
}

static void text_rate(const struct ib_uverbs_query_port_resp *attr, char *buf, size_t size)
{
	/* By bit of active_speed: the rate of one lane in units of 0.5 Gb/s. */
	static const struct {
		const char *name;
		u32 half_gb;
	} speeds[] = {{"SDR", 5},  {"DDR", 10}, {"QDR", 20},  {"FDR10", 20},
		      {"FDR", 28}, {"EDR", 50}, {"HDR", 100}, {"NDR", 200}};
	static const u32 lanes[] = {1, 4, 8, 12, 2}; /* by bit of active_width */
	u32 speed = attr->active_speed ? (u32)__builtin_ctz(attr->active_speed) : 0;
	u32 width = attr->active_width ? (u32)__builtin_ctz(attr->active_width) : 0;
	u32 n, rate;

	if (speed >= OLI_ARRAY_SIZE(speeds))
		speed = 0;
	n = lanes[width < OLI_ARRAY_SIZE(lanes) ? width : 0];
	rate = speeds[speed].half_gb * n;
	snprintf(buf, size, "%u%s Gb/sec (%uX %s)\n", rate / 2, rate % 2 ? ".5" : "", n,
		 speeds[speed].name);
}

static const char *text_state(u8 state)
{
	static const char *const names[] = {"NOP", "DOWN", "INIT", "ARMED", "ACTIVE"};

	return state < OLI_ARRAY_SIZE(names) ? names[state] : "UNKNOWN";
}

static const char *text_phys_state(u8 state)
{
	static const char *const names[] = {[2] = "Polling", [3] = "Disabled", [5] = "LinkUp"};

	return state < OLI_ARRAY_SIZE(names) && names[state] ? names[state] : "<unknown>";
}

/* A tree under construction; the first error sticks and later steps do nothing. */
struct tree {
	int root;
	int err;
};

static void tree_dir(struct tree *t, const char *fmt, ...) OLI_PRINTF(2, 3);
static void tree_file(struct tree *t, const char *text, const char *fmt, ...) OLI_PRINTF(3, 4);

static void tree_path(struct tree *t, char path[OLI_PATH_SIZE], const char *fmt, va_list ap)
{
	int n = vsnprintf(path, OLI_PATH_SIZE, fmt, ap);

	if (!t->err && (n < 0 || (size_t)n >= OLI_PATH_SIZE))
		t->err = -ENAMETOOLONG;
	if (!t->err && OLI_FAULT())
		t->err = -ENOSPC;
}

static void tree_dir(struct tree *t, const char *fmt, ...)
{
	char path[OLI_PATH_SIZE];
	va_list ap;

	va_start(ap, fmt);
	tree_path(t, path, fmt, ap);
	va_end(ap);
	if (!t->err && mkdirat(t->root, path, 0755) < 0)
		t->err = -errno;
}

static void tree_file(struct tree *t, const char *text, const char *fmt, ...)
{
	size_t len = strlen(text);
	char path[OLI_PATH_SIZE];
	ssize_t n = 0;
	va_list ap;
	int fd;

	va_start(ap, fmt);
	tree_path(t, path, fmt, ap);
	va_end(ap);
	if (t->err)
		return;
	fd = oli_sys_openat(t->root, path, O_WRONLY | O_CREAT | O_EXCL, 0444);
	if (fd < 0) {
		t->err = fd;
		return;
	}
	if (len)
		n = oli_sys_write(fd, text, len);
	if (n != (ssize_t)len)
		t->err = n < 0 ? (int)n : -ENOSPC;
	oli_sys_close(fd);
}

static void build_synth(struct tree *t, struct oli_machine *m, struct oli_synth s,
			const char *where, const char *name)
{
	char text[OLI_SYNTH_MAX];

	if (oli_synth_text(m, &s, text) > 0)
		tree_file(t, text, "class/infiniband/%s/ports/1/%s/%s", m->shm->devices[s.dev].name,
			  where, name);
}

static void build_gids(struct tree *t, struct oli_machine *m, u32 dev)
{
	struct oli_gid_entry gids[OLI_GIDS];
	char name[12];

	oli_device_gids(&m->shm->devices[dev], gids);
	for (u32 i = 0; i < OLI_GIDS; i++) {
		if (!gids[i].valid)
			continue;
		snprintf(name, sizeof(name), "%u", i);
		build_synth(t, m, (struct oli_synth){OLI_SYNTH_GID, dev, i}, "gids", name);
		build_synth(t, m, (struct oli_synth){OLI_SYNTH_TYPE, dev, i}, "gid_attrs/types",
			    name);
		build_synth(t, m, (struct oli_synth){OLI_SYNTH_NDEV, dev, i}, "gid_attrs/ndevs",
			    name);
	}
}

static void build_port_dirs(struct tree *t, const char *dev)
{
	static const char *const dirs[] = {
		"",
		"/ports",
		"/ports/1",
		"/ports/1/gids",
		"/ports/1/gid_attrs",
		"/ports/1/gid_attrs/types",
		"/ports/1/pkeys",
		"/ports/1/gid_attrs/ndevs",
		"/ports/1/hw_counters",
	};

	for (size_t i = 0; i < OLI_ARRAY_SIZE(dirs); i++)
		tree_dir(t, "class/infiniband/%s%s", dev, dirs[i]);
}

static void build_port(struct tree *t, struct oli_machine *m, u32 dev)
{
	const char *name = m->shm->devices[dev].name;
	struct ib_uverbs_query_port_resp a = {0};
	char text[TEXT_MAX];

	if (!t->err)
		t->err = oli_port_query(m, dev, 1, &a);

#define PORT_FILE(file, ...)                                                                       \
	(snprintf(text, sizeof(text), __VA_ARGS__),                                                \
	 tree_file(t, text, "class/infiniband/%s/ports/1/%s", name, file))

	PORT_FILE("state", "%u: %s\n", a.state, text_state(a.state));
	PORT_FILE("phys_state", "%u: %s\n", a.phys_state, text_phys_state(a.phys_state));
	PORT_FILE("lid", "0x%x\n", a.lid);
	PORT_FILE("sm_lid", "0x%x\n", a.sm_lid);
	PORT_FILE("sm_sl", "%u\n", a.sm_sl);
	PORT_FILE("lid_mask_count", "%u\n", a.lmc);
	PORT_FILE("cap_mask", "0x%08x\n", a.port_cap_flags);
	PORT_FILE("link_layer", "Ethernet\n");
	PORT_FILE("pkeys/0", "0xffff\n");
	PORT_FILE("hw_counters/lifespan", "10\n");
#undef PORT_FILE
	text_rate(&a, text, sizeof(text));
	tree_file(t, text, "class/infiniband/%s/ports/1/rate", name);
	for (u32 i = 0; oli_counter_name(i); i++)
		tree_file(t, "", "class/infiniband/%s/ports/1/hw_counters/%s", name,
			  oli_counter_name(i));
}

static void build_device(struct tree *t, struct oli_machine *m, u32 dev)
{
	const struct oli_device *d = &m->shm->devices[dev];
	char text[TEXT_MAX];

	build_port_dirs(t, d->name);
	text_guid(d->node_guid, text, sizeof(text));
	tree_file(t, text, "class/infiniband/%s/node_guid", d->name);
	tree_file(t, text, "class/infiniband/%s/sys_image_guid", d->name);
	tree_file(t, "1: CA\n", "class/infiniband/%s/node_type", d->name);
	snprintf(text, sizeof(text), "%s\n", oli_device_kind_name(d->kind));
	tree_file(t, text, "class/infiniband/%s/node_desc", d->name);
	tree_file(t, "\n", "class/infiniband/%s/fw_ver", d->name);
	snprintf(text, sizeof(text), "%s\n", d->netdev);
	tree_file(t, text, "class/infiniband/%s/parent", d->name);
	build_port(t, m, dev);
	build_gids(t, m, dev);
}

static void build_node(struct tree *t, struct oli_machine *m, u32 dev)
{
	char text[TEXT_MAX];

	tree_dir(t, "class/infiniband_verbs/uverbs%u", dev);
	snprintf(text, sizeof(text), "%s\n", m->shm->devices[dev].name);
	tree_file(t, text, "class/infiniband_verbs/uverbs%u/ibdev", dev);
	snprintf(text, sizeof(text), "%u:%u\n", OLI_UVERBS_MAJOR, OLI_UVERBS_MINOR + dev);
	tree_file(t, text, "class/infiniband_verbs/uverbs%u/dev", dev);
	tree_file(t, "2\n", "class/infiniband_verbs/uverbs%u/abi_version", dev);
	tree_file(t, "", "dev-infiniband/uverbs%u", dev);
}

static void build_all(struct tree *t, struct oli_machine *m)
{
	static const char *const dirs[] = {
		"class",
		"class/infiniband",
		"class/infiniband_verbs",
		"class/infiniband_mad",
		"dev-infiniband",
	};

	for (size_t i = 0; i < OLI_ARRAY_SIZE(dirs); i++)
		tree_dir(t, "%s", dirs[i]);
	tree_file(t, "6\n", "class/infiniband_verbs/abi_version");
	tree_file(t, "5\n", "class/infiniband_mad/abi_version");
	for (u32 dev = 0; dev < m->shm->nr_devices; dev++) {
		if (!oli_device_visible(m, dev))
			continue;
		build_device(t, m, dev);
		build_node(t, m, dev);
	}
}

/* Remove the directory @name in @dirfd with all below it; what is not there is no error. */
static void remove_tree(int dirfd, const char *name)
{
	int fd = oli_sys_openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!dir) {
		if (fd >= 0)
			oli_sys_close(fd);
		return;
	}
	while ((e = readdir(dir))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (e->d_type == DT_DIR)
			remove_tree(fd, e->d_name);
		else
			unlinkat(fd, e->d_name, 0);
	}
	closedir(dir);
	unlinkat(dirfd, name, AT_REMOVEDIR);
}

/* @name becomes @sys; what was @sys before is removed. */
static int put_in_place(int dirfd, const char *name, const char *sys)
{
	if (renameat2(dirfd, name, dirfd, sys, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno == EEXIST && renameat2(dirfd, name, dirfd, sys, RENAME_EXCHANGE) == 0) {
		remove_tree(dirfd, name);
		return 0;
	}
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	/* A file system that knows neither flag: there is a moment without a tree. */
	remove_tree(dirfd, sys);
	return renameat(dirfd, name, dirfd, sys) < 0 ? -errno : 0;
}

int oli_sysfs_build(struct oli_machine *m)
{
	struct tree t = {.root = -1};
	int saved = errno;
	char name[32], sys[OLI_SYS_NAME];

	oli_sys_name(m, sys);
	snprintf(name, sizeof(name), "sys.new.%u", m->slot);
	remove_tree(m->dirfd, name);
	if (mkdirat(m->dirfd, name, 0755) < 0)
		t.err = -errno;
	else
		t.root = oli_sys_openat(m->dirfd, name, O_RDONLY | O_DIRECTORY, 0);
	if (!t.err && t.root < 0)
		t.err = t.root;
	build_all(&t, m);
	if (t.root >= 0)
		oli_sys_close(t.root);
	if (!t.err)
		t.err = put_in_place(m->dirfd, name, sys);
	if (t.err)
		remove_tree(m->dirfd, name);
	errno = saved;
	return t.err;
}
