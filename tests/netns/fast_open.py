# SPDX-License-Identifier: GPL-2.0
"""TCP Fast Open between two ends in their roles, what the wire shows of it, and what programs see.

    fast_open.py CLIENT SERVER      ours, in-tree or plain; 20-fast-open.sh has set the namespaces up

One process plays both ends, with a router between. tcpdump writes down what leaves and enters the server. Prints a TAP line
for each case; a case that the pair cannot have is left out.
"""
import ctypes
import errno
import os
import re
import select
import socket
import subprocess
import sys
import threading
import time

from common import SECONDS, enter, report, same, until

TCP_FASTOPEN, TCP_FASTOPEN_CONNECT, TCP_FASTOPEN_KEY, TCP_IS_MPTCP = 23, 30, 33, 43
CLIENT, SERVER = sys.argv[1:3]
LIBC = ctypes.CDLL(None)
REPLY = bytes(range(249)) * 200
SYN = "tcp flags & (syn | ack) == syn"
SYN_ACK = "tcp flags & (syn | ack) == (syn | ack)"
LATER = "tcp flags & syn == 0"
STRIP = "reset tcp option mptcp"
LINE = re.compile(r"(\d+) > \S+?\.(\d+): Flags \[([^]]*)\](?:, seq (\d+)(?::\d+)?)?(?:, ack (\d+))?.*?"
                  r"(?:options \[(.*)\], )?length (\d+)$")


def pattern(size):
    """So many bytes, of which no run repeats soon."""
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def middlebox(*rules):
    """Makes the router do that to packets in transit."""
    enter("router")
    chain = "\n".join(("type filter hook forward priority 0;", *rules))
    table = f"flush ruleset\ntable inet middlebox {{\nchain forward {{\n{chain}\n}}\n}}\n"
    subprocess.run(["nft", "-f", "-"], input=table.encode(), check=True)


def sysctl(namespace, name, value):
    """Sets one, where the kernel has it."""
    enter(namespace)
    path = f"/proc/sys/net/{name}"
    if os.path.exists(path):
        with open(path, "w", encoding="ascii") as file:
            file.write(str(value))


def forget_cookies():
    """The client has no cookie of any server."""
    enter("client")
    subprocess.run(["ip", "tcp_metrics", "flush", "all"], check=True, capture_output=True)


def make(namespace, family=socket.AF_INET):
    """A stream socket of that namespace in its role."""
    enter(namespace)
    role = CLIENT if namespace == "client" else SERVER
    return socket.socket(family, socket.SOCK_STREAM, 262 if role == "in-tree" else 0)


def listener(family=socket.AF_INET, queue=16):
    """A listening socket of the server that takes data from SYNs."""
    sock = make("server", family)
    sock.settimeout(SECONDS)
    sock.bind(("", 0))
    sock.setsockopt(socket.SOL_TCP, TCP_FASTOPEN, queue)
    sock.listen(16)
    return sock


def address(listening, family, kind):
    """Where the client reaches a listener."""
    host = os.environ["server6" if family == socket.AF_INET6 and kind != "mapped" else "server4"]
    return ("::ffff:" * (kind == "mapped") + host, listening.getsockname()[1])


def is_multipath(sock):
    """Whether a connection is MPTCP."""
    return bool(sock.getsockopt(socket.SOL_TCP, TCP_IS_MPTCP))


def begin(client, where, data, kind):
    """Connects and sends with one call, or with two; returns what was taken."""
    if kind == "option":
        client.setsockopt(socket.SOL_TCP, TCP_FASTOPEN_CONNECT, 1)
        client.connect(where)
        return client.send(data)
    client.setblocking(kind != "nonblocking")
    try:
        sent = client.sendto(data, socket.MSG_FASTOPEN, where)
    except BlockingIOError as error:
        assert error.errno == errno.EINPROGRESS, error
        sent = 0
    if kind == "nonblocking":
        select.select([], [client], [], SECONDS)
        client.setblocking(True)
    return sent


