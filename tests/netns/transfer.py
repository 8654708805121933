#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Moves pseudo-random data over TCP sockets and compares what arrives, byte for byte.

    transfer.py server --control PATH [--proto tcp|mptcp]
    transfer.py client --control PATH --address A [--proto tcp|mptcp] [--family 4|6]
                       [--direction upload|download|both] [--size BYTES] [--seed N]
    transfer.py matrix --pair CLIENT:SERVER ... [--families 4,6] [--directions ...] [--sizes ...]
                       [--cases FAMILY:DIRECTION:SIZE,...] [--prefix TEXT] [--ours module|in-tree|plain] [--no-capture 1]
                       [--expect mptcp|offered|none] [--reorders 1]

Client and server agree on each transfer over a Unix socket (PATH), so that the connection under test
carries the data and nothing else: one byte means one byte, and a download starts with the server.
Each end tells the other the SHA-256 of what it sent; each compares it with what it received, after
reading to the end of the stream. A sender closes its direction first (half-close). One-way transfers
use blocking calls, `both` uses poll on a non-blocking socket. Nothing can hang: each transfer has a
deadline (--deadline seconds).

`matrix` runs the server in network namespace `server` and the client in `client` (as lib.sh makes
them), goes through all combinations, and prints one TAP line for each. Roles are ours, in-tree and
plain, as in lib.sh. A tcpdump on the server's link must show MPTCP (wire.awk's verdict) where both
ends speak it and not elsewhere, or what --expect says. --reorders says that the links lose or reorder:
an in-tree server whose MP_CAPABLE is overtaken by data falls back, which then counts as right.
"""
import argparse
import errno
import hashlib
import itertools
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
IPPROTO_MPTCP = 262
ADDRESSES = {4: os.environ.get("server4", "10.0.1.2"), 6: os.environ.get("server6", "fd00:1::2")}
# Longer than any window, of odd length: no shift by a power of two goes unnoticed.
PERIOD = (16 << 20) + 4099


class Deadline(Exception):
    """The transfer took too long."""


def on_alarm(_signal, _frame):
    raise Deadline


class Data:
    """The pseudo-random stream; a seed chooses where in it a transfer begins."""

    def __init__(self):
        self.block = memoryview(random.Random(20684).randbytes(PERIOD))
        self.digests = {}

    def pieces(self, seed, size, step=256 << 10):
        """Yields the stream of `seed` in pieces of at most `step` bytes."""
        position = seed * 1000003 % PERIOD
        while size:
            piece = self.block[position : position + min(step, size)]
            size -= len(piece)
            position = (position + len(piece)) % PERIOD
            yield piece

    def digest(self, seed, size):
        """The SHA-256 of the stream, in hexadecimal."""
        key = (seed, size)
        if key not in self.digests:
            sha = hashlib.sha256()
            for piece in self.pieces(seed, size):
                sha.update(piece)
            self.digests[key] = sha.hexdigest()
        return self.digests[key]


def exchange(sock, data, send_size, send_seed, receive):
    """Sends and receives on one socket; returns (bytes sent, bytes received, their SHA-256)."""
    counts = {"sent": 0, "received": 0}
    sha = hashlib.sha256()
    try:
        if receive and send_size is not None:
            exchange_both(sock, data, send_size, send_seed, counts, sha)
        else:
            if send_size is not None:
                for piece in data.pieces(send_seed, send_size):
                    while piece:
                        done = sock.send(piece)
                        counts["sent"] += done
                        piece = piece[done:]
                sock.shutdown(socket.SHUT_WR)
            # The receiver reads the data, the sender only the end of the other direction.
            buffer = bytearray(1 << 20)
            view = memoryview(buffer)
            while got := sock.recv_into(buffer):
                counts["received"] += got
                sha.update(view[:got])
            if send_size is None:
                sock.shutdown(socket.SHUT_WR)
        return counts, sha.hexdigest(), None
    except Deadline:
        return counts, sha.hexdigest(), "deadline passed"
    except OSError as error:
        return counts, sha.hexdigest(), f"{errno.errorcode.get(error.errno, error.errno)}: {error}"


def exchange_both(sock, data, size, seed, counts, sha):
    """Both directions at once, by poll."""
    sock.setblocking(False)
    poll = select.poll()
    poll.register(sock, select.POLLIN | select.POLLOUT)
    pieces = data.pieces(seed, size)
    piece = next(pieces, None)
    sending, receiving = True, True
    if piece is None:
        sock.shutdown(socket.SHUT_WR)
        sending = False
    buffer = bytearray(1 << 20)
    view = memoryview(buffer)
    while sending or receiving:
        poll.modify(sock, (select.POLLIN if receiving else 0) | (select.POLLOUT if sending else 0))
        for _, events in poll.poll():
            if events & (select.POLLIN | select.POLLHUP | select.POLLERR) and receiving:
                try:
                    got = sock.recv_into(buffer)
                    if not got:
                        receiving = False
                    counts["received"] += got
                    sha.update(view[:got])
                except BlockingIOError:
                    if events & select.POLLIN:
                        counts["spurious"] = counts.get("spurious", 0) + 1
            if events & (select.POLLOUT | select.POLLERR) and sending:
                try:
                    done = sock.send(piece)
                    counts["sent"] += done
                    piece = piece[done:] or next(pieces, None)
                except BlockingIOError:
                    pass
                if piece is None:
                    sock.shutdown(socket.SHUT_WR)
                    sending = False


def sides(case):
    """What (client, server) send: a size, or None for nothing."""
    size = case["size"]
    return (
        size if case["direction"] in ("upload", "both") else None,
        size if case["direction"] in ("download", "both") else None,
    )


def judge(data, case, own_result, sent_by_peer, peer_seed, own_size):
    """Why this end's result is wrong, or None."""
    counts, digest, error = own_result
    if error:
        return f"{error} after {counts['sent']} bytes sent, {counts['received']} received"
    if counts["received"] != (sent_by_peer or 0):
        return f"received {counts['received']} bytes of {sent_by_peer or 0}"
    if digest != data.digest(peer_seed, sent_by_peer or 0):
        return "SHA-256 differs"
    if counts["sent"] != (own_size or 0):
        return f"sent {counts['sent']} bytes of {own_size or 0}"
    if counts.get("spurious", 0) > 100:
        return f"poll announced data {counts['spurious']} times when there was none"
    return None


