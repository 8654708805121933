# SPDX-License-Identifier: GPL-2.0
"""Commands the subflows and announcements of connections, rightly and wrongly, as a path manager in user space does.

Prints one TAP line for each case. With --stay it leaves connections under command, and waits to be killed.
"""

import argparse
import signal
import socket
import sys

from common import counters, enter, report, same, setting, subflows, unprivileged, until
from connection import Connection
from genl import (
    ACK, ADD, ADDR, ADDR4, ADDR6, ADDR_REMOTE, ANNOUNCE, BACKUP, CREATE, DESTROY, DUMP, FAMILY, GET, ID, IMPLICIT,
    LOC_ID, REMOVE, SET_FLAGS, SIGNAL, SUBFLOW, TOKEN, Events, Manager, address, attribute, described, named, peer, u8, u16,
)

SERVICE, PORT = 7130, 7131
SERVER, SERVER6 = "10.0.1.2", "fd00:1::2"
# Both ends of the second path.
HERE, THERE, HERE6, THERE6 = "10.0.2.1", "10.0.2.2", "fd00:2::1", "fd00:2::2"
# What a connection has room for.
SLOTS = 64


def since(before, namespace, *names):
    """By how much some counters have changed."""
    now = counters(namespace)
    return [now[name] - before[name] for name in names]


class Commanded(Connection):
    """A connection whose client is commanded."""

    def __init__(self, client, server=SERVER, port=SERVICE, listener=None):
        super().__init__(server, port, listener)
        self.client, self.port = client, port

    def call(self, command, *parts):
        """A command for the client; what is wrong if it is refused."""
        return same(self.client.call(command, named(self.near_token), *parts), "")

    def entries(self):
        """The entries of the client."""
        return self.client.places(named(self.near_token))

    def has(self, count):
        """What is wrong unless there will be so many subflows, on which data flows."""
        enter("client")
        return until(lambda: (self.subflows(), subflows(self.port)), (count, count)) or self.exchange()


def unheard():
    """Nobody listens to events at the server, and then somebody does."""
    connection = Commanded(Manager("client"))
    before = counters("server")
    wrong = connection.call(CREATE, address(HERE, id=2), peer(THERE))
    yield "without a listener of events joins are refused", (
        wrong or until(lambda: since(before, "server", "MPJoinSynRx", "MPJoinRejected", "MPJoinAckRx"), [1, 1, 0])
        or connection.has(1)
    )
    before, near_before = counters("server"), counters("client")
    # The address is an entry since then.
    wrong = connection.call(ANNOUNCE, address(HERE, id=2, flags=SIGNAL))
    yield "without a listener of events announcements are not echoed, and repeated", (
        wrong or until(lambda: since(before, "server", "AddAddr")[0] >= 2, True)
        or same(*(since(before, "server", name) for name in ("AddAddr", "AddAddrDrop")))
        or same(since(near_before, "client", "EchoAdd"), [0]) or connection.has(1)
    )
    far = Events("server")
    wrong = connection.call(ANNOUNCE, address(HERE, id=2, flags=SIGNAL))
    yield "with a listener they are echoed", (
        wrong or same(type(far.wait("ANNOUNCED", rem_id=2)), dict)
        or until(lambda: since(near_before, "client", "EchoAdd")[0] >= 1, True) or connection.has(1)
    )
    wrong = connection.call(CREATE, address(HERE, id=2), peer(THERE))
    yield "with a listener joins are accepted", wrong or connection.has(2)
    connection.close()
    far.close()


