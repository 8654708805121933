#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Checks that unsafe code says why it is right: the statement of each unsafe block or impl has
# `// SAFETY:` in the comment directly above it or within the three lines above it; each unsafe
# function has `# Safety` in its doc comment, or stands in an inline module whose doc comment says who
# calls its functions. Reasons that say nothing are refused. One line for each violation; exits 1.
set -eu
cd -- "$(dirname -- "$0")/.."
found=$(mktemp)
trap 'rm -f "$found"' EXIT
trap 'exit 1' INT TERM
for file in src/module/*.rs; do
	awk -v file="$file" '
		function complain(text) { printf "%s:%d: %s\n", file, FNR, text }
		# An inline module at the top level whose doc comment speaks of its callers.
		/^(pub\(crate\) )?mod [a-z_]+ \{/ { documented = callers }
		/^\}/ { documented = 0 }
		/^[ \t]*\/\/\// { if (/# Safety/) safety_doc = 1; if (/[Cc]alled by/) callers = 1; next }
		/^[ \t]*#\[/ { next }
		/^[ \t]*\/\// { if (/SAFETY:/) last = FNR; if (last && FNR == end + 1 || /SAFETY:/) end = FNR
			text = tolower($0)
			if (text ~ /safety:.*(valid pointer|always safe|thread safe|trust me)/)
				complain("names no fact: say which lock, count or contract makes it right")
			next }
		/unsafe_op_in_unsafe_fn/ { next }
		/unsafe (extern "C" )?fn [a-z_]/ {
			if (!safety_doc && !(documented && /extern "C"/))
				complain("an unsafe function needs `# Safety` in its doc comment")
		}
		/unsafe (\{|impl)/ {
			# A statement may begin lines above its block: `begin` is where its text began.
			if (!(last && (FNR - end <= 3 || end >= begin - 1)))
				complain("unsafe without `// SAFETY:` above it")
		}
		{ safety_doc = 0; callers = 0 }
		/[;{}]$/ { begin = FNR + 1 }
	' "$file"
done >"$found"
cat "$found"
[ ! -s "$found" ]
