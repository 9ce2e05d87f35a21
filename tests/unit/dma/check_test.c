// SPDX-License-Identifier: MIT
/*
 * The checker from inside: its ring, its guards, what it says of any access at all against
 * a model that looks at each byte, and that want of memory makes it silent, not wrong.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "dma/check.h"
#include "lab.h"

#define PAGE	 4096u
#define ok(call) assert_int_equal(call, 0)

static struct oli_desc desc_with(u64 classes)
{
	struct oli_desc d = rig_desc();

	d.checker = classes;
	return d;
}

static u64 bit(unsigned int class_)
{
	return 1ull << class_;
}

/* ---- the ring ---- */

static void test_ring_keeps_the_newest(void **state)
{
	struct oli_desc d = desc_with(bit(3));
	struct oli_machine *m = lab_open(&d);
	struct olio_dev *dev = lab_dev(m, "dev0");
	struct oli_misuse r;
	char want[32];

	(void)state;
	assert_int_equal(oli_misuse_newest(m), 0);
	assert_false(oli_misuse_get(m, 0, &r));
	for (int i = 1; i <= 300; i++)
		oli_misuse(dev, 3, NULL, NULL, "number %d", i);
	/* A class that is off says nothing, and neither does one that is none. */
	oli_misuse(dev, 4, NULL, NULL, "off");
	oli_misuse(dev, 0, NULL, NULL, "none");
	oli_misuse(dev, 64, NULL, NULL, "none");
	assert_int_equal(oli_misuse_newest(m), 300);
	assert_false(oli_misuse_get(m, 300 - OLI_MISUSES_KEPT, &r));
	assert_false(oli_misuse_get(m, 301, &r));
	for (u64 i = 301 - OLI_MISUSES_KEPT; i <= 300; i++) {
		assert_true(oli_misuse_get(m, i, &r));
		snprintf(want, sizeof(want), "number %d", (int)i);
		assert_string_equal(r.text, want);
		assert_int_equal(r.class_, 3);
		assert_int_equal(r.pid, getpid());
		assert_int_equal(r.node, DEV0);
	}
	olio_dev_close(dev);
	rig_close(m);
}

#define WRITERS 4
#define EACH	4000

struct writer {
	pthread_t t;
	struct olio_dev *dev;
	char text[201];
};

static void *writer(void *arg)
{
	struct writer *w = arg;

	for (int i = 0; i < EACH; i++)
		oli_misuse(w->dev, 3, NULL, NULL, "%s", w->text);
	return NULL;
}

/* What a reader gets is whole, whatever is written meanwhile. It looks at what goes next. */
static void test_ring_is_never_torn(void **state)
{
	struct oli_desc d = desc_with(bit(3));
	struct oli_machine *m = lab_open(&d);
	struct olio_dev *dev = lab_dev(m, "dev0");
	struct writer w[WRITERS];
	struct oli_misuse r;
	u64 newest;

	(void)state;
	for (int i = 0; i < WRITERS; i++) {
		w[i].dev = dev;
		memset(w[i].text, 'a' + i, 200);
		w[i].text[200] = '\0';
		ok(pthread_create(&w[i].t, NULL, writer, &w[i]));
	}
	do {
		newest = oli_misuse_newest(m);
		for (u64 back = 240; back < OLI_MISUSES_KEPT; back++)
			if (newest > back && oli_misuse_get(m, newest - back, &r)) {
				assert_int_equal(strlen(r.text), 200);
				assert_in_range(r.text[0], 'a', 'a' + WRITERS - 1);
				assert_memory_equal(r.text, w[r.text[0] - 'a'].text, 201);
			}
	} while (newest < (u64)WRITERS * EACH);
	for (int i = 0; i < WRITERS; i++)
		pthread_join(w[i].t, NULL);
	olio_dev_close(dev);
	rig_close(m);
}

static void test_no_class_no_checker(void **state)
{
	struct oli_desc d = desc_with(0);
	struct oli_machine *m = lab_open(&d);
	struct olio_dev *dev = lab_dev(m, "dev0");

	(void)state;
	assert_null(dev->check);
	(void)!olio_dma_unmap(dev, (struct olio_iova){0x1000}, PAGE, OLIO_TO_DEVICE, 0);
	olio_dev_doorbell(dev);
	olio_dev_close(dev);
	assert_int_equal(oli_misuse_newest(m), 0);
	rig_close(m);
}

/* ---- accesses against a model ---- */

#define MAPS 6

