# SPDX-License-Identifier: GPL-2.0
"""Sends mutated MPTCP segments at established connections and at a listener.

Both endpoints' applications live in this process, one socket in each namespace; the segments come
from a packet socket and carry the live sequence numbers, as those of an attacker who sees the
wire do. Between batches data crosses the attacked connection and a bystander, byte by byte
compared. Prints one TAP line per class of mutation; the shell around it looks at the kernel log.
"""

import argparse
import random
import select
import socket
import struct
import sys
import time

from common import enter, tap

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
CAPABLE, JOIN, DSS, ADD_ADDR, REMOVE_ADDR, PRIO, FAIL, FASTCLOSE, TCPRST = range(9)
# Lengths RFC 8684 gives an option; everything else is wrong.
LENGTHS = {
    CAPABLE: {4, 12, 20, 22, 24},
    JOIN: {12, 16, 24},
    DSS: {4, 8, 12, 14, 16, 18, 20, 22, 24, 26, 28},
    ADD_ADDR: {8, 10, 16, 18, 20, 22, 28, 30},
    REMOVE_ADDR: set(range(4, 41)),
    PRIO: {3, 4},
    FAIL: {12},
    FASTCLOSE: {12},
    TCPRST: {4},
}
PORT = 7000
BATCH = 400
ETH_P_ALL = 3
SO_RCVBUFFORCE = 33
ENOBUFS = 105
# A host that does not exist, for handshakes nobody but this program answers.
GHOST_MAC = bytes.fromhex("020000000099")


class Reset(Exception):
    """The attacked connection ended with a reset."""


class Host:
    """One namespace, its device and its addresses."""

    def __init__(self, name, device, address, protocol):
        self.name, self.device, self.address, self.protocol = name, device, address, protocol
        self.family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.enter()
        self.wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.wire.bind((device, 0))
        self.mac = self.wire.getsockname()[4]

    def enter(self):
        """Sockets made from now on belong to this namespace."""
        enter(self.name)

    def socket(self):
        """A TCP socket as an application of this namespace gets it."""
        self.enter()
        return socket.socket(self.family, socket.SOCK_STREAM, self.protocol)

    def listener(self, backlog):
        """A socket that listens on PORT."""
        listener = self.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self.address, PORT))
        listener.listen(backlog)
        return listener

    def sniffer(self):
        """A packet socket that sees both directions of the device."""
        self.enter()
        sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        sniffer.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        sniffer.bind((self.device, ETH_P_ALL))
        return sniffer


class Way:
    """One direction of a flow: builds its segments, remembers its live numbers."""

    def __init__(self, source, target, sport, dport, source_address=None, source_mac=None):
        address = source_address or source.address
        packed = socket.inet_pton(source.family, address)
        target_packed = socket.inet_pton(target.family, target.address)
        self.wire = source.wire
        self.v6 = source.family == socket.AF_INET6
        self.ethernet = target.mac + (source_mac or source.mac) + (b"\x86\xdd" if self.v6 else b"\x08\x00")
        self.addresses = packed + target_packed
        self.pseudo = int.from_bytes(self.addresses, "big") % 65535 + 6
        self.sport, self.dport = sport, dport
        self.seq = self.ack = self.dsn = self.ssn = self.ts = self.tsecr = 0

    def segment(self, options, flags=ACK, payload=b"", seq=None, ack=None, ports=None, stamp=False):
        """The frame of a segment; options is the block as it is, padded here to a multiple of four."""
        if stamp and len(options) <= 28:
            options = struct.pack("!BBBBII", 1, 1, 8, 10, self.ts, self.tsecr) + options
        options = (options + bytes([1]) * (-len(options) % 4))[:40]
        sport, dport = ports or (self.sport, self.dport)
        tcp = struct.pack(
            "!HHIIBBHHH",
            sport,
            dport,
            (self.seq if seq is None else seq) & 0xFFFFFFFF,
            (self.ack if ack is None else ack) & 0xFFFFFFFF,
            (5 + len(options) // 4) << 4,
            flags,
            8192,
            0,
            0,
        ) + options + payload
        even = tcp if len(tcp) % 2 == 0 else tcp + b"\0"
        # A number modulo 65535 is the ones' complement sum of its 16-bit words.
        check = 65535 - (int.from_bytes(even, "big") + self.pseudo + len(tcp)) % 65535
        tcp = tcp[:16] + check.to_bytes(2, "big") + tcp[18:]
        if self.v6:
            ip = struct.pack("!IHBB", 0x60000000, len(tcp), 6, 64) + self.addresses
        else:
            ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0x4000, 64, 6, 0) + self.addresses
            check = 65535 - int.from_bytes(ip, "big") % 65535
            ip = ip[:10] + check.to_bytes(2, "big") + ip[12:]
        return self.ethernet + ip + tcp

    def put(self, frame):
        """Sends a frame."""
        try:
            self.wire.send(frame)
        except BlockingIOError:
            select.select([], [self.wire], [], 1)
        except OSError as error:
            # A full queue drops a segment, as a wire does.
            if error.errno != ENOBUFS:
                raise

    def send(self, *what, **more):
        """Sends a segment."""
        self.put(self.segment(*what, **more))


