// SPDX-License-Identifier: GPL-2.0
/* TCP: include/net/tcp.h, include/net/inet_hashtables.h. */
#include <linux/timer.h>
#include <net/inet6_hashtables.h>
#include <net/inet_hashtables.h>
#include <net/ip6_checksum.h>
#include <net/tcp.h>

#include "mptcp_shims.h"

/* TCP's reader may arm a timer on a connection socket; only the retransmission timer has a task. */
static void no_delack_timer(struct timer_list *timer)
{
	struct inet_connection_sock *icsk =
		timer_container_of(icsk, timer, icsk_delack_timer);

	sock_put(&icsk->icsk_inet.sk);
}

static enum hrtimer_restart no_hrtimer(struct hrtimer *timer)
{
	return HRTIMER_NORESTART;
}

void mptcp_shim_setup_timers(struct sock *sk, void (*retransmit)(struct timer_list *),
			     void (*path)(struct timer_list *))
{
	struct tcp_sock *tp = tcp_sk(sk);

	timer_setup(&sk->tcp_retransmit_timer, retransmit, 0);
	timer_setup(&inet_csk(sk)->icsk_delack_timer, no_delack_timer, 0);
	timer_setup(&inet_csk(sk)->icsk_keepalive_timer, path, 0);
	hrtimer_setup(&tp->pacing_timer, no_hrtimer, CLOCK_MONOTONIC, HRTIMER_MODE_ABS);
	hrtimer_setup(&tp->compressed_ack_timer, no_hrtimer, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
}

void mptcp_shim_stop_timers(struct sock *sk)
{
	sk_stop_timer(sk, &sk->tcp_retransmit_timer);
	sk_stop_timer(sk, &inet_csk(sk)->icsk_delack_timer);
	sk_stop_timer(sk, &inet_csk(sk)->icsk_keepalive_timer);
}

bool mptcp_shim_timer_runs(const struct sock *sk)
{
	return timer_pending(&sk->tcp_retransmit_timer);
}

/* A running timer keeps its time. */
void mptcp_shim_start_timer(struct sock *sk, u32 timeout_us)
{
	if (!timer_pending(&sk->tcp_retransmit_timer))
		sk_reset_timer(sk, &sk->tcp_retransmit_timer,
			       jiffies + usecs_to_jiffies(timeout_us) + 1);
}

void mptcp_shim_stop_timer(struct sock *sk)
{
	sk_stop_timer(sk, &sk->tcp_retransmit_timer);
}

/* The keepalive timer of a connection socket is the path manager's; a new time replaces the old one. */
void mptcp_shim_start_path_timer(struct sock *sk, u32 timeout_us)
{
	sk_reset_timer(sk, &inet_csk(sk)->icsk_keepalive_timer,
		       jiffies + usecs_to_jiffies(timeout_us) + 1);
}

struct sock *mptcp_shim_sk_from_path_timer(struct timer_list *timer)
{
	struct inet_connection_sock *icsk =
		timer_container_of(icsk, timer, icsk_keepalive_timer);

	return &icsk->icsk_inet.sk;
}

/* TCP's keepalive asks the peer within a second, three times, and closes the socket without answer. */
void mptcp_shim_probe(struct sock *sk)
{
	struct tcp_sock *tp = tcp_sk(sk);

	tp->keepalive_time = HZ;
	tp->keepalive_intvl = HZ;
	tp->keepalive_probes = 3;
	sk->sk_prot->keepalive(sk, 1);
	sock_set_flag(sk, SOCK_KEEPOPEN);
}

int mptcp_shim_two_time_waits(void)
{
	return 2 * TCP_TIMEWAIT_LEN;
}

struct sock *mptcp_shim_sk_from_retransmit_timer(struct timer_list *timer)
{
	return timer_container_of((struct sock *)NULL, timer, tcp_retransmit_timer);
}

/*
 * The window that a header announces, in place of TCP's own, which is kept small: 7.3 sets it anew
 * whenever a longer segment than before has come. It also remembers the furthest edge.
 */
void mptcp_shim_set_rcv_wnd(struct sock *sk, u32 window)
{
	struct tcp_sock *tp = tcp_sk(sk);

	tp->rcv_wnd = window;
	tp->window_clamp = tp->advmss;
	tp->rcv_ssthresh = tp->advmss;
	tcp_update_max_rcv_wnd_seq(tp);
}

bool mptcp_shim_in_pingpong_mode(struct sock *sk)
{
	return inet_csk_in_pingpong_mode(sk);
}

int mptcp_shim_tcp_win_from_space(const struct sock *sk, int space)
{
	return tcp_win_from_space(sk, space);
}

/* TCP-MD5 or TCP-AO keys: which of the two a kernel has is its configuration's choice. */
bool mptcp_shim_tcp_has_signature(const struct sock *sk)
{
	bool signature = false;

#ifdef CONFIG_TCP_MD5SIG
	signature |= rcu_access_pointer(tcp_sk(sk)->md5sig_info) != NULL;
#endif
#ifdef CONFIG_TCP_AO
	signature |= rcu_access_pointer(tcp_sk(sk)->ao_info) != NULL;
#endif
	return signature;
}

u32 mptcp_shim_tcp_rto_us(const struct sock *sk)
{
	return jiffies_to_usecs(inet_csk(sk)->icsk_rto);
}

/*
 * The figures that a scheduler needs. What may be handed over beyond the congestion window is what
 * the subflow sends in some milliseconds, by which time an ACK has led to the next choice.
 */
void mptcp_shim_describe_path(const struct sock *sk, struct mptcp_path *path)
{
	const struct tcp_sock *tp = tcp_sk(sk);
	const u32 mss = max(tp->mss_cache, 1U);
	const u32 interval = READ_ONCE(tp->rate_interval_us);
	const u32 idle = tcp_jiffies32 - READ_ONCE(tp->lsndtime);

	path->srtt_us = READ_ONCE(tp->srtt_us) >> 3;
	/* A handshake shows no least time: its SYN may have been lost at first. So data is tried some time. */
	path->min_rtt_us = !path->srtt_us ? 0 : tp->data_segs_out ? tcp_min_rtt(tp) : 1;
	path->rttvar_us = READ_ONCE(tp->mdev_us) >> 2;
	path->cwnd = tcp_snd_cwnd(tp) * mss;
	path->headroom = 2 * mss;
	path->in_flight = tcp_packets_in_flight(tp) * mss;
	path->unsent = READ_ONCE(tp->write_seq) - READ_ONCE(tp->snd_nxt);
	path->idle_us = jiffies_to_usecs(min(idle, (u32)(60 * HZ)));
	path->mss = mss;
	path->delivery_rate = interval ? div_u64((u64)READ_ONCE(tp->rate_delivered) * mss *
						 USEC_PER_SEC, interval) : 0;
	path->app_limited = tp->rate_app_limited;
}

u64 mptcp_shim_now_us(void)
{
	return div_u64(ktime_get_ns(), NSEC_PER_USEC);
}

/* When the oldest segment that the peer has not acknowledged was sent last; now if there is none. */
u64 mptcp_shim_oldest_sent_us(const struct sock *sk)
{
	const struct sk_buff *head = tcp_rtx_queue_head(sk);

	return head ? tcp_skb_timestamp_us(head) : mptcp_shim_now_us();
}

/* A smaller congestion window, in bytes, from which TCP grows as after a loss, or as before in slow start. */
void mptcp_shim_reduce_cwnd(struct sock *sk, u32 cwnd)
{
	struct tcp_sock *tp = tcp_sk(sk);
	const u32 segments = max(cwnd / max(tp->mss_cache, 1U), 2U);

	/* What the path can carry is not known yet in slow start: it goes on from the smaller window. */
	if (!tcp_in_slow_start(tp))
		tp->snd_ssthresh = max(segments, 2U);
	tcp_snd_cwnd_set(tp, min(segments, tcp_snd_cwnd(tp)));
}

/*
 * Segments leave room for @more bytes of options more, or less: now, and whenever TCP looks at the MTU
 * again. The socket is owned.
 */
void mptcp_shim_leave_room(struct sock *sk, int more)
{
	struct inet_connection_sock *icsk = inet_csk(sk);

	icsk->icsk_ext_hdr_len += more;
	icsk->icsk_sync_mss(sk, icsk->icsk_pmtu_cookie);
}

/*
 * How many bytes of options fit on @skb, a segment with data that leaves, when segments of the current
 * size have room for @space: TCP may have made it when they had room for less. The data pointer is at the
 * TCP header. The socket is owned.
 */
u32 mptcp_shim_option_room(const struct sock *sk, const struct sk_buff *skb, u32 space)
{
	const struct tcp_sock *tp = tcp_sk(sk);
	const u32 header = ((const struct tcphdr *)skb->data)->doff * 4;
	const u32 most = tp->mss_cache + tp->tcp_header_len + space;
	const u32 gso_size = skb_shinfo(skb)->gso_size;
	u32 used = skb->len;

	if (gso_size)
		used = min(used, gso_size + header);
	return most > used ? most - used : 0;
}

/* The next bytes begin a packet of their own, also if the last packet is sent again. */
void mptcp_shim_end_packet(struct sock *sk)
{
	struct sk_buff *tail = tcp_write_queue_tail(sk);

	if (!tail)
		tail = skb_rb_last(&sk->tcp_rtx_queue);
	if (tail)
		TCP_SKB_CB(tail)->eor = 1;
}

/*
 * The packet with @seq, the first one unsent, is being sent: tcp_retrans_try_collapse() shall not make it
 * one with the next. The socket is owned.
 */
void mptcp_shim_keep_apart(struct sock *sk, u32 seq)
{
	struct sk_buff *skb = tcp_send_head(sk);

	if (skb && TCP_SKB_CB(skb)->seq == seq)
		TCP_SKB_CB(skb)->eor = 1;
}

/*
 * Takes back the packets that were never sent; returns their bytes. Only while data may follow: a FIN,
 * or urgent data, has its place in the stream. The socket is owned.
 */
u32 mptcp_shim_take_back(struct sock *sk)
{
	struct tcp_sock *tp = tcp_sk(sk);
	const u32 unsent = tp->write_seq - tp->snd_nxt;
	struct sk_buff *skb;

	if (!((1 << sk->sk_state) & (TCPF_ESTABLISHED | TCPF_CLOSE_WAIT)) || tp->snd_up != tp->snd_una)
		return 0;
	while ((skb = tcp_write_queue_tail(sk))) {
		tcp_unlink_write_queue(skb, sk);
		tcp_wmem_free_skb(sk, skb);
	}
	WRITE_ONCE(tp->write_seq, tp->snd_nxt);
	if (after(tp->pushed_seq, tp->snd_nxt))
		tp->pushed_seq = tp->snd_nxt;
	return unsent;
}

/*
 * Where others carry the data, a subflow that does not get through tries again about every second, so
 * that its return is noticed, but no earlier than its answer can come. Called when TCP repeats
 * something; it doubles the timeout afterwards. The socket is owned.
 */
void mptcp_shim_limit_backoff(struct sock *sk)
{
	const u32 most = max(__tcp_set_rto(tcp_sk(sk)), (u32)HZ / 2);

	inet_csk(sk)->icsk_rto = min(inet_csk(sk)->icsk_rto, most);
}

/*
 * For a subflow that ends and has only its FIN to deliver, which nobody needs any more, or which another
 * subflow delivers as well: TCP gives a path that does not answer up after seconds, not after a minute or
 * two. The socket is owned.
 */
void mptcp_shim_limit_orphan(struct sock *sk)
{
	const u32 most = max(__tcp_set_rto(tcp_sk(sk)), (u32)HZ);

	WRITE_ONCE(inet_csk(sk)->icsk_rto_max, min(inet_csk(sk)->icsk_rto_max, most));
}

/*
 * The round-trip time and four times its deviation, as for TCP's timeout, but without the 200 ms that
 * TCP adds at least, because it has nothing better to do than to wait.
 */
u32 mptcp_shim_patience_us(const struct sock *sk)
{
	const struct tcp_sock *tp = tcp_sk(sk);
	const u32 srtt = READ_ONCE(tp->srtt_us) >> 3;

	if (!srtt)
		return USEC_PER_SEC;
	return min(srtt + max(READ_ONCE(tp->mdev_us), 20U * USEC_PER_MSEC), 10U * USEC_PER_SEC);
}

/* How long ago the peer's TCP was heard last, in jiffies. May be called without the socket. */
u32 mptcp_shim_silence(const struct sock *sk)
{
	return tcp_jiffies32 - READ_ONCE(tcp_sk(sk)->rcv_tstamp);
}

/* The same in microseconds, at most a minute. */
u32 mptcp_shim_silence_us(const struct sock *sk)
{
	return jiffies_to_usecs(min(mptcp_shim_silence(sk), (u32)(60 * HZ)));
}

/*
 * Whether data waits for its ACK, or a closed window was probed twice, and nothing has come for longer than the usual
 * round trip. A peer that closes its window over data in flight answers each time, but takes nothing: it is silent if
 * it has said nothing since.
 */
bool mptcp_shim_is_silent(const struct sock *sk)
{
	const struct tcp_sock *tp = tcp_sk(sk);
	const u32 patience = usecs_to_jiffies(mptcp_shim_patience_us(sk)) + 1;
	const u32 silence = mptcp_shim_silence(sk);
	u64 sent;

	if (silence <= patience)
		return false;
	if (!tp->packets_out)
		return inet_csk(sk)->icsk_probes_out > 1;
	sent = mptcp_shim_now_us() - mptcp_shim_oldest_sent_us(sk);
	return sent > jiffies_to_usecs(patience) && (tp->snd_wnd || jiffies_to_usecs(silence) >= sent);
}

/*
 * When that may be found at the earliest, in microseconds from now, if nothing comes from the peer. Never
 * less than a few milliseconds. May be called without the socket.
 */
u32 mptcp_shim_silence_due_us(const struct sock *sk)
{
	const struct tcp_sock *tp = tcp_sk(sk);
	const u32 patience = usecs_to_jiffies(mptcp_shim_patience_us(sk)) + 2;
	const u32 quiet = min(mptcp_shim_silence(sk), tcp_jiffies32 - READ_ONCE(tp->lsndtime));

	return jiffies_to_usecs(quiet < patience ? patience - quiet : 1);
}

int mptcp_shim_sysctl_wmem_max(const struct sock *sk)
{
	return READ_ONCE(sock_net(sk)->ipv4.sysctl_tcp_wmem[2]);
}

u32 mptcp_shim_sysctl_rmem_max(const struct sock *sk)
{
	return READ_ONCE(sock_net(sk)->ipv4.sysctl_tcp_rmem[2]);
}

bool mptcp_shim_try_get_ca(const struct tcp_congestion_ops *ca)
{
	return try_module_get(ca->owner);
}

void mptcp_shim_put_ca(const struct tcp_congestion_ops *ca)
{
	module_put(ca->owner);
}

/*
 * Keeps the port that the program had bound @first to. What is left of its connection may still use it,
 * which TCP would not mind either.
 */
static void keep_port(struct sock *sk, const struct sock *first, u16 port)
{
	const unsigned char reuse = sk->sk_reuse;

	if (!(first->sk_userlocks & SOCK_BINDPORT_LOCK))
		return;
	if (sk->sk_prot->get_port(sk, port)) {
		sk->sk_reuse = SK_FORCE_REUSE;
		sk->sk_prot->get_port(sk, port);
		sk->sk_reuse = reuse;
	}
	if (inet_csk(sk)->icsk_bind_hash)
		sk->sk_userlocks |= SOCK_BINDPORT_LOCK;
}

/*
 * Makes @sk, a clone of @msk that mptcp_shim_sk_clone_reset() has seen, what tcp_disconnect() makes of a
 * TCP socket. TCP's own code does so, on timers and lists of the socket's own; what TCP's init would
 * forget of the program's options is kept. The caller holds both.
 */
void mptcp_shim_sk_make_tcp(struct sock *sk, const struct sock *msk, const struct sock *first)
{
	const struct tcp_congestion_ops *ca = inet_csk(msk)->icsk_ca_ops;
	struct inet_connection_sock *icsk = inet_csk(sk);
	const u16 port = inet_sk(sk)->inet_num;

	sk->sk_prot->init(sk);
	/* The clone was counted. */
	sk_sockets_allocated_dec(sk);
	WRITE_ONCE(sk->sk_sndbuf, msk->sk_sndbuf);
	WRITE_ONCE(sk->sk_rcvbuf, msk->sk_rcvbuf);
	icsk->icsk_rto_max = inet_csk(msk)->icsk_rto_max;
	if (mptcp_shim_try_get_ca(ca)) {
		mptcp_shim_put_ca(icsk->icsk_ca_ops);
		icsk->icsk_ca_ops = ca;
	}
	inet_sk(sk)->inet_num = 0;
	sk->sk_prot->disconnect(sk, 0);
	/* These numbers were those of data: connect() chooses new ones. */
	WRITE_ONCE(tcp_sk(sk)->write_seq, 0);
	keep_port(sk, first, port);
	WRITE_ONCE(sk->sk_err, msk->sk_err);
}

/* The checksum TCP leaves to the device, once more after the header has grown. */
void mptcp_shim_tcp_checksum_partial(struct sk_buff *skb, const struct sock *sk)
{
#if IS_ENABLED(CONFIG_IPV6)
	if (inet_csk(sk)->icsk_af_ops->net_header_len == sizeof(struct ipv6hdr)) {
		__tcp_v6_send_check(skb, &inet6_sk(sk)->saddr, &sk->sk_v6_daddr);
		return;
	}
#endif
	__tcp_v4_send_check(skb, inet_sk(sk)->inet_saddr, inet_sk(sk)->inet_daddr);
}

/* Whether @sk is the established socket that a packet with these ends belongs to. */
static bool is_for(const struct sock *sk, struct net *net, const struct sk_buff *skb, int family, u32 hash)
{
	const struct tcphdr *th = tcp_hdr(skb);
	const __portpair ports = INET_COMBINED_PORTS(th->source, ntohs(th->dest));
	const struct iphdr *ip = ip_hdr(skb);
	const struct ipv6hdr *ip6 = ipv6_hdr(skb);
	INET_ADDR_COOKIE(cookie, ip->saddr, ip->daddr);

	if (sk->sk_hash != hash)
		return false;
	return family == AF_INET ? inet_match(net, sk, cookie, ports, skb->skb_iif, 0) :
				   inet6_match(net, sk, &ip6->saddr, &ip6->daddr, ports, skb->skb_iif, 0);
}

/*
 * The established socket that @skb belongs to, with a reference, when early demultiplexing left
 * none: a lookup by the four-tuple as TCP does it, whose functions are not exported.
 */
struct sock *mptcp_shim_lookup_established(struct net *net, struct sk_buff *skb, int family)
{
	struct inet_hashinfo *hashinfo = net->ipv4.tcp_death_row.hashinfo;
	const struct tcphdr *th = tcp_hdr(skb);
	const struct iphdr *ip = ip_hdr(skb);
	const struct ipv6hdr *ip6 = ipv6_hdr(skb);
	const struct hlist_nulls_node *node;
	struct sock *sk;
	u32 hash;

	if (family == AF_INET)
		hash = inet_ehashfn(net, ip->daddr, ntohs(th->dest), ip->saddr, th->source);
	else
		hash = inet6_ehashfn(net, &ip6->daddr, ntohs(th->dest), &ip6->saddr, th->source);
	sk_nulls_for_each_rcu(sk, node, &hashinfo->ehash[hash & hashinfo->ehash_mask].chain) {
		if (!is_for(sk, net, skb, family, hash))
			continue;
		if (!sk_fullsock(sk) || !refcount_inc_not_zero(&sk->sk_refcnt))
			return NULL;
		/* Its memory may have become another connection's before there was a reference. */
		if (is_for(sk, net, skb, family, hash))
			return sk;
		sock_put(sk);
		return NULL;
	}
	return NULL;
}

/* While it is unset, TCP calls sk_rx_dst_set() for each segment of an established connection. */
void mptcp_shim_forget_rx_dst(struct sock *sk)
{
	dst_release(unrcu_pointer(xchg(&sk->sk_rx_dst, NULL)));
}
