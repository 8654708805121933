# SPDX-License-Identifier: GPL-2.0
"""Generic netlink, and the family of path managers, spoken byte by byte, so that requests can be as wrong as may be."""

import errno
import socket
import struct
import time

from common import SECONDS, enter

NETLINK_GENERIC, SOL_NETLINK, ADD_MEMBERSHIP, NETLINK_EXT_ACK = 16, 270, 1, 11
NLMSG_ERROR, NLMSG_DONE = 2, 3
REQUEST, ACK, CAPPED, ACK_TLVS, DUMP, NESTED = 1, 4, 0x100, 0x200, 0x300, 0x8000
# Where the message of a generic family begins, and where its attributes do.
HEADER, BODY = 16, 20
ADD, DEL, GET, FLUSH, SET_LIMITS, GET_LIMITS, SET_FLAGS, ANNOUNCE, REMOVE, CREATE, DESTROY = range(1, 12)
ADDR, RCV_ADD_ADDRS, SUBFLOWS, TOKEN, LOC_ID, ADDR_REMOTE = range(1, 7)
FAMILY, ID, ADDR4, ADDR6, PORT, FLAGS, IF_IDX = range(1, 8)
SIGNAL, SUBFLOW, BACKUP, FULLMESH, IMPLICIT = 1, 2, 4, 8, 16
EVENTS = {1: "CREATED", 2: "ESTABLISHED", 3: "CLOSED", 6: "ANNOUNCED", 7: "REMOVED", 10: "SUB_ESTABLISHED",
          11: "SUB_CLOSED", 13: "SUB_PRIORITY", 15: "LISTENER_CREATED", 16: "LISTENER_CLOSED"}
# The attributes of an event: name, and form of a number; addresses have none.
TOLD = {1: ("token", "I"), 2: ("family", "H"), 3: ("loc_id", "B"), 4: ("rem_id", "B"), 5: ("saddr", ""),
        6: ("saddr", ""), 7: ("daddr", ""), 8: ("daddr", ""), 9: ("sport", "!H"), 10: ("dport", "!H"),
        11: ("backup", "B"), 12: ("error", "B"), 13: ("flags", "H"), 14: ("timeout", "I"), 15: ("if_idx", "i"),
        16: ("reset_reason", "I"), 17: ("reset_flags", "I"), 18: ("server_side", "B")}


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


def address(text, *more, kind=ADDR, **parts):
    """The attribute ADDR of an endpoint, or another one like it."""
    v6 = ":" in text
    inner = [
        attribute(FAMILY, u16(socket.AF_INET6 if v6 else socket.AF_INET)),
        attribute(ADDR6 if v6 else ADDR4, socket.inet_pton(socket.AF_INET6 if v6 else socket.AF_INET, text)),
    ]
    sizes = {"id": (ID, u8), "port": (PORT, u16), "flags": (FLAGS, u32), "dev": (IF_IDX, u32)}
    inner += [attribute(sizes[name][0], sizes[name][1](value)) for name, value in parts.items()]
    return attribute(kind, inner + list(more))


def peer(text, *more, **parts):
    """The attribute ADDR_REMOTE."""
    return address(text, *more, kind=ADDR_REMOTE, **parts)


def named(token):
    """The attribute TOKEN."""
    return attribute(TOKEN, u32(token))


class Netlink:
    """A netlink socket in one namespace."""

    def __init__(self, namespace, protocol):
        enter(namespace)
        self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
        self.sock.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        self.sock.settimeout(SECONDS)
        self.number = 0
        # What the kernel says of the last request, and which attribute it blames; 0 for none.
        self.why, self.blamed = "", 0

    def ask(self, kind, body, flags=ACK, room=1 << 16):
        """Sends a message; returns the errno and each reply."""
        self.number += 1
        message = struct.pack("IHHII", HEADER + len(body), kind, REQUEST | flags, self.number, 0) + body
        self.sock.send(message)
        self.why, self.blamed = "", 0
        replies = []
        while True:
            data, _, truncated, _ = self.sock.recvmsg(room)
            assert not truncated & socket.MSG_TRUNC, f"a message longer than {room} bytes"
            while data:
                size, kind, got, _, _ = struct.unpack_from("IHHII", data)
                part, data = data[HEADER:size], data[(size + 3) & ~3 :]
                if kind not in (NLMSG_DONE, NLMSG_ERROR):
                    replies.append(part)
                    continue
                code = -struct.unpack_from("i", part)[0]
                skipped = 4
                if kind == NLMSG_ERROR:
                    skipped = 20 if got & CAPPED else 4 + ((struct.unpack_from("I", part, 4)[0] + 3) & ~3)
                self.listen_to(dict(attributes(part[skipped:])) if got & ACK_TLVS else {}, message)
                return code, replies

    def listen_to(self, told, message):
        """Takes in why a request is refused."""
        self.why = told.get(1, b"").rstrip(b"\0").decode()
        if 2 in told:
            place = struct.unpack("I", told[2])[0]
            self.blamed = struct.unpack_from("H", message, place + 2)[0] & 0x3FFF
        if 5 in told:
            self.why = f"missing {struct.unpack('I', told[5])[0]}"


