# SPDX-License-Identifier: GPL-2.0
"""How long new connections do without MPTCP after SYNs with MP_CAPABLE were dropped, and two hosts that connect to each other
at once. For the topology of 06-fallback.sh, with a router in between and both ends ours; prints a TAP line for each case."""
import os
import select
import socket
import struct
import subprocess
import sys
import time

from common import SECONDS, counters, enter, report, same, setting

TCP_IS_MPTCP = 43
SYN = "tcp flags & (syn | ack) == syn"
DROPS = f"{SYN} tcp option mptcp exists drop"
# The first SYN of a port that gets here.
DROPS_ONCE = f"{SYN} add @once {{ tcp sport limit rate 1/hour burst 1 packets }} drop"
# What is counted beside how often the SYN was repeated, and whether the connection is MPTCP.
COUNTED = ("Blackhole", "MPCapableSYNTXDisabled", "MPCapableSYNTXDrop", "MPCapableFallbackSYNACK")


def middlebox(*rules):
    """Makes the router do that to packets in transit."""
    enter("router")
    once = "set once { type inet_service; size 4096; flags dynamic; }"
    chain = "\n".join(("type filter hook forward priority 0;", *rules))
    table = f"flush ruleset\ntable inet middlebox {{\n{once}\nchain forward {{\n{chain}\n}}\n}}\n"
    subprocess.run(["nft", "-f", "-"], input=table.encode(), check=True)


def connect(kind="", to="server"):
    """Connects to a listener and carries a byte; how many SYNs were repeated, and whether that is MPTCP."""
    enter(to)
    with socket.create_server(("", 0)) as listener:
        enter("client")
        address = os.environ["server4"] if to == "server" else "127.0.0.1"
        family = socket.AF_INET6 if kind == "mapped" else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as client:
            client.connect(("::ffff:" * (kind == "mapped") + address, listener.getsockname()[1]))
            repeated, = struct.unpack_from("I", client.getsockopt(socket.SOL_TCP, socket.TCP_INFO, 104), 100)
            with listener.accept()[0] as server:
                server.sendall(b"x")
                assert client.recv(1) == b"x"
            return repeated, bool(client.getsockopt(socket.SOL_TCP, TCP_IS_MPTCP))


def tried(repeated, multipath, counted, **how):
    """What is wrong if a connection repeats its SYN more or less often, is MPTCP or not, or counts something else."""
    before = counters("client")
    got = connect(**how)
    after = counters("client")
    return same((*got, *(after[name] - before[name] for name in COUNTED)), (repeated, multipath, *counted))


def blocked(seconds):
    """What is wrong if connections are not without MPTCP for so many seconds from now on, or get it later than that."""
    began = time.monotonic()
    while not connect()[1]:
        if time.monotonic() - began > seconds + SECONDS:
            return f"no MPTCP after {time.monotonic() - began:.1f} s"
        time.sleep(0.05)
    took = time.monotonic() - began
    return "" if took > seconds / 2 else f"MPTCP after {took:.1f} s"


def black_hole():
    """Yields a line and what is wrong for each case. The second SYN goes without the option here, after a second."""
    setting("client", "syn_retrans_before_tcp_fallback", 0)
    setting("client", "blackhole_timeout", 600)
    found, at_once, works = [1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]
    yield "MPTCP works", tried(0, True, works)
    middlebox(DROPS)
    yield "the first connection waits for a SYN without the option", tried(1, False, found)
    yield "the second one does without at once", tried(0, False, at_once)
    yield "so does an IPv6 socket that connects to an IPv4 address", tried(0, False, at_once, kind="mapped")
    middlebox()
    yield "and all others, though the way is free", tried(0, False, at_once)
    setting("client", "blackhole_timeout", 6)
    yield "a written blackhole_timeout begins anew", tried(0, True, works)
    middlebox(DROPS)
    yield "the time runs out: found", tried(1, False, found)
    middlebox()
    yield "the time runs out: 6 s", blocked(6)
    middlebox(DROPS)
    yield "MPTCP had worked: found", tried(1, False, found)
    began = time.monotonic()
    while not connect(to="client")[1]:
        assert time.monotonic() - began < 6 + SECONDS, "it does not run out"
        time.sleep(0.05)
    yield "over loopback MPTCP works, which shows nothing: found again", tried(1, False, found)
    middlebox()
    yield "found again: 12 s", blocked(12)
    middlebox(DROPS, DROPS_ONCE)
    yield "the second SYN without the option is answered: any SYN gets lost", tried(2, False, [0, 0, 1, 0])
    middlebox()
    yield "and MPTCP is used again", tried(0, True, works)
    setting("client", "blackhole_timeout", 0)
    middlebox(DROPS)
    for number in "first", "second":
        yield f"blackhole_timeout=0: the {number} connection waits", tried(1, False, [0, 0, 1, 0])
    middlebox("iifname r1 reset tcp option mptcp")
    yield "the option is removed: no black hole", tried(0, False, [0, 0, 0, 1])
    middlebox()


def at_once():
    """Two hosts connect to each other at the same time: what is wrong if that is not plain TCP that works, counted."""
    before = [counters(end)["SimultConnectFallback"] for end in ("client", "server")]
    ends = {"client": (os.environ["client4"], 6001), "server": (os.environ["server4"], 6002)}
    socks = {}
    for name, address in ends.items():
        enter(name)
        socks[name] = socket.socket()
        socks[name].bind(address)
        socks[name].setblocking(False)
    socks["client"].connect_ex(ends["server"])
    socks["server"].connect_ex(ends["client"])
    for name, other in ("client", "server"), ("server", "client"):
        select.select([], [socks[name]], [], SECONDS)
        socks[name].send(name.encode())
        select.select([socks[other]], [], [], SECONDS)
        if (got := socks[other].recv(10)) != name.encode():
            return f"{got!r} from {name}"
    after = [counters(end)["SimultConnectFallback"] for end in ("client", "server")]
    grown = [new - old for new, old in zip(after, before)]
    multipath = [sock.getsockopt(socket.SOL_TCP, TCP_IS_MPTCP) for sock in socks.values()]
    for sock in socks.values():
        sock.close()
    return "" if (grown, multipath) == ([1, 1], [0, 0]) else f"SimultConnectFallback {grown}, MPTCP {multipath}"


def main():
    """Runs one of both."""
    if sys.argv[1] == "at-once":
        return report("blackhole", [("two hosts connect to each other at once: plain TCP", at_once())])
    return report("blackhole", ((f"SYNs with the option dropped: {name}", wrong) for name, wrong in black_hole()))


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
