# SPDX-License-Identifier: GPL-2.0
"""Ends connections and subflows by the netlink family of mptcp_rs.

Prints one TAP line for each case.
"""

import argparse
import errno
import hashlib
import os
import socket
import sys
import threading
import time

from common import SECONDS, counters, enter, report, same, setting, until
from connection import listen
from own import CONNECTION_GET, CONNECTION_KILL, ORPHAN, SUBFLOW_KILL, Known, Own, named, token_of

SERVICE = 7195
SERVER, SERVER6 = "10.0.1.2", "fd00:1::2"
# Longer than the path manager waits before it tries a path again that it takes for usable.
PATIENCE = 2


def failure(sock):
    """How reading fails, by name."""
    try:
        return sock.recv(1).hex() or "EOF"
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))


def lasts(condition, wanted):
    """What is wrong unless a condition has the wanted value again and again, for some time."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        got = condition()
        if got != wanted:
            return f"got {got!r}, wanted {wanted!r}"
        time.sleep(0.05)
    return ""


def kill(own, token, address):
    """Ends the subflow with a local address; what is wrong if that is refused."""
    return same(own.call(SUBFLOW_KILL, named(token, own.subflows(token)[address]["id"])), "")


def connections(near, far):
    """Whole connections."""
    for server in (SERVER, SERVER6):
        connection = Known(near, far, server, SERVICE)
        before = counters("client"), counters("server")
        wrong = connection.has(3) or same(near.call(CONNECTION_KILL, token_of(connection.near_token)), "")
        yield f"{server}: a connection ends with an error here and a reset there", (
            wrong or same(failure(connection.near), "ECONNABORTED") or same(failure(connection.far), "ECONNRESET")
            or same(counters("client")["MPFastcloseTx"] > before[0]["MPFastcloseTx"], True)
            or same(counters("server")["MPFastcloseRx"] > before[1]["MPFastcloseRx"], True)
        )
        yield f"{server}: only once", until(
            lambda: near.call(CONNECTION_KILL, token_of(connection.near_token)).split()[0],  # pylint: disable=cell-var-from-loop
            "ENOENT",
        )
        connection.close()
    enter("server")
    listener = listen(SERVICE)
    enter("client")
    sock = socket.create_connection((SERVER, SERVICE), SECONDS)
    found = until(lambda: len(far.all(CONNECTION_GET)), 1)
    there = far.all(CONNECTION_GET)[0]
    number = next(iter(far.subflows(there["token"]).values()))["id"]
    yield "a connection that nobody has accepted", (
        found or same(there["flags"] & ORPHAN, ORPHAN)
        or same(far.call(SUBFLOW_KILL, named(there["token"], number)),
                "EBUSY no program has accepted the connection so far")
        or same(far.call(CONNECTION_KILL, token_of(there["token"])), "")
        or same(failure(listener.accept()[0]), "ECONNABORTED") or same(failure(sock), "ECONNRESET")
    )
    sock.close()
    listener.close()


def subflows(near, far):
    """Subflows of connections that go on."""
    for name, own, address in (("first", near, "10.0.1.1"), ("second", near, "10.0.2.1"), ("other end's", far, "10.0.2.1")):
        connection = Known(near, far, SERVER, SERVICE)
        token = connection.near_token if own is near else connection.far_token
        wrong = connection.has(3)
        yield f"the {name} subflow ends, the connection goes on", wrong or kill(own, token, address) or connection.has(2)
        yield f"the {name} subflow stays away", (
            lasts(lambda: address in own.subflows(token), False)  # pylint: disable=cell-var-from-loop
            or connection.has(2)
        )
        connection.close()


def traffic(near, far):
    """A subflow that has much to do."""
    connection = Known(near, far, SERVER, SERVICE)
    data = os.urandom(1 << 20) * 24
    thread = threading.Thread(target=connection.near.sendall, args=(data,))
    wrong = connection.has(3)
    thread.start()
    got, killed = bytearray(), False
    while len(got) < len(data):
        got += connection.far.recv(1 << 20)
        if len(got) > len(data) // 4 and not killed:
            wrong = wrong or kill(near, connection.near_token, "10.0.1.1")
            killed = True
    thread.join()
    same_data = hashlib.sha256(got).digest() == hashlib.sha256(data).digest()
    yield "a subflow ends in the middle of a transfer: every byte arrives", wrong or same(same_data, True) or connection.has(2)
    connection.close()


def last(near, far):
    """The last subflow."""
    for namespace in ("client", "server"):
        setting(namespace, "path_manager", "none")
    connection = Known(near, far, SERVER, SERVICE)
    wrong = connection.has(1) or kill(near, connection.near_token, "10.0.1.1")
    yield "the last subflow ends, the connection waits for another", (
        wrong or until(lambda: near.connection(connection.near_token)["subflows"], 0)
        or same(near.connection(connection.near_token)["state"], 1)
    )
    for namespace in ("client", "server"):
        setting(namespace, "path_manager", "fullmesh")
    yield "another one comes by another path", connection.has(2) or same(
        sorted(near.subflows(connection.near_token)), ["10.0.2.1", "fd00:1::1"]
    )
    connection.close()
    for namespace in ("client", "server"):
        setting(namespace, "path_manager", "none")
        setting(namespace, "close_timeout", 0)
    connection = Known(near, far, SERVER, SERVICE)
    wrong = connection.has(1) or kill(near, connection.near_token, "10.0.1.1")
    yield "the last subflow ends, and with it a connection that does not wait", (
        wrong or same(failure(connection.near), "ECONNRESET") or same(failure(connection.far), "ECONNRESET")
    )
    connection.close()
    for namespace in ("client", "server"):
        setting(namespace, "path_manager", "fullmesh")
        setting(namespace, "close_timeout", 60)


def main():
    """See the module's description."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    near, far = Own("client"), Own("server")
    return report("kills", connections(near, far), subflows(near, far), last(near, far), traffic(near, far)) != 0


if __name__ == "__main__":
    sys.exit(main())
