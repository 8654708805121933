# SPDX-License-Identifier: GPL-2.0
"""Configures endpoints by generic netlink, rightly and wrongly, and shows what connections do with them.

Speaks netlink itself, so that requests can be as wrong as may be. Prints one TAP line for each case.
"""

import argparse
import errno
import os
import socket
import struct
import sys
import time

from common import enter, subflows, tap

NETLINK_GENERIC, SOL_NETLINK, NETLINK_EXT_ACK = 16, 270, 11
NLMSG_ERROR, NLMSG_DONE = 2, 3
REQUEST, ACK, CAPPED, ACK_TLVS, DUMP, NESTED = 1, 4, 0x100, 0x200, 0x300, 0x8000
ADD, DEL, GET, FLUSH, SET_LIMITS, GET_LIMITS, SET_FLAGS, ANNOUNCE, REMOVE, CREATE, DESTROY = range(1, 12)
ADDR, RCV_ADD_ADDRS, SUBFLOWS, TOKEN, LOC_ID, ADDR_REMOTE = range(1, 7)
FAMILY, ID, ADDR4, ADDR6, PORT, FLAGS, IF_IDX = range(1, 8)
SIGNAL, SUBFLOW, BACKUP, FULLMESH, IMPLICIT = 1, 2, 4, 8, 16
SERVICE = 7100
SECONDS = 10


def attribute(kind, value):
    """One attribute; a list is a nest."""
    if isinstance(value, list):
        kind, value = kind | NESTED, b"".join(value)
    return struct.pack("HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def attributes(data):
    """Every (kind, value) in some bytes."""
    while len(data) >= 4:
        size, kind = struct.unpack_from("HH", data)
        yield kind & 0x3FFF, data[4:size]
        data = data[(size + 3) & ~3 :]


def u8(number):
    return struct.pack("B", number)


def u16(number):
    return struct.pack("H", number)


def u32(number):
    return struct.pack("I", number)


def address(text, *more, **parts):
    """The attribute ADDR of an endpoint."""
    v6 = ":" in text
    inner = [
        attribute(FAMILY, u16(socket.AF_INET6 if v6 else socket.AF_INET)),
        attribute(ADDR6 if v6 else ADDR4, socket.inet_pton(socket.AF_INET6 if v6 else socket.AF_INET, text)),
    ]
    sizes = {"id": (ID, u8), "port": (PORT, u16), "flags": (FLAGS, u32), "dev": (IF_IDX, u32)}
    inner += [attribute(sizes[name][0], sizes[name][1](value)) for name, value in parts.items()]
    return attribute(ADDR, inner + list(more))


class Manager:
    """The family of path managers in one namespace."""

    def __init__(self, namespace):
        enter(namespace)
        self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC)
        self.sock.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        self.sock.settimeout(SECONDS)
        self.number = 0
        self.why = ""
        # Where the kernel has an MPTCP of its own, its family has the other name.
        self.family = self.has(b"mptcp_rs_pm\0") or self.has(b"mptcp_pm\0")

    def has(self, name):
        """The number of a family, 0 if there is none."""
        code, replies = self.ask(0x10, 3, attribute(2, name))
        return 0 if code else struct.unpack("H", dict(attributes(replies[0]))[1])[0]

    def ask(self, family, command, body, flags=ACK):
        """Sends a request; returns the errno and the attributes of each reply."""
        self.number += 1
        header = struct.pack("IHHII", 20 + len(body), family, REQUEST | flags, self.number, 0)
        self.sock.send(header + struct.pack("BBH", command, 1, 0) + body)
        replies = []
        while True:
            data = self.sock.recv(1 << 16)
            while data:
                size, kind, got, _, _ = struct.unpack_from("IHHII", data)
                part, data = data[16:size], data[(size + 3) & ~3 :]
                if kind == NLMSG_DONE:
                    return 0, replies
                if kind != NLMSG_ERROR:
                    replies.append(part[4:])
                    continue
                code = -struct.unpack_from("i", part)[0]
                skipped = 20 if got & CAPPED else 4 + struct.unpack_from("I", part, 4)[0]
                told = dict(attributes(part[skipped:])) if got & ACK_TLVS else {}
                self.why = told.get(1, b"").rstrip(b"\0").decode()
                if 5 in told:
                    self.why = f"missing {struct.unpack('I', told[5])[0]}"
                return code, replies

    def call(self, command, *parts, flags=ACK):
        """Sends a command; returns the errno by name, and what the kernel says if there is one."""
        code, self.replies = self.ask(self.family, command, b"".join(parts), flags)
        return f"{errno.errorcode[code]} {self.why}".strip() if code else ""

    def endpoints(self):
        """All endpoints as (ID, address, flags)."""
        _, replies = self.ask(self.family, GET, b"", DUMP)
        found = []
        for reply in replies:
            inner = dict(attributes(dict(attributes(reply))[ADDR]))
            family = struct.unpack("H", inner[FAMILY])[0]
            text = socket.inet_ntop(family, inner[ADDR6 if family == socket.AF_INET6 else ADDR4])
            found.append((inner[ID][0], text, struct.unpack("I", inner[FLAGS])[0]))
        return found


