# SPDX-License-Identifier: GPL-2.0
"""Endpoints that are announced with a port, and joins to ports that are nobody's.

Prints one TAP line for each case.
"""

import argparse
import errno
import socket
import sys

from common import SECONDS, counters, enter, report, same, setting, subflows, until
from connection import Connection, family_of, listen
from genl import (
    ADD, CREATE, DEL, FLUSH, RCV_ADD_ADDRS, SET_LIMITS, SIGNAL, SUBFLOWS, Events, Manager, address,
    attribute, named, peer, u32,
)

SERVICE, OTHER, CLOSED = 7110, 7111, 7119
NOT_LISTENING = "EADDRINUSE cannot listen at the address and port"
# An address of the second path, the server's first one, and the port of the endpoint.
FAMILIES = [("IPv4", "10.0.1.2", "10.0.2.1", "10.0.2.2", 7301), ("IPv6", "fd00:1::2", "fd00:2::1", "fd00:2::2", 7302)]


def bound(text, port):
    """How binding ends, by name."""
    enter("server")
    with socket.socket(family_of(text)) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((text, port))
        except OSError as error:
            return errno.errorcode[error.errno]
    return ""


def connected(text, port):
    """How connecting ends, by name."""
    enter("client")
    try:
        socket.create_connection((text, port), SECONDS).close()
    except OSError as error:
        return errno.errorcode[error.errno]
    return ""


def changed(before, namespace, **wanted):
    """What is wrong unless these counters alone have changed since, by so much."""
    now = counters(namespace)
    return same({name: now[name] - before[name] for name in now if now[name] != before[name]}, wanted)


def limited(*managers):
    """No endpoints, and limits that allow for joins."""
    for manager in managers:
        manager.call(FLUSH, address("10.1.1.1"))
        manager.call(SET_LIMITS, attribute(RCV_ADD_ADDRS, u32(2)), attribute(SUBFLOWS, u32(4)))


def announced(name, first, second, port):
    """An endpoint with a port, from its beginning to its end."""
    client, server = Manager("client"), Manager("server")
    limited(client, server)
    endpoint = address(second, id=7, port=port, flags=SIGNAL)
    enter("server")
    with listen(port, second):
        yield f"{name}: a port that somebody has is refused", (
            same(server.call(ADD, endpoint), NOT_LISTENING) or same(server.endpoints(), [])
        )
    yield f"{name}: an endpoint with a port is added", (
        same(server.call(ADD, endpoint), "") or same(server.places(), [(7, second, SIGNAL, port)])
    )
    yield f"{name}: its port is taken", same(bound(second, port), "EADDRINUSE")
    before = counters("server")
    yield f"{name}: connections find nobody there", (
        same(connected(second, port), "ECONNREFUSED") or changed(before, "server", MPCapableEndpAttempt=1)
    )
    setting("client", "enabled", 0)
    yield f"{name}: plain TCP does not either", (
        same(connected(second, port), "ECONNREFUSED") or changed(before, "server", MPCapableEndpAttempt=2)
    )
    setting("client", "enabled", 1)
    before, near_before = counters("server"), counters("client")
    connection = Connection(first, SERVICE)
    yield f"{name}: a join comes through it", (
        until(lambda: (subflows(SERVICE), subflows(port)), (1, 1))
        or until(lambda: count_since(before, "server", "MPJoinPortSynRx", "MPJoinPortAckRx", "MPJoinAckRx"), [1, 1, 1])
        or same(count_since(near_before, "client", "MPJoinPortSynAckRx", "MPJoinSynTx"), [1, 1])
        or same(count_since(near_before, "client", "PortAdd")[0] >= 1, True)
        or connection.exchange()
    )
    enter("client")
    server.call(DEL, address(second, id=7))
    yield f"{name}: its end is that of the subflow", until(lambda: subflows(port), 0) or connection.exchange()
    before = counters("server")
    yield f"{name}: the port is free again", (
        same(bound(second, port), "") or same(connected(second, port), "ECONNREFUSED")
        or changed(before, "server")
    )
    server.call(ADD, endpoint)
    server.call(FLUSH, address("10.1.1.1"))
    yield f"{name}: it is free when all are removed, too", same(bound(second, port), "")
    connection.close()


def count_since(before, namespace, *names):
    """By how much some counters have changed."""
    now = counters(namespace)
    return [now[name] - before[name] for name in names]


def misled(manager, first, local, second):
    """Joins to ports where they have no business; the server has this manager."""
    setting("client", "path_manager", "userspace")
    setting("server", "path_manager", manager)
    client, near, far = Manager("client"), Events("client"), Events("server")
    connection = Connection(first, SERVICE)
    enter("server")
    other = listen(OTHER, second)
    for what, port, wanted in (
        ("nobody listens", CLOSED, {}),
        ("another program listens", OTHER, {"MPJoinSynRx": 1, "MismatchPortSynRx": 1, "MPJoinRejected": 1}),
    ):
        before = counters("server")
        got = client.call(CREATE, named(connection.near_token), address(local, id=3), peer(second, port=port))
        ended = near.wait("SUB_CLOSED", token=connection.near_token, dport=port)
        error = ended["error"] if isinstance(ended, dict) else ended
        yield f"{manager}, {second}: a join to a port where {what} is reset", (
            same(got, "") or same(error, errno.ECONNREFUSED) or changed(before, "server", **wanted)
            or same(connection.subflows(), 1) or connection.exchange()
        )
    other.close()
    connection.close()
    for events in (near, far):
        events.close()


def main():
    """See the module's description."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    lists = [announced(name, first, second, port) for name, first, _, second, port in FAMILIES]
    for manager in ("endpoint", "userspace"):
        lists += [misled(manager, first, local, second) for _, first, local, second, _ in FAMILIES]
    return report("ports", *lists) != 0


if __name__ == "__main__":
    sys.exit(main())
