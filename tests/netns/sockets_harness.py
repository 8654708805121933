# SPDX-License-Identifier: GPL-2.0
"""What the cases of sockets.py are made of: sockets in their roles, and what has to hold."""
import array
import errno
import fcntl
import os
import select
import socket
import termios
import time

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


def case(function=None, *, not_in_tree="", ours="", multipath=False):
    """Registers a case. not_in_tree: which ends (`client`, `server`) must not be in-tree; ours: which must be ours;
    multipath: the connections must be MPTCP, and stay so."""
    if function is None:
        return lambda inner: case(inner, not_in_tree=not_in_tree, ours=ours, multipath=multipath)
    CASES.append((function, not_in_tree.split(), ours.split(), multipath))
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


def pending(sock, request=termios.FIONREAD):
    answer = array.array("i", [0])
    fcntl.ioctl(sock, request, answer)
    return answer[0]


def chosen(sock, option):
    """The name in use for an option of ours."""
    return sock.getsockopt(SOL_MPTCP, option, 16).rstrip(b"\0").decode()
