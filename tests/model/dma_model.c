// SPDX-License-Identifier: MIT
/*
 * See dma_model.h.
 *
 *   world   a machine and a device, made once, used by all programs
 *   store   memory of one source, with an array of what is in it. Cut into lots
 *   lot     16 KiB; a mapping has its lots for itself, because two mappings of the same
 *           bytes may not agree on machines that copy
 *   part    an extent of a mapping as the device sees it
 *
 * The arrays know nothing of machines: what the device writes is in them at once, and
 * what the CPU must see is looked at when ownership has come back to it.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fault.h"
#include "dma/check.h"
#include "dma_model.h"
#include "iommu/part.h"
#include "mem/src.h"
#include "rdma/rdma.h"

#define LOT 16384u
#define MOST_LOTS 128u
#define SLICES 6
#define MOST_RUNS 256
#define MAPPINGS 8

struct store {
	struct olio_mem *mem;
	u8 *cpu, *model;
	u64 len;
	bool used[MOST_LOTS];
	bool is_ram;
};

enum { ANON, FILE_, BAR, OPEN, HUGE, STORES };

struct world {
	const char *type, *dev_name;
	/* what is changed of the description */
	u8 granule_shift, granule, linear, untrusted, caching;
	struct oli_machine *m;
	struct olio_dev *dev;
	struct store store[STORES];
	char parent[48];
	u64 misuses;
};

static struct world worlds[] = {
	{.type = "pc", .dev_name = "dma0"},
	{.type = "pc", .dev_name = "soft0"},
	{.type = "pc", .dev_name = "dma0", .untrusted = 1},
	{.type = "pc", .dev_name = "dma0", .granule_shift = 16, .linear = 1},
	{.type = "pc", .dev_name = "dma0", .granule_shift = 16, .linear = 1, .untrusted = 1},
	{.type = "pc", .dev_name = "dma0", .granule = OLIO_GRANULE_REFUSE},
	{.type = "no-iommu", .dev_name = "dma0"},
	{.type = "no-iommu", .dev_name = "dma32"},
	{.type = "lazy-amd", .dev_name = "dma0"},
	{.type = "lazy-amd", .dev_name = "dma0", .untrusted = 1},
	{.type = "arm-noncoherent", .dev_name = "dma0"},
	{.type = "arm-noncoherent", .dev_name = "plat0", .untrusted = 1},
	{.type = "cc-guest", .dev_name = "dma0"},
	{.type = "cc-guest", .dev_name = "tee0"},
	{.type = "p2p-switch", .dev_name = "dma0"},
	{.type = "p2p-acs", .dev_name = "dma0"},
	{.type = "hostile", .dev_name = "hca0"},
	{.type = "hostile", .dev_name = "dma0"},
	{.type = "hostile", .dev_name = "plat0"},
};

struct slice {
	struct store *store;
	u64 off, len;
};

struct mapping {
	u8 family; /* enum oli_family */
	enum olio_dir dir;
	u64 len;
	u32 nslices, nruns, nstates;
	struct slice slice[SLICES];
	struct olio_run run[MOST_RUNS];
	/* as the device sees it */
	struct olio_iova dma[MOST_RUNS];
	bool linked[MOST_RUNS]; /* by a state; else by a map of its own */
	struct olio_iova_state state[MOST_RUNS];
	u64 state_len[MOST_RUNS];
	struct olio_map *map;
};

struct program {
	struct world *w;
	const u8 *data;
	size_t size, at;
	u32 fail;
	bool checker;
	struct mapping *mapping[MAPPINGS];
	char why[256];
};

static u32 byte(struct program *p)
{
	return p->at < p->size ? p->data[p->at++] : 0;
}

static u32 word(struct program *p)
{
	return byte(p) | byte(p) << 8;
}

static bool wrong(struct program *p, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (p->why[0])
		return false;
	n = snprintf(p->why, sizeof(p->why), "%s %s, byte %zu: ", p->w->type, p->w->dev_name, p->at);
	va_start(ap, fmt);
	vsnprintf(p->why + n, sizeof(p->why) - (size_t)n, fmt, ap);
	va_end(ap);
	return false;
}

