"""Exit watches on Windows, by waits of the system's thread pool on handles of processes."""

import asyncio
import atexit
import ctypes
import errno
import os
import sys
from ctypes.wintypes import HANDLE
from itertools import count
from weakref import WeakValueDictionary

from ....core.model import ProcessIdentity
from ...shared.exit_events import ExitEvent, PerProcessExitWatcher
from .. import win32
from . import handles

assert sys.platform == "win32"  # noqa: S101 (tells type checkers where this runs)


class _Wait(ExitEvent):
    """A wait for one process, by a thread of the system. `process` is the handle; `registered` is that of the wait."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.loop = loop
        self.process = 0
        self.registered = HANDLE()
        self.closed = False

    def close(self) -> None:
        """End the wait, then close the handle, which must be open while the system waits for it."""
        if self.closed:
            return
        self.closed = True
        if self.registered.value:
            # ERROR_IO_PENDING means that the callback is just running; it will find nothing to do.
            win32.UnregisterWait(self.registered)
        if self.process:
            win32.CloseHandle(self.process)


# The system calls this by number, on its own thread, even for a wait that is just being closed. The callback therefore
# exists as long as the process, and finds closed waits missing from the table.
_armed: WeakValueDictionary[int, _Wait] = WeakValueDictionary()
_numbers = count(1)


def _signalled(number: int, _timed_out: int) -> None:
    """Handle the callback, on a thread of the system."""
    wait = _armed.get(number)
    if wait is None or wait.closed:
        return
    try:
        wait.loop.call_soon_threadsafe(wait.fire)
    except RuntimeError:
        # The loop has been closed since, so no watch is left.
        return


_callback = win32.WaitCallback(_signalled)


@atexit.register
def _end_every_wait() -> None:
    """Close all waits: the system must not call back into an interpreter that is being finalised."""
    for wait in tuple(_armed.values()):
        wait.close()


class WaitWatcher(PerProcessExitWatcher):
    """Watches processes by callbacks of the system. Polling serves a process for which the system refuses a wait."""

    def _open(self, identity: ProcessIdentity, loop: asyncio.AbstractEventLoop) -> _Wait:
        wait = _Wait(loop)
        number = next(_numbers)
        try:
            wait.process = _open_process(identity.pid)
            _armed[number] = wait
            if not win32.RegisterWaitForSingleObject(
                ctypes.byref(wait.registered),
                wait.process,
                _callback,
                number,
                win32.INFINITE,
                win32.WT_EXECUTEONLYONCE,
            ):
                raise win32.last_error()
        except OSError:
            wait.close()
            raise
        return wait


def _open_process(pid: int) -> int:
    """Return a handle to the process that has this pid.

    Raises:
        ProcessLookupError: no process has it.
        OSError: the system refused.
    """
    try:
        return handles.open_handle(pid if handles.is_pid(pid) else 0, handles.QUERY)
    except OSError as error:
        if error.winerror == win32.ERROR_INVALID_PARAMETER:
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH)) from error
        raise
