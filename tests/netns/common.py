# SPDX-License-Identifier: GPL-2.0
"""What several of the test programs do: enter a namespace, look and wait, count subflows, report a case."""

import os
import subprocess
import time

# How long a condition may take to come true.
SECONDS = int(os.environ.get("DEADLINE", "10"))


def enter(namespace):
    """Sockets made from now on belong to this namespace."""
    with open(f"/run/netns/{namespace}", "rb") as file:
        os.setns(file.fileno(), os.CLONE_NEWNET)


def setting(namespace, name, value):
    """Enters a namespace and sets one of its settings."""
    enter(namespace)
    with open(f"/proc/sys/net/mptcp_rs/{name}", "w", encoding="ascii") as file:
        file.write(str(value))


def subflows(port):
    """How many established TCP sockets of this namespace have this port at their far end."""
    listed = subprocess.run(
        ["ss", "-Htn", "state", "established", f"dport = :{port}"], capture_output=True, text=True, check=True
    )
    return listed.stdout.count("\n")


def counters(namespace):
    """Enters a namespace and reads its counters by name."""
    enter(namespace)
    with open("/proc/self/net/mptcp_rs", encoding="ascii") as file:
        names, values = (line.split()[1:] for line in file)
    return {name: int(value) for name, value in zip(names, values)}


def same(got, wanted):
    """What is wrong if the two differ."""
    return "" if got == wanted else f"got {got!r}, wanted {wanted!r}"


def until(condition, wanted):
    """Waits until the condition has the wanted value; what is wrong if it never has."""
    end = time.monotonic() + SECONDS
    while (got := condition()) != wanted:
        if time.monotonic() > end:
            return f"got {got!r}, wanted {wanted!r} within {SECONDS} s"
        time.sleep(0.05)
    return ""


def unprivileged(action):
    """What is wrong, as an action without arguments tells, in a process without privileges."""
    reader, writer = os.pipe()
    if not os.fork():
        os.setuid(65534)
        try:
            os.write(writer, f"ended {action()}".encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.wait()
    with os.fdopen(reader, "rb") as file:
        told = file.read().decode()
    return told.removeprefix("ended ") if told.startswith("ended ") else "it did not come to its end"


def tap(case, problem):
    """One TAP line, and what is wrong if anything is; returns whether."""
    print(f"{'not ok' if problem else 'ok'} - {case}", flush=True)
    if problem:
        print(f"#   {problem}", flush=True)
    return bool(problem)


def report(name, *lists):
    """Prints a line for each case and problem in some lists, and that they were complete; returns the failures."""
    failed = sum(tap(case, problem) for cases in lists for case, problem in cases)
    print(f"# {name} complete, {failed} failures")
    return failed
