"""Finds the processes that run from a private environment, by their command lines."""

import os
from collections.abc import Iterable
from pathlib import Path

from ...native.api import Probe, ProcessControl

Commands = tuple[tuple[int, tuple[str, ...]], ...]
"""Pids and command lines."""


def commands_of_all(processes: ProcessControl, probe: Probe) -> Commands:
    """Return the command line of every visible process. Blocking."""
    return tuple((pid, probe.describe(pid).command) for pid in [row.identity.pid for row in processes.table()])


def running_from(folder: Path, commands: Iterable[tuple[int, tuple[str, ...]]]) -> list[int]:
    """Return the pids of the processes whose command line contains a path inside a folder."""
    inside = f"{folder}{os.sep}"
    return [pid for pid, words in commands if any(inside in word for word in words)]