/* ---- worlds ---- */

static void end_worlds(void)
{
	char command[96];

	for (size_t i = 0; i < OLI_ARRAY_SIZE(worlds); i++) {
		if (!worlds[i].m)
			continue;
		olio_dev_close(worlds[i].dev);
		oli_machine_close(worlds[i].m);
		snprintf(command, sizeof(command), "rm -rf %s", worlds[i].parent);
		if (system(command))
			fprintf(stderr, "cannot remove %s\n", worlds[i].parent);
	}
}

static const char *open_machine(struct world *w, bool checker)
{
	static char why[OLI_WHY_MAX];
	struct oli_machine_opts opts = {0};
	struct oli_desc desc;
	char path[64];
	u8 node;

	if (oli_desc_builtin(w->type, &desc))
		return "no such type";
	node = oli_node_find(&desc, w->dev_name);
	if (node == OLI_NODE_NONE)
		return "no such device";
	if (!checker)
		desc.checker = 0;
	if (w->granule_shift)
		desc.granule_shift = w->granule_shift;
	desc.linear |= w->linear;
	if (w->untrusted)
		desc.node[node].trusted = 0;
	if (w->granule)
		desc.node[node].granule = w->granule;
	desc.ram_size = desc.ram_size < (1ull << 30) ? desc.ram_size : 1ull << 30;
	if (oli_desc_check(&desc, why))
		return why;
	strcpy(w->parent, access("/dev/shm", W_OK) ? "/tmp/olio-test-XXXXXX"
						   : "/dev/shm/olio-test-XXXXXX");
	if (!mkdtemp(w->parent))
		return "no directory";
	snprintf(path, sizeof(path), "%s/m", w->parent);
	opts.name = path;
	opts.desc = &desc;
	if (oli_machine_open(&opts, oli_parts, &w->m, why))
		return why;
	return oli_dev_open(w->m, w->dev_name, &w->dev) ? olio_why()->text : NULL;
}

static const char *add_store(struct store *s, int err, struct olio_mem **memp)
{
	struct olio_mem *mem = *memp;

	if (err)
		return olio_why()->text;
	s->mem = mem;
	s->cpu = olio_mem_cpu(mem, 0);
	s->len = olio_mem_len(mem);
	s->model = malloc(s->len);
	s->is_ram = olio_mem_runs(mem, &(size_t){0})->kind != OLIO_MEM_MMIO;
	if (!s->model)
		return "no memory";
	for (u64 i = 0; i < s->len; i++)
		s->model[i] = (u8)(i * 7 + (i >> 8) * 13 + (i >> 16));
	memcpy(s->cpu, s->model, s->len);
	return NULL;
}

static void *pages(u64 len, int flags)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static const char *open_stores(struct world *w)
{
	u8 acc = oli_node_find(&w->m->shm->desc, "acc0");
	struct olio_mem *mem = NULL;
	const char *why;
	void *p;
	int fd;

	/* Its first byte is not that of a page. */
	p = pages(24 * LOT, 0);
	why = add_store(&w->store[ANON], oli_mem_pin(w->m, (u8 *)p + 1536, 23 * LOT, 0, &mem), &mem);
	fd = memfd_create("dma-model", 0);
	if (!why && (fd < 0 || ftruncate(fd, 16 * LOT)))
		why = "no memfd";
	if (!why)
		why = add_store(&w->store[FILE_],
				oli_mem_from_fd(w->m, fd, 4096, 15 * LOT, 0, &mem), &mem);
	close(fd);
	if (!why && acc != OLI_NODE_NONE)
		why = add_store(&w->store[BAR], oli_mem_from_bar(w->m, acc, 2, 8192, 8 * LOT, &mem),
				&mem);
	if (!why && w->m->shm->desc.encrypted) {
		why = add_store(&w->store[OPEN],
				oli_mem_pin(w->m, pages(8 * LOT, 0), 8 * LOT, 0, &mem), &mem);
		if (!why && olio_mem_share(mem))
			why = olio_why()->text;
	}
	p = pages(2 << 20, MAP_HUGETLB);
	if (!why && p)
		why = add_store(&w->store[HUGE], oli_mem_pin(w->m, p, 2 << 20, 0, &mem), &mem);
	return why;
}

