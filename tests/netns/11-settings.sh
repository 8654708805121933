#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Shows that each setting of a namespace takes what it should and nothing else, that interfaces have their policy wherever they go,
# and that the table of local addresses follows what happens to addresses and interfaces.
# shellcheck disable=SC2317 # check and wait_for call functions by name
set -eu
. "$(dirname -- "$0")/lib.sh"
need_module
begin
topology 2
knobs=/proc/sys/net/mptcp_rs

is() { [ "$1" = "$2" ] || { echo "got '$1' instead of '$2'"; return 1; }; }
# value NAMESPACE FILE: what the file says; FILE is below net.mptcp_rs.
value() { ip netns exec "$1" cat "$knobs/$2"; }
# set_to NAMESPACE FILE VALUE: writes it.
set_to() { ip netns exec "$1" sh -c "echo '$3' >'$knobs/$2'"; }
exists() { ip netns exec "$1" test -e "$knobs/$2"; }
absent() { ! exists "$@"; }
# reads NAMESPACE FILE VALUE: the file says just that, with a newline.
reads() {
	ip netns exec "$1" cat "$knobs/$2" >"$work/read"
	echo "$3" | cmp - "$work/read" || { cat "$work/read"; return 1; }
}
# takes FILE VALUE: it can be written and reads back, and the other namespace does not notice.
takes() {
	other=$(value server "$1")
	set_to client "$1" "$2" && reads client "$1" "$2" && reads server "$1" "$other"
}
# errno_of FILE VALUE: the errno that open(2) or write(2) gives, by name.
errno_of() {
	ip netns exec client python3 - "$knobs/$1" "$2" <<-'EOF'
		import errno, os, sys
		try:
		    file = os.open(sys.argv[1], os.O_WRONLY)
		    os.write(file, sys.argv[2].encode())
		    print("accepted")
		except OSError as error:
		    print(errno.errorcode[error.errno])
	EOF
}
# refuses FILE VALUE: EINVAL, and the value stays.
refuses() {
	before=$(value client "$1")
	is "$(errno_of "$1" "$2")" EINVAL && reads client "$1" "$before"
}
# logged TEXT: the log has it.
logged() { dmesg | grep -qF "$1"; }

### The first connections

role client ours
role server ours
check "the first connections of a namespace: closed while the peer sends, they end soon, and resets count once" python3 "$here/resets.py"
role client plain
role server plain

### Settings

managers='fullmesh ndiffports none endpoint userspace'
schedulers='minrtt roundrobin redundant blest ecf'
check "available_path_managers" reads client available_path_managers "$managers"
check "available_schedulers" reads client available_schedulers "$schedulers"
check "available_schedulers cannot be written" is "$(errno_of available_schedulers minrtt)" EACCES
check "addresses cannot be written" is "$(errno_of addresses 10.0.0.1)" EACCES
for default in path_manager:fullmesh scheduler:minrtt ndiffports:2 subflows_max:8 peer_addresses_max:8 \
	close_timeout:60 add_addr_timeout:120 allow_join_initial_addr_port:1 syn_retrans_before_tcp_fallback:1 \
	stale_loss_cnt:1 conf/default/path:on conf/c1/path:on conf/lo/path:on; do
	check "${default%:*} is ${default#*:} at first" reads client "${default%:*}" "${default#*:}"
done
# shellcheck disable=SC2086 # lists of words
{
	for name in $managers fullmesh; do check "path_manager takes $name" takes path_manager $name; done
	for name in $schedulers; do check "scheduler takes $name" takes scheduler $name; done
	for name in off backup on; do check "conf/default/path takes $name" takes conf/default/path $name; done
}
for good in ndiffports:1 ndiffports:8 subflows_max:1 subflows_max:64 peer_addresses_max:0 peer_addresses_max:8 \
	close_timeout:0 close_timeout:3600 add_addr_timeout:0 add_addr_timeout:120 allow_join_initial_addr_port:0 \
	allow_join_initial_addr_port:1 syn_retrans_before_tcp_fallback:128 syn_retrans_before_tcp_fallback:1 \
	blackhole_timeout:2147483647 blackhole_timeout:0 stale_loss_cnt:0 stale_loss_cnt:4294967295 stale_loss_cnt:1; do
	check "${good%:*} takes ${good#*:}" takes "${good%:*}" "${good#*:}"
