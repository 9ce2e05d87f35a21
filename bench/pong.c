// SPDX-License-Identifier: MIT
/*
 * Ping-pongs: the driver sends first, the peer answers. Data that has arrived is
 * seen in memory, by its last eight bytes, or for a SEND by its completion.
 */
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "bench.h"

static void stamp(struct side *s, size_t len)
{
	*(volatile uint64_t *)(s->buf + AT_OUT + len - 8) = s->seq;
}

static void await_stamp(struct side *s, size_t len)
{
	volatile uint64_t *in = (volatile uint64_t *)(s->buf + AT_IN + len - 8);

	while (*in != s->seq)
		relax();
	atomic_thread_fence(memory_order_acquire);
}

void write_pong(struct side *s, uint32_t n, size_t len)
{
	while (n--) {
		s->seq++;
		if (!s->driver)
			await_stamp(s, len);
		stamp(s, len);
		post_write(s, AT_OUT, AT_IN, len);
		take(s->scq, 1);
		if (s->driver)
			await_stamp(s, len);
	}
}

void raw_pong(struct side *s, uint32_t n, size_t len)
{
	struct iovec from = {s->buf + AT_OUT, len};
	struct iovec to = {(void *)(uintptr_t)(s->peer.buf + AT_IN), len};

	while (n--) {
		s->seq++;
		if (!s->driver)
			await_stamp(s, len);
		stamp(s, len);
		if (syscall(SYS_process_vm_writev, s->peer.pid, &from, 1, &to, 1, 0) != (long)len)
			die("process_vm_writev");
		if (s->driver)
			await_stamp(s, len);
	}
}

/*
 * Each side has a receive ready before the other can know that it may send; the
 * peer's first was posted before it said that it is ready.
 */
void send_pong(struct side *s, uint32_t n)
{
	while (n--) {
		if (!s->driver)
			take(s->rcq, 1);
		if (s->driver || n)
			post_receives(s, 1);
		post_sends(s, IBV_WR_SEND, 1);
		take(s->scq, 1);
		if (s->driver)
			take(s->rcq, 1);
	}
}
