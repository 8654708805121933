// SPDX-License-Identifier: GPL-2.0
/* Socket diagnostics of connections. The functions of inet_diag may be a module's, so they are looked up. */
#include <linux/inet_diag.h>
#include <linux/kmod.h>
#include <linux/sock_diag.h>
#include <net/inet_hashtables.h>
#include <net/tcp.h>

#include "mptcp_shims.h"

static typeof(inet_diag_register) *diag_register;
static typeof(inet_diag_unregister) *diag_unregister;
static typeof(inet_sk_diag_fill) *diag_fill;
static typeof(inet_diag_bc_sk) *diag_matches;

static void put_symbols(void)
{
	if (diag_matches)
		symbol_put(inet_diag_bc_sk);
	if (diag_fill)
		symbol_put(inet_sk_diag_fill);
	if (diag_unregister)
		symbol_put(inet_diag_unregister);
	if (diag_register)
		symbol_put(inet_diag_register);
}

/* false: the kernel has no diagnostics, or another module has the number. */
bool mptcp_shim_register_diag(const struct inet_diag_handler *handler)
{
	diag_register = symbol_request(inet_diag_register);
	diag_unregister = symbol_get(inet_diag_unregister);
	diag_fill = symbol_get(inet_sk_diag_fill);
	diag_matches = symbol_get(inet_diag_bc_sk);
	if (diag_register && diag_unregister && diag_fill && diag_matches && !diag_register(handler))
		return true;
	put_symbols();
	return false;
}

void mptcp_shim_unregister_diag(const struct inet_diag_handler *handler)
{
	diag_unregister(handler);
	put_symbols();
}

/* Adds a message about @sk to a dump if the filter of the dump lets it pass. */
int mptcp_shim_diag_fill(struct sock *sk, struct sk_buff *skb, struct netlink_callback *cb,
			 const struct inet_diag_req_v2 *req)
{
	bool net_admin = netlink_net_capable(cb->skb, CAP_NET_ADMIN);

	if (!diag_matches(cb->data, sk))
		return 0;
	return diag_fill(sk, inet_csk(sk), skb, cb, req, NLM_F_MULTI, net_admin);
}

/* Answers with a message about @sk alone. */
int mptcp_shim_diag_reply(struct sock *sk, struct netlink_callback *cb, const struct inet_diag_req_v2 *req)
{
	bool net_admin = netlink_net_capable(cb->skb, CAP_NET_ADMIN);
	struct sk_buff *skb = nlmsg_new(NLMSG_GOODSIZE, GFP_KERNEL);
	struct net *net = sock_net(cb->skb->sk);
	int err;

	if (!skb)
		return -ENOMEM;
	err = diag_fill(sk, inet_csk(sk), skb, cb, req, 0, net_admin);
	if (err < 0) {
		kfree_skb(skb);
		return err;
	}
	return nlmsg_unicast(net->diag_nlsk, skb, NETLINK_CB(cb->skb).portid);
}

/* What waits to be read and to be acknowledged; of a listener, what waits to be accepted and may wait. */
void mptcp_shim_diag_queues(const struct sock *sk, struct inet_diag_msg *msg)
{
	const struct tcp_sock *tp = tcp_sk(sk);

	if (inet_sk_state_load(sk) == TCP_LISTEN) {
		msg->idiag_rqueue = READ_ONCE(sk->sk_ack_backlog);
		msg->idiag_wqueue = READ_ONCE(sk->sk_max_ack_backlog);
		return;
	}
	msg->idiag_rqueue = max_t(int, READ_ONCE(tp->rcv_nxt) - READ_ONCE(tp->copied_seq), 0);
	msg->idiag_wqueue = READ_ONCE(sk->sk_wmem_queued);
}

void mptcp_shim_ports(const struct sock *sk, struct mptcp_ports *ports)
{
	ports->local = (__force u16)inet_sk(sk)->inet_sport;
	ports->peer = (__force u16)inet_sk(sk)->inet_dport;
}

/* Whether @req names @sk: by its ports, and by its cookie, which no other socket has. */
bool mptcp_shim_diag_names(struct sock *sk, const struct inet_diag_req_v2 *req)
{
	const u32 *cookie = req->id.idiag_cookie;

	return req->id.idiag_sport == inet_sk(sk)->inet_sport && req->id.idiag_dport == inet_sk(sk)->inet_dport &&
	       (cookie[0] != INET_DIAG_NOCOOKIE || cookie[1] != INET_DIAG_NOCOOKIE) &&
	       !sock_diag_check_cookie(sk, cookie);
}

struct net *mptcp_shim_net_of_skb(const struct sk_buff *skb)
{
	return sock_net(skb->sk);
}

/* The next listener of @net that is @wanted, with a reference; @place is where the one after it is. */
struct sock *mptcp_shim_next_listener(struct net *net, struct mptcp_table_place *place, mptcp_is_wanted wanted)
{
	struct inet_hashinfo *hashinfo = net->ipv4.tcp_death_row.hashinfo;

	for (; place->bucket <= hashinfo->lhash2_mask; place->bucket++, place->number = 0) {
		struct inet_listen_hashbucket *bucket = &hashinfo->lhash2[place->bucket];
		struct hlist_nulls_node *node;
		struct sock *sk;
		u32 number = 0;

		if (hlist_nulls_empty(&bucket->nulls_head))
			continue;
		spin_lock(&bucket->lock);
		sk_nulls_for_each(sk, node, &bucket->nulls_head) {
			if (number++ < place->number || !net_eq(sock_net(sk), net) || !wanted(sk) ||
			    !refcount_inc_not_zero(&sk->sk_refcnt))
				continue;
			place->number = number;
			spin_unlock(&bucket->lock);
			return sk;
		}
		spin_unlock(&bucket->lock);
		cond_resched();
	}
	return NULL;
}

/* As mptcp_shim_next_listener(), for sockets that are connected. */
struct sock *mptcp_shim_next_connected(struct net *net, struct mptcp_table_place *place, mptcp_is_wanted wanted)
{
	struct inet_hashinfo *hashinfo = net->ipv4.tcp_death_row.hashinfo;

	for (; place->bucket <= hashinfo->ehash_mask; place->bucket++, place->number = 0) {
		struct inet_ehash_bucket *bucket = &hashinfo->ehash[place->bucket];
		spinlock_t *lock = inet_ehash_lockp(hashinfo, place->bucket);
		struct hlist_nulls_node *node;
		struct sock *sk;
		u32 number = 0;

		if (hlist_nulls_empty(&bucket->chain))
			continue;
		spin_lock_bh(lock);
		sk_nulls_for_each(sk, node, &bucket->chain) {
			if (number++ < place->number || !sk_fullsock(sk) || !net_eq(sock_net(sk), net) ||
			    sk->sk_protocol != IPPROTO_TCP || !wanted(sk) ||
			    !refcount_inc_not_zero(&sk->sk_refcnt))
				continue;
			place->number = number;
			spin_unlock_bh(lock);
			return sk;
		}
		spin_unlock_bh(lock);
		cond_resched();
	}
	return NULL;
}
