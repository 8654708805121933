/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause) */
/* Do not edit directly, auto-generated from: */
/*	include/netlink/mptcp_rs.yaml */
/* YNL-GEN kernel header */
/* To regenerate run: tools/net/ynl/ynl-regen.sh */

#ifndef _LINUX_MPTCP_RS_GEN_H
#define _LINUX_MPTCP_RS_GEN_H

#include <net/netlink.h>
#include <net/genetlink.h>

#include <uapi/mptcp_rs_netlink.h>

/* Ops table for mptcp_rs */
extern const struct genl_split_ops mptcp_rs_nl_ops[9];

int mptcp_rs_nl_connection_get_doit(struct sk_buff *skb,
				    struct genl_info *info);
int mptcp_rs_nl_connection_get_dumpit(struct sk_buff *skb,
				      struct netlink_callback *cb);
int mptcp_rs_nl_connection_kill_doit(struct sk_buff *skb,
				     struct genl_info *info);
int mptcp_rs_nl_subflow_get_doit(struct sk_buff *skb, struct genl_info *info);
int mptcp_rs_nl_subflow_get_dumpit(struct sk_buff *skb,
				   struct netlink_callback *cb);
int mptcp_rs_nl_subflow_kill_doit(struct sk_buff *skb, struct genl_info *info);
int mptcp_rs_nl_interface_get_doit(struct sk_buff *skb, struct genl_info *info);
int mptcp_rs_nl_interface_get_dumpit(struct sk_buff *skb,
				     struct netlink_callback *cb);
int mptcp_rs_nl_interface_set_doit(struct sk_buff *skb, struct genl_info *info);

#endif /* _LINUX_MPTCP_RS_GEN_H */
