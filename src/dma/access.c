// SPDX-License-Identifier: MIT
/*
 * The device's side: transactions of a device model.
 *
 * They go where the bus takes them, never to a pointer. The checker hears of each
 * before its bytes move, with what will become of it; for that the transaction is
 * resolved once more, so that nobody else pays.
 *
 * A length of 0 is no transaction. Wrapping is the bus's business: -EOVERFLOW.
 */
#include <errno.h>

#include "dma/check.h"

#define SPANS 32

/* Resolve all of it and copy nothing. */
static int probe(struct olio_dev *dev, struct olio_iova dma, u64 len, u32 access)
{
	struct oli_span spans[SPANS];
	struct oli_bus_tx tx;
	int n = 0;

	oli_bus_begin(dev->m, &dev->id, &tx);
	for (u64 done; len && n >= 0; dma.v += done, len -= done) {
		n = oli_bus_resolve(&tx, dma, len, access, spans, SPANS, &done);
		if (n < 0)
			break;
	}
	oli_bus_end(&tx);
	return n < 0 ? n : 0;
}

static int tell_checker(struct olio_dev *dev, struct olio_iova dma, u64 len, bool write,
			const void *site)
{
	int err = probe(dev, dma, len, write ? OLI_ACCESS_WRITE : OLI_ACCESS_READ);

	oli_check_access(dev, dma, len, write, err, site);
	return err;
}

int olio_dev_read(struct olio_dev *dev, struct olio_iova dma, void *buf, uint64_t len)
{
	int err = 0;

	if (!oli_dev_live(dev))
		return oli_dev_closed(dev);
	if (!len)
		return 0;
	if (__builtin_expect(dev->check != NULL, 0))
		err = tell_checker(dev, dma, len, false, __builtin_return_address(0));
	return err ? err : oli_bus_read(dev->m, &dev->id, dma, buf, len);
}

int olio_dev_write(struct olio_dev *dev, struct olio_iova dma, const void *buf, uint64_t len)
{
	int err = 0;

	if (!oli_dev_live(dev))
		return oli_dev_closed(dev);
	if (!len)
		return 0;
	if (__builtin_expect(dev->check != NULL, 0))
		err = tell_checker(dev, dma, len, true, __builtin_return_address(0));
	return err ? err : oli_bus_write(dev->m, &dev->id, dma, buf, len);
}