done
# One process for all: it starts slowly in a guest.
ip netns exec client python3 - "$knobs" >"$work/refused" <<-'EOF'
	import errno, sys
	wrong = {
	    "path_manager": ["", "full", "fullmeshes", "FULLMESH", "0", "x" * 5000],
	    "scheduler": ["min_rtt", "fastest", "minrtt ecf"],
	    "conf/default/path": ["maybe"],
	    "conf/c1/path": ["sometimes"],
	    "ndiffports": ["0", "9", "x"],
	    "subflows_max": ["0", "65", "-1"],
	    "peer_addresses_max": ["9"],
	    "close_timeout": ["3601", "4294967296", "1.5"],
	    "add_addr_timeout": ["3601", "-1"],
	    "allow_join_initial_addr_port": ["2"],
	    "syn_retrans_before_tcp_fallback": ["129"],
	    "blackhole_timeout": ["-1", "2147483648", "x"],
	    "stale_loss_cnt": ["-1", "4294967296"],
	}
	for name, values in wrong.items():
	    path = f"{sys.argv[1]}/{name}"
	    before = open(path).read()
	    for value in values:
	        try:
	            with open(path, "wb", buffering=0) as file:
	                file.write(value.encode() + b"\n")
	            result = "accepted"
	        except OSError as error:
	            result = errno.errorcode[error.errno]
	        kept = "kept" if open(path).read() == before else "changed"
	        print(f"{result} {kept} {name} refuses '{value[:20]}' with EINVAL and keeps its value")
EOF
while read -r result kept text; do
	check "$text" is "$result $kept" 'EINVAL kept'
done <"$work/refused"
check "all of them were tried" is "$(wc -l <"$work/refused")" 30
# The log takes ten such lines in five seconds.
says_what_is_allowed() {
	refuses scheduler slowest &&
		logged "net.mptcp_rs.scheduler: 'slowest' refused, allowed: minrtt, roundrobin, redundant, blest, ecf"
}
check "the log says what was wrong and what is allowed" wait_for 20 says_what_is_allowed
takes_blanks() { set_to client scheduler '  ecf ' && reads client scheduler ecf; }
check "white space around a name does not matter" takes_blanks
by_name() { ip netns exec client sysctl -qw net.mptcp_rs.scheduler=blest && reads client scheduler blest; }
check "sysctl -w writes it" by_name
apart() {
	ip netns add fresh || return 1
	reads fresh scheduler minrtt && reads fresh conf/default/path on && reads fresh enabled 0 &&
		reads fresh blackhole_timeout 3600
	result=$?
	ip netns del fresh
	return "$result"
}
check "a new namespace begins with the defaults" apart

# syns_that_ask NUMBER: with the setting at that, as many SYNs and one ask for MPTCP when none of them gets
# through, and the next one does.
syns_that_ask() {
	set_to client syn_retrans_before_tcp_fallback "$1" && set_to client enabled 1
	ip netns exec server nft -f - <<-'EOF'
		table inet drops {
			chain input {
				type filter hook input priority 0;
				tcp flags & (syn|ack) == syn tcp option mptcp exists counter drop
			}
		}
	EOF
	timeout 60 python3 - <<-'EOF'
		import os, socket
		def enter(namespace):
		    os.setns(os.open(f"/run/netns/{namespace}", os.O_RDONLY), os.CLONE_NEWNET)
		enter("server")
		listener = socket.create_server(("10.0.1.2", 0))
		enter("client")
		socket.create_connection(listener.getsockname(), timeout=50)
	EOF
	dropped=$(ip netns exec server nft list ruleset | sed -n 's/.*counter packets \([0-9]*\).*/\1/p')
	ip netns exec server nft delete table inet drops
	set_to client enabled 0
	is "$dropped" $(($1 + 1))
}
for number in 0 2 1; do check "syn_retrans_before_tcp_fallback=$number is kept" syns_that_ask $number; done

# Many readers and writers at once.
write_from_many_tasks() {
	writers=
	for name in minrtt blest wrong redundant; do
		ip netns exec client sh -c "n=0; while [ \$n -lt 50 ]; do
			echo $name >$knobs/scheduler || :; cat $knobs/addresses; n=\$((n + 1)); done" >/dev/null 2>&1 &
		writers="$writers $!"
	done
	# shellcheck disable=SC2086 # a list of numbers
	wait $writers
	value client scheduler | grep -qE '^(minrtt|blest|redundant)$'
}
check "many tasks write and read at once" write_from_many_tasks

### Addresses

# listed ADDRESS [INTERFACE STATE POLICY]: the client's table has that line.
listed() { value client addresses | grep -qE "^$*( |\$)"; }
unlisted() { ! listed "$@"; }
# becomes LINE: soon.
becomes() { wait_for 10 listed "$@" || { value client addresses; return 1; }; }
ends() { wait_for 10 unlisted "$@" || { value client addresses; return 1; }; }
client() { ip -n client "$@"; }

