// SPDX-License-Identifier: MIT
/*
 * The sys tree: which paths are ours, what the files say, and that a build that
 * fails at any step leaves the tree before it in place and nothing else behind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/sys.h"
#include "fake_machine.h"

static int setup(void **state)
{
	(void)state;
	fake_init();
	snprintf(fake.dir, sizeof(fake.dir), "/tmp/olio-sysfs-test.XXXXXX");
	if (!mkdtemp(fake.dir))
		return -1;
	fake.dirfd = open(fake.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fake.dirfd < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	char cmd[300];

	(void)state;
	close(fake.dirfd);
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", fake.dir);
	return system(cmd);
}

/* The tree of both devices. */
#define SYS "sys.3"

/* ---- classification ---- */

static void expect_kind(const char *path, enum oli_path_kind kind)
{
	struct oli_path p;

	oli_path_classify(path, &p);
	if (p.kind != kind)
		fail_msg("%s: kind %d, not %d", path, p.kind, kind);
}

static void expect_real(const char *path, enum oli_path_kind kind, const char *below)
{
	char want[600], name[OLI_SYS_NAME];
	struct oli_path p;

	oli_sys_name(&fake, name);
	expect_kind(path, kind);
	oli_path_classify(path, &p);
	snprintf(want, sizeof(want), "%s/%s%s", fake.dir, name, below + strlen("/sys"));
	assert_string_equal(p.real, want);
}

static void foreign_paths(void **state)
{
	static const char *const paths[] = {
		"",
		"/",
		"sys/class/infiniband",
		"/dev/null",
		"/dev/infinibandx",
		"/dev/infiniband0/uverbs0",
		"/sys",
		"/sys/class",
		"/sys/class/",
		"/sys/class/net/eth0/mtu",
		"/sys/class/infinibandx",
		"/sys/class/infiniband_x/y",
		"/sys/class/misc",
		"/sys/class/misc/rdma_cmx",
		"/sys/class/infiniband/../net",
		"/sys/class/infiniband/../..",
		"/dev/infiniband/../null",
		"/dev/infiniband/..",
	};

	(void)state;
	for (size_t i = 0; i < OLI_ARRAY_SIZE(paths); i++)
		expect_kind(paths[i], OLI_PATH_FOREIGN);
	expect_kind(NULL, OLI_PATH_FOREIGN);
}

static void redirected_paths(void **state)
{
	(void)state;
	expect_real("/sys/class/infiniband", OLI_PATH_REDIRECT, "/sys/class/infiniband");
	expect_real("/sys/class/infiniband/", OLI_PATH_REDIRECT, "/sys/class/infiniband");
	expect_real("/sys/class//infiniband/./rxe0/", OLI_PATH_REDIRECT,
		    "/sys/class/infiniband/rxe0");
	expect_real("/sys/class/net/../infiniband_verbs", OLI_PATH_REDIRECT,
		    "/sys/class/infiniband_verbs");
	expect_real("/sys/class/misc/rdma_cm/abi_version", OLI_PATH_REDIRECT,
		    "/sys/class/misc/rdma_cm/abi_version");
	expect_real("/sys/class/infiniband_mad", OLI_PATH_REDIRECT, "/sys/class/infiniband_mad");
	expect_real("/sys/class/infiniband/rxe0/ports/1/gids", OLI_PATH_REDIRECT,
		    "/sys/class/infiniband/rxe0/ports/1/gids");
	expect_real("/dev/infiniband", OLI_PATH_DEV_DIR, "/sys/dev-infiniband");
	expect_real("/dev/infiniband//", OLI_PATH_DEV_DIR, "/sys/dev-infiniband");
	expect_real("/dev/infiniband/umad0", OLI_PATH_REDIRECT, "/sys/dev-infiniband/umad0");
}

static void nodes(void **state)
{
	struct oli_path p;

	(void)state;
	oli_path_classify("/dev/infiniband/uverbs0", &p);
	assert_int_equal(p.kind, OLI_PATH_UVERBS);
	assert_int_equal(p.index, 0);
	oli_path_classify("/dev/infiniband/./uverbs31", &p);
	assert_int_equal(p.kind, OLI_PATH_UVERBS);
	assert_int_equal(p.index, 31);
	expect_kind("/dev/infiniband/rdma_cm", OLI_PATH_RDMA_CM);
	expect_kind("/dev/infiniband/uverbs", OLI_PATH_REDIRECT);
	expect_kind("/dev/infiniband/uverbs01", OLI_PATH_REDIRECT);
	expect_kind("/dev/infiniband/uverbs0x", OLI_PATH_REDIRECT);
	expect_kind("/dev/infiniband/uverbs99999999999", OLI_PATH_REDIRECT);
}

#define PORT "/sys/class/infiniband/rxe1/ports/1/"

