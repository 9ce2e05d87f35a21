/* SPDX-License-Identifier: MIT */
/* ../bus/rig.h with the mapping core, and with more than one process. */
#ifndef OLI_TESTS_UNIT_DMA_LAB_H
#define OLI_TESTS_UNIT_DMA_LAB_H

#include "../bus/rig.h"
#include "dma/dev.h"

/* As rig_open(); rig_close() ends it. */
struct oli_machine *lab_open(const struct oli_desc *desc);
/* ThreadSanitizer cannot follow a child that starts threads: then the test is skipped. */
#if defined(__SANITIZE_THREAD__)
#define lab_needs_fork() skip()
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define lab_needs_fork() skip()
#endif
#endif
#ifndef lab_needs_fork
#define lab_needs_fork() ((void)0)
#endif
/* Attach to it, in a child. */
struct oli_machine *lab_attach(void);
/* Open a device of it, or fail the test. */
struct olio_dev *lab_dev(struct oli_machine *m, const char *name);
/* Memory of this process, page-aligned, and its pin. */
u8 *lab_pages(u64 len);
struct olio_mem *lab_pin(struct oli_machine *m, void *p, u64 len);

/* A built-in machine, the checker off: it keeps IOVAs back. */
struct oli_desc lab_desc(const char *type);
/* What is taken of the machine, nothing being deferred any more. */
struct lab_left {
	u64 iovas, bounces, copies, frames;
};
struct lab_left lab_left(struct oli_machine *m, struct olio_dev *dev);

#endif
