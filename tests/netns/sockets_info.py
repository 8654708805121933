# SPDX-License-Identifier: GPL-2.0
"""What a program can ask of its connection: MPTCP_INFO and its relatives, as linux/mptcp.h has them."""
import ctypes
import errno
import socket
import struct

from sockets_harness import ROLES, SOL_MPTCP, case, fails, make, pair, read_all, same, until

INFO, TCPINFO, SUBFLOW_ADDRS, FULL_INFO = 1, 2, 3, 4
IS_MPTCP = 43  # TCP_IS_MPTCP
LIBC = ctypes.CDLL(None, use_errno=True)
# struct mptcp_info: name and place of what is looked at
INFO_FIELDS = {"flags": ("I", 8), "token": ("I", 12), "write_seq": ("Q", 16), "snd_una": ("Q", 24), "rcv_nxt": ("Q", 32),
               "retransmits": ("I", 44), "bytes_retrans": ("Q", 48), "bytes_sent": ("Q", 56), "bytes_received": ("Q", 64),
               "bytes_acked": ("Q", 72), "subflows_total": ("B", 80), "last_data_sent": ("I", 84),
               "last_data_recv": ("I", 88), "last_ack_recv": ("I", 92)}
BYTES_RECEIVED = 128  # in struct tcp_info
INFO_LEN, TCP_INFO_LEAST, ADDRS_LEN, HEAD_LEN, FULL_HEAD_LEN = 96, 224, 256, 16, 40


def ask(sock, option, request):
    """getsockopt() with a request in the buffer; returns the answer, as long as the kernel says."""
    buffer, size = ctypes.create_string_buffer(request, len(request)), ctypes.c_int(len(request))
    if LIBC.getsockopt(sock.fileno(), SOL_MPTCP, option, buffer, ctypes.byref(size)):
        code = ctypes.get_errno()
        raise OSError(code, errno.errorcode.get(code))
    return buffer.raw[:size.value]


def info(sock):
    """MPTCP_INFO by name."""
    answer = sock.getsockopt(SOL_MPTCP, INFO, 200)
    assert len(answer) >= INFO_LEN, f"only {len(answer)} bytes"
    return {name: struct.unpack_from(form, answer, place)[0] for name, (form, place) in INFO_FIELDS.items()}


def head(size_user, size_head=HEAD_LEN, subflows=0, size_kernel=0):
    """A struct mptcp_subflow_data."""
    return struct.pack("IIII", size_head, subflows, size_kernel, size_user)


@case(multipath=True)
def info_of_a_connection():
    client, server = pair()
    for sender, receiver in ((client, server), (server, client)):
        sender.sendall(b"12345")
        same(read_all(receiver, 5), b"12345")
    for sender, receiver in ((client, server), (server, client)):
        until(lambda: info(sender)["bytes_acked"] == 5, "all is acknowledged")  # pylint: disable=cell-var-from-loop
        mine, theirs = info(sender), info(receiver)
        same((mine["bytes_sent"], theirs["bytes_received"], mine["bytes_retrans"]), (5, 5, 0), "bytes")
        same(mine["snd_una"], mine["write_seq"], "snd_una")
        same(theirs["rcv_nxt"], mine["write_seq"], "the peer's rcv_nxt")
        same(mine["flags"], 2, "MPTCP_INFO_FLAG_REMOTE_KEY_RECEIVED alone")
        assert mine["token"] and mine["token"] != theirs["token"], f"tokens {mine['token']} and {theirs['token']}"
        assert mine["subflows_total"] >= 1, mine
        for name in ("last_data_sent", "last_data_recv", "last_ack_recv"):
            assert mine[name] < 5000, f"{name} {mine[name]} ms"


@case(multipath=True)
def info_of_any_length():
    client, _server = pair()
    whole = client.getsockopt(SOL_MPTCP, INFO, INFO_LEN)
    same(ask(client, INFO, b""), b"", "no room")
    same(ask(client, INFO, bytes(16))[8:], whole[8:16], "a part: flags and token")
    same(len(ask(client, INFO, bytes(500))), INFO_LEN, "more room than there is to say")


@case(multipath=True)
def info_of_the_subflows():
    client, server = pair()
    for sock in (client, server):
        answer = ask(sock, TCPINFO, head(1000) + bytes(2000))
        size_head, subflows, size_kernel, size_user = struct.unpack_from("IIII", answer)
        assert subflows >= 1, f"{subflows} subflows"
        assert size_kernel >= TCP_INFO_LEAST, f"tcp_info of {size_kernel} bytes"
        same((size_head, size_user), (HEAD_LEN, size_kernel))
        same(len(answer), HEAD_LEN + subflows * size_kernel)
        same(answer[HEAD_LEN], 1, "tcpi_state of the first one")
        same(len(ask(sock, TCPINFO, head(4))), HEAD_LEN, "no room for any")
        same(struct.unpack_from("IIII", ask(sock, TCPINFO, head(4) + bytes(4)))[2:], (size_kernel, 4), "room for a part")
        for wrong in (head(100, size_head=15), head(100, size_head=17), head(100, subflows=1), head(100, size_kernel=1),
                      head(1 << 31), head(100)[:15]):
            fails(errno.EINVAL, ask, sock, TCPINFO, wrong)


