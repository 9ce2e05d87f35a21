// SPDX-License-Identifier: MIT
/*
 * Proves the locks that outlive their owners (who comes next is told, once) and
 * the raw system calls (results as -errno, errno untouched, numbers out of the
 * program's way).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the four above */
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/lock.h"
#include "base/sys.h"

struct shared {
	struct oli_lock lock;
	u64 counter;
};

static struct shared *make_shared(void)
{
	struct shared *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(s, MAP_FAILED);
	oli_lock_init(&s->lock);
	return s;
}

static void die_holding(struct shared *s)
{
	pid_t pid = fork();

	if (!pid) {
		(void)!oli_lock(&s->lock);
		kill(getpid(), SIGKILL);
	}
	waitpid(pid, NULL, 0);
}

static void test_owner_dies(void **state)
{
	struct shared *s = make_shared();

	(void)state;
	for (int i = 0; i < 3; i++) {
		die_holding(s);
		assert_true(oli_lock(&s->lock));
		assert_int_equal(oli_trylock(&s->lock), -EBUSY);
		oli_unlock(&s->lock);
		assert_false(oli_lock(&s->lock));
		oli_unlock(&s->lock);
		die_holding(s);
		assert_int_equal(oli_trylock(&s->lock), 1);
		oli_unlock(&s->lock);
		assert_int_equal(oli_trylock(&s->lock), 0);
		oli_unlock(&s->lock);
	}
	/* The one who was told dies too: the next is told as well. */
	die_holding(s);
	die_holding(s);
	assert_true(oli_lock(&s->lock));
	oli_unlock(&s->lock);
	munmap(s, sizeof(*s));
}

static void test_excludes(void **state)
{
	struct shared *s = make_shared();
	pid_t pid[4];

	(void)state;
	for (int i = 0; i < 4; i++) {
		pid[i] = fork();
		if (pid[i])
			continue;
		for (int n = 0; n < 20000; n++) {
			u64 seen;

			(void)!oli_lock(&s->lock);
			seen = *(volatile u64 *)&s->counter;
			*(volatile u64 *)&s->counter = seen + 1;
			oli_unlock(&s->lock);
		}
		_exit(0);
	}
	for (int i = 0; i < 4; i++)
		waitpid(pid[i], NULL, 0);
	assert_int_equal(s->counter, 80000);
	munmap(s, sizeof(*s));
}

static void test_errno_is_the_programs(void **state)
{
	struct iovec local = {&(char){0}, 1}, remote = {(void *)1, 1};
	struct stat st;

	(void)state;
	errno = 12345;
	assert_int_equal(oli_sys_openat(AT_FDCWD, "/no/such", O_RDONLY, 0), -ENOENT);
	assert_int_equal(oli_sys_read(-1, NULL, 1), -EBADF);
	assert_int_equal(oli_sys_write(-1, "", 1), -EBADF);
	assert_int_equal(oli_sys_pread(-1, NULL, 1, 0), -EBADF);
	assert_int_equal(oli_sys_pwrite(-1, "", 1, 0), -EBADF);
	assert_int_equal(oli_sys_fstat(-1, &st), -EBADF);
	assert_int_equal(oli_sys_fcntl(-1, F_GETFD, 0), -EBADF);
	assert_int_equal(oli_sys_close(-1), -EBADF);
	assert_int_equal(oli_sys_pidfd_open(-1), -EINVAL);
	assert_int_equal(oli_sys_vm_read(getpid(), &local, 1, &remote, 1), -EFAULT);
	assert_int_equal(oli_sys_vm_write(getpid(), &local, 1, &remote, 1), -EFAULT);
	assert_int_equal(oli_sys_poll(NULL, 0, 1), 0);
	assert_int_equal(errno, 12345);
}

static void test_high_numbers(void **state)
{
	int fd = oli_sys_openat(AT_FDCWD, "/dev/null", O_RDONLY, 0), high;
	struct rlimit lim;

	(void)state;
	assert_int_equal(oli_sys_fcntl(fd, F_GETFD, 0), FD_CLOEXEC);
	getrlimit(RLIMIT_NOFILE, &lim);
	high = oli_fd_to_high(fd);
	assert_true(high >= (lim.rlim_cur < 1024 ? (int)lim.rlim_cur / 2 : 512));
	assert_int_equal(oli_sys_fcntl(fd, F_GETFD, 0), -EBADF);
	assert_int_equal(oli_sys_fcntl(high, F_GETFD, 0), FD_CLOEXEC);
	oli_fd_close_high(high);
	assert_int_equal(oli_sys_fcntl(high, F_GETFD, 0), -EBADF);
}

static void test_read_file(void **state)
{
	char buf[6] = "xxxxx";

	(void)state;
	assert_int_equal(oli_read_file(AT_FDCWD, "/proc/version", buf, sizeof(buf)), 5);
	assert_string_equal(buf, "Linux");
	assert_int_equal(oli_read_file(AT_FDCWD, "/dev/null", buf, sizeof(buf)), 0);
	assert_string_equal(buf, "");
	assert_int_equal(oli_read_file(AT_FDCWD, "/no/such", buf, sizeof(buf)), -ENOENT);
	assert_int_equal(oli_read_file(AT_FDCWD, "/proc", buf, sizeof(buf)), -EISDIR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_owner_dies),
		cmocka_unit_test(test_excludes),
		cmocka_unit_test(test_errno_is_the_programs),
		cmocka_unit_test(test_high_numbers),
		cmocka_unit_test(test_read_file),
	};

	return cmocka_run_group_tests_name("base/sys", tests, NULL, NULL);
}
