// SPDX-License-Identifier: MIT
/*
 * The public view of a machine: the machine itself, its processes, its devices and
 * its records. Queue pairs and what belongs to them are in walk.c, the tree of buses
 * in node.c, address spaces in mapping.c.
 *
 * Everything is copied out of the shared file without a lock: an object that
 * changes meanwhile is seen half old and half new, never outside its memory,
 * because tables do not shrink.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "iommu/pt/pt.h"
#include "lib/observe.h"

int oli_copy_out(void *out, const void *full, u32 known)
{
	u32 size;

	memcpy(&size, out, sizeof(size));
	if (size < sizeof(size))
		return -EINVAL;
	if (size > known)
		size = known;
	memcpy((u8 *)out + sizeof(size), (const u8 *)full + sizeof(size), size - sizeof(size));
	return 1;
}

void oli_copy_text(char *to, size_t to_size, const char *from, size_t from_size)
{
	size_t n = strnlen(from, from_size);

	if (n >= to_size)
		n = to_size - 1;
	memcpy(to, from, n);
	to[n] = '\0';
}

/* A slot that is in use, or NULL. */
static struct oli_slot *used_slot(struct oli_machine *m, u32 slot)
{
	struct oli_slot *s = slot < OLI_SLOTS ? oli_slot(m, (u16)slot) : NULL;

	return s && atomic_load(&s->state) == OLI_SLOT_LIVE ? s : NULL;
}

s32 oli_slot_pid(struct oli_machine *m, u32 slot)
{
	struct oli_slot *s = used_slot(m, slot);

	return s ? s->pid : 0;
}

/*
 * Each process finds out for itself how it reaches another; an onlooker tries
 * the same. A process whose copy agent was called has a peer that needs it.
 */
const char *oli_slot_way(struct oli_machine *m, u32 slot)
{
	struct oli_slot *s = used_slot(m, slot);
	u64 word = 0;
	struct iovec to = {&word, sizeof(word)};
	struct iovec from = {NULL, sizeof(word)};

	if (!s)
		return "-";
	if (atomic_load(&s->agent))
		return "ring";
	from.iov_base = (void *)(uintptr_t)s->probe_addr;
	if (oli_sys_vm_read(s->pid, &to, 1, &from, 1) == (ssize_t)sizeof(word) &&
	    word == s->probe_magic)
		return "process_vm";
	return "-";
}

static u32 count_programs(struct oli_machine *m)
{
	u32 n = 0;

	for (u32 i = 0; i < OLI_SLOTS; i++) {
		struct oli_slot *s = used_slot(m, i);

		if (s && !(s->flags & OLI_SLOT_F_OBSERVER))
			n++;
	}
	return n;
}

void oli_iommu_text(const struct oli_desc *d, char *out, size_t size)
{
	static const char *const mode[] = {"none", "strict", "lazy"};

	if (d->iommu == OLI_IOMMU_NONE || d->iommu >= OLI_ARRAY_SIZE(mode))
		snprintf(out, size, "none");
	else
		snprintf(out, size, "%s %s%s", oli_pt_format_name(d->format), mode[d->iommu],
			 d->caching_mode ? " caching" : "");
}

static void fill_description(const struct oli_desc *d, struct olio_machine_info *i)
{
	oli_copy_text(i->about, sizeof(i->about), d->about, sizeof(d->about));
	oli_iommu_text(d, i->iommu, sizeof(i->iommu));
	i->ram_bytes = d->ram_size;
	i->scattered = !d->linear;
	i->encrypted = d->encrypted;
	i->cache_line = d->cache_line;
	i->granule = d->iommu ? 1ull << d->granule_shift : 1;
	i->page_sizes = d->page_sizes;
	i->bounce_bytes = (u64)d->bounce_slots << 11;
	i->dma_offset = d->dma_offset;
	i->bus_offset = d->bus_offset;
}

int olio_machine_info(struct olio_machine *om, struct olio_machine_info *out)
{
	struct oli_machine *m = om->m;
	struct olio_machine_info i = {0};
	int ret;

	oli_copy_text(i.name, sizeof(i.name), m->shm->name, sizeof(m->shm->name));
	oli_copy_text(i.type, sizeof(i.type), m->shm->desc.type, sizeof(m->shm->desc.type));
	oli_copy_text(i.dir, sizeof(i.dir), m->dir, sizeof(m->dir));
	i.created_ns = m->shm->created_ns;
	i.heap_bytes = m->shm->heap_pages << OLI_PAGE_SHIFT;
	i.heap_used = atomic_load(&m->shm->heap_used) << OLI_PAGE_SHIFT;
	i.heap_backed = m->shm->heap_committed << OLI_PAGE_SHIFT;
	i.processes = count_programs(m);
	fill_description(&m->shm->desc, &i);
	ret = oli_copy_out(out, &i, sizeof(i));
	return ret < 0 ? ret : 0;
}

int olio_next_process(struct olio_machine *om, u32 *pos, struct olio_process_info *out)
{
	struct oli_machine *m = om->m;
	struct olio_process_info i = {0};
	struct oli_slot *s = NULL;

	while (*pos < OLI_SLOTS && !(s = used_slot(m, *pos)))
		(*pos)++;
	if (!s)
		return 0;
	i.slot = (*pos)++;
	i.pid = s->pid;
	i.attached_ns = s->attached_ns;
	i.observer = !!(s->flags & OLI_SLOT_F_OBSERVER);
	oli_copy_text(i.comm, sizeof(i.comm), s->comm, sizeof(s->comm));
	oli_copy_text(i.run, sizeof(i.run), s->run, sizeof(s->run));
	oli_copy_text(i.way, sizeof(i.way), i.observer ? "-" : oli_slot_way(m, i.slot), 16);
	oli_count_objects(m, (u16)i.slot, &i);
	return oli_copy_out(out, &i, sizeof(i));
}

