# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
# Two unlike paths between namespaces client and server, for tests, demo and benchmarks. Sourced after lib.sh.
#
# two_paths routed: one address of the server behind a router; the client has a default route on each
# interface, of metric 100 and 200, and no policy routing.
#
#     namespace client                  namespace router              namespace server
#     wifi0 10.0.1.1  ---- veth ---- wifi1 10.0.1.254
#           fd00:1::1                      fd00:1::fe
#     cell0 10.0.2.1  ---- veth ---- cell1 10.0.2.254
#           fd00:2::1                      fd00:2::fe
#                                    lan1  10.0.9.254 ---- veth ---- s1 10.0.9.2
#                                          fd00:9::fe                   fd00:9::2
#
# two_paths direct: the far ends are the server's own, with the addresses 10.0.1.2, fd00:1::2, 10.0.2.2, fd00:2::2.
# two_paths mixed: direct, wifi with IPv4 addresses only and cell with IPv6 addresses only.

# two_paths KIND: makes the namespaces, all plain; removes earlier ones.
two_paths() {
	paths_kind=$1
	client4=10.0.1.1 client6=fd00:1::1
	if [ "$1" = routed ]; then
		make_namespaces client router server
		far=router server4=10.0.9.2 server6=fd00:9::2
		wire client wifi0 10.0.1.1/24 fd00:1::1/64 router wifi1 10.0.1.254/24 fd00:1::fe/64
		wire client cell0 10.0.2.1/24 fd00:2::1/64 router cell1 10.0.2.254/24 fd00:2::fe/64
		wire router lan1 10.0.9.254/24 fd00:9::fe/64 server s1 10.0.9.2/24 fd00:9::2/64
		ip -n client -batch - <<-EOF
			route add default via 10.0.1.254 dev wifi0 metric 100
			route add default via 10.0.2.254 dev cell0 metric 200
			route add ::/0 via fd00:1::fe dev wifi0 metric 100
			route add ::/0 via fd00:2::fe dev cell0 metric 200
		EOF
		ip -n server -batch - <<-EOF
			route add default via 10.0.9.254
			route add ::/0 via fd00:9::fe
		EOF
	else
		make_namespaces client server
		far=server server4=10.0.1.2 server6=fd00:1::2
		wire client wifi0 10.0.1.1/24 fd00:1::1/64 server wifi1 10.0.1.2/24 fd00:1::2/64
		wire client cell0 10.0.2.1/24 fd00:2::1/64 server cell1 10.0.2.2/24 fd00:2::2/64
	fi
	if [ "$1" = mixed ]; then
		for end in client:wifi0:-6 client:cell0:-4 server:wifi1:-6 server:cell1:-4; do
			ip -n "${end%%:*}" "${end##*:}" addr flush dev "$(echo "$end" | cut -d: -f2)" scope global
		done
	fi
	# An interface that is switched off and on again has its addresses still, as with a network manager.
	for namespace in client $far; do
		ip netns exec "$namespace" sysctl -qw net.ipv6.conf.all.keep_addr_on_down=1
	done
	# Packets as on a real link: a rate is not one of 64 KiB at a time.
	for end in client:wifi0 client:cell0 "$far:wifi1" "$far:cell1"; do
		ip -n "${end%:*}" link set "${end#*:}" gso_max_segs 1
	done
	modprobe -q sch_netem || :
	export client4 client6 server4 server6
}

# shape PATH NETEM...: netem in both directions of a path, as in `shape wifi rate 8mbit delay 10ms limit 60`.
shape() {
	shaped=$1
	shift
	tc -n client qdisc replace dev "${shaped}0" root netem "$@"
	tc -n "$far" qdisc replace dev "${shaped}1" root netem "$@"
}

# allow_paths [backup]: what the kernel's own MPTCP has to be told, where it is an end: to join from the
# client's second address, to accept joins, and to announce the server's second address. Ours needs nothing,
# but the word backup makes cell0 a backup for either.
allow_paths() {
	if [ -e /proc/sys/net/mptcp ]; then
		for end in client server; do
			ip -n $end mptcp endpoint flush
			ip -n $end mptcp limits set subflows 4 add_addr_accepted 4
		done
	fi
	# shellcheck disable=SC2154 # role sets them
	if [ "$role_client" = in-tree ] && [ "$paths_kind" = routed ]; then
		for address in 10.0.2.1 fd00:2::1; do
			# shellcheck disable=SC2086 # no word or one
			ip -n client mptcp endpoint add $address dev cell0 subflow ${1-}
		done
	fi
	# shellcheck disable=SC2154
	if [ "$role_server" = in-tree ] && [ "$paths_kind" != routed ]; then
		[ "$paths_kind" = mixed ] || ip -n server mptcp endpoint add 10.0.2.2 dev cell1 signal
		ip -n server mptcp endpoint add fd00:2::2 dev cell1 signal
	fi
	path_policy=on
	[ -z "${1-}" ] || path_policy=backup
	if [ "$role_client" = ours ] && [ -e /proc/sys/net/mptcp_rs/conf ]; then
		ip netns exec client sysctl -qw net.mptcp_rs.conf.cell0.path=$path_policy
	fi
}

# path_groups GROUP...: those of path_cases.py with every pair of ends, one TAP line for each case.
# ONLY=WORD chooses the cases whose name has the word, GROUP the groups, PAIRS the pairs; FULL=1 runs every case in
# both directions with every pair.
path_groups() {
	# One kind of ends is one pair.
	[ "$OURS" = module ] || PAIRS=${PAIRS:-ours:ours}
	path_port=7000
	for pair in ${PAIRS:-ours:ours ours:in-tree in-tree:ours}; do
		if ! pair_possible "$(stands_for "${pair%:*}")" "$(stands_for "${pair#*:}")"; then
			skip "$pair" "this kernel has no MPTCP of its own"
			continue
		fi
		for group in ${GROUP:-"$@"}; do
			case $group in direct | mixed) two_paths "$group" ;; *) two_paths routed ;; esac
			role client "${pair%:*}"
			role server "${pair#*:}"
			if [ "$group" = backup ]; then allow_paths backup; else allow_paths; fi
			path_port=$((path_port + 100))
			: >"$work/paths"
			python3 "$here/paths.py" "$group" --pair "$pair" --ours "$OURS" --only "${ONLY-}" --full "${FULL-}" \
				--port $path_port 2>&1 | tee -a "$work/paths" "$work/tap"
			grep -q '^# paths complete' "$work/paths" ||
				fail "$pair $group: paths.py runs to its end" "$(tail -n 5 "$work/paths")"
			new_taint || fail "$pair $group: a kernel warning" "$(kernel_trouble)"
			# Without the links a socket whose FIN is still on its way would wait for a minute.
			for namespace in client server; do wait_for 30 no_sockets $namespace || :; done
		done
	done
}
