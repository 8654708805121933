#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Compares mptcp_rs with plain TCP and with the kernel's own MPTCP in one boot, in virtual time:
#   scripts/bench.sh             prints a table, leaves out/bench.json
#   scripts/bench.sh paths       the same for many paths: columns plain in-tree ours, leaves out/paths.json
#   scripts/bench.sh crowd       a packet's and a connection's cost beside up to 10,000 idle connections
#   BASE=FILE scripts/bench.sh   ... and the change against an earlier bench.json
#   ROUNDS=N                     medians of N (default 5; 1 for many paths; 3 for a crowd)
#   ONLY="plain ours"            these columns: plain in-tree ours off to-plain from-plain
# A busy machine changes how long this takes (about 5 minutes), not what it prints.
set -eu
. "$(dirname -- "$0")/lib.sh"

need_root
crowd=''
case ${1-} in
'') program=bench guest_part=bench-guest.sh rounds=${ROUNDS:-5} ;;
paths) program=paths guest_part=bench-paths-guest.sh rounds=${ROUNDS:-1} ;;
crowd) program=bench guest_part=bench-guest.sh rounds=${ROUNDS:-3} crowd=CROWD=1 ONLY=${ONLY:-plain ours} ;;
*) die "'$1' is nothing to measure: paths, crowd, or no argument" ;;
esac
case $rounds in
'' | *[!0-9]* | 0) die "ROUNDS is '$rounds': it must be a number from 1" ;;
esac
out=${MPTCP_RS_OUT:-$project/out}
mkdir -p "$out"
# An earlier result may be out/bench.json itself.
rm -f "$out/bench.base.json"
if [ -n "${BASE-}" ]; then
	[ -s "$BASE" ] || die "BASE is '$BASE', which is no file: name a bench.json of an earlier run"
	cp -- "$BASE" "$out/bench.base.json"
fi
settings=$("$project/scripts/setup.sh" root)
eval "$settings"
# shellcheck disable=SC2154 # root_tree comes from the settings; in_root uses it
[ -d "$root_tree" ] || die "no root tree at $root_tree: remove the cache and try again"
in_root sh -euc 'gcc -O2 -Wall -Wextra -o /tmp/bench "/project/tools/bench/$1.c" && cat /tmp/bench' bench $program \
	>"$out/$program" || die "tools/bench/$program.c does not compile: see the lines above"
chmod +x "$out/$program"
# shellcheck disable=SC2086 # ONLY is several words, crowd none or one
exec "$project/scripts/guest.sh" -t -s "${BENCH_SECONDS:-1500}" env $crowd sh /project/scripts/$guest_part "$rounds" ${ONLY-}
