// SPDX-License-Identifier: MIT
/*
 * Proves that a device's transactions hit exactly the bytes that they should, or
 * nothing at all: translated ones against an array, whatever the order of pages; every
 * reason for a fault; peer-to-peer traffic below a switch, with and without ACS, and
 * through the host bridge; ciphertext; software devices; frames that come and go; any
 * 64-bit address. The trap: an address of another kind than IOVA faults.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bus/bus.h"
#include "iommu/domain.h"
#include "iommu/fault.h"
#include "rig.h"

#define PAGE 4096u
#define RW   (OLI_PT_READ | OLI_PT_WRITE)

static void open_device(struct oli_machine *m, u8 node, struct oli_domain **d,
			struct oli_bus_id *id)
{
	assert_int_equal(oli_domain_get(m, node, d), 0);
	*id = (struct oli_bus_id){
		.node = node, .space = oli_domain_hw(*d)->id, .space_gen = oli_domain_hw(*d)->gen};
}

static u8 *pages(u32 n)
{
	u8 *p = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(p != MAP_FAILED);
	return p;
}

static u64 map_pages(struct oli_domain *d, const u64 *pa, u32 n, u32 prot)
{
	struct olio_iova iova;

	assert_int_equal(oli_domain_alloc(d, n * PAGE, UINT64_MAX, &iova), 0);
	for (u32 i = 0; i < n; i++) {
		struct olio_iova_range r = {{iova.v + i * PAGE}, {iova.v + i * PAGE + PAGE - 1}};

		assert_int_equal(oli_domain_map(d, r, (struct olio_pa){pa[i]}, prot), 0);
	}
	assert_int_equal(
		oli_domain_sync(d, (struct olio_iova_range){iova, {iova.v + n * PAGE - 1}}), 0);
	return iova.v;
}

static u64 map_one(struct oli_domain *d, u64 pa, u32 prot)
{
	return map_pages(d, &pa, 1, prot);
}

static int rd(struct oli_machine *m, const struct oli_bus_id *id, u64 dma, void *buf, u64 len)
{
	return oli_bus_read(m, id, (struct olio_iova){dma}, buf, len);
}

static int wr(struct oli_machine *m, const struct oli_bus_id *id, u64 dma, const void *buf, u64 len)
{
	return oli_bus_write(m, id, (struct olio_iova){dma}, buf, len);
}

/* A fault of @kind is recorded since @*seq. */
static void expect_fault(struct oli_machine *m, u64 *seq, enum olio_fault_kind kind, u8 node,
			 u64 dma)
{
	struct oli_fault f;

	assert_int_equal(oli_fault_newest(m), *seq + 1);
	assert_true(oli_fault_get(m, ++*seq, &f));
	assert_int_equal(f.kind, kind);
	assert_int_equal(f.node, node);
	assert_int_equal(f.dma, dma);
}

