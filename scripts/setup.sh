#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Makes everything the project needs, once, in the cache outside the checkout:
#   scripts/setup.sh root     a Debian 13 tree with the kernel's toolchain, QEMU and test programs
#   scripts/setup.sh stock    ... and Debian's newest kernel with its prepared source tree (default)
#   scripts/setup.sh debug    ... and the same source built with KASAN, lockdep and kmemleak
#   scripts/setup.sh bare     ... and the same source built without checkers and in-tree MPTCP
# Prints the shell assignments `root_tree=`, `kernel=`, `kdir=` (path below the cache), `release=`.
# A step that is interrupted leaves only *.partial behind, which the next run removes.
# MPTCP_RS_KERNEL=7.3.4-1~bpo13+1 pins a kernel package version; MPTCP_RS_CACHE moves the cache.
set -eu
. "$(dirname -- "$0")/lib.sh"

flavour=${1:-stock}
suite=trixie
packages=$(sed 's/#.*//' "$project/scripts/root-packages.txt" | tr -s '\n ' ',,' | sed 's/^,//; s/,$//')

# host_tools: what this machine itself must have; everything else lives in the root tree.
host_tools() {
	need_root
	for tool in unshare flock tar sha256sum; do
		command -v "$tool" >/dev/null || die "$tool is missing: apt-get install util-linux tar coreutils"
	done
	[ "$(df -Pk "$cache" | awk 'NR == 2 { print $4 }')" -gt 12000000 ] || [ -n "$(ls "$cache")" ] ||
		die "$cache needs 12 GB of free disk: free some, or set MPTCP_RS_CACHE to a roomier place"
	command -v mmdebstrap >/dev/null && return
	say "installing mmdebstrap"
	export DEBIAN_FRONTEND=noninteractive
	apt-get -qq update >&2 || die "apt-get update failed: is the package archive reachable?"
	apt-get -qq install -y --no-install-recommends mmdebstrap debian-archive-keyring >&2 ||
		die "cannot install mmdebstrap: see the lines above"
}

# debian_mirror: the archive this host itself uses, from its apt configuration.
debian_mirror() {
	apt-get indextargets --format '$(REPO_URI) $(ORIGIN) $(LABEL)' 'Created-By: Packages' 2>/dev/null |
		awk '$2 == "Debian" && $3 == "Debian" { sub("/$", "", $1); print $1; exit }'
}

make_root() {
	root_tree=$cache/root-$(digest "$project/scripts/root-packages.txt")
	[ -e "$root_tree/.complete" ] && return
	mirror=$(debian_mirror)
	if [ -z "$mirror" ]; then
		apt-get -qq update >&2 || die "apt-get update failed: is the package archive reachable?"
		mirror=$(debian_mirror)
	fi
	[ -n "$mirror" ] || die "no Debian archive in the host's apt configuration: add one to /etc/apt/sources.list.d"
	say "making the root tree: Debian $suite with toolchain, QEMU and test programs (about 70 s)"
	rm -rf "$cache"/root-*.partial
	mmdebstrap --quiet --variant=minbase --aptopt='Acquire::Languages "none"' \
		--include="$packages" --skip=cleanup/apt/lists "$suite" "$root_tree.partial" \
		"deb $mirror $suite main" "deb $mirror $suite-updates main" "deb $mirror $suite-backports main" >&2 ||
		die "mmdebstrap failed: see the lines above"
	touch "$root_tree.partial/.complete"
	mv "$root_tree.partial" "$root_tree"
	say "root tree ready"
}

