#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Runs the kernel's own MPTCP selftests, unmodified, each script in a guest of its own:
#   scripts/kselftest.sh [-k bare|stock] [-j GUESTS] [SCRIPT...]     such as pm_netlink or 'mptcp_join -f'
# GUESTS are as many as run at once (default 1); time limits of the scripts are tight on a busy machine. A guest that is
# not done after LIMIT seconds (default 1800, twice what the longest takes) is given up and counts as failed. On the bare
# kernel, which has no MPTCP of its own, they judge mptcp_rs; on the stock kernel they judge the kernel's own MPTCP under
# the same emulation. On the bare kernel a subtest that does not pass is one that tests/kselftest/expected.txt names with
# a reason, or the run fails, and each line has beside it what tests/kselftest/in-tree.txt keeps of the last whole run on
# the stock kernel, which is the file in-tree.txt that such a run leaves. The last line is
# `N passed, N failed, N skipped`, where those expected count as skipped; logs and TAP stay in the folder out.
set -eu
. "$(dirname -- "$0")/lib.sh"

flavour=bare at_once=1 limit=${LIMIT:-1800}
while getopts k:j: option; do
	case $option in
	k) flavour=$OPTARG ;;
	j) at_once=$OPTARG ;;
	*) die "see the head of $0 for its options" ;;
	esac
done
shift $((OPTIND - 1))
case $flavour in bare | stock) ;; *) die "the selftests run on bare or stock, not on '$flavour'" ;; esac
[ $# -gt 0 ] || set -- pm_netlink mptcp_connect mptcp_sockopt diag userspace_pm simult_flows \
	'mptcp_join -fesL' 'mptcp_join -lta64' 'mptcp_join -rMbp' 'mptcp_join -BkSd' 'mptcp_join -zFuIm'
need_root
[ "$flavour" = stock ] || "$project/scripts/build.sh" bare
settings=$("$project/scripts/setup.sh" "$flavour")
root_tree='' kdir=''
eval "$settings"
out=${MPTCP_RS_OUT:-$project/out}/kselftest-$flavour
mkdir -p "$out"

# The scripts and their helper programs, as the kernel's own makefile builds them.
tests=$cache/kselftest-$(echo "$kdir" | cut -d/ -f3)
if [ ! -e "$tests/.complete" ]; then
	say "building the selftests' programs"
	rm -rf "$tests"
	mkdir -p "$tests"
	in_root sh -euc '
		cd "$1"
		make -s headers
		selftests=tools/testing/selftests/net
		mkdir -p "$2/net/lib"
		cp -r $selftests/lib.sh $selftests/mptcp "$2/net/"
		cp -r $selftests/lib/sh "$2/net/lib/"
		make -s -C $selftests/mptcp OUTPUT="$2/net/mptcp" KHDR_INCLUDES="-isystem $1/usr/include" all
	' build "$kdir" "/cache/${tests##*/}" >&2
	touch "$tests/.complete"
fi

# expected SCRIPT SUBTEST: whether the list gives a reason for a subtest that does not pass.
expected() {
	[ "$flavour" = bare ] && awk -F' \\| ' -v script="$1" -v subtest="$2" '
		$1 == script && ($2 == "*" || $2 == subtest) { found = 1 }
		END { exit !found }' "$project/tests/kselftest/expected.txt"
}

# beside SCRIPT: the figures of the kernel's own MPTCP for a line of the table, if it has been measured.
beside() {
	[ "$flavour" = bare ] && awk -F' \\| ' -v script="$1" '
		$1 == script { printf "   in-tree %4d passed %4d failed %4d skipped", $2, $3, $4 }' "$project/tests/kselftest/in-tree.txt"
	echo
}

for wanted in "$@"; do
	[ -f "$tests/net/mptcp/${wanted%% *}.sh" ] ||
		die "no selftest is called ${wanted%% *}: $(cd "$tests/net/mptcp" && echo ./*.sh)"
done
say "$# guests on the $flavour kernel, $at_once at once"
# shellcheck disable=SC2016 # the shell that xargs starts expands this
printf '%s\n' "$@" | xargs -d '\n' -n 1 -P "$at_once" sh -euc '
	project=$0 flavour=$1 limit=$2 tests=$3 out=$4/$(echo "$5" | tr -d " ")
	rm -rf "$out"
	mkdir -p "$out"
	cp -r "$tests" "$out/selftests"
	began=$(date +%s) status=0
	MPTCP_RS_OUT=$out "$project/scripts/guest.sh" -k "$flavour" -s "$limit" \
		env SCRIPT_LIMIT=$((limit - 120)) sh scripts/kselftest-guest.sh $5 >"$out/log" 2>&1 || status=$?
	echo $(($(date +%s) - began)) >"$out/seconds"
	echo "$5 took $(cat "$out/seconds") s" >&2
	if [ $status = 124 ]; then
		echo "error: its guest was lost or not done after $limit s, and this is the end of its log:" >&2
		tail -n 40 "$out/log" >&2
		touch "$out/lost"
	fi
	rm -rf "$out/selftests"
' "$project" "$flavour" "$limit" "$tests" "$out"

passed=0 failed=0 skipped=0
[ "$flavour" = bare ] || : >"$out/in-tree.txt"
for wanted in "$@"; do
	script=${wanted%% *}
	results=$out/$(echo "$wanted" | tr -d ' ')
	sed -n '/^TAP version/,$p' "$results/log" | tr -d '\r' | grep -E '^(not )?ok ' >"$results/tap" || :
	good=0 bad=0 out_of_scope=0
	if [ -e "$results/lost" ] || [ ! -s "$results/tap" ]; then
		echo "not ok - $wanted did not end: see $results/log"
		bad=1
	fi
	while read -r line; do
		subtest=$(echo "$line" | sed 's/^[a-z ]* [0-9]* - //; s/ *#.*//; s/^[a-z_]*: //')
		case $line in
		*'# SKIP'*) out_of_scope=$((out_of_scope + 1)) ;;
		'not ok'*)
			if expected "$script" "$subtest"; then
				out_of_scope=$((out_of_scope + 1))
			else
				echo "not ok - $script: $subtest"
				bad=$((bad + 1))
			fi
			;;
		*) good=$((good + 1)) ;;
		esac
	done <"$results/tap"
	printf '%-18s %4d passed %4d failed %4d skipped %6d s' "$wanted" $good $bad $out_of_scope "$(cat "$results/seconds")"
	beside "$wanted"
	[ "$flavour" = bare ] || echo "$wanted | $good | $bad | $out_of_scope" >>"$out/in-tree.txt"
	passed=$((passed + good)) failed=$((failed + bad)) skipped=$((skipped + out_of_scope))
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
