"""Finds the processes that run from a private environment, by their command lines."""

import os
from pathlib import Path

from ...native.api import Probe, ProcessControl

CommandLines = tuple[tuple[int, tuple[str, ...]], ...]
"""Processes as pid and command line."""


def commands_of_all(processes: ProcessControl, probe: Probe) -> CommandLines:
    """Return the command line of every visible process. Blocks."""
    return tuple((pid, probe.describe(pid).command) for pid in [row.identity.pid for row in processes.table()])


def running_from(folder: Path, commands: CommandLines) -> list[int]:
    """Return the pids of the processes whose command line contains a path inside a folder."""
    inside = f"{folder}{os.sep}"
    return [pid for pid, words in commands if any(inside in word for word in words)]
