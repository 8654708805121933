#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Every call on a TCP socket, one TAP line per case; run by lib.sh's socket_calls.

    sockets.py --client ROLE --server ROLE --name TEXT [--only WORD]

ROLE is ours, in-tree or plain; lib.sh has already set the namespaces `client` and `server` up. One
process plays both ends: a socket belongs to the namespace in which it is made. Each case has ten
seconds, or DEADLINE from the environment. A case says what TCP does; `plain` to `plain` proves that it
does. Cases that the kernel's own MPTCP is known to answer differently from TCP are skipped when the end
concerned is in-tree.
"""
import argparse
import array
import errno
import fcntl
import os
import select
import signal
import socket
import struct
import sys
import termios
import threading
import time
import traceback

SO_TIMESTAMP = 29  # not in Python's socket module
SOL_MPTCP, SCHEDULER, PATH_MANAGER = 284, 64, 65  # include/mptcp_rs.h
SERVER4, SERVER6 = os.environ.get("server4", "10.0.1.2"), os.environ.get("server6", "fd00:1::2")
CLIENT4 = os.environ.get("client4", "10.0.1.1")
DEADLINE = int(os.environ.get("DEADLINE", "10"))  # seconds for each case
CASES = []
ROLES = {}
NAMESPACES = {}


class Deadline(Exception):
    """The case took too long."""


def on_alarm(_signal, _frame):
    raise Deadline(f"{DEADLINE} seconds have passed")


def case(function=None, *, not_in_tree="", ours=""):
    """Registers a case. not_in_tree: which ends (`client`, `server`) must not be in-tree; ours: which must be ours."""
    if function is None:
        return lambda inner: case(inner, not_in_tree=not_in_tree, ours=ours)
    CASES.append((function, not_in_tree.split(), ours.split()))
    return function


def enter(namespace):
    os.setns(NAMESPACES[namespace], os.CLONE_NEWNET)


def make(namespace, family=socket.AF_INET, kind=0):
    """A stream socket of that namespace in its role."""
    enter(namespace)
    proto = 262 if ROLES[namespace] == "in-tree" else 0
    sock = socket.socket(family, socket.SOCK_STREAM | kind, proto)
    sock.setblocking(not kind & socket.SOCK_NONBLOCK)
    return sock


def listener(family=socket.AF_INET, backlog=16, options=()):
    """A listening socket of the server."""
    sock = make("server", family)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    for option in options:
        sock.setsockopt(*option)
    sock.bind(("", 0))
    sock.listen(backlog)
    return sock


def address(sock, family=socket.AF_INET):
    """Where the client reaches a listener."""
    return (SERVER6 if family == socket.AF_INET6 else SERVER4, sock.getsockname()[1])


def pair(family=socket.AF_INET, options=(), listener_options=()):
    """A connected (client, server)."""
    with listener(family, options=listener_options) as listening:
        client = make("client", family)
        for option in options:
            client.setsockopt(*option)
        client.connect(address(listening, family))
        server = listening.accept()[0]
    return client, server


def same(got, wanted, what=""):
    assert got == wanted, f"{what}: got {got!r}, wanted {wanted!r}" if what else f"got {got!r}, wanted {wanted!r}"


def fails(code, function, *arguments):
    """The call fails with this errno."""
    try:
        result = function(*arguments)
    except OSError as error:
        same(errno.errorcode.get(error.errno), errno.errorcode[code], "errno")
        return
    raise AssertionError(f"succeeded with {result!r}, wanted {errno.errorcode[code]}")


def events(sock, wanted=select.POLLIN | select.POLLOUT | select.POLLRDHUP | select.POLLPRI, timeout=0):
    """poll(2)'s answer for one socket."""
    poll = select.poll()
    poll.register(sock, wanted)
    return dict(poll.poll(timeout)).get(sock.fileno(), 0)


def until_events(sock, mask, seconds=DEADLINE / 2):
    """Waits until poll reports all of mask; returns what it reports."""
    end = time.monotonic() + seconds
    while (got := events(sock)) & mask != mask:
        assert time.monotonic() < end, f"poll reports {got:#x}, not all of {mask:#x}"
        time.sleep(0.01)
    return got


