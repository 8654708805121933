// SPDX-License-Identifier: GPL-2.0
/* Packets: include/linux/skbuff.h. */
#include <linux/netfilter.h>
#include <linux/skbuff.h>
#include <linux/unaligned.h>
#include <net/checksum.h>
#include <net/tcp.h>

#include "mptcp_shims.h"

void mptcp_shim_skb_unlink(struct sk_buff *skb, struct sk_buff_head *list)
{
	__skb_unlink(skb, list);
}

void mptcp_shim_skb_orphan(struct sk_buff *skb)
{
	skb_orphan(skb);
}

void mptcp_shim_kfree_skb(struct sk_buff *skb)
{
	kfree_skb(skb);
}

struct sk_buff *mptcp_shim_skb_clone(struct sk_buff *skb)
{
	return skb_clone(skb, GFP_ATOMIC);
}

int mptcp_shim_skb_trim(struct sk_buff *skb, unsigned int len)
{
	return pskb_trim(skb, len);
}

bool mptcp_shim_skb_may_pull(struct sk_buff *skb, unsigned int len)
{
	return pskb_may_pull(skb, len);
}

int mptcp_shim_skb_cow_head(struct sk_buff *skb, unsigned int headroom)
{
	return skb_cow_head(skb, headroom);
}

void *mptcp_shim_skb_push(struct sk_buff *skb, unsigned int len)
{
	return __skb_push(skb, len);
}

void mptcp_shim_skb_pull(struct sk_buff *skb, unsigned int len)
{
	__skb_pull(skb, len);
}

/* Appends @from to @to, both in @sk's receive queue space, as tcp_try_coalesce() does. */
bool mptcp_shim_skb_merge(struct sock *sk, struct sk_buff *to, struct sk_buff *from)
{
	bool stolen;
	int delta;

	if (!skb_try_coalesce(to, from, &stolen, &delta))
		return false;
	atomic_add(delta, &sk->sk_rmem_alloc);
	sk_mem_charge(sk, delta);
	TCP_SKB_CB(to)->end_seq = TCP_SKB_CB(from)->end_seq;
	TCP_SKB_CB(to)->tcp_flags |= TCP_SKB_CB(from)->tcp_flags;
	kfree_skb_partial(from, stolen);
	return true;
}

/*
 * Opens a gap of @more bytes behind the TCP header of @old bytes that @skb begins with, and tells
 * the checksum that is left to the device. Returns the gap, NULL without memory.
 */
void *mptcp_shim_tcp_header_grow(struct sk_buff *skb, unsigned int old, unsigned int more)
{
	struct tcphdr *th;
	u8 *to, *end;

	if (skb_cow_head(skb, more))
		return NULL;
	skb->transport_header -= more;
	skb->csum_start -= more;
	th = __skb_push(skb, more);
	to = (u8 *)th;
	end = to + old;
	/* Word by word: for so few bytes a call of memmove() costs more. */
	if (old & 4) {
		put_unaligned(get_unaligned((u32 *)(to + more)), (u32 *)to);
		to += 4;
	}
	for (; to != end; to += 8)
		put_unaligned(get_unaligned((u64 *)(to + more)), (u64 *)to);
	/* The upper four bits of this byte count words. */
	((u8 *)th)[12] += more / 4 << 4;
	th->check = csum16_add(th->check, htons(more));
	return end;
}

/*
 * Takes the last @less bytes of options off the TCP header, of @old bytes, of an incoming packet whose IP header
 * is still in front of it. Leaves it alone when others see its bytes, or when TCP is to verify them.
 */
void mptcp_shim_tcp_header_shrink(struct sk_buff *skb, unsigned int old, unsigned int less)
{
	u8 *th = skb_transport_header(skb), *end = th + old - less;

	if (skb_header_cloned(skb) || !skb_csum_unnecessary(skb))
		return;
	/* From behind, word by word, as above. */
	for (; end - th >= 8; end -= 8)
		put_unaligned(get_unaligned((u64 *)(end - 8)), (u64 *)(end - 8 + less));
	if (end != th)
		put_unaligned(get_unaligned((u32 *)th), (u32 *)(th + less));
	skb->transport_header += less;
	th[less + 12] -= less / 4 << 4;
	skb->ip_summed = CHECKSUM_UNNECESSARY;
}

void mptcp_shim_skb_set_transport_header(struct sk_buff *skb, int offset)
{
	skb_set_transport_header(skb, offset);
}

u32 mptcp_shim_skb_payload_sum(const struct sk_buff *skb, int offset, int len)
{
	return (__force u32)skb_checksum(skb, offset, len, 0);
}

/*
 * Sums the next @len bytes of @sk's receive queue, from copied_seq on; false if they are not all there.
 * The socket is owned.
 */
bool mptcp_shim_queued_sum(const struct sock *sk, u32 len, u32 *sum)
{
	const u32 seq = tcp_sk(sk)->copied_seq;
	const struct sk_buff *skb;
	__wsum total = 0;
	u32 done = 0;

	skb_queue_walk(&sk->sk_receive_queue, skb) {
		const u32 offset = seq + done - TCP_SKB_CB(skb)->seq;
		u32 part;

		if (done == len)
			break;
		if (offset >= skb->len)
			continue;
		part = min(skb->len - offset, len - done);
		total = csum_block_add(total, skb_checksum(skb, offset, part, 0), done);
		done += part;
	}
	*sum = (__force u32)total;
	return done == len;
}

/* Leaves skb->ip_summed so that TCP does not verify a second time. */
bool mptcp_shim_tcp_checksum_ok(struct sk_buff *skb, int family)
{
	return skb_csum_unnecessary(skb) ||
	       !nf_checksum(skb, NF_INET_LOCAL_IN, skb_transport_offset(skb), IPPROTO_TCP, family);
}

void mptcp_shim_get_page(struct page *page)
{
	get_page(page);
}

void mptcp_shim_put_page(struct page *page)
{
	put_page(page);
}

/* Accounts @skb to @sk's receive memory; may exceed the pressure limits, never fails. */
/* Acknowledged data is kept even under pressure: the charge then runs into debt. */
void mptcp_shim_sk_receive(struct sock *sk, struct sk_buff *skb)
{
	(void)sk_rmem_schedule(sk, skb, skb->truesize);
	__skb_queue_tail(&sk->sk_receive_queue, skb);
	skb_set_owner_r(skb, sk);
}
