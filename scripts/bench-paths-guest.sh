#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# The part of `bench.sh paths` that runs in the guest: bench-paths-guest.sh ROUNDS [COLUMN...]
#
#   client p1 10.0.1.1 ---- 10.0.1.254 router 10.0.9.254 ---- 10.0.9.2 server
#          p2 10.0.2.1 ---- 10.0.2.254        (p3 and p4 alike; netem in both directions of each)
#
# Columns:
#   plain      TCP over the first path, which is the best one, alone
#   in-tree    the kernel's own MPTCP
#   ours       mptcp_rs at both ends
# Every measurement is a line "COLUMN ROW VALUE" in /out/bench.raw; report.py makes the table.
set -eu
rounds=$1
shift
columns="${*:-plain in-tree ours}"
lib_here=$(CDPATH='' cd -- "$(dirname -- "$0")/../tests/netns" && pwd)
# shellcheck source=tests/netns/lib.sh
. "$lib_here/lib.sh"
raw=/out/bench.raw
paths=/run/paths
cp /out/paths $paths
: >$raw
failed=0 port=5000
say() { printf '[%4ds] %s\n' "$(cut -d. -f1 /proc/uptime)" "$*" >&2; }
note() {
	echo "note: $*" >&2
	failed=1
}

# links NETEM...: makes as many paths as there are arguments; an empty one is not shaped.
links() {
	make_namespaces client router server
	modprobe -q sch_netem || :
	wire router lan1 10.0.9.254/24 fd00:9::fe/64 server s1 10.0.9.2/24 fd00:9::2/64
	ip -n server route add default via 10.0.9.254
	for end in client server; do ip -n $end mptcp limits set subflows 8 add_addr_accepted 8 2>/dev/null || :; done
	path=0
	for netem in "$@"; do
		path=$((path + 1))
		wire client p$path 10.0.$path.1/24 fd00:$path::1/64 router q$path 10.0.$path.254/24 fd00:$path::fe/64
		ip -n client route add default via 10.0.$path.254 dev p$path metric $((path * 100))
		[ $path = 1 ] || ip -n client mptcp endpoint add 10.0.$path.1 dev p$path subflow 2>/dev/null || :
		[ -n "$netem" ] || continue
		for end in client:p$path router:q$path; do
			ip -n "${end%:*}" link set "${end#*:}" gso_max_segs 1
			# shellcheck disable=SC2086 # several words
			tc -n "${end%:*}" qdisc replace dev "${end#*:}" root netem $netem
		done
	done
	wait_for 60 ip netns exec client ping -c 1 -W 1 -q 10.0.9.2
}

# lose HOW: takes the first path away, or gives it back.
lose() {
	case $1 in
	carrier) ip -n router link set q1 down ;;
	silence)
		tc -n client qdisc replace dev p1 root netem loss 100%
		tc -n router qdisc replace dev q1 root netem loss 100%
		;;
	esac
}

# measure ROW WHAT BUFFER HOW ARGUMENT...: one figure in every column. HOW is what happens to the first path when
# the measurement has begun: nothing, or as in lose; a path that was lost is lost for the columns that follow, so
# that such a row has links of its own for each column: see lossy.
measure() {
	row=$1 what=$2 size=$3 how=$4
	shift 4
	for column in $columns; do measure_column "$@"; done
}
measure_column() {
	protocol=0 enabled=0 bind=''
	case $column in
	plain) bind=BIND=p1 ;;
	in-tree) protocol=262 ;;
	ours) enabled=1 ;;
	*) note "no column is called '$column': plain in-tree ours" && return ;;
	esac
	if loaded; then
		for end in client server; do ip netns exec $end sysctl -qw net.mptcp_rs.enabled=$enabled; done
	elif [ $enabled = 1 ]; then
		return
	fi
	port=$((port + 1))
	say "$column $row"
	ip netns exec server $paths serve $protocol $port "$size" >"$work/serve" &
	server=$!
	wait_for 20 grep -q ready "$work/serve"
	: >"$work/told"
	# shellcheck disable=SC2086 # no word or one
	ip netns exec client env $bind $paths "$what" $protocol 10.0.9.2 $port "$size" "$@" >"$work/figure" 2>"$work/told" &
	client=$!
	if [ "$how" != nothing ]; then
		wait_for 20 grep -q begun "$work/told" || :
		lose "$how"
	fi
	if wait $client; then
		echo "$column $row $(cat "$work/figure")" >>$raw
	else
		note "column $column has no figure for $row: $(grep -v begun "$work/told")"
	fi
	kill $server
	wait $server 2>/dev/null || :
}

# lossy ROW WHAT HOW: the first of two paths is lost in the middle; plain TCP would end there.
lossy() {
	all=$columns
	for one in $all; do
		[ "$one" != plain ] || continue
		links 'rate 20mbit delay 15ms limit 100' 'rate 20mbit delay 30ms limit 150'
		columns=$one
		measure "$1" "$2" 0 "$3" 8000
	done
	columns=$all
}

# Whatever ends this, what was measured is shown.
show() {
	status=$?
	base=''
	[ ! -s /out/bench.base.json ] || base=/out/bench.base.json
	python3 /project/tools/bench/report.py $raw /out/paths.json "$(uname -r)" $base || status=1
	(exit $status)
	cleanup
}
begin
trap show EXIT
round=1
while [ $round -le "$rounds" ]; do
	links '' ''
	measure paths-cpu-2 bulk 0 nothing 0 250
	links 'rate 20mbit delay 20ms limit 150' 'rate 20mbit delay 20ms limit 150'
	measure paths-2x20 bulk 0 nothing 0 20000
	links 'rate 100mbit delay 5ms limit 150' 'rate 100mbit delay 5ms limit 150'
	measure paths-2x100 bulk 0 nothing 0 5000
	link='rate 100mbit delay 5ms limit 150'
	links "$link" "$link" "$link" "$link"
	measure paths-4x100 bulk 0 nothing 0 5000
	links 'rate 8mbit delay 10ms limit 60' 'rate 2mbit delay 75ms limit 345'
	for size in 50 100 200 400 600 1000 2000 0; do
		measure paths-wifi-cell-$size bulk $((size * 1000)) nothing 0 10000
	done
	links 'rate 20mbit delay 15ms limit 100' 'rate 20mbit delay 50ms limit 250'
	for size in 300 1000 8000; do
		measure paths-10mb-$size bulk $((size * 1000)) nothing 10000000 0
	done
	for how in carrier silence; do
		lossy "paths-gap-$how" gap "$how"
		lossy "paths-reply-$how" reply "$how"
	done
	round=$((round + 1))
done
stop_all
[ $failed = 0 ]
