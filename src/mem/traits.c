// SPDX-License-Identifier: MIT
/*
 * Memory that one should not give to a device, though one can: stacks, program text,
 * constants. Found out when it is pinned, for the checker (class 10).
 *
 * The first thread's stack is a mapping of its own, which the kernel fills with the
 * program's arguments and some random bytes; where those are it tells. Other
 * threads' stacks are ordinary memory, and may be one mapping with other memory: each
 * thread knows its own, and is asked only for that.
 */
#include <sys/auxv.h>
#include <unistd.h>

#include "base/sys.h"
#include "mem/int.h"
#include "mem/maps.h"

u32 oli_traits_of_thread(u64 first, u64 last)
{
	/* [low, high), of this thread; low is 0 until it was asked for. */
	static _Thread_local u64 low, high;

	if (!low) {
		pthread_attr_t attr;
		void *base = NULL;
		size_t size = 0;

		low = high = 1;
		if (oli_sys_gettid() != getpid() && !pthread_getattr_np(pthread_self(), &attr)) {
			pthread_attr_getstack(&attr, &base, &size);
			pthread_attr_destroy(&attr);
			low = (u64)(uintptr_t)base;
			high = low + size;
		}
	}
	return first < high && last >= low ? OLI_TRAIT_STACK : 0;
}

u32 oli_traits_of(const struct oli_vma *vma)
{
	u64 on_stack = getauxval(AT_RANDOM);
	u32 traits = 0;

	if (on_stack >= vma->start && on_stack < vma->end)
		traits |= OLI_TRAIT_STACK;
	if (vma->flags & OLI_VMA_EXEC)
		traits |= OLI_TRAIT_TEXT;
	if ((vma->flags & (OLI_VMA_FILE | OLI_VMA_SHARED | OLI_VMA_WRITE)) == OLI_VMA_FILE)
		traits |= OLI_TRAIT_RODATA;
	return traits;
}