def enter(namespace):
    """Moves this process to a network namespace."""
    with open(f"/run/netns/{namespace}", "rb") as file:
        os.setns(file, os.CLONE_NEWNET)


def stream_socket(family, proto):
    """A TCP socket, in-tree MPTCP when proto is `mptcp`."""
    return socket.socket(
        socket.AF_INET6 if family == 6 else socket.AF_INET,
        socket.SOCK_STREAM,
        IPPROTO_MPTCP if proto == "mptcp" else 0,
    )


def serve(control, data, proto_of, set_role=None):
    """The server: one Unix connection, one line of JSON in and out per transfer."""
    listeners = {}
    with control:
        lines = control.makefile("r")
        for line in lines:
            case = json.loads(line)
            if case.get("end"):
                break
            if "role" in case:
                for listener in listeners.values():
                    listener.close()
                listeners.clear()
                set_role(case["role"])
                control.sendall(b"{}\n")
                continue
            key = (case["family"], proto_of(case))
            if key not in listeners:
                listener = stream_socket(*key)
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(("", 0))
                listener.listen(16)
                listeners[key] = listener
            listener = listeners[key]
            control.sendall(json.dumps({"port": listener.getsockname()[1]}).encode() + b"\n")
            client_size, server_size = sides(case)
            expected = json.loads(lines.readline() or '{"error": "the client has ended"}')
            if expected.get("error"):
                continue
            signal.alarm(case["deadline"])
            try:
                while True:
                    sock, peer = listener.accept()
                    if peer[1] == expected["local"]:
                        break
                    sock.close()
                with sock:
                    result = exchange(sock, data, server_size, case["seed"] + 1, client_size is not None)
                why = judge(data, case, result, client_size, case["seed"], server_size)
            except Deadline:
                why = "deadline passed in accept"
            except OSError as error:
                why = f"accept: {error}"
            finally:
                signal.alarm(0)
            control.sendall(json.dumps({"why": why}).encode() + b"\n")