def until(condition, what, seconds=DEADLINE / 2):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited in vain until {what}"
        time.sleep(0.01)


def read_all(sock, size=None):
    """Reads to the end, or size bytes."""
    data = bytearray()
    while size is None or len(data) < size:
        piece = sock.recv(65536 if size is None else min(65536, size - len(data)))
        if not piece:
            break
        data += piece
    return bytes(data)


def pattern(size):
    return (bytes(range(251)) * (size // 251 + 1))[:size]


# Connecting


def module_references():
    """How often the module is in use; 0 without a module."""
    try:
        with open("/sys/module/mptcp_rs/refcnt", encoding="ascii") as count:
            return int(count.read())
    except FileNotFoundError:
        return 0


@case
def close_before_a_look_at_the_connection():
    """close() is the first call after connect(): each socket gives back what it held, and no more.

    The first case of all, so that no socket of another one goes meanwhile. Those of earlier transfers may:
    their end is waited for.
    """
    with listener() as listening:
        before, since = module_references(), time.monotonic()
        while time.monotonic() - since < 2:
            time.sleep(0.1)
            if before != module_references():
                before, since = module_references(), time.monotonic()
        for _ in range(20):
            client = make("client", kind=socket.SOCK_NONBLOCK)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            fails(errno.EINPROGRESS, client.connect, address(listening))
            server = listening.accept()[0]
            client.close()
            server.close()
        until(lambda: module_references() == before, "the module is in use as often as before")


@case
def connect_blocking_both_families():
    for family in (socket.AF_INET, socket.AF_INET6):
        client, server = pair(family)
        client.sendall(b"up")
        server.sendall(b"down")
        same(server.recv(10), b"up")
        same(client.recv(10), b"down")


@case
def connect_ipv4_mapped_address():
    for kind in (0, socket.SOCK_NONBLOCK):
        with listener(socket.AF_INET6) as listening:
            client = make("client", socket.AF_INET6, kind)
            client.connect_ex(("::ffff:" + SERVER4, listening.getsockname()[1]))
            server, peer = listening.accept()
            same(peer[0], "::ffff:" + CLIENT4)
            until_events(client, select.POLLOUT)
            same(client.getpeername()[0], "::ffff:" + SERVER4)
            client.sendall(b"x")
            same(server.recv(1), b"x")
            server.sendall(b"yz")
            until_events(client, select.POLLIN)
            same(client.recv(2), b"yz")
            if ROLES["client"] == "ours" and ROLES["server"] != "plain":
                same(chosen(client, SCHEDULER), "minrtt", "it is MPTCP")
                fails(errno.EOPNOTSUPP, client.setsockopt, socket.IPPROTO_IPV6, 1, socket.AF_INET)  # IPV6_ADDRFORM
                client.sendall(b"x")
                same(server.recv(1), b"x")


@case
def connect_ipv4_mapped_address_refused():
    for _ in range(2):
        client = make("client", socket.AF_INET6)
        fails(errno.ECONNREFUSED, client.connect, ("::ffff:" + SERVER4, 1))
        with listener(socket.AF_INET6) as listening:
            client.connect(("::ffff:" + SERVER4, listening.getsockname()[1]))
            same(listening.accept()[1][0], "::ffff:" + CLIENT4)
    only6 = make("client", socket.AF_INET6)
    only6.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    fails(errno.ENETUNREACH, only6.connect, ("::ffff:" + SERVER4, 1))


@case
def connect_nonblocking_then_writable():
    with listener() as listening:
        client = make("client", kind=socket.SOCK_NONBLOCK)
        same(client.connect_ex(address(listening)), errno.EINPROGRESS)
        until_events(client, select.POLLOUT)
        same(client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), 0)
        same(client.connect_ex(address(listening)), 0, "first connect after success")
        same(client.connect_ex(address(listening)), errno.EISCONN, "second connect after success")
        same(events(client), select.POLLOUT)
        listening.accept()[0].close()


@case
def connect_nonblocking_epoll_edge():
    with listener() as listening:
        client = make("client", kind=socket.SOCK_NONBLOCK)
        epoll = select.epoll()
        epoll.register(client, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
        epoll.poll(0)  # a fresh socket reports EPOLLHUP
        same(client.connect_ex(address(listening)), errno.EINPROGRESS)
        end = time.monotonic() + 5
        while True:
            got = dict(epoll.poll(0.5)).get(client.fileno(), 0)
            if got & select.EPOLLOUT and not got & select.EPOLLHUP:
                break
            assert time.monotonic() < end, f"no edge for the connection, last events {got:#x}"
        server = listening.accept()[0]
        same(epoll.poll(0), [], "no further edge")
        server.sendall(b"1")
        got = dict(epoll.poll(5)).get(client.fileno(), 0)
        assert got & select.EPOLLIN, f"events {got:#x}"
        same(epoll.poll(0), [], "one edge for one arrival")
        server.sendall(b"2")
        got = dict(epoll.poll(5)).get(client.fileno(), 0)
        assert got & select.EPOLLIN, f"second arrival, events {got:#x}"
        same(read_all(client, 2), b"12")


@case
def connect_refused_blocking():
    with listener() as listening:
        where = address(listening)
    fails(errno.ECONNREFUSED, make("client").connect, where)


@case
def connect_refused_nonblocking():
    with listener() as listening:
        where = address(listening)
    client = make("client", kind=socket.SOCK_NONBLOCK)
    same(client.connect_ex(where), errno.EINPROGRESS)
    got = until_events(client, select.POLLERR | select.POLLHUP)
    assert got & select.POLLOUT, f"poll reports {got:#x}"
    same(client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), errno.ECONNREFUSED)
    same(client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), 0, "SO_ERROR is cleared by reading")


