// SPDX-License-Identifier: MIT
/* A private machine with one device and pinned memory. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dma.h"
#include "dma_rig.h"
#include "rdma/rdma.h"

static u64 size;

static _Noreturn void die(const char *what, int err)
{
	fprintf(stderr, "dma: %s: %s (%s)\n", what, strerror(-err), olio_why()->text);
	exit(1);
}

void rig_open(struct rig *r, const struct rig_opts *o)
{
	struct oli_machine_opts opts = {0};
	struct oli_desc desc;
	char name[32], why[OLI_WHY_MAX] = "";
	int err = oli_desc_builtin("pc", &desc);

	if (err)
		die("no machine type pc", err);
	desc.linear = o->linear;
	desc.checker = o->check ? desc.checker : 0;
	desc.iotlb_entries = 4096;
	if (o->lazy)
		desc.iommu = OLI_IOMMU_LAZY;
	snprintf(name, sizeof(name), "bench-dma-%d", (int)getpid());
	opts.name = name;
	opts.desc = &desc;
	err = oli_machine_open(&opts, oli_parts, &r->m, why);
	if (err)
		die(why, err);
	err = oli_dev_open(r->m, "dma0", &r->dev);
	if (err)
		die("dma0", err);
	size = o->bytes;
	r->buf = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (r->buf == MAP_FAILED)
		die("mmap", -ENOMEM);
	err = oli_mem_pin(r->m, r->buf, size, 0, &r->mem);
	if (err)
		die("pin", err);
	r->runs = olio_mem_runs(r->mem, &r->nruns);
}

void rig_close(struct rig *r)
{
	oli_mem_put(r->mem);
	munmap(r->buf, size);
	olio_dev_close(r->dev);
	oli_machine_close(r->m);
}