static const u64 device_classes = 1ull << 12 | 1ull << 16 | 1ull << 17 | 1ull << 19 | 1ull << 20 |
				  1ull << 21 | 1ull << 22 | 1ull << 24;

struct live {
	u64 dma, len;
	enum olio_dir dir;
};

/* Was the device given this byte? */
static bool given(const struct live *l, u64 at, bool write)
{
	for (int i = 0; i < MAPS; i++)
		for (u64 k = 0; k < l[i].len; k++)
			if (l[i].dma + k == at)
				return l[i].dir & (write ? OLIO_FROM_DEVICE : OLIO_TO_DEVICE);
	return false;
}

static bool model_allows(const struct live *l, u64 dma, u64 len, bool write)
{
	for (u64 i = 0; i < len; i++)
		if (!given(l, dma + i, write))
			return false;
	return true;
}

/* Does what is mapped explain an address: is it in a granule of it? */
static bool near_given(const struct live *l, u64 at)
{
	for (int i = 0; i < MAPS; i++)
		if ((at & ~(PAGE - 1ull)) == (l[i].dma & ~(PAGE - 1ull)))
			return true;
	return false;
}

/*
 * Any access near what is mapped: said of none that the model allows, and of all others
 * that begin in a granule of a mapping. A mapping that was reported is reported no more, so
 * each round has new ones.
 */
static void access_round(struct oli_machine *m, struct olio_dev *dev, struct olio_mem *mem,
			 u32 *bad)
{
	u8 buf[3 * PAGE];
	struct live l[MAPS];
	struct olio_run run;
	struct olio_iova dma;
	size_t n;

	memset(buf, 0, sizeof(buf));
	for (u32 i = 0; i < MAPS; i++) {
		u64 off = rig_rand(PAGE), len = 1 + rig_rand((u32)(PAGE - off));

		l[i].len = len;
		l[i].dir = (enum olio_dir)(1 + rig_rand(3));
		ok(olio_mem_slice(mem, i * PAGE + off, len, &run, 1, &n));
		ok(olio_dma_map(dev, &run, l[i].dir, 0, &dma));
		l[i].dma = dma.v;
	}
	for (u32 tries = 0; tries < 16; tries++) {
		const struct live *near = &l[rig_rand(MAPS)];
		u64 at = near->dma + rig_rand(600) - 300;
		u64 len = rig_rand(3) ? 1 + rig_rand(300) : 1 + rig_rand(2 * PAGE);
		bool write = rig_rand(2), allowed = model_allows(l, at, len, write);
		u64 before = oli_misuse_newest(m);

		if (write)
			(void)!olio_dev_write(dev, (struct olio_iova){at}, buf, len);
		else
			(void)!olio_dev_read(dev, (struct olio_iova){at}, buf, len);
		if (!allowed && !near_given(l, at))
			continue;
		if (allowed != (oli_misuse_newest(m) == before))
			fail_msg("%s of 0x%llx+0x%llx: %s", write ? "write" : "read",
				 (unsigned long long)at, (unsigned long long)len,
				 allowed ? "reported, but allowed" : "not reported");
		*bad += !allowed;
		if (!allowed)
			break;
	}
	for (u32 i = 0; i < MAPS; i++)
		ok(olio_dma_unmap(dev, (struct olio_iova){l[i].dma}, l[i].len, l[i].dir, 0));
}

static void test_accesses_byte_by_byte(void **state)
{
	struct oli_desc d = desc_with(device_classes);
	struct oli_machine *m = lab_open(&d);
	struct olio_dev *dev = lab_dev(m, "dev2");
	u8 *p = lab_pages(MAPS * PAGE);
	struct olio_mem *mem = lab_pin(m, p, MAPS * PAGE);
	u32 bad = 0;

	(void)state;
	rig_seed(20);
	for (int round = 0; round < 400; round++)
		access_round(m, dev, mem, &bad);
	assert_in_range(bad, 100, 400);
	olio_dev_close(dev);
	oli_mem_put(mem);
	munmap(p, MAPS * PAGE);
	rig_close(m);
}

