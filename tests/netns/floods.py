# SPDX-License-Identifier: GPL-2.0
"""Floods a connection over two paths with forged signals and joins, as fast as this program can.

The forger sees the wire: his segments carry the live sequence numbers, and his joins the right token. He does not
know the keys. Between batches data crosses the connection, byte by byte compared. One TAP line for each flood.
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
    BATCH,
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


class Arena:
    """The two hosts and a listener, as bad_input's Connection wants them."""

    def __init__(self, args):
        self.rng = random.Random(args.seed)
        self.client = Host("client", "wifi0", args.client, 0)
        self.server = Host("server", "wifi1", args.server, 0)
        self.listener = self.server.listener(64)

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
    for _ in range(0, count, BATCH):
        connection.learn()
        for number in range(BATCH):
            connection.ways[number % 2].send(make(arena.rng), stamp=True)
        connection.exchange()


def remove_everything(arena, connection, count):
    """All addresses withdrawn, in the name of either host: paths may go, the connection may not."""
    for _ in range(0, count, 8 * 20):
        connection.learn()
        for start in range(0, 256, 32):
            ids = bytes(range(start, start + 20))
            for way in connection.ways:
                way.send(bytes([30, 23, REMOVE_ADDR << 4]) + ids, stamp=False)
                way.send(bytes([30, 15, REMOVE_ADDR << 4]) + bytes(range(start + 20, start + 32)), stamp=False)
        connection.exchange()


def joins(arena, connection, number, count, ghost):
    """Joins with that token from a host that nobody is; to every tenth SYN-ACK a third ACK with a wrong HMAC.

    Returns how many were answered with a SYN-ACK, and with a reset.
    """
    way = Way(arena.client, arena.server, 0, PORT, ghost, GHOST_MAC)
    accepted = refused = 0
    # Tells these SYNs from those of earlier floods, whose SYN-ACKs the server repeats.
    start = arena.rng.getrandbits(31)
    for batch in range(0, count, BATCH):
        sniffer = arena.client.sniffer()
        for flow in range(BATCH):
            option = bytes([30, 12, JOIN << 4, arena.rng.randrange(1, 8)]) + number + arena.rng.randbytes(4)
            way.send(option, SYN, seq=start, ports=(1024 + (batch + flow) % 60000, PORT))
        for segment in iter(lambda: parse(sniffer.recv(70000)) if select.select([sniffer], [], [], 0.05)[0] else None, None):
            if segment[0] != PORT or segment[3] != start + 1:
                continue
            if segment[4] & RST:
                refused += 1
            elif segment[4] & SYN:
                accepted += 1
                if accepted % 10 == 0:
                    third = bytes([30, 24, JOIN << 4, 0]) + arena.rng.randbytes(20)
                    way.send(third, ACK, seq=start + 1, ack=segment[2] + 1, ports=(segment[1], PORT))
        sniffer.close()
        connection.exchange()
    return accepted, refused


class Report:
    """TAP lines, and how many were bad."""

    def __init__(self, prefix):
        self.prefix, self.failed = prefix, 0

    def run(self, what, count, flood, check=lambda _: ""):
        """One flood; what it returns is for check, which returns what is wrong."""
        began = time.monotonic()
        problem = ""
        try:
            problem = check(flood())
        except (Reset, RuntimeError, OSError, AssertionError) as error:
            problem = f"the connection: {error}"
        rate = count / max(time.monotonic() - began, 0.001)
        self.failed += tap(f"{self.prefix}{what} # {count} segments, {rate:.0f} /s with all between", problem)


def main():
    """See the module's description."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--client", required=True)
    parser.add_argument("--server", required=True)
    parser.add_argument("--ghost", required=True, help="an address of the link that nobody has")
    parser.add_argument("--segments", type=int, default=20000, help="of each flood")
    parser.add_argument("--seed", type=int, default=8684)
    parser.add_argument("--prefix", default="")
    args = parser.parse_args()
    arena = Arena(args)
    report = Report(args.prefix)
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
        report.run(what, args.segments, lambda make=make: signals(arena, connection, make, args.segments), as_before)

    def some_each(answers):
        return "" if answers[0] else f"no SYN-ACK, {answers[1]} resets: the token is wrong"

    report.run("joins with the right token", args.segments,
               lambda: joins(arena, connection, known, args.segments, args.ghost), some_each)

    def all_refused(answers):
        return "" if not answers[0] and answers[1] else f"{answers[0]} SYN-ACKs and {answers[1]} resets"

    report.run("joins with an unknown token", args.segments,
               lambda: joins(arena, connection, arena.rng.randbytes(4), args.segments, args.ghost), all_refused)
    report.run("all addresses withdrawn", args.segments // 20, lambda: remove_everything(arena, connection, args.segments // 20) or "",
               str)
    other = Connection(arena)
    connection.close()
    report.run("joins to a connection that has ended", BATCH, lambda: joins(arena, other, known, BATCH, args.ghost), all_refused)
    other.close()
    arena.listener.close()
    print(f"# floods complete, {report.failed} failures")
    return report.failed != 0


if __name__ == "__main__":
    sys.exit(main())