def parse(frame):
    """(source port, target port, seq, ack, flags, payload length, options) of a TCP frame, or None."""
    if frame[12:14] == b"\x08\x00" and frame[23] == 6:
        start, end = 14 + (frame[14] & 15) * 4, 14 + int.from_bytes(frame[16:18], "big")
    elif frame[12:14] == b"\x86\xdd" and frame[20] == 6:
        start, end = 54, 54 + int.from_bytes(frame[18:20], "big")
    else:
        return None
    sport, dport, seq, ack, offset, flags = struct.unpack_from("!HHIIBB", frame, start)
    data = start + (offset >> 4) * 4
    return sport, dport, seq, ack, flags, end - data, frame[start + 20 : data]


def options_of(block):
    """Every (kind, bytes) of an option block."""
    while block:
        if block[0] == 1:
            block = block[1:]
            continue
        if block[0] == 0 or len(block) < 2 or not 2 <= block[1] <= len(block):
            return
        yield block[0], block[: block[1]]
        block = block[block[1] :]


def mptcp(subtype, length, rng, low=None):
    """An MPTCP option of a subtype and a length with random contents."""
    option = bytes([30, length]) + rng.randbytes(max(length - 2, 0))
    if length > 2:
        nibble = option[2] & 15 if low is None else low
        option = option[:2] + bytes([subtype << 4 | nibble]) + option[3:]
    return option


def dss(flags, ack=b"", mapping=b"", checksum=b""):
    """A DSS option: flags are F 16, m 8, M 4, a 2, A 1."""
    body = bytes([DSS << 4, flags]) + ack + mapping + checksum
    return bytes([30, len(body) + 2]) + body


def mapped_end(option):
    """The subflow sequence number behind the bytes that a DSS option maps."""
    start = 4 + (option[3] & 1) * (4 + (option[3] & 2) * 2) + (8 if option[3] & 8 else 4)
    return int.from_bytes(option[start : start + 4], "big") + int.from_bytes(option[start + 4 : start + 6], "big")