class Client:
    """The client's end of the control connection."""

    def __init__(self, control, data):
        self.control, self.data, self.lines = control, data, control.makefile("r")

    def tell(self, message):
        """Sends one line of JSON."""
        self.control.sendall(json.dumps(message).encode() + b"\n")

    def ask(self, message):
        """Sends one line of JSON and returns the answer."""
        self.tell(message)
        return json.loads(self.lines.readline() or '{"why": "the server has ended"}')

    def run(self, case, address, proto):
        """One transfer; returns (why it failed or None, client port, seconds)."""
        answer = self.ask(case)
        client_size, server_size = sides(case)
        began, told, local = time.monotonic(), False, 0
        signal.alarm(case["deadline"])
        try:
            with stream_socket(case["family"], proto) as sock:
                sock.connect((address, answer["port"]))
                local = sock.getsockname()[1]
                self.tell({"local": local})
                told = True
                result = exchange(sock, self.data, client_size, case["seed"], server_size is not None)
                seconds = time.monotonic() - began
            why = judge(self.data, case, result, server_size, case["seed"] + 1, client_size)
        except Deadline:
            why, seconds = "deadline passed", time.monotonic() - began
        except OSError as error:
            why, seconds = str(error), time.monotonic() - began
        finally:
            signal.alarm(0)
        if not told:
            self.tell({"error": why})
            return f"connect: {why}", local, seconds
        theirs = json.loads(self.lines.readline() or '{"why": "the server has ended"}')["why"]
        reasons = [f"client: {why}"] * bool(why) + [f"server: {theirs}"] * bool(theirs)
        return "; ".join(reasons) or None, local, seconds


def control_pair(path):
    """A listening Unix socket at path."""
    if os.path.exists(path):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(1)
    return listener


def set_enabled(role):
    """The role `ours` of this process's namespace."""
    path = "/proc/sys/net/mptcp_rs/enabled"
    if os.path.exists(path):
        with open(path, "w", encoding="ascii") as file:
            file.write("1" if role == "ours" else "0")
    elif role == "ours":
        sys.exit("error: the module mptcp_rs is not loaded: insmod mptcp_rs.ko first, or use --ours in-tree")


class Capture:
    """tcpdump on the server's link."""

    def __init__(self, directory):
        self.path = os.path.join(directory, "matrix.pcap")
        self.log = open(os.path.join(directory, "tcpdump.log"), "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", "server", "tcpdump", "-i", "s1", "-Z", "root", "-s", "200", "-B", "8192",
             "-U", "--immediate-mode", "-w", self.path, "tcp or udp port 9"], stderr=self.log)
        self.wait(lambda: "listening on" in self.read_log())

    def read_log(self):
        """What tcpdump said so far."""
        self.log.seek(0)
        return self.log.read()

    @staticmethod
    def wait(condition):
        """Waits for a condition, ten seconds at most."""
        end = time.monotonic() + 10
        while not condition() and time.monotonic() < end:
            time.sleep(0.05)

    def verdicts(self):
        """Ends the capture; returns {client port: (verdict, details)}."""
        marker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

        def complete():
            marker.sendto(b"end-of-capture", (ADDRESSES[4], 9))
            with open(self.path, "rb") as file:
                file.seek(max(0, os.path.getsize(self.path) - 65536))
                return b"end-of-capture" in file.read()

        self.wait(complete)
        marker.close()
        self.process.send_signal(signal.SIGINT)
        self.process.wait()
        text = subprocess.run(f"tcpdump -nr {self.path} tcp 2>/dev/null | gawk -f {HERE}/wire.awk", shell=True,
                              capture_output=True, text=True, check=False).stdout
        os.unlink(self.path)
        return {int(line.split()[0]): (line.split()[1], line.split(None, 2)[2]) for line in text.splitlines()}


def human(size):
    """1 B, 1 MiB+1, 64 MiB."""
    mebibytes, rest = divmod(size, 1 << 20)
    if not mebibytes:
        return f"{size} B"
    return f"{mebibytes} MiB" + (f"+{rest}" if rest else "")


