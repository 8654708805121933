/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * What programs that know of mptcp_rs can ask for. None has to.
 */
#ifndef MPTCP_RS_H
#define MPTCP_RS_H

/* The level of the options, as <linux/socket.h> has it. */
#ifndef SOL_MPTCP
#define SOL_MPTCP 284
#endif

/*
 * Options of one socket, set before or after connect() or listen(); what accept() returns has the
 * listener's. The value is a name out of net.mptcp_rs.available_schedulers or
 * net.mptcp_rs.available_path_managers, with or without a NUL at its end. An empty one takes the
 * choice back: the setting of the network namespace applies again. getsockopt() returns the name in
 * use, with a NUL.
 *
 * Errors: ENOENT if there is no such name, EINVAL if it is longer than MPTCP_RS_NAME_MAX - 1,
 * EBUSY if another user of the socket is in the way (a BPF socket map), what TCP says if the socket
 * is TCP's or has become so: ENOPROTOOPT, or EOPNOTSUPP from getsockopt().
 */
#define MPTCP_RS_SCHEDULER 64
#define MPTCP_RS_PATH_MANAGER 65

#define MPTCP_RS_NAME_MAX 16

#endif /* MPTCP_RS_H */