class Connection:
    """A connection between the two hosts whose bytes are compared at every step."""

    def __init__(self, test, patience=10):
        self.test = test
        self.near = test.client.socket()
        self.near.settimeout(10)
        self.near.connect((test.server.address, PORT))
        port = self.near.getsockname()[1]
        self.far = test.accept(port)
        self.ways = (Way(test.client, test.server, port, PORT), Way(test.server, test.client, PORT, port))
        self.speaks_mptcp = False
        self.patience = 10
        self.exchange()
        self.patience = patience
        self.near.settimeout(patience)
        self.far.settimeout(patience)

    def exchange(self, size=3000):
        """Random bytes there and back; Reset when the connection is gone."""
        for source, target in ((self.near, self.far), (self.far, self.near)):
            data = self.test.rng.randbytes(size)
            try:
                source.sendall(data)
                got = b""
                while len(got) < size:
                    part = target.recv(size - len(got))
                    if not part:
                        raise Reset("ended")
                    got += part
            except (ConnectionError, TimeoutError) as error:
                if isinstance(error, TimeoutError):
                    raise RuntimeError(f"stuck: {len(got)} of {size} bytes came in {self.patience} s") from error
                raise Reset(str(error)) from error
            if got != data:
                raise RuntimeError("corrupt: the bytes that came are not those that were sent")

    def learn(self):
        """Reads the live numbers of both directions off the wire."""
        sniffer = self.test.client.sniffer()
        self.speaks_mptcp = False
        try:
            self.exchange()
            out, back = self.ways
            deadline = time.monotonic() + 10
            while True:
                ready = select.select([sniffer], [], [], 0.05)[0]
                if not ready and out.seq == back.ack and back.seq == out.ack:
                    return
                if time.monotonic() > deadline:
                    raise RuntimeError(f"stuck: the two ends do not agree: {out.seq} {back.ack} {back.seq} {out.ack}")
                if not ready:
                    # An acknowledgement was merged away: have both sent again.
                    self.exchange(100)
                    continue
                segment = parse(sniffer.recv(70000))
                if not segment or out.sport not in segment[:2]:
                    continue
                sport, _, seq, ack, flags, length, block = segment
                if flags & RST:
                    raise Reset("a reset on the wire")
                way, other = (out, back) if sport == out.sport else (back, out)
                way.seq = (seq + length) & 0xFFFFFFFF
                way.ack = ack
                for kind, option in options_of(block):
                    if kind == 8:
                        way.ts, way.tsecr = struct.unpack("!II", option[2:10])
                    elif kind == 30 and option[2] >> 4 == DSS:
                        self.speaks_mptcp = True
                        if option[3] & 3 == 3:
                            other.dsn = int.from_bytes(option[4:12], "big")
                        elif option[3] & 1:
                            other.dsn = int.from_bytes(option[4:8], "big")
                        if option[3] & 4:
                            way.ssn = mapped_end(option)
        finally:
            sniffer.close()

    def close(self):
        """Both ends, without TIME_WAIT."""
        for end in (self.near, self.far):
            try:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            except OSError:
                pass
            end.close()


# What one segment of a class at an established connection is: (way, rng) -> arguments of Way.send.


def wrong_length(_, rng):
    """A known subtype with a length it cannot have."""
    subtype = rng.choice([s for s in LENGTHS if s != REMOVE_ADDR])
    length = rng.choice([n for n in range(3, 41) if n not in LENGTHS[subtype]])
    return {"options": mptcp(subtype, length, rng)}


def unknown_subtype(_, rng):
    """A subtype no RFC defines, or the experimental one."""
    return {"options": mptcp(rng.randrange(9, 16), rng.randrange(3, 41), rng)}


def truncated(_, rng):
    """An option that ends after the header does, or whose length is 0 to 2."""
    subtype = rng.randrange(0, 16)
    whole = mptcp(subtype, rng.choice([8, 12, 20, 24, 40]), rng)
    cut = whole[: rng.choice([n for n in range(4, len(whole), 4)])]
    short = bytes([30, rng.randrange(0, 3)]) + bytes([subtype << 4]) + rng.randbytes(5)
    return {"options": rng.choice([cut, short, b"\x01" * 3 + b"\x1e", b"\x01\x01\x1e\x28"])}


def dss_flags(way, rng):
    """DSS whose flags and length disagree, reserved flags set."""
    flags = rng.randrange(256)
    want = 4 + (flags & 1) * (4 + 4 * (flags >> 1 & 1)) + (flags >> 2 & 1) * (10 + 4 * (flags >> 3 & 1))
    length = rng.choice([n for n in range(4, 41) if n not in (want, want + 2)])
    return {"options": bytes([30, length, DSS << 4 | rng.randrange(16), flags]) + rng.randbytes(length - 4)}


