# SPDX-License-Identifier: GPL-2.0
"""What netlink tells of connections, their addresses and subflows, and of listeners, on both hosts.

Prints one TAP line for each case.
"""

import argparse
import errno
import socket
import subprocess
import sys

from common import enter, report, same, setting, unprivileged
from connection import Connection, family_of, listen
from genl import (
    ADD, ADD_MEMBERSHIP, ANNOUNCE, BACKUP, CREATE, DEL, DESTROY, LOC_ID, NETLINK_GENERIC, REMOVE, SET_FLAGS, SIGNAL,
    SOL_NETLINK, Events, Manager, address, attribute, named, peer, u8,
)

SERVICE, PORT, ENDPOINT = 7120, 7121, 7122
SERVER_SIDE, DENY_JOIN_ID0 = 2, 1
# First address of the server, second addresses of client and server, the one that stands for all.
FAMILIES = [("IPv4", "10.0.1.1", "10.0.1.2", "10.0.2.1", "10.0.2.2", "0.0.0.0"),
            ("IPv6", "fd00:1::1", "fd00:1::2", "fd00:2::1", "fd00:2::2", "::")]


def swapped(told, **more):
    """What the other host is told of the same subflow."""
    ends = {"saddr": "daddr", "sport": "dport", "loc_id": "rem_id"}
    ends |= {other: name for name, other in ends.items()}
    return {ends.get(name, name): value for name, value in told.items()} | more


def whole(name, client, server, second_client, second_server, everywhere):
    """A connection from its listener to its end."""
    near, far = Events("client"), Events("server")
    here, there = Manager("client"), Manager("server")
    family = int(family_of(server))
    connection = Connection(server, SERVICE)
    mine, theirs = connection.near_token, connection.far_token
    listener = {"family": family, "saddr": everywhere, "sport": SERVICE}
    yield f"{name}: LISTENER_CREATED", same(far.wait("LISTENER_CREATED"), listener)
    first = {"token": mine, "family": family, "saddr": client, "daddr": server, "dport": SERVICE, "loc_id": 0,
             "rem_id": 0, "sport": connection.near.getsockname()[1]}
    accepted = swapped(first, token=theirs, server_side=1, flags=SERVER_SIDE)
    for event in ("CREATED", "ESTABLISHED"):
        yield f"{name}: {event}", same(near.wait(event), first) or same(far.wait(event), accepted)

    # Addresses.
    there.call(ANNOUNCE, named(theirs), address(second_server, id=3, flags=SIGNAL))
    told = {"token": mine, "rem_id": 3, "daddr": second_server, "dport": SERVICE}
    # One whose echo is late is announced, and told, again.
    yield f"{name}: ANNOUNCED", same(near.wait("ANNOUNCED"), told)
    there.call(ANNOUNCE, named(theirs), address(second_server, id=4, port=PORT, flags=SIGNAL))
    told = {"token": mine, "rem_id": 4, "daddr": second_server, "dport": PORT}
    yield f"{name}: ANNOUNCED, with a port", same(near.wait("ANNOUNCED", rem_id=4), told)
    there.call(REMOVE, named(theirs), attribute(LOC_ID, u8(4)))
    yield f"{name}: REMOVED", same(near.wait("REMOVED"), {"token": mine, "rem_id": 4})
    here.call(ANNOUNCE, named(mine), address(second_client, id=9, flags=SIGNAL))
    told = {"token": theirs, "rem_id": 9, "daddr": second_client, "dport": connection.near.getsockname()[1]}
    yield f"{name}: ANNOUNCED, by the client", same(far.wait("ANNOUNCED"), told)
    here.call(REMOVE, named(mine), attribute(LOC_ID, u8(9)))
    yield f"{name}: REMOVED, by the client", same(far.wait("REMOVED"), {"token": theirs, "rem_id": 9})

    # Subflows.
    enter("client")
    device = socket.if_nametoindex("c2")
    ends = address(second_client, id=5, dev=device), peer(second_server, id=3)
    wrong = same(here.call(CREATE, named(mine), *ends), "")
    subflow = {"token": mine, "family": family, "saddr": second_client, "daddr": second_server, "dport": SERVICE,
               "loc_id": 5, "rem_id": 3, "backup": 0, "if_idx": device}
    told = near.wait("SUB_ESTABLISHED")
    subflow["sport"] = told["sport"] if isinstance(told, dict) else 0
    joined = swapped(subflow, token=theirs)
    del joined["if_idx"]
    yield f"{name}: SUB_ESTABLISHED", (
        wrong or same(told, subflow) or same(far.wait("SUB_ESTABLISHED"), joined) or connection.exchange()
    )
    ends = address(second_client, port=subflow["sport"], flags=BACKUP), peer(second_server, port=SERVICE)
    wrong = same(here.call(SET_FLAGS, named(mine), *ends), "")
    yield f"{name}: SUB_PRIORITY", wrong or same(far.wait("SUB_PRIORITY"), joined | {"backup": 1})
    wrong = same(here.call(DESTROY, named(mine), *ends), "")
    yield f"{name}: SUB_CLOSED, by command", (
        wrong or same(near.wait("SUB_CLOSED"), subflow | {"backup": 1})
        or same(far.wait("SUB_CLOSED"), joined | {"backup": 1}) or connection.exchange()
    )
    yield from broken(name, near, far, connection, here, second_client, second_server)
    yield from refused(name, near, connection, here, second_client, second_server)

    # The end.
    connection.close()
    yield f"{name}: CLOSED", same(near.wait("CLOSED"), {"token": mine}) or same(far.wait("CLOSED"), {"token": theirs})
    yield f"{name}: LISTENER_CLOSED", same(far.wait("LISTENER_CLOSED", sport=SERVICE), listener)
    yield f"{name}: an endpoint with a port is a listener", endpoint(there, far, second_server)
    yield f"{name}: nothing of the other namespace was told", foreign(near, mine)
    near.close()
    far.close()


