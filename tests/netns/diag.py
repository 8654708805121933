# SPDX-License-Identifier: GPL-2.0
"""Asks socket diagnostics for connections and listeners, as `ss -M` does, and ends connections, as `ss -K` does.

Prints one TAP line for each case.
"""

import argparse
import errno
import socket
import struct
import sys

from common import counters, enter, report, same, unprivileged, until
from connection import INFO_LEN, Connection, info, listen, token
from genl import DUMP, Netlink, attribute, attributes, u32

SERVICE = 7140
SERVER, SERVER6 = "10.0.1.2", "fd00:1::2"
NETLINK_SOCK_DIAG, BY_FAMILY, SOCK_DESTROY = 4, 20, 21
REQ_BYTECODE, REQ_PROTOCOL = 1, 3
INFO, D_EQ = 2, 12
ESTABLISHED, FIN_WAIT2, CLOSE, CLOSE_WAIT, LISTEN = 1, 5, 7, 8, 10
ALL, NOBODY = 0xFFFFFFFF, (0xFFFFFFFF, 0xFFFFFFFF)
OPEN = ALL ^ (1 << CLOSE) ^ (1 << LISTEN)
ID_LEN, MESSAGE_LEN = 48, 72
# What MPTCP_INFO tells after this is how long ago something was.
LASTING = 84


class Found:
    """What diagnostics tell of a socket."""

    def __init__(self, message):
        self.family, self.state = message[0], message[1]
        # It names the socket in requests.
        self.id = message[4 : 4 + ID_LEN]
        self.sport, self.dport = struct.unpack_from("!HH", self.id)
        self.cookie = struct.unpack_from("II", self.id, ID_LEN - 8)
        self.rqueue, self.wqueue = struct.unpack_from("II", message, 4 + ID_LEN + 4)
        self.info = dict(attributes(message[MESSAGE_LEN:])).get(INFO)


def socket_id(sport=0, dport=0, cookie=NOBODY):
    """A struct inet_diag_sockid without addresses."""
    return struct.pack("!HH", sport, dport) + bytes(36) + struct.pack("II", *cookie)


class Diagnostics(Netlink):
    """Socket diagnostics in one namespace."""

    def __init__(self, namespace):
        super().__init__(namespace, NETLINK_SOCK_DIAG)
        # Where the kernel has an MPTCP of its own, that has IPPROTO_MPTCP, and ours the number before it.
        self.protocol = socket.IPPROTO_MPTCP - 1
        # Little room, because the kernel makes messages as long as it has seen room for.
        if self.about(BY_FAMILY, socket.AF_INET, socket_id(), flags=DUMP, room=4096)[0] == "ENOENT":
            self.protocol = socket.IPPROTO_MPTCP

    def about(self, kind, family, name, states=ALL, flags=4, more=b"", room=1 << 16):
        """Asks; returns the errno by name, and the sockets found."""
        body = struct.pack("BBBBI", family, 255, 1 << (INFO - 1), 0, states) + name
        body += attribute(REQ_PROTOCOL, u32(self.protocol)) + more
        code, replies = self.ask(kind, body, flags, room)
        return errno.errorcode.get(code, ""), [Found(reply) for reply in replies]

    def dump(self, family=socket.AF_INET, states=ALL, sport=0, dport=0, **more):
        """All sockets of a kind."""
        wrong, found = self.about(BY_FAMILY, family, socket_id(sport, dport, (0, 0)), states, DUMP, **more)
        assert not wrong, wrong
        return found

    def one(self, number, family=socket.AF_INET):
        """The connection with a token: the errno by name, and what is found."""
        return self.about(BY_FAMILY, family, socket_id(cookie=(number, 0)))

    def destroy(self, family, name):
        """Ends a connection; the errno by name."""
        return self.about(SOCK_DESTROY, family, name)[0]


def ends(sockets):
    """What tells sockets apart."""
    return sorted((found.state, found.sport, found.dport) for found in sockets)


