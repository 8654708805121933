# SPDX-License-Identifier: GPL-2.0
"""How connections end, and who shares them: shutdown, close, fork, threads, descriptors passed on."""
import errno
import fcntl
import os
import select
import signal
import socket
import struct
import subprocess
import threading

from sockets_harness import (
    address, case, events, fails, listener, make, pair, pattern, read_all, same, until, until_events)


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


@case(multipath=True)
def sockets_below_end_while_the_program_holds_theirs():
    client, server = pair()
    port = server.getsockname()[1]
    client.shutdown(socket.SHUT_WR)
    same(server.recv(1), b"")
    server.shutdown(socket.SHUT_WR)
    same(client.recv(1), b"")
    end = ["ss", "-Htn", f"( sport = :{port} or dport = :{port} )"]
    until(lambda: not subprocess.run(end, capture_output=True, check=True).stdout, "TCP has ended")
    same((client.recv(1), server.recv(1)), (b"", b""), "the program sees nothing of it")


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
