// SPDX-License-Identifier: MIT
/*
 * QEMU's emulated IOMMUs walk the tables that oli_pt wrote.
 *
 * They were written by nobody here, from the same manuals. Guest RAM is shared
 * with QEMU, the tables lie in it, and a PCI device there does DMA. Random leaves
 * are mapped and unmapped, whole and in part; after each change the IOMMU is
 * flushed and the device reads and writes at addresses in and around the leaves.
 * Bytes must land where oli_pt_look() says, which must be where map was asked to
 * lead; they are refused where it says that nothing is mapped or the right is
 * missing, and where QEMU records faults there must be one.
 *
 * All is chosen by a seed, which every line of the output names: OLIO_SEED=n
 * repeats it, OLIO_ROUNDS=n does more. QLAB_QEMU names another QEMU. What this
 * oracle cannot see is in README.md.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "iommu/pt/pt.h"
#include "qlab.h"

#define MIB	    (1ull << 20)
#define GIB	    (1ull << 30)
#define DID	    7
#define TABLE_BASE  (64 * MIB) /* tables are made of these pages */
#define TABLE_PAGES 8192u
#define POOL_BASE   (256 * MIB) /* small leaves lead here; all of it is stamped */
#define POOL_BYTES  (64 * MIB)
#define WINDOW_IOVA 0x1000ull /* always mapped: the way to the device's buffer */
#define WINDOW_GPA  (128 * MIB)
#define LOWEST_IOVA 0x4000ull
#define MSI_FIRST   0xfee00000ull /* IOVAs here are interrupts, not memory */
#define MSI_LAST    0xfeefffffull
#define MAX_RANGES  48

enum attach { LEGACY, SCALABLE, FIRST_STAGE, AMD };

struct oracle {
	const char *name;
	enum oli_pt_format_id format;
	u8 levels;
	enum attach attach;
	const char *props;
	const char *needs; /* a property of QEMU's device; "": no QEMU known has this */
	u8 pa_bits;
};

static const struct oracle oracles[] = {
	{"vtdss/3 legacy", OLI_PT_VTDSS, 3, LEGACY, "aw-bits=39", NULL, 39},
	{"vtdss/4 legacy", OLI_PT_VTDSS, 4, LEGACY, "aw-bits=48", NULL, 48},
	{"vtdss/4 scalable", OLI_PT_VTDSS, 4, SCALABLE, "aw-bits=48,x-scalable-mode=on", NULL, 48},
	{"vtdss/5 scalable", OLI_PT_VTDSS, 5, SCALABLE, NULL, "", 52},
	{"amdv1/1", OLI_PT_AMDV1, 1, AMD, NULL, NULL, 52},
	{"amdv1/2", OLI_PT_AMDV1, 2, AMD, NULL, NULL, 52},
	{"amdv1/3", OLI_PT_AMDV1, 3, AMD, NULL, NULL, 52},
	{"amdv1/4", OLI_PT_AMDV1, 4, AMD, NULL, NULL, 52},
	{"amdv1/5", OLI_PT_AMDV1, 5, AMD, NULL, NULL, 52},
	{"amdv1/6", OLI_PT_AMDV1, 6, AMD, NULL, NULL, 52},
	{"x86_64/4 first stage", OLI_PT_X86_64, 4, FIRST_STAGE,
	 "aw-bits=48,x-scalable-mode=on,x-flts=on", "x-flts", 48},
	{"x86_64/5 first stage", OLI_PT_X86_64, 5, FIRST_STAGE, NULL, "", 52},
};

struct rig {
	const struct oracle *o;
	struct qlab *q;
	struct oli_pt pt;
	struct oli_pt_mem mem;
	struct oli_pt_gather gather;
	u32 free[TABLE_PAGES], nr_free;
	struct olio_iova_range range[MAX_RANGES]; /* what maps made; parts may be gone */
	struct olio_pa to[MAX_RANGES];
	unsigned int nr;
	u64 random;
	unsigned int checks, mapped, refused, wrong;
};

/* ---- memory for tables: pages of guest RAM ---- */

