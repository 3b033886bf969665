"""`python -m tests.benchmarks.bridges`: see ../README.md."""

import argparse
import os
import platform
import sys
from pathlib import Path

from tests.benchmarks import report
from tests.benchmarks.bridges import measure, targets
from tests.benchmarks.bridges.rows import ALL, Row
from tests.benchmarks.bridges.servers import Servers
from tests.benchmarks.parts import say
from tests.benchmarks.peer import PEERS
from tests.benchmarks.report import Table


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.bridges")
    parser.add_argument("--parts", default="starts,calls,large,restarts,idle")
    parser.add_argument("--only", default="", help="names of rows, separated by commas")
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--memory-after", type=int, default=1000, help="calls")
    parser.add_argument("--large", type=int, default=10)
    parser.add_argument("--restarts", type=int, default=5)
    parser.add_argument("--idle", type=float, default=60, help="seconds")
    parser.add_argument(
        "--comments", type=float, default=0, help="seconds between the small server's comments; 0: none"
    )
    parser.add_argument("--out", type=Path, default=PEERS / "results")
    parser.add_argument("--work", type=Path, default=PEERS / "work")
    return parser.parse_args()


def tables(wanted: argparse.Namespace, servers: Servers, rows: list[Row]) -> dict[str, Table]:
    """The parts that were asked for, one after the other."""
    found = {}
    chosen = wanted.parts.split(",")
    if "starts" in chosen:
        starts = measure.starts(rows, wanted.starts)
        found["greeting"] = Table("exec to the answer to `initialize`, the server being ready; ms", starts.greeting, 1)
        found["tools"] = Table("exec to the answer to `tools/list`; ms", starts.tools, 1)
        found["cpu"] = Table("CPU until then; ms", starts.cpu, 1)
    if "calls" in chosen:
        calls = measure.calls(rows, wanted.calls, wanted.memory_after)
        found["through"] = Table("A call of a small tool; ms", calls.through)
        found["added"] = Table("The same, less the direct call of the same round; ms", calls.added)
        found["added-to-library"] = Table(
            "The same, less the call by http.client of the same round; ms", calls.added_to_library
        )
        found["memory"] = Table(f"Private memory of a bridge after {wanted.memory_after} calls; MiB", calls.memory, 1)
    for tool in ("image", "dense") if "large" in chosen else ():
        large = measure.large(rows, tool, wanted.large)
        found[tool] = Table(f"A result of 8 MiB, {tool}; ms", large.through, 1)
        found[f"{tool}-ratio"] = Table("The same, over the direct call of the same round", large.ratio)
        found[f"{tool}-memory"] = Table("Peak of memory for it, in sizes of the message", large.memory)
    if "restarts" in chosen:
        restarts = measure.restarts(servers, rows, wanted.restarts)
        found["restarts"] = Table("Server killed -9 when idle, to the next answer, less its start; ms", restarts, 1)
    if "idle" in chosen:
        idle = measure.idleness(rows, wanted.idle)
        found["wakeups"] = Table(f"Wake-ups of an idle bridge in {wanted.idle:.0f} s", idle.wakeups, 0)
        found["idle-cpu"] = Table("CPU of an idle bridge; ms per minute", idle.cpu, 1)
    return found


def main() -> int:
    """Measure, print, and keep it."""
    wanted = arguments()
    names = wanted.only.split(",") if wanted.only else [cls.name for cls in ALL]
    chosen = [cls for cls in ALL if cls.name in names]
    if len(chosen) < len(names):
        sys.exit(f"--only: rows are {', '.join(cls.name for cls in ALL)}")
    servers = Servers(wanted.work, wanted.comments)
    servers.begin()
    try:
        rows = [cls(servers) for cls in chosen]
        versions = {row.name: row.version() for row in rows}
        left_out = [name for name, version in versions.items() if not version]
        there = [row for row in rows if versions[row.name]]
        loads = [os.getloadavg()[0]]
        measured = tables(wanted, servers, there)
        loads.append(os.getloadavg()[0])
    finally:
        servers.end()
    say("done")
    system = platform.uname()
    machine = (
        f"{system.system} {system.release} {system.machine}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}; load {loads[0]:.1f} before and {loads[1]:.1f} after"
    )
    shown = report.text(machine, {row.name: versions[row.name] for row in there}, [*measured.values()], left_out)
    shown += targets.text(measured)
    report.keep(wanted.out, shown, [*measured.values()], {"machine": machine, "versions": versions}, "bridges")
    sys.stdout.write(shown)
    return 0


if __name__ == "__main__":
    sys.exit(main())