static const char *open_world(struct world *w, bool checker)
{
	static bool registered;
	const char *why;

	if (w->m && (w->m->shm->desc.checker != 0) == checker)
		return NULL;
	if (!registered)
		atexit(end_worlds);
	registered = true;
	if (w->m) {
		char command[96];

		for (int i = 0; i < STORES; i++) {
			oli_mem_put(w->store[i].mem);
			free(w->store[i].model);
			w->store[i] = (struct store){0};
		}
		olio_dev_close(w->dev);
		oli_machine_close(w->m);
		snprintf(command, sizeof(command), "rm -rf %s", w->parent);
		if (system(command))
			return "cannot remove it";
	}
	w->m = NULL;
	why = open_machine(w, checker);
	return why ? why : open_stores(w);
}

u32 dma_model_worlds(void)
{
	return OLI_ARRAY_SIZE(worlds);
}

const char *dma_model_world(u32 i)
{
	static char name[64];

	snprintf(name, sizeof(name), "%s/%s%s%s", worlds[i].type, worlds[i].dev_name,
		 worlds[i].untrusted ? " untrusted" : "", worlds[i].granule_shift ? " 64K" : "");
	return name;
}

/* ---- what is left behind ---- */

struct snap {
	u64 iovas, bounces, frames, copies;
};

static struct snap snap(const struct world *w)
{
	struct oli_bounce_stats bounce;
	struct oli_iova_usage usage = {0};
	struct snap s;

	if (w->dev->domain) {
		/* What waits for a flush is not left behind, nor kept by the checker for long. */
		oli_domain_flush(w->dev->domain);
		oli_iova_usage(&w->dev->domain->iova, &usage);
	}
	oli_bounce_stats(w->m, &bounce);
	s = (struct snap){usage.live, bounce.used, oli_frames_used(w->m, w->m->slot),
			  w->dev->bounced};
	return s;
}

static bool same(struct program *p, const struct snap *before, const char *what)
{
	struct snap now = snap(p->w);

	/* The checker keeps IOVAs for a while, on purpose. */
	if (p->checker)
		now.iovas = before->iovas;
	if (!memcmp(&now, before, sizeof(now)))
		return true;
	return wrong(p, "%s left %ld IOVAs, %ld bounce slots, %ld frames, %ld copies", what,
		     (long)(now.iovas - before->iovas), (long)(now.bounces - before->bounces),
		     (long)(now.frames - before->frames), (long)(now.copies - before->copies));
}

/* ---- maps ---- */

static bool take_lots(struct slice *s, bool take)
{
	u64 first = s->off / LOT, last = (s->off + s->len - 1) / LOT;

	for (u64 i = first; i <= last && take; i++)
		if (s->store->used[i])
			return false;
	for (u64 i = first; i <= last; i++)
		s->store->used[i] = take;
	return true;
}

/* Runs of a slice that the program chooses. Return: false: there is none. */
static bool choose_slice(struct program *p, struct mapping *g)
{
	struct slice *s = &g->slice[g->nslices];
	u32 how = byte(p), lot = byte(p), len = word(p);
	size_t n;

	s->store = &p->w->store[how % STORES];
	if (!s->store->mem)
		s->store = &p->w->store[ANON];
	s->off = (u64)lot * LOT % (s->store->len & ~(u64)(LOT - 1));
	if (how & 0x40)
		s->off += word(p) % LOT;
	else if (s->store == &p->w->store[ANON] && how & 0x20)
		s->off += 4096 - 1536; /* a page begins there */
	s->len = 1 + len;
	if (how & 0x80)
		s->len = (s->len + 4095) & ~4095u;
	/* A line that is shared with other data is a mistake, where there are such lines. */
	if (p->checker) {
		s->off &= ~127ull;
		s->len = (s->len + 127) & ~127ull;
	}
	if (s->len > s->store->len - s->off)
		s->len = s->store->len - s->off;
	if (!take_lots(s, true))
		return false;
	if (olio_mem_slice(s->store->mem, s->off, s->len, g->run + g->nruns, MOST_RUNS - g->nruns,
			   &n)) {
		take_lots(s, false);
		return false;
	}
	g->nruns += (u32)n;
	g->len += s->len;
	g->nslices++;
	return true;
}

