"""`python -m tests.benchmarks`: see README.md."""

import argparse
import os
import platform
import sys
from pathlib import Path

from tests.benchmarks import orphans, parts, report
from tests.benchmarks.floor_peer import Floor
from tests.benchmarks.ours import Ours, OursDiscovering
from tests.benchmarks.parts import say
from tests.benchmarks.peer import PEERS, Peer
from tests.benchmarks.peers import S6, Circus, Pm2, Runit, Supervisord
from tests.benchmarks.report import Table

ALL: tuple[type[Peer], ...] = (Ours, OursDiscovering, Floor, Supervisord, Circus, Pm2, S6, Runit)


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("--parts", default="restarts,idle,starts,queries,orphans")
    parser.add_argument("--only", default="", help="names of peers, separated by commas")
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--idle", type=float, default=30, help="seconds")
    parser.add_argument("--idle-children", default="1,10,100")
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--start-children", type=int, default=200)
    parser.add_argument("--queries", type=int, default=60)
    parser.add_argument("--orphans", type=int, default=20)
    parser.add_argument("--out", type=Path, default=PEERS / "results")
    parser.add_argument("--work", type=Path, default=PEERS / "work")
    return parser.parse_args()


def measure(wanted: argparse.Namespace, peers: list[Peer]) -> list[Table]:
    """The parts that were asked for, one after the other."""
    tables = []
    chosen = wanted.parts.split(",")
    if "restarts" in chosen:
        series = parts.restarts(peers, wanted.kills)
        tables.append(Table("A child killed with -9, to its replacement running; ms", series))
    for count in map(int, wanted.idle_children.split(",") if "idle" in chosen else ()):
        cpu, wakeups, memory = parts.idleness(peers, count, wanted.idle)
        tables.append(Table(f"Idle with {count} children: CPU s per minute", cpu, 4))
        tables.append(Table(f"Idle with {count} children: wake-ups per second", wakeups))
        tables.append(Table(f"Private dirty memory with {count} children; MiB", memory))
    if "starts" in chosen:
        wall, cpu = parts.starts(peers, wanted.start_children, wanted.starts)
        tables.append(Table(f"Launch until {wanted.start_children} children run; s", wall))
        tables.append(Table(f"CPU of the daemon's side for {wanted.start_children} children; s", cpu))
    if "queries" in chosen:
        raw, whole = parts.queries(peers, 10, wanted.queries)
        tables.append(Table("Status of 10 children over an open connection; ms", raw, 3))
        tables.append(Table("Status of 10 children, a command of its own; ms", whole, 1))
    if "orphans" in chosen:
        tables.append(Table("Owner killed with -9, to godot-ai gone; s", orphans.outlived(wanted.work, wanted.orphans)))
    return tables


def main() -> int:
    """Measure, print, and keep it."""
    wanted = arguments()
    names = wanted.only.split(",") if wanted.only else [cls.name for cls in ALL]
    chosen = [cls for cls in ALL if cls.name in names]
    if len(chosen) < len(names):
        sys.exit(f"--only: peers are {', '.join(cls.name for cls in ALL)}")
    peers = [cls(wanted.work) for cls in chosen]
    versions = {peer.name: peer.version() for peer in peers}
    left_out = [name for name, version in versions.items() if not version]
    for name in left_out:
        say(f"{name} is not installed: left out")
    there = [peer for peer in peers if versions[peer.name]]
    system = platform.uname()
    machine = (
        f"{system.system} {system.release} {system.machine}, {os.cpu_count()} cores, Python {platform.python_version()}"
    )
    tables = measure(wanted, there)
    shown = report.text(machine, {peer.name: versions[peer.name] for peer in there}, tables, left_out)
    report.keep(wanted.out, shown, tables, {"machine": machine, "versions": versions})
    sys.stdout.write(shown)
    return 0


if __name__ == "__main__":
    sys.exit(main())
