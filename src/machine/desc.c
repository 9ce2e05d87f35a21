// SPDX-License-Identifier: MIT
/*
 * Descriptions: look-ups by name, and what makes a tree of nodes sound.
 *
 * A description comes from a file that anybody may have written, so nothing of it is
 * used before it was looked at: strings have an end, numbers are in their ranges, a
 * node's parent is an earlier node of a kind that can have it. Since parents come
 * first there are no circles, and every walk upwards ends.
 *
 * A link is between two: below a root port or a port of a switch is one thing, a
 * device or the upper side of a switch.
 *
 * desc_whole.c has the rules of the machine as a whole; desc_layout.c gives out addresses.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "machine/desc_int.h"
#include "machine/machine.h"

#define NONE_BIT (1u << OLI_NODE_NONE_KIND)
#define BRIDGE_BIT (1u << OLI_NODE_HOST_BRIDGE_KIND)
#define ROOT_PORT_BIT (1u << OLI_NODE_ROOT_PORT_KIND)
#define UP_BIT (1u << OLI_NODE_SWITCH_UP_KIND)
#define DOWN_BIT (1u << OLI_NODE_SWITCH_DOWN_KIND)

/* What a node may hang below, by kind. NONE: nothing. */
static const u8 parents[] = {
	[OLI_NODE_HOST_BRIDGE_KIND] = NONE_BIT,
	[OLI_NODE_ROOT_PORT_KIND] = BRIDGE_BIT,
	[OLI_NODE_SWITCH_UP_KIND] = ROOT_PORT_BIT | DOWN_BIT,
	[OLI_NODE_SWITCH_DOWN_KIND] = UP_BIT,
	[OLI_NODE_ENDPOINT_KIND] = ROOT_PORT_BIT | DOWN_BIT,
	[OLI_NODE_PLATFORM_KIND] = NONE_BIT,
};

const struct oli_desc *oli_desc_at(u32 i)
{
	return i < oli_builtin_nr ? &oli_builtin[i] : NULL;
}

int oli_desc_builtin(const char *type, struct oli_desc *out)
{
	char why[OLI_DESC_WHY];

	for (u32 i = 0; i < oli_builtin_nr; i++)
		if (!strcmp(oli_builtin[i].type, type)) {
			*out = oli_builtin[i];
			return oli_desc_check(out, why);
		}
	return -ENOENT;
}

u8 oli_node_find(const struct oli_desc *d, const char *name)
{
	for (u8 i = 0; i < d->nr_nodes; i++)
		if (!strcmp(d->node[i].name, name))
			return i;
	return OLI_NODE_NONE;
}

const char *oli_node_kind_name(u8 kind)
{
	static const char *const names[] = {
#define NAME(NAME, text) text,
		OLI_NODE_KINDS(NAME)
#undef NAME
	};

	return kind < OLI_ARRAY_SIZE(names) ? names[kind] : "?";
}

void oli_acs_text(u8 acs, char text[40])
{
	static const char names[][3] = {
#define NAME(NAME, bit) [bit] = #NAME,
		OLI_ACS_BITS(NAME)
#undef NAME
	};
	int n = 0;

	text[0] = '\0';
	for (u32 bit = 0; bit < OLI_ARRAY_SIZE(names); bit++)
		if (acs & 1u << bit)
			n += snprintf(text + n, 40 - (size_t)n, "%s%s", n ? "," : "", names[bit]);
}

/* ---- strings ---- */

/* Ends inside @size, only letters, digits, '-' and '_'. Then what is behind the end is cleared. */
static bool name_ok(char *name, size_t size)
{
	size_t n = strnlen(name, size);

	if (!n || n == size)
		return false;
	for (size_t i = 0; i < n; i++) {
		char c = name[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      c == '-' || c == '_'))
			return false;
	}
	memset(name + n, 0, size - n);
	return true;
}

/* Text for people, and names of files: anything without control characters. */
static bool text_ok(char *text, size_t size)
{
	size_t n = strnlen(text, size);

	if (n == size)
		return false;
	for (size_t i = 0; i < n; i++)
		if ((u8)text[i] < ' ' || text[i] == 0x7f)
			return false;
	memset(text + n, 0, size - n);
	return true;
}

