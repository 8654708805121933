# SPDX-License-Identifier: GPL-2.0
"""The cases of 10-paths.sh and 12-rates.sh: what the links are like, what happens, what has to be seen (paths.py runs them)."""
import re
import subprocess
from dataclasses import dataclass, field

UNLIKE = {"wifi": "rate 12mbit delay 10ms limit 100", "cell": "rate 6mbit delay 20ms limit 100"}
LOSSY = {"wifi": "rate 12mbit delay 10ms loss 1% limit 100", "cell": "rate 12mbit delay 10ms loss 1% limit 100"}
# No queue overflows: what one path loses by itself is not the matter.
ALIKE = {"wifi": "rate 6mbit delay 10ms limit 1000", "cell": "rate 8mbit delay 20ms limit 1000"}
BLACK_HOLE = "loss 100%"
SCHEDULER, PATH_MANAGER = 64, 65  # include/mptcp_rs.h
SETTINGS = {"subflows_max": 8, "stale_loss_cnt": 1}


@dataclass
class Case:
    """One case; without a size it sends until its last step has been taken."""

    name: str
    judges: list
    steps: list = field(default_factory=list)
    size: int | None = None
    links: dict = field(default_factory=lambda: UNLIKE)
    way: str = "both"  # download, upload, both
    families: tuple = (4,)
    more_families: tuple = ()  # with the first pair only
    mixed: int = 0  # the first subflow is IPv4, the second IPv6
    buffers: int = 0
    close: bool = False
    limit: float = 0  # seconds
    not_in_tree: str = ""  # why a connection of two in-tree ends cannot do it
    choice: dict = field(default_factory=dict)  # socket options of ours that the programs set: name to value
    chooser: str = ""  # the end that has to be ours for it: client, sender
    settings: dict = field(default_factory=dict)  # sysctls of each end that is ours, if not as in SETTINGS
    closed: bool = False  # a server of ours lets nobody join at its first address
    before: object = None  # what the router is told before the client connects

    def runs(self, pair, full):
        """(direction, family) of each run."""
        first = pair == "ours:ours"
        for family in self.families + (self.more_families if first or full else ()):
            for direction in ("download", "upload") if self.way == "both" else (self.way,):
                # The other pairs show ours as the sender, where the case does not say which way.
                if self.way == "both" and not first and not full and direction != {
                        "ours:in-tree": "upload", "in-tree:ours": "download"}.get(pair):
                    continue
                yield direction, family

    def impossible(self, run):
        """Why this pair of ends cannot do it, or None."""
        if self.not_in_tree and set(run.roles.values()) == {"in-tree"}:
            return f"in-tree: {self.not_in_tree}"
        if self.closed and run.roles["server"] != "ours":
            return "the server cannot be told"
        chooser = ("client" if run.up else "server") if self.chooser == "sender" else self.chooser
        if chooser and run.roles[chooser] != "ours":
            return f"the {chooser} cannot choose"
        return None


# What has to be seen.


def joined(_run, wire):
    """A subflow joined on another interface than the first one's."""
    if wire.first and not any(subflow.interface != wire.first.interface for subflow in wire.joined()):
        return "no MP_JOIN with right token and codes on SYN, SYN-ACK and ACK on the other interface"
    return None


def both_carry(run, wire, share=0.1):
    """Each path carried a tenth of the data at least, by the wire."""
    total = run.receiver.count
    for path in run.case.links:
        done = wire.carried(run.up, f"{path}0", new=True)
        if done < share * total:
            return f"{path}0 carried {done} of {total} bytes, less than {share:.0%}"
    return None


def announced(run, wire):
    """The server announced its second address and the subflow goes there."""
    second = ("10.0.2.2", "fd00:2::2")
    if not any(address in second and not echo and not up for address, echo, up in wire.announced):
        return "no ADD_ADDR of the server's second address"
    if not any(subflow.peer[0] in second for subflow in wire.joined()):
        return "no subflow to the address that was announced"
    return None


