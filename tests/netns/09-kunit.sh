#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Shows that the protocol crate gives the known answers inside the kernel, and that Rust and C agree on its structures: KUnit.
set -eu
. "$(dirname -- "$0")/lib.sh"
need_ours
results=/sys/kernel/debug/kunit/mptcp_rs/results
if [ ! -d /sys/kernel/debug/kunit ]; then
	echo "1..0 # SKIP this kernel has no KUnit"
	exit 4
fi
begin
if [ -r $results ]; then
	# The cases of the suite are TAP already, one level in: "    ok 1 name".
	sed -n 's/^    \(not ok\|ok\) [0-9]* /\1 - /p' $results | tee -a "$work/tap"
	grep -q '^ok' "$work/tap" || fail "the suite has cases" "$(cat $results)"
else
	fail "loading the module runs its suite" "$results does not exist"
fi
finish
