// SPDX-License-Identifier: MIT
/*
 * The limits: what the kernel and the CPU take for the same, with no RDMA in
 * between. System calls are made past libc's names, so that nothing stands in
 * front of them; the buffers are those of the verbs figures.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "bench.h"

#define CALLS	   800
#define BIG_COPIES 8
#define POPULATE   (16 * MIB)

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static double per(uint64_t start, uint32_t n)
{
	return (double)(now_ns() - start) / n;
}

/* Bytes in a number of nanoseconds: GB/s. */
static double rate(double ns, size_t len)
{
	return (double)len / ns;
}

double raw_spin(struct side *s)
{
	return probe(s);
}

static __attribute__((noinline)) long nothing(long a, const void *b, long c)
{
	__asm__ volatile("" : "+r"(a) : "r"(b), "r"(c) : "memory");
	return a;
}

double raw_call(struct side *s)
{
	uint64_t start = now_ns();

	for (int i = 0; i < 20 * CALLS; i++)
		nothing(i, s, 32);
	return per(start, 20 * CALLS);
}

static int null_fd(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		die("/dev/null");
	return fd;
}

double raw_null_write(struct side *s)
{
	int fd = null_fd();
	uint64_t start = now_ns();

	for (int i = 0; i < 5 * CALLS; i++)
		syscall(SYS_write, fd, s->buf, 32);
	return per(start, 5 * CALLS);
}

double hooked_null_write(struct side *s)
{
	int fd = null_fd();
	uint64_t start = now_ns();

	for (int i = 0; i < 5 * CALLS; i++)
		if (write(fd, s->buf, 32) != 32)
			die("/dev/null");
	return per(start, 5 * CALLS);
}

/* ns for a call that writes @len bytes into the sleeping peer, the first one left out. */
static double vm_write(struct side *s, size_t from, size_t to, size_t len, uint32_t n)
{
	struct iovec l = {s->buf + from, len};
	struct iovec r = {(void *)(uintptr_t)(s->peer.buf + to), len};
	uint64_t start = 0;

	for (uint32_t i = 0; i <= n; i++) {
		if (i == 1)
			start = now_ns();
		if (syscall(SYS_process_vm_writev, s->peer.pid, &l, 1, &r, 1, 0) != (long)len)
			die("process_vm_writev");
	}
	return per(start, n);
}

double raw_vm_small(struct side *s)
{
	return vm_write(s, AT_OUT, AT_IN, 8, CALLS);
}

double raw_vm_page(struct side *s)
{
	return vm_write(s, AT_OUT, AT_IN, 4 * KIB, CALLS);
}

double raw_vm_big(struct side *s)
{
	return rate(vm_write(s, AT_BIG_OUT, AT_BIG_IN, MIB, BIG_COPIES), MIB);
}

double raw_vm_pong(struct side *s)
{
	uint64_t start;
	double ns;

	job_begin(s, JOB_RAW_PONG, CALLS, 8);
	start = now_ns();
	raw_pong(s, CALLS, 8);
	ns = per(start, 2 * CALLS);
	job_end(s);
	return ns;
}

double raw_memcpy(struct side *s)
{
	uint64_t start = 0;

	for (int i = 0; i <= BIG_COPIES; i++) {
		if (i == 1)
			start = now_ns();
		memcpy(s->shm->area, s->buf + AT_BIG_OUT, MIB);
		__asm__ volatile("" ::: "memory");
	}
	return rate(per(start, BIG_COPIES), MIB);
}

/* us for a MiB of fresh pages: what registering such memory takes at least. */
double raw_populate(struct side *s)
{
	void *p = mmap(NULL, POPULATE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t start;
	double ns;

	(void)s;
	if (p == MAP_FAILED)
		die("mmap");
	start = now_ns();
	if (madvise(p, POPULATE, MADV_POPULATE_WRITE))
		memset(p, 1, POPULATE);
	ns = per(start, POPULATE / MIB);
	munmap(p, POPULATE);
	return ns / 1e3;
}
