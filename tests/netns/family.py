# SPDX-License-Identifier: GPL-2.0
"""Asks the netlink family of mptcp_rs, rightly and wrongly, and sets how paths may use interfaces.

Prints one TAP line for each case.
"""

import argparse
import json
import os
import resource
import socket
import struct
import subprocess
import sys
import threading
import time

from common import enter, report, same, unprivileged, until
from connection import Connection, listen
from genl import ACK, DUMP, attribute, u32
from own import (
    ACCEPTED, BACKUP, BACKUP_LOCAL, BACKUP_PEER, CLIENT, CONNECTION_GET, CONNECTION_KILL, ESTABLISHED, ID, INITIAL,
    INTERFACE_GET, INTERFACE_SET, JOINABLE, OFF, ON, POLICY, SUBFLOW_GET, SUBFLOW_KILL, TOKEN, Known, Own, interface,
    named, token_of,
)

SERVICE = 7190
SERVER, SERVER6, MAPPED = "10.0.1.2", "fd00:1::2", "::ffff:10.0.1.2"
# The kernel's own program for such families, where the guest has the kernel's source.
CLI = "/boot/guest/source/tools/net/ynl/pyynl/cli.py"
SPECIFICATION = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../include/netlink/mptcp_rs.yaml")


def look():
    """Connections and subflows as they are."""
    near, far = Own("client"), Own("server")
    yield "the family has its name", same(near.family != 0, True)
    yield "nothing is there at first", same([near.all(CONNECTION_GET), far.all(SUBFLOW_GET)], [[], []])
    first = Known(near, far, SERVER, SERVICE)
    here, there = first.near_token, first.far_token
    yield "there will be three subflows", first.has(3)
    yield "the client's end", first.differs(near, first.near, here, there)
    yield "the server's end", first.differs(far, first.far, there, here)
    got, got_far = near.connection(here), far.connection(there)
    yield "addresses, flags and names", (
        same((got["local_addr"], got["peer_addr"], got["flags"]), ("10.0.1.1", SERVER, CLIENT | JOINABLE))
        or same((got_far["local_addr"], got_far["peer_addr"], got_far["flags"]), (SERVER, "10.0.1.1", JOINABLE))
        or same((got["path_manager"], got["scheduler"]), ("fullmesh", "minrtt"))
    )
    yield "subflows", subflows(near, far, first)
    yield "a process without privileges can look", unprivileged(
        lambda: same(len(near.all(CONNECTION_GET)), 1) or same(len(near.all(SUBFLOW_GET)), 3)
        or same(near.one(CONNECTION_GET, token_of(here))["token"], here) or same(near.policies()["c1"], ON)
    )
    second = Known(near, far, SERVER6, SERVICE + 1)
    enter("server")
    both = socket.create_server(("", SERVICE + 2), family=socket.AF_INET6, dualstack_ipv6=True)
    third = Known(near, far, MAPPED, SERVICE + 2, both)
    yield "IPv6", (
        second.has(3) or second.differs(near, second.near, second.near_token, second.far_token)
        or same(near.connection(second.near_token)["local_addr"], "fd00:1::1")
        or same(sorted(near.subflows(second.near_token)), ["10.0.1.1", "10.0.2.1", "fd00:1::1"])
    )
    yield "an IPv6 socket with an IPv4 peer", (
        third.wrong or third.differs(near, third.near, third.near_token, third.far_token)
        or same(near.connection(third.near_token)["local_addr"], "10.0.1.1")
    )
    tokens = sorted((first.near_token, second.near_token, third.near_token))
    yield "a dump tells of each", same(sorted(one["token"] for one in near.all(CONNECTION_GET)), tokens)
    if os.path.exists(CLI):
        yield "the kernel's own program understands what is told", understood(first)
    yield from refuse(near, far, first)
    yield "dumps beside live traffic", beside_traffic(near, first)
    first.near.shutdown(socket.SHUT_WR)
    yield "states of a connection that ends", (
        until(lambda: near.connection(here)["state"], 5) or until(lambda: far.connection(there)["state"], 8)
    )
    for connection in (first, second, third):
        connection.close()
    yield "nothing is there at the end", (
        until(lambda: [near.all(CONNECTION_GET), far.all(CONNECTION_GET), far.all(SUBFLOW_GET)], [[], [], []])
    )


