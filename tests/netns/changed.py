# SPDX-License-Identifier: GPL-2.0
"""Sends a stream each way over one connection and tells what came out at the other end: how much, and how many bytes differ.

serve takes SIZE bytes, then sends REPLY bytes; send is the other end, with --wait N only once it has N subflows.
"""

import argparse
import random
import signal
import socket
import sys
import time

from common import subflows

BLOCK = random.Random(1).randbytes(1 << 20)


def stream(size):
    """The stream of `size` bytes, in pieces."""
    while size > 0:
        yield BLOCK[: min(size, len(BLOCK))]
        size -= len(BLOCK)


def receive(sock):
    """Reads to the end of the stream; returns how many bytes have come and how many of them are wrong."""
    received = changed = 0
    while piece := sock.recv(1 << 16):
        start = received % len(BLOCK)
        expected = (BLOCK + BLOCK)[start : start + len(piece)]
        if piece != expected:
            changed += sum(a != b for a, b in zip(piece, expected))
        received += len(piece)
    return received, changed


def exchange(sock, first, size, options):
    """Sends and receives, in this order if it is `first`."""
    result = None if first else receive(sock)
    if options.wait:
        end = time.monotonic() + 20
        while subflows(options.port) < options.wait and time.monotonic() < end:
            time.sleep(0.1)
    for piece in stream(size):
        sock.sendall(piece)
    sock.shutdown(socket.SHUT_WR)
    return result or receive(sock)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=("serve", "send"))
    parser.add_argument("--address")
    parser.add_argument("--port", type=int, default=5555)
    parser.add_argument("--size", type=int, default=1 << 20)
    parser.add_argument("--reply", type=int, default=1 << 20)
    parser.add_argument("--wait", type=int, default=0)
    options = parser.parse_args()
    signal.alarm(30)
    if options.mode == "send":
        with socket.create_connection((options.address, options.port)) as sock:
            result = exchange(sock, True, options.size, options)
    else:
        with socket.create_server(("", options.port)) as listener:
            sock, _ = listener.accept()
        with sock:
            result = exchange(sock, False, options.reply, options)
    print("received %d changed %d" % result)


if __name__ == "__main__":
    sys.exit(main())