def shown_by_ss(run, _wire):
    """ss -ti shows of both subflows of a client of ours how they came to their connection, and which that is."""
    if run.roles["client"] != "ours":
        return None
    told = [(flags.replace("v", ""), tokens, ids) for flags, *tokens, ids in
            ((flags, peer, own, (peer_id, own_id)) for flags, peer, peer_id, own, own_id in re.findall(
                r"tcp-ulp-mptcp_rs flags:(\w+) token:(\w+)\(id:(\d+)\)/(\w+)\(id:(\d+)\)", run.shown))]
    if {flags for flags, _, _ in told} != {"Mmec", "Jjec"}:
        return f"ss shows other flags than Mmec and Jjec:\n{run.shown}"
    if len({tuple(tokens) for _, tokens, _ in told}) != 1:
        return f"the subflows differ in their tokens: {told}"
    if len({ids for _, _, ids in told}) != len(told) or ("Mmec", ("0", "0")) not in {(flags, ids) for flags, _, ids in told}:
        return f"two subflows have the same IDs, or the first has others than 0: {told}"
    return None


# What one end counts, and what the other one does when nothing is lost.
MIRRORED = [("MPCapableSYNTX", "MPCapableSYNRX"), ("MPCapableSYNTX", "MPCapableACKRX"), ("MPJoinSynTx", "MPJoinSynRx"),
            ("MPJoinSynTx", "MPJoinAckRx"), ("AddAddrTx", "AddAddr"), ("EchoAddTx", "EchoAdd"), ("RmAddrTx", "RmAddr"),
            ("MPPrioTx", "MPPrioRx"), ("MPFastcloseTx", "MPFastcloseRx"), ("MPRstTx", "MPRstRx")]


def counted(run, wire):
    """Both ends have counted the same, as nstat shows it, and what the wire shows."""
    client, server = run.counted["client"], run.counted["server"]
    joins = len(wire.joined())
    # In-tree resets a join beyond its limit without counting it.
    refused = len(wire.subflows) - len(wire.members()) if run.roles["server"] == "in-tree" else 0
    wrong = [f"{mine} {one[mine]}, {theirs} {other[theirs]}" for mine, theirs in MIRRORED
             for one, other in ((client, server), (server, client))
             if one[mine] != other[theirs] + (refused if mine == "MPJoinSynTx" and one is client else 0)]
    wanted = {"MPCapableSYNTX": 1, "MPCapableSYNACKRX": 1, "MPJoinSynTx": joins + refused, "MPJoinSynAckRx": joins}
    wrong += [f"{name} {client[name]}, not {value}" for name, value in wanted.items() if client[name] != value]
    if run.roles["server"] == "ours" and server["AddAddrTx"] != len({a for a, echo, up in wire.announced if not echo and not up}):
        wrong.append(f"AddAddrTx {server['AddAddrTx']}, on the wire {wire.announced}")
    return "; ".join(wrong) or None


def joined_elsewhere(run, wire):
    """Where the server lets nobody join at its first address, all subflows go to its second one."""
    peers = {subflow.peer[0] for subflow in wire.subflows.values()} - {run.address}
    first = [subflow for subflow in wire.subflows.values() if subflow.peer[0] == run.address]
    if len(first) != 1:
        return f"{len(first)} SYNs to {run.address}, which the server has closed to joins"
    return None if peers & {"10.0.2.2", "fd00:2::2"} else "no subflow to the server's second address"


def families_differ(_run, wire):
    """The subflows are of both families."""
    if {subflow.family for subflow in wire.members()} != {4, 6}:
        return "the subflows are not of both families"
    return None


def backup_waits(run, wire):
    """The backup's join says so, and it carries no data before the first path dies."""
    backups = [subflow for subflow in wire.joined() if subflow.interface == "cell0"]
    if not backups:
        return "no subflow joined on cell0"
    if not any(subflow.backup for subflow in backups) and not any(backup for _, _, backup in wire.prio):
        return "neither the MP_JOIN nor an MP_PRIO says backup"
    early = wire.carried(run.up, "cell0", until=run.times["lost"])
    late = wire.carried(run.up, "cell0", since=run.times["lost"])
    if early:
        return f"the backup carried {early} bytes while the first path was there"
    return None if late else "the backup carried nothing after the first path was lost"