@case(not_in_tree="client")
def connect_again_after_refusal():
    with listener() as listening:
        where = address(listening)
    client = make("client")
    fails(errno.ECONNREFUSED, client.connect, where)
    with listener() as listening:
        client.connect(address(listening))
        server = listening.accept()[0]
        client.sendall(b"x")
        same(server.recv(1), b"x")


@case
def connect_timeout_by_send_timeout():
    client = make("client")
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 0, 300000))
    began = time.monotonic()
    # Nobody answers: the address is on the link, but no host has it.
    fails(errno.EINPROGRESS, client.connect, ("10.0.1.77", 9))
    assert 0.25 < time.monotonic() - began < 3


@case
def connect_host_unreachable():
    client = make("client")
    fails(errno.ENETUNREACH, client.connect, ("192.0.2.1", 9))


@case
def calls_before_connect():
    client = make("client")
    fails(errno.ENOTCONN, client.getpeername)
    fails(errno.EPIPE, client.send, b"x")
    fails(errno.ENOTCONN, client.recv, 1)


@case
def bind_before_connect():
    with listener() as listening:
        client = make("client")
        client.bind((CLIENT4, 0))
        port = client.getsockname()[1]
        assert port
        client.connect(address(listening))
        server, peer = listening.accept()
        same(peer, (CLIENT4, port))
        same(server.getpeername(), (CLIENT4, port))


@case
def bind_in_use():
    with listener() as listening:
        other = make("server")
        fails(errno.EADDRINUSE, other.bind, ("", listening.getsockname()[1]))


@case
def reuseport_two_listeners():
    option = [(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)]
    first = listener(options=option)
    second = make("server")
    second.setsockopt(*option[0])
    second.bind(("", first.getsockname()[1]))
    second.listen(16)
    clients, accepted = [], 0
    for _ in range(8):
        client = make("client")
        client.connect(address(first))
        clients.append(client)
    for listening in (first, second):
        listening.setblocking(False)
        while events(listening, timeout=200):
            listening.accept()
            accepted += 1
    same(accepted, 8)


# Accepting


@case
def accept_nonblocking_without_connection():
    with listener() as listening:
        listening.setblocking(False)
        fails(errno.EAGAIN, listening.accept)
        same(events(listening), 0)


@case
def accept_wakes_poll_and_epoll():
    with listener() as listening:
        epoll = select.epoll()
        epoll.register(listening, select.EPOLLIN)
        same(epoll.poll(0), [])
        client = make("client")
        client.connect(address(listening))
        same(epoll.poll(5), [(listening.fileno(), select.EPOLLIN)])
        same(events(listening), select.POLLIN)
        server = listening.accept()[0]
        same(epoll.poll(0), [])
        client.sendall(b"x")
        same(server.recv(1), b"x")


