#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Shows that a socket behaves as a TCP socket does in every call: connect, poll, shutdown, options, flags, errors, fork, threads, splice.
# shellcheck disable=SC2317 # check and over call functions by name
set -eu
. "$(dirname -- "$0")/lib.sh"
need_ours
begin

# sockets CLIENT_ROLE SERVER_ROLE: sockets.py with these roles, a fresh topology.
sockets() {
	if ! pair_possible "$1" "$2"; then
		skip "$1→$2 socket calls" "this kernel has no MPTCP of its own"
		return
	fi
	topology
	role client "$1"
	role server "$2"
	timeout -k 10 300 python3 "$here/sockets.py" --client "$(stands_for "$1")" --server "$(stands_for "$2")" \
		--name "$1→$2" 2>&1 | tee "$work/sockets" | tee -a "$work/tap"
	grep -q '^# sockets complete' "$work/sockets" || fail "$1→$2 sockets.py runs to its end" "$(tail -n 5 "$work/sockets")"
	new_taint || fail "$1→$2 socket calls: a kernel warning" "$(kernel_trouble)"
	settle "$1→$2 socket calls"
}
# Plain TCP first: it shows that the cases state what TCP does.
sockets plain plain
sockets ours ours
sockets ours in-tree
sockets in-tree ours
sockets ours plain
sockets plain ours
finish
