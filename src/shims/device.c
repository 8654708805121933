// SPDX-License-Identifier: GPL-2.0
/* Interfaces and their addresses: include/linux/netdevice.h, inetdevice.h, net/addrconf.h. */
#include <linux/inetdevice.h>
#include <linux/jiffies.h>
#include <linux/netdevice.h>
#include <net/addrconf.h>
#include <net/if_inet6.h>

#include "mptcp_shims.h"

void mptcp_shim_device_of_event(const void *info, struct mptcp_device *device)
{
	const struct net_device *dev = netdev_notifier_info_to_dev(info);

	/* An interface that is waited for is told as gone again and again, also after its namespace. */
	device->net = READ_ONCE(dev->reg_state) < NETREG_UNREGISTERED ? dev_net(dev) : NULL;
	device->index = dev->ifindex;
	strscpy_pad(device->name, dev->name);
}

struct net *mptcp_shim_net_of_ifa(const void *ifa)
{
	return dev_net(((const struct in_ifaddr *)ifa)->ifa_dev->dev);
}

struct net *mptcp_shim_net_of_ifa6(const void *ifa)
{
	return dev_net(((const struct inet6_ifaddr *)ifa)->idev->dev);
}

/* NULL unless the interface is registered: only then its namespace is sure to be alive. */
struct net *mptcp_shim_net_of_device(const struct net_device *dev)
{
	return READ_ONCE(dev->reg_state) == NETREG_REGISTERED ? dev_net(dev) : NULL;
}

static void mptcp_each_ipv4(const struct net_device *dev, struct mptcp_address *address,
			    mptcp_each_address each, void *context)
{
	const struct in_device *in_dev = __in_dev_get_rcu(dev);
	const struct in_ifaddr *ifa;

	if (!in_dev)
		return;
	address->is_ipv6 = false;
	address->prefers_temporary = false;
	address->preferred_s = INFINITY_LIFE_TIME;
	in_dev_for_each_ifa_rcu(ifa, in_dev) {
		address->flags = READ_ONCE(ifa->ifa_flags);
		address->is_wide = ifa->ifa_scope < RT_SCOPE_LINK;
		memcpy(address->bytes, &ifa->ifa_local, sizeof(ifa->ifa_local));
		each(address, context);
	}
}

static void mptcp_each_ipv6(const struct net_device *dev, struct mptcp_address *address,
			    mptcp_each_address each, void *context)
{
	struct inet6_dev *idev = __in6_dev_get(dev);
	const struct inet6_ifaddr *ifa;

	if (!idev)
		return;
	address->is_ipv6 = true;
	address->prefers_temporary = READ_ONCE(idev->cnf.use_tempaddr) >= 2;
	read_lock_bh(&idev->lock);
	list_for_each_entry(ifa, &idev->addr_list, if_list) {
		unsigned long age_s = (jiffies - READ_ONCE(ifa->tstamp)) / HZ;
		u32 preferred_s = READ_ONCE(ifa->prefered_lft);

		if (preferred_s != INFINITY_LIFE_TIME)
			preferred_s = preferred_s > age_s ? preferred_s - age_s : 0;
		address->flags = READ_ONCE(ifa->flags);
		address->is_wide = !(ipv6_addr_type(&ifa->addr) & (IPV6_ADDR_LINKLOCAL | IPV6_ADDR_LOOPBACK));
		address->preferred_s = preferred_s;
		memcpy(address->bytes, &ifa->addr, sizeof(ifa->addr));
		each(address, context);
	}
	read_unlock_bh(&idev->lock);
}

void mptcp_shim_for_each_address(struct net *net, mptcp_each_address each, void *context)
{
	struct mptcp_address address = {};
	const struct net_device *dev;

	rcu_read_lock();
	for_each_netdev_rcu(net, dev) {
		if (dev->flags & IFF_LOOPBACK)
			continue;
		address.index = dev->ifindex;
		address.is_running = netif_running(dev) && netif_carrier_ok(dev) && !netif_dormant(dev);
		mptcp_each_ipv4(dev, &address, each, context);
		mptcp_each_ipv6(dev, &address, each, context);
	}
	rcu_read_unlock();
}
