# SPDX-License-Identifier: GPL-2.0
"""Opens many connections at once, uses them, and closes all at once, round after round.

The server is a process of its own. In each round every connection carries a byte there and another one back;
then the subflows are counted, if a second path is expected; then all connections end: the client closes, or the
server does, or the client resets, in turn. Prints one TAP line for each way to end.
"""

import argparse
import os
import resource
import selectors
import signal
import socket
import struct
import sys
import time

from common import enter, subflows, tap

WAYS = ("the client closes", "the server closes", "the client resets")
ASK, LEAVE = b"a", b"l"


def serve(listener):
    """Answers each byte with the next one, closes when told to, or when the client has closed."""
    selector = selectors.DefaultSelector()
    listener.setblocking(False)
    selector.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            end = key.fileobj
            if end is listener:
                try:
                    while True:
                        selector.register(listener.accept()[0], selectors.EVENT_READ)
                except (BlockingIOError, ConnectionAbortedError):
                    continue
            try:
                got = end.recv(1)
                if got == ASK:
                    end.send(b"b")
                    continue
            except ConnectionResetError:
                pass
            selector.unregister(end)
            end.close()


class Round:
    """Some connections that are open at the same time."""

    def __init__(self, address, count, deadline):
        self.selector = selectors.DefaultSelector()
        self.deadline = time.monotonic() + deadline
        self.ends = []
        for _ in range(count):
            end = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
            end.setblocking(False)
            end.connect_ex(address)
            self.ends.append(end)

    def wait(self, event, what, action):
        """Runs action for every connection as soon as it is ready for event."""
        for end in self.ends:
            self.selector.register(end, event)
        left = len(self.ends)
        while left:
            ready = self.selector.select(1)
            if time.monotonic() > self.deadline:
                raise TimeoutError(f"{left} of {len(self.ends)} connections {what}")
            for key, _ in ready:
                action(key.fileobj)
                self.selector.unregister(key.fileobj)
                left -= 1

    def exchange(self):
        """A byte there and one back on each."""
        self.wait(selectors.EVENT_WRITE, "are not open", lambda end: end.send(ASK))

        def answered(end):
            got = end.recv(10)
            if got != b"b":
                raise ConnectionError(f"the answer is {got!r}")

        self.wait(selectors.EVENT_READ, "have no answer", answered)

    def end(self, way):
        """Ends all connections."""
        if way == "the server closes":
            for end in self.ends:
                end.send(LEAVE)

            def ended(end):
                if end.recv(10):
                    raise ConnectionError("data follows the last answer")

            self.wait(selectors.EVENT_READ, "do not end", ended)
        for end in self.ends:
            if way == "the client resets":
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.close()
        self.selector.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--address", required=True, help="the server's address")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--count", type=int, default=1000, help="connections at once")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--paths", type=int, default=2, help="subflows that each connection is to have")
    parser.add_argument("--deadline", type=float, default=60, help="seconds that a round may take")
    parser.add_argument("--prefix", default="")
    args = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (args.count + 100, args.count + 100))
    enter("server")
    listener = socket.create_server(
        (args.address, args.port), family=socket.AF_INET6 if ":" in args.address else socket.AF_INET, backlog=4096
    )
    server = os.fork()
    if server == 0:
        serve(listener)
    listener.close()
    enter("client")
    problems = {way: "" for way in WAYS}
    joined = {way: 0 for way in WAYS}
    began = time.monotonic()
    try:
        for number in range(args.rounds):
            way = WAYS[number % len(WAYS)]
            if problems[way]:
                continue
            try:
                one = Round((args.address, args.port), args.count, args.deadline)
                one.exchange()
                wanted = args.count * args.paths
                while (there := subflows(args.port)) < wanted and time.monotonic() < one.deadline:
                    time.sleep(0.05)
                joined[way] += there >= wanted
                if there < wanted:
                    raise TimeoutError(f"{there} subflows, {wanted} should be there")
                one.end(way)
            except OSError as error:
                problems[way] = f"round {number}: {error}"
    finally:
        os.kill(server, signal.SIGKILL)
        os.waitpid(server, 0)
    for way, problem in problems.items():
        seconds = time.monotonic() - began
        tap(f"{args.prefix}{args.count} at once, {way} # {joined[way]} rounds, all in {seconds:.0f} s", problem)
    print("# many complete")
    return any(problems.values())


if __name__ == "__main__":
    sys.exit(main())
