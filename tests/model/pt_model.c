// SPDX-License-Identifier: MIT
/*
 * A byte string is a program. Its head says the format (unless given), whether the
 * walker snoops, which leaf sizes there are, and where in the space; then come the
 * cuts, page numbers a few of which lie near each power of two. Between two cuts
 * is a piece. The model is the array of pieces: mapped or not, and pa minus IOVA.
 * Everything is exact, because every step begins and ends at a cut.
 *
 * A step is a byte for its kind, then:
 *
 *   0 map     first piece, last piece, alignment of the pa, its page, attributes
 *   1 unmap   first piece, last piece
 *   2 fail    as map or unmap (low bit of the next byte), but the n-th allocation
 *             fails: nothing may have changed
 *   3 sync    the gather
 *   4 touch   piece, write; then dirty, with or without clear
 *
 * Pages are counted, not bytes, so that the space's end is a number too.
 */
#include "pt_model.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"

#define MAX_CUTS  26
#define MAX_STEPS 60

struct bytes {
	const u8 *p, *end;
};

struct piece {
	bool mapped, dirty;
	u32 attrs;
	u64 delta;
};

struct run {
	struct bytes in;
	struct pt_arena arena;
	struct oli_pt_config config;
	struct oli_pt pt, seen; /* as changed, and as the walker sees it */
	struct oli_pt_gather gather;
	u64 cut[MAX_CUTS]; /* pages; ascending */
	struct piece piece[MAX_CUTS];
	unsigned int nr; /* pieces: one less than cuts */
	unsigned int step;
};

static char why[240];

__attribute__((format(printf, 2, 3))) static bool fail(const struct run *r, const char *fmt, ...)
{
	va_list ap;
	int n = snprintf(why, sizeof(why),
			 "%s, %u levels, step %u: ", oli_pt_format_name(r->config.format),
			 r->config.levels, r->step);

	va_start(ap, fmt);
	vsnprintf(why + n, sizeof(why) - (size_t)n, fmt, ap);
	va_end(ap);
	return false;
}

static u8 take(struct bytes *b)
{
	return b->p < b->end ? *b->p++ : 0;
}