def data_ack_window(way, rng):
    """A Data ACK of what was never sent, or of long ago."""
    if rng.random() < 0.5:
        return {"options": dss(3, struct.pack("!Q", way.dsn + rng.randrange(1 << 40, 1 << 63) & (1 << 64) - 1))}
    return {"options": dss(1, struct.pack("!I", way.dsn + rng.randrange(1 << 30, 3 << 30) & 0xFFFFFFFF))}


def mapping_window(way, rng):
    """A mapping, or a DATA_FIN, far outside the window of the data level."""
    number = way.dsn + rng.randrange(1 << 33, 1 << 62) & (1 << 64) - 1
    flags = rng.choice([0xC, 0x1C])
    # A subflow sequence number far off, relative as the mapping has it.
    mapping = struct.pack("!QIH", number, rng.randrange(1 << 29, 1 << 31), rng.choice([1, 2, 1000, 65535]))
    return {"options": dss(flags, b"", mapping, rng.choice([b"", rng.randbytes(2)]))}


def old_payload(way, rng):
    """Bytes that came long ago, with another mapping and a wrong checksum."""
    length = rng.randrange(1, 100)
    number = way.dsn + rng.randrange(1 << 33, 1 << 62) & (1 << 64) - 1
    mapping = struct.pack("!QIH", number, rng.randrange(1, 2000), length)
    return {
        "options": dss(0xC, b"", mapping, rng.choice([b"", rng.randbytes(2)])),
        "payload": rng.randbytes(length),
        "seq": way.seq - length - rng.randrange(0, 1000),
        "flags": ACK | PSH,
    }


def payload_window(way, rng):
    """Bytes beyond the receive window."""
    return {
        "options": dss(0xC, b"", struct.pack("!QIH", way.dsn, rng.randrange(1, 2000), 50)),
        "payload": rng.randbytes(50),
        "seq": way.seq + rng.randrange(1 << 29, 1 << 30),
    }


def duplicated(way, rng):
    """Two options of one kind, or two that exclude each other."""
    ack = dss(3, struct.pack("!Q", way.dsn + (1 << 50) & (1 << 64) - 1))
    one = [
        ack,
        mptcp(ADD_ADDR, 16, rng, 0),
        mptcp(CAPABLE, 20, rng, 1),
        mptcp(JOIN, 16, rng),
        mptcp(FASTCLOSE, 12, rng),
        mptcp(TCPRST, 4, rng),
        mptcp(PRIO, 3, rng),
    ]
    return {"options": (rng.choice(one) + rng.choice(one) + rng.choice(one))[:40]}


def add_addr(_, rng):
    """An address announced with a forged HMAC, or an echo nobody waits for."""
    return {"options": mptcp(ADD_ADDR, rng.choice([8, 10, 16, 18, 20, 22, 28, 30]), rng)}


def remove_addr(_, rng):
    """Addresses removed that do not exist."""
    count = rng.randrange(1, 20)
    ids = bytes(rng.randrange(32, 256) for _ in range(count))
    return {"options": bytes([30, 3 + count, REMOVE_ADDR << 4]) + ids}


def prio(_, rng):
    """Priorities, also for addresses that do not exist."""
    return {"options": mptcp(PRIO, rng.choice([3, 4]), rng)}


def fastclose(_, rng):
    """MP_FASTCLOSE with a wrong key, MP_TCPRST on a segment that is no reset."""
    return {"options": rng.choice([mptcp(FASTCLOSE, 12, rng), mptcp(TCPRST, 4, rng)])}


def handshake(_, rng):
    """MP_CAPABLE of every version and MP_JOIN, long after the handshake."""
    subtype = rng.choice([CAPABLE, JOIN])
    return {"options": mptcp(subtype, rng.choice(sorted(LENGTHS[subtype])), rng)}


def syn_in_window(way, rng):
    """SYN and SYN-ACK with MPTCP options inside the window."""
    return {**handshake(way, rng), "flags": rng.choice([SYN, SYN | ACK])}


