#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Checks that the compiler left no panic in the protocol crate: scripts/check-no-panic.sh [BUILD-FOLDER]
# BUILD-FOLDER is where Kbuild built the module (default: the stock kernel's copy in the cache).
# Functions marked #[inline] are compiled where they are used, so the glue crate's object is looked at as
# well: panics from lines of src/proto in it are errors; the functions with panics of its own are listed.
set -eu
. "$(dirname -- "$0")/lib.sh"
build=${1:-$cache/build-stock}
settings=$("$project/scripts/setup.sh" stock)
root_tree=''
eval "$settings"
for object in proto/lib.o module/main.o; do
	[ -s "$build/src/$object" ] || die "$build/src/$object does not exist: run make module, or scripts/check.sh clippy"
done
case $build in "$cache"/*) ;; *) die "$build is not in the cache $cache" ;; esac
inside=/cache/${build#"$cache"/}
panic='core9panicking|core6option13(expect|unwrap)_failed|core6result13unwrap_failed|slice_(start|end)_index|rust_begin_unwind'
proto=$(in_root nm -u "$inside/src/proto/lib.o" | grep -E "$panic" || :)
# Where in the glue object a panic is reachable from: the function that holds the call.
glue=$(in_root sh -c "objdump -dr --no-show-raw-insn $inside/src/module/main.o" |
	awk -v panic="$panic" '
		/^[0-9a-f]+ <.*>:$/ { name = $2; gsub(/[<>:]/, "", name) }
		/R_X86_64_(PLT32|PC32|32S|64)/ && $0 ~ panic { if (!seen[name]++) print name }' |
	in_root sh -c 'command -v rustfilt >/dev/null && exec rustfilt || exec c++filt' 2>/dev/null || :)
echo "$glue" | sed '/^$/d; s/^/# module, can panic: /'
bad=0
if [ -n "$proto" ]; then
	echo "src/proto can panic: these are left in its object:"
	echo "$proto"
	bad=1
fi
# A panic carries the place it would report: a place in src/proto gives an inlined one away.
inlined=$(in_root strings -a "$inside/src/module/main.o" | grep -oE 'src/proto/[a-z_/]*\.rs' | sort -u)
if [ -n "$inlined" ]; then
	echo "src/proto can panic where the module uses it inline, in:"
	echo "$inlined"
	bad=1
fi
[ $bad = 0 ]