static void fill_gid(struct oli_device *dev, struct olio_device_info *i)
{
	struct oli_gid_entry gids[OLI_GIDS];
	const struct oli_gid_entry *first = NULL;

	oli_device_gids(dev, gids);
	for (u32 g = 0; g < OLI_GIDS; g++) {
		if (!gids[g].valid)
			continue;
		if (!first)
			first = &gids[g];
		i->gids++;
	}
	if (!first || !inet_ntop(AF_INET6, first->gid, i->gid, sizeof(i->gid)))
		strcpy(i->gid, "-");
}

int olio_next_device(struct olio_machine *om, u32 *pos, struct olio_device_info *out)
{
	struct oli_shm *shm = om->m->shm;
	struct olio_device_info i = {0};
	struct oli_device *d;

	if (*pos >= shm->nr_devices || *pos >= OLI_ARRAY_SIZE(shm->devices))
		return 0;
	d = &shm->devices[(*pos)++];
	oli_copy_text(i.name, sizeof(i.name), d->name, sizeof(d->name));
	oli_copy_text(i.kind, sizeof(i.kind), oli_device_kind_name(d->kind), sizeof(i.kind));
	oli_copy_text(i.netdev, sizeof(i.netdev), d->netdev, sizeof(d->netdev));
	i.mtu = d->mtu;
	memcpy(i.guid, d->node_guid, sizeof(i.guid));
	fill_gid(d, &i);
	i.sent_msgs = atomic_load(&d->sent_msgs);
	i.sent_bytes = atomic_load(&d->sent_bytes);
	i.rcvd_msgs = atomic_load(&d->rcvd_msgs);
	i.rcvd_bytes = atomic_load(&d->rcvd_bytes);
	i.rnr_naks = atomic_load(&d->rnr_naks);
	i.retries = atomic_load(&d->retries);
	i.access_errors = atomic_load(&d->access_errors);
	return oli_copy_out(out, &i, sizeof(i));
}

static const char *status_name(u32 status)
{
	/* In the order of enum ibv_wc_status. */
	static const char *const name[] = {
		"",
		"IBV_WC_LOC_LEN_ERR",
		"IBV_WC_LOC_QP_OP_ERR",
		"IBV_WC_LOC_EEC_OP_ERR",
		"IBV_WC_LOC_PROT_ERR",
		"IBV_WC_WR_FLUSH_ERR",
		"IBV_WC_MW_BIND_ERR",
		"IBV_WC_BAD_RESP_ERR",
		"IBV_WC_LOC_ACCESS_ERR",
		"IBV_WC_REM_INV_REQ_ERR",
		"IBV_WC_REM_ACCESS_ERR",
		"IBV_WC_REM_OP_ERR",
		"IBV_WC_RETRY_EXC_ERR",
		"IBV_WC_RNR_RETRY_EXC_ERR",
		"IBV_WC_LOC_RDD_VIOL_ERR",
		"IBV_WC_REM_INV_RD_REQ_ERR",
		"IBV_WC_REM_ABORT_ERR",
		"IBV_WC_INV_EECN_ERR",
		"IBV_WC_INV_EEC_STATE_ERR",
		"IBV_WC_FATAL_ERR",
		"IBV_WC_RESP_TIMEOUT_ERR",
		"IBV_WC_GENERAL_ERR",
	};

	return status < OLI_ARRAY_SIZE(name) ? name[status] : "unknown status";
}

static void fill_record(const struct oli_record *r, struct olio_record_info *i)
{
	i->seq = r->seq;
	i->time_ns = r->time_ns;
	i->pid = r->pid;
	i->peer_pid = r->peer_pid;
	i->status = r->status;
	i->qpn = r->qpn;
	i->dest_qpn = r->dest_qpn;
	i->wr_id = r->wr_id;
	i->count = r->count;
	i->key = r->key;
	i->want_start = r->want_start;
	i->want_len = r->want_len;
	i->have_start = r->have_start;
	i->have_len = r->have_len;
	oli_copy_text(i->comm, sizeof(i->comm), r->comm, sizeof(r->comm));
	oli_copy_text(i->run, sizeof(i->run), r->run, sizeof(r->run));
	oli_copy_text(i->status_name, sizeof(i->status_name), status_name(r->status), 32);
	oli_copy_text(i->text, sizeof(i->text), r->text, sizeof(r->text));
}

/*
 * A record that cannot be read may be in the middle of being written: it is
 * given up only when a newer one can be read.
 */
int olio_next_record(struct olio_machine *om, u64 *seq, struct olio_record_info *out, u64 *lost)
{
	struct oli_machine *m = om->m;
	u64 newest = atomic_load(&m->shm->record_next);
	u64 first = newest > OLI_RECORDS ? newest - OLI_RECORDS : 0;
	struct olio_record_info i = {0};
	struct oli_record r;

	for (u64 at = *seq > first ? *seq : first; at < newest; at++) {
		if (!oli_record_get(m, at + 1, &r))
			continue;
		if (lost)
			*lost = at - *seq;
		*seq = at + 1;
		fill_record(&r, &i);
		return oli_copy_out(out, &i, sizeof(i));
	}
	if (lost)
		*lost = 0;
	return 0;
}
