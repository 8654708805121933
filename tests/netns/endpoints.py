# SPDX-License-Identifier: GPL-2.0
"""Configures endpoints by generic netlink, rightly and wrongly, and shows what connections do with them.

Prints one TAP line for each case.
"""

import argparse
import socket
import struct
import sys

from common import report, same, subflows, unprivileged, until
from connection import Connection
from genl import (
    ADD, ADDR, ADDR6, ANNOUNCE, BACKUP, CREATE, DEL, DESTROY, FAMILY, FLAGS, FLUSH, FULLMESH, GET, GET_LIMITS, ID,
    IMPLICIT, LOC_ID, NESTED, RCV_ADD_ADDRS, REMOVE, SET_FLAGS, SET_LIMITS, SIGNAL, SUBFLOW, SUBFLOWS, TOKEN,
    Manager, address, attribute, attributes, peer, u8, u16, u32,
)

SERVICE, SERVER = 7100, "10.0.1.2"

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
    ("no token for a subflow", CREATE, [address("10.1.1.1"), peer("10.1.1.2")], "EINVAL missing 4"),
    ("no token for the end of a subflow", DESTROY, [address("10.1.1.1"), peer("10.1.1.2")], "EINVAL missing 4"),
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
    yield "without privileges endpoints can be seen, not changed", unprivileged(
        lambda: same(here.call(ADD, address("10.1.1.1")).split()[:1], ["EPERM"]) or same(here.endpoints(), [])
    )


def joined():
    """How many subflows the connection has."""
    return subflows(SERVICE)


def connect():
    """What connections do with endpoints: 10.0.2.1 and 10.0.2.2 are the second path."""
    client, server = Manager("client"), Manager("server")
    for manager in (client, server):
        manager.call(FLUSH, address("10.1.1.1"))
        manager.call(SET_LIMITS, attribute(RCV_ADD_ADDRS, u32(1)), attribute(SUBFLOWS, u32(2)))
    connection = Connection(SERVER, SERVICE)
    yield "without endpoints there is one subflow", same(joined(), 1)
    client.call(ADD, address("10.0.2.1", id=5, flags=SUBFLOW))
    yield "an endpoint that is added leads to a subflow", until(joined, 2) or connection.exchange()
    client.call(SET_FLAGS, address("10.0.2.1", flags=BACKUP))
    yield "its flags can be changed", same(client.endpoints(), [(5, "10.0.2.1", SUBFLOW | BACKUP)])
    client.call(DEL, address("10.0.2.1", id=5))
    yield "an endpoint that is removed takes its subflow along", until(joined, 1) or connection.exchange()
    server.call(ADD, address("10.0.2.2", flags=SIGNAL))
    yield "an endpoint that is announced is joined", until(joined, 2) or connection.exchange()
    server.call(FLUSH, address("10.1.1.1"))
    yield "the peer withdraws it", until(joined, 1) or connection.exchange()
    connection.close()
    client.call(ADD, address("10.0.2.1", flags=SUBFLOW))
    connection = Connection(SERVER, SERVICE)
    yield "a connection that begins later uses the endpoint", until(joined, 2) or connection.exchange()
    connection.close()


def main():
    """See the module's description."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    return report("endpoints", configure(), connect()) != 0


if __name__ == "__main__":
    sys.exit(main())
