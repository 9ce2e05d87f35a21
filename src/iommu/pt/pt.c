// SPDX-License-Identifier: MIT
/*
 * The calls of the layer: they check what they are given, and hand it to the
 * format. Behind these checks ranges are whole granules inside the limits, pa's
 * do not run over theirs, and a range's length minus one fits in 64 bits; only
 * the full 64-bit space has a length that does not, and nobody computes it.
 */
#include "iommu/pt/pt.h"

#include <errno.h>

#include "base/fault.h"

static_assert(sizeof(u64) * OLI_PT_ITEMS == OLI_PAGE_SIZE, "a table is a page");

static const struct oli_pt_format *const formats[] = {
#define FORMAT(NAME, name, least, most) [OLI_PT_##NAME] = &oli_pt_##name,
	OLI_PT_FORMATS(FORMAT)
#undef FORMAT
};

const char *oli_pt_format_name(enum oli_pt_format_id id)
{
	return (unsigned int)id < OLI_PT_NR_FORMATS ? formats[id]->name : "?";
}

static u64 bits_last(unsigned int bits)
{
	return bits >= 64 ? UINT64_MAX : (1ull << bits) - 1;
}

/* Leaves of a level's own size need those of the level below, or they could not be split. */
static bool sizes_valid(u64 sizes, const struct oli_pt_format *format)
{
	unsigned int lg2;

	if (!(sizes & OLI_PAGE_SIZE) || sizes & ~format->sizes)
		return false;
	for (lg2 = 21; lg2 < 64; lg2 += 9)
		if (sizes >> lg2 & 1 && !(sizes >> (lg2 - 9) & 1))
			return false;
	return true;
}

static int config_check(const struct oli_pt_config *c)
{
	const struct oli_pt_format *format;

	if ((unsigned int)c->format >= OLI_PT_NR_FORMATS || c->levels > OLI_PT_MAX_LEVELS)
		return -EINVAL;
	format = formats[c->format];
	if (!format->iova_bits[c->levels] || c->iova_bits > format->iova_bits[c->levels] ||
	    c->pa_bits > format->pa_bits)
		return -EINVAL;
	if ((c->iova_bits && c->iova_bits <= OLI_PAGE_SHIFT) ||
	    (c->pa_bits && c->pa_bits <= OLI_PAGE_SHIFT))
		return -EINVAL;
	if (c->sizes && !sizes_valid(c->sizes, format))
		return -EINVAL;
	return c->features & ~format->features ? -EOPNOTSUPP : 0;
}

static void pt_fill(struct oli_pt *pt, const struct oli_pt_config *c, const struct oli_pt_mem *mem,
		    struct olio_pa root, u64 *cpu)
{
	const struct oli_pt_format *format = formats[c->format];

	*pt = (struct oli_pt){
		.format = format,
		.mem = mem,
		.root = root,
		.iova_last = bits_last(c->iova_bits ?: format->iova_bits[c->levels]),
		.pa_last = bits_last(c->pa_bits ?: format->pa_bits),
		.sizes = c->sizes ?: format->sizes,
		.features = c->features,
		.attrs = format->attrs,
		.levels = c->levels,
		.path_level = c->levels,
	};
	pt->path[c->levels] = cpu;
	if (format->features & ~c->features & OLI_PT_SNOOP_CONTROL)
		pt->attrs &= ~(u32)OLI_PT_SNOOP;
}

int oli_pt_create(struct oli_pt *pt, const struct oli_pt_config *config,
		  const struct oli_pt_mem *mem)
{
	int rc = config_check(config);
	struct olio_pa root;
	void *cpu;

	if (rc)
		return rc;
	if (OLI_FAULT() || mem->ops->alloc(mem->ctx, &root, &cpu))
		return -ENOMEM;
	if (!mem->coherent)
		mem->ops->clean(mem->ctx, cpu, OLI_PAGE_SIZE);
	pt_fill(pt, config, mem, root, cpu);
	return 0;
}

int oli_pt_open(struct oli_pt *pt, const struct oli_pt_config *config, const struct oli_pt_mem *mem,
		struct olio_pa root)
{
	int rc = config_check(config);

