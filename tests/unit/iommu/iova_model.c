// SPDX-License-Identifier: MIT
/*
 * The model: one byte a granule says who has it. Everything that the allocator
 * promises is looked up there by brute force: what it hands out was free, is
 * aligned and below the limit; where no magazines hide blocks it is the highest
 * such place; "no space" is said only if there is none; a range is freed once, by
 * its exact size; what is claimed stays taken until it is given back.
 *
 * Granules of the model are counted from the first of the space.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "iova_model.h"

#define MAX_RANGES 1024

enum { FREE, LIVE, CLAIMED, RESERVED, GONE };

struct range {
	u64 from, nr, block; /* block: granules that it occupies */
	struct oli_iova_claim claim;
	int is;
};

static struct {
	struct oli_iova v;
	u64 base, nr; /* first granule of the space, number of granules */
	u32 shift, cached;
	bool low, low_off;
	u8 map[MODEL_MAX_GRANULES];
	struct range range[MAX_RANGES];
	u32 ranges;
	char why[200];
} m;

#define SAY(...) (snprintf(m.why, sizeof(m.why), __VA_ARGS__), m.why)

size_t model_mem_out;

static int mem_alloc(void *ctx, size_t size, u64 *off)
{
	int err = oli_iova_process_mem.alloc(ctx, size, off);

	__atomic_fetch_add(&model_mem_out, err ? 0 : size, __ATOMIC_RELAXED);
	return err;
}

bool model_mem_keep;
static u64 kept; /* a list through the first bytes */

static void mem_free(void *ctx, u64 off, size_t size)
{
	__atomic_fetch_sub(&model_mem_out, size, __ATOMIC_RELAXED);
	memset((void *)(uintptr_t)off, 1, size); /* who still looks sees records of 257 granules */
	if (model_mem_keep) {
		memcpy((void *)(uintptr_t)off, &kept, sizeof(kept));
		kept = off;
		return;
	}
	oli_iova_process_mem.free(ctx, off, size);
}

void model_mem_release(void)
{
	u64 next;

	for (model_mem_keep = false; kept; kept = next) {
		memcpy(&next, (void *)(uintptr_t)kept, sizeof(next));
		free((void *)(uintptr_t)kept);
	}
}

const struct oli_iova_mem model_mem = {.alloc = mem_alloc, .free = mem_free};

/* ---- the map ---- */

static u64 block_of(u64 nr)
{
	u64 block = 1;

	while (block < nr)
		block *= 2;
	return block;
}

static bool is_small(u64 nr)
{
	return m.cached && nr <= 1ull << (m.cached - 1);
}

static bool map_is(u64 from, u64 nr, u8 what)
{
	for (; nr; nr--, from++)
		if (m.map[from] != what)
			return false;
	return true;
}

/* The highest start for @nr granules, none above @last; -1 if there is none. */
static s64 highest(u64 nr, u64 need, u64 last)
{
	s64 from;

	if (last < m.base)
		return -1;
	last = last - m.base < m.nr ? last - m.base : m.nr - 1;
	for (from = (s64)last - (s64)need + 1; from >= 0; from--)
		if (!((m.base + (u64)from) % block_of(nr)) && map_is((u64)from, need, FREE))
			return from;
	return -1;
}

static u64 last_granule(u64 limit)
{
	u64 last = limit >> m.shift;

	/* Granule 0 is never free, so "none" may be called 0. */
	return (limit + 1) << (64 - m.shift) && last ? last - 1 : last;
}

static s64 place(u64 nr, u64 limit)
{
	u64 block = block_of(nr), last = last_granule(limit);
	s64 from;

	if (is_small(nr))
		return highest(nr, block, last);
	from = highest(nr, block, last);
	return from >= 0 ? from : highest(nr, nr, last);
}

static struct range *add(u64 from, u64 nr, u64 block, int is)
{
	struct range *r = &m.range[m.ranges++];
	u64 i;

	*r = (struct range){.from = from, .nr = nr, .block = block, .is = is};
	for (i = 0; i < block; i++)
		m.map[from + i] = (u8)is;
	return r;
}

static void drop(struct range *r)
{
	memset(m.map + r->from, FREE, r->block);
	r->is = GONE;
}

static struct range *nth_range(u32 n, int is)
{
	u32 i, seen = 0;

