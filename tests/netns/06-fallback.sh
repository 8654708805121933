#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Shows that connections work when a middlebox strips the MPTCP option, or drops packets that carry it, which later ones take to heart.
# shellcheck disable=SC2317 # check and over call functions by name
set -eu
. "$(dirname -- "$0")/lib.sh"
need_ours
begin
modprobe -q nf_tables || :

# middlebox RULE...: what the router does to packets in transit; loads nftables rules of a forward chain.
middlebox() {
	ip netns exec router nft flush ruleset
	{
		printf 'table inet middlebox {\nset once { type inet_service; size 4096; flags dynamic; }\nchain forward {\ntype filter hook forward priority 0;\n'
		printf '%s\n' "$@"
		printf '}\n}\n'
	} | ip netns exec router nft -f -
}
syn='tcp flags & (syn | ack) == syn'
synack='tcp flags & (syn | ack) == (syn | ack)'
later='tcp flags & syn == 0'
strip='reset tcp option mptcp'
has='tcp option mptcp exists'

# through NAME [OPTION...]: one transfer per size, family, direction and pair; only intact delivery counts, the wire shows what it may.
through() {
	through_name=$1
	shift
	[ $# -gt 0 ] || set -- --no-capture 1
	transfers "$@" --prefix "$through_name " --families 4,6 --directions upload,download,both \
		--sizes 1,262145 --deadline 30 ours:ours ours:in-tree in-tree:ours ours:plain plain:ours
}
topology routed
transfers --prefix "a router in between: " --directions both --sizes 1,1048577 \
	ours:ours ours:in-tree in-tree:ours ours:plain plain:ours

middlebox "$syn $strip"
through "option stripped from SYN:" --expect none
middlebox "$synack $strip"
through "option stripped from SYN-ACK:"
middlebox "$later $strip"
through "option stripped after the SYN-ACK:"
middlebox "$strip"
through "option stripped from everything:"
# Client to server only: the server never sees the third ACK's option.
middlebox "iifname r1 $later $strip"
through "option stripped from the client's packets after SYN:"
# One end has fallen back after its handshake succeeded, the other never was MPTCP: every call on both.
role client ours
role server ours
socket_calls ours ours "fallen back: " --stripped
# Server to client only: the server learns by the client's ACKs and by its infinite mapping. Two options may be there, and
# a rule removes one. The kernel's own MPTCP goes on sending the same again and again.
middlebox "iifname r2 $later $strip $strip"
transfers --no-capture 1 --prefix "option stripped from the server's packets after SYN-ACK: " --families 4,6 \
	--directions upload,download,both --sizes 1,20000,262145 --deadline 30 ours:ours

# A dropped SYN costs seconds: one case a pair is enough.
dropped() {
	transfers --expect none --prefix "$1 " --families "$2" --directions both --sizes 262145 \
		--deadline 60 ours:ours ours:in-tree in-tree:ours ours:plain plain:ours
}
topology routed
middlebox "$syn $has drop"
dropped "SYN with the option dropped:" 4
dropped "SYN with the option dropped:" 6
# The first packet of a connection that carries the option after its SYN, which is the third ACK.
topology routed
middlebox "$later $has iifname r1 add @once { tcp sport limit rate 1/hour burst 1 packets } drop"
through "third ACK dropped:"

# What is known of that, and what is not, for connections that follow.
if [ "$OURS" = module ]; then
	topology routed
	role client ours
	role server ours
	cases blackhole drops
	impair delay 50ms
	cases blackhole at-once
	topology routed
fi

# The server has to leave the option out of a SYN-ACK that is never answered: the in-tree one does not.
if [ "$OURS" = module ]; then
	middlebox "$synack $has drop"
	transfers --no-capture 1 --prefix "SYN-ACK with the option dropped: " --families 4,6 \
		--directions both --sizes 262145 --deadline 60 ours:ours in-tree:ours plain:ours
fi
finish
