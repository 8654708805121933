#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# The part of bench.sh that runs in the guest: [CROWD=1] bench-guest.sh ROUNDS [COLUMN...]
#
#   client 10.0.0.1 ---- 10.0.0.2 router 10.0.1.2 ---- 10.0.1.1 server
#          10.1.0.1 ---- 10.1.0.2        (second path, up for the memory of a subflow only)
#
# Columns, measured in turn within every round so that a drift meets all of them:
#   plain      TCP, before the module is loaded
#   in-tree    the kernel's own MPTCP, before the module is loaded
#   off        TCP with the module loaded and the sysctl off
#   ours       mptcp_rs at both ends
#   to-plain   mptcp_rs connects to plain TCP
#   from-plain plain TCP connects to mptcp_rs
# CROWD=1 measures whether a packet and a connection cost more beside 1, 100, 1,000 and 10,000 idle connections.
# Every measurement is a line "COLUMN ROW VALUE" in /out/bench.raw; report.py makes the table.
set -eu

rounds=$1
shift
wanted="${*:-plain in-tree ours off to-plain from-plain}"
module=/project/mptcp_rs.ko
raw=/out/bench.raw
bench=/run/bench
held=1000

say() { printf '[%4ds] %s\n' "$(cut -d. -f1 /proc/uptime)" "$*" >&2; }
fail() {
	echo "error: $*" >&2
	exit 1
}
# note: something a figure is missing for or must be read with; the end is non-zero then.
failed=0
note() {
	echo "note: $*" >&2
	failed=1
}
client() { nsenter --net=/run/netns/client "$@"; }
server() { nsenter --net=/run/netns/server "$@"; }

# until_true WHAT COMMAND...: waits two virtual minutes for COMMAND to succeed: looks often at
# first, then rarely, because looking takes real time and waiting does not.
until_true() {
	awaited=$1 tries=0
	shift
	until "$@"; do
		tries=$((tries + 1))
		[ $tries -le 50 ] || fail "$awaited did not come about in 120 s"
		if [ $tries -le 20 ]; then sleep 0.1; else sleep 4; fi
	done
}

# know NAMESPACE INTERFACE ADDRESS OF: the neighbour OF has ADDRESS. What the kernel does when it doubts what it has
# learnt of a neighbour is not TCP's, and would come between the columns: 1 % of connect().
know() {
	hardware=$(ip -n "$4" -o link show "$2" | sed 's/.*ether \([^ ]*\).*/\1/')
	ip -n "$1" neigh replace "$3" lladdr "$hardware" dev "$2" nud permanent
}
link() { # NAMESPACE ADDRESS ROUTER-INTERFACE ROUTER-ADDRESS
	ip link add "$3" netns router type veth peer name "$3" netns "$1"
	ip -n "$1" address add "$2/24" dev "$3"
	ip -n router address add "$4/24" dev "$3"
	ip -n router link set "$3" up
	ip -n "$1" link set "$3" up
	know router "$3" "$2" "$1"
	know "$1" "$3" "$4" router
}

topology() {
	for name in client router server; do
		ip netns add $name
		ip -n $name link set lo up
	done
	ip netns exec router sysctl -qw net.ipv4.ip_forward=1
	link client 10.0.0.1 path1 10.0.0.2
	link server 10.0.1.1 lan 10.0.1.2
	ip -n client route add default via 10.0.0.2
	ip -n server route add default via 10.0.1.2
	for name in client server; do
		ip netns exec $name sysctl -qw net.ipv4.tcp_max_syn_backlog=8192 net.core.somaxconn=8192
	done
	until_true "the path" client ping -c 1 -W 1 -q 10.0.1.1 >/dev/null
}

# A column's protocol, server port and whether the sysctl is on at the client. The server of ours is there only in
# the columns that use it: a host that speaks plain TCP has none, and hooks none of its packets.
set_column() {
	protocol=0 port=1000 enabled=0
	case $1 in
	plain | off) ;;
	in-tree) protocol=262 port=2000 ;;
	ours) port=3000 enabled=1 ;;
	to-plain) enabled=1 ;;
	from-plain) port=3000 ;;
	esac
	[ -n "$loaded" ] || return 0
	client sysctl -qw net.mptcp_rs.enabled=$enabled
	if [ $port = 3000 ]; then [ -n "$our_server" ] || serve_ours; else stop_ours; fi
}

