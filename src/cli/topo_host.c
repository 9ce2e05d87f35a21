// SPDX-License-Identifier: MIT
/*
 * olio topo --host: the PCI tree of the computer that this runs on.
 *
 * libpci reads the devices, sysfs has what libpci does not know: the IOMMU group and
 * the type of its domain, the DMA mask that the driver chose. Configuration space
 * behind its first 64 bytes is root's alone; what lies there (kinds of ports, ACS) is
 * left out for others, and said to be.
 *
 * $OLIO_SYSFS is read in the place of /sys.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <pci/pci.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "topo.h"

#define COLUMNS(c) c, sizeof(c) / sizeof((c)[0])

struct host {
	char sys[200];
	struct pci_access *pci;
	struct pci_dev **dev; /* in the order of their addresses */
	unsigned int devices;
	unsigned int dark;   /* devices whose capabilities cannot be read */
	unsigned int groups; /* devices with an IOMMU group */
};

__attribute__((noreturn, format(printf, 1, 2))) static void pci_failed(char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	cli_error("libpci: %s", text);
	exit(CLI_FAILED);
}

__attribute__((format(printf, 1, 2))) static void pci_silent(char *fmt, ...)
{
	(void)fmt;
}

/* Are there any devices? Return: false also if the folder cannot be read. */
static bool has_devices(const struct host *h)
{
	char path[256];
	struct dirent *e;
	bool found = false;
	DIR *d;

	snprintf(path, sizeof(path), "%s/bus/pci/devices", h->sys);
	d = opendir(path);
	while (d && !found && (e = readdir(d)))
		found = e->d_name[0] != '.';
	if (d)
		closedir(d);
	return found;
}

static void device_path(const struct host *h, const struct pci_dev *dev, const char *file,
			char *out, size_t size)
{
	snprintf(out, size, "%s/bus/pci/devices/%04x:%02x:%02x.%x/%s", h->sys,
		 (unsigned int)dev->domain, dev->bus, dev->dev, dev->func, file);
}

/* The first word of a file, or "". */
static void read_word(const char *path, char *out, size_t size)
{
	FILE *f = fopen(path, "re");
	size_t n = f ? fread(out, 1, size - 1, f) : 0;

	if (f)
		fclose(f);
	out[n] = '\0';
	out[strcspn(out, " \n")] = '\0';
}

static void iommu_text(struct host *h, const struct pci_dev *dev, char *out, size_t size)
{
	char path[300], target[PATH_MAX], type[32];
	const char *group;
	ssize_t n;

	*out = '\0';
	device_path(h, dev, "iommu_group", path, sizeof(path));
	n = readlink(path, target, sizeof(target) - 1);
	if (n <= 0)
		return;
	target[n] = '\0';
	group = strrchr(target, '/') ? strrchr(target, '/') + 1 : target;
	h->groups++;
	snprintf(path, sizeof(path), "%s/kernel/iommu_groups/%.16s/type", h->sys, group);
	read_word(path, type, sizeof(type));
	snprintf(out, size, "group %.16s%s%s", group, *type ? ", " : "", type);
}

/* PCIe 7.5.3.2: bits 4 … 7 of the capabilities register. */
static const char *kind_text(struct pci_dev *dev)
{
	static const char *const kinds[] = {"endpoint",  "legacy endpoint", "",
					    "",          "root-port",       "switch-up",
					    "switch-down", "bridge to PCI", "bridge from PCI",
					    "root complex endpoint", "event collector"};
	struct pci_cap *cap = pci_find_cap(dev, PCI_CAP_ID_EXP, PCI_CAP_NORMAL);
	unsigned int kind;

	if (dev->device_class == PCI_CLASS_BRIDGE_HOST)
		return "host-bridge";
	if (!cap)
		return dev->device_class == PCI_CLASS_BRIDGE_PCI ? "bridge" : "device";
	kind = pci_read_word(dev, (int)cap->addr + PCI_EXP_FLAGS) >> 4 & 15;
	return kind < sizeof(kinds) / sizeof(kinds[0]) ? kinds[kind] : "device";
}