static int ram_alloc(void *ctx, struct olio_pa *pa, void **cpu)
{
	struct rig *r = ctx;

	if (!r->nr_free)
		return -ENOMEM;
	pa->v = TABLE_BASE + r->free[--r->nr_free] * OLI_PAGE_SIZE;
	*cpu = memset(qlab_ptr(r->q, pa->v, OLI_PAGE_SIZE), 0, OLI_PAGE_SIZE);
	return 0;
}

/* What comes back is made a trap: items that point far away. */
static void ram_free(void *ctx, struct olio_pa pa)
{
	struct rig *r = ctx;

	memset(qlab_ptr(r->q, pa.v, OLI_PAGE_SIZE), 0x7f, OLI_PAGE_SIZE);
	r->free[r->nr_free++] = (u32)((pa.v - TABLE_BASE) / OLI_PAGE_SIZE);
}

static void *ram_cpu(void *ctx, struct olio_pa pa)
{
	return qlab_ptr(((struct rig *)ctx)->q, pa.v, OLI_PAGE_SIZE);
}

static void ram_clean(void *ctx, const void *p, size_t len)
{
	(void)ctx;
	(void)p;
	(void)len;
}

static const struct oli_pt_mem_ops ram_ops = {ram_alloc, ram_free, ram_cpu, ram_clean};

/* ---- small things ---- */

static u64 rnd(struct rig *r, u64 n)
{
	r->random ^= r->random << 13;
	r->random ^= r->random >> 7;
	r->random ^= r->random << 17;
	return (r->random >> 11) % n;
}