static void free_mapping(struct mapping *g)
{
	for (u32 i = 0; i < g->nslices; i++)
		take_lots(&g->slice[i], false);
	free(g);
}

static int unmap_runs(struct program *p, struct mapping *g, u32 n, u32 attrs)
{
	int err = 0;

	for (u32 i = 0; i < n; i++)
		if (!g->linked[i])
			err |= olio_dma_unmap(p->w->dev, g->dma[i], g->run[i].len, g->dir, attrs);
	for (u32 i = 0; i < g->nstates; i++)
		err |= olio_iova_destroy(&g->state[i], g->state_len[i], g->dir, attrs);
	g->nstates = 0;
	memset(g->linked, 0, sizeof(g->linked));
	return err;
}

static int map_one_shot(struct program *p, struct mapping *g)
{
	int err = 0;

	for (u32 i = 0; i < g->nruns; i++) {
		err = olio_dma_map(p->w->dev, &g->run[i], g->dir, 0, &g->dma[i]);
		if (err) {
			if (unmap_runs(p, g, i, OLIO_ATTR_SKIP_CPU_SYNC))
				wrong(p, "undoing one-shot maps: %s", olio_why()->text);
			break;
		}
	}
	return err;
}

/* Two-step is not told where a segment must end: its caller keeps to that. */
static bool one_segment(const struct olio_dev *dev, const struct olio_run *first, u64 len)
{
	return len <= dev->max_segment &&
	       (!dev->boundary ||
		(first->pa.v & dev->granule_mask) + len <= dev->boundary);
}

/* Runs from @i on that meet on granules, into one state. Return: 0 and how many. */
static int map_state(struct program *p, struct mapping *g, u32 i, u32 *n)
{
	u64 mask = p->w->dev->granule_mask, len = 0, done = 0;
	struct olio_iova_state *s = &g->state[g->nstates];
	u32 k = i;
	int err;

	if (!one_segment(p->w->dev, &g->run[i], g->run[i].len))
		return olio_dma_map(p->w->dev, &g->run[i], g->dir, 0, &g->dma[i]);
	do
		len += g->run[k++].len;
	while (k < g->nruns && one_segment(p->w->dev, &g->run[i], len + g->run[k].len) && !((g->run[k - 1].pa.v + g->run[k - 1].len) & mask) &&
	       !(g->run[k].pa.v & mask) &&
	       (g->run[k].kind == OLIO_MEM_MMIO) == (g->run[i].kind == OLIO_MEM_MMIO));
	err = olio_iova_alloc(p->w->dev, s, g->run[i].pa, len);
	if (err)
		return err;
	*n = k - i;
	for (k = i; k < i + *n; done += g->run[k++].len) {
		err = olio_iova_link(s, &g->run[k], done, g->dir, 0);
		if (err)
			break;
		g->linked[k] = true;
		g->dma[k].v = olio_iova_start(s).v + done;
	}
	if (!err)
		err = olio_iova_sync(s, 0, len);
	if (err) {
		for (k = i; k < i + *n; k++)
			g->linked[k] = false;
		if (olio_iova_destroy(s, done, g->dir, OLIO_ATTR_SKIP_CPU_SYNC))
			wrong(p, "undoing links: %s", olio_why()->text);
		return err;
	}
	g->state_len[g->nstates++] = len;
	return 0;
}

static int map_two_step(struct program *p, struct mapping *g)
{
	u32 n;
	int err;

	for (u32 i = 0; i < g->nruns; i += n) {
		n = 1;
		err = map_state(p, g, i, &n);
		/* The two refusals that say: use the other call. */
		if (err == -EOPNOTSUPP && (olio_why()->reason == OLIO_REASON_NO_IOMMU ||
					   olio_why()->reason == OLIO_REASON_P2P_BUS)) {
			n = 1;
			err = olio_dma_map(p->w->dev, &g->run[i], g->dir, 0, &g->dma[i]);
		}
		if (err) {
			if (unmap_runs(p, g, i, OLIO_ATTR_SKIP_CPU_SYNC))
				wrong(p, "undoing a two-step map: %s", olio_why()->text);
			return err;
		}
	}
	return 0;
}

