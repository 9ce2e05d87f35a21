/* SPDX-License-Identifier: MIT */
/*
 * Four address spaces, four types. None converts into another by accident, and
 * on no machine of olio are two of them equal.
 *
 *   a pointer     an address in a process
 *   olio_pa       a physical address of the machine: frames, BARs
 *   olio_iova     what a device emits; an IOMMU turns it into a physical address
 *   olio_bus      a PCI bus address: what a device's BAR decodes
 *
 * Ranges are {start, last}, inclusive, so that the top of a space has a name.
 */
#ifndef OLIO_ADDR_H
#define OLIO_ADDR_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct olio_pa {
	uint64_t v;
};

struct olio_iova {
	uint64_t v;
};

struct olio_bus {
	uint64_t v;
};

struct olio_iova_range {
	struct olio_iova start, last;
};

struct olio_pa_range {
	struct olio_pa start, last;
};

#ifdef __cplusplus
}
#endif

#endif
