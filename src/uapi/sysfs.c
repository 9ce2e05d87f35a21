// SPDX-License-Identifier: MIT
/*
 * What /sys and /dev would show of the machine's devices.
 *
 * The sys tree is a real directory tree, <machine dir>/sys, so that directory
 * streams and paths relative to a directory descriptor work with no help:
 *
 *   /sys/class/infiniband/...   <dir>/sys/class/infiniband/...
 *   /dev/infiniband             <dir>/sys/dev-infiniband, one empty file a node
 *
 * The GID table and the hardware counters change, and Linux shows 1024 GID slots
 * where few are in use: absolute paths of those are SYNTH, answered from the live
 * table at each open. The tree has them as well where they exist, as they were at
 * the last build, for listings and relative paths.
 *
 * Every open(), stat(), ... of the program comes through oli_path_classify(). It
 * looks at the first bytes as they were given; only what begins with /sys/class
 * or /dev/infiniband is normalised ("//", "/./", "..", by text) and looked at
 * again. "/sys/../dev/infiniband" is therefore not recognised.
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
#include <sys/mman.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/sys.h"
#include "rdma/rdma.h"
#include "uapi/uapi.h"

#define PATH_SIZE  sizeof(((struct oli_path *)0)->real)
#define NO_MACHINE "/proc/no-olio-machine" /* cannot exist: answers ENOENT */
#define TEXT_MAX   128

/* ---- text of the attributes ---- */

static int text_gid(const u8 gid[16], char *buf, size_t size)
{
	size_t len = 0;

	for (int i = 0; i < 16; i += 2)
		len += (size_t)snprintf(buf + len, size - len, "%02x%02x%c", gid[i], gid[i + 1],
					i < 14 ? ':' : '\n');
	return (int)len;
}

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

/* ---- synthesised files ---- */

enum synth_kind { SYNTH_GID, SYNTH_TYPE, SYNTH_NDEV, SYNTH_COUNTER };

struct synth {
	enum synth_kind kind;
	u32 dev;
	u32 index; /* GID slot, or index in counters[] */
};

#define COUNTED(member) offsetof(struct oli_device, member)
#define COUNTED_NOT	SIZE_MAX

/* The names of Linux's rxe. What this adapter cannot have (packets lost) stays 0. */
static const struct {
	const char *name;
	size_t member;
} counters[] = {
	{"ack_deferred", COUNTED_NOT},		 {"completer_retry_err", COUNTED(retries)},
	{"duplicate_request", COUNTED_NOT},	 {"link_downed", COUNTED_NOT},
	{"out_of_seq_request", COUNTED_NOT},	 {"rcvd_bytes", COUNTED(rcvd_bytes)},
	{"rcvd_pkts", COUNTED(rcvd_msgs)},	 {"rcvd_rnr_err", COUNTED(rnr_naks)},
	{"rcvd_seq_err", COUNTED_NOT},		 {"rdma_recvs", COUNTED(rcvd_msgs)},
	{"rdma_sends", COUNTED(sent_msgs)},	 {"retry_exceeded_err", COUNTED_NOT},
	{"retry_rnr_exceeded_err", COUNTED_NOT}, {"send_err", COUNTED_NOT},
	{"send_rnr_err", COUNTED(rnr_naks)},	 {"sent_bytes", COUNTED(sent_bytes)},
	{"sent_pkts", COUNTED(sent_msgs)},
};

/* Past @prefix at *@p, if it is there. */
static bool skip(const char **p, const char *prefix)
{
	size_t len = strlen(prefix);

	if (strncmp(*p, prefix, len))
		return false;
	*p += len;
	return true;
}

/* A whole decimal number below @limit, written as the kernel writes it. */
static bool number(const char *s, u32 limit, u32 *out)
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

static bool counter_find(const char *name, u32 *index)
{
	for (u32 i = 0; i < OLI_ARRAY_SIZE(counters); i++) {
		if (!strcmp(name, counters[i].name)) {
			*index = i;
			return true;
		}
	}
	return false;
}

