# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2317 # wait_for and traps call functions by name
# Shared by the guest tests: network namespaces, roles, impairments, captures, TAP. Sourced, never run.
#
# topology (default; `topology N` makes N such pairs):
#
#     namespace client                          namespace server
#     c1 10.0.1.1   ------------ veth ---------- s1 10.0.1.2
#        fd00:1::1                                  fd00:1::2
#     c2 10.0.2.1   ------------ veth ---------- s2 10.0.2.2
#        fd00:2::1                                  fd00:2::2
#
# topology routed:
#
#     namespace client          namespace router           namespace server
#     c1 10.0.1.1   ---- veth ---- r1 10.0.1.254
#        fd00:1::1                    fd00:1::fe
#                                  r2 10.0.9.254 ---- veth ---- s1 10.0.9.2
#                                     fd00:9::fe                   fd00:9::2
#
# Roles (`role NAMESPACE ROLE`): what a program in that namespace gets from socket(AF_INET*, SOCK_STREAM, 0).
#     ours      net.mptcp_rs.enabled=1
#     in-tree   the kernel's own MPTCP: in_ns preloads a library that asks for protocol 262
#     plain     TCP
# OURS=in-tree (or plain) in the environment lets that stand in for the module: it tests the tests.
# MODULE names another mptcp_rs.ko than the checkout's.