/* Any numbers at all are no crash. */
static void test_wild_accesses(void **state)
{
	static const u64 edge[] = {0,
				   1,
				   PAGE - 1,
				   PAGE,
				   UINT32_MAX,
				   1ull << 32,
				   UINT64_MAX / 2,
				   UINT64_MAX - PAGE,
				   UINT64_MAX - 1,
				   UINT64_MAX};
	struct oli_desc d = desc_with(OLI_CHECKER_ALL);
	struct oli_machine *m = lab_open(&d);
	struct olio_dev *dev = lab_dev(m, "dev0");
	u8 *p = lab_pages(PAGE);
	struct olio_mem *mem = lab_pin(m, p, PAGE);
	struct olio_iova dma;

	(void)state;
	ok(olio_dma_map(dev, mem->runs, OLIO_BIDIRECTIONAL, 0, &dma));
	for (size_t i = 0; i < OLI_ARRAY_SIZE(edge); i++)
		for (size_t k = 0; k < OLI_ARRAY_SIZE(edge); k++) {
			const struct oli_op op = {
				.dma = {edge[i]}, .len = edge[k], .dir = OLIO_BIDIRECTIONAL};

			oli_check_access(dev, op.dma, op.len, k & 1, -EFAULT, NULL);
			oli_check_unmap(dev, &op, -EINVAL);
			if (op.len)
				oli_check_sync(dev, &op, k & 1);
			oli_check_step(dev, OLI_STEP_UNLINK, &op, edge[k], -EINVAL);
		}
	ok(olio_dma_unmap(dev, dma, PAGE, OLIO_BIDIRECTIONAL, 0));
	olio_dev_close(dev);
	oli_mem_put(mem);
	munmap(p, PAGE);
	rig_close(m);
}

/* ---- ownership ---- */

/* A mapping is reported once, and again when it has changed hands. */
static void test_each_time_it_changes_hands(void **state)
{
	struct oli_desc d = desc_with(bit(27));
	struct oli_machine *m;
	struct olio_dev *dev;
	u8 *p = lab_pages(PAGE);
	struct olio_mem *mem;
	struct olio_iova dma;

	(void)state;
	d.node[DEV0].coherent = 0;
	m = lab_open(&d);
	dev = lab_dev(m, "dev0");
	mem = lab_pin(m, p, PAGE);
	ok(olio_dma_map(dev, mem->runs, OLIO_TO_DEVICE, 0, &dma));
	for (u64 i = 1; i <= 4; i++) {
		p[i]++;
		p[100 * i]++;
		ok(olio_dma_sync_for_cpu(dev, dma, PAGE, OLIO_TO_DEVICE));
		assert_int_equal(oli_misuse_newest(m), i);
		p[i]++;
		ok(olio_dma_sync_for_device(dev, dma, PAGE, OLIO_TO_DEVICE));
		assert_int_equal(oli_misuse_newest(m), i);
	}
	ok(olio_dma_unmap(dev, dma, PAGE, OLIO_TO_DEVICE, 0));
	assert_int_equal(oli_misuse_newest(m), 4);
	olio_dev_close(dev);
	oli_mem_put(mem);
	munmap(p, PAGE);
	rig_close(m);
}

/* ---- IOVAs that are kept ---- */

/* What is kept comes back: far more maps than fit into the space at once. */
static void test_kept_iovas_come_back(void **state)
{
	struct oli_desc d = desc_with(bit(19) | bit(20));
	struct oli_machine *m;
	struct olio_dev *dev;
	u8 *p = lab_pages(PAGE);
	struct olio_mem *mem;
	struct olio_iova dma, before = {0};

	(void)state;
	d.node[DEV0].dma_bits = 24;
	m = lab_open(&d);
	dev = lab_dev(m, "dev0");
	mem = lab_pin(m, p, PAGE);
	for (int i = 0; i < 20000; i++) {
		ok(olio_dma_map(dev, mem->runs, OLIO_TO_DEVICE, 0, &dma));
		assert_int_not_equal(dma.v, before.v);
		ok(olio_dma_unmap(dev, dma, PAGE, OLIO_TO_DEVICE, 0));
		/* Twice is refused, and gives nothing back that is somebody else's later. */
		assert_int_equal(olio_dma_unmap(dev, dma, PAGE, OLIO_TO_DEVICE, 0), -ENOENT);
		assert_int_equal(oli_check_keep(dev, dma, PAGE), -ENOENT);
		before = dma;
	}
	assert_true(oli_domain_is_valid(dev->domain));
	olio_dev_close(dev);
	oli_mem_put(mem);
	munmap(p, PAGE);
	rig_close(m);
}

