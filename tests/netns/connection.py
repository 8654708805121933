# SPDX-License-Identifier: GPL-2.0
"""A connection from the namespace client to the namespace server: made, used, and asked about."""

import os
import socket
import struct

from common import SECONDS, enter

SOL_MPTCP, MPTCP_INFO, INFO_LEN = 284, 1, 96


def family_of(text):
    """The address family of an address."""
    return socket.AF_INET6 if ":" in text else socket.AF_INET


def info(sock):
    """MPTCP_INFO of a socket: bytes."""
    return sock.getsockopt(SOL_MPTCP, MPTCP_INFO, INFO_LEN)


def token(sock):
    """The token by which this host calls the connection."""
    return struct.unpack_from("I", info(sock), 12)[0]


def listen(port, bound=""):
    """A listener in this namespace, on all addresses of a family if none is given."""
    family = family_of(bound)
    return socket.create_server((bound, port), family=family, backlog=1000, reuse_port=True)


class Connection:
    """A connection to an address of the server, whose listener lives as long."""

    def __init__(self, server, port, listener=None, rounds=8, near=None):
        enter("server")
        self.listener = listener or listen(port, "::" if ":" in server else "")
        enter("client")
        self.near = near or socket.create_connection((server, port), SECONDS)
        self.far = self.listener.accept()[0]
        self.far.settimeout(SECONDS)
        self.wrong = self.exchange(rounds)
        self.near_token, self.far_token = token(self.near), token(self.far)

    def exchange(self, rounds=8):
        """Random bytes there and back; what is wrong if they come out otherwise."""
        for source, target in ((self.near, self.far), (self.far, self.near)):
            for _ in range(rounds):
                data = os.urandom(16000)
                source.sendall(data)
                got = bytearray()
                while len(got) < len(data):
                    more = target.recv(len(data) - len(got))
                    if not more:
                        return f"the connection ended after {len(got)} bytes"
                    got += more
                if got != data:
                    return "the bytes are others"
        return ""

    def subflows(self):
        """How many subflows the client sees."""
        return info(self.near)[80]

    def close(self):
        """Closes it and its listener."""
        for sock in (self.near, self.far, self.listener):
            sock.close()
