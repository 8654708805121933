// SPDX-License-Identifier: GPL-2.0
/* Answers to socket options: what TCP knows of a subflow, and the application's memory. */
#include <linux/mptcp.h>
#include <linux/uaccess.h>
#include <net/ipv6.h>
#include <net/tcp.h>

#include "mptcp_shims.h"

int mptcp_shim_copy_to_user(void __user *to, const void *from, size_t len)
{
	return copy_to_user(to, from, len) ? -EFAULT : 0;
}

int mptcp_shim_copy_from_user(void *to, const void __user *from, size_t len)
{
	return copy_from_user(to, from, len) ? -EFAULT : 0;
}

/* For how long nothing has come or gone on @sk. */
void mptcp_shim_idle_ms(const struct sock *sk, struct mptcp_idle *idle)
{
	const struct tcp_sock *tp = tcp_sk(sk);
	const u32 now = tcp_jiffies32;

	idle->data_sent_ms = jiffies_to_msecs(now - READ_ONCE(tp->lsndtime));
	idle->data_received_ms = jiffies_to_msecs(now - READ_ONCE(inet_csk(sk)->icsk_ack.lrcvtime));
	idle->ack_received_ms = jiffies_to_msecs(now - READ_ONCE(tp->rcv_tstamp));
}

/* The addresses as the socket has them: IPv4 inside IPv6 for an IPv6 socket with an IPv4 peer. */
void mptcp_shim_subflow_addrs(const struct sock *sk, struct mptcp_subflow_addrs *addrs)
{
	const struct inet_sock *inet = inet_sk(sk);

	if (sk->sk_family == AF_INET) {
		addrs->sin_local.sin_family = AF_INET;
		addrs->sin_local.sin_port = inet->inet_sport;
		addrs->sin_local.sin_addr.s_addr = inet->inet_saddr;
		addrs->sin_remote.sin_family = AF_INET;
		addrs->sin_remote.sin_port = inet->inet_dport;
		addrs->sin_remote.sin_addr.s_addr = inet->inet_daddr;
#if IS_ENABLED(CONFIG_IPV6)
	} else {
		addrs->sin6_local.sin6_family = AF_INET6;
		addrs->sin6_local.sin6_port = inet->inet_sport;
		addrs->sin6_local.sin6_addr = inet6_sk(sk)->saddr;
		addrs->sin6_remote.sin6_family = AF_INET6;
		addrs->sin6_remote.sin6_port = inet->inet_dport;
		addrs->sin6_remote.sin6_addr = sk->sk_v6_daddr;
#endif
	}
}

/* An answer that is a number: of a shorter buffer it fills what there is. */
int mptcp_shim_put_int(char __user *value, int __user *len, int answer)
{
	int size;

	if (get_user(size, len))
		return -EFAULT;
	if (size < 0)
		return -EINVAL;
	size = min_t(unsigned int, size, sizeof(answer));
	if (put_user(size, len) || copy_to_user(value, &answer, size))
		return -EFAULT;
	return 0;
}

/* @n more sockets of a protocol in /proc/net/protocols. */
void mptcp_shim_count_in_use(const struct net *net, const struct proto *prot, int n)
{
	sock_prot_inuse_add(net, prot, n);
}
