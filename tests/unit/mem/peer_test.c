// SPDX-License-Identifier: MIT
/*
 * Proves that bytes reach another process's memory and come from it, by each
 * way there is (self, process_vm, ring): scattered lists of every alignment
 * against a byte model, faults blamed on the right side at the right address,
 * and a target that is killed - before, or in the middle of a move - answered
 * with -ESRCH and never with a hang.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the four above */
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mem/peer.h"
#include "rdma/rdma.h"

#define SIZE (1u << 20)

/* The target's memory is shared, so that the test can look at it behind the engine's back. */
static u8 *there, *here, *hole;
static char parent[64], machine[80];
static pid_t owner;

struct target {
	struct oli_machine *m; /* ours */
	pid_t pid;
	u16 slot;
	u32 gen;
};

static void clean(void)
{
	char command[96];

	snprintf(command, sizeof(command), "rm -rf %s", parent);
	if (getpid() == owner && system(command))
		fprintf(stderr, "cannot remove %s\n", parent);
}

static struct oli_machine *attach(void)
{
	struct oli_machine_opts opts = {.name = machine};
	char why[OLI_WHY_MAX];
	struct oli_machine *m;

	return oli_machine_open(&opts, oli_parts, &m, why) ? NULL : m;
}

/* A process that only waits: what its service thread does is the engine's. */
static void start(struct target *t, enum oli_way way)
{
	u32 said[2];
	int up[2];

	setenv("OLIO_WAY", way == OLI_WAY_RING ? "ring" : "", 1);
	t->m = attach();
	assert_non_null(t->m);
	assert_int_equal(pipe(up), 0);
	t->pid = fork();
	if (!t->pid) {
		struct oli_machine *mine;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		oli_machine_forget(t->m);
		mine = attach();
		if (!mine)
			_exit(1);
		said[0] = mine->slot;
		said[1] = mine->gen;
		if (write(up[1], said, sizeof(said)) != sizeof(said))
			_exit(1);
		for (;;)
			pause();
	}
	close(up[1]);
	assert_int_equal(read(up[0], said, sizeof(said)), sizeof(said));
	close(up[0]);
	t->slot = (u16)said[0];
	t->gen = said[1];
	assert_int_equal(oli_peer_way(t->m, t->slot, t->gen), way);
	assert_int_equal(oli_peer_way_known(t->m, t->slot, t->gen), way);
	assert_int_equal(oli_peer_way_known(t->m, t->slot, t->gen + 1), OLI_WAY_UNKNOWN);
}

/* The same process, as a target of itself. */
static void start_self(struct target *t, enum oli_way way)
{
	setenv("OLIO_WAY", way == OLI_WAY_RING ? "ring" : "", 1);
	t->m = attach();
	assert_non_null(t->m);
	t->pid = 0;
	t->slot = t->m->slot;
	t->gen = t->m->gen;
	assert_int_equal(oli_peer_way(t->m, t->slot, t->gen), way);
}

static void stop(struct target *t)
{
	if (t->pid) {
		kill(t->pid, SIGKILL);
		waitpid(t->pid, NULL, 0);
	}
	oli_machine_close(t->m);
}

static int move(struct target *t, bool to_remote, struct iovec *local, u32 nlocal,
		struct iovec *remote, u32 nremote, u64 len, struct oli_move *mv)
{
	*mv = (struct oli_move){.slot = t->slot, .gen = t->gen, .to_remote = to_remote,
				.local = local, .remote = remote, .nlocal = nlocal,
				.nremote = nremote, .len = len};
	return oli_peer_move(t->m, mv);
}

/* ---- bytes ---- */

/* Pieces in ascending order with gaps: @at[i] is where the i-th byte of the message lies. */
static u32 pieces(u8 *base, struct iovec *iov, u32 max, u64 total, u8 **at)
{
	u32 n = 0, pos = (u32)rand() % 64;
	u64 done = 0;

	while (done < total) {
		u64 len = n == max - 1 ? total - done : (u64)rand() % (total / 2 + 2);

		if (len > total - done)
			len = total - done;
		iov[n++] = (struct iovec){base + pos, len};
		for (u64 i = 0; i < len; i++)
			at[done + i] = base + pos + i;
		done += len;
		pos += (u32)len + (u32)rand() % 64;
	}
	return n;
}

