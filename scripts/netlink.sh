#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Makes src/shims/mptcp_pm_gen.* from include/netlink/mptcp_pm.yaml with the kernel's own generator:
#   scripts/netlink.sh          writes them
#   scripts/netlink.sh check    only tells whether they are what the generator makes
set -eu
. "$(dirname -- "$0")/lib.sh"
need_root
settings=$("$project/scripts/setup.sh" stock)
root_tree='' kdir=''
eval "$settings"
# The generator looks for the format two folders above the specification, and for the kernel's MAINTAINERS above.
# shellcheck disable=SC2016 # the shell in the root tree expands this
in_root sh -euc '
	kdir=$1 command=$2
	mkdir -p /tmp/tree/include/netlink
	touch /tmp/tree/MAINTAINERS
	cp /project/include/netlink/mptcp_pm.yaml /tmp/tree/include/netlink/
	cp "$kdir/Documentation/netlink/genetlink-legacy.yaml" /tmp/tree/include/
	cd /tmp/tree
	for part in header:h source:c; do
		made=mptcp_pm_gen.${part#*:}
		timeout 60 python3 "$kdir/tools/net/ynl/pyynl/ynl_gen_c.py" --mode kernel "--${part%:*}" \
			--spec /tmp/tree/include/netlink/mptcp_pm.yaml -o "/tmp/tree/$made"
		if [ "$command" = write ]; then
			cp "$made" /project/src/shims/
		else
			diff -u "/project/src/shims/$made" "$made" || { echo "run scripts/netlink.sh"; exit 1; }
		fi
	done
' netlink "$kdir" "${1:-write}"
