// SPDX-License-Identifier: MIT
/*
 * Proves that a device's code can run in one process on the memory of another, by
 * each way there is to that, and what it is told when that one is killed: before it was
 * reaped and after, never a byte of somebody else's.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bus/bus.h"
#include "iommu/domain.h"
#include "rig.h"

#define PAGE 4096u

struct told {
	struct oli_bus_id id;
	u64 iova;
	u32 slot;
};

/* Its two pages, the second one first. */
static int map_swapped(struct oli_domain *d, const struct olio_mem *mem, u64 *start)
{
	u64 *pa = rig_bytes(mem);
	struct olio_iova iova;
	int err = oli_domain_alloc(d, 2 * PAGE, UINT64_MAX, &iova);

	for (u32 i = 0; i < 2 && !err; i++) {
		struct olio_iova_range r = {{iova.v + i * PAGE}, {iova.v + i * PAGE + PAGE - 1}};

		err = oli_domain_map(d, r, (struct olio_pa){pa[(1 - i) * PAGE]},
				     OLI_PT_READ | OLI_PT_WRITE);
		if (!err)
			err = oli_domain_sync(d, r);
	}
	*start = iova.v;
	free(pa);
	return err;
}

static _Noreturn void owner(struct oli_machine *inherited, u8 *cpu, int say, int hear)
{
	struct oli_desc desc = rig_desc();
	struct oli_machine *m;
	struct oli_domain *d;
	struct olio_mem *mem;
	struct told t;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	oli_machine_forget(inherited);
	m = rig_open(&desc);
	if (oli_domain_get(m, DEV0, &d))
		_exit(1);
	t.id = (struct oli_bus_id){
		.node = DEV0, .space = oli_domain_hw(d)->id, .space_gen = oli_domain_hw(d)->gen};
	if (oli_mem_pin(m, cpu, 2 * PAGE, 0, &mem))
		_exit(1);
	t.slot = m->slot;
	if (map_swapped(d, mem, &t.iova))
		_exit(1);
	if (write(say, &t, sizeof(t)) != sizeof(t))
		_exit(1);
	/* Told to, it is about to become another program. */
	if (read(hear, &t.slot, 1) != 1)
		_exit(1);
	oli_slot_suspend(m, true);
	if (write(say, &t, 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

static int rd(struct oli_machine *m, const struct told *t, void *buf, u64 len)
{
	return oli_bus_read(m, &t->id, (struct olio_iova){t->iova}, buf, len);
}

/* The device's code runs in one process, the memory is another's, which is then killed. */
static void other_process(const char *way)
{
	struct oli_desc desc = rig_desc();
	struct oli_machine *m;
	u8 *cpu = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	u8 buf[2 * PAGE];
	struct told t;
	int said[2], hear[2], status;
	pid_t pid;

	setenv("OLIO_WAY", way, 1);
	m = rig_open(&desc);
	assert_int_equal(pipe(said), 0);
	assert_int_equal(pipe(hear), 0);
	rig_fill(cpu, 2 * PAGE, 8);
	pid = fork();
	if (!pid)
		owner(m, cpu, said[1], hear[0]);
	close(said[1]);
	close(hear[0]);
	assert_int_equal(read(said[0], &t, sizeof(t)), sizeof(t));
	assert_int_not_equal(t.slot, m->slot);
	assert_int_equal(rd(m, &t, buf, 2 * PAGE), 0);
	assert_memory_equal(buf, cpu + PAGE, PAGE);
	assert_memory_equal(buf + PAGE, cpu, PAGE);
	assert_int_equal(oli_bus_write(m, &t.id, (struct olio_iova){t.iova + PAGE - 2}, "over", 4),
			 0);
	assert_memory_equal(cpu + 2 * PAGE - 2, "ov", 2);
	assert_memory_equal(cpu, "er", 2);
	assert_int_equal(write(hear[1], "x", 1), 1);
	assert_int_equal(read(said[0], buf, 1), 1);
	assert_int_equal(rd(m, &t, buf, 1), -EFAULT);
	close(said[0]);
	close(hear[1]);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	status = rd(m, &t, buf, 1);
	assert_true(status == -EFAULT || status == -ESRCH);
	oli_reap(m);
	assert_int_equal(rd(m, &t, buf, 1), -EFAULT);
	assert_int_equal(oli_frames_used(m, (u16)t.slot), 0);
	munmap(cpu, 2 * PAGE);
	rig_close(m);
}

static void test_process_vm(void **state)
{
	(void)state;
	other_process("");
}

static void test_ring(void **state)
{
	(void)state;
	other_process("ring");
	unsetenv("OLIO_WAY");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_process_vm),
		cmocka_unit_test(test_ring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