/* Nor are so many kept that a device with a narrow mask runs out of them. */
static void test_not_too_much_is_kept(void **state)
{
	struct oli_desc d = desc_with(bit(20));
	struct oli_machine *m;
	struct olio_dev *dev;
	u64 len = 512 << 10;
	u8 *p = lab_pages(len);
	struct olio_mem *mem;
	struct olio_iova dma;

	(void)state;
	d.linear = 1;
	d.node[DEV0].dma_bits = 24;
	m = lab_open(&d);
	dev = lab_dev(m, "dev0");
	mem = lab_pin(m, p, len);
	assert_int_equal(mem->runs[0].len, len);
	for (int i = 0; i < 200; i++) {
		ok(olio_dma_map(dev, mem->runs, OLIO_TO_DEVICE, 0, &dma));
		ok(olio_dma_unmap(dev, dma, len, OLIO_TO_DEVICE, 0));
	}
	olio_dev_close(dev);
	oli_mem_put(mem);
	munmap(p, len);
	rig_close(m);
}

/* ---- what an access shows, and no call ---- */

/* The newest report, of which there are @n, is of @class_. */
static void reported(struct oli_machine *m, u64 n, unsigned int class_)
{
	struct oli_misuse r;

	assert_int_equal(oli_misuse_newest(m), n);
	assert_true(oli_misuse_get(m, n, &r));
	assert_int_equal(r.class_, class_);
}

static void test_only_seen_by_an_access(void **state)
{
	struct oli_desc d = desc_with(bit(5) | bit(18) | bit(19) | bit(20) | bit(28));
	struct oli_machine *m;
	struct olio_dev *dev;
	u8 *p = lab_pages(2 * PAGE), buf[2 * PAGE];
	struct olio_mem *mem;
	struct olio_iova dma, again;
	struct olio_run run, part;

	(void)state;
	d.iommu = OLI_IOMMU_NONE;
	d.linear = 1;
	m = lab_open(&d);
	dev = lab_dev(m, "dev0");
	mem = lab_pin(m, p, 2 * PAGE);
	run = mem->runs[0];
	assert_int_equal(run.len, 2 * PAGE);
	/* The device's limits were said after the map. */
	ok(olio_dma_map(dev, &run, OLIO_TO_DEVICE, 0, &dma));
	ok(olio_dev_set_segments(dev, PAGE, 0));
	ok(olio_dev_read(dev, dma, buf, 1));
	reported(m, 1, 18);
	ok(olio_dev_set_segments(dev, 0, 0));
	ok(olio_dma_unmap(dev, dma, run.len, OLIO_TO_DEVICE, 0));
	/* The device goes on with a mapping whose beginning is another one's now. */
	part = run;
	part.len = PAGE;
	ok(olio_dma_map(dev, &part, OLIO_TO_DEVICE, 0, &again));
	assert_int_equal(again.v, dma.v);
	ok(olio_dev_read(dev, dma, buf, run.len));
	reported(m, 2, 19);
	ok(olio_dma_unmap(dev, again, part.len, OLIO_TO_DEVICE, 0));
	/* The map failed, and the device was given what was in the variable. */
	part.kind = OLIO_MEM_PRIVATE;
	assert_true(olio_dma_map(dev, &part, OLIO_TO_DEVICE, 0, &again) < 0);
	assert_int_equal(olio_dev_read(dev, (struct olio_iova){0x123456789000}, buf, 1), -EFAULT);
	reported(m, 3, 5);
	/* In the middle of what was unmapped; a sync of it. */
	ok(olio_dev_read(dev, (struct olio_iova){dma.v + PAGE + 100}, buf, 1));
	reported(m, 4, 20);
	(void)olio_dma_sync_for_cpu(dev, (struct olio_iova){dma.v}, PAGE, OLIO_TO_DEVICE);
	reported(m, 5, 28);
	olio_dev_close(dev);
	oli_mem_put(mem);
	munmap(p, 2 * PAGE);
	rig_close(m);
}

/* ---- guards ---- */

static struct oli_desc guarded_desc(void)
{
	struct oli_desc d = desc_with(OLI_CHECKER_ALL & ~bit(29));

	d.node[DEV0].coherent = 0;
	return d;
}

static bool can_guard(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
	return false;
#endif
#endif
	return true;
}

/* For the kernel, which is not asked to open it. */
static bool readable(void *p)
{
	int fds[2];
	ssize_t n;

	assert_int_equal(pipe(fds), 0);
	n = write(fds[1], p, 1);
	close(fds[0]);
	close(fds[1]);
	return n == 1;
}

