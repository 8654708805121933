#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Runs QEMU and virtiofsd inside the root tree; called by guest.sh, which sets the variables and the
# mounts. Exits with the status that the guest left in /out/status, 124 when it left none in time.
set -eu
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
# share NAME DIR: serves DIR to the guest as the virtiofs NAME.
share() {
	rm -f "/tmp/$1.sock"
	/usr/libexec/virtiofsd --socket-path="/tmp/$1.sock" --shared-dir="$2" --sandbox=none \
		--cache="$3" --inode-file-handles=never --log-level=error &
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		[ -S "/tmp/$1.sock" ] && return
		sleep 0.1
	done
	echo "error: virtiofsd does not serve $2" >&2
	exit 1
}
[ -n "$INTERACTIVE" ] || exec </dev/null

# machine: one boot. Ends when the guest powers off, or after SECONDS_MAX.
# init_on_alloc: virtiofsd writes into the guest's memory behind the emulator's back, which would go on
# running what it translated from a page that has got other code since. A page that the guest itself
# clears first is translated anew. Debian's kernel does so by default, one of our own does not.
machine() {
	# shellcheck disable=SC2086 # ACCEL is several words
	timeout --foreground "$SECONDS_MAX" qemu-system-x86_64 -machine q35 -accel $ACCEL \
		-smp "$CPUS" -m "$MEMORY" -nodefaults -no-user-config -pidfile /tmp/qemu.pid -display none -no-reboot \
		-object memory-backend-memfd,id=ram,size="${MEMORY}M",share=on -machine memory-backend=ram \
		-chardev socket,id=root,path=/tmp/root.sock -device vhost-user-fs-pci,chardev=root,tag=root \
		-serial file:/out/console.log \
		-chardev socket,id=out,path=/tmp/out.sock -device vhost-user-fs-pci,chardev=out,tag=out \
		-chardev stdio,id=terminal,signal=off -serial chardev:terminal \
		-kernel /boot/guest/vmlinuz \
		-append "rootfstype=virtiofs root=root ro console=ttyS0 panic=-1 oops=panic nokaslr quiet init_on_alloc=1 init=/project/scripts/guest-init.sh" || :
}

# watch: ends a guest whose init has not begun after BOOT_MAX seconds. An emulated kernel hangs before
# that now and then, both processors spinning.
BOOT_MAX=120
watch() {
	for _ in $(seq $((BOOT_MAX * 10))); do
		[ ! -e /out/booted ] || return 0
		sleep 0.1
	done
	kill "$(cat /tmp/qemu.pid)"
}

for attempt in 1 2 3; do
	rm -f /out/booted
	share root / always
	share out /out auto
	watch &
	watcher=$!
	machine
	kill "$watcher" 2>/dev/null || :
	[ ! -e /out/booted ] || break
	echo "note: the guest did not boot within $BOOT_MAX seconds (attempt $attempt of 3)" >&2
done
[ -s /out/status ] || {
	echo "error: the guest left no status, and this is the end of its console.log:" >&2
	tail -n 60 /out/console.log >&2
	exit 124
}
exit "$(cat /out/status)"