def came_back(run, wire):
    """wifi carried data again after its return."""
    return None if wire.carried(run.up, "wifi0", since=run.times["back"]) else "wifi0 carried nothing after its return"


def stale(run, _wire):
    """A sender of ours has counted that wifi stopped making progress and began again."""
    end = "client" if run.up else "server"
    if run.roles[end] != "ours":
        return None
    counts = [run.counted[end][name] for name in ("SubflowStale", "SubflowRecover")]
    return None if all(counts) else f"SubflowStale {counts[0]}, SubflowRecover {counts[1]}"


def came_back_to_ours(run, wire):
    """As came_back, between two of ours: in-tree resets for good, and joins once."""
    return None if "in-tree" in run.roles.values() else came_back(run, wire)


def reset_seen(run, wire):
    """A subflow was reset, and the other one went on."""
    killed = [subflow for subflow in wire.members() if any(when >= run.times["kill"] for when, _ in subflow.resets)]
    if not killed:
        return "no reset on the wire"
    if wire.fastclose:
        return "MP_FASTCLOSE ended the connection"
    return None


def in_time(run, _wire):
    """The transfer took no longer than the case allows."""
    took = run.ended - run.began
    run.notes.append(f"limit {run.case.limit:.1f} s")
    return f"{took:.2f} s, the limit is {run.case.limit:.2f} s" if took > run.case.limit else None


def all_on_both(run, wire):
    """Until one path was lost, both together carried one and a half of what arrived at least."""
    amounts = [wire.carried(run.up, f"{path}0", until=run.times["lost"]) for path in run.case.links]
    if sum(amounts) < 1.5 * run.counts["lost"]:
        return f"the paths carried {amounts} of {run.counts['lost']} bytes: not all of it twice"
    return None


def stalled(run, limit):
    """What is wrong if nothing came for more than `limit` seconds after the loss."""
    worst = max((gap for when, gap in run.gaps if when > run.times["lost"]), default=0)
    return f"nothing came for {worst:.2f} s after the loss" if worst > limit else None


def no_stall(run, _wire):
    """What one path had lost was there already by the other."""
    return stalled(run, 0.1)


def short_stall(run, _wire):
    """After the loss data came again within a few of TCP's timeouts."""
    return stalled(run, 2)


def few_questions(run, _wire):
    """After the loss data came again before TCP, which doubles its patience each time, had asked much about the window."""
    # Two questions without an answer can take what all before them took, twice.
    return stalled(run, 5 if run.case.settings.get("stale_loss_cnt", 1) == 1 else 10)


def alone(_run, wire):
    """No subflow was asked for."""
    return f"{len(wire.subflows)} subflows" if len(wire.subflows) != 1 else None


def no_reset(_run, wire):
    """No subflow was reset before the data had arrived."""
    return "MP_FASTCLOSE" if wire.fastclose else None


# What happens.


def both_work(run):
    """Both paths carry data."""
    run.carries("wifi0")
    run.carries("cell0", 100_000)


def ask_ss(run):
    """Asks for what the kernel tells of the client's subflows."""
    run.shown = subprocess.run(["ip", "netns", "exec", "client", "ss", "-tniH", "dport", f"= :{run.port}"],
                               capture_output=True, text=True, check=True).stdout


def some_data(run):
    """Data flows for a while, and whatever else would have come has."""
    run.receives(2_000_000)


def backup_idle(run):
    """The first path carries data for a while."""
    run.receives(600_000)


def carrier_lost(run):
    """The far end of wifi goes down, as when a cable is pulled."""
    run.do("lost", f"ip -n {run.far} link set wifi1 down")


def carrier_back(run):
    """The far end of wifi is there again."""
    run.do("back", f"ip -n {run.far} link set wifi1 up")
    run.carries("wifi0")


def interface_down(run):
    """wifi is switched off at the client."""
    run.do("lost", "ip -n client link set wifi0 down")


