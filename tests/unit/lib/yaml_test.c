// SPDX-License-Identifier: MIT
/*
 * Machine descriptions: what is printed is read again the same, every member has a key,
 * the examples load, and nothing that a file can say does more than an error with its
 * file, line and key.
 *
 * Mutations come from a seed that is printed when one fails.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/desc_yaml.h"

#define EXAMPLES OLIO_SOURCE "/examples/machines"

static struct oli_desc desc, again;
static char why[512];

static int parse(const char *text, struct oli_desc *d)
{
	why[0] = '\0';
	return oli_yaml_parse("t.yaml", text, strlen(text), d, why, sizeof(why));
}

/* All of a description but what the machine fills in when it is made. */
static void assert_same(const struct oli_desc *a, const struct oli_desc *b)
{
	assert_memory_equal(a, b, sizeof(*a));
}

static void round_trip(const struct oli_desc *d)
{
	char *text;
	size_t len;

	assert_int_equal(oli_yaml_dump(d, &text, &len), 0);
	assert_int_equal(strlen(text), len);
	memset(&again, 0x5a, sizeof(again));
	if (oli_yaml_parse("t.yaml", text, len, &again, why, sizeof(why)))
		fail_msg("%s\n%s", why, text);
	assert_same(d, &again);
	free(text);
}

static void built_in_types_round_trip(void **state)
{
	const struct oli_desc *d;
	u32 n = 0;

	(void)state;
	for (; (d = oli_desc_at(n)); n++) {
		assert_int_equal(oli_desc_builtin(d->type, &desc), 0);
		round_trip(&desc);
	}
	assert_true(n >= 7);
}

/* Each of the files; @visit gets its path. */
static void each_example(void (*visit)(const char *path))
{
	DIR *dir = opendir(EXAMPLES);
	char path[400];
	struct dirent *e;
	u32 n = 0;

	assert_non_null(dir);
	while ((e = readdir(dir))) {
		if (!strstr(e->d_name, ".yaml"))
			continue;
		snprintf(path, sizeof(path), EXAMPLES "/%s", e->d_name);
		visit(path);
		n++;
	}
	closedir(dir);
	assert_true(n >= 5);
}

static void load_example(const char *path)
{
	if (oli_yaml_load(path, &desc, why, sizeof(why)))
		fail_msg("%s", why);
	assert_true(strstr(path, desc.type));
	round_trip(&desc);
}

static void examples_load(void **state)
{
	(void)state;
	each_example(load_example);
}

static void empty_base_is_pc(void **state)
{
	(void)state;
	assert_int_equal(parse("base: pc\n", &desc), 0);
	assert_int_equal(oli_desc_builtin("pc", &again), 0);
	assert_string_equal(desc.type, "t");
	memcpy(desc.type, again.type, sizeof(desc.type));
	assert_same(&desc, &again);
	assert_int_equal(parse("ram-size: 1G\n", &desc), 0);
	assert_int_equal(desc.nr_nodes, 0);
	assert_int_equal(desc.ram_size, 1ull << 30);
	assert_string_equal(desc.about, "");
	round_trip(&desc);
}

