// SPDX-License-Identifier: MIT
/*
 * Proves how processes come and go: many that create at once end in one
 * machine, the last one out removes it, a machine whose processes were all
 * killed is made anew; who is dead is noticed and reaped, also when a forked
 * child lives on; slots run out with a sentence; a file that is damaged, cut,
 * of another version or owner is refused with its errno and left alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "machine/file.h"
#include "place.h"

static bool exists(const char *path)
{
	return access(path, F_OK) == 0;
}

static u32 live_slots(struct oli_machine *m)
{
	u32 n = 0;

	for (u16 i = 0; i < OLI_SLOTS; i++)
		n += m->shm->slots[i].state != OLI_SLOT_FREE;
	return n;
}

/* A process that attached and waits; its pipes. */
struct guest {
	pid_t pid;
	int up, down;
	u32 said;
};

/* @act runs after the attach; what it returns is said. */
static struct guest guest_start(u32 (*act)(struct oli_machine *m), struct oli_machine *inherited)
{
	int up[2], down[2];
	struct guest g;

	assert_int_equal(pipe(up) | pipe(down), 0);
	g.pid = fork();
	if (!g.pid) {
		struct oli_machine *m;
		char why[OLI_WHY_MAX];
		u32 word;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(up[0]);
		close(down[1]);
		if (inherited)
			oli_machine_forget(inherited);
		if (place_try(&m, why))
			place_leave(3);
		word = act ? act(m) : m->slot;
		if (write(up[1], &word, sizeof(word)) != sizeof(word))
			place_leave(4);
		if (read(down[0], &word, sizeof(word)) == sizeof(word))
			oli_machine_close(m);
		place_leave(0);
	}
	close(up[1]);
	close(down[0]);
	g.up = up[0];
	g.down = down[1];
	return g;
}

static void guest_ready(struct guest *g)
{
	assert_int_equal(read(g->up, &g->said, sizeof(g->said)), sizeof(g->said));
}

static void guest_end(struct guest *g, bool politely)
{
	if (politely)
		assert_int_equal(write(g->down, "bye!", 4), 4);
	else
		kill(g->pid, SIGKILL);
	assert_int_equal(place_wait(g->pid), politely ? 0 : 128 + SIGKILL);
	close(g->up);
	close(g->down);
}

/* ---- creating ---- */

static u32 secret(struct oli_machine *m)
{
	return m->shm->key_mask;
}

static void create_at_once(int n)
{
	struct guest g[8];

	for (int i = 0; i < n; i++)
		g[i] = guest_start(secret, NULL);
	for (int i = 0; i < n; i++)
		guest_ready(&g[i]);
	/* The machine's random secret tells machines apart. */
	for (int i = 1; i < n; i++)
		assert_int_equal(g[i].said, g[0].said);
	for (int i = 0; i < n; i++) {
		assert_true(exists(place_dir()));
		guest_end(&g[i], true);
	}
	assert_false(exists(place_dir()));
}

static void test_created_once(void **state)
{
	(void)state;
	for (int round = 0; round < 5; round++) {
		create_at_once(2);
		create_at_once(8);
	}
}

/* Coming and going all the time: nobody fails, nobody is left, nothing is left. */
static void test_turnstile(void **state)
{
	pid_t pid[6];

	(void)state;
	for (u32 i = 0; i < OLI_ARRAY_SIZE(pid); i++) {
		pid[i] = fork();
		if (pid[i])
			continue;
		for (int n = 0; n < 15; n++) {
			struct oli_machine *m;
			char why[OLI_WHY_MAX];

			if (place_try(&m, why))
				place_leave(1);
			if (m->shm->slots[m->slot].pid != getpid())
				place_leave(2);
			oli_machine_close(m);
		}
		place_leave(0);
	}
	for (u32 i = 0; i < OLI_ARRAY_SIZE(pid); i++)
		assert_int_equal(place_wait(pid[i]), 0);
	assert_false(exists(place_dir()));
}

