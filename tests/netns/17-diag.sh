#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Shows what socket diagnostics and /proc/net/protocols tell of connections and listeners, and that an administrator can end a connection.
set -eu
. "$(dirname -- "$0")/lib.sh"
need_module
begin
topology
role client ours
role server ours
cases diag --count "${COUNT:-400}"
finish
