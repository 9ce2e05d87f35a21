// SPDX-License-Identifier: MIT
/*
 * Proves that a device behind the IOMMU reaches memory by its page lists and in no other
 * way: lists against the process's own addresses, by the tables and the frames; bytes
 * that move by them; an entry that is taken out of the tables stops the access. And that
 * registration leaves nothing behind when it is refused, fails half-way, or dies there.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "dma/dev.h"
#include "iommu/space.h"
#include "mem/src.h"
#include "rig.h"

#define PAGE 4096ull
#define AREA (8ull << 20)

/* ---- what a machine has ---- */

struct use {
	u64 pages, frames; /* no padding: compared as bytes */
	u64 mapped;
	u32 objs, spaces;
};

static int add_leaf(void *arg, const struct oli_pt_leaf *leaf)
{
	*(u64 *)arg += 1ull << leaf->lg2;
	return 0;
}

static struct oli_domain *domain(struct node *n)
{
	struct oli_domain *d;

	assert_int_equal(oli_domain_get(n->m, n->mr->bus.node, &d), 0);
	return d;
}

static u64 mapped(struct node *n)
{
	struct oli_domain *d = domain(n);
	const struct oli_hw *hw = oli_domain_hw(d);
	u64 bytes = 0;

	assert_int_equal(hw->ops->walk((struct oli_hw *)hw, hw->aperture, add_leaf, &bytes), 0);
	oli_domain_put(d);
	return bytes;
}

static u32 spaces(struct oli_machine *m)
{
	struct oli_iommu *r = oli_part_root(m, OLI_PART_IOMMU);
	u32 n = 0;

	for (u32 i = 0; i < OLI_SPACES; i++)
		n += atomic_load(&r->space[i].live) != 0;
	return n;
}

static u64 all_frames(struct oli_machine *m)
{
	u64 n = 0;

	for (u16 s = 0; s < OLI_SLOTS; s++)
		n += oli_frames_used(m, s);
	return n;
}

static struct use look(struct node *n)
{
	return (struct use){.pages = n->m->shm->heap_used,
			    .frames = all_frames(n->m),
			    .mapped = n->mr ? mapped(n) : 0,
			    .objs = count_all(n->m),
			    .spaces = spaces(n->m)};
}

/* Memory for page tables, allocator and the like may be kept; what is named may not. */
static void expect_same(const struct use *a, const struct use *b, const char *what, int n)
{
	if (a->frames != b->frames || a->mapped != b->mapped || a->objs != b->objs ||
	    a->spaces != b->spaces || a->pages != b->pages)
		fail_msg("%s %d leaves something: %llu frames, 0x%llx mapped, %u objects, %u "
			 "spaces, %llu pages, were %llu, 0x%llx, %u, %u, %llu",
			 what, n, (unsigned long long)b->frames, (unsigned long long)b->mapped,
			 b->objs, b->spaces, (unsigned long long)b->pages,
			 (unsigned long long)a->frames, (unsigned long long)a->mapped, a->objs,
			 a->spaces, (unsigned long long)a->pages);
}

