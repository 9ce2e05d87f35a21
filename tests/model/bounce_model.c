// SPDX-License-Identifier: MIT
/*
 * The model: what each copy and each byte of the program's memory must hold, and which
 * 2 KiB slots are taken. Everything that is promised is looked up by brute force: a copy
 * has slots of its own, in whole granules, inside one segment; low bits of its address are
 * the original's; "full" is said only if no segment has so many free slots in a row, from a
 * granule on, and no further segment may be taken.
 *
 * A segment is known by its first copy, which begins in its first slot, and forgotten when
 * its last copy goes: whether it was given back then is not visible.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bounce_model.h"

enum { COPIES = 512, SLOT = 2048, SEG_SLOTS = 128, SEGS = 16, MEM = 1 << 19 };

struct copy {
	bool live;
	u64 group, bytes; /* its slots */
	u64 pa, off, len;
	enum olio_dir dir;
	u8 *slots, *want; /* its slots; what must be in the copy */
};

struct seg {
	u64 base; /* 0: not known */
	u32 used;
	bool taken[SEG_SLOTS];
};

static struct {
	struct bounce_env env;
	u64 granule, failed;
	struct seg seg[SEGS];
	struct copy copy[COPIES];
	u32 copies;
	u8 want[MEM];
	char why[200];
} m;

#define SAY(...) (snprintf(m.why, sizeof(m.why), __VA_ARGS__), m.why)
#define LL(x)	 ((unsigned long long)(x))

static u64 unit(void)
{
	return m.granule > SLOT ? m.granule : SLOT;
}

void bounce_model_begin(const struct bounce_env *env)
{
	struct oli_bounce_stats st;

	memset(&m, 0, sizeof(m));
	m.env = *env;
	m.granule = env->dev->granule_mask + 1;
	if (env->len > MEM)
		abort();
	memcpy(m.want, env->mem, env->len);
	oli_bounce_stats(env->dev->m, &st);
	m.failed = st.failed;
}

/* ---- slots ---- */

static struct seg *seg_of(u64 pa)
{
	for (u32 i = 0; i < SEGS; i++)
		if (m.seg[i].base && pa - m.seg[i].base < (u64)SEG_SLOTS * SLOT)
			return &m.seg[i];
	return NULL;
}

/* Could @n slots be had? */
static bool has_room(u64 n)
{
	u64 known = 0, step = unit() / SLOT;

	for (u32 i = 0; i < SEGS; i++) {
		known += m.seg[i].base != 0;
		for (u64 at = 0; m.seg[i].base && at + n <= SEG_SLOTS; at += step) {
			u64 k = 0;

			while (k < n && !m.seg[i].taken[at + k])
				k++;
			if (k == n)
				return true;
		}
	}
	return known < m.env.dev->desc->bounce_slots / SEG_SLOTS;
}

static const char *take(u64 group, u64 n)
{
	struct seg *s = seg_of(group);
	u64 at;

	for (u32 i = 0; !s && i < SEGS; i++)
		if (!m.seg[i].base) {
			s = &m.seg[i];
			*s = (struct seg){.base = group};
		}
	if (!s)
		return SAY("more segments than there are");
	at = (group - s->base) / SLOT;
	if (at + n > SEG_SLOTS)
		return SAY("0x%llx: beyond the end of its segment", LL(group));
	for (u64 i = 0; i < n; i++) {
		if (s->taken[at + i])
			return SAY("0x%llx: the slot is another copy's", LL(group + i * SLOT));
		s->taken[at + i] = true;
	}
	s->used += (u32)n;
	return NULL;
}

static void give(const struct copy *c)
{
	struct seg *s = seg_of(c->group);
	u64 n = c->bytes / SLOT;

	memset(s->taken + (c->group - s->base) / SLOT, 0, n);
	s->used -= (u32)n;
	if (!s->used)
		s->base = 0;
}

/* ---- steps ---- */

static const char *refused(int err, u64 off, u64 len)
{
	u64 skew = (m.env.pa + off) & (m.granule - 1);
	enum olio_reason reason = olio_why()->reason;
	struct oli_bounce_stats st;

	if (err != -ENOSPC)
		return SAY("refused: %d", err);
	if (skew + len > (u64)SEG_SLOTS * SLOT)
		return reason == OLIO_REASON_BOUNCE_TOO_LONG ? NULL : SAY("too long: not said");
	if (reason != OLIO_REASON_BOUNCE_FULL)
		return SAY("reason %s", olio_reason_name(reason));
	if (has_room(oli_align_up(skew + len, unit()) / SLOT))
		return SAY("full is said, and there is room for 0x%llx bytes", LL(len));
	oli_bounce_stats(m.env.dev->m, &st);
	return st.failed == ++m.failed ? NULL : SAY("not counted as failed");
}

