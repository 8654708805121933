# SPDX-License-Identifier: GPL-2.0
"""A socket that is disconnected with connect(AF_UNSPEC) is as good as new: it connects and listens again."""
import ctypes
import errno
import os
import select
import socket
import struct
import subprocess
import threading

from sockets_end import state_of
from sockets_harness import (
    CLIENT4, DEADLINE, ROLES, SOL_MPTCP, address, case, enter, events, fails, listener, make, pair, pattern, pending,
    read_all, same, until, until_events)
from sockets_setup import module_references

LIBC = ctypes.CDLL(None, use_errno=True)
AF_UNSPEC = struct.pack("H14x", socket.AF_UNSPEC)
MPTCP_INFO = 1
KEPT_MAX = 32  # src/module/renew.rs


def disconnect(sock):
    if LIBC.connect(sock.fileno(), AF_UNSPEC, len(AF_UNSPEC)) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def connect(client, listening, family=socket.AF_INET):
    """Connects the client once more; returns the server's end after a word each way."""
    client.connect(address(listening, family))
    server = listening.accept()[0]
    exchange(client, server)
    return server


def exchange(client, server):
    client.sendall(b"up")
    server.sendall(b"down")
    same((read_all(server, 2), read_all(client, 4)), (b"up", b"down"))


def joined(sock):
    """How many subflows have joined."""
    return sock.getsockopt(SOL_MPTCP, MPTCP_INFO, 1)[0]


@case
def disconnect_and_connect_again():
    for family in (socket.AF_INET, socket.AF_INET6):
        with listener(family) as one, listener(family) as other:
            client = make("client", family)
            for listening in (one, one, other, one, other):
                server = connect(client, listening, family)
                same(client.getpeername()[:2], address(listening, family))
                disconnect(client)
                fails(errno.ENOTCONN, client.getpeername)
                fails(errno.ECONNRESET, server.recv, 1)
                server.close()
            data = pattern(300000)
            server = connect(client, one, family)
            thread = threading.Thread(target=lambda end=server: (end.sendall(data), end.shutdown(socket.SHUT_WR)))
            thread.start()
            same(read_all(client) == data, True, "all the data")
            client.close()
            thread.join()


@case(not_in_tree="client")
def disconnected_is_not_connected():
    client, _server = pair()
    disconnect(client)
    wanted = select.POLLOUT | select.POLLERR | select.POLLHUP
    same(events(client), wanted)
    fails(errno.ECONNRESET, client.recv, 1)
    fails(errno.ENOTCONN, client.recv, 1)
    fails(errno.EPIPE, client.send, b"x", socket.MSG_NOSIGNAL)
    fails(errno.ENOTCONN, client.shutdown, socket.SHUT_WR)
    same(events(client), select.POLLOUT | select.POLLHUP)
    disconnect(client)
    with listener() as listening:
        connect(client, listening)


@case(not_in_tree="client")
def disconnect_drops_what_was_on_its_way():
    with listener() as listening:
        client = make("client")
        for _ in range(3):
            server = connect(client, listening)
            server.sendall(b"nobody reads this")
            until_events(client, select.POLLIN)
            client.setblocking(False)
            try:
                while True:
                    client.send(pattern(65536))
            except BlockingIOError:
                pass
            client.setblocking(True)
            disconnect(client)
            same(pending(client), 0)
        exchange(client, connect(client, listening))


@case
def disconnect_after_both_have_finished():
    with listener() as listening:
        client = make("client")
        for first in ("client", "server", "client"):
            server = connect(client, listening)
            ends = [client, server] if first == "client" else [server, client]
            ends[0].sendall(pattern(100000))
            ends[0].shutdown(socket.SHUT_WR)
            same(len(read_all(ends[1])), 100000)
            ends[1].shutdown(socket.SHUT_WR)
            same(ends[0].recv(1), b"")
            until_events(server, select.POLLHUP)
            disconnect(client)
            same(server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), 0, "the server is not told of an error")
            server.close()


@case
def disconnect_leaves_the_peer_what_it_has_got():
    client, server = pair()
    server.shutdown(socket.SHUT_WR)
    same(client.recv(1), b"")
    client.sendall(b"in time")
    client.shutdown(socket.SHUT_WR)
    until_events(client, select.POLLHUP)
    disconnect(client)
    same(read_all(server), b"in time")