	for (i = 0; i < m.ranges; i++)
		seen += m.range[i].is == is;
	if (!seen)
		return NULL;
	n %= seen;
	for (i = 0; i < m.ranges; i++)
		if (m.range[i].is == is && !n--)
			return &m.range[i];
	return NULL;
}

static struct olio_iova address(u64 from)
{
	return (struct olio_iova){(m.base + from) << m.shift};
}

static struct olio_iova_range window(u64 from, u64 nr)
{
	return (struct olio_iova_range){address(from), {address(from + nr).v - 1}};
}

/* ---- steps ---- */

static u64 step_size(u8 a)
{
	static const u16 sizes[] = {1,	2,  3,	4,   5,	  7,   8,   9,	 16,   17,   31,
				    64, 65, 96, 128, 200, 256, 512, 513, 1024, 1025, 3000};

	return a < 0x80 ? a % 16 + 1 : sizes[a % 22];
}

static u64 step_limit(u8 b)
{
	u64 top = m.base + m.nr - 1;

	if (b < 0x40)
		return UINT64_MAX;
	if (b < 0x80)
		return (1ull << (b & 63)) - (b & 1);
	return ((top - b * m.nr / 256) << m.shift) + (b & 1 ? (1ull << m.shift) - 1 : 5);
}

static const char *alloc_checked(u64 nr, u64 limit, u64 got)
{
	s64 from = (s64)(got >> m.shift) - (s64)m.base, want;
	u64 block = is_small(nr) ? block_of(nr) : nr;

	if (got & ((1ull << m.shift) - 1) || from < 0 || (u64)from + nr > m.nr)
		return SAY("alloc of %lu gave %#lx, outside", nr, got);
	if ((got >> m.shift) % block_of(nr))
		return SAY("alloc of %lu gave %#lx, not aligned", nr, got);
	if (got > limit || limit - got < (nr << m.shift) - 1)
		return SAY("alloc of %lu gave %#lx, above %#lx", nr, got, limit);
	if ((u64)from + block > m.nr || !map_is((u64)from, block, FREE))
		return SAY("alloc of %lu gave %#lx, not free", nr, got);
	if (m.cached)
		return NULL;
	want = place(nr, limit);
	if (m.low && !m.low_off && limit > UINT32_MAX) {
		m.low_off = place(nr, UINT32_MAX) < 0;
		want = place(nr, m.low_off ? limit : UINT32_MAX);
	}
	return want == from ? NULL : SAY("alloc of %lu gave %ld, not %ld", nr, from, want);
}

static const char *op_alloc(u64 nr, u64 limit)
{
	struct olio_iova out = {0x123};
	int err = oli_iova_alloc(&m.v, nr << m.shift, limit, &out);
	const char *why;

	if (err == -ENOMEM)
		err = oli_iova_alloc(&m.v, nr << m.shift, limit, &out);
	if (err && out.v != 0x123)
		return "a failed alloc wrote its result";
	if (err == -ENOSPC) {
		if (limit > UINT32_MAX)
			m.low_off = true;
		return place(nr, limit) < 0 ? NULL : SAY("no space for %lu", nr);
	}
	if (err)
		return SAY("alloc of %lu: %d", nr, err);
	why = alloc_checked(nr, limit, out.v);
	if (!why)
		add((out.v >> m.shift) - m.base, nr, is_small(nr) ? block_of(nr) : nr, LIVE);
	return why;
}

static const char *op_free(struct range *r)
{
	int err = oli_iova_free(&m.v, address(r->from), r->nr << m.shift);

	if (err)
		return SAY("free of %lu: %d", r->from, err);
	drop(r);
	err = oli_iova_free(&m.v, address(r->from), r->nr << m.shift);
	return err == -ENOENT ? NULL : SAY("second free of %lu: %d", r->from, err);
}

static const char *op_claim(struct range *r)
{
	int err = oli_iova_claim(&m.v, address(r->from), r->nr << m.shift, &r->claim);

	if (err || r->claim.start.v != address(r->from).v || r->claim.size != r->nr << m.shift)
		return SAY("claim of %lu: %d", r->from, err);
	r->is = CLAIMED;
	memset(m.map + r->from, CLAIMED, r->block);
	return NULL;
}

static const char *op_give(u32 from, u32 count)
{
	struct range *r;

	while (count-- && (r = nth_range(from, CLAIMED))) {
		oli_iova_give(&m.v, &r->claim);
		drop(r);
	}
	return NULL;
}

