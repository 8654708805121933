// SPDX-License-Identifier: GPL-2.0
/*
 * Gives an unmodified program the kernel's own MPTCP: with LD_PRELOAD, every TCP socket it opens is
 * asked for as IPPROTO_MPTCP.
 */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

int socket(int family, int type, int protocol)
{
	int kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);

	if ((family == AF_INET || family == AF_INET6) && kind == SOCK_STREAM &&
	    (protocol == 0 || protocol == IPPROTO_TCP))
		protocol = IPPROTO_MPTCP;
	return syscall(SYS_socket, family, type, protocol);
}