static int map_list(struct program *p, struct mapping *g)
{
	return olio_map_list(p->w->dev, g->run, g->nruns, g->dir, 0, &g->map);
}

static int map_as(struct program *p, struct mapping *g)
{
	switch (g->family) {
	case OLI_ONE_SHOT:
		return map_one_shot(p, g);
	case OLI_TWO_STEP:
		return map_two_step(p, g);
	default:
		return map_list(p, g);
	}
}

static bool may_fail(const struct world *w, const struct mapping *g)
{
	enum olio_reason r = olio_why()->reason;

	switch (r) {
	case OLIO_REASON_BOUNCE_FULL:
	case OLIO_REASON_IOVA_FULL:
		return true;
	case OLIO_REASON_BOUNCE_TOO_LONG:
	case OLIO_REASON_SEGMENTS:
		return g->family != OLI_LIST;
	case OLIO_REASON_GRANULE:
		return w->dev->granule == OLIO_GRANULE_REFUSE;
	default:
		break;
	}
	/* Only what has to do with the BAR is left. */
	for (u32 i = 0; i < g->nruns; i++)
		if (g->run[i].kind == OLIO_MEM_MMIO)
			return r == OLIO_REASON_MMIO_BOUNCE || r == OLIO_REASON_P2P_ACS ||
			       r == OLIO_REASON_P2P_NO_COMMON_BRIDGE || r == OLIO_REASON_P2P_NOT_PCI ||
			       r == OLIO_REASON_MASK;
	return false;
}

/* Each segment obeys the limits, and they are the mapping. */
static bool check_segs(struct program *p, const struct mapping *g)
{
	const struct olio_dev *dev = p->w->dev;
	u64 len = 0, boundary = dev->boundary;
	const struct olio_seg *segs;
	struct olio_piece piece;
	size_t n, pos = 0;

	segs = olio_map_segs(g->map, &n);
	for (size_t i = 0; i < n; i++) {
		u64 first = segs[i].dma.v, last = first + segs[i].len - 1;

		len += segs[i].len;
		if (!segs[i].len || last < first || last > dev->mask ||
		    segs[i].len > dev->max_segment ||
		    (boundary && first / boundary != last / boundary))
			return wrong(p, "segment %zu is 0x%lx+0x%lx", i, (long)first,
				     (long)segs[i].len);
	}
	if (len != g->len || olio_map_len(g->map) != len)
		return wrong(p, "segments have %lu bytes, the list %lu", (long)len, (long)g->len);
	len = 0;
	while (olio_map_next_piece(g->map, &pos, &piece)) {
		if (piece.offset != len || !piece.len)
			return wrong(p, "a piece at %lu instead of %lu", (long)piece.offset,
				     (long)len);
		len += piece.len;
	}
	return len == g->len ? true : wrong(p, "pieces have %lu bytes", (long)len);
}

static void op_map(struct program *p)
{
	u32 op = byte(p), i = 0, n = 1 + (op >> 4) % SLICES;
	struct mapping *g;
	struct snap before;
	int err;

	while (i < MAPPINGS && p->mapping[i])
		i++;
	if (i == MAPPINGS)
		return;
	g = calloc(1, sizeof(*g));
	if (!g)
		return;
	g->family = op % 3;
	g->dir = 1 + (op >> 2) % 3;
	while (n-- && choose_slice(p, g))
		;
	if (!g->nslices) {
		free_mapping(g);
		return;
	}
	before = snap(p->w);
	oli_fault_countdown = (int)p->fail;
	err = map_as(p, g);
	if (p->fail && !oli_fault_countdown && err) {
		/* The refused request: nothing is left, and it works the next time. */
		(void)same(p, &before, "a map that was refused a resource");
		p->fail = 0;
		err = map_as(p, g);
	} else if (p->fail) {
		p->fail = (u32)oli_fault_countdown;
	}
	oli_fault_countdown = 0;
	if (err) {
		(void)same(p, &before, "a refused map");
		if (!may_fail(p->w, g))
			wrong(p, "family %u refused: %s", g->family, olio_why()->text);
		free_mapping(g);
		return;
	}
	p->mapping[i] = g;
	if (g->family == OLI_LIST)
		(void)check_segs(p, g);
}