def broken(name, near, far, connection, here, local, remote):
    """A subflow that the server's administrator resets."""
    wrong = same(here.call(CREATE, named(connection.near_token), address(local, id=6), peer(remote, id=3)), "")
    told = near.wait("SUB_ESTABLISHED")
    joined = far.wait("SUB_ESTABLISHED")
    if isinstance(told, dict):
        enter("server")
        subprocess.run(["ss", "-KHt", f"dport = :{told['sport']}"], check=True, stdout=subprocess.DEVNULL)
        ended, noticed = far.wait("SUB_CLOSED"), near.wait("SUB_CLOSED")
        wrong = wrong or same(ended, joined | {"error": errno.ECONNABORTED})
        wrong = wrong or same(noticed, told | {"error": errno.ECONNRESET})
    yield f"{name}: SUB_CLOSED, with an error", wrong or same(type(told), dict) or connection.exchange()


def refused(name, near, connection, here, local, remote):
    """A join that the server refuses: another program listens at that port."""
    enter("server")
    with listen(PORT, remote):
        ends = address(local, id=6), peer(remote, id=3, port=PORT)
        wrong = same(here.call(CREATE, named(connection.near_token), *ends), "")
        told = near.wait("SUB_CLOSED")
    wanted = {"token": connection.near_token, "family": int(family_of(local)), "saddr": local, "daddr": remote,
              "dport": PORT, "loc_id": 6, "rem_id": 3, "backup": 0, "error": errno.ECONNREFUSED, "reset_reason": 3,
              "reset_flags": 0}
    wanted["sport"] = told["sport"] if isinstance(told, dict) else 0
    yield f"{name}: SUB_CLOSED, with the reason of the reset", wrong or same(told, wanted) or connection.exchange()


def endpoint(there, far, text):
    """What is wrong with what is told of an endpoint with a port."""
    wanted = {"family": int(family_of(text)), "saddr": text, "sport": ENDPOINT}
    there.call(ADD, address(text, id=8, port=ENDPOINT, flags=SIGNAL))
    wrong = same(far.wait("LISTENER_CREATED", sport=ENDPOINT), wanted)
    there.call(DEL, address(text, id=8))
    return wrong or same(far.wait("LISTENER_CLOSED", sport=ENDPOINT), wanted)


def foreign(near, token):
    """What was told to the client though it is not the client's; a listener of its own shows that all is here."""
    enter("client")
    listen(PORT).close()
    wrong = same(type(near.wait("LISTENER_CLOSED", sport=PORT)), dict)
    others = [(event, told) for event, told in near.seen if told.get("token", token) != token]
    others += [(event, told) for event, told in near.seen if "token" not in told and told.get("sport") != PORT]
    return wrong or same(others, [])


def mapped():
    """A client that comes by IPv4 to a listener for both families."""
    far = Events("server")
    enter("server")
    listener = socket.create_server(("::", SERVICE), family=socket.AF_INET6, dualstack_ipv6=True)
    connection = Connection("10.0.1.2", SERVICE, listener)
    told = far.wait("CREATED", token=connection.far_token)
    got = [told.get(name) for name in ("family", "saddr", "daddr")] if isinstance(told, dict) else told
    yield "IPv4-mapped addresses are those of the socket", (
        same(got, [int(socket.AF_INET6), "::ffff:10.0.1.2", "::ffff:10.0.1.1"])
    )
    connection.close()
    far.close()


def flags():
    """A host that does not want joins at its first address."""
    sides = ("server", DENY_JOIN_ID0, SERVER_SIDE), ("client", None, SERVER_SIDE | DENY_JOIN_ID0)
    for denied, near_flags, far_flags in sides:
        setting(denied, "allow_join_initial_addr_port", 0)
        near, far = Events("client"), Events("server")
        connection = Connection("10.0.1.2", SERVICE)
        got = [[events.wait(event, token=token).get("flags") for event in ("CREATED", "ESTABLISHED")]
               for events, token in ((near, connection.near_token), (far, connection.far_token))]
        yield f"the {denied} denies joins at its first address", same(got, [2 * [near_flags], 2 * [far_flags]])
        setting(denied, "allow_join_initial_addr_port", 1)
        connection.close()
        for events in (near, far):
            events.close()


def others():
    """Other path managers, and processes without privileges."""
    setting("client", "path_manager", "fullmesh")
    setting("server", "path_manager", "fullmesh")
    near, far = Events("client"), Events("server")
    connection = Connection("10.0.1.2", SERVICE)
    told = [far.wait("SUB_ESTABLISHED", saddr="10.0.2.2"), near.wait("ANNOUNCED", daddr="10.0.2.2")]
    yield "other path managers tell, too", same([type(event) for event in told], [dict, dict]) or connection.exchange()
    connection.close()
    near.close()
    far.close()
    manager = Manager("client")
    stranger = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC)

    def join():
        try:
            stranger.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, manager.groups["mptcp_pm_events"])
        except PermissionError:
            return ""
        return "it has"

    yield "a process without privileges cannot join", unprivileged(join)


def main():
    """See the module's description."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    return report("events", *(whole(*family) for family in FAMILIES), mapped(), flags(), others()) != 0


if __name__ == "__main__":
    sys.exit(main())