unsigned int pt_variants(struct pt_variant v[PT_MAX_VARIANTS])
{
	unsigned int n = 0, l;

#define VARIANTS(NAME, name_, least, most)                                                         \
	for (l = least; l <= most; l++, n++) {                                                     \
		v[n].format = OLI_PT_##NAME;                                                       \
		v[n].levels = l;                                                                   \
		snprintf(v[n].name, sizeof(v[n].name), "%s/%u", #name_, l);                        \
	}
	OLI_PT_FORMATS(VARIANTS)
#undef VARIANTS
	return n;
}

/* ---- the head ---- */

static u64 space_pages(const struct run *r)
{
	return (r->pt.iova_last >> OLI_PAGE_SHIFT) + 1;
}

static int compare(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

/* Cuts near powers of two, around a place: bottom, top, or somewhere. */
static void take_cuts(struct run *r)
{
	static const u8 lg2[] = {0, 0, 0, 1, 2, 4, 8, 9, 9, 9, 10, 18, 18, 19, 27, 36};
	u64 space = space_pages(r), base = 0, off;
	u8 where = take(&r->in);
	unsigned int i, n = 0;

	if (where % 4 >= 2)
		base = (u64)where * 0x0123456789abull % space & ~0x3ffffull;
	for (i = 0; i < MAX_CUTS; i++) {
		off = (u64)(take(&r->in) % 9) << lg2[take(&r->in) % sizeof(lg2)];
		off += take(&r->in) % 4;
		if (where % 4 == 1)
			off = space - off;
		else
			off = base + off;
		if (off <= space)
			r->cut[n++] = off;
	}
	if (!n)
		r->cut[n++] = 0;
	qsort(r->cut, n, sizeof(r->cut[0]), compare);
	for (i = r->nr = 0; i < n; i++)
		if (!i || r->cut[i] != r->cut[r->nr])
			r->cut[i ? ++r->nr : 0] = r->cut[i];
}

static u64 take_sizes(struct run *r)
{
	switch (take(&r->in) % 4) {
	case 0:
		return OLI_PAGE_SIZE;
	case 1:
		return OLI_PAGE_SIZE | 1ull << 21;
	default:
		return 0;
	}
}

static bool begin(struct run *r, const struct pt_variant *variant)
{
	struct pt_variant all[PT_MAX_VARIANTS];
	unsigned int n = pt_variants(all);
	u8 flags;

	if (!variant)
		variant = all + take(&r->in) % n;
	flags = take(&r->in);
	r->config = (struct oli_pt_config){
		.format = variant->format,
		.levels = (u8)variant->levels,
		.sizes = take_sizes(r),
		.features = OLI_PT_AD,
		.pa_bits = flags & 4 ? 46 : 0,
	};
	pt_arena_init(&r->arena, flags & 1, flags & 2);
	oli_pt_gather_init(&r->gather);
	if (oli_pt_create(&r->pt, &r->config, &r->arena.mem) ||
	    oli_pt_open(&r->seen, &r->config, &r->arena.walker, r->pt.root))
		return fail(r, "cannot create");
	take_cuts(r);
	return true;
}

/* ---- what must hold ---- */

static bool check_at(const struct run *r, const struct piece *p, u64 iova)
{
	struct olio_pa pa = {0};
	int rc = oli_pt_iova_to_phys(&r->seen, (struct olio_iova){iova}, &pa);

	if (p->mapped ? rc || pa.v != iova + p->delta : rc != -ENOENT)
		return fail(r, "iova %#llx gives %d, pa %#llx; the model says %s, pa %#llx",
			    (unsigned long long)iova, rc, (unsigned long long)pa.v,
			    p->mapped ? "mapped" : "not", (unsigned long long)(iova + p->delta));
	return true;
}

static bool check_all(const struct run *r)
{
	u64 first, last, middle;
	unsigned int i;

	for (i = 0; i < r->nr; i++) {
		first = r->cut[i] << OLI_PAGE_SHIFT;
		last = ((r->cut[i + 1] - 1) << OLI_PAGE_SHIFT) | (OLI_PAGE_SIZE - 1);
		middle = first + (last - first) / 16 * ((r->step + i) % 16);
		if (!check_at(r, &r->piece[i], first) || !check_at(r, &r->piece[i], last) ||
		    !check_at(r, &r->piece[i], middle))
			return false;
	}
	return true;
}

struct tally {
	u64 bytes, next;
	bool wrong;
};

static int tally_leaf(void *arg, const struct oli_pt_leaf *leaf)
{
	struct tally *t = arg;
	u64 start = leaf->iova.start.v, last = leaf->iova.last.v;

	if (last - start != (1ull << leaf->lg2) - 1 || start < t->next ||
	    leaf->pa.v & (last - start))
		t->wrong = true;
	if (!(leaf->attrs & (OLI_PT_READ | OLI_PT_WRITE)))
		t->wrong = true;
	t->bytes += last - start + 1;
	t->next = last + 1;
	return 0;
}

/* The walker sees the model's bytes, in order, and no others. */
static bool check_walk(struct run *r)
{
	struct olio_iova_range all = {{0}, {r->pt.iova_last}};
	struct tally t = {0};
	u64 bytes = 0;
	unsigned int i;

	for (i = 0; i < r->nr; i++)
		if (r->piece[i].mapped)
			bytes += (r->cut[i + 1] - r->cut[i]) << OLI_PAGE_SHIFT;
	if (oli_pt_walk(&r->seen, all, tally_leaf, &t) || t.wrong || t.bytes != bytes)
		return fail(r, "walk finds %llu bytes instead of %llu%s",
			    (unsigned long long)t.bytes, (unsigned long long)bytes,
			    t.wrong ? ", and bad leaves" : "");
	return true;
}

/* ---- steps ---- */

struct range {
	unsigned int first, last; /* pieces */
	struct olio_iova_range iova;
	u64 pages;
};

static struct range take_range(struct run *r)
{
	unsigned int a = take(&r->in) % r->nr, b = a + take(&r->in) % (r->nr - a);
	struct range g = {a, b, {{r->cut[a] << OLI_PAGE_SHIFT}, {0}}, r->cut[b + 1] - r->cut[a]};

	g.iova.last.v = ((r->cut[b + 1] - 1) << OLI_PAGE_SHIFT) | (OLI_PAGE_SIZE - 1);
	return g;
}

/* A pa that agrees with the IOVA in the low bits, how many the program says. */
static u64 take_pa(struct run *r, const struct range *g, u64 *most)
{
	static const u8 lg2[] = {12, 13, 14, 16, 20, 21, 21, 22, 30, 30, 31, 39};
	unsigned int k = lg2[take(&r->in) % sizeof(lg2)];
	u64 page = take(&r->in), low = g->iova.start.v & ((1ull << k) - 1);
	u64 leaf = r->pt.sizes >= 1ull << 30 ? k : r->pt.sizes >= 1ull << 21 && k > 21 ? 21 : k;

	if (r->pt.sizes == OLI_PAGE_SIZE)
		leaf = 12;
	*most = leaf >= 30 ? 1ull << 30 : leaf >= 21 ? 1ull << 22 : 1ull << 14;
	return (page << (k < 44 ? k : 44)) + low;
}

static bool model_free(const struct run *r, const struct range *g)
{
	unsigned int i;

	for (i = g->first; i <= g->last; i++)
		if (r->piece[i].mapped)
			return false;
	return true;
}

/* What the call must say, but for memory. */
static int map_expect(const struct run *r, const struct range *g, u64 pa)
{
	u64 most = (r->pt.pa_last >> OLI_PAGE_SHIFT) + 1;

	if (pa >> OLI_PAGE_SHIFT >= most || g->pages > most - (pa >> OLI_PAGE_SHIFT))
		return -ERANGE;
	return model_free(r, g) ? 0 : -EADDRINUSE;
}

static bool step_map(struct run *r, int nth)
{
	static const u32 attrs[] = {OLI_PT_READ | OLI_PT_WRITE, OLI_PT_READ, OLI_PT_WRITE,
				    OLI_PT_READ | OLI_PT_COHERENT};
	struct range g = take_range(r);
	u64 most, pa = take_pa(r, &g, &most), sum = 0, frees = r->arena.frees;
	u32 how = attrs[take(&r->in) % 4];
	int want = map_expect(r, &g, pa), rc;
	unsigned int i;

	if (g.pages > most)
		return true;
	if (want || nth)
		sum = pt_arena_sum(&r->arena);
	oli_fault_countdown = nth;
	rc = oli_pt_map(&r->pt, g.iova, (struct olio_pa){pa}, how, &r->gather);
	oli_fault_countdown = 0;
	if (nth && rc == -ENOMEM)
		want = rc;
	if (rc != want)
		return fail(r, "map of %#llx pages at %#llx to %#llx says %d, not %d",
			    (unsigned long long)g.pages, (unsigned long long)g.iova.start.v,
			    (unsigned long long)pa, rc, want);
	if (rc && pt_arena_sum(&r->arena) != sum)
		return fail(r, "a map that failed (%d) left something behind", rc);
	if (r->arena.frees != frees && rc != -ENOMEM)
		return fail(r, "map freed a table without a flush");
	for (i = g.first; !rc && i <= g.last; i++)
		r->piece[i] = (struct piece){true, false, how, pa - g.iova.start.v};
	return true;
}

static bool step_unmap(struct run *r, int nth)
{
	struct range g = take_range(r);
	u64 bytes = 0, sum = nth ? pt_arena_sum(&r->arena) : 0;
	unsigned int i;
	s64 rc;

	for (i = g.first; i <= g.last; i++)
		if (r->piece[i].mapped)
			bytes += (r->cut[i + 1] - r->cut[i]) << OLI_PAGE_SHIFT;
	oli_fault_countdown = nth;
	rc = oli_pt_unmap(&r->pt, g.iova, &r->gather);
	oli_fault_countdown = 0;
	if (nth && rc == -ENOMEM)
		return pt_arena_sum(&r->arena) == sum ||
		       fail(r, "an unmap that failed changed something");
	if (rc != (s64)bytes)
		return fail(r, "unmap of %#llx pages at %#llx says %lld, not %lld",
			    (unsigned long long)g.pages, (unsigned long long)g.iova.start.v,
			    (long long)rc, (long long)bytes);
	if (bytes && (r->gather.start > g.iova.start.v || r->gather.last < g.iova.last.v))
		return fail(r, "the gather does not span what was unmapped");
	for (i = g.first; i <= g.last; i++)
		r->piece[i] = (struct piece){0};
	return true;
}

static bool step_sync(struct run *r)
{
	u64 frees = r->arena.frees, tables = r->gather.tables;

	oli_pt_gather_synced(&r->gather, &r->arena.mem);
	return r->arena.frees - frees == tables || fail(r, "sync freed not what was gathered");
}

static int count_leaf(void *arg, const struct oli_pt_leaf *leaf)
{
	(void)leaf;
	++*(unsigned int *)arg;
	return 0;
}

/* One write marks one leaf, a read none; clearing takes the mark away. */
static bool step_touch(struct run *r)
{
	struct olio_iova_range all = {{0}, {r->pt.iova_last}};
	struct piece *p = &r->piece[take(&r->in) % r->nr];
	struct olio_iova at = {r->cut[p - r->piece] << OLI_PAGE_SHIFT};
	bool write = take(&r->in) & 1;
	unsigned int before = 0, after = 0, left = 0;
	int rc;

	oli_pt_dirty(&r->pt, all, true, count_leaf, &before);
	rc = oli_pt_touch(&r->pt, at, write);
	if (rc != (p->mapped ? 0 : -ENOENT))
		return fail(r, "touch says %d", rc);
	oli_pt_dirty(&r->pt, all, true, count_leaf, &after);
	oli_pt_dirty(&r->pt, all, false, count_leaf, &left);
	if (after != (p->mapped && write) || left)
		return fail(r, "dirty: %u after a %s, %u after clearing", after,
			    write ? "write" : "read", left);
	return true;
}

static bool one_step(struct run *r)
{
	u8 n;

	switch (take(&r->in) % 5) {
	case 0:
		return step_map(r, 0);
	case 1:
		return step_unmap(r, 0);
	case 2:
		n = take(&r->in);
		return n & 1 ? step_map(r, 1 + n / 2 % 8) : step_unmap(r, 1 + n / 2 % 8);
	case 3:
		return step_sync(r);
	default:
		return step_touch(r);
	}
}

/* Nothing is left when all has gone. */
static bool finish(struct run *r)
{
	oli_pt_gather_synced(&r->gather, &r->arena.mem);
	oli_pt_destroy(&r->pt);
	return !r->arena.live || fail(r, "%u tables are left", r->arena.live);
}

const char *pt_program(const struct pt_variant *variant, const u8 *data, size_t size)
{
	struct run r = {.in = {data, data + size}};
	bool ok = begin(&r, variant);

	while (ok && r.nr && r.in.p < r.in.end && r.step < MAX_STEPS) {
		r.step++;
		ok = one_step(&r) && check_all(&r);
	}
	ok = ok && check_walk(&r) && finish(&r);
	pt_arena_fini(&r.arena);
	return ok ? NULL : why;
}
