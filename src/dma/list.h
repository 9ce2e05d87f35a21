/* SPDX-License-Identifier: MIT */
/* Lists and their device: what dev.c needs of list.c. */
#ifndef OLI_DMA_LIST_H
#define OLI_DMA_LIST_H

#include "dma/dev.h"

/* The device is being closed: what its lists mapped is taken down, the lists stay as husks. */
void oli_maps_drop(struct olio_dev *dev);

#endif