# newest_kernel: the newest version for which image, headers and source exist together.
newest_kernel() {
	in_root sh -c "
		apt-cache pkgnames linux-headers- | grep '^linux-headers-[0-9].*-cloud-amd64\$' |
		xargs apt-cache madison | tr -d ' ' | sort -t'|' -k2,2Vr -u |
		while IFS='|' read -r headers version rest; do
			release=\${headers#linux-headers-}
			series=\$(echo \"\$release\" | cut -d. -f1,2)
			case \${MPTCP_RS_KERNEL:-\$version} in \"\$version\") ;; *) continue ;; esac
			for package in linux-image-\$release linux-source-\$series linux-headers-\${release%-cloud-amd64}-common; do
				apt-cache madison \$package | grep -qF \" \$version \" || continue 2
			done
			apt-cache show linux-image-\$release=\$version | grep -q . || continue
			echo \"\$version \$release \$series\"
			break
		done"
}

# fetch_kernel VERSION RELEASE SERIES: Debian's binary kernel and its source, prepared so that
# Rust modules build against it (Debian's headers package carries no Rust metadata).
fetch_kernel() {
	version=$1 release=$2 series=$3
	kernel=$cache/kernel-$release
	[ -e "$kernel/.complete" ] && return
	rm -rf "$cache"/kernel-*.partial
	mkdir -p "$kernel.partial"
	say "downloading Debian's kernel $version (image, headers, source: 180 MB)"
	in_root sh -euc "
		cd /cache/kernel-$release.partial
		# The image is one package or a set of linux-image, -binary and -modules.
		parts=\$(apt-cache pkgnames | grep -xF -e linux-image-$release -e linux-binary-$release \
			-e linux-modules-$release | sed 's/\$/=$version/')
		chown _apt . && apt-get -qq download \$parts \
			linux-headers-$release=$version linux-source-$series=$version
		for deb in *.deb; do dpkg-deb -x \$deb tree; done
		rm -f *.deb" >&2 || die "cannot download kernel $version: is the package archive reachable?"
	say "preparing its source for Rust modules (about 70 s)"
	in_root sh -euc "
		cd /cache/kernel-$release.partial
		tar -xf tree/usr/src/linux-source-$series.tar.xz
		mv linux-source-$series source
		cp tree/usr/src/linux-headers-$release/.config source/.config
		cd source
		localversion=\$(echo $release | sed 's/^[0-9.]*//')
		make -s olddefconfig
		make -s -j\$(nproc) LOCALVERSION=\$localversion modules_prepare
		cp ../tree/usr/src/linux-headers-$release/Module.symvers .
		find ../tree -name 'vmlinuz*' -type f -exec cp {} ../vmlinuz \;
		[ -s ../vmlinuz ] || { echo 'the downloaded packages hold no vmlinuz'; exit 1; }
		mkdir -p ../lib
		mv ../tree/lib/modules ../lib/ 2>/dev/null || mv ../tree/usr/lib/modules ../lib/
		rm -rf ../tree
		depmod -b .. $release" >&2 || die "preparing the kernel source failed: see the lines above"
	touch "$kernel.partial/.complete"
	mv "$kernel.partial" "$kernel"
	say "kernel $release ready"
}

# choose_kernel: sets version, release, series; what was chosen once stays until MPTCP_RS_KERNEL
# names another or the cache is removed.
choose_kernel() {
	chosen=$cache/chosen-kernel${MPTCP_RS_KERNEL:+-$MPTCP_RS_KERNEL}
	if [ ! -s "$chosen" ]; then
		IN_ROOT_ENV=${MPTCP_RS_KERNEL:+MPTCP_RS_KERNEL=$MPTCP_RS_KERNEL} newest_kernel >"$chosen.partial"
		[ -s "$chosen.partial" ] || die "no kernel ${MPTCP_RS_KERNEL:-} with image, headers and source in $suite-backports"
		mv "$chosen.partial" "$chosen"
		say "newest complete kernel: $(cat "$chosen")"
	fi
	read -r version release series <"$chosen"
}

mkdir -p "$cache" || die "cannot write $cache: set MPTCP_RS_CACHE to a place that can be written"
exec 9>"$cache/.lock"
flock -n 9 || { say "waiting for another set-up to end"; flock 9; }
host_tools
make_root
echo "root_tree=$root_tree"
[ "$flavour" = root ] && exit
choose_kernel
fetch_kernel "$version" "$release" "$series"
case $flavour in
stock) ;;
debug | bare)
	. "$project/scripts/debug-kernel.sh"
	"build_${flavour}_kernel"
	;;
*) die "no kernel is called '$flavour': stock, debug or bare" ;;
esac
echo "kernel=$kernel"
echo "kdir=/cache/${kernel#"$cache"/}/source"
echo "release=$release"
