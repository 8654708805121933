# SPDX-License-Identifier: GPL-2.0
"""Forges segments of a connection one by one, and looks at what the receiver counts and whether the connection goes on.

Both hosts are ours. Prints one TAP line for each case.
"""

import argparse
import sys

from bad_input import ACK, PRIO, PSH, Connection, Reset, Test, dss
from common import counters, report, until

# What no window reaches.
FAR = 1 << 40
# What no window of TCP's reaches.
FAR_OFF = 1 << 29
# Bytes behind the last one, so that they are still to come.
AHEAD = 2000
# Pieces of one byte: more than two receive buffers have memory for, and less than a window has bytes.
PIECES = 2000


def mapping(way, ahead, length, skew=0):
    """A mapping of bytes that lie so far ahead of the last byte; `skew` is how far from the truth it is."""
    number = way.dsn + ahead + skew & (1 << 64) - 1
    return dss(0xC, b"", number.to_bytes(8, "big") + (way.ssn + ahead).to_bytes(4, "big") + length.to_bytes(2, "big"))


def no_match(way):
    """Bytes that the subflow cannot be carrying."""
    way.ssn += 1 << 30
    way.send(mapping(way, 0, 100))


def conflict(way):
    """Bytes that have a mapping, and get another one."""
    way.send(mapping(way, AHEAD, 100))
    way.send(mapping(way, AHEAD, 100, skew=1000))


def beyond_window(way):
    """Data with a number far outside of the window."""
    way.send(mapping(way, 0, 50, skew=FAR), flags=ACK | PSH, payload=bytes(50))


def pieces(way, order):
    """Many pieces of one byte with gaps between them, which take a lot of memory."""
    for sent, place in enumerate(order):
        way.send(mapping(way, sent, 1, skew=1 + 2 * place - sent), flags=ACK | PSH, payload=b"x", seq=way.seq + sent)


def priorities(way):
    """One with numbers outside of all windows, one without an acknowledgment, and a right one."""
    option = bytes([30, 3, PRIO << 4])
    way.send(option, seq=way.seq - FAR_OFF, ack=way.ack - FAR_OFF)
    way.send(option, seq=way.seq + FAR_OFF)
    way.send(option, ack=way.ack - FAR_OFF)
    way.send(option, flags=PSH)
    way.send(option)


def checksum(way):
    """Data with a checksum, which was not agreed on."""
    number = way.dsn.to_bytes(8, "big") + way.ssn.to_bytes(4, "big") + (50).to_bytes(2, "big")
    way.send(dss(0xC, b"", number, b"xx"), flags=ACK | PSH, payload=bytes(50))


# What is done, what is counted how often (None: at least once), and whether the connection goes on.
CASES = [
    ("a mapping that the subflow's numbers do not reach", no_match, "DSSNoMatchTCP", 1, True),
    ("two mappings that contradict each other", conflict, "DSSNotMatching", 1, True),
    ("data far outside of the window", beyond_window, "NoDSSInWindow", 1, False),
    ("of five priorities only one is within the windows", priorities, "MPPrioRx", 1, True),
    ("a checksum that was not agreed on", checksum, "MPRstTx", 1, False),
    ("more pieces before their turn than there is memory for", lambda way: pieces(way, range(PIECES)), "RcvPruned", None, False),
    ("the same from behind", lambda way: pieces(way, reversed(range(PIECES))), "OFOPruned", None, False),
]


def wrong(test, forge, name, times, lives):
    """What is wrong when a fresh connection meets a forged segment."""
    victim = Connection(test)
    try:
        victim.learn()
        before = counters("server")[name]

        def seen():
            more = counters("server")[name] - before
            return more > 0 if times is None else more

        forge(victim.ways[0])
        trouble = until(seen, True if times is None else times)
        if lives:
            victim.exchange()
            victim.learn()
        return trouble or ("" if victim.speaks_mptcp else "the connection fell back")
    except (Reset, RuntimeError) as error:
        return str(error)
    finally:
        victim.close()


def main():
    """See the module's description."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--client", required=True)
    parser.add_argument("--server", required=True)
    args = parser.parse_args()
    test = Test(argparse.Namespace(client_protocol=0, server_protocol=0, seed=8684, ghost="", prefix="counted, ", **vars(args)))
    failed = test.failed + report("counted", ((f"{what}: {case[1]}", wrong(test, *case)) for what, *case in CASES))
    test.bystander.close()
    test.listener.close()
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