here=${lib_here:-$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)}
file=${0##*/}
file=${file%.sh}
module=${MODULE:-$here/../../mptcp_rs.ko}
OURS=${OURS:-module}
work=$(mktemp -d "/tmp/$file.XXXXXX")
: >"$work/tap"
namespaces=
captures=
preload=/run/mptcp_rs/in_tree_preload.so

### TAP

# emit LINE: one line of TAP, kept for the count at the end.
emit() {
	printf '%s\n' "$*" | tee -a "$work/tap"
}

pass() { emit "ok - $1"; }

# fail TEXT [REASON]: a failed case, with the reason below it.
fail() {
	emit "not ok - $1"
	[ -z "${2-}" ] || printf '%s\n' "$2" | sed 's/^/#   /'
}

skip() { emit "ok - $1 # SKIP $2"; }

# check TEXT COMMAND...: the case passes when COMMAND does; its output is shown when it does not.
check() {
	check_text=$1
	shift
	if "$@" >"$work/log" 2>&1; then
		pass "$check_text"
	else
		fail "$check_text" "exit status $? of: $*
$(tail -n 20 "$work/log")"
	fi
	new_taint || fail "$check_text: a kernel warning" "$(kernel_trouble)"
}

# plan: prints the TAP plan and exits with kselftest's code: 0 pass, 1 fail, 4 all skipped.
plan() {
	total=$(grep -cE '^(not )?ok' "$work/tap" || :)
	failed=$(grep -c '^not ok' "$work/tap" || :)
	skipped=$(grep -cE '^ok.*# SKIP' "$work/tap" || :)
	echo "1..$total"
	echo "# $file: $((total - failed - skipped)) passed, $failed failed, $skipped skipped"
	[ "$failed" = 0 ] || exit 1
	[ "$total" != "$skipped" ] || exit 4
	exit 0
}

### Waiting

# wait_for SECONDS COMMAND...: runs COMMAND until it succeeds; fails after SECONDS.
wait_for() {
	read -r wait_now wait_rest </proc/uptime
	wait_end=$((${wait_now%.*} + $1 + 1))
	shift
	until "$@" >/dev/null 2>&1; do
		read -r wait_now wait_rest </proc/uptime
		[ "${wait_now%.*}" -lt "$wait_end" ] || return 1
		sleep 0.1
	done
	: "$wait_rest"
}

# listening NAMESPACE PORT: something listens on that TCP port.
listening() {
	ip netns exec "$1" ss -Htln "sport = :$2" | grep -q .
}

### Kernel log

# Bits of /proc/sys/kernel/tainted that tell of trouble: machine check, bad page, oops, warning, soft lockup.
trouble_bits=$((16 | 32 | 128 | 512 | 16384))
mark="mptcp_rs test: $file $$"

# seconds_since UPTIME: for the case's line.
seconds_since() {
	read -r since_now _ </proc/uptime
	awk -v from="$1" -v to="$since_now" 'BEGIN { printf "%.1f s", to - from }'
}

# new_taint: succeeds while no trouble bit was set since the last call.
new_taint() {
	taint_now=$(cat /proc/sys/kernel/tainted)
	taint_new=$((taint_now & ~${taint_seen:-0} & trouble_bits))
	taint_seen=$taint_now
	[ "$taint_new" = 0 ]
}

# What no healthy kernel writes: any kernel; lockdep and the checks of contexts; KASAN and the other
# checks of memory.
trouble_any='WARNING|BUG|Oops|general protection|Call Trace|refcount_t|still has objects|Slab cache still|leaked|soft lockup|hung task|blocked for more than|rcu.*stall|unregister_netdevice: waiting|RIP:|panicked'
trouble_locks='possible (recursive|circular|irq)|lock order|inconsistent lock state|bad unlock balance|lock held|held lock freed|Invalid wait context|turning off the locking|sleeping function called|scheduling while atomic|suspicious RCU'
trouble_memory='KASAN|UBSAN|KCSAN|KFENCE|ODEBUG|list_(add|del) corruption|ref_tracker|unreferenced object|suspected memory leak|kmemleak: .*disabled'

# kernel_trouble: the lines since this file began that show trouble; fails when there are none.
kernel_trouble() {
	# A log so long that the mark is gone is looked at as a whole.
	dmesg | awk -v mark="$mark" 'index($0, mark) { n = 0 } { lines[n++] = $0 } END { for (i = 0; i < n; i++) print lines[i] }' |
		grep -E -A 25 "$trouble_any|$trouble_locks|$trouble_memory"
}

# Where the kernel tells of leaks, if it looks for any.
kmemleak=/sys/kernel/debug/kmemleak

# leaks: what has been allocated since this file began and nothing points to; fails when there is nothing.
# Two scans, because an object has to look the same in both; younger ones than 5 s are left out.
leaks() {
	[ -w $kmemleak ] || return 1
	read -r leaks_from _ </proc/uptime
	wait_for 10 uptime_passed $((${leaks_from%.*} + 6))
	echo scan >$kmemleak
	echo scan >$kmemleak
	grep . $kmemleak
}
uptime_passed() {
	read -r uptime_now _ </proc/uptime
	[ "${uptime_now%.*}" -ge "$1" ]
}

# lockdep_off: what lockdep says of itself when it has stopped looking; fails while it looks, or is not there.
lockdep_off() {
	grep '^ debug_locks: *0' /proc/lockdep_stats 2>/dev/null
}

### The module

# ours_ready: whether the role `ours` can be had; else tells why.
ours_ready() {
	[ "$OURS" != module ] || [ -f "$module" ]
}

# need_ours: ends the file as skipped when the module is not built.
need_ours() {
	ours_ready && return
	echo "1..0 # SKIP $module does not exist: run make first"
	exit 4
}

# need_module: the same for a test of the module itself, not of what may stand for it.
need_module() {
	[ "$OURS" != module ] || ! ours_ready || return 0
	echo "1..0 # SKIP needs the module itself: run make first"
	exit 4
}

# end_demo FAILED TEXT: the last lines of a demo, TEXT when nothing has failed and the kernel is content.
end_demo() {
	echo
	stop_all
	demo_failed=$1
	if trouble=$(kernel_trouble); then
		echo "The kernel complained:"
		echo "$trouble"
		demo_failed=$((demo_failed + 1))
	fi
	if [ "$demo_failed" != 0 ]; then
		echo "demo: failed ($demo_failed)"
		exit 1
	fi
	echo "demo: $2"
}

loaded() { grep -q '^mptcp_rs ' /proc/modules; }

# unload: rmmod, in the background because one that hangs in the kernel cannot be killed.
unload() {
	rmmod mptcp_rs &
	wait_for 30 gone || { echo "rmmod has not ended after 30 seconds"; return 1; }
}
gone() { ! loaded; }

# module_unused: the module's use count is zero (or it is not loaded).
module_unused() {
	awk '$1 == "mptcp_rs" && $3 != 0 { bad = 1 } END { exit bad }' /proc/modules
}

# slab_leaks: objects of ours that are still allocated; fails when there are none.
slab_leaks() {
	leaks=1
	for cache_dir in /sys/kernel/slab/*[mM][pP][tT][cC][pP]_[rR][sS]*; do
		[ -e "$cache_dir/shrink" ] || continue
		echo 1 >"$cache_dir/shrink"
		read -r objects _ <"$cache_dir/objects"
		[ "$objects" = 0 ] || { echo "${cache_dir##*/}: $objects objects"; leaks=0; }
	done
	return $leaks
}
no_slab_leaks() { ! slab_leaks; }