__attribute__((format(printf, 2, 3))) static void wrong(struct rig *r, const char *fmt, ...)
{
	va_list ap;

	if (r->wrong++ >= 5)
		return;
	printf("# ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
}

static void flush(struct rig *r)
{
	if (r->o->attach == AMD)
		qlab_amd_inv_domain(r->q, DID);
	else if (r->o->attach == FIRST_STAGE)
		qlab_vtd_inv_piotlb(r->q, DID, 0, ~0ull, 0);
	else
		qlab_vtd_inv_domain(r->q, DID);
	oli_pt_gather_synced(&r->gather, &r->mem);
}

static bool is_msi(u64 start, u64 last)
{
	return start <= MSI_LAST && last >= MSI_FIRST;
}

/* ---- changes ---- */

/* A length and an IOVA; a quarter of them at the top of the space, some close together. */
static struct olio_iova_range pick_iova(struct rig *r, unsigned int lg2)
{
	u64 space = r->pt.iova_last, size = 1ull << lg2, start, len;

	len = rnd(r, 2) ? size : ((rnd(r, 8) << lg2 | rnd(r, size)) & ~0xfffull) + 0x1000;
	switch (rnd(r, 4)) {
	case 0:
		start = space - (rnd(r, 16) << lg2) - len + 1;
		break;
	case 1:
		start = r->nr ? r->range[rnd(r, r->nr)].last.v + 1 : LOWEST_IOVA;
		break;
	case 2:
		start = rnd(r, 64) << lg2;
		break;
	default:
		start = rnd(r, space >> 1);
	}
	start &= rnd(r, 4) ? ~(size - 1) : ~0xfffull;
	return (struct olio_iova_range){{start}, {start + len - 1}};
}

/* Where there is RAM: the pool, or for the large ones two or four GiB further on. */
static struct olio_pa pick_pa(struct rig *r, struct olio_iova_range iova, unsigned int lg2)
{
	u64 len = iova.last.v - iova.start.v + 1, base = POOL_BASE, room = POOL_BYTES, off;

	if (len > POOL_BYTES / 2) {
		base = rnd(r, 2) ? GIB : 4 * GIB;
		room = base == GIB ? GIB : 2 * GIB;
	}
	if (len > room)
		return (struct olio_pa){0};
	off = rnd(r, (room - len) / OLI_PAGE_SIZE + 1) * OLI_PAGE_SIZE;
	if (rnd(r, 5) && off >= 1ull << lg2)
		off &= ~((1ull << lg2) - 1);
	return (struct olio_pa){base + off};
}

static void change_map(struct rig *r)
{
	static const u32 attrs[] = {OLI_PT_READ | OLI_PT_WRITE, OLI_PT_READ | OLI_PT_WRITE,
				    OLI_PT_READ, OLI_PT_WRITE};
	static const u8 lg2s[] = {12, 12, 13, 14, 15, 16, 19, 20, 21, 21, 22, 24, 30};
	unsigned int lg2 = lg2s[rnd(r, sizeof(lg2s))];
	struct olio_iova_range iova = pick_iova(r, lg2);
	struct olio_pa pa = pick_pa(r, iova, lg2);
	int rc;

	if (iova.start.v < LOWEST_IOVA || iova.start.v > iova.last.v || !pa.v ||
	    iova.last.v > r->pt.iova_last || is_msi(iova.start.v, iova.last.v) ||
	    r->nr == MAX_RANGES)
		return;
	rc = oli_pt_map(&r->pt, iova, pa, attrs[rnd(r, 4)], &r->gather);
	if (!rc) {
		r->to[r->nr] = pa;
		r->range[r->nr++] = iova;
	} else if (rc != -EADDRINUSE) {
		wrong(r, "map says %d", rc);
	}
	flush(r);
}

static void change_unmap(struct rig *r)
{
	struct olio_iova_range cut;
	unsigned int i;
	u64 pages;

	if (!r->nr)
		return;
	i = (unsigned int)rnd(r, r->nr);
	cut = r->range[i];
	if (rnd(r, 2)) {
		pages = (cut.last.v - cut.start.v) / OLI_PAGE_SIZE + 1;
		cut.start.v += rnd(r, pages) * OLI_PAGE_SIZE;
		pages = (cut.last.v - cut.start.v) / OLI_PAGE_SIZE + 1;
		cut.last.v -= rnd(r, pages) * OLI_PAGE_SIZE;
	} else {
		r->range[i] = r->range[--r->nr];
		r->to[i] = r->to[r->nr];
	}
	if (oli_pt_unmap(&r->pt, cut, &r->gather) < 0)
		wrong(r, "unmap failed");
	flush(r);
}

/* ---- probes ---- */

static u64 pick_probe(struct rig *r)
{
	struct olio_iova_range g;
	u64 at;

	if (!r->nr || !rnd(r, 8))
		return (LOWEST_IOVA + rnd(r, r->pt.iova_last - LOWEST_IOVA)) & ~15ull;
	g = r->range[rnd(r, r->nr)];
	switch (rnd(r, 6)) {
	case 0:
		at = g.start.v;
		break;
	case 1:
		at = g.last.v & ~15ull;
		break;
	case 2:
		at = g.start.v - 16;
		break;
	case 3:
		at = g.last.v == r->pt.iova_last ? g.last.v & ~15ull : g.last.v + 1;
		break;
	default:
		at = (g.start.v + rnd(r, g.last.v - g.start.v)) & ~15ull;
	}
	return at < LOWEST_IOVA ? LOWEST_IOVA : at;
}

/* QEMU's VT-d records every refusal, its AMD IOMMU none: there the data must do. */
static void check_fault(struct rig *r, u64 at, bool write, int seen, const struct qlab_fault *f)
{
	if (r->o->attach == AMD)
		return;
	if (!seen || f->is_write != write || f->addr != (at & ~0xfffull))
		wrong(r, "%s at %#llx: no fault, or one for %#llx", write ? "write" : "read",
		      (unsigned long long)at, (unsigned long long)f->addr);
}

static void probe_read(struct rig *r, u64 at, u64 pa, bool allowed)
{
	struct qlab_fault f = {0};
	uint64_t got = 0;
	int rc;

	if (allowed)
		qlab_stamp(r->q, pa & ~0xfffull, OLI_PAGE_SIZE);
	rc = qlab_where(r->q, at, &got, &f);
	if (allowed && (rc || got != pa))
		wrong(r, "read at %#llx: %d, %#llx, not %#llx", (unsigned long long)at, rc,
		      (unsigned long long)got, (unsigned long long)pa);
	if (!allowed && !rc)
		wrong(r, "read at %#llx reached %#llx", (unsigned long long)at,
		      (unsigned long long)got);
	if (!allowed)
		check_fault(r, at, false, rc == 1, &f);
}

static void probe_write(struct rig *r, u64 at, u64 pa, bool mapped, bool allowed)
{
	u64 pattern[2] = {rnd(r, ~0ull), rnd(r, ~0ull)}, was[2] = {0}, now[2] = {0};
	struct qlab_fault f = {0};
	int seen;

	if (mapped)
		memcpy(was, qlab_ptr(r->q, pa, 16), 16);
	seen = qlab_dma_write(r->q, at, pattern, 16, &f);
	if (mapped)
		memcpy(now, qlab_ptr(r->q, pa, 16), 16);
	if (allowed && (seen || memcmp(now, pattern, 16)))
		wrong(r, "write at %#llx did not land at %#llx", (unsigned long long)at,
		      (unsigned long long)pa);
	if (mapped && !allowed && memcmp(now, was, 16))
		wrong(r, "write at %#llx went through", (unsigned long long)at);
	if (!allowed)
		check_fault(r, at, true, seen, &f);
	if (allowed)
		qlab_stamp(r->q, pa & ~0xfffull, OLI_PAGE_SIZE);
}

/* What the map asked for, where the tables' own look-up says that there is something. */
static void check_asked(struct rig *r, u64 at, u64 pa)
{
	unsigned int i;

	for (i = 0; i < r->nr; i++)
		if (at >= r->range[i].start.v && at <= r->range[i].last.v &&
		    pa == r->to[i].v + (at - r->range[i].start.v))
			return;
	wrong(r, "%#llx leads to %#llx: nobody asked for that", (unsigned long long)at,
	      (unsigned long long)pa);
}

static void probe(struct rig *r)
{
	u64 at = pick_probe(r), pa = 0;
	struct oli_pt_leaf leaf = {0};
	bool mapped, write = rnd(r, 2), allowed;

	if (is_msi(at, at))
		return;
	mapped = !oli_pt_look(&r->pt, (struct olio_iova){at}, &leaf);
	if (mapped) {
		pa = leaf.pa.v + (at - leaf.iova.start.v);
		check_asked(r, at, pa);
	}
	allowed = leaf.attrs & (write ? OLI_PT_WRITE : OLI_PT_READ);
	/* A translation cached for the other right would hide the fault. */
	if (mapped && !allowed)
		flush(r);
	if (write)
		probe_write(r, at, pa, mapped, allowed);
	else
		probe_read(r, at, pa, allowed);
	r->checks++;
	r->mapped += mapped;
	r->refused += !allowed;
}

/* ---- one oracle ---- */

static void attach(struct rig *r)
{
	switch (r->o->attach) {
	case LEGACY:
		qlab_vtd_legacy(r->q, r->pt.root.v, r->o->levels, DID);
		break;
	case SCALABLE:
		qlab_vtd_scalable(r->q, 2, r->pt.root.v, r->o->levels, DID);
		break;
	case FIRST_STAGE:
		qlab_vtd_scalable(r->q, 1, r->pt.root.v, r->o->levels, DID);
		qlab_vtd_qi(r->q);
		break;
	case AMD:
		qlab_amd_attach(r->q, r->pt.root.v, r->o->levels, DID);
		break;
	}
	qlab_fault(r->q, NULL);
}

static bool start(struct rig *r)
{
	const struct qlab_cfg cfg = {.iommu = r->o->attach == AMD ? QLAB_AMD : QLAB_VTD,
				     .iommu_props = r->o->props,
				     .ram_bytes = 4 * GIB};
	const struct oli_pt_config config = {
		.format = r->o->format, .levels = r->o->levels, .pa_bits = r->o->pa_bits};
	struct olio_iova_range window = {{WINDOW_IOVA}, {WINDOW_IOVA + 0xfff}};
	u32 i;

	r->q = qlab_start(&cfg);
	for (i = 0; i < TABLE_PAGES; i++)
		r->free[r->nr_free++] = i * 2039 % TABLE_PAGES;
	r->mem = (struct oli_pt_mem){.ops = &ram_ops,
				     .ctx = r,
				     .linear_cpu = qlab_ptr(r->q, TABLE_BASE, OLI_PAGE_SIZE),
				     .linear_pa = {TABLE_BASE},
				     .linear_size = TABLE_PAGES * OLI_PAGE_SIZE,
				     .coherent = true};
	oli_pt_gather_init(&r->gather);
	qlab_stamp(r->q, POOL_BASE, POOL_BYTES);
	if (oli_pt_create(&r->pt, &config, &r->mem) ||
	    oli_pt_map(&r->pt, window, (struct olio_pa){WINDOW_GPA}, OLI_PT_READ | OLI_PT_WRITE,
		       &r->gather))
		return false;
	attach(r);
	qlab_window(r->q, WINDOW_IOVA, WINDOW_GPA);
	return true;
}

static bool run(const struct oracle *o, int nr, u64 seed, unsigned int rounds)
{
	struct rig *r = calloc(1, sizeof(*r));
	unsigned int i, k;

	if (!r)
		abort();
	r->o = o;
	r->random = (seed * 64 + (u64)nr) * 0x9e3779b97f4a7c15ull;
	if (!start(r))
		wrong(r, "cannot map the window");
	for (i = 0; i < rounds && !r->wrong; i++) {
		if (rnd(r, 3))
			change_map(r);
		else
			change_unmap(r);
		for (k = 0; k < 6; k++)
			probe(r);
	}
	oli_pt_destroy(&r->pt);
	if (r->nr_free != TABLE_PAGES)
		wrong(r, "%u tables are left", TABLE_PAGES - r->nr_free);
	qlab_stop(r->q);
	printf("%sok %d - %s: %u probes, %u of mapped addresses, %u to be refused, seed %llu\n",
	       r->wrong ? "not " : "", nr, o->name, r->checks, r->mapped, r->refused,
	       (unsigned long long)seed);
	fflush(stdout);
	k = r->wrong;
	free(r);
	return !k;
}

/* ---- which oracles this QEMU has ---- */

static bool qemu_says(const char *args, const char *word, char *line, int size)
{
	const char *qemu = getenv("QLAB_QEMU"), *dir = getenv("QLAB_DATADIR");
	char command[512];
	bool found = false;
	FILE *p;

	snprintf(command, sizeof(command), "'%s' %s %s %s 2>/dev/null",
		 qemu ? qemu : "qemu-system-x86_64", dir ? "-L" : "", dir ? dir : "", args);
	p = popen(command, "r");
	while (p && !found && fgets(line, size, p))
		found = strstr(line, word);
	if (p)
		pclose(p);
	line[strcspn(line, "\n(")] = 0;
	return found;
}

static bool qemu_has(const struct oracle *o)
{
	char line[256];

	return !o->needs ||
	       (*o->needs && qemu_says("-device intel-iommu,help", o->needs, line, sizeof(line)));
}

int main(void)
{
	const char *seed = getenv("OLIO_SEED"), *rounds = getenv("OLIO_ROUNDS");
	char version[128] = "";
	unsigned int i;
	bool good = true;

	if (!qemu_says("--version", "version", version, sizeof(version))) {
		printf("1..1\nok 1 - tables # SKIP no qemu-system-x86_64\n");
		return 0;
	}
	printf("1..%zu\n", OLI_ARRAY_SIZE(oracles));
	for (i = 0; i < OLI_ARRAY_SIZE(oracles); i++) {
		if (!qemu_has(&oracles[i])) {
			printf("ok %u - %s # SKIP not in %s\n", i + 1, oracles[i].name, version);
			continue;
		}
		good &= run(&oracles[i], (int)i + 1, seed ? strtoull(seed, NULL, 0) : 1,
			    rounds ? (unsigned int)atoi(rounds) : 250);
	}
	return !good;
}
