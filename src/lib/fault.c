// SPDX-License-Identifier: MIT
/*
 * What was recorded, from the outside: faults of devices and misuse of the mapping
 * calls. Both are rings in the machine; what was overwritten is passed over.
 *
 * A record that cannot be read may be in the middle of being written: it is given up
 * only when a newer one can be read.
 */
#include <stdio.h>

#include "dma/check.h"
#include "iommu/fault.h"
#include "lib/observe.h"

static void node_name(struct oli_machine *m, u8 node, char *out, size_t size)
{
	const struct oli_desc *d = &m->shm->desc;

	if (node < d->nr_nodes)
		oli_copy_text(out, size, d->node[node].name, OLI_NODE_NAME);
}

static void fill_fault(struct oli_machine *m, const struct oli_fault *f, struct olio_fault_info *i)
{
	i->seq = f->seq;
	i->time_ns = f->time_ns;
	i->kind = f->kind;
	i->write = f->write;
	i->pid = f->pid;
	i->dma.v = f->dma;
	i->len = f->len;
	i->mapped_ns = f->mapped_ns;
	i->unmapped_ns = f->unmapped_ns;
	node_name(m, f->node, i->device, sizeof(i->device));
	oli_copy_text(i->mapped_at, sizeof(i->mapped_at), f->mapped_at, sizeof(f->mapped_at));
	oli_copy_text(i->unmapped_at, sizeof(i->unmapped_at), f->unmapped_at,
		      sizeof(f->unmapped_at));
	oli_copy_text(i->text, sizeof(i->text), f->text, sizeof(f->text));
}

/* The first record behind @seq of which any can still be there. */
static u64 first_kept(u64 seq, u64 newest, u64 kept)
{
	u64 first = newest > kept ? newest - kept : 0;

	return (seq > first ? seq : first) + 1;
}

int olio_next_fault(struct olio_machine *om, u64 *seq, struct olio_fault_info *out)
{
	u64 newest = oli_fault_newest(om->m);
	struct olio_fault_info i = {0};
	struct oli_fault f;

	for (u64 at = first_kept(*seq, newest, OLI_FAULTS_KEPT); at <= newest; at++) {
		if (!oli_fault_get(om->m, at, &f))
			continue;
		*seq = at;
		fill_fault(om->m, &f, &i);
		return oli_copy_out(out, &i, sizeof(i));
	}
	return 0;
}

int olio_next_misuse(struct olio_machine *om, u64 *seq, struct olio_misuse_info *out)
{
	u64 newest = oli_misuse_newest(om->m);
	struct olio_misuse_info i = {0};
	struct oli_misuse r;

	for (u64 at = first_kept(*seq, newest, OLI_MISUSES_KEPT); at <= newest; at++) {
		if (!oli_misuse_get(om->m, at, &r))
			continue;
		*seq = at;
		i.seq = r.seq;
		i.class_ = r.class_;
		i.pid = r.pid;
		if (oli_misuse_name(r.class_))
			snprintf(i.name, sizeof(i.name), "%s", oli_misuse_name(r.class_));
		node_name(om->m, r.node, i.device, sizeof(i.device));
		oli_copy_text(i.here, sizeof(i.here), r.here, sizeof(r.here));
		oli_copy_text(i.there, sizeof(i.there), r.there, sizeof(r.there));
		oli_copy_text(i.text, sizeof(i.text), r.text, sizeof(r.text));
		return oli_copy_out(out, &i, sizeof(i));
	}
	return 0;
}

bool olio_checks(struct olio_machine *om, unsigned int n, const char **name)
{
	if (!n || n > OLI_MISUSE_LAST)
		return false;
	if (name)
		*name = oli_misuse_name(n);
	return oli_check_on(om->m, n);
}