/* The members of a description, said once by key. Whoever adds a member adds a row here. */
static void every_member_has_a_key(void **state)
{
	static const char text[] =
		"type: all\nabout: \"a # b: 'c' \\\"d\\\" \\\\ e\"\nram-size: 0x40000000\nlinear: yes\n"
		"encrypted: on\niommu:\n  mode: lazy\n  format: amdv1\n  levels: 3\n  iova-bits: 38\n"
		"  page-sizes: [4K, 2M]\n  granule: 16K\n  caching-mode: true\n  iotlb-entries: 64\n"
		"  lazy-ms: 7\nbus-offset: 0x20000000\nbounce-slots: 512\nbounce-areas: 4\n"
		"cache-line: 32\nchecker: [1, leak]\nnodes:\n- {name: b, kind: host-bridge, p2p: yes}\n"
		"- {name: r, kind: root-port, parent: b, acs: [RR, EC]}\n"
		"- {name: e, kind: endpoint, parent: r, dma-bits: 40, coherent: no, trusted: no, tee: yes,\n"
		"   granule: refuse, force-bounce: yes, rdma: yes, max-segment: 8K, boundary: 4K,\n"
		"   bars: [{bar: 0, size: 8K}, {bar: 5, size: 1M, provider: yes}]}\n"
		"- {name: s, kind: platform, software: yes}\n";
	const struct oli_node *n = desc.node;

	(void)state;
	if (parse(text, &desc))
		fail_msg("%s", why);
	assert_string_equal(desc.type, "all");
	assert_string_equal(desc.about, "a # b: 'c' \"d\" \\ e");
	assert_int_equal(desc.ram_size, 1u << 30);
	assert_true(desc.linear == 1 && desc.encrypted == 1);
	assert_true(desc.iommu == OLI_IOMMU_LAZY && desc.format == 1 && desc.levels == 3);
	assert_true(desc.iova_bits == 38 && desc.page_sizes == 0x201000);
	assert_true(desc.granule_shift == 14 && desc.caching_mode == 1 && desc.iotlb_entries == 64);
	assert_true(desc.lazy_ms == 7 && desc.bus_offset == 0x20000000 && desc.bounce_slots == 512);
	assert_true(desc.bounce_areas == 4 && desc.cache_line == 32);
	assert_int_equal(desc.checker, 1 << 1 | 1 << 7);
	assert_int_equal(desc.nr_nodes, 4);
	assert_true(n[0].p2p == 1 && n[0].parent == OLI_NODE_NONE && n[1].parent == 0);
	assert_int_equal(n[1].acs, OLI_ACS_RR | OLI_ACS_EC);
	assert_true(n[2].dma_bits == 40 && !n[2].coherent && !n[2].trusted && n[2].tee);
	assert_true(n[2].granule == 2 && n[2].force_bounce && n[2].rdma);
	assert_true(n[2].max_segment == 8192 && n[2].boundary == 4096);
	assert_true(n[2].bar[0].len == 8192 && !n[2].bar[0].provider);
	assert_true(n[2].bar[5].len == 1 << 20 && n[2].bar[5].provider);
	assert_true(n[3].software && n[3].coherent && n[3].dma_bits == 64);
	round_trip(&desc);
	assert_int_equal(parse("base: no-iommu\ndma-offset: 0x100000000\n", &desc), 0);
	assert_int_equal(desc.dma_offset, 1ull << 32);
	round_trip(&desc);
}

static void a_base_is_changed(void **state)
{
	u8 at;

	(void)state;
	assert_int_equal(parse("base: p2p-acs\nnodes:\n- {name: acc0, dma-bits: 33}\n"
			       "- {name: x, kind: platform}\n", &desc), 0);
	assert_int_equal(oli_desc_builtin("p2p-acs", &again), 0);
	at = oli_node_find(&desc, "acc0");
	assert_int_equal(desc.node[at].dma_bits, 33);
	assert_memory_equal(desc.node[at].bar, again.node[at].bar, sizeof(again.node[at].bar));
	assert_int_equal(desc.nr_nodes, again.nr_nodes + 1);
	/* Another format has other limits: those of the base are forgotten. */
	assert_int_equal(parse("base: pc\niommu: {format: x86_64}\n", &desc), 0);
	assert_int_equal(desc.iova_bits, 47);
}

