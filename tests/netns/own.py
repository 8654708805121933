# SPDX-License-Identifier: GPL-2.0
"""The netlink family of mptcp_rs: its commands, and what it tells."""

import os
import socket
import struct

from common import same, until
from connection import Connection, info
from genl import DUMP, Family, attribute, attributes, u32

CONNECTION_GET, CONNECTION_KILL, SUBFLOW_GET, SUBFLOW_KILL, INTERFACE_GET, INTERFACE_SET = range(1, 7)
# The first attributes of connections and subflows are the token; of subflows the second one is the number.
TOKEN, ID, IF_INDEX, POLICY = 1, 2, 1, 3
CLIENT, JOINABLE, FALLBACK, CHECKSUM, ORPHAN = 1, 2, 4, 8, 16
INITIAL, ACCEPTED, ESTABLISHED, BACKUP_LOCAL, BACKUP_PEER, STALE, PROBING = 1, 2, 4, 8, 16, 32, 64
ON, OFF, BACKUP = range(3)
# What is told: the names of the attributes from 1 on. Numbers are as long as they are; ports are in network order.
NAMES = {
    CONNECTION_GET: (
        "token peer_token family local_addr local_port peer_addr peer_port state flags subflows path_manager scheduler "
        "bytes_sent bytes_acked bytes_received bytes_reinjected write_seq snd_una rcv_nxt last_data_sent "
        "last_data_received last_ack_received inode uid"
    ).split(),
    SUBFLOW_GET: (
        "token id local_id peer_id local_addr local_port peer_addr peer_port if_index state flags rtt rtt_var cwnd mss "
        "delivery_rate bytes_sent bytes_acked bytes_received bytes_retransmitted bytes_unsent"
    ).split(),
    INTERFACE_GET: "if_index name policy".split(),
}
# Those of the client.
ADDRESSES = "10.0.1.1", "10.0.2.1", "fd00:1::1", "fd00:2::1"
TEXTS = "path_manager", "scheduler", "name"
FORMS = {1: "B", 2: "!H", 4: "I", 8: "Q"}


def token_of(number):
    """The attribute TOKEN."""
    return attribute(TOKEN, u32(number))


def named(number, subflow):
    """The attributes TOKEN and ID."""
    return token_of(number) + attribute(ID, u32(subflow))


def interface(index, policy=None):
    """The attributes IF_INDEX and POLICY."""
    return attribute(IF_INDEX, u32(index)) + (attribute(POLICY, u32(policy)) if policy is not None else b"")


def told(command, reply):
    """What a reply tells, by name."""
    result = {}
    for kind, value in attributes(reply):
        name = NAMES[command][kind - 1]
        assert name not in result, f"{name} twice"
        if name in TEXTS:
            result[name] = value.rstrip(b"\0").decode()
        elif name.endswith("_addr"):
            result[name] = socket.inet_ntop(socket.AF_INET if len(value) == 4 else socket.AF_INET6, value)
        else:
            result[name] = struct.unpack(FORMS[len(value)], value)[0]
    return result


class Own(Family):
    """The family in one namespace."""

    def __init__(self, namespace):
        super().__init__(namespace, b"mptcp_rs\0")

    def one(self, command, *parts):
        """What there is to tell of one thing; the error if it is refused."""
        return self.call(command, *parts) or told(command, self.replies[0])

    def all(self, command, *parts, room=1 << 16):
        """What there is to tell of all."""
        wrong = self.call(command, *parts, flags=DUMP, room=room)
        assert not wrong, wrong
        return [told(command, reply) for reply in self.replies]

    def connection(self, number):
        """The connection with a token."""
        return self.one(CONNECTION_GET, token_of(number))

    def subflows(self, number):
        """The working subflows of the connection with a token, by the addresses of the client."""
        ends = "local_addr", "peer_addr"
        return {
            next(one[end] for end in ends if one[end] in ADDRESSES): one
            for one in self.all(SUBFLOW_GET, token_of(number)) if one["flags"] & ESTABLISHED
        }

    def policies(self):
        """The policy of each interface."""
        return {one["name"]: one["policy"] for one in self.all(INTERFACE_GET)}


class Known(Connection):
    """A connection of which both hosts are asked."""

    def __init__(self, near, far, server, port, listener=None):
        super().__init__(server, port, listener)
        self.asked, self.asked_far = near, far

    def has(self, count):
        """What is wrong unless there will be so many working subflows at both ends, on which data flows."""
        return self.wrong or until(
            lambda: (len(self.asked.subflows(self.near_token)), len(self.asked_far.subflows(self.far_token))), (count, count)
        ) or self.exchange()

    def differs(self, own, sock, number, peer):
        """What is wrong unless the family tells of one end what its socket knows."""
        got, known = own.connection(number), info(sock)
        wanted = {
            "token": number, "peer_token": peer, "family": int(sock.family), "state": 1, "subflows": known[80],
            "local_port": sock.getsockname()[1], "peer_port": sock.getpeername()[1],
            "inode": os.fstat(sock.fileno()).st_ino, "uid": 0,
        }
        wanted.update(zip(("write_seq", "snd_una", "rcv_nxt"), struct.unpack_from("3Q", known, 16)))
        amounts = "bytes_reinjected", "bytes_sent", "bytes_received", "bytes_acked"
        wanted.update(zip(amounts, struct.unpack_from("4Q", known, 48)))
        return same({name: got[name] for name in wanted}, wanted)
