/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Prototypes of the C shims. A shim calls one inline function or macro of the kernel, or copies a
 * fixed set of fields; decisions are made in Rust. Read by the shims and by bindgen.
 */
#ifndef MPTCP_SHIMS_H
#define MPTCP_SHIMS_H

#include <linux/bvec.h>
#include <linux/if.h>
#include <linux/inet_diag.h>
#include <linux/mptcp.h>
#include <linux/net.h>
#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <linux/tcp.h>
#include <linux/timer.h>
#include <linux/workqueue.h>
#include <net/genetlink.h>
#include <net/net_namespace.h>
#include <net/sock.h>

/*
 * Places in the kernel's structures, as name, structure and member: bindgen's parser and the
 * kernel's compiler must agree on all of them, or the module does not load.
 */
#define MPTCP_LAYOUT(X)						\
	X(SOCK_PROTOCOL, struct sock, sk_protocol)		\
	X(SOCK_SHUTDOWN, struct sock, sk_shutdown)		\
	X(SOCK_DATA_READY, struct sock, sk_data_ready)		\
	X(SOCK_DESTRUCT, struct sock, sk_destruct)		\
	X(SOCK_RECEIVE_QUEUE, struct sock, sk_receive_queue)	\
	X(ICSK_AF_OPS, struct inet_connection_sock, icsk_af_ops) \
	X(ICSK_ULP_DATA, struct inet_connection_sock, icsk_ulp_data) \
	X(TCP_COPIED_SEQ, struct tcp_sock, copied_seq)		\
	X(TCP_RCV_NXT, struct tcp_sock, rcv_nxt)		\
	X(TCP_RCVQ_SPACE, struct tcp_sock, rcvq_space)		\
	X(TCP_LINGER2, struct tcp_sock, linger2)		\
	X(SKB_DATA, struct sk_buff, data)			\
	X(SKB_TRUESIZE, struct sk_buff, truesize)		\
	X(REQUEST_OPS, struct request_sock, rsk_ops)		\
	X(SOCKET_OPS, struct socket, ops)			\
	X(PROTO_OWNER, struct proto, owner)			\
	X(PROTO_OPS_OWNER, struct proto_ops, owner)		\
	X(DELAYED_WORK_TIMER, struct delayed_work, timer)

#define MPTCP_LAYOUT_ONE(name, structure, member) +1
enum { MPTCP_LAYOUT_COUNT = 0 MPTCP_LAYOUT(MPTCP_LAYOUT_ONE) };

/* What a notifier says of an interface. */
struct mptcp_device {
	struct net *net;	/* NULL if it may be gone */
	u32 index;
	char name[IFNAMSIZ];
};

/* One address of an interface, and what of the interface matters with it. */
struct mptcp_address {
	u8 bytes[16];		/* the first four are an IPv4 address */
	u32 index;		/* of the interface */
	u32 flags;		/* IFA_F_* */
	u32 preferred_s;	/* seconds until it is deprecated, or INFINITY_LIFE_TIME */
	bool is_ipv6;
	bool is_wide;		/* reaches further than one link */
	bool is_running;	/* the interface is up and has a carrier */
	bool prefers_temporary;	/* the interface prefers temporary addresses to the stable ones */
};

/* What socket diagnostics tell of a subflow, as MPTCP_SUBFLOW_ATTR_* and MPTCP_SUBFLOW_FLAG_* have it. */
struct mptcp_subflow_state {
	u32 token_rem;
	u32 token_loc;
	u32 flags;
	u8 id_rem;
	u8 id_loc;
	u16 map_datalen;
	u32 relwrite_seq;
	u32 map_sfseq;
	u32 ssn_offset;
	u64 map_seq;
};

/* For how long nothing has happened on a socket, in milliseconds. */
struct mptcp_idle {
	u32 data_sent_ms;
	u32 data_received_ms;
	u32 ack_received_ms;
};

/* Whose socket it is. */
struct mptcp_owner {
	u64 inode;	/* 0 if no program has it */
	u32 uid;
};

/* The ports of a socket, in network order. */
struct mptcp_ports {
	u16 local;
	u16 peer;
};

/* Where in one of TCP's tables a walk has come to; zeroes are its beginning. */
struct mptcp_table_place {
	u32 bucket;
	u32 number;	/* of sockets passed in the bucket */
};

typedef bool (*mptcp_is_wanted)(struct sock *sk);

typedef void (*mptcp_each_address)(const struct mptcp_address *address, void *context);

/* Writes the text of a file that belongs to a namespace; the first argument is a struct seq_file. */
typedef void (*mptcp_show)(void *file, const struct net *net);