static void one_move(struct target *t, u32 seed, u64 total)
{
	static u8 *local_at[SIZE], *remote_at[SIZE];
	static u8 model_here[SIZE], model_there[SIZE];
	struct iovec local[9], remote[9];
	struct oli_move mv;
	bool to_remote;
	u32 nl, nr;

	srand(seed);
	to_remote = rand() % 2;
	for (u32 i = 0; i < SIZE; i += 8) {
		*(u64 *)(here + i) = (u64)rand() << 33 ^ (u64)rand();
		*(u64 *)(there + i) = (u64)rand() << 33 ^ (u64)rand();
	}
	nl = pieces(here, local, 8, total, local_at);
	nr = pieces(there, remote, 8, total, remote_at);
	/* Lists may be longer than the message. */
	local[nl] = (struct iovec){here + SIZE - 16, 16};
	remote[nr] = (struct iovec){there + SIZE - 16, 16};
	memcpy(model_here, here, SIZE);
	memcpy(model_there, there, SIZE);
	for (u64 i = 0; i < total; i++)
		if (to_remote)
			model_there[remote_at[i] - there] = model_here[local_at[i] - here];
		else
			model_here[local_at[i] - here] = model_there[remote_at[i] - there];
	assert_int_equal(move(t, to_remote, local, nl + 1, remote, nr + 1, total, &mv), 0);
	if (memcmp(here, model_here, SIZE) || memcmp(there, model_there, SIZE))
		fail_msg("seed %u: the bytes are not the model's", seed);
}

static void bytes_by(struct target *t)
{
	static const u64 totals[] = {1, 7, 64, 4096, 5000, 131072, 131073, 400000};

	for (u32 i = 0; i < OLI_ARRAY_SIZE(totals); i++)
		for (u32 seed = 1; seed <= 4; seed++)
			one_move(t, 100 * i + seed, totals[i]);
	stop(t);
}

static void test_bytes_vm(void **state)
{
	struct target t;

	(void)state;
	start(&t, OLI_WAY_VM);
	bytes_by(&t);
}

static void test_bytes_ring(void **state)
{
	struct target t;

	(void)state;
	start(&t, OLI_WAY_RING);
	bytes_by(&t);
}

static void test_bytes_self(void **state)
{
	struct target t;

	(void)state;
	start_self(&t, OLI_WAY_SELF);
	bytes_by(&t);
	start_self(&t, OLI_WAY_RING);
	bytes_by(&t);
}

/* Every alignment of both ends of a short move. */
static void alignments_by(struct target *t)
{
	for (u32 a = 0; a < 16; a++)
		for (u32 b = 0; b < 16; b++)
			for (u32 len = 1; len < 20; len += 6) {
				struct iovec l = {here + a, len}, r = {there + b, len};
				struct oli_move mv;

				memset(there, 0, 64);
				for (u32 i = 0; i < len; i++)
					here[a + i] = (u8)(1 + i);
				assert_int_equal(move(t, true, &l, 1, &r, 1, len, &mv), 0);
				assert_memory_equal(there + b, here + a, len);
				assert_int_equal(there[b + len], 0);
				assert_true(!b || !there[b - 1]);
			}
	stop(t);
}

static void test_alignments(void **state)
{
	struct target t;

	(void)state;
	start(&t, OLI_WAY_VM);
	alignments_by(&t);
	start(&t, OLI_WAY_RING);
	alignments_by(&t);
}

/* ---- faults ---- */

/* @hole is a page that nobody may touch, in both processes, with good ones around it. */
static void fault_at(struct target *t, bool to_remote, bool remote_bad, u32 before)
{
	u8 *bad = hole - before;
	struct iovec l = {remote_bad ? here : bad, 64}, r = {remote_bad ? bad : there, 64};
	struct oli_move mv;

	assert_int_equal(move(t, to_remote, &l, 1, &r, 1, 64, &mv), -EFAULT);
	assert_int_equal(mv.bad_side, remote_bad ? OLI_SIDE_REMOTE : OLI_SIDE_LOCAL);
	assert_in_range(mv.bad_addr, (uintptr_t)bad, (uintptr_t)hole);
}

static void faults_by(struct target *t)
{
	struct iovec l = {here, 64}, r = {there, 64};
	struct oli_move mv;

	for (int i = 0; i < 4; i++) {
		fault_at(t, i & 1, i & 2, 0);
		fault_at(t, i & 1, i & 2, 10);
	}
	/* Both bad: the one that is read first is to blame, but it fails. */
	l.iov_base = r.iov_base = hole;
	assert_int_equal(move(t, true, &l, 1, &r, 1, 64, &mv), -EFAULT);
	assert_int_equal(mv.bad_side, OLI_SIDE_LOCAL);
	/* And it works again. */
	l = (struct iovec){here, 64};
	r = (struct iovec){there, 64};
	assert_int_equal(move(t, true, &l, 1, &r, 1, 64, &mv), 0);
	stop(t);
}

static void test_faults(void **state)
{
	struct target t;

	(void)state;
	start(&t, OLI_WAY_VM);
	faults_by(&t);
	start(&t, OLI_WAY_RING);
	faults_by(&t);
	start_self(&t, OLI_WAY_SELF);
	faults_by(&t);
	start_self(&t, OLI_WAY_RING);
	faults_by(&t);
}

/* ---- death ---- */