	if (!rc)
		pt_fill(pt, config, mem, root, NULL);
	return rc;
}

void oli_pt_destroy(struct oli_pt *pt)
{
	pt->format->free(pt);
}

static int range_check(const struct oli_pt *pt, u64 start, u64 last)
{
	if (start > last || start % OLI_PAGE_SIZE || ~last % OLI_PAGE_SIZE)
		return -EINVAL;
	return last > pt->iova_last ? -ERANGE : 0;
}

static int attrs_check(const struct oli_pt *pt, u32 attrs)
{
	if (!(attrs & (OLI_PT_READ | OLI_PT_WRITE)) || attrs & ~(u32)OLI_PT_ALL_ATTRS ||
	    (attrs & OLI_PT_COHERENT && attrs & OLI_PT_MMIO))
		return -EINVAL;
	return attrs & ~pt->attrs ? -EOPNOTSUPP : 0;
}

int oli_pt_map(struct oli_pt *pt, struct olio_iova_range iova, struct olio_pa pa, u32 attrs,
	       struct oli_pt_gather *gather)
{
	int rc = range_check(pt, iova.start.v, iova.last.v);

	if (rc)
		return rc;
	if (pa.v % OLI_PAGE_SIZE)
		return -EINVAL;
	if (pa.v > pt->pa_last || iova.last.v - iova.start.v > pt->pa_last - pa.v)
		return -ERANGE;
	rc = attrs_check(pt, attrs);
	if (rc)
		return rc;
	return pt->format->map(pt, iova.start.v, iova.last.v, pa.v, attrs, gather);
}

s64 oli_pt_unmap(struct oli_pt *pt, struct olio_iova_range iova, struct oli_pt_gather *gather)
{
	int rc = range_check(pt, iova.start.v, iova.last.v);

	return rc ? rc : pt->format->unmap(pt, iova.start.v, iova.last.v, gather);
}

int oli_pt_look(const struct oli_pt *pt, struct olio_iova iova, struct oli_pt_leaf *leaf)
{
	return iova.v > pt->iova_last ? -ENOENT : pt->format->look(pt, iova.v, leaf);
}

int oli_pt_iova_to_phys(const struct oli_pt *pt, struct olio_iova iova, struct olio_pa *pa)
{
	struct oli_pt_leaf leaf;
	int rc = oli_pt_look(pt, iova, &leaf);

	if (!rc)
		pa->v = leaf.pa.v + (iova.v - leaf.iova.start.v);
	return rc;
}

int oli_pt_walk(const struct oli_pt *pt, struct olio_iova_range iova, oli_pt_visit visit, void *arg)
{
	int rc = range_check(pt, iova.start.v, iova.last.v);

	return rc ? rc : pt->format->walk(pt, iova.start.v, iova.last.v, visit, arg);
}

int oli_pt_touch(const struct oli_pt *pt, struct olio_iova iova, bool write)
{
	if (!(pt->features & OLI_PT_AD))
		return -EOPNOTSUPP;
	return iova.v > pt->iova_last ? -ENOENT : pt->format->touch(pt, iova.v, write);
}

int oli_pt_dirty(const struct oli_pt *pt, struct olio_iova_range iova, bool clear,
		 oli_pt_visit visit, void *arg)
{
	int rc = range_check(pt, iova.start.v, iova.last.v);

	if (rc)
		return rc;
	if (!(pt->features & OLI_PT_AD))
		return -EOPNOTSUPP;
	return pt->format->dirty(pt, iova.start.v, iova.last.v, clear, visit, arg);
}

void oli_pt_gather_free(struct oli_pt_gather *gather, const struct oli_pt_mem *mem)
{
	struct olio_pa pa;
	const u64 *table;

	for (; gather->tables; gather->tables--) {
		pa = gather->head;
		if (pa.v - mem->linear_pa.v < mem->linear_size)
			table = (u64 *)(void *)(mem->linear_cpu + (pa.v - mem->linear_pa.v));
		else
			table = mem->ops->cpu(mem->ctx, pa);
		gather->head.v = *table;
		mem->ops->free(mem->ctx, pa);
	}
}
