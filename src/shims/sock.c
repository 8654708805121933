// SPDX-License-Identifier: GPL-2.0
/* Sockets: include/net/sock.h and the parts of struct sock that a clone must not share. */
#include <linux/errqueue.h>
#include <linux/sched/signal.h>
#include <net/hotdata.h>
#include <net/inet_common.h>
#include <net/ipv6.h>
#include <net/sock.h>
#include <net/tcp.h>

#include "mptcp_shims.h"

void mptcp_shim_data_lock(struct sock *sk)
{
	spin_lock_bh(&sk->sk_lock.slock);
}

void mptcp_shim_data_unlock(struct sock *sk)
{
	spin_unlock_bh(&sk->sk_lock.slock);
}

int mptcp_shim_sk_add_backlog(struct sock *sk, struct sk_buff *skb, unsigned int limit)
{
	return sk_add_backlog(sk, skb, limit);
}

void mptcp_shim_sock_hold(struct sock *sk)
{
	sock_hold(sk);
}

void mptcp_shim_sock_put(struct sock *sk)
{
	sock_put(sk);
}

void mptcp_shim_sock_reset_flag(struct sock *sk, enum sock_flags flag)
{
	sock_reset_flag(sk, flag);
}

void mptcp_shim_sock_orphan(struct sock *sk)
{
	sock_orphan(sk);
}

/*
 * No application holds the socket, but TCP goes on delivering what arrives and sending what waits.
 * For that it needs a struct socket, whose flags say that somebody waits for room and whose operations
 * socket options look at, and a wait queue, which TCP joins for a moment also when it is told not to wait.
 */
void mptcp_shim_sock_detach(struct sock *sk)
{
	static struct socket_alloc nobody = {
		.socket.ops = &inet_stream_ops,
		.socket.wq.wait = __WAIT_QUEUE_HEAD_INITIALIZER(nobody.socket.wq.wait),
	};

	write_lock_bh(&sk->sk_callback_lock);
	RCU_INIT_POINTER(sk->sk_wq, &nobody.socket.wq);
	sk->sk_socket = &nobody.socket;
	write_unlock_bh(&sk->sk_callback_lock);
}

/* Whether the application of @msk wants to know. A join that an ICMP message has refused is none of its business. */
static bool wants_notice(const struct sock *msk, const struct sk_buff *skb)
{
	if (SKB_EXT_ERR(skb)->ee.ee_origin == SO_EE_ORIGIN_TIMESTAMPING)
		return true;
	return msk->sk_family == AF_INET6 ? inet6_test_bit(RECVERR6, msk) : inet_test_bit(RECVERR, msk);
}

/* Passes on what TCP tells the application of data it has sent, such as when: it asks the connection socket. */
void mptcp_shim_pass_notices(struct sock *ssk, struct sock *msk)
{
	struct sk_buff *skb;

	while ((skb = skb_dequeue(&ssk->sk_error_queue))) {
		skb_orphan(skb);
		if (!wants_notice(msk, skb) || sock_queue_err_skb(msk, skb))
			kfree_skb(skb);
	}
}

/* Whether TCP would let the application write to @sk; @wake asks whether to wake a writer. */
bool mptcp_shim_subflow_has_room(const struct sock *sk, int wake)
{
	return wake ? __sk_stream_is_writeable(sk, wake) : sk_stream_memory_free(sk);
}

/* A page of memory that is not given back after each buffer, only to be asked for again. */
void mptcp_shim_keep_a_page(struct sock *sk)
{
	sk->sk_reserved_mem = PAGE_SIZE;
}

/* Closing the socket will reset the connection. */
void mptcp_shim_linger_zero(struct sock *sk)
{
	sock_set_flag(sk, SOCK_LINGER);
	WRITE_ONCE(sk->sk_lingertime, 0);
}

void mptcp_shim_sock_graft(struct sock *sk, struct socket *sock)
{
	write_lock_bh(&sk->sk_callback_lock);
	rcu_assign_pointer(sk->sk_wq, &sock->wq);
	sk_set_socket(sk, sock);
	WRITE_ONCE(sk->sk_uid, SOCK_INODE(sock)->i_uid);
	write_unlock_bh(&sk->sk_callback_lock);
}

