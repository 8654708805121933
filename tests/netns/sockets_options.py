# SPDX-License-Identifier: GPL-2.0
"""Socket options, and what a program can ask of its connection."""
import errno
import select
import socket
import struct
import threading
import time

from sockets_harness import (
    PATH_MANAGER, ROLES, SCHEDULER, SOL_MPTCP, address, case, chosen, events, fails, listener, make, pair, pattern,
    pending, read_all, same, until)

SO_TIMESTAMP = 29  # not in Python's socket module
OPTIONS = [
    # name, level, option, value, in-tree refuses it or keeps it elsewhere
    ("SO_KEEPALIVE", socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    ("SO_PRIORITY", socket.SOL_SOCKET, socket.SO_PRIORITY, 3),
    ("SO_MARK", socket.SOL_SOCKET, socket.SO_MARK, 7),
    ("SO_OOBINLINE", socket.SOL_SOCKET, socket.SO_OOBINLINE, 1),
    ("TCP_NODELAY", socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    ("TCP_KEEPIDLE", socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 77),
    ("TCP_KEEPINTVL", socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 11),
    ("TCP_KEEPCNT", socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4),
    ("TCP_USER_TIMEOUT", socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 12345),
    ("TCP_NOTSENT_LOWAT", socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, 65536),
    ("TCP_QUICKACK", socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1),
    ("TCP_SYNCNT", socket.IPPROTO_TCP, socket.TCP_SYNCNT, 3),
    ("TCP_LINGER2", socket.IPPROTO_TCP, socket.TCP_LINGER2, 20),
    ("TCP_MAXSEG", socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1000),
    ("TCP_WINDOW_CLAMP", socket.IPPROTO_TCP, socket.TCP_WINDOW_CLAMP, 60000),
    ("IP_TOS", socket.IPPROTO_IP, socket.IP_TOS, 0x10),
    ("IP_TTL", socket.IPPROTO_IP, socket.IP_TTL, 33),
    ("IP_MTU_DISCOVER", socket.IPPROTO_IP, 10, 1),
]
IN_TREE_ODD = {"TCP_QUICKACK", "TCP_WINDOW_CLAMP", "TCP_LINGER2", "TCP_MAXSEG", "TCP_USER_TIMEOUT", "IP_MTU_DISCOVER",
               "TCP_NOTSENT_LOWAT", "TCP_SYNCNT", "SO_OOBINLINE", "IP_TTL"}
LOST_ON_CONNECT = {"TCP_QUICKACK", "TCP_MAXSEG", "TCP_WINDOW_CLAMP"}  # TCP itself changes these


@case
def options_set_before_connect_survive():
    for name, level, option, value in OPTIONS:
        if name in LOST_ON_CONNECT or (ROLES["client"] == "in-tree" and name in IN_TREE_ODD):
            continue
        client, server = pair(options=[(level, option, value)])
        same(client.getsockopt(level, option), value, f"{name} set before connect")
        client.sendall(b"x")
        same(server.recv(1), b"x", name)
        client.close()
        server.close()


@case
def options_set_after_connect_read_back():
    client, server = pair()
    for name, level, option, value in OPTIONS:
        if name in LOST_ON_CONNECT or (ROLES["client"] == "in-tree" and name in IN_TREE_ODD):
            continue
        client.setsockopt(level, option, value)
        same(client.getsockopt(level, option), value, name)
    client.sendall(b"x")
    same(server.recv(1), b"x")


@case
def options_of_listener_are_inherited():
    for name, level, option, value in OPTIONS:
        if name in LOST_ON_CONNECT | {"TCP_SYNCNT", "IP_TOS", "SO_PRIORITY"}:
            continue
        if ROLES["server"] == "in-tree" and name in IN_TREE_ODD:
            continue
        client, server = pair(listener_options=[(level, option, value)])
        same(server.getsockopt(level, option), value, f"{name} of the listener")
        client.close()
        server.close()


@case
def buffers_read_back_doubled():
    client, server = pair(options=[(socket.SOL_SOCKET, socket.SO_SNDBUF, 50000),
                                   (socket.SOL_SOCKET, socket.SO_RCVBUF, 60000)])
    same(client.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF), 100000, "SO_SNDBUF")
    same(client.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF), 120000, "SO_RCVBUF")
    data = pattern(500000)
    thread = threading.Thread(target=lambda: (server.sendall(data), server.shutdown(socket.SHUT_WR)))
    thread.start()
    same(read_all(client) == data, True, "the data through small buffers")
    thread.join()


