#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Shows that two paths together are as fast as the kernel's own simult_flows.sh asks, for five unequal pairs of links and
# with every scheduler that is to use both.
# Its limits are tight, so it runs where time stands still while the processor is busy: guest.sh -t, VIRTUAL=1.
set -eu
. "$(dirname -- "$0")/lib.sh"
. "$here/lib-paths.sh"
need_ours
if [ -z "${VIRTUAL-}" ]; then
	echo "1..0 # SKIP the limits need virtual time: scripts/test.sh 12 boots a guest that has it"
	exit 4
fi
begin
path_groups rates
finish
