// SPDX-License-Identifier: MIT
/*
 * Proves event pipes (made, written by others, full, purged, gone) and the ring
 * of records (order, wrap-around, lost and torn entries are not handed out).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "place.h"

struct two {
	struct oli_machine *a, *b;
};

static int setup(void **state)
{
	static struct two t;

	t.a = place_open();
	t.b = place_open();
	*state = &t;
	return 0;
}

static int teardown(void **state)
{
	struct two *t = *state;

	oli_machine_close(t->a);
	oli_machine_close(t->b);
	return 0;
}

static void test_pipe(void **state)
{
	struct two *t = *state;
	u32 pipes = place_files(place_dir(), "ev-"), fds = place_fds();
	u64 ev = 0x1122334455667788, got = 0;
	int fd;

	assert_int_equal(oli_event_create(t->a, 5, 9, &fd), 0);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	assert_int_equal(oli_event_send(t->b, t->a->slot, 5, 9, &ev, 8), 0);
	assert_int_equal(read(fd, &got, 8), 8);
	assert_int_equal(got, ev);
	/* Another use of the same number is another pipe. */
	assert_int_equal(oli_event_send(t->b, t->a->slot, 5, 10, &ev, 8), -ENOENT);
	assert_int_equal(oli_event_send(t->b, t->b->slot, 5, 9, &ev, 8), -ENOENT);
	oli_event_destroy(t->a, t->a->slot, 5, 9);
	oli_event_destroy(t->b, t->a->slot, 5, 9);
	assert_int_equal(oli_event_send(t->b, t->a->slot, 5, 9, &ev, 8), -ENOENT);
	close(fd);
	assert_int_equal(place_files(place_dir(), "ev-"), pipes);
	assert_int_equal(place_fds(), fds);
}

static void test_full_pipe(void **state)
{
	struct two *t = *state;
	u64 ev = 0, got;
	u32 n = 0;
	int fd;

	assert_int_equal(oli_event_create(t->a, 1, 1, &fd), 0);
	while (!oli_event_send(t->b, t->a->slot, 1, 1, &ev, 8)) {
		ev++;
		n++;
		assert_true(n < 1000000);
	}
	assert_int_equal(oli_event_send(t->b, t->a->slot, 1, 1, &ev, 8), -EAGAIN);
	for (u64 i = 0; i < n; i++) {
		assert_int_equal(read(fd, &got, 8), 8);
		assert_int_equal(got, i);
	}
	assert_int_equal(oli_event_send(t->b, t->a->slot, 1, 1, &ev, 8), 0);
	close(fd);
}

static bool is_odd(void *arg, const void *event)
{
	(void)arg;
	return *(const u64 *)event & 1;
}

static void test_purge(void **state)
{
	struct two *t = *state;
	u64 got;
	int fd;

	assert_int_equal(oli_event_create(t->a, 1, 2, &fd), 0);
	assert_int_equal(oli_event_purge(t->a, 1, 2, 8, is_odd, NULL), 0);
	for (u64 i = 0; i < 9; i++)
		assert_int_equal(oli_event_send(t->b, t->a->slot, 1, 2, &i, 8), 0);
	assert_int_equal(oli_event_purge(t->a, 1, 2, 8, is_odd, NULL), 4);
	for (u64 i = 0; i < 9; i += 2) {
		assert_int_equal(read(fd, &got, 8), 8);
		assert_int_equal(got, i);
	}
	assert_int_equal(oli_event_purge(t->a, 77, 2, 8, is_odd, NULL), 0);
	close(fd);
}

/* More pipes of others than are kept open. */
static void test_many_foreign(void **state)
{
	struct two *t = *state;
	int fd[300];
	u64 got;

	for (u32 i = 0; i < 300; i++)
		assert_int_equal(oli_event_create(t->a, i, 3, &fd[i]), 0);
	for (u64 round = 0; round < 2; round++)
		for (u64 i = 0; i < 300; i++)
			assert_int_equal(oli_event_send(t->b, t->a->slot, (u32)i, 3, &i, 8), 0);
	for (u64 i = 0; i < 300; i++) {
		assert_int_equal(read(fd[i], &got, 8), 8);
		assert_int_equal(got, i);
		close(fd[i]);
		oli_event_destroy(t->a, t->a->slot, (u32)i, 3);
	}
}