/* counters.c */
uintptr_t mptcp_shim_make_counters(size_t count);
void mptcp_shim_free_counters(uintptr_t counters);
void mptcp_shim_count(uintptr_t counters, size_t place, int n);
u64 mptcp_shim_counted(uintptr_t counters, size_t place);
int mptcp_shim_make_counters_file(struct net *net, mptcp_show show);
void mptcp_shim_remove_counters_file(struct net *net);

/* device.c */
void mptcp_shim_device_of_event(const void *info, struct mptcp_device *device);
struct net *mptcp_shim_net_of_ifa(const void *ifa);
struct net *mptcp_shim_net_of_ifa6(const void *ifa);
struct net *mptcp_shim_net_of_device(const struct net_device *dev);
void mptcp_shim_for_each_address(struct net *net, mptcp_each_address each, void *context);

/* diag.c */
int mptcp_shim_put_subflow(struct sk_buff *skb, const struct mptcp_subflow_state *state, bool net_admin);
size_t mptcp_shim_subflow_size(bool net_admin);

/* info.c */
int mptcp_shim_copy_to_user(void __user *to, const void *from, size_t len);
int mptcp_shim_copy_from_user(void *to, const void __user *from, size_t len);
void mptcp_shim_idle_ms(const struct sock *sk, struct mptcp_idle *idle);
void mptcp_shim_subflow_addrs(const struct sock *sk, struct mptcp_subflow_addrs *addrs);
int mptcp_shim_put_int(char __user *value, int __user *len, int answer);
void mptcp_shim_count_in_use(const struct net *net, const struct proto *prot, int n);

/* netlink.c */
int mptcp_shim_register_netlink(void);
void mptcp_shim_unregister_netlink(void);
int mptcp_shim_parse_address(const struct nlattr **table, const struct nlattr *nest, struct genl_info *info);
void mptcp_shim_refuse(struct genl_info *info, const struct nlattr *attr, const char *why);
void mptcp_shim_refuse_missing(struct genl_info *info, u32 attr);
struct sk_buff *mptcp_shim_begin_reply(struct genl_info *info, void **header);
int mptcp_shim_send_reply(struct sk_buff *skb, void *header, struct genl_info *info);
void mptcp_shim_free_message(struct sk_buff *skb);
void *mptcp_shim_begin_part(struct sk_buff *skb, struct netlink_callback *cb);
void mptcp_shim_end_part(struct sk_buff *skb, void *header);
void mptcp_shim_cancel_part(struct sk_buff *skb, void *header);
long *mptcp_shim_dump_place(struct netlink_callback *cb);
void mptcp_shim_owner(const struct sock *sk, const struct sk_buff *request, struct mptcp_owner *owner);
struct genl_info *mptcp_shim_dump_info(struct netlink_callback *cb);
struct net *mptcp_shim_net_of_info(const struct genl_info *info);
struct nlattr *mptcp_shim_nest_start(struct sk_buff *skb, int attr);
void mptcp_shim_nest_end(struct sk_buff *skb, struct nlattr *nest);
bool mptcp_shim_has_listeners(struct net *net);
struct sk_buff *mptcp_shim_begin_event(u8 event, void **header);
void mptcp_shim_send_event(struct net *net, struct sk_buff *skb, void *header);

/* sock_diag.c */
bool mptcp_shim_register_diag(const struct inet_diag_handler *handler);
void mptcp_shim_unregister_diag(const struct inet_diag_handler *handler);
int mptcp_shim_diag_fill(struct sock *sk, struct sk_buff *skb, struct netlink_callback *cb,
			 const struct inet_diag_req_v2 *req);
int mptcp_shim_diag_reply(struct sock *sk, struct netlink_callback *cb, const struct inet_diag_req_v2 *req);
bool mptcp_shim_diag_names(struct sock *sk, const struct inet_diag_req_v2 *req);
void mptcp_shim_diag_queues(const struct sock *sk, struct inet_diag_msg *msg);
void mptcp_shim_ports(const struct sock *sk, struct mptcp_ports *ports);
struct net *mptcp_shim_net_of_skb(const struct sk_buff *skb);
struct sock *mptcp_shim_next_listener(struct net *net, struct mptcp_table_place *place, mptcp_is_wanted wanted);
struct sock *mptcp_shim_next_connected(struct net *net, struct mptcp_table_place *place, mptcp_is_wanted wanted);