#define FAULTS(call, kind, node, dma)                                                              \
	do {                                                                                       \
		assert_int_equal(call, -EFAULT);                                                   \
		expect_fault(m, &seq, OLIO_FAULT_##kind, node, dma);                               \
	} while (0)

static u64 bar(const struct oli_machine *m, u8 node, u8 **cpu)
{
	const struct oli_bar *b = &m->shm->desc.node[node].bar[2];

	*cpu = oli_ptr(m, b->off);
	return b->bus;
}

/* ---- bytes ---- */

#define N 200u

struct mapped {
	struct oli_machine *m;
	struct oli_domain *d;
	struct oli_bus_id id;
	struct olio_mem *mem;
	u8 *cpu;
	u64 iova;
	u32 order[N]; /* page i of the IOVA range is page order[i] of the memory */
	u8 *model; /* in the order of IOVAs */
};

static void shuffle(u32 *order, u32 how)
{
	for (u32 i = 0; i < N; i++)
		order[i] = how == 1 ? N - 1 - i : i;
	for (u32 i = N - 1; i && how == 2; i--) {
		u32 k = rig_rand(i + 1), t = order[i];

		order[i] = order[k];
		order[k] = t;
	}
}

static void map_shuffled(struct mapped *v, const struct oli_desc *desc, u32 how)
{
	u64 *pa, list[N];

	v->m = rig_open(desc);
	open_device(v->m, DEV0, &v->d, &v->id);
	v->cpu = pages(N);
	v->model = malloc(N * PAGE);
	rig_fill(v->cpu, N * PAGE, how);
	assert_int_equal(oli_mem_pin(v->m, v->cpu, N * PAGE, 0, &v->mem), 0);
	pa = rig_bytes(v->mem);
	shuffle(v->order, how);
	for (u32 i = 0; i < N; i++) {
		list[i] = pa[v->order[i] * PAGE];
		memcpy(v->model + i * PAGE, v->cpu + v->order[i] * PAGE, PAGE);
	}
	v->iova = map_pages(v->d, list, N, RW);
	free(pa);
}

static void unmap_shuffled(struct mapped *v)
{
	assert_int_equal(oli_domain_release(v->d, (struct olio_iova){v->iova}, N * PAGE), 0);
	oli_mem_put(v->mem);
	oli_domain_put(v->d);
	munmap(v->cpu, N * PAGE);
	free(v->model);
	rig_close(v->m);
}

static void same(const struct mapped *v)
{
	for (u32 i = 0; i < N; i++)
		assert_memory_equal(v->cpu + v->order[i] * PAGE, v->model + i * PAGE, PAGE);
}

static void transfer(struct mapped *v, u64 at, u64 len)
{
	static u8 buf[N * PAGE];

	if (rig_rand(2)) {
		memset(buf, 0x5a, len);
		assert_int_equal(rd(v->m, &v->id, v->iova + at, buf, len), 0);
		assert_memory_equal(buf, v->model + at, len);
	} else {
		rig_fill(buf, len, rig_rand(256));
		memcpy(v->model + at, buf, len);
		assert_int_equal(wr(v->m, &v->id, v->iova + at, buf, len), 0);
	}
}

static void test_bytes(void **state)
{
	static u8 buf[N * PAGE];
	struct oli_desc d = rig_desc();
	struct mapped v;

	(void)state;
	for (u32 how = 0; how < 3; how++) {
		rig_seed(how);
		map_shuffled(&v, &d, how);
		for (u32 i = 0; i < 400; i++) {
			u64 at = rig_rand(N * PAGE), room = N * PAGE - at;
			u32 most = rig_rand(3) ? 100 : rig_rand(3) ? 3 * PAGE : N * PAGE;

			transfer(&v, at, 1 + rig_rand((u32)(room < most ? room : most)));
			if (i % 50 == 0)
				same(&v);
		}
		transfer(&v, 0, N * PAGE);
		same(&v);
		/* More spans than are looked at in one go, and then nothing: not a byte moves. */
		rig_fill(buf, sizeof(buf), 77);
		assert_int_equal(wr(v.m, &v.id, v.iova + 1, buf, N * PAGE), -EFAULT);
		same(&v);
		unmap_shuffled(&v);
	}
}

/* Neighbours in the program are one span, whatever their frames; others are not. */
static void test_spans(void **state)
{
	struct oli_desc d = rig_desc();
	struct oli_span s[N];
	struct oli_bus_tx tx;
	struct mapped v;
	u64 done;

	(void)state;
	for (u32 how = 0; how < 2; how++) {
		map_shuffled(&v, &d, how);
		oli_bus_begin(v.m, &v.id, &tx);
		assert_int_equal(oli_bus_resolve(&tx, (struct olio_iova){v.iova + 5}, N * PAGE - 10,
						 OLI_ACCESS_READ | OLI_ACCESS_WRITE, s, N, &done),
				 how ? N : 1);
		assert_int_equal(done, N * PAGE - 10);
		assert_int_equal(s[0].slot, v.m->slot);
		assert_int_equal(s[0].addr, (uintptr_t)(v.cpu + v.order[0] * PAGE + 5));
		assert_int_equal(s[0].len, how ? PAGE - 5 : N * PAGE - 10);
		/* With room for few it says how far they go. */
		assert_int_equal(oli_bus_resolve(&tx, (struct olio_iova){v.iova + 5}, N * PAGE - 10,
						 OLI_ACCESS_READ, s, 3, &done),
				 how ? 3 : 1);
		assert_int_equal(done, how ? 3 * PAGE - 5 : N * PAGE - 10);
		assert_int_equal(oli_bus_resolve(&tx, (struct olio_iova){v.iova}, PAGE,
						 OLI_ACCESS_READ, s, 0, &done),
				 0);
		assert_int_equal(done, 0);
		assert_int_equal(oli_bus_resolve(&tx, (struct olio_iova){v.iova}, 0,
						 OLI_ACCESS_READ, s, 3, &done),
				 0);
		assert_int_equal(oli_bus_resolve(&tx, (struct olio_iova){UINT64_MAX}, 2,
						 OLI_ACCESS_READ, s, 3, &done),
				 -EOVERFLOW);
		oli_bus_end(&tx);
		unmap_shuffled(&v);
	}
}

/* Bytes side by side in two processes are not neighbours. */
static void test_two_processes(void **state)
{
	struct oli_desc d = rig_desc();
	struct oli_machine *m = rig_open(&d), *other = rig_open(&d);
	struct olio_mem *mem[2];
	struct oli_domain *dom;
	struct oli_span s[3];
	struct oli_bus_tx tx;
	struct oli_bus_id id;
	u8 *cpu = pages(2);
	u64 *at[2], iova, done;

	(void)state;
	open_device(m, DEV0, &dom, &id);
	assert_int_equal(oli_mem_pin(m, cpu, PAGE, 0, &mem[0]), 0);
	assert_int_equal(oli_mem_pin(other, cpu + PAGE, PAGE, 0, &mem[1]), 0);
	for (u32 i = 0; i < 2; i++)
		at[i] = rig_bytes(mem[i]);
	iova = map_pages(dom, (u64[]){at[0][0], at[1][0]}, 2, RW);
	oli_bus_begin(m, &id, &tx);
	assert_int_equal(oli_bus_resolve(&tx, (struct olio_iova){iova}, 2 * PAGE, OLI_ACCESS_READ,
					 s, 3, &done),
			 2);
	assert_int_equal(s[0].slot, m->slot);
	assert_int_equal(s[1].slot, other->slot);
	assert_int_equal(s[0].addr + s[0].len, s[1].addr);
	oli_bus_end(&tx);
	assert_int_equal(oli_domain_release(dom, (struct olio_iova){iova}, 2 * PAGE), 0);
	oli_domain_put(dom);
	for (u32 i = 0; i < 2; i++) {
		oli_mem_put(mem[i]);
		free(at[i]);
	}
	munmap(cpu, 2 * PAGE);
	rig_close(other);
	rig_close(m);
}

/* ---- faults ---- */

static void test_faults(void **state)
{
	struct oli_desc desc = rig_desc();
	struct oli_machine *m;
	struct oli_domain *d;
	struct oli_bus_id id, wrong;
	u8 *cpu = pages(4), before[4 * PAGE], buf[4 * PAGE];
	struct olio_mem *mem, *ro;
	u64 *pa, iova, at, seq;

	(void)state;
	desc.node[DEV0].dma_bits = 46;
	m = rig_open(&desc);
	open_device(m, DEV0, &d, &id);
	rig_fill(cpu, 4 * PAGE, 9);
	assert_int_equal(oli_mem_pin(m, cpu, 3 * PAGE, 0, &mem), 0);
	assert_int_equal(oli_mem_pin(m, cpu + 3 * PAGE, PAGE, OLIO_PIN_READ_ONLY, &ro), 0);
	pa = rig_bytes(mem);
	memcpy(before, cpu, sizeof(before));
	memset(buf, 0x77, sizeof(buf));
	seq = oli_fault_newest(m);

	/* Two pages and then nothing: not a byte moves. */
	iova = map_pages(d, (u64[]){pa[0], pa[PAGE]}, 2, RW);
	FAULTS(wr(m, &id, iova + 10, buf, 2 * PAGE), NOT_PRESENT, DEV0, iova + 2 * PAGE);
	FAULTS(rd(m, &id, iova + 10, buf, 2 * PAGE), NOT_PRESENT, DEV0, iova + 2 * PAGE);
	FAULTS(rd(m, &id, iova - 1, buf, 2), NOT_PRESENT, DEV0, iova - 1);
	assert_int_equal(buf[0], 0x77);
	assert_int_equal(rd(m, &id, iova, buf, 0), 0);
	assert_int_equal(rd(m, &id, iova, buf, UINT64_MAX), -EOVERFLOW);

	/* Access. */
	at = map_one(d, pa[2 * PAGE], OLI_PT_READ);
	assert_int_equal(rd(m, &id, at, buf, 8), 0);
	FAULTS(wr(m, &id, at, buf, 8), WRITE, DEV0, at);
	at = map_one(d, pa[2 * PAGE], OLI_PT_WRITE);
	FAULTS(rd(m, &id, at, buf, 8), READ, DEV0, at);
	at = map_one(d, olio_mem_runs(ro, &(size_t){0})->pa.v, RW);
	assert_int_equal(rd(m, &id, at, buf, 8), 0);
	FAULTS(wr(m, &id, at + 3, buf, 8), WRITE, DEV0, at + 3);

	/* What is mapped is nothing, or nobody's target. */
	at = map_one(d, 0x2000000000, RW);
	FAULTS(rd(m, &id, at, buf, 8), NO_TARGET, DEV0, at);
	at = map_one(d, OLI_PA_FILE, RW);
	FAULTS(rd(m, &id, at, buf, 8), NO_TARGET, DEV0, at);
	at = map_one(d, OLI_PA_LOW + OLI_PA_LOW_SIZE - PAGE, RW);
	FAULTS(rd(m, &id, at, buf, 8), NO_TARGET, DEV0, at);

	/* Beyond its wires. */
	FAULTS(rd(m, &id, 1ull << 46, buf, 1), RANGE, DEV0, 1ull << 46);
	FAULTS(rd(m, &id, (1ull << 46) - 1, buf, 2), RANGE, DEV0, (1ull << 46) - 1);
	FAULTS(rd(m, &id, UINT64_MAX, buf, 1), RANGE, DEV0, UINT64_MAX);

	/* No address space, or one that ended. */
	wrong = (struct oli_bus_id){.node = DEV0};
	FAULTS(rd(m, &wrong, iova, buf, 8), NO_SPACE, DEV0, iova);
	wrong = id;
	wrong.space_gen++;
	FAULTS(rd(m, &wrong, iova, buf, 8), NO_SPACE, DEV0, iova);
	assert_memory_equal(cpu, before, sizeof(before));

	/* The frame is free, the page is not. */
	oli_mem_put(mem);
	FAULTS(rd(m, &id, iova, buf, 8), UNPINNED, DEV0, iova);
	FAULTS(wr(m, &id, iova + PAGE, buf, 8), UNPINNED, DEV0, iova + PAGE);
	assert_memory_equal(cpu, before, sizeof(before));
	assert_int_equal(oli_fault_newest(m), seq);

	oli_mem_put(ro);
	oli_domain_put(d);
	free(pa);
	munmap(cpu, 4 * PAGE);
	rig_close(m);
}

/* A pinned page that the program unmapped: an error, and no signal. */
static void test_unmapped_page(void **state)
{
	struct oli_desc desc = rig_desc();
	struct oli_machine *m = rig_open(&desc);
	struct oli_domain *d;
	struct oli_bus_id id;
	u8 *cpu = pages(1), buf[8];
	struct olio_mem *mem;
	u64 iova;

	(void)state;
	open_device(m, DEV0, &d, &id);
	assert_int_equal(oli_mem_pin(m, cpu, PAGE, 0, &mem), 0);
	iova = map_one(d, olio_mem_runs(mem, &(size_t){0})->pa.v, RW);
	munmap(cpu, PAGE);
	assert_int_equal(rd(m, &id, iova, buf, 8), -EFAULT);
	assert_int_equal(wr(m, &id, iova, buf, 8), -EFAULT);
	oli_mem_put(mem);
	oli_domain_put(d);
	rig_close(m);
}

/*
 * Where DMA addresses of RAM go over into bus addresses of BARs one transaction goes to
 * both, page by page, though in physical memory its bytes are one piece.
 */
static void edge(u8 client, u8 provider, u8 nr)
{
	struct oli_desc desc = rig_desc();
	struct oli_bus_id id = {.node = client};
	const struct oli_bar *b;
	struct oli_machine *m;
	struct olio_pa low;
	u8 buf[16], *cpu, *there;
	void *p;
	u64 at;

	desc.iommu = OLI_IOMMU_NONE;
	m = rig_open(&desc);
	b = &m->shm->desc.node[provider].bar[nr];
	there = oli_ptr(m, b->off);
	assert_int_equal(oli_low_alloc(m, 16 * PAGE, &low, &p), 0);
	cpu = p;
	/* Nobody has read it yet: as if the machine had been made so. */
	m->shm->desc.dma_offset = b->bus - (low.v + PAGE);
	memset(cpu, 1, 16 * PAGE);
	memset(there, 2, b->len);
	at = b->bus - 8;
	assert_int_equal(wr(m, &id, at, "12345678abcdefgh", 16), 0);
	assert_memory_equal(cpu + PAGE - 8, "12345678", 8);
	assert_int_equal(cpu[PAGE], 1);
	assert_memory_equal(there, "abcdefgh", 8);
	assert_int_equal(rd(m, &id, at, buf, 16), 0);
	assert_memory_equal(buf, "12345678abcdefgh", 16);
	rig_close(m);
}

static void test_edge(void **state)
{
	(void)state;
	/* At the start of all BARs, and among them. */
	edge(DEV1, DEV0, 0);
	edge(DEV2, DEV2, 2);
}

/* ---- the trap ---- */

/* Physical, virtual and bus addresses, of every page, given as if they were IOVAs. */
static void test_identity(void **state)
{
	struct oli_desc desc = rig_desc();
	u8 nodes[] = {DEV0, DEV1, DEV2, PLAT0};
	struct oli_machine *m = rig_open(&desc);
	u8 *cpu = pages(64), buf[16];
	struct olio_mem *mem;
	u64 *pa;

	(void)state;
	rig_fill(cpu, 64 * PAGE, 1);
	assert_int_equal(oli_mem_pin(m, cpu, 64 * PAGE, 0, &mem), 0);
	pa = rig_bytes(mem);
	for (u32 i = 0; i < OLI_ARRAY_SIZE(nodes); i++) {
		struct oli_domain *d;
		struct oli_bus_id id;
		u64 iova, list[64];

		open_device(m, nodes[i], &d, &id);
		for (u32 k = 0; k < 64; k++)
			list[k] = pa[k * PAGE];
		iova = map_pages(d, list, 64, RW);
		for (u32 k = 0; k < 64; k++) {
			u64 va = (u64)(uintptr_t)(cpu + k * PAGE);

			assert_int_equal(rd(m, &id, list[k], buf, 16), -EFAULT);
			assert_int_equal(wr(m, &id, list[k], buf, 16), -EFAULT);
			assert_int_equal(rd(m, &id, va, buf, 16), -EFAULT);
			assert_int_equal(wr(m, &id, va, buf, 16), -EFAULT);
			assert_int_equal(rd(m, &id, iova + k * PAGE, buf, 16), 0);
			assert_memory_equal(buf, cpu + k * PAGE, 16);
		}
		/* A BAR by its physical address is no bus address either. */
		assert_int_equal(rd(m, &id, m->shm->desc.node[DEV1].bar[2].pa, buf, 16), -EFAULT);
		oli_domain_put(d);
	}
	free(pa);
	oli_mem_put(mem);
	munmap(cpu, 64 * PAGE);
	rig_close(m);
}

/* Without IOMMU it is physical plus an offset, and nothing else. */
static void test_direct(void **state)
{
	struct oli_desc desc = rig_desc();
	struct oli_bus_id id = {.node = DEV0}, narrow = {.node = DEV2};
	struct oli_machine *m;
	u8 *cpu = pages(2), buf[16];
	struct olio_mem *mem;
	u64 pa, offset, seq;

	(void)state;
	desc.iommu = OLI_IOMMU_NONE;
	desc.dma_offset = 0xb0000000;
	desc.node[DEV2].dma_bits = 32;
	m = rig_open(&desc);
	offset = m->shm->desc.dma_offset;
	rig_fill(cpu, 2 * PAGE, 1);
	assert_int_equal(oli_mem_pin(m, cpu, 2 * PAGE, 0, &mem), 0);
	pa = olio_mem_runs(mem, &(size_t){0})->pa.v;
	seq = oli_fault_newest(m);
	assert_int_equal(rd(m, &id, pa + offset, buf, 16), 0);
	assert_memory_equal(buf, cpu, 16);
	assert_int_equal(wr(m, &id, pa + offset + 7, "hello", 5), 0);
	assert_memory_equal(cpu + 7, "hello", 5);
	assert_int_equal(rd(m, &id, (u64)(uintptr_t)cpu, buf, 16), -EFAULT);
	seq++;
	FAULTS(rd(m, &narrow, pa + offset, buf, 16), RANGE, DEV2, pa + offset);
	FAULTS(rd(m, &id, offset - 1, buf, 1), RANGE, DEV0, offset - 1);
	FAULTS(rd(m, &id, OLI_PA_RAM + m->shm->desc.ram_size + offset, buf, 1), NO_TARGET, DEV0,
	       OLI_PA_RAM + m->shm->desc.ram_size + offset);
	oli_mem_put(mem);
	FAULTS(rd(m, &id, pa + offset, buf, 16), UNPINNED, DEV0, pa + offset);
	munmap(cpu, 2 * PAGE);
	rig_close(m);
}

/* ---- peers ---- */

static void test_below_a_switch(void **state)
{
	struct oli_desc desc = rig_desc();
	struct oli_machine *m = rig_open(&desc);
	struct oli_domain *d;
	struct oli_bus_id id;
	u8 *there, buf[32], before[RIG_BAR_LEN];
	u64 bus, seq;

	(void)state;
	open_device(m, DEV0, &d, &id);
	bus = bar(m, DEV1, &there);
	rig_fill(there, RIG_BAR_LEN, 5);
	/* Nothing is mapped, and nothing need be. */
	assert_int_equal(rd(m, &id, bus + 77, buf, 32), 0);
	assert_memory_equal(buf, there + 77, 32);
	assert_int_equal(wr(m, &id, bus + PAGE - 3, "peer to peer", 12), 0);
	assert_memory_equal(there + PAGE - 3, "peer to peer", 12);
	/* One that begins there and goes on where nothing is: all or nothing. */
	memcpy(before, there, RIG_BAR_LEN);
	assert_int_equal(wr(m, &id, bus + RIG_BAR_LEN - 8, buf, 16), -EFAULT);
	assert_memory_equal(there, before, RIG_BAR_LEN);
	/* Redirected: up, where the root port does not take it; told to, it has it translated. */
	seq = oli_fault_newest(m);
	assert_int_equal(oli_tree_set_acs(m, DOWN0, OLI_ACS_RR), 0);
	FAULTS(rd(m, &id, bus + 77, buf, 32), NO_ROUTE, DEV0, bus + 77);
	assert_int_equal(oli_tree_set_acs(m, RP0, OLI_ACS_UF), 0);
	FAULTS(rd(m, &id, bus + 77, buf, 32), NOT_PRESENT, DEV0, bus + 77);
	FAULTS(wr(m, &id, bus + 77, buf, 32), NOT_PRESENT, DEV0, bus + 77);
	assert_memory_equal(there, before, RIG_BAR_LEN);
	assert_int_equal(oli_tree_set_acs(m, DOWN0, 0), 0);
	assert_int_equal(rd(m, &id, bus + 77, buf, 32), 0);
	oli_domain_put(d);
	rig_close(m);
}

/* Mapped as MMIO: up to the host bridge and down again, if it passes that. */
static void through_the_top(bool passes)
{
	struct oli_desc desc = rig_desc();
	struct oli_machine *m;
	struct oli_domain *d;
	struct oli_bus_id id;
	u8 *there, buf[32];
	u64 bus, iova, seq;

	desc.node[PCI0].p2p = passes;
	m = rig_open(&desc);
	open_device(m, DEV2, &d, &id);
	bus = bar(m, DEV1, &there);
	rig_fill(there, RIG_BAR_LEN, 6);
	iova = map_one(d, m->shm->desc.node[DEV1].bar[2].pa + PAGE, RW);
	seq = oli_fault_newest(m);
	if (passes) {
		assert_int_equal(rd(m, &id, iova + 5, buf, 32), 0);
		assert_memory_equal(buf, there + PAGE + 5, 32);
		assert_int_equal(wr(m, &id, iova, "x", 1), 0);
		assert_int_equal(there[PAGE], 'x');
	} else {
		FAULTS(rd(m, &id, iova + 5, buf, 32), NO_ROUTE, DEV2, iova + 5);
		FAULTS(wr(m, &id, iova, "x", 1), NO_ROUTE, DEV2, iova);
	}
	/* By bus address nothing turns it below the host bridge. */
	FAULTS(rd(m, &id, bus, buf, 1), NOT_PRESENT, DEV2, bus);
	oli_domain_put(d);
	rig_close(m);
}

static void test_through_the_top(void **state)
{
	(void)state;
	through_the_top(true);
	through_the_top(false);
}

/* ---- what the device sees ---- */

static void test_cipher(void **state)
{
	struct oli_desc desc = rig_desc();
	struct oli_machine *m;
	struct oli_domain *d, *trusted;
	struct oli_bus_id id, tee;
	u8 *cpu = pages(3), buf[3 * PAGE], again[3 * PAGE], clear[3 * PAGE];
	struct olio_mem *mem, *all;
	u64 *pa, iova, other;
	u32 same_bytes = 0;

	(void)state;
	desc.encrypted = 1;
	desc.node[DEV1].tee = 1;
	m = rig_open(&desc);
	open_device(m, DEV0, &d, &id);
	open_device(m, DEV1, &trusted, &tee);
	rig_fill(cpu, sizeof(clear), 4);
	memcpy(clear, cpu, sizeof(clear));
	assert_int_equal(oli_mem_pin(m, cpu, 3 * PAGE, 0, &mem), 0);
	pa = rig_bytes(mem);
	iova = map_pages(d, (u64[]){pa[0], pa[PAGE], pa[2 * PAGE]}, 3, RW);
	other = map_pages(trusted, (u64[]){pa[0], pa[PAGE], pa[2 * PAGE]}, 3, RW);
	assert_int_equal(rd(m, &tee, other, buf, sizeof(buf)), 0);
	assert_memory_equal(buf, clear, sizeof(buf));
	assert_int_equal(rd(m, &id, iova, buf, sizeof(buf)), 0);
	for (u32 i = 0; i < sizeof(buf); i++)
		same_bytes += buf[i] == clear[i];
	assert_in_range(same_bytes, 1, sizeof(buf) / 64);
	/* The same from any byte on, over the ends of pages. */
	for (u32 i = 0; i < 300; i++) {
		u32 at = rig_rand(sizeof(buf)), len = 1 + rig_rand(sizeof(buf) - at);

		assert_int_equal(rd(m, &id, iova + at, again, len), 0);
		assert_memory_equal(again, buf + at, len);
	}
	/* What it writes it can read back, and nobody else. */
	assert_int_equal(wr(m, &id, iova + PAGE - 9, clear, 50), 0);
	assert_int_equal(rd(m, &id, iova + PAGE - 9, again, 50), 0);
	assert_memory_equal(again, clear, 50);
	assert_memory_not_equal(cpu + PAGE - 9, clear, 50);
	assert_memory_equal(cpu, clear, PAGE - 9);
	assert_memory_equal(cpu + PAGE + 41, clear + PAGE + 41, 2 * PAGE - 41);
	/* Opened to devices it is plain. */
	memcpy(cpu, clear, sizeof(clear));
	assert_int_equal(olio_mem_share(mem), 0);
	assert_int_equal(rd(m, &id, iova, buf, sizeof(buf)), 0);
	assert_memory_equal(buf, clear, sizeof(buf));
	oli_mem_put(mem);
	/* One page of three is open: neighbours for the CPU, but not one span. */
	assert_int_equal(oli_mem_pin(m, cpu + PAGE, PAGE, 0, &mem), 0);
	assert_int_equal(olio_mem_share(mem), 0);
	assert_int_equal(oli_mem_pin(m, cpu, 3 * PAGE, 0, &all), 0);
	free(pa);
	pa = rig_bytes(all);
	iova = map_pages(d, (u64[]){pa[0], pa[PAGE], pa[2 * PAGE]}, 3, RW);
	assert_int_equal(rd(m, &id, iova, buf, sizeof(buf)), 0);
	assert_memory_not_equal(buf, clear, PAGE);
	assert_memory_equal(buf + PAGE, clear + PAGE, PAGE);
	assert_memory_not_equal(buf + 2 * PAGE, clear + 2 * PAGE, PAGE);
	oli_mem_put(all);
	oli_mem_put(mem);
	oli_domain_put(d);
	oli_domain_put(trusted);
	free(pa);
	munmap(cpu, 3 * PAGE);
	rig_close(m);
}

static void test_software(void **state)
{
	struct oli_desc desc = rig_desc();
	struct oli_bus_id id = {.node = SOFT0};
	struct oli_machine *m;
	u8 *cpu = pages(3), buf[3 * PAGE];
	struct olio_mem *mem;
	u64 pa, low_seq, seq;
	struct olio_pa low;
	void *low_cpu;

	(void)state;
	desc.linear = 1;
	desc.encrypted = 1;
	m = rig_open(&desc);
	rig_fill(cpu, 3 * PAGE, 4);
	assert_int_equal(oli_mem_pin(m, cpu + 1, 3 * PAGE - 2, 0, &mem), 0);
	pa = olio_mem_runs(mem, &(size_t){0})->pa.v;
	seq = low_seq = oli_fault_newest(m);
	assert_int_equal(rd(m, &id, pa, buf, 3 * PAGE - 2), 0);
	assert_memory_equal(buf, cpu + 1, 3 * PAGE - 2);
	/* Whole pages are there, and what is pinned beside it; not what is not. */
	FAULTS(rd(m, &id, pa, buf, 3 * PAGE), UNPINNED, SOFT0, pa - 1 + 3 * PAGE);
	FAULTS(rd(m, &id, m->shm->desc.node[DEV1].bar[2].pa, buf, 4), NO_TARGET, SOFT0,
	       m->shm->desc.node[DEV1].bar[2].pa);
	FAULTS(rd(m, &id, m->shm->desc.node[DEV1].bar[2].bus, buf, 4), NO_TARGET, SOFT0,
	       m->shm->desc.node[DEV1].bar[2].bus);
	FAULTS(rd(m, &id, OLI_PA_FILE, buf, 4), NO_TARGET, SOFT0, OLI_PA_FILE);
	assert_int_equal(rd(m, &id, (u64)(uintptr_t)cpu, buf, 4), -EFAULT);
	seq++;
	assert_int_equal(oli_low_alloc(m, PAGE, &low, &low_cpu), 0);
	assert_int_equal(wr(m, &id, low.v + 3, "low", 3), 0);
	assert_memory_equal((u8 *)low_cpu + 3, "low", 3);
	oli_low_free(m, low, PAGE);
	FAULTS(rd(m, &id, low.v, buf, 1), NO_TARGET, SOFT0, low.v);
	oli_mem_put(mem);
	FAULTS(wr(m, &id, pa, buf, 1), UNPINNED, SOFT0, pa);
	assert_true(seq > low_seq);
	munmap(cpu, 3 * PAGE);
	rig_close(m);
}

/* ---- threads ---- */

/* A device that goes on while its frames come and go: the bytes, or a fault. */
static struct {
	struct oli_machine *m;
	u64 pa[16];
	u64 good, faults;
	_Atomic bool stop;
} busy;

static void *device(void *arg)
{
	struct oli_bus_id id = {.node = SOFT0};
	u64 word, want;

	for (u32 i = 0; !atomic_load(&busy.stop); i++) {
		u32 page = i % OLI_ARRAY_SIZE(busy.pa);
		int err = rd(busy.m, &id, busy.pa[page] + 8, &word, 8);

		memset(&want, 0xa5, 8);
		if (err ? err != -EFAULT : word != want)
			return arg;
		busy.good += !err;
		busy.faults += !!err;
	}
	return NULL;
}

static void test_threads(void **state)
{
	u32 n = OLI_ARRAY_SIZE(busy.pa);
	struct oli_desc desc = rig_desc();
	u8 *cpu = pages(n);
	struct olio_mem *mem;
	pthread_t thread;
	void *failed;
	u64 *pa;

	(void)state;
	desc.linear = 1;
	busy.m = rig_open(&desc);
	memset(cpu, 0xa5, n * PAGE);
	assert_int_equal(oli_mem_pin(busy.m, cpu, n * PAGE, 0, &mem), 0);
	pa = rig_bytes(mem);
	for (u32 i = 0; i < n; i++)
		busy.pa[i] = pa[i * PAGE];
	assert_int_equal(pthread_create(&thread, NULL, device, &busy), 0);
	for (u32 i = 0; i < 300; i++) {
		oli_mem_put(mem);
		sched_yield();
		assert_int_equal(oli_mem_pin(busy.m, cpu, n * PAGE, 0, &mem), 0);
		sched_yield();
	}
	atomic_store(&busy.stop, true);
	pthread_join(thread, &failed);
	assert_null(failed);
	oli_mem_put(mem);
	free(pa);
	munmap(cpu, n * PAGE);
	rig_close(busy.m);
}

/* ---- anything ---- */

static u64 wild(const struct oli_machine *m)
{
	const struct oli_bar *b = &m->shm->desc.node[DEV1].bar[2];
	u64 edge[] = {0,
		      OLI_PA_LOW,
		      OLI_PA_LOW + OLI_PA_LOW_SIZE,
		      OLI_PA_MMIO,
		      b->pa,
		      b->pa + b->len,
		      b->bus,
		      b->bus + b->len,
		      OLI_PA_MMIO - m->shm->desc.bus_offset,
		      OLI_PA_RAM,
		      OLI_PA_RAM + m->shm->desc.ram_size,
		      OLI_PA_FILE,
		      OLI_PA_FILE + m->size,
		      m->shm->desc.dma_offset,
		      OLI_MSI_START,
		      1ull << 32,
		      1ull << 39,
		      1ull << 48,
		      1ull << 57,
		      1ull << 63,
		      UINT64_MAX};
	u64 at = edge[rig_rand(OLI_ARRAY_SIZE(edge))];

	if (rig_rand(4))
		return at + rig_rand(3 * PAGE) - rig_rand(3 * PAGE);
	return (u64)rig_rand(UINT32_MAX) << 33 ^ (u64)rig_rand(UINT32_MAX) << (rig_rand(33));
}

static void sweep(u8 iommu)
{
	struct oli_desc desc = rig_desc();
	u8 *cpu = pages(4), *want = malloc(4 * PAGE), buf[3 * PAGE];
	struct oli_machine *m;
	struct olio_mem *mem;

	desc.iommu = iommu;
	m = rig_open(&desc);
	rig_fill(cpu, 4 * PAGE, 1);
	memcpy(want, cpu, 4 * PAGE);
	assert_int_equal(oli_mem_pin(m, cpu, 4 * PAGE, 0, &mem), 0);
	for (u8 node = 0; node < NR_NODES; node++) {
		struct oli_bus_id id = {.node = node};
		struct oli_domain *d = NULL;

		if (iommu && !oli_domain_get(m, node, &d)) {
			id.space = oli_domain_hw(d)->id;
			id.space_gen = oli_domain_hw(d)->gen;
			(void)map_pages(d, (u64[]){olio_mem_runs(mem, &(size_t){0})->pa.v}, 1,
					OLI_PT_READ);
		}
		for (u32 i = 0; i < 1500; i++) {
			u64 at = wild(m);
			u32 len = rig_rand(rig_rand(3) ? 20 : sizeof(buf));
			int err = rd(m, &id, at, buf, len);

			assert_true(err == 0 || err == -EFAULT || err == -EOVERFLOW);
			assert_int_equal(err == -EOVERFLOW, len && at + (len - 1) < at);
		}
		if (d)
			oli_domain_put(d);
	}
	assert_memory_equal(cpu, want, 4 * PAGE);
	oli_mem_put(mem);
	munmap(cpu, 4 * PAGE);
	free(want);
	rig_close(m);
}

static void test_anything(void **state)
{
	(void)state;
	rig_seed(99);
	sweep(OLI_IOMMU_STRICT);
	sweep(OLI_IOMMU_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_spans),
		cmocka_unit_test(test_two_processes),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_unmapped_page),
		cmocka_unit_test(test_edge),
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_direct),
		cmocka_unit_test(test_below_a_switch),
		cmocka_unit_test(test_through_the_top),
		cmocka_unit_test(test_cipher),
		cmocka_unit_test(test_software),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
