#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Builds mptcp_rs.ko for a test guest's kernel in the root tree: scripts/build.sh [stock|debug|bare]
set -eu
. "$(dirname -- "$0")/lib.sh"
settings=$("$project/scripts/setup.sh" "${1:-stock}")
eval "$settings"
llvm=
grep -q '^CONFIG_CC_IS_CLANG=y' "$cache${kdir#/cache}/.config" && llvm=LLVM=1
in_root make -s -j"$(nproc)" -C "$kdir" M=/project $llvm modules