@case
def accept_flags():
    with listener() as listening:
        client = make("client")
        client.connect(address(listening))
        fd, _ = listening._accept()  # accept4 with SOCK_CLOEXEC
        server = socket.socket(fileno=fd)
        assert fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
        same(server.family, socket.AF_INET)
        same(server.type, socket.SOCK_STREAM)


@case
def accept_in_blocked_thread():
    with listener() as listening:
        accepted = []
        thread = threading.Thread(target=lambda: accepted.append(listening.accept()))
        thread.start()
        client = make("client")
        client.connect(address(listening))
        thread.join(5)
        assert accepted, "accept did not return"


@case
def accept_after_client_closed():
    with listener() as listening:
        client = make("client")
        client.connect(address(listening))
        client.sendall(b"last words")
        client.close()
        server = listening.accept()[0]
        same(read_all(server), b"last words")


@case
def listener_close_resets_waiting_connection():
    listening = listener()
    client = make("client")
    client.connect(address(listening))
    until(lambda: events(listening), "the connection is in the queue")
    listening.close()
    until_events(client, select.POLLHUP | select.POLLERR)
    fails(errno.ECONNRESET, client.recv, 1)


@case
def listener_shutdown_wakes_accept():
    listening = listener()
    listening.shutdown(socket.SHUT_RD)
    fails(errno.EINVAL, listening.accept)


@case
def listen_on_connected_socket_refused():
    client, _server = pair()
    fails(errno.EINVAL, client.listen, 1)


# Names and kinds


@case
def names_of_both_ends():
    for family in (socket.AF_INET, socket.AF_INET6):
        client, server = pair(family)
        same(client.getpeername(), server.getsockname())
        same(client.getsockname(), server.getpeername())


@case
def protocol_domain_type():
    client, server = pair()
    for end, sock in (("client", client), ("server", server)):
        same(sock.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN), socket.AF_INET)
        same(sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE), socket.SOCK_STREAM)
        if ROLES[end] != "in-tree":
            same(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL), socket.IPPROTO_TCP)
    with listener() as listening:
        same(listening.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN), 1)
    same(client.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN), 0)


@case
def explicit_protocol_six():
    enter("client")
    client = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    with listener() as listening:
        client.connect(address(listening))
        listening.accept()[0].sendall(b"x")
        same(client.recv(1), b"x")


# Data


@case
def peek_leaves_data():
    client, server = pair()
    client.sendall(b"hello")
    same(server.recv(3, socket.MSG_PEEK | socket.MSG_WAITALL), b"hel")
    same(server.recv(5, socket.MSG_PEEK | socket.MSG_WAITALL), b"hello")
    same(read_all(server, 5), b"hello")
    fails(errno.EAGAIN, server.recv, 1, socket.MSG_DONTWAIT)


@case(not_in_tree="server")
def peek_offset():
    client, server = pair()
    server.setsockopt(socket.SOL_SOCKET, 42, 2)  # SO_PEEK_OFF
    client.sendall(b"hello")
    until(lambda: pending(server) == 5, "all bytes are there")
    same(server.recv(2, socket.MSG_PEEK), b"ll")
    same(server.recv(2, socket.MSG_PEEK), b"o")


def pending(sock, request=termios.FIONREAD):
    answer = array.array("i", [0])
    fcntl.ioctl(sock, request, answer)
    return answer[0]


@case
def waitall_waits_for_all():
    client, server = pair()
    size = 3 << 20
    data = pattern(size)

    def send():
        for start in range(0, size, 100000):
            client.sendall(data[start : start + 100000])

    thread = threading.Thread(target=send)
    thread.start()
    same(server.recv(size, socket.MSG_WAITALL) == data, True, "all the data in one call")
    thread.join()


@case
def waitall_returns_short_at_end():
    client, server = pair()
    client.sendall(b"abc")
    client.close()
    same(server.recv(10, socket.MSG_WAITALL), b"abc")


