#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Shows that netlink tells what happens to connections, and that a program can command their subflows and announcements, and nothing wrong.
set -eu
. "$(dirname -- "$0")/lib.sh"
need_module
begin
topology 2
role client ours
role server ours
for namespace in client server; do
	ip netns exec $namespace sysctl -qw net.mptcp_rs.path_manager=userspace
	# The second path has addresses of its own at both ends.
	ip netns exec $namespace sysctl -qw net.ipv4.conf.all.rp_filter=0
done
cases events
for namespace in client server; do
	ip netns exec $namespace sysctl -qw net.mptcp_rs.path_manager=userspace
done
cases userspace

# Namespaces can go while connections in them are commanded, and ports are announced.
python3 "$here/userspace.py" --stay >"$work/staying" 2>&1 &
staying=$!
check "there are connections to leave alone" wait_for 60 grep -q '^ready' "$work/staying"
for namespace in client server; do ip netns del $namespace; done
namespaces=
kill -KILL $staying 2>/dev/null || :
wait $staying 2>/dev/null || :
finish