def obey(client, name, first, here, there):
    """Commands that are right."""
    connection = Commanded(client, first)
    near, far, there_too = Events("client"), Events("server"), Manager("server")

    def created(number, flags=0):
        """Creates a subflow; what is wrong, and the names of its ends."""
        wrong = connection.call(CREATE, address(here, id=number, flags=flags), peer(there))
        told = near.wait("SUB_ESTABLISHED", token=connection.near_token)
        if not isinstance(told, dict):
            return wrong or told, ()
        joined = far.wait("SUB_ESTABLISHED", token=connection.far_token, dport=told["sport"])
        ends = address(here, port=told["sport"], flags=BACKUP), peer(there, port=SERVICE)
        return wrong or joined_as(joined, flags) or same(told["backup"], flags // BACKUP), ends

    yield f"{name}: no entries at first", same(connection.entries(), []) or connection.has(1)
    before = counters("server")
    wrong = connection.call(ANNOUNCE, address(here, id=4, flags=SIGNAL))
    yield f"{name}: announce", (
        wrong or until(lambda: since(before, "server", "AddAddr", "EchoAddTx"), [1, 1])
        or same(connection.entries(), [(4, here, SIGNAL, 0)]) or connection.has(1)
    )
    wrong = connection.call(ANNOUNCE, address(here, id=5, port=PORT, flags=SIGNAL))
    yield f"{name}: announce a port", (
        wrong or until(lambda: since(before, "server", "AddAddr", "PortAdd"), [2, 1])
        or same(connection.entries(), [(4, here, SIGNAL, 0), (5, here, SIGNAL, PORT)]) or connection.has(1)
    )
    wrong = connection.call(GET, attribute(ADDR, [attribute(ID, u8(5))]))
    yield f"{name}: one entry can be asked for", (
        wrong or same([described(reply) for reply in client.replies], [(5, here, SIGNAL, PORT)])
    )
    wrong = connection.call(REMOVE, attribute(LOC_ID, u8(4))) or connection.call(REMOVE, attribute(LOC_ID, u8(5)))
    yield f"{name}: withdraw", (
        wrong or until(lambda: since(before, "server", "RmAddr"), [2]) or same(connection.entries(), [])
        or connection.has(1)
    )
    wrong, subflow = created(6)
    yield f"{name}: create a subflow", wrong or connection.has(2) or same(connection.entries(), [(6, here, SUBFLOW, 0)])
    yield f"{name}: the server's end has got an entry, too", same(
        there_too.places(named(connection.far_token)), [(1, there, IMPLICIT, 0)]
    )
    before = counters("server")
    wrong = connection.call(SET_FLAGS, *subflow)
    yield f"{name}: make it a backup", (
        wrong or until(lambda: since(before, "server", "MPPrioRx"), [1])
        or same(connection.entries(), [(6, here, SUBFLOW | BACKUP, 0)]) or connection.has(2)
    )
    wrong = connection.call(SET_FLAGS, address(here), peer(there))
    yield f"{name}: make it a regular one, whatever its ports", (
        wrong or until(lambda: since(before, "server", "MPPrioRx"), [2])
        or same(connection.entries(), [(6, here, SUBFLOW, 0)]) or connection.has(2)
    )
    wrong = connection.call(DESTROY, *subflow)
    yield f"{name}: destroy it", wrong or connection.has(1) or same(connection.entries(), [])
    wrong, _ = created(7, BACKUP)
    yield f"{name}: create a backup", wrong or connection.has(2)
    before = counters("server")
    wrong = connection.call(REMOVE, attribute(LOC_ID, u8(7)))
    yield f"{name}: withdraw an address that a subflow uses", (
        wrong or connection.has(1) or until(lambda: since(before, "server", "RmAddr"), [1])
        or same(connection.entries(), [])
    )
    wrong, subflow = created(8)
    wrong = wrong or connection.has(2)
    wrong = wrong or connection.call(REMOVE, attribute(LOC_ID, u8(0)))
    yield f"{name}: withdraw the first address", wrong or connection.has(1)
    wrong = connection.call(DESTROY, *subflow) or until(connection.subflows, 0)
    yield f"{name}: the last subflow can be destroyed, and another one created", (
        wrong or created(9)[0] or connection.has(1)
    )
    port = connection.near.getsockname()[1]
    ends = address(there, id=1), peer(here, port=port)
    wrong = same(there_too.call(CREATE, named(connection.far_token), *ends), "")
    ended = far.wait("SUB_CLOSED", token=connection.far_token, dport=port)
    yield f"{name}: a join by the server finds no listener at the client", (
        wrong or same(type(ended), dict) or connection.has(1)
    )
    yield f"{name}: there are as many subflows as there is room for", full(connection, here, there)
    connection.close()
    near.close()
    far.close()


def joined_as(told, flags):
    """What is wrong unless a subflow has joined with these flags."""
    return same(told.get("backup") if isinstance(told, dict) else told, flags // BACKUP)


def mixed(client):
    """A socket for both families."""
    far = Events("server")
    enter("server")
    listener = socket.create_server(("::", SERVICE), family=socket.AF_INET6, dualstack_ipv6=True)
    connection = Commanded(client, SERVER6, SERVICE, listener)
    wrong = connection.call(CREATE, address(HERE, id=2), peer(THERE)) or connection.has(2)
    yield "a connection of IPv6 gets a subflow of IPv4", wrong or same(connection.entries(), [(2, HERE, SUBFLOW, 0)])
    wrong = connection.call(CREATE, address("::ffff:" + HERE, id=2), peer("::ffff:" + THERE)) or connection.has(3)
    yield "and one more, by IPv4-mapped addresses", wrong or same(connection.entries(), [(2, HERE, SUBFLOW, 0)])
    connection.close()
    far.close()


def full(connection, here, there):
    """Creates as many subflows as a connection has slots, and asks for one more."""
    for count in range(2, SLOTS + 1):
        wrong = connection.call(CREATE, address(here, id=9), peer(there))
        if wrong:
            return f"{wrong} for subflow {count}"
    return connection.has(SLOTS) or same(
        connection.client.call(CREATE, named(connection.near_token), address(here, id=9), peer(there)),
        "ENOSPC too many addresses or subflows",
    )


# What a request of a program says beside the token, how it is refused, and which attribute is to blame.
NEAR, FAR = address(HERE, id=2), peer(THERE)
REFUSED = [
    ("announce nothing", ANNOUNCE, [], "EINVAL missing 1", 0),
    ("announce an empty address", ANNOUNCE, [attribute(ADDR, [])], "EINVAL missing family", ADDR),
    ("announce an unknown family", ANNOUNCE, [attribute(ADDR, [attribute(FAMILY, u16(7))])],
     "EINVAL unknown address family", ADDR),
    ("announce no bytes of an address", ANNOUNCE,
     [attribute(ADDR, [attribute(FAMILY, u16(2)), attribute(ID, u8(3))])], "EINVAL missing address data", ADDR),
    ("announce an address of the other family", ANNOUNCE,
     [attribute(ADDR, [attribute(FAMILY, u16(2)), attribute(ADDR6, bytes(16))])], "EINVAL missing address data", ADDR),
    ("announce half an address", ANNOUNCE, [attribute(ADDR, [attribute(FAMILY, u16(2)), attribute(ADDR4, bytes(2))])],
     "ERANGE", ADDR4),
    ("announce half an IPv6 address", ANNOUNCE,
     [attribute(ADDR, [attribute(FAMILY, u16(10)), attribute(ADDR6, bytes(8))])], "ERANGE", ADDR6),
    ("announce with half a family", ANNOUNCE, [attribute(ADDR, [attribute(FAMILY, u8(2))])], "ERANGE", FAMILY),
    ("announce without an ID", ANNOUNCE, [address(HERE, flags=SIGNAL)], "EINVAL invalid addr id", ADDR),
    ("announce with the ID 0", ANNOUNCE, [address(HERE, id=0, flags=SIGNAL)], "EINVAL invalid addr id", ADDR),
    ("announce without the flag", ANNOUNCE, [address(HERE, id=2)], "EINVAL invalid addr flags", ADDR),
    ("announce a group", ANNOUNCE, [address("224.0.0.1", id=2, flags=SIGNAL)], "EINVAL not an address of a host", ADDR),
    ("announce any address", ANNOUNCE, [address("::", id=2, flags=SIGNAL)], "EINVAL not an address of a host", ADDR),
    ("announce an address by another ID", ANNOUNCE, [address("10.7.7.7", id=2, flags=SIGNAL)],
     "EINVAL did not match address and id", ADDR),
    ("announce another address by its ID", ANNOUNCE, [address("10.7.7.8", id=77, flags=SIGNAL)],
     "EINVAL did not match address and id", ADDR),
    ("announce it with a port by its ID", ANNOUNCE, [address("10.7.7.7", id=77, port=PORT, flags=SIGNAL)],
     "EINVAL did not match address and id", ADDR),
    ("withdraw nothing", REMOVE, [], "EINVAL missing 5", 0),
    ("withdraw an unknown ID", REMOVE, [attribute(LOC_ID, u8(78))], "EINVAL address with this id not found", LOC_ID),
    ("withdraw half an ID", REMOVE, [attribute(LOC_ID, b"")], "ERANGE", LOC_ID),
    ("create from nowhere", CREATE, [FAR], "EINVAL missing 1", 0),
    ("create to nowhere", CREATE, [NEAR], "EINVAL missing 6", 0),
    ("create from an empty address", CREATE, [attribute(ADDR, []), FAR], "EINVAL missing family", ADDR),
    ("create to an empty address", CREATE, [NEAR, attribute(ADDR_REMOTE, [])], "EINVAL missing family", ADDR_REMOTE),
    ("create with the flag of an announcement", CREATE, [address(HERE, id=2, flags=SIGNAL), FAR],
     "EINVAL invalid addr flags", ADDR),
    ("create from IPv4 to IPv6", CREATE, [NEAR, peer(THERE6)], "EINVAL families mismatch", 0),
    ("create from IPv6 to IPv4", CREATE, [address(HERE6, id=2), FAR], "EINVAL families mismatch", 0),
    ("create by IPv6 for a socket of IPv4", CREATE, [address(HERE6, id=2), peer(THERE6)],
     "EINVAL families mismatch", 0),
    ("create from any address", CREATE, [address("0.0.0.0", id=2), FAR], "EINVAL not an address of a host", ADDR),
    ("create to a group", CREATE, [NEAR, peer("224.0.0.1")], "EINVAL not an address of a host", ADDR),
    ("create from an address by another ID", CREATE, [address("10.7.7.7", id=2), FAR],
     "EINVAL did not match address and id", ADDR),
    ("create from an address of nobody's", CREATE, [address("10.9.9.9", id=2), FAR],
     "EHOSTUNREACH connect error: no way there from that address", 0),
    ("destroy from nowhere", DESTROY, [FAR], "EINVAL missing 1", 0),
    ("destroy to nowhere", DESTROY, [NEAR], "EINVAL missing 6", 0),
    ("destroy without the local port", DESTROY, [NEAR, peer(THERE, port=SERVICE)], "EINVAL missing local port", ADDR),
    ("destroy without the peer's port", DESTROY, [address(HERE, port=PORT), FAR],
     "EINVAL missing remote port", ADDR_REMOTE),
    ("destroy what is not there", DESTROY, [address(HERE, port=PORT), peer(THERE, port=SERVICE)],
     "ESRCH subflow not found", 0),
    ("destroy with ports of other addresses", DESTROY, [address(HERE6, port=PORT), peer(THERE6, port=SERVICE)],
     "ESRCH subflow not found", 0),
    ("change from nowhere", SET_FLAGS, [FAR], "EINVAL missing 1", 0),
    ("change to nowhere", SET_FLAGS, [NEAR], "EINVAL missing 6", 0),
    ("change from an empty address", SET_FLAGS, [attribute(ADDR, []), FAR],
     "EINVAL invalid local address family", ADDR),
    ("change to an empty address", SET_FLAGS, [NEAR, attribute(ADDR_REMOTE, [])],
     "EINVAL invalid remote address family", ADDR_REMOTE),
    ("change what is not there", SET_FLAGS, [address(HERE, flags=BACKUP), FAR], "EINVAL subflow not found", 0),
    ("get nothing", GET, [], "EINVAL missing 1", 0),
    ("get an unknown ID", GET, [address(HERE, id=78)], "EINVAL address not found", ADDR),
]
# One of each that would be right.
RIGHT = [
    ("announce", ANNOUNCE, [address(HERE, id=2, flags=SIGNAL)]),
    ("withdraw", REMOVE, [attribute(LOC_ID, u8(77))]),
    ("create", CREATE, [NEAR, FAR]),
    ("destroy", DESTROY, [address("10.0.1.1", port=1), peer(SERVER, port=SERVICE)]),
    ("change", SET_FLAGS, [address("10.0.1.1", flags=BACKUP), peer(SERVER)]),
    ("get", GET, [address(HERE, id=77)]),
]


def refuse():
    """Commands that are wrong: they are refused with a reason, and nothing has changed."""
    connection, far = Commanded(Manager("client")), Events("server")
    client, token = connection.client, connection.near_token
    connection.call(ANNOUNCE, address("10.7.7.7", id=77, flags=SIGNAL))
    entries = [(77, "10.7.7.7", SIGNAL, 0)]

    def refused(what, command, parts, wanted, blamed=0, flags=ACK):
        """A case."""
        got = client.call(command, *parts, flags=flags)
        # What the kernel says of attributes that are too short is its own affair.
        got = " ".join(got.split()[: len(wanted.split())]) if wanted == "ERANGE" else got
        wrong = same(got, wanted) or same(client.blamed, blamed)
        return f"refused: {what}", wrong or same(connection.entries(), entries) or same(connection.subflows(), 1)

    for what, command, parts, wanted, blamed in REFUSED:
        yield refused(what, command, [named(token), *parts], wanted, blamed)
    yield "none of them was tried", connection.has(1)
    setting("client", "path_manager", "endpoint")
    kept, entries = entries, []
    for what, command, parts in RIGHT:
        yield refused(f"{what}: token of a connection with another manager", command, [named(token), *parts],
                      "EINVAL userspace PM not selected", TOKEN)
    yield refused("all: token of a connection with another manager", GET, [named(token)],
                  "EINVAL userspace PM not selected", TOKEN, DUMP)
    setting("client", "path_manager", "userspace")
    entries = kept
    yield "with its own manager they are back", until(connection.entries, entries)
    for what, command, parts in RIGHT:
        # Without one, the others are about endpoints.
        if command not in (GET, SET_FLAGS):
            yield refused(f"{what}: no token", command, parts, "EINVAL missing 4")
        yield refused(f"{what}: half a token", command, [attribute(TOKEN, u16(1)), *parts], "ERANGE", TOKEN)
        yield refused(f"{what}: unknown token", command, [named(token ^ 1), *parts], "EINVAL invalid token", TOKEN)
        yield refused(f"{what}: token of another namespace", command, [named(connection.far_token), *parts],
                      "EINVAL invalid token", TOKEN)
    yield refused("all: unknown token", GET, [named(token ^ 1)], "EINVAL invalid token", TOKEN, DUMP)
    for what, command, parts in RIGHT[:-1]:
        yield f"{what}: not without privileges", unprivileged(
            # pylint: disable-next=cell-var-from-loop
            lambda: same(client.call(command, named(token), *parts).split()[:1], ["EPERM"])
        )
    yield "the connection goes on", connection.has(1)
    connection.close()
    for what, command, parts in RIGHT:
        # pylint: disable-next=cell-var-from-loop
        got = until(lambda: client.call(command, named(token), *parts), "EINVAL invalid token")
        yield f"{what}: refused after its end", got
    far.close()


def stay():
    """Leaves connections with subflows, entries and data under way, and an endpoint with a port in each namespace."""
    events = [Events(namespace) for namespace in ("client", "server")]
    client, server = Manager("client"), Manager("server")
    for manager, text in ((client, HERE), (server, THERE)):
        manager.call(ADD, address(text, id=30, port=PORT, flags=SIGNAL))
    connections = []
    for number, (first, here, there) in enumerate(2 * [(SERVER, HERE, THERE), (SERVER6, HERE6, THERE6)]):
        connection = Commanded(client, first, SERVICE + number)
        connections.append(connection)
        wrong = (
            connection.call(CREATE, address(here, id=2), peer(there)) or connection.has(2)
            or connection.call(ANNOUNCE, address("10.7.7.7", id=3, flags=SIGNAL))
        )
        if wrong:
            print(wrong, flush=True)
            return
        for sock in (connection.near, connection.far):
            sock.setblocking(False)
            try:
                while sock.send(bytes(1 << 16)):
                    pass
            except BlockingIOError:
                pass
    print("ready", len(events), len(connections), flush=True)
    signal.pause()


def main():
    """See the module's description."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stay", action="store_true")
    if parser.parse_args().stay:
        stay()
    client = Manager("client")
    return report(
        "userspace", unheard(), obey(client, "IPv4", SERVER, HERE, THERE), obey(client, "IPv6", SERVER6, HERE6, THERE6),
        mixed(client), refuse(),
    ) != 0


if __name__ == "__main__":
    sys.exit(main())
