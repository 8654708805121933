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
import os
import signal
import sys
import traceback

from sockets_harness import CASES, DEADLINE, NAMESPACES, ROLES, on_alarm
import sockets_setup  # noqa: F401, each registers its cases
import sockets_data  # noqa: F401
import sockets_end  # noqa: F401
import sockets_again  # noqa: F401
import sockets_options  # noqa: F401
import sockets_info  # noqa: F401


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
    for function, not_in_tree, ours, multipath in CASES:
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
        if multipath and "plain" in ROLES.values():
            print(f"ok - {text} # SKIP the connection is plain TCP", flush=True)
            continue
        if options.stripped and (multipath or len(ours) == 2):
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
