// SPDX-License-Identifier: MIT
/*
 * Names, directories and the file itself: finding, checking, making.
 *
 * Whoever holds flock() on the machine's directory may create or remove what is
 * in it. The file appears by rename, whole, so that nobody ever maps one that is
 * half made; the head of it carries a checksum, so that a damaged one is refused
 * with a sentence instead of a crash.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/rand.h"
#include "base/sys.h"
#include "machine/file.h"

#define MACHINE_SIZE (4ull << 30) /* of address space; memory is taken as needed */
#define MAGIC "OLIOmach"

#define WHY(...) snprintf(why, OLI_WHY_MAX, __VA_ARGS__)

int oli_file_back(int fd, u64 off, u64 len)
{
	int saved = errno, err;

	/* A signal makes tmpfs give up half-way; what it had taken it has given back. */
	do
		err = len && syscall(SYS_fallocate, fd, 0, off, len) < 0 ? -errno : 0;
	while (err == -EINTR);
	errno = saved;
	return err;
}

/* ---- directories ---- */

static bool name_ok(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

	return n && n < OLI_NAME_MAX && !name[n] && name[0] != '.';
}

static int own_dir(const char *path, bool create, char *why)
{
	struct stat st;

	if (create && mkdir(path, 0700) < 0 && errno != EEXIST) {
		WHY("cannot make the directory %s: %s", path, strerror(errno));
		return -errno;
	}
	if (lstat(path, &st) < 0) {
		WHY("no machine: %s does not exist", path);
		return -errno;
	}
	if (!S_ISDIR(st.st_mode)) {
		WHY("%s is not a directory", path);
		return -ENOTDIR;
	}
	if (st.st_uid != geteuid()) {
		WHY("%s belongs to another user (uid %u)", path, (unsigned)st.st_uid);
		return -EPERM;
	}
	return 0;
}

int oli_dir_resolve(const char *name, char dir[256], bool create, char *why)
{
	const char *run = getenv("XDG_RUNTIME_DIR");
	char base[200];
	int n;

	if (!name || !*name)
		name = getenv("OLIO_MACHINE");
	if (!name || !*name)
		name = "default";
	if (strchr(name, '/')) {
		if (name[0] != '/' || strlen(name) > 200) {
			WHY("a machine's directory must be an absolute path of at most 200 bytes");
			return -EINVAL;
		}
		snprintf(dir, 256, "%s", name);
		return 0;
	}
	if (!name_ok(name)) {
		WHY("'%s' is not a machine's name: use letters, digits, '.', '_' and '-'", name);
		return -EINVAL;
	}
	if (run && run[0] == '/' && strlen(run) < 150 && access(run, W_OK | X_OK) == 0)
		n = snprintf(base, sizeof(base), "%s/olio", run);
	else
		n = snprintf(base, sizeof(base), "/dev/shm/olio-%u", (unsigned)geteuid());
	n = own_dir(base, create, why);
	if (n)
		return n;
	snprintf(dir, 256, "%s/%.50s", base, name);
	return 0;
}

int oli_dir_open(const char *dir, bool create, int *dirfd, char *why)
{
	int err = own_dir(dir, create, why), fd;

	if (err)
		return err;
	fd = oli_sys_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (fd < 0) {
		WHY("cannot open %s: %s", dir, strerror(-fd));
		return fd;
	}
	*dirfd = oli_fd_to_high(fd);
	return 0;
}

/* Is this an entry that a machine makes in its directory? Nothing else there is ever touched. */
static bool is_ours(const char *name)
{
	return !strcmp(name, "machine") || !strcmp(name, "machine.new") || !strcmp(name, "sys") ||
	       !strncmp(name, "sys.", 4) || !strncmp(name, "ev-", 3);
}

static bool is_dot(const char *name)
{
	return !strcmp(name, ".") || !strcmp(name, "..");
}

/* A user may name any directory: one in which other things lie is not for a machine. */
static int check_only_ours(int dirfd)
{
	int fd = oli_sys_openat(dirfd, ".", O_RDONLY | O_DIRECTORY, 0), err = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!d)
		return fd < 0 ? fd : -ENOMEM;
	while (!err && (e = readdir(d)))
		if (!is_dot(e->d_name) && !is_ours(e->d_name))
			err = -ENOTEMPTY;
	closedir(d);
	return err;
}

