#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Runs in the guest for `make vm`: loads the module, makes the namespaces client and server with two
# paths between them, turns mptcp_rs on in both and gives a shell in client.
# The topology is drawn at the head of tests/netns/lib.sh.
set -eu
lib_here=$(CDPATH='' cd -- "$(dirname -- "$0")/../tests/netns" && pwd)
# shellcheck source=tests/netns/lib.sh
. "$lib_here/lib.sh"
ours_ready || { echo "error: $module does not exist: run make module first" >&2; exit 1; }
begin
topology 2
role client ours
role server ours
# The terminal is a serial line in raw mode for the tests; a person wants echo and line editing.
stty sane 2>/dev/null || :
cat <<HINT

Linux $(uname -r) with mptcp_rs, which is on in the namespaces client (this shell) and server:
    client $client4   ---- first path  ---- $server4 server
    client 10.0.2.1   ---- second path ---- 10.0.2.2 server
Try:
    ip netns exec server python3 -m http.server 8000 &
    tcpdump -nni c1 -c 20 tcp &
    curl -o /dev/null http://$server4:8000/README.md
    sysctl net.mptcp_rs.enabled=0        and curl again: plain TCP
    ip netns exec server sh              another shell, in server
/project is the checkout, /out is its folder out. 'exit' powers the guest off.

HINT
status=0
PS1='client# ' HOME=/root ip netns exec client sh -i || status=$?
exit "$status"
