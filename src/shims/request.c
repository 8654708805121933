// SPDX-License-Identifier: GPL-2.0
/* Request sockets: connections between their SYN and their third ACK. */
#include <linux/percpu.h>
#include <net/ip.h>
#include <net/ip6_checksum.h>
#include <net/request_sock.h>
#include <net/tcp.h>

#include "mptcp_shims.h"

/* How the packet being handled on this CPU is to be answered; NULL when TCP alone knows. */
static DEFINE_PER_CPU(const void *, pending);

struct request_sock *mptcp_shim_request_from_sock(struct sock *sk)
{
	return inet_reqsk(sk);
}

void mptcp_shim_set_pending(const void *answer)
{
	this_cpu_write(pending, answer);
}

const void *mptcp_shim_pending(void)
{
	return this_cpu_read(pending);
}

/* Lengths and checksums of a segment whose TCP header has grown below its IP header. */
void mptcp_shim_fix_ip_header(struct sk_buff *skb, int family)
{
	struct tcphdr *th = tcp_hdr(skb);
	unsigned int len = skb->len - skb_transport_offset(skb);

	skb_reset_network_header(skb);
	if (family == AF_INET) {
		struct iphdr *ip = ip_hdr(skb);

		ip->tot_len = htons(skb->len);
		ip_send_check(ip);
		th->check = ~tcp_v4_check(len, ip->saddr, ip->daddr, 0);
	} else {
		struct ipv6hdr *ip6 = ipv6_hdr(skb);

		ip6->payload_len = htons(skb->len - sizeof(*ip6));
		th->check = ~tcp_v6_check(len, &ip6->saddr, &ip6->daddr, 0);
	}
	skb->ip_summed = CHECKSUM_PARTIAL;
	skb->csum_start = skb_transport_header(skb) - skb->head;
	skb->csum_offset = offsetof(struct tcphdr, check);
}

u32 mptcp_shim_request_isn(const struct request_sock *req)
{
	return tcp_rsk(req)->snt_isn;
}

u32 mptcp_shim_request_peer_isn(const struct request_sock *req)
{
	return tcp_rsk(req)->rcv_isn;
}

/* The SYN-ACK of the request @sk, which is leaving, has no timestamps: the connection does without. */
void mptcp_shim_request_drop_timestamps(struct sock *sk)
{
	inet_rsk(inet_reqsk(sk))->tstamp_ok = 0;
}

/* SYN-ACKs that TCP has counted as sent again; the one under way is not among them. */
u8 mptcp_shim_request_repetitions(const struct request_sock *req)
{
	return req->num_retrans;
}
