// SPDX-License-Identifier: GPL-2.0
/* Sockets that the module makes for itself: further subflows, and the listener they join through. */
#include <linux/net.h>
#include <net/inet6_hashtables.h>
#include <net/ip.h>
#include <net/ipv6.h>
#include <net/request_sock.h>
#include <net/sock.h>
#include <net/tcp.h>
#include <net/transp_v6.h>

#include "mptcp_shims.h"

static int to_sockaddr(const struct mptcp_endpoint *end, struct sockaddr_storage *address)
{
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;
	struct sockaddr_in *v4 = (struct sockaddr_in *)address;

	memset(address, 0, sizeof(*address));
	if (end->is_v6) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(end->port);
		memcpy(&v6->sin6_addr, end->address, sizeof(v6->sin6_addr));
		return sizeof(*v6);
	}
	v4->sin_family = AF_INET;
	v4->sin_port = htons(end->port);
	memcpy(&v4->sin_addr, end->address, sizeof(v4->sin_addr));
	return sizeof(*v4);
}

/* The addresses of the packets: IPv4 also for an IPv6 socket with an IPv4 peer. */
void mptcp_shim_sock_ends(const struct sock *sk, struct mptcp_endpoint *local,
			  struct mptcp_endpoint *peer)
{
	const struct inet_sock *inet = inet_sk(sk);

	memset(local, 0, sizeof(*local));
	memset(peer, 0, sizeof(*peer));
	/* A socket that has ended has given inet_num back. */
	local->port = ntohs(inet->inet_sport);
	peer->port = ntohs(inet->inet_dport);
#if IS_ENABLED(CONFIG_IPV6)
	if (inet_csk(sk)->icsk_af_ops->net_header_len == sizeof(struct ipv6hdr)) {
		local->is_v6 = true;
		peer->is_v6 = true;
		memcpy(local->address, &inet6_sk(sk)->saddr, 16);
		memcpy(peer->address, &sk->sk_v6_daddr, 16);
		return;
	}
#endif
	memcpy(local->address, &inet->inet_saddr, 4);
	memcpy(peer->address, &inet->inet_daddr, 4);
}

/*
 * A socket for a further subflow of @msk, which is owned: TCP's own, of @family, with the options
 * of the application's. It counts as a user of its namespace, as its timers outlive the application.
 */
int mptcp_shim_make_subflow(struct sock *msk, int family, struct socket **sock)
{
	struct sock *sk;
	int err;

	err = sock_create_kern(sock_net(msk), family, SOCK_STREAM, IPPROTO_TCP, sock);
	if (err)
		return err;
	sk = (*sock)->sk;
	sk_net_refcnt_upgrade(sk);
	lock_sock(sk);
	mptcp_shim_inherit(sk, msk);
	inet_csk(sk)->icsk_syn_retries = 3;
	release_sock(sk);
	return 0;
}

/* Binds @sock to @local on the interface @ifindex, 0 for any. */
int mptcp_shim_bind_subflow(struct socket *sock, const struct mptcp_endpoint *local, int ifindex)
{
	struct sockaddr_storage address;
	int err, len;

	/* The application has bound its own to another one. */
	if (ifindex && sock->sk->sk_bound_dev_if && sock->sk->sk_bound_dev_if != ifindex)
		return -ENODEV;
	if (ifindex) {
		err = sock_bindtoindex(sock->sk, ifindex, true);
		if (err)
			return err;
	}
	inet_set_bit(BIND_ADDRESS_NO_PORT, sock->sk);
	len = to_sockaddr(local, &address);
	return kernel_bind(sock, (struct sockaddr_unsized *)&address, len);
}

