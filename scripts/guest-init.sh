#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# The guest's init: mounts what a system needs, runs the command in /out/command, powers off.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 TERM=dumb
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm
ln -s /proc/self/fd /dev/fd
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /root
mount -t tmpfs tmpfs /var/log
mount -t tmpfs tmpfs /var/lib
mount -t debugfs debugfs /sys/kernel/debug
mount -t virtiofs out /out
: >/out/booted
mkdir -p /run/netns
hostname guest
ip link set lo up
cd /project || exit
eval "exec setsid -c /bin/sh -c 'exec \"\$@\"' command $(cat /out/command)" \
	</dev/ttyS1 >/dev/ttyS1 2>&1 &
stty -F /dev/ttyS1 raw -echo 2>/dev/null
wait $!
echo $? >/out/status
sync
echo o >/proc/sysrq-trigger
while :; do :; done
