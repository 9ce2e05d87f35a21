// SPDX-License-Identifier: MIT
/* What memory is, physically: runs of frames. */
#include <stdio.h>
#include <stdlib.h>

#include <olio/machine.h>
#include <olio/mem.h>

int main(void)
{
	char *buf = malloc(10000), why[512];
	const struct olio_run *runs;
	struct olio_machine *m;
	struct olio_mem *mem;
	size_t n;

	if (olio_machine_create(NULL, "pc", &m, why, sizeof(why)))
		return 1;
	if (olio_mem_pin(m, buf, 10000, 0, &mem))
		return 1;
	runs = olio_mem_runs(mem, &n);
	for (size_t i = 0; i < n; i++)
		printf("%5llu bytes of %s at 0x%llx\n", (unsigned long long)runs[i].len,
		       olio_mem_kind_name(runs[i].kind), (unsigned long long)runs[i].pa.v);
	olio_mem_put(mem);
	olio_machine_close(m);
	free(buf);
	return 0;
}
