#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Shows that endpoints can be added, changed and removed by netlink, that wrong requests are refused with a reason, and that connections
# use endpoints as their flags say, with a port of their own or without.
set -eu
. "$(dirname -- "$0")/lib.sh"
need_module
begin
topology 2
role client ours
role server ours
for namespace in client server; do
	ip netns exec $namespace sysctl -qw net.mptcp_rs.path_manager=endpoint
	# The second path has addresses of its own at both ends.
	ip netns exec $namespace sysctl -qw net.ipv4.conf.all.rp_filter=0
done
cases endpoints
cases ports
finish
