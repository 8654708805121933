# SPDX-License-Identifier: GPL-2.0
"""Floods a connection over two paths with forged signals and joins.

They come in bursts of segments made beforehand, as fast as they can be sent and answered. The forger sees the wire:
his segments carry the live sequence numbers, and his joins the right token. He does not know the keys. Between bursts
data crosses the connection, byte by byte compared. One TAP line for each flood.
"""

import argparse
import hashlib
import random
import select
import sys
import time

from bad_input import (
    ACK,
    ADD_ADDR,
    GHOST_MAC,
    JOIN,
    PORT,
    PRIO,
    REMOVE_ADDR,
    RST,
    SYN,
    Connection,
    Host,
    Reset,
    Way,
    options_of,
    parse,
)
from common import subflows, tap

# Segments that are sent at one go.
BURST = 10000
# The 256 address IDs, as many in an option as have room.
EVERYTHING = [bytes([30, 35, REMOVE_ADDR << 4, *range(first, first + 32)]) for first in range(0, 256, 32)]


class Arena:
    """The two hosts and a listener, as bad_input's Connection wants them."""

    def __init__(self, args):
        self.rng = random.Random(args.seed)
        self.client = Host("client", "wifi0", args.client, 0)
        self.server = Host("server", "wifi1", args.server, 0)
        self.listener = self.server.listener(64)
        # Segments sent, and seconds in which they were.
        self.fired = self.spent = 0

    def fire(self, burst):
        """Sends pairs of a way and a frame for it."""
        began = time.monotonic()
        for way, frame in burst:
            way.put(frame)
        self.spent += time.monotonic() - began
        self.fired += len(burst)

    def accept(self, port):
        """The connection from that port."""
        self.listener.settimeout(10)
        far, peer = self.listener.accept()
        assert peer[1] == port, "a forged join was accepted as a connection"
        return far


def token(sniffer):
    """The server's token, from the key in its SYN-ACK."""
    while select.select([sniffer], [], [], 5)[0]:
        segment = parse(sniffer.recv(70000))
        if segment and segment[0] == PORT and segment[4] & (SYN | ACK) == SYN | ACK:
            for kind, option in options_of(segment[6]):
                if kind == 30 and len(option) == 12 and option[2] >> 4 == 0:
                    return hashlib.sha256(option[4:]).digest()[:4]
    raise RuntimeError("no SYN-ACK with a key on the wire")


def add_addr(rng):
    """A new address each time, with a wrong HMAC."""
    return bytes([30, 16, ADD_ADDR << 4, rng.randrange(1, 256)]) + bytes([10, 0]) + rng.randbytes(2) + rng.randbytes(8)


def echo(rng):
    """The echo of an announcement that nobody has made."""
    return bytes([30, 8, ADD_ADDR << 4 | 1, rng.randrange(256), 10, 0]) + rng.randbytes(2)


def remove_unknown(rng):
    """Addresses withdrawn that nobody has announced."""
    return bytes([30, 20, REMOVE_ADDR << 4]) + bytes(rng.randrange(32, 256) for _ in range(17))


def priority(rng):
    """MP_PRIO there and back."""
    return bytes([30, 3, PRIO << 4 | rng.randrange(2)])


def signals(arena, connection, make, count):
    """Segments without data that carry a signal, half in each direction."""
    for start in range(0, count, BURST):
        connection.learn()
        ways = [connection.ways[number % 2] for number in range(min(BURST, count - start))]
        arena.fire([(way, way.segment(make(arena.rng), stamp=True)) for way in ways])
        connection.exchange()


def remove_everything(arena, connection, count):
    """All addresses withdrawn, in the name of either host: paths may go, the connection may not."""
    for _ in range(0, count, 2 * len(EVERYTHING) * 20):
        connection.learn()
        burst = [(way, way.segment(option)) for option in EVERYTHING for way in connection.ways]
        arena.fire(burst * 20)
        connection.exchange()