@case
def dontwait_when_full_and_when_drained():
    client, server = pair()
    sent = 0
    try:
        while True:
            sent += client.send(pattern(65536), socket.MSG_DONTWAIT)
    except BlockingIOError:
        pass
    assert sent, "nothing could be sent"
    same(events(client) & select.POLLOUT, 0, "POLLOUT while full")
    # More fits only as the receiver's window was filled; then reading makes room again.
    # The last acknowledgment may come a moment after the last byte.
    got = 0
    while not events(client) & select.POLLOUT:
        try:
            got += len(server.recv(1 << 20, socket.MSG_DONTWAIT))
        except BlockingIOError:
            time.sleep(0.01)
    client.setblocking(False)
    sent += client.send(b"x")
    client.shutdown(socket.SHUT_WR)
    while piece := server.recv(1 << 20):
        got += len(piece)
    same(got, sent)


@case
def receive_timeout():
    client, server = pair()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 200000))
    began = time.monotonic()
    fails(errno.EAGAIN, client.recv, 1)
    assert 0.15 < time.monotonic() - began < 3
    server.sendall(b"x")
    same(client.recv(1), b"x")


@case
def send_timeout():
    client, _server = pair()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 0, 300000))
    try:
        while client.send(pattern(1 << 20)):
            pass
    except BlockingIOError:
        return


@case(not_in_tree="server")
def accept_timeout():
    with listener(options=[(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 200000))]) as listening:
        fails(errno.EAGAIN, listening.accept)


@case
def low_water_mark():
    client, server = pair()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 100)
    client.sendall(b"x" * 50)
    until(lambda: pending(server) == 50, "50 bytes are there")
    same(events(server) & select.POLLIN, 0, "POLLIN below the mark")
    client.sendall(b"x" * 50)
    until_events(server, select.POLLIN)


@case
def many_small_writes_stay_in_order():
    client, server = pair(options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)])
    data = pattern(3000)
    thread = threading.Thread(target=lambda: [client.sendall(data[i : i + 1]) for i in range(3000)])
    thread.start()
    same(read_all(server, 3000), data)
    thread.join()


@case
def scatter_and_gather():
    client, server = pair()
    same(client.sendmsg([b"one ", b"two ", b"three"]), 13)
    first, second = bytearray(5), bytearray(8)
    until(lambda: pending(server) == 13, "all bytes are there")
    same(server.recvmsg_into([first, second])[0], 13)
    same(bytes(first + second), b"one two three")


@case
def more_flag_and_cork():
    client, server = pair()
    client.send(b"a", socket.MSG_MORE)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    client.send(b"b")
    client.send(b"c")
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
    same(read_all(server, 3), b"abc")


@case
def zero_length_calls():
    client, server = pair()
    same(client.send(b""), 0)
    same(server.recv(0), b"")
    client.sendall(b"x")
    same(server.recv(1), b"x")


@case(not_in_tree="client server")
def urgent_data():
    client, server = pair()
    client.sendall(b"a")
    client.send(b"!", socket.MSG_OOB)
    if "ours" in (ROLES["client"], ROLES["server"]):
        # MPTCP has no urgent pointer: the byte may come in line.
        got = read_all(server, 1)
        same(got, b"a")
        return
    until_events(server, select.POLLPRI)
    same(server.recv(1, socket.MSG_OOB), b"!")
    same(server.recv(1), b"a")


@case
def bytes_queued_ioctls():
    client, server = pair()
    client.sendall(b"12345")
    until(lambda: pending(server) == 5, "FIONREAD is 5")
    until(lambda: pending(client, termios.TIOCOUTQ) == 0, "SIOCOUTQ is 0")
    same(server.recv(2), b"12")
    same(pending(server), 3)


@case
def sendfile_from_a_file():
    client, server = pair()
    data = pattern((1 << 20) + 1)
    file = os.memfd_create("sendfile")
    os.write(file, data)
    position = 0
    thread_data = []
    thread = threading.Thread(target=lambda: thread_data.append(read_all(server)))
    thread.start()
    while position < len(data):
        position += os.sendfile(client.fileno(), file, position, len(data) - position)
    client.shutdown(socket.SHUT_WR)
    thread.join(8)
    same(thread_data[0] == data, True, "the same data")
    os.close(file)


