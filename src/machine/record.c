// SPDX-License-Identifier: MIT
/*
 * Records of failures: a ring in shared memory that any process appends to.
 *
 * A writer takes the next number, marks the entry as being written (seq 0),
 * fills it and stores the number last; a reader copies and looks at the number
 * again. A writer that is killed leaves an entry that nobody will read.
 */
#include <assert.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/kept.h"
#include "machine/machine.h"

static_assert(sizeof(struct oli_record) % sizeof(u64) == 0, "entries are copied by words");

static struct oli_record *entry(struct oli_machine *m, u64 seq)
{
	struct oli_record *ring = oli_ptr(m, m->shm->record_off);

	return &ring[seq % OLI_RECORDS];
}

void oli_record_add(struct oli_machine *m, u16 slot, struct oli_record *r)
{
	struct oli_slot *s = oli_slot(m, slot);
	u64 seq = atomic_fetch_add(&m->shm->record_next, 1) + 1;
	struct oli_record *e = entry(m, seq);
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	r->time_ns = (u64)ts.tv_sec * 1000000000ull + (u64)ts.tv_nsec;
	r->slot = slot;
	r->pid = s->pid;
	memcpy(r->comm, s->comm, sizeof(r->comm));
	memcpy(r->run, s->run, sizeof(r->run));
	if (!r->count)
		r->count = 1;
	oli_kept_put(e, r, sizeof(*r), seq);
}

bool oli_record_get(struct oli_machine *m, u64 seq, struct oli_record *out)
{
	if (!oli_kept_get(entry(m, seq), out, sizeof(*out), seq))
		return false;
	out->comm[sizeof(out->comm) - 1] = '\0';
	out->run[sizeof(out->run) - 1] = '\0';
	out->text[sizeof(out->text) - 1] = '\0';
	return true;
}