struct page_frag *mptcp_shim_sk_page_frag(struct sock *sk)
{
	return sk_page_frag(sk);
}

bool mptcp_shim_sk_wmem_schedule(struct sock *sk, int size)
{
	return sk_wmem_schedule(sk, size);
}

void mptcp_shim_sk_wmem_charge(struct sock *sk, int size)
{
	sk_wmem_queued_add(sk, size);
	sk_mem_charge(sk, size);
}

void mptcp_shim_sk_wmem_uncharge(struct sock *sk, int size)
{
	sk_wmem_queued_add(sk, -size);
	sk_mem_uncharge(sk, size);
}

bool mptcp_shim_sk_stream_memory_free(const struct sock *sk)
{
	return __sk_stream_memory_free(sk, 0);
}

void mptcp_shim_sk_clear_async_nospace(struct sock *sk)
{
	sk_clear_bit(SOCKWQ_ASYNC_NOSPACE, sk);
}

void mptcp_shim_sk_set_nospace(struct sock *sk)
{
	if (sk->sk_socket)
		set_bit(SOCK_NOSPACE, &sk->sk_socket->flags);
}

bool mptcp_shim_sk_nospace(const struct sock *sk)
{
	return sk->sk_socket && test_bit(SOCK_NOSPACE, &sk->sk_socket->flags);
}

long mptcp_shim_sock_sndtimeo(const struct sock *sk, bool noblock)
{
	return sock_sndtimeo(sk, noblock);
}

long mptcp_shim_sock_rcvtimeo(const struct sock *sk, bool noblock)
{
	return sock_rcvtimeo(sk, noblock);
}

/* Whether connect() has left the SYN to the first write, which it takes along (TCP_FASTOPEN_CONNECT). */
bool mptcp_shim_defers_connect(const struct sock *sk)
{
	return inet_test_bit(DEFER_CONNECT, sk);
}

/* Waits while the socket's state is one of @states (TCPF_*), as sk_stream_wait_close() does. */
void mptcp_shim_sk_wait_event(struct sock *sk, long *timeo, unsigned int states)
{
	DEFINE_WAIT_FUNC(wait, woken_wake_function);

	add_wait_queue(sk_sleep(sk), &wait);
	while (*timeo && !signal_pending(current) &&
	       !sk_wait_event(sk, timeo, !((1 << READ_ONCE(sk->sk_state)) & states), &wait))
		;
	remove_wait_queue(sk_sleep(sk), &wait);
}

/* Connection sockets rank above their subflows, so lockdep must tell the two apart. */
void mptcp_shim_sk_rank_above(struct sock *sk)
{
	static struct lock_class_key keys[2];

	sock_lock_init_class_and_name(sk, "slock-mptcp_rs", &keys[0], "sk_lock-mptcp_rs",
				      &keys[1]);
}

/* The IPv6 part lies at the end of the object: the clone's pointers must lead into itself. */
static void reset_v6(struct sock *sk)
{
#if IS_ENABLED(CONFIG_IPV6)
	struct ipv6_pinfo *np = &((struct tcp6_sock *)sk)->inet6;

	inet_sk(sk)->pinet6 = np;
	RCU_INIT_POINTER(inet_sk(sk)->ipv6_fl_list, NULL);
	np->ipv6_mc_list = NULL;
	np->ipv6_ac_list = NULL;
	np->pktoptions = NULL;
	np->opt = NULL;
	np->rxpmtu = NULL;
#endif
}

/*
 * Gives @sk, a clone of the established TCP socket @from, its own life: what is linked, counted or timed on the
 * original starts empty here. The list follows tcp_create_openreq_child() and
 * inet_csk_clone_lock() of 7.3.
 * sk_clone() makes sockets for new peers, to which the priority and the control group of the memory do not pass on.
 */