const char *bounce_model_map(u64 off, u64 len, enum olio_dir dir, u32 attrs, int *id)
{
	struct olio_pa pa, orig = {m.env.pa + off};
	u64 skew = orig.v & (m.granule - 1);
	struct oli_phys phys;
	struct copy *c;
	int err = oli_bounce_map(m.env.dev, orig, len, dir, attrs, &pa);

	*id = -1;
	if (err)
		return refused(err, off, len);
	for (c = m.copy; c->live; c++)
		;
	*id = (int)(c - m.copy);
	*c = (struct copy){.live = true,
			   .group = pa.v - skew,
			   .pa = pa.v,
			   .off = off,
			   .len = len,
			   .bytes = oli_align_up(skew + len, unit()),
			   .dir = dir};
	m.copies++;
	if ((pa.v ^ orig.v) & (m.granule - 1) || c->group % unit())
		return SAY("0x%llx: not as far into its granule as 0x%llx", LL(pa.v), LL(orig.v));
	if (!oli_phys_find(m.env.dev->m, (struct olio_pa){c->group}, &phys) ||
	    phys.kind != OLI_PHYS_LOW)
		return SAY("0x%llx is no low memory", LL(c->group));
	c->slots = phys.cpu;
	c->want = malloc(len);
	if (attrs & OLIO_ATTR_SKIP_CPU_SYNC)
		memset(c->want, 0, len);
	else
		memcpy(c->want, m.want + off, len);
	return take(c->group, c->bytes / SLOT);
}

const char *bounce_model_unmap(int id, u32 attrs)
{
	struct copy *c = &m.copy[id];

	oli_bounce_unmap(m.env.dev, (struct olio_pa){c->pa}, c->len, c->dir, attrs);
	if (c->dir & OLIO_FROM_DEVICE && !(attrs & OLIO_ATTR_SKIP_CPU_SYNC))
		memcpy(m.want + c->off, c->want, c->len);
	give(c);
	free(c->want);
	c->live = false;
	m.copies--;
	return NULL;
}

static const char *unmap_wrongly(const struct copy *c, u8 way)
{
	struct olio_pa pa = {c->pa};
	u64 len = c->len;

	switch (way % 4) {
	case 0:
		len++;
		break;
	case 1:
		len = len / 2;
		break;
	case 2:
		pa.v++;
		break;
	default:
		pa.v += c->bytes;
	}
	/* Not if that is another copy, rightly. */
	for (u32 i = 0; i < COPIES; i++)
		if (m.copy[i].live && m.copy[i].pa == pa.v && m.copy[i].len == len)
			return NULL;
	oli_bounce_unmap(m.env.dev, pa, len, OLIO_BIDIRECTIONAL, 0);
	return NULL;
}

static void write_bytes(u8 *p, u8 *want, u64 len, u8 salt)
{
	for (u64 i = 0; i < len; i++)
		p[i] = want[i] = (u8)(salt + i * 7);
}

static const char *sync_part(const struct copy *c, u64 at, u64 len, bool for_cpu)
{
	oli_bounce_sync(m.env.dev, (struct olio_pa){c->pa + at}, len, for_cpu);
	if (for_cpu)
		memcpy(m.want + c->off + at, c->want + at, len);
	else
		memcpy(c->want + at, m.want + c->off + at, len);
	return NULL;
}

/* ---- checks ---- */

static bool zero(const u8 *p, u64 len)
{
	for (u64 i = 0; i < len; i++)
		if (p[i])
			return false;
	return true;
}