/* sock.c */
void mptcp_shim_data_lock(struct sock *sk);
void mptcp_shim_data_unlock(struct sock *sk);
struct ubuf_info *mptcp_shim_zerocopy_begin(struct sock *sk, unsigned int flags, size_t size);
void mptcp_shim_zerocopy_end(struct ubuf_info *uarg, bool sent);
int mptcp_shim_put_state(char __user *value, int __user *len, const struct sock *sk);
int mptcp_shim_splice_pages(struct sock *sk, struct bio_vec *pages, unsigned int count, size_t size, unsigned int flags);
int mptcp_shim_send_some(struct sock *sk, struct msghdr *msg, size_t size, unsigned int flags);
u32 mptcp_shim_write_limit(const struct sock *sk);
bool mptcp_shim_written_at(struct sock *sk, u32 seq, u32 max, struct bio_vec *range);
bool mptcp_shim_next_page(struct msghdr *msg, size_t max, struct bio_vec *range);
int mptcp_shim_sk_add_backlog(struct sock *sk, struct sk_buff *skb, unsigned int limit);
void mptcp_shim_sock_hold(struct sock *sk);
void mptcp_shim_sock_put(struct sock *sk);
void mptcp_shim_sock_reset_flag(struct sock *sk, enum sock_flags flag);
void mptcp_shim_sock_orphan(struct sock *sk);
void mptcp_shim_sock_detach(struct sock *sk);
void mptcp_shim_pass_notices(struct sock *ssk, struct sock *msk);
bool mptcp_shim_subflow_has_room(const struct sock *sk, int wake);
void mptcp_shim_keep_a_page(struct sock *sk);
void mptcp_shim_linger_zero(struct sock *sk);
void mptcp_shim_sock_graft(struct sock *sk, struct socket *sock);
struct page_frag *mptcp_shim_sk_page_frag(struct sock *sk);
bool mptcp_shim_sk_wmem_schedule(struct sock *sk, int size);
void mptcp_shim_sk_wmem_charge(struct sock *sk, int size);
void mptcp_shim_sk_wmem_uncharge(struct sock *sk, int size);
bool mptcp_shim_sk_stream_memory_free(const struct sock *sk);
void mptcp_shim_sk_clear_async_nospace(struct sock *sk);
void mptcp_shim_sk_set_nospace(struct sock *sk);
bool mptcp_shim_sk_nospace(const struct sock *sk);
long mptcp_shim_sock_sndtimeo(const struct sock *sk, bool noblock);
long mptcp_shim_sock_rcvtimeo(const struct sock *sk, bool noblock);
bool mptcp_shim_defers_connect(const struct sock *sk);
void mptcp_shim_sk_wait_event(struct sock *sk, long *timeo, unsigned int states);
void mptcp_shim_sk_rank_above(struct sock *sk);
void mptcp_shim_sk_clone_reset(struct sock *sk, const struct sock *from);
void mptcp_shim_sk_sockets_allocated_dec(struct sock *sk);
void mptcp_shim_sk_set_state(struct sock *sk, int state);
bool mptcp_shim_signal_pending(void);
void mptcp_shim_spin_lock_init(spinlock_t *lock);
void mptcp_shim_spin_lock_bh(spinlock_t *lock);
void mptcp_shim_spin_unlock_bh(spinlock_t *lock);
void mptcp_shim_set_custom_sockopt(struct socket *sock, bool custom);
int mptcp_shim_copy_from_sockptr(void *to, sockptr_t from, unsigned int len);
int mptcp_shim_subflow_sol_socket(struct sock *ssk, int optname, sockptr_t optval, unsigned int optlen);

