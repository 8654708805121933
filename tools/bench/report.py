# SPDX-License-Identifier: GPL-2.0
"""Makes the table and bench.json out of the lines "COLUMN ROW VALUE" that the guest's part of bench.sh leaves.

report.py RAW JSON RELEASE [BASE]: BASE is an earlier JSON; the change against it is printed too.
"""

import json
import statistics
import sys

COLUMNS = ["plain", "in-tree", "ours", "to-plain", "from-plain", "off"]
TITLES = ["plain TCP", "in-tree MPTCP", "mptcp_rs", "ours > plain", "plain > ours", "loaded, off"]
# Row, title, unit, digits, whether more is better.
ROWS = [
    ("bulk-64k", "bulk, 64 KiB writes", "Mbit/s", 0, True),
    ("bulk-1k", "bulk, 1 KiB writes", "Mbit/s", 0, True),
    ("connect", "connect()", "us", 1, False),
    ("cycle", "connect, 1 byte each way, close", "/s", 0, True),
    ("exchange-1", "request and answer, 1 byte", "us", 1, False),
    ("exchange-4k", "request and answer, 4 KiB", "us", 1, False),
    ("memory", "idle connection, socket objects", "B", 0, False),
    ("memory-all", "idle connection, all objects", "B", 0, False),
    ("subflow", "idle subflow more, socket objects", "B", 0, False),
    ("crowd-bulk-1", "beside 1 idle: bulk, 64 KiB", "Mbit/s", 0, True),
    ("crowd-bulk-100", "  beside 100", "Mbit/s", 0, True),
    ("crowd-bulk-1000", "  beside 1,000", "Mbit/s", 0, True),
    ("crowd-bulk-10000", "  beside 10,000", "Mbit/s", 0, True),
    ("crowd-exchange-1", "beside 1 idle: request and answer", "us", 1, False),
    ("crowd-exchange-100", "  beside 100", "us", 1, False),
    ("crowd-exchange-1000", "  beside 1,000", "us", 1, False),
    ("crowd-exchange-10000", "  beside 10,000", "us", 1, False),
    ("crowd-cycle-1", "beside 1 idle: connect ... close", "/s", 0, True),
    ("crowd-cycle-100", "  beside 100", "/s", 0, True),
    ("crowd-cycle-1000", "  beside 1,000", "/s", 0, True),
    ("crowd-cycle-10000", "  beside 10,000", "/s", 0, True),
    ("paths-cpu-2", "2 paths, not shaped", "Mbit/s", 0, True),
    ("paths-2x20", "2 x 20 Mbit/s, 40 ms", "Mbit/s", 1, True),
    ("paths-2x100", "2 x 100 Mbit/s, 10 ms", "Mbit/s", 1, True),
    ("paths-4x100", "4 x 100 Mbit/s, 10 ms", "Mbit/s", 1, True),
    ("paths-wifi-cell-50", "8, 20 ms + 2, 150 ms: 50 kB", "Mbit/s", 2, True),
    ("paths-wifi-cell-100", "  the same, buffers of 100 kB", "Mbit/s", 2, True),
    ("paths-wifi-cell-200", "  200 kB", "Mbit/s", 2, True),
    ("paths-wifi-cell-400", "  400 kB", "Mbit/s", 2, True),
    ("paths-wifi-cell-600", "  600 kB", "Mbit/s", 2, True),
    ("paths-wifi-cell-1000", "  1 MB", "Mbit/s", 2, True),
    ("paths-wifi-cell-2000", "  2 MB", "Mbit/s", 2, True),
    ("paths-wifi-cell-0", "  not set", "Mbit/s", 2, True),
    ("paths-10mb-300", "10 MB, 20/30 + 20/100 ms: 300 kB", "Mbit/s", 2, True),
    ("paths-10mb-1000", "  the same, buffers of 1 MB", "Mbit/s", 2, True),
    ("paths-10mb-8000", "  8 MB", "Mbit/s", 2, True),
    ("paths-gap-carrier", "carrier lost: longest gap", "ms", 0, False),
    ("paths-gap-silence", "black hole: longest gap", "ms", 0, False),
    ("paths-reply-carrier", "carrier lost: slowest reply", "ms", 0, False),
    ("paths-reply-silence", "black hole: slowest reply", "ms", 0, False),
]


def measured(results):
    """The rows that have a figure in any column."""
    return [row for row in ROWS if any(row[0] in rows for rows in results.values())]


def read_raw(path):
    """Returns {column: {row: {"median", "values"}}} and {column: {cache: objects}}."""
    values, caches = {}, {}
    with open(path, encoding="ascii") as raw:
        for line in raw:
            column, row, value = line.split()
            if ":" in row:
                row, cache = row.split(":", 1)
                caches.setdefault(column, {}).setdefault(row, {})[cache] = float(value)
            else:
                values.setdefault(column, {}).setdefault(row, []).append(float(value))
    for rows in values.values():
        if "memory-two" in rows:
            rows["subflow"] = [rows["memory-two"][0] - rows["memory"][0]]
    results = {
        column: {row: {"median": statistics.median(v), "values": v} for row, v in rows.items()}
        for column, rows in values.items()
    }
    return results, caches


def print_table(results):
    """Prints medians, and beside each its ratio to plain TCP."""
    print(f"{'':34}{'':>7}" + "".join(f"{title:>15}" for title in TITLES))
    for row, title, unit, digits, _ in measured(results):
        line = f"{title:34}{unit:>7}"
        plain = results.get("plain", {}).get(row, {}).get("median")
        for column in COLUMNS:
            median = results.get(column, {}).get(row, {}).get("median")
            if median is None:
                line += f"{'-':>15}"
            elif column == "plain" or not plain:
                line += f"{median:>15.{digits}f}"
            else:
                line += f"{median:>9.{digits}f} {median / plain:5.3f}"
        print(line)


def print_change(results, base, path):
    """Prints the change of every median against an earlier result, in percent."""
    print(f"\nchange in percent against {path} (! marks a change for the worse of 2 % or more)")
    for row, title, _, _, more_is_better in measured(results):
        line = f"{title:34}{'%':>7}"
        for column in COLUMNS:
            new = results.get(column, {}).get(row, {}).get("median")
            old = base.get(column, {}).get(row, {}).get("median")
            if not new or not old:
                line += f"{'-':>15}"
                continue
            change = (new / old - 1) * 100
            worse = -change if more_is_better else change
            line += f"{change:>+14.1f}" + ("!" if worse >= 2 else " ")
        print(line)


def main():
    """Reads, prints, writes."""
    raw, target, release = sys.argv[1:4]
    results, caches = read_raw(raw)
    print(f"kernel {release}, virtual time, medians; beside each the ratio to plain TCP")
    print_table(results)
    spreads = [
        ((max(r["values"]) - min(r["values"])) / r["median"], f"{row} of {column}")
        for column, rows in results.items()
        for row, r in rows.items()
        if len(r["values"]) > 1 and r["median"]
    ]
    if spreads:
        spread, where = max(spreads)
        print(f"largest spread over the rounds: {spread * 100:.1f} % ({where})")
    if "ours" not in results:
        print("-: not measured; the columns of mptcp_rs need mptcp_rs.ko, which make builds")
    if len(sys.argv) > 4:
        with open(sys.argv[4], encoding="ascii") as earlier:
            print_change(results, json.load(earlier)["results"], "BASE")
    units = {row: unit for row, _, unit, _, _ in ROWS}
    with open(target, "w", encoding="ascii") as out:
        json.dump({"kernel": release, "units": units, "results": results, "objects": caches}, out, indent=1)
        out.write("\n")


main()