static void guard_goes_with_the_mapping(void)
{
	struct oli_desc d = guarded_desc();
	struct oli_machine *m = lab_open(&d);
	struct olio_dev *dev = lab_dev(m, "dev0");
	u8 *p = lab_pages(PAGE);
	struct olio_mem *mem = lab_pin(m, p, PAGE);
	struct olio_iova dma;

	ok(olio_dma_map(dev, mem->runs, OLIO_FROM_DEVICE, 0, &dma));
	assert_false(readable(p));
	ok(olio_dma_sync_for_cpu(dev, dma, PAGE, OLIO_FROM_DEVICE));
	assert_true(readable(p));
	ok(olio_dma_sync_for_device(dev, dma, PAGE, OLIO_FROM_DEVICE));
	assert_false(readable(p));
	ok(olio_dma_unmap(dev, dma, PAGE, OLIO_FROM_DEVICE, 0));
	assert_true(readable(p));
	/* A mapping that is left when the device is closed. */
	ok(olio_dma_map(dev, mem->runs, OLIO_FROM_DEVICE, 0, &dma));
	assert_false(readable(p));
	olio_dev_close(dev);
	assert_true(readable(p));
	oli_mem_put(mem);
	munmap(p, PAGE);
	rig_close(m);
}

/* The program has something else at the address by now. */
static void guard_leaves_strangers_alone(void)
{
	struct oli_desc d = guarded_desc();
	struct oli_machine *m = lab_open(&d);
	struct olio_dev *dev = lab_dev(m, "dev0");
	u8 *p = lab_pages(PAGE);
	struct olio_mem *mem = lab_pin(m, p, PAGE);
	struct olio_iova dma;
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	FILE *maps;
	char line[256], want[64];
	bool seen = false;

	ok(olio_dma_map(dev, mem->runs, OLIO_FROM_DEVICE, 0, &dma));
	assert_ptr_equal(mmap(p, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0), p);
	ok(olio_dma_unmap(dev, dma, PAGE, OLIO_FROM_DEVICE, 0));
	snprintf(want, sizeof(want), "%lx-%lx r--p", (unsigned long)p, (unsigned long)p + PAGE);
	maps = fopen("/proc/self/maps", "re");
	while (fgets(line, sizeof(line), maps))
		seen |= !strncmp(line, want, strlen(want));
	fclose(maps);
	assert_true(seen);
	close(fd);
	olio_dev_close(dev);
	oli_mem_put(mem);
	munmap(p, PAGE);
	rig_close(m);
}

static sigjmp_buf back;

static void jump(int sig)
{
	(void)sig;
	siglongjmp(back, 1);
}

/* In a child: a guard, then faults that are none of ours. */
static void strangers_faults(bool with_handler)
{
	struct oli_desc d = guarded_desc();
	struct oli_machine *m;
	struct olio_dev *dev;
	u8 *p = lab_pages(PAGE);
	volatile u8 *closed = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	volatile u8 *guarded = p, *volatile nothing = NULL;
	struct olio_mem *mem;
	struct olio_iova dma;

	signal(SIGSEGV, with_handler ? jump : SIG_DFL);
	m = lab_open(&d);
	dev = lab_dev(m, "dev0");
	mem = lab_pin(m, p, PAGE);
	ok(olio_dma_map(dev, mem->runs, OLIO_FROM_DEVICE, 0, &dma));
	(void)guarded[0];
	for (volatile int i = 0; i < 6; i++) {
		if (sigsetjmp(back, 1))
			continue;
		(void)*(i & 1 ? closed : nothing);
		_exit(1); /* it should have faulted */
	}
	(void)guarded[1];
	/* Ours, but open already: now it is the program that has closed it. */
	mprotect(p, PAGE, PROT_NONE);
	if (!sigsetjmp(back, 1)) {
		(void)guarded[2];
		_exit(3);
	}
	mprotect(p, PAGE, PROT_READ | PROT_WRITE);
	ok(olio_dma_unmap(dev, dma, PAGE, OLIO_FROM_DEVICE, 0));
	_exit(oli_misuse_newest(m) == 1 ? 0 : 2);
}

