"""The process that started this program, without the launchers of scripts and virtual environments between them."""

import ctypes
import os
import sys
from ctypes.wintypes import DWORD

from .. import win32
from . import handles, listing, start_order

assert sys.platform == "win32"  # noqa: S101 (tells type checkers where this runs)

SCRIPT = "godot-supervisor.exe"
"""The launcher of the command."""
PATH_MAX = 32768


def starter() -> int:
    """Return the pid of the process above our own launchers; 0 if it has ended.

    Raises:
        OSError: the system does not tell.
    """
    return next(iter(starters()), 0)


def starters() -> list[int]:
    """Return the pids of the process above our own launchers, of the process above that, and so on.

    The list ends below a process that has ended. `godot-supervisor.exe` runs the virtual environment's `python.exe`,
    which runs this interpreter. Both only wait for the interpreter.

    Raises:
        OSError: the system does not tell.
    """
    listed = listing.processes()
    parents = listing.parents(listed, start_order.sequence)
    found: list[int] = []
    pid = parents[os.getpid()]
    while pid and pid not in found:
        found.append(pid)
        pid = parents[pid]
    # A process whose image is an environment's python.exe is never an interpreter.
    launchers = [SCRIPT] if _same_path(_image(os.getpid()), sys.executable) else [sys.executable, SCRIPT]
    for launcher in launchers:
        if found and _runs(found[0], launcher):
            del found[0]
    return found


def _runs(pid: int, launcher: str) -> bool:
    image = _image(pid)
    return _same_path(image if os.path.dirname(launcher) else os.path.basename(image), launcher)  # noqa: PTH119, PTH120


def _same_path(path: str, other: str) -> bool:
    return os.path.normcase(path) == os.path.normcase(other)


def _image(pid: int) -> str:
    """Return the file that a process runs; empty if the system does not tell."""
    try:
        with handles.opened(pid, win32.PROCESS_QUERY_LIMITED_INFORMATION) as handle:
            path, size = ctypes.create_unicode_buffer(PATH_MAX), DWORD(PATH_MAX)
            return path.value if win32.QueryFullProcessImageName(handle, 0, path, ctypes.byref(size)) else ""
    except OSError:
        return ""