class Wire:
    """What tcpdump sees at the server."""

    def __init__(self):
        self.path, self.since = f"/tmp/fast_open.{os.getpid()}", 0
        with open(self.path, "w", encoding="ascii") as file:
            command = "ip netns exec server tcpdump -i s1 -Z root -nSl --immediate-mode -s 200 tcp"
            self.process = subprocess.Popen(command.split(), stdout=file, stderr=subprocess.PIPE)
        assert b"listening on" in self.process.stderr.readline() + self.process.stderr.readline(), "no tcpdump"

    def forget(self):
        """What was seen so far does not count: ports come again."""
        self.since = os.path.getsize(self.path)

    def packets(self, port):
        """Those of the client's port: (from the client, flags, number, acknowledged number, options, length)."""
        found = []
        with open(self.path, encoding="ascii") as file:
            file.seek(self.since)
            for line in file:
                match = LINE.search(line.rstrip())
                if match and str(port) in match.group(1, 2):
                    number, ack = (int(text or 0) for text in match.group(4, 5))
                    found.append((match[1] == str(port), match[3], number, ack, match[6] or "", int(match[7])))
        return found

    def facts(self, port):
        """What SYN and SYN-ACK say, and with which number of the subflow mapped data of the client begins."""
        end = time.monotonic() + SECONDS
        while True:
            packets = self.packets(port)
            syns = [packet for packet in packets if packet[0] and packet[1].startswith("S")]
            answers = [packet for packet in packets if not packet[0] and packet[1].startswith("S")]
            if syns and answers:
                break
            assert time.monotonic() < end, f"the capture has no SYN and SYN-ACK of port {port}"
            time.sleep(0.05)

        def cookie(options):
            return next((word for word in ("cookiereq", "cookie") if f"tfo  {word}" in options), "")
        # MP_CAPABLE with data maps it from the first byte on. Data may go by another subflow as well.
        later = [packet for packet in packets if packet[0] and packet[5] and "S" not in packet[1]]
        mapped = [re.search(r"subseq (\d+) len [1-9]|capable()", packet[4]) for packet in later]
        return {
            "asks": (cookie(syns[0][4]), "capable" in syns[0][4], syns[0][5]),
            "answer": (cookie(answers[0][4]), "capable" in answers[0][4], answers[0][3] - syns[0][2] - 1),
            "mapped": next((int(match[1] or 1) for match in mapped if match), 0),
            "syns": len(syns),
        }

    def close(self):
        """Ends it."""
        self.process.terminate()
        self.process.wait()
        os.unlink(self.path)


def exchange(size=200, family=socket.AF_INET, kind="", setup=None):
    """A request of so many bytes with the SYN, and a reply; what was seen, and by whom it was MPTCP."""
    got = {}

    def serve(listening):
        with listening.accept()[0] as server:
            data = bytearray()
            while piece := server.recv(1 << 16):
                data += piece
            got["request"] = bytes(data) == pattern(size) or f"{len(data)} bytes"
            server.sendall(REPLY)
            got["server"] = is_multipath(server)

    with listener(family if kind != "mapped" else socket.AF_INET) as listening:
        if setup:
            setup(listening)
        thread = threading.Thread(target=serve, args=(listening,))
        thread.start()
        with make("client", family) as client:
            sent = begin(client, address(listening, family, kind), pattern(size), kind)
            client.sendall(pattern(size)[sent:])
            client.shutdown(socket.SHUT_WR)
            data = bytearray()
            client.settimeout(SECONDS)
            while piece := client.recv(1 << 16):
                data += piece
            got["reply"] = bytes(data) == REPLY or f"{len(data)} bytes"
            got["client"] = is_multipath(client)
            port = client.getsockname()[1]
        thread.join(SECONDS)
    return port, got


MULTIPATH = "plain" not in (CLIENT, SERVER)
REPETITIONS = 20


def wanted(multipath=MULTIPATH):
    """What an exchange gets."""
    return {"request": True, "server": multipath, "reply": True, "client": multipath}


def check(wire, asks, answer, multipath=MULTIPATH, **how):
    """What is wrong with an exchange whose SYN and SYN-ACK are to say that: cookie, MP_CAPABLE, bytes of data."""
    wire.forget()
    port, got = exchange(**how)
    problem = same(got, wanted(multipath))
    seen = wire.facts(port)
    if not problem and asks:
        problem = same((seen["asks"], seen["answer"]), (asks, answer))
    if not problem and asks and multipath and seen["mapped"] not in (0, 1):
        problem = f"the first mapping begins with byte {seen['mapped']} of the subflow"
    if not problem and asks and multipath and asks[2] and not answer[2]:
        problem = until(lambda: wire.facts(port)["mapped"], 1)
    return problem


def settle_in(wire):
    """The server has all it needs to take data from SYNs."""
    def taken():
        wire.forget()
        return wire.facts(exchange()[0])["answer"][2]
    return until(taken, 200)