/* ---- nodes ---- */

static int check_place(const struct oli_desc *d, u8 i, char *why)
{
	const struct oli_node *n = &d->node[i];
	u8 kind;

	if (n->kind == OLI_NODE_NONE_KIND || n->kind >= OLI_ARRAY_SIZE(parents))
		return OLI_DESC_BAD("node '%s': there is no kind %u", n->name, n->kind);
	if (n->parent != OLI_NODE_NONE && n->parent >= i)
		return OLI_DESC_BAD("node '%s': its parent must come before it", n->name);
	kind = n->parent == OLI_NODE_NONE ? OLI_NODE_NONE_KIND : d->node[n->parent].kind;
	if (!(parents[n->kind] & 1u << kind))
		return OLI_DESC_BAD("node '%s': a %s cannot be below %s%s", n->name,
				    oli_node_kind_name(n->kind), kind ? "a " : "nothing",
				    kind ? oli_node_kind_name(kind) : "");
	if (!oli_is_down_port(kind))
		return 0;
	for (u8 k = 0; k < i; k++)
		if (d->node[k].parent == n->parent)
			return OLI_DESC_BAD("node '%s': its parent '%s' has '%s' below it already: "
					    "a port has one link",
					    n->name, d->node[n->parent].name, d->node[k].name);
	return 0;
}

static int check_flags(const struct oli_node *n, char *why)
{
	const struct {
		const char *name;
		u8 value;
		bool applies;
	} flags[] = {
		{"p2p", n->p2p, n->kind == OLI_NODE_HOST_BRIDGE_KIND},
		{"coherent", n->coherent, oli_is_device(n->kind)},
		{"trusted", n->trusted, oli_is_device(n->kind)},
		{"tee", n->tee, oli_is_device(n->kind)},
		{"software", n->software, oli_is_device(n->kind)},
		{"force-bounce", n->force_bounce, oli_is_device(n->kind)},
		{"rdma", n->rdma, oli_is_device(n->kind)},
	};

	for (u32 i = 0; i < OLI_ARRAY_SIZE(flags); i++) {
		if (flags[i].value > 1)
			return OLI_DESC_BAD("node '%s': %s must be yes or no", n->name,
					    flags[i].name);
		if (flags[i].value && !flags[i].applies)
			return OLI_DESC_BAD("node '%s': a %s has no '%s'", n->name,
					    oli_node_kind_name(n->kind), flags[i].name);
	}
	if (n->acs & 0x80 || (n->acs && !oli_is_down_port(n->kind)))
		return OLI_DESC_BAD("node '%s': a %s has no ACS bits 0x%x", n->name,
				    oli_node_kind_name(n->kind), n->acs);
	return 0;
}

static int check_dma(struct oli_node *n, char *why)
{
	if (!oli_is_device(n->kind)) {
		if (n->dma_bits || n->granule || n->max_segment || n->boundary)
			return OLI_DESC_BAD("node '%s': a %s does no DMA of its own", n->name,
					    oli_node_kind_name(n->kind));
		return 0;
	}
	if (!n->dma_bits)
		n->dma_bits = 64;
	if (n->dma_bits < 12 || n->dma_bits > 64)
		return OLI_DESC_BAD("node '%s': dma-bits is %u, must be 12 to 64", n->name,
				    n->dma_bits);
	if (n->granule > 2)
		return OLI_DESC_BAD("node '%s': there is no granule policy %u", n->name,
				    n->granule);
	if (n->max_segment && n->max_segment < OLI_PAGE_SIZE)
		return OLI_DESC_BAD("node '%s': max-segment is %llu, must be at least 4096",
				    n->name, (unsigned long long)n->max_segment);
	if (n->boundary && (!oli_pow2(n->boundary) || n->boundary < OLI_PAGE_SIZE))
		return OLI_DESC_BAD("node '%s': boundary is %llu, must be a power of two of at "
				    "least 4096",
				    n->name, (unsigned long long)n->boundary);
	return 0;
}