static void test_all_killed_is_made_anew(void **state)
{
	struct guest g = guest_start(secret, NULL);
	struct oli_machine *m;

	(void)state;
	guest_ready(&g);
	guest_end(&g, false);
	assert_true(exists(place_dir()));
	m = place_open();
	assert_int_not_equal(m->shm->key_mask, g.said);
	assert_int_equal(live_slots(m), 1);
	/* Its own wake pipe is the only one. */
	assert_int_equal(place_files(place_dir(), "ev-"), 1);
	oli_machine_close(m);
	assert_false(exists(place_dir()));
}

/* ---- slots ---- */

static u32 with_a_page(struct oli_machine *m)
{
	u64 off;

	return oli_heap_alloc(m, 5 * OLI_PAGE_SIZE, m->slot, &off) ? OLI_SLOT_NONE : m->slot;
}

static void test_death_is_reaped(void **state)
{
	struct oli_machine *m = place_open();
	u64 pages = m->shm->heap_used;
	struct guest g = guest_start(with_a_page, m);
	struct oli_slot *s;
	u32 gen;

	(void)state;
	guest_ready(&g);
	s = oli_slot(m, (u16)g.said);
	gen = s->gen;
	assert_int_equal(s->pid, g.pid);
	assert_true(oli_slot_alive(m, (u16)g.said, gen));
	assert_false(oli_slot_alive(m, (u16)g.said, gen + 1));
	assert_int_equal(m->shm->heap_used, pages + 5);
	/* A living one is not reaped. */
	place_reaped[g.said] = 0;
	oli_reap(m);
	assert_int_equal(place_reaped[g.said], 0);
	guest_end(&g, false);
	assert_false(oli_slot_alive(m, (u16)g.said, gen));
	oli_reap(m);
	assert_int_equal(place_reaped[g.said], 1);
	assert_int_equal(s->state, OLI_SLOT_FREE);
	assert_int_equal(m->shm->heap_used, pages);
	assert_int_equal(place_files(place_dir(), "ev-"), 1);
	oli_machine_close(m);
}

/* The service thread notices by itself, soon. */
static void test_watched_death(void **state)
{
	struct oli_machine *m = place_open();
	struct guest g = guest_start(NULL, m);
	u32 gone;

	(void)state;
	guest_ready(&g);
	gone = oli_slot(m, (u16)g.said)->gen;
	oli_service_watch(m, (u16)g.said, gone);
	guest_end(&g, false);
	for (time_t until = time(NULL) + 5; oli_slot(m, (u16)g.said)->state != OLI_SLOT_FREE;)
		assert_true(time(NULL) <= until);
	/* Watching one who is dead already does no harm. */
	oli_service_watch(m, (u16)g.said, gone);
	oli_machine_close(m);
}

static u32 leave_a_child(struct oli_machine *m)
{
	int ready[2];
	char c;
	pid_t pid;

	if (pipe(ready))
		return 0;
	pid = fork();
	if (!pid) {
		/* As the fork handler does. The child outlives its parent by far. */
		oli_machine_forget(m);
		close(ready[1]);
		poll(NULL, 0, 20000);
		place_leave(0);
	}
	/* End of file: the child has let go. */
	close(ready[1]);
	return read(ready[0], &c, 1) ? 0 : (u32)pid;
}

static void test_lingering_child(void **state)
{
	struct oli_machine *m = place_open();
	struct guest g = guest_start(leave_a_child, m);
	u16 slot = m->slot == 0 ? 1 : 0;

	(void)state;
	guest_ready(&g);
	assert_int_equal(oli_slot(m, slot)->pid, g.pid);
	guest_end(&g, false);
	oli_reap(m);
	assert_int_equal(oli_slot(m, slot)->state, OLI_SLOT_FREE);
	kill((pid_t)g.said, SIGKILL);
	oli_machine_close(m);
	assert_false(exists(place_dir()));
}

static u32 leave_a_rude_child(struct oli_machine *m)
{
	pid_t pid = fork();

	/* It knows nothing of the machine and keeps all descriptors. */
	if (!pid) {
		poll(NULL, 0, 20000);
		place_leave(0);
	}
	(void)m;
	return (u32)pid;
}

