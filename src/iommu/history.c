// SPDX-License-Identifier: MIT
/*
 * What was mapped and unmapped last in a space: a ring of 32-byte entries.
 *
 * A site is a program counter, which means something in its own process only. So
 * that a fault in another process can name it as well, the journal has a small
 * table of sites; the service thread of the space's process fills in the names,
 * for finding them out takes too long for the caller. Sites that find the table
 * full stay numbers.
 *
 * Entries are written without a lock. One that is being overwritten may be read
 * half and half; what comes of it is a wrong name in a sentence.
 */
#include <stdio.h>
#include <string.h>

#include "base/site.h"
#include "iommu/history.h"

#define IS_MAP	(1ull << 63)
#define PROBES	4u
#define FAR_OFF 1024u /* entries that are looked at, at most: the whole ring */

static_assert(FAR_OFF == OLI_HISTORY, "the whole ring is searched");

/* ---- sites ---- */

static struct oli_site *site_at(struct oli_journal *j, u64 pc, u32 probe)
{
	return &j->site[((u32)(pc * 0x9e3779b97f4a7c15ull >> 58) + probe) % OLI_SITES];
}

static_assert(OLI_SITES == 64, "six bits of hash");

/* Return: true if the site is new here. */
static bool note_site(struct oli_journal *j, u64 pc)
{
	for (u32 i = 0; i < PROBES; i++) {
		struct oli_site *s = site_at(j, pc, i);
		u64 was = atomic_load_explicit(&s->pc, memory_order_relaxed);

		if (was == pc)
			return false;
		if (!was && atomic_compare_exchange_strong(&s->pc, &was, pc))
			return true;
		if (was == pc)
			return false;
	}
	return false;
}

void oli_history_name_sites(struct oli_machine *m, const struct oli_space *s)
{
	struct oli_journal *j = oli_ptr(m, s->journal);

	for (u32 i = 0; i < OLI_SITES; i++) {
		struct oli_site *e = &j->site[i];
		u64 pc = atomic_load(&e->pc);

		if (!pc || atomic_load(&e->named))
			continue;
		oli_site_name((const void *)(uintptr_t)pc, e->text, sizeof(e->text));
		atomic_store(&e->named, 1);
	}
}

void oli_history_site(struct oli_machine *m, const struct oli_space *s, u64 pc, char *text,
		      size_t size)
{
	struct oli_journal *j = oli_ptr(m, s->journal);
	u16 slot = (u16)(s->owner - 1);

	text[0] = '\0';
	if (!pc)
		return;
	if (slot == m->slot) {
		oli_site_name((const void *)(uintptr_t)pc, text, size);
		return;
	}
	for (u32 i = 0; i < PROBES; i++) {
		struct oli_site *e = site_at(j, pc, i);

		if (atomic_load(&e->pc) != pc || !atomic_load(&e->named))
			continue;
		snprintf(text, size, "%.*s", (int)sizeof(e->text) - 1, e->text);
		return;
	}
	snprintf(text, size, "pid %d pc %#llx",
		 slot < OLI_SLOTS ? (int)oli_slot(m, slot)->pid : 0, (unsigned long long)pc);
}

/* ---- entries ---- */

void oli_history_add(struct oli_machine *m, u32 id, bool map, struct olio_iova iova, u64 len,
		     const void *site)
{
	struct oli_space *s = id < OLI_SPACES ? &oli_iommu(m)->space[id] : NULL;
	u64 pc = (u64)(uintptr_t)site;
	struct oli_history *e;
	struct oli_journal *j;

	if (!s || !s->journal)
		return;
	j = oli_ptr(m, s->journal);
	e = &j->entry[atomic_fetch_add_explicit(&j->next, 1, memory_order_relaxed) % OLI_HISTORY];
	atomic_store_explicit(&e->iova, iova.v, memory_order_relaxed);
	atomic_store_explicit(&e->len, (len & ~IS_MAP) | (map ? IS_MAP : 0), memory_order_relaxed);
	atomic_store_explicit(&e->time_ns, oli_machine_now(m), memory_order_relaxed);
	atomic_store_explicit(&e->site, pc, memory_order_release);
	if (pc && note_site(j, pc))
		oli_service_kick(m);
}

static bool covers(u64 start, u64 len, u64 at, u64 size)
{
	return len && (at >= start ? at - start < len : start - at < size);
}

/* From the newest back: the last map and the last unmap that touched [@at, @at + @size). */
void oli_history_find(struct oli_machine *m, const struct oli_space *s, u64 at, u64 size,
		      struct oli_past *out)
{
	struct oli_journal *j = oli_ptr(m, s->journal);
	u64 next = atomic_load_explicit(&j->next, memory_order_acquire);
	u64 n = next < FAR_OFF ? next : FAR_OFF;

	*out = (struct oli_past){0};
	for (u64 i = 1; i <= n && !(out->mapped_ns && out->unmapped_ns); i++) {
		struct oli_history *e = &j->entry[(next - i) % OLI_HISTORY];
		u64 len = atomic_load_explicit(&e->len, memory_order_relaxed);
		u64 ns = atomic_load_explicit(&e->time_ns, memory_order_relaxed);

		if (!covers(atomic_load_explicit(&e->iova, memory_order_relaxed), len & ~IS_MAP, at,
			    size))
			continue;
		if (len & IS_MAP && !out->mapped_ns) {
			out->mapped_ns = ns;
			out->mapped_len = len & ~IS_MAP;
			out->mapped_site = atomic_load_explicit(&e->site, memory_order_relaxed);
		} else if (!(len & IS_MAP) && !out->unmapped_ns) {
			out->unmapped_ns = ns;
			out->unmapped_site = atomic_load_explicit(&e->site, memory_order_relaxed);
		}
	}
}
