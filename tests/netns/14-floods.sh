#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Shows that floods of forged signals and joins harm neither a connection over two paths nor the kernel's memory.
# In virtual time, where figures mean something, 10,000 segments in a second have to leave CPU time.
# FORGED=N sends another number of each.
set -eu
. "$(dirname -- "$0")/lib.sh"
. "$here/lib-paths.sh"
need_ours

# flood COUNT
flood() {
	python3 "$here/floods.py" --client "$client4" --server "$server4" --ghost 10.0.1.99 --segments "$1" \
		${VIRTUAL:+--rate 10000} >"$work/flood" 2>&1 || :
	tee -a "$work/tap" <"$work/flood"
	grep -q '^# floods complete' "$work/flood" || fail "floods.py runs to its end" "$(tail -n 5 "$work/flood")"
	new_taint || fail "a kernel warning" "$(kernel_trouble)"
}

begin
two_paths direct
role client ours
role server ours
# The forged segments are for the first path, so the data has to stay there.
allow_paths backup
# Nobody answers for the ghost: the frames that go to it are read off the wire only.
ip -n server neigh add 10.0.1.99 lladdr 02:00:00:00:00:99 dev wifi1
# A short flood first, so that everything that stays for good is there when counting begins.
flood 800 >/dev/null
: >"$work/tap"
wait_for 90 no_time_wait || fail "the sockets of the first flood end" "$(ip netns exec server ss -tan | head)"
note_memory
flood "${FORGED:-20000}"
wait_for 150 no_time_wait || fail "all sockets end" "$(ip netns exec server ss -tanp | head)"
memory_unchanged
finish