def same(got, wanted):
    """What is wrong if the two differ."""
    return "" if got == wanted else f"got {got!r}, wanted {wanted!r}"


def until(condition, wanted):
    """Waits until the condition has the wanted value; what is wrong if it never has."""
    end = time.monotonic() + SECONDS
    while (got := condition()) != wanted:
        if time.monotonic() > end:
            return f"got {got!r}, wanted {wanted!r} within {SECONDS} s"
        time.sleep(0.05)
    return ""


# What a request says, and how it is refused.
REFUSED = [
    ("no address", ADD, [], "EINVAL missing 1"),
    ("an empty address", ADD, [attribute(ADDR, [])], "EINVAL missing family"),
    ("an unknown family", ADD, [attribute(ADDR, [attribute(FAMILY, u16(7))])], "EINVAL unknown address family"),
    ("no bytes of the address", ADD, [attribute(ADDR, [attribute(FAMILY, u16(2))])], "EINVAL missing address data"),
    ("IPv6 in place of IPv4", ADD, [attribute(ADDR, [attribute(FAMILY, u16(2)), attribute(ADDR6, bytes(16))])],
     "EINVAL missing address data"),
    ("a short IPv6 address", ADD, [attribute(ADDR, [attribute(FAMILY, u16(10)), attribute(ADDR6, bytes(4))])], None),
    ("a short ID", ADD, [attribute(ADDR, [attribute(ID, b"")])], None),
    ("a nest that is none", ADD, [attribute(ADDR, b"")], "EINVAL missing family"),
    ("a nest longer than the message", ADD, [struct.pack("HH", 400, ADDR | NESTED) + bytes(8)], None),
    ("a port without signal", ADD, [address("10.9.9.9", port=80, flags=SUBFLOW)],
     "EINVAL flags must have signal and not subflow when using port"),
    ("signal and fullmesh", ADD, [address("10.9.9.9", flags=SIGNAL | FULLMESH)],
     "EINVAL flags mustn't have both signal and fullmesh"),
    ("an implicit endpoint", ADD, [address("10.9.9.9", flags=IMPLICIT)],
     "EINVAL implicit endpoints come to be by themselves"),
    ("an address that is there", ADD, [address("10.1.1.1")], "EEXIST an endpoint has this address already"),
    ("an ID that is in use", ADD, [address("10.9.9.9", id=1)], "EBUSY another endpoint has this ID"),
    ("an unknown endpoint to remove", DEL, [address("10.1.1.1", id=77)], "EINVAL address not found"),
    ("an unknown endpoint to get", GET, [address("10.1.1.1", id=77)], "EINVAL address not found"),
    ("an unknown endpoint to change", SET_FLAGS, [address("10.9.9.9", flags=BACKUP)], "EINVAL address not found"),
    ("flags for no endpoint", SET_FLAGS, [attribute(ADDR, [attribute(FLAGS, u32(BACKUP))])],
     "ENOTSUP missing address ID"),
    ("fullmesh where it cannot be", SET_FLAGS, [address("10.1.1.1", flags=FULLMESH)],
     "EINVAL flags mustn't have both signal and fullmesh"),
    ("a limit of 65", SET_LIMITS, [attribute(SUBFLOWS, u32(65))], "EINVAL limit greater than maximum (64)"),
    ("a limit of 2^32 - 1", SET_LIMITS, [attribute(RCV_ADD_ADDRS, u32(0xFFFFFFFF))],
     "EINVAL limit greater than maximum (64)"),
    ("a token that nobody has", ANNOUNCE, [address("10.1.1.1"), attribute(TOKEN, u32(1))], "EINVAL invalid token"),
    ("no token", REMOVE, [attribute(LOC_ID, u8(1))], "EINVAL missing 4"),
    ("no token for a subflow", CREATE, [address("10.1.1.1")], "EINVAL missing 4"),
    ("no token for the end of a subflow", DESTROY, [], "EINVAL missing 4"),
]