static const struct bad {
	const char *text;
	u32 line;
	const char *says; /* the key, and a word of the sentence */
} bad[] = {
	{"", 1, "nothing"},
	{"# only a comment\n", 1, "nothing"},
	{"---\n...\n---\n", 2, "a map"},
	{"hello\n", 1, "a map"},
	{"- a\n- b\n", 1, "a map"},
	{"ram-size: 1G\n---\nram-size: 2G\n", 3, "second document"},
	{"\n\nram-size: [1G]\n", 3, "ram-size: one value"},
	{"ram-size: {a: b}\n", 1, "ram-size: one value"},
	{"ram-size: -1\n", 1, "ram-size: a size"},
	{"ram-size: +1\n", 1, "ram-size: a size"},
	{"ram-size: ' 1'\n", 1, "ram-size: a size"},
	{"ram-size: 1 G\n", 1, "ram-size: a size"},
	{"ram-size: 1GB\n", 1, "ram-size: a size"},
	{"ram-size: 1.5G\n", 1, "ram-size: a size"},
	{"ram-size: 0x\n", 1, "ram-size: a size"},
	{"ram-size: ''\n", 1, "ram-size: a size"},
	{"ram-size: ~\n", 1, "ram-size: a size"},
	{"ram-size:\n", 1, "ram-size: a size"},
	{"ram-size: 18446744073709551616\n", 1, "ram-size: a size"},
	{"ram-size: 99999999999999999T\n", 1, "ram-size: a size"},
	{"ram-size: \"1G\\0\"\n", 1, "ram-size: one value"},
	{"\nram-size: 4097\n", 2, "ram-size"},
	{"linear: maybe\n", 1, "linear: yes or no"},
	{"linear: 1\n", 1, "linear: yes or no"},
	{"linear: yes\nlinear: yes\n", 2, "linear: it is there twice"},
	{"colour: red\n", 1, "no key 'colour'.*ram-size"},
	{"[a]: b\n", 1, "no key"},
	{"<<: {linear: yes}\n", 1, "no key '<<'"},
	{"base: xt\n", 1, "base: .*pc.*'xt'"},
	{"base: [pc]\n", 1, "base"},
	{"type: a b\n", 1, "type: letters"},
	{"type: ''\n", 1, "type: letters"},
	{"type: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n", 1, "at most 63"},
	{"about: |\n  two\n  lines\n", 1, "about: a text of one line"},
	{"about: \"\\e[31m\"\n", 1, "about: a text of one line"},
	{"iommu: strict\n", 1, "iommu: a map"},
	{"iommu:\n  mode: fast\n", 2, "mode: none, strict, lazy is wanted, not 'fast'"},
	{"iommu:\n  format: vtd\n", 2, "format: vtdss, amdv1"},
	{"iommu:\n  levels: 9\n", 2, "levels"},
	{"iommu:\n  levels: 300\n", 2, "levels: a smaller number"},
	{"iommu:\n  levels: 3x\n", 2, "levels: a number"},
	{"iommu:\n  granule: 5000\n", 2, "granule: .*power of two"},
	{"iommu:\n  granule: 1G\n", 2, "granule"},
	{"iommu:\n  page-sizes: [4K, 4K]\n", 2, "page-sizes: '4K' is there twice"},
	{"iommu:\n  page-sizes: [4K, all]\n", 2, "page-sizes: 'all' stands alone"},
	{"iommu:\n  page-sizes: [2M]\n", 1, "4096"},
	{"iommu:\n  page-sizes: [[4K]]\n", 2, "page-sizes: one value"},
	{"cache-line: 4294967296\n", 1, "cache-line: a smaller number"},
	{"bounce-slots: 100\n", 1, "bounce-slots"},
	{"checker: 36\n", 1, "checker: names"},
	{"checker: [all]\n", 1, "checker: 'all' stands alone"},
	{"checker: {1: 2}\n", 1, "checker"},
	{"dma-offset: 1\nencrypted: what\n", 2, "encrypted: yes or no"},
	{"nodes: {}\n", 1, "nodes: a list"},
	{"nodes: 7\n", 1, "nodes: a list"},
	{"nodes:\n- 7\n", 2, "nodes: each is a map"},
	{"nodes:\n- {kind: platform}\n", 2, "nodes: this one has no 'name'"},
	{"nodes:\n- {name: [a], kind: platform}\n", 2, "nodes: this one has no 'name'"},
	{"nodes:\n- {name: 'a b', kind: platform}\n", 2, "name: at most 31"},
	{"nodes:\n- {name: none, kind: platform}\n", 2, "name: at most 31"},
	{"nodes:\n- {name: a}\n", 2, "the node 'a' has no 'kind'"},
	{"nodes:\n- {name: a, kind: toaster}\n", 2, "kind: none, host-bridge.*'toaster'"},
	{"nodes:\n- {name: a, kind: none}\n", 2, "no kind"},
	{"nodes:\n- {name: a, kind: platform}\n- {name: a, kind: platform}\n", 3, "'a' is in line 2"},
	{"nodes:\n- {name: a, kind: platform, name: b}\n", 2, "name: it is there twice"},
	{"nodes:\n- {name: a, kind: root-port, parent: b}\n- {name: b, kind: host-bridge}\n", 2, "parent: there is no node 'b'"},
	{"nodes:\n- {name: a, kind: root-port, parent: a}\n", 2, "parent: there is no node 'a'"},
	{"nodes:\n\n- {name: a, kind: root-port}\n", 3, "'a'.*below nothing"},
	{"nodes:\n- {name: a, kind: host-bridge, coherent: yes}\n", 2, "coherent"},
	{"nodes:\n- {name: a, kind: platform, acs: [RR]}\n", 2, "ACS"},
	{"nodes:\n- {name: a, kind: platform, acs: XX}\n", 2, "acs: names out of"},
	{"nodes:\n- {name: a, kind: platform, dma-bits: 65}\n", 2, "dma-bits"},
	{"nodes:\n- {name: a, kind: platform, bars: 1}\n", 2, "bars: a list"},
	{"nodes:\n- {name: a, kind: platform, bars: [1]}\n", 2, "bars: each is a map"},
	{"nodes:\n- {name: a, kind: platform, bars: [{size: 4K}]}\n", 2, "bars: .*'bar' is missing"},
	{"nodes:\n- {name: a, kind: platform, bars: [{bar: 6, size: 4K}]}\n", 2, "bar: a number from 0 to 5"},
	{"nodes:\n- {name: a, kind: platform, bars: [{bar: 0, size: 4K}, {bar: 0, size: 4K}]}\n", 2, "BAR 0 is there twice"},
	{"nodes:\n- {name: a, kind: platform, bars: [{bar: 0, size: 4K}]}\n", 2, "bar 0"},
	{"nodes:\n- {name: a, kind: platform, bars: [{bar: 0, pa: 4K}]}\n", 2, "no key 'pa'"},
	/* What leads back to itself, and what is not YAML. */
	{"&a nodes: *a\n", 1, "nodes: a list"},
	{"nodes: &a [*a, *a]\n", 1, "nodes: each is a map"},
	{"nodes: &a\n- &b {name: x, kind: platform, bars: *a}\n", 2, "bars"},
	{"&a {iommu: *a}\n", 1, "no key 'iommu'|nodes"},
	{"a: [[[[[[[[1]]]]]]]]\n", 1, "more than 8 deep"},
	{"a: [[[[[[[1]]]]]]]\n", 1, "no key 'a'"},
	{"about: *nobody\n", 1, "no YAML: .*alias"},
	{"a: b: c\n", 1, "no YAML"},
	{"a: [b\n", 2, "no YAML"},
	{"\ta: b\n", 1, "no YAML"},
	{"ok: 1\n\xff\xfe\n", 2, "no YAML"},
	{"%TAG ! x\n", 2, "no YAML"},
};

