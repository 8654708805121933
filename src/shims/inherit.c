// SPDX-License-Identifier: GPL-2.0
/* What the sockets of a connection take over from the one that the application has made. */
#include <linux/cgroup.h>
#include <linux/memcontrol.h>
#include <linux/security.h>
#include <net/ipv6.h>
#include <net/sock.h>
#include <net/tcp.h>

#include "mptcp_shims.h"

/* The options that each subflow has for itself. */
static void inherit_options(struct sock *sk, const struct sock *msk)
{
	const u8 buffers = SOCK_SNDBUF_LOCK | SOCK_RCVBUF_LOCK;
	const struct tcp_sock *from = tcp_sk(msk);
	struct tcp_sock *tp = tcp_sk(sk);

	sk->sk_reuse = msk->sk_reuse;
	sk->sk_reuseport = msk->sk_reuseport;
	sk->sk_priority = msk->sk_priority;
	sk->sk_mark = msk->sk_mark;
	sk->sk_incoming_cpu = msk->sk_incoming_cpu;
	sk->sk_bound_dev_if = msk->sk_bound_dev_if;
	sk->sk_userlocks |= msk->sk_userlocks & buffers;
	if (msk->sk_userlocks & SOCK_SNDBUF_LOCK)
		WRITE_ONCE(sk->sk_sndbuf, msk->sk_sndbuf);
	/* The scale of its window depends on it. */
	if (msk->sk_userlocks & SOCK_RCVBUF_LOCK)
		WRITE_ONCE(sk->sk_rcvbuf, msk->sk_rcvbuf);
	WRITE_ONCE(sk->sk_pacing_status, msk->sk_pacing_status);
	sk->sk_max_pacing_rate = msk->sk_max_pacing_rate;
	sock_valbool_flag(sk, SOCK_DBG, sock_flag(msk, SOCK_DBG));
	inet_sk(sk)->tos = inet_sk(msk)->tos;
	inet_sk(sk)->uc_ttl = inet_sk(msk)->uc_ttl;
	inet_assign_bit(TRANSPARENT, sk, inet_test_bit(TRANSPARENT, msk));
	inet_assign_bit(FREEBIND, sk, inet_test_bit(FREEBIND, msk));
	WRITE_ONCE(inet_sk(sk)->local_port_range, READ_ONCE(inet_sk(msk)->local_port_range));
	tp->nonagle = from->nonagle;
	tp->keepalive_time = from->keepalive_time;
	tp->keepalive_intvl = from->keepalive_intvl;
	tp->keepalive_probes = from->keepalive_probes;
	tp->notsent_lowat = from->notsent_lowat;
	tp->thin_lto = from->thin_lto;
	inet_csk(sk)->icsk_user_timeout = inet_csk(msk)->icsk_user_timeout;
	tp->linger2 = from->linger2;
	tp->rx_opt.user_mss = from->rx_opt.user_mss;
	inet_sk(sk)->pmtudisc = inet_sk(msk)->pmtudisc;
	sk->sk_prot->keepalive(sk, sock_flag(msk, SOCK_KEEPOPEN));
	sock_valbool_flag(sk, SOCK_KEEPOPEN, sock_flag(msk, SOCK_KEEPOPEN));
}

/* The class of traffic, where @sk is of another family than @msk. */
void mptcp_shim_inherit_class(struct sock *sk, const struct sock *msk)
{
#if IS_ENABLED(CONFIG_IPV6)
	u8 class;

	if (sk->sk_family == msk->sk_family)
		return;
	/* For packets of IPv4 an IPv6 socket may have one of its own. */
	class = inet_sk(msk)->tos & ~INET_ECN_MASK;
	if (!class && inet6_sk(msk))
		class = inet6_sk(msk)->tclass & ~INET_ECN_MASK;
	/* The other two bits are TCP's. */
	if (inet6_sk(sk))
		inet6_sk(sk)->tclass = class | (inet6_sk(sk)->tclass & INET_ECN_MASK);
	else
		inet_sk(sk)->tos = class | (inet_sk(sk)->tos & INET_ECN_MASK);
	WRITE_ONCE(sk->sk_priority, msk->sk_priority);
	sk_dst_reset(sk);
#endif
}

