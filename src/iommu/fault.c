// SPDX-License-Identifier: MIT
/*
 * Recorded faults: a ring in the part's root, like that of failed work requests, and
 * the sentence that says what was wrong.
 *
 * Whoever runs the device's code records: often another process than the one whose
 * address space it was. What it needs from there it reads inside the space, so that
 * the owner's death does not take it away meanwhile.
 *
 * A writer takes the next number, marks its entry as being written (0), fills it and
 * stores the number last; a reader copies and looks again. Sums of addresses are made
 * by differences only: a device may emit any.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/kept.h"
#include "base/log.h"
#include "iommu/history.h"

static_assert(sizeof(struct oli_fault) % sizeof(u64) == 0, "entries are copied by words");

#define NEAR_BY (4ull << 20) /* how far a neighbour is looked for */

static const char *const texts[] = {
#define TEXT(NAME, text) [OLIO_FAULT_##NAME] = text,
	OLIO_FAULTS(TEXT)
#undef TEXT
};

/* ---- the nearest mapping ---- */

struct nearest {
	u64 at;
	struct oli_pt_leaf below, above; /* lg2 0: none */
	u64 below_start, above_last; /* of the runs of leaves that touch each other */
};

static int visit_leaf(void *arg, const struct oli_pt_leaf *leaf)
{
	struct nearest *n = arg;

	if (leaf->iova.last.v < n->at) {
		if (!n->below.lg2 || n->below.iova.last.v + 1 != leaf->iova.start.v)
			n->below_start = leaf->iova.start.v;
		n->below = *leaf;
		return 0;
	}
	if (leaf->iova.start.v <= n->at)
		return 0;
	if (!n->above.lg2)
		n->above = *leaf;
	else if (n->above_last + 1 != leaf->iova.start.v)
		return 1;
	n->above_last = leaf->iova.last.v;
	return 0;
}

static void find_nearest(struct oli_machine *m, const struct oli_space *s, struct nearest *n)
{
	u64 page = n->at & ~0xfffull;
	struct olio_iova_range r = {{page > NEAR_BY ? page - NEAR_BY : 0}, {page | 0xfff}};
	struct oli_pt_mem mem;
	struct oli_pt pt;

	oli_space_reader(m, &mem);
	if (oli_pt_open(&pt, &s->config, &mem, s->root) || n->at > pt.iova_last)
		return;
	r.last.v = pt.iova_last - r.last.v > NEAR_BY ? r.last.v + NEAR_BY : pt.iova_last;
	oli_pt_walk(&pt, r, visit_leaf, n);
}

/* ---- the sentence ---- */

struct text {
	char *p;
	size_t size, len;
};

OLI_PRINTF(2, 3) static void say(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->p + t->len, t->size - t->len, fmt, ap);
	va_end(ap);
	if (n > 0)
		t->len += (size_t)n < t->size - t->len ? (size_t)n : t->size - t->len - 1;
}

static void say_ago(struct text *t, u64 now, u64 then)
{
	u64 ns = now > then ? now - then : 0;

	if (ns < 10000)
		say(t, "%llu ns ago", (unsigned long long)ns);
	else if (ns < 10000000)
		say(t, "%llu us ago", (unsigned long long)(ns / 1000));
	else
		say(t, "%llu ms ago", (unsigned long long)(ns / OLI_NS_PER_MS));
}

static void say_past(struct text *t, const struct oli_fault *f)
{
	if (f->unmapped_ns && f->unmapped_ns >= f->mapped_ns) {
		say(t, "; unmapped ");
		say_ago(t, f->time_ns, f->unmapped_ns);
		if (f->unmapped_at[0])
			say(t, " at %s", f->unmapped_at);
	}
	if (f->mapped_ns) {
		say(t, "; mapped ");
		say_ago(t, f->time_ns, f->mapped_ns);
		if (f->mapped_at[0])
			say(t, " at %s", f->mapped_at);
	}
}

static void say_nearest(struct text *t, const struct nearest *n)
{
	u64 down = n->below.lg2 ? n->at - n->below.iova.last.v : UINT64_MAX;
	u64 up = n->above.lg2 ? n->above.iova.start.v - n->at : UINT64_MAX;

	if (down == UINT64_MAX && up == UINT64_MAX)
		return;
	if (down <= up)
		say(t, "; %llu bytes behind the mapping %#llx-%#llx", (unsigned long long)down,
		    (unsigned long long)n->below_start, (unsigned long long)n->below.iova.last.v);
	else
		say(t, "; %llu bytes before the mapping %#llx-%#llx", (unsigned long long)up,
		    (unsigned long long)n->above.iova.start.v, (unsigned long long)n->above_last);
}

