#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Moves data over two paths while things happen to them, and judges from the wire and from what arrived.

    paths.py GROUP --pair CLIENT:SERVER [--ours module|in-tree] [--only WORD] [--full 1]

Runs the cases of a group (path_cases.py) in the namespaces that lib-paths.sh makes, one TAP line each.
The sender is a thread in one namespace, the receiver one in another; the main thread looks at what was
received and at the counters of the client's interfaces, and acts when what a case waits for has come.
A case without a size sends until its last step has been taken. The SHA-256 of what was received must be
that of what was sent; tcpdump in the client's namespace must show what the case says (paths_wire.py).
"""
import argparse
import hashlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from path_cases import GROUPS, SETTINGS
from paths_wire import Wire
from transfer import Data, enter, stream_socket

PATIENCE = 15  # seconds that anything waited for may take
LARGEST = 64 << 20
SOL_MPTCP = 284  # not in Python's socket module
SHAPES = {}  # what each path has now


class Trouble(Exception):
    """Why a case failed."""


class End(threading.Thread):
    """One end of the connection, in its namespace."""

    def __init__(self, run, namespace, sends):
        super().__init__(daemon=True)
        self.run_of, self.namespace, self.sends = run, namespace, sends
        self.sha, self.count, self.error = hashlib.sha256(), 0, None
        self.sock = self.listener = None
        self.ready = threading.Event()
        self.start()

    def run(self):
        try:
            enter(self.namespace)
            self.sock = self.connected()
            (self.send if self.sends else self.receive)()
        except (OSError, Trouble) as error:
            self.error = f"{self.namespace}: {error}"
            self.run_of.failed.set()
        finally:
            self.ready.set()
            for sock in filter(None, (self.sock, self.listener)):
                sock.close()

    def made(self):
        """A socket with the case's buffers."""
        run = self.run_of
        # Where the first path is IPv4 and the second IPv6, an IPv6 socket reaches both.
        family = 6 if run.case.mixed else run.family
        sock = stream_socket(family, run.protocols[self.namespace])
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.settimeout(PATIENCE)
        if run.roles[self.namespace] == "ours":
            for option, value in run.case.choice.items():
                sock.setsockopt(SOL_MPTCP, option, value.encode())
        if run.case.buffers:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, run.case.buffers)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, run.case.buffers)
        return sock

    def connected(self):
        run = self.run_of
        if self.namespace == "client":
            run.server.ready.wait()
            sock = self.made()
            run.began = time.monotonic()
            sock.connect((("::ffff:" if run.case.mixed else "") + run.address, run.port))
            run.client_port = sock.getsockname()[1]
            return sock
        # It listens on: in-tree refuses an MP_JOIN to a port that nobody listens on any more.
        self.listener = self.made()
        self.listener.bind(("", run.port))
        self.listener.listen()
        self.ready.set()
        sock, _ = self.listener.accept()
        sock.settimeout(PATIENCE)
        return sock

    def send(self):
        run = self.run_of
        for piece in run.data.pieces(run.port, run.case.size or LARGEST, 16 << 10):
            if run.case.size is None and run.enough.is_set():
                break
            self.sha.update(piece)
            while piece:
                done = self.sock.send(piece)
                self.count += done
                piece = piece[done:]
        if run.case.close:
            return
        self.sock.shutdown(socket.SHUT_WR)
        if self.sock.recv(1):
            raise Trouble("data came in the direction that has none")

    def receive(self):
        run, buffer = self.run_of, memoryview(bytearray(1 << 18))
        last = None
        while got := self.sock.recv_into(buffer):
            run.reads.wait()
            now = time.monotonic()
            run.last = now
            if last is not None:
                run.stall = max(run.stall, now - last)
                if now - last > 0.05:
                    run.gaps.append((time.time(), now - last))
            last = now
            self.count += got
            self.sha.update(buffer[:got])
        run.ended = time.monotonic()
        self.sock.shutdown(socket.SHUT_WR)


