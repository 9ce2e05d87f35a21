// SPDX-License-Identifier: MIT
/*
 * Guards: pages that a device owns as a whole and may write to are made inaccessible for
 * the CPU. Who touches one is noticed at that very instruction (class 25; 27 a write;
 * 35 where there is a copy), the page is opened, and the instruction goes on.
 *
 *   slot     a guarded page: its address, state and track, in a table of this process
 *   sighting what the handler has seen, until the next hook of the checker reports it
 *
 * The handler runs in the program's thread at any place: it takes no lock, allocates
 * nothing, and names nothing. It reads slots and writes sightings with atomics, and
 * makes one system call. A fault that is not ours goes to whoever was asked before us; who
 * asks for the signal after us gets it, until the next guard is set. A fault may have been
 * ours when it happened and be no more when it is looked up, because another thread took
 * the guard away, and may have set it again meanwhile: so the instruction is tried again
 * some times before its fault is passed on.
 *
 * Slots are taken and given back under the table's lock. Only private or
 * shared memory that can be read and written, and not executed, is guarded: that is what it is
 * set back to. System calls of the program on a guarded page fail with EFAULT instead of
 * being noticed.
 *
 * With AddressSanitizer or ThreadSanitizer there are no guards: they want the signal for
 * themselves.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/fault.h"
#include "dma/check_int.h"
#include "mem/maps.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define GUARDS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define GUARDS 0
#endif
#endif
#ifndef GUARDS
#define GUARDS 1
#endif

#define SLOTS	  32768 /* power of two */
#define TRIES	  32
#define SIGHTINGS 64 /* power of two */
#define BEFORE	  16
#define PATIENCE  64

static struct slot {
	_Atomic u64 page; /* its address; 0: free */
	_Atomic u32 use; /* counts the guards that it stood for */
	_Atomic u32 open; /* the one of them that was touched last */
	struct oli_track *track;
} slots[SLOTS];

static struct sighting {
	_Atomic u64 page; /* written last; 0: none */
	_Atomic(const void *) pc;
	_Atomic bool write;
} sightings[SIGHTINGS];

static _Atomic u32 next_sighting;
static _Atomic bool any_seen;
/* Slots belong to the checkers of all machines of this process. */
static pthread_mutex_t slots_lock = PTHREAD_MUTEX_INITIALIZER;
/* Who had the signal before us: entries are written once. */
static struct sigaction before[BEFORE];
static u32 nr_before;
static _Atomic(const struct sigaction *) previous;
static _Thread_local struct {
	u64 page;
	u32 times;
} unknown;
static _Thread_local struct {
	const void *info, *frame;
} passing;

static u32 home(u64 page)
{
	return (u32)((page >> OLI_PAGE_SHIFT) * 0x9e3779b97f4a7c15ull >> 40) & (SLOTS - 1);
}

/* Slots are free and taken in any order, so all places that a page may have are looked at. */
static struct slot *find(u64 page)
{
	for (u32 i = 0; i < TRIES; i++) {
		struct slot *s = &slots[(home(page) + i) & (SLOTS - 1)];

		if (atomic_load(&s->page) == page)
			return s;
	}
	return NULL;
}

/* ---- the handler ---- */

static const void *fault_pc(const ucontext_t *uc)
{
#if defined(__x86_64__)
	return (const void *)(uintptr_t)uc->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
	return (const void *)(uintptr_t)uc->uc_mcontext.pc;
#else
	(void)uc;
	return NULL;
#endif
}

/* Elsewhere a write is reported as a read, and found again in the bytes. */
static bool fault_write(const ucontext_t *uc)
{
#if defined(__x86_64__)
	return uc->uc_mcontext.gregs[REG_ERR] & 2;
#else
	(void)uc;
	return false;
#endif
}

/*
 * Somebody who had the signal from us may pass the same one on to us: then it is on our
 * stack twice. A handler that jumps out is no reason to think so the next time, when the
 * kernel may put everything at the same place.
 */