/* Such a child keeps its parent's slot, but nobody's processor. */
static void test_rude_child_costs_nothing(void **state)
{
	struct timespec t0, t1, pause = {.tv_nsec = 200 * 1000000};
	struct oli_machine *m = place_open();
	struct guest g = guest_start(leave_a_rude_child, m);
	u16 slot = m->slot == 0 ? 1 : 0;

	(void)state;
	guest_ready(&g);
	oli_service_watch(m, slot, oli_slot(m, slot)->gen);
	guest_end(&g, false);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t0);
	nanosleep(&pause, NULL); /* what is measured, not waited for */
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t1);
	assert_true((t1.tv_sec - t0.tv_sec) * 1000000000 + t1.tv_nsec - t0.tv_nsec < 60 * 1000000);
	kill((pid_t)g.said, SIGKILL);
	for (time_t until = time(NULL) + 5; oli_slot(m, slot)->state != OLI_SLOT_FREE;)
		assert_true(time(NULL) <= until);
	oli_machine_close(m);
}

static void test_slots_run_out(void **state)
{
	struct oli_machine *all[OLI_SLOTS], *more = NULL;
	char why[OLI_WHY_MAX];
	u32 fds;

	(void)state;
	for (u32 i = 0; i < OLI_SLOTS; i++) {
		all[i] = place_open();
		assert_int_equal(all[i]->slot, i);
	}
	fds = place_fds();
	assert_int_equal(place_try(&more, why), -ENOSPC);
	assert_null(more);
	assert_non_null(strstr(why, "128"));
	assert_int_equal(place_fds(), fds);
	/* One leaves, one comes; the slot's generation tells them apart. */
	fds = oli_slot(all[0], 77)->gen;
	oli_machine_close(all[77]);
	all[77] = place_open();
	assert_int_equal(all[77]->slot, 77);
	assert_int_equal(all[77]->gen, fds + 1);
	for (u32 i = 0; i < OLI_SLOTS; i++)
		oli_machine_close(all[i]);
	assert_false(exists(place_dir()));
}

/* The last one out takes what the machine made, and nothing else. */
static void test_foreign_files_stay(void **state)
{
	struct oli_machine *m = place_open();
	char path[120];

	(void)state;
	snprintf(path, sizeof(path), "%s/thesis", place_dir());
	close(open(path, O_CREAT | O_RDWR, 0600));
	oli_machine_close(m);
	assert_true(exists(path));
	assert_int_equal(place_files(place_dir(), ""), 1);
	unlink(path);
	rmdir(place_dir());
}

/* ---- refused ---- */

static char *file_path(void)
{
	static char path[120];

	snprintf(path, sizeof(path), "%s/machine", place_dir());
	return path;
}

static void patch(size_t off, const void *bytes, size_t len)
{
	int fd = open(file_path(), O_WRONLY);

	assert_int_equal(pwrite(fd, bytes, len, (off_t)off), len);
	close(fd);
}

static void refused(int err, const char *word)
{
	struct oli_machine *m = NULL;
	char why[OLI_WHY_MAX];
	u32 fds = place_fds();

	if (place_try(&m, why) != err || !strstr(why, word))
		fail_msg("expected %d with '%s', got '%s'", err, word, why);
	assert_null(m);
	assert_true(exists(file_path()));
	assert_int_equal(place_fds(), fds);
}

static void test_refused(void **state)
{
	struct oli_machine *m = place_open();
	struct oli_shm head;
	u32 other;

	(void)state;
	memcpy(&head, m->shm, offsetof(struct oli_shm, lock));
	other = head.layout + 1;
	patch(offsetof(struct oli_shm, layout), &other, 4);
	refused(-EPROTO, "another version");
	patch(offsetof(struct oli_shm, layout), &head.layout, 4);
	other = head.uid + 1;
	patch(offsetof(struct oli_shm, uid), &other, 4);
	refused(-EPERM, "another user");
	patch(offsetof(struct oli_shm, uid), &head.uid, 4);
	patch(0, "olioMACH", 8);
	refused(-EUCLEAN, "not a machine's file");
	patch(0, head.magic, 8);
	/* Every byte that the checksum covers. */
	for (size_t i = offsetof(struct oli_shm, size); i < offsetof(struct oli_shm, check); i += 7) {
		u8 bad = (u8) ~((u8 *)&head)[i];

		patch(i, &bad, 1);
		refused(-EUCLEAN, "damaged");
		patch(i, (u8 *)&head + i, 1);
	}
	/* And whole again it is good. */
	{
		struct oli_machine *second = place_open();

		oli_machine_close(second);
	}
	oli_machine_close(m);
}