class Run:
    """One case, once."""

    def __init__(self, case, options, direction, family, port):
        self.case, self.direction, self.family, self.port = case, direction, family, port
        self.up = direction == "upload"
        self.address = os.environ[f"server{4 if case.mixed else family}"]
        roles = [options.ours if role == "ours" and options.ours != "module" else role
                 for role in options.pair.split(":")]
        self.roles = dict(zip(("client", "server"), roles))
        self.protocols = {end: "mptcp" if role == "in-tree" else "tcp" for end, role in self.roles.items()}
        self.data, self.capture = options.data, options.capture
        self.enough, self.failed, self.reads = threading.Event(), threading.Event(), threading.Event()
        self.reads.set()
        self.began = self.ended = self.last = 0.0
        self.stall, self.client_port, self.times, self.notes = 0.0, None, {}, []
        self.receiver, self.counts, self.gaps, self.shown = None, {}, [], ""

    # What steps do.

    def wait(self, what, condition, patience=PATIENCE):
        """Waits until condition() holds."""
        end = time.monotonic() + patience
        while not condition():
            if self.failed.is_set():
                raise Trouble(f"the transfer ended before {what}")
            if time.monotonic() > end:
                raise Trouble(f"{what}: not within {patience} s")
            time.sleep(0.02)

    def carries(self, interface, size=150_000, patience=PATIENCE):
        """Waits until an interface has carried so many bytes more in the direction of the data."""
        start = self.counter(interface)
        self.wait(f"{interface} carries data", lambda: self.counter(interface) - start >= size, patience)

    def receives(self, size):
        """Waits until so many bytes more have been received."""
        start = self.receiver.count
        self.wait(f"{size} more bytes", lambda: self.receiver.count - start >= size)

    def silent(self, seconds):
        """Waits until nothing has been received for so long."""
        self.wait(f"{seconds} s without data", lambda: time.monotonic() - self.last >= seconds)

    def blocked(self, seconds):
        """Waits until the sender has not got rid of anything for so long."""
        before, since = -1, 0.0

        def stands_still():
            nonlocal before, since
            if self.sender.count != before:
                before, since = self.sender.count, time.monotonic()
            return time.monotonic() - since >= seconds

        self.wait(f"{seconds} s without room for data", stands_still)

    def do(self, name, *commands, namespace=None):
        """Runs commands, in a namespace, and keeps the time, and what has arrived, under a name."""
        self.times[name], self.counts[name] = time.time(), self.receiver.count if self.receiver else 0
        for command in commands:
            if namespace:
                command = f"ip netns exec {namespace} {command}"
            done = subprocess.run(command.split(), capture_output=True, text=True, check=False)
            if done.returncode:
                raise Trouble(f"{command}: {done.stderr.strip()}")

    def counter(self, interface):
        """The interface's counter of bytes in the direction of the data."""
        with open("/proc/thread-self/net/dev", encoding="ascii") as table:
            for line in table:
                name, _, counters = line.partition(":")
                if name.strip() == interface:
                    return int(counters.split()[8 if self.up else 0])
        return 0

    @property
    def far(self):
        """The namespace of the far ends of the links."""
        return "router" if os.path.exists("/run/netns/router") else "server"

    def shape(self, path, netem, name="shape"):
        """netem in both directions of a path; for the name see do."""
        if SHAPES.get(path) == netem:
            return
        SHAPES[path] = netem
        for namespace, end in (("client", 0), (self.far, 1)):
            self.do(name, f"tc -n {namespace} qdisc replace dev {path}{end} root netem {netem}")

    # How it goes.

    def counters(self):
        """What nstat shows of the counters of MPTCP at each end."""
        shown = {}
        for end, role in self.roles.items():
            source = ["env", "PROC_NET_NETSTAT=/proc/net/mptcp_rs"] if role == "ours" else []
            table = subprocess.run(["ip", "netns", "exec", end, *source, "nstat", "-asz", "MPTcpExt*"], capture_output=True,
                                   text=True, check=True).stdout
            shown[end] = {line.split()[0].removeprefix("MPTcpExt"): int(line.split()[1])
                          for line in table.splitlines() if line.startswith("MPTcpExt")}
        return shown

    def go(self):
        """Returns (why it failed or None, figures for the line)."""
        for path, netem in self.case.links.items():
            self.shape(path, netem)
        for namespace in ("client", "server"):
            if self.roles[namespace] == "ours":
                for name, value in (SETTINGS | self.case.settings).items():
                    self.do("set", f"sysctl -qw net.mptcp_rs.{name}={value}", namespace=namespace)
        if self.roles["server"] == "ours":
            self.do("closed", f"sysctl -qw net.mptcp_rs.allow_join_initial_addr_port={int(not self.case.closed)}",
                    namespace="server")
        before = self.counters()
        if self.case.before:
            self.case.before(self)
        self.server = End(self, "server", not self.up)
        self.client = End(self, "client", self.up)
        self.sender, self.receiver = (self.client, self.server) if self.up else (self.server, self.client)
        problems = []
        try:
            for step in self.case.steps:
                step(self)
        except Trouble as trouble:
            problems.append(str(trouble))
        self.enough.set()
        self.reads.set()
        for end in (self.client, self.server):
            end.join(1 if problems else 3 * PATIENCE)
            if end.is_alive():
                problems.append(f"{end.namespace} has not ended")
        if problems:
            for path in self.case.links:
                self.do("mend", f"ip -n client link set {path}0 up", f"ip -n {self.far} link set {path}1 up")
        if problems or self.case.before:
            self.do("mend", "nft flush ruleset", namespace=self.far)
        problems += [end.error for end in (self.client, self.server) if end.error]
        # What is left of a subflow on a dead path ends as soon as the path lives.
        for path, netem in self.case.links.items():
            self.shape(path, netem)
        if self.sender.count != self.receiver.count:
            problems.append(f"{self.sender.count} bytes were sent, {self.receiver.count} arrived")
        elif self.sender.sha.digest() != self.receiver.sha.digest():
            problems.append("SHA-256 differs")
        wire = Wire(self.capture.piece(), dict(socket.if_nameindex()))
        after = self.counters()
        self.counted = {end: {name: value - before[end].get(name, 0) for name, value in after[end].items()} for end in after}
        if not wire.first:
            problems.append("no MP_CAPABLE on SYN, SYN-ACK and ACK")
        if not problems:
            problems += filter(None, (judge(self, wire) for judge in self.case.judges))
        seconds = self.ended - self.began
        figures = [f"{self.receiver.count / 1e6:.1f} MB in {seconds:.1f} s" if self.ended else "no end",
                   *(f"{path} {wire.carried(self.up, f'{path}0') / 1e6:.2f}" for path in self.case.links),
                   f"longest stall {self.stall:.2f} s", *self.notes]
        if problems:
            problems.append(str(wire))
        return "\n".join(problems) or None, ", ".join(figures)