@case
def disconnect_and_listen():
    socks = [pair()[0]]
    disconnect(socks[0])
    enter("client")
    socks[0].listen(4)
    for _ in range(2):
        other = make("client")
        other.connect(("127.0.0.1", socks[0].getsockname()[1]))
        accepted = socks[0].accept()[0]
        exchange(other, accepted)
        socks += [other, accepted]
    disconnect(socks[0])
    fails(errno.EINVAL, socks[0].accept)
    with listener() as listening:
        connect(socks[0], listening)
        disconnect(socks[0])
        connect(socks[0], listening)
    exchange(other, accepted)
    for sock in socks:
        sock.close()


@case
def disconnect_an_accepted_socket():
    client, server = pair()
    exchange(client, server)
    disconnect(server)
    fails(errno.ECONNRESET, client.recv, 1)
    with listener() as listening:
        enter("server")
        server.connect(("127.0.0.1", listening.getsockname()[1]))
        exchange(server, listening.accept()[0])


@case(ours="client server")
def disconnect_with_a_joined_subflow():
    with listener() as listening:
        client = make("client")
        for _ in range(3):
            server = connect(client, listening)
            until(lambda: joined(client) > 0, "a subflow has joined")
            client.sendall(pattern(200000))
            same(len(read_all(server, 200000)), 200000)
            disconnect(client)
            fails(errno.ECONNRESET, server.recv, 1)
            server.close()
            port = listening.getsockname()[1]
            end = ["ss", "-Htn", f"( sport = :{port} or dport = :{port} )"]
            until(lambda: not subprocess.run(end, capture_output=True, check=True).stdout, "TCP has ended")


OPTIONS = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.SOL_SOCKET, socket.SO_MARK, 7),
    (socket.SOL_SOCKET, socket.SO_PRIORITY, 3),
    (socket.SOL_SOCKET, socket.SO_RCVLOWAT, 2),
    (socket.SOL_SOCKET, socket.SO_OOBINLINE, 1),
    (socket.IPPROTO_IP, socket.IP_TTL, 33),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 71),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 12345),
    (socket.IPPROTO_TCP, socket.TCP_SYNCNT, 3),
]
SIZES = [(socket.SOL_SOCKET, socket.SO_RCVBUF, 50000), (socket.SOL_SOCKET, socket.SO_SNDBUF, 60000)]