/* A tiny matcher: words of @pattern divided by ".*", in this order; '|' divides choices. */
static bool says(const char *text, const char *pattern)
{
	char copy[200], *choice, *outer = NULL;

	snprintf(copy, sizeof(copy), "%s", pattern);
	for (choice = strtok_r(copy, "|", &outer); choice; choice = strtok_r(NULL, "|", &outer)) {
		const char *at = text;
		char *part = choice, *next;

		for (; part && at; part = next) {
			next = strstr(part, ".*");
			if (next) {
				*next = '\0';
				next += 2;
			}
			at = strstr(at, part);
		}
		if (at)
			return true;
	}
	return false;
}

static void bad_files_are_refused_with_line_and_key(void **state)
{
	u32 wrong = 0;

	(void)state;
	for (u32 i = 0; i < OLI_ARRAY_SIZE(bad); i++) {
		char where[32];

		memset(&desc, 0x77, sizeof(desc));
		if (!parse(bad[i].text, &desc))
			fail_msg("'%s' was taken", bad[i].text);
		snprintf(where, sizeof(where), "t.yaml:%u: ", bad[i].line);
		if (strncmp(why, where, strlen(where)) != 0 || !says(why, bad[i].says)) {
			print_error("'%s' gave '%s', wanted line %u and '%s'\n", bad[i].text, why,
				    bad[i].line, bad[i].says);
			wrong++;
		}
		/* Untouched on failure. */
		for (size_t b = 0; b < sizeof(desc); b++)
			assert_int_equal(((u8 *)&desc)[b], 0x77);
	}
	assert_int_equal(wrong, 0);
}