static void dead_by(enum oli_way way)
{
	struct iovec l = {here, SIZE}, r = {there, SIZE};
	struct oli_move mv;
	struct target t;

	start(&t, way);
	kill(t.pid, SIGKILL);
	waitpid(t.pid, NULL, 0);
	t.pid = 0;
	assert_int_equal(move(&t, true, &l, 1, &r, 1, SIZE, &mv), -ESRCH);
	assert_int_equal(oli_peer_way(t.m, t.slot, t.gen + 1), OLI_WAY_UNKNOWN);
	stop(&t);
}

static void test_dead_target(void **state)
{
	(void)state;
	dead_by(OLI_WAY_VM);
	dead_by(OLI_WAY_RING);
}

struct killer {
	pid_t pid;
	_Atomic u32 moves;
};

static void *kill_soon(void *arg)
{
	struct killer *k = arg;

	while (k->moves < 3)
		;
	kill(k->pid, SIGKILL);
	return NULL;
}

static void killed_by(enum oli_way way)
{
	struct killer k = {0};
	struct oli_move mv;
	pthread_t thread;
	struct target t;
	int err = 0;

	start(&t, way);
	k.pid = t.pid;
	pthread_create(&thread, NULL, kill_soon, &k);
	while (!err) {
		struct iovec l = {here, SIZE}, r = {there, SIZE};

		err = move(&t, k.moves % 2, &l, 1, &r, 1, SIZE, &mv);
		k.moves++;
	}
	assert_int_equal(err, -ESRCH);
	pthread_join(thread, NULL);
	stop(&t);
}

static void test_killed_in_the_middle(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++) {
		killed_by(OLI_WAY_VM);
		killed_by(OLI_WAY_RING);
	}
}

/* A requester dies inside another's mailbox: the next one is served, with its own bytes. */
static void test_dead_requester(void **state)
{
	struct oli_move mv;
	struct target t;

	(void)state;
	start(&t, OLI_WAY_RING);
	for (int i = 0; i < 20; i++) {
		struct iovec l = {here, 300000}, r = {there, 300000};
		pid_t pid = fork();

		if (!pid) {
			struct target mine = t;

			prctl(PR_SET_PDEATHSIG, SIGKILL);
			oli_machine_forget(t.m);
			mine.m = attach();
			if (!mine.m || oli_peer_way(mine.m, t.slot, t.gen) != OLI_WAY_RING)
				_exit(1);
			for (;;) {
				struct iovec ml = {here, SIZE / 2}, mr = {there + SIZE / 2, SIZE / 2};

				if (move(&mine, true, &ml, 1, &mr, 1, SIZE / 2, &mv))
					_exit(1);
			}
		}
		memset(here, 0x40 + i, 300000);
		/* The requester's writes show that it is at it. */
		there[SIZE - 1] = 0xab;
		here[SIZE / 2 - 1] = 0;
		while (__atomic_load_n(&there[SIZE - 1], __ATOMIC_RELAXED) == 0xab)
			;
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		assert_int_equal(move(&t, true, &l, 1, &r, 1, 300000, &mv), 0);
		assert_memory_equal(there, here, 300000);
	}
	stop(&t);
}

/* ---- lists ---- */

static void test_skip(void **state)
{
	struct iovec v[3] = {{(void *)100, 10}, {(void *)200, 0}, {(void *)300, 5}}, *p = v;
	u32 n = 3;

	(void)state;
	oli_iov_skip(&p, &n, 4);
	assert_int_equal((uintptr_t)p->iov_base, 104);
	assert_int_equal(p->iov_len, 6);
	oli_iov_skip(&p, &n, 6);
	assert_int_equal(n, 1);
	assert_int_equal((uintptr_t)p->iov_base, 300);
	oli_iov_skip(&p, &n, 5);
	assert_int_equal(n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes_vm),
		cmocka_unit_test(test_bytes_ring),
		cmocka_unit_test(test_bytes_self),
		cmocka_unit_test(test_alignments),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_dead_target),
		cmocka_unit_test(test_killed_in_the_middle),
		cmocka_unit_test(test_dead_requester),
		cmocka_unit_test(test_skip),
	};

	there = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	here = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	hole = mmap(NULL, 3 * OLI_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	hole += OLI_PAGE_SIZE;
	memset(hole - OLI_PAGE_SIZE, 1, 3 * OLI_PAGE_SIZE);
	mprotect(hole, OLI_PAGE_SIZE, PROT_NONE);
	snprintf(parent, sizeof(parent), "%s/olio-test-XXXXXX",
		 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	if (!mkdtemp(parent))
		return 1;
	snprintf(machine, sizeof(machine), "%s/m", parent);
	owner = getpid();
	atexit(clean);
	return cmocka_run_group_tests_name("mem/peer", tests, NULL, NULL);
}
