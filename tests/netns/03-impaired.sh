#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Shows that data arrives intact over links that lose, reorder, duplicate, and have small packets, with and without segmentation offloads.
# shellcheck disable=SC2317 # check and over call functions by name
set -eu
. "$(dirname -- "$0")/lib.sh"
need_ours
begin
cases=4:both:1048577,4:both:8388608,6:upload:1048577,6:download:1048577

# over NAME: every pair that speaks MPTCP; both sizes, both families, every direction.
over() {
	transfers --reorders 1 --prefix "$1 " --cases $cases ours:ours ours:in-tree in-tree:ours
}
# over_all NAME: the pairs with a plain end as well.
over_all() {
	over "$1"
	transfers --prefix "$1 " --cases $cases ours:plain plain:ours
}

for state in on off; do
	topology
	offload $state
	[ $state = on ] || over "offload off:"
	impair delay 2ms loss 1%
	over "loss 1 %, offload $state:"
	impair delay 2ms 1ms reorder 25% 50%
	over "reordering, offload $state:"
	impair delay 1ms duplicate 5%
	over "duplication, offload $state:"
	impair
	path_mtu 1280
	over "MTU 1280, offload $state:"
	impair delay 2ms 1ms reorder 10% loss 1% duplicate 1%
	over_all "all at once, MTU 1280, offload $state:"
done

# The narrow link is behind a router: path MTU discovery has to find it.
topology routed
# The server knows the narrow link but does not tell it in its MSS: the client has to find it.
ip -n router link set r2 mtu 1280
ip -n server route replace default via 10.0.9.254 mtu 1280 advmss 1460
ip -n server -6 route replace default via fd00:9::fe mtu 1280 advmss 1440
over_all "path MTU 1280 behind a router:"
finish