static const char *op_fixed(u64 from, u64 nr)
{
	int err = oli_iova_alloc_fixed(&m.v, address(from), nr << m.shift), want = 0;

	if (err == -ENOMEM)
		err = oli_iova_alloc_fixed(&m.v, address(from), nr << m.shift);
	if (m.base + from + nr > 1ull << (64 - m.shift))
		want = -EINVAL;
	else if (from + nr > m.nr || !(m.base + from))
		want = -ERANGE;
	else if (!map_is(from, nr, FREE))
		want = -EBUSY;
	if (!want && !err)
		add(from, nr, nr, LIVE);
	return err == want ? NULL : SAY("fixed %lu, %lu: %d, not %d", from, nr, err, want);
}

/* Not granule 0, which is not free in the map and no hindrance for a window. */
static const char *op_reserve(u64 from, u64 nr)
{
	int err, want;

	if (from + nr > m.nr)
		nr = m.nr - from;
	err = oli_iova_reserve(&m.v, window(from, nr));
	if (err == -ENOMEM)
		err = oli_iova_reserve(&m.v, window(from, nr));
	want = map_is(from, nr, FREE) ? 0 : -EBUSY;
	if (!want && !err)
		add(from, nr, nr, RESERVED);
	return err == want ? NULL : SAY("reserve %lu, %lu: %d, not %d", from, nr, err, want);
}

static const char *op_release(struct range *r)
{
	int err = oli_iova_free(&m.v, address(r->from), r->nr << m.shift);

	if (err != -ENOENT)
		return SAY("free of a reserved range: %d", err);
	err = oli_iova_release(&m.v, window(r->from, r->nr));
	if (err)
		return SAY("release of %lu: %d", r->from, err);
	drop(r);
	err = oli_iova_release(&m.v, window(r->from, r->nr));
	return err == -ENOENT ? NULL : SAY("second release: %d", err);
}

/* Frees that must be refused and change nothing. */
static const char *op_wrong(const struct range *r, u8 way)
{
	struct olio_iova start = address(r->from), inside = address(r->from + 1);
	u64 size = r->nr << m.shift, granule = 1ull << m.shift;
	struct oli_iova_claim claim;
	int err, want = -ENOENT;

	switch (way % 8) {
	case 0:
		err = oli_iova_free(&m.v, start, size + granule);
		break;
	case 1:
		err = oli_iova_free(&m.v, start, size - granule);
		want = r->nr == 1 ? -EINVAL : -ENOENT;
		break;
	case 2:
		if (r->nr == 1)
			return NULL;
		err = oli_iova_free(&m.v, inside, granule);
		break;
	case 3:
		err = oli_iova_free(&m.v, (struct olio_iova){start.v + 1}, size);
		want = -EINVAL;
		break;
	case 4:
		err = oli_iova_free(&m.v, start, size + 1);
		want = -EINVAL;
		break;
	case 5:
		err = oli_iova_free(&m.v, start, (0x10000 + r->nr) << m.shift);
		break;
	case 6:
		err = oli_iova_release(&m.v, window(r->from, r->nr));
		break;
	default:
		err = oli_iova_claim(&m.v, start, size + granule, &claim);
		break;
	}
	/* At the very top a size that is too large wraps, which is another error. */
	if (err == -EINVAL && m.base + m.nr == 1ull << (64 - m.shift))
		want = -EINVAL;
	return err == want ? NULL : SAY("wrong free, way %d: %d, not %d", way % 8, err, want);
}

static const char *claimed_twice(const struct range *r)
{
	struct oli_iova_claim claim;
	u64 size = r->nr << m.shift;
	int err = oli_iova_free(&m.v, address(r->from), size);

	if (err == -ENOENT)
		err = oli_iova_claim(&m.v, address(r->from), size, &claim);
	/* A size that looks like the mark of a claimed one. */
	if (err == -ENOENT)
		err = oli_iova_free(&m.v, address(r->from), (0x8000 | r->nr) << m.shift);
	if (err == -EINVAL && m.base + m.nr == 1ull << (64 - m.shift))
		return NULL;
	return err == -ENOENT ? NULL : SAY("claimed, and free again: %d", err);
}