for line in '10.0.1.1 c1' '10.0.2.1 c2' 'fd00:1::1 c1' 'fd00:2::1 c2'; do
	check "the table has $line" becomes "$line up on"
done
check "the table has nothing else: no loopback, no link-local address" is "$(value client addresses | wc -l)" 4
check "namespaces are apart" is "$(value server addresses | grep -c ' s[12] up on')" 4

added() { client addr add "$1" dev c1 ${2:+"$2"} && becomes "${1%/*} c1 up on"; }
removed() { client addr del "$1" dev c1 && ends "${1%/*}"; }
check "an IPv4 address that is added is in the table" added 10.0.7.1/24
check "an IPv6 address that is added is in the table" added fd00:7::1/64 nodad
secondary() { client addr add 10.0.1.9/24 dev c1 && added 10.0.8.1/24 && unlisted 10.0.1.9; }
check "a secondary IPv4 address is not" secondary
check "an IPv4 address that is removed is not" removed 10.0.7.1/24
check "an IPv6 address that is removed is not" removed fd00:7::1/64
client addr del 10.0.8.1/24 dev c1

ip netns exec client sh -c 'echo 1 >/proc/sys/net/ipv6/conf/c1/accept_dad'
check "an IPv6 address is in the table once it is known to be unique" added fd00:8::1/64
ip netns exec client sh -c 'echo 0 >/proc/sys/net/ipv6/conf/c1/accept_dad'
# It has to be seen before: a slow kernel, which has a longer DEADLINE, takes its time.
deprecated() {
	client addr add fd00:9::1/64 dev c1 nodad preferred_lft $((1 + ${DEADLINE:-10} / 10)) valid_lft 1000 &&
		becomes fd00:9::1 && ends fd00:9::1 && client -6 addr show dev c1 to fd00:9::1 | grep deprecated
}
check "an IPv6 address that becomes deprecated is no longer" deprecated

down_and_up() {
	client link set c2 down && becomes 10.0.2.1 c2 down on && ends fd00:2::1 &&
		client link set c2 up && client addr add fd00:2::1/64 dev c2 nodad &&
		becomes 10.0.2.1 c2 up on && becomes fd00:2::1 c2 up on
}
check "an interface goes down and up" down_and_up
carrier() {
	ip -n server link set s2 down && becomes 10.0.2.1 c2 down on && becomes fd00:2::1 c2 down on &&
		ip -n server link set s2 up && becomes 10.0.2.1 c2 up on && becomes fd00:2::1 c2 up on
}
check "a carrier is lost and comes back" carrier
# Both peers go down together; the kernel's own notifiers may tell of the second a second later.
carriers_together() {
	ip netns exec client python3 - "$knobs/addresses" <<-'EOF'
		import subprocess, sys, time
		def text(path):
		    with open(path) as file:
		        return file.read()
		def until(condition):
		    end = time.monotonic() + 10
		    while not condition():
		        assert time.monotonic() < end, text(sys.argv[1])
		subprocess.run(["ip", "-n", "server", "-batch", "-"], input=b"link set s1 down\nlink set s2 down\n", check=True)
		until(lambda: text("/sys/class/net/c1/carrier") + text("/sys/class/net/c2/carrier") == "0\n0\n")
		began = time.monotonic()
		until(lambda: text(sys.argv[1]).count(" down ") == 4)
		took = time.monotonic() - began
		print(f"after {took * 1000:.1f} ms")
		sys.exit(took > 0.5)
	EOF
}
client addr del fd00:8::1/64 dev c1
client addr del fd00:9::1/64 dev c1
check "two carriers that are lost together show at once" carriers_together
sed 's/^/# /' "$work/log"
ip -n server link set s1 up
ip -n server link set s2 up
check "both come back" becomes 10.0.1.1 c1 up on

for policy in off backup on; do
	policy_is() { takes_policy "$1" && becomes 10.0.1.1 c1 up "$1" && becomes 10.0.2.1 c2 up on; }
	takes_policy() { set_to client conf/c1/path "$1" && reads client conf/c1/path "$1"; }
	check "conf/c1/path takes $policy, and the table says so" policy_is $policy
done

crowded() {
	for n in $(seq 12); do client addr add "10.9.$n.1/24" dev c2 || return 1; done
	wait_for 10 full && client link set c2 down && becomes 10.0.1.1 c1 up on && client link set c2 up &&
		client addr add fd00:2::1/64 dev c2 nodad || return 1
	for n in $(seq 12); do client addr del "10.9.$n.1/24" dev c2 || return 1; done
	ends 10.9.12.1 && ends 10.9.1.1
}
full() { [ "$(value client addresses | wc -l)" = 8 ]; }
check "more addresses than fit" crowded
# Those that cannot be used give way.
crowded_by_useless() {
	client link add v0 type veth peer name v1 || return 1
	for n in $(seq 9); do client addr add "10.9.$n.1/24" dev v0 || return 1; done
	wait_for 10 full && client addr add 10.0.7.1/24 dev c2 && becomes 10.0.7.1 c2 up on && full &&
		client addr del 10.0.7.1/24 dev c2 && client link del v0 && ends 10.9.1.1
}
check "an address that can be used takes the place of one that cannot" crowded_by_useless

