// SPDX-License-Identifier: MIT
/*
 * The process and its machine.
 *
 * A program under the preload library may never touch an RDMA device, so the
 * machine is attached at first use. If that fails the reason is said once; the
 * process then sees no devices and is not told again at each call.
 *
 * fork: the child has the parent's memory and descriptors but none of its
 * threads, and it is another process of the machine. It lets go of everything
 * inherited and attaches anew when it needs to. All locks of this folder are
 * taken before the fork, in the order process, evfd pool, file pool, threads,
 * scratch, so that the child finds what they guard whole.
 *
 * exit: the slot is given back while other threads may still run. Their files
 * die first, then they are waited for. If one does not come out of its command
 * the machine is left as it is: the process's death is as good, and whoever
 * looks at the machine next cleans up.
 */
#include <errno.h>
#include <stdatomic.h>

#include "base/log.h"
#include "base/sys.h"
#include "rdma/rdma.h"
#include "uapi/thread.h"
#include "uapi/uaccess.h"
#include "uapi/ufile.h"

static struct {
	pthread_mutex_t lock;
	struct oli_machine *_Atomic machine; /* written under @lock */
	bool failed; /* @lock */
} process = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool sysfs_there(struct oli_machine *m)
{
	char name[OLI_SYS_NAME];
	int fd;

	oli_sys_name(m, name);
	fd = oli_sys_openat(m->dirfd, name, O_RDONLY | O_DIRECTORY, 0);
	if (fd >= 0)
		oli_sys_close(fd);
	return fd >= 0;
}

/* The first process that is shown these devices makes their tree: whoever finds none. */
static void sysfs_ensure(struct oli_machine *m)
{
	int rc = sysfs_there(m) ? 0 : oli_sysfs_build(m);

	if (rc)
		oli_warn("cannot describe the devices under %s (error %d): programs that "
			 "read /sys/class/infiniband will not find them",
			 m->dir, -rc);
}

static void guard(int fd, bool on)
{
	if (on)
		oli_fd_guard(fd);
	else
		oli_fd_unguard(fd);
}

static struct oli_machine *attach_locked(void)
{
	const struct oli_machine_opts opts = {0};
	struct oli_machine *m = NULL;
	char why[OLI_WHY_MAX] = "";
	int saved = errno;

	oli_fd_guard_hook = guard;
	if (oli_machine_open(&opts, oli_parts, &m, why)) {
		process.failed = true;
		oli_warn("no RDMA devices: %s", why);
		m = NULL;
	} else {
		oli_threads_prepare();
		sysfs_ensure(m);
	}
	errno = saved;
	return m;
}

struct oli_machine *oli_process_machine(void)
{
	struct oli_machine *m = atomic_load_explicit(&process.machine, memory_order_acquire);

	if (m)
		return m;
	pthread_mutex_lock(&process.lock);
	m = process.machine;
	if (!m && !process.failed) {
		m = attach_locked();
		atomic_store_explicit(&process.machine, m, memory_order_release);
	}
	pthread_mutex_unlock(&process.lock);
	return m;
}

void oli_process_fork_prepare(void)
{
	pthread_mutex_lock(&process.lock);
	oli_evfd_fork_prepare();
	oli_ufile_fork_prepare();
	oli_threads_fork_prepare();
	oli_uaccess_fork_prepare();
}

void oli_process_fork_parent(void)
{
	oli_uaccess_fork_parent();
	oli_threads_fork_parent();
	oli_ufile_fork_parent();
	oli_evfd_fork_parent();
	pthread_mutex_unlock(&process.lock);
}

void oli_process_fork_child(void)
{
	struct oli_machine *m = process.machine;

	oli_threads_fork_child();
	oli_uaccess_fork_child();
	oli_ufile_fork_child();
	oli_evfd_fork_child();
	oli_visible_forget();
	process.machine = NULL;
	process.failed = false;
	pthread_mutex_init(&process.lock, NULL);
	if (m)
		oli_machine_forget(m);
}

void oli_process_exec(bool begin)
{
	struct oli_machine *m = atomic_load(&process.machine);

	if (!m)
		return;
	oli_slot_suspend(m, begin);
	if (begin)
		oli_quiesce(m);
}

void oli_process_exit(void)
{
	struct oli_machine *m;

	pthread_mutex_lock(&process.lock);
	m = atomic_exchange(&process.machine, NULL);
	process.failed = true;
	pthread_mutex_unlock(&process.lock);
	if (!m)
		return;
	oli_ufile_kill_all();
	/* A thread that stays in the machine: then its end is the reaper's business. */
	if (oli_threads_quiesce())
		oli_machine_leave(m);
}
