// SPDX-License-Identifier: MIT
/*
 * Plays the scenes of misuse_*.c. Each class of the inventory must have a scene, and
 * each scene a wrong and a right way: a class without fails the test that counts them.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "dma/check.h"
#include "misuse.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* ---- what scenes use ---- */

struct olio_run run_at(const struct stage *st, uint64_t off, uint64_t len)
{
	struct olio_run run;
	size_t n;

	assert_true(off % PAGE + len <= PAGE);
	ok(olio_mem_slice(st->mem, off, len, &run, 1, &n));
	return run;
}

struct olio_dev *another(const struct stage *st, const char *name)
{
	struct olio_dev *dev;

	ok(olio_dev_open(st->m, name, &dev));
	return dev;
}

uint64_t bus_of(const struct stage *st, const char *name, unsigned int bar)
{
	struct olio_node_info node = {.size = sizeof(node)};
	uint32_t pos = 0;

	while (olio_next_node(st->m, &pos, &node) == 1)
		if (!strcmp(node.name, name))
			return node.bar[bar].bus;
	fail_msg("no node %s", name);
	return 0;
}

bool on(const struct stage *st, const char *type)
{
	struct olio_machine_info info = {.size = sizeof(info)};

	ok(olio_machine_info(st->m, &info));
	return !strcmp(info.type, type);
}

/* ---- the stage ---- */

static void stage_open(struct stage *st, const char *type, const char *device)
{
	char why[512];

	if (olio_machine_create(NULL, type, &st->m, why, sizeof(why)))
		fail_msg("%s: %s", type, why);
	/* Where an unmap is deferred it stays so until the scene is over. */
	ok(olio_machine_freeze(st->m));
	ok(olio_dev_open(st->m, device, &st->dev));
	st->buf = mmap(NULL, STAGE_PAGES * PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(st->buf, MAP_FAILED);
	memset(st->buf, 0x5a, STAGE_PAGES * PAGE);
	ok(olio_mem_pin(st->m, st->buf, STAGE_PAGES * PAGE, 0, &st->mem));
}

static void stage_close(struct stage *st)
{
	olio_mem_put(st->mem);
	olio_dev_close(st->dev);
	munmap(st->buf, STAGE_PAGES * PAGE);
	olio_machine_close(st->m);
}

/* ---- judging ---- */

static char failures[4096];

static void complain(const struct scene *s, const char *type, bool wrong, const char *what,
		     const char *detail)
{
	size_t n = strlen(failures);

	snprintf(failures + n, sizeof(failures) - n, "\n  %s on %s, %s: %s %s", s->name, type,
		 wrong ? "wrong" : "right", what, detail);
}

/* "misuse_map.c:12 (double_unmap)"; without libdw there is something at least. */
static bool is_place(const struct scene *s, const char *place)
{
	static int libdw = -1;
	char function[64];

	if (libdw < 0)
		libdw = dlopen("libdw.so.1", RTLD_NOW) != NULL;
	if (!libdw)
		return place[0] != '\0';
	snprintf(function, sizeof(function), "(%s)", s->name);
	return !strncmp(place, "misuse_", 7) && strstr(place, ".c:") &&
	       strstr(place, function);
}

static void judge(const struct scene *s, const char *type, bool wrong, struct stage *st)
{
	struct olio_misuse_info r = {.size = sizeof(r)};
	char text[512];
	uint64_t seq = 0;
	int n = 0, also = 0;

	for (; olio_next_misuse(st->m, &seq, &r) == 1; n++) {
		if (wrong && s->also && r.class_ == s->also && !also++) {
			n--;
			continue;
		}
		snprintf(text, sizeof(text), "%u (%s): %s, here \"%s\", there \"%s\"", r.class_,
			 r.name, r.text, r.here, r.there);
		if (!wrong || r.class_ != s->class_ || n)
			complain(s, type, wrong, "report", text);
		else if ((!s->no_here && !is_place(s, r.here)) ||
			 (!s->no_there && !is_place(s, r.there)))
			complain(s, type, wrong, "places of", text);
	}
	if (wrong && (!n || (s->also && !also)))
		complain(s, type, wrong, "no report", "");
}

static void play(const struct scene *s, const char *type, bool wrong)
{
	struct stage st = {0};

	stage_open(&st, type, s->device);
	s->play(&st, wrong);
	/* Reports are read at the very end, for what is said when memory and device go. */
	olio_mem_put(st.mem);
	st.mem = NULL;
	olio_dev_close(st.dev);
	st.dev = NULL;
	judge(s, type, wrong, &st);
	stage_close(&st);
}

static void play_all(void **state)
{
	const struct scene *s = *state;
	char types[256], *type, *rest = types;

	failures[0] = '\0';
	if (s->guards && SANITIZED)
		skip();
	snprintf(types, sizeof(types), "%s", s->machines);
	while ((type = strsep(&rest, " "))) {
		play(s, type, true);
		play(s, type, false);
	}
	if (failures[0])
		fail_msg("%s", failures);
}

/* ---- the list ---- */

static const struct {
	const struct scene *scenes;
	const size_t *n;
} acts[] = {{map_scenes, &nr_map_scenes},
	    {step_scenes, &nr_step_scenes},
	    {access_scenes, &nr_access_scenes},
	    {own_scenes, &nr_own_scenes}};

static void test_no_class_is_left_out(void **state)
{
	unsigned int seen[OLI_MISUSE_LAST + 1] = {0};

	(void)state;
	for (size_t a = 0; a < OLI_ARRAY_SIZE(acts); a++)
		for (size_t i = 0; i < *acts[a].n; i++) {
			assert_in_range(acts[a].scenes[i].class_, 1, OLI_MISUSE_LAST);
			assert_non_null(acts[a].scenes[i].play);
			seen[acts[a].scenes[i].class_]++;
		}
	for (unsigned int c = 1; c <= OLI_MISUSE_LAST; c++)
		if (!seen[c])
			fail_msg("class %u has no scene", c);
}

#define MOST 128

int main(int argc, char **argv)
{
	static struct CMUnitTest tests[MOST] = {cmocka_unit_test(test_no_class_is_left_out),
						cmocka_unit_test(test_clean_on_every_machine),
						cmocka_unit_test(test_clean_in_threads)};
	static char names[MOST][96];
	size_t n = 3;

	for (size_t a = 0; a < OLI_ARRAY_SIZE(acts); a++)
		for (size_t i = 0; i < *acts[a].n && n < MOST; i++) {
			const struct scene *s = &acts[a].scenes[i];

			if (argc > 1 && strcmp(argv[1], s->name) != 0)
				continue;
			snprintf(names[n], sizeof(names[n]), "%u %s", s->class_, s->name);
			tests[n].name = names[n];
			tests[n].test_func = play_all;
			tests[n].initial_state = (void *)(uintptr_t)s;
			n++;
		}
	return _cmocka_run_group_tests("misuse", tests, n, NULL, NULL);
}