static void say_what(struct oli_machine *m, struct text *t, const struct oli_fault *f)
{
	const struct oli_desc *d = &m->shm->desc;

	say(t, "%s %s %llu bytes at %#llx",
	    f->node < d->nr_nodes ? d->node[f->node].name : "a device",
	    f->write ? "wrote" : "read", (unsigned long long)f->len, (unsigned long long)f->dma);
	if (f->pa)
		say(t, " (pa %#llx)", (unsigned long long)f->pa);
	say(t, ": %s", f->kind < OLI_ARRAY_SIZE(texts) ? texts[f->kind] : "?");
}

/* ---- recording ---- */

static void fill_past(struct oli_machine *m, const struct oli_space *s, struct oli_fault *f)
{
	struct oli_past past;

	oli_history_find(m, s, f->dma, f->len, &past);
	f->mapped_ns = past.mapped_ns;
	f->mapped_len = past.mapped_len;
	f->unmapped_ns = past.unmapped_ns;
	oli_history_site(m, s, past.mapped_site, f->mapped_at, sizeof(f->mapped_at));
	oli_history_site(m, s, past.unmapped_site, f->unmapped_at, sizeof(f->unmapped_at));
}

/* What the space knows, while it is kept from going away. */
static void ask_space(struct oli_machine *m, u32 id, u32 gen, struct oli_fault *f,
		      struct nearest *n)
{
	struct oli_xlate x;

	if (oli_xlate_enter(m, id, gen, &x))
		return;
	f->slot = (u16)(x.space->owner - 1);
	if (f->slot < OLI_SLOTS)
		f->pid = oli_slot(m, f->slot)->pid;
	if (x.space->journal)
		fill_past(m, x.space, f);
	if (f->kind == OLIO_FAULT_NOT_PRESENT)
		find_nearest(m, x.space, n);
	oli_xlate_exit(&x);
}

static void store(struct oli_iommu *r, const struct oli_fault *f)
{
	u64 seq = atomic_fetch_add(&r->fault_next, 1) + 1;

	oli_kept_put(&r->fault[seq % OLI_FAULTS_KEPT], f, sizeof(*f), seq);
}

/* A broken program faults a million times: the ring has them, the log has the first. */
static void log_first(struct oli_iommu *r, const struct oli_fault *f)
{
	u32 bit = 1u << f->kind % 32;

	if (f->node < OLI_NODES && !(atomic_fetch_or(&r->said[f->node], bit) & bit))
		oli_warn("%s", f->text);
}

void oli_fault_record(struct oli_machine *m, u8 node, u32 id, u32 gen, enum olio_fault_kind kind,
		      struct olio_iova dma, u64 len, u32 access, struct olio_pa pa)
{
	struct oli_fault f = {.time_ns = oli_machine_now(m),
			      .kind = kind,
			      .write = access & OLI_ACCESS_WRITE ? 1 : 0,
			      .slot = OLI_SLOT_NONE,
			      .node = node,
			      .dma = dma.v,
			      .len = len,
			      .pa = pa.v};
	struct text t = {.p = f.text, .size = sizeof(f.text)};
	struct nearest n = {.at = dma.v};

	ask_space(m, id, gen, &f, &n);
	say_what(m, &t, &f);
	if (kind == OLIO_FAULT_NOT_PRESENT || kind == OLIO_FAULT_READ || kind == OLIO_FAULT_WRITE)
		say_past(&t, &f);
	say_nearest(&t, &n);
	log_first(oli_iommu(m), &f);
	store(oli_iommu(m), &f);
}

bool oli_fault_get(struct oli_machine *m, u64 seq, struct oli_fault *out)
{
	const struct oli_fault *e = &oli_iommu(m)->fault[seq % OLI_FAULTS_KEPT];

	if (!oli_kept_get(e, out, sizeof(*out), seq))
		return false;
	out->mapped_at[sizeof(out->mapped_at) - 1] = '\0';
	out->unmapped_at[sizeof(out->unmapped_at) - 1] = '\0';
	out->text[sizeof(out->text) - 1] = '\0';
	return true;
}

u64 oli_fault_newest(struct oli_machine *m)
{
	return atomic_load(&oli_iommu(m)->fault_next);
}