def establishment(wire):
    """The scenarios of RFC 8684, Appendix B.3, and ways to come to them."""
    asks, agrees = CLIENT != "plain", MULTIPATH
    forget_cookies()
    yield "a cookie is asked for", check(wire, ("cookiereq", asks, 0), ("cookie", agrees, 0))
    yield "data comes with the SYN, once the server is ready", settle_in(wire)
    with_data, takes = ("cookie", asks, 200), ("", agrees, 200)
    yield "data with the SYN", check(wire, with_data, takes)
    yield "more data than the SYN takes", check(wire, None, None, size=100_000)
    yield "TCP_FASTOPEN_CONNECT", check(wire, with_data, takes, kind="option")
    yield "a socket that does not block", check(wire, with_data, takes, kind="nonblocking")
    yield "IPv6: a cookie", check(wire, ("cookiereq", asks, 0), ("cookie", agrees, 0), family=socket.AF_INET6)
    yield "IPv6: data", check(wire, with_data, takes, family=socket.AF_INET6)
    yield "an IPv6 socket to an IPv4 address", check(wire, with_data, takes, family=socket.AF_INET6, kind="mapped")
    forget_cookies()
    yield "TCP_FASTOPEN_CONNECT without a cookie", check(
        wire, ("cookiereq", asks, 0), ("cookie", agrees, 0), kind="option")
    for end in "client", "server":
        for tree in "mptcp", "mptcp_rs":
            sysctl(end, f"{tree}/checksum_enabled", 1)
    yield "with checksums", check(wire, with_data, takes)
    yield "with checksums, more data", check(wire, None, None, size=100_000)
    for end in "client", "server":
        for tree in "mptcp", "mptcp_rs":
            sysctl(end, f"{tree}/checksum_enabled", 0)


def often():
    """One after the other: the keys come while the server's program accepts, or reads, or sleeps."""
    for count in range(1, REPETITIONS + 1):
        for how in ({}, {"kind": "option"}, {"kind": "nonblocking"}, {"size": 30_000}):
            problem = same(exchange(**how)[1], wanted())
            if problem:
                yield f"{count} of {REPETITIONS}, {how}", problem
                return
    yield f"{REPETITIONS} times in all ways", ""


def not_taken(wire):
    """The server does not take the data: it becomes the first data of the connection (figure 20)."""
    asks = CLIENT != "plain"
    # The kernel's own client sends it again without a mapping.
    goes_on = MULTIPATH and CLIENT == "ours"
    exchange()
    sysctl("server", "ipv4/tcp_fastopen", 1)
    for size in 200, 100_000:
        asked = ("cookie", asks, 200) if size == 200 else None
        yield f"the server takes no data, of {size} bytes", check(
            wire, asked, ("", MULTIPATH, 0), goes_on, size=size)
    sysctl("server", "ipv4/tcp_fastopen", 3)
    other_key = bytes(range(16))
    yield "the cookie is not valid any more", check(
        wire, ("cookie", asks, 200), ("cookie", MULTIPATH, 0), goes_on,
        setup=lambda listening: listening.setsockopt(socket.SOL_TCP, TCP_FASTOPEN_KEY, other_key))
    forget_cookies()
    exchange()


def on_the_way(wire):
    """Something on the way does not like it."""
    asks = CLIENT != "plain"
    for rule, name, says, answers in (
            (f"{SYN} {STRIP}", "the option is taken off the SYN", False, False),
            (f"{SYN_ACK} {STRIP}", "the option is taken off the SYN-ACK", asks, MULTIPATH),
            (f"iifname r1 {LATER} {STRIP}", "the option is taken off what the client sends then", asks, MULTIPATH),
            (f"{LATER} {STRIP}", "the option is taken off all that follows", asks, MULTIPATH),
            (STRIP, "the option is taken off everything", False, False)):
        middlebox(rule)
        # What the server has sent, it has sent before the router.
        # If no data follows that of the SYN, the kernel's own client does not notice that its options get lost.
        goes_unnoticed = CLIENT == "in-tree" and LATER in rule
        for size in (30_000,) if goes_unnoticed else (200, 30_000):
            wire.forget()
            port, got = exchange(size=size)
            got = {key: got.get(key) for key in ("request", "reply")}
            yield f"{name}: {size} bytes", same(got, {"request": True, "reply": True})
            seen = wire.facts(port)
            sent = min(size, 1420)
            yield f"{name}: SYN and SYN-ACK of {size} bytes", same(
                (seen["asks"], seen["answer"]), (("cookie", says, sent), ("", answers, sent)))
    middlebox(f"{SYN} tcp option fastopen exists drop")
    port, got = exchange()
    yield "SYNs with data are dropped", same(
        {key: got[key] for key in ("request", "reply")}, {"request": True, "reply": True})
    middlebox()
    forget_cookies()
    exchange()


