# SPDX-License-Identifier: GPL-2.0
"""Reads a capture of `tcpdump -i any -y LINUX_SLL2` at the client: which subflows a connection had, whether
their handshakes are right by RFC 8684 (tokens and codes are computed from the keys seen), and what each carried.
"""
import hashlib
import hmac
import socket
import struct

CAPABLE, JOIN, DSS, ADD_ADDR, REMOVE_ADDR, PRIO, FAIL, FASTCLOSE, RST = range(9)
FIN_FLAG, SYN_FLAG, RST_FLAG, ACK_FLAG = 1, 2, 4, 16


class Subflow:
    """One TCP connection of the capture; `up` is what the client sent."""

    def __init__(self, local, peer, began):
        self.local, self.peer, self.began = local, peer, began
        self.interface = None
        self.joins = False
        self.backup = False
        self.keys = {}
        self.syn = self.synack = self.ack = None
        self.established = False
        self.sent = {True: [], False: []}  # (time, interface, bytes, whether new) of each segment with data, by `up`
        self.edge = {}
        self.dss = {True: 0, False: 0}
        self.resets = []
        self.finished = set()

    @property
    def family(self):
        """4 or 6."""
        return 6 if ":" in self.local[0] else 4

    def carried(self, up, since=0.0, until=float("inf"), interface=None, new=False):
        """Bytes of data in one direction, retransmissions included unless only new ones are asked for."""
        return sum(size for when, where, size, fresh in self.sent[up]
                   if since <= when < until and interface in (None, where) and (fresh or not new))