def interface_up(run):
    """wifi is switched on again, and gets its route back as from a network manager."""
    run.do("back", "ip -n client link set wifi0 up",
           *(["ip -n client route add default via 10.0.1.254 dev wifi0 metric 100"] if run.far == "router" else []))
    run.carries("wifi0")


def black_hole(run):
    """wifi loses every packet without telling anyone."""
    run.shape("wifi", BLACK_HOLE, "lost")


def black_hole_ends(run):
    """wifi is as it was."""
    run.shape("wifi", run.case.links["wifi"], "back")
    run.carries("wifi0")


def stop_reading(run):
    """The receiver reads no more, until its window is closed."""
    run.reads.clear()
    run.blocked(0.5)


def read_on(run):
    """The receiver reads again."""
    run.reads.set()


def other_carries(run):
    """The transfer goes on over cell."""
    run.carries("cell0", 300_000)


def all_lost(run):
    """Both paths are gone for two seconds."""
    run.do("lost", f"ip -n {run.far} link set wifi1 down", f"ip -n {run.far} link set cell1 down")
    run.silent(2)


def all_back(run):
    """Both paths are there again and carry data."""
    run.do("back", f"ip -n {run.far} link set wifi1 up", f"ip -n {run.far} link set cell1 up")
    run.receives(300_000)


def middlebox(run, name, *rules):
    """What the router does from now on to packets in transit; for the name see Run.do."""
    run.do(name, "nft add table inet middlebox",
           "nft add chain inet middlebox forward { type filter hook forward priority 0 ; }",
           *(f"nft add rule inet middlebox forward {rule}" for rule in rules), namespace="router")


def options_stripped(run):
    """A middlebox begins to remove MPTCP options on wifi."""
    middlebox(run, "kill", *(f"{way} wifi1 reset tcp option mptcp" for way in ("iifname", "oifname")))
    run.carries("cell0", 300_000)


def options_pass(run):
    """The middlebox lets them pass again."""
    run.do("back", "nft flush ruleset", namespace="router")
    if "in-tree" not in run.roles.values():
        run.carries("wifi0")


def fins_lost(run):
    """The first FINs of the server do not get through on cell, and have to be repeated."""
    middlebox(run, "fins", "oifname cell1 tcp flags & fin == fin quota until 250 bytes drop")


def fourth_ack_lost(run):
    """The first segment of the server behind its SYN-ACK does not get through on cell: the third ACK has no answer."""
    middlebox(run, "fourth", "iifname lan1 oifname cell1 tcp flags & (syn | ack) == ack quota until 70 bytes drop")


def kill(interface):
    """ss -K on the client's subflow of one interface."""
    address = {"wifi0": "10.0.1.1", "cell0": "10.0.2.1"}[interface]

    def step(run):
        run.do("kill", f"ss -K -t src {address} and dport = :{run.port}", namespace="client")
        run.carries("cell0" if interface == "wifi0" else "wifi0", 300_000)

    step.__doc__ = f"The subflow on {interface} is killed."
    return step


def timed(name, rates, links, **more):
    """A transfer with the limit of the kernel's simult_flows.sh: 90 % of both rates, in Mbit/s, and 450 ms."""
    size = 4 << 20
    return Case(name, [joined, in_time], size=size, links=links, limit=size * 8 * 10 / (sum(rates) * 1e6 * 9) + 0.45, **more)


def selftest(rate1, rate2, delay1, delay2, limit1, limit2, name):
    """A pair of the kernel's simult_flows.sh."""
    delay = lambda ms: f"delay {ms}ms " if ms else ""
    links = {"wifi": f"rate {rate1}mbit {delay(delay1)}limit {limit1}",
             "cell": f"rate {rate2}mbit {delay(delay2)}limit {limit2}"}
    return timed(f"{rate1} and {rate2} Mbit/s, {delay1} and {delay2} ms: {name}", (rate1, rate2), links)


def scheduled(name):
    """Two paths with room for all in flight, under a scheduler that the sender chooses."""
    return timed(f"the program chooses the {name} scheduler", (6, 8), ALIKE, choice={SCHEDULER: name}, chooser="sender")