/* The address that the routing chooses for a subflow of @msk to @peer. */
int mptcp_shim_route_subflow(const struct sock *msk, const struct mptcp_endpoint *peer, struct mptcp_endpoint *local)
{
	memset(local, 0, sizeof(*local));
	local->is_v6 = peer->is_v6;
	if (peer->is_v6) {
		struct flowi6 flow = { .flowi6_proto = IPPROTO_TCP, .flowi6_mark = READ_ONCE(msk->sk_mark),
				       .flowi6_uid = sk_uid(msk), .fl6_dport = htons(peer->port) };
		struct dst_entry *dst;

		memcpy(&flow.daddr, peer->address, sizeof(flow.daddr));
		dst = ip6_dst_lookup_flow(sock_net(msk), NULL, &flow, NULL);
		if (IS_ERR(dst))
			return PTR_ERR(dst);
		memcpy(local->address, &flow.saddr, sizeof(flow.saddr));
		dst_release(dst);
	} else {
		struct flowi4 flow = { .flowi4_proto = IPPROTO_TCP, .flowi4_mark = READ_ONCE(msk->sk_mark),
				       .flowi4_uid = sk_uid(msk), .fl4_dport = htons(peer->port) };
		struct rtable *route;

		memcpy(&flow.daddr, peer->address, sizeof(flow.daddr));
		route = ip_route_output_key(sock_net(msk), &flow);
		if (IS_ERR(route))
			return PTR_ERR(route);
		memcpy(local->address, &flow.saddr, sizeof(flow.saddr));
		ip_rt_put(route);
	}
	return 0;
}

/* Begins to connect @sock to @peer; does not wait. */
int mptcp_shim_connect_subflow(struct socket *sock, const struct mptcp_endpoint *peer)
{
	struct sockaddr_storage address;
	const int len = to_sockaddr(peer, &address);
	int err;

	err = kernel_connect(sock, (struct sockaddr_unsized *)&address, len, O_NONBLOCK);
	return err == -EINPROGRESS ? 0 : err;
}

/* Takes the struct sock out of @sock, which is freed. The hold of @sock is the caller's from now on. */
struct sock *mptcp_shim_disown(struct socket *sock)
{
	struct sock *sk = sock->sk;

	lock_sock(sk);
	mptcp_shim_sock_detach(sk);
	release_sock(sk);
	sock->sk = NULL;
	sock_release(sock);
	return sk;
}

/*
 * A listener that no packet finds by itself: SYNs are steered to it. It is bound to the loopback
 * address and some port, as its children need something to inherit a port from.
 */
int mptcp_shim_make_listener(struct net *net, int family, void (*data_ready)(struct sock *),
			     struct socket **sock)
{
	struct mptcp_endpoint here = { .is_v6 = family == AF_INET6 };
	struct sockaddr_storage address;
	struct sock *sk;
	int err, len;

	if (here.is_v6)
		here.address[15] = 1;
	else
		here.address[0] = 127, here.address[3] = 1;
	err = sock_create_kern(net, family, SOCK_STREAM, IPPROTO_TCP, sock);
	if (err)
		return err;
	sk = (*sock)->sk;
	inet_set_bit(FREEBIND, sk);
	sk->sk_data_ready = data_ready;
	len = to_sockaddr(&here, &address);
	err = kernel_bind(*sock, (struct sockaddr_unsized *)&address, len);
	if (!err)
		err = kernel_listen(*sock, 4096);
	if (err) {
		sock_release(*sock);
		*sock = NULL;
		return err;
	}
	lock_sock(sk);
	sk->sk_prot->unhash(sk);
	release_sock(sk);
	return 0;
}

/* A listener at @end, which joins are sent to. */
int mptcp_shim_make_port_listener(struct net *net, const struct mptcp_endpoint *end, struct socket **sock)
{
	struct sockaddr_storage address;
	const int len = to_sockaddr(end, &address);
	int err;

	err = sock_create_kern(net, end->is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM, IPPROTO_TCP, sock);
	if (err)
		return err;
	sock_set_reuseaddr((*sock)->sk);
	err = kernel_bind(*sock, (struct sockaddr_unsized *)&address, len);
	if (!err)
		err = kernel_listen(*sock, 1024);
	if (err)
		sock_release(*sock);
	return err;
}

/*
 * A child of a listener of the kernel's does not count as a user of its namespace, and TCP stops the timers
 * of such a socket when it is closed: a FIN that is lost would never be repeated.
 */
void mptcp_shim_count_in_net(struct sock *sk)
{
	sk_net_refcnt_upgrade(sk);
}

/* The next child of the listener @sock, without its struct socket; NULL when there is none. */
struct sock *mptcp_shim_take_child(struct socket *sock)
{
	struct socket *child;

	if (kernel_accept(sock, &child, O_NONBLOCK))
		return NULL;
	return mptcp_shim_disown(child);
}