static bool device_find(struct oli_machine *m, const char **p, u32 *dev)
{
	for (u32 i = 0; i < m->shm->nr_devices; i++) {
		const char *q = *p;

		if (skip(&q, m->shm->devices[i].name) && *q == '/') {
			*p = q;
			*dev = i;
			return true;
		}
	}
	return false;
}

/* Is @rel, below /sys, a synthesised file? */
static bool synth_find(struct oli_machine *m, const char *rel, struct synth *s)
{
	if (!skip(&rel, "/class/infiniband/") || !device_find(m, &rel, &s->dev) ||
	    !skip(&rel, "/ports/1/"))
		return false;
	if (skip(&rel, "hw_counters/")) {
		s->kind = SYNTH_COUNTER;
		return counter_find(rel, &s->index);
	}
	if (skip(&rel, "gids/"))
		s->kind = SYNTH_GID;
	else if (skip(&rel, "gid_attrs/types/"))
		s->kind = SYNTH_TYPE;
	else if (skip(&rel, "gid_attrs/ndevs/"))
		s->kind = SYNTH_NDEV;
	else
		return false;
	return number(rel, OLI_GID_TBL_LEN, &s->index);
}

static int text_counter(struct oli_device *dev, u32 index, char *buf, size_t size)
{
	size_t member = counters[index].member;
	u64 value = 0;

	if (member != COUNTED_NOT)
		value = *(_Atomic u64 *)((u8 *)dev + member);
	return snprintf(buf, size, "%llu\n", (unsigned long long)value);
}

/* Length of the content in @buf, or -EINVAL: the attributes of an empty slot cannot be read. */
static int synth_text(struct oli_machine *m, const struct synth *s, char *buf, size_t size)
{
	struct oli_device *dev = &m->shm->devices[s->dev];
	struct oli_gid_entry gids[OLI_GIDS], empty = {0};
	const struct oli_gid_entry *g = &empty;

	if (s->kind == SYNTH_COUNTER)
		return text_counter(dev, s->index, buf, size);
	oli_device_gids(dev, gids);
	if (s->index < OLI_GIDS && gids[s->index].valid)
		g = &gids[s->index];
	if (s->kind == SYNTH_GID)
		return text_gid(g->gid, buf, size);
	if (!g->valid)
		return -EINVAL;
	if (s->kind == SYNTH_TYPE)
		return snprintf(buf, size, "RoCE v2\n");
	return snprintf(buf, size, "%.*s\n", (int)sizeof(g->netdev), g->netdev);
}