@case
def splice_in_and_out():
    client, server = pair()
    data = pattern(300001)
    reader, writer = os.pipe()
    out_reader, out_writer = os.pipe()

    def feed():
        view = memoryview(data)
        while view:
            view = view[os.write(writer, view) :]
        os.close(writer)

    def pump():
        while os.splice(reader, client.fileno(), 65536):
            pass
        client.shutdown(socket.SHUT_WR)

    def drain():
        while os.splice(server.fileno(), out_writer, 65536):
            pass
        os.close(out_writer)

    threads = [threading.Thread(target=target) for target in (feed, pump, drain)]
    for thread in threads:
        thread.start()
    got = bytearray()
    while piece := os.read(out_reader, 65536):
        got += piece
    for thread in threads:
        thread.join()
    same(bytes(got) == data, True, "the same data")
    os.close(reader)
    os.close(out_reader)


@case
def zerocopy_send():
    client, server = pair()
    try:
        client.setsockopt(socket.SOL_SOCKET, 60, 1)  # SO_ZEROCOPY
    except OSError:
        assert ROLES["client"] == "in-tree", "SO_ZEROCOPY is refused"
        return
    data = pattern(100000)
    sent = client.send(data, 0x4000000)
    same(read_all(server, sent), data[:sent])
    until(lambda: events(client, select.POLLIN) & select.POLLERR, "the completion is on the error queue")
    _, ancillary, flags, _ = client.recvmsg(100, 1000, socket.MSG_ERRQUEUE)
    assert flags & socket.MSG_ERRQUEUE and ancillary, "no completion"


# Shutdown and close


@case
def shutdown_write_gives_end_of_stream():
    client, server = pair()
    client.sendall(b"x")
    client.shutdown(socket.SHUT_WR)
    same(read_all(server), b"x")
    same(server.recv(1), b"", "again")
    assert until_events(server, select.POLLIN | select.POLLRDHUP) & select.POLLHUP == 0
    fails(errno.EPIPE, client.send, b"y")
    server.sendall(b"back")
    server.shutdown(socket.SHUT_WR)
    same(read_all(client), b"back")
    until_events(client, select.POLLHUP)
    until_events(server, select.POLLHUP)


@case
def shutdown_read_ends_receiving():
    client, server = pair()
    client.shutdown(socket.SHUT_RD)
    same(client.recv(1), b"")
    assert events(client) & (select.POLLIN | select.POLLRDHUP) == select.POLLIN | select.POLLRDHUP
    client.sendall(b"still sends")
    same(read_all(server, 11), b"still sends")


@case
def shutdown_read_wakes_a_blocked_reader():
    client, _server = pair()
    got = []
    thread = threading.Thread(target=lambda: got.append(client.recv(1)))
    thread.start()
    until(lambda: state_of(thread) == "S", "the reader sleeps")
    client.shutdown(socket.SHUT_RD)
    thread.join(5)
    same(got, [b""])


def state_of(thread):
    with open(f"/proc/self/task/{thread.native_id}/stat", encoding="ascii") as file:
        return file.read().rsplit(")", 1)[1].split()[0]


@case
def shutdown_both():
    client, server = pair()
    client.shutdown(socket.SHUT_RDWR)
    same(server.recv(1), b"")
    same(client.recv(1), b"")
    fails(errno.EPIPE, client.send, b"x")
    until_events(client, select.POLLHUP)


@case
def shutdown_not_connected():
    fails(errno.ENOTCONN, make("client").shutdown, socket.SHUT_WR)


@case
def signal_on_broken_pipe():
    client, _server = pair()
    client.shutdown(socket.SHUT_WR)
    hits = []
    old = signal.signal(signal.SIGPIPE, lambda *_: hits.append(1))
    try:
        fails(errno.EPIPE, client.send, b"x", socket.MSG_NOSIGNAL)
        same(hits, [], "signals with MSG_NOSIGNAL")
        fails(errno.EPIPE, client.send, b"x")
        same(hits, [1], "signals without")
    finally:
        signal.signal(signal.SIGPIPE, old)


