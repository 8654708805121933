#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Shows that unmodified programs work over MPTCP: curl, python http.server, nginx, iperf3, nc, socat, redis, ssh.
# shellcheck disable=SC2317 # check and over call functions by name
set -eu
. "$(dirname -- "$0")/lib.sh"
need_ours
begin
www=$work/www
patience=$((6 * ${DEADLINE:-10})) # seconds for a program
mkdir -p "$www"
head -c 8388609 /dev/urandom >"$www/file"
head -c 262145 "$www/file" >"$www/small"
chmod -R a+rX "$work"
hash_of() { sha256sum <"$1" | cut -d' ' -f1; }

# over TEXT COMMAND...: the case passes when COMMAND does and every connection meanwhile was as the roles say.
over() {
	text="$client_role→$server_role $1"
	shift
	read -r began _ </proc/uptime
	capture "$cases" 1500
	"$@" >"$work/log" 2>&1 && status=0 || status=$?
	capture_end "$cases"
	wire=$(saw "$cases")
	rm -f "$work/$cases.pcap"
	cases=$((cases + 1))
	if [ "$status" != 0 ]; then
		fail "$text" "exit status $status, wire: $wire
$(tail -n 20 "$work/log")"
	elif [ "$wire" != "$expected" ]; then
		fail "$text" "the wire shows $wire instead of $expected"
	else
		pass "$text # $(seconds_since "$began")"
	fi
	new_taint || fail "$text: a kernel warning" "$(kernel_trouble)"
}
cases=1

