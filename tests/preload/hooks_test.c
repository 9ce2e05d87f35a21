// SPDX-License-Identifier: MIT
/*
 * Every hook of the preload library against the contract of the libc function
 * whose name it has. Run with LD_PRELOAD set to the library; uses a machine of
 * its own. Needs no RDMA library: what is behind the numbers is tested elsewhere.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <linux/netlink.h>
#include <poll.h>
#include <pthread.h>
#include <rdma/rdma_netlink.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define NODE	"/dev/infiniband/uverbs0"
#define NO_NODE "/dev/infiniband/uverbs77"
#define CM	"/dev/infiniband/rdma_cm"
#define IB	"/sys/class/infiniband"
#define RXE	IB "/rxe0"
#define PLAIN	RXE "/node_type"
#define GID	RXE "/ports/1/gids/900"
#define NO_TYPE RXE "/ports/1/gid_attrs/types/900"
#define NO_FILE RXE "/no-such-file"

static char machine_dir[64];

#define FAILS(call, err)                                                                           \
	do {                                                                                       \
		errno = 0;                                                                         \
		assert_int_equal((long)(call), -1);                                                \
		assert_int_equal(errno, err);                                                      \
	} while (0)

#define FAILS_NULL(call, err)                                                                      \
	do {                                                                                       \
		errno = 0;                                                                         \
		assert_null(call);                                                                 \
		assert_int_equal(errno, err);                                                      \
	} while (0)

/* A function that the headers of this libc no longer declare, or only with fortify. */
#define OLD(ret, name, ...) ((ret(*)(__VA_ARGS__))old_function(#name))

static void *old_function(const char *name)
{
	void *fn = dlsym(RTLD_DEFAULT, name);

	if (!fn)
		fail_msg("%s is missing", name);
	return fn;
}