void mptcp_shim_sk_clone_reset(struct sock *sk, const struct sock *from)
{
	struct inet_connection_sock *icsk = inet_csk(sk);
	struct inet_sock *inet = inet_sk(sk);
	struct tcp_sock *tp = tcp_sk(sk);

	icsk->icsk_bind_hash = NULL;
	icsk->icsk_bind2_hash = NULL;
	inet->mc_list = NULL;
	RCU_INIT_POINTER(inet->inet_opt, NULL);
	sock_reset_flag(sk, SOCK_RCU_FREE);
	memset(&icsk->icsk_accept_queue, 0, sizeof(icsk->icsk_accept_queue));
	inet_init_csk_locks(sk);
	icsk->icsk_pending = 0;
	icsk->icsk_retransmits = 0;
	icsk->icsk_backoff = 0;
	icsk->icsk_probes_out = 0;
	memset(&icsk->icsk_ca_priv, 0, sizeof(icsk->icsk_ca_priv));
	icsk->icsk_ca_initialized = 0;
	icsk->icsk_ack.pending = 0;
	icsk->icsk_ulp_ops = NULL;
	RCU_INIT_POINTER(icsk->icsk_ulp_data, NULL);

	RCU_INIT_POINTER(sk->sk_rx_dst, NULL);
	sk->sk_frag.page = NULL;
	sk->sk_frag.offset = 0;
	sk->tcp_rtx_queue = RB_ROOT;
	tp->out_of_order_queue = RB_ROOT;
	tp->ooo_last_skb = NULL;
	tp->retransmit_skb_hint = NULL;
	tp->highest_sack = NULL;
	INIT_LIST_HEAD(&tp->tsq_node);
	INIT_LIST_HEAD(&tp->tsorted_sent_queue);
	tp->compressed_ack = 0;
	tp->packets_out = 0;
	tp->fastopen_req = NULL;
	RCU_INIT_POINTER(tp->fastopen_rsk, NULL);
	tp->saved_syn = NULL;
#ifdef CONFIG_TCP_MD5SIG
	RCU_INIT_POINTER(tp->md5sig_info, NULL);
#endif
#ifdef CONFIG_TCP_AO
	RCU_INIT_POINTER(tp->ao_info, NULL);
#endif
	xa_init_flags(&sk->sk_user_frags, XA_FLAGS_ALLOC1);
	if (sk->sk_family == AF_INET6)
		reset_v6(sk);
	sk->sk_priority = from->sk_priority;
	mptcp_shim_inherit_memcg(sk, from);
}

void mptcp_shim_sk_sockets_allocated_dec(struct sock *sk)
{
	sk_sockets_allocated_dec(sk);
}

void mptcp_shim_sk_set_state(struct sock *sk, int state)
{
	inet_sk_set_state(sk, state);
}

bool mptcp_shim_signal_pending(void)
{
	return signal_pending(current);
}

/* Whether SOL_SOCKET options of this socket reach proto->setsockopt, to be replayed on the subflows. */
void mptcp_shim_set_custom_sockopt(struct socket *sock, bool custom)
{
	assign_bit(SOCK_CUSTOM_SOCKOPT, &sock->flags, custom);
}

int mptcp_shim_copy_from_sockptr(void *to, sockptr_t from, unsigned int len)
{
	return copy_from_sockptr(to, from, len) ? -EFAULT : 0;
}

/* sock_setsockopt() looks only at sock->sk: a subflow has no struct socket of its own. */
int mptcp_shim_subflow_sol_socket(struct sock *ssk, int optname, sockptr_t optval,
				  unsigned int optlen)
{
	struct socket sock = { .sk = ssk };

	return sock_setsockopt(&sock, SOL_SOCKET, optname, optval, optlen);
}

/* tcp_sendmsg_locked() on pages; the caller holds @sk. */
int mptcp_shim_splice_pages(struct sock *sk, struct bio_vec *pages, unsigned int count,
			    size_t size, unsigned int flags)
{
	struct msghdr msg = { .msg_flags = MSG_SPLICE_PAGES | flags };

	iov_iter_bvec(&msg.msg_iter, ITER_SOURCE, pages, count, size);
	return tcp_sendmsg_locked(sk, &msg, size);
}

/* tcp_sendmsg_locked() of the next @size bytes of @msg, which TCP copies; the caller holds @sk. */
int mptcp_shim_send_some(struct sock *sk, struct msghdr *msg, size_t size, unsigned int flags)
{
	const size_t rest = iov_iter_count(&msg->msg_iter) - size;
	const unsigned int own_flags = msg->msg_flags;
	int sent;

	msg->msg_flags = flags;
	iov_iter_truncate(&msg->msg_iter, size);
	sent = tcp_sendmsg_locked(sk, msg, size);
	iov_iter_reexpand(&msg->msg_iter, iov_iter_count(&msg->msg_iter) + rest);
	msg->msg_flags = own_flags;
	return sent;
}

