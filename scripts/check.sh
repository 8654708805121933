#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# The fast inner loop, under a minute once the cache is warm: format, lints of both builds, layers,
# unsafe code, panics, file lengths, shell, map of folders, host tests. No guest is booted.
# `scripts/check.sh WORD...` runs only the checks whose name contains a WORD: check.sh layers clippy.
# TAP output; the last line is `N passed, N failed`; exits non-zero when anything failed.
set -eu
. "$(dirname -- "$0")/lib.sh"
need_root
settings=$("$project/scripts/setup.sh" stock)
root_tree='' kdir=''
eval "$settings"
cd "$project"
soft_limit=400 hard_limit=800
passed=0 failed=0
words=$*
log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 1' INT TERM

# check NAME COMMAND...: one case; its output is shown when it fails or starts with a '#'.
check() {
	check_name=$1
	shift
	wanted=${words:+no}
	for word in $words; do case $check_name in *"$word"*) wanted=yes ;; esac; done
	[ "$wanted" != no ] || return 0
	began=$(date +%s)
	if "$@" >"$log" 2>&1; then
		grep '^#' "$log" || :
		echo "ok - $check_name ($(($(date +%s) - began)) s)"
		passed=$((passed + 1))
	else
		sed 's/^#* */#   /' "$log" | tail -n 60
		echo "not ok - $check_name ($(($(date +%s) - began)) s)"
		failed=$((failed + 1))
	fi
}

# sources: every file of the project, whether committed yet or not.
sources() {
	find . \( -path ./.git -o -path ./out -o -path ./target \) -prune -o -type f "$@" -print | sort
}

format_proto() { cargo_in_root fmt --check -- --color never; }

format_module() {
	in_root sh -euc 'cd /project && rustfmt --check --color never --edition 2021 --config max_width=100 src/module/main.rs'
}

clippy_proto() { cargo_in_root clippy --locked --quiet --all-targets -- -D warnings; }

# The module is linted in a copy of its own, so that builds and checks do not undo each other.
clippy_module() {
	copy_sources build-check
	in_root nice make -s -j"$(nproc)" -C "$kdir" M=/cache/build-check CLIPPY=1 \
		KRUSTFLAGS=-Dwarnings KCFLAGS=-Werror modules
}

# What clippy has built is the newest; what the last build left serves where it does not build.
built() {
	if [ -s "$cache/build-check/src/module/main.o" ]; then echo build-check; else echo build-stock; fi
}

panics() { scripts/check-no-panic.sh "$cache/$(built)"; }

host_tests() { cargo_in_root test --locked --quiet; }

shell_scripts() {
	# The root tree has shellcheck, whatever this machine has; .shellcheckrc says what it leaves out.
	in_root sh -euc 'cd /project && find scripts tests tools .ci -type f \( -name "*.sh" -o -path .ci/run \) \
		-exec shellcheck --color=never {} +'
}

# stack_frames: what a function takes of a kernel stack, which has 16 KiB for all that call each other.
stack_frames() {
	# shellcheck disable=SC2016 # gawk expands this
	in_root sh -euc '
		# By way of a file: a pipe would lose the status of objdump.
		objdump -d --no-show-raw-insn "/cache/$1/src/module/main.o" "/cache/$1/src/proto/lib.o" >/tmp/code
		gawk -v most=2560 "
			/^[0-9a-f]+ </ { name = \$2 }
			match(\$0, /sub +\\\$(0x[0-9a-f]+),%rsp/, part) && strtonum(part[1]) > most {
				print name, strtonum(part[1]) \" bytes of stack: at most \" most \" are allowed\"; bad = 1
			}
			END { exit bad }" /tmp/code
	' stack_frames "$(built)"
}

netlink() { scripts/netlink.sh check; }