static void huge_files_end(void **state)
{
	static char text[OLI_YAML_MAX + 2];

	(void)state;
	memset(text, '#', sizeof(text) - 1);
	assert_int_equal(oli_yaml_parse("t.yaml", text, OLI_YAML_MAX + 1, &desc, why, sizeof(why)), -E2BIG);
	assert_int_equal(oli_yaml_parse("t.yaml", text, OLI_YAML_MAX, &desc, why, sizeof(why)), -EINVAL);
	memset(text, '[', sizeof(text) - 1);
	assert_int_equal(oli_yaml_parse("t.yaml", text, OLI_YAML_MAX, &desc, why, sizeof(why)), -EINVAL);
	memset(text, '\0', sizeof(text) - 1);
	assert_int_equal(oli_yaml_parse("t.yaml", text, OLI_YAML_MAX, &desc, why, sizeof(why)), -EINVAL);
	for (size_t i = 0; i + 1 < OLI_YAML_MAX; i += 2)
		memcpy(text + i, "- ", 2);
	assert_int_equal(oli_yaml_parse("t.yaml", text, OLI_YAML_MAX, &desc, why, sizeof(why)), -EINVAL);
	/* A short buffer for the sentence is not written beyond. */
	memset(why, 0x55, sizeof(why));
	assert_int_equal(oli_yaml_parse("a-long-name.yaml", "x: 1\n", 5, &desc, why, 8), -EINVAL);
	assert_int_equal(why[8], 0x55);
}

static void forty_nine_nodes(void **state)
{
	static char text[8192];
	size_t n = (size_t)snprintf(text, sizeof(text), "nodes:\n");

	(void)state;
	for (u32 i = 0; i < OLI_NODES; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "- {name: n%u, kind: platform}\n", i);
	assert_int_equal(parse(text, &desc), 0);
	assert_int_equal(desc.nr_nodes, OLI_NODES);
	round_trip(&desc);
	snprintf(text + n, sizeof(text) - n, "- {name: more, kind: platform}\n");
	assert_int_equal(parse(text, &desc), -EINVAL);
	assert_true(says(why, "t.yaml:50: nodes: more than 48"));
}

static void files_that_are_none(void **state)
{
	char fifo[] = "/tmp/olio-yaml-XXXXXX";

	(void)state;
	assert_int_equal(oli_yaml_load("/no/such.yaml", &desc, why, sizeof(why)), -ENOENT);
	assert_true(says(why, "/no/such.yaml"));
	assert_int_equal(oli_yaml_load("/", &desc, why, sizeof(why)), -EISDIR);
	assert_int_equal(oli_yaml_load("/dev/zero", &desc, why, sizeof(why)), -E2BIG);
	assert_int_equal(oli_yaml_load("/dev/null", &desc, why, sizeof(why)), -EINVAL);
	/* Nobody writes into it: it must not be waited for. */
	assert_non_null(mkdtemp(fifo));
	assert_int_equal(rmdir(fifo), 0);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(oli_yaml_load(fifo, &desc, why, sizeof(why)), -EINVAL);
	unlink(fifo);
}

