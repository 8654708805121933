# SPDX-License-Identifier: GPL-2.0
"""Socket calls that move data, and those that wait for it."""
import ctypes
import errno
import mmap
import os
import select
import socket
import struct
import termios
import threading
import time

from sockets_harness import (
    ROLES, case, events, fails, listener, make, pair, pattern, pending, read_all, same, until, until_events)


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
def loopback_carries_both_ways_at_once():
    """Segments of 64 KiB, and readers of small pieces, so that windows close."""
    data = pattern(2 << 20)

    def read(sock, results):
        got = bytearray()
        while piece := sock.recv(len(got) % 7919 + 1):
            got += piece
        results.append(bytes(got))

    def write(sock):
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)

    for _ in range(4):
        with make("client", socket.AF_INET6) as listening:
            listening.bind(("::1", 0))
            listening.listen()
            near = make("client", socket.AF_INET6)
            near.connect(listening.getsockname()[:2])
            far = listening.accept()[0]
        results = []
        threads = [threading.Thread(target=write, args=(sock,)) for sock in (near, far)]
        threads += [threading.Thread(target=read, args=(sock, results)) for sock in (near, far)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        same([len(got) for got in results], [len(data)] * 2, "bytes that arrived")
        same(results == [data] * 2, True, "the data as it was sent")


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


@case(not_in_tree="server")
def zerocopy_receive():
    """Pages are mapped where they can be, the rest is copied; more than the window has to come through."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long
    client, server = pair()
    room = 1 << 18
    area = libc.mmap(None, room, mmap.PROT_READ, mmap.MAP_SHARED, server.fileno(), 0)
    assert area != ctypes.c_void_p(-1).value, os.strerror(ctypes.get_errno())
    copied = ctypes.create_string_buffer(room)
    data = pattern(8 << 20)
    thread = threading.Thread(target=client.sendall, args=(data,))
    thread.start()
    got = bytearray()
    while len(got) < len(data):
        select.select([server], [], [], 10)
        # struct tcp_zerocopy_receive: where to, how much; what is skipped; where what is not mapped goes.
        asked = ctypes.create_string_buffer(struct.pack("QIIIiQiI", area, room, 0, 0, 0, ctypes.addressof(copied), room, 0), 40)
        length = ctypes.c_uint(len(asked))
        # TCP_ZEROCOPY_RECEIVE
        result = libc.getsockopt(server.fileno(), socket.IPPROTO_TCP, 35, asked, ctypes.byref(length))
        assert result == 0, os.strerror(ctypes.get_errno())
        _, mapped, skip, _, error, _, more, _ = struct.unpack("QIIIiQiI", asked.raw)
        assert error == 0, os.strerror(-error)
        got += ctypes.string_at(area, mapped) + copied.raw[:max(more, 0)]
        # What is neither waits for an ordinary call.
        if not mapped and more <= 0 and skip:
            got += server.recv(skip)
    thread.join()
    same(bytes(got) == data, True, "the same data")