### Interfaces

comes() {
	set_to client conf/default/path backup && client link add v0 type veth peer name v1 &&
		reads client conf/v0/path backup && reads client conf/c1/path on &&
		client addr add 10.0.7.1/24 dev v0 && client link set v1 up && client link set v0 up &&
		becomes 10.0.7.1 v0 up backup
}
check "a new interface begins with conf.default" comes
renamed() {
	set_to client conf/v0/path off && client link set v0 down && client link set v0 name v.0 &&
		absent client conf/v0 && reads client conf/v.0/path off &&
		is "$(ip netns exec client sysctl -n net.mptcp_rs.conf.v/0.path)" off &&
		becomes 10.0.7.1 v.0 down off
}
check "an interface keeps its policy when it is renamed, also to a name with a dot" renamed
# IPv6 refuses such a name; it leaves interfaces alone whose packets are too small for it.
reserved() {
	client link set v.0 mtu 1000 && client link set v.0 name default && absent client conf/v.0 && reads client conf/default/path backup &&
		becomes 10.0.7.1 default down off &&
		client link set default name v0 && reads client conf/v0/path off
}
check "an interface called default has no directory of its own" reserved
moved() {
	client link set v0 netns server && absent client conf/v0 && reads server conf/v0/path on && ends 10.0.7.1 &&
		ip -n server link del v0 && absent server conf/v0 && absent client conf/v1
}
check "an interface moves to another namespace, and ends" moved
gone_with_namespace() {
	ip netns add fresh && ip -n fresh link add v0 type veth peer name c9 netns client &&
		exists client conf/c9 && exists fresh conf/v0 && ip netns del fresh && wait_for 20 absent client conf/c9
}
check "a namespace ends with its interfaces" gone_with_namespace
many() {
	seq 200 | sed 's/.*/link add w& type veth peer name x&/' | client -batch - && exists client conf/x200 &&
		seq 200 | sed 's/.*/link del w&/' | client -batch - && absent client conf/x200 && becomes 10.0.1.1 c1 up on
}
check "200 pairs of interfaces come and go" many

### Connections

# What goes on while connections live: every one of them is told.
connected() {
	role client ours
	role server ours
	start server socat tcp-listen:5001,reuseaddr,fork exec:cat
	wait_for 10 listening server 5001
	mkfifo "$work/in"
	in_ns client socat -t 10 - "tcp:$server4:5001" <"$work/in" >"$work/out" &
	exec 5>"$work/in"
	echo before >&5
	wait_for 10 grep -q before "$work/out" || return 1
	for name in ndiffports none fullmesh; do
		set_to client path_manager "$name" && set_to server path_manager "$name" && set_to client conf/c2/path off &&
			client addr add 10.0.7.1/24 dev c2 && becomes 10.0.7.1 c2 up off &&
			client addr del 10.0.7.1/24 dev c2 && ends 10.0.7.1 && set_to client conf/c2/path on || return 1
	done
	echo after >&5
	exec 5>&-
	wait_for 10 grep -q after "$work/out"
}
check "a connection lives on while settings and addresses change" connected
settle connections

### Loading

topology 2
wait_for 10 listed 10.0.1.1 c1 up on || :
reloaded() {
	set_to client conf/c1/path off && unload || return 1
	for name in client server; do
		! ip netns exec "$name" test -e "$knobs" || return 1
	done
	! test -e "$knobs" && insmod "$module" && reads client conf/c1/path on && reads client scheduler minrtt &&
		becomes 10.0.1.1 c1 up on && becomes fd00:2::1 c2 up on
}
check "nothing is left after unloading; loading finds the interfaces" reloaded
storm() {
	: >"$work/storm"
	(while [ -e "$work/storm" ]; do
		client link set c2 down
		client link set c2 up
		client addr add 10.0.7.1/24 dev c1
		client addr del 10.0.7.1/24 dev c1
	done) &
	stormer=$!
	for round in $(seq 5); do
		if ! unload || ! insmod "$module"; then
			echo "round $round"
			break
		fi
	done
	rm "$work/storm"
	wait "$stormer"
	becomes 10.0.2.1 c2 up on && unlisted 10.0.7.1
}
check "unloading and loading while interfaces go up and down" storm
finish
