// SPDX-License-Identifier: GPL-2.0
/* Generic netlink: the family of path managers and that of mptcp_rs, and what only inline functions do with a message. */
#include <linux/mptcp_pm.h>
#include <net/genetlink.h>

#include "mptcp_pm_gen.c"
#include "mptcp_rs_gen.c"
#include "mptcp_shims.h"

enum { COMMANDS, EVENTS };

static const struct genl_multicast_group pm_groups[] = {
	[COMMANDS] = { .name = MPTCP_PM_CMD_GRP_NAME },
	[EVENTS] = { .name = MPTCP_PM_EV_GRP_NAME, .flags = GENL_MCAST_CAP_NET_ADMIN },
};

/* The kernel's own MPTCP has the name if it is there. */
static struct genl_family pm_family = {
#if IS_ENABLED(CONFIG_MPTCP)
	.name = "mptcp_rs_pm",
#else
	.name = MPTCP_PM_NAME,
#endif
	.version = MPTCP_PM_VER,
	.netnsok = true,
	.module = THIS_MODULE,
	.ops = mptcp_pm_nl_ops,
	.n_ops = ARRAY_SIZE(mptcp_pm_nl_ops),
	.resv_start_op = MPTCP_PM_CMD_SUBFLOW_DESTROY + 1,
	.mcgrps = pm_groups,
	.n_mcgrps = ARRAY_SIZE(pm_groups),
};

static struct genl_family rs_family = {
	.name = MPTCP_RS_FAMILY_NAME,
	.version = MPTCP_RS_FAMILY_VERSION,
	.netnsok = true,
	.parallel_ops = true,
	.module = THIS_MODULE,
	.split_ops = mptcp_rs_nl_ops,
	.n_split_ops = ARRAY_SIZE(mptcp_rs_nl_ops),
};

int mptcp_shim_register_netlink(void)
{
	int err = genl_register_family(&pm_family);

	if (err)
		return err;
	err = genl_register_family(&rs_family);
	if (err)
		genl_unregister_family(&pm_family);
	return err;
}

void mptcp_shim_unregister_netlink(void)
{
	genl_unregister_family(&rs_family);
	genl_unregister_family(&pm_family);
}

/* Sorts the attributes of an address into @table, which has a place for each. */
int mptcp_shim_parse_address(const struct nlattr **table, const struct nlattr *nest, struct genl_info *info)
{
	return nla_parse_nested_deprecated((struct nlattr **)table, MPTCP_PM_ADDR_ATTR_IF_IDX, nest,
					   mptcp_pm_address_nl_policy, info->extack);
}

/* Says why a request is refused, and at which attribute; @attr may be NULL. */
void mptcp_shim_refuse(struct genl_info *info, const struct nlattr *attr, const char *why)
{
	if (!info->extack)
		return;
	info->extack->_msg = why;
	info->extack->bad_attr = attr;
}

/* Says that a request lacks an attribute. */
void mptcp_shim_refuse_missing(struct genl_info *info, u32 attr)
{
	NL_SET_ERR_ATTR_MISS(info->extack, NULL, attr);
}

/* NULL without memory, or when the header does not fit. */
static struct sk_buff *begin(u32 portid, u32 seq, const struct genl_family *family, u8 command, gfp_t gfp,
			     void **header)
{
	struct sk_buff *skb = nlmsg_new(NLMSG_DEFAULT_SIZE, gfp);

	if (!skb)
		return NULL;
	*header = genlmsg_put(skb, portid, seq, family, 0, command);
	if (!*header) {
		nlmsg_free(skb);
		return NULL;
	}
	return skb;
}

struct sk_buff *mptcp_shim_begin_reply(struct genl_info *info, void **header)
{
	return begin(info->snd_portid, info->snd_seq, info->family, info->genlhdr->cmd, GFP_KERNEL, header);
}

int mptcp_shim_send_reply(struct sk_buff *skb, void *header, struct genl_info *info)
{
	genlmsg_end(skb, header);
	return genlmsg_reply(skb, info);
}

void mptcp_shim_free_message(struct sk_buff *skb)
{
	nlmsg_free(skb);
}

/* One of the messages of a dump; NULL when there is no room. */
void *mptcp_shim_begin_part(struct sk_buff *skb, struct netlink_callback *cb)
{
	const struct genl_info *info = genl_info_dump(cb);

	return genlmsg_put(skb, info->snd_portid, info->snd_seq, info->family, NLM_F_MULTI, info->genlhdr->cmd);
}

void mptcp_shim_end_part(struct sk_buff *skb, void *header)
{
	genlmsg_end(skb, header);
}

void mptcp_shim_cancel_part(struct sk_buff *skb, void *header)
{
	genlmsg_cancel(skb, header);
}

/* How far a dump has come; 0 at first. */
long *mptcp_shim_dump_place(struct netlink_callback *cb)
{
	return &cb->args[0];
}

struct genl_info *mptcp_shim_dump_info(struct netlink_callback *cb)
{
	return (struct genl_info *)genl_info_dump(cb);
}

/* Whose socket @sk is; users are called as in the user namespace of whoever sent @request. */
void mptcp_shim_owner(const struct sock *sk, const struct sk_buff *request, struct mptcp_owner *owner)
{
	owner->inode = sock_i_ino(sk);
	owner->uid = from_kuid_munged(sk_user_ns(NETLINK_CB(request).sk), sk_uid(sk));
}

struct net *mptcp_shim_net_of_info(const struct genl_info *info)
{
	return genl_info_net(info);
}

struct nlattr *mptcp_shim_nest_start(struct sk_buff *skb, int attr)
{
	return nla_nest_start(skb, attr);
}

void mptcp_shim_nest_end(struct sk_buff *skb, struct nlattr *nest)
{
	nla_nest_end(skb, nest);
}

/* Whether anybody waits for events of a namespace. */
bool mptcp_shim_has_listeners(struct net *net)
{
	return genl_has_listeners(&pm_family, net, EVENTS);
}

struct sk_buff *mptcp_shim_begin_event(u8 event, void **header)
{
	return begin(0, 0, &pm_family, event, GFP_ATOMIC, header);
}

void mptcp_shim_send_event(struct net *net, struct sk_buff *skb, void *header)
{
	genlmsg_end(skb, header);
	genlmsg_multicast_netns(&pm_family, net, skb, 0, EVENTS, GFP_ATOMIC);
}