static int memfd_of_text(const char *text, size_t len, int *fdp)
{
	int saved = errno;
	int fd = OLI_FAULT() ? -1 : memfd_create("olio-sysfs", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ssize_t n;

	if (fd < 0) {
		errno = saved;
		return -EMFILE;
	}
	n = oli_sys_pwrite(fd, text, len, 0);
	if (n != (ssize_t)len) {
		oli_sys_close(fd);
		return n < 0 ? (int)n : -ENOSPC;
	}
	oli_sys_fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
	*fdp = fd;
	return 0;
}

int oli_synth_open(const struct oli_path *p, int *fd)
{
	struct oli_machine *m = oli_process_machine();
	char text[TEXT_MAX];
	struct synth s;
	size_t dir;
	int len;

	if (!m)
		return -ENOENT;
	dir = strlen(m->dir) + strlen("/sys");
	if (strnlen(p->real, PATH_SIZE) < dir || !synth_find(m, p->real + dir, &s))
		return -ENOENT;
	len = synth_text(m, &s, text, sizeof(text));
	return len < 0 ? len : memfd_of_text(text, (size_t)len, fd);
}

/* ---- which path is whose ---- */

static const char dev_dir[] = "/dev/infiniband";

/*
 * Remove "//", "/./" and "x/.." from the absolute path @path, by text.
 * Return: false if the result has no room.
 */
static bool normalise(const char *path, char out[PATH_SIZE])
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
			if (n >= PATH_SIZE - len - 1)
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

/* Redirect to <dir>@top@rel. A path without room for that exists nowhere in the tree. */
static void redirect(struct oli_machine *m, enum oli_path_kind kind, const char *top,
		     const char *rel, struct oli_path *out)
{
	int n = m ? snprintf(out->real, PATH_SIZE, "%s%s%s", m->dir, top, rel) : -1;

	out->kind = kind;
	if (n < 0 || (size_t)n >= PATH_SIZE)
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
	struct synth s;

	for (size_t i = 0; i < OLI_ARRAY_SIZE(ours); i++) {
		const char *rest = rel;

		if (!skip(&rest, ours[i]) || (*rest && *rest != '/'))
			continue;
		m = oli_process_machine();
		redirect(m, m && synth_find(m, rel, &s) ? OLI_PATH_SYNTH : OLI_PATH_REDIRECT,
			 "/sys", rel, out);
		return;
	}
}

static void classify_dev(const char *path, struct oli_path *out)
{
	const char *rest = path + strlen(dev_dir);
	const char *nr = rest;

	if (!*rest)
		redirect(oli_process_machine(), OLI_PATH_DEV_DIR, "/sys/dev-infiniband", "", out);
	else if (*rest != '/')
		return;
	else if (!strcmp(rest, "/rdma_cm"))
		out->kind = OLI_PATH_RDMA_CM;
	else if (skip(&nr, "/uverbs") && number(nr, UINT32_MAX, &out->index))
		out->kind = OLI_PATH_UVERBS;
	else
		redirect(oli_process_machine(), OLI_PATH_REDIRECT, "/sys/dev-infiniband", rest,
			 out);
}

void oli_path_classify(const char *path, struct oli_path *out)
{
	static const char sys_class[] = "/sys/class";
	char norm[PATH_SIZE];

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

/* ---- the tree ---- */

/* A tree under construction; the first error sticks and later steps do nothing. */
struct tree {
	int root;
	int err;
};

static void tree_dir(struct tree *t, const char *fmt, ...) OLI_PRINTF(2, 3);
static void tree_file(struct tree *t, const char *text, const char *fmt, ...) OLI_PRINTF(3, 4);

static void tree_path(struct tree *t, char path[PATH_SIZE], const char *fmt, va_list ap)
{
	int n = vsnprintf(path, PATH_SIZE, fmt, ap);

	if (!t->err && (n < 0 || (size_t)n >= PATH_SIZE))
		t->err = -ENAMETOOLONG;
	if (!t->err && OLI_FAULT())
		t->err = -ENOSPC;
}

static void tree_dir(struct tree *t, const char *fmt, ...)
{
	char path[PATH_SIZE];
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
	char path[PATH_SIZE];
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

static void build_synth(struct tree *t, struct oli_machine *m, struct synth s, const char *where,
			const char *name)
{
	char text[TEXT_MAX];

	if (synth_text(m, &s, text, sizeof(text)) > 0)
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
		build_synth(t, m, (struct synth){SYNTH_GID, dev, i}, "gids", name);
		build_synth(t, m, (struct synth){SYNTH_TYPE, dev, i}, "gid_attrs/types", name);
		build_synth(t, m, (struct synth){SYNTH_NDEV, dev, i}, "gid_attrs/ndevs", name);
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
	for (u32 i = 0; i < OLI_ARRAY_SIZE(counters); i++)
		tree_file(t, "", "class/infiniband/%s/ports/1/hw_counters/%s", name,
			  counters[i].name);
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
	tree_file(t, "rxe\n", "class/infiniband/%s/node_desc", d->name);
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

/* @name becomes "sys"; what was "sys" before is removed. */
static int put_in_place(int dirfd, const char *name)
{
	if (renameat2(dirfd, name, dirfd, "sys", RENAME_NOREPLACE) == 0)
		return 0;
	if (errno == EEXIST && renameat2(dirfd, name, dirfd, "sys", RENAME_EXCHANGE) == 0) {
		remove_tree(dirfd, name);
		return 0;
	}
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	/* A file system that knows neither flag: there is a moment without a tree. */
	remove_tree(dirfd, "sys");
	return renameat(dirfd, name, dirfd, "sys") < 0 ? -errno : 0;
}

int oli_sysfs_build(struct oli_machine *m)
{
	struct tree t = {.root = -1};
	int saved = errno;
	char name[32];

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
		t.err = put_in_place(m->dirfd, name);
	if (t.err)
		remove_tree(m->dirfd, name);
	errno = saved;
	return t.err;
}
