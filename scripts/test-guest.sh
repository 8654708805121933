#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Runs in the guest: all test files of tests/netns, or those whose names start with a word given
# (`test-guest.sh 02 06`), one after another. Shows their TAP, keeps it in RESULTS (/out/tests), and ends with
# `N passed, N failed, N skipped`; exits non-zero when anything failed.
set -eu
tests=$(CDPATH='' cd -- "$(dirname -- "$0")/../tests/netns" && pwd)
results=${RESULTS:-/out/tests}
limit=${LIMIT:-600}
rm -rf "$results"
mkdir -p "$results"
passed=0 failed=0 skipped=0
for test in "$tests"/[0-9]*.sh; do
	name=$(basename "$test" .sh)
	wanted=${1:+no}
	for word in "$@"; do case $name in "$word"*) wanted=yes ;; esac; done
	[ "$wanted" != no ] || continue
	read -r began _ </proc/uptime
	echo "# $name: $(sed -n '3s/^# //p' "$test")"
	# The status goes through a file: a pipe would lose it.
	{ timeout -k 30 "$limit" sh "$test" 2>&1 && echo 0 >"$results/$name.status" ||
		echo $? >"$results/$name.status"; } | tee "$results/$name.tap"
	status=$(cat "$results/$name.status")
	rm "$results/$name.status"
	read -r ended _ </proc/uptime
	bad=$(grep -c '^not ok' "$results/$name.tap" || :)
	left_out=$(grep -c '^ok.*# SKIP' "$results/$name.tap" || :)
	all=$(grep -cE '^(not )?ok' "$results/$name.tap" || :)
	case $status in
	0 | 1) ;;
	4) [ "$all" != 0 ] || left_out=1 all=1 ;;
	*)
		case $status in
		124 | 137) why="it took longer than $limit seconds (LIMIT=seconds allows more)" ;;
		*) why="it ended with status $status" ;;
		esac
		echo "not ok - $name: $why"
		bad=$((bad + 1)) all=$((all + 1))
		;;
	esac
	if [ "$status" = 1 ] && [ "$bad" = 0 ]; then
		echo "not ok - $name: it stopped in the middle"
		bad=1 all=$((all + 1))
	fi
	skipped=$((skipped + left_out)) failed=$((failed + bad)) passed=$((passed + all - bad - left_out))
	echo "# $name took $((${ended%.*} - ${began%.*})) s"
done
if [ $((passed + failed + skipped)) = 0 ]; then
	echo "error: no test is called $*: the names are those in tests/netns, such as 02-transfer or 02" >&2
	exit 1
fi
for log in "$results"/*.tap; do
	! grep -q '^not ok' "$log" || grep '^not ok' "$log" | sed "s/^not ok -/# failed in $(basename "$log" .tap):/"
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