@case
def close_delivers_what_was_sent():
    client, server = pair()
    data = pattern(200000)
    client.settimeout(None)
    thread = threading.Thread(target=lambda: (client.sendall(data), client.close()))
    thread.start()
    same(read_all(server) == data, True, "all the data")
    thread.join()


@case
def close_with_unread_data_resets():
    client, server = pair()
    client.sendall(b"nobody reads this")
    until_events(server, select.POLLIN)
    server.close()
    until_events(client, select.POLLHUP)
    fails(errno.ECONNRESET, client.recv, 1)


@case
def linger_zero_resets_the_peer():
    client, server = pair()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    got = until_events(server, select.POLLERR | select.POLLHUP)
    assert got & select.POLLIN, f"poll reports {got:#x}"
    same(server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), errno.ECONNRESET)


@case
def linger_waits_for_the_acknowledgement():
    client, server = pair()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 5))
    client.sendall(b"x")
    client.close()
    same(read_all(server), b"x")


@case
def reset_interrupts_a_blocked_reader():
    client, server = pair()
    got = []

    def read():
        try:
            got.append(server.recv(1))
        except OSError as error:
            got.append(error.errno)

    thread = threading.Thread(target=read)
    thread.start()
    until(lambda: state_of(thread) == "S", "the reader sleeps")
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    thread.join(5)
    same(got, [errno.ECONNRESET])


# Sharing


@case
def fork_shares_the_socket():
    client, server = pair()
    child = os.fork()
    if child == 0:
        client.sendall(b"from the child")
        os._exit(0)
    os.waitpid(child, 0)
    client.sendall(b", from the parent")
    same(read_all(server, 31), b"from the child, from the parent")
    # The child's exit closed its copy only.
    server.sendall(b"x")
    same(client.recv(1), b"x")


@case
def fork_last_close_ends_the_stream():
    client, server = pair()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(reader, 1)
        os._exit(0)
    client.close()
    same(events(server, timeout=100) & select.POLLIN, 0, "end of stream while the child has the socket")
    os.write(writer, b"x")
    os.waitpid(child, 0)
    same(server.recv(1), b"")
    os.close(reader)
    os.close(writer)


@case
def dup_shares_and_outlives():
    client, server = pair()
    copy = client.dup()
    client.close()
    copy.sendall(b"x")
    same(server.recv(1), b"x")
    copy.close()
    same(server.recv(1), b"")


@case
def dup_before_connect():
    with listener() as listening:
        client = make("client")
        copy = client.dup()
        client.connect(address(listening))
        server = listening.accept()[0]
        copy.sendall(b"x")
        same(server.recv(1), b"x")
        same(copy.getpeername(), client.getpeername())
        server.sendall(b"y")
        same(copy.recv(1), b"y")


@case
def descriptor_passed_over_unix_socket():
    client, server = pair()
    left, right = socket.socketpair()
    socket.send_fds(left, [b"x"], [client.fileno()])
    _, fds, _, _ = socket.recv_fds(right, 1, 1)
    passed = socket.socket(fileno=fds[0])
    client.close()
    passed.sendall(b"x")
    same(server.recv(1), b"x")
    left.close()
    right.close()


@case
def threads_write_and_read_one_socket():
    client, server = pair()
    record, each, writers, readers = 1000, 60, 6, 4
    lock = threading.Lock()
    got = []

    def write(number):
        for _ in range(each):
            client.sendall(bytes([number]) * record)

    def read():
        while piece := server.recv(record):
            with lock:
                got.append(piece)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
    takers = [threading.Thread(target=read) for _ in range(readers)]
    for thread in threads + takers:
        thread.start()
    for thread in threads:
        thread.join()
    client.shutdown(socket.SHUT_WR)
    for thread in takers:
        thread.join()
    everything = b"".join(got)
    same(len(everything), record * each * writers)
    for number in range(writers):
        same(everything.count(bytes([number])), record * each, f"bytes of writer {number}")


@case
def close_under_blocked_poll():
    client, server = pair()
    poll = select.epoll()
    poll.register(server, select.EPOLLIN)
    client.close()
    got = dict(poll.poll(5)).get(server.fileno(), 0)
    assert got & select.EPOLLIN, f"events {got:#x}"


