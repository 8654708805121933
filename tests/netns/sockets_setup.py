# SPDX-License-Identifier: GPL-2.0
"""Socket calls up to a connection: connect, bind, listen, accept; many at once."""
import errno
import fcntl
import select
import socket
import struct
import threading
import time

from sockets_harness import (
    CLIENT4, ROLES, SCHEDULER, SERVER4, address, case, chosen, enter, events, fails, listener, make, pair, read_all,
    same, until, until_events)


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
