#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Checks who uses what:
#  - src/proto uses neither the kernel nor memory allocation nor unsafe code;
#  - inside src/proto a module uses only those above it in the table of lib.rs (tests may use all);
#  - `unsafe` stands only in the files of src/module that docs/style.md lists with a reason;
#  - the sans-kernel crate is not reached around: no file of src/module is compiled from src/proto.
# One line for each violation; exits 1 when there is one.
set -eu
cd -- "$(dirname -- "$0")/.."
found=$(mktemp)
trap 'rm -f "$found"' EXIT
trap 'exit 1' INT TERM

# Comments may say what the code may not; forbid(unsafe_code) is the rule itself.
grep -rnE 'kernel::|bindings|\balloc::|\bunsafe\b' src/proto --include='*.rs' |
	grep -vE '^[^:]*:[0-9]*:\s*//|forbid\(unsafe_code\)' |
	sed 's/$/   <- not in the protocol crate: pass what it needs in by value/' >>"$found" || :
grep -q '^#!\[forbid(unsafe_code)\]' src/proto/lib.rs ||
	echo "src/proto/lib.rs: forbid(unsafe_code) is missing" >>"$found"

# The table of lib.rs is the order; `ring` is private and below all of it.
order="ring $(sed -n 's/^\/\/! | \[`\([a-z_]*\)`\] .*/\1/p' src/proto/lib.rs | tr '\n' ' ')"
for module in $(sed -n 's/^\(pub \)*mod \([a-z_]*\);/\2/p' src/proto/lib.rs); do
	case " $order vectors " in *" $module "*) ;; *)
		echo "src/proto/lib.rs: module $module is not in its table, which is the order of layers" >>"$found" ;;
	esac
done
find src/proto -name '*.rs' ! -name lib.rs ! -name tests.rs ! -path 'src/proto/vectors*' | sort |
	while read -r file; do
		own=$(echo "$file" | sed 's|src/proto/||; s|[/.].*||')
		awk -v file="$file" -v own="$own" -v order="$order" '
			BEGIN { count = split(order, names, " "); for (i = 1; i <= count; i++) rank[names[i]] = i }
			# Tests stand at the end of a file and may use everything.
			/^#\[cfg\(test\)\]$/ { getline after; if (after ~ /^mod tests \{/) exit; $0 = after }
			/^[ \t]*\/\// { next }
			{
				line = $0
				while (match(line, /crate::[a-z_]+/)) {
					used = substr(line, RSTART + 7, RLENGTH - 7)
					line = substr(line, RSTART + RLENGTH)
					if (used != own && !(used in rank && rank[used] < rank[own]))
						printf "%s:%d: %s uses %s, which is not above it in the table of lib.rs\n", file, FNR, own, used
				}
			}' "$file"
	done >>"$found"

# docs/style.md lists the files that may hold unsafe code in a table between two markers.
allowed=$(sed -n '/^<!-- unsafe -->/,/^<!-- end of unsafe -->/s/^| `\([a-z_]*\.rs\)` .*/\1/p' docs/style.md)
[ -n "$allowed" ] || echo "docs/style.md: the table of files with unsafe code is missing" >>"$found"
for file in src/module/*.rs; do
	name=${file##*/}
	holds=$(grep -nE '\bunsafe\b' "$file" | grep -vE '^[0-9]*:\s*//|unsafe_op_in_unsafe_fn' | head -n 1)
	case " $(echo "$allowed" | tr '\n' ' ')" in
	*" $name "*)
		[ -n "$holds" ] || [ "$name" = bindings.rs ] || echo "docs/style.md lists $name, which holds no unsafe code any more" >>"$found" ;;
	*)
		[ -z "$holds" ] || echo "$file:${holds%%:*}: unsafe code, but docs/style.md does not list the file" >>"$found" ;;
	esac
done
for name in $allowed; do
	[ -f "src/module/$name" ] || echo "docs/style.md lists $name, which is not in src/module" >>"$found"
done
grep -rnE '#\[path|include!' src --include='*.rs' | grep -v 'include!("bindings/bindings_generated.rs")' |
	sed 's/$/   <- no file is compiled twice/' >>"$found" || :

cat "$found"
[ ! -s "$found" ]
