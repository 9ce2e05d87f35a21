// SPDX-License-Identifier: MIT
/*
 * What all sources of memory have in common: the list of runs, and the questions that
 * it answers.
 *
 *   runs   in the order of the memory, none empty, no two of one kind that touch
 *   ends   ends[i] is the sum of the lengths of runs 0 … i, so that a slice is found
 *          by halving. The last one is the memory's length
 *
 * The sum of all runs cannot wrap: it is at most the length that the source was
 * asked for, which was checked.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/why.h"
#include "mem/src.h"

const char *olio_mem_kind_name(enum olio_mem_kind kind)
{
	static const char *const name[] = {
#define NAME(id, text) text,
		OLIO_MEM_KINDS(NAME)
#undef NAME
	};

	return (unsigned int)kind < OLI_ARRAY_SIZE(name) ? name[kind] : "?";
}

/* ---- for sources ---- */

static int grow(struct olio_mem *mem)
{
	size_t room = mem->room ? 2 * mem->room : 4;
	struct olio_run *runs = OLI_FAULT() ? NULL : realloc(mem->runs, room * sizeof(*runs));
	u64 *ends;

	if (!runs)
		return -ENOMEM;
	mem->runs = runs;
	ends = OLI_FAULT() ? NULL : realloc(mem->ends, room * sizeof(*ends));
	if (!ends)
		return -ENOMEM;
	mem->ends = ends;
	mem->room = room;
	return 0;
}

int oli_src_add(struct olio_mem *mem, struct olio_pa pa, u64 len, enum olio_mem_kind kind,
		u32 provider)
{
	struct olio_run *last = mem->nruns ? &mem->runs[mem->nruns - 1] : NULL;

	if (last && last->pa.v + last->len == pa.v && last->kind == kind &&
	    last->provider == provider) {
		last->len += len;
		mem->ends[mem->nruns - 1] += len;
		return 0;
	}
	if (mem->nruns == mem->room && grow(mem))
		return -ENOMEM;
	mem->runs[mem->nruns] =
		(struct olio_run){.pa = pa, .len = len, .kind = kind, .provider = provider};
	mem->ends[mem->nruns] = (mem->nruns ? mem->ends[mem->nruns - 1] : 0) + len;
	mem->nruns++;
	return 0;
}

void oli_mem_put(struct olio_mem *mem)
{
	if (!mem)
		return;
	mem->ops->put(mem);
	free(mem->runs);
	free(mem->ends);
	free(mem);
}

/* ---- the public calls ---- */

const struct olio_run *olio_mem_runs(const struct olio_mem *mem, size_t *n)
{
	*n = mem->nruns;
	return mem->runs;
}

uint64_t olio_mem_len(const struct olio_mem *mem)
{
	return mem->len;
}

/* Index of the run that byte @offset lies in. @offset is inside. */
static size_t run_at(const struct olio_mem *mem, u64 offset)
{
	size_t low = 0, high = mem->nruns - 1;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (mem->ends[mid] > offset)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

int olio_mem_slice(const struct olio_mem *mem, uint64_t offset, uint64_t len, struct olio_run *runs,
		   size_t max, size_t *n)
{
	size_t first, last;
	u64 skip;

	if (!len)
		return oli_refuse(OLIO_REASON_BAD_ARGUMENT, "an empty slice was asked for");
	if (!oli_range_inside(offset, len, 0, mem->len))
		return oli_refuse(OLIO_REASON_BEYOND_END,
				  "%llu bytes at offset %llu are not inside memory of %llu bytes",
				  (unsigned long long)len, (unsigned long long)offset,
				  (unsigned long long)mem->len);
	first = run_at(mem, offset);
	last = run_at(mem, offset + len - 1);
	*n = last - first + 1;
	if (*n > max)
		return -E2BIG;
	memcpy(runs, mem->runs + first, *n * sizeof(*runs));
	runs[*n - 1].len -= mem->ends[last] - (offset + len);
	skip = offset - (first ? mem->ends[first - 1] : 0);
	runs[0].pa.v += skip;
	runs[0].len -= skip;
	return 0;
}

void *olio_mem_cpu(const struct olio_mem *mem, uint64_t offset)
{
	return offset < mem->len ? mem->cpu + offset : NULL;
}

static int share(struct olio_mem *mem, bool on)
{
	if (mem->m->pid != getpid())
		return oli_refuse(OLIO_REASON_BAD_STATE,
				  "process %d pinned this memory, not its forked child",
				  mem->m->pid);
	return mem->ops->share(mem, on);
}

int olio_mem_share(struct olio_mem *mem)
{
	return share(mem, true);
}

int olio_mem_unshare(struct olio_mem *mem)
{
	return share(mem, false);
}