def reset_elsewhere(way, rng):
    """A reset with MPTCP options in the window, but not at its left edge."""
    return {**fastclose(way, rng), "flags": rng.choice([RST, RST | ACK]), "seq": way.seq + rng.randrange(1, 8000)}


def garbage(_, rng):
    """Random bytes as options."""
    return {"options": rng.randbytes(rng.randrange(1, 11) * 4)}


def mp_fail(way, rng):
    """MP_FAIL that nothing caused: the RFC lets the connection fall back or end."""
    return {"options": bytes([30, 12, FAIL << 4, 0]) + struct.pack("!Q", way.dsn)}


def injected(way, rng):
    """Bytes inside the window, as only somebody on the path can send them; what comes then is open."""
    length = rng.randrange(1, 60)
    mapping = struct.pack("!QIH", way.dsn + rng.choice([0, 1, 1 << 20, 1 << 40]) & (1 << 64) - 1, rng.randrange(1 << 16), rng.choice([0, 1, length, 9000]))
    return {
        "options": rng.choice([b"", dss(0xC, b"", mapping), dss(0xC, b"", mapping, b"xx"), dss(0x1C, b"", mapping)]),
        "payload": rng.choice([b"", rng.randbytes(length)]),
        "seq": way.seq + rng.choice([0, 0, 0, 1, 100]),
    }


INTACT, EITHER, OPEN = "intact", "intact or reset", "anything"
ESTABLISHED = [
    (wrong_length, INTACT),
    (unknown_subtype, INTACT),
    (truncated, INTACT),
    (dss_flags, INTACT),
    (data_ack_window, INTACT),
    (mapping_window, INTACT),
    (old_payload, INTACT),
    (payload_window, INTACT),
    (duplicated, INTACT),
    (add_addr, INTACT),
    (remove_addr, INTACT),
    (prio, INTACT),
    (fastclose, INTACT),
    (handshake, INTACT),
    (syn_in_window, INTACT),
    (reset_elsewhere, INTACT),
    (garbage, INTACT),
    (mp_fail, EITHER),
    (injected, OPEN),
]


# The same for a listener; ports change with every segment.


def syn_version(_, rng):
    """MP_CAPABLE of other versions, other flags."""
    return {"options": bytes([30, 4, CAPABLE << 4 | rng.choice([0] + list(range(2, 16))), rng.randrange(256)])}


def syn_length(_, rng):
    """MP_CAPABLE and MP_JOIN of lengths a SYN does not have."""
    return {"options": mptcp(rng.choice([CAPABLE, JOIN]), rng.choice([n for n in range(3, 41) if n not in (4, 12)]), rng)}


def syn_join(_, rng):
    """MP_JOIN with a token nobody has."""
    return {"options": mptcp(JOIN, 12, rng)}


def syn_twice(_, rng):
    """Two options where one may be."""
    capable = bytes([30, 4, CAPABLE << 4 | 1, rng.choice([1, 0x81])])
    other = [capable, mptcp(JOIN, 12, rng), mptcp(DSS, 12, rng), mptcp(ADD_ADDR, 8, rng)]
    both = [capable, rng.choice(other)]
    rng.shuffle(both)
    return {"options": b"".join(both)}


def syn_subtype(_, rng):
    """Options that do not belong on a SYN."""
    return {"options": mptcp(rng.randrange(2, 16), rng.randrange(3, 41), rng)}


def syn_garbage(way, rng):
    """Random bytes as the options of a SYN, or cut options."""
    return rng.choice([garbage, truncated])(way, rng)


def stray(way, rng):
    """No SYN: segments of no connection at all."""
    made = rng.choice([handshake, dss_flags, fastclose, add_addr])(way, rng)
    return {**made, "flags": rng.choice([ACK, ACK | FIN, SYN | ACK, RST | ACK, ACK | PSH, 0])}


LISTENER = [syn_version, syn_length, syn_join, syn_twice, syn_subtype, syn_garbage, stray]