static void test_create_faults(void **state)
{
	struct two *t = *state;
	u32 pipes = place_files(place_dir(), "ev-"), fds = place_fds(), failed = 0;
	int fd = -7, err;

	for (int n = 1;; n++) {
		oli_fault_countdown = n;
		err = oli_event_create(t->a, 4, 4, &fd);
		if (!err)
			break;
		failed++;
		assert_int_equal(fd, -7);
		assert_int_equal(place_files(place_dir(), "ev-"), pipes);
		assert_int_equal(place_fds(), fds);
	}
	oli_fault_countdown = 0;
	assert_int_equal(failed, 3);
	close(fd);
}

/* ---- records ---- */

static struct oli_record *ring_entry(struct oli_machine *m, u64 seq)
{
	return (struct oli_record *)oli_ptr(m, m->shm->record_off) + seq % OLI_RECORDS;
}

static void test_records(void **state)
{
	struct two *t = *state;
	struct oli_record r = {.wr_id = 42}, out;
	u64 first = t->a->shm->record_next + 1;

	assert_false(oli_record_get(t->b, first, &out));
	strcpy(r.text, "why");
	oli_record_add(t->a, t->a->slot, &r);
	assert_true(oli_record_get(t->b, first, &out));
	assert_int_equal(out.seq, first);
	assert_int_equal(out.wr_id, 42);
	assert_int_equal(out.pid, getpid());
	assert_int_equal(out.count, 1);
	assert_string_equal(out.text, "why");
	/* Round the ring: the oldest is lost, and says so. */
	for (u64 i = 1; i <= OLI_RECORDS; i++) {
		r.wr_id = 42 + i;
		oli_record_add(t->a, t->a->slot, &r);
	}
	assert_false(oli_record_get(t->b, first, &out));
	for (u64 i = 1; i <= OLI_RECORDS; i++) {
		assert_true(oli_record_get(t->b, first + i, &out));
		assert_int_equal(out.wr_id, 42 + i);
	}
	/* One whose writer died half-way is never shown; texts always end. */
	ring_entry(t->a, first + 5)->seq = 0;
	assert_false(oli_record_get(t->b, first + 5, &out));
	memset(ring_entry(t->a, first + 6)->text, 'x', OLI_RECORD_TEXT);
	assert_true(oli_record_get(t->b, first + 6, &out));
	assert_int_equal(strlen(out.text), OLI_RECORD_TEXT - 1);
}

/* Every field of a record says the same: a mixture would show. */
static void *write_records(void *arg)
{
	struct oli_machine *m = arg;
	struct oli_record r = {0};

	for (u64 i = 1; i <= 100000; i++) {
		r.wr_id = r.want_start = r.want_len = r.have_len = i;
		r.count = 1;
		oli_record_add(m, m->slot, &r);
	}
	return NULL;
}

static void test_torn_records(void **state)
{
	struct two *t = *state;
	u64 from = t->a->shm->record_next, seen = 0;
	struct oli_record out;
	pthread_t thread;

	pthread_create(&thread, NULL, write_records, t->a);
	while (t->b->shm->record_next < from + 100000) {
		/* Where the writer is now, and where it is going to be. */
		u64 next = t->b->shm->record_next;

		for (u64 i = 0; i < 6; i++) {
			u64 s = i < 3 ? next - i : next - OLI_RECORDS + i - 2;

			if ((s64)(s - from) <= 0 || !oli_record_get(t->b, s, &out))
				continue;
			seen++;
			if (out.wr_id != s - from || out.have_len != out.wr_id ||
			    out.want_start != out.wr_id || out.want_len != out.wr_id)
				fail_msg("record %llu is torn", (unsigned long long)s);
		}
	}
	pthread_join(thread, NULL);
	print_message("# %llu records read while they were written\n", (unsigned long long)seen);
	assert_true(oli_record_get(t->b, from + 100000, &out));
	assert_int_equal(out.wr_id, 100000);
}

int main(void)
{
#define IN_TWO(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		IN_TWO(test_pipe),	   IN_TWO(test_full_pipe), IN_TWO(test_purge),
		IN_TWO(test_many_foreign), IN_TWO(test_create_faults),
		IN_TWO(test_records),	   IN_TWO(test_torn_records),
	};

	return cmocka_run_group_tests_name("machine/event", tests, NULL, NULL);
}
