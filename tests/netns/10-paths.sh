#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Shows that one connection uses two unlike paths at once, whoever announces or joins, and outlives whatever happens to either.
set -eu
. "$(dirname -- "$0")/lib.sh"
. "$here/lib-paths.sh"
need_ours
begin
path_groups routed backup direct mixed
finish
