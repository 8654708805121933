#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Runs one of the kernel's MPTCP selftests in a guest: kselftest-guest.sh SCRIPT [OPTION...]. Called by kselftest.sh.
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
timeout -k 30 "${SCRIPT_LIMIT:-7000}" "./$script.sh" "$@" || status=$?
dmesg | grep -E 'WARNING|BUG|Oops|Call Trace|RIP:' || :
exit $status
