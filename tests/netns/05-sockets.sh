#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Shows that a socket behaves as a TCP socket does in every call: connect, poll, shutdown, options, flags, errors, fork, threads, splice.
# shellcheck disable=SC2317 # check and over call functions by name
set -eu
. "$(dirname -- "$0")/lib.sh"
need_ours
begin

# sockets CLIENT_ROLE SERVER_ROLE: every socket call with these roles, a fresh topology.
sockets() {
	topology
	role client "$1"
	role server "$2"
	socket_calls "$1" "$2"
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
