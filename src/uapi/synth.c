// SPDX-License-Identifier: MIT
/*
 * Files of the sys tree whose content is made at each open: the GID table with
 * its attributes, and the hardware counters.
 *
 * Linux shows all OLI_GID_TBL_LEN slots of the GID table, of which few are in
 * use: an empty slot's GID reads as zeros, and reading its type or interface
 * fails with EINVAL. Here the open fails so, which programs take the same way.
 *
 * The content is handed out as a sealed memfd: it can be read, seeked and passed
 * on like the file it stands for, and not be written.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/fault.h"
#include "base/sys.h"
#include "uapi/sysfs.h"

#define COUNTED(member) offsetof(struct oli_device, member)
#define COUNTED_NOT	SIZE_MAX

/* The names of Linux's rxe. What this adapter cannot have (packets lost) stays 0. */
static const struct {
	const char *name;
	size_t member;
} counters[] = {
	{"ack_deferred", COUNTED_NOT},		 {"completer_retry_err", COUNTED(retries)},
	{"duplicate_request", COUNTED_NOT},	 {"link_downed", COUNTED_NOT},
	{"out_of_seq_request", COUNTED_NOT},	 {"rcvd_bytes", COUNTED(rcvd_bytes)},
	{"rcvd_pkts", COUNTED(rcvd_msgs)},	 {"rcvd_rnr_err", COUNTED(rnr_naks)},
	{"rcvd_seq_err", COUNTED_NOT},		 {"rdma_recvs", COUNTED(rcvd_msgs)},
	{"rdma_sends", COUNTED(sent_msgs)},	 {"retry_exceeded_err", COUNTED_NOT},
	{"retry_rnr_exceeded_err", COUNTED_NOT}, {"send_err", COUNTED_NOT},
	{"send_rnr_err", COUNTED(rnr_naks)},	 {"sent_bytes", COUNTED(sent_bytes)},
	{"sent_pkts", COUNTED(sent_msgs)},
};

const char *oli_counter_name(u32 index)
{
	return index < OLI_ARRAY_SIZE(counters) ? counters[index].name : NULL;
}

static bool counter_find(const char *name, u32 *index)
{
	for (u32 i = 0; i < OLI_ARRAY_SIZE(counters); i++) {
		if (!strcmp(name, counters[i].name)) {
			*index = i;
			return true;
		}
	}
	return false;
}

static bool device_find(struct oli_machine *m, const char **p, u32 *dev)
{
	for (u32 i = 0; i < m->shm->nr_devices; i++) {
		const char *q = *p;

		if (oli_device_visible(m, i) && oli_path_skip(&q, m->shm->devices[i].name) &&
		    *q == '/') {
			*p = q;
			*dev = i;
			return true;
		}
	}
	return false;
}

bool oli_synth_find(struct oli_machine *m, const char *rel, struct oli_synth *s)
{
	if (!oli_path_skip(&rel, "/class/infiniband/") || !device_find(m, &rel, &s->dev) ||
	    !oli_path_skip(&rel, "/ports/1/"))
		return false;
	if (oli_path_skip(&rel, "hw_counters/")) {
		s->kind = OLI_SYNTH_COUNTER;
		return counter_find(rel, &s->index);
	}
	if (oli_path_skip(&rel, "gids/"))
		s->kind = OLI_SYNTH_GID;
	else if (oli_path_skip(&rel, "gid_attrs/types/"))
		s->kind = OLI_SYNTH_TYPE;
	else if (oli_path_skip(&rel, "gid_attrs/ndevs/"))
		s->kind = OLI_SYNTH_NDEV;
	else
		return false;
	return oli_path_number(rel, OLI_GID_TBL_LEN, &s->index);
}

static int text_gid(const u8 gid[16], char buf[OLI_SYNTH_MAX])
{
	size_t len = 0;

	for (int i = 0; i < 16; i += 2)
		len += (size_t)snprintf(buf + len, OLI_SYNTH_MAX - len, "%02x%02x%c", gid[i],
					gid[i + 1], i < 14 ? ':' : '\n');
	return (int)len;
}

static int text_counter(struct oli_device *dev, u32 index, char buf[OLI_SYNTH_MAX])
{
	size_t member = counters[index].member;
	u64 value = 0;

	if (member != COUNTED_NOT)
		value = *(_Atomic u64 *)((u8 *)dev + member);
	return snprintf(buf, OLI_SYNTH_MAX, "%llu\n", (unsigned long long)value);
}

int oli_synth_text(struct oli_machine *m, const struct oli_synth *s, char buf[OLI_SYNTH_MAX])
{
	struct oli_device *dev = &m->shm->devices[s->dev];
	struct oli_gid_entry gids[OLI_GIDS], empty = {0};
	const struct oli_gid_entry *g = &empty;

	if (s->kind == OLI_SYNTH_COUNTER)
		return text_counter(dev, s->index, buf);
	oli_device_gids(dev, gids);
	if (s->index < OLI_GIDS && gids[s->index].valid)
		g = &gids[s->index];
	if (s->kind == OLI_SYNTH_GID)
		return text_gid(g->gid, buf);
	if (!g->valid)
		return -EINVAL;
	if (s->kind == OLI_SYNTH_TYPE)
		return snprintf(buf, OLI_SYNTH_MAX, "RoCE v2\n");
	return snprintf(buf, OLI_SYNTH_MAX, "%.*s\n", (int)sizeof(g->netdev), g->netdev);
}

static int memfd_of_text(const char *text, size_t len, int *fdp)
{
	int saved = errno;
	int fd = OLI_FAULT() ? -1 : memfd_create("olio-sysfs", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ssize_t n;

	if (fd < 0) {
		errno = saved;
		return -EMFILE;
	}
	n = oli_sys_pwrite(fd, text, len, 0);
	if (n != (ssize_t)len) {
		oli_sys_close(fd);
		return n < 0 ? (int)n : -ENOSPC;
	}
	oli_sys_fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
	*fdp = fd;
	return 0;
}

int oli_synth_open(const struct oli_path *p, int *fd)
{
	struct oli_machine *m = oli_process_machine();
	char text[OLI_SYNTH_MAX], name[OLI_SYS_NAME];
	struct oli_synth s;
	size_t dir;
	int len;

	if (!m)
		return -ENOENT;
	oli_sys_name(m, name);
	dir = strlen(m->dir) + 1 + strlen(name);
	if (strnlen(p->real, OLI_PATH_SIZE) < dir || !oli_synth_find(m, p->real + dir, &s))
		return -ENOENT;
	len = oli_synth_text(m, &s, text);
	return len < 0 ? len : memfd_of_text(text, (size_t)len, fd);
}
