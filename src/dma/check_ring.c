// SPDX-License-Identifier: MIT
/*
 * Reports of misuse: a ring in the machine's file, and lines in the log.
 *
 * Every report goes into the ring, as records and faults do: a writer takes the next
 * number, marks the entry as being written (seq 0), fills it and stores the number
 * last. A reader copies and looks at the number again. A writer that is killed leaves
 * an entry that nobody will read. Entries are copied word by word, each a relaxed
 * atomic: what a reader gets while one is overwritten is thrown away, but is no race.
 *
 * The log hears of one misuse once, and again when it has happened 10, 100, … times: a
 * misuse is its class and its two places. The table of those is this process's, of
 * fixed size; what does not fit into it is said in the ring only.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/kept.h"
#include "base/log.h"
#include "base/site.h"
#include "dma/check_int.h"

#define SAID  512 /* power of two */
#define TRIES 16

static const struct {
	const char *name, *text;
} misuse[OLI_MISUSE_LAST + 1] = {
#define MISUSE(n, name, text) [n] = {name, text},
	OLI_MISUSES(MISUSE)
#undef MISUSE
};

static_assert(sizeof(struct oli_misuse) % sizeof(u64) == 0, "entries are copied by words");

const char *oli_misuse_name(unsigned int class_)
{
	return class_ && class_ <= OLI_MISUSE_LAST ? misuse[class_].name : NULL;
}

bool oli_check_on(struct oli_machine *m, unsigned int class_)
{
	return class_ && class_ <= OLI_MISUSE_LAST && m->shm->desc.checker >> class_ & 1;
}

/* ---- the ring ---- */

static void put(struct oli_machine *m, const struct oli_misuse *r)
{
	struct oli_dma_root *root = oli_dma_root(m);
	u64 seq = atomic_fetch_add(&root->misuse.next, 1) + 1;

	oli_kept_put(&root->misuse.kept[seq % OLI_MISUSES_KEPT], r, sizeof(*r), seq);
}

bool oli_misuse_get(struct oli_machine *m, u64 seq, struct oli_misuse *out)
{
	const struct oli_misuse *e = &oli_dma_root(m)->misuse.kept[seq % OLI_MISUSES_KEPT];

	if (!oli_kept_get(e, out, sizeof(*out), seq))
		return false;
	out->here[sizeof(out->here) - 1] = '\0';
	out->there[sizeof(out->there) - 1] = '\0';
	out->text[sizeof(out->text) - 1] = '\0';
	return true;
}

u64 oli_misuse_newest(struct oli_machine *m)
{
	oli_guard_drain(m);
	return atomic_load(&oli_dma_root(m)->misuse.next);
}

/* ---- the log ---- */

static pthread_mutex_t said_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	unsigned int class_;
	const void *here, *there;
	u64 count;
} said[SAID];

/* How often this one happened; 0: not known. */
static u64 count(unsigned int class_, const void *here, const void *there)
{
	u64 h = ((u64)(uintptr_t)here * 0x9e3779b97f4a7c15ull ^ (u64)(uintptr_t)there) *
			0x9e3779b97f4a7c15ull +
		class_ * 0x632be59bd9b4e019ull;
	u64 n = 0;

	pthread_mutex_lock(&said_lock);
	for (u64 i = 0; i < TRIES && !n; i++) {
		u64 at = ((h >> 32) + i) & (SAID - 1);

		if (!said[at].count) {
			said[at].class_ = class_;
			said[at].here = here;
			said[at].there = there;
		}
		if (said[at].class_ == class_ && said[at].here == here && said[at].there == there)
			n = ++said[at].count;
	}
	pthread_mutex_unlock(&said_lock);
	return n;
}

static bool power_of_ten(u64 n)
{
	while (n && n % 10 == 0)
		n /= 10;
	return n == 1;
}

static void say(const struct olio_dev *dev, const struct oli_misuse *r, u64 n)
{
	char often[48] = "";

	if (n > 1)
		snprintf(often, sizeof(often), " (%" PRIu64 " times so far)", n);
	oli_warn("misuse %u, %s, device %s: %s%s%s%s%s%s", r->class_, misuse[r->class_].name,
		 dev->node->name, r->text, r->here[0] ? "; noticed at " : "", r->here,
		 r->there[0] ? "; made at " : "", r->there, often);
}

void oli_misuse(struct olio_dev *dev, unsigned int class_, const void *here, const void *there,
		const char *fmt, ...)
{
	struct oli_misuse r = {0};
	va_list ap;
	u64 n;

	if (!oli_check_on(dev->m, class_))
		return;
	r.class_ = class_;
	r.pid = dev->m->pid;
	r.node = dev->id.node;
	oli_site_name(here, r.here, sizeof(r.here));
	oli_site_name(there, r.there, sizeof(r.there));
	va_start(ap, fmt);
	vsnprintf(r.text, sizeof(r.text), fmt, ap);
	va_end(ap);
	put(dev->m, &r);
	n = count(class_, here, there);
	if (power_of_ten(n))
		say(dev, &r, n);
}