def subflows(near, far, connection):
    """What is wrong with what is told of two subflows."""
    mine, theirs = near.subflows(connection.near_token), far.subflows(connection.far_token)
    enter("client")
    for path in (1, 2):
        here, there = mine.get(f"10.0.{path}.1"), theirs.get(f"10.0.{path}.1")
        if not here or not there:
            return f"got {mine} and {theirs}"
        begun = INITIAL if path == 1 else 0
        wrong = (
            same((here["local_port"], here["peer_port"]), (there["peer_port"], there["local_port"]))
            or same((here["local_id"], here["peer_id"]), (there["peer_id"], there["local_id"]))
            or same((here["flags"], there["flags"]), (ESTABLISHED | begun, ESTABLISHED | ACCEPTED | begun))
            or same((here["state"], here["peer_addr"], there["local_addr"]), (1, SERVER, SERVER))
            or same(here["if_index"], socket.if_nametoindex(f"c{path}"))
            or same(min(here[name] for name in ("rtt", "cwnd", "mss", "id")) > 0, True)
            or same(near.one(SUBFLOW_GET, named(connection.near_token, here["id"]))["local_port"], here["local_port"])
        )
        if wrong:
            return f"path {path}: {wrong}"
    return same(sum(one["bytes_acked"] for one in mine.values()) >= near.connection(connection.near_token)["bytes_acked"], True)


def understood(connection):
    """What is wrong with what the kernel's own program makes of the answers."""
    enter("client")

    def run(*words):
        output = subprocess.run(
            ["python3", CLI, "--spec", SPECIFICATION, "--no-schema", "--output-json", *words],
            capture_output=True, text=True, check=False,
        )
        return json.loads(output.stdout) if output.returncode == 0 else output.stderr

    got = run("--do", "connection-get", "--json", json.dumps({"token": connection.near_token}))
    many = run("--dump", "subflow-get")
    policies = run("--dump", "interface-get")
    if isinstance(got, str) or isinstance(many, str) or isinstance(policies, str):
        return f"{got} {many} {policies}"
    return (
        same((got["state"], got["local-addr"], sorted(got["flags"])), ("established", "10.0.1.1", ["client", "joinable"]))
        or same("10.0.2.1" in {one["local-addr"] for one in many}, True)
        or same({one["name"]: one["policy"] for one in policies}, {"lo": "on", "c1": "on", "c2": "on"})
    )


