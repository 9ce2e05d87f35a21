// SPDX-License-Identifier: MIT
/* A map that only some machines can do, and what the others say. */
#include <stdio.h>

#include <olio/dma.h>
#include <olio/machine.h>

/* Give @client the memory of acc0. Return: 0 or -errno. */
static int share(struct olio_machine *m, const char *client)
{
	struct olio_dev *acc, *dev;
	struct olio_mem *mem;
	struct olio_iova dma;
	size_t n;
	int ret;

	if (olio_dev_open(m, "acc0", &acc) || olio_dev_open(m, client, &dev) ||
	    olio_mem_from_bar(acc, 2, 0, 65536, &mem))
		return -1;
	ret = olio_dma_map(dev, olio_mem_runs(mem, &n), OLIO_BIDIRECTIONAL, 0, &dma);
	if (ret) {
		printf("%s: %s\n", olio_reason_name(olio_why()->reason), olio_why()->text);
	} else {
		printf("%s finds acc0's memory at 0x%llx\n", client, (unsigned long long)dma.v);
		ret = olio_dma_unmap(dev, dma, 65536, OLIO_BIDIRECTIONAL, 0);
	}
	olio_mem_put(mem);
	olio_dev_close(dev);
	olio_dev_close(acc);
	return ret;
}

int main(void)
{
	static const char *const types[] = {"p2p-switch", "p2p-acs"};
	int ret[2];

	for (int i = 0; i < 2; i++) {
		struct olio_machine *m;
		char why[512];

		if (olio_machine_create(NULL, types[i], &m, why, sizeof(why)))
			return 1;
		ret[i] = share(m, "hca0");
		olio_machine_close(m);
	}
	return ret[0] == 0 && ret[1] != 0 ? 0 : 1;
}
