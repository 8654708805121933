# SPDX-License-Identifier: GPL-2.0
"""Closes the first connections of two namespaces while the peer sends: its calls are to fail soon, as with TCP.

What a reset says is to count once, although the hook for incoming packets is new then, and TCP, which is busy sending,
hands packets over as well. Prints what is wrong, if anything is.
"""

import socket
import sys
import threading

from common import counters, enter, setting

SERVER, SERVICE, CONNECTIONS = "10.0.1.2", 7000, 20


def feed(listener):
    """Sends on each connection for as long as it lasts."""
    for _ in range(CONNECTIONS):
        with listener.accept()[0] as sock:
            try:
                while True:
                    sock.sendall(bytes(1 << 20))
            except ConnectionError:
                pass


def main():
    setting("client", "path_manager", "none")
    enter("server")
    with socket.create_server((SERVER, SERVICE)) as listener:
        feeder = threading.Thread(target=feed, args=[listener])
        feeder.start()
        enter("client")
        for _ in range(CONNECTIONS):
            # The one before has ended for the server, or nothing comes.
            with socket.create_connection((SERVER, SERVICE), 10) as sock:
                sock.recv(1 << 16)
        feeder.join()
    sent, received = counters("client"), counters("server")
    names = "MPFastclose", "MPRst"
    wrong = [f"{name}Rx {received[f'{name}Rx']}, Tx {sent[f'{name}Tx']}" for name in names
             if received[f"{name}Rx"] > sent[f"{name}Tx"]]
    setting("client", "path_manager", "fullmesh")
    print(*wrong, sep="\n")
    sys.exit(bool(wrong))


main()
