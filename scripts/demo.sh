#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# The main job, shown: sets everything up, builds the module, boots the stock kernel with it and lets
# unmodified curl download from unmodified python3 -m http.server over MPTCP: over one path as fast as
# it goes (demo-guest.sh), then over WiFi and cellular at once (demo-paths-guest.sh).
#   demo.sh [PICTURE]     also where to draw the second part: PICTURE.svg and PICTURE.png
#                         (default: demo in the folder for logs)
#   PAIRS="ours:ours ..." whose ends the second part has (default: ours to ours, ours to in-tree)
#   SIZE_MIB=N            how much the first part downloads (default 64)
# Exits non-zero when anything fails. MPTCP_RS_OUT names the folder for logs (default ./out).
set -eu
. "$(dirname -- "$0")/lib.sh"
need_root
pairs=${PAIRS:-ours:ours ours:in-tree}
out=${MPTCP_RS_OUT:-$project/out}
picture=${1:-$out/demo}
settings=$("$project/scripts/setup.sh" stock)
release='' root_tree=''
eval "$settings"
say "building the module"
make -s -C "$project" module || die "the module does not build: see the lines above"
say "booting Debian's kernel $release in a guest"
status=0
# shellcheck disable=SC2086 # pairs are several words
"$project/scripts/guest.sh" -s 900 env OURS="${OURS:-module}" SIZE_MIB="${SIZE_MIB:-64}" sh -c \
	'sh scripts/demo-guest.sh && exec sh scripts/demo-paths-guest.sh "$@"' demo $pairs || status=$?

first=${pairs%% *}
ends="${first%:*} to ${first#*:}"
# draw FORM: the picture on standard output, from the samples of the guest.
draw() {
	lost=0 back=0 wifi_alone=0
	eval "$(cat "$out/demo.figures")"
	in_root sh -euc 'cat >/tmp/samples; exec gnuplot -e "$1; samples=\"/tmp/samples\"" /project/tools/demo/paths.gp' draw \
		"form='$1'; lost=$lost; back=$back; wifi_alone=$wifi_alone; subject='One download over two paths, $ends'" \
		<"$out/demo.samples"
}
if [ -s "$out/demo.samples" ] && [ -s "$out/demo.figures" ]; then
	for form in svg png; do
		draw $form >"$picture.$form" || die "gnuplot does not draw $picture.$form: see the lines above"
	done
	say "the picture is in $picture.svg and $picture.png"
fi
exit $status
