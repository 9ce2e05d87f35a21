// SPDX-License-Identifier: MIT
/*
 * Bounce buffers: a copy of memory that a device cannot be given, in low memory that it
 * can (S3, B24).
 *
 * Whatever the direction, the copy starts as the original: a device that writes less
 * than it was given must not make garbage of the rest when all is copied back. What
 * surrounds it in its granules is zero, for the device can see that as well.
 *
 * The original is memory of the program, touched by system calls only. If the
 * program has unmapped it, a map is refused; an unmap cannot be, so the bytes are
 * dropped and the machine's records say so.
 *
 * Invariant: a live copy alone owns all granules that it touches.
 *
 * Lengths are bounded by a segment before anything is added to them; originals that wrap
 * are refused.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "dma/bounce.h"

#define SPANS 32

/* The bytes from @pa on, at most @len, as they lie in this process. Return: how many spans,
 * -EFAULT. */
static int originals(struct oli_machine *m, u64 pa, u64 len, struct oli_span *spans, u64 *done)
{
	struct oli_phys phys;
	int n = 0;

	for (*done = 0; *done < len; *done += spans[n - 1].len) {
		struct olio_pa at = {pa + *done};

		if (n == SPANS)
			break;
		if (!oli_phys_find(m, at, &phys) || phys.kind != OLI_PHYS_FRAME ||
		    phys.slot != m->slot)
			return -EFAULT;
		spans[n] = (struct oli_span){
			.addr = phys.va,
			.len = phys.run < len - *done ? phys.run : len - *done,
			.pa = at.v,
			.gen = m->gen,
			.slot = m->slot,
		};
		n++;
	}
	return n;
}

/* Copy [@pa, @pa + @len) to or, @back, from @cpu. Return: 0, -EFAULT. */
static int move(struct oli_machine *m, u64 pa, u8 *cpu, u64 len, bool back)
{
	struct oli_span spans[SPANS];
	u64 done;
	int n, err = 0;

	for (u64 at = 0; at < len && !err; at += done) {
		n = originals(m, pa + at, len - at, spans, &done);
		err = n < 0 ? n : oli_span_copy(m, spans, (u32)n, cpu + at, done, back);
	}
	return err;
}

/* Bytes did not get where they belong, and there is no call to fail. */
static void lost(struct olio_dev *dev, u64 orig, u64 len)
{
	struct oli_record r = {.want_start = orig, .want_len = len, .count = 1};

	snprintf(r.text, sizeof(r.text),
		 "0x%" PRIx64 " bytes of a bounce buffer of %s were dropped: the program unmapped "
		 "the memory at physical address 0x%" PRIx64,
		 len, dev->node->name, orig);
	oli_record_add(dev->m, dev->m->slot, &r);
}

u64 oli_bounce_max(const struct olio_dev *dev)
{
	return dev->desc->bounce_slots ? OLI_BOUNCE_BYTES - dev->granule_mask : 0;
}

static int fill(struct olio_dev *dev, const struct oli_bounce *b, u32 attrs)
{
	u64 bytes = (u64)b->n << OLI_BOUNCE_SHIFT;

	memset(b->cpu, 0, b->skew);
	memset(b->cpu + b->skew + b->len, 0, bytes - b->skew - b->len);
	if (!(attrs & OLIO_ATTR_SKIP_CPU_SYNC))
		return move(dev->m, b->orig, b->cpu + b->skew, b->len, false);
	/* Not what somebody else's copy left there. */
	memset(b->cpu + b->skew, 0, b->len);
	return 0;
}

int oli_bounce_map(struct olio_dev *dev, struct olio_pa orig, u64 len, enum olio_dir dir, u32 attrs,
		   struct olio_pa *out)
{
	u64 skew = orig.v & dev->granule_mask;
	struct oli_bounce b;
	int err;

	(void)dir;
	if (!len || orig.v + (len - 1) < orig.v)
		return oli_refuse(OLIO_REASON_OVERFLOW, "0x%" PRIx64 " bytes at 0x%" PRIx64, len,
				  orig.v);
	if (len > OLI_BOUNCE_BYTES - skew)
		return oli_refuse(OLIO_REASON_BOUNCE_TOO_LONG,
				  "0x%" PRIx64 " bytes at 0x%" PRIx64 " for %s", len, orig.v,
				  dev->node->name);
	err = oli_bounce_take(dev, orig.v, skew, len, &b);
	if (err)
		return err;
	err = fill(dev, &b, attrs);
	if (err) {
		if (oli_bounce_retire(dev, oli_bounce_pa(&b), len, &b))
			oli_bounce_give(dev, &b);
		return oli_refuse(OLIO_REASON_NO_PAGE,
				  "0x%" PRIx64 " bytes at 0x%" PRIx64 " cannot be copied: the "
				  "program unmapped them",
				  len, orig.v);
	}
	*out = (struct olio_pa){oli_bounce_pa(&b)};
	return 0;
}

void oli_bounce_unmap(struct olio_dev *dev, struct olio_pa bounce, u64 len, enum olio_dir dir,
		      u32 attrs)
{
	struct oli_bounce b;

	if (!oli_bounce_retire(dev, bounce.v, len, &b))
		return;
	if (dir & OLIO_FROM_DEVICE && !(attrs & OLIO_ATTR_SKIP_CPU_SYNC) &&
	    move(dev->m, b.orig, b.cpu + b.skew, len, true))
		lost(dev, b.orig, len);
	oli_bounce_give(dev, &b);
}

bool oli_bounce_find(struct oli_machine *m, struct olio_pa pa, struct olio_pa *start, u64 *len,
		     struct olio_pa *orig)
{
	struct oli_bounce b;

	if (!oli_bounce_at(m, pa.v, &b) || !oli_range_inside(pa.v, 1, oli_bounce_pa(&b), b.len))
		return false;
	*start = (struct olio_pa){oli_bounce_pa(&b)};
	*len = b.len;
	*orig = (struct olio_pa){b.orig};
	return true;
}

void oli_bounce_sync(struct olio_dev *dev, struct olio_pa bounce, u64 len, bool for_cpu)
{
	struct oli_bounce b;
	u64 at;

	if (!oli_bounce_at(dev->m, bounce.v, &b) ||
	    !oli_range_inside(bounce.v, len, oli_bounce_pa(&b), b.len))
		return;
	at = bounce.v - oli_bounce_pa(&b);
	if (move(dev->m, b.orig + at, b.cpu + b.skew + at, len, for_cpu))
		lost(dev, b.orig + at, len);
}
