// SPDX-License-Identifier: MIT
/*
 * A driver and the device that it drives: dma0 copies one buffer into another.
 *
 *   cc dma_copy.c -o dma_copy $(pkg-config --cflags --libs olio)
 *   ./dma_copy [MACHINE-TYPE]
 *
 * The driver pins two buffers of its own, maps them and tells the device segments. The
 * device knows DMA addresses and nothing else: no pointer, no physical address. The
 * same code works on each machine, with and without IOMMU, coherent or not, where
 * devices may not read private memory; what differs is what the last lines say.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <olio/dma.h>
#include <olio/machine.h>

#define SIZE (64 << 10)

/* Refusals have a reason in words. */
static void must(int ret, const char *what)
{
	if (ret) {
		fprintf(stderr, "%s: %s\n", what, olio_why()->text);
		exit(1);
	}
}

/* ---- the device ---- */

static void copy(struct olio_dev *dev, const struct olio_seg *from, const struct olio_seg *to)
{
	for (uint64_t f = 0, t = 0, left = SIZE; left;) {
		uint64_t n = from->len - f < to->len - t ? from->len - f : to->len - t;
		char *fifo = malloc(n);

		must(olio_dev_read(dev, (struct olio_iova){from->dma.v + f}, fifo, n), "read");
		must(olio_dev_write(dev, (struct olio_iova){to->dma.v + t}, fifo, n), "write");
		free(fifo);
		f += n, t += n, left -= n;
		if (f == from->len)
			from++, f = 0;
		if (t == to->len)
			to++, t = 0;
	}
}

/* ---- the driver ---- */

/* A buffer that begins inside a page, as buffers do. */
static struct olio_map *map(struct olio_machine *m, struct olio_dev *dev, char *buf,
			    enum olio_dir dir, struct olio_mem **mem)
{
	const struct olio_run *runs;
	const struct olio_seg *segs;
	struct olio_map *out;
	size_t n;

	must(olio_mem_pin(m, buf, SIZE, 0, mem), "pin");
	runs = olio_mem_runs(*mem, &n);
	must(olio_map_list(dev, runs, n, dir, 0, &out), "map");
	printf("in memory %zu runs, the first at 0x%llx; ", n, (unsigned long long)runs->pa.v);
	segs = olio_map_segs(out, &n);
	printf("for the device %zu segments, the first at 0x%llx\n", n,
	       (unsigned long long)segs->dma.v);
	return out;
}

int main(int argc, char **argv)
{
	char *memory = aligned_alloc(4096, 3 * SIZE), *from = memory + 256,
	     *to = memory + 2 * SIZE - 512;
	struct olio_misuse_info misuse = {.size = sizeof(misuse)};
	struct olio_mem *from_mem, *to_mem;
	struct olio_map *from_map, *to_map;
	enum olio_reason reason;
	struct olio_machine *m;
	struct olio_dev *dev;
	char why[512] = "";
	uint64_t seq = 0;
	size_t n;

	if (!memory || olio_machine_create(NULL, argc > 1 ? argv[1] : "pc", &m, why, sizeof(why)))
		return fprintf(stderr, "%s\n", why), 1;
	must(olio_dev_open(m, "dma0", &dev), "open");
	memset(memory, 0, 3 * SIZE);
	for (int i = 0; i < SIZE; i++)
		from[i] = (char)(i * 31 >> 3);

	from_map = map(m, dev, from, OLIO_TO_DEVICE, &from_mem);
	to_map = map(m, dev, to, OLIO_FROM_DEVICE, &to_mem);
	copy(dev, olio_map_segs(from_map, &n), olio_map_segs(to_map, &n));
	/* Here the bytes become ours again; without it some machines show the old ones. */
	olio_map_unmap(to_map);
	olio_map_unmap(from_map);

	printf("the copy is %s; ", memcmp(from, to, SIZE) ? "wrong" : "right");
	printf("the device is %s\n",
	       olio_dev_is_coherent(dev, &reason) ? "coherent" : olio_reason_name(reason));
	while (olio_next_misuse(m, &seq, &misuse) == 1)
		printf("misuse: %s: %s\n", misuse.name, misuse.text);
	n = (size_t)memcmp(from, to, SIZE) | seq;
	olio_mem_put(from_mem);
	olio_mem_put(to_mem);
	olio_dev_close(dev);
	olio_machine_close(m);
	free(memory);
	return !!n;
}