@case(not_in_tree="client")
def disconnect_keeps_options():
    """Half of them are set before the first connection, half on it."""
    with listener() as listening:
        client = make("client")
        for option in OPTIONS[::2] + SIZES:
            client.setsockopt(*option)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
        client.settimeout(8)
        for _ in range(3):
            connect(client, listening)
            for option in OPTIONS[1::2]:
                client.setsockopt(*option)
            disconnect(client)
            for level, name, value in OPTIONS:
                same(client.getsockopt(level, name), value, f"option {level}:{name}")
            for level, name, value in SIZES:
                same(client.getsockopt(level, name), 2 * value, f"size {level}:{name}")
            same(client.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0"), b"reno")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, 5)
        connect(client, listening)
        same(client.getsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY), 5, "set in between")
        same(client.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0"), b"reno", "connected")


@case(not_in_tree="client")
def disconnect_keeps_what_it_is_bound_to():
    with listener() as one, listener() as other:
        client, taken = make("client"), make("client")
        taken.bind((CLIENT4, 0))
        name = taken.getsockname()
        taken.close()
        client.bind(name)
        for listening in (one, other, one):
            client.connect(address(listening))
            server, peer = listening.accept()
            same(peer, name)
            exchange(client, server)
            disconnect(client)
            same(client.getsockname(), name)
        client.connect(address(other))
        server = other.accept()[0]
        server.shutdown(socket.SHUT_WR)
        same(client.recv(1), b"")
        client.shutdown(socket.SHUT_WR)
        until_events(client, select.POLLHUP)
        disconnect(client)
        same(client.getsockname(), name, "after an orderly end")
        taken = make("client")
        fails(errno.EADDRINUSE, taken.bind, name)
        client.close()
        unbound = make("client")
        connect(unbound, one)
        disconnect(unbound)
        same(unbound.getsockname()[0], "0.0.0.0", "an address that connect() chose")


def sleeping(function):
    """A thread that sleeps in the call, and a list that gets the outcome."""
    outcome = []

    def run():
        try:
            outcome.append(function())
        except OSError as error:
            outcome.append(errno.errorcode[error.errno])

    thread = threading.Thread(target=run)
    thread.start()
    until(lambda: thread.native_id and state_of(thread) == "S", "the thread sleeps")
    return thread, outcome


@case
def disconnect_wakes_who_waits():
    with listener() as listening:
        client = make("client")
        for _ in range(3):
            server = connect(client, listening)
            reader, read = sleeping(lambda: client.recv(1))
            poller, polled = sleeping(lambda: events(client, select.POLLIN, 1000 * DEADLINE))
            epoll = select.epoll()
            epoll.register(client, select.EPOLLIN | select.EPOLLET)
            waiter, waited = sleeping(lambda: epoll.poll(DEADLINE))
            disconnect(client)
            for thread in (reader, poller, waiter):
                thread.join(5)
            same(read, ["EPIPE"], "recv()")
            same(polled[0] & ~select.POLLERR, select.POLLHUP, "poll()")
            same(len(waited[0]), 1, "epoll_wait()")
            epoll.close()
            server.close()


@case
def disconnect_wakes_a_writer():
    with listener() as listening:
        client = make("client")
        for _ in range(3):
            server = connect(client, listening)
            writer, written = sleeping(lambda: client.sendall(bytes(64 << 20), socket.MSG_NOSIGNAL))
            disconnect(client)
            writer.join(5)
            assert written and written[0] in ("EPIPE", "ECONNRESET"), f"send() ended with {written}"
            server.close()


@case
def disconnect_and_connect_nonblocking():
    with listener() as listening:
        client = make("client", kind=socket.SOCK_NONBLOCK)
        epoll = select.epoll()
        epoll.register(client, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
        for _ in range(4):
            fails(errno.EINPROGRESS, client.connect, address(listening))
            server = listening.accept()[0]
            until_events(client, select.POLLOUT)
            same(client.connect_ex(address(listening)), 0)
            epoll.poll(0)
            server.sendall(b"x")
            until(lambda: dict(epoll.poll(1)).get(client.fileno(), 0) & select.EPOLLIN, "epoll tells of data")
            same(client.recv(2), b"x")
            disconnect(client)
            server.close()
        fails(errno.EINPROGRESS, client.connect, address(listening))
        disconnect(client)
        fails(errno.EINPROGRESS, client.connect, address(listening))
        until_events(client, select.POLLOUT)


@case
def connect_again_after_an_unnoticed_reset():
    """The connection is there and gone before connect() is asked a second time."""
    with listener() as listening:
        client = make("client", kind=socket.SOCK_NONBLOCK)
        for _ in range(3):
            fails(errno.EINPROGRESS, client.connect, address(listening))
            server = listening.accept()[0]
            server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            server.close()
            until_events(client, select.POLLHUP)
            fails(errno.ECONNRESET, client.connect, address(listening))
        fails(errno.EINPROGRESS, client.connect, address(listening))
        server = listening.accept()[0]
        until_events(client, select.POLLOUT)
        exchange(client, server)


@case
def others_look_while_connect_waits():
    """The SYN is dropped first, because the listener's queue is full."""
    with listener(backlog=0) as listening:
        first = make("client")
        first.connect(address(listening))
        client = make("client")
        connecting, connected = sleeping(lambda: client.connect(address(listening)))
        over = threading.Event()

        def look():
            while not over.is_set():
                events(client, timeout=1)
                client.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

        looking = threading.Thread(target=look)
        looking.start()
        ends = [listening.accept()[0]]
        connecting.join(6)
        over.set()
        looking.join(1)
        same(connected, [None], "connect()")
        ends.append(listening.accept()[0])
        exchange(client, ends[1])
        disconnect(client)
        exchange(first, ends[0])
        connect(client, listening)


@case
def disconnect_many_times():
    """What a socket keeps of each connection is bounded, and goes when it is closed."""
    before = module_references()
    with listener() as listening:
        client = make("client")
        for _ in range(KEPT_MAX + 8):
            connect(client, listening).close()
            disconnect(client)
        same(client.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE), socket.SOCK_STREAM)
        connect(client, listening).close()
        until_events(client, select.POLLIN)
        client.close()
    until(lambda: module_references() <= before, "the module is in use as often as before")


@case
def disconnect_while_others_use_the_socket():
    with listener(backlog=64) as listening:
        client = make("client")
        over = threading.Event()

        def use():
            while not over.is_set():
                for function in (lambda: client.recv(10, socket.MSG_DONTWAIT), lambda: events(client),
                                 lambda: client.send(b"xy", socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL),
                                 lambda: client.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY),
                                 client.getpeername, lambda: pending(client)):
                    try:
                        function()
                    except OSError:
                        pass

        threads = [threading.Thread(target=use) for _ in range(2)]
        for thread in threads:
            thread.start()
        for _ in range(20):
            client.connect(address(listening))
            listening.accept()[0].close()
            disconnect(client)
        over.set()
        for thread in threads:
            thread.join(5)
        if ROLES["client"] == "in-tree":
            # An MP_FASTCLOSE of the last connection may leave an error there, after the disconnect.
            client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        connect(client, listening)