static void test_cut_short(void **state)
{
	struct oli_machine *m = place_open();
	struct stat st;
	int fd = open(file_path(), O_RDWR);

	(void)state;
	fstat(fd, &st);
	/* Sparse at its end: nobody's page is lost. */
	assert_int_equal(ftruncate(fd, st.st_size - 4096), 0);
	refused(-EUCLEAN, "damaged");
	assert_int_equal(ftruncate(fd, st.st_size + 4096), 0);
	refused(-EUCLEAN, "damaged");
	assert_int_equal(ftruncate(fd, st.st_size), 0);
	close(fd);
	oli_machine_close(m);
	mkdir(place_dir(), 0700);
	close(open(file_path(), O_CREAT | O_RDWR, 0600));
	refused(-EUCLEAN, "too short");
	unlink(file_path());
	rmdir(place_dir());
}

static int try_named(const char *name, bool no_create, char *why)
{
	struct oli_machine_opts opts = {.name = name, .no_create = no_create};
	struct oli_machine *m = NULL;
	int err = oli_machine_open(&opts, place_parts, &m, why);

	assert_null(m);
	return err;
}

static void test_names(void **state)
{
	char why[OLI_WHY_MAX], path[300];

	(void)state;
	assert_int_equal(try_named("../evil", false, why), -EINVAL);
	assert_int_equal(try_named(".hidden", false, why), -EINVAL);
	assert_int_equal(try_named("with space", false, why), -EINVAL);
	/* A directory with somebody's files in it is neither used nor emptied. */
	mkdir(place_dir(), 0700);
	snprintf(path, sizeof(path), "%s/thesis", place_dir());
	close(open(path, O_CREAT | O_RDWR, 0600));
	assert_int_equal(try_named(place_dir(), false, why), -ENOTEMPTY);
	assert_true(exists(path));
	unlink(path);
	rmdir(place_dir());
	memset(path, 'a', sizeof(path));
	path[0] = '/';
	path[299] = '\0';
	assert_int_equal(try_named(path, false, why), -EINVAL);
	assert_int_equal(try_named(place_dir(), true, why), -ENOENT);
	assert_false(exists(place_dir()));
	snprintf(path, sizeof(path), "%s", place_dir());
	close(open(path, O_CREAT | O_RDWR, 0600));
	assert_int_equal(try_named(path, false, why), -ENOTDIR);
	unlink(path);
	if (geteuid() == 0) {
		mkdir(path, 0777);
		assert_int_equal(chown(path, 12345, 12345), 0);
		assert_int_equal(try_named(path, false, why), -EPERM);
		assert_non_null(strstr(why, "12345"));
		rmdir(path);
	}
}

/* ---- types ---- */

static void conflicts(const char *type, const struct oli_desc *desc, int err, const char *word)
{
	struct oli_machine *m = NULL;
	char why[OLI_WHY_MAX];
	u32 fds = place_fds();

	if (place_try_with(type, desc, &m, why) != err || (err && !strstr(why, word)))
		fail_msg("expected %d with '%s', got '%s'", err, word, why);
	if (!err)
		oli_machine_close(m);
	assert_int_equal(place_fds(), fds);
}