def early(wire):
    """What a server's program sees before the client's third ACK, which the router keeps back."""
    middlebox(f"iifname r1 {LATER} drop")
    with listener() as listening, make("client") as client:
        client.setblocking(False)
        same(client.sendto(b"request", socket.MSG_FASTOPEN, address(listening, socket.AF_INET, "")), 7)
        with listening.accept()[0] as server:
            server.settimeout(SECONDS)
            got = [server.recv(3)]
            poll = select.poll()
            poll.register(server, select.POLLIN | select.POLLOUT)
            seen = dict(poll.poll(0)).get(server.fileno(), 0)
            yield "before the third ACK: what came with the SYN is read", same(got[0], b"req")
            may_write = select.POLLOUT if SERVER == "plain" or CLIENT == "plain" else 0
            yield "before the third ACK: more is there to be read, writing waits", same(seen, select.POLLIN | may_write)
            middlebox()
            if not may_write:
                yield "the third ACK comes: writing is possible", until(
                    lambda: dict(poll.poll(100)).get(server.fileno(), 0), select.POLLIN | select.POLLOUT)
            server.sendall(b"reply")
            got.append(server.recv(100))
            yield "the rest of what came with the SYN is read", same(got[1], b"uest")
            client.setblocking(True)
            client.settimeout(SECONDS)
            yield "the reply comes", same(client.recv(100), b"reply")
            client.sendall(b"more")
            yield "further data comes", same(server.recv(100), b"more")
            yield "it is MPTCP", same((is_multipath(client), is_multipath(server)), (MULTIPATH, MULTIPATH))
    yield from early_ends(wire)


def early_ends(_wire):
    """The server's program ends a connection whose third ACK has not come."""
    def close(server, _listening):
        server.close()

    def shut(server, _listening):
        server.shutdown(socket.SHUT_RDWR)

    def unread(server, listening):
        listening.close()
        server.close()

    def disconnect(server, _listening):
        LIBC.connect(server.fileno(), bytes(16), 16)

    for end in close, shut, unread, disconnect:
        middlebox(f"iifname r1 {LATER} drop")
        with listener() as listening, make("client") as client:
            client.setblocking(False)
            client.sendto(b"request", socket.MSG_FASTOPEN, address(listening, socket.AF_INET, ""))
            server = listening.accept()[0]
            if end is not unread:
                server.recv(100)
            end(server, listening)
            middlebox()
            client.setblocking(True)
            client.settimeout(SECONDS)
            try:
                got = client.recv(100)
            except ConnectionError:
                got = b""
            yield f"before the third ACK: {end.__name__}", same(got, b"")
            server.close()
    middlebox(f"iifname r1 {LATER} drop")
    with make("client") as client:
        with listener() as listening:
            client.setblocking(False)
            client.sendto(b"request", socket.MSG_FASTOPEN, address(listening, socket.AF_INET, ""))
            select.select([listening], [], [], SECONDS)
        middlebox()
    yield "the listener closes while a socket waits for its third ACK", ""


def refused(client, where, code):
    """What is wrong unless sending with the SYN fails with this error."""
    try:
        client.sendto(b"x", socket.MSG_FASTOPEN, where)
        return "sent"
    except OSError as error:
        return same(error.errno, code)


def errors():
    """What calls answer that cannot be."""
    with listener() as listening, make("client") as client:
        client.connect(address(listening, socket.AF_INET, ""))
        with listening.accept()[0] as server:
            server.sendall(b"x")
            client.recv(1)
            yield "MSG_FASTOPEN on a connection", refused(
                client, address(listening, socket.AF_INET, ""), errno.EISCONN)
    nobody = (os.environ["server4"], 1)
    with make("client") as client:
        yield "MSG_FASTOPEN to a port without a listener", refused(client, nobody, errno.ECONNREFUSED)
    sysctl("client", "ipv4/tcp_fastopen", 0)
    with make("client") as client:
        yield "MSG_FASTOPEN where it is switched off", refused(client, nobody, errno.EOPNOTSUPP)
    sysctl("client", "ipv4/tcp_fastopen", 3)


def main():
    """Runs all cases."""
    for end in "client", "server":
        sysctl(end, "ipv4/tcp_fastopen", 3)
    wire = Wire()
    # What a server has hooked to take data stays as long as somebody listens.
    listening = listener()
    pair = f"{CLIENT}→{SERVER}: "
    lists = [establishment(wire), often(), not_taken(wire), on_the_way(wire)]
    if SERVER != "in-tree":
        lists.append(early(wire))
    if CLIENT != "in-tree":
        lists.append(errors())
    try:
        return report("fast_open", *(((pair + case, problem) for case, problem in cases) for cases in lists))
    finally:
        listening.close()
        wire.close()


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
