#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Runs in the guest: unmodified curl in one namespace downloads SIZE_MIB (default 64) from unmodified
# python3 -m http.server in another, ours to ours, ours and in-tree in both roles, and over plain TCP
# for comparison. The bytes, their SHA-256 and what tcpdump saw decide; one row for each.
set -eu
lib_here=$(CDPATH='' cd -- "$(dirname -- "$0")/../tests/netns" && pwd)
# shellcheck source=tests/netns/lib.sh
. "$lib_here/lib.sh"
size_mib=${SIZE_MIB:-64}
ours_ready || { echo "error: $module does not exist: run make first" >&2; exit 1; }
begin
topology

echo "Linux $(uname -r), $(nproc) CPUs$(loaded && echo ", mptcp_rs loaded")."
echo "curl (namespace client) downloads $size_mib MiB from python3 -m http.server (namespace server)."
mkdir "$work/www"
# Random, without making the guest's processor work for each byte.
head -c 16777216 /dev/urandom >"$work/block"
for _ in $(seq $((size_mib / 16))); do
	cat "$work/block"
	# Each repetition is shifted and different.
	head -c 61 /dev/urandom
done | head -c "$((size_mib * 1048576))" >"$work/www/file"
mv "$work/block" "$work/www/warm-up"
wanted=$(sha256sum <"$work/www/file" | cut -d' ' -f1)
bytes_wanted=$(stat -c %s "$work/www/file")
echo "SHA-256 of the file: $wanted"
echo

failed=0 port=8000 baseline=
row='%-9s %-9s %12s  %-7s  %-10s  %-10s  %-8s %10s  %9s  %s\n'
# shellcheck disable=SC2059 # the format is the row above
header() { printf "$row" client server bytes sha256 MP_CAPABLE DSS 'as wanted' Mbit/s 'of TCP' ''; }

# download CLIENT_ROLE SERVER_ROLE: one row of the table.
download() {
	if ! pair_possible "$1" "$2"; then
		echo "$1 to $2: left out, this kernel has no MPTCP of its own"
		return
	fi
	role client "$1"
	role server "$2"
	port=$((port + 1))
	start server python3 -m http.server -d "$work/www" --bind 0.0.0.0 "$port"
	wait_for 60 listening server $port
	in_ns client curl -sS --max-time 60 -o "$work/got" "http://$server4:$port/warm-up" || :
	# The first 400 packets hold the handshake and the first mappings; all of them would slow both ends.
	capture demo 400
	in_ns client curl -sS --max-time 120 -o "$work/got" -w '%{size_download} %{speed_download}\n' \
		"http://$server4:$port/file" >"$work/curl" 2>&1 || echo "0 0" >>"$work/curl"
	capture_end demo
	# shellcheck disable=SC2046 # two words
	set -- "$1" "$2" $(tail -n 1 "$work/curl")
	seen=$(tcpdump -nr "$work/demo.pcap" tcp 2>/dev/null | gawk -f "$here/wire.awk" | head -n 1)
	match=no
	[ "$(sha256sum <"$work/got" | cut -d' ' -f1)" != "$wanted" ] || match=yes
	rm -f "$work/got"
	capable=no dss=no
	case $seen in *syn=1\ synack=1\ ack=[1-9]*) capable=yes ;; esac
	case $seen in *dss-up=0* | *dss-down=0* | '') ;; *) dss=yes ;; esac
	verdict=$(echo "$seen" | cut -d' ' -f2)
	right=yes
	[ "$verdict" = "$(negotiated "$1" "$2")" ] || right=no
	mbit=$(awk -v speed="$4" 'BEGIN { printf "%.0f", speed * 8 / 1e6 }')
	[ -n "$baseline" ] || baseline=$mbit
	share=$(awk -v a="$mbit" -v b="$baseline" 'BEGIN { if (b > 0) printf "%.2f", a / b; else print "-" }')
	problem=
	if [ "$match" != yes ] || [ "$3" != "$bytes_wanted" ] || [ "$right" != yes ]; then
		problem='<-- failed'
		failed=$((failed + 1))
	fi
	# shellcheck disable=SC2059 # the format is the row above
	printf "$row" "$1" "$2" "$3" "$match" "$capable" "$dss" "$right" "$mbit" "$share" "$problem"
	[ -z "$problem" ] || sed 's/^/    curl: /' "$work/curl"
}
header
download plain plain
download ours ours
download ours in-tree
download in-tree ours
end_demo "$failed" "every byte arrived, and MPTCP was on the wire wherever both ends speak it."