/* ---- accesses ---- */

static struct mapping *choose(struct program *p)
{
	return p->mapping[byte(p) % MAPPINGS];
}

/* A range inside the mapping. */
static void choose_range(struct program *p, const struct mapping *g, u64 *off, u64 *len)
{
	*off = (word(p) * 251ull) % g->len;
	*len = 1 + word(p) % 9000;
	if (*len > g->len - *off)
		*len = g->len - *off;
}

/* The array's bytes of a range of the mapping, in or out; or the CPU's. */
static void model_bytes(const struct mapping *g, u64 off, u64 len, u8 *buf, bool put, bool cpu)
{
	for (u32 i = 0; i < g->nslices && len; i++) {
		const struct slice *s = &g->slice[i];
		u64 n = off < s->len ? s->len - off : 0;
		u8 *at;

		if (!n) {
			off -= s->len;
			continue;
		}
		n = n < len ? n : len;
		at = (cpu ? s->store->cpu : s->store->model) + s->off + off;
		if (put)
			memcpy(at, buf, n);
		else
			memcpy(buf, at, n);
		buf += n;
		len -= n;
		off = 0;
	}
}

/* Extent @i as the device finds it. Return: false at the end. */
static bool extent(const struct mapping *g, u32 i, u64 *dma, u64 *len)
{
	const struct olio_seg *segs;
	size_t n = g->nruns;

	if (g->family == OLI_LIST) {
		segs = olio_map_segs(g->map, &n);
		if (i < n) {
			*dma = segs[i].dma.v;
			*len = segs[i].len;
		}
	} else if (i < n) {
		*dma = g->dma[i].v;
		*len = g->run[i].len;
	}
	return i < n;
}

static int device_access(struct program *p, const struct mapping *g, u64 off, u64 len, u8 *buf,
			 bool write)
{
	u64 dma, n;
	int err;

	for (u32 i = 0; len && extent(g, i, &dma, &n); i++) {
		if (off >= n) {
			off -= n;
			continue;
		}
		n = n - off < len ? n - off : len;
		err = write ? olio_dev_write(p->w->dev, (struct olio_iova){dma + off}, buf, n)
			    : olio_dev_read(p->w->dev, (struct olio_iova){dma + off}, buf, n);
		if (err)
			return err;
		buf += n;
		len -= n;
		off = 0;
	}
	return len ? -ENODATA : 0;
}

static int pass(struct program *p, struct mapping *g, u64 off, u64 len, bool for_cpu)
{
	u64 dma, n;
	int err;

	if (g->family == OLI_LIST)
		return for_cpu ? olio_map_sync_for_cpu(g->map, off, len, g->dir)
			       : olio_map_sync_for_device(g->map, off, len, g->dir);
	for (u32 i = 0; len && extent(g, i, &dma, &n); i++) {
		if (off >= n) {
			off -= n;
			continue;
		}
		n = n - off < len ? n - off : len;
		err = for_cpu ? olio_dma_sync_for_cpu(p->w->dev, (struct olio_iova){dma + off}, n,
						      g->dir)
			      : olio_dma_sync_for_device(p->w->dev, (struct olio_iova){dma + off},
							 n, g->dir);
		if (err)
			return err;
		len -= n;
		off = 0;
	}
	return 0;
}

static void op_device_read(struct program *p)
{
	struct mapping *g = choose(p);
	u8 got[9000], want[9000];
	u64 off, len;
	int err;

	if (!g || !(g->dir & OLIO_TO_DEVICE))
		return;
	choose_range(p, g, &off, &len);
	model_bytes(g, off, len, want, false, false);
	err = device_access(p, g, off, len, got, false);
	if (err)
		wrong(p, "family %u: the device cannot read: %d", g->family, err);
	else if (memcmp(got, want, len))
		wrong(p, "family %u: the device reads other bytes", g->family);
}