static void test_machine_types(void **state)
{
	struct oli_desc d = {.type = "own", .ram_size = 2 << 20}, bad = {.type = "own"};
	struct oli_machine *m;

	(void)state;
	/* The sentence lists the types that there are. */
	conflicts("toaster", NULL, -ENOENT, "hostile");
	conflicts(NULL, &bad, -EINVAL, "ram-size");
	setenv("OLIO_MACHINE_TYPE", "toaster", 1);
	conflicts(NULL, NULL, -ENOENT, "toaster");
	assert_false(exists(place_dir()));
	setenv("OLIO_MACHINE_TYPE", "p2p-acs", 1);
	m = place_open_with(NULL, NULL);
	assert_string_equal(m->shm->desc.type, "p2p-acs");
	/* Once it is there only a type that was asked for matters, not a habit. */
	setenv("OLIO_MACHINE_TYPE", "pc", 1);
	conflicts(NULL, NULL, 0, "");
	unsetenv("OLIO_MACHINE_TYPE");
	conflicts("p2p-acs", NULL, 0, "");
	conflicts("pc", NULL, -EEXIST, "'p2p-acs', not 'pc'");
	conflicts("toaster", NULL, -ENOENT, "toaster");
	conflicts(NULL, &d, -EEXIST, "not 'own'");
	assert_int_equal(live_slots(m), 1);
	oli_machine_close(m);
	m = place_open_with(NULL, &d);
	conflicts(NULL, &d, 0, "");
	conflicts("pc", NULL, -EEXIST, "own");
	d.ram_size *= 2;
	conflicts(NULL, &d, -EEXIST, "another description");
	oli_machine_close(m);
	/* With BARs, whose memory only the machine knows. */
	assert_int_equal(oli_desc_builtin("pc", &d), 0);
	m = place_open_with("pc", NULL);
	conflicts(NULL, &d, 0, "");
	oli_machine_close(m);
	assert_false(exists(place_dir()));
}

/* ---- every failure on the way in ---- */

/* @first: the machine is made, else it is there. */
static void sweep_open(bool first)
{
	struct oli_machine *host = first ? NULL : place_open(), *m;
	u64 pages = first ? 0 : host->shm->heap_used;
	u32 fds = place_fds(), pipes = place_files(place_dir(), "ev-"), failed = 0;
	char why[OLI_WHY_MAX];

	for (int n = 1;; n++) {
		int err;

		m = NULL;
		oli_fault_countdown = n;
		err = place_try(&m, why);
		if (!err && oli_fault_countdown)
			break;
		oli_fault_countdown = 0;
		if (!err) {
			oli_machine_close(m);
			continue;
		}
		failed++;
		assert_true(err < 0);
		assert_true(why[0]);
		assert_null(m);
		if (place_fds() != fds)
			fail_msg("failure %d leaves descriptors", n);
		assert_int_equal(place_files(place_dir(), "ev-"), pipes);
		if (first && exists(place_dir()))
			fail_msg("failure %d leaves the directory", n);
		if (!first) {
			assert_int_equal(live_slots(host), 1);
			assert_int_equal(host->shm->heap_used, pages);
		}
	}
	oli_fault_countdown = 0;
	assert_true(failed >= 5);
	oli_machine_close(m);
	if (host)
		oli_machine_close(host);
}

static void test_faults(void **state)
{
	(void)state;
	sweep_open(true);
	sweep_open(false);
}

/* The file size limit is a sentence, not a signal. */
static void test_file_limit(void **state)
{
	struct rlimit lim, small;
	struct oli_machine *m;
	char why[OLI_WHY_MAX];
	int err;

	(void)state;
	getrlimit(RLIMIT_FSIZE, &lim);
	small = lim;
	small.rlim_cur = 1 << 20;
	setrlimit(RLIMIT_FSIZE, &small);
	err = place_try(&m, why);
	setrlimit(RLIMIT_FSIZE, &lim);
	assert_int_equal(err, -EFBIG);
	assert_non_null(strstr(why, "ulimit -f"));
	assert_false(exists(place_dir()));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_created_once),
		cmocka_unit_test(test_turnstile),
		cmocka_unit_test(test_all_killed_is_made_anew),
		cmocka_unit_test(test_death_is_reaped),
		cmocka_unit_test(test_watched_death),
		cmocka_unit_test(test_lingering_child),
		cmocka_unit_test(test_rude_child_costs_nothing),
		cmocka_unit_test(test_slots_run_out),
		cmocka_unit_test(test_foreign_files_stay),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_cut_short),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_machine_types),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_file_limit),
	};

	signal(SIGPIPE, SIG_IGN);
	place_dir(); /* the children's, too */
	return cmocka_run_group_tests_name("machine/open", tests, NULL, NULL);
}