def in_use(namespace):
    """How many sockets /proc/net/protocols counts, for IPv4 and IPv6."""
    enter(namespace)
    with open("/proc/self/net/protocols", encoding="ascii") as file:
        lines = {line.split()[0]: int(line.split()[2]) for line in list(file)[1:]}
    # As the kernel's own MPTCP calls it where there is none.
    name = "MPTCP_RS" if "MPTCP_RS" in lines else "MPTCP"
    return lines[name], lines[f"{name}v6"]


def look():
    """Both families, states, filters, and all that is told of a socket."""
    near, far = Diagnostics("client"), Diagnostics("server")
    yield "nothing is there at first", same([near.dump(), far.dump(), in_use("client")], [[], [], (0, 0)])
    first, second = Connection(SERVER, SERVICE), Connection(SERVER6, SERVICE + 1)
    port, port6 = first.near.getsockname()[1], second.near.getsockname()[1]
    yield "connections and listeners of a family", (
        same(ends(near.dump()), [(ESTABLISHED, port, SERVICE)])
        or same(ends(near.dump(socket.AF_INET6)), [(ESTABLISHED, port6, SERVICE + 1)])
        or same(ends(far.dump()), [(ESTABLISHED, SERVICE, port), (LISTEN, SERVICE, 0)])
        or same(ends(far.dump(socket.AF_INET6)), [(ESTABLISHED, SERVICE + 1, port6), (LISTEN, SERVICE + 1, 0)])
    )
    yield "/proc/net/protocols counts both", same((in_use("client"), in_use("server")), ((1, 1), (2, 2)))
    third = Connection(SERVER, SERVICE, first.listener)
    port3 = third.near.getsockname()[1]
    yield "states", (
        same(ends(far.dump(states=1 << LISTEN)), [(LISTEN, SERVICE, 0)])
        or same(len(far.dump(states=1 << ESTABLISHED)), 2) or same(far.dump(states=1 << CLOSE_WAIT), [])
    )
    wanted = [(ESTABLISHED, port3, SERVICE)]
    # Unless the far port is this, jumps behind the end.
    program = attribute(REQ_BYTECODE, struct.pack("BBHBBH", D_EQ, 8, 12, 0, 0, port3))
    yield "ports", (
        same(ends(near.dump(sport=port3)), wanted) or same(len(near.dump(dport=SERVICE)), 2)
        or same(ends(near.dump(sport=port3, dport=SERVICE)), wanted) or same(near.dump(sport=port3, dport=port), [])
        or same(ends(far.dump(dport=port3)), [(ESTABLISHED, SERVICE, port3)])
        or same(ends(far.dump(more=program)), [(ESTABLISHED, SERVICE, port3)])
    )
    addresses = near.dump(sport=port3)[0].id[4:8] + near.dump(sport=port3)[0].id[20:24]
    yield "addresses", same(addresses, socket.inet_aton("10.0.1.1") + socket.inet_aton(SERVER))
    yield "a dump tells what MPTCP_INFO tells", (
        told(near.dump(sport=port), first.near) or told(far.dump(dport=port), first.far)
        or told(near.dump(socket.AF_INET6), second.near)
    )
    yield "so does the answer for a token", (
        told(near.one(token(first.near))[1], first.near)
        or told(far.one(token(second.far), socket.AF_INET6)[1], second.far)
    )
    yield "a token that nobody has", same(near.one(token(first.near) ^ 1), ("ENOENT", []))
    yield "a token of another namespace", same(near.one(token(first.far)), ("ENOENT", []))
    yield "a process without privileges can look", unprivileged(lambda: same(len(near.dump()), 2))
    first.near.sendall(b"12345")
    backlog = far.dump(states=1 << LISTEN)[0]
    yield "queues", (
        until(lambda: far.dump(dport=port)[0].rqueue, 5) or same((backlog.rqueue, backlog.wqueue), (0, 1000))
    )
    first.near.shutdown(socket.SHUT_WR)
    yield "states of a connection that ends", (
        until(lambda: [found.state for found in near.dump(sport=port)], [FIN_WAIT2])
        or until(lambda: [found.state for found in far.dump(dport=port)], [CLOSE_WAIT])
    )
    for connection in (first, second, third):
        connection.close()
    yield "nothing is there at the end", (
        until(lambda: [near.dump(), far.dump(), far.dump(socket.AF_INET6)], [[], [], []])
        or until(lambda: (in_use("client"), in_use("server")), ((0, 0), (0, 0)))
    )


