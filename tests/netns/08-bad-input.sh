#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Shows that malformed MPTCP options neither harm a connection nor the kernel: 100,000 mutated segments
# at an established connection and at a listener, IPv4 and IPv6, ours at both ends and at either end of
# an in-tree connection; and what a few of them are counted as. Then the log is clean, no slab cache has grown, no
# memory is gone.
# SEGMENTS=N sends another number; OURS=in-tree tests the test.
set -eu
. "$(dirname -- "$0")/lib.sh"

segments=${SEGMENTS:-100000}

# protocol ROLE: what bad_input.py asks socket() for.
protocol() {
	if [ "$(stands_for "$1")" = in-tree ]; then echo 262; else echo 0; fi
}

# on_one_path: what is forged is for one subflow, so the data has to stay there.
on_one_path() {
	for namespace in client server; do
		[ ! -e /proc/sys/net/mptcp_rs ] || ip netns exec $namespace sysctl -qw net.mptcp_rs.path_manager=none
	done
}

# attack CLIENT_ROLE SERVER_ROLE FAMILY SEGMENTS
attack() {
	if ! pair_possible "$1" "$2"; then
		skip "$1:$2 v$3" "this kernel has no MPTCP of its own"
		return
	fi
	role client "$1"
	role server "$2"
	on_one_path
	if [ "$3" = 4 ]; then
		addresses="--client $client4 --server $server4 --ghost 10.0.1.99"
	else
		addresses="--client $client6 --server $server6 --ghost fd00:1::99"
	fi
	# shellcheck disable=SC2086 # a list of words
	python3 "$here/bad_input.py" $addresses --segments "$4" --prefix "$1:$2 v$3, " \
		--client-protocol "$(protocol "$1")" --server-protocol "$(protocol "$2")" >"$work/attack" 2>&1 || :
	tee -a "$work/tap" <"$work/attack"
	grep -q '^# [0-9]* segments' "$work/attack" || fail "$1:$2 v$3, bad_input.py runs to its end"
	new_taint || fail "$1:$2 v$3: a kernel warning" "$(kernel_trouble)"
}

begin
[ "$OURS" != module ] || need_ours
topology
# Nobody answers for the ghost: the frames that go to it are read off the wire only.
for ghost in 10.0.1.99 fd00:1::99; do
	ip -n server neigh add "$ghost" lladdr 02:00:00:00:00:99 dev s1
done
# What a listener prints about many SYNs is no trouble, and answers must not be limited.
for namespace in client server; do
	ip netns exec "$namespace" sysctl -qw net.ipv4.tcp_max_syn_backlog=8192
done

# A short attack first, so that everything that stays for good is there when counting begins.
attack ours ours 4 3000 >/dev/null
: >"$work/tap"
wait_for 60 no_time_wait || fail "the sockets of the first attack end" "$(ip netns exec server ss -tan | head)"
note_memory
attack ours ours 4 "$segments"
attack ours in-tree 6 $((segments / 10))
attack in-tree ours 6 $((segments / 10))
role client ours
role server ours
on_one_path
cases counted --client "$client4" --server "$server4"
wait_for 150 no_time_wait || fail "all sockets end" "$(ip netns exec server ss -tanp | head)"
memory_unchanged
finish