class Wire:
    """All subflows of a capture and the address signals on them."""

    def __init__(self, capture, interfaces):
        self.interfaces = interfaces
        self.subflows = {}
        self.announced = []  # (address, port or None, echo, sent by the client)
        self.removed = 0
        self.prio = []  # (time, sent by the client, backup)
        self.fastclose = 0
        self.fail = 0
        for when, frame in records(capture):
            self.frame(when, frame)

    def frame(self, when, frame):
        """One frame with its LINUX_SLL2 header."""
        ethertype, index, kind = struct.unpack_from(">H2xI2xB", frame)
        up = kind == 4
        if ethertype == 0x0800:
            header, length = (frame[20] & 15) * 4, struct.unpack_from(">H", frame, 22)[0]
            protocol, source, target = frame[29], frame[32:36], frame[36:40]
            family = socket.AF_INET
        elif ethertype == 0x86DD:
            header, length = 40, struct.unpack_from(">H", frame, 24)[0] + 40
            protocol, source, target = frame[26], frame[28:44], frame[44:60]
            family = socket.AF_INET6
        else:
            return
        if protocol != socket.IPPROTO_TCP:
            return
        at = 20 + header
        ports = struct.unpack_from(">HH", frame, at)
        seq, = struct.unpack_from(">I", frame, at + 4)
        offset, flags = (frame[at + 12] >> 4) * 4, frame[at + 13]
        ends = [(socket.inet_ntop(family, address), port) for address, port in zip((source, target), ports)]
        key = tuple(ends if up else reversed(ends))
        if flags & SYN_FLAG and not flags & ACK_FLAG and up and key not in self.subflows:
            self.subflows[key] = Subflow(*key, when)
        subflow = self.subflows.get(key)
        if subflow is None:
            return
        interface = self.interfaces.get(index, index)
        subflow.interface = subflow.interface or interface
        size = length - header - offset
        if size and not flags & SYN_FLAG:
            edge = subflow.edge.setdefault(up, seq)
            fresh = (seq - edge) & 0xFFFFFFFF < 1 << 31
            subflow.sent[up].append((when, interface, size, fresh))
            if fresh:
                subflow.edge[up] = (seq + size) & 0xFFFFFFFF
        if flags & RST_FLAG:
            subflow.resets.append((when, up))
        if flags & FIN_FLAG:
            subflow.finished.add(up)
        for option in mptcp_options(frame[at + 20 : at + offset]):
            self.option(subflow, when, up, flags, option)

    def option(self, subflow, when, up, flags, option):
        """One MPTCP option, from its kind byte on."""
        subtype, length = option[2] >> 4, option[1]
        if subtype == CAPABLE:
            if flags & SYN_FLAG and flags & ACK_FLAG and length == 12:
                subflow.keys["server"] = option[4:12]
                subflow.synack = option
            elif length >= 20 and up:
                subflow.keys["client"], subflow.keys["server"] = option[4:12], option[12:20]
                subflow.ack = option
            elif flags & SYN_FLAG:
                subflow.syn = option
        elif subtype == JOIN:
            subflow.joins = True
            if length == 12:
                subflow.syn = option
                subflow.backup |= bool(option[2] & 1)
            elif length == 16:
                subflow.synack = option
            elif length == 24:
                subflow.ack = option
        elif subtype == DSS:
            subflow.dss[up] += 1
            if not up:
                # The server shows that it has the third ACK's key, or the joining subflow's fourth ACK.
                subflow.established = True
        elif subtype == ADD_ADDR:
            echo, six = bool(option[2] & 1), length in (20, 22, 28, 30)
            address = option[4 : 20 if six else 8]
            self.announced.append((socket.inet_ntop(socket.AF_INET6 if six else socket.AF_INET, address), echo, up))
        elif subtype == REMOVE_ADDR:
            self.removed += 1
        elif subtype == PRIO:
            self.prio.append((when, up, bool(option[2] & 1)))
        elif subtype == FASTCLOSE:
            self.fastclose += 1
        elif subtype == FAIL:
            self.fail += 1

    @property
    def first(self):
        """The subflow that began the connection, if its handshake is complete."""
        for subflow in self.subflows.values():
            if subflow.syn and subflow.synack and subflow.ack and not subflow.joins:
                return subflow
        return None

    def joined(self):
        """Subflows whose MP_JOIN handshakes are complete and carry the right token and codes."""
        if not self.first:
            return []
        client, server = self.first.keys["client"], self.first.keys["server"]
        token = hashlib.sha256(server).digest()[:4]
        right = []
        for subflow in self.subflows.values():
            if not (subflow.joins and subflow.syn and subflow.synack and subflow.ack):
                continue
            nonce, answer = subflow.syn[8:12], subflow.synack[12:16]
            if (subflow.syn[4:8] == token
                    and subflow.synack[4:12] == code(server + client, answer + nonce)[:8]
                    and subflow.ack[4:24] == code(client + server, nonce + answer)[:20]):
                right.append(subflow)
        return right

    def members(self):
        """The first subflow and those that joined."""
        return ([self.first] if self.first else []) + self.joined()

    def carried(self, up, interface, **limits):
        """Bytes of data on an interface in one direction."""
        return sum(subflow.carried(up, interface=interface, **limits) for subflow in self.members())

    def __str__(self):
        lines = []
        for subflow in self.subflows.values():
            seen = " ".join("yes" if part else "no" for part in (subflow.syn, subflow.synack, subflow.ack))
            lines.append(f"{subflow.local[0]}:{subflow.local[1]} > {subflow.peer[0]} on {subflow.interface}: "
                         f"{'MP_JOIN' if subflow.joins else 'MP_CAPABLE'} SYN, SYN-ACK, ACK: {seen}, "
                         f"{'right, ' if subflow in self.members() else 'WRONG, '}"
                         f"up {subflow.carried(True)} down {subflow.carried(False)} resets {len(subflow.resets)}")
        return "\n".join(lines) or "no connection in the capture"


def code(key, message):
    """HMAC-SHA256."""
    return hmac.new(key, message, hashlib.sha256).digest()


def records(capture):
    """Yields (time, bytes) of a piece of a pcap file without its head."""
    at = 0
    while at + 16 <= len(capture):
        seconds, micros, size = struct.unpack_from("=III", capture, at)
        at += 16
        if at + size > len(capture):
            return
        yield seconds + micros * 1e-6, capture[at : at + size]
        at += size


def mptcp_options(options):
    """Yields the MPTCP options of a TCP header."""
    at = 0
    while at < len(options) and options[at]:
        if options[at] == 1:
            at += 1
            continue
        size = options[at + 1] if at + 1 < len(options) else 0
        if size < 2 or at + size > len(options):
            return
        if options[at] == 30 and size >= 3:
            yield options[at : at + size]
        at += size