static const char *step(u8 what, u8 a, u8 b)
{
	struct range *live = nth_range(a, LIVE), *reserved = nth_range(a, RESERVED);
	struct range *claimed = nth_range(a, CLAIMED);

	switch (what % OPS) {
	case OP_ALLOC:
		return op_alloc(step_size(a), step_limit(b));
	case OP_FREE:
		return live ? op_free(live) : NULL;
	case OP_CLAIM:
		return live ? op_claim(live) : NULL;
	case OP_GIVE:
		return op_give(a, b % 8 + 1);
	case OP_FIXED:
		return op_fixed((a * (m.nr / 16 + 1) + b / 32) % m.nr, step_size(b));
	case OP_RESERVE:
		return m.base + a % m.nr ? op_reserve(a % m.nr, step_size(b)) : NULL;
	case OP_RELEASE:
		return reserved ? op_release(reserved) : NULL;
	default:
		if (claimed && b & 0x80)
			return claimed_twice(claimed);
		return live ? op_wrong(live, b) : NULL;
	}
}

/* ---- a program ---- */

/* Byte 0: how many granules; 1: where; 2: magazines, low first; 3: granule. */
static struct oli_iova_config choose(const u8 *p)
{
	static const u16 counts[] = {8, 16, 5, 64, 100, 256, 4096, 5000, 16384, 32768};
	struct oli_iova_config c = {.mem = &model_mem};
	u64 top;

	m.nr = counts[p[0] % 10];
	m.shift = (u32[]){12, 12, 8, 16}[p[3] % 4];
	m.cached = p[2] % 12;
	m.low = p[2] & 0x80;
	top = 1ull << (64 - m.shift);
	m.base = (u64[]){0,
			 1,
			 top - m.nr,
			 (1ull << (32 - m.shift)) - m.nr / 2,
			 4096 * 5 + 3,
			 (1ull << 36) - m.nr / 3}[p[1] % 6];
	if (m.low)
		c.flags = OLI_IOVA_LOW_FIRST;
	c.granule_shift = (u8)m.shift;
	c.cached_orders = (u8)m.cached;
	c.range = window(0, m.nr);
	memset(m.map, FREE, m.nr);
	if (!m.base)
		m.map[0] = RESERVED;
	m.low_off = false;
	m.ranges = 0;
	return c;
}

static const char *compare(void)
{
	struct oli_iova_usage u;
	u64 n[4] = {0}, i;

	for (i = 0; i < m.nr; i++)
		n[m.map[i]]++;
	n[RESERVED] -= !m.base;
	if (!oli_iova_is_valid(&m.v))
		return "the state is not sound";
	oli_iova_usage(&m.v, &u);
	if (u.free + u.cached != n[FREE] || u.live != n[LIVE] || u.claimed != n[CLAIMED] ||
	    u.reserved != n[RESERVED])
		return SAY("usage is %lu+%lu %lu %lu %lu", u.free, u.cached, u.live, u.claimed,
			   u.reserved);
	return NULL;
}

static const char *steps(const u8 *p, size_t len)
{
	const char *why = NULL;

	for (; len >= 3 && m.ranges < MAX_RANGES && !why; p += 3, len -= 3)
		why = step(p[0], p[1], p[2]);
	return why;
}

/* Give everything back: then all must be free. */
static const char *give_back(void)
{
	const char *why = op_give(0, MAX_RANGES);
	u32 i;

	for (i = 0; i < m.ranges && !why; i++) {
		if (m.range[i].is == LIVE)
			why = op_free(&m.range[i]);
		else if (m.range[i].is == RESERVED)
			why = op_release(&m.range[i]);
	}
	return why ? why : compare();
}

const char *model_run(const u8 *program, size_t len, int nth, bool *failed)
{
	size_t before = model_mem_out;
	struct oli_iova_config c;
	const char *why;
	int err;

	if (len < 4)
		return NULL;
	c = choose(program);
	oli_fault_countdown = nth;
	err = oli_iova_init(&m.v, &c);
	if (err == -ENOMEM && model_mem_out == before)
		err = oli_iova_init(&m.v, &c);
	if (err) {
		oli_fault_countdown = 0;
		return SAY("init: %d", err);
	}
	why = steps(program + 4, len - 4);
	if (failed)
		*failed = nth && !oli_fault_countdown;
	oli_fault_countdown = 0;
	if (!why)
		why = compare();
	if (!why)
		why = give_back();
	oli_iova_fini(&m.v);
	return why || model_mem_out == before ? why : "memory leaked";
}