class Family(Netlink):
    """A family in one namespace: the first of some names that there is."""

    def __init__(self, namespace, *names):
        super().__init__(namespace, NETLINK_GENERIC)
        self.replies, self.groups = [], {}
        self.family = next(filter(None, map(self.find, names)), 0)

    def find(self, name):
        """The number of a family, 0 if there is none."""
        # Little room, because the kernel makes messages as long as it has seen room for.
        code, replies = self.ask(0x10, struct.pack("BBH", 3, 1, 0) + attribute(2, name), room=1 << 13)
        if code:
            return 0
        told = dict(attributes(replies[0][4:]))
        for _, group in attributes(told.get(7, b"")):
            inner = dict(attributes(group))
            self.groups[inner[1].rstrip(b"\0").decode()] = struct.unpack("I", inner[2])[0]
        return struct.unpack("H", told[1])[0]

    def command(self, command, body, flags=ACK, room=1 << 16):
        """Sends a command; returns the errno, and the attributes of each reply."""
        code, replies = self.ask(self.family, struct.pack("BBH", command, 1, 0) + body, flags, room)
        self.replies = [reply[4:] for reply in replies]
        return code, self.replies

    def call(self, command, *parts, flags=ACK, room=1 << 16):
        """Sends a command; returns the errno by name, and what the kernel says if there is one."""
        code, _ = self.command(command, b"".join(parts), flags, room)
        return f"{errno.errorcode[code]} {self.why}".strip() if code else ""


class Manager(Family):
    """The family of path managers in one namespace."""

    def __init__(self, namespace):
        # Where the kernel has an MPTCP of its own, its family has the other name.
        super().__init__(namespace, b"mptcp_rs_pm\0", b"mptcp_pm\0")

    def endpoints(self, *parts):
        """All endpoints, or with a token the entries of a connection, as (ID, address, flags)."""
        return [place[:3] for place in self.places(*parts)]

    def places(self, *parts):
        """The same as (ID, address, flags, port)."""
        self.call(GET, *parts, flags=DUMP)
        return [described(reply) for reply in self.replies]


def described(reply):
    """What a reply tells of an endpoint: (ID, address, flags, port)."""
    inner = dict(attributes(dict(attributes(reply))[ADDR]))
    family = struct.unpack("H", inner[FAMILY])[0]
    text = socket.inet_ntop(family, inner[ADDR6 if family == socket.AF_INET6 else ADDR4])
    return inner[ID][0], text, struct.unpack("I", inner[FLAGS])[0], struct.unpack("H", inner[PORT])[0]


class Events:
    """What netlink tells of connections and listeners in one namespace from now on."""

    def __init__(self, namespace):
        group = Manager(namespace).groups["mptcp_pm_events"]
        self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC)
        self.sock.bind((0, 0))
        self.sock.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, group)
        # Those that nobody has waited for yet, and all, as (name, attributes).
        self.left, self.seen = [], []

    def wait(self, name, **those):
        """The attributes of the first event with a name and some attributes; those before it stay."""
        end = time.monotonic() + SECONDS
        while True:
            for place, (other, told) in enumerate(self.left):
                if other == name and those.items() <= told.items():
                    del self.left[place]
                    return told
            self.sock.settimeout(max(end - time.monotonic(), 0.01))
            try:
                self.take(self.sock.recv(1 << 16))
            except TimeoutError:
                return f"no {name} with {those} among {self.left}"

    def take(self, message):
        """Takes in a message."""
        told = {}
        for kind, value in attributes(message[BODY:]):
            name, form = TOLD[kind]
            if form:
                told[name] = struct.unpack(form, value)[0]
            else:
                told[name] = socket.inet_ntop(socket.AF_INET if len(value) == 4 else socket.AF_INET6, value)
        event = EVENTS[message[HEADER]], told
        self.left.append(event)
        self.seen.append(event)

    def close(self):
        """Nothing is heard any longer."""
        self.sock.close()