def refuse(near, far, connection):
    """Requests that are wrong: what is refused, and how it is told."""
    token, stranger = connection.near_token, connection.far_token
    number = near.subflows(token)["10.0.2.1"]["id"]
    unknown = "ENOENT no connection has this token"
    refused = []
    for name, command, rest in (
        ("connection-get", CONNECTION_GET, b""), ("connection-kill", CONNECTION_KILL, b""),
        ("subflow-get", SUBFLOW_GET, attribute(ID, u32(number))),
        ("subflow-kill", SUBFLOW_KILL, attribute(ID, u32(number))),
    ):
        refused += [
            (f"{name}: no token", command, rest, ACK, f"EINVAL missing {TOKEN}", 0),
            (f"{name}: a token that nobody has", command, token_of(token ^ 1) + rest, ACK, unknown, TOKEN),
            (f"{name}: a token of another namespace", command, token_of(stranger) + rest, ACK, unknown, TOKEN),
            (f"{name}: a short token", command, attribute(TOKEN, b"\1\2") + rest, ACK, None, TOKEN),
            (f"{name}: a long token", command, attribute(TOKEN, bytes(8)) + rest, ACK, None, TOKEN),
            (f"{name}: an attribute that it has not", command, token_of(token) + rest + attribute(3, u32(1)), ACK, None, 3),
            (f"{name}: an unknown attribute", command, token_of(token) + rest + attribute(99, u32(1)), ACK, None, 99),
            (f"{name}: bytes behind the attributes", command, token_of(token) + rest + b"\1\0", ACK, None, 0),
        ]
    for name, command in (("subflow-get", SUBFLOW_GET), ("subflow-kill", SUBFLOW_KILL)):
        refused += [
            (f"{name}: no number", command, token_of(token), ACK, f"EINVAL missing {ID}", 0),
            (f"{name}: a number that no subflow has", command, named(token, number + 77), ACK,
             "ENOENT the connection has no subflow with this id", ID),
            (f"{name}: a short number", command, token_of(token) + attribute(ID, b""), ACK, None, ID),
        ]
    refused += [
        ("a dump of connections with a token", CONNECTION_GET, token_of(token), DUMP, None, TOKEN),
        ("a dump of subflows with a number", SUBFLOW_GET, named(token, number), DUMP, None, ID),
        ("a dump of subflows with a token that nobody has", SUBFLOW_GET, token_of(token ^ 1), DUMP, unknown, TOKEN),
        ("a dump that kills", CONNECTION_KILL, token_of(token), DUMP, "ENOTSUP", 0),
        ("an unknown command", 99, token_of(token), ACK, "ENOTSUP", 0),
        ("interface-get: no interface", INTERFACE_GET, b"", ACK, "EINVAL missing 1", 0),
        ("interface-get: the interface 0", INTERFACE_GET, interface(0), ACK, None, 1),
        ("interface-get: an unknown interface", INTERFACE_GET, interface(9999), ACK, "ENODEV no such interface", 1),
        ("interface-get: a policy", INTERFACE_GET, interface(1, OFF), ACK, None, POLICY),
        ("interface-set: no interface", INTERFACE_SET, attribute(POLICY, u32(OFF)), ACK, "EINVAL missing 1", 0),
        ("interface-set: no policy", INTERFACE_SET, interface(1), ACK, f"EINVAL missing {POLICY}", 0),
        ("interface-set: an unknown policy", INTERFACE_SET, interface(1, 3), ACK, None, POLICY),
        ("interface-set: a policy of 2^32 - 1", INTERFACE_SET, interface(1, 0xFFFFFFFF), ACK, None, POLICY),
        ("interface-set: an unknown interface", INTERFACE_SET, interface(9999, OFF), ACK, "ENODEV no such interface", 1),
        ("interface-set: a short policy", INTERFACE_SET, interface(1) + attribute(POLICY, b"\1"), ACK, None, POLICY),
    ]
    before = near.policies()
    for what, command, body, flags, wanted, blamed in refused:
        got = near.call(command, body, flags=flags)
        wrong = same(got, wanted) if wanted else same(got[:1] == "E" and not got.startswith("EPERM"), True)
        yield f"refused: {what}", wrong or same(near.blamed, blamed)
    code, _ = near.ask(near.family, struct.pack("BBH", CONNECTION_GET, 1, 7) + token_of(token))
    yield "refused: something in the reserved field", same(code, 22)
    yield "without privileges nothing is changed", unprivileged(lambda: same(
        [near.call(command, body).split()[:1] for command, body in (
            (CONNECTION_KILL, token_of(token)), (SUBFLOW_KILL, named(token, number)), (INTERFACE_SET, interface(1, OFF)),
        )], 3 * [["EPERM"]]
    ))
    yield "nothing has changed", same(near.policies(), before) or connection.has(3)
    yield "doubled attributes: the last one counts", (
        same(near.one(CONNECTION_GET, token_of(stranger), token_of(token))["token"], token)
        or same(near.call(CONNECTION_GET, token_of(token), token_of(stranger)), unknown)
        or same(far.one(CONNECTION_GET, token_of(stranger))["token"], stranger)
    )


def beside_traffic(near, connection):
    """What is wrong with a hundred dumps while data flows."""
    problems, over = [], threading.Event()

    def flow():
        while not over.is_set() and not problems:
            wrong = connection.exchange(1)
            if wrong:
                problems.append(wrong)

    thread = threading.Thread(target=flow)
    thread.start()
    sent = []
    for _ in range(100):
        mine = [one for one in near.all(CONNECTION_GET) if one["token"] == connection.near_token]
        sent.append(mine[0]["bytes_sent"] if len(mine) == 1 else -1)
        if len(near.all(SUBFLOW_GET, token_of(connection.near_token))) != 3:
            problems.append("not three subflows")
    over.set()
    thread.join()
    return "".join(problems) or same((min(sent) > 0, sorted(sent) == sent, sent[0] < sent[-1]), (True, True, True))


def path(name, value=None):
    """Reads or writes the policy of an interface of this namespace by its file."""
    with open(f"/proc/sys/net/mptcp_rs/conf/{name}/path", "r" if value is None else "w", encoding="ascii") as file:
        return file.read().strip() if value is None else file.write(value)


def addresses():
    """The table of local addresses: what it says of the second interface."""
    with open("/proc/sys/net/mptcp_rs/addresses", encoding="ascii") as file:
        return {line.split()[-1] for line in file if line.split()[1] == "c2"}


