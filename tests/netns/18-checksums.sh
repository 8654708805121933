#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Shows that connections with DSS checksums deliver every byte, whichever host requires them, and that data which a middlebox has changed is found.
# shellcheck disable=SC2317 # check and over call functions by name
set -eu
. "$(dirname -- "$0")/lib.sh"
need_module
begin
modprobe -q nf_tables || :
[ -z "$in_tree" ] || build_preload

# checksums CLIENT SERVER: whether each requires them, 0 or 1, whatever its MPTCP is.
checksums() {
	for end in "client $1" "server $2"; do
		for tree in mptcp_rs mptcp; do
			setting=/proc/sys/net/$tree/checksum_enabled
			ip netns exec "${end% *}" sh -c "[ ! -e $setting ] || echo ${end#* } >$setting"
		done
	done
}

# seen yes|no TEXT CLIENT:SERVER: a transfer, and whether its mappings have checksums.
seen() {
	if ! pair_possible "${3%:*}" "${3#*:}"; then
		skip "$2: ${3%:*}→${3#*:}" "this kernel has no MPTCP of its own"
		return
	fi
	capture checksums 200
	transfers --no-capture 1 --prefix "$2: " --families 4 --directions both --sizes 65537 "$3"
	capture_end checksums
	tcpdump -nr "$work/checksums.pcap" tcp 2>/dev/null >"$work/shown"
	with=$(grep -c 'dss.* len [1-9].* csum ' "$work/shown" || :)
	without=$(grep 'dss.* len [1-9]' "$work/shown" | grep -cv ' csum ' || :)
	case $1:$with:$without in
	yes:0:* | no:*:0) good='' ;;
	yes:*:0 | no:0:*) good=1 ;;
	*) good='' ;;
	esac
	if [ -n "$good" ]; then
		pass "$2: mappings with checksums: $1"
	else
		fail "$2: mappings with checksums: $1" "$with with, $without without: $(head -n 20 "$work/shown")"
	fi
}

topology
checksums 0 0
seen no "nobody requires checksums" ours:ours
checksums 1 0
seen yes "the client requires them" ours:ours
seen yes "the client requires them" in-tree:ours
checksums 0 1
seen yes "the server requires them" ours:in-tree
seen yes "the server requires them" in-tree:ours
checksums 1 1
transfers --prefix "checksums: " --sizes 1,1048577 ours:ours ours:in-tree in-tree:ours
transfers --prefix "checksums: " --families 4 --directions both --sizes 262145 ours:plain plain:ours
impair delay 2ms 1ms reorder 10% loss 1% duplicate 1%
offload off
transfers --reorders 1 --prefix "checksums, a bad link: " --directions upload,download --families 4 --sizes 4194305 \
	ours:ours ours:in-tree in-tree:ours

# middlebox NAMESPACE DEVICE NTH: inverts a byte of the NTH large packet that leaves through this device, from 0 on.
middlebox() {
	ip netns exec "$1" nft -f - <<-EOF2
		table inet middlebox {
			chain change {
				type filter hook postrouting priority 0;
				oifname $2 ip length > 1000 numgen inc mod 1000000 == $3 meta mark set 42
			}
		}
	EOF2
	tc -n "$1" qdisc replace dev "$2" clsact
	tc -n "$1" filter replace dev "$2" egress protocol ip prio 1 handle 42 fw \
		action pedit munge offset 148 u8 invert pipe csum tcp
}

# changed CLIENT:SERVER SIZE REPLY [ARG...]: a stream each way over a connection; what both ends say is in sent and taken.
changed() {
	role client "${1%:*}"
	role server "${1#*:}"
	checksums 1 1
	size=$2 reply=$3
	shift 3
	rm -f "$work/sent" "$work/taken"
	capture changed
	start server sh -c "python3 '$here/changed.py' serve --size $size --reply $reply >'$work/taken' 2>&1"
	wait_for 20 listening server 5555
	in_ns client python3 "$here/changed.py" send --address "$server4" --size "$size" --reply "$reply" "$@" \
		>"$work/sent" 2>&1 || :
	wait_for 20 grep -q . "$work/taken" || :
	capture_end changed
	tcpdump -nr "$work/changed.pcap" tcp 2>/dev/null >"$work/shown"
	sent=$(cat "$work/sent") taken=$(cat "$work/taken")
}

