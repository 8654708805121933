#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Shows what the netlink family of mptcp_rs tells of connections, subflows and interfaces, and that an administrator can end the former
# and say how paths may use the latter. COUNT=N does another number of connections at once.
set -eu
. "$(dirname -- "$0")/lib.sh"
need_module
begin
topology 2
role client ours
role server ours
# The addresses of s2 are left out. So a connection has three subflows: from c1 and c2 with IPv4, and from c1 with IPv6.
ip netns exec server sysctl -qw net.mptcp_rs.conf.s2.path=off
cases family --count "${COUNT:-400}"
capture wire
cases kills
capture_end wire
# shown BYTES: a reset with an option that begins so has passed; tcpdump does not know the names of all of them.
shown() {
	tcpdump -nxr "$work/wire.pcap" 'tcp[tcpflags] & tcp-rst != 0' 2>/dev/null |
		sed 's/^[^:]*: *//; s/ //g' | tr -d '\n' | grep -q "$1"
}
check "a connection that is ended: MP_FASTCLOSE on the reset" shown 1e0c70
check "a subflow that is ended: MP_TCPRST, administratively prohibited, on the reset" shown 1e048003
finish
