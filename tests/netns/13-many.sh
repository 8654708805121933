#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Shows that many connections over two paths open and close at once, again and again, and that nothing of them stays.
# ROUNDS=N and COUNT=N do another number of rounds and of connections; DEADLINE is for one round, in seconds.
set -eu
. "$(dirname -- "$0")/lib.sh"
. "$here/lib-paths.sh"
need_ours
begin
two_paths routed
role client ours
role server ours
for namespace in client server; do
	ip netns exec $namespace sysctl -qw net.ipv4.tcp_max_syn_backlog=8192 net.core.somaxconn=8192 \
		net.ipv4.tcp_tw_reuse=1 net.ipv4.ip_local_port_range='1024 65535'
done
for family in 4 6; do
	address=$server4
	[ $family = 4 ] || address=$server6
	python3 "$here/many.py" --address "$address" --port $((7000 + family)) --count "${COUNT:-1000}" \
		--rounds "${ROUNDS:-12}" --deadline "${DEADLINE:-60}" --prefix "IPv$family, " 2>&1 |
		tee "$work/many" | tee -a "$work/tap"
	grep -q '^# many complete' "$work/many" || fail "IPv$family, many.py runs to its end" "$(tail -n 5 "$work/many")"
	new_taint || fail "IPv$family: a kernel warning" "$(kernel_trouble)"
done
for namespace in client server; do
	wait_for 90 no_sockets $namespace || fail "all sockets of namespace $namespace end" "$(ip netns exec $namespace ss -tan | head)"
done
finish