/* Options of IPv6. */
static void inherit_ipv6(struct sock *sk, const struct sock *msk)
{
#if IS_ENABLED(CONFIG_IPV6)
	const struct ipv6_pinfo *from = inet6_sk(msk);
	struct ipv6_pinfo *np = inet6_sk(sk);

	if (!np || !from)
		return;
	np->tclass = from->tclass;
	np->hop_limit = from->hop_limit;
	np->pmtudisc = from->pmtudisc;
	np->frag_size = from->frag_size;
#endif
}

/* The congestion control that the application has chosen; @sk has not begun to use one. */
static void inherit_congestion_control(struct sock *sk, const struct sock *msk)
{
	const struct tcp_congestion_ops *ca = inet_csk(msk)->icsk_ca_ops;
	struct inet_connection_sock *icsk = inet_csk(sk);

	if (!inet_csk(msk)->icsk_ca_setsockopt || icsk->icsk_ca_initialized || !mptcp_shim_try_get_ca(ca))
		return;
	mptcp_shim_put_ca(icsk->icsk_ca_ops);
	icsk->icsk_ca_ops = ca;
	icsk->icsk_ca_setsockopt = 1;
	memset(icsk->icsk_ca_priv, 0, sizeof(icsk->icsk_ca_priv));
}

/* Whom packets belong to: rules by user, by security label and by control group look there. */
static void inherit_owner(struct sock *sk, struct sock *msk)
{
	WRITE_ONCE(sk->sk_uid, sk_uid(msk));
	security_sk_clone(msk, sk);
#ifdef CONFIG_SOCK_CGROUP_DATA
	{
		struct cgroup *before = sock_cgroup_ptr(&sk->sk_cgrp_data);
		struct cgroup *group = sock_cgroup_ptr(&msk->sk_cgrp_data);

		cgroup_get(group);
		cgroup_bpf_get(group);
		sk->sk_cgrp_data = msk->sk_cgrp_data;
		cgroup_bpf_put(before);
		cgroup_put(before);
	}
#endif
}

/* Whether @from's application has a control group that its memory is charged to, and @sk has none. */
bool mptcp_shim_lacks_memcg(const struct sock *sk, const struct sock *from)
{
	return mem_cgroup_sk_enabled(from) && !mem_cgroup_sk_enabled(sk);
}

/*
 * The control group that the memory of @from's application is charged to. What @sk holds already is charged
 * anew: once to that group and to TCP, and then taken off TCP alone, which had it before. The caller owns @sk.
 */
void mptcp_shim_inherit_memcg(struct sock *sk, const struct sock *from)
{
#ifdef CONFIG_MEMCG
	struct mem_cgroup *group = from->sk_memcg;
	int held;

	if (!mptcp_shim_lacks_memcg(sk, from))
		return;
	css_get(&group->css);
	sk->sk_memcg = group;
	held = sk_mem_pages(sk->sk_forward_alloc + atomic_read(&sk->sk_rmem_alloc) + sk->sk_wmem_queued) << PAGE_SHIFT;
	if (!held)
		return;
	if (!__sk_mem_schedule(sk, held, SK_MEM_RECV)) {
		sk->sk_memcg = NULL;
		css_put(&group->css);
		return;
	}
	sk->sk_memcg = NULL;
	__sk_mem_reclaim(sk, held);
	sk->sk_memcg = group;
#endif
}

/* For a further subflow that has not sent anything yet, or only a SYN-ACK. */
void mptcp_shim_inherit(struct sock *sk, struct sock *msk)
{
	inherit_options(sk, msk);
	inherit_ipv6(sk, msk);
	mptcp_shim_inherit_class(sk, msk);
	inherit_congestion_control(sk, msk);
	inherit_owner(sk, msk);
	mptcp_shim_inherit_memcg(sk, msk);
}
