// SPDX-License-Identifier: MIT
/*
 * A device's port on the host's network: which interface, which addresses.
 *
 * The device sits on the first interface that is up, is not the loopback and has
 * an IPv4 address; on the loopback where there is no other. The GID table begins
 * as Linux's RoCE drivers fill theirs: 0 is the link-local address made of the
 * MAC (EUI-64), then the interface's IPv4 addresses (mapped) and IPv6 addresses.
 * The loopback's addresses come last, so that 127.0.0.1 has a GID everywhere.
 * All devices of a machine are ports on this one interface: they differ in GUID
 * and GID 0, and share its addresses.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netpacket/packet.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/sys.h"
#include "machine/machine.h"

static bool usable(const struct ifaddrs *i, int family, bool loopback)
{
	return i->ifa_addr && i->ifa_addr->sa_family == family && (i->ifa_flags & IFF_UP) &&
	       !!(i->ifa_flags & IFF_LOOPBACK) == loopback;
}

static const char *choose(const struct ifaddrs *list)
{
	for (const struct ifaddrs *i = list; i; i = i->ifa_next)
		if (usable(i, AF_INET, false))
			return i->ifa_name;
	return "lo";
}

static void add_gid(struct oli_device *dev, const u8 gid[16], const char *netdev)
{
	for (int i = 0; i < OLI_GIDS; i++) {
		struct oli_gid_entry *g = &dev->gids[i];

		if (g->valid && !memcmp(g->gid, gid, 16))
			return;
		if (g->valid)
			continue;
		memcpy(g->gid, gid, 16);
		snprintf(g->netdev, sizeof(g->netdev), "%s", netdev);
		g->ifindex = if_nametoindex(netdev);
		g->valid = 1;
		return;
	}
}

static void add_address(struct oli_device *dev, const struct ifaddrs *i)
{
	static const u8 mapped[12] = {[10] = 0xff, [11] = 0xff};
	u8 gid[16];

	if (i->ifa_addr->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)i->ifa_addr;

		memcpy(gid, mapped, 12);
		memcpy(gid + 12, &in->sin_addr, 4);
	} else {
		const struct sockaddr_in6 *in6 = (const void *)i->ifa_addr;

		memcpy(gid, &in6->sin6_addr, 16);
	}
	add_gid(dev, gid, i->ifa_name);
}

static void add_addresses(struct oli_device *dev, const struct ifaddrs *list, const char *name,
			  int family)
{
	for (const struct ifaddrs *i = list; i; i = i->ifa_next)
		if (!strcmp(i->ifa_name, name) &&
		    usable(i, family, !!(i->ifa_flags & IFF_LOOPBACK)))
			add_address(dev, i);
}

/* The modified EUI-64 of the interface's MAC (RFC 4291, appendix A). */
static void hardware_id(const struct ifaddrs *list, const char *name, u8 eui[8])
{
	u8 mac[6] = {0};

	for (const struct ifaddrs *i = list; i; i = i->ifa_next) {
		const struct sockaddr_ll *ll = (const void *)i->ifa_addr;

		if (ll && ll->sll_family == AF_PACKET && !strcmp(i->ifa_name, name) &&
		    ll->sll_halen == 6)
			memcpy(mac, ll->sll_addr, 6);
	}
	eui[0] = mac[0] ^ 2;
	eui[1] = mac[1];
	eui[2] = mac[2];
	eui[3] = 0xff;
	eui[4] = 0xfe;
	memcpy(eui + 5, mac + 3, 3);
}

static u32 read_mtu(const char *name)
{
	char path[64], buf[32];
	u32 mtu = 0;

	snprintf(path, sizeof(path), "/sys/class/net/%.16s/mtu", name);
	if (oli_read_file(AT_FDCWD, path, buf, sizeof(buf)) > 0)
		sscanf(buf, "%u", &mtu);
	return mtu ? mtu : 1500;
}

void oli_netdev_fill(struct oli_device *dev, u32 index)
{
	u8 gid[16] = {0xfe, 0x80};
	struct ifaddrs *list = NULL;
	int saved = errno;
	const char *name;

	if (getifaddrs(&list) < 0)
		list = NULL;
	name = choose(list);
	atomic_fetch_add(&dev->gid_seq, 1);
	memset(dev->gids, 0, sizeof(dev->gids));
	snprintf(dev->netdev, sizeof(dev->netdev), "%s", name);
	dev->mtu = read_mtu(name);
	hardware_id(list, name, dev->node_guid);
	/* 0xfe in the middle says that a MAC was widened: other values are free for more devices. */
	dev->node_guid[4] = (u8)(dev->node_guid[4] - index);
	memcpy(gid + 8, dev->node_guid, 8);
	add_gid(dev, gid, name);
	add_addresses(dev, list, name, AF_INET);
	add_addresses(dev, list, name, AF_INET6);
	add_addresses(dev, list, "lo", AF_INET);
	add_addresses(dev, list, "lo", AF_INET6);
	atomic_fetch_add(&dev->gid_seq, 1);
	if (list)
		freeifaddrs(list);
	errno = saved;
}

void oli_device_gids(struct oli_device *dev, struct oli_gid_entry out[OLI_GIDS])
{
	u32 seq;

	do {
		seq = atomic_load(&dev->gid_seq);
		memcpy(out, dev->gids, sizeof(dev->gids));
		atomic_thread_fence(memory_order_acquire);
	} while ((seq & 1) || seq != atomic_load(&dev->gid_seq));
}