/* ---- mutations ---- */

static u64 seed;

static u32 rnd(u32 below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (u32)(seed >> 20) % below;
}

static size_t mutate(char *text, size_t len, size_t room)
{
	static const char chars[] = "\n :-[]{}&*'\"#0x9KG,|>%\t\xff!?";
	static const char *const words[] = {"nodes:\n", "- ", "&a ", "*a", "yes", "none", "0x", "99999999999",
					    "{bar: 0, size: 4K}", "name: ", "parent: ", "--- \n"};

	for (u32 n = 1 + rnd(6); n; n--) {
		size_t at = rnd((u32)len), cut;
		const char *w;

		switch (rnd(4)) {
		case 0:
			text[at] = chars[rnd(sizeof(chars) - 1)];
			break;
		case 1:
			cut = 1 + rnd(20);
			cut = cut < len - at ? cut : len - at - (at == 0);
			memmove(text + at, text + at + cut, len - at - cut);
			len -= cut;
			break;
		case 2:
			w = words[rnd(OLI_ARRAY_SIZE(words))];
			if (len + strlen(w) >= room)
				break;
			memmove(text + at + strlen(w), text + at, len - at);
			memcpy(text + at, w, strlen(w));
			len += strlen(w);
			break;
		default: /* a piece of it again */
			cut = 1 + rnd(60);
			if (cut > len - at || len + cut >= room)
				break;
			memmove(text + at + cut, text + at, len - at);
			len += cut;
			break;
		}
		if (!len)
			return 0;
	}
	return len;
}

static u32 tried, taken;

static void mutate_text(const char *good, size_t good_len)
{
	for (u32 i = 0; i < 1500; i++) {
		static char text[OLI_YAML_MAX];
		u64 was = seed;
		size_t len;
		int ret;

		memcpy(text, good, good_len);
		len = mutate(text, good_len, sizeof(text));
		why[0] = '\0';
		ret = oli_yaml_parse("t.yaml", text, len, &desc, why, sizeof(why));
		tried++;
		if (ret && (ret != -EINVAL || strncmp(why, "t.yaml:", 7) != 0))
			fail_msg("seed 0x%llx: %d '%s'", (unsigned long long)was, ret, why);
		if (ret)
			continue;
		taken++;
		round_trip(&desc);
	}
}

static void mutate_example(const char *path)
{
	char buf[8192];
	FILE *f = fopen(path, "r");
	size_t n;

	assert_non_null(f);
	n = fread(buf, 1, sizeof(buf), f);
	fclose(f);
	mutate_text(buf, n);
}

static void random_mutations(void **state)
{
	const char *given = getenv("OLIO_SEED");
	const struct oli_desc *d;

	(void)state;
	seed = given ? strtoull(given, NULL, 0) : 0x9e3779b97f4a7c15ull;
	for (u32 i = 0; (d = oli_desc_at(i)); i++) {
		char *text;
		size_t len;

		assert_int_equal(oli_desc_builtin(d->type, &desc), 0);
		assert_int_equal(oli_yaml_dump(&desc, &text, &len), 0);
		mutate_text(text, len);
		free(text);
	}
	each_example(mutate_example);
	/* Both ends of the reader were visited. */
	assert_true(taken > tried / 50 && taken < tried / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(built_in_types_round_trip),
		cmocka_unit_test(examples_load),
		cmocka_unit_test(empty_base_is_pc),
		cmocka_unit_test(every_member_has_a_key),
		cmocka_unit_test(a_base_is_changed),
		cmocka_unit_test(bad_files_are_refused_with_line_and_key),
		cmocka_unit_test(huge_files_end),
		cmocka_unit_test(forty_nine_nodes),
		cmocka_unit_test(files_that_are_none),
		cmocka_unit_test(random_mutations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
