#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Runs one of the kernel's MPTCP selftests in a guest: kselftest-guest.sh SCRIPT [OPTION...]. Called by kselftest.sh; a
# script that is not done after SCRIPT_LIMIT seconds is given up, and what it waits for is shown.
# The script and its programs are copied to memory and stay as they are; what is prepared is the module,
# where the kernel has no MPTCP of its own, an nstat that also reads the module's counters, and a list of the
# kernel's functions with those by which the scripts tell what its MPTCP can do.
set -eu
cp -r /out/selftests /tmp/
if [ ! -d /proc/sys/net/mptcp ]; then
	insmod /project/mptcp_rs.ko
	mkdir /tmp/bin
	cat >/tmp/bin/nstat <<-'END'
		#!/bin/sh
		all=$(mktemp)
		cat /proc/net/netstat /proc/net/mptcp_rs >"$all"
		PROC_NET_NETSTAT=$all /usr/bin/nstat "$@"
		status=$?
		rm "$all"
		exit $status
	END
	chmod +x /tmp/bin/nstat
	export PATH="/tmp/bin:$PATH"
	{
		cat /proc/kallsyms
		sed -e 's/[[:space:]]*#.*//' -e '/^$/d' -e 's/^/0000000000000000 T /' /project/tests/kselftest/functions.txt
	} >/tmp/kallsyms
	mount --bind /tmp/kallsyms /proc/kallsyms
fi
cd /tmp/selftests/net/mptcp
status=0
script=$1
shift
(
	sleep "$SCRIPT_LIMIT"
	echo "what is there when $script is given up after $SCRIPT_LIMIT s:"
	# All but the kernel's threads.
	ps -N -p 2 --ppid 2 -o pid,ppid,stat,wchan:24,etimes,args
	for netns in $(ip netns list | cut -d' ' -f1); do
		echo "$netns:"
		ip netns exec "$netns" ss -tanMi
	done
) &
watcher=$!
# Without the terminal: to whoever reads it behind timeout's back the kernel sends SIGTTIN, which stops them all.
timeout -k 30 $((SCRIPT_LIMIT + 20)) "./$script.sh" "$@" </dev/null || status=$?
kill "$watcher" 2>/dev/null || :
dmesg | grep -E 'WARNING|BUG|Oops|Call Trace|RIP:' || :
exit $status