def interfaces():
    """How paths may use interfaces."""
    near, far = Own("client"), Own("server")
    enter("client")
    index = socket.if_nametoindex("c2")
    yield "all interfaces", same(near.policies(), {"lo": ON, "c1": ON, "c2": ON})
    yield "one interface", same(near.one(INTERFACE_GET, interface(index)), {"if_index": index, "name": "c2", "policy": ON})
    connection = Known(near, far, SERVER, SERVICE)
    yield "there are three subflows", connection.has(3)
    enter("client")
    yield "off: the file and the table of addresses say so, too", (
        same(near.call(INTERFACE_SET, interface(index, OFF)), "") or same(path("c2"), "off")
        or until(addresses, {"off"}) or same(near.one(INTERFACE_GET, interface(index))["policy"], OFF)
    )
    yield "off: the subflow ends", connection.has(2)
    yield "on: it comes back", same(near.call(INTERFACE_SET, interface(index, ON)), "") or connection.has(3)
    enter("client")
    yield "backup: both hosts know", (
        same(near.call(INTERFACE_SET, interface(index, BACKUP)), "") or same(path("c2"), "backup")
        or until(lambda: near.subflows(connection.near_token)["10.0.2.1"]["flags"] & BACKUP_LOCAL, BACKUP_LOCAL)
        or until(lambda: far.subflows(connection.far_token)["10.0.2.1"]["flags"] & BACKUP_PEER, BACKUP_PEER)
    )
    path("c2", "on")
    yield "what is written to the file is told", same(near.policies()["c2"], ON)
    path("default", "backup")
    subprocess.run(["ip", "link", "add", "late", "type", "veth", "peer", "name", "other"], check=True)
    late = socket.if_nametoindex("late")
    yield "interfaces to come have the default", same(
        [near.policies().get(name) for name in ("late", "other")], [BACKUP, BACKUP]
    )
    wrong = same(near.call(INTERFACE_SET, interface(late, OFF)), "")
    subprocess.run(["ip", "link", "set", "late", "name", "renamed"], check=True)
    yield "an interface keeps its policy when it is renamed", (
        wrong or until(lambda: near.policies().get("renamed"), OFF) or same(path("renamed"), "off")
    )
    subprocess.run(["ip", "link", "del", "renamed"], check=True)
    yield "an interface that is gone", until(lambda: near.call(INTERFACE_GET, interface(late)), "ENODEV no such interface")
    path("default", "on")
    connection.close()


def gone():
    """A namespace that is deleted while somebody has a socket in it."""
    subprocess.run(["ip", "netns", "add", "gone"], check=True)
    own = Own("gone")
    enter("client")
    subprocess.run(["ip", "netns", "del", "gone"], check=True)
    yield "a deleted namespace", same((own.all(CONNECTION_GET), own.policies()), ([], {"lo": ON}))
    own.sock.close()


def crowd(count):
    """Very many connections, which take many messages."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (4 * count + 1000, 4 * count + 1000))
    enter("server")
    listener = listen(SERVICE)
    connections = [Connection(SERVER, SERVICE, listener, rounds=0) for _ in range(count)]
    tokens = sorted(connection.near_token for connection in connections)
    for room in (1 << 13, 1 << 16):
        # The kernel's messages are as long as the longest that a socket has read.
        near = Own("client")
        yield f"{count} connections, {room} bytes for a message: each is told once", same(
            sorted(one["token"] for one in near.all(CONNECTION_GET, room=room)), tokens
        )
        ids = [(one["token"], one["id"]) for one in near.all(SUBFLOW_GET, room=room)]
        yield f"{count} connections, {room} bytes for a message: each subflow is told once", (
            same(len(set(ids)), len(ids)) or same(sorted({token for token, _ in ids}), tokens)
        )
    for name, command in (("connections", CONNECTION_GET), ("subflows", SUBFLOW_GET)):
        print(f"# dump of {name}: {cost(command):.1f} ms of CPU time for {count} connections", flush=True)
    for connection in connections:
        connection.close()
    listener.close()
    yield "all of them end", until(lambda: near.all(CONNECTION_GET), [])


def cost(command):
    """The CPU time of a dump whose answers nobody looks at, in milliseconds: the least of five."""
    least = float("inf")
    for _ in range(5):
        own = Own("client")
        message = struct.pack("IHHIIBBH", 20, own.family, 1 | DUMP, 99, 0, command, 1, 0)
        buffer = bytearray(1 << 16)
        begun = time.thread_time()
        own.sock.send(message)
        # A batch that ends the dump has NLMSG_DONE as its last message, of 20 bytes.
        while struct.unpack_from("H", buffer, max(own.sock.recv_into(buffer) - 16, 0))[0] != 3:
            pass
        least = min(least, time.thread_time() - begun)
    return least * 1000


def main():
    """See the module's description."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=400, help="how many connections are a crowd")
    return report("family", look(), interfaces(), gone(), crowd(parser.parse_args().count)) != 0


if __name__ == "__main__":
    sys.exit(main())