void mptcp_shim_release_socket(struct socket *sock)
{
	sock_release(sock);
}

/* The SYN @skb goes to @listener, whoever else listens on its port. */
void mptcp_shim_steer(struct sk_buff *skb, struct sock *listener)
{
	skb_orphan(skb);
	sock_hold(listener);
	skb->sk = listener;
	skb->destructor = sock_edemux;
}

/* Answers @skb, whose data pointer is at the IP header, with a reset, as TCP does without a socket. */
void mptcp_shim_send_reset(struct sk_buff *skb, int family)
{
	const struct proto *prot = family == AF_INET ? &tcp_prot : &tcpv6_prot;
	const int below = skb_transport_offset(skb);

	__skb_pull(skb, below);
	prot->rsk_prot->send_reset(NULL, skb, SK_RST_REASON_MPTCP_RST_EMPTCP);
	__skb_push(skb, below);
}

/* What a request is to remember until its third ACK: in the place where TCP may keep a SYN. */
bool mptcp_shim_save_join(struct request_sock *req, const struct mptcp_join *join)
{
	struct saved_syn *saved;

	if (req->saved_syn)
		return false;
	saved = kzalloc(struct_size(saved, data, sizeof(*join)), GFP_ATOMIC);
	if (!saved)
		return false;
	memcpy(saved->data, join, sizeof(*join));
	req->saved_syn = saved;
	return true;
}

bool mptcp_shim_saved_join(const struct request_sock *req, struct mptcp_join *join)
{
	if (!req->saved_syn)
		return false;
	memcpy(join, req->saved_syn->data, sizeof(*join));
	return true;
}

/* The same from the child, to which TCP has moved it; it is freed. */
bool mptcp_shim_take_join(struct sock *child, struct mptcp_join *join)
{
	struct tcp_sock *tp = tcp_sk(child);

	if (!tp->saved_syn)
		return false;
	memcpy(join, tp->saved_syn->data, sizeof(*join));
	kfree(tp->saved_syn);
	tp->saved_syn = NULL;
	return true;
}

/*
 * The listener that the SYN @skb, which netfilter shows, would go to; NULL when there is none. It lives until
 * the end of the RCU read-side section.
 */
struct sock *mptcp_shim_lookup_listener(struct net *net, struct sk_buff *skb, int family)
{
	const struct tcphdr *th = tcp_hdr(skb);
	const int offset = skb_transport_offset(skb) + __tcp_hdrlen(th);

	if (family == AF_INET) {
		const struct iphdr *ip = ip_hdr(skb);

		return __inet_lookup_listener(net, skb, offset, ip->saddr, th->source, ip->daddr, ntohs(th->dest),
					      inet_iif(skb), inet_sdif(skb));
	}
#if IS_ENABLED(CONFIG_IPV6)
	return inet6_lookup_listener(net, skb, offset, &ipv6_hdr(skb)->saddr, th->source, &ipv6_hdr(skb)->daddr,
				     ntohs(th->dest), inet6_iif(skb), inet6_sdif(skb));
#else
	return NULL;
#endif
}

/*
 * Lets the SYN @skb be answered with a request that remembers it, also where SYN cookies are wanted, which
 * cannot; not while the queue of requests is full. TCP takes @isn for that of a connection in TIME-WAIT.
 */
void mptcp_shim_keep_request(const struct sock *listener, struct sk_buff *skb, u32 isn)
{
	if (!inet_csk_reqsk_queue_is_full(listener))
		TCP_SKB_CB(skb)->tcp_tw_isn = isn;
}

/* Whether @msk, which may be bound to an interface, takes joins from the one that @skb came in at. */
bool mptcp_shim_takes_from(const struct sock *msk, const struct sk_buff *skb, int family)
{
	const int bound = READ_ONCE(msk->sk_bound_dev_if);

	if (!bound)
		return true;
#if IS_ENABLED(CONFIG_IPV6)
	if (family == AF_INET6)
		return inet_sk_bound_dev_eq(sock_net(msk), bound, inet6_iif(skb), inet6_sdif(skb));
#endif
	return inet_sk_bound_dev_eq(sock_net(msk), bound, inet_iif(skb), inet_sdif(skb));
}