def told(found, sock):
    """What is wrong unless one socket was found, and its information is the socket's."""
    if len(found) != 1 or not found[0].info:
        return f"{len(found)} sockets, or nothing told"
    return same(len(found[0].info), INFO_LEN) or same(found[0].info[:LASTING], info(sock)[:LASTING])


def end():
    """Connections are ended from outside."""
    near, far = Diagnostics("client"), Diagnostics("server")
    for server, family in ((SERVER, socket.AF_INET), (SERVER6, socket.AF_INET6)):
        connection = Connection(server, SERVICE)
        name = near.dump(family)[0].id
        wrong_cookie = name[:-8] + struct.pack("II", 1, 1)
        wrong_port = struct.pack("!H", 9) + name[2:]
        nobody = name[:-8] + struct.pack("II", *NOBODY)
        yield f"{server}: not without privileges", unprivileged(
            lambda: same(near.destroy(family, name), "EPERM")  # pylint: disable=cell-var-from-loop
        )
        yield f"{server}: only by its whole name", (
            same([near.destroy(family, wrong) for wrong in (wrong_cookie, wrong_port, nobody)], 3 * ["ENOENT"])
            or same(far.destroy(family, name), "ENOENT") or connection.exchange()
        )
        before, far_before = counters("client"), counters("server")
        yield f"{server}: it ends with an error here and a reset there", (
            same(near.destroy(family, name), "") or same(failure(connection.near), "ECONNABORTED")
            or same(failure(connection.far), "ECONNRESET")
            or same(counters("client")["MPFastcloseTx"] > before["MPFastcloseTx"], True)
            or same(counters("server")["MPFastcloseRx"] > far_before["MPFastcloseRx"], True)
            or until(lambda: near.dump(family, OPEN) + far.dump(family, OPEN), [])
        )
        yield f"{server}: only once", same(near.destroy(family, name), "ENOENT")
        connection.close()


def failure(sock):
    """How reading fails, by name."""
    try:
        return sock.recv(1).hex() or "EOF"
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))


def crowd(count):
    """Very many connections, which take many messages."""
    enter("server")
    listener = listen(SERVICE)
    connections = [Connection(SERVER, SERVICE, listener, rounds=1) for _ in range(count)]
    ports = sorted(connection.near.getsockname()[1] for connection in connections)
    for room in (1 << 13, 1 << 16):
        # The kernel's messages are as long as the longest that a socket has read.
        near, far = Diagnostics("client"), Diagnostics("server")
        yield f"{count} connections, {room} bytes for a message: each is told once", (
            same(sorted(found.sport for found in near.dump(room=room)), ports)
            or same(sorted(found.dport for found in far.dump(states=1 << ESTABLISHED, room=room)), ports)
            or same(len({found.cookie for found in near.dump(room=room)}), count)
        )
    yield "/proc/net/protocols counts them", same((in_use("client"), in_use("server")), ((count, 0), (count + 1, 0)))
    tokens = {token(connection.near): connection.near.getsockname()[1] for connection in connections}
    yield "each is found by its token", same(
        [near.one(number)[1][0].sport for number in tokens], list(tokens.values())
    )
    for connection in connections[::2]:
        connection.close()
    left = sorted(connection.near.getsockname()[1] for connection in connections[1::2])
    yield "half of them end", until(
        lambda: sorted(found.sport for found in near.dump(states=1 << ESTABLISHED)), left
    )
    for connection in connections:
        connection.close()
    listener.close()
    yield "all of them end", until(lambda: near.dump() + far.dump(), [])


def main():
    """See the module's description."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=400, help="how many connections are a crowd")
    return report("diag", look(), end(), crowd(parser.parse_args().count)) != 0


if __name__ == "__main__":
    sys.exit(main())