/* PCIe 7.7.11.3 */
static void acs_text(struct pci_dev *dev, char *out, size_t size)
{
	static const char *const bit[] = {"SV", "TB", "RR", "CR", "UF", "EC", "DT"};
	struct pci_cap *cap = pci_find_cap(dev, PCI_EXT_CAP_ID_ACS, PCI_CAP_EXTENDED);
	unsigned int control;
	size_t len = 0;

	*out = '\0';
	if (!cap)
		return;
	control = pci_read_word(dev, (int)cap->addr + PCI_ACS_CTRL);
	for (unsigned int b = 0; b < 7 && len < size; b++) {
		if (control >> b & 1)
			len += (size_t)snprintf(out + len, size - len, "%s%s", len ? "," : "", bit[b]);
	}
	if (!len)
		snprintf(out, size, "off");
}

static void bars_text(const struct pci_dev *dev, char *out, size_t size)
{
	size_t len = 0;
	char one[32];

	*out = '\0';
	for (unsigned int b = 0; b < 6 && len < size; b++) {
		if (!dev->size[b] || dev->base_addr[b] & PCI_BASE_ADDRESS_SPACE_IO)
			continue;
		len += (size_t)snprintf(out + len, size - len, "%s%u: %s at 0x%llx", len ? ", " : "", b,
					size_text(dev->size[b], one),
					(unsigned long long)(dev->base_addr[b] & PCI_ADDR_MEM_MASK));
	}
}

static const struct column columns[] = {
	{"DEVICE", "device", false},
	{"KIND", "kind", false},
	{"NAME", "name", false},
	{"IOMMU", "iommu", false},
	{"COHERENT", "coherent", false},
	{"BITS", "dma_bits", false},
	{"ACS", "acs", false},
	{"BARS", "bars", false},
};

static const char *coherent_text(void)
{
#if defined(__x86_64__) || defined(__i386__)
	return "yes"; /* the architecture says so */
#else
	return "?";
#endif
}

static void device_row(struct host *h, struct pci_dev *dev, struct table *t)
{
	char text[300], path[300];

	snprintf(text, sizeof(text), "%04x:%02x:%02x.%x", (unsigned int)dev->domain, dev->bus,
		 dev->dev, dev->func);
	table_text(t, text);
	table_text(t, kind_text(dev));
	pci_lookup_name(h->pci, text, sizeof(text), PCI_LOOKUP_VENDOR | PCI_LOOKUP_DEVICE,
			dev->vendor_id, dev->device_id);
	table_text(t, text);
	iommu_text(h, dev, text, sizeof(text));
	table_text(t, text);
	table_text(t, coherent_text());
	device_path(h, dev, "dma_mask_bits", path, sizeof(path));
	read_word(path, text, sizeof(text));
	table_text(t, text);
	acs_text(dev, text, sizeof(text));
	table_text(t, text);
	bars_text(dev, text, sizeof(text));
	table_text(t, text);
}

static struct pci_dev *bridge_above(const struct host *h, const struct pci_dev *dev)
{
	for (unsigned int i = 0; i < h->devices; i++) {
		struct pci_dev *d = h->dev[i];

		if (d != dev && d->domain == dev->domain && d->hdrtype == PCI_HEADER_TYPE_BRIDGE &&
		    dev->bus && pci_read_byte(d, PCI_SECONDARY_BUS) == dev->bus)
			return d;
	}
	return NULL;
}

static void add_below(struct host *h, struct pci_dev *bridge, size_t parent, unsigned int depth,
		      struct table *t)
{
	for (unsigned int i = 0; i < h->devices; i++) {
		struct pci_dev *dev = h->dev[i];
		size_t row;

		if (bridge_above(h, dev) != bridge)
			continue;
		row = bridge ? table_row_below(t, parent) : table_row(t);
		device_row(h, dev, t);
		if (dev->hdrtype == PCI_HEADER_TYPE_BRIDGE && depth < 32)
			add_below(h, dev, row, depth + 1, t);
	}
}