class Capture:
    """tcpdump on all interfaces of the client, for all cases."""

    def __init__(self, work):
        self.path, self.markers = os.path.join(work, "paths.pcap"), 0
        self.process = subprocess.Popen(
            ["tcpdump", "-i", "any", "-y", "LINUX_SLL2", "-Z", "root", "-s", "200", "-B", "8192", "-U",
             "--immediate-mode", "-w", self.path, "tcp or udp port 9"],
            stderr=open(f"{self.path}.log", "w", encoding="utf-8"))
        self.until(lambda: "listening on" in open(f"{self.path}.log", encoding="utf-8").read())
        self.file = open(self.path, "rb")
        self.file.seek(24)

    def piece(self):
        """What was captured since the last call."""
        self.markers += 1
        marker, pieces = b"end-of-capture %d." % self.markers, []
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            def complete():
                sock.sendto(marker, ("127.0.0.1", 9))
                pieces.append(self.file.read())
                return marker in b"".join(pieces[-2:])

            self.until(complete)
        return b"".join(pieces)

    def end(self):
        """Ends tcpdump."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait()

    @staticmethod
    def until(condition):
        """Waits for a condition, ten seconds at most."""
        end = time.monotonic() + 10
        while not condition() and time.monotonic() < end:
            time.sleep(0.05)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("group")
    parser.add_argument("--pair", required=True)
    parser.add_argument("--ours", default="module", choices=("module", "in-tree"))
    parser.add_argument("--only", default="")
    parser.add_argument("--full", default="")
    parser.add_argument("--port", type=int, default=7000)
    options = parser.parse_args()
    work = tempfile.mkdtemp(prefix="paths.")
    enter("client")
    options.data, options.capture = Data(), Capture(work)
    failed, port = 0, options.port
    for case in GROUPS[options.group]:
        for direction, family in case.runs(options.pair, options.full):
            name = (f"{options.pair.replace(':', '→')} {options.group} "
                    f"{'' if case.mixed else f'IPv{family} '}{direction}: {case.name}")
            if options.only not in name:
                continue
            run = Run(case, options, direction, family, port)
            port += 1
            if reason := case.impossible(run):
                print(f"ok - {name} # SKIP {reason}", flush=True)
                continue
            why, figures = run.go()
            if why:
                failed += 1
                print(f"not ok - {name}\n" + "\n".join(f"#   {line}" for line in [*why.splitlines(), figures]),
                      flush=True)
            else:
                print(f"ok - {name} # {figures}", flush=True)
    options.capture.end()
    print("# paths complete", flush=True)
    subprocess.run(["rm", "-rf", work], check=False)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
