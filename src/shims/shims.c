// SPDX-License-Identifier: GPL-2.0
/* One object from all the shims: a file for each area of kernel headers. */
#include "counters.c"
#include "info.c"
#include "join.c"
#include "device.c"
#include "diag.c"
#include "layout.c"
#include "net.c"
#include "netlink.c"
#include "request.c"
#include "skb.c"
#include "sock.c"
#include "tcp.c"
