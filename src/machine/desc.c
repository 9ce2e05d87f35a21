// SPDX-License-Identifier: MIT
/* Descriptions: built-in ones, and what makes one sound. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "machine/desc.h"

static const struct oli_desc builtin[] = {
	{.type = "pc", .about = "a workstation: strict VT-d, coherent"},
};

const struct oli_desc *oli_desc_at(u32 i)
{
	return i < OLI_ARRAY_SIZE(builtin) ? &builtin[i] : NULL;
}

int oli_desc_builtin(const char *type, struct oli_desc *out)
{
	char why[OLI_DESC_WHY];

	for (u32 i = 0; i < OLI_ARRAY_SIZE(builtin); i++)
		if (!strcmp(builtin[i].type, type)) {
			*out = builtin[i];
			return oli_desc_check(out, why);
		}
	return -ENOENT;
}

int oli_desc_check(struct oli_desc *d, char *why)
{
	(void)d;
	(void)why;
	return 0;
}