static void check_cpu(struct program *p, struct mapping *g, u64 off, u64 len, const char *when)
{
	u8 got[9000], want[9000];

	while (len) {
		u64 n = len < sizeof(got) ? len : sizeof(got);

		model_bytes(g, off, n, want, false, false);
		model_bytes(g, off, n, got, false, true);
		if (memcmp(got, want, n)) {
			wrong(p, "family %u: the CPU reads other bytes %s", g->family, when);
			return;
		}
		off += n;
		len -= n;
	}
}

static void op_device_write(struct program *p)
{
	struct mapping *g = choose(p);
	u64 off, len;
	u8 buf[9000];
	u32 salt;
	int err;

	if (!g || !(g->dir & OLIO_FROM_DEVICE))
		return;
	choose_range(p, g, &off, &len);
	salt = byte(p);
	for (u64 i = 0; i < len; i++)
		buf[i] = (u8)(i * 3 + salt);
	err = device_access(p, g, off, len, buf, true);
	if (err) {
		wrong(p, "family %u: the device cannot write: %d", g->family, err);
		return;
	}
	model_bytes(g, off, len, buf, true, false);
	if (salt & 1) {
		err = pass(p, g, off, len, true);
		check_cpu(p, g, off, len, "after a sync");
		if (err || pass(p, g, off, len, false))
			wrong(p, "family %u: sync: %s", g->family, olio_why()->text);
	}
}

static void op_cpu_write(struct program *p)
{
	struct mapping *g = choose(p);
	u64 off, len;
	u8 buf[9000];
	u32 salt;

	if (!g || !(g->dir & OLIO_TO_DEVICE))
		return;
	choose_range(p, g, &off, &len);
	salt = byte(p);
	for (u64 i = 0; i < len; i++)
		buf[i] = (u8)(i * 5 + salt);
	if (pass(p, g, off, len, true))
		wrong(p, "family %u: sync: %s", g->family, olio_why()->text);
	model_bytes(g, off, len, buf, true, true);
	model_bytes(g, off, len, buf, true, false);
	if (pass(p, g, off, len, false))
		wrong(p, "family %u: sync: %s", g->family, olio_why()->text);
}

/* ---- ends ---- */

static void unmap_at(struct program *p, u32 i)
{
	struct mapping *g = p->mapping[i];

	if (!g)
		return;
	if (g->family == OLI_LIST)
		olio_map_unmap(g->map);
	else if (unmap_runs(p, g, g->nruns, 0))
		wrong(p, "family %u: unmap: %s", g->family, olio_why()->text);
	check_cpu(p, g, 0, g->len, "after the unmap");
	free_mapping(g);
	p->mapping[i] = NULL;
}

static void op_unmap(struct program *p)
{
	unmap_at(p, byte(p) % MAPPINGS);
}

static bool is_bus(struct program *p, struct olio_iova dma)
{
	struct olio_pa pa;
	u8 node, bar;

	return oli_bus_to_pa(p->w->m, dma.v, &pa, &node, &bar);
}

