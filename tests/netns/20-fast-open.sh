#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Shows that TCP Fast Open works on connections: data with the SYN, cookies, servers that do not take it, and middleboxes.
set -eu
. "$(dirname -- "$0")/lib.sh"
need_module
begin
modprobe -q nf_tables || :

# fast_open CLIENT SERVER: all cases with these roles, a fresh topology.
fast_open() {
	if ! pair_possible "$1" "$2"; then
		skip "$1→$2" "this kernel has no MPTCP of its own"
		return
	fi
	topology routed
	role client "$1"
	role server "$2"
	cases fast_open "$1" "$2"
	settle "$1→$2"
}
# Plain TCP first: it shows that the cases state what TCP does.
fast_open plain plain
fast_open ours ours
fast_open ours in-tree
fast_open in-tree ours
fast_open ours plain
fast_open plain ours
finish
