#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Builds mptcp_rs.ko for a test guest's kernel: scripts/build.sh [stock|debug|bare] [MAKE-ARGUMENT...]
# Each kernel has its own copy of the sources in the cache, so that builds do not mix; guest.sh
# shows the one that fits its kernel as /project/mptcp_rs.ko.
set -eu
. "$(dirname -- "$0")/lib.sh"
flavour=${1:-stock}
[ $# -eq 0 ] || shift
settings=$("$project/scripts/setup.sh" "$flavour")
eval "$settings"
build=$cache/build-$flavour
copy_sources "build-$flavour"
llvm=
grep -q '^CONFIG_CC_IS_CLANG=y' "$cache${kdir#/cache}/.config" && llvm=LLVM=1
# What an earlier build has left would hide that this one fails: the pipe below loses the status.
rm -f "$build/mptcp_rs.ko"
# BTF for modules needs the vmlinux file, which a prepared tree does not have.
in_root make -s -j"$(nproc)" -C "$kdir" "M=/cache/${build#"$cache"/}" $llvm modules "$@" 2>&1 |
	sed '/Skipping BTF generation/d' >&2
[ -s "$build/mptcp_rs.ko" ] || die "the module was not built: see the lines above"
cp "$build/mptcp_rs.ko" "$project/mptcp_rs.ko"
