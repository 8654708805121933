# SPDX-License-Identifier: GPL-2.0
# Reads `tcpdump -nr FILE tcp`, prints one line per connection, keyed by the client's port:
#     PORT VERDICT syn=N synack=N ack=N dss-up=N dss-down=N reset=N
# Subflows that join are part of a connection and have no line.
# VERDICT: mptcp    MP_CAPABLE on SYN, SYN-ACK and after, DSS in both directions
#          offered  MP_CAPABLE on the SYN only, no DSS (the peer is plain TCP)
#          none     no MPTCP option at all
#          partial  anything else, for example an option that a middlebox took away
# With -v limit=N, the capture's packet limit, connections that began shortly before it are left out, and those that
# have carried nothing until then.
function port_of(address) {
	sub(/:$/, "", address)
	sub(/.*\./, "", address)
	return address
}
$2 ~ /^IP6?$/ && $4 == ">" {
	from = port_of($3)
	to = port_of($5)
	if ($0 ~ /Flags \[S[EWU]*\]/) { # a SYN names the client
		client[from] = 1
		if (!(from in order)) { order[from] = ++connections; name[connections] = from; began[from] = NR }
	}
	up = (from in client)
	key = up ? from : to
	if (!(key in order)) next
	capable = $0 ~ /mptcp [0-9]+ capable/
	if ($0 ~ /Flags \[S/ && $0 ~ /mptcp [0-9]+ join/) joins[key] = 1
	if ($0 ~ /Flags \[S[EWU]*\]/) syn[key] += capable
	else if ($0 ~ /Flags \[S/) synack[key] += capable
	else if (capable && up) ack[key]++
	if ($0 ~ /mptcp [0-9]+ dss/) { if (up) dss_up[key]++; else dss_down[key]++ }
	if ($0 ~ /Flags \[[^\]]*R/) reset[key]++
	if ($0 !~ /length 0/) used[key] = 1
}
END {
	for (i = 1; i <= connections; i++) {
		k = name[i]
		if (k in joins) continue
		if (limit && NR > 0.9 * limit && (NR - began[k] < 0.4 * limit || !(k in used))) continue
		verdict = "partial"
		# Where subflows have joined, one direction may be theirs alone.
		both = dss_up[k] && dss_down[k] || length(joins) && (dss_up[k] || dss_down[k])
		if (syn[k] && synack[k] && ack[k] && both) verdict = "mptcp"
		else if (!synack[k] && !ack[k] && !dss_up[k] && !dss_down[k]) verdict = syn[k] ? "offered" : "none"
		printf "%s %s syn=%d synack=%d ack=%d dss-up=%d dss-down=%d reset=%d\n", k, verdict,
			syn[k], synack[k], ack[k], dss_up[k], dss_down[k], reset[k]
	}
}