fetch() {
	in_ns client curl -sS -g --max-time "$patience" -o "$work/got" "http://$1/file" &&
		cmp "$work/got" "$www/file"
}
http_server() {
	start server python3 -m http.server -d "$www" --bind :: 8000
	wait_for 20 listening server 8000
	over "curl from python http.server, IPv4" fetch "$server4:8000"
	over "curl from python http.server, IPv6" fetch "[$server6]:8000"
}
nginx_server() {
	mkdir -p "$work/nginx/logs"
	cat >"$work/nginx.conf" <<-EOF
		user root;
		pid $work/nginx.pid;
		error_log $work/nginx.log;
		events { }
		http {
			access_log off;
			sendfile on;
			client_body_temp_path $work/nginx;
			proxy_temp_path $work/nginx; fastcgi_temp_path $work/nginx;
			uwsgi_temp_path $work/nginx; scgi_temp_path $work/nginx;
			dav_methods PUT;
			client_max_body_size 100m;
			server { listen 8080; listen [::]:8080; root $www; location /up/ { root $work; dav_methods PUT; create_full_put_path on; } }
		}
	EOF
	start server nginx -c "$work/nginx.conf" -e "$work/nginx.log" -g 'daemon off;'
	wait_for 20 listening server 8080
	over "curl from nginx (sendfile), IPv4" fetch "$server4:8080"
	over "curl uploads to nginx" upload
	[ -n "$thorough" ] || return 0
	over "curl from nginx (sendfile), IPv6" fetch "[$server6]:8080"
	over "curl, 20 requests on one connection" keep_alive
	over "curl, 20 connections at once" parallel
}
keep_alive() {
	in_ns client curl -sS --max-time "$patience" -o "$work/small.#1" "http://$server4:8080/small?[1-20]" && all_small
}
parallel() {
	in_ns client curl -sS --max-time "$patience" -H 'Connection: close' -Z --parallel-immediate --parallel-max 20 \
		-o "$work/small.#1" "http://$server4:8080/small?[1-20]" && all_small
}
all_small() {
	for number in $(seq 20); do
		cmp "$work/small.$number" "$www/small" || return 1
		rm "$work/small.$number"
	done
}
upload() {
	rm -rf "$work/up"
	in_ns client curl -sS --max-time "$patience" -f -T "$www/file" "http://$server4:8080/up/file" &&
		cmp "$work/up/file" "$www/file"
}
iperf_server() {
	start server iperf3 -s -p 5201
	wait_for 20 listening server 5201
	over "iperf3, download, 4 streams, IPv6" iperf "$server6" -R -P 4
	[ -n "$thorough" ] || return 0
	over "iperf3, upload" iperf "$server4"
	over "iperf3, both directions" iperf "$server4" --bidir
}
iperf() {
	address=$1
	shift
	in_ns client timeout "$patience" iperf3 -c "$address" -p 5201 -n 16M "$@"
}
nc_server() {
	in_ns server nc -N -l 5002 <"$www/small" >"$work/nc.server" &
	listener=$!
	wait_for 20 listening server 5002
	over "nc, both directions" nc_both "$listener"
}
nc_both() {
	in_ns client timeout "$patience" nc -N "$server4" 5002 <"$www/file" >"$work/nc.client" &&
		wait "$1" && cmp "$work/nc.server" "$www/file" && cmp "$work/nc.client" "$www/small"
}
socat_server() {
	start server socat tcp6-listen:5003,reuseaddr,fork,nodelay exec:cat
	wait_for 20 listening server 5003
	over "socat, echo" echoed "tcp:$server4:5003,nodelay"
	over "socat, echo, IPv6, small send buffer" echoed "tcp6:[$server6]:5003,sndbuf=8192,keepalive"
}
echoed() {
	in_ns client timeout "$patience" socat -t 30 - "$1" <"$www/small" >"$work/echo" && cmp "$work/echo" "$www/small"
}
redis() {
	start server redis-server --port 6379 --bind 0.0.0.0 --protected-mode no --save '' --appendonly no --dir "$work"
	wait_for 20 listening server 6379
	over "redis-benchmark, 50 connections" redis_benchmark -n 1000
	[ -n "$thorough" ] || return 0
	over "redis-cli sets and gets" redis_value
	over "redis-benchmark, pipelined, 4 KiB values" redis_benchmark -n 2000 -P 16 -d 4096
}
redis_value() {
	in_ns client timeout 30 redis-cli -h "$server4" set key 'some value' &&
		[ "$(in_ns client timeout 30 redis-cli -h "$server4" get key)" = 'some value' ]
}
redis_benchmark() {
	in_ns client timeout "$patience" redis-benchmark -h "$server4" -c 50 -t set,get -q "$@" &&
		! grep -i error "$work/log"
}
ssh_server() {
	mkdir -p /run/sshd "$work/ssh"
	[ -f "$work/ssh/key" ] || ssh-keygen -q -t ed25519 -N '' -f "$work/ssh/key"
	chmod 700 "$work" "$work/ssh"
	cat >"$work/ssh/config" <<-EOF
		Port 2222
		HostKey $work/ssh/key
		PidFile none
		AuthorizedKeysFile $work/ssh/key.pub
		PermitRootLogin yes
		StrictModes no
		UsePAM no
	EOF
	start server /usr/sbin/sshd -D -e -f "$work/ssh/config"
	wait_for 20 listening server 2222
	over "ssh runs a command and copies a file" ssh_copy
	chmod 755 "$work"
}
ssh_copy() {
	in_ns client timeout "$patience" ssh -q -p 2222 -i "$work/ssh/key" -o StrictHostKeyChecking=no -o BatchMode=yes \
		-o UserKnownHostsFile=/dev/null "root@$server4" cat <"$www/small" >"$work/ssh/got" &&
		cmp "$work/ssh/got" "$www/small"
}

# under CLIENT_ROLE SERVER_ROLE GROUP...: runs groups of cases with these roles; only ours→ours runs every
# case (`thorough`), since an emulated processor takes a second to start a program.
under() {
	client_role=$1 server_role=$2
	shift 2
	thorough=
	[ "$client_role$server_role" != oursours ] || thorough=1
	if ! pair_possible "$client_role" "$server_role"; then
		skip "$client_role→$server_role programs" "this kernel has no MPTCP of its own"
		return
	fi
	topology
	role client "$client_role"
	role server "$server_role"
	expected=$(negotiated "$client_role" "$server_role")
	for group in "$@"; do
		"$group" || fail "$client_role→$server_role $group starts" "$(tail -n 10 "$work/background.log")"
	done
	settle "$client_role→$server_role programs"
}
under ours ours http_server nginx_server iperf_server nc_server socat_server redis ssh_server
under ours in-tree nginx_server iperf_server redis ssh_server
under in-tree ours nginx_server iperf_server redis ssh_server
under ours plain nginx_server iperf_server redis
under plain ours nginx_server iperf_server redis
finish
