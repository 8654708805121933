# SPDX-License-Identifier: GPL-2.0
"""Looks at all subflows of connections whose programs have chosen options, a user, a control group or an interface.

Prints one TAP line for each case.
"""

import argparse
import errno
import os
import re
import socket
import subprocess
import sys

from common import SECONDS, enter, report, same, until
from connection import Connection, info, listen

SERVER, SERVER6 = "10.0.1.2", "fd00:1::2"
SERVICE = 7210
# Over IPv4 each host reaches both addresses of the other on either path, over IPv6 only the one on that path.
SUBFLOWS = 6
SO_MARK, SO_BINDTODEVICE, SO_TIMESTAMPING, MSG_ERRQUEUE = 36, 25, 37, 0x2000
TCP_SAVE_SYN, TCP_SAVED_SYN, TCP_MD5SIG_EXT = 27, 28, 32
IPV6_TCLASS = 67
# SOF_TIMESTAMPING: TX_SOFTWARE, SOFTWARE, OPT_ID, TX_SCHED, TX_ACK, OPT_TSONLY.
STAMPS = 1 << 1 | 1 << 4 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 11
USER = 1234


def sockets(namespace, service):
    """What ss shows of each established TCP socket of a namespace that has this port at one end."""
    enter(namespace)
    listed = subprocess.run(
        ["ss", "-HtneoiO", "--tos", "--cgroup", "state", "established", f"( sport = :{service} or dport = :{service} )"],
        capture_output=True, text=True, check=True,
    )
    return listed.stdout.splitlines()


def without(service, *patterns):
    """What is wrong unless all subflows are there on both hosts and ss shows all of the patterns for each."""
    def lacking():
        lines = [line for namespace in ("client", "server") for line in sockets(namespace, service)]
        wrong = [f"no {pattern} in {line}" for line in lines for pattern in patterns if not re.search(pattern, line)]
        return (len(lines), *wrong[:1])

    return until(lacking, (2 * SUBFLOWS,))


def joined(near):
    """What is wrong unless the client's connection has all subflows that it can have."""
    return until(lambda: info(near)[0], SUBFLOWS - 1)


def choose(sock, mark):
    """What a program may choose."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.SOL_SOCKET, SO_MARK, mark)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 8 * mark)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_TCLASS, 8 * mark)


def chosen(mark):
    """What ss shows of that."""
    return "timer:.keepalive", f"fwmark:{mark:#x}", r"\breno\b", f"(tos|tclass):{8 * mark:#x}"


def connect(address, service, at_client=None, at_server=None):
    """A connection whose ends have something done to them before they connect and listen."""
    enter("server")
    listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    enter("client")
    near = socket.socket(listener.family)
    for sock, prepare in ((listener, at_server), (near, at_client)):
        if prepare:
            prepare(sock)
    listener.bind(("::" if ":" in address else "", service))
    listener.listen()
    near.settimeout(SECONDS)
    near.connect((address, service))
    return Connection(None, None, listener, near=near)


def options():
    """Options chosen before a connection and while it is there, for each family."""
    for service, address in ((SERVICE, SERVER), (SERVICE + 1, SERVER6)):
        connection = connect(address, service, lambda sock: choose(sock, 3), lambda sock: choose(sock, 3))
        name = f"options of a socket for {address}"
        yield f"{name}, chosen before", joined(connection.near) or without(service, *chosen(3))
        for sock in (connection.near, connection.far):
            choose(sock, 5)
        yield f"{name}, chosen later", without(service, *chosen(5)) or connection.exchange()
        connection.close()


def users():
    """The user of a program's sockets is that of all subflows."""
    enter("server")
    listener = listen(SERVICE + 2)
    enter("client")
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.setuid(USER)
        near = socket.create_connection((SERVER, SERVICE + 2), SECONDS)
        os.write(writer, b"connected")
        near.recv(1)
        os._exit(0)
    os.read(reader, 9)
    far = listener.accept()[0]

    def found():
        lines = sockets("client", SERVICE + 2)
        return len(lines), all(f"uid:{USER} " in line for line in lines)

    yield "the user of a program", until(found, (SUBFLOWS, True))
    for sock in (far, listener):
        sock.close()
    os.waitpid(child, 0)


def into(groups, name):
    """This process goes into a control group."""
    with open(f"{groups}/{name}/cgroup.procs", "w", encoding="ascii") as file:
        file.write(str(os.getpid()))


def charged(groups, name):
    """How many bytes of socket memory a control group is charged with."""
    with open(f"{groups}/{name}/memory.stat", encoding="ascii") as file:
        return int(re.search(r"^sock (\d+)$", file.read(), re.MULTILINE).group(1))