/* Empty @dirfd; at the @top of a machine's directory of what is ours only. */
static void remove_tree(int dirfd, bool top)
{
	int fd = oli_sys_openat(dirfd, ".", O_RDONLY | O_DIRECTORY, 0);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!d)
		return;
	while ((e = readdir(d))) {
		int sub;

		if (is_dot(e->d_name) || (top && !is_ours(e->d_name)))
			continue;
		if (unlinkat(dirfd, e->d_name, 0) == 0 || (errno != EISDIR && errno != EPERM))
			continue;
		sub = oli_sys_openat(dirfd, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
		if (sub < 0)
			continue;
		remove_tree(sub, false);
		oli_sys_close(sub);
		unlinkat(dirfd, e->d_name, AT_REMOVEDIR);
	}
	closedir(d);
}

void oli_dir_clear(int dirfd)
{
	int saved = errno;

	/* The file first: without it nobody takes the rest for a machine. */
	unlinkat(dirfd, "machine", 0);
	remove_tree(dirfd, true);
	errno = saved;
}

void oli_dir_remove(int dirfd, const char *dir)
{
	int saved = errno;

	oli_dir_clear(dirfd);
	rmdir(dir);
	errno = saved;
}

/* ---- the file ---- */

/* FNV-1a over the fixed head. */
u32 oli_shm_check(const struct oli_shm *shm)
{
	const u8 *p = (const u8 *)shm;
	u32 h = 2166136261u;

	for (size_t i = 0; i < offsetof(struct oli_shm, check); i++)
		h = (h ^ p[i]) * 16777619u;
	return h;
}

static int check_head(const struct oli_shm *shm, u64 file_size, const char *dir, char *why)
{
	if (memcmp(shm->magic, MAGIC, sizeof(shm->magic))) {
		WHY("%s/machine is not a machine's file, or is damaged", dir);
		return -EUCLEAN;
	}
	if (shm->layout != OLI_LAYOUT_VERSION) {
		WHY("%s/machine was made by another version of olio (layout %u, this is %u): "
		    "end its programs and remove the directory",
		    dir, shm->layout, OLI_LAYOUT_VERSION);
		return -EPROTO;
	}
	if (shm->uid != geteuid()) {
		WHY("%s/machine belongs to another user (uid %u)", dir, shm->uid);
		return -EPERM;
	}
	if (shm->check != oli_shm_check(shm) || shm->size != file_size) {
		WHY("%s/machine is damaged: end its programs and remove the directory", dir);
		return -EUCLEAN;
	}
	return 0;
}

int oli_file_open(int dirfd, const char *dir, int *fdp, u64 *size, char *why)
{
	struct oli_shm *head;
	struct stat st;
	ssize_t n;
	int fd, err;

	fd = oli_sys_openat(dirfd, "machine", O_RDWR | O_NOFOLLOW, 0);
	if (fd < 0) {
		WHY(fd == -ENOENT ? "no machine in %s" : "cannot open the machine in %s", dir);
		return fd;
	}
	head = malloc(sizeof(*head));
	if (!head || oli_sys_fstat(fd, &st) < 0) {
		free(head);
		oli_sys_close(fd);
		WHY("out of memory");
		return -ENOMEM;
	}
	n = oli_sys_pread(fd, head, sizeof(*head), 0);
	if (n != (ssize_t)sizeof(*head) || !S_ISREG(st.st_mode)) {
		WHY("%s/machine is damaged: it is too short", dir);
		err = -EUCLEAN;
	} else {
		err = check_head(head, (u64)st.st_size, dir, why);
	}
	free(head);
	if (err) {
		oli_sys_close(fd);
		return err;
	}
	*fdp = oli_fd_to_high(fd);
	*size = (u64)st.st_size;
	return 0;
}

int oli_file_map(struct oli_machine *m, int fd, u64 size, char *why)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);

	if (p == MAP_FAILED) {
		int err = -errno;

		WHY("cannot map %llu MiB for the machine: %s", (unsigned long long)(size >> 20),
		    strerror(-err));
		return err;
	}
	m->base = p;
	m->shm = p;
	m->size = size;
	m->fd = fd;
	return 0;
}

/* Offsets of the fixed areas. Return: the first free byte. */
static u64 lay_out(struct oli_shm *shm, const struct oli_part *const *parts)
{
	u64 off = oli_align_up(sizeof(*shm), OLI_PAGE_SIZE);

	for (int i = 0; parts[i]; i++) {
		shm->part_off[i] = off;
		off = oli_align_up(off + parts[i]->root_size, OLI_PAGE_SIZE);
	}
	shm->record_off = off;
	off = oli_align_up(off + OLI_RECORDS * sizeof(struct oli_record), OLI_PAGE_SIZE);
	shm->owner_off = off;
	shm->heap_pages = (shm->size - off) / (OLI_PAGE_SIZE + sizeof(u16)) - 1;
	shm->heap_off = oli_align_up(off + shm->heap_pages * sizeof(u16), OLI_PAGE_SIZE);
	return shm->owner_off;
}