static u8 *new_area(void)
{
	u8 *p = mmap(NULL, AREA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

static int try_reg(struct node *n, u64 start, u64 len, u64 iova, u32 access, struct oli_mr **mr)
{
	struct oli_mr_req req = {.start = start, .length = len, .iova = iova, .access = access};

	return oli_mr_reg(n->m, n->pd, &req, mr);
}

static struct oli_mr *reg(struct node *n, u64 start, u64 len, u64 iova)
{
	struct oli_mr *mr;

	assert_int_equal(try_reg(n, start, len, iova, ALL_ACCESS, &mr), 0);
	return mr;
}

/* ---- page lists ---- */

/* The DMA address of byte @off of the region, as a device works it out (S12). */
static u64 dma_of(struct node *n, const struct oli_mr *mr, u64 off)
{
	const u64 *list = oli_ptr(n->m, mr->plist_off);
	u64 at = mr->iova + off, size = 1ull << mr->page_shift;
	u64 block = at / size - mr->iova / size;

	assert_true(block < mr->nr_blocks);
	assert_int_equal(list[block] % size, 0);
	return list[block] + at % size;
}

/* The process address that a DMA address leads to: by the tables, then by the frame. */
static u64 va_of(struct node *n, struct oli_domain *d, u64 dma)
{
	struct oli_pt_leaf leaf;
	struct oli_phys phys;

	assert_int_equal(oli_domain_look(d, (struct olio_iova){dma}, &leaf), 0);
	leaf.pa.v += dma - leaf.iova.start.v;
	assert_true(oli_phys_find(n->m, leaf.pa, &phys));
	assert_int_equal(phys.kind, OLI_PHYS_FRAME);
	assert_int_equal(phys.slot, n->m->slot);
	assert_int_not_equal(leaf.pa.v, dma);
	assert_int_not_equal(phys.va, dma);
	return phys.va;
}

/* Could the pages be listed in blocks of @size? Page i of them is at dma[i], and known as iova + i
 * pages. */
static bool fits(const u64 *dma, u64 pages, u64 iova, u64 size)
{
	for (u64 i = 0; i < pages; i++) {
		if ((dma[i] - (iova + i * PAGE)) % size)
			return false;
		if (i && (iova + i * PAGE) % size && dma[i] != dma[i - 1] + PAGE)
			return false;
	}
	return true;
}

static void check_list(struct node *n, const struct oli_mr *mr, u64 start, u64 len)
{
	u64 head = start % PAGE, pages = (head + len + PAGE - 1) / PAGE;
	u64 *dma = calloc(pages, sizeof(*dma)), size = PAGE;
	struct oli_domain *d = domain(n);

	assert_non_null(dma);
	for (u64 i = 0; i < pages; i++) {
		u64 off = i ? i * PAGE - head : 0;

		dma[i] = dma_of(n, mr, off) - (i ? 0 : head);
		assert_int_equal(va_of(n, d, dma[i]), (start - head) + i * PAGE);
	}
	assert_int_equal(va_of(n, d, dma_of(n, mr, len - 1)), start + len - 1);
	/* Not more than what holds all of it in one block. */
	while (size < 1ull << 30 && mr->iova / size != (mr->iova + len - 1) / size)
		size *= 2;
	while (!fits(dma, pages, mr->iova - head, size))
		size /= 2;
	assert_int_equal(1ull << mr->page_shift, size);
	oli_domain_put(d);
	free(dma);
}

static u64 rnd(u64 *seed)
{
	*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
	return *seed >> 17;
}

static void lists_of(struct node *n, u8 *area, u64 seed, int rounds)
{
	for (int i = 0; i < rounds; i++) {
		u64 at = rnd(&seed) % AREA,
		    len = 1 + rnd(&seed) % (rnd(&seed) % 2 ? AREA : 3 * PAGE);
		u64 start = (uintptr_t)area + at, iova = start;
		struct oli_mr *mr;

		if (len > AREA - at)
			len = AREA - at;
		/* Known to peers by another address: any with the same place in the page. */
		if (rnd(&seed) % 2)
			iova = (rnd(&seed) << 20 ^ rnd(&seed)) / PAGE * PAGE + start % PAGE;
		if (rnd(&seed) % 4 == 0)
			iova = start - (uintptr_t)area;
		mr = reg(n, start, len, iova);
		check_list(n, mr, start, len);
		assert_int_equal(oli_mr_dereg(n->m, mr), 0);
	}
}

static void test_lists(void **state)
{
	struct pair *p = *state;
	u8 *area = new_area();

	lists_of(&p->a, area, 1, 60);
	munmap(area, AREA);
}

/* Huge pages are pinned as they are, and a list of them has large blocks. */
static void test_lists_huge(void **state)
{
	struct pair *p = *state;
	u64 huge = 2ull << 20;
	u8 *area = mmap(NULL, 2 * huge, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	struct oli_mr *mr;

	if (area == MAP_FAILED) {
		skip();
		return;
	}
	mr = reg(&p->a, (uintptr_t)area + 100, 2 * huge - 200, (uintptr_t)area + 100);
	check_list(&p->a, mr, (uintptr_t)area + 100, 2 * huge - 200);
	assert_true(mr->page_shift >= 21);
	assert_int_equal(oli_mr_dereg(p->a.m, mr), 0);
	munmap(area, 2 * huge);
}

/* ---- bytes ---- */

static void fill(u8 *p, u64 len, u64 seed)
{
	for (u64 i = 0; i < len; i++)
		p[i] = (u8)(rnd(&seed));
}

/* A message of many chunks, in pieces of three regions, from and to odd places. */
static void long_transfer(struct pair *p, u32 op, u64 seed)
{
	u8 *from = new_area(), *to = new_area();
	u64 cut1 = 1 + rnd(&seed) % (1 << 20), cut2 = cut1 + 1 + rnd(&seed) % (3 << 20);
	u64 len = cut2 + 1 + rnd(&seed) % (2 << 20), off = rnd(&seed) % 5000;
	u64 cuts[] = {0, cut1, cut2, len};
	struct node *local = &p->a, *remote = &p->b;
	u8 *mine = op == IBV_WR_RDMA_READ ? to : from, *theirs = op == IBV_WR_RDMA_READ ? from : to;
	struct oli_mr *mr = reg(remote, (uintptr_t)theirs + off, len, off), *part[3];
	struct rxe_send_wqe *w = send_slot(&p->x);

	fill(from, AREA, seed);
	w->wr.wr_id = 5;
	w->wr.opcode = op;
	w->wr.send_flags = IBV_SEND_SIGNALED;
	w->wr.wr.rdma.remote_addr = off;
	w->wr.wr.rdma.rkey = oli_mr_rkey(mr);
	for (int i = 0; i < 3; i++) {
		u64 start = (uintptr_t)mine + 77 + cuts[i];

		part[i] = reg(local, start, cuts[i + 1] - cuts[i], start);
		add_sge(w, start, (u32)(cuts[i + 1] - cuts[i]), oli_mr_lkey(part[i]));
	}
	send_push(&p->x);
	assert_int_equal(ring(&p->x), 0);
	expect(local, p->x.scq, 5, IBV_WC_SUCCESS);
	if (op == IBV_WR_RDMA_READ)
		assert_memory_equal(to + 77, from + off, len);
	else
		assert_memory_equal(to + off, from + 77, len);
	assert_int_equal(to[op == IBV_WR_RDMA_READ ? 76 : off + len], 0);
	assert_int_equal(oli_mr_dereg(remote->m, mr), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(oli_mr_dereg(local->m, part[i]), 0);
	munmap(from, AREA);
	munmap(to, AREA);
}

static void test_long(void **state)
{
	for (u64 seed = 1; seed < 7; seed++)
		long_transfer(*state, seed % 2 ? IBV_WR_RDMA_WRITE : IBV_WR_RDMA_READ, seed);
}

/* Devices of one machine are on one network: the other end is rxe0 here. */
static void test_with_rxe(void **state)
{
	struct pair *p = *state;
	u64 n[2];

	assert_int_not_equal(p->a.ctx->dev, p->b.ctx->dev);
	assert_true(p->a.mr->plist_off != 0);
	assert_true(p->b.mr->plist_off == 0);
	n[0] = p->a.m->shm->devices[p->a.ctx->dev].sent_msgs;
	n[1] = p->a.m->shm->devices[p->b.ctx->dev].sent_msgs;
	strcpy((char *)p->a.buf, "from hca");
	strcpy((char *)p->b.buf + 100, "from rxe");
	post_rdma(&p->x, 1, IBV_WR_RDMA_WRITE, 0, 9, (uintptr_t)p->b.buf, oli_mr_rkey(p->b.mr));
	post_rdma(&p->y, 2, IBV_WR_RDMA_WRITE, 100, 9, (uintptr_t)p->a.buf + 50,
		  oli_mr_rkey(p->a.mr));
	assert_int_equal(ring(&p->x), 0);
	assert_int_equal(ring(&p->y), 0);
	expect(&p->a, p->x.scq, 1, IBV_WC_SUCCESS);
	expect(&p->b, p->y.scq, 2, IBV_WC_SUCCESS);
	assert_string_equal((char *)p->b.buf, "from hca");
	assert_string_equal((char *)p->a.buf + 50, "from rxe");
	/* Each counts on its own device. */
	assert_int_equal(p->a.m->shm->devices[p->a.ctx->dev].sent_msgs, n[0] + 1);
	assert_int_equal(p->a.m->shm->devices[p->b.ctx->dev].sent_msgs, n[1] + 1);
}

/* ---- the trap ---- */

static u64 newest(struct node *n)
{
	return n->m->shm->record_next;
}

static void expect_record(struct node *n, u64 seq, const char *what)
{
	struct oli_record r;

	assert_true(oli_record_get(n->m, seq, &r));
	if (!strstr(r.text, what))
		fail_msg("the record does not say '%s': %s", what, r.text);
}

/* Take the entry of a page out of the tables, behind the back of whoever registered it. */
static void take_out(struct node *n, const struct oli_mr *mr, u64 off)
{
	struct oli_domain *d = domain(n);
	u64 page = dma_of(n, mr, off) / PAGE * PAGE;

	assert_int_equal(oli_domain_unmap(d, (struct olio_iova_range){{page}, {page + PAGE - 1}}),
			 PAGE);
	oli_domain_put(d);
}

/* The IOMMU is in the way of every access: without it these would all succeed. */
static void test_remote_fault(void **state)
{
	struct pair *p = *state;
	u64 records = newest(&p->a);

	memset(p->a.buf, 1, 3 * PAGE);
	take_out(&p->b, p->b.mr, PAGE);
	post_rdma(&p->x, 1, IBV_WR_RDMA_WRITE, 0, 100, (uintptr_t)p->b.buf, oli_mr_rkey(p->b.mr));
	post_rdma(&p->x, 2, IBV_WR_RDMA_WRITE, 0, 3 * PAGE, (uintptr_t)p->b.buf + 200,
		  oli_mr_rkey(p->b.mr));
	assert_int_equal(ring(&p->x), 0);
	expect(&p->a, p->x.scq, 1, IBV_WC_SUCCESS);
	expect(&p->a, p->x.scq, 2, IBV_WC_REM_OP_ERR);
	for (u64 i = 200; i < 4 * PAGE; i++)
		assert_int_equal(p->b.buf[i], 0);
	assert_true(newest(&p->a) > records);
	expect_record(&p->a, records + 1, "DMA fault in the peer's memory: ");
	expect_record(&p->a, records + 1, "hca0");
	assert_int_equal(await_async(&p->b), IBV_EVENT_QP_FATAL);
}

static void test_local_fault(void **state)
{
	struct pair *p = *state;
	u64 records = newest(&p->a);

	memset(p->a.buf, 1, 2 * PAGE);
	take_out(&p->a, p->a.mr, PAGE);
	post_rdma(&p->x, 1, IBV_WR_RDMA_WRITE, PAGE - 10, 20, (uintptr_t)p->b.buf,
		  oli_mr_rkey(p->b.mr));
	assert_int_equal(ring(&p->x), 0);
	expect(&p->a, p->x.scq, 1, IBV_WC_LOC_PROT_ERR);
	assert_int_equal(p->b.buf[0], 0);
	expect_record(&p->a, records + 1, "DMA fault in this process's memory: ");
}

static void test_atomic_fault(void **state)
{
	struct pair *p = *state;
	struct rxe_send_wqe *w = send_slot(&p->x);

	take_out(&p->b, p->b.mr, 0);
	w->wr.wr_id = 3;
	w->wr.opcode = IBV_WR_ATOMIC_FETCH_AND_ADD;
	w->wr.send_flags = IBV_SEND_SIGNALED;
	w->wr.wr.atomic.remote_addr = (uintptr_t)p->b.buf;
	w->wr.wr.atomic.rkey = oli_mr_rkey(p->b.mr);
	w->wr.wr.atomic.compare_add = 7;
	add_sge(w, (uintptr_t)p->a.buf, 8, oli_mr_lkey(p->a.mr));
	send_push(&p->x);
	assert_int_equal(ring(&p->x), 0);
	expect(&p->a, p->x.scq, 3, IBV_WC_REM_OP_ERR);
	assert_int_equal(p->b.buf[0], 0);
}

/* A receive that cannot be written fails at both ends. */
static void test_receive_fault(void **state)
{
	struct pair *p = *state;

	take_out(&p->b, p->b.mr, 0);
	post_recv(&p->y, 8, 0, 64);
	post(&p->x, 9, IBV_WR_SEND, IBV_SEND_SIGNALED, 0, 64);
	assert_int_equal(ring(&p->x), 0);
	expect(&p->a, p->x.scq, 9, IBV_WC_REM_OP_ERR);
	expect(&p->b, p->y.rcq, 8, IBV_WC_LOC_PROT_ERR);
}

/* A region that was registered for reading is mapped for reading: not only the key says so. */
static void test_read_only_entries(void **state)
{
	struct pair *p = *state;
	struct oli_mr *mr;

	assert_int_equal(try_reg(&p->b, (uintptr_t)p->b.buf, PAGE, (uintptr_t)p->b.buf,
				 IBV_ACCESS_REMOTE_READ, &mr),
			 0);
	post_rdma(&p->x, 1, IBV_WR_RDMA_READ, 0, 8, (uintptr_t)p->b.buf, oli_mr_rkey(mr));
	assert_int_equal(ring(&p->x), 0);
	expect(&p->a, p->x.scq, 1, IBV_WC_SUCCESS);
	mr->access |= IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE;
	post_rdma(&p->x, 2, IBV_WR_RDMA_WRITE, 0, 8, (uintptr_t)p->b.buf, oli_mr_rkey(mr));
	assert_int_equal(ring(&p->x), 0);
	expect(&p->a, p->x.scq, 2, IBV_WC_REM_OP_ERR);
}

/* And so is what a READ brings back. */
static void test_read_only_target(void **state)
{
	struct pair *p = *state;
	struct rxe_send_wqe *w = send_slot(&p->x);
	struct oli_mr *mr;

	memset(p->b.buf, 3, 8);
	assert_int_equal(try_reg(&p->a, (uintptr_t)p->a.buf, PAGE, (uintptr_t)p->a.buf, 0, &mr), 0);
	mr->access |= IBV_ACCESS_LOCAL_WRITE;
	w->wr.wr_id = 1;
	w->wr.opcode = IBV_WR_RDMA_READ;
	w->wr.wr.rdma.remote_addr = (uintptr_t)p->b.buf;
	w->wr.wr.rdma.rkey = oli_mr_rkey(p->b.mr);
	add_sge(w, (uintptr_t)p->a.buf, 8, oli_mr_lkey(mr));
	send_push(&p->x);
	assert_int_equal(ring(&p->x), 0);
	expect(&p->a, p->x.scq, 1, IBV_WC_LOC_PROT_ERR);
	assert_int_equal(p->a.buf[0], 0);
}

/* The same list in blocks of 4 KiB, so that pages of it can be exchanged. Return: it. */
static u64 *list_pages(struct node *n, struct oli_mr *mr)
{
	u64 off, pages = mr->length / PAGE, *list;

	assert_int_equal(mr->iova % PAGE, 0);
	assert_int_equal(oli_heap_alloc(n->m, pages * sizeof(u64), n->m->slot, &off), 0);
	list = oli_ptr(n->m, off);
	for (u64 i = 0; i < pages; i++)
		list[i] = dma_of(n, mr, i * PAGE);
	mr->plist_off = off;
	mr->page_shift = 12;
	mr->nr_blocks = pages;
	return list;
}

/* A list that ends too early is a fault as well, not a look at what lies behind it. */
static void test_short_list(void **state)
{
	struct pair *p = *state;

	list_pages(&p->b, p->b.mr);
	p->b.mr->nr_blocks = 2;
	post_rdma(&p->x, 1, IBV_WR_RDMA_WRITE, 0, 2 * PAGE, (uintptr_t)p->b.buf,
		  oli_mr_rkey(p->b.mr));
	post_rdma(&p->x, 2, IBV_WR_RDMA_WRITE, 0, 3 * PAGE, (uintptr_t)p->b.buf,
		  oli_mr_rkey(p->b.mr));
	assert_int_equal(ring(&p->x), 0);
	expect(&p->a, p->x.scq, 1, IBV_WC_SUCCESS);
	expect(&p->a, p->x.scq, 2, IBV_WC_REM_OP_ERR);
	p->b.mr->nr_blocks = BUF_SIZE / PAGE;
}

/* Memory that is nobody's: the list leads to a BAR, as that of a peer's memory will. */
static void test_bar(void **state)
{
	struct pair *p = *state;
	u64 *list = list_pages(&p->b, p->b.mr);
	struct olio_dev *hca, *acc;
	const struct olio_seg *seg;
	const struct olio_run *runs;
	struct olio_mem *mem;
	struct olio_map *map;
	size_t n;
	u8 *cpu;

	assert_int_equal(oli_dev_open(p->b.m, "hca0", &hca), 0);
	assert_int_equal(oli_dev_open(p->b.m, "acc0", &acc), 0);
	assert_int_equal(oli_mem_from_bar(p->b.m, acc->id.node, 2, 0, 4 * PAGE, &mem), 0);
	runs = olio_mem_runs(mem, &n);
	assert_int_equal(olio_map_list(hca, runs, n, OLIO_BIDIRECTIONAL, 0, &map), 0);
	seg = olio_map_segs(map, &n);
	for (int i = 0; i < 4; i++)
		list[i] = seg->dma.v + (u64)i * PAGE;
	cpu = olio_mem_cpu(mem, 0);
	memcpy(p->a.buf, "to the BAR", 11);
	post_rdma(&p->x, 1, IBV_WR_RDMA_WRITE, 0, 11, (uintptr_t)p->b.buf + PAGE - 4,
		  oli_mr_rkey(p->b.mr));
	/* And across the border between the BAR and the process's memory. */
	memset(p->a.buf + 100, 7, 200);
	post_rdma(&p->x, 2, IBV_WR_RDMA_WRITE, 100, 200, (uintptr_t)p->b.buf + 4 * PAGE - 100,
		  oli_mr_rkey(p->b.mr));
	post_rdma(&p->x, 3, IBV_WR_RDMA_READ, 1000, 11, (uintptr_t)p->b.buf + PAGE - 4,
		  oli_mr_rkey(p->b.mr));
	assert_int_equal(ring(&p->x), 0);
	for (u64 id = 1; id < 4; id++)
		expect(&p->a, p->x.scq, id, IBV_WC_SUCCESS);
	assert_memory_equal(cpu + PAGE - 4, "to the BAR", 11);
	assert_memory_equal(p->a.buf + 1000, "to the BAR", 11);
	assert_int_equal(p->b.buf[PAGE], 0);
	assert_int_equal(cpu[4 * PAGE - 100], 7);
	assert_int_equal(cpu[4 * PAGE - 1], 7);
	assert_int_equal(p->b.buf[4 * PAGE], 7);
	assert_int_equal(p->b.buf[4 * PAGE + 99], 7);
	assert_int_equal(p->b.buf[4 * PAGE + 100], 0);
	olio_map_unmap(map);
	oli_mem_put(mem);
	olio_dev_close(acc);
	olio_dev_close(hca);
}

/*
 * A process that dies or becomes another program in the middle of a transfer does not answer
 * any more, whatever the device finds of it: its peer is to try again, not to fail at once.
 */
static void test_gone(void **state)
{
	struct pair *p = *state;
	struct oli_slot *s = oli_slot(p->a.m, p->b.m->slot);
	struct oli_list here, there;
	struct oli_xfer x = {.slot = p->b.m->slot,
			     .to_remote = true,
			     .local = &here,
			     .remote = &there,
			     .len = 3 * PAGE};
	struct oli_fail f = {0};

	oli_list_init(&here);
	oli_list_init(&there);
	assert_int_equal(oli_mr_local(p->a.m, p->x.qp, oli_mr_lkey(p->a.mr), (uintptr_t)p->a.buf,
				      x.len, 0, &here, &f),
			 0);
	assert_int_equal(oli_mr_remote(p->a.m, p->y.qp, oli_mr_rkey(p->b.mr), (uintptr_t)p->b.buf,
				       x.len, IBV_ACCESS_REMOTE_WRITE, &there, &f),
			 0);
	assert_int_equal(oli_list_move(p->a.m, &x), 0);
	oli_slot_suspend(p->b.m, true);
	assert_int_not_equal(s->state, OLI_SLOT_LIVE);
	assert_int_equal(oli_list_move(p->a.m, &x), -ESRCH);
	oli_slot_suspend(p->b.m, false);
	assert_int_equal(oli_list_move(p->a.m, &x), 0);
	/* Alive, and its entry is missing: that is a fault. */
	take_out(&p->b, p->b.mr, 0);
	assert_int_equal(oli_list_move(p->a.m, &x), -EFAULT);
	assert_true(x.fault != 0);
	assert_int_equal(x.bad_side, OLI_SIDE_REMOTE);
}

/* ---- what is refused ---- */

static void refused(const char *type, enum olio_reason reason)
{
	struct oli_machine_opts opts = {.name = rig_dir(), .type = type};
	struct node n = {0};
	char why[OLI_WHY_MAX] = "", text[80];
	struct use before, after;
	struct oli_mr *mr = NULL;
	u8 *area = new_area();
	u64 records;

	assert_int_equal(oli_machine_open(&opts, oli_parts, &n.m, why), 0);
	assert_int_equal(oli_ctx_create(n.m, 1, &n.ctx), 0);
	assert_int_equal(oli_pd_alloc(n.m, n.ctx, &n.pd), 0);
	/* Once, for what the device needs to be open. */
	assert_int_equal(try_reg(&n, (uintptr_t)area + 5, 9000, 5, ALL_ACCESS, &mr), -EOPNOTSUPP);
	before = look(&n);
	records = newest(&n);
	assert_int_equal(try_reg(&n, (uintptr_t)area + 5, 9000, 5, ALL_ACCESS, &mr), -EOPNOTSUPP);
	assert_null(mr);
	assert_int_equal(olio_why()->reason, reason);
	after = look(&n);
	expect_same(&before, &after, type, 0);
	assert_int_equal(newest(&n), records + 1);
	snprintf(text, sizeof(text), "ibv_reg_mr on hca0 refused: %s: ", olio_reason_name(reason));
	expect_record(&n, records + 1, text);
	oli_ctx_destroy(n.m, n.ctx);
	oli_machine_close(n.m);
	munmap(area, AREA);
}

static void test_refused(void **state)
{
	(void)state;
	refused("arm-noncoherent", OLIO_REASON_NON_COHERENT);
	refused("cc-guest", OLIO_REASON_ENCRYPTED);
}

/* What is the program's own mistake is told by errno, as everywhere. */
static void test_bad_memory(void **state)
{
	struct pair *p = *state;
	struct node *n = &p->a;
	u8 *area = new_area();
	struct use before, after;
	struct oli_mr *mr = NULL;
	u64 records = newest(n);

	munmap(area + 4 * PAGE, PAGE);
	assert_int_equal(mprotect(area + 8 * PAGE, PAGE, PROT_READ), 0);
	assert_int_equal(try_reg(n, (uintptr_t)area, PAGE, (uintptr_t)area, ALL_ACCESS, &mr), 0);
	assert_int_equal(oli_mr_dereg(n->m, mr), 0);
	mr = NULL;
	before = look(n);
	assert_int_equal(try_reg(n, (uintptr_t)area, 5 * PAGE, (uintptr_t)area, ALL_ACCESS, &mr),
			 -EFAULT);
	assert_int_equal(
		try_reg(n, (uintptr_t)area + 8 * PAGE, 1, (uintptr_t)area, ALL_ACCESS, &mr),
		-EFAULT);
	assert_null(mr);
	after = look(n);
	expect_same(&before, &after, "bad memory", 0);
	assert_int_equal(newest(n), records);
	assert_int_equal(try_reg(n, (uintptr_t)area + 8 * PAGE, 1, (uintptr_t)area,
				 IBV_ACCESS_REMOTE_READ, &mr),
			 0);
	munmap(area, AREA);
}

/* Each allocation and system call on the way is refused once. */
static void test_sweep(void **state)
{
	struct pair *p = *state;
	struct node *n = &p->a;
	u8 *area = new_area();
	struct oli_mr *mr = NULL;
	struct use before, after;
	int failed = 0, err;

	/* What the first registration of a kind leaves for all that follow. */
	mr = reg(n, (uintptr_t)area, 100 * PAGE, (uintptr_t)area);
	assert_int_equal(oli_mr_dereg(n->m, mr), 0);
	before = look(n);
	for (int i = 1;; i++) {
		mr = NULL;
		oli_fault_countdown = i;
		err = try_reg(n, (uintptr_t)area, 100 * PAGE, (uintptr_t)area, ALL_ACCESS, &mr);
		if (oli_fault_countdown) {
			oli_fault_countdown = 0;
			break;
		}
		/* Some can be done without: a cache that is not made, a thread that is not told. */
		if (!err)
			assert_int_equal(oli_mr_dereg(n->m, mr), 0);
		else
			assert_null(mr);
		failed += err < 0;
		after = look(n);
		expect_same(&before, &after, "failure", i);
	}
	assert_int_equal(err, 0);
	assert_int_equal(oli_mr_dereg(n->m, mr), 0);
	assert_true(failed >= 5);
	munmap(area, AREA);
}

/* ---- kill -9 ---- */

/* A child of a process with threads starts its own: a race detector takes that, if it is told to.
 */
__attribute__((visibility("default"))) const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "die_after_fork=0";
}

static void child(int point, bool in_dereg)
{
	struct oli_mr *mr;
	struct node n;
	u8 *area = new_area();

	node_open(&n);
	if (!in_dereg)
		oli_crash_countdown = point;
	mr = reg(&n, (uintptr_t)area + 3, 50 * PAGE, (uintptr_t)area + 3);
	if (in_dereg)
		oli_crash_countdown = point;
	(void)!oli_mr_dereg(n.m, mr);
	_exit(0);
}

/* Return: true if the child was killed on the way. */
static bool die_at(struct node *n, int point, bool in_dereg)
{
	struct use before = look(n), after;
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid)
		child(point, in_dereg);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	oli_reap(n->m);
	after = look(n);
	expect_same(&before, &after, in_dereg ? "death in dereg" : "death in reg", point);
	if (WIFSIGNALED(status))
		return true;
	assert_int_equal(WEXITSTATUS(status), 0);
	return false;
}

/* One more process was here: what it leaves once is there for all that follow. */
static void visit(void)
{
	struct node n;

	node_open(&n);
	reg(&n, (uintptr_t)n.buf, 3 * PAGE, 0);
	node_close(&n);
}

static void test_killed(void **state)
{
	struct pair *p = *state;

	visit();
	for (int dereg = 0; dereg < 2; dereg++) {
		int point = 1;

		while (die_at(&p->a, point, dereg))
			point++;
		assert_true(point > 2);
	}
	/* And the machine works on: its frames and spaces are others' now. */
	test_long(state);
}

/* The whole of a node goes at once, region and all. */
static void test_left(void **state)
{
	struct pair *p = *state;
	struct use before, after;

	visit();
	before = look(&p->a);
	visit();
	after = look(&p->a);
	expect_same(&before, &after, "leaving", 0);
}

/* ---- at once ---- */

struct churn {
	struct node *n;
	_Atomic bool stop;
	u8 *area;
};

static void *churner(void *arg)
{
	struct churn *c = arg;
	u64 seed = 3;

	while (!atomic_load(&c->stop)) {
		u64 at = rnd(&seed) % AREA, len = 1 + rnd(&seed) % (64 * PAGE);
		struct oli_mr *mr;

		if (len > AREA - at)
			len = AREA - at;
		mr = reg(c->n, (uintptr_t)c->area + at, len, (uintptr_t)c->area + at);
		assert_int_equal(oli_mr_dereg(c->n->m, mr), 0);
	}
	return NULL;
}

/* Regions come and go, each with a flush, while others of the same space are in use. */
static void test_churn(void **state)
{
	struct pair *p = *state;
	struct churn c[2] = {{.n = &p->a, .area = new_area()}, {.n = &p->b, .area = new_area()}};
	pthread_t t[2];

	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&t[i], NULL, churner, &c[i]), 0);
	for (u32 i = 0; i < 300; i++) {
		u32 len = 1 + i * 700, off = i % 100;

		memset(p->a.buf + off, (int)i, len);
		post_rdma(&p->x, i, IBV_WR_RDMA_WRITE, off, len, (uintptr_t)p->b.buf + 1,
			  oli_mr_rkey(p->b.mr));
		assert_int_equal(ring(&p->x), 0);
		expect(&p->a, p->x.scq, i, IBV_WC_SUCCESS);
		assert_memory_equal(p->a.buf + off, p->b.buf + 1, len);
	}
	for (int i = 0; i < 2; i++) {
		atomic_store(&c[i].stop, true);
		pthread_join(t[i], NULL);
		munmap(c[i].area, AREA);
	}
}