def fill(sock):
    """Writes until nothing more fits; how much that was."""
    sock.setblocking(False)
    sent = 0
    try:
        while True:
            sent += sock.send(bytes(1 << 16))
    except BlockingIOError:
        return sent


def control_groups(groups):
    """The control group of a program: packets and memory of all subflows are its own."""
    service = SERVICE + 3
    into(groups, "far")
    enter("server")
    listener = listen(service)
    into(groups, "near")
    enter("client")
    near = socket.create_connection((SERVER, service), SECONDS)
    into(groups, "far")
    connection = Connection(None, None, listener, near=near)
    into(groups, "")
    wrong = joined(near)
    for namespace, group in (("client", "near"), ("server", "far")):
        def found():
            lines = sockets(namespace, service)
            return len(lines), [line for line in lines if not re.search(rf"cgroup:/{group}\b", line)]

        wrong = wrong or until(found, (SUBFLOWS, []))
    yield "the control group of a program", wrong
    sent = fill(connection.near)

    def pays():
        # What waits to be read is at least what was there of the window at first.
        return charged(groups, "near") * 4 > sent, charged(groups, "far") > 1 << 15

    yield "the memory of both ends is charged to their control groups", (
        until(pays, (True, True)) and f"{sent} bytes wait, charged are {charged(groups, 'near')} and {charged(groups, 'far')}"
    )
    got = 0
    while got < sent and (more := connection.far.recv(1 << 20)):
        got += len(more)
    yield "what was sent arrives", same(got, sent)
    connection.close()
    yield "nothing is charged once the connection has ended", (
        until(lambda: [charged(groups, group) for group in ("near", "far")], [0, 0])
    )


def addresses(service):
    """From where the subflows of the client are."""
    return sorted({line.split()[2].rsplit(":", 1)[0].split("%")[0].strip("[]") for line in sockets("client", service)})


def interfaces():
    """A program that binds its socket to an interface gets subflows there only."""
    def bind_to(name):
        return lambda sock: sock.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, name)

    first, both = ["10.0.1.1", "fd00:1::1"], ["10.0.1.1", "10.0.2.1", "fd00:1::1", "fd00:2::1"]
    free = Connection(SERVER, SERVICE + 4)
    service = SERVICE + 5
    bound = connect(SERVER, service, at_client=bind_to(b"c1"))
    yield "the client's socket is bound to an interface", (
        # What is there to be used is found at once, and the other one has had that time.
        until(lambda: addresses(service), first) or joined(free.near) or bound.exchange() or same(addresses(service), first)
    )
    bound.close()
    service = SERVICE + 4
    yield "the client binds it later", (
        same(addresses(service), both) or bind_to(b"c1")(free.near) or until(lambda: addresses(service), first)
        or free.exchange()
    )
    free.close()
    service = SERVICE + 6
    bound = connect(SERVER, service, at_server=bind_to(b"s1"))
    yield "the server's listener is bound to an interface", (
        until(lambda: addresses(service), first) or bound.exchange() or same(addresses(service), first)
    )
    bound.close()


def stamps(sock):
    """How many notices of data that was sent are there."""
    found = 0
    sock.setblocking(False)
    try:
        while sock.recvmsg(1, 512, MSG_ERRQUEUE | socket.MSG_DONTWAIT)[1]:
            found += 1
    except BlockingIOError:
        sock.settimeout(SECONDS)
    return found


def notices():
    """Timestamps of data that was sent, the SYN that was kept, an option that is refused."""
    service = SERVICE + 7
    connection = connect(SERVER, service, at_server=lambda sock: sock.setsockopt(socket.IPPROTO_TCP, TCP_SAVE_SYN, 1))
    saved = connection.far.getsockopt(socket.IPPROTO_TCP, TCP_SAVED_SYN, 200)
    yield "TCP_SAVED_SYN", same((len(saved) > 40, saved[:1]), (True, b"\x45"))
    connection.near.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, STAMPS)
    connection.near.sendall(b"x" * 100)
    connection.far.recv(100)
    seen = []
    yield "timestamps of data that was sent", until(lambda: seen.append(stamps(connection.near)) or sum(seen) > 1, True)
    wrong = ""
    for sock in (connection.near, connection.far):
        try:
            sock.setsockopt(socket.IPPROTO_TCP, TCP_MD5SIG_EXT, bytes(216))
            wrong = "it was accepted"
        except OSError as error:
            wrong = wrong or same(error.errno, errno.EOPNOTSUPP)
    yield "a key for signatures is refused", wrong
    connection.close()


def main():
    """See the module's description."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--groups", required=True)
    args = parser.parse_args()
    return report("inherit", options(), users(), control_groups(args.groups), interfaces(), notices()) != 0


if __name__ == "__main__":
    sys.exit(main())
