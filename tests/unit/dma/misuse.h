/* SPDX-License-Identifier: MIT */
/*
 * Misuse and its twin: scenes that are played twice on each of their machines, once
 * wrong and once right. Wrong must yield exactly one report, of the scene's class (and one of
 * @also), whose two places are in the scene; right must yield none.
 */
#ifndef OLI_TESTS_UNIT_DMA_MISUSE_H
#define OLI_TESTS_UNIT_DMA_MISUSE_H

#include <setjmp.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <olio/dma.h>
#include <olio/machine.h>
#include <olio/mem.h>

#define PAGE 4096ul
#define STAGE_PAGES 16

struct stage {
	struct olio_machine *m;
	struct olio_dev *dev;
	uint8_t *buf;	      /* STAGE_PAGES pages */
	struct olio_mem *mem; /* of them */
};

struct scene {
	unsigned int class_;
	const char *name;     /* also its function */
	const char *machines; /* separated by blanks */
	const char *device;
	void (*play)(struct stage *st, bool wrong);
	bool no_here, no_there; /* a place that nobody can know */
	unsigned int also;	/* a class that comes before it, unavoidably */
	bool guards;		/* needs the signal that a sanitizer has taken */
};

#define SCENE(class, function, machines_, ...)                                                     \
	{.class_ = class, .name = #function, .machines = machines_, .device = "dma0",              \
	 .play = function, ##__VA_ARGS__}

#define TRANSLATED "pc lazy-amd arm-noncoherent p2p-switch hostile"
#define EVERYWHERE "pc no-iommu lazy-amd arm-noncoherent cc-guest p2p-switch p2p-acs hostile"

extern const struct scene map_scenes[], step_scenes[], access_scenes[], own_scenes[];
extern const size_t nr_map_scenes, nr_step_scenes, nr_access_scenes, nr_own_scenes;

/* misuse_clean.c */
void test_clean_on_every_machine(void **state);
void test_clean_in_threads(void **state);

#define ok(call) assert_int_equal(call, 0)

/* [@off, @off + @len) of the stage's buffer, inside one page: one run. */
struct olio_run run_at(const struct stage *st, uint64_t off, uint64_t len);
struct olio_dev *another(const struct stage *st, const char *name);
/* Address of a BAR of @node on the bus. */
uint64_t bus_of(const struct stage *st, const char *node, unsigned int bar);
/* Is the stage's machine of this type? */
bool on(const struct stage *st, const char *type);

#endif