static void synthesised_paths(void **state)
{
	(void)state;
	expect_kind(PORT "gids/0", OLI_PATH_SYNTH);
	expect_kind(PORT "gids/1023", OLI_PATH_SYNTH);
	expect_kind(PORT "gids/1024", OLI_PATH_REDIRECT);
	expect_kind(PORT "gids/00", OLI_PATH_REDIRECT);
	expect_kind(PORT "gid_attrs/types/5", OLI_PATH_SYNTH);
	expect_kind(PORT "gid_attrs/ndevs/5", OLI_PATH_SYNTH);
	expect_kind(PORT "hw_counters/sent_pkts", OLI_PATH_SYNTH);
	expect_kind(PORT "hw_counters/lifespan", OLI_PATH_REDIRECT);
	expect_kind("/sys/class/infiniband/rxe2/ports/1/gids/0", OLI_PATH_REDIRECT);
	expect_kind("/sys/class/infiniband/rxe0/ports/2/gids/0", OLI_PATH_REDIRECT);
}

static void without_machine_nothing_is_there(void **state)
{
	struct oli_path p;

	(void)state;
	fake_absent = true;
	oli_path_classify("/sys/class/infiniband", &p);
	assert_int_equal(p.kind, OLI_PATH_REDIRECT);
	assert_int_equal(access(p.real, F_OK), -1);
	assert_int_equal(errno, ENOENT);
}

static void overlong_paths(void **state)
{
	char path[1200] = "/sys/class/infiniband/";
	struct oli_path p;

	(void)state;
	for (size_t len = strlen(path); len < sizeof(path) - 1; len++) {
		path[len] = 'x';
		path[len + 1] = '\0';
		oli_path_classify(path, &p);
		if (p.kind == OLI_PATH_REDIRECT)
			assert_true(strlen(p.real) < sizeof(p.real));
	}
	assert_int_equal(p.kind, OLI_PATH_FOREIGN);
}

/* ---- content ---- */

static void expect_synth(const char *path, const char *want)
{
	char buf[128] = "";
	struct oli_path p;
	int fd;

	oli_path_classify(path, &p);
	assert_int_equal(oli_synth_open(&p, &fd), 0);
	assert_true(oli_sys_read(fd, buf, sizeof(buf) - 1) > 0);
	assert_string_equal(buf, want);
	assert_true(oli_sys_pwrite(fd, "x", 1, 0) < 0);
	close(fd);
}

static void synthesised_content(void **state)
{
	static const char *const empty[] = {PORT "gid_attrs/types/2", PORT "gid_attrs/ndevs/1000"};
	struct oli_path p;
	int fd = -7;

	(void)state;
	expect_synth(PORT "gids/1", "fe80:0000:0000:0000:0000:0000:0000:0021\n");
	expect_synth(PORT "gids/2", "0000:0000:0000:0000:0000:0000:0000:0000\n");
	expect_synth(PORT "gids/1023", "0000:0000:0000:0000:0000:0000:0000:0000\n");
	expect_synth(PORT "gid_attrs/types/0", "RoCE v2\n");
	expect_synth(PORT "gid_attrs/ndevs/0", "eth1\n");
	fake_shm.devices[1].sent_bytes = 12345678901;
	expect_synth(PORT "hw_counters/sent_bytes", "12345678901\n");
	expect_synth(PORT "hw_counters/ack_deferred", "0\n");
	for (size_t i = 0; i < OLI_ARRAY_SIZE(empty); i++) {
		oli_path_classify(empty[i], &p);
		assert_int_equal(oli_synth_open(&p, &fd), -EINVAL);
		assert_int_equal(fd, -7);
	}
}

static void expect_file(const char *path, const char *want)
{
	char buf[128];

	assert_true(oli_read_file(fake.dirfd, path, buf, sizeof(buf)) >= 0);
	assert_string_equal(buf, want);
}

static void tree_content(void **state)
{
	(void)state;
	assert_int_equal(oli_sysfs_build(&fake), 0);
	expect_file(SYS "/class/infiniband_verbs/abi_version", "6\n");
	expect_file(SYS "/class/infiniband_verbs/uverbs1/ibdev", "rxe1\n");
	expect_file(SYS "/class/infiniband_verbs/uverbs1/dev", "231:193\n");
	expect_file(SYS "/class/infiniband_verbs/uverbs1/abi_version", "2\n");
	expect_file(SYS "/class/infiniband/rxe0/node_type", "1: CA\n");
	expect_file(SYS "/class/infiniband/rxe0/node_guid", "0211:22ff:fe33:4455\n");
	expect_file(SYS "/class/infiniband/rxe0/fw_ver", "\n");
	expect_file(SYS "/class/infiniband/rxe0/parent", "eth0\n");
	expect_file(SYS "/class/infiniband/rxe0/ports/1/state", "4: ACTIVE\n");
	expect_file(SYS "/class/infiniband/rxe0/ports/1/phys_state", "5: LinkUp\n");
	expect_file(SYS "/class/infiniband/rxe0/ports/1/rate", "2.5 Gb/sec (1X SDR)\n");
	expect_file(SYS "/class/infiniband/rxe0/ports/1/cap_mask", "0x00010000\n");
	expect_file(SYS "/class/infiniband/rxe0/ports/1/link_layer", "Ethernet\n");
	expect_file(SYS "/class/infiniband/rxe0/ports/1/pkeys/0", "0xffff\n");
	expect_file(SYS "/class/infiniband/rxe0/ports/1/gids/1",
		    "fe80:0000:0000:0000:0000:0000:0000:0020\n");
	expect_file(SYS "/class/infiniband/rxe0/ports/1/gid_attrs/types/1", "RoCE v2\n");
	expect_file(SYS "/dev-infiniband/uverbs0", "");
	assert_int_equal(faccessat(fake.dirfd, SYS "/class/infiniband/rxe0/device", F_OK, 0), -1);
}