/* Calls that must be refused, and change nothing. */
static void op_misuse(struct program *p)
{
	static const u64 lens[] = {0, 1, 4096, 65536, UINT64_MAX, 1ull << 63};
	struct mapping *g = choose(p);
	struct olio_dev *dev = p->w->dev;
	struct snap before = snap(p->w);
	struct olio_iova dma = {byte(p) & 1 ? 0x7000ull * word(p) : (u64)word(p) << 48};
	u64 len = lens[byte(p) % OLI_ARRAY_SIZE(lens)];
	struct olio_iova_state copy;
	struct olio_run run = {{(u64)word(p) << 24}, len, byte(p) % 5, byte(p)};
	struct olio_map *map = NULL;

	if (p->checker)
		return;
	if (g && g->family != OLI_LIST && !g->linked[0] && dev->domain) {
		/* Another number of granules. */
		len = g->run[0].len + 2 * (dev->granule_mask + 1);
		if (g->run[0].kind != OLIO_MEM_MMIO &&
		    !olio_dma_unmap(dev, g->dma[0], len, g->dir, 0))
			wrong(p, "unmapped with a wrong size");
	} else if (g && g->nstates) {
		copy = g->state[0];
		if (!olio_iova_destroy(&copy, g->state_len[0], g->dir, 0) ||
		    !olio_iova_free(&g->state[0]) ||
		    !olio_iova_destroy(&g->state[0], g->state_len[0] - 1, g->dir, 0) ||
		    !olio_iova_unlink(&g->state[0], 0, g->state_len[0] + 1, g->dir, 0) ||
		    !olio_iova_link(&g->state[0], &g->run[0], 0, g->dir, 0))
			wrong(p, "a state was misused");
	} else if (dev->domain) {
		/* For a peer's BAR nothing is mapped, so that cannot be told from what was. */
		if (!is_bus(p, dma) && !olio_dma_unmap(dev, dma, len, OLIO_TO_DEVICE, 0))
			wrong(p, "unmapped what was not mapped: 0x%lx", (long)dma.v);
	}
	/* Physical addresses out of the air; whatever they hit, nothing may stay or break. */
	if (!olio_map_list(dev, &run, 1, byte(p), word(p), &map))
		olio_map_unmap(map);
	(void)same(p, &before, "misuse");
}

/* The same run by two ways: the same refusal. */
static void op_compare(struct program *p)
{
	u32 attrs = byte(p) % 32, dir = 1 + byte(p) % 3;
	struct mapping *g = calloc(1, sizeof(*g));
	enum olio_reason one = 0, list = 0;
	struct olio_map *map = NULL;
	struct olio_iova dma;

	if (!g)
		return;
	if (!p->checker && choose_slice(p, g)) {
		if (olio_dma_map(p->w->dev, &g->run[0], dir, attrs, &dma))
			one = olio_why()->reason;
		else if (olio_dma_unmap(p->w->dev, dma, g->run[0].len, dir, attrs))
			wrong(p, "unmap: %s", olio_why()->text);
		if (olio_map_list(p->w->dev, g->run, 1, dir, attrs, &map))
			list = olio_why()->reason;
		olio_map_unmap(map);
		if (one != list && one != OLIO_REASON_BOUNCE_TOO_LONG && one != OLIO_REASON_SEGMENTS)
			wrong(p, "one-shot says %s, the list %s", olio_reason_name(one),
			      olio_reason_name(list));
	}
	free_mapping(g);
}

static void end_program(struct program *p)
{
	for (u32 i = 0; i < MAPPINGS; i++)
		unmap_at(p, i);
	for (u32 i = 0; i < STORES; i++) {
		struct store *s = &p->w->store[i];

		if (s->mem && memcmp(s->cpu, s->model, s->len))
			wrong(p, "store %u is not what it should be", i);
	}
}

const char *dma_model_run(u32 world, const u8 *data, size_t size, u32 fail, bool checker)
{
	static void (*const ops[])(struct program *) = {op_map, op_map, op_map, op_device_read,
							op_device_write, op_cpu_write, op_unmap,
							op_device_read, op_misuse, op_compare};
	static struct program p;
	struct snap before;
	const char *why;
	u64 misuses;

	p = (struct program){.w = &worlds[world], .data = data, .size = size, .fail = fail,
			     .checker = checker};
	why = open_world(p.w, checker);
	if (why)
		return why;
	before = snap(p.w);
	misuses = oli_misuse_newest(p.w->m);
	while (p.at < p.size && !p.why[0])
		ops[byte(&p) % OLI_ARRAY_SIZE(ops)](&p);
	end_program(&p);
	(void)same(&p, &before, "the program");
	if (p.w->dev->domain && !oli_domain_is_valid(p.w->dev->domain))
		wrong(&p, "the domain is damaged");
	if (checker && oli_misuse_newest(p.w->m) != misuses) {
		struct oli_misuse m;

		if (oli_misuse_get(p.w->m, misuses + 1, &m))
			wrong(&p, "the checker says: %.150s", m.text);
	}
	return p.why[0] ? p.why : NULL;
}