/* tcp.c */
void mptcp_shim_setup_timers(struct sock *sk, void (*retransmit)(struct timer_list *), void (*path)(struct timer_list *));
void mptcp_shim_stop_timer(struct sock *sk);
void mptcp_shim_start_path_timer(struct sock *sk, u32 timeout_us);
struct sock *mptcp_shim_sk_from_path_timer(struct timer_list *timer);
void mptcp_shim_probe(struct sock *sk);
void mptcp_shim_stop_timers(struct sock *sk);
bool mptcp_shim_timer_runs(const struct sock *sk);
void mptcp_shim_start_timer(struct sock *sk, u32 timeout_us);
int mptcp_shim_two_time_waits(void);
struct sock *mptcp_shim_sk_from_retransmit_timer(struct timer_list *timer);
void mptcp_shim_set_rcv_wnd(struct sock *sk, u32 window);
bool mptcp_shim_in_pingpong_mode(struct sock *sk);
int mptcp_shim_tcp_win_from_space(const struct sock *sk, int space);
bool mptcp_shim_tcp_has_signature(const struct sock *sk);
void mptcp_shim_forget_rx_dst(struct sock *sk);
u32 mptcp_shim_tcp_rto_us(const struct sock *sk);
u32 mptcp_shim_sysctl_rmem_max(const struct sock *sk);
int mptcp_shim_sysctl_wmem_max(const struct sock *sk);
bool mptcp_shim_try_get_ca(const struct tcp_congestion_ops *ca);
void mptcp_shim_put_ca(const struct tcp_congestion_ops *ca);
void mptcp_shim_sk_make_tcp(struct sock *sk, const struct sock *msk, const struct sock *first);
void mptcp_shim_tcp_checksum_partial(struct sk_buff *skb, const struct sock *sk);
/* TCP's figures of a subflow; times in microseconds, amounts in bytes, the rate in bytes per second. */
struct mptcp_path {
	u64 delivery_rate;
	u32 srtt_us;
	u32 min_rtt_us;
	u32 rttvar_us;
	u32 cwnd;
	u32 headroom;
	u32 in_flight;
	u32 unsent;
	u32 idle_us;
	u32 mss;
	bool app_limited;
};
void mptcp_shim_describe_path(const struct sock *sk, struct mptcp_path *path);
u64 mptcp_shim_now_us(void);
u32 mptcp_shim_patience_us(const struct sock *sk);
u32 mptcp_shim_silence(const struct sock *sk);
u32 mptcp_shim_silence_us(const struct sock *sk);
bool mptcp_shim_is_silent(const struct sock *sk);
u32 mptcp_shim_silence_due_us(const struct sock *sk);
u64 mptcp_shim_oldest_sent_us(const struct sock *sk);
void mptcp_shim_reduce_cwnd(struct sock *sk, u32 cwnd);
void mptcp_shim_leave_room(struct sock *sk, int more);
u32 mptcp_shim_option_room(const struct sock *sk, const struct sk_buff *skb, u32 space);
void mptcp_shim_end_packet(struct sock *sk);
void mptcp_shim_keep_apart(struct sock *sk, u32 seq);
u32 mptcp_shim_take_back(struct sock *sk);
void mptcp_shim_limit_backoff(struct sock *sk);
void mptcp_shim_limit_orphan(struct sock *sk);
struct sock *mptcp_shim_lookup_established(struct net *net, struct sk_buff *skb, int family);

/* join.c */
struct mptcp_endpoint {
	u8 address[16]; /* IPv4: the first four bytes */
	u16 port; /* host order */
	bool is_v6;
};

/* What a request for a further subflow remembers of its SYN, and what was answered. */
struct mptcp_join {
	u32 token;
	u32 peer_nonce;
	u32 local_nonce;
	u8 peer_id;
	u8 local_id;
	bool peer_backup;
	bool local_backup;
};

void mptcp_shim_sock_ends(const struct sock *sk, struct mptcp_endpoint *local, struct mptcp_endpoint *peer);
int mptcp_shim_make_subflow(struct sock *msk, int family, struct socket **sock);
void mptcp_shim_inherit_class(struct sock *sk, const struct sock *msk);
void mptcp_shim_inherit(struct sock *ssk, struct sock *msk);
bool mptcp_shim_lacks_memcg(const struct sock *sk, const struct sock *from);
void mptcp_shim_inherit_memcg(struct sock *sk, const struct sock *from);
bool mptcp_shim_takes_from(const struct sock *msk, const struct sk_buff *skb, int family);
int mptcp_shim_bind_subflow(struct socket *sock, const struct mptcp_endpoint *local, int ifindex);
int mptcp_shim_route_subflow(const struct sock *msk, const struct mptcp_endpoint *peer, struct mptcp_endpoint *local);
int mptcp_shim_connect_subflow(struct socket *sock, const struct mptcp_endpoint *peer);
struct sock *mptcp_shim_disown(struct socket *sock);
int mptcp_shim_make_listener(struct net *net, int family, void (*data_ready)(struct sock *), struct socket **sock);
void mptcp_shim_count_in_net(struct sock *sk);
int mptcp_shim_make_port_listener(struct net *net, const struct mptcp_endpoint *end, struct socket **sock);
struct sock *mptcp_shim_take_child(struct socket *sock);
void mptcp_shim_release_socket(struct socket *sock);
void mptcp_shim_steer(struct sk_buff *skb, struct sock *listener);
void mptcp_shim_send_reset(struct sk_buff *skb, int family);
bool mptcp_shim_save_join(struct request_sock *req, const struct mptcp_join *join);
bool mptcp_shim_saved_join(const struct request_sock *req, struct mptcp_join *join);
bool mptcp_shim_take_join(struct sock *child, struct mptcp_join *join);
struct sock *mptcp_shim_lookup_listener(struct net *net, struct sk_buff *skb, int family);
void mptcp_shim_keep_request(const struct sock *listener, struct sk_buff *skb, u32 isn);