/* ---- what is shown ---- */

static void expect_tree(const char *names, const char *sys, bool first, bool second)
{
	char path[64];

	fake_show(names);
	assert_int_equal(oli_sysfs_build(&fake), 0);
	for (int i = 0; i < 2; i++) {
		int want = (i ? second : first) ? 0 : -1;

		snprintf(path, sizeof(path), "%s/class/infiniband/rxe%d", sys, i);
		assert_int_equal(faccessat(fake.dirfd, path, F_OK, 0), want);
		snprintf(path, sizeof(path), "%s/dev-infiniband/uverbs%d", sys, i);
		assert_int_equal(faccessat(fake.dirfd, path, F_OK, 0), want);
		assert_int_equal(oli_device_visible(&fake, (u32)i), !want);
	}
	assert_false(oli_device_visible(&fake, 2));
	assert_false(oli_device_visible(&fake, 200));
}

/* Each set of devices has a tree of its own: programs of one machine may be shown different ones. */
static void trees_of_what_is_shown(void **state)
{
	(void)state;
	expect_tree(NULL, "sys", true, false);
	expect_tree("", "sys", true, false);
	expect_tree("rxe0", "sys", true, false);
	expect_tree("rxe1", "sys.2", false, true);
	expect_tree("rxe1,rxe0", "sys.3", true, true);
	expect_tree("all", "sys.3", true, true);
	expect_tree("rxe", "sys.0", false, false);
	expect_tree(",rxe1,,rxe11,", "sys.2", false, true);
	expect_kind(PORT "gids/0", OLI_PATH_SYNTH);
	expect_kind("/sys/class/infiniband/rxe0/ports/1/gids/0", OLI_PATH_REDIRECT);
	expect_real("/sys/class/infiniband_verbs", OLI_PATH_REDIRECT, "/sys/class/infiniband_verbs");
}

/* ---- building ---- */

static int entries(const char *path)
{
	DIR *d = opendir(path);
	int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static void rebuild_replaces(void **state)
{
	int old;

	(void)state;
	assert_int_equal(oli_sysfs_build(&fake), 0);
	old = openat(fake.dirfd, SYS, O_RDONLY | O_DIRECTORY);
	fake_shm.devices[0].gids[1].valid = 0;
	assert_int_equal(oli_sysfs_build(&fake), 0);
	assert_int_equal(faccessat(fake.dirfd, SYS "/class/infiniband/rxe0/ports/1/gids/1", F_OK, 0),
			 -1);
	assert_int_equal(faccessat(old, "class", F_OK, 0), -1);
	assert_int_equal(entries(fake.dir), 1);
	close(old);
}

static void leftovers_are_removed(void **state)
{
	(void)state;
	assert_int_equal(mkdirat(fake.dirfd, "sys.new.0", 0755), 0);
	assert_int_equal(mkdirat(fake.dirfd, "sys.new.0/class", 0755), 0);
	assert_int_equal(oli_sysfs_build(&fake), 0);
	assert_int_equal(entries(fake.dir), 1);
}

/* Fail each step of a build in turn, once with a tree before it and once without. */
static void sweep(int before)
{
	int steps = 0, err;

	do {
		oli_fault_countdown = ++steps;
		err = oli_sysfs_build(&fake);
		if (oli_fault_countdown == 0) {
			assert_int_equal(err, -ENOSPC);
			assert_int_equal(entries(fake.dir), before);
		}
	} while (err);
	oli_fault_countdown = 0;
	assert_true(steps > 50);
	assert_int_equal(entries(fake.dir), 1);
}

static void failures_leave_nothing(void **state)
{
	(void)state;
	sweep(0);
	sweep(1);
	expect_file(SYS "/class/infiniband_verbs/abi_version", "6\n");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(foreign_paths),
		TEST(redirected_paths),
		TEST(nodes),
		TEST(synthesised_paths),
		TEST(without_machine_nothing_is_there),
		TEST(overlong_paths),
		TEST(synthesised_content),
		TEST(tree_content),
		TEST(trees_of_what_is_shown),
		TEST(rebuild_replaces),
		TEST(leftovers_are_removed),
		TEST(failures_leave_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