/* ---- machines ---- */

static int setup(void **state)
{
	rig_device = "hca0";
	return pair_setup(state);
}

/* The first node on hca0, the second on rxe0. */
static int setup_mixed(void **state)
{
	struct pair *p = calloc(1, sizeof(*p));

	*state = p;
	rig_device = "hca0";
	node_open(&p->a);
	rig_device = "rxe0";
	node_open(&p->b);
	end_open(&p->x, &p->a, IBV_QPT_RC, true);
	end_open(&p->y, &p->b, IBV_QPT_RC, true);
	end_connect(&p->x, &p->y, &rig_link);
	return 0;
}

static int setup_type(void **state, const char *type)
{
	int ret;

	rig_type = type;
	ret = setup(state);
	rig_type = NULL;
	return ret;
}

static int setup_no_iommu(void **state)
{
	return setup_type(state, "no-iommu");
}

static int setup_amd(void **state)
{
	return setup_type(state, "lazy-amd");
}

static int setup_hostile(void **state)
{
	return setup_type(state, "hostile");
}

int main(void)
{
#define ON(f, s) cmocka_unit_test_setup_teardown(f, s, pair_teardown)
#define NAMED(f, s, n)                                                                             \
	{                                                                                          \
		n, f, s, pair_teardown, NULL                                                       \
	}
	const struct CMUnitTest tests[] = {
		ON(test_lists, setup),
		NAMED(test_lists, setup_amd, "test_lists, AMD tables, lazy"),
		NAMED(test_lists, setup_hostile, "test_lists, hostile machine"),
		ON(test_lists_huge, setup),
		ON(test_long, setup),
		NAMED(test_long, setup_mixed, "test_long, to rxe0"),
		NAMED(test_long, setup_no_iommu, "test_long, no IOMMU"),
		NAMED(test_long, setup_hostile, "test_long, hostile machine"),
		ON(test_with_rxe, setup_mixed),
		ON(test_remote_fault, setup),
		ON(test_local_fault, setup),
		ON(test_atomic_fault, setup),
		ON(test_receive_fault, setup),
		ON(test_read_only_entries, setup),
		ON(test_read_only_target, setup),
		ON(test_short_list, setup),
		ON(test_bar, setup),
		ON(test_gone, setup),
		cmocka_unit_test(test_refused),
		ON(test_bad_memory, setup),
		ON(test_sweep, setup),
		ON(test_killed, setup),
		ON(test_left, setup),
		ON(test_churn, setup),
		NAMED(test_churn, setup_amd, "test_churn, AMD tables, lazy"),
	};

	return cmocka_run_group_tests_name("rdma/hca", tests, NULL, NULL);
}
