// SPDX-License-Identifier: MIT
/*
 * Machine descriptions: any text is refused with a sentence, or is read and, printed,
 * read again the same. The corpus are the examples. A random program is a list of words
 * out of which descriptions are made.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/desc_yaml.h"
#include "replay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct oli_desc one, two;
	char why[300] = "", *text;
	size_t len;

	if (oli_yaml_parse("f.yaml", (const char *)data, size, &one, why, sizeof(why))) {
		if (strncmp(why, "f.yaml:", 7) == 0)
			return 0;
		fprintf(stderr, "refused with '%s'\n", why);
		abort();
	}
	if (oli_yaml_dump(&one, &text, &len))
		abort();
	if (oli_yaml_parse("f.yaml", text, len, &two, why, sizeof(why)) ||
	    memcmp(&one, &two, sizeof(one)) != 0) {
		fprintf(stderr, "%s\n%s", why, text);
		abort();
	}
	free(text);
	return 0;
}

const uint8_t *replay_random(uint8_t *data, size_t size, size_t *n)
{
	static const char *const words[] = {
		"base: pc\n", "nodes:\n", "- {name: a, kind: platform}\n", "- {name: b, ", "kind: endpoint, ",
		"parent: a, ", "bars: [{bar: 0, size: 4K}]", "}\n", "iommu:\n", "  mode: lazy\n",
		"  granule: 16K\n", "ram-size: 1G\n", "checker: [1, leak]\n", "- ", "&x ", "*x", "[", "]",
		"{", ": ", "\n", "no", "0x10", "\"", "#", "---\n"};
	size_t len = 0, count = (size_t)random() % 12;

	while (count--) {
		const char *w = words[(size_t)random() % OLI_ARRAY_SIZE(words)];

		if (len + strlen(w) > size)
			break;
		memcpy(data + len, w, strlen(w));
		len += strlen(w);
	}
	*n = len;
	return data;
}