static void fill_head(struct oli_shm *shm, const char *dir, const struct oli_desc *desc, u32 flags)
{
	const char *slash = strrchr(dir, '/');
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	memcpy(shm->magic, MAGIC, sizeof(shm->magic));
	shm->layout = OLI_LAYOUT_VERSION;
	shm->uid = geteuid();
	shm->key_mask = oli_rand32();
	shm->flags = flags;
	snprintf(shm->name, sizeof(shm->name), "%.60s", slash ? slash + 1 : dir);
	shm->created_ns = (u64)ts.tv_sec * 1000000000ull + (u64)ts.tv_nsec;
	shm->desc = *desc;
}

/* The memory behind BARs, and the ports' state. */
static int fill_tree(struct oli_machine *m)
{
	struct oli_desc *d = &m->shm->desc;

	for (u8 i = 0; i < d->nr_nodes; i++) {
		atomic_store(&m->shm->tree.acs[i], d->node[i].acs);
		for (u32 b = 0; b < OLI_BARS; b++) {
			struct oli_bar *bar = &d->node[i].bar[b];

			if (bar->len &&
			    oli_heap_alloc(m, bar->len, OLI_OWNER_MACHINE, &bar->off))
				return -ENOSPC;
		}
	}
	return 0;
}

static int fill(struct oli_machine *m, const struct oli_desc *desc, u32 flags,
		const struct oli_part *const *parts, const struct oli_shm *plan)
{
	struct oli_shm *shm = m->shm;
	int err;

	*shm = *plan;
	fill_head(shm, m->dir, desc, flags);
	oli_lock_init(&shm->lock);
	oli_lock_init(&shm->heap_lock);
	err = fill_tree(m);
	if (err)
		return err;
	shm->check = oli_shm_check(shm);
	oli_devices_fill(m);
	for (int i = 0; parts[i]; i++) {
		err = parts[i]->init(m, oli_part_root(m, i));
		if (err)
			return err;
	}
	return 0;
}

/* ftruncate() beyond RLIMIT_FSIZE raises SIGXFSZ: ask first. */
static int set_size(int fd, u64 size)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_FSIZE, &lim) == 0 && lim.rlim_cur < size)
		return -EFBIG;
	return ftruncate(fd, (off_t)size) < 0 ? -errno : 0;
}

int oli_file_create(int dirfd, const char *dir, const struct oli_desc *desc, u32 flags,
		    const struct oli_part *const *parts, char *why)
{
	struct oli_machine m = {.dirfd = dirfd, .parts = parts};
	struct oli_shm *plan = calloc(1, sizeof(*plan));
	int fd, err = plan ? 0 : -ENOMEM;
	u64 fixed;

	if (err)
		return err;
	err = check_only_ours(dirfd);
	if (err) {
		WHY("no machine can be made in %s: %s", dir,
		    err == -ENOTEMPTY ? "there are other files in it" : strerror(-err));
		free(plan);
		return err;
	}
	snprintf(m.dir, sizeof(m.dir), "%s", dir);
	plan->size = MACHINE_SIZE;
	fixed = lay_out(plan, parts);
	unlinkat(dirfd, "machine.new", 0);
	fd = oli_sys_openat(dirfd, "machine.new", O_RDWR | O_CREAT | O_EXCL, 0600);
	err = fd < 0 ? fd : OLI_FAULT() ? -ENOSPC : set_size(fd, plan->size);
	if (!err)
		err = oli_file_back(fd, 0, fixed);
	if (!err)
		err = oli_file_map(&m, fd, plan->size, why);
	if (!err) {
		err = fill(&m, desc, flags, parts, plan);
		munmap(m.base, m.size);
	}
	if (!err && renameat(dirfd, "machine.new", dirfd, "machine") < 0)
		err = -errno;
	if (err) {
		unlinkat(dirfd, "machine.new", 0);
		WHY("cannot make a machine in %s: %s", dir,
		    err == -EFBIG ? "the file size limit (ulimit -f) is too low"
				  : strerror(-err));
	}
	if (fd >= 0)
		oli_sys_close(fd);
	free(plan);
	return err;
}
