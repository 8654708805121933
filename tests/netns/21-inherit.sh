#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Shows that all subflows are as the first: options, user, control group and interface are those of the program's socket.
set -eu
. "$(dirname -- "$0")/lib.sh"
need_module
begin
topology 2
role client ours
role server ours
mkdir "$work/cgroup"
mount -t cgroup2 cgroup2 "$work/cgroup"
echo +memory >"$work/cgroup/cgroup.subtree_control"
mkdir "$work/cgroup/near" "$work/cgroup/far"
cases inherit --groups "$work/cgroup"
stop_all
for group in near far; do
	check "the control group of the $group end can be removed" wait_for 20 rmdir "$work/cgroup/$group"
done
umount "$work/cgroup"
finish
