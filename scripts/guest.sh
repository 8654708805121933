#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Boots a test guest, runs COMMAND in it as root in /project, powers it off and exits as COMMAND did:
#   scripts/guest.sh [-k stock|debug|bare] [-t] [-s SECONDS] [-c CPUS] [-m MIB] [-i] COMMAND [ARG...]
#   -k  which kernel (default stock)         -s  give up after SECONDS (default 1500)
#   -t  virtual time: one vCPU, one nanosecond per guest instruction, idle time skipped
#   -c  vCPUs (default 2)   -m  memory (default 4096)   -i  interactive: COMMAND gets this terminal
# The guest's root is the root tree over virtiofs, read-only; /project is the checkout, /out is
# shared and writable: console.log (kernel messages) and whatever COMMAND leaves there.
# MPTCP_RS_OUT names /out on this side (default ./out); MPTCP_RS_ACCEL=tcg|kvm overrides the probe.
set -eu
. "$(dirname -- "$0")/lib.sh"

flavour=stock virtual='' seconds=1500 cpus=2 memory=4096 interactive=''
while getopts k:ts:c:m:i option; do
	case $option in
	k) flavour=$OPTARG ;; t) virtual=1 ;; s) seconds=$OPTARG ;;
	c) cpus=$OPTARG ;; m) memory=$OPTARG ;; i) interactive=1 ;;
	*) die "see the head of $0 for its options" ;;
	esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || die "no command given: see the head of $0"
need_root

settings=$("$project/scripts/setup.sh" "$flavour")
eval "$settings"
out=${MPTCP_RS_OUT:-$project/out}
mkdir -p "$out"
rm -f "$out/status" "$out/console.log"
printf '%s\n' "$@" | sed "s/'/'\\\\''/g; s/.*/'&'/" | tr '\n' ' ' >"$out/command"

# A guest under KVM counts only when one really boots; the answer is kept for this machine's boot.
probe_accel() {
	probed=$cache/accel-$(cat /proc/sys/kernel/random/boot_id)
	if [ ! -s "$probed" ]; then
		rm -f "$cache"/accel-*
		if [ -w /dev/kvm ] && cp "$kernel/vmlinuz" "$cache/.probe" && in_root sh -c '
			timeout 10 qemu-system-x86_64 -accel kvm -m 256 -nographic -no-reboot -nodefaults \
				-serial stdio -kernel /cache/.probe -append "console=ttyS0 panic=-1"' 2>/dev/null |
			grep -q 'Linux version'; then echo kvm; else echo tcg; fi >"$probed"
		rm -f "$cache/.probe"
	fi
	cat "$probed"
}
accel=${MPTCP_RS_ACCEL:-$(probe_accel)}
case $accel in
kvm) accel='kvm -cpu host' ;;
*) accel='tcg,thread=multi -cpu max,la57=off' ;;
esac
[ -z "$virtual" ] || { accel='tcg,thread=single -icount shift=0,sleep=off -cpu max,la57=off'; cpus=1; }

# Everything below lives in one mount and PID namespace: it ends with this script.
IN_ROOT_ENV="ACCEL='$accel' CPUS=$cpus MEMORY=$memory SECONDS_MAX=$seconds INTERACTIVE=$interactive" \
	unshare --mount --pid --fork --kill-child --mount-proc sh -eu -c '
	root=$1 project=$2 out=$3 kernel=$4 module=$5
	mount --make-rprivate /
	mount --bind "$root" "$root"
	for dir in project out boot/guest; do [ -d "$root/$dir" ] || mkdir -p "$root/$dir"; done
	mount --bind "$project" "$root/project"
	mount --bind "$out" "$root/out"
	if [ -s "$module" ]; then
		[ -e "$project/mptcp_rs.ko" ] || : >"$project/mptcp_rs.ko"
		mount --bind "$module" "$root/project/mptcp_rs.ko"
	fi
	mount --bind "$kernel" "$root/boot/guest"
	[ -d "$root/usr/lib/modules" ] || mkdir "$root/usr/lib/modules"
	mount --bind "$kernel/lib/modules" "$root/usr/lib/modules"
	mount --bind /dev "$root/dev"
	mount -t proc proc "$root/proc"
	mount -t tmpfs tmpfs "$root/tmp"
	eval "export $IN_ROOT_ENV"
	exec chroot "$root" /bin/sh -eu /project/scripts/guest-machine.sh
	' guest "$root_tree" "$project" "$out" "$kernel" "$cache/build-$flavour/mptcp_rs.ko"
