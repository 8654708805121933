#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Says in one line why the module cannot be built against a kernel tree: scripts/check-kdir.sh KDIR
# Silent and 0 when it can.
set -eu
kdir=${1-}

# refuse TEXT...: the line, and the end.
refuse() {
	echo "error: $*" >&2
	exit 1
}
# has OPTION: whether the tree's configuration has OPTION=y.
has() { grep -q "^$1=y" "$kdir/.config"; }

help="see 'On a real machine' in README.md"
[ -n "$kdir" ] || refuse "KDIR is empty: make KDIR=/path/to/a/prepared/kernel/tree ($help)"
[ -d "$kdir" ] || refuse "there is no kernel tree at $kdir: make KDIR=/path/to/a/prepared/kernel/tree ($help)"
[ -f "$kdir/.config" ] || refuse "$kdir has no .config: it is no configured kernel tree ($help)"
has CONFIG_RUST ||
	refuse "the kernel of $kdir is built without CONFIG_RUST=y: use a kernel that has it, such as Debian's from trixie-backports ($help)"
set -- "$kdir"/rust/*.rmeta
[ -f "$1" ] ||
	refuse "$kdir has no Rust metadata (rust/*.rmeta), as no linux-headers package does: make KDIR=/path/to/a/tree prepared with 'make modules_prepare' ($help)"
for option in CONFIG_MODULES CONFIG_NET CONFIG_INET CONFIG_IPV6 CONFIG_KPROBES CONFIG_NETFILTER CONFIG_NET_NS CONFIG_SYSCTL; do
	has $option || refuse "the kernel of $kdir is built without $option=y, which mptcp_rs needs"
done
[ -s "$kdir/Module.symvers" ] ||
	refuse "$kdir has no Module.symvers: copy it from the kernel's linux-headers package ($help)"
# Options that pahole's presence switches change the layout of struct module.
release=$(cat "$kdir/include/config/kernel.release" 2>/dev/null || :)
if grep -qs '^CONFIG_DEBUG_INFO_BTF_MODULES=y' "/boot/config-$release" && ! has CONFIG_DEBUG_INFO_BTF_MODULES; then
	refuse "$kdir was configured without pahole, so its struct module has another layout than the kernel's and insmod would fail: apt-get install pahole and prepare the tree again"
fi
for tool in rustc bindgen make; do
	command -v $tool >/dev/null || refuse "$tool is missing: apt-get install rustc rust-src bindgen clang gcc make"
done
wanted=$(sed -n 's/^CONFIG_RUSTC_VERSION_TEXT="\(.*\)"$/\1/p' "$kdir/.config")
[ -z "$wanted" ] || [ "$wanted" = "$(rustc --version)" ] ||
	refuse "$kdir was prepared with $wanted, but the compiler here is $(rustc --version): use one compiler for both"
