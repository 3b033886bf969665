"""The one polite request that Windows knows: CTRL_BREAK, to the console that a server has to itself."""

import ctypes
import sys
from ctypes.wintypes import DWORD

from . import win32

assert sys.platform == "win32"  # noqa: S101 (tells type checkers where this runs)


def send_break(group: int) -> None:
    """CTRL_BREAK to the process group that this process leads, on its own console.

    A process has one console at a time, so ours is left for theirs. One that others sit at (`start --foreground` in a
    terminal) is not left: its output would be lost.

    Raises:
        OSError: it has no console, or we have one to keep.
    """
    if _company() > 1:
        raise OSError("no request can be sent from a daemon that runs in a terminal")
    win32.FreeConsole()
    if not win32.AttachConsole(group):
        raise win32.last_error()
    try:
        if not win32.GenerateConsoleCtrlEvent(win32.CTRL_BREAK_EVENT, group):
            raise win32.last_error()
    finally:
        win32.FreeConsole()


def _company() -> int:
    """How many processes share our console, ourselves included; 0: we have none."""
    pids = (DWORD * 2)()
    return int(win32.GetConsoleProcessList(ctypes.cast(pids, ctypes.POINTER(DWORD)), len(pids)))