# counted NAMESPACE NAME: a counter of whichever MPTCP the namespace has.
counted() {
	ip netns exec "$1" awk -v name="$2" '
		$1 == "MPTcpExt:" && $2 !~ /^[0-9]/ { for (i = 2; i <= NF; i++) place[i] = $i; next }
		$1 == "MPTcpExt:" { for (i = 2; i <= NF; i++) if (place[i] == name) sum += $i }
		END { print sum + 0 }' /proc/net/netstat /proc/net/mptcp_rs
}

# wanted TEXT PATTERN CHANGED_UP CHANGED_DOWN [NAMESPACE:COUNTER...]: both streams have come, with as many changed bytes; the
# wire has shown the pattern; these counters are not zero.
wanted() {
	wanted_text=$1 wanted_wire=$2 wrong=
	[ "$taken" = "received $size changed $3" ] || wrong="the server: $taken"
	[ "$sent" = "received $reply changed $4" ] || wrong="$wrong; the client: $sent"
	grep -q "$wanted_wire" "$work/shown" || wrong="$wrong; the wire has not shown $wanted_wire"
	shift 4
	for counter in "$@"; do
		[ "$(counted "${counter%:*}" "${counter#*:}")" != 0 ] || wrong="$wrong; $counter is 0"
	done
	if [ -z "$wrong" ]; then pass "$wanted_text"; else fail "$wanted_text" "$wrong
$(tail -n 8 "$work/shown")"; fi
	new_taint || fail "$wanted_text: a kernel warning" "$(kernel_trouble)"
}

# alone DEVICE NTH: one path through a middlebox. The in-tree sender leaves no room in its packets for the infinite mapping.
alone() {
	topology routed
	middlebox router "$1" "$2"
	for end in client server; do ip netns exec $end sysctl -qw net.mptcp_rs.path_manager=none; done
	ip -n server route replace default via 10.0.9.254 advmss 1300
	ip -n client route replace default via 10.0.1.254 advmss 1300
}

for pair in ours:ours in-tree:ours ours:in-tree; do
	name="${pair%:*}→${pair#*:}"
	if ! pair_possible "${pair%:*}" "${pair#*:}"; then
		skip "$name: changed data" "this kernel has no MPTCP of its own"
		continue
	fi
	alone r2 20
	changed "$pair" 2000000 500000
	if [ "$pair" = in-tree:ours ] && [ "$(counted server InfiniteMapRx)" = 0 ]; then
		# On a slow machine it sends data twice for no reason, and ignores MP_FAIL then.
		alone r2 20
		changed "$pair" 2000000 500000
	fi
	wanted "$name: data changed: MP_FAIL, infinite mapping, plain TCP" 'mptcp 12 fail' 1 0 server:DataCsumErr \
		server:MPFailTx client:MPFailRx client:InfiniteMapTx server:InfiniteMapRx
	alone r2 0
	changed "$pair" 1200 1000
	wanted "$name: the only data changed" . 1 0 server:DataCsumErr
done
alone r1 20
changed ours:ours 1000 2000000
wanted "ours→ours: data of the server changed: MP_FAIL, infinite mapping, plain TCP" 'mptcp 12 fail' 0 1 \
	client:DataCsumErr client:MPFailTx server:MPFailRx server:InfiniteMapTx client:InfiniteMapRx

topology 2
middlebox client c1 20
changed ours:ours 2000000 500000 --wait 2
wanted "ours→ours, two paths: data changed on one: reset with MP_FAIL, no byte wrong" \
	'Flags .*R.*mptcp 12 fail' 0 0 server:DataCsumErr server:MPFailTx client:MPFailRx
finish
