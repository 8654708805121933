#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Shows that a socket made by io_uring is ours as one made by socket(2) is, and that all its io_uring operations work.
# shellcheck disable=SC2317 # check and over call functions by name
set -eu
. "$(dirname -- "$0")/lib.sh"
need_ours
begin
program=$work/iouring
check "iouring.c compiles" gcc -O2 -Wall -Wextra -Werror -o "$program" "$here/iouring.c" -luring

# exchange CLIENT_ROLE SERVER_ROLE: io_uring at both ends, everything through the ring; the wire decides.
exchange() {
	text="$1→$2 IPv${3} io_uring"
	if ! pair_possible "$1" "$2"; then
		skip "$text" "this kernel has no MPTCP of its own"
		return
	fi
	role client "$1"
	role server "$2"
	port=$((port + 1))
	capture ring
	# The ring's own socket operation does not pass the preloaded library: in-tree asks for 262 itself.
	ip netns exec server "$program" server "$(protocol "$2")" "$4" $port >"$work/server" 2>&1 &
	server=$!
	wait_for 20 listening server $port || :
	status=0
	timeout 60 ip netns exec client "$program" client "$(protocol "$1")" "$4" $port >"$work/client" 2>&1 || status=$?
	wait $server || status=$?
	capture_end ring
	wire=$(saw ring)
	if [ "$status" != 0 ]; then
		fail "$text" "exit status $status, wire: $wire
$(cat "$work/client" "$work/server")"
	elif [ "$wire" != "$(negotiated "$1" "$2")" ]; then
		fail "$text" "the wire shows $wire instead of $(negotiated "$1" "$2")"
	else
		pass "$text"
	fi
	new_taint || fail "$text: a kernel warning" "$(kernel_trouble)"
}
# protocol ROLE: the number the program asks for.
protocol() { if [ "$(stands_for "$1")" = in-tree ]; then echo 262; else echo 0; fi; }
port=6000
topology
for pair in ours:ours ours:in-tree in-tree:ours ours:plain plain:ours; do
	exchange "${pair%:*}" "${pair#*:}" 4 "$server4"
	exchange "${pair%:*}" "${pair#*:}" 6 "$server6"
done
finish
