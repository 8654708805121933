#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Shows that the module loads and unloads a hundred times without a trace, that its switch takes 0 and 1 only, and that off means TCP.
# shellcheck disable=SC2317 # check and over call functions by name
set -eu
. "$(dirname -- "$0")/lib.sh"
need_module
begin
knob=net.mptcp_rs.enabled

# switch NAMESPACE VALUE: writes the sysctl.
switch() { ip netns exec "$1" sh -c "printf %s '$2' >/proc/sys/net/mptcp_rs/enabled"; }
value() { ip netns exec "$1" sysctl -n $knob; }
# refused VALUE: writing it fails with EINVAL and leaves what was there.
refused() {
	before=$(value client)
	message=$(switch client "$1" 2>&1) && { echo "accepted '$1'"; return 1; }
	echo "$message"
	case $message in *'Invalid argument'* | *'I/O error'*) ;; *) return 1 ;; esac
	[ "$(value client)" = "$before" ]
}
# errno_of VALUE: the errno that write(2) gives, by name.
errno_of() {
	ip netns exec client python3 - "$1" <<-'EOF'
		import errno, os, sys
		file = os.open("/proc/sys/net/mptcp_rs/enabled", os.O_WRONLY)
		try:
		    os.write(file, sys.argv[1].encode())
		    print("accepted")
		except OSError as error:
		    print(errno.errorcode[error.errno])
	EOF
}
is() { [ "$1" = "$2" ] || { echo "got '$1' instead of '$2'"; return 1; }; }

reload() {
	for round in $(seq "$1"); do
		unload || { echo "unloading failed in round $round"; return 1; }
		insmod "$module" || { echo "insmod failed in round $round"; return 1; }
	done
}
# RELOADS=N takes another number, for a slow kernel.
check "load and unload ${RELOADS:-100} times" reload "${RELOADS:-100}"
reload_in_use() {
	topology
	role client ours
	role server ours
	start server nc -l 5000
	wait_for 10 listening server 5000
	if rmmod mptcp_rs 2>/dev/null; then
		echo "rmmod went through while a listener of ours existed"
		return 1
	fi
	loaded
}
check "unloading is refused while a socket of ours exists" reload_in_use

topology
check "off at load, in every namespace" is "$(value client)$(value server)" 00
for good in 1 0 1; do
	check "$knob takes $good" switch client $good
	check "$knob reads back $good" is "$(value client)" $good
done
for bad in 2 -1 3 4294967296 -2147483648 x 1x; do
	check "$knob refuses '$bad' and keeps its value" refused "$bad"
done
check "$knob refuses 2 with EINVAL" is "$(errno_of 2)" EINVAL
check "namespaces are apart" is "$(value client)$(value server)" 10

# Many writers at once: afterwards the probes are armed exactly if a namespace is on.
switch_from_many_tasks() {
	writers=
	for _ in 1 2 3 4; do
		for name in client server; do
			ip netns exec "$name" sh -c 'n=0; while [ $n -lt 40 ]; do
				echo $((n % 2)) >/proc/sys/net/mptcp_rs/enabled; n=$((n + 1)); done' &
			writers="$writers $!"
		done
	done
	# shellcheck disable=SC2086 # a list of numbers
	wait $writers
	switch client "$1"
	switch server 0
	mountpoint -q /sys/kernel/debug || mount -t debugfs none /sys/kernel/debug
	armed=$(grep -E 'update_socket_protocol|__sys_socket_file' /sys/kernel/debug/kprobes/list)
	echo "$armed"
	[ "$(echo "$armed" | grep -c .)" = 2 ] &&
		[ "$(echo "$armed" | grep -vc DISABLED)" = $((2 * $1)) ]
}
check "many tasks write the switch, which is off at the end: the probes rest" switch_from_many_tasks 0
check "many tasks write the switch, which is on at the end: the probes are armed" switch_from_many_tasks 1

switch client 0
role client plain
transfers --prefix 'off: ' --families 4,6 --directions both --sizes 1,1048577 plain:plain

# A connection made while on goes on after the switch is off, and the other way round.
live_through() {
	role client "$1"
	role server ours
	start server socat tcp-listen:5001,reuseaddr exec:cat
	wait_for 10 listening server 5001
	mkfifo "$work/in.$1"
	start_client "$1"
	exec 5>"$work/in.$1"
	echo before >&5
	wait_for 10 grep -q before "$work/out.$1"
	switch client "$2"
	switch server "$2"
	echo after >&5
	exec 5>&-
	wait_for 10 grep -q after "$work/out.$1"
}
start_client() {
	in_ns client socat -t 10 - "tcp:$server4:5001" <"$work/in.$1" >"$work/out.$1" &
}
check "a connection of ours lives on when the switch goes off" live_through ours 0
topology
check "a plain connection lives on when the switch goes on" live_through plain 1
finish
