"""The process that started this program, without the launchers of scripts and virtual environments between them."""

import ctypes
import os
import sys
from collections.abc import Sequence
from ctypes.wintypes import DWORD

from .. import win32
from . import handles, listing, start_order

assert sys.platform == "win32"  # noqa: S101 (tells type checkers where this runs)

SCRIPT = "godot-supervisor.exe"
"""The launcher of the command."""
PATH_MAX = 32768


def starter() -> int:
    """Return the pid of the process above our own launchers; 0 if it has ended.

    `godot-supervisor.exe` runs the virtual environment's `python.exe`, which runs this interpreter. Both only wait for
    the interpreter.

    Raises:
        OSError: the system does not tell.
    """
    listed = listing.processes()
    parents = listing.parents(listed, start_order.sequence)
    pid = parents[os.getpid()]
    for launcher in _own_launchers():
        if pid and _runs(pid, launcher):
            pid = parents[pid]
    return pid


def open_ancestors(limit: int) -> dict[int, int]:
    """Return the processes above this one that live now, the nearest first: pid -> handle that can be waited for.

    No list of all processes is read, because an AI client waits for the first answer.
    """
    found: dict[int, int] = {}
    child, pid = win32.GetCurrentProcess(), _recorded_parent(win32.GetCurrentProcess())
    while pid and pid not in found and len(found) < limit:
        try:
            handle = handles.open_handle(pid, handles.QUERY)
        except OSError:
            break
        # The number may be that of a younger process since.
        if not (_is_older(handle, child) and handles.runs(handle)):
            win32.CloseHandle(handle)
            break
        found[pid] = handle
        child, pid = handle, _recorded_parent(handle)
    return found


def without_own_launchers(pids: Sequence[int]) -> list[int]:
    """Return the pids above our own launchers, from pids of processes that are above each other."""
    left = [*pids]
    for launcher in _own_launchers():
        if left and _runs(left[0], launcher):
            del left[0]
    return left


def _own_launchers() -> list[str]:
    # A process whose image is an environment's python.exe is never an interpreter.
    return [SCRIPT] if _same_path(_image(os.getpid()), sys.executable) else [sys.executable, SCRIPT]


def _recorded_parent(handle: int) -> int:
    """Return the pid that the process's creator had; 0 if the system does not tell."""
    facts = (ctypes.c_size_t * 6)()
    size = ctypes.sizeof(facts)
    status = win32.NtQueryInformationProcess(handle, win32.PROCESS_BASIC_INFORMATION, facts, size, None)
    # PROCESS_BASIC_INFORMATION: status, PEB, affinity, priority, pid, pid of the creator (winternl.h).
    return int(facts[5]) if status >= 0 else 0


def _is_older(handle: int, other: int) -> bool:
    """Return whether a process was created before another one, as far as the system tells."""
    try:
        one, two = (start_order.sequence(handles.identity_of(each)) for each in (handle, other))
        if one is not None and two is not None:
            return one < two
        return handles.creation_time(handle) <= handles.creation_time(other)
    except OSError:
        return False


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
