// SPDX-License-Identifier: MIT
/*
 * The source for a device's BAR: one run of kind MMIO, which names its device.
 *
 * It holds nothing: a BAR is there as long as the machine. Whether peers may have it
 * is decided where it is mapped for one. Its memory lies in the machine's file, so the
 * pointer that a CPU uses is the same mapping that device models write to.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/fault.h"
#include "base/why.h"
#include "mem/int.h"

static void put(struct olio_mem *mem)
{
	(void)mem;
}

static int share(struct olio_mem *mem, bool on)
{
	(void)on;
	return oli_refuse(OLIO_REASON_NOT_ENCRYPTED, "a BAR of %s is no RAM: it is never encrypted",
			  mem->m->shm->desc.node[mem->runs[0].provider].name);
}

static const struct oli_src_ops bar_ops = {.name = "bar", .put = put, .share = share};

/* The BAR, if the range lies in it. Return: 0, or a refusal. */
static int find(struct oli_machine *m, u8 node, unsigned int bar, u64 offset, u64 len,
		const struct oli_bar **out)
{
	const struct oli_desc *d = &m->shm->desc;
	const struct oli_bar *b;

	if (node >= d->nr_nodes || node >= OLI_NODES)
		return oli_refuse(OLIO_REASON_NO_DEVICE,
				  "the machine has %u nodes, none is number %u", d->nr_nodes, node);
	if (bar >= OLI_BARS || !d->node[node].bar[bar].len)
		return oli_refuse(OLIO_REASON_NO_BAR, "%s has no BAR %u", d->node[node].name, bar);
	b = &d->node[node].bar[bar];
	if (!oli_range_inside(offset, len, 0, b->len))
		return oli_refuse(
			OLIO_REASON_BEYOND_END,
			"%llu bytes at offset %#llx are not inside BAR %u of %s, %#llx bytes",
			(unsigned long long)len, (unsigned long long)offset, bar,
			d->node[node].name, (unsigned long long)b->len);
	*out = b;
	return 0;
}

int oli_mem_from_bar(struct oli_machine *m, u8 node, unsigned int bar, u64 offset, u64 len,
		     struct olio_mem **out)
{
	const struct oli_bar *b = NULL;
	struct olio_mem *mem;
	int err = oli_src_check(m, 0, len, 0);

	if (!err)
		err = find(m, node, bar, offset, len, &b);
	if (err)
		return err;
	mem = OLI_FAULT() ? NULL : calloc(1, sizeof(*mem));
	if (!mem || oli_src_add(mem, (struct olio_pa){b->pa + offset}, len, OLIO_MEM_MMIO, node)) {
		if (mem)
			free(mem->runs);
		free(mem);
		return oli_refuse(OLIO_REASON_NO_MEMORY, "no memory to describe a BAR");
	}
	mem->ops = &bar_ops;
	mem->m = m;
	mem->len = len;
	mem->cpu = (u8 *)oli_ptr(m, b->off) + offset;
	*out = mem;
	return 0;
}