# no_time_wait: no TCP socket at all in client and server, once those in TIME-WAIT have been ended.
no_time_wait() {
	for namespace in client server; do
		ip netns exec "$namespace" ss -HKtan state time-wait >/dev/null 2>&1 || :
		[ -z "$(ip netns exec "$namespace" ss -Htan)" ] || return 1
	done
}

# note_memory: what memory_unchanged compares with, once everything that stays for good is there.
note_memory() {
	slabs "$work/slabs.before"
	free_before=$(free_memory)
}

# memory_unchanged: no slab cache has grown and no memory is gone since, but for a little.
memory_unchanged() {
	most_objects=1500 most_memory=65536
	slabs "$work/slabs.after"
	if more=$(grown "$work/slabs.before" "$work/slabs.after"); then
		fail "no slab cache has grown" "$more"
	else
		pass "no slab cache has grown"
	fi
	memory_gone=$((free_before - $(free_memory)))
	if [ $memory_gone -gt $most_memory ]; then
		fail "no memory is gone" "$memory_gone kB less are available, at most $most_memory may be"
	else
		pass "no memory is gone"
	fi
}

# slabs FILE: objects per slab cache, after all caches gave back what is free.
slabs() {
	echo 2 >/proc/sys/vm/drop_caches
	for shrink in /sys/kernel/slab/*/shrink; do echo 1 >"$shrink" 2>/dev/null || :; done
	awk 'NR > 2 { print $1, $2 }' /proc/slabinfo >"$1"
}

# grown BEFORE AFTER: the caches that hold more objects than they may; fails when there are none.
grown() {
	awk -v most="$most_objects" 'NR == FNR { before[$1] = $2; next }
		$1 in before && $2 - before[$1] > most { print $1 ": " before[$1] " to " $2; bad = 1 }
		END { exit !bad }' "$1" "$2"
}
free_memory() { awk '/^MemAvailable:/ { print $2 }' /proc/meminfo; }

# begin: marks the kernel log and loads the module.
begin() {
	trap cleanup EXIT
	trap 'exit 130' INT TERM
	taint_seen=$(cat /proc/sys/kernel/tainted)
	echo "$mark" >/dev/kmsg
	[ ! -w $kmemleak ] || echo clear >$kmemleak
	in_tree=
	[ ! -d /proc/sys/net/mptcp ] || loaded || in_tree=1
	if [ "$OURS" = module ] && [ -f "$module" ] && ! loaded; then
		insmod "$module" || { echo "Bail out! insmod $module failed: see the kernel log"; exit 1; }
	fi
}

# settle: ends what runs in the namespaces, removes them and shows that nothing of ours is left.
settle() {
	stop_all
	for namespace in $namespaces; do
		if ! wait_for 30 no_sockets "$namespace"; then
			fail "$1: every socket of namespace $namespace ends" "$(ip netns exec "$namespace" ss -tanpeio 2>&1 | head -20)"
		fi
	done
	drop_namespaces
	if loaded; then
		if wait_for 30 module_unused && wait_for 10 no_slab_leaks; then
			pass "$1: no socket and no slab object left"
		else
			fail "$1: no socket and no slab object left" "$(grep '^mptcp_rs ' /proc/modules; slab_leaks)"
		fi
	fi
}

# no_sockets NAMESPACE: no TCP socket but TIME-WAIT ones, which hold nothing.
no_sockets() {
	! ip netns exec "$1" ss -Htan | grep -qv '^TIME-WAIT'
}

# finish: the checks after every file, then the plan.
finish() {
	settle "$file"
	# While the module is there, a report names its functions; what only it pointed to shows afterwards.
	look_for_leaks "while the module is loaded"
	if loaded; then
		check "$file: the module unloads" unload
		look_for_leaks "after it has been unloaded"
	fi
	if trouble=$(lockdep_off); then
		fail "$file: lockdep is still looking" "$trouble"
	fi
	if trouble=$(kernel_trouble); then
		fail "$file: the kernel log is clean" "$trouble"
	else
		pass "$file: the kernel log is clean"
	fi
	plan
}

# look_for_leaks WHEN: a case, where the kernel looks for leaks.
look_for_leaks() {
	[ -w $kmemleak ] || return 0
	if trouble=$(leaks); then
		fail "$file: no leak $1" "$(echo "$trouble" | head -n 60)"
	else
		pass "$file: no leak $1"
	fi
}

# stop_all: ends every process in the namespaces.
stop_all() {
	for namespace in $namespaces; do
		for signal in TERM KILL; do
			pids=$(ip netns pids "$namespace" 2>/dev/null) || :
			# shellcheck disable=SC2086 # one word per process
			[ -z "$pids" ] || kill -s "$signal" $pids 2>/dev/null || :
			wait_for 3 no_processes "$namespace" || :
		done
	done
	captures=
}
no_processes() { [ -z "$(ip netns pids "$1" 2>/dev/null)" ]; }

drop_namespaces() {
	for namespace in $namespaces; do ip netns del "$namespace" 2>/dev/null || :; done
	namespaces=
}

cleanup() {
	status=$?
	set +e
	stop_all
	drop_namespaces
	! loaded || unload 2>/dev/null
	[ -n "${KEEP-}" ] || rm -rf "$work"
	exit "$status"
}

### Namespaces

# make_namespaces NAME...: these, all plain and without interfaces, instead of earlier ones.
make_namespaces() {
	stop_all
	drop_namespaces
	modprobe -q veth || :
	namespaces=$*
	for namespace in $namespaces; do
		ip netns add "$namespace"
		# A SYN lost by chance must not switch MPTCP off for an hour.
		ip netns exec "$namespace" sh -c '
			echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad
			echo 0 >/proc/sys/net/ipv6/conf/default/router_solicitations
			echo 1 >/proc/sys/net/ipv4/ip_forward
			echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
			for setting in /proc/sys/net/mptcp*/blackhole_timeout; do
				[ ! -e $setting ] || echo 0 >$setting
			done'
	done
	# shellcheck disable=SC2034 # in_ns reads them by name
	role_client=plain role_server=plain role_router=plain
}