def joins(arena, connection, number, count, ghost):
    """Joins with that token from a host that nobody is; to every tenth SYN-ACK a third ACK with a wrong HMAC.

    Returns how many were answered with a SYN-ACK, and with a reset.
    """
    way = Way(arena.client, arena.server, 0, PORT, ghost, GHOST_MAC)
    accepted = refused = 0
    # Tells these SYNs from those of earlier floods, whose SYN-ACKs the server repeats.
    isn = arena.rng.getrandbits(31)
    for start in range(0, count, BURST):
        sniffer = arena.client.sniffer()
        burst = []
        for flow in range(start, min(start + BURST, count)):
            option = bytes([30, 12, JOIN << 4, arena.rng.randrange(1, 8)]) + number + arena.rng.randbytes(4)
            burst.append((way, way.segment(option, SYN, seq=isn, ports=(1024 + flow % 60000, PORT))))
        arena.fire(burst)
        for segment in iter(lambda: parse(sniffer.recv(70000)) if select.select([sniffer], [], [], 0.05)[0] else None, None):
            if segment[0] != PORT or segment[3] != isn + 1:
                continue
            if segment[4] & RST:
                refused += 1
            elif segment[4] & SYN:
                accepted += 1
                if accepted % 10 == 0:
                    third = bytes([30, 24, JOIN << 4, 0]) + arena.rng.randbytes(20)
                    way.send(third, ACK, seq=isn + 1, ack=segment[2] + 1, ports=(segment[1], PORT))
        sniffer.close()
        connection.exchange()
    return accepted, refused


class Report:
    """TAP lines, and how many were bad."""

    def __init__(self, arena, rate):
        self.arena, self.rate, self.failed = arena, rate, 0

    def run(self, what, flood, check=lambda _: ""):
        """One flood; what it returns is for check, which returns what is wrong."""
        self.arena.fired = self.arena.spent = 0
        problem = ""
        try:
            problem = check(flood())
        except (Reset, RuntimeError, OSError, AssertionError) as error:
            problem = f"the connection: {error}"
        rate = self.arena.fired / max(self.arena.spent, 0.001)
        if not problem and rate < self.rate:
            problem = f"{rate:.0f} segments in a second took all of the CPU, {self.rate} should leave some"
        self.failed += tap(f"{what} # {self.arena.fired} segments, {rate:.0f} /s", problem)


def main():
    """See the module's description."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--client", required=True)
    parser.add_argument("--server", required=True)
    parser.add_argument("--ghost", required=True, help="an address of the link that nobody has")
    parser.add_argument("--segments", type=int, default=20000, help="of each flood")
    parser.add_argument("--seed", type=int, default=8684)
    parser.add_argument("--rate", type=int, default=0, help="segments in a second that have to be possible")
    args = parser.parse_args()
    arena = Arena(args)
    report = Report(arena, args.rate)
    sniffer = arena.client.sniffer()
    connection = Connection(arena)
    known = token(sniffer)
    sniffer.close()
    arena.client.enter()
    deadline = time.monotonic() + 10
    while subflows(PORT) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    before = subflows(PORT)
    assert before >= 2, f"{before} subflows, there should be two"

    def as_before(_):
        arena.client.enter()
        there = subflows(PORT)
        return "" if there == before else f"{there} subflows, {before} were there before"

    for what, make in (
        ("announcements with a wrong HMAC", add_addr),
        ("echoes of no announcement", echo),
        ("withdrawals of unknown addresses", remove_unknown),
        ("priorities", priority),
    ):
        report.run(what, lambda make=make: signals(arena, connection, make, args.segments), as_before)

    def some_each(answers):
        return "" if answers[0] else f"no SYN-ACK, {answers[1]} resets: the token is wrong"

    report.run("joins with the right token",
               lambda: joins(arena, connection, known, args.segments, args.ghost), some_each)

    def all_refused(answers):
        return "" if not answers[0] and answers[1] else f"{answers[0]} SYN-ACKs and {answers[1]} resets"

    report.run("joins with an unknown token",
               lambda: joins(arena, connection, arena.rng.randbytes(4), args.segments, args.ghost), all_refused)
    report.run("all addresses withdrawn", lambda: remove_everything(arena, connection, args.segments))
    other = Connection(arena)
    connection.close()
    report.run("joins to a connection that has ended", lambda: joins(arena, other, known, args.segments, args.ghost), all_refused)
    other.close()
    arena.listener.close()
    print(f"# floods complete, {report.failed} failures")
    return report.failed != 0


if __name__ == "__main__":
    sys.exit(main())
