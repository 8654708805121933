#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Shows that data arrives intact both ways between ours, in-tree and plain peers, and that MPTCP is spoken exactly where it must be.
# shellcheck disable=SC2317 # check and over call functions by name
set -eu
. "$(dirname -- "$0")/lib.sh"
need_ours
begin
topology
# The 64 MiB transfers of 02 are the only long ones: SIZES=1,1048577 makes a quick run.
transfers --sizes "${SIZES:-1,1048577,67108864}" \
	ours:ours ours:in-tree in-tree:ours ours:plain plain:ours
finish
