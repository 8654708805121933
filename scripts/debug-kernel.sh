# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0
# Builds the two kernels that Debian does not ship, from Debian's source. Sourced by setup.sh, never
# run; `version`, `release` and `kernel` are Debian's when a function is called, and `kernel` and
# `release` are the new kernel's when it returns. A kernel directory holds what Debian's holds:
# vmlinuz, source/ (a tree modules build against) and lib/modules/<release>/.
# shellcheck disable=SC2154 # project, cache, version, release, kernel: set by setup.sh

# build_debug_kernel: KASAN, lockdep, kmemleak, KUnit; no in-tree MPTCP (15 min on two cores).
# Modules for it are built with LLVM=1, as its .config says (CONFIG_CC_IS_CLANG).
build_debug_kernel() {
	build_kernel debug LLVM=1 "$project/tests/qemu/bare.config" "$project/tests/qemu/debug.config"
}

# build_bare_kernel: no checkers, no in-tree MPTCP, what the kernel's own selftests need, the compiler of the stock kernel
# (8 min).
build_bare_kernel() {
	build_kernel bare LLVM= "$project/tests/qemu/bare.config" "$project/tests/qemu/selftests.config"
}

# build_kernel NAME MAKE-ARGUMENT FRAGMENT...: x86_64 defconfig and the fragments, later ones win.
build_kernel() {
	name=$1 make_argument=$2
	shift 2
	stock=$kernel
	key=$({ echo "$version $make_argument" && cat -- "$@"; } | sha256sum | cut -c1-16)
	kernel=$cache/$name-$key
	release=${release%%[+-]*}-mptcp-rs-$name
	[ ! -e "$kernel/.complete" ] || return 0
	# A lock of its own, so that others may use the kernels that exist meanwhile.
	exec 9>"$cache/.lock-$name"
	flock -n 9 || { say "waiting for another build of the $name kernel to end" && flock 9; }
	[ ! -e "$kernel/.complete" ] || return 0
	rm -rf "$cache/$name"-*.partial
	mkdir -p "$kernel.partial"
	say "building the $name kernel from Debian's source $version (8 to 20 minutes, once)"
	cp -a "$stock/source" "$kernel.partial/source"
	cat -- "$@" >"$kernel.partial/fragments"
	# shellcheck disable=SC2016 # the shell in the root tree expands this
	in_root sh -euc '
		cd "/cache/$1.partial/source"
		release=$2 argument=$3
		make -s mrproper
		make -s "$argument" x86_64_defconfig
		cat ../fragments >>.config
		make -s "$argument" olddefconfig 2>/dev/null
		# What a fragment asks for and Kconfig refused: =n also counts as met by a missing line.
		awk -F= "NR == FNR { have[\$1] = \$2; next } /^CONFIG_/ { want[\$1] = \$2 }
			END { for (name in want) {
				is = (name in have) ? have[name] : \"n\"
				if (is != want[name]) print name \"=\" want[name] \" is \" is
			} }" .config ../fragments >../refused
		[ ! -s ../refused ] || { cat ../refused; exit 1; }
		rm ../refused
		make -s "$argument" -j"$(nproc)" LOCALVERSION="-${release#*-}" bzImage modules
		[ "$(cat include/config/kernel.release)" = "$release" ]
		cp arch/x86/boot/bzImage ../vmlinuz
		make -s "$argument" LOCALVERSION="-${release#*-}" INSTALL_MOD_PATH=/cache/"$1.partial" modules_install
		rm -f "../lib/modules/$release/build"
		# Objects are two thirds of the tree and no module needs them.
		find . \( -path ./scripts -o -path ./tools -o -path ./rust \) -prune -o \
			\( -name "*.o" -o -name "*.a" -o -name ".*.cmd" \) -type f -exec rm -f {} +
	' build "${kernel#"$cache"/}" "$release" "$make_argument" >"$cache/$name.log" 2>&1 || {
		tail -n 20 "$cache/$name.log" >&2
		die "the $name kernel does not build: its last lines are above, all of them in $cache/$name.log"
	}
	touch "$kernel.partial/.complete"
	mv "$kernel.partial" "$kernel"
	say "kernel $release ready"
}