static void pass_on(int sig, siginfo_t *info, void *uc, const void *frame)
{
	const struct sigaction *to = atomic_load(&previous);
	bool again = passing.info == info && (uintptr_t)frame < (uintptr_t)passing.frame;

	passing.info = info;
	passing.frame = frame;
	if (!again && to->sa_flags & SA_SIGINFO)
		to->sa_sigaction(sig, info, uc);
	else if (!again && to->sa_handler != SIG_DFL && to->sa_handler != SIG_IGN)
		to->sa_handler(sig);
	else /* The instruction faults again, and then it is the default's. */
		sigaction(sig, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
	passing.info = NULL;
}

/* May a fault that finds no closed page of ours be one of a moment ago? */
static bool try_again(u64 page)
{
	if (unknown.page != page)
		unknown.times = 0;
	unknown.page = page;
	if (++unknown.times < PATIENCE)
		return true;
	unknown.times = 0;
	return false;
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
	int saved = errno;
	u64 page = (u64)(uintptr_t)info->si_addr & ~(OLI_PAGE_SIZE - 1);
	struct slot *s = page && info->si_code == SEGV_ACCERR ? find(page) : NULL;
	u32 use = s ? atomic_load(&s->use) : 0;
	struct sighting *seen;

	/* Read in this order the slot's use is that of the page, or of a later one. */
	if (!s || atomic_load(&s->page) != page || atomic_load(&s->open) == use) {
		if (info->si_code != SEGV_ACCERR || !try_again(page))
			pass_on(sig, info, context, __builtin_frame_address(0));
		return;
	}
	unknown.page = 0;
	seen = &sightings[atomic_fetch_add(&next_sighting, 1) & (SIGHTINGS - 1)];
	atomic_store(&seen->page, 0);
	atomic_store(&seen->pc, fault_pc(context));
	atomic_store(&seen->write, fault_write(context));
	atomic_store(&seen->page, page);
	atomic_store(&any_seen, true);
	mprotect((void *)(uintptr_t)page, OLI_PAGE_SIZE, PROT_READ | PROT_WRITE);
	atomic_store(&s->open, use);
	errno = saved;
}

static bool remember(const struct sigaction *act)
{
	u32 i = 0;

	while (i < nr_before && before[i].sa_sigaction != act->sa_sigaction)
		i++;
	if (i == BEFORE)
		return false;
	if (i == nr_before)
		before[nr_before++] = *act;
	atomic_store(&previous, &before[i]);
	return true;
}

/* With the table's lock. */
static bool install(void)
{
	struct sigaction ours = {.sa_sigaction = on_fault,
				 .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
	struct sigaction now;

	if (sigaction(SIGSEGV, NULL, &now))
		return false;
	if (now.sa_flags & SA_SIGINFO && now.sa_sigaction == on_fault)
		return true;
	return remember(&now) && sigaction(SIGSEGV, &ours, NULL) == 0;
}

/* ---- setting and clearing ---- */

/* The page of @t at @pa: its address here, if it is in this process's memory. */
static u64 page_at(const struct oli_track *t, u64 pa)
{
	struct oli_phys phys;

	if (!oli_phys_find(t->dev->m, (struct olio_pa){pa}, &phys) || phys.kind != OLI_PHYS_FRAME ||
	    phys.slot != t->dev->m->slot)
		return 0;
	return phys.va;
}

static bool may_guard(struct oli_maps *maps, u64 page)
{
	const u32 rwx = OLI_VMA_READ | OLI_VMA_WRITE | OLI_VMA_EXEC;
	struct oli_vma vma;

	return !oli_maps_find(maps, page, &vma) && vma.start <= page &&
	       vma.page_size == OLI_PAGE_SIZE &&
	       (vma.flags & rwx) == (OLI_VMA_READ | OLI_VMA_WRITE);
}

static bool guard(struct oli_track *t, u64 page)
{
	struct slot *s = NULL;

	if (find(page))
		return false; /* another track's */
	for (u32 i = 0; i < TRIES && !s; i++) {
		s = &slots[(home(page) + i) & (SLOTS - 1)];
		if (atomic_load(&s->page))
			s = NULL;
	}
	if (!s)
		return false;
	s->track = t;
	atomic_fetch_add(&s->use, 1);
	atomic_store(&s->page, page);
	if (mprotect((void *)(uintptr_t)page, OLI_PAGE_SIZE, PROT_NONE)) {
		atomic_store(&s->page, 0);
		return false;
	}
	t->guard[t->nr_guards++] = (u32)(s - slots);
	return true;
}

/* Are all lines of [@pa, @pa + a page) the device's? */
static bool all_owned(const struct oli_track *t, u64 pa)
{
	u64 line = t->dev->desc->cache_line;
	u64 i = (pa - (t->run.pa.v & ~(line - 1))) / line;

	for (u64 n = OLI_PAGE_SIZE / line; n; n--, i++)
		if ((t->state[i] & OLI_LINE_STATE) != OLI_LINE_DEVICE)
			return false;
	return true;
}

void oli_guard_set(struct oli_track *t)
{
	u64 first = oli_align_up(t->run.pa.v, OLI_PAGE_SIZE);
	u64 end = (t->run.pa.v + t->len) & ~(OLI_PAGE_SIZE - 1);
	unsigned int class_ = t->bounced ? 35 : 25;
	struct oli_maps maps;

	if (!GUARDS || !(t->dir & OLIO_FROM_DEVICE) || !oli_check_on(t->dev->m, class_) ||
	    first >= end || t->nr_guards || oli_maps_open(&maps, false))
		return;
	t->guard = OLI_FAULT() ? NULL : malloc((end - first) / OLI_PAGE_SIZE * sizeof(u32));
	pthread_mutex_lock(&slots_lock);
	if (t->guard && !install())
		end = first;
	for (u64 pa = first; t->guard && pa < end; pa += OLI_PAGE_SIZE) {
		u64 page = page_at(t, pa);

		/* The list of mappings is read in ascending order, as one run's pages are. */
		if (page && all_owned(t, pa) && may_guard(&maps, page))
			guard(t, page);
	}
	pthread_mutex_unlock(&slots_lock);
	oli_maps_close(&maps);
	if (!t->nr_guards) {
		free(t->guard);
		t->guard = NULL;
	}
}

/* ---- reports ---- */

static void tell(const struct sighting *seen, struct oli_track *t, u64 page)
{
	/* The instruction itself, where names are asked for what comes before. */
	const void *pc = (const u8 *)atomic_load(&seen->pc) + 1;
	bool write = atomic_load(&seen->write);

	if (write)
		oli_say_once(t, 27, pc, t->site,
			     "the CPU wrote to the page at 0x%" PRIx64
			     ", which the device owns: it is mapped at DMA address 0x%" PRIx64,
			     page, t->dma);
	else if (t->bounced)
		oli_say_once(t, 35, pc, t->site,
			     "the CPU read the page at 0x%" PRIx64
			     ", but the device writes to a copy of it until the next sync",
			     page);
	else
		oli_say_once(t, 25, pc, t->site,
			     "the CPU read the page at 0x%" PRIx64
			     ", which the device owns: it is mapped at DMA address 0x%" PRIx64,
			     page, t->dma);
}

/* With the table's lock. Sightings of other machines' checkers are left for them. */
static void report(struct oli_check_local *l)
{
	if (!atomic_exchange(&any_seen, false))
		return;
	for (u32 i = 0; i < SIGHTINGS; i++) {
		struct sighting *seen = &sightings[i];
		u64 page = atomic_load(&seen->page);
		struct slot *s = page ? find(page) : NULL;

		if (s && s->track->dev->check->local != l) {
			atomic_store(&any_seen, true);
			continue;
		}
		if (s)
			tell(seen, s->track, page);
		/* Unless the handler has put another one there meanwhile. */
		if (page)
			atomic_compare_exchange_strong(&seen->page, &page, 0);
	}
}

void oli_guard_report(struct oli_check_local *l)
{
	if (!atomic_load_explicit(&any_seen, memory_order_relaxed))
		return;
	pthread_mutex_lock(&slots_lock);
	report(l);
	pthread_mutex_unlock(&slots_lock);
}

void oli_guard_drain(struct oli_machine *m)
{
	struct oli_check_local *l = oli_check_local(m);

	if (!l || !atomic_load_explicit(&any_seen, memory_order_relaxed))
		return;
	pthread_mutex_lock(&l->lock);
	oli_guard_report(l);
	pthread_mutex_unlock(&l->lock);
}

/* Is there still what was guarded? The program may have unmapped it and have something else there.
 */
static bool still_closed(struct oli_maps *maps, u64 page)
{
	struct oli_vma vma;

	return !maps || (!oli_maps_find(maps, page, &vma) && vma.start <= page &&
			 !(vma.flags & (OLI_VMA_READ | OLI_VMA_WRITE | OLI_VMA_EXEC)));
}

static void open_pages(struct oli_track *t)
{
	struct oli_maps maps, *have = oli_maps_open(&maps, false) ? NULL : &maps;

	for (u32 i = 0; i < t->nr_guards; i++) {
		u64 page = atomic_load(&slots[t->guard[i]].page);

		if (still_closed(have, page))
			mprotect((void *)(uintptr_t)page, OLI_PAGE_SIZE, PROT_READ | PROT_WRITE);
	}
	if (have)
		oli_maps_close(have);
}

void oli_guard_clear(struct oli_track *t)
{
	if (!t->nr_guards)
		return;
	pthread_mutex_lock(&slots_lock);
	open_pages(t);
	/* What was seen until now is told while the track is known. */
	report(t->dev->check->local);
	for (u32 i = 0; i < t->nr_guards; i++)
		atomic_store(&slots[t->guard[i]].page, 0);
	pthread_mutex_unlock(&slots_lock);
	free(t->guard);
	t->guard = NULL;
	t->nr_guards = 0;
}