@case(not_in_tree="client")
def congestion_control_by_name():
    client, server = pair(options=[(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")])
    same(client.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0"), b"reno")
    client.sendall(b"x")
    same(server.recv(1), b"x")


@case(not_in_tree="client")
def bad_options_are_refused_as_tcp_does():
    client, _server = pair()
    fails(errno.ENOPROTOOPT, client.setsockopt, socket.IPPROTO_TCP, 9999, 1)
    fails(errno.ENOPROTOOPT, client.getsockopt, socket.IPPROTO_TCP, 9999)
    fails(errno.EINVAL, client.setsockopt, socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, -1)
    fails(errno.EINVAL, client.setsockopt, socket.IPPROTO_TCP, socket.TCP_NODELAY, b"")
    fails(errno.ENOENT, client.setsockopt, socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"no-such-thing")


@case(ours="client")
def choice_before_connect():
    sock = make("client")
    for option, default, names in ((SCHEDULER, "minrtt", "minrtt roundrobin redundant blest ecf"),
                                   (PATH_MANAGER, "fullmesh", "fullmesh ndiffports none endpoint userspace")):
        same(chosen(sock, option), default)
        for name in names.split():
            sock.setsockopt(SOL_MPTCP, option, name.encode())
            same(chosen(sock, option), name)
        sock.setsockopt(SOL_MPTCP, option, b"none\0" if option == PATH_MANAGER else b"ecf\0")
        fails(errno.ENOENT, sock.setsockopt, SOL_MPTCP, option, b"nothing")
        fails(errno.ENOENT, sock.setsockopt, SOL_MPTCP, option, b"a name too lon")
        fails(errno.EINVAL, sock.setsockopt, SOL_MPTCP, option, b"one byte too long")
    same((chosen(sock, SCHEDULER), chosen(sock, PATH_MANAGER)), ("ecf", "none"), "what was refused changed nothing")
    same(sock.getsockopt(SOL_MPTCP, SCHEDULER, 2), b"ec", "a short buffer")
    sock.setsockopt(SOL_MPTCP, SCHEDULER, b"")
    same((chosen(sock, SCHEDULER), chosen(sock, PATH_MANAGER)), ("minrtt", "none"), "one taken back")
    same(chosen(make("client"), PATH_MANAGER), "fullmesh", "another socket")


@case(ours="client server")
def choice_of_a_connection():
    choice = [(SOL_MPTCP, SCHEDULER, b"roundrobin")]
    with listener(options=[(SOL_MPTCP, SCHEDULER, b"redundant")]) as listening:
        client = make("client")
        client.setsockopt(*choice[0])
        client.connect(address(listening))
        server = listening.accept()[0]
        listening.setsockopt(SOL_MPTCP, SCHEDULER, b"blest")
        same(chosen(server, SCHEDULER), "redundant", "the accepted one has what the listener had")
    same(chosen(client, SCHEDULER), "roundrobin")
    data = pattern(1 << 20)
    for number, name in enumerate("minrtt redundant ecf blest roundrobin".split()):
        piece = data[number << 17:(number + 1) << 17]
        sender, receiver = (client, server) if number % 2 else (server, client)
        sender.setsockopt(SOL_MPTCP, SCHEDULER, name.encode())
        writer = threading.Thread(target=sender.sendall, args=(piece,))
        writer.start()
        same(read_all(receiver, len(piece)), piece, name)
        writer.join()
        same(chosen(sender, SCHEDULER), name)
    client.setsockopt(SOL_MPTCP, PATH_MANAGER, b"ndiffports")
    same((chosen(client, PATH_MANAGER), chosen(server, PATH_MANAGER)), ("ndiffports", "fullmesh"))
    client.setsockopt(SOL_MPTCP, PATH_MANAGER, b"")
    same(chosen(client, PATH_MANAGER), "fullmesh")
    fails(errno.ENOENT, client.setsockopt, SOL_MPTCP, SCHEDULER, b"nothing")


@case
def choice_is_refused_by_tcp():
    client, server = pair()
    for end, role in ((client, ROLES["client"]), (server, ROLES["server"])):
        if role == "plain" or "in-tree" not in ROLES.values() and "plain" in ROLES.values():
            fails(errno.ENOPROTOOPT, end.setsockopt, SOL_MPTCP, SCHEDULER, b"minrtt")
            fails(errno.EOPNOTSUPP, end.getsockopt, SOL_MPTCP, SCHEDULER, 16)


@case
def tcp_info():
    client, server = pair()
    for sock in (client, server):
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        assert len(info) >= 104, f"only {len(info)} bytes"
        same(info[0], 1, "tcpi_state")
        mss = struct.unpack_from("I", info, 16)[0]
        assert 500 < mss < 65536, f"tcpi_snd_mss {mss}"
    client.shutdown(socket.SHUT_WR)
    if ROLES["server"] == "in-tree":  # it tells the state of its first subflow
        return
    until(lambda: server.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)[0] == 8, "tcpi_state is CLOSE_WAIT")


@case(not_in_tree="server")
def receive_timestamps():
    client, server = pair()
    server.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMP, 1)
    client.sendall(b"x")
    until(lambda: pending(server) == 1, "the byte is there")
    data, ancillary, _, _ = server.recvmsg(10, 1000)
    same(data, b"x")
    # TCP gives stamps only where the device or the stack stamped the packet; none is fine, a wrong one is not.
    for level, kind, value in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMP):
            assert abs(struct.unpack("ll", value)[0] - time.time()) < 60


@case(not_in_tree="server")
def inq_tells_what_is_left():
    client, server = pair()
    server.setsockopt(socket.IPPROTO_TCP, 36, 1)  # TCP_INQ
    client.sendall(b"12345")
    until(lambda: pending(server) == 5, "all bytes are there")
    data, ancillary, _, _ = server.recvmsg(2, 1000)
    same(data, b"12")
    same([struct.unpack("i", value)[0] for level, _, value in ancillary if level == socket.IPPROTO_TCP], [3])


@case(not_in_tree="client server")
def keepalive_probes_are_answered():
    client, server = pair(options=[(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
                                   (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1),
                                   (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1),
                                   (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 1)])
    same(events(client, select.POLLIN, timeout=3500), 0, "events of an idle connection")
    client.sendall(b"x")
    same(server.recv(1), b"x")