static void guard_passes_on_what_is_not_its_own(void)
{
	int status;
	pid_t pid;

	for (int with = 0; with < 2; with++) {
		pid = fork();
		if (!pid) {
			alarm(20);
			strangers_faults(with);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (with)
			assert_int_equal(status, 0);
		else
			assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	}
}

static _Atomic bool stop;

static void *toucher(void *p)
{
	while (!atomic_load(&stop))
		(void)*(volatile u8 *)p;
	return NULL;
}

/* A page is opened by one thread while others fault on it, and while it is unmapped. */
static void guard_and_threads(void)
{
	struct oli_desc d = guarded_desc();
	struct oli_machine *m = lab_open(&d);
	struct olio_dev *dev = lab_dev(m, "dev0");
	u8 *p = lab_pages(PAGE);
	struct olio_mem *mem = lab_pin(m, p, PAGE);
	struct olio_iova dma;
	pthread_t t[2];

	atomic_store(&stop, false);
	for (int i = 0; i < 2; i++)
		ok(pthread_create(&t[i], NULL, toucher, p));
	for (int i = 0; i < 1000; i++) {
		ok(olio_dma_map(dev, mem->runs, OLIO_FROM_DEVICE, 0, &dma));
		ok(olio_dma_unmap(dev, dma, PAGE, OLIO_FROM_DEVICE, 0));
	}
	atomic_store(&stop, true);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	olio_dev_close(dev);
	oli_mem_put(mem);
	munmap(p, PAGE);
	rig_close(m);
}

#define GUARD_TEST(name)                                                                           \
	static void test_##name(void **state)                                                      \
	{                                                                                          \
		(void)state;                                                                       \
		if (!can_guard())                                                                  \
			skip();                                                                    \
		name();                                                                            \
	}

GUARD_TEST(guard_goes_with_the_mapping)
GUARD_TEST(guard_leaves_strangers_alone)
GUARD_TEST(guard_passes_on_what_is_not_its_own)
GUARD_TEST(guard_and_threads)

/* ---- want of memory ---- */

/* Correct in all it does; each answer may be a refusal. */
static void correct(struct olio_dev *dev, struct olio_mem *mem)
{
	struct olio_iova_state two;
	struct olio_map *list;
	struct olio_iova dma;

	if (!olio_dma_map(dev, mem->runs, OLIO_BIDIRECTIONAL, 0, &dma)) {
		(void)!olio_dma_sync_for_cpu(dev, dma, PAGE, OLIO_BIDIRECTIONAL);
		(void)!olio_dma_sync_for_device(dev, dma, PAGE, OLIO_BIDIRECTIONAL);
		ok(olio_dma_unmap(dev, dma, PAGE, OLIO_BIDIRECTIONAL, 0));
	}
	if (!olio_iova_alloc(dev, &two, mem->runs[0].pa, PAGE)) {
		if (!olio_iova_link(&two, mem->runs, 0, OLIO_TO_DEVICE, 0)) {
			if (!olio_iova_sync(&two, 0, PAGE))
				(void)0;
			ok(olio_iova_destroy(&two, PAGE, OLIO_TO_DEVICE, 0));
		} else {
			ok(olio_iova_free(&two));
		}
	}
	if (!olio_map_list(dev, mem->runs, mem->nruns, OLIO_TO_DEVICE, 0, &list))
		olio_map_unmap(list);
}

static void test_want_of_memory_is_silent(void **state)
{
	struct oli_desc d = guarded_desc();
	int n = 0, left;

	(void)state;
	do {
		struct oli_machine *m = lab_open(&d);
		u8 *p = lab_pages(PAGE);
		struct olio_mem *mem = lab_pin(m, p, PAGE);
		struct olio_dev *dev = NULL;

		oli_fault_countdown = ++n;
		if (!oli_dev_open(m, "dev0", &dev))
			correct(dev, mem);
		left = oli_fault_countdown;
		oli_fault_countdown = 0;
		if (!dev)
			dev = lab_dev(m, "dev0");
		correct(dev, mem);
		olio_dev_close(dev);
		assert_int_equal(oli_misuse_newest(m), 0);
		oli_mem_put(mem);
		munmap(p, PAGE);
		rig_close(m);
	} while (!left);
	assert_in_range(n, 10, 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ring_keeps_the_newest),
		cmocka_unit_test(test_ring_is_never_torn),
		cmocka_unit_test(test_no_class_no_checker),
		cmocka_unit_test(test_accesses_byte_by_byte),
		cmocka_unit_test(test_wild_accesses),
		cmocka_unit_test(test_each_time_it_changes_hands),
		cmocka_unit_test(test_kept_iovas_come_back),
		cmocka_unit_test(test_not_too_much_is_kept),
		cmocka_unit_test(test_only_seen_by_an_access),
		cmocka_unit_test(test_guard_goes_with_the_mapping),
		cmocka_unit_test(test_guard_leaves_strangers_alone),
		cmocka_unit_test(test_guard_passes_on_what_is_not_its_own),
		cmocka_unit_test(test_guard_and_threads),
		cmocka_unit_test(test_want_of_memory_is_silent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
