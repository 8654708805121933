// SPDX-License-Identifier: GPL-2.0
/* Socket diagnostics: netlink attributes of a subflow, which `ss -ti` shows. */
#include <linux/inet_diag.h>
#include <linux/mptcp.h>
#include <net/netlink.h>

#include "mptcp_shims.h"

/* What everybody may know. */
static int put_identity(struct sk_buff *skb, const struct mptcp_subflow_state *state)
{
	return nla_put_u32(skb, MPTCP_SUBFLOW_ATTR_TOKEN_REM, state->token_rem) ||
	       nla_put_u32(skb, MPTCP_SUBFLOW_ATTR_TOKEN_LOC, state->token_loc) ||
	       nla_put_u32(skb, MPTCP_SUBFLOW_ATTR_FLAGS, state->flags) ||
	       nla_put_u8(skb, MPTCP_SUBFLOW_ATTR_ID_REM, state->id_rem) ||
	       nla_put_u8(skb, MPTCP_SUBFLOW_ATTR_ID_LOC, state->id_loc);
}

/* Sequence numbers are for administrators. */
static int put_sequence(struct sk_buff *skb, const struct mptcp_subflow_state *state)
{
	return nla_put_u32(skb, MPTCP_SUBFLOW_ATTR_RELWRITE_SEQ, state->relwrite_seq) ||
	       nla_put_u64_64bit(skb, MPTCP_SUBFLOW_ATTR_MAP_SEQ, state->map_seq,
				 MPTCP_SUBFLOW_ATTR_PAD) ||
	       nla_put_u32(skb, MPTCP_SUBFLOW_ATTR_MAP_SFSEQ, state->map_sfseq) ||
	       nla_put_u32(skb, MPTCP_SUBFLOW_ATTR_SSN_OFFSET, state->ssn_offset) ||
	       nla_put_u16(skb, MPTCP_SUBFLOW_ATTR_MAP_DATALEN, state->map_datalen);
}

int mptcp_shim_put_subflow(struct sk_buff *skb, const struct mptcp_subflow_state *state, bool net_admin)
{
	struct nlattr *nest = nla_nest_start_noflag(skb, INET_ULP_INFO_MPTCP);

	if (!nest)
		return -EMSGSIZE;
	if (put_identity(skb, state) || (net_admin && put_sequence(skb, state))) {
		nla_nest_cancel(skb, nest);
		return -EMSGSIZE;
	}
	nla_nest_end(skb, nest);
	return 0;
}

/* Room that mptcp_shim_put_subflow() needs, in bytes. */
size_t mptcp_shim_subflow_size(bool net_admin)
{
	size_t size = nla_total_size(0) + 3 * nla_total_size(sizeof(u32)) + 2 * nla_total_size(sizeof(u8));

	if (net_admin)
		size += 3 * nla_total_size(sizeof(u32)) + nla_total_size_64bit(sizeof(u64)) +
			nla_total_size(sizeof(u16));
	return size;
}