static int check_bars(struct oli_node *n, char *why)
{
	for (u32 i = 0; i < OLI_BARS; i++) {
		struct oli_bar *b = &n->bar[i];

		if (!b->len && b->provider)
			return OLI_DESC_BAD("node '%s': bar %u: a provider without a size",
					    n->name, i);
		if (b->provider > 1)
			return OLI_DESC_BAD("node '%s': bar %u: provider must be yes or no",
					    n->name, i);
		if (b->len && n->kind != OLI_NODE_ENDPOINT_KIND)
			return OLI_DESC_BAD("node '%s': bar %u: a %s has none", n->name, i,
					    oli_node_kind_name(n->kind));
		if (b->len && (!oli_pow2(b->len) || b->len < OLI_BAR_MIN))
			return OLI_DESC_BAD("node '%s': bar %u: its size is %llu, must be a power "
					    "of two of at least 4096",
					    n->name, i, (unsigned long long)b->len);
		if (b->len > OLI_BAR_TOTAL)
			return OLI_DESC_BAD("node '%s': bar %u: its size is %llu MiB, must be at "
					    "most %llu MiB",
					    n->name, i, (unsigned long long)(b->len >> 20),
					    OLI_BAR_TOTAL >> 20);
		*b = (struct oli_bar){.len = b->len, .provider = b->provider};
	}
	return 0;
}

static int check_node(struct oli_desc *d, u8 i, char *why)
{
	struct oli_node *n = &d->node[i];
	int err;

	if (!name_ok(n->name, sizeof(n->name)))
		return OLI_DESC_BAD("node %u: its name must be 1 to %d letters, digits, '-' or '_'",
				    i, OLI_NODE_NAME - 1);
	for (u8 k = 0; k < i; k++)
		if (!strcmp(d->node[k].name, n->name))
			return OLI_DESC_BAD("node '%s': there are two of that name", n->name);
	n->bus = n->devfn = 0;
	memset(n->pad0, 0, sizeof(n->pad0));
	err = check_place(d, i, why);
	if (!err)
		err = check_flags(n, why);
	if (!err)
		err = check_dma(n, why);
	if (!err)
		err = check_bars(n, why);
	return err;
}

/* What programs are shown as RDMA devices: PCI endpoints with a page of doorbells. */
static int check_rdma(const struct oli_desc *d, char *why)
{
	u32 nr = 0;

	for (u8 i = 0; i < d->nr_nodes; i++) {
		const struct oli_node *n = &d->node[i];

		if (!n->rdma)
			continue;
		if (n->kind != OLI_NODE_ENDPOINT_KIND || !n->bar[0].len || n->software)
			return OLI_DESC_BAD("node '%s': an RDMA device is an endpoint with bar 0, "
					    "and no software",
					    n->name);
		/* The first of the machine's devices is rxe0. */
		if (!strcmp(n->name, "rxe0") || ++nr >= OLI_DEVICES)
			return OLI_DESC_BAD("node '%s': there can be %d RDMA devices, none of "
					    "them 'rxe0'",
					    n->name, OLI_DEVICES - 1);
	}
	return 0;
}

int oli_desc_check(struct oli_desc *d, char *why)
{
	int err;

	if (!text_ok(d->type, sizeof(d->type)) || !d->type[0])
		return OLI_DESC_BAD("type: must be 1 to %zu printable characters",
				    sizeof(d->type) - 1);
	if (!text_ok(d->about, sizeof(d->about)))
		return OLI_DESC_BAD("about: must be at most %zu printable characters",
				    sizeof(d->about) - 1);
	if (d->nr_nodes > OLI_NODES)
		return OLI_DESC_BAD("%u nodes are too many: there is room for %d", d->nr_nodes,
				    OLI_NODES);
	memset(d->node + d->nr_nodes, 0, (OLI_NODES - (size_t)d->nr_nodes) * sizeof(d->node[0]));
	memset(d->pad, 0, sizeof(d->pad));
	d->pad0 = 0;
	for (u8 i = 0; i < d->nr_nodes; i++) {
		err = check_node(d, i, why);
		if (err)
			return err;
	}
	err = check_rdma(d, why);
	if (!err)
		err = oli_desc_layout(d, why);
	return err ? err : oli_desc_check_whole(d, why);
}
