# SPDX-License-Identifier: GPL-2.0
"""What several of the test programs do: enter a namespace, count subflows, report a case."""

import os
import subprocess


def enter(namespace):
    """Sockets made from now on belong to this namespace."""
    with open(f"/run/netns/{namespace}", "rb") as file:
        os.setns(file.fileno(), os.CLONE_NEWNET)


def subflows(port):
    """How many established TCP sockets of this namespace have this port at their far end."""
    listed = subprocess.run(
        ["ss", "-Htn", "state", "established", f"dport = :{port}"], capture_output=True, text=True, check=True
    )
    return listed.stdout.count("\n")


def tap(case, problem):
    """One TAP line, and what is wrong if anything is; returns whether."""
    print(f"{'not ok' if problem else 'ok'} - {case}", flush=True)
    if problem:
        print(f"#   {problem}", flush=True)
    return bool(problem)