# topology [N|routed]: makes the namespaces of the drawing above, all plain; removes earlier ones.
topology() {
	if [ "${1-}" = routed ]; then make_namespaces client router server; else make_namespaces client server; fi
	client4=10.0.1.1 client6=fd00:1::1
	if [ "${1-}" = routed ]; then
		server4=10.0.9.2 server6=fd00:9::2
		wire client c1 10.0.1.1/24 fd00:1::1/64 router r1 10.0.1.254/24 fd00:1::fe/64
		wire router r2 10.0.9.254/24 fd00:9::fe/64 server s1 10.0.9.2/24 fd00:9::2/64
		for via in 'client 10.0.1.254 fd00:1::fe' 'server 10.0.9.254 fd00:9::fe'; do
			# shellcheck disable=SC2086 # three words
			set -- $via
			ip -n "$1" route add default via "$2"
			ip -n "$1" -6 route add default via "$3"
		done
	else
		server4=10.0.1.2 server6=fd00:1::2
		for path in $(seq "${1:-1}"); do
			wire client "c$path" "10.0.$path.1/24" "fd00:$path::1/64" \
				server "s$path" "10.0.$path.2/24" "fd00:$path::2/64"
		done
	fi
	export client4 client6 server4 server6
}

# wire NS DEV ADDR4 ADDR6 NS DEV ADDR4 ADDR6: a veth pair with addresses that are usable at once.
wire() {
	ip link add "$2" netns "$1" type veth peer name "$6" netns "$5"
	while [ $# -gt 0 ]; do
		ip -n "$1" -batch - <<-EOF
			link set lo up
			addr add $3 dev $2
			addr add $4 dev $2 nodad
			link set $2 up
		EOF
		shift 4
	done
}

# role NAMESPACE ours|in-tree|plain: for sockets made from now on.
role() {
	role_wanted=$2
	[ "$role_wanted" != ours ] || [ "$OURS" = module ] || role_wanted=$OURS
	eval "role_$1=\$role_wanted"
	if loaded; then
		enabled=0
		[ "$role_wanted" != ours ] || enabled=1
		ip netns exec "$1" sysctl -qw net.mptcp_rs.enabled=$enabled
	fi
}

# in_ns NAMESPACE COMMAND...: runs COMMAND there, unmodified, in the namespace's role.
in_ns() {
	in_ns_name=$1
	shift
	in_ns_role=
	eval "in_ns_role=\$role_$in_ns_name"
	if [ "$in_ns_role" = in-tree ]; then
		build_preload
		ip netns exec "$in_ns_name" env LD_PRELOAD="$preload" "$@"
	else
		ip netns exec "$in_ns_name" "$@"
	fi
}

# start NAMESPACE COMMAND...: in_ns in the background; topology, settle and the end of the file stop it.
start() {
	in_ns "$@" >>"$work/background.log" 2>&1 </dev/null &
}

# build_preload: the library that gives unmodified programs in-tree MPTCP, once per boot.
build_preload() {
	[ ! -e "$preload" ] || return 0
	mkdir -p "${preload%/*}"
	gcc -O2 -shared -fPIC -o "$preload.$$" "$here/in_tree_preload.c"
	mv "$preload.$$" "$preload"
}

# negotiated CLIENT_ROLE SERVER_ROLE: what the wire must show: mptcp, offered (SYN only) or none.
negotiated() {
	case $(stands_for "$1"):$(stands_for "$2") in
	plain:*) echo none ;;
	*:plain) echo offered ;;
	*) echo mptcp ;;
	esac
}
stands_for() {
	if [ "$1" = ours ] && [ "$OURS" != module ]; then echo "$OURS"; else echo "$1"; fi
}