@case
def sigio_owner():
    client, server = pair()
    hits = []
    signal.signal(signal.SIGIO, lambda *_: hits.append(1))
    try:
        fcntl.fcntl(server, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(server, fcntl.F_SETFL, fcntl.fcntl(server, fcntl.F_GETFL) | os.O_ASYNC)
        client.sendall(b"x")
        until(lambda: hits, "SIGIO comes")
    finally:
        fcntl.fcntl(server, fcntl.F_SETFL, fcntl.fcntl(server, fcntl.F_GETFL) & ~os.O_ASYNC)
        signal.signal(signal.SIGIO, signal.SIG_IGN)


# Options

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


def chosen(sock, option):
    """The name in use for an option of ours."""
    return sock.getsockopt(SOL_MPTCP, option, 16).rstrip(b"\0").decode()


@case(ours="client")
def choice_before_connect():
    sock = make("client")
    for option, default, names in ((SCHEDULER, "minrtt", "minrtt roundrobin redundant blest ecf"),
                                   (PATH_MANAGER, "fullmesh", "fullmesh ndiffports none")):
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


# Numbers


@case
def many_connections_at_once():
    with listener(backlog=256) as listening:
        listening.setblocking(False)
        clients = []
        for _ in range(100):
            client = make("client", kind=socket.SOCK_NONBLOCK)
            assert client.connect_ex(address(listening)) in (0, errno.EINPROGRESS)
            clients.append(client)
        servers = []
        while len(servers) < 100:
            assert events(listening, timeout=5000), f"only {len(servers)} connections arrived"
            servers.append(listening.accept()[0])
        for number, client in enumerate(clients):
            until_events(client, select.POLLOUT)
            client.setblocking(True)
            client.sendall(struct.pack("i", number))
        seen = sorted(struct.unpack("i", read_all(server, 4))[0] for server in servers)
        same(seen, list(range(100)))
        for sock in clients + servers:
            sock.close()


@case
def hundred_short_connections():
    with listener(backlog=64) as listening:
        for number in range(100):
            with make("client") as client:
                client.connect(address(listening))
                with listening.accept()[0] as server:
                    client.sendall(b"?")
                    same(server.recv(1), b"?", f"connection {number}")
                    server.sendall(b"!")
                    same(client.recv(1), b"!", f"connection {number}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--client", choices=("ours", "in-tree", "plain"), required=True)
    parser.add_argument("--server", choices=("ours", "in-tree", "plain"), required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--only", default="")
    parser.add_argument("--stripped", action="store_true", help="no connection stays MPTCP on the way")
    options = parser.parse_args()
    ROLES.update(client=options.client, server=options.server)
    for name in ("client", "server"):
        NAMESPACES[name] = os.open(f"/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC)
    signal.signal(signal.SIGALRM, on_alarm)
    failed = 0
    for function, not_in_tree, ours in CASES:
        name = function.__name__
        if options.only not in name:
            continue
        text = f"{options.name} {name.replace('_', ' ')}"
        if any(ROLES[end] == "in-tree" for end in not_in_tree):
            print(f"ok - {text} # SKIP the kernel's own MPTCP differs from TCP here", flush=True)
            continue
        if any(ROLES[end] != "ours" for end in ours):
            print(f"ok - {text} # SKIP the {' and the '.join(ours)} must be ours", flush=True)
            continue
        if options.stripped and len(ours) == 2:
            print(f"ok - {text} # SKIP no connection stays MPTCP", flush=True)
            continue
        signal.alarm(DEADLINE)
        try:
            function()
            signal.alarm(0)
            print(f"ok - {text}", flush=True)
        except Exception as error:  # whatever it was, the next case has to run
            signal.alarm(0)
            failed += 1
            where = [entry for entry in traceback.extract_tb(error.__traceback__) if entry.name == name]
            print(f"not ok - {text}\n#   {type(error).__name__}: {error}, line {where[-1].lineno if where else '?'}",
                  flush=True)
    print("# sockets complete", flush=True)
    # A thread that still sleeps in a failed case must not keep the process.
    os._exit(1 if failed else 0)


if __name__ == "__main__":
    sys.exit(main())