def matrix(options):
    """All combinations, one TAP line each."""
    data = Data()
    directory = tempfile.mkdtemp(prefix="transfer.")
    stands_for = lambda role: options.ours if role == "ours" and options.ours != "module" else role
    proto = lambda role: "mptcp" if stands_for(role) == "in-tree" else "tcp"
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    child = os.fork()
    if child == 0:
        ours.close()
        enter("server")
        serve(theirs, data, lambda case: case["proto"], lambda role: set_enabled(stands_for(role)))
        os._exit(0)
    theirs.close()
    enter("client")
    client = Client(ours, data)
    failed = 0
    for pair in options.pair:
        client_role, server_role = pair.split(":")
        set_enabled(stands_for(client_role))
        client.ask({"role": server_role})
        roles = (stands_for(client_role), stands_for(server_role))
        expected = options.expect or ("none" if roles[0] == "plain" else "offered" if roles[1] == "plain" else "mptcp")
        capture = None if options.no_capture else Capture(directory)
        results = []
        for family, direction, size in options.cases or itertools.product(
                options.families, options.directions, options.sizes):
            case = {"family": family, "direction": direction, "size": size, "seed": 2 * len(results),
                    "proto": proto(server_role), "deadline": options.deadline}
            results.append((case, *client.run(case, ADDRESSES[family], proto(client_role))))
        verdicts = capture.verdicts() if capture else {}
        for case, why, port, seconds in results:
            name = (f"{options.prefix}{client_role}→{server_role} IPv{case['family']} "
                    f"{case['direction']} {human(case['size'])}")
            verdict, details = verdicts.get(port, ("not in the capture", ""))
            overtaken = options.reorders and roles[1] == "in-tree" and verdict == "partial"
            if not why and capture and verdict != expected and not overtaken:
                why = f"the wire shows {verdict} instead of {expected}: {details}"
            if why:
                failed += 1
                print(f"not ok - {name}\n#   {why}\n#   {verdict} {details} {seconds:.2f} s", flush=True)
            else:
                print(f"ok - {name} # {seconds:.2f} s, wire: {verdict}", flush=True)
    client.tell({"end": True})
    os.waitpid(child, 0)
    print("# matrix complete", flush=True)
    os.rmdir(directory) if not os.listdir(directory) else subprocess.run(["rm", "-rf", directory], check=False)
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=("server", "client", "matrix"))
    parser.add_argument("--control", default="/tmp/transfer.sock")
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--proto", choices=("tcp", "mptcp"), default="tcp")
    parser.add_argument("--family", type=int, choices=(4, 6), default=4)
    parser.add_argument("--direction", choices=("upload", "download", "both"), default="both")
    parser.add_argument("--size", type=int, default=1 << 20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--deadline", type=int, default=60)
    parser.add_argument("--pair", action="append", default=[])
    parser.add_argument("--families", type=lambda text: [int(word) for word in text.split(",")], default=[4, 6])
    parser.add_argument("--directions", type=lambda text: text.split(","), default=["upload", "download", "both"])
    parser.add_argument("--sizes", type=lambda text: [int(word) for word in text.split(",")],
                        default=[1, (1 << 20) + 1])
    parser.add_argument("--cases", default=[], type=lambda text: [
        (int(family), direction, int(size)) for family, direction, size in (word.split(":") for word in text.split(","))])
    parser.add_argument("--prefix", default="")
    parser.add_argument("--ours", choices=("module", "in-tree", "plain"), default="module")
    parser.add_argument("--expect", choices=("mptcp", "offered", "none"))
    parser.add_argument("--reorders", type=int, default=0, metavar="1")
    parser.add_argument("--no-capture", type=int, default=0, metavar="1")
    options = parser.parse_args()
    signal.signal(signal.SIGALRM, on_alarm)
    if options.mode == "matrix":
        return 1 if matrix(options) else 0
    data = Data()
    if options.mode == "server":
        with control_pair(options.control) as listener:
            while True:
                serve(listener.accept()[0], data, lambda _case: options.proto)
    control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    control.connect(options.control)
    case = {"family": options.family, "direction": options.direction, "size": options.size,
            "seed": options.seed, "deadline": options.deadline}
    why, port, seconds = Client(control, data).run(case, options.address, options.proto)
    if why:
        print(f"error: {why}", file=sys.stderr)
        return 1
    print(f"{options.direction} {options.size} bytes, client port {port}, {seconds:.3f} s, SHA-256 equal")
    return 0


if __name__ == "__main__":
    sys.exit(main())
