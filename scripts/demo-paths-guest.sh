#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Runs in the guest: unmodified curl downloads from unmodified python3 -m http.server over WiFi and cellular at once
# (netem: 8 Mbit/s, 20 ms and 2 Mbit/s, 150 ms). WiFi goes away in the middle and comes back.
#   demo-paths-guest.sh CLIENT:SERVER...      the roles of lib.sh, one download each
# What TCP gets over each path alone is measured first. Leaves /out/demo.samples and /out/demo.figures of the first
# download for the picture. SIZE_KB, LOST and BACK change the file's size and when WiFi goes and comes, in seconds.
set -eu
lib_here=$(CDPATH='' cd -- "$(dirname -- "$0")/../tests/netns" && pwd)
# shellcheck source=tests/netns/lib.sh
. "$lib_here/lib.sh"
# shellcheck source=tests/netns/lib-paths.sh
. "$lib_here/lib-paths.sh"
ours_ready || { echo "error: $module does not exist: run make first" >&2; exit 1; }
size_kb=${SIZE_KB:-9000} lost=${LOST:-4} back=${BACK:-8}
begin
two_paths routed
shape wifi rate 8mbit delay 10ms limit 60
shape cell rate 2mbit delay 75ms limit 345
mkdir "$work/www"
head -c $((size_kb * 1000)) /dev/urandom >"$work/www/file"
head -c 3000000 "$work/www/file" >"$work/www/alone-wifi"
head -c 750000 "$work/www/file" >"$work/www/alone-cell"
wanted=$(sha256sum <"$work/www/file" | cut -d' ' -f1)
rm -f /out/demo.samples /out/demo.figures
failed=0 port=9000

serve() {
	port=$((port + 1))
	start server python3 -m http.server -d "$work/www" --bind 0.0.0.0 "$port"
	wait_for 60 listening server $port
}
mbit() { awk -v bytes="$1" -v seconds="$2" 'BEGIN { printf "%.1f", (seconds > 0) ? bytes * 8e-6 / seconds : 0 }'; }

echo
echo "Two paths: WiFi 8 Mbit/s, 20 ms; cellular 2 Mbit/s, 150 ms. WiFi goes away after $lost s and comes back after $back s."
serve
for path in wifi cell; do
	in_ns client curl -sS --max-time 60 --interface "${path}0" -o /dev/null -w '%{speed_download}\n' \
		"http://$server4:$port/alone-$path" >"$work/alone-$path" 2>&1 &
	eval "alone_$path=\$!"
done
# shellcheck disable=SC2154 # set by eval
if ! wait "$alone_wifi" || ! wait "$alone_cell"; then
	echo "TCP over one path alone failed:"
	sed 's/^/    curl: /' "$work/alone-wifi" "$work/alone-cell"
	failed=$((failed + 1))
fi
wifi_alone=$(mbit "$(tail -n 1 "$work/alone-wifi")" 1)
cell_alone=$(mbit "$(tail -n 1 "$work/alone-cell")" 1)

row='%-9s %-9s %10s  %-6s  %-7s  %9s %9s  %7s  %6s  %-8s  %7s  %s\n'
# shellcheck disable=SC2059 # the format is the row above
printf "$row" client server bytes sha256 MP_JOIN 'wifi MB' 'cell MB' seconds Mbit/s 'of WiFi' stall '' >"$work/table"

# download CLIENT_ROLE SERVER_ROLE: live lines, and one row of the table.
download() {
	if ! pair_possible "$(stands_for "$1")" "$(stands_for "$2")"; then
		echo "$1 to $2: left out, this kernel has no MPTCP of its own"
		return
	fi
	role client "$1"
	role server "$2"
	allow_paths
	serve
	echo
	echo "curl ($1) downloads $size_kb kB from python3 -m http.server ($2), as it happens:"
	ip netns exec client tcpdump -i any -y LINUX_SLL2 -Z root -s 200 -B 8192 -U -w "$work/paths.pcap" tcp \
		2>"$work/tcpdump" &
	dump=$!
	wait_for 10 grep -q 'listening on' "$work/tcpdump"
	rm -f "$work/got"
	in_ns client python3 "$here/../../tools/demo/watch.py" --file "$work/got" --samples "$work/samples" \
		--capture "$work/paths.pcap" --lost "$lost" --back "$back" -- \
		curl -sS --max-time 120 -o "$work/got" "http://$server4:$port/file" 2>&1 | tee "$work/watch" |
		grep -v '^status=' || :
	kill -INT $dump
	wait $dump 2>/dev/null || :
	status=1 seconds=0 wifi=0 cell=0 stall='-' joined=0 went=0 came=0
	eval "$(tail -n 1 "$work/watch" | grep '^status=')"
	bytes=$(stat -c %s "$work/got" 2>/dev/null || echo 0)
	match=no problem=''
	[ "$(sha256sum <"$work/got" | cut -d' ' -f1)" != "$wanted" ] || match=yes
	if [ "$match" != yes ] || [ "$status" != 0 ] || [ "$joined" = 0 ]; then
		problem='<-- failed'
		failed=$((failed + 1))
	fi
	rate=$(mbit "$bytes" "$seconds")
	# shellcheck disable=SC2059 # the format is the row above
	printf "$row" "$1" "$2" "$bytes" "$match" "$([ "$joined" = 0 ] && echo no || echo yes)" \
		"$(awk "BEGIN { printf \"%.2f\", $wifi / 1e6 }")" "$(awk "BEGIN { printf \"%.2f\", $cell / 1e6 }")" \
		"$seconds" "$rate" "$(awk "BEGIN { if ($wifi_alone > 0) printf \"%.2f\", $rate / $wifi_alone }")" "$stall" \
		"$problem" >>"$work/table"
	[ ! -e /out/demo.samples ] || return 0
	cp "$work/samples" /out/demo.samples
	echo "lost=$went back=$came wifi_alone=$wifi_alone" >/out/demo.figures
}
for pair in "$@"; do download "${pair%:*}" "${pair#*:}"; done
echo
echo "TCP over WiFi alone, which never goes away: $wifi_alone Mbit/s; over cellular alone: $cell_alone Mbit/s."
cat "$work/table"
end_demo "$failed" "every byte arrived over two paths, and the loss of one did not end a connection."
