/* SPDX-License-Identifier: GPL-2.0 */
/* The only input of bindgen: what the module needs from the kernel's headers. */
#include <linux/bvec.h>
#include <linux/if_addr.h>
#include <linux/inet.h>
#include <linux/inetdevice.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/mptcp.h>
#include <linux/mptcp_pm.h>
#include <linux/net.h>
#include <linux/netdevice.h>
#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6.h>
#include <linux/notifier.h>
#include <linux/rcupdate.h>
#include <linux/skbuff.h>
#include <linux/sock_diag.h>
#include <linux/splice.h>
#include <linux/sysctl.h>
#include <linux/tcp.h>
#include <linux/uio.h>
#include <linux/workqueue.h>
#include <crypto/sha2.h>
#include <net/addrconf.h>
#include <net/inet_common.h>
#include <net/ipv6.h>
#include <net/net_namespace.h>
#include <net/protocol.h>
#include <net/sock.h>
#include <net/tcp.h>
#include <net/transp_v6.h>

#include <uapi/mptcp_rs_netlink.h>

#include "mptcp_rs.h"
#include "mptcp_rs_trace.h"
#include "mptcp_shims.h"

/* Macros that bindgen cannot evaluate by itself. */
static const __poll_t RUST_CONST_EPOLL_WRITE = EPOLLOUT | EPOLLWRNORM;
static const gfp_t RUST_CONST_GFP_ATOMIC = GFP_ATOMIC;
static const gfp_t RUST_CONST_GFP_KERNEL = GFP_KERNEL;
static const u32 RUST_CONST_MPTCP_INFO_FLAG_FALLBACK = MPTCP_INFO_FLAG_FALLBACK;
static const u32 RUST_CONST_MPTCP_INFO_FLAG_REMOTE_KEY_RECEIVED = MPTCP_INFO_FLAG_REMOTE_KEY_RECEIVED;
static const u32 RUST_CONST_MPTCP_PM_EV_FLAG_DENY_JOIN_ID0 = MPTCP_PM_EV_FLAG_DENY_JOIN_ID0;
static const u32 RUST_CONST_MPTCP_PM_EV_FLAG_SERVER_SIDE = MPTCP_PM_EV_FLAG_SERVER_SIDE;
static const u32 RUST_CONST_MPTCP_SUBFLOW_FLAG_MCAP_REM = MPTCP_SUBFLOW_FLAG_MCAP_REM;
static const u32 RUST_CONST_MPTCP_SUBFLOW_FLAG_MCAP_LOC = MPTCP_SUBFLOW_FLAG_MCAP_LOC;
static const u32 RUST_CONST_MPTCP_SUBFLOW_FLAG_JOIN_REM = MPTCP_SUBFLOW_FLAG_JOIN_REM;
static const u32 RUST_CONST_MPTCP_SUBFLOW_FLAG_JOIN_LOC = MPTCP_SUBFLOW_FLAG_JOIN_LOC;
static const u32 RUST_CONST_MPTCP_SUBFLOW_FLAG_BKUP_REM = MPTCP_SUBFLOW_FLAG_BKUP_REM;
static const u32 RUST_CONST_MPTCP_SUBFLOW_FLAG_BKUP_LOC = MPTCP_SUBFLOW_FLAG_BKUP_LOC;
static const u32 RUST_CONST_MPTCP_SUBFLOW_FLAG_FULLY_ESTABLISHED = MPTCP_SUBFLOW_FLAG_FULLY_ESTABLISHED;
static const u32 RUST_CONST_MPTCP_SUBFLOW_FLAG_CONNECTED = MPTCP_SUBFLOW_FLAG_CONNECTED;
static const u32 RUST_CONST_MPTCP_SUBFLOW_FLAG_MAPVALID = MPTCP_SUBFLOW_FLAG_MAPVALID;