# pair_possible CLIENT_ROLE SERVER_ROLE: whether this kernel has an in-tree peer where one is asked for.
pair_possible() {
	case $1:$2 in
	*in-tree*) [ -n "$in_tree" ] ;;
	esac
}

### Impairments

# impair NETEM...: netem on every link end, for example `impair loss 1%`; without arguments none.
impair() {
	modprobe -q sch_netem || :
	for end in $(link_ends); do
		ip netns exec "${end%:*}" tc qdisc del dev "${end#*:}" root 2>/dev/null || :
		[ $# = 0 ] || ip netns exec "${end%:*}" tc qdisc add dev "${end#*:}" root netem limit 10000 "$@"
	done
}

# path_mtu BYTES: on every link end.
path_mtu() {
	for end in $(link_ends); do ip -n "${end%:*}" link set "${end#*:}" mtu "$1"; done
}

# offload on|off: segmentation offloads and checksum offload of every link end.
offload() {
	for end in $(link_ends); do
		ip netns exec "${end%:*}" ethtool -K "${end#*:}" tso "$1" gso "$1" gro "$1" tx "$1" >/dev/null 2>&1
	done
}

# link_ends: NAMESPACE:DEVICE of every veth.
link_ends() {
	for namespace in $namespaces; do
		ip -n "$namespace" -o link show type veth | sed "s/^[0-9]*: \([^@:]*\).*/$namespace:\1/"
	done
}

### What the wire shows

# capture NAME [PACKETS]: tcpdump of everything that enters or leaves the server's link into $work/NAME.pcap.
capture() {
	echo "${2:-0}" >"$work/$1.limit"
	ip netns exec server tcpdump -i s1 -Z root -s 200 -B 8192 -U --immediate-mode ${2:+-c "$2"} \
		-w "$work/$1.pcap" 'tcp or udp port 9' 2>"$work/$1.tcpdump" &
	captures="$captures $1:$!"
	wait_for 10 grep -q 'listening on' "$work/$1.tcpdump" || fail "tcpdump starts" "$(cat "$work/$1.tcpdump")"
}

# capture_end NAME: returns once everything sent until now is in the file.
capture_end() {
	for running in $captures; do
		[ "${running%:*}" = "$1" ] || continue
		wait_for 10 marked "$work/$1.pcap" "${running#*:}" || :
		kill -INT "${running#*:}" 2>/dev/null || :
		wait "${running#*:}" 2>/dev/null || :
	done
}
# marked FILE PROCESS: a datagram sent now or before is in FILE, or tcpdump has ended by itself.
marked() {
	kill -0 "$2" 2>/dev/null || return 0
	echo end-of-capture | ip netns exec client nc -u -w0 "$server4" 9
	grep -q end-of-capture "$1"
}

# saw NAME [CLIENT_PORT]: mptcp, offered, none, or partial with what was seen, for the connections in the capture.
saw() {
	tcpdump -nr "$work/$1.pcap" tcp 2>/dev/null |
		gawk -v limit="$(cat "$work/$1.limit")" -f "$here/wire.awk" |
		awk -v port="${2-}" '(port == "" || $1 == port) { n++; if (!seen[$2]++) verdicts = verdicts (verdicts == "" ? "" : " ") $2; line = $0 }
			END { if (!n) print "nothing"; else print verdicts (verdicts ~ /partial/ ? ": " line : "") }'
}

# saw_mptcp NAME: every connection of the capture has MP_CAPABLE on SYN, SYN-ACK and third ACK, and DSS both ways.
saw_mptcp() {
	[ "$(saw "$1")" = mptcp ]
}

### Transfers

# transfers [OPTION...] CLIENT:SERVER...: transfer.py's matrix for every pair of roles this kernel can have.
transfers() {
	pairs=
	options=
	while [ $# -gt 0 ]; do
		case $1 in
		--prefix) prefix=$2; shift ;;
		--*) options="$options $1 $2"; shift ;;
		*)
			if pair_possible "${1%:*}" "${1#*:}"; then
				pairs="$pairs --pair $1"
			else
				skip "${prefix-}$1" "this kernel has no MPTCP of its own"
			fi
			;;
		esac
		shift
	done
	: >"$work/matrix"
	# shellcheck disable=SC2086 # lists of words
	[ -z "$pairs" ] || python3 "$here/transfer.py" matrix --ours "$OURS" --prefix "${prefix-}" $options $pairs 2>&1 |
		tee -a "$work/matrix" "$work/tap"
	prefix=
	[ -z "$pairs" ] || grep -q '^# matrix complete' "$work/matrix" ||
		fail "transfer.py runs to its end" "$(tail -n 5 "$work/matrix")"
	new_taint || fail "transfers: a kernel warning" "$(kernel_trouble)"
}

