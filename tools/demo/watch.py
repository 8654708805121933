#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Runs a download over two paths, shows what each path carries while it runs, and takes wifi away in the middle.

    watch.py --file FILE --samples FILE --capture FILE --lost SECONDS --back SECONDS -- COMMAND...

Runs in the client's namespace. COMMAND is an unmodified program that writes FILE. Every 250 ms a line shows the
interfaces' counters as Mbit/s; the same goes to the samples, with the growth of FILE beside it. The far end of wifi
goes down and up again so many seconds after the start. The longest time in which FILE did not grow is the stall. The
last line is for the script: KEY=VALUE words; joined counts the MP_JOIN handshakes in the capture that are right.
"""
import argparse
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tests/netns"))
from paths_wire import Wire  # noqa: E402 the path has to be set first

PATHS = ("wifi", "cell")
SAMPLE = 0.25


def counters():
    """Bytes received so far by each interface of PATHS."""
    with open("/proc/net/dev", encoding="ascii") as table:
        rows = dict(line.split(":", 1) for line in table if ":" in line)
    rows = {name.strip(): row for name, row in rows.items()}
    return [int(rows[f"{path}0"].split()[0]) for path in PATHS]


def size_of(path):
    """The bytes that the program has written."""
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def bar(rate, full=8):
    """A bar of a character for each 0.5 Mbit/s."""
    return ("#" * round(rate * 2)).ljust(full * 2)


def joined(capture):
    """How many subflows joined, by the wire."""
    with open(capture, "rb") as file:
        wire = Wire(file.read()[24:], {})
    return len(wire.joined())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", required=True)
    parser.add_argument("--samples", required=True)
    parser.add_argument("--capture", required=True)
    parser.add_argument("--lost", type=float, required=True)
    parser.add_argument("--back", type=float, required=True)
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    events = [(options.lost, "down", "WiFi is gone"), (options.back, "up", "WiFi is back")]
    first = before = counters()
    process = subprocess.Popen(options.command)
    began = sampled = grew = time.monotonic()
    size = sampled_size = 0
    stall, happened, said, command = 0.0, {}, "", None
    with open(options.samples, "w", encoding="ascii") as samples:
        while process.poll() is None:
            time.sleep(0.02)
            now = time.monotonic()
            if (new := size_of(options.file)) != size:
                # The wait for the first byte is no stall.
                stall = max(stall, now - grew) if size else stall
                size, grew = new, now
            if events and not command and now - began >= events[0][0]:
                command = subprocess.Popen(["ip", "-n", "router", "link", "set", "wifi1", events[0][1]])
            if command and command.poll() is not None:
                _, state, said = events.pop(0)
                happened[state], command = now - began, None
            if now - sampled >= SAMPLE:
                after, now = counters(), time.monotonic()
                span = now - sampled
                rates = [(b - a) * 8e-6 / span for a, b in zip(before, after)]
                goodput = (size - sampled_size) * 8e-6 / span
                samples.write(f"{now - began:.3f} {rates[0]:.3f} {rates[1]:.3f} {goodput:.3f}\n")
                print(f"  {now - began:5.1f} s   wifi {rates[0]:5.1f} {bar(rates[0])}  cell {rates[1]:4.1f} "
                      f"{bar(rates[1], 3)}  {size / 1e6:5.1f} MB {f'<-- {said}' if said else ''}", flush=True)
                before, sampled, sampled_size, said = after, now, size, ""
    took = time.monotonic() - began
    carried = [b - a for a, b in zip(first, counters())]
    print(f"status={process.returncode} seconds={took:.2f} stall={stall:.2f} wifi={carried[0]} cell={carried[1]} "
          f"went={happened.get('down', 0):.2f} came={happened.get('up', 0):.2f} joined={joined(options.capture)}")


if __name__ == "__main__":
    main()