# lengths: the limits of docs/style.md for code that people read; the soft one only reports.
lengths() {
	too_long=0
	for file in $(sources \( -name '*.rs' -o -name '*.c' -o -name '*.sh' \) ! -name bindings_generated.rs); do
		lines=$(wc -l <"$file")
		if [ "$lines" -gt $hard_limit ]; then
			echo "$file has $lines lines; at most $hard_limit are allowed: split it, or move its tests to a file of their own"
			too_long=1
		elif [ "$lines" -gt $soft_limit ]; then
			echo "# ${file#./} has $lines lines, $soft_limit are better"
		fi
	done
	return $too_long
}

# no_sleeps: tests wait for conditions. A pause of at most 0.1 s between two looks is how they wait.
no_sleeps() {
	! grep -rnEI '\bu?sleep\b' tests --include='*.sh' --include='*.py' --include='*.c' --include='*.rs' |
		grep -vE 'sleep[ (]0\.(0[0-9]*|1)\b' | sed 's/$/   <- wait for a condition instead/' | grep .
}

# licences: the first two lines name the licence.
licences() {
	! for file in $(sources \( -name '*.rs' -o -name '*.c' -o -name '*.h' -o -name '*.sh' -o -name '*.py' \
		-o -name '*.toml' -o -name '*.awk' -o -name '*.config' -o -name Makefile -o -name Kbuild \) \
		! -name bindings_generated.rs); do
		head -n 2 "$file" | grep -qE 'SPDX-License-Identifier: \(*GPL-2.0' ||
			echo "$file: its first line must be the SPDX line"
	done | grep .
}

# map_of_folders: README's map names every source file and nothing that is not there.
map_of_folders() {
	sed -n '/^<!-- map -->/,/^<!-- end of map -->/p' README.md >"$log.map"
	wrong=0
	for file in $(sources \( -path './src/*' -o -path './scripts/*' -o -path './tools/*' -o -path './docs/*' \
		-o -path './include/*' -o -path './tests/host/*' -o -path './tests/netns/*' \) \
		\( -name '*.rs' -o -name '*.c' -o -name '*.h' -o -name '*.sh' -o -name '*.py' -o -name '*.md' \) \
		! -name bindings_generated.rs); do
		# A folder that is named stands for what is in it, unless that is src/, tests/ and the like.
		named=no
		for name in $(echo "${file#./*/}" | sed 's,^\(proto\|module\|shims\|host\|netns\|bench\)/,,' | tr '/' ' '); do
			case $name in *.*) ;; *) name=$name/ ;; esac
			! grep -qE "(^|[^a-z0-9_.-])$name([^a-z0-9_]|\$)" "$log.map" || named=yes
		done
		[ $named = yes ] || { echo "${file#./} is not in README's map of folders"; wrong=1; }
	done
	for name in $(grep -oE '[a-z0-9_-]+\.(rs|c|h|sh|py|md|awk)' "$log.map" | sort -u); do
		[ -n "$(sources -name "$name")" ] || { echo "README's map names $name, which does not exist"; wrong=1; }
	done
	rm -f "$log.map"
	return $wrong
}

check 'format: protocol crate' format_proto
check 'format: module' format_module
check 'layers: who may use what' scripts/check-layers.sh
check 'safety: every unsafe block says why' scripts/check-safety.sh
check 'length: files are short enough to read' lengths
check 'sleeps: tests wait for conditions' no_sleeps
check 'licences: SPDX lines' licences
check 'map: README names every file' map_of_folders
check 'rfc: citations are quotations' in_root python3 /project/scripts/rfc-coverage.py --check
check 'netlink: tables as their specification says' netlink
check 'shellcheck: shell scripts' shell_scripts
check 'clippy: protocol crate and host tests' clippy_proto
check 'clippy: module, as the kernel builds it' clippy_module
check 'panics: none left in the protocol crate' panics
check 'stack: no function takes much of it' stack_frames
check 'tests: protocol crate on the host' host_tests
[ $((passed + failed)) != 0 ] || die "no check's name contains: $words"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