static int by_address(const void *a, const void *b)
{
	const struct pci_dev *x = *(const struct pci_dev *const *)a;
	const struct pci_dev *y = *(const struct pci_dev *const *)b;
	uint64_t ax = (uint64_t)(uint32_t)x->domain << 16 | x->bus << 8 | x->dev << 3 | x->func;
	uint64_t ay = (uint64_t)(uint32_t)y->domain << 16 | y->bus << 8 | y->dev << 3 | y->func;

	return ax < ay ? -1 : ax > ay;
}

static void fill_device(struct host *h, struct pci_dev *dev)
{
	pci_fill_info(dev, PCI_FILL_IDENT | PCI_FILL_CLASS | PCI_FILL_BASES | PCI_FILL_SIZES |
				   PCI_FILL_CAPS | PCI_FILL_EXT_CAPS);
	dev->hdrtype = pci_read_byte(dev, PCI_HEADER_TYPE) & 0x7f;
	/* It has capabilities, and none can be seen. */
	if (pci_read_word(dev, PCI_STATUS) & PCI_STATUS_CAP_LIST && !dev->first_cap)
		h->dark++;
}

static int read_devices(struct host *h)
{
	struct pci_dev *dev;
	unsigned int n = 0;

	pci_scan_bus(h->pci);
	for (dev = h->pci->devices; dev; dev = dev->next)
		n++;
	h->dev = calloc(n ? n : 1, sizeof(struct pci_dev *));
	if (!h->dev)
		return -ENOMEM;
	for (dev = h->pci->devices; dev; dev = dev->next) {
		fill_device(h, dev);
		h->dev[h->devices++] = dev;
	}
	qsort(h->dev, h->devices, sizeof(struct pci_dev *), by_address);
	return 0;
}

static void print_notes(const struct host *h)
{
	putchar('\n');
	if (h->dark)
		printf("Not readable: capabilities of %u of %u devices, so kinds of ports and ACS are "
		       "missing there;\nconfiguration space is root's alone.\n", h->dark, h->devices);
	if (!h->groups)
		puts("No device is in an IOMMU group: there is no IOMMU, or it is switched off.");
}

static int no_pci(const struct host *h, bool json)
{
	if (json)
		puts("{\n   \"devices\": [],\n   \"unreadable\": 0\n}");
	else
		printf("No PCI here: %s/bus/pci has no devices.\n", h->sys);
	return CLI_OK;
}

int topo_host(bool json)
{
	const char *sys = getenv("OLIO_SYSFS");
	struct host h = {0};
	struct table *t;
	char path[256];
	int ret;

	snprintf(h.sys, sizeof(h.sys), "%s", sys && *sys ? sys : "/sys");
	if (!has_devices(&h))
		return no_pci(&h, json);
	h.pci = pci_alloc();
	h.pci->error = pci_failed;
	h.pci->warning = pci_silent;
	h.pci->debug = pci_silent;
	h.pci->method = PCI_ACCESS_SYS_BUS_PCI;
	snprintf(path, sizeof(path), "%s/bus/pci", h.sys);
	pci_set_param(h.pci, "sysfs.path", path);
	pci_init(h.pci);
	t = read_devices(&h) ? NULL : table_tree("devices", COLUMNS(columns), json);
	if (!t) {
		cli_error("no memory for the devices");
		free(h.dev);
		pci_cleanup(h.pci);
		return CLI_FAILED;
	}
	add_below(&h, NULL, 0, 0, t);
	if (json)
		puts("{");
	ret = table_print(t) ? CLI_FAILED : CLI_OK;
	if (json)
		printf(",\n   \"unreadable\": %u\n}\n", h.dark);
	else
		print_notes(&h);
	free(h.dev);
	pci_cleanup(h.pci);
	return ret;
}
