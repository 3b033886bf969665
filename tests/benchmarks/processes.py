"""Reads from /proc which processes of a daemon live, and their cost."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

KEPT_APART = ("sleep", "child.sh", "sh")
"""The children's own names: they are not the daemon's cost."""


@dataclass(frozen=True, slots=True)
class Cost:
    """The resources that a daemon has used so far. `wakeups`: its voluntary context switches."""

    cpu_s: float
    wakeups: int


def stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; empty: no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return []


def started(pid: int) -> int | None:
    """When a living process was started, clock ticks since the boot: with the pid, its identity."""
    fields = stat(pid)
    return int(fields[19]) if fields and fields[0] not in "ZX" else None


def name(pid: int) -> str:
    """The program's name."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def tree(root: int, without: Iterable[int]) -> list[int]:
    """A daemon and what belongs to it: all that hangs below, but for the children that it supervises."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and (fields := stat(int(folder.name))):
            children.setdefault(int(fields[1]), []).append(int(folder.name))
    excluded, found, queue = set(without), [], [root]
    while queue:
        pid = queue.pop()
        if pid not in excluded and (pid == root or name(pid) not in KEPT_APART):
            found.append(pid)
            queue += children.get(pid, [])
    return found


def cost(pids: Iterable[int]) -> Cost:
    """Return what these processes have used, all their threads taken together."""
    nanoseconds = wakeups = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            nanoseconds += int((task / "schedstat").read_text(encoding="ascii").split()[0])
            lines = (task / "status").read_text(encoding="utf-8").splitlines()
            wakeups += sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt"))
    return Cost(nanoseconds / 1e9, wakeups)


def private_dirty_mib(pids: Iterable[int]) -> float:
    """The memory that these alone have written to."""
    kib = 0
    for pid in pids:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
        kib += sum(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty:"))
    return kib / 1024
