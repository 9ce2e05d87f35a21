// SPDX-License-Identifier: MIT
/*
 * Memory, from the outside: the public calls that begin with a machine's handle or a
 * device, and the end of memory, which the checker of the layer above wants to see.
 * What only asks about memory is in src/mem.
 */
#include "dma/check.h"
#include "lib/observe.h"
#include "mem/src.h"

int olio_mem_pin(struct olio_machine *m, void *addr, u64 len, unsigned int flags,
		 struct olio_mem **out)
{
	int ret = oli_mem_pin(m->m, addr, len, flags, out);

	if (!ret)
		oli_check_pin(m->m, *out, __builtin_return_address(0));
	return ret;
}

int olio_mem_from_fd(struct olio_machine *m, int fd, u64 offset, u64 len, unsigned int flags,
		     struct olio_mem **out)
{
	int ret = oli_mem_from_fd(m->m, fd, offset, len, flags, out);

	if (!ret)
		oli_check_pin(m->m, *out, __builtin_return_address(0));
	return ret;
}

int olio_mem_from_bar(struct olio_dev *provider, unsigned int bar, u64 offset, u64 len,
		      struct olio_mem **out)
{
	if (!oli_dev_live(provider))
		return oli_dev_closed(provider);
	return oli_mem_from_bar(provider->m, provider->id.node, bar, offset, len, out);
}

void olio_mem_put(struct olio_mem *mem)
{
	if (!mem)
		return;
	oli_check_put(mem->m, mem, __builtin_return_address(0));
	oli_mem_put(mem);
}