is_free() { [ -z "$(server ss -Hltn "sport >= :$1 and sport <= :$(($1 + 3))")" ]; }
serve() { # PROTOCOL PORT; sets $!
	until_true "the end of the earlier server on port $2" is_free "$2"
	nsenter --net=/run/netns/server $bench serve "$1" 10.0.1.1 "$2" >"/run/serve.$2" &
	until_true "the server on port $2" grep -q ready "/run/serve.$2"
}

# quiet: no connection of an earlier measurement is left. TIME_WAIT would last a minute each time
# and is ended here.
no_connections() {
	client ss -HKtan state time-wait >/dev/null
	server ss -HKtan state time-wait >/dev/null
	[ -z "$(client ss -Htan)" ] && [ -z "$(server ss -Htan state connected)" ]
}
quiet() { until_true "the end of all connections" no_connections; }

# check_wire COLUMN: MPTCP options cross the router exactly where they should.
check_wire() {
	set_column "$1"
	ip netns exec router nft -f - <<-'RULES'
		table ip wire {
			chain seen {
				type filter hook forward priority 0
				tcp flags & (syn|ack) == ack tcp option mptcp exists counter
			}
		}
	RULES
	client timeout 30 $bench exchange $protocol 10.0.1.1 $port 1 20 >/dev/null ||
		note "column $1 does not get 20 bytes there and back"
	seen=$(ip netns exec router nft list table ip wire | sed -n 's/.*counter packets \([0-9]*\).*/\1/p')
	ip netns exec router nft delete table ip wire
	case $1 in
	in-tree | ours) [ "$seen" -ge 40 ] || note "column $1: $seen segments carried an MPTCP option, all should" ;;
	*) [ "$seen" -le 1 ] || note "column $1: $seen segments carried an MPTCP option, none should" ;;
	esac
}

measure() { # COLUMN ROW WHAT ARGUMENT...
	quiet
	measure_now "$@"
}
measure_now() {
	column=$1 row=$2 what=$3
	shift 3
	if value=$(client timeout 30 $bench "$what" $protocol 10.0.1.1 $port "$@"); then
		echo "$column $row $value" >>$raw
	else
		note "column $column has no figure for $row in round $round"
	fi
}

measure_all() { # COLUMN
	say "$1"
	set_column "$1"
	measure "$1" bulk-64k bulk 65536 250
	measure "$1" bulk-1k bulk 1024 300
	measure "$1" connect connect 300
	measure "$1" cycle cycle 250
	measure "$1" exchange-1 exchange 1 2000
	measure "$1" exchange-4k exchange 4096 1500
}

# hold_idle COUNT: opens so many connections and keeps them until let_go.
hold_idle() {
	mkfifo /run/hold
	client $bench hold $protocol 10.0.1.1 $port "$1" </run/hold >/run/hold.out &
	exec 7>/run/hold
	until_true "$1 connections" grep -q ready /run/hold.out
	sleep 5 # virtual: handshakes, joins and RCU callbacks end
}
let_go() {
	exec 7>&-
	wait $!
	rm /run/hold
	restart_holder $port
	quiet
}

# measure_crowd COLUMN: a packet's and a connection's cost beside idle connections.
measure_crowd() {
	set_column "$1"
	for count in 1 100 1000 10000; do
		say "$1 beside $count"
		quiet
		hold_idle $count
		round=1
		while [ $round -le "$rounds" ]; do
			measure_now "$1" crowd-bulk-$count bulk 65536 250
			measure_now "$1" crowd-exchange-$count exchange 1 2000
			measure_now "$1" crowd-cycle-$count cycle 250
			round=$((round + 1))
		done
		let_go
	done
}

