"""Ends processes that a failed test left behind."""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

HOME_VARIABLE = "GODOT_SUPERVISOR_HOME"
SLACK_S = 0.05
"""The start of a process is given in hundredths of a second."""


def end_leftovers(since: float, folder: Path) -> list[str]:
    """Kill processes that were started since then and still run; return each command line.

    This means descendants of this process, and processes whose home lies below the folder, because a daemon and its
    servers have no parent among the tests. `since` is wall time, seconds.
    """
    ended = []
    for process in _leftovers(since, folder):
        try:
            ended.append(" ".join(process.cmdline()) or process.name())
            process.kill()
        except psutil.NoSuchProcess:
            continue
    return ended


def _leftovers(since: float, folder: Path) -> Iterator[psutil.Process]:
    since += _skew_s() - SLACK_S
    me = psutil.Process()
    family = {process.pid for process in me.children(recursive=True)}
    for process in psutil.process_iter():
        try:
            if process.pid == os.getpid() or process.create_time() < since:
                continue
            if process.pid in family or _home_is_below(process, folder):
                yield process
        except psutil.Error:
            # The process has ended, or another user owns it, so it is not a leftover of the tests.
            continue


def _home_is_below(process: psutil.Process, folder: Path) -> bool:
    home = process.environ().get(HOME_VARIABLE)
    return home is not None and Path(home).is_relative_to(folder)


def _skew_s() -> float:
    """Return the distance of psutil's start times from the clock: Linux gives the boot time in whole seconds."""
    if sys.platform != "linux":
        return 0.0
    return psutil.boot_time() - (time.time() - time.clock_gettime(time.CLOCK_BOOTTIME))
