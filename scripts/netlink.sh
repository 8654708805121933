#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Makes src/shims/mptcp_*_gen.* and include/uapi/mptcp_rs_netlink.h from the specifications in include/netlink with the
# kernel's own generator:
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
	cp /project/include/netlink/*.yaml /tmp/tree/include/netlink/
	cp "$kdir/Documentation/netlink/genetlink-legacy.yaml" /tmp/tree/include/
	cd /tmp/tree
	# generate SPECIFICATION FILE MODE PART: makes one file of the project.
	generate() {
		made=/tmp/tree/${2##*/}
		timeout 60 python3 "$kdir/tools/net/ynl/pyynl/ynl_gen_c.py" --mode "$3" "--$4" \
			--spec "/tmp/tree/include/netlink/$1.yaml" -o "$made"
		if [ "$command" = write ]; then
			cp "$made" "/project/$2"
		else
			diff -u "/project/$2" "$made" || { echo "run scripts/netlink.sh"; exit 1; }
		fi
	}
	for name in mptcp_pm mptcp_rs; do
		generate "$name" "src/shims/${name}_gen.h" kernel header
		generate "$name" "src/shims/${name}_gen.c" kernel source
	done
	generate mptcp_rs include/uapi/mptcp_rs_netlink.h uapi header
' netlink "$kdir" "${1:-write}"