# slabs: bytes of objects in use per slab cache, after the caches gave back what is free.
slabs() {
	for shrink in /sys/kernel/slab/*/shrink; do echo 1 >"$shrink"; done
	awk 'NR > 2 { print $1, $2 * $4, $2 }' /proc/slabinfo
}

# measure_memory COLUMN ROW: slab bytes per idle connection and end point, for all caches and for
# those of the protocol alone (a descriptor's file, dentry and inode are the same for every column).
measure_memory() {
	column=$1 row=$2
	say "$column $row"
	set_column "$column"
	quiet
	# Once without counting, so that what stays (routes, buckets, hash tables) is there before.
	for count in 100 $held; do
		slabs >/run/slabs.before
		hold_idle "$count"
		[ "$count" != "$held" ] || slabs >/run/slabs.after
		subflows=$(client ss -Htn state established | grep -c .) || :
		let_go
	done
	awk -v count=$held -v column="$column" -v row="$row" '
		NR == FNR { bytes[$1] = $2; objects[$1] = $3; next }
		{
			each = ($2 - bytes[$1]) / count / 2
			number = ($3 - objects[$1]) / count / 2
			if (number < 0.2) next
			all += each
			if ($1 !~ /^(filp|dentry|sock_inode_cache|lsm_.*)$/) own += each
			printf "%s %s:%s %.2f\n", column, row, $1, number
		}
		END { printf "%s %s %.0f\n%s %s-all %.0f\n", column, row, own, column, row, all }
	' /run/slabs.before /run/slabs.after >>$raw
}
# The holding server keeps its ends open until it dies.
restart_holder() {
	case $1 in
	1000) stop "$plain_server" && serve 0 1000 && plain_server=$! ;;
	2000) stop "$tree_server" && serve 262 2000 && tree_server=$! ;;
	3000) stop "$our_server" && serve_ours ;;
	esac
}
stop() {
	kill "$1"
	# The shell says "Terminated" here.
	wait "$1" 2>/dev/null || :
}
serve_ours() {
	server sysctl -qw net.mptcp_rs.enabled=1
	serve 0 3000
	our_server=$!
	server sysctl -qw net.mptcp_rs.enabled=0
}
stop_ours() {
	[ -n "$our_server" ] || return 0
	stop "$our_server"
	our_server=''
	sleep 2 # virtual: the hooks that nobody needs any more go a second later
}

load() {
	[ -n "$loaded" ] || insmod "$module" || fail "the module does not load: see console.log"
	loaded=1 our_server=''
}
unload() {
	stop_ours
	client sysctl -qw net.mptcp_rs.enabled=0
	quiet
	tries=0
	until rmmod mptcp_rs 2>/dev/null; do
		tries=$((tries + 1))
		if [ $tries -gt 20 ]; then
			note "the module does not unload: plain TCP is measured with it loaded from here on"
			return
		fi
		sleep 0.5
	done
	loaded=''
}

# Whatever ends this, what was measured is shown.
finish() {
	status=$?
	base=''
	[ ! -s /out/bench.base.json ] || base=/out/bench.base.json
	python3 /project/tools/bench/report.py $raw /out/bench.json "$(uname -r)" $base || status=1
	exit $status
}
cp /out/bench $bench
trap finish EXIT
: >$raw
loaded=''
topology
serve 0 1000 && plain_server=$!
tree='' tree_server=''
if [ -e /proc/sys/net/mptcp/enabled ]; then
	serve 262 2000 && tree_server=$!
	tree=in-tree
fi
before='' after=''
for column in $wanted; do
	case $column in
	plain) before="$before plain" ;;
	in-tree) before="$before $tree" ;;
	ours | off | to-plain | from-plain) [ ! -e $module ] || after="$after $column" ;;
	*) fail "no column is called '$column': plain in-tree ours off to-plain from-plain" ;;
	esac
done
[ -e $module ] || echo "note: mptcp_rs.ko is not built, so its columns are empty" >&2

if [ -n "${CROWD-}" ]; then
	for column in $before; do measure_crowd "$column"; done
	[ -z "$after" ] || load
	for column in $after; do measure_crowd "$column"; done
	[ $failed = 0 ]
	exit
fi

round=1
while [ $round -le "$rounds" ]; do
	say "round $round of $rounds"
	for column in $before; do
		[ $round -gt 1 ] || check_wire "$column"
		measure_all "$column"
	done
	if [ -n "$after" ]; then
		load
		for column in $after; do
			[ $round -gt 1 ] || check_wire "$column"
			measure_all "$column"
		done
		[ $round -eq "$rounds" ] || unload
	fi
	round=$((round + 1))
done

for column in $before $after; do
	measure_memory "$column" memory
done
# A second subflow for every connection: what is then more is what a subflow costs.
link client 10.1.0.1 path2 10.1.0.2
ip -n client rule add from 10.1.0.1 table 2
ip -n client route add default via 10.1.0.2 table 2
for name in client server; do
	[ -z "$tree" ] || ip netns exec $name ip mptcp limits set subflows 1 add_addr_accepted 1
done
[ -z "$tree" ] || client ip mptcp endpoint add 10.1.0.1 dev path2 subflow
for column in $before $after; do
	case $column in in-tree | ours) ;; *) continue ;; esac
	measure_memory "$column" memory-two
	[ "$subflows" -ge $((held * 2)) ] ||
		{ sed -i "/^$column memory-two/d" $raw && echo "note: $column made no second subflow" >&2; }
done

[ $failed = 0 ]
