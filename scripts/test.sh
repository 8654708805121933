#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Runs everything: host tests of the pure crate with the root tree's toolchain, the module's build,
# the guest tests on the stock kernel. Names given (`scripts/test.sh 02 06`) choose guest tests.
# On the debug kernel (KERNEL=debug): the module's build and the guest tests, less of each.
# The last line is `N passed, N failed, N skipped` over all; exits non-zero when anything failed.
# MPTCP_RS_OUT names the folder for logs (default ./out); KERNEL=stock|debug chooses the kernel.
set -eu
. "$(dirname -- "$0")/lib.sh"
need_root
kernel_flavour=${KERNEL:-stock}
if [ $# = 0 ]; then
	# 03-impaired, 12-rates, 13-many, 14-floods and 18-checksums take long on a slow machine, 09-kunit needs KUnit, and 10-paths
	# measures what a kernel with checkers is too slow for. All of them run when named.
	set -- 01 02 04 05 06 07 08 11 15 16 17 19 20 21
	if [ "$kernel_flavour" = debug ]; then set -- "$@" 09; else set -- "$@" 10; fi
fi
# How much the guest tests do: what the environment says, or else their own defaults on the stock kernel.
# The checkers cost a factor of ten: fewer repetitions, more time for each file and case.
if [ "$kernel_flavour" = debug ]; then
	: "${LIMIT:=2700}" "${RELOADS:=10}" "${SIZES:=1,1048577}" "${SEGMENTS:=3000}" "${DEADLINE:=60}"
	: "${ROUNDS:=3}" "${COUNT:=100}" "${FORGED:=1200}"
fi
amount=''
for name in LIMIT RELOADS SIZES SEGMENTS DEADLINE ROUNDS COUNT FORGED; do
	eval "value=\${$name-}"
	[ -z "$value" ] || amount="$amount $name=$value"
done
settings=$("$project/scripts/setup.sh" "$kernel_flavour")
release=
eval "$settings"
out=${MPTCP_RS_OUT:-$project/out}
mkdir -p "$out"
passed=0 failed=0 skipped=0

# add PASSED FAILED SKIPPED: to the totals.
add() { passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3)); }

# count FILE: prints "passed failed ignored", summed over cargo's result lines.
count() {
	awk '/^test result:/ { for (i = 1; i < NF; i++) { if ($(i + 1) == "passed;") p += $i
		if ($(i + 1) == "failed;") f += $i; if ($(i + 1) == "ignored;") s += $i } }
		END { print p + 0, f + 0, s + 0 }' "$1"
}

host_tests() {
	say "host tests"
	# The status goes through a file: a pipe would lose it.
	{
		cargo_in_root test --locked --quiet 2>&1 && echo 0 >"$out/host.status" ||
			echo 1 >"$out/host.status"
	} | tee "$out/host-tests.log"
	# shellcheck disable=SC2046 # three words
	add $(count "$out/host-tests.log")
	if [ "$(cat "$out/host.status")" != 0 ] && [ "$failed" = 0 ]; then
		echo "not ok - the host tests do not build or stopped in the middle: see $out/host-tests.log"
		add 0 1 0
	fi
	rm "$out/host.status"
}
[ "$kernel_flavour" = debug ] || host_tests

# guest_tests LOG GUEST_OPTION... -- ASSIGNMENT... -- NAME...: those tests in a guest of that kind.
guest_tests() {
	guest_log=$out/$1 guest_options='' guest_environment=''
	shift
	while [ "$1" != -- ]; do guest_options="$guest_options $1" && shift; done
	shift
	while [ "$1" != -- ]; do guest_environment="$guest_environment $1" && shift; done
	shift
	# shellcheck disable=SC2015 # both branches only write the status
	{
		# shellcheck disable=SC2086 # options and assignments, one a word
		"$project/scripts/guest.sh" -k "$kernel_flavour" -s 9000 $guest_options env OURS="${OURS:-module}" $amount \
			$guest_environment sh scripts/test-guest.sh "$@" 2>&1 && echo 0 >"$out/guest.status" ||
			echo $? >"$out/guest.status"
	} | tr -d '\r' | tee "$guest_log"
	total=$(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped.*/\1 \2 \3/p' "$guest_log" | tail -n 1)
	# shellcheck disable=SC2086 # three words
	add ${total:-0 0 0}
	if [ "$(cat "$out/guest.status")" != 0 ] && { [ -z "$total" ] || [ "$(echo "$total" | cut -d' ' -f2)" = 0 ]; }; then
		echo "not ok - the guest ended before its tests did: see $out/console.log"
		add 0 1 0
	fi
	rm "$out/guest.status"
}

say "building the module"
if "$project/scripts/build.sh" "$kernel_flavour"; then
	add 1 0 0
	# What happens on several paths, and how fast, repeats in virtual time only. With checkers no flood is fast.
	real='' virtual=''
	for name in "$@"; do
		case $kernel_flavour-$name in *-10* | *-12* | stock-14*) virtual="$virtual $name" ;; *) real="$real $name" ;; esac
	done
	# shellcheck disable=SC2086 # one word for each test
	if [ -n "$real" ]; then
		say "guest tests on kernel $release"
		guest_tests guest-tests.log -- -- $real
	fi
	# shellcheck disable=SC2086
	if [ -n "$virtual" ]; then
		say "guest tests on kernel $release, in virtual time"
		guest_tests guest-tests-virtual.log -t -- VIRTUAL=1 RESULTS=/out/tests-virtual -- $virtual
	fi
else
	echo "not ok - the module does not build"
	add 0 1 0
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