def window_closed(name, **more):
    """A path dies while its window is closed, and the other one is a backup."""
    return Case(f"backup waits, black hole while the window is closed{name}", [backup_waits, few_questions],
                [backup_idle, stop_reading, black_hole, read_on, other_carries], buffers=64 << 10, **more)


ROUTED = [
    Case("both paths carry", [joined, both_carry, shown_by_ss, counted], [both_work, ask_ss], more_families=(6,)),
    Case("1 % loss on each", [joined, both_carry], [both_work, some_data], links=LOSSY),
    Case("carrier lost and back", [joined, came_back], [both_work, carrier_lost, other_carries, carrier_back],
         more_families=(6,)),
    Case("black hole, silently, and back", [joined, came_back, stale],
         [both_work, black_hole, other_carries, black_hole_ends], way="download"),
    Case("interface down and up", [joined, came_back], [both_work, interface_down, other_carries, interface_up],
         way="upload"),
    Case("both lost for 2 s and back", [joined], [both_work, all_lost, all_back], way="download"),
    Case("second subflow killed", [joined, reset_seen], [both_work, kill("cell0")], way="download"),
    Case("first subflow killed", [joined, reset_seen], [both_work, kill("wifi0")], way="upload"),
    Case("options removed on one path, and back", [joined, reset_seen, came_back_to_ours],
         [both_work, options_stripped, options_pass]),
    Case("the program chooses the redundant scheduler: a black hole is not noticed", [joined, all_on_both, no_stall],
         [both_work, some_data, black_hole, other_carries], links=ALIKE, choice={SCHEDULER: "redundant"}, chooser="sender",
         settings={"subflows_max": 2}),
    Case("black hole, and no subflow ever counts as stale", [joined, short_stall], [both_work, black_hole, other_carries],
         settings={"stale_loss_cnt": 0}, chooser="sender"),
    Case("the program wants no further subflows", [alone], [some_data], way="upload", choice={PATH_MANAGER: "none"},
         chooser="client"),
    Case("buffers of 16 KiB", [joined], size=600_000, buffers=16 << 10),
    Case("close with data in flight", [joined, both_carry, no_reset], size=1_500_000, close=True),
    Case("the answer to the third ACK is lost", [joined, both_carry], [both_work], way="upload", before=fourth_ack_lost),
    # What has not ended then is found when all cases are done.
    Case("the first FINs are lost on one path", [joined, both_carry, no_reset], [both_work, fins_lost], way="upload"),
]
DIRECT = [Case("both paths carry", [joined, announced, both_carry, shown_by_ss, counted], [both_work, ask_ss],
               more_families=(6,)),
          Case("no joins at the server's first address", [joined, joined_elsewhere, both_carry], [both_work], closed=True)]
MIXED = [Case("IPv4 and IPv6 path", [joined, announced, families_differ, both_carry], [both_work], mixed=1)]
BACKUP = [
    Case("backup waits, carrier lost", [backup_waits, came_back],
         [backup_idle, carrier_lost, other_carries, carrier_back], way="download"),
    Case("backup waits, black hole", [backup_waits], [backup_idle, black_hole, other_carries], way="upload"),
    window_closed("", not_in_tree="it looks for no answer to TCP's probes of a window"),
    window_closed(", stale after two timeouts", settings={"stale_loss_cnt": 2}, chooser="sender"),
]
RATES = [
    selftest(10, 10, 0, 0, 20, 20, "balanced"),
    selftest(10, 10, 1, 25, 20, 50, "unlike delays"),
    selftest(10, 3, 0, 0, 30, 20, "unlike rates"),
    selftest(10, 3, 1, 25, 40, 30, "unlike rates and delays"),
    selftest(10, 3, 25, 1, 50, 30, "unlike rates, opposed delays"),
    *(scheduled(name) for name in ("roundrobin", "blest", "ecf")),
]
GROUPS = {"routed": ROUTED, "direct": DIRECT, "mixed": MIXED, "backup": BACKUP, "rates": RATES}
