"""Processes that a failed test has left behind."""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

HOME_VARIABLE = "GODOT_SUPERVISOR_HOME"
SLACK_S = 0.05
"""A process's start is told in hundredths of a second."""


def end_leftovers(since: float, folder: Path) -> list[str]:
    """Kill what was started since then and still runs; return each command line.

    Meant are descendants of this process, and what has its home below the folder: a daemon and its servers are nobody's
    children. `since` is wall time, seconds.
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
            # It has ended, or is another user's: no test of ours has left it.
            continue


def _home_is_below(process: psutil.Process, folder: Path) -> bool:
    home = process.environ().get(HOME_VARIABLE)
    return home is not None and Path(home).is_relative_to(folder)


def _skew_s() -> float:
    """Return how far psutil's times of starts are from the clock: Linux tells the time of its boot in whole seconds."""
    if sys.platform != "linux":
        return 0.0
    return psutil.boot_time() - (time.time() - time.clock_gettime(time.CLOCK_BOOTTIME))