@case(multipath=True)
def bytes_of_a_subflow_at_the_end():
    client, server = pair()
    client.sendall(b"12345")
    client.shutdown(socket.SHUT_WR)
    same(read_all(server, 5), b"12345")
    same(server.recv(1), b"", "the end")
    answer = ask(server, TCPINFO, head(1000) + bytes(2000))
    subflows, size = struct.unpack_from("II", answer, 4)
    received = [struct.unpack_from("Q", answer, HEAD_LEN + at * size + BYTES_RECEIVED)[0] for at in range(subflows)]
    same(sum(received), 5, "the peer's FIN is no byte")


@case(multipath=True)
def addresses_of_the_subflows():
    for family in (socket.AF_INET, socket.AF_INET6):
        client, server = pair(family)
        for sock in (client, server):
            answer = ask(sock, SUBFLOW_ADDRS, head(ADDRS_LEN) + bytes(4 * ADDRS_LEN))
            same(struct.unpack_from("IIII", answer)[2:], (ADDRS_LEN, ADDRS_LEN))
            ends = []
            for place in (HEAD_LEN, HEAD_LEN + ADDRS_LEN // 2):
                same(struct.unpack_from("H", answer, place)[0], family)
                port = struct.unpack_from("!H", answer, place + 2)[0]
                address = answer[place + 4:place + 8] if family == socket.AF_INET else answer[place + 8:place + 24]
                ends.append((socket.inet_ntop(family, address), port))
            same(ends, [sock.getsockname()[:2], sock.getpeername()[:2]], "the first subflow's")


@case(multipath=True)
def full_info():
    client, server = pair()
    client.sendall(b"12345")
    same(read_all(server, 5), b"12345")
    until(lambda: info(client)["bytes_acked"] == 5, "all is acknowledged")
    subflows, tcp = ctypes.create_string_buffer(4 * 300), ctypes.create_string_buffer(4 * 300)
    request = struct.pack("IIIIIIQQ", 0, 200, 0, 264, 0, 4, ctypes.addressof(subflows), ctypes.addressof(tcp))
    answer = ask(client, FULL_INFO, request + bytes(INFO_LEN))
    same(len(answer), FULL_HEAD_LEN + INFO_LEN)
    tcp_kernel, tcp_user, subflow_kernel, subflow_user, count, room = struct.unpack_from("IIIIII", answer)
    assert tcp_kernel >= TCP_INFO_LEAST and count >= 1, (tcp_kernel, count)
    same((tcp_user, subflow_user, room), (200, subflow_kernel, 4))
    same(struct.unpack_from("Q", answer, FULL_HEAD_LEN + INFO_FIELDS["bytes_sent"][1])[0], 5, "bytes_sent")
    same(tcp.raw[0], 1, "tcpi_state of the first subflow")
    same(struct.unpack_from("!H", subflows.raw, subflow_kernel - ADDRS_LEN + 2)[0], client.getsockname()[1], "its port")
    same(len(ask(client, FULL_INFO, request)), FULL_HEAD_LEN, "no room for the connection")
    for place in (0, 8, 16):
        fails(errno.EINVAL, ask, client, FULL_INFO, request[:place] + b"\1" + request[place + 1:])
    fails(errno.EINVAL, ask, client, FULL_INFO, request[:39])
    nowhere = request[:24] + struct.pack("QQ", 8, 8)
    fails(errno.EFAULT, ask, client, FULL_INFO, nowhere)


@case(multipath=True)
def that_it_is_multipath():
    for end in pair():
        same(end.getsockopt(socket.IPPROTO_TCP, IS_MPTCP), 1)


@case
def tcp_knows_nothing_of_it():
    client, server = pair() if "plain" in ROLES.values() else (make("client"), make("server"))
    for end, sock in (("client", client), ("server", server)):
        if ROLES[end] != "in-tree":
            same(sock.getsockopt(socket.IPPROTO_TCP, IS_MPTCP), 0)
            for option in (INFO, TCPINFO, SUBFLOW_ADDRS, FULL_INFO):
                fails(errno.EOPNOTSUPP, ask, sock, option, bytes(100))