def third_ack(server_key, rng):
    """Options for the segment that ends a handshake: all wrong in some way."""
    key = rng.randbytes(8)
    return rng.choice(
        [
            b"",
            bytes([30, 20, 1, 1]) + key + rng.randbytes(8),
            bytes([30, 20, 1, 1]) + key + server_key,
            bytes([30, 22, 1, 1]) + key + server_key + rng.randbytes(2),
            bytes([30, 24, 1, 0x81]) + key + server_key + rng.randbytes(4),
            bytes([30, 20, 1, 1]) + bytes(8) + server_key,
            bytes([30, 20, 2, 1]) + key + server_key,
            bytes([30, 12, 1, 1]) + key,
            mptcp(CAPABLE, rng.randrange(5, 41), rng, 1),
            mptcp(JOIN, 24, rng),
            mptcp(DSS, 20, rng),
            mptcp(FASTCLOSE, 12, rng),
            mptcp(rng.randrange(16), rng.randrange(3, 41), rng),
        ]
    )


class Test:
    """The whole attack between two hosts."""

    def __init__(self, args):
        self.rng = random.Random(args.seed)
        self.client = Host("client", "c1", args.client, args.client_protocol)
        self.server = Host("server", "s1", args.server, args.server_protocol)
        self.in_tree = args.client_protocol or args.server_protocol
        self.ghost = args.ghost
        self.listener = self.server.listener(4096)
        self.prefix = args.prefix
        self.sent = 0
        self.failed = 0
        self.bystander = Connection(self)
        self.bystander.learn()
        self.report("the two ends speak MPTCP", "" if self.bystander.speaks_mptcp else "no DSS option on the wire")

    def report(self, what, problem, note=""):
        """One TAP line."""
        self.failed += tap(f"{self.prefix}{what}{note}", problem)

    def accept(self, port):
        """The connection from that port; others, which the attack made, are closed."""
        self.listener.settimeout(10)
        while True:
            far, peer = self.listener.accept()
            if peer[1] == port:
                far.settimeout(10)
                return far
            far.close()

    def drain(self):
        """Closes what the attack made the listener accept."""
        self.listener.settimeout(0)
        while True:
            try:
                far = self.listener.accept()[0]
            except OSError:
                return
            far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            far.close()

    def attack_established(self, make, verdict, count):
        """Count segments of one class, half in each direction."""
        resets, problem, done = 0, "", 0
        patience = 1 if verdict == OPEN else 10
        each_way = {INTACT: BATCH, EITHER: 40, OPEN: 4}[verdict] // 2
        victim = Connection(self, patience)
        while done < count and not problem:
            try:
                victim.learn()
                for way in victim.ways:
                    for number in range(each_way):
                        way.send(stamp=bool(number % 4), **make(way, self.rng))
                done += 2 * each_way
                victim.exchange()
                if verdict == INTACT:
                    victim.learn()
                    if not victim.speaks_mptcp:
                        problem = "the attacked connection fell back"
            except Reset as reset:
                resets += 1
                if verdict == INTACT:
                    problem = f"the connection ended: {reset}"
            except RuntimeError as error:
                if verdict != OPEN:
                    problem = str(error)
            if verdict != INTACT:
                victim.close()
                victim = Connection(self, patience)
            try:
                self.bystander.exchange(500)
            except (Reset, RuntimeError) as error:
                problem = f"the bystander: {error}"
                self.bystander = Connection(self)
        victim.close()
        self.sent += done
        note = f": {done} segments, {resets} resets" if resets else f": {done} segments"
        self.report(f"established, {make.__name__.replace('_', ' ')}", problem, note)

    def check_listener(self, what, count):
        """The listener still takes connections and the bystander lives."""
        self.drain()
        problem = ""
        try:
            self.bystander.learn()
            if not self.bystander.speaks_mptcp:
                problem = "the bystander fell back"
            fresh = Connection(self)
            fresh.learn()
            if not fresh.speaks_mptcp:
                problem = "a new connection does not get MPTCP any more"
            fresh.close()
        except (Reset, RuntimeError, OSError) as error:
            problem = str(error)
        self.sent += count
        self.report(f"listener, {what}: {count} segments", problem)

    def attack_listener(self, make, count):
        """SYNs and strays from the client's own address: its TCP resets what the server answers."""
        way = Way(self.client, self.server, 0, PORT)
        for number in range(count):
            made = make(way, self.rng)
            made.setdefault("flags", SYN)
            way.send(ports=(10000 + number % 20000, PORT), seq=self.rng.getrandbits(32), **made)
            if number % BATCH == 0:
                self.drain()
        self.check_listener(make.__name__.replace("_", " "), count)

    def attack_handshake(self, count):
        """Handshakes from a host that does not exist, with a wrong third segment and wrong data."""
        way = Way(self.client, self.server, 0, PORT, self.ghost, GHOST_MAC)
        sent = 0
        port = 30000
        while sent < count:
            sniffer = self.client.sniffer()
            opened = {}
            for _ in range(50):
                port = port + 1 if port < 60000 else 30000
                opened[port] = self.rng.getrandbits(32)
                way.send(bytes([30, 4, 1, self.rng.choice([1, 0x81])]), SYN, seq=opened[port], ports=(port, PORT))
                sent += 1
            answers = {}
            while len(answers) < len(opened) and select.select([sniffer], [], [], 0.5)[0]:
                segment = parse(sniffer.recv(70000))
                if not segment or segment[4] & (SYN | ACK) != SYN | ACK or segment[1] not in opened:
                    continue
                keys = [o[4:12] for k, o in options_of(segment[6]) if k == 30 and len(o) == 12]
                answers[segment[1]] = segment[2] + 1, keys[0] if keys else bytes(8)
            sniffer.close()
            for flow, (ack, key) in answers.items():
                seq = opened[flow] + 1
                payload = self.rng.choice([b"", b"x", self.rng.randbytes(100)])
                way.send(third_ack(key, self.rng), ACK, payload, seq, ack, (flow, PORT))
                made = self.rng.choice([injected, wrong_length, duplicated, mapping_window, truncated])(way, self.rng)
                made.update(seq=seq + len(payload), ack=ack, ports=(flow, PORT))
                way.send(**made)
                sent += 2
            self.drain()
            for flow, seq in opened.items():
                # At the left edge wherever that is by now: what was taken can be 0 to 160 bytes.
                for taken in range(0, 162) if flow % 10 == 0 else (0, 1, 100):
                    way.send(b"", RST, seq=seq + 1 + taken, ports=(flow, PORT))
        self.check_listener("third segment", sent)

    def run(self, segments):
        """All classes, sharing the segments equally."""
        each = segments // (len(ESTABLISHED) - 2 + len(LISTENER) + 1) + 1
        for make, verdict in ESTABLISHED:
            # The kernel's own MPTCP hangs when both ends are told of a failure that did not happen.
            if verdict == EITHER and self.in_tree:
                verdict = OPEN
            self.attack_established(make, verdict, {INTACT: each, EITHER: each // 10, OPEN: each // 40}[verdict])
        for make in LISTENER:
            self.attack_listener(make, each)
        self.attack_handshake(each)
        # Classes that need a connection per batch send less; another one fills up.
        if self.sent < segments:
            self.attack_established(garbage, INTACT, segments - self.sent)
        self.bystander.close()
        self.listener.close()
        print(f"# {self.sent} segments, {self.failed} failures")
        return self.failed != 0


def main():
    """See the module's description."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--client", required=True)
    parser.add_argument("--server", required=True)
    parser.add_argument("--ghost", required=True, help="an address of the server's link that nobody has")
    parser.add_argument("--client-protocol", type=int, default=0)
    parser.add_argument("--server-protocol", type=int, default=0)
    parser.add_argument("--segments", type=int, default=100000)
    parser.add_argument("--seed", type=int, default=8684)
    parser.add_argument("--prefix", default="")
    args = parser.parse_args()
    return Test(args).run(args.segments)


if __name__ == "__main__":
    sys.exit(main())
