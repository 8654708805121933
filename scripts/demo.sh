#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# The main job, shown: sets everything up, builds the module, boots the stock kernel with it and lets
# unmodified curl download from unmodified python3 -m http.server over MPTCP (demo-guest.sh).
# Exits non-zero when anything fails. MPTCP_RS_OUT names the folder for logs (default ./out).
set -eu
. "$(dirname -- "$0")/lib.sh"
need_root
settings=$("$project/scripts/setup.sh" stock)
release=
eval "$settings"
say "building the module"
make -s -C "$project" module || die "the module does not build: see the lines above"
say "booting Debian's kernel $release in a guest"
exec "$project/scripts/guest.sh" -s 300 env OURS="${OURS:-module}" sh scripts/demo-guest.sh