static int count_entries(const char *path)
{
	DIR *d = opendir(path);
	int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static int open_node(void)
{
	int fd = open(NODE, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static bool is_node(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(231, 192);
}

static void expect_content(int fd, const char *want)
{
	char buf[128] = "";

	assert_true(fd >= 0);
	assert_true(read(fd, buf, sizeof(buf) - 1) >= 0);
	assert_string_equal(buf, want);
	assert_int_equal(close(fd), 0);
}

/* ---- a program that has nothing to do with RDMA; must be the first test ---- */

static void foreign_calls_attach_nothing(void **state)
{
	int fds = count_entries("/proc/self/fd"), tasks = count_entries("/proc/self/task");
	struct stat st;
	int fd, fd2, p[2];
	FILE *f;

	(void)state;
	fd = open("/dev/null", O_RDWR);
	assert_int_equal(fcntl(fd, F_GETFD), 0);
	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(stat("/sys/class/net", &st), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(access("/dev/null", R_OK), 0);
	fd2 = dup(fd);
	assert_int_equal(dup2(fd, fd2), fd2);
	close(fd2);
	close(fd);
	assert_int_equal(pipe(p), 0);
	assert_int_equal(write(p[1], "ab", 2), 2);
	close(p[0]);
	close(p[1]);
	fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	assert_true(fd >= 0);
	close(fd);
	f = fopen("/proc/self/status", "r");
	assert_non_null(f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(count_entries("/proc/self/fd"), fds);
	assert_int_equal(count_entries("/proc/self/task"), tasks);
	FAILS(access(machine_dir, F_OK), ENOENT);
}

static void bad_pointers(void **state)
{
	const char *volatile null = NULL;
	struct stat st;

	(void)state;
	FAILS(open(null, O_RDONLY), EFAULT);
	FAILS(stat(null, &st), EFAULT);
	FAILS(access(null, F_OK), EFAULT);
	FAILS(open("", O_RDONLY), ENOENT);
}

/* ---- open ---- */

static void open_nodes(void **state)
{
	static const int access_modes[] = {O_RDWR, O_RDONLY, O_WRONLY};
	int fd;

	(void)state;
	for (int i = 0; i < 3; i++) {
		fd = open(NODE, access_modes[i]);
		assert_true(is_node(fd));
		assert_int_equal(fcntl(fd, F_GETFD), 0);
		assert_int_equal(close(fd), 0);
	}
	fd = open64(NODE, O_RDWR | O_CLOEXEC);
	assert_true(is_node(fd));
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
	fd = openat(AT_FDCWD, NODE, O_RDWR);
	assert_true(is_node(fd));
	close(fd);
	/* "//" before the known part is not recognised. */
	FAILS(open("/dev//infiniband/uverbs0", O_RDWR), ENOENT);
	/* A device of the machine that this program is not shown. */
	FAILS(open("/dev/infiniband/uverbs1", O_RDWR), ENOENT);
	fd = openat64(-1, "/dev/infiniband//./uverbs0", O_RDWR);
	assert_true(is_node(fd));
	close(fd);
	fd = OLD(int, __open_2, const char *, int)(NODE, O_RDWR);
	assert_true(is_node(fd));
	close(fd);
	fd = OLD(int, __openat64_2, int, const char *, int)(AT_FDCWD, NODE, O_RDWR);
	assert_true(is_node(fd));
	close(fd);
}

static void open_refused(void **state)
{
	(void)state;
	FAILS(open(NO_NODE, O_RDWR), ENOENT);
	FAILS(open(CM, O_RDWR), ENOENT);
	FAILS(open("/dev/infiniband/umad0", O_RDWR), EACCES);
	FAILS(open("/dev/infiniband/umad0", O_RDONLY), ENOENT);
	FAILS(open(NODE, O_RDWR | O_DIRECTORY), ENOTDIR);
	FAILS(open(NODE, O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
	FAILS(open(NO_FILE, O_RDONLY), ENOENT);
	FAILS(open(PLAIN, O_RDWR), EACCES);
	FAILS(open(GID, O_WRONLY), EACCES);
	FAILS(open(RXE "/new", O_CREAT | O_WRONLY, 0600), EACCES);
	FAILS(creat(PLAIN, 0600), EACCES);
	FAILS(creat64(PLAIN, 0600), EACCES);
	FAILS(open(NO_TYPE, O_RDONLY), EINVAL);
	FAILS(open(GID, O_RDONLY | O_DIRECTORY), ENOTDIR);
}

static void open_files(void **state)
{
	int dir, fd;

	(void)state;
	expect_content(open(PLAIN, O_RDONLY), "1: CA\n");
	expect_content(open64(PLAIN, O_RDONLY | O_CLOEXEC), "1: CA\n");
	expect_content(OLD(int, __open64_2, const char *, int)(PLAIN, O_RDONLY), "1: CA\n");
	expect_content(OLD(int, __openat_2, int, const char *, int)(-1, PLAIN, O_RDONLY),
		       "1: CA\n");
	expect_content(open(GID, O_RDONLY), "0000:0000:0000:0000:0000:0000:0000:0000\n");
	fd = open(GID, O_RDONLY | O_CLOEXEC);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
	dir = open(RXE, O_RDONLY | O_DIRECTORY);
	assert_true(dir >= 0);
	expect_content(openat(dir, "node_type", O_RDONLY), "1: CA\n");
	close(dir);
}

/* ---- stat ---- */

static void expect_node_stat(int rc, const struct stat *st)
{
	assert_int_equal(rc, 0);
	assert_int_equal(st->st_mode, S_IFCHR | 0666);
	assert_int_equal(st->st_rdev, makedev(231, 192));
}

static void stat_by_path(void **state)
{
	struct stat64 st64;
	struct stat st;

	(void)state;
	expect_node_stat(stat(NODE, &st), &st);
	expect_node_stat(lstat(NODE, &st), &st);
	expect_node_stat(fstatat(AT_FDCWD, NODE, &st, 0), &st);
	expect_node_stat(stat64(NODE, &st64), (struct stat *)&st64);
	expect_node_stat(lstat64(NODE, &st64), (struct stat *)&st64);
	expect_node_stat(fstatat64(-1, NODE, &st64, 0), (struct stat *)&st64);
	FAILS(stat(NO_NODE, &st), ENOENT);
	FAILS(lstat(CM, &st), ENOENT);
	FAILS(stat(NO_FILE, &st), ENOENT);
	assert_int_equal(stat(RXE, &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	assert_int_equal(stat("/dev/infiniband", &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	assert_int_equal(stat(NO_TYPE, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0444);
	assert_int_equal(lstat(PLAIN, &st), 0);
	assert_true(S_ISREG(st.st_mode));
}

static void stat_by_number(void **state)
{
	struct stat64 st64;
	struct stat st;
	int fd = open_node();

	(void)state;
	expect_node_stat(fstat(fd, &st), &st);
	expect_node_stat(fstat64(fd, &st64), (struct stat *)&st64);
	expect_node_stat(fstatat(fd, "", &st, AT_EMPTY_PATH), &st);
	close(fd);
	FAILS(fstat(fd, &st), EBADF);
}

static void stat_of_old_programs(void **state)
{
	struct stat st;
	int fd = open_node();

	(void)state;
	expect_node_stat(OLD(int, __xstat, int, const char *, struct stat *)(1, NODE, &st), &st);
	expect_node_stat(OLD(int, __lxstat, int, const char *, struct stat *)(1, NODE, &st), &st);
	expect_node_stat(OLD(int, __xstat64, int, const char *, struct stat *)(1, NODE, &st), &st);
	expect_node_stat(OLD(int, __lxstat64, int, const char *, struct stat *)(0, NODE, &st), &st);
	expect_node_stat(OLD(int, __fxstat, int, int, struct stat *)(1, fd, &st), &st);
	expect_node_stat(OLD(int, __fxstat64, int, int, struct stat *)(1, fd, &st), &st);
	expect_node_stat(OLD(int, __fxstatat, int, int, const char *, struct stat *,
			     int)(1, AT_FDCWD, NODE, &st, 0),
			 &st);
	expect_node_stat(OLD(int, __fxstatat64, int, int, const char *, struct stat *,
			     int)(1, AT_FDCWD, NODE, &st, 0),
			 &st);
	FAILS(OLD(int, __xstat, int, const char *, struct stat *)(3, NODE, &st), EINVAL);
	assert_int_equal(OLD(int, __xstat, int, const char *, struct stat *)(1, "/", &st), 0);
	close(fd);
}

static void stat_extended(void **state)
{
	struct statx stx;
	int fd = open_node();

	(void)state;
	assert_int_equal(statx(AT_FDCWD, NODE, 0, STATX_ALL, &stx), 0);
	assert_int_equal(stx.stx_mode, S_IFCHR | 0666);
	assert_int_equal(stx.stx_rdev_major, 231);
	assert_int_equal(stx.stx_rdev_minor, 192);
	memset(&stx, 0, sizeof(stx));
	assert_int_equal(statx(fd, "", AT_EMPTY_PATH, STATX_ALL, &stx), 0);
	assert_int_equal(stx.stx_rdev_minor, 192);
	assert_int_equal(statx(AT_FDCWD, RXE, 0, STATX_ALL, &stx), 0);
	assert_true(S_ISDIR(stx.stx_mode));
	assert_int_equal(statx(AT_FDCWD, GID, 0, STATX_ALL, &stx), 0);
	assert_true(S_ISREG(stx.stx_mode));
	FAILS(statx(AT_FDCWD, NO_NODE, 0, STATX_ALL, &stx), ENOENT);
	assert_int_equal(statx(AT_FDCWD, "/", 0, STATX_ALL, &stx), 0);
	close(fd);
}

/* ---- questions about paths ---- */

static void accessible(void **state)
{
	(void)state;
	assert_int_equal(access(NODE, R_OK | W_OK), 0);
	FAILS(access(NODE, X_OK), EACCES);
	FAILS(access(NO_NODE, F_OK), ENOENT);
	FAILS(access(CM, F_OK), ENOENT);
	assert_int_equal(access(GID, R_OK), 0);
	FAILS(access(GID, W_OK), EACCES);
	assert_int_equal(access(PLAIN, R_OK), 0);
	FAILS(access(NO_FILE, F_OK), ENOENT);
	assert_int_equal(faccessat(AT_FDCWD, NODE, R_OK, 0), 0);
	assert_int_equal(faccessat(AT_FDCWD, RXE, F_OK, 0), 0);
	assert_int_equal(euidaccess(NODE, W_OK), 0);
	assert_int_equal(eaccess(NODE, W_OK), 0);
	FAILS(getxattr(PLAIN, "user.x", NULL, 0), EOPNOTSUPP);
	FAILS(lgetxattr(NODE, "user.x", NULL, 0), EOPNOTSUPP);
	FAILS(listxattr(PLAIN, NULL, 0), EOPNOTSUPP);
	FAILS(llistxattr(NODE, NULL, 0), EOPNOTSUPP);
}

static void links(void **state)
{
	char buf[PATH_MAX];

	(void)state;
	FAILS(readlink(NODE, buf, sizeof(buf)), EINVAL);
	FAILS(readlink(NO_NODE, buf, sizeof(buf)), ENOENT);
	FAILS(readlink(PLAIN, buf, sizeof(buf)), EINVAL);
	FAILS(readlink(GID, buf, sizeof(buf)), EINVAL);
	FAILS(readlinkat(AT_FDCWD, NO_FILE, buf, sizeof(buf)), ENOENT);
	FAILS(OLD(ssize_t, __readlink_chk, const char *, char *, size_t, size_t)(NODE, buf, 5, 5),
	      EINVAL);
	assert_true(readlink("/proc/self/exe", buf, sizeof(buf)) > 0);
}

static void real_paths(void **state)
{
	char buf[PATH_MAX], *s;

	(void)state;
	assert_string_equal(realpath(RXE "/ports/../ports/1", buf), RXE "/ports/1");
	assert_string_equal(realpath("/dev/infiniband/./uverbs0", buf), NODE);
	assert_string_equal(realpath(GID, buf), GID);
	assert_string_equal(realpath("/dev/infiniband", buf), "/dev/infiniband");
	assert_string_equal(
		OLD(char *, __realpath_chk, const char *, char *, size_t)(PLAIN, buf, sizeof(buf)),
		PLAIN);
	s = realpath(PLAIN, NULL);
	assert_string_equal(s, PLAIN);
	free(s);
	s = canonicalize_file_name(NODE);
	assert_string_equal(s, NODE);
	free(s);
	FAILS_NULL(realpath(NO_FILE, buf), ENOENT);
	FAILS_NULL(realpath(NO_NODE, buf), ENOENT);
	assert_string_equal(realpath("/", buf), "/");
}

/* ---- listings ---- */

static int name_is(const struct dirent *e, const char *name)
{
	return !strcmp(e->d_name, name);
}

static int only_uverbs(const struct dirent *e)
{
	return !strncmp(e->d_name, "uverbs", 6);
}

static int only_uverbs64(const struct dirent64 *e)
{
	return !strncmp(e->d_name, "uverbs", 6);
}

static void listings(void **state)
{
	struct dirent64 **list64;
	struct dirent **list;
	struct dirent *e;
	int seen = 0, fd;
	DIR *d;

	(void)state;
	d = opendir(IB);
	assert_non_null(d);
	while ((e = readdir(d)))
		seen += name_is(e, "rxe0");
	assert_int_equal(seen, 1);
	fd = openat(dirfd(d), "rxe0/node_type", O_RDONLY);
	expect_content(fd, "1: CA\n");
	closedir(d);
	FAILS_NULL(opendir(NODE), ENOTDIR);
	FAILS_NULL(opendir(GID), ENOTDIR);
	FAILS_NULL(opendir(CM), ENOENT);
	FAILS_NULL(opendir(NO_FILE), ENOENT);
	assert_int_equal(scandir("/dev/infiniband", &list, only_uverbs, alphasort), 1);
	assert_string_equal(list[0]->d_name, "uverbs0");
	free(list[0]);
	free(list);
	assert_int_equal(scandir64("/dev/infiniband", &list64, only_uverbs64, alphasort64), 1);
	free(list64[0]);
	free(list64);
	FAILS(scandir(NODE, &list, NULL, NULL), ENOTDIR);
}

static void globs(void **state)
{
	glob64_t g64;
	glob_t g;

	(void)state;
	assert_int_equal(glob(IB "/*/node_type", 0, NULL, &g), 0);
	assert_int_equal(g.gl_pathc, 1);
	assert_string_equal(g.gl_pathv[0], PLAIN);
	assert_int_equal(glob("/dev/infiniband/uv*", GLOB_APPEND, NULL, &g), 0);
	assert_int_equal(g.gl_pathc, 2);
	assert_string_equal(g.gl_pathv[1], NODE);
	globfree(&g);
	g.gl_offs = 2;
	assert_int_equal(glob(IB "/rxe*", GLOB_DOOFFS, NULL, &g), 0);
	assert_string_equal(g.gl_pathv[2], RXE);
	globfree(&g);
	assert_int_equal(glob(IB "/nothing*", 0, NULL, &g), GLOB_NOMATCH);
	assert_int_equal(glob(IB "/nothing*", GLOB_NOCHECK, NULL, &g), 0);
	assert_string_equal(g.gl_pathv[0], IB "/nothing*");
	globfree(&g);
	assert_int_equal(glob64(RXE, 0, NULL, &g64), 0);
	assert_string_equal(g64.gl_pathv[0], RXE);
	globfree64(&g64);
	assert_int_equal(glob("/dev/nul*", 0, NULL, &g), 0);
	assert_string_equal(g.gl_pathv[0], "/dev/null");
	globfree(&g);
}

/* ---- streams ---- */

static void expect_line(FILE *f, const char *want)
{
	char buf[128] = "";

	assert_non_null(f);
	assert_non_null(fgets(buf, sizeof(buf), f));
	assert_string_equal(buf, want);
}

static void streams(void **state)
{
	FILE *f;
	int fd;

	(void)state;
	f = fopen(PLAIN, "r");
	expect_line(f, "1: CA\n");
	f = freopen(GID, "re", f);
	expect_line(f, "0000:0000:0000:0000:0000:0000:0000:0000\n");
	f = freopen64(PLAIN, "r", f);
	expect_line(f, "1: CA\n");
	assert_int_equal(fclose(f), 0);
	f = fopen64(GID, "r");
	expect_line(f, "0000:0000:0000:0000:0000:0000:0000:0000\n");
	fclose(f);
	FAILS_NULL(fopen(PLAIN, "w"), EACCES);
	FAILS_NULL(fopen(PLAIN, "r+"), EACCES);
	FAILS_NULL(fopen(NO_TYPE, "r"), EINVAL);
	FAILS_NULL(fopen(NO_FILE, "r"), ENOENT);
	f = fopen(NODE, "r+");
	assert_non_null(f);
	fd = fileno(f);
	assert_true(is_node(fd));
	assert_int_equal(fclose(f), 0);
	/* The number is free again, and not ours any more. */
	assert_int_equal(open("/dev/null", O_RDWR), fd);
	assert_false(is_node(fd));
	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
}

/* ---- commands ---- */

static void commands(void **state)
{
	char junk[16] = "";
	struct iovec iov[2] = {{junk, 8}, {junk, 8}};
	void *volatile bad = (void *)8; /* hidden from the compiler's own checks */
	volatile int negative = -1;
	int fd = open_node();

	(void)state;
	assert_int_equal(write(fd, junk, 3), -1);
	FAILS(write(fd, bad, 16), EFAULT);
	assert_int_equal(writev(fd, iov, 2), -1);
	FAILS(writev(fd, iov, negative), EINVAL);
	FAILS(writev(fd, bad, 1), EFAULT);
	assert_int_equal(writev(fd, iov, 0), 0);
	FAILS(pwrite(fd, junk, 8, 0), ESPIPE);
	FAILS(pwrite64(fd, junk, 8, 0), ESPIPE);
	FAILS(pwritev(fd, iov, 2, 0), ESPIPE);
	FAILS(pwritev64(fd, iov, 2, 0), ESPIPE);
	FAILS(ioctl(fd, TIOCGWINSZ, junk), ENOTTY);
	assert_int_equal(ioctl(fd, FIONCLEX), 0);
	assert_int_equal(fcntl(fd, F_GETFD), 0);
	assert_int_equal(ioctl(fd, FIOCLEX), 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
}

/* ---- numbers ---- */

static void copies(void **state)
{
	int fd = open_node(), other = open("/dev/null", O_RDWR), copy[5];
	struct stat st;

	(void)state;
	copy[0] = dup(fd);
	copy[1] = dup2(fd, 200);
	copy[2] = dup3(fd, 201, O_CLOEXEC);
	copy[3] = fcntl(fd, F_DUPFD, 210);
	copy[4] = fcntl64(fd, F_DUPFD_CLOEXEC, 220);
	close(fd);
	for (int i = 0; i < 5; i++)
		assert_true(is_node(copy[i]));
	FAILS(dup3(copy[0], copy[0], 0), EINVAL);
	assert_int_equal(dup2(copy[0], copy[0]), copy[0]);
	assert_true(is_node(copy[0]));
	/* A foreign number over one of ours. */
	assert_int_equal(dup2(other, copy[1]), copy[1]);
	assert_false(is_node(copy[1]));
	for (int i = 0; i < 5; i++)
		assert_int_equal(close(copy[i]), 0);
	for (int i = 0; i < 5; i++)
		FAILS(fstat(copy[i], &st), EBADF);
	close(other);
}

/* The engine's numbers: open for the kernel, closed for the program. */
static int engine_numbers(int *out, int max)
{
	char path[64], to[PATH_MAX];
	struct rlimit lim;
	int n = 0;

	getrlimit(RLIMIT_NOFILE, &lim);
	for (int fd = 3; fd < 4096 && n < max; fd++) {
		ssize_t len;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		len = readlink(path, to, sizeof(to) - 1);
		if (len < 0)
			continue;
		to[len] = '\0';
		errno = 0;
		if (!strncmp(to, machine_dir, strlen(machine_dir)) && close(fd) < 0 &&
		    errno == EBADF)
			out[n++] = fd;
	}
	return n;
}

static void engine_is_guarded(void **state)
{
	int fd = open_node(), guarded[16], again[16];
	int n = engine_numbers(guarded, 16);
	int null = open("/dev/null", O_RDWR), low;

	(void)state;
	assert_true(n > 0);
	for (int i = 0; i < n; i++) {
		FAILS(dup2(null, guarded[i]), EBUSY);
		FAILS(dup3(null, guarded[i], 0), EBUSY);
		FAILS(dup(guarded[i]), EBADF);
		FAILS(fcntl(guarded[i], F_DUPFD, 3), EBADF);
		FAILS(write(guarded[i], "x", 1), EBADF);
		FAILS(pwrite(guarded[i], "x", 1, 0), EBADF);
	}
	FAILS(close_range(10, 9, 0), EINVAL);
	FAILS(close_range(3, UINT_MAX, 1 << 30), EINVAL);
	low = dup2(null, 300);
	assert_int_equal(close_range(300, UINT_MAX, 0), 0);
	FAILS(fcntl(low, F_GETFD), EBADF);
	assert_int_equal(close_range(3, UINT_MAX, CLOSE_RANGE_CLOEXEC), 0);
	/* The first sweep closed the node: engine_numbers() tries every number. */
	assert_false(is_node(fd));
	assert_int_equal(engine_numbers(again, 16), n);
	assert_memory_equal(again, guarded, (size_t)n * sizeof(int));
	fd = open_node();
	closefrom(3);
	assert_false(is_node(fd));
	assert_int_equal(engine_numbers(again, 16), n);
	fd = open_node();
	assert_true(is_node(fd));
	close(fd);
}

/* ---- netlink ---- */

static void ask_for_devices(int fd, int how)
{
	struct nlmsghdr req = {
		.nlmsg_len = sizeof(req),
		.nlmsg_type = RDMA_NL_NLDEV << 10 | RDMA_NLDEV_CMD_GET,
		.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
		.nlmsg_seq = 5,
	};
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	struct iovec iov[2] = {{&req, 8}, {(char *)&req + 8, 8}};
	struct msghdr msg = {
		.msg_name = &kernel,
		.msg_namelen = sizeof(kernel),
		.msg_iov = iov,
		.msg_iovlen = 2,
	};
	ssize_t n = -1;

	if (how == 0)
		n = sendto(fd, &req, sizeof(req), 0, (void *)&kernel, sizeof(kernel));
	else if (how == 1)
		n = sendmsg(fd, &msg, 0);
	else if (how == 2)
		n = send(fd, &req, sizeof(req), 0);
	else if (how == 3)
		n = write(fd, &req, sizeof(req));
	else
		n = writev(fd, iov, 2);
	assert_int_equal(n, sizeof(req));
}

static void read_answer(int fd, u_int16_t type, u_int32_t pid)
{
	char buf[2048], peek;
	struct iovec iov = {buf, sizeof(buf)};
	struct sockaddr_nl from;
	struct msghdr msg = {
		.msg_name = &from,
		.msg_namelen = sizeof(from),
		.msg_iov = &iov,
		.msg_iovlen = 1,
	};
	struct nlmsghdr *h = (struct nlmsghdr *)buf;
	ssize_t len = recv(fd, &peek, 1, MSG_PEEK | MSG_TRUNC);

	memset(&from, 0xff, sizeof(from));
	assert_int_equal(recvmsg(fd, &msg, 0), len);
	assert_int_equal(h->nlmsg_len, len);
	assert_int_equal(h->nlmsg_type, type);
	assert_int_equal(h->nlmsg_pid, pid);
	assert_int_equal(h->nlmsg_seq, 5);
	assert_int_equal(msg.msg_namelen, sizeof(from));
	assert_int_equal(from.nl_family, AF_NETLINK);
	assert_int_equal(from.nl_pid, 0);
}

static void netlink_dialogue(void **state)
{
	struct sockaddr_nl me = {.nl_family = AF_NETLINK, .nl_pid = 1234}, name;
	socklen_t len = sizeof(name);
	struct pollfd p;
	char buf[2048];
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_RDMA);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(bind(fd, (void *)&me, sizeof(me)), 0);
	assert_int_equal(getsockname(fd, (void *)&name, &len), 0);
	assert_int_equal(len, sizeof(name));
	assert_int_equal(name.nl_family, AF_NETLINK);
	assert_int_equal(name.nl_pid, 1234);
	p = (struct pollfd){.fd = fd, .events = POLLIN};
	for (int how = 0; how < 5; how++) {
		assert_int_equal(poll(&p, 1, 0), 0);
		ask_for_devices(fd, how);
		assert_int_equal(poll(&p, 1, 0), 1);
		read_answer(fd, RDMA_NL_NLDEV << 10 | RDMA_NLDEV_CMD_GET, 1234);
		read_answer(fd, NLMSG_DONE, 1234);
	}
	ask_for_devices(fd, 0);
	len = sizeof(name);
	memset(&name, 0xff, sizeof(name));
	assert_true(recvfrom(fd, buf, sizeof(buf), 0, (void *)&name, &len) > 0);
	assert_int_equal(name.nl_pid, 0);
	assert_int_equal(len, sizeof(name));
	close(fd);
}

static void netlink_details(void **state)
{
	struct sockaddr_nl nl = {.nl_family = AF_NETLINK, .nl_pid = 99};
	struct sockaddr un = {.sa_family = AF_UNIX};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK, NETLINK_RDMA), value, one = 1;
	socklen_t len = sizeof(value);
	char byte;

	(void)state;
	FAILS(recv(fd, &byte, 1, 0), EAGAIN);
	FAILS(socket(AF_NETLINK, SOCK_STREAM, NETLINK_RDMA), ESOCKTNOSUPPORT);
	FAILS(bind(fd, &un, sizeof(nl)), EINVAL);
	FAILS(bind(fd, (void *)&nl, 3), EINVAL);
	FAILS(connect(fd, (void *)&nl, sizeof(nl)), ECONNREFUSED);
	FAILS(sendto(fd, "x", 1, 0, (void *)&nl, sizeof(nl)), ECONNREFUSED);
	nl.nl_pid = 0;
	assert_int_equal(connect(fd, (void *)&nl, sizeof(nl)), 0);
	assert_int_equal(setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){65536}, sizeof(int)), 0);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &value, &len), 0);
	assert_int_equal(value, AF_NETLINK);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &value, &len), 0);
	assert_int_equal(value, NETLINK_RDMA);
	FAILS(send(fd, NULL, 100, 0), EFAULT);
	FAILS(send(fd, &byte, 1 << 20, 0), EMSGSIZE);
	close(fd);
	FAILS(send(fd, &byte, 1, 0), EBADF);
}

static void netlink_unread_answers(void **state)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK, NETLINK_RDMA);
	struct nlmsghdr req = {
		.nlmsg_len = sizeof(req),
		.nlmsg_type = RDMA_NL_NLDEV << 10 | RDMA_NLDEV_CMD_SYS_GET,
		.nlmsg_flags = NLM_F_REQUEST,
	};
	int n = 0;

	(void)state;
	while (n < 1000000 && send(fd, &req, sizeof(req), 0) > 0)
		n++;
	assert_true(n > 10 && n < 1000000);
	assert_int_equal(errno, ENOBUFS);
	close(fd);
}

/* ---- processes and threads ---- */

static void run_child(int (*fn)(int), int arg)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(fn(arg));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static int forked_child(int fd)
{
	int own;

	if (!is_node(fd) || close(fd) || is_node(fd))
		return 1;
	own = open(NODE, O_RDWR);
	if (own < 0 || !is_node(own))
		return 2;
	return close(own) ? 3 : 0;
}

static void fork_leaves_parent_alone(void **state)
{
	int fd = open_node();

	(void)state;
	run_child(forked_child, fd);
	assert_true(is_node(fd));
	FAILS(ioctl(fd, TIOCGWINSZ, NULL), ENOTTY);
	close(fd);
}

static void vfork_leaves_parent_alone(void **state)
{
	volatile int fd = open_node(), spare = open_node(), bad = 0;
	int status;
	pid_t pid;

	(void)state;
	pid = vfork();
	if (pid == 0) {
		if (close(fd) || dup2(0, spare) != spare || dup(spare) < 0)
			bad = 1;
		closefrom(3);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(bad, 0);
	assert_true(is_node(fd));
	assert_true(is_node(spare));
	close(fd);
	close(spare);
}

/* A cancelled thread: what is ours is done to its end, the cancellation comes after. */
static void *cancelled(void *arg)
{
	char junk[8] = "";
	int node, file, state;

	pthread_cancel(pthread_self());
	node = open(NODE, O_RDWR | O_CLOEXEC);
	(void)!write(node, junk, sizeof(junk));
	ioctl(node, TIOCGWINSZ, junk);
	file = open(GID, O_RDONLY | O_CLOEXEC);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	close(node);
	close(file);
	*(bool *)arg = true;
	pthread_setcancelstate(state, NULL);
	pthread_testcancel();
	return NULL;
}

static void cancellation_waits(void **state)
{
	bool reached = false;
	pthread_t t;
	void *ret;

	(void)state;
	assert_int_equal(pthread_create(&t, NULL, cancelled, &reached), 0);
	pthread_join(t, &ret);
	assert_true(reached);
	assert_ptr_equal(ret, PTHREAD_CANCELED);
}

static void *opener(void *arg)
{
	for (int i = 0; i < 300; i++) {
		int fd = open(NODE, O_RDWR | O_CLOEXEC), copy = dup(fd);

		if (fd < 0 || copy < 0 || !is_node(copy))
			*(int *)arg = 1;
		close(fd);
		close(copy);
	}
	return NULL;
}

static void threads_open_and_close(void **state)
{
	int bad[4] = {0};
	pthread_t t[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, opener, &bad[i]), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], NULL);
		assert_int_equal(bad[i], 0);
	}
}

static int set_up(void **state)
{
	Dl_info info;

	(void)state;
	if (!dladdr(old_function("open"), &info) || !strstr(info.dli_fname, "olio-preload")) {
		fprintf(stderr, "run with LD_PRELOAD=libolio-preload.so\n");
		return -1;
	}
	snprintf(machine_dir, sizeof(machine_dir), "/tmp/olio-hooks-test.%d", (int)getpid());
	return setenv("OLIO_MACHINE", machine_dir, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(foreign_calls_attach_nothing),
		cmocka_unit_test(bad_pointers),
		cmocka_unit_test(open_nodes),
		cmocka_unit_test(open_refused),
		cmocka_unit_test(open_files),
		cmocka_unit_test(stat_by_path),
		cmocka_unit_test(stat_by_number),
		cmocka_unit_test(stat_of_old_programs),
		cmocka_unit_test(stat_extended),
		cmocka_unit_test(accessible),
		cmocka_unit_test(links),
		cmocka_unit_test(real_paths),
		cmocka_unit_test(listings),
		cmocka_unit_test(globs),
		cmocka_unit_test(streams),
		cmocka_unit_test(commands),
		cmocka_unit_test(copies),
		cmocka_unit_test(engine_is_guarded),
		cmocka_unit_test(netlink_dialogue),
		cmocka_unit_test(netlink_details),
		cmocka_unit_test(netlink_unread_answers),
		cmocka_unit_test(fork_leaves_parent_alone),
		cmocka_unit_test(vfork_leaves_parent_alone),
		cmocka_unit_test(cancellation_waits),
		cmocka_unit_test(threads_open_and_close),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