def configure():
    """Requests that are right, and those that are not."""
    here, there = Manager("client"), Manager("server")
    yield "an endpoint is added", same(here.call(ADD, address("10.1.1.1", flags=SIGNAL)), "")
    for what, command, parts, wanted in REFUSED:
        got = here.call(command, *parts)
        wrong = same(got, wanted) if wanted else ("accepted" if not got else "")
        yield f"refused: {what}", wrong or same(here.endpoints(), [(1, "10.1.1.1", SIGNAL)])
    yield "doubled attributes: the last one counts", (
        same(here.call(ADD, address("10.1.1.2", attribute(ID, u8(9)), id=8)), "")
        or same(here.endpoints()[1:], [(9, "10.1.1.2", 0)])
    )
    yield "IPv6", same(here.call(ADD, address("fd00::1", flags=SUBFLOW | BACKUP)), "")
    yield "the other namespace has none", same(there.endpoints(), [])
    yield "all 255 IDs can be had", (
        "".join(here.call(ADD, address(f"10.2.{n // 200}.{n % 200}")) for n in range(252))
        or same(len(here.endpoints()), 255)
        or same(here.call(ADD, address("10.3.3.3")), "ERANGE too many endpoints: all 255 IDs are in use")
    )
    yield "all are removed at once", same(here.call(FLUSH, address("10.1.1.1")), "") or same(here.endpoints(), [])
    yield "limits are kept", (
        same(here.call(SET_LIMITS, attribute(RCV_ADD_ADDRS, u32(3)), attribute(SUBFLOWS, u32(64))), "")
        or same(here.call(GET_LIMITS), "")
        or same([dict(attributes(reply)) for reply in here.replies], [{RCV_ADD_ADDRS: u32(3), SUBFLOWS: u32(64)}])
    )
    yield "without privileges endpoints can be seen, not changed", unprivileged(here)


def unprivileged(manager):
    """What is wrong if a process without privileges is not stopped."""
    reader, writer = os.pipe()
    if not os.fork():
        os.setuid(65534)
        result = same(manager.call(ADD, address("10.1.1.1")).split()[0:1], ["EPERM"]) or same(manager.endpoints(), [])
        os.write(writer, result.encode())
        os._exit(0)
    os.close(writer)
    os.wait()
    return os.read(reader, 1000).decode()


class Connection:
    """A connection from the first address of the client to the first one of the server."""

    def __init__(self):
        enter("server")
        listener = socket.create_server((os.environ["server4"], SERVICE), reuse_port=True)
        enter("client")
        self.near = socket.create_connection((os.environ["server4"], SERVICE))
        self.far = listener.accept()[0]
        listener.close()
        self.exchange()

    def exchange(self):
        """A byte there and back."""
        for source, target in ((self.near, self.far), (self.far, self.near)):
            source.send(b"x")
            target.recv(1)

    def close(self):
        self.far.close()
        self.near.close()


def joined():
    """How many subflows the connection has."""
    return subflows(SERVICE)


def connect():
    """What connections do with endpoints: 10.0.2.1 and 10.0.2.2 are the second path."""
    client, server = Manager("client"), Manager("server")
    for manager in (client, server):
        manager.call(FLUSH, address("10.1.1.1"))
        manager.call(SET_LIMITS, attribute(RCV_ADD_ADDRS, u32(1)), attribute(SUBFLOWS, u32(2)))
    connection = Connection()
    yield "without endpoints there is one subflow", same(joined(), 1)
    client.call(ADD, address("10.0.2.1", id=5, flags=SUBFLOW))
    yield "an endpoint that is added leads to a subflow", until(joined, 2)
    client.call(SET_FLAGS, address("10.0.2.1", flags=BACKUP))
    yield "its flags can be changed", same(client.endpoints(), [(5, "10.0.2.1", SUBFLOW | BACKUP)])
    connection.exchange()
    client.call(DEL, address("10.0.2.1", id=5))
    yield "an endpoint that is removed takes its subflow along", until(joined, 1)
    connection.exchange()
    server.call(ADD, address("10.0.2.2", flags=SIGNAL))
    yield "an endpoint that is announced is joined", until(joined, 2)
    connection.exchange()
    server.call(FLUSH, address("10.1.1.1"))
    yield "the peer withdraws it", until(joined, 1)
    connection.exchange()
    connection.close()
    client.call(ADD, address("10.0.2.1", flags=SUBFLOW))
    connection = Connection()
    yield "a connection that begins later uses the endpoint", until(joined, 2)
    connection.exchange()
    connection.close()


def main():
    """See the module's description."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    failed = 0
    for cases in (configure(), connect()):
        for case, problem in cases:
            failed += tap(case, problem)
    print(f"# endpoints complete, {failed} failures")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
