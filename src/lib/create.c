// SPDX-License-Identifier: MIT
/*
 * Machines, from the outside: opening, making, closing, and their clock.
 *
 * A type is a built-in description or a file of one; the file is read here, for the
 * layer below knows nothing of YAML. Whether a machine that is there already is of
 * the wanted type is decided there, by all that the descriptions say.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "lib/observe.h"
#include "lib/desc_yaml.h"

static bool is_file(const char *type)
{
	size_t n = strlen(type);

	return strchr(type, '/') || (n > 5 && !strcmp(type + n - 5, ".yaml"));
}

static int attach(const struct oli_machine_opts *opts, struct olio_machine **out, char *why)
{
	struct olio_machine *m = OLI_FAULT() ? NULL : calloc(1, sizeof(*m));
	int ret;

	if (!m) {
		snprintf(why, OLI_WHY_MAX, "out of memory");
		return -ENOMEM;
	}
	ret = oli_machine_open(opts, oli_parts, &m->m, why);
	if (ret)
		free(m);
	else
		*out = m;
	return ret;
}

static int attach_file(struct oli_machine_opts *opts, const char *path, struct olio_machine **out,
		       char *why)
{
	struct oli_desc *d = OLI_FAULT() ? NULL : calloc(1, sizeof(*d));
	int ret;

	if (!d) {
		snprintf(why, OLI_WHY_MAX, "out of memory");
		return -ENOMEM;
	}
	ret = oli_yaml_load(path, d, why, OLI_WHY_MAX);
	opts->desc = d;
	if (!ret)
		ret = attach(opts, out, why);
	free(d);
	return ret;
}

static int open_type(struct oli_machine_opts *opts, const char *type, struct olio_machine **out,
		     char *why, size_t why_size)
{
	char text[OLI_WHY_MAX] = "";
	int ret;

	if (type && is_file(type)) {
		ret = attach_file(opts, type, out, text);
	} else {
		opts->type = type;
		ret = attach(opts, out, text);
	}
	if (ret && why && why_size)
		snprintf(why, why_size, "%s", text);
	return ret;
}

int olio_machine_open(const char *name, unsigned int flags, struct olio_machine **out, char *why,
		      size_t why_size)
{
	struct oli_machine_opts opts = {
		.name = name,
		.observer = true,
		.no_create = flags & OLIO_MACHINE_NO_CREATE,
	};

	if (flags & ~OLIO_MACHINE_NO_CREATE)
		return -EINVAL;
	return open_type(&opts, NULL, out, why, why_size);
}

int olio_machine_open_type(const char *name, const char *type, struct olio_machine **out, char *why,
			   size_t why_size)
{
	struct oli_machine_opts opts = {.name = name, .observer = true};

	return open_type(&opts, type, out, why, why_size);
}

int olio_machine_create(const char *name, const char *type, struct olio_machine **out, char *why,
			size_t why_size)
{
	struct oli_machine_opts opts = {.name = name, .private_dir = !name};

	return open_type(&opts, type, out, why, why_size);
}

void olio_machine_close(struct olio_machine *m)
{
	if (!m)
		return;
	oli_machine_close(m->m);
	free(m);
}

const char *olio_machine_dir(const struct olio_machine *m)
{
	return m->m->dir;
}

int olio_machine_types(u32 *pos, const char **name, const char **about)
{
	const struct oli_desc *d = oli_desc_at(*pos);

	if (!d)
		return 0;
	(*pos)++;
	*name = d->type;
	*about = d->about;
	return 1;
}

int olio_machine_yaml(struct olio_machine *m, char *text, size_t size, size_t *len)
{
	char *all;
	size_t n;
	int ret = oli_yaml_dump(&m->m->shm->desc, &all, &n);

	if (ret)
		return ret;
	*len = n;
	if (n < size)
		memcpy(text, all, n + 1);
	free(all);
	return n < size ? 0 : -E2BIG;
}

int olio_machine_freeze(struct olio_machine *m)
{
	return oli_machine_freeze(m->m);
}

int olio_machine_advance(struct olio_machine *m, u64 ns)
{
	return oli_machine_advance(m->m, ns);
}