# socket_calls CLIENT_ROLE SERVER_ROLE [PREFIX [OPTION]]: sockets.py between namespaces that have these roles;
# DEADLINE=N gives each case N seconds instead of ten.
socket_calls() {
	calls="${3-}$1→$2"
	if ! pair_possible "$1" "$2"; then
		skip "$calls socket calls" "this kernel has no MPTCP of its own"
		return
	fi
	timeout -k 10 $((30 * ${DEADLINE:-10})) python3 "$here/sockets.py" --client "$(stands_for "$1")" --server "$(stands_for "$2")" \
		--name "$calls" ${4:+"$4"} 2>&1 | tee "$work/sockets" | tee -a "$work/tap"
	grep -q '^# sockets complete' "$work/sockets" || fail "$calls sockets.py runs to its end" "$(tail -n 5 "$work/sockets")"
	new_taint || fail "$calls socket calls: a kernel warning" "$(kernel_trouble)"
}

### Cases in Python

# cases NAME [WORD...]: NAME.py, which prints a line for each of its cases.
cases() {
	cases_name=$1
	shift
	python3 "$here/$cases_name.py" "$@" 2>&1 | tee "$work/$cases_name" | tee -a "$work/tap"
	grep -q "^# $cases_name complete" "$work/$cases_name" ||
		fail "$cases_name.py runs to its end" "$(tail -n 5 "$work/$cases_name")"
	new_taint || fail "$cases_name: a kernel warning" "$(kernel_trouble)"
}