/* request.c */
struct request_sock *mptcp_shim_request_from_sock(struct sock *sk);
void mptcp_shim_set_pending(const void *pending);
const void *mptcp_shim_pending(void);
void mptcp_shim_fix_ip_header(struct sk_buff *skb, int family);
u32 mptcp_shim_request_isn(const struct request_sock *req);
u32 mptcp_shim_request_peer_isn(const struct request_sock *req);
void mptcp_shim_request_drop_timestamps(struct sock *sk);
u8 mptcp_shim_request_repetitions(const struct request_sock *req);

/* skb.c */
void mptcp_shim_sk_receive(struct sock *sk, struct sk_buff *skb);
void mptcp_shim_skb_unlink(struct sk_buff *skb, struct sk_buff_head *list);
void mptcp_shim_skb_orphan(struct sk_buff *skb);
void mptcp_shim_kfree_skb(struct sk_buff *skb);
struct sk_buff *mptcp_shim_skb_clone(struct sk_buff *skb);
int mptcp_shim_skb_trim(struct sk_buff *skb, unsigned int len);
bool mptcp_shim_skb_may_pull(struct sk_buff *skb, unsigned int len);
int mptcp_shim_skb_cow_head(struct sk_buff *skb, unsigned int headroom);
bool mptcp_shim_skb_merge(struct sock *sk, struct sk_buff *to, struct sk_buff *from);
void mptcp_shim_skb_pull(struct sk_buff *skb, unsigned int len);
void *mptcp_shim_skb_push(struct sk_buff *skb, unsigned int len);
void *mptcp_shim_tcp_header_grow(struct sk_buff *skb, unsigned int old, unsigned int more);
void mptcp_shim_tcp_header_shrink(struct sk_buff *skb, unsigned int old, unsigned int less);
void mptcp_shim_skb_set_transport_header(struct sk_buff *skb, int offset);
u32 mptcp_shim_skb_payload_sum(const struct sk_buff *skb, int offset, int len);
bool mptcp_shim_queued_sum(const struct sock *sk, u32 len, u32 *sum);
bool mptcp_shim_tcp_checksum_ok(struct sk_buff *skb, int family);
void mptcp_shim_get_page(struct page *page);
void mptcp_shim_put_page(struct page *page);

/* layout.c */
extern const size_t mptcp_shim_layout[MPTCP_LAYOUT_COUNT];

/* net.c */
struct net *mptcp_shim_current_net(void);
void mptcp_shim_call_rcu(struct callback_head *head, void (*function)(struct callback_head *));
void *mptcp_shim_net_generic(const struct net *net, unsigned int id);
void mptcp_shim_set_argument3(struct pt_regs *regs, unsigned long value);
unsigned long mptcp_shim_argument(struct pt_regs *regs, unsigned int n);
void mptcp_shim_arguments(struct pt_regs *regs, u32 (*arguments)[3]);
void mptcp_shim_init_delayed_work(struct delayed_work *work, work_func_t function);
void mptcp_shim_queue_delayed_work(struct delayed_work *work, u32 delay_ms);
void mptcp_shim_mod_delayed_work(struct delayed_work *work, u32 delay_ms);
void mptcp_shim_local_bh_disable(void);
void mptcp_shim_local_bh_enable(void);
void mptcp_shim_init_work(struct work_struct *work, work_func_t function);
int mptcp_shim_make_workqueue(void);
void mptcp_shim_destroy_workqueue(void);
bool mptcp_shim_queue_work(struct work_struct *work);
void mptcp_shim_module_get(void);
bool mptcp_shim_try_module_get(void);
void mptcp_shim_module_put(void);
struct module *mptcp_shim_this_module(void);
u64 mptcp_shim_siphash4(const u64 secret[2], u64 a, u64 b, u64 c, u64 d);

/* trace.c */
void mptcp_shim_trace_schedule(u32 token, u32 subflow, u64 dsn, u32 len, bool again);
void mptcp_shim_trace_mapping(u32 token, u32 subflow, u64 dsn, u32 ssn, u32 len, bool sent);
void mptcp_shim_trace_fallback(u32 token, u32 subflow, const char *event, const char *reaction);
void mptcp_shim_trace_path(u32 token, const char *decision, u32 subflow, u8 local_id, u8 peer_id);

#endif
