// SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause)
/* Do not edit directly, auto-generated from: */
/*	include/netlink/mptcp_rs.yaml */
/* YNL-GEN kernel source */
/* To regenerate run: tools/net/ynl/ynl-regen.sh */

#include <net/netlink.h>
#include <net/genetlink.h>

#include "mptcp_rs_gen.h"

#include <uapi/mptcp_rs_netlink.h>

/* MPTCP_RS_CMD_CONNECTION_GET - do */
static const struct nla_policy mptcp_rs_connection_get_nl_policy[MPTCP_RS_A_CONNECTION_TOKEN + 1] = {
	[MPTCP_RS_A_CONNECTION_TOKEN] = { .type = NLA_U32, },
};

/* MPTCP_RS_CMD_CONNECTION_KILL - do */
static const struct nla_policy mptcp_rs_connection_kill_nl_policy[MPTCP_RS_A_CONNECTION_TOKEN + 1] = {
	[MPTCP_RS_A_CONNECTION_TOKEN] = { .type = NLA_U32, },
};

/* MPTCP_RS_CMD_SUBFLOW_GET - do */
static const struct nla_policy mptcp_rs_subflow_get_do_nl_policy[MPTCP_RS_A_SUBFLOW_ID + 1] = {
	[MPTCP_RS_A_SUBFLOW_TOKEN] = { .type = NLA_U32, },
	[MPTCP_RS_A_SUBFLOW_ID] = { .type = NLA_U32, },
};

/* MPTCP_RS_CMD_SUBFLOW_GET - dump */
static const struct nla_policy mptcp_rs_subflow_get_dump_nl_policy[MPTCP_RS_A_SUBFLOW_TOKEN + 1] = {
	[MPTCP_RS_A_SUBFLOW_TOKEN] = { .type = NLA_U32, },
};

/* MPTCP_RS_CMD_SUBFLOW_KILL - do */
static const struct nla_policy mptcp_rs_subflow_kill_nl_policy[MPTCP_RS_A_SUBFLOW_ID + 1] = {
	[MPTCP_RS_A_SUBFLOW_TOKEN] = { .type = NLA_U32, },
	[MPTCP_RS_A_SUBFLOW_ID] = { .type = NLA_U32, },
};

/* MPTCP_RS_CMD_INTERFACE_GET - do */
static const struct nla_policy mptcp_rs_interface_get_nl_policy[MPTCP_RS_A_INTERFACE_IF_INDEX + 1] = {
	[MPTCP_RS_A_INTERFACE_IF_INDEX] = NLA_POLICY_MIN(NLA_U32, 1),
};

/* MPTCP_RS_CMD_INTERFACE_SET - do */
static const struct nla_policy mptcp_rs_interface_set_nl_policy[MPTCP_RS_A_INTERFACE_POLICY + 1] = {
	[MPTCP_RS_A_INTERFACE_IF_INDEX] = NLA_POLICY_MIN(NLA_U32, 1),
	[MPTCP_RS_A_INTERFACE_POLICY] = NLA_POLICY_MAX(NLA_U32, 2),
};

/* Ops table for mptcp_rs */
const struct genl_split_ops mptcp_rs_nl_ops[9] = {
	{
		.cmd		= MPTCP_RS_CMD_CONNECTION_GET,
		.doit		= mptcp_rs_nl_connection_get_doit,
		.policy		= mptcp_rs_connection_get_nl_policy,
		.maxattr	= MPTCP_RS_A_CONNECTION_TOKEN,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd	= MPTCP_RS_CMD_CONNECTION_GET,
		.dumpit	= mptcp_rs_nl_connection_get_dumpit,
		.flags	= GENL_CMD_CAP_DUMP,
	},
	{
		.cmd		= MPTCP_RS_CMD_CONNECTION_KILL,
		.doit		= mptcp_rs_nl_connection_kill_doit,
		.policy		= mptcp_rs_connection_kill_nl_policy,
		.maxattr	= MPTCP_RS_A_CONNECTION_TOKEN,
		.flags		= GENL_UNS_ADMIN_PERM | GENL_CMD_CAP_DO,
	},
	{
		.cmd		= MPTCP_RS_CMD_SUBFLOW_GET,
		.doit		= mptcp_rs_nl_subflow_get_doit,
		.policy		= mptcp_rs_subflow_get_do_nl_policy,
		.maxattr	= MPTCP_RS_A_SUBFLOW_ID,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= MPTCP_RS_CMD_SUBFLOW_GET,
		.dumpit		= mptcp_rs_nl_subflow_get_dumpit,
		.policy		= mptcp_rs_subflow_get_dump_nl_policy,
		.maxattr	= MPTCP_RS_A_SUBFLOW_TOKEN,
		.flags		= GENL_CMD_CAP_DUMP,
	},
	{
		.cmd		= MPTCP_RS_CMD_SUBFLOW_KILL,
		.doit		= mptcp_rs_nl_subflow_kill_doit,
		.policy		= mptcp_rs_subflow_kill_nl_policy,
		.maxattr	= MPTCP_RS_A_SUBFLOW_ID,
		.flags		= GENL_UNS_ADMIN_PERM | GENL_CMD_CAP_DO,
	},
	{
		.cmd		= MPTCP_RS_CMD_INTERFACE_GET,
		.doit		= mptcp_rs_nl_interface_get_doit,
		.policy		= mptcp_rs_interface_get_nl_policy,
		.maxattr	= MPTCP_RS_A_INTERFACE_IF_INDEX,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd	= MPTCP_RS_CMD_INTERFACE_GET,
		.dumpit	= mptcp_rs_nl_interface_get_dumpit,
		.flags	= GENL_CMD_CAP_DUMP,
	},
	{
		.cmd		= MPTCP_RS_CMD_INTERFACE_SET,
		.doit		= mptcp_rs_nl_interface_set_doit,
		.policy		= mptcp_rs_interface_set_nl_policy,
		.maxattr	= MPTCP_RS_A_INTERFACE_POLICY,
		.flags		= GENL_UNS_ADMIN_PERM | GENL_CMD_CAP_DO,
	},
};