/*
 * How much one such call may be asked for so that what it has written is still there when it returns:
 * before its seventeenth packet TCP looks at the ACKs that have come meanwhile. One full packet is enough.
 */
u32 mptcp_shim_write_limit(const struct sock *sk)
{
	const struct tcp_sock *tp = tcp_sk(sk);
	const u32 frags = READ_ONCE(net_hotdata.sysctl_max_skb_frags);
	u32 packet = min(tp->mss_cache * max(READ_ONCE(sk->sk_gso_max_segs), 1U), (u32)(frags * PAGE_SIZE));

	if (tp->max_window)
		packet = min(packet, max(tp->max_window >> 1, 1U));
	return min(packet * 14, 1U << 16);
}

/*
 * Where TCP has put what was written to @sk at @seq, up to @max bytes; false when that is not in its
 * packets any more. The caller holds @sk.
 */
bool mptcp_shim_written_at(struct sock *sk, u32 seq, u32 max, struct bio_vec *range)
{
	struct sk_buff *skb;
	u32 offset;
	int i;

	skb_queue_reverse_walk(&sk->sk_write_queue, skb)
		if (!after(TCP_SKB_CB(skb)->seq, seq))
			goto found;
	skb = skb_rb_last(&sk->tcp_rtx_queue);
	while (skb && after(TCP_SKB_CB(skb)->seq, seq))
		skb = skb_rb_prev(skb);
	if (!skb)
		return false;
found:
	offset = seq - TCP_SKB_CB(skb)->seq;
	if (offset < skb_headlen(skb))
		return false;
	offset -= skb_headlen(skb);
	for (i = 0; i < skb_shinfo(skb)->nr_frags; i++) {
		const skb_frag_t *frag = &skb_shinfo(skb)->frags[i];

		if (offset < skb_frag_size(frag)) {
			bvec_set_page(range, skb_frag_page(frag), min(skb_frag_size(frag) - offset, max),
				      skb_frag_off(frag) + offset);
			return true;
		}
		offset -= skb_frag_size(frag);
	}
	return false;
}

/* Takes up to @max bytes of the next page of @msg; false when that page may not be referred to. */
bool mptcp_shim_next_page(struct msghdr *msg, size_t max, struct bio_vec *range)
{
	struct page *page, **pages = &page;
	size_t offset;
	ssize_t len;

	len = iov_iter_extract_pages(&msg->msg_iter, &pages, max, 1, 0, &offset);
	if (len <= 0)
		return false;
	if (!sendpage_ok(page)) {
		iov_iter_revert(&msg->msg_iter, len);
		return false;
	}
	bvec_set_page(range, page, len, offset);
	return true;
}

void mptcp_shim_spin_lock_init(spinlock_t *lock)
{
	spin_lock_init(lock);
}

void mptcp_shim_spin_lock_bh(spinlock_t *lock)
{
	spin_lock_bh(lock);
}

void mptcp_shim_spin_unlock_bh(spinlock_t *lock)
{
	spin_unlock_bh(lock);
}

/* MSG_ZEROCOPY: the data is copied all the same, and the notice that the caller waits for says so. */
struct ubuf_info *mptcp_shim_zerocopy_begin(struct sock *sk, unsigned int flags, size_t size)
{
	if (!(flags & MSG_ZEROCOPY) || !size || !sock_flag(sk, SOCK_ZEROCOPY))
		return NULL;
	return msg_zerocopy_realloc(sk, size, NULL, false);
}

void mptcp_shim_zerocopy_end(struct ubuf_info *uarg, bool sent)
{
	if (!uarg)
		return;
	if (!sent) {
		msg_zerocopy_put_abort(uarg, true);
		return;
	}
	uarg_to_msgzc(uarg)->zerocopy = 0;
	net_zcopy_put(uarg);
}

/* Replaces tcpi_state, the first byte of struct tcp_info, in the application's buffer. */
int mptcp_shim_put_state(char __user *value, int __user *len, const struct sock *sk)
{
	int size;

	if (get_user(size, len))
		return -EFAULT;
	return size > 0 ? put_user((char)sk->sk_state, value) : 0;
}