static const char *check_copy(const struct copy *c)
{
	u64 skew = c->pa - c->group, len, probe = c->pa + c->len / 2;
	struct olio_pa start, orig;

	if (!zero(c->slots, skew) || !zero(c->slots + skew + c->len, c->bytes - skew - c->len))
		return SAY("copy of 0x%llx+0x%llx: the padding is not zero", LL(c->off),
			   LL(c->len));
	if (memcmp(c->slots + skew, c->want, c->len))
		return SAY("copy of 0x%llx+0x%llx: other bytes", LL(c->off), LL(c->len));
	if (!oli_bounce_find(m.env.dev->m, (struct olio_pa){probe}, &start, &len, &orig) ||
	    start.v != c->pa || len != c->len || orig.v != m.env.pa + c->off)
		return SAY("copy of 0x%llx+0x%llx is not found", LL(c->off), LL(c->len));
	if ((skew &&
	     oli_bounce_find(m.env.dev->m, (struct olio_pa){c->pa - 1}, &start, &len, &orig)) ||
	    (skew + c->len < c->bytes &&
	     oli_bounce_find(m.env.dev->m, (struct olio_pa){c->pa + c->len}, &start, &len, &orig)))
		return SAY("padding is found");
	return NULL;
}

const char *bounce_model_check(void)
{
	struct oli_bounce_stats st;
	const char *why = NULL;
	u64 used = 0;

	for (u32 i = 0; i < COPIES && !why; i++)
		if (m.copy[i].live) {
			used += m.copy[i].bytes / SLOT;
			why = check_copy(&m.copy[i]);
		}
	if (why)
		return why;
	if (memcmp(m.env.mem, m.want, m.env.len))
		return SAY("the program's memory has other bytes");
	oli_bounce_stats(m.env.dev->m, &st);
	if (st.used != used || st.high < used)
		return SAY("%llu slots are used, said are %llu, at most %llu", LL(used),
			   LL(st.used), LL(st.high));
	if (m.env.dev->bounced != m.copies)
		return SAY("%u copies, counted %u", m.copies, m.env.dev->bounced);
	return NULL;
}

const char *bounce_model_end(void)
{
	for (int i = 0; i < COPIES; i++)
		if (m.copy[i].live)
			(void)bounce_model_unmap(i, 0);
	return bounce_model_check();
}

/* ---- programs ---- */

static const u64 lengths[] = {1,     3,	     64,     511,	    2047,   2048,
			      2049,  4095,   4096,   4097,	    8192,   10000,
			      65536, 100000, 131072, 262144 - 4096, 262144, 262145};

static const char *step(const u8 *p)
{
	struct copy *c = &m.copy[p[1] * 2u % COPIES];
	u64 off = (p[1] * 256u + p[2]) * 37u % m.env.len, len, at;
	int id;

	if (p[0] % BOUNCE_OPS == BOUNCE_MAP || p[0] % BOUNCE_OPS == BOUNCE_CPU) {
		len = lengths[p[3] % OLI_ARRAY_SIZE(lengths)];
		len = len < m.env.len - off ? len : m.env.len - off;
		if (p[0] % BOUNCE_OPS == BOUNCE_CPU)
			write_bytes(m.env.mem + off, m.want + off, len, p[4]);
		else if (m.copies < COPIES)
			return bounce_model_map(off, len, p[4] % 3 + 1,
						p[4] & 16 ? OLIO_ATTR_SKIP_CPU_SYNC : 0, &id);
		return NULL;
	}
	/* A copy: the next one that there is. */
	for (u32 i = 0; i < COPIES && !c->live; i++)
		c = c + 1 < m.copy + COPIES ? c + 1 : m.copy;
	if (!c->live)
		return NULL;
	at = p[2] * 97u % c->len;
	len = 1 + p[3] * 41u % (c->len - at);
	switch (p[0] % BOUNCE_OPS) {
	case BOUNCE_UNMAP:
		return bounce_model_unmap((int)(c - m.copy),
					  p[2] & 1 ? OLIO_ATTR_SKIP_CPU_SYNC : 0);
	case BOUNCE_DEVICE:
		write_bytes(c->slots + (c->pa - c->group) + at, c->want + at, len, p[4]);
		return NULL;
	case BOUNCE_SYNC:
		return sync_part(c, at, len, p[4] & 1);
	default:
		return unmap_wrongly(c, p[2]);
	}
}

const char *bounce_model_run(const struct bounce_env *env, const u8 *program, size_t len)
{
	const char *why = NULL, *end;

	bounce_model_begin(env);
	for (size_t i = 0; i + 5 <= len && !why; i += 5) {
		why = step(program + i);
		if (!why)
			why = bounce_model_check();
		if (why)
			why = SAY("step %zu: %s", i / 5, strdupa(why));
	}
	end = bounce_model_end();
	return why ? why : end;
}
